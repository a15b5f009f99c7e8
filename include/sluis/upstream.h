/*
 * The Graph client: the only room that knows Meta's host. Sends what the graph face has rebuilt,
 * with the channel's own access token, over the loop's pooled client. A `messages` POST is never
 * repeated; an unknown outcome is reported as such.
 */
#ifndef SLUIS_UPSTREAM_H
#define SLUIS_UPSTREAM_H

#include "sluis/config.h"
#include "sluis/net/client.h"

struct upstream;
SLUIS_MUST_CHECK int upstream_new(struct loop *loop, struct resolver *resolver,
                                  struct upstream **out);
void upstream_free(struct upstream *upstream);

/* A request that has begun to wait for a connection takes no longer than this to connect, to be
 * written and to be answered, unless it waits in the queue or trickles: `due_ms` ends those. */
#define UPSTREAM_BUDGET_MS 40000

enum upstream_outcome {
    UPSTREAM_ANSWERED,    /* any HTTP status: see `status` */
    UPSTREAM_NOT_SENT,    /* no byte left: nothing happened there */
    UPSTREAM_UNKNOWN,     /* sent, no whole answer, or one in a Content-Encoding: it may have happened */
};
struct upstream_answer {
    enum upstream_outcome outcome;
    unsigned status;
    struct span content_type;
    struct span body; /* valid during the callback */
    const struct http_head *head;
};
/* A request whose body goes in pieces: filled in by upstream_send, before `more` is called. */
struct upstream_ticket {
    struct client *client;
    uint64_t id;
};
struct upstream_request {
    const struct config_channel *channel;
    enum http_method method;
    struct span target;       /* "/v24.0/106540352242922/messages?..." rebuilt */
    struct span content_type; /* empty: none */
    struct span body;
    uint64_t body_length;     /* with `more`: instead of `body`, see struct client_request */
    void (*more)(void *ctx);
    struct upstream_ticket *ticket; /* likewise; the caller's until `done` */
    uint64_t answer_max;
    int64_t due_ms;           /* clock_mono_ms() of its end, however far it has come; 0: none */
    bool repeatable;          /* GET: sent again once on a stale connection */
    bool fresh_connection;    /* a TLS handshake of its own */
    void (*done)(const struct upstream_answer *answer, void *ctx);
    void *ctx;
};
SLUIS_MUST_CHECK int upstream_send(struct upstream *upstream, const struct upstream_request *request);
/* The next piece of a body; an empty one gives the request up. Before `done`. */
void upstream_give(const struct upstream_ticket *ticket, struct span bytes);
/* GET of a media URL that Meta gave: only https and hosts of Meta's (table inside). */
SLUIS_MUST_CHECK int upstream_media(struct upstream *upstream, const struct config_channel *channel,
                                    struct span url, uint64_t answer_max, int64_t due_ms,
                                    void (*done)(const struct upstream_answer *, void *), void *ctx);
/* The same with the bytes handed over as they come (struct client_request's `data`): `done` tells
 * of their end with an empty body. Not repeated once a byte was handed over. */
struct upstream_media_request {
    const struct config_channel *channel;
    struct span url;
    uint64_t answer_max;
    int64_t due_ms;
    int (*data)(void *ctx, const struct http_head *head, struct span bytes);
    struct upstream_ticket *ticket; /* for upstream_hold, or NULL; the caller's until `done` */
    void (*done)(const struct upstream_answer *answer, void *ctx);
    void *ctx;
};
SLUIS_MUST_CHECK int upstream_media_stream(struct upstream *upstream,
                                           const struct upstream_media_request *request);
/* Nothing more of the answer is read until it is let go on; before `done`. */
void upstream_hold(const struct upstream_ticket *ticket, bool on);

/* True when the text is an address whose host is Meta's (Graph or media). */
bool upstream_is_meta_url(struct span text);

#endif

/*
 * HTTP client: pooled keep-alive connections, verified TLS, per loop. Redirects are never followed:
 * a 3xx is an answer like another. A request is sent once; a reused connection that dies before
 * one byte of answer says so (`stale`), and the caller decides.
 *
 * The request is copied; the answer is the caller's during the callback only. Exactly one
 * callback per request. Loop's thread.
 */
#ifndef SLUIS_NET_CLIENT_H
#define SLUIS_NET_CLIENT_H

#include "sluis/net/http.h"
#include "sluis/net/loop.h"
#include "sluis/net/resolver.h"
#include "sluis/net/tls.h"

struct client;

struct client_config {
    struct tls_context *tls;     /* for https */
    struct resolver *resolver;   /* shared, or NULL: numeric hosts only, private ones too */
    bool private_allowed;        /* its requests may go to private addresses */
    const char *user_agent;      /* sent with every request */
    unsigned connections;        /* per origin [32]; more requests wait in order */
    unsigned waiting;            /* requests waiting per origin before SLUIS_ELIMIT [1024] */
    int connect_ms;              /* TCP and TLS [5000] */
    int answer_ms;               /* from the last byte sent to the end of the answer [30000] */
    int idle_ms;                 /* pooled connections [60000] */
};

SLUIS_MUST_CHECK int client_new(struct loop *loop, const struct client_config *config,
                                struct client **out);
void client_free(struct client *client); /* pending requests end with SLUIS_ECLOSED */

/* Where requests go. Parsed once from "https://host[:port]/path?query" or "http://...". */
struct client_url {
    bool https;
    char host[256];
    uint16_t port;
    char target[1024]; /* path and query, at least "/" */
    char authority[272]; /* for the Host field */
};
SLUIS_MUST_CHECK int client_url_parse(struct span text, struct client_url *out);

enum client_failure { /* what went wrong when error is not 0 */
    CLIENT_FAIL_NONE,
    CLIENT_FAIL_RESOLVE,
    CLIENT_FAIL_CONNECT,
    CLIENT_FAIL_TLS_NAME, /* certificate does not fit the host or the CA: an operator's matter */
    CLIENT_FAIL_TLS,
    CLIENT_FAIL_WRITE,
    CLIENT_FAIL_ANSWER,   /* not HTTP, truncated, too large */
    CLIENT_FAIL_TIMEOUT,
    CLIENT_FAIL_CLOSED,   /* closed before the answer ended */
};
const char *client_failure_word(enum client_failure failure);

struct client_answer {
    int error; /* 0: `head` and `body` hold the answer */
    enum client_failure failure;
    bool stale;   /* reused connection died before a byte of answer came: safe to send again when
                     the request may be repeated */
    bool sent;    /* some byte of the request left: the other side may have acted on it */
    const struct http_head *head; /* NULL on error */
    struct span body;
    int64_t elapsed_us;
};

struct client_request {
    enum http_method method;
    const struct client_url *url;
    struct span target;               /* instead of url->target when not empty */
    const struct http_field *fields;  /* beside Host, Content-Length, User-Agent, Accept-Encoding */
    unsigned field_count;
    struct span body;
    /* Instead of `body`, one in pieces of `body_length` bytes in all: `more` is called when the
     * last piece has been taken, also within client_send (*id is set by then), and the next is given
     * with client_give, later. The request's time runs anew with each piece; due_ms ends it all the
     * same. */
    uint64_t body_length;
    void (*more)(void *ctx);
    /* Instead of an answer's body whole: the body of a 200 is handed over as it comes and `done`
     * tells of its end with an empty body, also while it is held. 0, or an error that ends the
     * request. Time runs anew with each piece. It may call client_hold, but not client_cancel. */
    int (*data)(void *ctx, const struct http_head *head, struct span bytes);
    uint64_t answer_max;   /* cap on the answer's body [1 MiB] */
    bool status_only;      /* a close-delimited body is accepted and drained to 64 KiB (deliveries) */
    bool fresh_connection; /* do not reuse one */
    int answer_ms;         /* 0: the client's */
    int64_t due_ms;        /* clock_mono_ms() at which it ends whatever it waits for, its place in
                              the queue included; 0: no such time */
    void (*done)(const struct client_answer *answer, void *ctx);
    void *ctx;
};
/* 0 when `done` will be called, else an error and it will not. *id may be used to cancel. */
SLUIS_MUST_CHECK int client_send(struct client *client, const struct client_request *request,
                                 uint64_t *id);
/* The next piece of a body in pieces; nothing happens when that request is over. */
void client_give(struct client *client, uint64_t id, struct span bytes);
/* Nothing more of the answer is read, or its time counted, until it is let go on. */
void client_hold(struct client *client, uint64_t id, bool on);
/* No callback follows. */
void client_cancel(struct client *client, uint64_t id);

#endif

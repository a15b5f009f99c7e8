/*
 * HTTP server: listeners on a loop, connections, and the exchange (one request and its answer).
 * Several loops listen on one address (SO_REUSEPORT); each loop has its own `struct server`.
 *
 * An exchange is owned by the server. The handler gets a pointer during its call only; what
 * answers later keeps the id and uses server_exchange(id), which gives NULL when the peer has
 * gone, a deadline passed or it was answered. After exchange_answer_end or exchange_abort the
 * exchange is not to be touched. All on the loop's thread.
 *
 * A plain or Unix peer that closes only its own direction (or both: that looks the same) is still
 * answered; a TLS peer that ends its stream is gone.
 *
 *     static void on_request(struct exchange *ex, void *ctx)
 *     {
 *         exchange_answer_begin(ex, 200);
 *         exchange_answer_field(ex, SPAN("Content-Type"), SPAN("text/plain"));
 *         exchange_answer_end(ex, SPAN("ok\n"));
 *     }
 */
#ifndef SLUIS_NET_SERVER_H
#define SLUIS_NET_SERVER_H

#include "sluis/base/arena.h"
#include "sluis/base/buffer.h"
#include "sluis/base/diag.h"
#include "sluis/net/http.h"
#include "sluis/net/loop.h"
#include "sluis/net/tls.h"

struct server;
struct exchange;

struct server_limits { /* 0 takes the default in brackets */
    unsigned connections;             /* per listener, all loops together count separately [20000] */
    unsigned connections_per_address; /* per peer address and loop [0: none; meta comes from few] */
    uint64_t body_max;                /* bytes of a request body in memory [3 MiB] */
    uint64_t memory_max;              /* bytes of request bodies in flight and of answers that peers
                                         have not taken, on this server; a body that would go
                                         above it, and any request while it is above: 503 with
                                         Retry-After before its handler hears of it [64 MiB] */
    int handshake_ms;                 /* [10000] */
    int head_ms;                      /* from a head's first byte to its end, and from a new
                                         connection to its first byte [10000] */
    int body_ms;                      /* for the first 64 KiB, then min_rate counts [10000] */
    unsigned min_rate;                /* bytes a second over a body's life, after 5 s [1024] */
    int idle_ms;                      /* keep-alive without a request [75000] */
    int answer_ms;                    /* for the handler to answer [30000]: 503, close */
    int write_ms;                     /* the peer must take an answer at min_rate, looked at in
                                         periods of this length [15000] */
};

enum server_peer { SERVER_TLS, SERVER_PLAIN, SERVER_UNIX };

struct server_config {
    const char *name;    /* for logs and metrics: "meta", "tools", "admin" */
    const char *address; /* "0.0.0.0:443", "[::1]:8443" or a path for SERVER_UNIX (mode 0600) */
    enum server_peer kind;
    struct tls_context *tls;
    struct server_limits limits;
    /* Head complete, body not read. Return 0 to read the body (up to *body_max, preset to the
     * limit, may be set lower or higher) or answer now (exchange_answer_*), which refuses the
     * body: nothing more is read than the drain, and the connection closes unless the body had
     * come with the head. Negative without an answer: 500. May be NULL. */
    int (*on_head)(struct exchange *ex, uint64_t *body_max, void *ctx);
    /* Whole request there. Answer now or keep exchange_id() and answer later. */
    void (*on_request)(struct exchange *ex, void *ctx);
    /* The exchange was not answered and is going away; answering has no effect any more. Also
     * after a deadline, when the server answers 503 itself. Not after exchange_abort. May be NULL. */
    void (*on_gone)(struct exchange *ex, void *ctx);
    /* What a refusal of the server's own says (bad request, too large, too slow, busy), in the
     * shape that the listener's clients read: appends the body to `out` and gives its content type, a
     * constant. `reason` is a constant word. NULL: the word alone, as text/plain. */
    const char *(*refusal)(unsigned status, const char *reason, struct buffer *out);
    void *ctx;
};

SLUIS_MUST_CHECK int server_new(struct loop *loop, const struct server_config *config,
                                struct server **out, struct diag *diag);
/* New connections get this context from now on. */
void server_set_tls(struct server *server, struct tls_context *tls);
/* Stops accepting; idle connections close, busy ones after their answer. */
void server_drain(struct server *server);
unsigned server_busy(const struct server *server); /* exchanges not yet answered */
void server_free(struct server *server);           /* closes everything at once */
/* The port that was bound (for address ":0" in tests). */
uint16_t server_port(const struct server *server);

struct exchange *server_exchange(struct server *server, uint64_t id);
uint64_t exchange_id(const struct exchange *ex); /* unique per server, never reused */
struct server *exchange_server(const struct exchange *ex);
/* True above memory_max: a handler that has yet to make a large answer refuses instead. */
bool server_full(const struct server *server);
const struct http_head *exchange_head(const struct exchange *ex);
struct span exchange_body(const struct exchange *ex); /* valid until answered */
/*
 * A body in pieces, for what is too large to be kept: asked for in on_head. `data` gets the bytes
 * as they come, at most EXCHANGE_PIECE at a time, and keeps what it needs; on_request follows at
 * the body's end with an empty exchange_body. In `data` the exchange may be answered, which refuses
 * the rest: nothing more is told then. Back-pressure: after exchange_pause_body nothing is read of the peer and no byte is
 * handed over until exchange_resume_body (any time on the loop's thread, through the id). A pause
 * does not count against the peer, but one longer than answer_ms ends in 503. on_gone as ever.
 */
#define EXCHANGE_PIECE (64 * 1024)
struct exchange_sink {
    void (*data)(struct exchange *ex, struct span bytes, void *ctx);
    void *ctx;
    unsigned min_rate; /* bytes a second over the body's life, pauses apart; 0: the server's */
};
void exchange_stream_body(struct exchange *ex, const struct exchange_sink *sink);
void exchange_pause_body(struct exchange *ex);
void exchange_resume_body(struct exchange *ex);
/* Takes the body out of the exchange (for owners that outlive it); *out is freed by the caller
 * with buffer_free. */
void exchange_take_body(struct exchange *ex, struct buffer *out);
struct arena *exchange_arena(struct exchange *ex); /* capped at 1 MiB, dies with the exchange */
/* TLS client certificate's common name, empty when none. */
struct span exchange_client_name(const struct exchange *ex);
/* Whose connection this is from now on (a token's number); 0 nobody's. */
void exchange_set_owner(struct exchange *ex, uint64_t owner);
/* Closes every connection of this owner at once, answers under way included: their access was
 * withdrawn. How many. */
unsigned server_cut(struct server *server, uint64_t owner);
/* The peer's address as text ("192.0.2.1"; of a Unix socket "unix:" and the uid); for access rules and audit only, not for the log. */
const char *exchange_peer(const struct exchange *ex);
/* Is Host a name of the listener's certificate, or one of `names` (NULL-terminated, or NULL)? Without
 * TLS: yes. A browser sends whatever name led it here, also one that somebody else's DNS gave us. */
bool exchange_host_named(const struct exchange *ex, const char *const *names);
void exchange_set_data(struct exchange *ex, void *data);
void *exchange_data(const struct exchange *ex);

/* Answering: begin, fields, end with the whole body, at most 128 MiB (Date, Content-Length and,
 * where it applies, Connection are set here; a HEAD request gets none of the body). Exactly once.
 * A field with a line break or NUL in it turns the answer into an empty 500. */
void exchange_answer_begin(struct exchange *ex, unsigned status);
void exchange_answer_field(struct exchange *ex, struct span name, struct span value);
void exchange_answer_end(struct exchange *ex, struct span body);
/* The three in one, with a Content-Type (empty: none). */
void exchange_answer(struct exchange *ex, unsigned status, struct span content_type,
                     struct span body);
/*
 * An answer in pieces: begin, fields, then this instead of the end. True: `more` is called
 * whenever the peer has taken what it was given, the first time within this call, and the handler
 * gives the next piece with exchange_answer_more, later, until `length` bytes have gone; `over` is
 * called once when no more is wanted (whole: all went), also when the peer has gone, a deadline
 * passed or the exchange was lost within this call. A piece that is not given within answer_ms, and one of length 0, cut the connection: that is how
 * a handler gives up. False: nothing is wanted (HEAD, no length), neither is called.
 */
struct exchange_source {
    void (*more)(struct exchange *ex, void *ctx);
    void (*over)(void *ctx, bool whole);
    void *ctx;
};
SLUIS_MUST_CHECK bool exchange_answer_stream(struct exchange *ex, uint64_t length,
                                             const struct exchange_source *source);
/* No effect when the exchange is over: `id` finds it. */
void exchange_answer_more(struct server *server, uint64_t id, struct span bytes);
/* Closes the connection after the answer. Before exchange_answer_end. */
void exchange_close_after(struct exchange *ex);
/* Closes without an answer. `reason` is a constant word. */
void exchange_abort(struct exchange *ex, const char *reason);

#endif

/*
 * The client's insides: client.c (requests, origins, queues), client_conn.c (one connection's
 * course), client_url.c.
 *
 * A request (`struct call`) is waiting at its origin, or bound to one connection, or failing (its
 * callback comes at the end of the turn). A connection serves one call or is idle in the pool.
 */
#ifndef SLUIS_NET_CLIENT_PRIVATE_H
#define SLUIS_NET_CLIENT_PRIVATE_H

#include "conn.h"
#include "deadline.h"
#include "sluis/base/buffer.h"
#include "sluis/net/client.h"

#define CLIENT_ORIGINS_MAX 256
#define CLIENT_BUCKETS 256
/* A delivery's answer body is of no use: so much is read to keep the connection. */
#define CLIENT_DRAIN_MAX (64 * 1024)
/* The head of an answer and what came with it. */
#define CLIENT_HEAD_ROOM (HTTP_ANSWER_HEAD_MAX + 16 * 1024)
/* Room for the head of a request beside its body. */
#define CLIENT_REQUEST_HEAD_MAX (64 * 1024)
#define CLIENT_ANSWER_MAX (1024 * 1024)
#define CLIENT_POOLED_CALLS 64
#define CLIENT_KEEP_BYTES (16 * 1024)
/* How often the first look-up of a name is asked after. */
#define CLIENT_RESOLVE_POLL_MS 50

struct origin;
struct client_conn;

enum call_state { CALL_WAITING, CALL_BOUND, CALL_FAILING };

struct call {
    struct client *client;
    struct origin *origin;
    struct client_conn *cc;
    struct call *prev, *next; /* in origin->waiting */
    struct call *hash_next;   /* in client->calls, or the pool */
    struct deadline deadline;
    struct mail later;
    enum call_state state;
    uint64_t id;
    enum http_method method;
    uint64_t answer_max;
    bool status_only, fresh;
    int answer_ms;
    int64_t due_ms; /* the request's own end; 0: none */
    void (*done)(const struct client_answer *answer, void *ctx);
    void (*more)(void *ctx); /* NULL: the body is in `out` */
    uint64_t body_left;
    int (*data)(void *ctx, const struct http_head *head, struct span bytes); /* NULL: kept */
    bool asked; /* a piece of the body is wanted and was not given yet */
    bool held;  /* client_hold */
    void *ctx;
    int64_t start_us;
    struct buffer out, in, body;
    size_t in_used;
    struct span body_span;
    bool have_head;
    struct http_answer_machine head;
    struct http_body_machine body_machine;
    int error; /* while failing */
    enum client_failure failure;
};

enum cc_phase { CC_RESOLVE, CC_CONNECT, CC_WRITE, CC_ANSWER, CC_IDLE, CC_DEAD };

struct client_conn {
    struct client *client;
    struct origin *origin;
    struct conn *conn;
    struct call *call;
    struct client_conn *prev, *next; /* in origin->idle */
    struct deadline deadline;        /* of an idle one */
    struct mail later;
    enum cc_phase phase;
    bool reused;
    bool any_answer; /* a byte of the answer came */
    int64_t connect_due_ms;
    struct sockaddr_storage addresses[RESOLVER_ADDRESSES_MAX];
    unsigned address_count, address_at;
};

struct origin {
    struct origin *next;
    struct client *client;
    bool https;
    uint16_t port;
    char host[256];
    unsigned conns, waiting_count;
    struct call *waiting_first, *waiting_last;
    struct client_conn *idle; /* the last used first */
};

struct client {
    struct loop *loop;
    struct deadline_wheel *wheel;
    struct client_config config;
    char *user_agent;
    struct origin *origins;
    unsigned origin_count;
    struct call *calls[CLIENT_BUCKETS]; /* by id */
    struct call *pool;
    unsigned pooled;
    uint64_t next_id;
    bool stopping;
};

/* client.c */
/* The one callback; the call is gone afterwards. It is bound to no connection any more. */
void call_succeed(struct call *call);
void call_fail(struct call *call, int error, enum client_failure failure, bool stale, bool sent);
/* The same at the end of the turn; nothing was sent. */
void call_fail_later(struct call *call, int error, enum client_failure failure);
/* The next step may take so long, and never longer than the request has. */
void call_deadline(struct call *call, int64_t in_ms);
/* Starts what waits, as far as connections allow; forgets an origin that nobody uses. */
void origin_pump(struct origin *origin);

/* client_conn.c. None of these pumps the origin; a call that cannot go fails later. */
void client_conn_open(struct call *call);                          /* a new one for it */
void client_conn_reuse(struct client_conn *cc, struct call *call); /* an idle one */
void client_conn_close(struct client_conn *cc);                    /* its call is left alone */
void client_conn_timeout(struct client_conn *cc);                  /* its call's deadline */
void client_conn_give(struct client_conn *cc, struct span bytes);  /* more of a body */
void client_conn_hold(struct client_conn *cc, bool on);

#endif

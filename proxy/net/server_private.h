/*
 * The server's insides, shared by server.c (listener, life), server_conn.c (one connection's
 * course) and server_exchange.c (requests and answers).
 *
 * A connection is idle without an exchange; exchanges are pooled, since a request should not
 * cost an allocation. An exchange's id changes with every request, so an id kept too long finds
 * nothing.
 */
#ifndef SLUIS_NET_SERVER_PRIVATE_H
#define SLUIS_NET_SERVER_PRIVATE_H

#include "conn.h"
#include "deadline.h"
#include "sluis/base/counters.h"
#include "sluis/net/server.h"

/* What a connection's head buffer may hold: the largest head and as much that came with it. */
#define SERVER_HEAD_ROOM (2 * HTTP_REQUEST_HEAD_MAX)
/* After a refusal the peer may still be sending; so much is read and thrown away, or so long,
 * before the close, so that a reset does not overtake the answer. */
#define SERVER_LINGER_BYTES (1024 * 1024)
#define SERVER_LINGER_MS 2000
/* body_ms counts for so much of a body; after that min_rate. */
#define SERVER_BODY_FIRST (64 * 1024)
#define SERVER_RATE_GRACE_MS 5000
#define SERVER_RATE_CHECK_MS 1000
#define SERVER_RETRY_AFTER_S 5
#define SERVER_ARENA_MAX (1024 * 1024)
/* Exchanges kept for reuse, and the largest buffer that is kept with one. */
#define SERVER_POOL_MAX 256
#define SERVER_KEEP_BYTES (16 * 1024)
/* An answer's body: a page of history or a picture through the tools listener. */
#define SERVER_ANSWER_MAX (128 * 1024 * 1024)
#define SERVER_PEER_SIZE 46 /* INET6_ADDRSTRLEN */

enum phase {
    PHASE_HANDSHAKE,
    PHASE_IDLE, /* no exchange */
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_HANDLE, /* the handler has it */
    PHASE_WRITE,  /* answered, not all sent */
    PHASE_LINGER, /* answered and closing: what still comes is dropped */
    PHASE_DEAD,
};

enum server_counter {
    COUNT_CONNECTIONS,
    COUNT_ACCEPTED,
    COUNT_CAPPED,
    COUNT_ACCEPT_FAILED,
    COUNT_TLS_FAILED,
    COUNT_REQUESTS,
    COUNT_SHED,
    COUNT_TIMEOUTS,
    COUNT_GONE,
    COUNT_REFUSED, /* one per enum http_reason from here */
    COUNT_N = COUNT_REFUSED + HTTP_REASON_COUNT,
};

struct address_count {
    struct address_count *next;
    unsigned char key[16];
    unsigned n;
};

struct server_conn {
    struct server *server;
    struct conn *conn;
    struct exchange *ex;
    struct deadline deadline;
    struct mail later;
    struct server_conn *prev, *next;
    struct address_count *address;
    enum phase phase;
    bool processing; /* inside server_conn_go: answers do not start another round */
    bool served;     /* had a request: idle_ms counts instead of head_ms */
    bool eof;        /* a plain peer closed its direction */
    bool close_after;
    uint64_t owner; /* exchange_set_owner */
    size_t unsent_seen;
    uint64_t lingered;
    char peer[SERVER_PEER_SIZE];
    char client_name[TLS_NAME_SIZE];
};

struct exchange {
    struct server *server;
    struct server_conn *sc;
    uint64_t id;
    unsigned slot;
    struct exchange *next_free;
    struct buffer in; /* the head, and what came with it */
    size_t in_used;   /* bytes of `in` that belong to this request */
    struct buffer body;
    struct span body_span;
    struct buffer out;
    struct arena arena;
    struct http_request_machine head;
    struct http_body_machine body_machine;
    uint64_t accounted; /* of the server's memory */
    int64_t body_start_ms;
    struct exchange_sink sink; /* .data NULL: the body is kept */
    bool paused, body_whole;
    int64_t paused_ms;
    struct exchange_source source; /* .more NULL: the answer was given whole */
    uint64_t source_left;
    bool source_asked; /* a piece is wanted and was not given yet */
    void *data;
    bool known;   /* the handler has seen it: on_gone if it goes unanswered */
    bool counted; /* in server->busy */
    bool answered;
    bool refused; /* answered before its body was read */
    bool close_after;
    bool begun;
    unsigned status;
};

struct server {
    struct loop *loop;
    struct deadline_wheel *wheel;
    struct server_config config; /* limits with defaults filled in */
    char *name, *address;
    struct tls_context *tls;
    int fd;
    int reserve; /* given up when descriptors run out, to turn the caller away */
    struct event *accepting;
    struct loop_timer *back_off;
    uint16_t port;
    bool draining;
    bool bound_path; /* the path of a Unix socket is ours to remove */
    unsigned connections, busy;
    uint64_t memory;
    struct server_conn *first;
    struct address_count **addresses; /* hash table, NULL without a cap */
    struct exchange **slots;
    unsigned slot_count, slot_room;
    unsigned *free_slots, free_slot_count;
    struct exchange *pool;
    unsigned pooled;
    uint64_t next_id;
    int64_t date_s;
    char date[32];
    struct counter *counters;
    char *labels;
};

static inline void server_count(struct server *server, unsigned which, int64_t n)
{
    counter_add(&server->counters[which], n);
}

/* server_conn.c */
extern const struct conn_events server_conn_events;
void server_conn_fired(struct deadline *deadline);
/* Does what can be done now: reads, hands over, goes on to the next request. */
void server_conn_go(struct server_conn *sc);
/* After exchange_answer_end: sends, and goes on when it was not inside server_conn_go. */
void server_conn_answered(struct server_conn *sc);
/* The next piece of an answer in pieces. */
void server_conn_piece(struct server_conn *sc, struct span bytes);
/* The two exits. `reason` is a constant word. */
void server_conn_abort(struct server_conn *sc, unsigned status, const char *reason);
void server_conn_close(struct server_conn *sc, const char *reason);
void server_conn_forget(struct server_conn *sc); /* server.c: caps, list */

/* server_exchange.c */
struct exchange *exchange_get(struct server_conn *sc); /* NULL: out of memory */
void exchange_put(struct exchange *ex);                /* back to the pool */
void exchange_next(struct exchange *ex);               /* same connection, next request */
void exchange_gone(struct exchange *ex);               /* tells the handler, once */
void exchange_account(struct exchange *ex, uint64_t bytes);
void exchange_free(struct exchange *ex);
void exchange_source_over(struct exchange *ex, bool whole); /* tells the handler, once */

#endif

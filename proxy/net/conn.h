/*
 * One connection: a socket, TLS or not, as a stream of bytes both ways. conn.c is the only file
 * that touches bufferevents.
 *
 * Events come on the loop's thread, never from inside conn_write or conn_read. After `ended`
 * nothing follows, save this: a plain peer that closed one direction (CONN_END_EOF) may still be
 * written to, and the connection may then end once more as lost. The owner calls conn_free, also
 * from inside an event: the rest happens at the end of the turn.
 */
#ifndef SLUIS_NET_CONN_H
#define SLUIS_NET_CONN_H

#include "sluis/base/span.h"
#include "sluis/net/loop.h"
#include "tls.h"
#include <sys/socket.h>

struct conn;

enum conn_end {
    CONN_END_EOF,     /* the peer will send no more (TLS: close_notify; plain: FIN) */
    CONN_END_LOST,    /* reset, or closed without close_notify */
    CONN_END_CONNECT, /* never connected */
    CONN_END_TLS,     /* the handshake failed */
    CONN_END_NAME,    /* the handshake failed on the peer's certificate */
};

struct conn_events {
    void (*ready)(void *ctx);    /* connected and shaken hands; accepted plain sockets: none */
    void (*readable)(void *ctx); /* more bytes came */
    void (*drained)(void *ctx);  /* what conn_write could not write at once is written */
    void (*ended)(void *ctx, enum conn_end end);
};

/* Takes over the descriptor, also on failure. tls NULL: plain, ready at once. */
SLUIS_MUST_CHECK int conn_accept(struct loop *loop, int fd, struct tls_context *tls,
                                 const struct conn_events *events, void *ctx, struct conn **out);
/* `host` is what the certificate must bear (tls only). */
SLUIS_MUST_CHECK int conn_connect(struct loop *loop, const struct sockaddr_storage *address,
                                  struct tls_context *tls, const char *host,
                                  const struct conn_events *events, void *ctx, struct conn **out);
void conn_free(struct conn *conn);

/* The bytes that came and were not dropped: how many, and the first run of them in one piece. */
size_t conn_pending(const struct conn *conn);
struct span conn_peek(struct conn *conn);
void conn_drop(struct conn *conn, size_t n);
/* Moves at most `most` bytes to `out`; how many. */
size_t conn_take(struct conn *conn, char *out, size_t most);
/* Stops and resumes reading (on at the start). */
void conn_read(struct conn *conn, bool on);

/* Writes now what the socket takes and keeps the rest. 0 or SLUIS_ENOMEM; a broken connection is
 * told by `ended`. */
SLUIS_MUST_CHECK int conn_write(struct conn *conn, struct span bytes);
size_t conn_unsent(const struct conn *conn);
/* The same and what the kernel has but the peer has not confirmed. A system call. */
size_t conn_unacknowledged(const struct conn *conn);
/* No more will be written (TLS: close_notify): once everything is sent. */
void conn_shutdown(struct conn *conn);
/* What was not sent is dropped and the peer told so (RST) when the connection is freed: a cut off
 * answer must not look like an ended one, and the kernel need not keep it. */
void conn_reset(struct conn *conn);

/* Common name of the peer's certificate, "" when there is none. */
void conn_peer_name(const struct conn *conn, char out[TLS_NAME_SIZE]);

#endif

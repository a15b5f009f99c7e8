#include "conn.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* A TLS record's content: what is written past the bufferevent goes out in one record, so that a
 * write that would block can be repeated by the bufferevent with the same bytes. */
#define CONN_DIRECT_MAX (16 * 1024)
/* Bytes of one read that follows on from what OpenSSL has read ahead. */
#define CONN_AHEAD_READ (16 * 1024)

struct conn {
    struct bufferevent *bev; /* NULL while connecting */
    struct event *connecting;
    SSL *ssl;                /* the bufferevent's */
    struct tls_context *tls; /* ours to unref */
    struct loop *loop;
    const struct conn_events *events;
    void *ctx;
    char *host; /* while connecting */
    int fd;
    bool up;   /* handshake done */
    bool dead; /* ended, or freed */
    bool reading;
    struct mail later;
};

static void on_read(struct bufferevent *bev, void *ctx);
static void on_written(struct bufferevent *bev, void *ctx);
static void on_event(struct bufferevent *bev, short what, void *ctx);

static void end(struct conn *c, enum conn_end how)
{
    if (c->dead)
        return;
    c->dead = true;
    if (c->bev)
        bufferevent_disable(c->bev, EV_READ | EV_WRITE);
    c->events->ended(c->ctx, how);
}

/* OpenSSL reads ahead: whole records may wait in its buffer that no event of the socket will
 * announce. That buffer is one large record and is filled ahead only when it was empty, so this
 * adds some 16 KiB, however fast the sender (test_net_conn watches that). */
static void read_what_is_ahead(struct conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);
    while (c->reading && SSL_has_pending(c->ssl)) {
        struct evbuffer_iovec space;
        int n = -1;
        if (evbuffer_reserve_space(in, CONN_AHEAD_READ, &space, 1) == 1) {
            ERR_clear_error();
            n = SSL_read(c->ssl, space.iov_base, CONN_AHEAD_READ);
            if (n > 0) {
                space.iov_len = (size_t)n;
                evbuffer_commit_space(in, &space, 1);
            }
        }
        if (n <= 0)
            break; /* an error will be met again by the bufferevent's own read */
    }
}

static void on_read(struct bufferevent *bev, void *ctx)
{
    struct conn *c = ctx;
    (void)bev;
    if (c->dead)
        return;
    if (c->ssl)
        read_what_is_ahead(c);
    c->events->readable(c->ctx);
}

static void on_written(struct bufferevent *bev, void *ctx)
{
    struct conn *c = ctx;
    if (!c->dead && c->up && evbuffer_get_length(bufferevent_get_output(bev)) == 0)
        c->events->drained(c->ctx);
}

static void on_up(struct conn *c)
{
    c->up = true;
    c->events->ready(c->ctx);
    if (c->dead || !c->ssl)
        return;
    /* The first request may have come in the packet that ended the handshake. */
    read_what_is_ahead(c);
    if (conn_pending(c) > 0)
        c->events->readable(c->ctx);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
    struct conn *c = ctx;
    (void)bev;
    if (c->dead)
        return;
    if (what & BEV_EVENT_CONNECTED) {
        on_up(c);
        return;
    }
    if (!c->up) {
        bool judged = c->ssl && SSL_get_verify_result(c->ssl) != X509_V_OK;
        end(c, judged ? CONN_END_NAME : CONN_END_TLS);
        return;
    }
    if (what & BEV_EVENT_EOF) {
        /* TLS: only close_notify counts as an end; the state is then complete. A plain peer may
         * have closed one direction: the owner decides. */
        if (!c->ssl) {
            c->reading = false;
            c->events->ended(c->ctx, CONN_END_EOF);
            return;
        }
        end(c, CONN_END_EOF);
        return;
    }
    end(c, CONN_END_LOST);
}

static int make_bufferevent(struct conn *c, enum bufferevent_ssl_state state)
{
    struct event_base *base = loop_base(c->loop);
    if (c->tls) {
        c->ssl = tls_session(c->tls, c->host);
        if (!c->ssl)
            return SLUIS_ENOMEM;
        SSL_set_read_ahead(c->ssl, 1);
        c->bev = bufferevent_openssl_socket_new(base, c->fd, c->ssl, state, BEV_OPT_CLOSE_ON_FREE);
        if (!c->bev) {
            SSL_free(c->ssl);
            c->ssl = NULL;
            return SLUIS_ENOMEM;
        }
        bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 0);
    } else {
        c->bev = bufferevent_socket_new(base, c->fd, BEV_OPT_CLOSE_ON_FREE);
        if (!c->bev)
            return SLUIS_ENOMEM;
        c->up = true;
    }
    bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
    c->reading = true;
    if (bufferevent_enable(c->bev, EV_READ | EV_WRITE))
        return SLUIS_ENOMEM;
    return 0;
}

static void free_at_last(struct mail *mail)
{
    struct conn *c = (struct conn *)((char *)mail - offsetof(struct conn, later));
    tls_unref(c->tls);
    free(c->host);
    free(c);
}

void conn_free(struct conn *conn)
{
    if (!conn)
        return;
    conn->dead = true;
    if (conn->connecting)
        event_free(conn->connecting);
    conn->connecting = NULL;
    if (conn->bev) {
        bufferevent_setcb(conn->bev, NULL, NULL, NULL, NULL);
        bufferevent_free(conn->bev);
    } else if (conn->fd >= 0) {
        close(conn->fd);
    }
    conn->bev = NULL;
    conn->ssl = NULL;
    conn->fd = -1;
    loop_later(conn->loop, &conn->later, free_at_last);
}

static struct conn *conn_make(struct loop *loop, int fd, struct tls_context *tls,
                              const struct conn_events *events, void *ctx)
{
    struct conn *c = calloc(1, sizeof(*c));
    if (!c) {
        close(fd);
        return NULL;
    }
    c->loop = loop;
    c->fd = fd;
    c->tls = tls_ref(tls);
    c->events = events;
    c->ctx = ctx;
    return c;
}

int conn_accept(struct loop *loop, int fd, struct tls_context *tls,
                const struct conn_events *events, void *ctx, struct conn **out)
{
    struct conn *c = conn_make(loop, fd, tls, events, ctx);
    if (!c)
        return SLUIS_ENOMEM;
    int r = make_bufferevent(c, BUFFEREVENT_SSL_ACCEPTING);
    if (r) {
        conn_free(c);
        return r;
    }
    *out = c;
    return 0;
}

static void on_connected(evutil_socket_t fd, short what, void *ctx)
{
    struct conn *c = ctx;
    int error = 0;
    socklen_t n = sizeof(error);
    (void)what;
    if (c->dead)
        return;
    event_free(c->connecting);
    c->connecting = NULL;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) || error ||
        make_bufferevent(c, BUFFEREVENT_SSL_CONNECTING)) {
        end(c, CONN_END_CONNECT);
        return;
    }
    if (!c->tls)
        c->events->ready(c->ctx);
}

int conn_connect(struct loop *loop, const struct sockaddr_storage *address, struct tls_context *tls,
                 const char *host, const struct conn_events *events, void *ctx, struct conn **out)
{
    int one = 1;
    socklen_t n =
        address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return SLUIS_ESYS;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct conn *c = conn_make(loop, fd, tls, events, ctx);
    if (!c)
        return SLUIS_ENOMEM;
    int r = SLUIS_ENOMEM;
    c->host = host ? strdup(host) : NULL;
    if (host && !c->host)
        goto fail;
    /* A refusal that connect() tells at once also shows as SO_ERROR or as an error of the first
     * use; either way the event below fires. */
    if (connect(fd, (const struct sockaddr *)address, n) && errno != EINPROGRESS) {
        r = SLUIS_EIO;
        goto fail;
    }
    c->connecting = event_new(loop_base(loop), fd, EV_WRITE, on_connected, c);
    if (!c->connecting || event_add(c->connecting, NULL))
        goto fail;
    *out = c;
    return 0;
fail:
    conn_free(c);
    return r;
}

size_t conn_pending(const struct conn *conn)
{
    return conn->bev ? evbuffer_get_length(bufferevent_get_input(conn->bev)) : 0;
}

struct span conn_peek(struct conn *conn)
{
    struct evbuffer_iovec first;
    if (!conn->bev || evbuffer_peek(bufferevent_get_input(conn->bev), -1, NULL, &first, 1) < 1)
        return SPAN_EMPTY;
    return span_of(first.iov_base, first.iov_len);
}

void conn_drop(struct conn *conn, size_t n)
{
    if (conn->bev)
        evbuffer_drain(bufferevent_get_input(conn->bev), n);
}

size_t conn_take(struct conn *conn, char *out, size_t most)
{
    if (!conn->bev || most == 0)
        return 0;
    int n = evbuffer_remove(bufferevent_get_input(conn->bev), out, most);
    return n > 0 ? (size_t)n : 0;
}

void conn_read(struct conn *conn, bool on)
{
    if (!conn->bev || conn->dead || conn->reading == on)
        return;
    conn->reading = on;
    if (on)
        bufferevent_enable(conn->bev, EV_READ);
    else
        bufferevent_disable(conn->bev, EV_READ);
}

/* Past the bufferevent: an answer that the socket takes at once costs one system call and no
 * change of events. How many bytes went. */
static size_t write_now(struct conn *c, struct span bytes)
{
    if (!c->ssl) {
        ssize_t n = send(c->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        return n > 0 ? (size_t)n : 0;
    }
    if (bytes.n > CONN_DIRECT_MAX)
        return 0;
    ERR_clear_error();
    int n = SSL_write(c->ssl, bytes.p, (int)bytes.n);
    return n > 0 ? (size_t)n : 0;
}

int conn_write(struct conn *conn, struct span bytes)
{
    if (!conn->bev || conn->dead || bytes.n == 0)
        return 0;
    struct evbuffer *out = bufferevent_get_output(conn->bev);
    if (conn->up && evbuffer_get_length(out) == 0)
        bytes = span_from(bytes, write_now(conn, bytes));
    if (bytes.n && evbuffer_add(out, bytes.p, bytes.n))
        return SLUIS_ENOMEM;
    return 0;
}

size_t conn_unsent(const struct conn *conn)
{
    return conn->bev ? evbuffer_get_length(bufferevent_get_output(conn->bev)) : 0;
}

size_t conn_unacknowledged(const struct conn *conn)
{
    int in_kernel = 0;
    if (conn->fd >= 0 && ioctl(conn->fd, SIOCOUTQ, &in_kernel))
        in_kernel = 0;
    return conn_unsent(conn) + (in_kernel > 0 ? (size_t)in_kernel : 0);
}

void conn_shutdown(struct conn *conn)
{
    if (!conn->bev || conn->dead)
        return;
    if (conn->ssl && conn->up) {
        ERR_clear_error();
        SSL_shutdown(conn->ssl);
    }
    shutdown(conn->fd, SHUT_WR);
}

void conn_reset(struct conn *conn)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    if (conn->fd >= 0)
        setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

void conn_peer_name(const struct conn *conn, char out[TLS_NAME_SIZE])
{
    out[0] = '\0';
    if (conn->ssl && conn->up)
        tls_peer_name(conn->ssl, out);
}

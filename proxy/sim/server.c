#include "server.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* One connection, which is also its one request. */
struct request {
    struct request *next, **prev;
    struct server *server;
    struct bufferevent *bev;
    struct event *timer; /* of a late answer */
    struct evbuffer *late;
    size_t need;
    bool busy; /* a request is being answered */
    bool keep_alive;
    enum request_lie lie;
    bool closing; /* gone when its output is written */
    bool failing; /* gone in the next turn, without an answer */
};

struct server {
    struct event_base *base;
    struct evconnlistener *listener;
    SSL_CTX *tls;
    server_fn *fn;
    void *ctx;
    struct request *connections;
    unsigned port;
    bool dated;
    int64_t ahead_s;
};

static void serve(struct request *r);

static void drop(struct request *r)
{
    if (r->next)
        r->next->prev = r->prev;
    *r->prev = r->next;
    if (r->timer)
        event_free(r->timer);
    evbuffer_free(r->late);
    bufferevent_free(r->bev);
    free(r);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
    (void)bev;
    serve(ctx);
}

static void on_written(struct bufferevent *bev, void *ctx)
{
    struct request *r = ctx;
    if (r->closing && evbuffer_get_length(bufferevent_get_output(bev)) == 0)
        drop(r);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
    (void)bev;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
        drop(ctx);
}

/* Takes the next request from the input, if a whole one is there. */
static void serve(struct request *r)
{
    struct evbuffer *in = bufferevent_get_input(r->bev);
    size_t n = evbuffer_get_length(in);
    if (r->busy || r->closing || n == 0 || n < r->need)
        return;
    const char *p = (const char *)evbuffer_pullup(in, -1);
    struct http_message m;
    int got = http_parse(span_of(p, n), false, &m, &r->need);
    if (got == 0) {
        if (memmem(p, n, "100-continue", 12) && r->need > n)
            evbuffer_add_printf(bufferevent_get_output(r->bev), "HTTP/1.1 100 Continue\r\n\r\n");
        return;
    }
    if (got < 0) {
        drop(r);
        return;
    }
    r->need = 0;
    r->busy = true;
    r->keep_alive = m.keep_alive;
    /* The message points into the input; answers are written a turn later, so it stays valid. */
    r->server->fn(r, &m, r->server->ctx);
    evbuffer_drain(in, m.size);
    http_message_free(&m);
}

static void on_turn(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct request *r = ctx;
    if (r->failing) {
        drop(r);
        return;
    }
    evbuffer_add_buffer(bufferevent_get_output(r->bev), r->late);
    r->busy = false;
    if (!r->keep_alive)
        r->closing = true;
    else
        serve(r);
}

static void add_body(struct request *r, struct span body)
{
    size_t half = body.n / 2;
    char other = (char)(body.n ? body.p[half] ^ 1 : 0);
    switch (body.n ? r->lie : REQUEST_TRUE) {
    case REQUEST_CUT:
        evbuffer_add(r->late, body.p, half);
        break;
    case REQUEST_FLIP:
        evbuffer_add(r->late, body.p, half);
        evbuffer_add(r->late, &other, 1);
        evbuffer_add(r->late, body.p + half + 1, body.n - half - 1);
        break;
    case REQUEST_CHUNKS:
        for (size_t i = 0; i < body.n; i++)
            evbuffer_add_printf(r->late, "1\r\n%c\r\n", body.p[i]);
        evbuffer_add_printf(r->late, "0\r\n\r\n");
        break;
    default:
        evbuffer_add(r->late, body.p, body.n);
        if (r->lie == REQUEST_EXTRA)
            evbuffer_add_printf(r->late, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL");
        break;
    }
}

void request_lie(struct request *r, enum request_lie how)
{
    r->lie = how;
}

/* The answer is written from a timer, at once or later: never inside the callback, whose message
 * still points into the connection's input. */
void request_reply(struct request *r, int status, const char *headers, struct span body,
                   unsigned delay_ms)
{
    char date[64] = "";
    struct tm tm;
    time_t at = time(NULL) + (time_t)r->server->ahead_s;
    if (r->server->dated && gmtime_r(&at, &tm))
        strftime(date, sizeof date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
    r->keep_alive = r->keep_alive && r->lie != REQUEST_CUT;
    evbuffer_add_printf(r->late, "HTTP/1.1 %d %s\r\n%s%s%s", status, http_reason(status), headers,
                        date, r->keep_alive ? "" : "Connection: close\r\n");
    if (r->lie == REQUEST_CHUNKS)
        evbuffer_add_printf(r->late, "Transfer-Encoding: chunked\r\n\r\n");
    else
        evbuffer_add_printf(r->late, "Content-Length: %zu\r\n\r\n", body.n);
    add_body(r, body);
    r->lie = REQUEST_TRUE;
    struct timeval tv = {delay_ms / 1000, (long)(delay_ms % 1000) * 1000};
    if (delay_ms == 0)
        event_active(r->timer, EV_TIMEOUT, 0);
    else
        event_add(r->timer, &tv);
}

void request_reply_json(struct request *r, int status, const char *json, unsigned delay_ms)
{
    request_reply(r, status, "Content-Type: application/json; charset=UTF-8\r\n", span_str(json),
                  delay_ms);
}

void request_fail(struct request *r, enum request_failure how)
{
    if (how == REQUEST_HANG)
        return;
    r->failing = true;
    if (how == REQUEST_RESET) {
        /* The close then sends a reset instead of an orderly end. */
        struct linger now = {1, 0};
        setsockopt(bufferevent_getfd(r->bev), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    event_active(r->timer, EV_TIMEOUT, 0);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
                      void *ctx)
{
    (void)l;
    (void)sa;
    (void)len;
    struct server *server = ctx;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct request *r = calloc(1, sizeof *r);
    SSL *ssl = server->tls ? SSL_new(server->tls) : NULL;
    if (!r || (server->tls && !ssl)) {
        free(r);
        close(fd);
        return;
    }
    r->server = server;
    r->bev = server->tls
                 ? bufferevent_openssl_socket_new(server->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                                  BEV_OPT_CLOSE_ON_FREE)
                 : bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
    r->late = evbuffer_new();
    r->timer = event_new(server->base, -1, 0, on_turn, r);
    r->next = server->connections;
    r->prev = &server->connections;
    if (r->next)
        r->next->prev = &r->next;
    server->connections = r;
    bufferevent_setcb(r->bev, on_read, on_written, on_event, r);
    bufferevent_enable(r->bev, EV_READ | EV_WRITE);
}

void server_date(struct server *server, int64_t ahead_s)
{
    server->dated = true;
    server->ahead_s = ahead_s;
}

struct server *server_new(struct event_base *base, const char *address, SSL_CTX *tls, server_fn *fn,
                          void *ctx)
{
    struct server *server = calloc(1, sizeof *server);
    struct sockaddr_storage sa;
    int len = sizeof sa;
    if (!server || evutil_parse_sockaddr_port(address, (struct sockaddr *)&sa, &len) < 0)
        goto bad;
    *server = (struct server){.base = base, .tls = tls, .fn = fn, .ctx = ctx};
    server->listener =
        evconnlistener_new_bind(base, on_accept, server, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE,
                                1024, (struct sockaddr *)&sa, len);
    if (!server->listener)
        goto bad;
    socklen_t n = sizeof sa;
    getsockname(evconnlistener_get_fd(server->listener), (struct sockaddr *)&sa, &n);
    server->port = ntohs(((struct sockaddr_in *)&sa)->sin_port);
    return server;
bad:
    perror("sluis-sim: listen");
    fprintf(stderr, "sluis-sim: cannot listen on %s\n", address);
    free(server);
    return NULL;
}

void server_free(struct server *server)
{
    if (!server)
        return;
    while (server->connections)
        drop(server->connections);
    evconnlistener_free(server->listener);
    SSL_CTX_free(server->tls);
    free(server);
}

unsigned server_port(const struct server *server)
{
    return server->port;
}

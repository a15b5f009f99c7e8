#include "client.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>

struct client {
    struct event_base *base;
    const struct target *target;
    struct bufferevent *bev; /* NULL: not connected */
    client_fn *fn;
    void *ctx;
    size_t need;
    unsigned timeout_s;
    bool connected;
    bool busy;
};

int target_parse(const char *url, SSL_CTX *tls, struct target *out)
{
    char host[256] = "", port[8] = "", path[1024] = "/";
    bool https = strncmp(url, "https://", 8) == 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET}, *found = NULL;
    *out = (struct target){.tls = https ? tls : NULL};
    if (!https && strncmp(url, "http://", 7) != 0)
        goto bad;
    url += https ? 8 : 7;
    if (sscanf(url, "%255[^:/]:%7[0-9]%1023s", host, port, path) < 2 &&
        sscanf(url, "%255[^:/]%1023s", host, path) < 1)
        goto bad;
    if (!port[0])
        snprintf(port, sizeof port, "%s", https ? "443" : "80");
    if ((https && !tls) || getaddrinfo(host, port, &hints, &found) != 0)
        goto bad;
    memcpy(&out->address, found->ai_addr, found->ai_addrlen);
    out->address_size = (int)found->ai_addrlen;
    freeaddrinfo(found);
    snprintf(out->host, sizeof out->host, "%s", host);
    snprintf(out->authority, sizeof out->authority, "%s:%s", host, port);
    snprintf(out->path, sizeof out->path, "%s", path);
    return 0;
bad:
    fprintf(stderr, "sluis-sim: cannot use the address %s (https needs --ca)\n", url);
    return -1;
}

/* The connection is gone: a request in flight has failed. */
static void lost(struct client *c)
{
    bool was_busy = c->busy;
    if (c->bev)
        bufferevent_free(c->bev);
    c->bev = NULL;
    c->connected = c->busy = false;
    c->need = 0;
    if (was_busy)
        c->fn(c, 0, NULL, c->ctx);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
    struct client *c = ctx;
    struct evbuffer *in = bufferevent_get_input(bev);
    size_t n = evbuffer_get_length(in);
    if (n < c->need)
        return;
    struct http_message m;
    int got = http_parse(span_of(evbuffer_pullup(in, -1), n), true, &m, &c->need);
    if (got == 0)
        return;
    if (got < 0 || !c->busy) {
        lost(c);
        return;
    }
    c->need = 0;
    if (m.status < 200) {
        evbuffer_drain(in, m.size);
        return;
    }
    size_t size = m.size;
    int status = m.status;
    bool keep = m.keep_alive;
    c->busy = false;
    bufferevent_incref(bev);
    if (!keep) {
        /* Not reusable: the callback may send at once, so the connection goes first. */
        c->bev = NULL;
        c->connected = false;
        bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
    }
    struct span body = m.body;
    if (keep && !m.decoded) {
        /* The callback may send: the answer leaves the input before it does, copied as far as the
         * callbacks look. */
        char head[1024], body_copy[1024];
        m.head = span_sub(m.head, 0, sizeof head);
        m.body = span_sub(body, 0, sizeof body_copy);
        memcpy(head, m.head.p, m.head.n);
        memcpy(body_copy, m.body.n ? m.body.p : "", m.body.n);
        m.head.p = head;
        m.body.p = body_copy;
        evbuffer_drain(in, size);
        c->fn(c, status, &m, c->ctx);
    } else {
        c->fn(c, status, &m, c->ctx);
        evbuffer_drain(in, size);
    }
    http_message_free(&m);
    if (!keep)
        bufferevent_free(bev);
    bufferevent_decref(bev);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
    struct client *c = ctx;
    if (what & BEV_EVENT_CONNECTED) {
        int on = 1;
        c->connected = true;
        setsockopt(bufferevent_getfd(bev), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return;
    }
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
        lost(c);
}

struct client *client_new(struct event_base *base, const struct target *target, unsigned timeout_s,
                          client_fn *fn, void *ctx)
{
    struct client *c = calloc(1, sizeof *c);
    if (c)
        *c = (struct client){
            .base = base, .target = target, .timeout_s = timeout_s, .fn = fn, .ctx = ctx};
    return c;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    if (c->bev)
        bufferevent_free(c->bev);
    free(c);
}

int client_connect(struct client *c)
{
    if (c->bev)
        return 0;
    if (c->target->tls) {
        SSL *ssl = SSL_new(c->target->tls);
        if (!ssl)
            return -1;
        SSL_set1_host(ssl, c->target->host);
        SSL_set_tlsext_host_name(ssl, c->target->host);
        c->bev = bufferevent_openssl_socket_new(c->base, -1, ssl, BUFFEREVENT_SSL_CONNECTING,
                                                BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    } else {
        c->bev =
            bufferevent_socket_new(c->base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    }
    if (!c->bev)
        return -1;
    bufferevent_setcb(c->bev, on_read, NULL, on_event, c);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
    return bufferevent_socket_connect(c->bev, (const struct sockaddr *)&c->target->address,
                                      c->target->address_size);
}

int client_send(struct client *c, struct span request)
{
    if (c->busy)
        return -1;
    c->busy = true;
    int failed = client_connect(c);
    if (!c->bev)
        return -1;
    if (failed < 0)
        return 0; /* on_event tells */
    if (c->timeout_s) {
        struct timeval tv = {c->timeout_s, 0};
        bufferevent_set_timeouts(c->bev, &tv, &tv);
    }
    return bufferevent_write(c->bev, request.p, request.n);
}

bool client_connected(const struct client *c)
{
    return c->connected;
}

bool client_busy(const struct client *c)
{
    return c->busy;
}

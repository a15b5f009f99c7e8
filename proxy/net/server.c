#include "server_private.h"

#include "sluis/base/log.h"
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SERVER_BACKLOG 4096
/* Connections taken per wake-up: those that are open get their turn in between. */
#define SERVER_ACCEPTS_PER_TURN 32
#define SERVER_BACK_OFF_MS 100
#define SERVER_ADDRESS_BUCKETS 1024

static void defaults(struct server_limits *l)
{
#define FILL(field, value)                                                                         \
    if (l->field == 0)                                                                             \
    l->field = (value)
    FILL(connections, 20000);
    FILL(body_max, 3 * 1024 * 1024);
    FILL(memory_max, 64 * 1024 * 1024);
    FILL(handshake_ms, 10000);
    FILL(head_ms, 10000);
    FILL(body_ms, 10000);
    FILL(min_rate, 1024);
    FILL(idle_ms, 75000);
    FILL(answer_ms, 30000);
    FILL(write_ms, 15000);
#undef FILL
}

/* "192.0.2.1:443" or "[2001:db8::1]:443". */
static int parse_address(const char *text, struct sockaddr_storage *out, socklen_t *size)
{
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN + 2];
    uint64_t port;
    memset(out, 0, sizeof(*out));
    if (!colon || (size_t)(colon - text) >= sizeof(host) || span_u64(span_str(colon + 1), &port) ||
        port > 65535)
        return SLUIS_EINVAL;
    size_t n = (size_t)(colon - text);
    memcpy(host, text, n);
    host[n] = '\0';
    if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
        host[n - 1] = '\0';
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        *size = sizeof(*in6);
        return inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1 ? 0 : SLUIS_EINVAL;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)port);
    *size = sizeof(*in);
    return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? 0 : SLUIS_EINVAL;
}

/* A path that nobody listens on any more is removed; one in use is left alone. */
static int bind_unix(int fd, const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n >= sizeof(un.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(un.sun_path, path, n + 1);
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe >= 0) {
        int r = connect(probe, (const struct sockaddr *)&un, sizeof(un));
        int why = errno;
        close(probe);
        if (r == 0) {
            errno = EADDRINUSE;
            return -1;
        }
        if (why == ECONNREFUSED)
            unlink(path);
    }
    /* Linux takes the socket's own mode for the file it makes. */
    if (fchmod(fd, 0600))
        return -1;
    return bind(fd, (const struct sockaddr *)&un, sizeof(un));
}

static int bind_inet(struct server *server, int fd, const struct sockaddr_storage *address,
                     socklen_t size)
{
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    /* Linux gives TCP_NODELAY on to what is accepted. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) ||
        bind(fd, (const struct sockaddr *)address, size))
        return -1;
    struct sockaddr_storage bound;
    socklen_t n = sizeof(bound);
    if (getsockname(fd, (struct sockaddr *)&bound, &n))
        return -1;
    server->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                     : ((struct sockaddr_in *)&bound)->sin_port);
    return 0;
}

/* What to do about a socket that does not open. */
static const char *listen_hint(int error, bool local)
{
    if (error == EADDRINUSE)
        return local ? " (another gateway runs: sluis status)"
                     : " (another process listens there: ss -ltnp)";
    if (error == EADDRNOTAVAIL)
        return " (no interface of this machine has that address: ip addr)";
    if (error == EACCES || error == EPERM)
        return local ? " (this user may not write in that folder)"
                     : " (ports below 1024 need CAP_NET_BIND_SERVICE, as in sluis.service)";
    if (error == ENOENT && local)
        return " (make the folder; systemd does with RuntimeDirectory=sluis)";
    return "";
}

static int listen_on(struct server *server, struct diag *diag)
{
    struct sockaddr_storage address;
    socklen_t size = 0;
    bool local = server->config.kind == SERVER_UNIX;
    if (!local && parse_address(server->address, &address, &size)) {
        diag_set(diag, "", 0, 0,
                 "listener %s: expected an address like \"0.0.0.0:443\" or \"[::]:443\"",
                 server->name);
        return SLUIS_EINVAL;
    }
    server->fd =
        socket(local ? AF_UNIX : address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (server->fd < 0 ||
        (local ? bind_unix(server->fd, server->address)
               : bind_inet(server, server->fd, &address, size)) ||
        listen(server->fd, SERVER_BACKLOG)) {
        int error = errno;
        diag_set(diag, "", 0, 0, "listener %s: cannot listen on %s: %s%s", server->name,
                 server->address, strerror(error), listen_hint(error, local));
        return SLUIS_ESYS;
    }
    server->bound_path = local;
    return 0;
}

static void address_key(const struct sockaddr_storage *address, unsigned char key[16])
{
    memset(key, 0, 16);
    if (address->ss_family == AF_INET6)
        memcpy(key, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
    else
        memcpy(key + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
}

static unsigned bucket_of(const unsigned char key[16])
{
    /* FNV-1a. Who owns many addresses gains nothing by collisions: the list is as long as their
     * connections. */
    uint32_t h = 2166136261u;
    for (unsigned i = 0; i < 16; i++)
        h = (h ^ key[i]) * 16777619u;
    return h % SERVER_ADDRESS_BUCKETS;
}

/* One more connection from there, if it may be. */
static int address_enter(struct server *server, const struct sockaddr_storage *address,
                         struct address_count **out)
{
    unsigned char key[16];
    *out = NULL;
    if (!server->addresses || server->config.kind == SERVER_UNIX)
        return 0;
    address_key(address, key);
    struct address_count **bucket = &server->addresses[bucket_of(key)];
    struct address_count *a = *bucket;
    while (a && memcmp(a->key, key, sizeof(key)) != 0)
        a = a->next;
    if (a && a->n >= server->config.limits.connections_per_address)
        return SLUIS_ELIMIT;
    if (!a) {
        a = calloc(1, sizeof(*a));
        if (!a)
            return SLUIS_ENOMEM;
        memcpy(a->key, key, sizeof(key));
        a->next = *bucket;
        *bucket = a;
    }
    a->n++;
    *out = a;
    return 0;
}

static void address_leave(struct server *server, struct address_count *address)
{
    if (!address || --address->n > 0)
        return;
    struct address_count **at = &server->addresses[bucket_of(address->key)];
    while (*at != address)
        at = &(*at)->next;
    *at = address->next;
    free(address);
}

static void peer_text(const struct sockaddr_storage *address, char out[SERVER_PEER_SIZE])
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
    if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], out, SERVER_PEER_SIZE);
    else if (address->ss_family == AF_INET6)
        inet_ntop(AF_INET6, &in6->sin6_addr, out, SERVER_PEER_SIZE);
    else if (address->ss_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, out, SERVER_PEER_SIZE);
    else
        memcpy(out, "unix", 5);
}

/* "unix:1000": who is at the other end of a Unix socket, as the kernel knows it. */
static void peer_user(int fd, char out[SERVER_PEER_SIZE])
{
    struct ucred who;
    socklen_t size = sizeof(who);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0)
        snprintf(out, SERVER_PEER_SIZE, "unix:%u", (unsigned)who.uid);
}

static void take(struct server *server, int fd, const struct sockaddr_storage *address)
{
    struct address_count *from = NULL;
    struct server_conn *sc = NULL;
    server_count(server, COUNT_ACCEPTED, 1);
    if (server->connections >= server->config.limits.connections ||
        address_enter(server, address, &from)) {
        server_count(server, COUNT_CAPPED, 1);
        close(fd);
        return;
    }
    sc = calloc(1, sizeof(*sc));
    if (!sc) {
        address_leave(server, from);
        close(fd);
        return;
    }
    if (conn_accept(server->loop, fd, server->tls, &server_conn_events, sc, &sc->conn)) {
        address_leave(server, from);
        free(sc);
        return;
    }
    sc->server = server;
    sc->address = from;
    sc->deadline.fire = server_conn_fired;
    peer_text(address, sc->peer);
    if (server->config.kind == SERVER_UNIX)
        peer_user(fd, sc->peer);
    sc->next = server->first;
    if (sc->next)
        sc->next->prev = sc;
    server->first = sc;
    server->connections++;
    server_count(server, COUNT_CONNECTIONS, 1);
    sc->phase = server->tls ? PHASE_HANDSHAKE : PHASE_IDLE;
    deadline_set(server->wheel, &sc->deadline,
                 server->tls ? server->config.limits.handshake_ms : server->config.limits.head_ms);
}

void server_conn_forget(struct server_conn *sc)
{
    struct server *server = sc->server;
    if (sc->prev)
        sc->prev->next = sc->next;
    else
        server->first = sc->next;
    if (sc->next)
        sc->next->prev = sc->prev;
    address_leave(server, sc->address);
    server->connections--;
    server_count(server, COUNT_CONNECTIONS, -1);
}

/* No descriptor left: the one in reserve turns one caller away, and the listener rests a moment
 * instead of spinning on an event that cannot be served. */
static void out_of_descriptors(struct server *server)
{
    server_count(server, COUNT_ACCEPT_FAILED, 1);
    LOG(LOG_WARN, "net", "accept_failed", log_word("listener", server->name));
    if (server->reserve >= 0) {
        close(server->reserve);
        int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            close(fd);
        server->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    event_del(server->accepting);
    loop_timer_set(server->back_off, SERVER_BACK_OFF_MS);
}

static void on_accept(evutil_socket_t listener, short what, void *ctx)
{
    struct server *server = ctx;
    (void)what;
    for (unsigned i = 0; i < SERVER_ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof(address);
        int fd =
            accept4(listener, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take(server, fd, &address);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            out_of_descriptors(server);
            return;
        }
        /* ECONNABORTED and the like: that one is gone, the next may be well. */
    }
}

static void on_back_off(void *ctx)
{
    struct server *server = ctx;
    if (!server->draining)
        event_add(server->accepting, NULL);
}

static void describe(struct counter *c, const char *name, const char *labels, const char *help,
                     enum counter_kind kind)
{
    c->name = name;
    c->labels = labels;
    c->help = help;
    c->kind = kind;
}

/* A row of labels in server->labels. */
#define SERVER_LABEL_SIZE 128

static int make_counters(struct server *server)
{
    static const struct {
        const char *name, *help;
        enum counter_kind kind;
    } rows[COUNT_REFUSED] = {
        [COUNT_CONNECTIONS] = {"sluis_http_connections", "Connections open", COUNTER_GAUGE},
        [COUNT_ACCEPTED] = {"sluis_http_accepted_total", "Connections accepted", COUNTER_TOTAL},
        [COUNT_CAPPED] = {"sluis_http_capped_total", "Connections closed over a cap",
                          COUNTER_TOTAL},
        [COUNT_ACCEPT_FAILED] = {"sluis_http_accept_failed_total",
                                 "Times that no descriptor was left", COUNTER_TOTAL},
        [COUNT_TLS_FAILED] = {"sluis_http_handshakes_failed_total", "TLS handshakes failed",
                              COUNTER_TOTAL},
        [COUNT_REQUESTS] = {"sluis_http_requests_total", "Request heads read", COUNTER_TOTAL},
        [COUNT_SHED] = {"sluis_http_shed_total", "Requests answered 503 for want of memory",
                        COUNTER_TOTAL},
        [COUNT_TIMEOUTS] = {"sluis_http_timeouts_total", "Deadlines passed", COUNTER_TOTAL},
        [COUNT_GONE] = {"sluis_http_gone_total", "Requests whose peer or time was gone",
                        COUNTER_TOTAL},
    };
    server->counters = calloc(COUNT_N, sizeof(*server->counters));
    server->labels = calloc(HTTP_REASON_COUNT + 1, SERVER_LABEL_SIZE);
    if (!server->counters || !server->labels)
        return SLUIS_ENOMEM;
    snprintf(server->labels, SERVER_LABEL_SIZE, "listener=\"%.32s\",loop=\"%u\"", server->name,
             loop_index(server->loop));
    for (unsigned i = 0; i < COUNT_REFUSED; i++)
        describe(&server->counters[i], rows[i].name, server->labels, rows[i].help, rows[i].kind);
    for (unsigned i = 0; i < HTTP_REASON_COUNT; i++) {
        char *label = server->labels + (i + 1) * SERVER_LABEL_SIZE;
        snprintf(label, SERVER_LABEL_SIZE, "listener=\"%.32s\",loop=\"%u\",reason=\"%s\"",
                 server->name, loop_index(server->loop), http_reason_word((enum http_reason)i));
        describe(&server->counters[COUNT_REFUSED + i], "sluis_http_refused_total", label,
                 "Requests that broke the protocol", COUNTER_TOTAL);
    }
    return counters_register(server->counters, COUNT_N);
}

int server_new(struct loop *loop, const struct server_config *config, struct server **out,
               struct diag *diag)
{
    struct server *server = calloc(1, sizeof(*server));
    int r = SLUIS_ENOMEM;
    if (!server)
        return r;
    server->loop = loop;
    server->wheel = loop_deadlines(loop);
    server->config = *config;
    server->fd = server->reserve = -1;
    defaults(&server->config.limits);
    server->name = strdup(config->name);
    server->address = strdup(config->address);
    if (!server->name || !server->address)
        goto fail;
    server->config.name = server->name;
    server->config.address = server->address;
    if (config->kind == SERVER_TLS) {
        r = SLUIS_EINVAL;
        if (!config->tls)
            goto fail;
        server->tls = tls_ref(config->tls);
    }
    r = SLUIS_ENOMEM;
    if (config->limits.connections_per_address) {
        server->addresses = calloc(SERVER_ADDRESS_BUCKETS, sizeof(struct address_count *));
        if (!server->addresses)
            goto fail;
    }
    r = make_counters(server);
    if (r)
        goto fail;
    r = listen_on(server, diag);
    if (r)
        goto fail;
    server->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    r = loop_timer_new(loop, on_back_off, server, &server->back_off);
    if (r)
        goto fail;
    r = SLUIS_ENOMEM;
    server->accepting =
        event_new(loop_base(loop), server->fd, EV_READ | EV_PERSIST, on_accept, server);
    if (!server->accepting || event_add(server->accepting, NULL))
        goto fail;
    *out = server;
    return 0;
fail:
    server_free(server);
    return r;
}

void server_set_tls(struct server *server, struct tls_context *tls)
{
    struct tls_context *before = server->tls;
    if (!before)
        return;
    server->tls = tls_ref(tls);
    tls_unref(before);
}

static void stop_listening(struct server *server)
{
    if (server->accepting)
        event_free(server->accepting);
    server->accepting = NULL;
    loop_timer_free(server->back_off);
    server->back_off = NULL;
    if (server->fd >= 0) {
        if (server->bound_path)
            unlink(server->address);
        close(server->fd);
    }
    server->fd = -1;
}

void server_drain(struct server *server)
{
    struct server_conn *next = NULL;
    server->draining = true;
    stop_listening(server);
    for (struct server_conn *sc = server->first; sc; sc = next) {
        next = sc->next;
        if (sc->phase == PHASE_IDLE && conn_pending(sc->conn) == 0)
            server_conn_close(sc, "draining");
    }
}

unsigned server_busy(const struct server *server)
{
    return server->busy;
}

void server_free(struct server *server)
{
    if (!server)
        return;
    server->draining = true;
    while (server->first)
        server_conn_close(server->first, "stopping");
    stop_listening(server);
    if (server->reserve >= 0)
        close(server->reserve);
    while (server->pool) {
        struct exchange *ex = server->pool;
        server->pool = ex->next_free;
        exchange_free(ex);
    }
    free(server->slots);
    free(server->free_slots);
    free(server->addresses);
    if (server->counters)
        counters_unregister(server->counters);
    free(server->counters);
    free(server->labels);
    tls_unref(server->tls);
    free(server->name);
    free(server->address);
    free(server);
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

/* Listeners: which face answers where. */
#include "internal.h"

#include <string.h>

#define CONTROL_ANSWER_MS 120000 /* the check of Meta asks once per channel */

/* Bytes a second: a tool that takes a large attachment more slowly would keep its memory for hours,
 * and the loop at 503 meanwhile. A line of 1 Mbit/s is enough. */
#define TOOLS_MIN_RATE (128u * 1024)

static const char *const names[CONFIG_LISTENERS] = {
    [CONFIG_META] = "meta", [CONFIG_TOOLS] = "tools", [CONFIG_ADMIN] = "admin"};

static const uint64_t largest_body[CONFIG_LISTENERS] = {
    [CONFIG_META] = 4u << 20, [CONFIG_TOOLS] = 20u << 20, [CONFIG_ADMIN] = 1u << 20};
/* Connections of one address per loop. Meta comes from few addresses with many; a tool needs tens.
 */
static const unsigned per_address[CONFIG_LISTENERS] = {
    [CONFIG_META] = 0, [CONFIG_TOOLS] = 1024, [CONFIG_ADMIN] = 256};

const char *listen_name(unsigned kind)
{
    return names[kind];
}

static void unref_all(struct tls_context *contexts[CONFIG_LISTENERS])
{
    for (unsigned i = 0; i < CONFIG_LISTENERS; i++) {
        tls_unref(contexts[i]);
        contexts[i] = NULL;
    }
}

int listen_contexts(const struct config *config, struct tls_context *out[CONFIG_LISTENERS],
                    struct diag *diag)
{
    memset(out, 0, CONFIG_LISTENERS * sizeof(*out));
    for (unsigned i = 0; i < CONFIG_LISTENERS; i++) {
        const struct config_listener *l = &config->listeners[i];
        if (!l->present)
            continue;
        const struct tls_server_config tls = {l->certificate, l->key_file, l->client_ca,
                                              l->client_cn};
        int r = tls_server_new(&tls, &out[i], diag);
        if (r != 0) {
            unref_all(out);
            return r;
        }
    }
    return 0;
}

static struct server_config face(struct gateway *gw, unsigned kind, unsigned index)
{
    struct server_config c = {.name = names[kind], .kind = SERVER_TLS};
    switch (kind) {
    case CONFIG_META:
        c.on_head = webhook_on_head;
        c.on_request = webhook_on_request;
        c.on_gone = webhook_on_gone;
        c.ctx = webhook_context(gw->webhook, index);
        break;
    case CONFIG_TOOLS:
        c.on_head = graph_on_head;
        c.on_request = graph_on_request;
        c.on_gone = graph_on_gone;
        c.ctx = graph_context(gw->graph, index);
        c.refusal = graph_refusal;
        c.limits.answer_ms = GRAPH_ANSWER_MS;
        c.limits.min_rate = TOOLS_MIN_RATE;
        break;
    default:
        c.on_request = admin_on_request;
        c.ctx = admin_context(gw->admin, false);
        break;
    }
    return c;
}

static int open_one(struct gateway *gw, const struct config *config, unsigned kind, unsigned index,
                    struct loop *loop, struct diag *diag)
{
    const struct config_listener *l = &config->listeners[kind];
    struct server_config c = face(gw, kind, index);
    c.address = l->address;
    c.tls = gw->tls[kind];
    c.limits.connections = l->connections;
    c.limits.memory_max = config->memory_max / (4 * gw->loop_count);
    /* The largest body that is allowed must fit however small `memory` is, or it never would. */
    if (c.limits.memory_max < largest_body[kind])
        c.limits.memory_max = largest_body[kind];
    c.limits.connections_per_address = per_address[kind];
    return server_new(loop, &c, &gw->servers[kind][index], diag);
}

static int open_control(struct gateway *gw, const struct config *config, struct diag *diag)
{
    const struct server_config c = {.name = "control",
                                    .address = config->control_path,
                                    .kind = SERVER_UNIX,
                                    .limits = {.answer_ms = CONTROL_ANSWER_MS},
                                    .on_request = admin_on_request,
                                    .ctx = admin_context(gw->admin, true)};
    return server_new(gw->admin_loop, &c, &gw->control, diag);
}

int listen_open(struct gateway *gw, const struct config *config, struct diag *diag)
{
    int r = listen_contexts(config, gw->tls, diag);
    for (unsigned kind = 0; r == 0 && kind < CONFIG_LISTENERS; kind++) {
        if (!config->listeners[kind].present)
            continue;
        if (kind == CONFIG_ADMIN)
            r = open_one(gw, config, kind, 0, gw->admin_loop, diag);
        else
            for (unsigned i = 0; r == 0 && i < gw->loop_count; i++)
                r = open_one(gw, config, kind, i, gw->loops[i], diag);
    }
    return r ? r : open_control(gw, config, diag);
}

/* ---- on every loop, and waiting for it ---- */

struct errand {
    struct mail mail;
    struct gateway *gw;
    unsigned index; /* of the loop; loop_count: admin's */
    unsigned (*act)(struct gateway *gw, unsigned index, void *ctx);
    void *ctx;
    pthread_mutex_t *lock;
    pthread_cond_t *ready;
    unsigned *left, *sum;
};

static void on_errand(struct mail *mail)
{
    struct errand *e = (struct errand *)mail;
    unsigned n = e->act(e->gw, e->index, e->ctx);
    pthread_mutex_lock(e->lock);
    *e->sum += n;
    if (--*e->left == 0)
        pthread_cond_signal(e->ready);
    pthread_mutex_unlock(e->lock);
}

unsigned listen_on_loops(struct gateway *gw,
                         unsigned (*act)(struct gateway *gw, unsigned index, void *ctx), void *ctx)
{
    struct errand errands[GATEWAY_THREADS_MAX + 1];
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t ready = PTHREAD_COND_INITIALIZER;
    unsigned left = gw->loop_count + 1, sum = 0;
    for (unsigned i = 0; i <= gw->loop_count; i++) {
        errands[i] = (struct errand){.gw = gw,
                                     .index = i,
                                     .act = act,
                                     .ctx = ctx,
                                     .lock = &lock,
                                     .ready = &ready,
                                     .left = &left,
                                     .sum = &sum};
        struct loop *loop = i == gw->loop_count ? gw->admin_loop : gw->loops[i];
        if (loop_here(loop) && gw->loops_started) /* a reload asked for by the admin face itself */
            on_errand(&errands[i].mail);
        else
            loop_post(loop, &errands[i].mail, on_errand);
    }
    pthread_mutex_lock(&lock);
    while (left)
        pthread_cond_wait(&ready, &lock);
    pthread_mutex_unlock(&lock);
    pthread_mutex_destroy(&lock);
    pthread_cond_destroy(&ready);
    return sum;
}

/* The servers of a loop: of each listener, or NULL. */
static struct server *server_of(const struct gateway *gw, unsigned index, unsigned kind)
{
    bool admin = index == gw->loop_count;
    if (admin != (kind == CONFIG_ADMIN))
        return NULL;
    return gw->servers[kind][admin ? 0 : index];
}

static unsigned act_set(struct gateway *gw, unsigned index, void *ctx)
{
    struct tls_context **contexts = ctx;
    for (unsigned kind = 0; kind < CONFIG_LISTENERS; kind++) {
        struct server *s = server_of(gw, index, kind);
        if (s && contexts[kind])
            server_set_tls(s, contexts[kind]);
    }
    return 0;
}

void listen_set_contexts(struct gateway *gw, struct tls_context *contexts[CONFIG_LISTENERS])
{
    listen_on_loops(gw, act_set, contexts);
    unref_all(gw->tls);
    memcpy(gw->tls, contexts, sizeof(gw->tls));
}

static unsigned act_drain(struct gateway *gw, unsigned index, void *ctx)
{
    (void)ctx;
    for (unsigned kind = 0; kind < CONFIG_LISTENERS; kind++) {
        struct server *s = server_of(gw, index, kind);
        if (s)
            server_drain(s);
    }
    if (index == gw->loop_count && gw->control)
        server_drain(gw->control);
    return 0;
}

void listen_drain(struct gateway *gw)
{
    listen_on_loops(gw, act_drain, NULL);
}

static unsigned act_cut(struct gateway *gw, unsigned index, void *ctx)
{
    struct server *s = server_of(gw, index, CONFIG_TOOLS);
    return s ? server_cut(s, *(const uint64_t *)ctx) : 0;
}

void listen_cut(void *ctx, uint64_t token)
{
    unsigned n = listen_on_loops(ctx, act_cut, &token);
    LOG(LOG_INFO, "gateway", "token_withdrawn", log_u64("token", token), log_u64("cut", n));
}

unsigned listen_busy(const struct gateway *gw, unsigned index)
{
    unsigned n = 0;
    for (unsigned kind = 0; kind < CONFIG_LISTENERS; kind++) {
        struct server *s = server_of(gw, index, kind);
        n += s ? server_busy(s) : 0;
    }
    if (index == gw->loop_count && gw->control)
        n += server_busy(gw->control);
    return n;
}

/* Loops stopped. */
void listen_close(struct gateway *gw)
{
    for (unsigned kind = 0; kind < CONFIG_LISTENERS; kind++)
        for (unsigned i = 0; i < GATEWAY_THREADS_MAX; i++)
            if (gw->servers[kind][i])
                server_free(gw->servers[kind][i]);
    if (gw->control)
        server_free(gw->control);
    unref_all(gw->tls);
}

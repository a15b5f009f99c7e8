/* Listeners: which face answers where. */
#include "internal.h"

#include <string.h>

static const char *const names[CONFIG_LISTENERS] = {
    [CONFIG_META] = "meta", [CONFIG_TOOLS] = "tools", [CONFIG_ADMIN] = "admin"};

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
    return server_new(loop, &c, &gw->servers[kind][index], diag);
}

static int open_control(struct gateway *gw, const struct config *config, struct diag *diag)
{
    const struct server_config c = {.name = "control",
                                    .address = config->control_path,
                                    .kind = SERVER_UNIX,
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

/* ---- on every loop that has servers, and waiting for it ---- */

struct errand {
    struct mail mail;
    struct gateway *gw;
    unsigned index; /* of the loop; loop_count: admin's */
    void (*act)(struct server *server, void *ctx);
    struct tls_context **contexts;
    pthread_mutex_t *lock;
    pthread_cond_t *ready;
    unsigned *left;
};

static void on_errand(struct mail *mail)
{
    struct errand *e = (struct errand *)mail;
    struct gateway *gw = e->gw;
    for (unsigned kind = 0; kind < CONFIG_LISTENERS; kind++) {
        bool admin = e->index == gw->loop_count;
        struct server *s =
            admin == (kind == CONFIG_ADMIN) ? gw->servers[kind][admin ? 0 : e->index] : NULL;
        if (s)
            e->act(s, e->contexts ? e->contexts[kind] : NULL);
    }
    if (e->index == gw->loop_count && gw->control && !e->contexts)
        e->act(gw->control, NULL);
    pthread_mutex_lock(e->lock);
    if (--*e->left == 0)
        pthread_cond_signal(e->ready);
    pthread_mutex_unlock(e->lock);
}

static void on_all(struct gateway *gw, void (*act)(struct server *, void *),
                   struct tls_context **contexts)
{
    struct errand errands[GATEWAY_THREADS_MAX + 1];
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t ready = PTHREAD_COND_INITIALIZER;
    unsigned left = gw->loop_count + 1;
    for (unsigned i = 0; i <= gw->loop_count; i++) {
        errands[i] = (struct errand){.gw = gw,
                                     .index = i,
                                     .act = act,
                                     .contexts = contexts,
                                     .lock = &lock,
                                     .ready = &ready,
                                     .left = &left};
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
}

static void act_set(struct server *server, void *ctx)
{
    if (ctx)
        server_set_tls(server, ctx);
}

void listen_set_contexts(struct gateway *gw, struct tls_context *contexts[CONFIG_LISTENERS])
{
    on_all(gw, act_set, contexts);
    unref_all(gw->tls);
    memcpy(gw->tls, contexts, sizeof(gw->tls));
}

static void act_drain(struct server *server, void *ctx)
{
    (void)ctx;
    server_drain(server);
}

void listen_drain(struct gateway *gw)
{
    on_all(gw, act_drain, NULL);
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

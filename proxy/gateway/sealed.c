/*
 * Sealed: the root key is made from a passphrase that nobody has given yet. The listeners are up,
 * so that a person sees that it lives and Meta is told to come again; nothing is taken or shown.
 * The passphrase comes over the control socket and is tried on the main thread (argon2id: 256 MB,
 * 0.7 s), one at a time.
 */
#include "internal.h"

#include "sluis/base/json.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PASSPHRASE_MAX 1024
#define POLL_MS 100      /* between looks for a passphrase */
#define DRAIN_ROUNDS 20  /* of POLL_MS: the last answer leaves */
#define RETRY_AFTER "30" /* seconds; Meta keeps trying for days */

struct sealed {
    struct loop *loop;
    struct server *servers[CONFIG_LISTENERS], *control;
    struct tls_context *tls[CONFIG_LISTENERS];
    pthread_mutex_t lock;
    char *passphrase; /* sodium_malloc, PASSPHRASE_MAX */
    size_t n;         /* under lock; 0: none to be tried */
    bool trying;
    uint64_t exchange;
    struct mail mail; /* the outcome, to the loop */
    int result;
    struct diag diag;
};

static void refuse(struct exchange *ex, unsigned status, const char *code, const char *text)
{
    struct buffer out;
    buffer_init(&out, 4096);
    buffer_add(&out, SPAN("{\"error\":{\"code\":"));
    json_quote(&out, span_str(code));
    buffer_add(&out, SPAN(",\"message\":"));
    json_quote(&out, span_str(text));
    buffer_add(&out, SPAN("}}\n"));
    exchange_answer_begin(ex, status);
    exchange_answer_field(ex, SPAN("Content-Type"), SPAN("application/json"));
    if (status == 503)
        exchange_answer_field(ex, SPAN("Retry-After"), SPAN(RETRY_AFTER));
    exchange_answer_end(ex, buffer_span(&out));
    buffer_free(&out);
}

static int on_head(struct exchange *ex, uint64_t *body_max, void *ctx)
{
    (void)body_max, (void)ctx;
    refuse(ex, 503, "sealed", "the gateway is sealed");
    return 0;
}

static void on_admin(struct exchange *ex, void *ctx)
{
    (void)ctx;
    if (span_is(exchange_head(ex)->path, "/livez"))
        exchange_answer(ex, 200, SPAN("text/plain"), SPAN("ok\n"));
    else
        refuse(ex, 503, "sealed", "the gateway is sealed");
}

/* Takes the passphrase out of the body; false when that was refused. */
static bool take_passphrase(struct sealed *s, struct exchange *ex)
{
    struct json_doc doc;
    struct span text = SPAN_EMPTY;
    struct span body = exchange_body(ex);
    if (json_scan(&doc, body, exchange_arena(ex), NULL) != 0 ||
        json_string(&doc, json_get(&doc, 0, SPAN("passphrase")), exchange_arena(ex), &text) != 0 ||
        text.n < KEYRING_PASSPHRASE_MIN || text.n > PASSPHRASE_MAX) {
        refuse(ex, 400, "passphrase", "a passphrase of 12 to 1024 bytes was expected");
        return false;
    }
    pthread_mutex_lock(&s->lock);
    bool busy = s->trying;
    if (!busy) {
        memcpy(s->passphrase, text.p, text.n);
        s->n = text.n;
        s->trying = true;
        s->exchange = exchange_id(ex);
    }
    pthread_mutex_unlock(&s->lock);
    if (busy)
        refuse(ex, 409, "busy", "another passphrase is being tried");
    return !busy;
}

static void on_control(struct exchange *ex, void *ctx)
{
    const struct http_head *head = exchange_head(ex);
    if (head->method == HTTP_POST && span_is(head->path, "/sluis/v1/keys/unseal"))
        (void)take_passphrase(ctx, ex);
    else if (span_is(head->path, "/livez"))
        exchange_answer(ex, 200, SPAN("text/plain"), SPAN("ok\n"));
    else
        refuse(ex, 503, "sealed", "the gateway is sealed: sluis keys unseal");
}

static void on_outcome(struct mail *mail)
{
    struct sealed *s = (struct sealed *)((char *)mail - offsetof(struct sealed, mail));
    struct exchange *ex = server_exchange(s->control, s->exchange);
    if (ex && s->result == 0)
        exchange_answer(ex, 200, SPAN("application/json"), SPAN("{\"unsealed\":true}\n"));
    else if (ex)
        refuse(ex, 422, error_word(s->result),
               s->diag.text[0] ? s->diag.text : "the keyring does not open");
    pthread_mutex_lock(&s->lock);
    s->trying = false;
    pthread_mutex_unlock(&s->lock);
}

static int listen_sealed(struct sealed *s, const struct config *config, struct diag *diag)
{
    static const char *const names[CONFIG_LISTENERS] = {
        [CONFIG_META] = "meta", [CONFIG_TOOLS] = "tools", [CONFIG_ADMIN] = "admin"};
    int r = listen_contexts(config, s->tls, diag);
    for (unsigned kind = 0; r == 0 && kind < CONFIG_LISTENERS; kind++) {
        const struct config_listener *l = &config->listeners[kind];
        const struct server_config c = {.name = names[kind],
                                        .address = l->address,
                                        .kind = SERVER_TLS,
                                        .tls = s->tls[kind],
                                        .limits = {.connections = l->connections},
                                        .on_head = kind == CONFIG_ADMIN ? NULL : on_head,
                                        .on_request = on_admin,
                                        .ctx = s};
        if (l->present)
            r = server_new(s->loop, &c, &s->servers[kind], diag);
    }
    const struct server_config control = {.name = "control",
                                          .address = config->control_path,
                                          .kind = SERVER_UNIX,
                                          .on_request = on_control,
                                          .ctx = s};
    return r ? r : server_new(s->loop, &control, &s->control, diag);
}

/* 0 nothing came, SLUIS_ECLOSED stop. */
static int look_for_signal(const sigset_t *signals)
{
    const struct timespec wait = {.tv_nsec = POLL_MS * 1000000l};
    int number = sigtimedwait(signals, NULL, &wait);
    if (number == SIGTERM || number == SIGINT)
        return SLUIS_ECLOSED;
    if (number == SIGHUP)
        LOG(LOG_WARN, "gateway", "sealed", log_word("reload", "not before it is unsealed"));
    return 0;
}

/* Tries the passphrase that came, if one did; 0 when the keyring is open, SLUIS_EAGAIN. */
static int try_once(struct sealed *s, struct gateway *gw, const struct config *config)
{
    pthread_mutex_lock(&s->lock);
    size_t n = s->n;
    s->n = 0;
    pthread_mutex_unlock(&s->lock);
    if (n == 0)
        return SLUIS_EAGAIN;
    const struct keyring_config keys = {.path = config->keys_path,
                                        .passphrase = span_of(s->passphrase, n)};
    s->diag.text[0] = '\0';
    int r = keyring_open(&keys, &gw->keyring, &s->diag);
    sodium_memzero(s->passphrase, PASSPHRASE_MAX);
    LOG(r ? LOG_ALARM : LOG_INFO, "gateway", r ? "not_unsealed" : "unsealed", log_error(r));
    s->result = r;
    loop_post(s->loop, &s->mail, on_outcome);
    return r ? SLUIS_EAGAIN : 0;
}

/* The answer to the one who gave the passphrase leaves before the socket goes. */
static void let_answer_leave(struct sealed *s)
{
    const struct timespec wait = {.tv_nsec = POLL_MS * 1000000l};
    bool trying = true;
    for (unsigned i = 0; trying && i < DRAIN_ROUNDS; i++) {
        nanosleep(&wait, NULL);
        pthread_mutex_lock(&s->lock);
        trying = s->trying;
        pthread_mutex_unlock(&s->lock);
    }
    nanosleep(&wait, NULL);
}

static void take_down(struct sealed *s)
{
    loop_stop(s->loop);
    loop_join(s->loop);
    for (unsigned kind = 0; kind < CONFIG_LISTENERS; kind++) {
        if (s->servers[kind])
            server_free(s->servers[kind]);
        tls_unref(s->tls[kind]);
    }
    if (s->control)
        server_free(s->control);
    loop_free(s->loop);
}

int sealed_wait(struct gateway *gw, const struct config *config, struct diag *diag)
{
    struct sealed *s = calloc(1, sizeof(*s));
    if (!s)
        return SLUIS_ENOMEM;
    pthread_mutex_init(&s->lock, NULL);
    s->passphrase = sodium_malloc(PASSPHRASE_MAX);
    int r = s->passphrase ? loop_new(&s->loop, 0) : SLUIS_ENOMEM;
    if (r == 0) {
        r = listen_sealed(s, config, diag);
        if (r == 0)
            r = loop_start(s->loop);
        if (r == 0) {
            LOG(LOG_WARN, "gateway", "sealed", log_word("until", "sluis keys unseal"));
            notify_systemd("READY=1\nSTATUS=sealed: waits for sluis keys unseal");
        }
        for (int tried = r ? r : SLUIS_EAGAIN; tried == SLUIS_EAGAIN;) {
            r = look_for_signal(gw->signals);
            tried = r ? r : try_once(s, gw, config);
        }
        if (r == 0)
            let_answer_leave(s);
        take_down(s);
    }
    gw->unsealed = r == 0;
    if (s->passphrase)
        sodium_free(s->passphrase);
    pthread_mutex_destroy(&s->lock);
    free(s);
    return r;
}

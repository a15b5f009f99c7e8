#include "world.h"

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/log.h"
#include "sluis/retention.h"

#include "../unit/net/net_help.h"
#include "../unit/store/support.h"

#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static const char plain_policy[] =
    "policy: 1\nname: p\nactivity: proef\n"
    "profiles: {w: {default: redact, phone: keep}}\n"
    "originals: [{keep: 24h, ground: AVG 6.1.e}]\n"
    "history: [{keep: 1y, ground: AVG 6.1.e}]\n"
    "routes: {r0: {profile: w}, r1: {profile: w}, r2: {profile: w}}\n";

static void write_text(const struct world *w, const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", w->top, name);
    unlink(path);
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

struct config *world_config(struct world *w)
{
    char text[8192], path[200];
    int n = snprintf(
        text, sizeof(text),
        "listeners:\n  meta: {address: \"127.0.0.1:1\", certificate: cert, key: {file: secret}}\n"
        "apps:\n  gemeente: {verify_token: {file: verify}, app_secrets: [{file: secret}]}\n"
        "channels:\n  burgerzaken:\n    app: gemeente\n    phone_number_id: \"" WORLD_NUMBER "\"\n"
        "    waba_id: \"102290129340398\"\n    upstream: {kind: meta, access_token: {file: "
        "token}}\n    policy: p\n%s",
        w->channel_extra ? w->channel_extra : "");
    n += snprintf(text + n, sizeof(text) - (size_t)n, w->routes ? "    routes:\n" : "");
    for (unsigned i = 0; i < w->routes; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n,
                      "      r%u: {url: \"http://127.0.0.1:%u/in\", secret: {file: route}%s}\n", i,
                      server_port(w->tools[i].server), w->route_extra ? w->route_extra : "");
    snprintf(text + n, sizeof(text) - (size_t)n,
             "store: {path: store, size: 1GiB}\nkeys: {path: keys, root: {file: root}}\n");
    write_text(w, "sluis.yaml", text);
    write_text(w, "policies/p.yaml", w->policy ? w->policy : plain_policy);
    snprintf(path, sizeof(path), "%s/sluis.yaml", w->top);
    struct config *config;
    struct diag diag = {0};
    int r = config_load(path, &config, &diag);
    if (r != 0)
        fprintf(stderr, "%s:%u %s\n%s", diag.file, diag.line, diag.text, text);
    CHECK(r == 0);
    for (size_t c = 0; w->store && c < config->channel_count; c++) {
        struct config_channel *channel = &config->channels[c];
        CHECK(store_name_id(w->store, STORE_NAME_CHANNEL, span_str(channel->name), &channel->id) ==
              0);
        for (size_t i = 0; i < channel->route_count; i++)
            CHECK(store_name_id(w->store, STORE_NAME_ROUTE, span_str(channel->routes[i].name),
                                &channel->routes[i].id) == 0);
        CHECK(retention_prepare(w->store, channel->policy) == 0);
    }
    return config;
}

/* ---- tools ---- */

static void on_tool(struct exchange *ex, void *ctx)
{
    struct tool *t = ctx;
    const struct http_head *head = exchange_head(ex);
    struct span body = exchange_body(ex), id = http_field(head, SPAN("X-Sluis-Delivery"));
    struct got got = {.n = body.n};
    uint64_t attempt = 0;
    got.body = malloc(body.n + 1);
    CHECK(got.body && id.n < sizeof(got.id));
    memcpy(got.body, body.p, body.n);
    got.body[body.n] = '\0';
    memcpy(got.id, id.p, id.n);
    (void)span_u64(http_field(head, SPAN("X-Sluis-Attempt")), &attempt);
    got.attempt = (unsigned)attempt;
    char signature[72];
    world_sign(body.p, body.n, "route-secret", signature);
    CHECK(span_is(http_field(head, SPAN("X-Hub-Signature-256")), signature));
    pthread_mutex_lock(&t->lock);
    got.status = t->decide ? t->decide(t, &got, t->ctx) : 200;
    if (t->count == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->got = realloc(t->got, t->cap * sizeof(*t->got));
        CHECK(t->got);
    }
    t->got[t->count++] = got;
    const char *field = t->field, *value = t->value;
    pthread_mutex_unlock(&t->lock);
    if (got.status == 0) {
        exchange_abort(ex, "test");
    } else if (got.status > 0) {
        exchange_answer_begin(ex, (unsigned)got.status);
        if (field)
            exchange_answer_field(ex, span_str(field), span_str(value));
        exchange_answer_end(ex, SPAN_EMPTY);
    }
}

static void tool_open(struct tool *t, unsigned i)
{
    pthread_mutex_init(&t->lock, NULL);
    const struct server_config config = {.name = "tool",
                                         .address = "127.0.0.1:0",
                                         .kind = SERVER_PLAIN,
                                         .on_request = on_tool,
                                         .ctx = t};
    struct diag diag = {0};
    CHECK(loop_new(&t->loop, 10 + i) == 0);
    CHECK(server_new(t->loop, &config, &t->server, &diag) == 0);
    CHECK(loop_start(t->loop) == 0);
}

static void tool_close(struct tool *t)
{
    loop_stop(t->loop);
    loop_join(t->loop);
    server_free(t->server);
    loop_free(t->loop);
    for (unsigned i = 0; i < t->count; i++)
        free(t->got[i].body);
    free(t->got);
    pthread_mutex_destroy(&t->lock);
}

unsigned tool_count(struct tool *t)
{
    pthread_mutex_lock(&t->lock);
    unsigned n = t->count;
    pthread_mutex_unlock(&t->lock);
    return n;
}

unsigned tool_accepted(struct tool *t)
{
    unsigned n = 0;
    pthread_mutex_lock(&t->lock);
    for (unsigned i = 0; i < t->count; i++)
        n += t->got[i].status == 200;
    pthread_mutex_unlock(&t->lock);
    return n;
}

/* How long is waited at least for what is to come: a machine may be slow, or have others to serve.
 */
enum { PATIENCE_MS = 60 * 1000 };

bool tool_has(struct tool *t, unsigned n, int ms)
{
    int64_t end = clock_mono_ms() + (ms > PATIENCE_MS ? ms : PATIENCE_MS);
    while (tool_accepted(t) < n) {
        if (clock_mono_ms() > end)
            return false;
        world_sleep(5);
    }
    return true;
}

void tool_text(struct tool *t, unsigned i, char *out, size_t size)
{
    static const char field[] = "\"body\":\"";
    out[0] = '\0';
    pthread_mutex_lock(&t->lock);
    for (unsigned k = 0; k < t->count; k++) {
        if (t->got[k].status != 200 || i-- > 0)
            continue;
        const char *at = strstr(t->got[k].body, field);
        const char *end = at ? strchr(at + sizeof(field) - 1, '"') : NULL;
        if (end)
            snprintf(out, size, "%.*s", (int)(end - at - (int)sizeof(field) + 1),
                     at + sizeof(field) - 1);
        break;
    }
    pthread_mutex_unlock(&t->lock);
}

bool tool_saw(struct tool *t, const char *text)
{
    bool saw = false;
    pthread_mutex_lock(&t->lock);
    for (unsigned k = 0; k < t->count; k++)
        saw |= strstr(t->got[k].body, text) != NULL;
    pthread_mutex_unlock(&t->lock);
    return saw;
}

void tool_set(struct tool *t, int (*decide)(struct tool *, const struct got *, void *), void *ctx)
{
    pthread_mutex_lock(&t->lock);
    t->decide = decide;
    t->ctx = ctx;
    pthread_mutex_unlock(&t->lock);
}

int tool_status(struct tool *t, const struct got *got, void *ctx)
{
    (void)t;
    (void)got;
    return *(int *)ctx;
}

/* ---- up and down ---- */

void world_make(struct world *w)
{
    char path[200];
    CHECK(sodium_init() >= 0);
    signal(SIGPIPE, SIG_IGN);
    strcpy(w->top, "/tmp/sluis-world-XXXXXX");
    CHECK(mkdtemp(w->top));
    snprintf(path, sizeof(path), "%s/policies", w->top);
    CHECK(mkdir(path, 0700) == 0);
    snprintf(path, sizeof(path), "%s/log", w->top);
    w->log = getenv("WORLD_LOG") ? STDERR_FILENO
                                 : open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    CHECK(w->log >= 0);
    log_configure(LOG_DEBUG, LOG_KEY_VALUE, w->log);
    write_text(w, "cert", "certificate\n");
    write_text(w, "verify", "verify-token-1\n");
    write_text(w, "secret", WORLD_APP_SECRET "\n");
    write_text(w, "token", "EAAupstream-token\n");
    write_text(w, "route", "route-secret\n");
    if (!w->loop_count)
        w->loop_count = 1;
    for (unsigned i = 0; i < WORLD_TOOLS_MAX; i++)
        tool_open(&w->tools[i], i);
}

/* The purge's part: it notes which leaves must go, on the writer thread. */
static bool on_remasked(void *ctx, struct store_txn *txn, uint64_t leaf, uint64_t message,
                        uint64_t subject)
{
    struct world *w = ctx;
    (void)message;
    (void)subject;
    if (txn && w->leaf_count < sizeof(w->leaves) / sizeof(w->leaves[0]))
        w->leaves[w->leaf_count++] = leaf;
    return !w->held;
}

static void open_rooms(struct world *w)
{
    struct diag diag = {0};
    for (unsigned i = 0; i < w->loop_count; i++) {
        CHECK(loop_new(&w->loops[i], i) == 0);
        if (i == 0)
            CHECK(subject_resolver_new(w->store, w->keyring, &w->subjects[i]) == 0);
        else
            w->subjects[i] = subject_resolver_ref(w->subjects[0]);
    }
    const struct deliver_deps deliver = {.store = w->store,
                                         .keyring = w->keyring,
                                         .config = w->cell,
                                         .loops = w->loops,
                                         .loop_count = w->loop_count,
                                         .memory_max = w->deliver_memory};
    CHECK(deliver_new(&deliver, &w->deliver) == 0);
    const struct webhook_deps webhook = {.store = w->store,
                                         .keyring = w->keyring,
                                         .config = w->cell,
                                         .deliver = w->deliver,
                                         .loops = w->loops,
                                         .subjects = w->subjects,
                                         .loop_count = w->loop_count,
                                         .on_remasked = on_remasked,
                                         .on_revoked_ctx = w};
    CHECK(webhook_new(&webhook, &w->webhook) == 0);
    char address[32] = "127.0.0.1:0";
    for (unsigned i = 0; i < w->loop_count; i++) {
        const struct server_config config = {.name = "meta",
                                             .address = address,
                                             .kind = SERVER_PLAIN,
                                             .on_head = webhook_on_head,
                                             .on_request = webhook_on_request,
                                             .on_gone = webhook_on_gone,
                                             .ctx = webhook_context(w->webhook, i)};
        CHECK(server_new(w->loops[i], &config, &w->servers[i], &diag) == 0);
        w->port = server_port(w->servers[i]);
        snprintf(address, sizeof(address), "127.0.0.1:%u", w->port);
    }
}

void world_up(struct world *w)
{
    char path[200], root[200], ring[200];
    struct diag diag = {0};
    snprintf(path, sizeof(path), "%s/store", w->top);
    snprintf(root, sizeof(root), "%s/root", w->top);
    snprintf(ring, sizeof(ring), "%s/keys", w->top);
    const struct keyring_config keys = {
        .path = ring, .root_file = root, .make = true, .any_file_system = true};
    CHECK(keyring_open(&keys, &w->keyring, &diag) == 0);
    struct store_config store;
    test_config(&store, path);
    store.no_sync = w->map_size == 0; /* as test_store */
    if (w->map_size)
        store.map_size = w->map_size;
    CHECK(store_open(&store, &w->store, &diag) == 0);
    CHECK(config_cell_new(world_config(w), &w->cell) == 0);
    open_rooms(w);
    for (unsigned i = 0; i < w->loop_count; i++)
        CHECK(loop_start(w->loops[i]) == 0);
    deliver_start(w->deliver);
}

static int nothing(struct store_txn *txn, void *ctx)
{
    (void)txn;
    (void)ctx;
    return 0;
}

void world_down(struct world *w, bool gently)
{
    if (gently)
        deliver_stop(w->deliver, 3000);
    for (unsigned i = 0; i < w->loop_count; i++) {
        loop_stop(w->loops[i]);
        loop_join(w->loops[i]);
    }
    bool any = true;
    while (any) { /* as the gateway does */
        any = false;
        for (unsigned i = 0; i < w->loop_count; i++)
            any = loop_drain(w->loops[i]) || any;
        CHECK(test_run(w->store, nothing, NULL) == 0);
        for (unsigned i = 0; i < w->loop_count; i++)
            any = loop_drain(w->loops[i]) || any;
    }
    store_close(w->store);
    for (unsigned i = 0; i < w->loop_count; i++)
        server_free(w->servers[i]);
    webhook_free(w->webhook);
    deliver_free(w->deliver);
    for (unsigned i = 0; i < w->loop_count; i++) {
        loop_free(w->loops[i]);
        subject_resolver_free(w->subjects[i]);
    }
    config_cell_free(w->cell);
    keyring_close(w->keyring);
    w->store = NULL;
}

void world_remove(struct world *w)
{
    for (unsigned i = 0; i < WORLD_TOOLS_MAX; i++)
        tool_close(&w->tools[i]);
    if (w->log != STDERR_FILENO)
        close(w->log);
    test_folder_remove(w->top);
}

void world_reload(struct world *w)
{
    config_swap(w->cell, world_config(w));
    deliver_reload(w->deliver);
}

/* ---- Meta ---- */

void world_sign(const void *body, size_t n, const char *secret, char out[72])
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    memcpy(out, "sha256=", 8);
    CHECK(HMAC(EVP_sha256(), secret, (int)strlen(secret), body, n, mac, &size));
    hex_encode(mac, size, out + 7);
}

char *world_body(const struct message *messages, unsigned n)
{
    size_t size = 1024 + 1024 * (size_t)n;
    for (unsigned i = 0; i < n; i++)
        size += strlen(messages[i].text);
    char *out = malloc(size);
    CHECK(out);
    int at = snprintf(out, size,
                      "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":"
                      "\"102290129340398\",\"changes\":[{\"field\":\"messages\",\"value\":{"
                      "\"messaging_product\":\"whatsapp\",\"metadata\":{\"display_phone_number\":"
                      "\"31850000000\",\"phone_number_id\":\"" WORLD_NUMBER "\"},\"messages\":[");
    for (unsigned i = 0; i < n; i++)
        at += snprintf(out + at, size - (size_t)at,
                       "%s{\"from\":\"%s\",\"id\":\"%s\",\"timestamp\":\"%lld\",\"type\":\"text\","
                       "\"text\":{\"body\":\"%s\"}}",
                       i ? "," : "", messages[i].from, messages[i].id,
                       messages[i].at ? messages[i].at : (long long)time(NULL), messages[i].text);
    snprintf(out + at, size - (size_t)at, "]}}]}]}");
    return out;
}

int world_post_raw(struct world *w, const void *body, size_t n, const char *signature)
{
    struct peer *peer = peer_open(w->port, NULL);
    char head[512], answer[4096];
    int status = -1;
    CHECK(peer);
    snprintf(head, sizeof(head),
             "POST /webhook/gemeente HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n%s%s%s"
             "Content-Type: application/json\r\n\r\n",
             n, signature ? "X-Hub-Signature-256: " : "", signature ? signature : "",
             signature ? "\r\n" : "");
    if (peer_send(peer, head)) {
        (void)peer_send_n(peer, body, n);
        if (peer_read_message(peer, answer, sizeof(answer), false) > 0)
            (void)sscanf(answer, "HTTP/1.1 %d", &status);
    }
    peer_close(peer);
    return status;
}

int world_post(struct world *w, const char *body)
{
    char signature[72];
    world_sign(body, strlen(body), WORLD_APP_SECRET, signature);
    return world_post_raw(w, body, strlen(body), signature);
}

int world_send(struct world *w, const char *from, const char *id, const char *text)
{
    const struct message m = {from, id, text, 0};
    char *body = world_body(&m, 1);
    int status = world_post(w, body);
    free(body);
    return status;
}

/* ---- looking ---- */

/* A token as text, in hex of both cases, and in base64 at each of its three alignments. */
struct traces {
    char text[8][200];
    unsigned n;
};

static void make_traces(const char *token, struct traces *t)
{
    size_t n = strlen(token);
    CHECK(n >= 6 && n < 64);
    t->n = 0;
    strcpy(t->text[t->n++], token);
    hex_encode((const uint8_t *)token, n, t->text[t->n++]);
    for (size_t i = 0; i < n; i++)
        sprintf(t->text[t->n] + 2 * i, "%02X", (unsigned char)token[i]);
    t->n++;
    for (size_t skip = 0; skip < 3; skip++) { /* the part that does not depend on its neighbours */
        size_t whole = (n - skip) / 3 * 3;
        EVP_EncodeBlock((unsigned char *)t->text[t->n++], (const unsigned char *)token + skip,
                        (int)whole);
    }
}

static bool has_trace(const struct traces *t, const void *bytes, size_t n)
{
    for (unsigned i = 0; i < t->n; i++)
        if (memmem(bytes, n, t->text[i], strlen(t->text[i])))
            return true;
    return false;
}

static const struct traces *sought; /* nftw hands over no context */
static unsigned found;

static int look_in(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)ftw;
    if (kind != FTW_F || st->st_size == 0)
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    void *p = mmap(NULL, (size_t)st->st_size, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED);
    if (has_trace(sought, p, (size_t)st->st_size)) {
        fprintf(stderr, "found in %s\n", path);
        found++;
    }
    munmap(p, (size_t)st->st_size);
    close(fd);
    return 0;
}

unsigned world_traces(struct world *w, const char *token)
{
    struct traces t;
    make_traces(token, &t);
    sought = &t;
    found = 0;
    CHECK(nftw(w->top, look_in, 8, FTW_PHYS) == 0);
    for (unsigned i = 0; i < WORLD_TOOLS_MAX; i++) {
        pthread_mutex_lock(&w->tools[i].lock);
        for (unsigned k = 0; k < w->tools[i].count; k++) {
            if (has_trace(&t, w->tools[i].got[k].body, w->tools[i].got[k].n)) {
                fprintf(stderr, "found in what tool %u got\n", i);
                found++;
            }
        }
        pthread_mutex_unlock(&w->tools[i].lock);
    }
    return found;
}

struct deliver_route_status world_status(struct world *w, unsigned route)
{
    struct deliver_route_status all[WORLD_TOOLS_MAX] = {{0}};
    int n = deliver_status(w->deliver, all, WORLD_TOOLS_MAX);
    CHECK((int)route < n);
    return all[route];
}

bool world_until(bool (*holds)(void *ctx), void *ctx, int ms)
{
    int64_t end = clock_mono_ms() + (ms > PATIENCE_MS ? ms : PATIENCE_MS);
    while (!holds(ctx)) {
        if (clock_mono_ms() > end)
            return false;
        world_sleep(5);
    }
    return true;
}

void world_sleep(int ms)
{
    const struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
    nanosleep(&t, NULL);
}

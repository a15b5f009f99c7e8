/* The meta face: paths, GET verification, POST signature. */
#include "internal.h"

#include "sluis/base/clock.h"
#include "sluis/base/log.h"

#include <stdlib.h>

#define W_COUNTER(name, help)                                                                      \
    {                                                                                              \
        "sluis_webhook_" name "_total", NULL, help, COUNTER_TOTAL, 0                               \
    }

static struct counter counters[C_COUNT] = {
    [C_POSTS] = W_COUNTER("posts", "POST requests read"),
    [C_VERIFIED] = W_COUNTER("verified", "GET verifications that succeeded"),
    [C_BAD_SIGNATURE] = W_COUNTER("bad_signature", "POSTs refused: missing or wrong signature"),
    [C_BAD_TOKEN] = W_COUNTER("bad_verify_token", "GET verifications refused"),
    [C_UNKNOWN_APP] = W_COUNTER("unknown_app", "requests for an app that is not configured"),
    [C_SHED] = W_COUNTER("shed", "POSTs answered 503 before judging"),
    [C_FAILED] = W_COUNTER("failed", "POSTs answered 503: not committed"),
    [C_MESSAGES] = W_COUNTER("messages", "messages committed"),
    [C_STATUSES] = W_COUNTER("statuses", "statuses committed"),
    [C_ECHOES] = W_COUNTER("echoes", "echoes of messages sent from the phone app"),
    [C_ACCOUNT] = W_COUNTER("account_events", "account events committed"),
    [C_DUPLICATES] = W_COUNTER("duplicates", "items seen before, not stored again"),
    [C_EXPIRED] = W_COUNTER("expired", "items that arrived past their retention"),
    [C_UNJUDGED] = W_COUNTER("unjudged", "items that could not be judged: content replaced"),
    [C_QUARANTINED] = W_COUNTER("quarantined", "POSTs or items sealed in quarantine"),
    [C_UNKNOWN_CHANNEL] = W_COUNTER("unknown_channel", "items for a number not configured"),
    [C_DROPPED_CONTACT_BOOK] =
        W_COUNTER("contact_book_dropped", "contact book entries of the phone, dropped"),
    [C_REVOKED] = W_COUNTER("revoked", "messages that the customer took back"),
    [C_REMASKED] = W_COUNTER("remasked", "earlier messages masked again by a later one"),
    [C_STRANGERS_NOT_KEPT] = W_COUNTER(
        "strangers_not_kept", "items for a number not configured, past what quarantine holds"),
    [C_STORAGE_ERRORS] = W_COUNTER("storage_errors", "items that could not be committed"),
};

static int thread_open(struct webhook *w, unsigned index)
{
    struct intake_thread *t = &w->threads[index];
    t->webhook = w;
    t->loop = w->deps.loops[index];
    t->index = index;
    arena_init(&t->arena, WEBHOOK_ARENA_MAX);
    int r = signature_cache_new(&t->signatures);
    if (r == 0)
        r = detect_scratch_new(&t->scratch);
    if (r == 0)
        r = keyring_cache_new(w->deps.keyring, &t->keys);
    t->subjects = w->deps.subjects[index];
    if (r == 0)
        r = window_table_new(&t->windows);
    return r;
}

int webhook_new(const struct webhook_deps *deps, struct webhook **out)
{
    *out = NULL;
    struct webhook *w = calloc(1, sizeof(*w));
    if (!w)
        return SLUIS_ENOMEM;
    w->deps = *deps;
    w->counters = counters;
    atomic_store(&w->batches_max, WEBHOOK_BATCHES_LEAST); /* until the first POST */
    w->threads = calloc(deps->loop_count, sizeof(*w->threads));
    int r = w->threads ? counters_register(counters, C_COUNT) : SLUIS_ENOMEM;
    for (unsigned i = 0; r == 0 && i < deps->loop_count; i++)
        r = thread_open(w, i);
    if (r == 0)
        r = quarantine_count(w);
    if (r == 0)
        r = owed_count(w);
    if (r != 0) {
        webhook_free(w);
        return r;
    }
    *out = w;
    return 0;
}

void webhook_free(struct webhook *w)
{
    if (!w)
        return;
    for (unsigned i = 0; w->threads && i < w->deps.loop_count; i++) {
        struct intake_thread *t = &w->threads[i];
        signature_cache_free(t->signatures);
        detect_scratch_free(t->scratch);
        if (t->keys)
            keyring_cache_free(t->keys);
        window_table_free(t->windows);
        arena_free(&t->arena);
    }
    free(w->threads);
    free(w);
}

void webhook_forget(struct webhook *w, unsigned index, uint64_t subject)
{
    window_forget(w->threads[index].windows, subject);
}

void *webhook_context(struct webhook *w, unsigned index)
{
    return &w->threads[index];
}

/* "/webhook/{app}": the app, or NULL. */
static const struct config_app *app_of(const struct config *config, struct span path)
{
    char decoded[512];
    struct http_path parts;
    if (http_path_split(path, decoded, sizeof(decoded), &parts) != 0 || parts.count != 2 ||
        parts.trailing_slash || !span_is(parts.segments[0], "webhook"))
        return NULL;
    return config_app(config, parts.segments[1]);
}

static void answer_method(struct exchange *ex)
{
    exchange_answer_begin(ex, 405);
    exchange_answer_field(ex, SPAN("Allow"), SPAN("GET, HEAD, POST"));
    exchange_answer_end(ex, SPAN_EMPTY);
}

/* The store's own lock is contended by its writer: asked some fifty times a second, not for each
 * POST. A job above the mark is refused by the store itself. */
static bool shedding(struct intake_thread *t)
{
    struct webhook *w = t->webhook;
    int64_t now = clock_mono_us();
    if (t->looked_us == 0 || now - t->looked_us >= SHED_LOOK_US) {
        struct store_status status;
        store_status(w->deps.store, &status);
        t->refusing = !status.intake_allowed || status.state != STORE_READY;
        t->looked_us = now;
    }
    return t->refusing || atomic_load(&w->batch_bytes) > atomic_load(&w->batches_max);
}

/* Everything that can be refused before the body is read is refused here. */
/* Nobody known: counted, for the access log as well. */
static void count_refused(struct webhook *w, enum webhook_counter counter, enum audit_refusal why)
{
    count(w, counter);
    audit_refused(w->deps.refusals, why);
}

int webhook_on_head(struct exchange *ex, uint64_t *body_max, void *ctx)
{
    struct intake_thread *t = ctx;
    struct webhook *w = t->webhook;
    const struct http_head *head = exchange_head(ex);
    if (head->method == HTTP_GET || head->method == HTTP_HEAD)
        return 0;
    if (head->method != HTTP_POST) {
        answer_method(ex);
        return 0;
    }
    *body_max = WEBHOOK_BODY_MAX;
    struct config *config = config_acquire(w->deps.config);
    bool known = app_of(config, head->path) != NULL;
    config_unref(config);
    const struct span name = SPAN("X-Hub-Signature-256");
    if (!known) {
        count_refused(w, C_UNKNOWN_APP, AUDIT_REFUSAL_APP);
        exchange_answer(ex, 404, SPAN_EMPTY, SPAN_EMPTY);
    } else if (http_field_count(head, name) != 1 ||
               !signature_well_formed(http_field(head, name))) {
        count_refused(w, C_BAD_SIGNATURE, AUDIT_REFUSAL_SIGNATURE);
        exchange_answer(ex, 401, SPAN_EMPTY, SPAN_EMPTY);
    } else if (shedding(t)) {
        count(w, C_SHED);
        exchange_answer_begin(ex, 503);
        exchange_answer_field(ex, SPAN("Retry-After"), SPAN(WEBHOOK_RETRY_AFTER));
        exchange_answer_end(ex, SPAN_EMPTY);
    }
    return 0;
}

/* One value of a parameter; a parameter given twice counts as absent. */
static struct span parameter(const struct http_parameter *list, unsigned n, const char *name)
{
    struct span value = SPAN_EMPTY;
    unsigned seen = 0;
    for (unsigned i = 0; i < n; i++) {
        if (span_is(list[i].name, name)) {
            value = list[i].value;
            seen++;
        }
    }
    return seen == 1 ? value : SPAN_EMPTY;
}

static void verify(struct intake_thread *t, struct exchange *ex, const struct config_app *app)
{
    char decoded[2048];
    struct http_parameter list[HTTP_PARAMETERS_MAX];
    unsigned n = 0;
    struct span query = exchange_head(ex)->query;
    bool ok = http_query_split(query, decoded, sizeof(decoded), list, &n) == 0;
    struct span challenge = ok ? parameter(list, n, "hub.challenge") : SPAN_EMPTY;
    ok = ok && span_is(parameter(list, n, "hub.mode"), "subscribe") && challenge.n > 0 &&
         app->verify_token.n > 0 &&
         span_eq_secret(parameter(list, n, "hub.verify_token"), app->verify_token);
    count(t->webhook, ok ? C_VERIFIED : C_BAD_TOKEN);
    if (!ok) {
        audit_refused(t->webhook->deps.refusals, AUDIT_REFUSAL_VERIFY_TOKEN);
        LOG(LOG_WARN, "webhook", "verification_refused", log_word("app", app->name));
    }
    /* text/plain and nosniff: the challenge comes from the caller */
    exchange_answer_begin(ex, ok ? 200 : 403);
    exchange_answer_field(ex, SPAN("Content-Type"), SPAN("text/plain"));
    exchange_answer_field(ex, SPAN("X-Content-Type-Options"), SPAN("nosniff"));
    exchange_answer_end(ex, ok ? challenge : SPAN_EMPTY);
}

void webhook_on_request(struct exchange *ex, void *ctx)
{
    struct intake_thread *t = ctx;
    struct webhook *w = t->webhook;
    const struct http_head *head = exchange_head(ex);
    struct config *config = config_acquire(w->deps.config);
    const struct config_app *app = app_of(config, head->path);
    if (!app) {
        count_refused(w, C_UNKNOWN_APP, AUDIT_REFUSAL_APP);
        exchange_answer(ex, 404, SPAN_EMPTY, SPAN_EMPTY);
    } else if (head->method == HTTP_GET || head->method == HTTP_HEAD) {
        verify(t, ex, app);
    } else if (head->method != HTTP_POST) {
        answer_method(ex);
    } else {
        count(w, C_POSTS);
        struct span signature = http_field(head, SPAN("X-Hub-Signature-256"));
        if (signature_holds(t->signatures, config, app, signature, exchange_body(ex))) {
            batch_begin(t, ex, app, config);
        } else {
            count_refused(w, C_BAD_SIGNATURE, AUDIT_REFUSAL_SIGNATURE);
            exchange_answer(ex, 401, SPAN_EMPTY, SPAN_EMPTY);
        }
    }
    config_unref(config);
}

/* The batch goes on: what is committed is deduplicated when Meta sends it again. */
void webhook_on_gone(struct exchange *ex, void *ctx)
{
    (void)ex;
    (void)ctx;
}

/* One POST: scanned, split into items, handed to their owners, answered when all are committed. */
#include "internal.h"

#include "sluis/base/clock.h"
#include "sluis/base/log.h"

#include <stdlib.h>

static void batch_free(struct batch *b)
{
    struct webhook *w = b->home->webhook;
    atomic_fetch_sub(&w->batch_bytes, b->charged);
    for (unsigned i = 0; i < b->item_count; i++)
        free(b->items[i]);
    free(b->items);
    buffer_free(&b->body);
    arena_free(&b->arena);
    config_unref(b->config);
    free(b);
}

static void answer_unavailable(struct exchange *ex)
{
    exchange_answer_begin(ex, 503);
    exchange_answer_field(ex, SPAN("Retry-After"), SPAN(WEBHOOK_RETRY_AFTER));
    exchange_answer_end(ex, SPAN_EMPTY);
}

/* Home thread. A peer that has gone gets no answer and will send again: dedupe knows. */
static void batch_finish(struct batch *b)
{
    int worst = atomic_load(&b->worst);
    struct exchange *ex = server_exchange(b->server, b->exchange);
    if (worst != 0) {
        count(b->home->webhook, C_FAILED);
        LOG(LOG_WARN, "webhook", "not_committed", log_error(worst),
            log_u64("items", b->item_count));
    }
    if (ex && worst == 0)
        exchange_answer(ex, 200, SPAN_EMPTY, SPAN_EMPTY);
    else if (ex)
        answer_unavailable(ex);
    batch_free(b);
}

static void on_home(struct mail *mail)
{
    struct batch *b = (struct batch *)((char *)mail - offsetof(struct batch, mail));
    batch_finish(b);
}

static void batch_release(struct batch *b)
{
    if (atomic_fetch_sub(&b->left, 1) != 1)
        return;
    if (loop_here(b->home->loop))
        batch_finish(b);
    else
        loop_post(b->home->loop, &b->mail, on_home);
}

static void note_error(struct batch *b, int result)
{
    int none = 0;
    if (result != 0)
        atomic_compare_exchange_strong(&b->worst, &none, result);
}

void item_settled(struct item *item, enum item_outcome outcome, int result)
{
    static const enum webhook_counter kinds[] = {
        [STORE_KIND_MESSAGE] = C_MESSAGES,
        [STORE_KIND_STATUS] = C_STATUSES,
        [STORE_KIND_ECHO] = C_ECHOES,
        [STORE_KIND_ACCOUNT] = C_ACCOUNT,
    };
    struct webhook *w = item->batch->home->webhook;
    if (result != 0)
        count(w, C_STORAGE_ERRORS);
    else if (outcome == ITEM_STORED && item->unit.kind < sizeof(kinds) / sizeof(kinds[0]))
        count(w, kinds[item->unit.kind]);
    else if (outcome == ITEM_DUPLICATE)
        count(w, C_DUPLICATES);
    else if (outcome == ITEM_EXPIRED)
        count(w, C_EXPIRED);
    buffer_free(&item->packed);
    buffer_free(&item->sealed_o);
    buffer_free(&item->sealed_m);
    remask_free(item->remasks);
    item->remasks = NULL;
    contact_change_free(item->change);
    item->change = NULL;
    buffer_free(&item->leaves);
    buffer_free(&item->media_rows);
    buffer_free(&item->owed);
    note_error(item->batch, result);
    batch_release(item->batch);
}

static int add_unit(void *ctx, const struct mask_unit *unit)
{
    struct batch *b = ctx;
    if (b->item_count >= WEBHOOK_UNITS_MAX)
        return SLUIS_ELIMIT;
    if (b->item_count == b->item_cap) {
        unsigned cap = b->item_cap ? b->item_cap * 2 : 4;
        struct item **items = realloc(b->items, cap * sizeof(struct item *));
        if (!items)
            return SLUIS_ENOMEM;
        b->items = items;
        b->item_cap = cap;
    }
    struct item *item = calloc(1, sizeof(*item));
    if (!item)
        return SLUIS_ENOMEM;
    item->batch = b;
    item->unit = *unit;
    const size_t record_max = STORE_RECORD_MAX;
    buffer_init(&item->packed, record_max);
    buffer_init(&item->sealed_o, record_max);
    buffer_init(&item->sealed_m, record_max);
    buffer_init(&item->media_rows, (size_t)MEDIA_ITEMS_MAX * MEDIA_ROW_MAX);
    buffer_init(&item->leaves, ITEM_LEAVES_MAX * (size_t)AUDIT_LEAF_MAX);
    buffer_init(&item->owed, ITEM_LEAVES_MAX * (size_t)(AUDIT_LEAF_MAX + KEYRING_RECORD_OVERHEAD));
    b->items[b->item_count++] = item;
    return 0;
}

/* Whose each item is: before any is handed over, since only then a person's items all go to one
 * thread, whichever identifiers they bear. Past one that failed the rest is not looked at: Meta
 * sends the whole POST again. */
static void resolve_all(struct batch *b)
{
    bool failed = false;
    for (unsigned i = 0; i < b->item_count; i++) {
        struct item *item = b->items[i];
        item->owner = b->home;
        item->held_back = failed;
        if (!failed)
            item->unresolved = item_resolve(item);
        failed |= item->unresolved != 0;
    }
}

/* A person's messages always go to the same thread, over channels too. */
static struct intake_thread *owner_of(struct webhook *w, const struct item *item)
{
    return item->subject.serial
               ? &w->threads[subject_owner(item->subject.serial, w->deps.loop_count)]
               : item->batch->home;
}

static void on_owner(struct mail *mail)
{
    struct item *item = (struct item *)((char *)mail - offsetof(struct item, mail));
    item_judge(item);
}

static void dispatch(struct batch *b)
{
    struct webhook *w = b->home->webhook;
    atomic_store(&b->left, b->item_count + 1); /* one for this walk */
    if (b->item_count > 1)
        b->first_serial = store_next_serial(w->deps.store);
    resolve_all(b);
    for (unsigned i = 0; i < b->item_count; i++) {
        struct item *item = b->items[i];
        item->owner = owner_of(w, item);
        if (item->owner == b->home)
            item_judge(item);
        else
            loop_post(item->owner->loop, &item->mail, on_owner);
    }
    batch_release(b);
}

static void quarantined(void *ctx, int result)
{
    struct batch *b = ctx;
    note_error(b, result);
    /* The writer thread must not answer: home does. */
    loop_post(b->home->loop, &b->mail, on_home);
}

static void to_quarantine(struct batch *b, const char *reason)
{
    struct webhook *w = b->home->webhook;
    count(w, C_QUARANTINED);
    LOG(LOG_ALARM, "webhook", "quarantined", log_word("app", b->app->name),
        log_word("reason", reason), log_u64("bytes", b->body.n));
    int result = quarantine_put(b->home, b->app, reason, buffer_span(&b->body), quarantined, b);
    if (result != 0) {
        note_error(b, result);
        batch_finish(b);
    }
}

void batch_begin(struct intake_thread *thread, struct exchange *ex, const struct config_app *app,
                 struct config *config)
{
    struct webhook *w = thread->webhook;
    uint64_t size = exchange_body(ex).n;
    uint64_t need = size * WEBHOOK_BATCH_FACTOR, most = config->memory_max / 2;
    struct batch *b = NULL;
    if (most < WEBHOOK_BATCHES_LEAST)
        most = WEBHOOK_BATCHES_LEAST;
    atomic_store(&w->batches_max, most);
    if (atomic_fetch_add(&w->batch_bytes, need) + need <= most)
        b = calloc(1, sizeof(*b));
    if (!b) {
        atomic_fetch_sub(&w->batch_bytes, need);
        count(w, C_SHED);
        answer_unavailable(ex);
        return;
    }
    b->home = thread;
    b->charged = need;
    b->app = app;
    b->config = config_ref(config);
    b->server = exchange_server(ex);
    b->exchange = exchange_id(ex);
    exchange_take_body(ex, &b->body);
    arena_init(&b->arena, WEBHOOK_ARENA_MAX);
    if (b->body.error || b->body.n != size) { /* a short body must not pass for Meta's */
        note_error(b, SLUIS_ENOMEM);
        batch_finish(b);
        return;
    }
    const struct json_limits limits = {JSON_DEPTH_DEFAULT, WEBHOOK_VALUES_MAX};
    int r = json_scan(&b->doc, buffer_span(&b->body), &b->arena, &limits);
    const char *reason = r == 0 ? NULL : b->doc.error ? b->doc.error : error_word(r);
    if (r == 0) {
        r = mask_split_webhook(&b->doc, &b->arena, add_unit, b);
        if (r != 0)
            reason = r == SLUIS_EINVAL ? "envelope" : error_word(r);
    }
    uint64_t used = size + b->arena.used + b->item_count * sizeof(struct item);
    if (used > need) {
        atomic_fetch_add(&w->batch_bytes, used - need);
        b->charged = used;
    }
    if (r == SLUIS_ENOMEM && b->arena.used > WEBHOOK_ARENA_MAX / 2) {
        r = SLUIS_ELIMIT; /* its own size is to blame: it would never fit */
        reason = "too_large";
    }
    if (r == SLUIS_ENOMEM) { /* not the message's fault: let Meta send it again */
        note_error(b, r);
        batch_finish(b);
    } else if (r != 0) {
        to_quarantine(b, reason);
    } else {
        dispatch(b);
    }
}

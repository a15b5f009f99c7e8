/*
 * Quarantine: signed by Meta, not readable by us, or for a number that nobody configured. Sealed in
 * chunks under a class of its own, a row for each, bounded in rows and bytes per kind; rows leave
 * when their chunks' key has ended. Full of bodies it refuses (503, Meta keeps the message). Full
 * of strangers it counts and raises the alarm: one forgotten number must not shut the others out.
 */
#include "internal.h"

#include "sluis/base/clock.h"

#include <stdlib.h>

#define CHUNKS_MAX (WEBHOOK_BODY_MAX / QUARANTINE_CHUNK + 1)
#define ROW_REASON_MAX 64
#define STRANGER "unknown_channel" /* the reason that makes an item a stranger's */
#define TIDY_ROWS_MAX 256u         /* rows taken out in one job */
#define TIDY_EVERY_MS (3600 * 1000)
#define KEEP_MS ((int64_t)QUARANTINE_KEEP_S * 1000 + 3600 * 1000) /* and a bucket's width */

struct quarantine_job {
    struct store_job job;
    struct webhook *webhook;
    struct record_id ids[CHUNKS_MAX];
    struct buffer sealed[CHUNKS_MAX];
    struct buffer row;
    struct buffer leaf;
    uint8_t leaf_hash[32];
    unsigned count;
    uint64_t bytes;
    enum quarantine_kind kind;
    void (*done)(void *ctx, int result);
    void *ctx;
};

static void job_free(struct quarantine_job *q)
{
    for (unsigned i = 0; i < q->count; i++)
        buffer_free(&q->sealed[i]);
    buffer_free(&q->row);
    buffer_free(&q->leaf);
    free(q);
}

static int run(struct store_txn *txn, struct store_job *job)
{
    struct quarantine_job *q = (struct quarantine_job *)job;
    uint8_t key[8];
    uint64_t index;
    for (unsigned i = 0; i < q->count; i++)
        store_put_record(txn, &q->ids[i], buffer_span(&q->sealed[i]));
    be64_put(key, q->ids[0].serial);
    store_put_row(txn, STORE_TABLE_QUARANTINE, span_of(key, sizeof(key)), buffer_span(&q->row));
    store_put_leaf(txn, buffer_span(&q->leaf), q->leaf_hash, &index);
    return store_txn_error(txn);
}

static void done(struct store_job *job)
{
    struct quarantine_job *q = (struct quarantine_job *)job;
    if (job->result != 0) {
        atomic_fetch_sub(&q->webhook->quarantine[q->kind].rows, 1);
        atomic_fetch_sub(&q->webhook->quarantine[q->kind].bytes, q->bytes);
    }
    q->done(q->ctx, job->result);
    job_free(q);
}

static int seal_chunks(struct quarantine_job *q, struct intake_thread *t, struct span text,
                       const struct retention_place *place)
{
    size_t at = 0;
    do {
        if (q->count == CHUNKS_MAX)
            return SLUIS_ELIMIT;
        struct buffer *out = &q->sealed[q->count];
        struct record_id *id = &q->ids[q->count++];
        *id = (struct record_id){place->cls, place->bucket, 0,
                                 store_next_serial(t->webhook->deps.store), 'Q'};
        buffer_init(out, STORE_RECORD_MAX);
        int r = record_seal(t->keys, 0, id, 0, span_sub(text, at, at + QUARANTINE_CHUNK), out);
        if (r != 0)
            return r;
        at += QUARANTINE_CHUNK;
    } while (at < text.n);
    return 0;
}

/* The row says what an operator may know: app, reason, size, time, where the chunks are. */
static void make_row(struct quarantine_job *q, const struct config_app *app, const char *reason,
                     size_t size, int64_t now)
{
    buffer_init(&q->row, STORE_VALUE_MAX);
    buffer_addf(&q->row, "{\"app\":\"%s\",\"reason\":\"%.*s\",\"bytes\":%zu,\"at\":%lld", app->name,
                ROW_REASON_MAX, reason, size, (long long)now);
    buffer_addf(&q->row, ",\"class\":%u,\"bucket\":%u,\"serials\":[", q->ids[0].cls,
                q->ids[0].bucket);
    for (unsigned i = 0; i < q->count; i++)
        buffer_addf(&q->row, i ? ",%llu" : "%llu", (unsigned long long)q->ids[i].serial);
    buffer_add(&q->row, SPAN("]}"));
}

static int prepare(struct quarantine_job *q, struct intake_thread *t, const struct config_app *app,
                   const char *reason, struct span text)
{
    struct webhook *w = t->webhook;
    int64_t now = clock_wall_ms();
    const struct retention_rule rule = {
        .keep_s = QUARANTINE_KEEP_S, .ground = "quarantine", .selection = ""};
    struct retention_place place;
    int r = retention_place(w->deps.store, &rule, RETENTION_QUARANTINE, now, now, &place);
    if (r != 0)
        return r;
    r = seal_chunks(q, t, text, &place);
    if (r != 0)
        return r;
    make_row(q, app, reason, text.n, now);
    const struct audit_event event = {.at_ms = now,
                                      .action = AUDIT_QUARANTINE,
                                      .actor = "meta",
                                      .object = q->ids[0].serial,
                                      .count = 1,
                                      .outcome = "quarantined"};
    buffer_init(&q->leaf, AUDIT_LEAF_MAX);
    r = audit_leaf(&event, &q->leaf, q->leaf_hash);
    return r ? r : q->row.error;
}

/* ---- what stands in a row ---- */

static uint64_t row_number(struct span row, const char *field)
{
    uint64_t value = 0;
    const char *at = memmem(row.p, row.n, field, strlen(field));
    if (!at)
        return 0;
    size_t skip = (size_t)(at - row.p) + strlen(field);
    struct span rest = span_from(row, skip);
    return span_u64(span_sub(rest, 0, span_find(rest, ',')), &value) == 0 ? value : 0;
}

static enum quarantine_kind row_kind(struct span row)
{
    static const char reason[] = "\"reason\":\"" STRANGER "\"";
    return memmem(row.p, row.n, reason, sizeof(reason) - 1) ? QUARANTINE_STRANGER : QUARANTINE_BODY;
}

/* ---- rows whose chunks have expired ---- */

struct tidy_job {
    struct store_job job;
    struct webhook *webhook;
    int64_t now;
    unsigned count;
    uint8_t keys[TIDY_ROWS_MAX][8];
    uint64_t rows[QUARANTINE_KINDS], bytes[QUARANTINE_KINDS];
};

static int find_expired(void *ctx, struct span key, struct span value)
{
    struct tidy_job *t = ctx;
    enum quarantine_kind kind = row_kind(value);
    if ((int64_t)row_number(value, "\"at\":") + KEEP_MS > t->now || t->count == TIDY_ROWS_MAX)
        return 1; /* keys are serials: the oldest come first */
    if (key.n == sizeof(t->keys[0])) {
        memcpy(t->keys[t->count++], key.p, key.n);
        t->rows[kind]++;
        t->bytes[kind] += row_number(value, "\"bytes\":");
    }
    return 0;
}

static int run_tidy(struct store_txn *txn, struct store_job *job)
{
    struct tidy_job *t = (struct tidy_job *)job;
    for (unsigned i = 0; i < t->count; i++)
        store_put_row(txn, STORE_TABLE_QUARANTINE, span_of(t->keys[i], sizeof(t->keys[i])),
                      SPAN_EMPTY);
    return store_txn_error(txn);
}

static void tidied(struct store_job *job)
{
    struct tidy_job *t = (struct tidy_job *)job;
    for (unsigned k = 0; job->result == 0 && k < QUARANTINE_KINDS; k++) {
        atomic_fetch_sub(&t->webhook->quarantine[k].rows, t->rows[k]);
        atomic_fetch_sub(&t->webhook->quarantine[k].bytes, t->bytes[k]);
    }
    if (job->result == 0 && t->count == TIDY_ROWS_MAX)
        atomic_store(&t->webhook->quarantine_tidied_ms, 0); /* there may be more */
    free(t);
}

/* At most one job an hour; the chunks themselves go with their class (purge). */
static void tidy(struct webhook *w, int64_t now)
{
    struct store_read *read;
    int64_t last = atomic_load(&w->quarantine_tidied_ms);
    if (now - last < TIDY_EVERY_MS ||
        !atomic_compare_exchange_strong(&w->quarantine_tidied_ms, &last, now))
        return;
    struct tidy_job *t = calloc(1, sizeof(*t));
    if (!t || store_read_begin(w->deps.store, &read) != 0) {
        free(t);
        return;
    }
    t->webhook = w;
    t->now = now;
    int r = store_each_row(read, STORE_TABLE_QUARANTINE, SPAN_EMPTY, find_expired, t);
    store_read_end(read);
    if (r < 0 || t->count == 0) {
        free(t);
        return;
    }
    t->job = (struct store_job){.priority = STORE_PURGE, .run = run_tidy, .done = tidied};
    store_submit(w->deps.store, &t->job);
}

/* ---- putting ---- */

static bool is_full(struct webhook *w, enum quarantine_kind kind, size_t bytes)
{
    return atomic_load(&w->quarantine[kind].rows) >= QUARANTINE_ROWS_MAX ||
           atomic_load(&w->quarantine[kind].bytes) + bytes > QUARANTINE_BYTES_MAX;
}

int quarantine_put(struct intake_thread *t, const struct config_app *app, const char *reason,
                   struct span text, void (*finished)(void *ctx, int result), void *ctx)
{
    struct webhook *w = t->webhook;
    enum quarantine_kind kind =
        strcmp(reason, STRANGER) == 0 ? QUARANTINE_STRANGER : QUARANTINE_BODY;
    tidy(w, clock_wall_ms());
    if (is_full(w, kind, text.n)) {
        if (kind != QUARANTINE_STRANGER)
            return SLUIS_EFULL;
        count(w, C_STRANGERS_NOT_KEPT);
        finished(ctx, 0);
        return 0;
    }
    struct quarantine_job *q = calloc(1, sizeof(*q));
    if (!q)
        return SLUIS_ENOMEM;
    q->webhook = w;
    q->bytes = text.n;
    q->kind = kind;
    q->done = finished;
    q->ctx = ctx;
    int r = prepare(q, t, app, reason, text);
    if (r != 0) {
        job_free(q);
        return r;
    }
    atomic_fetch_add(&w->quarantine[kind].rows, 1);
    atomic_fetch_add(&w->quarantine[kind].bytes, text.n);
    q->job.priority = STORE_INTAKE;
    q->job.run = run;
    q->job.done = done;
    store_submit(w->deps.store, &q->job);
    return 0;
}

static int count_row(void *ctx, struct span key, struct span value)
{
    struct webhook *w = ctx;
    enum quarantine_kind kind = row_kind(value);
    (void)key;
    atomic_fetch_add(&w->quarantine[kind].rows, 1);
    atomic_fetch_add(&w->quarantine[kind].bytes, row_number(value, "\"bytes\":"));
    return 0;
}

int quarantine_count(struct webhook *w)
{
    struct store_read *read;
    int r = store_read_begin(w->deps.store, &read);
    if (r != 0)
        return r;
    r = store_each_row(read, STORE_TABLE_QUARANTINE, SPAN_EMPTY, count_row, w);
    store_read_end(read);
    return r;
}

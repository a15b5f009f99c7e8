/*
 * Quarantine: signed by Meta, not readable by us. Sealed in chunks under a class of its own, a row
 * per chunk, bounded in rows and bytes: full, it refuses (503, Meta keeps the message).
 */
#include "internal.h"

#include "sluis/base/clock.h"

#include <stdlib.h>

#define CHUNKS_MAX (WEBHOOK_BODY_MAX / QUARANTINE_CHUNK + 1)
#define ROW_REASON_MAX 64

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
        atomic_fetch_sub(&q->webhook->quarantine_rows, 1);
        atomic_fetch_sub(&q->webhook->quarantine_bytes, q->bytes);
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

int quarantine_put(struct intake_thread *t, const struct config_app *app, const char *reason,
                   struct span text, void (*finished)(void *ctx, int result), void *ctx)
{
    struct webhook *w = t->webhook;
    if (atomic_load(&w->quarantine_rows) >= QUARANTINE_ROWS_MAX ||
        atomic_load(&w->quarantine_bytes) + text.n > QUARANTINE_BYTES_MAX)
        return SLUIS_EFULL;
    struct quarantine_job *q = calloc(1, sizeof(*q));
    if (!q)
        return SLUIS_ENOMEM;
    q->webhook = w;
    q->bytes = text.n;
    q->done = finished;
    q->ctx = ctx;
    int r = prepare(q, t, app, reason, text);
    if (r != 0) {
        job_free(q);
        return r;
    }
    atomic_fetch_add(&w->quarantine_rows, 1);
    atomic_fetch_add(&w->quarantine_bytes, text.n);
    q->job.priority = STORE_INTAKE;
    q->job.run = run;
    q->job.done = done;
    store_submit(w->deps.store, &q->job);
    return 0;
}

static int count_row(void *ctx, struct span key, struct span value)
{
    struct webhook *w = ctx;
    static const char field[] = "\"bytes\":";
    const char *at = memmem(value.p, value.n, field, sizeof(field) - 1);
    uint64_t bytes = 0;
    (void)key;
    if (at) {
        struct span rest =
            span_of(at + sizeof(field) - 1, (size_t)(value.p + value.n - at) - (sizeof(field) - 1));
        if (span_u64(span_sub(rest, 0, span_find(rest, ',')), &bytes) != 0)
            bytes = QUARANTINE_CHUNK;
    }
    atomic_fetch_add(&w->quarantine_rows, 1);
    atomic_fetch_add(&w->quarantine_bytes, bytes);
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

/*
 * Outcomes to disk: cursor, pending rows and the access log in one job, in batches. Until a flush
 * has succeeded its outcomes stay; a crash before it delivers again (at least once).
 */
#include "internal.h"

#include "sluis/base/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define FLUSH_PENDING_MAX 256u /* pending rows written in one flush */
#define FLUSH_LEAVES_MAX 64u   /* single leaves; the rest of a flush waits for the next */

struct flush {
    struct store_job job;
    struct mail mail;
    struct route *route;
    uint16_t route_id;
    uint64_t cursor;
    struct outcome_row *outcomes;
    unsigned outcome_count;
    struct store_pending pending[FLUSH_PENDING_MAX];
    uint64_t pending_orders[FLUSH_PENDING_MAX];
    unsigned pending_count;
    char channel[CONFIG_NAME_MAX + 1], name[CONFIG_NAME_MAX + 1];
    char policy_hash[POLICY_HASH_HEX];
    char activity[256];
    int64_t now;
};

static const char *outcome_word(enum outcome outcome)
{
    static const char *const words[] = {"none", "delivered", "parked", "expired", "dropped"};
    return words[outcome];
}

static struct audit_event event_of(const struct flush *f, const struct outcome_row *o)
{
    return (struct audit_event){
        .at_ms = f->now,
        .action = AUDIT_DELIVER,
        .actor = "gateway",
        .channel = f->channel,
        .route = f->name,
        .activity = f->activity,
        .object = o->serial,
        .policy_hash = f->policy_hash,
        .outcome = outcome_word(o->outcome),
        .code = o->status,
    };
}

/* Delivered ones in one leaf (first, last, count); every other outcome in one of its own. */
static void put_leaves(struct store_txn *txn, const struct flush *f)
{
    struct audit_event batch = {0};
    for (unsigned i = 0; i < f->outcome_count; i++) {
        const struct outcome_row *o = &f->outcomes[i];
        if (o->outcome != OUTCOME_DELIVERED) {
            struct audit_event one = event_of(f, o);
            one.subject = o->subject;
            audit_put(txn, &one);
            continue;
        }
        if (batch.count == 0)
            batch = event_of(f, o);
        batch.count++;
        if (o->serial < batch.object)
            batch.object = o->serial;
        if (o->serial > batch.object_last)
            batch.object_last = o->serial;
    }
    if (batch.count)
        audit_put(txn, &batch);
}

/* The row that an outcome leaves behind; 0: none. What was dropped past the cursor is remembered:
 * an operator's word holds after a crash. */
static uint8_t row_state_of(const struct flush *f, const struct outcome_row *o)
{
    switch (o->outcome) {
    case OUTCOME_PARKED:
        return STORE_PENDING_PARKED;
    case OUTCOME_EXPIRED:
        return STORE_PENDING_EXPIRED;
    case OUTCOME_DROPPED:
        return o->order > f->cursor ? STORE_PENDING_DROPPED : 0;
    default:
        return 0;
    }
}

/* What we told the route of our own: how it ended, for the certificate. */
static void put_told(struct store_txn *txn, const struct flush *f)
{
    static const uint8_t outcomes[] = {[OUTCOME_DELIVERED] = RETENTION_TOLD_DELIVERED,
                                       [OUTCOME_PARKED] = RETENTION_TOLD_PARKED,
                                       [OUTCOME_EXPIRED] = RETENTION_TOLD_FAILED,
                                       [OUTCOME_DROPPED] = RETENTION_TOLD_FAILED};
    for (unsigned i = 0; i < f->outcome_count; i++) {
        const struct outcome_row *o = &f->outcomes[i];
        const struct retention_told told = {.event = o->event,
                                            .serial = o->serial,
                                            .route = f->route_id,
                                            .outcome = outcomes[o->outcome],
                                            .status = o->status,
                                            .settled_ms = f->now};
        if (o->told)
            retention_told_settle(txn, &told);
    }
}

static int run(struct store_txn *txn, struct store_job *job)
{
    struct flush *f = (struct flush *)job;
    for (unsigned i = 0; i < f->pending_count; i++)
        store_put_pending(txn, &f->pending[i]);
    for (unsigned i = 0; i < f->outcome_count; i++) {
        const struct outcome_row *o = &f->outcomes[i];
        uint8_t row_state = row_state_of(f, o);
        if (row_state) {
            const struct store_pending row = {
                .route = f->route_id,
                .serial = o->serial,
                .state = row_state,
                .attempts = o->attempts,
                .last_status = o->status,
                .next_ms = f->now,
            };
            store_put_pending(txn, &row);
        } else if (o->had_pending) {
            store_delete_pending(txn, f->route_id, o->serial);
        }
    }
    put_told(txn, f);
    store_put_cursor(txn, f->route_id, f->cursor);
    put_leaves(txn, f);
    return store_txn_error(txn);
}

/* The rows stand now. Both lists are in the queue's order; what was settled meanwhile has left the
 * queue or stands there settled, and its outcome must see to the row. */
static void mark_pended(struct route *r, const struct flush *f)
{
    struct entry *e = r->queue_first;
    for (unsigned i = 0; i < f->pending_count; i++) {
        while (e && e->item.order < f->pending_orders[i])
            e = e->queue_next;
        if (e && e->item.order == f->pending_orders[i] && e->state != ENTRY_SETTLED) {
            e->pended = true;
            r->pended_count++;
            continue;
        }
        for (unsigned o = 0; o < r->outcome_count; o++)
            if (r->outcomes[o].serial == f->pending[i].serial)
                r->outcomes[o].had_pending = true;
    }
}

static void on_written(struct mail *mail)
{
    struct flush *f = (struct flush *)((char *)mail - offsetof(struct flush, mail));
    struct route *r = f->route;
    r->flushing = false;
    if (f->job.result != 0) {
        deliver_count(r->deliver, D_FLUSH_FAILED, 1);
        r->flush_after_ms = clock_mono_ms() + FLUSH_AGAIN_MS;
        LOG(LOG_ERROR, "deliver", "flush_failed", log_u64("route", r->id),
            log_error(f->job.result));
    } else {
        memmove(r->outcomes, r->outcomes + f->outcome_count,
                (r->outcome_count - f->outcome_count) * sizeof(*r->outcomes));
        r->outcome_count -= f->outcome_count;
        r->cursor_written = f->cursor;
        mark_pended(r, f);
    }
    free(f->outcomes);
    free(f);
    route_advance(r);
}

static void done(struct store_job *job)
{
    struct flush *f = (struct flush *)job;
    loop_post(f->route->loop, &f->mail, on_written);
}

/* Unsettled heads that hold up the cursor, oldest first: many followers wait for them, or the
 * gateway stops and followers that are settled already would be delivered again. */
static void collect_pending(struct flush *f, struct route *r)
{
    int64_t mono = clock_mono_ms();
    bool held = r->queue_count > QUEUE_HELD || r->stopping;
    for (struct entry *e = r->queue_first;
         e && held && f->pending_count < FLUSH_PENDING_MAX && r->pended_count < PENDED_MAX;
         e = e->queue_next) {
        if (e->state == ENTRY_SETTLED || e->pended)
            continue;
        f->pending_orders[f->pending_count] = e->item.order;
        f->pending[f->pending_count++] = (struct store_pending){
            .route = r->id,
            .serial = e->item.serial,
            .state = STORE_PENDING_WAITING,
            .after_gap = e->after_gap,
            .attempts = e->attempts,
            .last_status = e->last_status,
            .next_ms = e->state == ENTRY_BACKOFF ? f->now + (e->next_ms - mono) : f->now,
        };
    }
}

bool flush_wanted(const struct route *r)
{
    if (r->outcome_count || r->cursor != r->cursor_written)
        return true;
    bool unsettled = false;
    for (const struct entry *e = r->queue_first; e; e = e->queue_next) {
        if (e->state == ENTRY_SETTLED && unsettled)
            return true;
        unsettled |= e->state != ENTRY_SETTLED && !e->pended;
    }
    return false;
}

void flush_outcomes(struct route *r)
{
    if (r->flushing || !r->channel || !r->facts || clock_mono_ms() < r->flush_after_ms)
        return;
    struct flush *f = calloc(1, sizeof(*f));
    if (!f)
        return; /* the next tick tries again */
    f->now = clock_wall_ms();
    f->route = r;
    f->route_id = r->id;
    f->cursor = r->cursor;
    /* Single leaves are bounded per flush; delivered ones share one. */
    unsigned singles = 0, n = 0;
    while (n < r->outcome_count && singles < FLUSH_LEAVES_MAX)
        singles += r->outcomes[n++].outcome != OUTCOME_DELIVERED;
    f->outcomes = malloc((n ? n : 1) * sizeof(*f->outcomes));
    if (!f->outcomes) {
        free(f);
        return;
    }
    memcpy(f->outcomes, r->outcomes, n * sizeof(*f->outcomes));
    f->outcome_count = n;
    for (unsigned i = 0; i < n; i++) /* single leaves name the subject by its pseudonym */
        if (f->outcomes[i].outcome != OUTCOME_DELIVERED &&
            keyring_pseudonym(r->keys, r->outcomes[i].subject, &f->outcomes[i].subject) != 0)
            f->outcomes[i].subject = 0;
    if (n < r->outcome_count && f->cursor > r->cursor_written) {
        /* the cursor must not pass an outcome whose leaf and row are not in this flush */
        for (unsigned i = n; i < r->outcome_count; i++)
            if (r->outcomes[i].order <= f->cursor)
                f->cursor = r->cursor_written;
    }
    collect_pending(f, r);
    snprintf(f->channel, sizeof(f->channel), "%s", r->channel->name);
    snprintf(f->name, sizeof(f->name), "%s", r->facts->name);
    snprintf(f->policy_hash, sizeof(f->policy_hash), "%s", policy_hash(r->channel->policy));
    snprintf(f->activity, sizeof(f->activity), "%s", policy_activity(r->channel->policy));
    f->job.priority = STORE_NORMAL;
    f->job.run = run;
    f->job.done = done;
    r->flushing = true;
    store_submit(r->deliver->deps.store, &f->job);
}

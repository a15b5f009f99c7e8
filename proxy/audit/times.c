/*
 * When the leaves of the log happened, block by block: the earliest and the latest time of each
 * AUDIT_PAGE_LEAVES of them. Leaves do not stand in order of time (those that were owed are written
 * hours later, a clock is set back), so a period is looked for in every block that may hold some of
 * it, and in no other. The log's thread keeps it up; what it has not come to may hold anything. In
 * the store it is a help and no more: an export goes leaf by leaf.
 *
 * Row: STORE_TABLE_SETTING, "audit-times" and its number (4 bytes), ROW_BLOCKS blocks; the last
 * blocks, that do not fill a row, are looked at again at the next start.
 */
#include "log.h"

#include <stdlib.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/log.h"

#define PREFIX "audit-times"
#define KEY_BYTES (sizeof(PREFIX) - 1 + 4)
#define ROW_BLOCKS 8u /* 65,536 leaves */
#define TURN_MS 5000  /* a log of before there was this: checkpoints must not wait for long */
#define EARLIEST 0x00 /* filled with it: before any time, after any */
#define LATEST '~'

_Static_assert(sizeof(struct block_times) == 2 * LOG_TIME_BYTES, "stored as it is");
_Static_assert(ROW_BLOCKS * sizeof(struct block_times) <= STORE_VALUE_MAX, "a row is one value");

static void row_key(uint32_t number, uint8_t key[KEY_BYTES])
{
    memcpy(key, PREFIX, sizeof(PREFIX) - 1);
    be32_put(key + sizeof(PREFIX) - 1, number);
}

static int add(struct log_times *t, const struct block_times *blocks, size_t n)
{
    int r = 0;
    pthread_mutex_lock(&t->lock);
    if (t->count + n > t->room) {
        size_t room = 2 * (t->count + n);
        struct block_times *wider = realloc(t->block, room * sizeof(*wider));
        t->block = wider ? wider : t->block;
        t->room = wider ? room : t->room;
        r = wider ? 0 : SLUIS_ENOMEM;
    }
    if (r == 0) {
        memcpy(t->block + t->count, blocks, n * sizeof(*blocks));
        t->count += n;
    }
    pthread_mutex_unlock(&t->lock);
    return r;
}

/* ---- the store ---- */

static int take_row(void *ctx, struct span key, struct span value)
{
    struct log_times *t = ctx;
    struct block_times blocks[ROW_BLOCKS];
    uint8_t next[KEY_BYTES];
    row_key((uint32_t)(t->count / ROW_BLOCKS), next);
    if (!span_eq(key, span_of(next, sizeof(next))) || value.n != sizeof(blocks))
        return 1; /* the rest is looked at again */
    memcpy(blocks, value.p, sizeof(blocks));
    return add(t, blocks, ROW_BLOCKS);
}

void times_load(struct audit_log *log)
{
    struct store_read *read;
    uint8_t from[KEY_BYTES];
    row_key(0, from);
    int r = store_read_begin(log->store, &read);
    if (r == 0) {
        r = store_each_row(read, STORE_TABLE_SETTING, span_of(from, sizeof(from)), take_row,
                           &log->times);
        store_read_end(read);
    }
    if (r < 0)
        LOG(LOG_WARN, "audit", "times_not_read", log_error(r));
}

struct save {
    struct store_job job;
    uint8_t key[KEY_BYTES];
    struct block_times blocks[ROW_BLOCKS];
};

static int put_row(struct store_txn *txn, struct store_job *job)
{
    const struct save *s = (const struct save *)job;
    store_put_row(txn, STORE_TABLE_SETTING, span_of(s->key, sizeof(s->key)),
                  span_of(s->blocks, sizeof(s->blocks)));
    return store_txn_error(txn);
}

static int save_row(struct audit_log *log)
{
    struct save s = {.job = {.priority = STORE_NORMAL, .run = put_row}};
    const struct log_times *t = &log->times; /* only this thread writes them */
    row_key((uint32_t)(t->count / ROW_BLOCKS) - 1, s.key);
    memcpy(s.blocks, t->block + t->count - ROW_BLOCKS, sizeof(s.blocks));
    return store_submit_wait(log->store, &s.job);
}

/* ---- keeping up ---- */

struct look {
    uint64_t end;
    struct block_times times;
};

static int take_leaf(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    struct look *l = ctx;
    struct span time = audit_member(leaf, "\"time\":");
    (void)hash;
    if (index >= l->end)
        return 1;
    if (time.n != LOG_TIME_BYTES)
        return SLUIS_EINVAL; /* not ours: its block is always looked at */
    if (memcmp(time.p, l->times.first, LOG_TIME_BYTES) < 0)
        memcpy(l->times.first, time.p, LOG_TIME_BYTES);
    if (memcmp(time.p, l->times.last, LOG_TIME_BYTES) > 0)
        memcpy(l->times.last, time.p, LOG_TIME_BYTES);
    return 0;
}

/* A block without any leaf left is in no period; one that cannot be read is in all. */
static int look_at(struct store *store, uint64_t block, struct block_times *out)
{
    struct look l = {.end = (block + 1) * AUDIT_PAGE_LEAVES};
    struct store_read *read;
    memset(l.times.first, LATEST, LOG_TIME_BYTES);
    memset(l.times.last, EARLIEST, LOG_TIME_BYTES);
    int r = store_read_begin(store, &read);
    if (r != 0)
        return r;
    r = store_each_leaf(read, block * AUDIT_PAGE_LEAVES, take_leaf, &l);
    store_read_end(read);
    if (r < 0) {
        memset(l.times.first, EARLIEST, LOG_TIME_BYTES);
        memset(l.times.last, LATEST, LOG_TIME_BYTES);
    }
    *out = l.times;
    return 0;
}

void times_follow(struct audit_log *log, bool (*stop)(void *ctx))
{
    struct store_status status;
    struct block_times times;
    int64_t until = clock_mono_ms() + TURN_MS;
    int r = 0;
    store_status(log->store, &status);
    while (r == 0 && (log->times.count + 1) * (uint64_t)AUDIT_PAGE_LEAVES <= status.log_size &&
           clock_mono_ms() < until && !stop(log)) {
        r = look_at(log->store, log->times.count, &times);
        if (r == 0)
            r = add(&log->times, &times, 1);
        if (r == 0 && log->times.count % ROW_BLOCKS == 0)
            r = save_row(log);
    }
    if (r != 0)
        LOG(LOG_WARN, "audit", "times_not_kept", log_error(r));
}

/* ---- looking ---- */

/* As audit_filter_match compares: as text, what is given may be the beginning of a time. */
static int compare(const char time[LOG_TIME_BYTES], struct span given)
{
    size_t n = given.n < LOG_TIME_BYTES ? given.n : LOG_TIME_BYTES;
    int r = memcmp(time, given.p, n);
    return r ? r : (LOG_TIME_BYTES > given.n) - (LOG_TIME_BYTES < given.n);
}

static bool may_hold(const struct log_times *t, uint64_t block, const struct audit_filter *f)
{
    if (block >= t->count)
        return true;
    const struct block_times *b = &t->block[block];
    return !(f->from.n && compare(b->last, f->from) < 0) &&
           !(f->to.n && compare(b->first, f->to) >= 0);
}

uint64_t audit_log_ahead(struct audit_log *log, const struct audit_filter *filter, uint64_t from)
{
    pthread_mutex_lock(&log->times.lock);
    while (!may_hold(&log->times, from / AUDIT_PAGE_LEAVES, filter))
        from = (from / AUDIT_PAGE_LEAVES + 1) * AUDIT_PAGE_LEAVES;
    pthread_mutex_unlock(&log->times.lock);
    return from;
}

uint64_t audit_log_behind(struct audit_log *log, const struct audit_filter *filter, uint64_t before)
{
    pthread_mutex_lock(&log->times.lock);
    while (before && !may_hold(&log->times, (before - 1) / AUDIT_PAGE_LEAVES, filter))
        before = (before - 1) / AUDIT_PAGE_LEAVES * AUDIT_PAGE_LEAVES;
    pthread_mutex_unlock(&log->times.lock);
    return before;
}

/* Rows that nobody can read any more go, a slice per commit. */
#include "room.h"

#include <time.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"

/* Between two slices the writer is free for intake, as long as the slice took and at least so long.
 */
#define PAUSE_LEAST_US 3000
#define PAUSE_MOST_US 100000
/* Dedupe hashes move from memory to their table with the commits that follow: not in one go. */
#define DEDUPE_SLICES_MAX 1000

struct sweep_job {
    struct store_job job;
    uint16_t cls; /* 0: dedupe */
    uint32_t before;
    struct store_sweep out;
};

static int run_sweep(struct store_txn *txn, struct store_job *job)
{
    struct sweep_job *s = (struct sweep_job *)(void *)job;
    if (s->cls)
        store_sweep_class(txn, s->cls, s->before, &s->out);
    else
        store_sweep_dedupe(txn, s->before, &s->out);
    return store_txn_error(txn);
}

void sweep_pause(int64_t began_us)
{
    int64_t took = clock_mono_us() - began_us;
    took = took < PAUSE_LEAST_US ? PAUSE_LEAST_US : took > PAUSE_MOST_US ? PAUSE_MOST_US : took;
    const struct timespec pause = {.tv_nsec = took * 1000};
    nanosleep(&pause, NULL);
}

static int slices(struct purge *p, uint16_t cls, uint32_t before, unsigned most)
{
    struct sweep_job s = {
        .job = {.priority = STORE_PURGE, .run = run_sweep}, .cls = cls, .before = before};
    int r;
    do {
        int64_t began = clock_mono_us();
        r = store_submit_wait(p->deps.store, &s.job);
        if (r == 0)
            atomic_fetch_add(&p->swept_rows, s.out.rows);
        if (r == 0 && s.out.more)
            sweep_pause(began);
    } while (r == 0 && s.out.more && --most > 0 && !purge_stopping(p));
    return r;
}

/* Only what stands in a destruction record: rows are counted for it. */
int sweep_classes(struct purge *p)
{
    int r = 0;
    for (uint16_t cls = 1; r == 0 && cls <= STORE_CLASSES_MAX && !purge_stopping(p); cls++) {
        struct class_state state;
        char name[256];
        if (store_id_name(p->deps.store, STORE_NAME_CLASS, cls, name) != 0)
            break;
        pthread_mutex_lock(&p->lock);
        r = class_state_read(p, cls, &state);
        pthread_mutex_unlock(&p->lock);
        /* what routes want to be told of and were not told yet stays */
        if (p->told_through && (p->told[cls] == NO_BUCKET || p->told[cls] < state.recorded))
            state.recorded = p->told[cls];
        if (r == 0 && state.recorded != NO_BUCKET)
            r = slices(p, cls, state.recorded + 1, UINT32_MAX);
    }
    return r;
}

int sweep_dedupe(struct purge *p, int64_t now_ms)
{
    int64_t day = now_ms / DAY_MS - PURGE_DEDUPE_DAYS;
    return day > 0 ? slices(p, 0, (uint32_t)day, DEDUPE_SLICES_MAX) : 0;
}

/* ---- where what stayed of messages is ---- */

#define MOVED_SLICE 256
#define MOVED_LOOKED 4096 /* rows in one read transaction */
struct moved_job {
    struct store_job job;
    struct purge *p;
    uint8_t prefix; /* ROW_MOVED, or RETENTION_WITHDRAWN_PREFIX */
    struct store_read *read;
    uint32_t recorded[STORE_CLASSES_MAX + 1];
    uint64_t gone[MOVED_SLICE];
    unsigned n, looked;
    bool more;
    uint8_t next[RETENTION_MOVED_KEY];
};

int purge_moved(struct store_read *read, uint64_t serial, uint64_t subject, struct record_id *out)
{
    struct retention_moved moved;
    int r = retention_moved(read, serial, &moved);
    if (r == 0 && !moved.cls_m)
        r = SLUIS_ENOENT;
    if (r == 0)
        *out = (struct record_id){moved.cls_m, moved.bucket_m, subject, moved.serial, .part = 'M'};
    return r;
}

static bool is_past(const struct moved_job *m, uint16_t cls, uint32_t bucket)
{
    return cls == 0 || (cls <= STORE_CLASSES_MAX && m->recorded[cls] != NO_BUCKET &&
                        bucket <= m->recorded[cls]);
}

/* Nothing is left that the row could hide: not where the message was, nor where what stayed is. */
static int take_withdrawn(struct moved_job *m, uint64_t serial)
{
    struct retention_moved moved;
    struct store_item item;
    int r = store_get_item(m->read, serial, &item);
    if (r == 0 && purge_held(m->p, item.subject))
        return 0;
    int found = r == 0 ? retention_moved(m->read, serial, &moved) : SLUIS_ENOENT;
    if (found == 0) {
        item.cls_o = moved.cls_o;
        item.bucket_o = moved.bucket_o;
        item.cls_m = moved.cls_m;
        item.bucket_m = moved.bucket_m;
    }
    if (r == SLUIS_ENOENT ||
        (r == 0 && is_past(m, item.cls_o, item.bucket_o) && is_past(m, item.cls_m, item.bucket_m)))
        m->gone[m->n++] = serial;
    r = r == SLUIS_ENOENT ? 0 : r;
    return r ? r : found == SLUIS_ENOENT ? 0 : found;
}

/* The row goes when nothing of what stayed is left, and not before the journal's item counts as
 * past too: without the row it would stand for a message at its old place. */
static int take_moved(void *ctx, struct span key, struct span value)
{
    struct moved_job *m = ctx;
    struct retention_moved moved;
    struct store_item item;
    if (key.n != RETENTION_MOVED_KEY || (uint8_t)key.p[0] != m->prefix || m->n == MOVED_SLICE)
        return 1;
    memcpy(m->next, key.p, sizeof(m->next));
    if (m->looked++ == MOVED_LOOKED) {
        m->more = true;
        return 1;
    }
    uint64_t serial = be64_get((const uint8_t *)key.p + 1);
    if (m->prefix == RETENTION_WITHDRAWN_PREFIX)
        return take_withdrawn(m, serial);
    int r = retention_moved_read(value, &moved);
    if (r != 0)
        return r;
    if (!is_past(m, moved.cls_o, moved.bucket_o) || !is_past(m, moved.cls_m, moved.bucket_m))
        return 0;
    r = store_get_item(m->read, serial, &item);
    if (r == 0 && purge_held(m->p, item.subject))
        return 0; /* the hold's copy is found through it */
    if (r == SLUIS_ENOENT ||
        (r == 0 && is_past(m, item.cls_o, item.bucket_o) && is_past(m, item.cls_m, item.bucket_m)))
        m->gone[m->n++] = serial;
    return r == SLUIS_ENOENT ? 0 : r;
}

static int run_moved_gone(struct store_txn *txn, struct store_job *job)
{
    struct moved_job *m = (struct moved_job *)(void *)job;
    for (unsigned i = 0; i < m->n; i++) {
        uint8_t key[RETENTION_MOVED_KEY];
        retention_moved_key(m->gone[i], key);
        key[0] = m->prefix;
        store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), SPAN_EMPTY);
    }
    return store_txn_error(txn);
}

static int sweep_prefix(struct purge *p, uint8_t prefix)
{
    struct moved_job m = {
        .job = {.priority = STORE_PURGE, .run = run_moved_gone}, .p = p, .prefix = prefix};
    int r = 0;
    pthread_mutex_lock(&p->lock);
    for (uint16_t cls = 0; cls <= STORE_CLASSES_MAX; cls++) {
        struct class_state state = {NO_BUCKET, NO_BUCKET};
        if (cls && r == 0)
            r = class_state_read(p, cls, &state);
        m.recorded[cls] = state.recorded;
    }
    pthread_mutex_unlock(&p->lock);
    retention_moved_key(0, m.next);
    m.next[0] = prefix;
    do {
        uint8_t from[RETENTION_MOVED_KEY];
        m.n = m.looked = 0;
        m.more = false;
        memcpy(from, m.next, sizeof(from));
        if (r == 0)
            r = store_read_begin(p->deps.store, &m.read);
        if (r != 0)
            return r;
        r = store_each_row(m.read, STORE_TABLE_SUBJECT, span_of(from, sizeof(from)), take_moved,
                           &m);
        store_read_end(m.read);
        if (r == 0 && m.n)
            r = store_submit_wait(p->deps.store, &m.job);
    } while (r == 0 && (m.more || m.n == MOVED_SLICE) && !purge_stopping(p));
    return r;
}

int sweep_moved(struct purge *p)
{
    int r = sweep_prefix(p, ROW_MOVED);
    return r ? r : sweep_prefix(p, RETENTION_WITHDRAWN_PREFIX);
}

/* What hangs under keys that are gone: a pass over all of them after each change of the keyring. */
int sweep_media(struct purge *p)
{
    struct keyring_status status;
    bool more = true;
    int r = 0;
    keyring_status(p->deps.keyring, &status);
    if (!p->deps.sweep_media || p->media_generation == status.generation)
        return 0;
    while (r == 0 && more && !purge_stopping(p)) {
        int64_t began = clock_mono_us();
        more = false;
        r = p->deps.sweep_media(p->deps.ctx, &more);
        if (more)
            sweep_pause(began);
    }
    if (r == 0 && !more)
        p->media_generation = status.generation;
    return r;
}

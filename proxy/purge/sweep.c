/* Rows that nobody can read any more go, a slice per commit. */
#include "room.h"

#include <time.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"

/* Between two slices: the writer is free for intake at least as long as a slice may take. */
#define PAUSE_MS 3
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

static int slices(struct purge *p, uint16_t cls, uint32_t before, unsigned most)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
    struct sweep_job s = {
        .job = {.priority = STORE_PURGE, .run = run_sweep}, .cls = cls, .before = before};
    int r;
    do {
        r = store_submit_wait(p->deps.store, &s.job);
        if (r == 0)
            atomic_fetch_add(&p->swept_rows, s.out.rows);
        if (r == 0 && s.out.more)
            nanosleep(&pause, NULL);
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
struct moved_job {
    struct store_job job;
    struct purge *p;
    uint32_t recorded[STORE_CLASSES_MAX + 1];
    uint64_t gone[MOVED_SLICE];
    unsigned n;
};

static void moved_key(uint64_t serial, uint8_t key[ROW_SERIAL_KEY])
{
    key[0] = ROW_MOVED;
    be64_put(key + 1, serial);
}

int purge_moved(struct store_read *read, uint64_t serial, uint64_t subject, struct record_id *out)
{
    uint8_t key[ROW_SERIAL_KEY];
    struct arena arena;
    struct span value;
    moved_key(serial, key);
    arena_init(&arena, 4096);
    int r = store_get_row(read, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), &arena, &value);
    if (r == 0 && value.n != MOVED_VALUE_BYTES)
        r = SLUIS_EIO;
    if (r == 0) {
        const uint8_t *v = (const uint8_t *)value.p;
        *out = (struct record_id){.cls = be16_get(v + 8),
                                  .bucket = be32_get(v + 10),
                                  .subject = subject,
                                  .serial = be64_get(v),
                                  .part = 'M'};
    }
    arena_free(&arena);
    return r;
}

static int take_moved(void *ctx, struct span key, struct span value)
{
    struct moved_job *m = ctx;
    if (key.n != ROW_SERIAL_KEY || key.p[0] != ROW_MOVED || m->n == MOVED_SLICE)
        return 1;
    if (value.n != MOVED_VALUE_BYTES)
        return SLUIS_EIO;
    uint16_t cls = be16_get((const uint8_t *)value.p + 8);
    uint32_t bucket = be32_get((const uint8_t *)value.p + 10);
    if (cls <= STORE_CLASSES_MAX && m->recorded[cls] != NO_BUCKET && bucket <= m->recorded[cls])
        m->gone[m->n++] = be64_get((const uint8_t *)key.p + 1);
    return 0;
}

static int run_moved_gone(struct store_txn *txn, struct store_job *job)
{
    struct moved_job *m = (struct moved_job *)(void *)job;
    for (unsigned i = 0; i < m->n; i++) {
        uint8_t key[ROW_SERIAL_KEY];
        moved_key(m->gone[i], key);
        store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), SPAN_EMPTY);
    }
    return store_txn_error(txn);
}

int sweep_moved(struct purge *p)
{
    struct moved_job m = {.job = {.priority = STORE_PURGE, .run = run_moved_gone}, .p = p};
    uint8_t from[ROW_SERIAL_KEY];
    int r = 0;
    pthread_mutex_lock(&p->lock);
    for (uint16_t cls = 0; cls <= STORE_CLASSES_MAX; cls++) {
        struct class_state state = {NO_BUCKET, NO_BUCKET};
        if (cls && r == 0)
            r = class_state_read(p, cls, &state);
        m.recorded[cls] = state.recorded;
    }
    pthread_mutex_unlock(&p->lock);
    moved_key(0, from);
    do {
        struct store_read *read;
        m.n = 0;
        if (r == 0)
            r = store_read_begin(p->deps.store, &read);
        if (r != 0)
            return r;
        r = store_each_row(read, STORE_TABLE_SUBJECT, span_of(from, sizeof(from)), take_moved, &m);
        store_read_end(read);
        if (r == 0 && m.n)
            r = store_submit_wait(p->deps.store, &m.job);
    } while (r == 0 && m.n == MOVED_SLICE && !purge_stopping(p));
    return r;
}

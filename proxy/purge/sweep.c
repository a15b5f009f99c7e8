/* Rows that nobody can read any more go, a slice per commit. */
#include "room.h"

#include <time.h>

#include "sluis/base/clock.h"
#include "sluis/base/json.h"
#include "sluis/base/log.h"

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

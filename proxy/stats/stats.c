/* The thread that follows the journal and the log, and the answers. */
#include "room.h"

#include "sluis/audit.h"
#include "sluis/base/clock.h"
#include "sluis/base/json.h"
#include "sluis/base/log.h"

#include <stdlib.h>

#define FOLLOW_ITEMS 2048u /* in one read transaction */
#define FOLLOW_EVERY_S 5
#define FLUSH_EVERY_MS 30000
#define LOOK_EVERY_MS 30000
#define SWEEP_EVERY_MS (6 * HOUR_MS)

/* ---- following ---- */

struct follow {
    struct stats *s;
    unsigned n;
};

static int take_item(void *ctx, const struct store_item *item)
{
    struct follow *f = ctx;
    struct stats *s = f->s;
    if (f->n++ == FOLLOW_ITEMS)
        return 1;
    s->order = item->order + 1;
    s->quiet = item->order < s->quiet_to;
    if (item->subject == 0)
        return 0;
    static const int what[] = {[STORE_KIND_MESSAGE] = N_IN,
                               [STORE_KIND_STATUS] = N_STATUS,
                               [STORE_KIND_ECHO] = N_OUT,
                               [STORE_KIND_ACCOUNT] = -1,
                               [STORE_KIND_SENT] = N_OUT};
    int count = item->kind <= STORE_KIND_SENT ? what[item->kind] : -1;
    if (count < 0)
        return 0;
    cell_add(s, item->taken_ms, item->channel, 0, (enum count)count, 1);
    if (item->flags & STORE_ITEM_HAS_MEDIA)
        cell_add(s, item->taken_ms, item->channel, 0, N_MEDIA, 1);
    if (item->flags & STORE_ITEM_UNJUDGED)
        cell_add(s, item->taken_ms, item->channel, 0, N_UNJUDGED, 1);
    waits_note(s, item);
    return 0;
}

static int take_leaf(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    struct follow *f = ctx;
    (void)hash;
    if (f->n++ == FOLLOW_ITEMS)
        return 1;
    f->s->leaf = index + 1;
    leaf_note(f->s, leaf);
    return 0;
}

/* Some of both; *more: there is. Under the lock. */
static int follow(struct stats *s, bool *more)
{
    struct follow items = {.s = s}, leaves = {.s = s};
    struct store_read *read;
    int r = store_read_begin(s->deps.store, &read);
    if (r != 0)
        return r;
    r = store_each_readable(read, s->order ? s->order : 1, take_item, &items, NULL);
    s->quiet = false;
    if (r >= 0)
        r = store_each_leaf(read, s->leaf, take_leaf, &leaves);
    store_read_end(read);
    *more = items.n > FOLLOW_ITEMS || leaves.n > FOLLOW_ITEMS;
    return r < 0 ? r : 0;
}

/* Rows of more than five years ago. */
struct sweep {
    struct store_job job;
    uint8_t keys[256][STORE_KEY_MAX];
    size_t lengths[256];
    unsigned n;
    uint32_t before;
};

static int take_old(void *ctx, struct span key, struct span value)
{
    struct sweep *w = ctx;
    (void)value;
    if (key.n < 5 || key.p[0] != 'h' || w->n == 256)
        return 1;
    const uint8_t *k = (const uint8_t *)key.p + 1;
    uint32_t hour = (uint32_t)k[0] << 24 | (uint32_t)k[1] << 16 | (uint32_t)k[2] << 8 | k[3];
    if (hour >= w->before)
        return 1;
    memcpy(w->keys[w->n], key.p, key.n);
    w->lengths[w->n++] = key.n;
    return 0;
}

static int run_sweep(struct store_txn *txn, struct store_job *job)
{
    struct sweep *w = (struct sweep *)job;
    for (unsigned i = 0; i < w->n; i++)
        store_put_row(txn, STORE_TABLE_STATS, span_of(w->keys[i], w->lengths[i]), SPAN_EMPTY);
    return store_txn_error(txn);
}

static void sweep(struct stats *s, int64_t now_ms)
{
    struct sweep *w = calloc(1, sizeof(*w));
    struct store_read *read;
    s->swept_ms = clock_mono_ms();
    if (!w)
        return;
    w->job.priority = STORE_PURGE;
    w->job.run = run_sweep;
    w->before = now_ms / HOUR_MS > STATS_KEEP_H ? (uint32_t)(now_ms / HOUR_MS - STATS_KEEP_H) : 0;
    if (store_read_begin(s->deps.store, &read) == 0) {
        int r = store_each_row(read, STORE_TABLE_STATS, SPAN("h"), take_old, w);
        store_read_end(read);
        if (r >= 0 && w->n)
            r = store_submit_wait(s->deps.store, &w->job);
        if (r < 0)
            LOG(LOG_WARN, "stats", "not_swept", log_error(r));
    }
    free(w);
}

/* All there is, in slices; the lock is let go between them. */
static int catch_up(struct stats *s, bool flush)
{
    bool more = true;
    int r = 0;
    while (r == 0 && more) {
        pthread_mutex_lock(&s->lock);
        s->config = config_acquire(s->deps.config);
        r = follow(s, &more);
        if (r == 0 && !more && clock_mono_ms() - s->looked_ms >= LOOK_EVERY_MS) {
            s->looked_ms = clock_mono_ms();
            waits_look(s, clock_wall_ms());
        }
        if (r == 0 && (flush || s->cell_count > 128))
            r = cells_flush(s);
        config_unref(s->config);
        s->config = NULL;
        more = more && !s->stopping;
        pthread_mutex_unlock(&s->lock);
    }
    return r;
}

int stats_catch_up(struct stats *s)
{
    return catch_up(s, true);
}

static void *run(void *ctx)
{
    struct stats *s = ctx;
    int64_t flushed_ms = clock_mono_ms();
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += FOLLOW_EVERY_S;
        pthread_mutex_lock(&s->lock);
        if (!s->stopping)
            pthread_cond_timedwait(&s->wake, &s->lock, &until);
        bool stopping = s->stopping;
        pthread_mutex_unlock(&s->lock);
        if (stopping)
            return NULL;
        bool flush = clock_mono_ms() - flushed_ms >= FLUSH_EVERY_MS;
        int r = catch_up(s, flush);
        if (r == 0 && flush)
            flushed_ms = clock_mono_ms();
        if (r != 0)
            LOG(LOG_WARN, "stats", "not_counted", log_error(r)); /* later: nothing is lost */
        if (clock_mono_ms() - s->swept_ms >= SWEEP_EVERY_MS)
            sweep(s, clock_wall_ms());
    }
}

/* ---- opening ---- */

struct back {
    int64_t since_ms;
    uint64_t order;
    bool found;
};

static int first_since(void *ctx, const struct store_item *item)
{
    struct back *b = ctx;
    b->found = true;
    b->order = item->order;
    b->since_ms = item->taken_ms;
    return 1;
}

/* Open conversations are learnt again from the day before: by halving, since times rise. */
static int learn_from(struct stats *s, uint64_t *order)
{
    struct store_read *read;
    uint64_t low = 1, high = s->order;
    int64_t since = clock_wall_ms() - SILENCE_MS - HOUR_MS;
    int r = store_read_begin(s->deps.store, &read);
    if (r != 0)
        return r;
    while (r == 0 && low < high) {
        struct back b = {.found = false};
        uint64_t middle = low + (high - low) / 2;
        r = store_each_readable(read, middle, first_since, &b, NULL);
        r = r < 0 ? r : 0;
        if (b.found && b.order < high && b.since_ms < since)
            low = b.order + 1;
        else
            high = middle;
    }
    store_read_end(read);
    *order = low;
    return r;
}

int stats_new(const struct stats_deps *deps, struct stats **out)
{
    bool known;
    *out = NULL;
    struct stats *s = calloc(1, sizeof(*s));
    if (!s)
        return SLUIS_ENOMEM;
    s->deps = *deps;
    s->looked_ms = s->swept_ms = clock_mono_ms();
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    s->conversations = calloc(STATS_CONVERSATIONS, sizeof(*s->conversations));
    s->buckets = calloc(WAIT_CHAINS, sizeof(*s->buckets));
    int r = s->conversations && s->buckets ? 0 : SLUIS_ENOMEM;
    if (r == 0)
        r = keyring_cache_new(deps->keyring, &s->keys);
    if (r == 0)
        r = place_load(s, &known);
    if (r == 0 && known) {
        s->quiet_to = s->order;
        r = learn_from(s, &s->order);
    }
    if (r != 0) {
        stats_free(s);
        return r;
    }
    *out = s;
    return 0;
}

int stats_start(struct stats *s)
{
    s->started = pthread_create(&s->thread, NULL, run, s) == 0;
    return s->started ? 0 : SLUIS_ENOMEM;
}

void stats_stop(struct stats *s)
{
    if (!s || !s->started)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    s->started = false;
    pthread_mutex_lock(&s->lock);
    int r = s->order >= s->quiet_to ? cells_flush(s) : 0;
    pthread_mutex_unlock(&s->lock);
    if (r != 0)
        LOG(LOG_WARN, "stats", "not_written", log_error(r)); /* counted again after the start */
}

void stats_free(struct stats *s)
{
    if (!s)
        return;
    stats_stop(s);
    cells_drop(s);
    if (s->keys)
        keyring_cache_free(s->keys);
    free(s->conversations);
    free(s->buckets);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

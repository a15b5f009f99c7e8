/* The door: making and ending the room, what is handed in from other threads, status. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define NICE 10 /* of the room's thread; the inspector's workers are at 19 */

#define M_TOTAL(name, labels, help)                                                                \
    {                                                                                              \
        "sluis_media_" name "_total", labels, help, COUNTER_TOTAL, 0                               \
    }

static struct counter counters[M_COUNT] = {
    [M_TAKEN] = M_TOTAL("taken", NULL, "media items that came with messages"),
    [M_CLEAN] = M_TOTAL("verdicts", "verdict=\"clean\"", "verdicts on media items"),
    [M_COVERED] = M_TOTAL("verdicts", "verdict=\"covered\"", "verdicts on media items"),
    [M_PASSED] = M_TOTAL("verdicts", "verdict=\"passed\"", "verdicts on media items"),
    [M_HELD] = M_TOTAL("verdicts", "verdict=\"policy\"", "verdicts on media items"),
    [M_GONE] = M_TOTAL("verdicts", "verdict=\"gone\"", "verdicts on media items"),
    [M_TOO_LARGE] = M_TOTAL("verdicts", "verdict=\"too_large\"", "verdicts on media items"),
    [M_WRONG_HASH] = M_TOTAL("verdicts", "verdict=\"wrong_hash\"", "verdicts on media items"),
    [M_UNDECIDED] = M_TOTAL("verdicts", "verdict=\"not_readable\"", "verdicts on media items"),
    [M_NO_INSPECTOR] = M_TOTAL("verdicts", "verdict=\"no_inspector\"", "verdicts on media items"),
    [M_TOO_MANY] = M_TOTAL("verdicts", "verdict=\"too_many\"", "verdicts on media items"),
    [M_EXPIRED] = M_TOTAL("verdicts", "verdict=\"expired\"", "verdicts on media items"),
    [M_RETRIES] = M_TOTAL("retries", NULL, "times an item was put back to wait for Meta"),
    [M_SERVED] = M_TOTAL("served", NULL, "items given to tools"),
    [M_NOT_SERVED] = M_TOTAL("not_served", NULL, "items that a tool asked for and did not get"),
    [M_CHECKED] = M_TOTAL("checked", NULL, "attachments of tools inspected"),
    [M_SWEPT_ROWS] = M_TOTAL("swept_rows", NULL, "rows removed: their keys were destroyed"),
    [M_SWEPT_FILES] = M_TOTAL("swept_files", NULL, "files removed"),
    [M_WAITING] = {"sluis_media_waiting", NULL, "items without a verdict", COUNTER_GAUGE, 0},
    [M_BYTES] = {"sluis_media_bytes", NULL, "bytes of media in memory", COUNTER_GAUGE, 0},
};

int media_path(const char *store_path, char *out, size_t size)
{
    int n = snprintf(out, size, "%s/media", store_path);
    return n < 0 || (size_t)n >= size ? SLUIS_ELIMIT : 0;
}

static int open_folder(const char *path, int *out)
{
    struct stat s;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return errno == ENOSPC ? SLUIS_EFULL : SLUIS_ESYS;
    *out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (*out < 0 || fstat(*out, &s) != 0)
        return SLUIS_ESYS;
    return s.st_uid != geteuid() || (s.st_mode & 077) ? SLUIS_EDENIED : 0;
}

int media_new(const struct media_deps *deps, struct media **out)
{
    *out = NULL;
    struct media *m = calloc(1, sizeof(*m));
    if (!m)
        return SLUIS_ENOMEM;
    m->deps = *deps;
    m->counters = counters;
    m->end = &m->first;
    m->folder = -1;
    if (m->deps.per_minute == 0)
        m->deps.per_minute = PER_MINUTE;
    pthread_mutex_init(&m->lock, NULL);
    int r = open_folder(deps->path, &m->folder);
    if (r == 0)
        r = counters_register(counters, M_COUNT);
    if (r == 0)
        r = keyring_cache_new(deps->keyring, &m->keys);
    if (r != 0) {
        media_free(m);
        return r;
    }
    *out = m;
    return 0;
}

void media_free(struct media *m)
{
    if (!m)
        return;
    jobs_end(m);
    upstream_free(m->upstream);
    if (m->tick)
        loop_timer_free(m->tick);
    if (m->keys)
        keyring_cache_free(m->keys);
    if (m->swept)
        closedir(m->swept);
    if (m->folder >= 0)
        close(m->folder);
    for (unsigned i = 0; i < JOBS_BUCKETS; i++) {
        while (m->waits[i]) {
            struct waits *w = m->waits[i];
            m->waits[i] = w->next;
            free(w);
        }
    }
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* ---- the loop's side ---- */

static void on_tick(void *ctx)
{
    struct media *m = ctx;
    if (m->stopped)
        return;
    bool more = jobs_tick(m);
    more = asks_tick(m) || more;
    more = checks_tick(m) || more;
    if (more)
        loop_timer_set(m->tick, TICK_MS);
}

void media_wake(struct media *m)
{
    if (m->tick && !m->stopped)
        loop_timer_set(m->tick, 1);
}

/* The room's work is not worth a late message: where a core is short, texts go first. */
static void be_nice(void)
{
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), NICE) != 0)
        LOG(LOG_WARN, "media", "not_nice", log_error(SLUIS_ESYS));
}

static void on_start(struct mail *mail)
{
    struct media *m = (struct media *)((char *)mail - offsetof(struct media, start));
    if (m->stopped)
        return;
    be_nice();
    int r = upstream_new(m->deps.loop, m->deps.resolver, &m->upstream);
    if (r == 0)
        r = loop_timer_new(m->deps.loop, on_tick, m, &m->tick);
    if (r != 0) {
        LOG(LOG_ALARM, "media", "not_started", log_error(r));
        return;
    }
    m->refilling = true;
    media_wake(m);
}

void media_start(struct media *m)
{
    loop_post(m->deps.loop, &m->start, on_start);
}

static void on_drain(struct mail *mail)
{
    struct media *m = (struct media *)((char *)mail - offsetof(struct media, drain));
    m->drained = true;
    asks_end(m);
    checks_end(m);
}

void media_drain(struct media *m)
{
    loop_post(m->deps.loop, &m->drain, on_drain);
}

void media_stop(struct media *m)
{
    struct upstream *upstream = m->upstream;
    m->stopped = m->drained = true;
    m->upstream = NULL; /* what its last answers call finds the room stopped */
    asks_end(m);
    checks_end(m);
    upstream_free(upstream);
}

/* ---- items of a message that are worked on ---- */

static struct waits **waits_find(struct media *m, uint64_t serial)
{
    struct waits **at = &m->waits[(serial * 0x9e3779b97f4a7c15ull >> 40) & (JOBS_BUCKETS - 1)];
    while (*at && (*at)->serial != serial)
        at = &(*at)->next;
    return at;
}

bool waits_add(struct media *m, uint64_t serial, unsigned n)
{
    pthread_mutex_lock(&m->lock);
    struct waits **at = waits_find(m, serial);
    if (!*at && (*at = calloc(1, sizeof(**at))))
        (*at)->serial = serial;
    if (*at)
        (*at)->n += n;
    bool good = *at != NULL;
    pthread_mutex_unlock(&m->lock);
    return good;
}

void waits_done(struct media *m, uint64_t serial)
{
    pthread_mutex_lock(&m->lock);
    struct waits **at = waits_find(m, serial), *w = *at;
    if (w && --w->n == 0) {
        *at = w->next;
        free(w);
    }
    pthread_mutex_unlock(&m->lock);
}

bool media_waits(struct media *m, uint64_t serial)
{
    pthread_mutex_lock(&m->lock);
    bool any = *waits_find(m, serial) != NULL;
    pthread_mutex_unlock(&m->lock);
    return any;
}

struct take {
    struct mail mail;
    struct media *media;
    struct media_taken taken;
};

static void on_take(struct mail *mail)
{
    struct take *t = (struct take *)mail;
    struct media *m = t->media;
    struct store_read *read = NULL;
    int r = m->stopped || !m->tick ? SLUIS_ECLOSED : store_read_begin(m->deps.store, &read);
    for (unsigned i = 0; i < t->taken.count; i++) {
        const uint8_t *key = t->taken.keys[i];
        struct job *j = r == 0 && !job_find(m, key) ? job_from_row(m, read, key) : NULL;
        media_count(m, M_TAKEN);
        if (j)
            j->counted = true;
        else
            waits_done(m, t->taken.serial);
    }
    if (r == 0)
        store_read_end(read);
    else
        atomic_store(&m->missed, true);
    free(t);
    media_wake(m);
}

void media_take(struct media *m, const struct media_taken *taken)
{
    struct take *t = malloc(sizeof(*t));
    if (!t || !waits_add(m, taken->serial, taken->count)) {
        free(t);
        atomic_store(&m->missed, true); /* their rows are found later */
        return;
    }
    *t = (struct take){.media = m, .taken = *taken};
    loop_post(m->deps.loop, &t->mail, on_take);
}

void media_status(struct media *m, struct media_status *out)
{
    const struct media_inspector *i = &m->deps.inspector;
    *out = (struct media_status){
        .inspector = i->inspect && (!i->present || i->present(i->ctx)),
        .waiting = (uint64_t)counter_get(&m->counters[M_WAITING]),
        .bytes = (uint64_t)counter_get(&m->counters[M_BYTES]),
    };
    if (i->words)
        i->words(i->ctx, out->words, sizeof(out->words));
}

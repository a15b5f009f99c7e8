/*
 * A compacted copy while the store is written. LMDB writes it to a pipe on a thread of its own; the
 * reader of the pipe hashes, stores and watches, and closes it to end the copying.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layout.h"
#include "sluis/base/encode.h"

#define COPY_CHUNK (256u * 1024)

struct copier {
    MDB_env *env;
    int fd; /* the pipe's writing end */
    int rc; /* an LMDB code */
};

static void *copier_main(void *arg)
{
    struct copier *copier = arg;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGPIPE); /* a reader that gave up shows as EPIPE */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    copier->rc = mdb_env_copyfd2(copier->env, copier->fd, MDB_CP_COMPACT);
    close(copier->fd);
    return NULL;
}

static uint64_t pages_reached(const struct store *store, uint64_t *page_size)
{
    MDB_envinfo info = {0};
    MDB_stat stat = {0};

    (void)mdb_env_info(store->env, &info);
    (void)mdb_env_stat(store->env, &stat);
    *page_size = stat.ms_psize;
    return info.me_last_pgno;
}

/* Why the copying must end, or 0. */
static int copy_watch(struct store *store, uint64_t from, uint64_t growth_max,
                      struct store_copied *out)
{
    uint64_t page_size;
    uint64_t reached = pages_reached(store, &page_size);
    int state = atomic_load(&store->state);

    out->growth = reached > from ? (reached - from) * page_size : 0;
    if (out->growth > growth_max)
        return SLUIS_ELIMIT;
    return state == STORE_BROKEN || state == STORE_SEALED ? SLUIS_EIO : 0;
}

static int copy_drain(struct store *store, int fd, uint64_t growth_max,
                      int (*write)(void *ctx, struct span bytes), void *ctx,
                      struct store_copied *out)
{
    uint64_t page_size;
    uint64_t from = pages_reached(store, &page_size);
    char *chunk = malloc(COPY_CHUNK);
    int result = chunk ? 0 : SLUIS_ENOMEM;

    while (!result) {
        ssize_t n = read(fd, chunk, COPY_CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            result = n < 0 ? SLUIS_EIO : 0;
            break;
        }
        out->bytes += (uint64_t)n;
        result = write(ctx, span_of(chunk, (size_t)n));
        if (!result)
            result = copy_watch(store, from, growth_max, out);
    }
    free(chunk);
    return result;
}

int store_copy(struct store *store, uint64_t growth_max, int (*write)(void *ctx, struct span bytes),
               void *ctx, struct store_copied *out)
{
    struct store_read *place;
    pthread_t thread;
    int ends[2];

    *out = (struct store_copied){0, 0};
    /* A reader's place keeps the environment open while LMDB copies from it. */
    int result = store_read_begin(store, &place);
    if (result)
        return result;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        store_read_end(place);
        return SLUIS_ESYS;
    }
    struct copier copier = {.env = store->env, .fd = ends[1]};
    if (pthread_create(&thread, NULL, copier_main, &copier) != 0) {
        close(ends[0]);
        close(ends[1]);
        store_read_end(place);
        return SLUIS_ESYS;
    }
    result = copy_drain(store, ends[0], growth_max, write, ctx, out);
    close(ends[0]);
    pthread_join(thread, NULL);
    store_read_end(place);
    return result ? result : env_error(copier.rc);
}

int store_open_copy(const struct store_config *config, struct store **out, struct diag *diag)
{
    struct store *store;

    *out = NULL;
    int rc = store_alloc(config, &store, diag);
    if (!rc) {
        store->stopping = true; /* there is no writer: submissions are refused */
        rc = env_open_copy(store, diag);
    }
    if (rc) {
        store_close(store);
        return rc;
    }
    *out = store;
    return 0;
}

struct skip_job {
    struct store_job job;
    uint64_t from, to;
};

/* The flush of any commit writes the end of the reserved range. */
static int skip_run(struct store_txn *txn, struct store_job *job)
{
    const struct skip_job *skip = (const struct skip_job *)(const void *)job;
    uint8_t key[SKIPPED_KEY_BYTES], value[8];
    if (skip->to == skip->from)
        return store_txn_error(txn);
    memcpy(key, SKIPPED_PREFIX, SKIPPED_PREFIX_BYTES);
    be64_put(key + SKIPPED_PREFIX_BYTES, skip->from);
    be64_put(value, skip->to);
    store_put_row(txn, STORE_TABLE_SETTING, span_of(key, sizeof(key)),
                  span_of(value, sizeof(value)));
    return store_txn_error(txn);
}

int store_skip_serials(struct store *store, uint64_t messages, uint64_t subjects)
{
    struct skip_job skip = {.job = {.priority = STORE_PURGE, .run = skip_run}};

    skip.from = atomic_fetch_add(&store->next_serial, messages);
    skip.to = skip.from + messages;
    atomic_fetch_add(&store->next_subject, subjects);
    return store_submit_wait(store, &skip.job);
}

struct skipped {
    int (*each)(void *ctx, uint64_t from, uint64_t to);
    void *ctx;
};

static int take_skipped(void *ctx, struct span key, struct span value)
{
    const struct skipped *s = ctx;
    if (!span_starts(key, span_of(SKIPPED_PREFIX, SKIPPED_PREFIX_BYTES)))
        return 1;
    if (key.n != SKIPPED_KEY_BYTES || value.n != 8)
        return SLUIS_EIO;
    int r = s->each(s->ctx, be64_get((const uint8_t *)key.p + SKIPPED_PREFIX_BYTES),
                    be64_get((const uint8_t *)value.p));
    return r > 0 ? SLUIS_EIO : r;
}

int store_each_skipped(struct store_read *read, int (*each)(void *ctx, uint64_t from, uint64_t to),
                       void *ctx)
{
    struct skipped s = {each, ctx};
    int r = store_each_row(read, STORE_TABLE_SETTING, span_of(SKIPPED_PREFIX, SKIPPED_PREFIX_BYTES),
                           take_skipped, &s);
    return r > 0 ? 0 : r;
}

/* Opening, closing and the state for /readyz. */
#include "internal.h"

#include <stdlib.h>
#include <time.h>

#include "sluis/base/log.h"

#define CLOSE_WAIT_MS 10000
#define MAP_SIZE_MIN (1024 * 1024)

static int init_locks(struct store *store)
{
    pthread_condattr_t attr;

    if (pthread_mutex_init(&store->queue_lock, NULL) != 0 ||
        pthread_mutex_init(&store->read_lock, NULL) != 0 ||
        pthread_mutex_init(&store->name_lock, NULL) != 0 || pthread_condattr_init(&attr) != 0)
        return SLUIS_ESYS;
    /* clock_mono_us counts on this clock, so a deadline survives a change of the wall clock. */
    int rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (rc == 0)
        rc = pthread_cond_init(&store->queue_wake, &attr);
    if (rc == 0)
        rc = pthread_cond_init(&store->read_idle, &attr);
    pthread_condattr_destroy(&attr);
    return rc == 0 ? 0 : SLUIS_ESYS;
}

int store_alloc(const struct store_config *config, struct store **out, struct diag *diag)
{
    *out = NULL;
    if (!config->path || !config->path[0] || !config->seal || !config->open ||
        config->map_size < MAP_SIZE_MIN) {
        diag_set(diag, config->path ? config->path : "", 0, 0,
                 "a store needs a path, a seal and a size of at least 1 MiB");
        return SLUIS_EINVAL;
    }
    struct store *store = calloc(1, sizeof(*store));
    if (!store)
        return SLUIS_ENOMEM;
    store->config = *config;
    store->lock_fd = store->folder_fd = -1;
    store->path = strdup(config->path);
    int rc = store->path ? init_locks(store) : SLUIS_ENOMEM;
    if (!rc)
        rc = recent_init(&store->recent);
    *out = store;
    return rc;
}

int store_open(const struct store_config *config, struct store **out, struct diag *diag)
{
    struct store *store;
    *out = NULL;
    int rc = store_alloc(config, &store, diag);
    if (!rc)
        rc = env_open_folder(store, diag);
    if (!rc)
        rc = env_open(store, diag);
    if (!rc)
        rc = writer_start(store);
    if (rc) {
        store_close(store);
        return rc;
    }
    *out = store;
    return 0;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    writer_stop(store);
    if (store->env && reads_close(store, CLOSE_WAIT_MS) != 0) {
        /* A reader was never ended: its transaction would be freed under it. */
        LOG(LOG_ALARM, "store", "reader_left", log_u64("readers", store->readers_active));
        return;
    }
    env_close(store);
    env_close_folder(store);
    txn_free(&store->txn);
    recent_free(&store->recent);
    pthread_cond_destroy(&store->queue_wake);
    pthread_cond_destroy(&store->read_idle);
    pthread_mutex_destroy(&store->queue_lock);
    pthread_mutex_destroy(&store->read_lock);
    pthread_mutex_destroy(&store->name_lock);
    free(store->names);
    free(store->path);
    free(store);
}

void store_status(struct store *store, struct store_status *out)
{
    memset(out, 0, sizeof(*out));
    out->state = (enum store_state)atomic_load(&store->state);
    out->next_serial = atomic_load(&store->next_serial);
    out->log_size = atomic_load(&store->log_size);
    out->commits = atomic_load(&store->commits);
    out->jobs = atomic_load(&store->jobs);
    out->bytes_used = atomic_load(&store->bytes_used);
    out->bytes_size = atomic_load(&store->capacity);
    pthread_mutex_lock(&store->queue_lock);
    out->queued = store->queue.count + store->purges.count;
    pthread_mutex_unlock(&store->queue_lock);
    out->intake_allowed = out->state == STORE_READY && space_allows(store, STORE_INTAKE);
    out->reads_allowed = out->state == STORE_READY && space_allows(store, STORE_NORMAL);
}

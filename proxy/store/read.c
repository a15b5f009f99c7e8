/* Read transactions, kept and renewed. */
#include "internal.h"

#include <stdlib.h>
#include <time.h>

struct span span_of_val(MDB_val val)
{
    return span_of(val.mv_data, val.mv_size);
}

/* LMDB takes what it only reads as a plain pointer. */
MDB_val val_of(const void *p, size_t n)
{
    MDB_val val = {.mv_size = n};
    memcpy(&val.mv_data, &p, sizeof(val.mv_data));
    return val;
}

int read_get(struct store_read *read, MDB_dbi dbi, const void *key, size_t n, struct span *value)
{
    MDB_val k = val_of(key, n);
    MDB_val v;

    int rc = mdb_get(read->txn, dbi, &k, &v);
    if (rc)
        return env_error(rc);
    *value = span_of_val(v);
    return 0;
}

static int read_new(struct store *store, struct store_read **out)
{
    struct store_read *read = calloc(1, sizeof(*read));
    if (!read)
        return SLUIS_ENOMEM;
    read->store = store;
    buffer_init(&read->plain, READ_PLAIN_MAX);
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &read->txn);
    if (rc) {
        free(read);
        return env_error(rc);
    }
    *out = read;
    return 0;
}

static void read_free(struct store_read *read)
{
    mdb_txn_abort(read->txn);
    buffer_free(&read->plain);
    free(read);
}

static int closed_error(struct store *store)
{
    switch (atomic_load(&store->state)) {
    case STORE_SEALED:
        return SLUIS_ESEALED;
    case STORE_FULL:
        return SLUIS_EFULL;
    default:
        return SLUIS_EIO;
    }
}

/* Takes a place; the transaction itself is made or renewed outside the lock. */
static int take(struct store *store, struct store_read **pooled)
{
    int rc = 0;

    *pooled = NULL;
    pthread_mutex_lock(&store->read_lock);
    if (store->reads_closed) {
        rc = closed_error(store);
    } else if (store->pool) {
        *pooled = store->pool;
        store->pool = store->pool->next;
    } else if (store->readers >= READERS_MAX) {
        rc = SLUIS_ELIMIT;
    } else {
        store->readers++;
    }
    if (!rc)
        store->readers_active++;
    pthread_mutex_unlock(&store->read_lock);
    return rc;
}

/* Gives the place back, with the reader for the pool or without. */
static void give(struct store *store, struct store_read *read)
{
    pthread_mutex_lock(&store->read_lock);
    if (read) {
        read->next = store->pool;
        store->pool = read;
    } else {
        store->readers--;
    }
    if (--store->readers_active == 0)
        pthread_cond_signal(&store->read_idle);
    pthread_mutex_unlock(&store->read_lock);
}

int store_read_begin(struct store *store, struct store_read **out)
{
    struct store_read *read;

    *out = NULL;
    int rc = take(store, &read);
    if (rc)
        return rc;
    /* Handles before the transaction: each then names a database that the transaction knows. */
    MDB_dbi class_dbi[STORE_CLASSES_MAX + 1];
    for (unsigned i = 0; i <= STORE_CLASSES_MAX; i++)
        class_dbi[i] = atomic_load_explicit(&store->class_dbi[i], memory_order_acquire);
    if (!read) {
        rc = read_new(store, &read);
    } else {
        int lmdb = mdb_txn_renew(read->txn);
        if (lmdb) {
            read_free(read);
            rc = env_error(lmdb);
        }
    }
    if (rc) {
        give(store, NULL);
        return rc;
    }
    memcpy(read->class_dbi, class_dbi, sizeof(class_dbi));
    read->have_block = false;
    read->walks = 0;
    *out = read;
    return 0;
}

void store_read_end(struct store_read *read)
{
    if (!read)
        return;
    mdb_txn_reset(read->txn);
    buffer_clear(&read->plain); /* wiped */
    give(read->store, read);
}

int read_freshen(struct store_read *read, size_t least, struct store_read **fresh)
{
    *fresh = read;
    if (mdb_txn_id(read->txn) >= least)
        return 0;
    if (read->walks > 0)
        return store_read_begin(read->store, fresh);
    mdb_txn_reset(read->txn);
    int rc = mdb_txn_renew(read->txn);
    if (rc)
        *fresh = NULL;
    return env_error(rc);
}

static void free_pool(struct store *store)
{
    while (store->pool) {
        struct store_read *read = store->pool;
        store->pool = read->next;
        store->readers--;
        read_free(read);
    }
}

void reads_open(struct store *store)
{
    pthread_mutex_lock(&store->read_lock);
    store->reads_closed = false;
    pthread_mutex_unlock(&store->read_lock);
}

int reads_close(struct store *store, int64_t ms)
{
    struct timespec at;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    pthread_mutex_lock(&store->read_lock);
    store->reads_closed = true;
    while (store->readers_active > 0 && rc == 0)
        rc = pthread_cond_timedwait(&store->read_idle, &store->read_lock, &at);
    bool idle = store->readers_active == 0;
    if (idle)
        free_pool(store);
    pthread_mutex_unlock(&store->read_lock);
    return idle ? 0 : SLUIS_ETIMEOUT;
}

/* Small persistent numbers for channels, routes and classes. All of them are kept in memory. */
#include "internal.h"

#include <stdlib.h>

#include "sluis/base/encode.h"

#define NAME_BYTES_MAX 255

static int names_add(struct store *store, uint8_t kind, uint16_t id, struct span name)
{
    if (store->name_count == NAMES_MAX)
        return SLUIS_ELIMIT;
    struct name_row *wider = realloc(store->names, (store->name_count + 1) * sizeof(*wider));
    if (!wider)
        return SLUIS_ENOMEM;
    store->names = wider;
    struct name_row *row = &wider[store->name_count++];
    memset(row, 0, sizeof(*row));
    row->kind = kind;
    row->id = id;
    memcpy(row->name, name.p, name.n);
    return 0;
}

int names_load(struct store *store, MDB_txn *txn)
{
    MDB_cursor *cursor;
    MDB_val key, value;

    int rc = mdb_cursor_open(txn, store->dbi[DB_NAMES], &cursor);
    if (rc)
        return rc;
    pthread_mutex_lock(&store->name_lock);
    store->name_count = 0;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        const uint8_t *k = key.mv_data;
        if (key.mv_size != NAME_KEY_BYTES || value.mv_size > NAME_BYTES_MAX ||
            names_add(store, k[0], be16_get(k + 1), span_of_val(value)) != 0) {
            rc = MDB_CORRUPTED;
            break;
        }
    }
    pthread_mutex_unlock(&store->name_lock);
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* With the lock held: the number of a name, or 0 and the next free number. */
static uint16_t find_name(const struct store *store, uint8_t kind, struct span name, uint32_t *next)
{
    *next = 1;
    for (size_t i = 0; i < store->name_count; i++) {
        const struct name_row *row = &store->names[i];
        if (row->kind != kind)
            continue;
        if (span_is(name, row->name))
            return row->id;
        if (row->id >= *next)
            *next = (uint32_t)row->id + 1;
    }
    return 0;
}

struct name_job {
    struct store_job job;
    struct store *store;
    uint8_t kind;
    struct span name;
    uint16_t id;
};

/* On the writer thread, so that two callers cannot give out one number. */
static int name_run(struct store_txn *txn, struct store_job *job)
{
    struct name_job *n = (struct name_job *)(void *)job;
    uint8_t key[NAME_KEY_BYTES];
    struct span old;
    uint32_t next;

    pthread_mutex_lock(&n->store->name_lock);
    n->id = find_name(n->store, n->kind, n->name, &next);
    pthread_mutex_unlock(&n->store->name_lock);
    if (n->id)
        return 0;
    /* Another job of this same commit may have taken numbers that memory does not know yet. */
    for (;; next++) {
        uint32_t most = n->kind == STORE_NAME_CLASS ? STORE_CLASSES_MAX : UINT16_MAX;
        if (next > most)
            return SLUIS_ELIMIT;
        layout_name_key(n->kind, (uint16_t)next, key);
        if (!txn_get(txn, n->store->dbi[DB_NAMES], key, sizeof(key), &old))
            break;
        if (span_eq(old, n->name)) {
            n->id = (uint16_t)next;
            return 0;
        }
    }
    n->id = (uint16_t)next;
    txn_put(txn, n->store->dbi[DB_NAMES], key, sizeof(key), n->name, 0);
    return 0;
}

int store_name_id(struct store *store, enum store_name_kind kind, struct span name, uint16_t *out)
{
    struct name_job n = {
        .job = {.priority = STORE_NORMAL, .run = name_run},
        .store = store,
        .kind = (uint8_t)kind,
        .name = name,
    };
    uint32_t next;

    *out = 0;
    if (name.n == 0 || name.n > NAME_BYTES_MAX || memchr(name.p, '\0', name.n))
        return SLUIS_EINVAL;
    pthread_mutex_lock(&store->name_lock);
    *out = find_name(store, n.kind, name, &next);
    pthread_mutex_unlock(&store->name_lock);
    if (*out)
        return 0;
    int rc = store_submit_wait(store, &n.job);
    if (rc)
        return rc;
    pthread_mutex_lock(&store->name_lock);
    if (!find_name(store, n.kind, name, &next))
        rc = names_add(store, n.kind, n.id, name);
    pthread_mutex_unlock(&store->name_lock);
    if (!rc)
        *out = n.id;
    return rc;
}

int store_id_name(struct store *store, enum store_name_kind kind, uint16_t id, char out[256])
{
    int rc = SLUIS_ENOENT;

    pthread_mutex_lock(&store->name_lock);
    for (size_t i = 0; i < store->name_count; i++) {
        if (store->names[i].kind != kind || store->names[i].id != id)
            continue;
        memcpy(out, store->names[i].name, sizeof(store->names[i].name));
        rc = 0;
        break;
    }
    pthread_mutex_unlock(&store->name_lock);
    return rc;
}

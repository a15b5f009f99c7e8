/* One commit: sticky steps, and what is collected until its end. */
#include "internal.h"

#include <stdlib.h>

#include "sluis/base/encode.h"

/* Serials reserved ahead per meta row: a restart skips at most this many of 2^32. */
#define RESERVE_BLOCK 4096
#define LEAVES_START 256

int txn_init(struct store_txn *txn, struct store *store)
{
    memset(txn, 0, sizeof(*txn));
    txn->store = store;
    txn->leaf_size = LEAVES_START;
    txn->leaves = calloc(txn->leaf_size, sizeof(*txn->leaves));
    buffer_init(&txn->leaf_bytes, COMMIT_LEAF_BYTES_MAX);
    buffer_init(&txn->plain, BLOCK_PLAIN_MAX + ITEM_BYTES_MAX);
    buffer_init(&txn->sealed, STORE_VALUE_MAX);
    return txn->leaves ? 0 : SLUIS_ENOMEM;
}

void txn_free(struct store_txn *txn)
{
    free(txn->leaves);
    txn->leaves = NULL;
    buffer_free(&txn->leaf_bytes);
    buffer_free(&txn->plain);
    buffer_free(&txn->sealed);
    recent_txn_free(&txn->recent);
}

int txn_begin(struct store_txn *txn)
{
    struct store *store = txn->store;

    txn->error = txn->failure = 0;
    txn->changed = false;
    txn->item_count = txn->leaf_count = 0;
    buffer_clear(&txn->leaf_bytes);
    recent_begin(txn);
    txn->next_order = store->next_order;
    txn->next_leaf = atomic_load(&store->log_size);
    txn->reserved_serial = atomic_load(&store->reserved_serial);
    txn->reserved_subject = atomic_load(&store->reserved_subject);
    for (unsigned i = 0; i <= STORE_CLASSES_MAX; i++)
        txn->class_dbi[i] = atomic_load_explicit(&store->class_dbi[i], memory_order_relaxed);
    return mdb_txn_begin(store->env, NULL, 0, &txn->txn);
}

void txn_abort(struct store_txn *txn)
{
    if (txn->txn)
        mdb_txn_abort(txn->txn);
    txn->txn = NULL;
    for (unsigned i = 0; i <= STORE_CLASSES_MAX; i++)
        txn->ends[i].known = false;
}

bool txn_is_full(const struct store_txn *txn)
{
    return txn->item_count > COMMIT_ITEMS_MAX / 2 || txn->leaf_bytes.n > COMMIT_LEAF_BYTES_MAX / 2;
}

int store_txn_error(const struct store_txn *txn)
{
    return txn->error;
}

void store_txn_fail(struct store_txn *txn, int error)
{
    if (!txn->error)
        txn->error = error ? error : SLUIS_EINVAL;
}

void txn_lmdb_fail(struct store_txn *txn, int rc)
{
    if (!txn->error) {
        txn->error = env_error(rc);
        txn->failure = rc;
    }
    txn->changed = true; /* LMDB may have marked its transaction as broken */
}

void txn_put(struct store_txn *txn, MDB_dbi dbi, const void *key, size_t n, struct span value,
             unsigned flags)
{
    MDB_val k = val_of(key, n);
    MDB_val v = val_of(value.p, value.n);

    if (txn->error)
        return;
    txn->changed = true;
    int rc = mdb_put(txn->txn, dbi, &k, &v, flags);
    if (rc)
        txn_lmdb_fail(txn, rc);
}

void txn_delete(struct store_txn *txn, MDB_dbi dbi, const void *key, size_t n)
{
    MDB_val k = val_of(key, n);

    if (txn->error)
        return;
    txn->changed = true;
    int rc = mdb_del(txn->txn, dbi, &k, NULL);
    if (rc && rc != MDB_NOTFOUND)
        txn_lmdb_fail(txn, rc);
}

bool txn_get(struct store_txn *txn, MDB_dbi dbi, const void *key, size_t n, struct span *value)
{
    MDB_val k = val_of(key, n);
    MDB_val v;

    if (txn->error)
        return false;
    int rc = mdb_get(txn->txn, dbi, &k, &v);
    if (rc && rc != MDB_NOTFOUND)
        txn_lmdb_fail(txn, rc);
    if (rc)
        return false;
    *value = span_of_val(v);
    return true;
}

MDB_dbi txn_class(struct store_txn *txn, uint16_t cls)
{
    char name[LAYOUT_CLASS_NAME_SIZE];

    if (txn->error)
        return 0;
    if (cls == 0 || cls > STORE_CLASSES_MAX) {
        store_txn_fail(txn, SLUIS_EINVAL);
        return 0;
    }
    if (txn->class_dbi[cls])
        return txn->class_dbi[cls];
    layout_class_name(cls, name);
    txn->changed = true;
    int rc = mdb_dbi_open(txn->txn, name, MDB_CREATE, &txn->class_dbi[cls]);
    if (rc) {
        txn->class_dbi[cls] = 0;
        txn_lmdb_fail(txn, rc);
    }
    return txn->class_dbi[cls];
}

/* Keeps the durable end of the reserved range ahead of what has been given out. */
static void reserve(struct store_txn *txn, const char *name, uint64_t next, uint64_t *reserved)
{
    uint8_t bytes[8];

    if (next + RESERVE_BLOCK / 2 <= *reserved)
        return;
    *reserved = next + RESERVE_BLOCK;
    be64_put(bytes, *reserved);
    txn_put(txn, txn->store->dbi[DB_META], name, strlen(name), span_of(bytes, sizeof(bytes)), 0);
}

void txn_touch(struct store_txn *txn)
{
    uint8_t bytes[8];

    be64_put(bytes, txn->reserved_serial);
    txn_put(txn, txn->store->dbi[DB_META], META_SERIAL, strlen(META_SERIAL),
            span_of(bytes, sizeof(bytes)), 0);
}

int txn_flush(struct store_txn *txn)
{
    struct store *store = txn->store;

    journal_flush(txn);
    leaves_flush(txn);
    recent_flush(txn);
    reserve(txn, META_SERIAL, atomic_load(&store->next_serial), &txn->reserved_serial);
    reserve(txn, META_SUBJECT, atomic_load(&store->next_subject), &txn->reserved_subject);
    return txn->error;
}

size_t txn_last_id(const struct store *store)
{
    MDB_envinfo info = {0};
    (void)mdb_env_info(store->env, &info);
    return info.me_last_txnid;
}

int txn_commit(struct store_txn *txn)
{
    struct store *store = txn->store;
    int rc = store->config.fault ? store->config.fault(store->config.fault_ctx) : 0;

    if (rc) {
        txn_abort(txn);
        return rc;
    }
    rc = mdb_txn_commit(txn->txn);
    txn->txn = NULL;
    if (rc) {
        txn_abort(txn);
        return rc;
    }
    /* Not mdb_txn_id: a transaction that changed nothing leaves no trace. */
    store->acked_txnid = txn_last_id(store);
    recent_committed(txn, store->acked_txnid);
    store->next_order = txn->next_order + txn->item_count;
    atomic_store(&store->log_size, txn->next_leaf);
    atomic_store(&store->reserved_serial, txn->reserved_serial);
    atomic_store(&store->reserved_subject, txn->reserved_subject);
    for (unsigned i = 0; i <= STORE_CLASSES_MAX; i++)
        atomic_store_explicit(&store->class_dbi[i], txn->class_dbi[i], memory_order_release);
    atomic_fetch_add(&store->commits, 1);
    return 0;
}

static bool want_reserve(uint64_t next, uint64_t reserved)
{
    return next + RESERVE_BLOCK / 4 > reserved && next % (RESERVE_BLOCK / 16) == 0;
}

uint64_t store_next_serial(struct store *store)
{
    uint64_t serial = atomic_fetch_add(&store->next_serial, 1);
    if (want_reserve(serial, atomic_load(&store->reserved_serial)))
        writer_want_reserve(store);
    return serial;
}

uint64_t store_next_subject(struct store *store)
{
    uint64_t subject = atomic_fetch_add(&store->next_subject, 1);
    if (want_reserve(subject, atomic_load(&store->reserved_subject)))
        writer_want_reserve(store);
    return subject;
}

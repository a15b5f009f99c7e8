/* The access log: leaves packed per commit and sealed, their hashes in rows of 60. */
#include "internal.h"

#include <stdlib.h>

#include "sluis/base/encode.h"

void store_put_leaf(struct store_txn *txn, struct span leaf, const uint8_t hash[32],
                    uint64_t *index)
{
    if (txn->error)
        return;
    if (leaf.n == 0 || leaf.n > STORE_LEAF_MAX) {
        store_txn_fail(txn, leaf.n ? SLUIS_ELIMIT : SLUIS_EINVAL);
        return;
    }
    if (txn->leaf_count == txn->leaf_size) {
        struct txn_leaf *wider = realloc(txn->leaves, 2 * txn->leaf_size * sizeof(*wider));
        if (!wider) {
            store_txn_fail(txn, SLUIS_ENOMEM);
            return;
        }
        txn->leaves = wider;
        txn->leaf_size *= 2;
    }
    txn->changed = true;
    struct txn_leaf *slot = &txn->leaves[txn->leaf_count];
    slot->offset = txn->leaf_bytes.n;
    slot->n = leaf.n;
    memcpy(slot->hash, hash, LEAF_HASH_BYTES);
    buffer_add(&txn->leaf_bytes, leaf);
    if (txn->leaf_bytes.error) {
        store_txn_fail(txn, txn->leaf_bytes.error);
        return;
    }
    *index = txn->next_leaf + txn->leaf_count;
    txn->leaf_count++;
}

/* Seals what stands in txn->plain under the index of its first leaf. */
static void put_block(struct store_txn *txn, uint64_t first)
{
    struct store *store = txn->store;
    uint8_t key[8];

    buffer_clear(&txn->sealed);
    int rc = store->config.seal(store->config.seal_ctx, STORE_SEAL_LEAF, first,
                                buffer_span(&txn->plain), &txn->sealed);
    if (!rc)
        rc = txn->sealed.error;
    if (rc) {
        store_txn_fail(txn, rc);
        return;
    }
    be64_put(key, first);
    txn_put(txn, store->dbi[DB_LEAF], key, sizeof(key), buffer_span(&txn->sealed), MDB_APPEND);
}

static void put_hashes(struct store_txn *txn)
{
    uint8_t key[8], row[LEAF_HASHES_PER_ROW * LEAF_HASH_BYTES];
    MDB_dbi dbi = txn->store->dbi[DB_LEAF_HASH];

    for (size_t i = 0; i < txn->leaf_count && !txn->error;) {
        uint64_t index = txn->next_leaf + i;
        size_t place = index % LEAF_HASHES_PER_ROW;
        struct span old = SPAN_EMPTY;
        be64_put(key, index / LEAF_HASHES_PER_ROW);
        if (place > 0) {
            if (!txn_get(txn, dbi, key, sizeof(key), &old) || old.n != place * LEAF_HASH_BYTES) {
                store_txn_fail(txn, SLUIS_EIO);
                return;
            }
            memcpy(row, old.p, old.n);
        }
        for (; i < txn->leaf_count && place < LEAF_HASHES_PER_ROW; i++, place++)
            memcpy(row + place * LEAF_HASH_BYTES, txn->leaves[i].hash, LEAF_HASH_BYTES);
        txn_put(txn, dbi, key, sizeof(key), span_of(row, place * LEAF_HASH_BYTES),
                old.n ? 0 : MDB_APPEND);
    }
}

void leaves_flush(struct store_txn *txn)
{
    uint64_t first = 0;

    buffer_clear(&txn->plain);
    for (size_t i = 0; i < txn->leaf_count && !txn->error; i++) {
        const struct txn_leaf *leaf = &txn->leaves[i];
        if (txn->plain.n > 0 && txn->plain.n + 2 + leaf->n > BLOCK_PLAIN_MAX) {
            put_block(txn, first);
            buffer_clear(&txn->plain);
        }
        if (txn->plain.n == 0)
            first = txn->next_leaf + i;
        buffer_add_be16(&txn->plain, (uint16_t)leaf->n);
        buffer_add(&txn->plain, span_of(txn->leaf_bytes.p + leaf->offset, leaf->n));
        if (txn->plain.error)
            store_txn_fail(txn, txn->plain.error);
    }
    if (txn->plain.n > 0 && !txn->error)
        put_block(txn, first);
    put_hashes(txn);
    txn->next_leaf += txn->leaf_count;
}

struct leaf_walk {
    struct store_read *read;
    uint64_t from;
    int (*each)(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32]);
    void *ctx;
};

static int leaf_hash(struct store_read *read, uint64_t index, uint8_t hash[LEAF_HASH_BYTES])
{
    uint8_t key[8];
    struct span row;
    size_t place = index % LEAF_HASHES_PER_ROW * LEAF_HASH_BYTES;

    be64_put(key, index / LEAF_HASHES_PER_ROW);
    int rc = read_get(read, read->store->dbi[DB_LEAF_HASH], key, sizeof(key), &row);
    if (rc || row.n < place + LEAF_HASH_BYTES)
        return SLUIS_EIO;
    memcpy(hash, row.p + place, LEAF_HASH_BYTES);
    return 0;
}

/* The leaves of one opened block, from walk->from on. */
static int walk_block(struct leaf_walk *walk, uint64_t index, struct span plain)
{
    uint8_t hash[LEAF_HASH_BYTES];

    for (; plain.n > 0; index++) {
        if (plain.n < 2)
            return SLUIS_EIO;
        size_t n = be16_get((const uint8_t *)plain.p);
        plain = span_from(plain, 2);
        if (n > plain.n)
            return SLUIS_EIO;
        struct span leaf = span_sub(plain, 0, n);
        plain = span_from(plain, n);
        if (index < walk->from)
            continue;
        int rc = leaf_hash(walk->read, index, hash);
        if (!rc)
            rc = walk->each(walk->ctx, index, leaf, hash);
        if (rc)
            return rc;
    }
    return 0;
}

/* Puts the cursor on the block that holds `index`, or on the first after it. */
static int seek_block(MDB_cursor *cursor, uint64_t index, MDB_val *key, MDB_val *value)
{
    uint8_t bytes[8];

    be64_put(bytes, index);
    *key = val_of(bytes, sizeof(bytes));
    int rc = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
    if (!rc && key->mv_size == 8 && be64_get(key->mv_data) == index)
        return 0;
    if (rc && rc != MDB_NOTFOUND)
        return rc;
    /* The block before may begin earlier and reach this far; its earlier leaves are skipped. */
    rc = mdb_cursor_get(cursor, key, value, rc ? MDB_LAST : MDB_PREV);
    return rc == MDB_NOTFOUND ? mdb_cursor_get(cursor, key, value, MDB_FIRST) : rc;
}

int store_each_leaf(struct store_read *read, uint64_t from_index,
                    int (*each)(void *ctx, uint64_t index, struct span leaf,
                                const uint8_t hash[32]),
                    void *ctx)
{
    struct leaf_walk walk = {read, from_index, each, ctx};
    struct store *store = read->store;
    struct buffer plain;
    MDB_cursor *cursor;
    MDB_val key, value;

    int rc = mdb_cursor_open(read->txn, store->dbi[DB_LEAF], &cursor);
    if (rc)
        return env_error(rc);
    read->walks++;
    buffer_init(&plain, READ_PLAIN_MAX);
    int result = 0;
    rc = seek_block(cursor, from_index, &key, &value);
    while (!rc && !result) {
        buffer_clear(&plain);
        uint64_t first = key.mv_size == 8 ? be64_get(key.mv_data) : 0;
        result = key.mv_size == 8 ? store->config.open(store->config.seal_ctx, STORE_SEAL_LEAF,
                                                       first, span_of_val(value), &plain)
                                  : SLUIS_EIO;
        if (!result)
            result = plain.error;
        if (!result)
            result = walk_block(&walk, first, buffer_span(&plain));
        if (!result)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    buffer_free(&plain);
    read->walks--;
    if (result)
        return result > 0 ? 0 : result;
    return rc == MDB_NOTFOUND ? 0 : env_error(rc);
}

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
    uint64_t from, size;
    uint64_t next; /* leaf to be told of next */
    bool gone;     /* tell of those without a text as well */
    int (*each)(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32]);
    int (*any)(void *ctx, uint64_t index, enum store_leaf_state state, struct span leaf,
               const uint8_t hash[32]); /* instead: passes by blocks that are damaged */
    enum store_leaf_state state;        /* of the leaves that the last block held */
    void *ctx;
};

static int tell(struct leaf_walk *walk, uint64_t index, enum store_leaf_state state,
                struct span leaf, const uint8_t hash[32])
{
    return walk->any ? walk->any(walk->ctx, index, state, leaf, hash)
                     : walk->each(walk->ctx, index, leaf, hash);
}

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

    for (; plain.n > 0; index++, walk->next = index) {
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
            rc = tell(walk, index, STORE_LEAF_THERE, leaf, hash);
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

/* Leaves without a text, up to `end`: hashes alone. */
static int walk_gone(struct leaf_walk *walk, uint64_t end)
{
    uint8_t hash[LEAF_HASH_BYTES];
    int rc = 0;
    for (; !rc && walk->next < end; walk->next++) {
        if (walk->next < walk->from || !walk->gone)
            continue;
        rc = leaf_hash(walk->read, walk->next, hash);
        if (!rc)
            rc = tell(walk, walk->next, walk->state, SPAN_EMPTY, hash);
    }
    return rc;
}

static int walk_from(struct leaf_walk *walk, uint64_t first, struct span sealed)
{
    struct store *store = walk->read->store;
    struct buffer plain;
    /* A block that begins before what is asked for may end before it as well. */
    if (walk->next < first && first > walk->from) {
        uint64_t start = walk->next > walk->from ? walk->next : walk->from;
        walk->next = start;
        int rc = walk_gone(walk, first);
        if (rc)
            return rc;
    }
    buffer_init(&plain, READ_PLAIN_MAX);
    int result = store->config.open(store->config.seal_ctx, STORE_SEAL_LEAF, first, sealed, &plain);
    if (!result)
        result = plain.error;
    /* What a block held that does not open is told of when the next shows where it ended. */
    const bool damaged = result == SLUIS_ECRYPTO || result == SLUIS_EINVAL;
    walk->state = damaged ? STORE_LEAF_DAMAGED : STORE_LEAF_GONE;
    if (!result)
        result = walk_block(walk, first, buffer_span(&plain));
    else if (result == SLUIS_EEXPIRED || (walk->any && damaged))
        result = 0;
    buffer_free(&plain);
    return result;
}

static int walk_leaves(struct leaf_walk *walk)
{
    struct store *store = walk->read->store;
    uint64_t size = walk->size;
    MDB_cursor *cursor;
    MDB_val key, value;

    int rc = mdb_cursor_open(walk->read->txn, store->dbi[DB_LEAF], &cursor);
    if (rc)
        return env_error(rc);
    walk->read->walks++;
    int result = 0;
    rc = seek_block(cursor, walk->from, &key, &value);
    while (!rc && !result) {
        result = key.mv_size == 8 ? walk_from(walk, be64_get(key.mv_data), span_of_val(value))
                                  : SLUIS_EIO;
        if (!result)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (!result && rc == MDB_NOTFOUND) {
        if (walk->next < walk->from)
            walk->next = walk->from;
        result = walk_gone(walk, size);
    }
    walk->read->walks--;
    if (result)
        return result > 0 ? 0 : result;
    return rc == MDB_NOTFOUND ? 0 : env_error(rc);
}

int store_each_leaf(struct store_read *read, uint64_t from_index,
                    int (*each)(void *ctx, uint64_t index, struct span leaf,
                                const uint8_t hash[32]),
                    void *ctx)
{
    struct leaf_walk walk = {.read = read, .from = from_index, .each = each, .ctx = ctx};
    return walk_leaves(&walk);
}

/* Leaves in this transaction: the last row of hashes tells. */
static int leaves_in(struct store_read *read, uint64_t *size)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_cursor_open(read->txn, read->store->dbi[DB_LEAF_HASH], &cursor);
    if (rc)
        return env_error(rc);
    rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    *size = rc || key.mv_size != 8
                ? 0
                : be64_get(key.mv_data) * LEAF_HASHES_PER_ROW + value.mv_size / LEAF_HASH_BYTES;
    mdb_cursor_close(cursor);
    return rc && rc != MDB_NOTFOUND ? env_error(rc) : 0;
}

int store_each_leaf_or_hash(struct store_read *read, uint64_t from_index,
                            int (*each)(void *ctx, uint64_t index, struct span leaf,
                                        const uint8_t hash[32]),
                            void *ctx)
{
    struct leaf_walk walk = {
        .read = read, .from = from_index, .gone = true, .each = each, .ctx = ctx};
    int rc = leaves_in(read, &walk.size);
    return rc ? rc : walk_leaves(&walk);
}

int store_each_leaf_state(struct store_read *read, uint64_t from_index,
                          int (*each)(void *ctx, uint64_t index, enum store_leaf_state state,
                                      struct span leaf, const uint8_t hash[32]),
                          void *ctx)
{
    struct leaf_walk walk = {
        .read = read, .from = from_index, .gone = true, .any = each, .ctx = ctx};
    int rc = leaves_in(read, &walk.size);
    return rc ? rc : walk_leaves(&walk);
}

/* ---- pruning ---- */

#define PRUNE_MAX 256u  /* blocks of one job */
#define PRUNE_LOOK 512u /* blocks opened for it: some milliseconds */

struct prune {
    struct store_job job;
    uint8_t key[PRUNE_MAX][8];
    unsigned count;
};

static int run_prune(struct store_txn *txn, struct store_job *job)
{
    const struct prune *p = (const struct prune *)job;
    for (unsigned i = 0; i < p->count; i++)
        txn_delete(txn, txn->store->dbi[DB_LEAF], p->key[i], sizeof(p->key[i]));
    return store_txn_error(txn);
}

/* The oldest blocks that do not open any more, from store->prune_from on; what opens is passed by:
 * leaves of before the term, or of a start, stand under no bucket. The newest block always stays:
 * commits append. */
static int find_prunable(struct store_read *read, struct prune *p, unsigned most)
{
    struct store *store = read->store;
    struct buffer plain;
    MDB_cursor *cursor;
    MDB_val key, value, next;
    uint8_t from[8];
    int rc = mdb_cursor_open(read->txn, store->dbi[DB_LEAF], &cursor);
    if (rc)
        return env_error(rc);
    buffer_init(&plain, READ_PLAIN_MAX);
    be64_put(from, atomic_load(&store->prune_from));
    key = val_of(from, sizeof(from));
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    for (unsigned i = 0; !rc && p->count < most && i < PRUNE_LOOK && key.mv_size == 8; i++) {
        uint64_t first = be64_get(key.mv_data);
        int r = store->config.open(store->config.seal_ctx, STORE_SEAL_LEAF, first,
                                   span_of_val(value), &plain);
        buffer_clear(&plain);
        rc = mdb_cursor_get(cursor, &key, &next, MDB_NEXT);
        if (rc)
            break;
        value = next;
        if (r == SLUIS_EEXPIRED)
            be64_put(p->key[p->count++], first);
        atomic_store(&store->prune_from, be64_get(key.mv_data));
    }
    if (rc) /* the end: from the beginning next time */
        atomic_store(&store->prune_from, 0);
    buffer_free(&plain);
    mdb_cursor_close(cursor);
    return rc && rc != MDB_NOTFOUND ? env_error(rc) : 0;
}

int store_prune_leaves(struct store *store, unsigned most, unsigned *removed)
{
    struct prune p = {.job = {.priority = STORE_PURGE, .run = run_prune}};
    struct store_read *read;
    *removed = 0;
    int r = store_read_begin(store, &read);
    if (r)
        return r;
    r = find_prunable(read, &p, most < PRUNE_MAX ? most : PRUNE_MAX);
    store_read_end(read);
    if (r || p.count == 0)
        return r;
    r = store_submit_wait(store, &p.job);
    if (!r)
        *removed = p.count;
    else
        atomic_store(&store->prune_from, 0); /* they are there yet */
    return r;
}

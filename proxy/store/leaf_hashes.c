/* The hashes of the access log without its leaves: rows of 60, nothing is unsealed. */
#include "internal.h"

#include "sluis/base/encode.h"

/* One row's hashes from `from` on; the row must stand where the last one ended: commits leave no
 * gap. What LMDB itself cannot read is another error. */
static int each_row(const MDB_val *key, const MDB_val *value, uint64_t *from,
                    int (*each)(void *ctx, uint64_t index, const uint8_t (*hashes)[32], size_t n),
                    void *ctx)
{
    const uint8_t(*hashes)[LEAF_HASH_BYTES] = value->mv_data;
    size_t n = value->mv_size / LEAF_HASH_BYTES, skip = *from % LEAF_HASHES_PER_ROW;

    if (key->mv_size != 8 || be64_get(key->mv_data) != *from / LEAF_HASHES_PER_ROW ||
        n * LEAF_HASH_BYTES != value->mv_size || n > LEAF_HASHES_PER_ROW)
        return SLUIS_ECRYPTO;
    if (skip >= n)
        return 0;
    int rc = each(ctx, *from, hashes + skip, n - skip);
    *from += n - skip;
    return rc;
}

int store_each_leaf_hash(struct store_read *read, uint64_t from_index,
                         int (*each)(void *ctx, uint64_t index, const uint8_t (*hashes)[32],
                                     size_t n),
                         void *ctx)
{
    uint8_t bytes[8];
    MDB_cursor *cursor;
    MDB_val value;

    int rc = mdb_cursor_open(read->txn, read->store->dbi[DB_LEAF_HASH], &cursor);
    if (rc)
        return env_error(rc);
    read->walks++;
    be64_put(bytes, from_index / LEAF_HASHES_PER_ROW);
    MDB_val key = val_of(bytes, sizeof(bytes));
    int result = 0;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (!rc && !result) {
        result = each_row(&key, &value, &from_index, each, ctx);
        if (!result)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    read->walks--;
    if (result)
        return result > 0 ? 0 : result;
    return rc == MDB_NOTFOUND ? 0 : env_error(rc);
}

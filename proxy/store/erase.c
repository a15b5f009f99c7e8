/* What erasure and purge need: walks over keys, single rows, and journal blocks that are past. */
#include "internal.h"

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"

int store_each_key(struct store_read *read, uint16_t cls, uint32_t bucket, uint64_t serial,
                   int (*each)(void *ctx, const struct record_id *id), void *ctx)
{
    uint8_t from[RECORD_KEY_BYTES];
    struct record_id id = {.cls = cls, .bucket = bucket, .serial = serial};
    MDB_cursor *cursor;
    MDB_val value;
    int result = 0;

    if (cls == 0 || cls > STORE_CLASSES_MAX)
        return SLUIS_EINVAL;
    if (!read->class_dbi[cls])
        return 0;
    int rc = mdb_cursor_open(read->txn, read->class_dbi[cls], &cursor);
    if (rc)
        return env_error(rc);
    read->walks++;
    layout_record_key(&id, 0, from);
    MDB_val key = val_of(from, sizeof(from));
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (!rc && !result) {
        const uint8_t *k = key.mv_data;
        if (key.mv_size != RECORD_KEY_BYTES) {
            result = SLUIS_EIO;
        } else if (k[RECORD_PREFIX_BYTES] == 0) { /* the first row of a record */
            id.bucket = be32_get(k);
            id.serial = be64_get(k + 4);
            id.part = k[12];
            result = each(ctx, &id);
        }
        if (!result)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    read->walks--;
    if (result)
        return result > 0 ? 0 : result;
    return rc == MDB_NOTFOUND ? 0 : env_error(rc);
}

int store_each_identifier_of(struct store_read *read, const uint8_t from[STORE_HASH_BYTES],
                             int (*each)(void *ctx, const uint8_t hash[STORE_HASH_BYTES],
                                         uint64_t subject, uint8_t key),
                             void *ctx)
{
    MDB_cursor *cursor;
    MDB_val value;
    int result = 0;

    int rc = mdb_cursor_open(read->txn, read->store->dbi[DB_IDENTIFIER], &cursor);
    if (rc)
        return env_error(rc);
    read->walks++;
    MDB_val key = val_of(from, STORE_HASH_BYTES);
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (!rc && !result) {
        struct store_identifier row;
        result = key.mv_size == STORE_HASH_BYTES
                     ? layout_identifier_parse(span_of(value.mv_data, value.mv_size), &row)
                     : SLUIS_EIO;
        if (!result)
            result = each(ctx, key.mv_data, row.subject, row.key);
        if (!result)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    read->walks--;
    if (result)
        return result > 0 ? 0 : result;
    return rc == MDB_NOTFOUND ? 0 : env_error(rc);
}

struct each_plain {
    int (*each)(void *ctx, const uint8_t hash[STORE_HASH_BYTES], uint64_t subject);
    void *ctx;
};

static int each_plain(void *ctx, const uint8_t hash[STORE_HASH_BYTES], uint64_t subject,
                      uint8_t key)
{
    const struct each_plain *e = ctx;
    (void)key;
    return e->each(e->ctx, hash, subject);
}

int store_each_identifier(struct store_read *read, const uint8_t from[STORE_HASH_BYTES],
                          int (*each)(void *ctx, const uint8_t hash[STORE_HASH_BYTES],
                                      uint64_t subject),
                          void *ctx)
{
    struct each_plain e = {each, ctx};
    return store_each_identifier_of(read, from, each_plain, &e);
}

void store_delete_rows(struct store_txn *txn, enum store_table table, struct span prefix)
{
    MDB_cursor *cursor;
    MDB_val value;
    unsigned n = 0;

    if (txn->error)
        return;
    if (prefix.n == 0 || prefix.n > STORE_KEY_MAX || table == 0 || table >= STORE_TABLE_COUNT) {
        store_txn_fail(txn, SLUIS_EINVAL);
        return;
    }
    int rc = mdb_cursor_open(txn->txn, txn->store->dbi[layout_db_of_table(table)], &cursor);
    if (rc) {
        txn_lmdb_fail(txn, rc);
        return;
    }
    MDB_val key = val_of(prefix.p, prefix.n);
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (!rc && key.mv_size >= prefix.n && memcmp(key.mv_data, prefix.p, prefix.n) == 0) {
        if (n++ == STORE_DELETE_ROWS) {
            store_txn_fail(txn, SLUIS_ELIMIT);
            break;
        }
        txn->changed = true;
        rc = mdb_cursor_del(cursor, 0);
        if (!rc)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (rc && rc != MDB_NOTFOUND)
        txn_lmdb_fail(txn, rc);
}

void store_delete_identifier(struct store_txn *txn, const uint8_t hash[STORE_HASH_BYTES])
{
    txn_delete(txn, txn->store->dbi[DB_IDENTIFIER], hash, STORE_HASH_BYTES);
}

bool store_delete_head(struct store_txn *txn, uint16_t channel, uint64_t subject, uint64_t serial)
{
    uint8_t key[HEAD_KEY_BYTES];
    const uint8_t none[8] = {0};
    struct span old;

    if (txn->error)
        return false;
    layout_head_key(channel, subject, key);
    uint64_t head = recent_find(txn, RECENT_HEAD, key, &old) ? be64_get((const uint8_t *)old.p) : 0;
    if (head && serial && head != serial)
        return false;
    /* A zero goes the way of every head, and takes the row away when it comes to the tree. */
    if (head)
        recent_put(txn, RECENT_HEAD, key, none);
    return true;
}

/* ---- journal ---- */

static void index_remove(struct store_txn *txn, uint64_t serial, uint64_t block)
{
    uint8_t key[8], row[INDEX_VALUE_MAX];
    MDB_dbi dbi = txn->store->dbi[DB_JOURNAL_INDEX];
    struct span old = SPAN_EMPTY;
    size_t n = 0;

    be64_put(key, serial / INDEX_SPAN);
    if (!txn_get(txn, dbi, key, sizeof(key), &old))
        return; /* an earlier item of the block took the row */
    if (old.n > INDEX_VALUE_MAX || old.n % INDEX_PAIR_BYTES != 0) {
        store_txn_fail(txn, SLUIS_EIO);
        return;
    }
    for (size_t i = 0; i < old.n; i += INDEX_PAIR_BYTES) {
        const uint8_t *pair = (const uint8_t *)old.p + i;
        if (be64_get(pair) == block)
            continue;
        memcpy(row + n, pair, INDEX_PAIR_BYTES);
        n += INDEX_PAIR_BYTES;
    }
    if (n == old.n)
        return;
    if (n)
        txn_put(txn, dbi, key, sizeof(key), span_of(row, n), 0);
    else
        txn_delete(txn, dbi, key, sizeof(key));
}

/* 1 when the block's items all stand at or before `to` and it was removed, 0 when not. */
static int remove_block(struct store_txn *txn, MDB_cursor *cursor, uint64_t block,
                        struct span sealed, uint64_t to)
{
    struct store *store = txn->store;
    struct layout_block walk;
    struct store_item item = {.order = 0};
    int rc;

    buffer_clear(&txn->plain);
    rc = store->config.open(store->config.seal_ctx, STORE_SEAL_JOURNAL, block, sealed, &txn->plain);
    if (!rc)
        rc = txn->plain.error;
    if (!rc)
        rc = layout_block_open(buffer_span(&txn->plain), block, &walk);
    while (!rc && (rc = layout_block_next(&walk, &item)) == 1)
        rc = 0;
    if (rc)
        return rc;
    if (item.order > to)
        return 0;
    rc = layout_block_open(buffer_span(&txn->plain), block, &walk);
    while (!rc && (rc = layout_block_next(&walk, &item)) == 1) {
        index_remove(txn, item.serial, block);
        rc = 0;
    }
    if (rc || txn->error)
        return rc;
    txn->changed = true;
    rc = mdb_cursor_del(cursor, 0);
    if (rc)
        txn_lmdb_fail(txn, rc);
    return 1;
}

void store_sweep_journal(struct store_txn *txn, uint64_t from, uint64_t to, struct store_sweep *out)
{
    int64_t until = clock_mono_us() + STORE_SWEEP_MS * 1000;
    uint8_t start[8], last[8];
    MDB_cursor *cursor;
    MDB_val key, value;

    *out = (struct store_sweep){0, false};
    if (txn->error)
        return;
    MDB_dbi dbi = txn->store->dbi[DB_JOURNAL];
    int rc = mdb_cursor_open(txn->txn, dbi, &cursor);
    if (rc) {
        txn_lmdb_fail(txn, rc);
        return;
    }
    /* The last row stays: commit order goes on from it. */
    rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    if (!rc && key.mv_size == 8)
        memcpy(last, key.mv_data, 8);
    be64_put(start, from);
    key = val_of(start, sizeof(start));
    if (!rc)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (!rc && !txn->error && key.mv_size == 8 && be64_get(key.mv_data) <= to &&
           memcmp(key.mv_data, last, 8) < 0) {
        if (out->rows && clock_mono_us() >= until) {
            out->more = true;
            break;
        }
        int done = remove_block(txn, cursor, be64_get(key.mv_data), span_of_val(value), to);
        if (done < 0)
            store_txn_fail(txn, done);
        if (done <= 0)
            break;
        out->rows++;
        if (!txn->error)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (rc && rc != MDB_NOTFOUND)
        txn_lmdb_fail(txn, rc);
}

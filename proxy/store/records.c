/* Sealed records: one database per retention class. */
#include "internal.h"

static int load_end(struct store_txn *txn, MDB_dbi dbi, struct class_end *end)
{
    MDB_cursor *cursor;
    MDB_val key, value;

    int rc = mdb_cursor_open(txn->txn, dbi, &cursor);
    if (rc)
        return rc;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    end->empty = rc == MDB_NOTFOUND;
    if (!rc && key.mv_size != RECORD_KEY_BYTES)
        rc = MDB_CORRUPTED;
    if (!rc)
        memcpy(end->last, key.mv_data, RECORD_KEY_BYTES);
    mdb_cursor_close(cursor);
    end->known = rc == 0 || rc == MDB_NOTFOUND;
    return end->known ? 0 : rc;
}

/* Removes the rows of a record from `row` on. */
static void delete_rows(struct store_txn *txn, MDB_dbi dbi, const struct record_id *id,
                        unsigned row)
{
    uint8_t key[RECORD_KEY_BYTES];
    MDB_cursor *cursor;
    MDB_val value;

    layout_record_key(id, row, key);
    if (txn->error)
        return;
    int rc = mdb_cursor_open(txn->txn, dbi, &cursor);
    if (rc) {
        txn_lmdb_fail(txn, rc);
        return;
    }
    MDB_val k = val_of(key, sizeof(key));
    rc = mdb_cursor_get(cursor, &k, &value, MDB_SET_RANGE);
    while (!rc && k.mv_size == RECORD_KEY_BYTES &&
           memcmp(k.mv_data, key, RECORD_PREFIX_BYTES) == 0) {
        txn->changed = true;
        rc = mdb_cursor_del(cursor, 0);
        if (!rc)
            rc = mdb_cursor_get(cursor, &k, &value, MDB_NEXT); /* after a deletion: what followed */
    }
    mdb_cursor_close(cursor);
    if (rc && rc != MDB_NOTFOUND)
        txn_lmdb_fail(txn, rc);
}

void store_put_record(struct store_txn *txn, const struct record_id *id, struct span sealed)
{
    uint8_t key[RECORD_KEY_BYTES];

    if (sealed.n == 0 || sealed.n > STORE_RECORD_MAX)
        store_txn_fail(txn, sealed.n ? SLUIS_ELIMIT : SLUIS_EINVAL);
    MDB_dbi dbi = txn_class(txn, id->cls);
    if (txn->error)
        return;
    struct class_end *end = &txn->ends[id->cls];
    int rc = end->known ? 0 : load_end(txn, dbi, end);
    if (rc) {
        txn_lmdb_fail(txn, rc);
        return;
    }
    layout_record_key(id, 0, key);
    bool append = end->empty || memcmp(key, end->last, sizeof(key)) > 0;
    unsigned row = 0;
    for (; sealed.n > 0; row++) {
        struct span part = span_sub(sealed, 0, STORE_VALUE_MAX);
        key[RECORD_PREFIX_BYTES] = (uint8_t)row;
        txn_put(txn, dbi, key, sizeof(key), part, append ? MDB_APPEND : 0);
        sealed = span_from(sealed, part.n);
    }
    if (append) {
        memcpy(end->last, key, sizeof(key));
        end->empty = false;
    } else {
        /* An older version may have had more rows. */
        delete_rows(txn, dbi, id, row);
    }
}

void store_delete_record(struct store_txn *txn, const struct record_id *id)
{
    MDB_dbi dbi = txn_class(txn, id->cls);
    if (!txn->error)
        delete_rows(txn, dbi, id, 0);
}

int store_get_record(struct store_read *read, const struct record_id *id, struct arena *arena,
                     struct span *sealed)
{
    uint8_t key[RECORD_KEY_BYTES];
    MDB_cursor *cursor;
    MDB_val parts[RECORD_ROWS_MAX];
    size_t n = 0, total = 0;

    *sealed = SPAN_EMPTY;
    if (id->cls == 0 || id->cls > STORE_CLASSES_MAX)
        return SLUIS_EINVAL;
    if (!read->class_dbi[id->cls])
        return SLUIS_ENOENT;
    int rc = mdb_cursor_open(read->txn, read->class_dbi[id->cls], &cursor);
    if (rc)
        return env_error(rc);
    layout_record_key(id, 0, key);
    MDB_val k = val_of(key, sizeof(key));
    rc = mdb_cursor_get(cursor, &k, &parts[0], MDB_SET);
    while (!rc && n < RECORD_ROWS_MAX && k.mv_size == RECORD_KEY_BYTES &&
           memcmp(k.mv_data, key, RECORD_PREFIX_BYTES) == 0) {
        total += parts[n++].mv_size;
        if (n < RECORD_ROWS_MAX)
            rc = mdb_cursor_get(cursor, &k, &parts[n], MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (rc && rc != MDB_NOTFOUND)
        return env_error(rc);
    if (n == 0)
        return SLUIS_ENOENT;
    char *out = arena_try(arena, total);
    if (!out)
        return SLUIS_ENOMEM;
    *sealed = (struct span){out, total};
    for (size_t i = 0; i < n; i++) {
        memcpy(out, parts[i].mv_data, parts[i].mv_size);
        out += parts[i].mv_size;
    }
    return 0;
}

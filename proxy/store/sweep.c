/* Sweeps: ranges at the beginning of a table, a slice per job. */
#include "internal.h"

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"

/* Rows between two looks at the clock. */
#define LOOK_EVERY 32

/* Removes rows from the first on while their key begins with a number below `end`. */
static void sweep(struct store_txn *txn, MDB_dbi dbi, uint32_t end, struct store_sweep *out)
{
    int64_t until = clock_mono_us() + STORE_SWEEP_MS * 1000;
    MDB_cursor *cursor;
    MDB_val key, value;

    *out = (struct store_sweep){0, false};
    if (txn->error)
        return;
    int rc = mdb_cursor_open(txn->txn, dbi, &cursor);
    if (rc) {
        txn_lmdb_fail(txn, rc);
        return;
    }
    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (!rc && key.mv_size >= 4 && be32_get(key.mv_data) < end) {
        if (out->rows == STORE_SWEEP_ROWS ||
            (out->rows % LOOK_EVERY == LOOK_EVERY - 1 && clock_mono_us() >= until)) {
            out->more = true;
            break;
        }
        txn->changed = true;
        rc = mdb_cursor_del(cursor, 0);
        if (!rc) {
            out->rows++;
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        }
    }
    mdb_cursor_close(cursor);
    if (rc && rc != MDB_NOTFOUND)
        txn_lmdb_fail(txn, rc);
}

void store_sweep_class(struct store_txn *txn, uint16_t cls, uint32_t bucket,
                       struct store_sweep *out)
{
    *out = (struct store_sweep){0, false};
    MDB_dbi dbi = txn_class(txn, cls);
    if (dbi)
        sweep(txn, dbi, bucket, out);
}

void store_sweep_dedupe(struct store_txn *txn, uint32_t day, struct store_sweep *out)
{
    sweep(txn, txn->store->dbi[DB_DEDUPE], day, out);
    if (!txn->error && recent_has_day_before(txn, day))
        out->more = true;
}

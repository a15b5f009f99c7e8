/* Dedupe, identifiers, delivery cursors, pending deliveries, and the small tables of the rooms
 * above. */
#include "internal.h"

#include "sluis/base/encode.h"

bool store_dedupe_take(struct store_txn *txn, uint32_t day, const uint8_t hash[STORE_HASH_BYTES],
                       const struct record_id *where)
{
    uint8_t key[DEDUPE_KEY_BYTES], value[DEDUPE_VALUE_BYTES];
    struct span old;

    if (txn->error)
        return false;
    layout_dedupe_key(day, hash, key);
    layout_dedupe_value(where, value);
    if (recent_find(txn, RECENT_DEDUPE, key, &old))
        return false;
    recent_put(txn, RECENT_DEDUPE, key, value);
    return !txn->error;
}

int store_get_dedupe(struct store_read *read, uint32_t day, const uint8_t hash[STORE_HASH_BYTES],
                     struct record_id *where)
{
    uint8_t key[DEDUPE_KEY_BYTES], value[DEDUPE_VALUE_BYTES];

    layout_dedupe_key(day, hash, key);
    int rc = recent_get(read, RECENT_DEDUPE, key, value);
    return rc ? rc : layout_dedupe_parse(span_of(value, sizeof(value)), where);
}

static bool stands(struct store_txn *txn, const uint8_t hash[STORE_HASH_BYTES],
                   struct store_identifier *out)
{
    struct span old;

    if (!txn_get(txn, txn->store->dbi[DB_IDENTIFIER], hash, STORE_HASH_BYTES, &old))
        return false;
    if (layout_identifier_parse(old, out) != 0)
        store_txn_fail(txn, SLUIS_EIO);
    return !txn->error;
}

static void put_identifier(struct store_txn *txn, const uint8_t hash[STORE_HASH_BYTES],
                           const struct store_identifier *row)
{
    uint8_t value[IDENTIFIER_LONG];

    if (row->subject > IDENTIFIER_SUBJECT) {
        store_txn_fail(txn, SLUIS_ELIMIT);
        return;
    }
    size_t n = layout_identifier_value(row, value);
    txn_put(txn, txn->store->dbi[DB_IDENTIFIER], hash, STORE_HASH_BYTES, span_of(value, n), 0);
}

static bool tag_is_zero(const struct store_identifier *row)
{
    static const uint8_t none[STORE_TAG_BYTES];
    return memcmp(row->tag, none, sizeof(none)) == 0;
}

/* What of an older row of the same subject stays. */
static void keep(const struct store_identifier *old, struct store_identifier *row)
{
    if (row->heard < old->heard)
        row->heard = old->heard;
    if (tag_is_zero(row))
        memcpy(row->tag, old->tag, sizeof(row->tag));
}

static bool same(const struct store_identifier *a, const struct store_identifier *b)
{
    return a->subject == b->subject && a->key == b->key && a->heard == b->heard &&
           memcmp(a->tag, b->tag, sizeof(a->tag)) == 0;
}

void store_put_identifier_row(struct store_txn *txn, const uint8_t hash[STORE_HASH_BYTES],
                              const struct store_identifier *row, uint64_t was)
{
    struct store_identifier old, new = *row;

    bool there = stands(txn, hash, &old);
    if (there && old.subject != row->subject && (!was || old.subject != was)) {
        store_txn_fail(txn, SLUIS_EEXIST);
        return;
    }
    if (there && old.subject == row->subject) {
        keep(&old, &new);
        new.key = old.key;
    }
    if (!there || !same(&old, &new))
        put_identifier(txn, hash, &new);
}

void store_touch_identifier(struct store_txn *txn, const uint8_t hash[STORE_HASH_BYTES],
                            const struct store_identifier *row)
{
    struct store_identifier old;

    if (stands(txn, hash, &old) && old.subject == row->subject)
        store_put_identifier_row(txn, hash, row, 0);
}

void store_rehash_identifier(struct store_txn *txn, const uint8_t old_hash[STORE_HASH_BYTES],
                             const uint8_t hash[STORE_HASH_BYTES], uint64_t subject, uint32_t key)
{
    struct store_identifier row = {.subject = subject, .key = (uint8_t)key}, old;

    if (stands(txn, old_hash, &old) && old.subject == subject)
        keep(&old, &row);
    store_put_identifier_row(txn, hash, &row, 0);
}

void store_put_identifier_of(struct store_txn *txn, const uint8_t hash[STORE_HASH_BYTES],
                             uint64_t subject, uint32_t key)
{
    const struct store_identifier row = {.subject = subject, .key = (uint8_t)key};

    store_put_identifier_row(txn, hash, &row, 0);
}

void store_put_identifier(struct store_txn *txn, const uint8_t hash[STORE_HASH_BYTES],
                          uint64_t subject)
{
    store_put_identifier_of(txn, hash, subject, 0);
}

static int get_u64(struct store_read *read, enum db db, const void *key, size_t n, uint64_t *out)
{
    struct span value;

    int rc = read_get(read, read->store->dbi[db], key, n, &value);
    if (rc)
        return rc;
    if (value.n != 8)
        return SLUIS_EIO;
    *out = be64_get((const uint8_t *)value.p);
    return 0;
}

int store_get_identifier_row(struct store_read *read, const uint8_t hash[STORE_HASH_BYTES],
                             struct store_identifier *out)
{
    struct span value;

    int rc = read_get(read, read->store->dbi[DB_IDENTIFIER], hash, STORE_HASH_BYTES, &value);
    return rc ? rc : layout_identifier_parse(value, out);
}

int store_get_identifier(struct store_read *read, const uint8_t hash[STORE_HASH_BYTES],
                         uint64_t *subject)
{
    struct store_identifier row;

    int rc = store_get_identifier_row(read, hash, &row);
    if (rc == 0)
        *subject = row.subject;
    return rc;
}

void store_put_cursor(struct store_txn *txn, uint16_t route, uint64_t serial)
{
    uint8_t key[CURSOR_KEY_BYTES], value[8];

    be16_put(key, route);
    be64_put(value, serial);
    txn_put(txn, txn->store->dbi[DB_CURSOR], key, sizeof(key), span_of(value, sizeof(value)), 0);
}

int store_get_cursor(struct store_read *read, uint16_t route, uint64_t *serial)
{
    uint8_t key[CURSOR_KEY_BYTES];

    be16_put(key, route);
    return get_u64(read, DB_CURSOR, key, sizeof(key), serial);
}

void store_put_pending(struct store_txn *txn, const struct store_pending *pending)
{
    uint8_t key[PENDING_KEY_BYTES], value[PENDING_VALUE_BYTES];

    layout_pending_key(pending->route, pending->serial, key);
    layout_pending_value(pending, value);
    txn_put(txn, txn->store->dbi[DB_PENDING], key, sizeof(key), span_of(value, sizeof(value)), 0);
}

void store_delete_pending(struct store_txn *txn, uint16_t route, uint64_t serial)
{
    uint8_t key[PENDING_KEY_BYTES];

    layout_pending_key(route, serial, key);
    txn_delete(txn, txn->store->dbi[DB_PENDING], key, sizeof(key));
}

/* Walks a database from a key; `row` returns 0 to go on, 1 to stop, or an error. */
static int each_from(struct store_read *read, MDB_dbi dbi, struct span from,
                     int (*row)(void *ctx, struct span key, struct span value), void *ctx)
{
    MDB_cursor *cursor;
    MDB_val value;
    int result = 0;

    int rc = mdb_cursor_open(read->txn, dbi, &cursor);
    if (rc)
        return env_error(rc);
    read->walks++;
    MDB_val key = val_of(from.p, from.n);
    rc = mdb_cursor_get(cursor, &key, &value, from.n ? MDB_SET_RANGE : MDB_FIRST);
    while (!rc && !result) {
        result = row(ctx, span_of_val(key), span_of_val(value));
        if (!result)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    read->walks--;
    if (result)
        return result > 0 ? 0 : result;
    return rc == MDB_NOTFOUND ? 0 : env_error(rc);
}

struct pending_walk {
    uint16_t route;
    int (*each)(void *ctx, const struct store_pending *pending);
    void *ctx;
};

static int pending_row(void *ctx, struct span key, struct span value)
{
    struct pending_walk *walk = ctx;
    struct store_pending pending;

    int rc = layout_pending_parse(key, value, &pending);
    if (rc)
        return SLUIS_EIO;
    if (pending.route != walk->route)
        return 1;
    return walk->each(walk->ctx, &pending);
}

int store_each_pending(struct store_read *read, uint16_t route, uint64_t from_serial,
                       int (*each)(void *ctx, const struct store_pending *pending), void *ctx)
{
    struct pending_walk walk = {route, each, ctx};
    uint8_t key[PENDING_KEY_BYTES];

    layout_pending_key(route, from_serial, key);
    return each_from(read, read->store->dbi[DB_PENDING], span_of(key, sizeof(key)), pending_row,
                     &walk);
}

static bool table_known(enum store_table table)
{
    return table >= STORE_TABLE_PRINCIPAL && table < STORE_TABLE_COUNT;
}

void store_put_row(struct store_txn *txn, enum store_table table, struct span key,
                   struct span value)
{
    if (!table_known(table) || key.n == 0 || key.n > STORE_KEY_MAX) {
        store_txn_fail(txn, SLUIS_EINVAL);
        return;
    }
    if (value.n > STORE_VALUE_MAX || key.n + value.n > STORE_ROW_MAX) {
        store_txn_fail(txn, SLUIS_ELIMIT);
        return;
    }
    MDB_dbi dbi = txn->store->dbi[layout_db_of_table(table)];
    if (value.n == 0)
        txn_delete(txn, dbi, key.p, key.n);
    else
        txn_put(txn, dbi, key.p, key.n, value, 0);
}

bool store_delete_row_as(struct store_txn *txn, enum store_table table, struct span key,
                         struct span begins)
{
    struct span now;

    if (!table_known(table) || key.n == 0 || key.n > STORE_KEY_MAX) {
        store_txn_fail(txn, SLUIS_EINVAL);
        return false;
    }
    MDB_dbi dbi = txn->store->dbi[layout_db_of_table(table)];
    if (!txn_get(txn, dbi, key.p, key.n, &now) || !span_starts(now, begins))
        return false;
    txn_delete(txn, dbi, key.p, key.n);
    return !txn->error;
}

bool store_put_row_as(struct store_txn *txn, enum store_table table, struct span key,
                      struct span begins, struct span value)
{
    if (!store_delete_row_as(txn, table, key, begins))
        return false;
    store_put_row(txn, table, key, value);
    return !store_txn_error(txn);
}

int store_get_row(struct store_read *read, enum store_table table, struct span key,
                  struct arena *arena, struct span *value)
{
    struct span found;

    *value = SPAN_EMPTY;
    if (!table_known(table) || key.n == 0 || key.n > STORE_KEY_MAX)
        return SLUIS_EINVAL;
    int rc = read_get(read, read->store->dbi[layout_db_of_table(table)], key.p, key.n, &found);
    return rc ? rc : arena_try_copy(arena, found, value);
}

int store_each_row(struct store_read *read, enum store_table table, struct span from_key,
                   int (*each)(void *ctx, struct span key, struct span value), void *ctx)
{
    if (!table_known(table) || from_key.n > STORE_KEY_MAX)
        return SLUIS_EINVAL;
    return each_from(read, read->store->dbi[layout_db_of_table(table)], from_key, each, ctx);
}

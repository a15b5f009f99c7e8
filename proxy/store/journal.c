/*
 * The intake journal: what was accepted, in commit order.
 *
 * Items of one commit are packed into as few rows as fit and sealed; the key ("block" below) is the
 * commit order of the row's first item, so that walking the table is walking commit order. Serials
 * are given out before the commit, by several threads, so a later block may hold an earlier serial:
 * the index holds, per 64 serials, which blocks have which of them. It is exact, at most 1 KiB a
 * row, touched once or twice per commit, always near its end.
 */
#include "internal.h"

#include "sluis/base/encode.h"

/* ---- conversation heads ---- */

/* Sets the head and returns the one before, 0 for none. */
static uint64_t head_replace(struct store_txn *txn, const struct store_item *item)
{
    uint8_t key[HEAD_KEY_BYTES], value[8];
    struct span old;
    uint64_t previous = 0;

    layout_head_key(item->channel, item->subject, key);
    if (recent_find(txn, RECENT_HEAD, key, &old))
        previous = be64_get((const uint8_t *)old.p);
    be64_put(value, item->serial);
    recent_put(txn, RECENT_HEAD, key, value);
    return previous;
}

void store_put_item(struct store_txn *txn, struct store_item *item)
{
    if (txn->error)
        return;
    if (item->serial == 0 || item->route_count > STORE_ROUTES_MAX) {
        store_txn_fail(txn, SLUIS_EINVAL);
        return;
    }
    if (txn->item_count == COMMIT_ITEMS_MAX) {
        store_txn_fail(txn, SLUIS_ELIMIT);
        return;
    }
    txn->changed = true;
    item->previous = head_replace(txn, item);
    item->order = txn->next_order + txn->item_count;
    if (!txn->error)
        txn->items[txn->item_count++] = *item;
}

/* ---- writing ---- */

/* Adds (block, bits) to the index row of a group; a serial written again moves to its newest block.
 */
static void index_add(struct store_txn *txn, uint64_t group, uint64_t block, uint64_t bits)
{
    uint8_t key[8], row[INDEX_VALUE_MAX + INDEX_PAIR_BYTES];
    MDB_dbi dbi = txn->store->dbi[DB_JOURNAL_INDEX];
    struct span old = SPAN_EMPTY;
    size_t n = 0;

    be64_put(key, group);
    if (txn_get(txn, dbi, key, sizeof(key), &old) &&
        (old.n > INDEX_VALUE_MAX || old.n % INDEX_PAIR_BYTES != 0)) {
        store_txn_fail(txn, SLUIS_EIO);
        return;
    }
    for (size_t i = 0; i < old.n; i += INDEX_PAIR_BYTES) {
        const uint8_t *pair = (const uint8_t *)old.p + i;
        uint64_t left = be64_get(pair + 8) & ~bits;
        if (left == 0)
            continue;
        memcpy(row + n, pair, 8);
        be64_put(row + n + 8, left);
        n += INDEX_PAIR_BYTES;
    }
    be64_put(row + n, block);
    be64_put(row + n + 8, bits);
    n += INDEX_PAIR_BYTES;
    txn_put(txn, dbi, key, sizeof(key), span_of(row, n), 0);
}

static void index_block(struct store_txn *txn, uint64_t block, const struct store_item *items,
                        size_t n)
{
    bool done[COMMIT_ITEMS_MAX] = {false};

    for (size_t i = 0; i < n; i++) {
        if (done[i])
            continue;
        uint64_t group = items[i].serial / INDEX_SPAN;
        uint64_t bits = 0;
        for (size_t k = i; k < n; k++) {
            if (items[k].serial / INDEX_SPAN != group)
                continue;
            bits |= UINT64_C(1) << items[k].serial % INDEX_SPAN;
            done[k] = true;
        }
        index_add(txn, group, block, bits);
    }
}

/* Seals the items [from, to) that stand in txn->plain as one row. */
static void put_block(struct store_txn *txn, size_t from, size_t to)
{
    struct store *store = txn->store;
    uint64_t block = txn->items[from].order;
    uint8_t key[8];

    buffer_clear(&txn->sealed);
    int rc = store->config.seal(store->config.seal_ctx, STORE_SEAL_JOURNAL, block,
                                buffer_span(&txn->plain), &txn->sealed);
    if (!rc)
        rc = txn->sealed.error;
    if (rc) {
        store_txn_fail(txn, rc);
        return;
    }
    be64_put(key, block);
    txn_put(txn, store->dbi[DB_JOURNAL], key, sizeof(key), buffer_span(&txn->sealed), MDB_APPEND);
    index_block(txn, block, txn->items + from, to - from);
}

void journal_flush(struct store_txn *txn)
{
    size_t from = 0;

    for (size_t i = 0; i < txn->item_count && !txn->error; i++) {
        if (i == from) {
            buffer_clear(&txn->plain);
            layout_block_begin(&txn->plain, &txn->items[from]);
        }
        size_t before = txn->plain.n;
        layout_item_add(&txn->plain, &txn->items[from], &txn->items[i]);
        if (txn->plain.error)
            store_txn_fail(txn, txn->plain.error);
        if (txn->plain.n > BLOCK_PLAIN_MAX) {
            txn->plain.n = before; /* this one opens the next row */
            put_block(txn, from, i);
            from = i--;
        } else if (i + 1 == txn->item_count) {
            put_block(txn, from, i + 1);
        }
    }
}

/* ---- reading ---- */

static int open_block(struct store *store, uint64_t block, struct span sealed, struct buffer *plain)
{
    buffer_clear(plain);
    int rc = store->config.open(store->config.seal_ctx, STORE_SEAL_JOURNAL, block, sealed, plain);
    return rc ? rc : plain->error;
}

/* Into the reader's buffer, which keeps the block of the last look-up. */
static int load_block(struct store_read *read, uint64_t block)
{
    uint8_t key[8];
    struct span sealed;

    if (read->have_block && read->block == block)
        return 0;
    be64_put(key, block);
    read->have_block = false;
    int rc = read_get(read, read->store->dbi[DB_JOURNAL], key, sizeof(key), &sealed);
    if (!rc)
        rc = open_block(read->store, block, sealed, &read->plain);
    read->block = block;
    read->have_block = rc == 0;
    return rc;
}

/* The block that holds a serial. */
static int find_block(struct store_read *read, uint64_t serial, uint64_t *block)
{
    uint8_t key[8];
    struct span row;

    be64_put(key, serial / INDEX_SPAN);
    int rc = read_get(read, read->store->dbi[DB_JOURNAL_INDEX], key, sizeof(key), &row);
    if (rc)
        return rc;
    for (size_t i = 0; i + INDEX_PAIR_BYTES <= row.n; i += INDEX_PAIR_BYTES) {
        const uint8_t *pair = (const uint8_t *)row.p + i;
        if (be64_get(pair + 8) >> serial % INDEX_SPAN & 1) {
            *block = be64_get(pair);
            return 0;
        }
    }
    return SLUIS_ENOENT;
}

int store_get_item(struct store_read *read, uint64_t serial, struct store_item *out)
{
    struct layout_block walk;
    uint64_t block;

    int rc = find_block(read, serial, &block);
    if (!rc)
        rc = load_block(read, block);
    if (!rc)
        rc = layout_block_open(buffer_span(&read->plain), read->block, &walk);
    if (rc)
        return rc;
    while ((rc = layout_block_next(&walk, out)) == 1)
        if (out->serial == serial)
            return 0;
    return rc ? rc : SLUIS_EIO; /* the index promised it */
}

int store_get_head(struct store_read *read, uint16_t channel, uint64_t subject, uint64_t *serial)
{
    uint8_t key[HEAD_KEY_BYTES], value[8];

    layout_head_key(channel, subject, key);
    int rc = recent_get(read, RECENT_HEAD, key, value);
    if (!rc)
        *serial = be64_get(value);
    return !rc && *serial == 0 ? SLUIS_ENOENT : rc; /* 0: store_delete_head */
}

/* Calls `each` for the items of the open block that stand at `from_order` or later. */
static int walk_block(struct span plain, uint64_t block, uint64_t from_order,
                      int (*each)(void *ctx, const struct store_item *item), void *ctx)
{
    struct layout_block walk;
    struct store_item item;

    int rc = layout_block_open(plain, block, &walk);
    if (rc)
        return rc;
    while ((rc = layout_block_next(&walk, &item)) == 1) {
        if (item.order < from_order)
            continue;
        if ((rc = each(ctx, &item)) != 0)
            return rc;
    }
    return rc;
}

/* Puts the cursor on the block that may hold `from_order`: the last one that begins at or before
 * it, else the first. An LMDB code. */
static int seek_order(MDB_cursor *cursor, uint64_t from_order, MDB_val *k, MDB_val *value)
{
    uint8_t key[8];

    be64_put(key, from_order);
    *k = val_of(key, sizeof(key));
    int rc = mdb_cursor_get(cursor, k, value, MDB_SET_RANGE);
    if (!rc && k->mv_size == 8 && be64_get(k->mv_data) == from_order)
        return 0;
    rc = mdb_cursor_get(cursor, k, value, rc ? MDB_LAST : MDB_PREV);
    return rc == MDB_NOTFOUND ? mdb_cursor_get(cursor, k, value, MDB_FIRST) : rc;
}

/* With `damaged`: blocks that do not open are passed over. */
static int walk_items(struct store_read *read, uint64_t from_order,
                      int (*each)(void *ctx, const struct store_item *item), void *ctx,
                      uint64_t *damaged)
{
    struct buffer plain; /* its own: `each` may look things up with the same reader */
    MDB_cursor *cursor;
    MDB_val k, value;

    int rc = mdb_cursor_open(read->txn, read->store->dbi[DB_JOURNAL], &cursor);
    if (rc)
        return env_error(rc);
    buffer_init(&plain, READ_PLAIN_MAX);
    read->walks++;
    rc = seek_order(cursor, from_order, &k, &value);
    int result = 0;
    while (!rc && !result) {
        uint64_t block = k.mv_size == 8 ? be64_get(k.mv_data) : 0;
        result = block ? open_block(read->store, block, span_of_val(value), &plain) : SLUIS_EIO;
        if (!result)
            result = walk_block(buffer_span(&plain), block, from_order, each, ctx);
        else if (damaged && (result == SLUIS_ECRYPTO || result == SLUIS_EINVAL)) {
            *damaged = block; /* its tag, or the version before it */
            result = 0;
        }
        if (!result)
            rc = mdb_cursor_get(cursor, &k, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    buffer_free(&plain);
    read->walks--;
    if (result)
        return result > 0 ? 0 : result;
    return rc == MDB_NOTFOUND ? 0 : env_error(rc);
}

int store_each_item(struct store_read *read, uint64_t from_order,
                    int (*each)(void *ctx, const struct store_item *item), void *ctx)
{
    return walk_items(read, from_order, each, ctx, NULL);
}

int store_each_readable(struct store_read *read, uint64_t from_order,
                        int (*each)(void *ctx, const struct store_item *item), void *ctx,
                        uint64_t *damaged)
{
    uint64_t last = 0;
    int result = walk_items(read, from_order, each, ctx, &last);
    if (damaged)
        *damaged = last;
    return result;
}

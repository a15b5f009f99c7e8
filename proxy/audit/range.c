/*
 * The compact range of the last pushed checkpoint, kept in the store so that a start need not hash
 * the whole log first. It is believed only when its root is that of the signed checkpoint.
 */
#include "log.h"

#include "sluis/base/encode.h"

#define RANGE_NODES_MAX 60 /* a row's value holds them; no log has 2^60 leaves */
#define RANGE_BYTES (8 + RANGE_NODES_MAX * MERKLE_HASH)
#define RANGE_KEY SPAN("audit-range")
#define CHECK_LEAVES 65536 /* leaves hashed in one read transaction */

struct save {
    struct store_job job;
    uint8_t bytes[RANGE_BYTES];
    size_t n;
};

static int put_range(struct store_txn *txn, struct store_job *job)
{
    const struct save *s = (const struct save *)job;
    store_put_row(txn, STORE_TABLE_SETTING, RANGE_KEY, span_of(s->bytes, s->n));
    return store_txn_error(txn);
}

int range_save(struct store *store, const struct merkle_range *range)
{
    struct save s = {.job = {.priority = STORE_NORMAL, .run = put_range}};
    if (range->count > RANGE_NODES_MAX)
        return SLUIS_ELIMIT;
    be64_put(s.bytes, range->size);
    s.n = 8 + range->count * MERKLE_HASH;
    memcpy(s.bytes + 8, range->node, range->count * MERKLE_HASH);
    return store_submit_wait(store, &s.job);
}

int range_load(struct store *store, struct merkle_range *range)
{
    struct store_read *read;
    struct arena arena;
    struct span value = SPAN_EMPTY;
    int r = store_read_begin(store, &read);
    if (r != 0)
        return r;
    arena_init(&arena, 2 * RANGE_BYTES);
    r = store_get_row(read, STORE_TABLE_SETTING, RANGE_KEY, &arena, &value);
    store_read_end(read);
    if (r == 0 && value.n >= 8 && value.n <= RANGE_BYTES) {
        range->size = be64_get((const uint8_t *)value.p);
        range->count = (unsigned)((value.n - 8) / MERKLE_HASH);
        memcpy(range->node, value.p + 8, value.n - 8);
    }
    if (r == 0 && (value.n < 8 || value.n > RANGE_BYTES || (value.n - 8) % MERKLE_HASH ||
                   range->count != (unsigned)__builtin_popcountll(range->size)))
        r = SLUIS_EINVAL;
    arena_free(&arena);
    return r;
}

struct check {
    struct merkle_range range;
    struct log_tree *tree;
    uint64_t to, stop;
};

static int check_hashes(void *ctx, uint64_t index, const uint8_t (*hashes)[32], size_t n)
{
    struct check *c = ctx;
    if (index != c->range.size)
        return SLUIS_EIO;
    for (size_t i = 0; i < n && c->range.size < c->to; i++) {
        int r = tree_add(c->tree, &c->range, hashes[i]);
        if (r)
            return r;
    }
    return c->range.size >= c->stop || c->range.size == c->to ? 1 : 0;
}

int range_check(struct store *store, uint64_t size, const uint8_t root[MERKLE_HASH],
                struct log_tree *tree, bool (*stop)(void *ctx), void *ctx)
{
    struct check c = {.tree = tree, .to = size};
    uint8_t found[MERKLE_HASH];
    while (c.range.size < size) {
        struct store_read *read;
        uint64_t before = c.range.size;
        if (stop(ctx))
            return SLUIS_ECLOSED;
        int r = store_read_begin(store, &read);
        if (r != 0)
            return r;
        c.stop = before + CHECK_LEAVES;
        r = store_each_leaf_hash(read, before, check_hashes, &c);
        store_read_end(read);
        if (r != 0)
            return r;
        if (c.range.size == before)
            return SLUIS_ECRYPTO; /* fewer leaves than there were */
    }
    merkle_range_root(&c.range, found);
    return memcmp(found, root, MERKLE_HASH) == 0 ? 0 : SLUIS_ECRYPTO;
}

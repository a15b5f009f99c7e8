/*
 * The tree of the running log: its range, and the root of every AUDIT_PAGE_LEAVES leaves, which
 * are made once, of what was committed, and held in memory (32 bytes for each 8,192 leaves). What
 * the store holds later is compared with them: a block at a time, so that no proof hashes the log.
 */
#include "log.h"

#include <stdlib.h>

/* The root of the block that `hash` is the last leaf of: the range holds what came before it, one
 * subtree for each level. */
static void close_block(const struct merkle_range *range, const uint8_t hash[MERKLE_HASH],
                        uint8_t out[MERKLE_HASH])
{
    unsigned at = range->count;
    memcpy(out, hash, MERKLE_HASH);
    for (uint64_t below = AUDIT_PAGE_LEAVES; below > 1; below /= 2)
        merkle_node(range->node[--at], out, out);
}

int tree_add(struct log_tree *tree, struct merkle_range *range, const uint8_t hash[MERKLE_HASH])
{
    if (range->size % AUDIT_PAGE_LEAVES == AUDIT_PAGE_LEAVES - 1) {
        size_t number = range->size / AUDIT_PAGE_LEAVES;
        if (number >= tree->room) {
            size_t room = 2 * number + 8;
            uint8_t(*wider)[MERKLE_HASH] = realloc(tree->block, room * sizeof(*wider));
            if (!wider)
                return SLUIS_ENOMEM;
            tree->block = wider;
            tree->room = room;
        }
        close_block(range, hash, tree->block[number]);
        tree->count = number + 1;
    }
    return merkle_range_add(range, 0, hash);
}

struct walk {
    struct audit_log *log;
    uint64_t at; /* a size to take the root of */
    uint8_t *root;
    bool seen;
};

static int add_hashes(void *ctx, uint64_t index, const uint8_t (*hashes)[32], size_t n)
{
    struct walk *w = ctx;
    struct merkle_range *range = &w->log->range;
    if (index != range->size)
        return SLUIS_EIO;
    for (size_t i = 0; i < n; i++) {
        int r = tree_add(&w->log->tree, range, hashes[i]);
        if (r)
            return r;
        if (range->size == w->at) {
            merkle_range_root(range, w->root);
            w->seen = true;
        }
    }
    return 0;
}

int tree_follow(struct audit_log *log, uint64_t at, uint8_t root[MERKLE_HASH], bool *seen)
{
    struct walk w = {.log = log, .at = at, .root = root};
    struct store_read *read;
    int r = store_read_begin(log->store, &read);
    if (r == 0) {
        r = store_each_leaf_hash(read, log->range.size, add_hashes, &w);
        store_read_end(read);
    }
    if (seen)
        *seen = w.seen;
    return r;
}

int tree_join(struct log_tree *tree, const struct log_tree *first)
{
    if (first->count > tree->room) {
        uint8_t(*wider)[MERKLE_HASH] = realloc(tree->block, first->count * sizeof(*wider));
        if (!wider)
            return SLUIS_ENOMEM;
        tree->block = wider;
        tree->room = first->count;
    }
    if (first->count)
        memcpy(tree->block, first->block, first->count * sizeof(*tree->block));
    tree->count = tree->count > first->count ? tree->count : first->count;
    return 0;
}

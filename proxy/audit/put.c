#include "leaf.h"

#include <sodium.h>

void audit_put(struct store_txn *txn, const struct audit_event *event)
{
    struct buffer leaf;
    uint8_t hash[32];
    uint64_t index;
    buffer_init(&leaf, AUDIT_LEAF_MAX);
    int result = audit_leaf(event, &leaf, hash);
    if (result)
        store_txn_fail(txn, result);
    else
        store_put_leaf(txn, buffer_span(&leaf), hash, &index);
    buffer_free(&leaf);
}

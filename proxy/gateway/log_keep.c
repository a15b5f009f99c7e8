/*
 * The access log's own term (`log: keep` of the policies): the longest of them, and none when one
 * of them has none. Leaves are sealed under a bucket of their class; when it ends, purge destroys
 * its key with the others, and what is left of a leaf is its hash.
 */
#include "internal.h"

#include "sluis/base/clock.h"

#define PRUNE_BLOCKS 64 /* removed in one turn: a commit of some milliseconds */

static int64_t longest(const struct config *config)
{
    int64_t keep_s = 0;
    for (size_t i = 0; i < config->channel_count; i++) {
        int64_t one = policy_log_keep_s(config->channels[i].policy);
        if (one == 0)
            return 0;
        keep_s = one > keep_s ? one : keep_s;
    }
    return keep_s;
}

static int place_now(struct gateway *gw, int64_t keep_s)
{
    struct retention_place place;
    int r = keep_s ? retention_place_log(gw->store, keep_s, clock_wall_ms(), &place) : 0;
    if (r == 0)
        atomic_store(&gw->seal.log_place, keep_s ? (uint64_t)place.cls << 32 | place.bucket : 0);
    return r;
}

int log_keep_set(struct gateway *gw, const struct config *config)
{
    int64_t keep_s = longest(config);
    int r = keep_s ? retention_prepare_log(gw->store, keep_s) : 0;
    return r ? r : place_now(gw, keep_s);
}

void log_keep_turn(void *ctx)
{
    struct gateway *gw = ctx;
    unsigned removed = 0;
    if (!gw->cell)
        return;
    struct config *config = config_acquire(gw->cell);
    int r = place_now(gw, longest(config));
    config_unref(config);
    if (r == 0)
        r = store_prune_leaves(gw->store, PRUNE_BLOCKS, &removed);
    if (r != 0)
        LOG(LOG_WARN, "audit", "not_pruned", log_error(r));
    else if (removed)
        LOG(LOG_INFO, "audit", "pruned", log_u64("blocks", removed));
}

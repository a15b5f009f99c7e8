/*
 * Retention: from a policy's rule and a message's own timestamp to a class and an expiry bucket.
 *
 * Bucket width follows the class: an hour up to 31 days, a day up to 2 years, a month (UTC) beyond.
 * A maximum class rounds to the earlier bucket end, a minimum class to the later.
 *
 * Threads: retention_prepare at start and reload (it may commit); retention_place any.
 */
#ifndef SLUIS_RETENTION_H
#define SLUIS_RETENTION_H

#include "sluis/policy.h"
#include "sluis/store.h"

/* Gives every class of the policy its number in the store. */
SLUIS_MUST_CHECK int retention_prepare(struct store *store, const struct policy *policy);

struct retention_place {
    bool never;        /* not written at all */
    bool expired;      /* the bucket has ended at `now_ms`: not stored */
    uint16_t cls;
    uint32_t bucket;
    int64_t ends_ms;   /* when the bucket's key is destroyed */
};
/* SLUIS_ENOENT when the class was not prepared. */
SLUIS_MUST_CHECK int retention_place(struct store *store, const struct retention_rule *rule,
                                     enum retention_part part, int64_t at_ms, int64_t now_ms,
                                     struct retention_place *out);
/* When the bucket of a class ends (wall ms); the class's name carries its width. SLUIS_ENOENT. */
SLUIS_MUST_CHECK int retention_bucket_end(struct store *store, uint16_t cls, uint32_t bucket,
                                          int64_t *ends_ms);

#endif

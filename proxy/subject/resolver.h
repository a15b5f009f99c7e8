/* Inside the subject room. */
#ifndef SLUIS_SUBJECT_RESOLVER_H
#define SLUIS_SUBJECT_RESOLVER_H

#include "cache.h"

#include <pthread.h>
#include <stdatomic.h>

struct subject_resolver {
    struct store *store;
    struct keyring *keyring;
    _Atomic unsigned refs;
    pthread_mutex_t lock; /* of the cache */
    struct cache cache;
    struct keyring_cache *keys; /* for sealing records */
    /* With new identifiers, not settled: [1] resolved under the newest index key, [0] before. */
    uint32_t key;
    unsigned open[2];
    _Atomic int64_t last_erased_ms; /* nobody was erased after this: most messages need no look */
};

/* record.c: what is hashed and kept of an identifier: itself, or what stands for one too long */
struct span identifier_text(struct span identifier, char out[SUBJECT_IDENTIFIER_MAX]);

/* tombstone.c */
SLUIS_MUST_CHECK int tombstone_load(struct subject_resolver *resolver);

#endif

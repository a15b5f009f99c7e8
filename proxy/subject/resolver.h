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
    _Atomic int64_t last_erased_ms; /* nobody was erased after this: most messages need no look */
};

/* tombstone.c */
SLUIS_MUST_CHECK int tombstone_load(struct subject_resolver *resolver);

#endif

/* Inside the subject room. */
#ifndef SLUIS_SUBJECT_RESOLVER_H
#define SLUIS_SUBJECT_RESOLVER_H

#include "cache.h"

struct subject_resolver {
    struct store *store;
    struct keyring *keyring;
    struct cache cache;
    int64_t last_erased_ms; /* nobody was erased after this: most messages need no look */
};

/* tombstone.c */
SLUIS_MUST_CHECK int tombstone_load(struct subject_resolver *resolver);

#endif

/* Inside the subject room. */
#ifndef SLUIS_SUBJECT_RESOLVER_H
#define SLUIS_SUBJECT_RESOLVER_H

#include "cache.h"

#include <pthread.h>
#include <stdatomic.h>

#define DAY_MS ((int64_t)24 * 3600 * 1000)

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

/* One identifier on its way to a subject. */
struct lookup {
    struct keyring_hashes hashes; /* newest index key first */
    struct span text;
    uint64_t serial; /* 0: unknown to cache and store */
    bool newest;     /* it stands, or is pending, under the newest key's hash */
    bool pending;    /* some job is about to write it */
    uint16_t heard;
    uint8_t tag[STORE_TAG_BYTES];
};

/* change.c: whose message it is, and whether the number changes hands */
struct change {
    uint64_t serial;  /* 0: a new subject */
    bool takes;       /* the number goes to it */
    bool links;       /* and whoever had it may be the same person */
    bool leaves_user; /* the user id is not this subject's */
};
SLUIS_MUST_CHECK int change_decide(struct subject_resolver *resolver, const struct lookup *user,
                                   const struct lookup *number,
                                   const struct subject_message *message, struct change *out);
/* The tag of an identity hash under a subject's key; zeros when there is none. */
void change_tag(struct subject_resolver *resolver, uint64_t subject, struct span identity,
                uint8_t out[STORE_TAG_BYTES]);

/* record.c: what is hashed and kept of an identifier: itself, or what stands for one too long */
struct span identifier_text(struct span identifier, char out[SUBJECT_IDENTIFIER_MAX]);

/* tombstone.c */
SLUIS_MUST_CHECK int tombstone_load(struct subject_resolver *resolver);

#endif

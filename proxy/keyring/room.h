/*
 * What the files of this room share: the keyring itself and a thread's cache.
 */
#ifndef SLUIS_KEYRING_ROOM_H
#define SLUIS_KEYRING_ROOM_H

#include <pthread.h>

#include "file.h"

/* Our own constants and configured names: "delivery-id/CHANNEL/ROUTE". */
#define LABEL_MAX 256
#define DAY_KEYS 16 /* dedupe keys at hand: 9 days live, and some look back */

struct day_key {
    bool known;
    uint32_t day;
    uint8_t key[TREE_KEY];
};

struct keyring {
    pthread_rwlock_t lock;  /* cover, files, day keys */
    pthread_mutex_t change; /* one puncture at a time; taken before `lock` */
    pthread_mutex_t caches_lock;
    struct keyring_cache *caches;
    struct cover cover;
    struct keyring_files files;
    struct day_key *days; /* sodium_malloc, DAY_KEYS */
    struct root_source root;
    struct keyring_lookup lookup; /* as others see it: what stands on disk; under `lock` */
    bool behind;
    uint64_t generation; /* on disk; under `lock`, where files.generation is under `change` */
};

/* Direct-mapped leaf caches. Time: few classes, few live buckets. Subject: one per conversation
 * that is being judged. Message: parts of the same message follow each other. */
#define CACHE_TIME 64
#define CACHE_SUBJECT 512
#define CACHE_MESSAGE 64
#define CACHE_LEAVES (CACHE_TIME + CACHE_SUBJECT + CACHE_MESSAGE)
#define NONCE_POOL 64 /* nonces fetched from the kernel at once */

struct cached_leaf {
    uint64_t path_plus_one; /* 0: empty */
    uint8_t key[TREE_KEY];
};
struct cached_path { /* the way down to the last leaf that was derived */
    uint64_t path;
    unsigned from; /* level of the anchor */
    bool valid;
    uint8_t node[TREE_LEVELS_MAX + 1][TREE_KEY];
};
struct cache_keys { /* guarded memory; all zero is empty */
    struct cached_leaf leaves[CACHE_LEAVES];
    struct cached_path paths[KEYRING_TREES];
};
struct keyring_cache {
    pthread_mutex_t lock;
    struct keyring *keyring;
    struct keyring_cache *next; /* under caches_lock */
    struct cache_keys *keys;
    uint8_t nonces[NONCE_POOL][24];
    unsigned nonces_left;
};

SLUIS_MUST_CHECK int keyring_start(const struct keyring_config *config,
                                   const struct files_seed *seed, struct keyring **out,
                                   struct diag *diag);
void cache_wipe(struct keyring_cache *cache);

#endif

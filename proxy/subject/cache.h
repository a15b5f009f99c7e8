/*
 * The identifiers a thread remembers: hash -> subject serial, bounded, the least recently used goes
 * first; pending ones (not yet committed) never go.
 */
#ifndef SLUIS_SUBJECT_CACHE_H
#define SLUIS_SUBJECT_CACHE_H

#include "sluis/subject.h"

struct cache_entry {
    uint8_t hash[STORE_HASH_BYTES];
    uint64_t serial;
    uint32_t chain;        /* next in the bucket, 0 none */
    uint32_t older, newer; /* order of use; both 0 while pending */
    uint32_t pending;      /* jobs that write it and are not settled */
    bool known;            /* stands in the store */
    bool links;            /* while pending, with `was` */
    uint16_t heard;        /* as it stands in the store */
    uint8_t tag[STORE_TAG_BYTES];
    uint64_t was; /* while pending: whose it was before */
};

struct cache {
    struct cache_entry *entries; /* [0] is the ring's anchor */
    uint32_t *buckets;
    uint32_t max, used;
    uint32_t free; /* list through chain */
};

SLUIS_MUST_CHECK int cache_init(struct cache *cache, uint32_t max);
void cache_free(struct cache *cache); /* wipes */
/* NULL when it is not there; otherwise it is now the last used. */
struct cache_entry *cache_find(struct cache *cache, const uint8_t hash[STORE_HASH_BYTES]);
/* A new entry, neither known nor pending: settle its state with cache_update. NULL when every entry
 * is pending. */
struct cache_entry *cache_add(struct cache *cache, const uint8_t hash[STORE_HASH_BYTES],
                              uint64_t serial);
/* Drops every entry of a subject, pending ones too. */
void cache_forget(struct cache *cache, uint64_t serial);
/* After a change of known or pending: puts it in the order of use, or takes it out of it, or drops
 * it when it is neither. */
void cache_update(struct cache *cache, struct cache_entry *entry);

#endif

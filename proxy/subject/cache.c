#include "cache.h"

#include <sodium.h>
#include <stdlib.h>

#include "sluis/base/encode.h"

int cache_init(struct cache *cache, uint32_t max)
{
    /* pages that are never used are never touched */
    cache->entries = calloc((size_t)max + 1, sizeof(*cache->entries));
    cache->buckets = calloc(max, sizeof(*cache->buckets));
    cache->max = max;
    cache->used = 1;
    cache->free = 0;
    if (cache->entries && cache->buckets)
        return 0;
    free(cache->entries);
    free(cache->buckets);
    return SLUIS_ENOMEM;
}

void cache_free(struct cache *cache)
{
    sodium_memzero(cache->entries, cache->used * sizeof(*cache->entries));
    free(cache->entries);
    free(cache->buckets);
}

static uint32_t *bucket_of(struct cache *cache, const uint8_t hash[STORE_HASH_BYTES])
{
    return &cache->buckets[be32_get(hash) % cache->max]; /* keyed hashes: nobody can aim */
}

static void ring_out(struct cache *cache, struct cache_entry *entry)
{
    uint32_t at = (uint32_t)(entry - cache->entries);
    struct cache_entry *e = cache->entries;
    if (e[entry->older].newer != at)
        return; /* not in the ring */
    e[entry->older].newer = entry->newer;
    e[entry->newer].older = entry->older;
    entry->older = entry->newer = 0;
}

static void ring_newest(struct cache *cache, struct cache_entry *entry)
{
    uint32_t at = (uint32_t)(entry - cache->entries);
    struct cache_entry *e = cache->entries;
    ring_out(cache, entry);
    entry->older = e[0].older; /* the anchor's older is the newest */
    entry->newer = 0;
    e[e[0].older].newer = at;
    e[0].older = at;
}

static void drop(struct cache *cache, struct cache_entry *entry)
{
    uint32_t at = (uint32_t)(entry - cache->entries);
    ring_out(cache, entry);
    uint32_t *link = bucket_of(cache, entry->hash);
    while (*link != at)
        link = &cache->entries[*link].chain;
    *link = entry->chain;
    sodium_memzero(entry, sizeof(*entry));
    entry->chain = cache->free;
    cache->free = at;
}

struct cache_entry *cache_find(struct cache *cache, const uint8_t hash[STORE_HASH_BYTES])
{
    for (uint32_t at = *bucket_of(cache, hash); at; at = cache->entries[at].chain) {
        struct cache_entry *entry = &cache->entries[at];
        if (memcmp(entry->hash, hash, STORE_HASH_BYTES) != 0)
            continue;
        if (!entry->pending)
            ring_newest(cache, entry);
        return entry;
    }
    return NULL;
}

struct cache_entry *cache_add(struct cache *cache, const uint8_t hash[STORE_HASH_BYTES],
                              uint64_t serial)
{
    if (!cache->free && cache->used > cache->max) {
        uint32_t oldest = cache->entries[0].newer;
        if (!oldest)
            return NULL;
        drop(cache, &cache->entries[oldest]);
    }
    uint32_t at = cache->free;
    if (at)
        cache->free = cache->entries[at].chain;
    else
        at = cache->used++;
    struct cache_entry *entry = &cache->entries[at];
    uint32_t *bucket = bucket_of(cache, hash);
    memset(entry, 0, sizeof(*entry));
    memcpy(entry->hash, hash, STORE_HASH_BYTES);
    entry->serial = serial;
    entry->chain = *bucket;
    *bucket = at;
    return entry;
}

void cache_forget(struct cache *cache, uint64_t serial)
{
    for (uint32_t at = 1; at < cache->used; at++) /* a freed entry has serial 0 */
        if (serial && cache->entries[at].serial == serial)
            drop(cache, &cache->entries[at]);
}

void cache_update(struct cache *cache, struct cache_entry *entry)
{
    if (entry->pending)
        ring_out(cache, entry);
    else if (entry->known)
        ring_newest(cache, entry);
    else
        drop(cache, entry);
}

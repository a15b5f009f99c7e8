/* Sealing and opening of records, and the per-thread cache of derived leaves. */
#include "room.h"

#include <sodium.h>
#include <stdlib.h>

#include "sluis/base/encode.h"

#define RECORD_VERSION 1
#define RECORD_HEAD 30 /* version, part, generation, nonce */
#define RECORD_NONCE_AT 6
#define RECORD_NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define RECORD_TAG crypto_aead_xchacha20poly1305_ietf_ABYTES
#define RECORD_AD 29
#define PART_LOG 'L' /* its serial is a place in the log, not a commit serial */

_Static_assert(RECORD_HEAD + RECORD_TAG == KEYRING_RECORD_OVERHEAD, "the door states the overhead");
_Static_assert(RECORD_NONCE == 24, "the record format holds a 24-byte nonce");

static const unsigned char record_person[crypto_generichash_blake2b_PERSONALBYTES] = "sluis record";

/* ---- cache ---- */

int keyring_cache_new(struct keyring *keyring, struct keyring_cache **out)
{
    struct keyring_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return SLUIS_ENOMEM;
    /* sodium_malloc aligns its end, so the size is kept a multiple of 16 */
    cache->keys = sodium_malloc((sizeof(*cache->keys) + 15) / 16 * 16);
    if (!cache->keys) {
        free(cache);
        return SLUIS_ENOMEM;
    }
    sodium_memzero(cache->keys, sizeof(*cache->keys));
    pthread_mutex_init(&cache->lock, NULL);
    cache->keyring = keyring;
    pthread_mutex_lock(&keyring->caches_lock);
    cache->next = keyring->caches;
    keyring->caches = cache;
    pthread_mutex_unlock(&keyring->caches_lock);
    *out = cache;
    return 0;
}

void cache_wipe(struct keyring_cache *cache)
{
    sodium_memzero(cache->keys, sizeof(*cache->keys));
}

void keyring_cache_free(struct keyring_cache *cache)
{
    if (!cache)
        return;
    struct keyring *keyring = cache->keyring;
    pthread_mutex_lock(&keyring->caches_lock);
    for (struct keyring_cache **at = &keyring->caches; *at; at = &(*at)->next) {
        if (*at == cache) {
            *at = cache->next;
            break;
        }
    }
    pthread_mutex_unlock(&keyring->caches_lock);
    sodium_free(cache->keys); /* wipes */
    pthread_mutex_destroy(&cache->lock);
    sodium_memzero(cache->nonces, sizeof(cache->nonces));
    free(cache);
}

static struct cached_leaf *leaf_slot(struct keyring_cache *cache, enum keyring_tree tree,
                                     uint64_t path)
{
    struct cached_leaf *leaves = cache->keys->leaves;
    switch (tree) {
    case KEYRING_TIME: /* neighbouring buckets and neighbouring classes apart */
        return &leaves[(path + (path >> 32) * 11) % CACHE_TIME];
    case KEYRING_SUBJECT:
        return &leaves[CACHE_TIME + path % CACHE_SUBJECT];
    default:
        return &leaves[CACHE_TIME + CACHE_SUBJECT + path % CACHE_MESSAGE];
    }
}

/* Derives a leaf along the cached way down, as far as the paths agree. Under the cache's lock. */
static int leaf_derive(struct keyring_cache *cache, enum keyring_tree tree, uint64_t path,
                       uint8_t out[TREE_KEY])
{
    struct cached_path *way = &cache->keys->paths[tree];
    unsigned levels = tree_levels(tree), level = 0;
    if (way->valid) {
        while (level < levels &&
               tree_index(levels, path, level) == tree_index(levels, way->path, level))
            level++;
    }
    if (!way->valid || level < way->from) {
        const uint8_t *key;
        pthread_rwlock_rdlock(&cache->keyring->lock);
        int result = cover_anchor(&cache->keyring->cover, tree, path, &key, &level);
        if (!result)
            memcpy(way->node[level], key, TREE_KEY);
        pthread_rwlock_unlock(&cache->keyring->lock);
        if (result)
            return result; /* the old way is untouched and still holds */
        way->from = level;
        way->valid = true;
    }
    for (; level < levels; level++)
        tree_child(way->node[level], tree_index(levels, path, level), way->node[level + 1]);
    way->path = path;
    memcpy(out, way->node[levels], TREE_KEY);
    return 0;
}

static int leaf_get(struct keyring_cache *cache, enum keyring_tree tree, uint64_t path,
                    uint8_t out[TREE_KEY])
{
    struct cached_leaf *slot = leaf_slot(cache, tree, path);
    if (slot->path_plus_one != path + 1) {
        int result = leaf_derive(cache, tree, path, slot->key);
        if (result) {
            slot->path_plus_one = 0;
            return result;
        }
        slot->path_plus_one = path + 1;
    }
    memcpy(out, slot->key, TREE_KEY);
    return 0;
}

/* ---- record keys ---- */

static int record_key(struct keyring_cache *cache, const struct record_id *id,
                      uint8_t out[TREE_KEY])
{
    uint8_t material[3 * TREE_KEY + 2];
    bool own_leaf = id->cls != 0 && id->part != PART_LOG;
    uint64_t serial = own_leaf ? id->serial : 0;
    if (serial > UINT32_MAX || id->subject > UINT32_MAX || id->cls == KEYRING_CLASS_DAY)
        return SLUIS_ELIMIT;
    const struct keyring_leaf time = {.tree = KEYRING_TIME, .cls = id->cls, .leaf = id->bucket};
    pthread_mutex_lock(&cache->lock);
    int result = leaf_get(cache, KEYRING_TIME, tree_path(&time), material);
    if (!result)
        result = leaf_get(cache, KEYRING_SUBJECT, id->subject, material + TREE_KEY);
    if (!result)
        result = leaf_get(cache, KEYRING_MESSAGE, serial, material + 2 * TREE_KEY);
    pthread_mutex_unlock(&cache->lock);
    if (!result) {
        material[3 * TREE_KEY] = id->part;
        material[3 * TREE_KEY + 1] = RECORD_VERSION;
        crypto_generichash_blake2b_salt_personal(out, TREE_KEY, material, sizeof(material), NULL, 0,
                                                 NULL, record_person);
    }
    sodium_memzero(material, sizeof(material));
    return result;
}

int record_subkey(struct keyring_cache *cache, const struct record_id *id,
                  uint8_t out[KEYRING_KEY_BYTES])
{
    return record_key(cache, id, out);
}

int keyring_pseudonym(struct keyring_cache *cache, uint64_t subject, uint64_t *out)
{
    static const unsigned char person[crypto_generichash_blake2b_PERSONALBYTES] = "sluis subject";
    uint8_t leaf[TREE_KEY], hash[TREE_KEY];
    *out = 0;
    if (subject == 0)
        return 0;
    if (subject > UINT32_MAX)
        return SLUIS_ELIMIT;
    pthread_mutex_lock(&cache->lock);
    int result = leaf_get(cache, KEYRING_SUBJECT, subject, leaf);
    pthread_mutex_unlock(&cache->lock);
    if (result)
        return result;
    crypto_generichash_blake2b_salt_personal(hash, sizeof(hash), (const unsigned char *)"pseudonym",
                                             9, leaf, sizeof(leaf), NULL, person);
    *out = be64_get(hash);
    sodium_memzero(leaf, sizeof(leaf));
    sodium_memzero(hash, sizeof(hash));
    return 0;
}

int keyring_hash_subject(struct keyring_cache *cache, uint64_t subject, const char *label,
                         struct span text, uint8_t out[STORE_HASH_BYTES])
{
    static const unsigned char person[crypto_generichash_blake2b_PERSONALBYTES] = "sluis subject";
    crypto_generichash_blake2b_state state;
    uint8_t leaf[TREE_KEY];
    if (subject > UINT32_MAX)
        return SLUIS_ELIMIT;
    pthread_mutex_lock(&cache->lock);
    int result = leaf_get(cache, KEYRING_SUBJECT, subject, leaf);
    pthread_mutex_unlock(&cache->lock);
    if (result)
        return result;
    crypto_generichash_blake2b_init_salt_personal(&state, leaf, sizeof(leaf), STORE_HASH_BYTES,
                                                  NULL, person);
    crypto_generichash_blake2b_update(&state, (const unsigned char *)label,
                                      strnlen(label, LABEL_MAX));
    crypto_generichash_blake2b_update(&state, (const unsigned char *)"", 1);
    crypto_generichash_blake2b_update(&state, (const unsigned char *)text.p, text.n);
    crypto_generichash_blake2b_final(&state, out, STORE_HASH_BYTES);
    sodium_memzero(&state, sizeof(state));
    sodium_memzero(leaf, sizeof(leaf));
    return 0;
}

static void record_ad(uint8_t ad[RECORD_AD], uint8_t table, const struct record_id *id,
                      uint32_t generation)
{
    ad[0] = table;
    be16_put(ad + 1, id->cls);
    be32_put(ad + 3, id->bucket);
    be64_put(ad + 7, id->subject);
    be64_put(ad + 15, id->serial);
    ad[23] = id->part;
    ad[24] = RECORD_VERSION;
    be32_put(ad + 25, generation);
}

/* Under the cache's lock too: two threads with one cache must never get the same nonce. */
static void nonce_take(struct keyring_cache *cache, uint8_t out[RECORD_NONCE])
{
    pthread_mutex_lock(&cache->lock);
    if (cache->nonces_left == 0) {
        randombytes_buf(cache->nonces, sizeof(cache->nonces));
        cache->nonces_left = NONCE_POOL;
    }
    cache->nonces_left--;
    memcpy(out, cache->nonces[cache->nonces_left], RECORD_NONCE);
    pthread_mutex_unlock(&cache->lock);
}

int record_seal(struct keyring_cache *cache, uint8_t table, const struct record_id *id,
                uint32_t generation, struct span plain, struct buffer *out)
{
    uint8_t key[TREE_KEY], ad[RECORD_AD];
    int result = record_key(cache, id, key);
    if (result)
        return result;
    uint8_t *head = (uint8_t *)buffer_reserve(out, plain.n + KEYRING_RECORD_OVERHEAD);
    if (!head) {
        sodium_memzero(key, sizeof(key));
        return out->error;
    }
    head[0] = RECORD_VERSION;
    head[1] = id->part;
    be32_put(head + 2, generation);
    nonce_take(cache, head + RECORD_NONCE_AT);
    record_ad(ad, table, id, generation);
    crypto_aead_xchacha20poly1305_ietf_encrypt(head + RECORD_HEAD, NULL,
                                               (const unsigned char *)plain.p, plain.n, ad,
                                               sizeof(ad), NULL, head + RECORD_NONCE_AT, key);
    sodium_memzero(key, sizeof(key));
    out->n += plain.n + KEYRING_RECORD_OVERHEAD;
    return 0;
}

int record_open(struct keyring_cache *cache, uint8_t table, const struct record_id *id,
                struct span sealed, struct buffer *out)
{
    uint8_t key[TREE_KEY], ad[RECORD_AD];
    if (sealed.n < KEYRING_RECORD_OVERHEAD)
        return SLUIS_EINVAL;
    const uint8_t *head = (const uint8_t *)sealed.p;
    if (head[0] != RECORD_VERSION)
        return SLUIS_EINVAL;
    if (head[1] != id->part)
        return SLUIS_ECRYPTO;
    int result = record_key(cache, id, key);
    if (result)
        return result;
    size_t n = sealed.n - KEYRING_RECORD_OVERHEAD;
    /* one byte more: libsodium wants a place even for an empty text */
    uint8_t *plain = (uint8_t *)buffer_reserve(out, n + 1);
    if (!plain) {
        sodium_memzero(key, sizeof(key));
        return out->error;
    }
    record_ad(ad, table, id, be32_get(head + 2));
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, head + RECORD_HEAD,
                                                   n + RECORD_TAG, ad, sizeof(ad),
                                                   head + RECORD_NONCE_AT, key) != 0) {
        sodium_memzero(plain, n + 1);
        result = SLUIS_ECRYPTO;
    } else {
        out->n += n;
    }
    sodium_memzero(key, sizeof(key));
    return result;
}

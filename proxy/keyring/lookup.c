/* Look-up hashes, and the replacement of the key that those of identifiers are made with. */
#include "room.h"

#include <sodium.h>

static const unsigned char lookup_person[crypto_generichash_blake2b_PERSONALBYTES] = "sluis lookup";

static void lookup_hash(const uint8_t key[TREE_KEY], const char *label, struct span text,
                        uint8_t out[STORE_HASH_BYTES])
{
    crypto_generichash_blake2b_state state;
    crypto_generichash_blake2b_init_salt_personal(&state, key, TREE_KEY, STORE_HASH_BYTES, NULL,
                                                  lookup_person);
    crypto_generichash_blake2b_update(&state, (const unsigned char *)label,
                                      strnlen(label, LABEL_MAX));
    crypto_generichash_blake2b_update(&state, (const unsigned char *)"", 1);
    crypto_generichash_blake2b_update(&state, (const unsigned char *)text.p, text.n);
    crypto_generichash_blake2b_final(&state, out, STORE_HASH_BYTES);
    sodium_memzero(&state, sizeof(state));
}

void keyring_hash_identifiers(struct keyring *keyring, const char *label, struct span text,
                              struct keyring_hashes *out)
{
    pthread_rwlock_rdlock(&keyring->lock);
    bool replacing = keyring->lookup.replacing;
    out->n = 0;
    if (replacing) {
        out->key[0] = keyring->lookup.number + 1;
        lookup_hash(slab_key(&keyring->cover.slab, SLAB_INDEX_NEXT), label, text,
                    out->hash[out->n++]);
    }
    out->key[out->n] = keyring->lookup.number;
    lookup_hash(slab_key(&keyring->cover.slab, SLAB_INDEX), label, text, out->hash[out->n++]);
    pthread_rwlock_unlock(&keyring->lock);
}

void keyring_hash_identifier(struct keyring *keyring, const char *label, struct span text,
                             uint8_t out[STORE_HASH_BYTES])
{
    struct keyring_hashes hashes;
    keyring_hash_identifiers(keyring, label, text, &hashes);
    memcpy(out, hashes.hash[0], STORE_HASH_BYTES);
    sodium_memzero(&hashes, sizeof(hashes));
}

void keyring_lookup(struct keyring *keyring, struct keyring_lookup *out)
{
    pthread_rwlock_rdlock(&keyring->lock);
    *out = keyring->lookup;
    pthread_rwlock_unlock(&keyring->lock);
}

/* The cover as it is, on disk. With `change` held. */
static int commit(struct keyring *keyring)
{
    int result = files_commit(&keyring->files, &keyring->cover);
    pthread_rwlock_wrlock(&keyring->lock);
    keyring->behind = result != 0;
    keyring->generation = keyring->files.generation;
    keyring->lookup = keyring->cover.lookup;
    pthread_rwlock_unlock(&keyring->lock);
    return result;
}

int keyring_lookup_begin(struct keyring *keyring, int64_t now_ms)
{
    struct cover *cover = &keyring->cover;
    uint8_t *next = slab_key(&cover->slab, SLAB_INDEX_NEXT);
    pthread_mutex_lock(&keyring->change);
    int result = cover->lookup.replacing ? SLUIS_EEXIST : 0;
    if (!result) {
        uint64_t before = keyring->files.generation;
        /* nobody reads the slot until `lookup` says that there is a next key */
        randombytes_buf(next, TREE_KEY);
        cover->lookup.replacing = true;
        cover->lookup.next_made_ms = now_ms;
        result = files_commit(&keyring->files, cover);
        bool stands = keyring->files.generation != before;
        if (!stands) { /* no hash was made with it */
            cover->lookup.replacing = false;
            cover->lookup.next_made_ms = 0;
            sodium_memzero(next, TREE_KEY);
        }
        pthread_rwlock_wrlock(&keyring->lock);
        keyring->behind |= result != 0;
        keyring->generation = keyring->files.generation;
        keyring->lookup = cover->lookup;
        pthread_rwlock_unlock(&keyring->lock);
        result = stands ? 0 : result;
    }
    pthread_mutex_unlock(&keyring->change);
    return result;
}

int keyring_lookup_finish(struct keyring *keyring)
{
    struct cover *cover = &keyring->cover;
    int result = 0;
    pthread_mutex_lock(&keyring->change);
    if (cover->lookup.replacing) {
        uint8_t *next = slab_key(&cover->slab, SLAB_INDEX_NEXT);
        pthread_rwlock_wrlock(&keyring->lock);
        memcpy(slab_key(&cover->slab, SLAB_INDEX), next, TREE_KEY);
        sodium_memzero(next, TREE_KEY);
        cover->lookup = (struct keyring_lookup){.number = cover->lookup.number + 1,
                                                .made_ms = cover->lookup.next_made_ms};
        keyring->lookup = cover->lookup;
        keyring->behind = true;
        pthread_rwlock_unlock(&keyring->lock);
    }
    if (keyring->behind)
        result = commit(keyring);
    pthread_mutex_unlock(&keyring->change);
    return result;
}

void keyring_hash_day(struct keyring *keyring, uint32_t day, const char *label, struct span text,
                      uint8_t out[STORE_HASH_BYTES])
{
    struct day_key *slot = &keyring->days[day % DAY_KEYS];
    pthread_rwlock_rdlock(&keyring->lock);
    bool known = slot->known && slot->day == day;
    if (known)
        lookup_hash(slot->key, label, text, out);
    pthread_rwlock_unlock(&keyring->lock);
    if (known)
        return;
    const struct keyring_leaf leaf = {.tree = KEYRING_TIME, .cls = KEYRING_CLASS_DAY, .leaf = day};
    pthread_rwlock_wrlock(&keyring->lock);
    slot->known = false;
    if (cover_leaf(&keyring->cover, KEYRING_TIME, tree_path(&leaf), slot->key) == 0) {
        slot->known = true;
        slot->day = day;
        lookup_hash(slot->key, label, text, out);
    } else {
        randombytes_buf(out, STORE_HASH_BYTES);
    }
    pthread_rwlock_unlock(&keyring->lock);
}

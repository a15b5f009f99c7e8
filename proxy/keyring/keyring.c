#include "room.h"

#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>

static const unsigned char derive_person[crypto_generichash_blake2b_PERSONALBYTES] = "sluis derive";

/* Opens with the root key, or with the one that a rotation was about to put in its place. */
static int open_files(struct keyring *keyring, const struct keyring_config *config,
                      const struct files_seed *seed, struct diag *diag)
{
    uint8_t *root = slab_key(&keyring->cover.slab, SLAB_ROOT);
    int result = root_read(&keyring->root, false, config->make, config->passphrase, root, diag);
    if (!result)
        result = files_open(&keyring->files, config, config->make, seed, &keyring->cover, diag);
    if (!result)
        root_forget_new(&keyring->root);
    if (result != SLUIS_ECRYPTO || seed ||
        root_read(&keyring->root, true, false, config->passphrase, root, NULL) != 0)
        return result;
    result = files_open(&keyring->files, config, false, NULL, &keyring->cover, diag);
    return result ? result : root_promote(&keyring->root);
}

int keyring_start(const struct keyring_config *config, const struct files_seed *seed,
                  struct keyring **out, struct diag *diag)
{
    if (sodium_init() < 0)
        return SLUIS_ESYS;
    struct keyring *keyring = calloc(1, sizeof(*keyring));
    if (!keyring)
        return SLUIS_ENOMEM;
    pthread_rwlock_init(&keyring->lock, NULL);
    pthread_mutex_init(&keyring->change, NULL);
    pthread_mutex_init(&keyring->caches_lock, NULL);
    keyring->files.folder = keyring->files.epoch = -1;
    keyring->files.fault = config->fault;
    keyring->files.fault_ctx = config->fault_ctx;
    keyring->days = sodium_malloc(DAY_KEYS * sizeof(*keyring->days));
    int result = keyring->days ? cover_init(&keyring->cover) : SLUIS_ENOMEM;
    if (result)
        goto out;
    sodium_memzero(keyring->days, DAY_KEYS * sizeof(*keyring->days));
    result = root_source(config, &keyring->root, diag);
    if (!result)
        result = open_files(keyring, config, seed, diag);
out:
    if (result) {
        keyring_close(keyring);
        return result;
    }
    keyring->generation = keyring->files.generation;
    keyring->lookup = keyring->cover.lookup;
    *out = keyring;
    return 0;
}

int keyring_open(const struct keyring_config *config, struct keyring **out, struct diag *diag)
{
    return keyring_start(config, NULL, out, diag);
}

void keyring_close(struct keyring *keyring)
{
    if (!keyring)
        return;
    files_close(&keyring->files);
    cover_free(&keyring->cover);
    if (keyring->days)
        sodium_free(keyring->days);
    pthread_rwlock_destroy(&keyring->lock);
    pthread_mutex_destroy(&keyring->change);
    pthread_mutex_destroy(&keyring->caches_lock);
    free(keyring);
}

void keyring_status(struct keyring *keyring, struct keyring_status *out)
{
    pthread_rwlock_rdlock(&keyring->lock);
    memcpy(out->installation, keyring->files.installation, sizeof(out->installation));
    out->generation = keyring->generation;
    out->cover_nodes = keyring->cover.live;
    out->behind = keyring->behind;
    /* locking again what is locked changes nothing, and says whether it could be */
    out->locked =
        mlock(keyring->cover.slab.keys, (size_t)keyring->cover.slab.slots * TREE_KEY) == 0;
    out->root = keyring->root.credential   ? "credential"
                : keyring->root.passphrase ? "passphrase"
                                           : "file";
    pthread_rwlock_unlock(&keyring->lock);
}

int keyring_rotate_root(struct keyring *keyring, struct span passphrase)
{
    uint8_t fresh[TREE_KEY], old[TREE_KEY];
    if (keyring->root.credential)
        return SLUIS_EDENIED;
    if (keyring->root.passphrase != (passphrase.n != 0))
        return SLUIS_EINVAL;
    pthread_mutex_lock(&keyring->change);
    uint8_t *root = slab_key(&keyring->cover.slab, SLAB_ROOT);
    uint64_t before = keyring->files.generation;
    root_forget_new(&keyring->root);
    int result = root_read(&keyring->root, true, true, passphrase, fresh, NULL);
    if (result)
        goto out;
    /* only this room's holders of `change` read the root key */
    memcpy(old, root, TREE_KEY);
    memcpy(root, fresh, TREE_KEY);
    result = files_commit(&keyring->files, &keyring->cover);
    if (keyring->files.generation == before) {
        memcpy(root, old, TREE_KEY); /* the slot under the old one still stands */
        root_forget_new(&keyring->root);
    } else {
        int promoted = root_promote(&keyring->root);
        pthread_rwlock_wrlock(&keyring->lock);
        keyring->behind = result != 0;
        keyring->generation = keyring->files.generation;
        pthread_rwlock_unlock(&keyring->lock);
        result = result ? result : promoted;
    }
out:
    pthread_mutex_unlock(&keyring->change);
    sodium_memzero(fresh, sizeof(fresh));
    sodium_memzero(old, sizeof(old));
    return result;
}

static bool leaf_allowed(const struct keyring_leaf *leaf)
{
    if (leaf->tree == KEYRING_TIME)
        return leaf->cls != 0;
    return leaf->tree < KEYRING_TREES && leaf->leaf != 0 && !leaf->through;
}

static void caches_wipe(struct keyring *keyring)
{
    pthread_mutex_lock(&keyring->caches_lock);
    for (struct keyring_cache *cache = keyring->caches; cache; cache = cache->next) {
        pthread_mutex_lock(&cache->lock);
        cache_wipe(cache);
        pthread_mutex_unlock(&cache->lock);
    }
    pthread_mutex_unlock(&keyring->caches_lock);
}

/* Under `lock`: something is gone in memory, and not on disk yet. */
static void forget_days(struct keyring *keyring, bool any)
{
    keyring->behind |= any;
    if (any)
        sodium_memzero(keyring->days, DAY_KEYS * sizeof(*keyring->days));
}

/* Only punctures change cover and files, and they hold `change`: the disk is written while other
 * threads go on sealing. */
static int write_change(struct keyring *keyring)
{
    if (!keyring->behind)
        return 0;
    int result = files_commit(&keyring->files, &keyring->cover);
    pthread_rwlock_wrlock(&keyring->lock);
    keyring->behind = result != 0;
    keyring->generation = keyring->files.generation;
    pthread_rwlock_unlock(&keyring->lock);
    return result;
}

int keyring_prune(struct keyring *keyring, enum keyring_tree tree, const uint8_t *living,
                  size_t bytes, uint32_t below)
{
    bool any;
    if (tree != KEYRING_SUBJECT && tree != KEYRING_MESSAGE)
        return SLUIS_EINVAL;
    pthread_mutex_lock(&keyring->change);
    pthread_rwlock_wrlock(&keyring->lock);
    cover_prune(&keyring->cover, tree, living, bytes, below, &any);
    forget_days(keyring, any);
    pthread_rwlock_unlock(&keyring->lock);
    if (any)
        caches_wipe(keyring);
    int result = write_change(keyring);
    pthread_mutex_unlock(&keyring->change);
    return result;
}

uint64_t keyring_highest_gone(struct keyring *keyring, enum keyring_tree tree)
{
    pthread_rwlock_rdlock(&keyring->lock);
    uint64_t serial = cover_highest_gone(&keyring->cover, tree);
    pthread_rwlock_unlock(&keyring->lock);
    return serial;
}

int keyring_puncture(struct keyring *keyring, const struct keyring_leaf *leaves, size_t n)
{
    int result = 0;
    bool any = false;
    for (size_t i = 0; i < n; i++)
        if (!leaf_allowed(&leaves[i]))
            return SLUIS_EINVAL;
    pthread_mutex_lock(&keyring->change);
    pthread_rwlock_wrlock(&keyring->lock);
    for (size_t i = 0; i < n && !result; i++) {
        bool changed;
        result = cover_puncture(&keyring->cover, &leaves[i], &changed);
        any |= !result && changed;
    }
    forget_days(keyring, any);
    pthread_rwlock_unlock(&keyring->lock);
    if (any)
        caches_wipe(keyring);
    if (!result)
        result = write_change(keyring);
    pthread_mutex_unlock(&keyring->change);
    return result;
}

void keyring_derive(struct keyring *keyring, const char *label, uint8_t out[KEYRING_KEY_BYTES])
{
    pthread_rwlock_rdlock(&keyring->lock);
    crypto_generichash_blake2b_salt_personal(
        out, KEYRING_KEY_BYTES, (const unsigned char *)label, strnlen(label, LABEL_MAX),
        slab_key(&keyring->cover.slab, SLAB_DERIVE), TREE_KEY, NULL, derive_person);
    pthread_rwlock_unlock(&keyring->lock);
}

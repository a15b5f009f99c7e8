#include "resolver.h"

#include <stdlib.h>

#include "sluis/base/clock.h"

int subject_resolver_new(struct store *store, struct keyring *keyring,
                         struct subject_resolver **out)
{
    struct subject_resolver *resolver = calloc(1, sizeof(*resolver));
    if (!resolver)
        return SLUIS_ENOMEM;
    if (cache_init(&resolver->cache, SUBJECT_CACHE_MAX) != 0) {
        free(resolver);
        return SLUIS_ENOMEM;
    }
    atomic_init(&resolver->refs, 1);
    pthread_mutex_init(&resolver->lock, NULL);
    resolver->store = store;
    resolver->keyring = keyring;
    int result = keyring_cache_new(keyring, &resolver->keys);
    if (!result)
        result = tombstone_load(resolver);
    if (result) {
        subject_resolver_free(resolver);
        return result;
    }
    *out = resolver;
    return 0;
}

struct subject_resolver *subject_resolver_ref(struct subject_resolver *resolver)
{
    atomic_fetch_add(&resolver->refs, 1);
    return resolver;
}

void subject_resolver_free(struct subject_resolver *resolver)
{
    if (!resolver || atomic_fetch_sub(&resolver->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&resolver->lock);
    cache_free(&resolver->cache);
    keyring_cache_free(resolver->keys);
    free(resolver);
}

/* One identifier on its way to a subject. */
struct lookup {
    struct keyring_hashes hashes; /* newest index key first */
    struct span text;
    uint64_t serial; /* 0: unknown to cache and store */
    bool newest;     /* it stands, or is pending, under the newest key's hash */
};

static struct cache_entry *find_cached(struct subject_resolver *resolver, struct lookup *lookup)
{
    struct cache_entry *entry = NULL;
    for (unsigned i = 0; !entry && i < lookup->hashes.n; i++) {
        entry = cache_find(&resolver->cache, lookup->hashes.hash[i]);
        lookup->newest = i == 0;
    }
    return entry;
}

/* All in one transaction: a row may be on its way from the old key to the new. */
static int find_stored(struct subject_resolver *resolver, struct lookup *lookup)
{
    struct store_read *read;
    int result = store_read_begin(resolver->store, &read);
    if (result)
        return result;
    result = SLUIS_ENOENT;
    for (unsigned i = 0; result == SLUIS_ENOENT && i < lookup->hashes.n; i++) {
        result = store_get_identifier(read, lookup->hashes.hash[i], &lookup->serial);
        lookup->newest = i == 0;
    }
    store_read_end(read);
    if (result)
        lookup->serial = 0;
    return result == SLUIS_ENOENT ? 0 : result;
}

static int look_up(struct subject_resolver *resolver, struct span identifier, struct lookup *lookup)
{
    lookup->text = identifier;
    subject_hashes(resolver->keyring, identifier, &lookup->hashes);
    struct cache_entry *entry = find_cached(resolver, lookup);
    lookup->serial = entry ? entry->serial : 0;
    if (entry)
        return 0;
    int result = find_stored(resolver, lookup);
    if (result || !lookup->serial || !lookup->newest)
        return result;
    entry = cache_add(&resolver->cache, lookup->hashes.hash[0], lookup->serial);
    if (entry) { /* a cache full of pending ones is no obstacle to a known subject */
        entry->known = true;
        cache_update(&resolver->cache, entry);
    }
    return 0;
}

/* Makes the identifier one that the caller's job writes, unless it already stands for `serial`, or
 * stands for somebody else. Found by an older index key only: written under the newest. */
static int claim(struct subject_resolver *resolver, const struct lookup *lookup,
                 struct subject *out)
{
    const uint8_t *hash = lookup->hashes.hash[0];
    struct cache_entry *entry = cache_find(&resolver->cache, hash);
    if (lookup->serial &&
        (lookup->serial != out->serial || (lookup->newest && (!entry || entry->known))))
        return 0;
    int result = subject_row_make(resolver->keyring, resolver->keys, out->serial, lookup->text,
                                  clock_wall_ms(), 0, &out->rows[out->new_hashes]);
    if (result)
        return result;
    if (!entry)
        entry = cache_add(&resolver->cache, hash, out->serial);
    if (!entry)
        return SLUIS_ELIMIT;
    entry->pending++;
    cache_update(&resolver->cache, entry);
    /* by the key that it was looked up with, should there be a newer one by now */
    memcpy(out->rows[out->new_hashes].hash, hash, STORE_HASH_BYTES);
    out->rows[out->new_hashes++].key = lookup->hashes.key[0];
    return 0;
}

/* Whom the index key of a moment was used for, and how many of them are not settled. */
static unsigned *open_of(struct subject_resolver *resolver, uint32_t key)
{
    return &resolver->open[key == resolver->key];
}

static void settle(struct subject_resolver *resolver, const struct subject *subject, int result)
{
    for (unsigned i = 0; i < subject->new_hashes; i++) {
        struct cache_entry *entry = cache_find(&resolver->cache, subject->rows[i].hash);
        if (!entry || !entry->pending || entry->serial != subject->serial)
            continue; /* forgotten meanwhile; or settled twice, which must do no harm */
        entry->pending--;
        entry->known |= result == 0;
        /* the identifier turned out to be somebody else's: the store knows better */
        if (result == SLUIS_EEXIST)
            entry->known = false;
        cache_update(&resolver->cache, entry);
    }
    unsigned *open = open_of(resolver, subject->key);
    *open -= subject->new_hashes && *open;
}

static int resolve(struct subject_resolver *resolver, struct span phone, struct span user_id,
                   struct subject *out)
{
    struct lookup lookups[2]; /* the user id first: it decides */
    unsigned n = 0;
    int result = 0;
    out->serial = 0;
    out->new_hashes = 0;
    if (user_id.n && !result)
        result = look_up(resolver, user_id, &lookups[n++]);
    if (phone.n && !result)
        result = look_up(resolver, phone, &lookups[n++]);
    if (n == 0)
        return SLUIS_EINVAL;
    if (result)
        return result;
    out->key = lookups[0].hashes.key[0];
    if (out->key != resolver->key) { /* what was hashed with another key is of before */
        resolver->open[0] += resolver->open[1];
        resolver->open[1] = 0;
        resolver->key = out->key;
    }
    for (unsigned i = 0; i < n && !out->serial; i++)
        out->serial = lookups[i].serial;
    if (!out->serial)
        out->serial = store_next_subject(resolver->store);
    for (unsigned i = 0; i < n && !result; i++) {
        if (i == 1 &&
            memcmp(lookups[0].hashes.hash[0], lookups[1].hashes.hash[0], STORE_HASH_BYTES) == 0)
            break; /* both identifiers spelled the same */
        result = claim(resolver, &lookups[i], out);
    }
    *open_of(resolver, out->key) += out->new_hashes != 0;
    if (result) {
        settle(resolver, out, result);
        out->serial = 0;
        out->new_hashes = 0;
    }
    return result;
}

bool subject_resolver_settled(struct subject_resolver *resolver, uint32_t key)
{
    pthread_mutex_lock(&resolver->lock);
    /* nobody came since the new key was made: then whoever is open is of before it */
    bool settled = resolver->open[0] == 0 && (resolver->key == key || resolver->open[1] == 0);
    pthread_mutex_unlock(&resolver->lock);
    return settled;
}

int subject_resolve(struct subject_resolver *resolver, struct span phone, struct span user_id,
                    struct subject *out)
{
    pthread_mutex_lock(&resolver->lock);
    int result = resolve(resolver, phone, user_id, out);
    pthread_mutex_unlock(&resolver->lock);
    return result;
}

void subject_resolver_forget(struct subject_resolver *resolver, uint64_t subject)
{
    atomic_store(&resolver->last_erased_ms, clock_wall_ms());
    pthread_mutex_lock(&resolver->lock);
    cache_forget(&resolver->cache, subject);
    pthread_mutex_unlock(&resolver->lock);
}

void subject_settled(struct subject_resolver *resolver, const struct subject *subject, int result)
{
    if (subject->new_hashes == 0)
        return;
    pthread_mutex_lock(&resolver->lock);
    settle(resolver, subject, result);
    pthread_mutex_unlock(&resolver->lock);
}

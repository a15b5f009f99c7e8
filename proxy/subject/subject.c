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
    int result = tombstone_load(resolver);
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
    free(resolver);
}

void subject_hash(struct keyring *keyring, struct span identifier, uint8_t out[STORE_HASH_BYTES])
{
    keyring_hash_identifier(keyring, "subject", identifier, out);
}

/* One identifier on its way to a subject. */
struct lookup {
    uint8_t hash[STORE_HASH_BYTES];
    uint64_t serial; /* 0: unknown to cache and store */
};

static int look_up(struct subject_resolver *resolver, struct span identifier, struct lookup *lookup)
{
    struct store_read *read;
    subject_hash(resolver->keyring, identifier, lookup->hash);
    struct cache_entry *entry = cache_find(&resolver->cache, lookup->hash);
    lookup->serial = entry ? entry->serial : 0;
    if (entry)
        return 0;
    int result = store_read_begin(resolver->store, &read);
    if (result)
        return result;
    result = store_get_identifier(read, lookup->hash, &lookup->serial);
    store_read_end(read);
    if (result) {
        lookup->serial = 0;
        return result == SLUIS_ENOENT ? 0 : result;
    }
    entry = cache_add(&resolver->cache, lookup->hash, lookup->serial);
    if (entry) { /* a cache full of pending ones is no obstacle to a known subject */
        entry->known = true;
        cache_update(&resolver->cache, entry);
    }
    return 0;
}

/* Makes the identifier one that the caller's job writes, unless it already stands for `serial`, or
 * stands for somebody else. */
static int claim(struct subject_resolver *resolver, const struct lookup *lookup,
                 struct subject *out)
{
    struct cache_entry *entry = cache_find(&resolver->cache, lookup->hash);
    if (lookup->serial && (lookup->serial != out->serial || !entry || entry->known))
        return 0;
    if (!entry)
        entry = cache_add(&resolver->cache, lookup->hash, out->serial);
    if (!entry)
        return SLUIS_ELIMIT;
    entry->pending++;
    cache_update(&resolver->cache, entry);
    memcpy(out->hashes[out->new_hashes++], lookup->hash, STORE_HASH_BYTES);
    return 0;
}

static void settle(struct subject_resolver *resolver, const struct subject *subject, int result)
{
    for (unsigned i = 0; i < subject->new_hashes; i++) {
        struct cache_entry *entry = cache_find(&resolver->cache, subject->hashes[i]);
        if (!entry || !entry->pending || entry->serial != subject->serial)
            continue; /* forgotten meanwhile; or settled twice, which must do no harm */
        entry->pending--;
        entry->known |= result == 0;
        /* the identifier turned out to be somebody else's: the store knows better */
        if (result == SLUIS_EEXIST)
            entry->known = false;
        cache_update(&resolver->cache, entry);
    }
}

static int resolve(struct subject_resolver *resolver, struct span phone, struct span user_id,
                   struct subject *out)
{
    struct lookup lookups[2]; /* the user id first: it decides */
    unsigned n = 0;
    int result = 0;
    memset(out, 0, sizeof(*out));
    if (user_id.n && !result)
        result = look_up(resolver, user_id, &lookups[n++]);
    if (phone.n && !result)
        result = look_up(resolver, phone, &lookups[n++]);
    if (n == 0)
        return SLUIS_EINVAL;
    if (result)
        return result;
    for (unsigned i = 0; i < n && !out->serial; i++)
        out->serial = lookups[i].serial;
    if (!out->serial)
        out->serial = store_next_subject(resolver->store);
    for (unsigned i = 0; i < n && !result; i++) {
        if (i == 1 && memcmp(lookups[0].hash, lookups[1].hash, STORE_HASH_BYTES) == 0)
            break; /* both identifiers spelled the same */
        result = claim(resolver, &lookups[i], out);
    }
    if (result) {
        settle(resolver, out, result);
        memset(out, 0, sizeof(*out));
    }
    return result;
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

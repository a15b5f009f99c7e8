#include "resolver.h"

#include <sodium.h>
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
    struct store_identifier row = {.subject = 0};
    result = SLUIS_ENOENT;
    for (unsigned i = 0; result == SLUIS_ENOENT && i < lookup->hashes.n; i++) {
        result = store_get_identifier_row(read, lookup->hashes.hash[i], &row);
        lookup->newest = i == 0;
    }
    store_read_end(read);
    if (result == 0) {
        lookup->serial = row.subject;
        lookup->heard = row.heard;
        memcpy(lookup->tag, row.tag, sizeof(lookup->tag));
    }
    return result == SLUIS_ENOENT ? 0 : result;
}

static int look_up(struct subject_resolver *resolver, struct span identifier, struct lookup *lookup)
{
    lookup->text = identifier;
    subject_hashes(resolver->keyring, identifier, &lookup->hashes);
    struct cache_entry *entry = find_cached(resolver, lookup);
    lookup->serial = entry ? entry->serial : 0;
    if (entry) {
        lookup->pending = entry->pending != 0;
        lookup->heard = entry->heard;
        memcpy(lookup->tag, entry->tag, sizeof(lookup->tag));
        return 0;
    }
    int result = find_stored(resolver, lookup);
    if (result || !lookup->serial || !lookup->newest)
        return result;
    entry = cache_add(&resolver->cache, lookup->hashes.hash[0], lookup->serial);
    if (entry) { /* a cache full of pending ones is no obstacle to a known subject */
        entry->known = true;
        entry->heard = lookup->heard;
        memcpy(entry->tag, lookup->tag, sizeof(entry->tag));
        cache_update(&resolver->cache, entry);
    }
    return 0;
}

/* What stays of a number with whoever had it. Nothing when nothing is left of them. */
static int leave(struct subject_resolver *resolver, uint64_t was, const struct lookup *lookup,
                 int64_t at_ms, struct subject *out)
{
    struct subject_identifier id;
    struct store_read *read;
    int result = store_read_begin(resolver->store, &read);
    if (result)
        return result;
    result = subject_record_get(read, resolver->keys, was, lookup->text, &id);
    store_read_end(read);
    if (result == 0)
        result = subject_row_make(resolver->keyring, resolver->keys, was, lookup->text,
                                  id.since_ms < at_ms ? id.since_ms : at_ms, at_ms, &out->left);
    sodium_memzero(&id, sizeof(id));
    out->leaves = result == 0;
    out->left_ms = at_ms;
    return result == SLUIS_ENOENT || result == SLUIS_EEXPIRED || result == SLUIS_ECRYPTO ||
                   result == SLUIS_EINVAL
               ? 0
               : result;
}

static void pend(struct subject_resolver *resolver, struct cache_entry *entry,
                 const struct subject_row *row, struct subject *out)
{
    if (entry->serial != out->serial) { /* it changes hands */
        entry->serial = out->serial;
        entry->known = false;
        entry->heard = 0;
        memset(entry->tag, 0, sizeof(entry->tag));
    }
    entry->was = row->was;
    entry->links = out->links;
    entry->pending++;
    cache_update(&resolver->cache, entry);
    out->new_hashes++;
}

/* Makes the identifier one that the caller's job writes, unless it already stands for `serial`, or
 * stands for somebody else (whose `was` is not). Found by an older index key only: written under
 * the newest. */
static int claim(struct subject_resolver *resolver, const struct lookup *lookup, uint64_t was,
                 int64_t at_ms, struct subject *out)
{
    const uint8_t *hash = lookup->hashes.hash[0];
    struct cache_entry *entry = cache_find(&resolver->cache, hash);
    struct subject_row *row = &out->rows[out->new_hashes];
    if (!was && lookup->serial &&
        (lookup->serial != out->serial || (lookup->newest && (!entry || entry->known))))
        return 0;
    if (!was && entry && entry->pending) { /* as the job before it, which may fail */
        was = entry->was;
        out->links |= entry->links;
    }
    int result = subject_row_make(resolver->keyring, resolver->keys, out->serial, lookup->text,
                                  at_ms, 0, row);
    if (result == 0 && was)
        result = leave(resolver, was, lookup, at_ms, out);
    if (result)
        return result;
    if (!entry)
        entry = cache_add(&resolver->cache, hash, out->serial);
    if (!entry)
        return SLUIS_ELIMIT;
    /* by the key that it was looked up with, should there be a newer one by now */
    memcpy(row->hash, hash, STORE_HASH_BYTES);
    row->key = lookup->hashes.key[0];
    row->was = was;
    row->heard = 0;
    memset(row->tag, 0, sizeof(row->tag));
    if (lookup->serial == out->serial) { /* under the newest key, with what stands there */
        row->heard = lookup->heard;
        memcpy(row->tag, lookup->tag, sizeof(row->tag));
    }
    pend(resolver, entry, row, out);
    return 0;
}

/* The number's user is heard of: with the row that the job writes, or by a refresh of the one that
 * stands, when it is some days old. */
static void hear(struct subject_resolver *resolver, const struct lookup *number,
                 const struct subject_message *m, struct subject *out)
{
    static const uint8_t none[STORE_TAG_BYTES];
    const uint8_t *hash = number->hashes.hash[0];
    uint8_t tag[STORE_TAG_BYTES];
    struct subject_row *row = NULL;
    int64_t days = m->at_ms / DAY_MS;
    uint16_t day = days < 0 ? 0 : days > UINT16_MAX ? UINT16_MAX : (uint16_t)days;
    for (unsigned i = 0; i < out->new_hashes; i++)
        if (memcmp(out->rows[i].hash, hash, STORE_HASH_BYTES) == 0)
            row = &out->rows[i];
    if (!row && number->serial != out->serial)
        return; /* somebody else's number */
    change_tag(resolver, out->serial, m->identity, tag);
    if (row) {
        row->heard = day > row->heard ? day : row->heard;
        if (memcmp(tag, none, sizeof(none)) != 0)
            memcpy(row->tag, tag, sizeof(tag));
        return;
    }
    bool other_tag =
        memcmp(tag, none, sizeof(none)) != 0 && memcmp(tag, number->tag, sizeof(tag)) != 0;
    out->touches = other_tag || !number->heard || day >= number->heard + SUBJECT_HEARD_DAYS;
    memcpy(out->touch.hash, hash, STORE_HASH_BYTES);
    out->touch.heard = day;
    memcpy(out->touch.tag, tag, sizeof(tag));
}

/* Whom the index key of a moment was used for, and how many of them are not settled. */
static unsigned *open_of(struct subject_resolver *resolver, uint32_t key)
{
    return &resolver->open[key == resolver->key];
}

static void heard(struct cache_entry *entry, uint16_t day, const uint8_t tag[STORE_TAG_BYTES])
{
    static const uint8_t none[STORE_TAG_BYTES];
    if (day > entry->heard)
        entry->heard = day;
    if (memcmp(tag, none, sizeof(none)) != 0)
        memcpy(entry->tag, tag, STORE_TAG_BYTES);
}

static void settle(struct subject_resolver *resolver, const struct subject *subject, int result)
{
    for (unsigned i = 0; i < subject->new_hashes; i++) {
        struct cache_entry *entry = cache_find(&resolver->cache, subject->rows[i].hash);
        if (!entry || !entry->pending || entry->serial != subject->serial)
            continue; /* forgotten meanwhile; or settled twice, which must do no harm */
        entry->pending--;
        entry->known |= result == 0;
        if (result == 0)
            heard(entry, subject->rows[i].heard, subject->rows[i].tag);
        /* the identifier turned out to be somebody else's: the store knows better */
        if (result == SLUIS_EEXIST)
            entry->known = false;
        cache_update(&resolver->cache, entry);
    }
    struct cache_entry *touched =
        subject->touches && result == 0 ? cache_find(&resolver->cache, subject->touch.hash) : NULL;
    if (touched && touched->serial == subject->serial)
        heard(touched, subject->touch.heard, subject->touch.tag);
    unsigned *open = open_of(resolver, subject->key);
    *open -= subject->new_hashes && *open;
}

static int look_up_both(struct subject_resolver *resolver, struct span phone, struct span user_id,
                        struct lookup *number, struct lookup *user)
{
    int result = user_id.n ? look_up(resolver, user_id, user) : 0;
    if (!result && phone.n)
        result = look_up(resolver, phone, number);
    return result;
}

static void note_key(struct subject_resolver *resolver, uint32_t key)
{
    if (key == resolver->key)
        return; /* what was hashed with another key is of before */
    resolver->open[0] += resolver->open[1];
    resolver->open[1] = 0;
    resolver->key = key;
}

static int resolve(struct subject_resolver *resolver, struct span phone, struct span user_id,
                   const struct subject_message *m, struct subject *out)
{
    struct lookup number = {.serial = 0}, user = {.serial = 0};
    struct change change;
    int64_t at_ms = m ? m->at_ms : clock_wall_ms();
    out->serial = 0;
    out->new_hashes = 0;
    out->touches = out->leaves = out->links = false;
    if (span_eq(phone, user_id)) /* both identifiers spelled the same */
        user_id = SPAN_EMPTY;
    if (!phone.n && !user_id.n)
        return SLUIS_EINVAL;
    int result = look_up_both(resolver, phone, user_id, &number, &user);
    if (!result)
        result =
            change_decide(resolver, user_id.n ? &user : NULL, phone.n ? &number : NULL, m, &change);
    if (result)
        return result;
    out->key = (user_id.n ? &user : &number)->hashes.key[0];
    note_key(resolver, out->key);
    out->serial = change.serial ? change.serial : store_next_subject(resolver->store);
    out->links = change.links;
    if (user_id.n && !change.leaves_user)
        result = claim(resolver, &user, 0, at_ms, out);
    if (phone.n && !result)
        result = claim(resolver, &number, change.takes ? number.serial : 0, at_ms, out);
    *open_of(resolver, out->key) += out->new_hashes != 0;
    if (result) {
        settle(resolver, out, result);
        out->serial = 0;
        out->new_hashes = 0;
        out->touches = false;
    } else if (m && m->speaks && phone.n) {
        hear(resolver, &number, m, out);
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

int subject_resolve_message(struct subject_resolver *resolver, struct span phone,
                            struct span user_id, const struct subject_message *message,
                            struct subject *out)
{
    pthread_mutex_lock(&resolver->lock);
    int result = resolve(resolver, phone, user_id, message, out);
    pthread_mutex_unlock(&resolver->lock);
    return result;
}

int subject_resolve(struct subject_resolver *resolver, struct span phone, struct span user_id,
                    struct subject *out)
{
    return subject_resolve_message(resolver, phone, user_id, NULL, out);
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
    if (subject->new_hashes == 0 && !subject->touches)
        return;
    pthread_mutex_lock(&resolver->lock);
    settle(resolver, subject, result);
    pthread_mutex_unlock(&resolver->lock);
}

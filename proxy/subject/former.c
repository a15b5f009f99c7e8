/* Who had a number before: rows from the number's hash to subjects that no longer have it. */
#include "resolver.h"

#include <sodium.h>

#include "sluis/base/encode.h"

#define ROW_FORMER 'O'
#define FORMER_PREFIX (1 + STORE_HASH_BYTES)
#define FORMER_KEY (FORMER_PREFIX + 8)
#define DEAD_LOOKED 4096 /* rows looked at in one call */

static void former_key(const uint8_t hash[STORE_HASH_BYTES], uint64_t subject,
                       uint8_t out[FORMER_KEY])
{
    out[0] = ROW_FORMER;
    memcpy(out + 1, hash, STORE_HASH_BYTES);
    be64_put(out + FORMER_PREFIX, subject);
}

void subject_former_put(struct store_txn *txn, const uint8_t hash[STORE_HASH_BYTES],
                        uint64_t subject, uint32_t key)
{
    uint8_t row[FORMER_KEY], value = (uint8_t)key;
    former_key(hash, subject, row);
    store_put_row(txn, STORE_TABLE_SUBJECT, span_of(row, sizeof(row)), span_of(&value, 1));
}

void subject_former_delete(struct store_txn *txn, const uint8_t hash[STORE_HASH_BYTES],
                           uint64_t subject)
{
    uint8_t row[FORMER_KEY];
    former_key(hash, subject, row);
    store_put_row(txn, STORE_TABLE_SUBJECT, span_of(row, sizeof(row)), SPAN_EMPTY);
}

void subject_former_delete_all(struct store_txn *txn, struct keyring *keyring,
                               struct span identifier, uint64_t subject)
{
    struct keyring_hashes hashes;
    subject_hashes(keyring, identifier, &hashes);
    for (unsigned i = 0; i < hashes.n; i++)
        subject_former_delete(txn, hashes.hash[i], subject);
}

/* ---- everybody who has or had it ---- */

struct formers {
    const uint8_t *hash;
    uint64_t at[SUBJECT_OWNERS_MAX];
    unsigned n;
};

static int take_former(void *ctx, struct span key, struct span value)
{
    struct formers *f = ctx;
    const uint8_t *k = (const uint8_t *)key.p;
    (void)value;
    if (key.n != FORMER_KEY || k[0] != ROW_FORMER || memcmp(k + 1, f->hash, STORE_HASH_BYTES) != 0)
        return 1;
    uint64_t subject = be64_get(k + FORMER_PREFIX);
    bool again = false;
    for (unsigned i = 0; i < f->n; i++)
        again |= f->at[i] == subject;
    if (!again && f->n == SUBJECT_OWNERS_MAX)
        return SLUIS_ELIMIT; /* an answer without somebody would be a wrong one */
    if (!again)
        f->at[f->n++] = subject;
    return 0;
}

static int find_formers(struct store_read *read, struct keyring *keyring, struct span identifier,
                        struct formers *out)
{
    struct keyring_hashes hashes;
    int r = 0;
    subject_hashes(keyring, identifier, &hashes);
    for (unsigned i = 0; r == 0 && i < hashes.n; i++) {
        uint8_t from[FORMER_KEY];
        out->hash = hashes.hash[i];
        former_key(hashes.hash[i], 0, from);
        r = store_each_row(read, STORE_TABLE_SUBJECT, span_of(from, sizeof(from)), take_former,
                           out);
        r = r > 0 ? 0 : r;
    }
    return r;
}

static int add_owner(struct store_read *read, struct keyring_cache *cache, uint64_t subject,
                     struct span identifier, bool present, struct subject_owner *out, int *n)
{
    struct subject_identifier id;
    int r = subject_record_get(read, cache, subject, identifier, &id);
    if (r == 0 && *n == SUBJECT_OWNERS_MAX)
        r = SLUIS_ELIMIT;
    else if (r == 0 && (present || id.until_ms))
        out[(*n)++] = (struct subject_owner){subject, id.since_ms, present ? 0 : id.until_ms};
    else if (present && (r == SLUIS_ENOENT || r == SLUIS_ECRYPTO || r == SLUIS_EINVAL)) {
        out[(*n)++] =
            (struct subject_owner){.subject = subject}; /* of an older store, or damaged */
        r = 0;
    }
    sodium_memzero(&id, sizeof(id));
    return r == SLUIS_ENOENT || r == SLUIS_EEXPIRED || r == SLUIS_ECRYPTO || r == SLUIS_EINVAL ? 0
                                                                                               : r;
}

int subject_owners(struct store_read *read, struct keyring *keyring, struct keyring_cache *cache,
                   struct span identifier, struct subject_owner out[SUBJECT_OWNERS_MAX])
{
    struct formers formers = {.n = 0};
    uint64_t now = 0;
    int n = 0;
    int r = subject_find(read, keyring, identifier, &now);
    if (r == 0)
        r = add_owner(read, cache, now, identifier, true, out, &n);
    if (r == 0 || r == SLUIS_ENOENT)
        r = find_formers(read, keyring, identifier, &formers);
    for (unsigned i = 0; r == 0 && i < formers.n; i++)
        if (formers.at[i] != now)
            r = add_owner(read, cache, formers.at[i], identifier, false, out, &n);
    return r ? r : n;
}

/* Had anybody it before, of whom a record is left? */
static int had_before(struct subject_resolver *resolver, struct store_read *read,
                      struct span identifier, uint64_t now, bool *before)
{
    struct subject_owner owner;
    struct formers formers = {.n = 0};
    int n = 0;
    int r = find_formers(read, resolver->keyring, identifier, &formers);
    r = r == SLUIS_ELIMIT ? 0 : r; /* those that there was room for will do */
    for (unsigned i = 0; r == 0 && n == 0 && i < formers.n; i++)
        if (formers.at[i] != now)
            r = add_owner(read, resolver->keys, formers.at[i], identifier, false, &owner, &n);
    *before = n != 0;
    return r;
}

static int find_since(struct subject_resolver *resolver, struct store_read *read, struct span phone,
                      struct span user_id, int64_t *since_ms)
{
    struct subject_identifier id;
    uint64_t now;
    bool before = false;
    int r = user_id.n ? subject_find(read, resolver->keyring, user_id, &now) : SLUIS_ENOENT;
    if (r != SLUIS_ENOENT)
        return r;
    r = subject_find(read, resolver->keyring, phone, &now);
    if (r == 0)
        r = had_before(resolver, read, phone, now, &before);
    if (r != 0 || !before)
        return r == SLUIS_ENOENT ? 0 : r;
    r = subject_record_get(read, resolver->keys, now, phone, &id);
    *since_ms = r == 0 ? id.since_ms : 0;
    sodium_memzero(&id, sizeof(id));
    return r;
}

int subject_since(struct subject_resolver *resolver, struct span phone, struct span user_id,
                  int64_t *since_ms)
{
    struct store_read *read;
    *since_ms = 0;
    if (!phone.n)
        return 0;
    pthread_mutex_lock(&resolver->lock); /* of the keys */
    int r = store_read_begin(resolver->store, &read);
    if (r == 0) {
        r = find_since(resolver, read, phone, user_id, since_ms);
        store_read_end(read);
    }
    pthread_mutex_unlock(&resolver->lock);
    return r;
}

/* ---- rows that lead nowhere ---- */

struct dead {
    struct store_read *read;
    uint8_t key;
    struct subject_former *from, *out;
    unsigned n, max, looked;
    bool more;
};

static int take_row(void *ctx, struct span key, struct span value)
{
    struct dead *d = ctx;
    const uint8_t *k = (const uint8_t *)key.p;
    if (key.n != FORMER_KEY || k[0] != ROW_FORMER)
        return 1;
    memcpy(d->from->hash, k + 1, STORE_HASH_BYTES);
    d->from->subject = be64_get(k + FORMER_PREFIX);
    if (d->n == d->max || d->looked++ == DEAD_LOOKED) {
        d->more = true;
        return 1;
    }
    if (value.n != 1 || (uint8_t)value.p[0] != d->key ||
        subject_known(d->read, d->from->subject) == SLUIS_ENOENT)
        d->out[d->n++] = *d->from;
    return 0;
}

int subject_former_dead(struct store_read *read, uint32_t key, struct subject_former *from,
                        struct subject_former *out, unsigned max, bool *more)
{
    struct dead d = {.read = read, .key = (uint8_t)key, .from = from, .out = out, .max = max};
    uint8_t begin[FORMER_KEY];
    former_key(from->hash, from->subject, begin);
    int r = store_each_row(read, STORE_TABLE_SUBJECT, span_of(begin, sizeof(begin)), take_row, &d);
    *more = r >= 0 && d.more;
    return r < 0 ? r : (int)d.n;
}

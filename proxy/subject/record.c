/*
 * The record of an identifier: what it is, sealed under the person's key. Row in the table of
 * subjects, key 'I', subject (be64), hash of the identifier under the subject's key; sealed as
 * (class 0, subject, serial = subject, part 'I'): version (1), since (be64), until (be64), text.
 */
#include "resolver.h"

#include <sodium.h>

#include "sluis/base/encode.h"

#define ROW_IDENTIFIER 'I'
#define RECORD_VERSION 1
#define RECORD_HEAD 17

struct span identifier_text(struct span identifier, char out[SUBJECT_IDENTIFIER_MAX])
{
    uint8_t hash[32];
    if (identifier.n <= SUBJECT_IDENTIFIER_MAX)
        return identifier;
    _Static_assert(SUBJECT_IDENTIFIER_MAX > 2 * sizeof(hash), "its hash fits");
    crypto_generichash_blake2b(hash, sizeof(hash), (const unsigned char *)identifier.p,
                               identifier.n, NULL, 0);
    hex_encode(hash, sizeof(hash), out);
    return span_of(out, 2 * sizeof(hash));
}

void subject_hashes(struct keyring *keyring, struct span identifier, struct keyring_hashes *out)
{
    char text[SUBJECT_IDENTIFIER_MAX];
    keyring_hash_identifiers(keyring, "subject", identifier_text(identifier, text), out);
}

void subject_hash(struct keyring *keyring, struct span identifier, uint8_t out[STORE_HASH_BYTES])
{
    struct keyring_hashes hashes;
    subject_hashes(keyring, identifier, &hashes);
    memcpy(out, hashes.hash[0], STORE_HASH_BYTES);
}

int subject_find(struct store_read *read, struct keyring *keyring, struct span identifier,
                 uint64_t *subject)
{
    struct keyring_hashes hashes;
    int r = SLUIS_ENOENT;
    subject_hashes(keyring, identifier, &hashes);
    for (unsigned i = 0; r == SLUIS_ENOENT && i < hashes.n; i++)
        r = store_get_identifier(read, hashes.hash[i], subject);
    return r;
}

void subject_record_prefix(uint64_t subject, uint8_t out[SUBJECT_RECORD_PREFIX])
{
    out[0] = ROW_IDENTIFIER;
    be64_put(out + 1, subject);
}

static struct record_id record_of(uint64_t subject)
{
    return (struct record_id){.subject = subject, .serial = subject, .part = 'I'};
}

int subject_row_make(struct keyring *keyring, struct keyring_cache *cache, uint64_t subject,
                     struct span identifier, int64_t since_ms, int64_t until_ms,
                     struct subject_row *out)
{
    const struct record_id id = record_of(subject);
    uint8_t plain[RECORD_HEAD + SUBJECT_IDENTIFIER_MAX];
    char other[SUBJECT_IDENTIFIER_MAX];
    struct keyring_hashes hashes;
    struct span text = identifier_text(identifier, other);
    subject_hashes(keyring, text, &hashes);
    memcpy(out->hash, hashes.hash[0], STORE_HASH_BYTES);
    out->key = hashes.key[0];
    subject_record_prefix(subject, out->record_key);
    int r = keyring_hash_subject(cache, subject, "identifier", text,
                                 out->record_key + SUBJECT_RECORD_PREFIX);
    if (r != 0)
        return r;
    plain[0] = RECORD_VERSION;
    be64_put(plain + 1, (uint64_t)since_ms);
    be64_put(plain + 9, (uint64_t)until_ms);
    memcpy(plain + RECORD_HEAD, text.p, text.n);
    struct buffer sealed = {
        .p = (char *)out->record, .cap = sizeof(out->record), .max = sizeof(out->record)};
    r = record_seal(cache, STORE_TABLE_SUBJECT, &id, 0, span_of(plain, RECORD_HEAD + text.n),
                    &sealed);
    out->record_n = (uint16_t)sealed.n;
    sodium_memzero(plain, sizeof(plain));
    return r;
}

int subject_record_open(struct keyring_cache *cache, struct span key, struct span value,
                        struct subject_identifier *out)
{
    struct buffer plain;
    *out = (struct subject_identifier){0};
    if (key.n != SUBJECT_KEY_BYTES || key.p[0] != ROW_IDENTIFIER)
        return SLUIS_EINVAL;
    memcpy(out->key, key.p, SUBJECT_KEY_BYTES);
    out->subject = be64_get((const uint8_t *)key.p + 1);
    const struct record_id id = record_of(out->subject);
    buffer_init(&plain, SUBJECT_RECORD_MAX + 1);
    int r = record_open(cache, STORE_TABLE_SUBJECT, &id, value, &plain);
    const uint8_t *at = (const uint8_t *)plain.p;
    if (r == SLUIS_EINVAL || r == SLUIS_ELIMIT ||
        (r == 0 && (plain.n < RECORD_HEAD || plain.n > RECORD_HEAD + SUBJECT_IDENTIFIER_MAX ||
                    at[0] != RECORD_VERSION)))
        r = SLUIS_ECRYPTO;
    if (r == 0) {
        uint8_t name[STORE_HASH_BYTES];
        out->since_ms = (int64_t)be64_get(at + 1);
        out->until_ms = (int64_t)be64_get(at + 9);
        out->n = (uint16_t)(plain.n - RECORD_HEAD);
        memcpy(out->text, at + RECORD_HEAD, out->n);
        /* a row under another row's key would open: they share their seal's name */
        r = keyring_hash_subject(cache, out->subject, "identifier", span_of(out->text, out->n),
                                 name);
        if (r == 0 && memcmp(name, out->key + SUBJECT_RECORD_PREFIX, STORE_HASH_BYTES) != 0)
            r = SLUIS_ECRYPTO;
    }
    if (plain.p)
        sodium_memzero(plain.p, plain.n);
    buffer_free(&plain);
    return r;
}

int subject_record_get(struct store_read *read, struct keyring_cache *cache, uint64_t subject,
                       struct span identifier, struct subject_identifier *out)
{
    uint8_t key[SUBJECT_KEY_BYTES];
    char other[SUBJECT_IDENTIFIER_MAX];
    struct arena arena;
    struct span value;
    *out = (struct subject_identifier){0};
    subject_record_prefix(subject, key);
    int r = keyring_hash_subject(cache, subject, "identifier", identifier_text(identifier, other),
                                 key + SUBJECT_RECORD_PREFIX);
    if (r != 0)
        return r;
    arena_init(&arena, 4096);
    r = store_get_row(read, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), &arena, &value);
    if (r == 0)
        r = subject_record_open(cache, span_of(key, sizeof(key)), value, out);
    arena_free(&arena);
    return r;
}

void subject_records_delete(struct store_txn *txn, uint64_t subject)
{
    uint8_t prefix[SUBJECT_RECORD_PREFIX];
    subject_record_prefix(subject, prefix);
    store_delete_rows(txn, STORE_TABLE_SUBJECT, span_of(prefix, sizeof(prefix)));
}

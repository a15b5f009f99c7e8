/* How a contact's facts stand in the store: keys, sealing, reading. */
#include "room.h"

#include <sodium.h>
#include <stdlib.h>

#include "sluis/base/encode.h"

int contacts_open(struct store *store, struct keyring *keyring, struct contacts **out)
{
    struct contacts *c = calloc(1, sizeof(*c));
    *out = NULL;
    if (!c)
        return SLUIS_ENOMEM;
    c->store = store;
    c->keyring = keyring;
    pthread_mutex_init(&c->lock, NULL);
    keyring_derive(keyring, "contact", c->hash_key);
    int r = keyring_cache_new(keyring, &c->cache);
    if (r == 0)
        r = contact_memory_new(&c->memory);
    if (r != 0) {
        contacts_close(c);
        return r;
    }
    *out = c;
    return 0;
}

void contacts_close(struct contacts *c)
{
    if (!c)
        return;
    contact_memory_free(c->memory);
    if (c->cache)
        keyring_cache_free(c->cache);
    pthread_mutex_destroy(&c->lock);
    sodium_memzero(c->hash_key, sizeof(c->hash_key));
    free(c);
}

/* ---- keys ---- */

static void contact_key(struct contact_id id, uint8_t key[ROW_CONTACT_KEY])
{
    key[0] = 'K';
    be64_put(key + 1, id.subject);
    be16_put(key + 9, id.channel);
}

void contact_row_key(const struct contacts *c, struct contact_id id, enum row_kind kind,
                     struct span what, uint8_t key[ROW_KEY])
{
    uint8_t hash[crypto_generichash_BYTES_MIN], tag = (uint8_t)kind;
    crypto_generichash_state state;
    contact_key(id, key);
    key[ROW_HASH_AT - 1] = tag;
    crypto_generichash_init(&state, c->hash_key, sizeof(c->hash_key), sizeof(hash));
    crypto_generichash_update(&state, &tag, 1);
    crypto_generichash_update(&state, (const uint8_t *)what.p, what.n);
    crypto_generichash_final(&state, hash, sizeof(hash));
    memcpy(key + ROW_HASH_AT, hash, ROW_HASH);
}

struct record_id contact_row_id(const uint8_t key[ROW_KEY])
{
    return (struct record_id){
        .subject = be64_get(key + 1), .serial = be64_get(key + 9), .part = 'K'};
}

void contact_ref_hash(const struct contacts *c, struct span reference,
                      uint8_t out[STORE_HASH_BYTES])
{
    keyring_hash_identifier(c->keyring, REF_LABEL, reference, out);
}

void contact_ref_key(const uint8_t hash[STORE_HASH_BYTES], struct contact_id id,
                     uint8_t out[REF_KEY])
{
    out[0] = 'X';
    memcpy(out + 1, hash, STORE_HASH_BYTES);
    be16_put(out + 17, id.channel);
    be64_put(out + 19, id.subject);
}

/* ---- sealing ---- */

int contact_row_seal(struct contacts *c, const uint8_t key[ROW_KEY], struct span plain,
                     struct buffer *out)
{
    const struct record_id id = contact_row_id(key);
    pthread_mutex_lock(&c->lock);
    int r = record_seal(c->cache, STORE_TABLE_SUBJECT, &id, 0, plain, out);
    pthread_mutex_unlock(&c->lock);
    return r;
}

static void add_text(struct buffer *out, const char *text)
{
    size_t n = strlen(text);
    buffer_add_char(out, (char)n);
    buffer_add(out, span_of(text, n));
}

void contact_consent_plain(const struct contact_consent *consent, struct buffer *out)
{
    buffer_add_char(out, ROW_VERSION);
    buffer_add_char(out, (char)consent->basis);
    buffer_add_be64(out, (uint64_t)consent->given_ms);
    buffer_add_be64(out, (uint64_t)consent->withdrawn_ms);
    add_text(out, consent->purpose);
    add_text(out, consent->source);
}

void contact_consent_what(const struct contact_consent *consent, struct buffer *out)
{
    buffer_add_str(out, contact_basis_word(consent->basis));
    buffer_add_char(out, '|');
    buffer_add_str(out, consent->purpose);
}

/* ---- opening: a cursor that goes bad and stays so ---- */

struct reader {
    struct span rest;
    bool bad;
};

static uint64_t take_number(struct reader *r, size_t bytes)
{
    uint64_t v = 0;
    if (r->rest.n < bytes) {
        r->bad = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | (uint8_t)r->rest.p[i];
    r->rest = span_from(r->rest, bytes);
    return v;
}

static void take_text(struct reader *r, char *out, size_t max)
{
    size_t n = (size_t)take_number(r, 1);
    if (r->bad || n > max || r->rest.n < n) {
        r->bad = true;
        return;
    }
    memcpy(out, r->rest.p, n);
    out[n] = '\0';
    r->rest = span_from(r->rest, n);
}

static void read_consent(struct reader *r, struct contact_state *state)
{
    if (state->consent_count == CONTACT_CONSENTS_MAX) {
        r->bad = true;
        return;
    }
    struct contact_consent *c = &state->consents[state->consent_count++];
    uint64_t basis = take_number(r, 1);
    r->bad |= basis >= CONTACT_BASES;
    c->basis = r->bad ? CONTACT_CONSENT : (enum contact_basis)basis;
    c->given_ms = (int64_t)take_number(r, 8);
    c->withdrawn_ms = (int64_t)take_number(r, 8);
    take_text(r, c->purpose, CONTACT_TEXT_MAX);
    take_text(r, c->source, CONTACT_TEXT_MAX);
}

/* Notices past what fits are of names that policy has no more: the oldest is given up. */
static void read_notice(struct reader *r, struct contact_state *state)
{
    struct contact_notice n = {.sent_ms = (int64_t)take_number(r, 8)};
    take_text(r, n.name, CONTACT_NAME_MAX);
    unsigned at = state->notice_count;
    if (at < CONTACT_NOTICES_MAX) {
        state->notice_count++;
    } else {
        at = 0;
        for (unsigned i = 1; i < CONTACT_NOTICES_MAX; i++)
            if (state->notices[i].sent_ms < state->notices[at].sent_ms)
                at = i;
        if (state->notices[at].sent_ms > n.sent_ms)
            return;
    }
    state->notices[at] = n;
}

static int parse(uint8_t kind, struct span plain, struct contact_state *state)
{
    struct reader r = {.rest = plain};
    if (take_number(&r, 1) != ROW_VERSION)
        return SLUIS_ECRYPTO;
    switch (kind) {
    case ROW_CONSENT:
        read_consent(&r, state);
        break;
    case ROW_NOTICE:
        read_notice(&r, state);
        break;
    case ROW_STOP:
        state->stop = (enum contact_stop)take_number(&r, 1);
        r.bad |= state->stop > CONTACT_STOP_PERSON;
        state->stop_ms = (int64_t)take_number(&r, 8);
        break;
    case ROW_REFERENCE:
        take_text(&r, state->reference, CONTACT_REFERENCE_MAX);
        break;
    default:
        return SLUIS_ECRYPTO;
    }
    return r.bad || r.rest.n ? SLUIS_ECRYPTO : 0;
}

int contact_row_open(struct contacts *c, const uint8_t key[ROW_KEY], struct span value,
                     struct contact_state *state)
{
    const struct record_id id = contact_row_id(key);
    struct buffer plain;
    uint8_t kind = key[ROW_HASH_AT - 1];
    if (kind == ROW_REFERENCE)
        value = value.n > STORE_HASH_BYTES ? span_from(value, STORE_HASH_BYTES) : SPAN_EMPTY;
    buffer_init(&plain, ROW_TEXT_MAX + 1);
    int r = record_open(c->cache, STORE_TABLE_SUBJECT, &id, value, &plain);
    if (r == 0)
        r = parse(kind, buffer_span(&plain), state);
    buffer_free(&plain);
    return r == SLUIS_EINVAL ? SLUIS_ECRYPTO : r;
}

struct reading {
    struct contacts *c;
    uint8_t prefix[ROW_CONTACT_KEY];
    struct contact_state *out;
    int error;
};

static int take_row(void *ctx, struct span key, struct span value)
{
    struct reading *reading = ctx;
    if (key.n != ROW_KEY || memcmp(key.p, reading->prefix, ROW_CONTACT_KEY) != 0)
        return 1;
    reading->error = contact_row_open(reading->c, (const uint8_t *)key.p, value, reading->out);
    return reading->error ? 1 : 0;
}

/* The word of a linked subject, when it is younger. One that was erased says nothing any more. */
static int add_stop(struct contacts *c, struct store_read *read, struct contact_id id,
                    struct contact_state *out)
{
    struct contact_state other = {.stop_ms = 0};
    struct arena arena;
    struct span value;
    uint8_t key[ROW_KEY];
    contact_row_key(c, id, ROW_STOP, SPAN_EMPTY, key);
    arena_init(&arena, 4096);
    int r = store_get_row(read, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), &arena, &value);
    if (r == 0)
        r = contact_row_open(c, key, value, &other);
    arena_free(&arena);
    if (r == 0 && other.stop_ms > out->stop_ms) {
        out->stop = other.stop;
        out->stop_ms = other.stop_ms;
    }
    return r == SLUIS_ENOENT || r == SLUIS_EEXPIRED ? 0 : r;
}

int contact_read_linked(struct contacts *c, struct contact_id id, struct contact_state *out,
                        uint64_t linked[SUBJECT_LINKS_MAX], unsigned *n)
{
    struct reading reading = {.c = c, .out = out};
    struct store_read *read;
    memset(out, 0, sizeof(*out));
    *n = 0;
    contact_key(id, reading.prefix);
    int r = store_read_begin(c->store, &read);
    if (r != 0)
        return r;
    r = store_each_row(read, STORE_TABLE_SUBJECT, span_of(reading.prefix, ROW_CONTACT_KEY),
                       take_row, &reading);
    r = reading.error ? reading.error : r > 0 ? 0 : r;
    if (r == 0)
        r = subject_links(read, id.subject, linked, n);
    for (unsigned i = 0; r == 0 && i < *n; i++)
        r = add_stop(c, read, (struct contact_id){id.channel, linked[i]}, out);
    store_read_end(read);
    if (r != 0)
        sodium_memzero(out, sizeof(*out));
    return r;
}

int contact_read(struct contacts *c, struct contact_id id, struct contact_state *out)
{
    uint64_t linked[SUBJECT_LINKS_MAX];
    unsigned n;
    return contact_read_linked(c, id, out, linked, &n);
}

/*
 * The keys of the access log, one after another. The first is derived from the keyring alone; each
 * later one also from 32 random bytes that stand in a sealed row beside the note of the change:
 * STORE_TABLE_SETTING, "audit.key" and its number (4 bytes, from 1), class 0, part 'K'. The row and
 * the leaf about it are one commit, and the new key signs nothing before that.
 */
#include "internal.h"

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "audit.key"
#define KEY_BYTES (sizeof(PREFIX) - 1 + 4)
#define SALT_BYTES 32
#define PART_KEY 'K'

static void row_key(uint32_t number, uint8_t out[KEY_BYTES])
{
    memcpy(out, PREFIX, sizeof(PREFIX) - 1);
    be32_put(out + sizeof(PREFIX) - 1, number);
}

static struct record_id row_id(uint32_t number)
{
    return (struct record_id){.serial = number, .part = PART_KEY};
}

static void seed_of(struct keyring *keyring, const uint8_t salt[SALT_BYTES],
                    uint8_t seed[KEYRING_KEY_BYTES])
{
    char label[sizeof(AUDIT_KEY_LABEL) + 2 * SALT_BYTES + 2], hex[2 * SALT_BYTES + 1];
    hex_encode(salt, SALT_BYTES, hex);
    snprintf(label, sizeof(label), "%s/%s", AUDIT_KEY_LABEL, hex);
    keyring_derive(keyring, label, seed);
}

struct load {
    struct keyring_cache *keys;
    struct log_keys *out;
    uint8_t salt[SALT_BYTES];
};

static int take(void *ctx, struct span key, struct span value)
{
    struct load *load = ctx;
    struct log_keys *keys = load->out;
    struct buffer plain;
    if (key.n != KEY_BYTES || !span_starts(key, SPAN(PREFIX)))
        return 1;
    uint32_t number = be32_get((const uint8_t *)key.p + sizeof(PREFIX) - 1);
    if (number != keys->count + 1 || keys->count == KEY_CHAIN_MAX - 1)
        return SLUIS_EIO; /* one is missing */
    buffer_init(&plain, STORE_VALUE_MAX);
    const struct record_id id = row_id(number);
    int r = record_open(load->keys, STORE_TABLE_SETTING, &id, value, &plain);
    if (r == 0 && plain.n <= SALT_BYTES)
        r = SLUIS_EIO;
    if (r == 0) {
        memcpy(load->salt, plain.p, SALT_BYTES);
        keys->at[keys->count] = keys->notes.n;
        buffer_add(&keys->notes, span_from(buffer_span(&plain), SALT_BYTES));
        keys->count++;
        keys->at[keys->count] = keys->notes.n;
        r = keys->notes.error;
    }
    buffer_free(&plain);
    return r;
}

int log_keys_load(struct gateway *gw, struct log_keys *out)
{
    struct load load = {.out = out};
    struct store_read *read;
    uint8_t from[KEY_BYTES];
    out->count = 0;
    buffer_init(&out->notes, KEY_CHAIN_MAX * (size_t)STORE_VALUE_MAX);
    row_key(0, from);
    int r = keyring_cache_new(gw->keyring, &load.keys);
    if (r == 0)
        r = store_read_begin(gw->store, &read);
    if (r == 0) {
        r = store_each_row(read, STORE_TABLE_SETTING, span_of(from, sizeof(from)), take, &load);
        store_read_end(read);
    }
    if (r >= 0) {
        r = 0;
        if (out->count)
            seed_of(gw->keyring, load.salt, out->seed);
        else
            keyring_derive(gw->keyring, AUDIT_KEY_LABEL, out->seed);
    }
    keyring_cache_free(load.keys);
    for (uint32_t i = 0; i < out->count; i++)
        out->changes[i] = span_sub(buffer_span(&out->notes), out->at[i], out->at[i + 1]);
    return r;
}

void log_keys_free(struct log_keys *keys)
{
    sodium_memzero(keys->seed, sizeof(keys->seed));
    buffer_free(&keys->notes);
}

/* ---- replacing ---- */

struct change {
    struct store_job job;
    struct gateway *gw;
    uint32_t number;
    uint8_t salt[SALT_BYTES];
    uint8_t key[KEY_BYTES];
    struct buffer sealed;
    const char *actor, *fingerprint;
};

static int put_change(struct store_txn *txn, struct store_job *job)
{
    const struct change *c = (struct change *)job;
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_KEYS,
                                      .actor = c->actor,
                                      .key = c->fingerprint,
                                      .outcome = "log_key_replaced"};
    store_put_row(txn, STORE_TABLE_SETTING, span_of(c->key, sizeof(c->key)),
                  buffer_span(&c->sealed));
    audit_put(txn, &event);
    return store_txn_error(txn);
}

/* Called by the log with the note that it is about to go by. */
static int commit_change(void *ctx, struct span note, const char *fingerprint)
{
    struct change *c = ctx;
    struct keyring_cache *keys;
    struct buffer plain;
    const struct record_id id = row_id(c->number);
    int r = keyring_cache_new(c->gw->keyring, &keys);
    if (r != 0)
        return r;
    buffer_init(&plain, STORE_VALUE_MAX);
    buffer_add(&plain, span_of(c->salt, sizeof(c->salt)));
    buffer_add(&plain, note);
    c->fingerprint = fingerprint;
    row_key(c->number, c->key);
    r = plain.error
            ? plain.error
            : record_seal(keys, STORE_TABLE_SETTING, &id, 0, buffer_span(&plain), &c->sealed);
    keyring_cache_free(keys);
    buffer_free(&plain);
    c->job = (struct store_job){.priority = STORE_NORMAL, .run = put_change};
    return r ? r : store_submit_wait(c->gw->store, &c->job);
}

int log_key_replace(void *ctx, const char *actor)
{
    struct gateway *gw = ctx;
    struct change c = {.gw = gw, .actor = actor, .number = audit_log_keys(gw->log)};
    uint8_t seed[KEYRING_KEY_BYTES];
    randombytes_buf(c.salt, sizeof(c.salt));
    seed_of(gw->keyring, c.salt, seed);
    buffer_init(&c.sealed, STORE_VALUE_MAX);
    int r = audit_log_replace_key(gw->log, seed, commit_change, &c);
    sodium_memzero(seed, sizeof(seed));
    sodium_memzero(c.salt, sizeof(c.salt));
    buffer_free(&c.sealed);
    LOG(r == 0 ? LOG_WARN : LOG_ERROR, "audit", "log_key_replaced", log_error(r));
    return r;
}

/* Erased persons: what they sent before may still be on its way. */
#include "resolver.h"

#include <stdio.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"

#define LOOK_BACK_DAYS 9 /* as long as the keys of days live */
/* A message's time is in whole seconds: one of the same second may be younger. */
#define SECOND_MS 1000

static const struct span last_key = {"subject.erased", 14};

/* Of one identifier and day: whoever had a number one after the other, and steps done again. */
#define SLOTS 32

/* By the day's key alone: the index key may be replaced while it lives. */
static void tombstone_hash(struct keyring *keyring, uint32_t day, unsigned slot,
                           struct span identifier, uint8_t out[STORE_HASH_BYTES])
{
    char text[SUBJECT_IDENTIFIER_MAX], purpose[16] = "erased";
    if (slot)
        snprintf(purpose, sizeof(purpose), "erased.%u", slot % SLOTS);
    keyring_hash_day(keyring, day, purpose, identifier_text(identifier, text), out);
}

void subject_tombstone_put(struct store_txn *txn, struct keyring *keyring, struct span identifier,
                           int64_t before_ms, int64_t erased_ms)
{
    const struct record_id where = {.serial = (uint64_t)before_ms, .part = 'E'};
    uint8_t hash[STORE_HASH_BYTES], text[8];
    uint32_t day = (uint32_t)(before_ms / DAY_MS);
    if (before_ms < erased_ms - LOOK_BACK_DAYS * DAY_MS)
        return; /* nobody looks that far, and the key of the day is gone */
    for (unsigned slot = 0; slot < SLOTS; slot++) { /* the first that is not taken */
        tombstone_hash(keyring, day, slot, identifier, hash);
        if (store_dedupe_take(txn, day, hash, &where))
            break;
    }
    be64_put(text, (uint64_t)erased_ms);
    store_put_row(txn, STORE_TABLE_SETTING, last_key, span_of(text, sizeof(text)));
}

int tombstone_load(struct subject_resolver *resolver)
{
    struct store_read *read;
    struct arena arena;
    struct span value;
    int r = store_read_begin(resolver->store, &read);
    if (r != 0)
        return r;
    arena_init(&arena, 4096);
    r = store_get_row(read, STORE_TABLE_SETTING, last_key, &arena, &value);
    if (r == 0 && value.n == 8)
        resolver->last_erased_ms = (int64_t)be64_get((const uint8_t *)value.p);
    store_read_end(read);
    arena_free(&arena);
    return r == SLUIS_ENOENT ? 0 : r;
}

static int look_day(struct subject_resolver *resolver, struct store_read *read, struct span text,
                    int64_t at_ms, uint32_t day)
{
    int r = 0;
    for (unsigned slot = 0; r == 0 && slot < SLOTS; slot++) {
        uint8_t hash[STORE_HASH_BYTES];
        struct record_id where;
        tombstone_hash(resolver->keyring, day, slot, text, hash);
        r = store_get_dedupe(read, day, hash, &where);
        if (r == 0 && at_ms + SECOND_MS <= (int64_t)where.serial)
            return SLUIS_EEXPIRED;
    }
    return r == SLUIS_ENOENT ? 0 : r;
}

static int look(struct subject_resolver *resolver, struct store_read *read, struct span text,
                int64_t at_ms)
{
    int64_t today = clock_wall_ms() / DAY_MS, day = at_ms / DAY_MS;
    int r = 0;
    if (day < today - LOOK_BACK_DAYS)
        day = today - LOOK_BACK_DAYS;
    for (; r == 0 && text.n && day <= today; day++)
        r = look_day(resolver, read, text, at_ms, (uint32_t)day);
    return r;
}

int subject_erased(struct subject_resolver *resolver, struct span phone, struct span user_id,
                   int64_t at_ms)
{
    struct store_read *read;
    if (at_ms + SECOND_MS > resolver->last_erased_ms)
        return 0;
    int r = store_read_begin(resolver->store, &read);
    if (r != 0)
        return r;
    r = look(resolver, read, phone, at_ms);
    if (r == 0)
        r = look(resolver, read, user_id, at_ms);
    store_read_end(read);
    return r;
}

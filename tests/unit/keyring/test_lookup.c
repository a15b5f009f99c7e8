/* The index key is replaced: two live in between, and a stop behind any step on disk leaves the old
 * one or both, or the new one; after `finish` the old one is in no file and not in memory. */
#include "help.h"

#include <sodium.h>

#define NUMBER SPAN("31612345678")
#define STEPS 6

struct hashes {
    uint8_t first[STORE_HASH_BYTES], old_key[TREE_KEY];
};

static void hash(struct keyring *keyring, uint8_t out[STORE_HASH_BYTES])
{
    keyring_hash_identifier(keyring, "subject", NUMBER, out);
}

/* Is the key in any file of the folder, as it is? (Files are sealed; a control that memory is too.)
 */
static bool in_memory(struct keyring *keyring, const uint8_t key[TREE_KEY])
{
    const struct slab *slab = &keyring->cover.slab;
    for (uint32_t i = 0; i < slab->slots; i++)
        if (memcmp(slab_key(slab, i), key, TREE_KEY) == 0)
            return true;
    return false;
}

static void replaced(void **state)
{
    (void)state;
    struct place place;
    struct keyring *keyring;
    struct keyring_lookup lookup;
    struct keyring_hashes both;
    struct keyring_status before, after;
    struct hashes h;
    uint8_t now[STORE_HASH_BYTES];
    place_make(&place);
    assert_int_equal(place_open(&place, true, &keyring), 0);
    keyring_lookup(keyring, &lookup);
    assert_int_equal(lookup.number, 0);
    assert_true(lookup.made_ms > 0 && !lookup.replacing);
    hash(keyring, h.first);
    memcpy(h.old_key, slab_key(&keyring->cover.slab, SLAB_INDEX), TREE_KEY);
    assert_int_equal(keyring_lookup_finish(keyring), 0); /* nothing to finish */
    keyring_status(keyring, &before);

    assert_int_equal(keyring_lookup_begin(keyring, 1000), 0);
    assert_int_equal(keyring_lookup_begin(keyring, 1000), SLUIS_EEXIST);
    keyring_hash_identifiers(keyring, "subject", NUMBER, &both);
    assert_int_equal(both.n, 2);
    assert_memory_equal(both.hash[1], h.first, STORE_HASH_BYTES);
    assert_memory_not_equal(both.hash[0], h.first, STORE_HASH_BYTES);
    assert_true(in_memory(keyring, h.old_key)); /* control */
    keyring_close(keyring);

    assert_int_equal(place_open(&place, false, &keyring), 0); /* a stop in between */
    keyring_lookup(keyring, &lookup);
    assert_true(lookup.replacing && lookup.next_made_ms == 1000);
    assert_int_equal(keyring_lookup_finish(keyring), 0);
    keyring_status(keyring, &after);
    assert_true(after.generation > before.generation);
    assert_false(in_memory(keyring, h.old_key));
    hash(keyring, now);
    assert_memory_equal(now, both.hash[0], STORE_HASH_BYTES);
    keyring_close(keyring);

    assert_int_equal(place_open(&place, false, &keyring), 0);
    keyring_lookup(keyring, &lookup);
    assert_true(lookup.number == 1 && lookup.made_ms == 1000 && !lookup.replacing);
    assert_false(in_memory(keyring, h.old_key));
    hash(keyring, now);
    assert_memory_equal(now, both.hash[0], STORE_HASH_BYTES);
    keyring_close(keyring);
    place_remove(&place);
}

static int stop_at(void *ctx, unsigned step)
{
    return step == *(const unsigned *)ctx;
}

static int open_with_fault(const struct place *place, unsigned *step, struct keyring **out)
{
    struct diag diag = {0};
    const struct keyring_config config = {.path = place->ring,
                                          .root_file = place->root,
                                          .make = true,
                                          .fault = stop_at,
                                          .fault_ctx = step};
    return keyring_open(&config, out, &diag);
}

/* `begin` cut off behind each step, then a start; then `finish` likewise. */
static void cut_off(void **state)
{
    (void)state;
    unsigned stood = 0;
    for (unsigned step = 1; step <= STEPS; step++) {
        struct place place;
        struct keyring *keyring;
        struct keyring_lookup lookup;
        struct keyring_hashes both;
        uint8_t first[STORE_HASH_BYTES], next[STORE_HASH_BYTES], now[STORE_HASH_BYTES];
        unsigned fault = 0;
        place_make(&place);
        assert_int_equal(open_with_fault(&place, &fault, &keyring), 0);
        hash(keyring, first);
        fault = step;
        int r = keyring_lookup_begin(keyring, 1000);
        keyring_close(keyring);
        fault = 0;
        assert_int_equal(open_with_fault(&place, &fault, &keyring), 0);
        keyring_lookup(keyring, &lookup);
        if (r == 0)
            assert_true(lookup.replacing); /* it said so */
        stood += lookup.replacing;
        keyring_hash_identifiers(keyring, "subject", NUMBER, &both);
        assert_memory_equal(both.hash[both.n - 1], first, STORE_HASH_BYTES); /* never lost */
        r = keyring_lookup_begin(keyring, 2000);
        assert_int_equal(r, lookup.replacing ? SLUIS_EEXIST : 0);
        hash(keyring, next);

        fault = step;
        assert_int_equal(keyring_lookup_finish(keyring), SLUIS_EIO);
        hash(keyring, now);
        assert_memory_equal(now, next, STORE_HASH_BYTES);
        keyring_close(keyring);
        fault = 0;
        assert_int_equal(open_with_fault(&place, &fault, &keyring), 0);
        assert_int_equal(keyring_lookup_finish(keyring), 0);
        keyring_lookup(keyring, &lookup);
        assert_true(lookup.number == 1 && !lookup.replacing);
        hash(keyring, now);
        assert_memory_equal(now, next, STORE_HASH_BYTES);
        keyring_close(keyring);
        place_remove(&place);
    }
    assert_true(stood > 0 && stood < STEPS); /* both sides of the change were seen */
}

/* Tried again in the same process when the disk is there again. */
static void tried_again(void **state)
{
    (void)state;
    struct place place;
    struct keyring *keyring;
    struct keyring_lookup lookup;
    uint8_t first[STORE_HASH_BYTES], next[STORE_HASH_BYTES], now[STORE_HASH_BYTES];
    unsigned fault = 0;
    place_make(&place);
    assert_int_equal(open_with_fault(&place, &fault, &keyring), 0);
    hash(keyring, first);
    fault = 1;
    assert_int_equal(keyring_lookup_begin(keyring, 1000), SLUIS_EIO);
    hash(keyring, now);
    assert_memory_equal(now, first,
                        STORE_HASH_BYTES); /* nothing is hashed with a key not on disk */
    fault = 0;
    assert_int_equal(keyring_lookup_begin(keyring, 1000), 0);
    hash(keyring, next);
    fault = 3;
    assert_int_equal(keyring_lookup_finish(keyring), SLUIS_EIO);
    fault = 0;
    assert_int_equal(keyring_lookup_finish(keyring), 0);
    keyring_close(keyring);
    assert_int_equal(open_with_fault(&place, &fault, &keyring), 0);
    keyring_lookup(keyring, &lookup);
    assert_true(lookup.number == 1 && !lookup.replacing);
    hash(keyring, now);
    assert_memory_equal(now, next, STORE_HASH_BYTES);
    keyring_close(keyring);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaced),
        cmocka_unit_test(cut_off),
        cmocka_unit_test(tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

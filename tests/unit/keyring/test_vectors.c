/* Known answers: what vectors.py, a second implementation, computed and wrote. */
#include "help.h"

#include <sodium.h>

#include "sluis/base/encode.h"
#include "vectors.h"

#define VECTOR_MAX 512

static size_t vector(const char *hex, uint8_t out[VECTOR_MAX])
{
    size_t n = strlen(hex) / 2;
    assert_true(n <= VECTOR_MAX);
    assert_int_equal(hex_decode_lower(span_str(hex), out, n), 0);
    return n;
}

/* A keyring folder written by Python alone. */
static struct keyring *python_keyring_of(struct place *place, const char *cover_hex)
{
    uint8_t bytes[VECTOR_MAX], epoch[2 * 4096] = {0};
    char cover[256];
    struct keyring *keyring;
    place_make(place);
    assert_int_equal(mkdir(place->ring, 0700), 0);
    write_file(place->root, V_ROOT_KEY, strlen(V_ROOT_KEY), 0400);
    size_t n = vector(V_SLOT, bytes);
    memcpy(epoch + (V_GENERATION % 2) * 4096, bytes, n);
    write_file(place->epoch, epoch, sizeof(epoch), 0600);
    n = vector(cover_hex, bytes);
    snprintf(cover, sizeof(cover), "%s/cover.%u", place->ring, V_GENERATION);
    write_file(cover, bytes, n, 0600);
    assert_int_equal(place_open(place, false, &keyring), 0);
    return keyring;
}

static struct keyring *python_keyring(struct place *place)
{
    return python_keyring_of(place, V_COVER);
}

static void derivations(void **state)
{
    (void)state;
    struct place place;
    struct keyring *keyring = python_keyring(&place);
    struct keyring_status status;
    uint8_t want[VECTOR_MAX], got[TREE_KEY];

    keyring_status(keyring, &status);
    assert_int_equal(status.generation, V_GENERATION);
    vector(V_INSTALLATION, want);
    assert_memory_equal(status.installation, want, KEYRING_INSTALLATION_BYTES);

    vector(V_ROOT_KEY, want);
    tree_child(want, 2, got);
    vector(V_CHILD_2_OF_ROOT_KEY, want);
    assert_memory_equal(got, want, TREE_KEY);

    const struct keyring_leaf leaves[] = {
        {.tree = KEYRING_TIME, .cls = V_CLS, .leaf = V_BUCKET},
        {.tree = KEYRING_SUBJECT, .leaf = V_SUBJECT},
        {.tree = KEYRING_MESSAGE, .leaf = V_SERIAL},
    };
    const char *hex[] = {V_TIME_LEAF, V_SUBJECT_LEAF, V_MESSAGE_LEAF};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(cover_leaf(&keyring->cover, leaves[i].tree, tree_path(&leaves[i]), got),
                         0);
        vector(hex[i], want);
        assert_memory_equal(got, want, TREE_KEY);
    }

    keyring_hash_identifier(keyring, "phone", SPAN("31612345678"), got);
    vector(V_IDENTIFIER, want);
    assert_memory_equal(got, want, STORE_HASH_BYTES);
    for (int again = 0; again < 2; again++) { /* derived, then from the day keys at hand */
        keyring_hash_day(keyring, V_DAY, "message", SPAN("wamid.X"), got);
        vector(V_DAY_HASH, want);
        assert_memory_equal(got, want, STORE_HASH_BYTES);
    }
    keyring_derive(keyring, "alias", got);
    vector(V_DERIVED, want);
    assert_memory_equal(got, want, TREE_KEY);
    keyring_close(keyring);
    place_remove(&place);
}

static void records(void **state)
{
    (void)state;
    struct place place;
    struct keyring *keyring = python_keyring(&place);
    struct keyring_cache *cache;
    struct buffer plain;
    uint8_t sealed[VECTOR_MAX], text[VECTOR_MAX];
    size_t text_n = vector(V_TEXT, text);
    const struct {
        const char *hex;
        struct record_id id;
    } rows[] = {
        {V_RECORD, id_of(V_CLS, V_BUCKET, V_SUBJECT, V_SERIAL, 'O')},
        {V_RECORD_FOREVER, id_of(0, 0, V_SUBJECT, V_SERIAL, 'P')},
        {V_RECORD_LOG, id_of(V_CLS, V_BUCKET, 0, V_SERIAL, 'L')},
    };
    assert_int_equal(keyring_cache_new(keyring, &cache), 0);
    uint64_t pseudonym;
    uint8_t hash[STORE_HASH_BYTES];
    assert_int_equal(
        keyring_hash_subject(cache, V_SUBJECT, "identifier", SPAN("31612345678"), hash), 0);
    vector(V_SUBJECT_HASH, sealed);
    assert_memory_equal(hash, sealed, STORE_HASH_BYTES);
    assert_int_equal(keyring_pseudonym(cache, V_SUBJECT, &pseudonym), 0);
    vector(V_PSEUDONYM, sealed);
    assert_int_equal(pseudonym, be64_get(sealed));
    assert_int_equal(keyring_pseudonym(cache, 0, &pseudonym), 0);
    assert_int_equal(pseudonym, 0);
    buffer_init(&plain, 4096);
    for (size_t i = 0; i < 3; i++) {
        size_t n = vector(rows[i].hex, sealed);
        buffer_clear(&plain);
        assert_int_equal(record_open(cache, V_TABLE, &rows[i].id, span_of(sealed, n), &plain), 0);
        assert_true(span_eq(buffer_span(&plain), span_of(text, text_n)));
        /* the control: a vector with one bit changed does not open */
        sealed[n - 1] ^= 1;
        assert_int_equal(record_open(cache, V_TABLE, &rows[i].id, span_of(sealed, n), &plain),
                         SLUIS_ECRYPTO);
    }
    buffer_free(&plain);
    keyring_cache_free(cache);
    keyring_close(keyring);
    place_remove(&place);
}

/* A keyring that Python wrote in the middle of a replacement. */
static void two_index_keys(void **state)
{
    (void)state;
    struct place place;
    struct keyring *keyring = python_keyring_of(&place, V_COVER_REPLACING);
    struct keyring_lookup lookup;
    struct keyring_hashes hashes;
    uint8_t want[VECTOR_MAX], got[STORE_HASH_BYTES];
    keyring_lookup(keyring, &lookup);
    assert_true(lookup.replacing);
    assert_int_equal(lookup.number, V_LOOKUP);
    assert_true(lookup.made_ms == 1790000000000 && lookup.next_made_ms == 1792000000000);
    keyring_hash_identifiers(keyring, "phone", SPAN("31612345678"), &hashes);
    assert_int_equal(hashes.n, 2);
    vector(V_IDENTIFIER_NEXT, want);
    assert_memory_equal(hashes.hash[0], want, STORE_HASH_BYTES);
    assert_int_equal(hashes.key[0], V_LOOKUP + 1);
    keyring_hash_identifier(keyring, "phone", SPAN("31612345678"), got);
    assert_memory_equal(got, want, STORE_HASH_BYTES);
    vector(V_IDENTIFIER, want);
    assert_memory_equal(hashes.hash[1], want, STORE_HASH_BYTES);
    assert_int_equal(hashes.key[1], V_LOOKUP);
    keyring_close(keyring);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(derivations), cmocka_unit_test(records),
                                       cmocka_unit_test(two_index_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

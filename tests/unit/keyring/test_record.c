/* Sealing and opening: what must not open, and what two sealings may have in common. */
#include "help.h"

#include <pthread.h>
#include <sodium.h>

struct fixture {
    struct place place;
    struct keyring *keyring;
    struct keyring_cache *cache;
    struct buffer sealed, plain;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    place_make(&f->place);
    assert_int_equal(place_open(&f->place, true, &f->keyring), 0);
    assert_int_equal(keyring_cache_new(f->keyring, &f->cache), 0);
    buffer_init(&f->sealed, 1 << 20);
    buffer_init(&f->plain, 1 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buffer_free(&f->sealed);
    buffer_free(&f->plain);
    keyring_cache_free(f->cache);
    keyring_close(f->keyring);
    place_remove(&f->place);
    free(f);
    return 0;
}

static int open_again(struct fixture *f, uint8_t table, struct record_id id)
{
    buffer_clear(&f->plain);
    return record_open(f->cache, table, &id, buffer_span(&f->sealed), &f->plain);
}

static void sizes(void **state)
{
    struct fixture *f = *state;
    static const char zero[70000];
    const size_t lengths[] = {0, 1, 63, 64, 65, 700, 1990, sizeof(zero)};
    struct record_id id = id_of(2, 400000, 5, 17, 'O');
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        buffer_clear(&f->sealed);
        assert_int_equal(record_seal(f->cache, 1, &id, 1, span_of(zero, lengths[i]), &f->sealed),
                         0);
        assert_int_equal(f->sealed.n, lengths[i] + KEYRING_RECORD_OVERHEAD);
        assert_int_equal(open_again(f, 1, id), 0);
        assert_int_equal(f->plain.n, lengths[i]);
        assert_true(lengths[i] == 0 || sodium_is_zero((uint8_t *)f->plain.p, lengths[i]));
    }
}

static void wrong_place(void **state)
{
    struct fixture *f = *state;
    const struct record_id id = id_of(2, 400000, 5, 17, 'O');
    assert_int_equal(record_seal(f->cache, 1, &id, 3, SPAN("hallo"), &f->sealed), 0);
    assert_int_equal(open_again(f, 1, id), 0);
    assert_int_equal(open_again(f, 2, id), SLUIS_ECRYPTO);
    const struct record_id wrong[] = {
        id_of(3, 400000, 5, 17, 'O'), id_of(2, 400001, 5, 17, 'O'), id_of(2, 400000, 6, 17, 'O'),
        id_of(2, 400000, 5, 18, 'O'), id_of(2, 400000, 5, 17, 'M'), id_of(0, 400000, 5, 17, 'O'),
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(open_again(f, 1, wrong[i]), SLUIS_ECRYPTO);
    /* the serial of a record that never expires picks no leaf, and still is not exchangeable */
    const struct record_id principal = id_of(0, 0, 0, 17, 'P');
    buffer_clear(&f->sealed);
    assert_int_equal(record_seal(f->cache, 1, &principal, 3, SPAN("hallo"), &f->sealed), 0);
    assert_int_equal(open_again(f, 1, id_of(0, 0, 0, 18, 'P')), SLUIS_ECRYPTO);
    assert_int_equal(open_again(f, 1, principal), 0);
    /* what the trees cannot hold is refused, not wrapped around */
    const struct record_id too_big[] = {id_of(2, 1, 1, 1ull << 32, 'O'),
                                        id_of(2, 1, 1ull << 32, 1, 'O'),
                                        id_of(KEYRING_CLASS_DAY, 1, 1, 1, 'O')};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(record_seal(f->cache, 1, &too_big[i], 1, SPAN("x"), &f->sealed),
                         SLUIS_ELIMIT);
}

static void every_bit(void **state)
{
    struct fixture *f = *state;
    const struct record_id id = id_of(2, 400000, 5, 17, 'O');
    assert_int_equal(record_seal(f->cache, 1, &id, 3, SPAN("hallo daar"), &f->sealed), 0);
    for (size_t bit = 0; bit < f->sealed.n * 8; bit++) {
        f->sealed.p[bit / 8] = (char)(f->sealed.p[bit / 8] ^ 1 << bit % 8);
        int result = open_again(f, 1, id);
        assert_true(result == SLUIS_ECRYPTO || (bit < 8 && result == SLUIS_EINVAL));
        assert_int_equal(f->plain.n, 0);
        f->sealed.p[bit / 8] = (char)(f->sealed.p[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t n = 0; n < f->sealed.n; n++) {
        int result = record_open(f->cache, 1, &id, span_of(f->sealed.p, n), &f->plain);
        assert_true(result == SLUIS_ECRYPTO || result == SLUIS_EINVAL);
    }
    assert_int_equal(open_again(f, 1, id), 0);
    assert_true(span_is(buffer_span(&f->plain), "hallo daar"));
}

/* Bytes that two ciphertexts of the same text have in common: by chance 1 in 256. */
static size_t same_bytes(const char *a, const char *b, size_t n)
{
    size_t same = 0;
    for (size_t i = 0; i < n; i++)
        same += a[i] == b[i];
    return same;
}

static void sealed_twice(void **state)
{
    struct fixture *f = *state;
    static const char text[4096]; /* zeros: the ciphertext is the key stream */
    const struct record_id o = id_of(2, 400000, 5, 17, 'O'), m = id_of(2, 400000, 5, 17, 'M');
    const size_t sealed = sizeof(text) + KEYRING_RECORD_OVERHEAD, head = 30;
    assert_int_equal(record_seal(f->cache, 1, &o, 1, span_of(text, sizeof(text)), &f->sealed), 0);
    assert_int_equal(record_seal(f->cache, 1, &o, 1, span_of(text, sizeof(text)), &f->sealed), 0);
    assert_int_equal(record_seal(f->cache, 1, &m, 1, span_of(text, sizeof(text)), &f->sealed), 0);
    const char *a = f->sealed.p, *b = a + sealed, *c = b + sealed;
    assert_true(memcmp(a + 6, b + 6, 24) != 0); /* nonces */
    /* mean 16 of 4096, standard deviation 4: 60 is eleven away */
    assert_true(same_bytes(a + head, b + head, sizeof(text)) < 60);
    assert_true(same_bytes(a + head, c + head, sizeof(text)) < 60);
    /* the control: with key and nonce fixed the same measure sees it */
    uint8_t key[32] = {1}, nonce[24] = {2}, first[4096 + 16], second[4096 + 16];
    crypto_aead_xchacha20poly1305_ietf_encrypt(first, NULL, (const uint8_t *)text, 4096,
                                               (const uint8_t *)"O", 1, NULL, nonce, key);
    crypto_aead_xchacha20poly1305_ietf_encrypt(second, NULL, (const uint8_t *)text, 4096,
                                               (const uint8_t *)"M", 1, NULL, nonce, key);
    assert_true(same_bytes((char *)first, (char *)second, 4096) == 4096);
}

static void nonces_never_repeat(void **state)
{
    struct fixture *f = *state;
    const struct record_id id = id_of(2, 400000, 5, 17, 'O');
    enum { N = 1000 };
    uint8_t(*seen)[24] = calloc(N, 24);
    for (size_t i = 0; i < N; i++) {
        buffer_clear(&f->sealed);
        assert_int_equal(record_seal(f->cache, 1, &id, 1, SPAN("x"), &f->sealed), 0);
        memcpy(seen[i], f->sealed.p + 6, 24);
        for (size_t j = 0; j < i; j++)
            assert_true(memcmp(seen[i], seen[j], 24) != 0);
    }
    free(seen);
}

/* Nor when threads share a cache, as an erasure and a purge do. */
enum { THREADS = 4, SEALED = 20000 };
struct sealer {
    struct keyring_cache *cache;
    uint8_t (*nonces)[24];
    int error;
};

static void *seal_many(void *ctx)
{
    struct sealer *s = ctx;
    const struct record_id id = id_of(2, 400000, 5, 17, 'O');
    struct buffer sealed;
    buffer_init(&sealed, 4096);
    for (unsigned i = 0; i < SEALED && s->error == 0; i++) {
        buffer_clear(&sealed);
        s->error = record_seal(s->cache, 1, &id, 1, SPAN("x"), &sealed);
        memcpy(s->nonces[i], sealed.p + 6, 24);
    }
    buffer_free(&sealed);
    return NULL;
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, 24);
}

static void shared_cache(void **state)
{
    struct fixture *f = *state;
    struct sealer sealers[THREADS];
    pthread_t threads[THREADS];
    uint8_t(*seen)[24] = calloc((size_t)THREADS * SEALED, 24);
    assert_non_null(seen);
    for (unsigned i = 0; i < THREADS; i++) {
        sealers[i] = (struct sealer){f->cache, seen + (size_t)i * SEALED, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, seal_many, &sealers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(sealers[i].error, 0);
    }
    qsort(seen, (size_t)THREADS * SEALED, 24, by_bytes);
    for (size_t i = 1; i < (size_t)THREADS * SEALED; i++)
        assert_true(memcmp(seen[i - 1], seen[i], 24) != 0);
    free(seen);
}

static void hashes(void **state)
{
    struct fixture *f = *state;
    uint8_t a[16], b[16];
    keyring_hash_identifier(f->keyring, "phone", SPAN("31612345678"), a);
    keyring_hash_identifier(f->keyring, "phone", SPAN("31612345678"), b);
    assert_memory_equal(a, b, 16);
    keyring_hash_identifier(f->keyring, "user", SPAN("31612345678"), b);
    assert_memory_not_equal(a, b, 16);
    keyring_hash_identifier(f->keyring, "phon", SPAN("e\00031612345678"), b);
    assert_memory_not_equal(a, b, 16);
    keyring_hash_day(f->keyring, 20000, "message", SPAN("x"), a);
    keyring_hash_day(f->keyring, 20016, "message", SPAN("x"), b); /* the same slot at hand */
    assert_memory_not_equal(a, b, 16);
    keyring_hash_day(f->keyring, 20000, "message", SPAN("x"), b);
    assert_memory_equal(a, b, 16);
}

/* Configured names stand in labels: long ones that differ at the end are two keys. */
static void long_labels(void **state)
{
    struct fixture *f = *state;
    uint8_t a[KEYRING_KEY_BYTES], b[KEYRING_KEY_BYTES];
    char label[200];
    memset(label, 'x', sizeof(label));
    label[sizeof(label) - 1] = '\0';
    keyring_derive(f->keyring, label, a);
    label[sizeof(label) - 2] = 'y';
    keyring_derive(f->keyring, label, b);
    assert_memory_not_equal(a, b, sizeof(a));
}

/* Blocks carry their place with them: whoever has the keyring opens them, and at no other row. */
static void blocks(void **state)
{
    struct fixture *f = *state;
    const struct block_place places[] = {{.cls = 0}, {.cls = 7, .bucket = 70000}};
    for (size_t i = 0; i < 2; i++) {
        buffer_clear(&f->sealed);
        buffer_clear(&f->plain);
        assert_int_equal(
            block_seal(f->cache, 3, 12, places[i], SPAN("a leaf of the log"), &f->sealed), 0);
        assert_true(f->sealed.n <= 17 + KEYRING_BLOCK_OVERHEAD);
        const struct span sealed = buffer_span(&f->sealed);
        assert_int_equal(block_open(f->cache, 3, 12, sealed, &f->plain), 0);
        assert_true(span_eq(buffer_span(&f->plain), SPAN("a leaf of the log")));
        assert_int_equal(block_open(f->cache, 3, 13, sealed, &f->plain), SLUIS_ECRYPTO);
        assert_int_equal(block_open(f->cache, 4, 12, sealed, &f->plain), SLUIS_ECRYPTO);
        for (size_t at = 0; at < sealed.n; at++) {
            f->sealed.p[at] ^= 1;
            assert_int_not_equal(block_open(f->cache, 3, 12, sealed, &f->plain), 0);
            f->sealed.p[at] ^= 1;
        }
    }
    /* what was left in the buffer is the placed one: its bucket destroyed, it opens no more */
    const struct keyring_leaf leaf = {.tree = KEYRING_TIME, .cls = 7, .leaf = 70000};
    assert_int_equal(keyring_puncture(f->keyring, &leaf, 1), 0);
    buffer_clear(&f->plain);
    assert_int_equal(block_open(f->cache, 3, 12, buffer_span(&f->sealed), &f->plain),
                     SLUIS_EEXPIRED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_place, setup, teardown),
        cmocka_unit_test_setup_teardown(every_bit, setup, teardown),
        cmocka_unit_test_setup_teardown(sealed_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(nonces_never_repeat, setup, teardown),
        cmocka_unit_test_setup_teardown(shared_cache, setup, teardown),
        cmocka_unit_test_setup_teardown(hashes, setup, teardown),
        cmocka_unit_test_setup_teardown(long_labels, setup, teardown),
        cmocka_unit_test_setup_teardown(blocks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

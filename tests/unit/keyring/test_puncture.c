/* Destroying leaves: what is gone, what still opens, and what the cover costs. */
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

static void reopen(struct fixture *f)
{
    keyring_cache_free(f->cache);
    keyring_close(f->keyring);
    assert_int_equal(place_open(&f->place, false, &f->keyring), 0);
    assert_int_equal(keyring_cache_new(f->keyring, &f->cache), 0);
}

static int try_seal(struct fixture *f, struct record_id id)
{
    buffer_clear(&f->sealed);
    return record_seal(f->cache, 1, &id, 1, SPAN("x"), &f->sealed);
}

struct kept { /* a record sealed before, to be opened after */
    struct record_id id;
    char bytes[KEYRING_RECORD_OVERHEAD + 1];
};

static void keep(struct fixture *f, struct kept *kept, struct record_id id)
{
    assert_int_equal(try_seal(f, id), 0);
    kept->id = id;
    memcpy(kept->bytes, f->sealed.p, sizeof(kept->bytes));
}

static int open_kept(struct fixture *f, const struct kept *kept)
{
    buffer_clear(&f->plain);
    return record_open(f->cache, 1, &kept->id, span_of(kept->bytes, sizeof(kept->bytes)),
                       &f->plain);
}

static void neighbours(void **state)
{
    struct fixture *f = *state;
    /* one record per tree around the leaf that goes; [0] of each three is the one that dies */
    const struct record_id ids[] = {
        id_of(2, 5000, 10, 100, 'O'), id_of(2, 5001, 10, 100, 'O'), id_of(3, 5000, 10, 100, 'O'),
        id_of(2, 9000, 11, 200, 'O'), id_of(2, 9000, 12, 200, 'O'), id_of(2, 9000, 10, 200, 'O'),
        id_of(2, 9000, 20, 300, 'O'), id_of(2, 9000, 20, 301, 'O'), id_of(2, 9000, 20, 299, 'O'),
    };
    const struct keyring_leaf leaves[] = {
        {.tree = KEYRING_TIME, .cls = 2, .leaf = 5000},
        {.tree = KEYRING_SUBJECT, .leaf = 11},
        {.tree = KEYRING_MESSAGE, .leaf = 300},
    };
    struct kept kept[9];
    for (size_t i = 0; i < 9; i++)
        keep(f, &kept[i], ids[i]);
    uint64_t before, after;
    assert_int_equal(keyring_pseudonym(f->cache, 11, &before), 0);
    assert_int_equal(keyring_pseudonym(f->cache, 12, &after), 0);
    assert_true(before != after);
    assert_int_equal(keyring_puncture(f->keyring, leaves, 3), 0);
    assert_int_equal(keyring_pseudonym(f->cache, 11, &after), SLUIS_EEXPIRED);
    assert_int_equal(keyring_pseudonym(f->cache, 12, &after), 0);
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < 9; i++) {
            assert_int_equal(open_kept(f, &kept[i]), i % 3 == 0 ? SLUIS_EEXPIRED : 0);
            assert_int_equal(try_seal(f, ids[i]), i % 3 == 0 ? SLUIS_EEXPIRED : 0);
        }
        reopen(f); /* the same from disk */
    }
    struct keyring_status status;
    keyring_status(f->keyring, &status);
    assert_int_equal(status.generation, 2); /* three leaves, one change */
    /* once more is no error and no change */
    assert_int_equal(keyring_puncture(f->keyring, leaves, 3), 0);
    keyring_status(f->keyring, &status);
    assert_int_equal(status.generation, 2);
}

static void refused(void **state)
{
    struct fixture *f = *state;
    const struct keyring_leaf leaves[] = {
        {.tree = KEYRING_TIME, .cls = 0, .leaf = 7},
        {.tree = KEYRING_SUBJECT, .leaf = 0},
        {.tree = KEYRING_MESSAGE, .leaf = 0},
        {.tree = KEYRING_SUBJECT, .leaf = 9, .through = true},
        {.tree = KEYRING_TREES, .leaf = 9},
    };
    for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
        const struct keyring_leaf both[] = {{.tree = KEYRING_MESSAGE, .leaf = 5}, leaves[i]};
        assert_int_equal(keyring_puncture(f->keyring, both, 2), SLUIS_EINVAL);
    }
    assert_int_equal(try_seal(f, id_of(2, 1, 9, 5, 'O')), 0); /* nothing was done */
}

static void through(void **state)
{
    struct fixture *f = *state;
    const struct keyring_leaf leaf = {
        .tree = KEYRING_TIME, .cls = 2, .leaf = 5000, .through = true};
    assert_int_equal(keyring_puncture(f->keyring, &leaf, 1), 0);
    for (uint32_t bucket = 4900; bucket <= 5100; bucket++)
        assert_int_equal(try_seal(f, id_of(2, bucket, 1, 1, 'O')),
                         bucket <= 5000 ? SLUIS_EEXPIRED : 0);
    assert_int_equal(try_seal(f, id_of(2, 0, 1, 1, 'O')), SLUIS_EEXPIRED);
    assert_int_equal(try_seal(f, id_of(1, 4999, 1, 1, 'O')), 0);
    assert_int_equal(try_seal(f, id_of(3, 0, 1, 1, 'O')), 0);
    assert_int_equal(try_seal(f, id_of(0, 0, 1, 1, 'P')), 0);
    /* days: the dedupe key of a dead day never matches again */
    uint8_t a[16], b[16];
    keyring_hash_day(f->keyring, 100, "m", SPAN("x"), a);
    const struct keyring_leaf day = {
        .tree = KEYRING_TIME, .cls = KEYRING_CLASS_DAY, .leaf = 100, .through = true};
    assert_int_equal(keyring_puncture(f->keyring, &day, 1), 0);
    keyring_hash_day(f->keyring, 100, "m", SPAN("x"), b);
    assert_memory_not_equal(a, b, 16);
    keyring_hash_day(f->keyring, 100, "m", SPAN("x"), a);
    assert_memory_not_equal(a, b, 16);
}

/* Ten years of hours in order leave a keyring of a few kB, one leaf at a time or through. */
static void years_in_order(void **state)
{
    (void)state;
    enum { HOURS = 87600, FIRST = 490000 };
    for (int mode = 0; mode < 2; mode++) {
        struct cover cover;
        struct buffer text;
        bool changed;
        assert_int_equal(cover_init(&cover), 0);
        assert_int_equal(cover_make(&cover, 0), 0);
        struct keyring_leaf leaf = {
            .tree = KEYRING_TIME, .cls = 1, .leaf = FIRST - 1, .through = true};
        assert_int_equal(cover_puncture(&cover, &leaf, &changed), 0);
        for (uint32_t i = 0; i < HOURS; i++) {
            leaf = (struct keyring_leaf){
                .tree = KEYRING_TIME, .cls = 1, .leaf = FIRST + i, .through = mode == 1};
            assert_int_equal(cover_puncture(&cover, &leaf, &changed), 0);
            assert_true(changed);
        }
        buffer_init(&text, 1 << 20);
        cover_write(&cover, &text);
        assert_int_equal(text.error, 0);
        assert_true(text.n < 4096);
        assert_true(cover.slab.slots <= 1024 && cover.inner_used < 256); /* slots are used again */
        buffer_free(&text);
        cover_free(&cover);
    }
}

/* A model: a bit per leaf of a small range, against the cover, with writing and reading back. */
static void against_a_model(void **state)
{
    (void)state;
    enum { RANGE = 300, ROUNDS = 400 };
    bool dead[RANGE] = {false};
    struct cover cover;
    struct buffer text;
    uint8_t first[RANGE][TREE_KEY], key[TREE_KEY];
    bool changed;
    assert_int_equal(cover_init(&cover), 0);
    assert_int_equal(cover_make(&cover, 0), 0);
    buffer_init(&text, 1 << 22);
    for (uint32_t i = 0; i < RANGE; i++)
        assert_int_equal(cover_leaf(&cover, KEYRING_MESSAGE, i, first[i]), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t pick = randombytes_uniform(RANGE);
        const struct keyring_leaf leaf = {.tree = KEYRING_MESSAGE, .leaf = pick};
        assert_int_equal(cover_puncture(&cover, &leaf, &changed), 0);
        assert_int_equal(changed, !dead[pick]);
        dead[pick] = true;
        if (round % 20 == 0) { /* through paper */
            struct cover other;
            buffer_clear(&text);
            cover_write(&cover, &text);
            assert_int_equal(cover_init(&other), 0);
            assert_int_equal(cover_read(&other, buffer_span(&text)), 0);
            assert_int_equal(other.live, cover.live);
            cover_free(&cover);
            cover = other;
        }
        for (uint32_t i = 0; i < RANGE; i++) {
            int result = cover_leaf(&cover, KEYRING_MESSAGE, i, key);
            assert_int_equal(result, dead[i] ? SLUIS_EEXPIRED : 0);
            if (!result)
                assert_memory_equal(key, first[i], TREE_KEY);
        }
    }
    buffer_free(&text);
    cover_free(&cover);
}

/* No key on the way to a dead leaf, nor the leaf, stays in the slab or on paper. */
static void no_trace(void **state)
{
    (void)state;
    struct cover cover;
    struct buffer text;
    bool changed;
    assert_int_equal(cover_init(&cover), 0);
    assert_int_equal(cover_make(&cover, 0), 0);
    const struct keyring_leaf leaf = {.tree = KEYRING_MESSAGE, .leaf = 0x1234567};
    uint8_t way[TREE_LEVELS_SERIAL + 1][TREE_KEY];
    const uint8_t *root;
    unsigned level;
    assert_int_equal(cover_anchor(&cover, leaf.tree, tree_path(&leaf), &root, &level), 0);
    memcpy(way[0], root, TREE_KEY);
    for (unsigned i = 0; i < TREE_LEVELS_SERIAL; i++)
        tree_child(way[i], tree_index(TREE_LEVELS_SERIAL, leaf.leaf, i), way[i + 1]);
    buffer_init(&text, 1 << 20);
    for (int after = 0; after < 2; after++) {
        buffer_clear(&text);
        cover_write(&cover, &text);
        unsigned found = 0;
        for (unsigned i = 0; i <= TREE_LEVELS_SERIAL; i++) {
            found += memmem(cover.slab.keys, (size_t)cover.slab.slots * TREE_KEY, way[i],
                            TREE_KEY) != NULL;
            found += memmem(text.p, text.n, way[i], TREE_KEY) != NULL;
        }
        assert_int_equal(found, after ? 0 : 2); /* the control: before, the root is in both */
        if (!after)
            assert_int_equal(cover_puncture(&cover, &leaf, &changed), 0);
    }
    buffer_free(&text);
    cover_free(&cover);
}

/* Damaged covers are refused, whatever was cut or changed in their marks. */
static void paper_refused(void **state)
{
    (void)state;
    struct cover cover, other;
    struct buffer text;
    bool changed;
    assert_int_equal(cover_init(&cover), 0);
    assert_int_equal(cover_make(&cover, 0), 0);
    const struct keyring_leaf leaf = {.tree = KEYRING_SUBJECT, .leaf = 77};
    assert_int_equal(cover_puncture(&cover, &leaf, &changed), 0);
    buffer_init(&text, 1 << 20);
    cover_write(&cover, &text);
    for (size_t n = 0; n <= text.n; n++) {
        assert_int_equal(cover_init(&other), 0);
        assert_int_equal(cover_read(&other, span_of(text.p, n)),
                         n == text.n || n == text.n - 14 /* of a version before */ ? 0
                                                                                   : SLUIS_EINVAL);
        cover_free(&other);
    }
    buffer_add_char(&text, 0);
    assert_int_equal(cover_init(&other), 0);
    assert_int_equal(cover_read(&other, buffer_span(&text)), SLUIS_EINVAL);
    cover_free(&other);
    text.p[2 * TREE_KEY] = 3; /* an unknown mark */
    assert_int_equal(cover_init(&other), 0);
    assert_int_equal(cover_read(&other, buffer_span(&text)), SLUIS_EINVAL);
    cover_free(&other);
    /* an inner node below the leaves */
    char deep[2 * TREE_KEY + 200];
    memset(deep, 2, sizeof(deep));
    assert_int_equal(cover_init(&other), 0);
    assert_int_equal(cover_read(&other, span_of(deep, sizeof(deep))), SLUIS_EINVAL);
    cover_free(&other);
    buffer_free(&text);
    cover_free(&cover);
}

/* Threads seal while leaves are destroyed: after keyring_puncture returned, no thread opens. */
struct racer {
    struct keyring *keyring;
    _Atomic uint32_t *dead_below;
    _Atomic bool *stop;
    unsigned wrong, done;
};

static void *race(void *arg)
{
    struct racer *racer = arg;
    struct keyring_cache *cache;
    struct buffer out;
    buffer_init(&out, 4096);
    if (keyring_cache_new(racer->keyring, &cache) != 0) {
        racer->wrong = 1;
        return NULL;
    }
    while (!*racer->stop) {
        uint32_t dead = *racer->dead_below; /* read before: everything below is surely gone */
        for (uint32_t serial = 1; serial < 64; serial++) {
            const struct record_id id = id_of(2, 1, 1, serial, 'O');
            buffer_clear(&out);
            int result = record_seal(cache, 1, &id, 1, SPAN("x"), &out);
            if (result != 0 && result != SLUIS_EEXPIRED)
                racer->wrong++;
            if (serial < dead && result != SLUIS_EEXPIRED)
                racer->wrong++;
            racer->done++;
            if (serial % 16 == 0) { /* the other doors, for ThreadSanitizer's eyes */
                struct keyring_status status;
                uint8_t hash[STORE_HASH_BYTES];
                uint64_t pseudonym;
                keyring_status(racer->keyring, &status);
                racer->wrong += status.generation == 0;
                keyring_hash_day(racer->keyring, 20000 + serial, "m", SPAN("x"), hash);
                keyring_hash_identifier(racer->keyring, "m", SPAN("x"), hash);
                racer->wrong += keyring_pseudonym(cache, serial, &pseudonym) != 0;
            }
        }
    }
    keyring_cache_free(cache);
    buffer_free(&out);
    return NULL;
}

static void threads(void **state)
{
    struct fixture *f = *state;
    enum { THREADS = 3 };
    _Atomic uint32_t dead_below = 1;
    _Atomic bool stop = false;
    struct racer racers[THREADS];
    pthread_t ids[THREADS];
    for (int i = 0; i < THREADS; i++) {
        racers[i] = (struct racer){f->keyring, &dead_below, &stop, 0, 0};
        assert_int_equal(pthread_create(&ids[i], NULL, race, &racers[i]), 0);
    }
    for (uint32_t serial = 1; serial < 40; serial++) {
        const struct keyring_leaf leaf = {.tree = KEYRING_MESSAGE, .leaf = serial};
        assert_int_equal(keyring_puncture(f->keyring, &leaf, 1), 0);
        dead_below = serial + 1;
    }
    stop = true;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(ids[i], NULL);
        assert_int_equal(racers[i].wrong, 0);
        assert_true(racers[i].done > 0);
    }
}

/* Against the truth: what lives, and what is new, keeps its key; under every node that stays there
 * is something that does. */
static void pruned(void **state)
{
    enum { SERIALS = 4096, BELOW = 3000 };
    static uint8_t before[SERIALS][TREE_KEY], living[SERIALS / 8];
    static bool gone[SERIALS];
    struct cover cover;
    (void)state;
    assert_int_equal(cover_init(&cover), 0);
    assert_int_equal(cover_make(&cover, 0), 0);
    for (uint32_t i = 0; i < SERIALS; i++)
        assert_int_equal(cover_leaf(&cover, KEYRING_MESSAGE, i, before[i]), 0);
    memset(living, 0, sizeof(living));
    memset(gone, 0, sizeof(gone));
    uint64_t alive = 0;
    bool changed;
    for (unsigned n = 0; n < 600; n++) { /* single messages, here and there */
        struct keyring_leaf leaf = {.tree = KEYRING_MESSAGE,
                                    .leaf = 1 + randombytes_uniform(SERIALS - 1)};
        assert_int_equal(cover_puncture(&cover, &leaf, &changed), 0);
        gone[leaf.leaf] = true;
    }
    for (unsigned n = 0; n < 20; n++) {
        uint32_t serial = randombytes_uniform(BELOW);
        alive += !(living[serial / 8] >> serial % 8 & 1);
        living[serial / 8] |= (uint8_t)(1u << serial % 8);
    }
    cover_prune(&cover, KEYRING_MESSAGE, living, sizeof(living), BELOW, &changed);
    assert_true(changed);
    unsigned dead = 0;
    for (uint32_t i = 0; i < SERIALS; i++) {
        uint8_t key[TREE_KEY];
        int r = cover_leaf(&cover, KEYRING_MESSAGE, i, key);
        bool must = !gone[i] && (i == 0 || i >= BELOW || (living[i / 8] >> i % 8 & 1));
        if (must)
            assert_int_equal(r, 0);
        if (gone[i])
            assert_int_equal(r, SLUIS_EEXPIRED);
        if (r == 0)
            assert_memory_equal(key, before[i], TREE_KEY);
        dead += r != 0 && !gone[i];
    }
    assert_true(dead > BELOW / 2);
    /* once more changes nothing; with nothing alive only leaf 0's node and what is new stay */
    cover_prune(&cover, KEYRING_MESSAGE, living, sizeof(living), BELOW, &changed);
    assert_false(changed);
    uint64_t highest = 0; /* what is given out must lie beyond it */
    for (uint32_t i = 1; i < SERIALS; i++)
        if (cover_leaf(&cover, KEYRING_MESSAGE, i, (uint8_t[TREE_KEY]){0}) != 0)
            highest = i;
    assert_int_equal(cover_highest_gone(&cover, KEYRING_MESSAGE), highest);
    assert_int_equal(cover_highest_gone(&cover, KEYRING_SUBJECT), 0);
    uint64_t nodes = cover.live;
    memset(living, 0, sizeof(living));
    cover_prune(&cover, KEYRING_MESSAGE, living, sizeof(living), SERIALS, &changed);
    assert_true(changed && cover.live < nodes);
    assert_true(cover.live <= 2 + 4 * 3 * TREE_LEVELS_SERIAL);
    uint8_t key[TREE_KEY];
    assert_int_equal(cover_leaf(&cover, KEYRING_MESSAGE, 0, key), 0);
    assert_int_equal(cover_leaf(&cover, KEYRING_MESSAGE, SERIALS + 1, key), 0);
    assert_int_equal(cover_leaf(&cover, KEYRING_SUBJECT, 17, key), 0);
    /* the same on paper */
    struct buffer paper;
    struct cover again;
    buffer_init(&paper, 1 << 20);
    cover_write(&cover, &paper);
    assert_int_equal(cover_init(&again), 0);
    assert_int_equal(cover_read(&again, buffer_span(&paper)), 0);
    assert_int_equal(again.live, cover.live);
    buffer_free(&paper);
    cover_free(&again);
    cover_free(&cover);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(neighbours, setup, teardown),
        cmocka_unit_test_setup_teardown(refused, setup, teardown),
        cmocka_unit_test_setup_teardown(through, setup, teardown),
        cmocka_unit_test(years_in_order),
        cmocka_unit_test(against_a_model),
        cmocka_unit_test(pruned),
        cmocka_unit_test(no_trace),
        cmocka_unit_test(paper_refused),
        cmocka_unit_test_setup_teardown(threads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Keys in memory: only in the slab and the caches, which are locked and stay out of core files; and
 * a destroyed key nowhere at all, stacks included. Searches this process's own memory, as one would
 * a core.
 */
#include "help.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>

/* Sanitizers keep memory of their own, and copies in it. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define SECRETS 64
#define PATH_LENGTH (TREE_LEVELS_SERIAL + 1)

struct needles {
    /* turned over, so that the test's own copies are not found */
    uint8_t inverted[SECRETS][TREE_KEY];
    unsigned count;
};

static void needle_add(struct needles *needles, const uint8_t key[TREE_KEY])
{
    assert_true(needles->count < SECRETS);
    for (int i = 0; i < TREE_KEY; i++)
        needles->inverted[needles->count][i] = (uint8_t)~key[i];
    needles->count++;
}

static bool needle_at(const struct needles *needles, unsigned n, const uint8_t *p)
{
    for (int i = 0; i < TREE_KEY; i++)
        if (p[i] + needles->inverted[n][i] != 0xff)
            return false;
    return true;
}

struct region {
    uintptr_t start, end;
};

static bool inside(uintptr_t at, const struct region *regions, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (at >= regions[i].start && at < regions[i].end)
            return true;
    return false;
}

/* How often any needle stands in writable memory outside `allowed`; *in counts those inside. */
static unsigned search(const struct needles *needles, const struct region *allowed, unsigned n,
                       unsigned *in)
{
    char line[512];
    unsigned out = 0;
    *in = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    int memory = open("/proc/self/mem", O_RDONLY);
    assert_true(maps && memory >= 0);
    static uint8_t window[1 << 16];
    while (fgets(line, sizeof(line), maps)) {
        unsigned long start, end;
        char mode[8];
        if (sscanf(line, "%lx-%lx %7s", &start, &end, mode) != 3 || mode[0] != 'r' ||
            mode[1] != 'w' || end - start > (1ul << 30))
            continue;
        for (unsigned long at = start; at < end; at += sizeof(window) - TREE_KEY) {
            size_t want = end - at < sizeof(window) ? end - at : sizeof(window);
            ssize_t got = pread(memory, window, want, (off_t)at);
            for (ssize_t i = 0; i + TREE_KEY <= got; i++) {
                uintptr_t here = at + (uintptr_t)i;
                if (here >= (uintptr_t)window && here < (uintptr_t)window + sizeof(window))
                    continue;
                for (unsigned k = 0; k < needles->count; k++) {
                    /* the first bytes decide nearly always */
                    if (window[i] + needles->inverted[k][0] != 0xff ||
                        !needle_at(needles, k, window + i))
                        continue;
                    if (inside(here, allowed, n))
                        ++*in;
                    else
                        out++;
                }
            }
        }
    }
    fclose(maps);
    close(memory);
    sodium_memzero(window, sizeof(window));
    return out;
}

/* The search runs on a thread that stood ready before, so that it does not tread on what the calls
 * before it left on this stack. */
static struct {
    pthread_barrier_t start, end;
    const struct needles *needles;
    const struct region *allowed;
    unsigned n, out, in;
    bool stop;
} searcher;

static void *search_thread(void *arg)
{
    (void)arg;
    for (;;) {
        pthread_barrier_wait(&searcher.start);
        if (searcher.stop)
            return NULL;
        searcher.out = search(searcher.needles, searcher.allowed, searcher.n, &searcher.in);
        pthread_barrier_wait(&searcher.end);
    }
}

static unsigned scan(const struct needles *needles, const struct region *allowed, unsigned n,
                     unsigned *in)
{
    searcher.needles = needles;
    searcher.allowed = allowed;
    searcher.n = n;
    pthread_barrier_wait(&searcher.start);
    pthread_barrier_wait(&searcher.end);
    *in = searcher.in;
    return searcher.out;
}

static void seal_some(struct keyring_cache *cache, uint32_t from, uint32_t to)
{
    struct buffer out;
    buffer_init(&out, 4096);
    for (uint32_t serial = from; serial < to; serial++) {
        const struct record_id id = id_of(2, 9000, serial, serial, 'O');
        buffer_clear(&out);
        assert_int_equal(record_seal(cache, 1, &id, 1, SPAN("x"), &out), 0);
    }
    buffer_free(&out);
}

static struct region slab_region(const struct keyring *keyring)
{
    const struct slab *slab = &keyring->cover.slab;
    return (struct region){(uintptr_t)slab->keys,
                           (uintptr_t)slab->keys + (size_t)slab->slots * TREE_KEY};
}

static void living_keys(void **state)
{
    (void)state;
    struct place place;
    struct keyring *keyring;
    struct keyring_cache *cache;
    static struct needles needles;
    unsigned in;
    place_make(&place);
    assert_int_equal(place_open(&place, true, &keyring), 0);
    assert_int_equal(keyring_cache_new(keyring, &cache), 0);
    seal_some(cache, 1, 20);
    uint8_t hash[STORE_HASH_BYTES];
    keyring_hash_identifier(keyring, "x", SPAN("y"), hash);
    keyring_hash_day(keyring, 20000, "x", SPAN("y"), hash);
    for (uint32_t slot = 0; slot < keyring->cover.slab.used; slot++)
        if (slot != SLAB_INDEX_NEXT) /* empty: no replacement is under way */
            needle_add(&needles, slab_key(&keyring->cover.slab, slot));
    const struct region allowed[] = {
        slab_region(keyring),
        {(uintptr_t)cache->keys, (uintptr_t)(cache->keys + 1)},
        {(uintptr_t)keyring->days, (uintptr_t)(keyring->days + DAY_KEYS)},
    };
    unsigned out = scan(&needles, allowed, 3, &in);
    assert_true(in >= needles.count); /* the control: they are found where they belong */
    assert_int_equal(out, 0);
    keyring_cache_free(cache);
    keyring_close(keyring);
    assert_int_equal(scan(&needles, NULL, 0, &in), 0); /* and nowhere when it is closed */
    place_remove(&place);
}

static void destroyed_keys(void **state)
{
    (void)state;
    struct place place;
    struct keyring *keyring;
    struct keyring_cache *cache;
    static struct needles needles;
    const struct keyring_leaf leaf = {.tree = KEYRING_MESSAGE, .leaf = 12};
    unsigned in;
    uint8_t node[2][TREE_KEY];
    const uint8_t *root;
    unsigned level;
    place_make(&place);
    assert_int_equal(place_open(&place, true, &keyring), 0);
    assert_int_equal(keyring_cache_new(keyring, &cache), 0);
    assert_int_equal(cover_anchor(&keyring->cover, leaf.tree, leaf.leaf, &root, &level), 0);
    memcpy(node[0], root, TREE_KEY);
    needle_add(&needles, root);
    for (unsigned i = 0; i < TREE_LEVELS_SERIAL; i++) {
        tree_child(node[i % 2], tree_index(TREE_LEVELS_SERIAL, leaf.leaf, i), node[1 - i % 2]);
        needle_add(&needles, node[1 - i % 2]);
    }
    sodium_memzero(node, sizeof(node));
    sodium_stackzero(8192);  /* what this test itself left behind */
    seal_some(cache, 1, 13); /* the last one is the one that goes */
    const struct region allowed[] = {slab_region(keyring),
                                     {(uintptr_t)cache->keys, (uintptr_t)(cache->keys + 1)}};
    assert_int_equal(scan(&needles, allowed, 2, &in), 0);
    assert_true(in > 0);
    assert_int_equal(keyring_puncture(keyring, &leaf, 1), 0);
    assert_int_equal(scan(&needles, NULL, 0, &in), 0); /* nowhere */
    seal_some(cache, 13, 20); /* its neighbours still seal, and bring nothing of it back */
    assert_int_equal(scan(&needles, NULL, 0, &in), 0);
    keyring_cache_free(cache);
    keyring_close(keyring);
    place_remove(&place);
}

/* The control: what a careless function leaves on the stack is found. */
static __attribute__((noinline)) void careless(const uint8_t *key)
{
    volatile uint8_t copy[TREE_KEY + 512];
    for (int i = 0; i < TREE_KEY; i++)
        copy[i] = key[i];
    (void)copy[0];
}

static void residue_is_found(void **state)
{
    (void)state;
    static struct needles needles;
    uint8_t key[TREE_KEY];
    unsigned in;
    randombytes_buf(key, sizeof(key));
    needle_add(&needles, key);
    careless(key);
    sodium_memzero(key, sizeof(key));
    assert_true(scan(&needles, NULL, 0, &in) > 0);
}

/* VmFlags of the mapping that holds `at`: "dd" not in core files, "lo" locked. */
static bool has_flag(const void *at, const char *flag)
{
    char line[1024];
    bool here = false, found = false;
    FILE *smaps = fopen("/proc/self/smaps", "r");
    assert_non_null(smaps);
    while (fgets(line, sizeof(line), smaps)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            here = (uintptr_t)at >= start && (uintptr_t)at < end;
        else if (here && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, flag) != NULL;
    }
    fclose(smaps);
    return found;
}

static void locked_and_undumped(void **state)
{
    (void)state;
    struct place place;
    struct keyring *keyring;
    struct keyring_cache *cache;
    struct keyring_status status;
    place_make(&place);
    assert_int_equal(place_open(&place, true, &keyring), 0);
    assert_int_equal(keyring_cache_new(keyring, &cache), 0);
    assert_true(has_flag(keyring->cover.slab.keys, " dd"));
    assert_true(has_flag(cache->keys, " dd"));
    assert_true(has_flag(keyring->days, " dd"));
    assert_false(has_flag(&place, " dd")); /* the control */
    keyring_status(keyring, &status);
    assert_int_equal(status.locked, has_flag(keyring->cover.slab.keys, " lo"));
    keyring_cache_free(cache);
    keyring_close(keyring);
    place_remove(&place);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    if (SANITIZED) {
        puts("skipped: not under a sanitizer");
        return 77;
    }
    pthread_t thread;
    pthread_barrier_init(&searcher.start, NULL, 2);
    pthread_barrier_init(&searcher.end, NULL, 2);
    if (pthread_create(&thread, NULL, search_thread, NULL) != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(residue_is_found), cmocka_unit_test(living_keys),
        cmocka_unit_test(destroyed_keys), cmocka_unit_test(locked_and_undumped)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    searcher.stop = true;
    pthread_barrier_wait(&searcher.start);
    pthread_join(thread, NULL);
    return failed;
}

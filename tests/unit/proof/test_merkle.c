/* The tree: own vectors (vectors.py), every proof of every small tree, and the public vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "sluis/base/encode.h"
#include "sluis/proof.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TREE_MAX 130

struct vector {
    uint64_t a, b;
    const char *hex;
};
/* clang-format off */
#include "vectors.h"
/* clang-format on */

static uint8_t leaves[TREE_MAX][MERKLE_HASH];

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < TREE_MAX; i++) {
        char text[16];
        int n = snprintf(text, sizeof(text), "leaf %d", i);
        merkle_leaf(span_of(text, (size_t)n), leaves[i]);
    }
    return 0;
}

static void root_of(uint64_t from, uint64_t n, uint8_t out[MERKLE_HASH])
{
    struct merkle_range range;
    merkle_range_init(&range);
    for (uint64_t i = 0; i < n; i++)
        assert_int_equal(merkle_range_add(&range, 0, leaves[from + i]), 0);
    merkle_range_root(&range, out);
}

static int subtree(void *ctx, uint64_t from, uint64_t n, uint8_t out[MERKLE_HASH])
{
    (void)ctx;
    assert_true(n > 0 && from + n <= TREE_MAX);
    root_of(from, n, out);
    return 0;
}
static const struct merkle_source source = {subtree, NULL};

static size_t hashes(const char *hex, uint8_t out[][MERKLE_HASH])
{
    size_t n = strlen(hex) / (2 * MERKLE_HASH);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(
            hex_decode_lower(span_of(hex + i * 2 * MERKLE_HASH, 2 * MERKLE_HASH), out[i], 32), 0);
    return n;
}

static void test_vectors(void **state)
{
    (void)state;
    uint8_t want[MERKLE_LEVELS + 1][MERKLE_HASH], got[MERKLE_LEVELS + 1][MERKLE_HASH];
    size_t n;
    for (size_t i = 0; i < COUNT(roots); i++) {
        hashes(roots[i].hex, want);
        root_of(0, roots[i].a, got[0]);
        assert_memory_equal(got[0], want[0], MERKLE_HASH);
    }
    for (size_t i = 0; i < COUNT(inclusions); i++) {
        size_t count = hashes(inclusions[i].hex, want);
        assert_int_equal(merkle_make_inclusion(&source, inclusions[i].a, inclusions[i].b, got, &n),
                         0);
        assert_int_equal(n, count);
        assert_memory_equal(got, want, n * MERKLE_HASH);
    }
    for (size_t i = 0; i < COUNT(consistencies); i++) {
        size_t count = hashes(consistencies[i].hex, want);
        assert_int_equal(
            merkle_make_consistency(&source, consistencies[i].a, consistencies[i].b, got, &n), 0);
        assert_int_equal(n, count);
        assert_memory_equal(got, want, n * MERKLE_HASH);
    }
}

/* Every proof of every tree up to 40 leaves holds; with any hash changed, dropped or added, another
 * place or another size, it does not. */
static void test_inclusion_all(void **state)
{
    (void)state;
    uint8_t proof[MERKLE_LEVELS + 1][MERKLE_HASH], root[MERKLE_HASH];
    size_t n;
    for (uint64_t size = 1; size <= 40; size++) {
        root_of(0, size, root);
        for (uint64_t i = 0; i < size; i++) {
            assert_int_equal(merkle_make_inclusion(&source, i, size, proof, &n), 0);
            assert_int_equal(merkle_check_inclusion(i, size, leaves[i], root, proof, n), 0);
            assert_int_not_equal(
                merkle_check_inclusion(i, size, leaves[(i + 1) % TREE_MAX], root, proof, n), 0);
            assert_int_not_equal(merkle_check_inclusion(i, size, leaves[i], root, proof, n + 1), 0);
            for (uint64_t j = 0; j < size; j++)
                assert_int_equal(merkle_check_inclusion(j, size, leaves[i], root, proof, n) == 0,
                                 j == i);
            for (size_t k = 0; k < n; k++) {
                assert_int_not_equal(merkle_check_inclusion(i, size, leaves[i], root, proof, k), 0);
                proof[k][k % 32] ^= 1;
                assert_int_not_equal(merkle_check_inclusion(i, size, leaves[i], root, proof, n), 0);
                proof[k][k % 32] ^= 1;
            }
        }
    }
}

static void test_consistency_all(void **state)
{
    (void)state;
    uint8_t proof[MERKLE_LEVELS + 2][MERKLE_HASH], one[MERKLE_HASH], two[MERKLE_HASH];
    size_t n;
    for (uint64_t second = 1; second <= 40; second++) {
        root_of(0, second, two);
        for (uint64_t first = 1; first <= second; first++) {
            root_of(0, first, one);
            assert_int_equal(merkle_make_consistency(&source, first, second, proof, &n), 0);
            assert_int_equal(merkle_check_consistency(first, second, one, two, proof, n), 0);
            assert_int_not_equal(merkle_check_consistency(first, second, one, two, proof, n + 1),
                                 0);
            one[3] ^= 4;
            assert_int_not_equal(merkle_check_consistency(first, second, one, two, proof, n), 0);
            one[3] ^= 4;
            two[3] ^= 4;
            assert_int_not_equal(merkle_check_consistency(first, second, one, two, proof, n), 0);
            two[3] ^= 4;
            for (size_t k = 0; k < n; k++) {
                assert_int_not_equal(merkle_check_consistency(first, second, one, two, proof, k),
                                     0);
                proof[k][k % 32] ^= 1;
                assert_int_not_equal(merkle_check_consistency(first, second, one, two, proof, n),
                                     0);
                proof[k][k % 32] ^= 1;
            }
        }
        assert_int_not_equal(merkle_check_consistency(0, second, one, two, proof, 0), 0);
    }
}

/* Subtrees instead of leaves give the same range; one that cannot begin there is refused. */
static void test_range(void **state)
{
    (void)state;
    struct merkle_range range;
    uint8_t root[MERKLE_HASH], want[MERKLE_HASH];
    merkle_range_init(&range);
    root_of(0, 8, root);
    assert_int_equal(merkle_range_add(&range, 3, root), 0);
    assert_int_equal(merkle_range_add(&range, 4, root), SLUIS_EINVAL);
    root_of(8, 2, root);
    assert_int_equal(merkle_range_add(&range, 1, root), 0);
    assert_int_equal(merkle_range_add(&range, 2, root), SLUIS_EINVAL);
    assert_int_equal(merkle_range_add(&range, 64, root), SLUIS_EINVAL);
    assert_int_equal(merkle_range_add(&range, 0, leaves[10]), 0);
    assert_int_equal(range.size, 11);
    assert_int_equal(range.count, 3);
    merkle_range_root(&range, root);
    root_of(0, 11, want);
    assert_memory_equal(root, want, MERKLE_HASH);
    range = (struct merkle_range){.size = UINT64_C(1) << 63, .count = 1};
    assert_int_equal(merkle_range_add(&range, 63, root), SLUIS_EINVAL);
}

/* ---- the public vectors (transparency-dev/merkle) ---- */

static unsigned seen, refused, broken;

static bool hash_of(const json_t *value, uint8_t out[MERKLE_HASH])
{
    return json_is_string(value) &&
           base64_decode(span_str(json_string_value(value)), out, MERKLE_HASH) == MERKLE_HASH;
}

/* One vector has texts of 16 bytes for roots, the same twice: filled up with zeroes. */
static bool root_of_text(const json_t *value, uint8_t out[MERKLE_HASH])
{
    memset(out, 0, MERKLE_HASH);
    return json_is_string(value) &&
           base64_decode(span_str(json_string_value(value)), out, MERKLE_HASH) > 0;
}

static uint64_t number_of(const json_t *o, const char *name)
{
    const json_t *value = json_object_get(o, name);
    /* Read as a real only where jansson's integers end: the vectors have 2^64 - 1 there. */
    double real = json_real_value(value);
    return !json_is_real(value) ? (uint64_t)json_integer_value(value)
           : real >= 0x1p63     ? UINT64_MAX
                                : (uint64_t)real;
}

static int judge(const json_t *o, bool inclusion)
{
    uint8_t a[MERKLE_HASH], b[MERKLE_HASH], proof[80][MERKLE_HASH];
    const json_t *list = json_object_get(o, "proof");
    size_t n = json_array_size(list);
    bool (*root)(const json_t *, uint8_t *) = inclusion ? hash_of : root_of_text;
    if (!root(json_object_get(o, inclusion ? "leafHash" : "root1"), a) ||
        !root(json_object_get(o, inclusion ? "root" : "root2"), b) || n > 80)
        return SLUIS_EINVAL;
    for (size_t i = 0; i < n; i++)
        if (!hash_of(json_array_get(list, i), proof[i]))
            return SLUIS_EINVAL;
    return inclusion ? merkle_check_inclusion(number_of(o, "leafIdx"), number_of(o, "treeSize"), a,
                                              b, proof, n)
                     : merkle_check_consistency(number_of(o, "size1"), number_of(o, "size2"), a, b,
                                                proof, n);
}

static int each_file(const char *path, const struct stat *st, int type)
{
    (void)st;
    bool inclusion = strstr(path, "/inclusion/") != NULL;
    size_t n = strlen(path);
    if (type != FTW_F || n < 5 || strcmp(path + n - 5, ".json") != 0)
        return 0;
    json_t *o = json_load_file(path, 0, NULL);
    if (!o)
        o = json_load_file(path, JSON_DECODE_INT_AS_REAL, NULL);
    assert_non_null(o);
    bool want_error = json_is_true(json_object_get(o, "wantErr"));
    int r = judge(o, inclusion);
    seen++;
    refused += r != 0;
    if ((r != 0) != want_error) {
        broken++;
        print_message("%s: want error %d, got %d\n", path, want_error, r);
    }
    json_decref(o);
    return 0;
}

static void test_public(void **state)
{
    (void)state;
    const char *top = getenv("SLUIS_VECTORS");
    char path[1024];
    if (!top) {
        print_message("skipped: SLUIS_VECTORS is not set\n");
        skip();
    }
    snprintf(path, sizeof(path), "%s/merkle/testdata/inclusion", top);
    ftw(path, each_file, 8);
    snprintf(path, sizeof(path), "%s/merkle/testdata/consistency", top);
    ftw(path, each_file, 8);
    print_message("%u public vectors, %u refused, %u wrong\n", seen, refused, broken);
    assert_int_equal(broken, 0);
    assert_int_equal(seen, 196);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),         cmocka_unit_test(test_inclusion_all),
        cmocka_unit_test(test_consistency_all), cmocka_unit_test(test_range),
        cmocka_unit_test(test_public),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}

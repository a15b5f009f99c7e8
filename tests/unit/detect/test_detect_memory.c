/* Every allocation fails once: the result is the same or an error, never a finding less. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "sluis/detect.h"

/* The n-th allocation from now fails; below 0: none. */
static long fails_in = -1;

static bool fails(void)
{
    return fails_in >= 0 && fails_in-- == 0;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

#define FAULTS_MAX 200 /* more than there are allocations */

static const char *const patterns[] = {"\\bP[0-9]{6}\\b"};
static const struct detect_own own = {"polis", patterns, 1, "none", NULL, 0, NULL, 0, 800};

static int load(struct detector **d)
{
    struct detect_settings settings;
    detect_settings_default(&settings);
    settings.own = &own;
    settings.own_count = 1;
    return detector_new(&settings, d, NULL);
}

/* A long text with many findings, overlapping ones too, so that everything grows. */
static char *long_text(size_t *n)
{
    static const char unit[] = "bsn 123456782 P123456 06 12 34 06 12 34 a@b.nl NL91ABNA0417164300 ";
    *n = 100 * (sizeof unit - 1);
    char *text = __real_malloc(*n);
    assert_non_null(text);
    for (size_t k = 0; k < *n; k++)
        text[k] = unit[k % (sizeof unit - 1)];
    return text;
}

static void test_run(void **state)
{
    (void)state;
    static struct finding want[DETECT_FINDINGS_MAX], got[DETECT_FINDINGS_MAX];
    struct detector *d;
    struct detect_scratch *s;
    size_t n;
    char *text = long_text(&n);
    struct detect_message earlier = {SPAN("NL91 ABNA"), true, 0};
    struct detect_input in = {
        .text = {text, n}, .from_customer = true, .earlier = &earlier, .earlier_count = 1};
    assert_int_equal(load(&d), 0);
    assert_int_equal(detect_scratch_new(&s), 0);
    int count = detect_run(d, s, &in, want, DETECT_FINDINGS_MAX);
    assert_true(count > 400);
    detect_scratch_free(s);
    unsigned refused = 0;
    for (long fault = 0; fault < FAULTS_MAX; fault++) {
        assert_int_equal(detect_scratch_new(&s), 0);
        fails_in = fault;
        int result = detect_run(d, s, &in, got, DETECT_FINDINGS_MAX);
        fails_in = -1;
        refused += result < 0;
        if (result >= 0) {
            assert_int_equal(result, count);
            for (int k = 0; k < count; k++)
                assert_true(got[k].start == want[k].start && got[k].end == want[k].end &&
                            got[k].type == want[k].type && got[k].back == want[k].back);
        }
        detect_scratch_free(s);
    }
    assert_true(refused > 5); /* the faults do hit */
    detector_free(d);
    free(text);
}

static void test_load(void **state)
{
    (void)state;
    unsigned refused = 0;
    for (long fault = 0; fault < FAULTS_MAX; fault++) {
        struct detector *d = NULL;
        fails_in = fault;
        int result = load(&d);
        fails_in = -1;
        refused += result < 0;
        if (result == 0)
            detector_free(d);
    }
    assert_true(refused > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_run), cmocka_unit_test(test_load)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

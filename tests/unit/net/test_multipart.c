/* Every body of multipart.txt, whole, at every split point, and byte by byte. */
#include "http_vectors.h"
#include "multipart_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define VECTORS_LEAST 60

static struct span content_type(const struct http_vector *v)
{
    return v->given.n ? v->given : SPAN("multipart/form-data; boundary=b");
}

/* "ok a|-||x b|-||y" against the parts that were given out. */
static bool parts_hold(struct span words, struct span parts)
{
    struct buffer want;
    buffer_init(&want, 64 * 1024);
    bool good = true;
    while (words.n && good) {
        size_t end = span_find(words, ' ');
        good = http_vector_unescape(&want, span_sub(words, 0, end));
        buffer_add(&want, SPAN("\x1f"));
        words = span_from(words, end + 1);
    }
    good = good && span_eq(buffer_span(&want), parts);
    buffer_free(&want);
    return good;
}

static bool as_expected(const struct http_vector *v, const struct multipart_run *run)
{
    if (span_starts(v->expect, SPAN("refused "))) {
        struct span word = span_from(v->expect, 8);
        if (run->init_refused)
            return span_is(word, "init");
        return run->end == MULTIPART_REFUSED && span_is(word, multipart_reason_word(run->reason));
    }
    return span_starts(v->expect, SPAN("ok")) && run->end == MULTIPART_END &&
           parts_hold(span_from(v->expect, 3), buffer_span(&run->parts));
}

static void test_table(void **state)
{
    (void)state;
    struct http_vectors vectors;
    http_vectors_load(&vectors, SLUIS_SOURCE_DIR "/tests/unit/net/multipart.txt");
    unsigned failed = 0, splits = 0;
    bool seen[MULTIPART_REASON_COUNT] = {[MULTIPART_BAD_NONE] = true};
    for (unsigned i = 0; i < vectors.count; i++) {
        const struct http_vector *v = &vectors.list[i];
        struct span bytes = buffer_span(&v->bytes);
        struct multipart_run whole;
        multipart_run(&whole, content_type(v), bytes, HTTP_UNCUT);
        seen[whole.reason] = true;
        if (!as_expected(v, &whole)) {
            print_error("line %u: %.*s: expected %.*s, got %s: %.*s\n", v->line, (int)v->name.n,
                        v->name.p, (int)v->expect.n, v->expect.p,
                        multipart_reason_word(whole.reason), (int)whole.parts.n,
                        whole.parts.p ? whole.parts.p : "");
            failed++;
        }
        for (size_t at = 1; at <= bytes.n; at++, splits++) {
            struct http_cut cut = {at, SIZE_MAX};
            if (at == bytes.n)
                cut = (struct http_cut){1, 1};
            struct multipart_run split;
            multipart_run(&split, content_type(v), bytes, cut);
            if (!multipart_run_equal(&whole, &split)) {
                print_error("line %u: %.*s: depends on the split at %zu\n", v->line, (int)v->name.n,
                            v->name.p, at);
                failed++;
            }
            multipart_run_free(&split);
        }
        multipart_run_free(&whole);
    }
    print_message("multipart.txt: %u vectors, %u splits, %u failed\n", vectors.count, splits,
                  failed);
    for (unsigned r = 0; r < MULTIPART_REASON_COUNT; r++)
        if (!seen[r])
            fail_msg("no vector for %s", multipart_reason_word((enum multipart_reason)r));
    assert_true(vectors.count >= VECTORS_LEAST);
    assert_int_equal(failed, 0);
    http_vectors_free(&vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

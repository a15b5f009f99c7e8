/*
 * Every message of the tables, whole, at every split point, and byte by byte: the verdict, the
 * reason and the facts must be what the table says, however the bytes arrive.
 */
#include "http_vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* A vector longer than this is split at every SPARSE_STEP-th byte and near its ends only: it is
 * long because it fills a limit, with thousands of equal bytes. */
#define DENSE_MAX 1200
#define SPARSE_STEP 1531
#define SPARSE_EDGE 24

struct table {
    const char *file;
    bool request;
    unsigned least; /* vectors that must be there: a table that is not read proves nothing */
};

static struct span take_word(struct span *text)
{
    size_t end = span_find(*text, ' ');
    struct span word = span_sub(*text, 0, end);
    *text = span_from(*text, end + 1);
    return word;
}

static void run(const struct http_vector *v, bool request, struct http_cut cut,
                struct http_run *out)
{
    if (request) {
        http_run_request(out, buffer_span(&v->bytes), cut);
        return;
    }
    struct http_answer_given given = {0};
    for (struct span rest = v->given; rest.n;) {
        struct span word = take_word(&rest);
        given.head |= span_is(word, "head");
        given.until_close |= span_is(word, "until_close");
        given.closed |= span_is(word, "closed");
    }
    http_run_answer(out, buffer_span(&v->bytes), cut, given);
}

static void complain(const struct table *table, const struct http_vector *v, const char *what,
                     const struct http_run *got)
{
    static const char *const verdicts[] = {"ok", "refused", "incomplete"};
    print_error("%s:%u: %.*s: %s: expected %.*s, got %s %s\n", table->file, v->line, (int)v->name.n,
                v->name.p, what, (int)v->expect.n, v->expect.p, verdicts[got->verdict],
                http_reason_word(got->reason));
}

static bool fact_holds(const struct http_run *got, struct span pair)
{
    size_t equals = span_find(pair, '=');
    struct span key = span_sub(pair, 0, equals);
    struct buffer want;
    buffer_init(&want, 64 * 1024);
    bool good = equals < pair.n && http_vector_unescape(&want, span_from(pair, equals + 1));
    struct span have = span_is(key, "body") ? buffer_span(&got->body) : http_run_fact(got, key);
    good = good && (span_is(key, "body") || have.p) && span_eq(have, buffer_span(&want));
    if (!good)
        print_error("fact %.*s: have \"%.*s\"\n", (int)pair.n, pair.p, (int)have.n,
                    have.p ? have.p : "");
    buffer_free(&want);
    return good;
}

static bool as_expected(const struct http_vector *v, const struct http_run *got)
{
    struct span rest = v->expect;
    struct span verdict = take_word(&rest);
    if (span_is(verdict, "refused"))
        return got->verdict == HTTP_RUN_REFUSED && span_is(rest, http_reason_word(got->reason));
    if (span_is(verdict, "incomplete"))
        return got->verdict == HTTP_RUN_INCOMPLETE;
    bool good = span_is(verdict, "ok") && got->verdict == HTTP_RUN_OK;
    while (good && rest.n)
        good = fact_holds(got, take_word(&rest));
    return good;
}

static bool worth_splitting(size_t at, size_t n)
{
    return n <= DENSE_MAX || at < SPARSE_EDGE || at + SPARSE_EDGE > n || at % SPARSE_STEP == 0;
}

static unsigned long check_splits(const struct table *table, const struct http_vector *v,
                                  const struct http_run *whole, unsigned *failed)
{
    unsigned long splits = 0;
    size_t n = v->bytes.n;
    for (size_t at = 0; at <= n; at++) {
        if (at > 0 && at < n && !worth_splitting(at, n))
            continue;
        /* the round at == n is the one byte by byte; a megabyte of it would take an hour */
        struct http_cut cut = {at, SIZE_MAX};
        if (at == n || at == 0)
            cut = (struct http_cut){1, n <= 20000 ? 1 : 997};
        struct http_run split;
        run(v, table->request, cut, &split);
        if (!http_run_equal(whole, &split)) {
            print_error("split at %zu of %zu\n", at, n);
            complain(table, v, "depends on the split", &split);
            (*failed)++;
        }
        http_run_free(&split);
        splits++;
    }
    return splits;
}

static void test_table(void **state)
{
    const struct table *table = *state;
    struct http_vectors vectors;
    http_vectors_load(&vectors, table->file);
    unsigned failed = 0;
    unsigned long splits = 0;
    for (unsigned i = 0; i < vectors.count; i++) {
        const struct http_vector *v = &vectors.list[i];
        struct http_run whole;
        run(v, table->request, HTTP_UNCUT, &whole);
        if (!as_expected(v, &whole)) {
            complain(table, v, "whole", &whole);
            failed++;
        }
        splits += check_splits(table, v, &whole, &failed);
        http_run_free(&whole);
    }
    print_message("%s: %u vectors, %lu splits, %u failed\n", table->file, vectors.count, splits,
                  failed);
    assert_true(vectors.count >= table->least);
    assert_int_equal(failed, 0);
    http_vectors_free(&vectors);
}

/* A request hidden in the body or behind the end of a refused one must not be seen: once refused, a
 * machine stays refused whatever follows. */
static void test_refused_stays_refused(void **state)
{
    (void)state;
    struct http_request_machine m;
    http_request_machine_init(&m);
    struct span bad = SPAN("GET / HTTP/1.1\nHost: a\r\n\r\n");
    struct span good = SPAN("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(http_request_head(&m, bad), HTTP_REFUSED);
    assert_int_equal(http_request_head(&m, good), HTTP_REFUSED);
    assert_int_equal(m.reason, HTTP_BAD_LINE_ENDING);

    struct http_head head = {.framing = HTTP_CHUNKED};
    struct http_body_machine body;
    struct span data;
    size_t used;
    http_body_init(&body, &head, 100);
    assert_int_equal(http_body_feed(&body, SPAN("x\r\n"), &data, &used), HTTP_REFUSED);
    assert_int_equal(http_body_feed(&body, SPAN("0\r\n\r\n"), &data, &used), HTTP_REFUSED);
    assert_int_equal(http_body_closed(&body), HTTP_REFUSED);
    assert_int_equal(body.reason, HTTP_BAD_CHUNK_SIZE);
}

/* Every reason is named by at least one vector, or it is a word without a proof. */
static void test_every_reason_has_a_vector(void **state)
{
    const struct table *tables = *state;
    bool seen[HTTP_REASON_COUNT] = {[HTTP_BAD_NONE] = true};
    for (unsigned t = 0; t < 3; t++) {
        struct http_vectors vectors;
        http_vectors_load(&vectors, tables[t].file);
        for (unsigned i = 0; i < vectors.count; i++)
            for (unsigned r = 1; r < HTTP_REASON_COUNT; r++) {
                struct span word = vectors.list[i].expect;
                (void)take_word(&word);
                seen[r] |= span_is(word, http_reason_word((enum http_reason)r));
            }
        http_vectors_free(&vectors);
    }
    for (unsigned r = 0; r < HTTP_REASON_COUNT; r++)
        if (!seen[r])
            fail_msg("no vector for %s", http_reason_word((enum http_reason)r));
}

int main(void)
{
    static struct table tables[] = {
        {SLUIS_SOURCE_DIR "/tests/unit/net/requests_bad.txt", true, 120},
        {SLUIS_SOURCE_DIR "/tests/unit/net/requests_good.txt", true, 40},
        {SLUIS_SOURCE_DIR "/tests/unit/net/answers.txt", false, 50},
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_table, &tables[0]),
        cmocka_unit_test_prestate(test_table, &tables[1]),
        cmocka_unit_test_prestate(test_table, &tables[2]),
        cmocka_unit_test(test_refused_stays_refused),
        cmocka_unit_test_prestate(test_every_reason_has_a_vector, tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

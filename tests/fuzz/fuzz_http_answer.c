/* The answer machine: the result never depends on how the bytes were cut; spans lie inside the
 * head; a head that was taken, written anew, is taken again with the same facts. */
#include "fuzz_http.h"

static void check_again(const struct http_run *run, struct http_answer_given given)
{
    static const char *const kept[] = {"status", "length", "fields", "framing", "keep"};
    struct http_run again;
    http_run_answer(&again, buffer_span(&run->again), HTTP_UNCUT, given);
    if (again.reason != HTTP_BAD_HEAD_TOO_LARGE &&
        !span_is(http_run_fact(run, SPAN("minor")), "0")) {
        CHECK(again.head_done);
        for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
            CHECK(span_eq(http_run_fact(run, span_str(kept[i])),
                          http_run_fact(&again, span_str(kept[i]))));
        CHECK(span_eq(buffer_span(&run->fields), buffer_span(&again.fields)));
    }
    http_run_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n < FUZZ_PREFIX)
        return 0;
    struct span text = span_of(bytes + FUZZ_PREFIX, n - FUZZ_PREFIX);
    struct http_answer_given given = {
        .head = bytes[2] & 1, .until_close = bytes[2] & 2, .closed = bytes[2] & 4};
    struct http_run whole, split;
    http_run_answer(&whole, text, HTTP_UNCUT, given);
    http_run_answer(&split, text, fuzz_cut(bytes), given);
    CHECK(http_run_equal(&whole, &split));
    CHECK(whole.used <= text.n && whole.interim <= HTTP_INTERIM_MAX);
    if (whole.head_done)
        check_again(&whole, given);
    http_run_free(&whole);
    http_run_free(&split);
    return 0;
}

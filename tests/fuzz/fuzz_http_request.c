/* The request machine: the result never depends on how the bytes were cut; spans lie inside the
 * head (http_run.c aborts when they do not); a head that was taken, written anew from its facts, is
 * taken again with the same facts; a path that was taken splits without surprise. */
#include "fuzz_http.h"

static void check_again(const struct http_run *run)
{
    static const char *const kept[] = {"method", "target", "path",   "query",
                                       "host",   "length", "fields", "framing"};
    struct http_run again;
    http_run_request(&again, buffer_span(&run->again), HTTP_UNCUT);
    /* a blank is written after each colon: that alone may pass a limit */
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

static void check_target(const struct http_run *run)
{
    char out[HTTP_REQUEST_HEAD_MAX];
    struct http_path path;
    struct http_parameter list[HTTP_PARAMETERS_MAX];
    unsigned count;
    if (http_path_split(http_run_fact(run, SPAN("path")), out, sizeof(out), &path) == 0)
        for (unsigned i = 0; i < path.count; i++) {
            struct span s = path.segments[i];
            CHECK(s.n && s.p >= out && s.p + s.n <= out + sizeof(out));
            CHECK(!span_is(s, ".") && !span_is(s, "..") && span_find(s, '/') == s.n &&
                  span_find(s, '\0') == s.n);
        }
    if (http_query_split(http_run_fact(run, SPAN("query")), out, sizeof(out), list, &count) == 0)
        for (unsigned i = 0; i < count; i++)
            CHECK(list[i].name.p >= out && list[i].value.p + list[i].value.n <= out + sizeof(out));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n < FUZZ_PREFIX)
        return 0;
    struct span text = span_of(bytes + FUZZ_PREFIX, n - FUZZ_PREFIX);
    struct http_run whole, split;
    http_run_request(&whole, text, HTTP_UNCUT);
    http_run_request(&split, text, fuzz_cut(bytes));
    CHECK(http_run_equal(&whole, &split));
    CHECK(whole.used <= text.n);
    if (whole.head_done) {
        check_again(&whole);
        check_target(&whole);
    }
    http_run_free(&whole);
    http_run_free(&split);
    return 0;
}

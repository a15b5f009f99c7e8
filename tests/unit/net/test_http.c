/* The pure helpers of the HTTP door: paths, queries, ranges, writers, field look-up. */
#include "sluis/net/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void test_path_split(void **state)
{
    (void)state;
    static const struct row {
        const char *path;
        int error;
        const char *joined; /* segments joined by "|" */
        bool trailing;
    } rows[] = {
        {"/", 0, "", false},
        {"/a", 0, "a", false},
        {"/a/", 0, "a", true},
        {"/v20.0/106540352242922/messages", 0, "v20.0|106540352242922|messages", false},
        {"/a%20b/%e2%82%AC", 0, "a b|\xe2\x82\xac", false},
        {"/%252e%252e/x", 0, "%2e%2e|x", false}, /* decoded once, not twice */
        {"/...", 0, "...", false},
        {"/..a", 0, "..a", false},
        {"/a;b=c", 0, "a;b=c", false},
        {"/+31201234567", 0, "+31201234567", false}, /* a plus is a plus in a path */
        {"", SLUIS_EINVAL, NULL, false},
        {"a", SLUIS_EINVAL, NULL, false},
        {"//", SLUIS_EINVAL, NULL, false},
        {"//a", SLUIS_EINVAL, NULL, false},
        {"/a//b", SLUIS_EINVAL, NULL, false},
        {"/a//", SLUIS_EINVAL, NULL, false},
        {"/.", SLUIS_EINVAL, NULL, false},
        {"/..", SLUIS_EINVAL, NULL, false},
        {"/a/../b", SLUIS_EINVAL, NULL, false},
        {"/a/./b", SLUIS_EINVAL, NULL, false},
        {"/a/..", SLUIS_EINVAL, NULL, false},
        {"/%2e", SLUIS_EINVAL, NULL, false},
        {"/%2E%2e/b", SLUIS_EINVAL, NULL, false},
        {"/.%2e/b", SLUIS_EINVAL, NULL, false},
        {"/a%2fb", SLUIS_EINVAL, NULL, false},
        {"/a%2Fb", SLUIS_EINVAL, NULL, false},
        {"/a%00b", SLUIS_EINVAL, NULL, false},
        {"/a%0d%0ab", SLUIS_EINVAL, NULL, false},
        {"/a%7fb", SLUIS_EINVAL, NULL, false},
        {"/a%", SLUIS_EINVAL, NULL, false},
        {"/a%4", SLUIS_EINVAL, NULL, false},
        {"/a%4g", SLUIS_EINVAL, NULL, false},
        {"/1/2/3/4/5/6/7/8/9/10/11/12", 0, "1|2|3|4|5|6|7|8|9|10|11|12", false},
        {"/1/2/3/4/5/6/7/8/9/10/11/12/13", SLUIS_ELIMIT, NULL, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[64];
        struct http_path path;
        int error = http_path_split(span_str(rows[i].path), out, sizeof(out), &path);
        if (error != rows[i].error)
            fail_msg("%s: %d", rows[i].path, error);
        if (error)
            continue;
        struct buffer joined;
        buffer_init(&joined, 1000);
        for (unsigned s = 0; s < path.count; s++) {
            if (s)
                buffer_add(&joined, SPAN("|"));
            buffer_add(&joined, path.segments[s]);
        }
        if (!span_is(buffer_span(&joined), rows[i].joined) ||
            path.trailing_slash != rows[i].trailing)
            fail_msg("%s: %.*s", rows[i].path, (int)joined.n, joined.p);
        buffer_free(&joined);
    }
    char small[3];
    struct http_path path;
    assert_int_equal(http_path_split(SPAN("/abc"), small, sizeof(small), &path), 0);
    assert_int_equal(http_path_split(SPAN("/abcd"), small, sizeof(small), &path), SLUIS_ELIMIT);
    assert_int_equal(http_path_split(SPAN("/a%\0"), small, sizeof(small), &path), SLUIS_EINVAL);
}

static void test_query_split(void **state)
{
    (void)state;
    struct http_parameter list[HTTP_PARAMETERS_MAX];
    unsigned count;
    char out[256];
    assert_int_equal(http_query_split(SPAN("hub.mode=subscribe&a=%41+%2B%26&&b&c=d=e&a=2&="), out,
                                      sizeof(out), list, &count),
                     0);
    static const char *const want[][2] = {
        {"hub.mode", "subscribe"}, {"a", "A +&"}, {"b", ""}, {"c", "d=e"}, {"a", "2"}, {"", ""},
    };
    assert_int_equal(count, 6);
    for (unsigned i = 0; i < count; i++) {
        assert_true(span_is(list[i].name, want[i][0]));
        assert_true(span_is(list[i].value, want[i][1]));
    }
    assert_int_equal(http_query_split(SPAN_EMPTY, out, sizeof(out), list, &count), 0);
    assert_int_equal(count, 0);
    static const char *const broken[] = {"a=%", "a=%4", "a=%4g", "%zz=1", "a=1&b=%"};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        assert_int_equal(http_query_split(span_str(broken[i]), out, sizeof(out), list, &count),
                         SLUIS_EINVAL);
    assert_int_equal(http_query_split(SPAN("abc=de"), out, 5, list, &count), 0);
    assert_int_equal(http_query_split(SPAN("abc=def"), out, 5, list, &count), SLUIS_ELIMIT);
    char many[2 * HTTP_PARAMETERS_MAX + 2];
    for (size_t i = 0; i < sizeof(many); i += 2)
        many[i] = 'a', many[i + 1] = '&';
    struct span full = span_of(many, 2 * HTTP_PARAMETERS_MAX);
    assert_int_equal(http_query_split(full, out, sizeof(out), list, &count), 0);
    assert_int_equal(count, HTTP_PARAMETERS_MAX);
    struct span over = span_of(many, sizeof(many));
    assert_int_equal(http_query_split(over, out, sizeof(out), list, &count), SLUIS_ELIMIT);
}

static void test_percent_encode(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 2000);
    http_percent_encode(&b, SPAN("aZ09-._~ /?#%&=+\xc3\xa9\0"));
    assert_true(span_is(buffer_span(&b), "aZ09-._~%20%2F%3F%23%25%26%3D%2B%C3%A9%00"));
    /* every byte comes back through the query reader */
    char all[256], out[256];
    for (unsigned i = 0; i < 256; i++)
        all[i] = (char)i;
    buffer_clear(&b);
    http_percent_encode(&b, span_of(all, 256));
    struct http_parameter list[HTTP_PARAMETERS_MAX];
    unsigned count;
    assert_int_equal(http_query_split(buffer_span(&b), out, sizeof(out), list, &count), 0);
    assert_int_equal(count, 1);
    assert_true(span_eq(list[0].name, span_of(all, 256)));
    buffer_free(&b);
}

static void test_range(void **state)
{
    (void)state;
    static const struct row {
        const char *value;
        uint64_t size;
        enum http_range range;
        uint64_t first, last;
    } rows[] = {
        {"bytes=0-0", 10, HTTP_RANGE_ONE, 0, 0},
        {"bytes=0-9", 10, HTTP_RANGE_ONE, 0, 9},
        {"Bytes=2-", 10, HTTP_RANGE_ONE, 2, 9},
        {"bytes=2-100", 10, HTTP_RANGE_ONE, 2, 9},
        {"bytes=9-", 10, HTTP_RANGE_ONE, 9, 9},
        {"bytes=-3", 10, HTTP_RANGE_ONE, 7, 9},
        {"bytes=-10", 10, HTTP_RANGE_ONE, 0, 9},
        {"bytes=-11", 10, HTTP_RANGE_ONE, 0, 9},
        {"bytes=5-18446744073709551615", 10, HTTP_RANGE_ONE, 5, 9},
        {"bytes=10-", 10, HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=10-20", 10, HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-0", 10, HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-", 0, HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-1", 0, HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=5-4", 10, HTTP_RANGE_IGNORED, 0, 0},
        {"bytes=-", 10, HTTP_RANGE_IGNORED, 0, 0},
        {"bytes=", 10, HTTP_RANGE_IGNORED, 0, 0},
        {"bytes", 10, HTTP_RANGE_IGNORED, 0, 0},
        {"", 10, HTTP_RANGE_IGNORED, 0, 0},
        {"bytes=1", 10, HTTP_RANGE_IGNORED, 0, 0},
        {"bytes=0-1,3-4", 10, HTTP_RANGE_IGNORED, 0, 0},
        {"bytes=0-1,", 10, HTTP_RANGE_IGNORED, 0, 0},
        {"bytes= 0-1", 10, HTTP_RANGE_IGNORED, 0, 0},
        {"bytes=+1-2", 10, HTTP_RANGE_IGNORED, 0, 0},
        {"bytes=0x1-2", 10, HTTP_RANGE_IGNORED, 0, 0},
        {"bytes=0-18446744073709551616", 10, HTTP_RANGE_IGNORED, 0, 0},
        {"items=0-1", 10, HTTP_RANGE_IGNORED, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t first = 0, last = 0;
        enum http_range got =
            http_range_parse(span_str(rows[i].value), rows[i].size, &first, &last);
        if (got != rows[i].range || first != rows[i].first || last != rows[i].last)
            fail_msg("%s of %u: %d %u-%u", rows[i].value, (unsigned)rows[i].size, (int)got,
                     (unsigned)first, (unsigned)last);
    }
    struct buffer b;
    buffer_init(&b, 1000);
    http_write_content_range(&b, HTTP_RANGE_ONE, 2, 5, 10);
    http_write_content_range(&b, HTTP_RANGE_UNSATISFIABLE, 0, 0, 10);
    assert_true(
        span_is(buffer_span(&b), "Content-Range: bytes 2-5/10\r\nContent-Range: bytes */10\r\n"));
    buffer_free(&b);
}

static void test_writers(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 1000);
    http_write_request_line(&b, HTTP_DELETE, SPAN("/a?b"));
    http_write_status_line(&b, 431);
    http_write_status_line(&b, 299);
    http_write_field(&b, SPAN("X-A"), SPAN("b \t\xff"));
    http_write_field(&b, SPAN("X-Empty"), SPAN_EMPTY);
    http_write_field_u64(&b, SPAN("Content-Length"), UINT64_MAX);
    http_write_end(&b);
    assert_int_equal(b.error, 0);
    assert_true(span_is(buffer_span(&b), "DELETE /a?b HTTP/1.1\r\n"
                                         "HTTP/1.1 431 Request Header Fields Too Large\r\n"
                                         "HTTP/1.1 299 Status\r\n"
                                         "X-A: b \t\xff\r\nX-Empty: \r\n"
                                         "Content-Length: 18446744073709551615\r\n\r\n"));
    /* nothing that could break a line is written without an error */
    static const struct span bad_values[] = {
        {"a\rb", 3}, {"a\nb", 3}, {"a\0b", 3}, {"\r\nX: y", 6}, {"\x7f", 1}, {"\x1b", 1},
    };
    for (size_t i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++) {
        buffer_clear(&b);
        http_write_field(&b, SPAN("X"), bad_values[i]);
        assert_int_equal(b.error, SLUIS_EINVAL);
    }
    static const struct span bad_names[] = {{"", 0}, {"a b", 3}, {"a:", 2}, {"a\r\n", 3}};
    for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
        buffer_clear(&b);
        http_write_field(&b, bad_names[i], SPAN("x"));
        assert_int_equal(b.error, SLUIS_EINVAL);
        buffer_clear(&b);
        http_write_field_u64(&b, bad_names[i], 1);
        assert_int_equal(b.error, SLUIS_EINVAL);
    }
    static const struct span bad_targets[] = {{"", 0},   {"a", 1},     {"/a b", 4}, {"/a\r\n", 4},
                                              {"/#", 2}, {"/\xff", 2}, {"*", 1}};
    for (size_t i = 0; i < sizeof(bad_targets) / sizeof(bad_targets[0]); i++) {
        buffer_clear(&b);
        http_write_request_line(&b, HTTP_GET, bad_targets[i]);
        assert_int_equal(b.error, SLUIS_EINVAL);
    }
    buffer_clear(&b);
    http_write_status_line(&b, 99);
    assert_int_equal(b.error, SLUIS_EINVAL);
    buffer_free(&b);
}

static void test_fields(void **state)
{
    (void)state;
    struct http_request_machine m;
    http_request_machine_init(&m);
    struct span bytes = SPAN("GET / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nx-one: 2\r\nEmpty:\r\n\r\n");
    assert_int_equal(http_request_head(&m, bytes), HTTP_DONE);
    assert_int_equal(m.head_len, bytes.n);
    assert_true(span_is(http_field(&m.head, SPAN("X-ONE")), "1"));
    assert_int_equal(http_field_count(&m.head, SPAN("X-one")), 2);
    assert_int_equal(http_field_count(&m.head, SPAN("X-on")), 0);
    assert_non_null(http_field(&m.head, SPAN("empty")).p);
    assert_null(http_field(&m.head, SPAN("none")).p);
    /* the caller's buffer moved after the head was done: one more call moves the spans */
    char elsewhere[100];
    memcpy(elsewhere, bytes.p, bytes.n);
    assert_int_equal(http_request_head(&m, span_of(elsewhere, bytes.n)), HTTP_DONE);
    assert_ptr_equal(m.head.target.p, elsewhere + 4);
    assert_true(span_is(http_field(&m.head, SPAN("x-one")), "1"));
    assert_ptr_equal(m.head.fields[0].name.p, elsewhere + 16);
}

static void test_tables(void **state)
{
    (void)state;
    for (unsigned r = 0; r < HTTP_REASON_COUNT; r++) {
        assert_true(strlen(http_reason_word((enum http_reason)r)) > 0);
        if (r == HTTP_BAD_NONE)
            continue;
        unsigned status = http_reason_status((enum http_reason)r);
        assert_true(status >= 400 && status <= 599);
        assert_string_not_equal(http_status_text(status), "Status");
    }
    assert_int_equal(http_reason_status(HTTP_BAD_LENGTH_REQUIRED), 411);
    assert_int_equal(http_reason_status(HTTP_BAD_CONTENT_ENCODING), 415);
    assert_int_equal(http_reason_status(HTTP_BAD_LENGTH_AND_CODING), 400);
    assert_string_equal(http_reason_word((enum http_reason)9999), "unknown");
}

/* The limit of a body holds at every byte: what is given out never passes it. */
static void test_body_cap(void **state)
{
    (void)state;
    for (uint64_t max = 0; max <= 12; max++) {
        struct http_head head = {.framing = HTTP_LENGTH, .length = 10};
        struct http_body_machine body;
        struct span data, in = SPAN("0123456789");
        size_t used;
        http_body_init(&body, &head, max);
        assert_int_equal(body.reason, max < 10 ? HTTP_BAD_BODY_TOO_LARGE : HTTP_BAD_NONE);
        enum http_result result = http_body_feed(&body, in, &data, &used);
        assert_int_equal(result, max < 10 ? HTTP_REFUSED : HTTP_DONE);
        assert_int_equal(data.n, max < 10 ? 0 : 10);

        head = (struct http_head){.framing = HTTP_UNTIL_CLOSE};
        http_body_init(&body, &head, max);
        size_t given = 0, taken = 0;
        do {
            result = http_body_feed(&body, span_from(in, taken), &data, &used);
            given += data.n;
            taken += used;
        } while (result == HTTP_NEED_MORE && taken < in.n);
        assert_int_equal(result, max < 10 ? HTTP_REFUSED : HTTP_NEED_MORE);
        assert_int_equal(given, max < 10 ? max : 10);
        assert_int_equal(http_body_closed(&body), max < 10 ? HTTP_REFUSED : HTTP_DONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path_split),     cmocka_unit_test(test_query_split),
        cmocka_unit_test(test_percent_encode), cmocka_unit_test(test_range),
        cmocka_unit_test(test_writers),        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_tables),         cmocka_unit_test(test_body_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The JSON scanner and emitter: every class of input and output, with vectors of our own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "sluis/base/json.h"

#define BIG (64 * 1024 * 1024)

static int scan(struct json_doc *doc, struct arena *arena, struct span text)
{
    arena_init(arena, BIG);
    return json_scan(doc, text, arena, NULL);
}

static const char *const accepted[] = {
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1.5e-3",
    "1E+2",
    "-12345678901234567890123",
    "\"\"",
    "[]",
    "{}",
    " [ 1 , 2 ] ",
    "\t{\"a\"\r\n:\n1}",
    "[[],{},[{}]]",
    "{\"\":1,\"a\":2}",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\ud83d\\udc4d\"",
    "\"caf\xc3\xa9\"",
    "\"\x7f\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "{\"a\":{\"a\":{\"a\":1}}}",
    "{\"aXb\":1,\"aYb\":2,\"aX\":3}",
    "\"\xf0\x9f\x91\x8d\"",
    "\"\xef\xbf\xbf\"",
};

static const struct {
    const char *text, *error;
    int code;
} refused[] = {
    {"", "cut_off", SLUIS_EINVAL},
    {"  ", "cut_off", SLUIS_EINVAL},
    {"nul", "syntax", SLUIS_EINVAL},
    {"True", "syntax", SLUIS_EINVAL},
    {"+1", "syntax", SLUIS_EINVAL},
    {"01", "number", SLUIS_EINVAL},
    {"-", "number", SLUIS_EINVAL},
    {"1.", "number", SLUIS_EINVAL},
    {"1e", "number", SLUIS_EINVAL},
    {".5", "syntax", SLUIS_EINVAL},
    {"1 2", "trailing", SLUIS_EINVAL},
    {"{}}", "trailing", SLUIS_EINVAL},
    {"[1,]", "syntax", SLUIS_EINVAL},
    {"[,1]", "syntax", SLUIS_EINVAL},
    {"[1 2]", "syntax", SLUIS_EINVAL},
    {"[1}", "syntax", SLUIS_EINVAL},
    {"{1:2}", "syntax", SLUIS_EINVAL},
    {"{\"a\" 1}", "syntax", SLUIS_EINVAL},
    {"{\"a\":1,}", "syntax", SLUIS_EINVAL},
    {"{\"a\":}", "syntax", SLUIS_EINVAL},
    {"{'a':1}", "syntax", SLUIS_EINVAL},
    {"[1", "cut_off", SLUIS_EINVAL},
    {"{\"a\":1", "cut_off", SLUIS_EINVAL},
    {"\"a", "cut_off", SLUIS_EINVAL},
    {"\"a\\", "cut_off", SLUIS_EINVAL},
    {"\"\\x\"", "escape", SLUIS_EINVAL},
    {"\"\\u12g4\"", "escape", SLUIS_EINVAL},
    {"\"\\u12", "escape", SLUIS_EINVAL},
    {"\"a\nb\"", "control", SLUIS_EINVAL},
    {"\"abcdefghi\x1fjklmnopqrst\"", "control", SLUIS_EINVAL},
    {"\"\xc0\x80\"", "utf8", SLUIS_EINVAL},
    {"\"\xed\xa0\x80\"", "utf8", SLUIS_EINVAL},
    {"\"\xff\"", "utf8", SLUIS_EINVAL},
    {"\"\xc3\"", "utf8", SLUIS_EINVAL},
    {"\xef\xbb\xbf{}", "byte_order_mark", SLUIS_EINVAL},
    {"{\"a\":1,\"a\":2}", "duplicate_name", SLUIS_EINVAL},
    {"{\"a\":1,\"b\":3,\"\\u0061\":2}", "duplicate_name", SLUIS_EINVAL},
    {"{\"\\u0061\":1,\"a\":2}", "duplicate_name", SLUIS_EINVAL},
    {"{\"\":1,\"\":2}", "duplicate_name", SLUIS_EINVAL},
    {"[{\"x\":{\"k\":1,\"k\":1}}]", "duplicate_name", SLUIS_EINVAL},
};

static void test_classes(void **state)
{
    (void)state;
    struct json_doc doc;
    struct arena arena;
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        if (scan(&doc, &arena, span_str(accepted[i])) != 0)
            fail_msg("refused: %s (%s)", accepted[i], doc.error);
        assert_null(doc.error);
        arena_free(&arena);
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (scan(&doc, &arena, span_str(refused[i].text)) != refused[i].code)
            fail_msg("not refused as it should: %s", refused[i].text);
        assert_string_equal(doc.error, refused[i].error);
        assert_true(doc.error_offset <= strlen(refused[i].text));
        assert_int_equal(doc.count, 0);
        arena_free(&arena);
    }
}

/* An object of n members "m0".."m(n-1)", and once more the first when `twice`. */
static void large_object(struct buffer *b, unsigned n, bool twice)
{
    buffer_add_char(b, '{');
    for (unsigned i = 0; i < n; i++)
        buffer_addf(b, "%s\"m%u\":%u", i ? "," : "", i, i);
    if (n > 1)
        buffer_add_str(b, ",\"\":0"); /* the empty name sorts first */
    if (twice)
        buffer_add_str(b, ",\"\\u006d0\":0");
    buffer_add_char(b, '}');
}

static void test_large_objects(void **state)
{
    (void)state;
    struct json_doc doc;
    struct arena arena;
    static const unsigned sizes[] = {1, 15, 16, 17, 18, 100, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int twice = 0; twice < 2; twice++) {
            struct buffer b;
            buffer_init(&b, BIG);
            large_object(&b, sizes[i], twice);
            int error = scan(&doc, &arena, buffer_span(&b));
            assert_int_equal(error, twice ? SLUIS_EINVAL : 0);
            if (twice)
                assert_string_equal(doc.error, "duplicate_name");
            else
                assert_int_equal(doc.count, sizes[i] + (sizes[i] > 1 ? 2 : 1));
            arena_free(&arena);
            buffer_free(&b);
        }
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct json_doc doc;
    struct arena arena;
    char text[2 * 65 + 1] = {0};
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    assert_int_equal(scan(&doc, &arena, span_of(text, 130)), SLUIS_ELIMIT);
    assert_string_equal(doc.error, "depth");
    arena_free(&arena);
    assert_int_equal(scan(&doc, &arena, span_of(text + 1, 128)), 0);
    assert_int_equal(doc.count, 64);
    arena_free(&arena);

    struct json_limits limits = {.depth = 2, .values = 3};
    arena_init(&arena, BIG);
    assert_int_equal(json_scan(&doc, SPAN("[1,2]"), &arena, &limits), 0);
    assert_int_equal(json_scan(&doc, SPAN("[1,2,3]"), &arena, &limits), SLUIS_ELIMIT);
    assert_string_equal(doc.error, "values");
    assert_int_equal(json_scan(&doc, SPAN("[[[]]]"), &arena, &limits), SLUIS_ELIMIT);
    limits.depth = 0;
    assert_int_equal(json_scan(&doc, SPAN("1"), &arena, &limits), 0);
    assert_int_equal(json_scan(&doc, SPAN("[]"), &arena, &limits), SLUIS_ELIMIT);
    arena_free(&arena);

    arena_init(&arena, 64); /* no memory for nodes */
    assert_int_equal(json_scan(&doc, SPAN("[1,2]"), &arena, NULL), SLUIS_ENOMEM);
    arena_free(&arena);
}

static void test_reading(void **state)
{
    (void)state;
    struct json_doc doc;
    struct arena arena;
    struct span s;
    uint64_t v;
    assert_int_equal(
        scan(&doc, &arena,
             SPAN("{\"entry\":[{\"a\":1},{\"b\\u0062\":[true,\"t\\u00e9\\ud83d\\udc4d\"]}],"
                  "\"n\":\"42\",\"neg\":-1,\"pl\":\"plain\",\"lone\":\"x\\udc00y\"}")),
        0);
    uint32_t node = json_path(&doc, 0, "entry.1.bb.1");
    assert_true(json_is(&doc, node, JSON_STRING));
    assert_int_equal(json_string(&doc, node, &arena, &s), 0);
    assert_true(span_is(s, "t\xc3\xa9\xf0\x9f\x91\x8d"));
    assert_true(json_string_is(&doc, node, SPAN("t\xc3\xa9\xf0\x9f\x91\x8d")));
    assert_false(json_string_is(&doc, node, SPAN("t\xc3\xa9\xf0\x9f\x91")));
    assert_false(json_string_is(&doc, node, SPAN("t\xc3\xa9\xf0\x9f\x91\x8d!")));
    assert_true(span_is(json_raw(&doc, json_path(&doc, 0, "entry.1.bb.0")), "true"));
    assert_int_equal(json_name(&doc, json_path(&doc, 0, "entry.1.bb"), &arena, &s), 0);
    assert_true(span_is(s, "bb"));
    assert_int_equal(json_u64(&doc, json_path(&doc, 0, "n"), &v), 0);
    assert_true(v == 42);
    assert_int_equal(json_u64(&doc, json_path(&doc, 0, "neg"), &v), SLUIS_EINVAL);
    assert_int_equal(json_u64(&doc, json_path(&doc, 0, "entry"), &v), SLUIS_EINVAL);
    node = json_get(&doc, 0, SPAN("pl"));
    assert_int_equal(json_string(&doc, node, &arena, &s), 0);
    assert_true(s.p > doc.text.p && s.p < doc.text.p + doc.text.n); /* not copied */
    assert_int_equal(json_node(&doc, node)->flags, 0);
    node = json_get(&doc, 0, SPAN("lone"));
    assert_true(json_node(&doc, node)->flags & JSON_LONE_SURROGATE);
    assert_int_equal(json_string(&doc, node, &arena, &s), 0);
    assert_true(span_is(s, "x\xef\xbf\xbdy"));
    assert_int_equal(json_path(&doc, 0, "entry.2"), JSON_NONE);
    assert_int_equal(json_path(&doc, 0, "entry.x"), JSON_NONE);
    assert_int_equal(json_path(&doc, 0, "none.0"), JSON_NONE);
    assert_int_equal(json_get(&doc, JSON_NONE, SPAN("a")), JSON_NONE);
    assert_int_equal(json_string(&doc, 0, &arena, &s), SLUIS_EINVAL);
    arena_free(&arena);
}

/* What a flag says of a string decides whether it is decoded and escaped. */
static void test_flags(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint8_t flags;
    } rows[] = {
        {"\"abcdefgh ~\"", 0},
        {"\"abcdefgh\x7f\"", JSON_NON_ASCII},
        {"\"\xc3\xa9 12345678\"", JSON_NON_ASCII},
        {"\"\\/\"", JSON_ESCAPED},
        {"\"\\ud83d\\udc4d\"", JSON_ESCAPED},
        {"\"\\ud83d\"", JSON_ESCAPED | JSON_LONE_SURROGATE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct json_doc doc;
        struct arena arena;
        assert_int_equal(scan(&doc, &arena, span_str(rows[i].text)), 0);
        assert_int_equal(doc.nodes[0].flags, rows[i].flags);
        arena_free(&arena);
    }
}

static void test_decode_map(void **state)
{
    (void)state;
    char text[64];
    uint32_t map[65];
    size_t n;
    struct span raw = SPAN("a\\n\\u00e9\\ud83d\\udc4db\\ud800");
    json_decode_map(raw, text, map, &n);
    static const uint32_t expected[] = {0, 1, 3, 3, 9, 9, 9, 9, 21, 22, 22, 22, 28};
    assert_true(span_is(span_of(text, n), "a\n\xc3\xa9\xf0\x9f\x91\x8d"
                                          "b\xef\xbf\xbd"));
    assert_memory_equal(map, expected, sizeof expected);
    json_decode_map(SPAN("\\u12"), text, map, &n); /* not from the scanner: no overrun */
    assert_true(n <= 4);
    json_decode_map(SPAN("\\"), text, map, &n);
    assert_int_equal(n, 1);
}

static void check_emit(struct span text, const struct json_edit *edits, size_t n,
                       const char *expected)
{
    struct buffer b;
    buffer_init(&b, 4096);
    assert_int_equal(json_emit(&b, text, 0, (uint32_t)text.n, edits, n), 0);
    buffer_add_char(&b, '\0');
    assert_string_equal(b.p, expected);
    buffer_free(&b);
}

static void test_emit(void **state)
{
    (void)state;
    check_emit(SPAN("{\"a\" : \"caf\xc3\xa9 \xf0\x9f\x91\x8d\x7f~\"}"), NULL, 0,
               "{\"a\" : \"caf\\u00e9 \\ud83d\\udc4d\\u007f~\"}");
    check_emit(SPAN("\"12345678\x7f"
                    "12345678\xe2\x82\xac\""),
               NULL, 0, "\"12345678\\u007f12345678\\u20ac\"");
    const struct json_edit edits[] = {
        {1, 1, SPAN("\"n\":1,")},
        {5, 7, SPAN("\"\xe2\x82\xac\"")},
    };
    check_emit(SPAN("{\"a\":12}"), edits, 2, "{\"n\":1,\"a\":\"\\u20ac\"}");
    struct buffer b;
    buffer_init(&b, 4096);
    const struct json_edit unsorted[] = {edits[1], edits[0]};
    const struct json_edit overlap[] = {{1, 4, SPAN("x")}, {3, 5, SPAN("y")}};
    const struct json_edit outside[] = {{4, 9, SPAN("x")}};
    const struct json_edit inverted[] = {{4, 3, SPAN("x")}};
    struct span text = SPAN("{\"a\":12}");
    assert_int_equal(json_emit(&b, text, 0, 8, unsorted, 2), SLUIS_EINVAL);
    assert_int_equal(json_emit(&b, text, 0, 8, overlap, 2), SLUIS_EINVAL);
    assert_int_equal(json_emit(&b, text, 0, 8, outside, 1), SLUIS_EINVAL);
    assert_int_equal(json_emit(&b, text, 0, 8, inverted, 1), SLUIS_EINVAL);
    assert_int_equal(json_emit(&b, text, 2, 8, edits, 1), SLUIS_EINVAL); /* before `from` */
    assert_int_equal(json_emit(&b, text, 0, 9, NULL, 0), SLUIS_EINVAL);
    assert_int_equal(b.n, 0);
    buffer_free(&b);
    buffer_init(&b, 4);
    assert_int_equal(json_emit(&b, text, 0, 8, NULL, 0), SLUIS_ELIMIT);
    buffer_free(&b);
}

static void test_escape(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 4096);
    json_quote(&b, SPAN("a\"\\/\n\t\x01\x7f\xc3\xa9\xf0\x9f\x91\x8d\xff"));
    buffer_add_char(&b, '\0');
    assert_string_equal(b.p, "\"a\\\"\\\\/\\n\\u0009\\u0001\\u007f\\u00e9\\ud83d\\udc4d\\ufffd\"");
    buffer_free(&b);
}

/* Every Unicode scalar value, emitted and escaped, reads back as itself. */
static void test_round_trip(void **state)
{
    (void)state;
    for (uint32_t code = 0x80; code <= 0x10ffff; code += code < 0x1000 ? 1 : 37) {
        char text[8] = "\"";
        if (code >= 0xd800 && code <= 0xdfff)
            continue;
        size_t n = 1;
        if (code < 0x800) {
            text[n++] = (char)(0xc0 | code >> 6);
        } else if (code < 0x10000) {
            text[n++] = (char)(0xe0 | code >> 12);
            text[n++] = (char)(0x80 | (code >> 6 & 63));
        } else {
            text[n++] = (char)(0xf0 | code >> 18);
            text[n++] = (char)(0x80 | (code >> 12 & 63));
            text[n++] = (char)(0x80 | (code >> 6 & 63));
        }
        text[n++] = (char)(0x80 | (code & 63));
        text[n++] = '"';
        struct json_doc doc;
        struct arena arena;
        struct buffer b;
        buffer_init(&b, 64);
        assert_int_equal(json_emit(&b, span_of(text, n), 0, (uint32_t)n, NULL, 0), 0);
        assert_int_equal(scan(&doc, &arena, buffer_span(&b)), 0);
        assert_true(json_string_is(&doc, 0, span_of(text + 1, n - 2)));
        assert_false(doc.nodes[0].flags & JSON_NON_ASCII);
        arena_free(&arena);
        buffer_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),    cmocka_unit_test(test_large_objects),
        cmocka_unit_test(test_limits),     cmocka_unit_test(test_reading),
        cmocka_unit_test(test_flags),      cmocka_unit_test(test_decode_map),
        cmocka_unit_test(test_emit),       cmocka_unit_test(test_escape),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

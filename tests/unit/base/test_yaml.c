/* The YAML door: what is read, and the exact words said about what is refused. */
#include "sluis/base/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct yaml_doc *parse(const char *text)
{
    struct diag diag = {0};
    struct yaml_doc *doc;
    int error = yaml_parse(span_str(text), "t", &doc, &diag);
    if (error)
        print_message("%u:%u %s\n", diag.line, diag.column, diag.text);
    assert_int_equal(error, 0);
    return doc;
}

static void test_tree(void **state)
{
    (void)state;
    struct yaml_doc *doc = parse("a: 1\nb: {c: '2', d: }\ne:\n  - x\n  - [y, \"z\\u00e9\"]\nf: |\n"
                                 "  two\n  lines\n");
    const struct yaml_node *root = yaml_root(doc);
    assert_int_equal(root->kind, YAML_MAP);
    const struct yaml_node *a = yaml_get(root, "a");
    assert_string_equal(a->text, "1");
    assert_false(a->quoted);
    assert_int_equal(a->line, 1);
    assert_int_equal(a->column, 4);
    assert_int_equal(a->key_column, 1);
    const struct yaml_node *c = yaml_get(yaml_get(root, "b"), "c");
    assert_string_equal(c->text, "2");
    assert_true(c->quoted);
    const struct yaml_node *d = yaml_get(yaml_get(root, "b"), "d");
    assert_true(yaml_is_null(d));
    assert_int_equal(d->line, 2); /* an empty value stands where its key stands */
    assert_int_equal(d->column, 13);
    const struct yaml_node *e = yaml_get(root, "e");
    assert_int_equal(e->kind, YAML_LIST);
    assert_int_equal(e->line, 4);
    assert_string_equal(e->child->text, "x");
    assert_string_equal(e->child->next->child->next->text, "z\xc3\xa9");
    assert_string_equal(yaml_get(root, "f")->text, "two\nlines\n");
    assert_null(yaml_get(root, "g"));
    assert_null(yaml_get(a, "g"));
    yaml_free(doc);
}

/* A mark at the start, CRLF, comments, one `---`, strings that look like other things. */
static void test_accepted(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\xef\xbb\xbf"
        "a: 1\n",
        "a: 1\r\nb: 2\r\n",
        "# c\n---\na: 1 # c\n...\n",
        "a: 1",
        "{a: 1, b: [1, 2]}",
        "a: \"&x *y !z\"\n",
        "a: 'it''s'\n",
        "\"a\": >-\n  x\n  y\n",
        "a: \xe2\x82\xac\n",
        "a:\tb\n",
    };
    for (size_t i = 0; i < N(texts); i++) {
        struct yaml_doc *doc = parse(texts[i]);
        assert_non_null(yaml_get(yaml_root(doc), "a"));
        yaml_free(doc);
    }
    struct yaml_doc *doc = parse("\xef\xbb\xbf"
                                 "a: 1\n");
    assert_int_equal(yaml_source(doc).n, 8); /* hashes are over the file as it is */
    assert_int_equal(yaml_root(doc)->column, 1);
    yaml_free(doc);
}

struct bad {
    struct span text;
    int error;
    const char *line;
};
#define BAD(text, said)                                                                            \
    {                                                                                              \
        SPAN(text), SLUIS_EINVAL, said                                                             \
    }
#define ANCHORS                                                                                    \
    "anchors (&) and aliases (*) are not available: write the value out, or quote a text that "    \
    "starts so"

static const struct bad bad_texts[] = {
    BAD("", "t:1:1: the file is empty"),
    BAD("# only\n", "t:1:1: the file is empty"),
    BAD("\xef\xbb\xbf", "t:1:1: the file is empty"),
    BAD("a: 1\nb: 2\na: 3\n", "t:3:1: duplicate key \"a\"; the first is on line 1"),
    BAD("{x: {k: 1, \"k\": 2}}", "t:1:12: duplicate key \"k\"; the first is on line 1"),
    BAD("a: &x 1\n", "t:1:4: " ANCHORS),
    BAD("a: *x\n", "t:1:4: " ANCHORS),
    BAD("a: &x [1]\nb: *x\n", "t:1:4: " ANCHORS),
    BAD("a: &x {b: 1}\n", "t:1:4: " ANCHORS),
    BAD("a: !!int 1\n", "t:1:4: tags (!) are not available: quote a text that starts so"),
    BAD("!x {a: 1}\n", "t:1:1: tags (!) are not available: quote a text that starts so"),
    BAD("a: !x [1]\n", "t:1:4: tags (!) are not available: quote a text that starts so"),
    BAD("%YAML 1.1\n---\na: 1\n", "t:2:1: directives (%...) are not available: files are YAML 1.2"),
    BAD("%TAG ! tag:x,2000:\n---\na: 1\n",
        "t:2:1: directives (%...) are not available: files are YAML 1.2"),
    BAD("a: 1\n---\nb: 2\n", "t:2:1: a second document: one file holds one"),
    BAD("? [a]\n: 1\n", "t:1:3: a map or list as a key: keys are words"),
    BAD("? {a: 1}\n: 1\n", "t:1:3: a map or list as a key: keys are words"),
    BAD(": 1\n", "t:1:1: empty key"),
    BAD("\"\": 1\n", "t:1:1: empty key"),
    BAD("a: 1\n\tb: 2\n", "t:2:1: tab in the indentation: use spaces"),
    BAD("a:\n  \t- b\n", "t:2:3: tab in the indentation: use spaces"),
    BAD("a: b\0c\n", "t:1:5: NUL byte"),
    BAD("a: \"b\\0c\"\n", "t:1:4: NUL character in a text"),
    BAD("a: \x1b[31m\n", "t:1:4: control character"),
    BAD("a: \x7f\n", "t:1:4: control character"),
    BAD("a: 1\nb: \xff\n", "t:2:4: not UTF-8"),
    BAD("a: \xc0\x80\n", "t:1:4: not UTF-8"),
    BAD("a: \xed\xa0\x80\n", "t:1:4: not UTF-8"),
    BAD("\xff\xfe"
        "a\0",
        "t:1:1: not UTF-8"),
    BAD("a: 1\n b: 2\n", "t:1:4: not YAML: \"invalid multiline plain key\""),
    BAD("a: [1, 2\n", "t:2:1: not YAML: \"flow sequence without a closing bracket\""),
    BAD("a: \"x\\q\"\n", "t:1:6: not YAML: \"invalid escape 'q' in double-quoted string\""),
};

static void check_bad(const struct bad *bad)
{
    struct diag diag = {0};
    struct yaml_doc *doc;
    char line[1024];
    int error = yaml_parse(bad->text, "t", &doc, &diag);
    if (!error)
        print_message("accepted: %.*s\n", (int)bad->text.n, bad->text.p);
    assert_string_equal(diag_line(&diag, line, sizeof(line)), bad->line);
    assert_int_equal(error, bad->error);
    assert_null(doc);
    /* Without a diagnosis wanted, the same. */
    assert_int_equal(yaml_parse(bad->text, "t", &doc, NULL), bad->error);
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(bad_texts); i++)
        check_bad(&bad_texts[i]);
}

static char *repeat(const char *unit, size_t times, const char *tail)
{
    size_t n = strlen(unit);
    char *text = malloc(n * times + strlen(tail) + 1);
    assert_non_null(text);
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * n, unit, n);
    memcpy(text + n * times, tail, strlen(tail) + 1);
    return text;
}

static void expect_limit(char *text, size_t n, const char *said)
{
    const struct bad bad = {span_of(text, n), SLUIS_ELIMIT, said};
    check_bad(&bad);
    free(text);
}

/* Bombs: depth, number of values, of keys, length of a key, size; and the laughs, cut at the first
 * anchor. Each limit is met from both sides. */
static void test_limits(void **state)
{
    (void)state;
    char *deep = repeat("[", YAML_DEPTH_MAX, "x");
    for (size_t i = 0; i < 1; i++) {
        char *closing = repeat("]", YAML_DEPTH_MAX, "");
        char *whole = malloc(200);
        snprintf(whole, 200, "%s%s", deep, closing);
        yaml_free(parse(whole));
        free(whole);
        free(closing);
    }
    free(deep);
    char *text = repeat("[", 100000, "");
    expect_limit(text, strlen(text), "t:1:33: nested too deep");
    text = repeat("{a: ", 100000, "");
    expect_limit(text, strlen(text), "t:1:129: nested too deep");
    text = repeat("- ", 100000, "x");
    expect_limit(text, strlen(text), "t:1:65: nested too deep");
    text = repeat("- 1\n", YAML_NODES_MAX, "");
    expect_limit(text, strlen(text), "t:100000:3: too many values in one file");
    text = repeat("k", YAML_KEY_MAX + 1, ": 1");
    expect_limit(text, strlen(text), "t:1:1: key too long");
    text = repeat("#", YAML_TEXT_MAX + 1, "");
    expect_limit(text, strlen(text), "t: larger than 1 MiB");

    text = malloc(20 * (YAML_KEYS_MAX + 1));
    size_t used = 0;
    for (int i = 0; i < YAML_KEYS_MAX; i++)
        used += (size_t)snprintf(text + used, 20, "k%d: 1\n", i);
    yaml_free(parse(text));
    snprintf(text + used, 20, "z: 1\n");
    expect_limit(text, strlen(text), "t:1025:1: too many keys in one map");

    text = repeat("#", YAML_TEXT_MAX - 5, "\na: 1");
    yaml_free(parse(text));
    free(text);

    static const struct bad laughs =
        BAD("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "t:1:4: " ANCHORS);
    check_bad(&laughs);
}

static const struct yaml_key keys[] = {
    {"name", YAML_WANT_TEXT, true, false, "what it is called"},
    {"port", YAML_WANT_NUMBER, false, false, "a port"},
    {"quick", YAML_WANT_BOOL, false, false, "speed"},
    {"keep", YAML_WANT_DURATION, false, false, "how long"},
    {"size", YAML_WANT_SIZE, false, false, "how much"},
    {"routes", YAML_WANT_MAP, false, false, "where"},
    {"names", YAML_WANT_LIST, false, false, "who"},
    {"any", YAML_WANT_ANY, false, false, "any"},
    {"roles", YAML_WANT_MAP, false, true, "who may what"},
};

static const struct {
    const char *text, *line;
} bad_maps[] = {
    {"[a]", "t:1:1: expected a map (key: value), found a list"},
    {"x", "t:1:1: expected a map (key: value), found a text"},
    {"port: 1", "t:1:1: missing key \"name\": what it is called"},
    {"name: x\nprot: 1", "t:2:1: unknown key \"prot\"; did you mean \"port\"?"},
    {"name: x\nPort: 1", "t:2:1: unknown key \"Port\"; did you mean \"port\"?"},
    {"name: x\nrole: {}", "t:2:1: unknown key \"role\"; did you mean \"roles\"?"},
    {"name: x\nzzzzzz: 1", "t:2:1: unknown key \"zzzzzz\"; known here: name, port, quick, keep, "
                           "size, routes, names, any"},
    {"name: x\n\"a\\eb\\u009bc\": 1",
     "t:2:1: unknown key \"a?b?c\"; known here: name, port, quick, "
     "keep, size, routes, names, any"},
    {"name: x\nroles: {a: 1}", "t:2:1: \"roles\" is not available in this version"},
    {"name:", "t:1:1: \"name\": expected a text, found nothing"},
    {"name: ~", "t:1:7: \"name\": expected a text, found nothing"},
    {"name: {}", "t:1:7: \"name\": expected a text, found a map"},
    {"name: x\nport: a", "t:2:7: \"port\": expected a whole number, found \"a\""},
    {"name: x\nport: 0x10", "t:2:7: \"port\": expected a whole number, found \"0x10\""},
    {"name: x\nport: 010", "t:2:7: \"port\": expected a whole number, found \"010\""},
    {"name: x\nport: +1", "t:2:7: \"port\": expected a whole number, found \"+1\""},
    {"name: x\nport: 1.0", "t:2:7: \"port\": expected a whole number, found \"1.0\""},
    {"name: x\nport: 99999999999999999999",
     "t:2:7: \"port\": expected a whole number, found \"99999999999999999999\""},
    {"name: x\nport: '1'", "t:2:7: \"port\": expected a whole number, found the text \"1\""},
    {"name: x\nquick: yes", "t:2:8: \"quick\": expected true or false, found \"yes\""},
    {"name: x\nquick: True", "t:2:8: \"quick\": expected true or false, found \"True\""},
    {"name: x\nkeep: 24",
     "t:2:7: \"keep\": expected a duration such as 90s, 15min, 24h, 7d, 24m or "
     "1y, found \"24\""},
    {"name: x\nkeep: 12M",
     "t:2:7: \"keep\": expected a duration; months are written 24m and minutes "
     "15min, found \"12M\""},
    {"name: x\nkeep: -1d", "t:2:7: \"keep\": expected a duration such as 90s, 15min, 24h, 7d, 24m "
                           "or 1y, found \"-1d\""},
    {"name: x\nkeep: 101y",
     "t:2:7: \"keep\": expected a duration of at most 100 years, found \"101y\""},
    {"name: x\nsize: 64GB",
     "t:2:7: \"size\": expected a size with KiB, MiB, GiB or TiB, found \"64GB\""},
    {"name: x\nsize: 64 GiB",
     "t:2:7: \"size\": expected a size such as 512MiB or 64GiB, found \"64 GiB\""},
    {"name: x\nsize: 99999999999TiB",
     "t:2:7: \"size\": expected a size such as 512MiB or 64GiB, found \"99999999999TiB\""},
    {"name: x\nroutes: a", "t:2:9: \"routes\": expected a map (key: value), found a text"},
    {"name: x\nroutes:\n- a", "t:3:1: \"routes\": expected a map (key: value), found a list"},
    {"name: x\nnames: a", "t:2:8: \"names\": expected a list, found a text"},
    {"name: x\nany:", "t:2:1: \"any\": expected a value, found nothing"},
};

static void test_check_map(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(bad_maps); i++) {
        struct yaml_doc *doc = parse(bad_maps[i].text);
        struct diag diag = {0};
        char line[1024];
        int error = yaml_check_map(doc, yaml_root(doc), keys, N(keys), &diag);
        assert_string_equal(diag_line(&diag, line, sizeof(line)), bad_maps[i].line);
        assert_int_equal(error, SLUIS_EINVAL);
        yaml_free(doc);
    }
    struct diag diag = {0};
    struct yaml_doc *doc = parse("name: 'null'\nport: -5\nquick: false\nkeep: 24m\nsize: 64GiB\n"
                                 "routes: {}\nnames: []\nany: x");
    assert_int_equal(yaml_check_map(doc, yaml_root(doc), keys, N(keys), &diag), 0);
    yaml_free(doc);
}

static void test_scalars(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
    } durations[] = {{"0s", 0},         {"90s", 90},      {"15min", 900},
                     {"24h", 86400},    {"7d", 604800},   {"2w", 1209600},
                     {"12m", 31536000}, {"1y", 31536000}, {"100y", 3153600000}};
    for (size_t i = 0; i < N(durations); i++) {
        int64_t seconds;
        struct yaml_doc *doc = parse(durations[i].text);
        assert_int_equal(yaml_duration(doc, yaml_root(doc), &seconds, NULL), 0);
        assert_int_equal(seconds, durations[i].seconds);
        yaml_free(doc);
    }
    static const struct {
        const char *text;
        int share; /* -1: refused */
    } shares[] = {{"0", 0},      {"1", 1000},  {"0.70", 700}, {"0.5", 500}, {"0.999", 999},
                  {"1.0", 1000}, {"1.01", -1}, {".5", -1},    {"0.", -1},   {"0.1234", -1},
                  {"-0", -1},    {"2", -1},    {"'0.5'", -1}, {"0.5x", -1}, {"70%", -1}};
    for (size_t i = 0; i < N(shares); i++) {
        uint16_t share = 0;
        struct yaml_doc *doc = parse(shares[i].text);
        int error = yaml_share(doc, yaml_root(doc), &share, NULL);
        assert_int_equal(error, shares[i].share < 0 ? SLUIS_EINVAL : 0);
        if (!error)
            assert_int_equal(share, shares[i].share);
        yaml_free(doc);
    }
    static const struct {
        const char *text;
        uint64_t bytes;
    } sizes[] = {{"0", 0}, {"4096", 4096}, {"10KiB", 10240}, {"64GiB", UINT64_C(1) << 36}};
    for (size_t i = 0; i < N(sizes); i++) {
        uint64_t bytes;
        struct yaml_doc *doc = parse(sizes[i].text);
        assert_int_equal(yaml_size(doc, yaml_root(doc), &bytes, NULL), 0);
        assert_int_equal(bytes, sizes[i].bytes);
        yaml_free(doc);
    }
    struct yaml_doc *doc = parse("70000");
    struct diag diag = {0};
    int64_t number;
    assert_int_equal(yaml_number(doc, yaml_root(doc), 0, 65535, &number, &diag), SLUIS_EINVAL);
    assert_string_equal(diag.text, "expected a number from 0 to 65535, found \"70000\"");
    yaml_free(doc);
}

static void test_words(void **state)
{
    (void)state;
    static const char *const words[] = {"redact", "partial", "keep"};
    struct diag diag = {0};
    size_t at = 9;
    struct yaml_doc *doc = parse("a: keep\nb: redcat\nc: xx\nd: {}");
    const struct yaml_node *root = yaml_root(doc);
    assert_int_equal(yaml_word(doc, yaml_get(root, "a"), words, 3, &at, &diag), 0);
    assert_int_equal(at, 2);
    assert_int_equal(yaml_word(doc, yaml_get(root, "b"), words, 3, &at, &diag), SLUIS_EINVAL);
    assert_string_equal(diag.text, "\"b\": expected redact, partial or keep, found \"redcat\"; did "
                                   "you mean \"redact\"?");
    assert_int_equal(yaml_word(doc, yaml_get(root, "c"), words, 3, &at, &diag), SLUIS_EINVAL);
    assert_string_equal(diag.text, "\"c\": expected redact, partial or keep, found \"xx\"");
    assert_int_equal(yaml_word(doc, yaml_get(root, "d"), words, 3, &at, &diag), SLUIS_EINVAL);
    assert_string_equal(diag.text, "\"d\": expected redact, partial or keep, found a map");
    yaml_free(doc);

    assert_null(yaml_nearest("", words, 3));
    assert_null(yaml_nearest("zzz", words, 3));
    assert_string_equal(yaml_nearest("Keep", words, 3), "keep");
    assert_string_equal(yaml_nearest("kepe", words, 3), "keep");
    char huge[4096];
    memset(huge, 'k', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    assert_null(yaml_nearest(huge, words, 3));

    struct yaml_quote quote;
    assert_int_equal(strlen(yaml_quote(&quote, huge)), YAML_QUOTE_MAX + 5);
    memset(huge, 'k', 59);
    memcpy(huge + 59, "\xc3\xa9kkk", 5); /* the cut must not fall inside the letter */
    assert_int_equal(strlen(yaml_quote(&quote, huge)), 59 + 5);
}

static void test_files(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct yaml_doc *doc;
    char line[1024];
    assert_int_equal(yaml_parse_file("/nonexistent.yaml", &doc, &diag), SLUIS_ENOENT);
    assert_string_equal(diag_line(&diag, line, sizeof(line)),
                        "/nonexistent.yaml: cannot open: No such file or directory");
    assert_int_equal(yaml_parse_file("/tmp", &doc, &diag), SLUIS_ESYS);
    assert_string_equal(diag_line(&diag, line, sizeof(line)), "/tmp: cannot read: Is a directory");
    assert_int_equal(yaml_parse_file("/dev/zero", &doc, &diag), SLUIS_ELIMIT);

    char name[] = "/tmp/sluis-yaml-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a: 1\n", 5), 5);
    close(fd);
    assert_int_equal(yaml_parse_file(name, &doc, &diag), 0);
    assert_string_equal(yaml_file(doc), name);
    assert_true(span_is(yaml_source(doc), "a: 1\n"));
    yaml_free(doc);
    unlink(name);
    yaml_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),      cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_limits),
        cmocka_unit_test(test_check_map), cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_words),     cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Words are found in small and large letters, with their accents, however they were typed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../../../proxy/history/room.h"
#include "sluis/base/utf8.h"

static struct span folded(struct arena *arena, struct span text)
{
    struct span out;
    assert_int_equal(fold_text(arena, text, &out), 0);
    assert_true(out.n <= text.n);
    return out;
}

static bool same(const char *a, const char *b)
{
    struct arena arena;
    arena_init(&arena, 1 << 16);
    bool eq = span_eq(folded(&arena, span_str(a)), folded(&arena, span_str(b)));
    arena_free(&arena);
    return eq;
}

static void test_words(void **state)
{
    (void)state;
    static const char *const equal[][2] = {
        {"PARKEREN", "parkeren"},
        {"GEËERDE", "geëerde"},
        {"Één", "één"},
        {"COÖRDINATIE", "coördinatie"},
        {"Françoise", "FRANÇOISE"},
        {"Žižek", "žIŽEK"},
        {"ŁÓDŹ", "łódź"},
        {"ØRSTED", "ørsted"},
        {"ÿ", "Ÿ"},
        {"cafe\xcc\x81", "CAFÉ"},
        {"CAFE\xcc\x81", "café"},
        {"GEE\xcc\x88"
         "ERDE",
         "geëerde"},
        {"\xc4\xb2SSEL", "ijssel"},
        {"\xc4\xb3sje", "IJSJE"},
        {"İstanbul", "istanbul"},
        {"STRAẞE", "straße"},
        {"ΑΘΉΝΑ", "αθήνα"},
        {"ΟΔΟΣ", "οδος"},
        {"ЛЬВІВ", "львів"},
        {"ĞÜŞ", "ğüş"},
        {"TIẾNG VIỆT", "tiếng việt"},
    };
    static const char *const other[][2] = {
        {"een", "één"}, {"×", "÷"}, {"straße", "strasse"}, {"ı", "i"}, {"e\xcc\x81", "e"}};
    for (size_t i = 0; i < sizeof(equal) / sizeof(equal[0]); i++)
        if (!same(equal[i][0], equal[i][1]))
            fail_msg("%s is not %s", equal[i][0], equal[i][1]);
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        assert_false(same(other[i][0], other[i][1]));
}

/* Any bytes: never longer, and folded twice it is as folded once. */
static void test_bytes(void **state)
{
    (void)state;
    struct arena arena;
    char text[64];
    arena_init(&arena, 1 << 16);
    srand(7);
    for (unsigned i = 0; i < 20000; i++) {
        size_t n = 0;
        while (n < 50) {
            if (rand() % 8 == 0)
                text[n++] = (char)rand();
            else
                n += utf8_encode((uint32_t)(rand() % 3 ? rand() % 0x600 : rand() % 0x11000),
                                 text + n);
        }
        struct span once = folded(&arena, span_of(text, n));
        assert_true(span_eq(folded(&arena, once), once));
        arena_reset(&arena);
    }
    arena_free(&arena);
}

int main(int argc, char **argv)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (uint32_t c = 1; argc > 1 && argv[1][0] == 't' && c < 0x2000; c++) { /* table: to compare */
        char text[4];
        struct span out = SPAN_EMPTY;
        if (fold_text(&arena, span_of(text, utf8_encode(c, text)), &out) == 0)
            printf("%x %.*s\n", c, (int)out.n, out.p);
    }
    arena_free(&arena);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_bytes)};
    return argc > 1 ? 0 : cmocka_run_group_tests(tests, NULL, NULL);
}

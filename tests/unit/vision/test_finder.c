/* Finder patterns of QR codes: where three stand zbar looks, where they do not it need not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "read.h"

#define SIDE 400
#define MODULE 4

/* Seven modules: a ring of one, a gap of one, three solid. */
static void draw_pattern(uint8_t *grey, unsigned left, unsigned top, uint8_t ink)
{
    for (unsigned y = 0; y < 7; y++)
        for (unsigned x = 0; x < 7; x++) {
            unsigned from_edge = y < 6 - y ? y : 6 - y, side = x < 6 - x ? x : 6 - x;
            from_edge = side < from_edge ? side : from_edge;
            for (unsigned k = 0; from_edge != 1 && k < MODULE * MODULE; k++)
                grey[(top + y * MODULE + k / MODULE) * SIDE + left + x * MODULE + k % MODULE] = ink;
        }
}

static int likely(unsigned patterns, uint8_t ground, uint8_t ink)
{
    static const unsigned at[3][2] = {{60, 60}, {260, 60}, {60, 260}};
    uint8_t *grey = malloc(SIDE * SIDE);
    assert_non_null(grey);
    memset(grey, ground, SIDE * SIDE);
    for (unsigned i = 0; i < patterns; i++)
        draw_pattern(grey, at[i][0], at[i][1], ink);
    int found = codes_likely(grey, SIDE, SIDE);
    free(grey);
    return found;
}

static void three_make_a_code(void **state)
{
    (void)state;
    assert_int_equal(likely(0, 255, 0), 0);
    assert_int_equal(likely(2, 255, 0), 0);
    assert_int_equal(likely(3, 255, 0), 1);
    assert_int_equal(likely(3, 0, 255), 1); /* light on dark */
    assert_int_equal(likely(3, 120, 160), 1);
}

static void small_pictures(void **state)
{
    (void)state;
    uint8_t grey[64] = {0};
    assert_int_equal(codes_likely(grey, 1, 1), 0);
    assert_int_equal(codes_likely(grey, 64, 1), 0);
    assert_int_equal(codes_likely(grey, 1, 64), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(three_make_a_code),
                                       cmocka_unit_test(small_pictures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

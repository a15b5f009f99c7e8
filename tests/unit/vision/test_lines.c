/* Which lines are recognised again, and how much around a covered place is read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "read.h"

static void add_unsure(struct lines *lines, const char *text, const struct quad *quad)
{
    char copy[LINE_TEXT_MAX];
    float place[LINE_TEXT_MAX] = {0};
    size_t n = strlen(text);
    memcpy(copy, text, n);
    struct line line = {.quad = *quad,
                        .score = 0.6f,
                        .n = (uint16_t)n,
                        .glyphs = (uint16_t)n,
                        .text = copy,
                        .place = place};
    assert_int_equal(lines_add(lines, &line), 0);
}

/* On a page of many lines an unsure line is read again only when it may hold a number, misread too.
 */
static void many_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool again;
    } rows[] = {
        {"gewoon een regel met woorden", false},
        {"bel na 12 uur", false},
        {"rekening 0417", true},
        {"NL9l ABNA O4l7 l643 OO", true},
        {"BSN lllZZZSSS", true}, /* all nine misread */
        {"NL gl ABNA OAI7 IGAS OO", true},
        {"P<NLDVISSER", true},
        {"PKNLDVISSERKKANNAKKKKKKK", true}, /* fillers misread */
    };
    struct lines known = {0};
    struct touched touched;
    struct again again = {.known = &known, .touched = &touched, .doubt = true};
    assert_int_equal(touched_new(600, 400, &touched), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        float y = 20 + 40 * (float)i;
        struct quad q = {{300, y}, {1, 0}, 300, 24};
        add_unsure(&known, rows[i].text, &q);
        again.many = false;
        assert_null(again_known(&again, &q));
        again.many = true;
        if (!again_known(&again, &q) != rows[i].again)
            fail_msg("%s", rows[i].text);
    }
    touched_free(&touched);
    lines_free(&known);
}

/* Room around what was covered grows with a line of text, however high, not with a document. */
static void room_around(void **state)
{
    (void)state;
    struct quad small = {{0, 0}, {1, 0}, 300, 30}, high = {{0, 0}, {1, 0}, 1600, 200};
    struct quad upright = {{0, 0}, {1, 0}, 200, 1600}, document = {{0, 0}, {1, 0}, 1500, 1000};
    assert_true(near_room(&small) >= 2 * small.h);
    assert_true(near_room(&high) >= 2 * high.h);
    assert_true(near_room(&upright) >= 2 * upright.w);
    assert_true(near_room(&document) >= 200 && near_room(&document) < 300);
}

/* What is covered goes beyond the line's box at its ends only. */
static void ends_are_covered(void **state)
{
    (void)state;
    float place[10];
    char text[] = "ab 1234567";
    for (size_t k = 0; k < 10; k++)
        place[k] = ((float)k + 0.5f) / 10;
    struct line line = {
        .quad = {{200, 50}, {1, 0}, 200, 20}, .n = 10, .glyphs = 10, .text = text, .place = place};
    struct quad end = line_part(&line, 3, 10), middle = line_part(&line, 3, 9);
    assert_float_equal(end.centre.x + end.w / 2, 310, 0.1);
    assert_float_equal(end.centre.x - end.w / 2, 153, 0.1);
    assert_float_equal(middle.centre.x + middle.w / 2, 287, 0.1);
    struct quad all = line_part(&line, 0, 10);
    assert_float_equal(all.w, 220, 0.1);
    assert_float_equal(all.centre.x, 200, 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(many_lines), cmocka_unit_test(room_around),
                                       cmocka_unit_test(ends_are_covered)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

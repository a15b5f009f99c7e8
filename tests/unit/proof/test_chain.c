/* One key of the log after another: what an auditor with the first key accepts, and what not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <sodium.h>

#include "sluis/proof.h"

#define LEAVES 40
#define CHANGE_1 10
#define CHANGE_2 25
#define TEXT_MAX (1u << 20)
#define N(a) (sizeof(a) / sizeof((a)[0]))

static const uint8_t seeds[4][NOTE_SEED] = {{1}, {2}, {3}, {9}};
static struct note_key keys[4]; /* three of the log, one of a forger */

static void leaf_text(unsigned i, char out[64])
{
    snprintf(out, 64, "{\"n\":%u,\"salt\":\"%08x\"}", i, i * 2654435761u);
}

static void range_of(unsigned size, unsigned changed, struct merkle_range *range)
{
    merkle_range_init(range);
    for (unsigned i = 0; i < size; i++) {
        char leaf[64];
        uint8_t hash[MERKLE_HASH];
        leaf_text(i == changed ? 1000 : i, leaf);
        merkle_leaf(span_str(leaf), hash);
        assert_int_equal(merkle_range_add(range, 0, hash), 0);
    }
}

static void change_note(unsigned size, unsigned changed, unsigned from, unsigned to,
                        struct buffer *out)
{
    struct key_change change = {.size = size, .old_key = keys[from], .new_key = keys[to]};
    struct merkle_range range;
    range_of(size, changed, &range);
    merkle_range_root(&range, change.root);
    buffer_init(out, NOTE_MAX);
    assert_int_equal(key_change_sign(&change, seeds[from], seeds[to], out), 0);
}

static void checkpoint_note(unsigned size, unsigned changed, unsigned by, struct buffer *out)
{
    struct checkpoint c = {.size = size};
    struct merkle_range range;
    struct buffer text;
    range_of(size, changed, &range);
    merkle_range_root(&range, c.root);
    memcpy(c.origin, keys[by].name, sizeof(c.origin));
    buffer_init(&text, NOTE_MAX);
    buffer_init(out, NOTE_MAX);
    assert_int_equal(checkpoint_write(&c, &text), 0);
    assert_int_equal(note_sign(&keys[by], seeds[by], buffer_span(&text), out), 0);
    buffer_free(&text);
}

struct making {
    struct buffer *changes[4];
    unsigned change_count;
    unsigned changed; /* leaf that is another one; LEAVES: none */
    unsigned by;      /* who signs checkpoint and page */
};

static void note_line(enum export_kind kind, struct span note, struct buffer *out)
{
    struct buffer escaped;
    buffer_init(&escaped, 4 * NOTE_MAX);
    export_note_write(note, &escaped);
    export_line_write(&(struct export_line){.kind = kind, .text = buffer_span(&escaped)}, out);
    buffer_free(&escaped);
}

static void make_export(const struct making *m, struct buffer *out)
{
    struct buffer note;
    struct export_writer w;
    buffer_init(out, TEXT_MAX);
    for (unsigned i = 0; i < m->change_count; i++)
        note_line(EXPORT_KEY_CHANGE, buffer_span(m->changes[i]), out);
    checkpoint_note(LEAVES, m->changed, m->by, &note);
    note_line(EXPORT_CHECKPOINT, buffer_span(&note), out);
    buffer_free(&note);
    export_page_begin(&w, out, 0, LEAVES, LEAVES, SPAN(EXPORT_FILTER_NONE));
    for (unsigned i = 0; i < LEAVES; i++) {
        char leaf[64];
        uint8_t hash[MERKLE_HASH];
        leaf_text(i == m->changed ? 1000 : i, leaf);
        merkle_leaf(span_str(leaf), hash);
        export_page_leaf(&w, span_str(leaf), hash);
    }
    assert_int_equal(export_page_end(&w, &keys[m->by], seeds[m->by]), 0);
}

/* By an auditor who holds `held` and the notes. */
static int verify(struct span text, unsigned held, struct buffer *const *earlier, unsigned n,
                  struct export_report *report)
{
    struct export_check *check;
    struct export_finding f = {.text = ""};
    bool head = false;
    assert_int_equal(export_check_new(&keys[held], &check), 0);
    int r = 0;
    for (size_t at = 0; r == 0 && at < text.n;) {
        struct span rest = span_from(text, at), line = span_sub(rest, 0, span_find(rest, '\n'));
        if (!head && !span_starts(line, SPAN("{\"key_change\""))) {
            head = true;
            for (unsigned i = 0; r == 0 && i < n; i++)
                r = export_check_earlier(check, buffer_span(earlier[i]), &f);
        }
        if (r == 0)
            r = export_check_line(check, line, &f);
        at += line.n + 1;
    }
    if (r == 0)
        r = export_check_end(check, report, &f);
    export_check_free(check);
    return r;
}

static void test_chain(void **state)
{
    (void)state;
    struct buffer one, two, text, old, middle, newest, late, early;
    struct export_report report;
    change_note(CHANGE_1, LEAVES, 0, 1, &one);
    change_note(CHANGE_2, LEAVES, 1, 2, &two);
    checkpoint_note(8, LEAVES, 0, &old);
    checkpoint_note(20, LEAVES, 1, &middle);
    checkpoint_note(30, LEAVES, 2, &newest);
    checkpoint_note(11, LEAVES, 0, &late);  /* the first key, after it was replaced */
    checkpoint_note(10, LEAVES, 1, &early); /* the second, before it was the log's */
    struct making m = {.changes = {&one, &two}, .change_count = 2, .changed = LEAVES, .by = 2};
    make_export(&m, &text);
    struct buffer *const kept[] = {&old, &middle, &newest, &one};
    for (unsigned held = 0; held < 3; held++)
        assert_int_equal(verify(buffer_span(&text), held, NULL, 0, &report), 0);
    assert_int_equal(verify(buffer_span(&text), 0, kept, N(kept), &report), 0);
    assert_int_equal(report.keys, 3);
    assert_int_equal(report.earlier, 3 + 2 + 1); /* three kept, two changes, one of them again */
    assert_int_equal(verify(buffer_span(&text), 3, NULL, 0, &report), SLUIS_ECRYPTO);
    struct buffer *const beyond[] = {&late};
    assert_int_equal(verify(buffer_span(&text), 0, beyond, 1, &report), SLUIS_ECRYPTO);
    struct buffer *const before[] = {&early};
    assert_int_equal(verify(buffer_span(&text), 0, before, 1, &report), SLUIS_ECRYPTO);
    struct buffer *all[] = {&one, &two, &text, &old, &middle, &newest, &late, &early};
    for (unsigned i = 0; i < N(all); i++)
        buffer_free(all[i]);
}

/* Each is signed by whoever the forger has the keys of: the last key of the log, and one's own. */
static void test_forgeries(void **state)
{
    (void)state;
    struct buffer one, two, text, own, skip, other_root, fork;
    struct export_report report;
    change_note(CHANGE_1, LEAVES, 0, 1, &one);
    change_note(CHANGE_2, LEAVES, 1, 2, &two);
    change_note(CHANGE_2, LEAVES, 3, 2, &own);      /* not the key before it */
    change_note(CHANGE_1, LEAVES, 0, 2, &skip);     /* needs the first key: a second successor */
    change_note(CHANGE_2, 5, 1, 2, &other_root);    /* needs the second key */
    change_note(CHANGE_1 - 1, LEAVES, 1, 3, &fork); /* smaller than the one before it */
    const struct {
        const char *what;
        struct making m;
    } rows[] = {
        {"an early leaf changed, all signed anew with the last key (CVE-2023-31439)",
         {.changes = {&one, &two}, .change_count = 2, .changed = 5, .by = 2}},
        {"a leaf of the second key's time changed",
         {.changes = {&one, &two}, .change_count = 2, .changed = 15, .by = 2}},
        {"the changes left out", {.change_count = 0, .changed = LEAVES, .by = 2}},
        {"the first change left out",
         {.changes = {&two}, .change_count = 1, .changed = LEAVES, .by = 2}},
        {"the second left out", {.changes = {&one}, .change_count = 1, .changed = LEAVES, .by = 2}},
        {"out of order", {.changes = {&two, &one}, .change_count = 2, .changed = LEAVES, .by = 2}},
        {"a change by a stranger",
         {.changes = {&one, &own}, .change_count = 2, .changed = LEAVES, .by = 2}},
        {"two successors of one key",
         {.changes = {&one, &two, &skip}, .change_count = 3, .changed = LEAVES, .by = 2}},
        {"a change with another tree",
         {.changes = {&one, &other_root}, .change_count = 2, .changed = LEAVES, .by = 2}},
        {"a change back in time",
         {.changes = {&one, &fork}, .change_count = 2, .changed = LEAVES, .by = 3}},
        {"signed by a key that was replaced",
         {.changes = {&one, &two}, .change_count = 2, .changed = LEAVES, .by = 1}},
    };
    for (unsigned i = 0; i < N(rows); i++) {
        make_export(&rows[i].m, &text);
        if (verify(buffer_span(&text), 0, NULL, 0, &report) != SLUIS_ECRYPTO)
            fail_msg("%s: accepted", rows[i].what);
        buffer_free(&text);
    }
    struct buffer *all[] = {&one, &two, &own, &skip, &other_root, &fork};
    for (unsigned i = 0; i < N(all); i++)
        buffer_free(all[i]);
}

/* Every byte of a change, in turn. */
static void test_bytes(void **state)
{
    (void)state;
    struct buffer note;
    struct key_change change;
    change_note(CHANGE_1, LEAVES, 0, 1, &note);
    assert_int_equal(key_change_read(buffer_span(&note), &change), 0);
    assert_int_equal(change.size, CHANGE_1);
    for (size_t i = 0; i < note.n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            note.p[i] = (char)(note.p[i] ^ (1 << bit));
            if (key_change_read(buffer_span(&note), &change) == 0)
                fail_msg("byte %zu, bit %u", i, bit);
            note.p[i] = (char)(note.p[i] ^ (1 << bit));
        }
        assert_int_not_equal(key_change_read(span_sub(buffer_span(&note), 0, i), &change), 0);
    }
    buffer_free(&note);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_forgeries),
        cmocka_unit_test(test_bytes),
    };
    if (sodium_init() < 0)
        return 1;
    for (unsigned i = 0; i < 4; i++)
        if (note_key_of_seed(SPAN("sluis/test"), seeds[i], &keys[i]) != 0)
            return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

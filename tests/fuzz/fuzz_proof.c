/*
 * What sluis-verify reads: keys, notes, checkpoints, lines of an export. The first byte chooses.
 * What is read must be written back the same; no text without our signature may ever be accepted.
 */
#include <sodium.h>
#include <stdlib.h>

#include "sluis/proof.h"

#define TEXT_MAX (1u << 20)

static void check(bool holds)
{
    if (!holds)
        abort();
}

static struct note_key our_key(void)
{
    static const uint8_t seed[NOTE_SEED] = {1, 2, 3};
    struct note_key key;
    check(note_key_of_seed(SPAN("sluis/fuzz"), seed, &key) == 0);
    return key;
}

static void key_text(struct span text)
{
    struct note_key key;
    struct buffer out;
    if (note_key_read(text, &key) != 0)
        return;
    buffer_init(&out, TEXT_MAX);
    note_key_write(&key, &out);
    check(out.n == text.n || (out.n + 1 == text.n && text.p[out.n] == '\n'));
    check(memcmp(out.p, text.p, out.n) == 0);
    buffer_free(&out);
}

/* The signing seed is the fuzzer's only in `signed_text`: here nothing may hold. */
static void notes(struct span text)
{
    static const uint8_t public_key[32] = {9};
    struct note_key key;
    struct span found, note;
    check(note_key_make(SPAN("sluis/fuzz"), public_key, &key) == 0);
    check(note_open(text, &key, &found) != 0);
    size_t left = text.n;
    while (note_next(&text, &note) == 0) {
        check(note.n > 0 && text.n < left);
        left = text.n;
    }
}

static void checkpoints(struct span text)
{
    struct checkpoint c;
    struct buffer out;
    if (checkpoint_read(text, &c) != 0)
        return;
    buffer_init(&out, TEXT_MAX);
    check(checkpoint_write(&c, &out) == 0);
    check(span_eq(buffer_span(&out), text));
    buffer_free(&out);
}

static void signed_text(struct span text)
{
    static const uint8_t seed[NOTE_SEED] = {1, 2, 3};
    struct note_key key = our_key();
    struct buffer out;
    struct span found;
    buffer_init(&out, TEXT_MAX);
    if (text.n < NOTE_MAX / 2 && note_sign(&key, seed, text, &out) == 0) {
        check(note_open(buffer_span(&out), &key, &found) == 0);
        check(span_eq(found, text));
    }
    buffer_free(&out);
}

static void line(struct span text)
{
    struct export_line parsed;
    struct buffer out;
    if (span_find(text, '\n') < text.n || export_line_read(text, &parsed) != 0)
        return;
    buffer_init(&out, TEXT_MAX);
    export_line_write(&parsed, &out);
    check(out.n == text.n + 1 && memcmp(out.p, text.p, text.n) == 0);
    buffer_free(&out);
}

/* A whole export, and as many lines as it has: never accepted, never out of bounds. */
static void export(struct span text)
{
    struct note_key key = our_key();
    struct export_check *c;
    struct export_finding f;
    struct export_report report;
    check(export_check_new(&key, &c) == 0);
    int r = 0;
    while (r == 0 && text.n) {
        size_t n = span_find(text, '\n');
        r = export_check_line(c, span_sub(text, 0, n), &f);
        text = span_from(text, n + 1);
    }
    if (r == 0)
        r = export_check_end(c, &report, &f);
    check(r == 0 ? report.shown + report.skipped == report.size : f.text[0] != '\0');
    export_check_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static void (*const targets[])(struct span) = {key_text,    notes, checkpoints,
                                                   signed_text, line,  export};
    if (n == 0 || sodium_init() < 0)
        return 0;
    targets[data[0] % 6](span_of(data + 1, n - 1));
    return 0;
}

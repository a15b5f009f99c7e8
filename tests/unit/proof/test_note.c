/* Signed notes and checkpoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sodium.h>

#include "sluis/proof.h"

/* The example key and note in the documentation of golang.org/x/mod/sumdb/note: made by others. */
static const char foreign_key[] =
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
static const char foreign_note[] =
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\xe2\x80\x94 PeterNeumann "
    "x08go/ZJkuBS9UG/"
    "SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

static const uint8_t seed[NOTE_SEED] = {7, 1};
static struct note_key key;
static struct buffer note;

static int setup(void **state)
{
    (void)state;
    buffer_init(&note, NOTE_MAX);
    return sodium_init() < 0 || note_key_of_seed(SPAN("sluis/test"), seed, &key);
}

static int teardown(void **state)
{
    (void)state;
    buffer_free(&note);
    return 0;
}

static void test_foreign(void **state)
{
    (void)state;
    struct note_key peter;
    struct span text;
    char changed[sizeof(foreign_note)];
    assert_int_equal(note_key_read(span_str(foreign_key), &peter), 0);
    assert_int_equal(note_open(span_str(foreign_note), &peter, &text), 0);
    assert_int_equal(text.n, strchr(foreign_note, '.') + 2 - foreign_note);
    for (size_t i = 0; i < sizeof(changed) - 1; i++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(changed, foreign_note, sizeof(changed));
            changed[i] = (char)(changed[i] ^ 1 << bit);
            assert_int_not_equal(note_open(span_of(changed, sizeof(changed) - 1), &peter, &text),
                                 0);
        }
    }
    assert_int_equal(note_open(span_str(foreign_note), &key, &text), SLUIS_ENOENT);
}

static void test_keys(void **state)
{
    (void)state;
    struct buffer text;
    struct note_key again;
    char fingerprint[65];
    buffer_init(&text, 1024);
    note_key_write(&key, &text);
    assert_int_equal(note_key_read(buffer_span(&text), &again), 0);
    assert_memory_equal(&again, &key, sizeof(key));
    buffer_add_char(&text, '\n');
    assert_int_equal(note_key_read(buffer_span(&text), &again), 0);
    for (size_t i = 0; i + 1 < text.n; i++) {
        text.p[i] ^= 1;
        assert_int_not_equal(note_key_read(buffer_span(&text), &again), 0);
        text.p[i] ^= 1;
        assert_int_not_equal(note_key_read(span_sub(buffer_span(&text), 0, i), &again), 0);
    }
    note_key_fingerprint(&key, fingerprint);
    assert_int_equal(strlen(fingerprint), 64);
    static const char *const bad[] = {"", "a b", "a+b", "a\"b", "a\\b", "caf\xc3\xa9", "a\nb"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(note_key_make(span_str(bad[i]), key.public_key, &again), SLUIS_EINVAL);
    buffer_free(&text);
}

static void make_checkpoint(uint64_t size, const char *extension, const char *origin)
{
    struct checkpoint c = {.size = size, .extension = span_str(extension)};
    struct buffer text;
    memcpy(c.origin, origin, strlen(origin) + 1);
    memset(c.root, 0xa5, sizeof(c.root));
    buffer_init(&text, NOTE_MAX);
    assert_int_equal(checkpoint_write(&c, &text), 0);
    buffer_clear(&note);
    assert_int_equal(note_sign(&key, seed, buffer_span(&text), &note), 0);
    buffer_free(&text);
}

static void test_checkpoint(void **state)
{
    (void)state;
    struct checkpoint c;
    make_checkpoint(12345, "time 2026-11-21T22:30:05.123Z clock synchronised\n", "sluis/test");
    assert_int_equal(checkpoint_open(buffer_span(&note), &key, &c), 0);
    assert_int_equal(c.size, 12345);
    assert_int_equal(c.root[31], 0xa5);
    assert_true(span_starts(c.extension, SPAN("time 2026")));
    for (size_t i = 0; i < note.n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            note.p[i] = (char)(note.p[i] ^ 1 << bit);
            assert_int_not_equal(checkpoint_open(buffer_span(&note), &key, &c), 0);
            note.p[i] = (char)(note.p[i] ^ 1 << bit);
        }
        assert_int_not_equal(checkpoint_open(span_sub(buffer_span(&note), 0, i), &key, &c), 0);
    }
    /* Signed, but of another log. */
    make_checkpoint(12345, "", "sluis/other");
    assert_int_equal(checkpoint_open(buffer_span(&note), &key, &c), SLUIS_EINVAL);
    /* Signed, but not a checkpoint. */
    static const char *const bad[] = {
        "sluis/test\n",
        "sluis/test\n01\npaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU=\n",
        "sluis/test\n-1\npaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU=\n",
        "sluis/test\n18446744073709551616\npaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU=\n",
        "sluis/test\n1 \npaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU=\n",
        "sluis/test\n1\npaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaV=\n",
        "sluis/test\n1\npaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpQ==\n",
        "sluis/test\n1\npaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU=\n\nx\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        buffer_clear(&note);
        assert_int_equal(note_sign(&key, seed, span_str(bad[i]), &note), 0);
        assert_int_equal(checkpoint_open(buffer_span(&note), &key, &c), SLUIS_EINVAL);
    }
    /* The control: the last root with its right spelling is one. */
    buffer_clear(&note);
    assert_int_equal(
        note_sign(&key, seed, SPAN("sluis/test\n1\npaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU=\n"),
                  &note),
        0);
    assert_int_equal(checkpoint_open(buffer_span(&note), &key, &c), 0);
}

/* Others may sign too; ours must be there and hold. */
static void test_witnesses(void **state)
{
    (void)state;
    struct checkpoint c;
    make_checkpoint(3, "", "sluis/test");
    for (int i = 0; i < NOTE_SIGNATURES_MAX - 1; i++)
        buffer_add(&note, SPAN("\xe2\x80\x94 witness.example/w AAAAAAAA\n"));
    assert_int_equal(checkpoint_open(buffer_span(&note), &key, &c), 0);
    buffer_add(&note, SPAN("\xe2\x80\x94 witness.example/w AAAAAAAA\n"));
    assert_int_equal(checkpoint_open(buffer_span(&note), &key, &c), SLUIS_EINVAL);
}

static void test_next(void **state)
{
    (void)state;
    struct buffer file;
    struct span rest, found;
    struct checkpoint c;
    buffer_init(&file, 1 << 20);
    for (uint64_t size = 1; size <= 3; size++) {
        make_checkpoint(size, "", "sluis/test");
        buffer_add(&file, buffer_span(&note));
        buffer_add_char(&file, '\n');
    }
    rest = buffer_span(&file);
    for (uint64_t size = 1; size <= 3; size++) {
        assert_int_equal(note_next(&rest, &found), 0);
        assert_int_equal(checkpoint_open(found, &key, &c), 0);
        assert_int_equal(c.size, size);
    }
    assert_int_equal(note_next(&rest, &found), SLUIS_ENOENT);
    /* The last one torn anywhere is no note. */
    size_t whole = file.n / 3 * 2;
    for (size_t n = whole + 1; n < file.n - 1; n++) {
        rest = span_sub(buffer_span(&file), whole, n);
        assert_int_equal(note_next(&rest, &found), SLUIS_EINVAL);
    }
    buffer_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_foreign),    cmocka_unit_test(test_keys),
        cmocka_unit_test(test_checkpoint), cmocka_unit_test(test_witnesses),
        cmocka_unit_test(test_next),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

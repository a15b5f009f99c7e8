/*
 * The pool against a worker that misbehaves (fake_media.c): every picture has its verdict, and what
 * does not hold is withheld. Each refusal has "clean" as its opposite.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "wire.h"
#include "sluis/base/arena.h"
#include "sluis/base/buffer.h"

static struct picture_pool *make(const char *program, const char *models, unsigned forks)
{
    struct picture_pool *pool;
    struct picture_pool_options options = {
        .program = program, .models = models, .workers = 1, .forks = forks, .wall_ms = 300};
    assert_int_equal(picture_pool_new(&options, &pool), 0);
    return pool;
}

static struct picture_verdict ask(struct picture_pool *pool, const char *word)
{
    struct picture_policy policy;
    struct picture_verdict v;
    int fd;
    picture_policy_default(&policy);
    assert_int_equal(picture_memfd(span_str(word), &fd), 0);
    picture_inspect(pool, fd, &policy, &v);
    return v;
}

static void expect(struct picture_pool *pool, const char *word, enum picture_reason reason)
{
    struct picture_verdict v = ask(pool, word);
    if (v.reason != reason)
        print_error("%s: %s\n", word, picture_reason_word(v.reason));
    assert_int_equal(v.reason, reason);
    assert_int_equal(v.outcome, reason == PICTURE_OK ? PICTURE_CLEAN : PICTURE_WITHHELD);
    assert_true((v.fd >= 0) == (reason == PICTURE_OK));
    if (reason != PICTURE_OK)
        assert_true(v.classes & 1u << PICTURE_CLASS_UNKNOWN || v.classes == 1u << 1);
    picture_verdict_free(&v);
}

static void verdicts(void **state)
{
    (void)state;
    struct picture_pool *pool = make(FAKE_MEDIA, NULL, 0);
    expect(pool, "clean", PICTURE_OK);
    expect(pool, "finding", PICTURE_OK);
    expect(pool, "withheld", PICTURE_BROKEN);
    expect(pool, "die", PICTURE_DIED);
    expect(pool, "cpu", PICTURE_LATE);
    expect(pool, "job", PICTURE_DIED);
    expect(pool, "kind", PICTURE_DIED);
    expect(pool, "judged", PICTURE_DIED);
    expect(pool, "long", PICTURE_DIED);
    expect(pool, "box", PICTURE_DIED);
    expect(pool, "empty", PICTURE_DIED);
    expect(pool, "mapped", PICTURE_DIED);
    expect(pool, "", PICTURE_NOT_PICTURE);
    expect(pool, "zygote", PICTURE_DIED); /* tried twice, under two zygotes */
    expect(pool, "clean", PICTURE_OK);
    struct picture_verdict v = ask(pool, "clean");
    static const unsigned char hash[4] = {0x91, 0xc5, 0xc3, 0x42}; /* of sha256sum */
    assert_int_equal(v.n, 11);
    assert_memory_equal(v.sha256, hash, 4);
    assert_int_equal(write(v.fd, "x", 1), -1); /* sealed */
    picture_verdict_free(&v);
    struct picture_pool_status s;
    picture_pool_status(pool, &s);
    assert_int_equal(s.starts, 3);
    assert_int_equal(s.done, 16);
    picture_pool_free(pool);
}

static void late(void **state)
{
    (void)state;
    struct picture_pool *pool = make(FAKE_MEDIA, NULL, 0);
    expect(pool, "hang", PICTURE_LATE); /* the pool's own limit: this zygote does not look */
    expect(pool, "clean", PICTURE_OK);
    picture_pool_free(pool);
}

/* A worker that dies of every picture is not started without end: after a few in a row pictures are
 * withheld at once, and later ones are looked at again. */
static void dies_again(void **state)
{
    (void)state;
    struct picture_pool *pool = make(FAKE_MEDIA, NULL, 0);
    struct picture_pool_status s;
    for (int i = 0; i < 20; i++)
        expect(pool, "zygote", PICTURE_DIED);
    picture_pool_status(pool, &s);
    assert_in_range(s.starts, 3, 12); /* 40 without a pause; one more each time a pause is over */
    struct picture_verdict v = ask(pool, "clean");
    for (int i = 0; i < 3000 && v.reason == PICTURE_DIED; i++) {
        usleep(20000);
        picture_verdict_free(&v);
        v = ask(pool, "clean");
    }
    assert_int_equal(v.reason, PICTURE_OK);
    picture_verdict_free(&v);
    picture_pool_free(pool);
}

static void replaced(void **state)
{
    (void)state;
    struct picture_pool *pool = make(FAKE_MEDIA, NULL, 3);
    struct picture_pool_status s;
    for (int i = 0; i < 7; i++)
        expect(pool, "clean", PICTURE_OK);
    picture_pool_status(pool, &s);
    assert_int_equal(s.starts, 3);
    struct detect_settings settings;
    detect_settings_default(&settings);
    settings.strict = true;
    const struct picture_detect list[] = {{7, &settings}, {7, &settings}};
    for (int i = 0; i < 2; i++) { /* the second time nothing changed */
        assert_int_equal(picture_pool_detect(pool, list, 1 + (size_t)i), 0);
        expect(pool, "clean", PICTURE_OK);
        picture_pool_status(pool, &s);
        assert_int_equal(s.starts, 4);
    }
    picture_pool_free(pool);
}

static void no_worker(void **state)
{
    (void)state;
    struct picture_pool *pool = make("/nonexistent/sluis-media", NULL, 0);
    expect(pool, "clean", PICTURE_NO_WORKER);
    expect(pool, "clean", PICTURE_NO_WORKER);
    picture_pool_free(pool);
    pool = make("/bin/true", NULL, 0);
    expect(pool, "clean", PICTURE_NO_WORKER);
    picture_pool_free(pool);
    pool = make(FAKE_MEDIA, "none", 0);
    expect(pool, "clean", PICTURE_NO_ENGINE);
    picture_pool_free(pool);
    pool = make(FAKE_MEDIA, "open", 0); /* a worker without seccomp is not used */
    expect(pool, "clean", PICTURE_NO_ENGINE);
    picture_pool_free(pool);
}

static unsigned ended;
static void count_stopped(struct picture_job *job)
{
    assert_int_equal(job->verdict.reason, PICTURE_STOPPED);
    picture_verdict_free(&job->verdict);
    ended++;
}

static void stopped(void **state)
{
    (void)state;
    struct picture_pool *pool = make(FAKE_MEDIA, NULL, 0);
    static struct picture_job jobs[PICTURE_QUEUE_MAX + 4];
    unsigned taken = 0;
    for (unsigned i = 0; i < PICTURE_QUEUE_MAX + 4; i++) {
        jobs[i] = (struct picture_job){.done = count_stopped};
        assert_int_equal(picture_memfd(SPAN("hang"), &jobs[i].in), 0);
        if (picture_submit(pool, &jobs[i]) == 0)
            taken++;
        else
            close(jobs[i].in);
    }
    assert_in_range(taken, PICTURE_QUEUE_MAX, PICTURE_QUEUE_MAX + 1);
    picture_pool_free(pool);
    assert_int_equal(ended, taken);
}

static void refused_input(void **state)
{
    (void)state;
    struct picture_pool *pool = make(FAKE_MEDIA, NULL, 0);
    struct picture_job job = {.done = count_stopped, .in = open("/dev/null", O_RDONLY)};
    assert_int_equal(picture_submit(pool, &job), SLUIS_EINVAL); /* not a memfd */
    close(job.in);
    picture_pool_free(pool);
}

static void settings_pass(void **state)
{
    (void)state;
    static const char *const patterns[] = {"K[0-9]{6}", "L[0-9]{6}"};
    static const char *const words[] = {"klantnummer"};
    struct detect_own own = {.name = "klant",
                             .patterns = patterns,
                             .pattern_count = 2,
                             .validator = "none",
                             .context = words,
                             .context_count = 1,
                             .score = 400};
    struct detect_settings in, out;
    detect_settings_default(&in);
    in.own = &own;
    in.own_count = 1;
    in.strict = true;
    struct buffer bytes;
    struct arena arena;
    buffer_init(&bytes, WIRE_SETTINGS_MAX);
    arena_init(&arena, WIRE_SETTINGS_MAX * 16);
    assert_int_equal(wire_settings_write(&in, &bytes), 0);
    assert_int_equal(wire_settings_read(buffer_span(&bytes), &arena, &out), 0);
    assert_memory_equal(in.from, out.from, sizeof in.from);
    assert_true(out.strict);
    assert_int_equal(out.own_count, 1);
    assert_string_equal(out.own[0].patterns[1], "L[0-9]{6}");
    assert_string_equal(out.own[0].context[0], "klantnummer");
    assert_int_equal(out.own[0].counter_count, 0);
    for (size_t n = 0; n < bytes.n; n++) /* cut anywhere: refused */
        assert_int_not_equal(wire_settings_read(span_of(bytes.p, n), &arena, &out), 0);
    arena_free(&arena);
    buffer_free(&bytes);
}

/* Several policies' settings, by key; cut anywhere the list is refused. */
static void settings_by_key(void **state)
{
    (void)state;
    struct detect_settings a, b, out;
    struct buffer bytes;
    struct arena arena;
    uint64_t key;
    detect_settings_default(&a);
    b = a;
    b.from[DETECT_IBAN] = 123;
    buffer_init(&bytes, WIRE_SETTINGS_MAX);
    arena_init(&arena, WIRE_SETTINGS_MAX);
    assert_int_equal(wire_detect_add(UINT64_C(0x1122334455667788), &a, &bytes), 0);
    assert_int_equal(wire_detect_add(9, &b, &bytes), 0);
    struct span list = buffer_span(&bytes);
    assert_int_equal(wire_detect_next(&list, &arena, &key, &out), 0);
    assert_true(key == UINT64_C(0x1122334455667788));
    assert_int_equal(out.from[DETECT_IBAN], a.from[DETECT_IBAN]);
    size_t first = bytes.n - list.n;
    assert_int_equal(wire_detect_next(&list, &arena, &key, &out), 0);
    assert_int_equal(key, 9);
    assert_int_equal(out.from[DETECT_IBAN], 123);
    assert_int_equal(wire_detect_next(&list, &arena, &key, &out), SLUIS_ENOENT);
    for (size_t n = first + 1; n < bytes.n; n++) {
        list = span_sub(buffer_span(&bytes), first, n);
        assert_int_equal(wire_detect_next(&list, &arena, &key, &out), SLUIS_EINVAL);
    }
    arena_free(&arena);
    buffer_free(&bytes);
}

/* More policies than a worker holds: refused, and those before stay in force. */
static void too_many_settings(void **state)
{
    (void)state;
    struct picture_pool *pool = make(FAKE_MEDIA, NULL, 0);
    struct picture_detect list[PICTURE_DETECT_MAX + 1];
    struct detect_settings settings;
    struct picture_pool_status s;
    detect_settings_default(&settings);
    for (size_t i = 0; i < PICTURE_DETECT_MAX + 1; i++)
        list[i] = (struct picture_detect){i + 1, &settings};
    expect(pool, "clean", PICTURE_OK);
    assert_int_equal(picture_pool_detect(pool, list, PICTURE_DETECT_MAX + 1), SLUIS_ELIMIT);
    expect(pool, "clean", PICTURE_OK);
    picture_pool_status(pool, &s);
    assert_int_equal(s.starts, 1);
    assert_int_equal(picture_pool_detect(pool, list, PICTURE_DETECT_MAX), 0);
    picture_pool_free(pool);
}

static void lines(void **state)
{
    (void)state;
    assert_true(span_is(picture_line(PICTURE_REDACTED, 1u << PICTURE_CLASS_CARD),
                        "[foto: bankpas afgeschermd]"));
    assert_true(span_is(picture_line(PICTURE_WITHHELD, 1u << PICTURE_CLASS_MRZ),
                        "[foto: identiteitsbewijs niet doorgegeven]"));
    assert_true(span_is(picture_line(PICTURE_WITHHELD, 1u << PICTURE_CLASS_UNKNOWN),
                        "[foto: kon niet worden gecontroleerd]"));
    assert_int_equal(picture_line(PICTURE_CLEAN, 1u << PICTURE_CLASS_CLEAN).n, 0);
    assert_non_null(strstr(picture_engine_cost(PICTURE_ENGINE_TESSERACT), "misses 7"));
    assert_string_equal(picture_engine_cost(PICTURE_ENGINE_PPOCR), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),        cmocka_unit_test(late),
        cmocka_unit_test(dies_again),      cmocka_unit_test(replaced),
        cmocka_unit_test(no_worker),       cmocka_unit_test(stopped),
        cmocka_unit_test(refused_input),   cmocka_unit_test(settings_pass),
        cmocka_unit_test(settings_by_key), cmocka_unit_test(too_many_settings),
        cmocka_unit_test(lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

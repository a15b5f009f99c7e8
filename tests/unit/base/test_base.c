/* Unit tests of base's small parts: span, buffer, arena, encode, utf8, clock, mailbox, counters,
 * log. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "sluis/base/arena.h"
#include "sluis/base/buffer.h"
#include "sluis/base/clock.h"
#include "sluis/base/counters.h"
#include "sluis/base/diag.h"
#include "sluis/base/encode.h"
#include "sluis/base/log.h"
#include "sluis/base/mailbox.h"
#include "sluis/base/utf8.h"

static void test_span(void **state)
{
    (void)state;
    uint64_t v = 7;
    assert_int_equal(span_u64(SPAN("18446744073709551615"), &v), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(span_u64(SPAN("18446744073709551616"), &v), SLUIS_EINVAL);
    assert_int_equal(span_u64(SPAN(""), &v), SLUIS_EINVAL);
    assert_int_equal(span_u64(SPAN("+1"), &v), SLUIS_EINVAL);
    assert_true(span_eq_nocase(SPAN("Content-Length"), SPAN("cOnTENT-lENGTH")));
    assert_false(span_eq_nocase(SPAN("a"), SPAN("ab")));
    assert_false(span_eq_nocase(SPAN("@"), SPAN("`"))); /* 32 apart, no letters */
    assert_true(span_eq_secret(SPAN("geheim"), SPAN("geheim")));
    assert_false(span_eq_secret(SPAN("geheim"), SPAN("geheiM")));
    assert_int_equal(span_find(SPAN("abc"), 'c'), 2);
    assert_int_equal(span_find(SPAN("abc"), 'x'), 3);
    assert_true(span_eq(span_sub(SPAN("abcdef"), 2, 99), SPAN("cdef")));
    assert_int_equal(span_sub(SPAN("abc"), 3, 2).n, 0);
}

static void test_buffer(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 20);
    buffer_add(&b, SPAN("abc"));
    buffer_add_u64(&b, 0);
    buffer_add_i64(&b, INT64_MIN + 9223372036854775800LL);
    buffer_add_hex(&b, SPAN("\x00\xff"));
    assert_true(span_eq(buffer_span(&b), SPAN("abc0-800ff")));
    buffer_drop(&b, 3);
    assert_true(span_eq(buffer_span(&b), SPAN("0-800ff")));
    buffer_add(&b, SPAN("123456789012345"));
    assert_int_equal(b.error, SLUIS_ELIMIT);
    buffer_add(&b, SPAN("x")); /* sticky */
    assert_int_equal(b.n, 7);
    buffer_clear(&b);
    buffer_addf(&b, "%d-%s", 12, "ab");
    assert_int_equal(b.error, 0);
    assert_true(span_eq(buffer_span(&b), SPAN("12-ab")));
    buffer_free(&b);
}

static void test_arena(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 100 * 1024);
    char *p = arena_try(&a, 1);
    char *q = arena_try(&a, 50 * 1024);
    assert_non_null(p);
    assert_non_null(q);
    assert_int_equal((uintptr_t)q % 16, 0);
    memset(q, 'x', 50 * 1024);
    assert_null(arena_try(&a, 60 * 1024)); /* over the cap */
    struct span s;
    assert_int_equal(arena_try_copy(&a, SPAN("hallo"), &s), 0);
    assert_true(span_is(s, "hallo"));
    assert_int_equal(s.p[5], 0);
    arena_reset(&a);
    assert_int_equal(a.used, 0);
    assert_non_null(arena_try(&a, 90 * 1024));
    arena_free(&a);
}

static void test_encode(void **state)
{
    (void)state;
    /* RFC 4648 section 10 */
    static const struct {
        const char *plain, *code;
    } vectors[] = {{"", ""},
                   {"f", "Zg=="},
                   {"fo", "Zm8="},
                   {"foo", "Zm9v"},
                   {"foob", "Zm9vYg=="},
                   {"fooba", "Zm9vYmE="},
                   {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char out[16];
        uint8_t back[16];
        base64_encode((const uint8_t *)vectors[i].plain, strlen(vectors[i].plain), out);
        assert_string_equal(out, vectors[i].code);
        long n = base64_decode(span_str(out), back, sizeof(back));
        assert_int_equal(n, (long)strlen(vectors[i].plain));
        assert_memory_equal(back, vectors[i].plain, (size_t)n);
    }
    uint8_t raw[8];
    assert_int_equal(base64_decode(SPAN("Zh=="), raw, 8), SLUIS_EINVAL); /* trailing bits */
    assert_int_equal(base64_decode(SPAN("Zg="), raw, 8), SLUIS_EINVAL);
    assert_int_equal(base64_decode(SPAN("Z==="), raw, 8), SLUIS_EINVAL);
    assert_int_equal(base64_decode(SPAN("Zm9vYmFy"), raw, 5), SLUIS_ELIMIT);
    assert_int_equal(base64url_decode(SPAN("-_8"), raw, 8), 2);
    assert_int_equal(raw[0], 0xfb);
    assert_int_equal(hex_decode_lower(SPAN("00ff"), raw, 2), 0);
    assert_int_equal(hex_decode_lower(SPAN("00FF"), raw, 2), SLUIS_EINVAL);
    uint8_t be[8];
    be64_put(be, 0x0102030405060708ull);
    assert_int_equal(be[0], 1);
    assert_true(be64_get(be) == 0x0102030405060708ull);
}

static void test_utf8(void **state)
{
    (void)state;
    assert_true(utf8_valid(SPAN("caf\xc3\xa9 \xf0\x9f\x91\x8d")));
    static const char *const bad[] = {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xe2\x82", "\x80",         "\xf8\x88\x80\x80\x80"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(utf8_valid(span_str(bad[i])));
    for (uint32_t v = 0; v <= 0x10ffff; v++) {
        char raw[4];
        uint32_t back = 0;
        unsigned n = utf8_encode(v, raw);
        assert_int_equal(utf8_decode(span_of(raw, n), &back), n);
        assert_true(back == (v >= 0xd800 && v <= 0xdfff ? 0xfffd : v));
    }
    assert_int_equal(utf8_count(SPAN("caf\xc3\xa9")), 4);
}

static void test_clock(void **state)
{
    (void)state;
    char out[CLOCK_RFC3339_SIZE];
    clock_rfc3339(1749416383123, out);
    assert_string_equal(out, "2025-06-08T20:59:43.123Z");
    int64_t before = clock_wall_ms();
    clock_test_shift(3600000);
    assert_true(clock_wall_ms() - before >= 3600000);
    clock_test_shift(-3600000);
}

struct counted {
    struct mail mail;
    int sender, n;
};
#define SENDERS 4
#define MAILS 20000
static int seen[SENDERS];
static int total;

static void on_counted(struct mail *mail)
{
    struct counted *c = (struct counted *)mail;
    assert_int_equal(c->n, seen[c->sender]); /* in order per sender */
    seen[c->sender]++;
    total++;
    free(c);
}

struct sender {
    struct mailbox *box;
    int index;
};

static void *send_all(void *arg)
{
    struct sender *s = arg;
    for (int i = 0; i < MAILS; i++) {
        struct counted *c = malloc(sizeof(*c));
        assert_non_null(c);
        c->sender = s->index;
        c->n = i;
        mailbox_send(s->box, &c->mail, on_counted);
    }
    return NULL;
}

static void test_mailbox(void **state)
{
    (void)state;
    struct mailbox *box;
    assert_int_equal(mailbox_new(&box), 0);
    pthread_t threads[SENDERS];
    struct sender senders[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){box, i};
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    while (total < SENDERS * MAILS)
        mailbox_drain(box, 64);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(total, SENDERS * MAILS);
    mailbox_free(box);
}

static void test_counters(void **state)
{
    (void)state;
    static struct counter table[] = {
        {"sluis_test_a_total", "k=\"1\"", "A", COUNTER_TOTAL, 0},
        {"sluis_test_b", NULL, "B", COUNTER_GAUGE, 0},
        {"sluis_test_a_total", "k=\"2\"", "A", COUNTER_TOTAL, 0},
    };
    assert_int_equal(counters_register(table, 3), 0);
    counter_add(&table[0], 5);
    counter_set(&table[1], -3);
    struct buffer out;
    buffer_init(&out, 4096);
    counters_write(&out);
    buffer_add_char(&out, '\0');
    assert_string_equal(out.p,
                        "# HELP sluis_test_a_total A\n# TYPE sluis_test_a_total counter\n"
                        "sluis_test_a_total{k=\"1\"} 5\nsluis_test_a_total{k=\"2\"} 0\n"
                        "# HELP sluis_test_b B\n# TYPE sluis_test_b gauge\nsluis_test_b -3\n");
    buffer_free(&out);
    counters_unregister(table);
}

static void test_log(void **state)
{
    (void)state;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    log_configure(LOG_INFO, LOG_KEY_VALUE, pipes[1]);
    LOG(LOG_WARN, "http", "refused", log_u64("conn", 17), log_word("reason", "a b\n\"c"));
    LOG(LOG_DEBUG, "http", "hidden", log_u64("conn", 1));
    log_configure(LOG_INFO, LOG_JSON, pipes[1]);
    LOG(LOG_ALARM, "store", "full", log_i64("n", -1), log_error(SLUIS_EFULL));
    log_configure(LOG_INFO, LOG_KEY_VALUE, STDERR_FILENO);
    char text[1024];
    ssize_t n = read(pipes[0], text, sizeof(text) - 1);
    assert_true(n > 0);
    text[n] = '\0';
    assert_non_null(strstr(text, " level=warn room=http event=refused conn=17 "
                                 "reason=\"a b\\x0a\\\"c\"\n"));
    assert_non_null(strstr(text,
                           "\"level\":\"alarm\",\"room\":\"store\",\"event\":\"full\",\"n\":-1,"
                           "\"error\":\"full\"}\n"));
    assert_null(strstr(text, "hidden"));
    close(pipes[0]);
    close(pipes[1]);
    struct diag d;
    char line[DIAG_FILE_MAX + DIAG_TEXT_MAX];
    diag_set(&d, "sluis.yaml", 3, 7, "unknown key \"%s\"", "lisners");
    assert_string_equal(diag_line(&d, line, sizeof(line)),
                        "sluis.yaml:3:7: unknown key \"lisners\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_span),    cmocka_unit_test(test_buffer),
        cmocka_unit_test(test_arena),   cmocka_unit_test(test_encode),
        cmocka_unit_test(test_utf8),    cmocka_unit_test(test_clock),
        cmocka_unit_test(test_mailbox), cmocka_unit_test(test_counters),
        cmocka_unit_test(test_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Destruction records. With --print it writes one for check_destruction.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "sluis/retention.h"

#define AT 1795300205123

static struct retention_destruction example(void)
{
    return (struct retention_destruction){.cls = "original/86400/max/hour",
                                          .category = "Selectielijst \"2020\" \\ caf\303\251",
                                          .ground = "Wabb art. 10",
                                          .reason = "expired",
                                          .from_ms = AT - 3600000,
                                          .to_ms = AT,
                                          .messages = 1234,
                                          .subjects = 56,
                                          .generation = 7,
                                          .policy_hash = "0123456789abcdef0123456789abcdef",
                                          .at_ms = AT};
}

static void keys(uint8_t public_key[32], uint8_t secret_key[64])
{
    const uint8_t seed[32] = {1, 2, 3};
    assert_int_equal(crypto_sign_seed_keypair(public_key, secret_key, seed), 0);
}

static void written(void **state)
{
    (void)state;
    uint8_t public_key[32], secret_key[64];
    struct retention_destruction d = example();
    struct buffer out;
    struct span record;
    keys(public_key, secret_key);
    buffer_init(&out, 8192);
    assert_int_equal(retention_destruction_write(&d, secret_key, &out), 0);
    assert_int_equal(retention_destruction_verify(buffer_span(&out), public_key, &record), 0);
    assert_true(span_is(record, "{\"category\":\"Selectielijst \\\"2020\\\" \\\\ caf\303\251\","
                                "\"class\":\"original/86400/max/hour\","
                                "\"from\":\"2026-11-21T21:30:05.123Z\",\"generation\":7,"
                                "\"ground\":\"Wabb art. 10\",\"messages\":1234,"
                                "\"policy_hash\":\"0123456789abcdef\",\"reason\":\"expired\","
                                "\"subjects\":56,\"time\":\"2026-11-21T22:30:05.123Z\","
                                "\"to\":\"2026-11-21T22:30:05.123Z\",\"v\":1}"));
    buffer_free(&out);
}

static void changed(void **state)
{
    (void)state;
    uint8_t public_key[32], secret_key[64], other_public[32], other_secret[64];
    struct retention_destruction d = example();
    struct buffer out;
    struct span record;
    keys(public_key, secret_key);
    crypto_sign_keypair(other_public, other_secret);
    buffer_init(&out, 8192);
    assert_int_equal(retention_destruction_write(&d, secret_key, &out), 0);
    assert_int_equal(retention_destruction_verify(buffer_span(&out), other_public, &record),
                     SLUIS_ECRYPTO);
    for (size_t i = 0; i < out.n; i++) {
        out.p[i] = (char)(out.p[i] ^ 1);
        int result = retention_destruction_verify(buffer_span(&out), public_key, &record);
        assert_true(result == SLUIS_EINVAL || result == SLUIS_ECRYPTO);
        out.p[i] = (char)(out.p[i] ^ 1);
    }
    for (size_t n = 0; n < out.n; n++)
        assert_int_not_equal(retention_destruction_verify(span_of(out.p, n), public_key, &record),
                             0);
    buffer_add_char(&out, ' ');
    assert_int_not_equal(retention_destruction_verify(buffer_span(&out), public_key, &record), 0);
    buffer_free(&out);
}

static int write_of(struct retention_destruction d)
{
    uint8_t public_key[32], secret_key[64];
    struct buffer out;
    keys(public_key, secret_key);
    buffer_init(&out, 8192);
    int result = retention_destruction_write(&d, secret_key, &out);
    assert_int_equal(out.n > 0, result == 0);
    buffer_free(&out);
    return result;
}

static void refused(void **state)
{
    (void)state;
    char longest[RETENTION_TEXT_MAX + 2];
    struct retention_destruction d = example();
    memset(longest, 'x', sizeof(longest));
    longest[RETENTION_TEXT_MAX] = '\0';
    d.cls = d.category = d.ground = d.reason = longest;
    assert_int_equal(write_of(d), 0);
    longest[RETENTION_TEXT_MAX] = 'x';
    longest[RETENTION_TEXT_MAX + 1] = '\0';
    assert_int_equal(write_of(d), SLUIS_EINVAL);
    static const char *const bad[] = {"a\nb", "a\033b", "a\342\200\256b", "a\377", "\302\205"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        d = example();
        d.ground = bad[i];
        assert_int_equal(write_of(d), SLUIS_EINVAL);
    }
    d = example();
    d.reason = NULL;
    assert_int_equal(write_of(d), SLUIS_EINVAL);
    d = example();
    d.policy_hash = "short";
    assert_int_equal(write_of(d), SLUIS_EINVAL);
    d = example();
    d.from_ms = d.to_ms + 1;
    assert_int_equal(write_of(d), SLUIS_EINVAL);
    d = example();
    d.to_ms = d.at_ms + 1; /* cannot have been destroyed yet */
    assert_int_equal(write_of(d), SLUIS_EINVAL);
    d = example();
    d.from_ms = -1;
    assert_int_equal(write_of(d), SLUIS_EINVAL);
    d = example();
    d.messages = 1ull << 53;
    assert_int_equal(write_of(d), SLUIS_EINVAL);
}

int main(int argc, char **argv)
{
    if (sodium_init() < 0)
        return 1;
    if (argc == 2 && strcmp(argv[1], "--print") == 0) {
        uint8_t public_key[32], secret_key[64];
        struct retention_destruction d = example();
        struct buffer out;
        const uint8_t seed[32] = {1, 2, 3};
        buffer_init(&out, 8192);
        crypto_sign_seed_keypair(public_key, secret_key, seed);
        if (retention_destruction_write(&d, secret_key, &out) != 0)
            return 1;
        fwrite(out.p, 1, out.n, stdout);
        buffer_free(&out);
        return 0;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(written), cmocka_unit_test(changed),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

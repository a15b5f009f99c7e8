/* The resolver with look-ups that a test controls, and once with the system's. */
#include "../../../proxy/net/resolver_private.h"
#include "net_help.h"
#include "sluis/base/clock.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the headers that it needs */
#include <cmocka.h>

struct fake {
    _Atomic(const char *) answer; /* addresses separated by blanks; NULL: fails */
    atomic_int calls, running, most_running;
    atomic_int delay_ms;
};

static int lookup(const char *host, struct sockaddr_storage *out, unsigned most, void *ctx)
{
    struct fake *fake = ctx;
    unsigned n = 0;
    char text[512], *save = NULL;
    (void)host;
    int running = atomic_fetch_add(&fake->running, 1) + 1;
    if (running > atomic_load(&fake->most_running))
        atomic_store(&fake->most_running, running);
    sleep_ms(atomic_load(&fake->delay_ms));
    const char *answer = atomic_load(&fake->answer);
    if (answer) {
        snprintf(text, sizeof(text), "%s", answer);
        for (char *t = strtok_r(text, " ", &save); t && n < most; t = strtok_r(NULL, " ", &save))
            n += resolver_numeric(t, &out[n]) ? 1 : 0;
    }
    atomic_fetch_sub(&fake->running, 1);
    atomic_fetch_add(&fake->calls, 1);
    return n ? (int)n : SLUIS_ENOENT;
}

/* What is known once the first look-up is over. */
static int settled(struct resolver *r, const char *host, struct sockaddr_storage *out)
{
    for (int i = 0; i < 12000; i++) {
        int n = resolver_get(r, host, false, out, RESOLVER_ADDRESSES_MAX);
        if (n != SLUIS_EAGAIN)
            return n;
        sleep_ms(5);
    }
    return SLUIS_EAGAIN;
}

static const char *text_of(const struct sockaddr_storage *a)
{
    static char text[64];
    if (a->ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, text, sizeof(text));
    else
        inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, text, sizeof(text));
    return text;
}

static void refused_addresses(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "198.19.255.255",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "64:ff9b::a00:1",
        "64:ff9b::7f00:1",
        "2002:a00:1::1",
        "2002:7f00:1::",
        "2001:db8::1",
        "2001::1",
        "100::1",
    };
    static const char *const allowed[] = {
        "1.1.1.1",         "9.255.255.255", "11.0.0.0",        "100.63.255.255", "100.128.0.0",
        "126.255.255.255", "128.0.0.1",     "169.253.255.255", "172.15.255.255", "172.32.0.0",
        "192.167.255.255", "192.169.0.0",   "198.17.255.255",  "198.20.0.0",     "223.255.255.255",
        "157.240.1.1",     "2a03:2880::1",  "2606:4700::1",    "::ffff:1.1.1.1", "64:ff9b::101:101",
        "2002:101:101::1",
    };
    struct sockaddr_storage a;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_true(resolver_numeric(refused[i], &a));
        if (!resolver_is_private(&a))
            fail_msg("%s is not refused", refused[i]);
    }
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        assert_true(resolver_numeric(allowed[i], &a));
        if (resolver_is_private(&a))
            fail_msg("%s is refused", allowed[i]);
    }
}

static void private_needs_leave(void **state)
{
    (void)state;
    struct fake fake = {.answer = "10.0.0.5 fd00::1"};
    struct sockaddr_storage a[RESOLVER_ADDRESSES_MAX];
    struct resolver *r;
    assert_int_equal(resolver_new_with(lookup, &fake, &r), 0);
    assert_int_equal(resolver_add(r, "intern"), 0);
    assert_int_equal(settled(r, "intern", a), SLUIS_EDENIED);
    /* The leave of one caller is not another's, in whatever order they ask. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(resolver_get(r, "intern", true, a, RESOLVER_ADDRESSES_MAX), 2);
        assert_string_equal(text_of(&a[0]), "10.0.0.5");
        assert_int_equal(resolver_add(r, "intern"), 0);
        assert_int_equal(resolver_get(r, "intern", false, a, 1), SLUIS_EDENIED);
    }
    assert_int_equal(atomic_load(&fake.calls), 1);
    /* Mixed: only what may be used is given. */
    atomic_store(&fake.answer, "127.0.0.1 157.240.1.1 ::1");
    assert_int_equal(settled(r, "mixed", a), 1); /* nobody added it */
    assert_string_equal(text_of(&a[0]), "157.240.1.1");
    assert_int_equal(resolver_get(r, "mixed", true, a, RESOLVER_ADDRESSES_MAX), 3);
    /* Numeric hosts, added or not. */
    static const char *const inside[] = {"127.0.0.1", "169.254.169.254", "::1", "fe80::1"};
    for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
        assert_int_equal(resolver_get(r, inside[i], false, a, 1), SLUIS_EDENIED);
        assert_int_equal(resolver_add(r, inside[i]), 0);
        assert_int_equal(resolver_get(r, inside[i], false, a, 1), SLUIS_EDENIED);
        assert_int_equal(resolver_get(r, inside[i], true, a, 1), 1);
    }
    assert_int_equal(resolver_get(r, "157.240.1.1", false, a, 1), 1);
    resolver_free(r);
    sleep_ms(50);
}

/* The look-up's answer is put away a moment after it ended. */
static bool comes(struct resolver *r, int wanted, const char *text)
{
    struct sockaddr_storage a = {0};
    for (int i = 0; i < 6000; i++) {
        if (resolver_get(r, "host", false, &a, 1) == wanted &&
            (!text || strcmp(text_of(&a), text) == 0))
            return true;
        sleep_ms(10);
    }
    return false;
}

/* Wakes the threads (they sleep by the real clock) and waits for a look-up to end. */
static void turn(struct resolver *r, struct fake *fake, int64_t shift_ms)
{
    int before = atomic_load(&fake->calls);
    clock_test_shift(shift_ms);
    assert_int_equal(resolver_add(r, "host"), 0);
    for (int i = 0; i < 12000 && atomic_load(&fake->calls) == before; i++)
        sleep_ms(5);
    assert_int_not_equal(atomic_load(&fake->calls), before);
    sleep_ms(20);
}

static void refreshed_and_last_good(void **state)
{
    (void)state;
    static struct fake fake = {.answer = "157.240.1.1"}; /* threads may outlive the test */
    struct sockaddr_storage a[RESOLVER_ADDRESSES_MAX];
    struct resolver *r;
    assert_int_equal(resolver_new_with(lookup, &fake, &r), 0);
    assert_int_equal(resolver_add(r, "host"), 0);
    assert_int_equal(settled(r, "host", a), 1);
    assert_int_equal(atomic_load(&fake.calls), 1);
    /* Asking does not look up. */
    for (int i = 0; i < 100; i++)
        assert_int_equal(resolver_get(r, "host", false, a, 1), 1);
    assert_int_equal(atomic_load(&fake.calls), 1);
    /* A minute later it is looked up ahead of need, and a change is seen. */
    atomic_store(&fake.answer, "157.240.1.2");
    turn(r, &fake, 61 * 1000);
    assert_true(comes(r, 1, "157.240.1.2"));
    /* Look-ups fail: the last good answer serves for an hour, no longer. */
    atomic_store(&fake.answer, NULL);
    turn(r, &fake, 61 * 1000);
    assert_int_equal(resolver_get(r, "host", false, a, 1), 1);
    turn(r, &fake, 55 * 60 * 1000);
    assert_int_equal(resolver_get(r, "host", false, a, 1), 1);
    turn(r, &fake, 6 * 60 * 1000);
    assert_true(comes(r, SLUIS_ENOENT, NULL));
    /* And back. */
    atomic_store(&fake.answer, "157.240.1.3");
    turn(r, &fake, 10 * 1000);
    assert_true(comes(r, 1, "157.240.1.3"));
    /* It moves to an inside address: refused at once, last good or not. */
    atomic_store(&fake.answer, "127.0.0.1");
    turn(r, &fake, 61 * 1000);
    assert_true(comes(r, SLUIS_EDENIED, NULL));
    resolver_free(r);
    sleep_ms(50);
}

static void failing_and_bounded(void **state)
{
    (void)state;
    static struct fake fake = {.answer = NULL, .delay_ms = 30}; /* threads outlive the test */
    struct sockaddr_storage a[RESOLVER_ADDRESSES_MAX];
    struct resolver *r;
    char name[16];
    assert_int_equal(resolver_new_with(lookup, &fake, &r), 0);
    assert_int_equal(resolver_get(r, "slow", false, a, 1), SLUIS_EAGAIN); /* never blocks */
    /* The same host is asked for once at a time, however often it is wanted. */
    for (int i = 0; i < 10; i++)
        assert_int_equal(resolver_add(r, "slow"), 0);
    assert_int_equal(settled(r, "slow", a), SLUIS_ENOENT);
    assert_int_equal(atomic_load(&fake.most_running), 1);
    for (unsigned i = 1; i < RESOLVER_HOSTS_MAX; i++) {
        snprintf(name, sizeof(name), "h%u", i);
        assert_int_equal(resolver_add(r, name), 0);
    }
    assert_int_equal(resolver_add(r, "one-more"), SLUIS_ELIMIT);
    assert_int_equal(resolver_get(r, "one-more", false, a, 1), SLUIS_ELIMIT);
    /* Freed while look-ups run: the threads see to the rest. */
    resolver_free(r);
    for (int i = 0; i < 6000 && atomic_load(&fake.running) > 0; i++)
        sleep_ms(10);
    assert_int_equal(atomic_load(&fake.running), 0);
}

static void of_the_system(void **state)
{
    (void)state;
    struct sockaddr_storage a[RESOLVER_ADDRESSES_MAX];
    struct resolver *r;
    assert_int_equal(resolver_new(&r), 0);
    assert_int_equal(resolver_add(r, "localhost"), 0);
    assert_int_equal(settled(r, "localhost", a), SLUIS_EDENIED);
    assert_true(resolver_get(r, "localhost", true, a, 1) == 1);
    resolver_free(r);
    sleep_ms(50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_addresses),       cmocka_unit_test(private_needs_leave),
        cmocka_unit_test(refreshed_and_last_good), cmocka_unit_test(failing_and_bounded),
        cmocka_unit_test(of_the_system),
    };
    cmocka_set_test_filter(getenv("SLUIS_TEST"));
    return cmocka_run_group_tests_name("net_resolver", tests, NULL, NULL);
}

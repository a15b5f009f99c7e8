/* The log as it is read in the Netherlands: times on both sides of a change of the clock, filters
 * given as a clock shows them, words of outcomes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "internal.h"
#include "sluis/history.h"

/* A leaf's time in UTC as the page shows it. */
static void shows(const char *utc, const char *local)
{
    struct buffer out;
    int64_t ms;
    buffer_init(&out, 100);
    assert_true(history_time(span_str(utc), &ms));
    log_local_time(&out, ms);
    if (!span_is(buffer_span(&out), local))
        fail_msg("%s is %.*s, not %s", utc, (int)out.n, out.p, local);
    buffer_free(&out);
}

static void test_shown(void **state)
{
    (void)state;
    shows("2026-03-29T00:59:59Z", "2026-03-29 01:59:59 (CET)");
    shows("2026-03-29T01:00:00Z", "2026-03-29 03:00:00 (CEST)");
    shows("2026-10-25T00:59:59Z", "2026-10-25 02:59:59 (CEST)");
    shows("2026-10-25T01:00:00Z", "2026-10-25 02:00:00 (CET)");
    shows("2026-10-25T01:59:59Z", "2026-10-25 02:59:59 (CET)");
    shows("2026-12-31T23:30:00Z", "2027-01-01 00:30:00 (CET)");
    shows("2026-06-30T22:00:00Z", "2026-07-01 00:00:00 (CEST)");
}

static void reads(const char *local, bool end, const char *utc)
{
    char found[CLOCK_RFC3339_SIZE];
    int64_t ms;
    if (!log_local_read(span_str(local), end, &ms)) {
        if (utc)
            fail_msg("%s is not read", local);
        return;
    }
    clock_rfc3339(ms, found);
    found[19] = '\0';
    if (!utc || strcmp(found, utc) != 0)
        fail_msg("%s (%s) is read as %s, not %s", local, end ? "until" : "since", found,
                 utc ? utc : "refused");
}

static void test_read(void **state)
{
    (void)state;
    for (int end = 0; end < 2; end++) {
        reads("2026-11-22 14:30", end, "2026-11-22T13:30:00");
        reads("2026-07-22 14:30:05", end, "2026-07-22T12:30:05");
        reads("2026-03-29 01:59", end, "2026-03-29T00:59:00");
        reads("2026-03-29 02:30", end, "2026-03-29T01:30:00"); /* no clock showed it: 03:30 CEST */
        reads("2026-03-29 03:00", end, "2026-03-29T01:00:00");
        reads("2026-10-25 01:59", end, "2026-10-24T23:59:00");
        reads("2026-10-25 03:00", end, "2026-10-25T02:00:00");
        /* Copied from the page: which of both hours is said. */
        reads("2026-10-25 02:30:00 (CEST)", end, "2026-10-25T00:30:00");
        reads("2026-10-25 02:30:00 (CET)", end, "2026-10-25T01:30:00");
        reads("2026-10-25 02:30 (UTC)", end, NULL);
        reads("2026-10-25 02:61", end, NULL);
        reads("2026-10-25T02:30", end, NULL); /* is UTC */
        reads("2026-10-25 2:30", end, NULL);
        reads("2026-10-25", end, NULL);
        reads("", end, NULL);
    }
    /* The hour that comes twice: a period in it holds both. */
    reads("2026-10-25 02:30", false, "2026-10-25T00:30:00");
    reads("2026-10-25 02:30", true, "2026-10-25T01:30:00");
    reads("2026-10-25 02:00", false, "2026-10-25T00:00:00");
    reads("2026-10-25 02:59:59", true, "2026-10-25T01:59:59");
}

static void test_outcomes(void **state)
{
    (void)state;
    static const char *const some[] = {"delivered", "accepted", "shown",      "break_glass",
                                       "no_right",  "erased",   "signed_out", "read"};
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++)
        assert_non_null(log_outcome_dutch(span_str(some[i])));
    assert_null(log_outcome_dutch(SPAN("nonsense")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shown),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_outcomes),
    };
    return cmocka_run_group_tests_name("admin-words", tests, NULL, NULL);
}

/* Buckets against the C library's own calendar. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <time.h>

#include "calendar.h"

static void months_as_gmtime(void **state)
{
    (void)state;
    /* every day for two centuries, at its first, a middle and its last millisecond */
    for (int64_t day = 0; day < 200 * 366; day++) {
        const int64_t moments[] = {day * DAY_MS, day * DAY_MS + 12345678, (day + 1) * DAY_MS - 1};
        time_t t = (time_t)(day * 86400);
        struct tm tm;
        gmtime_r(&t, &tm);
        int64_t want = (tm.tm_year - 70) * 12 + tm.tm_mon;
        for (int i = 0; i < 3; i++)
            assert_int_equal(calendar_bucket(WIDTH_MONTH, moments[i]), want);
        if (tm.tm_mday == 1)
            assert_int_equal(calendar_start(WIDTH_MONTH, want), day * DAY_MS);
    }
}

static void start_and_bucket_agree(void **state)
{
    (void)state;
    for (int width = 0; width < WIDTHS; width++) {
        for (int64_t bucket = 0; bucket < 3000; bucket++) {
            int64_t start = calendar_start((enum bucket_width)width, bucket);
            assert_int_equal(calendar_bucket((enum bucket_width)width, start), bucket);
            if (start > 0)
                assert_int_equal(calendar_bucket((enum bucket_width)width, start - 1), bucket - 1);
        }
    }
}

static void widths(void **state)
{
    (void)state;
    const int64_t day = 86400;
    assert_int_equal(calendar_width(3600), WIDTH_HOUR);
    assert_int_equal(calendar_width(31 * day), WIDTH_HOUR);
    assert_int_equal(calendar_width(31 * day + 1), WIDTH_DAY);
    assert_int_equal(calendar_width(2 * 365 * day), WIDTH_DAY);
    assert_int_equal(calendar_width(2 * 366 * day), WIDTH_DAY);
    assert_int_equal(calendar_width(3 * 365 * day), WIDTH_MONTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(months_as_gmtime),
                                       cmocka_unit_test(start_and_bucket_agree),
                                       cmocka_unit_test(widths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

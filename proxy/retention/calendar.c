#include "calendar.h"

#define HOURS_UP_TO_S (31ll * 24 * 3600)
#define DAYS_UP_TO_S (2 * 366ll * 24 * 3600) /* two years, whichever they are */

enum bucket_width calendar_width(int64_t keep_s)
{
    return keep_s <= HOURS_UP_TO_S ? WIDTH_HOUR : keep_s <= DAYS_UP_TO_S ? WIDTH_DAY : WIDTH_MONTH;
}

static bool leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to January 1 of a year from 1970 on. */
static int64_t days_to_year(int64_t year)
{
    int64_t y = year - 1;
    return 365 * (year - 1970) + (y / 4 - y / 100 + y / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400);
}

static int64_t days_to_month(int64_t year, int64_t month) /* month 0..11 */
{
    static const uint16_t before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    return days_to_year(year) + before[month] + (month > 1 && leap(year) ? 1 : 0);
}

int64_t calendar_start(enum bucket_width width, int64_t bucket)
{
    switch (width) {
    case WIDTH_HOUR:
        return bucket * HOUR_MS;
    case WIDTH_DAY:
        return bucket * DAY_MS;
    default:
        return days_to_month(1970 + bucket / 12, bucket % 12) * DAY_MS;
    }
}

int64_t calendar_bucket(enum bucket_width width, int64_t ms)
{
    if (width == WIDTH_HOUR)
        return ms / HOUR_MS;
    if (width == WIDTH_DAY)
        return ms / DAY_MS;
    /* a month is 28 to 31 days: at most a few steps from a guess that is never too late */
    int64_t bucket = ms / DAY_MS / 31;
    bucket += (ms / DAY_MS - calendar_start(WIDTH_MONTH, bucket) / DAY_MS) / 31;
    while (calendar_start(WIDTH_MONTH, bucket + 1) <= ms)
        bucket++;
    return bucket;
}

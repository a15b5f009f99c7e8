/*
 * Bucket arithmetic: hours, days and months (UTC, proleptic Gregorian) since 1970. Pure.
 */
#ifndef SLUIS_RETENTION_CALENDAR_H
#define SLUIS_RETENTION_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

enum bucket_width { WIDTH_HOUR, WIDTH_DAY, WIDTH_MONTH, WIDTHS };

#define HOUR_MS 3600000ll
#define DAY_MS (24 * HOUR_MS)

enum bucket_width calendar_width(int64_t keep_s);
/* The bucket that holds a moment (ms since 1970, not negative). */
int64_t calendar_bucket(enum bucket_width width, int64_t ms);
/* When a bucket begins; it ends when the next begins. */
int64_t calendar_start(enum bucket_width width, int64_t bucket);

#endif

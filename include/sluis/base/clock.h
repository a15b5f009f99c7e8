/*
 * Time. Wall time is milliseconds since 1970 (UTC), monotonic time milliseconds since some fixed
 * point. The judgement rooms never read a clock; they are given the time.
 *
 * Threads: any. clock_test_shift is for tests and `sluis-sim` only.
 */
#ifndef SLUIS_BASE_CLOCK_H
#define SLUIS_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);

/* Moves both clocks by `ms` for this process, on top of earlier shifts. */
void clock_test_shift(int64_t ms);

/* "2026-11-21T22:30:05.123Z" into out[25]. */
#define CLOCK_RFC3339_SIZE 25
void clock_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_SIZE]);

#endif

/* Log-linear histogram of microseconds: 32 steps per doubling, so within 3.2 % of the true value.
 */
#ifndef SIM_HISTOGRAM_H
#define SIM_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS 32
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * 34) /* up to 2^38 us */

struct histogram {
    uint64_t count, max;
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t us);
/* The upper bound of the bucket that holds this share (0..1) of the values. */
uint64_t histogram_at(const struct histogram *h, double share);

#endif

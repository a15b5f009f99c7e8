#include "histogram.h"

static unsigned bucket_of(uint64_t v)
{
    if (v < HISTOGRAM_STEPS)
        return (unsigned)v;
    unsigned top = 63u - (unsigned)__builtin_clzll(v); /* 5 or more */
    unsigned shift = top - 5;
    unsigned index =
        (shift + 1) * HISTOGRAM_STEPS + (unsigned)((v >> shift) & (HISTOGRAM_STEPS - 1));
    return index < HISTOGRAM_BUCKETS ? index : HISTOGRAM_BUCKETS - 1;
}

static uint64_t upper_of(unsigned index)
{
    if (index < HISTOGRAM_STEPS)
        return index;
    unsigned shift = index / HISTOGRAM_STEPS - 1;
    return (((uint64_t)HISTOGRAM_STEPS + index % HISTOGRAM_STEPS + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t us)
{
    h->count++;
    if (us > h->max)
        h->max = us;
    h->bucket[bucket_of(us)]++;
}

uint64_t histogram_at(const struct histogram *h, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)h->count), seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen > wanted || (seen == h->count && seen))
            return upper_of(i) < h->max ? upper_of(i) : h->max;
    }
    return h->max;
}

/* What the fuzz targets of HTTP share. The first two bytes of an input choose how the rest is cut,
 * the third what the caller told the machine. */
#ifndef SLUIS_FUZZ_HTTP_H
#define SLUIS_FUZZ_HTTP_H

#include "http_run.h"

#include <stdlib.h>

#define FUZZ_PREFIX 3

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static inline struct http_cut fuzz_cut(const uint8_t *bytes)
{
    return (struct http_cut){bytes[0], (size_t)bytes[1] % 64 + 1};
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#endif

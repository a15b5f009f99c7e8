/* Decoding of whatever claims to be a picture: never a crash, never more than the limits. */
#include <stdint.h>
#include <stdlib.h>

#include "sluis/vision.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint32_t w, h;
    enum picture_reason reason = vision_decode(span_of(data, n), &w, &h);
    if (reason == PICTURE_OK && (w == 0 || h == 0 || (uint64_t)w * h > PICTURE_PIXELS_MAX))
        abort();
    return 0;
}

/* Identifiers as people write them. */
#include "sluis/subject.h"

#include <string.h>

struct span subject_normalise(struct span given, char out[SUBJECT_WRITTEN_MAX + 2])
{
    size_t n = 2; /* room for a country in front */
    bool plus = given.n && given.p[0] == '+';
    if (given.n == 0 || given.n > SUBJECT_WRITTEN_MAX)
        return SPAN_EMPTY;
    for (size_t i = 0; i < given.n; i++) {
        if (given.p[i] >= '0' && given.p[i] <= '9')
            out[n++] = given.p[i];
        else if (!memchr("+ -().", given.p[i], 6) || (given.p[i] == '+' && i > 0))
            return given; /* a BSUID */
    }
    struct span digits = span_of(out + 2, n - 2);
    if (!plus && span_starts(digits, SPAN("00")))
        return span_from(digits, 2);
    if (!plus && span_starts(digits, SPAN("0"))) { /* national: Dutch */
        out[1] = '3';
        out[2] = '1';
        return span_of(out + 1, n - 1);
    }
    return digits;
}

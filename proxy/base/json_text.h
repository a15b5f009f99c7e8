/* Private to the JSON files of base: escapes. */
#ifndef SLUIS_BASE_JSON_TEXT_H
#define SLUIS_BASE_JSON_TEXT_H

#include "sluis/base/span.h"

/* \uXXXX at s.p: its UTF-16 code unit. */
bool json_unit(struct span s, unsigned *unit);

#endif

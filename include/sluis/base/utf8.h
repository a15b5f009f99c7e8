/*
 * UTF-8 (RFC 3629): strict decoding. Pure functions.
 */
#ifndef SLUIS_BASE_UTF8_H
#define SLUIS_BASE_UTF8_H

#include "sluis/base/span.h"

/* Decodes the code point at s.p; returns its length (1-4) or 0 when the bytes are not UTF-8
 * (overlong, surrogate, above U+10FFFF, cut off) or s is empty. */
unsigned utf8_decode(struct span s, uint32_t *code_point);
/* Writes 1-4 bytes, returns how many; a surrogate or a value above U+10FFFF is written as U+FFFD. */
unsigned utf8_encode(uint32_t code_point, char out[4]);
bool utf8_valid(struct span s);
/* Number of code points in valid UTF-8. */
size_t utf8_count(struct span s);

#endif

/*
 * Hex, base64 (RFC 4648), big-endian integers, and text for HTML. Pure functions; every decoder is strict: wrong
 * characters, wrong padding, non-zero trailing bits and upper-case hex (where said) are refused.
 */
#ifndef SLUIS_BASE_ENCODE_H
#define SLUIS_BASE_ENCODE_H

#include "sluis/base/error.h"
#include "sluis/base/span.h"

/* Writes 2 * n lower-case characters and a NUL. */
void hex_encode(const uint8_t *bytes, size_t n, char *out);
/* Exactly 2 * n characters, lower case only; 0 or SLUIS_EINVAL. */
int hex_decode_lower(struct span text, uint8_t *out, size_t n);

#define BASE64_LEN(n) (((n) + 2) / 3 * 4)
#define BASE64URL_LEN(n) (((n)*4 + 2) / 3)

/* With padding; writes BASE64_LEN(n) characters and a NUL. */
void base64_encode(const uint8_t *bytes, size_t n, char *out);
/* URL alphabet, no padding; writes BASE64URL_LEN(n) characters and a NUL. */
void base64url_encode(const uint8_t *bytes, size_t n, char *out);
/* Decode at most `max` bytes; the number of bytes, or SLUIS_EINVAL / SLUIS_ELIMIT. */
long base64_decode(struct span text, uint8_t *out, size_t max);
long base64url_decode(struct span text, uint8_t *out, size_t max);

/* Appends UTF-8 text for HTML: as content or inside a quoted attribute. Markup is escaped; control
 * characters, those that turn the direction of text and invisible ones become U+FFFD, so that what
 * is read is what is there; a line end becomes a space. */
struct buffer;
void html_escape(struct buffer *out, struct span text);

static inline void be16_put(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void be32_put(uint8_t *p, uint32_t v)
{
    be16_put(p, (uint16_t)(v >> 16));
    be16_put(p + 2, (uint16_t)v);
}
static inline void be64_put(uint8_t *p, uint64_t v)
{
    be32_put(p, (uint32_t)(v >> 32));
    be32_put(p + 4, (uint32_t)v);
}
static inline uint16_t be16_get(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t be32_get(const uint8_t *p)
{
    return (uint32_t)be16_get(p) << 16 | be16_get(p + 2);
}
static inline uint64_t be64_get(const uint8_t *p)
{
    return (uint64_t)be32_get(p) << 32 | be32_get(p + 4);
}

#endif

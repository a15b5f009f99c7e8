#include "sluis/base/buffer.h"
#include "sluis/base/encode.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUFFER_FIRST 256 /* bytes of the first allocation: most heads and keys fit */

void buffer_init(struct buffer *b, size_t max)
{
    *b = (struct buffer){NULL, 0, 0, max, 0};
}

void buffer_free(struct buffer *b)
{
    if (b->p)
        sodium_memzero(b->p, b->n);
    free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
    b->error = 0;
}

void buffer_clear(struct buffer *b)
{
    if (b->p)
        sodium_memzero(b->p, b->n);
    b->n = 0;
    b->error = 0;
}

/* Grows by copying, so that what the old block held can be wiped (realloc would leave it). */
static int grow(struct buffer *b, size_t need)
{
    size_t cap = b->cap ? b->cap : BUFFER_FIRST;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > b->max)
        cap = b->max;
    char *p = malloc(cap);
    if (!p) {
        b->error = SLUIS_ENOMEM;
        return b->error;
    }
    if (b->n)
        memcpy(p, b->p, b->n);
    if (b->p)
        sodium_memzero(b->p, b->n);
    free(b->p);
    b->p = p;
    b->cap = cap;
    return 0;
}

char *buffer_reserve(struct buffer *b, size_t n)
{
    if (b->error)
        return NULL;
    if (n > b->max || b->n > b->max - n) {
        b->error = SLUIS_ELIMIT;
        return NULL;
    }
    if ((b->cap - b->n < n || !b->p) && grow(b, b->n + n) != 0)
        return NULL;
    return b->p + b->n;
}

void buffer_add(struct buffer *b, struct span s)
{
    if (s.n == 0)
        return;
    char *p = buffer_reserve(b, s.n);
    if (!p)
        return;
    memcpy(p, s.p, s.n);
    b->n += s.n;
}

void buffer_add_char(struct buffer *b, char c)
{
    char *p = buffer_reserve(b, 1);
    if (!p)
        return;
    *p = c;
    b->n++;
}

void buffer_add_str(struct buffer *b, const char *s)
{
    buffer_add(b, span_str(s));
}

void buffer_add_u64(struct buffer *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    buffer_add(b, span_of(digits + at, sizeof(digits) - at));
}

void buffer_add_i64(struct buffer *b, int64_t v)
{
    if (v < 0) {
        buffer_add_char(b, '-');
        buffer_add_u64(b, 0 - (uint64_t)v);
    } else {
        buffer_add_u64(b, (uint64_t)v);
    }
}

void buffer_add_hex(struct buffer *b, struct span bytes)
{
    static const char digits[] = "0123456789abcdef";
    if (bytes.n > SIZE_MAX / 2) {
        b->error = SLUIS_ELIMIT;
        return;
    }
    char *p = buffer_reserve(b, 2 * bytes.n);
    if (!p)
        return;
    for (size_t i = 0; i < bytes.n; i++) {
        uint8_t v = (uint8_t)bytes.p[i];
        p[2 * i] = digits[v >> 4];
        p[2 * i + 1] = digits[v & 15];
    }
    b->n += 2 * bytes.n;
}

void buffer_addf(struct buffer *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) {
        b->error = SLUIS_EINVAL;
        return;
    }
    char *p = buffer_reserve(b, (size_t)n + 1);
    if (!p)
        return;
    va_start(args, format);
    vsnprintf(p, (size_t)n + 1, format, args);
    va_end(args);
    b->n += (size_t)n;
}

void buffer_add_be16(struct buffer *b, uint16_t v)
{
    uint8_t raw[2];
    be16_put(raw, v);
    buffer_add(b, span_of(raw, sizeof(raw)));
}

void buffer_add_be32(struct buffer *b, uint32_t v)
{
    uint8_t raw[4];
    be32_put(raw, v);
    buffer_add(b, span_of(raw, sizeof(raw)));
}

void buffer_add_be64(struct buffer *b, uint64_t v)
{
    uint8_t raw[8];
    be64_put(raw, v);
    buffer_add(b, span_of(raw, sizeof(raw)));
}

void buffer_drop(struct buffer *b, size_t n)
{
    if (n == 0)
        return;
    if (n > b->n)
        n = b->n;
    memmove(b->p, b->p + n, b->n - n);
    sodium_memzero(b->p + b->n - n, n);
    b->n -= n;
}

/*
 * A span: bytes that somebody else owns. Used for anything that comes from the network or a
 * file; never NUL-terminated, may hold any byte, p may be NULL only when n is 0.
 */
#ifndef SLUIS_BASE_SPAN_H
#define SLUIS_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *p;
    size_t n;
};

/* A span over a string literal. */
#define SPAN(literal) ((struct span){("" literal), sizeof(literal) - 1})
#define SPAN_EMPTY ((struct span){NULL, 0})

static inline struct span span_of(const void *p, size_t n)
{
    return (struct span){(const char *)p, n};
}

/* A span over a NUL-terminated string; NULL gives an empty span. */
static inline struct span span_str(const char *s)
{
    return (struct span){s, s ? strlen(s) : 0};
}

static inline bool span_eq(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool span_is(struct span a, const char *s)
{
    return span_eq(a, span_str(s));
}

/* Compares without regard to ASCII case. */
bool span_eq_nocase(struct span a, struct span b);

static inline bool span_starts(struct span a, struct span prefix)
{
    return a.n >= prefix.n && (prefix.n == 0 || memcmp(a.p, prefix.p, prefix.n) == 0);
}

static inline bool span_ends(struct span a, struct span suffix)
{
    return a.n >= suffix.n &&
           (suffix.n == 0 || memcmp(a.p + a.n - suffix.n, suffix.p, suffix.n) == 0);
}

static inline struct span span_from(struct span a, size_t offset)
{
    return offset >= a.n ? SPAN_EMPTY : (struct span){a.p + offset, a.n - offset};
}

static inline struct span span_sub(struct span a, size_t start, size_t end)
{
    if (end > a.n)
        end = a.n;
    return start >= end ? SPAN_EMPTY : (struct span){a.p + start, end - start};
}

/* Index of the first byte `c`, or a.n when absent. */
size_t span_find(struct span a, char c);

/* Compares in a time that depends on the lengths only. For secrets. */
bool span_eq_secret(struct span a, struct span b);

/* A decimal number of digits only, no sign, no overflow. 0 or SLUIS_EINVAL. */
int span_u64(struct span a, uint64_t *out);

#endif

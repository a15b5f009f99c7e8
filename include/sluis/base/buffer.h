/*
 * A growing byte buffer with a cap and a sticky error: after the first failure (memory, cap)
 * every further call does nothing and `error` stays set, so that one check at the end is enough.
 *
 *     struct buffer b;
 *     buffer_init(&b, 64 * 1024);
 *     buffer_add(&b, SPAN("HTTP/1.1 "));
 *     buffer_add_u64(&b, 200);
 *     if (b.error) ...
 *     buffer_free(&b);
 *
 * Owner: whoever called buffer_init. Threads: one at a time. buffer_free wipes what was written.
 */
#ifndef SLUIS_BASE_BUFFER_H
#define SLUIS_BASE_BUFFER_H

#include "sluis/base/error.h"
#include "sluis/base/span.h"

struct buffer {
    char *p;
    size_t n;   /* bytes in use */
    size_t cap; /* bytes allocated */
    size_t max; /* bytes allowed */
    int error;  /* 0, SLUIS_ENOMEM or SLUIS_ELIMIT */
};

void buffer_init(struct buffer *b, size_t max);
void buffer_free(struct buffer *b);  /* wipes, frees; the buffer may be used again */
void buffer_clear(struct buffer *b); /* wipes, keeps the memory, clears the error */

void buffer_add(struct buffer *b, struct span s);
void buffer_add_char(struct buffer *b, char c);
void buffer_add_str(struct buffer *b, const char *s);
void buffer_add_u64(struct buffer *b, uint64_t v);
void buffer_add_i64(struct buffer *b, int64_t v);
void buffer_add_hex(struct buffer *b, struct span bytes); /* lower case */
void buffer_addf(struct buffer *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Big-endian integers, for keys and record headers. */
void buffer_add_be16(struct buffer *b, uint16_t v);
void buffer_add_be32(struct buffer *b, uint32_t v);
void buffer_add_be64(struct buffer *b, uint64_t v);

/* Makes room for `n` more bytes and returns where they go, or NULL (error set). The caller
 * writes at most `n` bytes there and then adds what it wrote to `b->n`. */
char *buffer_reserve(struct buffer *b, size_t n);

/* Drops the first `n` bytes (moves the rest down). */
void buffer_drop(struct buffer *b, size_t n);

static inline struct span buffer_span(const struct buffer *b)
{
    return (struct span){b->p, b->n};
}

#endif

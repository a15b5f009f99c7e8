/*
 * An arena: memory for one request or one message, freed at once, with a cap. Blocks are wiped
 * when the arena is reset or freed, since messages pass through it.
 *
 * Owner: the creator. Threads: one at a time (it may be handed over). Alignment: 16 bytes.
 */
#ifndef SLUIS_BASE_ARENA_H
#define SLUIS_BASE_ARENA_H

#include "sluis/base/error.h"
#include "sluis/base/span.h"

struct arena_block;
struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used;                /* bytes handed out since init or reset */
    size_t max;                 /* cap on `used` */
};

void arena_init(struct arena *a, size_t max);
void arena_free(struct arena *a);
/* Wipes everything but keeps one block for the next use. */
void arena_reset(struct arena *a);

/* NULL when memory or the cap runs out. The memory is not zeroed. */
SLUIS_MUST_CHECK void *arena_try(struct arena *a, size_t n);
/* The same, zeroed. */
SLUIS_MUST_CHECK void *arena_try_zero(struct arena *a, size_t n);
/* A copy of the bytes, with a NUL behind them that the span does not count. out->p is NULL on
 * failure; returns 0 or SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int arena_try_copy(struct arena *a, struct span s, struct span *out);
/* A NUL-terminated copy, NULL on failure. */
SLUIS_MUST_CHECK char *arena_try_str(struct arena *a, struct span s);

#endif

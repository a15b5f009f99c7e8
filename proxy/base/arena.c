#include "sluis/base/arena.h"

#include <sodium.h>
#include <stdlib.h>

#define ARENA_ALIGN 16
#define ARENA_BLOCK (8 * 1024) /* bytes of a normal block: a webhook of one message fits */

struct arena_block {
    struct arena_block *next;
    size_t size, used;
    _Alignas(ARENA_ALIGN) char data[];
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){NULL, 0, max};
}

static void free_blocks(struct arena_block *block)
{
    while (block) {
        struct arena_block *next = block->next;
        sodium_memzero(block->data, block->used);
        free(block);
        block = next;
    }
}

void arena_free(struct arena *a)
{
    free_blocks(a->blocks);
    a->blocks = NULL;
    a->used = 0;
}

void arena_reset(struct arena *a)
{
    struct arena_block *keep = a->blocks;
    if (keep) {
        free_blocks(keep->next);
        keep->next = NULL;
        sodium_memzero(keep->data, keep->used);
        keep->used = 0;
        if (keep->size > ARENA_BLOCK) { /* a large request must not keep its memory for ever */
            free(keep);
            a->blocks = NULL;
        }
    }
    a->used = 0;
}

void *arena_try(struct arena *a, size_t n)
{
    if (n > SIZE_MAX - ARENA_ALIGN)
        return NULL;
    size_t need = n ? (n + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN : ARENA_ALIGN;
    if (need > a->max || a->used > a->max - need)
        return NULL;
    struct arena_block *block = a->blocks;
    if (!block || block->size - block->used < need) {
        size_t size = need > ARENA_BLOCK ? need : ARENA_BLOCK;
        block = malloc(sizeof(*block) + size);
        if (!block)
            return NULL;
        block->size = size;
        block->used = 0;
        block->next = a->blocks;
        a->blocks = block;
    }
    void *p = block->data + block->used;
    block->used += need;
    a->used += need;
    return p;
}

void *arena_try_zero(struct arena *a, size_t n)
{
    void *p = arena_try(a, n);
    if (p)
        memset(p, 0, n);
    return p;
}

int arena_try_copy(struct arena *a, struct span s, struct span *out)
{
    out->n = 0;
    char *p = arena_try_str(a, s);
    out->p = p;
    if (!p)
        return SLUIS_ENOMEM;
    out->n = s.n;
    return 0;
}

char *arena_try_str(struct arena *a, struct span s)
{
    if (s.n == SIZE_MAX)
        return NULL;
    char *p = arena_try(a, s.n + 1);
    if (!p)
        return NULL;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

/* Hits: collecting them and resolving overlaps. */
#include <stdlib.h>

#include "room.h"

void hit_add(const struct detector *d, struct detect_scratch *s, uint32_t start, uint32_t end,
             unsigned type, unsigned score, const char *evidence)
{
    if (s->error || (type < DETECT_OWN && score < d->from[type]))
        return;
    if (end - start > HIT_LENGTH_MAX)
        start = end - HIT_LENGTH_MAX;
    if (s->hit_n == s->hit_cap) {
        size_t cap = s->hit_cap ? s->hit_cap * 2 : 64;
        if (s->hit_cap >= HITS_MAX) {
            s->error = SLUIS_ELIMIT;
            return;
        }
        struct hit *hits = realloc(s->hits, cap * sizeof *hits);
        if (!hits) {
            s->error = SLUIS_ENOMEM;
            return;
        }
        s->hits = hits;
        s->hit_cap = cap;
    }
    s->hits[s->hit_n++] = (struct hit){.start = start,
                                       .end = end,
                                       .type = (uint16_t)type,
                                       .score = (uint16_t)(score > 1000 ? 1000 : score),
                                       .evidence = evidence};
}

/* The order of preference: higher score, then longer, then earlier, then the lower type. */
static int by_rank(const void *left, const void *right)
{
    const struct hit *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    if (a->end - a->start != b->end - b->start)
        return a->end - a->start > b->end - b->start ? -1 : 1;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    return (a->type > b->type) - (a->type < b->type);
}

static int by_start(const void *left, const void *right)
{
    const struct hit *a = left, *b = right;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    return by_rank(left, right);
}

static uint32_t size_of(const struct hit *h)
{
    return h->end - h->start;
}

/* A hit that lies wholly inside a longer one says less: the longer masks it too. `hits` are sorted
 * by start. */
static size_t drop_contained(struct hit *hits, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool inside = false;
        /* a container starts no later, and no hit is longer than HIT_LENGTH_MAX */
        for (size_t k = kept; k-- > 0 && !inside && hits[i].start - hits[k].start < HIT_LENGTH_MAX;)
            inside = hits[k].end >= hits[i].end && size_of(&hits[k]) > size_of(&hits[i]);
        /* the same start, a longer one behind it */
        for (size_t k = i + 1; k < n && !inside && hits[k].start == hits[i].start; k++)
            inside = hits[k].end > hits[i].end;
        if (!inside)
            hits[kept++] = hits[i];
    }
    return kept;
}

/* The best hit of a cluster is kept, then the best of those that do not touch it, and so on. A long
 * cluster marks the characters taken, a short one compares pairs. */
static size_t resolve_cluster(struct hit *hits, size_t n, uint8_t *taken, uint32_t base)
{
    n = drop_contained(hits, n);
    qsort(hits, n, sizeof *hits, by_rank);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool clear = true;
        if (taken)
            clear = memchr(taken + (hits[i].start - base), 1, size_of(&hits[i])) == NULL;
        for (size_t k = 0; !taken && k < kept && clear; k++)
            clear = hits[i].end <= hits[k].start || hits[i].start >= hits[k].end;
        if (!clear)
            continue;
        if (taken)
            memset(taken + (hits[i].start - base), 1, size_of(&hits[i]));
        hits[kept++] = hits[i];
    }
    qsort(hits, kept, sizeof *hits, by_start);
    return kept;
}

#define CLUSTER_PAIRS_MAX 32 /* longer clusters use a map of characters */

int hits_resolve(struct detect_scratch *s)
{
    if (s->hit_n < 2)
        return 0;
    struct hit *hits = s->hits;
    qsort(hits, s->hit_n, sizeof *hits, by_start);
    size_t out = 0;
    for (size_t i = 0; i < s->hit_n;) {
        size_t k = i + 1;
        uint32_t end = hits[i].end;
        while (k < s->hit_n && hits[k].start < end) {
            if (hits[k].end > end)
                end = hits[k].end;
            k++;
        }
        size_t n = k - i;
        if (n > 1) {
            uint8_t *taken = NULL;
            if (n > CLUSTER_PAIRS_MAX && !(taken = calloc(1, end - hits[i].start)))
                return SLUIS_ENOMEM;
            n = resolve_cluster(hits + i, n, taken, hits[i].start);
            free(taken);
        }
        memmove(hits + out, hits + i, n * sizeof *hits);
        out += n;
        i = k;
    }
    s->hit_n = out;
    return 0;
}

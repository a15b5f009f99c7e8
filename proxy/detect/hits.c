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

void hit_guess(const struct detector *d, struct detect_scratch *s, uint32_t start, uint32_t end,
               unsigned type, unsigned score, const char *evidence)
{
    size_t n = s->hit_n;
    hit_add(d, s, start, end, type, score, evidence);
    if (s->hit_n > n)
        s->hits[n].guess = true;
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

static uint64_t types_of(const struct hit *h)
{
    return h->also | (uint64_t)1 << h->type;
}

/* What `winner` hides of others is masked by the strictest rule of all their types. A guess is none
 * of them: the digits of a card or a telephone number, after "geen BSN hier", are no BSN. */
static void take_types(struct hit *winner, const struct hit *loser)
{
    if (loser->guess)
        return;
    winner->also |= types_of(loser) & ~((uint64_t)1 << winner->type);
}

/* A hit that lies wholly inside a longer one says less: the longer masks it too. `hits` are sorted
 * by start. */
static size_t drop_contained(struct hit *hits, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        struct hit *in = NULL;
        /* a container starts no later, and no hit is longer than HIT_LENGTH_MAX */
        for (size_t k = kept; k-- > 0 && !in && hits[i].start - hits[k].start < HIT_LENGTH_MAX;)
            if (hits[k].end >= hits[i].end && size_of(&hits[k]) > size_of(&hits[i]))
                in = &hits[k];
        /* the same start, a longer one behind it */
        for (size_t k = i + 1; k < n && !in && hits[k].start == hits[i].start; k++)
            if (hits[k].end > hits[i].end)
                in = &hits[k];
        if (in)
            take_types(in, &hits[i]);
        else
            hits[kept++] = hits[i];
    }
    return kept;
}

/* A cluster being resolved: which kept hit has each of its characters. */
struct cluster {
    uint32_t base;
    uint16_t *owner; /* index in `kept` + 1; 0: nobody yet */
    struct hit *kept;
    size_t n, capacity;
};

static bool is_free(const struct cluster *c, const struct hit *h)
{
    for (uint32_t k = h->start - c->base; k < h->end - c->base; k++)
        if (c->owner[k])
            return false;
    return true;
}

static int keep(struct cluster *c, const struct hit *h)
{
    if (c->n == c->capacity)
        return SLUIS_ELIMIT;
    c->kept[c->n++] = *h;
    for (uint32_t k = h->start - c->base; k < h->end - c->base; k++)
        c->owner[k] = (uint16_t)c->n;
    return 0;
}

/* A hit that lost characters to better ones: they learn its type, and what sticks out of them stays
 * a hit of its own, so that it is not shown because another value begins beside it. */
static int keep_rest(struct cluster *c, const struct hit *loser)
{
    struct hit rest = *loser;
    uint32_t at = loser->start;
    int error = 0;
    rest.rest = true;
    while (at < loser->end && !error) {
        uint16_t owner = c->owner[at - c->base];
        uint32_t end = at + 1;
        while (end < loser->end && c->owner[end - c->base] == owner)
            end++;
        if (owner) {
            take_types(&c->kept[owner - 1], loser);
        } else {
            rest.start = at;
            rest.end = end;
            error = keep(c, &rest);
        }
        at = end;
    }
    return error;
}

/* The best hit of a cluster is kept, then the best of those that do not touch it, and so on; then
 * the rests of the others. The kept ones go to `c`. */
static int resolve_cluster(struct cluster *c, struct hit *hits, size_t n)
{
    size_t first = c->n, lost = 0;
    int error = 0;
    n = drop_contained(hits, n);
    if (n > 1)
        qsort(hits, n, sizeof *hits, by_rank);
    for (size_t i = 0; i < n && !error; i++) {
        if (is_free(c, &hits[i]))
            error = keep(c, &hits[i]);
        else
            hits[lost++] = hits[i];
    }
    for (size_t i = 0; i < lost && !error; i++)
        error = keep_rest(c, &hits[i]);
    if (c->n - first > 1)
        qsort(c->kept + first, c->n - first, sizeof *c->kept, by_start);
    return error;
}

/* Room for the owners of the longest cluster and for what is kept of all. A rest begins where its
 * hit or a kept one ends: there are fewer than twice as many as hits, and fewer than characters. */
static int reserve(struct detect_scratch *s, uint32_t length)
{
    size_t kept = 2 * s->hit_n;
    if (length > s->owner_cap) {
        uint16_t *owner = realloc(s->owner, length * sizeof *owner);
        if (!owner)
            return SLUIS_ENOMEM;
        s->owner = owner;
        s->owner_cap = length;
    }
    if (kept > s->kept_cap) {
        struct hit *list = realloc(s->kept, kept * sizeof *list);
        if (!list)
            return SLUIS_ENOMEM;
        s->kept = list;
        s->kept_cap = kept;
    }
    return 0;
}

int hits_resolve(struct detect_scratch *s)
{
    if (s->hit_n < 2)
        return 0;
    struct hit *hits = s->hits;
    qsort(hits, s->hit_n, sizeof *hits, by_start);
    struct cluster c = {0};
    for (size_t i = 0; i < s->hit_n;) {
        size_t k = i + 1;
        uint32_t end = hits[i].end, start = hits[i].start;
        while (k < s->hit_n && hits[k].start < end) {
            if (hits[k].end > end)
                end = hits[k].end;
            k++;
        }
        int error = reserve(s, end - start);
        if (error)
            return error;
        c.kept = s->kept;
        c.capacity = s->kept_cap;
        c.owner = s->owner;
        c.base = start;
        memset(c.owner, 0, (end - start) * sizeof *c.owner);
        error = resolve_cluster(&c, hits + i, k - i);
        if (error)
            return error;
        i = k;
    }
    s->kept = s->hits;
    s->hits = c.kept;
    size_t capacity = s->kept_cap;
    s->kept_cap = s->hit_cap;
    s->hit_cap = capacity;
    s->hit_n = c.n;
    return 0;
}

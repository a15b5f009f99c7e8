/* Content in memory: bounded, found by serial, so that it can be declared void from any thread. */
#include "internal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static struct content **bucket(struct deliver *d, uint64_t serial)
{
    return &d->contents[(serial * 0x9e3779b97f4a7c15ull >> 40) & (CONTENT_BUCKETS - 1)];
}

struct content *content_new(struct deliver *d, uint64_t serial, struct span packed,
                            const char *judged_by)
{
    if (packed.n == 0)
        return NULL;
    if (atomic_fetch_add(&d->content_bytes, packed.n) + packed.n > d->deps.memory_max) {
        atomic_fetch_sub(&d->content_bytes, packed.n);
        return NULL;
    }
    struct content *c = malloc(sizeof(*c) + packed.n);
    if (!c) {
        atomic_fetch_sub(&d->content_bytes, packed.n);
        return NULL;
    }
    atomic_init(&c->refs, 1);
    atomic_init(&c->forgotten, false);
    c->deliver = d;
    c->serial = serial;
    snprintf(c->judged_by, sizeof(c->judged_by), "%s", judged_by);
    c->n = packed.n;
    memcpy(c->bytes, packed.p, packed.n);
    struct content **at = bucket(d, serial);
    pthread_mutex_lock(&d->content_lock);
    c->next = *at;
    *at = c;
    pthread_mutex_unlock(&d->content_lock);
    return c;
}

void content_unref(struct content *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    struct deliver *d = c->deliver;
    struct content **at = bucket(d, c->serial);
    pthread_mutex_lock(&d->content_lock);
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    pthread_mutex_unlock(&d->content_lock);
    atomic_fetch_sub(&d->content_bytes, c->n);
    sodium_memzero(c->bytes, c->n);
    free(c);
}

void deliver_forget(struct deliver *d, uint64_t serial)
{
    pthread_mutex_lock(&d->content_lock);
    for (struct content *c = *bucket(d, serial); c; c = c->next)
        if (c->serial == serial)
            atomic_store(&c->forgotten, true);
    pthread_mutex_unlock(&d->content_lock);
}

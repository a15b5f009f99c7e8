/* When contacts last wrote and what is under way to them: bounded, the least recently used goes
 * first; those with something under way stay. */
#include "room.h"

#include <sodium.h>
#include <stdlib.h>

struct entry {
    struct contact_id id;
    int64_t last_in_ms;    /* 0 not known */
    uint32_t chain;        /* next in the bucket, 0 none */
    uint32_t older, newer; /* order of use; both 0 while something is under way */
    uint32_t under_way;
    uint8_t consents; /* CONSENTS_... */
};

struct memory {
    pthread_mutex_t lock;
    struct entry *entries; /* [0] is the ring's anchor */
    uint32_t *buckets;
    uint32_t used, free;
};

int contact_memory_new(struct memory **out)
{
    struct memory *m = calloc(1, sizeof(*m));
    *out = m;
    if (!m)
        return SLUIS_ENOMEM;
    pthread_mutex_init(&m->lock, NULL);
    /* pages that are never used are never touched */
    m->entries = calloc(CONTACT_REMEMBERED + 1, sizeof(*m->entries));
    m->buckets = calloc(CONTACT_REMEMBERED, sizeof(*m->buckets));
    m->used = 1;
    if (m->entries && m->buckets)
        return 0;
    contact_memory_free(m);
    *out = NULL;
    return SLUIS_ENOMEM;
}

void contact_memory_free(struct memory *m)
{
    if (!m)
        return;
    pthread_mutex_destroy(&m->lock);
    free(m->entries);
    free(m->buckets);
    free(m);
}

static uint32_t *bucket_of(struct memory *m, struct contact_id id)
{
    uint64_t h = (id.subject * UINT64_C(0x9e3779b97f4a7c15)) ^
                 ((uint64_t)id.channel * UINT64_C(0xc2b2ae3d27d4eb4f));
    return &m->buckets[(h >> 32) % CONTACT_REMEMBERED];
}

static void ring_out(struct memory *m, uint32_t at)
{
    struct entry *e = m->entries;
    if (e[e[at].older].newer != at)
        return; /* not in the ring */
    e[e[at].older].newer = e[at].newer;
    e[e[at].newer].older = e[at].older;
    e[at].older = e[at].newer = 0;
}

static void ring_newest(struct memory *m, uint32_t at)
{
    struct entry *e = m->entries;
    ring_out(m, at);
    e[at].older = e[0].older; /* the anchor's older is the newest */
    e[e[0].older].newer = at;
    e[0].older = at;
}

static void drop(struct memory *m, uint32_t at)
{
    uint32_t *link = bucket_of(m, m->entries[at].id);
    ring_out(m, at);
    while (*link != at)
        link = &m->entries[*link].chain;
    *link = m->entries[at].chain;
    memset(&m->entries[at], 0, sizeof(m->entries[at]));
    m->entries[at].chain = m->free;
    m->free = at;
}

static uint32_t find(struct memory *m, struct contact_id id)
{
    for (uint32_t at = *bucket_of(m, id); at; at = m->entries[at].chain) {
        struct entry *e = &m->entries[at];
        if (e->id.channel == id.channel && e->id.subject == id.subject) {
            if (!e->under_way)
                ring_newest(m, at);
            return at;
        }
    }
    return 0;
}

/* 0: everybody is under way. */
static uint32_t find_or_add(struct memory *m, struct contact_id id)
{
    uint32_t at = find(m, id);
    if (at)
        return at;
    if (!m->free && m->used > CONTACT_REMEMBERED) {
        if (!m->entries[0].newer)
            return 0;
        drop(m, m->entries[0].newer);
    }
    at = m->free;
    if (at)
        m->free = m->entries[at].chain;
    else
        at = m->used++;
    uint32_t *bucket = bucket_of(m, id);
    m->entries[at] = (struct entry){.id = id, .chain = *bucket};
    *bucket = at;
    ring_newest(m, at);
    return at;
}

int64_t contact_memory_last_in(struct memory *m, struct contact_id id)
{
    pthread_mutex_lock(&m->lock);
    uint32_t at = find(m, id);
    int64_t ms = at ? m->entries[at].last_in_ms : 0;
    pthread_mutex_unlock(&m->lock);
    return ms;
}

void contact_memory_note_in(struct memory *m, struct contact_id id, int64_t at_ms)
{
    pthread_mutex_lock(&m->lock);
    uint32_t at = find_or_add(m, id);
    if (at && m->entries[at].last_in_ms < at_ms)
        m->entries[at].last_in_ms = at_ms;
    pthread_mutex_unlock(&m->lock);
}

int contact_memory_take(struct memory *m, struct contact_id id, unsigned most, bool *taken)
{
    pthread_mutex_lock(&m->lock);
    uint32_t at = find_or_add(m, id);
    *taken = at && m->entries[at].under_way < most;
    if (*taken) {
        m->entries[at].under_way++;
        ring_out(m, at);
    }
    pthread_mutex_unlock(&m->lock);
    return at ? 0 : SLUIS_ELIMIT;
}

void contact_memory_done(struct memory *m, struct contact_id id)
{
    pthread_mutex_lock(&m->lock);
    uint32_t at = find(m, id);
    if (at && m->entries[at].under_way && --m->entries[at].under_way == 0)
        ring_newest(m, at);
    pthread_mutex_unlock(&m->lock);
}

/* What is under way finds nothing to give back, which is no error. */
void contact_memory_forget(struct memory *m, uint64_t subject)
{
    pthread_mutex_lock(&m->lock);
    for (uint32_t at = 1; at < m->used; at++) /* a freed entry has subject 0 */
        if (subject && m->entries[at].id.subject == subject)
            drop(m, at);
    pthread_mutex_unlock(&m->lock);
}

void contact_memory_forget_consents(struct memory *m, uint64_t subject)
{
    pthread_mutex_lock(&m->lock);
    for (uint32_t at = 1; at < m->used; at++)
        if (m->entries[at].id.subject == subject)
            m->entries[at].consents = CONSENTS_NOT_KNOWN;
    pthread_mutex_unlock(&m->lock);
}

int contact_memory_consents(struct memory *m, struct contact_id id)
{
    pthread_mutex_lock(&m->lock);
    uint32_t at = find(m, id);
    int consents = at ? m->entries[at].consents : CONSENTS_NOT_KNOWN;
    pthread_mutex_unlock(&m->lock);
    return consents;
}

void contact_memory_note_consents(struct memory *m, struct contact_id id, int consents)
{
    pthread_mutex_lock(&m->lock);
    uint32_t at = consents ? find_or_add(m, id) : find(m, id);
    if (at)
        m->entries[at].consents = (uint8_t)consents;
    pthread_mutex_unlock(&m->lock);
}

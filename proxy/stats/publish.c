/*
 * What of an hour is told. A count of five and more is told as it is; of smaller ones nothing but
 * the fives they add up to, carried from hour to hour: 2, 2, 3 are told as 0, 0, 5. Every answer,
 * of whatever period, is a sum of these, so that one answer less another tells no more than they
 * do. Counts of routes and tags are told in fives always, since what is left of the channel's would
 * be the others'; and so are the parts of a whole when one of them, or what is left, is small.
 *
 * Waiting times go the same way: quantiles are made of five waits and more at a time, those of
 * small hours wait in the carry until they are five. So the medians of two periods that overlap
 * differ by five persons' waits, never by one's.
 */
#include "room.h"

#include <stdlib.h>

#define CARRY_HOURS 720u /* the carry begins anew: an answer never looks further back */

static uint64_t sum(const uint64_t *v, unsigned n)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < n; i++)
        all += v[i];
    return all;
}

static void series_of(const struct cell *row, uint64_t v[SERIES])
{
    memcpy(v, row->n, sizeof(row->n));
    memcpy(v + S_TYPES, row->types, sizeof(row->types));
    v[S_FIRST] = sum(row->first, WAIT_BUCKETS);
    v[S_FOLLOW_UP] = sum(row->follow_up, WAIT_BUCKETS);
}

static bool small(uint64_t n)
{
    return n > 0 && n < STATS_SUPPRESS_BELOW;
}

static void hide_parts(const uint64_t *v, uint64_t whole, const unsigned *parts, unsigned n,
                       bool *hide)
{
    uint64_t all = 0;
    bool any = false;
    for (unsigned i = 0; i < n; i++) {
        all += v[parts[i]];
        any = any || small(v[parts[i]]);
    }
    any = any || (whole > all && small(whole - all));
    for (unsigned i = 0; any && i < n; i++)
        hide[parts[i]] = true;
}

static void choose(const struct cell *row, const uint64_t v[SERIES], bool hide[SERIES])
{
    static const unsigned offered[] = {N_DELIVERED, N_PARKED, N_EXPIRED, N_DROPPED};
    static const unsigned in_time[] = {N_TARGET_MET, N_TARGET_MISSED};
    static const unsigned answered[] = {N_ANSWERED, S_FIRST};
    for (unsigned i = 0; i < SERIES; i++)
        hide[i] = row->key.route != 0 || small(v[i]);
    hide_parts(v, v[N_OFFERED], offered, 4, hide);
    hide_parts(v, v[S_FIRST] + v[S_FOLLOW_UP], in_time, 2, hide);
    hide_parts(v, v[N_BEGUN], answered, 1, hide);
    hide[S_FIRST] = hide[S_FIRST] || hide[N_ANSWERED];
}

uint32_t publish_from(uint32_t hour)
{
    return hour / CARRY_HOURS * CARRY_HOURS;
}

static struct carry *carry_of(struct publish *p, const struct cell_key *key)
{
    uint32_t block = publish_from(key->hour);
    for (unsigned i = 0; i < p->n; i++) {
        struct carry *c = &p->carry[i];
        if (c->key.channel != key->channel || c->key.route != key->route ||
            memcmp(c->key.tag, key->tag, sizeof(key->tag)) != 0)
            continue;
        if (c->key.hour != block) {
            memset(c->sum, 0, sizeof(c->sum));
            memset(c->waits, 0, sizeof(c->waits));
        }
        c->key.hour = block;
        return c;
    }
    if (p->n == p->room) {
        unsigned room = p->room ? 2 * p->room : 64;
        struct carry *wider = realloc(p->carry, room * sizeof(*wider));
        if (!wider)
            return NULL;
        p->carry = wider;
        p->room = room;
    }
    struct carry *c = &p->carry[p->n++];
    *c = (struct carry){.key = *key};
    c->key.hour = block;
    return c;
}

static void add_buckets(uint64_t *into, const uint64_t *from)
{
    for (unsigned i = 0; i < WAIT_BUCKETS; i++)
        into[i] += from[i];
}

static void release(uint64_t *held, const uint64_t *hour, uint64_t *out)
{
    add_buckets(held, hour);
    if (sum(held, WAIT_BUCKETS) < STATS_SUPPRESS_BELOW)
        return;
    add_buckets(out, held);
    memset(held, 0, WAIT_BUCKETS * sizeof(*held));
}

int publish_hour(struct publish *p, const struct cell *row, struct told *out)
{
    uint64_t v[SERIES];
    bool hide[SERIES] = {false};
    struct carry *c = carry_of(p, &row->key);
    if (!c)
        return SLUIS_ENOMEM;
    series_of(row, v);
    choose(row, v, hide);
    memset(out->waits, 0, sizeof(out->waits));
    release(c->waits[0], row->first, out->waits[0]);
    release(c->waits[1], row->follow_up, out->waits[1]);
    for (unsigned i = 0; i < SERIES; i++) {
        out->n[i] = v[i];
        out->about[i] = hide[i] && v[i];
        if (!hide[i])
            continue;
        uint64_t before = c->sum[i] / STATS_SUPPRESS_BELOW;
        c->sum[i] += v[i];
        out->n[i] = (c->sum[i] / STATS_SUPPRESS_BELOW - before) * STATS_SUPPRESS_BELOW;
    }
    return 0;
}

void publish_add(struct told *into, const struct told *hour)
{
    for (unsigned i = 0; i < SERIES; i++) {
        into->n[i] += hour->n[i];
        into->about[i] = into->about[i] || hour->about[i];
    }
    for (unsigned i = 0; i < WAIT_SERIES; i++)
        add_buckets(into->waits[i], hour->waits[i]);
}

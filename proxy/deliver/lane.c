/* Lanes: one conversation on one route, entries in commit order, one attempt at a time. */
#include "internal.h"

#include <stdlib.h>

static struct lane **bucket(struct route *r, uint16_t channel, uint64_t subject)
{
    uint64_t h = (subject + 1) * 0x9e3779b97f4a7c15ull ^ channel;
    return &r->lanes[(h >> 40) & (LANE_BUCKETS - 1)];
}

static void key_of(const struct route *r, const struct store_item *item, uint16_t *channel,
                   uint64_t *subject)
{
    *channel = item->channel;
    /* POSTs as received mix conversations: one lane keeps all of them in order */
    *subject = r->facts && !r->facts->one_per_post ? UINT64_MAX : item->subject;
}

struct lane *lane_of(struct route *r, const struct store_item *item)
{
    uint16_t channel;
    uint64_t subject;
    key_of(r, item, &channel, &subject);
    struct lane **at = bucket(r, channel, subject);
    for (struct lane *lane = *at; lane; lane = lane->bucket_next)
        if (lane->channel == channel && lane->subject == subject)
            return lane;
    struct lane *lane = calloc(1, sizeof(*lane));
    if (!lane)
        return NULL;
    lane->channel = channel;
    lane->subject = subject;
    lane->end = &lane->first;
    lane->bucket_next = *at;
    *at = lane;
    return lane;
}

void lane_append(struct route *r, struct lane *lane, struct entry *entry)
{
    entry->lane = lane;
    entry->lane_next = NULL;
    *lane->end = entry;
    lane->end = &entry->lane_next;
    r->waiting_count++;
    if (lane->first == entry && !lane->busy && entry->state == ENTRY_READY)
        lane_make_ready(r, lane);
}

void lane_make_ready(struct route *r, struct lane *lane)
{
    if (lane->ready || lane->busy || !lane->first)
        return;
    lane->ready = true;
    lane->ready_next = NULL;
    *r->ready_end = lane;
    r->ready_end = &lane->ready_next;
}

struct lane *lane_take_ready(struct route *r)
{
    struct lane *lane = r->ready_first;
    if (!lane)
        return NULL;
    r->ready_first = lane->ready_next;
    if (!r->ready_first)
        r->ready_end = &r->ready_first;
    lane->ready = false;
    return lane;
}

void lane_tidy(struct route *r, struct lane *lane)
{
    if (lane->first || lane->busy || lane->ready || lane->gap)
        return;
    struct lane **at = bucket(r, lane->channel, lane->subject);
    while (*at != lane)
        at = &(*at)->bucket_next;
    *at = lane->bucket_next;
    free(lane);
}

void lane_remove_first(struct route *r, struct lane *lane)
{
    struct entry *entry = lane->first;
    lane->first = entry->lane_next;
    if (!lane->first)
        lane->end = &lane->first;
    entry->lane_next = NULL;
    entry->lane = NULL;
    r->waiting_count--;
    if (lane->first && lane->first->state == ENTRY_READY)
        lane_make_ready(r, lane);
    lane_tidy(r, lane);
}

void lane_remove(struct route *r, struct entry *entry)
{
    struct lane *lane = entry->lane;
    if (lane->first == entry) {
        lane_remove_first(r, lane);
        return;
    }
    struct entry **at = &lane->first;
    while (*at != entry)
        at = &(*at)->lane_next;
    *at = entry->lane_next;
    if (!*at)
        lane->end = at;
    entry->lane_next = NULL;
    entry->lane = NULL;
    r->waiting_count--;
}

struct entry *lane_find(struct route *r, uint64_t serial)
{
    for (unsigned b = 0; b < LANE_BUCKETS; b++)
        for (struct lane *lane = r->lanes[b]; lane; lane = lane->bucket_next)
            for (struct entry *e = lane->first; e; e = e->lane_next)
                if (e->item.serial == serial)
                    return e;
    return NULL;
}

void lane_each(struct route *r, void (*each)(struct entry *entry, void *ctx), void *ctx)
{
    for (unsigned b = 0; b < LANE_BUCKETS; b++) {
        for (struct lane *lane = r->lanes[b]; lane; lane = lane->bucket_next)
            for (struct entry *e = lane->first; e; e = e->lane_next)
                each(e, ctx);
    }
}

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
    *subject = r->one_per_post ? item->subject : UINT64_MAX;
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

/* Its first entry decides what the lane waits for. */
static void settle_down(struct route *r, struct lane *lane)
{
    if (!lane->first || lane->busy)
        return;
    if (lane->first->state == ENTRY_READY)
        lane_make_ready(r, lane);
    else if (lane->first->state == ENTRY_BACKOFF)
        lane_wait(r, lane);
}

void lane_append(struct route *r, struct lane *lane, struct entry *entry, bool sorted)
{
    struct entry **at = lane->end;
    if (sorted && lane->first && !lane->busy) {
        const struct entry *last =
            (struct entry *)((char *)lane->end - offsetof(struct entry, lane_next));
        if (last->item.order > entry->item.order)
            for (at = &lane->first; (*at)->item.order < entry->item.order;)
                at = &(*at)->lane_next;
    }
    if (lane->gap && !lane->first)
        r->gap_count--;
    entry->lane = lane;
    entry->lane_next = *at;
    *at = entry;
    if (!entry->lane_next)
        lane->end = &entry->lane_next;
    r->waiting_count++;
    if (lane->first == entry) {
        lane_unwait(r, lane);
        settle_down(r, lane);
    }
}

void lane_make_ready(struct route *r, struct lane *lane)
{
    lane_unwait(r, lane);
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

void lane_set_gap(struct route *r, struct lane *lane, bool gap)
{
    if (lane->gap == gap)
        return;
    if (!lane->first) { /* an empty lane is kept for its gap only, and not too many of them */
        if (gap && r->gap_count >= GAPS_MAX)
            return;
        r->gap_count += gap ? 1u : -1u;
    }
    lane->gap = gap;
}

void lane_remove(struct route *r, struct entry *entry)
{
    struct lane *lane = entry->lane;
    bool was_first = lane->first == entry;
    unsigned place = 0;
    if (was_first)
        lane_unwait(r, lane);
    struct entry **at = &lane->first;
    for (; *at != entry; place++)
        at = &(*at)->lane_next;
    if (place < lane->units && !lane->busy)
        lane->units = 0; /* what is tried again is not the same POST any more */
    *at = entry->lane_next;
    if (!*at)
        lane->end = at;
    entry->lane_next = NULL;
    entry->lane = NULL;
    r->waiting_count--;
    if (!lane->first && lane->gap) {
        if (r->gap_count >= GAPS_MAX)
            lane->gap = false;
        else
            r->gap_count++;
    }
    if (was_first)
        settle_down(r, lane);
    lane_tidy(r, lane);
}

/* ---- back-offs: a heap of lanes by the time their first entry is due ---- */

static int64_t due(const struct lane *lane)
{
    return lane->first->next_ms;
}

static void place(struct route *r, unsigned i, struct lane *lane)
{
    r->backoffs[i] = lane;
    lane->waiting = i + 1;
}

static void sift(struct route *r, unsigned i, struct lane *lane)
{
    while (i > 0 && due(r->backoffs[(i - 1) / 2]) > due(lane)) {
        place(r, i, r->backoffs[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (unsigned child; (child = 2 * i + 1) < r->backoff_count; i = child) {
        if (child + 1 < r->backoff_count && due(r->backoffs[child + 1]) < due(r->backoffs[child]))
            child++;
        if (due(r->backoffs[child]) >= due(lane))
            break;
        place(r, i, r->backoffs[child]);
    }
    place(r, i, lane);
}

void lane_wait(struct route *r, struct lane *lane)
{
    if (lane->waiting) {
        sift(r, lane->waiting - 1, lane);
        return;
    }
    if (r->backoff_count == r->backoff_cap) {
        unsigned cap = r->backoff_cap ? r->backoff_cap * 2 : 64;
        struct lane **heap = realloc(r->backoffs, cap * sizeof(struct lane *));
        if (!heap) { /* no memory to wait in: too early is better than never */
            lane->first->state = ENTRY_READY;
            lane_make_ready(r, lane);
            return;
        }
        r->backoffs = heap;
        r->backoff_cap = cap;
    }
    sift(r, r->backoff_count++, lane);
}

void lane_unwait(struct route *r, struct lane *lane)
{
    if (!lane->waiting)
        return;
    unsigned i = lane->waiting - 1;
    struct lane *last = r->backoffs[--r->backoff_count];
    lane->waiting = 0;
    if (last != lane)
        sift(r, i, last);
}

void lane_wake_due(struct route *r, int64_t now, bool first)
{
    while (r->backoff_count && (first || due(r->backoffs[0]) <= now)) {
        struct lane *lane = r->backoffs[0];
        struct entry *e = lane->first;
        lane_unwait(r, lane);
        for (unsigned i = 0; e && (i == 0 || i < lane->units); i++, e = e->lane_next)
            e->state = ENTRY_READY;
        lane_make_ready(r, lane);
        first = false;
    }
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

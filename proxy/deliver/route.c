/* A route's queue: what is not settled, in commit order; the cursor; the ticking. */
#include "internal.h"

#include "sluis/base/clock.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

struct content *content_new(struct deliver *d, struct span packed)
{
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
    c->deliver = d;
    c->n = packed.n;
    memcpy(c->bytes, packed.p, packed.n);
    return c;
}

void content_unref(struct content *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    atomic_fetch_sub(&c->deliver->content_bytes, c->n);
    sodium_memzero(c->bytes, c->n);
    free(c);
}

struct entry *entry_new(const struct store_item *item, struct content *content)
{
    struct entry *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    e->item = *item;
    e->content = content;
    if (content)
        atomic_fetch_add(&content->refs, 1);
    return e;
}

void entry_drop(struct entry *e)
{
    if (e->in_queue || e->lane)
        return;
    content_unref(e->content);
    free(e);
}

void route_add(struct route *r, struct entry *e)
{
    struct lane *lane = lane_of(r, &e->item);
    if (!lane) {
        /* No memory: forget it and read it again from the journal. */
        r->behind = true;
        if (e->item.order <= r->loaded)
            r->loaded = e->item.order - 1;
        entry_drop(e);
        return;
    }
    if (e->item.order > r->loaded)
        r->loaded = e->item.order;
    if (!e->pended) {
        e->in_queue = true;
        e->queue_next = NULL;
        *r->queue_end = e;
        r->queue_end = &e->queue_next;
        r->queue_count++;
    } else {
        r->pended_count++;
    }
    e->after_gap |= lane->gap;
    lane_append(r, lane, e);
}

static void note_outcome(struct route *r, const struct entry *e)
{
    if (r->outcome_count == OUTCOMES_MAX) /* attempts stop before this; see attempt_next */
        return;
    r->outcomes[r->outcome_count++] =
        (struct outcome_row){e->item.serial, e->item.order, e->item.subject, e->outcome,
                             e->last_status, e->attempts,   e->item.channel, e->pended};
    if (r->outcome_count == 1)
        r->settled_ms = clock_mono_ms();
}

void route_settle(struct route *r, struct entry *e, enum outcome outcome)
{
    static const enum deliver_counter which[] = {[OUTCOME_DELIVERED] = D_DELIVERED,
                                                 [OUTCOME_PARKED] = D_PARKED,
                                                 [OUTCOME_EXPIRED] = D_EXPIRED,
                                                 [OUTCOME_DROPPED] = D_DROPPED};
    e->state = ENTRY_SETTLED;
    e->outcome = outcome;
    content_unref(e->content);
    e->content = NULL;
    deliver_count(r->deliver, which[outcome], 1);
    r->delivered += outcome == OUTCOME_DELIVERED;
    r->parked += outcome == OUTCOME_PARKED;
    r->expired += outcome == OUTCOME_EXPIRED;
    note_outcome(r, e);
    if (e->pended)
        r->pended_count--;
    struct lane *lane = e->lane;
    if (outcome != OUTCOME_DELIVERED) {
        for (struct entry *next = e->lane_next; next; next = next->lane_next)
            next->after_gap = true;
    }
    if (lane)
        lane_remove(r, e);
    entry_drop(e);
}

/* Settled heads leave; a head that holds up many followers is pended. */
static void advance_queue(struct route *r)
{
    while (r->queue_first) {
        struct entry *e = r->queue_first;
        if (e->state != ENTRY_SETTLED && !e->pended) {
            if (r->queue_count <= QUEUE_HELD || e->pending_dirty)
                break;
            e->pending_dirty = true; /* flush.c writes the row and sets `pended` */
            flush_outcomes(r);
            break;
        }
        r->cursor = e->item.order;
        r->queue_first = e->queue_next;
        if (!r->queue_first)
            r->queue_end = &r->queue_first;
        r->queue_count--;
        e->in_queue = false;
        e->queue_next = NULL;
        entry_drop(e);
    }
    if (!r->queue_first && r->loaded > r->cursor)
        r->cursor = r->loaded; /* items between were for other routes */
}

void route_advance(struct route *r)
{
    if (!r->started)
        return;
    advance_queue(r);
    if (r->behind && !r->stopping && r->queue_count < QUEUE_LOW && r->pended_count < PENDED_MAX)
        refill_more(r);
    attempt_next(r);
    if (r->outcome_count >= FLUSH_OUTCOMES)
        flush_outcomes(r);
    if (r->waiting_count || r->outcome_count || r->behind || r->paused ||
        r->cursor != r->cursor_written)
        route_wake(r);
}

void route_wake(struct route *r)
{
    if (!r->ticking) {
        r->ticking = true;
        loop_timer_set(r->tick, TICK_MS);
    }
}

struct due {
    struct route *route;
    int64_t now;
};

static void make_due_ready(struct entry *e, void *ctx)
{
    struct due *due = ctx;
    if (e->state == ENTRY_BACKOFF && e->next_ms <= due->now) {
        e->state = ENTRY_READY;
        if (e->lane->first == e)
            lane_make_ready(due->route, e->lane);
    }
}

static void on_tick(void *ctx)
{
    struct route *r = ctx;
    int64_t now = clock_mono_ms();
    r->ticking = false;
    if (atomic_exchange(&r->missed, false))
        r->behind = true;
    struct due due = {r, now};
    /* Only first entries back off, so this walk could be over lanes; lanes are what it visits. */
    lane_each(r, make_due_ready, &due);
    if (r->outcome_count && now - r->settled_ms >= FLUSH_MS)
        flush_outcomes(r);
    else if (!r->outcome_count && r->cursor != r->cursor_written)
        flush_outcomes(r);
    route_advance(r);
}

void route_pause(struct route *r, int how, const char *why)
{
    if (r->paused == how)
        return;
    r->paused = how;
    r->paused_by = why;
    r->probe_ms = clock_mono_ms() + PROBE_MS;
    deliver_count(r->deliver, D_PAUSES, 1);
    LOG(how == PAUSE_TOLD ? LOG_ALARM : LOG_WARN, "deliver", "route_paused",
        log_word("channel", r->channel ? r->channel->name : "-"),
        log_word("route", r->facts ? r->facts->name : "-"), log_word("reason", why));
}

void route_resume(struct route *r)
{
    r->failures = 0;
    if (r->paused == PAUSE_NONE)
        return;
    r->paused = PAUSE_NONE;
    r->paused_by = NULL;
    LOG(LOG_INFO, "deliver", "route_resumed", log_word("channel", r->channel->name),
        log_word("route", r->facts->name));
}

/* ---- making, configuring, ending ---- */

int route_new(struct deliver *d, uint16_t id, struct loop *loop, struct route **out)
{
    *out = NULL;
    struct route *r = calloc(1, sizeof(*r));
    if (!r)
        return SLUIS_ENOMEM;
    r->deliver = d;
    r->id = id;
    r->loop = loop;
    r->queue_end = &r->queue_first;
    r->ready_end = &r->ready_first;
    arena_init(&r->arena, 64u * 1024 * 1024);
    r->outcomes = calloc(OUTCOMES_MAX, sizeof(*r->outcomes));
    int result = r->outcomes ? keyring_cache_new(d->deps.keyring, &r->keys) : SLUIS_ENOMEM;
    if (result != 0) {
        route_free(r);
        return result;
    }
    *out = r;
    return 0;
}

static void free_entry(struct entry *e)
{
    content_unref(e->content);
    free(e);
}

void route_free(struct route *r)
{
    if (!r)
        return;
    attempt_cancel_all(r);
    while (r->queue_first) { /* the queue first: lanes hold what is left */
        struct entry *e = r->queue_first;
        r->queue_first = e->queue_next;
        e->in_queue = false;
        if (!e->lane)
            free_entry(e);
    }
    for (unsigned b = 0; b < LANE_BUCKETS; b++) {
        while (r->lanes[b]) {
            struct lane *lane = r->lanes[b];
            r->lanes[b] = lane->bucket_next;
            while (lane->first) {
                struct entry *e = lane->first;
                lane->first = e->lane_next;
                free_entry(e);
            }
            free(lane);
        }
    }
    if (r->tick)
        loop_timer_free(r->tick);
    if (r->client)
        client_free(r->client);
    tls_unref(r->tls);
    if (r->keys)
        keyring_cache_free(r->keys);
    if (r->config)
        config_unref(r->config);
    sodium_memzero(r->alias_key, sizeof(r->alias_key));
    sodium_memzero(r->hash_key, sizeof(r->hash_key));
    sodium_memzero(r->id_key, sizeof(r->id_key));
    arena_free(&r->arena);
    free(r->outcomes);
    free(r);
}

static int open_client(struct route *r)
{
    struct diag diag = {0};
    struct tls_context *tls = NULL;
    int result = client_url_parse(span_str(r->facts->url), &r->url);
    if (result == 0 && r->url.https) {
        const struct tls_client_config config = {.ca_file = r->facts->ca_file};
        result = tls_client_new(&config, &tls, &diag);
    }
    if (result == 0 && r->deliver->deps.resolver)
        result = resolver_add(r->deliver->deps.resolver, r->url.host, r->facts->private_allowed);
    if (result != 0)
        return result;
    if (r->client) {
        attempt_cancel_all(r);
        client_free(r->client);
        r->client = NULL;
    }
    tls_unref(r->tls);
    r->tls = tls;
    const struct client_config config = {
        .tls = tls,
        .resolver = r->deliver->deps.resolver,
        .user_agent = "sluis/" SLUIS_VERSION,
        .connections = IN_FLIGHT_MAX,
        .waiting = IN_FLIGHT_MAX * 2,
    };
    return client_new(r->loop, &config, &r->client);
}

static void derive(struct route *r, const char *use, uint8_t out[KEYRING_KEY_BYTES])
{
    char label[64 + 2 * CONFIG_NAME_MAX];
    snprintf(label, sizeof(label), "%s/%s/%s", use, r->channel->name, r->facts->name);
    keyring_derive(r->deliver->deps.keyring, label, out);
}

void route_configure(struct route *r)
{
    struct config *config = config_acquire(r->deliver->deps.config);
    const struct config_channel *channel = NULL;
    const struct config_route *facts = config_route_by_id(config, r->id, &channel);
    struct config *old = r->config;
    r->config = config;
    r->present = facts != NULL;
    r->facts = facts;
    r->channel = channel;
    if (facts) {
        char label[64 + CONFIG_NAME_MAX];
        snprintf(label, sizeof(label), "hash/%s", channel->name);
        keyring_derive(r->deliver->deps.keyring, label, r->hash_key);
        derive(r, "alias", r->alias_key);
        derive(r, "delivery-id", r->id_key);
        int result = r->tick ? 0 : loop_timer_new(r->loop, on_tick, r, &r->tick);
        if (result == 0)
            result = open_client(r);
        if (result == 0 && !r->started)
            result = refill_start(r);
        if (result != 0) {
            LOG(LOG_ALARM, "deliver", "route_not_ready", log_word("channel", channel->name),
                log_word("route", facts->name), log_error(result));
            r->present = false;
        } else {
            r->started = true;
            route_resume(r); /* a changed address deserves a try */
        }
    }
    if (old)
        config_unref(old);
    if (r->started && r->present)
        route_advance(r);
}

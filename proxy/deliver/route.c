/* A route's queue: what is not settled, in commit order; the cursor; the ticking. */
#include "internal.h"

#include "sluis/base/clock.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

struct entry *entry_new(struct deliver *d, const struct store_item *item, struct content *content)
{
    struct entry *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    atomic_fetch_add(&d->entries, 1);
    e->item = *item;
    e->content = content;
    if (content)
        atomic_fetch_add(&content->refs, 1);
    return e;
}

static void free_entry(struct deliver *d, struct entry *e)
{
    atomic_fetch_sub(&d->entries, 1);
    content_unref(e->content);
    free(e);
}

void entry_drop(struct deliver *d, struct entry *e)
{
    if (!e->in_queue && !e->lane)
        free_entry(d, e);
}

bool route_has_room(const struct route *r)
{
    return r->queue_count < QUEUE_LEAST ||
           (r->queue_count < QUEUE_MAX && atomic_load(&r->deliver->entries) < ENTRIES_MAX);
}

int route_add(struct route *r, struct entry *e)
{
    if (r->waiting_count == 0 && r->facts && !r->in_flight)
        r->one_per_post = r->facts->one_per_post;
    struct lane *lane = lane_of(r, &e->item);
    if (!lane) {
        entry_drop(r->deliver, e);
        return SLUIS_ENOMEM;
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
    lane_append(r, lane, e, e->pended && !r->started);
    return 0;
}

bool route_can_settle(const struct route *r, unsigned n)
{
    return r->outcome_count + r->units_in_flight + n <= OUTCOMES_MAX;
}

/* Attempts and operators stop before there is no room: route_can_settle. */
static void note_outcome(struct route *r, const struct entry *e)
{
    if (r->outcome_count == OUTCOMES_MAX) {
        LOG(LOG_ALARM, "deliver", "outcome_lost", log_u64("serial", e->item.serial));
        return;
    }
    r->outcomes[r->outcome_count++] = (struct outcome_row){
        e->item.serial,  e->item.order,  e->item.subject,
        e->outcome,      e->last_status, e->attempts,
        e->item.channel, e->pended,      (e->item.flags & STORE_ITEM_TOLD) != 0,
        e->item.batch};
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
    if (lane && outcome != OUTCOME_DELIVERED) {
        for (struct entry *next = e->lane_next; next; next = next->lane_next)
            next->after_gap = true;
        lane_set_gap(r, lane, true);
    } else if (lane && !e->lane_next) { /* whoever came after the gap has been told */
        lane_set_gap(r, lane, false);
    }
    if (lane)
        lane_remove(r, e);
    entry_drop(r->deliver, e);
}

void route_settle_lost(struct route *r, const struct store_pending *p)
{
    if (!route_can_settle(r, 1))
        return; /* the row stays for the next start */
    const struct entry e = {.item = {.serial = p->serial, .order = r->cursor},
                            .outcome = OUTCOME_EXPIRED,
                            .pended = true,
                            .attempts = p->attempts,
                            .last_status = p->last_status};
    deliver_count(r->deliver, D_EXPIRED, 1);
    r->expired++;
    note_outcome(r, &e);
}

/* Settled heads leave; a head that holds up many followers is pended. */
static void advance_queue(struct route *r)
{
    while (r->queue_first) {
        struct entry *e = r->queue_first;
        if (e->state != ENTRY_SETTLED && !e->pended)
            break;
        r->cursor = e->item.order;
        r->queue_first = e->queue_next;
        if (!r->queue_first)
            r->queue_end = &r->queue_first;
        r->queue_count--;
        e->in_queue = false;
        e->queue_next = NULL;
        entry_drop(r->deliver, e);
    }
    if (!r->queue_first && r->loaded > r->cursor)
        r->cursor = r->loaded; /* items between were for other routes */
}

void route_advance(struct route *r)
{
    if (!r->started)
        return;
    advance_queue(r);
    if (r->behind && !r->stopping && r->queue_count < QUEUE_LOW && r->pended_count < PENDED_MAX &&
        route_has_room(r))
        refill_more(r);
    attempt_next(r);
    if (r->outcome_count >= FLUSH_OUTCOMES ||
        (r->queue_count > QUEUE_HELD && r->pended_count < PENDED_MAX))
        flush_outcomes(r);
    if (r->waiting_count || r->outcome_count || r->behind || r->paused ||
        r->cursor != r->cursor_written)
        route_wake(r);
}

void route_wake(struct route *r)
{
    if (!r->ticking) {
        r->ticking = true;
        loop_timer_set(r->tick, r->behind && r->more && !r->stopping ? 1 : TICK_MS);
    }
}

static void on_tick(void *ctx)
{
    struct route *r = ctx;
    int64_t now = clock_mono_ms();
    r->ticking = false;
    if (atomic_exchange(&r->missed, false))
        r->behind = true;
    /* A paused route has to try something, however long its conversations still want to wait. */
    bool probe = r->paused && !r->probing && !r->in_flight && !r->ready_first && now >= r->probe_ms;
    lane_wake_due(r, now, probe);
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
    r->probe_ms = clock_mono_ms() + (how == PAUSE_TOLD ? PROBE_MS : PROBE_DOWN_MS);
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
    if (result == 0)
        result = detect_scratch_new(&r->scratch);
    if (result != 0) {
        route_free(r);
        return result;
    }
    *out = r;
    return 0;
}

void route_drop_entries(struct route *r)
{
    while (r->queue_first) { /* the queue first: lanes hold what is left */
        struct entry *e = r->queue_first;
        r->queue_first = e->queue_next;
        e->in_queue = false;
        if (!e->lane)
            free_entry(r->deliver, e);
    }
    for (unsigned b = 0; b < LANE_BUCKETS; b++) {
        while (r->lanes[b]) {
            struct lane *lane = r->lanes[b];
            r->lanes[b] = lane->bucket_next;
            while (lane->first) {
                struct entry *e = lane->first;
                lane->first = e->lane_next;
                free_entry(r->deliver, e);
            }
            free(lane);
        }
    }
    r->queue_end = &r->queue_first;
    r->ready_first = NULL;
    r->ready_end = &r->ready_first;
    r->queue_count = r->pended_count = r->waiting_count = r->backoff_count = r->gap_count = 0;
}

void route_free(struct route *r)
{
    if (!r)
        return;
    attempt_cancel_all(r);
    route_drop_entries(r);
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
    sodium_memzero(r->token_key, sizeof(r->token_key));
    sodium_memzero(r->id_key, sizeof(r->id_key));
    detect_scratch_free(r->scratch);
    arena_free(&r->arena);
    free(r->outcomes);
    free(r->backoffs);
    free(r);
}

/* Where to and whom to trust; the attempts under way are taken back and made again. */
static int open_client(struct route *r, const struct config_route *facts)
{
    struct diag diag = {0};
    struct tls_context *tls = NULL;
    struct client *client = NULL;
    struct client_url url;
    int result = client_url_parse(span_str(facts->url), &url);
    if (result == 0 && url.https) {
        const struct tls_client_config config = {.ca_file = facts->ca_file};
        result = tls_client_new(&config, &tls, &diag);
    }
    if (result == 0 && r->deliver->deps.resolver)
        result = resolver_add(r->deliver->deps.resolver, url.host);
    const struct client_config config = {
        .tls = tls,
        .resolver = r->deliver->deps.resolver,
        .private_allowed = facts->private_allowed,
        .user_agent = "sluis/" SLUIS_VERSION,
        .connections = IN_FLIGHT_MAX,
        .waiting = IN_FLIGHT_MAX * 2,
    };
    if (result == 0)
        result = client_new(r->loop, &config, &client);
    if (result != 0) {
        tls_unref(tls);
        return result;
    }
    attempt_cancel_all(r);
    if (r->client)
        client_free(r->client);
    tls_unref(r->tls);
    r->client = client;
    r->tls = tls;
    r->url = url;
    return 0;
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* A reload that says nothing new of this route does not disturb it. A route that is paused gets
 * fresh eyes: the file of the CA may have been corrected in place. */
static bool needs_client(const struct route *r, const struct config_route *facts)
{
    return !r->client || !r->facts || r->paused || !same(r->facts->url, facts->url) ||
           !same(r->facts->ca_file, facts->ca_file) ||
           r->facts->private_allowed != facts->private_allowed;
}

static void derive(struct route *r, const char *use, const struct config_channel *channel,
                   const struct config_route *facts, uint8_t out[KEYRING_KEY_BYTES])
{
    char label[64 + 2 * CONFIG_NAME_MAX];
    if (facts)
        snprintf(label, sizeof(label), "%s/%s/%s", use, channel->name, facts->name);
    else
        snprintf(label, sizeof(label), "%s/%s", use, channel->name);
    keyring_derive(r->deliver->deps.keyring, label, out);
}

static int take_facts(struct route *r, struct config *config, const struct config_channel *channel,
                      const struct config_route *facts)
{
    int result = r->tick ? 0 : loop_timer_new(r->loop, on_tick, r, &r->tick);
    if (result == 0 && needs_client(r, facts))
        result = open_client(r, facts);
    if (result != 0)
        return result;
    if (r->config)
        config_unref(r->config);
    r->config = config_ref(config);
    r->channel = channel;
    r->facts = facts;
    derive(r, "hash", channel, NULL, r->hash_key);
    derive(r, "token", channel, NULL, r->token_key);
    derive(r, "alias", channel, facts, r->alias_key);
    derive(r, DELIVER_ID_LABEL, channel, facts, r->id_key);
    if (!r->started) {
        r->one_per_post = facts->one_per_post;
        result = refill_start(r);
    }
    return result;
}

void route_configure(struct route *r)
{
    struct config *config = config_acquire(r->deliver->deps.config);
    const struct config_channel *channel = NULL;
    const struct config_route *facts = config_route_by_id(config, r->id, &channel);
    int result = facts ? take_facts(r, config, channel, facts) : SLUIS_ENOENT;
    r->present = result == 0;
    if (facts && result != 0)
        LOG(LOG_ALARM, "deliver", "route_not_ready", log_word("channel", channel->name),
            log_word("route", facts->name), log_error(result));
    config_unref(config);
    if (r->present) {
        r->started = true;
        route_resume(r); /* a changed address deserves a try */
        route_advance(r);
    } else {
        /* Gone, or not usable: what waits stays; the old facts serve outcomes not yet written. */
        attempt_cancel_all(r);
    }
}

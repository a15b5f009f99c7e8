/* The door: the table of routes, offers from the writer thread, and what operators ask. */
#include "internal.h"

#include "sluis/base/clock.h"

#include <stdlib.h>

#define D_COUNTER(name, help)                                                                      \
    {                                                                                              \
        "sluis_deliver_" name "_total", NULL, help, COUNTER_TOTAL, 0                               \
    }

#define ROUTE_IDS 65536u /* store_name_id gives 16 bits; untouched pages cost nothing */

static struct counter counters[D_COUNT] = {
    [D_DELIVERED] = D_COUNTER("delivered", "items delivered to a route"),
    [D_ATTEMPTS] = D_COUNTER("attempts", "POSTs to tools"),
    [D_RETRIES] = D_COUNTER("retries", "deliveries put back to wait"),
    [D_PARKED] = D_COUNTER("parked", "deliveries parked for a person"),
    [D_EXPIRED] = D_COUNTER("expired", "deliveries that outlived their retention or their tries"),
    [D_DROPPED] = D_COUNTER("dropped", "deliveries dropped by an operator"),
    [D_PAUSES] = D_COUNTER("pauses", "times a route was paused"),
    [D_REREAD] = D_COUNTER("reread", "items read back from the journal"),
    [D_FROM_M] = D_COUNTER("from_profile", "deliveries made from part M: the original was gone"),
    [D_FLUSH_FAILED] = D_COUNTER("flush_failed", "outcomes that could not be written yet"),
};

int deliver_new(const struct deliver_deps *deps, struct deliver **out)
{
    *out = NULL;
    struct deliver *d = calloc(1, sizeof(*d));
    if (!d)
        return SLUIS_ENOMEM;
    d->deps = *deps;
    d->counters = counters;
    if (d->deps.memory_max == 0)
        d->deps.memory_max = 64u * 1024 * 1024;
    pthread_mutex_init(&d->lock, NULL);
    pthread_mutex_init(&d->content_lock, NULL);
    d->by_id = calloc(ROUTE_IDS, sizeof(*d->by_id));
    int r = d->by_id ? counters_register(counters, D_COUNT) : SLUIS_ENOMEM;
    if (r != 0) {
        deliver_free(d);
        return r;
    }
    *out = d;
    return 0;
}

static struct route *find(struct deliver *d, uint16_t id)
{
    return atomic_load(&d->by_id[id]);
}

/* The list grows while others walk it: one at a time, NULL past the end. */
static struct route *route_at(struct deliver *d, unsigned i)
{
    pthread_mutex_lock(&d->lock);
    struct route *r = i < d->route_count ? d->routes[i] : NULL;
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int add_route(struct deliver *d, uint16_t id)
{
    if (find(d, id))
        return 0;
    struct route *r;
    int result = route_new(d, id, d->deps.loops[id % d->deps.loop_count], &r);
    if (result != 0)
        return result;
    pthread_mutex_lock(&d->lock);
    if (d->route_count == d->route_cap) {
        unsigned cap = d->route_cap ? d->route_cap * 2 : 16;
        struct route **routes = realloc(d->routes, cap * sizeof(struct route *));
        if (routes) {
            d->routes = routes;
            d->route_cap = cap;
        } else {
            result = SLUIS_ENOMEM;
        }
    }
    if (result == 0) {
        d->routes[d->route_count++] = r;
        atomic_store(&d->by_id[id], r);
    }
    pthread_mutex_unlock(&d->lock);
    if (result != 0)
        route_free(r);
    return result;
}

/* ---- asking a route's thread, and waiting ---- */

struct ask {
    struct mail mail;
    struct route *route;
    void (*act)(struct route *route, struct ask *ask);
    uint64_t serial;
    int result;
    struct deliver_route_status status;
    struct deliver_row *rows; /* act_waiting */
    unsigned most, n;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool done;
};

static void on_ask(struct mail *mail)
{
    struct ask *a = (struct ask *)mail;
    a->act(a->route, a);
    pthread_mutex_lock(&a->lock);
    a->done = true;
    pthread_cond_signal(&a->ready);
    pthread_mutex_unlock(&a->lock);
}

static int ask_route(struct route *r, void (*act)(struct route *, struct ask *), struct ask *a)
{
    a->route = r;
    a->act = act;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->ready, NULL);
    loop_post(r->loop, &a->mail, on_ask);
    pthread_mutex_lock(&a->lock);
    while (!a->done)
        pthread_cond_wait(&a->ready, &a->lock);
    pthread_mutex_unlock(&a->lock);
    pthread_cond_destroy(&a->ready);
    pthread_mutex_destroy(&a->lock);
    return a->result;
}

static void act_configure(struct route *r, struct ask *a)
{
    (void)a;
    route_configure(r);
}

void deliver_reload(struct deliver *d)
{
    struct config *config = config_acquire(d->deps.config);
    for (size_t c = 0; c < config->channel_count; c++) {
        for (size_t i = 0; i < config->channels[c].route_count; i++) {
            int r = add_route(d, config->channels[c].routes[i].id);
            if (r != 0)
                LOG(LOG_ALARM, "deliver", "route_not_made", log_error(r),
                    log_word("route", config->channels[c].routes[i].name));
        }
    }
    config_unref(config);
    struct route *r;
    for (unsigned i = 0; (r = route_at(d, i)); i++) {
        struct ask a = {.result = 0};
        ask_route(r, act_configure, &a);
    }
}

void deliver_start(struct deliver *d)
{
    deliver_reload(d);
}

static void act_stop(struct route *r, struct ask *a)
{
    r->stopping = true;
    a->result = (int)r->in_flight;
}

static void act_flush(struct route *r, struct ask *a)
{
    if (r->started && flush_wanted(r))
        flush_outcomes(r);
    a->result = r->flushing || (r->started && flush_wanted(r)) ? 1 : 0;
}

static bool all_say_zero(struct deliver *d, void (*act)(struct route *, struct ask *))
{
    bool zero = true;
    struct route *r;
    for (unsigned i = 0; (r = route_at(d, i)); i++) {
        struct ask a = {.result = 0};
        zero = ask_route(r, act, &a) == 0 && zero;
    }
    return zero;
}

static void pause_ms(int ms)
{
    const struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
    nanosleep(&t, NULL);
}

void deliver_stop(struct deliver *d, int64_t ms)
{
    int64_t end = clock_mono_ms() + ms;
    while (!all_say_zero(d, act_stop) && clock_mono_ms() < end)
        pause_ms(20);
    while (!all_say_zero(d, act_flush) && clock_mono_ms() < end)
        pause_ms(20);
}

void deliver_free(struct deliver *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < d->route_count; i++)
        route_free(d->routes[i]);
    free(d->routes);
    free(d->by_id);
    pthread_mutex_destroy(&d->lock);
    pthread_mutex_destroy(&d->content_lock);
    free(d);
}

/* ---- offers ---- */

struct offer {
    struct mail mail;
    struct route *route;
    struct entry *entry; /* NULL: no memory; the journal has it */
    uint64_t order;
};

static void on_offer(struct mail *mail)
{
    struct offer *o = (struct offer *)mail;
    struct route *r = o->route;
    struct entry *e = o->entry;
    if (o->order > r->newest)
        r->newest = o->order;
    if (atomic_exchange(&r->missed, false))
        r->behind = true; /* before this one is taken: `loaded` still stands before the lost one */
    bool keep = e && r->started && !r->behind && !r->stopping && route_has_room(r) &&
                r->pended_count < PENDED_MAX && e->item.order > r->loaded;
    if (keep && route_add(r, e) != 0)
        keep = false, e = NULL;
    if (!keep) {
        if (o->order > r->loaded)
            r->behind = true;
        if (e)
            entry_drop(r->deliver, e);
    }
    free(o);
    route_advance(r);
}

void deliver_offer(struct deliver *d, const struct store_item *item, struct span packed,
                   const char *judged_by)
{
    struct content *content = content_new(d, item->serial, packed, judged_by);
    for (unsigned i = 0; i < item->route_count && i < STORE_ROUTES_MAX; i++) {
        struct route *r = find(d, item->routes[i]);
        struct offer *o = r ? malloc(sizeof(*o)) : NULL;
        if (!o) {
            if (r) {
                atomic_store(&r->missed, true);
                LOG(LOG_ERROR, "deliver", "offer_lost_to_memory", log_u64("route", r->id));
            }
            continue;
        }
        o->route = r;
        o->order = item->order;
        o->entry = entry_new(d, item, content);
        loop_post(r->loop, &o->mail, on_offer);
    }
    content_unref(content);
}

/* ---- operators ---- */

static void count_awaiting(struct entry *e, void *ctx)
{
    *(uint64_t *)ctx += e->awaiting;
}

static void act_status(struct route *r, struct ask *a)
{
    uint64_t awaiting = 0;
    lane_each(r, count_awaiting, &awaiting);
    a->status = (struct deliver_route_status){
        .route = r->id,
        .paused = r->paused != PAUSE_NONE,
        .paused_by = r->paused_by,
        .cursor = r->cursor,
        .newest = r->newest > r->loaded ? r->newest : r->loaded,
        .awaiting = awaiting,
        .waiting = r->waiting_count,
        .parked = r->parked,
        .expired = r->expired,
        .delivered = r->delivered,
        .in_flight = r->in_flight,
    };
}

int deliver_status(struct deliver *d, struct deliver_route_status *out, unsigned most)
{
    unsigned n = 0;
    struct route *r;
    for (; n < most && (r = route_at(d, n)); n++) {
        struct ask a = {.result = 0};
        ask_route(r, act_status, &a);
        out[n] = a.status;
    }
    return (int)n;
}

static void take_waiting(struct entry *e, void *ctx)
{
    struct ask *a = ctx;
    if (e->pended || a->n == a->most)
        return; /* in the store's rows */
    a->rows[a->n++] = (struct deliver_row){.route = a->route->id,
                                           .serial = e->item.serial,
                                           .state = STORE_PENDING_WAITING,
                                           .attempts = e->attempts,
                                           .last_status = e->last_status,
                                           .next_ms = e->next_ms ? clock_wall_ms() + e->next_ms - clock_mono_ms()
                                                                 : e->item.taken_ms};
}

static void act_waiting(struct route *r, struct ask *a)
{
    lane_each(r, take_waiting, a);
}

int deliver_waiting(struct deliver *d, uint16_t route, struct deliver_row *out, unsigned most)
{
    struct route *r = atomic_load(&d->by_id[route]);
    struct ask a = {.rows = out, .most = most};
    if (r)
        ask_route(r, act_waiting, &a);
    return (int)a.n;
}

static void now_ready(struct entry *e, void *ctx)
{
    struct route *r = ctx;
    if (e->state == ENTRY_BACKOFF) {
        e->state = ENTRY_READY;
        if (e->lane->first == e)
            lane_make_ready(r, e->lane);
    }
}

struct row_search {
    uint64_t serial;
    uint8_t state;
};

static int match_row(void *ctx, const struct store_pending *p)
{
    struct row_search *search = ctx;
    if (p->serial == search->serial)
        search->state = p->state;
    return 1; /* the first from the serial on is it, or it is not there */
}

/* A parked one comes back as a waiting entry at the end of its conversation. Only what its row says
 * is parked for this very route: a serial is a number that anybody can mistype. */
static int unpark(struct route *r, uint64_t serial)
{
    struct store_read *read;
    struct store_item item;
    struct row_search search = {serial, 0};
    int result = r->started ? store_read_begin(r->deliver->deps.store, &read) : SLUIS_ENOENT;
    if (result != 0)
        return result;
    result = store_each_pending(read, r->id, serial, match_row, &search);
    if (result >= 0)
        result = search.state == STORE_PENDING_PARKED ? store_get_item(read, serial, &item)
                                                      : SLUIS_ENOENT;
    store_read_end(read);
    for (unsigned i = 0; result == 0 && i < r->outcome_count; i++)
        if (r->outcomes[i].serial == serial)
            result = SLUIS_EAGAIN; /* what became of it is not written yet */
    if (result != 0)
        return result;
    struct entry *e = entry_new(r->deliver, &item, NULL);
    if (!e)
        return SLUIS_ENOMEM;
    e->pended = true; /* its row stands; the outcome replaces or removes it */
    result = route_add(r, e);
    if (result == 0 && r->parked)
        r->parked--;
    return result;
}

static void act_retry(struct route *r, struct ask *a)
{
    route_resume(r);
    if (a->serial == 0) {
        lane_each(r, now_ready, r);
    } else {
        struct entry *e = lane_find(r, a->serial);
        if (e)
            now_ready(e, r);
        else
            a->result = unpark(r, a->serial);
    }
    route_advance(r);
}

int deliver_retry(struct deliver *d, uint16_t route, uint64_t serial)
{
    struct route *r = find(d, route);
    struct ask a = {.serial = serial};
    return r ? ask_route(r, act_retry, &a) : SLUIS_ENOENT;
}

static void act_drop(struct route *r, struct ask *a)
{
    struct entry *e = a->serial ? lane_find(r, a->serial) : NULL;
    if (!e && (a->result = a->serial ? unpark(r, a->serial) : SLUIS_ENOENT) == 0)
        e = lane_find(r, a->serial);
    if (e && (e->state == ENTRY_IN_FLIGHT || !route_can_settle(r, 1)))
        a->result = SLUIS_EAGAIN;
    else if (e)
        route_settle(r, e, OUTCOME_DROPPED);
    route_advance(r);
}

int deliver_drop(struct deliver *d, uint16_t route, uint64_t serial)
{
    struct route *r = find(d, route);
    struct ask a = {.serial = serial};
    return r ? ask_route(r, act_drop, &a) : SLUIS_ENOENT;
}

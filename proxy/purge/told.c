/*
 * Routes are told (art. 19): an item of our own for each that wants it, RETENTION_TOLD_MAX messages
 * in one, delivered like any other. Told twice when a stop comes in between, never not at all.
 */
#include "room.h"

#include <stdlib.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/log.h"

#define LOOKED 4096 /* rows of a class in one read transaction */

/* ---- one item ---- */

struct tell_job {
    struct store_job job;
    struct purge *p;
    struct store_item item;
    struct retention_told told;
    const uint32_t *messages;
    struct audit_event event;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool done;
};

static int run_tell(struct store_txn *txn, struct store_job *job)
{
    struct tell_job *j = (struct tell_job *)(void *)job;
    struct store_item item = j->item;
    store_put_item(txn, &item);
    j->item.order = item.order;
    retention_told_put(txn, &j->told, j->messages);
    audit_put(txn, &j->event);
    return store_txn_error(txn);
}

/* The writer thread: offers come in commit order. */
static void tell_done(struct store_job *job)
{
    struct tell_job *j = (struct tell_job *)(void *)job;
    if (job->result == 0 && j->p->deps.offer)
        j->p->deps.offer(j->p->deps.ctx, &j->item);
    pthread_mutex_lock(&j->lock);
    j->done = true;
    pthread_cond_signal(&j->ready);
    pthread_mutex_unlock(&j->lock);
}

static int tell_one(struct teller *t, struct telling *r)
{
    char name[256] = "";
    struct purge *p = t->p;
    const uint64_t serial = store_next_serial(p->deps.store);
    struct tell_job j = {
        .job = {.priority = STORE_PURGE, .run = run_tell, .done = tell_done},
        .p = p,
        .item = {.serial = serial,
                 .channel = r->channel,
                 .kind = STORE_KIND_ACCOUNT,
                 .flags = STORE_ITEM_TOLD,
                 .at_ms = t->now_ms,
                 .taken_ms = t->now_ms,
                 .batch = t->event,
                 .route_count = 1,
                 .routes = {r->route}},
        .told = {.event = t->event,
                 .serial = serial,
                 .route = r->route,
                 .messages = (uint16_t)r->n,
                 .made_ms = t->now_ms},
        .messages = r->serials,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .ready = PTHREAD_COND_INITIALIZER,
    };
    (void)store_id_name(p->deps.store, STORE_NAME_ROUTE, r->route, name);
    j.event = (struct audit_event){.at_ms = t->now_ms,
                                   .action = AUDIT_DELIVER_INTENT,
                                   .actor = "gateway",
                                   .route = name,
                                   .object = serial,
                                   .count = r->n,
                                   .outcome = t->what == PURGE_TELL_ERASED ? "told_erased"
                                                                           : "told_expired"};
    store_submit(p->deps.store, &j.job);
    pthread_mutex_lock(&j.lock);
    while (!j.done)
        pthread_cond_wait(&j.ready, &j.lock);
    pthread_mutex_unlock(&j.lock);
    if (j.job.result == 0)
        r->n = 0;
    return j.job.result;
}

/* ---- an event ---- */

static struct telling *telling_of(struct teller *t, uint16_t route, uint16_t channel)
{
    for (unsigned i = 0; i < t->n; i++)
        if (t->at[i].route == route)
            return &t->at[i];
    if (t->n == TELL_ROUTES)
        return NULL;
    struct telling *r = &t->at[t->n++];
    r->route = route;
    r->channel = channel;
    r->wants = t->p->deps.told(t->p->deps.ctx, route) & t->what;
    r->messages = r->n = 0;
    return r;
}

int tell_add(struct teller *t, const struct store_item *item)
{
    int r = 0;
    if (!t->p->deps.told || item->kind == STORE_KIND_STATUS || item->flags & STORE_ITEM_TOLD)
        return 0;
    for (unsigned i = 0; r == 0 && i < item->route_count && i < STORE_ROUTES_MAX; i++) {
        struct telling *to = telling_of(t, item->routes[i], item->channel);
        if (!to)
            return SLUIS_ELIMIT;
        if (!to->wants)
            continue;
        to->messages++;
        if (t->dry)
            continue;
        to->serials[to->n++] = (uint32_t)item->serial;
        if (to->n == RETENTION_TOLD_MAX)
            r = tell_one(t, to);
    }
    return r;
}

int tell_flush(struct teller *t)
{
    int r = 0;
    for (unsigned i = 0; r == 0 && i < t->n; i++)
        if (t->at[i].n)
            r = tell_one(t, &t->at[i]);
    return r;
}

/* ---- what has expired ---- */

struct expired {
    struct purge *p;
    struct store_read *read;
    struct teller *teller;
    uint32_t recorded[STORE_CLASSES_MAX + 1];
    uint16_t cls;
    uint32_t bucket; /* where to go on */
    uint64_t serial;
    unsigned looked;
    bool more;
    struct store_item items[LOOKED];
    unsigned n;
};

static bool is_past(const struct expired *e, uint16_t cls, uint32_t bucket)
{
    return cls == 0 || (cls <= STORE_CLASSES_MAX && e->recorded[cls] != NO_BUCKET &&
                        bucket <= e->recorded[cls]);
}

/* Of the last part that goes. What was sealed anew has another serial: it is not told. */
static int take_key(void *ctx, const struct record_id *id)
{
    struct expired *e = ctx;
    struct store_item item;
    if (id->bucket > e->recorded[e->cls])
        return 1;
    if (e->looked++ == LOOKED) {
        e->bucket = id->bucket;
        e->serial = id->serial;
        e->more = true;
        return 1;
    }
    int r = store_get_item(e->read, id->serial, &item);
    if (r == SLUIS_ENOENT)
        return 0;
    if (r != 0)
        return r;
    if (!is_past(e, item.cls_o, item.bucket_o) || !is_past(e, item.cls_m, item.bucket_m) ||
        (id->part == 'O' && item.cls_m && item.cls_m != e->cls))
        return 0;
    if (e->n == 0 || e->items[e->n - 1].serial != item.serial)
        e->items[e->n++] = item;
    return 0;
}

static int tell_class(struct expired *e)
{
    int r = 0;
    e->bucket = 0;
    e->serial = 0;
    e->more = true;
    while (r == 0 && e->more && !purge_stopping(e->p)) {
        e->more = false;
        e->looked = e->n = 0;
        r = store_read_begin(e->p->deps.store, &e->read);
        if (r != 0)
            break;
        r = store_each_key(e->read, e->cls, e->bucket, e->serial, take_key, e);
        store_read_end(e->read);
        for (unsigned i = 0; r == 0 && i < e->n; i++)
            r = tell_add(e->teller, &e->items[i]);
    }
    return r;
}

int tell_expired(struct purge *p, int64_t now_ms)
{
    int r = 0;
    if (!p->deps.told || !(p->deps.told(p->deps.ctx, 0) & PURGE_TELL_EXPIRED)) {
        p->told_through = false;
        return 0; /* no route wants it */
    }
    struct expired *e = calloc(1, sizeof(*e));
    struct teller *t = calloc(1, sizeof(*t));
    if (!e || !t) {
        free(e);
        free(t);
        return SLUIS_ENOMEM;
    }
    *t = (struct teller){.p = p,
                         .event = store_next_serial(p->deps.store) | RETENTION_TOLD_EXPIRED,
                         .what = PURGE_TELL_EXPIRED,
                         .now_ms = now_ms};
    e->p = p;
    e->teller = t;
    pthread_mutex_lock(&p->lock);
    for (uint16_t cls = 1; r == 0 && cls <= STORE_CLASSES_MAX; cls++) {
        struct class_state state = {NO_BUCKET, NO_BUCKET};
        r = class_state_read(p, cls, &state);
        e->recorded[cls] = state.recorded;
    }
    pthread_mutex_unlock(&p->lock);
    for (e->cls = 1; r == 0 && e->cls <= STORE_CLASSES_MAX && !purge_stopping(p); e->cls++)
        if (e->recorded[e->cls] != NO_BUCKET)
            r = tell_class(e);
    if (r == 0)
        r = tell_flush(t);
    if (r == 0 && !purge_stopping(p)) {
        memcpy(p->told, e->recorded, sizeof(p->told));
        p->told_through = true;
    }
    uint64_t messages = 0;
    for (unsigned i = 0; i < t->n; i++)
        messages += t->at[i].messages;
    if (messages || r != 0)
        LOG(r ? LOG_ERROR : LOG_INFO, "purge", "told_expired", log_u64("deliveries", messages),
            log_error(r));
    free(e);
    free(t);
    return r;
}

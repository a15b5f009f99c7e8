/* Where entries come from when they were not offered, or could not be kept: the journal. */
#include "internal.h"

#include "sluis/base/clock.h"

struct walk {
    struct route *route;
    struct store_read *read;
    unsigned taken;
    int error;
};

static bool is_for(const struct route *r, const struct store_item *item)
{
    for (unsigned i = 0; i < item->route_count && i < STORE_ROUTES_MAX; i++)
        if (item->routes[i] == r->id)
            return true;
    return false;
}

static int take_pending(void *ctx, const struct store_pending *p)
{
    struct walk *w = ctx;
    struct route *r = w->route;
    struct store_item item;
    if (p->state == STORE_PENDING_PARKED)
        r->parked++;
    if (p->state == STORE_PENDING_EXPIRED)
        r->expired++;
    if (p->state != STORE_PENDING_WAITING)
        return 0;
    if (r->pended_count >= PENDED_MAX) {
        w->error = SLUIS_ELIMIT;
        return 1;
    }
    int result = store_get_item(w->read, p->serial, &item);
    if (result == SLUIS_ENOENT)
        return 0; /* its journal block was purged: nothing is left to deliver */
    struct entry *e = result == 0 ? entry_new(&item, NULL) : NULL;
    if (!e) {
        w->error = result ? result : SLUIS_ENOMEM;
        return 1;
    }
    e->pended = true;
    e->attempts = p->attempts;
    e->last_status = p->last_status;
    e->after_gap = p->after_gap;
    int64_t wait = p->next_ms - clock_wall_ms();
    if (p->attempts > 0 && wait > 0) {
        e->state = ENTRY_BACKOFF;
        e->next_ms = clock_mono_ms() + (wait > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : wait);
    }
    route_add(r, e);
    return 0;
}

static int take_item(void *ctx, const struct store_item *item)
{
    struct walk *w = ctx;
    struct route *r = w->route;
    if (item->order <= r->loaded)
        return 0;
    if (w->taken >= REFILL_ITEMS)
        return 1;
    w->taken++;
    if (!is_for(r, item)) {
        r->loaded = item->order;
        return 0;
    }
    struct entry *e = entry_new(item, NULL);
    if (!e) {
        w->error = SLUIS_ENOMEM;
        return 1;
    }
    route_add(r, e);
    deliver_count(r->deliver, D_REREAD, 1);
    return 0;
}

int refill_start(struct route *r)
{
    struct walk w = {r, NULL, 0, 0};
    int result = store_read_begin(r->deliver->deps.store, &w.read);
    if (result != 0)
        return result;
    uint64_t cursor = 0;
    result = store_get_cursor(w.read, r->id, &cursor);
    if (result == SLUIS_ENOENT)
        result = 0;
    r->cursor = r->cursor_written = r->loaded = cursor;
    if (result == 0)
        result = store_each_pending(w.read, r->id, 0, take_pending, &w);
    r->loaded = cursor; /* pended entries stand before the cursor */
    store_read_end(w.read);
    r->behind = true;
    return result < 0 ? result : w.error;
}

void refill_more(struct route *r)
{
    struct walk w = {r, NULL, 0, 0};
    int result = store_read_begin(r->deliver->deps.store, &w.read);
    if (result == 0) {
        result = store_each_item(w.read, r->loaded + 1, take_item, &w);
        store_read_end(w.read);
    }
    if (result < 0 || w.error) {
        LOG(LOG_ERROR, "deliver", "journal_read", log_u64("route", r->id),
            log_error(w.error ? w.error : result));
        route_wake(r);
        return;
    }
    /* All that was offered is loaded: from now on offers are taken as they come. */
    if (w.taken < REFILL_ITEMS && r->loaded >= r->newest)
        r->behind = false;
}

/* Where entries come from when they were not offered, or could not be kept: the journal. */
#include "internal.h"

#include "sluis/base/clock.h"

struct walk {
    struct route *route;
    struct store_read *read;
    unsigned taken, walked;
    bool more;        /* the journal has more than was taken */
    bool lost;        /* a waiting row without an item */
    uint64_t damaged; /* where the journal does not open: an order, or a waiting row's serial */
    int error;
};

static bool is_for(const struct route *r, const struct store_item *item)
{
    for (unsigned i = 0; i < item->route_count && i < STORE_ROUTES_MAX; i++)
        if (item->routes[i] == r->id)
            return true;
    return false;
}

/* The conversation of a parked one: what comes next in it is told of the gap. */
static void note_gap(struct route *r, const struct store_item *item)
{
    if (r->gap_count >= GAPS_MAX)
        return;
    struct lane *lane = lane_of(r, item);
    if (lane)
        lane_set_gap(r, lane, true);
}

static int add_waiting(struct walk *w, const struct store_item *item, const struct store_pending *p)
{
    struct entry *e = entry_new(w->route->deliver, item, NULL);
    if (!e)
        return SLUIS_ENOMEM;
    e->pended = true;
    e->attempts = p->attempts;
    e->last_status = p->last_status;
    e->after_gap = p->after_gap;
    int64_t wait = p->next_ms - clock_wall_ms();
    if (p->attempts > 0 && wait > 0) {
        e->state = ENTRY_BACKOFF;
        e->next_ms = clock_mono_ms() + (wait > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : wait);
    }
    return route_add(w->route, e);
}

/* Rows of items past the cursor wait for the journal to come to them: there they have their place
 * in commit order. */
static int take_pending(void *ctx, const struct store_pending *p)
{
    struct walk *w = ctx;
    struct route *r = w->route;
    struct store_item item;
    r->parked += p->state == STORE_PENDING_PARKED;
    r->expired += p->state == STORE_PENDING_EXPIRED;
    int result = store_get_item(w->read, p->serial, &item);
    if (result == SLUIS_ENOENT) { /* its journal block was purged: nothing is left to deliver */
        w->lost |= p->state == STORE_PENDING_WAITING;
        return 0;
    }
    if (result == SLUIS_ECRYPTO || result == SLUIS_EINVAL) { /* it waits on; the others go */
        w->damaged = p->serial;
        return 0;
    }
    if (result == 0 && item.order > r->cursor) {
        if (item.order > r->pended_to)
            r->pended_to = item.order;
    } else if (result == 0 && p->state == STORE_PENDING_WAITING) {
        result = add_waiting(w, &item, p);
    } else if (result == 0) {
        note_gap(r, &item);
    }
    w->error = result;
    return result != 0;
}

/* After the rest has succeeded: a start that is tried again must not count them twice. */
static int take_lost(void *ctx, const struct store_pending *p)
{
    struct walk *w = ctx;
    struct store_item item;
    if (p->state == STORE_PENDING_WAITING &&
        store_get_item(w->read, p->serial, &item) == SLUIS_ENOENT)
        route_settle_lost(w->route, p);
    return 0;
}

static int find_row(void *ctx, const struct store_pending *p)
{
    *(struct store_pending *)ctx = *p;
    return 1;
}

static int add_item(struct walk *w, const struct store_item *item)
{
    struct route *r = w->route;
    struct store_pending row = {.serial = 0};
    if (item->order <= r->pended_to) {
        int result = store_each_pending(w->read, r->id, item->serial, find_row, &row);
        if (result < 0)
            return result;
    }
    if (row.serial == item->serial && row.state == STORE_PENDING_WAITING)
        return add_waiting(w, item, &row);
    if (row.serial == item->serial) {
        note_gap(r, item);
        return 0;
    }
    struct entry *e = entry_new(r->deliver, item, NULL);
    deliver_count(r->deliver, D_REREAD, 1);
    return e ? route_add(r, e) : SLUIS_ENOMEM;
}

static int take_item(void *ctx, const struct store_item *item)
{
    struct walk *w = ctx;
    struct route *r = w->route;
    if (item->order <= r->loaded)
        return 0;
    if (w->taken >= REFILL_ITEMS || w->walked >= REFILL_WALK || !route_has_room(r)) {
        w->more = true;
        return 1;
    }
    w->walked++;
    if (item->kind != STORE_KIND_SENT && is_for(r, item)) {
        w->taken++;
        w->error = add_item(w, item);
        if (w->error)
            return 1; /* `loaded` stands before it: it is read again */
    }
    r->loaded = item->order;
    return 0;
}

int refill_start(struct route *r)
{
    struct walk w = {.route = r};
    int result = store_read_begin(r->deliver->deps.store, &w.read);
    if (result != 0)
        return result;
    uint64_t cursor = 0;
    result = store_get_cursor(w.read, r->id, &cursor);
    if (result == SLUIS_ENOENT)
        result = 0;
    r->cursor = r->cursor_written = r->loaded = cursor;
    r->pended_to = r->parked = r->expired = 0;
    if (result == 0)
        result = store_each_pending(w.read, r->id, 0, take_pending, &w);
    result = result < 0 ? result : w.error;
    if (result == 0 && w.lost)
        result = store_each_pending(w.read, r->id, 0, take_lost, &w);
    store_read_end(w.read);
    if (w.damaged)
        LOG(LOG_ALARM, "deliver", "journal_damaged", log_u64("route", r->id),
            log_u64("serial", w.damaged));
    r->behind = r->more = true;
    if (result != 0)
        route_drop_entries(r); /* a later try starts afresh */
    return result;
}

void refill_more(struct route *r)
{
    struct walk w = {.route = r};
    int result = store_read_begin(r->deliver->deps.store, &w.read);
    if (result == 0) {
        result = store_each_readable(w.read, r->loaded + 1, take_item, &w, &w.damaged);
        store_read_end(w.read);
    }
    if (result < 0 || w.error) {
        LOG(LOG_ERROR, "deliver", "journal_read", log_u64("route", r->id),
            log_error(w.error ? w.error : result));
        route_wake(r);
        return;
    }
    if (w.damaged > r->damaged_to) { /* what stands there cannot be delivered: nobody knows whose */
        r->damaged_to = w.damaged;
        LOG(LOG_ALARM, "deliver", "journal_damaged", log_u64("route", r->id),
            log_u64("order", w.damaged));
    }
    r->more = w.more;
    /* All that was offered is loaded: from now on offers are taken as they come. */
    if (!w.more && r->loaded >= r->newest)
        r->behind = false;
}

#include "deadline.h"
#include "sluis/base/clock.h"

static void link_in(struct deadline *head, struct deadline *d)
{
    d->prev = head->prev;
    d->next = head;
    head->prev->next = d;
    head->prev = d;
}

static void unlink_out(struct deadline *d)
{
    d->prev->next = d->next;
    d->next->prev = d->prev;
    d->prev = d->next = NULL;
}

static void file(struct deadline_wheel *wheel, struct deadline *d)
{
    /* Rounded up, so that the slot comes by when the deadline has passed. */
    int64_t tick = (d->due_ms + DEADLINE_TICK_MS - 1) / DEADLINE_TICK_MS;
    if (tick <= wheel->swept_tick)
        tick = wheel->swept_tick + 1;
    if (tick > wheel->swept_tick + DEADLINE_SLOTS - 1)
        tick = wheel->swept_tick + DEADLINE_SLOTS - 1;
    d->filed_ms = tick * DEADLINE_TICK_MS;
    link_in(&wheel->slots[tick % DEADLINE_SLOTS], d);
    wheel->filed++;
}

static void sweep_slot(struct deadline_wheel *wheel, struct deadline *slot, int64_t now)
{
    /* The slot's list moves to a head of its own: firing may remove any other deadline. */
    struct deadline due = {.prev = &due, .next = &due};
    if (slot->next == slot)
        return;
    due.next = slot->next;
    due.prev = slot->prev;
    due.next->prev = &due;
    due.prev->next = &due;
    slot->next = slot->prev = slot;
    while (due.next != &due) {
        struct deadline *d = due.next;
        unlink_out(d);
        wheel->filed--;
        if (d->due_ms == 0)
            continue;
        if (d->due_ms > now) {
            file(wheel, d);
            continue;
        }
        d->due_ms = 0;
        d->fire(d);
    }
}

static void sweep(void *ctx)
{
    struct deadline_wheel *wheel = ctx;
    int64_t now = clock_mono_ms();
    int64_t tick = now / DEADLINE_TICK_MS;
    /* After a long stop one round is enough: every slot is seen. */
    if (tick > wheel->swept_tick + DEADLINE_SLOTS)
        wheel->swept_tick = tick - DEADLINE_SLOTS;
    while (wheel->swept_tick < tick) {
        wheel->swept_tick++;
        sweep_slot(wheel, &wheel->slots[wheel->swept_tick % DEADLINE_SLOTS], now);
    }
    wheel->ticking = wheel->filed > 0;
    if (wheel->ticking)
        loop_timer_set(wheel->timer, DEADLINE_TICK_MS);
}

int deadline_wheel_init(struct deadline_wheel *wheel, struct loop *loop)
{
    *wheel = (struct deadline_wheel){.swept_tick = clock_mono_ms() / DEADLINE_TICK_MS};
    for (unsigned i = 0; i < DEADLINE_SLOTS; i++)
        wheel->slots[i].prev = wheel->slots[i].next = &wheel->slots[i];
    return loop_timer_new(loop, sweep, wheel, &wheel->timer);
}

void deadline_wheel_done(struct deadline_wheel *wheel)
{
    loop_timer_free(wheel->timer);
    wheel->timer = NULL;
}

void deadline_set(struct deadline_wheel *wheel, struct deadline *deadline, int64_t in_ms)
{
    deadline->due_ms = clock_mono_ms() + (in_ms > 0 ? in_ms : 1);
    if (deadline->next) {
        if (deadline->filed_ms <= deadline->due_ms)
            return;
        unlink_out(deadline);
        wheel->filed--;
    }
    if (!wheel->ticking) {
        /* Nothing is filed: the ticks that passed meanwhile hold nothing. */
        wheel->swept_tick = clock_mono_ms() / DEADLINE_TICK_MS;
        wheel->ticking = true;
        loop_timer_set(wheel->timer, DEADLINE_TICK_MS);
    }
    file(wheel, deadline);
}

void deadline_remove(struct deadline_wheel *wheel, struct deadline *deadline)
{
    deadline->due_ms = 0;
    if (!deadline->next)
        return;
    unlink_out(deadline);
    wheel->filed--;
}

/*
 * Deadlines of connections, cheap enough to set several times per request: a wheel of slots per
 * loop, swept by one coarse timer. Setting a later deadline only stores a number; the wheel finds
 * out when the old slot comes by. Fires up to DEADLINE_TICK_MS late, never early.
 *
 * The deadline is embedded in its owner, who removes it before it dies. Loop's thread only.
 */
#ifndef SLUIS_NET_DEADLINE_H
#define SLUIS_NET_DEADLINE_H

#include "sluis/net/loop.h"

#define DEADLINE_TICK_MS 50
#define DEADLINE_SLOTS 512 /* 25.6 s; later ones are filed again when their slot comes by */

struct deadline {
    struct deadline *prev, *next; /* NULL: not in the wheel */
    int64_t due_ms;               /* 0: none */
    int64_t filed_ms;             /* when its slot comes by */
    void (*fire)(struct deadline *deadline);
};

struct deadline_wheel {
    struct loop_timer *timer;
    int64_t swept_tick; /* the last tick that was swept */
    unsigned filed;
    bool ticking;
    struct deadline slots[DEADLINE_SLOTS]; /* list heads */
};

int deadline_wheel_init(struct deadline_wheel *wheel, struct loop *loop);
void deadline_wheel_done(struct deadline_wheel *wheel);
struct deadline_wheel *loop_deadlines(struct loop *loop);

void deadline_set(struct deadline_wheel *wheel, struct deadline *deadline, int64_t in_ms);
static inline void deadline_clear(struct deadline *deadline)
{
    deadline->due_ms = 0;
}
void deadline_remove(struct deadline_wheel *wheel, struct deadline *deadline);

#endif

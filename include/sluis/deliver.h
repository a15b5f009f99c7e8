/*
 * Delivery: every accepted item to every route of its channel at least once, in order per conversation,
 * or visibly parked, or visibly expired (promise 2). Conversations and routes go in parallel; a dead
 * route never delays another. Memory is bounded: past the cap only journal positions are kept
 * and content is read back from the store.
 *
 * A message with media waits until they have a verdict, at most MEDIA_WAIT_MS from its arrival, and
 * what follows in its conversation waits with it: "awaiting verdict". It is not an attempt.
 *
 * A route belongs to one event thread. A route that wants POSTs as received (`one_per_post: false`)
 * gets the units of one POST of Meta's together as far as they were committed one after the other; a
 * change of that setting takes effect when nothing waits for the route. A route that leaves the
 * configuration keeps what waits for it until it comes back.
 */
#ifndef SLUIS_DELIVER_H
#define SLUIS_DELIVER_H

#include "sluis/config.h"
#include "sluis/keyring.h"
#include "sluis/media.h"
#include "sluis/net/client.h"
#include "sluis/store.h"

struct deliver;

struct audit_gate;
struct deliver_deps {
    struct store *store;
    struct keyring *keyring;
    struct config_cell *config;
    struct resolver *resolver;
    struct loop **loops;
    unsigned loop_count;
    uint64_t memory_max; /* content kept in memory over all routes [64 MiB] */
    const char *media_base; /* see struct mask_reader */
    struct media *media;    /* NULL: media are not passed */
    /* May nothing of this person be delivered now? Asked before every attempt; such an item is
     * parked. May be NULL. */
    bool (*refused)(void *ctx, uint64_t subject);
    /* Did the contact opt in? Asked when the policy has conditions on it. May be NULL: no. */
    bool (*consents)(void *ctx, uint16_t channel, uint64_t subject);
    struct audit_gate *gate; /* closed: no attempts; or NULL */
    void *refused_ctx;       /* of `refused` and `consents` */
};
/* Reads cursors and pending rows; delivery starts with deliver_start (loops running). */
SLUIS_MUST_CHECK int deliver_new(const struct deliver_deps *deps, struct deliver **out);
void deliver_start(struct deliver *deliver);
/* Stops new attempts, waits for those under way at most `ms`, writes cursors. */
void deliver_stop(struct deliver *deliver, int64_t ms);
void deliver_free(struct deliver *deliver);
/* New configuration in force: routes added, changed, removed. */
void deliver_reload(struct deliver *deliver);

/* A committed item and its packed part O (mask_pack), copied when it fits in memory. From the job's
 * `done` only, on the writer thread: that is what makes offers come in commit order. */
/* Empty `packed`: content is read from the store. `judged_by`: policy_hash of the policy that made its
 * findings. Content judged by another policy than the one in force when it goes out, and all that is
 * read from the store, is judged again then; what both found is masked. */
void deliver_offer(struct deliver *deliver, const struct store_item *item, struct span packed,
                   const char *judged_by);
/* The item's parts were changed or deleted in the store (a later message showed what they hold, the
 * customer revoked it): a copy in memory is not used any more. Any thread; cannot fail. */
void deliver_forget(struct deliver *deliver, uint64_t serial);

/* For `sluis queue` and the admin face; any thread but the event threads. */
struct deliver_row {
    uint16_t route;
    uint64_t serial;
    uint8_t state;    /* enum store_pending_state */
    uint16_t attempts, last_status;
    int64_t next_ms;
};
struct deliver_route_status {
    uint16_t route;
    bool paused;
    const char *paused_by; /* constant word: "http_404", "tls_name", NULL */
    uint64_t cursor, newest; /* journal positions */
    uint64_t awaiting; /* of those waiting: for a verdict on their media */
    uint64_t waiting, parked, expired, delivered, in_flight;
};
int deliver_status(struct deliver *deliver, struct deliver_route_status *out, unsigned most);
/* What waits for the route in order, in memory, and has no pending row in the store: at most `most`, by
 * conversation. How many. */
int deliver_waiting(struct deliver *deliver, uint16_t route, struct deliver_row *out,
                    unsigned most);
/* Of a delivery that waits in memory or is parked: SLUIS_ENOENT when it is neither. Serial 0: all
 * that waits for the route, which is resumed. A parked one goes behind what waits of its
 * conversation. */
SLUIS_MUST_CHECK int deliver_retry(struct deliver *deliver, uint16_t route, uint64_t serial);
/* SLUIS_EAGAIN: it is being tried just now. */
SLUIS_MUST_CHECK int deliver_drop(struct deliver *deliver, uint16_t route, uint64_t serial);

/* ---- what became of it, for whoever compares with the tool's own list ---- */
#define DELIVER_ID_TEXT 33 /* X-Sluis-Delivery: 32 hex digits, NUL */
enum deliver_state {
    DELIVER_WAITING,
    DELIVER_DELIVERED,
    DELIVER_PARKED,
    DELIVER_EXPIRED,
    DELIVER_DROPPED
};
struct deliver_sent {
    uint64_t serial;
    uint64_t batch; /* serial of the first item of the same POST of Meta's */
    int64_t taken_ms;
    enum deliver_state state;
    char id[DELIVER_ID_TEXT]; /* of an item delivered together with others: the first one's counts */
};
/* The items of a route in commit order, from order `from` on, `most` looked at; *next: where to go
 * on, 0 at the end. Not on event threads. 0, the error of `each`, or the store's. */
SLUIS_MUST_CHECK int deliver_each_sent(struct deliver *deliver, const char *channel,
                                       const char *name, uint16_t route, uint64_t from,
                                       unsigned most,
                                       int (*each)(void *ctx, const struct deliver_sent *sent),
                                       void *ctx, uint64_t *next);

#endif

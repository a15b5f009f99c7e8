/*
 * Delivery: every accepted item to every route of its channel at least once, in order per conversation,
 * or visibly parked, or visibly expired (promise 2). Conversations and routes go in parallel; a dead
 * route never delays another. Memory is bounded: past the cap only journal positions are kept
 * and content is read back from the store.
 *
 * A route belongs to one event thread.
 */
#ifndef SLUIS_DELIVER_H
#define SLUIS_DELIVER_H

#include "sluis/config.h"
#include "sluis/keyring.h"
#include "sluis/net/client.h"
#include "sluis/store.h"

struct deliver;

struct deliver_deps {
    struct store *store;
    struct keyring *keyring;
    struct config_cell *config;
    struct resolver *resolver;
    struct loop **loops;
    unsigned loop_count;
    uint64_t memory_max; /* content kept in memory over all routes [64 MiB] */
    const char *media_base; /* see struct mask_reader */
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
void deliver_offer(struct deliver *deliver, const struct store_item *item, struct span packed);

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
    uint64_t waiting, parked, expired, delivered, in_flight;
};
int deliver_status(struct deliver *deliver, struct deliver_route_status *out, unsigned most);
SLUIS_MUST_CHECK int deliver_retry(struct deliver *deliver, uint16_t route, uint64_t serial); /* serial 0: whole route, resumes it */
SLUIS_MUST_CHECK int deliver_drop(struct deliver *deliver, uint16_t route, uint64_t serial);

#endif

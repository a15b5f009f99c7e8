/*
 * The deliver room's own shapes.
 *
 * Glossary
 *   entry   one item for one route
 *   lane    the entries of one conversation on one route, in commit order; one attempt at a time
 *           (a route that wants POSTs as received has one lane)
 *   head    the oldest entries of a route that are not settled stand in `queue`, in commit order;
 * the cursor is the commit order before the first of them pended  an entry whose state stands in a
 * pending row, so that the cursor may pass it
 *
 * An entry is in the queue (until the cursor passes it) and in its lane (until it is settled); it
 * is freed when it is in neither. Everything of a route is touched by its loop's thread only.
 *
 *   offer ----> live: entry made            refill: entries read from the journal
 *           \-> behind: only `newest` kept --/  (queue over QUEUE_MAX until below QUEUE_LOW)
 */
#ifndef SLUIS_DELIVER_INTERNAL_H
#define SLUIS_DELIVER_INTERNAL_H

#include "sluis/audit.h"
#include "sluis/base/arena.h"
#include "sluis/base/counters.h"
#include "sluis/base/log.h"
#include "sluis/deliver.h"
#include "sluis/mask.h"
#include "sluis/retention.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#define QUEUE_MAX 16384u      /* entries of a route in memory before it reads from disk */
#define QUEUE_LOW 4096u       /* below this it reads more */
#define QUEUE_HELD 1024u      /* unsettled heads older than this many followers are pended */
#define PENDED_MAX 65536u     /* pended entries of a route in memory */
#define REFILL_ITEMS 512u     /* items read from the journal in one turn */
#define IN_FLIGHT_MAX 32u     /* attempts of a route at once */
#define BATCH_UNITS_MAX 1000u /* units in one POST as received */
#define BODY_MAX (3u * 1024 * 1024)
#define LANE_BUCKETS 4096u    /* a power of two */
#define TICK_MS 100           /* back-offs and flushes are looked at this often */
#define FLUSH_MS 200          /* age of an outcome before it is written */
#define FLUSH_OUTCOMES 64u    /* outcomes before they are written at once */
#define OUTCOMES_MAX 4096u    /* unwritten outcomes before attempts stop */
#define BACKOFF_FIRST_MS 5000 /* jittered by half either way */
#define BACKOFF_MAX_MS (4 * 3600 * 1000)
#define RETRY_AFTER_MAX_S 3600 /* what a tool may ask for */
#define PROBE_MS (60 * 1000)   /* a paused route tries one delivery this often */
#define DOWN_AFTER 5u          /* network failures in a row before a route is probed only */
#define PARK_AFTER 3u          /* refusals of one delivery before it is parked */

struct route;

/* Content of a committed item, shared by the routes it goes to; wiped when the last lets go. */
struct content {
    _Atomic unsigned refs;
    struct deliver *deliver;
    size_t n;
    char bytes[];
};

enum entry_state { ENTRY_READY, ENTRY_IN_FLIGHT, ENTRY_BACKOFF, ENTRY_SETTLED };
enum outcome { OUTCOME_NONE, OUTCOME_DELIVERED, OUTCOME_PARKED, OUTCOME_EXPIRED, OUTCOME_DROPPED };

struct lane;
struct entry {
    struct entry *queue_next; /* in the route's queue */
    struct entry *lane_next;  /* in its lane */
    struct lane *lane;        /* NULL when settled */
    struct store_item item;
    struct content *content; /* NULL: read it from the store */
    enum entry_state state;
    enum outcome outcome;
    uint16_t attempts, refusals, last_status;
    bool in_queue, pended, pending_dirty, after_gap, fresh;
    uint8_t warned; /* 1: alarm at half its life given, 2: at nine tenths */
    int64_t next_ms;
};

struct lane {
    struct lane *bucket_next;
    struct lane *ready_next;
    uint16_t channel;
    uint64_t subject;
    struct entry *first, **end;
    bool ready, busy, gap;
};

struct attempt {
    struct route *route;
    struct lane *lane;
    uint64_t client_id;
    unsigned units; /* entries from the lane's first on that this POST carries */
    struct attempt *next;
};

enum { PAUSE_NONE, PAUSE_TOLD, PAUSE_DOWN };

struct outcome_row {
    uint64_t serial, order, subject;
    enum outcome outcome;
    uint16_t status, attempts;
    uint16_t channel;
    bool had_pending;
};

struct route {
    struct deliver *deliver;
    uint16_t id;
    struct loop *loop;
    struct config *config; /* the snapshot these facts come from */
    const struct config_channel *channel;
    const struct config_route *facts;
    struct client *client;
    struct tls_context *tls;
    struct client_url url;
    struct keyring_cache *keys;
    uint8_t alias_key[KEYRING_KEY_BYTES], hash_key[KEYRING_KEY_BYTES], id_key[KEYRING_KEY_BYTES];
    struct loop_timer *tick;
    bool ticking, started, stopping, behind, present;
    struct arena arena;

    struct entry *queue_first, **queue_end;
    unsigned queue_count, pended_count, waiting_count;
    struct lane *lanes[LANE_BUCKETS];
    struct lane *ready_first, **ready_end;
    struct attempt *attempts;
    unsigned in_flight;

    _Atomic bool missed; /* an offer was lost to memory: the journal has to be read */
    uint64_t newest;     /* highest commit order offered */
    uint64_t loaded;     /* highest commit order that has an entry or was passed */
    uint64_t cursor;     /* as last computed */
    uint64_t cursor_written;
    int64_t settled_ms;

    int paused;
    const char *paused_by;
    int64_t probe_ms;
    unsigned failures; /* network failures in a row */
    bool probing;

    struct outcome_row *outcomes; /* not yet written */
    unsigned outcome_count;
    bool flushing;
    uint64_t parked, expired, delivered;
};

struct deliver {
    struct deliver_deps deps;
    pthread_mutex_t lock; /* the table of routes */
    struct route **routes;
    unsigned route_count, route_cap;
    _Atomic uint64_t content_bytes;
    struct counter *counters;
};

enum deliver_counter {
    D_DELIVERED,
    D_ATTEMPTS,
    D_RETRIES,
    D_PARKED,
    D_EXPIRED,
    D_DROPPED,
    D_PAUSES,
    D_REREAD,
    D_FROM_M,
    D_FLUSH_FAILED,
    D_COUNT
};
static inline void deliver_count(struct deliver *d, enum deliver_counter c, int64_t n)
{
    counter_add(&d->counters[c], n);
}

/* ---- route.c: queue, cursor, ticking ---- */
int route_new(struct deliver *deliver, uint16_t id, struct loop *loop, struct route **out);
void route_free(struct route *route);
/* Takes facts from the configuration in force; starts on the first call. Loop's thread. */
void route_configure(struct route *route);
void route_add(struct route *route, struct entry *entry); /* takes the entry */
void route_settle(struct route *route, struct entry *entry, enum outcome outcome);
void route_advance(struct route *route); /* cursor, pending rows, flush, refill, attempts */
void route_wake(struct route *route);    /* a tick is due */
void route_pause(struct route *route, int how, const char *why);
void route_resume(struct route *route);

struct entry *entry_new(const struct store_item *item, struct content *content);
void entry_drop(struct entry *entry); /* frees when neither queue nor lane holds it */
struct content *content_new(struct deliver *deliver, struct span packed);
void content_unref(struct content *content);

/* ---- lane.c ---- */
struct lane *lane_of(struct route *route, const struct store_item *item); /* NULL: no memory */
void lane_append(struct route *route, struct lane *lane, struct entry *entry);
void lane_remove_first(struct route *route, struct lane *lane); /* frees an empty lane */
void lane_make_ready(struct route *route, struct lane *lane);
struct lane *lane_take_ready(struct route *route);
void lane_tidy(struct route *route, struct lane *lane); /* frees it when nothing holds it */
struct entry *lane_find(struct route *route, uint64_t serial);
/* Removes a settled entry that is not the first (drop by an operator). */
void lane_remove(struct route *route, struct entry *entry);
/* Calls `each` for every unsettled entry. */
void lane_each(struct route *route, void (*each)(struct entry *entry, void *ctx), void *ctx);

/* ---- refill.c ---- */
int refill_start(struct route *route); /* cursor, pending rows, then the journal */
void refill_more(struct route *route);

/* ---- compose.c ---- */
/* The body for `units` entries from the lane's first; SLUIS_EEXPIRED when the content is gone. */
int compose_body(struct route *route, struct lane *lane, unsigned units, struct buffer *out);

/* ---- attempt.c ---- */
void attempt_next(struct route *route); /* starts what may start */
void attempt_cancel_all(struct route *route);
int64_t backoff_ms(unsigned attempts);

/* ---- answer.c ---- */
enum verdict { VERDICT_DELIVERED, VERDICT_RETRY, VERDICT_PAUSE, VERDICT_REFUSED };
enum verdict verdict_of(const struct client_answer *answer, const char **why);
int64_t retry_after_ms(const struct client_answer *answer);

/* ---- flush.c ---- */
void flush_outcomes(struct route *route);

#endif

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

/* Tests build this room with smaller numbers, to see in a second what takes hours. */
#ifndef DELIVER_TEST_LIMITS
#define QUEUE_MAX 16384u          /* entries of a route in memory before it reads from disk */
#define QUEUE_LOW 4096u           /* below this it reads more */
#define QUEUE_HELD 1024u          /* unsettled heads older than this many followers are pended */
#define PENDED_MAX 65536u         /* pended entries of a route in memory */
#define REFILL_ITEMS 512u         /* items taken from the journal in one turn, */
#define TICK_MS 100               /* back-offs and flushes are looked at this often */
#define FLUSH_MS 200              /* age of an outcome before it is written */
#define BACKOFF_FIRST_MS 5000     /* jittered by half either way */
#define PROBE_MS (60 * 1000)      /* a paused route tries one delivery this often, */
#define PROBE_DOWN_MS (15 * 1000) /* or this often when its tool could not be reached */
#endif
#define ENTRIES_MAX                                                                                \
    262144u               /* entries of all routes in memory, some 70 MB; above it a route ...     \
                           */
#define QUEUE_LEAST 64u   /* ... keeps this many, so that it still moves */
#define GAPS_MAX 4096u    /* empty lanes of a route kept because their next item follows a gap */
#define REFILL_WALK 8192u /* and looked at: most may be for other routes */
#define IN_FLIGHT_MAX 32u /* attempts of a route at once */
#define BATCH_UNITS_MAX 1000u /* units in one POST as received */
#define BODY_MAX (3u * 1024 * 1024)
#define LANE_BUCKETS 4096u    /* a power of two */
#define CONTENT_BUCKETS 4096u /* a power of two */
#define GATHER_MS 30          /* units of one POST are committed within this, as a rule */
/* A part that policy forbids to write lives in memory only; no longer than this. */
#define UNWRITTEN_MS (3600 * 1000)
#define FLUSH_OUTCOMES 64u  /* outcomes before they are written at once */
#define OUTCOMES_MAX 4096u  /* unwritten outcomes before attempts stop */
#define FLUSH_AGAIN_MS 1000 /* after a flush that failed */
#define BACKOFF_MAX_MS (4 * 3600 * 1000)
#define RETRY_AFTER_MAX_S 3600 /* what a tool may ask for */
#define DOWN_AFTER 5u          /* network failures in a row before a route is probed only */
#define PARK_AFTER 3u          /* refusals of one delivery before it is parked */

struct route;

/* Content of a committed item, shared by the routes it goes to; wiped when the last lets go. */
struct content {
    _Atomic unsigned refs;
    _Atomic bool forgotten; /* the store knows better: read it there */
    struct deliver *deliver;
    struct content *next; /* in its bucket of deliver->contents */
    uint64_t serial;
    char judged_by[POLICY_HASH_HEX];
    size_t n;
    char bytes[];
};

enum entry_state { ENTRY_READY, ENTRY_IN_FLIGHT, ENTRY_BACKOFF, ENTRY_SETTLED };
#define VERDICT_LOOK_MS 50 /* who awaits a verdict looks again after this */
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
    bool in_queue, pended, after_gap, fresh;
    bool awaiting; /* a verdict on its media */
    uint8_t warned; /* 1: alarm at half its life given, 2: at nine tenths */
    int64_t next_ms;
    int64_t ends_o_ms, ends_m_ms; /* when the parts' keys are destroyed; 0: not looked up */
};

struct lane {
    struct lane *bucket_next;
    struct lane *ready_next;
    uint16_t channel;
    uint64_t subject;
    struct entry *first, **end;
    unsigned units;   /* entries of the POST that is tried (again); 0: none yet */
    unsigned waiting; /* 1 + its place in the route's heap of back-offs; 0: not there */
    bool ready, busy;
    bool gap; /* its last outcome was not a delivery: what comes next is told so */
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
    bool told;      /* something that we tell the route of our own */
    uint64_t event; /* and its number */
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
    uint8_t alias_key[KEYRING_KEY_BYTES], hash_key[KEYRING_KEY_BYTES], id_key[KEYRING_KEY_BYTES],
        token_key[KEYRING_KEY_BYTES];
    struct loop_timer *tick;
    bool ticking, started, stopping, behind, present;
    bool more;         /* the journal has more for the next turn */
    bool one_per_post; /* as the lanes are keyed; follows the configuration when nothing waits */
    struct arena arena;
    struct detect_scratch *scratch;

    struct entry *queue_first, **queue_end;
    unsigned queue_count, pended_count, waiting_count;
    struct lane *lanes[LANE_BUCKETS];
    struct lane *ready_first, **ready_end;
    struct lane **backoffs; /* heap: the lane that is due first is first */
    unsigned backoff_count, backoff_cap;
    unsigned gap_count; /* lanes that are empty and kept for their gap */
    struct attempt *attempts;
    unsigned in_flight, units_in_flight;

    _Atomic bool missed; /* an offer was lost to memory: the journal has to be read */
    uint64_t newest;     /* highest commit order offered */
    uint64_t loaded;     /* highest commit order that has an entry or was passed */
    uint64_t damaged_to; /* damage of the journal was told of up to this order */
    uint64_t pended_to;  /* pending rows of the last run reach to this order, past the cursor */
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
    int64_t flush_after_ms; /* not before: the last one failed */
    uint64_t parked, expired, delivered;
};

struct deliver {
    struct deliver_deps deps;
    /* Routes by number: offers find theirs without a lock. Never removed while running. */
    _Atomic(struct route *) *by_id;
    pthread_mutex_t lock; /* the list of routes */
    struct route **routes;
    unsigned route_count, route_cap;
    _Atomic uint64_t content_bytes;
    _Atomic unsigned entries;
    pthread_mutex_t content_lock;
    struct content *contents[CONTENT_BUCKETS];
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
/* Takes the entry; SLUIS_ENOMEM: it is gone, and has to be read from the journal again. */
int route_add(struct route *route, struct entry *entry);
/* Drops all entries in memory; the journal has them. Nothing may be in flight. */
void route_drop_entries(struct route *route);
/* Is there memory for one more entry? */
bool route_has_room(const struct route *route);
/* Outcomes can be noted for `n` more. */
bool route_can_settle(const struct route *route, unsigned n);
void route_settle(struct route *route, struct entry *entry, enum outcome outcome);
/* A pending row that waits for an item which the journal has no more: expired. */
void route_settle_lost(struct route *route, const struct store_pending *pending);
void route_advance(struct route *route); /* cursor, pending rows, flush, refill, attempts */
void route_wake(struct route *route);    /* a tick is due */
void route_pause(struct route *route, int how, const char *why);
void route_resume(struct route *route);

struct entry *entry_new(struct deliver *deliver, const struct store_item *item,
                        struct content *content);
/* Frees when neither queue nor lane holds it. */
void entry_drop(struct deliver *deliver, struct entry *entry);

/* ---- content.c ---- */
/* NULL: no memory, or the cap. */
struct content *content_new(struct deliver *deliver, uint64_t serial, struct span packed,
                            const char *judged_by);
void content_unref(struct content *content);

/* ---- lane.c ---- */
struct lane *lane_of(struct route *route, const struct store_item *item); /* NULL: no memory */
/* In commit order when `sorted`, else at the end. */
void lane_append(struct route *route, struct lane *lane, struct entry *entry, bool sorted);
void lane_make_ready(struct route *route, struct lane *lane);
struct lane *lane_take_ready(struct route *route);
void lane_tidy(struct route *route, struct lane *lane); /* frees it when nothing holds it */
struct entry *lane_find(struct route *route, uint64_t serial);
/* Removes a settled entry; frees an empty lane. */
void lane_remove(struct route *route, struct entry *entry);
/* The lane's first entry backs off: makes it ready when it is due. */
void lane_wait(struct route *route, struct lane *lane);
void lane_unwait(struct route *route, struct lane *lane);
/* Makes every lane ready that is due at `now`; with `first` the one that is due first, whenever. */
void lane_wake_due(struct route *route, int64_t now, bool first);
/* What its last outcome means for the next. */
void lane_set_gap(struct route *route, struct lane *lane, bool gap);
/* Calls `each` for every unsettled entry. */
void lane_each(struct route *route, void (*each)(struct entry *entry, void *ctx), void *ctx);

/* ---- refill.c ---- */
int refill_start(struct route *route); /* cursor, pending rows, then the journal */
void refill_more(struct route *route);

/* ---- attempt.c, told.c ---- */
#define DELIVERY_ID DELIVER_ID_TEXT
/* X-Sluis-Delivery: the same on every attempt and after a restart. */
void delivery_id(const struct route *route, uint64_t serial, char out[DELIVERY_ID]);
/* The body of what we tell the route of our own (STORE_ITEM_TOLD). */
int told_body(struct route *route, const struct entry *entry, struct buffer *out);

/* ---- compose.c ---- */
/* When the key of part 'O' or 'M' is destroyed; 0 when the part was not written. */
int64_t part_ends(struct route *route, struct entry *entry, uint8_t part);
/* The body for `units` entries from the lane's first; SLUIS_EEXPIRED when the content is gone. */
int compose_body(struct route *route, struct lane *lane, unsigned units, struct buffer *out);
/* SLUIS_EAGAIN of compose_body: a unit's media have no verdict yet and there is time left. */
bool awaits_verdict(struct route *route, const struct lane *lane, unsigned units, int64_t now_ms);

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
/* Is something settled that a restart would not know? */
bool flush_wanted(const struct route *route);

/* ---- reconcile.c ---- */
#define DELIVER_ID_LABEL "delivery-id" /* keyring_derive, with channel and route */
void delivery_id_of(const uint8_t key[KEYRING_KEY_BYTES], uint64_t serial,
                    char out[DELIVER_ID_TEXT]);

#endif

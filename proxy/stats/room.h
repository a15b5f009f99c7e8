/* The stats room's own shapes. */
#ifndef SLUIS_STATS_ROOM_H
#define SLUIS_STATS_ROOM_H

#include "sluis/stats.h"

#include <pthread.h>

#define HOUR_MS 3600000ll
#define SILENCE_MS (24 * HOUR_MS)
#define TYPES 14        /* audit_type_word: 13 and "own" */
#define WAIT_BUCKETS 84 /* of a quarter octave, from a second to 21 days: a quantile within 9 % */
#define WAIT_CHAINS 32768u /* a power of two: 15 bits of a hash */
#define ROUTE_TAG 0xffff   /* in a key: the cell is a tag's */

enum count {
    N_IN,
    N_OUT,
    N_STATUS,
    N_MEDIA,
    N_UNJUDGED,
    N_BEGUN,
    N_ENDED,
    N_ANSWERED, /* first answers */
    N_TARGET_MET,
    N_TARGET_MISSED,
    N_WINDOW_MISSED,
    N_OFFERED,
    N_DELIVERED,
    N_PARKED,
    N_EXPIRED,
    N_DROPPED,
    N_SENT,
    N_SEND_FAILED,
    N_REFUSED,
    N_WITHHELD,
    N_MASKED, /* messages with something masked */
    N_COUNTS
};
const char *count_word(enum count count);

struct cell_key {
    uint32_t hour;
    uint16_t channel, route; /* 0: the channel as a whole; ROUTE_TAG with a tag */
    uint8_t tag[8];
};
struct cell {
    struct cell_key key;
    struct cell *next; /* in its bucket */
    bool changed, loaded;
    char name[STATS_TAG_SIZE]; /* of the tag */
    uint64_t n[N_COUNTS];
    uint64_t types[TYPES];
    uint64_t first[WAIT_BUCKETS], follow_up[WAIT_BUCKETS];
};
#define CELL_BUCKETS 1024u
#define CELLS_MAX 8192u /* in memory; written and dropped above it */

struct conversation {
    uint16_t channel;
    uint64_t subject;
    uint32_t next;              /* 1 + place in its bucket's list; 0 none */
    int64_t last_ms, answer_ms; /* newest message; newest answer, 0 none yet */
    int64_t waiting_ms;         /* oldest unanswered message, 0 none */
    bool used, first;           /* no answer yet */
    uint8_t told;               /* 1: of the target, 2: of the window, 4: missed */
    uint8_t tag_count;
    char tags[STATS_TAGS_MAX][STATS_TAG_SIZE];
};

struct stats {
    struct stats_deps deps;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* everything below */
    pthread_cond_t wake;
    bool stopping;
    struct keyring_cache *keys;
    struct cell *cells[CELL_BUCKETS];
    unsigned cell_count;
    uint64_t order, leaf; /* next to be looked at */
    bool quiet;           /* going over what was counted before: only conversations are learnt */
    uint64_t quiet_to;    /* order */
    uint64_t object, object_types; /* leaves of one message: a type counts once for the channel */
    struct conversation *conversations;
    uint32_t *buckets;
    unsigned conversation_count;
    uint32_t hand; /* where the next to be dropped is looked for */
    int64_t looked_ms, swept_ms;
    struct config *config; /* while following */
};

/* cell.c */
struct cell *cell_of(struct stats *s, const struct cell_key *key); /* NULL: no memory */
void cell_add(struct stats *s, int64_t at_ms, uint16_t channel, uint16_t route, enum count what,
              uint64_t n);
int cell_read(struct stats *s, struct span key, struct span value, struct cell *out);
void cell_merge(struct cell *into, const struct cell *from);
/* Writes what changed, with how far, in one commit; forgets hours that are over. */
int cells_flush(struct stats *s);
void cells_drop(struct stats *s);
int place_load(struct stats *s, bool *known);
unsigned wait_bucket(int64_t ms);
/* Seconds at this share of the waits; 0 when there are none. */
uint64_t wait_quantile(const uint64_t *buckets, double share);

/* publish.c */
#define SERIES (N_COUNTS + TYPES + 2)
#define S_TYPES N_COUNTS
#define S_FIRST (N_COUNTS + TYPES) /* how many waits there were */
#define S_FOLLOW_UP (S_FIRST + 1)
#define WAIT_SERIES 2 /* series of waiting times: first answers, follow-ups */
struct told {
    uint64_t n[SERIES];
    bool about[SERIES]; /* there is something in it that is told in fives only */
    uint64_t waits[WAIT_SERIES]
                  [WAIT_BUCKETS]; /* that quantiles may be made of: five and more at a time */
};
struct carry {
    struct cell_key key;
    uint64_t sum[SERIES];
    uint64_t waits[WAIT_SERIES][WAIT_BUCKETS]; /* of hours with fewer than five, until they are five */
};
struct publish { /* zeroed; `carry` is freed by whoever has it */
    struct carry *carry;
    unsigned n, room;
};
/* The hour from which on rows are to be given, each hour in order, for answers from `hour` on. */
uint32_t publish_from(uint32_t hour);
SLUIS_MUST_CHECK int publish_hour(struct publish *p, const struct cell *row, struct told *out);
void publish_add(struct told *into, const struct told *hour);

/* waits.c */
void waits_note(struct stats *s, const struct store_item *item);
/* Ends, targets and windows by the clock. */
void waits_look(struct stats *s, int64_t now_ms);

/* leaf.c */
void leaf_note(struct stats *s, struct span leaf);

#endif

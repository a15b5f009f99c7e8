/* The running log, and the file of its checkpoints. */
#ifndef SLUIS_AUDIT_LOG_H
#define SLUIS_AUDIT_LOG_H

#include <pthread.h>

#include "sluis/audit.h"

#define LOG_TIME_BYTES 24 /* 2026-11-22T05:00:00.123Z */
struct block_times {      /* of AUDIT_PAGE_LEAVES leaves */
    char first[LOG_TIME_BYTES], last[LOG_TIME_BYTES];
};
struct log_times { /* the log's thread adds blocks */
    pthread_mutex_t lock;
    struct block_times *block;
    size_t count, room;
};

struct log_tree { /* roots of AUDIT_PAGE_LEAVES leaves each, as they were when committed */
    uint8_t (*block)[MERKLE_HASH];
    size_t count, room; /* those below audit_log.unchecked are not known yet */
};

struct audit_log {
    struct store *store;
    struct log_times times;
    char *file;
    struct audit_refusals *refusals;
    struct audit_gate *gate;
    int64_t hold_after_s, left_ms; /* monotonic: when a checkpoint last left, or needed not to */
    int (*pay)(void *ctx);
    void *pay_ctx;
    void (*turn)(void *ctx);
    int64_t refusals_ms;  /* monotonic: when they were written last */
    pthread_mutex_t lock; /* all below */
    struct note_key key;
    uint8_t seed[NOTE_SEED];
    struct key_chain chain;
    struct buffer changes; /* their notes, each with an empty line behind it */
    bool change_pushed;    /* the newest of them stands in the file */
    struct merkle_range range;
    struct log_tree tree;
    struct buffer note; /* the newest checkpoint, empty before the first */
    uint64_t note_size; /* its leaves */
    uint8_t note_root[MERKLE_HASH];
    bool pushed;        /* it stands in the file */
    uint64_t left_size; /* of the last checkpoint that has left the machine; 0: none yet */
    uint8_t left_root[MERKLE_HASH];
    struct merkle_range saved; /* the range as it was put into the store last */
    bool nodes_changed;        /* what stood there was another */
    uint64_t look_next;        /* block that the thread looks at next */
    uint64_t looked_size;      /* leaves when it last came to the end; 0: not yet */
    int64_t looked_ms;         /* and when */
    struct log_target {
        struct audit_target door;
        bool pushed, failing;
        unsigned told; /* changes of the key that went this way; kept in the store */
    } targets[AUDIT_TARGETS_MAX];
    unsigned target_count;
    bool failing; /* the last push failed: said once */
    pthread_cond_t wake;
    pthread_t thread;
    bool started, stop, accepted;
    bool hurry;         /* the thread's next turn is now */
    bool changed;       /* the log is not what was signed: nothing is signed any more */
    uint64_t unchecked; /* leaves that the start took on the word of the checkpoint */
    uint8_t unchecked_root[MERKLE_HASH];
};

/* tree.c; under the lock, or where nobody else has the log yet */
SLUIS_MUST_CHECK int tree_add(struct log_tree *tree, struct merkle_range *range,
                              const uint8_t hash[MERKLE_HASH]);
/* Takes in what was committed since; the root of the first `at` leaves, if it came by there. */
SLUIS_MUST_CHECK int tree_follow(struct audit_log *log, uint64_t at, uint8_t root[MERKLE_HASH],
                                 bool *seen);
SLUIS_MUST_CHECK int tree_join(struct log_tree *tree, const struct log_tree *first);

/* prove.c */
/* Some blocks of the stored tree against the one in memory: the log's thread, once a turn. */
void look_on(struct audit_log *log);

/* keys.c */
SLUIS_MUST_CHECK int take_changes(struct audit_log *log, const struct audit_log_config *config,
                                  struct diag *diag);
struct span newest_change(const struct audit_log *log); /* under the lock; empty: none */

struct span change_at(const struct audit_log *log, unsigned number); /* the same, from 0 */

/* log.c */
void move_gate(struct audit_log *log, bool made); /* under the lock */

/* out.c */
unsigned told_load(struct audit_log *log, const struct log_target *target);
/* The ways out that may take seconds: without the lock. A checkpoint that is made meanwhile is
 * pushed in the next turn. */
void push_out(struct audit_log *log);
void say_left_behind(struct audit_log *log); /* at the end: what did not get out by them */

/* range.c */
SLUIS_MUST_CHECK int range_save(struct store *store, const struct merkle_range *range);
/* SLUIS_ENOENT, SLUIS_EINVAL (not a range): then the whole log is hashed. */
SLUIS_MUST_CHECK int range_load(struct store *store, struct merkle_range *range);
/* Hashes the first `size` leaves, some at a time, and compares; `tree` gets their blocks.
 * SLUIS_ECRYPTO: another root; SLUIS_ECLOSED: `stop` said so. */
SLUIS_MUST_CHECK int range_check(struct store *store, uint64_t size,
                                 const uint8_t root[MERKLE_HASH], struct log_tree *tree,
                                 bool (*stop)(void *ctx), void *ctx);

/* times.c */
void times_load(struct audit_log *log); /* what cannot be read is looked at again */
/* Takes in the blocks that are full by now, for some seconds at most. */
void times_follow(struct audit_log *log, bool (*stop)(void *ctx));

/* refusals.c */
SLUIS_MUST_CHECK int refusals_write(struct store *store, struct audit_refusals *refusals);

/* push.c */
/* The newest checkpoint of this log in the file, and whether the key in use signed it.
 * SLUIS_ENOENT: no file, or an empty one; SLUIS_EDENIED: it holds none of this log; SLUIS_ESYS.
 * What a crash left of a last one is cut off.
 */
SLUIS_MUST_CHECK int push_last(const char *file, const struct key_chain *chain,
                               struct checkpoint *out, bool *newest_key);
/* The same, and nothing is cut off. */
SLUIS_MUST_CHECK int push_look(const char *file, const struct key_chain *chain,
                               struct checkpoint *out);
/* Appends a note and an empty line, synced; what cannot be written whole is taken back. */
SLUIS_MUST_CHECK int push_note(const char *file, struct span note);

#endif

/*
 * The store: one LMDB environment, one writer thread, every key layout (proxy/store/layout.h).
 * No other process opens the environment.
 *
 * Glossary
 *   serial    commit serial of a message: given out by store_next_serial before sealing, unique,
 *             never reused, rising per thread. 32 bits are used by the message key tree.
 *   subject   serial of a data subject, never reused; 0 means "nobody" (account events, the log).
 *   order     place in commit order: serials are given out before the commit, by several threads, so
 *             a later commit may hold an earlier serial. The journal is walked by order.
 *   class     retention class: a small number that stands for (part, keep, minimum or maximum).
 *   bucket    expiry bucket of a class: hours, days or months since 1970, by the class's width.
 *   part      'O' original, 'M' storage profile, 'Q' quarantine, 'L' log, 'P' principal ...
 *
 * Writing: jobs in, completions out. A job's `run` puts rows in the transaction at hand, on the
 * writer thread; several jobs share one transaction and one sync (commit at 64 jobs or when the
 * oldest is 2 ms old). Transactions are sticky: after a failed step the rest of that job does nothing
 * and store_txn_error tells. A job that fails is taken out, the others are run again without it: so
 * `run` may be called more than once and must change nothing but the transaction and its own job.
 * `done` is called on the writer thread once, after the sync, with job->result; it hands over by
 * mail and returns at once.
 *
 * Jobs run in the order of submission, save that STORE_PURGE jobs go behind the others, one a commit.
 *
 * Reading: any thread, a short read transaction per call group; never across a network wait: pages that
 * a reader may still see are not used again. At most 250 at once (SLUIS_ELIMIT). What a call returns in
 * an arena is the caller's; a span given to an `each` holds until that returns. A transaction shows one
 * moment, save that store_get_head and store_get_dedupe show what is newest and move it forward (not
 * inside a walk of the same reader): so look the head up first and the item after.
 *
 * Failures. Full (the map or the disk): the commit's jobs get SLUIS_EFULL, STORE_FULL; an attempt each
 * second; reading goes on. Marks: STORE_INTAKE jobs get SLUIS_EFULL from 90 % of what map and disk
 * allow, STORE_NORMAL jobs from 95 %, STORE_PURGE jobs may use the rest; the state stays STORE_READY.
 * Broken (any other failure of a write): the commit's jobs get SLUIS_EIO; readers are let out (5 s), the
 * environment is closed and opened, the last acknowledged commit must be there, a commit must succeed;
 * reading gets SLUIS_EIO meanwhile. A second failure within a minute, or a reopening that fails:
 * STORE_SEALED, SLUIS_ESEALED for everything until the process is started again. A job refused with
 * SLUIS_EIO may be found stored (its commit's last write may have reached the disk): the sender's
 * repetition is then recognised by dedupe. Every change of state is logged. A page whose head is damaged
 * gives an error where LMDB sees it in time; where LMDB would abort, an alarm says so and the process ends
 * with STORE_DAMAGED_EXIT; one that leads LMDB outside its map or its memory still ends it by a signal. The file then
 * has to be restored from a backup. Damage inside a value is found by its tag (backup.h), and is local.
 *
 * On disk: data.mdb, LMDB's lock.mdb, and store.lock, held with flock while open; 0600 in a folder of
 * 0700 that must belong to the user. In the clear stand serials, buckets, small numbers, times, HTTP
 * statuses, keyed hashes, and the operator's names (layout.h); all else is sealed by the caller or by
 * `seal`.
 *
 *     struct store_config config = {.path = "/var/lib/sluis", .map_size = 64ull << 30,
 *                                   .preallocate = 64ull << 30, .seal = ..., .open = ...};
 *     if (store_open(&config, &store, &diag) != 0) ... diag
 *     job->serial = store_next_serial(store);
 *     job->job = (struct store_job){.priority = STORE_INTAKE, .run = put_message, .done = answer};
 *     store_submit(store, &job->job);
 */
#ifndef SLUIS_STORE_H
#define SLUIS_STORE_H

#include "sluis/base/arena.h"
#include "sluis/base/buffer.h"
#include "sluis/base/diag.h"
#include "sluis/base/error.h"
#include "sluis/base/mailbox.h"

struct store;
struct store_txn;
struct store_read;

#define STORE_DAMAGED_EXIT 74      /* EX_IOERR: the process's exit status */
#define STORE_VALUE_MAX 1990       /* bytes of one LMDB value: no overflow pages */
#define STORE_COMMIT_JOBS 64       /* jobs per commit */
#define STORE_COMMIT_MS 2          /* age of the oldest job at commit */
#define STORE_HASH_BYTES 16        /* look-up hashes */
#define STORE_CLASSES_MAX 64
#define STORE_RECORD_MAX (256 * 1024) /* bytes of one sealed record over all its rows */
#define STORE_SEAL_OVERHEAD 64        /* a sealed block may be this much longer than its text */
#define STORE_LEAF_MAX (STORE_VALUE_MAX - STORE_SEAL_OVERHEAD - 2) /* bytes of one log leaf */
#define STORE_KEY_MAX 64                                           /* bytes of a small table's key */
/* A small table's key and value together: one LMDB node without an overflow page. */
#define STORE_ROW_MAX 2024

/* `table` as the seal callbacks see it; apart from enum store_table. */
enum store_seal_table { STORE_SEAL_JOURNAL = 64, STORE_SEAL_LEAF = 65 };

struct store_config {
    const char *path;   /* folder, made with mode 0700 */
    size_t map_size;    /* bytes */
    size_t preallocate; /* bytes of disk taken at opening, so that a full disk comes as the marks and
                         * not as a failed commit; 0: none; the map's size in a gateway */
    bool no_sync;       /* negative control in tests only */
    /* Seals a block of the access log or of the intake journal (keyring's record_seal, bound by the
     * gateway; the store knows no keys); `row` is the block's place in its table. Both append to
     * `out` and are required. `seal` is called on the writer thread, `open` on the thread that
     * reads: any, several at once. */
    int (*seal)(void *ctx, uint8_t table, uint64_t row, struct span plain, struct buffer *out);
    int (*open)(void *ctx, uint8_t table, uint64_t row, struct span sealed, struct buffer *out);
    void *seal_ctx;
    /* Test hook: called before each commit; a non-zero return is the commit's result (EIO ...). */
    int (*fault)(void *ctx);
    void *fault_ctx;
};
/* SLUIS_EEXIST: another process has it open; SLUIS_EDENIED: owner or mode; SLUIS_EFULL: no room to
 * preallocate; SLUIS_EINVAL: not a store of this format; SLUIS_EIO, SLUIS_ESYS. */
SLUIS_MUST_CHECK int store_open(const struct store_config *config, struct store **out,
                                struct diag *diag);
/* Finishes queued jobs first. No submission and no reading may come after it. */
void store_close(struct store *store);

/* State for /readyz, /metrics and `sluis status`. */
enum store_state { STORE_READY, STORE_FULL, STORE_BROKEN, STORE_SEALED };
struct store_status {
    enum store_state state;
    uint64_t next_serial, log_size, commits, jobs;
    uint64_t bytes_used, bytes_size;
    uint64_t queued;
    bool intake_allowed, reads_allowed; /* 90 % and 95 % marks */
};
void store_status(struct store *store, struct store_status *out);

/* ---- names: small persistent numbers for channels, routes and classes ---- */
enum store_name_kind { STORE_NAME_CHANNEL, STORE_NAME_ROUTE, STORE_NAME_CLASS };
/* The number of a name, given out on first use (from 1, never reused). Blocks for a commit when new:
 * start and reload only. */
SLUIS_MUST_CHECK int store_name_id(struct store *store, enum store_name_kind kind, struct span name,
                                   uint16_t *out);
/* The name of a number into out[256]; SLUIS_ENOENT. */
int store_id_name(struct store *store, enum store_name_kind kind, uint16_t id, char out[256]);

/* ---- serials ---- */
uint64_t store_next_serial(struct store *store);  /* message serial, any thread, never fails */
uint64_t store_next_subject(struct store *store); /* subject serial */

/* ---- records ---- */
struct record_id { /* which keys and which rows: see keyring.h */
    uint16_t cls;
    uint32_t bucket;
    uint64_t subject;
    uint64_t serial;
    uint8_t part;
};

enum store_kind { STORE_KIND_MESSAGE = 1, STORE_KIND_STATUS, STORE_KIND_ECHO, STORE_KIND_ACCOUNT, STORE_KIND_SENT };

#define STORE_ROUTES_MAX 16 /* routes of one channel */

/* One accepted item in the intake journal (packed per commit, sealed as a block): all that delivery
 * and recovery need, no content. */
struct store_item {
    uint64_t serial;
    uint64_t order; /* place in commit order: rising from 1, with gaps; set by store_put_item */
    uint64_t subject;
    uint16_t channel; /* store_name_id */
    uint8_t kind;     /* enum store_kind */
    uint8_t flags;    /* STORE_ITEM_* */
    int64_t at_ms;    /* the message's own timestamp */
    int64_t taken_ms; /* when it was accepted */
    uint64_t batch;   /* serial of the first item of the same POST */
    uint16_t cls_o, cls_m;         /* 0: part not written */
    uint32_t bucket_o, bucket_m;
    uint64_t previous;             /* serial of the conversation's item before this, 0 none */
    uint16_t route_count;
    uint16_t routes[STORE_ROUTES_MAX];
};
/* TOLD: nothing of Meta's, but what we tell a route (retention.h); of kind account, subject nobody. */
enum { STORE_ITEM_UNJUDGED = 1, STORE_ITEM_HAS_MEDIA = 2, STORE_ITEM_TOLD = 64 };

/* ---- writing ---- */
enum store_priority { STORE_INTAKE, STORE_NORMAL, STORE_PURGE }; /* marks 90 %, 95 %, the rest */
struct store_job {
    struct mail mail; /* the store's while queued */
    enum store_priority priority;
    int (*run)(struct store_txn *txn, struct store_job *job);
    void (*done)(struct store_job *job);
    int result;
    int64_t queued_us; /* the store's */
};
/* Any thread. Always leads to one `done`. */
void store_submit(struct store *store, struct store_job *job);
/* Submits and waits; not on event threads. Returns the result; `done` is not called. */
SLUIS_MUST_CHECK int store_submit_wait(struct store *store, struct store_job *job);

int store_txn_error(const struct store_txn *txn);
/* Marks the job as failed (its rows will not stand). */
void store_txn_fail(struct store_txn *txn, int error);

/* A sealed record: split over consecutive rows as needed, appended under (class, bucket, serial,
 * part, row). Replaces an older version of the same record. */
void store_put_record(struct store_txn *txn, const struct record_id *id, struct span sealed);
void store_delete_record(struct store_txn *txn, const struct record_id *id);
/* True when (day, hash) is new, which it then no longer is; serial is kept with it. */
bool store_dedupe_take(struct store_txn *txn, uint32_t day, const uint8_t hash[STORE_HASH_BYTES],
                       const struct record_id *where);
/* Identifier -> subject. When the identifier has another subject, fails the job with SLUIS_EEXIST.
 * `key`: number of the index key that made the hash (its last 8 bits are kept; keyring.h), so that
 * rows of keys that are gone can be told. Rooms use subject_put. */
void store_put_identifier_of(struct store_txn *txn, const uint8_t hash[STORE_HASH_BYTES],
                             uint64_t subject, uint32_t key);
void store_put_identifier(struct store_txn *txn, const uint8_t hash[STORE_HASH_BYTES],
                          uint64_t subject); /* of key 0 */
/* The row with what else stands in it: when the identifier was last heard of, and a tag of whoever uses
 * it (both the subject room's; zero: not known, as in rows of older stores). */
#define STORE_TAG_BYTES 6
struct store_identifier {
    uint64_t subject;
    uint8_t key;    /* last 8 bits of the index key's number */
    uint16_t heard; /* day since 1970 */
    uint8_t tag[STORE_TAG_BYTES];
};
/* Puts the row; one that stands must be of the same subject or of `was`, whose it no longer is then
 * (SLUIS_EEXIST). `heard` does not go back, a tag of zeros leaves the one there, of the same subject. */
void store_put_identifier_row(struct store_txn *txn, const uint8_t hash[STORE_HASH_BYTES],
                              const struct store_identifier *row, uint64_t was);
/* The same for a row that stands and is of this subject; else nothing. Its key stays. */
void store_touch_identifier(struct store_txn *txn, const uint8_t hash[STORE_HASH_BYTES],
                            const struct store_identifier *row);
/* A row under another index key's hash, with what else stands in the one under `old`. */
void store_rehash_identifier(struct store_txn *txn, const uint8_t old[STORE_HASH_BYTES],
                             const uint8_t hash[STORE_HASH_BYTES], uint64_t subject, uint32_t key);
/* Intake journal and conversation head (channel, subject); `previous` is filled in. */
void store_put_item(struct store_txn *txn, struct store_item *item);
/* A leaf of the access log and its RFC 6962 leaf hash; *index gets its place (valid after done). */
void store_put_leaf(struct store_txn *txn, struct span leaf, const uint8_t hash[32],
                    uint64_t *index);
/* Delivery: everything up to commit order `order` is settled for the route, save what is pending. */
void store_put_cursor(struct store_txn *txn, uint16_t route, uint64_t order);
enum store_pending_state {
    STORE_PENDING_WAITING = 1,
    STORE_PENDING_PARKED,
    STORE_PENDING_EXPIRED,
    STORE_PENDING_DROPPED, /* past the cursor: so that the journal does not bring it back */
};
struct store_pending {
    uint16_t route;
    uint64_t serial;
    uint8_t state; /* enum store_pending_state */
    uint8_t after_gap;
    uint16_t attempts;
    uint16_t last_status; /* HTTP, 0 when none */
    int64_t next_ms;
};
void store_put_pending(struct store_txn *txn, const struct store_pending *pending);
void store_delete_pending(struct store_txn *txn, uint16_t route, uint64_t serial);
/* Small tables by key, for rooms above (principals, settings, quarantine). Values up to
 * STORE_VALUE_MAX, keys up to 64 bytes; the caller seals. An empty value deletes. */
enum store_table { STORE_TABLE_PRINCIPAL = 1, STORE_TABLE_MEDIA, STORE_TABLE_SETTING, STORE_TABLE_QUARANTINE, STORE_TABLE_SUBJECT, STORE_TABLE_HISTORY, STORE_TABLE_STATS, STORE_TABLE_COUNT };
void store_put_row(struct store_txn *txn, enum store_table table, struct span key, struct span value);
/* Deletes the row only when its value still begins with `begins`, as a reader saw it: another one may
 * have taken its place. True: it was there and goes. */
bool store_delete_row_as(struct store_txn *txn, enum store_table table, struct span key,
                         struct span begins);
/* The same with another value instead: true when it was there and is replaced. */
bool store_put_row_as(struct store_txn *txn, enum store_table table, struct span key,
                      struct span begins, struct span value);
/* Every row whose key begins with `prefix` (not empty), at most STORE_DELETE_ROWS: more fail the job
 * with SLUIS_ELIMIT. */
#define STORE_DELETE_ROWS 1024
void store_delete_rows(struct store_txn *txn, enum store_table table, struct span prefix);

/* ---- sweeps: rows that nobody can read any more, in bounded slices ---- */
#define STORE_SWEEP_ROWS 512 /* per call: what becomes free stays within one row of LMDB's list */
#define STORE_SWEEP_MS 2     /* per call: the same transaction carries intake */
struct store_sweep {
    uint64_t rows; /* removed by this call */
    bool more;     /* call again, in a later job */
};
/* Rows of a class with a bucket before `bucket`. For STORE_PURGE jobs. */
void store_sweep_class(struct store_txn *txn, uint16_t cls, uint32_t bucket,
                       struct store_sweep *out);
/* Dedupe rows of days before `day`; `more` until none is left in any table or in memory. */
void store_sweep_dedupe(struct store_txn *txn, uint32_t day, struct store_sweep *out);
/* Journal blocks whose items all stand in `from` .. `to` (commit order; `from` the order of an item),
 * with their place in the index: store_get_item gives SLUIS_ENOENT for them. The newest block stays. */
void store_sweep_journal(struct store_txn *txn, uint64_t from, uint64_t to, struct store_sweep *out);
/* Single rows of erasure. */
void store_delete_identifier(struct store_txn *txn, const uint8_t hash[STORE_HASH_BYTES]);
/* The conversation's head, when it is still the item `serial` (0: whatever it is); false: another. */
bool store_delete_head(struct store_txn *txn, uint16_t channel, uint64_t subject, uint64_t serial);

/* ---- reading ---- */
SLUIS_MUST_CHECK int store_read_begin(struct store *store, struct store_read **out);
void store_read_end(struct store_read *read);
/* The sealed bytes of a record, joined, in the arena. SLUIS_ENOENT. */
SLUIS_MUST_CHECK int store_get_record(struct store_read *read, const struct record_id *id,
                                      struct arena *arena, struct span *sealed);
SLUIS_MUST_CHECK int store_get_identifier(struct store_read *read,
                                          const uint8_t hash[STORE_HASH_BYTES], uint64_t *subject);
SLUIS_MUST_CHECK int store_get_identifier_row(struct store_read *read,
                                              const uint8_t hash[STORE_HASH_BYTES],
                                              struct store_identifier *out);
SLUIS_MUST_CHECK int store_get_dedupe(struct store_read *read, uint32_t day,
                                      const uint8_t hash[STORE_HASH_BYTES], struct record_id *where);
/* The journal item of a serial; SLUIS_ENOENT. */
SLUIS_MUST_CHECK int store_get_item(struct store_read *read, uint64_t serial,
                                    struct store_item *out);
/* Serial of the newest item of (channel, subject); SLUIS_ENOENT. */
SLUIS_MUST_CHECK int store_get_head(struct store_read *read, uint16_t channel, uint64_t subject,
                                    uint64_t *serial);
/* Walks: `each` returns 0 to go on, 1 to stop. */
int store_each_item(struct store_read *read, uint64_t from_order,
                    int (*each)(void *ctx, const struct store_item *item), void *ctx);
/* Goes past blocks that a flipped bit spoilt (SLUIS_ECRYPTO above, so that whoever must see every
 * item does not miss one), for those who serve the others. *damaged: where the last of these began,
 * 0 none; may be NULL. `sluis doctor --store` names them all. */
int store_each_readable(struct store_read *read, uint64_t from_order,
                        int (*each)(void *ctx, const struct store_item *item), void *ctx,
                        uint64_t *damaged);
int store_each_leaf(struct store_read *read, uint64_t from_index,
                    int (*each)(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32]),
                    void *ctx);
/* The same with those whose text is gone (its key destroyed, its block removed): `leaf` is empty then.
 * store_each_leaf passes over them. */
int store_each_leaf_or_hash(struct store_read *read, uint64_t from_index,
                            int (*each)(void *ctx, uint64_t index, struct span leaf,
                                        const uint8_t hash[32]),
                            void *ctx);
/* The same, and a block that was changed (it does not open with its keys, SLUIS_ECRYPTO for the
 * others) is passed by: its leaves are told of as damaged. For who must show what can be shown. */
enum store_leaf_state { STORE_LEAF_THERE, STORE_LEAF_GONE, STORE_LEAF_DAMAGED };
int store_each_leaf_state(struct store_read *read, uint64_t from_index,
                          int (*each)(void *ctx, uint64_t index, enum store_leaf_state state,
                                      struct span leaf, const uint8_t hash[32]),
                          void *ctx);
/* Removes at most `most` of the oldest blocks of the log that nobody can open any more
 * (SLUIS_EEXPIRED), passing by those that can; their hashes stay. A call looks at some hundred
 * blocks, the next goes on where it ended. One thread at a time, not an event thread. */
SLUIS_MUST_CHECK int store_prune_leaves(struct store *store, unsigned most, unsigned *removed);
/* Records of a class by (bucket, serial, part) from (bucket, serial) on; their subject is not known here. */
int store_each_key(struct store_read *read, uint16_t cls, uint32_t bucket, uint64_t serial,
                   int (*each)(void *ctx, const struct record_id *id), void *ctx);
int store_each_identifier(struct store_read *read, const uint8_t from[STORE_HASH_BYTES],
                          int (*each)(void *ctx, const uint8_t hash[STORE_HASH_BYTES],
                                      uint64_t subject),
                          void *ctx);
/* The same with the last 8 bits of the number of the index key. */
int store_each_identifier_of(struct store_read *read, const uint8_t from[STORE_HASH_BYTES],
                             int (*each)(void *ctx, const uint8_t hash[STORE_HASH_BYTES],
                                         uint64_t subject, uint8_t key),
                             void *ctx);
/* The hashes alone, some at a time; nothing is unsealed. SLUIS_ECRYPTO: a row is not there or is no
 * row of hashes, which no commit does; SLUIS_EIO: it could not be read. */
int store_each_leaf_hash(struct store_read *read, uint64_t from_index,
                         int (*each)(void *ctx, uint64_t index, const uint8_t (*hashes)[32],
                                     size_t n),
                         void *ctx);
int store_get_cursor(struct store_read *read, uint16_t route, uint64_t *order);
int store_each_pending(struct store_read *read, uint16_t route, uint64_t from_serial,
                       int (*each)(void *ctx, const struct store_pending *pending), void *ctx);
int store_get_row(struct store_read *read, enum store_table table, struct span key,
                  struct arena *arena, struct span *value);
int store_each_row(struct store_read *read, enum store_table table, struct span from_key,
                   int (*each)(void *ctx, struct span key, struct span value), void *ctx);

/* ---- copies, and looking at everything (proxy/store/copy.c, check.c) ---- */

/* A compacted copy of the whole environment while it is written: `write` gets it from the first
 * byte to the last, on the calling thread (not an event thread), and ends it with an error. The
 * copy is one moment. The read transaction behind it lasts as long as the copying, and pages freed
 * meanwhile cannot be used again: each commit lets the file grow by what it touches (measured: 17 pages with one message a commit),
 * once the free pages of before are used up. Past `growth_max` bytes of growth the copy is given up
 * with SLUIS_ELIMIT; a store that fails meanwhile ends it with SLUIS_EIO. */
struct store_copied {
    uint64_t bytes;  /* of the copy */
    uint64_t growth; /* of the store's file meanwhile */
};
SLUIS_MUST_CHECK int store_copy(struct store *store, uint64_t growth_max,
                                int (*write)(void *ctx, struct span bytes), void *ctx,
                                struct store_copied *out);
/* Opens a copy (config->path: the folder of its data.mdb) for reading only: nothing is written to
 * its folder, no lock is taken, every submission is refused with SLUIS_ECLOSED. The copy must be
 * whole: check its hash first, since LMDB ends the process on a page that is none. */
SLUIS_MUST_CHECK int store_open_copy(const struct store_config *config, struct store **out,
                                     struct diag *diag);
/* Passes over serials that a store restored from an older copy may have given out since. Commits.
 * Which message serials is remembered: a newer copy may have messages under them, which nobody who
 * looks at this store knows of (keyring_prune). */
SLUIS_MUST_CHECK int store_skip_serials(struct store *store, uint64_t messages, uint64_t subjects);
/* Those ranges, `to` not included; `each` returns 0 to go on or an error. 0 or an error. */
SLUIS_MUST_CHECK int store_each_skipped(struct store_read *read,
                                        int (*each)(void *ctx, uint64_t from, uint64_t to),
                                        void *ctx);

/* Everything that is sealed, and the small tables, a part per call: for checks. */
enum store_value_kind { STORE_VALUE_JOURNAL, STORE_VALUE_LEAF, STORE_VALUE_RECORD, STORE_VALUE_ROW };
struct store_value {
    enum store_value_kind kind;
    int error; /* JOURNAL, LEAF: what opening the block gave; RECORD: its journal block did not open */
    bool known;             /* RECORD: the journal has its item, so id.subject is right */
    enum store_table table; /* ROW */
    struct record_id id;    /* RECORD; JOURNAL, LEAF: serial is the block's order or index */
    struct span key;        /* ROW */
    struct span bytes;      /* RECORD sealed, ROW as stored, LEAF the opened leaf */
    uint8_t hash[32];       /* LEAF: its hash as stored; zeros when there is none */
};
struct store_place { /* where to go on; all zero: at the beginning */
    uint16_t table;
    uint8_t n;
    uint8_t key[STORE_KEY_MAX];
};
/* Calls `each` for at most `max` values (or until clock_mono_us() reaches `until_us`, at least one)
 * from `place` on, and moves it. 1 there is more, 0 that was the end, or the error of `each` or the
 * store. What a value points to holds until `each` returns. */
SLUIS_MUST_CHECK int store_each_value(struct store_read *read, struct store_place *place,
                                      unsigned max, int64_t until_us,
                                      int (*each)(void *ctx, const struct store_value *value),
                                      void *ctx);

#endif

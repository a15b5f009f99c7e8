/*
 * Inside the store: shared by the files of this room only.
 *
 * Locks. `queue_lock` guards the job queue and the stop flag; `read_lock` the pool of read
 * transactions and the environment's coming and going; `name_lock` the table of names. None is
 * held while another is taken, and none during a disk write. All else in struct store belongs to
 * the writer thread, save the atomics.
 */
#ifndef SLUIS_STORE_INTERNAL_H
#define SLUIS_STORE_INTERNAL_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "layout.h"
#include "recent.h"

/* A journal or log block before sealing. */
#define BLOCK_PLAIN_MAX (STORE_VALUE_MAX - STORE_SEAL_OVERHEAD)
/* An opened journal or log block. */
#define READ_PLAIN_MAX (2 * STORE_VALUE_MAX)
/* Items of one commit: closes the batch early when jobs carry many each. */
#define COMMIT_ITEMS_MAX 1024
/* Log leaves of one commit, in bytes: the same for the log. */
#define COMMIT_LEAF_BYTES_MAX (4 * 1024 * 1024)
/* Read transactions at once (each takes a slot in LMDB's reader table). */
#define READERS_MAX 250
#define NAMES_MAX 4096

struct job_list {
    struct mail *head, **tail;
    uint64_t count;
};

/* The end of a class's database, to know when MDB_APPEND is right. */
struct class_end {
    bool known;
    bool empty;
    uint8_t last[RECORD_KEY_BYTES];
};

struct txn_leaf {
    size_t offset, n; /* in leaf_bytes */
    uint8_t hash[LEAF_HASH_BYTES];
};

/* One commit. Lives as long as the writer; its transaction does not. */
struct store_txn {
    struct store *store;
    MDB_txn *txn;
    int error;    /* sticky: of the job at hand, or of the flush */
    int failure;  /* what LMDB said behind `error` (0 when the job itself failed) */
    bool changed; /* the job at hand has put something in the transaction */
    struct store_item items[COMMIT_ITEMS_MAX];
    size_t item_count;
    struct recent_txn recent;
    struct txn_leaf *leaves;
    size_t leaf_count, leaf_size;
    struct buffer leaf_bytes;
    struct buffer plain, sealed;    /* scratch of the flush */
    uint64_t next_order, next_leaf; /* order of this transaction's first item */
    uint64_t reserved_serial, reserved_subject;
    MDB_dbi class_dbi[STORE_CLASSES_MAX + 1];
    struct class_end ends[STORE_CLASSES_MAX + 1];
};

struct store_read {
    struct store *store;
    struct store_read *next; /* in the pool */
    MDB_txn *txn;
    MDB_dbi class_dbi[STORE_CLASSES_MAX + 1];
    unsigned walks; /* a cursor is open on the transaction: it must stay as it is */
    uint64_t block; /* the journal block in `plain` when have_block */
    bool have_block;
    struct buffer plain;
};

struct name_row {
    uint8_t kind;
    uint16_t id;
    char name[256];
};

struct store {
    struct store_config config;
    char *path;
    int folder_fd, lock_fd;
    MDB_env *env;
    MDB_dbi dbi[DB_COUNT];
    _Atomic uint32_t class_dbi[STORE_CLASSES_MAX + 1]; /* as committed; 0: no such database */

    _Atomic uint64_t next_serial, next_subject;
    _Atomic uint64_t reserved_serial, reserved_subject; /* durable */
    _Atomic uint64_t log_size, commits, jobs, bytes_used;
    _Atomic uint64_t prune_from; /* a block of leaves: where pruning looks next */
    _Atomic uint64_t capacity; /* bytes that map and disk allow */
    _Atomic int state;         /* enum store_state */
    size_t acked_txnid;        /* the last commit that was answered for */
    int64_t retry_ms;          /* full: when the next attempt is due */
    int64_t broken_ms;         /* when it last broke */
    bool was_broken;
    int64_t space_ms; /* when free pages were last counted */
    uint64_t free_pages;
    uint64_t next_order;
    struct recent recent;

    pthread_mutex_t queue_lock;
    pthread_cond_t queue_wake;
    struct job_list queue, purges; /* purges: STORE_PURGE, one per commit */
    bool stopping, waiting, reserve_wanted;
    pthread_t writer;
    bool writer_started;
    struct store_txn txn;

    pthread_mutex_t read_lock;
    pthread_cond_t read_idle;
    struct store_read *pool;
    unsigned readers, readers_active;
    bool reads_closed; /* the environment is away */

    pthread_mutex_t name_lock;
    struct name_row *names;
    size_t name_count;
};

/* env.c */
int env_error(int rc); /* LMDB or errno -> enum sluis_error */
SLUIS_MUST_CHECK int env_open_folder(struct store *store, struct diag *diag);
void env_close_folder(struct store *store);
SLUIS_MUST_CHECK int env_open(struct store *store, struct diag *diag);
void env_close(struct store *store);

/* For reading only, without a lock: of a store_open_copy. */
SLUIS_MUST_CHECK int env_open_copy(struct store *store, struct diag *diag);

/* store.c */
SLUIS_MUST_CHECK int store_alloc(const struct store_config *config, struct store **out,
                                 struct diag *diag);

/* writer.c */
SLUIS_MUST_CHECK int writer_start(struct store *store);
void writer_stop(struct store *store);
void writer_want_reserve(struct store *store);

/* space.c */
void space_measure(struct store *store, bool exact);
bool space_disk_full(struct store *store);
bool space_allows(struct store *store, enum store_priority priority);
SLUIS_MUST_CHECK int space_preallocate(struct store *store, struct diag *diag);

#define FULL_RETRY_MS 1000 /* between attempts while full */

/* recover.c */
enum failure { FAILURE_JOB, FAILURE_FULL, FAILURE_BROKEN };
enum failure recover_kind(struct store *store, int rc); /* of an LMDB code */
/* Shows the state that a failure leads to, before the jobs are answered. */
void recover_mark(struct store *store, enum failure kind);
/* After a failed commit (jobs answered): reopens, retries or seals as the state asks. */
void recover_after(struct store *store, enum failure kind);
/* While full: an attempt each second. */
void recover_retry(struct store *store);
/* Why a job may not run now, or 0. */
int recover_refusal(struct store *store, enum store_priority priority);

/* txn.c */
void txn_touch(struct store_txn *txn); /* writes a row that is there already */
size_t txn_last_id(const struct store *store);
SLUIS_MUST_CHECK int txn_init(struct store_txn *txn, struct store *store);
void txn_free(struct store_txn *txn);
SLUIS_MUST_CHECK int txn_begin(struct store_txn *txn); /* an LMDB code */
void txn_abort(struct store_txn *txn);
SLUIS_MUST_CHECK int txn_flush(struct store_txn *txn);  /* enum sluis_error */
SLUIS_MUST_CHECK int txn_commit(struct store_txn *txn); /* an LMDB code */
bool txn_is_full(const struct store_txn *txn);
/* Sticky steps. `n` bytes of key. */
void txn_put(struct store_txn *txn, MDB_dbi dbi, const void *key, size_t n, struct span value,
             unsigned flags);
void txn_delete(struct store_txn *txn, MDB_dbi dbi, const void *key, size_t n); /* absent: fine */
/* False when absent or failed. The value is LMDB's, until the next put. */
bool txn_get(struct store_txn *txn, MDB_dbi dbi, const void *key, size_t n, struct span *value);
void txn_lmdb_fail(struct store_txn *txn, int rc);
/* The database of a class, made when new; 0 when it failed. */
MDB_dbi txn_class(struct store_txn *txn, uint16_t cls);

/* journal.c, leaves.c: what has been collected goes into the transaction */
void journal_flush(struct store_txn *txn);
void leaves_flush(struct store_txn *txn);

/* names.c */
SLUIS_MUST_CHECK int names_load(struct store *store, MDB_txn *txn);

/* read.c */
/* Ends reading: waits until no transaction is in use (at most `ms`, a multiple of 1000) and
 * frees them. SLUIS_ETIMEOUT. */
int reads_close(struct store *store, int64_t ms);
void reads_open(struct store *store);
struct span span_of_val(MDB_val val);
MDB_val val_of(const void *p, size_t n);
/* The reader itself, renewed when its snapshot is older than `least`, or, while it walks, another
 * from the pool, to be ended by the caller. *fresh is NULL on failure. */
SLUIS_MUST_CHECK int read_freshen(struct store_read *read, size_t least, struct store_read **fresh);
/* mdb_get as enum sluis_error. */
SLUIS_MUST_CHECK int read_get(struct store_read *read, MDB_dbi dbi, const void *key, size_t n,
                              struct span *value);

#endif

/*
 * What is newest of the two tables whose keys come in random order: dedupe and conversation heads.
 *
 * Put straight into their trees, 64 messages touch some 128 pages all over the file, and the sync
 * writes each of them (measured: 57 us of CPU a message with a million stored, 14 without). So a
 * commit appends its entries to the table "recent", one row per 45 or 110 entries, and keeps them
 * in memory. At RECENT_MAX entries, or after RECENT_AGE_MS, the run in memory is frozen, sorted,
 * and put into the trees some entries per commit, neighbours on the same page; its rows in "recent"
 * go then.
 *
 * A look-up asks the commit at hand, the growing run, the frozen run, and the tree. A start reads
 * "recent" back. Doing so twice is harmless: rows go in order, so the last word on a key is never
 * gone before an earlier one.
 *
 * Runs are changed by the writer only, under `recent_lock`; other threads read them under it.
 */
#ifndef SLUIS_STORE_RECENT_H
#define SLUIS_STORE_RECENT_H

#include <lmdb.h>
#include <pthread.h>

#include "layout.h"

#define RECENT_MAX 131072      /* entries of a run: about 8 MiB with its index; two at most */
#define RECENT_AGE_MS 3600000  /* a slow store must not keep hashes from their table's sweep */
#define RECENT_MERGE_LEAST 128 /* entries put per commit, at least twice what comes in */
#define RECENT_DELETE_ROWS 32  /* rows of "recent" deleted per commit */

enum recent_table { RECENT_DEDUPE, RECENT_HEAD, RECENT_TABLES };

struct run { /* entries in order of arrival, found through an open-addressing index */
    uint8_t *entries;
    uint32_t *index; /* entry + 1, 0 is free */
    size_t count, room, slots;
    uint32_t least_day; /* of dedupe entries */
};

struct recent {
    pthread_mutex_t lock;
    struct run active[RECENT_TABLES], frozen[RECENT_TABLES];
    uint32_t *order[RECENT_TABLES]; /* of the frozen run, sorted */
    size_t merged[RECENT_TABLES];   /* entries of `order` that are in the tree */
    bool is_frozen, freeze_wanted;
    uint32_t dead_day;            /* the least day among rows of "recent" that may go */
    int64_t since_ms;             /* when the active run got its first entry */
    uint64_t first_row, next_row; /* rows that exist in "recent" */
    uint64_t frozen_end;          /* rows below belong to the frozen run or are dead */
    uint64_t dead_end;            /* rows below may go */
    size_t applied_txnid, retired_txnid;
};

/* The part of a commit. */
struct recent_txn {
    struct run pending[RECENT_TABLES];
    size_t merged[RECENT_TABLES];
    uint64_t first_row, next_row;
};

struct store;
struct store_txn;
struct store_read;

SLUIS_MUST_CHECK int recent_init(struct recent *recent);
void recent_free(struct recent *recent);
void recent_txn_free(struct recent_txn *part);
/* Reads the table back; an LMDB code. */
SLUIS_MUST_CHECK int recent_load(struct store *store, MDB_txn *txn);

void recent_begin(struct store_txn *txn);
/* The value (of the table's fixed length), or false; the bytes hold until the next put. */
bool recent_find(struct store_txn *txn, enum recent_table table, const uint8_t *key,
                 struct span *value);
/* Sticky. */
void recent_put(struct store_txn *txn, enum recent_table table, const uint8_t *key,
                const uint8_t *value);
/* True while memory or "recent" may hold dedupe entries of days before `day`: makes them go to
 * their table with the commits that follow. Removes none itself. */
bool recent_has_day_before(struct store_txn *txn, uint32_t day);
/* Rows, merge and deletion of this commit. */
void recent_flush(struct store_txn *txn);
/* The commit stands. */
void recent_committed(struct store_txn *txn, size_t txnid);

/* From a reader; copies the value. SLUIS_ENOENT. */
SLUIS_MUST_CHECK int recent_get(struct store_read *read, enum recent_table table,
                                const uint8_t *key, uint8_t *value);

#endif

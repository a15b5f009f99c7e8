/*
 * The media room's own shapes. Everything is touched by the loop's thread only, save what `lock`
 * guards: how many items of a message are worked on (media_waits).
 *
 *   job: JOB_QUEUED -> JOB_ASKED (Meta's metadata) -> JOB_FETCHED (bytes) -> JOB_INSPECTED
 *          ^    |                                                                |
 *          |    +-> JOB_LATER (back-off) <- what may go better another time <----+
 *          +--------------+                                        JOB_WRITTEN (row) -> gone
 */
#ifndef SLUIS_MEDIA_INTERNAL_H
#define SLUIS_MEDIA_INTERNAL_H

#include "sluis/audit.h"
#include "sluis/base/clock.h"
#include "sluis/base/counters.h"
#include "sluis/base/encode.h"
#include "sluis/base/json.h"
#include "sluis/base/log.h"
#include "sluis/media.h"
#include "sluis/upstream.h"

#include <dirent.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(POLICY_PICTURES <= MEDIA_CLASSES, "room in struct media_look");

#define CHUNK_BYTES (64u * 1024) /* of a file, sealed at once */
#define CHUNK_HEAD (MEDIA_FILE_ID + 4)
#define CHUNK_SEALED_MAX (CHUNK_BYTES + CHUNK_HEAD + KEYRING_RECORD_OVERHEAD)
/* What the AEAD binds beside the id: ordinal of the file and number of the chunk. */
#define CHUNK_NUMBERS 24
#define FILE_NAME_MAX (2 * (MEDIA_KEY_BYTES + MEDIA_FILE_ID) + 2)

#define JOBS_MAX                                                                                   \
    65536u /* items in memory, some 90 MB; more stay in their rows until there is room */
#define JOBS_BUCKETS 4096u /* a power of two */
#define FETCHES_MAX                                                                                \
    8u                  /* items between the first request to Meta and the verdict at once: the    \
                           inspector takes one per core, the rest would only hold memory */
#define ASKS_MAX 4096u  /* tools that wait */
#define CHECKS_MAX 256u /* uploads that wait for the inspector */
#define TICK_MS 50      /* back-offs, waits and free places are looked at this often */
#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS (10 * 60 * 1000)
#define METADATA_MAX (64u * 1024)
#define METADATA_MS 40000 /* one request for an address */
#define BYTES_MS 120000   /* one request for 100 MB at a megabyte a second */
#define HASH_TRIES 3u     /* bytes that are not what was announced: another try may be whole */
#define REFILL_MS 30000   /* rows that found no room are looked for this often */
#define REFILL_ROWS 2000u /* in one turn */
#define PACE_SLOTS                                                                                 \
    4096u /* contacts whose inspections of this minute are counted; a power of two                 \
           */
#define MINUTE_MS 60000
#define PER_MINUTE 20u
#define UPLOAD_KEPT_MS (30ll * 24 * 3600 * 1000) /* Meta forgets uploads after 30 days */
#define ARENA_MAX (1024u * 1024)
#define SPOOLS_MAX 64                      /* files of tools on their way at once */
#define SPOOLED_MAX (1024ll * 1024 * 1024) /* bytes of them on the disk at once */
#define STREAM_BYTES (512u * 1024)         /* in memory of what goes to its file as it comes */
#define PIECE_BYTES (256u * 1024)          /* handed over at once */

enum job_state { JOB_QUEUED, JOB_ASKED, JOB_FETCHED, JOB_INSPECTED, JOB_WRITTEN, JOB_LATER };

/* A file that is written as its bytes come (file.c). */
struct media_out {
    int folder, fd;
    struct keyring_cache *keys;
    struct media_item item; /* whose keys and file id */
    uint32_t number;
    uint64_t size;
    struct buffer open; /* the chunk that is not full yet; wiped */
    crypto_hash_sha256_state hash;
    char name[FILE_NAME_MAX];
};

struct job {
    struct job *bucket_next; /* by key */
    struct job *next;        /* in the list `first`: as they came */
    struct media *media;
    enum job_state state;
    uint8_t key[MEDIA_KEY_BYTES];
    struct media_item item;
    uint8_t announced[32]; /* by the webhook */
    bool has_announced;
    bool counted;     /* in the table behind media_waits, */
    uint64_t message; /* for this message */
    bool raced;       /* its row was another one when the verdict came */
    bool paced;       /* counted for its contact already */
    unsigned tries, hash_tries, looks;
    int64_t next_ms;       /* JOB_LATER, mono */
    struct config *config; /* while a request or an inspection is under way */
    const struct config_channel *channel;
    struct buffer bytes; /* as fetched: a picture, or the first bytes; then as served */
    struct media_kind_scan scan;
    bool seals; /* `out` is under way: what is no picture goes to its file as it comes */
    struct media_out out;
    crypto_hash_sha256_state hash; /* of what came */
    uint64_t came, expected;       /* bytes: so far, and as Meta said */
    enum media_reason refused;     /* while bytes come: why they are not wanted */
    int data_error;                /* likewise: what went wrong here */
    uint64_t reserved;
    struct media_ask *asks;
    /* the row's job */
    struct store_job row_job;
    struct mail mail;
    struct buffer row, head, leaf; /* `head`: the row that it replaces */
    uint8_t leaf_hash[32];
};

struct pace {
    uint64_t subject;
    int64_t minute;
    unsigned n;
};

struct waits { /* items of a message that are worked on */
    struct waits *next;
    uint64_t serial;
    unsigned n;
};

enum media_counter {
    M_TAKEN,
    M_CLEAN,
    M_COVERED,
    M_PASSED,
    M_HELD,
    M_GONE,
    M_TOO_LARGE,
    M_WRONG_HASH,
    M_UNDECIDED,
    M_NO_INSPECTOR,
    M_TOO_MANY,
    M_RETRIES,
    M_SERVED,
    M_NOT_SERVED,
    M_CHECKED,
    M_EXPIRED,
    M_SWEPT_ROWS,
    M_SWEPT_FILES,
    M_WAITING, /* gauges from here */
    M_BYTES,
    M_COUNT
};

struct media {
    struct media_deps deps;
    struct counter *counters;
    struct upstream *upstream; /* NULL: not started, or stopping */
    struct keyring_cache *keys;
    struct loop_timer *tick;
    struct mail start, drain;
    bool stopped, drained;
    int folder; /* descriptor */
    struct job *buckets[JOBS_BUCKETS];
    struct job *first, **end;
    unsigned jobs, under_way;
    uint64_t bytes;             /* of jobs, checks and asks in memory */
    unsigned ask_count;         /* tools that wait with a job */
    struct media_check *checks; /* waiting for the inspector */
    unsigned check_count;
    atomic_int keeping;   /* media_keep under way: files without a row may be its */
    atomic_int spools;    /* spool.c: there are, */
    atomic_llong spooled; /* with so many bytes */
    _Atomic bool missed;  /* some rows have no job: they are looked for */
    bool refilling;
    uint8_t refill_key[MEDIA_KEY_BYTES];
    int64_t refill_ms;
    DIR *swept;                         /* where media_sweep is in the folder, */
    uint8_t sweep_key[MEDIA_KEY_BYTES]; /* and in the rows */
    struct pace pace[PACE_SLOTS];
    pthread_mutex_t lock;
    struct waits *waits[JOBS_BUCKETS];
};

static inline void media_count(struct media *m, enum media_counter c)
{
    counter_add(&m->counters[c], 1);
}

/* ---- sweep.c ---- */
/* Does a row name this file of the folder? When in doubt it does. `read` may be older than the row:
 * it began before the file was written and its row committed; what it does not name is looked at
 * once more, as things stand now. */
bool media_file_named(struct media *m, struct keyring_cache *keys, struct store_read *read,
                      const char *name);

/* ---- row.c ---- */
#define ROW_CLEAR 49 /* bytes of a row that are not sealed, the file's id at their end */
/* What stands in clear of the item's row: two rows that begin alike are the same one. */
void media_row_head(const struct media_item *item, struct buffer *out);
bool media_row_waits(struct span value);
uint64_t media_row_subject(struct span value); /* 0: of an older version, or an upload */
uint64_t media_row_serial(struct span value);  /* of its message leaf; 0 likewise */
/* Where the copy of an item stands that a legal hold keeps (keep.c), and back. */
#define MEDIA_HELD_BIT 0x80u /* of a key's first byte: channels are numbered below 32,768 */
/* The row of `key`: with `held`, when it is gone or cannot be opened, the copy of a hold. */
SLUIS_MUST_CHECK int media_row_get(struct store_read *read, struct keyring_cache *cache,
                                   const uint8_t key[MEDIA_KEY_BYTES], bool held,
                                   struct arena *arena, struct media_item *out);

/* 0, or SLUIS_EEXPIRED: its sender took the message back. */
SLUIS_MUST_CHECK int media_row_shown(struct store_read *read, const struct media_item *item);

/* ---- file.c ---- */
void media_file_name(const uint8_t key[MEDIA_KEY_BYTES], const uint8_t file[MEDIA_FILE_ID],
                     char out[FILE_NAME_MAX]);
/* Sealed in chunks, synced, its name too. SLUIS_EEXPIRED, SLUIS_EFULL, SLUIS_EIO ... */
SLUIS_MUST_CHECK int media_file_write(int folder, struct keyring_cache *keys,
                                      const uint8_t key[MEDIA_KEY_BYTES],
                                      const struct media_item *item, struct span bytes);
/* The same as it comes: begin, add, and end or drop. After an error: drop. */
SLUIS_MUST_CHECK int media_out_begin(struct media_out *out, int folder, struct keyring_cache *keys,
                                     const uint8_t key[MEDIA_KEY_BYTES],
                                     const struct media_item *item);
SLUIS_MUST_CHECK int media_out_add(struct media_out *out, struct span bytes);
SLUIS_MUST_CHECK int media_out_end(struct media_out *out, uint8_t sha256[32]); /* synced */
void media_out_drop(struct media_out *out);
/* Appends n bytes from `at` on. Each chunk is sealed for its place in this file; the hash of the
 * whole is not looked at. SLUIS_ECRYPTO, SLUIS_ENOENT, SLUIS_EINVAL (beyond the end). */
SLUIS_MUST_CHECK int media_file_part(int folder, struct keyring_cache *keys,
                                     const uint8_t key[MEDIA_KEY_BYTES],
                                     const struct media_item *item, uint64_t at, size_t n,
                                     struct buffer *out);
/* Appends the whole, checked against the item's hash and size. SLUIS_ECRYPTO when it is not. */
SLUIS_MUST_CHECK int media_file_read(int folder, struct keyring_cache *keys,
                                     const uint8_t key[MEDIA_KEY_BYTES],
                                     const struct media_item *item, struct buffer *out);
void media_file_remove(int folder, const uint8_t key[MEDIA_KEY_BYTES],
                       const uint8_t file[MEDIA_FILE_ID]);

/* ---- job.c ---- */
struct job *job_find(struct media *m, const uint8_t key[MEDIA_KEY_BYTES]);
/* From its row; NULL when there is nothing to do (it has a verdict), no room or no memory. */
struct job *job_from_row(struct media *m, struct store_read *read,
                         const uint8_t key[MEDIA_KEY_BYTES]);
void job_step(struct job *job);             /* on from JOB_QUEUED */
void job_drop(struct job *job, int result); /* its asks hear `result` */
/* Again after a while: `in_ms`, or 0 for the next back-off. */
void job_later(struct job *job, int64_t in_ms);
/* Its keys are gone, or its row is another one. True: it waits under other keys now, the message
 * was sealed anew meanwhile (media_keep), and is fetched again for them. */
SLUIS_MUST_CHECK bool job_moved(struct job *job);
/* Does what is due; true when there is something to come back for. */
bool jobs_tick(struct media *m);
void jobs_end(struct media *m);
bool media_reserve(struct media *m, uint64_t bytes);
void media_release(struct media *m, uint64_t bytes);
void media_wake(struct media *m);

/* ---- verdict.c ---- */
/* The kind is known: a picture into memory (*memory: bytes it takes there), anything else into its
 * file, or not wanted at all (job->refused). 0 or what went wrong. */
SLUIS_MUST_CHECK int job_begin_bytes(struct job *job, bool *picture);
/* Its bytes are there and are what was announced: policy, inspection, file, row. */
void job_judge(struct job *job);
void job_hold(struct job *job, enum media_reason reason); /* ends with a row */
void job_expired(struct job *job);                        /* its keys are destroyed */
void job_write(struct job *job);                          /* the row of a verdict that stands */
bool inspector_present(struct media *m);
/* Of each class of pictures, what the one version that is kept must look like. */
void look_actions(const struct config_channel *channel, uint8_t actions[MEDIA_CLASSES]);
/* Passes a kind that nobody looks into to any route of the channel? */
bool any_route_passes(const struct config_channel *channel, enum media_kind kind);

/* ---- serve.c ---- */
void ask_finish(struct media *m, struct media_ask *ask, int result);
/* The item's row now, and its bytes when asked for. */
void ask_answer(struct media *m, struct media_ask *ask);
bool asks_tick(struct media *m);
void asks_end(struct media *m);

/* ---- spool.c ---- */
SLUIS_MUST_CHECK int spool_add(struct media_spool *spool, struct span bytes, bool last);
/* Of one that is ended. Appends; SLUIS_ECRYPTO when the disk gives back something else. */
SLUIS_MUST_CHECK int spool_read(struct media_spool *spool, uint64_t at, size_t n,
                                struct buffer *out);

/* ---- check.c ---- */
bool checks_tick(struct media *m);
void checks_end(struct media *m);

/* ---- waits, media.c ---- */
bool waits_add(struct media *m, uint64_t serial, unsigned n);
void waits_done(struct media *m, uint64_t serial);

#endif

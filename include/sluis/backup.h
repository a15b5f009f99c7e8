/*
 * Backups in two parts, made while the gateway serves, and looking at everything that is sealed
 * (`sluis backup`, `sluis restore`, `sluis doctor --store`).
 *
 * The data part (FOLDER/data: data.mdb and manifest.json) is a compacted copy of the store of one
 * moment. It holds no key and may be kept as long as one likes: what is destroyed later cannot be
 * opened from it either. The keyring part (FOLDER/keyring/keyring-N.backup) is small, sealed to the
 * recovery public key, numbered and registered (keyring.h): it opens what is destroyed after it,
 * so it has a day by which it must be gone. Keep the two apart from each other.
 *
 * The manifest is written last: without one a folder is no backup. It names every file with its
 * size and BLAKE2b-256, so that damage is found before LMDB reads a page:
 *     {"version":1,"made":ms,"installation":hex,"generation":n,"keyring_backup":n,
 *      "files":[{"name":"data.mdb","bytes":n,"blake2b":hex}],
 *      "media":{"files":n,"bytes":n,"blake2b":hex}}        of FOLDER/data/media, names and bytes
 * It is no proof against whoever can write the folder; each sealed value has a tag of its own.
 *
 * Cost: the copy is a read transaction for as long as it takes to write. Pages freed meanwhile
 * cannot be used again, so the store's file grows by some 17 pages a commit once its free pages
 * are used up; past `growth_max` the backup gives up and says so, and intake goes on.
 *
 * Threads: each call on one thread that may block; never an event thread, save backup_check_some.
 */
#ifndef SLUIS_BACKUP_H
#define SLUIS_BACKUP_H

#include <stdatomic.h>

#include "sluis/base/diag.h"
#include "sluis/keyring.h"
#include "sluis/store.h"

/* ---- every value, opened ---- */
struct backup_counts {
    uint64_t blocks;   /* of the journal */
    uint64_t leaves;   /* of the access log, each with its hash */
    uint64_t opened;   /* records whose tag holds */
    uint64_t past;     /* of these: their bucket has ended, they ought to be destroyed */
    uint64_t expired;  /* records whose key is destroyed: nobody can open them */
    uint64_t unplaced; /* records that no readable journal block knows: not served by themselves */
    uint64_t moved; /* of these: what stays of messages taken back, looked at through their rows */
    uint64_t rows;  /* sealed rows of the small tables */
    uint64_t unsealed; /* rows that have no tag (numbers, times, keyed hashes) */
    uint64_t damaged;  /* values whose tag or hash does not hold */
};
struct backup_finding { /* one damaged value; never its content */
    const char *what;   /* "journal", "log", "record", "row" */
    char name[64];      /* a record's class, a row's table */
    uint64_t serial;    /* record: commit serial; journal: order; log: index; row: its number */
    char part;          /* record: 'O', 'M' ...; else 0 */
    int error;
};
/* What a keyring opens though it ought to be destroyed: records of a class whose bucket has ended. */
struct backup_past {
    char cls[64];
    uint64_t records;
};
struct backup_check {
    struct store *store; /* or a copy */
    struct keyring *keyring;
    int64_t now_ms;
    void (*found)(void *ctx, const struct backup_finding *finding);
    /* A destruction record (retention.h: the record inside the line) of a later generation than the
     * keyring's: what it destroyed, this keyring opens. NULL: not asked for. */
    void (*destroyed)(void *ctx, struct span record);
    void *ctx;
    struct backup_counts counts; /* added to */
    struct backup_past past[STORE_CLASSES_MAX + 1]; /* by class; likewise */
};
/* At most `max` values and about `ms` milliseconds from `place` on. 1 more, 0 the end, or an error
 * (damage is none: it is counted and found). */
SLUIS_MUST_CHECK int backup_check_some(struct backup_check *check, struct store_place *place,
                                       unsigned max, unsigned ms);

/* ---- making ---- */
struct backup_request {
    struct store *store;
    struct keyring *keyring;
    const char *folder;          /* absolute; absent or empty; made with mode 0700 */
    const char *media;           /* folder of sealed media files (media_path), or NULL */
    const uint8_t *recovery_key; /* public; NULL: no keyring part */
    int64_t keep_s;              /* of the keyring part */
    int64_t now_ms;
    uint64_t growth_max;
    const atomic_bool *stop; /* ends it with SLUIS_ECLOSED */
};
struct backup_made {
    uint64_t bytes, growth; /* of the data; of the store meanwhile */
    uint32_t number;        /* of the keyring part, 0 none */
    uint64_t generation;    /* of the keyring */
    int64_t expires_ms;     /* by when the keyring part must be gone */
};
/* The keyring part first, so that the data part knows of it in its register. On failure what was
 * written stays without a manifest; a number that was given out stays registered. */
SLUIS_MUST_CHECK int backup_make(const struct backup_request *request, struct backup_made *made,
                                 struct diag *diag);
/* Proves the data part in `folder` (.../data) restorable with this keyring, without writing to it
 * or touching the store: hashes, opening, every value. `check` has keyring, now, found; its store
 * is set here. 0, or SLUIS_ECRYPTO with a diagnosis (damage, another installation). */
SLUIS_MUST_CHECK int backup_verify(const char *folder, struct backup_check *check,
                                   const atomic_bool *stop, struct diag *diag);

/* ---- restoring, with no gateway running ---- */
struct backup_restore {
    const char *data;       /* data part, or NULL: the keyring only */
    const char *store_path; /* absent or empty */
    uint64_t store_size;
    const char *keyring_file;    /* keyring part; NULL: the keyring that is there */
    const uint8_t *recovery_key; /* the secret one, with keyring_file */
    struct keyring_config keys;
    int64_t now_ms;
    /* With an older keyring: what it opens again, one by one, as the data's own destruction records
     * say; a JSON object without content or identifiers. May be NULL. */
    void (*destroyed)(void *ctx, struct span record);
    void *ctx;
};
struct backup_restored {
    struct backup_counts counts;
    struct backup_past past[STORE_CLASSES_MAX + 1];
    uint64_t keyring_generation, data_generation;
    bool older; /* the keyring is older than the data know: it opens what was destroyed since */
};
/* Serials that the lost store may have given out after the backup are passed over: so many beyond
 * the store's own and beyond the highest that the keyring has destroyed. */
#define BACKUP_SKIP_MESSAGES (16u << 20)
#define BACKUP_SKIP_SUBJECTS (1u << 20)
SLUIS_MUST_CHECK int backup_restore(const struct backup_restore *restore,
                                    struct backup_restored *out, struct diag *diag);

#endif

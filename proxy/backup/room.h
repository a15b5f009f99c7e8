/* What the files of this room share: the manifest, files, blocks of a store opened here. */
#ifndef SLUIS_BACKUP_ROOM_H
#define SLUIS_BACKUP_ROOM_H

#include "sluis/backup.h"
#include "sluis/base/error.h"

#define BACKUP_VERSION 1
#define BACKUP_HASH 32
#define BACKUP_PATH_MAX 1024
#define BACKUP_DATA "data.mdb"
#define BACKUP_MANIFEST "manifest.json"

#define BACKUP_MEDIA "media"

struct media_sum { /* files of media: how many, and BLAKE2b over their names and bytes, by name */
    uint64_t files, bytes;
    uint8_t hash[BACKUP_HASH];
};
struct manifest {
    int64_t made_ms;
    uint8_t installation[KEYRING_INSTALLATION_BYTES];
    uint64_t generation;
    uint32_t keyring_backup;
    uint64_t bytes; /* of data.mdb */
    uint8_t hash[BACKUP_HASH];
    struct media_sum media; /* all zero in backups of versions without media */
};
/* media.c */
/* Copies the files of a folder (one that is not there has none) to a new one, or with NULL only
 * looks at them; *sum: what was there. */
SLUIS_MUST_CHECK int media_copy(const char *from, const char *to, const atomic_bool *stop,
                                struct media_sum *sum, struct diag *diag);
/* Are they those of the manifest? SLUIS_ECRYPTO with a diagnosis. */
SLUIS_MUST_CHECK int media_compare(const char *folder, const struct manifest *manifest,
                                   const struct media_sum *sum, struct diag *diag);
void media_clear(const char *folder); /* its files, and it */

/* manifest.c */
SLUIS_MUST_CHECK int manifest_write(const char *folder, const struct manifest *manifest,
                                    struct diag *diag);
SLUIS_MUST_CHECK int manifest_read(const char *folder, struct manifest *out, struct diag *diag);
/* folder/name; false when too long. */
bool path_join(char out[BACKUP_PATH_MAX], const char *folder, const char *name);
/* A folder of our own that is empty, made when absent. */
SLUIS_MUST_CHECK int folder_empty(const char *path, struct diag *diag);
SLUIS_MUST_CHECK int folder_sync(const char *path);
/* A new file with these bytes, synced. */
SLUIS_MUST_CHECK int file_write(const char *path, struct span bytes, struct diag *diag);
int errno_told(struct diag *diag, const char *path, const char *what);
/* Reads folder/data.mdb, against the manifest; also to a new file `to` unless NULL. */
SLUIS_MUST_CHECK int data_check(const char *folder, const struct manifest *manifest, const char *to,
                                const atomic_bool *stop, struct diag *diag);

/* check.c: blocks of journal and log, sealed as the gateway seals them; ctx is a keyring_cache that
 * one thread uses. */
int blocks_seal(void *ctx, uint8_t table, uint64_t row, struct span plain, struct buffer *out);
int blocks_open(void *ctx, uint8_t table, uint64_t row, struct span sealed, struct buffer *out);
/* All of it; `stop` may be NULL. */
SLUIS_MUST_CHECK int check_all(struct backup_check *check, const atomic_bool *stop);

/* rows.c */
struct sealed_place {
    struct record_id id;
    struct span sealed;
    const char *name;
    bool mortal; /* its keys may have been destroyed before the row is swept */
};
/* Where a row of a small table is sealed; false: it is not. */
bool row_place(struct store_read *read, const struct store_value *v, struct sealed_place *out);

#endif

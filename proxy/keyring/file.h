/*
 * The keyring on disk: the root key, the folder with two epoch slots and the cover files.
 *
 *   FOLDER/epoch        two slots of 4096 bytes, preallocated, only ever overwritten in place
 *   FOLDER/cover.N      the cover of generation N, sealed under epoch key N
 *
 *   FOLDER/reserve      blocks held for the next cover, for the day the disk is full
 *
 * Slot (generation g stands in slot g mod 2; all zero: empty):
 *   0   "SLUISEP1"          8   generation, big-endian        16  installation, 16 bytes
 *   32  nonce, 24           56  sealed epoch key, 32 + 16     104 zeros
 *   XChaCha20-Poly1305 under BLAKE2b-256(key = root key, message = "epoch slot", person =
 *   "sluis root"), associated data = bytes 0..31.
 * Cover file:
 *   0   "SLUISKR1"          8   generation                    16  installation
 *   32  nonce, 24           56  sealed cover (tree.h) and tag, under the epoch key
 *   associated data = bytes 0..31.
 *
 * Order of a change from g to g+1 (architecture section 5); a crash between any two steps leaves a
 * keyring that opens as g or as g+1:
 *   1 cover.(g+1) written and synced      4 cover and slot read back and opened
 *   2 folder synced                       5 slot g overwritten with zeros, fdatasync
 *   3 slot (g+1) written, fdatasync       6 cover.g removed, folder synced
 * After 5 no key destroyed by g+1 can be read from any file.
 */
#ifndef SLUIS_KEYRING_FILE_H
#define SLUIS_KEYRING_FILE_H

#include "tree.h"

#define KEYRING_INSTALLATION 16

struct keyring_files {
    int folder, epoch; /* descriptors, -1 when closed */
    uint64_t generation;
    uint8_t installation[KEYRING_INSTALLATION];
    int (*fault)(void *ctx, unsigned step);
    void *fault_ctx;
};

/* Where the root key comes from. A file or systemd credential holds it as 64 hex digits; a
 * passphrase makes it by argon2id with the salt and the costs in FOLDER/root.kdf: 0  "SLUISKD1"   8
 * operations, big-endian 32 bits   12  memory in bytes, 64 bits   20  salt, 16 A new root key is
 * first written to `path`.new, then the epoch slot is written under it, then .new takes the place
 * of `path`: a start finds the right one of the two after a crash anywhere. */
#define ROOT_PATH_MAX 1024
struct root_source {
    char path[ROOT_PATH_MAX];
    bool passphrase; /* path is the root.kdf */
    bool credential; /* below $CREDENTIALS_DIRECTORY: provided, not ours to replace */
};
SLUIS_MUST_CHECK int root_source(const struct keyring_config *config, struct root_source *out,
                                 struct diag *diag);
/* Reads (or, when `make` and absent, makes) the root key into key[32]; `fresh`: of .new.
 * SLUIS_EDENIED for a wrong owner or mode, SLUIS_EINVAL for a wrong spelling, SLUIS_ENOENT,
 * SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int root_read(const struct root_source *source, bool fresh, bool make,
                               struct span passphrase, uint8_t key[TREE_KEY], struct diag *diag);
/* .new takes the place of `path`, or goes. */
SLUIS_MUST_CHECK int root_promote(const struct root_source *source);
void root_forget_new(const struct root_source *source);

/* A keyring to be made from a backup: the cover as cover_write wrote it. */
struct files_seed {
    uint8_t installation[KEYRING_INSTALLATION];
    uint64_t generation; /* at least 1 */
    struct span cover;
};

/* Opens the folder and the newest generation; finishes a change that a crash cut off. `cover` is
 * initialised, its slab holds the root key. With `make`, an absent keyring is made, out of `seed`
 * when that is not NULL; a seed never takes the place of a keyring (SLUIS_EEXIST). */
SLUIS_MUST_CHECK int files_open(struct keyring_files *files, const struct keyring_config *config,
                                bool make, const struct files_seed *seed, struct cover *cover,
                                struct diag *diag);
/* Writes the cover as the next generation, under a new epoch key. */
SLUIS_MUST_CHECK int files_commit(struct keyring_files *files, struct cover *cover);
void files_close(struct keyring_files *files);

#endif

/*
 * The keyring on disk: the folder, the root key, two epoch slots and the cover files.
 *
 *   FOLDER/epoch        two slots of 4096 bytes, preallocated, only ever overwritten in place
 *   FOLDER/cover.N      the cover of generation N, sealed under epoch key N
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

/* Reads (or, when `make`, makes) the root key into key[32]. SLUIS_EDENIED for a wrong owner or
 * mode, SLUIS_EINVAL for a wrong spelling. */
SLUIS_MUST_CHECK int root_read(const char *file, bool make, uint8_t key[TREE_KEY],
                               struct diag *diag);

/* Opens the folder and the newest generation; finishes a change that a crash cut off. `cover` is
 * initialised, its slab holds the root key. With `make`, an absent keyring is made. */
SLUIS_MUST_CHECK int files_open(struct keyring_files *files, const char *path, bool make,
                                bool any_file_system, struct cover *cover, struct diag *diag);
/* Writes the cover as the next generation, under a new epoch key. */
SLUIS_MUST_CHECK int files_commit(struct keyring_files *files, struct cover *cover);
void files_close(struct keyring_files *files);

#endif

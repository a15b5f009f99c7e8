/*
 * The keyring: every key, every sealing, every look-up hash (architecture section 5).
 *
 * A record key is derived from three leaves (time by class and bucket, subject, message) and the
 * part; destroying a leaf destroys what it sealed. Keys live in one guarded, locked slab and in a
 * small file outside the database; none ever stands in LMDB.
 *
 * Record format (all versions start with the version byte):
 *   byte 0     schema version (1)
 *   byte 1     part
 *   2..5       row generation, big-endian
 *   6..29      nonce, 24 random bytes, fresh per sealing
 *   30..       XChaCha20-Poly1305 ciphertext and 16-byte tag
 * Associated data: table, class, bucket, subject, serial, part, schema version, generation.
 *
 * Threads: any; a keyring is shared. record_seal and record_open take a per-thread cache.
 */
#ifndef SLUIS_KEYRING_H
#define SLUIS_KEYRING_H

#include "sluis/base/buffer.h"
#include "sluis/base/diag.h"
#include "sluis/store.h"

#define KEYRING_RECORD_OVERHEAD 46 /* header, nonce and tag */
#define KEYRING_KEY_BYTES 32

struct keyring;
struct keyring_cache; /* derived interior nodes of one thread; wiped on free and on puncture */

struct keyring_config {
    const char *path;      /* folder of the keyring, mode 0700, not the store's */
    const char *root_file; /* file with the root key: 32 bytes as 64 hex digits; mode 0400 or 0600 */
    bool make;             /* create what is missing (`sluis keys init`, development) */
};
SLUIS_MUST_CHECK int keyring_open(const struct keyring_config *config, struct keyring **out,
                                  struct diag *diag);
void keyring_close(struct keyring *keyring);

SLUIS_MUST_CHECK int keyring_cache_new(struct keyring *keyring, struct keyring_cache **out);
void keyring_cache_free(struct keyring_cache *cache);

/* Seals `plain`, appending to `out`. 0, SLUIS_EEXPIRED (a leaf is gone), SLUIS_ESEALED, SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int record_seal(struct keyring_cache *cache, uint8_t table,
                                 const struct record_id *id, uint32_t generation, struct span plain,
                                 struct buffer *out);
/* Opens, appending the plain text to `out` (wipe it). SLUIS_ECRYPTO when the tag does not hold or the
 * header does not fit the id; SLUIS_EEXPIRED; SLUIS_EINVAL (too short, unknown version). */
SLUIS_MUST_CHECK int record_open(struct keyring_cache *cache, uint8_t table,
                                 const struct record_id *id, struct span sealed,
                                 struct buffer *out);

/* Look-up hashes: keyed BLAKE2b-128 with the index key (identifiers) or a key per day (dedupe).
 * `label` keeps uses apart ("phone", "message", ...). */
void keyring_hash_identifier(struct keyring *keyring, const char *label, struct span text,
                             uint8_t out[STORE_HASH_BYTES]);
void keyring_hash_day(struct keyring *keyring, uint32_t day, const char *label, struct span text,
                      uint8_t out[STORE_HASH_BYTES]);
/* A long-lived key for another use ("alias", "token-hash", "delivery-id"); wipe it after use. */
void keyring_derive(struct keyring *keyring, const char *label, uint8_t out[KEYRING_KEY_BYTES]);

#endif

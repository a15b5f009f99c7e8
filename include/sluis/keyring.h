/*
 * The keyring: every key, every sealing, every look-up hash (architecture section 5).
 *
 * Three puncturable key trees (Goldreich-Goldwasser-Micali, 4-ary): *time* (class, expiry bucket),
 * *subject* (subject serial), *message* (commit serial). A record's key is derived from one leaf of
 * each; destroying a leaf (keyring_puncture) destroys every record under it, in the store, in
 * its free pages and in every backup of it. Keys live in one guarded, locked slab and in a small
 * folder outside the database (proxy/keyring/file.h); none ever stands in LMDB.
 *
 * Derivations (all BLAKE2b; vectors in tests/unit/keyring/vectors.py):
 *   child      = BLAKE2b-256(key = node, person "sluis tree", message = index byte 0..3)
 *   time leaf    24 levels, path = class (16 bits) | bucket (32 bits), two bits a level from the
 * top subject, message leaf   16 levels, path = the serial (32 bits) record key =
 * BLAKE2b-256(person "sluis record", message = time leaf | subject leaf | message leaf | part |
 * version) identifier = BLAKE2b-128(key = index key, person "sluis lookup", message = label | 0 |
 * text) day hash   = the same with key = time leaf of (class KEYRING_CLASS_DAY, bucket = day)
 *                (two index keys live while one replaces the other, see keyring_lookup_begin)
 *   subject hash = BLAKE2b-128(key = subject leaf, person "sluis subject", message = label | 0 |
 * text) pseudonym  = first 64 bits, big-endian, of BLAKE2b-256(key = subject leaf, person "sluis
 * subject", message = "pseudonym") derive     = BLAKE2b-256(key = derivation key, person "sluis
 * derive", message = label) Records that never expire (class 0: principals, settings, journal,
 * subjects' own records) and the access log (part 'L') hang under message leaf 0, since their
 * serials are not commit serials; subject 0 is leaf 0 of the subject tree. Leaf 0 and class 0 are
 * never punctured.
 *
 * Record format (all versions start with the version byte):
 *   byte 0     schema version (1)
 *   byte 1     part
 *   2..5       row generation, big-endian
 *   6..29      nonce, 24 random bytes, fresh per sealing
 *   30..       XChaCha20-Poly1305 ciphertext and 16-byte tag
 * Associated data, 29 bytes, big-endian: table (1), class (2), bucket (4), subject (8), serial (8),
 * part (1), schema version (1), generation (4).
 *
 * Threads: any; a keyring is shared. A cache may be shared too: its lock is held for the look-up of
 * the leaves and for taking a nonce only. A thread that seals much has one of its own. A puncture
 * wipes them all. Do
 * not fork a process that goes on sealing: a child needs a keyring of its own.
 */
#ifndef SLUIS_KEYRING_H
#define SLUIS_KEYRING_H

#include "sluis/base/buffer.h"
#include "sluis/base/diag.h"
#include "sluis/store.h"

#define KEYRING_RECORD_OVERHEAD 46 /* header, nonce and tag */
#define KEYRING_KEY_BYTES 32
#define KEYRING_INSTALLATION_BYTES 16
#define KEYRING_PASSPHRASE_MIN 12 /* bytes */
#define KEYRING_CLASS_DAY 0xffff  /* time class whose buckets are the days of the dedupe keys */

struct keyring;
struct keyring_cache; /* derived interior nodes of one thread; wiped on free and on puncture */

struct keyring_config {
    const char *path; /* folder of the keyring, mode 0700, not the store's */
    /* File with the root key: 32 bytes as 64 hex digits; owner this user or root, mode 0400 or
     * 0600. A systemd credential (below $CREDENTIALS_DIRECTORY) may be 0440 when root owns it. */
    const char *root_file;
    /* Instead of root_file (NULL then): the root key is argon2id of this, 256 MB and some 0.7 s;
     * at least KEYRING_PASSPHRASE_MIN bytes. The gateway stays sealed until it is given one. */
    struct span passphrase;
    bool make;            /* create what is missing (`sluis keys init`, development) */
    bool any_file_system; /* accept a copy-on-write file system, where old keys may survive */
    /* Test hook: called after each step of a change on disk (file.h: 1..6); non-zero stops there,
     * as a crash would, and the change answers SLUIS_EIO. */
    int (*fault)(void *ctx, unsigned step);
    void *fault_ctx;
};
/* SLUIS_ENOENT (no keyring, no root key file), SLUIS_EDENIED (owner, mode, file system),
 * SLUIS_EINVAL (root key misspelt, passphrase too short), SLUIS_ECRYPTO (wrong root key, damaged),
 * SLUIS_EEXIST (open in another process). */
SLUIS_MUST_CHECK int keyring_open(const struct keyring_config *config, struct keyring **out,
                                  struct diag *diag);
void keyring_close(struct keyring *keyring); /* after its caches were freed */

/* Whose keyring this is and how many changes it has seen: for backups, the register and
 * the check that it did not go back. */
struct keyring_status {
    uint8_t installation[KEYRING_INSTALLATION_BYTES];
    uint64_t generation;
    uint64_t cover_nodes; /* keys in the trees */
    bool behind;          /* a puncture in memory did not reach the disk yet */
    bool locked;          /* the slab is locked in memory (no swap) */
    const char *root;     /* where the root key comes from: "file", "credential", "passphrase" */
};
void keyring_status(struct keyring *keyring, struct keyring_status *out);

/* Ties store and keyring together, at start and after punctures: the store remembers (under a MAC)
 * which installation's keyring it was last used with and its generation. SLUIS_ECRYPTO: the keyring
 * of another installation, or a changed row. SLUIS_EDENIED: this keyring is older than the one the
 * store knows, it was restored from a backup and can still open what was destroyed since;
 * `accept_older` takes it all the same. Commits when something changed: not on event threads. */
SLUIS_MUST_CHECK int keyring_bind(struct keyring *keyring, struct store *store, bool accept_older,
                                  struct diag *diag);

/* A new root key (file: a fresh one in the same place; passphrase: the new one given), under which
 * the current keys are sealed anew; nothing else is re-sealed. The old root key opens nothing any
 * more. SLUIS_EDENIED for a credential: whoever provides it must. On other errors the old or the
 * new one opens, and only one of them; a start finds out which. Not on event threads. */
SLUIS_MUST_CHECK int keyring_rotate_root(struct keyring *keyring, struct span passphrase);

/* ---- backups of the keyring ---- */
/*
 * A backup holds the keys of its moment, sealed to a recovery public key whose secret is kept
 * elsewhere (X25519, libsodium's sealed box). It can open what is destroyed later, so every backup
 * is numbered and registered in the store before it leaves, with the day by which it must be gone.
 * The register is a sealed row a backup in the store's settings.
 *
 *   0   "SLUISKB1"   8   number (4)   12  generation (8)   20  installation (16)
 *   36  made, ms since 1970 (8)       44  recovery public key (32)
 *   76  backup key in a sealed box (80)   156  nonce (24)   180  sealed cover and tag
 * XChaCha20-Poly1305 under the backup key, associated data = bytes 0..155.
 */
#define KEYRING_RECOVERY_KEY 32
#define KEYRING_BACKUP_KEEP_MAX_S                                                                  \
    (366ll * 24 * 3600) /* a keyring backup undoes erasure: a year                                 \
                         */
struct keyring_backup {
    uint32_t number;
    uint64_t generation;
    int64_t made_ms, expires_ms;
    int64_t gone_ms; /* when a person confirmed that it is destroyed; 0 not yet */
};
void keyring_recovery_make(uint8_t public_key[KEYRING_RECOVERY_KEY],
                           uint8_t secret_key[KEYRING_RECOVERY_KEY]);
/* Registers a backup (durable), then appends it to `out`. Not on event threads. SLUIS_EINVAL
 * (keep_s not in 1 .. KEYRING_BACKUP_KEEP_MAX_S), or the store's error. */
SLUIS_MUST_CHECK int keyring_backup_make(struct keyring *keyring, struct store *store,
                                         const uint8_t public_key[KEYRING_RECOVERY_KEY],
                                         int64_t keep_s, int64_t now_ms, struct buffer *out,
                                         struct keyring_backup *made);
/* A person says that backup `number` has been destroyed everywhere. SLUIS_ENOENT. */
SLUIS_MUST_CHECK int keyring_backup_gone(struct keyring *keyring, struct store *store,
                                         uint32_t number, int64_t now_ms);
/* Every registered backup by number; `each` returns 0 to go on. SLUIS_ECRYPTO when a row does not
 * open: then nothing certain can be said about backups. */
SLUIS_MUST_CHECK int
keyring_backup_each(struct keyring *keyring, struct store *store,
                    int (*each)(void *ctx, const struct keyring_backup *backup), void *ctx);
/* For certificates: when what was destroyed in `generation` is destroyed in every registered backup
 * too: 0 it is now, otherwise the latest day by which a living backup must be gone. */
SLUIS_MUST_CHECK int keyring_backup_clear(struct keyring *keyring, struct store *store,
                                          uint64_t generation, int64_t now_ms, int64_t *clear_ms);
/* Makes a keyring out of a backup, in a folder that has none, under the root key of `config` (made
 * when absent). SLUIS_EEXIST, SLUIS_ECRYPTO (another recovery key, damaged), SLUIS_EINVAL (no
 * backup). keyring_bind then says whether the store knows a newer one. */
SLUIS_MUST_CHECK int keyring_restore(const struct keyring_config *config, struct span backup,
                                     const uint8_t secret_key[KEYRING_RECOVERY_KEY],
                                     struct keyring **out, struct diag *diag);

/* ---- destroying keys ---- */
enum keyring_tree { KEYRING_TIME, KEYRING_SUBJECT, KEYRING_MESSAGE, KEYRING_TREES };
struct keyring_leaf {
    enum keyring_tree tree;
    bool through;  /* and every leaf before it (of the class) */
    uint16_t cls;  /* KEYRING_TIME only */
    uint32_t leaf; /* bucket, subject serial or commit serial */
};
/* Destroys the leaves, for good: in memory and in every thread's cache first, then on disk under a
 * new epoch key, all in one change. Already destroyed leaves are no error. 0: nothing that hung
 * under them can be opened again by anyone. SLUIS_EINVAL (class 0 or leaf 0 of another tree;
 * nothing done). On SLUIS_EIO, SLUIS_EFULL or SLUIS_ENOMEM the leaves are gone in memory, maybe not
 * on disk: call again, with any leaves or none, until it returns 0. Takes three syncs of the disk:
 * not on event threads. */
SLUIS_MUST_CHECK int keyring_puncture(struct keyring *keyring, const struct keyring_leaf *leaves,
                                      size_t n);

/* Makes the keyring smaller: every node of it goes under which there is no leaf of `living` (a bit
 * for each serial: bit n % 8 of byte n / 8) and none from `below` on. The caller says what lives:
 * whatever it forgets may be lost. Leaf 0 stays. Single punctures leave siblings behind that
 * nothing hangs under any more; after this there is a living leaf under every node. As
 * keyring_puncture; SLUIS_EINVAL: not for KEYRING_TIME. */
SLUIS_MUST_CHECK int keyring_prune(struct keyring *keyring, enum keyring_tree tree,
                                   const uint8_t *living, size_t bytes, uint32_t below);

/* The highest serial whose leaf is destroyed; 0: none. A store that goes on with a keyring after
 * one that was lost gives out no serial up to it: nothing can be sealed there. Not for
 * KEYRING_TIME. */
uint64_t keyring_highest_gone(struct keyring *keyring, enum keyring_tree tree);

SLUIS_MUST_CHECK int keyring_cache_new(struct keyring *keyring, struct keyring_cache **out);
void keyring_cache_free(struct keyring_cache *cache);

/* Seals `plain`, appending to `out`. 0, SLUIS_EEXPIRED (a leaf is gone), SLUIS_ELIMIT (a serial
 * beyond 32 bits, or the buffer's cap), SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int record_seal(struct keyring_cache *cache, uint8_t table,
                                 const struct record_id *id, uint32_t generation, struct span plain,
                                 struct buffer *out);
/* Opens, appending the plain text to `out` (wipe it). SLUIS_ECRYPTO when the tag does not hold or
 * the header does not fit the id; SLUIS_EEXPIRED; SLUIS_EINVAL (too short, unknown version). */
SLUIS_MUST_CHECK int record_open(struct keyring_cache *cache, uint8_t table,
                                 const struct record_id *id, struct span sealed,
                                 struct buffer *out);

/*
 * Blocks of the store's journal and access log: subject nobody, and as serial the place in the log,
 * so that blocks cannot be exchanged (they are not punctured one by one). A block of the access log
 * hangs under a bucket of the log's own class, when it has a term; `cls` 0: for as long as the
 * store. Everybody who reads a store opens its blocks with this: gateway, backup, restore.
 */
struct block_place {
    uint16_t cls;
    uint32_t bucket;
};
#define KEYRING_BLOCK_OVERHEAD (KEYRING_RECORD_OVERHEAD + 7) /* with its place before it */
/* Errors as of record_seal and record_open. */
SLUIS_MUST_CHECK int block_seal(struct keyring_cache *cache, uint8_t table, uint64_t row,
                                struct block_place place, struct span plain, struct buffer *out);
SLUIS_MUST_CHECK int block_open(struct keyring_cache *cache, uint8_t table, uint64_t row,
                                struct span sealed, struct buffer *out);

/* A key for another use under the same leaves as the record `id`: gone when they are. The part is
 * its own ('T' tokens); no record is sealed under it. Wipe it. SLUIS_EEXPIRED, SLUIS_ELIMIT. */
SLUIS_MUST_CHECK int record_subkey(struct keyring_cache *cache, const struct record_id *id,
                                   uint8_t out[KEYRING_KEY_BYTES]);

/* The pseudonym of a subject in the access log: a number that cannot be computed any more once the
 * subject's leaf is destroyed (SLUIS_EEXPIRED); 0 for subject 0. SLUIS_ELIMIT beyond 32 bits. */
SLUIS_MUST_CHECK int keyring_pseudonym(struct keyring_cache *cache, uint64_t subject,
                                       uint64_t *out);

/* Look-up hashes: keyed BLAKE2b-128 with the index key (identifiers) or a key per day (dedupe).
 * `label` keeps uses apart ("phone", "message", ...). The hash of a day whose key was destroyed is
 * random: it never matches. keyring_hash_identifier uses the newest index key; what may have been
 * written before it was made is looked for with keyring_hash_identifiers, newest first. */
#define KEYRING_LOOKUP_KEYS 2 /* live at once */
struct keyring_hashes {
    unsigned n; /* 1, or 2 while the index key is being replaced */
    uint8_t hash[KEYRING_LOOKUP_KEYS][STORE_HASH_BYTES];
    uint32_t key[KEYRING_LOOKUP_KEYS]; /* number of the index key */
};
void keyring_hash_identifiers(struct keyring *keyring, const char *label, struct span text,
                              struct keyring_hashes *out);
void keyring_hash_identifier(struct keyring *keyring, const char *label, struct span text,
                             uint8_t out[STORE_HASH_BYTES]);
void keyring_hash_day(struct keyring *keyring, uint32_t day, const char *label, struct span text,
                      uint8_t out[STORE_HASH_BYTES]);
/* The hash of a text under one subject's key: it cannot be made again once that is destroyed
 * (SLUIS_EEXPIRED). SLUIS_ELIMIT beyond 32 bits. */
SLUIS_MUST_CHECK int keyring_hash_subject(struct keyring_cache *cache, uint64_t subject,
                                          const char *label, struct span text,
                                          uint8_t out[STORE_HASH_BYTES]);

/* ---- replacing the index key ---- */
/*
 * A hash of a phone number is a phone number to whoever holds the key: there are not so many. So
 * the index key is replaced (purge.h, purge_lookup_replace): `begin` makes the next key, which new
 * hashes are made with from then on; the caller then makes every row of the index anew; `finish`
 * destroys the old key. Both write a new generation of the keyring. A stop in between leaves both
 * keys, and `replacing`: the caller goes on.
 */
struct keyring_lookup {
    uint32_t number; /* of the oldest living index key: how many were there before it */
    int64_t made_ms; /* 0: not known (made by an earlier version) */
    bool replacing;  /* there is a next one, number + 1 */
    int64_t next_made_ms;
};
void keyring_lookup(struct keyring *keyring, struct keyring_lookup *out);
/* SLUIS_EEXIST when a replacement is under way; on other errors nothing changed. */
SLUIS_MUST_CHECK int keyring_lookup_begin(struct keyring *keyring, int64_t now_ms);
/* 0: the old key is nowhere any more. On an error it is gone in memory, maybe not on disk: call
 * again, or after a start go on as after a stop. Both sync the disk: not on event threads. */
SLUIS_MUST_CHECK int keyring_lookup_finish(struct keyring *keyring);

/* A long-lived key for another use ("alias", "token-hash", "delivery-id"); wipe it after use. */
void keyring_derive(struct keyring *keyring, const char *label, uint8_t out[KEYRING_KEY_BYTES]);

#endif

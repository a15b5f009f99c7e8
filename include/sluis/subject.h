/*
 * Data subjects: a set of identifiers (phone number, BSUID) and a serial that is never reused.
 *
 * An identifier of a person stands twice in the store: as a look-up hash in the index (identifier
 * to subject), and in a *record* of its own, sealed under the person's key (subject to
 * identifiers), so that the index can be made anew under another look-up key, and so that a
 * person's identifiers are found without a walk. Both are written, and deleted, in one commit.
 *
 * The event threads share one resolver (locked; its cache is bounded and wiped), so that two of
 * them never invent the same person; should two resolvers do so, store_put_identifier fails the
 * later job with SLUIS_EEXIST, and trying again finds the first. The thread that reads a message
 * resolves it, and hands it to the thread that owns the person (subject_owner): a message with the
 * phone number only, one with the BSUID only and one with both have the same owner, once they are
 * linked.
 *
 * One identifier known, the other new: the new one is linked to the known subject. Both known, of
 * two subjects: the user id says whose message it is (numbers change hands, user ids do not);
 * nothing is merged.
 *
 *     struct subject subject;
 *     r = subject_resolve(resolver, phone, user_id, &subject);     // owner thread
 *     ... job: subject_put(txn, &subject);
 *     subject_settled(resolver, &subject, job.result);             // any thread, exactly once
 *
 * Until it is settled a new identifier is remembered as pending: messages that follow at once get
 * the same serial, and write the identifier too, since the first job may fail and theirs not.
 */
#ifndef SLUIS_SUBJECT_H
#define SLUIS_SUBJECT_H

#include "sluis/keyring.h"
#include "sluis/store.h"

#define SUBJECT_CACHE_MAX 65536 /* identifiers remembered */
/* A longer one is taken for its BLAKE2b-256 in hex (nothing that Meta sends comes near). */
#define SUBJECT_IDENTIFIER_MAX 128
#define SUBJECT_KEY_BYTES (1 + 8 + STORE_HASH_BYTES)
#define SUBJECT_RECORD_MAX (17 + SUBJECT_IDENTIFIER_MAX + KEYRING_RECORD_OVERHEAD)

struct subject_resolver;
SLUIS_MUST_CHECK int subject_resolver_new(struct store *store, struct keyring *keyring,
                                          struct subject_resolver **out);
/* One more holder. */
struct subject_resolver *subject_resolver_ref(struct subject_resolver *resolver);
/* The last holder's frees it; NULL is fine. */
void subject_resolver_free(struct subject_resolver *resolver);

/* Which of `n` threads owns a person: judges what it says in sequence. */
unsigned subject_owner(uint64_t serial, unsigned n);

struct subject_row { /* an identifier, as it is written */
    uint8_t hash[STORE_HASH_BYTES];
    uint32_t key; /* number of the index key that made the hash */
    uint8_t record_key[SUBJECT_KEY_BYTES];
    uint16_t record_n;
    uint8_t record[SUBJECT_RECORD_MAX]; /* sealed */
};
struct subject {
    uint64_t serial;
    struct subject_row rows[2]; /* identifiers to be written in the message's job */
    unsigned new_hashes;        /* how many of them are new */
    uint32_t key;               /* number of the newest index key when it was resolved */
};
/* Either identifier may be empty, not both (SLUIS_EINVAL). A new person gets a serial; the caller's
 * job writes the new rows with subject_put and tells the outcome with subject_settled, also when no
 * job was made. SLUIS_ELIMIT when SUBJECT_CACHE_MAX identifiers are pending, or the
 * store's error; then out->serial is 0 and nothing is to be settled. */
SLUIS_MUST_CHECK int subject_resolve(struct subject_resolver *resolver, struct span phone,
                                     struct span user_id, struct subject *out);
void subject_settled(struct subject_resolver *resolver, const struct subject *subject, int result);

/* In the job: the new identifiers. SLUIS_EEXIST fails it: one of them is somebody else's by now. */
void subject_put(struct store_txn *txn, const struct subject *subject);

/* Is everybody settled who was resolved before the index key `key` was the newest? Any thread. */
bool subject_resolver_settled(struct subject_resolver *resolver, uint32_t key);

/* The subject's identifiers were deleted: what the resolver remembers of them goes, what is pending
 * too. Any thread. */
void subject_resolver_forget(struct subject_resolver *resolver, uint64_t subject);

/* In the job of an erasure: messages of this identifier from before `erased_ms` are known as late
 * for nine days. */
void subject_tombstone_put(struct store_txn *txn, struct keyring *keyring, struct span identifier,
                           int64_t erased_ms);
/* SLUIS_EEXPIRED: the message is older than the erasure of whoever sent it, and must not be stored.
 * 0, or the store's error. Any thread. */
SLUIS_MUST_CHECK int subject_erased(struct subject_resolver *resolver, struct span phone,
                                    struct span user_id, int64_t at_ms);

/* An identifier as people write it, as it is stored: "+31 6 1234 5678", "0031612345678" and
 * "0612345678" are 31612345678; what is no number (a BSUID) stays as it is. Points into `given` or
 * `out` (personal data: wipe it); empty when it is empty or longer than SUBJECT_WRITTEN_MAX. */
#define SUBJECT_WRITTEN_MAX 126
struct span subject_normalise(struct span given, char out[SUBJECT_WRITTEN_MAX + 2]);

/* The same hash for an identifier without resolving (look-ups): by the newest index key. */
void subject_hash(struct keyring *keyring, struct span identifier, uint8_t out[STORE_HASH_BYTES]);
/* By every living one, newest first. */
void subject_hashes(struct keyring *keyring, struct span identifier, struct keyring_hashes *out);
/* Whose it is, by any living index key; SLUIS_ENOENT. */
SLUIS_MUST_CHECK int subject_find(struct store_read *read, struct keyring *keyring,
                                  struct span identifier, uint64_t *subject);

/* ---- the records ---- */
struct subject_identifier {
    uint64_t subject;
    uint8_t key[SUBJECT_KEY_BYTES]; /* of its row in STORE_TABLE_SUBJECT */
    int64_t since_ms;               /* first seen with this subject */
    int64_t until_ms; /* it went to somebody else then, the index no longer leads here; 0 it does */
    uint16_t n;
    char text[SUBJECT_IDENTIFIER_MAX]; /* personal data: wipe it */
};
/* Makes the rows of one identifier, as the resolver does. SLUIS_EEXPIRED: the subject's key is
 * gone. */
SLUIS_MUST_CHECK int subject_row_make(struct keyring *keyring, struct keyring_cache *cache,
                                      uint64_t subject, struct span identifier, int64_t since_ms,
                                      int64_t until_ms, struct subject_row *out);
/* Opens a row. SLUIS_EINVAL: it is no such row; SLUIS_ECRYPTO, SLUIS_EEXPIRED. */
SLUIS_MUST_CHECK int subject_record_open(struct keyring_cache *cache, struct span key,
                                         struct span value, struct subject_identifier *out);
#define SUBJECT_RECORD_PREFIX 9 /* bytes of the key that are the same for one subject */
/* Where the records of a subject begin; of 0: all records. */
void subject_record_prefix(uint64_t subject, uint8_t out[SUBJECT_RECORD_PREFIX]);
/* Deletes every record of a subject; index rows are the caller's. */
void subject_records_delete(struct store_txn *txn, uint64_t subject);

/* ---- links ---- */
/* A number change says that two subjects may be one person. They are linked, never merged: each
 * keeps its keys, and a link can be taken away. Rows 'N', subject, other (be64) -> since (be64),
 * both ways. */
#define SUBJECT_LINKS_MAX 16
void subject_link(struct store_txn *txn, uint64_t a, uint64_t b, int64_t at_ms);
void subject_unlink(struct store_txn *txn, uint64_t a, uint64_t b);
/* Those that are linked, at most SUBJECT_LINKS_MAX. */
SLUIS_MUST_CHECK int subject_links(struct store_read *read, uint64_t subject,
                                   uint64_t out[SUBJECT_LINKS_MAX], unsigned *n);
/* Is anything known of the subject (a record of an identifier)? SLUIS_ENOENT. */
SLUIS_MUST_CHECK int subject_known(struct store_read *read, uint64_t subject);

#endif

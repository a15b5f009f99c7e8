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
 * One identifier known, the other new: the new one is added to the known subject. Both known, of
 * two subjects: the user id says whose message it is (numbers change hands, user ids do not), and
 * whose the number is from then on. When nothing tells them apart (the number was used lately, its
 * subject has no user id, the other no number) they are one person seen apart: linked. Nothing is
 * merged.
 *
 * Numbers change hands. A message of its user starts a new subject, which has the number from then
 * on and nothing else of whoever had it, when
 *   - the number was silent for SUBJECT_SILENT_DAYS: since its user last wrote. What the
 * organisation sent is no sign of life, and a number that never wrote is not silent: who only ever
 * got reminders and answers one is the same person. Until somebody writes, the number stays with
 * the old subject: so does an opting out.
 *   - its subject has another user id than the message;
 *   - the identity key hash of its contact (Meta's, when the organisation asked for it) is another.
 * The same user id, or the same identity hash, says that it is the same person, however long
 * silent. A user id that first comes with what was sent to a number which had been silent so long
 * (a status has it) is not added to the old subject: it may be the next user's. The old subject
 * keeps all that is its own; its record says until when it had the number, and a *former row* leads
 * from the number's hash to it.
 *
 * When a number was last heard of stands in its row of the index, as a day, written anew when it is
 * SUBJECT_HEARD_DAYS old: a store write per number and week. A number is thus never heard of after
 * SUBJECT_SILENT_DAYS, and perhaps SUBJECT_HEARD_DAYS before. The index of an older store, or one
 * made anew after a restore, has no days: counting begins with the next message.
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

#define SUBJECT_SILENT_DAYS 180 /* then a number has another user: numbers are given out again */
#define SUBJECT_HEARD_DAYS 7

struct subject_row { /* an identifier, as it is written */
    uint8_t hash[STORE_HASH_BYTES];
    uint32_t key;   /* number of the index key that made the hash */
    uint64_t was;   /* the subject whose it was until now, 0: it is new */
    uint16_t heard; /* day, and who used it (store_identifier) */
    uint8_t tag[STORE_TAG_BYTES];
    uint8_t record_key[SUBJECT_KEY_BYTES];
    uint16_t record_n;
    uint8_t record[SUBJECT_RECORD_MAX]; /* sealed */
};
struct subject {
    uint64_t serial;
    struct subject_row rows[2]; /* identifiers to be written in the message's job */
    unsigned new_hashes;        /* how many of them are new */
    uint32_t key;               /* number of the newest index key when it was resolved */
    /* Heard of again: the number's row is refreshed in the job. `touch.hash`, heard, tag. */
    bool touches;
    struct {
        uint8_t hash[STORE_HASH_BYTES];
        uint16_t heard;
        uint8_t tag[STORE_TAG_BYTES];
    } touch;
    /* The number changes hands: what stays of it with rows[].was, and whether they are linked. */
    bool leaves, links;
    int64_t left_ms;
    struct subject_row left;
};
/* Either identifier may be empty, not both (SLUIS_EINVAL). A new person gets a serial; the caller's
 * job writes the new rows with subject_put and tells the outcome with subject_settled, also when no
 * job was made. SLUIS_ELIMIT when SUBJECT_CACHE_MAX identifiers are pending, or the
 * store's error; then out->serial is 0 and nothing is to be settled. */
SLUIS_MUST_CHECK int subject_resolve(struct subject_resolver *resolver, struct span phone,
                                     struct span user_id, struct subject *out);
/* For what a webhook says. Without it (subject_resolve) a number does not change hands. */
struct subject_message {
    int64_t at_ms;        /* its own time, not ahead of the clock */
    bool speaks;          /* by the number's user: not a status, not what the organisation sent */
    struct span identity; /* of its contact; may be empty */
};
SLUIS_MUST_CHECK int subject_resolve_message(struct subject_resolver *resolver, struct span phone,
                                             struct span user_id,
                                             const struct subject_message *message,
                                             struct subject *out);
void subject_settled(struct subject_resolver *resolver, const struct subject *subject, int result);

/* In the job: the new identifiers. SLUIS_EEXIST fails it: one of them is somebody else's by now. */
void subject_put(struct store_txn *txn, const struct subject *subject);

/* Is everybody settled who was resolved before the index key `key` was the newest? Any thread. */
bool subject_resolver_settled(struct subject_resolver *resolver, uint32_t key);

/* The subject's identifiers were deleted: what the resolver remembers of them goes, what is pending
 * too. Any thread. */
void subject_resolver_forget(struct subject_resolver *resolver, uint64_t subject);

/* In the job of an erasure: messages of this identifier from before `before_ms` (when it was
 * erased, or when the identifier went to somebody else, whose messages are none of this) are known
 * as late for nine days. */
void subject_tombstone_put(struct store_txn *txn, struct keyring *keyring, struct span identifier,
                           int64_t before_ms, int64_t erased_ms);
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
/* The record of one identifier of a subject; SLUIS_ENOENT. Wipe it. */
SLUIS_MUST_CHECK int subject_record_get(struct store_read *read, struct keyring_cache *cache,
                                        uint64_t subject, struct span identifier,
                                        struct subject_identifier *out);
/* Deletes every record of a subject; index and former rows are the caller's. */
void subject_records_delete(struct store_txn *txn, uint64_t subject);

/* ---- who had a number before ---- */
/* Rows 'O', hash (index key), subject (be64) -> the index key's number (last 8 bits). They are made
 * anew with the index, and go with their subject. */
/* Of one number: one in half a year, or told apart by user ids; an identity hash changes whenever
 * the app is installed anew. */
#define SUBJECT_OWNERS_MAX 64
struct subject_owner {
    uint64_t subject;
    int64_t since_ms, until_ms; /* 0: has it now */
};
/* Everybody who has or had the identifier and of whom a record is left, the present one first; how
 * many, 0: nobody; or an error. `cache` opens the records: the caller's. */
SLUIS_MUST_CHECK int subject_owners(struct store_read *read, struct keyring *keyring,
                                    struct keyring_cache *cache, struct span identifier,
                                    struct subject_owner out[SUBJECT_OWNERS_MAX]);
/* Since when its present subject has the number, when somebody else had it before; else 0. Consent
 * that was given before then is not this person's. A user id that is known says whom it is of,
 * whatever the number: 0. Any thread. */
SLUIS_MUST_CHECK int subject_since(struct subject_resolver *resolver, struct span phone,
                                   struct span user_id, int64_t *since_ms);
void subject_former_put(struct store_txn *txn, const uint8_t hash[STORE_HASH_BYTES],
                        uint64_t subject, uint32_t key);
void subject_former_delete(struct store_txn *txn, const uint8_t hash[STORE_HASH_BYTES],
                           uint64_t subject);
/* By every living index key: for an erasure, with what stands in a record. */
void subject_former_delete_all(struct store_txn *txn, struct keyring *keyring,
                               struct span identifier, uint64_t subject);
/* Former rows of another index key than `key`, or whose subject has no record left: at most `max`
 * of them from `from` on (zeros: the first; it moves); how many, or an error. *more: call again. */
struct subject_former {
    uint8_t hash[STORE_HASH_BYTES];
    uint64_t subject;
};
SLUIS_MUST_CHECK int subject_former_dead(struct store_read *read, uint32_t key,
                                         struct subject_former *from, struct subject_former *out,
                                         unsigned max, bool *more);

/* ---- links ---- */
/* A number change, or a number and a user id that were seen apart and then together, say that two
 * subjects may be one person. They are linked, never merged: each keeps its keys, and a link can be
 * taken away. Opting out holds for all of them (contact.h). Rows 'N', subject, other (be64) ->
 * since (be64), both ways. */
#define SUBJECT_LINKS_MAX 16
void subject_link(struct store_txn *txn, uint64_t a, uint64_t b, int64_t at_ms);
void subject_unlink(struct store_txn *txn, uint64_t a, uint64_t b);
/* Those that are linked, at most SUBJECT_LINKS_MAX. */
SLUIS_MUST_CHECK int subject_links(struct store_read *read, uint64_t subject,
                                   uint64_t out[SUBJECT_LINKS_MAX], unsigned *n);
/* Is anything known of the subject (a record of an identifier)? SLUIS_ENOENT. */
SLUIS_MUST_CHECK int subject_known(struct store_read *read, uint64_t subject);

#endif

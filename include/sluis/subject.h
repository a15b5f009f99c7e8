/*
 * Data subjects: a set of identifiers (phone number, BSUID) and a serial that is never reused. This
 * version resolves and links; export, erasure and restriction come with the keys issue.
 *
 * The event threads share one resolver (locked; its cache is bounded and wiped), so that two of them
 * never invent the same person; should two resolvers do so, store_put_identifier fails the later job
 * with SLUIS_EEXIST, and trying again finds the first. The thread that reads a message resolves it,
 * and hands it to the thread that owns the person (subject_owner): a message with the phone number
 * only, one with the BSUID only and one with both have the same owner, once they are linked.
 *
 * One identifier known, the other new: the new one is linked to the known subject. Both known, of
 * two subjects: the user id says whose message it is (numbers change hands, user ids do not);
 * nothing is merged.
 *
 *     struct subject subject;
 *     r = subject_resolve(resolver, phone, user_id, &subject);     // owner thread
 *     ... job: for i < subject.new_hashes: store_put_identifier(txn, subject.hashes[i],
 * subject.serial) subject_settled(resolver, &subject, job.result);             // any thread,
 * exactly once
 *
 * Until it is settled a new identifier is remembered as pending: messages that follow at once get
 * the same serial, and write the identifier too, since the first job may fail and theirs not.
 */
#ifndef SLUIS_SUBJECT_H
#define SLUIS_SUBJECT_H

#include "sluis/keyring.h"
#include "sluis/store.h"

#define SUBJECT_CACHE_MAX 65536 /* identifiers remembered */

struct subject_resolver;
SLUIS_MUST_CHECK int subject_resolver_new(struct store *store, struct keyring *keyring,
                                          struct subject_resolver **out);
/* One more holder. */
struct subject_resolver *subject_resolver_ref(struct subject_resolver *resolver);
/* The last holder's frees it; NULL is fine. */
void subject_resolver_free(struct subject_resolver *resolver);

/* Which of `n` threads owns a person: judges what it says in sequence. */
unsigned subject_owner(uint64_t serial, unsigned n);

struct subject {
    uint64_t serial;
    uint8_t hashes[2][STORE_HASH_BYTES]; /* identifiers to be written in the message's job */
    unsigned new_hashes;                 /* how many of them are new */
};
/* Either identifier may be empty, not both (SLUIS_EINVAL). A new person gets a serial; the caller's
 * job writes the new hashes with store_put_identifier and tells the outcome with subject_settled,
 * also when no job was made. SLUIS_ELIMIT when SUBJECT_CACHE_MAX identifiers are pending, or the
 * store's error; then out->serial is 0 and nothing is to be settled. */
SLUIS_MUST_CHECK int subject_resolve(struct subject_resolver *resolver, struct span phone,
                                     struct span user_id, struct subject *out);
void subject_settled(struct subject_resolver *resolver, const struct subject *subject, int result);

/* The subject's identifiers were deleted: what the resolver remembers of them goes, what is pending
 * too. Any thread. */
void subject_resolver_forget(struct subject_resolver *resolver, uint64_t subject);

/* In the job of an erasure: messages of this identifier (subject_hash) from before `erased_ms` are
 * known as late for nine days. */
void subject_tombstone_put(struct store_txn *txn, struct keyring *keyring,
                           const uint8_t identifier[STORE_HASH_BYTES], int64_t erased_ms);
/* SLUIS_EEXPIRED: the message is older than the erasure of whoever sent it, and must not be stored.
 * 0, or the store's error. Any thread. */
SLUIS_MUST_CHECK int subject_erased(struct subject_resolver *resolver, struct span phone,
                                    struct span user_id, int64_t at_ms);

/* The same hash for an identifier without resolving (look-ups). */
void subject_hash(struct keyring *keyring, struct span identifier, uint8_t out[STORE_HASH_BYTES]);

#endif

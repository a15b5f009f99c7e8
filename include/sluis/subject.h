/*
 * Data subjects: a set of identifiers (phone number, BSUID) and a serial that is never reused. This
 * version resolves and links; export, erasure and restriction come with the keys issue.
 *
 * A resolver belongs to one event thread and caches (bounded, wiped). A contact's messages always
 * come to the same thread, so two threads never invent the same person.
 */
#ifndef SLUIS_SUBJECT_H
#define SLUIS_SUBJECT_H

#include "sluis/keyring.h"
#include "sluis/store.h"

#define SUBJECT_CACHE_MAX 65536 /* identifiers remembered per thread */

struct subject_resolver;
SLUIS_MUST_CHECK int subject_resolver_new(struct store *store, struct keyring *keyring,
                                          struct subject_resolver **out);
void subject_resolver_free(struct subject_resolver *resolver);

struct subject {
    uint64_t serial;
    uint8_t hashes[2][STORE_HASH_BYTES]; /* identifiers to be written in the message's job */
    unsigned new_hashes;                 /* how many of them are new */
};
/* Either identifier may be empty, not both. A new person gets a serial; the caller's job writes the
 * new hashes with store_put_identifier and tells the outcome with subject_settled. */
SLUIS_MUST_CHECK int subject_resolve(struct subject_resolver *resolver, struct span phone,
                                     struct span user_id, struct subject *out);
void subject_settled(struct subject_resolver *resolver, const struct subject *subject, int result);

/* The same hash for an identifier without resolving (owner thread, look-ups). */
void subject_hash(struct keyring *keyring, struct span identifier, uint8_t out[STORE_HASH_BYTES]);

#endif

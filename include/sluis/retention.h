/*
 * Retention: from a policy's rule and a message's own timestamp to a class and an expiry bucket.
 *
 * Bucket width follows the class: an hour up to 31 days, a day up to 2 years, a month (UTC) beyond.
 * Buckets are numbered from 1970 on; a bucket's key is destroyed when it ends. A maximum class
 * takes the last bucket that ends no later than timestamp + keep, a minimum class the first that
 * ends no earlier: the first is never kept too long, the second never too short, by less than one
 * width. A timestamp in the future counts as now.
 *
 * A class is a name in the store (STORE_NAME_CLASS): "<part>/<keep in seconds>/<max or
 * min>/<width>", as in "original/86400/max/hour": the width stands in the name, so that a later
 * version with other widths reads old buckets rightly.
 *
 * Threads: retention_prepare at start and reload (it may commit); the others any.
 */
#ifndef SLUIS_RETENTION_H
#define SLUIS_RETENTION_H

#include "sluis/base/buffer.h"
#include "sluis/policy.h"
#include "sluis/store.h"

/* What arrives and cannot be scanned or routed is kept this long when the policy does not say. */
#define RETENTION_QUARANTINE_KEEP_S (7 * 24 * 3600)

/* Gives every class of the policy its number in the store, and the default class of the quarantine.
 * 0, SLUIS_EINVAL (a rule that keeps nothing or for over a century), SLUIS_ELIMIT (more classes
 * than STORE_CLASSES_MAX since the store was made), or the store's error. */
SLUIS_MUST_CHECK int retention_prepare(struct store *store, const struct policy *policy);

/* The access log has a class of its own, "log/<keep>/min/<width>": its leaves are kept at least so
 * long, then their keys are destroyed and only their hashes stay. */
SLUIS_MUST_CHECK int retention_prepare_log(struct store *store, int64_t keep_s);

struct retention_place {
    bool never;   /* not written at all */
    bool expired; /* the bucket has ended at `now_ms`: not stored */
    uint16_t cls; /* 0 when never */
    uint32_t bucket;
    int64_t ends_ms; /* when the bucket's key is destroyed */
};
/* SLUIS_ENOENT when the class was not prepared; SLUIS_EINVAL as above. */
SLUIS_MUST_CHECK int retention_place(struct store *store, const struct retention_rule *rule,
                                     enum retention_part part, int64_t at_ms, int64_t now_ms,
                                     struct retention_place *out);
/* Where a leaf that is written now belongs. */
SLUIS_MUST_CHECK int retention_place_log(struct store *store, int64_t keep_s, int64_t now_ms,
                                         struct retention_place *out);
/* When the bucket of a class ends (wall ms); the class's name carries its width. SLUIS_ENOENT. */
SLUIS_MUST_CHECK int retention_bucket_end(struct store *store, uint16_t cls, uint32_t bucket,
                                          int64_t *ends_ms);

/* The last bucket of a class that has ended: what purge destroys through (keyring_puncture).
 * SLUIS_ENOENT when none has, or never will (the hold class). */
SLUIS_MUST_CHECK int retention_last_ended(struct store *store, uint16_t cls, int64_t now_ms,
                                          uint32_t *bucket);

/* ---- legal hold ---- */
/* The class of what is held: a bucket is the number of a hold, ends when the hold is released and
 * never of itself (retention_bucket_end gives INT64_MAX). Made by retention_prepare. */
SLUIS_MUST_CHECK int retention_hold_class(struct store *store, uint16_t *cls);

/* ---- messages sealed anew ---- */
/*
 * A message whose keys were destroyed before its term (taken back, put right, kept shorter by a new
 * policy) may leave something: sealed anew under a serial of its own, which a row of the table of
 * subjects gives for the message's. The journal's item keeps its classes and buckets: whoever opens
 * a part asks retention_part where it is, and gets SLUIS_ENOENT when nothing of that part stays.
 */
#define RETENTION_MOVED_KEY 9
#define RETENTION_MOVED_PREFIX 'm'
struct retention_moved {
    uint64_t serial;       /* 0: nothing stays at all */
    uint16_t cls_o, cls_m; /* 0: nothing of that part stays */
    uint32_t bucket_o, bucket_m;
};
void retention_moved_key(uint64_t serial, uint8_t out[RETENTION_MOVED_KEY]);
void retention_moved_put(struct store_txn *txn, uint64_t serial,
                         const struct retention_moved *moved);
/* A row's value; SLUIS_EIO. */
SLUIS_MUST_CHECK int retention_moved_read(struct span value, struct retention_moved *out);
/* SLUIS_ENOENT: it was not moved; the store's error. */
SLUIS_MUST_CHECK int retention_moved(struct store_read *read, uint64_t serial,
                                     struct retention_moved *out);
/* Where part 'O' or 'M' of an item is now: one look-up. SLUIS_ENOENT: nowhere. What is held stands
 * under the hold class besides (purge.h). */
SLUIS_MUST_CHECK int retention_part(struct store_read *read, const struct store_item *item,
                                    uint8_t part, struct record_id *out);

/* ---- messages taken back ---- */
/*
 * Their sender took them back: nobody is shown what they say, from the commit of the revoke on, and
 * for as long as anything is kept of them: under `on_revoke: hide` until they expire, under `erase`
 * until their keys are destroyed, which a legal hold may delay. A row of the table of subjects, 'w'
 * and the message's serial. Whoever shows a message to somebody asks.
 */
#define RETENTION_WITHDRAWN_PREFIX 'w'
void retention_withdrawn_key(uint64_t serial, uint8_t out[RETENTION_MOVED_KEY]);
void retention_withdrawn_put(struct store_txn *txn, uint64_t serial);
void retention_withdrawn_delete(struct store_txn *txn, uint64_t serial);
SLUIS_MUST_CHECK int retention_withdrawn(struct store_read *read, uint64_t serial, bool *out);

/* ---- what routes are told (art. 19) ---- */
/*
 * A route that wants to know hears which of the messages that it received were erased, or expired:
 * an item of its own in the journal (STORE_ITEM_TOLD; `batch` is the event's number, `routes` the one
 * route), delivered and tried again like any other. Three rows in the table of subjects, keys of 17
 * bytes, prefix, event (be64), item's serial (be64):
 *   'T'  route (be16), messages (be16), made, ms since 1970 (be64)
 *   'V'  the messages: serials (be32); gone when it is settled
 *   'U'  outcome (u8: RETENTION_TOLD_*), HTTP status (be16), when (be64); absent: still waiting
 */
#define RETENTION_TOLD_KEY 17
#define RETENTION_TOLD_MAX 480 /* messages in one */
#define RETENTION_TOLD_EXPIRED (1ull << 60) /* in the event's number: expired, else erased */
enum { RETENTION_TOLD_WAITING, RETENTION_TOLD_DELIVERED, RETENTION_TOLD_PARKED, RETENTION_TOLD_FAILED };
struct retention_told {
    uint64_t event, serial;
    uint16_t route, messages;
    int64_t made_ms;
    uint8_t outcome;
    uint16_t status;
    int64_t settled_ms;
};
/* The rows of one; store_put_item is the caller's. */
void retention_told_put(struct store_txn *txn, const struct retention_told *told,
                        const uint32_t *messages);
/* Its messages; SLUIS_ENOENT: it was settled. */
SLUIS_MUST_CHECK int retention_told_messages(struct store_read *read, uint64_t event,
                                             uint64_t serial, uint32_t out[RETENTION_TOLD_MAX],
                                             unsigned *n);
/* With the outcome of its delivery (a parked one keeps its messages: it may be tried again); nothing
 * is kept of one about expiry. */
void retention_told_settle(struct store_txn *txn, const struct retention_told *told);
/* Everything kept of it. */
void retention_told_forget(struct store_txn *txn, const struct retention_told *told);
/* Those made before a time, at most `max`, without their outcomes; and `*n`, how many. */
SLUIS_MUST_CHECK int retention_told_before(struct store_read *read, int64_t before_ms,
                                           struct retention_told *out, unsigned max, unsigned *n);
/* All of an event; `each` returns 0 to go on. */
int retention_told_each(struct store_read *read, uint64_t event,
                        int (*each)(void *ctx, const struct retention_told *told), void *ctx);

/* ---- destruction records ---- */
/*
 * What was destroyed, signed: one canonical JSON line (RFC 8785), fields in
 * proxy/retention/destruction.schema.json:
 *     {"key":"<base64>","record":{...},"signature":"<base64>"}
 * Ed25519 over RETENTION_DESTRUCTION_CONTEXT and the bytes of the record.
 */
#define RETENTION_DESTRUCTION_CONTEXT "sluis destruction record v1\n"
#define RETENTION_DESTRUCTION_MAX 2048 /* bytes of the record in a line */
#define RETENTION_TEXT_MAX 200         /* bytes of ground, category, class */
#define RETENTION_SIGN_SECRET 64
#define RETENTION_SIGN_PUBLIC 32

struct retention_destruction {
    const char *cls;        /* its name: store_id_name */
    const char *category;   /* selection list, or "" */
    const char *ground;     /* of the policy's rule, or "" */
    const char *reason;     /* constant word: "expired", "erased", "revoked", "released",
                              * "shortened" (a new policy keeps it shorter) */
    int64_t from_ms, to_ms; /* the period whose bucket ended */
    uint64_t messages, subjects;
    uint64_t generation;     /* of the keyring, in which it was destroyed */
    const char *policy_hash; /* policy_hash(): the first 16 hex digits are written */
    int64_t at_ms;
};
/* Appends a line without a newline. SLUIS_EINVAL (a text with control characters or no UTF-8, too
 * long, times that are negative or turned round, a number beyond 2^53). */
SLUIS_MUST_CHECK int retention_destruction_write(const struct retention_destruction *destruction,
                                                 const uint8_t secret[RETENTION_SIGN_SECRET],
                                                 struct buffer *out);
/* Checks a line against the public key, and gives the record inside it. SLUIS_EINVAL,
 * SLUIS_ECRYPTO. */
SLUIS_MUST_CHECK int retention_destruction_verify(struct span line,
                                                  const uint8_t public_key[RETENTION_SIGN_PUBLIC],
                                                  struct span *record);

#endif

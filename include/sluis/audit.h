/*
 * The access log: who was shown what, what was sent, what was changed. A leaf is one canonical
 * JSON line (RFC 8785 order and spelling) with a 16-byte random salt; its hash is RFC 6962's
 * (SHA-256 of 0x00 and the leaf). Leaves are written in the same commit as what they record.
 *
 * No content, no raw identifier, no Meta message id in any field: `subject` is the pseudonym of
 * the subject's record, `object` our own serial.
 *
 * Threads: any. Without a leaf nothing is shown or sent: callers treat an error as a refusal.
 */
#ifndef SLUIS_AUDIT_H
#define SLUIS_AUDIT_H

#include "sluis/base/buffer.h"
#include "sluis/store.h"

#define AUDIT_LEAF_MAX 1700 /* bytes of one leaf */

enum audit_action {
    AUDIT_START,          /* gateway started */
    AUDIT_STOP,
    AUDIT_RELOAD,
    AUDIT_DELIVER_INTENT, /* an item was accepted for a route */
    AUDIT_DELIVER,        /* outcome of deliveries, in batches: `count` and the first `object` */
    AUDIT_SEND_INTENT,
    AUDIT_SEND,
    AUDIT_REFUSE,
    AUDIT_MEDIA,
    AUDIT_TOKEN,          /* token added or revoked */
    AUDIT_QUARANTINE,
    AUDIT_QUEUE,          /* an operator retried or dropped a delivery */
    AUDIT_READ_LOG,
    AUDIT_ACTION_COUNT
};
const char *audit_action_word(enum audit_action action);

struct audit_event {
    int64_t at_ms;
    enum audit_action action;
    const char *actor;    /* token or person name, "gateway", "meta" */
    const char *claimed;  /* X-Sluis-Actor of a tool, or NULL: logged as claimed, checked charset */
    const char *role;     /* or NULL */
    const char *channel;  /* configured name or NULL */
    const char *route;    /* configured name or NULL */
    const char *activity; /* processing_activity, from policy */
    const char *purpose;  /* or NULL */
    uint64_t object;      /* message serial, 0 none */
    uint64_t object_last; /* batches: last serial */
    uint64_t count;       /* batches; 0 omitted */
    uint64_t subject;     /* pseudonym, 0 none */
    uint32_t masked;      /* bit set of detect types */
    const char *policy_hash; /* first 16 hex digits */
    const char *outcome;  /* constant word: "accepted", "delivered", "refused", ... */
    uint32_t code;        /* own code 9000xx or HTTP status, 0 none */
};

/* Writes the canonical leaf (fresh salt) and its hash. */
SLUIS_MUST_CHECK int audit_leaf(const struct audit_event *event, struct buffer *out,
                                uint8_t hash[32]);
/* The leaf goes into the transaction of the job at hand. */
void audit_put(struct store_txn *txn, const struct audit_event *event);

#endif

/*
 * The access log: who was shown what, what was sent, what was changed. A leaf is one canonical
 * JSON line (RFC 8785 order and spelling) with a 16-byte random salt; its hash is RFC 6962's
 * (SHA-256 of 0x00 and the leaf). Leaves are written in the same commit as what they record. The
 * fields, their meaning and their place in NEN 7513, Logboek Dataverwerkingen and ISO 27002 are
 * in proxy/audit/leaf.schema.json.
 *
 * No content, no raw identifier, no Meta message id in any field: `subject` is the pseudonym of
 * the subject's record, `object` our own serial. Text fields are checked before they are written:
 * UTF-8 without control, direction and invisible characters, at most AUDIT_NAME_MAX bytes;
 * `claimed`, which comes from outside, printable ASCII of 1 to AUDIT_CLAIMED_MAX bytes; `outcome` a
 * word of lower-case letters, digits, '_' and '-'.
 *
 * Threads: any. Without a leaf nothing is shown or sent: callers treat an error as a refusal.
 */
#ifndef SLUIS_AUDIT_H
#define SLUIS_AUDIT_H

#include "sluis/base/buffer.h"
#include "sluis/store.h"

#define AUDIT_LEAF_MAX 1700  /* bytes of one leaf */
#define AUDIT_NAME_MAX 160   /* "channel/route" and an activity fit, with room */
#define AUDIT_CLAIMED_MAX 64 /* X-Sluis-Actor */
#define AUDIT_TYPES 13       /* detect types with a word of their own; bits above are "own" */

enum audit_action {
    AUDIT_START, /* gateway started */
    AUDIT_STOP,
    AUDIT_RELOAD,
    AUDIT_DELIVER_INTENT, /* an item was accepted for a route */
    AUDIT_DELIVER,        /* outcome of deliveries, in batches: `count` and the first `object` */
    AUDIT_SEND_INTENT,
    AUDIT_SEND,
    AUDIT_REFUSE,
    AUDIT_MEDIA,
    AUDIT_TOKEN, /* token added or revoked */
    AUDIT_QUARANTINE,
    AUDIT_QUEUE, /* an operator retried or dropped a delivery */
    AUDIT_READ_LOG,
    AUDIT_REMASK,   /* a later message showed what an earlier one holds: masked anew */
    AUDIT_SETUP,    /* a set-up call of a tool was answered here, not forwarded */
    AUDIT_PURGE,    /* expired buckets: their keys were destroyed */
    AUDIT_ERASE,    /* a person's or a single message's keys were destroyed */
    AUDIT_SUBJECT,  /* a person was looked up or exported */
    AUDIT_RESTRICT, /* art. 18: set or lifted */
    AUDIT_HOLD,     /* legal hold: set or released */
    AUDIT_CLOCK,    /* an operator vouched for the clock */
    AUDIT_KEYS,     /* the root key was replaced; the gateway was unsealed */
    AUDIT_BACKUP,   /* a backup begun, made, verified, or confirmed destroyed */
    AUDIT_ACTION_COUNT
};
const char *audit_action_word(enum audit_action action);

struct audit_event {
    int64_t at_ms;
    enum audit_action action;
    const char *actor;   /* token or person name, "gateway", "meta" */
    const char *claimed; /* X-Sluis-Actor of a tool, or NULL: logged as claimed, checked charset */
    const char *role;    /* or NULL */
    const char *responsible; /* on whose responsibility, when not the actor's own; or NULL */
    const char *channel;     /* configured name or NULL */
    const char *route;       /* configured name or NULL */
    const char *activity;    /* processing_activity, from policy */
    const char *purpose;     /* or NULL */
    uint64_t object;         /* message serial, 0 none */
    uint64_t object_last;    /* batches: last serial */
    uint64_t count;          /* batches; 0 omitted */
    uint64_t subject;        /* pseudonym, 0 none */
    uint64_t masked; /* bit set of detect types (enum detect_type, the policy's own included) */
    const char *policy_hash; /* policy_hash(); the first 16 hex digits are written; or NULL */
    const char *outcome;     /* constant word: "accepted", "delivered", "refused", ... */
    uint32_t code;           /* own code 9000xx or HTTP status, 0 none */
};

/* Appends the canonical leaf (fresh salt, so never the same twice) and gives its hash. SLUIS_EINVAL
 * (a field breaks its rule, an unknown action), SLUIS_ELIMIT (longer than AUDIT_LEAF_MAX),
 * SLUIS_ENOMEM; then nothing was appended. */
SLUIS_MUST_CHECK int audit_leaf(const struct audit_event *event, struct buffer *out,
                                uint8_t hash[32]);
/* The RFC 6962 leaf hash of any leaf: for whoever checks one. */
SLUIS_MUST_CHECK int audit_hash(struct span leaf, uint8_t hash[32]);
/* The word of a detect type's bit (0 .. AUDIT_TYPES - 1), "own" above. */
const char *audit_type_word(unsigned bit);

/* The leaf goes into the transaction of the job at hand; when it cannot be made, the job fails. */
void audit_put(struct store_txn *txn, const struct audit_event *event);

#endif

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

#include <stdatomic.h>

#include "sluis/base/buffer.h"
#include "sluis/base/diag.h"
#include "sluis/proof.h"
#include "sluis/store.h"

#define AUDIT_LEAF_MAX 1904  /* bytes of one leaf */
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
    AUDIT_CONSENT,  /* a ground, an opting out or a reference of a contact was changed */
    AUDIT_HISTORY,  /* conversations or messages were shown, a tag or a note was put */
    AUDIT_REVEAL,   /* values behind masks were shown to a person */
    AUDIT_SEARCH,   /* a search looked through messages; one leaf more per message it showed */
    AUDIT_EXPORT,   /* a conversation was exported */
    AUDIT_INCIDENT, /* an incident pack was made */
    AUDIT_ACCESS,   /* a person signed in or out, was added or removed, was granted a role; glass
                       broken */
    AUDIT_POLICY,   /* a policy was put before the second officer, refused, approved */
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
    const char *reference;   /* case or ticket that the purpose belongs to, or NULL */
    uint64_t object;         /* message serial, 0 none */
    uint64_t object_last;    /* batches: last serial */
    uint64_t count;          /* batches; 0 omitted */
    uint64_t subject;        /* pseudonym, 0 none */
    uint64_t masked;   /* bit set of detect types (enum detect_type, the policy's own included) */
    const char *build; /* build id of the program, hex; start and reload; or NULL */
    const char *key;   /* fingerprint of the log's new key, hex; or NULL */
    const char *config_hash; /* SHA-256 of the configuration, hex; start and reload; or NULL */
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

/* ---- refusals to nobody known ---- */
/* A wrong token, a forged signature: whoever it was is not known and may come a thousand times a
 * second. They are counted, and the log's thread writes one leaf a minute for each reason that
 * occurred (actor "unknown", the number in `count`). Any thread, never waits. */
#define AUDIT_REFUSALS_S 60
enum audit_refusal {
    AUDIT_REFUSAL_TOKEN,        /* tools: no token, or one that does not hold */
    AUDIT_REFUSAL_SIGNATURE,    /* meta: a POST without a signature that holds */
    AUDIT_REFUSAL_VERIFY_TOKEN, /* meta: a GET with another verify token */
    AUDIT_REFUSAL_APP,          /* meta: no such app */
    AUDIT_REFUSAL_SIGN_IN,      /* admin: a person who could not sign in, or no session */
    AUDIT_REFUSAL_COUNT
};
struct audit_refusals { /* zeroed at first; outlives the log */
    _Atomic uint64_t count[AUDIT_REFUSAL_COUNT];
};
void audit_refused(struct audit_refusals *refusals, enum audit_refusal why); /* NULL is fine */

/* ---- when the log refuses ---- */
/* Closed: nothing is shown, delivered or sent, and what is accepted waits (webhook: its leaves are
 * owed). It closes when the log is found changed, or when no checkpoint has left the machine for
 * `hold_after_s`; and it is open again only when everything owed is in the log. */
struct audit_gate { /* zeroed: open; outlives the log */
    _Atomic bool closed;
    _Atomic uint64_t owed; /* leaves */
    /* Monotonic, 0: none. The log's thread moves it on; closed past it, since that thread stands
     * still, in a file system that does not answer for one. */
    _Atomic int64_t due_ms;
};
bool audit_closed(const struct audit_gate *gate); /* any thread; NULL: open */
/* The cause itself, whether or not leaves are owed: while only that keeps the gate closed, new
 * leaves go into the log, or those that are owed would never come to an end. */
bool audit_refuses(const struct audit_gate *gate);

/* ---- the log as a whole: its tree, its key, its checkpoints ---- */
/*
 * The tree follows what is committed: its compact range is held in memory, made at opening from the
 * hashes in the store, and moved on at each checkpoint. A thread of its own signs a checkpoint when
 * the log grew, every AUDIT_CHECKPOINT_S and at the end, and pushes it: appended to a file outside
 * the store (one that leaves the machine), synced. A push that fails is an alarm in the operators'
 * log and is tried again; the log goes on.
 *
 * Functions of the log: any thread; they read the store and may wait for a disk: not on event
 * threads.
 */
#define AUDIT_RETRY_S 3            /* after a push that failed */
#define AUDIT_CHECKPOINT_S 30      /* so that a leaf is under a pushed checkpoint within a minute */
#define AUDIT_HASH_AT_OPEN 1000000 /* leaves: 0.2 s */
#define AUDIT_KEY_LABEL "audit-log-key" /* keyring_derive: the seed of the log's key */
#define AUDIT_ORIGIN_MAX 64

/* Another way out of the machine, beside the file: called on the log's thread with each new
 * checkpoint, may wait; tried again when it fails. */
#define AUDIT_TARGETS_MAX 2
struct audit_target {
    const char *name; /* constant word, for the operators' log */
    int (*push)(void *ctx, struct span note);
    void *ctx;
    bool holds; /* counts for hold_after_s */
};

struct audit_log;
struct audit_log_config {
    struct store *store;
    const uint8_t *seed;        /* of the key in use, NOTE_SEED bytes, copied */
    const struct span *changes; /* notes of the keys before it (key_change), in order; copied */
    unsigned change_count;
    const char *origin; /* audit_log_origin */
    const char *file;   /* pushed checkpoints, or NULL: none leave the machine */
    /* A log of more leaves than this is not hashed at opening when the store has the range of the
     * last pushed checkpoint, which that proves; the thread hashes it then, and when it differs
     * that is an alarm and no checkpoint is signed any more (SLUIS_ECRYPTO). 0: AUDIT_HASH_AT_OPEN.
     */
    uint64_t hash_at_open;
    const struct audit_target *targets; /* copied */
    unsigned target_count;
    struct audit_gate *gate; /* or NULL */
    int64_t hold_after_s;    /* without a pushed checkpoint; 0: the gate stays open */
    /* Leaves that are owed go into the log; on the log's thread, the gate's cause gone. Or NULL. */
    int (*pay)(void *ctx);
    void *pay_ctx;
    void (*turn)(void *ctx);         /* on the log's thread, once a turn, with pay_ctx; or NULL */
    struct audit_refusals *refusals; /* written by the log's thread; or NULL */
    bool accept; /* go on with a log that is not the one of the last pushed checkpoint */
};
/* "sluis/" and the installation in hex: a log begun anew has another name and another key. */
void audit_log_origin(const uint8_t installation[16], char out[AUDIT_ORIGIN_MAX]);

/* SLUIS_EDENIED with a diagnosis: the log is shorter than the last pushed checkpoint, has another
 * root at its size, or the file's checkpoints are not this log's; not so with `accept`. SLUIS_EIO,
 * SLUIS_ESYS (the file), SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int audit_log_open(const struct audit_log_config *config, struct audit_log **out,
                                    struct diag *diag);
/* True when it was opened only because of `accept`. */
bool audit_log_accepted(const struct audit_log *log);
SLUIS_MUST_CHECK int audit_log_start(struct audit_log *log); /* the thread */
/* Ends the thread with a last checkpoint. To be called before the store is closed. */
void audit_log_close(struct audit_log *log);

/* Appends the checkpoint of the log as it stands, pushing it when it is new. */
SLUIS_MUST_CHECK int audit_log_checkpoint(struct audit_log *log, struct buffer *note);
/*
 * Proof, while the log runs, that the store still holds the tree of the last checkpoint that left
 * the machine: of each row that was read, inclusion from the hash of its text up to the root of
 * that checkpoint. Lower nodes are made of the stored hashes, upper ones were made when leaves were
 * committed and are held in memory: a page costs some milliseconds, however long the log is.
 * What it finds changed is an alarm, the gate closes, and nothing is signed any more.
 *
 * Beside that the log's thread goes through all stored hashes, 262,144 leaves each turn:
 * `looked_*`.
 */
enum audit_row_state {
    AUDIT_ROW_PROVEN,
    AUDIT_ROW_NOT_YET, /* under no checkpoint that has left */
    AUDIT_ROW_HASH,    /* the text is in the tree; the hash that the store keeps of it is another */
    AUDIT_ROW_TEXT,    /* the text is not the one that was hashed */
    AUDIT_ROW_TREE     /* fits its hash, and that is not in the tree; or a neighbour's is not */
};
struct audit_row {
    uint64_t index;
    uint8_t hash[MERKLE_HASH];  /* of the text as it was read: audit_hash */
    enum audit_row_state state; /* out */
};
enum audit_damage {
    AUDIT_WHOLE,
    AUDIT_DAMAGE_HASHES, /* stored hashes, between leaves `from` and `to` - 1 */
    AUDIT_DAMAGE_NODES,  /* the inner nodes that the store keeps for a quick start */
    AUDIT_DAMAGE_FILE    /* the last checkpoint in the file is of another log, or of a longer one */
};
struct audit_proof {
    char origin[AUDIT_ORIGIN_MAX];
    uint64_t size; /* leaves of the checkpoint; 0: none yet, nothing is proven */
    uint8_t root[MERKLE_HASH];
    bool outside; /* it has left; else the newest that was signed: no proof against who is root */
    bool waits;   /* a start took the log on that checkpoint's word, the thread hashes it yet */
    enum audit_damage damage;
    uint64_t from, to;
    bool changed;         /* by this look or an earlier one */
    uint64_t looked_size; /* leaves when all stored hashes were last gone through; 0: not yet */
    int64_t looked_ms;
};
SLUIS_MUST_CHECK int audit_log_prove(struct audit_log *log, struct audit_row *rows, size_t n,
                                     struct audit_proof *out);
bool audit_log_changed(struct audit_log *log); /* found to be, since it was opened */

/* The key in use, copied out; keys so far; each change's note, appended with an empty line between.
 */
void audit_log_key(struct audit_log *log, struct note_key *out);
unsigned audit_log_keys(struct audit_log *log);
SLUIS_MUST_CHECK int audit_log_key_changes(struct audit_log *log, struct buffer *out);
/* A new key: `commit` makes the note of the change durable, with a leaf, before it is gone by; then
 * the note is pushed and the next checkpoint is the new key's. The error of `commit`, SLUIS_ELIMIT
 * (KEY_CHAIN_MAX). */
SLUIS_MUST_CHECK int audit_log_replace_key(struct audit_log *log, const uint8_t seed[NOTE_SEED],
                                           int (*commit)(void *ctx, struct span note,
                                                         const char *fingerprint),
                                           void *ctx);

/* What an export shows: what fits all that is given; NULL: any. Times compare as text. */
struct audit_filter {
    struct span from, to; /* RFC 3339 in UTC or a prefix of it: from <= time < to */
    struct span actor, role, subject, action, outcome;
};
bool audit_filter_any(const struct audit_filter *filter); /* true: shows everything */
bool audit_filter_match(const struct audit_filter *filter, struct span leaf);
/* The value of a member of a canonical leaf, without reading all of it: `name` with its quotes and
 * colon ("\"time\":"). A text is given as it is spelled between its quotes, a list between its
 * brackets, a number as digits; empty when there is none. */
struct span audit_member(struct span leaf, const char *name);
/*
 * Where to look for the leaves of a filter's period (from, to; the rest of it counts for nothing).
 * Leaves do not stand in order of time: those owed in an outage follow hours later. Known are the
 * first and last time of each AUDIT_PAGE_LEAVES leaves; what lies between the place given and the
 * one returned holds none of the period. Any thread, never waits for a disk.
 */
/* The first place from `from` on that may hold some; at most one block past the log's end. */
uint64_t audit_log_ahead(struct audit_log *log, const struct audit_filter *filter, uint64_t from);
/* Backwards: the last place, up to `before`, with a leaf before it that may be one; 0: none. */
uint64_t audit_log_behind(struct audit_log *log, const struct audit_filter *filter,
                          uint64_t before);
/* As it stands in an export (proof.h): a JSON object. SLUIS_EINVAL: a value that is not plain text.
 */
SLUIS_MUST_CHECK int audit_filter_write(const struct audit_filter *filter, struct buffer *out);

#define AUDIT_PAGE_LEAVES                                                                          \
    8192 /* of the log in one page, a multiple of which each page begins at                        \
          */
/* One signed page of an export of the first `size` leaves, from leaf `from` on; *to: where the next
 * begins. `cuts` (rising): sizes of earlier checkpoints to compare with. SLUIS_EINVAL: nothing
 * there.
 */
SLUIS_MUST_CHECK int audit_log_page(struct audit_log *log, const struct audit_filter *filter,
                                    uint64_t from, uint64_t size, const uint64_t *cuts,
                                    size_t cut_count, struct buffer *out, uint64_t *to);

#endif

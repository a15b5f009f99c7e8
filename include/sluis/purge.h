/*
 * Purge: what has expired becomes unreadable when its bucket ends, and is swept away afterwards.
 *
 * A service thread of its own wakes every minute. When buckets have ended it destroys their keys,
 * of all classes and of the dedupe days in one change of the keyring; writes, per class, a signed
 * destruction record and a leaf of the access log in one commit; then removes the rows in slices
 * (STORE_PURGE jobs of at most 2 ms), the journal blocks whose items are all past, and the index
 * rows of persons whose last message is past. The order makes it safe to crash anywhere: keys go
 * first, the record before the rows that are counted for it, and a restart does what is missing.
 *
 * The clock. Destruction cannot be undone, so time is trusted only within 24 hours of the last
 * minute that was written down. Else purge holds and alarms, until two answers of Meta's, over TLS,
 * say the same time within PURGE_WITNESS_MS, an operator vouches for the clock
 * (purge_clock_accept), or it has run evenly for a day.
 *
 * Threads: purge_new, purge_start, purge_stop and purge_free on the main thread. The others on any
 * thread that may wait for disks: not on event threads.
 */
#ifndef SLUIS_PURGE_H
#define SLUIS_PURGE_H

#include "sluis/base/buffer.h"
#include "sluis/keyring.h"
#include "sluis/policy.h"
#include "sluis/retention.h"
#include "sluis/store.h"

#define PURGE_CLOCK_TRUST_S (24 * 3600)
/* The index key is replaced when it is this old: then nobody can tell any more, from whatever is
 * left of it, that an erased person was ever known. */
#define PURGE_LOOKUP_DAYS 30
#define PURGE_WITNESS_MS (5 * 60 * 1000)      /* a clock this far off is no cause for alarm */
#define PURGE_WITNESS_OLD_MS (10 * 60 * 1000) /* an answer counts for so long */
#define PURGE_DEDUPE_DAYS 9 /* a day's look-up key lives this long after the day */

enum { PURGE_TELL_ERASED = 1, PURGE_TELL_EXPIRED = 2 };
struct purge;
struct purge_deps {
    struct store *store;
    struct keyring *keyring;
    /* Calls `each` for every policy in force; a non-zero return ends it. For the grounds in
     * destruction records. */
    void (*each_policy)(void *ctx, int (*each)(void *each_ctx, const struct policy *policy),
                        void *each_ctx);
    /* The policy in force of a channel by its name, a reference of the caller's; NULL: there is no
     * such channel. For purge_apply_policy. */
    struct policy *(*channel_policy)(void *ctx, const char *channel);
    /* Has the person opted in on the channel, and not out? For policies that ask. NULL: nobody. */
    bool (*consents)(void *ctx, uint16_t channel, uint64_t subject);
    /* Asks Meta twice what time it is, over a connection each; answers go to purge_clock_witness.
     * Returns at once. Asked for every PURGE_WITNESS_OLD_MS while the clock is not trusted. NULL:
     * nobody is asked. */
    void (*ask_time)(void *ctx);
    /* Makes every resolver forget a subject, and every conversation's window what it said; waits
     * until that is so. NULL: there are none. */
    void (*forget)(void *ctx, uint64_t subject);
    /* Is nobody under way who was resolved before the index key `key` was the newest? NULL: so. */
    bool (*settled)(void *ctx, uint32_t key);
    /* Removes a bounded number of rows and files of media that nobody can open any more; *more:
     * call again. May wait for the store. NULL: no media are kept. */
    int (*sweep_media)(void *ctx, bool *more);
    /* Media of a person's message (by its own serial) that is sealed anew, or with serial 0 all of
     * the person's for a hold: sealed anew under `to` before the old keys go (media_keep). May
     * wait. NULL likewise. */
    int (*keep_media)(void *ctx, uint64_t subject, uint64_t serial, const struct record_id *to);
    /* Tags and notes on a message that is sealed anew, likewise (history_keep). May be NULL. */
    int (*keep_notes)(void *ctx, uint16_t channel, uint64_t subject, uint64_t serial,
                      const struct record_id *to);
    /* The message leaves that media hang under, one by one (media_each_leaf). NULL likewise. */
    int (*media_leaves)(void *ctx, int (*each)(void *to, uint64_t serial), void *to);
    /* The same of tags and notes (history_each_leaf). May be NULL. */
    int (*notes_leaves)(void *ctx, int (*each)(void *to, uint64_t serial), void *to);
    /* A copy of the message in memory must not be used any more (deliver_forget). May be NULL. */
    void (*drop)(void *ctx, uint64_t serial);
    /* What a room above keeps of persons (contact.h); each may be NULL. May wait for the store. */
    /* Must the person be known on, though no message is left? */
    bool (*person_stays)(void *ctx, uint64_t subject, int64_t now_ms);
    /* The person is gone: what is kept of them goes too. */
    int (*person_drop)(void *ctx, uint64_t subject);
    /* Appends it as JSON, for the person (art. 15). */
    int (*person_export)(void *ctx, uint64_t subject, struct buffer *out);
    /* Persons of whom something is kept, rising from `from`: at most `max`; how many, or an error.
     */
    int (*persons)(void *ctx, uint64_t from, uint64_t *out, unsigned max);
    /* Everything hashed with the index key is hashed anew; before the old key is destroyed. */
    int (*reindex)(void *ctx);
    /* What a route wants to be told of the messages it received (PURGE_TELL_*; route 0: what any
     * route wants), and its item, on the writer thread in commit order. NULL: nobody is told
     * anything. */
    unsigned (*told)(void *ctx, uint16_t route);
    void (*offer)(void *ctx, const struct store_item *item);
    void *ctx;
};
SLUIS_MUST_CHECK int purge_new(const struct purge_deps *deps, struct purge **out);
SLUIS_MUST_CHECK int purge_start(struct purge *purge);
void purge_stop(struct purge *purge); /* waits for the operation at hand */
void purge_free(struct purge *purge);
/* Who asks for what follows from this thread: what is done for a person, a hold, an erasure, the
 * clock stand on that account ("operator:1000", a person's name). One thread asks: admin's. */
void purge_asked_by(struct purge *purge, const char *actor);

/*
 * Destroys what is due now and appends a JSON object to `out`:
 *     {"dry_run":false,"time":"...","classes":[{"class":"original/86400/max/hour","from":"...",
 *      "to":"...","messages":3,"subjects":2}, ...]}
 * Dry: the same, nothing done. The rows are swept by the service thread afterwards. SLUIS_EDENIED:
 * the clock is not trusted; keyring's and store's errors, and then the service thread tries again.
 */
SLUIS_MUST_CHECK int purge_run(struct purge *purge, bool dry_run, struct buffer *out);
/*
 * A policy that keeps shorter than what is stored, applied back: never of itself. Counts, and (not
 * dry) puts on record that it is to be done, for the service thread to do; a restart goes on:
 *     {"dry_run":false,"messages":7,"classes":[{"from":"original/86400/max/hour",
 *      "to":"original/3600/max/hour","messages":7}],"longer":0,"held":0,"unreadable":0,
 *      "no_channel":0,"media":0,"applying":true}
 * "to" is empty for what is destroyed: kept never now, or past its new term already. "longer":
 * parts that the policy would keep longer, which does not happen. Held persons' messages stay as
 * they are. "media": messages with pictures or files, which are sealed anew with what stays of
 * them. Each class's end is on record with the reason "shortened". SLUIS_EDENIED: the clock.
 */
SLUIS_MUST_CHECK int purge_apply_policy(struct purge *purge, bool dry_run, struct buffer *out);
/* What the service thread does of it, in the caller's thread: tests. */
SLUIS_MUST_CHECK int purge_apply_now(struct purge *purge);
/* A whole round of the service thread in the caller's: tests. The first thing that went wrong. */
SLUIS_MUST_CHECK int purge_round(struct purge *purge);
/* Sweeps in the caller's thread until nothing is left: tests and benchmarks. */
SLUIS_MUST_CHECK int purge_sweep(struct purge *purge);

/*
 * Single messages. purge_revoke_put, in the job that commits a revoke (writer thread), leaves word
 * that the message's leaf must go; purge_wake, when that stands. The service thread then seals what
 * stays of part M (envelope, sender, time; its content "[ingetrokken]") under a new serial, which
 * the table of subjects gives for the old one, and destroys the leaves of all waiting messages in
 * one change. A restart goes on where it was.
 */
void purge_revoke_put(struct store_txn *txn, uint64_t serial);
/* What stays of the message was sealed anew elsewhere in the same job (retention_moved_put): only
 * the leaf that it stood under, `leaf`, must go; `message` is its own serial, by which its pictures
 * and notes are found, and moved first. While those cannot be (no room on the disk) the leaf waits,
 * and is tried again at the next round or revoke. The same rules; waits while the person is held.
 */
void purge_leaf_put(struct store_txn *txn, uint64_t leaf, uint64_t message, uint64_t subject);
void purge_wake(struct purge *purge);
/* What the service thread does with them, in the caller's thread. */
SLUIS_MUST_CHECK int purge_revoke(struct purge *purge);
/* Where what stayed of a message is; SLUIS_ENOENT. */
SLUIS_MUST_CHECK int purge_moved(struct store_read *read, uint64_t serial, uint64_t subject,
                                 struct record_id *out);

/*
 * Persons. An identifier is a phone number as people write it, a BSUID, or "#" and a subject's
 * serial. A number changes hands (subject.h): with "@2026-11-22" behind it, it means who had it on
 * that day. All of it is in the access log. SLUIS_ENOENT: nobody by that identifier; SLUIS_EINVAL;
 * SLUIS_EMANY: several persons had the number, and nothing was done: purge_person_find tells them,
 * "#" and a serial says which. Never all of them: what is done to one is not done to a stranger.
 */
#define PURGE_TEXT_MAX 200
#define PURGE_OWNERS_MAX 64
struct purge_owner {
    uint64_t subject;
    int64_t since_ms,
        until_ms; /* had the identifier; 0: not known (a serial was asked for); has it */
};
struct purge_person {
    uint64_t subject;
    uint64_t messages; /* in the journal, whatever is left of their content */
    int64_t first_ms, last_ms;
    bool restricted, held;
    uint32_t hold;
    int64_t held_until_ms; /* as the author said; it does not end of itself */
    char reason[PURGE_TEXT_MAX + 1], author[PURGE_TEXT_MAX + 1];
    /* Subjects that a number change linked to this one: maybe the same person, never merged. They
     * can be asked for as "#SERIAL" wherever an identifier is. */
    uint64_t linked[16];
    unsigned linked_count;
    /* Everybody who had the identifier, who has it now or had it last first: the others' messages
     * and marks are not told of here. */
    struct purge_owner owners[PURGE_OWNERS_MAX];
    unsigned owner_count;
};
SLUIS_MUST_CHECK int purge_person_find(struct purge *purge, struct span identifier,
                                       struct purge_person *out);
/* Art. 15 and 20: what is kept of the person as it is, and who saw it, as JSON. Media are not kept.
 * SLUIS_ELIMIT when `out` is too small. */
SLUIS_MUST_CHECK int purge_person_export(struct purge *purge, struct span identifier,
                                         struct buffer *out);
/*
 * Art. 17: the keys of the person are destroyed, identifiers and rows deleted, and `out` gets the
 * certificate: {"key":..,"certificate":{..},"signature":..}, Ed25519 over PURGE_CERTIFICATE_CONTEXT
 * and the bytes of the certificate. What the selection list demands (minimum classes) stays, and
 * the certificate says so. SLUIS_EDENIED: the person is held. Dry: the certificate without a
 * signature, nothing done. Routes that want it are told (art. 19); how they answered stands in the
 * certificate when it is asked for again, by the number in it. SLUIS_ENOENT.
 */
#define PURGE_CERTIFICATE_DAYS                                                                     \
    (5 * 366) /* kept so long, with what routes answered: a claim about an                         \
               * erasure can be made for five years (BW 3:310) */
#define PURGE_CERTIFICATE_CONTEXT "sluis certificate of erasure v1\n"
SLUIS_MUST_CHECK int purge_person_erase(struct purge *purge, struct span identifier, bool dry_run,
                                        struct buffer *out);
SLUIS_MUST_CHECK int purge_certificate(struct purge *purge, uint64_t number, struct buffer *out);
/*
 * By hand: what a message holds is hidden, in whole or where a text stands, or corrected (art. 16).
 * Part O goes; part M is sealed anew without it, under another serial; the leaf that both stood
 * under is destroyed, with a picture of the message. Routes that want it are told. SLUIS_ENOENT: no
 * such message or person, or the text stands nowhere; SLUIS_EDENIED: the person is held.
 */
struct purge_redaction {
    uint64_t message;       /* this one, by its serial (export and history give it); else 0, and */
    struct span identifier; /* every message of this person in which the text stands */
    struct span text;       /* as it was written; empty: all that the message says */
    struct span instead;    /* the correction; empty: PURGE_HIDDEN_TEXT */
    bool dry_run;
};
struct purge_redacted {
    uint64_t messages, places; /* of which changed, in how many places */
    uint64_t number;           /* of what routes are told, 0: none wants it */
};
#define PURGE_HIDDEN_TEXT "[verwijderd]"
SLUIS_MUST_CHECK int purge_redact(struct purge *purge, const struct purge_redaction *redaction,
                                  struct purge_redacted *out);
/* Those linked to the person, "#" and each of which asks for one of them: what is done to a person
 * is not done to them. Not on record: for the answer to what is. */
SLUIS_MUST_CHECK int purge_person_linked(struct purge *purge, struct span identifier,
                                         uint64_t out[16], unsigned *n);
/* Takes the person's links to others away. SLUIS_ENOENT: there are none. */
SLUIS_MUST_CHECK int purge_person_unlink(struct purge *purge, struct span identifier);
/* Art. 18: no delivery and no reading until it is lifted. */
SLUIS_MUST_CHECK int purge_person_restrict(struct purge *purge, struct span identifier, bool on);
/* Legal hold: nothing of the person is destroyed until it is released. SLUIS_EEXIST. */
SLUIS_MUST_CHECK int purge_person_hold(struct purge *purge, struct span identifier,
                                       struct span reason, struct span author, int64_t until_ms);
SLUIS_MUST_CHECK int purge_person_release(struct purge *purge, struct span identifier);
/* May nothing of this person be delivered or shown? Any thread, cheap. */
bool purge_refused(struct purge *purge, uint64_t subject);
bool purge_held(struct purge *purge, uint64_t subject); /* likewise */

/* The signed destruction records (retention.h) of a period, in order of time; `each` returns 0 to
 * go on. SLUIS_ECRYPTO: a row does not open or its signature does not hold. */
SLUIS_MUST_CHECK int purge_records(struct purge *purge, int64_t from_ms, int64_t to_ms,
                                   int (*each)(void *ctx, struct span line), void *ctx);
/* The key that signs them. */
void purge_public_key(struct purge *purge, uint8_t out[RETENTION_SIGN_PUBLIC]);

/*
 * The index key (keyring.h). The service thread replaces it after PURGE_LOOKUP_DAYS, or when asked
 * for: the index is made anew from the records of living persons in slices, look-ups go on. Replace
 * does it in the caller's thread. SLUIS_EAGAIN: the old key must live on for now, since there are
 * rows in the index that nothing can be made anew from; tried again by the hour.
 */
SLUIS_MUST_CHECK int purge_lookup_replace(struct purge *purge);
void purge_lookup_ask(struct purge *purge);
/* By when the newest index key is to be replaced. */
int64_t purge_lookup_until(struct purge *purge);

/* What time somebody else says it is, now: the Date of an answer over TLS. Any thread, at once. Two
 * of them make the clock trusted, or are an alarm when they agree with each other and not with it.
 */
void purge_clock_witness(struct purge *purge, int64_t said_ms);
/* An operator says that the clock is right; on record. */
SLUIS_MUST_CHECK int purge_clock_accept(struct purge *purge);

struct purge_status {
    bool clock_trusted;
    int64_t last_ms;     /* when keys were last destroyed by expiry, 0 not since the start */
    int last_error;      /* of the last attempt */
    uint64_t swept_rows; /* since the start */
    int lookup_error;    /* of the last replacement of the index key */
};
void purge_status(struct purge *purge, struct purge_status *out);

#endif

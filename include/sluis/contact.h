/*
 * Contacts: what the organisation may do towards a person on a channel, and what it did. Grounds
 * for writing to them (the consent registry), opting out (STOP, Meta's user_preferences), the
 * notices they were sent, the organisation's own reference, when they last wrote, how much they
 * were sent.
 *
 * Glossary
 *   contact        a data subject on one channel (channel's store id, subject serial). Channels of
 *                  one gateway do not see each other's.
 *   basis          why the organisation may write first: consent, customer (own similar products),
 *                  contract, task (of a public body).
 *   business-      not an answer: a template to a contact whose 24-hour window is closed. Needs a
 *   initiated      basis where policy says so; never goes to who opted out.
 *   window         24 hours from the contact's last message: Meta takes free-form messages in it.
 *   notice         an automatic text of the officer's (policy `notices`), sent by the gateway
 * itself. reference      the organisation's own customer number, set by a tool or a person.
 *
 * Where it stands. STORE_TABLE_SUBJECT, one row a fact, none of which depends on another, so that
 * two threads that write at the same time need not know of each other:
 *   'K', subject (8), channel (2), kind (1), 5 bytes of a keyed hash   sealed
 *     kind 'c' a consent (hash of basis and purpose), 'n' a notice (hash of its name),
 *     's' opting out, 'r' the reference (16 bytes of its look-up hash, then sealed)
 *   'X', look-up hash of the reference (16), channel (2), subject (8)  one byte
 * Sealed under class 0 and the subject's keys (part 'K'; the serial is bytes 9..16 of the key):
 * nothing of it can be read once the subject is erased, in the store or in a backup of it. Nothing
 * is written per message: when a contact last wrote and what it was sent come from the journal, and
 * are remembered here (CONTACT_REMEMBERED, least recently used out first).
 *
 * Retention: class 0, as long as the subject. A contact with something that must be remembered
 * (contact_living) keeps its subject: a withdrawal or an opt-out for CONTACT_KEEP_MS after it,
 * a consent as long as it stands and for the same time after (art. 7.1 AVG: whoever relies on
 * consent must be able to show it; 17.3.e). After an erasure nothing is remembered, so nothing
 * business-initiated goes out where policy asks for a basis: that fails closed.
 *
 * Threads: any, unless said otherwise. Functions that only read take a short read transaction.
 *
 *     struct contact_change *change;
 *     r = contact_stop(contacts, id, CONTACT_STOP_WORD, now_ms, &leaf, &change);
 *     ... job: contact_change_run(txn, change);
 *     contact_change_free(change);
 */
#ifndef SLUIS_CONTACT_H
#define SLUIS_CONTACT_H

#include "sluis/audit.h"
#include "sluis/base/buffer.h"
#include "sluis/base/json.h"
#include "sluis/keyring.h"
#include "sluis/store.h"

#define CONTACT_CONSENTS_MAX 32  /* of one contact: purposes of an organisation are few */
#define CONTACT_NOTICES_MAX 32   /* different notices of one contact */
#define CONTACT_TEXT_MAX 96      /* bytes of a purpose, a source */
#define CONTACT_REFERENCE_MAX 64 /* bytes of a reference */
#define CONTACT_NAME_MAX 63      /* bytes of a notice's name */
#define CONTACT_NOTICES_A_DAY 4  /* of all notices together to one contact: ends any loop */
#define CONTACT_REMEMBERED 65536 /* contacts whose last message is remembered: 3 MB */
#define CONTACT_WALK_MAX 256     /* items of a conversation looked at */
#define CONTACT_WINDOW_MS ((int64_t)24 * 3600 * 1000)
#define CONTACT_KEEP_MS ((int64_t)5 * 365 * 24 * 3600 * 1000) /* limitation of claims: 5 years */

struct contacts;
SLUIS_MUST_CHECK int contacts_open(struct store *store, struct keyring *keyring,
                                   struct contacts **out);
void contacts_close(struct contacts *contacts);

struct contact_id {
    uint16_t channel; /* store_name_id */
    uint64_t subject;
};

/* ---- what is known ---- */
enum contact_basis {
    CONTACT_CONSENT,
    CONTACT_CUSTOMER,
    CONTACT_CONTRACT,
    CONTACT_TASK,
    CONTACT_BASES
};
const char *contact_basis_word(enum contact_basis basis);
/* False when no basis is called so. */
bool contact_basis_of(struct span word, enum contact_basis *out);

struct contact_consent {
    enum contact_basis basis;
    char purpose[CONTACT_TEXT_MAX + 1]; /* what for; "" for every purpose */
    char
        source[CONTACT_TEXT_MAX + 1]; /* where it was given: "webform", "balie", "import 2026-11" */
    int64_t given_ms;
    int64_t withdrawn_ms; /* 0: stands */
};
enum contact_stop { CONTACT_STOP_NONE, CONTACT_STOP_WORD, CONTACT_STOP_META, CONTACT_STOP_PERSON };
struct contact_notice {
    char name[CONTACT_NAME_MAX + 1];
    int64_t sent_ms; /* when it was committed to, whether or not Meta took it */
};
enum contact_language { CONTACT_DUTCH, CONTACT_ENGLISH };

struct contact_state {
    struct contact_consent consents[CONTACT_CONSENTS_MAX];
    unsigned consent_count;
    enum contact_stop stop; /* of the last change; CONTACT_STOP_NONE: never, or taken back */
    int64_t stop_ms;        /* when */
    struct contact_notice notices[CONTACT_NOTICES_MAX];
    unsigned notice_count;
    char reference[CONTACT_REFERENCE_MAX + 1]; /* "" none */
};
/* Everything that was written down of a contact; all zero when nothing was. Opting out, or taking that
 * back, is the youngest word of the contact and of the subjects linked to it (subject.h): who says stop
 * says it as a person, by whichever number or user id. Consent is each subject's own. SLUIS_ECRYPTO when a
 * row does not open, SLUIS_EEXPIRED when the subject was erased: then nothing may be relied on.
 * Wipe the state with sodium_memzero. */
SLUIS_MUST_CHECK int contact_read(struct contacts *contacts, struct contact_id id,
                                  struct contact_state *out);
/* The subject was linked to another: what was remembered of it may be so no longer. */
void contact_linked(struct contacts *contacts, uint64_t subject);
/* True when the contact opted out and gave no consent since. */
bool contact_opted_out(const struct contact_state *state);
/* A standing entry with one of the bases (bit set of 1 << basis) for the purpose; an entry without
 * a purpose is for all of them, and `purpose` may be empty: any entry. NULL when there is none. */
const struct contact_consent *contact_basis_for(const struct contact_state *state, unsigned bases,
                                                struct span purpose);
/* Opted in and not out: retention_facts.consent. Remembered, so cheap when asked again; false also when
 * it cannot be told. */
bool contact_consents(struct contacts *contacts, struct contact_id id);
/* Appends {"consents":[...],"opted_out":...,"reference":...,"notices":[...]}: for art. 15 and for
 * listings. */
void contact_write(const struct contact_state *state, struct buffer *out);

/* The subject's pseudonym in the access log; SLUIS_EEXPIRED. */
SLUIS_MUST_CHECK int contact_pseudonym(struct contacts *contacts, uint64_t subject, uint64_t *out);

/* ---- changes: prepared on any thread, run in a job ---- */
struct contact_change;
/* Each prepares the rows and one leaf (`event`: actor, role, claimed, channel, activity,
 * policy_hash; action, object, subject, purpose, outcome and time are filled in; AUDIT_CONSENT). 0,
 * SLUIS_EINVAL (a text that is too long or not plain, a time in the future), SLUIS_ELIMIT
 * (CONTACT_CONSENTS_MAX), SLUIS_EEXPIRED (erased), the store's and keyring's errors. The change is
 * freed by the caller after its job. */
/* Given or, with `withdrawn_ms`, withdrawn: the entry of this basis and purpose. SLUIS_EEXIST: it
 * is older than a withdrawal or an opting out that stands, and changes nothing. SLUIS_ENOENT: to
 * withdraw what is not there. */
SLUIS_MUST_CHECK int contact_consent(struct contacts *contacts, struct contact_id id,
                                     const struct contact_consent *consent,
                                     const struct audit_event *event, struct contact_change **out);
/* Opting out, or with CONTACT_STOP_NONE taking that back. SLUIS_EEXIST: what stands is younger. */
SLUIS_MUST_CHECK int contact_stop(struct contacts *contacts, struct contact_id id,
                                  enum contact_stop stop, int64_t at_ms,
                                  const struct audit_event *event, struct contact_change **out);
/* Sets, replaces or (empty) removes the reference. */
SLUIS_MUST_CHECK int contact_reference(struct contacts *contacts, struct contact_id id,
                                       struct span reference, const struct audit_event *event,
                                       struct contact_change **out);
/* A notice is about to be sent: written before it leaves, so that a crash never sends it twice in
 * its period. Without a leaf of its own (the intent to send is one). */
SLUIS_MUST_CHECK int contact_noticed(struct contacts *contacts, struct contact_id id,
                                     struct span name, int64_t at_ms, struct contact_change **out);
/* In the job's run: its rows and its leaf. More than once when the commit is tried again. */
void contact_change_run(struct store_txn *txn, const struct contact_change *change);
void contact_change_free(struct contact_change *change); /* NULL is fine */
/* A job with this change alone; waits: not on event threads. */
SLUIS_MUST_CHECK int contact_apply(struct contacts *contacts, const struct contact_change *change);

/* A phone number as people write it, in digits with the country code, as Meta's webhooks have it;
 * "06..." is Dutch. Into the arena. SLUIS_EINVAL, SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int contact_number(struct span given, struct arena *arena, struct span *out);

/* ---- entries of the registry, as JSON ---- */
/*
 *   {"contact":"+31612345678","user_id":"NL.x","channel":"burgerzaken","basis":"consent",
 *    "purpose":"nieuwsbrief","source":"webformulier","time":"2026-11-22T10:00:00Z",
 *    "withdraw":true,"stop":false,"reference":"KL-10042"}
 * A contact is a phone number as people write it or a user_id; one of basis, stop and reference is
 * there. `time`: when it was given, withdrawn or said; a day or a moment. Other members are refused.
 */
#define CONTACT_CHANGES_MAX 3
struct contact_entry {
    struct span channel, contact, user_id; /* contact: digits as Meta's webhooks have them */
    int64_t at_ms;                         /* `time`, or now */
    bool timed;                            /* `time` was there */
    bool has_consent, has_stop, has_reference;
    struct contact_consent consent;
    enum contact_stop stop;
    struct span reference;
};
/* NULL, or what is wrong (a constant). Spans live as long as the arena and the document. */
const char *contact_entry_read(const struct json_doc *doc, uint32_t node, struct arena *arena,
                               int64_t now_ms, struct contact_entry *out);
/* Its changes, all or none: NULL past the last. Errors as of contact_consent and the others. */
SLUIS_MUST_CHECK int contact_entry_changes(struct contacts *contacts, struct contact_id id,
                                           const struct contact_entry *entry,
                                           const struct audit_event *event,
                                           struct contact_change *out[CONTACT_CHANGES_MAX]);

/* ---- the organisation's reference ---- */
/* Subjects with this reference, on one channel or (0) on any; at most `max`, the rest is left out.
 * The number of them, or an error. */
SLUIS_MUST_CHECK int contact_ref_find(struct contacts *contacts, uint16_t channel,
                                      struct span reference, struct contact_id *out, unsigned max);
/* The look-up key was replaced: hashes the subject's reference anew. Commits: not on event threads.
 * To be called for every living subject, with the new key in force; again is harmless. */
SLUIS_MUST_CHECK int contact_reindex(struct contacts *contacts, uint64_t subject);

/* ---- the end of a subject ---- */
/* Its rows, on every channel, and what is remembered: after its keys were destroyed, or when
 * nothing of it has to be kept. Commits (STORE_PURGE): not on event threads. */
SLUIS_MUST_CHECK int contact_forget(struct contacts *contacts, uint64_t subject);
/* True when something must be remembered of the subject beyond its messages (also when that cannot
 * be told): its identifiers stay. Not on event threads. */
bool contact_living(struct contacts *contacts, uint64_t subject, int64_t now_ms);
/* Subjects with rows of this room, rising, from `from` on: at most `max` into `out`; how many, or
 * an error. */
SLUIS_MUST_CHECK int contact_subjects(struct contacts *contacts, uint64_t from, uint64_t *out,
                                      unsigned max);

/* ---- the window and the pace ---- */
/* A message of the contact was committed. Cheap: for every message. */
void contact_note_in(struct contacts *contacts, struct contact_id id, int64_t at_ms);
/* When the contact last wrote, from memory or else from the journal; 0: not known here. */
SLUIS_MUST_CHECK int contact_last_in(struct contacts *contacts, struct contact_id id,
                                     int64_t now_ms, int64_t *at_ms);
enum contact_window {
    CONTACT_OPEN,
    CONTACT_CLOSED, /* wrote too long ago, or never while the channel was listened to for a day */
    CONTACT_UNKNOWN /* not known to have written; the gateway is new to the channel */
};
/* What counts is any message of the contact that came in, by its own time. A call, which opens
 * Meta's window too, is not known here. */
SLUIS_MUST_CHECK int contact_window(struct contacts *contacts, struct contact_id id, int64_t now_ms,
                                    enum contact_window *out);
/* True when one more message may go now: takes a place that contact_pace_done gives back when the
 * message is in the journal (or will not be). On the thread that owns the subject. */
SLUIS_MUST_CHECK int contact_pace_take(struct contacts *contacts, struct contact_id id,
                                       unsigned messages, int64_t per_ms, int64_t now_ms,
                                       bool *may);
void contact_pace_done(struct contacts *contacts, struct contact_id id);

/* ---- incoming texts ---- */
/* Is the whole text one of the words? Letters of any case; spaces, signs and emoji around it pass.
 * Cheap for texts longer than any such word. */
#define CONTACT_STOP_WORD_MAX 256 /* bytes: a policy's longest word (200) and what is around it */
bool contact_is_stop_word(const char *const *words, size_t n, struct span text);
/* English when that is clear, Dutch when the number is Dutch or Belgian or nothing is clear. */
enum contact_language contact_language(struct span text, struct span phone);

/* ---- notices ---- */
/* Is the notice due? `every_ms` since it was last sent, and not too many today. */
bool contact_notice_due(const struct contact_state *state, struct span name, int64_t every_ms,
                        int64_t now_ms);

#endif

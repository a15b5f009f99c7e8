/*
 * History: what was said in a conversation, for whoever may see it, as masked as they must see it.
 *
 * Every call is one bounded piece of work (a page, a slice of a search, one reveal) that runs on a
 * worker thread of this room, so that no event loop waits for it: at most HISTORY_SLICE_MS, one
 * page of results, one short read transaction at a time and none while a peer is written to. What
 * there is more comes with a cursor.
 *
 *   who, which channel, which right, purpose -> leaf of the access log committed -> read -> unseal
 * -> judged by the policy in force now -> masked by the reader's profile -> answer
 *
 * Glossary
 *   reader        who asks: a tool (its own route's profile), a person (the role's profile), or the
 *                 operator at the control socket (the storage profile: every finding redacted).
 * Tools and persons need the right of the operation on the channel, by a role (access_decide)
 *   conversation  all messages of one data subject on one channel; its id is opaque, the same for
 *                 every reader, and holds no phone number
 *   message id    our own commit serial, a number; never an id of Meta's
 *   cursor        where to go on: sealed under a key of this installation, good for the same
 *                 reader and the same query only; a forged one is 400 "cursor"
 *
 * A reader's form is made from part O while O lives, else from part M, never with less masking than
 * intake found needful or than policy asks now. Of a message that its sender took back only that is
 * shown ("form":"withdrawn", or what stayed of it when its keys are gone), and nothing is revealed.
 * Pictures and files are a line of text and their caption. Persons under restriction (art. 18) are
 * refused, whoever asks. A finding's value is in no answer but that of a reveal.
 *
 * Times in bodies and answers are RFC 3339 in UTC; `from` <= time < `to`, by when the gateway
 * took the message, since that is the order in which things are kept.
 *
 * Bodies (JSON objects; unknown members are refused, so that a misspelt filter hides nothing):
 *   common         "channel": name (required but for expiring), "purpose", "reference": why, as the
 *                  access log will show it; a text in which personal data is found is refused
 *   CONVERSATIONS  "from", "to", "tag", "contact" or "external_ref", "limit" (1..50), "cursor".
 *                  Those whose newest item lies in the period, newest first:
 *                  {"conversations":[{"id","last","messages_from_customer":null...,
 * "tags":[]}],"cursor"} MESSAGES       "conversation" or "contact" or "external_ref"; "from", "to",
 * "tag", "statuses" (true: status items too), "limit", "cursor". Newest first:
 *                  {"conversation","messages":[{"id","at","taken","direction","kind","type","text",
 *                  "form","content","tags","notes"}],"cursor"}
 *   TAG            "conversation" or "message"; "tag" (a-z 0-9 _ -, 1..32), "remove": true
 *   NOTE           "conversation" or "message"; "text" (1..1000 bytes): judged, masked per reader
 *   REVEAL         "message", "types": [..] (default: all that the role lists), "purpose",
 * "reference", "break_glass": true; or "grant" of an earlier answer, while it lives. Persons on the
 *                  admin listener only.
 *   SEARCH         "from", "to" (both required), "words" (all must occur; judged text only), "tag",
 *                  "limit", "cursor"; purpose and reference required. Slices: "scanned", "cursor"
 *   EXPORT         "conversation" or "contact" or "external_ref"; "form": "json" or "html";
 * "cursor" EXPIRING       "before": time; what a minimum class demands was kept and ends before
 * then
 *
 * Threads: history_submit any; `done` is called on a worker.
 */
#ifndef SLUIS_HISTORY_H
#define SLUIS_HISTORY_H

#include "sluis/access.h"
#include "sluis/audit.h"
#include "sluis/base/mailbox.h"
#include "sluis/config.h"
#include "sluis/keyring.h"
#include "sluis/purge.h"
#include "sluis/store.h"

#define HISTORY_PAGE_MAX 50   /* results in one answer */
#define HISTORY_SLICE_MS 250  /* a call works no longer than about this */
#define HISTORY_QUEUE_MAX 256 /* calls waiting, all readers together; above it 503 */
#define HISTORY_BODY_MAX 8192 /* bytes of a call's body */
#define HISTORY_ANSWER_MAX (8u * 1024 * 1024)
#define HISTORY_GRANT_MS (5 * 60 * 1000) /* a reveal may be shown again this long */
#define HISTORY_CONVERSATION_MAX 96      /* bytes of a conversation's id, NUL included */

enum history_operation {
    HISTORY_CONVERSATIONS,
    HISTORY_MESSAGES,
    HISTORY_TAG,
    HISTORY_NOTE,
    HISTORY_REVEAL,
    HISTORY_SEARCH,
    HISTORY_EXPORT,
    HISTORY_EXPIRING,
    HISTORY_OPERATIONS
};
const char *history_operation_word(enum history_operation operation); /* "messages" */

struct history;
struct contacts;
struct history_deps {
    struct store *store;
    struct keyring *keyring;
    struct config_cell *config;
    struct access *access;
    struct contacts *contacts; /* for external_ref; NULL: nobody has one */
    /* May nothing of this person be shown now? purge_refused; NULL: nobody is restricted. */
    bool (*refused)(void *ctx, uint64_t subject);
    void *ctx;
    const struct audit_gate *gate; /* closed: nothing is shown; NULL: open */
};
SLUIS_MUST_CHECK int history_new(const struct history_deps *deps, struct history **out);
/* Ends the workers; calls that wait are answered 503. No history_submit may come after it. */
void history_stop(struct history *history);
void history_free(struct history *history);

/* Tags of a conversation, each NUL-terminated in `size` bytes from `out` on, at most `most`; how
 * many. Not on event threads. */
unsigned history_tags(struct history *history, uint16_t channel, uint64_t subject, unsigned most,
                      size_t size, char *out);

/* Tags and notes on a message (by its own serial) that is sealed anew: sealed anew under `to`
 * before the old keys go. Waits for the store: not on event threads. */
SLUIS_MUST_CHECK int history_keep(struct history *history, uint16_t channel, uint64_t subject,
                                  uint64_t serial, const struct record_id *to);

/* The message leaves that tags and notes hang under, one by one, some twice, 0 for those of a
 * conversation; ends with what `each` returns when that is not 0. Its reads are bounded. Any thread
 * but event threads. */
SLUIS_MUST_CHECK int history_each_leaf(struct history *history,
                                       int (*each)(void *ctx, uint64_t serial), void *ctx);

/* A time as bodies and queries give it: RFC 3339 in UTC, or a day. */
bool history_time(struct span text, int64_t *ms);

/* Tags and notes about a person on a channel, as they were written, for an export of what is kept
 * (art. 15): objects with commas between, appended. Not on event threads. 0 or the store's error.
 */
SLUIS_MUST_CHECK int history_person_export(struct history *history, uint16_t channel,
                                           uint64_t subject, struct buffer *out);
/* Made by a face, its own until submitted and again from `done` on. history_request_free wipes. */
struct history_request {
    struct mail mail; /* the room's while it works; the face's from `done` on */
    enum history_operation operation;
    struct principal principal;          /* PRINCIPAL_NOBODY: refused */
    char claimed[AUDIT_CLAIMED_MAX + 1]; /* X-Sluis-Actor of a tool, or "" */
    struct buffer body;
    void (*done)(struct history_request *request); /* hands over by mail, returns at once */
    void *ctx;
    /* the answer */
    unsigned status;          /* HTTP */
    const char *content_type; /* a constant; errors: application/problem+json */
    bool no_store;            /* the answer must not be kept by anybody (Cache-Control: no-store) */
    struct buffer answer;
};
void history_request_init(struct history_request *request);
void history_request_free(struct history_request *request);
/* Always leads to one `done`. */
void history_submit(struct history *history, struct history_request *request);
/* The same on the calling thread, without `done`: tests, and handlers that may wait. */
void history_run(struct history *history, struct history_request *request);

#endif

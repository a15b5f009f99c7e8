/*
 * The webhook room's own shapes.
 *
 *   POST -> batch (webhook.c reads and verifies, batch.c splits) -> item per message, status, event
 *        -> the thread that owns its subject (judge.c) -> one store job -> back -> 200
 *
 * A batch belongs to the thread that read the POST (home); an item to its owner thread from
 * batch_dispatch until item_settled. Counts are atomic, all else is handed over by mail.
 */
#ifndef SLUIS_WEBHOOK_INTERNAL_H
#define SLUIS_WEBHOOK_INTERNAL_H

#include "sluis/audit.h"
#include "sluis/base/counters.h"
#include "sluis/base/encode.h"
#include "sluis/base/json.h"
#include "sluis/mask.h"
#include "sluis/retention.h"
#include "sluis/subject.h"
#include "sluis/webhook.h"

#include <openssl/evp.h>
#include <stdatomic.h>
#include <stddef.h>

/* Meta's stated maximum is 3 MB. */
#define WEBHOOK_BODY_MAX (3u * 1024 * 1024)
/* Values in one POST: 1,000 updates of about 60 values, and room. */
#define WEBHOOK_VALUES_MAX 200000u
/* Units of one POST: Meta puts up to 1,000 updates in one; a change may hold more than one. */
#define WEBHOOK_UNITS_MAX 4000u
/* Memory of one batch beside its body: nodes, units, findings. */
#define WEBHOOK_ARENA_MAX (48u * 1024 * 1024)
/* Memory of all batches at once: half of the configuration's `memory`, and never less than the
 * largest POST with all that is made of it. Above it 503. */
#define WEBHOOK_BATCHES_LEAST (32u * 1024 * 1024)
/* What a body becomes while it is under way, in bodies: itself, units, packed, two sealed parts and
 * what the renderer holds. */
#define WEBHOOK_BATCH_FACTOR 6
/* Answers to Meta are due in seconds; a store that has not committed by then says 503. */
#define WEBHOOK_RETRY_AFTER "5"
/* Dedupe rows live nine days, whatever the retention (whatsapp 0.17). */
#define WEBHOOK_DEDUPE_DAYS 9
/* A timestamp further ahead than this is not believed for retention. */
#define WEBHOOK_SKEW_MS (5 * 60 * 1000)
#define DAY_MS ((int64_t)24 * 3600 * 1000)

/* Quarantine: what was signed and could not be read, kept for an operator. */
#define QUARANTINE_ROWS_MAX 1000u /* of each kind */
#define QUARANTINE_BYTES_MAX (64u * 1024 * 1024)
#define QUARANTINE_CHUNK (128u * 1024)
#define QUARANTINE_KEEP_S (7 * 24 * 3600)

/* Leaves beside those of the routes: one for each earlier message masked anew. */
#define ITEM_LEAVES_MAX (STORE_ROUTES_MAX + DETECT_WINDOW_MESSAGES)
/* How old the store's answer about its marks may be. */
#define SHED_LOOK_US 20000
/* Items of a conversation looked at for its window: most are statuses of what tools sent. */
#define WINDOW_ITEMS_MAX 64u

/* Conversation windows kept in memory per thread. */
#define WINDOW_CONVERSATIONS_MAX 16384u
#define WINDOW_BYTES_MAX (16u * 1024 * 1024)

enum webhook_counter {
    C_POSTS,
    C_VERIFIED,
    C_BAD_SIGNATURE,
    C_BAD_TOKEN,
    C_UNKNOWN_APP,
    C_SHED,
    C_FAILED,
    C_MESSAGES,
    C_STATUSES,
    C_ECHOES,
    C_ACCOUNT,
    C_DUPLICATES,
    C_EXPIRED,
    C_UNJUDGED,
    C_QUARANTINED,
    C_UNKNOWN_CHANNEL,
    C_DROPPED_CONTACT_BOOK,
    C_REVOKED,
    C_REMASKED,
    C_STORAGE_ERRORS,
    C_STRANGERS_NOT_KEPT,
    C_COUNT
};

/* Numbers that are not configured must not use up the place of what nobody could read. */
enum quarantine_kind { QUARANTINE_BODY, QUARANTINE_STRANGER, QUARANTINE_KINDS };

struct signature_cache;
struct window_table;
struct batch;

struct intake_thread { /* one per event loop */
    struct webhook *webhook;
    struct loop *loop;
    unsigned index;
    struct signature_cache *signatures;
    struct detect_scratch *scratch;
    struct keyring_cache *keys;
    struct subject_resolver *subjects; /* the gateway's */
    struct window_table *windows;
    struct item *under_way; /* submitted and not yet back, newest first */
    struct arena arena;     /* of the item at hand; reset after each */
    int64_t looked_us;      /* when the store was asked last */
    bool refusing;          /* and what it said */
};

struct webhook {
    struct webhook_deps deps;
    struct intake_thread *threads;
    struct counter *counters;
    _Atomic uint64_t batch_bytes, batches_max;
    struct {
        _Atomic uint64_t rows, bytes;
    } quarantine[QUARANTINE_KINDS];
    _Atomic int64_t quarantine_tidied_ms;
};

static inline void count(struct webhook *w, enum webhook_counter c)
{
    counter_add(&w->counters[c], 1);
}

/* ---- signature.c ---- */
/* Is `header` ("sha256=" and 64 lower-case hex) the HMAC of the body under one of the app's
 * secrets? A context per app is kept for the snapshot at hand. */
int signature_cache_new(struct signature_cache **out);
void signature_cache_free(struct signature_cache *cache);
bool signature_well_formed(struct span header);
bool signature_holds(struct signature_cache *cache, const struct config *config,
                     const struct config_app *app, struct span header, struct span body);

/* ---- batch.c ---- */
enum item_outcome { ITEM_STORED, ITEM_DUPLICATE, ITEM_EXPIRED, ITEM_DROPPED, ITEM_QUARANTINED };

/* An earlier message of the conversation, masked anew by a later one. */
struct remask {
    struct remask *next;
    struct store_item row;
    /* Where the parts were, class 0: nowhere; their keys are destroyed, so that no older copy of
     * the data opens the half as it was. */
    struct record_id old_o, old_m;
    uint64_t leaf;     /* the message leaf they stood under */
    bool has_o, has_m; /* what is written; an O that may not be kept any more is not */
    struct record_id record_o, record_m; /* under a serial of their own */
    bool gone;                           /* it could not be masked anew: nothing of it stays */
    struct buffer packed;                /* the new part O, for whoever masks it once more */
    struct buffer sealed_o, sealed_m;
};

struct item {
    struct mail mail;           /* first: to the owner, then back */
    struct item *newer, *older; /* in the thread's list `under_way` */
    struct store_job job;
    struct batch *batch;
    struct intake_thread *owner;
    struct mask_unit unit;
    const struct config_channel *channel;
    struct subject subject;
    struct store_item row;     /* the owner's: not changed once submitted */
    struct store_item written; /* the writer's: with its place in commit order */
    uint8_t dedupe[STORE_HASH_BYTES];
    uint32_t dedupe_day;
    struct record_id record_o, record_m;
    struct buffer packed, sealed_o, sealed_m;
    struct buffer leaves; /* one after the other */
    struct {
        uint32_t start, n;
        uint8_t hash[32];
    } leaf[ITEM_LEAVES_MAX];
    unsigned leaf_count;
    struct buffer owed; /* the same leaves sealed, one after the other: the log takes none now */
    unsigned owes;      /* counted in the gate */
    struct record_id revoked; /* the message that a revoke takes back; class 0: it has no part O */
    bool hides;               /* `on_revoke: hide`: it is shown to nobody, and kept */
    struct record_id revoked_o; /* where that part is now; class 0: nowhere */
    struct subject *linked;     /* a number change: the subject of the other number; or NULL */
    bool awaits;                /* a revoke whose message is not there yet */
    uint32_t await_day;
    uint8_t awaited[2][STORE_HASH_BYTES]; /* by the keys of that day and of the day before */
    struct remask *remasks;
    struct contact_change *change; /* the contact opts out, or in again */
    int64_t before_ms;             /* when the contact wrote before; for notices */
    uint64_t found;
    bool consents;                 /* opted in; only when the policy asks */
    bool notices, greets, english; /* may bring notices; what it is, and its language */
    bool stopped;                  /* opted out by a word, who had not before */
    struct span text;              /* by which it is in the window; while it is judged */
    struct {                       /* rows of the media room, one after the other in media_rows */
        uint8_t key[MEDIA_KEY_BYTES];
        uint16_t start, n;
    } media[MEDIA_ITEMS_MAX];
    struct buffer media_rows;
    unsigned media_count;
    bool original_gone; /* its O has outlived its keep already: delivered from M */
    bool windowed;      /* its text stands in the window */
    bool held_back;     /* one before it in its conversation failed: not before that one */
    int unresolved;     /* why there is no subject */
    enum item_outcome outcome;
    int result;
};

struct batch {
    struct intake_thread *home;
    struct server *server;
    uint64_t exchange;
    const struct config_app *app;
    struct config *config;
    struct buffer body;
    struct arena arena;
    struct json_doc doc;
    struct item **items;
    unsigned item_count;
    unsigned item_cap;
    uint64_t first_serial;
    uint64_t charged; /* bytes counted in webhook->batch_bytes */
    _Atomic unsigned left;
    _Atomic int worst; /* 0 or the first error */
    struct mail mail;  /* home again, when all are settled */
};

/* Takes the body of a verified POST and answers it later. */
void batch_begin(struct intake_thread *thread, struct exchange *ex, const struct config_app *app,
                 struct config *config);
/* Any thread: the item is done with (stored, dropped or failed). */
void item_settled(struct item *item, enum item_outcome outcome, int result);

/* ---- judge.c ---- */
/* On the home thread: channel and subject. An error: try again. */
int item_resolve(struct item *item);
/* On the owner's thread: window, judging, sealing, job. Ends in item_settled. */
void item_judge(struct item *item);
/* (app, number, kind, id), for statuses also status, recipient and timestamp (whatsapp 0.17). */
int item_dedupe_hash(struct item *item, uint32_t day);

/* ---- media.c ---- */
/* After item_seal: its rows lie under the same keys. */
int item_note_media(struct item *item, const struct json_doc *doc);
void item_put_media(struct store_txn *txn, const struct item *item);
/* It stands: before delivery is offered it. Any thread. */
void item_take_media(const struct item *item);
/* ---- contact.c ---- */
/* After judging: item->change, and what notices need. */
SLUIS_MUST_CHECK int item_look_at_contact(struct item *item, const struct json_doc *doc,
                                          const struct judged *judged);
/* It was stored. */
void item_tell_contact(struct item *item);

/* Likewise, before link_settled: what one of two linked subjects opted out of, the other did. */
void item_tell_linked(const struct item *item);

/* The subject of another number is settled as well, once. */
void link_settled(struct item *item, int result);

/* ---- commit.c ---- */
/* Seals the parts of what was judged. SLUIS_EEXPIRED: there is nothing left to keep. */
int item_seal(struct item *item, const struct json_doc *doc, const struct judged *judged,
              bool unjudged, int64_t now);
/* The storage profile's form of a unit, packed. */
int render_storage(struct intake_thread *thread, const struct config_channel *channel,
                   const struct json_doc *doc, enum mask_table table, const struct judged *judged,
                   bool unjudged, struct buffer *out);
int item_add_leaf(struct item *item, const struct audit_event *event);
/* One intent per route. */
int item_log_intents(struct item *item, const struct judged *judged, bool unjudged);
void item_submit(struct item *item);

/* ---- owed.c ---- */
#define OWED_PREFIX "audit.owed"
#define OWED_KEY_BYTES 18
/* Before the item is submitted: its leaves are sealed as rows when the log refuses. */
SLUIS_MUST_CHECK int owed_seal(struct item *item);
/* In its job, instead of the leaves. */
void owed_run(struct store_txn *txn, const struct item *item);
/* The job is done. */
void owed_settled(struct item *item, bool stored);
/* At start: what is owed keeps the gate closed until it is paid. */
SLUIS_MUST_CHECK int owed_count(struct webhook *webhook);

/* ---- past.c ---- */
/* The message or echo that a revoke means, and where its part O is now (class 0: nowhere).
 * SLUIS_EDENIED: it is not this person's; SLUIS_ENOENT. */
int past_target(struct item *item, struct store_item *target, struct record_id *part_o);
/* A revoke that came before its message: it will take the message's place in dedupe, so that the
 * message counts as a repetition and is not stored. */
SLUIS_MUST_CHECK int past_await(struct item *item);
/* For an item whose dedupe row may stand under any day: SLUIS_EEXIST when it does. SLUIS_EAGAIN: it
 * is on its way to the store. */
SLUIS_MUST_CHECK int past_seen(struct item *item);
/* Part O or else M of a stored item, wherever it is now, opened; *part says which. In the thread's
 * arena. */
int past_open(struct intake_thread *thread, struct store_read *read, const struct store_item *row,
              uint8_t *part, struct judged *judged, struct span *json);
struct window;
/* SLUIS_EIO, SLUIS_ENOMEM ...: without what came before a half would pass for harmless. */
SLUIS_MUST_CHECK int past_load_window(struct item *item, struct window *window);

/* ---- remask.c ---- */
struct window_message;
/* Findings (offsets in the window's text) of an earlier message: its parts are sealed anew with
 * this item's job. */
int remask_add(struct item *item, const struct window_message *message,
               const struct finding *findings, size_t n);
void remask_run(const struct webhook_deps *deps, struct store_txn *txn, const struct remask *list);
/* Once that is committed. */
void remask_done(const struct webhook_deps *deps, const struct remask *list);
void remask_free(struct remask *list);

/* ---- quarantine.c ---- */
/* Counts what is there at start. */
int quarantine_count(struct webhook *webhook);
/* Seals `text` for the item or the whole batch and submits; `done` runs on the writer thread. */
int quarantine_put(struct intake_thread *thread, const struct config_app *app, const char *reason,
                   struct span text, void (*done)(void *ctx, int result), void *ctx);

/* ---- window.c ---- */
struct window_message {
    struct span text; /* the table's copy */
    uint32_t cut;     /* bytes of the message's text before it */
    bool from_customer;
    int64_t at_ms;
    uint64_t serial;
};
struct window {
    uint16_t channel;
    uint64_t subject;
    unsigned count; /* messages, newest first */
    struct window_message messages[DETECT_WINDOW_MESSAGES];
    bool loaded;
};
int window_table_new(struct window_table **out);
void window_table_free(struct window_table *table);
/* The window of a conversation, made when absent (loaded = false then). NULL: no memory. */
struct window *window_get(struct window_table *table, uint16_t channel, uint64_t subject);
/* Puts a message in its place (by timestamp, equal ones by serial); once. Drops what is beyond the
 * bounds. SLUIS_ENOMEM: it is not there, and its successor would be judged without it. */
SLUIS_MUST_CHECK int window_add(struct window_table *table, struct window *window, struct span text,
                                bool from_customer, int64_t at_ms, uint64_t serial);
/* Takes a message out again: it was not stored, or was revoked. */
void window_remove(struct window_table *table, uint16_t channel, uint64_t subject, uint64_t serial);
/* All that a person said, in every channel. */
void window_forget(struct window_table *table, uint64_t subject);

#endif

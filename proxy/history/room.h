/*
 * The history room's own shapes.
 *
 *   history_run:  parse (query.c) -> who may (reader.c) -> the operation -> leaf committed ->
 * answer
 *
 * A step that ends the call with a refusal answers with history_refuse(), which gives
 * SLUIS_EDENIED; what it returns is handed up. Any other negative result becomes a 503.
 */
#ifndef SLUIS_HISTORY_ROOM_H
#define SLUIS_HISTORY_ROOM_H

#include "sluis/base/clock.h"
#include "sluis/base/json.h"
#include "sluis/history.h"
#include "sluis/mask.h"
#include "sluis/read.h"
#include "sluis/retention.h"

#include <pthread.h>

#define WORDS_MAX 8        /* of a search */
#define TAGS_MAX 16        /* of one message or conversation */
#define NOTES_MAX 50       /* likewise */
#define TAG_MAX 32         /* bytes */
#define NOTE_TEXT_MAX 1000 /* bytes of text: with findings and seal one row of the store */
#define WALK_MAX 4096u     /* items looked at for one page: statuses and others between messages */
#define CHUNK_ITEMS 1024u  /* of the journal in one read transaction */
#define SUBJECTS_SHOWN_MAX HISTORY_PAGE_MAX
#define ARENA_MAX (16u * 1024 * 1024) /* one message: record, document, rendering */
#define QUERY_ARENA (1024u * 1024)
#define ORDER_SLACK_MS                                                                             \
    60000 /* items are committed this much out of the order of their times, at most */
#define PART_NOTE 'N'

struct query {
    struct span channel, contact, external_ref, conversation, tag, cursor, purpose, reference;
    struct span text, form, grant;
    struct span words[WORDS_MAX];
    unsigned word_count;
    int64_t from_ms, to_ms, before_ms; /* 0: not given */
    uint64_t message, limit;
    bool statuses, remove, break_glass, typed;
    uint64_t types; /* typed: the ones asked for */
    uint32_t types_node;
};

struct worker {
    struct history *history;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct mail *first, **end;
    unsigned waiting;
    bool stopping;
    struct detect_scratch *scratch;
    struct keyring_cache *keys;
    struct arena arena;   /* of one message */
    pthread_mutex_t busy; /* scratch and arena: history_run on other threads */
};

enum { WORKER_PAGES, WORKER_SCANS, WORKERS };

struct history {
    struct history_deps deps;
    uint8_t conversation_key[KEYRING_KEY_BYTES], cursor_key[KEYRING_KEY_BYTES];
    uint8_t tag_key[KEYRING_KEY_BYTES]; /* not the index key, which is replaced every month */
    struct worker workers[WORKERS];
    int64_t tidied_ms; /* the scanning worker's */
    /* Shared: a tag or note is put or removed, from where its message is until it is committed.
     * Alone: what was said of a message moves with it (history_keep). So a note put in the instant of
     * a redaction is either there to be moved, or finds the message where it is now. */
    pthread_rwlock_t place_lock;
};

/* What the log will say was shown: a row per person. */
struct shown {
    uint64_t subject, first, last, count, masked;
};

struct work { /* one call */
    struct history *h;
    struct worker *worker;
    struct history_request *q;
    struct query query;
    struct json_doc body;
    struct arena arena; /* lives as long as the call */
    struct config *config;
    const struct config_channel *channel;
    const struct config_route *route; /* the tool's own on this channel, or NULL */
    const struct policy *policy;
    const struct profile *profile;
    const char *actor, *role;
    uint64_t reveal; /* types that the role may have revealed */
    bool break_glass;
    uint8_t hash_key[KEYRING_KEY_BYTES], alias_key[KEYRING_KEY_BYTES];
    int64_t deadline_us;
    struct shown shown[SUBJECTS_SHOWN_MAX];
    unsigned shown_count;
    char purpose[AUDIT_NAME_MAX + 1], reference[AUDIT_NAME_MAX + 1];
};

/* ---- history.c ---- */
/* Answers with problem+json; `code` is a word, `detail` plain text. Always SLUIS_EDENIED. */
int history_refuse(struct work *w, unsigned status, const char *code, const char *detail);
/* Has this call worked long enough? */
bool work_late(const struct work *w);
/* Notes that something of this person is shown. SLUIS_ELIMIT: no more persons fit in this answer.
 */
SLUIS_MUST_CHECK int work_show(struct work *w, uint64_t subject, uint64_t serial, uint64_t masked);
/* Leaves for all that was noted (at least one), durable when it returns. */
SLUIS_MUST_CHECK int work_record(struct work *w, enum audit_action action, const char *outcome,
                                 uint64_t count);

/* ---- query.c ---- */
int query_parse(struct work *w);
/* What a cursor is bound to: everything in the query but the cursor, limit and purpose. */
void query_hash(const struct work *w, uint8_t out[32]);

/* ---- reader.c ---- */
int reader_decide(struct work *w);

/* ---- cursor.c ---- */
struct place {
    uint64_t a, b, c;
};
/* Appends "\"cursor\":\"...\"" or "\"cursor\":null" when `place` is NULL. */
void cursor_write(struct work *w, const struct place *place, struct buffer *out);
/* history_history_refuse()s a forged one; zero place when none was given. */
int cursor_read(struct work *w, struct place *out);
void conversation_write(struct history *h, uint16_t channel, uint64_t subject, struct buffer *out);
int conversation_read(struct history *h, struct span text, uint16_t *channel, uint64_t *subject);
/* Anything sealed under the cursor key with a label. */
void sealed_write(struct history *h, const uint8_t bound[32], struct span plain,
                  struct buffer *out);
int sealed_read(struct history *h, const uint8_t bound[32], struct span text, uint8_t *out,
                size_t size);

/* ---- find.c ---- */
/* The subject that the query names (conversation, contact, external_ref), known on the channel and
 * not restricted; else history_history_refuse()s. */
int find_subject(struct work *w, uint64_t *subject);
bool subject_refused(struct work *w, uint64_t subject);
/* The first journal order taken at or after `ms`, with slack before it; one past the newest when
 * none was. */
int find_order(struct work *w, int64_t ms, uint64_t *order);
int find_newest(struct work *w, uint64_t *order); /* 0 when the journal is empty */

/* ---- form.c ---- */
struct form {
    struct judged judged;
    struct span json; /* the unit */
    struct json_doc doc;
    const char *word; /* "original", "stored", "gone" */
    enum mask_table table;
    struct retention_facts facts; /* for the profile's conditions */
    bool unjudged;
    bool withdrawn; /* its sender took it back: that is all that is shown of it */
};
struct retention_facts form_facts(const struct work *w, const struct store_item *item);
/* Opens the best part there is (O, else M) into the worker's arena and
 * judges it anew; word "gone" when nothing is left. `original`: O only (SLUIS_EEXPIRED). */
int form_open(struct work *w, struct store_read *read, const struct store_item *item, bool original,
              struct form *form);
/* Renders for the reader: the message's own object, and its text (decoded, in the arena). */
int form_render(struct work *w, const struct form *form, struct buffer *content, struct span *text);
const char *form_direction(const struct store_item *item);
/* One message as JSON, with tags and notes; *masked: types the reader saw masked. */
int form_message(struct work *w, struct store_read *read, const struct store_item *item,
                 struct buffer *out, uint64_t *masked);

/* ---- note.c, note_list.c, note_row.c, note_follow.c ---- */
/* Appends "\"tags\":[..],\"notes\":[..]" of a message (serial) or a conversation (0). */
int note_write_all(struct work *w, struct store_read *read, uint64_t subject, uint64_t serial,
                   struct buffer *out);
bool note_has_tag(struct work *w, struct store_read *read, uint64_t subject, uint64_t serial,
                  struct span tag);
void note_tag_hash(struct history *h, struct span tag, uint8_t out[STORE_HASH_BYTES]);
#define NOTE_INDEX_PREFIX (1 + 2 + STORE_HASH_BYTES)
void note_index_prefix(struct work *w, struct span tag, uint8_t out[NOTE_INDEX_PREFIX]);
bool note_index_read(struct span key, uint64_t *subject, uint64_t *serial);
int operation_tag(struct work *w);
int operation_note(struct work *w);
/* Rows whose key is destroyed go, some at a time; on the scanning worker. */
void note_tidy(struct history *h, struct worker *worker);

/* ---- the rest ---- */
int operation_conversations(struct work *w); /* page.c */
int operation_messages(struct work *w);
int operation_reveal(struct work *w);   /* reveal.c */
int operation_search(struct work *w);   /* fold.c: for comparing; no longer than `text`. SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int fold_text(struct arena *arena, struct span text, struct span *out);

/* search.c */
int operation_export(struct work *w);   /* export.c */
int operation_expiring(struct work *w); /* expiring.c */

/* "\"name\":\"2026-..\"" */
void add_time(struct buffer *out, const char *name, int64_t ms);

#endif

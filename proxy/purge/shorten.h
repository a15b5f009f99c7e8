/* What shorten.c (what becomes of each message) and apply.c (asked for, on record) share. */
#ifndef SLUIS_PURGE_SHORTEN_H
#define SLUIS_PURGE_SHORTEN_H

#include "room.h"

#define SLICE 64 /* items looked at while `lock` is held */
#define MOVES 16 /* of one commit */
#define ARENA_MAX (8u * 1024 * 1024)
#define CHANNELS_MAX 1024
#define FATES_MAX 256 /* pairs of classes */
#define STATE_BYTES (8 + STORE_CLASSES_MAX * 16)

struct state { /* what was destroyed since the last record */
    int64_t since_ms;
    uint64_t messages[STORE_CLASSES_MAX + 1], subjects[STORE_CLASSES_MAX + 1];
};

struct part {
    struct record_id now;  /* class 0: nothing of it is stored */
    struct record_id then; /* likewise */
    bool shorter;
};
struct move {
    uint64_t serial; /* the journal's */
    struct part o, m;
    struct word word;
    struct buffer sealed_o, sealed_m;
};
struct fate {
    uint16_t from, to; /* to 0: destroyed now */
    uint64_t messages;
};

struct shorten {
    struct store_job job;
    struct purge *p;
    bool dry;
    int64_t now_ms;
    struct state state;
    struct subjects seen[STORE_CLASSES_MAX + 1];
    struct policy *policies[CHANNELS_MAX + 1];
    bool asked[CHANNELS_MAX + 1];
    struct store_item items[SLICE];
    unsigned item_count;
    uint64_t next; /* order */
    bool more;
    struct move moves[MOVES];
    unsigned move_count;
    struct words words;
    struct arena arena;
    struct fate fates[FATES_MAX];
    unsigned fate_count;
    uint64_t messages, longer, held, unreadable, unknown, media;
    struct buffer sealed; /* state */
    struct buffer lines[STORE_CLASSES_MAX];
    uint8_t line_keys[STORE_CLASSES_MAX][DESTRUCTION_KEY_BYTES];
    struct audit_event events[STORE_CLASSES_MAX];
    char names[STORE_CLASSES_MAX][256];
    char hashes[STORE_CLASSES_MAX][POLICY_HASH_HEX];
    unsigned line_count;
};

/* shorten.c */
struct shorten *shorten_new(struct purge *p, bool dry);
void shorten_free(struct shorten *s);
/* The lock is let go between slices: erasures and revokes need not wait for the whole walk.
 * SLUIS_ECLOSED: told to stop. */
int shorten_walk(struct shorten *s);
/* Under `lock`: everything there is word of, WORDS_MAX leaves in one change. */
int shorten_destroy(struct shorten *s);

/* apply.c: the row of what is under way */
extern const struct span shorten_state_key;
int shorten_state_seal(struct shorten *s); /* to s->sealed */

#endif

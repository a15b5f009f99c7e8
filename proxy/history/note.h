/* Rows of tags and notes. */
#ifndef SLUIS_HISTORY_NOTE_H
#define SLUIS_HISTORY_NOTE_H

#include "room.h"

#define KEY_BYTES (1 + 2 + 8 + 8 + 1 + 8)
#define PREFIX_BYTES (1 + 2 + 8 + 8)
#define INDEX_BYTES (NOTE_INDEX_PREFIX + 16)
#define PLACE_BYTES 6
#define LEAF_BYTES 8
#define TIDY_ROWS 512 /* looked at in one turn */

/* note_row.c */
void note_prefix(uint16_t channel, uint64_t subject, uint64_t serial, uint8_t out[KEY_BYTES]);
void note_tag_key(struct work *w, uint64_t subject, uint64_t serial, struct span tag,
                  uint8_t key[KEY_BYTES], uint8_t index[INDEX_BYTES]);
/* The keys it hangs under; how many bytes of the value say so. */
size_t note_record(struct span key, struct span value, struct record_id *out);
/* The opened row: time, author, packed unit. SLUIS_ECRYPTO: it is not the row of this key. */
int note_row_open(struct keyring_cache *keys, struct span key, struct span value,
                  struct buffer *plain);
int note_row_seal(struct keyring_cache *keys, const struct record_id *id, struct span plain,
                  struct buffer *out);

/* note_list.c: all of one message or conversation; the buffers are the caller's to free */
struct note_gather {
    struct work *w;
    uint8_t prefix[KEY_BYTES];
    struct buffer tags, notes;
    unsigned tag_count, note_count;
    int error;
};
int note_gather(struct work *w, struct store_read *read, uint64_t subject, uint64_t serial,
                struct note_gather *g);

#endif

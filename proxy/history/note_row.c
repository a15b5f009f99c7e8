/*
 * Tags and notes, sealed under the keys of the person they are about: on a message, under that
 * message's own, so that they end with it.
 *
 *   'N' | channel 2 | subject 8 | serial 8 (0: the conversation) | 't' or 'n' | number 8
 *       -> class 2 | bucket 4 | leaf 8 | sealed (what the key says, time, author, mask_pack's unit)
 *
 *   'T' | channel 2 | keyed hash of the tag 16 | subject 8 | serial 8
 *       -> 1; to find by tag
 *
 * The leaf is where the message is now: sealed anew (redacted, corrected, kept shorter), it has a
 * serial of its own, and history_keep takes what is said of it along. Rows without a leaf are of
 * before 2026-11-22, under the message's own serial: a sealed record begins with its version, a
 * leaf, which is less than 2^32, with 0.
 *
 * A tag's number is the first 8 bytes of its hash; a note's is the time in microseconds.
 */
#include "note.h"

#include "sluis/base/encode.h"

#include <sodium.h>

void note_prefix(uint16_t channel, uint64_t subject, uint64_t serial, uint8_t out[KEY_BYTES])
{
    out[0] = 'N';
    be16_put(out + 1, channel);
    be64_put(out + 3, subject);
    be64_put(out + 11, serial);
}

void note_tag_hash(struct history *h, struct span tag, uint8_t out[STORE_HASH_BYTES])
{
    crypto_generichash(out, STORE_HASH_BYTES, (const uint8_t *)tag.p, tag.n, h->tag_key,
                       sizeof(h->tag_key));
}

void note_index_prefix(struct work *w, struct span tag, uint8_t out[NOTE_INDEX_PREFIX])
{
    out[0] = 'T';
    be16_put(out + 1, w->channel->id);
    note_tag_hash(w->h, tag, out + 3);
}

bool note_index_read(struct span key, uint64_t *subject, uint64_t *serial)
{
    if (key.n != INDEX_BYTES || key.p[0] != 'T')
        return false;
    *subject = be64_get((const uint8_t *)key.p + NOTE_INDEX_PREFIX);
    *serial = be64_get((const uint8_t *)key.p + NOTE_INDEX_PREFIX + 8);
    return true;
}

void note_tag_key(struct work *w, uint64_t subject, uint64_t serial, struct span tag,
                  uint8_t key[KEY_BYTES], uint8_t index[INDEX_BYTES])
{
    note_index_prefix(w, tag, index);
    be64_put(index + NOTE_INDEX_PREFIX, subject);
    be64_put(index + NOTE_INDEX_PREFIX + 8, serial);
    note_prefix(w->channel->id, subject, serial, key);
    key[PREFIX_BYTES] = 't';
    memcpy(key + PREFIX_BYTES + 1, index + 3, 8);
}

size_t note_record(struct span key, struct span value, struct record_id *out)
{
    const uint8_t *k = (const uint8_t *)key.p, *v = (const uint8_t *)value.p;
    bool leaf = value.n >= PLACE_BYTES + LEAF_BYTES && v[PLACE_BYTES] == 0;
    *out = (struct record_id){be16_get(v), be32_get(v + 2), be64_get(k + 3),
                              be64_get(leaf ? v + PLACE_BYTES : k + 11), PART_NOTE};
    return leaf ? PLACE_BYTES + LEAF_BYTES : PLACE_BYTES;
}

int note_row_open(struct keyring_cache *keys, struct span key, struct span value,
                  struct buffer *plain)
{
    struct record_id id;
    if (key.n != KEY_BYTES || value.n < PLACE_BYTES)
        return SLUIS_EINVAL;
    size_t place = note_record(key, value, &id);
    int r = record_open(keys, STORE_TABLE_HISTORY, &id, span_from(value, place), plain);
    if (r == 0 && (plain->n < KEY_BYTES + 9 || memcmp(plain->p, key.p, KEY_BYTES) != 0))
        r = SLUIS_ECRYPTO;
    return r;
}

int note_row_seal(struct keyring_cache *keys, const struct record_id *id, struct span plain,
                  struct buffer *out)
{
    buffer_add_be16(out, id->cls);
    buffer_add_be32(out, id->bucket);
    buffer_add_be64(out, id->serial);
    return out->error ? out->error : record_seal(keys, STORE_TABLE_HISTORY, id, 0, plain, out);
}

/*
 * Rows of STORE_TABLE_MEDIA.
 *
 *   0      version (2)
 *   1      state
 *   2      ordinal
 *   3..10  when it was taken, ms (8)
 *   11..12 class, 13..16 bucket, 17..24 subject, 25..32 serial   (all 0 for MEDIA_SENT)
 *   33..48 file id
 *   49..   record_seal'ed facts under (class, bucket, subject, serial, part 'I'):
 *          reason, kind, covered (1 each), hidden (2; 0 though covered: all), classes (2), size
 * (8), sha256 (32), then mime type, name and id, each behind its length (1); then, of an item that
 * moved with its message (media_keep), the serial of the message (8)
 *
 * In the clear stand numbers, times and a random id only. Rows of 8 bytes are of version 1.
 */
#include "internal.h"

#include "sluis/retention.h"

#define ROW_VERSION 2
#define FACTS_FIXED (3 + 4 + 8 + 32)
_Static_assert(POLICY_PICTURES <= 16, "classes take two bytes of a row");
#define FACTS_MAX (FACTS_FIXED + 3 + MEDIA_TYPE_MAX + 16 + MEDIA_ID_MAX + 8)
_Static_assert(ROW_CLEAR + FACTS_MAX + KEYRING_RECORD_OVERHEAD <= MEDIA_ROW_MAX, "a row's value");
_Static_assert(MEDIA_ROW_MAX <= STORE_VALUE_MAX, "a row's value");

const char *media_reason_word(enum media_reason reason)
{
    static const char *const words[MEDIA_REASONS] = {
        [MEDIA_NO_REASON] = "none",
        [MEDIA_BY_POLICY] = "policy",
        [MEDIA_NO_INSPECTOR] = "no_inspector",
        [MEDIA_NOT_READABLE] = "not_readable",
        [MEDIA_TOO_LARGE] = "too_large",
        [MEDIA_GONE] = "gone",
        [MEDIA_WRONG_HASH] = "wrong_hash",
        [MEDIA_WRONG_KIND] = "wrong_kind",
        [MEDIA_TOO_MANY] = "too_many",
    };
    return (unsigned)reason < MEDIA_REASONS ? words[reason] : "none";
}

/* Its own key: look-up hashes of people are replaced every 30 days, and an id of Meta's names no
 * person. */
void media_key(struct keyring *keyring, uint16_t channel, struct span id,
               uint8_t out[MEDIA_KEY_BYTES])
{
    uint8_t key[KEYRING_KEY_BYTES];
    keyring_derive(keyring, "media-lookup", key);
    be16_put(out, channel);
    crypto_generichash(out + 2, STORE_HASH_BYTES, (const uint8_t *)id.p, id.n, key, sizeof(key));
    sodium_memzero(key, sizeof(key));
}

static struct record_id facts_id(const struct media_item *item)
{
    struct record_id id = item->keys;
    id.part = 'I';
    return id;
}

static void add_text(struct buffer *b, const char *text)
{
    size_t n = strlen(text);
    buffer_add_char(b, (char)n);
    buffer_add(b, span_of(text, n));
}

static int seal_facts(struct keyring_cache *cache, const struct media_item *item,
                      struct buffer *out)
{
    const struct record_id id = facts_id(item);
    struct buffer plain;
    buffer_init(&plain, FACTS_MAX);
    buffer_add_char(&plain, (char)item->reason);
    buffer_add_char(&plain, (char)item->kind);
    buffer_add_char(&plain, (char)item->covered);
    buffer_add_be16(&plain, item->hidden);
    buffer_add_be16(&plain, (uint16_t)item->classes);
    buffer_add_be64(&plain, item->size);
    buffer_add(&plain, span_of((const char *)item->sha256, sizeof(item->sha256)));
    add_text(&plain, item->mime_type);
    add_text(&plain, item->name);
    add_text(&plain, item->id);
    if (item->message && item->message != item->keys.serial)
        buffer_add_be64(&plain, item->message);
    int r = plain.error;
    if (r == 0)
        r = record_seal(cache, STORE_TABLE_MEDIA, &id, item->ordinal, buffer_span(&plain), out);
    buffer_free(&plain);
    return r;
}

void media_row_head(const struct media_item *item, struct buffer *out)
{
    buffer_add_char(out, ROW_VERSION);
    buffer_add_char(out, (char)item->state);
    buffer_add_char(out, (char)item->ordinal);
    buffer_add_be64(out, (uint64_t)item->since_ms);
    buffer_add_be16(out, item->keys.cls);
    buffer_add_be32(out, item->keys.bucket);
    buffer_add_be64(out, item->keys.subject);
    buffer_add_be64(out, item->keys.serial);
    buffer_add(out, span_of((const char *)item->file, sizeof(item->file)));
}

int media_row_write(struct keyring_cache *cache, const struct media_item *item, struct buffer *out)
{
    media_row_head(item, out);
    if (item->state != MEDIA_SENT) {
        int r = seal_facts(cache, item, out);
        if (r != 0)
            return r;
    }
    return out->error;
}

static bool take_text(struct span *rest, char *out, size_t size)
{
    size_t n = rest->n ? (unsigned char)rest->p[0] : 0;
    if (rest->n < n + 1 || n >= size)
        return false;
    memcpy(out, rest->p + 1, n);
    out[n] = '\0';
    *rest = span_from(*rest, n + 1);
    return true;
}

static int read_facts(struct span plain, struct media_item *out)
{
    const uint8_t *p = (const uint8_t *)plain.p;
    if (plain.n < FACTS_FIXED || p[0] >= MEDIA_REASONS)
        return SLUIS_EINVAL;
    out->reason = (enum media_reason)p[0];
    out->kind = (enum media_kind)p[1];
    out->covered = p[2] != 0;
    out->hidden = be16_get(p + 3);
    if (out->covered && !out->hidden)
        out->hidden = UINT16_MAX;
    out->classes = be16_get(p + 5);
    out->size = be64_get(p + 7);
    memcpy(out->sha256, p + 15, 32);
    struct span rest = span_from(plain, FACTS_FIXED);
    if (!take_text(&rest, out->mime_type, sizeof(out->mime_type)) ||
        !take_text(&rest, out->name, sizeof(out->name)) ||
        !take_text(&rest, out->id, sizeof(out->id)) || (rest.n != 0 && rest.n != 8))
        return SLUIS_EINVAL;
    if (rest.n)
        out->message = be64_get((const uint8_t *)rest.p);
    return 0;
}

int media_row_read(struct keyring_cache *cache, struct span value, struct media_item *out)
{
    const uint8_t *p = (const uint8_t *)value.p;
    memset(out, 0, sizeof(*out));
    if (value.n < ROW_CLEAR || p[0] != ROW_VERSION || p[1] < MEDIA_WAITING || p[1] > MEDIA_SENT)
        return SLUIS_EINVAL;
    out->state = (enum media_state)p[1];
    out->ordinal = p[2];
    out->since_ms = (int64_t)be64_get(p + 3);
    out->keys = (struct record_id){be16_get(p + 11), be32_get(p + 13), be64_get(p + 17),
                                   be64_get(p + 25), 'F'};
    out->message = out->keys.serial;
    memcpy(out->file, p + 33, MEDIA_FILE_ID);
    if (out->state == MEDIA_SENT)
        return value.n == ROW_CLEAR ? 0 : SLUIS_EINVAL;
    const struct record_id id = facts_id(out);
    struct buffer plain;
    buffer_init(&plain, FACTS_MAX);
    int r = record_open(cache, STORE_TABLE_MEDIA, &id, span_from(value, ROW_CLEAR), &plain);
    if (r == 0)
        r = read_facts(buffer_span(&plain), out);
    buffer_free(&plain);
    return r;
}

bool media_row_waits(struct span value)
{
    return value.n >= ROW_CLEAR && value.p[0] == ROW_VERSION && value.p[1] == MEDIA_WAITING;
}

uint64_t media_row_subject(struct span value)
{
    return value.n >= ROW_CLEAR && value.p[0] == ROW_VERSION
               ? be64_get((const uint8_t *)value.p + 17)
               : 0;
}

uint64_t media_row_serial(struct span value)
{
    return value.n >= ROW_CLEAR && value.p[0] == ROW_VERSION
               ? be64_get((const uint8_t *)value.p + 25)
               : 0;
}

int media_row_get(struct store_read *read, struct keyring_cache *cache,
                  const uint8_t key[MEDIA_KEY_BYTES], bool held, struct arena *arena,
                  struct media_item *out)
{
    uint8_t copy[MEDIA_KEY_BYTES];
    struct span value;
    memset(out, 0, sizeof(*out));
    int r = store_get_row(read, STORE_TABLE_MEDIA, span_of((const char *)key, MEDIA_KEY_BYTES),
                          arena, &value);
    if (r == 0)
        r = media_row_read(cache, value, out);
    if (!held || (r != SLUIS_ENOENT && r != SLUIS_EEXPIRED))
        return r;
    memcpy(copy, key, sizeof(copy));
    copy[0] |= MEDIA_HELD_BIT;
    if (store_get_row(read, STORE_TABLE_MEDIA, span_of((const char *)copy, sizeof(copy)), arena,
                      &value) != 0)
        return r;
    return media_row_read(cache, value, out);
}

/* What the sender took back is served to nobody, though a hold keeps it. */
int media_row_shown(struct store_read *read, const struct media_item *item)
{
    bool withdrawn = false;
    int r = item->state == MEDIA_SENT ? 0 : retention_withdrawn(read, item->message, &withdrawn);
    return r == 0 && withdrawn ? SLUIS_EEXPIRED : r;
}

int media_find(struct store_read *read, struct keyring *keyring, struct keyring_cache *cache,
               uint16_t channel, struct span id, struct arena *arena, struct media_item *out)
{
    uint8_t key[MEDIA_KEY_BYTES];
    media_key(keyring, channel, id, key);
    int r = media_row_get(read, cache, key, false, arena, out);
    return r ? r : media_row_shown(read, out);
}

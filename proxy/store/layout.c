#include "layout.h"

#include <stdio.h>

#include "sluis/base/encode.h"

static const char *const db_names[DB_COUNT] = {
    [DB_META] = "meta",
    [DB_NAMES] = "names",
    [DB_DEDUPE] = "dedupe",
    [DB_IDENTIFIER] = "identifier",
    [DB_JOURNAL] = "journal",
    [DB_JOURNAL_INDEX] = "jindex",
    [DB_HEAD] = "head",
    [DB_RECENT] = "recent",
    [DB_LEAF] = "leaf",
    [DB_LEAF_HASH] = "leafhash",
    [DB_CURSOR] = "cursor",
    [DB_PENDING] = "pending",
    [DB_ROWS + STORE_TABLE_PRINCIPAL - 1] = "row-principal",
    [DB_ROWS + STORE_TABLE_MEDIA - 1] = "row-media",
    [DB_ROWS + STORE_TABLE_SETTING - 1] = "row-setting",
    [DB_ROWS + STORE_TABLE_QUARANTINE - 1] = "row-quarantine",
    [DB_ROWS + STORE_TABLE_SUBJECT - 1] = "row-subject",
    [DB_ROWS + STORE_TABLE_HISTORY - 1] = "row-history",
    [DB_ROWS + STORE_TABLE_STATS - 1] = "row-stats",
};

const char *layout_db_name(unsigned db)
{
    return db_names[db];
}

void layout_class_name(uint16_t cls, char out[LAYOUT_CLASS_NAME_SIZE])
{
    (void)snprintf(out, LAYOUT_CLASS_NAME_SIZE, "class-%02u", (unsigned)cls);
}

void layout_record_key(const struct record_id *id, unsigned row, uint8_t out[RECORD_KEY_BYTES])
{
    be32_put(out, id->bucket);
    be64_put(out + 4, id->serial);
    out[12] = id->part;
    out[13] = (uint8_t)row;
}

_Static_assert(RECORD_ROWS_MAX <= 256, "the row number has one byte");

void layout_dedupe_key(uint32_t day, const uint8_t hash[STORE_HASH_BYTES],
                       uint8_t out[DEDUPE_KEY_BYTES])
{
    be32_put(out, day);
    memcpy(out + 4, hash, STORE_HASH_BYTES);
}

void layout_dedupe_value(const struct record_id *id, uint8_t out[DEDUPE_VALUE_BYTES])
{
    be16_put(out, id->cls);
    be32_put(out + 2, id->bucket);
    be64_put(out + 6, id->subject);
    be64_put(out + 14, id->serial);
    out[22] = id->part;
}

int layout_dedupe_parse(struct span value, struct record_id *out)
{
    const uint8_t *p = (const uint8_t *)value.p;

    if (value.n != DEDUPE_VALUE_BYTES)
        return SLUIS_EINVAL;
    *out = (struct record_id){
        .cls = be16_get(p),
        .bucket = be32_get(p + 2),
        .subject = be64_get(p + 6),
        .serial = be64_get(p + 14),
        .part = p[22],
    };
    return 0;
}

size_t layout_identifier_value(const struct store_identifier *row, uint8_t out[IDENTIFIER_LONG])
{
    static const uint8_t none[STORE_TAG_BYTES];

    be64_put(out, (uint64_t)row->key << IDENTIFIER_KEY_SHIFT | row->subject);
    be16_put(out + IDENTIFIER_SHORT, row->heard);
    memcpy(out + IDENTIFIER_SHORT + 2, row->tag, STORE_TAG_BYTES);
    return row->heard || memcmp(row->tag, none, sizeof(none)) != 0 ? IDENTIFIER_LONG
                                                                   : IDENTIFIER_SHORT;
}

int layout_identifier_parse(struct span value, struct store_identifier *out)
{
    const uint8_t *p = (const uint8_t *)value.p;

    if (value.n != IDENTIFIER_SHORT && value.n != IDENTIFIER_LONG)
        return SLUIS_EIO;
    *out = (struct store_identifier){.subject = be64_get(p) & IDENTIFIER_SUBJECT, .key = p[0]};
    if (value.n == IDENTIFIER_LONG) {
        out->heard = be16_get(p + IDENTIFIER_SHORT);
        memcpy(out->tag, p + IDENTIFIER_SHORT + 2, STORE_TAG_BYTES);
    }
    return 0;
}

void layout_name_key(unsigned kind, uint16_t id, uint8_t out[NAME_KEY_BYTES])
{
    out[0] = (uint8_t)kind;
    be16_put(out + 1, id);
}

void layout_head_key(uint16_t channel, uint64_t subject, uint8_t out[HEAD_KEY_BYTES])
{
    be16_put(out, channel);
    be64_put(out + 2, subject);
}

void layout_pending_key(uint16_t route, uint64_t serial, uint8_t out[PENDING_KEY_BYTES])
{
    be16_put(out, route);
    be64_put(out + 2, serial);
}

void layout_pending_value(const struct store_pending *pending, uint8_t out[PENDING_VALUE_BYTES])
{
    out[0] = pending->state;
    out[1] = pending->after_gap;
    be16_put(out + 2, pending->attempts);
    be16_put(out + 4, pending->last_status);
    be64_put(out + 6, (uint64_t)pending->next_ms);
}

int layout_pending_parse(struct span key, struct span value, struct store_pending *out)
{
    const uint8_t *k = (const uint8_t *)key.p;
    const uint8_t *v = (const uint8_t *)value.p;

    if (key.n != PENDING_KEY_BYTES || value.n != PENDING_VALUE_BYTES)
        return SLUIS_EINVAL;
    *out = (struct store_pending){
        .route = be16_get(k),
        .serial = be64_get(k + 2),
        .state = v[0],
        .after_gap = v[1],
        .attempts = be16_get(v + 2),
        .last_status = be16_get(v + 4),
        .next_ms = (int64_t)be64_get(v + 6),
    };
    return 0;
}

/* ---- journal items: LEB128 numbers, differences zigzagged ---- */

#define BLOCK_VERSION 1

static uint8_t *number_put(uint8_t *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

static uint8_t *difference_put(uint8_t *p, uint64_t v, uint64_t base)
{
    uint64_t d = v - base; /* wraps on purpose: any pair of 64-bit numbers has a difference */
    return number_put(p, d << 1 ^ (d >> 63 ? UINT64_MAX : 0));
}

/* Takes a number from the front of `rest`; sets *bad when it does not end or overflows. */
static uint64_t number_get(struct span *rest, bool *bad)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64 && rest->n > 0; shift += 7) {
        uint8_t byte = (uint8_t)*rest->p;
        *rest = (struct span){rest->p + 1, rest->n - 1};
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
    *bad = true;
    return 0;
}

static uint64_t difference_get(struct span *rest, uint64_t base, bool *bad)
{
    uint64_t z = number_get(rest, bad);
    return base + (z >> 1 ^ (z & 1 ? UINT64_MAX : 0));
}

static uint64_t number_get_max(struct span *rest, uint64_t max, bool *bad)
{
    uint64_t v = number_get(rest, bad);
    if (v > max)
        *bad = true;
    return v;
}

void layout_block_begin(struct buffer *out, const struct store_item *first)
{
    buffer_add_char(out, BLOCK_VERSION);
    buffer_add_be64(out, first->serial);
    buffer_add_be64(out, (uint64_t)first->taken_ms);
}

void layout_item_add(struct buffer *out, const struct store_item *first,
                     const struct store_item *item)
{
    uint8_t bytes[ITEM_BYTES_MAX];
    uint8_t *p = bytes;

    p = difference_put(p, item->serial, first->serial);
    p = difference_put(p, (uint64_t)item->taken_ms, (uint64_t)first->taken_ms);
    p = difference_put(p, (uint64_t)item->at_ms, (uint64_t)item->taken_ms);
    p = difference_put(p, item->batch, item->serial);
    p = number_put(p, item->previous ? item->serial - item->previous : 0);
    p = number_put(p, item->subject);
    p = number_put(p, item->channel);
    *p++ = item->kind;
    *p++ = item->flags;
    p = number_put(p, item->cls_o);
    p = number_put(p, item->bucket_o);
    p = number_put(p, item->cls_m);
    p = number_put(p, item->bucket_m);
    p = number_put(p, item->route_count);
    for (unsigned i = 0; i < item->route_count && i < STORE_ROUTES_MAX; i++)
        p = number_put(p, item->routes[i]);
    buffer_add(out, span_of(bytes, (size_t)(p - bytes)));
}

int layout_block_open(struct span plain, uint64_t order, struct layout_block *out)
{
    if (plain.n < BLOCK_HEADER_BYTES || plain.p[0] != BLOCK_VERSION)
        return SLUIS_EINVAL;
    out->order = order;
    out->serial = be64_get((const uint8_t *)plain.p + 1);
    out->taken_ms = (int64_t)be64_get((const uint8_t *)plain.p + 9);
    out->rest = span_from(plain, BLOCK_HEADER_BYTES);
    return 0;
}

static uint8_t byte_get(struct span *rest, bool *bad)
{
    if (rest->n == 0) {
        *bad = true;
        return 0;
    }
    uint8_t byte = (uint8_t)*rest->p;
    *rest = (struct span){rest->p + 1, rest->n - 1};
    return byte;
}

int layout_block_next(struct layout_block *block, struct store_item *out)
{
    struct span *rest = &block->rest;
    bool bad = false;

    if (rest->n == 0)
        return 0;
    memset(out, 0, sizeof(*out));
    out->order = block->order++;
    out->serial = difference_get(rest, block->serial, &bad);
    out->taken_ms = (int64_t)difference_get(rest, (uint64_t)block->taken_ms, &bad);
    out->at_ms = (int64_t)difference_get(rest, (uint64_t)out->taken_ms, &bad);
    out->batch = difference_get(rest, out->serial, &bad);
    uint64_t back = number_get(rest, &bad); /* never 0 for a previous item: serials are unique */
    out->previous = back ? out->serial - back : 0;
    out->subject = number_get(rest, &bad);
    out->channel = (uint16_t)number_get_max(rest, UINT16_MAX, &bad);
    out->kind = byte_get(rest, &bad);
    out->flags = byte_get(rest, &bad);
    out->cls_o = (uint16_t)number_get_max(rest, UINT16_MAX, &bad);
    out->bucket_o = (uint32_t)number_get_max(rest, UINT32_MAX, &bad);
    out->cls_m = (uint16_t)number_get_max(rest, UINT16_MAX, &bad);
    out->bucket_m = (uint32_t)number_get_max(rest, UINT32_MAX, &bad);
    out->route_count = (uint16_t)number_get_max(rest, STORE_ROUTES_MAX, &bad);
    for (unsigned i = 0; !bad && i < out->route_count; i++)
        out->routes[i] = (uint16_t)number_get_max(rest, UINT16_MAX, &bad);
    return bad ? SLUIS_EINVAL : 1;
}

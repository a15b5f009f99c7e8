/*
 * Every key and value layout of the database. No other file of this room knows one.
 *
 * All integers are big-endian, so that LMDB's byte order is the order we mean. No value is longer
 * than STORE_VALUE_MAX, which keeps LMDB free of overflow pages (a node of key and value must stay
 * below 2,038 bytes on 4 KiB pages).
 *
 *   database    key                                    value
 *   meta        word                                   be32 or be64 (format, reserved serials)
 *   names       kind u8, id be16                       name, as configured by the operator
 *   class-NN    bucket be32, serial be64, part, row    part of a sealed record
 *   dedupe      day be32, hash 16                      struct record_id
 *   identifier  hash 16                                subject be64, its first byte: index key
 *   journal     order be64 of the first item         sealed block of items
 *   jindex      serial / 64 be64                       (block be64, bits be64) ..., in commit order
 *   head        channel be16, subject be64             serial be64
 *   recent      row be64                               table u8, entries of dedupe or head
 *   leaf        index of its first leaf be64           sealed block of leaves
 *   leafhash    index / 60 be64                        up to 60 hashes of 32 bytes
 *   cursor      route be16                             serial be64
 *   pending     route be16, serial be64                state of one delivery
 *   row-N       the caller's key                       the caller's value
 *
 * What stands in the clear here: serials, buckets, numbers of classes, channels and routes, times
 * of next attempts, HTTP statuses and keyed hashes. Nothing else may be added without a seal.
 */
#ifndef SLUIS_STORE_LAYOUT_H
#define SLUIS_STORE_LAYOUT_H

#include "sluis/store.h"

#define LAYOUT_FORMAT 1 /* of the whole database; a store of another format is refused */

enum db {
    DB_META,
    DB_NAMES,
    DB_DEDUPE,
    DB_IDENTIFIER,
    DB_JOURNAL,
    DB_JOURNAL_INDEX,
    DB_HEAD,
    DB_RECENT,
    DB_LEAF,
    DB_LEAF_HASH,
    DB_CURSOR,
    DB_PENDING,
    DB_ROWS, /* the first of the small tables; see db_of_table */
    DB_COUNT = DB_ROWS + STORE_TABLE_COUNT - 1
};
const char *layout_db_name(unsigned db);
static inline unsigned layout_db_of_table(unsigned table) /* enum store_table */
{
    return DB_ROWS + table - 1;
}
#define LAYOUT_CLASS_NAME_SIZE 12
void layout_class_name(uint16_t cls, char out[LAYOUT_CLASS_NAME_SIZE]);

/* Tables as the seal callback sees them (store.h): must never change. */
enum { LAYOUT_SEAL_JOURNAL = STORE_SEAL_JOURNAL, LAYOUT_SEAL_LEAF = STORE_SEAL_LEAF };

/* meta */
#define META_FORMAT "format"
#define META_SERIAL "serial"   /* no message serial at or above this was given out */
#define META_SUBJECT "subject" /* the same for subject serials */

/* in the table of settings, our only row there: serials passed over after a restore, from (in the
 * key) to before (the value) */
#define SKIPPED_PREFIX "store.skipped"
#define SKIPPED_PREFIX_BYTES (sizeof(SKIPPED_PREFIX) - 1)
#define SKIPPED_KEY_BYTES (SKIPPED_PREFIX_BYTES + 8)

/* class-NN */
#define RECORD_KEY_BYTES 14
#define RECORD_PREFIX_BYTES 13 /* without the row */
#define RECORD_ROWS_MAX ((STORE_RECORD_MAX + STORE_VALUE_MAX - 1) / STORE_VALUE_MAX)
void layout_record_key(const struct record_id *id, unsigned row, uint8_t out[RECORD_KEY_BYTES]);

/* dedupe */
#define DEDUPE_KEY_BYTES (4 + STORE_HASH_BYTES)
#define DEDUPE_VALUE_BYTES 23
void layout_dedupe_key(uint32_t day, const uint8_t hash[STORE_HASH_BYTES],
                       uint8_t out[DEDUPE_KEY_BYTES]);
void layout_dedupe_value(const struct record_id *id, uint8_t out[DEDUPE_VALUE_BYTES]);
SLUIS_MUST_CHECK int layout_dedupe_parse(struct span value, struct record_id *out);

/* identifier: the first byte of the value says which index key made the hash; the long form has the
 * day it was last heard of (be16) and a tag behind it */
#define IDENTIFIER_SHORT 8
#define IDENTIFIER_LONG (IDENTIFIER_SHORT + 2 + STORE_TAG_BYTES)
#define IDENTIFIER_KEY_SHIFT 56
#define IDENTIFIER_SUBJECT (((uint64_t)1 << IDENTIFIER_KEY_SHIFT) - 1)
/* The bytes written. */
size_t layout_identifier_value(const struct store_identifier *row, uint8_t out[IDENTIFIER_LONG]);
SLUIS_MUST_CHECK int layout_identifier_parse(struct span value, struct store_identifier *out);

/* names, head, cursor, pending */
#define NAME_KEY_BYTES 3
void layout_name_key(unsigned kind, uint16_t id, uint8_t out[NAME_KEY_BYTES]);
#define HEAD_KEY_BYTES 10
void layout_head_key(uint16_t channel, uint64_t subject, uint8_t out[HEAD_KEY_BYTES]);
#define CURSOR_KEY_BYTES 2
#define PENDING_KEY_BYTES 10
#define PENDING_VALUE_BYTES 14
void layout_pending_key(uint16_t route, uint64_t serial, uint8_t out[PENDING_KEY_BYTES]);
void layout_pending_value(const struct store_pending *pending, uint8_t out[PENDING_VALUE_BYTES]);
SLUIS_MUST_CHECK int layout_pending_parse(struct span key, struct span value,
                                          struct store_pending *out);

/* journal: a block is a version byte, the first item's serial (be64) and taken_ms (be64), then
 * items as variable-length numbers relative to these. */
#define ITEM_BYTES_MAX                                                                             \
    200 /* encoded, worst case: 8 numbers of 10 bytes, 2 of 5, 19 of 3, 3 bytes */
#define BLOCK_HEADER_BYTES 17
struct layout_block { /* walks the items of an opened block */
    struct span rest;
    uint64_t serial;
    uint64_t order; /* of the next item */
    int64_t taken_ms;
};
void layout_block_begin(struct buffer *out, const struct store_item *first);
void layout_item_add(struct buffer *out, const struct store_item *first,
                     const struct store_item *item);
SLUIS_MUST_CHECK int layout_block_open(struct span plain, uint64_t order, struct layout_block *out);
/* 1 and the next item, 0 at the end, SLUIS_EINVAL. */
SLUIS_MUST_CHECK int layout_block_next(struct layout_block *block, struct store_item *out);

/* journal index: 64 serials a row; at most 64 pairs, since each pair has a bit of its own */
#define INDEX_SPAN 64
#define INDEX_PAIR_BYTES 16
#define INDEX_VALUE_MAX (INDEX_SPAN * INDEX_PAIR_BYTES)

/* log: a block of leaves is be16 length and bytes, repeated */
#define LEAF_HASH_BYTES 32
#define LEAF_HASHES_PER_ROW 60

#endif

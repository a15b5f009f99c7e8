/* Under which keys a row of the small tables is sealed: by its table and its key, as the room that
 * writes it does. */
#include "room.h"

#include <string.h>

#include "sluis/base/encode.h"
#include "sluis/retention.h"

/* Rows of the small tables that are sealed, by table and the beginning of their key: the number at
 * its end is the serial they were sealed under. */
static const struct sealed_row {
    enum store_table table;
    const char *prefix;
    unsigned number_bytes;
    uint8_t part;
    const char *name;
    bool person;         /* under the keys of the subject that the number names */
    unsigned more_bytes; /* of the key, behind the number */
} sealed_rows[] = {
    {STORE_TABLE_PRINCIPAL, "t", 8, 'P', "token", false, 0},
    {STORE_TABLE_SETTING, "backup/", 4, 'B', "register of keyring backups", false, 0},
    {STORE_TABLE_SETTING, "purge.clock", 0, 'C', "last minute", false, 0},
    {STORE_TABLE_SETTING, "purge.c", 2, 'Z', "state of a class", false, 0},
    {STORE_TABLE_SETTING, "purge.d", 16, 'D', "destruction record", false, 0},
    {STORE_TABLE_SETTING, "purge.e", 8, 'Y', "certificate of erasure", false, 0},
    {STORE_TABLE_SETTING, "purge.a", 0, 'A', "a policy being applied", false, 0},
    {STORE_TABLE_SETTING, "audit.key", 4, 'K', "key of the access log", false, 0},
    {STORE_TABLE_SETTING, "audit.owed", 8, 'W', "leaf that the log is owed", false, 0},
    {STORE_TABLE_PRINCIPAL, "p", 8, 'p', "person", false, 0},
    {STORE_TABLE_PRINCIPAL, "g", 8, 'g', "grant", false, 0},
    {STORE_TABLE_SUBJECT, "P", 8, 'P', "mark of a person", true, 0},
    {STORE_TABLE_SUBJECT, "I", 8, 'I', "identifier of a person", true, STORE_HASH_BYTES},
};

/* The serial that such a row was sealed under, by the length of the number in its key. */
static uint64_t row_serial(const uint8_t *at, unsigned bytes)
{
    switch (bytes) {
    case 0:
        return 1; /* there is one */
    case 2:
        return be16_get(at);
    case 4:
        return be32_get(at);
    case 8:
        return be64_get(at);
    default: /* a time and a number: proxy/purge/record.c */
        return be64_get(at) << 16 | (be64_get(at + 8) & 0xffff);
    }
}

static bool table_place(const struct store_value *v, struct sealed_place *out)
{
    for (size_t i = 0; i < sizeof(sealed_rows) / sizeof(sealed_rows[0]); i++) {
        const struct sealed_row *row = &sealed_rows[i];
        struct span prefix = span_str(row->prefix);
        if (row->table != v->table || !span_starts(v->key, prefix) ||
            v->key.n != prefix.n + row->number_bytes + row->more_bytes)
            continue;
        const uint64_t serial = row_serial((const uint8_t *)v->key.p + prefix.n, row->number_bytes);
        *out = (struct sealed_place){
            .id = {.subject = row->person ? serial : 0, .serial = serial, .part = row->part},
            .sealed = v->bytes,
            .name = row->name,
            .mortal = row->person};
        return true;
    }
    return false;
}

/* proxy/media/row.c: what a row says in the clear, then facts under the message's keys. */
#define MEDIA_ROW_VERSION 2
#define MEDIA_ROW_CLEAR 49
static bool media_place(const struct store_value *v, struct sealed_place *out)
{
    const uint8_t *at = (const uint8_t *)v->bytes.p;
    if (v->bytes.n <= MEDIA_ROW_CLEAR || at[0] != MEDIA_ROW_VERSION)
        return false; /* an upload of a tool's, or of an older version */
    *out = (struct sealed_place){
        .id = {be16_get(at + 11), be32_get(at + 13), be64_get(at + 17), be64_get(at + 25), 'I'},
        .sealed = span_from(v->bytes, MEDIA_ROW_CLEAR),
        .name = "facts of media",
        .mortal = true};
    return true;
}

/* proxy/contact/room.h: 'K', subject, channel, kind, hash; references begin with a hash. */
#define CONTACT_KEY 17
static bool contact_place(const struct store_value *v, struct sealed_place *out)
{
    const uint8_t *key = (const uint8_t *)v->key.p;
    if (v->key.n != CONTACT_KEY || key[0] != 'K')
        return false;
    size_t from = key[11] == 'r' ? STORE_HASH_BYTES : 0;
    if (v->bytes.n < from)
        return false;
    *out = (struct sealed_place){
        .id = {.subject = be64_get(key + 1), .serial = be64_get(key + 9), .part = 'K'},
        .sealed = span_from(v->bytes, from),
        .name = "what is kept of a contact",
        .mortal = true};
    return true;
}

/* proxy/history/note.c: 'N', channel, subject, serial, kind, number -> class, bucket, leaf, sealed;
 * rows without a leaf, of before, go on with the record's version, which is not 0. */
#define NOTE_KEY 28
#define NOTE_CLEAR 6
#define NOTE_LEAF 8
static bool note_place(struct store_read *read, const struct store_value *v,
                       struct sealed_place *out)
{
    const uint8_t *key = (const uint8_t *)v->key.p, *at = (const uint8_t *)v->bytes.p;
    struct retention_moved moved;
    if (v->key.n != NOTE_KEY || key[0] != 'N' || v->bytes.n <= NOTE_CLEAR)
        return false;
    *out = (struct sealed_place){
        .id = {be16_get(at), be32_get(at + 2), be64_get(key + 3), be64_get(key + 11), 'N'},
        .sealed = span_from(v->bytes, NOTE_CLEAR),
        .name = "tag or note",
        .mortal = true};
    if (v->bytes.n > NOTE_CLEAR + NOTE_LEAF && at[NOTE_CLEAR] == 0) {
        out->id.serial = be64_get(at + NOTE_CLEAR);
        out->sealed = span_from(v->bytes, NOTE_CLEAR + NOTE_LEAF);
        return true;
    }
    /* made after its message was sealed anew: in a class that the message has only there */
    if (out->id.serial && retention_moved(read, out->id.serial, &moved) == 0 &&
        moved.cls_m == out->id.cls && moved.bucket_m == out->id.bucket)
        out->id.serial = moved.serial;
    return true;
}

/* proxy/stats/cell.c */
#define STATS_KEY 17
static bool stats_place(const struct store_value *v, struct sealed_place *out)
{
    const uint8_t *key = (const uint8_t *)v->key.p;
    uint64_t serial = 1;
    if (v->key.n == STATS_KEY)
        serial = (uint64_t)be32_get(key + 1) << 32 | (uint64_t)be16_get(key + 5) << 16 |
                 be16_get(key + 7);
    *out = (struct sealed_place){
        .id = {.serial = serial, .part = 'S'}, .sealed = v->bytes, .name = "counters"};
    return true;
}

bool row_place(struct store_read *read, const struct store_value *v, struct sealed_place *out)
{
    if (table_place(v, out))
        return true;
    switch (v->table) {
    case STORE_TABLE_MEDIA:
        return media_place(v, out);
    case STORE_TABLE_SUBJECT:
        return contact_place(v, out);
    case STORE_TABLE_HISTORY:
        return note_place(read, v, out);
    case STORE_TABLE_STATS:
        return stats_place(v, out);
    default:
        return false;
    }
}

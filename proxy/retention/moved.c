/* Where what was sealed anew is: rows of the table of subjects, 'm' and the message's serial. */
#include "sluis/retention.h"

#include <string.h>

#include "sluis/base/encode.h"

/* Serial (8), class and bucket of part M (2, 4); then, in rows since 2026-11-22, of part O. */
#define MOVED_M_BYTES 14
#define MOVED_BYTES 20
#define MOVED_ARENA 4096

void retention_moved_key(uint64_t serial, uint8_t out[RETENTION_MOVED_KEY])
{
    out[0] = RETENTION_MOVED_PREFIX;
    be64_put(out + 1, serial);
}

int retention_moved_read(struct span value, struct retention_moved *out)
{
    const uint8_t *v = (const uint8_t *)value.p;
    memset(out, 0, sizeof(*out));
    if (value.n != MOVED_M_BYTES && value.n != MOVED_BYTES)
        return SLUIS_EIO;
    out->serial = be64_get(v);
    out->cls_m = be16_get(v + 8);
    out->bucket_m = be32_get(v + 10);
    if (value.n == MOVED_BYTES) {
        out->cls_o = be16_get(v + 14);
        out->bucket_o = be32_get(v + 16);
    }
    return 0;
}

void retention_moved_put(struct store_txn *txn, uint64_t serial,
                         const struct retention_moved *moved)
{
    uint8_t key[RETENTION_MOVED_KEY], value[MOVED_BYTES];
    retention_moved_key(serial, key);
    be64_put(value, moved->serial);
    be16_put(value + 8, moved->cls_m);
    be32_put(value + 10, moved->bucket_m);
    be16_put(value + 14, moved->cls_o);
    be32_put(value + 16, moved->bucket_o);
    store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)),
                  span_of(value, sizeof(value)));
}

int retention_moved(struct store_read *read, uint64_t serial, struct retention_moved *out)
{
    uint8_t key[RETENTION_MOVED_KEY];
    struct arena arena;
    struct span value;
    retention_moved_key(serial, key);
    arena_init(&arena, MOVED_ARENA);
    int r = store_get_row(read, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), &arena, &value);
    if (r == 0)
        r = retention_moved_read(value, out);
    arena_free(&arena);
    return r;
}

int retention_part(struct store_read *read, const struct store_item *item, uint8_t part,
                   struct record_id *out)
{
    struct retention_moved moved = {.serial = item->serial,
                                    .cls_o = item->cls_o,
                                    .cls_m = item->cls_m,
                                    .bucket_o = item->bucket_o,
                                    .bucket_m = item->bucket_m};
    int r = retention_moved(read, item->serial, &moved);
    bool o = part == 'O';
    *out = (struct record_id){.cls = o ? moved.cls_o : moved.cls_m,
                              .bucket = o ? moved.bucket_o : moved.bucket_m,
                              .subject = item->subject,
                              .serial = moved.serial,
                              .part = part};
    if (r != 0 && r != SLUIS_ENOENT)
        return r;
    return out->cls ? 0 : SLUIS_ENOENT;
}

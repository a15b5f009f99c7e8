/* Blocks of journal and log. One of the log that has a term: 0xC1, class (2), bucket (4), then the
 * record, which begins with its version and so never with 0xC1. */
#include "sluis/keyring.h"

#include "sluis/base/encode.h"

#define PLACED 0xC1
#define PLACED_BYTES (KEYRING_BLOCK_OVERHEAD - KEYRING_RECORD_OVERHEAD)

_Static_assert(KEYRING_BLOCK_OVERHEAD <= STORE_SEAL_OVERHEAD, "the store leaves room for it");

static struct record_id block_id(uint64_t row, struct block_place place)
{
    return (struct record_id){
        .cls = place.cls, .bucket = place.bucket, .subject = 0, .serial = row, .part = 'L'};
}

int block_seal(struct keyring_cache *cache, uint8_t table, uint64_t row, struct block_place place,
               struct span plain, struct buffer *out)
{
    const struct record_id id = block_id(row, place);
    struct buffer record;
    if (!place.cls)
        return record_seal(cache, table, &id, 0, plain, out);
    buffer_init(&record, STORE_VALUE_MAX);
    int r = record_seal(cache, table, &id, 0, plain, &record);
    if (r == 0) {
        buffer_add_char(out, (char)PLACED);
        buffer_add_be16(out, id.cls);
        buffer_add_be32(out, id.bucket);
        buffer_add(out, buffer_span(&record));
        r = out->error;
    }
    buffer_free(&record);
    return r;
}

int block_open(struct keyring_cache *cache, uint8_t table, uint64_t row, struct span sealed,
               struct buffer *out)
{
    const uint8_t *p = (const uint8_t *)sealed.p;
    struct block_place place = {.cls = 0};
    if (sealed.n > PLACED_BYTES && p[0] == PLACED) {
        place = (struct block_place){.cls = be16_get(p + 1), .bucket = be32_get(p + 3)};
        sealed = span_from(sealed, PLACED_BYTES);
    }
    const struct record_id id = block_id(row, place);
    return record_open(cache, table, &id, sealed, out);
}

/* Binds the keyring to the store's blocks: subject nobody, class 0 ("for as long as the store"). */
#include "internal.h"

#include "sluis/base/encode.h"

int block_seal_open(struct block_seal *seal, struct keyring *keyring)
{
    int r = keyring_cache_new(keyring, &seal->writer);
    if (r == 0)
        r = keyring_cache_new(keyring, &seal->readers);
    if (r == 0)
        r = pthread_mutex_init(&seal->lock, NULL) == 0 ? 0 : SLUIS_ESYS;
    return r;
}

void block_seal_close(struct block_seal *seal)
{
    if (seal->writer)
        keyring_cache_free(seal->writer);
    if (seal->readers) {
        keyring_cache_free(seal->readers);
        pthread_mutex_destroy(&seal->lock);
    }
}

/*
 * The serial is part of the associated data, so that blocks cannot be exchanged; the message leaf
 * is that of serial 0, since blocks are not punctured one by one. Blocks of the access log hang
 * under a bucket of the log's own class, when it has a term: 0xC1, class (2), bucket (4), then the
 * record. A record begins with its version, which is never 0xC1.
 */
#define PLACED 0xC1
#define PLACED_BYTES 7

_Static_assert(PLACED_BYTES + KEYRING_RECORD_OVERHEAD <= STORE_SEAL_OVERHEAD,
               "the store leaves room for it");

static struct record_id block_id(uint64_t row, uint64_t place)
{
    return (struct record_id){.cls = (uint16_t)(place >> 32),
                              .bucket = (uint32_t)place,
                              .subject = 0,
                              .serial = row,
                              .part = 'L'};
}

static int seal_placed(struct block_seal *seal, uint8_t table, uint64_t row, uint64_t place,
                       struct span plain, struct buffer *out)
{
    const struct record_id id = block_id(row, place);
    struct buffer record;
    buffer_init(&record, STORE_VALUE_MAX);
    int r = record_seal(seal->writer, table, &id, 0, plain, &record);
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

int block_seal_put(void *ctx, uint8_t table, uint64_t row, struct span plain, struct buffer *out)
{
    struct block_seal *seal = ctx;
    uint64_t place = table == STORE_SEAL_LEAF ? atomic_load(&seal->log_place) : 0;
    int r = place ? seal_placed(seal, table, row, place, plain, out) : SLUIS_EEXPIRED;
    if (r != SLUIS_EEXPIRED)
        return r;
    if (place) /* a bucket that lies ahead and has no key: a clock that ran ahead was believed */
        LOG(LOG_ALARM, "audit", "no_key_for_living_bucket", log_u64("bucket", (uint32_t)place));
    const struct record_id id = block_id(row, 0);
    return record_seal(seal->writer, table, &id, 0, plain, out);
}

int block_seal_get(void *ctx, uint8_t table, uint64_t row, struct span sealed, struct buffer *out)
{
    struct block_seal *seal = ctx;
    const uint8_t *p = (const uint8_t *)sealed.p;
    uint64_t place = 0;
    if (sealed.n > PLACED_BYTES && p[0] == PLACED) {
        place = (uint64_t)be16_get(p + 1) << 32 | be32_get(p + 3);
        sealed = span_from(sealed, PLACED_BYTES);
    }
    const struct record_id id = block_id(row, place);
    pthread_mutex_lock(&seal->lock);
    int r = record_open(seal->readers, table, &id, sealed, out);
    pthread_mutex_unlock(&seal->lock);
    return r;
}

/* Binds the keyring to the store's blocks: which keys, under which lock, and the log's place now.
 */
#include "internal.h"

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

int block_seal_put(void *ctx, uint8_t table, uint64_t row, struct span plain, struct buffer *out)
{
    struct block_seal *seal = ctx;
    uint64_t packed = table == STORE_SEAL_LEAF ? atomic_load(&seal->log_place) : 0;
    const struct block_place place = {.cls = (uint16_t)(packed >> 32), .bucket = (uint32_t)packed};
    const struct block_place always = {.cls = 0};
    int r = block_seal(seal->writer, table, row, place, plain, out);
    if (r != SLUIS_EEXPIRED || !place.cls)
        return r;
    /* a bucket that lies ahead and has no key: a clock that ran ahead was believed */
    LOG(LOG_ALARM, "audit", "no_key_for_living_bucket", log_u64("bucket", place.bucket));
    return block_seal(seal->writer, table, row, always, plain, out);
}

int block_seal_get(void *ctx, uint8_t table, uint64_t row, struct span sealed, struct buffer *out)
{
    struct block_seal *seal = ctx;
    pthread_mutex_lock(&seal->lock);
    int r = block_open(seal->readers, table, row, sealed, out);
    pthread_mutex_unlock(&seal->lock);
    return r;
}

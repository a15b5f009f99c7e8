/* Binds the keyring to the store's blocks: subject nobody, class 0 ("for as long as the store"). */
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

static struct record_id block_id(uint64_t row)
{
    /* The serial is part of the associated data, so that blocks cannot be exchanged; the message
     * leaf is that of serial 0, since blocks are not punctured one by one. */
    return (struct record_id){.cls = 0, .bucket = 0, .subject = 0, .serial = row, .part = 'L'};
}

int block_seal_put(void *ctx, uint8_t table, uint64_t row, struct span plain, struct buffer *out)
{
    struct block_seal *seal = ctx;
    const struct record_id id = block_id(row);
    return record_seal(seal->writer, table, &id, 0, plain, out);
}

int block_seal_get(void *ctx, uint8_t table, uint64_t row, struct span sealed, struct buffer *out)
{
    struct block_seal *seal = ctx;
    const struct record_id id = block_id(row);
    pthread_mutex_lock(&seal->lock);
    int r = record_open(seal->readers, table, &id, sealed, out);
    pthread_mutex_unlock(&seal->lock);
    return r;
}

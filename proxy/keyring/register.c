/* The register of keyring backups: one sealed row each, key "backup/" and the number. */
#include "backup.h"

#include "sluis/base/encode.h"

#define ROW_VERSION 1
#define ROW_PART 'B'
#define ROW_TEXT (1 + 4 + 8 + 8 + 8 + 8)
#define ROW_KEY (7 + 4)
#define ROW_BUFFER 256

static const struct span key_prefix = {"backup/", 7};

static void row_key(uint32_t number, char key[ROW_KEY])
{
    memcpy(key, key_prefix.p, key_prefix.n);
    be32_put((uint8_t *)key + key_prefix.n, number);
}

static struct record_id row_id(uint32_t number)
{
    return (struct record_id){.serial = number, .part = ROW_PART};
}

struct row_job {
    struct store_job job;
    char key[ROW_KEY];
    struct buffer sealed;
};

static int row_run(struct store_txn *txn, struct store_job *job)
{
    struct row_job *row = (struct row_job *)(void *)job;
    store_put_row(txn, STORE_TABLE_SETTING, span_of(row->key, ROW_KEY), buffer_span(&row->sealed));
    return store_txn_error(txn);
}

static int row_put(struct keyring *keyring, struct store *store,
                   const struct keyring_backup *backup)
{
    struct row_job row = {.job = {.priority = STORE_PURGE, .run = row_run}};
    const struct record_id id = row_id(backup->number);
    struct keyring_cache *cache;
    struct buffer plain;
    int result = keyring_cache_new(keyring, &cache);
    if (result)
        return result;
    row_key(backup->number, row.key);
    buffer_init(&plain, ROW_BUFFER);
    buffer_init(&row.sealed, ROW_BUFFER);
    buffer_add_char(&plain, ROW_VERSION);
    buffer_add_be32(&plain, backup->number);
    buffer_add_be64(&plain, backup->generation);
    buffer_add_be64(&plain, (uint64_t)backup->made_ms);
    buffer_add_be64(&plain, (uint64_t)backup->expires_ms);
    buffer_add_be64(&plain, (uint64_t)backup->gone_ms);
    result = plain.error;
    if (!result)
        result = record_seal(cache, STORE_TABLE_SETTING, &id, 1, buffer_span(&plain), &row.sealed);
    if (!result)
        result = store_submit_wait(store, &row.job);
    buffer_free(&plain);
    buffer_free(&row.sealed);
    keyring_cache_free(cache);
    return result;
}

struct walk {
    struct keyring_cache *cache;
    struct buffer plain;
    int error;
    int (*each)(void *ctx, const struct keyring_backup *backup);
    void *ctx;
};

static int walk_row(void *ctx, struct span key, struct span value)
{
    struct walk *walk = ctx;
    if (key.n != ROW_KEY || !span_starts(key, key_prefix))
        return 1; /* past the register */
    const struct record_id id = row_id(be32_get((const uint8_t *)key.p + key_prefix.n));
    buffer_clear(&walk->plain);
    walk->error = record_open(walk->cache, STORE_TABLE_SETTING, &id, value, &walk->plain);
    const uint8_t *at = (const uint8_t *)walk->plain.p;
    if (!walk->error && (walk->plain.n != ROW_TEXT || at[0] != ROW_VERSION))
        walk->error = SLUIS_ECRYPTO;
    if (walk->error)
        return 1;
    const struct keyring_backup backup = {.number = be32_get(at + 1),
                                          .generation = be64_get(at + 5),
                                          .made_ms = (int64_t)be64_get(at + 13),
                                          .expires_ms = (int64_t)be64_get(at + 21),
                                          .gone_ms = (int64_t)be64_get(at + 29)};
    return walk->each(walk->ctx, &backup);
}

int keyring_backup_each(struct keyring *keyring, struct store *store,
                        int (*each)(void *ctx, const struct keyring_backup *backup), void *ctx)
{
    struct walk walk = {.each = each, .ctx = ctx};
    struct store_read *read;
    int result = keyring_cache_new(keyring, &walk.cache);
    if (result)
        return result;
    result = store_read_begin(store, &read);
    if (!result) {
        buffer_init(&walk.plain, ROW_BUFFER);
        result = store_each_row(read, STORE_TABLE_SETTING, key_prefix, walk_row, &walk);
        store_read_end(read);
        buffer_free(&walk.plain);
    }
    keyring_cache_free(walk.cache);
    return walk.error ? walk.error : result < 0 ? result : 0;
}

static int see_last(void *ctx, const struct keyring_backup *backup)
{
    *(uint32_t *)ctx = backup->number; /* rows come by number */
    return 0;
}

int keyring_backup_make(struct keyring *keyring, struct store *store,
                        const uint8_t public_key[KEYRING_RECOVERY_KEY], int64_t keep_s,
                        int64_t now_ms, struct buffer *out, struct keyring_backup *made)
{
    struct keyring_status status;
    uint32_t last = 0;
    if (keep_s < 1 || keep_s > KEYRING_BACKUP_KEEP_MAX_S || now_ms < 0)
        return SLUIS_EINVAL;
    int result = keyring_backup_each(keyring, store, see_last, &last);
    if (result)
        return result;
    keyring_status(keyring, &status);
    *made = (struct keyring_backup){.number = last + 1,
                                    .generation = status.generation,
                                    .made_ms = now_ms,
                                    .expires_ms = now_ms + keep_s * 1000};
    result = row_put(keyring, store, made);
    /* A puncture in between makes the backup hold less than its number says, never more. */
    return result ? result : backup_write(keyring, made, public_key, out);
}

struct find {
    uint32_t number;
    struct keyring_backup found;
};

static int see_number(void *ctx, const struct keyring_backup *backup)
{
    struct find *find = ctx;
    if (backup->number != find->number)
        return 0;
    find->found = *backup;
    return 1;
}

int keyring_backup_gone(struct keyring *keyring, struct store *store, uint32_t number,
                        int64_t now_ms)
{
    struct find find = {.number = number};
    int result = keyring_backup_each(keyring, store, see_number, &find);
    if (result)
        return result;
    if (find.found.number == 0)
        return SLUIS_ENOENT;
    if (find.found.gone_ms)
        return 0;
    find.found.gone_ms = now_ms;
    return row_put(keyring, store, &find.found);
}

struct clear {
    uint64_t generation;
    int64_t now_ms, latest_ms;
};

static int see_living(void *ctx, const struct keyring_backup *backup)
{
    struct clear *clear = ctx;
    bool living = !backup->gone_ms && backup->expires_ms > clear->now_ms;
    if (living && backup->generation < clear->generation && backup->expires_ms > clear->latest_ms)
        clear->latest_ms = backup->expires_ms;
    return 0;
}

int keyring_backup_clear(struct keyring *keyring, struct store *store, uint64_t generation,
                         int64_t now_ms, int64_t *clear_ms)
{
    struct clear clear = {.generation = generation, .now_ms = now_ms};
    int result = keyring_backup_each(keyring, store, see_living, &clear);
    *clear_ms = clear.latest_ms;
    return result;
}

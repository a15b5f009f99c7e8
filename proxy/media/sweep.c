/* Rows and files that nobody can read any more, some at a time. On the caller's thread. */
#include "internal.h"

#include <string.h>
#include <unistd.h>

#define SWEEP_MOST 1024u

struct sweep {
    struct media *m;
    struct keyring_cache *keys;
    int64_t now;
    unsigned looked, most, n, went;
    uint8_t (*gone)[MEDIA_KEY_BYTES];
    uint8_t (*files)[MEDIA_FILE_ID];
    struct head { /* of the row as it was looked at: its file's id is in it */
        uint8_t n, bytes[ROW_CLEAR];
    } * heads;
    struct store_job job;
};

/* Destroyed, forgotten by Meta, or of a version that passed media on unseen. */
static bool is_gone(struct sweep *s, struct span value, struct media_item *item)
{
    int r = media_row_read(s->keys, value, item);
    if (r == SLUIS_EEXPIRED)
        return true;
    if (r == SLUIS_EINVAL && value.n == 8)
        return s->now - (int64_t)be64_get((const uint8_t *)value.p) > UPLOAD_KEPT_MS;
    return r == 0 && item->state == MEDIA_SENT && s->now - item->since_ms > UPLOAD_KEPT_MS;
}

static int look(void *ctx, struct span key, struct span value)
{
    struct sweep *s = ctx;
    struct media_item item;
    if (key.n != MEDIA_KEY_BYTES)
        return 0;
    memcpy(s->m->sweep_key, key.p, MEDIA_KEY_BYTES);
    if (is_gone(s, value, &item)) {
        memcpy(s->gone[s->n], key.p, MEDIA_KEY_BYTES);
        struct head *head = &s->heads[s->n];
        head->n = (uint8_t)(value.n < ROW_CLEAR ? value.n : ROW_CLEAR);
        memcpy(head->bytes, value.p, head->n);
        memcpy(s->files[s->n++], item.file, MEDIA_FILE_ID);
    }
    return ++s->looked >= s->most;
}

static int run(struct store_txn *txn, struct store_job *job)
{
    struct sweep *s = (struct sweep *)((char *)job - offsetof(struct sweep, job));
    s->went = 0;
    for (unsigned i = 0; i < s->n; i++)
        /* sent again under the same id, or sealed anew, meanwhile: that row stays */
        s->went += store_delete_row_as(txn, STORE_TABLE_MEDIA,
                                       span_of((const char *)s->gone[i], MEDIA_KEY_BYTES),
                                       span_of((const char *)s->heads[i].bytes, s->heads[i].n));
    return store_txn_error(txn);
}

/* Files first: a row whose file is gone already is harmless, a file without a row is litter. */
static int sweep_rows(struct sweep *s, struct media_swept *out)
{
    struct media *m = s->m;
    struct store_read *read;
    int r = store_read_begin(m->deps.store, &read);
    if (r != 0)
        return r;
    r = store_each_row(read, STORE_TABLE_MEDIA,
                       span_of((const char *)m->sweep_key, MEDIA_KEY_BYTES), look, s);
    store_read_end(read);
    if (r < 0)
        return r;
    if (s->looked < s->most)
        memset(m->sweep_key, 0, sizeof(m->sweep_key)); /* the end: from the first one next time */
    else
        out->more = true;
    for (unsigned i = 0; i < s->n; i++) {
        uint8_t key[MEDIA_KEY_BYTES];
        memcpy(key, s->gone[i], sizeof(key));
        key[0] &= (uint8_t)~MEDIA_HELD_BIT; /* files bear the item's own key */
        media_file_remove(m->folder, key, s->files[i]);
    }
    s->job = (struct store_job){.priority = STORE_PURGE, .run = run};
    r = s->n ? store_submit_wait(m->deps.store, &s->job) : 0;
    out->rows = r == 0 && s->n ? s->went : 0;
    counter_add(&m->counters[M_SWEPT_ROWS], out->rows);
    return r;
}

/* ---- files without a row ---- */

/* Does the row, the item's own or that of a hold, name this file? When in doubt it does. */
static bool names_file(struct keyring_cache *keys, struct store_read *read, const uint8_t *key,
                       const uint8_t *file)
{
    struct media_item item;
    struct arena arena;
    struct span value;
    arena_init(&arena, ARENA_MAX);
    int r = store_get_row(read, STORE_TABLE_MEDIA, span_of((const char *)key, MEDIA_KEY_BYTES),
                          &arena, &value);
    bool has = r != SLUIS_ENOENT;
    if (r == 0 && media_row_read(keys, value, &item) != SLUIS_EINVAL)
        has = memcmp(item.file, file, sizeof(item.file)) == 0;
    arena_free(&arena);
    return has;
}

static bool row_names(struct media *m, struct keyring_cache *keys, struct store_read *read,
                      const char *name)
{
    uint8_t key[MEDIA_KEY_BYTES], file[MEDIA_FILE_ID];
    size_t n = strlen(name);
    if (n != FILE_NAME_MAX - 1 || name[2 * MEDIA_KEY_BYTES] != '-' ||
        hex_decode_lower(span_of(name, 2 * MEDIA_KEY_BYTES), key, sizeof(key)) != 0 ||
        hex_decode_lower(span_of(name + 2 * MEDIA_KEY_BYTES + 1, 2 * MEDIA_FILE_ID), file,
                         sizeof(file)) != 0)
        return false;
    /* Written, and its row not yet: media_keep is at it. */
    if (atomic_load(&m->keeping))
        return true;
    if (names_file(keys, read, key, file))
        return true;
    key[0] |= MEDIA_HELD_BIT;
    return names_file(keys, read, key, file);
}

bool media_file_named(struct media *m, struct keyring_cache *keys, struct store_read *read,
                      const char *name)
{
    struct store_read *now;
    if (row_names(m, keys, read, name))
        return true;
    if (store_read_begin(m->deps.store, &now) != 0)
        return true;
    bool has = row_names(m, keys, now, name);
    store_read_end(now);
    return has;
}

static int sweep_files(struct sweep *s, struct media_swept *out)
{
    struct media *m = s->m;
    struct store_read *read;
    int fd = m->swept ? -1 : dup(m->folder);
    if (!m->swept && fd >= 0 && (m->swept = fdopendir(fd)) == NULL)
        close(fd);
    int r = m->swept ? store_read_begin(m->deps.store, &read) : SLUIS_ESYS;
    if (r != 0)
        return r;
    struct dirent *entry = NULL;
    for (unsigned i = 0; i < s->most && (entry = readdir(m->swept)) != NULL; i++) {
        if (entry->d_type != DT_REG || media_file_named(m, s->keys, read, entry->d_name))
            continue;
        if (unlinkat(m->folder, entry->d_name, 0) == 0) {
            out->files++;
            media_count(m, M_SWEPT_FILES);
        }
    }
    store_read_end(read);
    if (entry) {
        out->more = true;
    } else {
        rewinddir(m->swept);
        closedir(m->swept);
        m->swept = NULL;
    }
    return 0;
}

int media_sweep(struct media *m, unsigned most, struct media_swept *out)
{
    struct sweep *s = calloc(1, sizeof(*s));
    *out = (struct media_swept){.rows = 0};
    if (!s)
        return SLUIS_ENOMEM;
    s->m = m;
    s->now = clock_wall_ms();
    s->most = most && most < SWEEP_MOST ? most : SWEEP_MOST;
    s->gone = calloc(s->most, sizeof(*s->gone));
    s->files = calloc(s->most, sizeof(*s->files));
    s->heads = calloc(s->most, sizeof(*s->heads));
    int r = s->gone && s->files && s->heads ? keyring_cache_new(m->deps.keyring, &s->keys)
                                            : SLUIS_ENOMEM;
    if (r == 0)
        r = sweep_rows(s, out);
    if (r == 0)
        r = sweep_files(s, out);
    if (s->keys)
        keyring_cache_free(s->keys);
    free(s->gone);
    free(s->files);
    free(s->heads);
    free(s);
    return r;
}

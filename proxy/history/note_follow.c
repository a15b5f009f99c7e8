/* Tags and notes when what they are about is sealed anew, and when its keys are gone. */
#include "note.h"

#include "sluis/base/encode.h"
#include "sluis/base/log.h"

#include <stdlib.h>

/* ---- rows whose key is gone ---- */

struct tidy {
    struct store_job job;
    struct worker *worker;
    struct store_read *read;
    uint8_t keys[TIDY_ROWS][STORE_KEY_MAX];
    size_t lengths[TIDY_ROWS];
    unsigned n, looked;
    uint8_t next[STORE_KEY_MAX];
    size_t next_n;
};

static int look(void *ctx, struct span key, struct span value)
{
    struct tidy *t = ctx;
    bool dead = false;
    if (t->looked++ == TIDY_ROWS) {
        memcpy(t->next, key.p, key.n);
        t->next_n = key.n;
        return 1;
    }
    if (key.p[0] == 'N') {
        struct buffer plain;
        buffer_init(&plain, STORE_VALUE_MAX);
        dead = note_row_open(t->worker->keys, key, value, &plain) == SLUIS_EEXPIRED;
        buffer_free(&plain);
    } else if (key.n == INDEX_BYTES) { /* its tag's row has gone before it */
        uint8_t row[KEY_BYTES];
        struct span found;
        const uint8_t *k = (const uint8_t *)key.p;
        note_prefix(be16_get(k + 1), be64_get(k + NOTE_INDEX_PREFIX),
                    be64_get(k + NOTE_INDEX_PREFIX + 8), row);
        row[PREFIX_BYTES] = 't';
        memcpy(row + PREFIX_BYTES + 1, k + 3, 8);
        dead = store_get_row(t->read, STORE_TABLE_HISTORY, span_of(row, sizeof(row)),
                             &t->worker->arena, &found) == SLUIS_ENOENT;
    }
    if (dead) {
        memcpy(t->keys[t->n], key.p, key.n);
        t->lengths[t->n++] = key.n;
    }
    return 0;
}

static int run_tidy(struct store_txn *txn, struct store_job *job)
{
    struct tidy *t = (struct tidy *)job;
    for (unsigned i = 0; i < t->n; i++)
        store_put_row(txn, STORE_TABLE_HISTORY, span_of(t->keys[i], t->lengths[i]), SPAN_EMPTY);
    return store_txn_error(txn);
}

void note_tidy(struct history *h, struct worker *worker)
{
    struct tidy t = {.job = {.priority = STORE_PURGE, .run = run_tidy}, .worker = worker};
    int r = 0;
    h->tidied_ms = clock_mono_ms();
    pthread_mutex_lock(&worker->busy);
    do {
        uint8_t from[STORE_KEY_MAX];
        size_t n = t.next_n;
        memcpy(from, t.next, n);
        t.n = t.looked = 0;
        t.next_n = 0;
        r = store_read_begin(h->deps.store, &t.read);
        if (r != 0)
            break;
        r = store_each_row(t.read, STORE_TABLE_HISTORY, span_of(from, n), look, &t);
        store_read_end(t.read);
        arena_reset(&worker->arena);
        if (r >= 0 && t.n)
            r = store_submit_wait(h->deps.store, &t.job);
    } while (r >= 0 && t.next_n);
    pthread_mutex_unlock(&worker->busy);
}

/* ---- with a message that is sealed anew ---- */

#define KEEP_MAX (TAGS_MAX + NOTES_MAX)

struct keep {
    struct store_job job;
    struct keyring_cache *keys;
    struct record_id to;
    uint8_t prefix[KEY_BYTES];
    uint8_t key[KEEP_MAX][KEY_BYTES];
    struct buffer value[KEEP_MAX];
    unsigned n;
};

static int keep_row(void *ctx, struct span key, struct span value)
{
    struct keep *k = ctx;
    struct buffer plain;
    struct record_id id;
    if (key.n != KEY_BYTES || memcmp(key.p, k->prefix, PREFIX_BYTES) != 0 || k->n == KEEP_MAX)
        return 1;
    if (value.n < PLACE_BYTES)
        return SLUIS_EINVAL;
    note_record(key, value, &id);
    if (id.serial == k->to.serial && id.cls == k->to.cls && id.bucket == k->to.bucket)
        return 0; /* done the last time */
    buffer_init(&plain, STORE_VALUE_MAX);
    buffer_init(&k->value[k->n], STORE_VALUE_MAX);
    int r = note_row_open(k->keys, key, value, &plain);
    if (r == 0)
        r = note_row_seal(k->keys, &k->to, buffer_span(&plain), &k->value[k->n]);
    buffer_free(&plain);
    if (r == 0) {
        memcpy(k->key[k->n++], key.p, KEY_BYTES);
        return 0;
    }
    buffer_free(&k->value[k->n]);
    if (r == SLUIS_EEXPIRED)
        return 0;
    /* Damaged, or as long as a row can be: it does not hold up a redaction, and is said. */
    LOG(LOG_ALARM, "history", "note_not_kept", log_u64("serial", id.serial), log_error(r));
    return r == SLUIS_ECRYPTO || r == SLUIS_EINVAL || r == SLUIS_ELIMIT ? 0 : r;
}

static int run_keep(struct store_txn *txn, struct store_job *job)
{
    const struct keep *k = (const struct keep *)(const void *)job;
    for (unsigned i = 0; i < k->n; i++)
        store_put_row(txn, STORE_TABLE_HISTORY, span_of((const char *)k->key[i], KEY_BYTES),
                      buffer_span(&k->value[i]));
    return store_txn_error(txn);
}

int history_keep(struct history *h, uint16_t channel, uint64_t subject, uint64_t serial,
                 const struct record_id *to)
{
    struct store_read *read;
    struct keep *k = calloc(1, sizeof(*k));
    if (!k)
        return SLUIS_ENOMEM;
    k->to = *to;
    k->to.subject = subject;
    k->to.part = PART_NOTE;
    k->job = (struct store_job){.priority = STORE_PURGE, .run = run_keep};
    note_prefix(channel, subject, serial, k->prefix);
    pthread_rwlock_wrlock(&h->place_lock);
    int r = keyring_cache_new(h->deps.keyring, &k->keys);
    if (r == 0)
        r = store_read_begin(h->deps.store, &read);
    if (r == 0) {
        r = store_each_row(read, STORE_TABLE_HISTORY, span_of(k->prefix, PREFIX_BYTES), keep_row,
                           k);
        store_read_end(read);
        r = r < 0 ? r : 0;
    }
    if (r == 0 && k->n)
        r = store_submit_wait(h->deps.store, &k->job);
    pthread_rwlock_unlock(&h->place_lock);
    for (unsigned i = 0; i < k->n; i++)
        buffer_free(&k->value[i]);
    if (k->keys)
        keyring_cache_free(k->keys);
    free(k);
    return r;
}

/* ---- what they hang under ---- */

struct leaves {
    uint8_t from[KEY_BYTES];
    int (*each)(void *ctx, uint64_t serial);
    void *ctx;
    unsigned looked;
};

static int take_leaf(void *ctx, struct span key, struct span value)
{
    struct leaves *l = ctx;
    struct record_id id;
    if (key.n != KEY_BYTES || key.p[0] != 'N')
        return 1;
    if (value.n < PLACE_BYTES)
        return SLUIS_EINVAL;
    memcpy(l->from, key.p, KEY_BYTES);
    note_record(key, value, &id);
    int r = l->each(l->ctx, id.serial);
    return r ? r : ++l->looked >= TIDY_ROWS;
}

int history_each_leaf(struct history *h, int (*each)(void *ctx, uint64_t serial), void *ctx)
{
    struct leaves l = {.from = {'N'}, .each = each, .ctx = ctx};
    int r;
    do { /* the row that a slice ended with is told twice */
        struct store_read *read;
        l.looked = 0;
        r = store_read_begin(h->deps.store, &read);
        if (r != 0)
            return r;
        r = store_each_row(read, STORE_TABLE_HISTORY, span_of((const char *)l.from, KEY_BYTES),
                           take_leaf, &l);
        store_read_end(read);
        r = r > 0 ? 0 : r;
    } while (r == 0 && l.looked >= TIDY_ROWS);
    return r;
}

/*
 * Media that outlive the keys they hang under: copied for a legal hold, or sealed anew with a
 * message that is (redacted, corrected, kept shorter). The file first, then the row in one commit,
 * then what was before: a crash in between leaves a file without a row, which the sweep takes. On
 * the caller's thread, which may wait.
 */
#include "internal.h"

#include <unistd.h>

#define KEEP_SLICE 256u /* rows of the person in one look */
#define KEEP_TRIES 4u   /* its verdict may come in between, once; and an id be sent again */

struct keep {
    struct media *m;
    struct keyring_cache *keys;
    uint64_t subject, serial;
    struct record_id to;
    bool copies;
    uint8_t from[MEDIA_KEY_BYTES];
    unsigned looked, n;
    uint8_t found[KEEP_SLICE][MEDIA_KEY_BYTES];
    /* the row's job */
    struct store_job job;
    uint8_t key[MEDIA_KEY_BYTES];
    struct buffer row, head; /* `head`: the row that it replaces, of what moves */
    bool raced;              /* that one is not there any more */
};

/* Whose it is stands in clear. What has no verdict yet has nothing to copy, but moves: the verdict
 * comes under the keys that its row then names (verdict.c). */
static int look(void *ctx, struct span key, struct span value)
{
    struct keep *k = ctx;
    struct media_item item;
    if (key.n != MEDIA_KEY_BYTES)
        return 0;
    memcpy(k->from, key.p, MEDIA_KEY_BYTES);
    bool own = !((uint8_t)key.p[0] & MEDIA_HELD_BIT);
    if (own && media_row_subject(value) == k->subject && !(k->copies && media_row_waits(value)) &&
        media_row_read(k->keys, value, &item) == 0 && item.state != MEDIA_SENT &&
        (k->copies || (item.message == k->serial && item.keys.serial != k->to.serial)))
        memcpy(k->found[k->n++], key.p, MEDIA_KEY_BYTES);
    return k->n == KEEP_SLICE || ++k->looked >= REFILL_ROWS;
}

static int run(struct store_txn *txn, struct store_job *job)
{
    struct keep *k = (struct keep *)((char *)job - offsetof(struct keep, job));
    const struct span key = span_of((const char *)k->key, sizeof(k->key));
    if (k->copies)
        store_put_row(txn, STORE_TABLE_MEDIA, key, buffer_span(&k->row));
    else
        k->raced = !store_put_row_as(txn, STORE_TABLE_MEDIA, key, buffer_span(&k->head),
                                     buffer_span(&k->row));
    return store_txn_error(txn);
}

static int copy_file(struct keep *k, const uint8_t *key, const struct media_item *from,
                     const struct media_item *to)
{
    struct media_out out;
    struct buffer piece;
    uint8_t hash[32];
    int r = media_out_begin(&out, k->m->folder, k->keys, key, to);
    buffer_init(&piece, PIECE_BYTES);
    for (uint64_t at = 0; r == 0 && at < from->size; at += piece.n) {
        uint64_t left = from->size - at;
        buffer_clear(&piece);
        r = media_file_part(k->m->folder, k->keys, key, from, at,
                            left < PIECE_BYTES ? (size_t)left : PIECE_BYTES, &piece);
        if (r == 0)
            r = media_out_add(&out, buffer_span(&piece));
    }
    buffer_free(&piece);
    if (r != 0) {
        media_out_drop(&out);
        return r;
    }
    r = media_out_end(&out, hash);
    if (r == 0 && memcmp(hash, from->sha256, sizeof(hash)) != 0) {
        media_file_remove(k->m->folder, key, to->file);
        r = SLUIS_ECRYPTO;
    }
    return r;
}

/* The item under `key` and, for a hold, whether its copy is there. */
static int get(struct keep *k, const uint8_t *key, struct media_item *item, bool *copied)
{
    uint8_t copy[MEDIA_KEY_BYTES];
    struct media_item there;
    struct store_read *read;
    struct arena arena;
    int r = store_read_begin(k->m->deps.store, &read);
    if (r != 0)
        return r;
    arena_init(&arena, ARENA_MAX);
    r = media_row_get(read, k->keys, key, false, &arena, item);
    memcpy(copy, key, sizeof(copy));
    copy[0] |= MEDIA_HELD_BIT;
    *copied = k->copies && r == 0 &&
              media_row_get(read, k->keys, copy, false, &arena, &there) == 0 &&
              there.keys.cls == k->to.cls && there.keys.bucket == k->to.bucket;
    store_read_end(read);
    arena_free(&arena);
    return r;
}

/* The row in one commit; k->raced: another one stands there by now. */
static int put(struct keep *k, const uint8_t *key, const struct media_item *item,
               const struct media_item *to)
{
    buffer_init(&k->row, MEDIA_ROW_MAX);
    buffer_init(&k->head, ROW_CLEAR);
    int r = media_row_write(k->keys, to, &k->row);
    media_row_head(item, &k->head);
    memcpy(k->key, key, sizeof(k->key));
    if (k->copies)
        k->key[0] |= MEDIA_HELD_BIT;
    k->job = (struct store_job){.priority = STORE_PURGE, .run = run};
    if (r == 0)
        r = k->head.error ? k->head.error : store_submit_wait(k->m->deps.store, &k->job);
    buffer_free(&k->row);
    buffer_free(&k->head);
    return r;
}

static int try_one(struct keep *k, const uint8_t *key)
{
    struct media_item item, to;
    bool copied;
    k->raced = false;
    int r = get(k, key, &item, &copied);
    if (r != 0 || copied)
        return r == SLUIS_ENOENT || r == SLUIS_EEXPIRED ? 0 : r;
    to = item;
    to.keys = k->to;
    to.keys.subject = item.keys.subject;
    to.keys.part = 'F';
    if (k->copies)
        to.keys.serial = item.keys.serial;
    randombytes_buf(to.file, sizeof(to.file));
    if (item.state == MEDIA_READY)
        r = copy_file(k, key, &item, &to);
    if (r == SLUIS_ECRYPTO || r == SLUIS_ENOENT) {
        /* Damaged, or not there: nobody can have it, and it does not hold up the rest. */
        LOG(LOG_ALARM, "media", "not_kept", log_u64("serial", item.keys.serial), log_error(r));
        return 0;
    }
    if (r == 0)
        r = put(k, key, &item, &to);
    bool stands = r == 0 && !k->raced;
    if (item.state == MEDIA_READY && (!stands || !k->copies))
        media_file_remove(k->m->folder, key, stands ? item.file : to.file);
    return r == SLUIS_EEXPIRED ? 0 : r;
}

static int keep_one(struct keep *k, const uint8_t *key)
{
    int r = 0;
    k->raced = true;
    for (unsigned i = 0; r == 0 && k->raced && i < KEEP_TRIES; i++)
        r = try_one(k, key);
    return r == 0 && k->raced ? SLUIS_EAGAIN : r;
}

static int slice(struct keep *k, bool *more)
{
    struct store_read *read;
    k->n = k->looked = 0;
    int r = store_read_begin(k->m->deps.store, &read);
    if (r != 0)
        return r;
    /* The row that the last slice ended with is looked at twice: what is done is done. */
    r = store_each_row(read, STORE_TABLE_MEDIA, span_of((const char *)k->from, MEDIA_KEY_BYTES),
                       look, k);
    store_read_end(read);
    *more = k->n == KEEP_SLICE || k->looked >= REFILL_ROWS;
    for (unsigned i = 0; r >= 0 && i < k->n; i++) {
        int one = keep_one(k, k->found[i]);
        r = one ? one : r;
    }
    return r < 0 ? r : 0;
}

int media_keep(struct media *m, uint64_t subject, uint64_t serial, const struct record_id *to)
{
    struct keep *k = calloc(1, sizeof(*k));
    bool more = true;
    if (!k)
        return SLUIS_ENOMEM;
    k->m = m;
    k->subject = subject;
    k->serial = serial;
    k->to = *to;
    k->copies = serial == 0;
    atomic_fetch_add(&m->keeping, 1);
    int r = keyring_cache_new(m->deps.keyring, &k->keys);
    while (r == 0 && more)
        r = slice(k, &more);
    atomic_fetch_sub(&m->keeping, 1);
    if (k->keys)
        keyring_cache_free(k->keys);
    free(k);
    return r;
}

/* ---- what they hang under ---- */

struct leaves {
    int (*each)(void *ctx, uint64_t serial);
    void *ctx;
    uint8_t from[MEDIA_KEY_BYTES];
    unsigned looked;
};

static int take_leaf(void *ctx, struct span key, struct span value)
{
    struct leaves *l = ctx;
    if (key.n != MEDIA_KEY_BYTES)
        return 0;
    memcpy(l->from, key.p, MEDIA_KEY_BYTES);
    uint64_t serial = media_row_serial(value);
    int r = serial ? l->each(l->ctx, serial) : 0;
    return r ? r : ++l->looked >= REFILL_ROWS;
}

int media_each_leaf(struct media *m, int (*each)(void *ctx, uint64_t serial), void *ctx)
{
    struct leaves l = {.each = each, .ctx = ctx};
    int r;
    do { /* the row that a slice ended with is told twice */
        struct store_read *read;
        l.looked = 0;
        r = store_read_begin(m->deps.store, &read);
        if (r != 0)
            return r;
        r = store_each_row(read, STORE_TABLE_MEDIA, span_of((const char *)l.from, MEDIA_KEY_BYTES),
                           take_leaf, &l);
        store_read_end(read);
    } while (r == 0 && l.looked >= REFILL_ROWS);
    return r;
}

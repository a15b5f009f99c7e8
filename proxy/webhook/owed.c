/*
 * While the access log refuses (audit_refuses), messages are still accepted: Meta must not be kept
 * waiting for days, and nothing of them is shown. What would be their leaves is sealed into rows of
 * its own in the same commit, and put into the log, in order, when it takes leaves again. Nothing
 * is delivered before that. What comes in while they are put there goes into the log itself: under
 * steady traffic something would be owed for ever.
 *
 * Row: STORE_TABLE_SETTING, "audit.owed" and 8 bytes, serial of the message and number of the leaf;
 * sealed as class 0, part 'W'.
 */
#include "internal.h"

#include "sluis/base/encode.h"
#include "sluis/base/log.h"

#include <stdlib.h>

#define OWED_PAGE 64u /* rows put into the log by one job */
#define PART_OWED 'W'

_Static_assert(sizeof(OWED_PREFIX) - 1 + 8 == OWED_KEY_BYTES, "a prefix and a number");
_Static_assert(ITEM_LEAVES_MAX <= 256, "a byte numbers the leaves of an item");
_Static_assert(OWED_KEY_BYTES + AUDIT_LEAF_MAX + KEYRING_RECORD_OVERHEAD <= STORE_ROW_MAX,
               "an owed leaf is one row");

static struct record_id owed_id(uint64_t number)
{
    return (struct record_id){.serial = number, .part = PART_OWED};
}

static void owed_key(uint64_t number, uint8_t key[OWED_KEY_BYTES])
{
    memcpy(key, OWED_PREFIX, sizeof(OWED_PREFIX) - 1);
    be64_put(key + sizeof(OWED_PREFIX) - 1, number);
}

/* ---- owing ---- */

int owed_seal(struct item *item)
{
    struct audit_gate *gate = item->owner->webhook->deps.gate;
    if (!audit_refuses(gate) || item->leaf_count == 0)
        return 0;
    /* Counted first: the gate must not open between this and the commit. */
    atomic_fetch_add(&gate->owed, item->leaf_count);
    item->owes = item->leaf_count;
    for (unsigned i = 0; i < item->leaf_count; i++) {
        const struct record_id id = owed_id(item->row.serial << 8 | i);
        struct span leaf = span_of(item->leaves.p + item->leaf[i].start, item->leaf[i].n);
        int r = record_seal(item->owner->keys, STORE_TABLE_SETTING, &id, 0, leaf, &item->owed);
        if (r != 0)
            return r;
    }
    return 0;
}

void owed_run(struct store_txn *txn, const struct item *item)
{
    size_t at = 0;
    for (unsigned i = 0; i < item->leaf_count; i++) {
        uint8_t key[OWED_KEY_BYTES];
        size_t n = item->leaf[i].n + KEYRING_RECORD_OVERHEAD;
        owed_key(item->row.serial << 8 | i, key);
        store_put_row(txn, STORE_TABLE_SETTING, span_of(key, sizeof(key)),
                      span_sub(buffer_span(&item->owed), at, at + n));
        at += n;
    }
}

void owed_settled(struct item *item, bool stored)
{
    if (item->owes && !stored)
        atomic_fetch_sub(&item->owner->webhook->deps.gate->owed, item->owes);
    item->owes = 0;
}

/* ---- what is owed ---- */

struct page {
    struct store_job job;
    struct keyring_cache *keys;
    struct buffer leaves;
    struct {
        uint8_t key[OWED_KEY_BYTES];
        uint8_t hash[32];
        uint32_t start, n;
    } row[OWED_PAGE];
    unsigned count;
    bool opens; /* false: only count */
    uint64_t seen;
};

static int take(void *ctx, struct span key, struct span value)
{
    struct page *p = ctx;
    if (key.n != OWED_KEY_BYTES || !span_starts(key, SPAN(OWED_PREFIX)))
        return 1;
    p->seen++;
    if (!p->opens)
        return 0;
    if (p->count == OWED_PAGE)
        return 1;
    const struct record_id id = owed_id(be64_get((const uint8_t *)key.p + sizeof(OWED_PREFIX) - 1));
    uint32_t start = (uint32_t)p->leaves.n;
    int r = record_open(p->keys, STORE_TABLE_SETTING, &id, value, &p->leaves);
    if (r != 0)
        return r;
    p->row[p->count].start = start;
    p->row[p->count].n = (uint32_t)(p->leaves.n - start);
    memcpy(p->row[p->count].key, key.p, OWED_KEY_BYTES);
    p->count++;
    return 0;
}

static int pay(struct store_txn *txn, struct store_job *job)
{
    const struct page *p = (struct page *)job;
    for (unsigned i = 0; i < p->count; i++) {
        uint64_t index;
        store_put_leaf(
            txn, span_sub(buffer_span(&p->leaves), p->row[i].start, p->row[i].start + p->row[i].n),
            p->row[i].hash, &index);
        store_put_row(txn, STORE_TABLE_SETTING, span_of(p->row[i].key, OWED_KEY_BYTES), SPAN_EMPTY);
    }
    return store_txn_error(txn);
}

static int walk(struct store *store, struct page *p)
{
    struct store_read *read;
    uint8_t from[OWED_KEY_BYTES];
    owed_key(0, from);
    int r = store_read_begin(store, &read);
    if (r == 0) {
        r = store_each_row(read, STORE_TABLE_SETTING, span_of(from, sizeof(from)), take, p);
        store_read_end(read);
    }
    return r > 0 ? 0 : r;
}

int owed_count(struct webhook *w)
{
    struct page p = {.opens = false};
    int r = w->deps.gate ? walk(w->deps.store, &p) : 0;
    if (r == 0 && p.seen)
        atomic_store(&w->deps.gate->owed, p.seen);
    return r;
}

static int pay_page(struct webhook *w, struct page *p)
{
    buffer_clear(&p->leaves);
    p->count = 0;
    int r = walk(w->deps.store, p);
    for (unsigned i = 0; r == 0 && i < p->count; i++)
        r = audit_hash(span_of(p->leaves.p + p->row[i].start, p->row[i].n), p->row[i].hash);
    p->job = (struct store_job){.priority = STORE_NORMAL, .run = pay};
    if (r == 0 && p->count)
        r = store_submit_wait(w->deps.store, &p->job);
    if (r == 0)
        atomic_fetch_sub(&w->deps.gate->owed, p->count);
    return r;
}

int webhook_pay_owed(struct webhook *w)
{
    struct page *p = calloc(1, sizeof(*p));
    uint64_t paid = 0;
    if (!p)
        return SLUIS_ENOMEM;
    p->opens = true;
    buffer_init(&p->leaves, OWED_PAGE * (size_t)AUDIT_LEAF_MAX);
    int r = keyring_cache_new(w->deps.keyring, &p->keys);
    do {
        if (r == 0)
            r = pay_page(w, p);
        paid += p->count;
    } while (r == 0 && p->count);
    if (paid)
        LOG(LOG_WARN, "audit", "owed_leaves_written", log_u64("leaves", paid), log_error(r));
    keyring_cache_free(p->keys);
    buffer_free(&p->leaves);
    free(p);
    return r;
}

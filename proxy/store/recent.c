#include "recent.h"

#include <errno.h>
#include <stdlib.h>

#include "internal.h"
#include "sluis/base/clock.h"
#include "sluis/base/encode.h"

#define RUN_START 128 /* entries; a power of two */

/* Sorting needs no more than neighbours on a page, so a hash counts with its first bytes only. */
static uint64_t dedupe_order(const uint8_t *key)
{
    return (uint64_t)be16_get(key + 2) << 24 | be32_get(key + 4) >> 8;
}

static uint64_t head_order(const uint8_t *key)
{
    return (uint64_t)be16_get(key) << 48 | (be64_get(key + 2) & UINT64_C(0xffffffffffff));
}

static const struct kind {
    enum db db;
    size_t key_bytes, value_bytes;
    uint64_t (*order)(const uint8_t *key);
} kinds[RECENT_TABLES] = {
    [RECENT_DEDUPE] = {DB_DEDUPE, DEDUPE_KEY_BYTES, DEDUPE_VALUE_BYTES, dedupe_order},
    [RECENT_HEAD] = {DB_HEAD, HEAD_KEY_BYTES, 8, head_order},
};
#define ENTRY_BYTES_MAX (DEDUPE_KEY_BYTES + DEDUPE_VALUE_BYTES)

static size_t entry_bytes(enum recent_table t)
{
    return kinds[t].key_bytes + kinds[t].value_bytes;
}

/* ---- runs ---- */

static uint8_t *run_entry(const struct run *run, enum recent_table t, size_t i)
{
    return run->entries + i * entry_bytes(t);
}

static size_t run_slot(const struct run *run, enum recent_table t, const uint8_t *key)
{
    uint64_t h = (t == RECENT_DEDUPE ? be64_get(key + 12) : be64_get(key + 2) ^ key[1]) *
                 UINT64_C(0x9e3779b97f4a7c15);
    size_t i = (size_t)(h >> 32) & (run->slots - 1);
    while (run->index[i] &&
           memcmp(run_entry(run, t, run->index[i] - 1), key, kinds[t].key_bytes) != 0)
        i = (i + 1) & (run->slots - 1);
    return i;
}

static const uint8_t *run_find(const struct run *run, enum recent_table t, const uint8_t *key)
{
    if (run->count == 0)
        return NULL;
    uint32_t found = run->index[run_slot(run, t, key)];
    return found ? run_entry(run, t, found - 1) + kinds[t].key_bytes : NULL;
}

/* Room for `n` entries more. */
static int run_reserve(struct run *run, enum recent_table t, size_t n)
{
    size_t room = run->room ? run->room : RUN_START;

    while (room < run->count + n)
        room *= 2;
    if (room == run->room)
        return 0;
    uint32_t *index = calloc(2 * room, sizeof(*index));
    uint8_t *entries = realloc(run->entries, room * entry_bytes(t));
    if (entries)
        run->entries = entries;
    if (!index || !entries) {
        free(index);
        return SLUIS_ENOMEM;
    }
    free(run->index);
    run->index = index;
    run->room = room;
    run->slots = 2 * room;
    for (size_t i = 0; i < run->count; i++)
        run->index[run_slot(run, t, run_entry(run, t, i))] = (uint32_t)i + 1;
    return 0;
}

/* Of dedupe entries; UINT32_MAX for an empty run. */
static uint32_t least_day(const struct run *run)
{
    return run->count ? run->least_day : UINT32_MAX;
}

/* The room has been reserved. */
static void run_put(struct run *run, enum recent_table t, const uint8_t *key, const uint8_t *value)
{
    size_t slot = run_slot(run, t, key);

    if (!run->index[slot]) {
        if (be32_get(key) < least_day(run))
            run->least_day = be32_get(key);
        memcpy(run_entry(run, t, run->count), key, kinds[t].key_bytes);
        run->index[slot] = (uint32_t)++run->count;
    }
    memcpy(run_entry(run, t, run->index[slot] - 1) + kinds[t].key_bytes, value,
           kinds[t].value_bytes);
}

static void run_clear(struct run *run)
{
    if (run->count)
        memset(run->index, 0, run->slots * sizeof(*run->index));
    run->count = 0;
}

static void run_free(struct run *run)
{
    free(run->entries);
    free(run->index);
    memset(run, 0, sizeof(*run));
}

struct sortable {
    uint64_t order;
    uint32_t entry;
};

/* The run's entries in the order of their keys: a radix sort, since the writer has to wait for it
 * (a full run: about 2 ms). NULL without memory. */
static uint32_t *run_sort(const struct run *run, enum recent_table t)
{
    size_t n = run->count;
    struct sortable *from = malloc((n + 1) * sizeof(*from));
    struct sortable *to = malloc((n + 1) * sizeof(*to));
    uint32_t *order = malloc((n + 1) * sizeof(*order));

    for (size_t i = 0; from && i < n; i++)
        from[i] = (struct sortable){kinds[t].order(run_entry(run, t, i)), (uint32_t)i};
    for (unsigned shift = 0; from && to && n > 0 && shift < 64; shift += 8) {
        size_t count[257] = {0};
        for (size_t i = 0; i < n; i++)
            count[(from[i].order >> shift & 255) + 1]++;
        if (count[(from[0].order >> shift & 255) + 1] == n)
            continue; /* all the same here */
        for (unsigned d = 1; d < 257; d++)
            count[d] += count[d - 1];
        for (size_t i = 0; i < n; i++)
            to[count[from[i].order >> shift & 255]++] = from[i];
        struct sortable *swap = from;
        from = to;
        to = swap;
    }
    for (size_t i = 0; from && to && order && i < n; i++)
        order[i] = from[i].entry;
    if (!from || !to) {
        free(order);
        order = NULL;
    }
    free(from);
    free(to);
    return order;
}

/* ---- the commit ---- */

void recent_begin(struct store_txn *txn)
{
    struct recent *recent = &txn->store->recent;
    struct recent_txn *part = &txn->recent;

    for (unsigned t = 0; t < RECENT_TABLES; t++) {
        run_clear(&part->pending[t]);
        part->merged[t] = recent->merged[t];
    }
    part->first_row = recent->first_row;
    part->next_row = recent->next_row;
}

bool recent_find(struct store_txn *txn, enum recent_table t, const uint8_t *key, struct span *value)
{
    struct recent *recent = &txn->store->recent;

    if (txn->error)
        return false;
    const uint8_t *found = run_find(&txn->recent.pending[t], t, key);
    if (!found)
        found = run_find(&recent->active[t], t, key);
    if (!found)
        found = run_find(&recent->frozen[t], t, key);
    if (found) {
        *value = span_of(found, kinds[t].value_bytes);
        return true;
    }
    if (!txn_get(txn, txn->store->dbi[kinds[t].db], key, kinds[t].key_bytes, value))
        return false;
    if (value->n == kinds[t].value_bytes)
        return true;
    store_txn_fail(txn, SLUIS_EIO);
    return false;
}

void recent_put(struct store_txn *txn, enum recent_table t, const uint8_t *key,
                const uint8_t *value)
{
    if (txn->error)
        return;
    txn->changed = true;
    if (run_reserve(&txn->recent.pending[t], t, 1) != 0)
        store_txn_fail(txn, SLUIS_ENOMEM);
    else
        run_put(&txn->recent.pending[t], t, key, value);
}

static void put_rows(struct store_txn *txn, enum recent_table t)
{
    const struct run *run = &txn->recent.pending[t];
    size_t most = (STORE_VALUE_MAX - 1) / entry_bytes(t);
    uint8_t row[STORE_VALUE_MAX], key[8];

    for (size_t i = 0; i < run->count; i += most) {
        size_t n = run->count - i < most ? run->count - i : most;
        row[0] = (uint8_t)t;
        memcpy(row + 1, run_entry(run, t, i), n * entry_bytes(t));
        be64_put(key, txn->recent.next_row++);
        txn_put(txn, txn->store->dbi[DB_RECENT], key, sizeof(key),
                span_of(row, 1 + n * entry_bytes(t)), MDB_APPEND);
    }
}

static void merge_some(struct store_txn *txn, enum recent_table t)
{
    struct recent *recent = &txn->store->recent;
    const struct run *run = &recent->frozen[t];
    size_t most = 2 * txn->recent.pending[t].count;

    if (most < RECENT_MERGE_LEAST)
        most = RECENT_MERGE_LEAST;
    for (size_t *next = &txn->recent.merged[t]; most > 0 && *next < run->count; most--) {
        const uint8_t *entry = run_entry(run, t, recent->order[t][(*next)++]);
        const uint8_t *value = entry + kinds[t].key_bytes;
        MDB_dbi dbi = txn->store->dbi[kinds[t].db];
        if (t == RECENT_HEAD && be64_get(value) == 0) /* store_delete_head */
            txn_delete(txn, dbi, entry, kinds[t].key_bytes);
        else
            txn_put(txn, dbi, entry, kinds[t].key_bytes, span_of(value, kinds[t].value_bytes), 0);
    }
}

void recent_flush(struct store_txn *txn)
{
    struct recent *recent = &txn->store->recent;
    uint8_t key[8];

    for (unsigned t = 0; t < RECENT_TABLES; t++) {
        put_rows(txn, t);
        if (recent->is_frozen)
            merge_some(txn, t);
        /* what follows the commit must not fail; readers look at the run meanwhile */
        pthread_mutex_lock(&recent->lock);
        int reserved = run_reserve(&recent->active[t], t, txn->recent.pending[t].count);
        pthread_mutex_unlock(&recent->lock);
        if (reserved != 0)
            store_txn_fail(txn, SLUIS_ENOMEM);
    }
    for (unsigned i = 0; i < RECENT_DELETE_ROWS && txn->recent.first_row < recent->dead_end; i++) {
        be64_put(key, txn->recent.first_row++);
        txn_delete(txn, txn->store->dbi[DB_RECENT], key, sizeof(key));
    }
}

/* The frozen run is in the trees: readers that began before this commit must look again. */
static void retire(struct recent *recent, size_t txnid)
{
    if (recent->first_row >= recent->dead_end)
        recent->dead_day = UINT32_MAX;
    uint32_t day = least_day(&recent->frozen[RECENT_DEDUPE]);
    if (day < recent->dead_day)
        recent->dead_day = day;
    for (unsigned t = 0; t < RECENT_TABLES; t++) {
        run_free(&recent->frozen[t]);
        free(recent->order[t]);
        recent->order[t] = NULL;
        recent->merged[t] = 0;
    }
    recent->is_frozen = false;
    recent->dead_end = recent->frozen_end;
    recent->retired_txnid = txnid;
}

static void freeze(struct recent *recent)
{
    uint32_t *order[RECENT_TABLES];

    /* Sorted before it is shown; without memory the run just grows until there is some. */
    for (unsigned t = 0; t < RECENT_TABLES; t++)
        order[t] = run_sort(&recent->active[t], t);
    if (!order[RECENT_DEDUPE] || !order[RECENT_HEAD]) {
        free(order[RECENT_DEDUPE]);
        free(order[RECENT_HEAD]);
        return;
    }
    pthread_mutex_lock(&recent->lock);
    for (unsigned t = 0; t < RECENT_TABLES; t++) {
        recent->frozen[t] = recent->active[t];
        memset(&recent->active[t], 0, sizeof(recent->active[t]));
        recent->order[t] = order[t];
        recent->merged[t] = 0;
    }
    pthread_mutex_unlock(&recent->lock);
    recent->is_frozen = true;
    recent->freeze_wanted = false;
    recent->frozen_end = recent->next_row;
}

void recent_committed(struct store_txn *txn, size_t txnid)
{
    struct recent *recent = &txn->store->recent;
    struct recent_txn *part = &txn->recent;
    bool merged = recent->is_frozen;
    size_t before = recent->active[RECENT_DEDUPE].count + recent->active[RECENT_HEAD].count;
    size_t most = 0;

    pthread_mutex_lock(&recent->lock);
    for (unsigned t = 0; t < RECENT_TABLES; t++) {
        const struct run *run = &part->pending[t];
        for (size_t i = 0; i < run->count; i++) {
            const uint8_t *entry = run_entry(run, t, i);
            run_put(&recent->active[t], t, entry, entry + kinds[t].key_bytes);
        }
        recent->merged[t] = part->merged[t];
        merged = merged && recent->merged[t] == recent->frozen[t].count;
        if (recent->active[t].count > most)
            most = recent->active[t].count;
    }
    recent->first_row = part->first_row;
    recent->next_row = part->next_row;
    recent->applied_txnid = txnid;
    if (merged)
        retire(recent, txnid);
    pthread_mutex_unlock(&recent->lock);
    if (before == 0)
        recent->since_ms = clock_mono_ms();
    if (!recent->is_frozen && most > 0 &&
        (most >= RECENT_MAX || recent->freeze_wanted ||
         clock_mono_ms() - recent->since_ms >= RECENT_AGE_MS))
        freeze(recent);
}

bool recent_has_day_before(struct store_txn *txn, uint32_t day)
{
    struct recent *recent = &txn->store->recent;

    if (least_day(&recent->active[RECENT_DEDUPE]) < day)
        recent->freeze_wanted = true;
    return recent->freeze_wanted || least_day(&recent->frozen[RECENT_DEDUPE]) < day ||
           least_day(&txn->recent.pending[RECENT_DEDUPE]) < day ||
           (recent->first_row < recent->dead_end && recent->dead_day < day);
}

/* ---- start and end ---- */

int recent_init(struct recent *recent)
{
    memset(recent, 0, sizeof(*recent));
    return pthread_mutex_init(&recent->lock, NULL) == 0 ? 0 : SLUIS_ESYS;
}

static void recent_drop(struct recent *recent)
{
    for (unsigned t = 0; t < RECENT_TABLES; t++) {
        run_free(&recent->active[t]);
        run_free(&recent->frozen[t]);
        free(recent->order[t]);
        recent->order[t] = NULL;
        recent->merged[t] = 0;
    }
    recent->is_frozen = recent->freeze_wanted = false;
    recent->dead_day = UINT32_MAX;
}

void recent_free(struct recent *recent)
{
    recent_drop(recent);
    pthread_mutex_destroy(&recent->lock);
}

void recent_txn_free(struct recent_txn *part)
{
    for (unsigned t = 0; t < RECENT_TABLES; t++)
        run_free(&part->pending[t]);
}

static int load_row(struct recent *recent, struct span row)
{
    if (row.n < 1 || (uint8_t)row.p[0] >= RECENT_TABLES)
        return MDB_CORRUPTED;
    enum recent_table t = (enum recent_table)row.p[0];
    row = span_from(row, 1);
    if (row.n == 0 || row.n % entry_bytes(t) != 0)
        return MDB_CORRUPTED;
    if (run_reserve(&recent->active[t], t, row.n / entry_bytes(t)) != 0)
        return ENOMEM;
    for (; row.n > 0; row = span_from(row, entry_bytes(t))) {
        const uint8_t *entry = (const uint8_t *)row.p;
        run_put(&recent->active[t], t, entry, entry + kinds[t].key_bytes);
    }
    return 0;
}

int recent_load(struct store *store, MDB_txn *txn)
{
    struct recent *recent = &store->recent;
    MDB_cursor *cursor;
    MDB_val key, value;

    int rc = mdb_cursor_open(txn, store->dbi[DB_RECENT], &cursor);
    if (rc)
        return rc;
    pthread_mutex_lock(&recent->lock);
    recent_drop(recent);
    bool first = true;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        rc = key.mv_size == 8 ? load_row(recent, span_of_val(value)) : MDB_CORRUPTED;
        if (rc)
            break;
        recent->next_row = be64_get(key.mv_data) + 1;
        if (first)
            recent->first_row = recent->dead_end = recent->next_row - 1;
        first = false;
    }
    /* An empty table: row numbers may begin again, nothing refers to them. */
    recent->applied_txnid = recent->retired_txnid = mdb_txn_id(txn);
    recent->since_ms = clock_mono_ms();
    pthread_mutex_unlock(&recent->lock);
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* ---- readers ---- */

int recent_get(struct store_read *read, enum recent_table t, const uint8_t *key, uint8_t *value)
{
    struct recent *recent = &read->store->recent;
    struct store_read *fresh = read;
    struct span found_row;

    pthread_mutex_lock(&recent->lock);
    const uint8_t *found = run_find(&recent->active[t], t, key);
    if (!found)
        found = run_find(&recent->frozen[t], t, key);
    if (found)
        memcpy(value, found, kinds[t].value_bytes);
    size_t least = found ? recent->applied_txnid : recent->retired_txnid;
    pthread_mutex_unlock(&recent->lock);

    /* What memory shows, or has just given to the tree, may be younger than the transaction. */
    int rc = read_freshen(read, least, &fresh);
    if (!rc && !found) {
        rc = read_get(fresh, read->store->dbi[kinds[t].db], key, kinds[t].key_bytes, &found_row);
        if (!rc && found_row.n != kinds[t].value_bytes)
            rc = SLUIS_EIO;
        if (!rc)
            memcpy(value, found_row.p, found_row.n);
    }
    if (fresh && fresh != read)
        store_read_end(fresh);
    return rc;
}

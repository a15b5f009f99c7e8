/* Counts of an hour: in memory while it changes, a sealed row when it is written. */
#include "room.h"

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/log.h"

#include <math.h>
#include <stdlib.h>

#define VERSION 1
#define KEY_BYTES (1 + 4 + 2 + 2 + 8)
#define PART 'S'

static const char *const words[N_COUNTS] = {
    [N_IN] = "in",
    [N_OUT] = "out",
    [N_STATUS] = "statuses",
    [N_MEDIA] = "with_media",
    [N_UNJUDGED] = "unjudged",
    [N_BEGUN] = "conversations_begun",
    [N_ENDED] = "conversations_ended",
    [N_ANSWERED] = "conversations_answered",
    [N_TARGET_MET] = "target_met",
    [N_TARGET_MISSED] = "target_missed",
    [N_WINDOW_MISSED] = "window_missed",
    [N_OFFERED] = "offered",
    [N_DELIVERED] = "delivered",
    [N_PARKED] = "parked",
    [N_EXPIRED] = "expired",
    [N_DROPPED] = "dropped",
    [N_SENT] = "sent",
    [N_SEND_FAILED] = "send_failed",
    [N_REFUSED] = "refused",
    [N_WITHHELD] = "withheld",
    [N_MASKED] = "masked",
};

const char *count_word(enum count count)
{
    return words[count];
}

unsigned wait_bucket(int64_t ms)
{
    if (ms <= 1000)
        return 0;
    int at = (int)(4 * log2((double)ms / 1000)) + 1;
    return at >= WAIT_BUCKETS ? WAIT_BUCKETS - 1 : (unsigned)at;
}

uint64_t wait_quantile(const uint64_t *buckets, double share)
{
    uint64_t all = 0, seen = 0;
    for (unsigned i = 0; i < WAIT_BUCKETS; i++)
        all += buckets[i];
    if (all == 0)
        return 0;
    for (unsigned i = 0; i < WAIT_BUCKETS; i++) {
        seen += buckets[i];
        if ((double)seen >= share * (double)all) /* the middle of the bucket */
            return i == 0 ? 1 : (uint64_t)(exp2((i - 0.5) / 4) + 0.5);
    }
    return 0;
}

static void key_write(const struct cell_key *key, uint8_t out[KEY_BYTES])
{
    out[0] = 'h';
    be32_put(out + 1, key->hour);
    be16_put(out + 5, key->channel);
    be16_put(out + 7, key->route);
    memcpy(out + 9, key->tag, sizeof(key->tag));
}

static struct record_id record_of(const uint8_t *key, size_t n)
{
    /* One row, one place: hour, channel and route; the tag stands in the text. */
    uint64_t serial = n == KEY_BYTES ? (uint64_t)be32_get(key + 1) << 32 |
                                           (uint64_t)be16_get(key + 5) << 16 | be16_get(key + 7)
                                     : 1;
    return (struct record_id){.serial = serial, .part = PART};
}

static bool same_key(const struct cell_key *a, const struct cell_key *b)
{
    return a->hour == b->hour && a->channel == b->channel && a->route == b->route &&
           memcmp(a->tag, b->tag, sizeof(a->tag)) == 0;
}

static unsigned bucket_of(const struct cell_key *key)
{
    uint64_t h = key->hour * 0x9e3779b97f4a7c15ull ^ (uint64_t)key->channel << 32 ^
                 (uint64_t)key->route << 16 ^ be32_get(key->tag);
    return (unsigned)(h * 0x9e3779b97f4a7c15ull >> 40) % CELL_BUCKETS;
}

/* ---- variable-length numbers ---- */

static void add_number(struct buffer *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buffer_add_char(out, (char)(v | 0x80));
    buffer_add_char(out, (char)v);
}

/* Runs of zeros are one byte 0 and their length. */
static void add_numbers(struct buffer *out, const uint64_t *v, unsigned n)
{
    for (unsigned i = 0; i < n;) {
        unsigned zeros = 0;
        while (i + zeros < n && v[i + zeros] == 0)
            zeros++;
        if (zeros) {
            buffer_add_char(out, 0);
            add_number(out, zeros);
            i += zeros;
        } else {
            add_number(out, v[i++]);
        }
    }
}

static int take_number(struct span *in, uint64_t *out)
{
    unsigned shift = 0;
    *out = 0;
    for (;;) {
        if (in->n == 0 || shift > 56)
            return SLUIS_EINVAL;
        uint8_t byte = (uint8_t)in->p[0];
        *in = span_from(*in, 1);
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return 0;
        shift += 7;
    }
}

static int take_numbers(struct span *in, uint64_t *v, unsigned n)
{
    for (unsigned i = 0; i < n;) {
        uint64_t value, zeros;
        int r = take_number(in, &value);
        if (r == 0 && value == 0)
            r = take_number(in, &zeros);
        if (r != 0 || (value == 0 && (zeros == 0 || zeros > n - i)))
            return SLUIS_EINVAL;
        if (value)
            v[i++] = value;
        else
            i += (unsigned)zeros;
    }
    return 0;
}

/* ---- rows ---- */

static void cell_write(const struct cell *cell, struct buffer *out)
{
    uint8_t key[KEY_BYTES];
    key_write(&cell->key, key);
    buffer_add_char(out, VERSION);
    buffer_add(out, span_of(key, sizeof(key)));
    buffer_add_char(out, (char)strlen(cell->name));
    buffer_add_str(out, cell->name);
    buffer_add_char(out, N_COUNTS);
    add_numbers(out, cell->n, N_COUNTS);
    add_numbers(out, cell->types, TYPES);
    add_numbers(out, cell->first, WAIT_BUCKETS);
    add_numbers(out, cell->follow_up, WAIT_BUCKETS);
}

static int cell_parse(struct span key, struct span text, struct cell *out)
{
    const uint8_t *k = (const uint8_t *)key.p;
    memset(out, 0, sizeof(*out));
    if (text.n < KEY_BYTES + 3 || text.p[0] != VERSION || memcmp(text.p + 1, key.p, KEY_BYTES) != 0)
        return SLUIS_ECRYPTO; /* sealed as another row */
    out->key = (struct cell_key){be32_get(k + 1), be16_get(k + 5), be16_get(k + 7), {0}};
    memcpy(out->key.tag, k + 9, sizeof(out->key.tag));
    text = span_from(text, 1 + KEY_BYTES);
    size_t name = (uint8_t)text.p[0];
    if (name >= STATS_TAG_SIZE || text.n < name + 2)
        return SLUIS_EINVAL;
    memcpy(out->name, text.p + 1, name);
    unsigned counts = (uint8_t)text.p[1 + name];
    text = span_from(text, name + 2);
    int r = counts <= N_COUNTS ? take_numbers(&text, out->n, counts) : SLUIS_EINVAL;
    if (r == 0)
        r = take_numbers(&text, out->types, TYPES);
    if (r == 0)
        r = take_numbers(&text, out->first, WAIT_BUCKETS);
    return r ? r : take_numbers(&text, out->follow_up, WAIT_BUCKETS);
}

int cell_read(struct stats *s, struct span key, struct span value, struct cell *out)
{
    struct buffer plain;
    if (key.n != KEY_BYTES || key.p[0] != 'h')
        return SLUIS_ENOENT;
    const struct record_id id = record_of((const uint8_t *)key.p, key.n);
    buffer_init(&plain, STORE_VALUE_MAX);
    int r = record_open(s->keys, STORE_TABLE_STATS, &id, value, &plain);
    if (r == 0)
        r = cell_parse(key, buffer_span(&plain), out);
    buffer_free(&plain);
    return r;
}

void cell_merge(struct cell *into, const struct cell *from)
{
    for (unsigned i = 0; i < N_COUNTS; i++)
        into->n[i] += from->n[i];
    for (unsigned i = 0; i < TYPES; i++)
        into->types[i] += from->types[i];
    for (unsigned i = 0; i < WAIT_BUCKETS; i++) {
        into->first[i] += from->first[i];
        into->follow_up[i] += from->follow_up[i];
    }
}

/* What is on disk of this hour already: a restart, or it was dropped from memory. */
static int load(struct stats *s, struct cell *cell)
{
    uint8_t key[KEY_BYTES];
    struct store_read *read;
    struct arena arena;
    struct span value;
    struct cell old;
    key_write(&cell->key, key);
    int r = store_read_begin(s->deps.store, &read);
    if (r != 0)
        return r;
    arena_init(&arena, 16 * 1024);
    r = store_get_row(read, STORE_TABLE_STATS, span_of(key, sizeof(key)), &arena, &value);
    if (r == 0 && (r = cell_read(s, span_of(key, sizeof(key)), value, &old)) == 0)
        cell_merge(cell, &old);
    arena_free(&arena);
    store_read_end(read);
    return r == SLUIS_ENOENT ? 0 : r;
}

struct cell *cell_of(struct stats *s, const struct cell_key *key)
{
    struct cell **at = &s->cells[bucket_of(key)];
    for (struct cell *c = *at; c; c = c->next)
        if (same_key(&c->key, key))
            return c;
    struct cell *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->key = *key;
    if (load(s, c) != 0) {
        free(c); /* a row that does not open: its hour is not made smaller by a new one */
        LOG(LOG_ALARM, "stats", "row_not_read", log_u64("hour", key->hour));
        return NULL;
    }
    c->next = *at;
    *at = c;
    s->cell_count++;
    return c;
}

void cell_add(struct stats *s, int64_t at_ms, uint16_t channel, uint16_t route, enum count what,
              uint64_t n)
{
    const struct cell_key key = {(uint32_t)(at_ms / HOUR_MS), channel, route, {0}};
    struct cell *c = s->quiet ? NULL : cell_of(s, &key);
    if (c) {
        c->n[what] += n;
        c->changed = true;
    }
}

/* ---- writing ---- */

struct flush {
    struct store_job job;
    unsigned n;
    struct buffer place;
    struct {
        uint8_t key[KEY_BYTES];
        struct buffer value;
        struct cell *cell;
    } rows[];
};

static int run_flush(struct store_txn *txn, struct store_job *job)
{
    struct flush *f = (struct flush *)job;
    for (unsigned i = 0; i < f->n; i++)
        store_put_row(txn, STORE_TABLE_STATS, span_of(f->rows[i].key, KEY_BYTES),
                      buffer_span(&f->rows[i].value));
    store_put_row(txn, STORE_TABLE_STATS, SPAN("c"), buffer_span(&f->place));
    return store_txn_error(txn);
}

static int seal(struct stats *s, const uint8_t *key, size_t n, struct span plain,
                struct buffer *out)
{
    const struct record_id id = record_of(key, n);
    return record_seal(s->keys, STORE_TABLE_STATS, &id, 0, plain, out);
}

static int gather(struct stats *s, struct flush *f)
{
    struct buffer plain;
    int r = 0;
    buffer_init(&plain, STORE_VALUE_MAX);
    for (unsigned b = 0; r == 0 && b < CELL_BUCKETS; b++) {
        for (struct cell *c = s->cells[b]; r == 0 && c; c = c->next) {
            if (!c->changed)
                continue;
            buffer_clear(&plain);
            cell_write(c, &plain);
            key_write(&c->key, f->rows[f->n].key);
            buffer_init(&f->rows[f->n].value, STORE_VALUE_MAX);
            f->rows[f->n].cell = c;
            r = plain.error ? plain.error
                            : seal(s, f->rows[f->n].key, KEY_BYTES, buffer_span(&plain),
                                   &f->rows[f->n].value);
            f->n++;
        }
    }
    buffer_clear(&plain);
    buffer_add_char(&plain, VERSION);
    buffer_add_be64(&plain, s->order);
    buffer_add_be64(&plain, s->leaf);
    buffer_init(&f->place, STORE_VALUE_MAX);
    if (r == 0)
        r = seal(s, (const uint8_t *)"c", 1, buffer_span(&plain), &f->place);
    buffer_free(&plain);
    return r;
}

int cells_flush(struct stats *s)
{
    unsigned changed = 0;
    if (s->order < s->quiet_to)
        return 0; /* what was counted before is gone over again: how far it was stands */
    for (unsigned b = 0; b < CELL_BUCKETS; b++)
        for (const struct cell *c = s->cells[b]; c; c = c->next)
            changed += c->changed;
    struct flush *f = calloc(1, sizeof(*f) + changed * sizeof(f->rows[0]));
    if (!f)
        return SLUIS_ENOMEM;
    f->job.priority = STORE_NORMAL;
    f->job.run = run_flush;
    int r = gather(s, f);
    if (r == 0)
        r = store_submit_wait(s->deps.store, &f->job);
    for (unsigned i = 0; i < f->n; i++) {
        if (r == 0)
            f->rows[i].cell->changed = false;
        buffer_free(&f->rows[i].value);
    }
    buffer_free(&f->place);
    free(f);
    if (r == 0 && s->cell_count > CELLS_MAX / 2)
        cells_drop(s);
    return r;
}

void cells_drop(struct stats *s)
{
    for (unsigned b = 0; b < CELL_BUCKETS; b++) {
        while (s->cells[b]) {
            struct cell *c = s->cells[b];
            s->cells[b] = c->next;
            free(c);
        }
    }
    s->cell_count = 0;
}

int place_load(struct stats *s, bool *known)
{
    struct store_read *read;
    struct arena arena;
    struct buffer plain;
    struct span value;
    const struct record_id id = record_of((const uint8_t *)"c", 1);
    *known = false;
    int r = store_read_begin(s->deps.store, &read);
    if (r != 0)
        return r;
    arena_init(&arena, 16 * 1024);
    buffer_init(&plain, 64);
    r = store_get_row(read, STORE_TABLE_STATS, SPAN("c"), &arena, &value);
    if (r == 0)
        r = record_open(s->keys, STORE_TABLE_STATS, &id, value, &plain);
    if (r == 0 && (plain.n != 17 || plain.p[0] != VERSION))
        r = SLUIS_EINVAL;
    if (r == 0) {
        s->order = be64_get((const uint8_t *)plain.p + 1);
        s->leaf = be64_get((const uint8_t *)plain.p + 9);
        *known = true;
    }
    buffer_free(&plain);
    arena_free(&arena);
    store_read_end(read);
    return r == SLUIS_ENOENT ? 0 : r;
}

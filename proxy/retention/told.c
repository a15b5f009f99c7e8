/* What routes are told: the rows. */
#include "sluis/retention.h"

#include "sluis/base/encode.h"

#define HEAD 'T'
#define MESSAGES 'V'
#define OUTCOME 'U'
#define HEAD_BYTES 12
#define OUTCOME_BYTES 11
#define TOLD_ARENA 8192
_Static_assert(RETENTION_TOLD_MAX * 4 <= STORE_VALUE_MAX, "a row holds the messages of one");

static void told_key(char prefix, uint64_t event, uint64_t serial, uint8_t out[RETENTION_TOLD_KEY])
{
    out[0] = (uint8_t)prefix;
    be64_put(out + 1, event);
    be64_put(out + 9, serial);
}

void retention_told_put(struct store_txn *txn, const struct retention_told *told,
                        const uint32_t *messages)
{
    uint8_t key[RETENTION_TOLD_KEY], head[HEAD_BYTES], list[RETENTION_TOLD_MAX * 4];
    be16_put(head, told->route);
    be16_put(head + 2, told->messages);
    be64_put(head + 4, (uint64_t)told->made_ms);
    told_key(HEAD, told->event, told->serial, key);
    store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), span_of(head, sizeof(head)));
    if (told->messages == 0 || told->messages > RETENTION_TOLD_MAX) {
        store_txn_fail(txn, SLUIS_EINVAL);
        return;
    }
    for (unsigned i = 0; i < told->messages; i++)
        be32_put(list + (size_t)i * 4, messages[i]);
    told_key(MESSAGES, told->event, told->serial, key);
    store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)),
                  span_of(list, (size_t)told->messages * 4));
}

int retention_told_messages(struct store_read *read, uint64_t event, uint64_t serial,
                            uint32_t out[RETENTION_TOLD_MAX], unsigned *n)
{
    uint8_t key[RETENTION_TOLD_KEY];
    struct arena arena;
    struct span value;
    told_key(MESSAGES, event, serial, key);
    arena_init(&arena, TOLD_ARENA);
    int r = store_get_row(read, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), &arena, &value);
    if (r == 0 && (value.n % 4 != 0 || value.n / 4 > RETENTION_TOLD_MAX))
        r = SLUIS_EIO;
    *n = r == 0 ? (unsigned)(value.n / 4) : 0;
    for (unsigned i = 0; i < *n; i++)
        out[i] = be32_get((const uint8_t *)value.p + (size_t)i * 4);
    arena_free(&arena);
    return r;
}

void retention_told_settle(struct store_txn *txn, const struct retention_told *told)
{
    uint8_t key[RETENTION_TOLD_KEY], value[OUTCOME_BYTES];
    bool parked = told->outcome == RETENTION_TOLD_PARKED; /* it may yet be tried again */
    told_key(MESSAGES, told->event, told->serial, key);
    if (!parked)
        store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), SPAN_EMPTY);
    if (told->event & RETENTION_TOLD_EXPIRED) {
        if (parked)
            return;
        told_key(HEAD, told->event, told->serial, key);
        store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), SPAN_EMPTY);
        return;
    }
    value[0] = told->outcome;
    be16_put(value + 1, told->status);
    be64_put(value + 3, (uint64_t)told->settled_ms);
    told_key(OUTCOME, told->event, told->serial, key);
    store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)),
                  span_of(value, sizeof(value)));
}

struct walk {
    struct store_read *read;
    uint64_t event;
    int (*each)(void *ctx, const struct retention_told *told);
    void *ctx;
};

static int take_outcome(void *ctx, struct span key, struct span value)
{
    struct retention_told *t = ctx;
    const uint8_t *v = (const uint8_t *)value.p;
    uint8_t want[RETENTION_TOLD_KEY];
    told_key(OUTCOME, t->event, t->serial, want);
    if (!span_eq(key, span_of(want, sizeof(want))))
        return 1;
    if (value.n != OUTCOME_BYTES)
        return SLUIS_EIO;
    t->outcome = v[0];
    t->status = be16_get(v + 1);
    t->settled_ms = (int64_t)be64_get(v + 3);
    return 1;
}

static int take_head(void *ctx, struct span key, struct span value)
{
    struct walk *w = ctx;
    const uint8_t *k = (const uint8_t *)key.p, *v = (const uint8_t *)value.p;
    uint8_t from[RETENTION_TOLD_KEY];
    if (key.n != RETENTION_TOLD_KEY || k[0] != HEAD || be64_get(k + 1) != w->event)
        return 1;
    if (value.n != HEAD_BYTES)
        return SLUIS_EIO;
    struct retention_told t = {.event = w->event,
                               .serial = be64_get(k + 9),
                               .route = be16_get(v),
                               .messages = be16_get(v + 2),
                               .made_ms = (int64_t)be64_get(v + 4)};
    told_key(OUTCOME, t.event, t.serial, from);
    int r =
        store_each_row(w->read, STORE_TABLE_SUBJECT, span_of(from, sizeof(from)), take_outcome, &t);
    return r < 0 ? r : w->each(w->ctx, &t);
}

int retention_told_each(struct store_read *read, uint64_t event,
                        int (*each)(void *ctx, const struct retention_told *told), void *ctx)
{
    struct walk w = {read, event, each, ctx};
    uint8_t from[RETENTION_TOLD_KEY];
    told_key(HEAD, event, 0, from);
    return store_each_row(read, STORE_TABLE_SUBJECT, span_of(from, sizeof(from)), take_head, &w);
}

void retention_told_forget(struct store_txn *txn, const struct retention_told *told)
{
    static const char prefixes[] = {HEAD, MESSAGES, OUTCOME};
    uint8_t key[RETENTION_TOLD_KEY];
    for (size_t i = 0; i < sizeof(prefixes); i++) {
        told_key(prefixes[i], told->event, told->serial, key);
        store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), SPAN_EMPTY);
    }
}

struct old {
    int64_t before_ms;
    struct retention_told *out;
    unsigned max, n;
};

static int take_old(void *ctx, struct span key, struct span value)
{
    struct old *o = ctx;
    const uint8_t *k = (const uint8_t *)key.p, *v = (const uint8_t *)value.p;
    if (key.n != RETENTION_TOLD_KEY || k[0] != HEAD || o->n == o->max)
        return 1;
    if (value.n != HEAD_BYTES)
        return SLUIS_EIO;
    if ((int64_t)be64_get(v + 4) < o->before_ms)
        o->out[o->n++] = (struct retention_told){.event = be64_get(k + 1),
                                                 .serial = be64_get(k + 9),
                                                 .route = be16_get(v),
                                                 .messages = be16_get(v + 2),
                                                 .made_ms = (int64_t)be64_get(v + 4)};
    return 0;
}

int retention_told_before(struct store_read *read, int64_t before_ms, struct retention_told *out,
                          unsigned max, unsigned *n)
{
    struct old o = {before_ms, out, max, 0};
    uint8_t from[RETENTION_TOLD_KEY];
    told_key(HEAD, 0, 0, from);
    int r = store_each_row(read, STORE_TABLE_SUBJECT, span_of(from, sizeof(from)), take_old, &o);
    *n = o.n;
    return r < 0 ? r : 0;
}

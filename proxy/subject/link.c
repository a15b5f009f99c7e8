/* Links between subjects that a number change makes. */
#include "resolver.h"

#include "sluis/base/encode.h"

#define ROW_LINK 'N'
#define LINK_KEY 17

static void link_key(uint64_t a, uint64_t b, uint8_t out[LINK_KEY])
{
    out[0] = ROW_LINK;
    be64_put(out + 1, a);
    be64_put(out + 9, b);
}

void subject_link(struct store_txn *txn, uint64_t a, uint64_t b, int64_t at_ms)
{
    uint8_t key[LINK_KEY], since[8];
    if (!a || !b || a == b)
        return;
    be64_put(since, (uint64_t)at_ms);
    for (unsigned i = 0; i < 2; i++) {
        link_key(i ? b : a, i ? a : b, key);
        store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)),
                      span_of(since, sizeof(since)));
    }
}

void subject_unlink(struct store_txn *txn, uint64_t a, uint64_t b)
{
    uint8_t key[LINK_KEY];
    for (unsigned i = 0; i < 2; i++) {
        link_key(i ? b : a, i ? a : b, key);
        store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), SPAN_EMPTY);
    }
}

struct links {
    uint64_t subject, *out;
    unsigned n;
};

static int take_link(void *ctx, struct span key, struct span value)
{
    struct links *l = ctx;
    const uint8_t *k = (const uint8_t *)key.p;
    (void)value;
    if (key.n != LINK_KEY || k[0] != ROW_LINK || be64_get(k + 1) != l->subject ||
        l->n == SUBJECT_LINKS_MAX)
        return 1;
    l->out[l->n++] = be64_get(k + 9);
    return 0;
}

int subject_links(struct store_read *read, uint64_t subject, uint64_t out[SUBJECT_LINKS_MAX],
                  unsigned *n)
{
    struct links l = {.subject = subject, .out = out};
    uint8_t from[LINK_KEY];
    link_key(subject, 0, from);
    int r = store_each_row(read, STORE_TABLE_SUBJECT, span_of(from, sizeof(from)), take_link, &l);
    *n = l.n;
    return r < 0 ? r : 0;
}

static int take_first(void *ctx, struct span key, struct span value)
{
    const uint8_t *prefix = ctx;
    (void)value;
    bool is = span_starts(key, span_of(prefix, SUBJECT_RECORD_PREFIX));
    return is ? SLUIS_EEXIST : 1;
}

int subject_known(struct store_read *read, uint64_t subject)
{
    uint8_t prefix[SUBJECT_RECORD_PREFIX];
    subject_record_prefix(subject, prefix);
    int r = store_each_row(read, STORE_TABLE_SUBJECT, span_of(prefix, sizeof(prefix)), take_first,
                           prefix);
    return r == SLUIS_EEXIST ? 0 : r < 0 ? r : SLUIS_ENOENT;
}

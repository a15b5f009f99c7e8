/* The reference's look-up rows, and the end of a subject. */
#include "room.h"

#include <sodium.h>
#include <stdlib.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"

#define PAGE_ROWS 32 /* rows of one read transaction, and of one job */

/* ---- looking up ---- */

struct finding_refs {
    uint8_t prefix[REF_HASH_KEY];
    uint16_t channel;
    struct contact_id *out;
    unsigned max, n;
};

static int take_ref(void *ctx, struct span key, struct span value)
{
    struct finding_refs *f = ctx;
    (void)value;
    if (key.n != REF_KEY || memcmp(key.p, f->prefix, REF_HASH_KEY) != 0)
        return 1;
    const uint8_t *at = (const uint8_t *)key.p + REF_HASH_KEY;
    const struct contact_id id = {be16_get(at), be64_get(at + 2)};
    bool seen = f->channel && f->channel != id.channel;
    for (unsigned i = 0; i < f->n; i++) /* under the other key */
        seen |= f->out[i].channel == id.channel && f->out[i].subject == id.subject;
    if (!seen)
        f->out[f->n++] = id;
    return f->n == f->max;
}

int contact_ref_find(struct contacts *c, uint16_t channel, struct span reference,
                     struct contact_id *out, unsigned max)
{
    struct finding_refs f = {.channel = channel, .out = out, .max = max};
    struct store_read *read;
    if (reference.n == 0 || reference.n > CONTACT_REFERENCE_MAX || max == 0)
        return 0;
    struct keyring_hashes hashes;
    keyring_hash_identifiers(c->keyring, REF_LABEL, reference, &hashes);
    int r = store_read_begin(c->store, &read);
    if (r != 0)
        return r;
    for (unsigned i = 0; r == 0 && i < hashes.n && f.n < max; i++) {
        f.prefix[0] = 'X';
        memcpy(f.prefix + 1, hashes.hash[i], STORE_HASH_BYTES);
        r = store_each_row(read, STORE_TABLE_SUBJECT, span_of(f.prefix, REF_HASH_KEY), take_ref,
                           &f);
    }
    store_read_end(read);
    return r < 0 ? r : (int)f.n;
}

/* ---- all rows of a subject, a page at a time ---- */

struct page {
    struct {
        uint8_t key[ROW_KEY];
        uint8_t value[ROW_VALUE_MAX];
        size_t n;
    } row[PAGE_ROWS];
    unsigned n;
    uint64_t subject;
    bool more;
};

static int take_page(void *ctx, struct span key, struct span value)
{
    struct page *page = ctx;
    if (key.n != ROW_KEY || key.p[0] != 'K' ||
        be64_get((const uint8_t *)key.p + 1) != page->subject)
        return 1;
    if (page->n == PAGE_ROWS) {
        page->more = true;
        return 1;
    }
    memcpy(page->row[page->n].key, key.p, ROW_KEY);
    page->row[page->n].n = value.n <= ROW_VALUE_MAX ? value.n : 0;
    memcpy(page->row[page->n].value, value.p, page->row[page->n].n);
    page->n++;
    return 0;
}

/* Rows behind `after` (NULL: from the first). */
static int read_page(struct contacts *c, struct page *page, uint64_t subject, const uint8_t *after)
{
    uint8_t from[ROW_KEY + 1] = {'K'};
    struct store_read *read;
    be64_put(from + 1, subject);
    if (after)
        memcpy(from, after, ROW_KEY);
    page->n = 0;
    page->more = false;
    page->subject = subject;
    int r = store_read_begin(c->store, &read);
    if (r != 0)
        return r;
    r = store_each_row(read, STORE_TABLE_SUBJECT,
                       span_of(from, after ? ROW_KEY + 1 : ROW_SUBJECT_KEY), take_page, page);
    store_read_end(read);
    return r < 0 ? r : 0;
}

/* Each row of the subject; `each` returns 0 to go on. */
static int each_row(struct contacts *c, uint64_t subject,
                    int (*each)(void *ctx, struct contacts *c, const uint8_t key[ROW_KEY],
                                struct span value),
                    void *ctx)
{
    struct page *page = malloc(sizeof(*page));
    uint8_t last[ROW_KEY];
    int r = page ? read_page(c, page, subject, NULL) : SLUIS_ENOMEM;
    while (r == 0) {
        for (unsigned i = 0; r == 0 && i < page->n; i++)
            r = each(ctx, c, page->row[i].key, span_of(page->row[i].value, page->row[i].n));
        if (r != 0 || !page->more)
            break;
        memcpy(last, page->row[page->n - 1].key, ROW_KEY);
        r = read_page(c, page, subject, last);
    }
    free(page);
    return r;
}

static struct contact_id id_of(const uint8_t key[ROW_KEY])
{
    return (struct contact_id){be16_get(key + 9), be64_get(key + 1)};
}

/* ---- a new look-up key ---- */

struct rehash_job {
    struct store_job job;
    uint8_t key[ROW_KEY], old_link[REF_KEY], new_link[REF_KEY];
    struct buffer value;
};

static int run_rehash(struct store_txn *txn, struct store_job *job)
{
    struct rehash_job *j = (struct rehash_job *)(void *)job;
    const uint8_t one = ROW_VERSION;
    store_put_row(txn, STORE_TABLE_SUBJECT, span_of(j->old_link, REF_KEY), SPAN_EMPTY);
    store_put_row(txn, STORE_TABLE_SUBJECT, span_of(j->new_link, REF_KEY), span_of(&one, 1));
    store_put_row(txn, STORE_TABLE_SUBJECT, span_of(j->key, ROW_KEY), buffer_span(&j->value));
    return store_txn_error(txn);
}

static int rehash(void *ctx, struct contacts *c, const uint8_t key[ROW_KEY], struct span value)
{
    struct rehash_job j = {.job = {.priority = STORE_PURGE, .run = run_rehash}};
    struct contact_state state = {0};
    uint8_t hash[STORE_HASH_BYTES];
    (void)ctx;
    if (key[ROW_HASH_AT - 1] != ROW_REFERENCE || value.n <= STORE_HASH_BYTES)
        return 0;
    int r = contact_row_open(c, key, value, &state);
    if (r == SLUIS_EEXPIRED)
        return 0; /* erased: the rows go with the subject's */
    if (r != 0)
        return r;
    contact_ref_hash(c, span_str(state.reference), hash);
    sodium_memzero(&state, sizeof(state));
    if (memcmp(hash, value.p, STORE_HASH_BYTES) == 0)
        return 0;
    memcpy(j.key, key, ROW_KEY);
    contact_ref_key((const uint8_t *)value.p, id_of(key), j.old_link);
    contact_ref_key(hash, id_of(key), j.new_link);
    buffer_init(&j.value, ROW_VALUE_MAX);
    buffer_add(&j.value, span_of(hash, STORE_HASH_BYTES));
    buffer_add(&j.value, span_from(value, STORE_HASH_BYTES));
    r = j.value.error ? j.value.error : store_submit_wait(c->store, &j.job);
    buffer_free(&j.value);
    return r;
}

int contact_reindex(struct contacts *c, uint64_t subject)
{
    return each_row(c, subject, rehash, NULL);
}

/* ---- the end ---- */

struct forget_job {
    struct store_job job;
    struct page page;
};

static int run_forget(struct store_txn *txn, struct store_job *job)
{
    struct forget_job *j = (struct forget_job *)(void *)job;
    for (unsigned i = 0; i < j->page.n; i++) {
        const uint8_t *key = j->page.row[i].key;
        uint8_t link[REF_KEY];
        if (key[ROW_HASH_AT - 1] == ROW_REFERENCE && j->page.row[i].n > STORE_HASH_BYTES) {
            contact_ref_key(j->page.row[i].value, id_of(key), link);
            store_put_row(txn, STORE_TABLE_SUBJECT, span_of(link, REF_KEY), SPAN_EMPTY);
        }
        store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, ROW_KEY), SPAN_EMPTY);
    }
    return store_txn_error(txn);
}

int contact_forget(struct contacts *c, uint64_t subject)
{
    struct forget_job *j = calloc(1, sizeof(*j));
    int r = j ? 0 : SLUIS_ENOMEM;
    contact_memory_forget(c->memory, subject);
    for (bool more = true; r == 0 && more;) {
        r = read_page(c, &j->page, subject, NULL);
        more = j->page.more;
        j->job = (struct store_job){.priority = STORE_PURGE, .run = run_forget};
        if (r == 0 && j->page.n)
            r = store_submit_wait(c->store, &j->job);
    }
    free(j);
    return r;
}

/* ---- what must be remembered ---- */

static int look_living(void *ctx, struct contacts *c, const uint8_t key[ROW_KEY], struct span value)
{
    const int64_t *since_ms = ctx;
    struct contact_state state = {0};
    uint8_t kind = key[ROW_HASH_AT - 1];
    if (kind != ROW_CONSENT && kind != ROW_STOP)
        return 0;
    int r = contact_row_open(c, key, value, &state);
    if (r == SLUIS_EEXPIRED)
        return 0;
    const struct contact_consent *consent = &state.consents[0];
    bool living =
        r != 0 || (kind == ROW_STOP && state.stop && state.stop_ms > *since_ms) ||
        (kind == ROW_CONSENT && (!consent->withdrawn_ms || consent->withdrawn_ms > *since_ms));
    sodium_memzero(&state, sizeof(state));
    return living;
}

bool contact_living(struct contacts *c, uint64_t subject, int64_t now_ms)
{
    int64_t since_ms = now_ms - CONTACT_KEEP_MS;
    return each_row(c, subject, look_living, &since_ms) != 0;
}

struct listing {
    uint64_t *out;
    unsigned max, n;
    uint64_t from;
};

static int take_subject(void *ctx, struct span key, struct span value)
{
    struct listing *l = ctx;
    (void)value;
    if (key.n != ROW_KEY || key.p[0] != 'K')
        return 1;
    uint64_t subject = be64_get((const uint8_t *)key.p + 1);
    if (l->n && l->out[l->n - 1] == subject)
        return 0;
    if (l->n == l->max)
        return 1;
    l->out[l->n++] = subject;
    return 0;
}

int contact_subjects(struct contacts *c, uint64_t from, uint64_t *out, unsigned max)
{
    struct listing l = {.out = out, .max = max};
    uint8_t key[ROW_SUBJECT_KEY] = {'K'};
    struct store_read *read;
    be64_put(key + 1, from);
    int r = store_read_begin(c->store, &read);
    if (r != 0)
        return r;
    r = store_each_row(read, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), take_subject, &l);
    store_read_end(read);
    return r < 0 ? r : (int)l.n;
}

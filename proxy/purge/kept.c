/* What is kept of erasures: certificates, and what routes were told and answered. No content and no
 * identifier stands in them, but a subject's number, and when they were here: not for ever either.
 */
#include "room.h"

#include <stdlib.h>

#include "sluis/base/clock.h"

#define PAGE_ROWS 32
#define TOLD_SLICE 128
#define CERTIFICATE_PREFIX "purge.e"

struct certificates {
    struct store_job job;
    struct certificate_row {
        uint8_t key[CERTIFICATE_KEY_BYTES];
        uint8_t value[STORE_VALUE_MAX];
        size_t n;
        bool old;
    } at[PAGE_ROWS];
    unsigned n;
};

static int take_certificate(void *ctx, struct span key, struct span value)
{
    struct certificates *c = ctx;
    if (c->n == PAGE_ROWS || key.n != CERTIFICATE_KEY_BYTES ||
        !span_starts(key, SPAN(CERTIFICATE_PREFIX)))
        return 1;
    struct certificate_row *row = &c->at[c->n++];
    memcpy(row->key, key.p, key.n);
    row->n = value.n <= STORE_VALUE_MAX ? value.n : 0; /* 0: damaged, does not open */
    memcpy(row->value, value.p, row->n);
    return 0;
}

/* Before `day`, as RFC 3339 writes it? What does not open, or says no date, stays. */
static bool is_old(struct purge *p, const struct certificate_row *row, const char *before)
{
    static const char member[] = "\"destroyed_here\":\"";
    struct buffer plain;
    buffer_init(&plain, ROW_TEXT_MAX);
    int r = row_open(p, STORE_TABLE_SETTING, PART_CERTIFICATE, certificate_number(row->key),
                     span_of(row->value, row->n), &plain);
    const char *at = r == 0 ? memmem(plain.p, plain.n, member, sizeof(member) - 1) : NULL;
    size_t day = sizeof("2026-01-01") - 1;
    bool old = false;
    if (at && (size_t)(plain.p + plain.n - at) >= sizeof(member) - 1 + day)
        old = memcmp(at + sizeof(member) - 1, before, day) < 0;
    buffer_free(&plain);
    return old;
}

static int run_certificates(struct store_txn *txn, struct store_job *job)
{
    const struct certificates *c = (struct certificates *)(void *)job;
    for (unsigned i = 0; i < c->n; i++)
        if (c->at[i].old)
            store_put_row(txn, STORE_TABLE_SETTING, span_of(c->at[i].key, CERTIFICATE_KEY_BYTES),
                          SPAN_EMPTY);
    return store_txn_error(txn);
}

static int sweep_certificates(struct purge *p, int64_t before_ms)
{
    struct certificates *c = calloc(1, sizeof(*c));
    uint8_t from[CERTIFICATE_KEY_BYTES + 1] = CERTIFICATE_PREFIX;
    size_t from_n = sizeof(CERTIFICATE_PREFIX) - 1;
    char before[CLOCK_RFC3339_SIZE];
    int r = c ? 0 : SLUIS_ENOMEM;
    clock_rfc3339(before_ms, before);
    do {
        struct store_read *read;
        bool any = false;
        if (r == 0)
            r = store_read_begin(p->deps.store, &read);
        if (r != 0)
            break;
        c->n = 0;
        r = store_each_row(read, STORE_TABLE_SETTING, span_of(from, from_n), take_certificate, c);
        store_read_end(read);
        for (unsigned i = 0; r == 0 && i < c->n; i++)
            any |= c->at[i].old = is_old(p, &c->at[i], before);
        c->job = (struct store_job){.priority = STORE_PURGE, .run = run_certificates};
        if (r == 0 && any)
            r = store_submit_wait(p->deps.store, &c->job);
        if (r == 0 && c->n) { /* the key that follows the last one */
            memcpy(from, c->at[c->n - 1].key, CERTIFICATE_KEY_BYTES);
            from[CERTIFICATE_KEY_BYTES] = 0;
            from_n = sizeof(from);
        }
    } while (r == 0 && c->n == PAGE_ROWS && !purge_stopping(p));
    free(c);
    return r;
}

struct told_job {
    struct store_job job;
    struct retention_told at[TOLD_SLICE];
    unsigned n;
};

static int run_told(struct store_txn *txn, struct store_job *job)
{
    const struct told_job *j = (struct told_job *)(void *)job;
    for (unsigned i = 0; i < j->n; i++)
        retention_told_forget(txn, &j->at[i]);
    return store_txn_error(txn);
}

static int sweep_told(struct purge *p, int64_t before_ms)
{
    struct told_job *j = calloc(1, sizeof(*j));
    int r = j ? 0 : SLUIS_ENOMEM;
    do {
        struct store_read *read;
        if (r == 0)
            r = store_read_begin(p->deps.store, &read);
        if (r != 0)
            break;
        r = retention_told_before(read, before_ms, j->at, TOLD_SLICE, &j->n);
        store_read_end(read);
        j->job = (struct store_job){.priority = STORE_PURGE, .run = run_told};
        if (r == 0 && j->n)
            r = store_submit_wait(p->deps.store, &j->job);
    } while (r == 0 && j->n == TOLD_SLICE && !purge_stopping(p));
    free(j);
    return r;
}

int sweep_kept(struct purge *p, int64_t now_ms)
{
    int64_t before = now_ms - PURGE_CERTIFICATE_DAYS * DAY_MS;
    int r = before > 0 ? sweep_certificates(p, before) : 0;
    return r || before <= 0 ? r : sweep_told(p, before);
}

/* What is to be minded about a person: restriction, hold, erasure under way. A sealed row under the
 * person's own key, and the same in memory, since every delivery asks. */
#include "room.h"

#include <stdlib.h>

#include "sluis/base/encode.h"
#include "sluis/base/log.h"

#define MARK_FIXED 25

static struct record_id mark_id(uint64_t subject)
{
    return (struct record_id){.subject = subject, .serial = subject, .part = 'P'};
}

void mark_key(uint64_t subject, uint8_t key[ROW_SERIAL_KEY])
{
    key[0] = ROW_PERSON;
    be64_put(key + 1, subject);
}

int mark_seal(struct purge *p, const struct mark *m, struct buffer *out)
{
    uint8_t text[MARK_FIXED + sizeof(m->reason) + sizeof(m->author)];
    size_t reason = strlen(m->reason), author = strlen(m->author);
    const struct record_id id = mark_id(m->subject);
    text[0] = m->bits;
    be32_put(text + 1, m->hold);
    be64_put(text + 5, (uint64_t)m->until_ms);
    be64_put(text + 13, (uint64_t)m->since_ms);
    be16_put(text + 21, (uint16_t)reason);
    be16_put(text + 23, (uint16_t)author);
    memcpy(text + MARK_FIXED, m->reason, reason);
    memcpy(text + MARK_FIXED + reason, m->author, author);
    return record_seal(p->cache, STORE_TABLE_SUBJECT, &id, 0,
                       span_of(text, MARK_FIXED + reason + author), out);
}

static int mark_parse(struct span text, struct mark *m)
{
    const uint8_t *t = (const uint8_t *)text.p;
    if (text.n < MARK_FIXED)
        return SLUIS_ECRYPTO;
    size_t reason = be16_get(t + 21), author = be16_get(t + 23);
    if (reason >= sizeof(m->reason) || author >= sizeof(m->author) ||
        text.n != MARK_FIXED + reason + author)
        return SLUIS_ECRYPTO;
    m->bits = t[0];
    m->hold = be32_get(t + 1);
    m->until_ms = (int64_t)be64_get(t + 5);
    m->since_ms = (int64_t)be64_get(t + 13);
    memcpy(m->reason, t + MARK_FIXED, reason);
    memcpy(m->author, t + MARK_FIXED + reason, author);
    return 0;
}

/* ---- in memory ---- */

/* With the lock held: where the subject stands or would stand. */
static size_t place_of(const struct purge *p, uint64_t subject)
{
    size_t low = 0, high = p->mark_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (p->marks[middle].subject < subject)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool mark_get(struct purge *p, uint64_t subject, struct mark *out)
{
    pthread_rwlock_rdlock(&p->mark_lock);
    size_t at = place_of(p, subject);
    bool found = at < p->mark_count && p->marks[at].subject == subject;
    if (found)
        *out = p->marks[at];
    pthread_rwlock_unlock(&p->mark_lock);
    if (!found)
        *out = (struct mark){.subject = subject};
    return found;
}

int mark_set(struct purge *p, const struct mark *m)
{
    int r = 0;
    pthread_rwlock_wrlock(&p->mark_lock);
    size_t at = place_of(p, m->subject);
    bool found = at < p->mark_count && p->marks[at].subject == m->subject;
    if (!m->bits && found) {
        memmove(&p->marks[at], &p->marks[at + 1], (--p->mark_count - at) * sizeof(*m));
    } else if (m->bits && found) {
        p->marks[at] = *m;
    } else if (m->bits) {
        struct mark *wider = realloc(p->marks, (p->mark_count + 1) * sizeof(*m));
        if (wider) {
            p->marks = wider;
            memmove(&wider[at + 1], &wider[at], (p->mark_count++ - at) * sizeof(*m));
            wider[at] = *m;
        } else {
            r = SLUIS_ENOMEM;
        }
    }
    pthread_rwlock_unlock(&p->mark_lock);
    return r;
}

bool mark_any(struct purge *p, uint8_t bit)
{
    bool any = false;
    pthread_rwlock_rdlock(&p->mark_lock);
    for (size_t i = 0; i < p->mark_count && !any; i++)
        any = p->marks[i].bits & bit;
    pthread_rwlock_unlock(&p->mark_lock);
    return any;
}

/* The next marked subject behind `after` with the bit; 0 none. */
uint64_t mark_next(struct purge *p, uint64_t after, uint8_t bit)
{
    uint64_t subject = 0;
    pthread_rwlock_rdlock(&p->mark_lock);
    for (size_t i = place_of(p, after + 1); i < p->mark_count && !subject; i++)
        if (p->marks[i].bits & bit)
            subject = p->marks[i].subject;
    pthread_rwlock_unlock(&p->mark_lock);
    return subject;
}

bool purge_refused(struct purge *p, uint64_t subject)
{
    struct mark m;
    return mark_get(p, subject, &m) && m.bits & (MARK_RESTRICTED | MARK_ERASING | MARK_ERASED);
}

bool purge_held(struct purge *p, uint64_t subject)
{
    struct mark m;
    return mark_get(p, subject, &m) && m.bits & MARK_HELD;
}

/* ---- at start ---- */

struct load {
    struct purge *p;
    int error;
};

static int load_row(void *ctx, struct span key, struct span value)
{
    struct load *load = ctx;
    struct mark m = {0};
    struct buffer plain;
    if (key.n != ROW_SERIAL_KEY || key.p[0] != ROW_PERSON)
        return 1;
    m.subject = be64_get((const uint8_t *)key.p + 1);
    const struct record_id id = mark_id(m.subject);
    buffer_init(&plain, ROW_TEXT_MAX);
    int r = record_open(load->p->cache, STORE_TABLE_SUBJECT, &id, value, &plain);
    if (r == 0)
        r = mark_parse(buffer_span(&plain), &m);
    else if (r == SLUIS_EEXPIRED)
        r = 0, m.bits = MARK_ERASING; /* the key went, the rows are still there */
    buffer_free(&plain);
    if (r != 0) { /* fail closed: nothing of this person is shown until it is put right */
        LOG(LOG_ALARM, "purge", "person_row_unreadable", log_u64("subject", m.subject),
            log_error(r));
        m.bits = MARK_RESTRICTED;
    }
    load->error = mark_set(load->p, &m);
    return load->error;
}

int marks_load(struct purge *p)
{
    const uint8_t from[1] = {ROW_PERSON};
    struct load load = {.p = p};
    struct store_read *read;
    int r = store_read_begin(p->deps.store, &read);
    if (r != 0)
        return r;
    r = store_each_row(read, STORE_TABLE_SUBJECT, span_of(from, 1), load_row, &load);
    store_read_end(read);
    return load.error ? load.error : r;
}

/* ---- a change, on record ---- */

struct mark_job {
    struct store_job job;
    uint8_t key[ROW_SERIAL_KEY];
    struct buffer sealed;
    const struct audit_event *event;
};

static int run_mark(struct store_txn *txn, struct store_job *job)
{
    struct mark_job *j = (struct mark_job *)(void *)job;
    store_put_row(txn, STORE_TABLE_SUBJECT, span_of(j->key, ROW_SERIAL_KEY),
                  buffer_span(&j->sealed));
    if (j->event)
        audit_put(txn, j->event);
    return store_txn_error(txn);
}

int mark_write(struct purge *p, const struct mark *m, const struct audit_event *event)
{
    struct mark_job j = {.job = {.priority = STORE_PURGE, .run = run_mark}, .event = event};
    int r = 0;
    mark_key(m->subject, j.key);
    buffer_init(&j.sealed, STORE_VALUE_MAX);
    if (m->bits)
        r = mark_seal(p, m, &j.sealed);
    if (r == 0)
        r = store_submit_wait(p->deps.store, &j.job);
    buffer_free(&j.sealed);
    return r ? r : mark_set(p, m);
}

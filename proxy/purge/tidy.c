/*
 * What remains of past messages: the journal up to the first item that is not past (so that no
 * living item loses those before it in its conversation), and the index rows of persons all of
 * whose messages are past. A walk over the journal once a day.
 */
#include "room.h"

#include <stdlib.h>

#include "sluis/base/encode.h"
#include "sluis/base/clock.h"
#include "sluis/base/log.h"
#include "sluis/subject.h"

/* An item that nothing was stored of still serves dedupe and delivery this long. */
#define UNSTORED_KEEP_MS (10 * DAY_MS)
/* A route that was taken away never settles what it was due. */
#define UNSETTLED_KEEP_MS (30 * DAY_MS)
#define HEADS_MAX 4096 /* of one walk; the next one goes on */
#define IDENTIFIERS_MAX 4096
#define WALK_ITEMS 20000 /* in one read transaction */
#define CHANNELS_MAX 1024
#define PERSONS_PAGE 256
/* When a contact last wrote is needed for WhatsApp's 24-hour window, however short a message is
 * kept.
 */
#define WINDOW_KEEP_MS (DAY_MS + 3600 * 1000)

struct head {
    uint16_t channel;
    uint64_t subject, serial;
};
struct identifier {
    uint8_t hash[STORE_HASH_BYTES];
    uint64_t subject;
    uint8_t key; /* of the index */
    bool gone;
};
struct kept { /* a record of such a person, should it have to come back */
    uint8_t key[SUBJECT_KEY_BYTES];
    uint16_t n;
    uint8_t value[SUBJECT_RECORD_MAX];
};

struct tidy {
    struct purge *p;
    struct store_read *read;
    int64_t now_ms;
    uint32_t ended[STORE_CLASSES_MAX + 1]; /* NO_BUCKET: none */
    struct subjects living;                /* with an item that is not past */
    uint64_t past_to;                      /* every item up to this order is past */
    bool past_ended;
    struct head heads[HEADS_MAX];
    unsigned head_count;
    struct identifier identifiers[IDENTIFIERS_MAX];
    unsigned identifier_count;
    struct kept *records;
    unsigned record_count;
    uint64_t next; /* order to go on from */
    unsigned walked;
    bool more, all_found; /* every row of the index was looked at */
    uint8_t from_hash[STORE_HASH_BYTES];
    uint16_t channels;
};

static bool bucket_past(const struct tidy *t, uint16_t cls, uint32_t bucket)
{
    return cls == 0 ||
           (cls <= STORE_CLASSES_MAX && t->ended[cls] != NO_BUCKET && bucket <= t->ended[cls]);
}

static bool content_past(const struct tidy *t, const struct store_item *item)
{
    struct mark mark;
    if (mark_get(t->p, item->subject, &mark) && mark.bits & MARK_HELD)
        return false; /* the copies are found through the journal */
    if (t->p->deps.persons && item->taken_ms + WINDOW_KEEP_MS > t->now_ms)
        return false; /* the contact room asks when they wrote */
    if (!item->cls_o && !item->cls_m)
        return item->taken_ms + UNSTORED_KEEP_MS < t->now_ms;
    if (bucket_past(t, item->cls_o, item->bucket_o) && bucket_past(t, item->cls_m, item->bucket_m))
        return true;
    struct retention_moved moved; /* sealed anew, for less long perhaps */
    return retention_moved(t->read, item->serial, &moved) == 0 &&
           bucket_past(t, moved.cls_o, moved.bucket_o) &&
           bucket_past(t, moved.cls_m, moved.bucket_m);
}

/* Delivery has counted it: as delivered, parked or expired. */
static bool settled(struct tidy *t, const struct store_item *item)
{
    if (item->taken_ms + UNSETTLED_KEEP_MS < t->now_ms)
        return true;
    for (unsigned i = 0; i < item->route_count && i < STORE_ROUTES_MAX; i++) {
        uint64_t cursor;
        if (store_get_cursor(t->read, item->routes[i], &cursor) != 0 || cursor < item->order)
            return false;
    }
    return true;
}

static int look_at(void *ctx, const struct store_item *item)
{
    struct tidy *t = ctx;
    uint64_t count = 0;
    if (t->walked == WALK_ITEMS) {
        t->more = true;
        return 1;
    }
    t->walked++;
    t->next = item->order + 1;
    if (!content_past(t, item)) {
        t->past_ended = true;
        return subjects_add(&t->living, item->subject, &count);
    }
    if (item->subject && t->head_count < HEADS_MAX)
        t->heads[t->head_count++] = (struct head){item->channel, item->subject, item->serial};
    t->past_ended |= !settled(t, item);
    if (!t->past_ended)
        t->past_to = item->order;
    return 0;
}

/* Only items that are still the newest of their conversation: looked up after the walk, which must
 * not be disturbed. */
static void keep_heads(struct tidy *t, unsigned from)
{
    unsigned n = from;
    for (unsigned i = from; i < t->head_count; i++) {
        uint64_t serial;
        const struct head *h = &t->heads[i];
        if (store_get_head(t->read, h->channel, h->subject, &serial) == 0 && serial == h->serial)
            t->heads[n++] = *h;
    }
    t->head_count = n;
}

static int walk_journal(struct tidy *t)
{
    int r = 0;
    t->more = true;
    t->next = 1;
    while (r == 0 && t->more && !purge_stopping(t->p)) {
        unsigned before = t->head_count;
        t->more = false;
        t->walked = 0;
        r = store_read_begin(t->p->deps.store, &t->read);
        if (r != 0)
            return r;
        r = store_each_item(t->read, t->next, look_at, t);
        keep_heads(t, before);
        store_read_end(t->read);
    }
    struct mark mark;
    unsigned n = 0;
    for (unsigned i = 0; r == 0 && i < t->head_count; i++)
        if (!subjects_has(&t->living, t->heads[i].subject) && !t->more &&
            !mark_get(t->p, t->heads[i].subject, &mark))
            t->heads[n++] = t->heads[i];
    t->head_count = n; /* 0 when the walk did not come to the end */
    return r;
}

/* ---- changes ---- */

struct tidy_job {
    struct store_job job;
    struct tidy *t;
    unsigned at, n;
    struct store_sweep out;
};

static int run_journal(struct store_txn *txn, struct store_job *job)
{
    struct tidy_job *j = (struct tidy_job *)(void *)job;
    store_sweep_journal(txn, 1, j->t->past_to, &j->out);
    return store_txn_error(txn);
}

static int sweep_past(struct tidy *t)
{
    struct tidy_job j = {.job = {.priority = STORE_PURGE, .run = run_journal}, .t = t};
    int r = 0;
    while (r == 0 && t->past_to && !purge_stopping(t->p)) {
        int64_t began = clock_mono_us();
        r = store_submit_wait(t->p->deps.store, &j.job);
        if (r == 0)
            atomic_fetch_add(&t->p->swept_rows, j.out.rows);
        if (r != 0 || !j.out.more)
            break;
        sweep_pause(began);
    }
    return r;
}

static int run_heads(struct store_txn *txn, struct store_job *job)
{
    struct tidy_job *j = (struct tidy_job *)(void *)job;
    for (unsigned i = j->at; i < j->at + j->n; i++) {
        const struct head *h = &j->t->heads[i];
        (void)store_delete_head(txn, h->channel, h->subject, h->serial);
    }
    return store_txn_error(txn);
}

static int by_subject(const void *a, const void *b)
{
    uint64_t x = ((const struct head *)a)->subject, y = ((const struct head *)b)->subject;
    return x < y ? -1 : x > y;
}

static bool has_head(const struct tidy *t, struct store_read *read, uint64_t subject)
{
    uint64_t serial;
    for (uint16_t channel = 1; channel <= t->channels; channel++)
        if (store_get_head(read, channel, subject, &serial) != SLUIS_ENOENT)
            return true; /* also when it cannot be told */
    return false;
}

static int take_identifier(void *ctx, const uint8_t hash[STORE_HASH_BYTES], uint64_t subject,
                           uint8_t key)
{
    struct tidy *t = ctx;
    const struct head want = {.subject = subject};
    if (t->walked++ == WALK_ITEMS || t->identifier_count == IDENTIFIERS_MAX) {
        memcpy(t->from_hash, hash, STORE_HASH_BYTES);
        t->more = t->identifier_count < IDENTIFIERS_MAX;
        return 1;
    }
    if (bsearch(&want, t->heads, t->head_count, sizeof(want), by_subject)) {
        struct identifier *id = &t->identifiers[t->identifier_count++];
        memcpy(id->hash, hash, STORE_HASH_BYTES);
        id->subject = subject;
        id->key = key;
    }
    return 0;
}

/* A person may have to be known on: who opted out, or gave consent. */
static bool stays(const struct tidy *t, uint64_t subject)
{
    const struct purge_deps *deps = &t->p->deps;
    return deps->person_stays && deps->person_stays(deps->ctx, subject, t->now_ms);
}

/* Persons without a message who need not be known on any more: they have no head to be found by. */
static int add_persons(struct tidy *t)
{
    const struct purge_deps *deps = &t->p->deps;
    uint64_t page[PERSONS_PAGE], from = 1;
    int n = t->more || !deps->persons ? 0 : PERSONS_PAGE;
    while (n == PERSONS_PAGE && !purge_stopping(t->p)) {
        n = deps->persons(deps->ctx, from, page, PERSONS_PAGE);
        for (int i = 0; i < n; i++) {
            struct mark mark;
            from = page[i] + 1;
            if (t->head_count < HEADS_MAX && !subjects_has(&t->living, page[i]) &&
                !stays(t, page[i]) && !mark_get(t->p, page[i], &mark))
                t->heads[t->head_count++] = (struct head){.subject = page[i]};
        }
    }
    return n < 0 ? n : 0;
}

/* What else is kept of those who are gone now. */
static int drop_persons(struct tidy *t)
{
    const struct purge_deps *deps = &t->p->deps;
    int r = 0;
    for (unsigned i = 0; r == 0 && deps->person_drop && i < t->head_count; i++) {
        uint64_t subject = t->heads[i].subject;
        if (i && t->heads[i - 1].subject == subject)
            continue;
        r = store_read_begin(t->p->deps.store, &t->read);
        if (r != 0)
            break;
        bool known = has_head(t, t->read, subject);
        store_read_end(t->read);
        if (!known && !stays(t, subject))
            r = deps->person_drop(deps->ctx, subject);
    }
    return r;
}

/* Persons of `heads` who have no conversation left: their identifiers. */
static int find_identifiers(struct tidy *t)
{
    int r = 0;
    char name[256];
    while (t->channels < CHANNELS_MAX && store_id_name(t->p->deps.store, STORE_NAME_CHANNEL,
                                                       (uint16_t)(t->channels + 1), name) == 0)
        t->channels++;
    qsort(t->heads, t->head_count, sizeof(t->heads[0]), by_subject);
    t->more = t->head_count > 0;
    while (r == 0 && t->more && !purge_stopping(t->p)) {
        t->more = false;
        t->walked = 0;
        r = store_read_begin(t->p->deps.store, &t->read);
        if (r != 0)
            break;
        r = store_each_identifier_of(t->read, t->from_hash, take_identifier, t);
        store_read_end(t->read);
    }
    t->all_found = r == 0 && !t->more && t->identifier_count < IDENTIFIERS_MAX;
    r = r ? r : store_read_begin(t->p->deps.store, &t->read);
    if (r != 0)
        return r;
    unsigned n = 0;
    for (unsigned i = 0; i < t->identifier_count; i++)
        if (!has_head(t, t->read, t->identifiers[i].subject) &&
            !stays(t, t->identifiers[i].subject))
            t->identifiers[n++] = t->identifiers[i];
    t->identifier_count = n;
    store_read_end(t->read);
    return 0;
}

/* Whose numbers all went to somebody else: no row of the index leads there, and a record of each
 * number is left. */
static int run_records(struct store_txn *txn, struct store_job *job)
{
    struct tidy_job *j = (struct tidy_job *)(void *)job;
    subject_records_delete(txn, j->t->heads[j->at].subject);
    return store_txn_error(txn);
}

static bool is_listed(const struct tidy *t, uint64_t subject)
{
    for (unsigned i = 0; i < t->identifier_count; i++)
        if (t->identifiers[i].subject == subject)
            return true;
    return false;
}

static int drop_unlisted(struct tidy *t)
{
    int r = 0;
    for (unsigned i = 0; r == 0 && t->all_found && i < t->head_count; i++) {
        struct tidy_job j = {.job = {.priority = STORE_PURGE, .run = run_records}, .t = t, .at = i};
        uint64_t subject = t->heads[i].subject;
        if ((i && t->heads[i - 1].subject == subject) || is_listed(t, subject))
            continue;
        r = store_read_begin(t->p->deps.store, &t->read);
        if (r != 0)
            break;
        bool any = subject_known(t->read, subject) == 0 && !has_head(t, t->read, subject);
        store_read_end(t->read);
        if (any && !stays(t, subject))
            r = store_submit_wait(t->p->deps.store, &j.job);
    }
    return r;
}

/* Rows that lead to nobody any more; not while the index is made anew. */
static int sweep_formers(struct tidy *t)
{
    struct keyring_lookup now;
    keyring_lookup(t->p->deps.keyring, &now);
    return now.replacing ? 0 : formers_sweep(t->p, now.number);
}

static int take_record(void *ctx, struct span key, struct span value)
{
    struct tidy *t = ctx;
    const struct identifier *id = &t->identifiers[t->walked];
    uint8_t prefix[SUBJECT_RECORD_PREFIX];
    subject_record_prefix(id->subject, prefix);
    if (!span_starts(key, span_of(prefix, sizeof(prefix))) || key.n != SUBJECT_KEY_BYTES ||
        value.n > SUBJECT_RECORD_MAX)
        return 1;
    if (t->record_count == IDENTIFIERS_MAX)
        return SLUIS_ELIMIT;
    struct kept *k = &t->records[t->record_count++];
    memcpy(k->key, key.p, SUBJECT_KEY_BYTES);
    memcpy(k->value, value.p, value.n);
    k->n = (uint16_t)value.n;
    return 0;
}

/* Records past the limit end the list: the persons behind it wait for the next walk. */
static int keep_records(struct tidy *t)
{
    t->records = calloc(IDENTIFIERS_MAX, sizeof(*t->records));
    int r = t->records ? store_read_begin(t->p->deps.store, &t->read) : SLUIS_ENOMEM;
    if (r != 0)
        return r;
    for (t->walked = 0; r == 0 && t->walked < t->identifier_count; t->walked++) {
        uint8_t prefix[SUBJECT_RECORD_PREFIX];
        bool again = false;
        for (unsigned i = 0; !again && i < t->walked; i++)
            again = t->identifiers[i].subject == t->identifiers[t->walked].subject;
        subject_record_prefix(t->identifiers[t->walked].subject, prefix);
        if (!again)
            r = store_each_row(t->read, STORE_TABLE_SUBJECT, span_of(prefix, sizeof(prefix)),
                               take_record, t);
    }
    if (r == SLUIS_ELIMIT) {
        t->identifier_count = t->walked - 1;
        r = 0;
    }
    store_read_end(t->read);
    return r;
}

static int run_identifiers(struct store_txn *txn, struct store_job *job)
{
    struct tidy_job *j = (struct tidy_job *)(void *)job;
    for (unsigned i = j->at; i < j->at + j->n; i++)
        store_delete_identifier(txn, j->t->identifiers[i].hash);
    for (unsigned i = j->at; i < j->at + j->n; i++)
        subject_records_delete(txn, j->t->identifiers[i].subject);
    return store_txn_error(txn);
}

static int run_return(struct store_txn *txn, struct store_job *job)
{
    struct tidy_job *j = (struct tidy_job *)(void *)job;
    const struct identifier *id = &j->t->identifiers[j->at];
    store_put_identifier_of(txn, id->hash, id->subject, id->key);
    for (unsigned i = 0; i < j->t->record_count; i++) {
        const struct kept *k = &j->t->records[i];
        if (be64_get(k->key + 1) == id->subject)
            store_put_row(txn, STORE_TABLE_SUBJECT, span_of(k->key, SUBJECT_KEY_BYTES),
                          span_of(k->value, k->n));
    }
    return store_txn_error(txn);
}

static int in_slices(struct tidy *t, unsigned count,
                     int (*run)(struct store_txn *txn, struct store_job *job))
{
    int r = 0;
    for (unsigned at = 0; r == 0 && at < count; at += 128) {
        struct tidy_job j = {.job = {.priority = STORE_PURGE, .run = run},
                             .t = t,
                             .at = at,
                             .n = count - at < 128 ? count - at : 128};
        r = store_submit_wait(t->p->deps.store, &j.job);
    }
    return r;
}

/* A message of the same person that was under way found the old subject: the identifier comes
 * back, unless somebody else has it by now. */
static int return_busy(struct tidy *t)
{
    int r = store_read_begin(t->p->deps.store, &t->read);
    if (r != 0)
        return r;
    for (unsigned i = 0; i < t->identifier_count; i++)
        t->identifiers[i].gone = !has_head(t, t->read, t->identifiers[i].subject);
    store_read_end(t->read);
    for (unsigned i = 0; r == 0 && i < t->identifier_count; i++) {
        struct tidy_job j = {.job = {.priority = STORE_PURGE, .run = run_return}, .t = t, .at = i};
        if (!t->identifiers[i].gone)
            r = store_submit_wait(t->p->deps.store, &j.job);
        r = r == SLUIS_EEXIST ? 0 : r;
    }
    return r;
}

static void forget_all(struct tidy *t)
{
    for (unsigned i = 0; t->p->deps.forget && i < t->identifier_count; i++)
        if (i == 0 || t->identifiers[i].subject != t->identifiers[i - 1].subject)
            t->p->deps.forget(t->p->deps.ctx, t->identifiers[i].subject);
}

int tidy(struct purge *p, int64_t now_ms)
{
    struct tidy *t = calloc(1, sizeof(*t));
    if (!t)
        return SLUIS_ENOMEM;
    t->p = p;
    t->now_ms = now_ms;
    for (uint16_t cls = 0; cls <= STORE_CLASSES_MAX; cls++)
        if (cls == 0 || retention_last_ended(p->deps.store, cls, now_ms, &t->ended[cls]) != 0)
            t->ended[cls] = NO_BUCKET;
    int r = walk_journal(t);
    if (r == 0)
        r = add_persons(t);
    if (r == 0)
        r = in_slices(t, t->head_count, run_heads);
    if (r == 0)
        r = find_identifiers(t);
    if (r == 0)
        r = drop_unlisted(t);
    if (r == 0 && t->identifier_count)
        r = keep_records(t);
    if (r == 0 && t->identifier_count) {
        forget_all(t);
        r = in_slices(t, t->identifier_count, run_identifiers);
        forget_all(t);
        if (r == 0)
            r = return_busy(t);
    }
    if (r == 0)
        r = drop_persons(t);
    if (r == 0)
        r = sweep_formers(t);
    if (r == 0)
        r = sweep_past(t);
    if (r == 0)
        r = sweep_kept(p, now_ms);
    if (r == 0)
        r = prune_keys(p);
    LOG(r ? LOG_ERROR : LOG_INFO, "purge", "tidied", log_u64("conversations", t->head_count),
        log_u64("identifiers", t->identifier_count), log_u64("journal_to", t->past_to),
        log_error(r));
    free(t->living.bits);
    free(t->records);
    free(t);
    return r;
}

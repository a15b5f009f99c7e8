/*
 * The replacement of the index key (architecture section 5, "Look-up keys die too"). In this order,
 * so that a stop between any two steps leaves an index that finds everybody:
 *   1  the keyring gets a next key; look-ups try both, what is new is written under the next
 *   2  who was resolved before is waited for
 *   3  in slices, from the records of the living: a row under the next key, none under the old
 *   4  rows of the old key without a record are counted: there are none, or it stops here
 *   5  the settings say under which key the index is complete
 *   6  the old key is destroyed
 * A start that finds the keyring between 1 and 6 goes on at 2. One that finds an index of another
 * key than the keyring's (data put back from an older backup) makes it anew before anything is
 * looked up.
 */
#include "room.h"

#include <sodium.h>
#include <stdlib.h>
#include <time.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/log.h"
#include "sluis/subject.h"

#define SLICE 64
#define WALK_ROWS 20000 /* of the index in one read transaction */
#define SETTLE_MS 60000
#define TRIES 3 /* of a slice that met a message of the same person */

static const struct span index_key = {"purge.index", 11};

struct entry {
    struct subject_identifier id;
    struct keyring_hashes hashes;
    bool missing; /* under the newest key */
    bool old;     /* it stands under the old one */
    bool gone;    /* its person was erased: the record goes */
    bool former;  /* somebody else has it now: a row leads to whoever had it */
};

struct slice {
    struct store_job job;
    struct purge *p;
    struct entry at[SLICE];
    unsigned n, from, to; /* from .. to: what this job writes */
    uint8_t next[SUBJECT_KEY_BYTES];
    size_t next_n;
    bool more;
    uint64_t damaged, written;
};

static int take_record(void *ctx, struct span key, struct span value)
{
    struct slice *s = ctx;
    if (key.n == 0 || key.p[0] != s->next[0] || key.n > sizeof(s->next))
        return 1;
    if (s->n == SLICE) {
        memcpy(s->next, key.p, key.n);
        s->next_n = key.n;
        s->more = true;
        return 1;
    }
    struct entry *e = &s->at[s->n];
    *e = (struct entry){0};
    int r = subject_record_open(s->p->cache, key, value, &e->id);
    if (r == SLUIS_ECRYPTO || r == SLUIS_EINVAL) {
        LOG(LOG_ALARM, "purge", "identifier_damaged", log_u64("subject", e->id.subject),
            log_error(r));
        s->damaged++;
        return 0;
    }
    e->gone = r == SLUIS_EEXPIRED;
    if (r != 0 && !e->gone)
        return r;
    s->n++;
    return 0;
}

/* What of the entries has to be written, as the index stands now. */
static int look_up(struct slice *s, struct store_read *read)
{
    for (unsigned i = 0; i < s->n; i++) {
        struct entry *e = &s->at[i];
        uint64_t subject;
        e->missing = e->old = false;
        e->former = !e->gone && e->id.until_ms != 0;
        if (e->gone)
            continue;
        subject_hashes(s->p->deps.keyring, span_of(e->id.text, e->id.n), &e->hashes);
        int r = store_get_identifier(read, e->hashes.hash[0], &subject);
        if (r != 0 && r != SLUIS_ENOENT)
            return r;
        e->missing = r == SLUIS_ENOENT && e->id.until_ms == 0;
        r = e->hashes.n > 1 ? store_get_identifier(read, e->hashes.hash[1], &subject)
                            : SLUIS_ENOENT;
        if (r != 0 && r != SLUIS_ENOENT)
            return r;
        e->old = r == 0 && subject == e->id.subject;
        e->missing &= r != 0 || e->old; /* else it is somebody else's by now */
    }
    return 0;
}

static int run_slice(struct store_txn *txn, struct store_job *job)
{
    struct slice *s = (struct slice *)(void *)job;
    for (unsigned i = s->from; i < s->to; i++) {
        const struct entry *e = &s->at[i];
        if (e->missing && e->old)
            store_rehash_identifier(txn, e->hashes.hash[1], e->hashes.hash[0], e->id.subject,
                                    e->hashes.key[0]);
        else if (e->missing)
            store_put_identifier_of(txn, e->hashes.hash[0], e->id.subject, e->hashes.key[0]);
        if (e->former)
            subject_former_put(txn, e->hashes.hash[0], e->id.subject, e->hashes.key[0]);
        if (e->old)
            store_delete_identifier(txn, e->hashes.hash[1]);
        if (e->gone)
            store_put_row(txn, STORE_TABLE_SUBJECT, span_of(e->id.key, SUBJECT_KEY_BYTES),
                          SPAN_EMPTY);
    }
    return store_txn_error(txn);
}

static int write_slice(struct slice *s, unsigned from, unsigned to)
{
    bool any = false;
    s->from = from;
    s->to = to;
    for (unsigned i = from; i < to; i++)
        any |= s->at[i].missing || s->at[i].old || s->at[i].gone || s->at[i].former;
    s->job = (struct store_job){.priority = STORE_PURGE, .run = run_slice};
    return any ? store_submit_wait(s->p->deps.store, &s->job) : 0;
}

/* One slice, under `lock`: nobody is erased meanwhile. */
static int slice(struct slice *s)
{
    struct store_read *read;
    s->n = 0;
    s->more = false;
    int r = store_read_begin(s->p->deps.store, &read);
    if (r != 0)
        return r;
    r = store_each_row(read, STORE_TABLE_SUBJECT, span_of(s->next, s->next_n), take_record, s);
    if (r == 0)
        r = look_up(s, read);
    store_read_end(read);
    if (r == 0)
        r = write_slice(s, 0, s->n);
    /* a message of one of them was quicker: see which */
    for (unsigned try = 0; r == SLUIS_EEXIST && try < TRIES; try++) {
        r = store_read_begin(s->p->deps.store, &read);
        if (r != 0)
            return r;
        r = look_up(s, read);
        store_read_end(read);
        for (unsigned i = 0; r == 0 && i < s->n; i++)
            r = write_slice(s, i, i + 1);
    }
    for (unsigned i = 0; i < s->n; i++)
        s->written += s->at[i].missing;
    sodium_memzero(s->at, sizeof(s->at));
    return r;
}

static int all_records(struct purge *p, bool gently, uint64_t *damaged, uint64_t *written)
{
    const struct timespec pause = {.tv_nsec = 3000000};
    struct slice *s = calloc(1, sizeof(*s));
    int r = 0;
    if (!s)
        return SLUIS_ENOMEM;
    s->p = p;
    s->more = true;
    subject_record_prefix(0, s->next);
    s->next_n = SUBJECT_RECORD_PREFIX;
    while (r == 0 && s->more) {
        pthread_mutex_lock(&p->lock);
        r = slice(s);
        pthread_mutex_unlock(&p->lock);
        if (r == 0 && purge_stopping(p))
            r = SLUIS_ECLOSED;
        if (r == 0 && s->more && gently)
            nanosleep(&pause, NULL);
    }
    *damaged = s->damaged;
    *written = s->written;
    free(s);
    return r;
}

/* ---- rows of keys that are not the newest ---- */

struct foreign {
    struct store_job job;
    struct purge *p;
    uint8_t key; /* the newest */
    bool removes;
    uint8_t hashes[SLICE][STORE_HASH_BYTES];
    unsigned n, walked;
    uint8_t from[STORE_HASH_BYTES];
    bool more;
    uint64_t rows; /* of living persons */
};

static int take_foreign(void *ctx, const uint8_t hash[STORE_HASH_BYTES], uint64_t subject,
                        uint8_t key)
{
    struct foreign *f = ctx;
    uint64_t pseudonym;
    if (f->walked++ == WALK_ROWS || f->n == SLICE) {
        memcpy(f->from, hash, STORE_HASH_BYTES);
        f->more = true;
        return 1;
    }
    if (key == f->key)
        return 0;
    f->rows += keyring_pseudonym(f->p->cache, subject, &pseudonym) != SLUIS_EEXPIRED;
    if (f->removes)
        memcpy(f->hashes[f->n++], hash, STORE_HASH_BYTES);
    return 0;
}

static int run_foreign(struct store_txn *txn, struct store_job *job)
{
    struct foreign *f = (struct foreign *)(void *)job;
    for (unsigned i = 0; i < f->n; i++)
        store_delete_identifier(txn, f->hashes[i]);
    return store_txn_error(txn);
}

/* Counts them, or removes them as well. */
static int foreign_rows(struct purge *p, uint32_t newest, bool removes, uint64_t *rows)
{
    struct foreign *f = calloc(1, sizeof(*f));
    int r = 0;
    if (!f)
        return SLUIS_ENOMEM;
    *f = (struct foreign){.p = p, .key = (uint8_t)newest, .removes = removes, .more = true};
    while (r == 0 && f->more) {
        struct store_read *read;
        f->more = false;
        f->n = f->walked = 0;
        r = store_read_begin(p->deps.store, &read);
        if (r != 0)
            break;
        r = store_each_identifier_of(read, f->from, take_foreign, f);
        store_read_end(read);
        f->job = (struct store_job){.priority = STORE_PURGE, .run = run_foreign};
        if (r == 0 && f->n)
            r = store_submit_wait(p->deps.store, &f->job);
        if (r == 0 && purge_stopping(p))
            r = SLUIS_ECLOSED;
    }
    *rows = f->rows;
    free(f);
    return r;
}

/* Former rows of other keys, and of persons of whom nothing is left. */
struct formers {
    struct store_job job;
    struct subject_former at[SLICE];
    unsigned n;
};

static int run_formers(struct store_txn *txn, struct store_job *job)
{
    struct formers *f = (struct formers *)(void *)job;
    for (unsigned i = 0; i < f->n; i++)
        subject_former_delete(txn, f->at[i].hash, f->at[i].subject);
    return store_txn_error(txn);
}

int formers_sweep(struct purge *p, uint32_t newest)
{
    struct formers f = {.job = {.priority = STORE_PURGE, .run = run_formers}};
    struct subject_former from = {.subject = 0};
    bool more = true;
    int r = 0;
    while (r == 0 && more) {
        struct store_read *read;
        r = store_read_begin(p->deps.store, &read);
        if (r != 0)
            break;
        r = subject_former_dead(read, newest, &from, f.at, SLICE, &more);
        store_read_end(read);
        f.n = r > 0 ? (unsigned)r : 0;
        f.job = (struct store_job){.priority = STORE_PURGE, .run = run_formers};
        if (r >= 0)
            r = f.n ? store_submit_wait(p->deps.store, &f.job) : 0;
        if (r == 0 && purge_stopping(p))
            r = SLUIS_ECLOSED;
    }
    return r;
}

/* ---- which key the index is complete under ---- */

struct note {
    struct store_job job;
    uint8_t number[4];
    const struct audit_event *event;
};

static int run_note(struct store_txn *txn, struct store_job *job)
{
    struct note *n = (struct note *)(void *)job;
    store_put_row(txn, STORE_TABLE_SETTING, index_key, span_of(n->number, sizeof(n->number)));
    if (n->event)
        audit_put(txn, n->event);
    return store_txn_error(txn);
}

static int put_number(struct purge *p, uint32_t number, const struct audit_event *event)
{
    struct note n = {.job = {.priority = STORE_PURGE, .run = run_note}, .event = event};
    be32_put(n.number, number);
    return store_submit_wait(p->deps.store, &n.job);
}

static int get_number(struct purge *p, uint32_t *out)
{
    struct store_read *read;
    struct arena arena;
    struct span value;
    *out = 0;
    int r = store_read_begin(p->deps.store, &read);
    if (r != 0)
        return r;
    arena_init(&arena, 4096);
    r = store_get_row(read, STORE_TABLE_SETTING, index_key, &arena, &value);
    store_read_end(read);
    if (r == 0 && value.n == 4)
        *out = be32_get((const uint8_t *)value.p);
    arena_free(&arena);
    return r == SLUIS_ENOENT ? 0 : r;
}

int lookup_open(struct purge *p)
{
    struct keyring_lookup now;
    uint32_t number;
    uint64_t damaged, written, rows = 0;
    keyring_lookup(p->deps.keyring, &now);
    int r = get_number(p, &number);
    if (r != 0 || now.replacing || number == now.number)
        return r; /* under way: goes on beside the serving, since look-ups try both keys */
    r = all_records(p, false, &damaged, &written);
    if (r == 0) /* their keys are gone, here and for good: they find nothing */
        r = foreign_rows(p, now.number, true, &rows);
    if (r == 0)
        r = formers_sweep(p, now.number);
    if (r == 0 && p->deps.reindex)
        r = p->deps.reindex(p->deps.ctx);
    if (r == 0)
        r = put_number(p, now.number, NULL);
    LOG(r ? LOG_ALARM : LOG_INFO, "purge", "index_remade", log_u64("identifiers", written),
        log_u64("without_record", rows), log_u64("damaged", damaged), log_error(r));
    return r;
}

/* ---- the replacement ---- */

/* Whoever was resolved under the old key writes its hash yet. What comes later all the same is
 * found, with its record, at the next start or replacement. */
static int wait_settled(struct purge *p, uint32_t key)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    int64_t until = clock_mono_us() + (int64_t)SETTLE_MS * 1000;
    while (p->deps.settled && !p->deps.settled(p->deps.ctx, key)) {
        if (purge_stopping(p))
            return SLUIS_ECLOSED;
        if (clock_mono_us() > until)
            return SLUIS_EAGAIN;
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int remake(struct purge *p, uint32_t next)
{
    uint64_t damaged = 0, written = 0, rows = 0;
    int r = all_records(p, true, &damaged, &written);
    if (r == 0 && p->deps.reindex)
        r = p->deps.reindex(p->deps.ctx);
    if (r == 0)
        r = foreign_rows(p, next, false, &rows);
    if (r == 0 && rows > damaged) {
        /* They have no record to be made anew from, and the person would not be found any more. */
        LOG(LOG_ALARM, "purge", "identifiers_without_record", log_u64("identifiers", rows));
        return SLUIS_EAGAIN;
    }
    if (r == 0)
        r = foreign_rows(p, next, true, &rows);
    return r ? r : formers_sweep(p, next);
}

static int replace(struct purge *p)
{
    struct diag diag = {.text = ""};
    struct keyring_lookup now;
    int64_t began = clock_wall_ms();
    int r = keyring_lookup_begin(p->deps.keyring, began);
    if (r == SLUIS_EEXIST)
        r = 0;
    keyring_lookup(p->deps.keyring, &now);
    uint32_t next = now.number + 1;
    if (r == 0)
        r = wait_settled(p, next);
    if (r == 0)
        r = remake(p, next);
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_KEYS,
                                      .actor = "gateway",
                                      .object = next,
                                      .outcome = "lookup_replaced"};
    if (r == 0)
        r = put_number(p, next, &event);
    if (r == 0)
        r = keyring_lookup_finish(p->deps.keyring);
    if (r == 0 && keyring_bind(p->deps.keyring, p->deps.store, false, &diag) != 0)
        LOG(LOG_ALARM, "purge", "not_bound", log_word("reason", diag.text));
    if (r != SLUIS_ECLOSED)
        LOG(r ? LOG_ALARM : LOG_INFO, "purge", r ? "lookup_waits" : "lookup_replaced",
            log_u64("key", next), log_u64("ms", (uint64_t)(clock_wall_ms() - began)), log_error(r));
    return r;
}

int purge_lookup_replace(struct purge *p)
{
    pthread_mutex_lock(&p->lookup_lock);
    int r = replace(p);
    pthread_mutex_unlock(&p->lookup_lock);
    return r;
}

void purge_lookup_ask(struct purge *p)
{
    pthread_mutex_lock(&p->wake_lock);
    p->lookup_wanted = true;
    p->wanted = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->wake_lock);
}

void lookup_round(struct purge *p, int64_t now_ms)
{
    struct keyring_lookup now;
    keyring_lookup(p->deps.keyring, &now);
    pthread_mutex_lock(&p->wake_lock);
    bool wanted = p->lookup_wanted;
    p->lookup_wanted = false;
    pthread_mutex_unlock(&p->wake_lock);
    /* what cannot be finished is tried once an hour, with its alarm */
    bool due = now.replacing ? now_ms - p->lookup_tried_ms >= HOUR_MS
                             : now_ms - now.made_ms >= PURGE_LOOKUP_DAYS * DAY_MS;
    if (!wanted && !due)
        return;
    p->lookup_tried_ms = now_ms;
    int r = purge_lookup_replace(p);
    atomic_store(&p->lookup_error, r == SLUIS_ECLOSED ? 0 : r);
}

int64_t purge_lookup_until(struct purge *p)
{
    struct keyring_lookup now;
    keyring_lookup(p->deps.keyring, &now);
    return (now.replacing ? now.next_made_ms : now.made_ms) + PURGE_LOOKUP_DAYS * DAY_MS;
}

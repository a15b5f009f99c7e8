/*
 * Legal hold: what a person's messages hold is sealed a second time under the hold class, whose
 * bucket is the number of the hold and ends when the hold is released. Copies are made when the
 * hold begins, and before every destruction of keys for what came since.
 */
#include "room.h"

#include "sluis/base/clock.h"
#include "sluis/base/log.h"

#define COPIES_OF_JOB 8
#define ARENA_MAX (8u * 1024 * 1024)

struct hold_job {
    struct store_job job;
    struct record_id id[COPIES_OF_JOB];
    struct buffer sealed[COPIES_OF_JOB];
    unsigned n;
    bool removes;
};

static int run_hold(struct store_txn *txn, struct store_job *job)
{
    struct hold_job *j = (struct hold_job *)(void *)job;
    for (unsigned i = 0; i < j->n; i++) {
        if (j->removes)
            store_delete_record(txn, &j->id[i]);
        else
            store_put_record(txn, &j->id[i], buffer_span(&j->sealed[i]));
    }
    return store_txn_error(txn);
}

static int flush(struct purge *p, struct hold_job *j)
{
    int r = j->n ? store_submit_wait(p->deps.store, &j->job) : 0;
    for (unsigned i = 0; i < j->n; i++)
        buffer_free(&j->sealed[i]);
    j->n = 0;
    return r;
}

static int copy_part(struct purge *p, const struct store_item *item, uint8_t part, uint16_t cls,
                     uint32_t hold, struct arena *arena, struct hold_job *j)
{
    struct record_id copy = {cls, hold, item->subject, item->serial, part};
    struct record_id where = {0};
    struct buffer plain;
    buffer_init(&plain, STORE_RECORD_MAX);
    int r = person_open(p, item, part, arena, &plain, &where);
    if (r == 0 && where.cls != cls) { /* not copied yet */
        copy.serial = where.serial;   /* sealed anew: the leaf of its own number is gone */
        j->id[j->n] = copy;
        buffer_init(&j->sealed[j->n], STORE_RECORD_MAX);
        r = record_seal(p->cache, 0, &copy, 0, buffer_span(&plain), &j->sealed[j->n]);
        j->n++;
    }
    buffer_free(&plain);
    arena_reset(arena);
    if (r == 0 && j->n == COPIES_OF_JOB)
        r = flush(p, j);
    return r == SLUIS_ENOENT || r == SLUIS_EEXPIRED ? 0 : r;
}

unsigned hold_copies(struct store_read *read, const struct record_id *copy,
                     struct record_id out[HOLD_COPIES])
{
    struct retention_moved moved;
    unsigned n = 0;
    out[n++] = *copy;
    if (retention_moved(read, copy->serial, &moved) == 0 && moved.serial &&
        moved.serial != copy->serial) {
        out[n] = *copy;
        out[n++].serial = moved.serial;
    }
    return n;
}

static bool is_copied(struct purge *p, const struct record_id *copy, struct arena *arena)
{
    struct record_id tries[HOLD_COPIES];
    struct store_read *read;
    struct span sealed;
    int r = SLUIS_ENOENT;
    if (store_read_begin(p->deps.store, &read) != 0)
        return false;
    unsigned n = hold_copies(read, copy, tries);
    for (unsigned i = 0; i < n && r == SLUIS_ENOENT; i++)
        r = store_get_record(read, &tries[i], arena, &sealed);
    store_read_end(read);
    arena_reset(arena);
    return r == 0;
}

/* Everything of the person that is not under the hold yet. */
static int copy_all(struct purge *p, uint64_t subject, uint32_t hold)
{
    struct hold_job j = {.job = {.priority = STORE_PURGE, .run = run_hold}};
    struct person_items items;
    struct arena arena;
    uint16_t cls;
    int r = retention_hold_class(p->deps.store, &cls);
    if (r == 0)
        r = person_items(p, subject, &items);
    if (r != 0)
        return r;
    arena_init(&arena, ARENA_MAX);
    for (size_t i = 0; r == 0 && i < items.n; i++) {
        for (unsigned part = 0; r == 0 && part < 2; part++) {
            struct record_id copy = {cls, hold, subject, items.at[i].serial, part ? 'M' : 'O'};
            if (!is_copied(p, &copy, &arena))
                r = copy_part(p, &items.at[i], copy.part, cls, hold, &arena, &j);
        }
    }
    int flushed = flush(p, &j);
    const struct record_id media = {cls, hold, subject, 0, 'F'};
    if (r == 0 && p->deps.keep_media)
        r = p->deps.keep_media(p->deps.ctx, subject, 0, &media);
    arena_free(&arena);
    person_items_free(&items);
    return r ? r : flushed;
}

int holds_copy(struct purge *p)
{
    struct mark mark;
    int r = 0;
    for (uint64_t s = mark_next(p, 0, MARK_HELD); r == 0 && s; s = mark_next(p, s, MARK_HELD))
        if (mark_get(p, s, &mark))
            r = copy_all(p, s, mark.hold);
    if (r != 0)
        LOG(LOG_ALARM, "purge", "hold_not_copied", log_error(r));
    return r;
}

static bool take_text(char *out, size_t size, struct span text)
{
    if (text.n == 0 || text.n >= size)
        return false;
    memcpy(out, text.p, text.n);
    out[text.n] = '\0';
    return true;
}

static int release_finish(struct purge *p, struct mark *mark);

int purge_person_hold(struct purge *p, struct span identifier, struct span reason,
                      struct span author, int64_t until_ms)
{
    struct audit_event event;
    struct mark mark;
    uint64_t subject;
    pthread_mutex_lock(&p->erase_lock); /* not in the middle of an erasure */
    pthread_mutex_lock(&p->lock);
    int r = person_find(p, identifier, &subject);
    if (r == 0)
        r = person_event(p, subject, AUDIT_HOLD, "held", &event);
    if (r == 0) {
        if (mark_get(p, subject, &mark) && mark.bits & MARK_RELEASING)
            r = release_finish(p, &mark); /* the hold before this one */
        if (r == 0 && mark.bits & MARK_HELD)
            r = SLUIS_EEXIST;
        else if (!take_text(mark.reason, sizeof(mark.reason), reason) ||
                 !take_text(mark.author, sizeof(mark.author), author) || until_ms < 0)
            r = SLUIS_EINVAL;
    }
    if (r == 0) {
        mark.bits |= MARK_HELD;
        mark.hold = (uint32_t)store_next_serial(p->deps.store); /* never used twice */
        mark.until_ms = until_ms;
        mark.since_ms = event.at_ms;
        event.object = mark.hold;
        r = mark_write(p, &mark, &event);
    }
    if (r == 0) /* before anything of it can be destroyed: `lock` is held */
        r = copy_all(p, subject, mark.hold);
    pthread_mutex_unlock(&p->lock);
    pthread_mutex_unlock(&p->erase_lock);
    return r;
}

/* ---- release ---- */

struct copies {
    struct hold_job *j;
    uint32_t hold;
    bool more;
};

static int take_copy(void *ctx, const struct record_id *id)
{
    struct copies *c = ctx;
    if (id->bucket != c->hold)
        return 1;
    if (c->j->n == COPIES_OF_JOB) {
        c->more = true;
        return 1;
    }
    c->j->id[c->j->n++] = *id;
    return 0;
}

static int remove_copies(struct purge *p, uint16_t cls, uint32_t hold)
{
    struct hold_job j = {.job = {.priority = STORE_PURGE, .run = run_hold}, .removes = true};
    struct copies c = {.j = &j, .hold = hold, .more = true};
    int r = 0;
    while (r == 0 && c.more) {
        struct store_read *read;
        c.more = false;
        j.n = 0;
        r = store_read_begin(p->deps.store, &read);
        if (r != 0)
            break;
        r = store_each_key(read, cls, hold, 0, take_copy, &c);
        store_read_end(read);
        if (r == 0 && j.n)
            r = store_submit_wait(p->deps.store, &j.job);
    }
    return r;
}

/* The copies, and then the mark: what MARK_RELEASING says is to be done. */
static int release_finish(struct purge *p, struct mark *mark)
{
    uint16_t cls;
    const struct keyring_leaf leaf = {.tree = KEYRING_TIME, .leaf = mark->hold};
    int r = retention_hold_class(p->deps.store, &cls);
    if (r == 0) {
        struct keyring_leaf copies = leaf;
        copies.cls = cls;
        r = destroy_leaves(p, &copies, 1);
    }
    if (r == 0)
        r = remove_copies(p, cls, mark->hold);
    if (r == 0) {
        mark->bits &= (uint8_t)~MARK_RELEASING;
        mark->hold = 0;
        mark->until_ms = mark->since_ms = 0;
        mark->reason[0] = mark->author[0] = '\0';
        r = mark_write(p, mark, NULL);
    }
    return r;
}

int holds_resume(struct purge *p)
{
    struct mark mark;
    int r = 0;
    pthread_mutex_lock(&p->lock);
    for (uint64_t s = mark_next(p, 0, MARK_RELEASING); r == 0 && s;
         s = mark_next(p, s, MARK_RELEASING))
        if (mark_get(p, s, &mark))
            r = release_finish(p, &mark);
    pthread_mutex_unlock(&p->lock);
    return r;
}

int purge_person_release(struct purge *p, struct span identifier)
{
    struct audit_event event;
    struct mark mark;
    uint64_t subject;
    pthread_mutex_lock(&p->lock);
    int r = person_find(p, identifier, &subject);
    if (r == 0 && (!mark_get(p, subject, &mark) || !(mark.bits & MARK_HELD)))
        r = SLUIS_ENOENT;
    if (r == 0)
        r = person_event(p, subject, AUDIT_HOLD, "released", &event);
    if (r == 0) {
        /* Decided and on record first: the hold never stands while what it kept is gone. */
        event.object = mark.hold;
        mark.bits = (uint8_t)((mark.bits & ~MARK_HELD) | MARK_RELEASING);
        r = mark_write(p, &mark, &event);
    }
    if (r == 0 && release_finish(p, &mark) != 0)
        LOG(LOG_ALARM, "purge", "release_waits"); /* the service thread goes on with it */
    pthread_mutex_unlock(&p->lock);
    if (r == 0) { /* what waited for it */
        purge_wake(p);
        wake_round(p);
    }
    return r;
}

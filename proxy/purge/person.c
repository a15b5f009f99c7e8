/* One person: found by an identifier, items collected, restricted. */
#include "room.h"

#include <stdio.h>
#include <sodium.h>
#include <stdlib.h>

#include "sluis/base/clock.h"
#include "sluis/base/log.h"
#include "sluis/subject.h"

#define WALK_ITEMS 20000 /* in one read transaction */
#define ITEMS_MAX 2000000u
#define CHANNELS_MAX 1024

/* ---- items ---- */

static int add_item(struct person_items *out, const struct store_item *item)
{
    if (out->n == ITEMS_MAX)
        return SLUIS_ELIMIT;
    if (out->n == out->room) {
        size_t room = out->room ? out->room * 2 : 64;
        struct store_item *at = realloc(out->at, room * sizeof(*at));
        if (!at)
            return SLUIS_ENOMEM;
        out->at = at;
        out->room = room;
    }
    out->at[out->n++] = *item;
    return 0;
}

/* One conversation, from its newest item back; what the journal has no more is past. */
static int add_conversation(struct purge *p, uint16_t channel, uint64_t subject,
                            struct person_items *out)
{
    uint64_t serial = 0;
    bool begun = false;
    int r = 0;
    while (r == 0 && (serial || !begun)) {
        struct store_read *read;
        r = store_read_begin(p->deps.store, &read);
        if (r != 0)
            return r;
        if (!begun)
            r = store_get_head(read, channel, subject, &serial);
        begun = true;
        for (unsigned walked = 0; r == 0 && serial && walked < WALK_ITEMS; walked++) {
            struct store_item item;
            r = store_get_item(read, serial, &item);
            if (r == 0 && (item.subject != subject || item.channel != channel))
                r = SLUIS_EIO;
            if (r == 0)
                r = add_item(out, &item);
            serial = item.previous;
        }
        store_read_end(read);
    }
    return r == SLUIS_ENOENT ? 0 : r;
}

/* A damaged block breaks the chain of a conversation: what is on its other side is found by going
 * through the whole journal. */
struct scan {
    struct person_items *out;
    uint64_t subject, next;
    unsigned walked;
    bool more;
};

static int take_theirs(void *ctx, const struct store_item *item)
{
    struct scan *s = ctx;
    if (s->walked++ == WALK_ITEMS) {
        s->next = item->order;
        s->more = true;
        return 1;
    }
    return item->subject == s->subject ? add_item(s->out, item) : 0;
}

static int scan_journal(struct purge *p, uint64_t subject, struct person_items *out)
{
    struct scan s = {.out = out, .subject = subject, .next = 1, .more = true};
    int r = 0;
    out->n = 0;
    out->damaged = true;
    while (r == 0 && s.more) {
        struct store_read *read;
        s.more = false;
        s.walked = 0;
        r = store_read_begin(p->deps.store, &read);
        if (r != 0)
            break;
        r = store_each_readable(read, s.next, take_theirs, &s, NULL);
        store_read_end(read);
    }
    LOG(LOG_ALARM, "purge", "journal_damaged", log_u64("subject", subject),
        log_u64("found", out->n));
    return r;
}

static int by_order(const void *a, const void *b)
{
    uint64_t x = ((const struct store_item *)a)->order, y = ((const struct store_item *)b)->order;
    return x < y ? -1 : x > y;
}

int person_items_readable(struct purge *p, uint64_t subject, struct person_items *out)
{
    char name[256];
    int r = 0;
    *out = (struct person_items){0};
    for (uint16_t channel = 1; r == 0 && channel <= CHANNELS_MAX &&
                               store_id_name(p->deps.store, STORE_NAME_CHANNEL, channel, name) == 0;
         channel++)
        r = add_conversation(p, channel, subject, out);
    if (r == SLUIS_ECRYPTO || r == SLUIS_EINVAL)
        r = scan_journal(p, subject, out);
    if (r != 0)
        person_items_free(out);
    else if (out->n)
        qsort(out->at, out->n, sizeof(*out->at), by_order);
    return r;
}

int person_items(struct purge *p, uint64_t subject, struct person_items *out)
{
    int r = person_items_readable(p, subject, out);
    if (r != 0 || !out->damaged)
        return r;
    person_items_free(out);
    return SLUIS_ECRYPTO;
}

void person_items_free(struct person_items *items)
{
    free(items->at);
    *items = (struct person_items){0};
}

/* A part of a message where it is now: at its place, moved, or held. SLUIS_ENOENT, SLUIS_EEXPIRED.
 */
int person_open(struct purge *p, const struct store_item *item, uint8_t part, struct arena *arena,
                struct buffer *plain, struct record_id *where)
{
    struct store_read *read;
    struct mark mark;
    struct span sealed;
    struct record_id tries[1 + HOLD_COPIES];
    unsigned n = 0;
    int r = store_read_begin(p->deps.store, &read);
    if (r != 0)
        return r;
    n += retention_part(read, item, part, &tries[n]) == 0;
    if (mark_get(p, item->subject, &mark) && mark.bits & MARK_HELD) {
        struct record_id copy = {0, mark.hold, item->subject, item->serial, part};
        if (retention_hold_class(p->deps.store, &copy.cls) == 0)
            n += hold_copies(read, &copy, &tries[n]);
    }
    r = SLUIS_ENOENT;
    for (unsigned i = 0; i < n && (r == SLUIS_ENOENT || r == SLUIS_EEXPIRED); i++) {
        r = store_get_record(read, &tries[i], arena, &sealed);
        if (r == 0)
            r = record_open(p->cache, 0, &tries[i], sealed, plain);
        if (r == 0 && where)
            *where = tries[i];
    }
    store_read_end(read);
    return r;
}

void purge_asked_by(struct purge *p, const char *actor)
{
    snprintf(p->actor, sizeof(p->actor), "%s", actor);
}

const char *purge_actor(const struct purge *p)
{
    return p->actor[0] ? p->actor : "operator";
}

int person_event(struct purge *p, uint64_t subject, enum audit_action action, const char *outcome,
                 struct audit_event *out)
{
    *out = (struct audit_event){
        .at_ms = clock_wall_ms(), .action = action, .actor = purge_actor(p), .outcome = outcome};
    int r = keyring_pseudonym(p->cache, subject, &out->subject);
    return r == SLUIS_EEXPIRED ? 0 : r;
}

/* ---- what operators ask ---- */

struct record_event {
    struct store_job job;
    const struct audit_event *event;
};

static int run_event(struct store_txn *txn, struct store_job *job)
{
    audit_put(txn, ((struct record_event *)(void *)job)->event);
    return store_txn_error(txn);
}

int person_record(struct purge *p, const struct audit_event *event)
{
    struct record_event j = {.job = {.priority = STORE_PURGE, .run = run_event}, .event = event};
    return store_submit_wait(p->deps.store, &j.job);
}

_Static_assert(SUBJECT_LINKS_MAX == sizeof(((struct purge_person *)0)->linked) / sizeof(uint64_t),
               "the door has room for all");

int purge_person_find(struct purge *p, struct span identifier, struct purge_person *out)
{
    struct person_items items = {0};
    struct audit_event event;
    struct mark mark;
    memset(out, 0, sizeof(*out));
    pthread_mutex_lock(&p->lock);
    int r = person_owners(p, identifier, out->owners, &out->owner_count);
    int looked = r == 0 && out->owner_count == 0 ? SLUIS_ENOENT : r;
    out->subject = out->owners[0].subject; /* who has it now, or had it last */
    /* looking somebody up is on record whether or not there is anybody */
    r = person_event(p, looked == 0 ? out->subject : 0, AUDIT_SUBJECT,
                     looked == 0 ? "found" : "not_found", &event);
    if (r == 0)
        r = person_record(p, &event);
    if (r == 0 && looked == 0)
        r = person_items(p, out->subject, &items);
    if (r == 0 && looked == 0)
        r = person_links(p, out->subject, out->linked, &out->linked_count);
    if (r == 0 && mark_get(p, out->subject, &mark)) {
        out->restricted = mark.bits & MARK_RESTRICTED;
        out->held = mark.bits & MARK_HELD;
        out->hold = mark.hold;
        out->held_until_ms = mark.until_ms;
        memcpy(out->reason, mark.reason, sizeof(out->reason));
        memcpy(out->author, mark.author, sizeof(out->author));
    }
    out->messages = items.n;
    for (size_t i = 0; i < items.n; i++) {
        int64_t at = items.at[i].at_ms;
        out->first_ms = i == 0 || at < out->first_ms ? at : out->first_ms;
        out->last_ms = at > out->last_ms ? at : out->last_ms;
    }
    pthread_mutex_unlock(&p->lock);
    person_items_free(&items);
    return r ? r : looked;
}

/* ---- links ---- */

struct unlink {
    struct store_job job;
    uint64_t subject, linked[SUBJECT_LINKS_MAX];
    unsigned n;
    const struct audit_event *event;
};

static int run_unlink(struct store_txn *txn, struct store_job *job)
{
    struct unlink *u = (struct unlink *)(void *)job;
    for (unsigned i = 0; i < u->n; i++)
        subject_unlink(txn, u->subject, u->linked[i]);
    audit_put(txn, u->event);
    return store_txn_error(txn);
}

int person_links(struct purge *p, uint64_t subject, uint64_t *out, unsigned *n)
{
    struct store_read *read;
    int r = store_read_begin(p->deps.store, &read);
    if (r != 0)
        return r;
    r = subject_links(read, subject, out, n);
    unsigned known = 0;
    for (unsigned i = 0; r == 0 && i < *n; i++)
        if (subject_known(read, out[i]) != SLUIS_ENOENT) /* the other may be gone by now */
            out[known++] = out[i];
    *n = known;
    store_read_end(read);
    return r;
}

int purge_person_linked(struct purge *p, struct span identifier, uint64_t out[SUBJECT_LINKS_MAX],
                        unsigned *n)
{
    uint64_t subject;
    *n = 0;
    pthread_mutex_lock(&p->lock);
    int r = person_find(p, identifier, &subject);
    if (r == 0)
        r = person_links(p, subject, out, n);
    pthread_mutex_unlock(&p->lock);
    return r;
}

int purge_person_unlink(struct purge *p, struct span identifier)
{
    struct audit_event event;
    struct unlink u = {.job = {.priority = STORE_PURGE, .run = run_unlink}, .event = &event};
    pthread_mutex_lock(&p->lock);
    int r = person_find(p, identifier, &u.subject);
    if (r == 0)
        r = person_links(p, u.subject, u.linked, &u.n);
    if (r == 0 && u.n == 0)
        r = SLUIS_ENOENT;
    if (r == 0)
        r = person_event(p, u.subject, AUDIT_SUBJECT, "unlinked", &event);
    if (r == 0)
        r = store_submit_wait(p->deps.store, &u.job);
    pthread_mutex_unlock(&p->lock);
    return r;
}

int purge_person_restrict(struct purge *p, struct span identifier, bool on)
{
    struct audit_event event;
    struct mark mark;
    uint64_t subject;
    pthread_mutex_lock(&p->lock);
    int r = person_find(p, identifier, &subject);
    if (r == 0)
        r = person_event(p, subject, AUDIT_RESTRICT, on ? "restricted" : "lifted", &event);
    if (r == 0) {
        mark_get(p, subject, &mark);
        mark.bits = (uint8_t)(on ? mark.bits | MARK_RESTRICTED : mark.bits & ~MARK_RESTRICTED);
        r = mark_write(p, &mark, &event);
    }
    pthread_mutex_unlock(&p->lock);
    if (r == 0 && on && p->deps.forget) /* copies in memory: the mark keeps them from leaving */
        p->deps.forget(p->deps.ctx, subject);
    return r;
}

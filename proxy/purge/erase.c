/*
 * Erasure of a person (art. 17). In this order, so that a stop between any two steps leaves either
 * the person as they were or an erasure that the next start finishes:
 *   1  mark (erasing), tombstones, identifiers deleted, a leaf: one commit
 *   2  every thread forgets the person; identifiers that were under way are deleted too
 *   3  the subject's key is destroyed
 *   4  destruction record (in part: revoke.c writes it), certificate, leaf: one commit
 *   5  rows deleted, the mark last
 * Where the selection list demands that history is kept, the person stays: every message leaf goes,
 * and what must stay of part M is sealed under a new serial (revoke.c).
 */
#include "room.h"

#include <sodium.h>
#include <stdlib.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/json.h"
#include "sluis/base/log.h"
#include "sluis/subject.h"

#define IDENTIFIERS_MAX 64 /* of one person */
#define WALK_ROWS 20000
#define ROWS_OF_JOB 64
#define CERTIFICATE_MAX 1800
#define STAYS_MAX 8
#define CHANNELS_MAX 1024

struct stay { /* what the selection list demands */
    uint16_t cls;
    uint64_t messages;
    int64_t until_ms;
};

struct erasure {
    struct store_job job;
    struct purge *p;
    uint64_t subject;
    int64_t now_ms;
    struct person_items items;
    uint8_t hashes[IDENTIFIERS_MAX][STORE_HASH_BYTES];
    unsigned hash_count, walked;
    struct subject_identifier identifiers[IDENTIFIERS_MAX];
    unsigned identifier_count;
    uint64_t linked[SUBJECT_LINKS_MAX];
    unsigned linked_count;
    uint8_t from[STORE_HASH_BYTES];
    bool more;
    struct stay stays[STAYS_MAX];
    unsigned stay_count;
    uint64_t destroyed; /* messages of which something could be read */
    struct mark mark;
    uint64_t number; /* of the certificate */
    struct teller *teller;
    struct buffer head, tail; /* what the certificate says */
    struct buffer sealed, destruction, certificate;
    uint8_t destruction_key[DESTRUCTION_KEY_BYTES], certificate_key[CERTIFICATE_KEY_BYTES];
    struct audit_event event;
    size_t at; /* of the items, for jobs in slices */
    uint64_t generation;
};

/* ---- what is there ---- */

static int take_hash(void *ctx, const uint8_t hash[STORE_HASH_BYTES], uint64_t subject)
{
    struct erasure *e = ctx;
    if (e->walked++ == WALK_ROWS) {
        memcpy(e->from, hash, STORE_HASH_BYTES);
        e->more = true;
        return 1;
    }
    if (subject != e->subject)
        return 0;
    if (e->hash_count == IDENTIFIERS_MAX)
        return SLUIS_ELIMIT;
    memcpy(e->hashes[e->hash_count++], hash, STORE_HASH_BYTES);
    return 0;
}

static int take_identifier(void *ctx, struct span key, struct span value)
{
    struct erasure *e = ctx;
    struct subject_identifier *id = &e->identifiers[e->identifier_count];
    uint8_t prefix[SUBJECT_RECORD_PREFIX];
    subject_record_prefix(e->subject, prefix);
    if (!span_starts(key, span_of(prefix, sizeof(prefix))))
        return 1;
    if (e->identifier_count == IDENTIFIERS_MAX)
        return SLUIS_ELIMIT;
    int r = subject_record_open(e->p->cache, key, value, id);
    if (r == 0)
        e->identifier_count++;
    else if (r == SLUIS_ECRYPTO || r == SLUIS_EINVAL) /* it goes with the rest */
        LOG(LOG_ALARM, "purge", "identifier_damaged", log_u64("subject", e->subject), log_error(r));
    return r == SLUIS_EEXPIRED || r == SLUIS_ECRYPTO || r == SLUIS_EINVAL ? 0 : r;
}

/* What they are, for messages that are late. */
static int find_identifiers(struct erasure *e)
{
    uint8_t prefix[SUBJECT_RECORD_PREFIX];
    struct store_read *read;
    subject_record_prefix(e->subject, prefix);
    e->identifier_count = 0;
    int r = store_read_begin(e->p->deps.store, &read);
    if (r != 0)
        return r;
    r = store_each_row(read, STORE_TABLE_SUBJECT, span_of(prefix, sizeof(prefix)), take_identifier,
                       e);
    store_read_end(read);
    return r;
}

/* The rows of the index that lead to the person, by whatever key. */
static int find_hashes(struct erasure *e)
{
    int r = 0;
    e->hash_count = 0;
    e->more = true;
    memset(e->from, 0, sizeof(e->from));
    while (r == 0 && e->more) {
        struct store_read *read;
        e->more = false;
        e->walked = 0;
        r = store_read_begin(e->p->deps.store, &read);
        if (r != 0)
            break;
        r = store_each_identifier(read, e->from, take_hash, e);
        store_read_end(read);
    }
    return r;
}

/* A living part M of a minimum class must stay. */
static int note_stay(struct erasure *e, const struct store_item *item, bool *must)
{
    char name[256];
    int64_t ends;
    *must = false;
    if (!item->cls_m || store_id_name(e->p->deps.store, STORE_NAME_CLASS, item->cls_m, name) != 0 ||
        !strstr(name, "/min/") ||
        retention_bucket_end(e->p->deps.store, item->cls_m, item->bucket_m, &ends) != 0 ||
        ends <= e->now_ms)
        return 0;
    *must = true;
    unsigned i = 0;
    while (i < e->stay_count && e->stays[i].cls != item->cls_m)
        i++;
    if (i == STAYS_MAX)
        return SLUIS_ELIMIT;
    if (i == e->stay_count)
        e->stays[e->stay_count++] = (struct stay){.cls = item->cls_m};
    e->stays[i].messages++;
    if (ends > e->stays[i].until_ms)
        e->stays[i].until_ms = ends;
    return 0;
}

/* The classes that the parts are in now: what was sealed anew may be in another. */
static int place_items(struct erasure *e)
{
    struct store_read *read;
    int r = store_read_begin(e->p->deps.store, &read);
    if (r != 0)
        return r;
    for (size_t i = 0; r == 0 && i < e->items.n; i++) {
        struct store_item *item = &e->items.at[i];
        struct retention_moved moved;
        r = retention_moved(read, item->serial, &moved);
        if (r == 0) {
            item->cls_o = moved.cls_o;
            item->bucket_o = moved.bucket_o;
            item->cls_m = moved.cls_m;
            item->bucket_m = moved.bucket_m;
        }
        r = r == SLUIS_ENOENT ? 0 : r;
    }
    store_read_end(read);
    return r;
}

static int look(struct erasure *e)
{
    int r = find_hashes(e);
    if (r == 0)
        r = find_identifiers(e);
    if (r == 0)
        r = person_links(e->p, e->subject, e->linked, &e->linked_count);
    if (r == 0)
        r = person_items_readable(e->p, e->subject, &e->items);
    if (r == 0)
        r = place_items(e);
    for (size_t i = 0; r == 0 && i < e->items.n; i++) {
        bool must;
        e->destroyed += e->items.at[i].cls_o || e->items.at[i].cls_m;
        r = note_stay(e, &e->items.at[i], &must);
    }
    return r;
}

/* ---- the certificate ---- */

static void add_time(struct buffer *out, const char *name, int64_t ms)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(ms, text);
    buffer_addf(out, ",\"%s\":\"%s\"", name, text);
}

static void add_stays(const struct erasure *e, struct buffer *out)
{
    buffer_add(out, SPAN(",\"stays\":["));
    for (unsigned i = 0; i < e->stay_count; i++) {
        struct rule_facts facts;
        char name[256] = "";
        (void)store_id_name(e->p->deps.store, STORE_NAME_CLASS, e->stays[i].cls, name);
        rule_find(e->p, name, &facts);
        buffer_addf(out, "%s{\"category\":", i ? "," : "");
        json_quote(out, span_str(facts.category));
        buffer_add(out, SPAN(",\"class\":"));
        json_quote(out, span_str(name));
        buffer_add(out, SPAN(",\"ground\":"));
        json_quote(out, span_str(facts.ground));
        buffer_addf(out, ",\"messages\":%llu", (unsigned long long)e->stays[i].messages);
        add_time(out, "until", e->stays[i].until_ms);
        buffer_add_char(out, '}');
    }
    buffer_add_char(out, ']');
}

/* What the identifiers' hashes say about existence: those of days die with their days; those of the
 * index with the index key, which backups of the keyring made until then hold as well. */
static int certificate_facts(struct erasure *e, struct buffer *head, struct buffer *tail)
{
    int64_t clear = 0, index = purge_lookup_until(e->p);
    int r = keyring_backup_clear(e->p->deps.keyring, e->p->deps.store, e->generation, e->now_ms,
                                 &clear);
    buffer_addf(head, "{\"destroyed\":%llu", (unsigned long long)e->destroyed);
    add_time(head, "destroyed_here", e->now_ms);
    if (r != 0) /* the register cannot be read: nothing can be promised */
        buffer_add(head, SPAN(",\"destroyed_in_backups\":null"));
    else
        add_time(head, "destroyed_in_backups", clear ? clear : e->now_ms);
    add_time(head, "existence_by_index_until", index);
    add_time(head, "existence_by_message_until",
             (e->now_ms / DAY_MS + PURGE_DEDUPE_DAYS + 2) * DAY_MS);
    if (r == 0)
        r = keyring_backup_clear(e->p->deps.keyring, e->p->deps.store, UINT64_MAX, e->now_ms,
                                 &clear);
    if (r != 0)
        buffer_add(head, SPAN(",\"existence_in_backups_until\":null"));
    else
        add_time(head, "existence_in_backups_until", clear > index ? clear : index);
    buffer_addf(head, ",\"generation\":%llu,\"identifiers\":%u,\"in_part\":%s",
                (unsigned long long)e->generation, e->stay_count ? 0 : e->hash_count,
                e->stay_count ? "true" : "false");
    if (e->items.damaged) /* what stood there is gone as well, and not counted */
        buffer_add(head, SPAN(",\"journal_damaged\":true"));
    add_stays(e, tail);
    buffer_addf(tail, ",\"subject\":%llu", (unsigned long long)e->subject);
    return head->error ? head->error : tail->error;
}

static int certificate(struct erasure *e, bool sign, struct buffer *out)
{
    struct told_route told[TELL_ROUTES];
    unsigned n = 0;
    for (unsigned i = 0; i < e->teller->n; i++)
        if (e->teller->at[i].messages)
            told[n++] = (struct told_route){.route = e->teller->at[i].route,
                                            .messages = e->teller->at[i].messages,
                                            .state = e->teller->dry ? "to_be_told" : "pending"};
    return certificate_write(e->p, e->number, buffer_span(&e->head), buffer_span(&e->tail), told, n,
                             sign, out);
}

/* Every route that received something of the person, and wants to know. */
static int tell(struct erasure *e, bool dry)
{
    struct teller *t = e->teller;
    int r = 0;
    *t = (struct teller){
        .p = e->p, .event = e->number, .what = PURGE_TELL_ERASED, .dry = dry, .now_ms = e->now_ms};
    for (size_t i = 0; r == 0 && i < e->items.n; i++)
        r = tell_add(t, &e->items.at[i]);
    return r ? r : tell_flush(t);
}

/* ---- the steps ---- */

/* What the identifiers leave: of one that went to somebody else, whose late messages must not be
 * taken for this person's, no longer than it was this person's. */
static void put_tombstones(const struct erasure *e, struct store_txn *txn)
{
    for (unsigned i = 0; i < e->identifier_count; i++) {
        const struct subject_identifier *id = &e->identifiers[i];
        subject_tombstone_put(txn, e->p->deps.keyring, span_of(id->text, id->n),
                              id->until_ms ? id->until_ms : e->now_ms, e->now_ms);
    }
}

static void delete_formers(const struct erasure *e, struct store_txn *txn)
{
    for (unsigned i = 0; i < e->identifier_count; i++)
        subject_former_delete_all(txn, e->p->deps.keyring,
                                  span_of(e->identifiers[i].text, e->identifiers[i].n), e->subject);
}

static int run_begin(struct store_txn *txn, struct store_job *job)
{
    struct erasure *e = (struct erasure *)(void *)job;
    uint8_t key[ROW_SERIAL_KEY];
    mark_key(e->subject, key);
    if (!e->stay_count) {
        store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), buffer_span(&e->sealed));
        for (unsigned i = 0; i < e->hash_count; i++)
            store_delete_identifier(txn, e->hashes[i]);
        delete_formers(e, txn);
        subject_records_delete(txn, e->subject);
    }
    put_tombstones(e, txn);
    audit_put(txn, &e->event);
    return store_txn_error(txn);
}

static int begin(struct erasure *e)
{
    int r = person_event(e->p, e->subject, AUDIT_ERASE, "asked", &e->event);
    mark_get(e->p, e->subject, &e->mark);
    e->mark.bits |= MARK_ERASING;
    if (r == 0)
        r = mark_seal(e->p, &e->mark, &e->sealed);
    e->job = (struct store_job){.priority = STORE_PURGE, .run = run_begin};
    if (r == 0)
        r = store_submit_wait(e->p->deps.store, &e->job);
    if (r == 0 && !e->stay_count)
        r = mark_set(e->p, &e->mark);
    return r;
}

static int run_hashes(struct store_txn *txn, struct store_job *job)
{
    struct erasure *e = (struct erasure *)(void *)job;
    for (unsigned i = 0; i < e->hash_count; i++)
        store_delete_identifier(txn, e->hashes[i]);
    delete_formers(e, txn);
    subject_records_delete(txn, e->subject);
    for (unsigned i = 0; i < e->linked_count; i++)
        subject_unlink(txn, e->subject, e->linked[i]);
    put_tombstones(e, txn);
    return store_txn_error(txn);
}

/* A message that was under way in step 1 may have written an identifier again. */
static int forget(struct erasure *e)
{
    if (e->p->deps.forget)
        e->p->deps.forget(e->p->deps.ctx, e->subject);
    unsigned before = e->hash_count;
    int r = find_hashes(e);
    if (r == 0)
        r = find_identifiers(e);
    e->job = (struct store_job){.priority = STORE_PURGE, .run = run_hashes};
    if (r == 0 && (e->hash_count || e->identifier_count || e->linked_count))
        r = store_submit_wait(e->p->deps.store, &e->job);
    e->hash_count += before;
    return r;
}

static int destroy_subject(struct erasure *e)
{
    const struct keyring_leaf leaf = {.tree = KEYRING_SUBJECT, .leaf = (uint32_t)e->subject};
    struct keyring_status status;
    int r = e->subject > UINT32_MAX ? SLUIS_ELIMIT : destroy_leaves(e->p, &leaf, 1);
    keyring_status(e->p->deps.keyring, &status);
    e->generation = status.generation;
    return r;
}

/* In part: word of every message goes the way of those taken back, M as it is where it must stay.
 */
static int run_parts(struct store_txn *txn, struct store_job *job)
{
    struct erasure *e = (struct erasure *)(void *)job;
    for (size_t i = e->at; i < e->items.n && i < e->at + ROWS_OF_JOB; i++) {
        bool must = false;
        int r = note_stay(e, &e->items.at[i], &must);
        if (r != 0)
            return r;
        revoke_put(txn, e->items.at[i].serial, must ? REVOKE_ERASED_M : REVOKE_ERASED);
    }
    return store_txn_error(txn);
}

static int destroy_parts(struct erasure *e)
{
    const struct stay *kept = e->stays;
    struct stay copy[STAYS_MAX];
    unsigned count = e->stay_count;
    struct keyring_status status;
    int r = 0;
    memcpy(copy, kept, sizeof(copy)); /* run_parts counts again */
    for (e->at = 0; r == 0 && e->at < e->items.n; e->at += ROWS_OF_JOB) {
        e->job = (struct store_job){.priority = STORE_PURGE, .run = run_parts};
        r = store_submit_wait(e->p->deps.store, &e->job);
    }
    memcpy(e->stays, copy, sizeof(copy));
    e->stay_count = count;
    if (r == 0)
        r = revoke_drain(e->p);
    if (r == 0 && purge_stopping(e->p)) /* it may have stopped half-way */
        r = SLUIS_ECLOSED;
    keyring_status(e->p->deps.keyring, &status);
    e->generation = status.generation;
    return r;
}

static int run_end(struct store_txn *txn, struct store_job *job)
{
    struct erasure *e = (struct erasure *)(void *)job;
    if (e->destruction.n)
        store_put_row(txn, STORE_TABLE_SETTING, span_of(e->destruction_key, DESTRUCTION_KEY_BYTES),
                      buffer_span(&e->destruction));
    store_put_row(txn, STORE_TABLE_SETTING, span_of(e->certificate_key, CERTIFICATE_KEY_BYTES),
                  buffer_span(&e->certificate));
    audit_put(txn, &e->event);
    return store_txn_error(txn);
}

static int write_record(struct erasure *e)
{
    struct rule_facts facts;
    rule_find(e->p, "", &facts);
    const struct retention_destruction d = {.cls = "subject",
                                            .category = "",
                                            .ground = "AVG art. 17",
                                            .reason = "erased",
                                            .from_ms = e->now_ms,
                                            .to_ms = e->now_ms,
                                            .messages = e->destroyed,
                                            .subjects = 1,
                                            .generation = e->generation,
                                            .policy_hash = facts.policy_hash,
                                            .at_ms = e->now_ms};
    int r = 0;
    if (!e->stay_count) /* in part: stated with the messages that went (revoke.c), and only there */
        r = destruction_seal(e->p, &d, e->destruction_key, &e->destruction);
    if (r == 0)
        r = certificate_facts(e, &e->head, &e->tail);
    if (r == 0)
        r = certificate_seal(e->p, e->number, buffer_span(&e->head), buffer_span(&e->tail),
                             e->certificate_key, &e->certificate);
    e->event = (struct audit_event){.at_ms = e->now_ms,
                                    .action = AUDIT_ERASE,
                                    .actor = purge_actor(e->p),
                                    .object = e->number,
                                    .count = e->destroyed,
                                    .outcome = e->stay_count ? "erased_in_part" : "erased"};
    e->job = (struct store_job){.priority = STORE_PURGE, .run = run_end};
    return r ? r : store_submit_wait(e->p->deps.store, &e->job);
}

/* ---- the rows ---- */

static int run_rows(struct store_txn *txn, struct store_job *job)
{
    struct erasure *e = (struct erasure *)(void *)job;
    for (size_t i = e->at; i < e->items.n && i < e->at + ROWS_OF_JOB; i++) {
        const struct store_item *item = &e->items.at[i];
        const struct record_id o = {item->cls_o, item->bucket_o, item->subject, item->serial, 'O'};
        const struct record_id m = {item->cls_m, item->bucket_m, item->subject, item->serial, 'M'};
        uint8_t key[ROW_SERIAL_KEY];
        if (o.cls)
            store_delete_record(txn, &o);
        if (m.cls)
            store_delete_record(txn, &m);
        (void)store_delete_head(txn, item->channel, item->subject, 0);
        key[0] = ROW_MOVED;
        be64_put(key + 1, item->serial);
        store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), SPAN_EMPTY);
        retention_withdrawn_delete(txn, item->serial);
    }
    return store_txn_error(txn);
}

static int run_unmark(struct store_txn *txn, struct store_job *job)
{
    struct erasure *e = (struct erasure *)(void *)job;
    uint8_t key[ROW_SERIAL_KEY];
    mark_key(e->subject, key);
    store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), SPAN_EMPTY);
    return store_txn_error(txn);
}

static int remove_rows(struct erasure *e)
{
    int r = 0;
    for (e->at = 0; r == 0 && e->at < e->items.n; e->at += ROWS_OF_JOB) {
        e->job = (struct store_job){.priority = STORE_PURGE, .run = run_rows};
        r = store_submit_wait(e->p->deps.store, &e->job);
        for (size_t i = e->at; e->p->deps.drop && i < e->items.n && i < e->at + ROWS_OF_JOB; i++)
            e->p->deps.drop(e->p->deps.ctx, e->items.at[i].serial);
    }
    if (r == 0 && e->p->deps.person_drop)
        r = e->p->deps.person_drop(e->p->deps.ctx, e->subject);
    e->job = (struct store_job){.priority = STORE_PURGE, .run = run_unmark};
    if (r == 0)
        r = store_submit_wait(e->p->deps.store, &e->job);
    /* In memory a mark stays until the next start: what a thread still holds is not delivered. */
    const struct mark done = {.subject = e->subject, .bits = MARK_ERASED};
    return r ? r : mark_set(e->p, &done);
}

static int whole(struct erasure *e)
{
    int r = begin(e);
    if (r == 0)
        r = forget(e);
    if (r == 0)
        r = destroy_subject(e);
    return r;
}

static struct erasure *erasure_new(struct purge *p)
{
    struct erasure *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    e->p = p;
    e->now_ms = clock_wall_ms();
    e->teller = calloc(1, sizeof(*e->teller));
    buffer_init(&e->certificate, STORE_VALUE_MAX);
    buffer_init(&e->head, CERTIFICATE_MAX);
    buffer_init(&e->tail, CERTIFICATE_MAX);
    buffer_init(&e->sealed, STORE_VALUE_MAX);
    buffer_init(&e->destruction, STORE_VALUE_MAX);
    if (e->teller)
        return e;
    free(e);
    return NULL;
}

static void erasure_free(struct erasure *e)
{
    person_items_free(&e->items);
    buffer_free(&e->sealed);
    buffer_free(&e->destruction);
    buffer_free(&e->certificate);
    buffer_free(&e->head);
    buffer_free(&e->tail);
    free(e->teller);
    sodium_memzero(e->hashes, sizeof(e->hashes));
    sodium_memzero(e->identifiers, sizeof(e->identifiers));
    free(e);
}

/* One flipped bit must not keep a person's data for ever: their key opens what was not found as
 * well, and goes. Not so where the selection list may demand something of that: whoever restores
 * the store first loses nothing. */
static int past_damage(const struct erasure *e)
{
    char name[256];
    for (uint16_t cls = 1; e->items.damaged && cls <= STORE_CLASSES_MAX; cls++)
        if (store_id_name(e->p->deps.store, STORE_NAME_CLASS, cls, name) == 0 &&
            strstr(name, "/min/") && strncmp(name, "hold/", 5) != 0) /* who is held was refused */
            return SLUIS_ECRYPTO;
    return 0;
}

/* Under `lock`: whom it is about, what there is, and when it is done as a whole the keys. */
static int decide(struct erasure *e, struct span identifier, bool dry_run)
{
    struct purge *p = e->p;
    struct mark mark;
    pthread_mutex_lock(&p->lock);
    int r = person_find(p, identifier, &e->subject);
    if (r == 0 && mark_get(p, e->subject, &mark) && mark.bits & MARK_HELD)
        r = SLUIS_EDENIED;
    if (r == 0)
        r = look(e);
    if (r == 0)
        r = past_damage(e);
    if (r == 0 && !dry_run) {
        e->number = store_next_serial(p->deps.store);
        r = e->stay_count ? begin(e) : whole(e);
    }
    pthread_mutex_unlock(&p->lock);
    return r;
}

int purge_person_erase(struct purge *p, struct span identifier, bool dry_run, struct buffer *out)
{
    struct erasure *e = erasure_new(p);
    if (!e)
        return SLUIS_ENOMEM;
    pthread_mutex_lock(&p->erase_lock);
    int r = decide(e, identifier, dry_run);
    if (r == 0 && !dry_run && e->stay_count)
        r = destroy_parts(e);
    if (r == 0)
        r = tell(e, dry_run);
    if (r == 0)
        r = dry_run ? certificate_facts(e, &e->head, &e->tail) : write_record(e);
    if (r == 0)
        r = certificate(e, !dry_run, out);
    if (r == 0 && !dry_run && !e->stay_count)
        r = remove_rows(e);
    if (!dry_run && r != 0 && r != SLUIS_EMANY) {
        pthread_mutex_lock(&p->lock);
        p->resumed = false; /* the service thread tries again */
        pthread_mutex_unlock(&p->lock);
    }
    if (!dry_run && r != SLUIS_ENOENT && r != SLUIS_EINVAL && r != SLUIS_EDENIED &&
        r != SLUIS_EMANY)
        LOG(r ? LOG_ALARM : LOG_INFO, "purge", r ? "erasure_waits" : "erased",
            log_u64("messages", e->destroyed), log_error(r));
    erasure_free(e);
    pthread_mutex_unlock(&p->erase_lock);
    return r;
}

static int resume_one(struct purge *p, uint64_t subject)
{
    struct erasure *e = erasure_new(p);
    if (!e)
        return SLUIS_ENOMEM;
    e->subject = subject;
    e->number = store_next_serial(p->deps.store);
    pthread_mutex_lock(&p->lock);
    int r = look(e);
    e->stay_count = 0; /* it was decided as a whole */
    if (r == 0)
        r = forget(e);
    if (r == 0)
        r = destroy_subject(e);
    pthread_mutex_unlock(&p->lock);
    if (r == 0)
        r = tell(e, false);
    if (r == 0)
        r = write_record(e);
    if (r == 0)
        r = remove_rows(e);
    LOG(r ? LOG_ALARM : LOG_INFO, "purge", r ? "erasure_waits" : "erasure_resumed", log_error(r));
    erasure_free(e);
    return r;
}

/* Marked as erasing, or with a row that the subject's key opened once: to the end. */
int erase_resume(struct purge *p)
{
    int r = 0;
    pthread_mutex_lock(&p->lock);
    bool resumed = p->resumed;
    pthread_mutex_unlock(&p->lock);
    if (resumed) /* and no erasure of now is waited for */
        return 0;
    pthread_mutex_lock(&p->erase_lock);
    for (uint64_t next = mark_next(p, 0, MARK_ERASING); r == 0 && next;
         next = mark_next(p, next, MARK_ERASING))
        r = resume_one(p, next);
    pthread_mutex_lock(&p->lock);
    p->resumed = r == 0;
    pthread_mutex_unlock(&p->lock);
    pthread_mutex_unlock(&p->erase_lock);
    return r;
}

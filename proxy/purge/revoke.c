/*
 * Single messages that were taken back, or of a person erased in part. The job that commits it
 * leaves a row; this reads the rows, seals what stays under a new serial, destroys the message
 * leaves of a batch in one change of the keyring, and takes the rows away with a leaf of the log
 * each.
 */
#include "room.h"

#include <sodium.h>
#include <stdlib.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/json.h"
#include "sluis/base/log.h"
#include "sluis/mask.h"

#define BATCH 64
#define ARENA_MAX (8u * 1024 * 1024)
#define LEAF_VALUE 16 /* subject, message */

static void leaf_key(uint64_t serial, uint8_t key[ROW_SERIAL_KEY])
{
    key[0] = ROW_LEAF;
    be64_put(key + 1, serial);
}

static void revoke_key(uint64_t serial, uint8_t key[ROW_SERIAL_KEY])
{
    key[0] = ROW_REVOKED;
    be64_put(key + 1, serial);
}

void revoke_put(struct store_txn *txn, uint64_t serial, enum revoke_why why)
{
    uint8_t key[ROW_SERIAL_KEY];
    const char word = (char)why;
    revoke_key(serial, key);
    store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), span_of(&word, 1));
}

void purge_revoke_put(struct store_txn *txn, uint64_t serial)
{
    revoke_put(txn, serial, REVOKE_TAKEN_BACK);
}

void purge_leaf_put(struct store_txn *txn, uint64_t leaf, uint64_t message, uint64_t subject)
{
    uint8_t key[ROW_SERIAL_KEY], value[LEAF_VALUE];
    leaf_key(leaf, key);
    be64_put(value, subject);
    be64_put(value + 8, message);
    store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)),
                  span_of(value, sizeof(value)));
}

void purge_wake(struct purge *p)
{
    pthread_mutex_lock(&p->wake_lock);
    p->revoked = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->wake_lock);
}

/* ---- what stays: the message without what it said ---- */

static int first_policy(void *ctx, const struct policy *policy)
{
    /* The storage profile alone is used, to say that nothing of the content passes. */
    *(struct policy **)ctx = policy_ref((struct policy *)policy);
    return 1;
}

int any_policy(struct purge *p, struct policy **out)
{
    *out = NULL;
    if (p->deps.each_policy)
        p->deps.each_policy(p->deps.ctx, first_policy, out);
    return *out ? 0 : SLUIS_EJUDGE;
}

int make_stub(struct purge *p, const struct store_item *item, struct span packed, struct span text,
              struct arena *arena, struct buffer *out)
{
    const enum mask_table table =
        item->kind == STORE_KIND_SENT ? MASK_TABLE_SEND : MASK_TABLE_WEBHOOK;
    struct policy *policy;
    struct judged judged;
    struct json_doc doc;
    struct span json;
    struct buffer rendered;
    int r = any_policy(p, &policy);
    if (r != 0)
        return r;
    buffer_init(&rendered, STORE_RECORD_MAX);
    const struct mask_reader reader = {.profile = policy_storage_profile(policy),
                                       .policy = policy,
                                       .media = MEDIA_WITHHOLD,
                                       .unjudged = true,
                                       .hidden = text};
    r = mask_unpack(packed, arena, &judged, &json);
    if (r == 0)
        r = json_scan(&doc, json, arena, NULL);
    if (r == 0)
        r = mask_render(&doc, 0, table, NULL, &reader, arena, &rendered);
    if (r == 0) {
        const struct judged nothing = {0};
        mask_pack(&nothing, buffer_span(&rendered), out);
        r = rendered.error ? rendered.error : out->error;
    }
    buffer_free(&rendered);
    policy_unref(policy);
    return r;
}

/* ---- a batch ---- */

struct revoked {
    uint64_t serial;
    struct store_item item;
    bool known;            /* the journal has it */
    bool leaf;             /* only a leaf: `serial` is its number, */
    uint64_t message;      /* and this the message's, whatever stood under it */
    bool keep_m, erased;   /* see enum revoke_why */
    struct record_id o, m; /* where the parts are now; class 0: nowhere */
    uint64_t moved;        /* their serial when it is not the message's, else 0 */
    struct record_id id;   /* of the stub; serial 0: none */
    struct buffer sealed;
};

struct batch {
    struct store_job job;
    struct purge *p;
    struct store_read *read;
    struct revoked at[BATCH];
    unsigned n;
    int kept_back; /* why some leaves stay for now: what hangs under them could not be moved */
    int64_t now_ms;
    uint8_t destruction_key[DESTRUCTION_KEY_BYTES];
    struct buffer destruction;
    struct arena arena;
};

/* What was sealed anew before goes with its serial of that time. */
static int find_parts(struct batch *b, struct revoked *v)
{
    int r = retention_part(b->read, &v->item, 'O', &v->o);
    if (r == 0 || r == SLUIS_ENOENT)
        r = retention_part(b->read, &v->item, 'M', &v->m);
    if (r != 0 && r != SLUIS_ENOENT)
        return r;
    const uint64_t serial = v->o.cls ? v->o.serial : v->m.serial;
    v->moved = serial != v->serial ? serial : 0;
    return 0;
}

static int take_row(void *ctx, struct span key, struct span value)
{
    struct batch *b = ctx;
    struct mark mark;
    if (b->n == BATCH || key.n != ROW_SERIAL_KEY || key.p[0] != ROW_REVOKED)
        return 1;
    struct revoked *v = &b->at[b->n];
    *v = (struct revoked){.serial = be64_get((const uint8_t *)key.p + 1),
                          .keep_m = span_is(value, "M"),
                          .erased = !span_is(value, "1")};
    if (b->n && b->at[0].erased != v->erased)
        return 1; /* a record states one reason: the next batch */
    int found = store_get_item(b->read, v->serial, &v->item);
    if (found != 0 && found != SLUIS_ENOENT)
        return found;
    v->known = found == 0;
    if (v->known && (found = find_parts(b, v)) != 0)
        return found;
    if (v->known && mark_get(b->p, v->item.subject, &mark) && mark.bits & MARK_HELD)
        return 0; /* waits until the hold is released */
    b->n++;
    return 0;
}

static int take_leaf(void *ctx, struct span key, struct span value)
{
    struct batch *b = ctx;
    if (b->n == BATCH || key.n != ROW_SERIAL_KEY || key.p[0] != ROW_LEAF || value.n < 8)
        return 1;
    if (purge_held(b->p, be64_get((const uint8_t *)value.p)))
        return 0;
    struct revoked *v = &b->at[b->n++];
    *v = (struct revoked){.serial = be64_get((const uint8_t *)key.p + 1), .leaf = true};
    /* What was sealed anew twice stood under a serial that the journal does not know. */
    v->message = value.n == LEAF_VALUE ? be64_get((const uint8_t *)value.p + 8) : v->serial;
    int found = store_get_item(b->read, v->message, &v->item);
    if (found == 0)
        found = find_parts(b, v);
    return found == SLUIS_ENOENT ? 0 : found;
}

/* What hangs under the leaf of a message that goes on elsewhere (masked anew, put right) goes with
 * it: what was said of it, and its pictures. */
static int keep_rest(struct batch *b, const struct revoked *v)
{
    const struct purge_deps *deps = &b->p->deps;
    const struct record_id *to = v->m.cls ? &v->m : &v->o;
    int r = 0;
    if (!v->leaf || !v->moved || !to->cls)
        return 0;
    if (deps->keep_media && v->item.flags & STORE_ITEM_HAS_MEDIA)
        r = deps->keep_media(deps->ctx, v->item.subject, v->message, to);
    if (r == 0 && deps->keep_notes)
        r = deps->keep_notes(deps->ctx, v->item.channel, v->item.subject, v->message, to);
    return r;
}

static int collect(struct batch *b)
{
    uint8_t from[ROW_SERIAL_KEY];
    revoke_key(0, from);
    int r = store_read_begin(b->p->deps.store, &b->read);
    if (r != 0)
        return r;
    r = store_each_row(b->read, STORE_TABLE_SUBJECT, span_of(from, sizeof(from)), take_row, b);
    leaf_key(0, from);
    if (r == 0 && b->n < BATCH)
        r = store_each_row(b->read, STORE_TABLE_SUBJECT, span_of(from, sizeof(from)), take_leaf, b);
    store_read_end(b->read);
    return r;
}

/* Part M opened, hidden, and sealed under a serial of its own. Gone already: nothing stays. */
static int reseal(struct batch *b, struct revoked *v)
{
    struct purge *p = b->p;
    struct store_read *read;
    struct buffer plain, stub;
    struct span sealed;
    const struct record_id old = v->m;
    if (!v->known || !old.cls)
        return 0;
    buffer_init(&plain, STORE_RECORD_MAX);
    buffer_init(&stub, STORE_RECORD_MAX);
    int r = store_read_begin(p->deps.store, &read);
    if (r == 0) {
        r = store_get_record(read, &old, &b->arena, &sealed);
        store_read_end(read);
    }
    if (r == 0)
        r = record_open(p->cache, 0, &old, sealed, &plain);
    if (r == 0)
        r = v->keep_m ? 0
                      : make_stub(p, &v->item, buffer_span(&plain), SPAN(MASK_WITHDRAWN_TEXT),
                                  &b->arena, &stub);
    if (r == 0) {
        v->id = old;
        v->id.serial = store_next_serial(p->deps.store);
        buffer_init(&v->sealed, STORE_RECORD_MAX);
        r = record_seal(p->cache, 0, &v->id, 0, buffer_span(v->keep_m ? &plain : &stub),
                        &v->sealed);
    }
    buffer_free(&plain);
    buffer_free(&stub);
    if (r == SLUIS_ENOENT || r == SLUIS_EEXPIRED)
        r = 0;
    if (r != 0 && !v->keep_m && r != SLUIS_ENOMEM && r != SLUIS_EIO && r != SLUIS_ESEALED) {
        /* it cannot be shown without what it said: then nothing of it stays */
        LOG(LOG_ERROR, "purge", "nothing_stays", log_u64("serial", v->serial), log_error(r));
        v->id = (struct record_id){0};
        r = 0;
    }
    return r;
}

static int run_moved(struct store_txn *txn, struct store_job *job)
{
    struct batch *b = (struct batch *)(void *)job;
    for (unsigned i = 0; i < b->n; i++) {
        const struct revoked *v = &b->at[i];
        const struct retention_moved moved = {
            .serial = v->id.serial, .cls_m = v->id.cls, .bucket_m = v->id.bucket};
        if (v->id.serial)
            store_put_record(txn, &v->id, buffer_span(&v->sealed));
        if (v->known)
            retention_moved_put(txn, v->serial, &moved);
        if (v->moved && !v->leaf) /* the row above forgets it: its leaf must go all the same */
            word_put(txn, v->moved, NULL);
        if (v->known && v->o.cls)
            store_delete_record(txn, &v->o);
        if (v->known && v->m.cls)
            store_delete_record(txn, &v->m);
    }
    return store_txn_error(txn);
}

static int run_done(struct store_txn *txn, struct store_job *job)
{
    struct batch *b = (struct batch *)(void *)job;
    for (unsigned i = 0; i < b->n; i++) {
        uint8_t key[ROW_SERIAL_KEY];
        const struct audit_event event = {.at_ms = b->now_ms,
                                          .action = AUDIT_ERASE,
                                          .actor = "gateway",
                                          .object = b->at[i].serial,
                                          .outcome =
                                              b->at[i].erased ? "erased_in_part" : "revoked"};
        if (b->at[i].leaf)
            leaf_key(b->at[i].serial, key);
        else
            revoke_key(b->at[i].serial, key);
        store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), SPAN_EMPTY);
        if (b->at[i].leaf)
            continue; /* on record with what made it go */
        /* what stays says so itself; a picture may hang under a leaf in between */
        if (!(b->at[i].item.flags & STORE_ITEM_HAS_MEDIA))
            retention_withdrawn_delete(txn, b->at[i].serial);
        if (b->at[i].moved)
            word_delete(txn, b->at[i].moved);
        audit_put(txn, &event);
    }
    if (b->destruction.n)
        store_put_row(txn, STORE_TABLE_SETTING, span_of(b->destruction_key, DESTRUCTION_KEY_BYTES),
                      buffer_span(&b->destruction));
    return store_txn_error(txn);
}

static int destroy(struct batch *b)
{
    struct keyring_leaf leaves[2 * BATCH];
    size_t n = 0;
    for (unsigned i = 0; i < b->n; i++) {
        const struct revoked *v = &b->at[i];
        leaves[n++] = (struct keyring_leaf){.tree = KEYRING_MESSAGE, .leaf = (uint32_t)v->serial};
        if (v->moved && !v->leaf)
            leaves[n++] =
                (struct keyring_leaf){.tree = KEYRING_MESSAGE, .leaf = (uint32_t)v->moved};
    }
    return destroy_leaves(b->p, leaves, n);
}

static int write_record(struct batch *b)
{
    struct keyring_status status;
    struct rule_facts facts;
    uint64_t subjects = 0, messages = 0;
    for (unsigned i = 0; i < b->n; i++) {
        messages += !b->at[i].leaf;
        bool seen = !b->at[i].known;
        for (unsigned k = 0; !seen && k < i; k++)
            seen = b->at[k].known && b->at[k].item.subject == b->at[i].item.subject;
        subjects += !seen;
    }
    if (messages == 0)
        return 0;
    keyring_status(b->p->deps.keyring, &status);
    rule_find(b->p, "", &facts);
    const struct retention_destruction d = {.cls = "message",
                                            .category = "",
                                            .ground = b->at[0].erased ? "AVG art. 17" : "",
                                            .reason = b->at[0].erased ? "erased" : "revoked",
                                            .from_ms = b->now_ms,
                                            .to_ms = b->now_ms,
                                            .messages = messages,
                                            .subjects = subjects,
                                            .generation = status.generation,
                                            .policy_hash = facts.policy_hash,
                                            .at_ms = b->now_ms};
    return destruction_seal(b->p, &d, b->destruction_key, &b->destruction);
}

/* No room on the disk for a picture, say: that leaf waits, and nobody else's with it. */
static void keep_back(struct batch *b)
{
    unsigned n = 0;
    for (unsigned i = 0; i < b->n; i++) {
        int r = keep_rest(b, &b->at[i]);
        if (r == 0) {
            b->at[n++] = b->at[i];
            continue;
        }
        b->kept_back = r;
        LOG(LOG_ALARM, "purge", "not_moved", log_u64("serial", b->at[i].serial), log_error(r));
        buffer_free(&b->at[i].sealed);
    }
    b->n = n;
}

static int one_batch(struct batch *b)
{
    struct store *store = b->p->deps.store;
    int r = 0;
    for (unsigned i = 0; r == 0 && i < b->n; i++) {
        r = reseal(b, &b->at[i]);
        arena_reset(&b->arena);
    }
    if (r == 0)
        keep_back(b);
    if (b->n == 0)
        return r ? r : b->kept_back;
    b->job = (struct store_job){.priority = STORE_PURGE, .run = run_moved};
    if (r == 0)
        r = store_submit_wait(store, &b->job);
    if (r == 0)
        r = destroy(b);
    if (r == 0)
        r = write_record(b);
    b->job = (struct store_job){.priority = STORE_PURGE, .run = run_done};
    return r ? r : store_submit_wait(store, &b->job);
}

static int drain_some(struct purge *p, unsigned *n)
{
    struct batch *b = calloc(1, sizeof(*b));
    if (!b)
        return SLUIS_ENOMEM;
    b->p = p;
    b->now_ms = clock_wall_ms();
    arena_init(&b->arena, ARENA_MAX);
    buffer_init(&b->destruction, STORE_VALUE_MAX);
    int r = collect(b);
    const unsigned found = b->n;
    if (r == 0 && b->n)
        r = one_batch(b);
    *n = b->n;
    for (unsigned i = 0; i < b->n; i++) {
        buffer_free(&b->at[i].sealed);
        if (r == 0 && p->deps.drop)
            p->deps.drop(p->deps.ctx, b->at[i].serial);
    }
    if (found)
        LOG(r ? LOG_ALARM : LOG_INFO, "purge", r ? "revoke_waits" : "revoked",
            log_u64("messages", *n), log_error(r));
    buffer_free(&b->destruction);
    arena_free(&b->arena);
    free(b);
    return r;
}

int revoke_drain(struct purge *p)
{
    int r = 0;
    unsigned n = 1;
    while (r == 0 && n && !purge_stopping(p)) {
        pthread_mutex_lock(&p->lock);
        r = drain_some(p, &n);
        pthread_mutex_unlock(&p->lock);
    }
    return r;
}

int purge_revoke(struct purge *p)
{
    return revoke_drain(p);
}

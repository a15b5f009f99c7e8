/*
 * A later message shows what an earlier one holds: the first half of an account number, or a number
 * that "dat was mijn BSN" explains. The earlier message's parts get the finding, are sealed anew
 * and replaced in the later message's job.
 */
#include "internal.h"

#include "sluis/base/log.h"

#include <stdlib.h>

void remask_free(struct remask *m)
{
    while (m) {
        struct remask *next = m->next;
        buffer_free(&m->packed);
        buffer_free(&m->sealed_o);
        buffer_free(&m->sealed_m);
        free(m);
        m = next;
    }
}

/* What hangs under the leaf beside the parts (a picture, tags and notes) is moved by who destroys
 * it, first: that may take a disk's time. */
static bool leaves_go(const struct webhook_deps *deps, struct store_txn *txn,
                      const struct remask *m)
{
    bool goes = true;
    if (!deps->on_remasked)
        return true;
    if (m->leaf != m->row.serial) /* the job that should have said so may have failed */
        goes = deps->on_remasked(deps->on_revoked_ctx, txn, m->row.serial, m->row.serial,
                                 m->row.subject);
    return deps->on_remasked(deps->on_revoked_ctx, txn, m->leaf, m->row.serial, m->row.subject) &&
           goes;
}

void remask_run(const struct webhook_deps *deps, struct store_txn *txn, const struct remask *list)
{
    for (const struct remask *m = list; m; m = m->next) {
        const struct retention_moved moved = {
            .serial = m->has_o   ? m->record_o.serial
                      : m->has_m ? m->record_m.serial
                                 : 0,
            .cls_o = m->has_o ? m->record_o.cls : 0,
            .cls_m = m->has_m ? m->record_m.cls : 0,
            .bucket_o = m->has_o ? m->record_o.bucket : 0,
            .bucket_m = m->has_m ? m->record_m.bucket : 0,
        };
        bool goes = leaves_go(deps, txn, m);
        if (goes && m->old_o.cls)
            store_delete_record(txn, &m->old_o);
        if (goes && m->old_m.cls)
            store_delete_record(txn, &m->old_m);
        if (m->has_o)
            store_put_record(txn, &m->record_o, buffer_span(&m->sealed_o));
        if (m->has_m)
            store_put_record(txn, &m->record_m, buffer_span(&m->sealed_m));
        retention_moved_put(txn, m->row.serial, &moved);
    }
}

void remask_done(const struct webhook_deps *deps, const struct remask *list)
{
    if (list && deps->on_remasked)
        (void)deps->on_remasked(deps->on_revoked_ctx, NULL, list->leaf, list->row.serial,
                                list->row.subject);
}

/* The earlier message as it stands or will stand: parts on their way to the store go first. */
struct earlier {
    struct store_item row;
    struct judged judged;
    struct json_doc doc;
    struct span json;
    uint8_t part;
    struct record_id o, m; /* where they are or will be before this item's job; class 0: nowhere */
};

static const struct remask *find_in(const struct remask *list, uint64_t serial)
{
    while (list && list->row.serial != serial)
        list = list->next;
    return list;
}

static int find_places(struct store_read *read, struct earlier *out)
{
    int r = retention_part(read, &out->row, 'O', &out->o);
    if (r == 0 || r == SLUIS_ENOENT)
        r = retention_part(read, &out->row, 'M', &out->m);
    return r == SLUIS_ENOENT ? 0 : r;
}

static int find_earlier(struct item *item, uint64_t serial, struct earlier *out)
{
    struct intake_thread *t = item->owner;
    struct span packed = SPAN_EMPTY;
    const struct remask *m = find_in(item->remasks, serial);
    for (const struct item *i = t->under_way; i && !m && packed.n == 0; i = i->older) {
        m = find_in(i->remasks, serial);
        if (i->row.serial == serial) {
            out->row = i->row;
            packed = buffer_span(&i->packed);
            out->o = i->row.cls_o ? i->record_o : (struct record_id){0};
            out->m = i->row.cls_m ? i->record_m : (struct record_id){0};
        }
    }
    if (m && m->gone)
        return SLUIS_ENOENT;
    if (m) {
        out->row = m->row;
        packed = buffer_span(&m->packed);
        out->o = m->has_o ? m->record_o : (struct record_id){0};
        out->m = m->has_m ? m->record_m : (struct record_id){0};
    }
    out->part = m && !m->has_o ? 'M' : 'O';
    struct store_read *read = NULL;
    int r = packed.n ? mask_unpack(packed, &t->arena, &out->judged, &out->json)
                     : store_read_begin(t->webhook->deps.store, &read);
    if (r == 0 && read)
        r = store_get_item(read, serial, &out->row);
    if (r == 0 && read)
        r = find_places(read, out);
    if (r == 0 && read)
        r = past_open(t, read, &out->row, &out->part, &out->judged, &out->json);
    if (read)
        store_read_end(read);
    return r == 0 ? json_scan(&out->doc, out->json, &t->arena, NULL) : r;
}

/* Findings by offset in the window's text, moved to the text of the part at hand. In part M other
 * findings are replaced already, so that offsets differ: there every place with the same bytes is
 * taken. */
static int place_findings(struct item *item, struct earlier *e,
                          const struct window_message *message, const struct finding *findings,
                          size_t n)
{
    struct arena *arena = &item->owner->arena;
    struct span text;
    int r = mask_window_text(&e->doc, 0, arena, &text);
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct finding f = findings[i];
        struct span value = span_sub(message->text, f.start, f.end);
        f.start += message->cut;
        f.end += message->cut;
        if (value.n == 0)
            continue;
        if (f.end <= text.n && span_eq(span_sub(text, f.start, f.end), value)) {
            r = mask_window_add(&e->doc, 0, &f, 1, arena, &e->judged);
            continue;
        }
        const char *at = text.p, *end = text.p + text.n;
        while (r == 0 && at && (at = memmem(at, (size_t)(end - at), value.p, value.n))) {
            f.start = (uint32_t)(at - text.p);
            f.end = f.start + (uint32_t)value.n;
            r = mask_window_add(&e->doc, 0, &f, 1, arena, &e->judged);
            at += value.n;
        }
    }
    return r;
}

/* May part O stay where it is, now that it holds more? A rule that keeps it shorter cannot be
 * followed by moving it (its place stands in the journal): then it goes. */
static bool may_keep(struct item *item, const struct earlier *e)
{
    struct store *store = item->owner->webhook->deps.store;
    const struct retention_facts facts = {.found = e->judged.found,
                                          .media = e->judged.has_media,
                                          .out = e->row.kind == STORE_KIND_SENT ||
                                                 e->row.kind == STORE_KIND_ECHO,
                                          .channel = item->channel->name,
                                          .at_ms = e->row.at_ms,
                                          .consent = item->consents};
    struct retention_rule rule =
        policy_retention(item->channel->policy, RETENTION_ORIGINAL, &facts);
    struct retention_place place;
    int64_t ends;
    return retention_place(store, &rule, RETENTION_ORIGINAL, e->row.at_ms, item->row.taken_ms,
                           &place) == 0 &&
           !place.never && !place.expired &&
           retention_bucket_end(store, e->o.cls, e->o.bucket, &ends) == 0 && place.ends_ms >= ends;
}

static int seal(struct item *item, const struct record_id *id, const struct buffer *plain,
                struct buffer *out)
{
    buffer_clear(out);
    return plain->error ? plain->error
                        : record_seal(item->owner->keys, 0, id, 0, buffer_span(plain), out);
}

/* A revoke on its way to the store deletes part O before this item's job: not to be put back. */
static bool is_revoked(const struct intake_thread *t, uint64_t serial)
{
    for (const struct item *i = t->under_way; i; i = i->older)
        if (i->revoked.cls && !i->hides && i->revoked.serial == serial)
            return true;
    return false;
}

/* What was there goes with its leaf; what stays has a serial of its own. Masked twice by one item:
 * nothing stood at the place in between. */
static void give_place(struct item *item, const struct earlier *e, struct remask *m)
{
    struct store *store = item->owner->webhook->deps.store;
    if (!m->leaf) {
        m->row = e->row;
        m->old_o = e->o;
        m->old_m = e->m;
        m->leaf = e->o.cls ? e->o.serial : e->m.cls ? e->m.serial : e->row.serial;
    }
    uint64_t serial = m->record_o.serial ? m->record_o.serial : store_next_serial(store);
    m->record_o = e->o;
    m->record_m = e->m;
    m->record_o.serial = m->record_m.serial = serial;
}

/* `hidden`: what is known of it cannot be masked singly; all its content goes. */
static int make(struct item *item, const struct earlier *e, struct remask *m, bool hidden)
{
    const struct store_item *row = &e->row;
    enum mask_table table = row->kind == STORE_KIND_SENT ? MASK_TABLE_SEND : MASK_TABLE_WEBHOOK;
    struct buffer packed_m;
    int r = 0;
    give_place(item, e, m);
    m->has_o = !hidden && !is_revoked(item->owner, row->serial) && e->o.cls && e->part == 'O' &&
               may_keep(item, e);
    m->has_m = e->m.cls != 0;
    buffer_init(&packed_m, STORE_RECORD_MAX);
    if (m->has_m)
        r = render_storage(item->owner, item->channel, &e->doc, table, &e->judged,
                           hidden || row->flags & STORE_ITEM_UNJUDGED, &packed_m);
    if (r == 0 && m->has_m)
        r = seal(item, &m->record_m, &packed_m, &m->sealed_m);
    struct buffer packed;
    buffer_init(&packed, STORE_RECORD_MAX);
    if (m->has_o)
        mask_pack(&e->judged, e->json, &packed);
    else
        buffer_add(&packed, buffer_span(&packed_m));
    if (r == 0 && m->has_o)
        r = seal(item, &m->record_o, &packed, &m->sealed_o);
    buffer_free(&m->packed); /* the document may have pointed into it: not before here */
    m->packed = packed;
    buffer_free(&packed_m);
    return r ? r : packed.error;
}

static int put_on_record(struct item *item, const struct earlier *e)
{
    struct audit_event event = {
        .at_ms = item->row.taken_ms,
        .action = AUDIT_REMASK,
        .actor = "gateway",
        .channel = item->channel->name,
        .activity = policy_activity(item->channel->policy),
        .object = e->row.serial,
        .masked = e->judged.found,
        .policy_hash = policy_hash(item->channel->policy),
        .outcome = "remasked",
    };
    int r = keyring_pseudonym(item->owner->keys, item->subject.serial, &event.subject);
    return r ? r : item_add_leaf(item, &event);
}

static bool is_permanent(int error)
{
    return error == SLUIS_EINVAL || error == SLUIS_ELIMIT || error == SLUIS_EJUDGE ||
           error == SLUIS_ECRYPTO;
}

/* It holds half of a value and cannot be masked: nobody may read it any more. */
static void remove_both(struct item *item, const struct earlier *e, struct remask *m, int why)
{
    const struct store_item *row = &e->row;
    give_place(item, e, m);
    m->has_o = m->has_m = false;
    m->gone = true;
    buffer_clear(&m->packed);
    LOG(LOG_ALARM, "webhook", "not_remasked", log_u64("serial", row->serial),
        log_word("action", "deleted"), log_error(why));
}

int remask_add(struct item *item, const struct window_message *message,
               const struct finding *findings, size_t n)
{
    struct earlier e = {.part = 'O'};
    int r = find_earlier(item, message->serial, &e);
    if (r == SLUIS_ENOENT || r == SLUIS_EEXPIRED)
        return 0; /* nothing of it is left to mask */
    bool hidden = false;
    int unreadable = is_permanent(r) && e.row.serial ? r : 0;
    if (r == 0) {
        r = place_findings(item, &e, message, findings, n);
        hidden = is_permanent(r);
    }
    if (r != 0 && !hidden && !unreadable)
        return r;
    struct remask *m = (struct remask *)find_in(item->remasks, message->serial);
    bool again = m != NULL;
    if (!m) {
        m = calloc(1, sizeof(*m));
        if (!m)
            return SLUIS_ENOMEM;
        buffer_init(&m->packed, STORE_RECORD_MAX);
        buffer_init(&m->sealed_o, STORE_RECORD_MAX);
        buffer_init(&m->sealed_m, STORE_RECORD_MAX);
        m->next = item->remasks;
        item->remasks = m;
    }
    r = unreadable ? unreadable : make(item, &e, m, hidden);
    if (!hidden && !unreadable && is_permanent(r))
        r = make(item, &e, m, true);
    if (is_permanent(r)) {
        remove_both(item, &e, m, r);
        r = 0;
    }
    if (r == 0 && !again) {
        LOG(LOG_INFO, "webhook", "remasked", log_u64("serial", message->serial),
            log_u64("by", item->row.serial));
        r = put_on_record(item, &e);
    }
    return r;
}

/*
 * One item on its owner's thread: whose is it, what is in it, how long may it be kept; sealed, put
 * in a job, and offered to delivery once it is committed. Items of one contact pass here in
 * sequence.
 */
#include "internal.h"

#include "sluis/base/clock.h"
#include "sluis/base/log.h"

#include <sodium.h>
#include <stdlib.h>

#define ITEM_OF_JOB(j) ((struct item *)((char *)(j)-offsetof(struct item, job)))

/* What the window holds of a record is read back at most this far. */
#define WINDOW_LOAD_MAX DETECT_WINDOW_MESSAGES

static struct webhook *webhook_of(const struct item *item)
{
    return item->owner->webhook;
}

/* ---- whose is it ---- */

static bool is_alarm_field(const char *field)
{
    return strcmp(field, "account_update") == 0 || strcmp(field, "account_alerts") == 0 ||
           strcmp(field, "phone_number_quality_update") == 0;
}

static const struct config_channel *find_channel(const struct item *item)
{
    const struct config *config = item->batch->config;
    const struct config_app *app = item->batch->app;
    if (item->unit.phone_number_id.n)
        return config_channel_by_number(config, app, item->unit.phone_number_id);
    return config_channel_by_waba(config, app, item->unit.entry_id);
}

static int resolve_subject(struct item *item)
{
    struct intake_thread *t = item->owner;
    const struct mask_unit *u = &item->unit;
    if (u->contact.n || u->user_id.n)
        return subject_resolve(t->subjects, u->contact, u->user_id, &item->subject);
    /* account events: one constant subject per channel */
    char name[CONFIG_NAME_MAX + 16];
    int n = snprintf(name, sizeof(name), "channel:%s", item->channel->name);
    return subject_resolve(t->subjects, SPAN_EMPTY, span_of(name, (size_t)n), &item->subject);
}

/* (app, number, kind, id), for statuses also status, recipient and timestamp (whatsapp 0.17).
 * Events without an id are told apart by their whole text. */
static int dedupe_hash(struct item *item, uint32_t day)
{
    struct webhook *w = webhook_of(item);
    const struct mask_unit *u = &item->unit;
    struct buffer text;
    buffer_init(&text, STORE_RECORD_MAX * 2);
    buffer_add_str(&text, item->batch->app->name);
    buffer_add_char(&text, '|');
    buffer_add(&text, u->phone_number_id.n ? u->phone_number_id : u->entry_id);
    buffer_addf(&text, "|%u|", u->kind);
    buffer_add(&text, u->id.n ? u->id : u->json);
    if (u->kind == STORE_KIND_STATUS) {
        buffer_add_char(&text, '|');
        buffer_add(&text, u->status);
        buffer_add_char(&text, '|');
        buffer_add(&text, u->contact.n ? u->contact : u->user_id);
        buffer_addf(&text, "|%lld", (long long)u->at_ms);
    }
    int error = text.error;
    if (error == 0)
        keyring_hash_day(w->deps.keyring, day, "message", buffer_span(&text), item->dedupe);
    buffer_free(&text);
    return error;
}

/* Look-up of the message that a revoke, edit or reaction means: the same hash, day by day. */
static int find_target(struct item *item, struct store_item *target)
{
    struct webhook *w = webhook_of(item);
    struct item probe = *item; /* same app and number; the meant message's id */
    probe.unit.id = item->unit.target_id;
    probe.unit.kind = STORE_KIND_MESSAGE;
    struct store_read *read;
    int r = store_read_begin(w->deps.store, &read);
    if (r != 0)
        return r;
    r = SLUIS_ENOENT;
    uint32_t today = (uint32_t)(item->row.at_ms / DAY_MS);
    for (uint32_t back = 0; r == SLUIS_ENOENT && back <= WEBHOOK_DEDUPE_DAYS && back <= today;
         back++) {
        struct record_id where;
        r = dedupe_hash(&probe, today - back);
        if (r == 0)
            r = store_get_dedupe(read, today - back, probe.dedupe, &where);
        if (r == 0)
            r = store_get_item(read, where.serial, target);
        if (r == 0 && target->subject != item->subject.serial)
            r = SLUIS_ENOENT; /* somebody else's message: not this person's to take back */
    }
    store_read_end(read);
    return r;
}

/* ---- the window ---- */

static int open_part(struct item *item, struct store_read *read, const struct store_item *row,
                     struct span *json)
{
    struct intake_thread *t = item->owner;
    struct record_id id = {row->cls_o, row->bucket_o, row->subject, row->serial, 'O'};
    struct span sealed;
    int r = row->cls_o ? store_get_record(read, &id, &t->arena, &sealed) : SLUIS_ENOENT;
    if (r != 0 && row->cls_m) {
        id = (struct record_id){row->cls_m, row->bucket_m, row->subject, row->serial, 'M'};
        r = store_get_record(read, &id, &t->arena, &sealed);
    }
    if (r != 0)
        return r;
    struct buffer plain;
    buffer_init(&plain, STORE_RECORD_MAX);
    r = record_open(t->keys, 0, &id, sealed, &plain);
    struct span kept;
    if (r == 0)
        r = arena_try_copy(&t->arena, buffer_span(&plain), &kept);
    buffer_free(&plain);
    struct judged judged;
    return r == 0 ? mask_unpack(kept, &t->arena, &judged, json) : r;
}

/* After a restart or an eviction: the conversation's last messages, from the store. A failure
 * leaves the window short and is logged: detection then sees the message alone. */
static void load_window(struct item *item, struct window *window)
{
    struct intake_thread *t = item->owner;
    struct store_read *read;
    window->loaded = true;
    if (item->subject.new_hashes == 2 || store_read_begin(t->webhook->deps.store, &read) != 0)
        return;
    uint64_t serial = 0;
    int r = store_get_head(read, item->channel->id, item->subject.serial, &serial);
    for (unsigned i = 0; r == 0 && serial != 0 && i < WINDOW_LOAD_MAX; i++) {
        struct store_item row;
        struct json_doc doc;
        struct span json, text = SPAN_EMPTY;
        r = store_get_item(read, serial, &row);
        if (r != 0 || item->row.at_ms - row.at_ms > (int64_t)DETECT_WINDOW_MINUTES * 60000)
            break;
        if (row.kind != STORE_KIND_STATUS && open_part(item, read, &row, &json) == 0 &&
            json_scan(&doc, json, &t->arena, NULL) == 0 &&
            mask_window_text(&doc, 0, &t->arena, &text) == 0 && text.n)
            window_add(t->windows, window, text, row.kind == STORE_KIND_MESSAGE, row.at_ms, serial);
        serial = row.previous;
    }
    store_read_end(read);
}

static size_t earlier_messages(const struct window *window, int64_t at_ms,
                               struct detect_message out[DETECT_WINDOW_MESSAGES])
{
    size_t n = 0;
    for (unsigned i = 0; window && i < window->count; i++) {
        const struct window_message *m = &window->messages[i];
        int64_t apart = at_ms > m->at_ms ? at_ms - m->at_ms : m->at_ms - at_ms;
        if (apart <= (int64_t)DETECT_WINDOW_MINUTES * 60000)
            out[n++] = (struct detect_message){m->text, m->from_customer, m->at_ms};
    }
    return n;
}

/* ---- what is in it ---- */

static int judge(struct item *item, struct json_doc *doc, struct judged *judged)
{
    struct intake_thread *t = item->owner;
    bool conversation = item->unit.kind == STORE_KIND_MESSAGE || item->unit.kind == STORE_KIND_ECHO;
    struct window *window =
        conversation ? window_get(t->windows, item->channel->id, item->subject.serial) : NULL;
    if (window && !window->loaded)
        load_window(item, window);
    struct detect_message earlier[DETECT_WINDOW_MESSAGES];
    const struct judge_input input = {
        .doc = doc,
        .root = 0,
        .table = MASK_TABLE_WEBHOOK,
        .policy = item->channel->policy,
        .scratch = t->scratch,
        .from_customer = item->unit.kind == STORE_KIND_MESSAGE,
        .at_ms = item->row.at_ms,
        .earlier = earlier,
        .earlier_count = earlier_messages(window, item->row.at_ms, earlier),
    };
    int r = mask_judge(&input, &t->arena, judged);
    struct span text;
    if (window && mask_window_text(doc, 0, &t->arena, &text) == 0 && text.n)
        window_add(t->windows, window, text, input.from_customer, item->row.at_ms,
                   item->row.serial);
    return r;
}

/* ---- sealing ---- */

static int seal_part(struct item *item, uint8_t part, const struct retention_place *place,
                     struct span plain, struct record_id *id, struct buffer *out)
{
    *id =
        (struct record_id){place->cls, place->bucket, item->subject.serial, item->row.serial, part};
    return record_seal(item->owner->keys, 0, id, 0, plain, out);
}

static int render_storage(struct item *item, const struct json_doc *doc,
                          const struct judged *judged, bool unjudged, struct buffer *out)
{
    const struct config_channel *channel = item->channel;
    const struct mask_reader reader = {
        .profile = policy_storage_profile(channel->policy),
        .policy = channel->policy,
        .media = channel->media_pass ? MEDIA_PASS : MEDIA_WITHHOLD,
        .unjudged = unjudged,
    };
    struct buffer json;
    buffer_init(&json, STORE_RECORD_MAX);
    int r = mask_render(doc, 0, MASK_TABLE_WEBHOOK, judged, &reader, &item->owner->arena, &json);
    if (r == 0) {
        struct judged masked = *judged; /* offsets of O say nothing about M; the types stay */
        masked.count = 0;
        masked.findings = NULL;
        mask_pack(&masked, buffer_span(&json), out);
        r = out->error;
    }
    buffer_free(&json);
    return r;
}

static int seal_parts(struct item *item, const struct json_doc *doc, const struct judged *judged,
                      bool unjudged, int64_t now)
{
    struct store *store = webhook_of(item)->deps.store;
    const struct policy *policy = item->channel->policy;
    const struct retention_facts facts = {judged->found, judged->has_media};
    struct retention_rule rule_o = policy_retention(policy, RETENTION_ORIGINAL, &facts);
    struct retention_rule rule_m = policy_retention(policy, RETENTION_HISTORY, &facts);
    struct retention_place o, m;
    int r = retention_place(store, &rule_o, RETENTION_ORIGINAL, item->row.at_ms, now, &o);
    if (r == 0)
        r = retention_place(store, &rule_m, RETENTION_HISTORY, item->row.at_ms, now, &m);
    if (r != 0)
        return r;
    if ((o.never || o.expired) && m.expired && !m.never)
        return SLUIS_EEXPIRED;
    mask_pack(judged, item->unit.json, &item->packed);
    r = item->packed.error;
    if (r == 0 && !o.never && !o.expired) {
        r = seal_part(item, 'O', &o, buffer_span(&item->packed), &item->record_o, &item->sealed_o);
        item->row.cls_o = o.cls;
        item->row.bucket_o = o.bucket;
    }
    if (r == 0 && !m.never && !m.expired) {
        struct buffer packed;
        buffer_init(&packed, STORE_RECORD_MAX);
        r = render_storage(item, doc, judged, unjudged, &packed);
        if (r == 0)
            r = seal_part(item, 'M', &m, buffer_span(&packed), &item->record_m, &item->sealed_m);
        item->row.cls_m = m.cls;
        item->row.bucket_m = m.bucket;
        buffer_free(&packed);
    }
    return r;
}

/* ---- the access log: one intent per route ---- */

static uint32_t masked_for(const struct profile *profile, uint64_t found)
{
    uint32_t masked = 0;
    for (unsigned type = 0; type < 32; type++)
        if (found >> type & 1 && profile_rule(profile, type).action != MASK_KEEP)
            masked |= 1u << type;
    return masked;
}

static int add_leaf(struct item *item, const struct audit_event *event)
{
    uint32_t start = (uint32_t)item->leaves.n;
    unsigned i = item->leaf_count;
    int r = audit_leaf(event, &item->leaves, item->leaf[i].hash);
    if (r != 0)
        return r;
    item->leaf[i].start = start;
    item->leaf[i].n = (uint32_t)(item->leaves.n - start);
    item->leaf_count++;
    return 0;
}

static int log_intents(struct item *item, const struct judged *judged, bool unjudged)
{
    const struct config_channel *channel = item->channel;
    struct audit_event event = {
        .at_ms = item->row.taken_ms,
        .action = AUDIT_DELIVER_INTENT,
        .actor = "meta",
        .channel = channel->name,
        .activity = policy_activity(channel->policy),
        .object = item->row.serial,
        .subject = item->subject.serial,
        .policy_hash = policy_hash(channel->policy),
        .outcome = unjudged ? "unjudged" : "accepted",
    };
    for (size_t i = 0; i < channel->route_count && i < STORE_ROUTES_MAX; i++) {
        const struct config_route *route = &channel->routes[i];
        item->row.routes[item->row.route_count++] = route->id;
        event.route = route->name;
        event.role = profile_name(route->policy->profile);
        event.masked = masked_for(route->policy->profile, judged->found);
        int r = add_leaf(item, &event);
        if (r != 0)
            return r;
    }
    if (item->row.route_count == 0) { /* accepted for nobody: still on record */
        event.route = NULL;
        return add_leaf(item, &event);
    }
    return 0;
}

/* ---- the job ---- */

static int job_run(struct store_txn *txn, struct store_job *job)
{
    struct item *item = ITEM_OF_JOB(job);
    struct record_id where = item->row.cls_o ? item->record_o : item->record_m;
    where.subject = item->subject.serial;
    where.serial = item->row.serial;
    item->outcome = ITEM_STORED;
    if (!store_dedupe_take(txn, item->dedupe_day, item->dedupe, &where)) {
        item->outcome = ITEM_DUPLICATE;
        return store_txn_error(txn);
    }
    for (unsigned i = 0; i < item->subject.new_hashes; i++)
        store_put_identifier(txn, item->subject.hashes[i], item->subject.serial);
    if (item->row.cls_o)
        store_put_record(txn, &item->record_o, buffer_span(&item->sealed_o));
    if (item->row.cls_m)
        store_put_record(txn, &item->record_m, buffer_span(&item->sealed_m));
    if (item->revoked.cls)
        store_delete_record(txn, &item->revoked);
    store_put_item(txn, &item->row);
    for (unsigned i = 0; i < item->leaf_count; i++) {
        uint64_t index;
        struct span leaf = span_of(item->leaves.p + item->leaf[i].start, item->leaf[i].n);
        store_put_leaf(txn, leaf, item->leaf[i].hash, &index);
    }
    return store_txn_error(txn);
}

/* Owner's thread again. */
static void on_committed(struct mail *mail)
{
    struct item *item = (struct item *)((char *)mail - offsetof(struct item, mail));
    struct webhook *w = webhook_of(item);
    int result = item->job.result;
    subject_settled(item->owner->subjects, &item->subject, result);
    if (result == 0 && item->outcome == ITEM_STORED && item->revoked.cls)
        count(w, C_REVOKED);
    item_settled(item, item->outcome, result);
}

/* The writer thread: jobs end in commit order, and so delivery gets its offers in that order. */
static void job_done(struct store_job *job)
{
    struct item *item = ITEM_OF_JOB(job);
    if (job->result == 0 && item->outcome == ITEM_STORED && item->row.route_count > 0)
        deliver_offer(webhook_of(item)->deps.deliver, &item->row, buffer_span(&item->packed));
    loop_post(item->owner->loop, &item->mail, on_committed);
}

static void submit(struct item *item)
{
    item->job.priority = STORE_INTAKE;
    item->job.run = job_run;
    item->job.done = job_done;
    store_submit(webhook_of(item)->deps.store, &item->job);
}

/* ---- in all ---- */

static void drop_to_quarantine(struct item *item, const char *reason);

static int prepare(struct item *item)
{
    struct webhook *w = webhook_of(item);
    struct intake_thread *t = item->owner;
    int64_t now = clock_wall_ms();
    struct store_item *row = &item->row;
    row->serial = store_next_serial(w->deps.store);
    row->batch = item->batch->first_serial ? item->batch->first_serial : row->serial;
    row->channel = item->channel->id;
    row->kind = item->unit.kind;
    row->taken_ms = now;
    row->at_ms = item->unit.at_ms > 0 ? item->unit.at_ms : now;
    item->dedupe_day = (uint32_t)(row->at_ms / DAY_MS);
    int r = dedupe_hash(item, item->dedupe_day);
    if (row->at_ms > now + WEBHOOK_SKEW_MS)
        row->at_ms = now; /* a clock that is ahead must not lengthen retention */
    if (r == 0)
        r = resolve_subject(item);
    if (r != 0)
        return r;
    row->subject = item->subject.serial;

    struct json_doc doc;
    struct judged judged = {0};
    r = json_scan(&doc, item->unit.json, &t->arena, NULL);
    bool unjudged = false;
    if (r == 0) {
        r = judge(item, &doc, &judged);
        if (r == SLUIS_EJUDGE || r == SLUIS_ELIMIT) {
            judged = (struct judged){.has_media = judged.has_media};
            unjudged = true;
            row->flags |= STORE_ITEM_UNJUDGED;
            count(w, C_UNJUDGED);
            LOG(LOG_ALARM, "webhook", "unjudged", log_u64("serial", row->serial), log_error(r));
            r = 0;
        }
    }
    if (r == 0 && judged.has_media)
        row->flags |= STORE_ITEM_HAS_MEDIA;
    if (r == 0)
        r = seal_parts(item, &doc, &judged, unjudged, now);
    if (r == 0)
        r = log_intents(item, &judged, unjudged);
    struct store_item target;
    if (r == 0 && span_is(item->unit.type, "revoke") && item->unit.target_id.n &&
        find_target(item, &target) == 0 && target.cls_o)
        item->revoked =
            (struct record_id){target.cls_o, target.bucket_o, target.subject, target.serial, 'O'};
    return r;
}

void item_judge(struct item *item)
{
    struct webhook *w = webhook_of(item);
    item->channel = find_channel(item);
    if (!item->channel) {
        count(w, C_UNKNOWN_CHANNEL);
        drop_to_quarantine(item, "unknown_channel");
        return;
    }
    if (strcmp(item->unit.field, "smb_app_state_sync") == 0) {
        count(w, C_DROPPED_CONTACT_BOOK);
        item_settled(item, ITEM_DROPPED, 0);
        return;
    }
    if (is_alarm_field(item->unit.field))
        LOG(LOG_ALARM, "webhook", "account_event", log_word("channel", item->channel->name),
            log_word("field", item->unit.field));
    int r = prepare(item);
    arena_reset(&item->owner->arena);
    if (r == SLUIS_EEXPIRED) {
        if (item->subject.serial)
            subject_settled(item->owner->subjects, &item->subject, SLUIS_EEXPIRED);
        item_settled(item, ITEM_EXPIRED, 0);
    } else if (r != 0) {
        if (item->subject.serial)
            subject_settled(item->owner->subjects, &item->subject, r);
        item_settled(item, ITEM_STORED, r);
    } else {
        submit(item);
    }
}

static void on_quarantined(struct mail *mail)
{
    struct item *item = (struct item *)((char *)mail - offsetof(struct item, mail));
    item_settled(item, ITEM_QUARANTINED, item->result);
}

static void quarantine_done(void *ctx, int result)
{
    struct item *item = ctx;
    item->result = result;
    loop_post(item->owner->loop, &item->mail, on_quarantined);
}

static void drop_to_quarantine(struct item *item, const char *reason)
{
    struct webhook *w = webhook_of(item);
    count(w, C_QUARANTINED);
    LOG(LOG_ALARM, "webhook", "quarantined", log_word("app", item->batch->app->name),
        log_word("reason", reason), log_u64("bytes", item->unit.json.n));
    int r = quarantine_put(item->owner, item->batch->app, reason, item->unit.json, quarantine_done,
                           item);
    if (r != 0)
        item_settled(item, ITEM_QUARANTINED, r);
}

/* ---- what tools sent ---- */

struct note {
    struct mail mail;
    struct intake_thread *thread;
    uint16_t channel;
    int64_t at_ms;
    uint64_t serial;
    size_t contact, user_id, text; /* lengths in `bytes`, in this order */
    char bytes[];
};

static void on_note(struct mail *mail)
{
    struct note *n = (struct note *)mail;
    struct intake_thread *t = n->thread;
    struct subject subject;
    struct span contact = span_of(n->bytes, n->contact);
    struct span user_id = span_of(n->bytes + n->contact, n->user_id);
    struct span text = span_of(n->bytes + n->contact + n->user_id, n->text);
    /* Committed already: this finds the subject and makes none. */
    if (subject_resolve(t->subjects, contact, user_id, &subject) == 0) {
        struct window *window = window_get(t->windows, n->channel, subject.serial);
        if (window)
            window_add(t->windows, window, text, false, n->at_ms, n->serial);
        subject_settled(t->subjects, &subject, subject.new_hashes ? SLUIS_ENOENT : 0);
    }
    sodium_memzero(n->bytes, n->contact + n->user_id + n->text);
    free(n);
}

void webhook_note_sent(struct webhook *w, const struct webhook_sent *sent)
{
    struct note *n = malloc(sizeof(*n) + sent->contact.n + sent->user_id.n + sent->text.n);
    if (!n) /* the window is then without this message */
        return;
    n->thread = &w->threads[subject_owner(sent->contact, sent->user_id, w->deps.loop_count)];
    n->channel = sent->channel;
    n->at_ms = sent->at_ms;
    n->serial = sent->serial;
    n->contact = sent->contact.n;
    n->user_id = sent->user_id.n;
    n->text = sent->text.n;
    const struct span parts[] = {sent->contact, sent->user_id, sent->text};
    size_t at = 0;
    for (size_t i = 0; i < 3; i++) {
        if (parts[i].n)
            memcpy(n->bytes + at, parts[i].p, parts[i].n);
        at += parts[i].n;
    }
    loop_post(n->thread->loop, &n->mail, on_note);
}

/* What was judged is sealed, put on record, committed in one job, and offered to delivery. */
#include "internal.h"

#include "sluis/base/log.h"

#define ITEM_OF_JOB(j) ((struct item *)((char *)(j)-offsetof(struct item, job)))

static struct webhook *webhook_of(const struct item *item)
{
    return item->owner->webhook;
}

/* ---- sealing ---- */

static int seal_part(struct item *item, uint8_t part, const struct retention_place *place,
                     struct span plain, struct record_id *id, struct buffer *out)
{
    *id =
        (struct record_id){place->cls, place->bucket, item->subject.serial, item->row.serial, part};
    buffer_clear(out);
    int r = record_seal(item->owner->keys, 0, id, 0, plain, out);
    if (r == SLUIS_EEXPIRED) {
        /* The bucket lies ahead and yet its key is gone: a clock that ran ahead was believed. Not
         * this message's end: Meta keeps it (503) until a person has looked. */
        LOG(LOG_ALARM, "webhook", "no_key_for_living_bucket", log_u64("class", place->cls),
            log_u64("bucket", place->bucket));
        r = SLUIS_ESEALED;
    }
    return r;
}

int render_storage(struct intake_thread *t, const struct config_channel *channel,
                   const struct json_doc *doc, enum mask_table table, const struct judged *judged,
                   bool unjudged, struct buffer *out)
{
    const struct mask_reader reader = {
        .profile = policy_storage_profile(channel->policy),
        .policy = channel->policy,
        .media = channel->media_pass ? MEDIA_PASS : MEDIA_WITHHOLD,
        .unjudged = unjudged,
    };
    struct buffer json;
    buffer_init(&json, STORE_RECORD_MAX);
    int r = mask_render(doc, 0, table, judged, &reader, &t->arena, &json);
    if (r == 0) {
        struct judged masked = *judged; /* offsets of O say nothing about M; the types stay */
        masked.count = masked.back_count = 0;
        masked.findings = NULL;
        masked.back = NULL;
        mask_pack(&masked, buffer_span(&json), out);
        r = json.error ? json.error : out->error;
    }
    buffer_free(&json);
    return r;
}

static int seal_m(struct item *item, const struct retention_place *place,
                  const struct json_doc *doc, const struct judged *judged, bool unjudged)
{
    struct buffer packed;
    buffer_init(&packed, STORE_RECORD_MAX);
    int r = render_storage(item->owner, item->channel, doc, MASK_TABLE_WEBHOOK, judged, unjudged,
                           &packed);
    if (r == 0)
        r = seal_part(item, 'M', place, buffer_span(&packed), &item->record_m, &item->sealed_m);
    buffer_free(&packed);
    item->row.cls_m = place->cls;
    item->row.bucket_m = place->bucket;
    return r;
}

/* What is in an unjudged message is not known: its original stays (for a person with the right to
 * reveal it), but for no longer than the shortest term that any rule gives. */
static struct retention_rule shortest_kept(const struct policy *policy)
{
    struct retention_rule rule, shortest = {.never = true, .ground = "", .selection = ""};
    for (size_t i = 0; policy_retention_at(policy, RETENTION_ORIGINAL, i, &rule) == 0; i++)
        if (!rule.never && (shortest.never || rule.keep_s < shortest.keep_s))
            shortest = rule;
    return shortest;
}

int item_seal(struct item *item, const struct json_doc *doc, const struct judged *judged,
              bool unjudged, int64_t now)
{
    struct store *store = webhook_of(item)->deps.store;
    const struct policy *policy = item->channel->policy;
    const struct retention_facts facts = {.found = judged->found,
                                          .media = judged->has_media,
                                          .out = item->unit.kind == STORE_KIND_ECHO,
                                          .channel = item->channel->name,
                                          .at_ms = item->row.at_ms,
                                          .consent = item->consents};
    struct retention_rule rule_o =
        unjudged ? shortest_kept(policy) : policy_retention(policy, RETENTION_ORIGINAL, &facts);
    struct retention_rule rule_m = policy_retention(policy, RETENTION_HISTORY, &facts);
    struct retention_place o, m;
    int r = retention_place(store, &rule_o, RETENTION_ORIGINAL, item->row.at_ms, now, &o);
    if (r == 0)
        r = retention_place(store, &rule_m, RETENTION_HISTORY, item->row.at_ms, now, &m);
    if (r != 0)
        return r;
    bool keeps_o = !o.never && !o.expired, keeps_m = !m.never && !m.expired;
    if (!keeps_o && !keeps_m && (o.expired || m.expired))
        return SLUIS_EEXPIRED;
    item->original_gone = !o.never && o.expired;
    buffer_clear(&item->packed);
    mask_pack(judged, item->unit.json, &item->packed);
    r = item->packed.error;
    if (r == 0 && keeps_o) {
        r = seal_part(item, 'O', &o, buffer_span(&item->packed), &item->record_o, &item->sealed_o);
        item->row.cls_o = o.cls;
        item->row.bucket_o = o.bucket;
    }
    if (r == 0 && keeps_m)
        r = seal_m(item, &m, doc, judged, unjudged);
    return r;
}

/* ---- the access log: one intent per route ---- */

static uint64_t masked_for(const struct item *item, const struct profile *profile,
                           const struct judged *judged)
{
    const struct retention_facts facts = {.found = judged->found,
                                          .media = judged->has_media,
                                          .out = item->unit.kind == STORE_KIND_ECHO,
                                          .channel = item->channel->name,
                                          .at_ms = item->row.at_ms,
                                          .consent = item->consents};
    uint64_t masked = 0;
    for (unsigned type = 0; type < DETECT_TYPES_MAX; type++)
        if (judged->found >> type & 1 &&
            profile_rule_for(profile, &facts, type).action != MASK_KEEP)
            masked |= (uint64_t)1 << type;
    return masked;
}

int item_add_leaf(struct item *item, const struct audit_event *event)
{
    unsigned i = item->leaf_count;
    if (i == ITEM_LEAVES_MAX)
        return SLUIS_ELIMIT;
    uint32_t start = (uint32_t)item->leaves.n;
    int r = audit_leaf(event, &item->leaves, item->leaf[i].hash);
    if (r != 0)
        return r;
    item->leaf[i].start = start;
    item->leaf[i].n = (uint32_t)(item->leaves.n - start);
    item->leaf_count++;
    return 0;
}

int item_log_intents(struct item *item, const struct judged *judged, bool unjudged)
{
    const struct config_channel *channel = item->channel;
    struct audit_event event = {
        .at_ms = item->row.taken_ms,
        .action = AUDIT_DELIVER_INTENT,
        .actor = "meta",
        .channel = channel->name,
        .activity = policy_activity(channel->policy),
        .object = item->row.serial,
        .policy_hash = policy_hash(channel->policy),
        .outcome = unjudged ? "unjudged" : "accepted",
    };
    int r = keyring_pseudonym(item->owner->keys, item->subject.serial, &event.subject);
    if (policy_observe(channel->policy, item->row.taken_ms) && !unjudged)
        event.outcome = "observed"; /* `masked` is what would have been */
    for (size_t i = 0; r == 0 && i < channel->route_count && i < STORE_ROUTES_MAX; i++) {
        const struct config_route *route = &channel->routes[i];
        item->row.routes[item->row.route_count++] = route->id;
        event.route = route->name;
        event.role = profile_name(route->policy->profile);
        event.masked = masked_for(item, route->policy->profile, judged);
        r = item_add_leaf(item, &event);
    }
    if (r == 0 && item->row.route_count == 0) /* accepted for nobody: still on record */
        r = item_add_leaf(item, &event);
    return r;
}

/* ---- the job ---- */

static int job_run(struct store_txn *txn, struct store_job *job)
{
    struct item *item = ITEM_OF_JOB(job);
    const struct webhook_deps *deps = &webhook_of(item)->deps;
    struct record_id where = item->row.cls_o ? item->record_o : item->record_m;
    where.subject = item->subject.serial;
    where.serial = item->row.serial;
    item->outcome = ITEM_STORED;
    if (!store_dedupe_take(txn, item->dedupe_day, item->dedupe, &where)) {
        item->outcome = ITEM_DUPLICATE;
        return store_txn_error(txn);
    }
    const struct record_id nothing = {.part = 'R'};
    for (unsigned i = 0; item->awaits && i < 2; i++)
        (void)store_dedupe_take(txn, item->await_day - i, item->awaited[i], &nothing);
    subject_put(txn, &item->subject);
    if (item->linked) {
        subject_put(txn, item->linked);
        subject_link(txn, item->subject.serial, item->linked->serial, item->row.at_ms);
    }
    if (item->row.cls_o)
        store_put_record(txn, &item->record_o, buffer_span(&item->sealed_o));
    if (item->row.cls_m)
        store_put_record(txn, &item->record_m, buffer_span(&item->sealed_m));
    bool goes = item->revoked.serial != 0;
    if (goes) /* shown to nobody from here on, whatever becomes of its keys */
        retention_withdrawn_put(txn, item->revoked.serial);
    goes = goes && !item->hides;
    if (goes && deps->on_revoked)
        goes = deps->on_revoked(deps->on_revoked_ctx, txn, item->revoked.serial,
                                item->revoked.subject);
    if (goes && item->revoked_o.cls)
        store_delete_record(txn, &item->revoked_o);
    remask_run(deps, txn, item->remasks);
    if (item->change)
        contact_change_run(txn, item->change);
    item_put_media(txn, item);
    item->written = item->row;
    store_put_item(txn, &item->written);
    if (item->owes)
        owed_run(txn, item);
    for (unsigned i = 0; !item->owes && i < item->leaf_count; i++) {
        uint64_t index;
        struct span leaf = span_of(item->leaves.p + item->leaf[i].start, item->leaf[i].n);
        store_put_leaf(txn, leaf, item->leaf[i].hash, &index);
    }
    return store_txn_error(txn);
}

static void unlist(struct item *item)
{
    if (item->newer)
        item->newer->older = item->older;
    else
        item->owner->under_way = item->older;
    if (item->older)
        item->older->newer = item->newer;
}

/* Owner's thread again. What was not stored takes no part in the conversation. */
static void on_committed(struct mail *mail)
{
    struct item *item = (struct item *)((char *)mail - offsetof(struct item, mail));
    struct intake_thread *t = item->owner;
    int result = item->job.result;
    bool stored = result == 0 && item->outcome == ITEM_STORED;
    unlist(item);
    subject_settled(t->subjects, &item->subject, result == 0 && !stored ? SLUIS_ENOENT : result);
    if (stored)
        item_tell_linked(item);
    link_settled(item, result == 0 && !stored ? SLUIS_ENOENT : result);
    if (item->windowed && !stored)
        window_remove(t->windows, item->row.channel, item->row.subject, item->row.serial);
    if (stored && item->revoked.serial) {
        count(t->webhook, C_REVOKED);
        window_remove(t->windows, item->row.channel, item->row.subject, item->revoked.serial);
    }
    for (struct remask *m = stored ? item->remasks : NULL; m; m = m->next)
        count(t->webhook, C_REMASKED);
    if (stored)
        item_tell_contact(item);
    item_settled(item, item->outcome, result);
}

/* The writer thread: jobs end in commit order, and so delivery gets its offers in that order. */
static void job_done(struct store_job *job)
{
    struct item *item = ITEM_OF_JOB(job);
    const struct webhook_deps *deps = &webhook_of(item)->deps;
    struct deliver *deliver = deps->deliver;
    owed_settled(item, job->result == 0 && item->outcome == ITEM_STORED);
    if (job->result == 0 && item->outcome == ITEM_STORED) {
        if (item->revoked.serial) {
            deliver_forget(deliver, item->revoked.serial);
            if (deps->on_revoked && !item->hides)
                (void)deps->on_revoked(deps->on_revoked_ctx, NULL, item->revoked.serial,
                                       item->revoked.subject);
        }
        for (struct remask *m = item->remasks; m; m = m->next)
            deliver_forget(deliver, m->row.serial);
        remask_done(deps, item->remasks);
        item_take_media(item);
        if (item->row.route_count > 0)
            deliver_offer(deliver, &item->written,
                          item->original_gone ? SPAN_EMPTY : buffer_span(&item->packed),
                          policy_hash(item->channel->policy));
    }
    loop_post(item->owner->loop, &item->mail, on_committed);
}

void item_submit(struct item *item)
{
    struct intake_thread *t = item->owner;
    item->newer = NULL;
    item->older = t->under_way;
    if (t->under_way)
        t->under_way->newer = item;
    t->under_way = item;
    item->job.priority = STORE_INTAKE;
    item->job.run = job_run;
    item->job.done = job_done;
    store_submit(webhook_of(item)->deps.store, &item->job);
}

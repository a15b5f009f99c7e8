/*
 * One item on its owner's thread: whose is it, what is in it, and what does it say about the
 * messages before it. Items of one contact pass here in sequence.
 */
#include "internal.h"

#include "sluis/base/clock.h"
#include "sluis/base/log.h"

#include <stdlib.h>

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

static bool is_contact_book(const struct item *item)
{
    return strcmp(item->unit.field, "smb_app_state_sync") == 0;
}

/* Does whoever has the number say something? Not what Meta says of it, nor of what was sent. */
static bool speaks(const struct mask_unit *u)
{
    return u->kind == STORE_KIND_MESSAGE
               ? !span_is(u->type, "system")
               : u->kind == STORE_KIND_ACCOUNT && strcmp(u->field, "user_preferences") == 0;
}

static struct subject_message said_in(const struct mask_unit *u)
{
    int64_t now = clock_wall_ms();
    return (struct subject_message){.at_ms = u->at_ms > 0 && u->at_ms < now ? u->at_ms : now,
                                    .speaks = speaks(u),
                                    .identity = u->identity};
}

static int resolve_subject(struct item *item)
{
    struct intake_thread *t = item->batch->home;
    const struct mask_unit *u = &item->unit;
    if (u->contact.n || u->user_id.n) {
        const struct subject_message said = said_in(u);
        return subject_resolve_message(t->subjects, u->contact, u->user_id, &said, &item->subject);
    }
    /* account events: one constant subject per channel */
    char name[CONFIG_NAME_MAX + 16];
    int n = snprintf(name, sizeof(name), "channel:%s", item->channel->name);
    return subject_resolve(t->subjects, SPAN_EMPTY, span_of(name, (size_t)n), &item->subject);
}

int item_resolve(struct item *item)
{
    item->channel = find_channel(item);
    int r = item->channel && !is_contact_book(item) ? resolve_subject(item) : 0;
    return r == SLUIS_ELIMIT ? SLUIS_EAGAIN : r; /* too many new people at once, that is */
}

/* Events without an id are told apart by their whole text. */
int item_dedupe_hash(struct item *item, uint32_t day)
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

/* ---- the window ---- */

/* The window as detect wants it, newest first, and which message each is. */
struct before {
    struct detect_message messages[DETECT_WINDOW_MESSAGES];
    const struct window_message *from[DETECT_WINDOW_MESSAGES];
    size_t n;
};

static void add_before(struct before *b, const struct window_message *m)
{
    b->from[b->n] = m;
    b->messages[b->n++] = (struct detect_message){m->text, m->from_customer, m->at_ms};
}

static void look_back(const struct window *window, int64_t at_ms, struct before *out)
{
    out->n = 0;
    for (unsigned i = 0; window && i < window->count; i++) {
        const struct window_message *m = &window->messages[i];
        int64_t apart = at_ms > m->at_ms ? at_ms - m->at_ms : m->at_ms - at_ms;
        if (apart <= (int64_t)DETECT_WINDOW_MINUTES * 60000)
            add_before(out, m);
    }
}

/* Parts of a value that stand in earlier messages: those are masked anew. */
static int mask_back(struct item *item, const struct before *before, const struct finding *back,
                     size_t count)
{
    for (size_t k = 1; k <= before->n; k++) {
        struct finding found[MASK_FINDINGS_MAX];
        size_t n = 0;
        for (size_t i = 0; i < count; i++)
            if (back[i].back == k && n < MASK_FINDINGS_MAX)
                found[n++] = back[i];
        int r = n ? remask_add(item, before->from[k - 1], found, n) : 0;
        if (r == SLUIS_ECRYPTO) /* its journal block is damaged: nobody will ever find its parts */
            LOG(LOG_ALARM, "webhook", "not_remasked",
                log_u64("serial", before->from[k - 1]->serial), log_error(r));
        else if (r != 0)
            return r == SLUIS_EJUDGE || r == SLUIS_ELIMIT ? SLUIS_EAGAIN : r;
    }
    return 0;
}

/*
 * The other order. A message whose second half was there before it (two connections, or the same
 * second): what follows it by timestamp is judged once more, with this one before it. Findings
 * count when they reach into this message.
 */
static int judge_follower(struct item *item, const struct json_doc *doc,
                          const struct before *before, struct judged *judged)
{
    struct intake_thread *t = item->owner;
    size_t next = before->n; /* the oldest that is not older than this message */
    for (size_t i = 0; i < before->n && before->from[i]->at_ms >= item->row.at_ms; i++)
        next = i;
    struct span text;
    int r = next < before->n ? mask_window_text(doc, 0, &t->arena, &text) : SLUIS_ENOENT;
    if (r != 0 || text.n == 0)
        return r == SLUIS_ENOENT ? 0 : r;
    struct before chain = {.n = 0};
    uint32_t cut =
        text.n > DETECT_WINDOW_BYTES / 2 ? (uint32_t)text.n - DETECT_WINDOW_BYTES / 2 : 0;
    const struct window_message self = {.text = span_from(text, cut),
                                        .cut = cut,
                                        .from_customer = item->unit.kind == STORE_KIND_MESSAGE,
                                        .at_ms = item->row.at_ms,
                                        .serial = item->row.serial};
    add_before(&chain, &self);
    for (size_t i = next + 1; i < before->n && chain.n < DETECT_WINDOW_MESSAGES; i++)
        add_before(&chain, before->from[i]);
    const struct window_message *follower = before->from[next];
    const struct detect_input input = {.text = follower->text,
                                       .from_customer = follower->from_customer,
                                       .at_ms = follower->at_ms,
                                       .earlier = chain.messages,
                                       .earlier_count = chain.n};
    struct finding *found = arena_try(&t->arena, MASK_FINDINGS_MAX * sizeof(*found));
    if (!found)
        return SLUIS_ENOMEM;
    int n = detect_run(policy_detector(item->channel->policy), t->scratch, &input, found,
                       MASK_FINDINGS_MAX);
    if (n < 0)
        return n;
    bool reaches = false;
    struct finding theirs[MASK_FINDINGS_MAX];
    size_t count = 0;
    for (int i = 0; r == 0 && i < n; i++) {
        struct finding f = found[i];
        if (f.back == 1) {
            reaches = true;
            f.start += cut;
            f.end += cut;
            r = mask_window_add(doc, 0, &f, 1, &t->arena, judged);
        } else if (f.back == 0) {
            theirs[count++] = f;
        }
    }
    if (r == 0 && reaches && count)
        r = remask_add(item, follower, theirs, count);
    return r;
}

/* ---- what is in it ---- */

/* Also what could not be judged is there for its successors. `r`: the judging's result. */
static int join_window(struct item *item, struct window *window, const struct json_doc *doc, int r)
{
    struct intake_thread *t = item->owner;
    struct span text;
    int joined = mask_window_text(doc, 0, &t->arena, &text);
    if (joined == 0 && text.n) {
        joined = window_add(t->windows, window, text, item->unit.kind == STORE_KIND_MESSAGE,
                            item->row.at_ms, item->row.serial);
        item->windowed = joined == 0;
        item->text = text;
    }
    return joined ? joined : r;
}

static int judge(struct item *item, const struct json_doc *doc, struct judged *judged)
{
    struct intake_thread *t = item->owner;
    bool conversation = item->unit.kind == STORE_KIND_MESSAGE || item->unit.kind == STORE_KIND_ECHO;
    struct window *window =
        conversation ? window_get(t->windows, item->channel->id, item->subject.serial) : NULL;
    if (conversation && !window)
        return SLUIS_ENOMEM;
    if (window && !window->loaded) {
        int loaded = past_load_window(item, window);
        if (loaded != 0)
            return loaded;
    }
    struct before before;
    look_back(window, item->row.at_ms, &before);
    const struct judge_input input = {
        .doc = doc,
        .root = 0,
        .table = MASK_TABLE_WEBHOOK,
        .policy = item->channel->policy,
        .scratch = t->scratch,
        .from_customer = item->unit.kind == STORE_KIND_MESSAGE,
        .at_ms = item->row.at_ms,
        .earlier = before.messages,
        .earlier_count = before.n,
    };
    int r = mask_judge(&input, &t->arena, judged);
    if (r == 0 && judged->back_count)
        r = mask_back(item, &before, judged->back, judged->back_count);
    if (r == 0 && before.n)
        r = judge_follower(item, doc, &before, judged);
    return window ? join_window(item, window, doc, r) : r;
}

/* It will not go better when Meta sends it again. */
static bool is_permanent(int error)
{
    return error == SLUIS_EINVAL || error == SLUIS_ELIMIT || error == SLUIS_EJUDGE;
}

static void hide(struct item *item, struct judged *judged, int why)
{
    *judged = (struct judged){.has_media = judged->has_media};
    item->row.flags |= STORE_ITEM_UNJUDGED;
    count(webhook_of(item), C_UNJUDGED);
    LOG(LOG_ALARM, "webhook", "unjudged", log_u64("serial", item->row.serial), log_error(why));
}

/* Judged, or known to be impossible to judge: then the content goes behind the replacement text. */
static int judge_or_hide(struct item *item, const struct json_doc *doc, struct judged *judged,
                         bool *unjudged)
{
    struct intake_thread *t = item->owner;
    int r = judge(item, doc, judged);
    if (r == SLUIS_ENOMEM && t->arena.used > WEBHOOK_ARENA_MAX / 2)
        r = SLUIS_ELIMIT; /* its own size is to blame */
    *unjudged = r == SLUIS_EJUDGE || r == SLUIS_ELIMIT;
    if (!*unjudged)
        return r;
    hide(item, judged, r);
    return 0;
}

/* What was judged and cannot be rendered is hidden as well. */
static int seal_or_hide(struct item *item, const struct json_doc *doc, struct judged *judged,
                        bool *unjudged, int64_t now)
{
    int r = item_seal(item, doc, judged, *unjudged, now);
    if (*unjudged || !is_permanent(r))
        return r;
    *unjudged = true;
    hide(item, judged, r);
    return item_seal(item, doc, judged, true, now);
}

/* ---- who has another number now ---- */

/* "system": the number that wrote so far has become another one. Whoever writes from that is a
 * subject of its own, linked to this one; with a user id it is the same one, and there is nothing
 * to link. */
static int note_change(struct item *item, const struct json_doc *doc)
{
    static const char *const names[] = {"wa_id", "user_id"};
    struct intake_thread *t = item->owner;
    struct span to[2] = {SPAN_EMPTY, SPAN_EMPTY};
    uint32_t system = json_path(doc, 0, "entry.0.changes.0.value.messages.0.system");
    for (unsigned i = 0; i < 2; i++) {
        uint32_t at = json_get(doc, system, span_str(names[i]));
        if (json_is(doc, at, JSON_STRING) && json_string(doc, at, &t->arena, &to[i]) != 0)
            return SLUIS_ENOMEM;
    }
    if (!to[0].n && !to[1].n)
        return 0;
    item->linked = calloc(1, sizeof(*item->linked));
    if (!item->linked)
        return SLUIS_ENOMEM;
    /* whoever had the new number before, and was silent, is not who has it now */
    struct subject_message said = said_in(&item->unit);
    said.speaks = true;
    int r = subject_resolve_message(t->subjects, to[0], to[1], &said, item->linked);
    if (r == 0 && item->linked->serial != item->subject.serial)
        return 0;
    if (r == 0)
        subject_settled(t->subjects, item->linked, SLUIS_ENOENT);
    free(item->linked);
    item->linked = NULL;
    return r == SLUIS_ELIMIT ? SLUIS_EAGAIN : r;
}

void link_settled(struct item *item, int result)
{
    if (!item->linked)
        return;
    subject_settled(item->owner->subjects, item->linked, result);
    free(item->linked);
    item->linked = NULL;
}

/* ---- in all ---- */

static void drop_to_quarantine(struct item *item, const char *reason);

static int identify(struct item *item, int64_t now)
{
    struct store_item *row = &item->row;
    row->serial = store_next_serial(webhook_of(item)->deps.store);
    row->batch = item->batch->first_serial ? item->batch->first_serial : row->serial;
    row->channel = item->channel->id;
    row->kind = item->unit.kind;
    row->taken_ms = now;
    row->at_ms = item->unit.at_ms > 0 ? item->unit.at_ms : now;
    bool ahead = row->at_ms > now + WEBHOOK_SKEW_MS;
    if (ahead)
        row->at_ms = now; /* a clock that is ahead must not lengthen retention */
    /* Its own day's key, so that a repetition finds it without a search. The key of a day long ago
     * is destroyed, or will be before the repetitions end: then today's, after a search. */
    uint32_t today = (uint32_t)(now / DAY_MS);
    item->dedupe_day = (uint32_t)(row->at_ms / DAY_MS);
    bool late = item->dedupe_day + 1 < today;
    if (late)
        item->dedupe_day = today;
    int r = late || ahead ? past_seen(item) : 0;
    if (r == 0)
        r = item_dedupe_hash(item, item->dedupe_day);
    row->subject = item->subject.serial;
    if (r == 0) /* late, of a person who was erased since: not stored */
        r = subject_erased(item->owner->subjects, item->unit.contact, item->unit.user_id,
                           row->at_ms);
    return r;
}

/* That a message is shown to nobody any more is a change of what readers get: on record. */
static int put_hidden_on_record(struct item *item)
{
    struct audit_event event = {
        .at_ms = item->row.taken_ms,
        .action = AUDIT_REMASK,
        .actor = "gateway",
        .channel = item->channel->name,
        .activity = policy_activity(item->channel->policy),
        .object = item->revoked.serial,
        .policy_hash = policy_hash(item->channel->policy),
        .outcome = "hidden",
    };
    int r = keyring_pseudonym(item->owner->keys, item->subject.serial, &event.subject);
    return r ? r : item_add_leaf(item, &event);
}

static int take_back(struct item *item)
{
    struct store_item target;
    item->hides = policy_on_revoke(item->channel->policy) == ON_REVOKE_HIDE;
    int r = past_target(item, &target, &item->revoked_o);
    if (r == 0)
        item->revoked =
            (struct record_id){target.cls_o, target.bucket_o, target.subject, target.serial, 'O'};
    if (r == 0 && item->hides)
        r = put_hidden_on_record(item);
    else if (r == SLUIS_ENOENT) /* it is not stored when it comes after this */
        r = past_await(item);
    else if (r == SLUIS_EDENIED || r == SLUIS_ECRYPTO) /* nothing that could be taken back */
        r = 0;
    return r;
}

static int prepare(struct item *item)
{
    struct intake_thread *t = item->owner;
    int64_t now = clock_wall_ms();
    struct json_doc own;
    const struct json_doc *doc = item->unit.doc;
    struct judged judged = {0};
    bool unjudged = false;
    int r = identify(item, now);
    if (r == 0 && !doc) {
        r = json_scan(&own, item->unit.json, &t->arena, NULL);
        doc = &own;
    }
    if (r == 0)
        r = judge_or_hide(item, doc, &judged, &unjudged);
    if (r == 0 && judged.has_media)
        item->row.flags |= STORE_ITEM_HAS_MEDIA;
    if (r == 0)
        r = item_look_at_contact(item, doc, &judged);
    if (r == 0)
        r = seal_or_hide(item, doc, &judged, &unjudged, now);
    if (r == 0 && judged.has_media && !unjudged && item->channel->media_pass)
        r = item_note_media(item, doc);
    if (r == 0 && span_is(item->unit.type, "system"))
        r = note_change(item, doc);
    if (r == 0)
        r = item_log_intents(item, &judged, unjudged);
    if (r == 0 && span_is(item->unit.type, "revoke") && item->unit.target_id.n)
        r = take_back(item);
    return r;
}

/* Meta sends the whole POST again: what follows in the same conversation waits for this one, or it
 * would be judged and delivered before it. Same subject, same thread. */
static void hold_back(struct item *item)
{
    struct batch *b = item->batch;
    bool after = false;
    for (unsigned i = 0; i < b->item_count; i++) {
        struct item *other = b->items[i];
        if (after && other->subject.serial == item->subject.serial)
            other->held_back = true;
        after |= other == item;
    }
}

/* Not submitted. What goes aside stays in the window: its successors may complete it. */
static void give_up(struct item *item, int result)
{
    struct intake_thread *t = item->owner;
    bool aside = is_permanent(result);
    owed_settled(item, false);
    if (item->subject.serial)
        subject_settled(t->subjects, &item->subject,
                        result == SLUIS_EEXIST ? SLUIS_ENOENT : result);
    link_settled(item, result);
    if (item->windowed && !aside)
        window_remove(t->windows, item->row.channel, item->row.subject, item->row.serial);
    if (result == SLUIS_EEXPIRED) {
        item_settled(item, ITEM_EXPIRED, 0);
    } else if (result == SLUIS_EEXIST) { /* past_seen */
        item_settled(item, ITEM_DUPLICATE, 0);
    } else if (aside) {
        drop_to_quarantine(item, "not_storable");
    } else {
        hold_back(item);
        item_settled(item, ITEM_STORED, result);
    }
}

void item_judge(struct item *item)
{
    struct webhook *w = webhook_of(item);
    if (item->held_back || item->unresolved) {
        subject_settled(item->owner->subjects, &item->subject, SLUIS_EAGAIN);
        item_settled(item, ITEM_STORED, item->unresolved ? item->unresolved : SLUIS_EAGAIN);
        return;
    }
    if (!item->channel) {
        count(w, C_UNKNOWN_CHANNEL);
        drop_to_quarantine(item, "unknown_channel");
        return;
    }
    if (is_contact_book(item)) {
        count(w, C_DROPPED_CONTACT_BOOK);
        item_settled(item, ITEM_DROPPED, 0);
        return;
    }
    if (is_alarm_field(item->unit.field))
        LOG(LOG_ALARM, "webhook", "account_event", log_word("channel", item->channel->name),
            log_word("field", item->unit.field));
    int r = prepare(item);
    if (r == 0)
        r = owed_seal(item);
    arena_reset(&item->owner->arena);
    if (r != 0)
        give_up(item, r);
    else
        item_submit(item);
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

/*
 * Notices to customers: the gateway's own messages, of the officer's words. In answer to a message
 * that was committed, or to what was seen in a picture of it: never to anything the organisation
 * or Meta says, never outside the 24-hour window, never to who opted out, at most once per period
 * and a few times a day to one contact. That it goes is committed before it goes: after a crash it
 * is not sent again in its period.
 *
 * All on the loop of the thread that owns the subject, where messages of a contact pass one by one.
 */
#include "internal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define NOTICES_UNDER_WAY_MAX 256u /* per thread; beyond it none begins: Meta's own pace */
#define NOTICE_TEXT_MAX 4096       /* bytes: Meta's limit on a text, in characters */
/* A message that took this long to arrive is not answered: the window may close meanwhile. */
#define NOTICE_LATE_MS (CONTACT_WINDOW_MS - (int64_t)3600 * 1000)
#define PURPOSE_MAX (CONTACT_NAME_MAX + 16)

struct notice_errand {
    struct mail mail;
    struct graph_thread *thread;
    struct graph_notice what;
    struct buffer names; /* contact and user id, one after the other */
};

struct notice {
    struct mail mail;
    struct store_job job;
    struct graph_thread *thread;
    struct notice *next; /* in the thread's list */
    struct config *config;
    const struct config_channel *channel;
    struct contact_change *change;
    struct store_item row;
    struct record_id record_m;
    struct buffer names, body, packed, sealed, leaf;
    size_t contact_n; /* of names; the rest is the user id */
    uint8_t leaf_hash[32];
    uint64_t pseudonym;
    char name[CONTACT_NAME_MAX + 1], purpose[PURPOSE_MAX];
};

static struct span contact_of(const struct notice *n)
{
    return span_sub(buffer_span(&n->names), 0, n->contact_n);
}

static struct span user_of(const struct notice *n)
{
    return span_from(buffer_span(&n->names), n->contact_n);
}

static void notice_free(struct notice *n)
{
    struct graph_thread *t = n->thread;
    for (struct notice **at = &t->notices; *at; at = &(*at)->next) {
        if (*at == n) {
            *at = n->next;
            t->notice_count--;
            t->calls--; /* it was waited for when stopping */
            break;
        }
    }
    contact_change_free(n->change);
    buffer_free(&n->names);
    buffer_free(&n->body);
    buffer_free(&n->packed);
    buffer_free(&n->sealed);
    buffer_free(&n->leaf);
    config_unref(n->config);
    free(n);
}

static struct audit_event event_of(const struct notice *n, enum audit_action action,
                                   const char *outcome, uint32_t code)
{
    return (struct audit_event){.at_ms = clock_wall_ms(),
                                .action = action,
                                .actor = "gateway",
                                .role = "notice",
                                .channel = n->channel->name,
                                .activity = policy_activity(n->channel->policy),
                                .purpose = n->purpose,
                                .object = n->row.serial,
                                .subject = n->pseudonym,
                                .policy_hash = policy_hash(n->channel->policy),
                                .outcome = outcome,
                                .code = code};
}

/* ---- sending ---- */

static void on_sent(const struct upstream_answer *answer, void *ctx)
{
    struct notice *n = ctx;
    struct graph *g = n->thread->graph;
    bool answered = answer->outcome == UPSTREAM_ANSWERED;
    bool sent = answered && answer->status < 300;
    const struct audit_event event = event_of(n, AUDIT_SEND,
                                              sent       ? "sent"
                                              : answered ? "refused_by_meta"
                                              : answer->outcome == UPSTREAM_UNKNOWN ? "unknown"
                                                                                    : "not_sent",
                                              answered ? answer->status : 0);
    graph_count(g, sent ? G_NOTICES : G_NOTICES_FAILED);
    graph_record(g, &event);
    notice_free(n);
}

static void send_notice(struct notice *n)
{
    char target[64 + GRAPH_ID_MAX];
    struct graph_thread *t = n->thread;
    int length = snprintf(target, sizeof(target), "/%s/%s/messages", GRAPH_VERSION_DEFAULT,
                          n->channel->phone_number_id);
    const struct upstream_request request = {.channel = n->channel,
                                             .method = HTTP_POST,
                                             .target = span_of(target, (size_t)length),
                                             .content_type = SPAN("application/json"),
                                             .body = buffer_span(&n->body),
                                             .answer_max = GRAPH_REPLY_MAX,
                                             .due_ms = clock_mono_ms() + GRAPH_META_MS,
                                             .done = on_sent,
                                             .ctx = n};
    int r = t->upstream ? upstream_send(t->upstream, &request) : SLUIS_ECLOSED;
    if (r != 0) {
        const struct upstream_answer answer = {.outcome = UPSTREAM_NOT_SENT};
        on_sent(&answer, n);
    }
}

static void on_committed(struct mail *mail)
{
    struct notice *n = (struct notice *)mail;
    struct graph *g = n->thread->graph;
    if (n->job.result != 0) {
        LOG(LOG_WARN, "graph", "notice_not_recorded", log_error(n->job.result));
        graph_count(g, G_NOTICES_FAILED);
        notice_free(n);
        return;
    }
    send_notice(n);
}

static void job_done(struct store_job *job)
{
    struct notice *n = (struct notice *)((char *)job - offsetof(struct notice, job));
    loop_post(n->thread->loop, &n->mail, on_committed);
}

static int job_run(struct store_txn *txn, struct store_job *job)
{
    struct notice *n = (struct notice *)((char *)job - offsetof(struct notice, job));
    uint64_t index;
    if (n->row.cls_m)
        store_put_record(txn, &n->record_m, buffer_span(&n->sealed));
    contact_change_run(txn, n->change);
    store_put_item(txn, &n->row);
    store_put_leaf(txn, buffer_span(&n->leaf), n->leaf_hash, &index);
    return store_txn_error(txn);
}

/* ---- making one ---- */

static void write_body(struct notice *n, const struct policy_notice *words, bool english)
{
    struct buffer text;
    const char *said = english && words->en[0] ? words->en : words->nl;
    struct span contact = contact_of(n);
    buffer_init(&text, NOTICE_TEXT_MAX);
    buffer_add_str(&text, said);
    if (words->safe[0])
        buffer_addf(&text, "\n%s", words->safe);
    buffer_addf(&n->body,
                "{\"messaging_product\":\"whatsapp\",\"recipient_type\":\"individual\",\"%s\":",
                contact.n ? "to" : "recipient");
    json_quote(&n->body, contact.n ? contact : user_of(n));
    buffer_add_str(&n->body, ",\"type\":\"text\",\"text\":{\"preview_url\":false,\"body\":");
    json_quote(&n->body, buffer_span(&text));
    buffer_add_str(&n->body, "}}");
    if (text.error && !n->body.error)
        n->body.error = text.error;
    buffer_free(&text);
}

/* Part M alone: there is nothing in it that the officer did not write. */
static int seal_notice(struct notice *n, int64_t now)
{
    struct graph_thread *t = n->thread;
    const struct policy *policy = n->channel->policy;
    const struct judged nothing = {.count = 0};
    const struct retention_facts facts = {.out = true, .channel = n->channel->name, .at_ms = now};
    struct retention_rule rule = policy_retention(policy, RETENTION_HISTORY, &facts);
    struct retention_place place;
    int r = retention_place(t->graph->deps.store, &rule, RETENTION_HISTORY, now, now, &place);
    if (r != 0 || place.never || place.expired)
        return r;
    mask_pack(&nothing, buffer_span(&n->body), &n->packed);
    n->record_m = (struct record_id){place.cls, place.bucket, n->row.subject, n->row.serial, 'M'};
    n->row.cls_m = place.cls;
    n->row.bucket_m = place.bucket;
    return n->packed.error
               ? n->packed.error
               : record_seal(t->keys, 0, &n->record_m, 0, buffer_span(&n->packed), &n->sealed);
}

static int prepare(struct notice *n, const struct policy_notice *words, bool english)
{
    struct graph_thread *t = n->thread;
    int64_t now = clock_wall_ms();
    n->row = (struct store_item){.serial = store_next_serial(t->graph->deps.store),
                                 .subject = n->row.subject,
                                 .channel = n->channel->id,
                                 .kind = STORE_KIND_SENT,
                                 .at_ms = now,
                                 .taken_ms = now};
    n->row.batch = n->row.serial;
    snprintf(n->name, sizeof(n->name), "%s", words->name);
    snprintf(n->purpose, sizeof(n->purpose), "notice: %s", words->name);
    write_body(n, words, english);
    int r = n->body.error;
    if (r == 0)
        r = seal_notice(n, now);
    if (r == 0)
        r = keyring_pseudonym(t->keys, n->row.subject, &n->pseudonym);
    if (r == 0)
        r = contact_noticed(t->graph->deps.contacts,
                            (struct contact_id){n->channel->id, n->row.subject}, span_str(n->name),
                            now, &n->change);
    const struct audit_event event = event_of(n, AUDIT_SEND_INTENT, "intent", 0);
    return r ? r : audit_leaf(&event, &n->leaf, n->leaf_hash);
}

static struct notice *notice_new(const struct notice_errand *e, struct config *config,
                                 const struct config_channel *channel)
{
    struct graph_thread *t = e->thread;
    struct notice *n = t->notice_count < NOTICES_UNDER_WAY_MAX ? calloc(1, sizeof(*n)) : NULL;
    if (!n)
        return NULL;
    n->thread = t;
    n->config = config_ref(config);
    n->channel = channel;
    n->row.subject = e->what.subject;
    buffer_init(&n->names, 1024);
    buffer_init(&n->body, 8 * NOTICE_TEXT_MAX);
    buffer_init(&n->packed, STORE_RECORD_MAX);
    buffer_init(&n->sealed, STORE_RECORD_MAX);
    buffer_init(&n->leaf, AUDIT_LEAF_MAX);
    buffer_add(&n->names, buffer_span(&e->names));
    n->contact_n = e->what.contact.n;
    n->next = t->notices;
    t->notices = n;
    t->notice_count++;
    t->calls++;
    return n;
}

static void begin(const struct notice_errand *e, struct config *config,
                  const struct config_channel *channel, const struct policy_notice *words)
{
    struct graph *g = e->thread->graph;
    struct notice *n = notice_new(e, config, channel);
    int r = n ? n->names.error : SLUIS_EAGAIN;
    if (r == 0)
        r = prepare(n, words, e->what.english);
    if (r != 0) {
        LOG(LOG_WARN, "graph", "notice_not_made", log_error(r));
        graph_count(g, G_NOTICES_FAILED);
        if (n)
            notice_free(n);
        return;
    }
    n->job.priority = STORE_NORMAL;
    n->job.run = job_run;
    n->job.done = job_done;
    if (g->deps.on_sent) { /* "stuur uw BSN niet" is what the next message answers */
        const char *said = e->what.english && words->en[0] ? words->en : words->nl;
        const struct graph_sent sent = {channel->id,    contact_of(n), user_of(n),
                                        span_str(said), n->row.at_ms,  n->row.serial};
        g->deps.on_sent(g->deps.on_sent_ctx, &sent);
    }
    store_submit(g->deps.store, &n->job);
}

/* ---- which are due ---- */

static bool applies(const struct graph_notice *w, const struct policy *policy,
                    const struct policy_notice *words, int64_t now)
{
    if (w->stopped != (words->on == POLICY_NOTICE_STOP))
        return false;
    switch (words->on) {
    case POLICY_NOTICE_STOP:
        return true;
    case POLICY_NOTICE_FOUND:
        return (words->type < 64 && w->found >> words->type & 1) ||
               (words->picture < POLICY_PICTURES && w->pictures >> words->picture & 1);
    case POLICY_NOTICE_PICTURE:
        return w->pictures >> words->picture & 1;
    case POLICY_NOTICE_FIRST:
        return w->greets && (!w->before_ms || w->at_ms - w->before_ms >= words->after_s * 1000);
    case POLICY_NOTICE_CLOSED:
        return w->greets && policy_has_hours(policy) && !policy_open_at(policy, now);
    default:
        return false;
    }
}

/* Those under way count as sent, whether or not their rows were read. */
static void add_under_way(const struct graph_thread *t, const struct graph_notice *w,
                          struct contact_state *state)
{
    for (const struct notice *n = t->notices; n; n = n->next) {
        unsigned at = 0;
        if (n->row.subject != w->subject || n->channel->id != w->channel)
            continue;
        while (at < state->notice_count && strcmp(state->notices[at].name, n->name) != 0)
            at++;
        if (at == CONTACT_NOTICES_MAX)
            continue;
        state->notice_count += at == state->notice_count;
        memcpy(state->notices[at].name, n->name, sizeof(n->name));
        state->notices[at].sent_ms = n->row.at_ms;
    }
}

static void weigh(const struct notice_errand *e, struct config *config,
                  const struct config_channel *channel, struct contact_state *state)
{
    const struct graph_notice *w = &e->what;
    const struct policy *policy = channel->policy;
    const struct policy_notice *words;
    int64_t now = clock_wall_ms();
    add_under_way(e->thread, w, state);
    for (size_t i = 0; (words = policy_notice_at(policy, i)) != NULL; i++) {
        bool first = words->on == POLICY_NOTICE_FIRST;
        int64_t every_s =
            first && words->after_s > words->every_s ? words->after_s : words->every_s;
        if (!applies(w, policy, words, now) ||
            !contact_notice_due(state, span_str(words->name), every_s * 1000, now))
            continue;
        begin(e, config, channel, words);
        if (state->notice_count == CONTACT_NOTICES_MAX)
            break;
        struct contact_notice *added = &state->notices[state->notice_count++];
        snprintf(added->name, sizeof(added->name), "%s", words->name);
        added->sent_ms = now;
    }
}

static void consider(const struct notice_errand *e, struct config *config)
{
    const struct graph_notice *w = &e->what;
    struct graph *g = e->thread->graph;
    const struct config_channel *channel = config_channel_by_id(config, w->channel);
    int64_t now = clock_wall_ms();
    struct contact_state *state;
    if (!channel || w->at_ms < now - NOTICE_LATE_MS || policy_observe(channel->policy, now) ||
        buffer_span(&e->names).n == 0 ||
        (g->deps.refused && g->deps.refused(g->deps.refused_ctx, w->subject)))
        return; /* also: whose data may not be processed now */
    state = malloc(sizeof(*state));
    if (!state)
        return;
    int r = contact_read(g->deps.contacts, (struct contact_id){w->channel, w->subject}, state);
    if (r != 0)
        LOG(LOG_WARN, "graph", "notice_contact_not_known", log_error(r));
    else if (!contact_opted_out(state) || w->stopped) /* that it was heard, once */
        weigh(e, config, channel, state);
    sodium_memzero(state, sizeof(*state));
    free(state);
}

/* ---- whose number it is: of a message that came some time ago ---- */

static int take_names(struct notice_errand *e, const struct json_doc *doc, struct arena *arena)
{
    static const char *const paths[] = {"entry.0.changes.0.value.messages.0.from",
                                        "entry.0.changes.0.value.messages.0.from_user_id"};
    struct span names[2] = {SPAN_EMPTY, SPAN_EMPTY}, text;
    for (unsigned i = 0; i < 2; i++) {
        uint32_t node = json_path(doc, 0, paths[i]);
        if (json_is(doc, node, JSON_STRING) && json_string(doc, node, arena, &names[i]) != 0)
            return SLUIS_ENOMEM;
        buffer_add(&e->names, names[i]);
    }
    e->what.contact.n = names[0].n;
    if (mask_window_text(doc, 0, arena, &text) == 0)
        e->what.english = contact_language(text, names[0]) == CONTACT_ENGLISH;
    return e->names.error;
}

static int open_part(struct notice_errand *e, struct store_read *read,
                     const struct store_item *item, uint8_t part, struct arena *arena)
{
    const struct record_id id = {part == 'O' ? item->cls_o : item->cls_m,
                                 part == 'O' ? item->bucket_o : item->bucket_m, item->subject,
                                 item->serial, part};
    struct judged judged;
    struct json_doc doc;
    struct span sealed, json;
    struct buffer plain;
    if (!id.cls)
        return SLUIS_ENOENT;
    buffer_init(&plain, STORE_RECORD_MAX);
    int r = store_get_record(read, &id, arena, &sealed);
    if (r == 0)
        r = record_open(e->thread->keys, 0, &id, sealed, &plain);
    if (r == 0)
        r = mask_unpack(buffer_span(&plain), arena, &judged, &json);
    if (r == 0)
        r = json_scan(&doc, json, arena, NULL);
    if (r == 0)
        r = take_names(e, &doc, arena);
    buffer_free(&plain);
    return r;
}

static int find_names(struct notice_errand *e)
{
    struct store_item item;
    struct store_read *read;
    struct arena arena;
    int r = store_read_begin(e->thread->graph->deps.store, &read);
    if (r != 0)
        return r;
    arena_init(&arena, GRAPH_ARENA_MAX);
    r = store_get_item(read, e->what.serial, &item);
    if (r == 0 && (item.kind != STORE_KIND_MESSAGE || item.subject != e->what.subject))
        r = SLUIS_EDENIED;
    if (r == 0) {
        e->what.at_ms = item.at_ms;
        r = open_part(e, read, &item, 'O', &arena);
        if (r == SLUIS_ENOENT || r == SLUIS_EEXPIRED)
            r = open_part(e, read, &item, 'M', &arena);
    }
    store_read_end(read);
    arena_free(&arena);
    return r;
}

static void on_errand(struct mail *mail)
{
    struct notice_errand *e = (struct notice_errand *)mail;
    struct graph *g = e->thread->graph;
    int r = e->names.n || e->names.error ? e->names.error : find_names(e);
    if (r == 0 && audit_closed(g->deps.gate)) { /* nothing is sent: a notice less */
        LOG(LOG_WARN, "graph", "notice_not_made", log_word("reason", "log_closed"));
        graph_count(g, G_NOTICES_FAILED);
    } else if (r == 0) {
        struct config *config = config_acquire(g->deps.config);
        consider(e, config);
        config_unref(config);
    } else if (r != SLUIS_ENOENT && r != SLUIS_EEXPIRED && r != SLUIS_EDENIED) {
        LOG(LOG_WARN, "graph", "notice_contact_not_known", log_error(r));
    }
    buffer_free(&e->names);
    free(e);
}

void graph_notice(struct graph *g, const struct graph_notice *what)
{
    struct notice_errand *e = what->subject ? calloc(1, sizeof(*e)) : NULL;
    if (!e)
        return; /* a notice less */
    e->thread = &g->threads[subject_owner(what->subject, g->deps.loop_count)];
    e->what = *what;
    buffer_init(&e->names, 1024);
    buffer_add(&e->names, what->contact);
    buffer_add(&e->names, what->user_id);
    loop_post(e->thread->loop, &e->mail, on_errand);
}

/*
 * POST /{phone}/messages. Mark-as-read and typing go through; a message is judged, policy decides,
 * the intent and the message are committed, and only then the rebuilt request leaves, once.
 */
#include "internal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

struct send {
    struct mail mail; /* between the call's thread and the contact's owner */
    struct store_job job;
    struct call *call;
    struct graph_thread *owner;
    struct span contact, user_id, text;
    struct subject subject;
    bool resolved; /* and not settled yet */
    struct outbound outbound;
    enum graph_error refused; /* on the owner's thread; E_COUNT: not */
    uint64_t pseudonym;       /* of the subject, for the access log */
    struct store_item row;
    struct record_id record_o, record_m;
    struct buffer packed, masked, sealed_o, sealed_m, leaf;
    uint8_t leaf_hash[32];
    uint64_t masked_types;
    int result;
};

static void send_free(struct send *s)
{
    if (!s)
        return;
    buffer_free(&s->packed);
    buffer_free(&s->masked);
    buffer_free(&s->sealed_o);
    buffer_free(&s->sealed_m);
    buffer_free(&s->leaf);
    free(s);
}

static void send_refuse(struct call *call, enum graph_error error, const char *detail)
{
    struct send *s = call->send;
    if (s && s->resolved)
        subject_settled(call->thread->subjects, &s->subject, SLUIS_EDENIED);
    send_free(s);
    call->send = NULL;
    call_refuse(call, error, detail);
}

/* ---- message ids that are aliases for this tool ---- */

static int unalias(struct call *call, uint32_t node, struct json_edit *edit)
{
    struct span id, kept;
    struct buffer plain, quoted;
    uint8_t key[KEYRING_KEY_BYTES];
    char label[2 * CONFIG_NAME_MAX + 32];
    int r = json_string(&call->doc, node, &call->arena, &id);
    if (r != 0)
        return r;
    snprintf(label, sizeof(label), "alias/%s/%s", call->channel->name, call->route->name);
    keyring_derive(call->thread->graph->deps.keyring, label, key);
    buffer_init(&plain, 4096);
    buffer_init(&quoted, 8192);
    r = mask_unalias(key, id, &plain);
    sodium_memzero(key, sizeof(key));
    if (r == 0) {
        json_quote(&quoted, buffer_span(&plain));
        r = arena_try_copy(&call->arena, buffer_span(&quoted), &kept);
    }
    if (r == 0) {
        const struct json_node *v = json_node(&call->doc, node);
        *edit = (struct json_edit){v->start, v->end, kept};
    }
    buffer_free(&plain);
    buffer_free(&quoted);
    return r;
}

static int by_start(const void *a, const void *b)
{
    const struct json_edit *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

/* Turns this tool's aliases back, before anything else reads the call. */
static int restore_identifiers(struct call *call)
{
    static const char *const paths[] = {"to",
                                        "recipient",
                                        "message_id",
                                        "context.message_id",
                                        "reaction.message_id",
                                        "recipient_identity_key_hash"};
    struct json_edit edits[sizeof(paths) / sizeof(paths[0])];
    struct buffer out;
    size_t n = 0;
    if (!call->route || !profile_hides_contact(call->route->policy->profile))
        return 0;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        uint32_t node = json_path(&call->doc, 0, paths[i]);
        if (json_is(&call->doc, node, JSON_STRING)) {
            int r = unalias(call, node, &edits[n]);
            if (r != 0)
                return r;
            n++;
        }
    }
    if (n == 0)
        return 0;
    qsort(edits, n, sizeof(edits[0]), by_start);
    buffer_init(&out, GRAPH_JSON_MAX * 6);
    int r = json_emit(&out, call->doc.text, 0, (uint32_t)call->doc.text.n, edits, n);
    buffer_free(&call->body);
    call->body = out;
    return r ? r : json_scan(&call->doc, buffer_span(&call->body), &call->arena, NULL);
}

/* ---- judging ---- */

static const char *refused_types(struct call *call)
{
    const struct policy *policy = call->channel->policy;
    const struct detector *detector = policy_detector(policy);
    struct buffer words;
    struct span kept;
    buffer_init(&words, 1024);
    for (unsigned type = 0; type < DETECT_TYPES_MAX && type < 64; type++) {
        if (!(call->judged.found >> type & 1) ||
            outbound_action(call, &call->send->outbound, type) != OUTBOUND_REFUSE)
            continue;
        const char *word = detector_type_word(detector, type);
        buffer_addf(&words, "%s%s", words.n ? ", " : "", word ? word : "?");
    }
    bool any = words.n > 0;
    int r = arena_try_copy(&call->arena, buffer_span(&words), &kept);
    buffer_free(&words);
    return !any ? NULL : r == 0 ? kept.p : "";
}

/* Secrets are refused also while policy observes. */
static bool refuses_secret(struct call *call)
{
    return call->judged.found >> DETECT_SECRET & 1 &&
           outbound_action(call, &call->send->outbound, DETECT_SECRET) == OUTBOUND_REFUSE;
}

/* Findings that policy lets out are not masked; while it observes, secrets only are. */
static void keep_passed(struct call *call, struct judged *judged)
{
    const struct outbound *o = &call->send->outbound;
    size_t n = 0;
    for (size_t i = 0; i < judged->count; i++) {
        uint64_t masks = 0;
        uint64_t left = judged->findings[i].also | UINT64_C(1) << judged->findings[i].type;
        for (; left; left &= left - 1) {
            unsigned type = (unsigned)__builtin_ctzll(left);
            if (outbound_action(call, o, type) != OUTBOUND_PASS &&
                (!o->observing || type == DETECT_SECRET))
                masks |= left & -left;
        }
        if (masks) {
            judged->findings[n++] = judged->findings[i];
            call->send->masked_types |= masks;
        }
    }
    judged->count = n;
}

static int render(struct call *call, const struct judged *judged, struct buffer *out)
{
    const struct mask_reader reader = {.profile = policy_storage_profile(call->channel->policy),
                                       .policy = call->channel->policy,
                                       .media = MEDIA_PASS, /* check_media has decided */
                                       .keeps_tool_data = true};
    int r = mask_render(&call->doc, 0, MASK_TABLE_SEND, judged, &reader, &call->arena, out);
    return r ? r : out->error;
}

static int judge(struct call *call)
{
    const struct judge_input input = {.doc = &call->doc,
                                      .table = MASK_TABLE_SEND,
                                      .policy = call->channel->policy,
                                      .scratch = call->thread->scratch,
                                      .from_customer = false,
                                      .at_ms = clock_wall_ms()};
    return mask_judge(&input, &call->arena, &call->judged);
}

/* ---- the reply of Meta ---- */

static void on_sent(const struct upstream_answer *answer, void *ctx)
{
    struct call *call = ctx;
    struct send *s = call->send;
    struct graph *g = call->thread->graph;
    uint64_t serial = s->row.serial, subject = s->pseudonym;
    uint64_t masked = s->masked_types;
    send_free(s);
    call->send = NULL;
    if (answer->outcome == UPSTREAM_UNKNOWN) {
        graph_count(g, G_SEND_UNKNOWN);
        call_record(call, AUDIT_SEND, "unknown", graph_code_of(E_UNKNOWN_OUTCOME), serial, subject,
                    masked);
        reply_forward(call, answer);
        return;
    }
    bool sent = answer->outcome == UPSTREAM_ANSWERED && answer->status < 300;
    /* Taken, or fallen over on the way: with an answer nobody can read it may have been sent. */
    if (sent || (answer->outcome == UPSTREAM_ANSWERED && answer->status >= 500))
        call->unreadable = E_UNKNOWN_OUTCOME;
    graph_count(g, sent ? G_SENT : G_SEND_FAILED);
    call_record(call, AUDIT_SEND,
                sent                                   ? "sent"
                : answer->outcome == UPSTREAM_ANSWERED ? "refused_by_meta"
                                                       : "not_sent",
                answer->outcome == UPSTREAM_ANSWERED ? answer->status : 0, serial, subject, masked);
    reply_forward(call, answer);
}

static void send_now(struct call *call)
{
    char target[64 + GRAPH_ID_MAX];
    int n = snprintf(target, sizeof(target), "/%s/%s/messages", call->version, call->id);
    forward(call, HTTP_POST, span_of(target, (size_t)n), SPAN("application/json"),
            buffer_span(&call->rebuilt), GRAPH_REPLY_MAX, on_sent);
}

/* ---- committed, then sent ---- */

static void on_back(struct mail *mail)
{
    struct send *s = (struct send *)mail;
    struct call *call = s->call;
    struct graph *g = call->thread->graph;
    if (s->refused != E_COUNT) {
        send_refuse(call, s->refused, NULL);
        return;
    }
    if (s->result != 0) {
        LOG(LOG_WARN, "graph", "send_not_recorded", log_error(s->result));
        send_refuse(call, E_STORE, NULL);
        return;
    }
    if (!call_may_leave(call)) {
        /* The tool has left, or could not be told in time: it will come again. */
        call_record(call, AUDIT_SEND, "not_sent", graph_code_of(E_STORE), s->row.serial,
                    s->pseudonym, s->masked_types);
        send_refuse(call, E_STORE, NULL);
        return;
    }
    if (g->deps.on_sent && s->text.n) {
        const struct graph_sent sent = {call->channel->id, s->contact,   s->user_id,
                                        s->text,           s->row.at_ms, s->row.serial};
        g->deps.on_sent(g->deps.on_sent_ctx, &sent);
    }
    if (s->masked_types)
        graph_count(g, G_MASKED);
    send_now(call);
}

/* Owner's thread: the subject is settled, the call goes home. */
static void on_committed(struct mail *mail)
{
    struct send *s = (struct send *)mail;
    s->result = s->job.result;
    subject_settled(s->owner->subjects, &s->subject, s->result);
    outbound_pace_done(s->call, &s->outbound);
    loop_post(s->call->thread->loop, &s->mail, on_back);
}

static void job_done(struct store_job *job)
{
    struct send *s = (struct send *)((char *)job - offsetof(struct send, job));
    loop_post(s->owner->loop, &s->mail, on_committed);
}

static int job_run(struct store_txn *txn, struct store_job *job)
{
    struct send *s = (struct send *)((char *)job - offsetof(struct send, job));
    uint64_t index;
    subject_put(txn, &s->subject);
    if (s->row.cls_o)
        store_put_record(txn, &s->record_o, buffer_span(&s->sealed_o));
    if (s->row.cls_m)
        store_put_record(txn, &s->record_m, buffer_span(&s->sealed_m));
    store_put_item(txn, &s->row);
    store_put_leaf(txn, buffer_span(&s->leaf), s->leaf_hash, &index);
    return store_txn_error(txn);
}

static int seal(struct send *s, uint8_t part, const struct retention_place *place,
                struct span plain, struct record_id *id, struct buffer *out)
{
    *id = (struct record_id){place->cls, place->bucket, s->subject.serial, s->row.serial, part};
    return record_seal(s->owner->keys, 0, id, 0, plain, out);
}

static int seal_parts(struct send *s, int64_t now)
{
    struct call *call = s->call;
    struct store *store = call->thread->graph->deps.store;
    const struct policy *policy = call->channel->policy;
    const struct retention_facts facts = {.found = call->judged.found,
                                          .media = call->judged.has_media,
                                          .out = true,
                                          .channel = call->channel->name,
                                          .at_ms = now,
                                          .consent = outbound_consents(&s->outbound)};
    struct retention_rule rule_o = policy_retention(policy, RETENTION_ORIGINAL, &facts);
    struct retention_rule rule_m = policy_retention(policy, RETENTION_HISTORY, &facts);
    struct retention_place o, m;
    int r = retention_place(store, &rule_o, RETENTION_ORIGINAL, now, now, &o);
    if (r == 0)
        r = retention_place(store, &rule_m, RETENTION_HISTORY, now, now, &m);
    if (r == 0 && !o.never && !o.expired) {
        r = seal(s, 'O', &o, buffer_span(&s->packed), &s->record_o, &s->sealed_o);
        s->row.cls_o = o.cls;
        s->row.bucket_o = o.bucket;
    }
    if (r == 0 && !m.never && !m.expired) {
        r = seal(s, 'M', &m, buffer_span(&s->masked), &s->record_m, &s->sealed_m);
        s->row.cls_m = m.cls;
        s->row.bucket_m = m.bucket;
    }
    return r;
}

static int write_intent(struct send *s, int64_t now)
{
    const struct call *call = s->call;
    const struct audit_event event = {
        .at_ms = now,
        .action = AUDIT_SEND_INTENT,
        .actor = call->principal.name,
        .claimed = call->actor[0] ? call->actor : NULL,
        .role = call_role(call),
        .channel = call->channel->name,
        .route = call->route ? call->route->name : NULL,
        .activity = policy_activity(call->channel->policy),
        .object = s->row.serial,
        .subject = s->pseudonym,
        .masked = s->masked_types,
        .policy_hash = policy_hash(call->channel->policy),
        .outcome = "intent",
    };
    return audit_leaf(&event, &s->leaf, s->leaf_hash);
}

/* Owner's thread, where this contact's messages pass one by one: not too many. */
static bool too_many(struct send *s)
{
    enum graph_error error = outbound_pace(s->call, &s->outbound);
    if (error == E_COUNT)
        return false;
    if (error == E_PACE && !outbound_stands(s->call, &s->outbound, error))
        return false;
    s->refused = error;
    loop_post(s->call->thread->loop, &s->mail, on_back);
    return true;
}

/* Owner's thread: sealed, in a job. */
static void on_owner(struct mail *mail)
{
    struct send *s = (struct send *)mail;
    struct graph *g = s->owner->graph;
    int64_t now = clock_wall_ms();
    if (too_many(s))
        return;
    s->resolved = false; /* settled from here on */
    s->row = (struct store_item){.serial = store_next_serial(g->deps.store),
                                 .subject = s->subject.serial,
                                 .channel = s->call->channel->id,
                                 .kind = STORE_KIND_SENT,
                                 .at_ms = now,
                                 .taken_ms = now};
    s->row.batch = s->row.serial;
    int r = seal_parts(s, now);
    if (r == 0)
        r = keyring_pseudonym(s->owner->keys, s->subject.serial, &s->pseudonym);
    if (r == 0)
        r = write_intent(s, now);
    if (r != 0) {
        subject_settled(s->owner->subjects, &s->subject, r);
        outbound_pace_done(s->call, &s->outbound);
        s->result = r;
        loop_post(s->call->thread->loop, &s->mail, on_back);
        return;
    }
    s->job.priority = STORE_NORMAL;
    s->job.run = job_run;
    s->job.done = job_done;
    store_submit(g->deps.store, &s->job);
}

/* ---- taking the call ---- */

/* The text by which this message takes part in the conversation's window. */
static struct span window_text(struct call *call)
{
    static const char *const paths[] = {"text.body", "interactive.body.text", "image.caption",
                                        "document.caption", "video.caption"};
    struct span text;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        uint32_t node = json_path(&call->doc, 0, paths[i]);
        if (json_is(&call->doc, node, JSON_STRING) &&
            json_string(&call->doc, node, &call->arena, &text) == 0)
            return text;
    }
    return SPAN_EMPTY;
}

static struct send *send_new(struct call *call)
{
    struct send *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->call = call;
    s->refused = E_COUNT;
    buffer_init(&s->packed, STORE_RECORD_MAX);
    buffer_init(&s->masked, STORE_RECORD_MAX);
    buffer_init(&s->sealed_o, STORE_RECORD_MAX);
    buffer_init(&s->sealed_m, STORE_RECORD_MAX);
    buffer_init(&s->leaf, AUDIT_LEAF_MAX);
    call->send = s;
    return s;
}

/* What is sent, and what is kept of it. E_COUNT when fine. */
static enum graph_error prepare(struct call *call, const char **detail)
{
    struct send *s = call->send;
    int r = judge(call);
    if (r != 0) {
        graph_count(call->thread->graph, G_UNJUDGED);
        return E_UNJUDGED;
    }
    enum graph_error refused = body_check_outbound(call, detail);
    if (refused == E_COUNT)
        refused = outbound_check(call, &s->outbound, detail);
    if (refused != E_COUNT && outbound_stands(call, &s->outbound, refused)) {
        graph_count(call->thread->graph, G_CONTENT_REFUSED);
        return refused;
    }
    *detail = refused_types(call);
    if (*detail && (refuses_secret(call) || outbound_stands(call, &s->outbound, E_CONTENT))) {
        graph_count(call->thread->graph, G_CONTENT_REFUSED);
        return E_CONTENT;
    }
    mask_pack(&call->judged, call->doc.text, &s->packed);
    struct judged all = call->judged, none = call->judged;
    struct buffer stored;
    buffer_init(&stored, STORE_RECORD_MAX);
    r = render(call, &all, &stored); /* part M: every finding replaced, whatever goes out */
    none.count = 0;
    none.findings = NULL;
    if (r == 0)
        mask_pack(&none, buffer_span(&stored), &s->masked);
    buffer_free(&stored);
    struct judged out = call->judged;
    keep_passed(call, &out);
    if (r == 0)
        r = render(call, &out, &call->rebuilt);
    if (r == 0 && (s->packed.error || s->masked.error))
        r = SLUIS_ELIMIT;
    return r == 0 ? E_COUNT : E_UNJUDGED;
}

/* Whose message it is, and what is known of them. */
static enum graph_error know_contact(struct call *call, struct send *s)
{
    int r = subject_resolve(call->thread->subjects, s->contact, s->user_id, &s->subject);
    s->resolved = r == 0;
    if (r == 0)
        r = outbound_open(call, s->subject.serial, &s->outbound);
    if (r != 0)
        LOG(LOG_WARN, "graph", "contact_not_known", log_error(r));
    return r == 0 ? E_COUNT : E_STORE;
}

static enum graph_error whom(struct call *call, struct send *s, const char **detail)
{
    int r = recipient_read(call, &s->contact, &s->user_id);
    if (r == SLUIS_EDENIED)
        *detail = "recipient: another person than to";
    return r == 0 ? E_COUNT : r == SLUIS_EDENIED || r == SLUIS_EINVAL ? E_RECIPIENT : E_STORE;
}

static void send_checked(struct call *call)
{
    const char *detail = NULL;
    enum graph_error error = body_check_media(call);
    struct send *s = error == E_COUNT ? send_new(call) : NULL;
    if (error == E_COUNT && !s)
        error = E_BUSY;
    if (error == E_COUNT)
        error = whom(call, s, &detail);
    if (error == E_COUNT)
        error = tokens_expand(call, s->contact, s->user_id);
    if (error == E_COUNT) /* the body may be another one now */
        error = whom(call, s, &detail);
    if (error == E_COUNT)
        error = know_contact(call, s);
    if (error == E_COUNT)
        error = prepare(call, &detail);
    if (error != E_COUNT) {
        send_refuse(call, error, detail);
        return;
    }
    s->text = window_text(call);
    struct graph *g = call->thread->graph;
    s->owner = &g->threads[subject_owner(s->subject.serial, g->deps.loop_count)];
    loop_post(s->owner->loop, &s->mail, on_owner);
}

static void send_message(struct call *call)
{
    if (attach_wanted(call))
        attach_fetch(call, send_checked);
    else
        send_checked(call);
}

/* {"status":"read"} and typing indicators are no messages: through, rebuilt. */
static void on_marked(const struct upstream_answer *answer, void *ctx)
{
    reply_forward(ctx, answer);
}

static void mark(struct call *call)
{
    int r = judge(call);
    if (r == 0)
        r = render(call, &call->judged, &call->rebuilt);
    if (r != 0) {
        call_refuse(call, E_UNJUDGED, NULL);
        return;
    }
    char target[64 + GRAPH_ID_MAX];
    int n = snprintf(target, sizeof(target), "/%s/%s/messages", call->version, call->id);
    graph_count(call->thread->graph, G_FORWARDED);
    forward(call, HTTP_POST, span_of(target, (size_t)n), SPAN("application/json"),
            buffer_span(&call->rebuilt), GRAPH_REPLY_MAX, on_marked);
}

void handle_messages(struct call *call)
{
    int r = json_scan(&call->doc, buffer_span(&call->body), &call->arena, NULL);
    if (r != 0 || !json_is(&call->doc, 0, JSON_OBJECT)) {
        call_refuse(call, E_BODY, call->doc.error);
        return;
    }
    if (restore_identifiers(call) != 0) {
        call_refuse(call, E_RECIPIENT, "alias");
        return;
    }
    uint32_t status = json_get(&call->doc, 0, SPAN("status"));
    bool is_mark = json_string_is(&call->doc, status, SPAN("read"));
    const char *bad = body_bad_member(&call->doc, is_mark);
    if (bad)
        call_refuse(call, E_PARAMETER, bad);
    else if (is_mark)
        mark(call);
    else
        send_message(call);
}

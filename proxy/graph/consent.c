/*
 * The consent registry for tools: POST /sluis/v1/consent records for a channel of the token,
 * POST /sluis/v1/consent/list tells what is on record of one contact. The role must have the right.
 */
#include "internal.h"

#include <sodium.h>
#include <stdlib.h>

struct consenting {
    struct mail mail; /* first */
    struct store_job job;
    struct call *call;
    struct subject subject;
    struct contact_change *changes[CONTACT_CHANGES_MAX];
};

static void consenting_free(struct consenting *c)
{
    for (unsigned i = 0; i < CONTACT_CHANGES_MAX; i++)
        contact_change_free(c->changes[i]);
    free(c);
}

static void answer(struct call *call, struct span body)
{
    struct exchange *ex = call_exchange(call);
    if (ex) {
        exchange_answer_begin(ex, 200);
        exchange_answer_field(ex, SPAN("Content-Type"), SPAN("application/json"));
        exchange_answer_field(ex, SPAN("Cache-Control"), SPAN("no-store"));
        exchange_answer_end(ex, body);
    }
    call_free(call);
}

static void refuse_entry(struct call *call, int r)
{
    if (r == SLUIS_EINVAL)
        call_refuse(call, E_ENTRY, "text or time");
    else if (r == SLUIS_ENOENT)
        call_refuse(call, E_ENTRY, "nothing of that basis and purpose is on record");
    else if (r == SLUIS_ELIMIT)
        call_refuse(call, E_ENTRY, "too many purposes of one contact");
    else if (r == SLUIS_EEXIST)
        call_refuse(call, E_OLD_ENTRY, NULL);
    else
        call_refuse(call, E_STORE, NULL);
}

static void on_back(struct mail *mail)
{
    struct consenting *c = (struct consenting *)mail;
    struct call *call = c->call;
    int r = c->job.result;
    subject_settled(call->thread->subjects, &c->subject, r);
    consenting_free(c);
    if (r != 0)
        refuse_entry(call, r);
    else
        answer(call, SPAN("{\"success\":true}"));
}

static void job_done(struct store_job *job)
{
    struct consenting *c = (struct consenting *)((char *)job - offsetof(struct consenting, job));
    loop_post(c->call->thread->loop, &c->mail, on_back);
}

static int job_run(struct store_txn *txn, struct store_job *job)
{
    struct consenting *c = (struct consenting *)((char *)job - offsetof(struct consenting, job));
    subject_put(txn, &c->subject);
    for (unsigned i = 0; i < CONTACT_CHANGES_MAX && c->changes[i]; i++)
        contact_change_run(txn, c->changes[i]);
    return store_txn_error(txn);
}

/* The channel that is named, or the token's only one; NULL when it is not this token's. */
static const struct config_channel *channel_of(const struct call *call, struct span name)
{
    const struct config_channel *only = NULL;
    unsigned n = 0;
    for (size_t i = 0; i < call->config->channel_count; i++) {
        const struct config_channel *c = &call->config->channels[i];
        if (!principal_may_use(&call->principal, c->id))
            continue;
        if (name.n && span_is(name, c->name))
            return c;
        only = c;
        n++;
    }
    return name.n == 0 && n == 1 ? only : NULL;
}

/* Its channel, and whether the role may there. False: refused. */
static bool open_entry(struct call *call, struct span channel)
{
    call->channel = channel_of(call, channel);
    if (!call->channel) {
        call_refuse(call, E_OBJECT, "channel");
        return false;
    }
    if (!access_may(call->thread->graph->deps.access, &call->principal, call->channel->id,
                    POLICY_MAY_CONSENT, clock_wall_ms())) {
        call_refuse(call, E_ROLE, NULL);
        return false;
    }
    return true;
}

static bool scan(struct call *call)
{
    if (json_scan(&call->doc, buffer_span(&call->body), &call->arena, NULL) == 0)
        return true;
    call_refuse(call, E_BODY, call->doc.error);
    return false;
}

static struct audit_event event_of(const struct call *call)
{
    return (struct audit_event){.actor = call->principal.name,
                                .claimed = call->actor[0] ? call->actor : NULL,
                                .role = call->principal.role[0] ? call->principal.role : "tool",
                                .channel = call->channel->name,
                                .activity = policy_activity(call->channel->policy),
                                .policy_hash = policy_hash(call->channel->policy)};
}

/* Given before the number was this person's: by whoever had it then. */
static int consent_fits(struct call *call, const struct contact_entry *entry)
{
    int64_t since;
    int r = subject_since(call->thread->subjects, entry->contact, entry->user_id, &since);
    return r ? r : since && entry->consent.given_ms < since ? SLUIS_EEXIST : 0;
}

void handle_consent(struct call *call)
{
    struct contact_entry entry;
    struct graph *g = call->thread->graph;
    if (!scan(call))
        return;
    const char *wrong = contact_entry_read(&call->doc, 0, &call->arena, clock_wall_ms(), &entry);
    if (!wrong && (entry.has_consent || entry.has_stop) && !entry.timed)
        wrong = "time: when it was given or said"; /* a list sent again must not bring it back */
    if (wrong) {
        call_refuse(call, E_ENTRY, wrong);
        return;
    }
    if (!open_entry(call, entry.channel))
        return;
    struct consenting *c = calloc(1, sizeof(*c));
    if (!c) {
        call_refuse(call, E_BUSY, NULL);
        return;
    }
    const struct audit_event event = event_of(call);
    c->call = call;
    int r = subject_resolve(call->thread->subjects, entry.contact, entry.user_id, &c->subject);
    bool resolved = r == 0;
    if (r == 0 && entry.has_consent && !entry.consent.withdrawn_ms)
        r = consent_fits(call, &entry);
    if (r == 0)
        r = contact_entry_changes(g->deps.contacts,
                                  (struct contact_id){call->channel->id, c->subject.serial}, &entry,
                                  &event, c->changes);
    if (r != 0) {
        if (resolved)
            subject_settled(call->thread->subjects, &c->subject, r);
        consenting_free(c);
        refuse_entry(call, r);
        return;
    }
    c->job = (struct store_job){.priority = STORE_NORMAL, .run = job_run, .done = job_done};
    store_submit(g->deps.store, &c->job);
}

/* ---- what is on record ---- */

struct listing {
    struct mail mail; /* first */
    struct store_job job;
    struct call *call;
    struct buffer leaf, out;
    uint8_t hash[32];
};

static void on_listed(struct mail *mail)
{
    struct listing *l = (struct listing *)mail;
    struct call *call = l->call;
    if (l->job.result != 0 || l->out.error)
        call_refuse(call, E_STORE, NULL);
    else
        answer(call, buffer_span(&l->out));
    buffer_free(&l->leaf);
    buffer_free(&l->out);
    free(l);
}

static void list_done(struct store_job *job)
{
    struct listing *l = (struct listing *)((char *)job - offsetof(struct listing, job));
    loop_post(l->call->thread->loop, &l->mail, on_listed);
}

static int list_run(struct store_txn *txn, struct store_job *job)
{
    struct listing *l = (struct listing *)((char *)job - offsetof(struct listing, job));
    uint64_t index;
    store_put_leaf(txn, buffer_span(&l->leaf), l->hash, &index);
    return store_txn_error(txn);
}

/* The leaf stands before a byte of it leaves. */
static int list_one(struct listing *l, uint64_t subject)
{
    struct call *call = l->call;
    struct graph *g = call->thread->graph;
    struct contact_state *state = arena_try(&call->arena, sizeof(*state));
    struct audit_event event = event_of(call);
    if (!state)
        return SLUIS_ENOMEM;
    event.at_ms = clock_wall_ms();
    event.action = AUDIT_CONSENT;
    event.outcome = "listed";
    int r = contact_read(g->deps.contacts, (struct contact_id){call->channel->id, subject}, state);
    if (r == 0)
        contact_write(state, &l->out);
    sodium_memzero(state, sizeof(*state));
    if (r == 0)
        r = keyring_pseudonym(call->thread->keys, subject, &event.subject);
    return r ? r : audit_leaf(&event, &l->leaf, l->hash);
}

static struct span text_of(struct call *call, const char *member)
{
    struct span text = SPAN_EMPTY;
    uint32_t node = json_get(&call->doc, 0, span_str(member));
    return json_is(&call->doc, node, JSON_STRING) &&
                   json_string(&call->doc, node, &call->arena, &text) == 0
               ? text
               : SPAN_EMPTY;
}

static int known_subject(struct call *call, uint64_t *out)
{
    struct span contact, user_id;
    struct contact_entry entry = {.channel = SPAN_EMPTY};
    struct store_read *read;
    contact = text_of(call, "contact");
    user_id = text_of(call, "user_id");
    if (contact.n && contact_number(contact, &call->arena, &entry.contact) != 0)
        return SLUIS_EINVAL;
    int r = store_read_begin(call->thread->graph->deps.store, &read);
    if (r != 0)
        return r;
    r = subject_find(read, call->thread->graph->deps.keyring, user_id.n ? user_id : entry.contact,
                     out);
    store_read_end(read);
    return r;
}

void handle_consent_list(struct call *call)
{
    uint64_t subject = 0;
    if (!scan(call))
        return;
    if (!open_entry(call, text_of(call, "channel")))
        return;
    struct listing *l = calloc(1, sizeof(*l));
    if (!l) {
        call_refuse(call, E_BUSY, NULL);
        return;
    }
    l->call = call;
    buffer_init(&l->leaf, AUDIT_LEAF_MAX);
    buffer_init(&l->out, GRAPH_JSON_MAX);
    int r = known_subject(call, &subject);
    if (r == 0 || r == SLUIS_ENOENT) /* nobody: nothing on record, and that it was asked is */
        r = list_one(l, subject);
    if (r != 0) {
        buffer_free(&l->leaf);
        buffer_free(&l->out);
        free(l);
        refuse_entry(call, r);
        return;
    }
    l->job = (struct store_job){.priority = STORE_NORMAL, .run = list_run, .done = list_done};
    store_submit(call->thread->graph->deps.store, &l->job);
}

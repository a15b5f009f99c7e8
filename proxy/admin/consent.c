/* The consent registry: grounds, opting out and references of contacts, recorded and looked up. */
#include "internal.h"

#include <sodium.h>
#include <stdlib.h>

#define ENTRIES_MAX 200 /* of one request: one commit */

struct recording {
    struct subject subject;
    bool resolved;
    struct contact_change *changes[CONTACT_CHANGES_MAX];
};

struct batch {
    struct store_job job;
    struct recording *at;
    unsigned n, recorded, unchanged;
};

static int run_batch(struct store_txn *txn, struct store_job *job)
{
    struct batch *b = (struct batch *)(void *)job;
    for (unsigned i = 0; i < b->n; i++) {
        if (b->at[i].changes[0])
            subject_put(txn, &b->at[i].subject);
        for (unsigned k = 0; k < CONTACT_CHANGES_MAX && b->at[i].changes[k]; k++)
            contact_change_run(txn, b->at[i].changes[k]);
    }
    return store_txn_error(txn);
}

static void batch_end(struct admin_request *r, struct batch *b, int result)
{
    for (unsigned i = 0; i < b->n; i++) {
        if (b->at[i].resolved)
            subject_settled(r->admin->deps.subjects, &b->at[i].subject,
                            b->at[i].changes[0] ? result : SLUIS_ENOENT);
        for (unsigned k = 0; k < CONTACT_CHANGES_MAX; k++)
            contact_change_free(b->at[i].changes[k]);
    }
    free(b->at);
}

/* The channel that is named, or the only one there is; NULL. */
static const struct config_channel *channel_of(struct admin_request *r, const struct config *config,
                                               struct span name)
{
    char *text = name.n ? arena_try_str(r->arena, name) : NULL;
    if (name.n)
        return text ? config_channel(config, text) : NULL;
    return config->channel_count == 1 ? &config->channels[0] : NULL;
}

static struct audit_event event_of(const struct admin_request *r,
                                   const struct config_channel *channel)
{
    return (struct audit_event){.actor = r->who.name,
                                .role = r->decision.role[0] ? r->decision.role : NULL,
                                .channel = channel->name,
                                .activity = policy_activity(channel->policy),
                                .policy_hash = policy_hash(channel->policy)};
}

static const char *why(int result)
{
    switch (result) {
    case SLUIS_EINVAL:
        return "a text that is too long or not plain, or a time that is not past";
    case SLUIS_ENOENT:
        return "nothing of that basis and purpose is on record";
    case SLUIS_ELIMIT:
        return "too many purposes of one contact";
    case SLUIS_EDENIED:
        return "not on this channel";
    default:
        return NULL;
    }
}

/* NULL, or what is wrong with the entry; *result when it is not the entry's fault. */
static const char *take_entry(struct admin_request *r, const struct config *config, uint32_t node,
                              struct batch *b, int *result)
{
    struct contact_entry entry;
    const char *wrong = contact_entry_read(&r->body, node, r->arena, clock_wall_ms(), &entry);
    if (wrong)
        return wrong;
    const struct config_channel *channel = channel_of(r, config, entry.channel);
    if (!channel)
        return entry.channel.n ? "channel: no such channel" : "channel: which one?";
    if (!admin_may(r, channel->id))
        return "channel: not yours";
    const struct audit_event event = event_of(r, channel);
    struct recording *rec = &b->at[b->n++];
    int e = subject_resolve(r->admin->deps.subjects, entry.contact, entry.user_id, &rec->subject);
    rec->resolved = e == 0;
    int64_t since = 0;
    if (e == 0 && entry.has_consent && !entry.consent.withdrawn_ms)
        e = subject_since(r->admin->deps.subjects, entry.contact, entry.user_id, &since);
    if (e == 0 && since && entry.consent.given_ms < since)
        e = SLUIS_EEXIST; /* by whoever had the number then */
    if (e == 0)
        e = contact_entry_changes(r->admin->deps.contacts,
                                  (struct contact_id){channel->id, rec->subject.serial}, &entry,
                                  &event, rec->changes);
    b->recorded += e == 0;
    b->unchanged += e == SLUIS_EEXIST; /* younger is on record: said, and passed over */
    if (e == 0 || e == SLUIS_EEXIST)
        return NULL;
    wrong = why(e);
    *result = wrong ? 0 : e;
    return wrong ? wrong : "it could not be recorded now";
}

static void refuse_entry(struct admin_request *r, unsigned index, const char *wrong, int result)
{
    struct buffer out;
    buffer_init(&out, 4096);
    const char *code = result ? error_word(result) : "entry";
    buffer_addf(
        &out, "{\"type\":\"urn:sluis:problem:%s\",\"title\":\"%s\",\"status\":%u,\"detail\":", code,
        code, result ? 503 : 400);
    json_quote(&out, span_str(wrong));
    buffer_addf(&out, ",\"error\":{\"code\":\"%s\",\"message\":", code);
    json_quote(&out, span_str(wrong));
    buffer_addf(&out, "},\"entry\":%u}\n", index);
    exchange_answer(r->ex, result ? 503 : 400, SPAN("application/problem+json"), buffer_span(&out));
    buffer_free(&out);
}

/* {"entries":[...],"dry_run":true}, or one entry. All of them, or none. */
void admin_consent(struct admin_request *r)
{
    struct batch b = {.job = {.priority = STORE_NORMAL, .run = run_batch}};
    struct config *config = config_acquire(r->admin->deps.config);
    uint32_t list = r->body.count ? json_get(&r->body, 0, SPAN("entries")) : JSON_NONE;
    bool dry =
        list != JSON_NONE && json_is(&r->body, json_get(&r->body, 0, SPAN("dry_run")), JSON_TRUE);
    uint32_t node = list == JSON_NONE ? 0 : json_first(&r->body, list);
    const char *wrong = r->body.count ? NULL : "an entry was expected";
    unsigned index = 0;
    int result = 0;
    b.at = calloc(ENTRIES_MAX, sizeof(*b.at));
    if (!b.at)
        wrong = "memory", result = SLUIS_ENOMEM;
    for (; !wrong && node != JSON_NONE; index += !wrong) {
        wrong = index == ENTRIES_MAX ? "at most 200 entries in one request"
                                     : take_entry(r, config, node, &b, &result);
        node = list == JSON_NONE ? JSON_NONE : json_next(&r->body, node);
    }
    if (!wrong && !dry && b.recorded) {
        result = store_submit_wait(r->admin->deps.store, &b.job);
        wrong = result ? "it could not be recorded now" : NULL;
    }
    if (b.at)
        batch_end(r, &b, dry || wrong ? SLUIS_EDENIED : 0);
    config_unref(config);
    if (wrong) {
        refuse_entry(r, index, wrong, result);
        return;
    }
    struct buffer out;
    buffer_init(&out, 256);
    buffer_addf(&out, "{\"entries\":%u,\"recorded\":%u,\"unchanged\":%u,\"dry_run\":%s}", index,
                b.recorded, b.unchanged, dry ? "true" : "false");
    admin_json(r, 200, &out);
    buffer_free(&out);
}

static int find_contact(struct admin_request *r, uint16_t channel, uint64_t *subject)
{
    struct span number = SPAN_EMPTY, contact = admin_text(r, "contact");
    struct span user_id = admin_text(r, "user_id"), reference = admin_text(r, "reference");
    struct contact_id found;
    struct store_read *read;
    if (reference.n) {
        int n = contact_ref_find(r->admin->deps.contacts, channel, reference, &found, 1);
        *subject = n == 1 ? found.subject : 0;
        return n < 0 ? n : n == 0 ? SLUIS_ENOENT : 0;
    }
    if (!user_id.n && contact_number(contact, r->arena, &number) != 0)
        return SLUIS_EINVAL;
    int e = store_read_begin(r->admin->deps.store, &read);
    if (e != 0)
        return e;
    e = subject_find(read, r->admin->deps.keyring, user_id.n ? user_id : number, subject);
    store_read_end(read);
    return e;
}

/* {"channel":..,"contact"|"user_id"|"reference":..} */
void admin_consent_list(struct admin_request *r)
{
    struct config *config = config_acquire(r->admin->deps.config);
    const struct config_channel *channel = channel_of(r, config, admin_text(r, "channel"));
    struct contact_state *state = arena_try(r->arena, sizeof(*state));
    struct contact_id id = {.channel = channel ? channel->id : 0};
    struct buffer out;
    buffer_init(&out, 256 * 1024);
    int e = !state ? SLUIS_ENOMEM : !channel ? SLUIS_EINVAL : 0;
    if (e == 0 && !admin_may(r, channel->id))
        e = SLUIS_EDENIED;
    if (e == 0)
        e = find_contact(r, id.channel, &id.subject);
    if (e == 0)
        e = contact_read(r->admin->deps.contacts, id, state);
    struct audit_event event = channel ? event_of(r, channel) : (struct audit_event){.actor = NULL};
    event.at_ms = clock_wall_ms();
    event.action = AUDIT_CONSENT;
    event.outcome = "listed";
    if (e == 0)
        e = contact_pseudonym(r->admin->deps.contacts, id.subject, &event.subject);
    if (e == 0)
        e = admin_record(r->admin->deps.store, &event);
    if (e == 0)
        contact_write(state, &out);
    if (state)
        sodium_memzero(state, sizeof(*state));
    if (e == SLUIS_EINVAL)
        admin_error(r, 400, "contact",
                    "contact (a phone number), user_id or reference; and channel, when there are "
                    "more");
    else if (e == SLUIS_ENOENT || e == SLUIS_EEXPIRED)
        admin_error(r, 404, "not_found", "nobody is known by that");
    else if (e == SLUIS_EDENIED)
        admin_error(r, 403, "channel", "not on this channel");
    else if (e != 0)
        admin_error(r, 503, error_word(e), "it could not be looked up now");
    else
        admin_json(r, 200, &out);
    buffer_free(&out);
    config_unref(config);
}

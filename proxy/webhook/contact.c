/*
 * What a message says of its contact: opting out, by a word or in Meta's preferences, is committed
 * with the message itself; what notices need is gathered, when the policy has any.
 */
#include "internal.h"

#include "sluis/base/log.h"

#include <sodium.h>
#include <stdlib.h>

#define PREFERENCE "entry.0.changes.0.value.user_preferences.0.value"
#define GROUP "entry.0.changes.0.value.messages.0.group_id"

static struct contact_id id_of(const struct item *item)
{
    return (struct contact_id){item->channel->id, item->subject.serial};
}

/* True and how when this item changes whether the contact may be written to first. */
static bool stop_of(const struct item *item, const struct json_doc *doc, enum contact_stop *how)
{
    if (item->unit.kind == STORE_KIND_MESSAGE) {
        size_t n = 0;
        if (item->text.n == 0 || item->text.n > CONTACT_STOP_WORD_MAX)
            return false;
        const char *const *words = policy_stop_words(item->channel->policy, &n);
        *how = CONTACT_STOP_WORD;
        return contact_is_stop_word(words, n, item->text);
    }
    if (item->unit.kind != STORE_KIND_ACCOUNT ||
        strcmp(item->unit.field, "user_preferences") != 0 || !item->unit.contact.n)
        return false;
    uint32_t value = json_path(doc, 0, PREFERENCE);
    *how = CONTACT_STOP_META;
    if (json_string_is(doc, value, SPAN("stop")))
        return true;
    *how = CONTACT_STOP_NONE;
    return json_string_is(doc, value, SPAN("resume"));
}

/* Who stops again is not answered again. Not known: no answer. */
static bool had_stopped(const struct item *item)
{
    struct contact_state *state = malloc(sizeof(*state));
    bool had = !state ||
               contact_read(item->owner->webhook->deps.contacts, id_of(item), state) != 0 ||
               contact_opted_out(state);
    if (state)
        sodium_memzero(state, sizeof(*state));
    free(state);
    return had;
}

static int change_stop(struct item *item, enum contact_stop how)
{
    item->stopped = how == CONTACT_STOP_WORD && policy_notice(item->channel->policy, "stop") &&
                    !had_stopped(item);
    const struct config_channel *channel = item->channel;
    const struct audit_event event = {.actor = "meta",
                                      .role = "contact",
                                      .channel = channel->name,
                                      .activity = policy_activity(channel->policy),
                                      .object = item->row.serial,
                                      .policy_hash = policy_hash(channel->policy)};
    int r = contact_stop(item->owner->webhook->deps.contacts, id_of(item), how, item->row.at_ms,
                         &event, &item->change);
    item->stopped = item->stopped && r == 0;
    return r == SLUIS_EEXIST ? 0 : r; /* late: a younger one stands */
}

/* Kinds of message that say something; the others say something about one. */
static bool is_greeting(struct span type)
{
    static const char *const types[] = {"text",        "image",   "video",    "audio",
                                        "document",    "sticker", "location", "contacts",
                                        "interactive", "button",  "order"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (span_is(type, types[i]))
            return true;
    return false;
}

static int gather(struct item *item, const struct json_doc *doc, const struct judged *judged)
{
    const struct mask_unit *u = &item->unit;
    const struct policy *policy = item->channel->policy;
    struct contacts *contacts = item->owner->webhook->deps.contacts;
    item->notices = u->kind == STORE_KIND_MESSAGE && policy_notice_at(policy, 0) &&
                    strcmp(u->field, "messages") == 0 && !span_is(u->type, "revoke") &&
                    (!item->change || item->stopped) && json_path(doc, 0, GROUP) == JSON_NONE;
    if (!item->notices)
        return 0;
    item->found = item->stopped ? 0 : judged->found;
    item->greets = !item->stopped && is_greeting(u->type);
    /* STOP is a word of every language: there the number tells. */
    bool abroad = u->contact.n && !span_starts(u->contact, SPAN("31")) &&
                  !span_starts(u->contact, SPAN("32"));
    item->english =
        contact_language(item->text, u->contact) == CONTACT_ENGLISH || (item->stopped && abroad);
    return policy_notice(policy, "first")
               ? contact_last_in(contacts, id_of(item), item->row.taken_ms, &item->before_ms)
               : 0;
}

int item_look_at_contact(struct item *item, const struct json_doc *doc, const struct judged *judged)
{
    enum contact_stop how;
    if (!item->owner->webhook->deps.contacts)
        return 0;
    if (policy_minds_consent(item->channel->policy))
        item->consents = contact_consents(item->owner->webhook->deps.contacts, id_of(item));
    int r = stop_of(item, doc, &how) ? change_stop(item, how) : 0;
    return r ? r : gather(item, doc, judged);
}

void item_tell_linked(const struct item *item)
{
    struct contacts *contacts = item->owner->webhook->deps.contacts;
    if (!contacts)
        return;
    for (unsigned i = 0; item->subject.links && i < item->subject.new_hashes; i++) {
        contact_linked(contacts, item->subject.rows[i].was);
        contact_linked(contacts, item->subject.serial);
    }
    if (item->linked) {
        contact_linked(contacts, item->linked->serial);
        contact_linked(contacts, item->subject.serial);
    }
}

void item_tell_contact(struct item *item)
{
    const struct webhook_deps *deps = &item->owner->webhook->deps;
    if (!deps->contacts || item->unit.kind != STORE_KIND_MESSAGE)
        return;
    contact_note_in(deps->contacts, id_of(item), item->row.at_ms);
    if (!item->notices || !deps->on_message)
        return;
    const struct webhook_message message = {.channel = item->channel,
                                            .subject = item->row.subject,
                                            .serial = item->row.serial,
                                            .contact = item->unit.contact,
                                            .user_id = item->unit.user_id,
                                            .found = item->found,
                                            .at_ms = item->row.at_ms,
                                            .before_ms = item->before_ms,
                                            .greets = item->greets,
                                            .stopped = item->stopped,
                                            .english = item->english};
    deps->on_message(deps->on_message_ctx, &message);
}

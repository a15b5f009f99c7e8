/*
 * What may go out, beyond what the text holds: by the sender's role, to this contact, now. Policy
 * decides; what is known of the contact comes from the contact room. While a policy observes, what
 * it would refuse is put on record and goes.
 */
#include "internal.h"

_Static_assert(POLICY_BASIS_CONSENT == 1 << CONTACT_CONSENT &&
                   POLICY_BASIS_CUSTOMER == 1 << CONTACT_CUSTOMER &&
                   POLICY_BASIS_CONTRACT == 1 << CONTACT_CONTRACT &&
                   POLICY_BASIS_TASK == 1 << CONTACT_TASK,
               "policy and contact count bases alike");

static const struct policy *policy_of(const struct call *call)
{
    return call->channel->policy;
}

/* Tools without a role of their own are known by the route they receive on. */
static const char *role_of(const struct call *call)
{
    if (call->principal.role[0])
        return call->principal.role;
    return call->route ? call->route->name : NULL;
}

static struct contact_id id_of(const struct call *call, const struct outbound *o)
{
    return (struct contact_id){call->channel->id, o->subject};
}

static int find_template(struct call *call, struct outbound *o)
{
    struct span name = SPAN_EMPTY;
    uint32_t node = json_get(&call->doc, 0, SPAN("template"));
    o->is_template =
        json_string_is(&call->doc, json_get(&call->doc, 0, SPAN("type")), SPAN("template"));
    node = json_get(&call->doc, node, SPAN("name"));
    if (!json_is(&call->doc, node, JSON_STRING))
        return 0;
    int r = json_string(&call->doc, node, &call->arena, &name);
    o->listed = r == 0 ? policy_template(policy_of(call), name) : NULL;
    return r;
}

/* A phone number is a person's, whatever the call says it is. */
static bool is_number(struct call *call, uint32_t node)
{
    struct span to;
    return !json_is(&call->doc, node, JSON_STRING) ||
           json_string(&call->doc, node, &call->arena, &to) != 0 || !to.n ||
           recipient_is_number(to);
}

int outbound_open(struct call *call, uint64_t subject, struct outbound *o)
{
    struct contacts *contacts = call->thread->graph->deps.contacts;
    int64_t now = clock_wall_ms();
    *o = (struct outbound){.subject = subject,
                           .role = role_of(call),
                           .observing = policy_observe(policy_of(call), now)};
    o->is_group = json_string_is(&call->doc, json_get(&call->doc, 0, SPAN("recipient_type")),
                                 SPAN("group")) &&
                  !is_number(call, json_get(&call->doc, 0, SPAN("to")));
    o->state = arena_try(&call->arena, sizeof(*o->state));
    if (!o->state)
        return SLUIS_ENOMEM;
    int r = contact_read(contacts, id_of(call, o), o->state);
    if (r == 0)
        r = contact_window(contacts, id_of(call, o), now, &o->window);
    return r ? r : find_template(call, o);
}

bool outbound_consents(const struct outbound *o)
{
    return !contact_opted_out(o->state) &&
           contact_basis_for(o->state, POLICY_BASIS_CONSENT, SPAN_EMPTY);
}

enum outbound_action outbound_action(const struct call *call, const struct outbound *o,
                                     unsigned type)
{
    const struct retention_facts facts = {.found = call->judged.found,
                                          .media = call->judged.has_media,
                                          .out = true,
                                          .channel = call->channel->name,
                                          .at_ms = clock_wall_ms(),
                                          .consent = outbound_consents(o)};
    /* With facts an observing policy lets go; without, it says what it would do at its strictest.
     */
    return policy_outbound_for(policy_of(call), o->role, o->observing ? NULL : &facts, type);
}

/* ---- attachments ---- */

static enum graph_error check_attachments(struct call *call, const struct outbound *o,
                                          const char **detail)
{
    static const char *const kinds[] = {"image",   "video",    "audio",   "document",
                                        "sticker", "location", "contacts"};
    for (uint32_t node = 0; node < call->doc.count; node++) {
        const struct json_node *v = json_node(&call->doc, node);
        struct span name;
        if (v->name_end == v->name_start || (v->kind != JSON_OBJECT && v->kind != JSON_ARRAY))
            continue;
        if (json_name(&call->doc, node, &call->arena, &name) != 0)
            return E_BUSY;
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
            if (span_is(name, kinds[i]) &&
                !policy_attachment_allowed(policy_of(call), o->role, kinds[i])) {
                *detail = kinds[i];
                return E_ATTACHMENT;
            }
        }
    }
    return E_COUNT;
}

/* ---- who begins ---- */

static enum policy_category category_of(const struct outbound *o)
{
    return o->listed ? o->listed->category : POLICY_CATEGORY_UNKNOWN;
}

static enum graph_error check_contact(struct call *call, const struct outbound *o,
                                      const char **detail)
{
    enum policy_category category = category_of(o);
    if (o->is_group) /* a group is nobody's inbox: Meta has its own rules for it */
        return E_COUNT;
    if (!o->is_template && o->window == CONTACT_CLOSED && policy_window(policy_of(call)))
        return E_WINDOW;
    /* Marketing needs its ground also in a conversation that the contact began. */
    if (o->is_template && o->window == CONTACT_OPEN && category != POLICY_CATEGORY_MARKETING)
        return E_COUNT;
    if (o->is_template && contact_opted_out(o->state))
        return E_OPTED_OUT;
    if (!o->is_template)
        category = POLICY_CATEGORY_SERVICE;
    unsigned needed = policy_consent_needed(policy_of(call), category);
    struct span purpose = o->listed ? span_str(o->listed->purpose) : SPAN_EMPTY;
    if (!needed || contact_basis_for(o->state, needed, purpose))
        return E_COUNT;
    *detail = policy_category_word(category);
    return E_BASIS;
}

enum graph_error outbound_check(struct call *call, const struct outbound *o, const char **detail)
{
    enum graph_error error = check_attachments(call, o, detail);
    return error == E_COUNT ? check_contact(call, o, detail) : error;
}

bool outbound_stands(struct call *call, const struct outbound *o, enum graph_error error)
{
    if (!o->observing)
        return true;
    call_record(call, AUDIT_REFUSE, "would_refuse", graph_code_of(error), 0, 0, 0);
    return false;
}

enum graph_error outbound_pace(struct call *call, struct outbound *o)
{
    struct policy_pace pace = policy_pace(policy_of(call));
    bool may = true;
    if (pace.messages == 0)
        return E_COUNT;
    int r = contact_pace_take(call->thread->graph->deps.contacts, id_of(call, o), pace.messages,
                              pace.per_s * 1000, clock_wall_ms(), &may);
    o->paced = r == 0 && may;
    if (r == SLUIS_ELIMIT)
        return E_BUSY;
    return r != 0 ? E_STORE : may ? E_COUNT : E_PACE;
}

void outbound_pace_done(struct call *call, struct outbound *o)
{
    if (o->paced)
        contact_pace_done(call->thread->graph->deps.contacts, id_of(call, o));
    o->paced = false;
}

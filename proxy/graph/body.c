/*
 * What a body of POST /{phone}/messages may hold. Graph takes top-level members of a JSON body for
 * parameters, "method" and "access_token" among them, and a string where it expects an object for
 * that object's JSON text: so members pass by name and in their own kind only.
 */
#include "internal.h"

enum member_kind { TEXT, OBJECT, LIST, FLAG };

struct member {
    const char *name;
    enum member_kind kind;
};

static const struct member message_members[] = {
    {"messaging_product", TEXT},
    {"recipient_type", TEXT},
    {"to", TEXT},
    {"recipient", TEXT},
    {"recipient_identity_key_hash", TEXT},
    {"context", OBJECT},
    {"biz_opaque_callback_data", TEXT},
    {"type", TEXT},
    {"text", OBJECT},
    {"image", OBJECT},
    {"video", OBJECT},
    {"audio", OBJECT},
    {"document", OBJECT},
    {"sticker", OBJECT},
    {"template", OBJECT},
    {"interactive", OBJECT},
    {"reaction", OBJECT},
    {"location", OBJECT},
    {"contacts", LIST},
    {"pin", OBJECT},
    {"preview_url", FLAG},
    {"product_policy", TEXT},
    {"message_activity_sharing", FLAG},
    {NULL, TEXT},
};

/* Mark-as-read and typing are no messages: nothing a message could stand in. */
static const struct member mark_members[] = {
    {"messaging_product", TEXT},
    {"status", TEXT},
    {"message_id", TEXT},
    {"recipient_type", TEXT},
    {"to", TEXT},
    {"typing_indicator", OBJECT},
    {NULL, TEXT},
};

static bool has_kind(const struct json_doc *doc, uint32_t node, enum member_kind want)
{
    enum json_kind kind = json_kind(doc, node);
    switch (want) {
    case OBJECT:
        return kind == JSON_OBJECT || kind == JSON_NULL;
    case LIST:
        return kind == JSON_ARRAY || kind == JSON_NULL;
    case FLAG:
        return kind != JSON_OBJECT && kind != JSON_ARRAY;
    default:
        return kind == JSON_STRING || kind == JSON_NULL;
    }
}

static const struct member *find_member(const struct json_doc *doc, uint32_t node,
                                        const struct member *members)
{
    const struct json_node *v = json_node(doc, node);
    struct span name = span_sub(doc->text, v->name_start, v->name_end);
    /* None of these names needs an escape: who writes one so is not on the list. */
    for (; members->name; members++)
        if (span_is(name, members->name))
            return members;
    return NULL;
}

const char *body_bad_member(const struct json_doc *doc, bool mark)
{
    const struct member *members = mark ? mark_members : message_members;
    for (uint32_t node = json_first(doc, 0); node != JSON_NONE; node = json_next(doc, node)) {
        const struct member *m = find_member(doc, node, members);
        if (!m)
            return "not on the list of this call";
        if (!has_kind(doc, node, m->kind))
            return "not of the right kind";
    }
    uint32_t typing = mark ? json_get(doc, 0, SPAN("typing_indicator")) : JSON_NONE;
    for (uint32_t node = json_first(doc, typing); node != JSON_NONE; node = json_next(doc, node)) {
        static const struct member typing_members[] = {{"type", TEXT}, {NULL, TEXT}};
        if (!find_member(doc, node, typing_members))
            return "not on the list of this call";
    }
    return NULL;
}

/* ---- media ---- */

static bool is_media_name(struct span name)
{
    static const char *const names[] = {"image", "video", "audio", "document", "sticker", "gif"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (span_is(name, names[i]))
            return true;
    return false;
}

/* A flow's data are the organisation's own: "image" may be a text or a picture's bytes there. */
static bool in_flow_data(const struct json_doc *doc, const struct json_node *v)
{
    while (v->parent != JSON_NONE) {
        v = json_node(doc, v->parent);
        struct span name = span_sub(doc->text, v->name_start, v->name_end);
        if (span_is(name, "flow_action_payload") || span_is(name, "flow_action_data"))
            return true;
    }
    return false;
}

bool body_in_media(struct call *call, uint32_t object)
{
    const struct json_node *v = json_node(&call->doc, object);
    struct span name;
    if (v->name_end == v->name_start && v->parent != JSON_NONE)
        v = json_node(&call->doc, v->parent); /* one of a list */
    return v->name_end > v->name_start &&
           json_name(&call->doc, (uint32_t)(v - call->doc.nodes), &call->arena, &name) == 0 &&
           is_media_name(name);
}

static enum graph_error check_object(struct call *call, uint32_t node)
{
    struct span id;
    if (json_get(&call->doc, node, SPAN("link")) != JSON_NONE)
        return E_LINK;
    if (!call->channel->media_pass)
        return E_MEDIA;
    uint32_t at = json_get(&call->doc, node, SPAN("id"));
    if (at == JSON_NONE)
        return E_COUNT;
    if (json_string(&call->doc, at, &call->arena, &id) != 0 ||
        !media_known(call, call->channel, id))
        return E_OBJECT;
    return E_COUNT;
}

static enum graph_error check_node(struct call *call, uint32_t node)
{
    const struct json_node *v = json_node(&call->doc, node);
    struct span name;
    if (v->name_end == v->name_start)
        return E_COUNT;
    if (json_name(&call->doc, node, &call->arena, &name) != 0)
        return E_BUSY;
    if (!is_media_name(name))
        return E_COUNT;
    if (v->kind == JSON_OBJECT)
        return check_object(call, node);
    if (v->kind == JSON_ARRAY) {
        for (uint32_t i = v->child; i != JSON_NONE; i = json_next(&call->doc, i)) {
            enum graph_error e = check_object(call, i);
            if (e != E_COUNT)
                return e;
        }
        return E_COUNT;
    }
    if (v->kind != JSON_STRING)
        return E_COUNT;
    if (!call->channel->media_pass)
        return E_MEDIA;
    return in_flow_data(&call->doc, v) ? E_COUNT : E_BODY;
}

enum graph_error body_check_media(struct call *call)
{
    for (uint32_t node = 0; node < call->doc.count; node++) {
        enum graph_error e = check_node(call, node);
        if (e != E_COUNT)
            return e;
    }
    return E_COUNT;
}

/* ---- links and templates ---- */

/* Members of the message that its reader never sees. Within a flow's data, names mean nothing. */
static bool is_unseen(const struct json_doc *doc, const struct json_node *v)
{
    static const char *const top[] = {"messaging_product",
                                      "recipient_type",
                                      "to",
                                      "recipient",
                                      "type",
                                      "biz_opaque_callback_data",
                                      "recipient_identity_key_hash"};
    struct span name = span_sub(doc->text, v->name_start, v->name_end);
    if (span_is(name, "message_id") || span_is(name, "flow_token"))
        return !in_flow_data(doc, v);
    bool found = false;
    for (size_t i = 0; i < sizeof(top) / sizeof(top[0]); i++)
        found |= span_is(name, top[i]);
    return found && v->parent == 0;
}

static const char *keep_detail(struct call *call, struct span text)
{
    const char *kept = arena_try_str(&call->arena, text);
    return kept ? kept : "";
}

static enum graph_error check_template(struct call *call, const char **detail)
{
    uint32_t node = json_get(&call->doc, 0, SPAN("template"));
    struct span name = SPAN_EMPTY;
    if (node == JSON_NONE)
        return E_COUNT;
    node = json_get(&call->doc, node, SPAN("name"));
    if (json_is(&call->doc, node, JSON_STRING) &&
        json_string(&call->doc, node, &call->arena, &name) != 0)
        return E_BUSY;
    if (policy_template_allowed(call->channel->policy, name))
        return E_COUNT;
    *detail = "outbound.templates";
    return E_TEMPLATE;
}

enum graph_error body_check_outbound(struct call *call, const char **detail)
{
    char host[POLICY_HOST_MAX];
    for (uint32_t node = 0; node < call->doc.count; node++) {
        struct span text;
        const struct json_node *v = json_node(&call->doc, node);
        if (v->kind != JSON_STRING || is_unseen(&call->doc, v))
            continue;
        if (json_string(&call->doc, node, &call->arena, &text) != 0)
            return E_BUSY;
        if (!policy_links_allowed(call->channel->policy, text, host, sizeof(host))) {
            *detail = keep_detail(call, span_str(host));
            return E_DOMAIN;
        }
    }
    return check_template(call, detail);
}

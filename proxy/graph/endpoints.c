/*
 * The allow-list: what is not a row is refused. Graph merges query, form and JSON and honours
 * method=, batch=, ids= and callback= (whatsapp 0.19): parameters pass by name only.
 */
#include "internal.h"

#include "sluis/history.h"

static const char *const none[] = {NULL};
static const char *const fields[] = {"fields", NULL};
static const char *const paged[] = {"fields", "limit", "after", "before", NULL};
static const char *const templates[] = {"fields", "limit",    "after",    "before", "name",
                                        "status", "language", "category", NULL};
static const char *const media[] = {"phone_number_id", NULL};

/* What `fields` may name: facts of the object itself. Graph takes the name of an edge for a field
 * too and answers with what is behind it (subscribed_apps, assigned_users). Those that libraries
 * ask for (Chatwoot's health check) and that Meta's reference lists as scalars. */
static const char *const phone_fields[] = {"id",
                                           "verified_name",
                                           "new_name_status",
                                           "display_phone_number",
                                           "quality_rating",
                                           "quality_score",
                                           "code_verification_status",
                                           "name_status",
                                           "messaging_limit_tier",
                                           "platform_type",
                                           "throughput",
                                           "account_mode",
                                           "is_official_business_account",
                                           "is_on_biz_app",
                                           "is_pin_enabled",
                                           "is_preverified_number",
                                           "last_onboarded_time",
                                           "health_status",
                                           "host_platform",
                                           "search_visibility",
                                           "status",
                                           "certificate",
                                           "new_certificate",
                                           "eligibility_for_api_business_global_search",
                                           "webhook_configuration",
                                           NULL};
static const char *const profile_fields[] = {
    "about",    "address",  "description",       "email", "profile_picture_url",
    "websites", "vertical", "messaging_product", NULL};
static const char *const waba_fields[] = {"id",
                                          "name",
                                          "currency",
                                          "country",
                                          "timezone_id",
                                          "status",
                                          "message_template_namespace",
                                          "account_review_status",
                                          "business_verification_status",
                                          "health_status",
                                          "is_enabled_for_insights",
                                          "ownership_type",
                                          NULL};
static const char *const template_fields[] = {"id",
                                              "name",
                                              "status",
                                              "category",
                                              "previous_category",
                                              "sub_category",
                                              "correct_category",
                                              "language",
                                              "components",
                                              "quality_score",
                                              "rejected_reason",
                                              "parameter_format",
                                              "message_send_ttl_seconds",
                                              "cta_url_link_tracking_opted_out",
                                              "library_template_name",
                                              "last_updated_time",
                                              NULL};
static const char *const app_fields[] = {"id", "name", "whatsapp_business_api_data", NULL};

/* What each row of PERMISSION_TOOLS (sluis/access/table.h) does, by its id: parameters, the largest
 * body, whether it sends media, the handler, what `fields` may name. */
#define ENDPOINT_PHONE_MESSAGES_POST none, GRAPH_JSON_MAX, false, handle_messages, NULL
#define ENDPOINT_PHONE_MEDIA_POST none, GRAPH_UPLOAD_MAX, true, handle_media_upload, NULL
#define ENDPOINT_PHONE_ITSELF_GET fields, 0, false, handle_forward, phone_fields
#define ENDPOINT_PHONE_WHATSAPP_BUSINESS_PROFILE_GET                                               \
    fields, 0, false, handle_forward, profile_fields
#define ENDPOINT_WABA_ITSELF_GET fields, 0, false, handle_forward, waba_fields
#define ENDPOINT_WABA_MESSAGE_TEMPLATES_GET templates, 0, false, handle_forward, template_fields
#define ENDPOINT_WABA_PHONE_NUMBERS_GET paged, 0, false, handle_forward, phone_fields
#define ENDPOINT_MEDIA_ITSELF_GET media, 0, true, handle_media_get, NULL
#define ENDPOINT_MEDIA_BYTES_GET none, 0, true, handle_media_bytes, NULL
#define ENDPOINT_MEDIA_ITSELF_DELETE media, 0, true, handle_media_delete, NULL
/* set-up: answered here, never forwarded (whatsapp section 7) */
#define ENDPOINT_WABA_SUBSCRIBED_APPS_GET paged, 0, false, handle_subscribed_get, app_fields
#define ENDPOINT_WABA_SUBSCRIBED_APPS_POST none, GRAPH_JSON_MAX, false, handle_setup, NULL
#define ENDPOINT_WABA_SUBSCRIBED_APPS_DELETE none, GRAPH_JSON_MAX, false, handle_setup, NULL
#define ENDPOINT_PHONE_REGISTER_POST none, GRAPH_JSON_MAX, false, handle_setup, NULL
#define ENDPOINT_PHONE_DEREGISTER_POST none, GRAPH_JSON_MAX, false, handle_setup, NULL
#define ENDPOINT_PHONE_ITSELF_POST none, GRAPH_JSON_MAX, false, handle_phone_post, NULL
/* /sluis/v1/history/...: not Graph's, masked as the tool's own route is */
#define ENDPOINT_HISTORY_CONVERSATIONS_POST none, HISTORY_BODY_MAX, false, handle_history, NULL
#define ENDPOINT_HISTORY_MESSAGES_POST none, HISTORY_BODY_MAX, false, handle_history, NULL
#define ENDPOINT_HISTORY_TAG_POST none, HISTORY_BODY_MAX, false, handle_history, NULL
#define ENDPOINT_HISTORY_NOTE_POST none, HISTORY_BODY_MAX, false, handle_history, NULL
#define ENDPOINT_CONTACT_CONSENT_POST none, CONSENT_BODY_MAX, false, handle_consent, NULL
#define ENDPOINT_CONTACT_LIST_POST none, CONSENT_BODY_MAX, false, handle_consent_list, NULL

#define OBJECT_phone OBJECT_PHONE
#define OBJECT_waba OBJECT_WABA
#define OBJECT_media OBJECT_MEDIA
#define OBJECT_history OBJECT_HISTORY
#define OBJECT_contact OBJECT_CONTACT
static const struct endpoint endpoints[PERMISSION_TOOL_COUNT] = {
#define X(id, method, object, edge, ...)                                                           \
    [PERMISSION_TOOL_##id] = {HTTP_##method, OBJECT_##object, edge, ENDPOINT_##id},
    PERMISSION_TOOLS(X)
#undef X
};

uint32_t endpoint_right(const struct endpoint *endpoint)
{
    return permission_tool((unsigned)(endpoint - endpoints))->right;
}

static bool is_digits(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0 && s.n <= GRAPH_ID_MAX;
}

/* "v24.0" */
static bool is_version(struct span s)
{
    size_t dot = span_find(s, '.');
    return s.n >= 4 && s.n < 12 && s.p[0] == 'v' && dot > 1 && dot + 1 < s.n &&
           is_digits(span_sub(s, 1, dot)) && is_digits(span_from(s, dot + 1));
}

/* Channels of other principals are not seen at all. */
static enum object find_object(const struct config *config, const struct principal *principal,
                               struct span id, const struct config_channel **channel)
{
    *channel = NULL;
    for (size_t i = 0; i < config->channel_count; i++) {
        const struct config_channel *c = &config->channels[i];
        if (!principal_may_use(principal, c->id))
            continue;
        bool phone = span_is(id, c->phone_number_id);
        if (phone || span_is(id, c->waba_id)) {
            *channel = c;
            return phone ? OBJECT_PHONE : OBJECT_WABA;
        }
        if (!*channel || (c->media_pass && !(*channel)->media_pass))
            *channel = c; /* media.c finds out which one knows the id */
    }
    return *channel ? OBJECT_MEDIA : OBJECT_NONE;
}

static const struct endpoint *find_row(enum object object, struct span edge,
                                       enum http_method method, enum graph_error *error)
{
    *error = E_ENDPOINT;
    if (method == HTTP_HEAD)
        method = HTTP_GET;
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        const struct endpoint *e = &endpoints[i];
        if (e->object != object || !span_is(edge, e->edge))
            continue;
        if (e->method == method)
            return e;
        *error = E_METHOD;
    }
    return NULL;
}

const struct endpoint *endpoint_find(const struct config *config, const struct principal *principal,
                                     enum http_method method, const struct http_path *path,
                                     struct call *call, enum graph_error *error)
{
    if (path->count == 4 && span_is(path->segments[0], "sluis") &&
        span_is(path->segments[1], "v1") && span_is(path->segments[2], "history"))
        return find_row(OBJECT_HISTORY, path->segments[3], method, error);
    if ((path->count == 3 || (path->count == 4 && span_is(path->segments[3], "list"))) &&
        span_is(path->segments[0], "sluis") && span_is(path->segments[1], "v1") &&
        span_is(path->segments[2], "consent"))
        return find_row(OBJECT_CONTACT, path->segments[path->count - 1], method, error);
    unsigned at = 0;
    struct span version = SPAN(GRAPH_VERSION_DEFAULT), edge = SPAN_EMPTY;
    if (path->count && is_version(path->segments[0]))
        version = path->segments[at++];
    *error = E_ENDPOINT;
    bool bytes = path->count == 3 && span_is(path->segments[0], "sluis") &&
                 span_is(path->segments[1], "media");
    if (bytes) /* our own address of media: /sluis/media/{id} */
        at = 2;
    if (at >= path->count || path->count - at > 2 || !is_digits(path->segments[at]))
        return NULL;
    struct span id = path->segments[at];
    if (path->count - at == 2)
        edge = path->segments[at + 1];
    if (bytes)
        edge = SPAN("bytes");
    enum object object = find_object(config, principal, id, &call->channel);
    *error = E_OBJECT;
    if (object == OBJECT_NONE || (object == OBJECT_MEDIA && edge.n && !bytes) ||
        (bytes && object != OBJECT_MEDIA))
        return NULL;
    memcpy(call->id, id.p, id.n);
    memcpy(call->version, version.p, version.n);
    *error = E_ENDPOINT;
    return find_row(object, edge, method, error);
}

static bool is_listed(const char *const *list, struct span name)
{
    for (; list && *list; list++)
        if (span_is(name, *list))
            return true;
    return false;
}

/* "id, name,quality_rating": names of the list. Braces, dots and brackets walk on to other edges,
 * past the list of endpoints, and so does the bare name of an edge. */
static bool good_fields(const struct endpoint *endpoint, struct span value)
{
    struct span rest = value;
    for (;;) {
        size_t end = span_find(rest, ',');
        struct span name = span_sub(rest, 0, end);
        while (name.n && name.p[0] == ' ')
            name = span_from(name, 1);
        while (name.n && name.p[name.n - 1] == ' ')
            name.n--;
        if (!is_listed(endpoint->fields, name))
            return false;
        if (end >= rest.n)
            return true;
        rest = span_from(rest, end + 1);
    }
}

const char *endpoint_bad_parameter(const struct endpoint *endpoint,
                                   const struct http_parameter *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (!span_is(list[i].name, "access_token") &&
            !is_listed(endpoint->parameters, list[i].name))
            return "not on the list of this call";
        if (span_is(list[i].name, "fields") && !good_fields(endpoint, list[i].value))
            return "fields: a name that is not on the list of this call";
        for (unsigned k = 0; k < i; k++)
            if (span_eq(list[k].name, list[i].name))
                return "given twice";
    }
    return NULL;
}

/*
 * The allow-list: what is not a row is refused. Graph merges query, form and JSON and honours
 * method=, batch=, ids= and callback= (whatsapp 0.19): parameters pass by name only.
 */
#include "internal.h"

static const char *const none[] = {NULL};
static const char *const fields[] = {"fields", NULL};
static const char *const paged[] = {"fields", "limit", "after", "before", NULL};
static const char *const templates[] = {"fields", "limit",    "after",    "before", "name",
                                        "status", "language", "category", NULL};
static const char *const media[] = {"phone_number_id", NULL};

static const struct endpoint endpoints[] = {
    {HTTP_POST, OBJECT_PHONE, "messages", none, GRAPH_JSON_MAX, false, handle_messages},
    {HTTP_POST, OBJECT_PHONE, "media", none, GRAPH_UPLOAD_MAX, true, handle_media_upload},
    {HTTP_GET, OBJECT_PHONE, "", fields, 0, false, handle_forward},
    {HTTP_GET, OBJECT_PHONE, "whatsapp_business_profile", fields, 0, false, handle_forward},
    {HTTP_GET, OBJECT_WABA, "", fields, 0, false, handle_forward},
    {HTTP_GET, OBJECT_WABA, "message_templates", templates, 0, false, handle_forward},
    {HTTP_GET, OBJECT_WABA, "phone_numbers", paged, 0, false, handle_forward},
    {HTTP_GET, OBJECT_MEDIA, "", media, 0, true, handle_media_get},
    {HTTP_GET, OBJECT_MEDIA, "bytes", none, 0, true, handle_media_bytes},
    {HTTP_DELETE, OBJECT_MEDIA, "", media, 0, true, handle_media_delete},
    /* set-up: answered here, never forwarded (whatsapp section 7) */
    {HTTP_GET, OBJECT_WABA, "subscribed_apps", paged, 0, false, handle_subscribed_get},
    {HTTP_POST, OBJECT_WABA, "subscribed_apps", none, GRAPH_JSON_MAX, false, handle_setup},
    {HTTP_DELETE, OBJECT_WABA, "subscribed_apps", none, GRAPH_JSON_MAX, false, handle_setup},
    {HTTP_POST, OBJECT_PHONE, "register", none, GRAPH_JSON_MAX, false, handle_setup},
    {HTTP_POST, OBJECT_PHONE, "deregister", none, GRAPH_JSON_MAX, false, handle_setup},
    {HTTP_POST, OBJECT_PHONE, "", none, GRAPH_JSON_MAX, false, handle_phone_post},
};

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

const struct endpoint *endpoint_find(const struct config *config, const struct principal *principal,
                                     enum http_method method, const struct http_path *path,
                                     struct call *call, enum graph_error *error)
{
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

/* "id,name,quality_rating". Braces, dots and brackets of `fields` walk on to other edges, past the
 * list of endpoints. */
static bool plain_fields(struct span value)
{
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == ',' || c == ' '))
            return false;
    }
    return true;
}

const char *endpoint_bad_parameter(const struct endpoint *endpoint,
                                   const struct http_parameter *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        bool allowed = span_is(list[i].name, "access_token");
        for (const char *const *name = endpoint->parameters; *name && !allowed; name++)
            allowed = span_is(list[i].name, *name);
        if (!allowed)
            return "not on the list of this call";
        if (span_is(list[i].name, "fields") && !plain_fields(list[i].value))
            return "fields: names only";
        for (unsigned k = 0; k < i; k++)
            if (span_eq(list[k].name, list[i].name))
                return "given twice";
    }
    return NULL;
}

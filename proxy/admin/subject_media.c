/* The pictures and files in an export of what is kept of a person (art. 15 and 20): what tools were
 * served of them, since nothing else is stored. */
#include "internal.h"

#include "sluis/base/encode.h"

#include <stdlib.h>

#define SCAN_ARENA (256u * 1024 * 1024)

static const char *const kinds[] = {"image", "sticker", "document", "audio", "video"};

struct collect {
    struct admin_request *r;
    const struct json_doc *doc;
    struct arena arena;
    const struct config *config;
    uint16_t channel;
    struct buffer *out;
    unsigned n;
};

static void add_bytes(struct buffer *out, struct span bytes)
{
    char *text = malloc(BASE64_LEN(bytes.n) + 1);
    if (!text) {
        out->error = SLUIS_ENOMEM;
        return;
    }
    base64_encode((const uint8_t *)bytes.p, bytes.n, text);
    buffer_add_char(out, '"');
    buffer_add(out, span_of(text, BASE64_LEN(bytes.n)));
    buffer_add_char(out, '"');
    free(text);
}

static void add_item(struct collect *c, struct span id)
{
    struct media_item item;
    struct buffer bytes;
    char hex[65];
    buffer_init(&bytes, MEDIA_BYTES_MAX);
    int r = media_read(c->r->admin->deps.media, c->channel, id, &item, &bytes);
    if (r != SLUIS_ENOENT) {
        buffer_addf(c->out, "%s{\"id\":", c->n++ ? "," : "");
        json_quote(c->out, id);
        if (r != 0) {
            buffer_addf(c->out, ",\"bytes\":null,\"why\":\"%s\"}", error_word(r));
        } else if (item.state != MEDIA_READY) {
            buffer_addf(c->out, ",\"bytes\":null,\"why\":\"%s\"}", media_reason_word(item.reason));
        } else {
            hex_encode(item.sha256, sizeof(item.sha256), hex);
            buffer_add(c->out, SPAN(",\"mime_type\":"));
            json_quote(c->out, span_str(item.mime_type));
            buffer_addf(c->out, ",\"sha256\":\"%s\",\"covered\":%s,\"bytes\":", hex,
                        item.covered ? "true" : "false");
            if (BASE64_LEN(bytes.n) + ADMIN_BODY_MAX > c->out->max - c->out->n)
                buffer_add(c->out, SPAN("null,\"why\":\"too_large\""));
            else
                add_bytes(c->out, buffer_span(&bytes));
            buffer_add_char(c->out, '}');
        }
    }
    buffer_free(&bytes);
}

/* Every object of media below a value, wherever it stands. Depth is bounded by the scanner. */
static void collect(struct collect *c, uint32_t node)
{
    for (uint32_t i = json_first(c->doc, node); i != JSON_NONE && !c->out->error;
         i = json_next(c->doc, i)) {
        struct span name = SPAN_EMPTY, id;
        uint32_t at = json_is(c->doc, i, JSON_OBJECT) ? json_get(c->doc, i, SPAN("id")) : JSON_NONE;
        if (json_is(c->doc, node, JSON_OBJECT) && json_name(c->doc, i, &c->arena, &name) != 0)
            c->out->error = SLUIS_ENOMEM;
        for (size_t k = 0; at != JSON_NONE && k < sizeof(kinds) / sizeof(kinds[0]); k++)
            if (span_is(name, kinds[k]) && json_is(c->doc, at, JSON_STRING) &&
                json_string(c->doc, at, &c->arena, &id) == 0)
                add_item(c, id);
        if (json_is(c->doc, i, JSON_OBJECT) || json_is(c->doc, i, JSON_ARRAY))
            collect(c, i);
    }
}

static void collect_message(struct collect *c, uint32_t message)
{
    struct span name;
    char text[CONFIG_NAME_MAX + 1];
    uint32_t original = json_get(c->doc, message, SPAN("original"));
    if (json_string(c->doc, json_get(c->doc, message, SPAN("channel")), &c->arena, &name) != 0 ||
        name.n > CONFIG_NAME_MAX)
        return;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    const struct config_channel *channel = config_channel(c->config, text);
    if (!channel)
        return;
    c->channel = channel->id;
    if (!json_is(c->doc, original, JSON_OBJECT))
        original = json_get(c->doc, message, SPAN("history"));
    if (json_is(c->doc, original, JSON_OBJECT))
        collect(c, original);
}

int subject_add_media(struct admin_request *r, struct buffer *export)
{
    struct json_doc doc;
    struct buffer list;
    if (!r->admin->deps.media || export->n == 0 || export->p[export->n - 1] != '}')
        return export->error;
    struct collect c = {.r = r, .doc = &doc, .out = &list};
    arena_init(&c.arena, SCAN_ARENA);
    buffer_init(&list, export->max - export->n);
    c.config = config_acquire(r->admin->deps.config);
    int result = json_scan(&doc, buffer_span(export), &c.arena, NULL);
    uint32_t messages = result == 0 ? json_get(&doc, 0, SPAN("messages")) : JSON_NONE;
    for (uint32_t i = messages == JSON_NONE ? JSON_NONE : json_first(&doc, messages);
         i != JSON_NONE && !list.error; i = json_next(&doc, i))
        collect_message(&c, i);
    if (result == 0)
        result = list.error;
    if (result == 0) {
        export->n--; /* the closing brace */
        buffer_add(export, SPAN(",\"media\":["));
        buffer_add(export, buffer_span(&list));
        buffer_add(export, SPAN("]}"));
        result = export->error;
    }
    config_unref((struct config *)c.config);
    buffer_free(&list);
    arena_free(&c.arena);
    return result;
}

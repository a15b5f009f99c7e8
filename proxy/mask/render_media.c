/* Rendering: media objects, their addresses, and media inside contact cards. */
#include "render.h"

#include "inner.h"
#include "media.h"
#include "sluis/base/encode.h"
#include "vcard.h"

/* What stands for a media object: our line, then its caption, masked. With quotes. */
void render_media_line(struct render *r, uint32_t media)
{
    const struct json_doc *doc = r->doc;
    struct span name =
        span_sub(doc->text, doc->nodes[media].name_start, doc->nodes[media].name_end);
    uint32_t caption = json_get(doc, media, SPAN("caption"));
    bool voice = json_is(doc, json_get(doc, media, SPAN("voice")), JSON_TRUE);
    buffer_add_char(&r->text, '"');
    if (r->reader->expired)
        buffer_add(&r->text, SPAN(MASK_EXPIRED_TEXT " "));
    if (r->reader->unjudged) {
        render_hidden(r);
    } else {
        media_line(name, voice, render_media_of(r, media), &r->text);
        if (json_is(doc, caption, JSON_STRING) && json_inner(doc, caption).n) {
            const struct json_node *v = &doc->nodes[caption];
            size_t n;
            const struct mask_finding *f = render_take(r, v->start, v->end, &n);
            buffer_add_char(&r->text, ' ');
            render_masked(r, v->start + 1, v->end - 1, f, n);
        }
    }
    buffer_add_char(&r->text, '"');
}

/* May media called `name`, which nobody looked into, not pass to this reader? */
static bool kind_withheld(const struct render *r, struct span name)
{
    enum policy_media_kind kind = POLICY_MEDIA_UNKNOWN;
    if (r->withhold || !r->reader->route)
        return r->withhold;
    if (span_is(name, "document"))
        kind = POLICY_MEDIA_DOCUMENT;
    else if (span_is(name, "audio"))
        kind = POLICY_MEDIA_AUDIO;
    else if (span_is(name, "video"))
        kind = POLICY_MEDIA_VIDEO;
    return policy_route_media(r->reader->policy, r->reader->route, kind) != MEDIA_PASS;
}

const struct mask_media *render_media_of(struct render *r, uint32_t node)
{
    const struct mask_reader *reader = r->reader;
    const struct json_node *v = &r->doc->nodes[node];
    struct span name, id;
    if (r->media == node)
        return &r->of;
    memset(&r->of, 0, sizeof(r->of)); /* withheld */
    r->media = node;
    if (r->withhold)
        return &r->of;
    if (!reader->media_of) {
        name = span_sub(r->doc->text, v->name_start, v->name_end);
        r->of.state = kind_withheld(r, name) ? MASK_MEDIA_WITHHELD : MASK_MEDIA_PASSED;
        return &r->of;
    }
    uint32_t at = json_get(r->doc, node, SPAN("id"));
    if (!json_is(r->doc, at, JSON_STRING) || json_string(r->doc, at, r->arena, &id) != 0 ||
        reader->media_of(reader->media_ctx, id, &r->of) != 0)
        memset(&r->of, 0, sizeof(r->of));
    return &r->of;
}

bool render_withheld(struct render *r, uint32_t node, const struct path_row *row)
{
    return r->table == MASK_TABLE_WEBHOOK && row && row->flags & PATH_MEDIA &&
           json_is(r->doc, node, JSON_OBJECT) &&
           render_media_of(r, node)->state == MASK_MEDIA_WITHHELD;
}

static void add_line(struct render *r, uint32_t node)
{
    const struct json_node *v = &r->doc->nodes[node];
    bool voice = json_is(r->doc, json_get(r->doc, node, SPAN("voice")), JSON_TRUE);
    media_line(span_sub(r->doc->text, v->name_start, v->name_end), voice, &r->of, &r->text);
}

void render_media_begin(struct render *r, uint32_t node)
{
    enum mask_media_state state = render_media_of(r, node)->state;
    const struct json_node *v = &r->doc->nodes[node];
    if ((state != MASK_MEDIA_WAITING && state != MASK_MEDIA_COVERED) || v->child == JSON_NONE ||
        json_is(r->doc, json_get(r->doc, node, SPAN("caption")), JSON_STRING))
        return;
    buffer_add_str(&r->text, "\"caption\":\"");
    if (r->reader->expired)
        buffer_add(&r->text, SPAN(MASK_EXPIRED_TEXT " "));
    add_line(r, node);
    buffer_add_str(&r->text, "\",");
    render_edit_text(r, v->start + 1, v->start + 1);
}

static void render_caption(struct render *r, uint32_t member)
{
    const struct json_node *v = &r->doc->nodes[member];
    size_t n;
    const struct mask_finding *f = render_take(r, v->start, v->end, &n);
    if (member == r->marked)
        buffer_add(&r->text, SPAN(MASK_EXPIRED_TEXT " "));
    add_line(r, v->parent);
    if (v->end - v->start > 2) {
        buffer_add_char(&r->text, ' ');
        render_masked(r, v->start + 1, v->end - 1, f, n);
    }
    render_edit_text(r, v->start + 1, v->end - 1);
}

enum media_member render_media_member(struct render *r, uint32_t member)
{
    const struct json_node *v = &r->doc->nodes[member];
    struct span name = span_sub(r->doc->text, v->name_start, v->name_end);
    const struct mask_media *of = &r->of;
    char hash[BASE64_LEN(32) + 1];
    if (!r->reader->media_of) /* as it came */
        return MEMBER_AS_IT_IS;
    if (span_is(name, "file_size"))
        return MEMBER_DROPPED;
    if (span_is(name, "sha256")) {
        if (!of->has_sha256)
            return MEMBER_DROPPED;
        base64_encode(of->sha256, sizeof(of->sha256), hash);
        buffer_addf(&r->text, "\"%s\"", hash);
        render_edit_text(r, v->start, v->end);
        return MEMBER_DONE;
    }
    if (span_is(name, "mime_type") && of->mime_type.n) {
        buffer_add_char(&r->text, '"');
        json_escape(&r->text, of->mime_type);
        buffer_add_char(&r->text, '"');
        render_edit_text(r, v->start, v->end);
        return MEMBER_DONE;
    }
    if (span_is(name, "caption") && v->kind == JSON_STRING &&
        (of->state == MASK_MEDIA_WAITING || of->state == MASK_MEDIA_COVERED)) {
        render_caption(r, member);
        return MEMBER_DONE;
    }
    return MEMBER_AS_IT_IS;
}

/* The media member of a message that becomes a text message; JSON_NONE when none does. */
uint32_t render_becomes_text(struct render *r, uint32_t object, const struct path_list *list)
{
    uint32_t type = json_get(r->doc, object, SPAN("type"));
    if (!list || !json_is(r->doc, type, JSON_STRING) ||
        json_get(r->doc, object, SPAN("text")) != JSON_NONE)
        return JSON_NONE;
    uint32_t media = json_get(r->doc, object, json_inner(r->doc, type));
    if (media == JSON_NONE || !render_withheld(r, media, paths_find(list, r->doc, media)))
        return JSON_NONE;
    return media;
}

bool render_media_address(struct render *r, uint32_t node, const struct path_row *row)
{
    struct span text;
    if (json_kind(r->doc, node) >= JSON_OBJECT || json_is(r->doc, node, JSON_NULL))
        return false;
    if (row)
        return path_leaf_kind(row) == MASK_MEDIA_URL;
    if (!json_is(r->doc, node, JSON_STRING))
        return false;
    if (json_string(r->doc, node, r->arena, &text) != 0) {
        render_fail(r, SLUIS_ENOMEM);
        return true;
    }
    return media_is_url(text);
}

/* Rewrites an address of media to the gateway's own; false when it must go. */
bool render_own_address(struct render *r, uint32_t node, const struct path_row *row)
{
    uint32_t id = json_get(r->doc, r->doc->nodes[node].parent, SPAN("id"));
    struct span text, base = span_str(r->reader->media_base);
    uint32_t object = r->doc->nodes[node].parent;
    bool waits = row && r->reader->media_of && object != JSON_NONE &&
                 render_media_of(r, object)->state == MASK_MEDIA_WAITING;
    if (!row || r->withhold || waits || base.n == 0 || !json_is(r->doc, id, JSON_STRING) ||
        json_string(r->doc, id, r->arena, &text) != 0 || !media_id_safe(text))
        return false;
    buffer_add_char(&r->text, '"');
    json_escape(&r->text, base);
    if (base.p[base.n - 1] != '/')
        buffer_add_char(&r->text, '/');
    buffer_add(&r->text, text);
    buffer_add_char(&r->text, '"');
    render_edit_text(r, r->doc->nodes[node].start, r->doc->nodes[node].end);
    return true;
}

/* The findings of a contact card together with the media in it, which are cut whatever the profile:
 * a picture in a card is never inspected. */
const struct mask_finding *render_card_media(struct render *r, uint32_t node,
                                             const struct mask_finding *f, size_t *n)
{
    struct span text = json_inner(r->doc, node);
    const uint32_t *map = NULL;
    uint32_t base = r->doc->nodes[node].start + 1;
    size_t at = 0, start, end, cuts = 0, out = 0, next = 0;
    if (inner_decode(r->doc, node, r->arena, &text, &map) != 0 ||
        vcard_unfold(r->arena, &text, &map) != 0) {
        render_fail(r, SLUIS_ENOMEM);
        return f;
    }
    while (vcard_media(text, &at, &start, &end))
        cuts++;
    if (cuts == 0)
        return f;
    struct mask_finding *list = arena_try(r->arena, (*n + cuts) * sizeof *list);
    if (!list) {
        render_fail(r, SLUIS_ENOMEM);
        return f;
    }
    for (at = 0; vcard_media(text, &at, &start, &end);) {
        struct mask_finding cut = {base + map[start], base + map[end], RENDER_CUT, 0, 0, false};
        while (next < *n && f[next].start < cut.start)
            list[out++] = f[next++];
        list[out++] = cut;
        while (next < *n && f[next].end <= cut.end)
            next++; /* inside what is cut */
    }
    while (next < *n)
        list[out++] = f[next++];
    *n = out;
    return list;
}

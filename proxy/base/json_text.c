/* Reading a scanned document: names, strings, escapes. */
#include "sluis/base/json.h"

#include "sluis/base/utf8.h"

#include "json_text.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool json_unit(struct span s, unsigned *unit)
{
    unsigned code = 0;
    if (s.n < 6 || s.p[0] != '\\' || s.p[1] != 'u')
        return false;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(s.p[i]);
        if (digit < 0)
            return false;
        code = code << 4 | (unsigned)digit;
    }
    *unit = code;
    return true;
}

/* One character of raw string content: how many raw bytes it takes, its UTF-8 in `out`. */
static size_t decode_one(struct span raw, char out[4], unsigned *n)
{
    unsigned unit, low;
    *n = 1;
    out[0] = raw.p[0];
    if (raw.p[0] != '\\' || raw.n < 2)
        return 1;
    switch (raw.p[1]) {
    case 'b':
        out[0] = '\b';
        return 2;
    case 'f':
        out[0] = '\f';
        return 2;
    case 'n':
        out[0] = '\n';
        return 2;
    case 'r':
        out[0] = '\r';
        return 2;
    case 't':
        out[0] = '\t';
        return 2;
    case 'u':
        break;
    default:
        out[0] = raw.p[1];
        return 2;
    }
    if (!json_unit(raw, &unit))
        return 1;
    size_t used = 6;
    uint32_t code = unit;
    if (unit >= 0xd800 && unit < 0xdc00 && json_unit(span_from(raw, 6), &low) && low >= 0xdc00 &&
        low <= 0xdfff) {
        code = 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (low - 0xdc00);
        used = 12;
    }
    *n = utf8_encode(code, out); /* a lone surrogate becomes U+FFFD */
    return used;
}

void json_decode_map(struct span raw, char *text, uint32_t *map, size_t *n)
{
    size_t length = 0;
    for (size_t i = 0; i < raw.n;) {
        char bytes[4];
        unsigned count;
        size_t used = decode_one(span_from(raw, i), bytes, &count);
        for (unsigned k = 0; k < count; k++) {
            text[length] = bytes[k];
            map[length++] = (uint32_t)i;
        }
        i += used;
    }
    map[length] = (uint32_t)raw.n;
    *n = length;
}

static int decode(struct span raw, struct arena *arena, struct span *out)
{
    size_t length = 0;
    char *text = arena_try(arena, raw.n + 1);
    if (!text)
        return SLUIS_ENOMEM;
    for (size_t i = 0; i < raw.n;) {
        char bytes[4];
        unsigned count;
        i += decode_one(span_from(raw, i), bytes, &count);
        memcpy(text + length, bytes, count);
        length += count;
    }
    text[length] = '\0';
    *out = (struct span){text, length};
    return 0;
}

/* Is the decoded form of `raw` equal to `text`? Without memory. */
static bool decoded_is(struct span raw, struct span text)
{
    size_t at = 0;
    for (size_t i = 0; i < raw.n;) {
        char bytes[4];
        unsigned count;
        i += decode_one(span_from(raw, i), bytes, &count);
        if (text.n - at < count || memcmp(text.p + at, bytes, count) != 0)
            return false;
        at += count;
    }
    return at == text.n;
}

struct span json_inner(const struct json_doc *doc, uint32_t node)
{
    const struct json_node *v = json_node(doc, node);
    return v && v->kind == JSON_STRING ? span_sub(doc->text, v->start + 1, v->end - 1) : SPAN_EMPTY;
}

bool json_string_is(const struct json_doc *doc, uint32_t node, struct span text)
{
    const struct json_node *v = json_node(doc, node);
    if (!v || v->kind != JSON_STRING)
        return false;
    struct span raw = json_inner(doc, node);
    return v->flags & JSON_ESCAPED ? decoded_is(raw, text) : span_eq(raw, text);
}

int json_string(const struct json_doc *doc, uint32_t node, struct arena *arena, struct span *out)
{
    const struct json_node *v = json_node(doc, node);
    if (!v || v->kind != JSON_STRING)
        return SLUIS_EINVAL;
    *out = json_inner(doc, node);
    return v->flags & JSON_ESCAPED ? decode(*out, arena, out) : 0;
}

int json_name(const struct json_doc *doc, uint32_t node, struct arena *arena, struct span *out)
{
    const struct json_node *v = json_node(doc, node);
    if (!v)
        return SLUIS_EINVAL;
    *out = span_sub(doc->text, v->name_start, v->name_end);
    return v->name_flags & JSON_ESCAPED ? decode(*out, arena, out) : 0;
}

uint32_t json_get(const struct json_doc *doc, uint32_t object, struct span name)
{
    if (!json_is(doc, object, JSON_OBJECT))
        return JSON_NONE;
    for (uint32_t i = doc->nodes[object].child; i != JSON_NONE; i = doc->nodes[i].next) {
        const struct json_node *v = &doc->nodes[i];
        struct span raw = {doc->text.p + v->name_start, v->name_end - v->name_start};
        if (v->name_flags & JSON_ESCAPED ? decoded_is(raw, name) : span_eq(raw, name))
            return i;
    }
    return JSON_NONE;
}

uint32_t json_at(const struct json_doc *doc, uint32_t array, uint32_t index)
{
    if (!json_is(doc, array, JSON_ARRAY))
        return JSON_NONE;
    uint32_t i = doc->nodes[array].child;
    while (i != JSON_NONE && index-- > 0)
        i = doc->nodes[i].next;
    return i;
}

uint32_t json_path(const struct json_doc *doc, uint32_t node, const char *path)
{
    struct span rest = span_str(path);
    while (rest.n && node != JSON_NONE) {
        size_t dot = span_find(rest, '.');
        struct span part = span_sub(rest, 0, dot);
        uint64_t index;
        if (json_is(doc, node, JSON_ARRAY))
            node = span_u64(part, &index) == 0 && index < UINT32_MAX
                       ? json_at(doc, node, (uint32_t)index)
                       : JSON_NONE;
        else
            node = json_get(doc, node, part);
        rest = span_from(rest, dot + 1);
    }
    return node;
}

int json_u64(const struct json_doc *doc, uint32_t node, uint64_t *out)
{
    if (json_is(doc, node, JSON_NUMBER))
        return span_u64(json_raw(doc, node), out);
    return json_is(doc, node, JSON_STRING) ? span_u64(json_inner(doc, node), out) : SLUIS_EINVAL;
}

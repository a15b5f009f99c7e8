#include "window.h"

#include "inner.h"

uint32_t window_message(const struct json_doc *doc, uint32_t unit_root)
{
    static const char *const places[] = {"messages.0", "message_echoes.0",
                                         "history.0.threads.0.messages.0"};
    uint32_t value = json_path(doc, unit_root, "entry.0.changes.0.value");
    uint32_t found = JSON_NONE;
    for (size_t i = 0; i < sizeof places / sizeof *places && found == JSON_NONE; i++)
        found = json_path(doc, value, places[i]);
    if (found == JSON_NONE && value == JSON_NONE)
        found = unit_root; /* the body of a send call is a message itself */
    return found;
}

uint32_t window_text(const struct json_doc *doc, uint32_t message)
{
    static const char *const places[] = {
        "text.body",     "image.caption",
        "video.caption", "document.caption",
        "button.text",   "interactive.button_reply.title",
        "order.text",    "interactive.list_reply.title",
        "system.body",   "interactive.body.text",
    };
    if (!json_is(doc, message, JSON_OBJECT))
        return JSON_NONE;
    uint32_t edited = json_path(doc, message, "edit.message");
    if (edited != JSON_NONE)
        message = edited; /* one level: an edit of an edit is content like any other */
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        uint32_t found = json_path(doc, message, places[i]);
        if (json_is(doc, found, JSON_STRING))
            return found;
    }
    return JSON_NONE;
}

int mask_window_text(const struct json_doc *doc, uint32_t unit_root, struct arena *arena,
                     struct span *out)
{
    uint32_t node = window_text(doc, window_message(doc, unit_root));
    *out = SPAN_EMPTY;
    return node == JSON_NONE ? 0 : json_string(doc, node, arena, out);
}

/* Puts one raw range in its place; what it overlaps becomes part of it. */
static int put_range(struct judged *judged, size_t capacity, struct mask_finding range)
{
    struct mask_finding *list = judged->findings;
    size_t from = 0;
    while (from < judged->count && list[from].end <= range.start)
        from++;
    size_t to = from;
    for (; to < judged->count && list[to].start < range.end; to++) {
        range.rest |= list[to].rest || list[to].start != range.start || list[to].end != range.end;
        range.start = list[to].start < range.start ? list[to].start : range.start;
        range.end = list[to].end > range.end ? list[to].end : range.end;
        range.also |= list[to].also | (uint64_t)1 << list[to].type;
        range.also &= ~((uint64_t)1 << range.type);
    }
    if (from == to && judged->count == capacity)
        return SLUIS_ELIMIT;
    memmove(list + from + 1, list + to, (judged->count - to) * sizeof *list);
    list[from] = range;
    judged->count = judged->count - (to - from) + 1;
    return 0;
}

int mask_window_add(const struct json_doc *doc, uint32_t unit_root, const struct finding *findings,
                    size_t n, struct arena *arena, struct judged *judged)
{
    uint32_t node = window_text(doc, window_message(doc, unit_root));
    if (node == JSON_NONE)
        return SLUIS_EINVAL;
    uint32_t raw = doc->nodes[node].start + 1;
    struct span text = json_inner(doc, node);
    const uint32_t *map = NULL;
    if (doc->nodes[node].flags & JSON_ESCAPED) {
        int error = inner_decode(doc, node, arena, &text, &map);
        if (error)
            return error;
    }
    size_t capacity = judged->count + n;
    struct judged more = *judged;
    if (capacity > MASK_FINDINGS_MAX)
        return SLUIS_ELIMIT;
    more.findings = arena_try(arena, (capacity ? capacity : 1) * sizeof *more.findings);
    if (!more.findings)
        return SLUIS_ENOMEM;
    if (judged->count)
        memcpy(more.findings, judged->findings, judged->count * sizeof *more.findings);
    for (size_t i = 0; i < n; i++) {
        const struct finding *f = &findings[i];
        size_t end = f->end;
        if (f->start >= f->end || end > text.n || f->type >= DETECT_TYPES_MAX)
            return SLUIS_EINVAL;
        while (map && end < text.n && map[end] == map[end - 1])
            end++; /* never in the middle of an escape */
        int error = put_range(&more, capacity,
                              (struct mask_finding){raw + (map ? map[f->start] : f->start),
                                                    raw + (map ? map[end] : (uint32_t)end), f->type,
                                                    f->score, f->also, f->rest});
        if (error)
            return error;
        more.found |= f->also | (uint64_t)1 << f->type;
    }
    *judged = more;
    return 0;
}

#include "inner.h"

/* A flow's answer is a flat form; more than this is judged as one text instead. */
static const struct json_limits inner_limits = {.depth = 32, .values = 20000};

int inner_decode(const struct json_doc *doc, uint32_t node, struct arena *arena, struct span *text,
                 const uint32_t **map)
{
    struct span raw = json_inner(doc, node);
    char *decoded = arena_try(arena, raw.n);
    uint32_t *offsets = arena_try(arena, (raw.n + 1) * sizeof *offsets);
    if (!decoded || !offsets)
        return SLUIS_ENOMEM;
    size_t n;
    json_decode_map(raw, decoded, offsets, &n);
    *text = span_of(decoded, n);
    *map = offsets;
    return 0;
}

int inner_open(const struct json_doc *doc, uint32_t node, struct arena *arena, struct inner *out)
{
    struct span text;
    int error = inner_decode(doc, node, arena, &text, &out->map);
    if (error)
        return error;
    out->base = doc->nodes[node].start + 1;
    error = json_scan(&out->doc, text, arena, &inner_limits);
    if (error == SLUIS_ENOMEM)
        return error;
    return error || out->doc.nodes[0].kind < JSON_OBJECT ? SLUIS_EINVAL : 0;
}

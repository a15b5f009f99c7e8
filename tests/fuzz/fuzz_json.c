/* Scanner and emitter: never crash; what is accepted is emitted as ASCII that is accepted again as
 * an equal document, and the decoding functions agree with each other. */
#include <stdint.h>
#include <stdlib.h>

#include "sluis/base/json.h"
#include "sluis/base/utf8.h"

#define MEMORY (32 * 1024 * 1024)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void check_decoding(const struct json_doc *doc, uint32_t node, struct arena *arena)
{
    struct span raw = json_inner(doc, node), text;
    char *mapped = arena_try(arena, raw.n);
    uint32_t *map = arena_try(arena, (raw.n + 1) * sizeof *map);
    size_t n;
    if (!mapped || !map || json_string(doc, node, arena, &text) != 0)
        return;
    json_decode_map(raw, mapped, map, &n);
    CHECK(span_eq(text, span_of(mapped, n)) && utf8_valid(text) && map[n] == raw.n);
    CHECK(json_string_is(doc, node, text));
    for (size_t i = 0; i < n; i++)
        CHECK(map[i] <= map[i + 1]);
}

static void check_equal(const struct json_doc *a, const struct json_doc *b, struct arena *arena)
{
    struct span x, y;
    CHECK(a->count == b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        const struct json_node *v = &a->nodes[i], *w = &b->nodes[i];
        CHECK(v->kind == w->kind && v->parent == w->parent && v->child == w->child &&
              v->next == w->next);
        if (json_name(a, i, arena, &x) != 0 || json_name(b, i, arena, &y) != 0)
            return;
        CHECK(span_eq(x, y));
        if (v->kind == JSON_NUMBER)
            CHECK(span_eq(json_raw(a, i), json_raw(b, i)));
        if (v->kind != JSON_STRING)
            continue;
        if (json_string(a, i, arena, &x) != 0 || json_string(b, i, arena, &y) != 0)
            return;
        CHECK(span_eq(x, y));
        check_decoding(a, i, arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_doc doc, again;
    struct arena arena;
    struct buffer out;
    struct span text = span_of(data, size);
    arena_init(&arena, MEMORY);
    buffer_init(&out, MEMORY);
    int error = json_scan(&doc, text, &arena, NULL);
    CHECK(error == 0 || (doc.error != NULL && doc.error_offset <= size && doc.count == 0));
    if (json_emit(&out, text, 0, (uint32_t)size, NULL, 0) == 0) {
        for (size_t i = 0; i < out.n; i++)
            CHECK((unsigned char)out.p[i] < 0x7f);
        if (error == 0) {
            CHECK(json_scan(&again, buffer_span(&out), &arena, NULL) == 0);
            check_equal(&doc, &again, &arena);
        }
    }
    buffer_clear(&out);
    json_quote(&out, text);
    if (out.error == 0)
        CHECK(json_scan(&again, buffer_span(&out), &arena, NULL) == 0 && again.count == 1);
    arena_free(&arena);
    buffer_free(&out);
    return 0;
}

/* What a child wrote, as the gateway reads it, and detect settings: nothing unsound is believed. */
#include <stdint.h>
#include <stdlib.h>

#include "sluis/base/arena.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct picture_verdict v = {.fd = -1};
    struct detect_settings settings;
    struct arena arena;
    if (wire_result_read(span_of(data, n), 1, &v) == 0) {
        if (v.finding_count > PICTURE_FINDINGS_MAX || v.text.n > PICTURE_TEXT_MAX ||
            (v.outcome != PICTURE_WITHHELD && v.engine == PICTURE_ENGINE_NONE))
            abort();
        for (size_t i = 0; i < v.finding_count; i++)
            if ((uint32_t)(v.findings[i].x + v.findings[i].w) > v.width)
                abort();
        picture_verdict_free(&v);
    }
    arena_init(&arena, 1024 * 1024);
    if (wire_settings_read(span_of(data, n), &arena, &settings) == 0 &&
        settings.own_count > DETECT_OWN_MAX)
        abort();
    arena_free(&arena);
    struct span list = span_of(data, n), before = list;
    uint64_t key;
    arena_init(&arena, 1024 * 1024);
    while (wire_detect_next(&list, &arena, &key, &settings) == 0) {
        if (list.n >= before.n || settings.own_count > DETECT_OWN_MAX)
            abort();
        before = list;
    }
    arena_free(&arena);
    return 0;
}

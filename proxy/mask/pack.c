/* Findings and unit JSON in one, before sealing: version, media flag, found, counts, rows, JSON. */
#include "sluis/mask.h"

#include "sluis/base/encode.h"

#define PACK_VERSION 1
#define HEAD_BYTES 14 /* version 1, media 1, found 8, findings 2, window findings 2 */
#define ROW_BYTES 12  /* start 4, end 4, type 2, score 2 */
#define BACK_BYTES 13 /* a row and which message back */

static void add_row(struct buffer *out, uint32_t start, uint32_t end, uint16_t type, uint16_t score)
{
    buffer_add_be32(out, start);
    buffer_add_be32(out, end);
    buffer_add_be16(out, type);
    buffer_add_be16(out, score);
}

void mask_pack(const struct judged *judged, struct span json, struct buffer *out)
{
    if (judged->count > MASK_FINDINGS_MAX || judged->back_count > MASK_FINDINGS_MAX) {
        out->error = SLUIS_ELIMIT;
        return;
    }
    buffer_add_char(out, PACK_VERSION);
    buffer_add_char(out, judged->has_media);
    buffer_add_be64(out, judged->found);
    buffer_add_be16(out, (uint16_t)judged->count);
    buffer_add_be16(out, (uint16_t)judged->back_count);
    for (size_t i = 0; i < judged->count; i++) {
        const struct mask_finding *f = &judged->findings[i];
        add_row(out, f->start, f->end, f->type, f->score);
    }
    for (size_t i = 0; i < judged->back_count; i++) {
        const struct finding *f = &judged->back[i];
        add_row(out, f->start, f->end, f->type, f->score);
        buffer_add_char(out, (char)f->back);
    }
    buffer_add(out, json);
}

static bool read_findings(const uint8_t *p, struct judged *judged, size_t json)
{
    uint32_t at = 0;
    for (size_t i = 0; i < judged->count; i++, p += ROW_BYTES) {
        struct mask_finding *f = &judged->findings[i];
        *f = (struct mask_finding){be32_get(p), be32_get(p + 4), be16_get(p + 8), be16_get(p + 10)};
        if (f->start < at || f->end < f->start || f->end > json || f->type >= DETECT_TYPES_MAX)
            return false;
        at = f->end;
    }
    for (size_t i = 0; i < judged->back_count; i++, p += BACK_BYTES) {
        judged->back[i] = (struct finding){.start = be32_get(p),
                                           .end = be32_get(p + 4),
                                           .type = be16_get(p + 8),
                                           .score = be16_get(p + 10),
                                           .back = p[12],
                                           .evidence = "stored"};
        if (judged->back[i].type >= DETECT_TYPES_MAX)
            return false;
    }
    return true;
}

int mask_unpack(struct span packed, struct arena *arena, struct judged *judged, struct span *json)
{
    const uint8_t *p = (const uint8_t *)packed.p;
    *judged = (struct judged){0};
    if (packed.n < HEAD_BYTES || p[0] != PACK_VERSION || p[1] > 1)
        return SLUIS_EINVAL;
    size_t count = be16_get(p + 10), back = be16_get(p + 12);
    size_t rows = count * ROW_BYTES + back * BACK_BYTES;
    if (count > MASK_FINDINGS_MAX || back > MASK_FINDINGS_MAX || packed.n - HEAD_BYTES < rows)
        return SLUIS_EINVAL;
    *json = span_from(packed, HEAD_BYTES + rows);
    judged->has_media = p[1];
    judged->found = be64_get(p + 2);
    judged->findings = arena_try(arena, count * sizeof *judged->findings);
    judged->back = arena_try(arena, back * sizeof *judged->back);
    if (!judged->findings || !judged->back)
        return SLUIS_ENOMEM;
    judged->count = count;
    judged->back_count = back;
    return read_findings(p + HEAD_BYTES, judged, json->n) ? 0 : SLUIS_EINVAL;
}

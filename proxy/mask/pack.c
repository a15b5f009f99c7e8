/* Findings and unit JSON in one, before sealing: version, media flag, found, counts, rows, JSON. */
#include "sluis/mask.h"

#include "sluis/base/encode.h"

#define PACK_VERSION 2 /* 1: without `also`; still read */
#define HEAD_BYTES 14  /* version 1, media 1, found 8, findings 2, window findings 2 */
#define ROW_BYTES 20   /* start 4, end 4, type 2, score 2, also and rest 8 */
#define ROW_BYTES_1 12
#define ROW_REST (UINT64_C(1) << 63) /* in `also`: mask_finding.rest */
#define BACK_BYTES 1                 /* on top of a row: which message back */

static void add_row(struct buffer *out, uint32_t start, uint32_t end, uint16_t type, uint16_t score,
                    uint64_t also)
{
    buffer_add_be32(out, start);
    buffer_add_be32(out, end);
    buffer_add_be16(out, type);
    buffer_add_be16(out, score);
    buffer_add_be64(out, also);
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
        add_row(out, f->start, f->end, f->type, f->score, f->also | (f->rest ? ROW_REST : 0));
    }
    for (size_t i = 0; i < judged->back_count; i++) {
        const struct finding *f = &judged->back[i];
        add_row(out, f->start, f->end, f->type, f->score, f->also | (f->rest ? ROW_REST : 0));
        buffer_add_char(out, (char)f->back);
    }
    buffer_add(out, json);
}

/* One row; `also` may name no type that there is not. */
static bool read_row(const uint8_t *p, bool has_also, struct mask_finding *f)
{
    *f = (struct mask_finding){be32_get(p),
                               be32_get(p + 4),
                               be16_get(p + 8),
                               be16_get(p + 10),
                               has_also ? be64_get(p + 12) & ~ROW_REST : 0,
                               has_also && be64_get(p + 12) & ROW_REST};
    return f->type < DETECT_TYPES_MAX && f->also >> DETECT_TYPES_MAX == 0;
}

static bool read_findings(const uint8_t *p, bool has_also, struct judged *judged, size_t json)
{
    const size_t row = has_also ? ROW_BYTES : ROW_BYTES_1;
    uint32_t at = 0;
    for (size_t i = 0; i < judged->count; i++, p += row) {
        struct mask_finding *f = &judged->findings[i];
        if (!read_row(p, has_also, f) || f->start < at || f->end < f->start || f->end > json)
            return false;
        at = f->end;
    }
    for (size_t i = 0; i < judged->back_count; i++, p += row + BACK_BYTES) {
        struct mask_finding f;
        if (!read_row(p, has_also, &f))
            return false;
        judged->back[i] = (struct finding){.start = f.start,
                                           .end = f.end,
                                           .type = f.type,
                                           .score = f.score,
                                           .back = p[row],
                                           .also = f.also,
                                           .rest = f.rest,
                                           .evidence = "stored"};
    }
    return true;
}

int mask_unpack(struct span packed, struct arena *arena, struct judged *judged, struct span *json)
{
    const uint8_t *p = (const uint8_t *)packed.p;
    *judged = (struct judged){0};
    if (packed.n < HEAD_BYTES || p[0] < 1 || p[0] > PACK_VERSION || p[1] > 1)
        return SLUIS_EINVAL;
    const bool has_also = p[0] > 1;
    const size_t row = has_also ? ROW_BYTES : ROW_BYTES_1;
    size_t count = be16_get(p + 10), back = be16_get(p + 12);
    size_t rows = count * row + back * (row + BACK_BYTES);
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
    return read_findings(p + HEAD_BYTES, has_also, judged, json->n) ? 0 : SLUIS_EINVAL;
}

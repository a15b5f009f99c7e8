/*
 * How far an identity document reaches. Its portrait and signature are personal data that no engine
 * reads, so the document is covered as a whole: from its lines of text, over the side where the
 * portrait stands. Which side that is differs, so both; more is covered rather than less.
 *
 * Sizes (ISO/IEC 7810, ICAO Doc 9303): ID-1 85.6 x 54 mm, TD2 105 x 74, TD3 125 x 88. A portrait
 * stands at most 0.57 of the document's height from where text begins. A zone is 76, 91 or 112 mm
 * long, so the document is at most 0.81 of that high. Values are printed 2 to 3 mm high, their
 * boxes a half more: the height is some 18 of them at most.
 */
#include "judge.h"

#include <math.h>
#include <stdlib.h>

#define SIDE 0.75f        /* of the document's height, on both sides of its text */
#define HEIGHT_TEXT 1.5f  /* height of the document, by what its text takes */
#define HEIGHT_LINES 18   /* by the height of a line */
#define HEIGHT_ZONE 0.85f /* by the length of its machine-readable zone */
#define ABOVE 0.3f        /* of what its text takes: above and below, at least */

struct frame { /* along the text and across it */
    struct point along;
    float s0, s1, t0, t1, zone0, zone1;
};

static void take(struct frame *f, const struct quad *q, bool zone)
{
    for (int corner = 0; corner < 4; corner++) {
        float a = (corner & 1 ? q->w : -q->w) / 2, b = (corner & 2 ? q->h : -q->h) / 2;
        float x = q->centre.x + a * q->along.x - b * q->along.y;
        float y = q->centre.y + a * q->along.y + b * q->along.x;
        float s = x * f->along.x + y * f->along.y, t = y * f->along.x - x * f->along.y;
        f->s0 = fminf(f->s0, s), f->s1 = fmaxf(f->s1, s);
        f->t0 = fminf(f->t0, t), f->t1 = fmaxf(f->t1, t);
        if (zone)
            f->zone0 = fminf(f->zone0, s), f->zone1 = fmaxf(f->zone1, s);
    }
}

static bool of_document(const struct found *f)
{
    return f->class == PICTURE_CLASS_ID_DOCUMENT || f->class == PICTURE_CLASS_MRZ;
}

static int by_size(const void *a, const void *b)
{
    const float *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

void judge_extent(struct judgement *j)
{
    float heights[PICTURE_FINDINGS_MAX], longest = 0;
    struct frame f = {{1, 0}, INFINITY, -INFINITY, INFINITY, -INFINITY, INFINITY, -INFINITY};
    size_t n = 0;
    for (size_t i = 0; i < j->n; i++)
        if (of_document(&j->at[i])) {
            heights[n++] = j->at[i].quad.h;
            if (j->at[i].quad.w > longest) {
                longest = j->at[i].quad.w;
                f.along = j->at[i].quad.along;
            }
        }
    if (!j->document || !n)
        return;
    if (j->n == PICTURE_FINDINGS_MAX) {
        j->overflow = true;
        return;
    }
    for (size_t i = 0; i < j->n; i++)
        if (of_document(&j->at[i]))
            take(&f, &j->at[i].quad, j->at[i].class == PICTURE_CLASS_MRZ);
    qsort(heights, n, sizeof *heights, by_size);
    float text = f.t1 - f.t0, high = fmaxf(HEIGHT_TEXT * text, HEIGHT_LINES * heights[n / 2]);
    if (f.zone1 > f.zone0)
        high = fmaxf(high, HEIGHT_ZONE * (f.zone1 - f.zone0));
    float aside = SIDE * high, above = fmaxf(ABOVE * text, high - text);
    float s = (f.s0 + f.s1) / 2, t = (f.t0 + f.t1) / 2;
    struct quad all = {{s * f.along.x - t * f.along.y, s * f.along.y + t * f.along.x},
                       f.along,
                       f.s1 - f.s0 + 2 * aside,
                       text + 2 * above};
    j->at[j->n++] = (struct found){DETECT_ID_DOCUMENT, 900, PICTURE_CLASS_ID_DOCUMENT, all};
}

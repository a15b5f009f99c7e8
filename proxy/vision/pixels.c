/* Pictures in memory: turning, resizing, cropping, covering. */
#include "pixels.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>

int pixels_new(uint32_t w, uint32_t h, struct pixels *out)
{
    memset(out, 0, sizeof *out);
    if (w == 0 || h == 0)
        return SLUIS_EINVAL;
    if (w > PICTURE_SIDE_MAX || h > PICTURE_SIDE_MAX || (uint64_t)w * h > PICTURE_PIXELS_MAX)
        return SLUIS_ELIMIT;
    out->p = calloc((size_t)w * h, 4);
    if (!out->p)
        return SLUIS_ENOMEM;
    out->w = w;
    out->h = h;
    return 0;
}

void pixels_free(struct pixels *p)
{
    if (p->p)
        sodium_memzero(p->p, (size_t)p->w * p->h * 4);
    free(p->p);
    memset(p, 0, sizeof *p);
}

static const uint8_t *at(const struct pixels *p, uint32_t x, uint32_t y)
{
    return p->p + ((size_t)y * p->w + x) * 4;
}

int pixels_orient(struct pixels *p, unsigned orientation)
{
    if (orientation < 2 || orientation > 8)
        return 0;
    bool swap = orientation >= 5;
    struct pixels out;
    int error = pixels_new(swap ? p->h : p->w, swap ? p->w : p->h, &out);
    if (error)
        return error;
    out.alpha = p->alpha;
    for (uint32_t y = 0; y < out.h; y++)
        for (uint32_t x = 0; x < out.w; x++) {
            uint32_t r = p->w - 1, b = p->h - 1, sx = x, sy = y;
            switch (orientation) { /* where the pixel that is shown here stands in the file */
            case 2:
                sx = r - x;
                break;
            case 3:
                sx = r - x, sy = b - y;
                break;
            case 4:
                sy = b - y;
                break;
            case 5:
                sx = y, sy = x;
                break;
            case 6:
                sx = y, sy = b - x;
                break;
            case 7:
                sx = r - y, sy = b - x;
                break;
            case 8:
                sx = r - y, sy = x;
                break;
            default:
                break;
            }
            memcpy(out.p + ((size_t)y * out.w + x) * 4, at(p, sx, sy), 4);
        }
    pixels_free(p);
    *p = out;
    return 0;
}

/* One axis of a resize: which source samples, with which weight, make sample i. */
struct tap {
    uint32_t from, n;
    size_t weight; /* index of the first weight */
};
struct taps {
    struct tap *tap;
    float *weights;
};

static int make_taps(uint32_t from, uint32_t to, struct taps *t)
{
    double scale = (double)from / to, radius = scale > 1 ? scale : 1;
    size_t most = (size_t)(2 * radius) + 3, used = 0;
    t->tap = calloc(to, sizeof *t->tap);
    t->weights = calloc((size_t)to * most, sizeof *t->weights);
    if (!t->tap || !t->weights)
        return SLUIS_ENOMEM;
    for (uint32_t i = 0; i < to; i++) {
        double centre = (i + 0.5) * scale - 0.5, sum = 0;
        int64_t first = (int64_t)ceil(centre - radius), last = (int64_t)floor(centre + radius);
        first = first < 0 ? 0 : first;
        last = last >= (int64_t)from ? (int64_t)from - 1 : last;
        t->tap[i] = (struct tap){(uint32_t)first, 0, used};
        for (int64_t s = first; s <= last && t->tap[i].n < most; s++) {
            double w = 1 - fabs((double)s - centre) / radius;
            t->weights[used + t->tap[i].n++] = (float)(w < 1e-6 ? 1e-6 : w);
            sum += w < 1e-6 ? 1e-6 : w;
        }
        for (uint32_t k = 0; k < t->tap[i].n; k++)
            t->weights[used + k] /= (float)sum;
        used += t->tap[i].n;
    }
    return 0;
}

static uint8_t to_byte(float v)
{
    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)(v + 0.5f);
}

/* Both axes, row by row: `rows` keeps one source row resized across. */
static void resize_with(const struct pixels *from, struct pixels *out, const struct taps *across,
                        const struct taps *down, float *sums, float *row)
{
    for (uint32_t y = 0; y < out->h; y++) {
        const struct tap *v = &down->tap[y];
        memset(sums, 0, (size_t)from->w * 4 * sizeof *sums);
        for (uint32_t k = 0; k < v->n; k++) {
            const uint8_t *s = at(from, 0, v->from + k);
            float weight = down->weights[v->weight + k];
            for (size_t i = 0; i < (size_t)from->w * 4; i++)
                sums[i] += weight * s[i];
        }
        for (uint32_t x = 0; x < out->w; x++) {
            const struct tap *h = &across->tap[x];
            const float *weights = across->weights + h->weight;
            memset(row, 0, 4 * sizeof *row);
            for (uint32_t k = 0; k < h->n; k++)
                for (unsigned c = 0; c < 4; c++)
                    row[c] += weights[k] * sums[(size_t)(h->from + k) * 4 + c];
            for (unsigned c = 0; c < 4; c++)
                out->p[((size_t)y * out->w + x) * 4 + c] = to_byte(row[c]);
        }
    }
}

int pixels_resize(const struct pixels *from, uint32_t w, uint32_t h, struct pixels *out)
{
    struct taps across = {0}, down = {0};
    float row[4], *sums = NULL;
    int error = pixels_new(w, h, out);
    if (!error)
        error = make_taps(from->w, w, &across);
    if (!error)
        error = make_taps(from->h, h, &down);
    if (!error && !(sums = calloc((size_t)from->w * 4, sizeof *sums)))
        error = SLUIS_ENOMEM;
    if (!error) {
        out->alpha = from->alpha;
        resize_with(from, out, &across, &down, sums, row);
    }
    free(sums);
    free(across.tap);
    free(across.weights);
    free(down.tap);
    free(down.weights);
    if (error)
        pixels_free(out);
    return error;
}

void pixels_flatten(struct pixels *p, uint8_t grey)
{
    for (size_t i = 0; i < (size_t)p->w * p->h; i++) {
        uint8_t *c = p->p + i * 4;
        unsigned a = c[3];
        for (unsigned k = 0; k < 3; k++)
            c[k] = (uint8_t)((c[k] * a + grey * (255 - a) + 127) / 255);
        c[3] = 255;
    }
    p->alpha = false;
}

void pixels_bare(struct pixels *p)
{
    for (size_t i = 0; i < (size_t)p->w * p->h; i++)
        p->p[i * 4 + 3] = 255;
    p->alpha = false;
}

bool pixels_see_through(struct pixels *p)
{
    bool partly = false;
    p->alpha = false;
    for (size_t i = 0; i < (size_t)p->w * p->h; i++) {
        uint8_t a = p->p[i * 4 + 3];
        p->alpha |= a != 255;
        partly |= a != 255 && a != 0;
    }
    return partly;
}

void pixels_scrub_alpha(struct pixels *p)
{
    for (size_t i = 0; i < (size_t)p->w * p->h; i++)
        if (p->p[i * 4 + 3] == 0)
            memset(p->p + i * 4, 0, 3);
}

double pixels_psnr(const struct pixels *a, const struct pixels *b)
{
    size_t n = (size_t)a->w * a->h * 4, counted = 0;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (i % 4 == 3 && !a->alpha)
            continue;
        double d = (double)a->p[i] - b->p[i];
        sum += d * d;
        counted++;
    }
    return sum == 0 ? 99 : 10 * log10(255.0 * 255.0 * (double)counted / sum);
}

int pixels_crop(const struct pixels *from, const struct quad *quad, struct pixels *out)
{
    uint32_t w = quad->w < 1 ? 1 : (uint32_t)(quad->w + 0.5f);
    uint32_t h = quad->h < 1 ? 1 : (uint32_t)(quad->h + 0.5f);
    int error = pixels_new(w, h, out);
    if (error)
        return error;
    float ux = quad->along.x, uy = quad->along.y;
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++) {
            float dx = (float)x + 0.5f - (float)w / 2, dy = (float)y + 0.5f - (float)h / 2;
            float sx = quad->centre.x + dx * ux - dy * uy - 0.5f;
            float sy = quad->centre.y + dx * uy + dy * ux - 0.5f;
            sx = fminf(fmaxf(sx, 0), (float)(from->w - 1));
            sy = fminf(fmaxf(sy, 0), (float)(from->h - 1));
            uint32_t x0 = (uint32_t)sx, y0 = (uint32_t)sy;
            uint32_t x1 = x0 + 1 < from->w ? x0 + 1 : x0, y1 = y0 + 1 < from->h ? y0 + 1 : y0;
            float fx = sx - (float)x0, fy = sy - (float)y0;
            const uint8_t *a = at(from, x0, y0), *b = at(from, x1, y0), *c = at(from, x0, y1),
                          *d = at(from, x1, y1);
            uint8_t *to = out->p + ((size_t)y * w + x) * 4;
            for (unsigned k = 0; k < 4; k++)
                to[k] = to_byte((a[k] * (1 - fx) + b[k] * fx) * (1 - fy) +
                                (c[k] * (1 - fx) + d[k] * fx) * fy);
        }
    return 0;
}

void pixels_half_turn(struct pixels *p)
{
    size_t n = (size_t)p->w * p->h;
    for (size_t i = 0; i < n / 2; i++) {
        uint8_t keep[4], *a = p->p + i * 4, *b = p->p + (n - 1 - i) * 4;
        memcpy(keep, a, 4);
        memcpy(a, b, 4);
        memcpy(b, keep, 4);
    }
}

int pixels_quarter_turn(struct pixels *p)
{
    return pixels_orient(p, 8);
}

void quad_box(const struct quad *quad, uint32_t w, uint32_t h, int32_t box[4])
{
    float ex = (fabsf(quad->along.x) * quad->w + fabsf(quad->along.y) * quad->h) / 2;
    float ey = (fabsf(quad->along.y) * quad->w + fabsf(quad->along.x) * quad->h) / 2;
    float x0 = fmaxf(floorf(quad->centre.x - ex), 0), y0 = fmaxf(floorf(quad->centre.y - ey), 0);
    float x1 = fminf(ceilf(quad->centre.x + ex), (float)w);
    float y1 = fminf(ceilf(quad->centre.y + ey), (float)h);
    box[0] = (int32_t)fminf(x0, (float)w);
    box[1] = (int32_t)fminf(y0, (float)h);
    box[2] = x1 > x0 ? (int32_t)(x1 - x0) : 0;
    box[3] = y1 > y0 ? (int32_t)(y1 - y0) : 0;
}

void pixels_cover(struct pixels *p, const struct quad *quad)
{
    static const uint8_t black[4] = {0, 0, 0, 255};
    int32_t box[4];
    quad_box(quad, p->w, p->h, box);
    for (int32_t y = box[1]; y < box[1] + box[3]; y++)
        for (int32_t x = box[0]; x < box[0] + box[2]; x++) {
            float dx = (float)x + 0.5f - quad->centre.x, dy = (float)y + 0.5f - quad->centre.y;
            float along = dx * quad->along.x + dy * quad->along.y;
            float across = dy * quad->along.x - dx * quad->along.y;
            if (fabsf(along) <= quad->w / 2 + 0.5f && fabsf(across) <= quad->h / 2 + 0.5f)
                memcpy(p->p + ((size_t)y * p->w + (size_t)x) * 4, black, 4);
        }
}

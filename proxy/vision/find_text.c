/*
 * From a probability map to turned rectangles, as PaddleOCR's post-processing of DB does it (Liao
 * et al., "Real-time scene text detection with differentiable binarization"): threshold, connected
 * regions, rectangle of least area, mean probability inside, grown by area * ratio / perimeter.
 */
#include "read.h"

#include <math.h>
#include <stdlib.h>

#define THRESHOLD 0.3f
#define BOX_THRESHOLD 0.5f
#define UNCLIP_RATIO 1.6f
#define SIDE_MIN 3.0f       /* of a rectangle before it is grown, in map pixels */
#define SIDE_GROWN_MIN 5.0f /* and after */

static float cross(struct point o, struct point a, struct point b)
{
    return (a.x - o.x) * (b.y - o.y) - (a.y - o.y) * (b.x - o.x);
}

static int by_x(const void *a, const void *b)
{
    const struct point *p = a, *q = b;
    if (p->x != q->x)
        return p->x < q->x ? -1 : 1;
    return p->y < q->y ? -1 : p->y > q->y;
}

/* Convex hull by monotone chain: sorts `p`, writes at most 2n points to `hull`, returns how many.
 */
static size_t convex_hull(struct point *p, size_t n, struct point *hull)
{
    size_t k = 0;
    qsort(p, n, sizeof *p, by_x);
    for (size_t i = 0; i < n; i++) {
        while (k >= 2 && cross(hull[k - 2], hull[k - 1], p[i]) <= 0)
            k--;
        hull[k++] = p[i];
    }
    for (size_t i = n - 1, low = k + 1; i-- > 0;) {
        while (k >= low && cross(hull[k - 2], hull[k - 1], p[i]) <= 0)
            k--;
        hull[k++] = p[i];
    }
    return k > 1 ? k - 1 : k;
}

/* One side of the rectangle of least area lies along a side of the hull. */
static struct quad least_rectangle(const struct point *hull, size_t n)
{
    struct quad best = {.along = {1, 0}};
    float least = INFINITY;
    for (size_t i = 0; i < n; i++) {
        struct point a = hull[i], b = hull[(i + 1) % n];
        float length = hypotf(b.x - a.x, b.y - a.y);
        if (length < 1e-6f)
            continue;
        struct point u = {(b.x - a.x) / length, (b.y - a.y) / length};
        float s0 = INFINITY, s1 = -INFINITY, t0 = INFINITY, t1 = -INFINITY;
        for (size_t k = 0; k < n; k++) {
            float s = hull[k].x * u.x + hull[k].y * u.y, t = hull[k].y * u.x - hull[k].x * u.y;
            s0 = fminf(s0, s), s1 = fmaxf(s1, s);
            t0 = fminf(t0, t), t1 = fmaxf(t1, t);
        }
        float area = (s1 - s0) * (t1 - t0);
        if (area >= least)
            continue;
        least = area;
        float s = (s0 + s1) / 2, t = (t0 + t1) / 2;
        best = (struct quad){{s * u.x - t * u.y, s * u.y + t * u.x}, u, s1 - s0, t1 - t0};
    }
    return best;
}

/* Turned so that `along` points to the right within 45 degrees. */
static struct quad upright(struct quad q)
{
    if (fabsf(q.along.x) < fabsf(q.along.y)) {
        q.along = (struct point){-q.along.y, q.along.x};
        float w = q.w;
        q.w = q.h;
        q.h = w;
    }
    if (q.along.x < 0)
        q.along = (struct point){-q.along.x, -q.along.y};
    return q;
}

static float mean_inside(const float *map, uint32_t w, uint32_t h, const struct quad *q)
{
    int32_t box[4];
    double sum = 0;
    size_t n = 0;
    quad_box(q, w, h, box);
    for (int32_t y = box[1]; y < box[1] + box[3]; y++)
        for (int32_t x = box[0]; x < box[0] + box[2]; x++) {
            float dx = (float)x - q->centre.x, dy = (float)y - q->centre.y;
            if (fabsf(dx * q->along.x + dy * q->along.y) > q->w / 2 + 0.5f ||
                fabsf(dy * q->along.x - dx * q->along.y) > q->h / 2 + 0.5f)
                continue;
            sum += map[(size_t)y * w + (size_t)x];
            n++;
        }
    return n ? (float)(sum / (double)n) : 0;
}

struct finder {
    const float *map;
    uint32_t w, h;
    uint8_t *seen;
    uint32_t *stack;
    struct point *edge, *hull; /* leftmost and rightmost pixel of each row of a region suffice */
    uint32_t *row_first, *row_last;
};

/* Collects one region; returns how many edge points it has. */
static size_t region(struct finder *f, uint32_t start)
{
    uint32_t depth = 0, top = f->h, bottom = 0;
    f->stack[depth++] = start;
    f->seen[start] = 1;
    while (depth) {
        uint32_t i = f->stack[--depth], x = i % f->w, y = i / f->w;
        if (y < top || top == f->h)
            top = y < top ? y : top;
        bottom = y > bottom ? y : bottom;
        f->row_first[y] = x < f->row_first[y] ? x : f->row_first[y];
        f->row_last[y] = x > f->row_last[y] ? x : f->row_last[y];
        for (int dy = -1; dy <= 1; dy++)
            for (int dx = -1; dx <= 1; dx++) {
                int64_t nx = (int64_t)x + dx, ny = (int64_t)y + dy;
                if (nx < 0 || ny < 0 || nx >= f->w || ny >= f->h)
                    continue;
                uint32_t k = (uint32_t)ny * f->w + (uint32_t)nx;
                if (f->seen[k] || f->map[k] <= THRESHOLD)
                    continue;
                f->seen[k] = 1;
                f->stack[depth++] = k;
            }
    }
    size_t n = 0;
    for (uint32_t y = top; y <= bottom; y++) {
        f->edge[n++] = (struct point){(float)f->row_first[y], (float)y};
        f->edge[n++] = (struct point){(float)f->row_last[y], (float)y};
        f->row_first[y] = UINT32_MAX;
        f->row_last[y] = 0;
    }
    return n;
}

static bool accept(const struct finder *f, size_t n, struct quad *out)
{
    size_t corners = convex_hull(f->edge, n, f->hull);
    struct quad q = least_rectangle(f->hull, corners);
    if (fminf(q.w, q.h) < SIDE_MIN || mean_inside(f->map, f->w, f->h, &q) < BOX_THRESHOLD)
        return false;
    float grow = q.w * q.h * UNCLIP_RATIO / (2 * (q.w + q.h));
    q.w += 2 * grow;
    q.h += 2 * grow;
    if (fminf(q.w, q.h) < SIDE_GROWN_MIN)
        return false;
    *out = upright(q);
    return true;
}

int find_text(const float *map, uint32_t w, uint32_t h, struct quad *out, size_t most)
{
    size_t n = (size_t)w * h, found = 0;
    struct finder f = {.map = map, .w = w, .h = h};
    f.seen = calloc(n, 1);
    f.stack = calloc(n, sizeof *f.stack);
    f.edge = calloc((size_t)h * 2 + 2, sizeof *f.edge);
    f.hull = calloc((size_t)h * 4 + 4, sizeof *f.hull);
    f.row_first = calloc(h, sizeof *f.row_first);
    f.row_last = calloc(h, sizeof *f.row_last);
    int result = SLUIS_ENOMEM;
    if (f.seen && f.stack && f.edge && f.hull && f.row_first && f.row_last) {
        memset(f.row_first, 0xff, h * sizeof *f.row_first);
        result = 0;
        for (size_t i = 0; i < n && result == 0; i++) {
            if (f.seen[i] || map[i] <= THRESHOLD)
                continue;
            struct quad q;
            size_t edge = region(&f, (uint32_t)i);
            if (!accept(&f, edge, &q))
                continue;
            if (found == most)
                result = SLUIS_ELIMIT;
            else
                out[found++] = q;
        }
    }
    free(f.seen);
    free(f.stack);
    free(f.edge);
    free(f.hull);
    free(f.row_first);
    free(f.row_last);
    return result ? result : (int)found;
}

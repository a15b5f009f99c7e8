/*
 * May a QR code be in a picture? zbar walks along every row and every column, twice (dark on light,
 * light on dark): a seventh of the time of a card. Its finder patterns (ISO/IEC 18004: runs of
 * 1:1:3:1:1) are looked for first, in every second row and in a column through what was found
 * there, in either colour at once, with zbar's own edges and more room than it gives itself. A code
 * has three: where they are not found zbar would find none either.
 */
#include "read.h"

#include <stdlib.h>
#include <zbar.h>

#define RUNS 5
#define MODULES 7 /* of a finder pattern */
#define ROW_STEP 2
#define CELL 8           /* pixels: one look along a column from each */
#define CENTRES_ENOUGH 3 /* a code has three */
#define CENTRES_MAX 64   /* more: zbar looks */
#define ALIKE 1.8f       /* widths of two patterns of one code, seen from the side too */
#define SHAPE 2.6f       /* the two widths of a pattern differ by less, seen from the side too */
#define WIDTH_MIN 9      /* pixels of a pattern: smaller modules than 1.3 are not read */
#define FIXED 32         /* zbar's widths are in parts of a pixel */

struct walk {
    zbar_scanner_t *scanner;
    const uint8_t *p;
    size_t step;
    uint32_t n, i; /* samples; past n: flushing */
    unsigned run[RUNS], runs;
};

static void walk_begin(struct walk *w, const uint8_t *p, size_t step, uint32_t n)
{
    (void)zbar_scanner_new_scan(w->scanner);
    w->p = p;
    w->step = step;
    w->n = n;
    w->i = w->runs = 0;
}

/* Two neighbouring runs are of 2, 4, 4 and 2 modules. zbar allows half a module. */
static bool pattern(const unsigned run[RUNS], unsigned *all)
{
    *all = run[0] + run[1] + run[2] + run[3] + run[4];
    for (unsigned i = 0; i + 1 < RUNS; i++) {
        float modules = (float)(run[i] + run[i + 1]) * MODULES / (float)*all;
        float middle = i == 1 || i == 2 ? 4 : 2;
        if (modules < middle - 0.75f || modules > middle + 0.75f)
            return false;
    }
    return true;
}

/* The next pattern: where it ends, and its width. False: the line is done. */
static bool walk_next(struct walk *w, float *end, float *width)
{
    while (w->i < w->n + 2) {
        uint32_t i = w->i++;
        zbar_symbol_type_t edge =
            i < w->n ? zbar_scan_y(w->scanner, w->p[i * w->step]) : zbar_scanner_flush(w->scanner);
        if (edge == ZBAR_NONE)
            continue;
        for (unsigned k = 0; k + 1 < RUNS; k++)
            w->run[k] = w->run[k + 1];
        w->run[RUNS - 1] = zbar_scanner_get_width(w->scanner);
        unsigned all;
        if (++w->runs >= RUNS && pattern(w->run, &all)) {
            *end = (float)zbar_scanner_get_edge(w->scanner, 0, 0);
            *width = (float)all / FIXED;
            return true;
        }
    }
    return false;
}

/* How many of three lines beside each other cross a pattern of about that width near `at`. Across
 * rows: `pitch` between samples; `along` the way from line to line. */
static unsigned crossings(struct walk *w, const uint8_t *line, size_t step, size_t along,
                          uint32_t n, uint32_t lines, float beside, float at, float width)
{
    float first = at - 3 * width < 0 ? 0 : at - 3 * width, end, size;
    float last = at + 3 * width > (float)n ? (float)n : at + 3 * width;
    float apart = width / (4 * MODULES) < 1 ? 1 : width / (4 * MODULES);
    unsigned hits = 0;
    for (int side = -1; side <= 1; side++) {
        float place = beside + (float)side * apart;
        if (place < 0 || place >= (float)lines)
            continue;
        bool hit = false;
        walk_begin(w, line + (size_t)place * along + (size_t)first * step, step,
                   (uint32_t)(last - first));
        while (!hit && walk_next(w, &end, &size)) {
            float off = first + end - size / 2 - at;
            hit =
                size < width * SHAPE && width < size * SHAPE && off < width / 2 && off > -width / 2;
        }
        hits += hit;
    }
    return hits;
}

struct look {
    const uint8_t *grey;
    uint32_t w, h;
    struct walk across, beside;
    uint8_t *tried;
    struct point centre[CENTRES_MAX];
    float width[CENTRES_MAX];
    unsigned centres;
    bool found;
};

static void add_centre(struct look *l, float x, float y, float width)
{
    for (unsigned i = 0; i < l->centres; i++) {
        float dx = l->centre[i].x - x, dy = l->centre[i].y - y;
        if (dx * dx + dy * dy < width * width)
            return;
    }
    unsigned alike = 1;
    for (unsigned i = 0; i < l->centres; i++)
        alike += width < l->width[i] * ALIKE && l->width[i] < width * ALIKE;
    l->centre[l->centres] = (struct point){x, y};
    l->width[l->centres++] = width;
    l->found = alike >= CENTRES_ENOUGH || l->centres == CENTRES_MAX;
}

/* Looks at one row; adds new centres. */
static void look_along(struct look *l, uint32_t y)
{
    float end, width;
    walk_begin(&l->across, l->grey + (size_t)y * l->w, 1, l->w);
    while (!l->found && walk_next(&l->across, &end, &width)) {
        float x = end - width / 2;
        if (width < WIDTH_MIN || x < 0 || x >= (float)l->w)
            continue;
        uint8_t *cell = &l->tried[y / CELL * (size_t)(l->w / CELL + 1) + (size_t)x / CELL];
        if (*cell)
            continue;
        if (crossings(&l->beside, l->grey, l->w, 1, l->h, l->w, x, (float)y, width) < 2 ||
            crossings(&l->beside, l->grey, 1, l->w, l->w, l->h, (float)y, x, width) < 2)
            continue;
        *cell = 1;
        add_centre(l, x, (float)y, width);
    }
}

int codes_likely(const uint8_t *grey, uint32_t w, uint32_t h)
{
    struct look l = {.grey = grey, .w = w, .h = h};
    l.across.scanner = zbar_scanner_create(NULL);
    l.beside.scanner = zbar_scanner_create(NULL);
    l.tried = calloc((size_t)(w / CELL + 1) * (h / CELL + 1), 1);
    bool room = l.across.scanner && l.beside.scanner && l.tried;
    for (uint32_t y = 0; room && y < h && !l.found; y += ROW_STEP)
        look_along(&l, y);
    if (l.across.scanner)
        zbar_scanner_destroy(l.across.scanner);
    if (l.beside.scanner)
        zbar_scanner_destroy(l.beside.scanner);
    free(l.tried);
    return room ? l.found : SLUIS_ENOMEM;
}

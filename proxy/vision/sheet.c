/* Contact sheet: before and after, side by side on grey, a row as high as its pictures. A place
 * that is crossed out: nothing is passed on, or (before) it is no picture. */
#include "sluis/vision.h"

#include "pixels.h"

#include <stdlib.h>

#define CELL 640u /* pixels of one picture on the sheet, at most */
#define GAP 16u
#define EMPTY (CELL / 4) /* height of a place that is crossed out */
#define CROSS 3          /* its lines, in pixels */

static int fit(struct pixels *p)
{
    uint32_t longer = p->w > p->h ? p->w : p->h;
    pixels_flatten(p, 255);
    if (longer <= CELL)
        return 0;
    struct pixels small;
    uint32_t w = p->w * CELL / longer, h = p->h * CELL / longer;
    int error = pixels_resize(p, w ? w : 1, h ? h : 1, &small);
    if (!error) {
        pixels_free(p);
        *p = small;
    }
    return error;
}

static void paste(struct pixels *sheet, const struct pixels *p, uint32_t x, uint32_t top)
{
    for (uint32_t y = 0; y < p->h; y++)
        memcpy(sheet->p + ((size_t)(y + top) * sheet->w + x) * 4, p->p + (size_t)y * p->w * 4,
               (size_t)p->w * 4);
}

/* A dark place with both diagonals. */
static int crossed_out(struct pixels *out)
{
    int error = pixels_new(CELL, EMPTY, out);
    if (error)
        return error;
    for (uint32_t y = 0; y < out->h; y++)
        for (uint32_t x = 0; x < out->w; x++) {
            int32_t down = (int32_t)(x * out->h / out->w), here = (int32_t)y;
            int32_t up = (int32_t)out->h - down;
            bool line = abs(here - down) < CROSS || abs(here - up) < CROSS;
            memcpy(out->p + ((size_t)y * out->w + x) * 4,
                   line ? "\xd0\x50\x40\xff" : "\x50\x50\x50\xff", 4);
        }
    return 0;
}

static int cell_of(struct span bytes, struct pixels *out)
{
    struct decoded d;
    if (bytes.n == 0 || picture_decode(bytes, &d) != 0)
        return crossed_out(out);
    int error = fit(&d.pixels);
    if (error)
        pixels_free(&d.pixels);
    else
        *out = d.pixels;
    return error;
}

static uint32_t be32(struct span s)
{
    uint32_t v = 0;
    for (size_t i = 0; i < 4 && i < s.n; i++)
        v = v << 8 | (unsigned char)s.p[i];
    return v;
}

/* The next pair; false at the end, or when the lengths do not hold. */
static bool next_pair(struct span *rest, struct span *before, struct span *after)
{
    if (rest->n < 8)
        return false;
    size_t a = be32(*rest), b = be32(span_from(*rest, 4));
    if (a > rest->n - 8 || b > rest->n - 8 - a)
        return false;
    *before = span_sub(*rest, 8, 8 + a);
    *after = span_sub(*rest, 8 + a, 8 + a + b);
    *rest = span_from(*rest, 8 + a + b);
    return true;
}

struct cells {
    struct pixels at[2 * PICTURE_SHEET_MAX];
    size_t rows;
};

static uint32_t height(const struct cells *c, size_t row)
{
    uint32_t before = c->at[2 * row].h, after = c->at[2 * row + 1].h;
    return before > after ? before : after;
}

static int draw(const struct cells *c, struct pixels *sheet)
{
    uint32_t h = GAP;
    for (size_t row = 0; row < c->rows; row++)
        h += height(c, row) + GAP;
    int error = pixels_new(2 * CELL + 3 * GAP, h, sheet);
    if (error)
        return error;
    for (size_t i = 0; i < (size_t)sheet->w * sheet->h; i++)
        memcpy(sheet->p + i * 4, "\x88\x88\x88\xff", 4);
    uint32_t top = GAP;
    for (size_t row = 0; row < c->rows; row++) {
        paste(sheet, &c->at[2 * row], GAP, top);
        paste(sheet, &c->at[2 * row + 1], CELL + 2 * GAP, top);
        top += height(c, row) + GAP;
    }
    return 0;
}

static int make_sheet(struct span pairs, struct pixels *sheet)
{
    struct span before, after;
    struct cells cells = {.rows = 0};
    int error = 0;
    while (!error && cells.rows < PICTURE_SHEET_MAX && next_pair(&pairs, &before, &after)) {
        error = cell_of(before, &cells.at[2 * cells.rows]);
        if (!error)
            error = cell_of(after, &cells.at[2 * cells.rows + 1]);
        cells.rows++;
    }
    if (!error)
        error = cells.rows ? draw(&cells, sheet) : SLUIS_EINVAL;
    for (size_t i = 0; i < 2 * PICTURE_SHEET_MAX; i++)
        pixels_free(&cells.at[i]);
    return error;
}

void vision_sheet(struct span pairs, struct picture_verdict *verdict, struct buffer *png)
{
    struct pixels sheet = {0};
    memset(verdict, 0, sizeof *verdict);
    verdict->fd = -1;
    verdict->reason = PICTURE_BROKEN;
    verdict->classes = 1u << PICTURE_CLASS_UNKNOWN;
    if (make_sheet(pairs, &sheet) == 0 && encode_png(&sheet, png) == 0) {
        verdict->outcome = PICTURE_CLEAN;
        verdict->reason = PICTURE_OK;
        verdict->classes = 1u << PICTURE_CLASS_CLEAN;
        verdict->kind = PICTURE_PNG;
        verdict->width = sheet.w;
        verdict->height = sheet.h;
    }
    pixels_free(&sheet);
}

/* Contact sheet: before and after, side by side on grey. */
#include "sluis/vision.h"

#include "pixels.h"

#define CELL 640u /* pixels of one picture on the sheet, at most */
#define GAP 16u

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

static int add_picture(struct pixels *sheet, struct span bytes, uint32_t x, uint32_t top)
{
    struct decoded d;
    if (bytes.n == 0)
        return 0; /* withheld: the place stays empty */
    if (picture_decode(bytes, &d) != 0)
        return 0; /* not a picture: empty too */
    int error = fit(&d.pixels);
    if (!error)
        paste(sheet, &d.pixels, x, top);
    pixels_free(&d.pixels);
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

static int make_sheet(struct span pairs, struct pixels *sheet)
{
    struct span rest = pairs, before, after;
    uint32_t rows = 0;
    while (rows < PICTURE_SHEET_MAX && next_pair(&rest, &before, &after))
        rows++;
    if (rows == 0)
        return SLUIS_EINVAL;
    int error = pixels_new(2 * CELL + 3 * GAP, rows * (CELL + GAP) + GAP, sheet);
    if (error)
        return error;
    for (size_t i = 0; i < (size_t)sheet->w * sheet->h; i++)
        memcpy(sheet->p + i * 4, "\x88\x88\x88\xff", 4);
    rest = pairs;
    for (uint32_t row = 0; row < rows && !error && next_pair(&rest, &before, &after); row++) {
        uint32_t top = GAP + row * (CELL + GAP);
        error = add_picture(sheet, before, GAP, top);
        if (!error)
            error = add_picture(sheet, after, CELL + 2 * GAP, top);
    }
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

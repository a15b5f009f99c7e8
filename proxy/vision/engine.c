/* Lines of text, and the choice of the engine. */
#include "read.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define SAME_PLACE 0.25f /* of a line's height: what finding text at another scale moves a box */
#define SAME_TURN 0.999f /* cosine: 2.5 degrees */
#define SURE 0.9f        /* mean probability of a line that another look would read the same */
#define DIGITS_MANY 8    /* a line with more may be a number that was misread */
#define DOUBT_GLYPHS                                                                               \
    60 /* a longer line that is sure is text: each look at it costs as much as ten short ones */
#define DIGITS_FEW 4      /* on a page of many lines one with fewer is not looked at again */
#define CAPITALS_MANY 16  /* in a row: of a machine-readable zone whose fillers were misread */
#define PAD_HEIGHTS 0.35f /* of the line's height, left and right of a covered part */
#define END_HEIGHTS 0.5f  /* where the line ends: its box may cut the last digit in two */

void lines_free(struct lines *lines)
{
    for (size_t i = 0; i < lines->n; i++) {
        sodium_memzero(lines->at[i].text, lines->at[i].n);
        free(lines->at[i].text);
        free(lines->at[i].place);
    }
    free(lines->at);
    memset(lines, 0, sizeof *lines);
}

int lines_add(struct lines *lines, const struct line *line)
{
    if (lines->n >= LINES_MAX)
        return SLUIS_ELIMIT;
    if (lines->n % 64 == 0) {
        struct line *more = realloc(lines->at, (lines->n + 64) * sizeof *more);
        if (!more)
            return SLUIS_ENOMEM;
        lines->at = more;
    }
    struct line *to = &lines->at[lines->n];
    *to = *line;
    to->text = malloc((size_t)line->n + 1);
    to->place = calloc((size_t)line->n + 1, sizeof *to->place);
    if (!to->text || !to->place) {
        free(to->text);
        free(to->place);
        return SLUIS_ENOMEM;
    }
    memcpy(to->text, line->text, line->n);
    to->text[line->n] = 0;
    memcpy(to->place, line->place, line->n * sizeof *to->place);
    lines->n++;
    return 0;
}

struct quad line_part(const struct line *line, size_t start, size_t end)
{
    struct quad q = line->quad;
    if (line->n == 0 || end <= start)
        return q;
    /* places are centres: half the way to the neighbour on each side, at least half a character */
    float half = line->glyphs ? 0.5f / (float)line->glyphs : 0.5f;
    float a = line->place[start] - half, b = line->place[end - 1] + half;
    float pad = q.w > 0 ? PAD_HEIGHTS * q.h / q.w : 0;
    float end_pad = q.w > 0 ? END_HEIGHTS * q.h / q.w : 0;
    a = start == 0 ? -end_pad : fmaxf(a - pad, 0);
    b = end >= line->n ? 1 + end_pad : fminf(b + pad, 1);
    float middle = (a + b) / 2 - 0.5f;
    q.centre.x += middle * q.w * q.along.x;
    q.centre.y += middle * q.w * q.along.y;
    q.w *= b - a;
    return q;
}

int touched_new(uint32_t w, uint32_t h, struct touched *out)
{
    out->w = (w + TOUCHED_CELL - 1) / TOUCHED_CELL;
    out->h = (h + TOUCHED_CELL - 1) / TOUCHED_CELL;
    out->cell = calloc((size_t)out->w * out->h + 1, 1);
    return out->cell ? 0 : SLUIS_ENOMEM;
}

void touched_free(struct touched *t)
{
    free(t->cell);
    memset(t, 0, sizeof *t);
}

/* First and last cell of each axis under the box around a rectangle; false when there is none. */
static bool cells_of(const struct touched *t, const struct quad *quad, uint32_t c[4])
{
    int32_t box[4];
    quad_box(quad, t->w * TOUCHED_CELL, t->h * TOUCHED_CELL, box);
    if (box[2] <= 0 || box[3] <= 0)
        return false;
    c[0] = (uint32_t)box[0] / TOUCHED_CELL;
    c[1] = (uint32_t)box[1] / TOUCHED_CELL;
    c[2] = (uint32_t)(box[0] + box[2] - 1) / TOUCHED_CELL;
    c[3] = (uint32_t)(box[1] + box[3] - 1) / TOUCHED_CELL;
    return true;
}

void touched_mark(struct touched *t, const struct quad *quad)
{
    uint32_t c[4];
    if (!cells_of(t, quad, c))
        return;
    for (uint32_t y = c[1]; y <= c[3]; y++)
        memset(t->cell + (size_t)y * t->w + c[0], 1, c[2] - c[0] + 1);
}

bool touched_at(const struct touched *t, const struct quad *quad)
{
    uint32_t c[4];
    if (!cells_of(t, quad, c))
        return true;
    for (uint32_t y = c[1]; y <= c[3]; y++)
        if (memchr(t->cell + (size_t)y * t->w + c[0], 1, c[2] - c[0] + 1))
            return true;
    return false;
}

/* On a page of many lines: may it hold a number or a machine-readable zone, misread too? Four
 * digits in all; four letters in a row that are taken for digits, or half of the line; a filler, or
 * a long row of capitals. */
static bool number_like(const struct line *line)
{
    unsigned digits = 0, alike = 0, all_alike = 0, capitals = 0, shown = 0;
    for (size_t i = 0; i < line->n; i++) {
        char c = line->text[i];
        bool digit = c >= '0' && c <= '9', like = digit || look_alike(c);
        digits += digit;
        all_alike += like;
        shown += c != ' ';
        alike = like ? alike + 1 : 0;
        capitals = digit || (c >= 'A' && c <= 'Z') ? capitals + 1 : 0;
        if (c == '<' || digits >= DIGITS_FEW || alike >= DIGITS_FEW || capitals >= CAPITALS_MANY)
            return true;
    }
    return all_alike >= DIGITS_MANY && all_alike * 2 >= shown;
}

static bool doubtful(const struct line *line, bool many)
{
    unsigned digits = 0;
    for (size_t i = 0; i < line->n; i++)
        digits += line->text[i] >= '0' && line->text[i] <= '9';
    if (many && !number_like(line))
        return false;
    return line->score < SURE || (digits >= DIGITS_MANY && line->glyphs <= DOUBT_GLYPHS);
}

const struct line *again_known(const struct again *again, const struct quad *q)
{
    for (size_t i = 0; i < again->known->n; i++) {
        const struct line *line = &again->known->at[i];
        const struct quad *k = &line->quad;
        float dx = k->centre.x - q->centre.x, dy = k->centre.y - q->centre.y;
        if (fabsf(dx) + fabsf(dy) > SAME_PLACE * q->h || fabsf(k->h - q->h) > SAME_PLACE * q->h ||
            fabsf(k->w - q->w) > 2 * SAME_PLACE * q->h ||
            fabsf(k->along.x * q->along.x + k->along.y * q->along.y) < SAME_TURN)
            continue;
        if (again->doubt && doubtful(line, again->many))
            continue;
        if (!touched_at(again->touched, q) && !touched_at(again->touched, k))
            return line;
    }
    return NULL;
}

struct engine {
    struct ppocr *ppocr;
    struct tesseract *tesseract;
};

int engine_new(const char *folder, struct engine **out, char problem[160])
{
    struct engine *e = calloc(1, sizeof *e);
    *out = NULL;
    problem[0] = 0;
    if (!e)
        return SLUIS_ENOMEM;
    int error = SLUIS_ENOENT;
    if (folder)
        error = ppocr_new(folder, &e->ppocr, problem);
    else
        snprintf(problem, 160, "no models are installed (proxy/run --with-pictures)");
    if (error == SLUIS_ENOMEM) {
        free(e);
        return error;
    }
    if (error && tesseract_new(&e->tesseract) != 0) {
        size_t n = strlen(problem);
        snprintf(problem + n, 160 - n, "; tesseract neither");
    }
    *out = e;
    return 0;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    ppocr_free(engine->ppocr);
    tesseract_free(engine->tesseract);
    free(engine);
}

enum picture_engine engine_kind(const struct engine *engine)
{
    return engine->ppocr       ? PICTURE_ENGINE_PPOCR
           : engine->tesseract ? PICTURE_ENGINE_TESSERACT
                               : PICTURE_ENGINE_NONE;
}

void engine_versions(const struct engine *engine, char *out, size_t size)
{
    if (engine->ppocr)
        snprintf(out, size, "%s", ppocr_version(engine->ppocr));
    else if (engine->tesseract)
        snprintf(out, size, "tesseract %s", tesseract_version(engine->tesseract));
    else
        snprintf(out, size, "none");
}

int engine_read(struct engine *engine, const struct pixels *p, uint32_t side, struct again *again,
                struct lines *lines)
{
    if (engine->ppocr)
        return ppocr_read(engine->ppocr, p, side, again, lines);
    if (engine->tesseract)
        return tesseract_read(engine->tesseract, p, lines);
    return SLUIS_ENOENT;
}

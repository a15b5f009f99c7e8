/* Lines of text, and the choice of the engine. */
#include "read.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define PAD_HEIGHTS 0.35f /* of the line's height, left and right of a covered part */

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
    if (start == 0)
        a = 0;
    if (end >= line->n)
        b = 1;
    float pad = q.w > 0 ? PAD_HEIGHTS * q.h / q.w : 0;
    a = fmaxf(a - pad, 0);
    b = fminf(b + pad, 1);
    float middle = (a + b) / 2 - 0.5f;
    q.centre.x += middle * q.w * q.along.x;
    q.centre.y += middle * q.w * q.along.y;
    q.w *= b - a;
    return q;
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

int engine_read(struct engine *engine, const struct pixels *p, uint32_t side,
                const struct near *near, struct lines *lines)
{
    if (engine->ppocr)
        return ppocr_read(engine->ppocr, p, side, near, lines);
    if (engine->tesseract)
        return tesseract_read(engine->tesseract, p, lines);
    return SLUIS_ENOENT;
}

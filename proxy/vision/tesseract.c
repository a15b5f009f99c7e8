/*
 * The declared fallback: tesseract 5 through its C interface (tesseract/capi.h), loaded at run
 * time, so that a worker with PP-OCRv4 does not carry it. Two layouts: as one block, and sparse
 * text.
 */
#include "read.h"

#include <dlfcn.h>
#include <stdlib.h>

enum { PSM_SINGLE_BLOCK = 6, PSM_SPARSE = 11, LEVEL_LINE = 2, LEVEL_WORD = 3, LEVEL_SYMBOL = 4 };
#define SCALE_SIDE 1600 /* a photo of 12 megapixels cost 15 to 52 s */

struct tesseract {
    void *library, *api;
    const char *(*version)(void);
    void *(*create)(void);
    void (*delete)(void *);
    int (*init)(void *, const char *, const char *);
    void (*set_mode)(void *, int);
    void (*set_image)(void *, const unsigned char *, int, int, int, int);
    int (*recognise)(void *, void *);
    void *(*iterator)(void *);
    void (*iterator_delete)(void *);
    const void *(*page)(const void *);
    int (*next)(void *, int);
    int (*at_start)(const void *, int);
    int (*box)(const void *, int, int *, int *, int *, int *);
    char *(*text)(const void *, int);
    float (*sure)(const void *, int);
    void (*text_delete)(const char *);
    void (*clear)(void *);
};

static bool take(const struct tesseract *t, const char *name, void *to)
{
    void *symbol = dlsym(t->library, name);
    memcpy(to, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool bind_all(struct tesseract *t)
{
    return take(t, "TessVersion", &t->version) && take(t, "TessBaseAPICreate", &t->create) &&
           take(t, "TessBaseAPIDelete", &t->delete) && take(t, "TessBaseAPIInit3", &t->init) &&
           take(t, "TessBaseAPISetPageSegMode", &t->set_mode) &&
           take(t, "TessBaseAPISetImage", &t->set_image) &&
           take(t, "TessBaseAPIRecognize", &t->recognise) &&
           take(t, "TessBaseAPIGetIterator", &t->iterator) &&
           take(t, "TessResultIteratorDelete", &t->iterator_delete) &&
           take(t, "TessResultIteratorGetPageIteratorConst", &t->page) &&
           take(t, "TessResultIteratorNext", &t->next) &&
           take(t, "TessPageIteratorIsAtBeginningOf", &t->at_start) &&
           take(t, "TessPageIteratorBoundingBox", &t->box) &&
           take(t, "TessResultIteratorGetUTF8Text", &t->text) &&
           take(t, "TessResultIteratorConfidence", &t->sure) &&
           take(t, "TessDeleteText", &t->text_delete) && take(t, "TessBaseAPIClear", &t->clear);
}

int tesseract_new(struct tesseract **out)
{
    struct tesseract *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t)
        return SLUIS_ENOMEM;
    t->library = dlopen("libtesseract.so.5", RTLD_NOW | RTLD_LOCAL);
    if (t->library && bind_all(t)) {
        t->api = t->create();
        if (t->api &&
            (t->init(t->api, NULL, "eng+nld") == 0 || t->init(t->api, NULL, "eng") == 0)) {
            *out = t;
            return 0;
        }
    }
    tesseract_free(t);
    return SLUIS_ENOENT;
}

void tesseract_free(struct tesseract *t)
{
    if (!t)
        return;
    if (t->api)
        t->delete (t->api);
    free(t);
}

const char *tesseract_version(const struct tesseract *t)
{
    return t->version();
}

struct collect {
    char text[LINE_TEXT_MAX + 1];
    float left[LINE_TEXT_MAX + 1]; /* centre of each byte's character, in pixels */
    struct line line;
    int x0, y0, x1, y1;
    float sure;
};

static int flush(struct collect *c, struct lines *lines, float scale)
{
    struct line *l = &c->line;
    int error = 0;
    if (l->n && c->x1 > c->x0 && c->y1 > c->y0) {
        float w = (float)(c->x1 - c->x0), h = (float)(c->y1 - c->y0);
        for (size_t i = 0; i < l->n; i++)
            c->left[i] = (c->left[i] - (float)c->x0) / w;
        l->quad = (struct quad){{((float)c->x0 + w / 2) * scale, ((float)c->y0 + h / 2) * scale},
                                {1, 0},
                                (w + h * 0.3f) * scale,
                                h * 1.3f * scale};
        l->score = c->sure / (float)l->glyphs / 100;
        error = lines_add(lines, l);
    }
    l->n = l->glyphs = 0;
    c->x0 = c->y0 = 1 << 30;
    c->x1 = c->y1 = 0;
    c->sure = 0;
    return error;
}

static void add_symbol(const struct tesseract *t, const void *it, const void *page,
                       struct collect *c)
{
    int x0, y0, x1, y1;
    char *text = t->text(it, LEVEL_SYMBOL);
    if (!text)
        return;
    size_t n = strlen(text);
    if (t->box(page, LEVEL_SYMBOL, &x0, &y0, &x1, &y1) && c->line.n + n + 1 < LINE_TEXT_MAX) {
        float centre = (float)(x0 + x1) / 2;
        if (c->line.n && t->at_start(page, LEVEL_WORD)) {
            c->text[c->line.n] = ' ';
            c->left[c->line.n++] = centre;
        }
        for (size_t i = 0; i < n; i++) {
            c->text[c->line.n] = text[i];
            c->left[c->line.n++] = centre;
        }
        c->line.glyphs++;
        c->sure += t->sure(it, LEVEL_SYMBOL);
        c->x0 = x0 < c->x0 ? x0 : c->x0;
        c->y0 = y0 < c->y0 ? y0 : c->y0;
        c->x1 = x1 > c->x1 ? x1 : c->x1;
        c->y1 = y1 > c->y1 ? y1 : c->y1;
    }
    t->text_delete(text);
}

static int layout(struct tesseract *t, const struct pixels *p, int mode, float scale,
                  struct lines *lines)
{
    struct collect *c = calloc(1, sizeof *c);
    if (!c)
        return SLUIS_ENOMEM;
    c->line.text = c->text;
    c->line.place = c->left;
    t->set_mode(t->api, mode);
    t->set_image(t->api, p->p, (int)p->w, (int)p->h, 4, (int)p->w * 4);
    int error = flush(c, lines, scale);
    if (!error && t->recognise(t->api, NULL) != 0)
        error = SLUIS_EINVAL; /* not read is not empty */
    if (!error) {
        void *it = t->iterator(t->api);
        const void *page = it ? t->page(it) : NULL;
        if (page)
            do {
                if (t->at_start(page, LEVEL_LINE))
                    error = flush(c, lines, scale);
                add_symbol(t, it, page, c);
            } while (!error && t->next(it, LEVEL_SYMBOL));
        if (!error)
            error = flush(c, lines, scale);
        if (it)
            t->iterator_delete(it);
    }
    t->clear(t->api);
    free(c);
    return error;
}

int tesseract_read(struct tesseract *t, const struct pixels *p, struct lines *lines)
{
    uint32_t longer = p->w > p->h ? p->w : p->h;
    struct pixels small = {0};
    float scale = 1;
    int error = 0;
    if (longer > SCALE_SIDE) {
        scale = (float)longer / SCALE_SIDE;
        error = pixels_resize(p, (uint32_t)((float)p->w / scale) + 1,
                              (uint32_t)((float)p->h / scale) + 1, &small);
    }
    const struct pixels *from = small.p ? &small : p;
    if (!error)
        error = layout(t, from, PSM_SINGLE_BLOCK, scale, lines);
    if (!error)
        error = layout(t, from, PSM_SPARSE, scale, lines);
    pixels_free(&small);
    return error;
}

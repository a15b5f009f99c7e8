/*
 * PP-OCRv4: find text, rectify, turn what stands upside down, recognise. Settings as measured
 * (media figures): input of detection in multiples of 32, lines 48 high, CTC greedy. Channel order
 * is BGR, as the models were trained.
 */
#include "read.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "models.h"
#include "ort.h"

#define KEYS_MAX 8000       /* characters the recogniser knows */
#define LINE_HEIGHT 48      /* of a line handed to the recogniser and the classifier */
#define TURN_WIDTH 192      /* of a line handed to the classifier */
#define TURN_MAYBE 0.4f     /* above: the line is read both ways, the surer reading stays */
#define LINE_WIDTH_MIN 160  /* shorter lines are padded to this; with 320 a quarter slower */
#define LINE_WIDTH_MAX 2400 /* longer ones are squeezed */
#define TALL 1.5f           /* a box this much higher than wide holds turned text */
#define NEAR_ROOM 48        /* pixels around what is looked at again */
#define NEAR_LINE 100 /* a group higher than this is a card or a document, with room of its own */
#define LINE_LONG 4   /* times its height: a line of text, however high */
#define NEAR_ALL 0.8f /* of the picture: then all of it is looked at */
#define CHAR_SCORE_MIN 0.0f
#define SPACE_WORDS 0.006f  /* probability of a space between two characters, in all */
#define SPACE_DIGIT 0.03f   /* the same beside a digit */
#define LINE_SCORE_MIN 0.5f /* a line below is noise */

struct ppocr {
    struct ort *ort;
    struct ort_model *detect, *recognise, *turn;
    struct buffer keys;
    struct span key[KEYS_MAX];
    size_t keys_n;
    char version[64];
};

void ppocr_free(struct ppocr *ocr)
{
    if (!ocr)
        return;
    ort_model_free(ocr->detect);
    ort_model_free(ocr->recognise);
    ort_model_free(ocr->turn);
    ort_close(ocr->ort);
    buffer_free(&ocr->keys);
    free(ocr);
}

static int load_model(struct ppocr *ocr, const char *folder, enum model_file file,
                      const char *output, struct ort_model **out)
{
    struct buffer bytes, simple;
    unsigned changes;
    int fd;
    buffer_init(&bytes, MODEL_BYTES_MAX);
    buffer_init(&simple, MODEL_BYTES_MAX);
    int error = model_open(folder, file, &fd, &bytes);
    if (!error && (model_simplify(buffer_span(&bytes), &simple, &changes) != 0 ||
                   ort_model_new(ocr->ort, buffer_span(&simple), output, out) != 0))
        error = ort_model_new(ocr->ort, buffer_span(&bytes), output, out); /* as it came */
    if (fd >= 0)
        close(fd);
    buffer_free(&bytes);
    buffer_free(&simple);
    return error;
}

/* Class 0 is CTC's blank, the last is a space, the keys stand between. */
static int load_keys(struct ppocr *ocr, const char *folder)
{
    int fd;
    buffer_init(&ocr->keys, MODEL_BYTES_MAX);
    int error = model_open(folder, MODEL_KEYS, &fd, &ocr->keys);
    if (fd >= 0)
        close(fd);
    if (error)
        return error;
    struct span rest = buffer_span(&ocr->keys);
    ocr->key[ocr->keys_n++] = SPAN_EMPTY;
    while (rest.n && ocr->keys_n + 1 < KEYS_MAX) {
        size_t end = span_find(rest, '\n');
        ocr->key[ocr->keys_n++] = span_sub(rest, 0, end);
        rest = span_from(rest, end + 1);
    }
    ocr->key[ocr->keys_n++] = SPAN(" ");
    return 0;
}

int ppocr_new(const char *folder, struct ppocr **out, char problem[160])
{
    *out = NULL;
    struct ppocr *ocr = calloc(1, sizeof *ocr);
    if (!ocr)
        return SLUIS_ENOMEM;
    int fd;
    enum model_file at = MODEL_RUNTIME;
    int error = model_open(folder, MODEL_RUNTIME, &fd, NULL);
    if (!error)
        error = ort_open(fd, &ocr->ort);
    if (fd >= 0)
        close(fd);
    if (!error) {
        at = MODEL_DETECT;
        error = load_model(ocr, folder, at, "sigmoid_0.tmp_0", &ocr->detect);
    }
    if (!error) {
        at = MODEL_RECOGNISE;
        error = load_model(ocr, folder, at, "softmax_11.tmp_0", &ocr->recognise);
    }
    if (!error) {
        at = MODEL_TURN;
        error = load_model(ocr, folder, at, "softmax_0.tmp_0", &ocr->turn);
    }
    if (!error) {
        at = MODEL_KEYS;
        error = load_keys(ocr, folder);
    }
    if (error) {
        snprintf(problem, 160, "%s: %s", model_name(at),
                 error == SLUIS_ENOENT    ? "is not there"
                 : error == SLUIS_ECRYPTO ? "is not the pinned file (SHA-256)"
                                          : "cannot be loaded");
        ppocr_free(ocr);
        return error;
    }
    snprintf(ocr->version, sizeof ocr->version, "pp-ocrv4 1.4.2, onnxruntime %s",
             ort_version(ocr->ort));
    *out = ocr;
    return 0;
}

const char *ppocr_version(const struct ppocr *ocr)
{
    return ocr->version;
}

/* Planes B, G, R of `p` at the left of a w-wide input, (value/255 - mean) / deviation. */
static float *to_input(const struct pixels *p, uint32_t w, const float mean[3],
                       const float deviation[3])
{
    float *in = calloc((size_t)3 * w * p->h, sizeof *in);
    if (!in)
        return NULL;
    for (unsigned c = 0; c < 3; c++)
        for (uint32_t y = 0; y < p->h; y++)
            for (uint32_t x = 0; x < p->w && x < w; x++)
                in[((size_t)c * p->h + y) * w + x] =
                    ((float)p->p[((size_t)y * p->w + x) * 4 + 2 - c] / 255 - mean[c]) /
                    deviation[c];
    return in;
}

static uint32_t to_32(double v)
{
    uint32_t n = (uint32_t)(v / 32 + 0.5) * 32;
    return n < 32 ? 32 : n;
}

/* Rectangles of text in `p`'s own pixels. */
static int detect(struct ppocr *ocr, const struct pixels *p, uint32_t side, struct quad *quads)
{
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, deviation[3] = {0.229f, 0.224f, 0.225f};
    uint32_t longer = p->w > p->h ? p->w : p->h;
    double scale = longer > side ? (double)side / longer : 1;
    uint32_t w = to_32(p->w * scale), h = to_32(p->h * scale);
    struct pixels small;
    struct ort_tensor map;
    int error = pixels_resize(p, w, h, &small);
    if (error)
        return error;
    float *in = to_input(&small, w, mean, deviation);
    pixels_free(&small);
    if (!in)
        return SLUIS_ENOMEM;
    error = ort_run(ocr->detect, in, h, w, &map);
    free(in);
    if (error)
        return error;
    int n = SLUIS_EINVAL;
    if (map.rank == 4 && map.shape[2] == h && map.shape[3] == w)
        n = find_text(map.p, w, h, quads, LINES_MAX);
    ort_tensor_free(ocr->detect, &map);
    float fx = (float)p->w / (float)w, fy = (float)p->h / (float)h;
    for (int i = 0; i < n; i++) { /* the two scales differ by a rounding only */
        quads[i].centre.x = (quads[i].centre.x + 0.5f) * fx;
        quads[i].centre.y = (quads[i].centre.y + 0.5f) * fy;
        float s = sqrtf(fx * fy);
        quads[i].w *= fabsf(quads[i].along.x) * fx + (1 - fabsf(quads[i].along.x)) * s;
        quads[i].h *= fabsf(quads[i].along.x) * fy + (1 - fabsf(quads[i].along.x)) * s;
    }
    return n;
}

/* A tall box is read as a quarter turn: its text runs upward or downward. */
static struct quad lay_down(struct quad q)
{
    if (q.h < q.w * TALL)
        return q;
    float w = q.w;
    q.w = q.h;
    q.h = w;
    q.along = (struct point){-q.along.y, q.along.x};
    return q;
}

static int turn(struct ppocr *ocr, const struct pixels *line, bool *maybe)
{
    static const float half[3] = {0.5f, 0.5f, 0.5f};
    struct pixels small;
    struct ort_tensor t;
    double w = ceil((double)LINE_HEIGHT * line->w / line->h);
    int error = pixels_resize(line, w > TURN_WIDTH ? TURN_WIDTH : (uint32_t)w, LINE_HEIGHT, &small);
    if (error)
        return error;
    float *in = to_input(&small, TURN_WIDTH, half, half);
    pixels_free(&small);
    if (!in)
        return SLUIS_ENOMEM;
    error = ort_run(ocr->turn, in, LINE_HEIGHT, TURN_WIDTH, &t);
    free(in);
    if (error)
        return error;
    *maybe = t.rank == 2 && t.shape[1] == 2 && t.p[1] > TURN_MAYBE;
    ort_tensor_free(ocr->turn, &t);
    return 0;
}

/* One character's bytes, all at its place. False: the line is full. */
static bool put_glyph(struct line *line, struct span key, float place)
{
    if (line->n + key.n >= LINE_TEXT_MAX)
        return false;
    for (size_t b = 0; b < key.n; b++) {
        line->text[line->n] = key.p[b];
        line->place[line->n++] = place > 1 ? 1 : place;
    }
    return true;
}

/* How sure a space must be between two characters: beside a letter only. Digits that are embossed
 * stand wide apart, and a stroke between groups is read as one: those are not torn apart. */
static float space_min(char before, char after)
{
    bool a = isalpha((unsigned char)before), b = isalpha((unsigned char)after);
    if (a && b)
        return SPACE_WORDS;
    bool digit = isdigit((unsigned char)before) || isdigit((unsigned char)after);
    return (a || b) && digit ? SPACE_DIGIT : INFINITY;
}

/* CTC, greedy: the best class of each step, repetitions once, blanks dropped. Between Latin words
 * the model nearly always prefers its blank to the space; where it gave the space some probability
 * at all, there is one: recognisers look for words. */
static void decode_ctc(const struct ppocr *ocr, const struct ort_tensor *t, float shown,
                       struct line *line)
{
    size_t steps = (size_t)t->shape[1], classes = (size_t)t->shape[2], last = 0;
    size_t blank_key = ocr->keys_n - 1 < classes ? ocr->keys_n - 1 : 0;
    float sum = 0, space = 0;
    for (size_t i = 0; i < steps; i++) {
        const float *p = t->p + i * classes;
        size_t best = 0;
        for (size_t k = 1; k < classes; k++)
            if (p[k] > p[best])
                best = k;
        space += blank_key ? p[blank_key] : 0;
        if (best && best != last && best < ocr->keys_n && p[best] > CHAR_SCORE_MIN) {
            struct span key = ocr->key[best];
            float place = ((float)i + 0.5f) / (float)steps / shown;
            if (line->n && space > space_min(line->text[line->n - 1], key.p[0]) &&
                !put_glyph(line, SPAN(" "), (line->place[line->n - 1] + place) / 2))
                break;
            if (!put_glyph(line, key, place))
                break;
            line->glyphs++;
            sum += p[best];
            space = 0;
        }
        last = best;
    }
    line->text[line->n] = 0;
    line->score = line->glyphs ? sum / line->glyphs : 0;
}

static int recognise(struct ppocr *ocr, const struct pixels *crop, struct line *line)
{
    static const float half[3] = {0.5f, 0.5f, 0.5f};
    struct pixels small;
    struct ort_tensor t;
    double wanted = ceil((double)LINE_HEIGHT * crop->w / crop->h);
    uint32_t w = wanted > LINE_WIDTH_MAX ? LINE_WIDTH_MAX : wanted < 1 ? 1 : (uint32_t)wanted;
    uint32_t padded = w < LINE_WIDTH_MIN ? LINE_WIDTH_MIN : (w + 7) / 8 * 8;
    int error = pixels_resize(crop, w, LINE_HEIGHT, &small);
    if (error)
        return error;
    float *in = to_input(&small, padded, half, half);
    pixels_free(&small);
    if (!in)
        return SLUIS_ENOMEM;
    error = ort_run(ocr->recognise, in, LINE_HEIGHT, padded, &t);
    free(in);
    if (error)
        return error;
    if (t.rank == 3 && t.shape[1] > 0 && t.shape[2] > 1)
        decode_ctc(ocr, &t, (float)w / (float)padded, line);
    ort_tensor_free(ocr->recognise, &t);
    return 0;
}

struct reading {
    char text[LINE_TEXT_MAX + 1];
    float place[LINE_TEXT_MAX + 1];
    struct line line;
};

static int read_way(struct ppocr *ocr, const struct pixels *crop, const struct quad *quad,
                    struct reading *r)
{
    r->line = (struct line){.quad = *quad, .text = r->text, .place = r->place};
    return recognise(ocr, crop, &r->line);
}

static int keep_line(const struct line *line, struct lines *lines)
{
    return line->n && line->score >= LINE_SCORE_MIN ? lines_add(lines, line) : 0;
}

static int read_line(struct ppocr *ocr, const struct pixels *p, struct quad quad,
                     struct again *again, struct reading *two, struct lines *lines)
{
    struct pixels crop;
    struct line *best = &two[0].line;
    bool maybe = false;
    quad = lay_down(quad);
    const struct line *known = again ? again_known(again, &quad) : NULL;
    if (known)
        return keep_line(known, lines);
    int error = pixels_crop(p, &quad, &crop);
    if (error)
        return error;
    error = turn(ocr, &crop, &maybe);
    if (!error)
        error = read_way(ocr, &crop, &quad, &two[0]);
    if (!error && maybe) {
        /* embossed digits look turned to the classifier: the surer reading of both stays */
        pixels_half_turn(&crop);
        quad.along = (struct point){-quad.along.x, -quad.along.y};
        error = read_way(ocr, &crop, &quad, &two[1]);
        if (two[1].line.score > best->score)
            best = &two[1].line;
    }
    pixels_free(&crop);
    if (!error)
        error = keep_line(best, lines);
    if (!error && again && again->known->n < LINES_MAX) /* full: the rest is recognised each time */
        error = lines_add(again->known, best);
    return error;
}

/* Does the box around `q`, grown by its height, touch the box around one of those to look near? */
static bool is_near(const struct pixels *p, const struct quad *q, const struct again *near)
{
    struct quad wide = *q;
    int32_t a[4], b[4];
    wide.w += 4 * fminf(q->w, q->h);
    wide.h += 4 * fminf(q->w, q->h);
    quad_box(&wide, p->w, p->h, a);
    for (size_t i = 0; i < near->n; i++) {
        quad_box(&near->near[i], p->w, p->h, b);
        if (a[0] <= b[0] + b[2] && b[0] <= a[0] + a[2] && a[1] <= b[1] + b[3] &&
            b[1] <= a[1] + a[3])
            return true;
    }
    return false;
}

float near_room(const struct quad *q)
{
    float high = fminf(q->w, q->h), wide = fmaxf(q->w, q->h);
    return NEAR_ROOM + 2 * (wide >= LINE_LONG * high ? high : fminf(high, NEAR_LINE));
}

/* The box around all that is to be looked at, with room for lines that begin there. */
static struct quad near_box(const struct pixels *p, const struct again *near)
{
    int32_t all[4] = {(int32_t)p->w, (int32_t)p->h, 0, 0}, b[4]; /* left, top, right, bottom */
    for (size_t i = 0; i < near->n; i++) {
        struct quad q = near->near[i];
        float room = 2 * near_room(&q);
        q.w += room;
        q.h += room;
        quad_box(&q, p->w, p->h, b);
        all[0] = b[0] < all[0] ? b[0] : all[0];
        all[1] = b[1] < all[1] ? b[1] : all[1];
        all[2] = b[0] + b[2] > all[2] ? b[0] + b[2] : all[2];
        all[3] = b[1] + b[3] > all[3] ? b[1] + b[3] : all[3];
    }
    float w = (float)(all[2] - all[0]), h = (float)(all[3] - all[1]);
    return (struct quad){
        {(float)all[0] + w / 2, (float)all[1] + h / 2}, {1, 0}, fmaxf(w, 1), fmaxf(h, 1)};
}

/* Finds text in the part that is to be looked at, at the scale of the whole. */
static int detect_near(struct ppocr *ocr, const struct pixels *p, uint32_t side,
                       const struct again *near, struct quad *quads)
{
    struct pixels part;
    struct quad box = near_box(p, near);
    uint32_t longer = p->w > p->h ? p->w : p->h;
    if (box.w * box.h > NEAR_ALL * (float)p->w * (float)p->h)
        return detect(ocr, p, side, quads);
    int error = pixels_crop(p, &box, &part);
    if (error)
        return error;
    double scale = longer > side ? (double)side / longer : 1;
    int n = detect(ocr, &part, (uint32_t)(fmaxf(box.w, box.h) * scale) + 1, quads);
    pixels_free(&part);
    for (int i = 0; i < n; i++) {
        quads[i].centre.x += box.centre.x - box.w / 2;
        quads[i].centre.y += box.centre.y - box.h / 2;
    }
    return n;
}

int ppocr_read(struct ppocr *ocr, const struct pixels *p, uint32_t side, struct again *again,
               struct lines *lines)
{
    struct quad *quads = calloc(LINES_MAX, sizeof *quads);
    struct reading *two = calloc(2, sizeof *two);
    bool part = again && again->n;
    int n = !quads || !two ? SLUIS_ENOMEM
            : part         ? detect_near(ocr, p, side, again, quads)
                           : detect(ocr, p, side, quads);
    int error = n < 0 ? n : 0;
    for (int i = 0; i < n && !error; i++)
        if (!part || is_near(p, &quads[i], again))
            error = read_line(ocr, p, quads[i], again, two, lines);
    free(two);
    free(quads);
    return error;
}

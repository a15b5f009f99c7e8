/* One picture from bytes to verdict: decode, read (more passes where it is worth it), judge, cover,
 * read again what was covered, encode. */
#include "sluis/vision.h"

#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "judge.h"

#define READ_SIDE 2000u /* the copy that is read: more costs time and finds nothing */
#define COVER_ROUNDS 4  /* covering, reading, covering again; then it is withheld */
#define COVER_PAD 0.12f /* of a box's height, above and below */
#define LINES_FEW 40    /* a page with more is not looked at again for words that are unsure */
#define NEAR_CARD 0.25f /* of the covered area's longer side: digits this near are the card's */

/* A picture that can be seen through shows something else on each ground, and something else again
 * to whoever takes the transparency away: all that can be seen is read, and read after covering. */
enum view { ON_LIGHT, ON_DARK, ON_GREY, BARE }; /* grey: text half in white, half in black */
static const uint8_t ground[BARE] = {255, 0, 128};
#define NEARLY_OPAQUE 240 /* from this alpha on two grounds differ by 15 levels at most */

/* Sides for finding text, in order. The first serves nearly all; the second finds 7 cards more of
 * 123. */
static const uint32_t sides[] = {960, 736, 1280, 544};
#define PASSES (sizeof sides / sizeof *sides)
#define PASSES_DEFAULT 3

struct vision {
    struct engine *engine;
    struct {
        uint64_t key;
        struct detector *detector;
    } detect[PICTURE_DETECT_MAX + 1]; /* the first has key 0 */
    unsigned detectors;
    struct detect_scratch *scratch;
    unsigned passes;
};

int vision_new(const char *models, const struct detect_settings *settings, struct vision **out,
               char problem[160])
{
    struct vision *v = calloc(1, sizeof *v);
    *out = NULL;
    problem[0] = 0;
    if (!v)
        return SLUIS_ENOMEM;
    v->passes = PASSES_DEFAULT;
    int error = vision_detect(v, 0, settings);
    if (!error)
        error = detect_scratch_new(&v->scratch);
    if (!error)
        error = engine_new(models, &v->engine, problem);
    if (error)
        vision_free(v);
    else
        *out = v;
    return error;
}

int vision_detect(struct vision *v, uint64_t key, const struct detect_settings *settings)
{
    if (v->detectors > PICTURE_DETECT_MAX)
        return SLUIS_ELIMIT;
    int error = detector_new(settings, &v->detect[v->detectors].detector, NULL);
    if (!error)
        v->detect[v->detectors++].key = key;
    return error;
}

static const struct detector *detector_of(const struct vision *v, uint64_t key)
{
    for (unsigned i = 0; i < v->detectors; i++)
        if (v->detect[i].key == key)
            return v->detect[i].detector;
    return NULL;
}

void vision_free(struct vision *vision)
{
    if (!vision)
        return;
    engine_free(vision->engine);
    detect_scratch_free(vision->scratch);
    for (unsigned i = 0; i < vision->detectors; i++)
        detector_free(vision->detect[i].detector);
    free(vision);
}

enum picture_engine vision_engine(const struct vision *vision)
{
    return engine_kind(vision->engine);
}

void vision_versions(const struct vision *vision, char *out, size_t size)
{
    engine_versions(vision->engine, out, size);
}

void vision_set_passes(struct vision *vision, unsigned passes)
{
    vision->passes = passes < 1 ? 1 : passes > PASSES ? PASSES : passes;
}

enum picture_reason vision_decode(struct span bytes, uint32_t *w, uint32_t *h)
{
    struct decoded d;
    *w = *h = 0;
    if (picture_decode(bytes, &d) != 0)
        return d.reason;
    *w = d.pixels.w;
    *h = d.pixels.h;
    pixels_free(&d.pixels);
    return PICTURE_OK;
}

/* ---- one picture ---- */

struct look {
    struct vision *vision;
    const struct picture_policy *policy;
    struct judge judge;
    struct pixels full; /* what was decoded; covered in place */
    struct pixels read; /* the copy that is read: opaque, at most READ_SIDE */
    float scale;        /* full pixels per read pixel */
    struct judgement *j;
    struct buffer text;
    unsigned passes;
    struct lines known;     /* recognised so far in `read` */
    struct touched touched; /* and where it changed since */
    unsigned views;         /* enum view: so many of them */
    bool many;              /* lines in the first pass */
};

/* Where the picture is not opaque, another ground shows other pixels. */
static void touch_clear(struct look *l)
{
    float scale = 1 / l->scale;
    for (uint32_t y = 0; y < l->full.h; y++) {
        float marked = -1; /* up to here this row is done */
        for (uint32_t x = 0; x < l->full.w; x++) {
            float rx = (float)x * scale;
            if (rx < marked || l->full.p[((size_t)y * l->full.w + x) * 4 + 3] >= NEARLY_OPAQUE)
                continue;
            struct quad q = {{rx, (float)y * scale}, {1, 0}, TOUCHED_CELL, TOUCHED_CELL};
            touched_mark(&l->touched, &q);
            marked = rx + TOUCHED_CELL / 2;
        }
    }
}

static int copy_to_read(struct look *l, enum view view)
{
    uint32_t longer = l->full.w > l->full.h ? l->full.w : l->full.h;
    l->scale = longer > READ_SIDE ? (float)longer / READ_SIDE : 1;
    uint32_t w = (uint32_t)((float)l->full.w / l->scale),
             h = (uint32_t)((float)l->full.h / l->scale);
    pixels_free(&l->read);
    int error;
    if (l->scale > 1) {
        error = pixels_resize(&l->full, w < 1 ? 1 : w, h < 1 ? 1 : h, &l->read);
    } else {
        error = pixels_new(l->full.w, l->full.h, &l->read);
        if (!error)
            memcpy(l->read.p, l->full.p, (size_t)l->full.w * l->full.h * 4);
    }
    if (!l->full.alpha)
        l->read.alpha = false;
    else if (!error && view == BARE)
        pixels_bare(&l->read);
    else if (!error)
        pixels_flatten(&l->read, ground[view]);
    return error;
}

/* Reads the copy once; the page's lines live until lines_free. */
static int read_once(struct look *l, uint32_t side, struct again *again, struct lines *lines,
                     struct page **page)
{
    if (!l->touched.cell && touched_new(l->read.w, l->read.h, &l->touched) != 0)
        return SLUIS_ENOMEM;
    again->known = &l->known;
    again->touched = &l->touched;
    again->many = l->many;
    memset(lines, 0, sizeof *lines);
    *page = NULL;
    l->passes++;
    int error = engine_read(l->vision->engine, &l->read, side, again, lines);
    if (l->passes == 1)
        l->many = lines->n > LINES_FEW;
    if (!error)
        error = page_new(lines, page);
    return error;
}

/* `doubt`: lines that are unsure are recognised again. */
static int judge_once(struct look *l, uint32_t side, bool doubt)
{
    struct lines lines;
    struct page *page;
    struct again again = {.doubt = doubt};
    int error = read_once(l, side, &again, &lines, &page);
    if (!error) {
        l->j->hint = false;
        error = judge_page(&l->judge, page, l->j);
    }
    if (!error && l->policy->want_text && l->passes == 1)
        buffer_add(&l->text, span_sub(span_of(page->text, page->n), 0, PICTURE_TEXT_MAX));
    page_free(page);
    lines_free(&lines);
    return error;
}

static bool decided(const struct judgement *j)
{
    return j->classes &
           (1u << PICTURE_CLASS_CARD | 1u << PICTURE_CLASS_MRZ | 1u << PICTURE_CLASS_ID_DOCUMENT);
}

static int look_at(struct look *l, enum view view)
{
    struct codes codes;
    int error = copy_to_read(l, view);
    if (view != ON_LIGHT)
        touch_clear(l);
    if (!error)
        error = codes_read(&l->read, &codes);
    if (error)
        return error;
    error = judge_codes(&l->judge, &codes, l->j);
    codes_free(&codes);
    return error ? error : judge_once(l, sides[0], false); /* another ground: where it shows */
}

static int look(struct look *l)
{
    int error = look_at(l, ON_LIGHT);
    for (unsigned i = 1; i < l->vision->passes && !error && l->j->hint && !decided(l->j); i++)
        error = judge_once(l, sides[i], true);
    for (enum view v = ON_DARK; v < l->views && !error; v++)
        error = look_at(l, v);
    return error;
}

static enum picture_action action_of(const struct look *l, unsigned class)
{
    return (enum picture_action)l->policy->action[class];
}

static struct quad padded(struct quad q)
{
    q.h += 2 * COVER_PAD * q.h;
    return q;
}

static struct quad to_full(const struct look *l, struct quad q)
{
    q.centre.x *= l->scale;
    q.centre.y *= l->scale;
    q.w *= l->scale;
    q.h *= l->scale;
    return q;
}

static void cover(struct look *l, struct quad q)
{
    q = padded(q);
    pixels_cover(&l->read, &q);
    touched_mark(&l->touched, &q);
    q = to_full(l, q);
    pixels_cover(&l->full, &q);
}

/* The box around what is covered as a card, with room: digits inside are the card's. */
static bool card_area(const struct look *l, float area[4])
{
    bool any = false;
    area[0] = area[1] = INFINITY;
    area[2] = area[3] = 0;
    for (size_t i = 0; i < l->j->n; i++) {
        int32_t box[4];
        if (l->j->at[i].class != PICTURE_CLASS_CARD)
            continue;
        any = true;
        quad_box(&l->j->at[i].quad, l->read.w, l->read.h, box);
        area[0] = fminf(area[0], (float)box[0]);
        area[1] = fminf(area[1], (float)box[1]);
        area[2] = fmaxf(area[2], (float)(box[0] + box[2]));
        area[3] = fmaxf(area[3], (float)(box[1] + box[3]));
    }
    float room = NEAR_CARD * fmaxf(area[2] - area[0], area[3] - area[1]);
    area[0] -= room, area[1] -= room, area[2] += room, area[3] += room;
    return any;
}

static bool inside(const float area[4], struct point p)
{
    return p.x >= area[0] && p.y >= area[1] && p.x <= area[2] && p.y <= area[3];
}

/* Covers what still shows digits of a secret, or four digits on the card. Returns how many boxes.
 */
static size_t cover_shown(struct look *l, const struct page *page)
{
    size_t n = 0, shown = secret_shown(page, l->j);
    float area[4] = {0};
    bool card = action_of(l, PICTURE_CLASS_CARD) == PICTURE_REDACT && card_area(l, area);
    for (size_t i = 0; i < page->parts; i++) {
        const struct quad *q = &page->lines->at[page->part[i].line].quad;
        unsigned digits = 0;
        for (size_t k = 0; k < page->part[i].n; k++) {
            char c = page->digits[page->part[i].at + k];
            digits += c >= '0' && c <= '9';
        }
        bool of_shown = shown < page->parts && page->part[i].row == page->part[shown].row && digits;
        if (!of_shown && !(card && digits >= 4 && inside(area, q->centre)))
            continue;
        struct quad wide = *q;
        wide.w += wide.h;
        cover(l, wide);
        n++;
        if (l->j->n < PICTURE_FINDINGS_MAX)
            l->j->at[l->j->n++] = (struct found){PICTURE_FOUND_CARD, 500, PICTURE_CLASS_CARD, wide};
    }
    return n;
}

/* Reads what was covered until nothing of it can be read, at another scale than it was found at:
 * what was missed there is seen here. */
static int verify(struct look *l, bool *clean)
{
    int error = 0;
    bool quiet = false;
    struct quad boxes[PICTURE_FINDINGS_MAX + 1];
    struct again near = {.near = boxes};
    float area[4];
    for (size_t i = 0; i < l->j->n; i++)
        if (action_of(l, l->j->at[i].class) == PICTURE_REDACT)
            boxes[near.n++] = l->j->at[i].quad;
    if (card_area(l, area)) /* all of the card */
        boxes[near.n++] = (struct quad){{(area[0] + area[2]) / 2, (area[1] + area[3]) / 2},
                                        {1, 0},
                                        area[2] - area[0],
                                        area[3] - area[1]};
    *clean = false;
    for (unsigned round = 0; round < COVER_ROUNDS && !error && !quiet; round++) {
        struct lines lines;
        struct page *page;
        error = read_once(l, sides[round % 2 ? 0 : 1], &near, &lines, &page);
        if (!error)
            quiet = cover_shown(l, page) == 0;
        page_free(page);
        lines_free(&lines);
    }
    *clean = quiet;
    return error;
}

static void give_findings(struct look *l, struct picture_verdict *v)
{
    v->findings = l->j->n ? calloc(l->j->n, sizeof *v->findings) : NULL;
    for (size_t i = 0; v->findings && i < l->j->n; i++) {
        const struct found *f = &l->j->at[i];
        int32_t box[4];
        struct quad q = to_full(l, padded(f->quad));
        quad_box(&q, l->full.w, l->full.h, box);
        v->findings[v->finding_count++] =
            (struct picture_finding){.type = f->type,
                                     .score = f->score > 1000 ? 1000 : f->score,
                                     .class = f->class,
                                     .covered = action_of(l, f->class) == PICTURE_REDACT,
                                     .x = box[0],
                                     .y = box[1],
                                     .w = box[2],
                                     .h = box[3]};
    }
}

static void withhold(struct picture_verdict *v, enum picture_reason reason)
{
    v->outcome = PICTURE_WITHHELD;
    v->reason = reason;
    v->kind = PICTURE_KIND_NONE;
    if (reason != PICTURE_BY_POLICY && reason != PICTURE_READABLE)
        v->classes = 1u << PICTURE_CLASS_UNKNOWN;
}

static enum picture_reason reason_of(int error)
{
    return error == SLUIS_ELIMIT || error == SLUIS_ENOMEM ? PICTURE_TOO_LARGE : PICTURE_FAILED;
}

/* What policy says of the classes that were seen. */
static bool policy_withholds(const struct look *l)
{
    for (unsigned c = 0; c < PICTURE_CLASSES; c++)
        if (l->j->classes & 1u << c && action_of(l, c) == PICTURE_WITHHOLD)
            return true;
    return false;
}

static int cover_all(struct look *l, bool *any, bool *clean)
{
    size_t n = l->j->n;
    *any = false;
    *clean = true;
    for (size_t i = 0; i < n; i++)
        if (action_of(l, l->j->at[i].class) == PICTURE_REDACT) {
            cover(l, l->j->at[i].quad);
            *any = true;
        }
    int error = *any ? verify(l, clean) : 0; /* on the last view; then on the others */
    for (enum view v = ON_LIGHT; *any && *clean && !error && v + 1 < l->views; v++) {
        error = copy_to_read(l, v);
        touch_clear(l);
        if (!error)
            error = verify(l, clean);
    }
    return error;
}

/* Is there a class that policy wants covered, without a box of its own? */
static bool uncovered(const struct look *l)
{
    uint32_t boxes = 0;
    for (size_t i = 0; i < l->j->n; i++)
        boxes |= 1u << l->j->at[i].class;
    for (unsigned c = PICTURE_CLASS_CARD; c < PICTURE_CLASSES; c++)
        if (l->j->classes & ~boxes & 1u << c && action_of(l, c) == PICTURE_REDACT)
            return true;
    return false;
}

static void finish(struct look *l, struct picture_verdict *v, struct buffer *picture)
{
    bool any, clean;
    if (!(l->j->classes & ~(1u << PICTURE_CLASS_CLEAN)))
        l->j->classes = 1u << PICTURE_CLASS_CLEAN;
    v->classes = l->j->classes;
    if (l->j->overflow || policy_withholds(l)) {
        give_findings(l, v);
        withhold(v, l->j->overflow ? PICTURE_TOO_LARGE : PICTURE_BY_POLICY);
        return;
    }
    if (action_of(l, PICTURE_CLASS_ID_DOCUMENT) == PICTURE_REDACT)
        judge_extent(l->j);
    int error = l->j->overflow ? SLUIS_ELIMIT : cover_all(l, &any, &clean);
    give_findings(l, v);
    if (error || !clean) {
        withhold(v, error ? reason_of(error) : PICTURE_READABLE);
        return;
    }
    /* a class that is to be covered and gave no box: nothing may pass */
    if (uncovered(l)) {
        withhold(v, PICTURE_READABLE);
        return;
    }
    v->kind = v->in;
    error = picture_encode(&l->full, &v->kind, picture);
    if (error) {
        buffer_clear(picture);
        withhold(v, reason_of(error));
        return;
    }
    v->outcome = any ? PICTURE_REDACTED : PICTURE_CLEAN;
    v->reason = PICTURE_OK;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void inspect(struct look *l, struct span bytes, struct picture_verdict *v,
                    struct buffer *picture)
{
    struct decoded d;
    if (picture_decode(bytes, &d) != 0) {
        v->in = d.kind;
        withhold(v, d.reason);
        return;
    }
    l->full = d.pixels;
    pixels_scrub_alpha(&l->full); /* before it is read: what is gone is not judged either */
    bool partly = pixels_see_through(&l->full);
    l->views = partly ? BARE + 1 : l->full.alpha ? ON_GREY + 1 : ON_LIGHT + 1;
    v->in = d.kind;
    v->width = d.pixels.w;
    v->height = d.pixels.h;
    v->engine = vision_engine(l->vision);
    if (v->engine == PICTURE_ENGINE_NONE) {
        withhold(v, PICTURE_NO_ENGINE);
        return;
    }
    int error = look(l);
    if (error)
        withhold(v, reason_of(error));
    else
        finish(l, v, picture);
}

void vision_inspect(struct vision *vision, struct span bytes, const struct picture_policy *policy,
                    struct picture_verdict *v, struct buffer *picture)
{
    int64_t began = now_ms();
    struct look l = {.vision = vision, .policy = policy};
    l.judge = (struct judge){.detector = detector_of(vision, policy->detect),
                             .scratch = vision->scratch,
                             .types = policy->types,
                             .card_name = policy->card_name,
                             .card_cvc = policy->card_cvc};
    memset(v, 0, sizeof *v);
    v->fd = -1;
    buffer_init(&l.text, PICTURE_TEXT_MAX + 1);
    l.j = calloc(1, sizeof *l.j);
    if (!l.judge.detector)
        withhold(v, PICTURE_NO_POLICY);
    else if (l.j)
        inspect(&l, bytes, v, picture);
    else
        withhold(v, PICTURE_TOO_LARGE);
    if (l.text.n && !l.text.error) {
        char *copy = malloc(l.text.n);
        if (copy)
            memcpy(copy, l.text.p, l.text.n);
        v->text = span_of(copy, copy ? l.text.n : 0);
    }
    v->passes = l.passes;
    v->ms = (uint32_t)(now_ms() - began);
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        v->peak_kib = (uint32_t)usage.ru_maxrss;
    buffer_free(&l.text);
    pixels_free(&l.full);
    pixels_free(&l.read);
    lines_free(&l.known);
    touched_free(&l.touched);
    free(l.j);
}

static int by_value(const void *a, const void *b)
{
    const unsigned *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* glibc's qsort asks once, at its first long array, how much memory there is: a system call that
 * the sandbox has no room for. */
static void warm_sort(void)
{
    unsigned values[1024];
    for (unsigned i = 0; i < 1024; i++)
        values[i] = (i * 2654435761u) >> 16;
    qsort(values, 1024, sizeof *values, by_value);
}

int vision_warm(struct vision *vision)
{
    warm_sort();
    codes_warm();
    struct pixels blank;
    struct buffer png, out;
    struct picture_policy policy;
    struct picture_verdict v;
    /* something to find, so that all three models run: a row of bars */
    int error = pixels_new(640, 480, &blank);
    if (error)
        return error;
    memset(blank.p, 255, (size_t)blank.w * blank.h * 4);
    for (uint32_t y = 200; y < 230; y++)
        for (uint32_t x = 100; x < 400; x++)
            if (x / 6 % 3 == 0)
                memset(blank.p + ((size_t)y * blank.w + x) * 4, 0, 3);
    buffer_init(&png, PICTURE_OUT_MAX);
    buffer_init(&out, PICTURE_OUT_MAX);
    picture_policy_default(&policy);
    error = encode_png(&blank, &png);
    if (!error) {
        vision_inspect(vision, buffer_span(&png), &policy, &v, &out);
        if (v.outcome == PICTURE_WITHHELD)
            error = SLUIS_EJUDGE;
        picture_verdict_free(&v);
    }
    buffer_free(&png);
    buffer_free(&out);
    pixels_free(&blank);
    return error;
}

/*
 * Decoding, orientation, encoding anew, covering; documents and cards from lines given by hand. No
 * models needed. The hostile files are made by hostile.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "judge.h"
#include "models.h"
#include "ort.h"
#include "sluis/vision.h"

/* A picture with structure: a ramp, a dark square at the top left. */
static struct pixels sample(uint32_t w, uint32_t h)
{
    struct pixels p;
    assert_int_equal(pixels_new(w, h, &p), 0);
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++) {
            uint8_t *c = p.p + ((size_t)y * w + x) * 4;
            c[0] = (uint8_t)(x * 255 / w);
            c[1] = (uint8_t)(y * 255 / h);
            c[2] = (x / 8 + y / 8) % 2 ? 200 : 90;
            c[3] = 255;
            if (x < w / 4 && y < h / 4)
                c[0] = c[1] = c[2] = 0;
        }
    return p;
}

static void encodes_near(void **state)
{
    (void)state;
    static const enum picture_kind kinds[] = {PICTURE_JPEG, PICTURE_PNG, PICTURE_WEBP, PICTURE_GIF};
    struct pixels p = sample(320, 200);
    for (size_t i = 0; i < 4; i++) {
        struct buffer out;
        struct decoded d;
        enum picture_kind kind = kinds[i];
        buffer_init(&out, PICTURE_OUT_MAX);
        assert_int_equal(picture_encode(&p, &kind, &out), 0);
        assert_int_equal(picture_kind_of(buffer_span(&out)), kind);
        assert_int_equal(picture_decode(buffer_span(&out), &d), 0);
        assert_true(pixels_psnr(&p, &d.pixels) >= 40);
        pixels_free(&d.pixels);
        buffer_free(&out);
    }
    pixels_free(&p);
}

/* A file with the metadata that cameras write; none of it may come out, the orientation is applied.
 */
static void metadata_goes(void **state)
{
    (void)state;
    static const char exif[] = "\xff\xe1\x00\x2e"
                               "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
                               "\0\0\0\0GPS-52.09-5.12";
    struct pixels p = sample(160, 96);
    struct buffer plain, file, out;
    struct decoded d;
    buffer_init(&plain, PICTURE_OUT_MAX);
    buffer_init(&file, PICTURE_OUT_MAX);
    buffer_init(&out, PICTURE_OUT_MAX);
    assert_int_equal(encode_jpeg(&p, 95, &plain), 0);
    buffer_add(&file, span_of(plain.p, 2));
    buffer_add(&file, span_of(exif, 4 + 44));
    buffer_add(&file, span_of("\xff\xfe\x00\x0a"
                              "comment!",
                              12));
    buffer_add(&file, span_from(buffer_span(&plain), 2));
    assert_int_equal(exif_orientation(buffer_span(&file), PICTURE_JPEG), 6);
    assert_int_equal(picture_decode(buffer_span(&file), &d), 0);
    assert_int_equal(d.pixels.w, 96);
    assert_int_equal(d.pixels.h, 160);
    /* orientation 6: the dark corner at the top left of the file is shown at the top right */
    assert_true(d.pixels.p[(5 * 96 + 90) * 4] < 60);
    assert_true(d.pixels.p[(5 * 96 + 2) * 4 + 1] > 60);
    enum picture_kind kind = PICTURE_JPEG;
    assert_int_equal(picture_encode(&d.pixels, &kind, &out), 0);
    assert_null(memmem(out.p, out.n, "GPS", 3));
    assert_null(memmem(out.p, out.n, "Exif", 4));
    assert_null(memmem(out.p, out.n, "comment", 7));
    assert_int_equal(exif_orientation(buffer_span(&out), PICTURE_JPEG), 1);
    pixels_free(&d.pixels);
    pixels_free(&p);
    buffer_free(&plain);
    buffer_free(&file);
    buffer_free(&out);
}

static void orientations(void **state)
{
    (void)state;
    /* where the pixel at the top left of the file is shown */
    static const struct {
        unsigned orientation;
        uint32_t x, y;
    } rows[] = {{1, 0, 0}, {2, 3, 0}, {3, 3, 2}, {4, 0, 2},
                {5, 0, 0}, {6, 2, 0}, {7, 2, 3}, {8, 0, 3}};
    for (size_t i = 0; i < 8; i++) {
        struct pixels p;
        assert_int_equal(pixels_new(4, 3, &p), 0);
        p.p[0] = 77;
        assert_int_equal(pixels_orient(&p, rows[i].orientation), 0);
        assert_int_equal(p.w, rows[i].orientation < 5 ? 4 : 3);
        assert_int_equal(p.p[((size_t)rows[i].y * p.w + rows[i].x) * 4], 77);
        pixels_free(&p);
    }
}

static void covers_solid(void **state)
{
    (void)state;
    struct pixels p = sample(100, 100);
    struct quad q = {{50, 50}, {0.8f, 0.6f}, 40, 10};
    pixels_cover(&p, &q);
    unsigned black = 0;
    for (int along = -19; along <= 19; along++)
        for (int across = -4; across <= 4; across++) {
            float x = 50 + (float)along * 0.8f - (float)across * 0.6f;
            float y = 50 + (float)along * 0.6f + (float)across * 0.8f;
            const uint8_t *c = p.p + ((size_t)y * 100 + (size_t)x) * 4;
            black += c[0] == 0 && c[1] == 0 && c[2] == 0 && c[3] == 255;
        }
    assert_int_equal(black, 39 * 9);
    assert_true(p.p[(50 * 100 + 80) * 4] > 0); /* beside it nothing changed */
    pixels_free(&p);
}

static void hidden_colours(void **state)
{
    (void)state;
    struct pixels p = sample(16, 16);
    p.alpha = true;
    p.p[100 * 4 + 3] = 0;
    pixels_scrub_alpha(&p);
    assert_int_equal(p.p[100 * 4] + p.p[100 * 4 + 1] + p.p[100 * 4 + 2], 0);
    pixels_free(&p);
}

/* ---- judging lines given by hand ---- */

struct judged {
    struct lines lines;
    struct page *page;
    struct judgement j;
};

static void judge_rows(const char *const *rows, struct judged *out)
{
    struct detect_settings settings;
    struct judge judge = {.types = ~UINT64_C(0)};
    struct detector *detector;
    struct detect_scratch *scratch;
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; rows[i]; i++) {
        char text[LINE_TEXT_MAX];
        float place[LINE_TEXT_MAX];
        size_t n = strlen(rows[i]);
        memcpy(text, rows[i], n);
        for (size_t k = 0; k < n; k++)
            place[k] = ((float)k + 0.5f) / (float)n;
        struct line line = {.quad = {{300, 50.0f + 40.0f * (float)i}, {1, 0}, 500, 24},
                            .score = 0.9f,
                            .n = (uint16_t)n,
                            .glyphs = (uint16_t)n,
                            .text = text,
                            .place = place};
        assert_int_equal(lines_add(&out->lines, &line), 0);
    }
    detect_settings_default(&settings);
    assert_int_equal(detector_new(&settings, &detector, NULL), 0);
    assert_int_equal(detect_scratch_new(&scratch), 0);
    judge.detector = detector;
    judge.scratch = scratch;
    assert_int_equal(page_new(&out->lines, &out->page), 0);
    assert_int_equal(judge_page(&judge, out->page, &out->j), 0);
    detect_scratch_free(scratch);
    detector_free(detector);
}

static void judged_free(struct judged *d)
{
    page_free(d->page);
    lines_free(&d->lines);
}

#define BIT(c) (1u << PICTURE_CLASS_##c)

static void judges(void **state)
{
    (void)state;
    static const struct {
        const char *rows[6];
        uint32_t has, has_not;
    } cases[] = {
        {{"4242 4242 4242 4242", "VALID THRU 08/26", "J DE VRIES"}, BIT(CARD), BIT(MRZ)},
        {{"4242 4242 4242 4241", "J DE VRIES"}, BIT(CARD), 0},          /* not Luhn-valid */
        {{"4Z42 42A2 4242 4242", "VISA", "08/26"}, BIT(CARD), 0},       /* misread */
        {{"5180", "9219", "6478", "5511", "mastercard"}, BIT(CARD), 0}, /* in four rows */
        {{"3023 / 334877861104", "07/37", "AND REA F D ELA CRUZ"}, BIT(CARD), 0},
        {{"3023/334877861104", "07/37", "ANDREAFDELACRUZ"},
         BIT(CARD),
         0},                                   /* not even a groups' shape */
        {{"3782 822463 10005"}, BIT(CARD), 0}, /* American Express */
        {{"NL91 ABNA 0417 1643 00", "Geldig t/m 05/27", "Pasnr. 012"}, BIT(CARD) | BIT(IBAN), 0},
        {{"Rekening NL91 ABNA 0417 1643 00"}, BIT(IBAN), BIT(CARD)},
        {{"Foutcode 4242 4242", "Probeer het later opnieuw"}, 0, BIT(CARD) | BIT(MRZ)},
        {{"DE89 3704 0044 0532 0130 00"}, BIT(IBAN), BIT(CARD)},
        {{"P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
          "L898902C36UTO7408122F1204159ZE184226B<<<<<10"},
         BIT(MRZ) | BIT(ID_DOCUMENT),
         0},
        {{"Paspoort", "Nationaliteit", "De Vries"}, BIT(ID_DOCUMENT), BIT(MRZ)},
        {{"Paspoort aanvragen", "Maak een afspraak"}, 0, BIT(ID_DOCUMENT) | BIT(CARD)},
        {{"Wij accepteren VISA"}, 0, BIT(CARD)},
        {{"Factuur 2026-0142", "Totaal 1.299,00", "if (a < b && c << 2)"}, 0, BIT(CARD) | BIT(MRZ)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct judged d;
        judge_rows(cases[i].rows, &d);
        if ((d.j.classes & cases[i].has) != cases[i].has || d.j.classes & cases[i].has_not)
            fail_msg("%s: classes %x", cases[i].rows[0], d.j.classes);
        judged_free(&d);
    }
}

/* The holder's name goes with the number; the brand and the bank stay. */
static void name_goes(void **state)
{
    (void)state;
    static const char *const rows[] = {"Bank Voorbeeld", "4242 4242 4242 4242", "LISA MULDER",
                                       "VISA DEBIT", NULL};
    struct judged d;
    unsigned names = 0, others = 0;
    judge_rows(rows, &d);
    for (size_t i = 0; i < d.j.n; i++) {
        names += d.j.at[i].type == PICTURE_FOUND_NAME && d.j.at[i].quad.centre.y > 120 &&
                 d.j.at[i].quad.centre.y < 140;
        others += d.j.at[i].quad.centre.y < 60 || d.j.at[i].quad.centre.y > 160;
    }
    assert_int_equal(names, 1);
    assert_int_equal(others, 0);
    judged_free(&d);
}

/* A line of its own place, for pages whose layout matters. */
static void add_at(struct lines *lines, const char *text, float x, float y, float w)
{
    char copy[LINE_TEXT_MAX];
    float place[LINE_TEXT_MAX];
    size_t n = strlen(text);
    memcpy(copy, text, n);
    for (size_t k = 0; k < n; k++)
        place[k] = ((float)k + 0.5f) / (float)n;
    struct line line = {.quad = {{x, y}, {1, 0}, w, 24},
                        .score = 0.95f,
                        .n = (uint16_t)n,
                        .glyphs = (uint16_t)n,
                        .text = copy,
                        .place = place};
    assert_int_equal(lines_add(lines, &line), 0);
}

static bool covered_at(const struct judgement *j, float x, float y)
{
    for (size_t i = 0; i < j->n; i++) {
        const struct quad *q = &j->at[i].quad;
        if (fabsf(x - q->centre.x) <= q->w / 2 && fabsf(y - q->centre.y) <= q->h / 2)
            return true;
    }
    return false;
}

/* The second group of a number was not found, then the last: both places are covered, and what
 * stands beside the card is not. */
static void gaps_go(void **state)
{
    (void)state;
    for (unsigned lost = 1; lost < 4; lost += 2) {
        static const char *const groups[] = {"4242", "4242", "4242", "4242"};
        struct judge judge = {.types = ~UINT64_C(0)};
        struct detect_settings settings;
        struct detector *detector;
        struct detect_scratch *scratch;
        struct judged d;
        memset(&d, 0, sizeof d);
        for (unsigned g = 0; g < 4; g++)
            if (g != lost)
                add_at(&d.lines, groups[g], 300 + 100 * (float)g, 200, 80);
        add_at(&d.lines, "VALID THRU 08/26", 400, 260, 200);
        add_at(&d.lines, "Bestelling 20260142", 400, 900, 200);
        detect_settings_default(&settings);
        assert_int_equal(detector_new(&settings, &detector, NULL), 0);
        assert_int_equal(detect_scratch_new(&scratch), 0);
        judge.detector = detector;
        judge.scratch = scratch;
        assert_int_equal(page_new(&d.lines, &d.page), 0);
        judge_card(&judge, d.page, &d.j);
        assert_true(d.j.classes & BIT(CARD));
        for (unsigned g = 0; g < 4; g++)
            if (!covered_at(&d.j, 300 + 100 * (float)g, 200))
                fail_msg("group %u is open, %u was lost", g, lost);
        assert_false(covered_at(&d.j, 400, 60));
        assert_false(covered_at(&d.j, 300, 330));
        detect_scratch_free(scratch);
        detector_free(detector);
        judged_free(&d);
    }
}

/* A line keeps its text only where it stood, on pixels that did not change, and not in doubt. */
static void known_lines(void **state)
{
    (void)state;
    struct lines known = {0};
    struct touched touched;
    struct again again = {.known = &known, .touched = &touched};
    add_at(&known, "Geldig t/m 08/26", 300, 200, 200);
    add_at(&known, "4242 4242 4242 4242", 300, 300, 300);
    add_at(&known, "op 12-03-2026 om 10:41 boekten wij 14,20 euro over van rekening 1 naar 2", 300,
           100, 560);
    assert_int_equal(touched_new(600, 400, &touched), 0);
    struct quad q = {{302, 201}, {1, 0}, 204, 23}, number = {{300, 300}, {1, 0}, 300, 24};
    assert_ptr_equal(again_known(&again, &q), &known.at[0]);
    struct quad turned = {{302, 201}, {-1, 0}, 204, 23}; /* read upside down: the same box */
    assert_ptr_equal(again_known(&again, &turned), &known.at[0]);
    struct quad lower = {{302, 212}, {1, 0}, 204, 23}, wider = {{302, 201}, {1, 0}, 240, 23};
    assert_null(again_known(&again, &lower));
    assert_null(again_known(&again, &wider));
    assert_ptr_equal(again_known(&again, &number), &known.at[1]);
    again.doubt = true; /* many digits: recognised again */
    assert_null(again_known(&again, &number));
    assert_ptr_equal(again_known(&again, &q), &known.at[0]);
    struct quad sentence = {
        {300, 100}, {1, 0}, 560, 24}; /* many digits, but a long line and sure */
    assert_ptr_equal(again_known(&again, &sentence), &known.at[2]);
    struct quad box = {{390, 205}, {1, 0}, 20, 10};
    touched_mark(&touched, &box);
    assert_null(again_known(&again, &q));
    touched_free(&touched);
    lines_free(&known);
}

static void check_digits(void **state)
{
    (void)state;
    static const struct {
        const char *rows[4];
        bool valid;
    } cases[] = {
        {{"P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
          "L898902C36UTO7408122F1204159ZE184226B<<<<<10"},
         true},
        {{"P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
          "L898902C37UTO7408122F1204159ZE184226B<<<<<10"},
         false},
        {{"P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
          "L898902C36UTO74O8I22F12O4159ZE184226B<<<<<10"},
         true},
        {{"I<UTOD231458907<<<<<<<<<<<<<<<", "7408122F1204159UTO<<<<<<<<<<<6",
          "ERIKSSON<<ANNA<MARIA<<<<<<<<<<"},
         true},
        {{"I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<", "D231458907UTO7408122F1204159<<<<<<<6"}, true},
        {{"P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", /* a stroke for a seven */
          "L898902C36UTO/408122F1204159ZE184226B<<<<<10"},
         true},
        {{"IDFRABERTHIER<<<<<<<<<<<<<<<<<<<<<<<", "8806923102858CORINNE<<<<<<<6512068F6"}, true},
        {{"IDFRABERTHIER<<<<<<<<<<<<<<<<<<<<<<<", "8806923102857CORINNE<<<<<<<6512068F6"}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct judged d;
        judge_rows(cases[i].rows, &d);
        assert_true(d.j.classes & BIT(MRZ));
        if (d.j.mrz_valid != cases[i].valid)
            fail_msg("%s", cases[i].rows[1]);
        judged_free(&d);
    }
}

static void secrets_are_seen(void **state)
{
    (void)state;
    static const char *const rows[] = {"4242 4242 4242 4242", NULL};
    static const char *const left[] = {"rest 424242", NULL}, *const none[] = {"rest 42424", NULL};
    struct judged d, again;
    judge_rows(rows, &d);
    assert_true(d.j.secrets > 0);
    judge_rows(left, &again);
    assert_true(secret_shown(again.page, &d.j) < again.page->parts);
    judged_free(&again);
    judge_rows(none, &again);
    assert_int_equal(secret_shown(again.page, &d.j), again.page->parts);
    judged_free(&again);
    judged_free(&d);
}

/* ---- models with fewer nodes: the same output; skipped where no models are installed ---- */

static int run_model(struct ort *ort, struct span bytes, const char *output, int64_t h, int64_t w,
                     float **out, size_t *n)
{
    struct ort_model *model;
    struct ort_tensor t;
    size_t in_n = (size_t)(3 * h * w);
    float *in = calloc(in_n, sizeof *in);
    assert_non_null(in);
    for (size_t i = 0; i < in_n; i++)
        in[i] = (float)(i * 2654435761u % 2000) / 1000 - 1;
    int error = ort_model_new(ort, bytes, output, &model);
    if (!error)
        error = ort_run(model, in, h, w, &t);
    free(in);
    if (error)
        return error;
    *n = 1;
    for (unsigned i = 0; i < t.rank; i++)
        *n *= (size_t)t.shape[i];
    *out = malloc(*n * sizeof **out);
    assert_non_null(*out);
    memcpy(*out, t.p, *n * sizeof **out);
    ort_tensor_free(model, &t);
    ort_model_free(model);
    return 0;
}

static void simplifies(void **state)
{
    (void)state;
    static const struct {
        enum model_file file;
        const char *output;
        int64_t h, w;
        unsigned changes;
    } models[] = {{MODEL_DETECT, "sigmoid_0.tmp_0", 64, 96, 52},
                  {MODEL_RECOGNISE, "softmax_11.tmp_0", 48, 96, 56},
                  {MODEL_TURN, "softmax_0.tmp_0", 48, 192, 18}};
    const char *given = getenv("SLUIS_MODELS");
    const char *folder = given && *given ? given : SLUIS_SOURCE_DIR "/build/models";
    struct ort *ort;
    int fd;
    if (model_open(folder, MODEL_RUNTIME, &fd, NULL) != 0)
        skip();
    assert_int_equal(ort_open(fd, &ort), 0);
    close(fd);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct buffer bytes, simple;
        unsigned changes;
        float *before, *after;
        size_t n, m;
        buffer_init(&bytes, MODEL_BYTES_MAX);
        buffer_init(&simple, MODEL_BYTES_MAX);
        assert_int_equal(model_open(folder, models[i].file, &fd, &bytes), 0);
        close(fd);
        assert_int_equal(model_simplify(buffer_span(&bytes), &simple, &changes), 0);
        assert_int_equal(changes, models[i].changes);
        assert_int_equal(run_model(ort, buffer_span(&bytes), models[i].output, models[i].h,
                                   models[i].w, &before, &n),
                         0);
        assert_int_equal(run_model(ort, buffer_span(&simple), models[i].output, models[i].h,
                                   models[i].w, &after, &m),
                         0);
        assert_int_equal(n, m);
        for (size_t k = 0; k < n; k++)
            if (!(fabsf(before[k] - after[k]) < 1e-4f))
                fail_msg("%s: %zu of %zu is %g, was %g", models[i].output, k, n, (double)after[k],
                         (double)before[k]);
        free(before);
        free(after);
        for (size_t cut = 1; cut < 40; cut++) { /* damaged: whatever comes out, no crash */
            buffer_clear(&simple);
            (void)!model_simplify(span_sub(buffer_span(&bytes), 0, bytes.n * cut / 40), &simple,
                                  &changes);
        }
        buffer_free(&bytes);
        buffer_free(&simple);
    }
    ort_close(ort);
}

/* An engine that could not read says so: a picture that was not read is not a clean one. */
static void unread_is_not_empty(void **state)
{
    (void)state;
    struct tesseract *t;
    struct lines lines = {0};
    uint8_t white[4] = {255, 255, 255, 255};
    struct pixels none = {.p = white}, one = {.p = white, .w = 1, .h = 1};
    if (tesseract_new(&t) != 0)
        skip();
    assert_int_equal(tesseract_read(t, &one, &lines), 0); /* empty is no error */
    assert_int_equal(tesseract_read(t, &none, &lines), SLUIS_EINVAL);
    lines_free(&lines);
    tesseract_free(t);
}

/* ---- hostile files: each in a process of its own, within 300 MB and 3 s ---- */

static int decode_alone(const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct buffer bytes;
        uint32_t w, h;
        struct rlimit cpu = {3, 3}; /* more than any of them needs, less than a bomb would */
        buffer_init(&bytes, PICTURE_IN_MAX);
        FILE *f = fopen(path, "rb");
        char *to;
        size_t n;
        if (!f)
            _exit(100);
        while ((to = buffer_reserve(&bytes, 65536)) != NULL && (n = fread(to, 1, 65536, f)) > 0)
            bytes.n += n;
        setrlimit(RLIMIT_CPU, &cpu);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        struct rlimit memory = {300u << 20, 300u << 20};
        setrlimit(RLIMIT_AS, &memory);
#endif
        _exit((int)vision_decode(buffer_span(&bytes), &w, &h));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void hostile(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int reason;
    } files[] = {
        {"flood.png", PICTURE_BROKEN},
        {"flood.jpg", PICTURE_BROKEN},
        {"wide.png", PICTURE_TOO_LARGE},
        {"flood.gif", PICTURE_TOO_LARGE},
        {"scans.jpg", PICTURE_TOO_LARGE},
        {"scans-few.jpg", PICTURE_BROKEN},
        {"text-bomb.png", PICTURE_OK},
        {"profile-bomb.png", PICTURE_OK},
        {"chunks.png", PICTURE_OK},
        {"rows-bomb.png", PICTURE_OK},
        {"apng.png", PICTURE_OK},
        {"frames.gif", PICTURE_TOO_LARGE},
        {"block.gif", PICTURE_TOO_LARGE},
        {"cut.png", PICTURE_BROKEN},
        {"cut-head.png", PICTURE_BROKEN},
        {"bad-crc.png", PICTURE_BROKEN},
        {"polyglot.jpg", PICTURE_NOT_PICTURE},
        {"empty", PICTURE_NOT_PICTURE},
        {"one", PICTURE_NOT_PICTURE},
        {"text.jpg", PICTURE_NOT_PICTURE},
        {"webp-cut.webp", PICTURE_BROKEN},
        {"webp-canvas.webp", PICTURE_BROKEN},
        {"bmp.bmp", PICTURE_NOT_PICTURE},
        {"svg.png", PICTURE_NOT_PICTURE},
        {"tail.png", PICTURE_OK},
    };
    char folder[] = "/tmp/sluis-hostile-XXXXXX", command[512], path[256];
    unsigned bad = 0;
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof command, "python3 %s/tests/unit/vision/hostile.py %s",
             SLUIS_SOURCE_DIR, folder);
    assert_int_equal(system(command), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
        int reason = decode_alone(path);
        if (reason != files[i].reason) {
            print_error("%s: %d, not %d\n", files[i].name, reason, files[i].reason);
            bad++;
        }
    }
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_near),     cmocka_unit_test(metadata_goes),
        cmocka_unit_test(orientations),     cmocka_unit_test(covers_solid),
        cmocka_unit_test(hidden_colours),   cmocka_unit_test(judges),
        cmocka_unit_test(check_digits),     cmocka_unit_test(name_goes),
        cmocka_unit_test(secrets_are_seen), cmocka_unit_test(gaps_go),
        cmocka_unit_test(known_lines),      cmocka_unit_test(simplifies),
        cmocka_unit_test(hostile),          cmocka_unit_test(unread_is_not_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

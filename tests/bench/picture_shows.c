/*
 * Does a covered picture still give its number away? Reads it with both engines at several scales
 * and contrasts and looks for any six digits in a row of the number.
 *
 *     picture_shows [-q] MODELS < LINES
 *     each line: FILE, tab, NUMBER[,NUMBER...], and maybe a tab and PLACES
 *
 * PLACES as picture_cards.py writes them: then what is read is the number's surroundings, laid
 * straight and with nothing else about, which is easier to read than the whole picture. Without
 * them the whole picture is read. -q: two variants instead of twelve an engine. Prints each reading
 * that shows something, then the counts; exit 1 when there was one. A reading that stopped at a
 * limit (noise that an engine takes for thousands of letters) is counted apart: what was read
 * until then is judged like any other. That this can fail is seen on pictures that are not covered.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge.h"

#define AROUND 1.5f /* heights of the number's line that are read around it */
#define LEVELS 0.0f /* in place of a contrast: black to white over the middle 96 % of the pixels   \
                     */

static const float scales[] = {1.0f, 0.6f, 1.6f};
static const float contrasts[] = {1.0f, LEVELS, 1.8f,
                                  -1.0f}; /* as it is, ..., stronger, inverted */

struct tally {
    unsigned readings, shown, stopped;
};

static int load(const char *path, struct pixels *out)
{
    struct buffer bytes;
    struct decoded d;
    FILE *f = fopen(path, "rb");
    char *to;
    size_t n;
    buffer_init(&bytes, PICTURE_IN_MAX);
    while (f && (to = buffer_reserve(&bytes, 65536)) != NULL && (n = fread(to, 1, 65536, f)) > 0)
        bytes.n += n;
    if (f)
        fclose(f);
    int error = picture_decode(buffer_span(&bytes), &d);
    buffer_free(&bytes);
    *out = d.pixels;
    return error;
}

/* The rectangle around all places, along the first, with room. */
static bool surroundings(const char *places, struct quad *out)
{
    struct point p[64], along;
    size_t n = 0;
    for (const char *s = places; n < 64 && sscanf(s, "%f,%f", &p[n].x, &p[n].y) == 2;) {
        n++;
        s += strcspn(s, " ;\n");
        s += *s != 0;
    }
    if (n < 4)
        return false;
    float length = hypotf(p[1].x - p[0].x, p[1].y - p[0].y);
    along = (struct point){(p[1].x - p[0].x) / length, (p[1].y - p[0].y) / length};
    float s0 = INFINITY, s1 = -INFINITY, t0 = INFINITY, t1 = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        float s = p[i].x * along.x + p[i].y * along.y, t = p[i].y * along.x - p[i].x * along.y;
        s0 = fminf(s0, s), s1 = fmaxf(s1, s);
        t0 = fminf(t0, t), t1 = fmaxf(t1, t);
    }
    float room = 2 * AROUND * hypotf(p[3].x - p[0].x, p[3].y - p[0].y);
    float s = (s0 + s1) / 2, t = (t0 + t1) / 2;
    *out = (struct quad){{s * along.x - t * along.y, s * along.y + t * along.x},
                         along,
                         s1 - s0 + room,
                         t1 - t0 + room};
    return true;
}

/* The values that 2 % of a picture are below and above. */
static void levels(const struct pixels *p, float *low, float *high)
{
    size_t count[256] = {0}, n = (size_t)p->w * p->h, sum = 0;
    for (size_t i = 0; i < n * 4; i++)
        count[p->p[i]] += i % 4 == 1; /* green */
    *low = 0, *high = 255;
    for (unsigned v = 0; v < 256; v++) {
        if (sum < n / 50 && sum + count[v] >= n / 50)
            *low = (float)v;
        if (sum < n - n / 50 && sum + count[v] >= n - n / 50)
            *high = (float)v;
        sum += count[v];
    }
}

static int variant(const struct pixels *from, float scale, float contrast, struct pixels *out)
{
    float low, high, middle = 128, add = 128;
    int error = pixels_resize(from, (uint32_t)((float)from->w * scale) + 1,
                              (uint32_t)((float)from->h * scale) + 1, out);
    if (!error && contrast == LEVELS) {
        levels(out, &low, &high);
        middle = low, add = 0;
        contrast = 255 / fmaxf(high - low, 1);
    }
    for (size_t i = 0; !error && i < (size_t)out->w * out->h * 4; i++) {
        float v = ((float)out->p[i] - middle) * contrast + add;
        out->p[i] = i % 4 == 3 ? 255 : v < 0 ? 0 : v > 255 ? 255 : (uint8_t)v;
    }
    return error;
}

/* Rows of four digits under each other make one number: all digits read, as one row. */
static bool shows_joined(const struct page *page, const struct judgement *j)
{
    char digits[4096];
    size_t n = 0;
    for (size_t i = 0; i < page->n && n < sizeof digits; i++)
        if (page->digits[i] >= '0' && page->digits[i] <= '9')
            digits[n++] = page->digits[i];
    for (size_t s = 0; s < j->secrets; s++)
        for (size_t k = 0; k + 6 <= strlen(j->secret[s]); k++)
            if (n >= 6 && memmem(digits, n, j->secret[s] + k, 6))
                return true;
    return false;
}

static bool reading(struct ppocr *ocr, struct tesseract *tesseract, const struct pixels *p,
                    const struct judgement *j, bool joined, struct tally *tally)
{
    struct lines lines = {0};
    struct page *page = NULL;
    int error = ocr ? ppocr_read(ocr, p, 960, NULL, &lines) : tesseract_read(tesseract, p, &lines);
    tally->readings++;
    tally->stopped += error != 0;
    bool shown = page_new(&lines, &page) == 0 &&
                 (secret_shown(page, j) < page->parts || (joined && shows_joined(page, j)));
    tally->shown += shown;
    page_free(page);
    lines_free(&lines);
    return shown;
}

static void try_variants(const char *file, struct ppocr *ocr, struct tesseract *tesseract,
                         const struct pixels *from, bool joined, const struct judgement *j,
                         bool quick, struct tally *tally)
{
    for (unsigned s = 0; s < 3; s++)
        for (unsigned c = 0; c < 4; c++) {
            struct pixels p;
            if ((quick && (s || c > 1)) || variant(from, scales[s], contrasts[c], &p) != 0)
                continue;
            for (unsigned engine = 0; engine < 2; engine++)
                if (reading(engine ? NULL : ocr, tesseract, &p, j, joined, tally))
                    printf("%s: %s, scale %.1f, %s %.1f\n", file, engine ? "tesseract" : "pp-ocrv4",
                           (double)scales[s], c == 1 ? "levels" : "contrast", (double)contrasts[c]);
            pixels_free(&p);
        }
}

static bool try_picture(char *line, struct ppocr *ocr, struct tesseract *tesseract, bool quick,
                        struct tally *tally)
{
    struct judgement *j = calloc(1, sizeof *j);
    struct pixels full, part = {0};
    struct quad around;
    unsigned before = tally->shown;
    char *numbers = strchr(line, '\t'), *places = numbers ? strchr(numbers + 1, '\t') : NULL;
    if (!j || !numbers)
        exit(2);
    *numbers++ = 0;
    if (places)
        *places++ = 0;
    for (char *number = strtok(numbers, ",\n"); number; number = strtok(NULL, ",\n"))
        judge_secret(j, number, strlen(number));
    if (load(line, &full) != 0) {
        printf("%s: cannot be decoded\n", line);
        tally->shown++;
    } else if (places && surroundings(places, &around) && pixels_crop(&full, &around, &part) == 0) {
        try_variants(line, ocr, tesseract, &part, true, j, quick, tally);
    } else {
        try_variants(line, ocr, tesseract, &full, false, j, quick, tally);
    }
    pixels_free(&part);
    pixels_free(&full);
    free(j);
    return tally->shown > before;
}

int main(int argc, char **argv)
{
    bool quick = argc == 3 && strcmp(argv[1], "-q") == 0;
    struct ppocr *ocr = NULL;
    struct tesseract *tesseract = NULL;
    struct tally tally = {0};
    char line[8192], problem[160];
    unsigned pictures = 0, bad = 0;
    if (argc != 2 + quick || ppocr_new(argv[argc - 1], &ocr, problem) != 0 ||
        tesseract_new(&tesseract) != 0)
        return 2;
    while (fgets(line, sizeof line, stdin)) {
        pictures++;
        bad += try_picture(line, ocr, tesseract, quick, &tally);
        fflush(stdout);
    }
    printf("%u pictures, %u show six digits of their number (%u readings, %u of them stopped at a "
           "limit)\n",
           pictures, bad, tally.readings, tally.stopped);
    ppocr_free(ocr);
    tesseract_free(tesseract);
    return bad > 0;
}

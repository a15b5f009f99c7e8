/*
 * Does a covered picture still give its number away? Reads it with both engines at several scales
 * and contrasts and looks for any six digits in a row of the number.
 *
 *     picture_shows [-q] MODELS < LINES        each line: FILE, tab, NUMBER[,NUMBER...]
 *
 * -q: fewer variants (two instead of nine an engine). Prints each picture that shows something,
 * then the counts; exit 1 when there was one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge.h"

static const float scales[] = {1.0f, 0.6f, 1.6f};
static const float contrasts[] = {1.0f, 1.8f, -1.0f}; /* as it is, stronger, inverted */

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

static int variant(const struct pixels *from, float scale, float contrast, struct pixels *out)
{
    int error = pixels_resize(from, (uint32_t)((float)from->w * scale),
                              (uint32_t)((float)from->h * scale), out);
    for (size_t i = 0; !error && i < (size_t)out->w * out->h * 4; i++) {
        float v = ((float)out->p[i] - 128) * contrast + 128;
        out->p[i] = i % 4 == 3 ? 255 : v < 0 ? 0 : v > 255 ? 255 : (uint8_t)v;
    }
    return error;
}

/* 1: shows six digits; 0: does not; negative: could not be read. */
static int shows(struct ppocr *ocr, struct tesseract *tesseract, const struct pixels *p,
                 const struct judgement *j)
{
    struct lines lines = {0};
    struct page *page = NULL;
    int result = ocr ? ppocr_read(ocr, p, 960, NULL, &lines) : tesseract_read(tesseract, p, &lines);
    if (!result)
        result = page_new(&lines, &page);
    if (!result)
        result = secret_shown(page, j) < page->parts;
    page_free(page);
    lines_free(&lines);
    return result;
}

static unsigned try_all(const char *file, struct ppocr *ocr, struct tesseract *tesseract,
                        const struct judgement *j, bool quick)
{
    struct pixels full, p;
    unsigned found = 0;
    if (load(file, &full) != 0) {
        printf("%s: cannot be decoded\n", file);
        return 1;
    }
    for (unsigned s = 0; s < 3; s++)
        for (unsigned c = 0; c < 3; c++) {
            if (quick && s + c > 0 && !(s == 2 && c == 1))
                continue;
            if (variant(&full, scales[s], contrasts[c], &p) != 0)
                continue;
            for (unsigned engine = 0; engine < 2; engine++) {
                if (engine ? !tesseract : !ocr)
                    continue;
                if (shows(engine ? NULL : ocr, tesseract, &p, j) != 0) {
                    printf("%s: %s, scale %.1f, contrast %.1f\n", file,
                           engine ? "tesseract" : "pp-ocrv4", (double)scales[s],
                           (double)contrasts[c]);
                    found++;
                }
            }
            pixels_free(&p);
        }
    pixels_free(&full);
    return found;
}

int main(int argc, char **argv)
{
    bool quick = argc == 3 && strcmp(argv[1], "-q") == 0;
    struct ppocr *ocr = NULL;
    struct tesseract *tesseract = NULL;
    char line[8192], problem[160];
    unsigned pictures = 0, bad = 0;
    if (argc != 2 + quick || ppocr_new(argv[argc - 1], &ocr, problem) != 0 ||
        tesseract_new(&tesseract) != 0)
        return 2;
    while (fgets(line, sizeof line, stdin)) {
        char *tab = strchr(line, '\t');
        struct judgement *j = calloc(1, sizeof *j);
        if (!tab || !j)
            return 2;
        *tab = 0;
        for (char *number = strtok(tab + 1, ",\n"); number; number = strtok(NULL, ",\n"))
            judge_secret(j, number, strlen(number));
        pictures++;
        bad += try_all(line, ocr, tesseract, j, quick) > 0;
        fflush(stdout);
        free(j);
    }
    printf("%u pictures, %u show six digits of their number\n", pictures, bad);
    ppocr_free(ocr);
    tesseract_free(tesseract);
    return bad > 0;
}

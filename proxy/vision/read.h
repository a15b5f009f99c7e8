/* Private to vision: reading. Engines give lines with a place for every character. */
#ifndef SLUIS_VISION_READ_H
#define SLUIS_VISION_READ_H

#include "pixels.h"

#define LINES_MAX 1500     /* text boxes of one picture; more: it is withheld */
#define LINE_TEXT_MAX 1024 /* bytes of one line */

struct line {
    struct quad quad; /* in the picture that was read */
    float score;      /* mean probability of its characters */
    uint16_t n;       /* bytes of text */
    uint16_t glyphs;
    char *text;   /* UTF-8, n bytes and a NUL */
    float *place; /* per byte: centre of its character along the line, 0..1 in reading order */
};

struct lines {
    struct line *at;
    size_t n;
};
void lines_free(struct lines *lines); /* wipes */
/* Adds a line; text and places are copied. */
SLUIS_MUST_CHECK int lines_add(struct lines *lines, const struct line *line);
/* The part of a line's rectangle under bytes [start, end), wider on each side; at the line's own
 * ends half its height beyond its box, which may cut a digit in two. */
struct quad line_part(const struct line *line, size_t start, size_t end);

/* Where a picture changed since it was read first, in cells of TOUCHED_CELL pixels. */
#define TOUCHED_CELL 8
struct touched {
    uint32_t w, h; /* in cells */
    uint8_t *cell;
};
SLUIS_MUST_CHECK int touched_new(uint32_t w, uint32_t h, struct touched *out);
void touched_free(struct touched *t);
void touched_mark(struct touched *t, const struct quad *quad);
bool touched_at(const struct touched *t, const struct quad *quad);

/* Reading a picture that was read before. Recognition costs more than all the rest: a line that
 * stands where it stood, on pixels that did not change, keeps its text. */
struct again {
    const struct quad *near; /* only text near these is read; n 0: all of it */
    size_t n;
    struct lines *known; /* every line recognised so far, noise too; grows */
    const struct touched *touched;
    bool doubt; /* lines that are unsure or hold many digits are recognised again */
    bool many;  /* of these only what may be a number or of a machine-readable zone */
};
/* The known line for a rectangle, or NULL: it has to be recognised. */
const struct line *again_known(const struct again *again, const struct quad *quad);

/* A letter that an engine takes for this digit, or 0 (page.c). */
char look_alike(char c);
/* Pixels on each side of a covered rectangle that are read again. */
float near_room(const struct quad *covered);

struct engine; /* PP-OCRv4 or tesseract */
/* Looks for the models in `folder` (NULL: tesseract only); checks every SHA-256. `problem` tells
 * why it is not the best engine. Never fails but for memory: engine_kind may be NONE. */
SLUIS_MUST_CHECK int engine_new(const char *folder, struct engine **out, char problem[160]);
void engine_free(struct engine *engine);
enum picture_engine engine_kind(const struct engine *engine);
void engine_versions(const struct engine *engine, char *out, size_t size);
/* Reads an opaque picture; the longer side is brought to at most `side` for finding text. Adds to
 * `lines`. `again` may be NULL. SLUIS_ELIMIT, SLUIS_ENOMEM, SLUIS_EINVAL (the engine failed). */
SLUIS_MUST_CHECK int engine_read(struct engine *engine, const struct pixels *p, uint32_t side,
                                 struct again *again, struct lines *lines);

/* ---- ppocr.c ---- */
struct ppocr;
SLUIS_MUST_CHECK int ppocr_new(const char *folder, struct ppocr **out, char problem[160]);
void ppocr_free(struct ppocr *ocr);
const char *ppocr_version(const struct ppocr *ocr);
SLUIS_MUST_CHECK int ppocr_read(struct ppocr *ocr, const struct pixels *p, uint32_t side,
                                struct again *again, struct lines *lines);

/* ---- find_text.c: probability map to rectangles ---- */
/* Turned rectangles (map pixels) of connected regions above the threshold; at most `most`. Returns
 * how many, or an error. */
SLUIS_MUST_CHECK int find_text(const float *map, uint32_t w, uint32_t h, struct quad *out,
                               size_t most);

/* ---- tesseract.c ---- */
struct tesseract;
SLUIS_MUST_CHECK int tesseract_new(struct tesseract **out);
void tesseract_free(struct tesseract *t);
const char *tesseract_version(const struct tesseract *t);
SLUIS_MUST_CHECK int tesseract_read(struct tesseract *t, const struct pixels *p,
                                    struct lines *lines);

/* ---- codes.c: zbar ---- */
#define CODES_MAX 16
struct code {
    struct quad quad;
    char *text;
    size_t n;
};
struct codes {
    struct code at[CODES_MAX];
    size_t n;
};
SLUIS_MUST_CHECK int codes_read(const struct pixels *p, struct codes *out);
void codes_free(struct codes *codes);
void codes_warm(void); /* before the sandbox, once */

#endif

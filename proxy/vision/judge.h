/* Private to vision: what the lines of a picture mean. Pure: no I/O, no clock. */
#ifndef SLUIS_VISION_JUDGE_H
#define SLUIS_VISION_JUDGE_H

#include "read.h"

#define SECRETS_MAX 128 /* digit strings that must not be readable afterwards */
#define SECRET_DIGITS_MAX 48
#define MRZ_LINE_MIN 24 /* characters of a line that may be of a machine-readable zone */

/* The lines as one text, in reading order: lines on one baseline joined with a space, rows with
 * '\n'. */
struct page {
    const struct lines *lines;
    struct {
        size_t line;    /* index in lines */
        uint32_t at, n; /* bytes in text */
        uint32_t row;
        float s, t; /* place along and across the page's main direction */
    } part[LINES_MAX];
    size_t parts, rows;
    struct point along; /* main direction of the text */
    char *text;         /* as read */
    char *digits;       /* the same bytes with look-alikes in digit groups made digits */
    char *lower;        /* ASCII in lower case, blanks dropped: for words; NUL-terminated */
    size_t n;
};
SLUIS_MUST_CHECK int page_new(const struct lines *lines, struct page **out);
void page_free(struct page *page); /* wipes */
/* The bytes of one row. */
void page_row(const struct page *page, size_t row, size_t *start, size_t *end);

struct found {
    uint16_t type, score;
    uint8_t class;
    struct quad quad;
};
struct judgement {
    struct found at[PICTURE_FINDINGS_MAX];
    size_t n;
    uint32_t classes;
    bool hint;      /* something is there that another pass may decide */
    bool mrz_valid; /* check digits of number, birth and expiry hold */
    bool overflow;  /* more findings than fit: withhold */
    bool document;  /* the picture shows an identity document, not only a number of one as text */
    char secret[SECRETS_MAX][SECRET_DIGITS_MAX + 1];
    size_t secrets;
};
/* One finding for each line part under bytes [start, end) of the text. */
void judge_add(struct judgement *j, const struct page *page, size_t start, size_t end,
               unsigned type, unsigned score, enum picture_class class);
/* The same for whole lines. */
void judge_add_part(struct judgement *j, const struct page *page, size_t part, unsigned type,
                    unsigned score, enum picture_class class);
/* The same for a place that no line was read from. */
void judge_add_quad(struct judgement *j, const struct quad *quad, unsigned type, unsigned score,
                    enum picture_class class);
void judge_secret(struct judgement *j, const char *digits, size_t n);

struct judge { /* what judging needs, made once */
    const struct detector *detector;
    struct detect_scratch *scratch;
    uint64_t types; /* of picture_policy */
    bool card_name, card_cvc;
};
/* Adds what one reading shows. SLUIS_EJUDGE when detection failed: withhold. */
SLUIS_MUST_CHECK int judge_page(const struct judge *judge, const struct page *page,
                                struct judgement *j);
SLUIS_MUST_CHECK int judge_codes(const struct judge *judge, const struct codes *codes,
                                 struct judgement *j);

/* ---- card.c ---- */
void judge_card(const struct judge *judge, const struct page *page, struct judgement *j);
/* ---- document.c ---- */
void judge_mrz(const struct page *page, struct judgement *j);
void judge_document(const struct page *page, struct judgement *j);
/* ---- extent.c: adds the whole of an identity document as one finding, portrait and signature with
 * it, once everything has been read; nothing when there is none. ---- */
void judge_extent(struct judgement *j);
/* How many different words of a NULL-terminated list are in the text (`lower` form). */
unsigned words_in(const char *lower, const char *const *words);
extern const char *const card_words[], *const card_words_weak[], *const document_words[];

bool luhn_holds(const char *digits, size_t n);
bool eleven_holds(const char *nine_digits);

/* Any 6 digits in a row of a secret that a page shows: the part that shows them, or page->parts. */
size_t secret_shown(const struct page *page, const struct judgement *j);

#endif

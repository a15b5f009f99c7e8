/* From text to findings: every text detector, cards, documents, payment codes. */
#include "judge.h"

#include <ctype.h>
#include <stdlib.h>

#define SHOWN_DIGITS 6 /* digits in a row that may not be readable after covering */

void judge_add_part(struct judgement *j, const struct page *page, size_t part, unsigned type,
                    unsigned score, enum picture_class class)
{
    const struct line *line = &page->lines->at[page->part[part].line];
    judge_add(j, page, page->part[part].at, page->part[part].at + line->n, type, score, class);
}

/* A line that keeps its text from one pass to the next is found again in the same place. */
static void add_found(struct judgement *j, const struct found *f)
{
    for (size_t i = 0; i < j->n; i++)
        if (j->at[i].type == f->type && j->at[i].class == f->class &&
            memcmp(&j->at[i].quad, &f->quad, sizeof f->quad) == 0) {
            j->at[i].score = f->score > j->at[i].score ? f->score : j->at[i].score;
            return;
        }
    if (j->n == PICTURE_FINDINGS_MAX)
        j->overflow = true;
    else
        j->at[j->n++] = *f;
}

void judge_add(struct judgement *j, const struct page *page, size_t start, size_t end,
               unsigned type, unsigned score, enum picture_class class)
{
    j->classes |= 1u << class;
    for (size_t i = 0; i < page->parts; i++) {
        size_t from = page->part[i].at, to = from + page->part[i].n;
        if (from >= end || to <= start || from == to)
            continue;
        size_t a = start > from ? start - from : 0, b = (end < to ? end : to) - from;
        add_found(j,
                  &(struct found){.type = (uint16_t)type,
                                  .score = (uint16_t)score,
                                  .class = (uint8_t) class,
                                  .quad = line_part(&page->lines->at[page->part[i].line], a, b)});
    }
}

void judge_add_quad(struct judgement *j, const struct quad *quad, unsigned type, unsigned score,
                    enum picture_class class)
{
    j->classes |= 1u << class;
    add_found(j, &(struct found){(uint16_t)type, (uint16_t)score, (uint8_t) class, *quad});
}

void judge_secret(struct judgement *j, const char *digits, size_t n)
{
    size_t k = 0;
    if (j->secrets == SECRETS_MAX)
        return;
    char *to = j->secret[j->secrets];
    for (size_t i = 0; i < n && k < SECRET_DIGITS_MAX; i++)
        if (isdigit((unsigned char)digits[i]))
            to[k++] = digits[i];
    to[k] = 0;
    if (k >= SHOWN_DIGITS)
        j->secrets++;
}

bool luhn_holds(const char *digits, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned d = (unsigned)(digits[n - 1 - i] - '0');
        if (i % 2)
            d = d * 2 > 9 ? d * 2 - 9 : d * 2;
        sum += d;
    }
    return sum % 10 == 0;
}

bool eleven_holds(const char *d)
{
    int sum = -(d[8] - '0');
    bool zero = true;
    for (int i = 0; i < 8; i++)
        sum += (9 - i) * (d[i] - '0');
    for (int i = 0; i < 9; i++)
        zero &= d[i] == '0';
    return !zero && sum % 11 == 0;
}

unsigned words_in(const char *lower, const char *const *words)
{
    unsigned n = 0;
    for (; *words; words++)
        n += strstr(lower, *words) != NULL;
    return n;
}

static enum picture_class class_of(unsigned type)
{
    switch (type) {
    case DETECT_PAN:
        return PICTURE_CLASS_CARD;
    case DETECT_IBAN:
        return PICTURE_CLASS_IBAN;
    case DETECT_BSN:
        return PICTURE_CLASS_BSN;
    case DETECT_ID_DOCUMENT:
        return PICTURE_CLASS_ID_DOCUMENT;
    default:
        return PICTURE_CLASS_OTHER;
    }
}

static bool wanted(const struct judge *judge, unsigned type)
{
    return class_of(type) != PICTURE_CLASS_OTHER ||
           (type < 64 && judge->types & UINT64_C(1) << type);
}

/* Every detector over a text; `report` is called for each finding that counts. */
static int detect_text(const struct judge *judge, struct span text, struct finding **out)
{
    *out = calloc(DETECT_FINDINGS_MAX, sizeof **out);
    if (!*out)
        return SLUIS_ENOMEM;
    struct detect_input in = {.text = text, .from_customer = true};
    int n = detect_run(judge->detector, judge->scratch, &in, *out, DETECT_FINDINGS_MAX);
    if (n < 0) {
        free(*out);
        *out = NULL;
    }
    return n;
}

static int judge_text(const struct judge *judge, const struct page *page, const char *text,
                      bool numbers_only, struct judgement *j)
{
    struct finding *found;
    int n = detect_text(judge, span_of(text, page->n), &found);
    if (n < 0)
        return n;
    for (int i = 0; i < n; i++) {
        const struct finding *f = &found[i];
        for (unsigned type = 0; type < DETECT_TYPES_MAX; type++) /* what it hides counts as well */
            if (f->also >> type & 1 && !f->back && !numbers_only && wanted(judge, type))
                judge_add(j, page, f->start, f->end, type, f->score, class_of(type));
        bool number = f->type == DETECT_PAN || f->type == DETECT_IBAN || f->type == DETECT_BSN;
        if (f->back || !wanted(judge, f->type) || (numbers_only && !number))
            continue;
        judge_add(j, page, f->start, f->end, f->type, f->score, class_of(f->type));
        if (number)
            judge_secret(j, text + f->start, f->end - f->start);
    }
    free(found);
    return 0;
}

int judge_page(const struct judge *judge, const struct page *page, struct judgement *j)
{
    int error = judge_text(judge, page, page->text, false, j);
    if (!error && memcmp(page->text, page->digits, page->n) != 0)
        error = judge_text(judge, page, page->digits, true, j);
    if (error)
        return error == SLUIS_ENOMEM ? error : SLUIS_EJUDGE;
    judge_mrz(page, j);
    judge_document(page, j);
    judge_card(judge, page, j);
    return 0;
}

int judge_codes(const struct judge *judge, const struct codes *codes, struct judgement *j)
{
    for (size_t i = 0; i < codes->n; i++) {
        const struct code *c = &codes->at[i];
        struct span text = span_of(c->text, c->n);
        struct finding *found;
        bool payment = span_starts(text, SPAN("BCD\n")) || span_starts(text, SPAN("BCD\r\n")) ||
                       span_starts(text, SPAN("SPC\n")) || span_starts(text, SPAN("SPC\r\n"));
        enum picture_class class = PICTURE_CLASS_PAYMENT_CODE;
        int n = detect_text(judge, text, &found);
        if (n < 0)
            return n == SLUIS_ENOMEM ? n : SLUIS_EJUDGE;
        bool any = payment;
        for (int k = 0; k < n; k++) {
            any |= wanted(judge, found[k].type);
            payment |= found[k].type == DETECT_IBAN;
        }
        free(found);
        if (!any)
            continue;
        if (!payment)
            class = PICTURE_CLASS_OTHER;
        j->classes |= 1u << class;
        if (j->n == PICTURE_FINDINGS_MAX) {
            j->overflow = true;
            break;
        }
        j->at[j->n++] = (struct found){PICTURE_FOUND_CODE, 1000, (uint8_t) class, c->quad};
    }
    return 0;
}

/* Digits of a row, with where each stands. */
static bool row_shows(const struct page *page, size_t start, size_t end, const struct judgement *j,
                      size_t *where)
{
    char digits[LINE_TEXT_MAX];
    size_t at[LINE_TEXT_MAX], n = 0;
    for (size_t i = start; i < end && n < LINE_TEXT_MAX; i++)
        if (isdigit((unsigned char)page->digits[i])) {
            at[n] = i;
            digits[n++] = page->digits[i];
        }
    for (size_t s = 0; s < j->secrets; s++) {
        size_t length = strlen(j->secret[s]);
        for (size_t k = 0; k + SHOWN_DIGITS <= length; k++)
            for (size_t i = 0; i + SHOWN_DIGITS <= n; i++)
                if (memcmp(digits + i, j->secret[s] + k, SHOWN_DIGITS) == 0) {
                    *where = at[i];
                    return true;
                }
    }
    return false;
}

size_t secret_shown(const struct page *page, const struct judgement *j)
{
    for (size_t row = 0; row < page->rows; row++) {
        size_t start, end, where;
        page_row(page, row, &start, &end);
        if (!row_shows(page, start, end, j, &where))
            continue;
        for (size_t i = 0; i < page->parts; i++)
            if (where >= page->part[i].at && where < page->part[i].at + page->part[i].n)
                return i;
    }
    return page->parts;
}

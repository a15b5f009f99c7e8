/* Lines to one text in reading order, with the way back to each line. */
#include "judge.h"

#include <ctype.h>
#include <math.h>
#include <sodium.h>
#include <stdlib.h>

#define SAME_ROW 0.55f /* of the lower line's height: centres this near are one row */
#define SAME_WAY 0.94f /* cosine: lines within 20 degrees */

/* The direction of most of the text. */
static struct point main_direction(const struct lines *lines)
{
    struct point best = {1, 0};
    float most = 0;
    for (size_t i = 0; i < lines->n; i++) {
        struct point sum = {0, 0};
        float weight = 0;
        const struct point a = lines->at[i].quad.along;
        for (size_t k = 0; k < lines->n; k++) {
            const struct line *l = &lines->at[k];
            if (a.x * l->quad.along.x + a.y * l->quad.along.y < SAME_WAY)
                continue;
            weight += l->quad.w;
            sum.x += l->quad.along.x * l->quad.w;
            sum.y += l->quad.along.y * l->quad.w;
        }
        if (weight > most) {
            float length = hypotf(sum.x, sum.y);
            most = weight;
            best = (struct point){sum.x / length, sum.y / length};
        }
        if (i > 200) /* enough to know */
            break;
    }
    return best;
}

static void place_parts(struct page *p)
{
    for (size_t i = 0; i < p->lines->n; i++) {
        const struct quad *q = &p->lines->at[i].quad;
        p->part[i].line = i;
        p->part[i].s = q->centre.x * p->along.x + q->centre.y * p->along.y;
        p->part[i].t = q->centre.y * p->along.x - q->centre.x * p->along.y;
    }
    p->parts = p->lines->n;
}

static bool one_row(const struct page *p, size_t a, size_t b)
{
    const struct quad *q = &p->lines->at[p->part[a].line].quad;
    const struct quad *r = &p->lines->at[p->part[b].line].quad;
    if (q->along.x * r->along.x + q->along.y * r->along.y < SAME_WAY)
        return false;
    /* how far b's centre is from a's baseline, along a's own direction */
    float dx = r->centre.x - q->centre.x, dy = r->centre.y - q->centre.y;
    return fabsf(dy * q->along.x - dx * q->along.y) < SAME_ROW * fminf(q->h, r->h);
}

/* Rows from the top; each takes what stands beside its first, chained outward. LINES_MAX squared is
 * two million steps at most. */
static void make_rows(struct page *p)
{
    bool *taken = calloc(p->parts + 1, 1);
    size_t done = 0;
    if (!taken)
        return;
    for (size_t i = 0; i < p->parts; i++) /* by t: insertion, few lines */
        for (size_t k = i; k > 0 && p->part[k].t < p->part[k - 1].t; k--) {
            __typeof__(p->part[0]) keep = p->part[k];
            p->part[k] = p->part[k - 1];
            p->part[k - 1] = keep;
        }
    for (size_t i = 0; i < p->parts; i++) {
        if (taken[i])
            continue;
        taken[i] = true;
        p->part[i].row = (uint32_t)p->rows;
        done++;
        for (size_t k = i + 1; k < p->parts; k++)
            if (!taken[k] && one_row(p, i, k)) {
                taken[k] = true;
                p->part[k].row = (uint32_t)p->rows;
            }
        p->rows++;
    }
    free(taken);
    for (size_t i = 0; i < p->parts; i++)
        for (size_t k = i;
             k > 0 && (p->part[k].row < p->part[k - 1].row ||
                       (p->part[k].row == p->part[k - 1].row && p->part[k].s < p->part[k - 1].s));
             k--) {
            __typeof__(p->part[0]) keep = p->part[k];
            p->part[k] = p->part[k - 1];
            p->part[k - 1] = keep;
        }
}

char look_alike(char c)
{
    static const char from[] = "OoDQIl|i!ZzSsGbBgqT", to[] = "0000111112255668997";
    const char *at = c ? strchr(from, c) : NULL;
    return at ? to[at - from] : 0;
}

/* In words that are mostly digits already. */
static void repair(char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t end = i, digits = 0, alike = 0;
        while (end < n && !isspace((unsigned char)text[end])) {
            digits += isdigit((unsigned char)text[end]) != 0;
            alike += look_alike(text[end]) != 0;
            end++;
        }
        /* two letters and a digit begin an IBAN, unless both letters look like digits */
        bool head = end - i >= 4 && isupper((unsigned char)text[i]) &&
                    isupper((unsigned char)text[i + 1]) && isdigit((unsigned char)text[i + 2]) &&
                    !(look_alike(text[i]) && look_alike(text[i + 1]));
        if (!head && end - i >= 3 && digits * 2 >= end - i && digits + alike + 1 >= end - i)
            for (size_t k = i; k < end; k++)
                if (look_alike(text[k]))
                    text[k] = look_alike(text[k]);
        i = end + 1;
    }
}

static int write_text(struct page *p)
{
    size_t most = 2;
    for (size_t i = 0; i < p->parts; i++)
        most += p->lines->at[i].n + 1u;
    p->text = calloc(most, 1);
    p->digits = calloc(most, 1);
    p->lower = calloc(most, 1);
    if (!p->text || !p->digits || !p->lower)
        return SLUIS_ENOMEM;
    for (size_t i = 0; i < p->parts; i++) {
        const struct line *l = &p->lines->at[p->part[i].line];
        if (i)
            p->text[p->n++] = p->part[i].row == p->part[i - 1].row ? ' ' : '\n';
        p->part[i].at = (uint32_t)p->n;
        p->part[i].n = l->n;
        memcpy(p->text + p->n, l->text, l->n);
        p->n += l->n;
    }
    memcpy(p->digits, p->text, p->n);
    repair(p->digits, p->n);
    size_t m = 0;
    for (size_t i = 0; i < p->n; i++)
        if (!isspace((unsigned char)p->text[i]) || p->text[i] == '\n')
            p->lower[m++] = (char)tolower((unsigned char)p->text[i]);
    return 0;
}

int page_new(const struct lines *lines, struct page **out)
{
    struct page *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p)
        return SLUIS_ENOMEM;
    p->lines = lines;
    p->along = main_direction(lines);
    place_parts(p);
    make_rows(p);
    int error = write_text(p);
    if (error)
        page_free(p);
    else
        *out = p;
    return error;
}

void page_free(struct page *page)
{
    if (!page)
        return;
    if (page->text)
        sodium_memzero(page->text, page->n);
    if (page->digits)
        sodium_memzero(page->digits, page->n);
    if (page->lower)
        sodium_memzero(page->lower, page->n);
    free(page->text);
    free(page->digits);
    free(page->lower);
    free(page);
}

void page_row(const struct page *page, size_t row, size_t *start, size_t *end)
{
    *start = *end = 0;
    for (size_t i = 0; i < page->parts; i++) {
        if (page->part[i].row != row)
            continue;
        if (i == 0 || page->part[i - 1].row != row)
            *start = page->part[i].at;
        *end = page->part[i].at + page->part[i].n;
    }
}

/* Dates as people write them, and the date of birth. */
#include "room.h"

#define YEAR_MIN 1900
#define YEAR_MAX 2100
/* A date of birth stands at most this far from the word that says so. */
#define DOB_REACH 190
#define ROW_REACH 45 /* the word BSN, its number between or not */

static bool joined(const struct atom *a)
{
    return a->gap <= 3 && a->gap > 0 &&
           (a->before & ~(GAP_SPACE | GAP_DOT | GAP_DASH | GAP_SLASH | GAP_COMMA | GAP_SENTENCE)) ==
               0;
}

static bool is_year(const struct detect_scratch *s, const struct atom *a)
{
    if (a->kind != ATOM_NUMBER)
        return false;
    uint32_t v = atom_number(s, a), n = atom_size(a);
    return n == 2 || (n == 4 && v >= YEAR_MIN && v <= YEAR_MAX);
}

static bool in_range(const struct detect_scratch *s, const struct atom *a, uint32_t most)
{
    uint32_t v = atom_number(s, a);
    return a->kind == ATOM_NUMBER && atom_size(a) <= 2 && v >= 1 && v <= most;
}

/* "12031980" and "19800312". */
static bool is_packed(const struct detect_scratch *s, const struct atom *a)
{
    if (atom_size(a) != 8)
        return false;
    uint32_t v = atom_number(s, a);
    uint32_t day = v / 1000000, month = v / 10000 % 100, year = v % 10000;
    bool dutch =
        day >= 1 && day <= 31 && month >= 1 && month <= 12 && year >= YEAR_MIN && year <= YEAR_MAX;
    year = v / 10000;
    month = v / 100 % 100;
    day = v % 100;
    return dutch || (day >= 1 && day <= 31 && month >= 1 && month <= 12 && year >= YEAR_MIN &&
                     year <= YEAR_MAX);
}

/* "3e", "1st": letters glued to the day. */
static uint32_t behind_day(const struct detect_scratch *s, uint32_t k)
{
    if (k < s->atom_n && s->atoms[k].kind == ATOM_WORD && s->atoms[k].gap == 0 &&
        atom_size(&s->atoms[k]) <= 3)
        return k + 1;
    return k;
}

bool read_date(const struct detect_scratch *s, uint32_t i, uint32_t *last)
{
    const struct atom *a = &s->atoms[i];
    if (a->kind != ATOM_NUMBER)
        return false;
    *last = i;
    if (is_packed(s, a))
        return true;
    uint32_t m = i + 1;
    if (in_range(s, a, 31))
        m = behind_day(s, m);
    if (m + 1 >= s->atom_n || !joined(&s->atoms[m]))
        return false;
    uint32_t y = m + 1;
    const struct atom *month = &s->atoms[m], *year = &s->atoms[y];
    /* "'85": an apostrophe may stand before the year */
    bool near_year = joined(year) || (year->gap == 2 && s->norm[year->start - 1] == '\'');
    if (!near_year)
        return false;
    *last = y;
    if (month->kind == ATOM_WORD)
        return (month->ctx & WORD_MONTH) && in_range(s, a, 31) && is_year(s, year);
    if (atom_size(a) == 4) /* 1980-03-12 */
        return is_year(s, a) && in_range(s, month, 12) && in_range(s, year, 31);
    bool dutch = in_range(s, a, 31) && in_range(s, month, 12);
    bool american = in_range(s, a, 12) && in_range(s, month, 31);
    return (dutch || american) && is_year(s, year);
}

/* "March 12, 1980": the month word stands before atom i. */
static bool read_month_first(const struct detect_scratch *s, uint32_t i, uint32_t *last)
{
    if (i == 0 || !(s->atoms[i - 1].ctx & WORD_MONTH) || !in_range(s, &s->atoms[i], 31))
        return false;
    uint32_t y = behind_day(s, i + 1);
    if (y >= s->atom_n || !joined(&s->atoms[y]) || atom_size(&s->atoms[y]) != 4 ||
        !is_year(s, &s->atoms[y]))
        return false;
    *last = y;
    return true;
}

void find_dob(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    if (!(s->seen & (CTX_DOB | CTX_BSN)))
        return;
    uint32_t first = i, last = i;
    if (read_month_first(s, i, &last))
        first = i - 1;
    else if (!read_date(s, i, &last))
        return;
    if (i > 0 && s->atoms[i].gap == 0 && !(s->atoms[i - 1].ctx & CTX_DOB))
        return;
    /* a whole number, not the tail of a longer row of them: "1-12-03-1980" */
    if (i > 0 && s->atoms[i - 1].kind == ATOM_NUMBER && s->atoms[i].gap == 1 &&
        (s->atoms[i].before & (GAP_DASH | GAP_DOT | GAP_SLASH)))
        return;
    struct context c = context_of(s, first, last, CTX_DOB, CNT_ORDER | CNT_DATE | CTX_EXPIRY);
    if (c.want > DOB_REACH || !context_holds(&c)) {
        /* a row of personal details: a date right beside a BSN */
        struct context row = context_of(s, first, last, CTX_BSN, CNT_ORDER | CNT_DATE | CTX_EXPIRY);
        if (row.want <= ROW_REACH && context_holds(&row))
            hit_add(d, s, s->atoms[first].start, s->atoms[last].end, DETECT_DOB, 750, "date+row");
        return;
    }
    hit_add(d, s, s->atoms[first].start, s->atoms[last].end, DETECT_DOB, c.direct ? 950 : 850,
            "date+context");
}

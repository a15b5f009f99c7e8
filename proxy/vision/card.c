/*
 * Payment cards from shape and words, never from a valid number alone: even the better engine
 * misses it on four cards of ten. What is called a card has all its digits covered.
 */
#include "judge.h"

#include <ctype.h>
#include <math.h>

#define CARD_WIDTHS 1.45f    /* a card's width in widths of its number (ISO/IEC 7811: 85.6 mm) */
#define CARD_ASPECT 0.65f    /* height to width, with some room */
#define NUMBER_DIGITS 15     /* of a card's number at least (American Express) */
#define NUMBER_MISSING_MAX 8 /* two groups: with more missing it is not known where they stand */
#define GROUPS_MAX 12
#define DIGITS_FEW 40 /* on a picture that shows a card and no page of numbers */

const char *const card_words[] = {"visa",
                                  "mastercard",
                                  "maestro",
                                  "americanexpress",
                                  "amex",
                                  "unionpay",
                                  "dinersclub",
                                  "discover",
                                  "vpay",
                                  "v-pay",
                                  "cirrus",
                                  "electron",
                                  "validthru",
                                  "valldthru",
                                  "validthr",
                                  "goodthru",
                                  "goodthr",
                                  "validfrom",
                                  "validfron",
                                  "expiresend",
                                  "expireend",
                                  "monthyear",
                                  "month/year",
                                  "geldigt/m",
                                  "geldigtm",
                                  "geldigtot",
                                  "geldigt/m",
                                  "cardholder",
                                  "authorizedsignature",
                                  "authorisedsignature",
                                  "notvalidunlesssigned",
                                  "notvaliduniess",
                                  "pasnr",
                                  "pasnummer",
                                  "kaartnr",
                                  "kaartnummer",
                                  "rekeninghouder",
                                  "securitycode",
                                  "membersince",
                                  "membersinc",
                                  "validdates",
                                  "cvc2",
                                  "cvv2",
                                  "cvc",
                                  "cvv",
                                  "debitcard",
                                  "creditcard",
                                  "prepaid",
                                  "worldelite",
                                  "platinum",
                                  "businesscard",
                                  "betaalpas",
                                  "bankpas",
                                  "wereldpas",
                                  "contactless",
                                  "debit",
                                  "\xe9\x93\xb6\xe8\x81\x94", /* yinlian */
                                  "\xe9\x93\xb6\xe8\xa1\x8c", /* yinhang */
                                  "\xe5\x80\x9f\xe8\xae\xb0",
                                  "\xe8\xb4\xb7\xe8\xae\xb0",
                                  "\xe4\xbf\xa1\xe7\x94\xa8\xe5\x8d\xa1",
                                  "\xe6\x9c\x89\xe6\x95\x88\xe6\x9c\x9f",
                                  NULL};
/* Names of banks and the like: they count beside something else. */
const char *const card_words_weak[] = {"rabobank", "abnamro", "ingbank", "snsbank",   "asnbank",
                                       "triodos",  "knab",    "bunq",    "regiobank", "bank",
                                       "credit",   "card",    NULL};

struct number {        /* digits of one row that may be a card's number */
    size_t start, end; /* in the page */
    char digits[SECRET_DIGITS_MAX + 1];
    size_t n;
    unsigned groups, fours; /* groups of digits; those of four */
    unsigned size[GROUPS_MAX];
    bool valid, shaped;
};

struct seen {
    struct number best;
    bool has_number;
    unsigned words, weak, expiries, fours, lone_fours, digits;
};

/* Letters and two digits before the groups: an IBAN, told by its own detector. */
static bool after_iban_head(const char *text, size_t row_start, size_t at)
{
    size_t i = at;
    while (i > row_start && text[i - 1] == ' ')
        i--;
    if (i >= row_start + 4 && isdigit((unsigned char)text[i - 1]) &&
        isdigit((unsigned char)text[i - 2]) && isupper((unsigned char)text[i - 3]) &&
        isupper((unsigned char)text[i - 4]))
        return true;
    /* the head is glued to the groups: DE89 3704 ... */
    return at >= row_start + 2 && isupper((unsigned char)text[at - 1]) &&
           isupper((unsigned char)text[at - 2]);
}

static void weigh(struct number *c)
{
    c->valid = c->n >= 13 && c->n <= 19 && c->digits[0] >= '2' && c->digits[0] <= '6' &&
               luhn_holds(c->digits, c->n);
    bool quarters = c->groups >= 4 && c->fours >= 4;
    bool amex = c->groups == 3 && c->size[0] == 4 && c->size[1] == 6 && c->size[2] == 5;
    c->shaped = quarters || amex;
}

static bool four_follow(const char *text, size_t i, size_t end)
{
    for (size_t k = 0; k < 4; k++)
        if (i + k >= end || !isdigit((unsigned char)text[i + k]))
            return false;
    return true;
}

/* Groups of digits from `i` on: blanks, dots and dashes may stand between. */
static size_t read_number(const char *text, size_t i, size_t end, struct number *out)
{
    *out = (struct number){.start = i};
    unsigned here = 0;
    size_t gap = 0;
    for (; i < end; i++) {
        char c = text[i];
        if (isdigit((unsigned char)c)) {
            if (gap && here && out->groups < GROUPS_MAX) {
                out->size[out->groups++] = here;
                here = 0;
            }
            gap = 0;
            here++;
            if (out->n < SECRET_DIGITS_MAX)
                out->digits[out->n++] = c;
            out->end = i + 1;
        } else if (c == '/' && gap <= 1 && here >= 4 &&
                   four_follow(text, i + 1 < end && text[i + 1] == ' ' ? i + 2 : i + 1, end)) {
            gap++; /* a stroke that was seen between two groups */
        } else if ((c == ' ' || c == '-' || c == '.' || c == ':') && gap < 3) {
            gap++;
        } else {
            break;
        }
    }
    if (here && out->groups < GROUPS_MAX)
        out->size[out->groups++] = here;
    for (unsigned g = 0; g < out->groups; g++)
        out->fours += out->size[g] == 4;
    weigh(out);
    return i > out->end ? out->end : i;
}

static int rank(const struct number *c)
{
    return (c->valid ? 8 : 0) + (c->shaped ? 4 : 0) + (c->fours >= 3 ? 2 : 0) +
           (c->n >= 13 && c->n <= 19 ? 1 : 0);
}

static bool is_expiry(const char *t, size_t left)
{
    return left >= 5 && isdigit((unsigned char)t[0]) && isdigit((unsigned char)t[1]) &&
           (t[2] == '/' || t[2] == '-') && isdigit((unsigned char)t[3]) &&
           isdigit((unsigned char)t[4]) && (t[0] == '0' || (t[0] == '1' && t[1] <= '2')) &&
           !(t[0] == '0' && t[1] == '0') && (left < 6 || (t[5] != '/' && t[5] != '-'));
}

static void look_at_row(const struct page *page, size_t row, struct seen *s)
{
    size_t start, end;
    page_row(page, row, &start, &end);
    const char *text = page->digits;
    for (size_t i = start; i < end;) {
        if (!isdigit((unsigned char)text[i])) {
            i++;
            continue;
        }
        struct number c;
        bool iban = after_iban_head(text, start, i);
        if (is_expiry(text + i, end - i) && (i == start || !isdigit((unsigned char)text[i - 1])) &&
            (i < start + 2 || text[i - 1] != '/'))
            s->expiries++;
        size_t next = read_number(text, i, end, &c);
        i = next > i ? next : i + 1;
        s->digits += (unsigned)c.n;
        if (iban)
            continue;
        s->fours += c.fours;
        if (c.groups == 1 && c.n == 4 && c.start == start && c.end == end)
            s->lone_fours++;
        if (rank(&c) > 0 && (!s->has_number || rank(&c) > rank(&s->best))) {
            s->best = c;
            s->has_number = true;
        }
    }
}

/* The decision, 0 for none, else a score. Tuned on the shared pictures and the rendered cards. */
static unsigned decide(const struct seen *s, bool iban)
{
    const struct number *c = &s->best;
    if (s->has_number && c->valid && c->shaped)
        return 1000;
    if (s->has_number && c->valid && c->n >= 15 && (s->words || s->expiries || c->groups > 1))
        return 950;
    if (s->has_number && c->shaped)
        return 900;
    if (s->has_number && c->fours >= 3 && (s->words || s->weak || s->expiries || c->n <= 16))
        return 800;
    if (s->lone_fours >= 3)
        return 750;
    if (s->words >= 2 && (s->expiries || s->fours >= 1))
        return 800;
    if (s->words >= 1 && s->expiries && s->digits >= 10)
        return 750;
    if (s->words >= 1 && s->has_number && c->n >= 13 && c->n <= 19)
        return 750;
    if (s->expiries && s->has_number && c->n >= 14 && c->n <= 19 && s->digits <= DIGITS_FEW)
        return 700; /* a long number and a month, and little else */
    if (iban && s->expiries && (s->words || s->weak))
        return 750;
    if (s->words >= 1 && iban && s->digits < 60)
        return 700;
    if (s->words >= 3)
        return 700;
    return 0;
}

struct region { /* where the card is thought to be, in the page's own axes */
    float s0, s1, t0, t1;
};

/* From the number's width; without one the whole picture. */
static struct region card_region(const struct page *page, const struct seen *s)
{
    struct region all = {-INFINITY, INFINITY, -INFINITY, INFINITY}, r = {INFINITY, -INFINITY, 0, 0};
    float t = 0, n = 0;
    if (!s->has_number || s->best.n < 12 || !(s->best.shaped || s->best.valid))
        return all;
    for (size_t i = 0; i < page->parts; i++) {
        size_t at = page->part[i].at, to = at + page->part[i].n;
        if (at >= s->best.end || to <= s->best.start)
            continue;
        float half = page->lines->at[page->part[i].line].quad.w / 2;
        r.s0 = fminf(r.s0, page->part[i].s - half);
        r.s1 = fmaxf(r.s1, page->part[i].s + half);
        t += page->part[i].t;
        n++;
    }
    float w = r.s1 - r.s0, spare = w * (CARD_WIDTHS - 1) / 2;
    if (n == 0 || w <= 0)
        return all;
    r.t0 = t / n - w * CARD_WIDTHS * CARD_ASPECT;
    r.t1 = t / n + w * CARD_WIDTHS * CARD_ASPECT;
    r.s0 -= spare * 2;
    r.s1 += spare * 2;
    return r;
}

static unsigned digits_in(const char *text, size_t n)
{
    unsigned digits = 0;
    for (size_t i = 0; i < n; i++)
        digits += isdigit((unsigned char)text[i]) != 0;
    return digits;
}

/* Words in capitals that are nobody's trade mark: how many, 0 when there is anything else. */
static size_t capital_words(const char *text, size_t n)
{
    char lower[LINE_TEXT_MAX + 1];
    size_t m = 0, words = 0, letters = 0, here = 0;
    for (size_t i = 0; i <= n && m < LINE_TEXT_MAX; i++) {
        char c = i < n ? text[i] : ' ';
        if (isupper((unsigned char)c) || (unsigned char)c >= 0x80 || c == '\'' || c == '.' ||
            c == '-') {
            here++;
            letters++;
            words += c == '.' && i + 1 < n && text[i + 1] != ' '; /* J.VISSER */
        } else if (c == ' ') {
            words += here > 0;
            here = 0;
        } else {
            return 0;
        }
        if (c != ' ')
            lower[m++] = (char)tolower((unsigned char)c);
    }
    lower[m] = 0;
    return letters >= 2 && !words_in(lower, card_words) && !words_in(lower, card_words_weak) ? words
                                                                                             : 0;
}

/* A name may have been found as two boxes, and a brand may stand beside it: two words in a row. */
static bool is_name(const struct page *page, size_t part)
{
    size_t words = 0;
    if (!capital_words(page->text + page->part[part].at, page->part[part].n))
        return false;
    for (size_t i = 0; i < page->parts; i++)
        if (page->part[i].row == page->part[part].row)
            words += capital_words(page->text + page->part[i].at, page->part[i].n);
    return words >= 2;
}

/* The strip from the end of one box to the begin of the next, as high as the higher one. */
static struct quad between(const struct quad *a, const struct quad *b)
{
    struct point from = {a->centre.x + a->along.x * a->w / 2, a->centre.y + a->along.y * a->w / 2};
    struct point to = {b->centre.x - b->along.x * b->w / 2, b->centre.y - b->along.y * b->w / 2};
    float dx = to.x - from.x, dy = to.y - from.y;
    return (struct quad){{(from.x + to.x) / 2, (from.y + to.y) / 2},
                         a->along,
                         fmaxf(dx * a->along.x + dy * a->along.y, 0),
                         fmaxf(a->h, b->h) + fabsf(dy * a->along.x - dx * a->along.y)};
}

/* A number has gaps where a group was not found, and ends where one is missing: what stands there
 * goes too. Only where the groups of a number were seen; text elsewhere on the row stays. */
static void cover_number_row(const struct page *page, const struct seen *s, struct judgement *j,
                             unsigned score)
{
    const struct quad *first = NULL, *last = NULL;
    unsigned missing = s->best.n < NUMBER_DIGITS ? NUMBER_DIGITS - (unsigned)s->best.n : 0;
    for (size_t i = 0; i < page->parts; i++) { /* parts of a row stand in reading order */
        const struct quad *q = &page->lines->at[page->part[i].line].quad;
        size_t at = page->part[i].at;
        if (at >= s->best.end || at + page->part[i].n <= s->best.start)
            continue;
        if (last) {
            struct quad gap = between(last, q);
            if (gap.w > 0 && gap.w < (float)s->best.n * q->h)
                judge_add_quad(j, &gap, PICTURE_FOUND_CARD, score, PICTURE_CLASS_CARD);
        }
        first = first ? first : q;
        last = q;
    }
    if (!first || !missing || missing > NUMBER_MISSING_MAX)
        return;
    float length = hypotf(last->centre.x - first->centre.x, last->centre.y - first->centre.y) +
                   (first->w + last->w) / 2;
    float more = length * (float)(missing + 1) / (float)s->best.n; /* and a blank */
    struct quad head = *first, tail = *last;
    head.centre.x -= head.along.x * (head.w + more) / 2;
    head.centre.y -= head.along.y * (head.w + more) / 2;
    tail.centre.x += tail.along.x * (tail.w + more) / 2;
    tail.centre.y += tail.along.y * (tail.w + more) / 2;
    head.w = tail.w = more;
    judge_add_quad(j, &head, PICTURE_FOUND_CARD, score, PICTURE_CLASS_CARD);
    judge_add_quad(j, &tail, PICTURE_FOUND_CARD, score, PICTURE_CLASS_CARD);
}

static void cover_card(const struct judge *judge, const struct page *page, const struct seen *s,
                       struct judgement *j, unsigned score)
{
    struct region r = card_region(page, s);
    for (size_t i = 0; i < page->parts; i++) {
        const struct quad *q = &page->lines->at[page->part[i].line].quad;
        size_t at = page->part[i].at, n = page->part[i].n;
        if (page->part[i].s + q->w / 2 < r.s0 || page->part[i].s - q->w / 2 > r.s1 ||
            page->part[i].t < r.t0 || page->part[i].t > r.t1)
            continue;
        unsigned digits = digits_in(page->digits + at, n);
        bool number = s->has_number && at < s->best.end && at + n > s->best.start;
        if (number || digits > 4 || (digits && digits < 3)) {
            judge_add_part(j, page, i, number && s->best.valid ? DETECT_PAN : PICTURE_FOUND_CARD,
                           score, PICTURE_CLASS_CARD);
            judge_secret(j, page->digits + at, n);
        } else if (digits) { /* three or four: a group of the number, or a CVC */
            if (digits == 4 || !judge->card_cvc)
                judge_add_part(j, page, i, digits == 3 ? PICTURE_FOUND_CVC : PICTURE_FOUND_CARD,
                               score, PICTURE_CLASS_CARD);
        } else if (!judge->card_name && is_name(page, i)) {
            judge_add_part(j, page, i, PICTURE_FOUND_NAME, score, PICTURE_CLASS_CARD);
        }
    }
    if (s->has_number) {
        judge_secret(j, s->best.digits, s->best.n);
        if (s->best.fours >= 2)
            cover_number_row(page, s, j, score);
    }
    j->classes |= 1u << PICTURE_CLASS_CARD;
}

void judge_card(const struct judge *judge, const struct page *page, struct judgement *j)
{
    struct seen s = {0};
    s.words = words_in(page->lower, card_words);
    s.weak = words_in(page->lower, card_words_weak);
    for (size_t row = 0; row < page->rows; row++)
        look_at_row(page, row, &s);
    unsigned score = decide(&s, j->classes & 1u << PICTURE_CLASS_IBAN);
    if (score == 0 && j->classes & 1u << PICTURE_CLASS_CARD)
        score = 700; /* a detector saw the number */
    if (score)
        cover_card(judge, page, &s, j, score);
    else if (s.words || s.expiries || s.fours || s.digits >= 12)
        j->hint = true;
}

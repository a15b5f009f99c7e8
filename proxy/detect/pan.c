/* PAN: 13 to 19 digits, Luhn, issuer ranges (ISO/IEC 7812). */
#include "room.h"

#define PAN_PARTS_MAX 19 /* "4 1 1 1 ..." */
#define USUAL_PARTS_MAX 6
#define PAN_MIN 13
#define PAN_MAX 19
/* Near misses: a digit too few or too many. */
#define NEAR_MIN 14
#define NEAR_MAX 17
/* Counter-evidence further away does not outweigh the form of a card number. */
#define COUNTER_NEAR 20
#define PAN_COUNTER (CNT_ANY & ~CNT_AMOUNT)

#define L(n) (1u << (n))
/* First six digits, lowest and highest, and the lengths issued. `weak`: ranges that hold other
 * numbers too; context is asked for. */
struct issuer {
    uint32_t low, high, lengths;
    bool weak;
};
static const struct issuer issuers[] = {
    {400000, 499999, L(13) | L(16) | L(19), false}, /* Visa */
    {222100, 272099, L(16), false},                 /* Mastercard */
    {510000, 559999, L(16), false},                 /* Mastercard */
    {340000, 349999, L(15), false},                 /* American Express */
    {370000, 379999, L(15), false},
    {300000, 305999, L(14) | L(16), false}, /* Diners Club */
    {309500, 309599, L(14) | L(16), false},
    {360000, 369999, L(14) | L(16), false},
    {380000, 399999, L(14) | L(16), false},
    {352800, 358999, L(16) | L(17) | L(18) | L(19), false}, /* JCB */
    {601100, 601199, L(16) | L(19), false},                 /* Discover */
    {644000, 659999, L(16) | L(19), false},
    {620000, 629999, L(16) | L(17) | L(18) | L(19), false},                         /* UnionPay */
    {810000, 817199, L(16) | L(17) | L(18) | L(19), true},                          /* UnionPay */
    {220000, 220499, L(16) | L(17) | L(18) | L(19), false},                         /* Mir */
    {670000, 679999, L(13) | L(14) | L(15) | L(16) | L(17) | L(18) | L(19), false}, /* Maestro */
    {501800, 501899, L(13) | L(14) | L(15) | L(16) | L(17) | L(18) | L(19), false},
    {502000, 502099, L(13) | L(14) | L(15) | L(16) | L(17) | L(18) | L(19), false},
    {503800, 503899, L(13) | L(14) | L(15) | L(16) | L(17) | L(18) | L(19), false},
    {589300, 589399, L(13) | L(14) | L(15) | L(16) | L(17) | L(18) | L(19), false},
    {630400, 630499, L(13) | L(14) | L(15) | L(16) | L(17) | L(18) | L(19), false},
    {500000, 509999, L(16) | L(17) | L(18) | L(19), true}, /* Maestro, RuPay, Verve */
    {560000, 589999, L(16) | L(17) | L(18) | L(19), true},
    {600000, 609999, L(16), true},
    {630000, 639999, L(16) | L(17) | L(18) | L(19), true},
};

static const struct issuer *issuer_of(const uint8_t *digits, unsigned n)
{
    uint32_t head = 0;
    for (int k = 0; k < 6; k++)
        head = head * 10 + (uint32_t)(digits[k] - '0');
    for (size_t i = 0; i < sizeof issuers / sizeof *issuers; i++)
        if (head >= issuers[i].low && head <= issuers[i].high && (issuers[i].lengths & L(n)))
            return &issuers[i];
    return NULL;
}

struct pan_value {
    const struct issuer *issuer;
    unsigned n, parts;
    uint32_t last; /* atom */
    bool grouped;  /* 4-4-4-4, 4-6-5, 4-6-4 */
};

static bool joined(const struct atom *a)
{
    return a->kind == ATOM_NUMBER && a->gap > 0 && a->gap <= 3 &&
           (a->before & ~(GAP_SPACE | GAP_DASH | GAP_DOT | GAP_LINE | GAP_MESSAGE | GAP_UNDER |
                          GAP_SLASH | GAP_COMMA)) == 0;
}

static bool usual_groups(const uint32_t *sizes, unsigned parts)
{
    static const uint8_t usual[][USUAL_PARTS_MAX] = {
        {4, 4, 4, 4},    {4, 6, 5}, {4, 6, 4}, {4, 4, 4, 4, 3}, {6, 13}, {4, 4, 4, 4, 1},
        {4, 4, 4, 4, 2}, {4, 4, 5}, {5, 5, 5}, {8, 8},          {6, 10},
    };
    if (parts > USUAL_PARTS_MAX)
        return false;
    for (size_t u = 0; u < sizeof usual / sizeof *usual; u++) {
        bool same = true;
        for (unsigned k = 0; k < USUAL_PARTS_MAX && same; k++)
            same = (k < parts ? sizes[k] : 0) == usual[u][k];
        if (same)
            return true;
    }
    return false;
}

/* The longest run of parts from atom i whose digits are a card number. */
static bool read_pan(const struct detect_scratch *s, uint32_t i, struct pan_value *v)
{
    uint8_t digits[PAN_MAX + 1];
    uint32_t sizes[PAN_PARTS_MAX] = {0};
    unsigned n = 0;
    *v = (struct pan_value){0};
    for (uint32_t k = i, parts = 0; k < s->atom_n && parts < PAN_PARTS_MAX; k++) {
        const struct atom *a = &s->atoms[k];
        if (k > i && !joined(a))
            break;
        uint32_t size = a->end - a->start;
        if (n + size > PAN_MAX)
            break;
        for (uint32_t c = a->start; c < a->end; c++)
            digits[n++] = s->norm[c];
        sizes[parts++] = size;
        /* groups of one or two digits are a row of numbers, unless a card is spoken of */
        if (n < PAN_MIN || (parts > 1 && sizes[0] < 3 && !(s->seen & CTX_CARD)))
            continue;
        const struct issuer *issuer = issuer_of(digits, n);
        if (issuer && check_luhn(digits, n)) {
            v->issuer = issuer;
            v->n = n;
            v->parts = parts;
            v->last = k;
            v->grouped = v->grouped || usual_groups(sizes, parts);
        }
    }
    return v->issuer != NULL;
}

/* Digits that fail the check but are plainly given as a card number. */
static void find_near(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    if (!(s->seen & CTX_CARD))
        return;
    uint8_t digits[PAN_MAX + 1];
    unsigned n = 0;
    uint32_t last = i;
    for (uint32_t k = i, parts = 0; k < s->atom_n && parts < PAN_PARTS_MAX; k++, parts++) {
        const struct atom *a = &s->atoms[k];
        if ((k > i && (!joined(a) || (a->before & GAP_MESSAGE))) || n + atom_size(a) > NEAR_MAX)
            break;
        for (uint32_t c = a->start; c < a->end; c++)
            digits[n++] = s->norm[c];
        last = k;
        if (n == 16)
            break;
    }
    if (n < NEAR_MIN || n > NEAR_MAX || digits[0] < '2' || digits[0] > '6')
        return;
    struct context c = context_of(s, i, last, CTX_CARD, PAN_COUNTER);
    if (c.direct && !context_denies(&c))
        hit_add(d, s, s->atoms[i].start, s->atoms[last].end, DETECT_PAN, 720, "digits+context");
}

void find_pan(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    const struct atom *a = &s->atoms[i];
    struct pan_value v;
    uint8_t first = s->norm[a->start];
    if (first < '2' || first > '8' || atom_size(a) > PAN_MAX)
        return;
    /* letters glued on, or the tail of a longer row: part of something else */
    if (i > 0 && a->gap == 0 && !(s->atoms[i - 1].ctx & CTX_CARD))
        return;
    if (i > 0 && a->gap == 1 && s->atoms[i - 1].kind == ATOM_NUMBER &&
        !(a->before & (GAP_SPACE | GAP_LINE | GAP_MESSAGE | GAP_COMMA)))
        return;
    if (!read_pan(s, i, &v)) {
        find_near(d, s, i);
        return;
    }
    if (v.last + 1 < s->atom_n && s->atoms[v.last + 1].gap == 0 &&
        !(s->atoms[v.last + 1].ctx & WORD_KEY))
        return;
    struct context c = context_of(s, i, v.last, CTX_CARD, PAN_COUNTER);
    uint32_t start = a->start, end = s->atoms[v.last].end;
    bool url = (a->flags & ATOM_URL) != 0;
    if (context_holds(&c) && !(url && !c.direct))
        hit_add(d, s, start, end, DETECT_PAN, 980, "luhn+issuer+context");
    else if (v.issuer->weak || url)
        return;
    else if (v.grouped && v.parts > 1 && (!context_denies(&c) || c.counter > COUNTER_NEAR))
        hit_add(d, s, start, end, DETECT_PAN, 950, "luhn+issuer+form");
    else if (v.parts == 1 && v.n >= 15 && !context_denies(&c))
        hit_add(d, s, start, end, DETECT_PAN, 850, "luhn+issuer");
}

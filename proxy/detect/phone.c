/* Phone numbers: Dutch in every notation, others with a country code. */
#include "room.h"

#define PHONE_MAX 15    /* ITU-T E.164, country code included */
#define PHONE_GAP_MAX 4 /* " - ", ") " */
/* Digits of a number that only its context makes a phone number. */
#define TOLD_MIN 9
#define TOLD_MAX 12

struct phone_value {
    uint8_t digits[PHONE_MAX + 4]; /* "00" in front is left out, as is "(0)" */
    unsigned n;
    uint32_t end;                 /* behind the last digit */
    uint32_t ends[PHONE_MAX + 4]; /* behind each digit */
    bool atom_end[PHONE_MAX + 4]; /* a group ends there */
    bool plus;
    uint32_t last[PHONE_MAX + 4]; /* atom of each digit */
};

static bool joined(const struct detect_scratch *s, uint32_t k)
{
    const struct atom *a = &s->atoms[k];
    return a->kind == ATOM_NUMBER && a->gap <= PHONE_GAP_MAX &&
           (a->before & ~(GAP_SPACE | GAP_DASH | GAP_DOT | GAP_SLASH | GAP_PAREN | GAP_SENTENCE |
                          GAP_UNDER)) == 0;
}

/* A lone 0 between parentheses. */
static bool is_trunk_zero(const struct detect_scratch *s, const struct atom *a)
{
    return a->end - a->start == 1 && s->norm[a->start] == '0' && a->start > 0 &&
           s->norm[a->start - 1] == '(' && a->end < s->norm_n && s->norm[a->end] == ')';
}

static void read_phone(const struct detect_scratch *s, uint32_t i, struct phone_value *v)
{
    *v = (struct phone_value){0};
    const struct atom *a = &s->atoms[i];
    v->plus = (a->before & GAP_PLUS) && s->norm[a->start - 1] == '+';
    uint32_t skip = 0;
    if (!v->plus && a->end - a->start >= 2 && s->norm[a->start] == '0' &&
        s->norm[a->start + 1] == '0') {
        v->plus = true;
        skip = 2;
    }
    for (uint32_t k = i; k < s->atom_n && (k == i || joined(s, k)); k++) {
        a = &s->atoms[k];
        if (k > i && is_trunk_zero(s, a))
            continue;
        if (v->n + (a->end - a->start) - skip > PHONE_MAX)
            return;
        for (uint32_t c = a->start + skip; c < a->end; c++) {
            v->ends[v->n] = c + 1;
            v->last[v->n] = k;
            v->atom_end[v->n] = c + 1 == a->end;
            v->digits[v->n++] = s->norm[c];
        }
        skip = 0;
    }
}

/* Dutch area codes of three digits (without the 0); all other fixed numbers have four. */
static bool is_fixed(const uint8_t *d)
{
    unsigned ab = (unsigned)(d[0] - '0') * 10 + (unsigned)(d[1] - '0');
    switch (ab) {
    case 10:
    case 13:
    case 15:
    case 20:
    case 23:
    case 24:
    case 26:
    case 30:
    case 33:
    case 35:
    case 36:
    case 38:
    case 40:
    case 43:
    case 45:
    case 46:
    case 50:
    case 53:
    case 55:
    case 58:
    case 70:
    case 71:
    case 72:
    case 73:
    case 74:
    case 75:
    case 76:
    case 77:
    case 78:
    case 79:
    case 85:
    case 88:
    case 84:
    case 87:
    case 91:
        return d[2] != '0' || ab == 85 || ab == 88 || ab == 87 || ab == 84 || ab == 91;
    case 11:
    case 16:
    case 17:
    case 18:
    case 22:
    case 25:
    case 29:
    case 31:
    case 32:
    case 34:
    case 41:
    case 47:
    case 48:
    case 49:
    case 51:
    case 52:
    case 54:
    case 56:
    case 57:
    case 59:
        return d[2] != '0';
    default:
        return false;
    }
}

/* Nine digits without the leading zero. */
static const char *dutch_kind(const uint8_t *d)
{
    if (d[0] == '6' && d[1] >= '1' && d[1] != '6' && d[1] != '7' && d[1] != '9')
        return "mobile";
    if (d[0] == '6' && d[1] != '0' && d[1] != '6' && d[1] != '7' && d[1] != '9')
        return "mobile";
    return is_fixed(d) ? "fixed" : NULL;
}

/* A number of n digits ends a group there and nothing is glued on. */
static bool ends_at(const struct detect_scratch *s, const struct phone_value *v, unsigned n)
{
    if (v->n < n || !v->atom_end[n - 1])
        return false;
    uint32_t next = v->last[n - 1] + 1;
    return next >= s->atom_n || s->atoms[next].gap != 0 || s->atoms[next].kind == ATOM_WORD;
}

static void add_phone(const struct detector *d, struct detect_scratch *s, uint32_t i,
                      const struct phone_value *v, unsigned n, unsigned score, const char *why)
{
    uint32_t start = s->atoms[i].start;
    if (start > 0 && s->norm[start - 1] == '+')
        start--;
    if (start > 0 && s->norm[start - 1] == '(' && v->ends[n - 1] > start)
        start--;
    hit_add(d, s, start, v->ends[n - 1], DETECT_PHONE, score, why);
}

static void find_dutch(const struct detector *d, struct detect_scratch *s, uint32_t i,
                       const struct phone_value *v)
{
    if (v->digits[0] != '0' || !ends_at(s, v, 10))
        return;
    const char *kind = dutch_kind(v->digits + 1);
    if (!kind)
        return;
    struct context c = context_of(s, i, v->last[9], CTX_PHONE, CNT_ANY);
    if (context_holds(&c))
        add_phone(d, s, i, v, 10, 980, "form+context");
    else if (kind[0] == 'm')
        add_phone(d, s, i, v, 10, context_denies(&c) && c.counter < 16 ? 650 : 950, "mobile");
    else
        add_phone(d, s, i, v, 10, context_denies(&c) ? 400 : 850, "form");
}

/* "+31 6 ...", "0031...", "31612345678". */
static void find_country(const struct detector *d, struct detect_scratch *s, uint32_t i,
                         const struct phone_value *v)
{
    if (v->n >= 11 && v->digits[0] == '3' && v->digits[1] == '1') {
        unsigned zero = v->digits[2] == '0'; /* "+31 06..." */
        unsigned n = 11 + zero;
        if (v->n >= n && ends_at(s, v, n)) {
            const char *kind = dutch_kind(v->digits + 2 + zero);
            if (kind && (v->plus || kind[0] == 'm')) {
                struct context c = context_of(s, i, v->last[n - 1], CTX_PHONE, CNT_ANY);
                bool low = !v->plus && context_denies(&c);
                add_phone(d, s, i, v, n, low ? 400 : v->plus ? 980 : 900, "country+form");
                return;
            }
        }
    }
    if (!v->plus || v->n < 8 || v->digits[0] == '0')
        return;
    unsigned n = v->n;
    while (n >= 8 && !ends_at(s, v, n))
        n--;
    if (n < 8)
        return;
    bool signed_plus = s->atoms[i].before & GAP_PLUS;
    struct context c = context_of(s, i, v->last[n - 1], CTX_PHONE, CNT_ANY);
    if (signed_plus)
        add_phone(d, s, i, v, n, context_denies(&c) ? 700 : 930, "country");
    else if (context_holds(&c))
        add_phone(d, s, i, v, n, 900, "country+context");
    else if (!context_denies(&c) && n >= 10 && s->atoms[i].end - s->atoms[i].start <= 4)
        add_phone(d, s, i, v, n, 750, "country");
}

/* 0800, 0900, 0906, 0909: anybody's. */
static bool is_service(const uint8_t *d)
{
    return d[0] == '0' && (d[1] == '8' || d[1] == '9') && d[2] == '0' &&
           (d[3] == '0' || d[3] == '6' || d[3] == '9');
}

/* Numbers that only their context makes a phone number: without the leading zero, or of a neighbour
 * country without its code. */
static void find_told(const struct detector *d, struct detect_scratch *s, uint32_t i,
                      const struct phone_value *v)
{
    if (!(s->seen & CTX_PHONE))
        return;
    bool bare = v->digits[0] == '6' && v->n >= 9;
    unsigned n = bare ? 9 : v->n;
    if (!bare)
        while (n >= TOLD_MIN && (n > TOLD_MAX || !ends_at(s, v, n)))
            n--;
    if (n < TOLD_MIN || !ends_at(s, v, n) || v->digits[1] == '0' || is_service(v->digits))
        return;
    struct context c = context_of(s, i, v->last[n - 1], CTX_PHONE, CNT_ANY | CTX_BSN | CNT_SERVICE);
    if (c.direct && !context_denies(&c))
        add_phone(d, s, i, v, n, 800, "digits+context");
}

void find_phone(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    const struct atom *a = &s->atoms[i];
    bool plus = (a->before & GAP_PLUS) != 0;
    uint8_t first = s->norm[a->start];
    if (!plus && first != '0' && first != '3' && first != '6')
        return;
    if (i > 0 && a->gap == 0 && !(s->atoms[i - 1].ctx & CTX_PHONE))
        return;
    /* not inside a longer run of digit groups, a decimal or a date */
    if (i > 0 && s->atoms[i - 1].kind == ATOM_NUMBER && a->gap == 1 &&
        (a->before & (GAP_DOT | GAP_DASH | GAP_SLASH | GAP_COMMA)))
        return;
    /* the account number of an IBAN: "NL91 ABNA 0417..." */
    if (i > 1 && a->gap <= 1 && s->atoms[i - 1].kind == ATOM_WORD &&
        atom_size(&s->atoms[i - 1]) == 4 && s->atoms[i - 1].gap <= 1 &&
        s->atoms[i - 2].kind == ATOM_NUMBER && atom_size(&s->atoms[i - 2]) == 2)
        return;
    struct phone_value v;
    read_phone(s, i, &v);
    if (v.n < 8 || (a->flags & ATOM_URL))
        return;
    size_t before = s->hit_n;
    if (v.plus || first == '3')
        find_country(d, s, i, &v);
    else if (first == '0')
        find_dutch(d, s, i, &v);
    if (s->hit_n == before && !v.plus && first != '3')
        find_told(d, s, i, &v);
}

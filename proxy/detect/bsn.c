/* BSN: eight or nine digits, elfproef, and evidence that it is one. */
#include "room.h"

#define BSN_PARTS_MAX 9   /* atoms of one number: "1 2 3 4 5 6 7 8 2" */
#define BSN_DIGITS_MAX 10 /* one too many by a typing error */
#define BSN_NEAR_MIN 7

#define BSN_COUNTER (CNT_ANY | CTX_PHONE)

enum bsn_form { FORM_BARE, FORM_DOTTED /* 1234.56.782 */, FORM_OTHER };

struct bsn_value {
    uint8_t digits[BSN_DIGITS_MAX + 1];
    unsigned n;
    uint32_t last; /* atom */
    enum bsn_form form;
    bool crosses; /* typed in two messages */
    bool loose;   /* GAPS_LOOSE between the groups */
};

static void add_digits(const struct detect_scratch *s, const struct atom *a, struct bsn_value *v)
{
    for (uint32_t k = a->start; k < a->end; k++)
        v->digits[v->n++] = s->norm[k];
}

/* Marks that join digit groups only when the elfproef holds: "2010,2012" is a list. */
#define GAPS_LOOSE (GAP_SLASH | GAP_COMMA | GAP_UNDER)

static bool joined(const struct atom *a)
{
    bool loose = (a->before & GAPS_LOOSE) != 0;
    return a->kind == ATOM_NUMBER && a->gap <= (loose ? 1 : 2) && a->gap > 0 &&
           (a->before & ~(GAP_SPACE | GAP_DOT | GAP_DASH | GAP_MESSAGE | GAPS_LOOSE)) == 0;
}

/* Reads the number that starts at atom i, up to nine digits or the end of its groups. */
static bool read_bsn(const struct detect_scratch *s, uint32_t i, struct bsn_value *v)
{
    *v = (struct bsn_value){.last = i};
    uint32_t first_n = atom_size(&s->atoms[i]);
    if (first_n > BSN_DIGITS_MAX)
        return false;
    add_digits(s, &s->atoms[i], v);
    if (first_n >= 9)
        return true;
    if (first_n == 8) {
        /* "12345678-2", or eight digits that lack the leading zero */
        const struct atom *tail = i + 1 < s->atom_n ? &s->atoms[i + 1] : NULL;
        if (tail && tail->gap == 1 && joined(tail) && atom_size(tail) == 1 &&
            !(tail->before & GAP_SPACE)) {
            add_digits(s, tail, v);
            v->last = i + 1;
            v->form = FORM_OTHER;
        }
        return true;
    }
    uint32_t sizes[BSN_PARTS_MAX] = {first_n};
    uint32_t seps = 0;
    unsigned parts = 1;
    v->loose = first_n == 1;
    for (uint32_t k = i + 1; k < s->atom_n && parts < BSN_PARTS_MAX && joined(&s->atoms[k]); k++) {
        uint32_t n = atom_size(&s->atoms[k]);
        if (v->n + n > BSN_DIGITS_MAX)
            break;
        add_digits(s, &s->atoms[k], v);
        sizes[parts++] = n;
        v->loose |= n == 1 && v->n < 9;
        seps |= s->atoms[k].before;
        v->last = k;
        v->loose |= (s->atoms[k].before & GAPS_LOOSE) != 0;
        v->crosses |= (s->atoms[k].before & GAP_MESSAGE) != 0;
        if (v->n >= 9)
            break;
    }
    if (v->n < BSN_NEAR_MIN)
        return false;
    bool dotted = parts == 3 && sizes[0] == 4 && sizes[1] == 2 && sizes[2] == 3 && seps == GAP_DOT;
    v->form = dotted ? FORM_DOTTED : parts == 1 ? FORM_BARE : FORM_OTHER;
    return true;
}

static bool is_letter_pair(const struct detect_scratch *s, const struct atom *a, char x, char y)
{
    return atom_size(a) == 2 && to_upper(s->norm[a->start]) == x &&
           to_upper(s->norm[a->start + 1]) == y;
}

/* "NL123456782B01", the VAT id of a sole trader before 2020: the BSN is inside. The ids of
 * companies hold an RSIN (they start with 8 or 00), the new ones pass mod 97. */
static bool find_in_vat(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    if (i == 0 || s->atoms[i].gap > 1 || !is_letter_pair(s, &s->atoms[i - 1], 'N', 'L'))
        return false;
    uint8_t id[14] = {'N', 'L'};
    uint32_t n = 2, k = i;
    /* "NL123456782B01", "NL 1234.56.782.B.01" */
    for (; k < s->atom_n && s->atoms[k].kind == ATOM_NUMBER && n < 11; k++) {
        const struct atom *a = &s->atoms[k];
        if ((k > i && (a->gap > 1 || !(a->before & (GAP_DOT | GAP_SPACE)))) ||
            n + atom_size(a) > 11)
            return false;
        memcpy(id + n, s->norm + a->start, atom_size(a));
        n += atom_size(a);
    }
    if (n != 11 || k + 1 >= s->atom_n)
        return false;
    const struct atom *b = &s->atoms[k], *tail = b + 1;
    if (b->gap > 1 || atom_size(b) != 1 || to_upper(s->norm[b->start]) != 'B' || tail->gap > 1 ||
        tail->kind != ATOM_NUMBER || atom_size(tail) != 2)
        return false;
    id[11] = 'B';
    memcpy(id + 12, s->norm + tail->start, 2);
    unsigned rest = 0; /* ISO 7064 over the id as it stands */
    for (size_t c = 0; c < sizeof id; c++)
        rest = is_digit(id[c]) ? (rest * 10 + (unsigned)(id[c] - '0')) % 97
                               : (rest * 100 + (unsigned)(id[c] - 'A') + 10) % 97;
    bool company = id[2] == '8' || (id[2] == '0' && id[3] == '0');
    if (rest != 1 && !company && check_elfproef(id + 2, 9))
        hit_add(d, s, s->atoms[i].start, s->atoms[k - 1].end, DETECT_BSN, 850, "elfproef+vat");
    return true;
}

/* Glued to letters other than a keyword: part of something else. */
static bool stands_free(const struct detect_scratch *s, uint32_t i, const struct bsn_value *v)
{
    const struct atom *a = &s->atoms[i];
    if (i > 0 && a->gap == 0 && !(s->atoms[i - 1].ctx & CTX_BSN))
        return false;
    /* a decimal, or the tail of a longer row of digit groups */
    if (i > 0 && a->gap == 1 && s->atoms[i - 1].kind == ATOM_NUMBER &&
        (a->before & (GAP_DOT | GAP_DASH | GAP_COMMA | GAP_SLASH)))
        return false;
    if (v->last + 1 >= s->atom_n)
        return true;
    const struct atom *next = &s->atoms[v->last + 1];
    if (next->gap == 0)
        return (next->ctx & WORD_KEY) != 0 || atom_size(next) > 3;
    return !(next->kind == ATOM_NUMBER && next->gap == 1 && (next->before & (GAP_DASH | GAP_DOT)));
}

static bool is_date(const struct detect_scratch *s, uint32_t i)
{
    uint32_t last = 0;
    return read_date(s, i, &last);
}

/* A number that fails the check but is plainly given as a BSN. */
static void find_near(const struct detector *d, struct detect_scratch *s, uint32_t i,
                      const struct bsn_value *v, const struct context *c)
{
    if (!c->direct || v->crosses || v->loose || context_denies(c) || v->n < BSN_NEAR_MIN)
        return;
    bool mobile = v->n == 10 && v->digits[0] == '0' && v->digits[1] == '6';
    if (mobile || is_date(s, i) || (s->atoms[i].flags & ATOM_URL))
        return;
    hit_guess(d, s, s->atoms[i].start, s->atoms[v->last].end, DETECT_BSN, 560, "digits+context");
}

void find_bsn(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    struct bsn_value v;
    if (find_in_vat(d, s, i) || !read_bsn(s, i, &v) || !stands_free(s, i, &v))
        return;
    bool told = (s->seen & CTX_BSN) != 0;
    if (!told && v.form != FORM_DOTTED && !d->strict)
        return;
    struct context c = context_of(s, i, v.last, CTX_BSN, BSN_COUNTER);
    uint32_t start = s->atoms[i].start, end = s->atoms[v.last].end;
    if (!check_elfproef(v.digits, v.n)) {
        find_near(d, s, i, &v, &c);
        return;
    }
    bool url = (s->atoms[i].flags & ATOM_URL) && !c.direct;
    if (context_holds(&c) && !url && (v.n == 9 || c.direct || c.want < 24)) {
        if (v.form == FORM_OTHER && v.n == 8 && is_date(s, i))
            return;
        hit_add(d, s, start, end, DETECT_BSN, c.counter == CONTEXT_NONE ? 970 : 920,
                "elfproef+context");
    } else if (v.n == 9 && !v.crosses && !url && !context_denies(&c)) {
        if (v.form == FORM_DOTTED)
            hit_add(d, s, start, end, DETECT_BSN, 800, "elfproef+form");
        else if (v.form == FORM_BARE && d->strict)
            hit_add(d, s, start, end, DETECT_BSN, 600, "elfproef+strict");
    }
}

/* BSN: eight or nine digits, elfproef, and evidence that it is one. */
#include "room.h"

#define BSN_PARTS_MAX 5 /* atoms of one number: "12 34 56 78 2" */

#define BSN_COUNTER (CNT_ANY | CTX_PHONE)

enum bsn_form { FORM_BARE, FORM_DOTTED /* 1234.56.782 */, FORM_THREES, FORM_OTHER };

struct bsn_value {
    uint8_t digits[16];
    unsigned n;
    uint32_t last; /* atom */
    enum bsn_form form;
};

static void add_digits(const struct detect_scratch *s, const struct atom *a, struct bsn_value *v)
{
    for (uint32_t k = a->start; k < a->end; k++)
        v->digits[v->n++] = s->norm[k];
}

static bool joined(const struct atom *a)
{
    return a->kind == ATOM_NUMBER && a->gap <= 2 && a->gap > 0 &&
           (a->before & ~(GAP_SPACE | GAP_DOT | GAP_DASH)) == 0;
}

/* Reads the number that starts at atom i and ends where no digit group is joined to it. */
static bool read_bsn(const struct detect_scratch *s, uint32_t i, struct bsn_value *v)
{
    *v = (struct bsn_value){.last = i};
    uint32_t first_n = s->atoms[i].end - s->atoms[i].start;
    if (first_n > 9)
        return false;
    add_digits(s, &s->atoms[i], v);
    if (first_n >= 8)
        return true;
    uint32_t sizes[BSN_PARTS_MAX] = {first_n};
    uint32_t seps = 0;
    unsigned parts = 1;
    for (uint32_t k = i + 1; k < s->atom_n && parts < BSN_PARTS_MAX && joined(&s->atoms[k]); k++) {
        uint32_t n = s->atoms[k].end - s->atoms[k].start;
        if (v->n + n > 9)
            return false;
        add_digits(s, &s->atoms[k], v);
        sizes[parts++] = n;
        seps |= s->atoms[k].before;
        v->last = k;
        if (v->n == 9)
            break;
    }
    if (v->n < 8)
        return false;
    v->form = parts == 3 && sizes[0] == 4 && sizes[1] == 2 && sizes[2] == 3 && seps == GAP_DOT
                  ? FORM_DOTTED
              : parts == 3 && sizes[0] == 3 && sizes[1] == 3 && sizes[2] == 3 ? FORM_THREES
                                                                              : FORM_OTHER;
    return true;
}

/* Glued to letters on the left (other than a keyword) or the right: part of something else. */
static bool stands_free(const struct detect_scratch *s, uint32_t i, uint32_t last)
{
    if (i > 0 && s->atoms[i].gap == 0 && !(s->atoms[i - 1].ctx & CTX_BSN))
        return false;
    return last + 1 >= s->atom_n || s->atoms[last + 1].gap != 0;
}

void find_bsn(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    struct bsn_value v;
    if (!read_bsn(s, i, &v) || !stands_free(s, i, v.last))
        return;
    bool proof = check_elfproef(v.digits, v.n);
    if (!proof)
        return;
    struct context c = context_of(s, i, v.last, CTX_BSN, BSN_COUNTER);
    uint32_t start = s->atoms[i].start, end = s->atoms[v.last].end;
    if (context_holds(&c))
        hit_add(d, s, start, end, DETECT_BSN, 960, "elfproef+context");
    else if (v.n == 9 && !context_denies(&c) && v.form == FORM_DOTTED)
        hit_add(d, s, start, end, DETECT_BSN, 800, "elfproef+form");
    else if (v.n == 9 && !context_denies(&c) && v.form == FORM_BARE && d->strict)
        hit_add(d, s, start, end, DETECT_BSN, 600, "elfproef+strict");
}

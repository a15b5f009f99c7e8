/* Dutch licence plates: the side codes of the RDW (1 to 14). */
#include "room.h"

#define PLATE_LETTERS 6
#define COUNTER_NEAR 20 /* "artikel TX-200-B" */
#define PLATE_REACH 120 /* characters to the word "kenteken" */

/* Letters (L) and digits (D), and the sizes of the three groups. `old`: side codes 1 to 3, which
 * look like flight numbers and articles: never without context. */
struct side_code {
    char shape[PLATE_LETTERS + 1];
    uint8_t groups[3];
    bool old;
};
static const struct side_code side_codes[] = {
    {"LLDDDD", {2, 2, 2}, true},  {"DDDDLL", {2, 2, 2}, true},  {"DDLLDD", {2, 2, 2}, true},
    {"LLDDLL", {2, 2, 2}, false}, {"LLLLDD", {2, 2, 2}, false}, {"DDLLLL", {2, 2, 2}, false},
    {"DDLLLD", {2, 3, 1}, false}, {"DLLLDD", {1, 3, 2}, false}, {"LLDDDL", {2, 3, 1}, false},
    {"LDDDLL", {1, 3, 2}, false}, {"LLLDDL", {3, 2, 1}, false}, {"LDDLLL", {1, 2, 3}, false},
    {"DLLDDD", {1, 2, 3}, false}, {"DDDLLD", {3, 2, 1}, false},
};

struct plate {
    char shape[PLATE_LETTERS + 1];
    uint8_t groups[PLATE_LETTERS]; /* sizes, by separator */
    unsigned n, group_n;
    uint32_t last;
    bool dashed, spaced, vowels, lower;
};

/* Atoms from i on that make exactly six letters and digits. */
static bool read_plate(const struct detect_scratch *s, uint32_t i, struct plate *p)
{
    *p = (struct plate){0};
    for (uint32_t k = i; k < s->atom_n && p->n < PLATE_LETTERS; k++) {
        const struct atom *a = &s->atoms[k];
        if (k > i && a->gap > 1)
            return false;
        if (k > i && a->gap == 1) {
            if (a->before != GAP_DASH && a->before != GAP_SPACE)
                return false;
            p->dashed |= a->before == GAP_DASH;
            p->spaced |= a->before == GAP_SPACE;
        }
        uint32_t n = atom_size(a);
        if (p->n + n > PLATE_LETTERS || (p->group_n == 3 && a->gap == 1))
            return false;
        if (k == i || a->gap == 1)
            p->group_n++;
        p->groups[p->group_n - 1] = (uint8_t)(p->groups[p->group_n - 1] + n);
        for (uint32_t c = a->start; c < a->end; c++) {
            uint8_t v = s->norm[c];
            p->shape[p->n++] = is_digit(v) ? 'D' : 'L';
            p->lower |= v >= 'a' && v <= 'z';
            v = to_upper(v);
            p->vowels |= v == 'A' || v == 'E' || v == 'I' || v == 'O' || v == 'U' || v == 'C' ||
                         v == 'Q' || v == 'Y';
            if (v == NORM_LETTER)
                return false;
        }
        p->last = k;
    }
    if (p->n != PLATE_LETTERS)
        return false;
    uint32_t next = p->last + 1;
    return next >= s->atom_n || s->atoms[next].gap > 1 ||
           (s->atoms[next].gap == 1 && !(s->atoms[next].before & (GAP_DASH | GAP_SLASH)));
}

static const struct side_code *side_code_of(const struct plate *p)
{
    for (size_t k = 0; k < sizeof side_codes / sizeof *side_codes; k++) {
        const struct side_code *c = &side_codes[k];
        if (memcmp(c->shape, p->shape, PLATE_LETTERS) != 0)
            continue;
        if (p->group_n == 1 || (p->group_n == 3 && memcmp(c->groups, p->groups, 3) == 0))
            return c;
    }
    return NULL;
}

void find_plate(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    const struct atom *a = &s->atoms[i];
    if (atom_size(a) > 4 || (i > 0 && a->gap == 0))
        return;
    if (i > 0 && a->gap == 1 && (a->before & (GAP_DASH | GAP_SLASH | GAP_UNDER)))
        return;
    struct plate p;
    if (!read_plate(s, i, &p))
        return;
    const struct side_code *code = side_code_of(&p);
    if (!code)
        return;
    bool dashes = p.group_n == 3 && p.dashed && !p.spaced;
    unsigned score = dashes && !code->old && !p.vowels && !(a->flags & ATOM_URL) ? 800 : 0;
    const char *why = "form";
    if (score) {
        struct context c = context_of(s, i, p.last, CTX_PLATE, CNT_ANY);
        if (context_denies(&c) && c.counter <= COUNTER_NEAR)
            score = 0;
    }
    if (s->seen & CTX_PLATE) {
        struct context c = context_of(s, i, p.last, CTX_PLATE, 0);
        /* loose words need letters that plates have */
        if (c.want <= PLATE_REACH && (dashes || !p.vowels || !p.spaced)) {
            score = 950;
            why = "form+context";
        }
    }
    if (score)
        hit_add(d, s, a->start, s->atoms[p.last].end, DETECT_LICENCE_PLATE, score, why);
}

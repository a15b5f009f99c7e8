/* Identity documents: passport, identity card, driving licence; machine readable zones. */
#include "room.h"

#define DOCUMENT_REACH 110 /* characters to the word that names the document */
#define DOCUMENT_MIN 8
#define DOCUMENT_MAX 10
#define MRZ_MIN 28 /* of 30, 36 or 44: people lose a character or two */
#define MRZ_MAX 46

/* The run of letters and digits without a gap that starts at atom i. */
struct run {
    uint32_t last;
    unsigned n, digits;
};

static struct run read_run(const struct detect_scratch *s, uint32_t i)
{
    struct run r = {.last = i};
    for (uint32_t k = i; k < s->atom_n && r.n <= DOCUMENT_MAX; k++) {
        const struct atom *a = &s->atoms[k];
        if (k > i && a->gap != 0)
            break;
        r.n += atom_size(a);
        r.digits += a->kind == ATOM_NUMBER ? atom_size(a) : 0;
        r.last = k;
    }
    return r;
}

void find_document(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    const struct atom *a = &s->atoms[i];
    if (!(s->seen & (CTX_DOCUMENT | CTX_DRIVING)) || (a->flags & ATOM_URL))
        return;
    if (i > 0 && a->gap == 0)
        return;
    struct run r = read_run(s, i);
    if (r.n < DOCUMENT_MIN || r.n > DOCUMENT_MAX || r.digits < 3)
        return;
    bool driving = r.digits == r.n && r.n == 10 && s->norm[a->start] != '0';
    uint32_t want = driving ? CTX_DRIVING | CTX_DOCUMENT : CTX_DOCUMENT;
    struct context c = context_of(s, i, r.last, want, CNT_ANY | CTX_BSN | CTX_PHONE | CTX_PLATE);
    if (c.want > DOCUMENT_REACH || !context_holds(&c))
        return;
    uint32_t date = 0;
    bool mixed = r.digits < r.n;
    if (!mixed && !driving && (!c.direct || read_date(s, i, &date)))
        return;
    hit_add(d, s, a->start, s->atoms[r.last].end, DETECT_ID_DOCUMENT, c.direct ? 930 : 800,
            "form+context");
}

static bool is_mrz(uint8_t c)
{
    return is_upper(c) || is_digit(c) || c == '<';
}

/* ICAO 9303: lines of capitals, digits and fillers. */
void find_mrz(const struct detector *d, struct detect_scratch *s)
{
    const struct segment *g = &s->segments[s->segment_n - 1];
    for (uint32_t i = g->start; i < g->end;) {
        if (!is_mrz(s->norm[i])) {
            i++;
            continue;
        }
        uint32_t start = i;
        bool fillers = false;
        unsigned letters = 0;
        for (; i < g->end && is_mrz(s->norm[i]); i++) {
            fillers |= s->norm[i] == '<' && i > start && s->norm[i - 1] == '<';
            letters += s->norm[i] != '<';
        }
        if (fillers && letters >= 8 && i - start >= MRZ_MIN && i - start <= MRZ_MAX)
            hit_add(d, s, start, i, DETECT_ID_DOCUMENT, 970, "mrz");
    }
}

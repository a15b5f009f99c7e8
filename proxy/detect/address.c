/* Addresses: postcode with house number; street, number and place. */
#include "room.h"

#define NUMBER_MAX 5   /* digits of a house number */
#define STREET_WORDS 4 /* "Laan van Nieuw Oost" */
#define PLACE_WORDS 3  /* "Bergen op Zoom" */
#define ADDRESS_REACH 60

static const struct atom *at(const struct detect_scratch *s, uint32_t k)
{
    return k < s->atom_n ? &s->atoms[k] : NULL;
}

static bool is_house_number(const struct detect_scratch *s, const struct atom *a)
{
    return a && a->kind == ATOM_NUMBER && atom_size(a) <= NUMBER_MAX && s->norm[a->start] != '0';
}

/* The house number before a postcode at atom k, or UINT32_MAX. */
static uint32_t number_before(const struct detect_scratch *s, uint32_t k)
{
    for (uint32_t n = 0; n < 4 && k > n; n++) {
        uint32_t h = k - 1 - n;
        const struct atom *a = &s->atoms[h], *next = &s->atoms[h + 1];
        if (next->gap > 3 || (next->before & (GAP_MESSAGE | GAP_AT | GAP_MONEY)))
            return UINT32_MAX;
        if (is_house_number(s, a)) {
            /* the first of "110-2", "88 III" */
            if (h > 1 && s->atoms[h - 1].kind == ATOM_NUMBER && a->gap == 1 &&
                (a->before & GAP_DASH))
                h--;
            return h > 0 && s->atoms[h - 1].kind == ATOM_WORD && s->atoms[h].gap <= 2 ? h
                                                                                      : UINT32_MAX;
        }
        if (atom_size(a) > 3 && !(a->ctx & (WORD_PLACE | CTX_ADDRESS)) &&
            !(a->flags & ATOM_CAPITAL))
            return UINT32_MAX;
    }
    return UINT32_MAX;
}

/* Four digits and two letters, NEN 5825: not SA, SD, SS. In small letters with a space between, a
 * short word is no postcode. */
static bool is_postcode(const struct detect_scratch *s, uint32_t k)
{
    const struct atom *n = at(s, k), *l = at(s, k + 1);
    if (!n || !l || n->kind != ATOM_NUMBER || atom_size(n) != 4 || s->norm[n->start] == '0' ||
        l->kind != ATOM_WORD || atom_size(l) != 2 || l->gap > 1 ||
        (l->gap == 1 && l->before != GAP_SPACE) || (k > 0 && n->gap == 0))
        return false;
    uint8_t a = to_upper(s->norm[l->start]), b = to_upper(s->norm[l->start + 1]);
    if (!is_upper(a) || !is_upper(b) || (a == 'S' && (b == 'A' || b == 'D' || b == 'S')))
        return false;
    if (l->gap == 1 && !is_upper(s->norm[l->start]) && !(s->seen & CTX_ADDRESS) &&
        number_before(s, k) == UINT32_MAX)
        return false;
    bool upper = is_upper(s->norm[l->start]) && is_upper(s->norm[l->start + 1]);
    if (!upper && l->gap == 1 && (l->ctx & WORD_PLAIN))
        return false;
    const struct atom *next = at(s, k + 2);
    return !next || next->gap > 0;
}

/* Back over the words of a street name, up to a comma, a line or a plain word. */
static uint32_t street_start(const struct detect_scratch *s, uint32_t number)
{
    uint32_t first = number;
    bool named = false;
    for (unsigned n = 0; n < STREET_WORDS && first > 0; n++) {
        const struct atom *w = &s->atoms[first - 1];
        const struct atom *next = &s->atoms[first];
        if (w->kind != ATOM_WORD || next->gap > 2 ||
            (next->before & ~(GAP_SPACE | GAP_DOT | GAP_SENTENCE)) != 0)
            break;
        bool linking = (w->ctx & WORD_PLAIN) && !(w->flags & ATOM_CAPITAL);
        if (linking && named)
            break;
        if (w->ctx & WORD_KEY)
            break;
        if (!(w->flags & ATOM_CAPITAL) && named)
            break;
        named = named || (w->ctx & WORD_STREET) || (w->flags & ATOM_CAPITAL);
        first--;
        if (first == 0 || (s->atoms[first].before & (GAP_MESSAGE | GAP_LINE)))
            break;
        named = named && !(s->atoms[first - 1].flags & ATOM_CAPITAL);
    }
    return first;
}

/* Forward over a place behind atom k. */
static uint32_t place_end(const struct detect_scratch *s, uint32_t k)
{
    for (unsigned n = 0; n < PLACE_WORDS; n++) {
        const struct atom *w = at(s, k + 1);
        if (!w || w->kind != ATOM_WORD || w->gap > 3 ||
            (w->before & ~(GAP_SPACE | GAP_COMMA | GAP_DASH | GAP_OTHER)) != 0)
            break;
        if (!(w->flags & ATOM_CAPITAL) && !(w->ctx & WORD_PLACE))
            break;
        if ((w->ctx & WORD_KEY) || (n > 0 && (w->before & GAP_COMMA)))
            break;
        k++;
    }
    return k;
}

/* Behind a house number: "a", "-2", "bis", "II". */
static uint32_t addition_end(const struct detect_scratch *s, uint32_t k)
{
    const struct atom *a = at(s, k + 1);
    if (!a)
        return k;
    bool glued = a->gap == 0 && atom_size(a) <= 3;
    bool dashed = a->gap == 1 && (a->before & (GAP_DASH | GAP_SLASH)) && atom_size(a) <= 4;
    bool spaced = a->gap == 1 && a->before == GAP_SPACE && a->kind == ATOM_WORD &&
                  (atom_size(a) == 1 || (atom_size(a) == 3 && to_lower(s->norm[a->start]) == 'b' &&
                                         to_lower(s->norm[a->start + 1]) == 'i'));
    return glued || dashed || spaced ? k + 1 : k;
}

/* A house number right behind a postcode, words like "huisnummer" between. */
static uint32_t number_after(const struct detect_scratch *s, uint32_t k)
{
    for (unsigned n = 0; n < 4; n++) {
        const struct atom *a = at(s, k + 1);
        if (!a || a->gap > 3 || (a->before & (GAP_SENTENCE | GAP_MESSAGE | GAP_MONEY | GAP_AT)))
            return 0;
        if (is_house_number(s, a))
            return a->before & GAP_DASH && a->gap == 1 ? 0 : addition_end(s, k + 1);
        bool link = (a->ctx & (CTX_ADDRESS | CNT_NUMBER)) ||
                    (atom_size(a) <= 6 && ((a->ctx & WORD_HEAD) || atom_size(a) == 2));
        if (a->kind != ATOM_WORD || !link)
            return 0;
        k++;
    }
    return 0;
}

static void find_postcode(const struct detector *d, struct detect_scratch *s, uint32_t k)
{
    uint32_t first = k, last = k + 1;
    uint32_t before = number_before(s, k), after = number_after(s, k + 1);
    if (before != UINT32_MAX)
        first = street_start(s, before);
    if (before == UINT32_MAX && after == 0)
        return;
    if (before != UINT32_MAX)
        last = place_end(s, last);
    else
        last = after;
    hit_add(d, s, s->atoms[first].start, s->atoms[last].end, DETECT_ADDRESS, 930,
            before != UINT32_MAX ? "street+postcode" : "postcode+number");
}

/* "Hauptstraße 12, 50667 Köln". */
static bool is_foreign_postcode(const struct detect_scratch *s, uint32_t k)
{
    const struct atom *a = at(s, k), *w = at(s, k + 1);
    return a && w && a->kind == ATOM_NUMBER && (atom_size(a) == 5 || atom_size(a) == 4) &&
           a->gap <= 2 && (a->before & GAP_COMMA) && w->kind == ATOM_WORD && w->gap == 1 &&
           (w->flags & ATOM_CAPITAL) && atom_size(w) >= 3;
}

/* Street, house number at atom k, place. */
static void find_street(const struct detector *d, struct detect_scratch *s, uint32_t k)
{
    if (k == 0 || s->atoms[k - 1].kind != ATOM_WORD || s->atoms[k].gap != 1 ||
        !(s->atoms[k].before & (GAP_SPACE | GAP_DOT)))
        return;
    const struct atom *name = &s->atoms[k - 1];
    bool street = (name->ctx & WORD_STREET) != 0;
    if (!street && (!(name->flags & ATOM_CAPITAL) || (name->ctx & (WORD_KEY | WORD_MONTH))))
        return;
    uint32_t first = street_start(s, k), last = addition_end(s, k);
    const struct atom *next = at(s, last + 1);
    uint32_t end = last;
    const char *why = "street+place";
    unsigned score = 0;
    if (is_foreign_postcode(s, last + 1)) {
        end = place_end(s, last + 1);
        score = 850;
    } else if (next && next->kind == ATOM_WORD && next->gap <= 3 &&
               !(next->before & (GAP_SENTENCE | GAP_MESSAGE))) {
        bool place = (next->ctx & WORD_PLACE) != 0;
        const struct atom *second = at(s, last + 2);
        /* "Den Haag" */
        place = place || ((next->flags & ATOM_CAPITAL) && second && second->gap <= 2 &&
                          atom_size(next) <= 4 && (second->ctx & WORD_PLACE));
        bool links = atom_size(next) == 2 && (next->ctx & WORD_PLAIN);
        const struct atom *then = at(s, last + 2);
        if (place || (street && (next->before & (GAP_COMMA | GAP_LINE)) &&
                      (next->flags & ATOM_CAPITAL) && !(next->ctx & (WORD_KEY | WORD_PLAIN)))) {
            end = place_end(s, last);
            score = street || place ? 850 : 0;
        } else if (links && then && then->gap == 1 &&
                   ((then->ctx & WORD_PLACE) || (street && (then->flags & ATOM_CAPITAL)))) {
            end = place_end(s, last + 1);
            score = 850;
        }
    }
    if (score == 0 && street) {
        struct context c = context_of(s, first, last, CTX_ADDRESS, CNT_ANY);
        if (c.direct && c.want <= ADDRESS_REACH) {
            score = 720;
            why = "street+context";
        }
    }
    if (score)
        hit_add(d, s, s->atoms[first].start, s->atoms[end].end, DETECT_ADDRESS, score, why);
}

void find_address(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    if (s->atoms[i].flags & ATOM_URL)
        return;
    if (is_postcode(s, i))
        find_postcode(d, s, i);
    else if (is_house_number(s, &s->atoms[i]))
        find_street(d, s, i);
}

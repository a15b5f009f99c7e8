/* Names and words of special categories: best effort, off unless the policy says otherwise. */
#include "room.h"

#define NAME_WORDS 5

static bool is_particle(const struct detect_scratch *s, const struct atom *a)
{
    static const char *const words[] = {"van", "de", "der", "den", "het", "ten", "ter", "el",
                                        "al",  "la", "le",  "du",  "von", "bin", "ben", "te"};
    for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
        size_t n = strlen(words[k]);
        bool same = n == atom_size(a);
        for (size_t c = 0; c < n && same; c++)
            same = to_lower(s->norm[a->start + c]) == (uint8_t)words[k][c];
        if (same)
            return true;
    }
    return false;
}

/* Words that lead to a name: "naam", "tnv", "heet"; from a keyword at atom i. */
void find_name(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    if (!(s->atoms[i].ctx & CTX_NAME))
        return;
    uint32_t k = i + 1;
    /* "is", ":" */
    if (k < s->atom_n && s->atoms[k].kind == ATOM_WORD && atom_size(&s->atoms[k]) <= 3 &&
        (s->atoms[k].ctx & WORD_PLAIN) && !(s->atoms[k].flags & ATOM_CAPITAL))
        k++;
    uint32_t first = k, last = 0;
    unsigned capitals = 0;
    for (; k < s->atom_n && k - first < NAME_WORDS; k++) {
        const struct atom *a = &s->atoms[k];
        if (a->kind != ATOM_WORD || a->gap > 3 ||
            (k > first && (a->before & (GAP_LINE | GAP_MESSAGE | GAP_COMMA))))
            break;
        bool capital = (a->flags & ATOM_CAPITAL) && !(a->ctx & (WORD_KEY | WORD_PLAIN));
        if (!capital && !(is_particle(s, a)))
            break;
        if (capital) {
            capitals++;
            last = k;
        }
    }
    if (capitals)
        hit_add(d, s, s->atoms[first].start, s->atoms[last].end, DETECT_NAME, 750, "context");
}

void find_special(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    if (s->atoms[i].ctx & WORD_SPECIAL)
        hit_add(d, s, s->atoms[i].start, s->atoms[i].end, DETECT_SPECIAL, 800, "word");
}

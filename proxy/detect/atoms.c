/* Atoms: runs of letters, runs of digits, and what stands between them. One pass. */
#include <stdlib.h>

#include "room.h"

enum { C_OTHER, C_DIGIT, C_LETTER };

/* Class of each byte of the normal form. */
static const uint8_t class_of[256] = {
    ['0'] = C_DIGIT,  ['1'] = C_DIGIT,  ['2'] = C_DIGIT,          ['3'] = C_DIGIT,
    ['4'] = C_DIGIT,  ['5'] = C_DIGIT,  ['6'] = C_DIGIT,          ['7'] = C_DIGIT,
    ['8'] = C_DIGIT,  ['9'] = C_DIGIT,  ['a'] = C_LETTER,         ['b'] = C_LETTER,
    ['c'] = C_LETTER, ['d'] = C_LETTER, ['e'] = C_LETTER,         ['f'] = C_LETTER,
    ['g'] = C_LETTER, ['h'] = C_LETTER, ['i'] = C_LETTER,         ['j'] = C_LETTER,
    ['k'] = C_LETTER, ['l'] = C_LETTER, ['m'] = C_LETTER,         ['n'] = C_LETTER,
    ['o'] = C_LETTER, ['p'] = C_LETTER, ['q'] = C_LETTER,         ['r'] = C_LETTER,
    ['s'] = C_LETTER, ['t'] = C_LETTER, ['u'] = C_LETTER,         ['v'] = C_LETTER,
    ['w'] = C_LETTER, ['x'] = C_LETTER, ['y'] = C_LETTER,         ['z'] = C_LETTER,
    ['A'] = C_LETTER, ['B'] = C_LETTER, ['C'] = C_LETTER,         ['D'] = C_LETTER,
    ['E'] = C_LETTER, ['F'] = C_LETTER, ['G'] = C_LETTER,         ['H'] = C_LETTER,
    ['I'] = C_LETTER, ['J'] = C_LETTER, ['K'] = C_LETTER,         ['L'] = C_LETTER,
    ['M'] = C_LETTER, ['N'] = C_LETTER, ['O'] = C_LETTER,         ['P'] = C_LETTER,
    ['Q'] = C_LETTER, ['R'] = C_LETTER, ['S'] = C_LETTER,         ['T'] = C_LETTER,
    ['U'] = C_LETTER, ['V'] = C_LETTER, ['W'] = C_LETTER,         ['X'] = C_LETTER,
    ['Y'] = C_LETTER, ['Z'] = C_LETTER, [NORM_LETTER] = C_LETTER,
};

static const uint32_t gap_of[256] = {
    [' '] = GAP_SPACE,
    ['\t'] = GAP_SPACE,
    ['.'] = GAP_DOT,
    ['-'] = GAP_DASH,
    ['/'] = GAP_SLASH,
    [':'] = GAP_COLON,
    ['\n'] = GAP_LINE,
    ['\r'] = GAP_LINE,
    [','] = GAP_COMMA,
    ['@'] = GAP_AT,
    ['+'] = GAP_PLUS,
    ['('] = GAP_PAREN,
    [')'] = GAP_PAREN,
    ['='] = GAP_EQUALS,
    ['_'] = GAP_UNDER,
    ['$'] = GAP_MONEY,
    ['?'] = GAP_SENTENCE | GAP_OTHER,
    ['!'] = GAP_SENTENCE | GAP_OTHER,
    ['<'] = GAP_ANGLE,
    [NORM_MESSAGE] = GAP_MESSAGE,
};

static int atoms_grow(struct detect_scratch *s)
{
    size_t cap = s->atom_cap ? s->atom_cap * 2 : 512;
    struct atom *atoms = realloc(s->atoms, cap * sizeof *atoms);
    if (!atoms)
        return SLUIS_ENOMEM;
    s->atoms = atoms;
    uint32_t *keys = realloc(s->keys, cap * sizeof *keys);
    if (!keys)
        return SLUIS_ENOMEM;
    s->keys = keys;
    s->atom_cap = cap;
    return 0;
}

struct reading {
    uint32_t hash, stem; /* of the word being read */
    unsigned letters;
    bool url;
};

#define STEM_LETTERS 6

static uint32_t read_letters(struct reading *r, const uint8_t *norm, uint32_t i, uint32_t end)
{
    uint32_t h = r->hash;
    unsigned n = r->letters;
    while (i < end && class_of[norm[i]] == C_LETTER) {
        h = word_hash_add(h, norm[i] | 0x20);
        i++;
        if (++n == STEM_LETTERS)
            r->stem = h;
    }
    r->hash = h;
    r->letters = n;
    return i;
}

/* "b.s.n." and "t.n.v." are one word each: single letters with nothing but dots between. */
static bool continues_acronym(const struct atom *last, const struct atom *a, const uint8_t *norm)
{
    if (last->kind != ATOM_WORD || a->before != GAP_DOT || a->gap != 1)
        return false;
    bool last_single = last->end - last->start == 1 || norm[last->start + 1] == '.';
    return last_single && a->end - a->start == 1;
}

static bool starts_url(const uint8_t *norm, const struct atom *a, uint32_t end)
{
    uint32_t n = a->end - a->start;
    const uint8_t *p = norm + a->start;
    if (n == 3 && (p[0] | 0x20) == 'w' && (p[1] | 0x20) == 'w' && (p[2] | 0x20) == 'w')
        return a->end < end && norm[a->end] == '.';
    if ((n == 4 || n == 5) && a->end + 2 < end)
        return (p[0] | 0x20) == 'h' && (p[1] | 0x20) == 't' && norm[a->end] == ':' &&
               norm[a->end + 1] == '/';
    /* "voorbeeld.nl/..." */
    if (n >= 2 && n <= 4 && a->before == GAP_DOT && a->gap == 1 && a->end < end)
        return norm[a->end] == '/' && a->end + 1 < end && norm[a->end + 1] > ' ';
    return false;
}

int atoms_add(struct detect_scratch *s, const struct word_table *words, const struct segment *g)
{
    const uint8_t *norm = s->norm;
    const uint32_t end = g->end;
    struct reading r = {0};
    uint32_t i = g->start;
    uint32_t gap_flags = g->start > 0 ? GAP_MESSAGE : 0, gap_n = g->start > 0 ? 1 : 0;
    uint32_t head_hash = 0, head_letters = 0; /* of a first half of a two-word keyword */
    bool first = true;
    uint32_t seen = 0;
    while (i < end) {
        uint8_t kind = class_of[norm[i]];
        if (kind == C_OTHER) {
            uint32_t f = gap_of[norm[i]];
            gap_flags |= f ? f : GAP_OTHER;
            if (norm[i] == '.' && i + 1 < end && (norm[i + 1] == ' ' || norm[i + 1] == '\n'))
                gap_flags |= GAP_SENTENCE;
            if (f & (GAP_SPACE | GAP_LINE))
                r.url = false;
            gap_n++;
            i++;
            continue;
        }
        if (s->atom_n == s->atom_cap && atoms_grow(s) != 0)
            return SLUIS_ENOMEM;
        struct atom *a = &s->atoms[s->atom_n];
        *a = (struct atom){
            .start = i, .before = gap_flags, .gap = (uint16_t)(gap_n > 0xffff ? 0xffff : gap_n)};
        if (kind == C_DIGIT) {
            a->kind = ATOM_NUMBER;
            while (i < end && class_of[norm[i]] == C_DIGIT)
                i++;
            s->number_n++;
            head_hash = 0;
        } else {
            a->kind = ATOM_WORD;
            uint32_t begin = i;
            struct reading was = r;
            r.hash = WORD_HASH_START;
            r.stem = 0;
            r.letters = 0;
            i = read_letters(&r, norm, i, end);
            a->end = i;
            if (!first && i - begin == 1 && continues_acronym(&s->atoms[s->atom_n - 1], a, norm)) {
                struct atom *last = &s->atoms[s->atom_n - 1];
                r = was;
                read_letters(&r, norm, begin, i);
                last->end = i;
                uint8_t letters[16]; /* acronyms longer than this are no keyword */
                size_t k = 0;
                for (uint32_t at = last->start; at < i && k < sizeof letters; at++)
                    if (norm[at] != '.')
                        letters[k++] = norm[at];
                last->word = r.hash;
                uint32_t bits = word_lookup(words, letters, k, r.hash, WORD_WHOLE);
                if (bits & WORD_KEY && !(last->ctx & WORD_KEY))
                    s->keys[s->key_n++] = (uint32_t)(s->atom_n - 1);
                last->ctx |= bits;
                seen |= bits;
                gap_flags = 0;
                gap_n = 0;
                continue;
            }
            a->word = r.hash;
            a->ctx = word_lookup(words, norm + begin, i - begin, r.hash, r.stem);
            if ((a->ctx & ~CNT_NUMBER) == 0 && i - begin >= WORD_NEARLY_MIN)
                a->ctx |= word_nearly(norm + begin, i - begin);
            if (head_hash && gap_n <= 2 &&
                (gap_flags & ~(uint32_t)(GAP_SPACE | GAP_DOT | GAP_DASH | GAP_LINE | GAP_UNDER)) ==
                    0) {
                uint8_t both[40];
                struct atom *last = &s->atoms[s->atom_n - 1];
                uint32_t n1 = last->end - last->start, n2 = i - begin;
                if (head_letters == n1 && n1 + n2 <= sizeof both) {
                    memcpy(both, norm + last->start, n1);
                    memcpy(both + n1, norm + begin, n2);
                    struct reading two = {.hash = WORD_HASH_START};
                    read_letters(&two, both, 0, n1 + n2);
                    a->ctx |= word_lookup(words, both, n1 + n2, two.hash, WORD_WHOLE);
                }
            }
            head_hash = a->ctx & WORD_HEAD ? r.hash : 0;
            head_letters = i - begin;
            if (is_upper(norm[begin]))
                a->flags |= ATOM_CAPITAL;
            seen |= a->ctx;
            if (a->ctx & WORD_KEY)
                s->keys[s->key_n++] = (uint32_t)s->atom_n;
        }
        a->end = i;
        if (kind == C_LETTER && starts_url(norm, a, end))
            r.url = true;
        if (r.url)
            a->flags |= ATOM_URL;
        s->marks |= gap_flags;
        s->atom_n++;
        first = false;
        gap_flags = 0;
        gap_n = 0;
    }
    s->marks |= gap_flags;
    s->seen |= seen;
    s->seen_text = seen;
    return 0;
}

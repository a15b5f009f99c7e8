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

/* One pass over one segment. */
struct reader {
    struct detect_scratch *s;
    const struct word_table *words;
    const uint8_t *norm;
    uint32_t at, end;
    uint32_t gap_flags, gap_n; /* since the last atom */
    struct reading word;       /* the last word */
    bool head;                 /* it may be the first half of a keyword of two words */
    bool first, url;
    uint32_t seen;
};

static void read_gap(struct reader *r)
{
    const uint8_t *p = r->norm + r->at;
    uint32_t f = gap_of[*p];
    r->gap_flags |= f ? f : GAP_OTHER;
    if (*p == '.' && r->at + 1 < r->end && (p[1] == ' ' || p[1] == '\n'))
        r->gap_flags |= GAP_SENTENCE;
    if (f & (GAP_SPACE | GAP_LINE))
        r->url = false;
    r->gap_n++;
    r->at++;
}

/* Makes the last atom one letter longer. */
static void extend_acronym(struct reader *r, const struct reading *before)
{
    struct detect_scratch *s = r->s;
    struct atom *last = &s->atoms[s->atom_n - 1];
    struct reading word = *before;
    read_letters(&word, r->norm, r->at - 1, r->at);
    r->word = word;
    last->end = r->at;
    last->word = word.hash;
    uint8_t letters[16]; /* acronyms longer than this are no keyword */
    size_t n = 0;
    for (uint32_t k = last->start; k < r->at && n < sizeof letters; k++)
        if (r->norm[k] != '.')
            letters[n++] = r->norm[k];
    uint32_t bits = word_lookup(r->words, letters, n, word.hash, WORD_WHOLE);
    if ((bits & WORD_KEY) && !(last->ctx & WORD_KEY))
        s->keys[s->key_n++] = (uint32_t)(s->atom_n - 1);
    last->ctx |= bits;
    r->seen |= bits;
}

/* What the last atom and this word say together: "burger service", "credit card". */
static uint32_t look_up_pair(const struct reader *r, const struct atom *a)
{
    const struct atom *last = a - 1;
    uint8_t both[40];
    uint32_t n1 = atom_size(last), n2 = atom_size(a);
    const uint32_t links = GAP_SPACE | GAP_DOT | GAP_DASH | GAP_LINE | GAP_UNDER;
    if (r->gap_n > 2 || (r->gap_flags & ~links) != 0 || n1 + n2 > sizeof both)
        return 0;
    memcpy(both, r->norm + last->start, n1);
    memcpy(both + n1, r->norm + a->start, n2);
    struct reading two = {.hash = WORD_HASH_START};
    read_letters(&two, both, 0, n1 + n2);
    return word_lookup(r->words, both, n1 + n2, two.hash, WORD_WHOLE);
}

/* A run of letters into atom a; false when it only made the atom before it longer. */
static bool read_word(struct reader *r, struct atom *a)
{
    struct reading before = r->word;
    r->word = (struct reading){.hash = WORD_HASH_START};
    r->at = read_letters(&r->word, r->norm, a->start, r->end);
    a->end = r->at;
    if (!r->first && atom_size(a) == 1 && continues_acronym(a - 1, a, r->norm)) {
        extend_acronym(r, &before);
        return false;
    }
    const uint8_t *word = r->norm + a->start;
    a->kind = ATOM_WORD;
    a->word = r->word.hash;
    a->ctx = word_lookup(r->words, word, atom_size(a), r->word.hash, r->word.stem);
    if ((a->ctx & ~CNT_NUMBER) == 0 && atom_size(a) >= WORD_NEARLY_MIN)
        a->ctx |= word_nearly(word, atom_size(a));
    if (r->head)
        a->ctx |= look_up_pair(r, a);
    r->head = (a->ctx & WORD_HEAD) != 0;
    r->seen |= a->ctx;
    if (is_upper(*word))
        a->flags |= ATOM_CAPITAL;
    if (a->ctx & WORD_KEY)
        r->s->keys[r->s->key_n++] = (uint32_t)r->s->atom_n;
    if (starts_url(r->norm, a, r->end))
        r->url = true;
    return true;
}

static void read_number(struct reader *r, struct atom *a)
{
    a->kind = ATOM_NUMBER;
    while (r->at < r->end && class_of[r->norm[r->at]] == C_DIGIT)
        r->at++;
    a->end = r->at;
    r->s->number_n++;
    r->head = false;
}

int atoms_add(struct detect_scratch *s, const struct word_table *words, const struct segment *g)
{
    struct reader r = {
        .s = s, .words = words, .norm = s->norm, .at = g->start, .end = g->end, .first = true};
    if (g->start > 0) {
        r.gap_flags = GAP_MESSAGE;
        r.gap_n = 1;
    }
    while (r.at < r.end) {
        uint8_t kind = class_of[r.norm[r.at]];
        if (kind == C_OTHER) {
            read_gap(&r);
            continue;
        }
        if (s->atom_n == s->atom_cap && atoms_grow(s) != 0)
            return SLUIS_ENOMEM;
        struct atom *a = &s->atoms[s->atom_n];
        *a = (struct atom){.start = r.at,
                           .before = r.gap_flags,
                           .gap = (uint16_t)(r.gap_n > UINT16_MAX ? UINT16_MAX : r.gap_n)};
        if (kind == C_DIGIT)
            read_number(&r, a);
        if (kind == C_DIGIT || read_word(&r, a)) {
            if (r.url)
                a->flags |= ATOM_URL;
            s->marks |= r.gap_flags;
            s->atom_n++;
            r.first = false;
        }
        r.gap_flags = 0;
        r.gap_n = 0;
    }
    s->marks |= r.gap_flags;
    s->seen |= r.seen;
    s->seen_text = r.seen;
    return 0;
}

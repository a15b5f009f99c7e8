/* IBAN: every country of the SWIFT registry, by length and structure, mod 97. */
#include "room.h"

#define IBAN_MAX 34
/* Separators between two characters of an IBAN: "NL91 - ABNA", a line break with a space. */
#define IBAN_GAP_MAX 3
/* Near misses: characters too few or too many, atoms looked at, digits at least. */
#define NEAR_SLACK 2
#define NEAR_ATOMS 20
#define NEAR_DIGITS 8

/* BBAN as in the registry (ISO 13616): a count before each class; n digits, a capitals, c both. */
struct country {
    char code[3];
    const char *bban;
};
static const struct country countries[] = {
    {"AD", "8n12c"},    {"AE", "19n"},      {"AL", "8n16c"},    {"AT", "16n"},
    {"AZ", "4a20c"},    {"BA", "16n"},      {"BE", "12n"},      {"BG", "4a6n8c"},
    {"BH", "4a14c"},    {"BI", "23n"},      {"BR", "23n1a1c"},  {"BY", "4c4n16c"},
    {"CH", "5n12c"},    {"CR", "18n"},      {"CY", "8n16c"},    {"CZ", "20n"},
    {"DE", "18n"},      {"DJ", "23n"},      {"DK", "14n"},      {"DO", "4c20n"},
    {"EE", "16n"},      {"EG", "25n"},      {"ES", "20n"},      {"FI", "14n"},
    {"FK", "2a12n"},    {"FO", "14n"},      {"FR", "10n11c2n"}, {"GB", "4a14n"},
    {"GE", "2a16n"},    {"GI", "4a15c"},    {"GL", "14n"},      {"GR", "7n16c"},
    {"GT", "4c20c"},    {"HN", "4a20n"},    {"HR", "17n"},      {"HU", "24n"},
    {"IE", "4a14n"},    {"IL", "19n"},      {"IQ", "4a15n"},    {"IS", "22n"},
    {"IT", "1a10n12c"}, {"JO", "4a4n18c"},  {"KW", "4a22c"},    {"KZ", "3n13c"},
    {"LB", "4n20c"},    {"LC", "4a24c"},    {"LI", "5n12c"},    {"LT", "16n"},
    {"LU", "3n13c"},    {"LV", "4a13c"},    {"LY", "21n"},      {"MC", "10n11c2n"},
    {"MD", "20c"},      {"ME", "18n"},      {"MK", "3n10c2n"},  {"MN", "16n"},
    {"MR", "23n"},      {"MT", "4a5n18c"},  {"MU", "4a19n3a"},  {"NI", "4a20n"},
    {"NL", "4a10n"},    {"NO", "11n"},      {"OM", "3n16c"},    {"PK", "4a16c"},
    {"PL", "24n"},      {"PS", "4a21c"},    {"PT", "21n"},      {"QA", "4a21c"},
    {"RO", "4a16c"},    {"RS", "18n"},      {"RU", "14n15c"},   {"SA", "2n18c"},
    {"SC", "4a20n3a"},  {"SD", "14n"},      {"SE", "20n"},      {"SI", "15n"},
    {"SK", "20n"},      {"SM", "1a10n12c"}, {"SO", "19n"},      {"ST", "21n"},
    {"SV", "4a20n"},    {"TL", "19n"},      {"TN", "20n"},      {"TR", "6n16c"},
    {"UA", "6n19c"},    {"VA", "18n"},      {"VG", "4a16n"},    {"XK", "16n"},
    {"YE", "4a4n18c"},
};

static const struct country *country_of(uint8_t a, uint8_t b)
{
    size_t low = 0, high = sizeof countries / sizeof *countries;
    int key = a << 8 | b;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int c = countries[middle].code[0] << 8 | countries[middle].code[1];
        if (c == key)
            return &countries[middle];
        if (c < key)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* Unrolls a BBAN structure; returns its length. */
static unsigned unroll(const char *bban, char classes[IBAN_MAX])
{
    unsigned n = 0;
    while (*bban) {
        unsigned count = 0;
        while (*bban >= '0' && *bban <= '9')
            count = count * 10 + (unsigned)(*bban++ - '0');
        for (unsigned k = 0; k < count && n < IBAN_MAX; k++)
            classes[n++] = *bban;
        bban++;
    }
    return n;
}

static bool fits(uint8_t c, char class)
{
    return class == 'n' ? is_digit(c) : class == 'a' ? is_upper(c) : is_digit(c) || is_upper(c);
}

static bool is_iban_separator(uint8_t c)
{
    return c == ' ' || c == '.' || c == '-' || c == '\n' || c == '\r' || c == '\t' || c == '_' ||
           c == '/' || c == ',' || c == ':' || c == '|' || c == '*' || c == '(' || c == ')' ||
           c == NORM_MESSAGE;
}

/* Characters read from `at`, separators left out, folded to capitals. */
struct reading {
    uint8_t text[IBAN_MAX + NEAR_SLACK];
    unsigned n;
    uint32_t end; /* behind the last character taken */
    bool mended;  /* a letter O or I was read as a digit */
};

static void read_iban(const struct detect_scratch *s, uint32_t at, const char *classes,
                      unsigned most, struct reading *r)
{
    unsigned gap = 0;
    for (uint32_t k = at; k < s->norm_n && r->n < most; k++) {
        uint8_t c = to_upper(s->norm[k]);
        if (is_iban_separator(c)) {
            if (++gap > IBAN_GAP_MAX)
                return;
            continue;
        }
        char class = r->n < 4 ? 'n' : classes[r->n - 4];
        if (class == 'n' && (c == 'O' || c == 'I' || s->norm[k] == 'l')) {
            c = c == 'O' ? '0' : '1';
            r->mended = true;
        }
        if (!fits(c, class))
            return;
        gap = 0;
        r->text[r->n++] = c;
        r->end = k + 1;
    }
}

/* Letters and digits that look like an IBAN of this country but for a typing error: whole atoms, at
 * most NEAR_SLACK characters too few or too many. */
static bool read_near(const struct detect_scratch *s, uint32_t i, const char *classes,
                      unsigned length, uint32_t *last)
{
    unsigned n = 2, digits = 0;
    bool found = false;
    for (uint32_t k = i; k < s->atom_n && k - i < NEAR_ATOMS; k++) {
        const struct atom *a = &s->atoms[k];
        if (k > i &&
            (a->gap > IBAN_GAP_MAX || (a->before & ~(GAP_SPACE | GAP_DOT | GAP_DASH | GAP_LINE |
                                                     GAP_UNDER | GAP_SLASH)) != 0))
            break;
        unsigned size = atom_size(a);
        if (a->kind == ATOM_WORD) {
            bool place = n >= 3 && n - 4 < IBAN_MAX - 4 && classes[n >= 4 ? n - 4 : 0] != 'n';
            bool slip = a->gap == 0 && size <= 2;
            if (!(place && size <= 6) && !slip)
                break;
        }
        if (n + size > length + NEAR_SLACK)
            break;
        n += size;
        digits += a->kind == ATOM_NUMBER ? size : 0;
        if (a->kind == ATOM_NUMBER && n + NEAR_SLACK >= length && digits >= NEAR_DIGITS) {
            *last = k;
            found = true;
        }
    }
    return found;
}

static void find_near(const struct detector *d, struct detect_scratch *s, uint32_t i,
                      const char *classes, unsigned length)
{
    uint32_t last = i;
    if (!(s->seen & CTX_ACCOUNT) || !read_near(s, i, classes, length, &last))
        return;
    struct context c =
        context_of(s, i - 1, last, CTX_ACCOUNT, CNT_TRACK | CNT_DEVICE | CNT_COMPANY);
    if (c.direct && !context_denies(&c))
        hit_add(d, s, s->atoms[i - 1].end - 2, s->atoms[last].end, DETECT_IBAN, 720,
                "structure+context");
}

/* A Dutch account whose country code is missing or wrong: bank, nine to eleven digits, in plain
 * context. */
#define BANK_DIGITS_MIN 9
#define BANK_DIGITS_MAX 11
#define BANK_PARTS_MAX 6

static bool is_dutch_bank(const uint8_t *p)
{
    static const char codes[][5] = {"ABNA", "INGB", "RABO", "SNSB", "TRIO", "ASNB", "KNAB", "BUNQ",
                                    "RBRB", "FVLB", "REVO", "DEUT", "HAND", "NNBA", "BITS", "ADYB"};
    for (size_t k = 0; k < sizeof codes / sizeof *codes; k++) {
        bool same = true;
        for (size_t c = 0; c < 4 && same; c++)
            same = to_upper(p[c]) == (uint8_t)codes[k][c];
        if (same)
            return true;
    }
    return false;
}

static void find_bank(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    const struct atom *bank = &s->atoms[i - 1];
    if (!(s->seen & CTX_ACCOUNT) || atom_size(bank) != 4 || s->atoms[i].gap > 1 ||
        !is_dutch_bank(s->norm + bank->start))
        return;
    unsigned digits = 0;
    uint32_t last = i;
    for (uint32_t k = i; k < s->atom_n && k - i < BANK_PARTS_MAX; k++) {
        const struct atom *a = &s->atoms[k];
        if (a->kind != ATOM_NUMBER || (k > i && !gap_joins(a, GAP_SPACE | GAP_DOT | GAP_DASH)) ||
            digits + atom_size(a) > BANK_DIGITS_MAX)
            break;
        digits += atom_size(a);
        last = k;
    }
    if (digits < BANK_DIGITS_MIN)
        return;
    /* the check digits and letters that are there */
    uint32_t first = i - 1;
    if (first > 0 && s->atoms[first].gap <= 1 && s->atoms[first - 1].kind == ATOM_NUMBER &&
        atom_size(&s->atoms[first - 1]) == 2)
        first--;
    if (first < i - 1 && first > 0 && s->atoms[first].gap <= 1 &&
        s->atoms[first - 1].kind == ATOM_WORD && atom_size(&s->atoms[first - 1]) <= 2)
        first--;
    struct context c =
        context_of(s, first, last, CTX_ACCOUNT, CNT_TRACK | CNT_DEVICE | CNT_COMPANY);
    if (c.direct && !context_denies(&c))
        hit_add(d, s, s->atoms[first].start, s->atoms[last].end, DETECT_IBAN, 710, "bank+context");
}

/* A value whose check digits start at number atom i; its country stands before it. */
void find_iban(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    const struct atom *a = &s->atoms[i];
    if (i == 0 || s->atoms[i - 1].kind != ATOM_WORD)
        return;
    const struct atom *word = &s->atoms[i - 1];
    /* "N L 9 1 A B N A" */
    bool spelled = atom_size(word) == 1 && i > 1 && atom_size(word - 1) == 1 &&
                   s->atoms[i - 2].kind == ATOM_WORD && word->gap <= IBAN_GAP_MAX;
    if ((atom_size(word) < 2 && !spelled) || a->gap > IBAN_GAP_MAX)
        return;
    for (uint32_t k = word->end; k < a->start; k++)
        if (!is_iban_separator(s->norm[k]))
            return;
    find_bank(d, s, i);
    /* "N.L.9.1": single letters with dots are one word */
    bool dotted = atom_size(word) == 3 && s->norm[word->start + 1] == '.';
    uint32_t start = dotted ? word->start : spelled ? word[-1].start : word->end - 2;
    uint8_t c1 = to_upper(s->norm[start]), c2 = to_upper(s->norm[word->end - 1]);
    const struct country *country = country_of(c1, c2);
    if (!country)
        return;
    char classes[IBAN_MAX] = {0};
    unsigned length = unroll(country->bban, classes) + 4;
    struct reading r = {.text = {c1, c2}, .n = 2};
    read_iban(s, a->start, classes, length, &r);
    bool proof = r.n == length && check_mod97(r.text, r.n);
    if (proof)
        hit_add(d, s, start, r.end, DETECT_IBAN, r.mended ? 900 : 990,
                r.mended ? "structure+mod97+mended" : "structure+mod97");
    else
        find_near(d, s, i, classes, length);
}

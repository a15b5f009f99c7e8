/* IBAN: every country of the SWIFT registry, by length and structure, mod 97. */
#include "room.h"

#define IBAN_MAX 34
/* Separators between two characters of an IBAN: "NL91 - ABNA", a line break with a space. */
#define IBAN_GAP_MAX 3

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
           c == '/' || c == ',' || c == NORM_MESSAGE;
}

/* Characters read from `at`, separators left out, folded to capitals. */
struct reading {
    uint8_t text[IBAN_MAX];
    unsigned n;
    uint32_t end; /* behind the last character taken */
    bool gaps;    /* separators were seen */
};

static void read_iban(const struct detect_scratch *s, uint32_t at, uint32_t limit,
                      const char *classes, unsigned most, struct reading *r)
{
    unsigned gap = 0;
    for (uint32_t k = at; k < limit && r->n < most; k++) {
        uint8_t c = to_upper(s->norm[k]);
        if (is_iban_separator(c)) {
            if (++gap > IBAN_GAP_MAX)
                return;
            continue;
        }
        if (!fits(c, r->n < 4 ? 'n' : classes[r->n - 4]))
            return;
        r->gaps = r->gaps || gap > 0;
        gap = 0;
        r->text[r->n++] = c;
        r->end = k + 1;
    }
}

/* A value of this country from the number atom i on, its letters at `start`. */
void find_iban(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    const struct atom *a = &s->atoms[i];
    if (i == 0 || s->atoms[i - 1].kind != ATOM_WORD)
        return;
    const struct atom *word = &s->atoms[i - 1];
    if (word->end - word->start < 2 || a->gap > IBAN_GAP_MAX)
        return;
    for (uint32_t k = word->end; k < a->start; k++)
        if (!is_iban_separator(s->norm[k]))
            return;
    uint32_t start = word->end - 2;
    uint8_t c1 = to_upper(s->norm[start]), c2 = to_upper(s->norm[start + 1]);
    const struct country *country = country_of(c1, c2);
    if (!country)
        return;
    char classes[IBAN_MAX];
    unsigned length = unroll(country->bban, classes) + 4;
    struct reading r = {.text = {c1, c2}, .n = 2};
    read_iban(s, a->start, (uint32_t)s->norm_n, classes, length, &r);
    if (r.n != length || !check_mod97(r.text, r.n))
        return;
    hit_add(d, s, start, r.end, DETECT_IBAN, 990, "structure+mod97");
}

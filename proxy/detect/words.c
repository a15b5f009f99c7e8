/* Keywords: one hash look-up a word, stems by their first six letters, compounds by their ending.
 */
#include <stdlib.h>

#include "room.h"
#include "words.h"
#include "sluis/base/utf8.h"

/* A power of two, at least four times the number of rows, so that a miss ends at once. */
#define SLOTS 8192
#define STEM_SLOTS 1024
#define EXTRA_MAX 4000 /* special words */
#define WORD_LETTERS_MAX 32

struct slot {
    uint32_t hash;
    uint32_t bits;
    const char *word; /* NULL: free */
};

struct word_table {
    struct slot slots[SLOTS];
    struct slot stems[STEM_SLOTS];
    char *extra; /* memory of the extra words */
};

static uint32_t hash_of(const char *word, size_t n)
{
    uint32_t h = WORD_HASH_START;
    for (size_t i = 0; i < n; i++)
        h = word_hash_add(h, (uint8_t)word[i]);
    return h;
}

static void put(struct slot *slots, size_t n, uint32_t hash, const char *word, uint32_t bits)
{
    size_t i = hash & (n - 1);
    while (slots[i].word && strcmp(slots[i].word, word) != 0)
        i = (i + 1) & (n - 1);
    slots[i].hash = hash;
    slots[i].bits |= bits;
    slots[i].word = word;
}

static void put_stem(struct word_table *t, const char *word, uint32_t bits)
{
    /* several stems may share their first six letters: each has a slot of its own */
    uint32_t hash = hash_of(word, WORD_STEM_LETTERS);
    size_t i = hash & (STEM_SLOTS - 1);
    while (t->stems[i].word && strcmp(t->stems[i].word, word) != 0)
        i = (i + 1) & (STEM_SLOTS - 1);
    t->stems[i] = (struct slot){hash, t->stems[i].bits | bits, word};
}

static void put_list(struct word_table *t, const char *list, uint32_t bits, char **memory)
{
    while (*list) {
        size_t n = strcspn(list, " ");
        memcpy(*memory, list, n);
        (*memory)[n] = '\0';
        if ((*memory)[n - 1] == '*') {
            (*memory)[n - 1] = '\0';
            put_stem(t, *memory, bits);
        } else {
            put(t->slots, SLOTS, hash_of(*memory, n), *memory, bits);
        }
        *memory += n + 1;
        list += n;
        list += strspn(list, " ");
    }
}

/* A word of the policy: letters only, folded as texts are. What is longer or holds anything else
 * never matches. */
static void put_extra(struct word_table *t, const char *word, uint32_t bits, char **memory)
{
    struct span rest = span_str(word);
    size_t n = 0;
    while (rest.n > 0) {
        uint32_t c = 0;
        unsigned used = utf8_decode(rest, &c);
        uint8_t v = c < 0x80 ? (uint8_t)c : fold_code_point(c);
        if (used == 0 || n == WORD_LETTERS_MAX || !is_letter(v))
            return;
        (*memory)[n++] = (char)(v | 0x20);
        rest = span_from(rest, used);
    }
    (*memory)[n] = '\0';
    if (n == 0)
        return;
    put(t->slots, SLOTS, hash_of(*memory, n), *memory, bits);
    *memory += n + 1;
}

int word_table_new(const struct detect_settings *settings, struct word_table **out)
{
    struct word_table *t = calloc(1, sizeof *t);
    if (!t)
        return SLUIS_ENOMEM;
    size_t rows = 0, bytes = 0, extra = 0;
    const struct word_row *list = word_rows(&rows);
    for (size_t i = 0; i < rows; i++)
        bytes += strlen(list[i].words) + 2;
    for (size_t i = 0; i < settings->special_count; i++, extra++)
        bytes += strlen(settings->special_words[i]) + 1;
    if (extra > EXTRA_MAX) {
        free(t);
        return SLUIS_ELIMIT;
    }
    t->extra = malloc(bytes ? bytes : 1);
    if (!t->extra) {
        free(t);
        return SLUIS_ENOMEM;
    }
    char *memory = t->extra;
    for (size_t i = 0; i < rows; i++)
        put_list(t, list[i].words, list[i].bits, &memory);
    for (size_t i = 0; i < settings->special_count; i++)
        put_extra(t, settings->special_words[i], WORD_SPECIAL, &memory);
    *out = t;
    return 0;
}

void word_table_free(struct word_table *t)
{
    if (!t)
        return;
    free(t->extra);
    free(t);
}

static bool same(const uint8_t *word, size_t n, const char *row)
{
    for (size_t i = 0; i < n; i++)
        if ((word[i] | 0x20) != (uint8_t)row[i])
            return false;
    return true;
}

static bool ends_in(const uint8_t *word, size_t n, const char *end, size_t end_n)
{
    return n >= end_n && same(word + n - end_n, end_n, end);
}

/* Compounds: any other "...nummer" is counter-evidence, any "...straat" a street. */
static uint32_t ending_of(const uint8_t *word, size_t n)
{
    static const struct {
        char end[16];
        uint8_t n;
        uint32_t bits;
    } endings[] = {
        {"telefoonnummer", 14, CTX_PHONE},
        {"kaartnummer", 11, CTX_CARD},
        {"referentie", 10, CNT_ORDER},
        {"bestelling", 10, CNT_ORDER},
        {"wachtwoord", 10, CTX_PASSWORD},
        {"creditcard", 10, CTX_CARD},
        {"plantsoen", 9, WORD_STREET},
        {"rekening", 8, CTX_ACCOUNT},
        {"straatje", 8, WORD_STREET},
        {"nummers", 7, CNT_NUMBER},
        {"kenmerk", 7, CNT_ORDER},
        {"factuur", 7, CNT_ORDER},
        {"pincode", 7, CTX_PIN},
        {"strasse", 7, WORD_STREET},
        {"burgwal", 7, WORD_STREET},
        {"nummer", 6, CNT_NUMBER},
        {"number", 6, CNT_NUMBER},
        {"bedrag", 6, CNT_AMOUNT},
        {"straat", 6, WORD_STREET},
        {"gracht", 6, WORD_STREET},
        {"singel", 6, WORD_STREET},
        {"strase", 6, WORD_STREET},
        {"order", 5, CNT_ORDER},
        {"polis", 5, CNT_ORDER},
        {"meter", 5, CNT_DEVICE},
        {"stand", 5, CNT_DEVICE},
        {"plein", 5, WORD_STREET},
        {"steeg", 5, WORD_STREET},
        {"dreef", 5, WORD_STREET},
        {"markt", 5, WORD_STREET},
        {"haven", 5, WORD_STREET},
        {"akker", 5, WORD_STREET},
        {"weide", 5, WORD_STREET},
        {"zaak", 4, CNT_ORDER},
        {"code", 4, CNT_NUMBER},
        {"iban", 4, CTX_ACCOUNT},
        {"laan", 4, WORD_STREET},
        {"kade", 4, WORD_STREET},
        {"dijk", 4, WORD_STREET},
        {"park", 4, WORD_STREET},
        {"baan", 4, WORD_STREET},
        {"oord", 4, WORD_STREET},
        {"veld", 4, WORD_STREET},
        {"ring", 4, WORD_STREET},
        {"hage", 4, WORD_STREET},
        {"donk", 4, WORD_STREET},
        {"bon", 3, CNT_ORDER},
        {"bsn", 3, CTX_BSN},
        {"weg", 3, WORD_STREET},
        {"hof", 3, WORD_STREET},
        {"pad", 3, WORD_STREET},
        {"wal", 3, WORD_STREET},
        {"str", 3, WORD_STREET},
        {"lei", 3, WORD_STREET},
        {"erf", 3, WORD_STREET},
        {"nr", 2, CNT_NUMBER},
    };
    if (n < 4)
        return 0;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (n > endings[i].n && (word[n - 1] | 0x20) == (uint8_t)endings[i].end[endings[i].n - 1] &&
            ends_in(word, n, endings[i].end, endings[i].n))
            return endings[i].bits;
    }
    return 0;
}

uint32_t word_lookup(const struct word_table *t, const uint8_t *word, size_t n, uint32_t hash,
                     uint32_t stem)
{
    if (n == 0 || n > WORD_LETTERS_MAX)
        return 0;
    for (size_t i = hash & (SLOTS - 1); t->slots[i].word; i = (i + 1) & (SLOTS - 1)) {
        if (t->slots[i].hash == hash && strlen(t->slots[i].word) == n &&
            same(word, n, t->slots[i].word))
            return t->slots[i].bits;
    }
    if (stem == WORD_WHOLE)
        return 0;
    /* diminutives: "bonnetje", "rekeningnummertje" */
    if (n > 7 && (ends_in(word, n, "tje", 3) || ends_in(word, n, "tjes", 4))) {
        size_t base = n - (ends_in(word, n, "tje", 3) ? 3 : 4);
        if (word[base - 1] == 'e' && word[base - 2] == word[base - 3])
            base -= 2; /* bonn-e-tje */
        uint32_t h = WORD_HASH_START;
        for (size_t k = 0; k < base; k++)
            h = word_hash_add(h, word[k] | 0x20);
        uint32_t bits = word_lookup(t, word, base, h, WORD_WHOLE);
        return bits ? bits : ending_of(word, base);
    }
    if (n >= WORD_STEM_LETTERS) {
        for (size_t i = stem & (STEM_SLOTS - 1); t->stems[i].word; i = (i + 1) & (STEM_SLOTS - 1)) {
            const struct slot *row = &t->stems[i];
            size_t row_n = strlen(row->word);
            if (row->hash == stem && n >= row_n && same(word, row_n, row->word))
                return row->bits;
        }
    }
    return ending_of(word, n);
}

/* Optimal string alignment distance, at most WORD_LETTERS_MAX letters each. */
static unsigned distance(const uint8_t *a, size_t an, const char *b, size_t bn)
{
    uint8_t d[3][WORD_LETTERS_MAX + 2];
    for (size_t k = 0; k <= bn; k++)
        d[0][k] = (uint8_t)k;
    for (size_t i = 1; i <= an; i++) {
        uint8_t *row = d[i % 3];
        const uint8_t *up = d[(i - 1) % 3], *two = d[(i + 1) % 3];
        row[0] = (uint8_t)i;
        for (size_t k = 1; k <= bn; k++) {
            bool same_letter = (a[i - 1] | 0x20) == (uint8_t)b[k - 1];
            uint8_t best = (uint8_t)(up[k - 1] + !same_letter);
            if (up[k] + 1 < best)
                best = (uint8_t)(up[k] + 1);
            if (row[k - 1] + 1 < best)
                best = (uint8_t)(row[k - 1] + 1);
            if (i > 1 && k > 1 && (a[i - 1] | 0x20) == (uint8_t)b[k - 2] &&
                (a[i - 2] | 0x20) == (uint8_t)b[k - 1] && two[k - 2] + 1 < best)
                best = (uint8_t)(two[k - 2] + 1);
            row[k] = best;
        }
    }
    return d[an % 3][bn];
}

/* The same of at most one. */
static bool one_apart(const uint8_t *a, size_t an, const char *b, size_t bn)
{
    size_t i = 0;
    while (i < an && i < bn && (a[i] | 0x20) == (uint8_t)b[i])
        i++;
    if (i == an && i == bn)
        return true;
    const uint8_t *ra = a + i;
    const char *rb = b + i;
    size_t na = an - i, nb = bn - i;
    if (na == nb) {
        if (same(ra + 1, na - 1, rb + 1))
            return true;
        return na >= 2 && (ra[0] | 0x20) == (uint8_t)rb[1] && (ra[1] | 0x20) == (uint8_t)rb[0] &&
               same(ra + 2, na - 2, rb + 2);
    }
    if (na == nb + 1)
        return same(ra + 1, nb, rb);
    return nb == na + 1 && same(ra, na, rb + 1);
}

/* Two errors are looked for in words of this many letters that start alike. */
#define TWO_ERRORS_MIN 11
#define TWO_ERRORS_HEAD 3

uint32_t word_nearly(const uint8_t *word, size_t n)
{
    size_t count = 0;
    const struct word_row *rows = word_long_rows(&count);
    if (n < WORD_NEARLY_MIN || n > WORD_LETTERS_MAX)
        return 0;
    for (size_t i = 0; i < count; i++) {
        const char *row = rows[i].words;
        if ((word[0] | 0x20) != (uint8_t)row[0])
            continue;
        size_t row_n = strlen(row);
        if (n + 2 < row_n || n > row_n + 2)
            continue;
        if (n + 1 >= row_n && n <= row_n + 1 && one_apart(word, n, row, row_n))
            return rows[i].bits;
        if (row_n >= TWO_ERRORS_MIN && same(word, TWO_ERRORS_HEAD, row) &&
            distance(word, n, row, row_n) <= 2)
            return rows[i].bits;
    }
    return 0;
}

/* The keyword lists. A word ending in '*' is a stem of at least six letters. */
#ifndef SLUIS_DETECT_WORDS_H
#define SLUIS_DETECT_WORDS_H

#include <stddef.h>
#include <stdint.h>

#define WORD_STEM_LETTERS 6

struct word_row {
    const char *words; /* separated by single spaces, lower case, without diacritics */
    uint32_t bits;
};
const struct word_row *word_rows(size_t *count);
/* Long keywords, one a row, for typing errors. */
const struct word_row *word_long_rows(size_t *count);

#endif

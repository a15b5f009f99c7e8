/* Non-ASCII code points and what they look like. Pure tables. */
#include "room.h"

/* The zero of every decimal digit run of Unicode 15 (general category Nd). */
static const uint32_t zeros[] = {
    0x660,   0x6f0,   0x7c0,   0x966,   0x9e6,   0xa66,   0xae6,   0xb66,   0xbe6,   0xc66,
    0xce6,   0xd66,   0xde6,   0xe50,   0xed0,   0xf20,   0x1040,  0x1090,  0x17e0,  0x1810,
    0x1946,  0x19d0,  0x1a80,  0x1a90,  0x1b50,  0x1bb0,  0x1c40,  0x1c50,  0xa620,  0xa8d0,
    0xa900,  0xa9d0,  0xa9f0,  0xaa50,  0xabf0,  0xff10,  0x104a0, 0x10d30, 0x11066, 0x110f0,
    0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950,
    0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec,
    0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
};

/* U+00C0 to U+017F without their diacritics; '?' is no Latin letter. */
static const char latin[] = "AAAAAAACEEEEIIIIDNOOOOO?OUUUUYTsaaaaaaaceeeeiiiidnooooo?ouuuuyty"
                            "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIiIiJjKkkLlLlLlL"
                            "lLlNnNnNn?NnOoOoOoOoRrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs";

/* Letters of other scripts that look like the Latin ones of an IBAN or a keyword, by code point. */
struct twin {
    uint16_t c;
    char ascii;
};
static const struct twin twins[] = {
    {0x181, 'B'},  {0x196, 'I'},  {0x1b6, 'z'},  {0x261, 'g'},  {0x269, 'i'},  {0x26a, 'I'},
    {0x274, 'N'},  {0x280, 'R'},  {0x299, 'B'},  {0x29f, 'L'},  {0x37f, 'J'},  {0x391, 'A'},
    {0x392, 'B'},  {0x395, 'E'},  {0x396, 'Z'},  {0x397, 'H'},  {0x399, 'I'},  {0x39a, 'K'},
    {0x39c, 'M'},  {0x39d, 'N'},  {0x39f, 'O'},  {0x3a1, 'P'},  {0x3a4, 'T'},  {0x3a5, 'Y'},
    {0x3a7, 'X'},  {0x3b1, 'a'},  {0x3b9, 'i'},  {0x3ba, 'k'},  {0x3bd, 'v'},  {0x3bf, 'o'},
    {0x3c1, 'p'},  {0x3c5, 'u'},  {0x3f2, 'c'},  {0x3f3, 'j'},  {0x3f9, 'C'},  {0x405, 'S'},
    {0x406, 'I'},  {0x408, 'J'},  {0x410, 'A'},  {0x412, 'B'},  {0x415, 'E'},  {0x41a, 'K'},
    {0x41c, 'M'},  {0x41d, 'H'},  {0x41e, 'O'},  {0x420, 'P'},  {0x421, 'C'},  {0x422, 'T'},
    {0x423, 'Y'},  {0x425, 'X'},  {0x430, 'a'},  {0x432, 'b'},  {0x435, 'e'},  {0x43a, 'k'},
    {0x43c, 'm'},  {0x43d, 'h'},  {0x43e, 'o'},  {0x440, 'p'},  {0x441, 'c'},  {0x442, 't'},
    {0x443, 'y'},  {0x445, 'x'},  {0x455, 's'},  {0x456, 'i'},  {0x458, 'j'},  {0x474, 'V'},
    {0x475, 'v'},  {0x4bb, 'h'},  {0x4c0, 'I'},  {0x4cf, 'l'},  {0x501, 'd'},  {0x50c, 'G'},
    {0x51a, 'Q'},  {0x51b, 'q'},  {0x51c, 'W'},  {0x51d, 'w'},  {0x1d00, 'A'}, {0x1d04, 'C'},
    {0x1d05, 'D'}, {0x1d07, 'E'}, {0x1d0a, 'J'}, {0x1d0b, 'K'}, {0x1d0d, 'M'}, {0x1d0f, 'O'},
    {0x1d18, 'P'}, {0x1d1b, 'T'}, {0x1d1c, 'U'}, {0x1d20, 'V'}, {0x1d21, 'W'}, {0x1d22, 'Z'},
};

static uint8_t fold_twin(uint32_t c)
{
    size_t low = 0, high = sizeof twins / sizeof *twins;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (twins[middle].c == c)
            return (uint8_t)twins[middle].ascii;
        if (twins[middle].c < c)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

static uint8_t fold_digit(uint32_t c)
{
    size_t low = 0, high = sizeof zeros / sizeof *zeros;
    while (low < high) { /* the last zero <= c */
        size_t middle = (low + high) / 2;
        if (zeros[middle] <= c)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && c - zeros[low - 1] < 10 ? (uint8_t)('0' + (c - zeros[low - 1])) : 0;
}

/* Characters that show nothing: joiners, bidi controls, soft hyphen, variation selectors, combining
 * marks (the keycap too), tags. */
static bool is_invisible(uint32_t c)
{
    return c == 0xad || (c >= 0x300 && c <= 0x36f) || c == 0x61c || c == 0x115f || c == 0x1160 ||
           c == 0x180e || (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || (c >= 0x20d0 && c <= 0x20ff) || c == 0x3164 ||
           (c >= 0xfe00 && c <= 0xfe0f) || (c >= 0xfe20 && c <= 0xfe2f) || c == 0xfeff ||
           (c >= 0xe0000 && c <= 0xe01ef);
}

static uint8_t fold_punctuation(uint32_t c)
{
    if (c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x202f || c == 0x205f ||
        c == 0x3000 || c == 0x2800)
        return ' ';
    if (c == 0x85 || c == 0x2028 || c == 0x2029)
        return '\n';
    if ((c >= 0x2010 && c <= 0x2015) || c == 0x2212 || c == 0x2043 || c == 0xfe58 || c == 0xfe63)
        return '-';
    if (c == 0xb7 || c == 0x2022 || c == 0x2024 || c == 0x2026 || c == 0x2027 || c == 0x3002 ||
        c == 0x30fb)
        return '.';
    if (c == 0x2044 || c == 0x2215)
        return '/';
    if (c == 0xa3 || c == 0xa5 || (c >= 0x20a0 && c <= 0x20cf))
        return '$';
    if (c == 0x2018 || c == 0x2019 || c == 0x2b9 || c == 0x2bc || c == 0xb4)
        return '\'';
    if ((c >= 0x201c && c <= 0x201f) || c == 0xab || c == 0xbb)
        return '"';
    return 0;
}

uint8_t fold_code_point(uint32_t c)
{
    if (is_invisible(c))
        return 0;
    if (c >= 0xff01 && c <= 0xff5e) /* full width */
        return (uint8_t)(c - 0xfee0);
    uint8_t v = fold_punctuation(c);
    if (v)
        return v;
    if (c >= 0xc0 && c <= 0x17f)
        return latin[c - 0xc0] == '?' ? NORM_SYMBOL : (uint8_t)latin[c - 0xc0];
    if (c == 0xaa || c == 0xba)
        return NORM_LETTER;
    if (c < 0xc0)
        return NORM_SYMBOL;
    v = fold_twin(c);
    if (!v)
        v = fold_digit(c);
    if (v)
        return v;
    if (c >= 0x1d400 && c <= 0x1d6a3) { /* mathematical letters */
        uint32_t k = (c - 0x1d400) % 52;
        return (uint8_t)(k < 26 ? 'A' + k : 'a' + k - 26);
    }
    if (c >= 0x2460 && c <= 0x2468) /* circled digits */
        return (uint8_t)('1' + c - 0x2460);
    if (c == 0x24ea)
        return '0';
    if (c >= 0x24b6 && c <= 0x24e9)
        return (uint8_t)(c < 0x24d0 ? 'A' + c - 0x24b6 : 'a' + c - 0x24d0);
    if (c >= 0x1f130 && c <= 0x1f189) /* squared capitals */
        return (uint8_t)('A' + (c - 0x1f130) % 0x20 % 26);
    if (c >= 0x1f1e6 && c <= 0x1f1ff) /* regional indicators: a flag is no country code */
        return NORM_SYMBOL;
    if ((c >= 0x2000 && c <= 0x2bff) || (c >= 0x3000 && c <= 0x303f) || c >= 0x1f000 ||
        (c >= 0xe000 && c <= 0xf8ff) || c == 0xfffd)
        return c == 0xfffd ? NORM_BAD : NORM_SYMBOL;
    return NORM_LETTER;
}

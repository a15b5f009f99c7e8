/* Check digits. Pure arithmetic over bytes that the caller has already looked at. */
#include "room.h"

/* ISO/IEC 7812-1 annex B. */
bool check_luhn(const uint8_t *digits, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned v = (unsigned)(digits[n - 1 - i] - '0');
        if (i % 2 == 1) {
            v *= 2;
            if (v > 9)
                v -= 9;
        }
        sum += v;
    }
    return n > 0 && sum % 10 == 0;
}

/* Weights 9..2 and -1; eight digits lack a leading zero. All zeroes is no number. */
bool check_elfproef(const uint8_t *digits, size_t n)
{
    if (n != 8 && n != 9)
        return false;
    int sum = 0;
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        int v = digits[i] - '0';
        any = any || v != 0;
        int weight = (int)(n - i);
        sum += v * (weight == 1 ? -1 : weight);
    }
    return any && sum % 11 == 0;
}

bool check_mod11(const uint8_t *digits, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (unsigned)(digits[i] - '0') * (unsigned)(n - i);
    return n > 0 && sum > 0 && sum % 11 == 0;
}

/* ISO 13616: the first four characters moved to the end, letters as 10..35, remainder 1. */
bool check_mod97(const uint8_t *text, size_t n)
{
    if (n < 5)
        return false;
    unsigned rest = 0;
    for (size_t k = 0; k < n; k++) {
        uint8_t c = text[(k + 4) % n];
        if (is_digit(c))
            rest = (rest * 10 + (unsigned)(c - '0')) % 97;
        else
            rest = (rest * 100 + (unsigned)(c - 'A') + 10) % 97;
    }
    return rest == 1;
}

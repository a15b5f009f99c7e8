#include "sluis/base/encode.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base64_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void hex_encode(const uint8_t *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = hex_digits[bytes[i] >> 4];
        out[2 * i + 1] = hex_digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

int hex_decode_lower(struct span text, uint8_t *out, size_t n)
{
    if (text.n != 2 * n)
        return SLUIS_EINVAL;
    for (size_t i = 0; i < n; i++) {
        int high = hex_value(text.p[2 * i]), low = hex_value(text.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return SLUIS_EINVAL;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}

static size_t encode(const uint8_t *bytes, size_t n, char *out, const char *alphabet, bool pad)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)bytes[i] << 16;
        if (left > 1)
            v |= (uint32_t)bytes[i + 1] << 8;
        if (left > 2)
            v |= bytes[i + 2];
        out[at++] = alphabet[v >> 18];
        out[at++] = alphabet[v >> 12 & 63];
        if (left > 1)
            out[at++] = alphabet[v >> 6 & 63];
        else if (pad)
            out[at++] = '=';
        if (left > 2)
            out[at++] = alphabet[v & 63];
        else if (pad)
            out[at++] = '=';
    }
    out[at] = '\0';
    return at;
}

void base64_encode(const uint8_t *bytes, size_t n, char *out)
{
    encode(bytes, n, out, base64_std, true);
}

void base64url_encode(const uint8_t *bytes, size_t n, char *out)
{
    encode(bytes, n, out, base64_url, false);
}

static int base64_value(char c, bool url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    if (c == (url ? '_' : '/'))
        return 63;
    return -1;
}

static long decode(struct span text, uint8_t *out, size_t max, bool url)
{
    if (text.n % 4 == 1)
        return SLUIS_EINVAL;
    size_t at = 0;
    uint32_t v = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < text.n; i++) {
        int digit = base64_value(text.p[i], url);
        if (digit < 0)
            return SLUIS_EINVAL;
        v = v << 6 | (uint32_t)digit;
        bits += 6;
        if (bits >= 8) {
            if (at == max)
                return SLUIS_ELIMIT;
            bits -= 8;
            out[at++] = (uint8_t)(v >> bits);
            v &= (1u << bits) - 1;
        }
    }
    return v ? SLUIS_EINVAL : (long)at; /* bits left over must be zero: one spelling per value */
}

long base64_decode(struct span text, uint8_t *out, size_t max)
{
    if (text.n % 4 != 0)
        return SLUIS_EINVAL;
    if (text.n && text.p[text.n - 1] == '=')
        text.n--;
    if (text.n && text.n % 4 == 3 && text.p[text.n - 1] == '=')
        text.n--;
    return decode(text, out, max, false);
}

long base64url_decode(struct span text, uint8_t *out, size_t max)
{
    return decode(text, out, max, true);
}

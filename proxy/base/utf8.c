#include "sluis/base/utf8.h"

static bool tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

unsigned utf8_decode(struct span s, uint32_t *code_point)
{
    if (s.n == 0)
        return 0;
    const unsigned char *p = (const unsigned char *)s.p;
    if (p[0] < 0x80) {
        *code_point = p[0];
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf && s.n >= 2 && tail(p[1])) {
        *code_point = (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
        return 2;
    }
    if ((p[0] & 0xf0) == 0xe0 && s.n >= 3 && tail(p[1]) && tail(p[2])) {
        uint32_t v = (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
        if (v < 0x800 || (v >= 0xd800 && v <= 0xdfff))
            return 0;
        *code_point = v;
        return 3;
    }
    if ((p[0] & 0xf8) == 0xf0 && s.n >= 4 && tail(p[1]) && tail(p[2]) && tail(p[3])) {
        uint32_t v = (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
                     (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
        if (v < 0x10000 || v > 0x10ffff)
            return 0;
        *code_point = v;
        return 4;
    }
    return 0;
}

unsigned utf8_encode(uint32_t v, char out[4])
{
    if (v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        v = 0xfffd;
    if (v < 0x80) {
        out[0] = (char)v;
        return 1;
    }
    if (v < 0x800) {
        out[0] = (char)(0xc0 | v >> 6);
        out[1] = (char)(0x80 | (v & 0x3f));
        return 2;
    }
    if (v < 0x10000) {
        out[0] = (char)(0xe0 | v >> 12);
        out[1] = (char)(0x80 | (v >> 6 & 0x3f));
        out[2] = (char)(0x80 | (v & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | v >> 18);
    out[1] = (char)(0x80 | (v >> 12 & 0x3f));
    out[2] = (char)(0x80 | (v >> 6 & 0x3f));
    out[3] = (char)(0x80 | (v & 0x3f));
    return 4;
}

bool utf8_valid(struct span s)
{
    while (s.n) {
        uint32_t v;
        unsigned n = utf8_decode(s, &v);
        if (n == 0)
            return false;
        s.p += n;
        s.n -= n;
    }
    return true;
}

size_t utf8_count(struct span s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.n; i++)
        count += !tail((unsigned char)s.p[i]);
    return count;
}

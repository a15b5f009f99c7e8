/* The normal form: one byte a character, and the way back to the original bytes. */
#include <stdlib.h>

#include "room.h"
#include "sluis/base/utf8.h"

int norm_reserve(struct detect_scratch *s, size_t characters)
{
    size_t need = s->norm_n + characters;
    if (need <= s->norm_cap)
        return 0;
    size_t cap = s->norm_cap ? s->norm_cap : 8192;
    while (cap < need)
        cap *= 2;
    /* realloc would leave a copy of the text behind */
    uint8_t *norm = malloc(cap);
    uint32_t *from = malloc(cap * sizeof *from);
    uint32_t *to = malloc(cap * sizeof *to);
    if (!norm || !from || !to) {
        free(norm);
        free(from);
        free(to);
        return SLUIS_ENOMEM;
    }
    if (s->norm_n) {
        memcpy(norm, s->norm, s->norm_n);
        memcpy(from, s->from, s->norm_n * sizeof *from);
        memcpy(to, s->to, s->norm_n * sizeof *to);
    }
    if (s->norm)
        explicit_bzero(s->norm, s->norm_n);
    free(s->norm);
    free(s->from);
    free(s->to);
    s->norm = norm;
    s->from = from;
    s->to = to;
    s->norm_cap = cap;
    return 0;
}

/* ASCII without a backslash needs no map. Eight bytes at a time. */
static bool is_plain(struct span text)
{
    const uint64_t high = 0x8080808080808080u, low = 0x0101010101010101u;
    size_t i = 0;
    uint64_t bad = 0;
    for (; i + 8 <= text.n; i += 8) {
        uint64_t v;
        memcpy(&v, text.p + i, 8);
        uint64_t x = v ^ (low * '\\');
        bad |= v | ((x - low) & ~x);
    }
    if (bad & high)
        return false;
    for (; i < text.n; i++)
        if ((uint8_t)text.p[i] >= 0x80 || text.p[i] == '\\')
            return false;
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A JSON escape that was left in the text (a value that was encoded twice). The number of bytes it
 * takes, 0 when there is none. */
static unsigned read_escape(struct span rest, uint32_t *c)
{
    if (rest.n < 2)
        return 0;
    switch (rest.p[1]) {
    case 'n':
    case 'r':
        *c = '\n';
        return 2;
    case 't':
        *c = ' ';
        return 2;
    case '/':
    case '"':
    case '\\':
        *c = (uint8_t)rest.p[1];
        return 2;
    case 'u': {
        if (rest.n < 6)
            return 0;
        uint32_t v = 0;
        for (int k = 2; k < 6; k++) {
            int h = hex_value(rest.p[k]);
            if (h < 0)
                return 0;
            v = v << 4 | (uint32_t)h;
        }
        *c = v;
        return 6;
    }
    default:
        return 0;
    }
}

static unsigned read_character(struct span rest, uint32_t *c)
{
    uint8_t first = (uint8_t)rest.p[0];
    if (first == '\\') {
        unsigned n = read_escape(rest, c);
        if (n == 6 && *c >= 0xd800 && *c < 0xdc00 && rest.n >= 12 && rest.p[6] == '\\') {
            uint32_t low = 0; /* a surrogate pair of escapes */
            if (read_escape(span_from(rest, 6), &low) == 6 && low >= 0xdc00 && low < 0xe000) {
                *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
                return 12;
            }
        }
        if (n)
            return n;
    }
    if (first < 0x80) {
        *c = first;
        return 1;
    }
    unsigned n = utf8_decode(rest, c);
    if (n == 0) {
        *c = 0xfffd;
        return 1;
    }
    return n;
}

static void add_mapped(struct detect_scratch *s, struct span text)
{
    size_t n = s->norm_n;
    size_t start = n;
    for (size_t i = 0; i < text.n;) {
        uint32_t c = 0;
        unsigned used = read_character(span_from(text, i), &c);
        uint8_t v = c < 0x80 ? (uint8_t)c : fold_code_point(c);
        if (v == 0 && c >= 0x80) {
            /* what shows nothing belongs to the character before it */
            if (n > start)
                s->to[n - 1] = (uint32_t)(i + used);
        } else {
            s->norm[n] = v;
            s->from[n] = (uint32_t)i;
            s->to[n] = (uint32_t)(i + used);
            n++;
        }
        i += used;
    }
    s->norm_n = n;
}

int norm_add(struct detect_scratch *s, struct span text, bool customer, uint8_t back)
{
    int error = norm_reserve(s, text.n + 2);
    if (error)
        return error;
    struct segment *g = &s->segments[s->segment_n++];
    *g = (struct segment){.customer = customer, .back = back};
    if (s->norm_n > 0)
        s->norm[s->norm_n++] = NORM_MESSAGE;
    g->start = (uint32_t)s->norm_n;
    g->plain = is_plain(text);
    if (g->plain) {
        if (text.n)
            memcpy(s->norm + s->norm_n, text.p, text.n);
        s->norm_n += text.n;
    } else {
        add_mapped(s, text);
    }
    g->end = (uint32_t)s->norm_n;
    return 0;
}

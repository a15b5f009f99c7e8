/* Paths and queries: split, decoded once. */
#include "http_internal.h"

static int unescape(struct span text, size_t *at, char *out)
{
    if (text.p[*at] != '%') {
        *out = text.p[(*at)++];
        return 0;
    }
    if (*at + 2 >= text.n || !http_is(text.p[*at + 1], HTTP_IS_HEX) ||
        !http_is(text.p[*at + 2], HTTP_IS_HEX))
        return SLUIS_EINVAL;
    *out = (char)(http_hex(text.p[*at + 1]) << 4 | http_hex(text.p[*at + 2]));
    *at += 3;
    return 0;
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* Decodes one segment (no slash inside) to `out`; its length or a negative error. */
static long path_segment(struct span text, char *out, size_t size)
{
    size_t n = 0;
    for (size_t at = 0; at < text.n;) {
        char c;
        bool escaped = text.p[at] == '%';
        if (unescape(text, &at, &c) || is_control(c) || (escaped && c == '/'))
            return SLUIS_EINVAL;
        if (n == size)
            return SLUIS_ELIMIT;
        out[n++] = c;
    }
    /* judged after decoding, so that "%2e." is a dot segment too */
    if (n == 0 || (n == 1 && out[0] == '.') || (n == 2 && out[0] == '.' && out[1] == '.'))
        return SLUIS_EINVAL;
    return (long)n;
}

int http_path_split(struct span path, char *out, size_t size, struct http_path *result)
{
    *result = (struct http_path){0};
    if (path.n == 0 || path.p[0] != '/')
        return SLUIS_EINVAL;
    struct span rest = span_from(path, 1);
    while (rest.n) {
        size_t slash = span_find(rest, '/');
        if (result->count == HTTP_SEGMENTS_MAX)
            return SLUIS_ELIMIT;
        long n = path_segment(span_sub(rest, 0, slash), out, size);
        if (n < 0)
            return (int)n;
        result->segments[result->count++] = (struct span){out, (size_t)n};
        out += n;
        size -= (size_t)n;
        result->trailing_slash = slash + 1 == rest.n;
        rest = span_from(rest, slash + 1);
    }
    return 0;
}

/* Decodes a name or a value; its length or a negative error. */
static long query_piece(struct span text, char *out, size_t size)
{
    size_t n = 0;
    for (size_t at = 0; at < text.n;) {
        char c;
        bool plus = text.p[at] == '+';
        if (unescape(text, &at, &c))
            return SLUIS_EINVAL;
        if (n == size)
            return SLUIS_ELIMIT;
        out[n++] = plus ? ' ' : c;
    }
    return (long)n;
}

int http_query_split(struct span query, char *out, size_t size, struct http_parameter *list,
                     unsigned *count)
{
    *count = 0;
    while (query.n) {
        size_t end = span_find(query, '&');
        struct span pair = span_sub(query, 0, end);
        query = span_from(query, end + 1);
        if (pair.n == 0)
            continue;
        if (*count == HTTP_PARAMETERS_MAX)
            return SLUIS_ELIMIT;
        size_t equals = span_find(pair, '=');
        struct span piece[2] = {span_sub(pair, 0, equals), span_from(pair, equals + 1)};
        struct span decoded[2];
        for (int i = 0; i < 2; i++) {
            long n = query_piece(piece[i], out, size);
            if (n < 0)
                return (int)n;
            decoded[i] = (struct span){out, (size_t)n};
            out += n;
            size -= (size_t)n;
        }
        list[(*count)++] = (struct http_parameter){decoded[0], decoded[1]};
    }
    return 0;
}

void http_percent_encode(struct buffer *out, struct span text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (http_is(text.p[i], HTTP_IS_UNRESERVED)) {
            buffer_add_char(out, text.p[i]);
        } else {
            char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
            buffer_add(out, span_of(escape, sizeof(escape)));
        }
    }
}

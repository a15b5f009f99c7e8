#include "http.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

/* The end of the head (after the empty line), or 0. */
static size_t head_end(struct span in)
{
    const char *end = memmem(in.p, in.n, "\r\n\r\n", 4);
    return end ? (size_t)(end - in.p) + 4 : 0;
}

static struct span trim(struct span s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

struct span http_header(const struct http_message *m, const char *name)
{
    size_t wanted = strlen(name);
    struct span rest = m->head;
    while (rest.n) {
        const char *eol = memmem(rest.p, rest.n, "\r\n", 2);
        size_t line = eol ? (size_t)(eol - rest.p) : rest.n;
        if (line > wanted && rest.p[wanted] == ':' && strncasecmp(rest.p, name, wanted) == 0)
            return trim(span_of(rest.p + wanted + 1, line - wanted - 1));
        rest = span_from(rest, line + 2);
    }
    return SPAN_EMPTY;
}

static bool parse_start(struct span line, bool answer, struct http_message *m)
{
    const char *space = memchr(line.p, ' ', line.n);
    if (!space)
        return false;
    struct span first = span_of(line.p, (size_t)(space - line.p));
    struct span rest = span_from(line, first.n + 1);
    if (answer) {
        if (!span_starts(first, SPAN("HTTP/1.")) || rest.n < 3)
            return false;
        m->status = 0;
        for (size_t i = 0; i < 3; i++) {
            if (!isdigit((unsigned char)rest.p[i]))
                return false;
            m->status = m->status * 10 + (rest.p[i] - '0');
        }
        return true;
    }
    const char *last = memrchr(rest.p, ' ', rest.n);
    if (!last)
        return false;
    m->method = first;
    m->target = span_of(rest.p, (size_t)(last - rest.p));
    return m->target.n > 0;
}

/* Decodes a chunked body at the front of `in`. 1 done (*taken bytes), 0 more needed, -1 broken. */
static int parse_chunked(struct span in, struct http_message *m, size_t *taken)
{
    char *out = malloc(in.n + 1);
    size_t n = 0, at = 0;
    if (!out)
        return -1;
    for (;;) {
        const char *eol = memmem(in.p + at, in.n - at, "\r\n", 2);
        if (!eol)
            goto more;
        char *end;
        unsigned long size = strtoul(in.p + at, &end, 16);
        if (end == in.p + at || size > HTTP_MESSAGE_MAX)
            goto bad;
        at = (size_t)(eol - in.p) + 2;
        if (size == 0)
            break;
        if (in.n - at < size + 2)
            goto more;
        memcpy(out + n, in.p + at, size);
        n += size;
        at += size + 2;
    }
    /* trailers, up to the empty line */
    for (;;) {
        const char *eol = memmem(in.p + at, in.n - at, "\r\n", 2);
        if (!eol)
            goto more;
        bool empty = eol == in.p + at;
        at = (size_t)(eol - in.p) + 2;
        if (empty)
            break;
    }
    m->decoded = out;
    m->body = span_of(out, n);
    *taken = at;
    return 1;
more:
    free(out);
    return 0;
bad:
    free(out);
    return -1;
}

int http_parse(struct span in, bool answer, struct http_message *m, size_t *need)
{
    *m = (struct http_message){.keep_alive = true};
    *need = in.n + 1;
    size_t head = head_end(in);
    if (head == 0)
        return in.n > HTTP_MESSAGE_MAX ? -1 : 0;
    const char *eol = memmem(in.p, head, "\r\n", 2);
    size_t line = (size_t)(eol - in.p);
    m->head = span_of(eol + 2, head - line - 4);
    if (!parse_start(span_of(in.p, line), answer, m))
        return -1;
    struct span connection = http_header(m, "connection");
    m->keep_alive = !(connection.n == 5 && strncasecmp(connection.p, "close", 5) == 0);

    size_t taken = 0;
    struct span length = http_header(m, "content-length");
    if (http_header(m, "transfer-encoding").n) {
        int done = parse_chunked(span_from(in, head), m, &taken);
        if (done != 1)
            return done;
    } else if (length.n) {
        char digits[24] = "";
        if (length.n >= sizeof digits)
            return -1;
        memcpy(digits, length.p, length.n);
        taken = strtoul(digits, NULL, 10);
        if (taken > HTTP_MESSAGE_MAX)
            return -1;
        if (in.n - head < taken) {
            *need = head + taken;
            return 0;
        }
        m->body = span_of(in.p + head, taken);
    }
    m->size = head + taken;
    return 1;
}

void http_message_free(struct http_message *m)
{
    free(m->decoded);
    m->decoded = NULL;
}

struct span http_path(struct span target)
{
    return span_sub(target, 0, span_find(target, '?'));
}

struct span http_query(struct span target, const char *name)
{
    size_t wanted = strlen(name);
    struct span rest = span_from(target, span_find(target, '?') + 1);
    while (rest.n) {
        struct span pair = span_sub(rest, 0, span_find(rest, '&'));
        if (pair.n > wanted && pair.p[wanted] == '=' && memcmp(pair.p, name, wanted) == 0)
            return span_from(pair, wanted + 1);
        rest = span_from(rest, pair.n + 1);
    }
    return SPAN_EMPTY;
}

struct span http_segment(struct span target, unsigned n)
{
    struct span rest = span_from(http_path(target), 1);
    for (bool first = true; rest.n; first = false) {
        struct span part = span_sub(rest, 0, span_find(rest, '/'));
        rest = span_from(rest, part.n + 1);
        if (first && part.n > 1 && part.p[0] == 'v' && isdigit((unsigned char)part.p[1]))
            continue;
        if (n-- == 0)
            return part;
    }
    return SPAN_EMPTY;
}

const char *http_reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 429:
        return "Too Many Requests";
    case 500:
        return "Internal Server Error";
    case 503:
        return "Service Unavailable";
    default:
        return "Status";
    }
}

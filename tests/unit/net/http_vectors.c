#include "http_vectors.h"

#include <stdio.h>
#include <stdlib.h>

#define VECTORS_MAX 1000
#define VECTOR_BYTES_MAX (4 * 1024 * 1024)

static void broken(const struct http_vectors *v, unsigned line, const char *what)
{
    fprintf(stderr, "%s:%u: %s\n", v->file, line, what);
    exit(1);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static bool repeat(struct buffer *out, struct span inside)
{
    size_t colon = span_find(inside, ':');
    uint64_t times;
    if (colon == inside.n || span_u64(span_sub(inside, 0, colon), &times))
        return false;
    struct span text = span_from(inside, colon + 1);
    size_t before = out->n;
    if (times == 0 || !http_vector_unescape(out, text))
        return false;
    size_t n = out->n - before;
    for (uint64_t i = 1; i < times; i++) {
        char *room = buffer_reserve(out, n);
        if (!room)
            return false;
        memcpy(room, out->p + before, n);
        out->n += n;
    }
    return true;
}

bool http_vector_unescape(struct buffer *out, struct span text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '\\') {
            buffer_add_char(out, text.p[i]);
            continue;
        }
        if (++i == text.n)
            return false;
        struct span rest = span_from(text, i);
        switch (text.p[i]) {
        case 'r':
            buffer_add_char(out, '\r');
            break;
        case 'n':
            buffer_add_char(out, '\n');
            break;
        case 't':
            buffer_add_char(out, '\t');
            break;
        case '0':
            buffer_add_char(out, '\0');
            break;
        case '\\':
            buffer_add_char(out, '\\');
            break;
        case 'x':
            if (rest.n < 3 || hex_digit(rest.p[1]) < 0 || hex_digit(rest.p[2]) < 0)
                return false;
            buffer_add_char(out, (char)(hex_digit(rest.p[1]) << 4 | hex_digit(rest.p[2])));
            i += 2;
            break;
        case '{': {
            size_t end = span_find(rest, '}');
            if (end == rest.n || !repeat(out, span_sub(rest, 1, end)))
                return false;
            i += end;
            break;
        }
        default:
            return false;
        }
    }
    return !out->error;
}

/* Cuts `line` at " :: ". */
static struct span take_column(struct span *line)
{
    for (size_t i = 0; i + 4 <= line->n; i++) {
        if (memcmp(line->p + i, " :: ", 4) == 0) {
            struct span column = span_sub(*line, 0, i);
            *line = span_from(*line, i + 4);
            return column;
        }
    }
    struct span column = *line;
    *line = SPAN_EMPTY;
    return column;
}

static void add_line(struct http_vectors *v, unsigned number, struct span line)
{
    if (v->count == 0)
        broken(v, number, "a message line before the first name");
    struct buffer *bytes = &v->list[v->count - 1].bytes;
    struct span text = span_from(line, line.n > 1 && line.p[1] == ' ' ? 2 : 1);
    /* a single backslash at the end: no CRLF */
    size_t slashes = 0;
    while (slashes < text.n && text.p[text.n - 1 - slashes] == '\\')
        slashes++;
    bool open = slashes % 2 == 1;
    if (!http_vector_unescape(bytes, span_sub(text, 0, text.n - open)))
        broken(v, number, "a broken escape");
    if (!open)
        buffer_add(bytes, SPAN("\r\n"));
}

static void read_file(struct http_vectors *v)
{
    buffer_init(&v->text, VECTOR_BYTES_MAX);
    FILE *file = fopen(v->file, "rb");
    if (!file)
        broken(v, 0, "cannot be opened");
    char block[4096];
    size_t n;
    while ((n = fread(block, 1, sizeof(block), file)) > 0)
        buffer_add(&v->text, span_of(block, n));
    fclose(file);
}

void http_vectors_load(struct http_vectors *v, const char *file)
{
    *v = (struct http_vectors){.file = file};
    read_file(v);
    v->list = calloc(VECTORS_MAX, sizeof(*v->list));
    if (!v->list || v->text.error)
        broken(v, 0, "too large");
    struct span rest = buffer_span(&v->text);
    for (unsigned number = 1; rest.n; number++) {
        size_t end = span_find(rest, '\n');
        struct span line = span_sub(rest, 0, end);
        rest = span_from(rest, end + 1);
        if (line.n == 0 || line.p[0] == '#')
            continue;
        if (line.p[0] == '|') {
            add_line(v, number, line);
        } else if (span_starts(line, SPAN("= "))) {
            if (v->count == VECTORS_MAX)
                broken(v, number, "too many vectors");
            struct http_vector *vector = &v->list[v->count++];
            line = span_from(line, 2);
            vector->line = number;
            vector->name = take_column(&line);
            vector->section = take_column(&line);
            vector->expect = take_column(&line);
            vector->given = line;
            if (!vector->name.n || !vector->section.n || !vector->expect.n)
                broken(v, number, "expected: = name :: section :: expectation");
            buffer_init(&vector->bytes, VECTOR_BYTES_MAX);
        } else {
            broken(v, number, "neither '= ', '|' nor '#'");
        }
    }
}

void http_vectors_free(struct http_vectors *v)
{
    for (unsigned i = 0; i < v->count; i++)
        buffer_free(&v->list[i].bytes);
    free(v->list);
    buffer_free(&v->text);
}

/* The words of multipart: parameters of a Content-Type, the head of a part. */
#include "multipart_internal.h"

#include "sluis/base/utf8.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static size_t skip_blanks(struct span s, size_t at)
{
    while (at < s.n && is_blank(s.p[at]))
        at++;
    return at;
}

/* Inside quotes: no control byte, no quote, and no backslash, which some clients write for itself
 * and others as an escape. */
static bool quoted_byte(char c)
{
    return http_is(c, HTTP_IS_VALUE) && c != '"' && c != '\\' && c != '\t';
}

int multipart_parameter(struct span *rest, struct span *name, struct span *value)
{
    size_t at = skip_blanks(*rest, 0);
    if (at == rest->n)
        return SLUIS_ENOENT;
    if (rest->p[at] != ';')
        return SLUIS_EINVAL;
    size_t start = skip_blanks(*rest, at + 1);
    size_t end = http_run(*rest, start, HTTP_IS_TOKEN);
    if (end == start || end == rest->n || rest->p[end] != '=')
        return SLUIS_EINVAL;
    *name = span_sub(*rest, start, end);
    start = end + 1;
    if (start < rest->n && rest->p[start] == '"') {
        for (end = ++start; end < rest->n && quoted_byte(rest->p[end]); end++)
            ;
        if (end == rest->n || rest->p[end] != '"')
            return SLUIS_EINVAL;
        *value = (struct span){rest->p + start, end - start};
        end++;
    } else {
        end = http_run(*rest, start, HTTP_IS_TOKEN);
        if (end == start)
            return SLUIS_EINVAL;
        *value = span_sub(*rest, start, end);
    }
    *rest = span_from(*rest, end);
    return 0;
}

/* "type/subtype" and the parameters behind it. */
static bool media_type(struct span value, struct span *type, struct span *rest)
{
    size_t slash = http_run(value, 0, HTTP_IS_TOKEN);
    if (slash == 0 || slash == value.n || value.p[slash] != '/')
        return false;
    size_t end = http_run(value, slash + 1, HTTP_IS_TOKEN);
    *type = span_sub(value, 0, end);
    *rest = span_from(value, end);
    return end > slash + 1;
}

/* bchars of RFC 2046 without the space. */
static bool boundary_valid(struct span boundary)
{
    if (boundary.n == 0 || boundary.n > MULTIPART_BOUNDARY_MAX)
        return false;
    for (size_t i = 0; i < boundary.n; i++) {
        char c = boundary.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !http_is(c, HTTP_IS_DIGIT) && (c == '\0' || !strchr("'()+_,-./:=?", c)))
            return false;
    }
    return true;
}

int multipart_boundary(struct span content_type, struct span *boundary)
{
    struct span type, rest, name, value;
    unsigned found = 0;
    if (!media_type(content_type, &type, &rest) ||
        !span_eq_nocase(type, SPAN("multipart/form-data")))
        return SLUIS_EINVAL;
    int error;
    while ((error = multipart_parameter(&rest, &name, &value)) == 0) {
        if (span_eq_nocase(name, SPAN("boundary"))) {
            *boundary = value;
            found++;
        }
    }
    return error == SLUIS_ENOENT && found == 1 && boundary_valid(*boundary) ? 0 : SLUIS_EINVAL;
}

static enum multipart_reason disposition(struct multipart_part *part, struct span value)
{
    size_t end = http_run(value, 0, HTTP_IS_TOKEN);
    struct span rest = span_from(value, end), name, text;
    unsigned names = 0, filenames = 0, extended = 0;
    if (!span_eq_nocase(span_sub(value, 0, end), SPAN("form-data")))
        return MULTIPART_BAD_DISPOSITION;
    int error;
    while ((error = multipart_parameter(&rest, &name, &text)) == 0) {
        if (span_eq_nocase(name, SPAN("name"))) {
            part->name = text;
            names++;
        } else if (span_eq_nocase(name, SPAN("filename"))) {
            part->filename = text;
            filenames++;
        } else if (span_eq_nocase(name, SPAN("filename*"))) {
            extended++;
        }
    }
    part->is_file = filenames + extended > 0;
    bool good = error == SLUIS_ENOENT && names == 1 && filenames <= 1 && extended <= 1 &&
                part->name.n > 0 && utf8_valid(part->name) && utf8_valid(part->filename);
    return good ? MULTIPART_BAD_NONE : MULTIPART_BAD_DISPOSITION;
}

static enum multipart_reason part_type(struct multipart_part *part, struct span value)
{
    struct span type, rest;
    if (!media_type(value, &type, &rest) ||
        (type.n > 10 && span_eq_nocase(span_sub(type, 0, 10), SPAN("multipart/"))))
        return MULTIPART_BAD_TYPE;
    part->content_type = value;
    return MULTIPART_BAD_NONE;
}

/* Fields that mean something here; others are held to the grammar and dropped. */
struct head_seen {
    unsigned dispositions, types, encodings;
};

static enum multipart_reason take_field(struct multipart_part *part, struct head_seen *seen,
                                        struct span line)
{
    size_t colon = http_run(line, 0, HTTP_IS_TOKEN);
    if (colon == 0 || colon == line.n || line.p[colon] != ':' ||
        http_run(line, colon + 1, HTTP_IS_VALUE) != line.n)
        return MULTIPART_BAD_HEAD; /* folding too: a blank is no token */
    struct span name = span_sub(line, 0, colon);
    struct span value = span_from(line, skip_blanks(line, colon + 1));
    while (value.n && is_blank(value.p[value.n - 1]))
        value.n--;
    if (span_eq_nocase(name, SPAN("content-disposition")))
        return seen->dispositions++ ? MULTIPART_BAD_HEAD : disposition(part, value);
    if (span_eq_nocase(name, SPAN("content-type")))
        return seen->types++ ? MULTIPART_BAD_HEAD : part_type(part, value);
    if (span_eq_nocase(name, SPAN("content-transfer-encoding"))) {
        bool plain = span_eq_nocase(value, SPAN("binary")) || span_eq_nocase(value, SPAN("8bit")) ||
                     span_eq_nocase(value, SPAN("7bit"));
        if (seen->encodings++)
            return MULTIPART_BAD_HEAD;
        return plain ? MULTIPART_BAD_NONE : MULTIPART_BAD_ENCODING;
    }
    return MULTIPART_BAD_NONE;
}

enum multipart_reason multipart_head(struct span head, struct multipart_part *part)
{
    struct head_seen seen = {0};
    *part = (struct multipart_part){0};
    while (head.n > 2) { /* the last two bytes are the empty line */
        size_t end = span_find(head, '\n');
        if (end == 0 || end == head.n || head.p[end - 1] != '\r')
            return MULTIPART_BAD_HEAD;
        enum multipart_reason reason = take_field(part, &seen, span_sub(head, 0, end - 1));
        if (reason != MULTIPART_BAD_NONE)
            return reason;
        head = span_from(head, end + 1);
    }
    return seen.dispositions ? MULTIPART_BAD_NONE : MULTIPART_BAD_DISPOSITION;
}

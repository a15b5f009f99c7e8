/* Lines and fields of a head: the grammar that requests and answers share (RFC 9112 section 5). */
#include "http_internal.h"

enum http_line http_line_next(struct http_lines *lines, struct span bytes, size_t max,
                              struct span *line, enum http_reason *reason)
{
    struct span seen = span_sub(bytes, 0, max);
    const char *end = seen.n > lines->scanned
                          ? memchr(seen.p + lines->scanned, '\n', seen.n - lines->scanned)
                          : NULL;
    if (!end) {
        lines->scanned = seen.n;
        if (seen.n < max)
            return HTTP_LINE_NONE;
        *reason = HTTP_BAD_HEAD_TOO_LARGE;
        return HTTP_LINE_BAD;
    }
    size_t at = (size_t)(end - seen.p);
    if (at == lines->start || seen.p[at - 1] != '\r') {
        *reason = HTTP_BAD_LINE_ENDING;
        return HTTP_LINE_BAD;
    }
    *line = (struct span){seen.p + lines->start, at - 1 - lines->start};
    lines->start = lines->scanned = at + 1;
    return HTTP_LINE_TAKEN;
}

/* Through integers: the old buffer may be gone, so its pointer must not be computed with. */
static void span_rebase(struct span *s, uintptr_t old, const char *base)
{
    if (s->p)
        s->p = base + ((uintptr_t)s->p - old);
}

void http_head_rebase(struct http_head *head, struct http_lines *lines, const char *base)
{
    uintptr_t old = (uintptr_t)lines->base;
    if (lines->base && lines->base != base) {
        span_rebase(&head->target, old, base);
        span_rebase(&head->path, old, base);
        span_rebase(&head->query, old, base);
        span_rebase(&head->host, old, base);
        for (unsigned i = 0; i < head->field_count; i++) {
            span_rebase(&head->fields[i].name, old, base);
            span_rebase(&head->fields[i].value, old, base);
        }
    }
    lines->base = base;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct span trim(struct span s)
{
    while (s.n && is_blank(s.p[0]))
        s = (struct span){s.p + 1, s.n - 1};
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

enum http_reason http_field_line(struct http_head *head, struct span line)
{
    if (is_blank(line.p[0]))
        return HTTP_BAD_FOLDING;
    if (head->field_count == HTTP_FIELDS_MAX)
        return HTTP_BAD_TOO_MANY_FIELDS;
    size_t colon = http_run(line, 0, HTTP_IS_TOKEN);
    if (colon == line.n)
        return HTTP_BAD_FIELD_NAME;
    if (colon == 0 || line.p[colon] != ':')
        return HTTP_BAD_FIELD_NAME;
    size_t end = http_run(line, colon + 1, HTTP_IS_VALUE);
    if (end != line.n)
        return HTTP_BAD_FIELD_VALUE;
    struct http_field *field = &head->fields[head->field_count++];
    field->name = (struct span){line.p, colon};
    field->value = trim((struct span){line.p + colon + 1, line.n - colon - 1});
    return HTTP_BAD_NONE;
}

struct span http_field(const struct http_head *head, struct span name)
{
    for (unsigned i = 0; i < head->field_count; i++)
        if (span_eq_nocase(head->fields[i].name, name))
            return head->fields[i].value;
    return SPAN_EMPTY;
}

unsigned http_field_count(const struct http_head *head, struct span name)
{
    unsigned count = 0;
    for (unsigned i = 0; i < head->field_count; i++)
        count += span_eq_nocase(head->fields[i].name, name);
    return count;
}

/* `lower` is in lower case and as long as `text`, which holds token bytes only (so that setting bit
 * 5 cannot turn another byte into a hyphen or a letter). */
static bool token_is(struct span text, const char *lower)
{
    for (size_t i = 0; i < text.n; i++)
        if ((text.p[i] | 0x20) != lower[i])
            return false;
    return true;
}

/* The fields the codec itself acts on. */
enum known_field {
    FIELD_OTHER,
    FIELD_HOST,
    FIELD_EXPECT,
    FIELD_UPGRADE,
    FIELD_CONNECTION,
    FIELD_LENGTH,
    FIELD_ENCODING,
    FIELD_CODING,
};

static enum known_field known_field(struct span name)
{
    switch (name.n) {
    case 4:
        return token_is(name, "host") ? FIELD_HOST : FIELD_OTHER;
    case 6:
        return token_is(name, "expect") ? FIELD_EXPECT : FIELD_OTHER;
    case 7:
        return token_is(name, "upgrade") ? FIELD_UPGRADE : FIELD_OTHER;
    case 10:
        return token_is(name, "connection") ? FIELD_CONNECTION : FIELD_OTHER;
    case 14:
        return token_is(name, "content-length") ? FIELD_LENGTH : FIELD_OTHER;
    case 16:
        return token_is(name, "content-encoding") ? FIELD_ENCODING : FIELD_OTHER;
    case 17:
        return token_is(name, "transfer-encoding") ? FIELD_CODING : FIELD_OTHER;
    default:
        return FIELD_OTHER;
    }
}

/* Only `close` matters: HTTP/1.1 keeps the connection without being told, and HTTP/1.0 is closed
 * whatever it asks. Fields that Connection names are not dropped: nothing is ever relayed. */
static bool connection_close(struct span value)
{
    while (value.n) {
        size_t comma = span_find(value, ',');
        if (span_eq_nocase(trim(span_sub(value, 0, comma)), SPAN("close")))
            return true;
        value = span_from(value, comma + 1);
    }
    return false;
}

void http_facts_gather(const struct http_head *head, struct http_facts *facts)
{
    *facts = (struct http_facts){0};
    for (unsigned i = 0; i < head->field_count; i++) {
        struct span value = head->fields[i].value;
        switch (known_field(head->fields[i].name)) {
        case FIELD_HOST:
            facts->hosts++;
            facts->host = value;
            break;
        case FIELD_EXPECT:
            facts->expects++;
            facts->expect = value;
            break;
        case FIELD_UPGRADE:
            facts->upgrade = true;
            break;
        case FIELD_CONNECTION:
            facts->close |= connection_close(value);
            break;
        case FIELD_LENGTH:
            facts->lengths++;
            facts->length = value;
            break;
        case FIELD_ENCODING:
            facts->content_encoding |= !span_eq_nocase(value, SPAN("identity"));
            break;
        case FIELD_CODING:
            facts->codings++;
            facts->coding = value;
            break;
        case FIELD_OTHER:
            break;
        }
    }
}

/* RFC 9112 section 6.3, without its tolerance: whatever could be read in two ways is refused. */
enum http_reason http_facts_framing(struct http_head *head, const struct http_facts *facts)
{
    head->framing = HTTP_NO_BODY;
    head->length = 0;
    if (facts->lengths && facts->codings)
        return HTTP_BAD_LENGTH_AND_CODING;
    if (facts->lengths > 1)
        return HTTP_BAD_LENGTH_TWICE;
    if (facts->codings > 1)
        return HTTP_BAD_CODING_TWICE;
    if (facts->lengths) {
        if (span_u64(facts->length, &head->length))
            return HTTP_BAD_LENGTH_VALUE;
        head->framing = HTTP_LENGTH;
    } else if (facts->codings) {
        if (head->minor == 0)
            return HTTP_BAD_CODING_VERSION;
        if (!span_eq_nocase(facts->coding, SPAN("chunked")))
            return HTTP_BAD_CODING;
        head->framing = HTTP_CHUNKED;
    }
    return HTTP_BAD_NONE;
}

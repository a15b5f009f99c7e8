/* The emitter: original bytes with edits spliced in, as pure ASCII. */
#include "sluis/base/json.h"

#include "sluis/base/utf8.h"

static const char HEX[] = "0123456789abcdef";

static void add_unit(struct buffer *out, unsigned unit)
{
    char text[6] = {
        '\\', 'u', HEX[unit >> 12 & 15], HEX[unit >> 8 & 15], HEX[unit >> 4 & 15], HEX[unit & 15]};
    buffer_add(out, span_of(text, sizeof text));
}

static void add_code_point(struct buffer *out, uint32_t code)
{
    if (code >= 0x10000) {
        add_unit(out, 0xd800 + ((code - 0x10000) >> 10));
        add_unit(out, 0xdc00 + ((code - 0x10000) & 0x3ff));
    } else {
        add_unit(out, code);
    }
}

/* The character at the start of `text`, which is not ASCII or is 0x7f; returns its length. */
static size_t add_character(struct buffer *out, struct span text)
{
    uint32_t code = 0x7f;
    unsigned n = text.p[0] == 0x7f ? 1 : utf8_decode(text, &code);
    add_code_point(out, n ? code : 0xfffd);
    return n ? n : 1;
}

/* How many bytes at the start of `text` are 0x00-0x7e. */
static size_t ascii_run(struct span text)
{
    size_t i = 0;
    for (; i + 8 <= text.n; i += 8) {
        const uint64_t ones = 0x0101010101010101u;
        uint64_t w;
        memcpy(&w, text.p + i, sizeof w);
        uint64_t del = w ^ (ones * 0x7f);
        if (((w | ((del - ones) & ~del)) & (ones * 0x80)) != 0)
            break;
    }
    while (i < text.n && (unsigned char)text.p[i] < 0x7f)
        i++;
    return i;
}

static void add_ascii(struct buffer *out, struct span text)
{
    while (text.n) {
        size_t run = ascii_run(text);
        buffer_add(out, span_sub(text, 0, run));
        text = span_from(text, run);
        if (text.n)
            text = span_from(text, add_character(out, text));
    }
}

void json_escape(struct buffer *out, struct span text)
{
    size_t from = 0, i = 0;
    while (i < text.n) {
        unsigned char c = (unsigned char)text.p[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            i++;
            continue;
        }
        buffer_add(out, span_sub(text, from, i));
        if (c == '"' || c == '\\') {
            buffer_add_char(out, '\\');
            buffer_add_char(out, (char)c);
            i++;
        } else if (c == '\n') {
            buffer_add(out, SPAN("\\n"));
            i++;
        } else if (c < 0x20) {
            add_unit(out, c);
            i++;
        } else {
            i += add_character(out, span_from(text, i));
        }
        from = i;
    }
    buffer_add(out, span_sub(text, from, text.n));
}

void json_quote(struct buffer *out, struct span text)
{
    buffer_add_char(out, '"');
    json_escape(out, text);
    buffer_add_char(out, '"');
}

int json_emit(struct buffer *out, struct span text, uint32_t from, uint32_t to,
              const struct json_edit *edits, size_t n)
{
    if (from > to || to > text.n)
        return SLUIS_EINVAL;
    uint32_t at = from;
    for (size_t i = 0; i < n; i++) {
        if (edits[i].start < at || edits[i].end < edits[i].start || edits[i].end > to)
            return SLUIS_EINVAL;
        at = edits[i].end;
    }
    at = from;
    for (size_t i = 0; i < n; i++) {
        add_ascii(out, span_sub(text, at, edits[i].start));
        add_ascii(out, edits[i].with);
        at = edits[i].end;
    }
    add_ascii(out, span_sub(text, at, to));
    return out->error;
}

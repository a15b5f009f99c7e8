/* The register's Markdown as HTML: the forms that the register writes, and no other. Everything is
 * escaped; there is no raw HTML in it. */
#include "policy_room.h"

static void put(struct buffer *out, char c)
{
    switch (c) {
    case '<':
        buffer_add(out, SPAN("&lt;"));
        break;
    case '>':
        buffer_add(out, SPAN("&gt;"));
        break;
    case '&':
        buffer_add(out, SPAN("&amp;"));
        break;
    case '"':
        buffer_add(out, SPAN("&quot;"));
        break;
    default:
        buffer_add_char(out, c);
    }
}

/* One line's text: \x as x, *x* and **x** emphasised, `x` as code. */
static void text(struct buffer *out, struct span s)
{
    bool em = false, strong = false, code = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' && i + 1 < s.n) {
            put(out, s.p[++i]);
        } else if (s.p[i] == '`') {
            code = !code;
            buffer_add_str(out, code ? "<code>" : "</code>");
        } else if (s.p[i] == '*' && i + 1 < s.n && s.p[i + 1] == '*') {
            strong = !strong;
            buffer_add_str(out, strong ? "<strong>" : "</strong>");
            i++;
        } else if (s.p[i] == '*') {
            em = !em;
            buffer_add_str(out, em ? "<em>" : "</em>");
        } else {
            put(out, s.p[i]);
        }
    }
    buffer_add_str(out, code ? "</code>" : "");
    buffer_add_str(out, em ? "</em>" : "");
    buffer_add_str(out, strong ? "</strong>" : "");
}

static struct span trim(struct span s)
{
    while (s.n && s.p[0] == ' ')
        s = span_from(s, 1);
    while (s.n && s.p[s.n - 1] == ' ')
        s.n--;
    return s;
}

static void row(struct buffer *out, struct span line, bool head)
{
    size_t from = 1;
    buffer_add(out, SPAN("<tr>"));
    for (size_t i = 1; i < line.n; i++) {
        if (line.p[i] == '\\') {
            i++;
            continue;
        }
        if (line.p[i] != '|')
            continue;
        buffer_add_str(out, head ? "<th>" : "<td>");
        text(out, trim(span_sub(line, from, i)));
        buffer_add_str(out, head ? "</th>" : "</td>");
        from = i + 1;
    }
    buffer_add(out, SPAN("</tr>\n"));
}

enum block { NONE, TABLE, LIST };

static void leave(struct buffer *out, enum block *block)
{
    static const char *const ends[] = {"", "</table>\n", "</ul>\n"};
    buffer_add_str(out, ends[*block]);
    *block = NONE;
}

static void line(struct buffer *out, struct span s, enum block *block, bool rule_next)
{
    size_t level = 0;
    while (level < s.n && s.p[level] == '#')
        level++;
    enum block now = s.n && s.p[0] == '|'                        ? TABLE
                     : s.n > 1 && s.p[0] == '-' && s.p[1] == ' ' ? LIST
                                                                 : NONE;
    if (now != *block) {
        leave(out, block);
        buffer_add_str(out, now == TABLE ? "<table>\n" : now == LIST ? "<ul>\n" : "");
        *block = now;
    }
    if (now == TABLE) {
        if (!span_starts(s, SPAN("|---")))
            row(out, s, rule_next);
    } else if (now == LIST) {
        buffer_add(out, SPAN("<li>"));
        text(out, span_from(s, 2));
        buffer_add(out, SPAN("</li>\n"));
    } else if (level && level <= 6) {
        buffer_addf(out, "<h%zu>", level);
        text(out, trim(span_from(s, level)));
        buffer_addf(out, "</h%zu>\n", level);
    } else if (s.n) {
        buffer_add(out, SPAN("<p>"));
        text(out, s);
        buffer_add(out, SPAN("</p>\n"));
    }
}

int policy_register_html(struct span markdown, bool dutch, struct buffer *out)
{
    enum block block = NONE;
    buffer_addf(
        out,
        "<!doctype html>\n<html lang=\"%s\">\n<head><meta charset=\"utf-8\">"
        "<title>%s</title>\n<style>body{font:16px/1.5 sans-serif;max-width:60em;margin:2em "
        "auto;padding:0 1em}table{border-collapse:collapse;width:100%%}td,th{border:1px solid "
        "#888;padding:.3em .5em;text-align:left;vertical-align:top}</style></head>\n<body>\n",
        dutch ? "nl" : "en",
        dutch ? "Register van verwerkingsactiviteiten" : "Record of processing activities");
    for (size_t at = 0; at < markdown.n;) {
        size_t end = at;
        while (end < markdown.n && markdown.p[end] != '\n')
            end++;
        struct span next = span_from(markdown, end < markdown.n ? end + 1 : end);
        line(out, span_sub(markdown, at, end), &block, span_starts(next, SPAN("|---")));
        at = end + 1;
    }
    leave(out, &block);
    buffer_add(out, SPAN("</body>\n</html>\n"));
    return out->error;
}

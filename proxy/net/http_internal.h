/*
 * What the HTTP files share among themselves: classes of bytes, lines, the field grammar. Pure
 * functions and constant tables; not for other rooms.
 */
#ifndef SLUIS_NET_HTTP_INTERNAL_H
#define SLUIS_NET_HTTP_INTERNAL_H

#include "sluis/net/http.h"

enum {
    HTTP_IS_TOKEN = 1,
    HTTP_IS_VALUE = 2,
    HTTP_IS_PATH = 4,
    HTTP_IS_QUERY = 8,
    HTTP_IS_HOST = 16,
    HTTP_IS_UNRESERVED = 32,
    HTTP_IS_HEX = 64,
    HTTP_IS_DIGIT = 128,
};
extern const uint8_t http_class[256];

static inline bool http_is(char c, unsigned class)
{
    return (http_class[(unsigned char)c] & class) != 0;
}

/* Bytes of `s` from `start` on that are all of the class: the index of the first that is not. */
static inline size_t http_run(struct span s, size_t start, unsigned class)
{
    while (start < s.n && http_is(s.p[start], class))
        start++;
    return start;
}

static inline unsigned http_hex(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

/* The reason why a line is refused. No line may hold a CR, so when one does, that is the reason: a
 * bare CR is what smuggling uses, and deserves its own counter. */
static inline enum http_reason http_line_reason(struct span line, enum http_reason reason)
{
    return reason != HTTP_BAD_NONE && span_find(line, '\r') != line.n ? HTTP_BAD_LINE_ENDING
                                                                      : reason;
}

bool http_method_find(struct span word, enum http_method *method);

/*
 * Lines of a head that arrives in pieces. The lines are handed out in order, each once, when its
 * end is there, so that a head is judged the same however it was split.
 */
enum http_line { HTTP_LINE_NONE, HTTP_LINE_TAKEN, HTTP_LINE_BAD };
enum http_line http_line_next(struct http_lines *lines, struct span bytes, size_t max,
                              struct span *line, enum http_reason *reason);
/* The caller's buffer moved since the last call: the spans found so far move with it. */
void http_head_rebase(struct http_head *head, struct http_lines *lines, const char *base);

/* One field line without its CRLF into head->fields. HTTP_BAD_NONE or the reason. */
enum http_reason http_field_line(struct http_head *head, struct span line);

/* What the fields say about framing and connection, gathered when the head is complete. */
struct http_facts {
    unsigned hosts, lengths, codings, expects;
    struct span host, length, coding, expect;
    bool upgrade;          /* an Upgrade field is there */
    bool content_encoding; /* a Content-Encoding other than identity is there */
    bool close;            /* Connection: close */
};
void http_facts_gather(const struct http_head *head, struct http_facts *facts);
/* Content-Length and Transfer-Encoding, alike for both machines: sets framing and length
 * (HTTP_NO_BODY when neither is there). */
enum http_reason http_facts_framing(struct http_head *head, const struct http_facts *facts);

#endif

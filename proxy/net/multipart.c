/* The stream of a multipart body: boundaries found wherever the input was cut. */
#include "multipart_internal.h"

enum reader_state {
    READ_BOUNDARY,   /* of the start; the CRLF before it counts as seen */
    READ_AFTER,      /* behind a boundary: CR, or the first "-" */
    READ_AFTER_LF,   /* LF after the CR */
    READ_AFTER_DASH, /* the second "-" */
    READ_HEAD,
    READ_DATA,
    READ_END, /* behind the last boundary */
    READ_END_LF,
    READ_END_DONE,
    READ_REFUSED,
};

const char *multipart_reason_word(enum multipart_reason reason)
{
    static const char *const words[MULTIPART_REASON_COUNT] = {
#define X(name, word) [MULTIPART_BAD_##name] = word,
        MULTIPART_REASONS(X)
#undef X
    };
    return (unsigned)reason < MULTIPART_REASON_COUNT ? words[reason] : "unknown";
}

static enum multipart_event refuse(struct multipart_reader *r, enum multipart_reason reason)
{
    r->state = READ_REFUSED;
    r->reason = reason;
    return MULTIPART_REFUSED;
}

int multipart_init(struct multipart_reader *r, struct span content_type)
{
    struct span boundary = SPAN_EMPTY;
    r->part = (struct multipart_part){0};
    r->data = SPAN_EMPTY;
    r->reason = MULTIPART_BAD_NONE;
    r->parts = 0;
    r->state = READ_REFUSED;
    r->matched = 2;
    r->head_n = r->delimiter_n = 0;
    int error = multipart_boundary(content_type, &boundary);
    if (error)
        return error;
    memcpy(r->delimiter, "\r\n--", 4);
    memcpy(r->delimiter + 4, boundary.p, boundary.n);
    r->delimiter_n = 4 + boundary.n;
    r->state = READ_BOUNDARY;
    return 0;
}

/* A byte of the framing around parts; the next state, or a refusal. */
static enum multipart_event frame_byte(struct multipart_reader *r, char c)
{
    switch (r->state) {
    case READ_BOUNDARY:
        if (c != r->delimiter[r->matched])
            return refuse(r, MULTIPART_BAD_PREAMBLE);
        if (++r->matched == r->delimiter_n)
            r->state = READ_AFTER;
        return MULTIPART_NEED_MORE;
    case READ_AFTER:
        if (c != '\r' && c != '-')
            return refuse(r, MULTIPART_BAD_DELIMITER);
        r->state = c == '\r' ? READ_AFTER_LF : READ_AFTER_DASH;
        return MULTIPART_NEED_MORE;
    case READ_AFTER_LF:
        if (c != '\n')
            return refuse(r, MULTIPART_BAD_DELIMITER);
        if (r->parts++ == MULTIPART_PARTS_MAX)
            return refuse(r, MULTIPART_BAD_TOO_MANY_PARTS);
        r->head_n = 0;
        r->state = READ_HEAD;
        return MULTIPART_NEED_MORE;
    case READ_AFTER_DASH:
        if (c != '-')
            return refuse(r, MULTIPART_BAD_DELIMITER);
        r->state = READ_END;
        return MULTIPART_NEED_MORE;
    case READ_END:
    case READ_END_LF:
        if (c != (r->state == READ_END ? '\r' : '\n'))
            return refuse(r, MULTIPART_BAD_EPILOGUE);
        r->state++;
        return MULTIPART_NEED_MORE;
    case READ_END_DONE:
        return refuse(r, MULTIPART_BAD_EPILOGUE);
    default:
        return MULTIPART_REFUSED;
    }
}

static enum multipart_event head_byte(struct multipart_reader *r, char c)
{
    if (r->head_n == MULTIPART_HEAD_MAX)
        return refuse(r, MULTIPART_BAD_HEAD_TOO_LARGE);
    r->head[r->head_n++] = c;
    if (c != '\n')
        return MULTIPART_NEED_MORE;
    struct span head = {r->head, r->head_n};
    if (!span_is(head, "\r\n") && !span_ends(head, SPAN("\r\n\r\n")))
        return MULTIPART_NEED_MORE;
    enum multipart_reason reason = multipart_head(head, &r->part);
    if (reason != MULTIPART_BAD_NONE)
        return refuse(r, reason);
    r->matched = 0;
    r->state = READ_DATA;
    return MULTIPART_PART_BEGIN;
}

/*
 * Content. What looks like the start of a delimiter is held back as a count: CR stands only at the
 * delimiter's first place, so that when it turns out to be content, all of it is, and the
 * delimiter's own bytes can be given out for it.
 */
static enum multipart_event feed_data(struct multipart_reader *r, struct span bytes, size_t *used)
{
    size_t at = 0;
    if (r->matched == 0) {
        at = span_find(bytes, '\r');
        if (at > 0) {
            r->data = span_sub(bytes, 0, at);
            *used = at;
            return MULTIPART_DATA;
        }
    }
    while (at < bytes.n && bytes.p[at] == r->delimiter[r->matched]) {
        at++;
        if (++r->matched == r->delimiter_n) {
            *used = at;
            r->state = READ_AFTER;
            return MULTIPART_PART_END;
        }
    }
    *used = at;
    if (at == bytes.n)
        return MULTIPART_NEED_MORE;
    r->data = (struct span){r->delimiter, r->matched};
    r->matched = 0;
    return MULTIPART_DATA;
}

enum multipart_event multipart_feed(struct multipart_reader *r, struct span bytes, size_t *used)
{
    *used = 0;
    r->data = SPAN_EMPTY;
    if (r->state == READ_REFUSED)
        return MULTIPART_REFUSED;
    while (*used < bytes.n) {
        if (r->state == READ_DATA) {
            size_t more;
            enum multipart_event event = feed_data(r, span_from(bytes, *used), &more);
            *used += more;
            return event;
        }
        char c = bytes.p[(*used)++];
        enum multipart_event event = r->state == READ_HEAD ? head_byte(r, c) : frame_byte(r, c);
        if (event != MULTIPART_NEED_MORE)
            return event;
    }
    return MULTIPART_NEED_MORE;
}

enum multipart_event multipart_closed(struct multipart_reader *r)
{
    if (r->state == READ_REFUSED)
        return MULTIPART_REFUSED;
    if (r->state == READ_END || r->state == READ_END_DONE)
        return MULTIPART_END;
    return refuse(r, MULTIPART_BAD_TRUNCATED);
}

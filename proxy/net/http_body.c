/* Bodies: by length, chunked (RFC 9112 section 7.1, no extensions), or until the peer closes. */
#include "http_internal.h"

enum body_state {
    BODY_DATA,       /* of the length, or until close */
    CHUNK_SIZE,      /* digits of the size line */
    CHUNK_SIZE_LF,   /* its CR is there */
    CHUNK_DATA,      /* left > 0 */
    CHUNK_CR,        /* after the data */
    CHUNK_LF,        /* after that */
    TRAILER_START,   /* at the start of a trailer line */
    TRAILER_NAME,    /* in its name */
    TRAILER_VALUE,   /* after the colon */
    TRAILER_LF,      /* its CR is there */
    TRAILER_LAST_LF, /* CR of the empty line is there */
    BODY_END,
    BODY_REFUSED,
};

static enum http_result refuse(struct http_body_machine *m, enum http_reason reason)
{
    m->state = BODY_REFUSED;
    m->reason = reason;
    return HTTP_REFUSED;
}

void http_body_init(struct http_body_machine *m, const struct http_head *head, uint64_t max)
{
    *m = (struct http_body_machine){.framing = head->framing, .max = max, .state = BODY_DATA};
    switch (head->framing) {
    case HTTP_NO_BODY:
        m->state = BODY_END;
        break;
    case HTTP_LENGTH:
        m->left = head->length;
        if (head->length > max)
            refuse(m, HTTP_BAD_BODY_TOO_LARGE);
        else if (head->length == 0)
            m->state = BODY_END;
        break;
    case HTTP_CHUNKED:
        m->state = CHUNK_SIZE;
        break;
    case HTTP_UNTIL_CLOSE:
        break;
    }
}

/* A run of at most m->left data bytes from `at` on. */
static struct span take_data(struct http_body_machine *m, struct span bytes, size_t at)
{
    struct span data = span_from(bytes, at);
    if (data.n > m->left)
        data.n = (size_t)m->left;
    m->left -= data.n;
    m->total += data.n;
    return data;
}

static enum http_reason size_digit(struct http_body_machine *m, char c)
{
    if (http_is(c, HTTP_IS_HEX)) {
        if (++m->line > HTTP_CHUNK_LINE_MAX - 2)
            return HTTP_BAD_CHUNK_SIZE;
        m->left = m->left << 4 | http_hex(c);
        return HTTP_BAD_NONE;
    }
    if (c == '\n')
        return HTTP_BAD_LINE_ENDING;
    if (m->line == 0)
        return HTTP_BAD_CHUNK_SIZE;
    if (c == '\r') {
        m->state = CHUNK_SIZE_LF;
        return HTTP_BAD_NONE;
    }
    return c == ';' ? HTTP_BAD_CHUNK_EXTENSION : HTTP_BAD_CHUNK_SIZE;
}

static enum http_reason size_end(struct http_body_machine *m, char c)
{
    if (c != '\n')
        return HTTP_BAD_LINE_ENDING;
    m->line = 0;
    m->state = m->left ? CHUNK_DATA : TRAILER_START;
    return m->left > m->max - m->total ? HTTP_BAD_BODY_TOO_LARGE : HTTP_BAD_NONE;
}

/* Trailers are held to the field grammar and dropped: nobody merges them into the head. */
static enum http_reason trailer_byte(struct http_body_machine *m, char c)
{
    if (++m->line > HTTP_TRAILERS_MAX)
        return HTTP_BAD_TRAILERS;
    bool good;
    switch (m->state) {
    case TRAILER_START:
        good = c == '\r' || http_is(c, HTTP_IS_TOKEN);
        m->state = c == '\r' ? TRAILER_LAST_LF : TRAILER_NAME;
        break;
    case TRAILER_NAME:
        good = c == ':' || http_is(c, HTTP_IS_TOKEN);
        if (c == ':')
            m->state = TRAILER_VALUE;
        break;
    case TRAILER_VALUE:
        good = c == '\r' || http_is(c, HTTP_IS_VALUE);
        if (c == '\r')
            m->state = TRAILER_LF;
        break;
    case TRAILER_LF:
        good = c == '\n';
        m->state = TRAILER_START;
        break;
    default: /* TRAILER_LAST_LF */
        good = c == '\n';
        m->state = BODY_END;
        break;
    }
    return good ? HTTP_BAD_NONE : HTTP_BAD_TRAILERS;
}

static enum http_reason chunk_byte(struct http_body_machine *m, char c)
{
    switch (m->state) {
    case CHUNK_SIZE:
        return size_digit(m, c);
    case CHUNK_SIZE_LF:
        return size_end(m, c);
    case CHUNK_CR:
        m->state = CHUNK_LF;
        return c == '\r' ? HTTP_BAD_NONE : HTTP_BAD_CHUNK_END;
    case CHUNK_LF:
        m->state = CHUNK_SIZE;
        return c == '\n' ? HTTP_BAD_NONE : HTTP_BAD_CHUNK_END;
    default:
        return trailer_byte(m, c);
    }
}

static enum http_result feed_chunked(struct http_body_machine *m, struct span bytes,
                                     struct span *data, size_t *used)
{
    size_t at = 0;
    while (at < bytes.n && m->state != BODY_END) {
        if (m->state == CHUNK_DATA) {
            *data = take_data(m, bytes, at);
            if (m->left == 0)
                m->state = CHUNK_CR;
            *used = at + data->n;
            return HTTP_NEED_MORE;
        }
        enum http_reason reason = chunk_byte(m, bytes.p[at]);
        if (reason != HTTP_BAD_NONE) {
            *used = at;
            return refuse(m, reason);
        }
        at++;
    }
    *used = at;
    return m->state == BODY_END ? HTTP_DONE : HTTP_NEED_MORE;
}

enum http_result http_body_feed(struct http_body_machine *m, struct span bytes, struct span *data,
                                size_t *used)
{
    *data = SPAN_EMPTY;
    *used = 0;
    if (m->state == BODY_REFUSED)
        return HTTP_REFUSED;
    if (m->state == BODY_END)
        return HTTP_DONE;
    if (m->framing == HTTP_CHUNKED)
        return feed_chunked(m, bytes, data, used);
    if (m->framing == HTTP_UNTIL_CLOSE) {
        m->left = m->max - m->total;
        if (m->left == 0 && bytes.n)
            return refuse(m, HTTP_BAD_BODY_TOO_LARGE);
    }
    *data = take_data(m, bytes, 0);
    *used = data->n;
    if (m->framing == HTTP_LENGTH && m->left == 0)
        m->state = BODY_END;
    return m->state == BODY_END ? HTTP_DONE : HTTP_NEED_MORE;
}

enum http_result http_body_closed(struct http_body_machine *m)
{
    if (m->state == BODY_REFUSED)
        return HTTP_REFUSED;
    if (m->framing == HTTP_UNTIL_CLOSE)
        m->state = BODY_END;
    return m->state == BODY_END ? HTTP_DONE : refuse(m, HTTP_BAD_TRUNCATED);
}

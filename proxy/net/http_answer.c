/* Answer heads, as a client reads them (RFC 9112 sections 4 to 6, strict). */
#include "http_internal.h"

static void next_head(struct http_answer_machine *m)
{
    m->lines = (struct http_lines){0};
    struct http_head *head = &m->head;
    head->target = head->path = head->query = head->host = SPAN_EMPTY;
    head->method = HTTP_GET;
    head->framing = HTTP_NO_BODY;
    head->status = head->minor = head->field_count = 0;
    head->length = 0;
    head->expect_continue = head->keep_alive = false;
}

void http_answer_machine_init(struct http_answer_machine *m, bool head_request,
                              bool until_close_allowed)
{
    m->head_len = 0;
    m->interim = 0;
    m->head_request = head_request;
    m->until_close_allowed = until_close_allowed;
    m->reason = HTTP_BAD_NONE;
    next_head(m);
}

/* "HTTP/1.1 200 OK": the space after the status is required, the phrase is not. */
static enum http_reason take_status_line(struct http_head *head, struct span line)
{
    if (line.n < 13 || memcmp(line.p, "HTTP/1.", 7) != 0 || line.p[7] < '0' || line.p[7] > '1' ||
        line.p[8] != ' ' || line.p[12] != ' ')
        return HTTP_BAD_STATUS_LINE;
    if (line.p[9] < '1' || line.p[9] > '5' || !http_is(line.p[10], HTTP_IS_DIGIT) ||
        !http_is(line.p[11], HTTP_IS_DIGIT))
        return HTTP_BAD_STATUS_LINE;
    size_t end = http_run(line, 13, HTTP_IS_VALUE);
    if (end != line.n)
        return HTTP_BAD_STATUS_LINE;
    head->minor = (unsigned)(line.p[7] - '0');
    head->status = (unsigned)(line.p[9] - '0') * 100 + (unsigned)(line.p[10] - '0') * 10 +
                   (unsigned)(line.p[11] - '0');
    return HTTP_BAD_NONE;
}

static enum http_reason finish(struct http_answer_machine *m)
{
    struct http_head *head = &m->head;
    struct http_facts facts;
    http_facts_gather(head, &facts);
    enum http_reason reason = http_facts_framing(head, &facts);
    if (reason != HTTP_BAD_NONE)
        return reason;
    bool announced = head->framing == HTTP_CHUNKED || head->length > 0;
    if (head->status < 200) {
        if (head->minor == 0)
            return HTTP_BAD_STATUS_LINE; /* HTTP/1.0 has no interim answers */
        if (head->status == 101)
            return HTTP_BAD_UPGRADE; /* never asked for */
        return announced ? HTTP_BAD_BODY_NOT_ALLOWED : HTTP_BAD_NONE;
    }
    head->keep_alive = head->minor == 1 && !facts.close;
    if (head->status == 204 && announced)
        head->keep_alive = false; /* a body may follow all the same: the status counts, no more */
    if (m->head_request || head->status == 204 || head->status == 304) {
        head->framing = HTTP_NO_BODY;
        head->length = 0;
    } else if (head->framing == HTTP_NO_BODY) {
        if (!m->until_close_allowed)
            return HTTP_BAD_CLOSE_DELIMITED;
        head->framing = HTTP_UNTIL_CLOSE;
        head->keep_alive = false;
    } else if (!announced) {
        head->framing = HTTP_NO_BODY;
    }
    return HTTP_BAD_NONE;
}

enum http_result http_answer_head(struct http_answer_machine *m, struct span bytes, size_t *skip)
{
    *skip = 0;
    if (m->reason != HTTP_BAD_NONE)
        return HTTP_REFUSED;
    http_head_rebase(&m->head, &m->lines, bytes.p);
    if (m->head_len)
        return HTTP_DONE;
    struct span line;
    for (;;) {
        enum http_line got =
            http_line_next(&m->lines, bytes, HTTP_ANSWER_HEAD_MAX, &line, &m->reason);
        if (got == HTTP_LINE_NONE)
            return HTTP_NEED_MORE;
        if (got == HTTP_LINE_TAKEN) {
            if (m->lines.count++ == 0)
                m->reason = take_status_line(&m->head, line);
            else if (line.n)
                m->reason = http_field_line(&m->head, line);
            else
                break;
            m->reason = http_line_reason(line, m->reason);
        }
        if (m->reason != HTTP_BAD_NONE)
            return HTTP_REFUSED;
    }
    m->reason = finish(m);
    if (m->reason == HTTP_BAD_NONE && m->head.status < 200 && m->interim == HTTP_INTERIM_MAX)
        m->reason = HTTP_BAD_TOO_MANY_INTERIM;
    if (m->reason != HTTP_BAD_NONE)
        return HTTP_REFUSED;
    if (m->head.status < 200) {
        m->interim++;
        *skip = m->lines.start;
        next_head(m);
        return HTTP_NEED_MORE;
    }
    m->head_len = m->lines.start;
    return HTTP_DONE;
}

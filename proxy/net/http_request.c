/* Request heads, as a server reads them (RFC 9112 sections 3 to 6, strict). */
#include "http_internal.h"
#include <arpa/inet.h>

#define HOST_MAX 255 /* a DNS name is at most 253 bytes, with a port a few more */
#define PORT_MAX 65535

void http_request_machine_init(struct http_request_machine *m)
{
    /* not the whole struct: the field table is 2 KiB and field_count guards it */
    m->lines = (struct http_lines){0};
    m->head_len = 0;
    m->reason = HTTP_BAD_NONE;
    struct http_head *head = &m->head;
    head->target = head->path = head->query = head->host = SPAN_EMPTY;
    head->method = HTTP_GET;
    head->framing = HTTP_NO_BODY;
    head->status = head->minor = head->field_count = 0;
    head->length = 0;
    head->expect_continue = head->keep_alive = false;
}

static enum http_reason check_version(struct span version, unsigned *minor)
{
    if (version.n != 8 || memcmp(version.p, "HTTP/", 5) != 0 ||
        !http_is(version.p[5], HTTP_IS_DIGIT) || version.p[6] != '.' ||
        !http_is(version.p[7], HTTP_IS_DIGIT))
        return HTTP_BAD_REQUEST_LINE;
    if (version.p[5] != '1' || version.p[7] > '1')
        return HTTP_BAD_VERSION;
    *minor = (unsigned)(version.p[7] - '0');
    return HTTP_BAD_NONE;
}

/* "a.example", "192.0.2.1", "[2001:db8::1]", each with an optional ":port" (RFC 9110 section 7.2).
 */
static bool host_valid(struct span host)
{
    if (host.n == 0 || host.n > HOST_MAX)
        return false;
    size_t end;
    if (host.p[0] == '[') {
        char text[INET6_ADDRSTRLEN];
        struct in6_addr address;
        end = span_find(host, ']');
        if (end == host.n || end - 1 >= sizeof(text))
            return false;
        memcpy(text, host.p + 1, end - 1);
        text[end - 1] = '\0';
        if (strlen(text) != end - 1 || inet_pton(AF_INET6, text, &address) != 1)
            return false;
        end++;
    } else {
        end = http_run(host, 0, HTTP_IS_HOST);
        if (end == 0)
            return false;
        for (size_t i = 0; i < end; i++) /* no empty label, save after a final dot */
            if (host.p[i] == '.' && (i == 0 || host.p[i - 1] == '.'))
                return false;
    }
    if (end == host.n)
        return true;
    uint64_t port;
    struct span digits = span_from(host, end + 1);
    return host.p[end] == ':' && digits.n <= 5 && span_u64(digits, &port) == 0 && port <= PORT_MAX;
}

/* Origin-form: "/" path [ "?" query ]. */
static enum http_reason take_origin_form(struct http_head *head, struct span target)
{
    if (target.n == 0 || target.p[0] != '/')
        return HTTP_BAD_TARGET;
    size_t end = http_run(target, 0, HTTP_IS_PATH);
    head->target = target;
    head->path = span_sub(target, 0, end);
    head->query = SPAN_EMPTY;
    if (end < target.n) {
        if (target.p[end] != '?')
            return HTTP_BAD_TARGET;
        size_t stop = http_run(target, end + 1, HTTP_IS_QUERY);
        if (stop != target.n)
            return HTTP_BAD_TARGET;
        head->query = span_from(target, end + 1);
    }
    for (size_t i = 0; i < head->path.n; i++)
        if (head->path.p[i] == '%' &&
            (i + 2 >= head->path.n || !http_is(head->path.p[i + 1], HTTP_IS_HEX) ||
             !http_is(head->path.p[i + 2], HTTP_IS_HEX)))
            return HTTP_BAD_TARGET;
    return HTTP_BAD_NONE;
}

/*
 * Absolute-form is what a server must understand (RFC 9112 section 3.2.2), but a name in two places
 * is a name too many: it is taken only when it says what Host says, and has a path. The authority
 * waits in head->host until the fields are there.
 */
static enum http_reason take_target(struct http_head *head, struct span target)
{
    size_t scheme = 0;
    if (target.n > 7 && span_eq_nocase(span_sub(target, 0, 7), SPAN("http://")))
        scheme = 7;
    else if (target.n > 8 && span_eq_nocase(span_sub(target, 0, 8), SPAN("https://")))
        scheme = 8;
    if (scheme == 0)
        return take_origin_form(head, target);
    struct span rest = span_from(target, scheme);
    size_t slash = span_find(rest, '/');
    head->host = span_sub(rest, 0, slash);
    if (!host_valid(head->host))
        return HTTP_BAD_TARGET;
    return take_origin_form(head, span_from(rest, slash));
}

static enum http_reason take_request_line(struct http_head *head, struct span line)
{
    size_t space = http_run(line, 0, HTTP_IS_TOKEN);
    if (space == line.n || space == 0)
        return HTTP_BAD_REQUEST_LINE;
    if (line.p[space] != ' ')
        return HTTP_BAD_REQUEST_LINE;
    struct span rest = span_from(line, space + 1);
    size_t second = span_find(rest, ' ');
    if (second == 0 || second == rest.n)
        return HTTP_BAD_REQUEST_LINE;
    enum http_reason reason = check_version(span_from(rest, second + 1), &head->minor);
    if (reason == HTTP_BAD_NONE && !http_method_find(span_sub(line, 0, space), &head->method))
        reason = HTTP_BAD_METHOD;
    if (reason == HTTP_BAD_NONE)
        reason = take_target(head, span_sub(rest, 0, second));
    return reason;
}

static enum http_reason check_host(struct http_head *head, const struct http_facts *facts)
{
    if (facts->hosts == 0)
        return HTTP_BAD_HOST_MISSING;
    if (facts->hosts > 1)
        return HTTP_BAD_HOST_TWICE;
    if (!host_valid(facts->host))
        return HTTP_BAD_HOST_VALUE;
    if (head->host.p && !span_eq_nocase(head->host, facts->host))
        return HTTP_BAD_HOST_VALUE;
    head->host = facts->host;
    return HTTP_BAD_NONE;
}

/* Whether this method may, must or must not have the body that the framing announces. */
static enum http_reason check_body(struct http_head *head)
{
    switch (head->method) {
    case HTTP_GET:
    case HTTP_HEAD:
        if (head->framing == HTTP_CHUNKED || head->length > 0)
            return HTTP_BAD_BODY_NOT_ALLOWED;
        return HTTP_BAD_NONE;
    case HTTP_POST:
    case HTTP_PUT:
    case HTTP_PATCH:
        return head->framing == HTTP_NO_BODY ? HTTP_BAD_LENGTH_REQUIRED : HTTP_BAD_NONE;
    case HTTP_DELETE:
    case HTTP_OPTIONS:
        return HTTP_BAD_NONE;
    }
    return HTTP_BAD_METHOD;
}

static enum http_reason finish(struct http_head *head)
{
    struct http_facts facts;
    http_facts_gather(head, &facts);
    enum http_reason reason = check_host(head, &facts);
    if (reason == HTTP_BAD_NONE)
        reason = http_facts_framing(head, &facts);
    if (reason == HTTP_BAD_NONE)
        reason = check_body(head);
    if (reason != HTTP_BAD_NONE)
        return reason;
    if (facts.upgrade)
        return HTTP_BAD_UPGRADE;
    if (facts.content_encoding)
        return HTTP_BAD_CONTENT_ENCODING;
    if (facts.expects > 1 ||
        (facts.expects == 1 && !span_eq_nocase(facts.expect, SPAN("100-continue"))))
        return HTTP_BAD_EXPECT;
    /* a client without a body waits for nothing; HTTP/1.0 does not know 100 (RFC 9110, 10.1.1) */
    head->expect_continue =
        facts.expects && head->minor == 1 && (head->framing == HTTP_CHUNKED || head->length > 0);
    head->keep_alive = head->minor == 1 && !facts.close;
    if (head->framing == HTTP_LENGTH && head->length == 0)
        head->framing = HTTP_NO_BODY;
    return HTTP_BAD_NONE;
}

enum http_result http_request_head(struct http_request_machine *m, struct span bytes)
{
    if (m->reason != HTTP_BAD_NONE)
        return HTTP_REFUSED;
    http_head_rebase(&m->head, &m->lines, bytes.p);
    if (m->head_len)
        return HTTP_DONE;
    struct span line;
    for (;;) {
        enum http_line got =
            http_line_next(&m->lines, bytes, HTTP_REQUEST_HEAD_MAX, &line, &m->reason);
        if (got == HTTP_LINE_NONE)
            return HTTP_NEED_MORE;
        if (got == HTTP_LINE_TAKEN) {
            if (m->lines.count++ == 0)
                m->reason = take_request_line(&m->head, line);
            else if (line.n)
                m->reason = http_field_line(&m->head, line);
            else
                break;
            m->reason = http_line_reason(line, m->reason);
        }
        if (m->reason != HTTP_BAD_NONE)
            return HTTP_REFUSED;
    }
    m->reason = finish(&m->head);
    if (m->reason != HTTP_BAD_NONE)
        return HTTP_REFUSED;
    m->head_len = m->lines.start;
    return HTTP_DONE;
}

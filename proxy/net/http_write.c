/* Heads are written from facts. What would break a line is an error of the caller's buffer. */
#include "http_internal.h"

static void fail(struct buffer *out)
{
    if (!out->error)
        out->error = SLUIS_EINVAL;
}

void http_write_request_line(struct buffer *out, enum http_method method, struct span target)
{
    if (target.n == 0 || target.p[0] != '/' ||
        http_run(target, 0, HTTP_IS_QUERY) != target.n) /* a target is path and query */
        fail(out);
    buffer_add_str(out, http_method_word(method));
    buffer_add(out, SPAN(" "));
    buffer_add(out, target);
    buffer_add(out, SPAN(" HTTP/1.1\r\n"));
}

void http_write_status_line(struct buffer *out, unsigned status)
{
    if (status < 100 || status > 599)
        fail(out);
    buffer_add(out, SPAN("HTTP/1.1 "));
    buffer_add_u64(out, status);
    buffer_add(out, SPAN(" "));
    buffer_add_str(out, http_status_text(status));
    buffer_add(out, SPAN("\r\n"));
}

void http_write_field(struct buffer *out, struct span name, struct span value)
{
    if (name.n == 0 || http_run(name, 0, HTTP_IS_TOKEN) != name.n ||
        http_run(value, 0, HTTP_IS_VALUE) != value.n)
        fail(out);
    buffer_add(out, name);
    buffer_add(out, SPAN(": "));
    buffer_add(out, value);
    buffer_add(out, SPAN("\r\n"));
}

void http_write_field_u64(struct buffer *out, struct span name, uint64_t value)
{
    if (name.n == 0 || http_run(name, 0, HTTP_IS_TOKEN) != name.n)
        fail(out);
    buffer_add(out, name);
    buffer_add(out, SPAN(": "));
    buffer_add_u64(out, value);
    buffer_add(out, SPAN("\r\n"));
}

void http_write_end(struct buffer *out)
{
    buffer_add(out, SPAN("\r\n"));
}

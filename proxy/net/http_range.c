/* The Range field of a download (RFC 9110 section 14): one range, or the field is ignored. */
#include "http_internal.h"

enum http_range http_range_parse(struct span value, uint64_t size, uint64_t *first, uint64_t *last)
{
    if (value.n < 6 || !span_eq_nocase(span_sub(value, 0, 6), SPAN("bytes=")))
        return HTTP_RANGE_IGNORED;
    struct span range = span_from(value, 6);
    size_t dash = span_find(range, '-');
    if (dash == range.n)
        return HTTP_RANGE_IGNORED;
    struct span from = span_sub(range, 0, dash), to = span_from(range, dash + 1);
    uint64_t a = 0, b = 0;
    if ((from.n && span_u64(from, &a)) || (to.n && span_u64(to, &b)) || (!from.n && !to.n))
        return HTTP_RANGE_IGNORED;
    if (!from.n) { /* the last b bytes */
        if (b == 0 || size == 0)
            return HTTP_RANGE_UNSATISFIABLE;
        *first = b < size ? size - b : 0;
        *last = size - 1;
        return HTTP_RANGE_ONE;
    }
    if (to.n && b < a)
        return HTTP_RANGE_IGNORED;
    if (a >= size)
        return HTTP_RANGE_UNSATISFIABLE;
    *first = a;
    *last = to.n && b < size ? b : size - 1;
    return HTTP_RANGE_ONE;
}

void http_write_content_range(struct buffer *out, enum http_range range, uint64_t first,
                              uint64_t last, uint64_t size)
{
    buffer_add(out, SPAN("Content-Range: bytes "));
    if (range == HTTP_RANGE_ONE) {
        buffer_add_u64(out, first);
        buffer_add(out, SPAN("-"));
        buffer_add_u64(out, last);
    } else {
        buffer_add(out, SPAN("*"));
    }
    buffer_add(out, SPAN("/"));
    buffer_add_u64(out, size);
    buffer_add(out, SPAN("\r\n"));
}

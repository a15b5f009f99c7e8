/* The multipart reader: what it gives never depends on how the bytes were cut. The Content-Type is
 * the first line of the input; multipart_run.c checks the order of events. */
#include "fuzz_http.h"

#include "multipart_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n < FUZZ_PREFIX)
        return 0;
    struct span text = span_of(bytes + FUZZ_PREFIX, n - FUZZ_PREFIX);
    size_t line = span_find(text, '\n');
    struct span content_type = span_sub(text, 0, line), body = span_from(text, line + 1);
    struct multipart_run whole, split;
    multipart_run(&whole, content_type, body, HTTP_UNCUT);
    multipart_run(&split, content_type, body, fuzz_cut(bytes));
    CHECK(multipart_run_equal(&whole, &split));
    CHECK(whole.parts.n <= body.n + MULTIPART_PARTS_MAX * 8);
    multipart_run_free(&whole);
    multipart_run_free(&split);
    return 0;
}

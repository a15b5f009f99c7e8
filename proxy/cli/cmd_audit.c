#include "internal.h"

#include <stdio.h>
#include <string.h>

/* Index of the last leaf of a page, from its last line; -1 when the page is empty. */
static long long last_index(struct span page)
{
    const char *end = page.p + page.n;
    unsigned long long index;
    if (page.n < 2)
        return -1;
    const char *at = memrchr(page.p, '\n', page.n - 1);
    at = at ? at + 1 : page.p;
    if ((size_t)(end - at) < sizeof("{\"index\":0") || sscanf(at, "{\"index\":%llu", &index) != 1)
        return -1;
    return (long long)index;
}

int cmd_audit_list(const struct cli_call *call)
{
    const char *given = cli_value(call, "--from", 0);
    uint64_t from = 0;
    if (call->word_count)
        return cli_usage(call, "no words are expected");
    if (given && span_u64(span_str(given), &from) != 0)
        return cli_usage(call, "--from: the index of a leaf");
    uint64_t first = from;
    /* Page by page up to the leaf that records this very reading. */
    for (;;) {
        struct control_answer a;
        char target[64];
        snprintf(target, sizeof(target), "/sluis/v1/log?from=%llu", (unsigned long long)from);
        if (control_call(call, HTTP_GET, target, SPAN_EMPTY, &a) != 0)
            return CLI_FAILED;
        long long last = last_index(buffer_span(&a.text));
        size_t lines = 0;
        for (size_t i = 0; i < a.text.n; i++)
            lines += a.text.p[i] == '\n';
        fwrite(a.text.p, 1, a.text.n, stdout);
        control_free(&a);
        if (last < 0 || lines < 1000)
            return CLI_DONE;
        from = (uint64_t)last + 1;
        if (from - first > UINT64_C(100000000))
            return CLI_FAILED;
    }
}

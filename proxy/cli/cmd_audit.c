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

const char *const audit_filters[] = {"since",   "until",  "actor",   "role",
                                     "subject", "action", "outcome", NULL};

/* "/sluis/v1/log?..." with the filters; true when there is any. */
static bool make_target(const struct cli_call *call, bool has_from, uint64_t from,
                        struct buffer *out)
{
    buffer_add_str(out, "/sluis/v1/log?a=1");
    if (has_from)
        buffer_addf(out, "&from=%llu", (unsigned long long)from);
    return control_add_options(call, audit_filters, out) > 0;
}

/* The last line of a filtered page may say where to go on; it is taken off. */
static bool take_next(struct buffer *text, uint64_t *next)
{
    unsigned long long n;
    const char *at = text->n > 1 ? memrchr(text->p, '\n', text->n - 1) : NULL;
    at = at ? at + 1 : text->p;
    if (!at || strncmp(at, "{\"next\":", 8) != 0 || sscanf(at, "{\"next\":%llu", &n) != 1)
        return false;
    *next = n;
    text->n = (size_t)(at - text->p);
    return true;
}

static int list_filtered(const struct cli_call *call, bool has_from, uint64_t from)
{
    for (;;) {
        struct control_answer a;
        struct buffer target;
        buffer_init(&target, 4096);
        (void)make_target(call, has_from, from, &target);
        int r = control_get(call, &target, &a);
        buffer_free(&target);
        if (r != 0)
            return r;
        buffer_add_char(&a.text, '\0');
        a.text.n--;
        bool more = take_next(&a.text, &from);
        fwrite(a.text.p, 1, a.text.n, stdout);
        control_free(&a);
        if (!more)
            return CLI_DONE;
        has_from = true;
    }
}

int cmd_audit_list(const struct cli_call *call)
{
    const char *given = cli_value(call, "--from", 0);
    uint64_t from = 0;
    if (given && span_u64(span_str(given), &from) != 0)
        return cli_usage(call, "--from %s: the index of a leaf, 0 for the first", given);
    struct buffer probe;
    buffer_init(&probe, 4096);
    bool filtered = make_target(call, given, from, &probe);
    buffer_free(&probe);
    if (filtered)
        return list_filtered(call, given, from);
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

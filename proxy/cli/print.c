/* Answers as text for people. */
#include "internal.h"

#include <stdio.h>

const char *print_member(const struct control_answer *a, uint32_t object, const char *member,
                         char *out, size_t size)
{
    uint32_t node = json_path(&a->json, object, member);
    struct span raw = json_is(&a->json, node, JSON_STRING) ? json_inner(&a->json, node)
                                                           : json_raw(&a->json, node);
    /* Names and words of our own: nothing in them is escaped. */
    snprintf(out, size, "%.*s", (int)raw.n, raw.n ? raw.p : "");
    return out;
}

bool print_json(const struct cli_call *call, const struct control_answer *a)
{
    if (!cli_has(call, "--json"))
        return false;
    fwrite(a->text.p, 1, a->text.n, stdout);
    return true;
}

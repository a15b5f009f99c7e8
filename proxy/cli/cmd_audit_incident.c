/* `sluis audit incident`: the pack of art. 33 AVG, from the access log. */
#include "internal.h"

#include <stdio.h>

int cmd_audit_incident(const struct cli_call *call)
{
    static const char *const names[] = {"from", "to", "known", "route", "token"};
    struct control_answer a;
    struct buffer target;
    if (call->word_count || !cli_value(call, "--from", 0) || !cli_value(call, "--to", 0))
        return cli_usage(call, "--from and --to are needed: 2026-11-22T10:00:00Z or a day");
    buffer_init(&target, 4096);
    buffer_addf(&target, "/sluis/v1/log/incident?form=%s",
                cli_has(call, "--json") ? "json" : "markdown");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char option[16];
        snprintf(option, sizeof(option), "--%s", names[i]);
        const char *value = cli_value(call, option, 0);
        if (value)
            control_add_query(&target, names[i], span_str(value));
    }
    buffer_add_char(&target, '\0');
    int r = target.error ? CLI_FAILED : control_call(call, HTTP_GET, target.p, SPAN_EMPTY, &a);
    buffer_free(&target);
    if (r != 0)
        return r;
    fwrite(a.text.p, 1, a.text.n, stdout);
    control_free(&a);
    return CLI_DONE;
}

/* `sluis audit incident`: the pack of art. 33 AVG, from the access log. */
#include "internal.h"

#include <stdio.h>

int cmd_audit_incident(const struct cli_call *call)
{
    static const char *const names[] = {"from", "to", "known", "route", "token", NULL};
    struct control_answer a;
    struct buffer target;
    if (!cli_value(call, "--from", 0) || !cli_value(call, "--to", 0))
        return cli_usage(call, "--from and --to are needed: 2026-11-22T10:00:00Z or a day");
    buffer_init(&target, 4096);
    buffer_addf(&target, "/sluis/v1/log/incident?form=%s",
                cli_has(call, "--json") ? "json" : "markdown");
    (void)control_add_options(call, names, &target);
    int r = control_get(call, &target, &a);
    buffer_free(&target);
    if (r != 0)
        return r;
    fwrite(a.text.p, 1, a.text.n, stdout);
    control_free(&a);
    return CLI_DONE;
}

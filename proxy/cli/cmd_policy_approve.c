/* `sluis policy approve NAME`: the second officer. `sluis policy versions`: what was in force. */
#include "internal.h"

#include <stdio.h>

static void print_looser(struct control_answer *a)
{
    char what[512], from[256], to[256];
    uint32_t list = json_get(&a->json, 0, SPAN("looser"));
    for (uint32_t i = json_first(&a->json, list); i != JSON_NONE; i = json_next(&a->json, i))
        printf("looser  %s: %s -> %s\n", print_member(a, i, "what", what, sizeof(what)),
               print_member(a, i, "from", from, sizeof(from)),
               print_member(a, i, "to", to, sizeof(to)));
}

int cmd_policy_approve(const struct cli_call *call)
{
    struct control_answer a;
    struct buffer body;
    char hash[80];
    char forward[8];
    const char *given = cli_value(call, "--hash", 0);
    bool dry_run = cli_has(call, "--dry-run");
    if (call->word_count != 1)
        return cli_usage(call, "the NAME of a policy is needed");
    buffer_init(&body, 4096);
    buffer_add(&body, SPAN("{\"name\":"));
    json_quote(&body, span_str(call->words[0]));
    if (given) {
        buffer_add(&body, SPAN(",\"hash\":"));
        json_quote(&body, span_str(given));
    }
    buffer_add_str(&body, dry_run ? ",\"dry_run\":true}" : "}");
    int r = control_call(call, HTTP_POST, "/sluis/v1/policies/approve", buffer_span(&body), &a);
    buffer_free(&body);
    if (r != 0)
        return r;
    if (!print_json(call, &a)) {
        print_looser(&a);
        printf("%s, %.16s: %s\n", call->words[0], print_member(&a, 0, "hash", hash, sizeof(hash)),
               !dry_run ? "approved and in force"
               : print_member(&a, 0, "put_forward", forward, sizeof(forward))[0] == 't'
                   ? "nobody put it forward by name: you would, and a second officer approves"
                   : "would be approved");
    }
    control_free(&a);
    return CLI_DONE;
}

int cmd_policy_versions(const struct cli_call *call)
{
    struct control_answer a;
    char hash[80], name[80], author[80], approver[80], proposed[40], approved[40];
    if (control_call(call, HTTP_GET, "/sluis/v1/policies", SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    if (!print_json(call, &a)) {
        uint32_t list = json_get(&a.json, 0, SPAN("versions"));
        printf("%-18s %-20s %-18s %-18s %-26s %s\n", "hash", "name", "author", "approver",
               "put forward", "approved");
        for (uint32_t v = json_first(&a.json, list); v != JSON_NONE; v = json_next(&a.json, v))
            printf("%-18.16s %-20s %-18s %-18s %-26s %s\n",
                   print_member(&a, v, "hash", hash, sizeof(hash)),
                   print_member(&a, v, "name", name, sizeof(name)),
                   print_member(&a, v, "author", author, sizeof(author)),
                   print_member(&a, v, "approver", approver, sizeof(approver))[0] ? approver : "-",
                   print_member(&a, v, "proposed", proposed, sizeof(proposed)),
                   print_member(&a, v, "approved", approved, sizeof(approved)));
    }
    control_free(&a);
    return CLI_DONE;
}

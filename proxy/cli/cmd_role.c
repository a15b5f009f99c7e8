/* `sluis role`: what persons were granted, and the access review. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

int cmd_role_add(const struct cli_call *call)
{
    struct control_answer a;
    struct buffer body;
    char id[32];
    const char *person = cli_value(call, "--person", 0), *role = cli_value(call, "--role", 0);
    bool all = cli_has(call, "--all");
    if (!person || !role || all == cli_has(call, "--channel"))
        return cli_usage(call, "--person, --role, and --channel or --all are needed");
    buffer_init(&body, 64 * 1024);
    buffer_add(&body, SPAN("{\"person\":"));
    json_quote(&body, span_str(person));
    buffer_add(&body, SPAN(",\"role\":"));
    json_quote(&body, span_str(role));
    buffer_add_str(&body, all ? ",\"channels\":\"all\"" : ",\"channels\":[");
    for (unsigned i = 0; cli_value(call, "--channel", i); i++) {
        buffer_add_str(&body, i ? "," : "");
        json_quote(&body, span_str(cli_value(call, "--channel", i)));
    }
    buffer_add_str(&body, all ? "}" : "]}");
    int r = control_call(call, HTTP_POST, "/sluis/v1/roles", buffer_span(&body), &a);
    buffer_free(&body);
    if (r != 0)
        return r;
    if (!print_json(call, &a))
        printf("grant %s: %s is %s\n", print_member(&a, 0, "id", id, sizeof(id)), person, role);
    control_free(&a);
    return CLI_DONE;
}

int cmd_role_revoke(const struct cli_call *call)
{
    struct control_answer a;
    char target[64];
    uint64_t id;
    if (cli_id(call, "role list", &id) != 0)
        return CLI_USAGE;
    if (cli_has(call, "--dry-run")) {
        printf("grant %llu would count no more\n", (unsigned long long)id);
        return CLI_DONE;
    }
    snprintf(target, sizeof(target), "/sluis/v1/roles/%llu", (unsigned long long)id);
    if (control_call(call, HTTP_DELETE, target, SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    if (!print_json(call, &a))
        printf("grant %llu is revoked\n", (unsigned long long)id);
    control_free(&a);
    return CLI_DONE;
}

#define HEADS "%-7s %-6s %-20s %-16s %-24s %-18s %-26s %s\n"

static void print_grant(struct control_answer *a, uint32_t g, const char *kind, const char *name,
                        const char *last)
{
    char id[32], role[80], channels[1024], by[80], when[40];
    printf(HEADS, kind, print_member(a, g, "id", id, sizeof(id)), name,
           print_member(a, g, "role", role, sizeof(role))[0] ? role : "-",
           print_member(a, g, "channels", channels, sizeof(channels)),
           print_member(a, g, "granted_by", by, sizeof(by))[0] ? by : "-",
           print_member(a, g, "granted", when, sizeof(when)), last);
}

/* Behind the last use: who enrolled and who vouched for it, as far as that is known. */
static void add_enrolment(struct control_answer *a, uint32_t p, char last[256])
{
    char by[80], confirmed[80], waits[8];
    size_t n = strlen(last);
    print_member(a, p, "enrolled_by", by, sizeof(by));
    print_member(a, p, "confirmed_by", confirmed, sizeof(confirmed));
    if (print_member(a, p, "waits", waits, sizeof(waits))[0] == 't')
        snprintf(last + n, 256 - n, "  WAITS: enrolled by %s, not confirmed", by);
    else if (confirmed[0])
        snprintf(last + n, 256 - n, "  enrolled by %s, confirmed by %s", by, confirmed);
}

static void print_persons(struct control_answer *a, bool review)
{
    char name[80], last[256], by[80], when[40];
    uint32_t list = json_get(&a->json, 0, SPAN("persons"));
    for (uint32_t p = json_first(&a->json, list); p != JSON_NONE; p = json_next(&a->json, p)) {
        uint32_t grants = json_get(&a->json, p, SPAN("grants")), g = json_first(&a->json, grants);
        print_member(a, p, "name", name, sizeof(name));
        print_member(a, p, "last_use", last, sizeof(last));
        if (review)
            add_enrolment(a, p, last);
        if (g == JSON_NONE && review) /* an account that may nothing is for the review too */
            printf(HEADS, "person", "-", name, "-", "-",
                   print_member(a, p, "added_by", by, sizeof(by)),
                   print_member(a, p, "added", when, sizeof(when)), last);
        for (; g != JSON_NONE; g = json_next(&a->json, g))
            print_grant(a, g, "person", name, last);
    }
}

int cmd_role_list(const struct cli_call *call)
{
    struct control_answer a;
    char name[80], last[40];
    bool review = cli_has(call, "--review");
    if (control_call(call, HTTP_GET, "/sluis/v1/roles", SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    if (!print_json(call, &a)) {
        printf(HEADS, "kind", "id", "name", "role", "channels", "granted by", "granted",
               "last use");
        print_persons(&a, review);
        uint32_t list = json_get(&a.json, 0, SPAN("tokens"));
        uint32_t t = review ? json_first(&a.json, list) : JSON_NONE;
        for (; t != JSON_NONE; t = json_next(&a.json, t)) {
            print_member(&a, t, "name", name, sizeof(name));
            print_grant(&a, t, "token", name, print_member(&a, t, "last_use", last, sizeof(last)));
        }
    }
    control_free(&a);
    return CLI_DONE;
}

int cmd_person_list(const struct cli_call *call)
{
    struct control_answer a;
    if (control_call(call, HTTP_GET, "/sluis/v1/roles", SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    if (!print_json(call, &a)) {
        printf(HEADS, "kind", "id", "name", "role", "channels", "granted by", "granted",
               "last use");
        print_persons(&a, true);
    }
    control_free(&a);
    return CLI_DONE;
}

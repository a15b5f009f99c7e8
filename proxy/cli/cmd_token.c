#include "internal.h"

#include "sluis/base/clock.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define DAY_MS (24 * 3600 * INT64_C(1000))
#define DAYS_MAX 3660

static int token_body(const struct cli_call *call, struct buffer *out)
{
    const char *route = cli_value(call, "--route", 0), *days = cli_value(call, "--expires", 0);
    buffer_add(out, SPAN("{\"name\":"));
    json_quote(out, span_str(cli_value(call, "--name", 0)));
    buffer_add(out, SPAN(",\"channels\":["));
    for (unsigned i = 0; cli_value(call, "--channel", i); i++) {
        if (i)
            buffer_add_char(out, ',');
        json_quote(out, span_str(cli_value(call, "--channel", i)));
    }
    buffer_add_char(out, ']');
    if (route) {
        buffer_add(out, SPAN(",\"route\":"));
        json_quote(out, span_str(route));
    }
    if (cli_value(call, "--role", 0)) {
        buffer_add(out, SPAN(",\"role\":"));
        json_quote(out, span_str(cli_value(call, "--role", 0)));
    }
    for (unsigned i = 0; cli_value(call, "--range", i); i++) {
        buffer_add_str(out, i ? "," : ",\"ranges\":[");
        json_quote(out, span_str(cli_value(call, "--range", i)));
    }
    if (cli_has(call, "--range"))
        buffer_add_char(out, ']');
    if (days) {
        uint64_t n;
        if (span_u64(span_str(days), &n) != 0 || n == 0 || n > DAYS_MAX)
            return cli_usage(call, "--expires %s: 1 to %d days", days, DAYS_MAX);
        buffer_addf(out, ",\"expires_ms\":%lld",
                    (long long)(clock_wall_ms() + (int64_t)n * DAY_MS));
    }
    buffer_add_char(out, '}');
    return 0;
}

static int show_token(const struct cli_call *call, struct control_answer *a)
{
    char id[32], token[128];
    if (!print_json(call, a)) {
        fprintf(stderr, "Token %s. It is shown this once and stored hashed; give it to the tool.\n",
                print_member(a, 0, "id", id, sizeof(id)));
        printf("%s\n", print_member(a, 0, "token", token, sizeof(token)));
        sodium_memzero(token, sizeof(token));
    }
    control_free(a);
    return CLI_DONE;
}

int cmd_token_rotate(const struct cli_call *call)
{
    struct control_answer a;
    char target[64], body[64];
    uint64_t id, hours = 24;
    const char *overlap = cli_value(call, "--overlap", 0);
    if (cli_id(call, "token list", &id) != 0)
        return CLI_USAGE;
    if (overlap && (span_u64(span_str(overlap), &hours) != 0 || hours > 744))
        return cli_usage(call, "--overlap %s: 0 to 744 hours", overlap);
    snprintf(target, sizeof(target), "/sluis/v1/tokens/%llu/rotate", (unsigned long long)id);
    snprintf(body, sizeof(body), "{\"overlap_s\":%llu}", (unsigned long long)hours * 3600);
    int r = control_call(call, HTTP_POST, target, span_str(body), &a);
    return r ? r : show_token(call, &a);
}

int cmd_token_add(const struct cli_call *call)
{
    struct control_answer a;
    struct buffer body;
    if (!cli_value(call, "--name", 0) || !cli_value(call, "--channel", 0))
        return cli_usage(call, "--name and --channel are needed");
    buffer_init(&body, 64 * 1024);
    int r = token_body(call, &body);
    if (r == 0)
        r = control_call(call, HTTP_POST, "/sluis/v1/tokens", buffer_span(&body), &a);
    buffer_free(&body);
    return r ? r : show_token(call, &a);
}

int cmd_token_list(const struct cli_call *call)
{
    struct control_answer a;
    char id[32], name[80], channels[2048], expires[64], revoked[16];
    if (control_call(call, HTTP_GET, "/sluis/v1/tokens", SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    if (!print_json(call, &a)) {
        uint32_t list = json_get(&a.json, 0, SPAN("tokens"));
        printf("%-6s %-24s %-9s %-26s %s\n", "id", "name", "state", "expires", "channels");
        for (uint32_t t = json_first(&a.json, list); t != JSON_NONE; t = json_next(&a.json, t)) {
            bool is_revoked = print_member(&a, t, "revoked", revoked, sizeof(revoked))[0] == 't';
            printf("%-6s %-24s %-9s %-26s %s\n", print_member(&a, t, "id", id, sizeof(id)),
                   print_member(&a, t, "name", name, sizeof(name)),
                   is_revoked ? "revoked" : "valid",
                   print_member(&a, t, "expires", expires, sizeof(expires)),
                   print_member(&a, t, "channels", channels, sizeof(channels)));
        }
    }
    control_free(&a);
    return CLI_DONE;
}

int cmd_token_revoke(const struct cli_call *call)
{
    struct control_answer a;
    char target[64];
    uint64_t id;
    if (cli_id(call, "token list", &id) != 0)
        return CLI_USAGE;
    snprintf(target, sizeof(target), "/sluis/v1/tokens/%llu", (unsigned long long)id);
    if (control_call(call, HTTP_DELETE, target, SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    if (!print_json(call, &a))
        printf("token %llu is revoked\n", (unsigned long long)id);
    control_free(&a);
    return CLI_DONE;
}

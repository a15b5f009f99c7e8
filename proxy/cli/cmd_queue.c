#include "internal.h"

#include <stdio.h>
#include <string.h>

static void print_routes(const struct control_answer *a)
{
    char name[160], waiting[32], flight[32], parked[32], expired[32], paused[8];
    uint32_t list = json_get(&a->json, 0, SPAN("routes"));
    for (uint32_t r = json_first(&a->json, list); r != JSON_NONE; r = json_next(&a->json, r)) {
        bool stopped = print_member(a, r, "paused", paused, sizeof(paused))[0] == 't';
        printf("route %s%s: %s waiting, %s under way, %s parked, %s expired\n",
               print_member(a, r, "name", name, sizeof(name)), stopped ? " (paused)" : "",
               print_member(a, r, "waiting", waiting, sizeof(waiting)),
               print_member(a, r, "in_flight", flight, sizeof(flight)),
               print_member(a, r, "parked", parked, sizeof(parked)),
               print_member(a, r, "expired", expired, sizeof(expired)));
    }
}

static void print_rows(const struct control_answer *a)
{
    char route[160], serial[32], state[16], attempts[16], status[16], at[40];
    uint32_t list = json_get(&a->json, 0, SPAN("deliveries"));
    printf("%-32s %-12s %-8s %-8s %-6s %s\n", "route", "serial", "state", "attempts", "status",
           "next or last");
    for (uint32_t r = json_first(&a->json, list); r != JSON_NONE; r = json_next(&a->json, r))
        printf("%-32s %-12s %-8s %-8s %-6s %s\n", print_member(a, r, "route", route, sizeof(route)),
               print_member(a, r, "serial", serial, sizeof(serial)),
               print_member(a, r, "state", state, sizeof(state)),
               print_member(a, r, "attempts", attempts, sizeof(attempts)),
               print_member(a, r, "last_status", status, sizeof(status)),
               print_member(a, r, "at", at, sizeof(at)));
}

static void print_quarantine(const struct control_answer *a)
{
    char app[80], reason[80], bytes[32];
    uint32_t list = json_get(&a->json, 0, SPAN("quarantine"));
    for (uint32_t r = json_first(&a->json, list); r != JSON_NONE; r = json_next(&a->json, r))
        printf("quarantine: app %s, %s, %s bytes\n", print_member(a, r, "app", app, sizeof(app)),
               print_member(a, r, "reason", reason, sizeof(reason)),
               print_member(a, r, "bytes", bytes, sizeof(bytes)));
}

static void print_more(const struct control_answer *a)
{
    char more[8];
    if (print_member(a, 0, "more", more, sizeof(more))[0] == 't')
        fprintf(stderr, "There is more than this listing shows.\n");
}

int cmd_queue_list(const struct cli_call *call)
{
    struct control_answer deliveries, quarantine;
    if (control_call(call, HTTP_GET, "/sluis/v1/queue", SPAN_EMPTY, &deliveries) != 0)
        return CLI_FAILED;
    if (control_call(call, HTTP_GET, "/sluis/v1/quarantine", SPAN_EMPTY, &quarantine) != 0) {
        control_free(&deliveries);
        return CLI_FAILED;
    }
    if (cli_has(call, "--json")) { /* one object of the two */
        struct span a = buffer_span(&deliveries.text), b = buffer_span(&quarantine.text);
        while (a.n && a.p[a.n - 1] != '}')
            a.n--;
        while (b.n && b.p[b.n - 1] != '}')
            b.n--;
        printf("{\"queue\":%.*s,\"held\":%.*s}\n", (int)a.n, a.p, (int)b.n, b.p);
    } else {
        print_routes(&deliveries);
        print_rows(&deliveries);
        print_quarantine(&quarantine);
        print_more(&deliveries);
        print_more(&quarantine);
    }
    control_free(&deliveries);
    control_free(&quarantine);
    return CLI_DONE;
}

static int act(const struct cli_call *call, const char *target, const char *said)
{
    struct control_answer a;
    struct buffer body;
    uint64_t serial = 0;
    if (call->word_count > 1 && span_u64(span_str(call->words[1]), &serial) != 0)
        return cli_usage(call, "SERIAL %s: a number from `sluis queue list`", call->words[1]);
    buffer_init(&body, 4096);
    buffer_add(&body, SPAN("{\"route\":"));
    json_quote(&body, span_str(call->words[0]));
    if (serial)
        buffer_addf(&body, ",\"serial\":%llu", (unsigned long long)serial);
    buffer_add_char(&body, '}');
    int r = control_call(call, HTTP_POST, target, buffer_span(&body), &a);
    buffer_free(&body);
    if (r != 0)
        return r;
    if (!print_json(call, &a))
        printf("%s\n", said);
    control_free(&a);
    return CLI_DONE;
}

int cmd_queue_retry(const struct cli_call *call)
{
    if (call->word_count < 1 || call->word_count > 2)
        return cli_usage(call, "ROUTE is needed, SERIAL is optional");
    return act(call, "/sluis/v1/queue/retry", "trying again");
}

/* "webcare" stands for "burgerzaken/webcare". */
static bool same_route(const char *full, const char *given)
{
    const char *slash = strchr(full, '/');
    return strcmp(full, given) == 0 || (slash && strcmp(slash + 1, given) == 0);
}

/* What a drop would do: the row of the listing, or that there is none. */
static int dry_run(const struct cli_call *call)
{
    struct control_answer a;
    char route[160], serial[32];
    int code = CLI_FAILED;
    if (control_call(call, HTTP_GET, "/sluis/v1/queue", SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    uint32_t list = json_get(&a.json, 0, SPAN("deliveries"));
    for (uint32_t r = json_first(&a.json, list); r != JSON_NONE; r = json_next(&a.json, r)) {
        print_member(&a, r, "route", route, sizeof(route));
        print_member(&a, r, "serial", serial, sizeof(serial));
        if (strcmp(serial, call->words[1]) != 0 || !same_route(route, call->words[0]))
            continue;
        struct span raw = json_raw(&a.json, r);
        if (cli_has(call, "--json"))
            printf("{\"would_drop\":%.*s}\n", (int)raw.n, raw.p);
        else
            printf("would drop delivery %s of route %s\n", serial, route);
        code = CLI_DONE;
    }
    control_free(&a);
    if (code != CLI_DONE)
        fprintf(stderr, "sluis queue drop: no such delivery\n");
    return code;
}

int cmd_queue_drop(const struct cli_call *call)
{
    uint64_t serial;
    if (call->word_count != 2)
        return cli_usage(call, "ROUTE and SERIAL are needed");
    if (span_u64(span_str(call->words[1]), &serial) != 0)
        return cli_usage(call, "SERIAL %s: a number from `sluis queue list`", call->words[1]);
    if (cli_has(call, "--dry-run"))
        return dry_run(call);
    return act(call, "/sluis/v1/queue/drop", "dropped");
}

#include "internal.h"

#include <stdio.h>
#include <string.h>

static int ask_route(const struct cli_call *call, const char *route)
{
    struct control_answer a;
    struct buffer body;
    char result[64], status[16], ms[16], advice[512];
    buffer_init(&body, 4096);
    buffer_add(&body, SPAN("{\"route\":"));
    json_quote(&body, span_str(route));
    buffer_add_char(&body, '}');
    int r = control_call(call, HTTP_POST, "/sluis/v1/doctor/route", buffer_span(&body), &a);
    buffer_free(&body);
    if (r != 0)
        return r;
    print_member(&a, 0, "status", status, sizeof(status));
    if (!print_json(call, &a))
        printf("route %s: %s, status %s, %s ms\n  %s\n", route,
               print_member(&a, 0, "result", result, sizeof(result)), status,
               print_member(&a, 0, "ms", ms, sizeof(ms)),
               print_member(&a, 0, "advice", advice, sizeof(advice)));
    control_free(&a);
    return status[0] == '2' ? CLI_DONE : CLI_FAILED;
}

static int ask_meta(const struct cli_call *call)
{
    static const char *const meanings[][2] = {
        {"ours", "points at this gateway"},
        {"foreign", "points ELSEWHERE: messages go round the gateway"},
        {"unknown",
         "could not be read (token, network, or no listeners.meta.url in the configuration)"}};
    struct control_answer a;
    int worst = CLI_DONE;
    if (control_call(call, HTTP_POST, "/sluis/v1/doctor/meta", SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    bool json = print_json(call, &a);
    uint32_t list = json_get(&a.json, 0, SPAN("channels"));
    for (uint32_t c = json_first(&a.json, list); c != JSON_NONE; c = json_next(&a.json, c)) {
        char name[80], found[16], apps[16];
        print_member(&a, c, "channel", name, sizeof(name));
        print_member(&a, c, "callback", found, sizeof(found));
        print_member(&a, c, "apps", apps, sizeof(apps));
        for (size_t i = 0; i < 3; i++)
            if (strcmp(found, meanings[i][0]) == 0 && !json)
                printf("channel %s: the callback %s\n", name, meanings[i][1]);
        bool one_app = strcmp(apps, "1") == 0;
        if (!json && !one_app && strcmp(apps, "null") != 0)
            printf("channel %s: %s apps are subscribed: each gets every message\n", name, apps);
        if (strcmp(found, "ours") != 0 || !one_app)
            worst = CLI_FAILED;
    }
    control_free(&a);
    return worst;
}

/* What becomes of pictures is said, whatever it is: without the worker they are withheld. */
static int ask_pictures(const struct cli_call *call, bool json)
{
    struct control_answer a;
    char words[512];
    if (control_call(call, HTTP_GET, "/sluis/v1/status", SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    uint32_t node = json_get(&a.json, 0, SPAN("pictures"));
    struct span raw = json_raw(&a.json, node);
    if (json)
        printf(",\"pictures\":%.*s}\n", (int)raw.n, raw.p);
    else
        printf("pictures: %s\n", print_member(&a, 0, "pictures", words, sizeof(words)));
    control_free(&a);
    return CLI_DONE;
}

static int ask_health(const struct cli_call *call)
{
    static const char *const names[] = {"meta", "tools"};
    bool json = cli_has(call, "--json");
    int worst = CLI_DONE;
    for (size_t i = 0; i < 2; i++) {
        struct control_answer a;
        char target[32];
        snprintf(target, sizeof(target), "/readyz/%s", names[i]);
        if (control_ask(call, HTTP_GET, target, SPAN_EMPTY, &a) != 0)
            return CLI_FAILED;
        bool ready = a.status == 200;
        struct span text = buffer_span(&a.text);
        text = span_sub(text, 0, span_find(text, '\n'));
        if (json)
            printf("%s\"%s\":{\"ready\":%s,\"text\":\"%.*s\"}", i ? "," : "{", names[i],
                   ready ? "true" : "false", (int)text.n, text.p);
        else
            printf("readyz/%s: %.*s\n", names[i], (int)text.n, text.p);
        if (!ready)
            worst = CLI_FAILED;
        control_free(&a);
    }
    return ask_pictures(call, json) == CLI_DONE ? worst : CLI_FAILED;
}

int cmd_doctor(const struct cli_call *call)
{
    const char *route = cli_value(call, "--route", 0);
    int worst = CLI_DONE;
    if (call->word_count)
        return cli_usage(call, "no words are expected");
    if (!route && !cli_has(call, "--meta") && !cli_has(call, "--store"))
        return ask_health(call);
    if (route)
        worst = ask_route(call, route);
    if (cli_has(call, "--meta") && ask_meta(call) != CLI_DONE)
        worst = CLI_FAILED;
    if (cli_has(call, "--store") && doctor_store(call) != CLI_DONE)
        worst = CLI_FAILED;
    return worst;
}

#include "doctor.h"

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

/* One channel's callback and apps, in words; false when something is wrong. */
static bool judge_meta(const struct control_answer *a, uint32_t c, bool say)
{
    char name[80], found[16], apps[16], want[2048];
    print_member(a, c, "channel", name, sizeof(name));
    print_member(a, c, "callback", found, sizeof(found));
    print_member(a, c, "apps", apps, sizeof(apps));
    print_member(a, c, "expected", want, sizeof(want));
    bool ours = strcmp(found, "ours") == 0, one_app = strcmp(apps, "1") == 0;
    if (!say)
        return ours && one_app;
    if (ours)
        printf("channel %s: Meta's callback is this gateway\n", name);
    else if (strcmp(found, "foreign") == 0)
        printf("channel %s: Meta's callback points ELSEWHERE: messages go round the gateway; set "
               "it to %s, at Meta (of the number, the account and the app the first that is set "
               "counts)\n",
               name, want);
    else if (strcmp(want, "null") == 0)
        printf("channel %s: whose Meta's callback is cannot be told: listeners.meta.url, the "
               "address at which Meta reaches this gateway, is not in the configuration\n",
               name);
    else
        printf("channel %s: Meta did not say where its callback points: may the channel's token "
               "read it, and can Meta be reached from here?\n",
               name);
    if (strcmp(apps, "null") == 0)
        printf("channel %s: Meta did not say which apps are subscribed to the account\n", name);
    else if (strcmp(apps, "0") == 0)
        printf("channel %s: no app is subscribed to the account: no message comes\n", name);
    else if (!one_app)
        printf("channel %s: %s apps are subscribed to the account: each gets every message, also "
               "those that are not this gateway's\n",
               name, apps);
    return ours && one_app;
}

static int ask_meta(const struct cli_call *call)
{
    struct control_answer a;
    int worst = CLI_DONE;
    if (control_call(call, HTTP_POST, "/sluis/v1/doctor/meta", SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    bool json = print_json(call, &a);
    uint32_t list = json_get(&a.json, 0, SPAN("channels"));
    for (uint32_t c = json_first(&a.json, list); c != JSON_NONE; c = json_next(&a.json, c))
        if (!judge_meta(&a, c, !json))
            worst = CLI_FAILED;
    control_free(&a);
    return worst;
}

/* Ready for Meta, ready for tools: {"ready":...,"text":...} each in JSON. */
static void ask_ready(const struct cli_call *call, struct doctor_report *r, struct buffer *json)
{
    static const char *const names[] = {"meta", "tools"};
    for (size_t i = 0; i < 2; i++) {
        struct control_answer a;
        char target[32];
        snprintf(target, sizeof(target), "/readyz/%s", names[i]);
        if (control_ask(call, HTTP_GET, target, SPAN_EMPTY, &a) != 0) {
            doctor_find(r, DOCTOR_FAULT, "gateway: it gave no answer");
            return;
        }
        struct span text = buffer_span(&a.text);
        text = span_sub(text, 0, span_find(text, '\n'));
        doctor_find(r, a.status == 200 ? DOCTOR_OK : DOCTOR_FAULT, "readyz/%s: %.*s", names[i],
                    (int)text.n, text.n ? text.p : "");
        buffer_addf(json, "\"%s\":{\"ready\":%s,\"text\":", names[i],
                    a.status == 200 ? "true" : "false");
        json_quote(json, text);
        buffer_add(json, SPAN("},"));
        control_free(&a);
    }
}

static void judge_route(struct doctor_report *r, const struct control_answer *a, uint32_t route)
{
    char name[160], state[16], by[64], parked[24];
    print_member(a, route, "name", name, sizeof(name));
    print_member(a, route, "state", state, sizeof(state));
    print_member(a, route, "paused_by", by, sizeof(by));
    print_member(a, route, "parked", parked, sizeof(parked));
    if (strcmp(state, "active") != 0)
        doctor_find(r, DOCTOR_FAULT,
                    "route %s: %s%s%s; messages wait: sluis doctor --route %s says why, then sluis "
                    "queue retry %s",
                    name, state, by[0] ? " by " : "", by, name, name);
    else if (strcmp(parked, "0") != 0)
        doctor_find(r, DOCTOR_WARNING,
                    "route %s: %s parked: sluis queue list, then queue retry or drop", name,
                    parked);
}

/* What the running gateway knows: pictures (without the worker they are withheld, which is said),
 * the log, routes that stand still. */
static void ask_running(const struct cli_call *call, struct doctor_report *r, struct buffer *json)
{
    struct control_answer a;
    char words[512];
    if (control_call(call, HTTP_GET, "/sluis/v1/status", SPAN_EMPTY, &a) != 0) {
        doctor_find(r, DOCTOR_FAULT, "gateway: it refused to give its status");
        return;
    }
    struct span raw = json_raw(&a.json, json_get(&a.json, 0, SPAN("pictures")));
    buffer_add(json, SPAN("\"pictures\":"));
    buffer_add(json, raw);
    buffer_add_char(json, ',');
    print_member(&a, 0, "pictures", words, sizeof(words));
    doctor_find(r, strncmp(words, "withheld", 8) == 0 ? DOCTOR_WARNING : DOCTOR_OK, "pictures: %s",
                words);
    if (strcmp(print_member(&a, 0, "log.refuses", words, sizeof(words)), "true") == 0)
        doctor_find(r, DOCTOR_FAULT,
                    "access log: no checkpoint leaves, so that nothing is shown or sent: look at "
                    "log_checkpoints");
    uint32_t list = json_get(&a.json, 0, SPAN("routes"));
    for (uint32_t i = json_first(&a.json, list); i != JSON_NONE; i = json_next(&a.json, i))
        judge_route(r, &a, i);
    control_free(&a);
}

static bool is_running(const struct cli_call *call)
{
    struct control_answer a;
    if (control_ask(call, HTTP_GET, "/livez", SPAN_EMPTY, &a) != 0)
        return false;
    control_free(&a);
    return true;
}

static int ask_health(const struct cli_call *call)
{
    const char *file = cli_value(call, "--config", 0);
    struct doctor_report r = {.json = cli_has(call, "--json"), .running = is_running(call)};
    struct buffer ready;
    buffer_init(&r.out, 256 * 1024);
    buffer_init(&ready, 64 * 1024);
    if (file || !cli_has(call, "--socket"))
        doctor_here(&r, file ? file : CLI_CONFIG);
    if (r.running) {
        ask_ready(call, &r, &ready);
        ask_running(call, &r, &ready);
    } else {
        doctor_find(&r, DOCTOR_FAULT, "gateway: it does not answer");
    }
    if (r.json)
        printf("{%.*s\"running\":%s,\"findings\":[%.*s]}\n", (int)ready.n, ready.n ? ready.p : "",
               r.running ? "true" : "false", (int)r.out.n, r.out.n ? r.out.p : "");
    buffer_free(&ready);
    buffer_free(&r.out);
    return r.counts[DOCTOR_FAULT] ? CLI_FAILED : CLI_DONE;
}

int cmd_doctor(const struct cli_call *call)
{
    const char *route = cli_value(call, "--route", 0);
    int worst = CLI_DONE;
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

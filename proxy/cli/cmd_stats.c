/* `sluis stats`: how much, how fast, what was found; never about one person. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

#define NUMBER_MAX 32

/* "<5" for what is too few to be told. */
static const char *number(const struct control_answer *a, uint32_t object, const char *member,
                          char out[NUMBER_MAX])
{
    uint32_t node = json_path(&a->json, object, member);
    struct span raw = json_raw(&a->json, node);
    bool told = raw.n && raw.p[0] >= '0' && raw.p[0] <= '9';
    snprintf(out, NUMBER_MAX, "%.*s", told ? (int)raw.n : 2, told ? raw.p : "<5");
    return out;
}

static void print_wait(const struct control_answer *a, uint32_t cell, const char *member,
                       const char *title)
{
    uint32_t wait = json_get(&a->json, cell, span_str(member));
    char count[NUMBER_MAX], median[NUMBER_MAX], p90[NUMBER_MAX];
    if (json_is(&a->json, wait, JSON_OBJECT))
        printf("  %s: median %s s, p90 %s s, of %s\n", title, number(a, wait, "median_s", median),
               number(a, wait, "p90_s", p90), number(a, wait, "count", count));
    else
        printf("  %s: too few to tell\n", title);
}

/* Members that stand for numbers of something: name and number, in their order. */
static void print_numbers(const struct control_answer *a, uint32_t object)
{
    bool any = false;
    for (uint32_t n = json_first(&a->json, object); n != JSON_NONE; n = json_next(&a->json, n)) {
        const struct json_node *node = json_node(&a->json, n);
        struct span name = span_sub(a->json.text, node->name_start, node->name_end);
        struct span raw = json_raw(&a->json, n);
        bool none = json_is(&a->json, n, JSON_NULL);
        if ((!none && !json_is(&a->json, n, JSON_NUMBER)) || span_eq(name, SPAN("hours")) ||
            span_eq(name, SPAN("first_response")) || span_eq(name, SPAN("follow_up")))
            continue;
        printf("%s %.*s %.*s", any ? "," : "", (int)name.n, name.p, none ? 2 : (int)raw.n,
               none ? "<5" : raw.p);
        any = true;
    }
    printf("%s\n", any ? "" : " nothing of which there were five");
}

static void print_cell(const struct control_answer *a, uint32_t cell)
{
    char from[64], channel[200], part[200];
    uint32_t found = json_get(&a->json, cell, SPAN("found"));
    printf("from %s, channel %s", print_member(a, cell, "from", from, sizeof(from)),
           print_member(a, cell, "channel", channel, sizeof(channel)));
    bool route = print_member(a, cell, "route", part, sizeof(part))[0] != '\0';
    if (route)
        printf(", route %s", part);
    bool tag = print_member(a, cell, "tag", part, sizeof(part))[0] != '\0';
    if (tag)
        printf(", tag %s", part);
    printf("\n ");
    print_numbers(a, cell);
    if (!tag) {
        printf("  found:");
        print_numbers(a, found);
    }
    if (!route && !tag) {
        print_wait(a, cell, "first_response", "first response");
        print_wait(a, cell, "follow_up", "follow-up");
    }
}

int cmd_stats(const struct cli_call *call)
{
    static const char *const names[] = {"channel", "from", "to", "by", NULL};
    struct control_answer a;
    struct buffer target;
    if (!cli_value(call, "--channel", 0))
        return cli_usage(call, "--channel is needed");
    buffer_init(&target, 4096);
    buffer_add_str(&target, "/sluis/v1/statistics?a=1");
    (void)control_add_options(call, names, &target);
    int r = control_get(call, &target, &a);
    buffer_free(&target);
    if (r != 0)
        return r;
    if (!print_json(call, &a)) {
        uint32_t list = json_get(&a.json, 0, SPAN("counts"));
        for (uint32_t c = json_first(&a.json, list); c != JSON_NONE; c = json_next(&a.json, c))
            print_cell(&a, c);
        if (json_first(&a.json, list) == JSON_NONE)
            printf("nothing in this period of which there were five\n");
    }
    control_free(&a);
    return CLI_DONE;
}

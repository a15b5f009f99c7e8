/* `sluis policy report --month 2026-11`: the monthly control report, counted from the access log
 * (which is read for it, and that is on record): findings, reveals, refusals, outgoing hits by
 * role, exceptions. No content: the log has none. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

#define TALLIES_MAX 2000 /* rows of the report; the rest is counted as such */
#define KEY_MAX 200
#define LINE_ARENA_MAX (64 * 1024)

enum group { FINDINGS, OUTGOING, REVEALS, REFUSALS, EXCEPTIONS, ACTIONS, GROUPS };
static const char *const titles[GROUPS][2] = {
    [FINDINGS] = {"Bevindingen in wat binnenkwam, per route", "Findings in what came in, by route"},
    [OUTGOING] = {"Bevindingen in wat uitging, per rol", "Findings in what went out, by role"},
    [REVEALS] = {"Getoond achter maskering", "Revealed behind masks"},
    [REFUSALS] = {"Geweigerd", "Refused"},
    [EXCEPTIONS] = {"Bijzonderheden", "Exceptions"},
    [ACTIONS] = {"Regels in het logboek, per soort", "Leaves of the log, by action"},
};
static const char *const words[GROUPS] = {
    [FINDINGS] = "findings", [OUTGOING] = "outgoing",     [REVEALS] = "reveals",
    [REFUSALS] = "refusals", [EXCEPTIONS] = "exceptions", [ACTIONS] = "actions"};

struct tally {
    enum group group;
    char key[KEY_MAX];
    unsigned long long n;
};
struct report {
    struct tally *at;
    size_t n;
    unsigned long long leaves, uncounted;
};

static void tally(struct report *r, enum group group, const char *key, unsigned long long n)
{
    size_t i = 0;
    while (i < r->n && (r->at[i].group != group || strcmp(r->at[i].key, key) != 0))
        i++;
    if (i == TALLIES_MAX) {
        r->uncounted += n;
        return;
    }
    if (i == r->n) {
        r->at[r->n].group = group;
        snprintf(r->at[r->n++].key, KEY_MAX, "%s", key);
    }
    r->at[i].n += n;
}

/* A member of the leaf as text, "" when absent; names in it are ours or the officer's. */
static const char *member(const struct json_doc *doc, uint32_t leaf, const char *name, char *out,
                          size_t size)
{
    uint32_t node = json_get(doc, leaf, span_str(name));
    struct span s = node == JSON_NONE                 ? SPAN_EMPTY
                    : json_is(doc, node, JSON_STRING) ? json_inner(doc, node)
                                                      : json_raw(doc, node);
    snprintf(out, size, "%.*s", (int)(s.n < size ? s.n : size - 1), s.n ? s.p : "");
    return out;
}

static void tally_types(struct report *r, enum group group, const char *who,
                        const struct json_doc *doc, uint32_t leaf)
{
    uint32_t list = json_get(doc, leaf, SPAN("masked"));
    for (uint32_t t = json_first(doc, list); t != JSON_NONE; t = json_next(doc, t)) {
        char key[KEY_MAX];
        struct span type = json_inner(doc, t);
        snprintf(key, sizeof(key), "%s: %.*s", who, (int)(type.n < 64 ? type.n : 64), type.p);
        tally(r, group, key, 1);
    }
}

static bool is_exception(const char *action, const char *outcome)
{
    static const char *const actions[] = {"clock",    "quarantine", "keys", "policy",
                                          "incident", "hold",       "stop"};
    static const char *const outcomes[] = {"unjudged", "observed", "log_accepted"};
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(action, actions[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
        if (strcmp(outcome, outcomes[i]) == 0)
            return true;
    return strstr(outcome, "glass") || strstr(outcome, "operator");
}

static void take_leaf(struct report *r, const struct json_doc *doc, uint32_t leaf)
{
    char action[32], outcome[64], role[100], actor[170], route[170], code[16], key[KEY_MAX];
    member(doc, leaf, "action", action, sizeof(action));
    member(doc, leaf, "outcome", outcome, sizeof(outcome));
    member(doc, leaf, "role", role, sizeof(role));
    member(doc, leaf, "actor", actor, sizeof(actor));
    member(doc, leaf, "route", route, sizeof(route));
    member(doc, leaf, "code", code, sizeof(code));
    r->leaves++;
    tally(r, ACTIONS, action, 1);
    if (strcmp(action, "deliver_intent") == 0)
        tally_types(r, FINDINGS, route[0] ? route : "-", doc, leaf);
    if (strcmp(action, "send_intent") == 0)
        tally_types(r, OUTGOING, role[0] ? role : actor, doc, leaf);
    snprintf(key, sizeof(key), "%.60s%s%.60s: %.40s%s%s", role, role[0] ? " / " : "", actor,
             outcome, code[0] ? ", " : "", code);
    if (strcmp(action, "reveal") == 0)
        tally(r, REVEALS, key, 1);
    if (strcmp(action, "refuse") == 0)
        tally(r, REFUSALS, key, 1);
    snprintf(key, sizeof(key), "%s: %s", action, outcome);
    if (is_exception(action, outcome))
        tally(r, EXCEPTIONS, key, 1);
}

/* The lines of one page; *next: where the next begins, 0 at the end. */
static int take_page(struct report *r, struct span text, unsigned long long *next)
{
    struct arena arena;
    int error = 0;
    *next = 0;
    arena_init(&arena, LINE_ARENA_MAX);
    for (size_t at = 0; at < text.n && !error;) {
        size_t end = at;
        struct json_doc doc;
        while (end < text.n && text.p[end] != '\n')
            end++;
        arena_reset(&arena);
        struct span line = span_sub(text, at, end);
        at = end + 1;
        if (!line.n)
            continue;
        error = json_scan(&doc, line, &arena, NULL);
        uint32_t leaf = error ? JSON_NONE : json_get(&doc, 0, SPAN("leaf"));
        uint32_t more = error ? JSON_NONE : json_get(&doc, 0, SPAN("next"));
        uint64_t n = 0;
        if (more != JSON_NONE && span_u64(json_raw(&doc, more), &n) == 0)
            *next = n;
        if (leaf != JSON_NONE)
            take_leaf(r, &doc, leaf);
    }
    arena_free(&arena);
    return error;
}

static int gather(const struct cli_call *call, const char *since, const char *until,
                  struct report *r)
{
    unsigned long long from = 0;
    do {
        struct control_answer a;
        char target[200];
        size_t used = (size_t)snprintf(target, sizeof(target), "/sluis/v1/log?since=%s&until=%s",
                                       since, until);
        if (from)
            snprintf(target + used, sizeof(target) - used, "&from=%llu", from);
        if (control_call(call, HTTP_GET, target, SPAN_EMPTY, &a) != 0)
            return CLI_FAILED;
        int error = take_page(r, buffer_span(&a.text), &from);
        control_free(&a);
        if (error) {
            fprintf(stderr, "sluis policy report: a line of the log does not read\n");
            return CLI_FAILED;
        }
    } while (from);
    return CLI_DONE;
}

static int by_group(const void *a, const void *b)
{
    const struct tally *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return x->n != y->n ? (x->n < y->n ? 1 : -1) : strcmp(x->key, y->key);
}

static void print_report(const struct report *r, const char *month, bool dutch)
{
    printf(dutch ? "# Maandrapport %s\n\n%llu regels van het toegangslogboek, in de woorden "
                   "van het logboek (sluis-log(7)). Een bericht telt bij elke route.\n"
                 : "# Control report %s\n\n%llu leaves of the access log, in the log's own words "
                   "(sluis-log(7)). A message counts at every route.\n",
           month, r->leaves);
    for (int g = 0; g < GROUPS; g++) {
        bool any = false;
        printf("\n## %s\n\n", titles[g][dutch ? 0 : 1]);
        for (size_t i = 0; i < r->n; i++) {
            if (r->at[i].group != (enum group)g)
                continue;
            if (!any)
                printf(dutch ? "| wat | aantal |\n|---|---|\n" : "| what | count |\n|---|---|\n");
            printf("| %s | %llu |\n", r->at[i].key, r->at[i].n);
            any = true;
        }
        if (!any)
            printf(dutch ? "Geen.\n" : "None.\n");
    }
    if (r->uncounted)
        printf(dutch ? "\n%llu in meer soorten dan hier passen.\n"
                     : "\n%llu of more kinds than fit here.\n",
               r->uncounted);
}

static void print_json_report(const struct report *r, const char *month)
{
    struct buffer out;
    buffer_init(&out, 4u << 20);
    buffer_addf(&out, "{\"month\":\"%s\",\"leaves\":%llu", month, r->leaves);
    for (int g = 0; g < GROUPS; g++) {
        bool any = false;
        buffer_addf(&out, ",\"%s\":{", words[g]);
        for (size_t i = 0; i < r->n; i++)
            if (r->at[i].group == (enum group)g) {
                buffer_add_str(&out, any ? "," : "");
                json_quote(&out, span_str(r->at[i].key));
                buffer_addf(&out, ":%llu", r->at[i].n);
                any = true;
            }
        buffer_add_char(&out, '}');
    }
    buffer_addf(&out, ",\"uncounted\":%llu}", r->uncounted);
    printf("%.*s\n", (int)out.n, out.p);
    buffer_free(&out);
}

int cmd_policy_report(const struct cli_call *call)
{
    const char *month = cli_value(call, "--month", 0), *language = cli_value(call, "--language", 0);
    unsigned y = 0, m = 0;
    char rest[2], since[32], until[32];
    if (!month)
        return cli_usage(call, "--month is needed, as 2026-11");
    if (strlen(month) != 7 || sscanf(month, "%4u-%2u%1s", &y, &m, rest) != 2 || y < 2000 || m < 1 ||
        m > 12)
        return cli_usage(call, "--month %s: a month as 2026-11", month);
    if (language && strcmp(language, "nl") != 0 && strcmp(language, "en") != 0)
        return cli_usage(call, "--language %s: nl or en", language);
    struct report r = {.at = calloc(TALLIES_MAX, sizeof(*r.at))};
    if (!r.at)
        return CLI_FAILED;
    snprintf(since, sizeof(since), "%04u-%02u-01", y, m);
    snprintf(until, sizeof(until), "%04u-%02u-01", m == 12 ? y + 1 : y, m == 12 ? 1 : m + 1);
    int result = gather(call, since, until, &r);
    qsort(r.at, r.n, sizeof(*r.at), by_group);
    if (result == CLI_DONE && cli_has(call, "--json"))
        print_json_report(&r, month);
    else if (result == CLI_DONE)
        print_report(&r, month, !language || strcmp(language, "nl") == 0);
    free(r.at);
    return result;
}

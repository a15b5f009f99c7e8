/* `sluis policy diff OLD NEW --replay PERIOD`: both judge what is stored, inside the gateway;
 * counts and rule names come back, a piece at a time. */
#include "internal.h"

#include "policy_replay.h"
#include "sluis/base/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define KINDS_MAX 4000
#define POLICY_BYTES_MAX (256 * 1024)
#define ANSWER_TEXT 200

struct kind {
    char text[6][ANSWER_TEXT]; /* what, from, from_rule, to, to_rule, change */
    unsigned long long messages;
};
struct sums {
    struct kind *at;
    size_t n;
    unsigned long long messages, judged, masked_only, unjudged;
};
static const char *const members[] = {"what", "from", "from_rule", "to", "to_rule", "change"};

static unsigned long long number(const struct control_answer *a, uint32_t at, const char *member)
{
    uint64_t v = 0;
    uint32_t node = json_get(&a->json, at, span_str(member));
    return node != JSON_NONE && span_u64(json_raw(&a->json, node), &v) == 0 ? v : 0;
}

static void add(struct sums *s, const struct control_answer *a, uint32_t node)
{
    struct kind k = {.messages = number(a, node, "messages")};
    for (size_t i = 0; i < 6; i++)
        print_member(a, node, members[i], k.text[i], sizeof(k.text[i]));
    size_t at = 0;
    while (at < s->n && memcmp(s->at[at].text, k.text, sizeof(k.text)) != 0)
        at++;
    if (at == KINDS_MAX)
        return;
    if (at == s->n)
        s->at[s->n++] = k;
    else
        s->at[at].messages += k.messages;
}

static int add_file(struct buffer *body, const char *member, const char *file)
{
    struct buffer text;
    char piece[4096];
    size_t n;
    FILE *f = fopen(file, "rb");
    buffer_init(&text, POLICY_BYTES_MAX);
    while (f && (n = fread(piece, 1, sizeof(piece), f)) > 0)
        buffer_add(&text, span_of(piece, n));
    int error = !f ? SLUIS_ENOENT : text.error;
    if (f)
        fclose(f);
    buffer_addf(body, "\"%s\":", member);
    json_quote(body, buffer_span(&text));
    buffer_free(&text);
    if (error)
        fprintf(stderr, "%s: cannot be read\n", file);
    return error ? error : body->error;
}

static int ask(const struct cli_call *call, struct span policies, int64_t from_ms, int64_t to_ms,
               struct sums *sums)
{
    const char *channel = cli_value(call, "--channel", 0);
    unsigned long long order = 0;
    do {
        struct buffer body;
        struct control_answer a;
        buffer_init(&body, 4 * POLICY_BYTES_MAX);
        buffer_add_char(&body, '{');
        buffer_add(&body, policies);
        buffer_addf(&body, ",\"from\":%lld,\"to\":%lld,\"order\":%llu", (long long)from_ms,
                    (long long)to_ms, order);
        if (channel) {
            buffer_add(&body, SPAN(",\"channel\":"));
            json_quote(&body, span_str(channel));
        }
        buffer_add_char(&body, '}');
        int error = body.error ? body.error
                               : control_call(call, HTTP_POST, "/sluis/v1/policy/replay",
                                              buffer_span(&body), &a);
        buffer_free(&body);
        if (error)
            return error;
        sums->messages += number(&a, 0, "messages");
        sums->judged += number(&a, 0, "judged");
        sums->masked_only += number(&a, 0, "masked_only");
        sums->unjudged += number(&a, 0, "unjudged");
        order = number(&a, 0, "next");
        uint32_t list = json_get(&a.json, 0, SPAN("differences"));
        for (uint32_t d = json_first(&a.json, list); d != JSON_NONE; d = json_next(&a.json, d))
            add(sums, &a, d);
        control_free(&a);
    } while (order);
    return 0;
}

static void print_json_sums(const struct sums *s)
{
    struct buffer out;
    buffer_init(&out, 8u << 20);
    buffer_addf(&out,
                "{\"messages\":%llu,\"judged\":%llu,\"masked_only\":%llu,\"unjudged\":%llu,"
                "\"differences\":[",
                s->messages, s->judged, s->masked_only, s->unjudged);
    for (size_t i = 0; i < s->n; i++) {
        buffer_add_str(&out, i ? ",{" : "{");
        for (size_t m = 0; m < 6; m++) {
            buffer_addf(&out, "\"%s\":", members[m]);
            json_quote(&out, span_str(s->at[i].text[m]));
            buffer_add_char(&out, ',');
        }
        buffer_addf(&out, "\"messages\":%llu}", s->at[i].messages);
    }
    buffer_add(&out, SPAN("]}"));
    printf("%.*s\n", (int)out.n, out.p);
    buffer_free(&out);
}

static void print_sums(const struct sums *s)
{
    printf("%llu messages, %llu judged by both", s->messages, s->judged);
    if (s->masked_only)
        printf(", %llu of which only masked text is left", s->masked_only);
    if (s->unjudged)
        printf(", %llu that could not be judged", s->unjudged);
    printf("\n");
    for (size_t i = 0; i < s->n; i++) {
        const struct kind *k = &s->at[i];
        printf("%-8s  %8llu  %s: %s (%s) -> %s (%s)\n", k->text[5], k->messages, k->text[0],
               k->text[1], k->text[2], k->text[3], k->text[4]);
    }
}

/* "7d", "24h", "90min", "2w": milliseconds; 0 when it is none. */
static int64_t period_ms(const char *text)
{
    static const struct {
        const char *unit;
        int64_t seconds;
    } units[] = {{"min", 60}, {"h", 3600}, {"d", 86400}, {"w", 7 * 86400}};
    uint64_t n;
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 6 || span_u64(span_of(text, digits), &n) != 0)
        return 0;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(text + digits, units[i].unit) == 0)
            return (int64_t)n * units[i].seconds * 1000;
    return 0;
}

int policy_replay(const struct cli_call *call, const char *old, const char *next)
{
    int64_t period = period_ms(cli_value(call, "--replay", 0)), now = clock_wall_ms();
    struct sums sums = {.at = calloc(KINDS_MAX, sizeof(*sums.at))};
    struct buffer policies;
    int result = CLI_FAILED;
    if (!period) {
        free(sums.at);
        return cli_usage(call, "--replay %s: a period as 24h, 7d or 2w",
                         cli_value(call, "--replay", 0));
    }
    buffer_init(&policies, 3 * POLICY_BYTES_MAX);
    int error = sums.at ? add_file(&policies, "old", old) : SLUIS_ENOMEM;
    buffer_add_char(&policies, ',');
    if (!error)
        error = add_file(&policies, "new", next);
    if (!error && ask(call, buffer_span(&policies), now - period, now + 1, &sums) == 0) {
        if (cli_has(call, "--json"))
            print_json_sums(&sums);
        else
            print_sums(&sums);
        result = CLI_DONE;
    }
    buffer_free(&policies);
    free(sums.at);
    return result;
}

/* `sluis policy diff OLD NEW`: what becomes looser, what stricter. */
#include "internal.h"

#include "policy_case.h"
#include "policy_replay.h"

#include <stdio.h>

static const char *const words[] = {
    [POLICY_LOOSER] = "looser", [POLICY_STRICTER] = "stricter", [POLICY_OTHER] = "other"};

static void print_text(void *ctx, const struct policy_difference *d)
{
    (void)ctx;
    printf("%-8s  %s: %s -> %s\n", words[d->change], d->what, d->from, d->to);
}

static void print_line(void *ctx, const struct policy_difference *d)
{
    struct buffer *out = ctx;
    buffer_clear(out);
    buffer_addf(out, "{\"change\":\"%s\",\"what\":", words[d->change]);
    json_quote(out, span_str(d->what));
    buffer_add(out, SPAN(",\"from\":"));
    json_quote(out, span_str(d->from));
    buffer_add(out, SPAN(",\"to\":"));
    json_quote(out, span_str(d->to));
    buffer_add_char(out, '}');
    printf("%.*s\n", (int)out->n, out->p);
}

int cmd_policy_diff(const struct cli_call *call)
{
    struct policy *old = NULL, *next = NULL;
    int result = CLI_FAILED;
    if (call->word_count != 2)
        return cli_usage(call, "two files are needed: OLD and NEW");
    if (cli_value(call, "--replay", 0))
        return policy_replay(call, call->words[0], call->words[1]);
    if (case_load(call->words[0], &old) == 0 && case_load(call->words[1], &next) == 0) {
        struct buffer line;
        buffer_init(&line, 64 * 1024);
        int looser =
            policy_diff(old, next, cli_has(call, "--json") ? print_line : print_text, &line);
        buffer_free(&line);
        fprintf(stderr, looser ? "%d looser: a second officer has to agree\n" : "nothing looser\n",
                looser);
        result = looser ? CLI_FAILED : CLI_DONE;
    }
    policy_unref(old);
    policy_unref(next);
    return result;
}

/* `sluis subject`: one person. "-" reads the identifier from standard input, so that it stands in
 * no list of processes and no shell's history. */
#include "internal.h"

#include <sodium.h>
#include <stdio.h>
#include <time.h>

#define IDENTIFIER_MAX 128

static bool read_identifier(const struct cli_call *call, char out[IDENTIFIER_MAX])
{
    if (call->word_count != 1)
        return false;
    if (strcmp(call->words[0], "-") != 0) {
        snprintf(out, IDENTIFIER_MAX, "%s", call->words[0]);
    } else {
        if (!fgets(out, IDENTIFIER_MAX, stdin))
            return false;
        out[strcspn(out, "\r\n")] = '\0';
    }
    return out[0] != '\0';
}

static void add_option(const struct cli_call *call, const char *option, const char *member,
                       struct buffer *body)
{
    const char *value = cli_value(call, option, 0);
    if (!value)
        return;
    buffer_addf(body, ",\"%s\":", member);
    json_quote(body, span_str(value));
}

/* "2026-12-31" as the end of that day; 0 when it is none. */
static int64_t day_end(const char *text)
{
    struct tm tm = {0};
    char rest[2];
    if (sscanf(text, "%4d-%2d-%2d%1s", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, rest) != 3 ||
        tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    tm.tm_mday++;
    return (int64_t)timegm(&tm) * 1000 - 1;
}

static int ask(const struct cli_call *call, const char *target, struct control_answer *a)
{
    char identifier[IDENTIFIER_MAX];
    const char *until = cli_value(call, "--until", 0);
    int64_t until_ms = until ? day_end(until) : 0;
    struct buffer body;
    if (until && until_ms == 0)
        return cli_usage(call, "--until: a day as 2026-12-31");
    if (!read_identifier(call, identifier))
        return cli_usage(call, "one phone number or BSUID is needed, or - for standard input");
    buffer_init(&body, 4096);
    buffer_add(&body, SPAN("{\"identifier\":"));
    json_quote(&body, span_str(identifier));
    sodium_memzero(identifier, sizeof(identifier));
    if (cli_has(call, "--dry-run"))
        buffer_add(&body, SPAN(",\"dry_run\":true"));
    if (cli_has(call, "--lift"))
        buffer_add(&body, SPAN(",\"lift\":true"));
    add_option(call, "--reason", "reason", &body);
    add_option(call, "--author", "author", &body);
    if (until)
        buffer_addf(&body, ",\"until_ms\":%lld", (long long)until_ms);
    buffer_add_char(&body, '}');
    int r = control_call(call, HTTP_POST, target, buffer_span(&body), a);
    buffer_free(&body);
    return r;
}

/* Members of the answer, a line each. */
static void print_members(struct control_answer *a, uint32_t object, const char *before)
{
    char value[512];
    for (uint32_t m = json_first(&a->json, object); m != JSON_NONE; m = json_next(&a->json, m)) {
        struct span name;
        if (json_name(&a->json, m, &a->arena, &name) != 0)
            continue;
        struct span raw =
            json_is(&a->json, m, JSON_STRING) ? json_inner(&a->json, m) : json_raw(&a->json, m);
        snprintf(value, sizeof(value), "%.*s", (int)raw.n, raw.n ? raw.p : "");
        printf("%s%-28.*s %s\n", before, (int)name.n, name.p, value);
    }
}

static int plain(const struct cli_call *call, const char *target)
{
    struct control_answer a;
    int r = ask(call, target, &a);
    if (r != 0)
        return r;
    if (!print_json(call, &a))
        print_members(&a, 0, "");
    control_free(&a);
    return CLI_DONE;
}

int cmd_subject_find(const struct cli_call *call)
{
    return plain(call, "/sluis/v1/subjects/find");
}

int cmd_subject_export(const struct cli_call *call)
{
    struct control_answer a;
    int r = ask(call, "/sluis/v1/subjects/export", &a);
    if (r != 0)
        return r;
    fwrite(a.text.p, 1, a.text.n, stdout); /* data: JSON in any case */
    control_free(&a);
    return CLI_DONE;
}

int cmd_subject_erase(const struct cli_call *call)
{
    struct control_answer a;
    int r = ask(call, "/sluis/v1/subjects/erase", &a);
    if (r != 0)
        return r;
    if (!print_json(call, &a)) {
        char signature[128];
        printf("%s\n", cli_has(call, "--dry-run") ? "would be erased" : "erased");
        print_members(&a, json_get(&a.json, 0, SPAN("certificate")), "  ");
        print_member(&a, 0, "signature", signature, sizeof(signature));
        if (signature[0])
            printf("  %-28s %s\nKeep the certificate: --json prints it as it was signed.\n",
                   "signature (Ed25519)", signature);
    }
    control_free(&a);
    return CLI_DONE;
}

int cmd_subject_certificate(const struct cli_call *call)
{
    struct control_answer a;
    struct buffer body;
    if (call->word_count != 1 || strspn(call->words[0], "0123456789") != strlen(call->words[0]) ||
        strlen(call->words[0]) > 18)
        return cli_usage(call, "the number of one certificate is needed");
    buffer_init(&body, 256);
    buffer_addf(&body, "{\"number\":%s}", call->words[0]);
    int r = control_call(call, HTTP_POST, "/sluis/v1/subjects/certificate", buffer_span(&body), &a);
    buffer_free(&body);
    if (r != 0)
        return r;
    fwrite(a.text.p, 1, a.text.n, stdout); /* as it was signed */
    control_free(&a);
    return CLI_DONE;
}

int cmd_subject_restrict(const struct cli_call *call)
{
    return plain(call, "/sluis/v1/subjects/restrict");
}

int cmd_subject_hold(const struct cli_call *call)
{
    if (!cli_value(call, "--reason", 0) || !cli_value(call, "--author", 0))
        return cli_usage(call, "--reason and --author are needed");
    return plain(call, "/sluis/v1/subjects/hold");
}

int cmd_subject_release(const struct cli_call *call)
{
    return plain(call, "/sluis/v1/subjects/release");
}

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
        return cli_usage(call, "--until %s: a day as 2026-12-31", until);
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
        uint32_t linked = json_get(&a.json, 0, SPAN("linked"));
        if (linked != JSON_NONE && json_first(&a.json, linked) != JSON_NONE) {
            struct span raw = json_raw(&a.json, linked);
            printf("Not erased, and perhaps the same person: %.*s\n", (int)raw.n, raw.p);
        }
        print_member(&a, 0, "signature", signature, sizeof(signature));
        if (signature[0])
            printf("  %-28s %s\nKeep the certificate: --json prints it as it was signed.\n",
                   "signature (Ed25519)", signature);
    }
    control_free(&a);
    return CLI_DONE;
}

/* A word, or with "-" the next line of standard input: it is what nobody should read. */
static bool add_line(const struct cli_call *call, const char *option, const char *member,
                     struct buffer *body)
{
    char line[512];
    const char *value = cli_value(call, option, 0);
    if (!value)
        return true;
    if (strcmp(value, "-") == 0) {
        if (!fgets(line, sizeof(line), stdin))
            return false;
        line[strcspn(line, "\r\n")] = '\0';
        value = line;
    }
    buffer_addf(body, ",\"%s\":", member);
    json_quote(body, span_str(value));
    sodium_memzero(line, sizeof(line));
    return true;
}

static int redact(const struct cli_call *call, bool correct)
{
    char identifier[IDENTIFIER_MAX] = "";
    const char *message = cli_value(call, "--message", 0);
    struct control_answer a;
    struct buffer body;
    if (message && (strspn(message, "0123456789") != strlen(message) || strlen(message) > 18))
        return cli_usage(call, "--message: a number, as `sluis subject export` gives it");
    if (message ? call->word_count != 0 : !read_identifier(call, identifier))
        return cli_usage(call, "either --message N, or one phone number or BSUID (- reads it)");
    if ((!message || correct) && !cli_value(call, "--text", 0))
        return cli_usage(call, "--text: what stands there now (- reads it)");
    if (correct && !cli_value(call, "--instead", 0))
        return cli_usage(call, "--instead: what is right (- reads it)");
    buffer_init(&body, 8192);
    buffer_addf(&body, "{\"dry_run\":%s", cli_has(call, "--dry-run") ? "true" : "false");
    if (message)
        buffer_addf(&body, ",\"message\":%s", message);
    else
        buffer_add(&body, SPAN(",\"identifier\":"));
    if (!message)
        json_quote(&body, span_str(identifier));
    sodium_memzero(identifier, sizeof(identifier));
    int r = add_line(call, "--text", "text", &body) && add_line(call, "--instead", "instead", &body)
                ? CLI_DONE
                : cli_usage(call, "standard input ended before the text");
    buffer_add_char(&body, '}');
    if (r == CLI_DONE)
        r = control_call(call, HTTP_POST, "/sluis/v1/subjects/redact", buffer_span(&body), &a);
    buffer_free(&body);
    if (r != CLI_DONE)
        return r;
    if (!print_json(call, &a))
        print_members(&a, 0, "");
    control_free(&a);
    return CLI_DONE;
}

int cmd_subject_redact(const struct cli_call *call)
{
    return redact(call, false);
}

int cmd_subject_correct(const struct cli_call *call)
{
    return redact(call, true);
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

int cmd_subject_unlink(const struct cli_call *call)
{
    return plain(call, "/sluis/v1/subjects/unlink");
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

/* `sluis purge`: what has expired is destroyed now, or its destruction is stated. */
#include "internal.h"

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/retention.h"

#include <stdio.h>
#include <time.h>

/* "2026-11-22" (UTC); `ends`: the end of that day. */
static int parse_day(const char *text, bool ends, int64_t *out_ms)
{
    struct tm tm = {0};
    char rest[2];
    if (strlen(text) != 10 ||
        sscanf(text, "%4d-%2d-%2d%1s", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, rest) != 3 ||
        tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31)
        return CLI_USAGE;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    *out_ms = (int64_t)timegm(&tm) * 1000 + (ends ? 24 * 3600 * INT64_C(1000) - 1 : 0);
    return 0;
}

/* ---- the statement ---- */

struct words {
    const char *title, *period, *made, *none, *class, *span, *messages, *subjects, *ground,
        *category, *when, *keyring, *signature, *good, *bad, *tail;
};
static const struct words dutch = {
    .title = "Verklaring van vernietiging",
    .period = "Periode",
    .made = "Opgemaakt",
    .none = "In deze periode is niets vernietigd.",
    .class = "Bewaarklasse",
    .span = "Bewaard tot uiterlijk",
    .messages = "Berichten",
    .subjects = "Betrokkenen",
    .ground = "Grondslag",
    .category = "Selectielijst",
    .when = "Vernietigd op",
    .keyring = "Generatie van de sleutelring",
    .signature = "Handtekening",
    .good = "geldig (Ed25519)",
    .bad = "NIET GELDIG",
    .tail =
        "De sleutels zijn vernietigd: de berichten zijn onleesbaar in het bestand, in de vrije\n"
        "ruimte van de schijf en in elke reservekopie van de gegevens. Een reservekopie van de\n"
        "sleutelring van voor de genoemde generatie opent ze nog tot die zelf vernietigd is.",
};
static const struct words english = {
    .title = "Statement of destruction",
    .period = "Period",
    .made = "Made",
    .none = "Nothing was destroyed in this period.",
    .class = "Retention class",
    .span = "Kept until at most",
    .messages = "Messages",
    .subjects = "Data subjects",
    .ground = "Legal ground",
    .category = "Selection list",
    .when = "Destroyed",
    .keyring = "Generation of the keyring",
    .signature = "Signature",
    .good = "valid (Ed25519)",
    .bad = "NOT VALID",
    .tail =
        "The keys are destroyed: the messages cannot be read in the file, in the free space of\n"
        "the disk, nor in any backup of the data. A backup of the keyring made before the\n"
        "generation named still opens them until it is destroyed itself.",
};

static void print_row(const struct control_answer *a, uint32_t record, const char *label,
                      const char *member)
{
    char text[RETENTION_TEXT_MAX + 1];
    print_member(a, record, member, text, sizeof(text));
    if (text[0])
        printf("  %-30s %s\n", label, text);
}

static bool print_record(struct control_answer *a, uint32_t line, const struct words *w,
                         const uint8_t key[RETENTION_SIGN_PUBLIC], unsigned nth)
{
    uint32_t record = json_get(&a->json, line, SPAN("record"));
    struct span inside;
    bool good = retention_destruction_verify(json_raw(&a->json, line), key, &inside) == 0;
    printf("%u.\n", nth);
    print_row(a, record, w->class, "class");
    print_row(a, record, w->span, "to");
    print_row(a, record, w->messages, "messages");
    print_row(a, record, w->subjects, "subjects");
    print_row(a, record, w->ground, "ground");
    print_row(a, record, w->category, "category");
    print_row(a, record, w->when, "time");
    print_row(a, record, w->keyring, "generation");
    printf("  %-30s %s\n\n", w->signature, good ? w->good : w->bad);
    return good;
}

static int print_statement(struct control_answer *a, const struct words *w, const char *from,
                           const char *to)
{
    uint32_t list = json_get(&a->json, 0, SPAN("records"));
    uint8_t key[RETENTION_SIGN_PUBLIC];
    char now[CLOCK_RFC3339_SIZE], key_text[BASE64_LEN(RETENTION_SIGN_PUBLIC) + 1];
    unsigned n = 0;
    bool good = true;
    print_member(a, 0, "key", key_text, sizeof(key_text));
    if (base64_decode(span_str(key_text), key, sizeof(key)) != sizeof(key))
        return CLI_FAILED;
    clock_rfc3339(clock_wall_ms(), now);
    printf("%s\n\n%s: %s .. %s\n%s: %s\n\n", w->title, w->period, from, to, w->made, now);
    for (uint32_t l = json_first(&a->json, list); l != JSON_NONE; l = json_next(&a->json, l))
        good &= print_record(a, l, w, key, ++n);
    printf("%s\n", n ? w->tail : w->none);
    printf("\nEd25519: %s\n", key_text);
    return good ? CLI_DONE : CLI_FAILED;
}

static int report(const struct cli_call *call)
{
    struct control_answer a;
    char target[128];
    int64_t from, to;
    const char *lang = cli_value(call, "--lang", 0);
    bool is_english = lang && strcmp(lang, "en") == 0;
    if (call->word_count != 2 || parse_day(call->words[0], false, &from) != 0 ||
        parse_day(call->words[1], true, &to) != 0 ||
        (lang && !is_english && strcmp(lang, "nl") != 0))
        return cli_usage(call, "--report needs FROM and TO as 2026-11-22; --lang is nl or en");
    snprintf(target, sizeof(target), "/sluis/v1/purge/report?from=%lld&to=%lld", (long long)from,
             (long long)to);
    if (control_call(call, HTTP_GET, target, SPAN_EMPTY, &a) != 0)
        return CLI_FAILED;
    int r = CLI_DONE;
    if (!print_json(call, &a))
        r = print_statement(&a, is_english ? &english : &dutch, call->words[0], call->words[1]);
    control_free(&a);
    return r;
}

/* ---- now ---- */

int cmd_purge(const struct cli_call *call)
{
    struct control_answer a;
    char cls[256], to[64], messages[32], subjects[32];
    bool dry = cli_has(call, "--dry-run");
    if (cli_has(call, "--report"))
        return report(call);
    if (call->word_count)
        return cli_usage(call, "no words are expected without --report");
    if (control_call(call, HTTP_POST, "/sluis/v1/purge",
                     dry ? SPAN("{\"dry_run\":true}") : SPAN("{}"), &a) != 0)
        return CLI_FAILED;
    if (!print_json(call, &a)) {
        uint32_t list = json_get(&a.json, 0, SPAN("classes"));
        uint32_t c = json_first(&a.json, list);
        if (c == JSON_NONE)
            printf("nothing has expired\n");
        else
            printf("%s\n%-36s %-26s %10s %10s\n", dry ? "would be destroyed" : "destroyed", "class",
                   "expired before", "messages", "persons");
        for (; c != JSON_NONE; c = json_next(&a.json, c))
            printf("%-36s %-26s %10s %10s\n", print_member(&a, c, "class", cls, sizeof(cls)),
                   print_member(&a, c, "to", to, sizeof(to)),
                   print_member(&a, c, "messages", messages, sizeof(messages)),
                   print_member(&a, c, "subjects", subjects, sizeof(subjects)));
    }
    control_free(&a);
    return CLI_DONE;
}

int cmd_keys_clock_accept(const struct cli_call *call)
{
    struct control_answer a;
    if (call->word_count)
        return cli_usage(call, "no words are expected");
    if (control_call(call, HTTP_POST, "/sluis/v1/keys/clock-accept", SPAN("{}"), &a) != 0)
        return CLI_FAILED;
    if (!print_json(call, &a))
        printf("the clock is taken as right; what has expired is destroyed\n");
    control_free(&a);
    return CLI_DONE;
}

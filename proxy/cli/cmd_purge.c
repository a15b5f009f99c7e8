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

enum { REASONS = 5, PARTS = 5 };
struct words {
    const char *title, *period, *made, *none, *class, *reason, *span, *messages, *subjects, *ground,
        *category, *when, *keyring, *signature, *good, *bad, *total, *tail;
    const char *reasons[REASONS], *parts[PARTS], *least, *most, *hours, *days, *years;
};
/* As they stand in the records: retention.h. */
static const char *const reason_words[REASONS] = {"expired", "erased", "revoked", "released",
                                                  "shortened"};
static const char *const part_words[PARTS] = {"original", "history", "quarantine", "message",
                                              "subject"};
static const struct words dutch = {
    .title = "Verklaring van vernietiging",
    .period = "Periode",
    .made = "Opgemaakt",
    .none = "In deze periode is niets vernietigd.",
    .class = "Wat",
    .reason = "Reden",
    .span = "Termijn verstreken op",
    .messages = "Berichten",
    .subjects = "Betrokkenen",
    .ground = "Grondslag",
    .category = "Selectielijst",
    .when = "Vernietigd op",
    .keyring = "Generatie van de sleutelring",
    .signature = "Handtekening",
    .good = "geldig (Ed25519)",
    .bad = "NIET GELDIG",
    .total = "Verklaringen; berichten (origineel en gemaskeerd tellen elk)",
    .reasons = {"bewaartermijn verstreken", "gewist op verzoek van de betrokkene (AVG art. 17)",
                "ingetrokken door de afzender of verbeterd", "bewaarplicht opgeheven",
                "bewaartermijn in het beleid verkort"},
    .parts = {"oorspronkelijke berichten", "gemaskeerde berichten", "quarantaine",
              "afzonderlijke berichten", "alles van een betrokkene"},
    .least = "ten minste",
    .most = "ten hoogste",
    .hours = "uur",
    .days = "dagen",
    .years = "jaar",
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
    .class = "What",
    .reason = "Reason",
    .span = "Term ended",
    .messages = "Messages",
    .subjects = "Data subjects",
    .ground = "Legal ground",
    .category = "Selection list",
    .when = "Destroyed",
    .keyring = "Generation of the keyring",
    .signature = "Signature",
    .good = "valid (Ed25519)",
    .bad = "NOT VALID",
    .total = "Statements; messages (originals and masked ones count each)",
    .reasons = {"its retention term ended", "erased at the data subject's request (GDPR art. 17)",
                "taken back by the sender or corrected", "legal hold lifted",
                "the policy's retention term was shortened"},
    .parts = {"original messages", "masked messages", "quarantine", "single messages",
              "everything of a data subject"},
    .least = "at least",
    .most = "at most",
    .hours = "hours",
    .days = "days",
    .years = "years",
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

static const char *word_of(const char *text, const char *const *from, const char *const *to,
                           unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (strcmp(text, from[i]) == 0)
            return to[i];
    return text; /* of a later version: as it stands */
}

/* "original/86400/max/hour": in words, and as it stands in the record. */
static void print_class(struct control_answer *a, uint32_t record, const struct words *w)
{
    char text[RETENTION_TEXT_MAX + 1], part[16] = "", bound[8] = "";
    long long keep = 0;
    print_member(a, record, "class", text, sizeof(text));
    int n = sscanf(text, "%15[a-z]/%lld/%7[a-z]/", part, &keep, bound);
    printf("  %-30s %s", w->class, word_of(n == 3 ? part : text, part_words, w->parts, PARTS));
    if (n == 3) {
        const long long day = 24 * 3600, year = 365 * day;
        printf(", %s ", strcmp(bound, "min") == 0 ? w->least : w->most);
        if (keep % year == 0)
            printf("%lld %s", keep / year, w->years);
        else if (keep % day == 0 && keep > day)
            printf("%lld %s", keep / day, w->days);
        else
            printf("%lld %s", keep / 3600, w->hours);
        printf("\n  %-30s %s", "", text);
    }
    printf("\n");
}

static bool print_record(struct control_answer *a, uint32_t line, const struct words *w,
                         const uint8_t key[RETENTION_SIGN_PUBLIC], unsigned nth, uint64_t *messages)
{
    char reason[RETENTION_TEXT_MAX + 1];
    uint64_t count = 0;
    uint32_t record = json_get(&a->json, line, SPAN("record"));
    struct span inside;
    bool good = retention_destruction_verify(json_raw(&a->json, line), key, &inside) == 0;
    printf("%u.\n", nth);
    print_class(a, record, w);
    print_member(a, record, "reason", reason, sizeof(reason));
    printf("  %-30s %s\n", w->reason, word_of(reason, reason_words, w->reasons, REASONS));
    if (strcmp(reason, reason_words[0]) == 0)
        print_row(a, record, w->span, "to");
    if (json_u64(&a->json, json_get(&a->json, record, SPAN("messages")), &count) == 0)
        *messages += count;
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
    uint64_t messages = 0;
    bool good = true;
    print_member(a, 0, "key", key_text, sizeof(key_text));
    if (base64_decode(span_str(key_text), key, sizeof(key)) != sizeof(key))
        return CLI_FAILED;
    clock_rfc3339(clock_wall_ms(), now);
    printf("%s\n\n%s: %s .. %s (UTC)\n%s: %s\n\n", w->title, w->period, from, to, w->made, now);
    for (uint32_t l = json_first(&a->json, list); l != JSON_NONE; l = json_next(&a->json, l))
        good &= print_record(a, l, w, key, ++n, &messages);
    if (n)
        printf("%s: %u; %llu\n\n", w->total, n, (unsigned long long)messages);
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
    if (call->word_count != 2)
        return cli_usage(call, "--report needs two days, FROM and TO, as 2026-11-22");
    if (parse_day(call->words[0], false, &from) != 0)
        return cli_usage(call, "FROM %s: a day as 2026-11-22", call->words[0]);
    if (parse_day(call->words[1], true, &to) != 0)
        return cli_usage(call, "TO %s: a day as 2026-11-22", call->words[1]);
    if (lang && !is_english && strcmp(lang, "nl") != 0)
        return cli_usage(call, "--lang %s: nl or en", lang);
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

/* ---- a shorter policy, applied back ---- */

static void print_policy(struct control_answer *a, bool dry)
{
    char from[256], to[256], n[32];
    uint32_t c = json_first(&a->json, json_get(&a->json, 0, SPAN("classes")));
    if (c == JSON_NONE)
        printf("nothing is kept longer than the policy says\n");
    else
        printf("%s\n%-36s %-36s %10s\n", dry ? "would be brought down" : "is brought down", "from",
               "to", "messages");
    for (; c != JSON_NONE; c = json_next(&a->json, c)) {
        print_member(a, c, "from", from, sizeof(from));
        print_member(a, c, "to", to, sizeof(to));
        printf("%-36s %-36s %10s\n", from, to[0] ? to : "destroyed",
               print_member(a, c, "messages", n, sizeof(n)));
    }
    static const struct {
        const char *member, *text;
    } notes[] = {
        {"longer", "parts that the policy would keep longer stay as they are"},
        {"media", "messages have pictures or files: these go at once, only texts are kept on"},
        {"held", "messages are under legal hold: run this again when it is released"},
        {"unreadable", "messages are damaged and expire as they would have: sluis doctor --store"},
        {"no_channel", "messages of a channel that is not configured any more stay as they are"},
    };
    for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
        print_member(a, 0, notes[i].member, n, sizeof(n));
        if (strcmp(n, "0") != 0)
            printf("%s %s\n", n, notes[i].text);
    }
    if (json_is(&a->json, json_get(&a->json, 0, SPAN("applying")), JSON_TRUE))
        printf("being done now; the records say when: sluis purge --report\n");
}

static int apply_policy(const struct cli_call *call)
{
    struct control_answer a;
    bool dry = cli_has(call, "--dry-run");
    if (call->word_count || cli_has(call, "--report"))
        return cli_usage(call, "--apply-policy takes no FROM and TO and no --report");
    if (control_call(call, HTTP_POST, "/sluis/v1/purge",
                     dry ? SPAN("{\"apply_policy\":true,\"dry_run\":true}")
                         : SPAN("{\"apply_policy\":true}"),
                     &a) != 0)
        return CLI_FAILED;
    if (!print_json(call, &a))
        print_policy(&a, dry);
    control_free(&a);
    return CLI_DONE;
}

int cmd_purge(const struct cli_call *call)
{
    struct control_answer a;
    char cls[256], to[64], messages[32], subjects[32];
    bool dry = cli_has(call, "--dry-run");
    if (cli_has(call, "--apply-policy"))
        return apply_policy(call);
    if (cli_has(call, "--report"))
        return report(call);
    if (call->word_count)
        return cli_usage(call, "FROM and TO go with --report");
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
    if (control_call(call, HTTP_POST, "/sluis/v1/keys/clock-accept", SPAN("{}"), &a) != 0)
        return CLI_FAILED;
    if (!print_json(call, &a))
        printf("the clock is taken as right; what has expired is destroyed\n");
    control_free(&a);
    return CLI_DONE;
}

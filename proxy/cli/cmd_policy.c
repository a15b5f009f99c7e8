/* `sluis policy check` and `sluis policy explain`. */
#include "internal.h"

#include "policy_case.h"
#include "sluis/base/clock.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- check ---- */

struct told { /* where warnings go */
    const char *file;
    struct buffer *json; /* or NULL: standard error */
    bool any;
};

static void tell_warning(void *ctx, const struct policy_warning *warning)
{
    struct told *t = ctx;
    if (!t->json) {
        fprintf(stderr, "%s:%u: warning: %s\n", t->file, warning->line, warning->text);
        return;
    }
    buffer_addf(t->json, "%s{\"line\":%u,\"other_line\":%u,\"message\":", t->any ? "," : "",
                warning->line, warning->other_line);
    json_quote(t->json, span_str(warning->text));
    buffer_add_char(t->json, '}');
    t->any = true;
}

/* The gateway reads policy NAME from NAME.yaml and refuses another name in it; a draft beside it
 * may be called anything, so here it is a warning. */
static size_t tell_name(const char *file, const struct policy *policy, struct told *told)
{
    const char *base = strrchr(file, '/');
    char text[2 * POLICY_NAME_MAX + 128];
    base = base ? base + 1 : file;
    size_t n = strlen(policy_name(policy));
    if (strncmp(base, policy_name(policy), n) == 0 && strcmp(base + n, ".yaml") == 0)
        return 0;
    snprintf(text, sizeof(text),
             "the policy is called \"%s\": the gateway takes it from a file %s.yaml only",
             policy_name(policy), policy_name(policy));
    const struct policy_warning warning = {.line = policy_why_name(policy).line, .text = text};
    tell_warning(told, &warning);
    return 1;
}

static void check_json(const char *file, const struct policy *policy, const struct diag *diag)
{
    struct buffer out;
    buffer_init(&out, 256 * 1024);
    buffer_add(&out, SPAN("{\"file\":"));
    json_quote(&out, span_str(file));
    if (policy) {
        struct told told = {.file = file, .json = &out};
        buffer_addf(&out, ",\"valid\":true,\"name\":\"%s\",\"hash\":\"%s\",\"warnings\":[",
                    policy_name(policy), policy_hash(policy));
        tell_name(file, policy, &told);
        policy_warnings(policy, tell_warning, &told);
        buffer_add(&out, SPAN("]}"));
    } else {
        buffer_addf(&out, ",\"valid\":false,\"line\":%u,\"column\":%u,\"message\":", diag->line,
                    diag->column);
        json_quote(&out, span_str(diag->text));
        buffer_add_char(&out, '}');
    }
    printf("%.*s\n", (int)out.n, out.p);
    buffer_free(&out);
}

static void check_said(const struct cli_call *call, const char *file, const struct policy *policy,
                       int *result)
{
    char until[CLOCK_RFC3339_SIZE];
    struct told told = {.file = file};
    size_t warnings = tell_name(file, policy, &told);
    warnings += policy_warnings(policy, tell_warning, &told);
    printf("%s: valid: policy %s, %.16s\n", file, policy_name(policy), policy_hash(policy));
    if (policy_observe_until_ms(policy)) {
        bool on = policy_observe(policy, clock_wall_ms());
        clock_rfc3339(policy_observe_until_ms(policy), until);
        printf("%s: %s until %s; then policy %s\n", file,
               on ? "observes, masks nothing but secrets," : "does not observe: it did", until,
               policy_observe_then(policy));
    }
    if (warnings && cli_has(call, "--strict"))
        *result = CLI_FAILED;
}

int cmd_policy_check(const struct cli_call *call)
{
    int result = CLI_DONE;
    if (!call->word_count)
        return cli_usage(call, "which FILE?");
    for (unsigned i = 0; i < call->word_count; i++) {
        struct diag diag = {.text = ""};
        char line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
        struct policy *policy;
        if (policy_load_file(call->words[i], &policy, &diag) != 0)
            result = CLI_FAILED;
        if (cli_has(call, "--json"))
            check_json(call->words[i], policy, &diag);
        else if (policy)
            check_said(call, call->words[i], policy, &result);
        else
            fprintf(stderr, "%s\n", diag_line(&diag, line, sizeof(line)));
        policy_unref(policy);
    }
    return result;
}

/* ---- explain ---- */

static const char *at(struct policy_reason why, char *out, size_t size)
{
    if (why.line)
        snprintf(out, size, "%s, line %u", why.rule, why.line);
    else
        snprintf(out, size, "built in: no rule says otherwise");
    return out;
}

static void explain_reader(const struct policy *policy, const struct policy_case *c,
                           const char *reader, const struct profile *profile)
{
    struct buffer text;
    char word[64], why[256];
    const struct retention_facts facts = case_facts(c);
    buffer_init(&text, CASE_OUT_MAX);
    printf("\n%s (profile %s)\n", reader, profile_name(profile));
    for (unsigned type = 0; type < DETECT_TYPES_MAX; type++) {
        if (!(c->types >> type & 1))
            continue;
        printf("  %-14s %-26s %s\n", policy_type_word(policy, type),
               case_action(profile_rule_for(profile, &facts, type), word, sizeof(word)),
               at(policy_why_profile_for(profile, &facts, type), why, sizeof(why)));
    }
    for (size_t i = 0; i < c->count; i++) {
        const struct finding *f = &c->found[i];
        unsigned by;
        struct mask_rule rule = profile_rule_of(profile, &facts, f, &by);
        if (!f->also || f->back)
            continue;
        char where[32];
        snprintf(where, sizeof(where), "bytes %u-%u", f->start, f->end);
        printf("  %-14s %-26s the strictest of what was found there, %s: %s\n", where,
               case_action(rule, word, sizeof(word)), policy_type_word(policy, by),
               at(policy_why_profile_for(profile, &facts, by), why, sizeof(why)));
    }
    if (profile_hides_contact(profile))
        printf("  %-14s %-26s\n", "contact", "alias");
    if (case_shown(policy, c, profile, &text) != 0)
        printf("  sees           %s\n", MASK_UNJUDGED_TEXT);
    else
        printf("  sees           %.*s\n", (int)text.n, text.p);
    buffer_free(&text);
}

static void explain_keep(const struct policy *policy, const struct policy_case *c, const char *name,
                         enum retention_part part)
{
    const struct retention_facts facts = case_facts(c);
    struct retention_rule rule = policy_retention(policy, part, &facts);
    char keep[64], why[256];
    printf("%-16s %-26s %s%s%s%s%s\n", name, case_keep(&rule, keep, sizeof(keep)),
           at(policy_why_retention(policy, part, &facts), why, sizeof(why)),
           rule.ground[0] ? "; " : "", rule.ground, rule.selection[0] ? "; " : "", rule.selection);
}

static void explain_sent(const struct policy *policy, const struct policy_case *c)
{
    static const char *const words[] = {
        [OUTBOUND_MASK] = "mask", [OUTBOUND_REFUSE] = "refuse", [OUTBOUND_PASS] = "pass"};
    struct buffer text;
    char why[256];
    const struct retention_facts facts = case_facts(c);
    buffer_init(&text, CASE_OUT_MAX);
    int error = case_sent(policy, c, &text);
    printf("\ncustomer (what goes out)\n");
    for (unsigned type = 0; type < DETECT_TYPES_MAX; type++) {
        if (!(c->types >> type & 1))
            continue;
        printf("  %-14s %-26s %s\n", policy_type_word(policy, type),
               words[policy_outbound_for(policy, c->role, &facts, type)],
               at(policy_why_outbound_for(policy, c->role, &facts, type), why, sizeof(why)));
    }
    if (policy_why_links(policy).line)
        printf("  %-14s %-26s %s\n", "links", "listed domains",
               at(policy_why_links(policy), why, sizeof(why)));
    if (error == SLUIS_EDENIED)
        printf("  refused        %.*s\n", (int)text.n, text.p);
    else
        printf("  goes out       %s\n", error ? "nothing: it could not be judged" : "yes");
    buffer_free(&text);
}

static void explain_role(const struct policy *policy, const struct policy_case *c,
                         const struct policy_role *role)
{
    char name[POLICY_NAME_MAX + 16], why[256];
    snprintf(name, sizeof(name), "role %s", role->name);
    bool closed = c->at_ms && !policy_role_hours_open(role, c->at_ms);
    if (!role->profile || closed)
        printf("\n%s\n  sees           %s\n", name,
               closed ? "nothing at that hour" : "no content: it has no profile");
    else
        explain_reader(policy, c, name, role->profile);
    for (unsigned t = 0; t < DETECT_TYPES_MAX; t++)
        if (role->reveal & c->types & UINT64_C(1) << t)
            printf("  %-14s may be revealed%s%s\n", policy_type_word(policy, t),
                   role->reason_required ? ", with a reason" : "",
                   role->reference_required ? ", with the number of a case" : "");
    printf("  %-14s %s\n", "decided by", at(policy_why_role(policy, role->name), why, sizeof(why)));
}

static void explain_picture(const struct policy *policy, const struct policy_case *c)
{
    static const char *const words[] = {"withhold", "pass", "redact"};
    const struct policy_route *route;
    char why[256];
    printf("\npicture (%s)\n", policy_picture_word(c->picture));
    for (size_t i = 0; (route = policy_route_at(policy, i)) != NULL; i++)
        printf("  %-14s %-26s %s\n", route->name, words[policy_picture(policy, route, c->picture)],
               at(policy_why_picture(policy, route, c->picture), why, sizeof(why)));
}

static void explain_notices(const struct policy *policy, const struct policy_case *c)
{
    const struct policy_notice *n;
    char why[256];
    bool sent;
    printf("\nnotices to the customer\n");
    for (size_t i = 0; (n = case_notice(policy, c, i, &sent)) != NULL; i++)
        printf("  %-14s %-26s %s\n", n->name, sent ? "sent, once in its time" : "not sent",
               at(policy_why_notice(policy, n->name), why, sizeof(why)));
}

static void explain_findings(const struct policy *policy, const struct policy_case *c)
{
    printf("policy %s, %.16s\n", policy_name(policy), policy_hash(policy));
    printf("findings: %zu\n", c->count);
    for (size_t i = 0; i < c->count; i++) {
        const struct finding *f = &c->found[i];
        printf("  %-14s bytes %u-%u%s, score %u.%02u, evidence %s\n",
               policy_type_word(policy, f->type), f->start, f->end,
               f->back   ? " of an earlier message"
               : f->rest ? ", the rest of an overlap"
                         : "",
               f->score / 1000u, f->score / 10u % 100u, f->evidence ? f->evidence : "");
        for (unsigned type = 0; type < DETECT_TYPES_MAX; type++)
            if (f->also >> type & 1)
                printf("  %-14s at the same place: the strictest rule of both holds\n",
                       policy_type_word(policy, type));
    }
}

static int explain(const struct cli_call *call, const struct policy *policy, struct policy_case *c)
{
    const char *only = cli_value(call, "--route", 0);
    explain_findings(policy, c);
    if (only && !policy_route(policy, only)) {
        fprintf(stderr, "sluis policy explain: the policy has no route %s\n", only);
        return CLI_FAILED;
    }
    const struct policy_route *route;
    for (size_t i = 0; (route = policy_route_at(policy, i)) != NULL; i++) {
        char name[POLICY_NAME_MAX + 16];
        snprintf(name, sizeof(name), "route %s", route->name);
        if (!only || strcmp(only, route->name) == 0)
            explain_reader(policy, c, name, route->profile);
    }
    const struct policy_role *role;
    for (size_t i = 0; !only && (role = policy_role_at(policy, i)) != NULL; i++)
        explain_role(policy, c, role);
    if (c->picture != POLICY_PICTURES)
        explain_picture(policy, c);
    if (c->from_customer && policy_notice_at(policy, 0))
        explain_notices(policy, c);
    if (!c->from_customer)
        explain_sent(policy, c);
    printf("\n");
    explain_keep(policy, c, "original (O)", RETENTION_ORIGINAL);
    explain_keep(policy, c, "history (M)", RETENTION_HISTORY);
    return CLI_DONE;
}

/* The message: --text, or standard input, so that it need not stand in the list of processes. */
static int read_text(const struct cli_call *call, struct buffer *text)
{
    const char *given = cli_value(call, "--text", 0);
    if (given) {
        buffer_add_str(text, given);
        return text->error;
    }
    char piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof(piece), stdin)) > 0)
        buffer_add(text, span_of(piece, n));
    if (text->n && text->p[text->n - 1] == '\n')
        text->n--;
    return ferror(stdin) ? SLUIS_EIO : text->error;
}

int cmd_policy_explain(const struct cli_call *call)
{
    const char *file = cli_value(call, "--policy", 0), *from = cli_value(call, "--from", 0);
    struct policy_case c = {.from_customer = true, .picture = POLICY_PICTURES};
    struct policy *policy = NULL;
    struct detect_scratch *scratch = NULL;
    struct buffer text;
    int result = CLI_FAILED;
    if (!file)
        return cli_usage(call, "--policy FILE is needed");
    if (from && strcmp(from, "customer") != 0 && strcmp(from, "agent") != 0)
        return cli_usage(call, "--from %s: customer or agent", from);
    c.from_customer = !from || strcmp(from, "customer") == 0;
    c.channel = cli_value(call, "--channel", 0);
    c.role = cli_value(call, "--role", 0);
    c.template = cli_value(call, "--template", 0);
    c.consent = cli_has(call, "--consent");
    c.grounds = c.consent ? POLICY_BASIS_CONSENT : 0;
    c.first = cli_has(call, "--first");
    const char *when = cli_value(call, "--at", 0), *picture = cli_value(call, "--picture", 0);
    if (when && !(c.at_ms = policy_local_ms(when)))
        return cli_usage(call, "--at %s: a moment as 2026-11-23 10:00", when);
    if (picture && (c.picture = policy_picture_of(picture)) == POLICY_PICTURES)
        return cli_usage(call,
                         "--picture %s: clean, card, id_document, mrz, bsn, iban, payment_code, "
                         "other or unknown",
                         picture);
    c.has_media = picture != NULL;
    const char *earlier = cli_value(call, "--asked", 0);
    if (earlier)
        c.earlier[c.earlier_count++] = (struct detect_message){span_str(earlier), false, 0};
    buffer_init(&text, CASE_TEXT_MAX);
    c.found = calloc(DETECT_FINDINGS_MAX, sizeof(*c.found));
    if (!c.found || detect_scratch_new(&scratch) != 0 || case_load(file, &policy) != 0)
        goto out;
    if (read_text(call, &text) != 0) {
        fprintf(stderr, "sluis policy explain: the text cannot be read, or is over %u bytes\n",
                CASE_TEXT_MAX);
        goto out;
    }
    c.text = buffer_span(&text);
    int error = case_judge(policy, scratch, &c);
    if (error)
        fprintf(stderr, "sluis policy explain: cannot be judged (%s): readers see %s\n",
                error_word(error), MASK_UNJUDGED_TEXT);
    else
        result = explain(call, policy, &c);
out:
    policy_unref(policy);
    detect_scratch_free(scratch);
    free(c.found);
    buffer_free(&text);
    return result;
}

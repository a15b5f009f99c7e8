/*
 * `sluis policy test FILE...`: each FILE is a policy's tests, NAME.test.yaml beside NAME.yaml.
 * Output is TAP; rules that no test came by are named at the end.
 */
#include "internal.h"

#include "policy_compare.h"

#include <stdio.h>
#include <stdlib.h>

#define TESTS_MAX 2000

#define WANT(w) YAML_WANT_##w, false, false
#define MUST(w) YAML_WANT_##w, true, false
static const struct yaml_key top_keys[] = {
    {"policy", MUST(TEXT), "file of the policy, beside this one"},
    {"tests", MUST(LIST), "the tests"},
};
static const struct yaml_key test_keys[] = {
    {"name", MUST(TEXT), "what is shown, in a sentence"},
    {"text", MUST(TEXT), "the message"},
    {"from", WANT(TEXT), "customer or agent; default customer"},
    {"context", WANT(LIST), "earlier messages, oldest first: {from, text}"},
    {"media", WANT(TEXT),
     "the message holds a file: document, audio, video, unknown, or a picture "
     "with what was seen: card, id_document, clean ..."},
    {"at", WANT(TEXT), "when it was sent: 2026-11-23 10:00"},
    {"consent", WANT(TEXT), "given or missing; default missing"},
    {"first", WANT(BOOL), "the first message of this contact"},
    {"role", WANT(TEXT), "an agent's role"},
    {"attachment", WANT(TEXT), "an agent sends one of this kind along"},
    {"on_record", WANT(LIST),
     "grounds on record of the contact: consent, customer, contract, task"},
    {"channel", WANT(TEXT), "the channel it is on"},
    {"template", WANT(TEXT), "an agent's message by this template"},
    {"found", WANT(LIST), "the types that are found, and no other"},
    {"routes", WANT(MAP), "what each route gets, by name"},
    {"roles", WANT(MAP), "what each role sees, by name; nothing: no content"},
    {"reveal", WANT(MAP), "the types of this message that each role may reveal, by name"},
    {"notices", WANT(LIST), "the notices that it sets off, and no other"},
    {"files", WANT(MAP), "withhold, redact or pass, by route"},
    {"send", WANT(TEXT), "what WhatsApp gets, or refuse; of agents' messages only"},
    {"originals", WANT(TEXT), "how long the original is kept, or never"},
    {"history", WANT(TEXT), "how long the masked text is kept, or never"},
};
static const struct yaml_key context_keys[] = {
    {"from", MUST(TEXT), "customer or agent"},
    {"text", MUST(TEXT), "the message"},
};
#define TEST_EXPECTS 13 /* rows from here on are expectations */
#define KEYS(table) (table), sizeof(table) / sizeof((table)[0])
static const char *const froms[] = {"customer", "agent"};

/* ---- reading ---- */

static int read_context(struct run *r, const struct yaml_node *list, struct policy_case *c)
{
    size_t total = 0, n = 0;
    for (const struct yaml_node *i = list ? list->child : NULL; i; i = i->next)
        total++;
    if (total > DETECT_WINDOW_MESSAGES)
        return yaml_error(r->doc, list, &r->diag, "at most %d messages of context",
                          DETECT_WINDOW_MESSAGES);
    for (const struct yaml_node *i = list ? list->child : NULL; i; i = i->next, n++) {
        size_t from = 0;
        int error = yaml_check_map(r->doc, i, KEYS(context_keys), &r->diag);
        if (!error)
            error = yaml_word(r->doc, yaml_get(i, "from"), froms, 2, &from, &r->diag);
        if (error)
            return error;
        c->earlier[total - 1 - n] =
            (struct detect_message){span_str(yaml_get(i, "text")->text), from == 0, 0};
    }
    c->earlier_count = total;
    return 0;
}

/* What a message of a real contact brings along. */
static int read_contact(struct run *r, const struct yaml_node *node, struct policy_case *c)
{
    static const char *const consents[] = {"missing", "given"};
    static const char *const grounds[] = {"consent", "customer", "contract", "task"};
    const struct yaml_node *at = yaml_get(node, "at"), *consent = yaml_get(node, "consent");
    const struct yaml_node *first = yaml_get(node, "first"), *role = yaml_get(node, "role");
    const struct yaml_node *record = yaml_get(node, "on_record");
    size_t which = 0;
    int error = 0;
    if (at && !(c->at_ms = policy_local_ms(at->text)))
        return yaml_error(r->doc, at, &r->diag, "expected a moment as in 2026-11-23 10:00");
    if (consent)
        error = yaml_word(r->doc, consent, consents, 2, &which, &r->diag);
    c->consent = which == 1;
    if (!error && first)
        error = yaml_bool(r->doc, first, &c->first, &r->diag);
    for (const struct yaml_node *i = record ? record->child : NULL; i && !error; i = i->next) {
        error = yaml_word(r->doc, i, grounds, 4, &which, &r->diag);
        c->grounds |= 1u << which;
    }
    c->role = role ? role->text : NULL;
    c->attachment = yaml_get(node, "attachment") ? yaml_get(node, "attachment")->text : NULL;
    if (!error && role && !policy_role(r->policy, c->role))
        error = yaml_error(r->doc, role, &r->diag, "the policy has no such role");
    if (!error && (c->role || c->attachment) && c->from_customer)
        error = yaml_error(r->doc, node, &r->diag, "\"role\" and \"attachment\" need from: agent");
    return error;
}

static int read_case(struct run *r, const struct yaml_node *node, struct policy_case *c)
{
    static const char *const kinds[] = {"unknown", "document", "audio",        "video",
                                        "clean",   "card",     "id_document",  "mrz",
                                        "bsn",     "iban",     "payment_code", "other"};
    static const enum policy_media_kind files_of[] = {POLICY_MEDIA_UNKNOWN, POLICY_MEDIA_DOCUMENT,
                                                      POLICY_MEDIA_AUDIO, POLICY_MEDIA_VIDEO};
    size_t from = 0, kind = 0;
    int error = yaml_check_map(r->doc, node, KEYS(test_keys), &r->diag);
    if (error)
        return error;
    *c = (struct policy_case){.text = span_str(yaml_get(node, "text")->text), .found = r->found};
    const struct yaml_node *said = yaml_get(node, "from"), *media = yaml_get(node, "media");
    const struct yaml_node *send = yaml_get(node, "send"), *files = yaml_get(node, "files");
    if (said)
        error = yaml_word(r->doc, said, froms, 2, &from, &r->diag);
    c->from_customer = from == 0;
    if (!error && media)
        error = yaml_word(r->doc, media, kinds, 12, &kind, &r->diag);
    c->channel = yaml_get(node, "channel") ? yaml_get(node, "channel")->text : NULL;
    c->template = yaml_get(node, "template") ? yaml_get(node, "template")->text : NULL;
    c->has_media = media != NULL;
    c->media = kind < 4 ? files_of[kind] : POLICY_MEDIA_UNKNOWN;
    c->picture = kind >= 4 ? policy_picture_of(kinds[kind]) : POLICY_PICTURES;
    if (!error)
        error = read_contact(r, node, c);
    if (!error && send && c->from_customer)
        error = yaml_error_key(r->doc, send, &r->diag, "\"send\" needs from: agent");
    if (!error && files && !media)
        error = yaml_error_key(r->doc, files, &r->diag, "\"files\" needs \"media\"");
    if (!error && c->template && !send)
        error = yaml_error_key(r->doc, yaml_get(node, "template"), &r->diag,
                               "\"template\" needs \"send\"");
    bool asks = false;
    for (size_t i = TEST_EXPECTS; i < sizeof(test_keys) / sizeof(test_keys[0]); i++)
        asks |= yaml_get(node, test_keys[i].name) != NULL;
    if (!error && !asks)
        error = yaml_error(r->doc, node, &r->diag, "this test expects nothing");
    return error ? error : read_context(r, yaml_get(node, "context"), c);
}

/* ---- one test ---- */

static int run_test(struct run *r, const struct yaml_node *node)
{
    struct policy_case c;
    int error = read_case(r, node, &c);
    if (error)
        return error;
    r->bad = false;
    r->number++;
    error = case_judge(r->policy, r->scratch, &c);
    if (error)
        return yaml_error(r->doc, node, &r->diag, "this text cannot be judged: %s",
                          error_word(error));
    error = compare_all(r, node, &c);
    if (error)
        return error;
    r->failed += r->bad;
    printf("%s %u - %s: %s\n", r->bad ? "not ok" : "ok", r->number, policy_name(r->policy),
           yaml_get(node, "name")->text);
    return 0;
}

/* ---- coverage ---- */

static void cover(void *ctx, struct policy_reason why)
{
    struct run *r = ctx;
    r->rules++;
    if (compare_seen_rule(r, why.rule))
        return;
    r->missed++;
    printf("# not tested: %s, line %u\n", why.rule, why.line);
}

static void coverage(struct run *r)
{
    r->rules = r->missed = 0;
    policy_each_rule(r->policy, cover, r);
    printf("# %s: %u of %u rules tested\n", policy_name(r->policy), r->rules - r->missed, r->rules);
    r->missed_all += r->missed;
}

/* ---- files ---- */

static int run_doc(struct run *r, const char *file)
{
    const struct yaml_node *root = yaml_root(r->doc);
    char path[4096];
    int error = yaml_check_map(r->doc, root, KEYS(top_keys), &r->diag);
    if (error)
        return error;
    const struct yaml_node *name = yaml_get(root, "policy"), *tests = yaml_get(root, "tests");
    if (strchr(name->text, '/'))
        return yaml_error(r->doc, name, &r->diag, "expected the name of a file beside this one");
    const char *slash = strrchr(file, '/');
    int n = snprintf(path, sizeof(path), "%.*s%s", slash ? (int)(slash + 1 - file) : 0, file,
                     name->text);
    if (n < 0 || (size_t)n >= sizeof(path))
        return yaml_error(r->doc, name, &r->diag, "this path is too long");
    error = policy_load_file(path, &r->policy, &r->diag);
    size_t count = 0;
    for (const struct yaml_node *i = tests->child; i && !error; i = i->next)
        error = ++count > TESTS_MAX
                    ? yaml_error(r->doc, i, &r->diag, "more than %d tests", TESTS_MAX)
                    : run_test(r, i);
    if (!error && !count)
        error = yaml_error_key(r->doc, tests, &r->diag, "no test in it");
    return error;
}

static int run_file(struct run *r, const char *file)
{
    struct yaml_doc *doc;
    char line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
    r->diag = (struct diag){.text = ""};
    r->seen_count = 0;
    r->policy = NULL;
    int error = yaml_parse_file(file, &doc, &r->diag);
    if (!error) {
        r->doc = doc;
        error = run_doc(r, file);
        if (!error)
            coverage(r);
        yaml_free(doc);
    }
    policy_unref(r->policy);
    if (error) {
        printf("Bail out! %s\n", diag_line(&r->diag, line, sizeof(line)));
        fprintf(stderr, "%s\n", line);
    }
    return error;
}

int cmd_policy_test(const struct cli_call *call)
{
    if (!call->word_count)
        return cli_usage(call, "which FILE?");
    struct run *r = calloc(1, sizeof(*r));
    int result = CLI_FAILED;
    if (!r)
        return CLI_FAILED;
    r->found = calloc(DETECT_FINDINGS_MAX, sizeof(*r->found));
    if (!r->found || detect_scratch_new(&r->scratch) != 0)
        goto out;
    printf("TAP version 13\n");
    for (unsigned i = 0; i < call->word_count; i++)
        if (run_file(r, call->words[i]) != 0)
            goto out;
    printf("1..%u\n", r->number);
    result = r->failed ? CLI_FAILED : CLI_DONE;
    if (cli_has(call, "--all-rules") && r->missed_all) {
        fprintf(stderr, "sluis policy test: %u rules are not tested\n", r->missed_all);
        result = CLI_FAILED;
    }
out:
    detect_scratch_free(r->scratch);
    free(r->found);
    free(r);
    return result;
}

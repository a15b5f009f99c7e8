/*
 * `sluis policy test FILE...`: each FILE is a policy's tests, NAME.test.yaml beside NAME.yaml.
 * Output is TAP; rules that no test came by are named at the end.
 */
#include "internal.h"

#include "policy_case.h"
#include "sluis/base/yaml.h"

#include <stdio.h>
#include <stdlib.h>

#define TESTS_MAX 2000
#define RULES_SEEN_MAX 2048 /* rules of one policy that coverage follows */

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
    {"media", WANT(TEXT), "the message holds a file: unknown (a picture), document or audio"},
    {"channel", WANT(TEXT), "the channel it is on"},
    {"template", WANT(TEXT), "an agent's message by this template"},
    {"found", WANT(LIST), "the types that are found, and no other"},
    {"routes", WANT(MAP), "what each route gets, by name"},
    {"files", WANT(MAP), "withhold or pass, by route"},
    {"send", WANT(TEXT), "what WhatsApp gets, or refuse; of agents' messages only"},
    {"originals", WANT(TEXT), "how long the original is kept, or never"},
    {"history", WANT(TEXT), "how long the masked text is kept, or never"},
};
static const struct yaml_key context_keys[] = {
    {"from", MUST(TEXT), "customer or agent"},
    {"text", MUST(TEXT), "the message"},
};
#define TEST_EXPECTS 7 /* rows from here on are expectations */
#define KEYS(table) (table), sizeof(table) / sizeof((table)[0])
static const char *const froms[] = {"customer", "agent"};

struct run {
    const struct yaml_doc *doc;
    struct policy *policy;
    struct detect_scratch *scratch;
    struct finding *found;
    struct diag diag;
    unsigned number, failed; /* over all files */
    bool bad;                /* this test */
    const char *seen[RULES_SEEN_MAX];
    size_t seen_count;
};

static void saw(struct run *r, struct policy_reason why)
{
    for (size_t i = 0; i < r->seen_count; i++)
        if (strcmp(r->seen[i], why.rule) == 0)
            return;
    if (why.line && r->seen_count < RULES_SEEN_MAX)
        r->seen[r->seen_count++] = why.rule;
}

static bool was_seen(const struct run *r, const char *rule)
{
    for (size_t i = 0; i < r->seen_count; i++)
        if (strcmp(r->seen[i], rule) == 0)
            return true;
    return false;
}

/* A difference is told below the test's line, as TAP's comments. */
static void differ(struct run *r, const struct yaml_node *node, const char *what,
                   const char *expected, const char *got)
{
    r->bad = true;
    printf("# %s:%u: %s\n#   expected %s\n#   got      %s\n", yaml_file(r->doc), node->line, what,
           expected, got);
}

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

static int read_case(struct run *r, const struct yaml_node *node, struct policy_case *c)
{
    static const char *const kinds[] = {"unknown", "document", "audio"};
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
        error = yaml_word(r->doc, media, kinds, 3, &kind, &r->diag);
    c->channel = yaml_get(node, "channel") ? yaml_get(node, "channel")->text : NULL;
    c->template = yaml_get(node, "template") ? yaml_get(node, "template")->text : NULL;
    c->has_media = media != NULL;
    c->media = (enum policy_media_kind)kind;
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

/* ---- comparing ---- */

static int compare_found(struct run *r, const struct yaml_node *node, const struct policy_case *c)
{
    uint64_t expected = 0;
    struct buffer want, got;
    if (!node)
        return 0;
    for (const struct yaml_node *i = node->child; i; i = i->next) {
        unsigned type = i->kind == YAML_SCALAR ? policy_type_of(r->policy, i->text)
                                               : (unsigned)DETECT_TYPES_MAX;
        if (type == DETECT_TYPES_MAX)
            return yaml_error(r->doc, i, &r->diag, "expected a type of the policy");
        expected |= UINT64_C(1) << type;
    }
    if (expected == c->types)
        return 0;
    buffer_init(&want, 4096);
    buffer_init(&got, 4096);
    for (unsigned t = 0; t < DETECT_TYPES_MAX; t++) {
        if (expected >> t & 1)
            buffer_addf(&want, "%s ", policy_type_word(r->policy, t));
        if (c->types >> t & 1)
            buffer_addf(&got, "%s ", policy_type_word(r->policy, t));
    }
    buffer_add_char(&want, '\0');
    buffer_add_char(&got, '\0');
    differ(r, node, "found", want.p ? want.p : "?", got.p ? got.p : "?");
    buffer_free(&want);
    buffer_free(&got);
    return 0;
}

static int compare_routes(struct run *r, const struct yaml_node *map, const struct policy_case *c)
{
    for (const struct yaml_node *i = map ? map->child : NULL; i; i = i->next) {
        const struct policy_route *route = policy_route(r->policy, i->key);
        if (!route)
            return yaml_error_key(r->doc, i, &r->diag, "the policy has no such route");
        int error = yaml_expect(r->doc, i, YAML_WANT_TEXT, &r->diag);
        if (error)
            return error;
        struct buffer out;
        buffer_init(&out, CASE_OUT_MAX);
        if (case_masked(r->policy, c, route->profile, &out) != 0) {
            buffer_clear(&out);
            buffer_add(&out, SPAN(MASK_UNJUDGED_TEXT));
        }
        for (size_t f = 0; f < c->count; f++)
            saw(r, policy_why_profile(route->profile, c->found[f].type));
        bool same = span_is(buffer_span(&out), i->text);
        buffer_add_char(&out, '\0');
        if (!same)
            differ(r, i, i->key, i->text, out.error ? "?" : out.p);
        buffer_free(&out);
    }
    return 0;
}

static int compare_files(struct run *r, const struct yaml_node *map, const struct policy_case *c)
{
    static const char *const words[] = {"withhold", "pass"};
    for (const struct yaml_node *i = map ? map->child : NULL; i; i = i->next) {
        const struct policy_route *route = policy_route(r->policy, i->key);
        size_t word = 0;
        if (!route)
            return yaml_error_key(r->doc, i, &r->diag, "the policy has no such route");
        int error = yaml_word(r->doc, i, words, 2, &word, &r->diag);
        if (error)
            return error;
        bool passes = policy_route_media(r->policy, route, c->media) == MEDIA_PASS;
        if (passes != (word == 1))
            differ(r, i, i->key, words[word], words[passes]);
    }
    return 0;
}

static int compare_send(struct run *r, const struct yaml_node *node, const struct policy_case *c)
{
    struct buffer out;
    if (!node)
        return 0;
    buffer_init(&out, CASE_OUT_MAX);
    int error = case_sent(r->policy, c, &out);
    saw(r, policy_why_links(r->policy));
    if (c->template)
        saw(r, policy_why_templates(r->policy));
    for (size_t f = 0; f < c->count; f++)
        saw(r, policy_why_outbound(r->policy, c->found[f].type));
    bool same = error == 0 ? span_is(buffer_span(&out), node->text)
                           : error == SLUIS_EDENIED && strcmp(node->text, "refuse") == 0;
    buffer_add_char(&out, '\0');
    if (!same)
        differ(r, node, "send", node->text,
               error == SLUIS_EDENIED ? "refuse"
               : error || out.error   ? "cannot be judged"
                                      : out.p);
    buffer_free(&out);
    return 0;
}

static int compare_keep(struct run *r, const struct yaml_node *node, const struct policy_case *c,
                        enum retention_part part)
{
    const struct retention_facts facts = case_facts(c);
    struct retention_rule rule = policy_retention(r->policy, part, &facts);
    bool never = node && strcmp(node->text, "never") == 0;
    int64_t keep = 0;
    char got[64];
    if (!node)
        return 0;
    saw(r, policy_why_retention(r->policy, part, &facts));
    int error = never ? 0 : yaml_duration(r->doc, node, &keep, &r->diag);
    if (!error && (rule.never != never || (!never && rule.keep_s != keep)))
        differ(r, node, node->key, node->text, case_keep(&rule, got, sizeof(got)));
    return error;
}

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
    error = compare_found(r, yaml_get(node, "found"), &c);
    if (!error)
        error = compare_routes(r, yaml_get(node, "routes"), &c);
    if (!error)
        error = compare_files(r, yaml_get(node, "files"), &c);
    if (!error)
        error = compare_send(r, yaml_get(node, "send"), &c);
    if (!error)
        error = compare_keep(r, yaml_get(node, "originals"), &c, RETENTION_ORIGINAL);
    if (!error)
        error = compare_keep(r, yaml_get(node, "history"), &c, RETENTION_HISTORY);
    if (error)
        return error;
    r->failed += r->bad;
    printf("%s %u - %s: %s\n", r->bad ? "not ok" : "ok", r->number, policy_name(r->policy),
           yaml_get(node, "name")->text);
    return 0;
}

/* ---- coverage ---- */

static void cover(const struct run *r, struct policy_reason why, const char **last, unsigned *all,
                  unsigned *missed)
{
    if (!why.line || (*last && strcmp(*last, why.rule) == 0))
        return;
    *last = why.rule;
    (*all)++;
    if (!was_seen(r, why.rule)) {
        (*missed)++;
        printf("# not tested: %s, line %u\n", why.rule, why.line);
    }
}

static void coverage(const struct run *r)
{
    unsigned all = 0, missed = 0;
    const char *last = NULL;
    const struct profile *profile;
    for (size_t i = 0; (profile = policy_profile_at(r->policy, i)) != NULL; i++) {
        struct policy_reason common = {"", 0}; /* once, not once for each type */
        for (unsigned t = 0; t < DETECT_TYPES_MAX; t++) {
            struct policy_reason why = policy_why_profile(profile, t);
            if (!why.line)
                continue;
            bool is_default = span_ends(span_str(why.rule), SPAN(".default"));
            if (is_default)
                common = why;
            else
                cover(r, why, &last, &all, &missed);
        }
        cover(r, common, &last, &all, &missed);
    }
    struct policy_reason common = {"", 0};
    for (unsigned t = 0; t < DETECT_TYPES_MAX; t++) {
        struct policy_reason why = policy_why_outbound(r->policy, t);
        if (span_ends(span_str(why.rule), SPAN(".default")))
            common = why;
        else
            cover(r, why, &last, &all, &missed);
    }
    cover(r, common, &last, &all, &missed);
    cover(r, policy_why_links(r->policy), &last, &all, &missed);
    cover(r, policy_why_templates(r->policy), &last, &all, &missed);
    struct policy_reason why;
    for (int part = RETENTION_ORIGINAL; part <= RETENTION_HISTORY; part++)
        for (size_t i = 0; policy_why_rule_at(r->policy, (enum retention_part)part, i, &why) == 0;
             i++)
            cover(r, why, &last, &all, &missed);
    printf("# %s: %u of %u rules tested\n", policy_name(r->policy), all - missed, all);
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
        return cli_usage(call, "which file?");
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
out:
    detect_scratch_free(r->scratch);
    free(r->found);
    free(r);
    return result;
}

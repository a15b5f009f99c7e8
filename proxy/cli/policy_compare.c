/* `sluis policy test`: what a test expects, and what policy does. */
#include "policy_compare.h"

#include <stdio.h>

static void saw(struct run *r, struct policy_reason why)
{
    for (size_t i = 0; i < r->seen_count; i++)
        if (strcmp(r->seen[i], why.rule) == 0)
            return;
    if (why.line && r->seen_count < RULES_SEEN_MAX)
        r->seen[r->seen_count++] = why.rule;
}

bool compare_seen_rule(const struct run *r, const char *rule)
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

/* What one reader sees; profile NULL: no content. */
static void compare_seen(struct run *r, const struct yaml_node *node, const struct policy_case *c,
                         const struct profile *profile)
{
    const struct retention_facts facts = case_facts(c);
    struct buffer out;
    buffer_init(&out, CASE_OUT_MAX);
    if (profile && case_masked(r->policy, c, profile, &out) != 0) {
        buffer_clear(&out);
        buffer_add(&out, SPAN(MASK_UNJUDGED_TEXT));
    }
    for (size_t f = 0; profile && f < c->count; f++)
        saw(r, policy_why_profile_for(profile, &facts, c->found[f].type));
    bool same = span_is(buffer_span(&out), node->text);
    buffer_add_char(&out, '\0');
    if (!same)
        differ(r, node, node->key, node->text, out.error ? "?" : out.p);
    buffer_free(&out);
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
        compare_seen(r, i, c, route->profile);
    }
    return 0;
}

static int compare_roles(struct run *r, const struct yaml_node *map, const struct policy_case *c)
{
    for (const struct yaml_node *i = map ? map->child : NULL; i; i = i->next) {
        const struct policy_role *role = policy_role(r->policy, i->key);
        if (!role)
            return yaml_error_key(r->doc, i, &r->diag, "the policy has no such role");
        if (i->kind != YAML_SCALAR)
            return yaml_error(r->doc, i, &r->diag, "expected a text, or \"\" for no content");
        saw(r, policy_why_role(r->policy, i->key));
        bool open = !c->at_ms || policy_role_hours_open(role, c->at_ms);
        compare_seen(r, i, c, open ? role->profile : NULL);
    }
    return 0;
}

static int compare_reveal(struct run *r, const struct yaml_node *map, const struct policy_case *c)
{
    for (const struct yaml_node *i = map ? map->child : NULL; i; i = i->next) {
        const struct policy_role *role = policy_role(r->policy, i->key);
        uint64_t expected = 0;
        if (!role || i->kind != YAML_LIST)
            return yaml_error_key(r->doc, i, &r->diag, "expected a role and a list of types");
        for (const struct yaml_node *t = i->child; t; t = t->next) {
            unsigned type = t->kind == YAML_SCALAR ? policy_type_of(r->policy, t->text)
                                                   : (unsigned)DETECT_TYPES_MAX;
            if (type == DETECT_TYPES_MAX)
                return yaml_error(r->doc, t, &r->diag, "expected a type of the policy");
            expected |= UINT64_C(1) << type;
        }
        saw(r, policy_why_role(r->policy, i->key));
        if ((role->reveal & c->types) != expected)
            differ(r, i, i->key, "these types", "others: see \"reveal\" of the role");
    }
    return 0;
}

static int compare_notices(struct run *r, const struct yaml_node *list, const struct policy_case *c)
{
    const struct policy_notice *n;
    bool sent;
    for (const struct yaml_node *i = list ? list->child : NULL; i; i = i->next)
        if (i->kind != YAML_SCALAR || !policy_notice(r->policy, i->text))
            return yaml_error(r->doc, i, &r->diag, "the policy has no such notice");
    for (size_t k = 0; list && (n = case_notice(r->policy, c, k, &sent)) != NULL; k++) {
        bool expected = false;
        for (const struct yaml_node *i = list->child; i; i = i->next)
            expected |= strcmp(i->text, n->name) == 0;
        if (sent)
            saw(r, policy_why_notice(r->policy, n->name));
        if (expected != sent)
            differ(r, list, n->name, expected ? "sent" : "not sent", sent ? "sent" : "not sent");
    }
    return 0;
}

static int compare_files(struct run *r, const struct yaml_node *map, const struct policy_case *c)
{
    static const char *const words[] = {"withhold", "pass", "redact"};
    for (const struct yaml_node *i = map ? map->child : NULL; i; i = i->next) {
        const struct policy_route *route = policy_route(r->policy, i->key);
        size_t word = 0;
        if (!route)
            return yaml_error_key(r->doc, i, &r->diag, "the policy has no such route");
        int error = yaml_word(r->doc, i, words, 3, &word, &r->diag);
        if (error)
            return error;
        enum media_action got = c->picture == POLICY_PICTURES
                                    ? policy_route_media(r->policy, route, c->media)
                                    : policy_picture(r->policy, route, c->picture);
        if (c->picture != POLICY_PICTURES || c->media == POLICY_MEDIA_UNKNOWN)
            saw(r, policy_why_picture(r->policy, route,
                                      c->picture != POLICY_PICTURES ? c->picture
                                                                    : POLICY_PICTURE_UNKNOWN));
        if (got != (enum media_action)word)
            differ(r, i, i->key, words[word], words[got]);
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
    const struct retention_facts facts = case_facts(c);
    for (size_t f = 0; f < c->count; f++)
        saw(r, policy_why_outbound_for(r->policy, c->role, &facts, c->found[f].type));
    if (c->attachment)
        saw(r, policy_why_attachments(r->policy, c->role));
    const struct policy_template *template =
        c->template ? policy_template(r->policy, span_str(c->template)) : NULL;
    if (template)
        saw(r, policy_why_consent(r->policy, template->category));
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

int compare_all(struct run *r, const struct yaml_node *node, const struct policy_case *c)
{
    int error = compare_found(r, yaml_get(node, "found"), c);
    if (!error)
        error = compare_routes(r, yaml_get(node, "routes"), c);
    if (!error)
        error = compare_roles(r, yaml_get(node, "roles"), c);
    if (!error)
        error = compare_reveal(r, yaml_get(node, "reveal"), c);
    if (!error)
        error = compare_notices(r, yaml_get(node, "notices"), c);
    if (!error)
        error = compare_files(r, yaml_get(node, "files"), c);
    if (!error)
        error = compare_send(r, yaml_get(node, "send"), c);
    if (!error)
        error = compare_keep(r, yaml_get(node, "originals"), c, RETENTION_ORIGINAL);
    return error ? error : compare_keep(r, yaml_get(node, "history"), c, RETENTION_HISTORY);
}

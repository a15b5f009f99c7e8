/* Section outbound: what becomes of findings in what tools and people send. */
#include "policy_room.h"

#include <stdio.h>

static int outbound_word(const struct loader *l, const struct yaml_node *node, uint8_t *out)
{
    static const char *const words[] = {"mask", "refuse", "pass"};
    static const enum outbound_action actions[] = {OUTBOUND_MASK, OUTBOUND_REFUSE, OUTBOUND_PASS};
    size_t word = 0;
    int error = yaml_word(l->doc, node, words, 3, &word, l->diag);
    *out = (uint8_t)actions[word];
    return error;
}

/* A map of types; `where` for reasons: "outbound.found", "outbound.roles.agent.found". */
static int load_found(const struct loader *l, const struct yaml_node *found, const char *where,
                      struct outbound_set *set)
{
    uint8_t rest = OUTBOUND_MASK;
    struct policy_reason why = {"", 0};
    int error = found ? policy_check_types(l, found, POLICY_KEYS_FOUND) : 0;
    const struct yaml_node *common = yaml_get(found, "default");
    if (!error && common)
        error = outbound_word(l, common, &rest);
    if (!error && common)
        error = policy_take_reason(l, common, &why, "%s.default", where);
    for (size_t t = 0; t < DETECT_TYPES_MAX; t++) {
        set->actions[t] = rest;
        set->why[t] = why;
    }
    set->named = common ? UINT64_MAX : 0;
    for (const struct yaml_node *n = found ? found->child : NULL; n && !error; n = n->next) {
        if (n == common)
            continue;
        unsigned type = policy_type(l->policy, n->key);
        error = outbound_word(l, n, &set->actions[type]);
        if (!error)
            error = policy_take_reason(l, n, &set->why[type], "%s.%s", where, n->key);
        set->named |= UINT64_C(1) << type;
    }
    return error;
}

/* A role that is named must be one of `roles`. */
static int take_role(const struct loader *l, const struct yaml_node *node, const char *name,
                     const char **out)
{
    const struct policy_role *role = policy_role(l->policy, name);
    if (role) {
        *out = role->name;
        return 0;
    }
    const char *words[POLICY_ROLES_MAX];
    for (size_t i = 0; i < l->policy->role_count; i++)
        words[i] = l->policy->roles[i].door.name;
    const char *near = yaml_nearest(name, words, l->policy->role_count);
    struct yaml_quote quote;
    return yaml_error_key(l->doc, node, l->diag, "no role is called %s%s%s%s",
                          yaml_quote(&quote, name), near ? "; did you mean \"" : "",
                          near ? near : "", near ? "\"?" : "");
}

static int load_role(const struct loader *l, const struct yaml_node *node,
                     struct outbound_role *role)
{
    char where[POLICY_NAME_MAX + 64];
    int error = take_role(l, node, node->key, &role->name);
    if (!error)
        error = policy_check(l, node, POLICY_KEYS_OUTBOUND_ROLE);
    if (error)
        return error;
    snprintf(where, sizeof(where), "outbound.roles.%s.found", role->name);
    error = load_found(l, yaml_get(node, "found"), where, &role->set);
    snprintf(where, sizeof(where), "outbound.roles.%s.attachments", role->name);
    return error ? error
                 : policy_take_attachments(l, yaml_get(node, "attachments"), where,
                                           &role->attachments);
}

static int load_roles(const struct loader *l, const struct yaml_node *node)
{
    struct policy *policy = l->policy;
    policy->outbound_roles =
        arena_try_zero(&policy->arena, (policy_count(node) + 1) * sizeof(*policy->outbound_roles));
    if (!policy->outbound_roles)
        return policy_no_memory(l);
    for (const struct yaml_node *i = node ? node->child : NULL; i; i = i->next) {
        int error = load_role(l, i, &policy->outbound_roles[policy->outbound_role_count]);
        if (error)
            return error;
        policy->outbound_role_count++;
    }
    return 0;
}

/* `role` is a condition here and nowhere else: elsewhere it would be the reader, and readers have
 * profiles. */
static int take_when(const struct loader *l, const struct yaml_node *map, struct when *when)
{
    int error = policy_check(l, map, POLICY_KEYS_OUTBOUND_WHEN);
    const struct yaml_node *role = yaml_get(map, "role");
    if (!error)
        error = policy_take_when(l, map, when);
    return error || !role ? error : take_role(l, role, role->text, &when->role);
}

static int load_case(const struct loader *l, const struct yaml_node *node, size_t number)
{
    struct policy *policy = l->policy;
    struct outbound_case *rule = &policy->outbound_cases[policy->outbound_case_count];
    char where[64];
    int error = policy_check(l, node, POLICY_KEYS_OUTBOUND_RULE);
    if (!error)
        error = take_when(l, yaml_get(node, "when"), &rule->when);
    snprintf(where, sizeof(where), "outbound.rules[%zu]", number);
    if (!error)
        error = load_found(l, yaml_get(node, "found"), where, &rule->set);
    if (!error && !rule->set.named)
        error = yaml_error(l->doc, node, l->diag, "this rule says of no type what is done");
    for (size_t e = 0; e < policy->outbound_case_count && !error; e++) {
        const struct outbound_case *earlier = &policy->outbound_cases[e];
        unsigned type = (unsigned)__builtin_ctzll(earlier->set.named);
        if (policy_when_covers(&earlier->when, &rule->when) &&
            !(rule->set.named & ~earlier->set.named))
            error = yaml_error(l->doc, node, l->diag,
                               "this rule is never reached: the one on line %u takes all it would",
                               earlier->set.why[type].line);
    }
    return error;
}

static int load_cases(const struct loader *l, const struct yaml_node *list)
{
    struct policy *policy = l->policy;
    size_t n = policy_count(list);
    if (n > POLICY_CASES_MAX)
        return yaml_error_key(l->doc, list, l->diag, "more than %d rules", POLICY_CASES_MAX);
    policy->outbound_cases =
        arena_try_zero(&policy->arena, (n + 1) * sizeof(*policy->outbound_cases));
    if (!policy->outbound_cases)
        return policy_no_memory(l);
    for (const struct yaml_node *i = list ? list->child : NULL; i; i = i->next) {
        int error = load_case(l, i, policy->outbound_case_count + 1);
        if (error)
            return error;
        policy->outbound_case_count++;
    }
    return 0;
}

int policy_load_outbound(const struct loader *l, const struct yaml_node *node)
{
    int error = node ? policy_check(l, node, POLICY_KEYS_OUTBOUND) : 0;
    if (!error)
        error = policy_load_links(l, yaml_get(node, "links"));
    if (!error)
        error = load_found(l, yaml_get(node, "found"), "outbound.found", &l->policy->outbound);
    if (!error)
        error = load_roles(l, yaml_get(node, "roles"));
    if (!error)
        error = load_cases(l, yaml_get(node, "rules"));
    return error ? error : policy_load_contact(l, node);
}

/* ---- deciding ---- */

static bool is_stricter(uint8_t a, uint8_t b)
{
    static const int order[] = {[OUTBOUND_PASS] = 0, [OUTBOUND_MASK] = 1, [OUTBOUND_REFUSE] = 2};
    return order[a] > order[b];
}

static const struct outbound_role *find_role(const struct policy *policy, const char *role)
{
    for (size_t i = 0; role && i < policy->outbound_role_count; i++)
        if (strcmp(policy->outbound_roles[i].name, role) == 0)
            return &policy->outbound_roles[i];
    return NULL;
}

/* The set that decides of this type. */
static const struct outbound_set *decides(const struct policy *policy, const char *role,
                                          const struct retention_facts *facts, unsigned type)
{
    uint64_t bit = UINT64_C(1) << type;
    const struct outbound_role *mine = find_role(policy, role);
    const struct outbound_set *plain =
        mine && mine->set.named & bit ? &mine->set : &policy->outbound;
    const struct outbound_set *strictest = plain;
    for (size_t i = 0; i < policy->outbound_case_count; i++) {
        const struct outbound_case *rule = &policy->outbound_cases[i];
        if (!(rule->set.named & bit) ||
            (rule->when.role && !(role && strcmp(rule->when.role, role) == 0)))
            continue;
        if (facts && policy_when_holds(&rule->when, facts))
            return &rule->set;
        if (!facts && is_stricter(rule->set.actions[type], strictest->actions[type]))
            strictest = &rule->set;
    }
    return facts ? plain : strictest;
}

enum outbound_action policy_outbound_for(const struct policy *policy, const char *role,
                                         const struct retention_facts *facts, unsigned type)
{
    if (facts && type != DETECT_SECRET && policy_observe(policy, facts->at_ms))
        return OUTBOUND_PASS;
    return type < DETECT_TYPES_MAX
               ? (enum outbound_action)decides(policy, role, facts, type)->actions[type]
               : OUTBOUND_REFUSE;
}

enum outbound_action policy_outbound_role(const struct policy *policy, const char *role,
                                          unsigned type)
{
    return policy_outbound_for(policy, role, NULL, type);
}

enum outbound_action policy_outbound(const struct policy *policy, unsigned type)
{
    return policy_outbound_for(policy, NULL, NULL, type);
}

struct policy_reason policy_why_outbound_for(const struct policy *policy, const char *role,
                                             const struct retention_facts *facts, unsigned type)
{
    return type < DETECT_TYPES_MAX ? decides(policy, role, facts, type)->why[type]
                                   : (struct policy_reason){"", 0};
}

struct policy_reason policy_why_outbound(const struct policy *policy, unsigned type)
{
    return policy_why_outbound_for(policy, NULL, NULL, type);
}

static const struct attachments *attachments_of(const struct policy *policy, const char *role)
{
    const struct outbound_role *mine = find_role(policy, role);
    return mine && mine->attachments.said ? &mine->attachments : &policy->attachments;
}

bool policy_attachment_allowed(const struct policy *policy, const char *role, const char *kind)
{
    const struct attachments *a = attachments_of(policy, role);
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->at[i], kind) == 0)
            return true;
    return !a->said;
}

struct policy_reason policy_why_attachments(const struct policy *policy, const char *role)
{
    return attachments_of(policy, role)->why;
}

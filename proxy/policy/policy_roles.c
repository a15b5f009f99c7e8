/* Section roles: who may do what. Duties that the law or common sense keeps apart are refused here:
 * who changes what may be seen does not see more, who reads the log sees no content. */
#include "policy_room.h"

static const char *const rights[POLICY_RIGHTS] = {"history", "reveal",  "search", "export",  "log",
                                                  "policy",  "approve", "roles",  "subject", "hold",
                                                  "consent", "stats",   "operate"};

#define SEES_CONTENT                                                                               \
    (POLICY_MAY_HISTORY | POLICY_MAY_REVEAL | POLICY_MAY_SEARCH | POLICY_MAY_EXPORT)

const char *policy_right_word(enum policy_right right)
{
    for (unsigned i = 0; i < POLICY_RIGHTS; i++)
        if ((unsigned)right == 1u << i)
            return rights[i];
    return NULL;
}

enum policy_right policy_right_of(const char *word)
{
    for (unsigned i = 0; i < POLICY_RIGHTS; i++)
        if (strcmp(rights[i], word) == 0)
            return (enum policy_right)(1u << i);
    return (enum policy_right)0;
}

static int take_may(const struct loader *l, const struct yaml_node *list, uint32_t *may)
{
    for (const struct yaml_node *i = list->child; i; i = i->next) {
        size_t right = 0;
        int error = yaml_word(l->doc, i, rights, POLICY_RIGHTS, &right, l->diag);
        if (error)
            return error;
        if (*may & 1u << right)
            return yaml_error(l->doc, i, l->diag, "\"%s\" stands here twice", rights[right]);
        *may |= 1u << right;
    }
    return 0;
}

static int take_required(const struct loader *l, const struct yaml_node *node, bool *out)
{
    static const char *const words[] = {"optional", "required"};
    size_t which = *out;
    int error = node ? yaml_word(l->doc, node, words, 2, &which, l->diag) : 0;
    *out = which == 1;
    return error;
}

/* What does not go together, at `may` (or at the role). */
static int check_duties(const struct loader *l, const struct yaml_node *node,
                        const struct policy_role *role)
{
    const struct yaml_node *may = yaml_get(node, "may"), *reveal = yaml_get(node, "reveal");
    const struct yaml_node *at = may ? may : node;
    if ((role->may & POLICY_MAY_POLICY || role->may & POLICY_MAY_APPROVE) &&
        role->may & POLICY_MAY_REVEAL)
        return yaml_error_key(l->doc, at, l->diag,
                              "\"policy\" or \"approve\" and \"reveal\" in one role: who decides "
                              "what may be seen does not see more by it");
    if (role->may & POLICY_MAY_LOG && role->may & SEES_CONTENT)
        return yaml_error_key(l->doc, at, l->diag,
                              "\"log\" beside history, reveal, search or export in one role: who "
                              "reads the log sees no content");
    if (role->may & SEES_CONTENT && !role->profile)
        return yaml_error_key(l->doc, at, l->diag,
                              "this role reads messages and has no \"profile\"");
    if (role->may & POLICY_MAY_REVEAL && !role->reveal)
        return yaml_error_key(l->doc, reveal ? reveal : at, l->diag,
                              "the right to reveal needs \"reveal\": the types that it is about");
    if (reveal && !(role->may & POLICY_MAY_REVEAL))
        return yaml_error_key(l->doc, reveal, l->diag,
                              "\"reveal\" without the right: add reveal to \"may\"");
    return 0;
}

static int load_role(const struct loader *l, const struct yaml_node *node, struct role *role)
{
    role->door.reason_required = true;
    int error = policy_take_name(l, node, node->key, &role->door.name);
    if (!error)
        error = policy_check(l, node, POLICY_KEYS_ROLE);
    if (error)
        return error;
    const struct yaml_node *profile = yaml_get(node, "profile"), *may = yaml_get(node, "may");
    const struct yaml_node *reveal = yaml_get(node, "reveal"), *hours = yaml_get(node, "hours");
    if (profile)
        role->door.profile = policy_profile(l->policy, profile->text);
    if (profile && !role->door.profile)
        return policy_unknown_profile(l, profile);
    if (may)
        error = take_may(l, may, &role->door.may);
    if (!error && reveal && reveal->child)
        error = policy_take_types(l, reveal, &role->door.reveal);
    if (!error)
        error = take_required(l, yaml_get(node, "reason"), &role->door.reason_required);
    if (!error)
        error = take_required(l, yaml_get(node, "reference"), &role->door.reference_required);
    if (!error && hours)
        error = policy_take_hours(l, hours, &role->hours);
    if (!error)
        error = check_duties(l, node, &role->door);
    return error ? error : policy_take_reason(l, node, &role->why, "roles.%s", role->door.name);
}

int policy_load_roles(const struct loader *l, const struct yaml_node *node)
{
    struct policy *policy = l->policy;
    size_t n = policy_count(node);
    if (n > POLICY_ROLES_MAX)
        return yaml_error_key(l->doc, node, l->diag, "more than %d roles", POLICY_ROLES_MAX);
    policy->roles = arena_try_zero(&policy->arena, (n + 1) * sizeof(*policy->roles));
    if (!policy->roles)
        return policy_no_memory(l);
    for (const struct yaml_node *i = node ? node->child : NULL; i; i = i->next) {
        int error = load_role(l, i, &policy->roles[policy->role_count]);
        if (error)
            return error;
        policy->role_count++;
    }
    return 0;
}

const struct policy_role *policy_role(const struct policy *policy, const char *name)
{
    for (size_t i = 0; name && i < policy->role_count; i++)
        if (strcmp(policy->roles[i].door.name, name) == 0)
            return &policy->roles[i].door;
    return NULL;
}

const struct policy_role *policy_role_at(const struct policy *policy, size_t index)
{
    return index < policy->role_count ? &policy->roles[index].door : NULL;
}

struct policy_reason policy_why_role(const struct policy *policy, const char *name)
{
    const struct policy_role *role = policy_role(policy, name);
    if (!role)
        return (struct policy_reason){"", 0};
    return ((const struct role *)((const char *)role - offsetof(struct role, door)))->why;
}

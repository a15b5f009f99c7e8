/* Sections originals and history: how long each part of a message is kept. */
#include "policy_room.h"

static int take_keep(const struct loader *l, const struct yaml_node *node,
                     struct retention_rule *rule)
{
    if (strcmp(node->text, "never") == 0) {
        rule->never = true;
        return 0;
    }
    bool zero = strcmp(node->text, "0") == 0;
    int error = zero ? 0 : yaml_duration(l->doc, node, &rule->keep_s, l->diag);
    if (error) {
        const char *word = "never";
        struct yaml_quote quote;
        if (yaml_nearest(node->text, &word, 1))
            return yaml_error(l->doc, node, l->diag,
                              "\"keep\": expected a duration or never, found %s; did you mean "
                              "\"never\"?",
                              yaml_quote(&quote, node->text));
        return error;
    }
    if (rule->keep_s == 0)
        return yaml_error(l->doc, node, l->diag,
                          "\"keep\": 0 is not a time to keep; write never: then that part is not "
                          "written at all");
    if (rule->keep_s < POLICY_LEAST_KEEP_S)
        return yaml_error(l->doc, node, l->diag, "\"keep\": expected at least 1h, or never");
    return 0;
}

static int load_rule(const struct loader *l, const struct yaml_node *node, struct rule *rule)
{
    *rule = (struct rule){.door = {.ground = "", .selection = ""}};
    int error = policy_check(l, node, POLICY_KEYS_RULE);
    if (!error)
        error = policy_take_when(l, node, &rule->when);
    if (!error)
        error = take_keep(l, yaml_get(node, "keep"), &rule->door);
    const struct yaml_node *ground = yaml_get(node, "ground");
    if (!error && ground)
        error = policy_take_text(l, ground, &rule->door.ground);
    const struct yaml_node *selection = yaml_get(node, "selection");
    if (!error && selection) {
        error = policy_take_text(l, selection, &rule->door.selection);
        rule->door.minimum = !rule->door.never;
    }
    return error;
}

int policy_load_rules(const struct loader *l, const struct yaml_node *node,
                      enum retention_part part)
{
    struct rules *rules = &l->policy->rules[part];
    size_t n = 0;
    for (const struct yaml_node *i = node ? node->child : NULL; i; i = i->next)
        n++;
    if (n > POLICY_RULES_MAX)
        return yaml_error_key(l->doc, node, l->diag, "more than %d rules", POLICY_RULES_MAX);
    if (!n)
        return 0;
    rules->at = arena_try_zero(&l->policy->arena, n * sizeof(*rules->at));
    if (!rules->at)
        return policy_no_memory(l);
    for (const struct yaml_node *i = node->child; i; i = i->next) {
        struct rule *rule = &rules->at[rules->n];
        int error = load_rule(l, i, rule);
        if (!error)
            error = policy_take_reason(l, i, &rule->why, "%s[%zu]", node->key, rules->n + 1);
        if (error)
            return error;
        for (size_t e = 0; e < rules->n; e++)
            if (policy_when_covers(&rules->at[e].when, &rule->when))
                return yaml_error(l->doc, i, l->diag,
                                  "this rule is never reached: the one on line %u takes all it "
                                  "would",
                                  rules->at[e].why.line);
        rules->n++;
    }
    return 0;
}

static const struct rule *first_match(const struct policy *policy, enum retention_part part,
                                      const struct retention_facts *facts)
{
    const struct rules *rules = &policy->rules[part];
    for (size_t i = 0; i < rules->n; i++)
        if (policy_when_holds(&rules->at[i].when, facts))
            return &rules->at[i];
    return NULL;
}

struct retention_rule policy_retention(const struct policy *policy, enum retention_part part,
                                       const struct retention_facts *facts)
{
    const struct rule *rule = first_match(policy, part, facts);
    return rule ? rule->door
                : (struct retention_rule){.never = true, .ground = "", .selection = ""};
}

struct policy_reason policy_why_retention(const struct policy *policy, enum retention_part part,
                                          const struct retention_facts *facts)
{
    const struct rule *rule = first_match(policy, part, facts);
    return rule ? rule->why : (struct policy_reason){"", 0};
}

int policy_retention_at(const struct policy *policy, enum retention_part part, size_t index,
                        struct retention_rule *out)
{
    if (index >= policy->rules[part].n)
        return SLUIS_ENOENT;
    *out = policy->rules[part].at[index].door;
    return 0;
}

int policy_why_rule_at(const struct policy *policy, enum retention_part part, size_t index,
                       struct policy_reason *out)
{
    if (index >= policy->rules[part].n)
        return SLUIS_ENOENT;
    *out = policy->rules[part].at[index].why;
    return 0;
}

/* Sections originals and history: how long each part of a message is kept. */
#include "policy_room.h"

static int take_found(const struct loader *l, const struct yaml_node *node, uint64_t *found)
{
    const struct yaml_node *first = node->kind == YAML_LIST ? node->child : node;
    if (node->kind == YAML_MAP || !first)
        return yaml_error_key(l->doc, node, l->diag,
                              "\"found\": expected a type or a list of types");
    for (const struct yaml_node *i = first; i; i = node->kind == YAML_LIST ? i->next : NULL) {
        int error = yaml_expect(l->doc, i, YAML_WANT_TEXT, l->diag);
        if (error)
            return error;
        unsigned type = policy_type(l->policy, i->text);
        if (type == DETECT_TYPES_MAX) {
            /* At the word itself, also when it is not in a list. */
            struct yaml_node at = *i;
            at.key = NULL;
            return policy_unknown_type(l, &at, i->text, POLICY_KEYS_RULE);
        }
        *found |= UINT64_C(1) << type;
    }
    return 0;
}

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

static int take_channels(const struct loader *l, const struct yaml_node *node, struct rule *rule)
{
    struct yaml_node list = {.kind = YAML_LIST, .line = node->line, .column = node->column};
    struct yaml_node one = *node;
    const struct yaml_node *from = node;
    if (node->kind == YAML_SCALAR) {
        one.next = NULL;
        list.child = &one;
        from = &list;
    }
    if (from->kind != YAML_LIST || !from->child)
        return yaml_error_key(l->doc, node, l->diag,
                              "\"channel\": expected a channel or a list of channels");
    for (const struct yaml_node *i = from->child; i; i = i->next) {
        const char *name;
        int error = yaml_expect(l->doc, i, YAML_WANT_TEXT, l->diag);
        if (!error)
            error = policy_take_name(l, i, i->text, &name);
        if (error)
            return error;
    }
    return policy_take_words(l, from, POLICY_CHANNELS_MAX, &rule->channels, &rule->channel_count);
}

static int load_rule(const struct loader *l, const struct yaml_node *node, struct rule *rule)
{
    static const char *const kinds[] = {"media", "text"};
    static const char *const directions[] = {"in", "out"};
    size_t kind = 0, way = 0;
    *rule = (struct rule){.door = {.ground = "", .selection = ""}};
    int error = policy_check(l, node, POLICY_KEYS_RULE);
    const struct yaml_node *found = yaml_get(node, "found");
    if (!error && found)
        error = take_found(l, found, &rule->found);
    const struct yaml_node *kind_node = yaml_get(node, "kind");
    if (!error && kind_node) {
        error = yaml_word(l->doc, kind_node, kinds, 2, &kind, l->diag);
        rule->kind = kind == 0 ? RULE_MEDIA : RULE_TEXT;
    }
    const struct yaml_node *direction = yaml_get(node, "direction");
    if (!error && direction) {
        error = yaml_word(l->doc, direction, directions, 2, &way, l->diag);
        rule->direction = way == 0 ? RULE_IN : RULE_OUT;
    }
    const struct yaml_node *channel = yaml_get(node, "channel");
    if (!error && channel)
        error = take_channels(l, channel, rule);
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

static bool names(const struct rule *rule, const char *channel)
{
    for (size_t i = 0; i < rule->channel_count; i++)
        if (strcmp(rule->channels[i], channel) == 0)
            return true;
    return false;
}

static bool covers_channels(const struct rule *earlier, const struct rule *later)
{
    bool all = !earlier->channels || later->channels;
    for (size_t i = 0; earlier->channels && i < later->channel_count; i++)
        all &= names(earlier, later->channels[i]);
    return all;
}

/* True when whatever `later` would match is matched by `earlier`. */
static bool covers(const struct rule *earlier, const struct rule *later)
{
    bool kinds = earlier->kind == RULE_ANY || earlier->kind == later->kind;
    bool found = !earlier->found || (later->found && !(later->found & ~earlier->found));
    bool ways = earlier->direction == RULE_BOTH || earlier->direction == later->direction;
    return kinds && found && ways && covers_channels(earlier, later);
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
            if (covers(&rules->at[e], rule))
                return yaml_error(l->doc, i, l->diag,
                                  "this rule is never reached: the one on line %u takes all it "
                                  "would",
                                  rules->at[e].why.line);
        rules->n++;
    }
    return 0;
}

bool policy_rule_fits(const struct rule *rule, const struct retention_facts *facts)
{
    if (rule->kind != RULE_ANY && (rule->kind == RULE_MEDIA) != facts->media)
        return false;
    if (rule->direction != RULE_BOTH && (rule->direction == RULE_OUT) != facts->out)
        return false;
    return !rule->channels || (facts->channel && names(rule, facts->channel));
}

static bool matches(const struct rule *rule, const struct retention_facts *facts)
{
    return (!rule->found || (rule->found & facts->found)) && policy_rule_fits(rule, facts);
}

static const struct rule *first_match(const struct policy *policy, enum retention_part part,
                                      const struct retention_facts *facts)
{
    const struct rules *rules = &policy->rules[part];
    for (size_t i = 0; i < rules->n; i++)
        if (matches(&rules->at[i], facts))
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

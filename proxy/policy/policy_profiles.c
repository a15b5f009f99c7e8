/* Sections profiles and routes: what a reader and a tool get. */
#include "policy_room.h"

/* ---- actions ---- */

static int load_partial(const struct loader *l, const struct yaml_node *node,
                        struct mask_rule *rule)
{
    int64_t first = 0, last = 0;
    int error = policy_check(l, node, POLICY_KEYS_ACTION);
    const struct yaml_node *partial = yaml_get(node, "partial");
    if (!error)
        error = policy_check(l, partial, POLICY_KEYS_PARTIAL);
    if (error)
        return error;
    const struct yaml_node *first_node = yaml_get(partial, "first");
    const struct yaml_node *last_node = yaml_get(partial, "last");
    if (first_node)
        error = yaml_number(l->doc, first_node, 0, POLICY_PARTIAL_MAX, &first, l->diag);
    if (!error && last_node)
        error = yaml_number(l->doc, last_node, 0, POLICY_PARTIAL_MAX, &last, l->diag);
    if (!error && (first + last < 1 || first + last > POLICY_PARTIAL_MAX))
        error = yaml_error(l->doc, partial, l->diag,
                           "partial shows 1 to %d characters, first and last together",
                           POLICY_PARTIAL_MAX);
    *rule = (struct mask_rule){MASK_PARTIAL, (uint8_t)first, (uint8_t)last};
    return error;
}

static int load_action(const struct loader *l, const struct yaml_node *node, struct mask_rule *rule)
{
    static const char *const words[] = {"redact", "hash", "keep", "block", "token", "partial"};
    static const enum mask_action actions[] = {MASK_REDACT, MASK_HASH, MASK_KEEP, MASK_BLOCK,
                                               MASK_TOKEN};
    if (node->kind == YAML_MAP)
        return load_partial(l, node, rule);
    for (size_t i = 0; node->kind == YAML_SCALAR && i < 5; i++)
        if (strcmp(node->text, words[i]) == 0) {
            *rule = (struct mask_rule){actions[i], 0, 0};
            return 0;
        }
    bool text = node->kind == YAML_SCALAR && !yaml_is_null(node);
    if (text && strcmp(node->text, "partial") == 0)
        return yaml_error(l->doc, node, l->diag,
                          "\"%s\": partial needs a shape: {partial: {last: 4}}", node->key);
    const char *near = text ? yaml_nearest(node->text, words, 6) : NULL;
    struct yaml_quote quote;
    return yaml_error(l->doc, node, l->diag,
                      "\"%s\": expected redact, hash, token, keep, block or {partial: {last: 4}}, "
                      "found %s%s%s%s",
                      node->key,
                      text                      ? yaml_quote(&quote, node->text)
                      : node->kind == YAML_LIST ? "a list"
                                                : "nothing",
                      near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* ---- profiles ---- */

static void fill(struct profile *profile, struct mask_rule rule, struct policy_reason why)
{
    for (size_t t = 0; t < DETECT_TYPES_MAX; t++) {
        profile->rules[t] = rule;
        profile->why[t] = why;
    }
}

static int load_type(const struct loader *l, const struct yaml_node *node, struct profile *profile)
{
    unsigned type = policy_type(l->policy, node->key);
    int error = load_action(l, node, &profile->rules[type]);
    return error ? error
                 : policy_take_reason(l, node, &profile->why[type], "profiles.%s.%s", profile->name,
                                      node->key);
}

/* ---- rules with conditions ---- */

static int load_case(const struct loader *l, const struct yaml_node *node, struct profile *profile)
{
    struct profile_case *rule = &profile->cases[profile->case_count];
    const struct yaml_node *when = yaml_get(node, "when"), *common = yaml_get(node, "default");
    struct mask_rule action = {MASK_REDACT, 0, 0};
    int error = policy_check_types(l, node, POLICY_KEYS_CASE);
    if (!error && !when)
        error = yaml_error(l->doc, node, l->diag, "\"when\" is missing: the conditions");
    if (!error)
        error = policy_check(l, when, POLICY_KEYS_WHEN);
    if (!error)
        error = policy_take_when(l, when, &rule->when);
    if (!error && common)
        error = load_action(l, common, &action);
    for (size_t t = 0; t < DETECT_TYPES_MAX; t++)
        rule->rules[t] = action;
    rule->named = common ? UINT64_MAX : 0;
    for (const struct yaml_node *n = node->child; n && !error; n = n->next) {
        if (n == when || n == common)
            continue;
        unsigned type = policy_type(l->policy, n->key);
        error = load_action(l, n, &rule->rules[type]);
        rule->named |= UINT64_C(1) << type;
    }
    if (!error && !rule->named)
        error = yaml_error(l->doc, node, l->diag, "this rule says of no type what is done");
    return error ? error
                 : policy_take_reason(l, node, &rule->why, "profiles.%s.rules[%zu]", profile->name,
                                      profile->case_count + 1);
}

static int load_cases(const struct loader *l, const struct yaml_node *list, struct profile *profile)
{
    size_t n = policy_count(list);
    if (n > POLICY_CASES_MAX)
        return yaml_error_key(l->doc, list, l->diag, "more than %d rules", POLICY_CASES_MAX);
    profile->cases = arena_try_zero(&l->policy->arena, (n + 1) * sizeof(*profile->cases));
    if (!profile->cases)
        return policy_no_memory(l);
    for (const struct yaml_node *i = list->child; i; i = i->next) {
        int error = load_case(l, i, profile);
        const struct profile_case *rule = &profile->cases[profile->case_count];
        for (size_t e = 0; e < profile->case_count && !error; e++)
            if (policy_when_covers(&profile->cases[e].when, &rule->when) &&
                !(rule->named & ~profile->cases[e].named))
                error = yaml_error(l->doc, i, l->diag,
                                   "this rule is never reached: the one on line %u takes all it "
                                   "would",
                                   profile->cases[e].why.line);
        if (error)
            return error;
        profile->case_count++;
    }
    return 0;
}

static int load_profile(const struct loader *l, const struct yaml_node *node,
                        struct profile *profile)
{
    static const char *const contacts[] = {"keep", "alias"};
    const struct yaml_node *contact = yaml_get(node, "contact");
    const struct yaml_node *common = yaml_get(node, "default"), *rules = yaml_get(node, "rules");
    struct mask_rule rule = {MASK_REDACT, 0, 0};
    struct policy_reason why = {"", 0};
    size_t word = 0;
    int error = policy_take_name(l, node, node->key, &profile->name);
    if (!error)
        error = policy_check_types(l, node, POLICY_KEYS_PROFILE);
    if (!error && common)
        error = load_action(l, common, &rule);
    if (!error && common)
        error = policy_take_reason(l, common, &why, "profiles.%s.default", profile->name);
    fill(profile, rule, why);
    if (!error && contact)
        error = yaml_word(l->doc, contact, contacts, 2, &word, l->diag);
    profile->hides_contact = word == 1;
    for (const struct yaml_node *n = node->child; n && !error; n = n->next)
        if (n != common && n != contact && n != rules)
            error = load_type(l, n, profile);
    return error || !rules ? error : load_cases(l, rules, profile);
}

int policy_load_profiles(const struct loader *l, const struct yaml_node *node)
{
    struct policy *policy = l->policy;
    policy->storage.name = "storage";
    fill(&policy->storage, (struct mask_rule){MASK_REDACT, 0, 0}, (struct policy_reason){"", 0});
    size_t n = policy_count(node);
    if (n > POLICY_PROFILES_MAX)
        return yaml_error_key(l->doc, node, l->diag, "more than %d profiles", POLICY_PROFILES_MAX);
    if (!n)
        return 0;
    policy->profiles = arena_try_zero(&policy->arena, n * sizeof(*policy->profiles));
    if (!policy->profiles)
        return policy_no_memory(l);
    for (const struct yaml_node *i = node->child; i; i = i->next) {
        int error = load_profile(l, i, &policy->profiles[policy->profile_count]);
        if (error)
            return error;
        policy->profile_count++;
    }
    return 0;
}

/* ---- routes ---- */

int policy_unknown_profile(const struct loader *l, const struct yaml_node *node)
{
    const char *words[POLICY_PROFILES_MAX];
    for (size_t i = 0; i < l->policy->profile_count; i++)
        words[i] = l->policy->profiles[i].name;
    const char *near = yaml_nearest(node->text, words, l->policy->profile_count);
    struct yaml_quote quote;
    return yaml_error(l->doc, node, l->diag, "no profile is called %s%s%s%s",
                      yaml_quote(&quote, node->text), near ? "; did you mean \"" : "",
                      near ? near : "", near ? "\"?" : "");
}

static int load_route(const struct loader *l, const struct yaml_node *node, struct route *route)
{
    int error = policy_take_name(l, node, node->key, &route->door.name);
    if (!error)
        error = policy_check(l, node, POLICY_KEYS_ROUTE);
    if (error)
        return error;
    const struct yaml_node *profile = yaml_get(node, "profile");
    route->door.profile = policy_profile(l->policy, profile->text);
    if (!route->door.profile)
        return policy_unknown_profile(l, profile);
    route->door.media = MEDIA_PASS;
    for (size_t k = 0; k < POLICY_MEDIA_KINDS; k++)
        if (l->policy->media[k] != MEDIA_PASS)
            route->door.media = MEDIA_WITHHOLD;
    const struct yaml_node *media = yaml_get(node, "media");
    if (!media)
        return 0;
    route->media_said = true;
    int error_media = policy_media_word(l, media, false, &route->door.media);
    return error_media ? error_media
                       : policy_take_reason(l, media, &route->media_why, "routes.%s.media",
                                            route->door.name);
}

int policy_load_routes(const struct loader *l, const struct yaml_node *node)
{
    struct policy *policy = l->policy;
    size_t n = policy_count(node);
    if (n > POLICY_ROUTES_MAX)
        return yaml_error_key(l->doc, node, l->diag, "more than %d routes", POLICY_ROUTES_MAX);
    if (!n)
        return 0;
    policy->routes = arena_try_zero(&policy->arena, n * sizeof(*policy->routes));
    if (!policy->routes)
        return policy_no_memory(l);
    for (const struct yaml_node *i = node->child; i; i = i->next) {
        int error = load_route(l, i, &policy->routes[policy->route_count]);
        if (error)
            return error;
        policy->route_count++;
    }
    return 0;
}

/* ---- deciding ---- */

/* By what a reader learns: nothing of the text, nothing, that two values are the same to the
 * gateway, to the reader, a part, all. */
bool mask_rule_stricter(struct mask_rule a, struct mask_rule b)
{
    static const int order[] = {[MASK_KEEP] = 0,  [MASK_PARTIAL] = 1, [MASK_HASH] = 2,
                                [MASK_TOKEN] = 3, [MASK_REDACT] = 4,  [MASK_BLOCK] = 5};
    if (a.action == MASK_PARTIAL && b.action == MASK_PARTIAL)
        return a.first + a.last < b.first + b.last;
    return order[a.action] > order[b.action];
}

/* What decides: a case, or -1 for the profile's own rows. */
static int decides(const struct profile *profile, const struct retention_facts *facts,
                   unsigned type)
{
    uint64_t bit = UINT64_C(1) << type;
    for (size_t i = 0; facts && i < profile->case_count; i++)
        if (profile->cases[i].named & bit && policy_when_holds(&profile->cases[i].when, facts))
            return (int)i;
    if (facts)
        return -1;
    int found = -1; /* the strictest of all */
    for (size_t i = 0; i < profile->case_count; i++)
        if (profile->cases[i].named & bit &&
            mask_rule_stricter(profile->cases[i].rules[type],
                               found < 0 ? profile->rules[type]
                                         : profile->cases[found].rules[type]))
            found = (int)i;
    return found;
}

struct mask_rule profile_rule_for(const struct profile *profile,
                                  const struct retention_facts *facts, unsigned type)
{
    if (type >= DETECT_TYPES_MAX)
        return (struct mask_rule){MASK_REDACT, 0, 0};
    if (!profile->case_count)
        return profile->rules[type];
    int i = decides(profile, facts, type);
    return i < 0 ? profile->rules[type] : profile->cases[i].rules[type];
}

/* A part is shown of a whole value only: which part another type would show lies elsewhere. */
struct mask_rule mask_rule_join(struct mask_rule own, struct mask_rule other)
{
    if (other.action == MASK_PARTIAL && !mask_rule_stricter(own, other))
        return (struct mask_rule){MASK_REDACT, 0, 0};
    if (other.action == MASK_PARTIAL && own.action == MASK_PARTIAL)
        return (struct mask_rule){MASK_REDACT, 0, 0};
    return mask_rule_stricter(other, own) ? other : own;
}

struct mask_rule mask_rule_of_rest(struct mask_rule rule)
{
    if (rule.action == MASK_KEEP || rule.action == MASK_BLOCK)
        return rule;
    return (struct mask_rule){MASK_REDACT, 0, 0};
}

struct mask_rule profile_rule_of(const struct profile *profile, const struct retention_facts *facts,
                                 const struct finding *f, unsigned *by)
{
    struct mask_rule rule = profile_rule_for(profile, facts, f->type);
    *by = f->type;
    if (f->type >= DETECT_TYPES_MAX)
        return rule;
    for (uint64_t also = f->also & ~(UINT64_C(1) << f->type); also; also &= also - 1) {
        unsigned other = (unsigned)__builtin_ctzll(also);
        struct mask_rule next = profile_rule_for(profile, facts, other);
        if (mask_rule_stricter(next, rule))
            *by = other;
        rule = mask_rule_join(rule, next);
    }
    return f->rest ? mask_rule_of_rest(rule) : rule;
}

struct mask_rule profile_rule(const struct profile *profile, unsigned type)
{
    return profile_rule_for(profile, NULL, type);
}

struct policy_reason policy_why_profile_for(const struct profile *profile,
                                            const struct retention_facts *facts, unsigned type)
{
    if (type >= DETECT_TYPES_MAX)
        return (struct policy_reason){"", 0};
    int i = decides(profile, facts, type);
    return i < 0 ? profile->why[type] : profile->cases[i].why;
}

struct policy_reason policy_why_profile(const struct profile *profile, unsigned type)
{
    return policy_why_profile_for(profile, NULL, type);
}

bool profile_has_conditions(const struct profile *profile)
{
    return profile->case_count > 0;
}

bool profile_gives_tokens(const struct profile *profile)
{
    for (unsigned type = 0; type < DETECT_TYPES_MAX; type++) {
        if (profile->rules[type].action == MASK_TOKEN)
            return true;
        for (size_t i = 0; i < profile->case_count; i++)
            if (profile->cases[i].named >> type & 1 &&
                profile->cases[i].rules[type].action == MASK_TOKEN)
                return true;
    }
    return false;
}

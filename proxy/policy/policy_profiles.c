/* Sections profiles, media, routes and outbound: what a reader, a tool and a customer get. */
#include "policy_room.h"

static size_t count(const struct yaml_node *map)
{
    size_t n = 0;
    for (const struct yaml_node *i = map ? map->child : NULL; i; i = i->next)
        n++;
    return n;
}

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

static int load_profile(const struct loader *l, const struct yaml_node *node,
                        struct profile *profile)
{
    static const char *const contacts[] = {"keep", "alias"};
    const struct yaml_node *contact = yaml_get(node, "contact");
    const struct yaml_node *common = yaml_get(node, "default");
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
        if (n != common && n != contact)
            error = load_type(l, n, profile);
    return error;
}

int policy_load_profiles(const struct loader *l, const struct yaml_node *node)
{
    struct policy *policy = l->policy;
    policy->storage.name = "storage";
    fill(&policy->storage, (struct mask_rule){MASK_REDACT, 0, 0}, (struct policy_reason){"", 0});
    size_t n = count(node);
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

/* ---- media ---- */

/* `inspected`: kinds that only a look at the picture tells. */
static int media_word(const struct loader *l, const struct yaml_node *node, bool inspected,
                      enum media_action *out)
{
    static const char *const words[] = {"withhold", "pass", "redact"};
    size_t word = 0;
    int error = yaml_word(l->doc, node, words, inspected ? 1 : 2, &word, NULL);
    if (error && node->kind == YAML_SCALAR &&
        (strcmp(node->text, "redact") == 0 || (inspected && strcmp(node->text, "pass") == 0)))
        return yaml_error(l->doc, node, l->diag,
                          "\"%s\": \"%s\" is not available in this version: pictures are not "
                          "inspected yet; write withhold",
                          node->key, node->text);
    if (error)
        return yaml_word(l->doc, node, words, inspected ? 1 : 2, &word, l->diag);
    *out = word == 1 ? MEDIA_PASS : MEDIA_WITHHOLD;
    return 0;
}

int policy_load_media(const struct loader *l, const struct yaml_node *node)
{
    static const struct {
        const char *key;
        bool inspected;
        enum policy_media_kind kind;
    } kinds[] = {
        {"card", true, POLICY_MEDIA_UNKNOWN},     {"id_document", true, POLICY_MEDIA_UNKNOWN},
        {"unknown", false, POLICY_MEDIA_UNKNOWN}, {"document", false, POLICY_MEDIA_DOCUMENT},
        {"audio", false, POLICY_MEDIA_AUDIO},
    };
    for (size_t i = 0; i < POLICY_MEDIA_KINDS; i++)
        l->policy->media[i] = MEDIA_WITHHOLD;
    if (!node)
        return 0;
    int error = policy_check(l, node, POLICY_KEYS_MEDIA);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !error; i++) {
        const struct yaml_node *value = yaml_get(node, kinds[i].key);
        if (value)
            error = media_word(l, value, kinds[i].inspected, &l->policy->media[kinds[i].kind]);
    }
    return error;
}

/* ---- routes ---- */

static int unknown_profile(const struct loader *l, const struct yaml_node *node)
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
        return unknown_profile(l, profile);
    route->door.media = MEDIA_PASS;
    for (size_t k = 0; k < POLICY_MEDIA_KINDS; k++)
        if (l->policy->media[k] != MEDIA_PASS)
            route->door.media = MEDIA_WITHHOLD;
    const struct yaml_node *media = yaml_get(node, "media");
    if (!media)
        return 0;
    route->media_said = true;
    return media_word(l, media, false, &route->door.media);
}

int policy_load_routes(const struct loader *l, const struct yaml_node *node)
{
    struct policy *policy = l->policy;
    size_t n = count(node);
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

/* ---- outbound ---- */

static int outbound_word(const struct loader *l, const struct yaml_node *node,
                         enum outbound_action *out)
{
    static const char *const words[] = {"mask", "refuse", "pass"};
    static const enum outbound_action actions[] = {OUTBOUND_MASK, OUTBOUND_REFUSE, OUTBOUND_PASS};
    size_t word = 0;
    int error = yaml_word(l->doc, node, words, 3, &word, l->diag);
    *out = actions[word];
    return error;
}

int policy_load_outbound(const struct loader *l, const struct yaml_node *node)
{
    enum outbound_action rest = OUTBOUND_MASK;
    struct policy_reason why = {"", 0};
    struct policy *policy = l->policy;
    int error = node ? policy_check(l, node, POLICY_KEYS_OUTBOUND) : 0;
    if (!error)
        error = policy_load_links(l, yaml_get(node, "links"));
    if (!error)
        error = policy_load_templates(l, yaml_get(node, "templates"));
    const struct yaml_node *found = yaml_get(node, "found");
    if (!error && found)
        error = policy_check_types(l, found, POLICY_KEYS_FOUND);
    const struct yaml_node *common = yaml_get(found, "default");
    if (!error && common)
        error = outbound_word(l, common, &rest);
    if (!error && common)
        error = policy_take_reason(l, common, &why, "outbound.found.default");
    for (size_t t = 0; t < DETECT_TYPES_MAX; t++) {
        policy->outbound[t] = rest;
        policy->outbound_why[t] = why;
    }
    for (const struct yaml_node *n = found ? found->child : NULL; n && !error; n = n->next) {
        if (n == common)
            continue;
        unsigned type = policy_type(policy, n->key);
        error = outbound_word(l, n, &policy->outbound[type]);
        if (!error)
            error =
                policy_take_reason(l, n, &policy->outbound_why[type], "outbound.found.%s", n->key);
    }
    return error;
}

/* Sections detect and recognisers: what is looked for. */
#include "policy_room.h"

#define FROM_OFF 1001 /* above every score */
#define OWN_SCORE 700

static int count(const struct yaml_node *list)
{
    int n = 0;
    for (const struct yaml_node *i = list ? list->child : NULL; i; i = i->next)
        n++;
    return n;
}

/* A list of texts into the policy's arena. */
static int take_words(const struct loader *l, const struct yaml_node *list, const char *const **out,
                      size_t *out_n)
{
    *out = NULL;
    *out_n = 0;
    if (!list)
        return 0;
    int n = count(list);
    if (n > POLICY_OWN_WORDS_MAX)
        return yaml_error_key(l->doc, list, l->diag, "more than %d entries", POLICY_OWN_WORDS_MAX);
    const char **words = arena_try_zero(&l->policy->arena, sizeof(*words) * ((size_t)n + 1));
    if (!words)
        return policy_no_memory(l);
    size_t used = 0;
    for (const struct yaml_node *i = list->child; i; i = i->next) {
        int error = yaml_expect(l->doc, i, YAML_WANT_TEXT, l->diag);
        if (error)
            return error;
        words[used] = arena_try_str(&l->policy->arena, span_str(i->text));
        if (!words[used++])
            return policy_no_memory(l);
    }
    *out = words;
    *out_n = used;
    return 0;
}

static int own_name(const struct loader *l, const struct yaml_node *node, const char **out)
{
    int error = policy_take_name(l, node, node->text, out);
    if (error)
        return error;
    bool reserved = strcmp(*out, "default") == 0 || strcmp(*out, "contact") == 0;
    if (reserved || policy_type(l->policy, *out) != DETECT_TYPES_MAX)
        return yaml_error(l->doc, node, l->diag, "\"%s\" is taken: a recogniser needs its own name",
                          *out);
    return 0;
}

static int load_own(const struct loader *l, const struct yaml_node *node, struct detect_own *own)
{
    static const char *const validators[] = {"luhn", "mod97", "elfproef", "mod11", "none"};
    int error = policy_check(l, node, POLICY_KEYS_RECOGNISER);
    if (!error)
        error = own_name(l, yaml_get(node, "name"), &own->name);
    if (!error)
        error = take_words(l, yaml_get(node, "patterns"), &own->patterns, &own->pattern_count);
    if (!error && !own->pattern_count)
        error = yaml_error_key(l->doc, yaml_get(node, "patterns"), l->diag, "no pattern in it");
    if (!error)
        error = take_words(l, yaml_get(node, "context"), &own->context, &own->context_count);
    if (!error)
        error = take_words(l, yaml_get(node, "counter"), &own->counter, &own->counter_count);
    size_t validator = 4;
    const struct yaml_node *word = yaml_get(node, "validator");
    if (!error && word)
        error = yaml_word(l->doc, word, validators, 5, &validator, l->diag);
    own->validator = validators[validator];
    own->score = OWN_SCORE;
    const struct yaml_node *score = yaml_get(node, "score");
    if (!error && score)
        error = yaml_share(l->doc, score, &own->score, l->diag);
    return error;
}

int policy_load_recognisers(const struct loader *l, const struct yaml_node *node)
{
    struct policy *policy = l->policy;
    policy->settings.own = policy->own;
    if (!node)
        return 0;
    if (count(node) > DETECT_OWN_MAX)
        return yaml_error_key(l->doc, node, l->diag, "more than %d recognisers", DETECT_OWN_MAX);
    for (const struct yaml_node *i = node->child; i; i = i->next) {
        int error = load_own(l, i, &policy->own[policy->settings.own_count]);
        if (error)
            return error;
        policy->settings.own_count++;
    }
    return 0;
}

static int load_default(const struct loader *l, const struct yaml_node *node)
{
    struct detect_settings *settings = &l->policy->settings;
    const struct yaml_node *from = yaml_get(node, "from");
    uint16_t value = 0;
    int error = policy_check(l, node, POLICY_KEYS_DETECT_TYPE);
    if (!error && yaml_get(node, "strict"))
        error = yaml_error_key(l->doc, yaml_get(node, "strict"), l->diag, "only bsn can be strict");
    if (!error && !from)
        error = yaml_error_key(l->doc, node, l->diag, "expected {from: 0.70}");
    if (!error)
        error = yaml_share(l->doc, from, &value, l->diag);
    /* What is off by default stays off until it is named. */
    for (unsigned t = 0; !error && t < DETECT_OWN; t++)
        if (settings->from[t] < FROM_OFF)
            settings->from[t] = value;
    return error;
}

static int load_type(const struct loader *l, const struct yaml_node *node)
{
    struct detect_settings *settings = &l->policy->settings;
    unsigned type = policy_type(l->policy, node->key);
    if (type >= DETECT_OWN)
        return yaml_error_key(l->doc, node, l->diag,
                              "\"%s\" is a recogniser of this policy: set its score there",
                              node->key);
    if (node->kind == YAML_SCALAR && !node->quoted && strcmp(node->text, "off") == 0) {
        settings->from[type] = FROM_OFF;
        return 0;
    }
    if (node->kind != YAML_MAP || !node->child)
        return yaml_error(l->doc, node, l->diag, "\"%s\": expected {from: 0.70} or off", node->key);
    int error = policy_check(l, node, POLICY_KEYS_DETECT_TYPE);
    const struct yaml_node *from = yaml_get(node, "from"), *strict = yaml_get(node, "strict");
    if (!error && from)
        error = yaml_share(l->doc, from, &settings->from[type], l->diag);
    if (!error && strict && type != DETECT_BSN)
        error = yaml_error_key(l->doc, strict, l->diag, "only bsn can be strict");
    if (!error && strict)
        error = yaml_bool(l->doc, strict, &settings->strict, l->diag);
    return error;
}

int policy_load_detect(const struct loader *l, const struct yaml_node *node)
{
    if (!node)
        return 0;
    int error = policy_check_types(l, node, POLICY_KEYS_DETECT);
    const struct yaml_node *common = yaml_get(node, "default");
    if (!error && common)
        error = load_default(l, common);
    for (const struct yaml_node *n = node->child; n && !error; n = n->next)
        if (n != common)
            error = load_type(l, n);
    return error;
}

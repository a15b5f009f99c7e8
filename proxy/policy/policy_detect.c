/* Sections detect and recognisers: what is looked for. */
#include "policy_room.h"

#define FROM_OFF 1001 /* above every score */
#define OWN_SCORE 700
#define FROM_SPECIAL 700

size_t policy_count(const struct yaml_node *node)
{
    size_t n = 0;
    for (const struct yaml_node *i = node ? node->child : NULL; i; i = i->next)
        n++;
    return n;
}

static int count(const struct yaml_node *list)
{
    return (int)policy_count(list); /* at most YAML_NODES_MAX */
}

/* A list of texts into the policy's arena. */
int policy_take_words(const struct loader *l, const struct yaml_node *list, int most,
                      const char *const **out, size_t *out_n)
{
    *out = NULL;
    *out_n = 0;
    if (!list)
        return 0;
    int n = count(list);
    if (n > most)
        return yaml_error_key(l->doc, list, l->diag, "more than %d entries", most);
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
        error = policy_take_words(l, yaml_get(node, "patterns"), POLICY_OWN_WORDS_MAX,
                                  &own->patterns, &own->pattern_count);
    if (!error && !own->pattern_count)
        error = yaml_error_key(l->doc, yaml_get(node, "patterns"), l->diag, "no pattern in it");
    if (!error)
        error = policy_take_words(l, yaml_get(node, "context"), POLICY_OWN_WORDS_MAX, &own->context,
                                  &own->context_count);
    if (!error)
        error = policy_take_words(l, yaml_get(node, "counter"), POLICY_OWN_WORDS_MAX, &own->counter,
                                  &own->counter_count);
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
    if (!error && yaml_get(node, "words"))
        error = yaml_error_key(l->doc, yaml_get(node, "words"), l->diag, "only special has words");
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

/* Without words nothing is special: a threshold alone would promise what is not done. */
static int load_special(const struct loader *l, const struct yaml_node *node)
{
    struct detect_settings *settings = &l->policy->settings;
    const struct yaml_node *words = yaml_get(node, "words");
    if (!words || !words->child)
        return yaml_error_key(l->doc, words ? words : node, l->diag,
                              "special needs words: {from: 0.70, words: [...]}");
    if (settings->from[DETECT_SPECIAL] >= FROM_OFF)
        settings->from[DETECT_SPECIAL] = FROM_SPECIAL;
    return policy_take_words(l, words, POLICY_SPECIAL_WORDS_MAX, &settings->special_words,
                             &settings->special_count);
}

/* Finds each word by the detector itself, so that none is accepted and then never found. */
int policy_check_special(const struct loader *l, const struct yaml_node *detect)
{
    const struct yaml_node *words = yaml_get(yaml_get(detect, "special"), "words");
    struct detect_scratch *scratch;
    struct finding found[8];
    if (!words || !l->policy->settings.special_count)
        return 0;
    if (detect_scratch_new(&scratch) != 0)
        return policy_no_memory(l);
    int error = 0;
    for (const struct yaml_node *i = words->child; i && !error; i = i->next) {
        const struct detect_input input = {.text = span_str(i->text), .from_customer = true};
        int n = detect_run(l->policy->detector, scratch, &input, found, 8);
        if (n != 1 || found[0].type != DETECT_SPECIAL || found[0].end != input.text.n)
            error = yaml_error(l->doc, i, l->diag,
                               "this word would not be found: single words of 1 to 32 letters, "
                               "and \"from\" at most 0.80");
    }
    detect_scratch_free(scratch);
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
    if (!error && type == DETECT_SPECIAL)
        error = load_special(l, node);
    else if (!error && yaml_get(node, "words"))
        error = yaml_error_key(l->doc, yaml_get(node, "words"), l->diag, "only special has words");
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

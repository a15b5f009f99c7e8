/* Section outbound, what is about the contact: templates and their purposes, attachments, the
 * window, consent, pace, words to opt out by. */
#include "policy_room.h"

#define LEAST_PACE_S 60
#define MOST_PACE 1000000

static const char *const categories[POLICY_CATEGORIES] = {
    [POLICY_CATEGORY_MARKETING] = "marketing",
    [POLICY_CATEGORY_UTILITY] = "utility",
    [POLICY_CATEGORY_AUTHENTICATION] = "authentication",
    [POLICY_CATEGORY_SERVICE] = "service",
};

static const char *const bases[POLICY_BASES] = {"consent", "customer", "contract", "task"};

const char *policy_category_word(enum policy_category category)
{
    return (unsigned)category < POLICY_CATEGORIES ? categories[category] : NULL;
}

static bool same_word(struct span a, const char *lower)
{
    size_t n = strlen(lower);
    for (size_t i = 0; i < n && a.n == n; i++) {
        char c = a.p[i] >= 'A' && a.p[i] <= 'Z' ? (char)(a.p[i] | 0x20) : a.p[i];
        if (c != lower[i])
            return false;
    }
    return a.n == n;
}

enum policy_category policy_category_of(struct span word)
{
    for (unsigned c = POLICY_CATEGORY_MARKETING; c < POLICY_CATEGORIES; c++)
        if (same_word(word, categories[c]))
            return (enum policy_category)c;
    return POLICY_CATEGORY_UNKNOWN;
}

const char *policy_basis_word(enum policy_basis basis)
{
    for (unsigned i = 0; i < POLICY_BASES; i++)
        if ((unsigned)basis == 1u << i)
            return bases[i];
    return NULL;
}

unsigned policy_basis_of(const char *word)
{
    for (unsigned i = 0; i < POLICY_BASES; i++)
        if (strcmp(bases[i], word) == 0)
            return 1u << i;
    return 0;
}

/* ---- templates ---- */

static int load_purposes(const struct loader *l, const struct yaml_node *list)
{
    struct policy *policy = l->policy;
    for (const struct yaml_node *i = list ? list->child : NULL; i; i = i->next) {
        const char *name;
        int error = yaml_expect(l->doc, i, YAML_WANT_TEXT, l->diag);
        if (!error)
            error = policy_take_name(l, i, i->text, &name);
        if (error)
            return error;
    }
    return policy_take_words(l, list, POLICY_TEMPLATES_MAX, &policy->purposes,
                             &policy->purpose_count);
}

static int take_purpose(const struct loader *l, const struct yaml_node *at,
                        const struct yaml_node *node, struct policy_template *template)
{
    const struct policy *policy = l->policy;
    struct yaml_quote quote;
    template->purpose = "";
    if (!node && policy->purposes)
        return yaml_error(l->doc, at, l->diag,
                          "template %s has no \"purpose\", and outbound.purposes requires one of "
                          "its list",
                          yaml_quote(&quote, template->name));
    if (!node)
        return 0;
    int error = policy_take_name(l, node, node->text, &template->purpose);
    for (size_t i = 0; i < policy->purpose_count && !error; i++)
        if (strcmp(policy->purposes[i], node->text) == 0)
            return 0;
    if (error || !policy->purposes)
        return error;
    const char *near = yaml_nearest(node->text, policy->purposes, policy->purpose_count);
    return yaml_error(l->doc, node, l->diag, "%s is none of outbound.purposes%s%s%s",
                      yaml_quote(&quote, node->text), near ? "; did you mean \"" : "",
                      near ? near : "", near ? "\"?" : "");
}

static int load_template(const struct loader *l, const struct yaml_node *node,
                         struct policy_template *template)
{
    const struct yaml_node *name = node, *category = NULL, *purpose = NULL;
    size_t which = 0;
    if (node->kind == YAML_MAP) {
        int error = policy_check(l, node, POLICY_KEYS_TEMPLATE);
        if (error)
            return error;
        name = yaml_get(node, "name");
        category = yaml_get(node, "category");
        purpose = yaml_get(node, "purpose");
    }
    size_t n = name->kind == YAML_SCALAR ? strlen(name->text) : 0;
    struct yaml_quote quote;
    if (n == 0 || n > 512 || strspn(name->text, "abcdefghijklmnopqrstuvwxyz0123456789_") != n)
        return yaml_error(l->doc, name, l->diag,
                          "%s is not a template's name: lower-case letters, digits and _",
                          yaml_quote(&quote, name->kind == YAML_SCALAR ? name->text : ""));
    template->name = arena_try_str(&l->policy->arena, span_str(name->text));
    if (!template->name)
        return policy_no_memory(l);
    if (category) { /* a template is never of category service */
        int error =
            yaml_word(l->doc, category, categories + POLICY_CATEGORY_MARKETING, 3, &which, l->diag);
        if (error)
            return error;
        template->category = (enum policy_category)(POLICY_CATEGORY_MARKETING + which);
    }
    return take_purpose(l, node, purpose, template);
}

static int load_templates(const struct loader *l, const struct yaml_node *list)
{
    struct policy *policy = l->policy;
    if (!list)
        return 0;
    size_t n = policy_count(list);
    if (n > POLICY_TEMPLATES_MAX)
        return yaml_error_key(l->doc, list, l->diag, "more than %d entries", POLICY_TEMPLATES_MAX);
    policy->templates = arena_try_zero(&policy->arena, (n + 1) * sizeof(*policy->templates));
    if (!policy->templates)
        return policy_no_memory(l);
    policy->templates_said = true;
    for (const struct yaml_node *i = list->child; i; i = i->next) {
        struct policy_template *template = &policy->templates[policy->template_count];
        int error = load_template(l, i, template);
        if (!error && policy_template(policy, span_str(template->name)))
            error = yaml_error(l->doc, i, l->diag, "template \"%.60s\" stands here twice",
                               template->name);
        if (error)
            return error;
        policy->template_count++;
    }
    return policy_take_reason(l, list, &policy->templates_why, "outbound.templates");
}

const struct policy_template *policy_template(const struct policy *policy, struct span name)
{
    for (size_t i = 0; i < policy->template_count; i++)
        if (span_is(name, policy->templates[i].name))
            return &policy->templates[i];
    return NULL;
}

const struct policy_template *policy_template_at(const struct policy *policy, size_t index)
{
    return index < policy->template_count ? &policy->templates[index] : NULL;
}

bool policy_template_allowed(const struct policy *policy, struct span name)
{
    return !policy->templates_said || policy_template(policy, name);
}

struct policy_reason policy_why_templates(const struct policy *policy)
{
    return policy->templates_said ? policy->templates_why : (struct policy_reason){"", 0};
}

/* ---- attachments ---- */

int policy_take_attachments(const struct loader *l, const struct yaml_node *list, const char *where,
                            struct attachments *out)
{
    static const char *const kinds[] = {"image",   "document", "audio",   "video",
                                        "sticker", "location", "contacts"};
    out->why = (struct policy_reason){"", 0};
    if (!list)
        return 0;
    out->said = true;
    for (const struct yaml_node *i = list->child; i; i = i->next) {
        size_t kind = 0;
        int error = yaml_word(l->doc, i, kinds, sizeof(kinds) / sizeof(kinds[0]), &kind, l->diag);
        if (error)
            return error;
    }
    int error = policy_take_words(l, list, POLICY_ATTACHMENTS_MAX, &out->at, &out->n);
    return error ? error : policy_take_reason(l, list, &out->why, "%s", where);
}

/* ---- consent ---- */

static int take_basis(const struct loader *l, const struct yaml_node *node, uint8_t *out)
{
    static const char *const words[] = {"consent", "customer", "contract",
                                        "task",    "required", "none"};
    const struct yaml_node *first = node->kind == YAML_LIST ? node->child : node;
    size_t which = 0, n = node->kind == YAML_LIST ? 4 : 6;
    if (node->kind == YAML_MAP || !first)
        return yaml_error_key(
            l->doc, node, l->diag,
            "\"%s\": expected consent, customer, contract, task, a list of these, "
            "required (consent) or none",
            node->key);
    for (const struct yaml_node *i = first; i; i = node->kind == YAML_LIST ? i->next : NULL) {
        int error = yaml_word(l->doc, i, words, n, &which, l->diag);
        if (error)
            return error;
        if (which < POLICY_BASES)
            *out = (uint8_t)(*out | 1u << which);
        else if (which == 4)
            *out = POLICY_BASIS_CONSENT;
    }
    return 0;
}

static int load_consent(const struct loader *l, const struct yaml_node *node)
{
    struct policy *policy = l->policy;
    for (unsigned c = 0; c < POLICY_CATEGORIES; c++)
        policy->consent_why[c] = (struct policy_reason){"", 0};
    int error = node ? policy_check(l, node, POLICY_KEYS_CONSENT) : 0;
    policy->consent_said = node != NULL;
    for (unsigned c = POLICY_CATEGORY_MARKETING; node && c < POLICY_CATEGORIES && !error; c++) {
        const struct yaml_node *value = yaml_get(node, categories[c]);
        if (value)
            error = take_basis(l, value, &policy->consent[c]);
        if (!error && value)
            error = policy_take_reason(l, value, &policy->consent_why[c], "outbound.consent.%s",
                                       categories[c]);
    }
    return error;
}

/* The category that asks most: fewest grounds, but not none. */
static unsigned strictest(const struct policy *policy)
{
    unsigned found = POLICY_CATEGORY_UNKNOWN;
    int least = POLICY_BASES + 1;
    for (unsigned c = POLICY_CATEGORY_MARKETING; c < POLICY_CATEGORY_SERVICE; c++) {
        int n = __builtin_popcount(policy->consent[c]);
        if (n && n < least) {
            least = n;
            found = c;
        }
    }
    return found;
}

unsigned policy_consent_needed(const struct policy *policy, enum policy_category category)
{
    unsigned c = (unsigned)category < POLICY_CATEGORIES ? category : POLICY_CATEGORY_UNKNOWN;
    return policy->consent[c == POLICY_CATEGORY_UNKNOWN ? strictest(policy) : c];
}

struct policy_reason policy_why_consent(const struct policy *policy, enum policy_category category)
{
    unsigned c = (unsigned)category < POLICY_CATEGORIES ? category : POLICY_CATEGORY_UNKNOWN;
    return policy->consent_why[c == POLICY_CATEGORY_UNKNOWN ? strictest(policy) : c];
}

/* ---- pace, words to stop by ---- */

static int load_pace(const struct loader *l, const struct yaml_node *node)
{
    int64_t messages = 0;
    if (!node)
        return 0;
    int error = policy_check(l, node, POLICY_KEYS_PACE);
    if (!error)
        error = yaml_number(l->doc, yaml_get(node, "messages"), 1, MOST_PACE, &messages, l->diag);
    if (!error)
        error = yaml_duration(l->doc, yaml_get(node, "per"), &l->policy->pace.per_s, l->diag);
    if (!error && l->policy->pace.per_s < LEAST_PACE_S)
        error =
            yaml_error(l->doc, yaml_get(node, "per"), l->diag, "\"per\": expected at least 1min");
    l->policy->pace.messages = (unsigned)messages;
    return error;
}

static int load_stop(const struct loader *l, const struct yaml_node *list)
{
    static const char *const common[] = {"stop",         "stop aub",    "stop a.u.b.", "afmelden",
                                         "uitschrijven", "unsubscribe", NULL};
    struct policy *policy = l->policy;
    policy->stop_words = common;
    policy->stop_count = sizeof(common) / sizeof(common[0]) - 1;
    if (!list)
        return 0;
    if (!list->child)
        return yaml_error_key(l->doc, list, l->diag,
                              "\"stop\": a contact can always opt out: name at least one word");
    for (const struct yaml_node *i = list->child; i; i = i->next) {
        const char *text;
        int error = policy_take_text(l, i, &text);
        for (const char *c = error ? "" : text; *c; c++)
            if (*c >= 'A' && *c <= 'Z')
                error =
                    yaml_error(l->doc, i, l->diag, "write it in lower case: case does not count");
        if (error)
            return error;
    }
    return policy_take_words(l, list, POLICY_STOP_WORDS_MAX, &policy->stop_words,
                             &policy->stop_count);
}

int policy_load_contact(const struct loader *l, const struct yaml_node *outbound)
{
    struct policy *policy = l->policy;
    const struct yaml_node *window = yaml_get(outbound, "window");
    int error = load_purposes(l, yaml_get(outbound, "purposes"));
    if (!error)
        error = load_templates(l, yaml_get(outbound, "templates"));
    if (!error && policy->purposes && !policy->templates_said)
        error = yaml_error_key(l->doc, yaml_get(outbound, "purposes"), l->diag,
                               "\"purposes\" without \"templates\": any template would go out");
    if (!error)
        error = policy_take_attachments(l, yaml_get(outbound, "attachments"),
                                        "outbound.attachments", &policy->attachments);
    policy->window = true;
    if (!error && window)
        error = yaml_bool(l->doc, window, &policy->window, l->diag);
    if (!error)
        error = load_consent(l, yaml_get(outbound, "consent"));
    if (!error)
        error = load_pace(l, yaml_get(outbound, "pace"));
    return error ? error : load_stop(l, yaml_get(outbound, "stop"));
}

bool policy_window(const struct policy *policy)
{
    return policy->window;
}

struct policy_pace policy_pace(const struct policy *policy)
{
    return policy->pace;
}

const char *const *policy_stop_words(const struct policy *policy, size_t *n)
{
    *n = policy->stop_count;
    return policy->stop_words;
}

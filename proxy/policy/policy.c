#include "policy_room.h"

#include "sluis/base/encode.h"

#include <sodium.h>
#include <stdlib.h>

/* The entry of the list that a diagnosis ("recogniser NAME: ...") is about, else the list. */
static const struct yaml_node *named(const struct yaml_node *list, const char *text)
{
    static const char head[] = "recogniser ";
    for (const struct yaml_node *i = list ? list->child : NULL; i; i = i->next) {
        struct span name = span_str(yaml_get(i, "name")->text);
        if (strncmp(text, head, sizeof(head) - 1) == 0 &&
            span_starts(span_str(text + sizeof(head) - 1), name) &&
            text[sizeof(head) - 1 + name.n] == ':')
            return i;
    }
    return list;
}

/* The one place of this room that makes a detector. */
static int make_detector(const struct loader *l, const struct yaml_node *recognisers)
{
    struct diag inner = {0};
    int error = detector_new(&l->policy->settings, &l->policy->detector, &inner);
    if (!error)
        return 0;
    const struct yaml_node *at = named(recognisers, inner.text);
    if (!at)
        at = yaml_root(l->doc);
    diag_set(l->diag, yaml_file(l->doc), at->line, at->column, "recognisers: %s",
             inner.text[0] ? inner.text : error_word(error));
    return error;
}

static int load_head(const struct loader *l, const struct yaml_node *root)
{
    struct policy *policy = l->policy;
    int64_t version;
    int error = yaml_number(l->doc, yaml_get(root, "policy"), 1, 1, &version, NULL);
    if (error)
        return yaml_error(l->doc, yaml_get(root, "policy"), l->diag,
                          "\"policy\": this version of Sluis reads policy: 1");
    const struct yaml_node *name = yaml_get(root, "name");
    error = policy_take_name(l, name, name->text, &policy->name);
    policy->name_line = name->line;
    policy->activity = policy->name;
    policy->controller = policy->dpo = policy->purpose = "";
    const struct yaml_node *activity = yaml_get(root, "activity");
    if (!error && activity)
        error = policy_take_text(l, activity, &policy->activity);
    const struct yaml_node *purpose = yaml_get(root, "purpose");
    if (!error && purpose)
        error = policy_take_text(l, purpose, &policy->purpose);
    const struct yaml_node *controller = yaml_get(root, "controller");
    if (error || !controller)
        return error;
    error = policy_check(l, controller, POLICY_KEYS_CONTROLLER);
    if (!error)
        error = policy_take_text(l, yaml_get(controller, "name"), &policy->controller);
    if (!error && yaml_get(controller, "dpo"))
        error = policy_take_text(l, yaml_get(controller, "dpo"), &policy->dpo);
    return error;
}

static int take_optional(const struct loader *l, const struct yaml_node *map, const char *key,
                         const char **out)
{
    const struct yaml_node *node = yaml_get(map, key);
    *out = "";
    return node ? policy_take_text(l, node, out) : 0;
}

static int load_processors(const struct loader *l, const struct yaml_node *node)
{
    struct policy *policy = l->policy;
    size_t n = 0;
    for (const struct yaml_node *i = node ? node->child : NULL; i; i = i->next)
        n++;
    if (n > POLICY_PROCESSORS_MAX)
        return yaml_error_key(l->doc, node, l->diag, "more than %d processors",
                              POLICY_PROCESSORS_MAX);
    policy->processors = arena_try_zero(&policy->arena, (n + 1) * sizeof(*policy->processors));
    if (!policy->processors)
        return policy_no_memory(l);
    for (const struct yaml_node *i = node ? node->child : NULL; i; i = i->next) {
        struct processor *p = &policy->processors[policy->processor_count];
        int error = policy_check(l, i, POLICY_KEYS_PROCESSOR);
        if (!error)
            error = take_optional(l, i, "name", &p->name);
        if (!error)
            error = take_optional(l, i, "agreement", &p->agreement);
        if (!error)
            error = take_optional(l, i, "keeps", &p->keeps);
        if (!error)
            error = take_optional(l, i, "transfer", &p->transfer);
        if (error)
            return error;
        policy->processor_count++;
    }
    return 0;
}

static int load_log(const struct loader *l, const struct yaml_node *node)
{
    if (!node)
        return 0;
    int error = policy_check(l, node, POLICY_KEYS_LOG);
    const struct yaml_node *keep = yaml_get(node, "keep");
    if (!error)
        error = yaml_duration(l->doc, keep, &l->policy->log_keep_s, l->diag);
    if (!error && l->policy->log_keep_s < 24 * 60 * 60)
        error = yaml_error(l->doc, keep, l->diag, "\"keep\": the access log is kept at least 1d");
    return error;
}

static int load_on_revoke(const struct loader *l, const struct yaml_node *node)
{
    static const char *const words[] = {[ON_REVOKE_ERASE] = "erase", [ON_REVOKE_HIDE] = "hide"};
    size_t which = ON_REVOKE_ERASE;
    int error = node ? yaml_word(l->doc, node, words, 2, &which, l->diag) : 0;
    l->policy->on_revoke = (enum on_revoke)which;
    return error;
}

/* `selection: required`: an archive that nobody can name is kept by nobody's rule. */
static int load_selection(const struct loader *l, const struct yaml_node *root)
{
    static const char *const words[] = {"required"};
    const struct yaml_node *node = yaml_get(root, "selection"), *history;
    size_t which = 0;
    int error = node ? yaml_word(l->doc, node, words, 1, &which, l->diag) : 0;
    if (error || !node)
        return error;
    l->policy->selection_required = true;
    history = yaml_get(root, "history");
    for (const struct yaml_node *i = history ? history->child : NULL; i; i = i->next)
        if (!yaml_get(i, "selection") && strcmp(yaml_get(i, "keep")->text, "never") != 0)
            return yaml_error(l->doc, i, l->diag,
                              "this rule names no \"selection\", and line %u requires it",
                              node->key_line);
    return 0;
}

static int load_all(const struct loader *l)
{
    const struct yaml_node *root = yaml_root(l->doc);
    int error = policy_check(l, root, POLICY_KEYS_TOP);
    if (!error)
        error = load_head(l, root);
    if (!error)
        error = load_processors(l, yaml_get(root, "processors"));
    if (!error) /* first: the types of the policy's own are named in the sections below */
        error = policy_load_recognisers(l, yaml_get(root, "recognisers"));
    if (!error)
        error = policy_load_detect(l, yaml_get(root, "detect"));
    if (!error)
        error = policy_load_profiles(l, yaml_get(root, "profiles"));
    if (!error)
        error = policy_load_rules(l, yaml_get(root, "originals"), RETENTION_ORIGINAL);
    if (!error)
        error = policy_load_rules(l, yaml_get(root, "history"), RETENTION_HISTORY);
    if (!error)
        error = policy_load_media(l, yaml_get(root, "media"));
    if (!error)
        error = policy_load_routes(l, yaml_get(root, "routes"));
    if (!error)
        error = policy_load_roles(l, yaml_get(root, "roles"));
    if (!error)
        error = policy_load_outbound(l, yaml_get(root, "outbound"));
    if (!error) /* after outbound: a notice's links must be allowed by it */
        error = policy_load_notices(l, root);
    if (!error)
        error = policy_load_observe(l, root);
    if (!error)
        error = load_selection(l, root);
    if (!error)
        error = load_on_revoke(l, yaml_get(root, "on_revoke"));
    if (!error)
        error = load_log(l, yaml_get(root, "log"));
    if (!error)
        error = make_detector(l, yaml_get(root, "recognisers"));
    if (!error)
        error = policy_check_special(l, yaml_get(root, "detect"));
    return error;
}

static void hash_source(struct policy *policy, struct span source)
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, (const unsigned char *)source.p, source.n);
    hex_encode(digest, sizeof(digest), policy->hash);
}

int policy_load_doc(struct yaml_doc *doc, struct policy **out, struct diag *diag)
{
    struct policy *policy = calloc(1, sizeof(*policy));
    int error = SLUIS_ENOMEM;
    if (policy) {
        atomic_init(&policy->refs, 1);
        arena_init(&policy->arena, POLICY_ARENA_MAX);
        detect_settings_default(&policy->settings);
        hash_source(policy, yaml_source(doc));
        const struct loader l = {policy, doc, diag};
        error = load_all(&l);
    }
    if (error)
        policy_unref(policy);
    else
        *out = policy;
    yaml_free(doc);
    return error;
}

int policy_load(struct span text, const char *file, struct policy **out, struct diag *diag)
{
    *out = NULL;
    struct yaml_doc *doc;
    int error = yaml_parse(text, file, &doc, diag);
    return error ? error : policy_load_doc(doc, out, diag);
}

struct policy *policy_ref(struct policy *policy)
{
    atomic_fetch_add_explicit(&policy->refs, 1, memory_order_relaxed);
    return policy;
}

void policy_unref(struct policy *policy)
{
    if (!policy || atomic_fetch_sub_explicit(&policy->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (policy->detector)
        detector_free(policy->detector);
    arena_free(&policy->arena);
    free(policy);
}

const char *policy_name(const struct policy *policy)
{
    return policy->name;
}

struct policy_reason policy_why_name(const struct policy *policy)
{
    return (struct policy_reason){"name", policy->name_line};
}

const char *policy_activity(const struct policy *policy)
{
    return policy->activity;
}

const char *policy_purpose(const struct policy *policy)
{
    return policy->purpose;
}

const char *policy_controller(const struct policy *policy)
{
    return policy->controller;
}

const char *policy_dpo(const struct policy *policy)
{
    return policy->dpo;
}

bool policy_minds_consent(const struct policy *policy)
{
    return policy->minds_consent;
}

const char *policy_hash(const struct policy *policy)
{
    return policy->hash;
}

const struct detector *policy_detector(const struct policy *policy)
{
    return policy->detector;
}

const struct detect_settings *policy_detect(const struct policy *policy)
{
    return &policy->settings;
}

uint64_t policy_key(const struct policy *policy)
{
    uint8_t first[8];
    if (hex_decode_lower(span_of(policy->hash, 2 * sizeof(first)), first, sizeof(first)) != 0)
        return 1; /* cannot be: the hash is ours */
    uint64_t key = 0;
    for (size_t i = 0; i < sizeof(first); i++)
        key = key << 8 | first[i];
    return key ? key : 1;
}

const struct profile *policy_profile(const struct policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->profile_count; i++)
        if (strcmp(policy->profiles[i].name, name) == 0)
            return &policy->profiles[i];
    return NULL;
}

const struct profile *policy_profile_at(const struct policy *policy, size_t index)
{
    return index < policy->profile_count ? &policy->profiles[index] : NULL;
}

const struct policy_route *policy_route_at(const struct policy *policy, size_t index)
{
    return index < policy->route_count ? &policy->routes[index].door : NULL;
}

unsigned policy_type_of(const struct policy *policy, const char *word)
{
    return policy_type(policy, word);
}

const char *policy_type_word(const struct policy *policy, unsigned type)
{
    if (type < DETECT_OWN)
        return detect_type_word((enum detect_type)type);
    return type - DETECT_OWN < policy->settings.own_count ? policy->own[type - DETECT_OWN].name
                                                          : NULL;
}

const char *profile_name(const struct profile *profile)
{
    return profile->name;
}

bool profile_hides_contact(const struct profile *profile)
{
    return profile->hides_contact;
}

const struct profile *policy_storage_profile(const struct policy *policy)
{
    return &policy->storage;
}

const struct policy_route *policy_route(const struct policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->route_count; i++)
        if (strcmp(policy->routes[i].door.name, name) == 0)
            return &policy->routes[i].door;
    return NULL;
}

enum on_revoke policy_on_revoke(const struct policy *policy)
{
    return policy->on_revoke;
}

int64_t policy_log_keep_s(const struct policy *policy)
{
    return policy->log_keep_s;
}

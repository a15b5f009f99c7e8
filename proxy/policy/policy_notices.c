/* Sections notices and hours: what customers are told of themselves, and when the office is open.
 */
#include "policy_room.h"

#define EVERY_S (7 * 86400)
#define AFTER_S (180 * 86400)
#define LEAST_EVERY_S 3600

static int notice_text(const struct loader *l, const struct yaml_node *node, const char **out)
{
    size_t n = strlen(node->text);
    bool good = n > 0 && n <= POLICY_NOTICE_TEXT_MAX;
    for (size_t i = 0; good && i < n; i++)
        good = (unsigned char)node->text[i] >= 0x20 || node->text[i] == '\n';
    char host[POLICY_HOST_MAX];
    if (!good)
        return yaml_error(l->doc, node, l->diag, "expected a text of 1 to %d bytes",
                          POLICY_NOTICE_TEXT_MAX);
    if (!policy_links_allowed(l->policy, span_str(node->text), host, sizeof(host)))
        return yaml_error(l->doc, node, l->diag,
                          "the text links to %s, which is not in outbound.links: it could not be "
                          "sent",
                          host);
    *out = arena_try_str(&l->policy->arena, span_str(node->text));
    return *out ? 0 : policy_no_memory(l);
}

static int take_safe(const struct loader *l, const struct yaml_node *node, const char **out)
{
    if (strncmp(node->text, "https://", 8) != 0 || strpbrk(node->text, " \t\n"))
        return yaml_error(l->doc, node, l->diag, "\"safe\": expected an address, https://...");
    return notice_text(l, node, out);
}

/* What the name of a notice is about. */
static int take_occasion(const struct loader *l, const struct yaml_node *node,
                         struct policy_notice *notice)
{
    enum policy_picture picture = policy_picture_of(node->key);
    unsigned type = policy_type(l->policy, node->key);
    notice->type = DETECT_TYPES_MAX;
    notice->picture = POLICY_PICTURES;
    if (strcmp(node->key, "first") == 0) {
        notice->on = POLICY_NOTICE_FIRST;
    } else if (strcmp(node->key, "closed") == 0) {
        notice->on = POLICY_NOTICE_CLOSED;
    } else if (strcmp(node->key, "stop") == 0) {
        notice->on = POLICY_NOTICE_STOP;
    } else if (type != DETECT_TYPES_MAX) {
        notice->on = POLICY_NOTICE_FOUND;
        notice->type = type;
        notice->picture = picture;
    } else if (picture == POLICY_PICTURE_CARD || picture == POLICY_PICTURE_ID_DOCUMENT ||
               picture == POLICY_PICTURE_MRZ || picture == POLICY_PICTURE_PAYMENT_CODE) {
        notice->on = POLICY_NOTICE_PICTURE;
        notice->picture = picture;
    } else {
        const char *words[TYPE_WORDS_MAX + 7] = {"first", "closed", "stop",
                                                 "card",  "mrz",    "payment_code"};
        size_t n = 6;
        for (unsigned t = 0; t < DETECT_OWN; t++)
            words[n++] = detect_type_word((enum detect_type)t);
        for (size_t i = 0; i < l->policy->settings.own_count && n < TYPE_WORDS_MAX; i++)
            words[n++] = l->policy->own[i].name;
        const char *near = yaml_nearest(node->key, words, n);
        struct yaml_quote quote;
        return yaml_error_key(l->doc, node, l->diag,
                              "%s is nothing to tell customers of: first, closed, stop, card, "
                              "mrz, payment_code or a type%s%s%s",
                              yaml_quote(&quote, node->key), near ? "; did you mean \"" : "",
                              near ? near : "", near ? "\"?" : "");
    }
    return 0;
}

static int load_notice(const struct loader *l, const struct yaml_node *node,
                       struct policy_notice *notice)
{
    *notice = (struct policy_notice){.en = "", .safe = "", .every_s = EVERY_S, .after_s = AFTER_S};
    int error = policy_check(l, node, POLICY_KEYS_NOTICE);
    if (!error)
        error = take_occasion(l, node, notice);
    if (error)
        return error;
    const struct yaml_node *en = yaml_get(node, "en"), *safe = yaml_get(node, "safe");
    const struct yaml_node *every = yaml_get(node, "every"), *after = yaml_get(node, "after");
    notice->name = arena_try_str(&l->policy->arena, span_str(node->key));
    if (!notice->name)
        return policy_no_memory(l);
    error = notice_text(l, yaml_get(node, "nl"), &notice->nl);
    if (!error && en)
        error = notice_text(l, en, &notice->en);
    if (!error && safe)
        error = take_safe(l, safe, &notice->safe);
    if (!error && every)
        error = yaml_duration(l->doc, every, &notice->every_s, l->diag);
    if (!error && notice->every_s < LEAST_EVERY_S)
        error = yaml_error(l->doc, every, l->diag, "\"every\": expected at least 1h");
    if (!error && after && notice->on != POLICY_NOTICE_FIRST)
        error = yaml_error_key(l->doc, after, l->diag, "\"after\" belongs to the notice \"first\"");
    if (!error && after)
        error = yaml_duration(l->doc, after, &notice->after_s, l->diag);
    if (!error && notice->after_s < 86400)
        error = yaml_error(l->doc, after, l->diag, "\"after\": expected at least 1d");
    if (!error && notice->on == POLICY_NOTICE_CLOSED && !l->policy->hours.said)
        error = yaml_error_key(l->doc, node, l->diag,
                               "\"closed\" needs \"hours\": without opening hours it is never "
                               "closed");
    return error;
}

int policy_load_notices(const struct loader *l, const struct yaml_node *root)
{
    struct policy *policy = l->policy;
    const struct yaml_node *node = yaml_get(root, "notices"), *hours = yaml_get(root, "hours");
    size_t n = policy_count(node);
    int error = hours ? policy_take_hours(l, hours, &policy->hours) : 0;
    if (error)
        return error;
    if (n > POLICY_NOTICES_MAX)
        return yaml_error_key(l->doc, node, l->diag, "more than %d notices", POLICY_NOTICES_MAX);
    policy->notices = arena_try_zero(&policy->arena, (n + 1) * sizeof(*policy->notices));
    if (!policy->notices)
        return policy_no_memory(l);
    for (const struct yaml_node *i = node ? node->child : NULL; i; i = i->next) {
        struct notice *notice = &policy->notices[policy->notice_count];
        error = load_notice(l, i, &notice->door);
        if (!error)
            error = policy_take_reason(l, i, &notice->why, "notices.%s", i->key);
        if (error)
            return error;
        policy->notice_count++;
    }
    return 0;
}

const struct policy_notice *policy_notice(const struct policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->notice_count; i++)
        if (strcmp(policy->notices[i].door.name, name) == 0)
            return &policy->notices[i].door;
    return NULL;
}

const struct policy_notice *policy_notice_at(const struct policy *policy, size_t index)
{
    return index < policy->notice_count ? &policy->notices[index].door : NULL;
}

struct policy_reason policy_why_notice(const struct policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->notice_count; i++)
        if (strcmp(policy->notices[i].door.name, name) == 0)
            return policy->notices[i].why;
    return (struct policy_reason){"", 0};
}

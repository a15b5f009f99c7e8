/* Section media: files by kind, and pictures by what was seen in them. */
#include "policy_room.h"

static const char *const actions[] = {
    [MEDIA_WITHHOLD] = "withhold", [MEDIA_PASS] = "pass", [MEDIA_REDACT] = "redact"};

static const char *const picture_words[POLICY_PICTURES] = {
    [POLICY_PICTURE_UNKNOWN] = "unknown", [POLICY_PICTURE_CLEAN] = "clean",
    [POLICY_PICTURE_CARD] = "card",       [POLICY_PICTURE_ID_DOCUMENT] = "id_document",
    [POLICY_PICTURE_MRZ] = "mrz",         [POLICY_PICTURE_BSN] = "bsn",
    [POLICY_PICTURE_IBAN] = "iban",       [POLICY_PICTURE_PAYMENT_CODE] = "payment_code",
    [POLICY_PICTURE_OTHER] = "other",
};

const char *policy_picture_word(enum policy_picture class)
{
    return (unsigned)class < POLICY_PICTURES ? picture_words[class] : NULL;
}

enum policy_picture policy_picture_of(const char *word)
{
    unsigned class = 0;
    while (class < POLICY_PICTURES && strcmp(picture_words[class], word) != 0)
        class ++;
    return (enum policy_picture) class;
}

/* `findings`: something is known that can be covered. */
int policy_media_word(const struct loader *l, const struct yaml_node *node, bool findings,
                      enum media_action *out)
{
    size_t word = 0;
    if (!findings && node->kind == YAML_SCALAR && strcmp(node->text, "redact") == 0)
        return yaml_error(l->doc, node, l->diag,
                          "\"%s\": \"redact\" needs something to cover: write withhold or pass",
                          node->key);
    int error = yaml_word(l->doc, node, actions, findings ? 3 : 2, &word, l->diag);
    *out = (enum media_action)word;
    return error;
}

static int load_pictures(const struct loader *l, const struct yaml_node *node)
{
    struct policy *policy = l->policy;
    policy->pictures[POLICY_PICTURE_CLEAN] = MEDIA_PASS;
    for (unsigned c = 0; c < POLICY_PICTURES; c++) {
        const struct yaml_node *value = yaml_get(node, picture_words[c]);
        bool findings = c != POLICY_PICTURE_UNKNOWN && c != POLICY_PICTURE_CLEAN;
        int error = value ? policy_media_word(l, value, findings, &policy->pictures[c]) : 0;
        if (!error && value)
            error = policy_take_reason(l, value, &policy->pictures_why[c], "media.%s",
                                       picture_words[c]);
        if (error)
            return error;
    }
    return 0;
}

int policy_load_media(const struct loader *l, const struct yaml_node *node)
{
    static const char *const kinds[POLICY_MEDIA_KINDS] = {
        [POLICY_MEDIA_UNKNOWN] = "unknown",
        [POLICY_MEDIA_DOCUMENT] = "document",
        [POLICY_MEDIA_AUDIO] = "audio",
        [POLICY_MEDIA_VIDEO] = "video",
    };
    for (size_t i = 0; i < POLICY_MEDIA_KINDS; i++)
        l->policy->media[i] = MEDIA_WITHHOLD;
    for (size_t i = 0; i < POLICY_PICTURES; i++) {
        l->policy->pictures[i] = MEDIA_WITHHOLD;
        l->policy->pictures_why[i] = (struct policy_reason){"", 0};
    }
    if (!node)
        return 0;
    int error = policy_check(l, node, POLICY_KEYS_MEDIA);
    for (size_t i = 0; i < POLICY_MEDIA_KINDS && !error; i++) {
        const struct yaml_node *value = yaml_get(node, kinds[i]);
        if (value)
            error = policy_media_word(l, value, false, &l->policy->media[i]);
        else if (i == POLICY_MEDIA_VIDEO)
            l->policy->media[i] = l->policy->media[POLICY_MEDIA_UNKNOWN];
    }
    return error ? error : load_pictures(l, node);
}

static const struct route *inside(const struct policy_route *route)
{
    return (const struct route *)((const char *)route - offsetof(struct route, door));
}

enum media_action policy_route_media(const struct policy *policy, const struct policy_route *route,
                                     enum policy_media_kind kind)
{
    if (inside(route)->media_said)
        return route->media;
    return kind < POLICY_MEDIA_KINDS ? policy->media[kind] : MEDIA_WITHHOLD;
}

enum media_action policy_picture(const struct policy *policy, const struct policy_route *route,
                                 enum policy_picture class)
{
    if (route && inside(route)->media_said)
        return route->media;
    return (unsigned)class < POLICY_PICTURES ? policy->pictures[class] : MEDIA_WITHHOLD;
}

enum media_action policy_picture_strictest(const struct policy *policy,
                                           const struct policy_route *route, unsigned classes)
{
    enum media_action strictest = classes ? MEDIA_PASS : MEDIA_WITHHOLD;
    for (unsigned c = 0; c < 8 * sizeof(classes); c++) {
        if (!(classes >> c & 1))
            continue;
        enum media_action action = policy_picture(policy, route, (enum policy_picture)c);
        if (action == MEDIA_WITHHOLD)
            return MEDIA_WITHHOLD;
        if (action == MEDIA_REDACT)
            strictest = MEDIA_REDACT;
    }
    return strictest;
}

struct policy_reason policy_why_picture(const struct policy *policy,
                                        const struct policy_route *route, enum policy_picture class)
{
    if (route && inside(route)->media_said)
        return inside(route)->media_why;
    return (unsigned)class < POLICY_PICTURES ? policy->pictures_why[class] : (struct policy_reason)
    {
        "", 0
    };
}

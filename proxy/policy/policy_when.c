/* Conditions: what a rule asks of a message. The same words in originals, history, profiles and
 * outbound. */
#include "policy_room.h"

int policy_take_types(const struct loader *l, const struct yaml_node *node, uint64_t *out)
{
    const struct yaml_node *first = node->kind == YAML_LIST ? node->child : node;
    if (node->kind == YAML_MAP || !first)
        return yaml_error_key(l->doc, node, l->diag, "\"%s\": expected a type or a list of types",
                              node->key);
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
        *out |= UINT64_C(1) << type;
    }
    return 0;
}

static int take_channels(const struct loader *l, const struct yaml_node *node, struct when *when)
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
    return policy_take_words(l, from, POLICY_CHANNELS_MAX, &when->channels, &when->channel_count);
}

/* One of two words, for conditions that may be left out; 0 when it was. */
static int take_choice(const struct loader *l, const struct yaml_node *node, const char *first,
                       const char *second, unsigned *out)
{
    const char *const words[] = {first, second};
    size_t which = 0;
    int error = node ? yaml_word(l->doc, node, words, 2, &which, l->diag) : 0;
    *out = node ? (unsigned)which + 1 : 0;
    return error;
}

int policy_take_when(const struct loader *l, const struct yaml_node *map, struct when *out)
{
    unsigned kind = 0, direction = 0, consent = 0;
    const struct yaml_node *found = yaml_get(map, "found"), *none = yaml_get(map, "not_found");
    const struct yaml_node *channel = yaml_get(map, "channel"), *hour = yaml_get(map, "hour");
    const struct yaml_node *days = yaml_get(map, "days");
    int error = found ? policy_take_types(l, found, &out->found) : 0;
    if (!error && none)
        error = policy_take_types(l, none, &out->not_found);
    if (!error && out->found && !(out->found & ~out->not_found))
        error =
            yaml_error_key(l->doc, none, l->diag,
                           "\"found\" and \"not_found\" exclude each other: no message is both");
    if (!error)
        error = take_choice(l, yaml_get(map, "kind"), "media", "text", &kind);
    if (!error)
        error = take_choice(l, yaml_get(map, "direction"), "in", "out", &direction);
    if (!error)
        error = take_choice(l, yaml_get(map, "consent"), "given", "missing", &consent);
    if (!error && channel)
        error = take_channels(l, channel, out);
    if (!error && hour)
        error = policy_take_span(l, hour, &out->hours);
    if (!error && days)
        error = policy_take_days(l, days, &out->hours);
    out->kind = (enum rule_kind)kind;
    out->direction = (enum rule_direction)direction;
    out->consent = (enum rule_consent)consent;
    l->policy->minds_consent |= out->consent != RULE_CONSENT_ANY;
    return error;
}

static bool names(const struct when *when, const char *channel)
{
    for (size_t i = 0; i < when->channel_count; i++)
        if (strcmp(when->channels[i], channel) == 0)
            return true;
    return false;
}

bool policy_when_fits(const struct when *when, const struct retention_facts *facts)
{
    if (when->kind != RULE_ANY && (when->kind == RULE_MEDIA) != facts->media)
        return false;
    if (when->direction != RULE_BOTH && (when->direction == RULE_OUT) != facts->out)
        return false;
    if (when->consent != RULE_CONSENT_ANY &&
        (when->consent == RULE_CONSENT_GIVEN) != facts->consent)
        return false;
    if (when->channels && !(facts->channel && names(when, facts->channel)))
        return false;
    return policy_hours_hold(&when->hours, facts->at_ms);
}

bool policy_when_holds(const struct when *when, const struct retention_facts *facts)
{
    return (!when->found || when->found & facts->found) && !(when->not_found & facts->found) &&
           policy_when_fits(when, facts);
}

static bool channels_within(const struct when *inner, const struct when *outer)
{
    bool all = !outer->channels || inner->channels;
    for (size_t i = 0; outer->channels && i < inner->channel_count; i++)
        all &= names(outer, inner->channels[i]);
    return all;
}

bool policy_when_covers(const struct when *earlier, const struct when *later)
{
    return (earlier->kind == RULE_ANY || earlier->kind == later->kind) &&
           (!earlier->found || (later->found && !(later->found & ~earlier->found))) &&
           !(earlier->not_found & ~later->not_found) &&
           (earlier->direction == RULE_BOTH || earlier->direction == later->direction) &&
           (earlier->consent == RULE_CONSENT_ANY || earlier->consent == later->consent) &&
           (!earlier->hours.said || policy_hours_same(&earlier->hours, &later->hours)) &&
           (!earlier->role || (later->role && strcmp(earlier->role, later->role) == 0)) &&
           channels_within(later, earlier);
}

bool policy_when_meets(const struct when *a, const struct when *b)
{
    bool channel = !a->channels || !b->channels;
    for (size_t i = 0; !channel && i < a->channel_count; i++)
        channel = names(b, a->channels[i]);
    return channel && (a->kind == RULE_ANY || b->kind == RULE_ANY || a->kind == b->kind) &&
           (a->direction == RULE_BOTH || b->direction == RULE_BOTH ||
            a->direction == b->direction) &&
           (a->consent == RULE_CONSENT_ANY || b->consent == RULE_CONSENT_ANY ||
            a->consent == b->consent) &&
           (!a->role || !b->role || strcmp(a->role, b->role) == 0) &&
           (!a->found || a->found & ~b->not_found) && (!b->found || b->found & ~a->not_found);
}

bool policy_when_empty(const struct when *when)
{
    return !when->found && !when->not_found && when->kind == RULE_ANY &&
           when->direction == RULE_BOTH && when->consent == RULE_CONSENT_ANY && !when->channels &&
           !when->hours.said && !when->role;
}

bool policy_when_same(const struct when *a, const struct when *b)
{
    return policy_when_covers(a, b) && policy_when_covers(b, a);
}

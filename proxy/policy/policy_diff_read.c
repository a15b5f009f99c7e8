/* policy_diff: what routes and roles see, and what roles may do. */
#include "policy_diff.h"

#include <stdio.h>

/* ---- what readers see ---- */

static const char *rule_word(struct mask_rule rule, char *out, size_t size)
{
    static const char *const words[] = {
        [MASK_REDACT] = "redact", [MASK_PARTIAL] = "partial", [MASK_HASH] = "hash",
        [MASK_TOKEN] = "token",   [MASK_KEEP] = "keep",       [MASK_BLOCK] = "block"};
    if (rule.action == MASK_PARTIAL)
        snprintf(out, size, "partial (first %u, last %u)", rule.first, rule.last);
    else
        snprintf(out, size, "%s", words[rule.action]);
    return out;
}

/* A token says nothing, a hash that two values are the same, a part some of the value. */
static int strictness(enum mask_action action)
{
    static const int order[] = {[MASK_KEEP] = 0,  [MASK_PARTIAL] = 1, [MASK_HASH] = 2,
                                [MASK_TOKEN] = 3, [MASK_REDACT] = 4,  [MASK_BLOCK] = 5};
    return order[action];
}

/* Of two partial rules the second is looser when it shows anything that the first does not. */
static bool rule_looser(struct mask_rule old, struct mask_rule next)
{
    if (old.action == MASK_PARTIAL && next.action == MASK_PARTIAL)
        return next.first > old.first || next.last > old.last;
    return strictness(next.action) < strictness(old.action);
}

static bool rule_same(struct mask_rule a, struct mask_rule b)
{
    return a.action == b.action &&
           (a.action != MASK_PARTIAL || (a.first == b.first && a.last == b.last));
}

struct readers {
    const char *kind, *name;
    const struct profile *profile[2];
};

/* One type under both, in a message with these facts (NULL: profiles without conditions). */
static void diff_type(struct diff *d, const struct readers *r, unsigned c,
                      const struct retention_facts *a, const struct retention_facts *b)
{
    char from[64], to[64];
    unsigned x = d->number[0][c], y = d->number[1][c];
    if (x == DETECT_TYPES_MAX || y == DETECT_TYPES_MAX)
        return;
    struct mask_rule old = profile_rule_for(r->profile[0], a, x);
    struct mask_rule next = profile_rule_for(r->profile[1], b, y);
    if (!rule_same(old, next))
        diff_tell(d, diff_direction(rule_looser(old, next)), rule_word(old, from, sizeof(from)),
                  rule_word(next, to, sizeof(to)), "%s %s: %s%s", r->kind, r->name, d->words[c],
                  a ? ", in some messages" : "");
}

static void diff_conditions(struct diff *d, const struct readers *r,
                            const struct retention_facts *facts)
{
    for (size_t i = 0; i < d->set_count; i++)
        for (unsigned c = 0; c < d->count; c++) {
            struct retention_facts a = *facts, b = *facts;
            struct types set = d->sets[i];
            set.bits[c / 64] |= UINT64_C(1) << c % 64; /* it is about a finding of this type */
            a.found = diff_own_types(d, 0, set);
            b.found = diff_own_types(d, 1, set);
            diff_type(d, r, c, &a, &b);
        }
}

static void diff_profiles(struct diff *d, const struct readers *r)
{
    const struct profile *old = r->profile[0], *next = r->profile[1];
    if (!old->case_count && !next->case_count)
        for (unsigned c = 0; c < d->count; c++)
            diff_type(d, r, c, NULL, NULL);
    else
        for (size_t c = 0; c < d->channel_count; c++)
            for (size_t t = 0; t < d->time_count; t++)
                for (int i = 0; i < 8; i++) {
                    const struct retention_facts facts = {.out = (i & 2) != 0,
                                                          .media = (i & 1) != 0,
                                                          .consent = (i & 4) != 0,
                                                          .channel = d->channels[c],
                                                          .at_ms = d->times[t]};
                    diff_conditions(d, r, &facts);
                }
    if (old->hides_contact != next->hides_contact)
        diff_tell(d, diff_direction(old->hides_contact), old->hides_contact ? "alias" : "keep",
                  next->hides_contact ? "alias" : "keep", "%s %s: contact", r->kind, r->name);
}

static void diff_pictures(struct diff *d, const char *kind, const char *name,
                          const struct policy_route *old, const struct policy_route *next)
{
    static const char *const words[] = {
        [MEDIA_WITHHOLD] = "withhold", [MEDIA_PASS] = "pass", [MEDIA_REDACT] = "redact"};
    static const int order[] = {[MEDIA_WITHHOLD] = 0, [MEDIA_REDACT] = 1, [MEDIA_PASS] = 2};
    for (unsigned c = 0; c < POLICY_PICTURES; c++) {
        enum policy_picture class = (enum policy_picture)c;
        enum media_action x = policy_picture(d->side[0], old, class);
        enum media_action y = policy_picture(d->side[1], next, class);
        if (x != y && class != POLICY_PICTURE_UNKNOWN) /* told as a kind of file */
            diff_tell(d, diff_direction(order[y] > order[x]), words[x], words[y],
                      "%s%s: pictures: %s", kind, name, policy_picture_word(class));
    }
}

void diff_routes(struct diff *d)
{
    static const char *const kinds[] = {"pictures and other files", "documents", "sound", "video"};
    for (size_t i = 0; i < d->side[0]->route_count; i++) {
        const struct policy_route *old = &d->side[0]->routes[i].door;
        const struct policy_route *next = policy_route(d->side[1], old->name);
        if (!next) {
            diff_tell(d, POLICY_STRICTER, "may receive", "may not", "route %s", old->name);
            continue;
        }
        const struct readers r = {"route", old->name, {old->profile, next->profile}};
        diff_profiles(d, &r);
        diff_pictures(d, "route ", old->name, old, next);
        for (int k = 0; k < POLICY_MEDIA_KINDS; k++) {
            enum policy_media_kind kind = (enum policy_media_kind)k;
            bool x = policy_route_media(d->side[0], old, kind) == MEDIA_PASS;
            bool y = policy_route_media(d->side[1], next, kind) == MEDIA_PASS;
            if (x != y)
                diff_tell(d, diff_direction(y), x ? "pass" : "withhold", y ? "pass" : "withhold",
                          "route %s: %s", old->name, kinds[k]);
        }
    }
    for (size_t i = 0; i < d->side[1]->route_count; i++) {
        const char *name = d->side[1]->routes[i].door.name;
        if (!policy_route(d->side[0], name))
            diff_tell(d, POLICY_LOOSER, "may not receive", "may", "route %s", name);
    }
}

/* ---- roles ---- */

static const struct hours *hours_of(const struct policy_role *role)
{
    return &((const struct role *)((const char *)role - offsetof(struct role, door)))->hours;
}

static void diff_role(struct diff *d, const struct policy_role *old, const struct policy_role *next)
{
    for (unsigned i = 0; i < POLICY_RIGHTS; i++) {
        unsigned right = 1u << i;
        if ((old->may ^ next->may) & right)
            diff_tell(d, diff_direction((next->may & right) != 0), next->may & right ? "no" : "yes",
                      next->may & right ? "yes" : "no", "role %s: may %s", old->name,
                      policy_right_word((enum policy_right)right));
    }
    for (unsigned c = 0; c < d->count; c++) {
        unsigned x = d->number[0][c], y = d->number[1][c];
        bool was = x < DETECT_TYPES_MAX && old->reveal >> x & 1;
        bool is = y < DETECT_TYPES_MAX && next->reveal >> y & 1;
        if (was != is)
            diff_tell(d, diff_direction(is), was ? "yes" : "no", is ? "yes" : "no",
                      "role %s: may reveal %s", old->name, d->words[c]);
    }
    if (old->reason_required != next->reason_required)
        diff_tell(d, diff_direction(old->reason_required),
                  old->reason_required ? "required" : "optional",
                  next->reason_required ? "required" : "optional", "role %s: reason", old->name);
    if (old->reference_required != next->reference_required)
        diff_tell(d, diff_direction(old->reference_required),
                  old->reference_required ? "required" : "optional",
                  next->reference_required ? "required" : "optional", "role %s: reference",
                  old->name);
    if (!policy_hours_same(hours_of(old), hours_of(next)))
        diff_tell(d, diff_direction(diff_hours_gain(hours_of(old), hours_of(next))),
                  hours_of(old)->said ? "hours" : "always",
                  hours_of(next)->said ? "other hours" : "always", "role %s: hours", old->name);
    if (!old->profile != !next->profile)
        diff_tell(d, diff_direction(next->profile != NULL), old->profile ? "content" : "none",
                  next->profile ? "content" : "none", "role %s: sees", old->name);
    if (old->profile && next->profile) {
        const struct readers r = {"role", old->name, {old->profile, next->profile}};
        diff_profiles(d, &r);
    }
}

void diff_roles(struct diff *d)
{
    for (size_t i = 0; i < d->side[0]->role_count; i++) {
        const struct policy_role *old = &d->side[0]->roles[i].door;
        const struct policy_role *next = policy_role(d->side[1], old->name);
        if (next)
            diff_role(d, old, next);
        else
            diff_tell(d, POLICY_STRICTER, "is one", "is none", "role %s", old->name);
    }
    for (size_t i = 0; i < d->side[1]->role_count; i++)
        if (!policy_role(d->side[0], d->side[1]->roles[i].door.name))
            diff_tell(d, POLICY_LOOSER, "is none", "is one", "role %s",
                      d->side[1]->roles[i].door.name);
    if (d->side[0]->role_count && d->side[1]->role_count) /* people are readers without a route */
        diff_pictures(d, "people", "", NULL, NULL);
}

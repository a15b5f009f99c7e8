/* What a careful reader of a policy would ask about. Nothing here is refused. */
#include "policy_room.h"

#include <stdarg.h>
#include <stdio.h>

#define WARNINGS_MAX 200 /* then the file has another problem */

struct warner {
    const struct policy *p;
    void (*each)(void *ctx, const struct policy_warning *warning);
    void *ctx;
    size_t n;
};

static void warn(struct warner *w, unsigned line, unsigned other, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void warn(struct warner *w, unsigned line, unsigned other, const char *format, ...)
{
    char text[512];
    va_list args;
    if (w->n == WARNINGS_MAX)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    w->n++;
    w->each(w->ctx, &(struct policy_warning){line, other, text});
}

static bool shorter(const struct retention_rule *a, const struct retention_rule *b)
{
    return !b->never && (a->never || a->keep_s < b->keep_s);
}

/* A later rule that keeps shorter what an earlier one has already kept longer: which is meant? A
 * rule without conditions is the rest, and is no contradiction. */
static void warn_rules(struct warner *w, enum retention_part part)
{
    const struct rules *rules = &w->p->rules[part];
    for (size_t i = 0; i < rules->n; i++)
        for (size_t e = 0; e < i; e++) {
            const struct rule *earlier = &rules->at[e], *later = &rules->at[i];
            if (!later->when.found || !shorter(&later->door, &earlier->door) ||
                !policy_when_meets(&earlier->when, &later->when))
                continue;
            warn(w, later->why.line, earlier->why.line,
                 "a message can meet both rules, and this one keeps it shorter; the one on line %u "
                 "comes first and holds",
                 earlier->why.line);
        }
}

static void warn_profiles(struct warner *w)
{
    for (size_t i = 0; i < w->p->profile_count; i++) {
        const struct profile *profile = &w->p->profiles[i];
        bool used = false;
        for (size_t r = 0; r < w->p->route_count; r++)
            used |= w->p->routes[r].door.profile == profile;
        for (size_t r = 0; r < w->p->role_count; r++)
            used |= w->p->roles[r].door.profile == profile;
        unsigned line = profile->why[0].line ? profile->why[0].line : 0;
        if (!used && line)
            warn(w, line, 0, "profile \"%s\" is used by no route and no role", profile->name);
        if (profile->rules[DETECT_SECRET].action == MASK_KEEP)
            warn(w, profile->why[DETECT_SECRET].line, 0, "profile \"%s\" shows passwords and codes",
                 profile->name);
        for (size_t c = 0; c < profile->case_count; c++)
            for (size_t e = 0; e < c; e++) {
                const struct profile_case *a = &profile->cases[e], *b = &profile->cases[c];
                if (a->named & b->named && policy_when_meets(&a->when, &b->when) &&
                    !policy_when_same(&a->when, &b->when))
                    warn(w, b->why.line, a->why.line,
                         "a message can meet both rules; the one on line %u comes first and holds",
                         a->why.line);
            }
    }
}

static void warn_outbound(struct warner *w)
{
    for (size_t c = 0; c < w->p->outbound_case_count; c++)
        for (size_t e = 0; e < c; e++) {
            const struct outbound_case *a = &w->p->outbound_cases[e], *b = &w->p->outbound_cases[c];
            uint64_t both = a->set.named & b->set.named;
            if (!both || !policy_when_meets(&a->when, &b->when))
                continue;
            unsigned type = (unsigned)__builtin_ctzll(both);
            if (a->set.actions[type] != b->set.actions[type])
                warn(w, b->set.why[type].line, a->set.why[type].line,
                     "a message can meet both rules; the one on line %u comes first and holds",
                     a->set.why[type].line);
        }
    if (w->p->templates_said && w->p->consent_said)
        for (size_t i = 0; i < w->p->template_count; i++)
            if (w->p->templates[i].category == POLICY_CATEGORY_UNKNOWN)
                warn(
                    w, w->p->templates_why.line, 0,
                    "template \"%.100s\" has no category: it is held to the strictest of `consent`",
                    w->p->templates[i].name);
}

/* Revealing needs an original; what is never written cannot be revealed. */
static void warn_reveal(struct warner *w)
{
    for (size_t i = 0; i < w->p->role_count; i++) {
        const struct role *role = &w->p->roles[i];
        for (unsigned t = 0; t < DETECT_TYPES_MAX; t++) {
            const struct retention_facts facts = {.found = UINT64_C(1) << t};
            if (role->door.reveal >> t & 1 &&
                policy_retention(w->p, RETENTION_ORIGINAL, &facts).never)
                warn(w, role->why.line, policy_why_retention(w->p, RETENTION_ORIGINAL, &facts).line,
                     "role \"%s\" may reveal %s, and messages with it have no original",
                     role->door.name, policy_type_word(w->p, t));
        }
    }
}

size_t policy_warnings(const struct policy *policy,
                       void (*each)(void *ctx, const struct policy_warning *warning), void *ctx)
{
    struct warner w = {policy, each, ctx, 0};
    warn_rules(&w, RETENTION_ORIGINAL);
    warn_rules(&w, RETENTION_HISTORY);
    warn_profiles(&w);
    warn_outbound(&w);
    warn_reveal(&w);
    return w.n;
}

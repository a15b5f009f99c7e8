/* Every rule that an officer wrote, one by one: what tests are to come by, and what a replay
 * counts. */
#include "policy_room.h"

struct walk {
    void (*each)(void *ctx, struct policy_reason why);
    void *ctx;
};

static void tell(const struct walk *w, struct policy_reason why)
{
    if (why.line)
        w->each(w->ctx, why);
}

/* Rows of types share their default's reason: it is told once. */
static void each_type(const struct walk *w, const struct policy_reason why[DETECT_TYPES_MAX])
{
    const char *last = NULL;
    struct policy_reason common = {"", 0};
    for (unsigned t = 0; t < DETECT_TYPES_MAX; t++) {
        if (!why[t].line)
            continue;
        if (span_ends(span_str(why[t].rule), SPAN(".default")))
            common = why[t];
        else if (!last || strcmp(last, why[t].rule) != 0)
            tell(w, why[t]);
        last = why[t].rule;
    }
    tell(w, common);
}

static void each_profile(const struct walk *w, const struct profile *profile)
{
    for (size_t i = 0; i < profile->case_count; i++)
        tell(w, profile->cases[i].why);
    each_type(w, profile->why);
}

static void each_outbound(const struct walk *w, const struct policy *p)
{
    for (size_t i = 0; i < p->outbound_case_count; i++)
        each_type(w, p->outbound_cases[i].set.why);
    for (size_t i = 0; i < p->outbound_role_count; i++) {
        each_type(w, p->outbound_roles[i].set.why);
        tell(w, p->outbound_roles[i].attachments.why);
    }
    each_type(w, p->outbound.why);
    tell(w, p->attachments.why);
    tell(w, policy_why_links(p));
    tell(w, policy_why_templates(p));
    for (unsigned c = 0; c < POLICY_CATEGORIES; c++)
        tell(w, p->consent_why[c]);
}

void policy_each_rule(const struct policy *policy,
                      void (*each)(void *ctx, struct policy_reason why), void *ctx)
{
    const struct walk walk = {each, ctx}, *w = &walk;
    for (size_t i = 0; i < policy->profile_count; i++)
        each_profile(w, &policy->profiles[i]);
    for (int part = 0; part < 2; part++)
        for (size_t i = 0; i < policy->rules[part].n; i++)
            tell(w, policy->rules[part].at[i].why);
    for (size_t i = 0; i < policy->role_count; i++)
        tell(w, policy->roles[i].why);
    for (unsigned c = 0; c < POLICY_PICTURES; c++)
        tell(w, policy->pictures_why[c]);
    each_outbound(w, policy);
    for (size_t i = 0; i < policy->notice_count; i++)
        tell(w, policy->notices[i].why);
}

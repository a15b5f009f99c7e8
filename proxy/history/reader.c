/* Who asks, and what they may see: decided before anything is looked up. */
#include "room.h"

#include <sodium.h>
#include <stdio.h>

/* May become text of the log: plain, and nothing in it that detection takes for personal data. */
static int take_reason(struct work *w, struct span text, const char *member, char *out)
{
    struct finding found[8];
    char why[96];
    if (!text.n)
        return 0;
    const struct detect_input input = {.text = text, .at_ms = clock_wall_ms()};
    int n = detect_run(policy_detector(w->policy), w->worker->scratch, &input, found, 8);
    if (n != 0) {
        snprintf(why, sizeof(why), "%s: it holds personal data, and it would stand in the log",
                 member);
        return history_refuse(w, 400, "body", why);
    }
    memcpy(out, text.p, text.n);
    out[text.n] = '\0';
    struct buffer leaf;
    uint8_t hash[32];
    const struct audit_event probe = {
        .at_ms = 1, .action = AUDIT_HISTORY, .actor = "x", .purpose = out, .outcome = "x"};
    buffer_init(&leaf, AUDIT_LEAF_MAX);
    int r = strlen(out) == text.n ? audit_leaf(&probe, &leaf, hash) : SLUIS_EINVAL;
    buffer_free(&leaf);
    if (r == SLUIS_EINVAL) {
        out[0] = '\0';
        snprintf(why, sizeof(why), "%s: plain text without control characters was expected",
                 member);
        return history_refuse(w, 400, "body", why);
    }
    return r;
}

static const struct {
    uint32_t right;
    bool tools;
} rules[HISTORY_OPERATIONS] = {
    [HISTORY_CONVERSATIONS] = {POLICY_MAY_HISTORY, true},
    [HISTORY_MESSAGES] = {POLICY_MAY_HISTORY, true},
    [HISTORY_TAG] = {POLICY_MAY_HISTORY, true},
    [HISTORY_NOTE] = {POLICY_MAY_HISTORY, true},
    /* inside a tool we do not know the person */
    [HISTORY_REVEAL] = {POLICY_MAY_REVEAL, false},
    [HISTORY_SEARCH] = {POLICY_MAY_SEARCH, false},
    [HISTORY_EXPORT] = {POLICY_MAY_EXPORT, false},
    [HISTORY_EXPIRING] = {POLICY_MAY_EXPORT, false},
};

static int find_channel(struct work *w)
{
    char *name = arena_try_str(&w->arena, w->query.channel);
    if (!name)
        return SLUIS_ENOMEM;
    const struct config_channel *channel = config_channel(w->config, name);
    /* Channels of others are not seen at all. */
    if (!channel || (w->q->principal.kind == PRINCIPAL_TOOL &&
                     !principal_may_use(&w->q->principal, channel->id)))
        return history_refuse(w, 404, "channel", "no such channel");
    w->channel = channel;
    w->policy = channel->policy;
    return 0;
}

/* The role that gives the right on this channel, and what else it says. */
static int decide_role(struct work *w, bool *reason, bool *reference)
{
    struct access_decision decision;
    int r = access_decide(w->h->deps.access, &w->q->principal, w->channel->id,
                          rules[w->q->operation].right, clock_wall_ms(), &decision);
    if (r == SLUIS_EDENIED)
        return history_refuse(w, 403, access_why_word(decision.why), access_why_text(decision.why));
    if (r != 0)
        return r;
    char *role = arena_try_str(&w->arena, span_str(decision.role));
    if (!role)
        return SLUIS_ENOMEM;
    w->role = role;
    w->reveal = decision.given.reveal;
    *reason = decision.given.reason_required;
    *reference = decision.given.reference_required;
    const struct policy_role *given = policy_role(w->policy, role);
    w->profile = given ? given->profile : NULL;
    /* A tool may have a route that says what it sees. */
    return w->profile || w->q->principal.kind == PRINCIPAL_TOOL
               ? 0
               : history_refuse(w, 403, "right", "this role sees no messages");
}

/* A tool sees what its own route shows it; one without a route here, what its role shows. */
static int decide_tool(struct work *w)
{
    const struct config_channel *of = NULL;
    if (!rules[w->q->operation].tools)
        return history_refuse(w, 403, "right", "tools may not do this");
    w->route =
        w->q->principal.route ? config_route_by_id(w->config, w->q->principal.route, &of) : NULL;
    if (w->q->principal.route && !w->route)
        return history_refuse(w, 403, "right", "the route of this tool is not configured any more");
    if (of != w->channel)
        w->route = NULL;
    if (w->route)
        w->profile = w->route->policy->profile;
    return w->profile ? 0 : history_refuse(w, 403, "right", "this role sees no messages");
}

static int decide_operator(struct work *w)
{
    if (w->q->operation == HISTORY_REVEAL)
        return history_refuse(w, 403, "right",
                              "values are revealed to persons, on the admin listener");
    w->role = "operator";
    w->profile = policy_storage_profile(w->policy);
    return 0;
}

static void derive_keys(struct work *w)
{
    char label[64 + 2 * CONFIG_NAME_MAX];
    snprintf(label, sizeof(label), "hash/%s", w->channel->name);
    keyring_derive(w->h->deps.keyring, label, w->hash_key);
    if (w->route) /* the tool's own aliases, as its deliveries have them */
        snprintf(label, sizeof(label), "alias/%s/%s", w->channel->name, w->route->name);
    else
        snprintf(label, sizeof(label), "alias/%s//%s", w->channel->name, w->role);
    keyring_derive(w->h->deps.keyring, label, w->alias_key);
}

int reader_decide(struct work *w)
{
    bool reason = false, reference = false;
    w->actor = w->q->principal.name;
    int r = w->q->principal.kind == PRINCIPAL_NOBODY
                ? history_refuse(w, 401, "sign_in", "sign in first")
                : 0;
    if (r == 0)
        r = find_channel(w);
    if (r == 0 && w->q->principal.kind == PRINCIPAL_OPERATOR)
        r = decide_operator(w);
    else if (r == 0)
        r = decide_role(w, &reason, &reference);
    if (r == 0 && w->q->principal.kind == PRINCIPAL_TOOL)
        r = decide_tool(w);
    if (r == 0)
        r = take_reason(w, w->query.purpose, "purpose", w->purpose);
    if (r == 0)
        r = take_reason(w, w->query.reference, "reference", w->reference);
    /* What a role says about reasons is about revealing; who breaks the glass gives both. */
    if (w->q->operation == HISTORY_SEARCH || w->query.break_glass)
        reason = reference = true;
    else if (w->q->operation != HISTORY_REVEAL)
        reason = reference = false;
    if (r == 0 && !w->query.grant.n &&
        ((reason && !w->purpose[0]) || (reference && !w->reference[0])))
        r = history_refuse(w, 400, "purpose", "a purpose, or a reference, is needed");
    if (r == 0)
        derive_keys(w);
    return r;
}

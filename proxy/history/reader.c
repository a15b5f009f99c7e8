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
        return refuse(w, 400, "body", why);
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
        return refuse(w, 400, "body", why);
    }
    return r;
}

static int find_channel(struct work *w)
{
    char *name = arena_try_str(&w->arena, w->query.channel);
    if (!name)
        return SLUIS_ENOMEM;
    const struct config_channel *channel = config_channel(w->config, name);
    /* Channels of others are not seen at all. */
    if (!channel ||
        (w->q->who == HISTORY_TOOL && !principal_may_use(&w->q->principal, channel->id)))
        return refuse(w, 404, "channel", "no such channel");
    w->channel = channel;
    w->policy = channel->policy;
    return 0;
}

/* A tool sees what its own route shows it; one without a route here, what is stored for long. */
static int decide_tool(struct work *w)
{
    static const unsigned allowed = 1u << HISTORY_CONVERSATIONS | 1u << HISTORY_MESSAGES |
                                    1u << HISTORY_TAG | 1u << HISTORY_NOTE;
    const struct config_channel *of = NULL;
    if (!(allowed >> w->q->operation & 1))
        return refuse(w, 403, "right", "tools may not do this");
    if (w->query.role.n)
        return refuse(w, 400, "body", "role: not for tools");
    w->role = "tool";
    w->route =
        w->q->principal.route ? config_route_by_id(w->config, w->q->principal.route, &of) : NULL;
    if (w->q->principal.route && !w->route)
        return refuse(w, 403, "right", "the route of this tool is not configured any more");
    if (of != w->channel)
        w->route = NULL;
    w->profile = w->route ? w->route->policy->profile : policy_storage_profile(w->policy);
    return 0;
}

static int decide_operator(struct work *w)
{
    if (w->q->operation == HISTORY_REVEAL)
        return refuse(w, 403, "right", "values are revealed to persons, on the admin listener");
    if (w->query.role.n)
        return refuse(w, 400, "body", "role: not available in this version");
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
    w->actor = w->q->who == HISTORY_OPERATOR ? "operator" : w->q->principal.name;
    int r = find_channel(w);
    if (r == 0 && w->q->who == HISTORY_TOOL)
        r = decide_tool(w);
    else if (r == 0 && w->q->who == HISTORY_OPERATOR)
        r = decide_operator(w);
    else if (r == 0) /* until persons can sign in: nobody */
        r = refuse(w, 403, "right", "this is not yours to see");
    if (r == 0)
        r = take_reason(w, w->query.purpose, "purpose", w->purpose);
    if (r == 0)
        r = take_reason(w, w->query.reference, "reference", w->reference);
    if (r == 0 && w->q->operation == HISTORY_SEARCH && (!w->purpose[0] || !w->reference[0]))
        r = refuse(w, 400, "purpose", "purpose and reference are needed");
    if (r == 0)
        derive_keys(w);
    return r;
}

/* `sluis policy approve`: the second officer (versions.h). */
#include "versions.h"

#include "sluis/base/clock.h"
#include "sluis/base/json.h"

#include <stdio.h>

struct listing {
    struct buffer *out;
    const char *then; /* the policy that follows an observing one, or NULL */
};

static void list_difference(void *ctx, const struct policy_difference *d)
{
    const struct listing *l = ctx;
    struct buffer *out = l->out;
    char what[512];
    if (d->change != POLICY_LOOSER)
        return;
    snprintf(what, sizeof(what), "%s%s%s%s", l->then ? "then " : "", l->then ? l->then : "",
             l->then ? ": " : "", d->what);
    buffer_add_str(out, out->n && out->p[out->n - 1] == '}' ? "," : "");
    buffer_add(out, SPAN("{\"what\":"));
    json_quote(out, span_str(what));
    buffer_add(out, SPAN(",\"from\":"));
    json_quote(out, span_str(d->from));
    buffer_add(out, SPAN(",\"to\":"));
    json_quote(out, span_str(d->to));
    buffer_add_char(out, '}');
}

/* What is looser than `before`, and what follows an observing policy: who agrees to the one chooses
 * the other with it. */
static unsigned list_channel(const struct config_channel *before, const struct config_channel *c,
                             struct buffer *out)
{
    struct listing l = {.out = out};
    unsigned n = policy_diff(before->policy, c->policy, list_difference, &l) > 0;
    if (n && c->then) {
        l.then = policy_name(c->then);
        policy_diff(before->policy, c->then, list_difference, &l);
    }
    return n;
}

/* The channels whose next policy is this one and differs: what becomes looser, in `out`. NULL or
 * why not. */
static const char *look(struct policy_approval *a, const struct config *now,
                        const struct config *next, const struct policy **policy)
{
    unsigned n = 0;
    buffer_add(a->out, SPAN("\"looser\":["));
    for (size_t i = 0; i < next->channel_count; i++) {
        const struct config_channel *c = &next->channels[i];
        const struct config_channel *before = config_channel(now, c->name);
        if (strcmp(policy_name(c->policy), a->name) != 0)
            continue;
        if (!a->may(a->may_ctx, c->id))
            return "you may not approve for every channel that has this policy";
        *policy = c->policy;
        if (before && strcmp(policy_hash(before->policy), policy_hash(c->policy)) != 0)
            n += list_channel(before, c, a->out);
    }
    buffer_add_char(a->out, ']');
    if (!*policy)
        return "no channel has a policy of this name";
    return n ? NULL : "it is not looser than what is in force: sluis reload";
}

/* On every channel that has it. */
static bool is_agreed(struct gateway *gw, const struct policy_approval *a,
                      const struct config *next)
{
    for (size_t i = 0; i < next->channel_count; i++) {
        const struct config_channel *c = &next->channels[i];
        if (strcmp(policy_name(c->policy), a->name) == 0 &&
            !version_granted(gw, c->name, policy_hash(c->policy)))
            return false;
    }
    return true;
}

static int agree(struct gateway *gw, const struct config_channel *c)
{
    int r = version_grant(gw, c->name, policy_hash(c->policy));
    return r ? r : version_choose(gw, c);
}

/* Has a person put it forward, by name? */
static bool is_named(const char *author)
{
    return !strchr(author, ':') && access_name_free(author);
}

static const char *approve(struct gateway *gw, struct policy_approval *a, const struct config *next,
                           const struct policy *policy)
{
    struct policy_version v;
    if (version_get(gw, policy_hash(policy), &v) != 0)
        return "it was not put forward yet: sluis reload, which says what is looser";
    if (a->hash.n && !span_starts(span_str(v.hash), a->hash))
        return "the file has another hash by now: look again";
    if (v.approved_ms)
        return is_agreed(gw, a, next) ? "it is approved already: sluis reload"
                                      : "it was not put forward yet: sluis reload, which says what "
                                        "is looser";
    if (!a->alone && strcmp(v.author, a->actor) == 0)
        return "the one who put it forward cannot approve it: a second officer has to";
    a->put_forward = !a->alone && !is_named(v.author);
    if (a->dry_run)
        return NULL;
    if (a->put_forward) {
        int put = version_note(gw, NULL, policy, a->actor, "put_forward");
        snprintf(v.author, sizeof(v.author), "%s", a->actor);
        put = put ? put : version_put(gw, &v);
        return put == 0 ? "nobody had put it forward by name: you have now, and a second officer "
                          "has to approve it"
                        : "it could not be recorded";
    }
    snprintf(v.approver, sizeof(v.approver), "%s", a->actor);
    v.approved_ms = clock_wall_ms();
    int r =
        version_note(gw, NULL, policy, a->actor, a->alone ? "approved_by_operator" : "approved");
    for (size_t i = 0; r == 0 && i < next->channel_count; i++)
        if (strcmp(policy_name(next->channels[i].policy), a->name) == 0)
            r = agree(gw, &next->channels[i]);
    if (r == 0)
        r = version_put(gw, &v);
    return r == 0 ? NULL : "it could not be recorded: it is not approved, or not everywhere";
}

int versions_approve(void *ctx, struct policy_approval *a, struct diag *diag)
{
    struct gateway *gw = ctx;
    struct config *now = config_acquire(gw->cell), *next = NULL;
    const struct policy *policy = NULL;
    int r = config_load(gw->config_file, &next, diag);
    if (r == 0)
        r = reload_prepare(gw, next, diag);
    if (r == 0) {
        pthread_mutex_lock(&gw->version_lock);
        const char *wrong = look(a, now, next, &policy);
        if (!wrong)
            wrong = approve(gw, a, next, policy);
        pthread_mutex_unlock(&gw->version_lock);
        if (policy)
            buffer_addf(a->out, ",\"hash\":\"%s\"", policy_hash(policy));
        if (wrong) {
            diag_set(diag, NULL, 0, 0, "%s", wrong);
            r = SLUIS_EDENIED;
        }
    }
    if (next)
        config_unref(next);
    config_unref(now);
    return r;
}

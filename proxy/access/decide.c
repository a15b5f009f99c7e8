/* The decision: a principal, a channel, rights, a moment. */
#include "room.h"

/* Who holds one of the first may hold none of the second, and the other way round. */
static const struct {
    uint32_t one, other;
} separation[] = {
    {POLICY_MAY_POLICY | POLICY_MAY_APPROVE | POLICY_MAY_ROLES, POLICY_MAY_REVEAL},
    {POLICY_MAY_LOG,
     POLICY_MAY_HISTORY | POLICY_MAY_REVEAL | POLICY_MAY_SEARCH | POLICY_MAY_EXPORT},
};

/* A tool has no person behind it that we know: it never reveals, exports, reads the log or governs.
 */
#define TOOL_RIGHTS (POLICY_MAY_HISTORY | POLICY_MAY_SEARCH | POLICY_MAY_CONSENT | POLICY_MAY_STATS)

uint32_t access_conflicts(uint32_t rights)
{
    uint32_t out = 0;
    for (size_t i = 0; i < sizeof(separation) / sizeof(separation[0]); i++) {
        if (rights & separation[i].one)
            out |= separation[i].other;
        if (rights & separation[i].other)
            out |= separation[i].one;
    }
    return out;
}

const char *access_why_word(enum access_why why)
{
    static const char *const words[] = {
        [ACCESS_GRANTED] = "granted",   [ACCESS_NO_GRANT] = "no_grant",
        [ACCESS_NO_RIGHT] = "no_right", [ACCESS_CLOSED] = "closed",
        [ACCESS_CONFLICT] = "conflict", [ACCESS_CHANNEL] = "channel",
        [ACCESS_GONE] = "gone",
    };
    return words[why];
}

const char *access_why_text(enum access_why why)
{
    static const char *const texts[] = {
        [ACCESS_GRANTED] = "allowed",
        [ACCESS_NO_GRANT] = "you have no role here that the policy in force knows",
        [ACCESS_NO_RIGHT] = "your role does not have this right",
        [ACCESS_CLOSED] = "your role does not work at this hour",
        [ACCESS_CONFLICT] = "your roles together break the separation of duties",
        [ACCESS_CHANNEL] = "no role of yours is for this channel",
        [ACCESS_GONE] = "this access was withdrawn or has expired",
    };
    return texts[why];
}

static int ask(const struct access_roles *roles, uint16_t channel, const char *name, int64_t at_ms,
               struct access_role *out)
{
    memset(out, 0, sizeof(*out));
    return roles->role && name[0] ? roles->role(roles->ctx, channel, name, at_ms, out)
                                  : SLUIS_ENOENT;
}

/* One role on one channel. */
static enum access_why weigh(const struct access_role *given, uint32_t rights)
{
    if ((given->may & rights) != rights)
        return ACCESS_NO_RIGHT;
    if (given->may & access_conflicts(given->may))
        return ACCESS_CONFLICT; /* the role alone breaks it: a policy should not say so */
    return given->open ? ACCESS_GRANTED : ACCESS_CLOSED;
}

static enum access_why decide_tool(const struct access_roles *roles, const struct principal *p,
                                   uint16_t channel, uint32_t rights, int64_t at_ms,
                                   struct access_decision *out)
{
    enum access_why why = ACCESS_CHANNEL;
    snprintf(out->role, sizeof(out->role), "%s", p->role);
    if (rights & ~(uint32_t)TOOL_RIGHTS)
        return ACCESS_NO_RIGHT;
    for (unsigned i = 0; i < p->channel_count; i++) {
        if (channel != ACCESS_SOME && p->channels[i] != channel)
            continue;
        if (ask(roles, p->channels[i], p->role, at_ms, &out->given) != 0) {
            /* Without a role of its own: the Graph API and nothing else. */
            why = p->role[0] || rights ? ACCESS_NO_GRANT : ACCESS_GRANTED;
        } else {
            out->given.may &= TOOL_RIGHTS;
            out->given.reveal = 0;
            why = weigh(&out->given, rights);
        }
        if (why == ACCESS_GRANTED)
            break;
    }
    return why;
}

int access_decide(struct access *access, const struct principal *principal, uint16_t channel,
                  uint32_t rights, int64_t at_ms, struct access_decision *out)
{
    memset(out, 0, sizeof(*out));
    out->why = ACCESS_NO_GRANT;
    struct principal now;
    if (principal->kind == PRINCIPAL_TOOL) {
        out->why = ACCESS_GONE;
        if (access_tool_now(access, principal->id, at_ms, &now))
            out->why = decide_tool(access_roles_of(access), &now, channel, rights, at_ms, out);
    }
    return out->why == ACCESS_GRANTED ? 0 : SLUIS_EDENIED;
}

bool access_may(struct access *access, const struct principal *principal, uint16_t channel,
                uint32_t rights, int64_t at_ms)
{
    struct access_decision decision;
    return access_decide(access, principal, channel, rights, at_ms, &decision) == 0;
}

int permission_may(struct access *access, enum permission permission,
                   const struct principal *principal, bool control, int64_t at_ms,
                   struct access_decision *out, bool *alarm)
{
    const struct permission_row *row = permission_row(permission);
    memset(out, 0, sizeof(*out));
    out->why = ACCESS_NO_RIGHT;
    *alarm = false;
    if (!row || !(row->doors & (control ? DOOR_CONTROL : DOOR_ADMIN)))
        return SLUIS_EDENIED;
    if (row->right & PERMIT_ANYONE) {
        out->why = ACCESS_GRANTED;
        return 0;
    }
    if (principal->kind == PRINCIPAL_OPERATOR) {
        bool first = row->operator_may == OPERATOR_FIRST;
        *alarm = row->operator_may == OPERATOR_ALARM;
        if (control && (row->operator_may == OPERATOR_YES || *alarm || first))
            out->why = ACCESS_GRANTED;
        return out->why == ACCESS_GRANTED ? 0 : SLUIS_EDENIED;
    }
    if (principal->kind != PRINCIPAL_PERSON) /* tools have a door of their own */
        return SLUIS_EDENIED;
    return access_decide(access, principal,
                         row->scope == PERMISSION_CHANNEL ? ACCESS_SOME : ACCESS_WHOLE,
                         row->right & ~PERMIT_SIGNED_IN, at_ms, out);
}

/* The decision: a principal, a channel, rights, a moment. */
#include "people.h"

#include "sluis/base/encode.h"
#include "sluis/base/log.h"

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
        [ACCESS_GONE] = "gone",         [ACCESS_OFFICERS] = "officers",
        [ACCESS_WAITS] = "waits",
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
        [ACCESS_OFFICERS] = ("officers do this, or did once there were two: --as NAME, or "
                             "--break-glass REASON, which raises an alarm"),
        [ACCESS_WAITS] = ("you have no rights until a second officer has confirmed that it was "
                          "you who enrolled: sluis person confirm"),
    };
    return texts[why];
}

const char *access_why_dutch(enum access_why why)
{
    static const char *const texts[] = {
        [ACCESS_GRANTED] = "toegestaan",
        [ACCESS_NO_GRANT] = "U heeft hier geen rol die het geldende beleid kent.",
        [ACCESS_NO_RIGHT] = "Uw rol heeft dit recht niet.",
        [ACCESS_CLOSED] = "Uw rol werkt niet op dit tijdstip.",
        [ACCESS_CONFLICT] = "Uw rollen samen gaan tegen de functiescheiding in.",
        [ACCESS_CHANNEL] = "U heeft geen rol voor dit kanaal.",
        [ACCESS_GONE] = "Deze toegang is ingetrokken of verlopen.",
        [ACCESS_OFFICERS] = "Dit doen de functionarissen, niet de beheerder.",
        [ACCESS_WAITS] =
            ("U heeft nog geen rechten: een tweede functionaris bevestigt eerst dat u het "
             "was die zich aanmeldde."),
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

/* ---- persons ---- */

static bool covers(const struct access_grant *g, uint16_t channel)
{
    if (g->all || channel == ACCESS_SOME)
        return true;
    for (unsigned i = 0; i < g->channel_count; i++)
        if (g->channels[i] == channel)
            return channel != ACCESS_WHOLE;
    return false;
}

uint32_t rights_of(struct access *access, const struct access_grant *grants, unsigned count,
                   int64_t at_ms)
{
    const struct access_roles *roles = access_roles_of(access);
    struct access_role given;
    uint32_t all = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct access_grant *g = &grants[i];
        if (g->all && ask(roles, ACCESS_SOME, g->role, at_ms, &given) == 0)
            all |= given.may;
        for (unsigned c = 0; c < g->channel_count; c++)
            if (ask(roles, g->channels[c], g->role, at_ms, &given) == 0)
                all |= given.may;
    }
    return all;
}

/* One grant on a channel that it covers; ACCESS_SOME: on the best of its own. */
static enum access_why try_grant(const struct access_roles *roles, const struct access_grant *g,
                                 uint16_t channel, uint32_t rights, int64_t at_ms,
                                 struct access_decision *out)
{
    enum access_why why = ACCESS_NO_GRANT;
    unsigned n = channel == ACCESS_SOME && !g->all ? g->channel_count : 1;
    for (unsigned i = 0; i < n && why != ACCESS_GRANTED; i++) {
        uint16_t at = channel == ACCESS_SOME && !g->all ? g->channels[i] : channel;
        if (ask(roles, at, g->role, at_ms, &out->given) == 0)
            why = weigh(&out->given, rights);
    }
    return why;
}

enum access_why decide_person(struct people *people, const struct principal *who, uint16_t channel,
                              uint32_t rights, int64_t at_ms, struct access_decision *out)
{
    struct access_grant grants[ACCESS_CHANNELS_MAX];
    unsigned n = 0;
    pthread_mutex_lock(&people->lock);
    const struct person_row *row = person_by_id(people, who->id);
    bool here = row && !row->person.removed, waits = here && row->person.waits;
    for (unsigned i = 0; here && i < people->grant_count && n < ACCESS_CHANNELS_MAX; i++)
        if (people->grants[i].person == who->id)
            grants[n++] = people->grants[i];
    pthread_mutex_unlock(&people->lock);
    if (!here)
        return ACCESS_GONE;
    if (rights == 0) /* signed in is enough */
        return ACCESS_GRANTED;
    if (waits)
        return ACCESS_WAITS;
    if (rights & access_conflicts(rights_of(people->access, grants, n, at_ms)))
        return ACCESS_CONFLICT;
    enum access_why why = n ? ACCESS_CHANNEL : ACCESS_NO_GRANT;
    for (unsigned i = 0; i < n && why != ACCESS_GRANTED; i++) {
        if (!covers(&grants[i], channel))
            continue;
        snprintf(out->role, sizeof(out->role), "%s", grants[i].role);
        why = try_grant(access_roles_of(people->access), &grants[i], channel, rights, at_ms, out);
    }
    if (why != ACCESS_GRANTED)
        memset(&out->given, 0, sizeof(out->given));
    return why;
}

/* ---- officers ---- */

unsigned access_officers(struct access *access, uint32_t rights, int64_t at_ms)
{
    struct people *people = people_of(access);
    struct principal who;
    struct access_decision decision;
    unsigned n = 0;
    for (unsigned i = 0; i < ACCESS_PERSONS_MAX; i++) {
        pthread_mutex_lock(&people->lock);
        bool there = i < people->person_count;
        bool own = there && people->persons[i].person.one_time_until_ms == 0;
        if (own)
            principal_of(&people->persons[i].person, &who);
        pthread_mutex_unlock(&people->lock);
        if (!there)
            break;
        if (!own)
            continue;
        /* Whatever the hour: an officer who sleeps is an officer. */
        enum access_why why = decide_person(people, &who, ACCESS_WHOLE, rights, at_ms, &decision);
        n += why == ACCESS_GRANTED || why == ACCESS_CLOSED;
    }
    return n;
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
    } else if (principal->kind == PRINCIPAL_PERSON) {
        out->why = decide_person(people_of(access), principal, channel, rights, at_ms, out);
    }
    return out->why == ACCESS_GRANTED ? 0 : SLUIS_EDENIED;
}

bool access_may(struct access *access, const struct principal *principal, uint16_t channel,
                uint32_t rights, int64_t at_ms)
{
    struct access_decision decision;
    return access_decide(access, principal, channel, rights, at_ms, &decision) == 0;
}

#define OFFICERS 2 /* from then on persons govern, and the operator only by breaking the glass */

int governed_commit(struct people *people)
{
    char plain[8];
    be64_put((uint8_t *)plain, people->governed);
    int result = principal_row_put(people->access, 'o', 0, span_of(plain, sizeof(plain)));
    people->governed_due = result != 0;
    return result;
}

/* Once there were two it stays so, also across a restart: removing one of them, which an operator
 * may, must not give the operator his rights. */
bool access_governed(struct access *access, uint32_t right, int64_t at_ms)
{
    struct people *people = people_of(access);
    pthread_mutex_lock(&people->lock);
    bool known = right && (people->governed & right) == right;
    pthread_mutex_unlock(&people->lock);
    if (known)
        return true;
    if (!right || access_officers(access, right, at_ms) < OFFICERS)
        return false;
    pthread_mutex_lock(&people->change);
    pthread_mutex_lock(&people->lock);
    people->governed |= right;
    people->governed_due = true;
    pthread_mutex_unlock(&people->lock);
    int result = governed_commit(people); /* that fails: people_flush does it */
    pthread_mutex_unlock(&people->change);
    LOG(LOG_WARN, "access", "two_officers", log_u64("right", right), log_error(result));
    return true;
}

static enum access_why decide_operator(struct access *access, const struct permission_row *row,
                                       const struct principal *who, int64_t at_ms, bool *alarm)
{
    switch ((enum permission_operator)row->operator_may) {
    case OPERATOR_YES:
        return ACCESS_GRANTED;
    case OPERATOR_ALARM:
        *alarm = true;
        return ACCESS_GRANTED;
    case OPERATOR_FIRST:
        if (!access_governed(access, row->right, at_ms))
            return ACCESS_GRANTED;
        *alarm = who->break_glass;
        return who->break_glass ? ACCESS_GRANTED : ACCESS_OFFICERS;
    case OPERATOR_NO:
        break;
    }
    return ACCESS_NO_RIGHT;
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
        out->why =
            control ? decide_operator(access, row, principal, at_ms, alarm) : ACCESS_NO_RIGHT;
        return out->why == ACCESS_GRANTED ? 0 : SLUIS_EDENIED;
    }
    if (principal->kind != PRINCIPAL_PERSON) /* tools have a door of their own */
        return SLUIS_EDENIED;
    return access_decide(access, principal,
                         row->scope == PERMISSION_CHANNEL ? ACCESS_SOME : ACCESS_WHOLE,
                         row->right & ~PERMIT_SIGNED_IN, at_ms, out);
}

/* What leaves of the access log say: findings by type and route, deliveries, refusals. */
#include "room.h"

#include "sluis/audit.h"
#include "sluis/base/json.h"

#include <stdio.h>

static uint64_t types_of(struct span list)
{
    uint64_t types = 0;
    for (unsigned i = 0; i < TYPES; i++) {
        char quoted[40];
        int n = snprintf(quoted, sizeof(quoted), "\"%s\"", audit_type_word(i));
        if (memmem(list.p ? list.p : "", list.n, quoted, (size_t)n))
            types |= 1u << i;
    }
    return types;
}

static int64_t time_of(struct span leaf)
{
    struct span t = audit_member(leaf, "\"time\":");
    struct tm tm = {0};
    char text[32];
    if (t.n < 20 || t.n >= sizeof(text))
        return 0;
    memcpy(text, t.p, t.n);
    text[t.n] = '\0';
    if (sscanf(text, "%4d-%2d-%2dT%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour) != 4)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    return (int64_t)timegm(&tm) * 1000;
}

static const struct {
    const char *action, *outcome;
    enum count what;
} rows[] = {
    {"deliver", "delivered", N_DELIVERED},
    {"deliver", "parked", N_PARKED},
    {"deliver", "expired", N_EXPIRED},
    {"deliver", "dropped", N_DROPPED},
    {"send", "sent", N_SENT},
    {"send", "refused_by_meta", N_SEND_FAILED},
    {"send", "not_sent", N_SEND_FAILED},
    {"send", "unknown", N_SEND_FAILED},
    {"media", "withheld", N_WITHHELD},
    {"refuse", NULL, N_REFUSED},
};

struct who {
    uint16_t channel, route;
    int64_t at_ms;
};

/* A route in leaves is "channel/route" or the route's own name beside its channel. */
static bool find_who(struct stats *s, struct span leaf, struct who *who)
{
    struct span channel = audit_member(leaf, "\"channel\":"),
                route = audit_member(leaf, "\"route\":");
    char name[CONFIG_NAME_MAX + 1];
    *who = (struct who){.at_ms = time_of(leaf)};
    if (channel.n == 0 || channel.n >= sizeof(name))
        return false;
    memcpy(name, channel.p, channel.n);
    name[channel.n] = '\0';
    const struct config_channel *c = config_channel(s->config, name);
    if (!c)
        return false;
    who->channel = c->id;
    size_t slash = span_find(route, '/');
    if (slash < route.n)
        route = span_from(route, slash + 1);
    for (size_t i = 0; i < c->route_count; i++)
        if (span_is(route, c->routes[i].name))
            who->route = c->routes[i].id;
    return who->at_ms > 0;
}

/* Found in a message: for the channel each type once, however many routes it went to. */
static void note_types(struct stats *s, const struct who *who, struct span leaf)
{
    uint64_t types = types_of(audit_member(leaf, "\"masked\":")), object = 0;
    if (span_u64(audit_member(leaf, "\"object\":"), &object) != 0)
        object = 0;
    if (object != s->object) {
        s->object = object;
        s->object_types = 0;
    }
    const struct cell_key route = {(uint32_t)(who->at_ms / HOUR_MS), who->channel, who->route, {0}};
    struct cell_key whole = route;
    whole.route = 0;
    struct cell *cell = who->route ? cell_of(s, &route) : NULL;
    struct cell *all = cell_of(s, &whole);
    for (unsigned i = 0; i < TYPES; i++) {
        if (cell && types >> i & 1)
            cell->types[i]++;
        if (all && types >> i & 1 && !(s->object_types >> i & 1))
            all->types[i]++;
    }
    if (cell) {
        cell->n[N_OFFERED]++;
        cell->n[N_MASKED] += types != 0;
        cell->changed = true;
    }
    if (all) {
        all->n[N_MASKED] += types != 0 && s->object_types == 0;
        all->changed = true;
    }
    s->object_types |= types;
}

void leaf_note(struct stats *s, struct span leaf)
{
    struct span action = audit_member(leaf, "\"action\":"),
                outcome = audit_member(leaf, "\"outcome\":");
    struct who who;
    uint64_t count = 0;
    if (!find_who(s, leaf, &who))
        return;
    if (span_is(action, "deliver_intent")) {
        note_types(s, &who, leaf);
        return;
    }
    if (span_u64(audit_member(leaf, "\"count\":"), &count) != 0)
        count = 1;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!span_is(action, rows[i].action) ||
            (rows[i].outcome && !span_is(outcome, rows[i].outcome)))
            continue;
        cell_add(s, who.at_ms, who.channel, 0, rows[i].what, count);
        if (who.route)
            cell_add(s, who.at_ms, who.channel, who.route, rows[i].what, count);
        return;
    }
}

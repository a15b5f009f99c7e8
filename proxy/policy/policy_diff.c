/*
 * What one policy does that another does not, decision by decision and not line by line: the files
 * may look alike and differ, or look different and do the same.
 */
#include "policy_room.h"

#include <stdarg.h>
#include <stdio.h>

/* Types of both policies under common numbers: built-in, then own ones by name. */
#define COMMON_MAX (DETECT_OWN + 2 * DETECT_OWN_MAX)
struct types { /* a bit set of common numbers */
    uint64_t bits[2];
};

struct diff {
    const struct policy *side[2];
    const char *words[COMMON_MAX];
    unsigned number[2][COMMON_MAX]; /* a side's own number; DETECT_TYPES_MAX: it has none */
    unsigned count;
    void (*each)(void *ctx, const struct policy_difference *difference);
    void *ctx;
    int looser;
};

static void tell(struct diff *d, enum policy_change change, const char *from, const char *to,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

static void tell(struct diff *d, enum policy_change change, const char *from, const char *to,
                 const char *format, ...)
{
    char what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    const struct policy_difference difference = {change, what, from, to};
    d->looser += change == POLICY_LOOSER;
    d->each(d->ctx, &difference);
}

static enum policy_change direction(bool looser)
{
    return looser ? POLICY_LOOSER : POLICY_STRICTER;
}

static void number_types(struct diff *d)
{
    for (unsigned t = 0; t < DETECT_OWN; t++)
        d->words[d->count++] = detect_type_word((enum detect_type)t);
    for (int s = 0; s < 2; s++)
        for (size_t i = 0; i < d->side[s]->settings.own_count; i++) {
            const char *name = d->side[s]->own[i].name;
            if (s == 0 || policy_type(d->side[0], name) == DETECT_TYPES_MAX)
                d->words[d->count++] = name;
        }
    for (unsigned c = 0; c < d->count; c++)
        for (int s = 0; s < 2; s++)
            d->number[s][c] = policy_type(d->side[s], d->words[c]);
}

/* ---- what is found ---- */

static bool same_words(const char *const *a, size_t a_n, const char *const *b, size_t b_n)
{
    bool same = a_n == b_n;
    for (size_t i = 0; same && i < a_n; i++)
        same = strcmp(a[i], b[i]) == 0;
    return same;
}

static bool same_own(const struct detect_own *a, const struct detect_own *b)
{
    return a->score == b->score && strcmp(a->validator, b->validator) == 0 &&
           same_words(a->patterns, a->pattern_count, b->patterns, b->pattern_count) &&
           same_words(a->context, a->context_count, b->context, b->context_count) &&
           same_words(a->counter, a->counter_count, b->counter, b->counter_count);
}

/* What a pattern finds cannot be told from its text: any change counts as looser, an added one too,
 * since its findings can take the place of another type's. */
static void diff_own(struct diff *d)
{
    for (unsigned c = DETECT_OWN; c < d->count; c++) {
        unsigned old = d->number[0][c], next = d->number[1][c];
        if (next == DETECT_TYPES_MAX)
            tell(d, POLICY_LOOSER, "looked for", "not looked for", "detect: %s", d->words[c]);
        else if (old == DETECT_TYPES_MAX)
            tell(d, POLICY_LOOSER, "not looked for",
                 "looked for; what it finds can take the place of another type", "detect: %s",
                 d->words[c]);
        else if (!same_own(&d->side[0]->own[old - DETECT_OWN], &d->side[1]->own[next - DETECT_OWN]))
            tell(d, POLICY_LOOSER, "recogniser",
                 "recogniser changed: what it finds is not compared", "detect: %s", d->words[c]);
    }
}

static const char *from_word(uint16_t from, char *out, size_t size)
{
    if (from > 1000)
        snprintf(out, size, "off");
    else
        snprintf(out, size, "from %u.%03u", from / 1000u, from % 1000u);
    return out;
}

static bool has_word(const struct detect_settings *s, const char *word)
{
    for (size_t i = 0; i < s->special_count; i++)
        if (strcmp(s->special_words[i], word) == 0)
            return true;
    return false;
}

static void diff_detect(struct diff *d)
{
    const struct detect_settings *old = &d->side[0]->settings, *next = &d->side[1]->settings;
    char a[32], b[32];
    for (unsigned t = 0; t < DETECT_OWN; t++)
        if (old->from[t] != next->from[t])
            tell(d, direction(next->from[t] > old->from[t]), from_word(old->from[t], a, sizeof(a)),
                 from_word(next->from[t], b, sizeof(b)), "detect: %s", d->words[t]);
    if (old->strict != next->strict)
        tell(d, direction(old->strict), old->strict ? "strict" : "not strict",
             next->strict ? "strict" : "not strict", "detect: bsn");
    size_t gone = 0, added = 0;
    for (size_t i = 0; i < old->special_count; i++)
        gone += !has_word(next, old->special_words[i]);
    for (size_t i = 0; i < next->special_count; i++)
        added += !has_word(old, next->special_words[i]);
    snprintf(a, sizeof(a), "%zu words", gone);
    snprintf(b, sizeof(b), "%zu words", added);
    if (gone)
        tell(d, POLICY_LOOSER, a, "no longer", "detect: special");
    if (added)
        tell(d, POLICY_STRICTER, "not yet", b, "detect: special");
    diff_own(d);
}

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

static void diff_profiles(struct diff *d, const char *route, const struct profile *old,
                          const struct profile *next)
{
    char a[64], b[64];
    for (unsigned c = 0; c < d->count; c++) {
        unsigned x = d->number[0][c], y = d->number[1][c];
        if (x == DETECT_TYPES_MAX || y == DETECT_TYPES_MAX ||
            rule_same(old->rules[x], next->rules[y]))
            continue;
        tell(d, direction(rule_looser(old->rules[x], next->rules[y])),
             rule_word(old->rules[x], a, sizeof(a)), rule_word(next->rules[y], b, sizeof(b)),
             "route %s: %s", route, d->words[c]);
    }
    if (old->hides_contact != next->hides_contact)
        tell(d, direction(old->hides_contact), old->hides_contact ? "alias" : "keep",
             next->hides_contact ? "alias" : "keep", "route %s: contact", route);
}

static void diff_routes(struct diff *d)
{
    static const char *const kinds[] = {"pictures and other files", "documents", "sound"};
    for (size_t i = 0; i < d->side[0]->route_count; i++) {
        const struct policy_route *old = &d->side[0]->routes[i].door;
        const struct policy_route *next = policy_route(d->side[1], old->name);
        if (!next) {
            tell(d, POLICY_STRICTER, "may receive", "may not", "route %s", old->name);
            continue;
        }
        diff_profiles(d, old->name, old->profile, next->profile);
        for (int k = 0; k < POLICY_MEDIA_KINDS; k++) {
            enum policy_media_kind kind = (enum policy_media_kind)k;
            bool x = policy_route_media(d->side[0], old, kind) == MEDIA_PASS;
            bool y = policy_route_media(d->side[1], next, kind) == MEDIA_PASS;
            if (x != y)
                tell(d, direction(y), x ? "pass" : "withhold", y ? "pass" : "withhold",
                     "route %s: %s", old->name, kinds[k]);
        }
    }
    for (size_t i = 0; i < d->side[1]->route_count; i++) {
        const char *name = d->side[1]->routes[i].door.name;
        if (!policy_route(d->side[0], name))
            tell(d, POLICY_LOOSER, "may not receive", "may", "route %s", name);
    }
}

/* ---- how long it is kept ---- */

static void add_type(struct types *set, unsigned c)
{
    set->bits[c / 64] |= UINT64_C(1) << c % 64;
}

static struct types common(const struct diff *d, int side, uint64_t found)
{
    struct types set = {{0, 0}};
    for (unsigned c = 0; c < d->count; c++)
        if (d->number[side][c] < DETECT_TYPES_MAX && found >> d->number[side][c] & 1)
            add_type(&set, c);
    return set;
}

static struct types without(struct types a, struct types b)
{
    return (struct types){{a.bits[0] & ~b.bits[0], a.bits[1] & ~b.bits[1]}};
}

static bool is_empty(struct types a)
{
    return !a.bits[0] && !a.bits[1];
}

static const struct rule nothing = {.door = {.never = true, .ground = "", .selection = ""}};

/* A place in the space of messages: everything but what was found. */
struct place {
    enum retention_part part;
    struct retention_facts facts;
};

/* The rule with this index at this place, NULL when it does not apply; past the last: never.
 * `taken` gathers the types for which an earlier one decides; *all is set when it takes everything.
 */
static const struct rule *rule_at(const struct diff *d, int side, const struct place *place,
                                  size_t i, struct types *wants, bool *last)
{
    const struct rules *rules = &d->side[side]->rules[place->part];
    *wants = (struct types){{0, 0}};
    *last = i >= rules->n;
    if (*last)
        return &nothing;
    const struct rule *rule = &rules->at[i];
    if (!policy_when_fits(&rule->when, &place->facts))
        return NULL;
    *wants = common(d, side, rule->when.found);
    *last = !rule->when.found;
    return rule;
}

static bool keeps_longer(const struct retention_rule *old, const struct retention_rule *next)
{
    if (old->never || next->never)
        return old->never && !next->never;
    return next->keep_s != old->keep_s ? next->keep_s > old->keep_s : next->minimum;
}

static const char *keep_word(const struct rule *rule, char *out, size_t size)
{
    char line[32] = "";
    if (rule->why.line)
        snprintf(line, sizeof(line), " (line %u)", rule->why.line);
    if (rule->door.never)
        snprintf(out, size, "never%s", line);
    else if (rule->door.keep_s % 86400 == 0)
        snprintf(out, size, "%lldd, at %s%s", (long long)rule->door.keep_s / 86400,
                 rule->door.minimum ? "least" : "most", line);
    else
        snprintf(out, size, "%lldh, at %s%s", (long long)rule->door.keep_s / 3600,
                 rule->door.minimum ? "least" : "most", line);
    return out;
}

static void tell_keep(struct diff *d, const struct place *place, struct types a, struct types b,
                      const struct rule *old, const struct rule *next)
{
    char types[256] = "", from[96], to[96];
    size_t used = 0;
    struct types both = {{a.bits[0] & b.bits[0], a.bits[1] & b.bits[1]}};
    for (unsigned c = 0; c < d->count && used < sizeof(types); c++) {
        /* one of the types that both ask for, or one of each */
        struct types set =
            is_empty(both) ? (struct types){{a.bits[0] | b.bits[0], a.bits[1] | b.bits[1]}} : both;
        if (set.bits[c / 64] >> c % 64 & 1) {
            int n = snprintf(types + used, sizeof(types) - used, "%s%s", used ? ", " : " with ",
                             d->words[c]);
            used += n > 0 ? (size_t)n : 0;
        }
    }
    const struct retention_facts *f = &place->facts;
    tell(d, direction(keeps_longer(&old->door, &next->door)), keep_word(old, from, sizeof(from)),
         keep_word(next, to, sizeof(to)), "%s: %s %s%s%s%s",
         place->part == RETENTION_ORIGINAL ? "originals" : "history", f->out ? "sent" : "received",
         f->media ? "media" : "text", types, f->channel ? " on " : "",
         f->channel ? f->channel : "");
}

/* Every pair of rules that can be the first match of one same message. */
static void diff_place(struct diff *d, const struct place *place)
{
    struct types taken_old = {{0, 0}}, wants, other;
    bool last = false, end = false;
    for (size_t i = 0; !last; i++) {
        const struct rule *old = rule_at(d, 0, place, i, &wants, &last);
        if (!old)
            continue;
        struct types taken_next = {{0, 0}};
        end = false;
        for (size_t k = 0; !end; k++) {
            const struct rule *next = rule_at(d, 1, place, k, &other, &end);
            if (!next)
                continue;
            struct types taken = {
                {taken_old.bits[0] | taken_next.bits[0], taken_old.bits[1] | taken_next.bits[1]}};
            struct types a = without(wants, taken), b = without(other, taken);
            bool possible = (is_empty(wants) || !is_empty(a)) && (is_empty(other) || !is_empty(b));
            bool same = old->door.never == next->door.never &&
                        (old->door.never || (old->door.keep_s == next->door.keep_s &&
                                             old->door.minimum == next->door.minimum));
            if (possible && !same)
                tell_keep(d, place, a, b, old, next);
            taken_next.bits[0] |= other.bits[0];
            taken_next.bits[1] |= other.bits[1];
        }
        taken_old.bits[0] |= wants.bits[0];
        taken_old.bits[1] |= wants.bits[1];
    }
}

static void diff_places(struct diff *d, const char *channel)
{
    for (int i = 0; i < 8; i++) {
        const struct place place = {
            i & 4 ? RETENTION_HISTORY : RETENTION_ORIGINAL,
            {.out = (i & 2) != 0, .media = (i & 1) != 0, .channel = channel}};
        diff_place(d, &place);
    }
}

static void diff_retention(struct diff *d)
{
    const char *seen[2 * 2 * POLICY_RULES_MAX];
    size_t n = 0;
    diff_places(d, NULL); /* a channel that no rule names */
    for (int s = 0; s < 2; s++)
        for (int part = 0; part < 2; part++)
            for (size_t i = 0; i < d->side[s]->rules[part].n; i++) {
                const struct rule *rule = &d->side[s]->rules[part].at[i];
                for (size_t c = 0; c < rule->when.channel_count; c++) {
                    bool again = false;
                    for (size_t k = 0; k < n && !again; k++)
                        again = strcmp(seen[k], rule->when.channels[c]) == 0;
                    if (again)
                        continue;
                    if (n == sizeof(seen) / sizeof(seen[0])) {
                        tell(d, POLICY_LOOSER, "compared", "too many channels to compare", "rules");
                        return;
                    }
                    seen[n++] = rule->when.channels[c];
                    diff_places(d, rule->when.channels[c]);
                }
            }
}

/* ---- what goes out ---- */

static void diff_outbound(struct diff *d)
{
    static const char *const words[] = {
        [OUTBOUND_MASK] = "mask", [OUTBOUND_REFUSE] = "refuse", [OUTBOUND_PASS] = "pass"};
    static const int order[] = {[OUTBOUND_PASS] = 0, [OUTBOUND_MASK] = 1, [OUTBOUND_REFUSE] = 2};
    for (unsigned c = 0; c < d->count; c++) {
        unsigned x = d->number[0][c], y = d->number[1][c];
        if (x == DETECT_TYPES_MAX || y == DETECT_TYPES_MAX)
            continue;
        enum outbound_action old = policy_outbound(d->side[0], x),
                             next = policy_outbound(d->side[1], y);
        if (old != next)
            tell(d, direction(order[next] < order[old]), words[old], words[next], "outbound: %s",
                 d->words[c]);
    }
}

static bool has(const char *const *list, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], word) == 0)
            return true;
    return false;
}

struct allowed { /* a list of what may go out; not said: all */
    bool said;
    const char *const *at;
    size_t n;
};

static void diff_allowed(struct diff *d, const char *what, struct allowed old, struct allowed next)
{
    if (old.said != next.said) {
        tell(d, direction(old.said), old.said ? "listed ones" : "any",
             next.said ? "listed ones" : "any", "outbound: %s", what);
        return;
    }
    for (size_t i = 0; i < next.n; i++)
        if (!has(old.at, old.n, next.at[i]))
            tell(d, POLICY_LOOSER, "refused", "allowed", "outbound: %s: %.300s", what, next.at[i]);
    for (size_t i = 0; i < old.n; i++)
        if (!has(next.at, next.n, old.at[i]))
            tell(d, POLICY_STRICTER, "allowed", "refused", "outbound: %s: %.300s", what, old.at[i]);
}

static void diff_templates(struct diff *d)
{
    const struct policy *a = d->side[0], *b = d->side[1];
    const struct policy_template *t;
    if (a->templates_said != b->templates_said)
        tell(d, direction(a->templates_said), a->templates_said ? "listed ones" : "any",
             b->templates_said ? "listed ones" : "any", "outbound: templates");
    for (size_t i = 0; a->templates_said && (t = policy_template_at(b, i)) != NULL; i++)
        if (!policy_template(a, span_str(t->name)))
            tell(d, POLICY_LOOSER, "refused", "allowed", "outbound: templates: %.300s", t->name);
    for (size_t i = 0; b->templates_said && (t = policy_template_at(a, i)) != NULL; i++)
        if (!policy_template(b, span_str(t->name)))
            tell(d, POLICY_STRICTER, "allowed", "refused", "outbound: templates: %.300s", t->name);
}

static void diff_lists(struct diff *d)
{
    const struct policy *a = d->side[0], *b = d->side[1];
    diff_allowed(d, "links", (struct allowed){a->links_said, a->links, a->link_count},
                 (struct allowed){b->links_said, b->links, b->link_count});
    diff_templates(d);
}

static void diff_rest(struct diff *d)
{
    const struct policy *old = d->side[0], *next = d->side[1];
    int64_t a = old->log_keep_s, b = next->log_keep_s; /* 0: for ever */
    if (a != b)
        tell(d, direction(b != 0 && (a == 0 || b < a)), a ? "a time" : "for ever",
             b == 0   ? "for ever"
             : a && b ? (b < a ? "shorter" : "longer")
                      : "a time",
             "log: kept");
    if (old->on_revoke != next->on_revoke)
        tell(d, direction(next->on_revoke == ON_REVOKE_HIDE),
             old->on_revoke == ON_REVOKE_HIDE ? "hide" : "erase",
             next->on_revoke == ON_REVOKE_HIDE ? "hide" : "erase", "on_revoke");
    if (strcmp(old->activity, next->activity) != 0)
        tell(d, POLICY_OTHER, old->activity, next->activity, "activity");
    if (strcmp(old->controller, next->controller) != 0)
        tell(d, POLICY_OTHER, old->controller, next->controller, "controller");
}

int policy_diff(const struct policy *old, const struct policy *next,
                void (*each)(void *ctx, const struct policy_difference *difference), void *ctx)
{
    struct diff d = {.side = {old, next}, .each = each, .ctx = ctx};
    number_types(&d);
    diff_detect(&d);
    diff_routes(&d);
    diff_retention(&d);
    diff_outbound(&d);
    diff_lists(&d);
    diff_rest(&d);
    return d.looser;
}

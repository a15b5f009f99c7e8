/*
 * What one policy does that another does not, decision by decision and not line by line: the files
 * may look alike and differ, or look different and do the same.
 */
#include "policy_diff.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FNV_START 14695981039346656037u
#define FNV_PRIME 1099511628211u

static uint64_t mix(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * FNV_PRIME;
    return (hash ^ 0xff) * FNV_PRIME;
}

/* The same difference is met at many places; it is told once. Words leave out what conditions tell
 * apart: what is looser is not taken for what is stricter and has the same words. */
static bool told(struct diff *d, const struct policy_difference *x)
{
    uint64_t hash = mix(mix(mix(FNV_START ^ (uint64_t)x->change, x->what), x->from), x->to);
    for (size_t i = 0; i < d->told_count; i++)
        if (d->told[i] == hash)
            return true;
    if (d->told_count < DIFF_TOLD_MAX)
        d->told[d->told_count++] = hash;
    return false;
}

void diff_tell(struct diff *d, enum policy_change change, const char *from, const char *to,
               const char *format, ...)
{
    char what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    const struct policy_difference difference = {change, what, from, to};
    if (told(d, &difference))
        return;
    d->looser += change == POLICY_LOOSER;
    d->each(d->ctx, &difference);
}

enum policy_change diff_direction(bool looser)
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
            diff_tell(d, POLICY_LOOSER, "looked for", "not looked for", "detect: %s", d->words[c]);
        else if (old == DETECT_TYPES_MAX)
            diff_tell(d, POLICY_LOOSER, "not looked for",
                      "looked for; what it finds can take the place of another type", "detect: %s",
                      d->words[c]);
        else if (!same_own(&d->side[0]->own[old - DETECT_OWN], &d->side[1]->own[next - DETECT_OWN]))
            diff_tell(d, POLICY_LOOSER, "recogniser",
                      "recogniser changed: what it finds is not compared", "detect: %s",
                      d->words[c]);
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
            diff_tell(d, diff_direction(next->from[t] > old->from[t]),
                      from_word(old->from[t], a, sizeof(a)), from_word(next->from[t], b, sizeof(b)),
                      "detect: %s", d->words[t]);
    if (old->strict != next->strict)
        diff_tell(d, diff_direction(old->strict), old->strict ? "strict" : "not strict",
                  next->strict ? "strict" : "not strict", "detect: bsn");
    size_t gone = 0, added = 0;
    for (size_t i = 0; i < old->special_count; i++)
        gone += !has_word(next, old->special_words[i]);
    for (size_t i = 0; i < next->special_count; i++)
        added += !has_word(old, next->special_words[i]);
    snprintf(a, sizeof(a), "%zu words", gone);
    snprintf(b, sizeof(b), "%zu words", added);
    if (gone)
        diff_tell(d, POLICY_LOOSER, a, "no longer", "detect: special");
    if (added)
        diff_tell(d, POLICY_STRICTER, "not yet", b, "detect: special");
    diff_own(d);
}

/* ---- how long it is kept ---- */

static void add_type(struct types *set, unsigned c)
{
    set->bits[c / 64] |= UINT64_C(1) << c % 64;
}

struct types diff_common(const struct diff *d, int side, uint64_t found)
{
    struct types set = {{0, 0}};
    for (unsigned c = 0; c < d->count; c++)
        if (d->number[side][c] < DETECT_TYPES_MAX && found >> d->number[side][c] & 1)
            add_type(&set, c);
    return set;
}

uint64_t diff_own_types(const struct diff *d, int side, struct types types)
{
    uint64_t found = 0;
    for (unsigned c = 0; c < d->count; c++)
        if (d->number[side][c] < DETECT_TYPES_MAX && types.bits[c / 64] >> c % 64 & 1)
            found |= UINT64_C(1) << d->number[side][c];
    return found;
}

static void add_types(struct types *set, struct types more)
{
    set->bits[0] |= more.bits[0];
    set->bits[1] |= more.bits[1];
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

/* The rule with this index at this place, NULL when it does not apply; past the last: never. *last
 * is set when it takes everything that is left. */
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
    *wants = diff_common(d, side, rule->when.found);
    *last = !rule->when.found && !rule->when.not_found;
    return rule;
}

/* The rule that decides of a message with these types. */
static const struct rule *decides(const struct diff *d, int side, const struct place *place,
                                  struct types found)
{
    const struct rules *rules = &d->side[side]->rules[place->part];
    struct retention_facts facts = place->facts;
    facts.found = diff_own_types(d, side, found);
    for (size_t i = 0; i < rules->n; i++)
        if (policy_when_holds(&rules->at[i].when, &facts))
            return &rules->at[i];
    return &nothing;
}

/* The types of a set in a list, or one that stands for none. */
static size_t listed(const struct diff *d, struct types set, bool none, unsigned out[])
{
    size_t n = 0;
    for (unsigned c = 0; c < d->count; c++)
        if (set.bits[c / 64] >> c % 64 & 1)
            out[n++] = c;
    if (none || !n)
        out[n++] = d->count;
    return n;
}

static bool is_mentioned(const struct diff *d, unsigned c)
{
    return d->mentioned.bits[c / 64] >> c % 64 & 1;
}

/* More than two types that keep rules away can be needed at once: every set of those that rules
 * mention; of too many to try it is said that there is such a message. */
static bool combined(const struct diff *d, const struct place *place, const struct rule *old,
                     const struct rule *next)
{
    unsigned in[COMMON_MAX];
    size_t n = 0;
    for (unsigned c = 0; c < d->count; c++)
        if (is_mentioned(d, c))
            in[n++] = c;
    for (size_t s = 0; n <= DIFF_COMBINED_MAX && s < (size_t)1 << n; s++) {
        struct types set = {{0, 0}};
        for (size_t i = 0; i < n; i++)
            if (s >> i & 1)
                add_type(&set, in[i]);
        if (decides(d, 0, place, set) == old && decides(d, 1, place, set) == next)
            return true;
    }
    return n > DIFF_COMBINED_MAX;
}

/* Where rules have `not_found`, sets of types are not enough: is there a message that the one and
 * the other decide of? One type that each asks for, and one or two that keep earlier rules away. */
static bool witnessed(const struct diff *d, const struct place *place, struct types a,
                      struct types b, const struct rule *old, const struct rule *next)
{
    unsigned x[COMMON_MAX + 1], y[COMMON_MAX + 1], z[COMMON_MAX + 1];
    size_t xs = listed(d, a, false, x), ys = listed(d, b, false, y);
    size_t zs = listed(d, d->mentioned, true, z);
    for (size_t n = 0; n < xs * ys * zs * zs; n++) {
        const unsigned in[] = {x[n % xs], y[n / xs % ys], z[n / xs / ys % zs], z[n / xs / ys / zs]};
        struct types set = {{0, 0}};
        for (int i = 0; i < 4; i++)
            if (in[i] < d->count)
                add_type(&set, in[i]);
        if (decides(d, 0, place, set) == old && decides(d, 1, place, set) == next)
            return true;
    }
    return d->not_found_types > 2 && combined(d, place, old, next);
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
    diff_tell(d, diff_direction(keeps_longer(&old->door, &next->door)),
              keep_word(old, from, sizeof(from)), keep_word(next, to, sizeof(to)),
              "%s: %s %s%s%s%s", place->part == RETENTION_ORIGINAL ? "originals" : "history",
              f->out ? "sent" : "received", f->media ? "media" : "text", types,
              f->channel ? " on " : "", f->channel ? f->channel : "");
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
            if (possible && !same && (!d->not_found || witnessed(d, place, a, b, old, next)))
                tell_keep(d, place, a, b, old, next);
            if (!next->when.not_found)
                add_types(&taken_next, other);
        }
        if (!old->when.not_found)
            add_types(&taken_old, wants);
    }
}

static void keep_at(struct diff *d, const struct retention_facts *facts, int part)
{
    const struct place place = {(enum retention_part)part, *facts};
    diff_place(d, &place);
}

static void diff_retention(struct diff *d)
{
    diff_each_place(d, keep_at, RETENTION_ORIGINAL);
    diff_each_place(d, keep_at, RETENTION_HISTORY);
    if (d->side[0]->selection_required != d->side[1]->selection_required)
        diff_tell(d, diff_direction(d->side[0]->selection_required),
                  d->side[0]->selection_required ? "required" : "not required",
                  d->side[1]->selection_required ? "required" : "not required", "selection");
}

/* ---- where decisions can differ ---- */

void diff_each_place(struct diff *d,
                     void (*each)(struct diff *d, const struct retention_facts *facts, int part),
                     int part)
{
    for (size_t c = 0; c < d->channel_count; c++)
        for (size_t t = 0; t < d->time_count; t++)
            for (int i = 0; i < (d->consent ? 8 : 4); i++) {
                const struct retention_facts facts = {.out = (i & 2) != 0,
                                                      .media = (i & 1) != 0,
                                                      .consent = (i & 4) != 0,
                                                      .channel = d->channels[c],
                                                      .at_ms = d->times[t]};
                each(d, &facts, part);
            }
}

static void add_channel(struct diff *d, const char *name)
{
    for (size_t i = 1; i < d->channel_count; i++)
        if (strcmp(d->channels[i], name) == 0)
            return;
    if (d->channel_count == DIFF_CHANNELS_MAX)
        d->too_many = true;
    else
        d->channels[d->channel_count++] = name;
}

/* 2026-11-23, a Monday, in days since 1970: any week shows what hours and days do. */
#define A_MONDAY 20780

/* Just at and just before opening and closing, on each day of the week and on each holiday. */
static void each_moment(const struct hours *hours, void (*each)(void *ctx, int64_t at_ms),
                        void *ctx)
{
    const uint16_t minutes[] = {hours->open, hours->close, 0, 12 * 60};
    for (size_t i = 0; i < 7 + hours->holiday_count; i++) {
        int32_t day = i < 7 ? A_MONDAY + (int32_t)i : hours->holidays[i - 7];
        for (int m = 0; m < 4; m++) {
            int64_t at = policy_day_start_ms(day) + minutes[m] * INT64_C(60000);
            each(ctx, at);
            each(ctx, at - 1);
        }
    }
}

static void add_time(void *ctx, int64_t at_ms)
{
    struct diff *d = ctx;
    for (size_t i = 0; i < d->time_count; i++)
        if (d->times[i] == at_ms)
            return;
    if (d->time_count == DIFF_TIMES_MAX)
        d->too_many = true;
    else
        d->times[d->time_count++] = at_ms;
}

static void add_when(struct diff *d, int side, const struct when *when)
{
    for (size_t i = 0; i < when->channel_count; i++)
        add_channel(d, when->channels[i]);
    if (when->hours.said)
        each_moment(&when->hours, add_time, d);
    d->consent |= when->consent != RULE_CONSENT_ANY;
    add_types(&d->mentioned, diff_common(d, side, when->found | when->not_found));
}

/* A condition of a profile's rule, or of one for what goes out. */
static void add_case(struct diff *d, int side, const struct when *when)
{
    add_when(d, side, when);
    add_types(&d->cases, diff_common(d, side, when->found | when->not_found));
    d->cases_not_found |= when->not_found != 0;
}

static void add_set(struct diff *d, struct types set)
{
    if (d->set_count < DIFF_FOUND_MAX)
        d->sets[d->set_count++] = set;
    else
        d->too_many = true;
}

/* Sets of types that these conditions can tell apart. One of the old policy and one of the new may
 * each ask for a type: pairs are enough, unless types can keep rules away too; then every set. */
static void find_sets(struct diff *d)
{
    unsigned in[COMMON_MAX];
    size_t n = 0;
    for (unsigned c = 0; c < d->count; c++)
        if (d->cases.bits[c / 64] >> c % 64 & 1)
            in[n++] = c;
    bool every = d->cases_not_found && n <= DIFF_EVERY_MAX;
    for (size_t s = 0; every && s < (size_t)1 << n; s++) {
        struct types set = {{0, 0}};
        for (size_t i = 0; i < n; i++)
            if (s >> i & 1)
                add_type(&set, in[i]);
        add_set(d, set);
    }
    if (every)
        return;
    d->too_many |= d->cases_not_found;
    add_set(d, (struct types){{0, 0}});
    for (size_t i = 0; i < n; i++)
        for (size_t k = i; k < n; k++) {
            struct types set = {{0, 0}};
            add_type(&set, in[i]);
            add_type(&set, in[k]);
            add_set(d, set);
        }
}

static void find_places(struct diff *d)
{
    struct types not_found = {{0, 0}};
    d->channel_count = d->time_count = 1;
    for (int s = 0; s < 2; s++) {
        const struct policy *p = d->side[s];
        for (int part = 0; part < 2; part++)
            for (size_t i = 0; i < p->rules[part].n; i++) {
                add_when(d, s, &p->rules[part].at[i].when);
                d->not_found |= p->rules[part].at[i].when.not_found != 0;
                add_types(&not_found, diff_common(d, s, p->rules[part].at[i].when.not_found));
            }
        for (size_t i = 0; i < p->profile_count; i++)
            for (size_t k = 0; k < p->profiles[i].case_count; k++)
                add_case(d, s, &p->profiles[i].cases[k].when);
        for (size_t i = 0; i < p->outbound_case_count; i++)
            add_case(d, s, &p->outbound_cases[i].when);
    }
    for (unsigned c = 0; c < d->count; c++)
        d->not_found_types += (unsigned)(not_found.bits[c / 64] >> c % 64 & 1);
    find_sets(d);
    if (d->too_many)
        diff_tell(d, POLICY_LOOSER, "compared", "too many channels, hours or types to compare",
                  "rules");
}

struct gain {
    const struct hours *a, *b;
    bool found;
};

static void gain_at(void *ctx, int64_t at_ms)
{
    struct gain *g = ctx;
    g->found |= policy_hours_hold(g->b, at_ms) && !policy_hours_hold(g->a, at_ms);
}

bool diff_hours_gain(const struct hours *a, const struct hours *b)
{
    struct gain g = {a, b, false};
    each_moment(a, gain_at, &g);
    each_moment(b, gain_at, &g);
    return g.found;
}

/* ---- the rest ---- */

static void diff_rest(struct diff *d)
{
    const struct policy *old = d->side[0], *next = d->side[1];
    int64_t a = old->log_keep_s, b = next->log_keep_s; /* 0: for ever */
    if (a != b)
        diff_tell(d, diff_direction(b != 0 && (a == 0 || b < a)), a ? "a time" : "for ever",
                  b == 0   ? "for ever"
                  : a && b ? (b < a ? "shorter" : "longer")
                           : "a time",
                  "log: kept");
    if (old->on_revoke != next->on_revoke)
        diff_tell(d, diff_direction(next->on_revoke == ON_REVOKE_HIDE),
                  old->on_revoke == ON_REVOKE_HIDE ? "hide" : "erase",
                  next->on_revoke == ON_REVOKE_HIDE ? "hide" : "erase", "on_revoke");
    if (strcmp(old->activity, next->activity) != 0)
        diff_tell(d, POLICY_OTHER, old->activity, next->activity, "activity");
    if (strcmp(old->purpose, next->purpose) != 0)
        diff_tell(d, POLICY_OTHER, old->purpose, next->purpose, "purpose");
    if (strcmp(old->controller, next->controller) != 0)
        diff_tell(d, POLICY_OTHER, old->controller, next->controller, "controller");
    if (strcmp(old->dpo, next->dpo) != 0)
        diff_tell(d, POLICY_OTHER, old->dpo, next->dpo, "controller: dpo");
}

static void diff_observe(struct diff *d)
{
    const struct policy *a = d->side[0], *b = d->side[1];
    if (!a->until_ms != !b->until_ms)
        diff_tell(d, diff_direction(b->until_ms != 0), a->until_ms ? "observes" : "masks",
                  b->until_ms ? "observes: masks nothing but secrets" : "masks", "until");
    else if (a->until_ms != b->until_ms)
        diff_tell(d, diff_direction(b->until_ms > a->until_ms), "a day",
                  b->until_ms > a->until_ms ? "later" : "earlier", "until");
    if (a->until_ms && b->until_ms && strcmp(a->then, b->then) != 0)
        diff_tell(d, POLICY_LOOSER, a->then, b->then, "then");
}

int policy_diff(const struct policy *old, const struct policy *next,
                void (*each)(void *ctx, const struct policy_difference *difference), void *ctx)
{
    struct diff *d = calloc(1, sizeof(*d)); /* large for a thread's stack */
    if (!d) {
        each(ctx, &(struct policy_difference){POLICY_LOOSER, "memory", "compared",
                                              "not enough to compare"});
        return 1;
    }
    d->side[0] = old;
    d->side[1] = next;
    d->each = each;
    d->ctx = ctx;
    number_types(d);
    find_places(d);
    diff_detect(d);
    diff_routes(d);
    diff_roles(d);
    diff_retention(d);
    diff_outbound(d);
    diff_contact(d);
    diff_notices(d);
    diff_observe(d);
    diff_rest(d);
    int looser = d->looser;
    free(d);
    return looser;
}

/* policy_diff: what goes out to customers, and what they are told. */
#include "policy_diff.h"

#include <stdio.h>

static const char *const sending[] = {
    [OUTBOUND_REFUSE] = "refuse", [OUTBOUND_MASK] = "mask", [OUTBOUND_PASS] = "pass"};

/* One role's sending (NULL: whoever has none) of one type, with these facts on each side. */
static void diff_sending(struct diff *d, const char *role, unsigned c,
                         const struct retention_facts *a, const struct retention_facts *b)
{
    static const int order[] = {[OUTBOUND_REFUSE] = 0, [OUTBOUND_MASK] = 1, [OUTBOUND_PASS] = 2};
    unsigned x = d->number[0][c], y = d->number[1][c];
    if (x == DETECT_TYPES_MAX || y == DETECT_TYPES_MAX)
        return;
    enum outbound_action old = policy_outbound_for(d->side[0], role, a, x);
    enum outbound_action next = policy_outbound_for(d->side[1], role, b, y);
    if (old != next)
        diff_tell(d, diff_direction(order[next] > order[old]), sending[old], sending[next],
                  "outbound%s%s: %s%s", role ? " by " : "", role ? role : "", d->words[c],
                  d->side[0]->outbound_case_count || d->side[1]->outbound_case_count
                      ? ", in some messages"
                      : "");
}

static void diff_sender(struct diff *d, const char *role)
{
    static const struct retention_facts plain = {.out = true};
    bool cases = d->side[0]->outbound_case_count || d->side[1]->outbound_case_count;
    for (unsigned c = 0; c < d->count; c++) {
        diff_sending(d, role, c, &plain, &plain);
        for (size_t i = 0; cases && i < d->channel_count; i++)
            for (size_t t = 0; t < d->time_count; t++)
                for (unsigned k = 0; k < 4; k++)
                    for (size_t m = 0; m < d->set_count; m++) {
                        struct retention_facts a = {.out = true,
                                                    .media = (k & 1) != 0,
                                                    .consent = (k & 2) != 0,
                                                    .channel = d->channels[i],
                                                    .at_ms = d->times[t]};
                        struct retention_facts b = a;
                        struct types set = d->sets[m];
                        set.bits[c / 64] |= UINT64_C(1) << c % 64;
                        a.found = diff_own_types(d, 0, set);
                        b.found = diff_own_types(d, 1, set);
                        diff_sending(d, role, c, &a, &b);
                    }
    }
}

static void diff_attachments(struct diff *d, const char *role)
{
    static const char *const kinds[] = {"image",   "document", "audio",   "video",
                                        "sticker", "location", "contacts"};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        bool was = policy_attachment_allowed(d->side[0], role, kinds[i]);
        bool is = policy_attachment_allowed(d->side[1], role, kinds[i]);
        if (was != is)
            diff_tell(d, diff_direction(is), was ? "allowed" : "refused",
                      is ? "allowed" : "refused", "outbound%s%s: attachments: %s",
                      role ? " by " : "", role ? role : "", kinds[i]);
    }
}

void diff_outbound(struct diff *d)
{
    diff_sender(d, NULL);
    diff_attachments(d, NULL);
    for (int s = 0; s < 2; s++)
        for (size_t i = 0; i < d->side[s]->role_count; i++) {
            diff_sender(d, d->side[s]->roles[i].door.name);
            diff_attachments(d, d->side[s]->roles[i].door.name);
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
        diff_tell(d, diff_direction(old.said), old.said ? "listed ones" : "any",
                  next.said ? "listed ones" : "any", "outbound: %s", what);
        return;
    }
    for (size_t i = 0; i < next.n; i++)
        if (!has(old.at, old.n, next.at[i]))
            diff_tell(d, POLICY_LOOSER, "refused", "allowed", "outbound: %s: %.300s", what,
                      next.at[i]);
    for (size_t i = 0; i < old.n; i++)
        if (!has(next.at, next.n, old.at[i]))
            diff_tell(d, POLICY_STRICTER, "allowed", "refused", "outbound: %s: %.300s", what,
                      old.at[i]);
}

/* ---- templates, consent, pace, opting out ---- */

/* Grounds: fewer is stricter, none needed is loosest. */
static void diff_grounds(struct diff *d, const char *what, const char *name, unsigned old,
                         unsigned next)
{
    char from[64] = "nothing", to[64] = "nothing";
    if (old == next)
        return;
    for (int s = 0; s < 2; s++) {
        unsigned set = s ? next : old;
        char *out = s ? to : from;
        size_t used = 0;
        for (unsigned i = 0; i < POLICY_BASES; i++)
            if (set >> i & 1) {
                int n = snprintf(out + used, sizeof(from) - used, "%s%s", used ? " or " : "",
                                 policy_basis_word((enum policy_basis)(1u << i)));
                used += n > 0 ? (size_t)n : 0;
            }
    }
    diff_tell(d, diff_direction(!next || (old && next & ~old)), from, to,
              "outbound: %s%.300s needs", what, name);
}

static void diff_template(struct diff *d, const struct policy_template *old,
                          const struct policy_template *next)
{
    const char *x = policy_category_word(old->category), *y = policy_category_word(next->category);
    diff_grounds(d, "template ", old->name, policy_consent_needed(d->side[0], old->category),
                 policy_consent_needed(d->side[1], next->category));
    if (old->category != next->category)
        diff_tell(d, POLICY_OTHER, x ? x : "none", y ? y : "none",
                  "outbound: template %.300s: category", old->name);
    if (strcmp(old->purpose, next->purpose) != 0)
        diff_tell(d, POLICY_OTHER, old->purpose, next->purpose,
                  "outbound: template %.300s: purpose", old->name);
}

static void diff_templates(struct diff *d)
{
    const struct policy *a = d->side[0], *b = d->side[1];
    const struct policy_template *t, *other;
    if (a->templates_said != b->templates_said)
        diff_tell(d, diff_direction(a->templates_said), a->templates_said ? "listed ones" : "any",
                  b->templates_said ? "listed ones" : "any", "outbound: templates");
    for (size_t i = 0; a->templates_said && (t = policy_template_at(b, i)) != NULL; i++)
        if (!policy_template(a, span_str(t->name)))
            diff_tell(d, POLICY_LOOSER, "refused", "allowed", "outbound: templates: %.300s",
                      t->name);
    /* where none are listed, each needs what the strictest category does */
    for (size_t i = 0; !a->templates_said && (t = policy_template_at(b, i)) != NULL; i++)
        diff_grounds(d, "template ", t->name, policy_consent_needed(a, POLICY_CATEGORY_UNKNOWN),
                     policy_consent_needed(b, t->category));
    for (size_t i = 0; !b->templates_said && (t = policy_template_at(a, i)) != NULL; i++)
        diff_grounds(d, "template ", t->name, policy_consent_needed(a, t->category),
                     policy_consent_needed(b, POLICY_CATEGORY_UNKNOWN));
    for (size_t i = 0; b->templates_said && (t = policy_template_at(a, i)) != NULL; i++) {
        other = policy_template(b, span_str(t->name));
        if (other)
            diff_template(d, t, other);
        else
            diff_tell(d, POLICY_STRICTER, "allowed", "refused", "outbound: templates: %.300s",
                      t->name);
    }
    diff_allowed(d, "purposes", (struct allowed){a->purposes, a->purposes, a->purpose_count},
                 (struct allowed){b->purposes, b->purposes, b->purpose_count});
}

static void diff_pace(struct diff *d)
{
    struct policy_pace a = d->side[0]->pace, b = d->side[1]->pace;
    char from[64], to[64];
    if (a.messages == b.messages && a.per_s == b.per_s)
        return;
    snprintf(from, sizeof(from), a.messages ? "%u in %llds" : "no bound", a.messages,
             (long long)a.per_s);
    snprintf(to, sizeof(to), b.messages ? "%u in %llds" : "no bound", b.messages,
             (long long)b.per_s);
    bool looser = a.messages && (!b.messages || b.messages > a.messages || b.per_s < a.per_s);
    diff_tell(d, diff_direction(looser), from, to, "outbound: pace");
}

void diff_contact(struct diff *d)
{
    const struct policy *a = d->side[0], *b = d->side[1];
    diff_allowed(d, "links", (struct allowed){a->links_said, a->links, a->link_count},
                 (struct allowed){b->links_said, b->links, b->link_count});
    diff_templates(d);
    for (unsigned c = 0; c < POLICY_CATEGORIES; c++) {
        const char *word = policy_category_word((enum policy_category)c);
        diff_grounds(d, "", word ? word : "an unknown category",
                     policy_consent_needed(a, (enum policy_category)c),
                     policy_consent_needed(b, (enum policy_category)c));
    }
    diff_pace(d);
    if (a->window != b->window)
        diff_tell(d, diff_direction(a->window), a->window ? "held to" : "not held to",
                  b->window ? "held to" : "not held to", "outbound: the 24-hour window");
    for (size_t i = 0; i < a->stop_count; i++)
        if (!has(b->stop_words, b->stop_count, a->stop_words[i]))
            diff_tell(d, POLICY_LOOSER, "opts out", "does not", "outbound: stop: %s",
                      a->stop_words[i]);
    for (size_t i = 0; i < b->stop_count; i++)
        if (!has(a->stop_words, a->stop_count, b->stop_words[i]))
            diff_tell(d, POLICY_STRICTER, "does not", "opts out", "outbound: stop: %s",
                      b->stop_words[i]);
}

/* ---- notices ----
 * What customers are told in the organisation's name, with the address they are sent to: who could
 * change that alone could send every customer anywhere. Another text, another address, a new notice
 * and one that goes oftener need the second officer; one that goes less often does not.
 */

static void diff_text(struct diff *d, const char *name, const char *what, const char *old,
                      const char *next)
{
    if (strcmp(old, next) != 0)
        diff_tell(d, POLICY_LOOSER, old[0] ? old : "nothing", next[0] ? next : "nothing",
                  "notices: %s: %s, told to customers", name, what);
}

static void diff_period(struct diff *d, const char *name, const char *what, int64_t old,
                        int64_t next)
{
    char from[32], to[32];
    if (old == next)
        return;
    snprintf(from, sizeof(from), "%llds", (long long)old);
    snprintf(to, sizeof(to), "%llds", (long long)next);
    diff_tell(d, diff_direction(next < old), from, to, "notices: %s: %s", name, what);
}

void diff_notices(struct diff *d)
{
    const struct policy *a = d->side[0], *b = d->side[1];
    const struct policy_notice *x, *y;
    for (size_t i = 0; (x = policy_notice_at(a, i)) != NULL; i++) {
        y = policy_notice(b, x->name);
        if (!y) {
            diff_tell(d, POLICY_LOOSER, "told", "not told", "notices: %s", x->name);
            diff_text(d, x->name, "nl", x->nl, "");
            diff_text(d, x->name, "en", x->en, "");
            diff_text(d, x->name, "safe", x->safe, "");
            continue;
        }
        diff_text(d, x->name, "nl", x->nl, y->nl);
        diff_text(d, x->name, "en", x->en, y->en);
        diff_text(d, x->name, "safe", x->safe, y->safe);
        diff_period(d, x->name, "every", x->every_s, y->every_s);
        if (x->on == POLICY_NOTICE_FIRST)
            diff_period(d, x->name, "after", x->after_s, y->after_s);
    }
    for (size_t i = 0; (y = policy_notice_at(b, i)) != NULL; i++) {
        if (policy_notice(a, y->name))
            continue;
        diff_tell(d, POLICY_LOOSER, "not told", "told", "notices: %s", y->name);
        diff_text(d, y->name, "nl", "", y->nl);
        diff_text(d, y->name, "en", "", y->en);
        diff_text(d, y->name, "safe", "", y->safe);
    }
    if (!policy_hours_same(&a->hours, &b->hours))
        diff_tell(d, POLICY_OTHER, "hours", "other hours", "hours");
}

/* One message under one policy: findings, what readers see, what goes out. */
#include "policy_case.h"

#include "sluis/contact.h"

#include <stdio.h>
#include <stdlib.h>

int case_judge(const struct policy *policy, struct detect_scratch *scratch, struct policy_case *c)
{
    const struct detect_input input = {.text = c->text,
                                       .from_customer = c->from_customer,
                                       .earlier = c->earlier,
                                       .earlier_count = c->earlier_count};
    int n = detect_run(policy_detector(policy), scratch, &input, c->found, DETECT_FINDINGS_MAX);
    c->count = n < 0 ? 0 : (size_t)n;
    c->types = 0;
    for (size_t i = 0; i < c->count; i++)
        c->types |= c->found[i].also | UINT64_C(1) << c->found[i].type;
    return n < 0 ? n : 0;
}

struct retention_facts case_facts(const struct policy_case *c)
{
    return (struct retention_facts){.found = c->types,
                                    .media = c->has_media,
                                    .out = !c->from_customer,
                                    .channel = c->channel,
                                    .at_ms = c->at_ms,
                                    .consent = c->consent};
}

const struct policy_notice *case_notice(const struct policy *policy, const struct policy_case *c,
                                        size_t index, bool *sent)
{
    const struct policy_notice *n = policy_notice_at(policy, index);
    *sent = false;
    if (!n || !c->from_customer)
        return n;
    size_t words_n = 0;
    const char *const *words = policy_stop_words(policy, &words_n);
    if (contact_is_stop_word(words, words_n, c->text)) { /* answered by that, and by nothing else */
        *sent = n->on == POLICY_NOTICE_STOP;
        return n;
    }
    switch (n->on) {
    case POLICY_NOTICE_FOUND:
        *sent =
            c->types >> n->type & 1 || (c->picture != POLICY_PICTURES && c->picture == n->picture);
        break;
    case POLICY_NOTICE_PICTURE:
        *sent = c->picture == n->picture;
        break;
    case POLICY_NOTICE_FIRST:
        *sent = c->first;
        break;
    case POLICY_NOTICE_STOP:
        break;
    case POLICY_NOTICE_CLOSED:
        *sent = c->at_ms && !policy_open_at(policy, c->at_ms);
        break;
    }
    return n;
}

int case_masked(const struct policy *policy, const struct policy_case *c,
                const struct profile *profile, struct buffer *out)
{
    const struct retention_facts facts = case_facts(c);
    if (policy_observe(policy, c->at_ms)) { /* as mask_reader.observing does */
        size_t n = 0;
        struct finding *secrets = calloc(c->count + 1, sizeof(*secrets));
        if (!secrets)
            return SLUIS_ENOMEM;
        for (size_t i = 0; i < c->count; i++)
            if ((c->found[i].also | UINT64_C(1) << c->found[i].type) >> DETECT_SECRET & 1)
                secrets[n++] = c->found[i];
        int shown = mask_text_for(c->text, secrets, n, policy, profile, &facts, out);
        free(secrets);
        return shown ? shown : out->error;
    }
    int error = mask_text_for(c->text, c->found, c->count, policy, profile, &facts, out);
    return error ? error : out->error;
}

/* Text [from, to) with the findings that lie in it. */
static int masked_piece(const struct policy *policy, const struct policy_case *c, size_t from,
                        size_t to, const struct profile *profile, struct buffer *out)
{
    struct policy_case piece = *c;
    size_t first = 0;
    while (first < c->count && !c->found[first].back && c->found[first].start < from)
        first++;
    piece.text = span_sub(c->text, from, to);
    piece.found = c->found + first;
    piece.count = 0;
    while (first + piece.count < c->count && !c->found[first + piece.count].back &&
           c->found[first + piece.count].start < to)
        piece.count++;
    for (size_t i = 0; i < piece.count; i++) {
        piece.found[i].start -= (uint32_t)from;
        piece.found[i].end -= (uint32_t)from;
    }
    int error = case_masked(policy, &piece, profile, out);
    for (size_t i = 0; i < piece.count; i++) {
        piece.found[i].start += (uint32_t)from;
        piece.found[i].end += (uint32_t)from;
    }
    return error;
}

static enum mask_action action_of(const struct profile *profile,
                                  const struct retention_facts *facts, const struct finding *f)
{
    unsigned by;
    return profile_rule_of(profile, facts, f, &by).action;
}

int case_shown(const struct policy *policy, const struct policy_case *c,
               const struct profile *profile, struct buffer *out)
{
    const struct retention_facts facts = case_facts(c);
    for (size_t i = 0; i < c->count; i++)
        if (!c->found[i].back && action_of(profile, &facts, &c->found[i]) == MASK_BLOCK)
            return case_masked(policy, c, profile, out);
    size_t at = 0;
    int error = 0;
    for (size_t i = 0; i < c->count && !error; i++) {
        const struct finding *f = &c->found[i];
        if (f->back || action_of(profile, &facts, f) != MASK_KEEP)
            continue;
        error = masked_piece(policy, c, at, f->start, profile, out);
        buffer_addf(out, "<%s>", policy_type_word(policy, f->type));
        at = f->end;
    }
    return error ? error : masked_piece(policy, c, at, c->text.n, profile, out);
}

/* Is some of what was found at this place not passed? */
static bool is_masked(const struct policy *policy, const struct policy_case *c,
                      const struct retention_facts *facts, const struct finding *f)
{
    uint64_t types = f->also | UINT64_C(1) << f->type;
    for (; types; types &= types - 1)
        if (policy_outbound_for(policy, c->role, facts, (unsigned)__builtin_ctzll(types)) !=
            OUTBOUND_PASS)
            return true;
    return false;
}

int case_sent(const struct policy *policy, const struct policy_case *c, struct buffer *out)
{
    bool refused = false;
    const struct retention_facts facts = case_facts(c);
    for (unsigned t = 0; t < DETECT_TYPES_MAX; t++) {
        if (!(c->types >> t & 1) ||
            policy_outbound_for(policy, c->role, &facts, t) != OUTBOUND_REFUSE)
            continue;
        buffer_addf(out, "%s%s", refused ? ", " : "", policy_type_word(policy, t));
        refused = true;
    }
    char host[POLICY_HOST_MAX];
    if (!policy_links_allowed(policy, c->text, host, sizeof(host))) {
        buffer_addf(out, "%slink %s", refused ? ", " : "", host);
        refused = true;
    }
    if (c->template && !policy_template_allowed(policy, span_str(c->template))) {
        buffer_addf(out, "%stemplate %s", refused ? ", " : "", c->template);
        refused = true;
    }
    const struct policy_template *template =
        c->template ? policy_template(policy, span_str(c->template)) : NULL;
    unsigned needed =
        c->template
            ? policy_consent_needed(policy, template ? template->category : POLICY_CATEGORY_UNKNOWN)
            : 0;
    if (needed && !(needed & c->grounds)) {
        buffer_addf(out, "%sno ground on record", refused ? ", " : "");
        refused = true;
    }
    if (c->attachment && !policy_attachment_allowed(policy, c->role, c->attachment)) {
        buffer_addf(out, "%sattachment %s", refused ? ", " : "", c->attachment);
        refused = true;
    }
    if (refused)
        return out->error ? out->error : SLUIS_EDENIED;
    /* As the gateway does: what passes is no finding, the rest is redacted. */
    struct finding *left = calloc(c->count + 1, sizeof(*left));
    if (!left)
        return SLUIS_ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < c->count; i++)
        if (!c->found[i].back && is_masked(policy, c, &facts, &c->found[i]))
            left[n++] = c->found[i];
    int error = mask_text(c->text, left, n, policy, policy_storage_profile(policy), out);
    free(left);
    return error ? error : out->error;
}

const char *case_keep(const struct retention_rule *rule, char *out, size_t size)
{
    static const struct {
        const char *unit;
        int64_t seconds, least;
    } units[] = {{"y", 365 * 86400, 1}, {"m", 365 * 7200, 2}, {"d", 86400, 2}, {"h", 3600, 1}};
    if (rule->never) {
        snprintf(out, size, "never");
        return out;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        int64_t n = rule->keep_s / units[i].seconds;
        if (n >= units[i].least && n * units[i].seconds == rule->keep_s) {
            snprintf(out, size, "%lld%s, at %s", (long long)n, units[i].unit,
                     rule->minimum ? "least" : "most");
            return out;
        }
    }
    snprintf(out, size, "%llds, at %s", (long long)rule->keep_s, rule->minimum ? "least" : "most");
    return out;
}

const char *case_action(struct mask_rule rule, char *out, size_t size)
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

int case_load(const char *file, struct policy **out)
{
    struct diag diag = {.text = ""};
    char line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
    int error = policy_load_file(file, out, &diag);
    if (error)
        fprintf(stderr, "%s\n", diag_line(&diag, line, sizeof(line)));
    return error;
}

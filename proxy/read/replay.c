/* Two policies over what is stored: which decisions differ, how often, and by which rules. */
#include "sluis/read.h"

#include "sluis/base/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define SLICE 64              /* items per read of the journal */
#define DIFFERENCES_MAX 2000  /* kinds; more are counted together */
#define ARENA_MAX (16u << 20) /* of one message */
#define TEXT_MAX 160

struct difference {
    char what[TEXT_MAX], from[TEXT_MAX], to[TEXT_MAX];
    char from_rule[TEXT_MAX], to_rule[TEXT_MAX];
    enum policy_change change;
    uint64_t messages, last; /* the last message that was counted */
};

struct run {
    const struct read_replay *r;
    struct detect_scratch *scratch;
    struct arena arena;
    struct store_item items[SLICE];
    unsigned item_count;
    bool more;
    uint64_t next, messages, judged, masked_only, unjudged, others;
    struct difference *at;
    size_t n;
    uint64_t serial; /* of the message at hand */
};

struct decision {
    const char *word;
    struct policy_reason why;
    int strict; /* higher is stricter */
};

static void rule_name(struct policy_reason why, char out[TEXT_MAX])
{
    if (why.line)
        snprintf(out, TEXT_MAX, "%s, line %u", why.rule, why.line);
    else
        snprintf(out, TEXT_MAX, "built in");
}

/* Once per message, however often it occurs in it. */
static void count(struct run *run, const char *what, struct decision a, struct decision b)
{
    struct difference d = {.change = a.strict > b.strict   ? POLICY_LOOSER
                                     : a.strict < b.strict ? POLICY_STRICTER
                                                           : POLICY_OTHER};
    snprintf(d.what, sizeof(d.what), "%s", what);
    snprintf(d.from, sizeof(d.from), "%s", a.word);
    snprintf(d.to, sizeof(d.to), "%s", b.word);
    rule_name(a.why, d.from_rule);
    rule_name(b.why, d.to_rule);
    size_t i = 0;
    while (i < run->n && (strcmp(run->at[i].what, d.what) != 0 ||
                          strcmp(run->at[i].from_rule, d.from_rule) != 0 ||
                          strcmp(run->at[i].to_rule, d.to_rule) != 0 ||
                          strcmp(run->at[i].from, d.from) != 0 || strcmp(run->at[i].to, d.to) != 0))
        i++;
    if (i == DIFFERENCES_MAX) {
        run->others++;
        return;
    }
    if (i == run->n)
        run->at[run->n++] = d;
    if (run->at[i].last != run->serial)
        run->at[i].messages++;
    run->at[i].last = run->serial;
}

static struct decision seen_as(const struct profile *profile, const struct retention_facts *facts,
                               unsigned type, char word[TEXT_MAX])
{
    static const char *const words[] = {
        [MASK_REDACT] = "redact", [MASK_PARTIAL] = "partial", [MASK_HASH] = "hash",
        [MASK_TOKEN] = "token",   [MASK_KEEP] = "keep",       [MASK_BLOCK] = "block"};
    static const int order[] = {[MASK_KEEP] = 0,   [MASK_PARTIAL] = 30, [MASK_HASH] = 40,
                                [MASK_TOKEN] = 50, [MASK_REDACT] = 60,  [MASK_BLOCK] = 70};
    struct mask_rule rule = profile_rule_for(profile, facts, type);
    snprintf(word, TEXT_MAX, "%s", words[rule.action]);
    if (rule.action == MASK_PARTIAL)
        snprintf(word, TEXT_MAX, "partial (first %u, last %u)", rule.first, rule.last);
    return (struct decision){word, policy_why_profile_for(profile, facts, type),
                             order[rule.action] -
                                 (rule.action == MASK_PARTIAL ? rule.first + rule.last : 0)};
}

/* One side's judgement of the message at hand. */
struct side {
    const struct policy *policy;
    struct retention_facts facts;
};

static void compare_route(struct run *run, const struct side *a, const struct side *b,
                          const struct policy_route *old, const struct policy_route *next)
{
    const char *type_word;
    for (unsigned x = 0; x < DETECT_TYPES_MAX; x++) {
        char what[TEXT_MAX], from[TEXT_MAX], to[TEXT_MAX];
        if (!(a->facts.found >> x & 1) || (type_word = policy_type_word(a->policy, x)) == NULL)
            continue;
        unsigned y = policy_type_of(b->policy, type_word);
        if (y == DETECT_TYPES_MAX || !(b->facts.found >> y & 1))
            continue;
        struct decision one = seen_as(old->profile, &a->facts, x, from);
        struct decision two = seen_as(next->profile, &b->facts, y, to);
        snprintf(what, sizeof(what), "route %s: %s", old->name, type_word);
        if (strcmp(one.word, two.word) != 0)
            count(run, what, one, two);
    }
}

static void compare_found(struct run *run, const struct side *a, const struct side *b, bool looser)
{
    for (unsigned x = 0; x < DETECT_TYPES_MAX; x++) {
        const char *word = a->facts.found >> x & 1 ? policy_type_word(a->policy, x) : NULL;
        unsigned y = word ? policy_type_of(b->policy, word) : (unsigned)DETECT_TYPES_MAX;
        char what[TEXT_MAX];
        if (!word || (y < DETECT_TYPES_MAX && b->facts.found >> y & 1))
            continue;
        struct decision found = {"found", {"", 0}, 1}, not_found = {"not found", {"", 0}, 0};
        snprintf(what, sizeof(what), "found: %s", word);
        if (looser)
            count(run, what, found, not_found);
        else
            count(run, what, not_found, found);
    }
}

static struct decision sent_as(const struct side *s, unsigned type)
{
    static const char *const words[] = {
        [OUTBOUND_MASK] = "mask", [OUTBOUND_REFUSE] = "refuse", [OUTBOUND_PASS] = "pass"};
    static const int order[] = {[OUTBOUND_PASS] = 0, [OUTBOUND_MASK] = 1, [OUTBOUND_REFUSE] = 2};
    enum outbound_action action = policy_outbound_for(s->policy, NULL, &s->facts, type);
    return (struct decision){
        words[action], policy_why_outbound_for(s->policy, NULL, &s->facts, type), order[action]};
}

static void compare_sent(struct run *run, const struct side *a, const struct side *b)
{
    for (unsigned x = 0; x < DETECT_TYPES_MAX; x++) {
        const char *word = a->facts.found >> x & 1 ? policy_type_word(a->policy, x) : NULL;
        unsigned y = word ? policy_type_of(b->policy, word) : (unsigned)DETECT_TYPES_MAX;
        char what[TEXT_MAX];
        if (y == DETECT_TYPES_MAX)
            continue;
        struct decision one = sent_as(a, x), two = sent_as(b, y);
        snprintf(what, sizeof(what), "outbound: %s", word);
        if (strcmp(one.word, two.word) != 0)
            count(run, what, one, two);
    }
}

static struct decision kept_for(const struct side *s, enum retention_part part, char word[TEXT_MAX])
{
    struct retention_rule rule = policy_retention(s->policy, part, &s->facts);
    snprintf(word, TEXT_MAX, "never");
    if (!rule.never)
        snprintf(word, TEXT_MAX, "%lldh, at %s", (long long)rule.keep_s / 3600,
                 rule.minimum ? "least" : "most");
    int hours = rule.keep_s / 3600 < INT32_MAX ? (int)(rule.keep_s / 3600) : INT32_MAX;
    return (struct decision){word, policy_why_retention(s->policy, part, &s->facts),
                             rule.never ? 0 : -hours};
}

static void compare(struct run *run, const struct side *a, const struct side *b)
{
    const struct policy_route *old, *next;
    char from[TEXT_MAX], to[TEXT_MAX];
    compare_found(run, a, b, true);
    compare_found(run, b, a, false);
    for (size_t i = 0; (old = policy_route_at(a->policy, i)) != NULL; i++)
        if ((next = policy_route(b->policy, old->name)) != NULL)
            compare_route(run, a, b, old, next);
    if (a->facts.out)
        compare_sent(run, a, b);
    for (int part = RETENTION_ORIGINAL; part <= RETENTION_HISTORY; part++) {
        struct decision one = kept_for(a, (enum retention_part)part, from);
        struct decision two = kept_for(b, (enum retention_part)part, to);
        if (strcmp(from, to) != 0)
            count(run, part == RETENTION_ORIGINAL ? "originals" : "history", one, two);
    }
}

/* ---- one message ---- */

static int judge(struct run *run, const struct json_doc *doc, const struct store_item *item,
                 const char *channel, struct side *side)
{
    struct judged judged;
    const struct judge_input input = {.doc = doc,
                                      .table = MASK_TABLE_WEBHOOK,
                                      .policy = side->policy,
                                      .scratch = run->scratch,
                                      .from_customer = item->kind == STORE_KIND_MESSAGE,
                                      .at_ms = item->at_ms};
    int r = mask_judge(&input, &run->arena, &judged);
    if (r == 0)
        side->facts = (struct retention_facts){.found = judged.found,
                                               .media = judged.has_media,
                                               .out = item->kind == STORE_KIND_ECHO ||
                                                      item->kind == STORE_KIND_SENT,
                                               .channel = channel,
                                               .at_ms = item->at_ms};
    return r;
}

static int replay_item(struct run *run, const struct store_item *item)
{
    const struct read_replay *q = run->r;
    const struct record_id id = {item->cls_o, item->bucket_o, item->subject, item->serial, 'O'};
    struct side a = {.policy = q->old}, b = {.policy = q->next};
    struct store_read *read;
    struct judged judged;
    struct span packed, json;
    struct json_doc doc;
    char channel[256] = "";
    run->messages++;
    if (!item->cls_o) {
        run->masked_only++;
        return 0;
    }
    int r = store_read_begin(q->store, &read);
    if (r != 0)
        return r;
    r = read_record(q->keys, read, &id, &run->arena, &packed);
    store_read_end(read);
    if (r == SLUIS_ENOENT || r == SLUIS_EEXPIRED) {
        run->masked_only++;
        return 0;
    }
    if (r == 0)
        r = mask_unpack(packed, &run->arena, &judged, &json);
    if (r == 0)
        r = json_scan(&doc, json, &run->arena, NULL);
    if (r == 0)
        r = store_id_name(q->store, STORE_NAME_CHANNEL, item->channel, channel);
    if (r == 0)
        r = judge(run, &doc, item, channel, &a);
    if (r == 0)
        r = judge(run, &doc, item, channel, &b);
    if (r != 0) {
        run->unjudged++; /* one that cannot be judged is no reason to stop */
        return 0;
    }
    run->judged++;
    run->serial = item->serial;
    compare(run, &a, &b);
    return 0;
}

/* ---- the walk ---- */

static int take(void *ctx, const struct store_item *item)
{
    struct run *run = ctx;
    if (run->item_count == SLICE) {
        run->more = true;
        return 1;
    }
    run->next = item->order + 1;
    if (item->at_ms >= run->r->from_ms && item->at_ms < run->r->to_ms &&
        (!run->r->channel || item->channel == run->r->channel))
        run->items[run->item_count++] = *item;
    return 0;
}

static int walk(struct run *run)
{
    int64_t end = clock_mono_ms() + run->r->budget_ms;
    run->next = run->r->order;
    do {
        struct store_read *read;
        run->item_count = 0;
        run->more = false;
        int r = store_read_begin(run->r->store, &read);
        if (r != 0)
            return r;
        r = store_each_item(read, run->next, take, run);
        store_read_end(read);
        for (unsigned i = 0; r == 0 && i < run->item_count; i++) {
            r = replay_item(run, &run->items[i]);
            arena_reset(&run->arena);
        }
        if (r != 0)
            return r;
    } while (run->more && clock_mono_ms() < end);
    return 0;
}

static void write_out(const struct run *run, struct buffer *out)
{
    static const char *const changes[] = {"looser", "stricter", "other"};
    buffer_addf(out,
                "{\"messages\":%llu,\"judged\":%llu,\"masked_only\":%llu,\"unjudged\":%llu,"
                "\"uncounted\":%llu,\"next\":%llu,\"differences\":[",
                (unsigned long long)run->messages, (unsigned long long)run->judged,
                (unsigned long long)run->masked_only, (unsigned long long)run->unjudged,
                (unsigned long long)run->others, (unsigned long long)(run->more ? run->next : 0));
    for (size_t i = 0; i < run->n; i++) {
        const struct difference *d = &run->at[i];
        const char *const texts[][2] = {
            {"what", d->what}, {"from", d->from},       {"from_rule", d->from_rule},
            {"to", d->to},     {"to_rule", d->to_rule}, {"change", changes[d->change]}};
        buffer_add_str(out, i ? ",{" : "{");
        for (size_t t = 0; t < 6; t++) {
            buffer_addf(out, "\"%s\":", texts[t][0]);
            json_quote(out, span_str(texts[t][1]));
            buffer_add_char(out, ',');
        }
        buffer_addf(out, "\"messages\":%llu}", (unsigned long long)d->messages);
    }
    buffer_add(out, SPAN("]}"));
}

int read_replay(const struct read_replay *replay, struct buffer *out)
{
    struct run *run = calloc(1, sizeof(*run));
    if (!run)
        return SLUIS_ENOMEM;
    run->r = replay;
    arena_init(&run->arena, ARENA_MAX);
    run->at = calloc(DIFFERENCES_MAX, sizeof(*run->at));
    int r = run->at ? detect_scratch_new(&run->scratch) : SLUIS_ENOMEM;
    if (r == 0)
        r = walk(run);
    if (r == 0)
        write_out(run, out);
    detect_scratch_free(run->scratch);
    free(run->at);
    arena_free(&run->arena);
    free(run);
    return r ? r : out->error;
}

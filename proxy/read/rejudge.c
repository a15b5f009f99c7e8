/* What is shown is judged by the policy in force at that moment, not only by that of its arrival.
 */
#include "sluis/read.h"

/* Which of two rules shows less. */
static unsigned rank(const struct read_judge *judge, unsigned type)
{
    switch (profile_rule_for(judge->profile, judge->facts, type).action) {
    case MASK_KEEP:
        return 0;
    case MASK_PARTIAL:
        return 1;
    case MASK_HASH:
    case MASK_TOKEN:
        return 2;
    case MASK_REDACT:
        return 3;
    default:
        return 4;
    }
}

/* Findings that overlap become one, under the stricter rule of the two. */
static void append(struct judged *all, const struct mask_finding *f, const struct read_judge *judge)
{
    struct mask_finding *last = all->count ? &all->findings[all->count - 1] : NULL;
    if (!last || f->start >= last->end) {
        all->findings[all->count++] = *f;
        return;
    }
    if (f->end > last->end)
        last->end = f->end;
    if (rank(judge, f->type) > rank(judge, last->type)) {
        last->type = f->type;
        last->score = f->score;
    }
}

static int unite(const struct judged *now, const struct read_judge *judge, struct arena *arena,
                 struct judged *judged)
{
    struct judged all = *judged;
    struct read_judge of_all = *judge;
    struct retention_facts facts;
    size_t i = 0, k = 0;
    all.found |= now->found;
    all.has_media |= now->has_media;
    all.count = 0;
    if (judge->facts) {
        facts = *judge->facts;
        facts.found = all.found;
        facts.media = all.has_media;
        of_all.facts = &facts;
    }
    all.findings = arena_try(arena, (judged->count + now->count) * sizeof(*all.findings));
    if (!all.findings)
        return SLUIS_ENOMEM;
    while (i < judged->count || k < now->count) {
        bool old = k == now->count ||
                   (i < judged->count && judged->findings[i].start <= now->findings[k].start);
        append(&all, old ? &judged->findings[i++] : &now->findings[k++], &of_all);
    }
    *judged = all;
    return 0;
}

int read_rejudge(const struct read_judge *judge, struct arena *arena, struct judged *judged)
{
    struct judged now;
    const struct judge_input input = {
        .doc = judge->doc,
        .table = judge->table,
        .policy = judge->policy,
        .scratch = judge->scratch,
        .from_customer = judge->from_customer,
        .at_ms = judge->at_ms,
    };
    int result = mask_judge(&input, arena, &now);
    return result ? result : unite(&now, judge, arena, judged);
}

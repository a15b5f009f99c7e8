/* What is shown is judged by the policy in force at that moment, not only by that of its arrival.
 */
#include "sluis/read.h"

/* Findings that overlap become one, of all their types: the strictest rule of them masks it. */
static void append(struct judged *all, const struct mask_finding *f)
{
    struct mask_finding *last = all->count ? &all->findings[all->count - 1] : NULL;
    if (!last || f->start >= last->end) {
        all->findings[all->count++] = *f;
        return;
    }
    last->rest |= f->rest || f->start != last->start || f->end != last->end;
    if (f->end > last->end)
        last->end = f->end;
    last->also |= (f->also | (uint64_t)1 << f->type) & ~((uint64_t)1 << last->type);
}

static int unite(const struct judged *now, struct arena *arena, struct judged *judged)
{
    struct judged all = *judged;
    size_t i = 0, k = 0;
    all.found |= now->found;
    all.has_media |= now->has_media;
    all.count = 0;
    all.findings = arena_try(arena, (judged->count + now->count) * sizeof(*all.findings));
    if (!all.findings)
        return SLUIS_ENOMEM;
    while (i < judged->count || k < now->count) {
        bool old = k == now->count ||
                   (i < judged->count && judged->findings[i].start <= now->findings[k].start);
        append(&all, old ? &judged->findings[i++] : &now->findings[k++]);
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
    return result ? result : unite(&now, arena, judged);
}

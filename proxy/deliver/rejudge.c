/* What waits is judged by the policy in force when it goes out, not only by that of its arrival. */
#include "internal.h"

/* Which of two rules shows less. */
static unsigned rank(const struct profile *profile, unsigned type)
{
    switch (profile_rule(profile, type).action) {
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
static void append(struct judged *all, const struct mask_finding *f, const struct profile *profile)
{
    struct mask_finding *last = all->count ? &all->findings[all->count - 1] : NULL;
    if (!last || f->start >= last->end) {
        all->findings[all->count++] = *f;
        return;
    }
    if (f->end > last->end)
        last->end = f->end;
    if (rank(profile, f->type) > rank(profile, last->type)) {
        last->type = f->type;
        last->score = f->score;
    }
}

static int unite(const struct judged *now, const struct profile *profile, struct arena *arena,
                 struct judged *judged)
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
        append(&all, old ? &judged->findings[i++] : &now->findings[k++], profile);
    }
    *judged = all;
    return 0;
}

int rejudge(struct route *r, const struct entry *e, const struct json_doc *doc,
            struct judged *judged)
{
    struct judged now;
    const struct judge_input input = {
        .doc = doc,
        .table = MASK_TABLE_WEBHOOK,
        .policy = r->channel->policy,
        .scratch = r->scratch,
        .from_customer = e->item.kind == STORE_KIND_MESSAGE,
        .at_ms = e->item.at_ms,
    };
    int result = mask_judge(&input, &r->arena, &now);
    return result ? result : unite(&now, r->facts->policy->profile, &r->arena, judged);
}

/*
 * A policy that keeps less than what is stored says, applied back because the officer asked for it:
 * each part of a message whose rule is now shorter is sealed anew under the shorter class, or goes.
 * Longer never happens here. What is held waits for its release, and is counted.
 *
 *   asked    a row ("purge.a") and a leaf of the log, one commit
 *   walk     the journal in slices; what is sealed anew, its row "moved", the old rows' deletion
 * and word of the old leaf, one commit each destroy  the leaves of which there is word, one change
 * of the keyring; then the numbers in "purge.a" and the words away, one commit end      signed
 * destruction records, their leaves of the log, "purge.a" away: one commit
 *
 * A message that was done is not shorter any more: so a restart walks again from the beginning. It
 * first puts on record what stood in the numbers, so that no person is counted twice in one record.
 */
#include "shorten.h"

#include <stdlib.h>

#include "sluis/base/clock.h"
#include "sluis/mask.h"

static struct policy *policy_of(struct shorten *s, uint16_t channel, char name[256])
{
    struct purge_deps *deps = &s->p->deps;
    if (channel > CHANNELS_MAX ||
        store_id_name(deps->store, STORE_NAME_CHANNEL, channel, name) != 0)
        return NULL;
    if (!s->asked[channel] && deps->channel_policy)
        s->policies[channel] = deps->channel_policy(deps->ctx, name);
    s->asked[channel] = true;
    return s->policies[channel];
}

/* As at intake: what is in an unjudged message is not known. */
static struct retention_rule rule_for(const struct policy *policy, enum retention_part part,
                                      const struct retention_facts *facts, bool unjudged)
{
    struct retention_rule rule, shortest = {.never = true, .ground = "", .selection = ""};
    if (!unjudged || part != RETENTION_ORIGINAL)
        return policy_retention(policy, part, facts);
    for (size_t i = 0; policy_retention_at(policy, part, i, &rule) == 0; i++)
        if (!rule.never && (shortest.never || rule.keep_s < shortest.keep_s))
            shortest = rule;
    return shortest;
}

static void count_fate(struct shorten *s, uint16_t from, uint16_t to)
{
    unsigned i = 0;
    while (i < s->fate_count && (s->fates[i].from != from || s->fates[i].to != to))
        i++;
    if (i == FATES_MAX)
        return; /* fewer pairs than that in any policy: the total still counts it */
    if (i == s->fate_count)
        s->fates[s->fate_count++] = (struct fate){from, to, 0};
    s->fates[i].messages++;
}

/* What the policy says of a part now, beside what is stored. */
static int judge_part(struct shorten *s, const struct store_item *item, const struct policy *policy,
                      const struct retention_facts *facts, struct part *part)
{
    struct store *store = s->p->deps.store;
    enum retention_part which = part->now.part == 'O' ? RETENTION_ORIGINAL : RETENTION_HISTORY;
    struct retention_place place;
    int64_t ends = 0;
    part->then = part->now;
    if (!part->now.cls)
        return 0;
    const struct retention_rule rule =
        rule_for(policy, which, facts, item->flags & STORE_ITEM_UNJUDGED);
    int64_t at = item->at_ms < item->taken_ms ? item->at_ms : item->taken_ms;
    int r = retention_bucket_end(store, part->now.cls, part->now.bucket, &ends);
    if (r == 0)
        r = retention_place(store, &rule, which, at, s->now_ms, &place);
    if (r != 0)
        return r;
    bool goes = place.never || place.expired;
    s->longer += !goes && place.ends_ms > ends;
    part->shorter = goes || place.ends_ms < ends;
    if (!part->shorter)
        return 0;
    part->then.cls = goes ? 0 : place.cls;
    part->then.bucket = goes ? 0 : place.bucket;
    count_fate(s, part->now.cls, part->then.cls);
    return 0;
}

/* 0 and nothing in `plain`: nobody can open it any more. */
static int open_part(struct shorten *s, struct part *part, struct buffer *plain)
{
    struct store_read *read;
    struct span sealed;
    int r = part->now.cls ? store_read_begin(s->p->deps.store, &read) : SLUIS_ENOENT;
    if (r == 0) {
        r = store_get_record(read, &part->now, &s->arena, &sealed);
        if (r == 0)
            r = record_open(s->p->cache, 0, &part->now, sealed, plain);
        store_read_end(read);
    }
    if (r == SLUIS_ENOENT || r == SLUIS_EEXPIRED) {
        part->now.cls = 0;
        return 0;
    }
    return r;
}

static int seal_part(struct shorten *s, struct part *part, uint64_t serial, struct buffer *plain,
                     struct buffer *sealed)
{
    if (!part->then.cls)
        return 0;
    part->then.serial = serial;
    return record_seal(s->p->cache, 0, &part->then, 0, buffer_span(plain), sealed);
}

static int find_facts(struct shorten *s, struct buffer *o, struct buffer *m,
                      struct retention_facts *facts)
{
    struct judged judged;
    struct span json;
    int r = mask_unpack(buffer_span(m->n ? m : o), &s->arena, &judged, &json);
    if (r == 0) {
        facts->found = judged.found;
        facts->media = judged.has_media;
    }
    return r;
}

static int find_places(struct shorten *s, const struct store_item *item, struct move *move)
{
    struct store_read *read;
    int r = store_read_begin(s->p->deps.store, &read);
    if (r != 0)
        return r;
    r = retention_part(read, item, 'O', &move->o.now);
    if (r == 0 || r == SLUIS_ENOENT)
        r = retention_part(read, item, 'M', &move->m.now);
    store_read_end(read);
    return r == SLUIS_ENOENT ? 0 : r;
}

static int make_move(struct shorten *s, const struct store_item *item, const struct policy *policy,
                     const char *channel, struct move *move, struct buffer *o, struct buffer *m)
{
    const struct purge_deps *deps = &s->p->deps;
    struct retention_facts facts = {.out = item->kind == STORE_KIND_ECHO ||
                                           item->kind == STORE_KIND_SENT,
                                    .channel = channel,
                                    .at_ms = item->at_ms};
    if (deps->consents)
        facts.consent = deps->consents(deps->ctx, item->channel, item->subject);
    int r = find_places(s, item, move);
    if (r == 0)
        r = open_part(s, &move->o, o);
    if (r == 0)
        r = open_part(s, &move->m, m);
    if (r != 0 || (!move->o.now.cls && !move->m.now.cls))
        return r;
    uint64_t old = move->o.now.cls ? move->o.now.serial : move->m.now.serial;
    r = find_facts(s, o, m, &facts);
    if (r == 0)
        r = judge_part(s, item, policy, &facts, &move->o);
    if (r == 0)
        r = judge_part(s, item, policy, &facts, &move->m);
    if (r != 0 || (!move->o.shorter && !move->m.shorter))
        return r;
    s->messages++;
    s->media += facts.media;
    if (s->dry)
        return 0;
    bool stays = move->o.then.cls || move->m.then.cls;
    uint64_t serial = stays ? store_next_serial(s->p->deps.store) : 0;
    move->serial = item->serial;
    move->word = (struct word){.serial = old,
                               .subject = item->subject,
                               .cls_o = move->o.shorter ? move->o.now.cls : 0,
                               .cls_m = move->m.shorter ? move->m.now.cls : 0};
    r = seal_part(s, &move->o, serial, o, &move->sealed_o);
    if (r == 0)
        r = seal_part(s, &move->m, serial, m, &move->sealed_m);
    if (r == 0 && stays && facts.media && deps->keep_media) /* where a message's media hang */
        r = deps->keep_media(deps->ctx, item->subject, item->serial,
                             move->m.then.cls ? &move->m.then : &move->o.then);
    if (r == 0 && stays && deps->keep_notes)
        r = deps->keep_notes(deps->ctx, item->channel, item->subject, item->serial,
                             move->m.then.cls ? &move->m.then : &move->o.then);
    return r;
}

static int run_moves(struct store_txn *txn, struct store_job *job)
{
    struct shorten *s = (struct shorten *)(void *)job;
    for (unsigned i = 0; i < s->move_count; i++) {
        const struct move *m = &s->moves[i];
        const struct retention_moved moved = {.serial = m->o.then.cls   ? m->o.then.serial
                                                        : m->m.then.cls ? m->m.then.serial
                                                                        : 0,
                                              .cls_o = m->o.then.cls,
                                              .cls_m = m->m.then.cls,
                                              .bucket_o = m->o.then.bucket,
                                              .bucket_m = m->m.then.bucket};
        if (m->o.now.cls)
            store_delete_record(txn, &m->o.now);
        if (m->m.now.cls)
            store_delete_record(txn, &m->m.now);
        if (moved.cls_o)
            store_put_record(txn, &m->o.then, buffer_span(&m->sealed_o));
        if (moved.cls_m)
            store_put_record(txn, &m->m.then, buffer_span(&m->sealed_m));
        retention_moved_put(txn, m->serial, &moved);
        word_put(txn, m->word.serial, &m->word);
    }
    return store_txn_error(txn);
}

static int flush(struct shorten *s)
{
    s->job = (struct store_job){.priority = STORE_PURGE, .run = run_moves};
    int r = s->move_count ? store_submit_wait(s->p->deps.store, &s->job) : 0;
    for (unsigned i = 0; i < s->move_count; i++) {
        if (r == 0 && s->p->deps.drop)
            s->p->deps.drop(s->p->deps.ctx, s->moves[i].serial);
        buffer_free(&s->moves[i].sealed_o);
        buffer_free(&s->moves[i].sealed_m);
    }
    s->move_count = 0;
    return r;
}

/* ---- the walk ---- */

static int take_item(void *ctx, const struct store_item *item)
{
    struct shorten *s = ctx;
    if (s->item_count == SLICE) {
        s->more = true;
        return 1;
    }
    s->items[s->item_count++] = *item;
    s->next = item->order + 1;
    return 0;
}

static int look_at(struct shorten *s, const struct store_item *item)
{
    char channel[256];
    struct mark mark;
    struct buffer o, m;
    struct move *move = &s->moves[s->move_count];
    if (!item->cls_o && !item->cls_m)
        return 0;
    const struct policy *policy = policy_of(s, item->channel, channel);
    if (!policy) { /* a channel that was taken away: its messages expire as they would have */
        s->unknown++;
        return 0;
    }
    if (mark_get(s->p, item->subject, &mark) && mark.bits & MARK_HELD) {
        s->held++;
        return 0;
    }
    *move = (struct move){.serial = 0};
    buffer_init(&o, STORE_RECORD_MAX);
    buffer_init(&m, STORE_RECORD_MAX);
    buffer_init(&move->sealed_o, STORE_RECORD_MAX);
    buffer_init(&move->sealed_m, STORE_RECORD_MAX);
    int r = make_move(s, item, policy, channel, move, &o, &m);
    bool moves = r == 0 && move->serial;
    if (!moves) {
        buffer_free(&move->sealed_o);
        buffer_free(&move->sealed_m);
    }
    s->move_count += moves;
    buffer_free(&o);
    buffer_free(&m);
    arena_reset(&s->arena);
    if (r == SLUIS_ECRYPTO || r == SLUIS_EINVAL || r == SLUIS_ELIMIT) {
        s->unreadable++; /* damaged: it expires as it would have */
        r = 0;
    }
    return r == 0 && s->move_count == MOVES ? flush(s) : r;
}

static int slice(struct shorten *s)
{
    struct store_read *read;
    s->item_count = 0;
    s->more = false;
    int r = store_read_begin(s->p->deps.store, &read);
    if (r != 0)
        return r;
    r = store_each_item(read, s->next, take_item, s);
    store_read_end(read);
    for (unsigned i = 0; r == 0 && i < s->item_count; i++)
        r = look_at(s, &s->items[i]);
    int flushed = flush(s);
    return r ? r : flushed;
}

/* ---- destroying ---- */

static int run_words(struct store_txn *txn, struct store_job *job)
{
    struct shorten *s = (struct shorten *)(void *)job;
    for (unsigned i = 0; i < s->words.n; i++)
        word_delete(txn, s->words.at[i].serial);
    if (s->p->applying)
        store_put_row(txn, STORE_TABLE_SETTING, shorten_state_key, buffer_span(&s->sealed));
    return store_txn_error(txn);
}

static int count_word(struct shorten *s, const struct word *word)
{
    const uint16_t classes[] = {word->cls_o, word->cls_m};
    int r = 0;
    for (unsigned i = 0; r == 0 && i < 2; i++) {
        uint16_t cls = classes[i];
        if (cls == 0 || cls > STORE_CLASSES_MAX)
            continue;
        s->state.messages[cls]++;
        r = subjects_add(&s->seen[cls], word->subject, &s->state.subjects[cls]);
    }
    return r;
}

int shorten_destroy(struct shorten *s)
{
    int r = 0;
    do {
        r = words_read(s->p, &s->words);
        if (r != 0 || s->words.n == 0)
            return r;
        r = words_destroy(s->p, &s->words);
        for (unsigned i = 0; r == 0 && i < s->words.n; i++)
            r = count_word(s, &s->words.at[i]);
        if (r == 0)
            r = shorten_state_seal(s);
        s->job = (struct store_job){.priority = STORE_PURGE, .run = run_words};
        if (r == 0)
            r = store_submit_wait(s->p->deps.store, &s->job);
    } while (r == 0 && s->words.n == WORDS_MAX);
    return r;
}

/* ---- all of it ---- */

struct shorten *shorten_new(struct purge *p, bool dry)
{
    struct shorten *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->p = p;
    s->dry = dry;
    s->now_ms = clock_wall_ms();
    s->next = 1;
    s->more = true;
    arena_init(&s->arena, ARENA_MAX);
    buffer_init(&s->sealed, STORE_VALUE_MAX);
    return s;
}

void shorten_free(struct shorten *s)
{
    for (unsigned i = 0; i <= CHANNELS_MAX; i++)
        if (s->policies[i])
            policy_unref(s->policies[i]);
    for (unsigned i = 0; i <= STORE_CLASSES_MAX; i++)
        free(s->seen[i].bits);
    arena_free(&s->arena);
    buffer_free(&s->sealed);
    free(s);
}

int shorten_walk(struct shorten *s)
{
    struct purge *p = s->p;
    int r = 0;
    for (unsigned n = 1; r == 0 && s->more && !purge_stopping(p); n++) {
        pthread_mutex_lock(&p->lock);
        r = slice(s);
        if (r == 0 && !s->dry && n % (WORDS_MAX / SLICE) == 0)
            r = shorten_destroy(s);
        pthread_mutex_unlock(&p->lock);
    }
    return r == 0 && s->more ? SLUIS_ECLOSED : r;
}

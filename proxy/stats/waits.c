/* Conversations: when they begin and end, how long contacts wait for an answer. */
#include "room.h"

#include "sluis/base/log.h"

#include <sodium.h>

#define WINDOW_WARN_MS (20 * HOUR_MS) /* four hours to answer before Meta's window closes */
enum { TOLD_TARGET = 1, TOLD_WINDOW = 2, TOLD_MISSED = 4 };

static uint32_t *bucket_of(struct stats *s, uint16_t channel, uint64_t subject)
{
    uint64_t h = (subject ^ (uint64_t)channel << 48) * 0x9e3779b97f4a7c15ull;
    return &s->buckets[h >> 49];
}

static void unlink_one(struct stats *s, uint32_t at)
{
    struct conversation *c = &s->conversations[at];
    uint32_t *link = bucket_of(s, c->channel, c->subject);
    while (*link && *link != at + 1)
        link = &s->conversations[*link - 1].next;
    if (*link)
        *link = c->next;
    *c = (struct conversation){.used = false};
    s->conversation_count--;
}

/* A place: a free one, or of sixteen the one silent for longest. */
static uint32_t make_room(struct stats *s)
{
    uint32_t best = s->hand;
    for (unsigned i = 0;
         i < (s->conversation_count < STATS_CONVERSATIONS ? STATS_CONVERSATIONS : 16); i++) {
        uint32_t at = (s->hand + i) % STATS_CONVERSATIONS;
        if (!s->conversations[at].used) {
            s->hand = (at + 1) % STATS_CONVERSATIONS;
            return at;
        }
        if (s->conversations[at].last_ms < s->conversations[best].last_ms)
            best = at;
    }
    s->hand = (s->hand + 16) % STATS_CONVERSATIONS;
    unlink_one(s, best);
    return best;
}

static struct conversation *find(struct stats *s, uint16_t channel, uint64_t subject)
{
    uint32_t *link = bucket_of(s, channel, subject);
    for (uint32_t at = *link; at; at = s->conversations[at - 1].next)
        if (s->conversations[at - 1].channel == channel &&
            s->conversations[at - 1].subject == subject)
            return &s->conversations[at - 1];
    uint32_t place = make_room(s);
    s->conversations[place] =
        (struct conversation){.channel = channel, .subject = subject, .used = true, .next = *link};
    *link = place + 1;
    s->conversation_count++;
    return &s->conversations[place];
}

static void wait_over(struct stats *s, struct conversation *c, int64_t at_ms)
{
    const struct cell_key key = {(uint32_t)(at_ms / HOUR_MS), c->channel, 0, {0}};
    int64_t waited = at_ms > c->waiting_ms ? at_ms - c->waiting_ms : 0;
    const struct config_channel *channel = config_channel_by_id(s->config, c->channel);
    struct cell *cell = s->quiet ? NULL : cell_of(s, &key);
    if (cell) {
        (c->first ? cell->first : cell->follow_up)[wait_bucket(waited)]++;
        cell->n[N_ANSWERED] += c->first;
        if (channel && channel->answer_within_s)
            cell->n[waited <= channel->answer_within_s * 1000 ? N_TARGET_MET : N_TARGET_MISSED]++;
        cell->changed = true;
    }
    c->waiting_ms = 0;
    c->first = false;
    c->told = 0;
}

static void end(struct stats *s, struct conversation *c)
{
    int64_t at = c->answer_ms ? c->answer_ms : c->last_ms;
    cell_add(s, at, c->channel, 0, N_ENDED, 1);
    if (c->waiting_ms && !(c->told & TOLD_MISSED))
        cell_add(s, c->waiting_ms, c->channel, 0, N_WINDOW_MISSED, 1);
}

static void count_tags(struct stats *s, struct conversation *c, const struct store_item *item,
                       enum count what)
{
    if (s->deps.tags && !s->quiet)
        c->tag_count = (uint8_t)s->deps.tags(s->deps.ctx, c->channel, c->subject, c->tags);
    for (unsigned i = 0; i < c->tag_count && !s->quiet; i++) {
        struct cell_key key = {(uint32_t)(item->taken_ms / HOUR_MS), c->channel, ROUTE_TAG, {0}};
        uint8_t hash[16];
        crypto_generichash(hash, sizeof(hash), (const uint8_t *)c->tags[i], strlen(c->tags[i]),
                           NULL, 0);
        memcpy(key.tag, hash, sizeof(key.tag));
        struct cell *cell = cell_of(s, &key);
        if (!cell)
            continue;
        memcpy(cell->name, c->tags[i], STATS_TAG_SIZE);
        cell->n[what]++;
        cell->changed = true;
    }
}

void waits_note(struct stats *s, const struct store_item *item)
{
    bool in = item->kind == STORE_KIND_MESSAGE;
    if (!in && item->kind != STORE_KIND_ECHO && item->kind != STORE_KIND_SENT)
        return;
    struct conversation *c = find(s, item->channel, item->subject);
    if (c->last_ms && item->at_ms - c->last_ms > SILENCE_MS) {
        end(s, c);
        c->last_ms = c->answer_ms = c->waiting_ms = 0;
        c->told = 0;
    }
    if (c->last_ms == 0) {
        c->first = in;
        cell_add(s, item->taken_ms, item->channel, 0, N_BEGUN, 1);
    }
    if (in && !c->waiting_ms)
        c->waiting_ms = item->at_ms;
    if (!in && c->waiting_ms)
        wait_over(s, c, item->at_ms);
    if (!in)
        c->answer_ms = item->at_ms > c->answer_ms ? item->at_ms : c->answer_ms;
    c->last_ms = item->at_ms > c->last_ms ? item->at_ms : c->last_ms;
    count_tags(s, c, item, in ? N_IN : N_OUT);
}

static void tell(struct conversation *c, uint8_t bit, const char *event, const char *channel)
{
    if (c->told & bit)
        return;
    c->told |= bit;
    LOG(LOG_ALARM, "stats", event,
        log_word("channel", channel)); /* which one is seen in the inbox */
}

void waits_look(struct stats *s, int64_t now_ms)
{
    for (uint32_t i = 0; i < STATS_CONVERSATIONS; i++) {
        struct conversation *c = &s->conversations[i];
        if (!c->used)
            continue;
        const struct config_channel *channel = config_channel_by_id(s->config, c->channel);
        int64_t waited = c->waiting_ms ? now_ms - c->waiting_ms : 0;
        const char *name = channel ? channel->name : "?";
        if (channel && channel->answer_within_s && waited > 0 &&
            waited >= channel->answer_within_s * 750 && waited < SILENCE_MS)
            tell(c, TOLD_TARGET, "answer_due", name);
        if (waited >= WINDOW_WARN_MS && waited < SILENCE_MS)
            tell(c, TOLD_WINDOW, "window_closing", name);
        if (waited >= SILENCE_MS && !(c->told & TOLD_MISSED)) {
            c->told |= TOLD_MISSED;
            cell_add(s, c->waiting_ms, c->channel, 0, N_WINDOW_MISSED, 1);
        }
        if (now_ms - c->last_ms > SILENCE_MS) {
            end(s, c);
            unlink_one(s, i);
        }
    }
}

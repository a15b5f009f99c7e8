/* Keywords round a value: which evidence and which counter-evidence is nearest. */
#include "room.h"

/* Extra distance: what stands behind a value says less than what stands before it, and a sentence
 * or a message between says less again. */
#define COST_AFTER 8
#define COST_SENTENCE 30
#define COST_MESSAGE 20
#define KEYS_SEEN_MAX 24 /* keywords looked at on each side */
#define DIRECT_REACH 48  /* characters between a keyword and the value it announces */
#define LIST_REACH 12    /* between two keywords of one list */

/* First keyword at or behind atom i. */
static size_t key_from(const struct detect_scratch *s, uint32_t i)
{
    size_t low = 0, high = s->key_n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->keys[middle] < i)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Borders between atoms (from, to]: sentences and messages. `digits`: numbers between them. */
static uint32_t borders(const struct detect_scratch *s, uint32_t from, uint32_t to, bool *crossed)
{
    uint32_t cost = 0;
    *crossed = false;
    /* bounded: atoms within CONTEXT_REACH characters */
    for (uint32_t k = from + 1; k <= to; k++) {
        if (s->atoms[k].before & (GAP_SENTENCE | GAP_LINE)) {
            cost += COST_SENTENCE;
            *crossed = true;
        }
        if (s->atoms[k].before & GAP_MESSAGE)
            cost += COST_MESSAGE;
    }
    return cost;
}

static bool numbers_between(const struct detect_scratch *s, uint32_t from, uint32_t to)
{
    for (uint32_t k = from + 1; k < to; k++)
        if (s->atoms[k].kind == ATOM_NUMBER && s->atoms[k].end - s->atoms[k].start > 2)
            return true;
    return false;
}

struct nearest {
    uint32_t distance, at;
};

static void take(struct nearest *n, uint32_t distance, uint32_t at)
{
    if (distance < n->distance)
        *n = (struct nearest){distance, at};
}

struct context context_of(const struct detect_scratch *s, uint32_t first, uint32_t last,
                          uint32_t want, uint32_t counter)
{
    struct nearest w = {CONTEXT_NONE, 0}, c = {CONTEXT_NONE, 0};
    struct context out = {.want = CONTEXT_NONE, .counter = CONTEXT_NONE};
    size_t from = key_from(s, first);
    bool crossed = false;
    for (size_t k = from, seen = 0; k-- > 0 && seen < KEYS_SEEN_MAX; seen++) {
        uint32_t at = s->keys[k];
        uint32_t away = s->atoms[first].start - s->atoms[at].end;
        if (away > CONTEXT_REACH)
            break;
        uint32_t bits = s->atoms[at].ctx;
        if ((bits & (want | counter)) == 0)
            continue;
        uint32_t distance = away + borders(s, at, first, &crossed);
        if (bits & want) {
            take(&w, distance, at);
            bool asked = (s->atoms[first].before & GAP_MESSAGE) != 0;
            if (((away <= DIRECT_REACH && !crossed) || (asked && away <= CONTEXT_REACH)) &&
                !numbers_between(s, at, first) && c.distance == CONTEXT_NONE)
                out.direct = true;
        }
        if ((bits & counter) && !(bits & want))
            take(&c, distance, at);
        if (w.distance != CONTEXT_NONE && c.distance != CONTEXT_NONE)
            break;
    }
    for (size_t k = from, seen = 0; k < s->key_n && seen < KEYS_SEEN_MAX; k++, seen++) {
        uint32_t at = s->keys[k];
        if (at <= last)
            continue;
        uint32_t away = s->atoms[at].start - s->atoms[last].end;
        if (away > CONTEXT_AFTER)
            break;
        uint32_t bits = s->atoms[at].ctx;
        if ((bits & (want | counter)) == 0)
            continue;
        uint32_t distance = away + COST_AFTER + borders(s, last, at, &crossed);
        if (bits & want)
            take(&w, distance, at);
        else
            take(&c, distance, at);
    }
    out.want = w.distance;
    out.counter = c.distance;
    if (w.distance != CONTEXT_NONE && c.distance != CONTEXT_NONE) {
        uint32_t a = w.at < c.at ? w.at : c.at, b = w.at < c.at ? c.at : w.at;
        out.listed = b < first && s->atoms[b].start - s->atoms[a].end <= LIST_REACH &&
                     !numbers_between(s, a, b) &&
                     !(s->atoms[b].before & (GAP_SENTENCE | GAP_LINE | GAP_MESSAGE));
    }
    return out;
}

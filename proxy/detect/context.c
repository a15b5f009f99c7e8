/* Keywords round a value: which evidence and which counter-evidence is nearest. */
#include "room.h"

/* Extra distance: what stands behind a value says less than what stands before it, and a sentence
 * or a message between says less again. */
#define COST_AFTER 8
#define COST_SENTENCE 30
#define COST_MESSAGE 20
#define COST_NUMBER 20 /* a number between: the keyword may be its */
#define COST_TOPIC 24
#define TOPIC_REACH 16   /* a topic this near names the value: "factuur 123" */
#define BELONGS_ATOMS 8  /* words from a keyword to the topic it is for */
#define KEYS_SEEN_MAX 24 /* keywords looked at on each side */
#define DIRECT_REACH 48  /* characters between a keyword and the value it announces */
#define ANSWER_REACH 40  /* characters between the start of an answer and its value */
#define LIST_REACH 12    /* between two keywords of one list */
#define KEY_REACH 50     /* the same, the length of a keyword included */
#define BORDERS_MAX 120  /* atoms looked at between a keyword and a value */

/* First keyword at or behind atom i. */
static size_t key_from(const struct detect_scratch *s, uint32_t i)
{
    size_t low = 0, high = s->key_limit;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->keys[middle] < i)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct between {
    uint32_t cost;
    unsigned messages, sentences, numbers;
};

/* A full stop ends a sentence when a capital follows, and no abbreviation comes before: "rek. nr.
 * NL91". */
#define ABBREVIATION_MAX 4
static bool ends_sentence(const struct atom *a)
{
    if (a->before & GAP_LINE)
        return true;
    bool stop = (a->before & (GAP_DOT | GAP_OTHER)) == GAP_DOT;
    return (a->before & GAP_SENTENCE) &&
           (!stop || ((a->flags & ATOM_CAPITAL) && atom_size(a - 1) > ABBREVIATION_MAX));
}

/* What lies between atoms `from` and `to`, the gap before `to` included. */
static struct between look_between(const struct detect_scratch *s, uint32_t from, uint32_t to)
{
    struct between b = {0};
    for (uint32_t k = from + 1, n = 0; k <= to && n < BORDERS_MAX; k++, n++) {
        const struct atom *a = &s->atoms[k];
        if (ends_sentence(a)) {
            /* a line break right behind a keyword, or "BSN?", still announces */
            b.cost += k == from + 1 ? COST_SENTENCE / 6 : COST_SENTENCE;
            b.sentences += k != from + 1;
        }
        if (a->before & GAP_MESSAGE) {
            b.cost += COST_MESSAGE;
            b.messages++;
        }
        if (k < to && a->kind == ATOM_NUMBER && atom_size(a) > 2) {
            b.cost += COST_NUMBER;
            b.numbers++;
        }
    }
    return b;
}

/* Characters between the start of its message and the value. */
static uint32_t place_in_message(const struct detect_scratch *s, uint32_t first)
{
    uint32_t at = s->atoms[first].start;
    for (size_t k = s->segment_n; k-- > 0;)
        if (s->segments[k].start <= at)
            return at - s->segments[k].start;
    return at;
}

/* A topic ("dossier", "factuur", "code") is counter-evidence where it stands right before a value
 * or in its sentence; what was talked about in an earlier message, or a keyword's own second half
 * ("bsn code"), is not. Adds to the distance; CONTEXT_NONE: no evidence at all. */
static uint32_t topic_cost(const struct detect_scratch *s, uint32_t at, uint32_t want,
                           uint32_t away, const struct between *b)
{
    uint32_t bits = s->atoms[at].ctx;
    if (!(bits & WORD_PLAIN))
        return 0;
    /* verbs ("bel", "app") are evidence for a phone number, against nothing */
    if (b->messages > 0 || (at > 0 && (s->atoms[at - 1].ctx & want)) || (bits & CTX_PHONE))
        return CONTEXT_NONE;
    return away > TOPIC_REACH ? COST_TOPIC : 0;
}

struct nearest {
    uint32_t distance, at;
};

static void take(struct nearest *n, uint32_t distance, uint32_t at)
{
    if (distance < n->distance)
        *n = (struct nearest){distance, at};
}

static void look_before(const struct detect_scratch *s, uint32_t first, uint32_t want,
                        uint32_t counter, struct nearest *w, struct nearest *c, bool *direct)
{
    for (size_t k = key_from(s, first), seen = 0; k-- > 0 && seen < KEYS_SEEN_MAX; seen++) {
        uint32_t at = s->keys[k];
        uint32_t away = s->atoms[first].start - s->atoms[at].end;
        /* what lies further than the nearest of each kind decides nothing, save in a list with it
         */
        if (away > CONTEXT_REACH ||
            (w->distance != CONTEXT_NONE && away > w->distance + LIST_REACH) ||
            (c->distance != CONTEXT_NONE && away > c->distance + KEY_REACH))
            break;
        uint32_t bits = s->atoms[at].ctx;
        if ((bits & (want | counter)) == 0)
            continue;
        struct between b = look_between(s, at, first);
        if (bits & want) {
            take(w, away + b.cost, at);
            bool announces = away <= DIRECT_REACH && b.sentences == 0;
            bool answers = b.messages > 0 && place_in_message(s, first) <= ANSWER_REACH;
            if ((announces || answers) && b.numbers == 0 && c->distance == CONTEXT_NONE)
                *direct = true;
        } else {
            uint32_t cost = topic_cost(s, at, want, away, &b);
            if (cost != CONTEXT_NONE)
                take(c, away + b.cost + cost, at);
        }
    }
}

/* The keyword at atom `at` announces what follows it: "bsn: 1...", "bsn is 1...". */
static bool announces_next(const struct detect_scratch *s, uint32_t at)
{
    for (uint32_t k = at + 1, n = 0; k < s->atom_n && n < 4; k++, n++) {
        const struct atom *a = &s->atoms[k];
        if (a->before & (GAP_SENTENCE | GAP_LINE | GAP_MESSAGE | GAP_COMMA | GAP_PAREN))
            return false;
        if (a->kind == ATOM_NUMBER)
            return atom_size(a) > 3;
        if (!(a->ctx & (WORD_PLAIN | CNT_NUMBER)) && !(a->before & (GAP_COLON | GAP_EQUALS)))
            return false;
    }
    return false;
}

/* "bsn en klantnummer", "BSN/zaaknummer", "bsn of uw klantnr": two keywords of one list. */
static bool is_list(const struct detect_scratch *s, uint32_t a, uint32_t b)
{
    if (b - a > 3 || s->atoms[b].start - s->atoms[a].end > LIST_REACH)
        return false;
    for (uint32_t k = a + 1; k <= b; k++)
        if ((s->atoms[k].before & (GAP_SENTENCE | GAP_LINE | GAP_MESSAGE | GAP_COLON)) ||
            s->atoms[k].kind == ATOM_NUMBER)
            return false;
    if (b == a + 1)
        return (s->atoms[b].before & (GAP_SLASH | GAP_COMMA | GAP_OTHER | GAP_PLUS)) != 0;
    const uint8_t *link = s->norm + s->atoms[a + 1].start;
    uint8_t first = to_lower(link[0]), second = to_lower(link[1]);
    return (atom_size(&s->atoms[a + 1]) == 2 &&
            ((first == 'e' && second == 'n') ||
             (first == 'o' && (second == 'f' || second == 'r')))) ||
           (atom_size(&s->atoms[a + 1]) == 3 && first == 'a' && second == 'n');
}

static void look_after(const struct detect_scratch *s, uint32_t last, uint32_t want,
                       uint32_t counter, struct nearest *w, struct nearest *c)
{
    for (size_t k = key_from(s, last + 1), seen = 0; k < s->key_limit && seen < KEYS_SEEN_MAX;
         k++, seen++) {
        uint32_t at = s->keys[k];
        uint32_t away = s->atoms[at].start - s->atoms[last].end;
        if (away > CONTEXT_AFTER)
            break;
        uint32_t bits = s->atoms[at].ctx;
        if ((bits & (want | counter)) == 0)
            continue;
        struct between b = look_between(s, last, at);
        uint32_t distance =
            away + COST_AFTER + b.cost + (announces_next(s, at) ? COST_SENTENCE : 0);
        take(bits & want ? w : c, distance, at);
        if (w->distance != CONTEXT_NONE && c->distance != CONTEXT_NONE)
            break;
    }
}

static bool is_denial(const struct detect_scratch *s, const struct atom *a)
{
    static const char *const words[] = {"geen", "niet", "maar",  "wel",
                                        "not",  "no",   "nicht", "kein"};
    for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
        size_t n = strlen(words[k]);
        bool same = atom_size(a) == n;
        for (size_t c = 0; c < n && same; c++)
            same = to_lower(s->norm[a->start + c]) == (uint8_t)words[k][c];
        if (same)
            return true;
    }
    return false;
}

/* "bsn voor de aanvraag: 1...": the topic at atom `topic` is what the keyword before it is for. */
static bool belongs_to(const struct detect_scratch *s, uint32_t keyword, uint32_t topic)
{
    if (!(s->atoms[topic].ctx & WORD_PLAIN) || keyword >= topic || topic - keyword > BELONGS_ATOMS)
        return false;
    for (uint32_t k = keyword + 1; k <= topic; k++) {
        const struct atom *a = &s->atoms[k];
        if ((a->before & (GAP_COMMA | GAP_SENTENCE | GAP_LINE | GAP_MESSAGE | GAP_COLON)) ||
            a->kind == ATOM_NUMBER || is_denial(s, a))
            return false;
    }
    return true;
}

struct context context_of(const struct detect_scratch *s, uint32_t first, uint32_t last,
                          uint32_t want, uint32_t counter)
{
    struct nearest w = {CONTEXT_NONE, 0}, c = {CONTEXT_NONE, 0};
    struct context out = {.want = CONTEXT_NONE, .counter = CONTEXT_NONE};
    look_before(s, first, want, counter, &w, &c, &out.direct);
    look_after(s, last, want, counter, &w, &c);
    out.want = w.distance;
    out.counter = c.distance;
    if (w.distance != CONTEXT_NONE && c.distance != CONTEXT_NONE && c.at < first &&
        belongs_to(s, w.at, c.at))
        c.distance = out.counter = CONTEXT_NONE;
    if (w.distance != CONTEXT_NONE && c.distance != CONTEXT_NONE) {
        uint32_t a = w.at < c.at ? w.at : c.at, b = w.at < c.at ? c.at : w.at;
        out.listed = b < first && is_list(s, a, b);
    }
    return out;
}

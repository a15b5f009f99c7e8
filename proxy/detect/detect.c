/* The door: a run over one text and its window. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "room.h"

int detect_scratch_new(struct detect_scratch **out)
{
    struct detect_scratch *s = calloc(1, sizeof *s);
    if (!s)
        return SLUIS_ENOMEM;
    *out = s;
    return 0;
}

/* What is kept after a run: none of the text. */
static void scratch_wipe(struct detect_scratch *s)
{
    if (s->norm_n)
        explicit_bzero(s->norm, s->norm_n);
    s->norm_n = 0;
}

void detect_scratch_free(struct detect_scratch *s)
{
    if (!s)
        return;
    scratch_wipe(s);
    free(s->norm);
    free(s->from);
    free(s->to);
    free(s->atoms);
    free(s->keys);
    free(s->hits);
    free(s->kept);
    free(s->owner);
    pcre2_match_data_free(s->match);
    free(s);
}

static void scratch_start(struct detect_scratch *s)
{
    s->norm_n = 0;
    s->atom_n = 0;
    s->key_n = 0;
    s->hit_n = 0;
    s->segment_n = 0;
    s->number_n = 0;
    s->marks = 0;
    s->seen = 0;
    s->error = 0;
}

/* Words that turn a number of an earlier message into a finding. */
#define TELLS_BACK                                                                                 \
    (CTX_BSN | CTX_ACCOUNT | CTX_CARD | CTX_DOB | CTX_PLATE | CTX_DOCUMENT | CTX_DRIVING)
/* Earlier messages such words reach. */
#define TELLS_BACK_MESSAGES 2
/* Atoms before the text at which a value that runs on into it may begin. */
#define SPLIT_ATOMS 16

/* True when the current message can have no finding and say nothing about an earlier one. */
static bool is_quiet(const struct detector *d, const struct detect_scratch *s)
{
    uint32_t telling = TELLS_BACK | CTX_PASSWORD | WORD_AT;
    if (detector_wants(d, DETECT_NAME))
        telling |= CTX_NAME;
    if (detector_wants(d, DETECT_SPECIAL))
        telling |= WORD_SPECIAL;
    return s->number_n == 0 && !d->own && !(s->marks & (GAP_AT | GAP_ANGLE)) &&
           (s->seen & telling) == 0;
}

/* Recognisers that start at a number, and at any atom. */
static const struct {
    void (*find)(const struct detector *d, struct detect_scratch *s, uint32_t i);
    uint16_t type;
    bool any;
} finders[] = {
    {find_iban, DETECT_IBAN, false},
    {find_bsn, DETECT_BSN, false},
    {find_pan, DETECT_PAN, false},
    {find_phone, DETECT_PHONE, false},
    {find_dob, DETECT_DOB, false},
    {find_address, DETECT_ADDRESS, false},
    {find_location, DETECT_LOCATION, false},
    {find_plate, DETECT_LICENCE_PLATE, true},
    {find_document, DETECT_ID_DOCUMENT, true},
};
#define FINDERS (sizeof finders / sizeof *finders)

/* Bits of a word at which a recogniser may start. */
static void find_at_word(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    uint32_t bits = s->atoms[i].ctx;
    if ((bits & (CTX_PIN | CTX_CVC | CTX_CODE | CTX_PASSWORD)) && detector_wants(d, DETECT_SECRET))
        find_secret(d, s, i);
    if ((bits & WORD_AT) && detector_wants(d, DETECT_EMAIL))
        find_email_words(d, s, i);
    if ((bits & CTX_NAME) && detector_wants(d, DETECT_NAME))
        find_name(d, s, i);
    if ((bits & WORD_SPECIAL) && detector_wants(d, DETECT_SPECIAL))
        find_special(d, s, i);
}

static void find_from(const struct detector *d, struct detect_scratch *s, uint32_t from,
                      uint32_t to)
{
    bool numbers = s->number_n > 0;
    for (uint32_t i = from; i < to && s->error == 0; i++) {
        bool number = s->atoms[i].kind == ATOM_NUMBER;
        if (!number && (s->atoms[i].ctx))
            find_at_word(d, s, i);
        if (!numbers || (!number && atom_size(&s->atoms[i]) > 6))
            continue;
        for (size_t k = 0; k < FINDERS; k++)
            if ((number || finders[k].any) && detector_wants(d, finders[k].type))
                finders[k].find(d, s, i);
    }
}

/* True when all messages from norm `start` to `end` have one sender. */
static bool one_sender(const struct detect_scratch *s, uint32_t start, uint32_t end)
{
    bool customer = false, agent = false;
    for (size_t k = 0; k < s->segment_n; k++) {
        const struct segment *g = &s->segments[k];
        if (g->end <= start || g->start >= end)
            continue;
        customer |= g->customer;
        agent |= !g->customer;
    }
    return !(customer && agent);
}

/* Values that begin in earlier messages: those that run on into the text, and those that a word of
 * the text has explained. What was known without the text has been found in its own turn. */
static void find_earlier(const struct detector *d, struct detect_scratch *s)
{
    uint32_t from = s->text_atom > SPLIT_ATOMS ? s->text_atom - SPLIT_ATOMS : 0;
    size_t keys = s->key_n;
    size_t known = 0;
    bool tells = (s->seen_text & TELLS_BACK) != 0;
    if (tells) {
        size_t k = s->segment_n > TELLS_BACK_MESSAGES ? s->segment_n - 1 - TELLS_BACK_MESSAGES : 0;
        while (from > 0 && s->atoms[from - 1].start >= s->segments[k].start)
            from--;
        while (s->key_limit > 0 && s->keys[s->key_limit - 1] >= s->text_atom)
            s->key_limit--;
        find_from(d, s, from, s->text_atom);
        s->key_limit = keys;
        known = s->hit_n;
    }
    find_from(d, s, from, s->text_atom);
    if (s->hit_n == 0)
        return;
    size_t kept = 0;
    for (size_t k = known; k < s->hit_n; k++) {
        struct hit h = s->hits[k];
        bool keep = h.end > s->text_start && one_sender(s, h.start, h.end);
        if (h.end <= s->text_start && tells) {
            keep = true;
            for (size_t j = 0; j < known && keep; j++)
                keep = s->hits[j].type != h.type || s->hits[j].start >= h.end ||
                       s->hits[j].end <= h.start;
        }
        if (keep)
            s->hits[known + kept++] = h;
    }
    if (kept)
        memmove(s->hits, s->hits + known, kept * sizeof *s->hits);
    s->hit_n = kept;
}

/* Hits whose value is looked for again, and the least length of such a value. */
#define REPEATS_MAX 32
#define REPEAT_MIN 6

static bool is_solid(uint8_t c)
{
    return is_letter(c) || is_digit(c);
}

/* What one place has shown to be personal data is so everywhere in the text: the same characters,
 * standing free, are found again without their context. */
static void find_repeats(const struct detector *d, struct detect_scratch *s)
{
    const uint32_t kinds = 1u << DETECT_IBAN | 1u << DETECT_BSN | 1u << DETECT_PAN |
                           1u << DETECT_ID_DOCUMENT | 1u << DETECT_SECRET;
    size_t hits = s->hit_n;
    for (size_t k = 0, n = 0; k < hits && n < REPEATS_MAX; k++) {
        struct hit h = s->hits[k];
        if (h.end <= s->text_start)
            continue;
        if (h.start < s->text_start) /* of a value in two messages, the part in this one */
            h.start = s->text_start;
        uint32_t size = h.end - h.start;
        if (h.type >= DETECT_OWN || !(kinds >> h.type & 1) || size < REPEAT_MIN)
            continue;
        n++;
        uint32_t at = s->text_start;
        const uint8_t *p;
        while ((p = memmem(s->norm + at, s->norm_n - at, s->norm + h.start, size)) != NULL) {
            uint32_t start = (uint32_t)(p - s->norm);
            at = start + size;
            bool free_before = start == 0 || !is_solid(s->norm[start - 1]);
            bool free_behind = at >= s->norm_n || !is_solid(s->norm[at]);
            if (start != h.start && free_before && free_behind)
                hit_add(d, s, start, at, h.type, h.score, "repeated");
        }
    }
}

static int find_all(const struct detector *d, struct detect_scratch *s)
{
    s->key_limit = s->key_n;
    if (s->text_atom > 0) {
        find_earlier(d, s);
        /* what earlier messages ask for */
        if (detector_wants(d, DETECT_SECRET))
            for (size_t k = s->key_n; k-- > 0;) {
                if (s->keys[k] >= s->text_atom)
                    continue;
                if (s->text_atom - s->keys[k] > 40)
                    break;
                find_secret(d, s, s->keys[k]);
            }
    }
    find_from(d, s, s->text_atom, (uint32_t)s->atom_n);
    if ((s->marks & GAP_AT) && detector_wants(d, DETECT_EMAIL)) {
        const struct segment *g = &s->segments[s->segment_n - 1];
        for (uint32_t i = g->start; i < g->end; i++)
            if (s->norm[i] == '@')
                find_email(d, s, i);
    }
    if ((s->marks & GAP_ANGLE) && detector_wants(d, DETECT_ID_DOCUMENT))
        find_mrz(d, s);
    if (detector_wants(d, DETECT_SECRET))
        find_expiry(d, s);
    if (s->hit_n > 0)
        find_repeats(d, s);
    int error = s->error == 0 && d->own ? find_own(d, s) : 0;
    return error ? error : s->error;
}

/* Hits to findings: cut at message borders, offsets of the original. What is cut is a rest: of each
 * half of a card number the last four would show eight. */
static int emit(const struct detect_scratch *s, struct finding *out, size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < s->hit_n; i++) {
        const struct hit *h = &s->hits[i];
        for (size_t k = 0; k < s->segment_n; k++) {
            const struct segment *g = &s->segments[k];
            uint32_t start = h->start > g->start ? h->start : g->start;
            uint32_t end = h->end < g->end ? h->end : g->end;
            if (start >= end)
                continue;
            if (n == most)
                return SLUIS_ELIMIT;
            out[n++] = (struct finding){
                .start = g->plain ? start - g->start : s->from[start],
                .end = g->plain ? end - g->start : s->to[end - 1],
                .type = h->type,
                .score = h->score,
                .back = g->back,
                .rest = h->rest || start != h->start || end != h->end,
                .also = h->also,
                .evidence = h->evidence,
            };
        }
    }
    return (int)n;
}

static int add_segment(const struct detector *d, struct detect_scratch *s, struct span text,
                       bool customer, uint8_t back)
{
    int error = norm_add(s, text, customer, back);
    return error ? error : atoms_add(s, d->words, &s->segments[s->segment_n - 1]);
}

/* The earlier messages that count, newest first. */
static size_t window_of(const struct detect_input *input)
{
    size_t n = 0, bytes = 0;
    while (n < input->earlier_count && n < DETECT_WINDOW_MESSAGES) {
        const struct detect_message *m = &input->earlier[n];
        int64_t age = input->at_ms - m->at_ms;
        if (age > (int64_t)DETECT_WINDOW_MINUTES * 60 * 1000 ||
            bytes + m->text.n > DETECT_WINDOW_BYTES)
            break;
        bytes += m->text.n;
        n++;
    }
    return n;
}

static bool has_digit(struct span text)
{
    for (size_t k = 0; k < text.n; k++)
        if (is_digit((uint8_t)text.p[k]) || (uint8_t)text.p[k] >= 0x80)
            return true;
    return false;
}

/* The message ends in a few digits, perhaps with letters of an IBAN behind them: a value may go on
 * in the next one. */
#define OPEN_DIGITS_MAX 8
#define OPEN_LETTERS_MAX 4

static bool ends_open(struct span text)
{
    size_t k = text.n, letters = 0, digits = 0;
    while (k > 0 && !is_digit((uint8_t)text.p[k - 1]) && (uint8_t)text.p[k - 1] < 0x80 &&
           letters <= OPEN_LETTERS_MAX) {
        letters += is_letter((uint8_t)text.p[k - 1]);
        k--;
    }
    while (k > 0 && is_digit((uint8_t)text.p[k - 1])) {
        digits++;
        k--;
    }
    return letters <= OPEN_LETTERS_MAX && digits > 0 && digits <= OPEN_DIGITS_MAX;
}

/* The order in which the window is read, oldest first. A remark without digits from the other side
 * between two messages of the sender ("go on") is read before them, so that a value typed in parts
 * stays together. `order` holds indices into `earlier`. */
static void window_order(const struct detect_input *input, size_t n, size_t *order)
{
    for (size_t k = 0; k < n; k++)
        order[k] = n - 1 - k;
    size_t between = 0;
    while (between < n && input->earlier[between].from_customer != input->from_customer &&
           !has_digit(input->earlier[between].text))
        between++;
    if (between == 0 || between == n || !ends_open(input->earlier[between].text) ||
        input->earlier[between].from_customer != input->from_customer)
        return;
    /* the sender's own last message moves behind the remarks */
    for (size_t k = n - 1 - between; k + 1 < n; k++)
        order[k] = order[k + 1];
    order[n - 1] = between;
}

static int read_window(const struct detector *d, struct detect_scratch *s,
                       const struct detect_input *input, size_t window)
{
    size_t order[DETECT_WINDOW_MESSAGES] = {0};
    window_order(input, window, order);
    scratch_wipe(s);
    scratch_start(s);
    for (size_t k = 0; k < window; k++) {
        const struct detect_message *m = &input->earlier[order[k]];
        int error = add_segment(d, s, m->text, m->from_customer, (uint8_t)(order[k] + 1));
        if (error)
            return error;
    }
    s->text_atom = (uint32_t)s->atom_n;
    return add_segment(d, s, input->text, input->from_customer, 0);
}

/* A message without digits may begin with the last letters of an IBAN (Malta's, Mauritius's) whose
 * digits end the message before it. */
#define TAIL_BYTES 48 /* looked at of that message */
#define TAIL_DIGITS 6

static bool may_be_tail(const struct detect_input *input)
{
    if (input->text.n == 0 || input->earlier_count == 0 ||
        input->earlier[0].from_customer != input->from_customer)
        return false;
    struct span before = input->earlier[0].text;
    struct span end = span_from(before, before.n > TAIL_BYTES ? before.n - TAIL_BYTES : 0);
    unsigned digits = 0;
    for (size_t k = 0; k < end.n; k++)
        digits += is_digit((uint8_t)end.p[k]) || (uint8_t)end.p[k] >= 0x80;
    return digits >= TAIL_DIGITS;
}

static int by_place(const void *left, const void *right)
{
    const struct finding *a = left, *b = right;
    if (a->back != b->back)
        return a->back < b->back ? -1 : 1;
    return (a->start > b->start) - (a->start < b->start);
}

int detect_run(const struct detector *d, struct detect_scratch *s, const struct detect_input *input,
               struct finding *out, size_t most)
{
    if (input->text.n > DETECT_TEXT_MAX)
        return SLUIS_ELIMIT;
    scratch_start(s);
    s->text_atom = 0;
    int result = add_segment(d, s, input->text, input->from_customer, 0);
    if (result != 0 || (is_quiet(d, s) && !may_be_tail(input)))
        goto out;
    size_t window = window_of(input);
    if (window > 0) {
        result = read_window(d, s, input, window);
        if (result != 0)
            goto out;
    }
    s->text_start = s->segments[s->segment_n - 1].start;
    result = find_all(d, s);
    if (result != 0)
        goto out;
    result = hits_resolve(s);
    if (result != 0)
        goto out;
    result = emit(s, out, most);
    if (result > 1 && window > 0)
        qsort(out, (size_t)result, sizeof *out, by_place);
out:
    scratch_wipe(s);
    return result;
}

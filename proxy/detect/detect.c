/* The door: a run over one text and its window. */
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
    s->has_at = false;
    s->seen = 0;
    s->error = 0;
}

/* True when the current message alone can have no finding and give no evidence to an earlier one.
 */
static bool is_quiet(const struct detect_scratch *s)
{
    return s->number_n == 0 && !s->has_at && (s->seen & CTX_ANY) == 0;
}

static void find_all(const struct detector *d, struct detect_scratch *s)
{
    for (uint32_t i = 0; i < s->atom_n; i++) {
        if (s->atoms[i].kind != ATOM_NUMBER)
            continue;
        if (detector_wants(d, DETECT_IBAN))
            find_iban(d, s, i);
        if (detector_wants(d, DETECT_BSN))
            find_bsn(d, s, i);
        if (detector_wants(d, DETECT_PAN))
            find_pan(d, s, i);
        if (detector_wants(d, DETECT_PHONE))
            find_phone(d, s, i);
    }
    if (s->has_at && detector_wants(d, DETECT_EMAIL)) {
        const struct segment *g = &s->segments[s->segment_n - 1];
        for (uint32_t i = g->start; i < g->end; i++)
            if (s->norm[i] == '@')
                find_email(d, s, i);
    }
}

/* Hits to findings: cut at message borders, offsets of the original. */
static int emit(const struct detect_scratch *s, struct finding *out, size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < s->hit_n; i++) {
        const struct hit *h = &s->hits[i];
        for (size_t k = 0; k < s->segment_n; k++) {
            const struct segment *g = &s->segments[k];
            uint32_t start = h->start > g->start ? h->start : g->start;
            uint32_t end = h->end < g->end ? h->end : g->end;
            if (start >= end || h->end <= s->text_start)
                continue;
            if (n == most)
                return SLUIS_ELIMIT;
            out[n++] = (struct finding){
                .start = g->plain ? start - g->start : s->from[start],
                .end = g->plain ? end - g->start : s->to[end - 1],
                .type = h->type,
                .score = h->score,
                .back = g->back,
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

int detect_run(const struct detector *d, struct detect_scratch *s, const struct detect_input *input,
               struct finding *out, size_t most)
{
    if (input->text.n > DETECT_TEXT_MAX)
        return SLUIS_ELIMIT;
    scratch_start(s);
    int result = add_segment(d, s, input->text, input->from_customer, 0);
    if (result != 0 || is_quiet(s))
        goto out;
    size_t window = window_of(input);
    if (window > 0) {
        scratch_wipe(s);
        scratch_start(s);
        for (size_t k = window; k-- > 0 && result == 0;)
            result = add_segment(d, s, input->earlier[k].text, input->earlier[k].from_customer,
                                 (uint8_t)(k + 1));
        if (result == 0)
            result = add_segment(d, s, input->text, input->from_customer, 0);
        if (result != 0)
            goto out;
    }
    s->text_start = s->segments[s->segment_n - 1].start;
    find_all(d, s);
    result = s->error;
    if (result != 0)
        goto out;
    hits_resolve(s);
    result = emit(s, out, most);
out:
    scratch_wipe(s);
    return result;
}

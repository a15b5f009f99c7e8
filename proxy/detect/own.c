/*
 * A policy's own recognisers: PCRE2 patterns over the normal form, a validator, words round the
 * value.
 *
 * Time: PCRE2's match limit counts steps per starting place, so the subject is cut in windows and a
 * match that needs more than OWN_MATCH_LIMIT steps at one place is an engine error (SLUIS_EJUDGE:
 * nothing is shown). So that this does not happen on real traffic, a pattern must get through an
 * abuse corpus at load with a tenth of that limit.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "room.h"

#define OWN_PATTERNS_MAX 16  /* of one recogniser */
#define OWN_PATTERN_MAX 512  /* bytes of one pattern */
#define OWN_WORDS_MAX 64     /* context and counter words of one recogniser */
#define OWN_MATCH_LIMIT 5000 /* steps at one place */
#define OWN_ABUSE_LIMIT 500
#define OWN_HEAP_LIMIT 512 /* KiB */
#define OWN_WINDOW 1024    /* characters of a subject */
#define OWN_OVERLAP 128    /* of two windows; no value of an own recogniser is longer */
#define OWN_REACH 80       /* characters to a context word */
#define OWN_CONTEXT_BONUS 300
#define OWN_COUNTER_MALUS 400
#define OWN_FROM 700 /* findings below are not reported, as the default threshold */
/* Characters of an abuse text: more than the limit's steps, and no more than that needs. What stays
 * below OWN_ABUSE_LIMIT here, and grows by less than the fifth power, stays below OWN_MATCH_LIMIT
 * in a window. */
#define OWN_ABUSE_N 640
/* Items tried for all patterns together: 512 usual ones take 27 million and 0.7 s, what is refused
 * 5 s. */
#define OWN_ABUSE_STEPS (32u * 1000 * 1000)

enum validator { VALID_NONE, VALID_LUHN, VALID_MOD97, VALID_ELFPROEF, VALID_MOD11, VALIDATORS };
static const char *const validator_words[VALIDATORS] = {"none", "luhn", "mod97", "elfproef",
                                                        "mod11"};
static const char *const evidence[VALIDATORS][2] = {
    {"pattern", "pattern+context"},
    {"pattern+luhn", "pattern+luhn+context"},
    {"pattern+mod97", "pattern+mod97+context"},
    {"pattern+elfproef", "pattern+elfproef+context"},
    {"pattern+mod11", "pattern+mod11+context"},
};

struct own {
    char *name;
    pcre2_code *codes[OWN_PATTERNS_MAX];
    size_t code_n;
    enum validator validator;
    uint32_t context[OWN_WORDS_MAX], counter[OWN_WORDS_MAX]; /* word hashes */
    size_t context_n, counter_n;
    uint16_t score;
};
struct own_set {
    struct own own[DETECT_OWN_MAX];
    size_t n;
    pcre2_match_context *limits;
    uint32_t steps; /* left for the abuse corpus */
};

/* Letters only: "A-nummer" is told from its two atoms. */
static uint32_t hash_word(const char *word)
{
    uint32_t h = WORD_HASH_START;
    for (; *word; word++)
        if (is_letter((uint8_t)*word))
            h = word_hash_add(h, (uint8_t)*word | 0x20);
    return h;
}

static int refuse(struct diag *diag, const char *name, const char *why)
{
    diag_set(diag, "", 0, 0, "recogniser %s: %s", name, why);
    return SLUIS_EINVAL;
}

/* One abuse subject: the text must be judged within the limit. */
static bool bears(const pcre2_code *code, const char *text, size_t n, pcre2_match_data *match,
                  pcre2_match_context *limits)
{
    /* the interpreter: its limit counts every step */
    int rc = pcre2_match(code, (PCRE2_SPTR)text, n, 0, PCRE2_NO_JIT, match, limits);
    return rc >= 0 || rc == PCRE2_ERROR_NOMATCH;
}

/* At each item of a pattern (PCRE2_AUTO_CALLOUT): a policy of many patterns, each just quick
 * enough, must not take minutes to load. Counted, not timed: the same policy is refused everywhere.
 */
static int count_step(pcre2_callout_block *block, void *ctx)
{
    uint32_t *left = ctx;
    (void)block;
    if (*left == 0)
        return PCRE2_ERROR_CALLOUT;
    (*left)--;
    return 0;
}

/* The abuse corpus: the same characters over and over, alone, in pairs and with a spoiler at the
 * end; each literal of the pattern itself too, since those feed its loops. */
static bool survives_abuse(const pcre2_code *code, const char *pattern, pcre2_match_data *match,
                           pcre2_match_context *limits)
{
    static const char *const units[] = {"a",  "1",  " ",   "A",   "-",   ".",    "a1",  "1 ",
                                        "1-", "1.", "aA1", "a b", "ab.", "1a-1", "\n",  "\x80",
                                        "@",  "a@", "a.",  "A1 ", "0",   "00 ",  "__a", "/"};
    char text[OWN_ABUSE_N];
    bool seen[256] = {false};
    size_t fixed = sizeof units / sizeof *units, own = strlen(pattern);
    for (size_t u = 0; u < fixed + own; u++) {
        const char *unit = u < fixed ? units[u] : pattern + (u - fixed);
        size_t unit_n = u < fixed ? strlen(unit) : 1;
        if (unit_n == 1 && seen[(uint8_t)*unit])
            continue;
        seen[(uint8_t)*unit] |= unit_n == 1;
        for (size_t k = 0; k < sizeof text; k++)
            text[k] = unit[k % unit_n];
        if (!bears(code, text, sizeof text, match, limits))
            return false;
        text[sizeof text - 1] = '\x81';
        if (!bears(code, text, sizeof text, match, limits))
            return false;
    }
    return true;
}

static int load_pattern(struct own_set *set, struct own *o, const char *pattern, struct diag *diag)
{
    if (strlen(pattern) > OWN_PATTERN_MAX)
        return refuse(diag, o->name, "a pattern is longer than 512 bytes");
    int code = 0;
    PCRE2_SIZE offset = 0;
    uint32_t options = PCRE2_CASELESS | PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C;
    pcre2_code *re =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &code, &offset, NULL);
    if (!re) {
        PCRE2_UCHAR message[160];
        pcre2_get_error_message(code, message, sizeof message);
        diag_set(diag, "", 0, 0, "recogniser %s: %s at character %zu of its pattern", o->name,
                 (const char *)message, (size_t)offset + 1);
        return SLUIS_EINVAL;
    }
    o->codes[o->code_n++] = re;
    uint32_t back = 0, empty = 0;
    pcre2_pattern_info(re, PCRE2_INFO_BACKREFMAX, &back);
    pcre2_pattern_info(re, PCRE2_INFO_MATCHEMPTY, &empty);
    if (back)
        return refuse(diag, o->name, "back references are not allowed");
    if (empty)
        return refuse(diag, o->name, "the pattern matches the empty text");
    pcre2_match_data *match = pcre2_match_data_create(4, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    int error = SLUIS_ENOMEM;
    if (match && limits) {
        pcre2_set_match_limit(limits, OWN_ABUSE_LIMIT);
        pcre2_set_heap_limit(limits, OWN_HEAP_LIMIT);
        pcre2_set_callout(limits, count_step, &set->steps);
        error = 0;
        /* without the shortcuts that a text with the right letter in the wrong place would defeat
         */
        pcre2_code *bare = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                         options | PCRE2_NO_START_OPTIMIZE | PCRE2_AUTO_CALLOUT,
                                         &code, &offset, NULL);
        if (!bare)
            error = SLUIS_ENOMEM;
        else if (!survives_abuse(bare, pattern, match, limits))
            error = refuse(diag, o->name,
                           set->steps ? "the pattern takes too long on repeated characters; bound "
                                        "its loops"
                                      : "with this one the patterns together take too long on "
                                        "repeated characters; bound their loops");
        pcre2_code_free(bare);
    }
    pcre2_match_data_free(match);
    pcre2_match_context_free(limits);
    if (error == 0)
        (void)pcre2_jit_compile(re, PCRE2_JIT_COMPLETE); /* without JIT it is only slower */
    return error;
}

static int load_own(struct own_set *set, struct own *o, const struct detect_own *from,
                    struct diag *diag)
{
    o->name = strdup(from->name ? from->name : "");
    if (!o->name)
        return SLUIS_ENOMEM;
    if (!*o->name || detect_type_of(span_str(o->name)) != DETECT_TYPES_MAX)
        return refuse(diag, o->name, "its name is empty or that of a built-in type");
    if (from->pattern_count == 0 || from->pattern_count > OWN_PATTERNS_MAX)
        return refuse(diag, o->name, "1 to 16 patterns are expected");
    if (from->context_count > OWN_WORDS_MAX || from->counter_count > OWN_WORDS_MAX)
        return refuse(diag, o->name, "at most 64 context and 64 counter words");
    if (from->score > 1000)
        return refuse(diag, o->name, "the score is above 1");
    while (o->validator < VALIDATORS &&
           strcmp(validator_words[o->validator], from->validator ? from->validator : "none") != 0)
        o->validator++;
    if (o->validator == VALIDATORS)
        return refuse(diag, o->name, "validator is one of luhn, mod97, elfproef, mod11, none");
    o->score = from->score;
    for (size_t k = 0; k < from->context_count; k++)
        o->context[o->context_n++] = hash_word(from->context[k]);
    for (size_t k = 0; k < from->counter_count; k++)
        o->counter[o->counter_n++] = hash_word(from->counter[k]);
    for (size_t k = 0; k < from->pattern_count; k++) {
        int error = load_pattern(set, o, from->patterns[k], diag);
        if (error)
            return error;
    }
    return 0;
}

int own_set_new(const struct detect_settings *settings, struct own_set **out, struct diag *diag)
{
    *out = NULL;
    if (settings->own_count == 0)
        return 0;
    if (settings->own_count > DETECT_OWN_MAX) {
        diag_set(diag, "", 0, 0, "more than %d own recognisers", DETECT_OWN_MAX);
        return SLUIS_EINVAL;
    }
    struct own_set *set = calloc(1, sizeof *set);
    if (!set)
        return SLUIS_ENOMEM;
    int error = 0;
    set->steps = OWN_ABUSE_STEPS;
    set->limits = pcre2_match_context_create(NULL);
    if (!set->limits)
        error = SLUIS_ENOMEM;
    else {
        pcre2_set_match_limit(set->limits, OWN_MATCH_LIMIT);
        pcre2_set_heap_limit(set->limits, OWN_HEAP_LIMIT);
    }
    for (size_t k = 0; k < settings->own_count && error == 0; k++) {
        set->n++;
        error = load_own(set, &set->own[k], &settings->own[k], diag);
        for (size_t j = 0; j < k && error == 0; j++)
            if (strcmp(set->own[j].name, set->own[k].name) == 0)
                error = refuse(diag, set->own[k].name, "the name is used twice");
    }
    if (error) {
        own_set_free(set);
        return error;
    }
    *out = set;
    return 0;
}

void own_set_free(struct own_set *set)
{
    if (!set)
        return;
    for (size_t k = 0; k < set->n; k++) {
        free(set->own[k].name);
        for (size_t c = 0; c < set->own[k].code_n; c++)
            pcre2_code_free(set->own[k].codes[c]);
    }
    pcre2_match_context_free(set->limits);
    free(set);
}

const char *own_set_name(const struct own_set *set, unsigned index)
{
    return set && index < set->n ? set->own[index].name : NULL;
}

static bool validate(enum validator v, const uint8_t *text, size_t n)
{
    uint8_t compact[64];
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = to_upper(text[i]);
        if (v == VALID_MOD97 ? is_digit(c) || is_upper(c) : is_digit(c)) {
            if (k == sizeof compact)
                return false;
            compact[k++] = c;
        }
    }
    switch (v) {
    case VALID_LUHN:
        return check_luhn(compact, k);
    case VALID_MOD97:
        return check_mod97(compact, k);
    case VALID_ELFPROEF:
        return check_elfproef(compact, k);
    case VALID_MOD11:
        return check_mod11(compact, k);
    case VALID_NONE:
    case VALIDATORS:
        break;
    }
    return true;
}

/* One of the words within reach of norm [start, end). */
static bool word_near(const struct detect_scratch *s, const uint32_t *words, size_t n,
                      uint32_t start, uint32_t end)
{
    if (n == 0)
        return false;
    size_t low = 0, high = s->atom_n;
    uint32_t from = start > OWN_REACH ? start - OWN_REACH : 0;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->atoms[middle].start < from)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t k = low; k < s->atom_n && s->atoms[k].start <= end + OWN_REACH; k++) {
        const struct atom *a = &s->atoms[k];
        if (a->kind != ATOM_WORD || (a->start < end && a->end > start))
            continue;
        uint32_t pair = a->word; /* with the word behind it, "A-nummer" */
        if (k + 1 < s->atom_n && s->atoms[k + 1].kind == ATOM_WORD && s->atoms[k + 1].gap <= 1)
            for (uint32_t c = s->atoms[k + 1].start; c < s->atoms[k + 1].end; c++)
                if (is_letter(s->norm[c]))
                    pair = word_hash_add(pair, s->norm[c] | 0x20);
        for (size_t w = 0; w < n; w++)
            if (a->word == words[w] || pair == words[w])
                return true;
    }
    return false;
}

static void judge(const struct detector *d, struct detect_scratch *s, const struct own *o,
                  unsigned index, uint32_t start, uint32_t end)
{
    if (end - start > OWN_OVERLAP || !validate(o->validator, s->norm + start, end - start))
        return;
    bool context = word_near(s, o->context, o->context_n, start, end);
    int score = o->score;
    if (context)
        score += OWN_CONTEXT_BONUS;
    if (word_near(s, o->counter, o->counter_n, start, end))
        score -= OWN_COUNTER_MALUS;
    if (score < OWN_FROM)
        return;
    hit_add(d, s, start, end, DETECT_OWN + index, (unsigned)score, evidence[o->validator][context]);
}

static int find_pattern(const struct detector *d, struct detect_scratch *s, const struct own *o,
                        unsigned index, const pcre2_code *code)
{
    const struct segment *g = &s->segments[s->segment_n - 1];
    for (uint32_t from = g->start; from < g->end; from += OWN_WINDOW - OWN_OVERLAP) {
        uint32_t to = g->end - from > OWN_WINDOW ? from + OWN_WINDOW : g->end;
        /* the start of the message is seen by look-behind: the subject begins a little earlier */
        uint32_t subject = from - g->start > 8 ? from - 8 : g->start;
        size_t at = from - subject;
        uint32_t options = to < g->end ? PCRE2_NOTEOL : 0;
        if (subject > g->start)
            options |= PCRE2_NOTBOL;
        for (;;) {
            int rc = pcre2_match(code, s->norm + subject, to - subject, at, options, s->match,
                                 d->own->limits);
            if (rc == PCRE2_ERROR_NOMATCH)
                break;
            if (rc < 0)
                return SLUIS_EJUDGE;
            const PCRE2_SIZE *v = pcre2_get_ovector_pointer(s->match);
            /* a \K may turn the ends round */
            if (v[1] <= v[0] || v[1] <= at)
                break;
            /* cut off by the window's end: the next window sees it whole */
            if (to == g->end || v[1] < to - subject)
                judge(d, s, o, index, subject + (uint32_t)v[0], subject + (uint32_t)v[1]);
            at = v[1];
        }
        if (to == g->end)
            break;
    }
    return 0;
}

int find_own(const struct detector *d, struct detect_scratch *s)
{
    if (!s->match) {
        s->match = pcre2_match_data_create(4, NULL);
        if (!s->match)
            return SLUIS_ENOMEM;
    }
    for (unsigned k = 0; k < d->own->n; k++) {
        const struct own *o = &d->own->own[k];
        for (size_t c = 0; c < o->code_n; c++) {
            int error = find_pattern(d, s, o, k, o->codes[c]);
            if (error)
                return error;
        }
    }
    return 0;
}

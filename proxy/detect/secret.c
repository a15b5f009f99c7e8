/* Secrets: PIN, card check code, password, one-time code, each by its keyword; expiry by its card.
 */
#include "room.h"

#define SECRET_ATOMS 8   /* atoms between a keyword and its number */
#define SECRET_REACH 60  /* characters */
#define PASSWORD_WORDS 6 /* words between "wachtwoord" and the password */
#define PASSWORD_MIN 3
#define PASSWORD_MAX 64
#define EXPIRY_REACH 60 /* characters between a card number and its expiry */

struct number_rule {
    uint32_t ctx;
    uint8_t least, most; /* digits */
    const char *evidence;
};
static const struct number_rule rules[] = {
    {CTX_PIN, 4, 8, "pin+context"},
    {CTX_CVC, 3, 4, "cvc+context"},
    {CTX_CODE, 4, 8, "code+context"},
    {CTX_PASSWORD, 4, 12, "password+context"},
};

static const struct number_rule *rule_for(uint32_t bits, uint32_t digits)
{
    for (size_t k = 0; k < sizeof rules / sizeof *rules; k++)
        if ((bits & rules[k].ctx) && digits >= rules[k].least && digits <= rules[k].most)
            return &rules[k];
    return NULL;
}

/* A number that is plainly something else: part of a date, an amount, a time, a longer row. */
static bool is_other(const struct detect_scratch *s, uint32_t k)
{
    const struct atom *a = &s->atoms[k];
    uint32_t last = 0;
    if (read_date(s, k, &last) && last != k)
        return true;
    if (k > 0 && s->atoms[k - 1].kind == ATOM_NUMBER && a->gap == 1 &&
        (a->before & (GAP_DOT | GAP_DASH | GAP_COMMA | GAP_SLASH | GAP_COLON)))
        return true;
    if (k + 1 < s->atom_n) {
        const struct atom *next = &s->atoms[k + 1];
        if (next->gap == 0 || (next->kind == ATOM_NUMBER && next->gap == 1 &&
                               (next->before & (GAP_DASH | GAP_COMMA | GAP_SLASH | GAP_COLON))))
            return true;
        if (next->ctx & CNT_AMOUNT)
            return true;
    }
    return (a->before & GAP_MONEY) != 0 ||
           (k > 0 && a->gap == 0 && !(s->atoms[k - 1].ctx & CTX_ANY));
}

/* A year after "sinds", "in", "van". */
static bool is_year(const struct detect_scratch *s, uint32_t k)
{
    const struct atom *a = &s->atoms[k];
    if (atom_size(a) != 4 || k == 0 || s->atoms[k - 1].kind != ATOM_WORD)
        return false;
    uint32_t v = atom_number(s, a);
    if (v < 1950 || v > 2040)
        return false;
    const struct atom *w = &s->atoms[k - 1];
    uint8_t first = to_lower(s->norm[w->start]);
    return (atom_size(w) == 2 && first == 'i' && to_lower(s->norm[w->start + 1]) == 'n') ||
           (atom_size(w) == 5 && first == 's') || (w->ctx & WORD_MONTH);
}

/* The number this keyword announces, split in two groups at most; 0 when there is none. */
static bool find_number(const struct detector *d, struct detect_scratch *s, uint32_t i,
                        uint32_t from)
{
    uint32_t bits = s->atoms[i].ctx;
    for (uint32_t k = from; k < s->atom_n && k - from < SECRET_ATOMS; k++) {
        const struct atom *a = &s->atoms[k];
        if (k > from && (a->before & (GAP_SENTENCE | GAP_MESSAGE)) && !(a->before & GAP_COLON))
            return false;
        if (a->start - s->atoms[from].start > SECRET_REACH)
            return false;
        if (a->kind == ATOM_WORD) {
            if (k > i && (a->ctx & (WORD_KEY & ~(bits | CNT_NUMBER | CTX_PHONE))) &&
                !(a->ctx & (CTX_CARD | CTX_ACCOUNT)))
                return false;
            continue;
        }
        uint32_t last = k;
        uint32_t n = atom_size(a);
        if (n == 3 && k + 1 < s->atom_n && s->atoms[k + 1].kind == ATOM_NUMBER &&
            atom_size(&s->atoms[k + 1]) == 3 && gap_joins(&s->atoms[k + 1], GAP_SPACE | GAP_DASH) &&
            (bits & CTX_CODE)) {
            last = k + 1;
            n = 6;
        }
        const struct number_rule *rule = rule_for(bits, n);
        if (!rule || is_other(s, k) || is_year(s, k)) {
            if (n <= 2)
                continue;
            return false;
        }
        hit_add(d, s, a->start, s->atoms[last].end, DETECT_SECRET, 900, rule->evidence);
        return true;
    }
    return false;
}

/* "1234 is mijn pincode". */
static void find_number_before(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    uint32_t bits = s->atoms[i].ctx;
    for (uint32_t k = i, n = 0; k-- > 0 && n < 5; n++) {
        const struct atom *a = &s->atoms[k];
        if (s->atoms[i].start - a->end > 24 || (s->atoms[k + 1].before & (GAP_LINE | GAP_MESSAGE)))
            return;
        if (a->kind == ATOM_WORD) {
            if (a->ctx & WORD_KEY & ~(bits | CNT_NUMBER))
                return;
            continue;
        }
        const struct number_rule *rule = rule_for(bits, atom_size(a));
        if (rule && !is_other(s, k) && !is_year(s, k))
            hit_add(d, s, a->start, a->end, DETECT_SECRET, 750, rule->evidence);
        return;
    }
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == NORM_MESSAGE;
}

struct token {
    uint32_t start, end;
    bool digit, letter, special, upper_inside;
};

/* The next token between spaces; closing punctuation is left out. */
static bool read_token(const struct detect_scratch *s, uint32_t at, struct token *t)
{
    const uint8_t *norm = s->norm;
    while (at < s->norm_n && (is_space(norm[at]) || norm[at] == '"' || norm[at] == '\'' ||
                              norm[at] == '(' || norm[at] == '['))
        at++;
    *t = (struct token){.start = at, .end = at};
    while (t->end < s->norm_n && t->end - at < PASSWORD_MAX && !is_space(norm[t->end]))
        t->end++;
    while (t->end > at && strchr(".,;:)\"'?]", norm[t->end - 1]) && norm[t->end - 1] < 0x80)
        t->end--;
    for (uint32_t k = at; k < t->end; k++) {
        uint8_t c = norm[k];
        t->digit |= is_digit(c);
        t->letter |= is_letter(c);
        t->special |= !is_letter(c) && !is_digit(c) && c < 0x80 && c != '-' && c != '\'' &&
                      c != '.' && c != '/' && c != ',';
        t->upper_inside |= k > at && is_upper(c) && !is_upper(norm[k - 1]);
    }
    return t->end - at >= PASSWORD_MIN;
}

/* Atoms that lie in a token, for their keyword bits. */
static uint32_t token_bits(const struct detect_scratch *s, uint32_t i, const struct token *t)
{
    for (uint32_t k = i + 1; k < s->atom_n && s->atoms[k].start < t->end; k++)
        if (s->atoms[k].start == t->start && s->atoms[k].end == t->end)
            return s->atoms[k].ctx;
    return 0;
}

static void find_password(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    const struct atom *a = &s->atoms[i];
    uint32_t at = a->end, message_end = s->segments[s->segment_n - 1].end;
    bool marked = false;
    for (unsigned words = 0; words < PASSWORD_WORDS && at < message_end; words++) {
        while (at < message_end && (is_space(s->norm[at]) || s->norm[at] == ':' ||
                                    s->norm[at] == '=' || s->norm[at] == '-')) {
            marked |= s->norm[at] == ':' || s->norm[at] == '=';
            at++;
        }
        if (at < message_end && (s->norm[at] == '?' || s->norm[at] == '.' || s->norm[at] == ','))
            return;
        struct token t;
        bool long_enough = read_token(s, at, &t);
        if (t.end <= at || t.end > message_end)
            return;
        uint32_t bits = token_bits(s, i, &t);
        bool url = memmem(s->norm + t.start, t.end - t.start, "://", 3) != NULL;
        bool strong = t.letter && !url && (t.digit || t.special || t.upper_inside);
        if (long_enough && strong && !(bits & (WORD_KEY | WORD_PLAIN))) {
            hit_add(d, s, t.start, t.end, DETECT_SECRET, 900, "password+context");
            return;
        }
        if (long_enough && marked && words == 0 && t.letter && !(bits & (WORD_PLAIN | WORD_KEY))) {
            hit_add(d, s, t.start, t.end, DETECT_SECRET, 800, "password+context");
            return;
        }
        if (s->norm[t.end] == '.' || s->norm[t.end] == '?' || s->norm[t.end] == ',')
            return;
        at = t.end;
    }
}

void find_secret(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    const struct atom *a = &s->atoms[i];
    uint32_t kinds = CTX_PIN | CTX_CVC | CTX_CODE | CTX_PASSWORD;
    if (!(a->ctx & kinds))
        return;
    if (a->start < s->text_start) {
        /* asked: the answer is the first number of the text */
        if (i + 40 > s->text_atom && s->text_atom < s->atom_n)
            find_number(d, s, i, s->text_atom);
        return;
    }
    if (i + 1 < s->atom_n && find_number(d, s, i, i + 1))
        return;
    if (a->ctx & CTX_PASSWORD)
        find_password(d, s, i);
    if (a->ctx & (CTX_PIN | CTX_CODE | CTX_CVC))
        find_number_before(d, s, i);
}

/* MM/YY near a card number. */
static bool read_expiry(const struct detect_scratch *s, uint32_t k)
{
    if (k + 1 >= s->atom_n)
        return false;
    const struct atom *month = &s->atoms[k], *year = &s->atoms[k + 1];
    if (month->kind != ATOM_NUMBER || year->kind != ATOM_NUMBER || atom_size(month) != 2 ||
        year->gap != 1 || !(year->before & (GAP_SLASH | GAP_DASH)))
        return false;
    uint32_t m = atom_number(s, month), y = atom_number(s, year), n = atom_size(year);
    if (k + 2 < s->atom_n && s->atoms[k + 2].gap <= 1 && s->atoms[k + 2].kind == ATOM_NUMBER &&
        (s->atoms[k + 2].before & (GAP_SLASH | GAP_DASH)))
        return false; /* a whole date */
    return m >= 1 && m <= 12 && (n == 2 || (n == 4 && y >= 2000 && y < 2100));
}

void find_expiry(const struct detector *d, struct detect_scratch *s)
{
    size_t cards = s->hit_n;
    for (uint32_t k = s->text_atom; k + 1 < s->atom_n; k++) {
        if (!read_expiry(s, k))
            continue;
        const struct atom *a = &s->atoms[k];
        for (size_t h = cards; h-- > 0;) {
            const struct hit *card = &s->hits[h];
            if (card->type != DETECT_PAN || card->score < 600)
                continue;
            bool near = a->start >= card->end
                            ? a->start - card->end <= EXPIRY_REACH
                            : card->start >= a->end && card->start - a->end <= EXPIRY_REACH;
            if (near) {
                hit_add(d, s, a->start, s->atoms[k + 1].end, DETECT_SECRET, 900, "expiry+card");
                break;
            }
        }
    }
}

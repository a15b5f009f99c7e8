/* E-mail addresses. */
#include "room.h"

#define LOCAL_MAX 64 /* RFC 5321 */
#define DOMAIN_MAX 255
#define LABEL_MAX 63

static bool is_local(uint8_t c)
{
    return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-' || c == '+' ||
           c == '%' || c == '\'' || c == '&' || c == '=' || c == '~' || c == '!' || c == '#' ||
           c == '$';
}

/* The end of the domain that starts at `at`; 0 when there is none. */
static uint32_t read_domain(const struct detect_scratch *s, uint32_t at)
{
    uint32_t end = 0, label = at;
    unsigned dots = 0;
    for (uint32_t k = at; k <= s->norm_n && k - at <= DOMAIN_MAX; k++) {
        uint8_t c = k < s->norm_n ? s->norm[k] : 0;
        if (is_letter(c) || is_digit(c) || c == '-')
            continue;
        if (k == label || k - label > LABEL_MAX)
            break;
        /* the last label is at least two letters */
        bool letters = true;
        for (uint32_t j = label; j < k && letters; j++)
            letters = is_letter(s->norm[j]);
        if (dots > 0 && letters && k - label >= 2)
            end = k;
        if (c != '.')
            break;
        dots++;
        label = k + 1;
    }
    return end;
}

static bool word_is(const struct detect_scratch *s, uint32_t start, uint32_t end, const char *word)
{
    size_t n = strlen(word);
    if (end - start != n)
        return false;
    for (size_t k = 0; k < n; k++)
        if (to_lower(s->norm[start + k]) != (uint8_t)word[k])
            return false;
    return true;
}

static bool is_provider(const struct detect_scratch *s, uint32_t start, uint32_t end)
{
    static const char *const names[] = {
        "gmail",    "hotmail",   "outlook",    "live",   "icloud", "yahoo",   "ziggo",
        "kpnmail",  "planet",    "home",       "xs4all", "casema", "upcmail", "telenet",
        "msn",      "proton",    "protonmail", "hetnet", "me",     "tele2",   "chello",
        "quicknet", "kpnplanet", "skynet",     "gmx",    "web"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (word_is(s, start, end, names[k]))
            return true;
    return false;
}

static bool is_tld(const struct detect_scratch *s, uint32_t start, uint32_t end)
{
    static const char *const names[] = {"nl", "com", "be",   "de",  "eu",        "org", "net",
                                        "fr", "uk",  "info", "frl", "amsterdam", "biz", "me"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (word_is(s, start, end, names[k]))
            return true;
    return false;
}

static uint32_t letters_end(const struct detect_scratch *s, uint32_t at)
{
    while (at < s->norm_n &&
           (is_letter(s->norm[at]) || is_digit(s->norm[at]) || s->norm[at] == '-'))
        at++;
    return at;
}

static uint32_t skip(const struct detect_scratch *s, uint32_t at, const char *set)
{
    for (unsigned n = 0;
         n < 2 && at < s->norm_n && s->norm[at] < 0x80 && strchr(set, s->norm[at]) != NULL; n++)
        at++;
    return at;
}

/* Domains as people mistype them: "gmail,com", "gmailcom", "hotmail", "voorbeeld . nl". */
static uint32_t read_loose_domain(const struct detect_scratch *s, uint32_t at)
{
    uint32_t label = letters_end(s, at);
    if (label == at)
        return 0;
    uint32_t next = skip(s, skip(s, label, " "), ".,");
    next = skip(s, next, " ");
    uint32_t tld = letters_end(s, next);
    if (next > label && is_tld(s, next, tld) && (s->norm[label] != ' ' || next - label <= 3) &&
        memchr(s->norm + label, '.', next - label) != NULL)
        return tld;
    if (is_provider(s, at, label))
        return next > label && s->norm[label] == ',' && is_tld(s, next, tld) ? tld : label;
    for (uint32_t k = at + 3; k + 2 <= label; k++)
        if (is_tld(s, k, label) && is_provider(s, at, k))
            return label;
    return 0;
}

static uint32_t local_start(const struct detect_scratch *s, uint32_t at)
{
    uint32_t start = at;
    while (start > 0 && at - start < LOCAL_MAX && is_local(s->norm[start - 1]))
        start--;
    /* punctuation in front is not the address's: "email=jan@..." */
    for (uint32_t k = start; k < at; k++)
        if (s->norm[k] == '=')
            start = k + 1;
    while (start < at && !is_letter(s->norm[start]) && !is_digit(s->norm[start]))
        start++;
    return start;
}

/* `at` is the place of an '@'. */
void find_email(const struct detector *d, struct detect_scratch *s, uint32_t at)
{
    uint32_t start = local_start(s, at);
    bool spaced = false;
    if (start == at && at > 1 && s->norm[at - 1] == ' ') {
        start = local_start(s, at - 1);
        spaced = true;
        if (start == at - 1)
            return;
    }
    if (start == at)
        return;
    uint32_t domain = at + 1;
    if (domain < s->norm_n && s->norm[domain] == ' ') {
        domain++;
        spaced = true;
    }
    uint32_t end = read_domain(s, domain);
    if (end && !spaced)
        hit_add(d, s, start, end, DETECT_EMAIL, 990, "form");
    else if (end)
        hit_add(d, s, start, end, DETECT_EMAIL, 850, "form");
    else if ((end = read_loose_domain(s, domain)) != 0)
        hit_add(d, s, start, end, DETECT_EMAIL, 850, "provider");
}

/* "jan at voorbeeld punt nl", "jan(at)voorbeeld.nl", from the word atom "at". */
void find_email_words(const struct detector *d, struct detect_scratch *s, uint32_t i)
{
    if (i == 0 || i + 2 >= s->atom_n)
        return;
    const struct atom *a = &s->atoms[i], *name = a - 1, *host = a + 1, *dot = a + 2;
    if (a->gap > 2 || host->gap > 2 || (name->ctx & WORD_PLAIN) ||
        ((a->before | host->before) & (GAP_COMMA | GAP_LINE | GAP_MESSAGE | GAP_SENTENCE)))
        return;
    uint32_t tld = i + 2;
    bool marked = (a->before & (GAP_PAREN | GAP_OTHER)) && (host->before & (GAP_PAREN | GAP_OTHER));
    if (word_is(s, dot->start, dot->end, "punt") || word_is(s, dot->start, dot->end, "dot"))
        tld = i + 3;
    else if (!marked || dot->gap != 1 || dot->before != GAP_DOT)
        return;
    if (tld >= s->atom_n || !is_tld(s, s->atoms[tld].start, s->atoms[tld].end))
        return;
    uint32_t start = name->start;
    if (name->end == a->start || name->gap == 1)
        start = local_start(s, name->end);
    hit_add(d, s, start, s->atoms[tld].end, DETECT_EMAIL, 850, "words");
}

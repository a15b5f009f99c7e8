/* What a contact's state means; texts. Pure. */
#include "room.h"

#include "sluis/base/clock.h"
#include "sluis/base/json.h"
#include "sluis/base/utf8.h"

static const char *const bases[CONTACT_BASES] = {[CONTACT_CONSENT] = "consent",
                                                 [CONTACT_CUSTOMER] = "customer",
                                                 [CONTACT_CONTRACT] = "contract",
                                                 [CONTACT_TASK] = "task"};

const char *contact_basis_word(enum contact_basis basis)
{
    return basis < CONTACT_BASES ? bases[basis] : "?";
}

bool contact_basis_of(struct span word, enum contact_basis *out)
{
    for (unsigned i = 0; i < CONTACT_BASES; i++) {
        if (span_is(word, bases[i])) {
            *out = (enum contact_basis)i;
            return true;
        }
    }
    return false;
}

bool contact_opted_out(const struct contact_state *state)
{
    if (state->stop == CONTACT_STOP_NONE)
        return false;
    for (unsigned i = 0; i < state->consent_count; i++) {
        const struct contact_consent *c = &state->consents[i];
        if (c->basis == CONTACT_CONSENT && !c->withdrawn_ms && c->given_ms > state->stop_ms)
            return false;
    }
    return true;
}

const struct contact_consent *contact_basis_for(const struct contact_state *state, unsigned wanted,
                                                struct span purpose)
{
    for (unsigned i = 0; i < state->consent_count; i++) {
        const struct contact_consent *c = &state->consents[i];
        if (c->withdrawn_ms || !(wanted >> c->basis & 1))
            continue;
        if (c->purpose[0] == '\0' || purpose.n == 0 || span_is(purpose, c->purpose))
            return c;
    }
    return NULL;
}

bool contact_notice_due(const struct contact_state *state, struct span name, int64_t every_ms,
                        int64_t now_ms)
{
    unsigned today = 0;
    for (unsigned i = 0; i < state->notice_count; i++) {
        const struct contact_notice *n = &state->notices[i];
        today += n->sent_ms > now_ms - CONTACT_WINDOW_MS;
        if (span_is(name, n->name) && n->sent_ms > now_ms - every_ms)
            return false;
    }
    return today < CONTACT_NOTICES_A_DAY;
}

/* ---- in words ---- */

static void add_time(struct buffer *out, const char *name, int64_t ms)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(ms, text);
    buffer_addf(out, ",\"%s\":\"%s\"", name, text);
}

static void add_text(struct buffer *out, const char *name, const char *text)
{
    buffer_addf(out, ",\"%s\":", name);
    json_quote(out, span_str(text));
}

void contact_write(const struct contact_state *state, struct buffer *out)
{
    static const char *const stops[] = {"no", "stop_word", "user_preferences", "told"};
    buffer_add_str(out, "{\"consents\":[");
    for (unsigned i = 0; i < state->consent_count; i++) {
        const struct contact_consent *c = &state->consents[i];
        buffer_addf(out, "%s{\"basis\":\"%s\"", i ? "," : "", contact_basis_word(c->basis));
        add_text(out, "purpose", c->purpose);
        add_text(out, "source", c->source);
        add_time(out, "given", c->given_ms);
        if (c->withdrawn_ms)
            add_time(out, "withdrawn", c->withdrawn_ms);
        buffer_add_char(out, '}');
    }
    buffer_addf(out, "],\"opted_out\":%s,\"stop\":\"%s\"",
                contact_opted_out(state) ? "true" : "false", stops[state->stop]);
    if (state->stop_ms)
        add_time(out, "stop_changed", state->stop_ms);
    add_text(out, "reference", state->reference);
    buffer_add_str(out, ",\"notices\":[");
    for (unsigned i = 0; i < state->notice_count; i++) {
        buffer_addf(out, "%s{\"name\":", i ? "," : "");
        json_quote(out, span_str(state->notices[i].name));
        add_time(out, "sent", state->notices[i].sent_ms);
        buffer_add_char(out, '}');
    }
    buffer_add_str(out, "]}");
}

/* ---- words of customers ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static bool is_letter(char c)
{
    c = lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

static bool same_word(struct span a, struct span b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

/* Code points, in blocks, that are signs and emoji: a "STOP" with a hand behind it is one. */
static bool is_sign(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } blocks[] = {
        {0x80, 0xbf},       /* Latin-1: « », a space that does not break */
        {0x2000, 0x2bff},   /* quotes, dashes, joiners, arrows, symbols */
        {0x2e00, 0x303f},   /* more punctuation, of Chinese and Japanese too */
        {0xfe00, 0xfe6f},   /* which form of the one before; small forms */
        {0xfeff, 0xff0f},   /* a mark of no width; wide ! " ( ) . */
        {0x1f000, 0x1fbff}, /* emoji, skin tones */
        {0xe0000, 0xeffff}, /* tags of flags */
    };
    if (c < 0x80)
        return !is_letter((char)c);
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
        if (c >= blocks[i].first && c <= blocks[i].last)
            return true;
    return false;
}

/* Without the spaces, signs and emoji around it. */
static struct span bare(struct span text)
{
    uint32_t c = 0;
    unsigned n;
    while ((n = utf8_decode(text, &c)) > 0 && is_sign(c))
        text = span_from(text, n);
    for (size_t at = text.n; at-- > 0;) {
        if (((unsigned char)text.p[at] & 0xc0) == 0x80)
            continue; /* inside a character */
        if (!utf8_decode(span_from(text, at), &c) || !is_sign(c))
            break;
        text.n = at;
    }
    return text;
}

bool contact_is_stop_word(const char *const *words, size_t n, struct span text)
{
    if (text.n == 0 || text.n > CONTACT_STOP_WORD_MAX)
        return false;
    text = bare(text);
    for (size_t i = 0; text.n && i < n; i++)
        if (same_word(text, bare(span_str(words[i])))) /* "stop a.u.b." ends in a sign itself */
            return true;
    return false;
}

/* Words that one language has and the other has not, common in short messages. */
static const char *const dutch[] = {"ik",   "de",    "het",         "een",    "en",  "mijn", "niet",
                                    "van",  "voor",  "u",           "uw",     "je",  "jij",  "wat",
                                    "naar", "graag", "met",         "dit",    "heb", "kan",  "hoe",
                                    "waar", "dag",   "goedemorgen", "bedankt"};
static const char *const english[] = {"i",   "the",  "and",   "my",     "not",    "of",   "for",
                                      "you", "your", "to",    "please", "with",   "this", "have",
                                      "can", "how",  "where", "hello",  "thanks", "are",  "would"};

static bool among(struct span word, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (same_word(word, span_str(list[i])))
            return true;
    return false;
}

#define LANGUAGE_TEXT_MAX 400 /* bytes looked at: the beginning tells */
#define CLEARLY 2             /* words more than of the other language */

enum contact_language contact_language(struct span text, struct span phone)
{
    int score = 0; /* English words less Dutch ones */
    text = span_sub(text, 0, text.n < LANGUAGE_TEXT_MAX ? text.n : LANGUAGE_TEXT_MAX);
    while (text.n) {
        size_t n = 0;
        while (n < text.n && is_letter(text.p[n]))
            n++;
        struct span word = span_sub(text, 0, n);
        if (n) {
            score += among(word, english, sizeof(english) / sizeof(english[0]));
            score -= among(word, dutch, sizeof(dutch) / sizeof(dutch[0]));
        }
        text = span_from(text, n ? n : 1);
    }
    if (score >= CLEARLY)
        return CONTACT_ENGLISH;
    bool near = span_starts(phone, SPAN("31")) || span_starts(phone, SPAN("32"));
    return score > 0 && phone.n && !near ? CONTACT_ENGLISH : CONTACT_DUTCH;
}

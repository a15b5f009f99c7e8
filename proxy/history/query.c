/* The body of a call, read strictly: a member that this operation does not know refuses the call.
 */
#include "room.h"

#include "sluis/base/utf8.h"

#include <sodium.h>
#include <stdio.h>
#include <time.h>

#define OP(name) (1u << HISTORY_##name)
#define WHO (OP(MESSAGES) | OP(CONVERSATIONS) | OP(EXPORT))
#define ONE (OP(MESSAGES) | OP(EXPORT) | OP(TAG) | OP(NOTE))
#define PAGED (OP(CONVERSATIONS) | OP(MESSAGES) | OP(SEARCH) | OP(EXPORT) | OP(EXPIRING))
#define ALL ((1u << HISTORY_OPERATIONS) - 1)

enum kind { TEXT, NUMBER, TIME, FLAG, WORDS, TYPES };
static const struct member {
    const char *name;
    enum kind kind;
    size_t at;
    unsigned operations, most; /* bytes of a text */
} members[] = {
    {"channel", TEXT, offsetof(struct query, channel), ALL, CONFIG_NAME_MAX},
    {"purpose", TEXT, offsetof(struct query, purpose), ALL, AUDIT_NAME_MAX},
    {"reference", TEXT, offsetof(struct query, reference), ALL, AUDIT_NAME_MAX},
    {"contact", TEXT, offsetof(struct query, contact), WHO, 128},
    {"external_ref", TEXT, offsetof(struct query, external_ref), WHO, 128},
    {"conversation", TEXT, offsetof(struct query, conversation), ONE, HISTORY_CONVERSATION_MAX},
    {"message", NUMBER, offsetof(struct query, message), OP(TAG) | OP(NOTE) | OP(REVEAL), 0},
    {"from", TIME, offsetof(struct query, from_ms),
     OP(CONVERSATIONS) | OP(MESSAGES) | OP(SEARCH) | OP(EXPORT), 0},
    {"to", TIME, offsetof(struct query, to_ms),
     OP(CONVERSATIONS) | OP(MESSAGES) | OP(SEARCH) | OP(EXPORT), 0},
    {"before", TIME, offsetof(struct query, before_ms), OP(EXPIRING), 0},
    {"tag", TEXT, offsetof(struct query, tag),
     OP(CONVERSATIONS) | OP(MESSAGES) | OP(SEARCH) | OP(TAG), TAG_MAX},
    {"statuses", FLAG, offsetof(struct query, statuses), OP(MESSAGES), 0},
    {"limit", NUMBER, offsetof(struct query, limit), PAGED, 0},
    {"cursor", TEXT, offsetof(struct query, cursor), PAGED, 512},
    {"remove", FLAG, offsetof(struct query, remove), OP(TAG), 0},
    {"text", TEXT, offsetof(struct query, text), OP(NOTE), NOTE_TEXT_MAX},
    {"types", TYPES, 0, OP(REVEAL), 0},
    {"break_glass", FLAG, offsetof(struct query, break_glass), OP(REVEAL), 0},
    {"grant", TEXT, offsetof(struct query, grant), OP(REVEAL), 512},
    {"words", WORDS, 0, OP(SEARCH), 0},
    {"form", TEXT, offsetof(struct query, form), OP(EXPORT), 8},
};
#define MEMBERS (sizeof(members) / sizeof(members[0]))

static int two(const char *p)
{
    return p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9' ? (p[0] - '0') * 10 + p[1] - '0'
                                                                    : -1;
}

/* "2026-11-22T10:00:00Z", with or without a fraction, or a day. */
bool history_time(struct span s, int64_t *ms)
{
    struct tm tm = {0};
    bool day = s.n == 10;
    if (s.n < 10 || s.n > 30 || s.p[4] != '-' || s.p[7] != '-')
        return false;
    int century = two(s.p), year = two(s.p + 2), month = two(s.p + 5), dom = two(s.p + 8);
    int hour = 0, minute = 0, second = 0;
    if (!day) {
        if (s.n < 20 || s.p[10] != 'T' || s.p[13] != ':' || s.p[16] != ':' || s.p[s.n - 1] != 'Z' ||
            (s.n > 20 && s.p[19] != '.'))
            return false;
        hour = two(s.p + 11);
        minute = two(s.p + 14);
        second = two(s.p + 17);
    }
    if (century < 19 || century > 99 || year < 0 || month < 1 || month > 12 || dom < 1 ||
        dom > 31 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
        return false;
    tm.tm_year = century * 100 + year - 1900;
    tm.tm_mon = month - 1;
    tm.tm_mday = dom;
    tm.tm_hour = hour;
    tm.tm_min = minute;
    tm.tm_sec = second;
    *ms = (int64_t)timegm(&tm) * 1000;
    int64_t part = 0, unit = 100;
    for (size_t i = 20; !day && i + 1 < s.n; i++, unit /= 10) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        part += (s.p[i] - '0') * unit;
    }
    *ms += part;
    return *ms > 0;
}

void add_time(struct buffer *out, const char *name, int64_t ms)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(ms, text);
    buffer_addf(out, "\"%s\":\"%s\"", name, text);
}

static int wrong(struct work *w, const char *member, const char *why)
{
    char text[160];
    snprintf(text, sizeof(text), "%s: %s", member, why);
    return history_refuse(w, 400, "body", text);
}

static int take_words(struct work *w, uint32_t node)
{
    if (!json_is(&w->body, node, JSON_ARRAY))
        return wrong(w, "words", "a list of words was expected");
    for (uint32_t i = json_first(&w->body, node); i != JSON_NONE; i = json_next(&w->body, i)) {
        struct span *word = &w->query.words[w->query.word_count];
        if (w->query.word_count == WORDS_MAX || json_string(&w->body, i, &w->arena, word) != 0 ||
            word->n < 2 || word->n > 64)
            return wrong(w, "words", "at most 8, of 2 to 64 bytes");
        w->query.word_count++;
    }
    return 0;
}

static int take(struct work *w, const struct member *m, uint32_t node)
{
    char *at = (char *)&w->query + m->at;
    struct span text = SPAN_EMPTY;
    switch (m->kind) {
    case TEXT:
        if (json_string(&w->body, node, &w->arena, &text) != 0 || text.n == 0 || text.n > m->most)
            return wrong(w, m->name, "a text was expected, not empty, not too long");
        *(struct span *)at = text;
        return 0;
    case NUMBER:
        if (!json_is(&w->body, node, JSON_NUMBER) ||
            json_u64(&w->body, node, (uint64_t *)at) != 0 || *(uint64_t *)at == 0)
            return wrong(w, m->name, "a whole number above 0 was expected");
        return 0;
    case TIME:
        if (json_string(&w->body, node, &w->arena, &text) != 0 ||
            !history_time(text, (int64_t *)at))
            return wrong(w, m->name, "a time as 2026-11-22T10:00:00Z, or a day, was expected");
        return 0;
    case FLAG:
        if (!json_is(&w->body, node, JSON_TRUE) && !json_is(&w->body, node, JSON_FALSE))
            return wrong(w, m->name, "true or false was expected");
        *(bool *)at = json_is(&w->body, node, JSON_TRUE);
        return 0;
    case WORDS:
        return take_words(w, node);
    default:
        if (!json_is(&w->body, node, JSON_ARRAY))
            return wrong(w, m->name, "a list of types was expected");
        w->query.types_node = node;
        w->query.typed = true;
        return 0;
    }
}

static bool tag_valid(struct span tag)
{
    for (size_t i = 0; i < tag.n; i++) {
        char c = tag.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return true;
}

static int check(struct work *w)
{
    const struct query *q = &w->query;
    int named = (q->contact.n > 0) + (q->external_ref.n > 0) + (q->conversation.n > 0);
    if (q->limit > HISTORY_PAGE_MAX)
        return wrong(w, "limit", "at most 50");
    if (q->from_ms && q->to_ms && q->from_ms >= q->to_ms)
        return wrong(w, "from", "before `to` was expected");
    if (q->tag.n && !tag_valid(q->tag))
        return wrong(w, "tag", "1 to 32 of a-z, 0-9, _ and -");
    if (named > 1)
        return wrong(w, "contact", "one of contact, external_ref and conversation");
    switch (w->q->operation) {
    case HISTORY_MESSAGES:
    case HISTORY_EXPORT:
        if (named == 0)
            return wrong(w, "contact", "contact, external_ref or conversation is needed");
        break;
    case HISTORY_TAG:
    case HISTORY_NOTE:
        if ((q->conversation.n > 0) == (q->message > 0))
            return wrong(w, "conversation", "conversation or message is needed, one of them");
        if (w->q->operation == HISTORY_TAG ? !q->tag.n : !q->text.n)
            return wrong(w, w->q->operation == HISTORY_TAG ? "tag" : "text", "is needed");
        break;
    case HISTORY_REVEAL:
        if (!q->message && !q->grant.n)
            return wrong(w, "message", "is needed");
        break;
    case HISTORY_SEARCH:
        if (!q->from_ms || !q->to_ms)
            return wrong(w, "from", "a search needs a period: from and to");
        if (!q->word_count && !q->tag.n)
            return wrong(w, "words", "words or a tag are needed");
        break;
    case HISTORY_EXPIRING:
        if (!q->before_ms)
            return wrong(w, "before", "is needed");
        break;
    default:
        break;
    }
    if (q->form.n && !span_is(q->form, "json") && !span_is(q->form, "html"))
        return wrong(w, "form", "json or html");
    if (!q->channel.n)
        return wrong(w, "channel", "is needed");
    return 0;
}

int query_parse(struct work *w)
{
    if (w->q->body.error)
        return history_refuse(w, 413, "too_large", "the body is too large");
    struct span text = buffer_span(&w->q->body);
    if (json_scan(&w->body, text, &w->arena, NULL) != 0 || !json_is(&w->body, 0, JSON_OBJECT))
        return history_refuse(w, 400, "json", "the body is not a JSON object");
    for (uint32_t i = json_first(&w->body, 0); i != JSON_NONE; i = json_next(&w->body, i)) {
        struct span name;
        const struct member *m = members;
        if (json_name(&w->body, i, &w->arena, &name) != 0)
            return SLUIS_ENOMEM;
        while (m < members + MEMBERS &&
               (!span_is(name, m->name) || !(m->operations & 1u << w->q->operation)))
            m++;
        if (m == members + MEMBERS)
            return history_refuse(w, 400, "body", "a member that this call does not know");
        int r = take(w, m, i);
        if (r != 0)
            return r;
    }
    if (w->query.limit == 0)
        w->query.limit = HISTORY_PAGE_MAX;
    return check(w);
}

static void hash_span(crypto_generichash_state *state, struct span s)
{
    uint64_t n = s.n;
    crypto_generichash_update(state, (const uint8_t *)&n, sizeof(n));
    crypto_generichash_update(state, (const uint8_t *)s.p, s.n);
}

void query_hash(const struct work *w, uint8_t out[32])
{
    const struct query *q = &w->query;
    const struct span texts[] = {q->channel, q->contact, q->external_ref,    q->conversation,
                                 q->tag,     q->form,    span_str(w->actor), span_str(w->role)};
    const int64_t numbers[] = {q->from_ms,
                               q->to_ms,
                               q->before_ms,
                               q->statuses,
                               (int64_t)w->q->operation,
                               (int64_t)w->q->principal.kind,
                               (int64_t)w->q->principal.id,
                               (int64_t)q->word_count};
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, 32);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        hash_span(&state, texts[i]);
    crypto_generichash_update(&state, (const uint8_t *)numbers, sizeof(numbers));
    for (unsigned i = 0; i < q->word_count; i++)
        hash_span(&state, q->words[i]);
    crypto_generichash_final(&state, out, 32);
}

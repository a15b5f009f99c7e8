/* An entry of the registry as JSON: what the API and the import read. */
#include "room.h"

#include <stdio.h>
#include <time.h>

#define PHONE_DIGITS_MIN 6
#define PHONE_DIGITS_MAX 15 /* E.164 */

/* Meta's webhooks have digits only, country code first. "06..." is Dutch. */
int contact_number(struct span given, struct arena *arena, struct span *out)
{
    char digits[PHONE_DIGITS_MAX + 3];
    size_t n = 0;
    bool plus = given.n && given.p[0] == '+';
    for (size_t i = 0; i < given.n; i++) {
        if (given.p[i] >= '0' && given.p[i] <= '9' && n < sizeof(digits))
            digits[n++] = given.p[i];
        else if (!memchr("+ -().", given.p[i], 6) || (given.p[i] == '+' && i > 0) ||
                 n == sizeof(digits))
            return SLUIS_EINVAL;
    }
    struct span number = span_of(digits, n), country = SPAN_EMPTY;
    if (!plus && span_starts(number, SPAN("00"))) {
        number = span_from(number, 2);
    } else if (!plus && span_starts(number, SPAN("0"))) {
        number = span_from(number, 1);
        country = SPAN("31");
    }
    char *text = arena_try(arena, country.n + number.n + 1);
    if (!text)
        return SLUIS_ENOMEM;
    memcpy(text, country.p ? country.p : "", country.n);
    memcpy(text + country.n, number.p, number.n);
    *out = span_of(text, country.n + number.n);
    return out->n < PHONE_DIGITS_MIN || out->n > PHONE_DIGITS_MAX ? SLUIS_EINVAL : 0;
}

/* "2026-11-22" or "2026-11-22T10:00:00Z"; 0 when it is neither. */
static int64_t time_of(struct span text)
{
    struct tm tm = {0};
    char copy[40], rest[2];
    double seconds = 0;
    if (text.n >= sizeof(copy))
        return 0;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    int n = sscanf(copy, "%4d-%2d-%2dT%2d:%2d:%lfZ%1s", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                   &tm.tm_hour, &tm.tm_min, &seconds, rest);
    bool day = text.n == 10 && n == 3, moment = n == 6 && copy[text.n - 1] == 'Z';
    if ((!day && !moment) || tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 ||
        tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || seconds < 0 ||
        seconds >= 61)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    return (int64_t)timegm(&tm) * 1000 + (int64_t)(seconds * 1000);
}

/* False: there is such a member and it is no text, or too long for `size`. */
static bool take(const struct json_doc *doc, uint32_t node, const char *name, struct arena *arena,
                 char *out, size_t size)
{
    struct span text;
    uint32_t at = json_get(doc, node, span_str(name));
    if (at == JSON_NONE)
        return true;
    if (json_string(doc, at, arena, &text) != 0 || text.n >= size ||
        memchr(text.p ? text.p : "", 0, text.n))
        return false;
    memcpy(out, text.p ? text.p : "", text.n);
    out[text.n] = '\0';
    return true;
}

static struct span text_of(const struct json_doc *doc, uint32_t node, const char *name,
                           struct arena *arena)
{
    struct span text = SPAN_EMPTY;
    uint32_t at = json_get(doc, node, span_str(name));
    return json_is(doc, at, JSON_STRING) && json_string(doc, at, arena, &text) == 0 ? text
                                                                                    : SPAN_EMPTY;
}

static const char *take_consent(const struct json_doc *doc, uint32_t node, struct arena *arena,
                                struct contact_entry *e)
{
    struct contact_consent *c = &e->consent;
    struct span basis = text_of(doc, node, "basis", arena);
    bool withdraw = json_is(doc, json_get(doc, node, SPAN("withdraw")), JSON_TRUE);
    if (!basis.n && json_get(doc, node, SPAN("basis")) == JSON_NONE)
        return withdraw ? "basis: which one is withdrawn?" : NULL;
    e->has_consent = true;
    if (!contact_basis_of(basis, &c->basis))
        return "basis: consent, customer, contract or task";
    if (!take(doc, node, "purpose", arena, c->purpose, sizeof(c->purpose)))
        return "purpose: a text of at most 96 bytes";
    if (!take(doc, node, "source", arena, c->source, sizeof(c->source)))
        return "source: a text of at most 96 bytes";
    if (!withdraw && !c->source[0])
        return "source: where it was given";
    *(withdraw ? &c->withdrawn_ms : &c->given_ms) = e->at_ms;
    return NULL;
}

static bool known_member(struct span name)
{
    static const char *const names[] = {"channel", "contact", "user_id",  "basis", "purpose",
                                        "source",  "time",    "withdraw", "stop",  "reference"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (span_is(name, names[i]))
            return true;
    return false;
}

static const char *check_members(const struct json_doc *doc, uint32_t node, struct arena *arena)
{
    struct span name;
    if (!json_is(doc, node, JSON_OBJECT))
        return "an object was expected";
    for (uint32_t i = json_first(doc, node); i != JSON_NONE; i = json_next(doc, i))
        if (json_name(doc, i, arena, &name) != 0 || !known_member(name))
            return "a member that is not known: contact, user_id, channel, basis, purpose, source, "
                   "time, withdraw, stop, reference";
    return NULL;
}

static const char *take_rest(const struct json_doc *doc, uint32_t node, struct arena *arena,
                             struct contact_entry *e)
{
    uint32_t stop = json_get(doc, node, SPAN("stop"));
    uint32_t reference = json_get(doc, node, SPAN("reference"));
    e->has_stop = stop != JSON_NONE;
    e->stop = json_is(doc, stop, JSON_TRUE) ? CONTACT_STOP_PERSON : CONTACT_STOP_NONE;
    if (e->has_stop && !json_is(doc, stop, JSON_TRUE) && !json_is(doc, stop, JSON_FALSE))
        return "stop: true or false";
    e->has_reference = reference != JSON_NONE;
    e->reference = text_of(doc, node, "reference", arena);
    if (e->has_reference &&
        (!json_is(doc, reference, JSON_STRING) || e->reference.n > CONTACT_REFERENCE_MAX))
        return "reference: a text of at most 64 bytes";
    if (!e->has_consent && !e->has_stop && !e->has_reference)
        return "basis, stop or reference is needed";
    return NULL;
}

const char *contact_entry_read(const struct json_doc *doc, uint32_t node, struct arena *arena,
                               int64_t now_ms, struct contact_entry *out)
{
    *out = (struct contact_entry){.at_ms = now_ms};
    const char *wrong = check_members(doc, node, arena);
    if (wrong)
        return wrong;
    struct span contact = text_of(doc, node, "contact", arena);
    struct span at = text_of(doc, node, "time", arena);
    out->channel = text_of(doc, node, "channel", arena);
    out->user_id = text_of(doc, node, "user_id", arena);
    if (contact.n && contact_number(contact, arena, &out->contact) != 0)
        wrong = "contact: a phone number was expected";
    if (!wrong && !contact.n && !out->user_id.n)
        wrong = "contact: a phone number, or user_id";
    if (!wrong && json_get(doc, node, SPAN("time")) != JSON_NONE) {
        out->at_ms = time_of(at);
        out->timed = true;
        wrong = out->at_ms > 0 && out->at_ms <= now_ms + SKEW_MS
                    ? NULL
                    : "time: a day or a moment (2026-11-22, 2026-11-22T10:00:00Z), not to come";
    }
    if (!wrong)
        wrong = take_consent(doc, node, arena, out);
    return wrong ? wrong : take_rest(doc, node, arena, out);
}

int contact_entry_changes(struct contacts *c, struct contact_id id,
                          const struct contact_entry *entry, const struct audit_event *event,
                          struct contact_change *out[CONTACT_CHANGES_MAX])
{
    unsigned n = 0;
    int r = 0;
    for (unsigned i = 0; i < CONTACT_CHANGES_MAX; i++)
        out[i] = NULL;
    if (entry->has_consent)
        r = contact_consent(c, id, &entry->consent, event, &out[n++]);
    if (r == 0 && entry->has_stop)
        r = contact_stop(c, id, entry->stop, entry->at_ms, event, &out[n++]);
    if (r == 0 && entry->has_reference)
        r = contact_reference(c, id, entry->reference, event, &out[n++]);
    for (unsigned i = 0; r != 0 && i < CONTACT_CHANGES_MAX; i++) {
        contact_change_free(out[i]);
        out[i] = NULL;
    }
    return r;
}

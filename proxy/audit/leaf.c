/*
 * The canonical leaf. RFC 8785: members in the order of their names, no white space, strings with
 * the shortest escapes, integers as digits (all below 2^53, or they would not survive a double).
 */
#include "leaf.h"

#include <sodium.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/utf8.h"

#define INTEGER_MAX ((1ull << 53) - 1) /* what every JSON reader holds exactly */
#define POLICY_HASH_DIGITS 16
#define OUTCOME_MAX 32
#define HEX_MAX 64 /* a SHA-256 */

static const char *const action_words[AUDIT_ACTION_COUNT] = {
    [AUDIT_START] = "start",
    [AUDIT_STOP] = "stop",
    [AUDIT_RELOAD] = "reload",
    [AUDIT_DELIVER_INTENT] = "deliver_intent",
    [AUDIT_DELIVER] = "deliver",
    [AUDIT_SEND_INTENT] = "send_intent",
    [AUDIT_SEND] = "send",
    [AUDIT_REFUSE] = "refuse",
    [AUDIT_MEDIA] = "media",
    [AUDIT_TOKEN] = "token",
    [AUDIT_QUARANTINE] = "quarantine",
    [AUDIT_QUEUE] = "queue",
    [AUDIT_READ_LOG] = "read_log",
    [AUDIT_REMASK] = "remask",
    [AUDIT_SETUP] = "setup",
    [AUDIT_PURGE] = "purge",
    [AUDIT_ERASE] = "erase",
    [AUDIT_SUBJECT] = "subject",
    [AUDIT_RESTRICT] = "restrict",
    [AUDIT_HOLD] = "hold",
    [AUDIT_CLOCK] = "clock",
    [AUDIT_KEYS] = "keys",
    [AUDIT_BACKUP] = "backup",
    [AUDIT_CONSENT] = "consent",
    [AUDIT_HISTORY] = "history",
    [AUDIT_REVEAL] = "reveal",
    [AUDIT_SEARCH] = "search",
    [AUDIT_EXPORT] = "export",
    [AUDIT_INCIDENT] = "incident",
    [AUDIT_ACCESS] = "access",
    [AUDIT_POLICY] = "policy",
};

/* In the order of enum detect_type, which this room may not see; its test holds them together. */
static const char *const type_words[AUDIT_TYPES + 1] = {
    "iban",          "bsn",         "pan",    "email",    "phone", "address", "dob",
    "licence_plate", "id_document", "secret", "location", "name",  "special", "own"};

const char *audit_action_word(enum audit_action action)
{
    return (unsigned)action < AUDIT_ACTION_COUNT ? action_words[action] : NULL;
}

const char *audit_type_word(unsigned bit)
{
    return type_words[bit < AUDIT_TYPES ? bit : AUDIT_TYPES];
}

struct leaf_writer {
    char text[AUDIT_LEAF_MAX];
    size_t n;
    int error; /* sticky */
};

static void put(struct leaf_writer *w, const char *p, size_t n)
{
    if (n > sizeof(w->text) - w->n) {
        w->error = w->error ? w->error : SLUIS_ELIMIT;
        return;
    }
    memcpy(w->text + w->n, p, n);
    w->n += n;
}

static void put_name(struct leaf_writer *w, const char *name)
{
    put(w, w->n ? ",\"" : "{\"", 2);
    put(w, name, strlen(name));
    put(w, "\":", 2);
}

static void put_integer(struct leaf_writer *w, const char *name, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);
    if (v > INTEGER_MAX) {
        w->error = SLUIS_EINVAL;
        return;
    }
    do
        digits[--at] = (char)('0' + v % 10);
    while (v /= 10);
    put_name(w, name);
    put(w, digits + at, sizeof(digits) - at);
}

/* Characters that could make a line read otherwise than it is written. */
static bool code_point_refused(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x61c ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff0 && c <= 0xffff) ||
           (c >= 0xe0000 && c <= 0xe0fff);
}

/* A checked text: our own names and the configuration's; NULL is left out. */
static void put_text(struct leaf_writer *w, const char *name, const char *text)
{
    if (!text)
        return;
    size_t n = strnlen(text, AUDIT_NAME_MAX + 1);
    if (n == 0 || n > AUDIT_NAME_MAX) {
        w->error = SLUIS_EINVAL;
        return;
    }
    put_name(w, name);
    put(w, "\"", 1);
    for (size_t i = 0; i < n;) {
        uint32_t c = (unsigned char)text[i];
        unsigned length = 1;
        if (c >= 0x80)
            length = utf8_decode(span_of(text + i, n - i), &c);
        if (length == 0 || code_point_refused(c)) {
            w->error = SLUIS_EINVAL;
            return;
        }
        if (c == '"' || c == '\\')
            put(w, "\\", 1);
        put(w, text + i, length);
        i += length;
    }
    put(w, "\"", 1);
}

static void put_claimed(struct leaf_writer *w, const char *claimed)
{
    if (!claimed)
        return;
    size_t n = strnlen(claimed, AUDIT_CLAIMED_MAX + 1);
    if (n > AUDIT_CLAIMED_MAX)
        w->error = SLUIS_EINVAL;
    for (size_t i = 0; i < n; i++)
        if (claimed[i] < 0x20 || claimed[i] > 0x7e)
            w->error = SLUIS_EINVAL;
    put_text(w, "claimed", claimed);
}

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static void put_outcome(struct leaf_writer *w, const char *outcome)
{
    size_t n = outcome ? strnlen(outcome, OUTCOME_MAX + 1) : 0;
    if (n > OUTCOME_MAX)
        w->error = SLUIS_EINVAL;
    for (size_t i = 0; i < n; i++)
        if (!word_char(outcome[i]))
            w->error = SLUIS_EINVAL;
    put_text(w, "outcome", outcome);
}

static void put_policy_hash(struct leaf_writer *w, const char *hash)
{
    char digits[POLICY_HASH_DIGITS + 1];
    if (!hash)
        return;
    size_t n = strnlen(hash, POLICY_HASH_DIGITS);
    for (size_t i = 0; i < n; i++)
        if (!((hash[i] >= '0' && hash[i] <= '9') || (hash[i] >= 'a' && hash[i] <= 'f')))
            n = 0;
    if (n != POLICY_HASH_DIGITS) {
        w->error = SLUIS_EINVAL;
        return;
    }
    memcpy(digits, hash, n);
    digits[n] = '\0';
    put_text(w, "policy_hash", digits);
}

/* A whole digest. */
static void put_hex(struct leaf_writer *w, const char *name, const char *digits)
{
    size_t n = digits ? strnlen(digits, HEX_MAX + 1) : 0;
    if (digits && (n == 0 || n > HEX_MAX || strspn(digits, "0123456789abcdef") != n))
        w->error = SLUIS_EINVAL;
    else
        put_text(w, name, digits);
}

static void put_masked(struct leaf_writer *w, uint64_t masked)
{
    if (!masked)
        return;
    put_name(w, "masked");
    char before = '[';
    for (unsigned bit = 0; bit <= AUDIT_TYPES; bit++) {
        uint64_t these = bit < AUDIT_TYPES ? 1ull << bit : ~0ull << AUDIT_TYPES;
        if (!(masked & these))
            continue;
        put(w, &before, 1);
        put(w, "\"", 1);
        put(w, type_words[bit], strlen(type_words[bit]));
        put(w, "\"", 1);
        before = ',';
    }
    put(w, "]", 1);
}

static void put_subject(struct leaf_writer *w, uint64_t subject)
{
    uint8_t bytes[8];
    char hex[17];
    if (!subject)
        return;
    be64_put(bytes, subject); /* 64 random bits: too many for a JSON number */
    hex_encode(bytes, sizeof(bytes), hex);
    put_text(w, "subject", hex);
}

static void put_time(struct leaf_writer *w, struct audit_tools *tools, int64_t at_ms)
{
    int64_t second = at_ms >= 0 ? at_ms / 1000 : -1;
    if (second < 0) {
        w->error = SLUIS_EINVAL;
        return;
    }
    if (tools->second != second || tools->time[0] == '\0') {
        clock_rfc3339(second * 1000, tools->time);
        tools->second = second;
    }
    unsigned ms = (unsigned)(at_ms % 1000);
    tools->time[20] = (char)('0' + ms / 100);
    tools->time[21] = (char)('0' + ms / 10 % 10);
    tools->time[22] = (char)('0' + ms % 10);
    put_name(w, "time");
    put(w, "\"", 1);
    put(w, tools->time, CLOCK_RFC3339_SIZE - 1);
    put(w, "\"", 1);
}

static void put_salt(struct leaf_writer *w, struct audit_tools *tools)
{
    char text[BASE64URL_LEN(AUDIT_SALT) + 1];
    if (tools->salts_left == 0) {
        randombytes_buf(tools->salts, sizeof(tools->salts));
        tools->salts_left = AUDIT_SALT_POOL;
    }
    tools->salts_left--;
    base64url_encode(tools->salts[tools->salts_left], AUDIT_SALT, text);
    put_name(w, "salt");
    put(w, "\"", 1);
    put(w, text, sizeof(text) - 1);
    put(w, "\"", 1);
}

int audit_leaf(const struct audit_event *event, struct buffer *out, uint8_t hash[32])
{
    struct leaf_writer w = {.n = 0};
    struct audit_tools *tools = audit_tools();
    if (!tools)
        return SLUIS_ENOMEM;
    if ((unsigned)event->action >= AUDIT_ACTION_COUNT || !event->actor)
        return SLUIS_EINVAL;
    put_text(&w, "action", action_words[event->action]);
    put_text(&w, "actor", event->actor);
    put_hex(&w, "build", event->build);
    put_text(&w, "channel", event->channel);
    put_claimed(&w, event->claimed);
    if (event->code)
        put_integer(&w, "code", event->code);
    put_hex(&w, "config_hash", event->config_hash);
    if (event->count)
        put_integer(&w, "count", event->count);
    put_hex(&w, "key", event->key);
    put_masked(&w, event->masked);
    if (event->object)
        put_integer(&w, "object", event->object);
    if (event->object_last)
        put_integer(&w, "object_last", event->object_last);
    put_outcome(&w, event->outcome);
    put_policy_hash(&w, event->policy_hash);
    put_text(&w, "processing_activity", event->activity);
    put_text(&w, "purpose", event->purpose);
    put_text(&w, "reference", event->reference);
    put_text(&w, "responsible", event->responsible);
    put_text(&w, "role", event->role);
    put_text(&w, "route", event->route);
    put_salt(&w, tools);
    put_subject(&w, event->subject);
    put_time(&w, tools, event->at_ms);
    put_integer(&w, "v", AUDIT_LEAF_VERSION);
    put(&w, "}", 1);
    int result = w.error;
    if (!result)
        result = audit_hash(span_of(w.text, w.n), hash);
    if (result)
        return result;
    buffer_add(out, span_of(w.text, w.n));
    return out->error;
}

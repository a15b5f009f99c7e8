/* Destruction records: canonical JSON, signed. */
#include <sodium.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/utf8.h"
#include "sluis/retention.h"

#define INTEGER_MAX ((1ull << 53) - 1) /* what every JSON reader holds exactly */
#define POLICY_DIGITS 16
#define KEY_TEXT BASE64_LEN(RETENTION_SIGN_PUBLIC)
#define SIGNATURE_TEXT BASE64_LEN(crypto_sign_BYTES)

_Static_assert(crypto_sign_SECRETKEYBYTES == RETENTION_SIGN_SECRET &&
                   crypto_sign_PUBLICKEYBYTES == RETENTION_SIGN_PUBLIC,
               "Ed25519");

static const struct span before_key = {"{\"key\":\"", 8};
static const struct span before_record = {"\",\"record\":", 11};
static const struct span before_signature = {",\"signature\":\"", 14};
static const struct span at_end = {"\"}", 2};

/* UTF-8 without control characters, so that the shortest escapes are those of quote and backslash.
 */
static int add_text(struct buffer *out, const char *name, const char *text)
{
    size_t n = text ? strnlen(text, RETENTION_TEXT_MAX + 1) : 0;
    if (!text || n > RETENTION_TEXT_MAX)
        return SLUIS_EINVAL;
    buffer_addf(out, "%s\"%s\":\"", out->n ? "," : "{", name);
    for (size_t i = 0; i < n;) {
        uint32_t c;
        unsigned length = utf8_decode(span_of(text + i, n - i), &c);
        if (length == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) ||
            (c >= 0x2066 && c <= 0x2069))
            return SLUIS_EINVAL;
        if (c == '"' || c == '\\')
            buffer_add_char(out, '\\');
        buffer_add(out, span_of(text + i, length));
        i += length;
    }
    buffer_add_char(out, '"');
    return 0;
}

static int add_integer(struct buffer *out, const char *name, uint64_t v)
{
    buffer_addf(out, ",\"%s\":", name);
    buffer_add_u64(out, v);
    return v > INTEGER_MAX ? SLUIS_EINVAL : 0;
}

static int add_time(struct buffer *out, const char *name, int64_t ms)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(ms, text);
    return ms < 0 ? SLUIS_EINVAL : add_text(out, name, text);
}

static int record_write(const struct retention_destruction *d, struct buffer *out)
{
    char hash[POLICY_DIGITS + 1] = "";
    if (!d->policy_hash || strnlen(d->policy_hash, POLICY_DIGITS) != POLICY_DIGITS ||
        d->from_ms > d->to_ms || d->to_ms > d->at_ms)
        return SLUIS_EINVAL;
    memcpy(hash, d->policy_hash, POLICY_DIGITS);
    int bad = add_text(out, "category", d->category); /* members by name */
    bad |= add_text(out, "class", d->cls);
    bad |= add_time(out, "from", d->from_ms);
    bad |= add_integer(out, "generation", d->generation);
    bad |= add_text(out, "ground", d->ground);
    bad |= add_integer(out, "messages", d->messages);
    bad |= add_text(out, "policy_hash", hash);
    bad |= add_text(out, "reason", d->reason);
    bad |= add_integer(out, "subjects", d->subjects);
    bad |= add_time(out, "time", d->at_ms);
    bad |= add_time(out, "to", d->to_ms);
    bad |= add_integer(out, "v", 1);
    buffer_add_char(out, '}');
    return bad ? SLUIS_EINVAL : out->error;
}

static int signed_text(struct span record, struct buffer *out)
{
    buffer_add(out, SPAN(RETENTION_DESTRUCTION_CONTEXT));
    buffer_add(out, record);
    return out->error;
}

int retention_destruction_write(const struct retention_destruction *destruction,
                                const uint8_t secret[RETENTION_SIGN_SECRET], struct buffer *out)
{
    struct buffer record, text;
    uint8_t signature[crypto_sign_BYTES];
    char base64[SIGNATURE_TEXT + 1];
    buffer_init(&record, RETENTION_DESTRUCTION_MAX);
    buffer_init(&text, RETENTION_DESTRUCTION_MAX);
    int result = record_write(destruction, &record);
    if (!result)
        result = signed_text(buffer_span(&record), &text);
    if (result)
        goto out;
    crypto_sign_detached(signature, NULL, (const uint8_t *)text.p, text.n, secret);
    buffer_add(out, before_key);
    /* the second half of libsodium's secret key is the public key */
    base64_encode(secret + 32, RETENTION_SIGN_PUBLIC, base64);
    buffer_add_str(out, base64);
    buffer_add(out, before_record);
    buffer_add(out, buffer_span(&record));
    buffer_add(out, before_signature);
    base64_encode(signature, sizeof(signature), base64);
    buffer_add_str(out, base64);
    buffer_add(out, at_end);
    result = out->error;
out:
    buffer_free(&record);
    buffer_free(&text);
    return result;
}

/* A line has one spelling, so its parts stand at known places from either end. */
int retention_destruction_verify(struct span line, const uint8_t public_key[RETENTION_SIGN_PUBLIC],
                                 struct span *record)
{
    uint8_t key[RETENTION_SIGN_PUBLIC], signature[crypto_sign_BYTES];
    size_t head = before_key.n + KEY_TEXT + before_record.n;
    size_t tail = before_signature.n + SIGNATURE_TEXT + at_end.n;
    if (line.n > RETENTION_DESTRUCTION_MAX * 2 || line.n < head + tail + 2)
        return SLUIS_EINVAL;
    struct span end = span_from(line, line.n - tail);
    *record = span_sub(line, head, line.n - tail);
    if (!span_starts(line, before_key) ||
        !span_starts(span_from(line, before_key.n + KEY_TEXT), before_record) ||
        !span_starts(end, before_signature) || !span_ends(end, at_end) ||
        base64_decode(span_sub(line, before_key.n, before_key.n + KEY_TEXT), key, sizeof(key)) !=
            sizeof(key) ||
        base64_decode(span_sub(end, before_signature.n, before_signature.n + SIGNATURE_TEXT),
                      signature, sizeof(signature)) != sizeof(signature))
        return SLUIS_EINVAL;
    if (memcmp(key, public_key, sizeof(key)) != 0)
        return SLUIS_ECRYPTO;
    struct buffer text;
    buffer_init(&text, RETENTION_DESTRUCTION_MAX * 2 + sizeof(RETENTION_DESTRUCTION_CONTEXT));
    int result = signed_text(*record, &text);
    if (!result &&
        crypto_sign_verify_detached(signature, (const uint8_t *)text.p, text.n, public_key) != 0)
        result = SLUIS_ECRYPTO;
    buffer_free(&text);
    return result;
}

#include "replace.h"

#include <sodium.h>

#include "sluis/base/encode.h"
#include "sluis/base/utf8.h"

/* Always as many, so that the length of what is hidden does not show. */
#define BULLETS "\xe2\x80\xa2\xe2\x80\xa2\xe2\x80\xa2\xe2\x80\xa2\xe2\x80\xa2\xe2\x80\xa2"
#define HASH_BYTES 4 /* shown, as 8 hex digits */

void replace_label(const struct policy *policy, unsigned type, struct buffer *out)
{
    const struct detector *detector = policy ? policy_detector(policy) : NULL;
    const char *word = detector ? detector_type_word(detector, type) : NULL;
    if (!word && type < DETECT_OWN)
        word = detect_type_word((enum detect_type)type);
    if (!word)
        word = "gegeven"; /* an own type of a policy that is gone */
    for (; *word; word++)
        buffer_add_char(out, *word >= 'a' && *word <= 'z' ? (char)(*word - 'a' + 'A') : *word);
}

static void redact(const struct policy *policy, unsigned type, struct buffer *out)
{
    buffer_add_char(out, '[');
    replace_label(policy, type, out);
    buffer_add_char(out, ']');
}

/* A character that counts in MASK_PARTIAL: a letter or digit; beyond ASCII all count. */
static bool counts(struct span at, unsigned n)
{
    char c = at.p[0];
    return n > 1 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static void partial(struct mask_rule rule, unsigned type, struct span value,
                    const struct policy *policy, struct buffer *out)
{
    unsigned characters = 0, seen = 0;
    uint32_t code;
    for (size_t i = 0; i < value.n;) {
        unsigned n = utf8_decode(span_from(value, i), &code);
        n = n ? n : 1;
        characters += counts(span_from(value, i), n);
        i += n;
    }
    if (characters <= (unsigned)rule.first + rule.last) { /* nothing would be hidden */
        redact(policy, type, out);
        return;
    }
    bool hidden = false;
    for (size_t i = 0; i < value.n;) {
        unsigned n = utf8_decode(span_from(value, i), &code);
        n = n ? n : 1;
        bool counted = counts(span_from(value, i), n);
        if (counted && (seen < rule.first || seen >= characters - rule.last)) {
            buffer_add(out, span_sub(value, i, i + n));
        } else if (counted && !hidden) {
            buffer_add(out, SPAN(BULLETS));
            hidden = true;
        }
        seen += counted;
        i += n;
    }
}

/* Over letters and digits only, without case: "NL91 ABNA..." and "nl91abna..." are the same value.
 */
static void hash(unsigned type, struct span value, const struct policy *policy, const uint8_t *key,
                 struct buffer *out)
{
    crypto_generichash_state state;
    uint8_t digest[crypto_generichash_BYTES_MIN], kind[2];
    char hex[2 * HASH_BYTES + 1];
    uint32_t code;
    crypto_generichash_init(&state, key, 32, sizeof digest);
    be16_put(kind, (uint16_t)type);
    crypto_generichash_update(&state, kind, sizeof kind);
    for (size_t i = 0; i < value.n;) {
        struct span at = span_from(value, i);
        unsigned n = utf8_decode(at, &code);
        n = n ? n : 1;
        uint8_t bytes[4];
        memcpy(bytes, at.p, n);
        if (counts(at, n) || type == DETECT_EMAIL) {
            if (n == 1 && bytes[0] >= 'A' && bytes[0] <= 'Z')
                bytes[0] = (uint8_t)(bytes[0] - 'A' + 'a');
            crypto_generichash_update(&state, bytes, n);
        }
        i += n;
    }
    crypto_generichash_final(&state, digest, sizeof digest);
    sodium_memzero(&state, sizeof state);
    hex_encode(digest, HASH_BYTES, hex);
    buffer_add_char(out, '[');
    replace_label(policy, type, out);
    buffer_add_char(out, ':');
    buffer_add_str(out, hex);
    buffer_add_char(out, ']');
}

void replace_value(struct mask_rule rule, unsigned type, struct span value,
                   const struct policy *policy, const uint8_t *hash_key, struct buffer *out)
{
    switch (rule.action) {
    case MASK_KEEP:
        buffer_add(out, value);
        return;
    case MASK_PARTIAL:
        partial(rule, type, value, policy, out);
        return;
    case MASK_HASH:
        if (!hash_key)
            break;
        hash(type, value, policy, hash_key, out);
        return;
    case MASK_BLOCK:
        buffer_add(out, SPAN(REPLACE_BLOCKED));
        return;
    case MASK_REDACT:
    case MASK_TOKEN: /* without a living original behind it: never weaker than redact */
        break;
    }
    redact(policy, type, out);
}

int mask_text_for(struct span text, const struct finding *findings, size_t n,
                  const struct policy *policy, const struct profile *profile,
                  const struct retention_facts *facts, struct buffer *out)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const struct finding *f = &findings[i];
        if (f->back)
            continue;
        if (f->start < at || f->end < f->start || f->end > text.n)
            return SLUIS_EINVAL;
        unsigned by;
        if (profile_rule_of(profile, facts, f, &by).action == MASK_BLOCK) {
            buffer_add(out, SPAN(REPLACE_BLOCKED));
            return out->error;
        }
        at = f->end;
    }
    at = 0;
    for (size_t i = 0; i < n; i++) {
        const struct finding *f = &findings[i];
        if (f->back)
            continue;
        unsigned by;
        struct mask_rule rule = profile_rule_of(profile, facts, f, &by);
        buffer_add(out, span_sub(text, at, f->start));
        replace_value(rule, by, span_sub(text, f->start, f->end), policy, NULL, out);
        at = f->end;
    }
    buffer_add(out, span_from(text, at));
    return out->error;
}

int mask_text(struct span text, const struct finding *findings, size_t n,
              const struct policy *policy, const struct profile *profile, struct buffer *out)
{
    return mask_text_for(text, findings, n, policy, profile, NULL, out);
}

/*
 * Tokens: what stands for a value that a tool may use and not see.
 *
 *   [IBAN#sssssssstttttttttttttttt]    label, masked serial (4 bytes), tag (8 bytes), in hex
 *
 * tag    first 8 bytes of BLAKE2b-256(key of the message for tokens, type | value): 64 bits that
 *        look random to whoever has no key, and that nobody can compute again once the message's
 *        original is destroyed
 * serial of the message, XORed with the first 4 bytes of BLAKE2b-256(key of the channel, tag): the
 *        gateway finds the message without a table of tokens; a tool learns nothing of how many
 *        messages there are
 *
 * So no token is stored anywhere: it holds as long as the message's original does.
 */
#include "token.h"

#include <sodium.h>

#include "replace.h"
#include "sluis/base/encode.h"

#define SERIAL_BYTES 4
#define TAG_BYTES MASK_TOKEN_TAG
#define HEX (2 * (SERIAL_BYTES + TAG_BYTES))
#define LABEL_MAX 64

static void tag_of(const uint8_t key[32], unsigned type, struct span value, uint8_t tag[TAG_BYTES])
{
    crypto_generichash_state state;
    uint8_t kind[2], digest[32];
    be16_put(kind, (uint16_t)type);
    crypto_generichash_init(&state, key, 32, sizeof(digest));
    crypto_generichash_update(&state, kind, sizeof(kind));
    crypto_generichash_update(&state, (const unsigned char *)value.p, value.n);
    crypto_generichash_final(&state, digest, sizeof(digest));
    memcpy(tag, digest, TAG_BYTES);
    sodium_memzero(&state, sizeof(state));
    sodium_memzero(digest, sizeof(digest));
}

static uint32_t serial_mask(const uint8_t key[32], const uint8_t tag[TAG_BYTES])
{
    uint8_t digest[32];
    crypto_generichash(digest, sizeof(digest), tag, TAG_BYTES, key, 32);
    uint32_t mask = be32_get(digest);
    sodium_memzero(digest, sizeof(digest));
    return mask;
}

void mask_token_write(const struct policy *policy, unsigned type, struct span value,
                      const struct mask_token_keys *keys, struct buffer *out)
{
    uint8_t bytes[SERIAL_BYTES + TAG_BYTES];
    char hex[HEX + 1];
    tag_of(keys->value, type, value, bytes + SERIAL_BYTES);
    be32_put(bytes, keys->serial ^ serial_mask(keys->channel, bytes + SERIAL_BYTES));
    hex_encode(bytes, sizeof(bytes), hex);
    buffer_add_char(out, '[');
    replace_label(policy, type, out);
    buffer_add_char(out, '#');
    buffer_add_str(out, hex);
    buffer_add_char(out, ']');
}

static bool label_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* A token that begins at `start`, whose letters may have changed their case on the way. */
static bool token_at(struct span text, size_t start, struct mask_token *out)
{
    uint8_t bytes[SERIAL_BYTES + TAG_BYTES];
    char hex[HEX];
    size_t at = start + 1, label = 0;
    while (at < text.n && label < LABEL_MAX && label_char(text.p[at])) {
        at++;
        label++;
    }
    if (label == 0 || at >= text.n || text.p[at] != '#' || text.n - at < 1 + HEX + 1 ||
        text.p[at + 1 + HEX] != ']')
        return false;
    for (size_t i = 0; i < HEX; i++) {
        char c = text.p[at + 1 + i];
        hex[i] = c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
    }
    if (hex_decode_lower(span_of(hex, HEX), bytes, sizeof(bytes)) != 0)
        return false;
    *out = (struct mask_token){.start = start, .sign = at, .end = at + 1 + HEX + 1};
    out->serial = be32_get(bytes);
    memcpy(out->tag, bytes + SERIAL_BYTES, TAG_BYTES);
    return true;
}

bool mask_token_next(struct span text, size_t from, struct mask_token *out)
{
    for (size_t i = from; i < text.n; i++)
        if (text.p[i] == '[' && token_at(text, i, out))
            return true;
    return false;
}

uint32_t mask_token_serial(const uint8_t channel[32], const struct mask_token *token)
{
    return token->serial ^ serial_mask(channel, token->tag);
}

int mask_token_value(const struct json_doc *doc, const struct judged *judged,
                     const uint8_t value_key[32], const struct mask_token *token,
                     struct arena *arena, struct span *value)
{
    for (size_t i = 0; i < judged->count; i++) {
        const struct mask_finding *f = &judged->findings[i];
        struct span raw = span_sub(doc->text, f->start, f->end);
        char *text = arena_try(arena, raw.n + 1);
        uint32_t *map = arena_try(arena, (raw.n + 1) * sizeof(*map));
        uint8_t tag[TAG_BYTES];
        size_t n;
        if (!text || !map)
            return SLUIS_ENOMEM;
        json_decode_map(raw, text, map, &n);
        /* under whichever of its types' rules it was shown */
        for (uint64_t left = f->also | (uint64_t)1 << f->type; left; left &= left - 1) {
            tag_of(value_key, (unsigned)__builtin_ctzll(left), span_of(text, n), tag);
            if (sodium_memcmp(tag, token->tag, TAG_BYTES) == 0) {
                *value = span_of(text, n);
                return 0;
            }
        }
    }
    return SLUIS_ENOENT;
}

/* Cheap: most strings have no number sign. */
static bool may_hold_sign(struct span raw)
{
    return memchr(raw.p, '#', raw.n) || memmem(raw.p, raw.n, "\\u0023", 6);
}

static bool is_shown(const struct render *r, const struct mask_finding *f)
{
    unsigned by;
    return render_rule(r, f, &by).action == MASK_KEEP;
}

const struct mask_finding *token_forged(struct render *r, uint32_t node,
                                        const struct mask_finding *f, size_t *n)
{
    const struct json_node *v = &r->doc->nodes[node];
    struct span raw = span_sub(r->doc->text, v->start + 1, v->end - 1);
    struct mask_token token;
    size_t length, count = 0, had = *n;
    if (raw.n < HEX || !may_hold_sign(raw))
        return f;
    char *text = arena_try(r->arena, raw.n);
    uint32_t *map = arena_try(r->arena, (raw.n + 1) * sizeof(*map));
    struct mask_finding *all = arena_try(r->arena, (had + raw.n / (HEX + 4) + 1) * sizeof(*all));
    if (!text || !map || !all) {
        render_fail(r, SLUIS_ENOMEM);
        return f;
    }
    json_decode_map(raw, text, map, &length);
    size_t i = 0;
    for (size_t at = 0; mask_token_next(span_of(text, length), at, &token); at = token.end) {
        uint32_t start = v->start + 1 + map[token.sign], end = v->start + 1 + map[token.sign + 1];
        while (i < had && (f[i].end <= start || (f[i].start < end && is_shown(r, &f[i]))))
            all[count++] = f[i++];
        if (i == had || f[i].start >= end) /* else it is hidden already */
            all[count++] = (struct mask_finding){start, end, RENDER_FORGED, 0, 0, false};
    }
    while (i < had)
        all[count++] = f[i++];
    *n = count;
    return all;
}

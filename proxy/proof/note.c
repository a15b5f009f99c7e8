/* C2SP signed notes with Ed25519, and checkpoints in them. */
#include "room.h"

#include <sodium.h>

#include "sluis/base/utf8.h"

#define ED25519 1                     /* signature type of the note format */
#define DASH "\xe2\x80\x94 "          /* begins a signature line: em dash, space */
#define SIGNATURE (4 + 64)            /* key id, Ed25519 signature */
#define KEY_BYTES (1 + 32)            /* type, public key */
#define BASE64_MAX BASE64_LEN(64 + 8) /* of what is read here */

int proof_base64_read(struct span text, uint8_t *out, size_t n)
{
    char again[BASE64_MAX + 1];
    if (n > 72 || text.n != BASE64_LEN(n) || base64_decode(text, out, n) != (long)n)
        return SLUIS_EINVAL;
    base64_encode(out, n, again);
    return memcmp(again, text.p, text.n) == 0 ? 0 : SLUIS_EINVAL;
}

void proof_base64_write(const uint8_t *bytes, size_t n, struct buffer *out)
{
    char text[BASE64_MAX + 1];
    base64_encode(bytes, n, text);
    buffer_add(out, span_of(text, BASE64_LEN(n)));
}

int proof_number(struct span *rest, uint64_t *out)
{
    size_t n = 0;
    while (n < rest->n && rest->p[n] >= '0' && rest->p[n] <= '9')
        n++;
    if (n == 0 || (n > 1 && rest->p[0] == '0') || span_u64(span_sub(*rest, 0, n), out) != 0)
        return SLUIS_EINVAL;
    *rest = span_from(*rest, n);
    return 0;
}

/* ---- keys ---- */

static bool name_good(struct span name)
{
    if (name.n == 0 || name.n > NOTE_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] > '~' || strchr("+\"\\", name.p[i]))
            return false;
    return true;
}

int note_key_make(struct span name, const uint8_t public_key[32], struct note_key *out)
{
    uint8_t text[NOTE_NAME_MAX + 2 + 32], hash[32];
    if (!name_good(name))
        return SLUIS_EINVAL;
    memset(out, 0, sizeof(*out));
    memcpy(out->name, name.p, name.n);
    memcpy(out->public_key, public_key, 32);
    memcpy(text, name.p, name.n);
    text[name.n] = '\n';
    text[name.n + 1] = ED25519;
    memcpy(text + name.n + 2, public_key, 32);
    proof_sha256(span_of(text, name.n + 2 + 32), hash);
    memcpy(out->id, hash, sizeof(out->id));
    return 0;
}

int note_key_of_seed(struct span name, const uint8_t seed[NOTE_SEED], struct note_key *out)
{
    uint8_t public_key[32], secret[64];
    crypto_sign_seed_keypair(public_key, secret, seed);
    sodium_memzero(secret, sizeof(secret));
    return note_key_make(name, public_key, out);
}

int note_key_read(struct span text, struct note_key *out)
{
    uint8_t id[4], key[KEY_BYTES];
    if (span_ends(text, SPAN("\n")))
        text.n--;
    size_t first = span_find(text, '+');
    struct span name = span_sub(text, 0, first), rest = span_from(text, first + 1);
    size_t second = span_find(rest, '+');
    struct span encoded = span_from(rest, second + 1);
    if (hex_decode_lower(span_sub(rest, 0, second), id, sizeof(id)) != 0 ||
        proof_base64_read(encoded, key, sizeof(key)) != 0 || key[0] != ED25519 ||
        note_key_make(name, key + 1, out) != 0)
        return SLUIS_EINVAL;
    return memcmp(id, out->id, sizeof(id)) == 0 ? 0 : SLUIS_EINVAL;
}

void note_key_write(const struct note_key *key, struct buffer *out)
{
    uint8_t bytes[KEY_BYTES] = {ED25519};
    memcpy(bytes + 1, key->public_key, 32);
    buffer_add_str(out, key->name);
    buffer_add_char(out, '+');
    buffer_add_hex(out, span_of(key->id, sizeof(key->id)));
    buffer_add_char(out, '+');
    proof_base64_write(bytes, sizeof(bytes), out);
}

void note_key_fingerprint(const struct note_key *key, char out[65])
{
    uint8_t hash[32];
    proof_sha256(span_of(key->public_key, 32), hash);
    hex_encode(hash, sizeof(hash), out);
}

/* ---- notes ---- */

static bool text_good(struct span text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < 0x20 && text.p[i] != '\n')
            return false;
    return utf8_valid(text);
}

int note_sign(const struct note_key *key, const uint8_t seed[NOTE_SEED], struct span text,
              struct buffer *out)
{
    if (!span_ends(text, SPAN("\n")) || !text_good(text))
        return SLUIS_EINVAL;
    buffer_add(out, text);
    buffer_add_char(out, '\n');
    return note_cosign(key, seed, text, out);
}

int note_cosign(const struct note_key *key, const uint8_t seed[NOTE_SEED], struct span text,
                struct buffer *out)
{
    uint8_t public_key[32], secret[64], signature[SIGNATURE];
    crypto_sign_seed_keypair(public_key, secret, seed);
    memcpy(signature, key->id, 4);
    crypto_sign_detached(signature + 4, NULL, (const unsigned char *)text.p, text.n, secret);
    sodium_memzero(secret, sizeof(secret));
    buffer_add(out, SPAN(DASH));
    buffer_add_str(out, key->name);
    buffer_add_char(out, ' ');
    proof_base64_write(signature, sizeof(signature), out);
    buffer_add_char(out, '\n');
    return out->error;
}

/* One signature line without its line end. 1: of this key, and it holds; 0: of another key. */
static int signature_line(struct span line, const struct note_key *key, struct span text)
{
    uint8_t bytes[SIGNATURE];
    if (!span_starts(line, SPAN(DASH)))
        return SLUIS_EINVAL;
    line = span_from(line, sizeof(DASH) - 1);
    size_t space = span_find(line, ' ');
    struct span name = span_sub(line, 0, space), encoded = span_from(line, space + 1);
    if (name.n == 0 || encoded.n == 0)
        return SLUIS_EINVAL;
    if (!span_is(name, key->name) || proof_base64_read(encoded, bytes, sizeof(bytes)) != 0 ||
        memcmp(bytes, key->id, 4) != 0)
        return 0;
    return crypto_sign_verify_detached(bytes + 4, (const unsigned char *)text.p, text.n,
                                       key->public_key) == 0
               ? 1
               : SLUIS_ECRYPTO;
}

int note_open(struct span note, const struct note_key *key, struct span *text)
{
    if (note.n > NOTE_MAX || !span_ends(note, SPAN("\n")) || !text_good(note))
        return SLUIS_EINVAL;
    const char *gap = NULL; /* the last empty line */
    for (size_t i = note.n - 1; i > 0 && !gap; i--)
        if (note.p[i] == '\n' && note.p[i - 1] == '\n')
            gap = note.p + i;
    if (!gap)
        return SLUIS_EINVAL;
    *text = span_of(note.p, (size_t)(gap - note.p));
    struct span lines = span_from(note, text->n + 1);
    int held = 0;
    for (unsigned n = 0; lines.n; n++) {
        size_t end = span_find(lines, '\n');
        int r = n < NOTE_SIGNATURES_MAX ? signature_line(span_sub(lines, 0, end), key, *text)
                                        : SLUIS_EINVAL;
        if (r < 0)
            return r;
        held += r;
        lines = span_from(lines, end + 1);
    }
    return held ? 0 : SLUIS_ENOENT;
}

int note_next(struct span *rest, struct span *note)
{
    struct span left = *rest;
    bool signed_lines = false;
    while (span_starts(left, SPAN("\n")))
        left = span_from(left, 1);
    if (left.n == 0)
        return SLUIS_ENOENT;
    struct span at = left;
    while (at.n) {
        size_t end = span_find(at, '\n');
        bool signature = span_starts(at, SPAN(DASH));
        if (signed_lines && !signature)
            break;
        if (end == at.n)
            return SLUIS_EINVAL; /* torn */
        signed_lines = signed_lines || signature;
        at = span_from(at, end + 1);
    }
    if (!signed_lines)
        return SLUIS_EINVAL;
    *note = span_sub(left, 0, left.n - at.n);
    *rest = at;
    return 0;
}

/* ---- checkpoints ---- */

int checkpoint_write(const struct checkpoint *c, struct buffer *out)
{
    if (!name_good(span_str(c->origin)))
        return SLUIS_EINVAL;
    buffer_add_str(out, c->origin);
    buffer_add_char(out, '\n');
    buffer_add_u64(out, c->size);
    buffer_add_char(out, '\n');
    proof_base64_write(c->root, MERKLE_HASH, out);
    buffer_add_char(out, '\n');
    buffer_add(out, c->extension);
    return out->error;
}

static int take_line(struct span *rest, struct span *line)
{
    size_t end = span_find(*rest, '\n');
    if (end == rest->n || end == 0)
        return SLUIS_EINVAL;
    *line = span_sub(*rest, 0, end);
    *rest = span_from(*rest, end + 1);
    return 0;
}

int checkpoint_read(struct span text, struct checkpoint *out)
{
    struct span origin, size, root, line;
    memset(out, 0, sizeof(*out));
    if (take_line(&text, &origin) != 0 || take_line(&text, &size) != 0 ||
        take_line(&text, &root) != 0 || !name_good(origin) ||
        proof_number(&size, &out->size) != 0 || size.n != 0 ||
        proof_base64_read(root, out->root, MERKLE_HASH) != 0)
        return SLUIS_EINVAL;
    memcpy(out->origin, origin.p, origin.n);
    out->extension = text;
    while (text.n)
        if (take_line(&text, &line) != 0)
            return SLUIS_EINVAL;
    return 0;
}

int checkpoint_open(struct span note, const struct note_key *key, struct checkpoint *out)
{
    struct span text;
    int r = note_open(note, key, &text);
    if (r == 0)
        r = checkpoint_read(text, out);
    return r == 0 && strcmp(out->origin, key->name) != 0 ? SLUIS_EINVAL : r;
}

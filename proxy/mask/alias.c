/* Aliases of identifiers: wamid.<base64url(nonce | ciphertext | tag)>. The nonce is a keyed hash of
 * the text, so that the same identifier gives the same alias, and is checked again after opening.
 */
#include "sluis/mask.h"

#include <sodium.h>

#include "sluis/base/encode.h"

#define ALIAS_TEXT_MAX 512 /* message ids are under 120 bytes, BSUIDs under 140 */
#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG crypto_aead_xchacha20poly1305_ietf_ABYTES
#define SEALED_MAX (NONCE + ALIAS_TEXT_MAX + TAG)

static const struct span prefix = {"wamid.", 6};

static void nonce_of(const uint8_t key[32], struct span text, uint8_t nonce[NONCE])
{
    uint8_t sub[32];
    crypto_kdf_derive_from_key(sub, sizeof sub, 1, "siv.mask", key);
    crypto_generichash(nonce, NONCE, (const uint8_t *)text.p, text.n, sub, sizeof sub);
    sodium_memzero(sub, sizeof sub);
}

int mask_alias(const uint8_t key[32], struct span id, struct buffer *out)
{
    uint8_t sealed[SEALED_MAX], sub[32];
    char text[BASE64URL_LEN(SEALED_MAX) + 1];
    bool wamid = span_starts(id, prefix);
    struct span rest = wamid ? span_from(id, prefix.n) : id;
    if (rest.n > ALIAS_TEXT_MAX)
        return SLUIS_ELIMIT;
    nonce_of(key, rest, sealed);
    crypto_kdf_derive_from_key(sub, sizeof sub, 2, "siv.mask", key);
    unsigned long long n = 0;
    int bad = crypto_aead_xchacha20poly1305_ietf_encrypt(
        sealed + NONCE, &n, (const uint8_t *)rest.p, rest.n, (const uint8_t *)prefix.p,
        wamid ? prefix.n : 0, NULL, sealed, sub);
    sodium_memzero(sub, sizeof sub);
    if (bad)
        return SLUIS_ECRYPTO;
    base64url_encode(sealed, NONCE + (size_t)n, text);
    if (wamid)
        buffer_add(out, prefix);
    buffer_add_str(out, text);
    return out->error;
}

int mask_unalias(const uint8_t key[32], struct span alias, struct buffer *out)
{
    uint8_t sealed[SEALED_MAX], plain[ALIAS_TEXT_MAX], sub[32];
    bool wamid = span_starts(alias, prefix);
    struct span rest = wamid ? span_from(alias, prefix.n) : alias;
    long n = base64url_decode(rest, sealed, sizeof sealed);
    if (n < (long)(NONCE + TAG))
        return SLUIS_EINVAL;
    unsigned long long length = 0;
    crypto_kdf_derive_from_key(sub, sizeof sub, 2, "siv.mask", key);
    int bad = crypto_aead_xchacha20poly1305_ietf_decrypt(
        plain, &length, NULL, sealed + NONCE, (unsigned long long)n - NONCE,
        (const uint8_t *)prefix.p, wamid ? prefix.n : 0, sealed, sub);
    sodium_memzero(sub, sizeof sub);
    if (bad)
        return SLUIS_ECRYPTO;
    if (wamid)
        buffer_add(out, prefix);
    buffer_add(out, span_of(plain, (size_t)length));
    sodium_memzero(plain, sizeof plain);
    return out->error;
}

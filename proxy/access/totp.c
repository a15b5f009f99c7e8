/* One-time codes: HOTP (RFC 4226) over time steps (RFC 6238); base32 (RFC 4648). */
#include "room.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include "sluis/base/encode.h"

int totp_code(enum totp_hash hash, struct span secret, uint64_t step, unsigned digits, char out[9])
{
    static const uint32_t powers[] = {1000000, 10000000, 100000000};
    const EVP_MD *md = hash == TOTP_SHA1     ? EVP_sha1()
                       : hash == TOTP_SHA256 ? EVP_sha256()
                                             : EVP_sha512();
    uint8_t counter[8], mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (digits < 6 || digits > 8 || secret.n > INT32_MAX)
        return SLUIS_EINVAL;
    be64_put(counter, step);
    if (!HMAC(md, secret.p, (int)secret.n, counter, sizeof(counter), mac, &n) || n < 20)
        return SLUIS_ESYS;
    unsigned at = mac[n - 1] & 15; /* dynamic truncation, RFC 4226 section 5.3 */
    uint32_t value = (be32_get(mac + at) & 0x7fffffff) % powers[digits - 6];
    out[digits] = '\0';
    for (unsigned i = digits; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
    sodium_memzero(mac, sizeof(mac));
    return 0;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

void base32_encode(struct span bytes, struct buffer *out)
{
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < bytes.n; i++) {
        bits = bits << 8 | (uint8_t)bytes.p[i];
        for (have += 8; have >= 5; have -= 5)
            buffer_add_char(out, alphabet[bits >> (have - 5) & 31]);
    }
    if (have)
        buffer_add_char(out, alphabet[bits << (5 - have) & 31]);
}

int base32_decode(struct span text, struct buffer *out)
{
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < text.n; i++) {
        const char *at = text.p[i] ? strchr(alphabet, text.p[i]) : NULL;
        if (!at)
            return SLUIS_EINVAL;
        bits = bits << 5 | (uint32_t)(at - alphabet);
        have += 5;
        if (have >= 8) {
            have -= 8;
            buffer_add_char(out, (char)(bits >> have & 255));
        }
    }
    return out->error;
}

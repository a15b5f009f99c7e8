/* Address ranges of tokens (CIDR, RFC 4632 and RFC 4291 section 2.3). */
#include "room.h"

#include <arpa/inet.h>

#define TEXT_SIZE 48 /* of an address as text, NUL included */

/* False when it is no address. */
static bool address_read(struct span text, uint8_t out[16], bool *four)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char copy[TEXT_SIZE];
    if (text.n == 0 || text.n >= sizeof(copy))
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    if (inet_pton(AF_INET, copy, out + 12) == 1) {
        memcpy(out, mapped, sizeof(mapped));
        *four = true;
        return true;
    }
    *four = false;
    return inet_pton(AF_INET6, copy, out) == 1;
}

/* True when the first `bits` of both agree. */
static bool same_prefix(const uint8_t a[16], const uint8_t b[16], unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) & (0xff << (8 - rest)) & 0xff) == 0;
}

int access_range_parse(struct span text, struct access_range *out)
{
    bool four;
    uint64_t bits;
    size_t slash = span_find(text, '/');
    memset(out, 0, sizeof(*out));
    if (!address_read(span_sub(text, 0, slash), out->address, &four))
        return SLUIS_EINVAL;
    unsigned most = four ? 32 : 128;
    if (slash == text.n)
        bits = most;
    else if (span_u64(span_from(text, slash + 1), &bits) != 0 || bits > most)
        return SLUIS_EINVAL;
    out->bits = (uint8_t)(bits + (four ? 96 : 0));
    for (unsigned i = 0; i < 128; i++) /* 10.1.2.3/8 is likelier a mistake than a wish */
        if (i >= out->bits && (out->address[i / 8] & (0x80 >> (i % 8))))
            return SLUIS_EINVAL;
    return 0;
}

void access_range_text(const struct access_range *range, char out[64])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    bool four = range->bits >= 96 && memcmp(range->address, mapped, sizeof(mapped)) == 0;
    char address[TEXT_SIZE] = "?";
    inet_ntop(four ? AF_INET : AF_INET6, range->address + (four ? 12 : 0), address,
              sizeof(address));
    snprintf(out, 64, "%s/%d", address, range->bits - (four ? 96 : 0));
}

bool access_range_has(const struct access_range *range, const char *peer)
{
    uint8_t address[16];
    bool four;
    return address_read(span_str(peer), address, &four) &&
           same_prefix(range->address, address, range->bits);
}

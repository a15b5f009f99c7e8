/* RFC 6962 trees: hashes, compact ranges, proofs. */

/* The low-level SHA-256: it cannot fail, allocates nothing and saves the 0.2 us that EVP spends
 * around each hash; a start hashes every node of the log. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "room.h"

void proof_sha256(struct span bytes, uint8_t out[32])
{
    SHA256_CTX c;
    SHA256_Init(&c);
    SHA256_Update(&c, bytes.p, bytes.n);
    SHA256_Final(out, &c);
}

void merkle_leaf(struct span leaf, uint8_t out[MERKLE_HASH])
{
    SHA256_CTX c;
    SHA256_Init(&c);
    SHA256_Update(&c, "\0", 1);
    SHA256_Update(&c, leaf.p, leaf.n);
    SHA256_Final(out, &c);
}

void merkle_node(const uint8_t left[MERKLE_HASH], const uint8_t right[MERKLE_HASH],
                 uint8_t out[MERKLE_HASH])
{
    uint8_t text[1 + 2 * MERKLE_HASH] = {1};
    SHA256_CTX c;
    memcpy(text + 1, left, MERKLE_HASH);
    memcpy(text + 1 + MERKLE_HASH, right, MERKLE_HASH);
    SHA256_Init(&c);
    SHA256_Update(&c, text, sizeof(text));
    SHA256_Final(out, &c);
}

void merkle_range_init(struct merkle_range *range)
{
    range->size = 0;
    range->count = 0;
}

int merkle_range_add(struct merkle_range *range, unsigned level, const uint8_t hash[MERKLE_HASH])
{
    uint8_t top[MERKLE_HASH];
    if (level >= MERKLE_LEVELS)
        return SLUIS_EINVAL;
    uint64_t leaves = UINT64_C(1) << level;
    if ((range->size & (leaves - 1)) || range->size + leaves < leaves)
        return SLUIS_EINVAL;
    memcpy(top, hash, MERKLE_HASH);
    for (uint64_t size = range->size >> level; size & 1; size >>= 1)
        merkle_node(range->node[--range->count], top, top);
    memcpy(range->node[range->count++], top, MERKLE_HASH);
    range->size += leaves;
    return 0;
}

void merkle_range_root(const struct merkle_range *range, uint8_t out[MERKLE_HASH])
{
    if (range->count == 0) {
        proof_sha256(SPAN_EMPTY, out);
        return;
    }
    memcpy(out, range->node[range->count - 1], MERKLE_HASH);
    for (unsigned i = range->count - 1; i > 0; i--)
        merkle_node(range->node[i - 1], out, out);
}

/* ---- verification (RFC 9162, 2.1.3.2 and 2.1.4.2) ---- */

static int same(const uint8_t a[MERKLE_HASH], const uint8_t b[MERKLE_HASH])
{
    return memcmp(a, b, MERKLE_HASH) == 0 ? 0 : SLUIS_ECRYPTO;
}

int merkle_check_inclusion(uint64_t index, uint64_t size, const uint8_t leaf[MERKLE_HASH],
                           const uint8_t root[MERKLE_HASH], const uint8_t (*proof)[MERKLE_HASH],
                           size_t n)
{
    uint8_t r[MERKLE_HASH];
    if (index >= size)
        return SLUIS_ECRYPTO;
    uint64_t fn = index, sn = size - 1;
    memcpy(r, leaf, MERKLE_HASH);
    for (size_t i = 0; i < n; i++) {
        if (sn == 0)
            return SLUIS_ECRYPTO;
        if ((fn & 1) || fn == sn) {
            merkle_node(proof[i], r, r);
            while (!(fn & 1) && fn) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            merkle_node(r, proof[i], r);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 ? same(r, root) : SLUIS_ECRYPTO;
}

int merkle_check_consistency(uint64_t first, uint64_t second, const uint8_t first_root[MERKLE_HASH],
                             const uint8_t second_root[MERKLE_HASH],
                             const uint8_t (*proof)[MERKLE_HASH], size_t n)
{
    uint8_t fr[MERKLE_HASH], sr[MERKLE_HASH];
    if (first > second || first == 0)
        return SLUIS_ECRYPTO;
    if (first == second)
        return n == 0 ? same(first_root, second_root) : SLUIS_ECRYPTO;
    bool power = (first & (first - 1)) == 0; /* then the first root begins the path itself */
    if (!power && n == 0)
        return SLUIS_ECRYPTO;
    memcpy(fr, power ? first_root : proof[0], MERKLE_HASH);
    memcpy(sr, fr, MERKLE_HASH);
    uint64_t fn = first - 1, sn = second - 1;
    while (fn & 1) {
        fn >>= 1;
        sn >>= 1;
    }
    for (size_t i = power ? 0 : 1; i < n; i++) {
        if (sn == 0)
            return SLUIS_ECRYPTO;
        if ((fn & 1) || fn == sn) {
            merkle_node(proof[i], fr, fr);
            merkle_node(proof[i], sr, sr);
            while (!(fn & 1) && fn) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            merkle_node(sr, proof[i], sr);
        }
        fn >>= 1;
        sn >>= 1;
    }
    if (sn != 0 || same(fr, first_root) != 0)
        return SLUIS_ECRYPTO;
    return same(sr, second_root);
}

/* ---- making (RFC 6962, 2.1.1 and 2.1.2), from the root down: hashes are found in reverse ---- */

/* The largest power of two below n, n > 1. */
static uint64_t split(uint64_t n)
{
    return UINT64_C(1) << (63 - __builtin_clzll(n - 1));
}

static void reverse(uint8_t proof[][MERKLE_HASH], size_t n)
{
    uint8_t kept[MERKLE_HASH];
    for (size_t i = 0; i < n / 2; i++) {
        memcpy(kept, proof[i], MERKLE_HASH);
        memcpy(proof[i], proof[n - 1 - i], MERKLE_HASH);
        memcpy(proof[n - 1 - i], kept, MERKLE_HASH);
    }
}

int merkle_make_inclusion(const struct merkle_source *source, uint64_t index, uint64_t size,
                          uint8_t proof[MERKLE_LEVELS][MERKLE_HASH], size_t *n)
{
    uint64_t from = 0;
    *n = 0;
    if (index >= size)
        return SLUIS_EINVAL;
    while (size > 1) {
        uint64_t k = split(size);
        bool left = index - from < k;
        int r = left ? source->hash(source->ctx, from + k, size - k, proof[*n])
                     : source->hash(source->ctx, from, k, proof[*n]);
        if (r)
            return r;
        (*n)++;
        from += left ? 0 : k;
        size = left ? k : size - k;
    }
    reverse(proof, *n);
    return 0;
}

int merkle_make_consistency(const struct merkle_source *source, uint64_t first, uint64_t second,
                            uint8_t proof[MERKLE_LEVELS + 1][MERKLE_HASH], size_t *n)
{
    uint64_t from = 0, m = first, size = second;
    int r = 0;
    *n = 0;
    if (first == 0 || first > second)
        return SLUIS_EINVAL;
    while (r == 0 && m != size) {
        uint64_t k = split(size);
        bool left = m <= k;
        r = left ? source->hash(source->ctx, from + k, size - k, proof[*n])
                 : source->hash(source->ctx, from, k, proof[*n]);
        (*n)++;
        from += left ? 0 : k;
        m -= left ? 0 : k;
        size = left ? k : size - k;
    }
    /* What was reached is known to the reader only when it is the whole first tree. */
    if (r == 0 && from > 0)
        r = source->hash(source->ctx, from, size, proof[(*n)++]);
    if (r == 0)
        reverse(proof, *n);
    return r;
}

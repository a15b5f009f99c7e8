/* X-Hub-Signature-256 (whatsapp section 2): HMAC-SHA256 over the raw body, contexts kept. */
#include "internal.h"

#include "sluis/base/encode.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <sodium.h>
#include <stdlib.h>

#define SIGNATURE_BYTES 32
#define SIGNATURE_SECRETS 2

/* Initialising HMAC from a key costs two hash blocks; a context made once per secret and
 * re-initialised without a key costs 0.7 us per 700 bytes against 1.3 (architecture section 10). */
struct signature_cache {
    const struct config *config; /* the snapshot the contexts were made from */
    struct config *held;         /* our reference, so that the pointer cannot be re-used */
    EVP_MAC *mac;
    EVP_MAC_CTX *contexts[CONFIG_APPS_MAX][SIGNATURE_SECRETS];
};

int signature_cache_new(struct signature_cache **out)
{
    *out = NULL;
    struct signature_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return SLUIS_ENOMEM;
    cache->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (!cache->mac) {
        free(cache);
        return SLUIS_ECRYPTO;
    }
    *out = cache;
    return 0;
}

static void drop_contexts(struct signature_cache *cache)
{
    for (size_t a = 0; a < CONFIG_APPS_MAX; a++) {
        for (size_t s = 0; s < SIGNATURE_SECRETS; s++) {
            EVP_MAC_CTX_free(cache->contexts[a][s]);
            cache->contexts[a][s] = NULL;
        }
    }
}

void signature_cache_free(struct signature_cache *cache)
{
    if (!cache)
        return;
    drop_contexts(cache);
    if (cache->held)
        config_unref(cache->held);
    EVP_MAC_free(cache->mac);
    free(cache);
}

static EVP_MAC_CTX *context(struct signature_cache *cache, const struct config *config, size_t app,
                            size_t secret, struct span key)
{
    if (cache->config != config) {
        drop_contexts(cache);
        if (cache->held)
            config_unref(cache->held);
        cache->held = config_ref((struct config *)config);
        cache->config = config;
    }
    EVP_MAC_CTX **at = &cache->contexts[app][secret];
    if (!*at) {
        char digest[] = "SHA256";
        const OSSL_PARAM params[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
            OSSL_PARAM_construct_end()};
        *at = EVP_MAC_CTX_new(cache->mac);
        if (*at && EVP_MAC_init(*at, (const unsigned char *)key.p, key.n, params) != 1) {
            EVP_MAC_CTX_free(*at);
            *at = NULL;
        }
    }
    return *at;
}

static bool compute(EVP_MAC_CTX *ctx, struct span body, uint8_t out[SIGNATURE_BYTES])
{
    size_t n = 0;
    return EVP_MAC_init(ctx, NULL, 0, NULL) == 1 &&
           EVP_MAC_update(ctx, (const unsigned char *)body.p, body.n) == 1 &&
           EVP_MAC_final(ctx, out, &n, SIGNATURE_BYTES) == 1 && n == SIGNATURE_BYTES;
}

static bool decode(struct span header, uint8_t out[SIGNATURE_BYTES])
{
    const struct span prefix = SPAN("sha256=");
    return span_starts(header, prefix) &&
           hex_decode_lower(span_from(header, prefix.n), out, SIGNATURE_BYTES) == 0;
}

bool signature_well_formed(struct span header)
{
    uint8_t claimed[SIGNATURE_BYTES];
    return decode(header, claimed);
}

bool signature_holds(struct signature_cache *cache, const struct config *config,
                     const struct config_app *app, struct span header, struct span body)
{
    uint8_t claimed[SIGNATURE_BYTES], ours[SIGNATURE_BYTES];
    if (!decode(header, claimed))
        return false;
    size_t index = (size_t)(app - config->apps);
    bool holds = false;
    for (size_t s = 0; s < SIGNATURE_SECRETS && index < CONFIG_APPS_MAX && !holds; s++) {
        if (app->secrets[s].n == 0)
            continue;
        EVP_MAC_CTX *ctx = context(cache, config, index, s, app->secrets[s]);
        holds =
            ctx && compute(ctx, body, ours) && sodium_memcmp(claimed, ours, SIGNATURE_BYTES) == 0;
    }
    sodium_memzero(ours, sizeof(ours));
    return holds;
}

#include "tls.h"

#include <openssl/err.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#include "sluis/base/encode.h"

static SSL_CTX *fail(SSL_CTX *ctx, const char *what, const char *file)
{
    char text[256];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    fprintf(stderr, "sluis-sim: %s %s: %s\n", what, file ? file : "", text);
    SSL_CTX_free(ctx);
    return NULL;
}

static bool use(SSL_CTX *ctx, const char *certificate, const char *key)
{
    return SSL_CTX_use_certificate_chain_file(ctx, certificate) == 1 &&
           SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1;
}

SSL_CTX *tls_server(const char *certificate, const char *key)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx || !use(ctx, certificate, key))
        return fail(ctx, "certificate or key", certificate);
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    /* Peers of the tests die without close_notify; framing tells where a body ends. */
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    return ctx;
}

SSL_CTX *tls_client(const char *ca, const char *certificate, const char *key)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx || SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1)
        return fail(ctx, "CA", ca);
    if (certificate && !use(ctx, certificate, key))
        return fail(ctx, "client certificate or key", certificate);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    return ctx;
}

char *secret_read(const char *file)
{
    FILE *f = fopen(file, "re");
    char line[1024];
    if (!f || !fgets(line, sizeof line, f)) {
        fprintf(stderr, "sluis-sim: cannot read %s\n", file);
        if (f)
            fclose(f);
        return NULL;
    }
    fclose(f);
    line[strcspn(line, "\r\n")] = '\0';
    return strdup(line);
}

void signature_make(const char *secret, struct span body, char out[SIGNATURE_SIZE])
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)body.p, body.n, mac, &n);
    memcpy(out, "sha256=", 7);
    hex_encode(mac, 32, out + 7);
}

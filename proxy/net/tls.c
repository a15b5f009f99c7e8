#include "tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct tls_context {
    SSL_CTX *ctx;
    atomic_uint refs;
    bool server;
    char client_cn[TLS_NAME_SIZE]; /* "": any name under client_ca */
};

/* The reason of OpenSSL's last error, for a diagnosis; a constant text of OpenSSL. */
static const char *last_error(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text ? text : "unknown reason";
}

static int name_of(X509 *certificate, char out[TLS_NAME_SIZE])
{
    out[0] = '\0';
    X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return SLUIS_ENOENT;
    ASN1_STRING *text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    unsigned char *utf8 = NULL;
    int n = ASN1_STRING_to_UTF8(&utf8, text);
    int r = SLUIS_EINVAL;
    if (n > 0 && n < TLS_NAME_SIZE && !memchr(utf8, 0, (size_t)n)) {
        memcpy(out, utf8, (size_t)n);
        out[n] = '\0';
        r = 0;
    }
    OPENSSL_free(utf8);
    return r;
}

/* The chain has been judged; the leaf must also bear exactly the name that was asked for. */
static int check_client(int chain_holds, X509_STORE_CTX *store)
{
    char name[TLS_NAME_SIZE];
    if (!chain_holds)
        return 0;
    if (X509_STORE_CTX_get_error_depth(store) != 0)
        return 1;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (context->client_cn[0] == '\0')
        return 1;
    X509 *leaf = X509_STORE_CTX_get_current_cert(store);
    if (leaf && name_of(leaf, name) == 0 && strcmp(name, context->client_cn) == 0)
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

static const unsigned char alpn[] = "\x08http/1.1";

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                           const unsigned char *in, unsigned in_n, void *ctx)
{
    unsigned char *chosen = NULL;
    (void)ssl;
    (void)ctx;
    if (SSL_select_next_proto(&chosen, out_n, alpn, sizeof(alpn) - 1, in, in_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 section 3.2 */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int context_new(const SSL_METHOD *method, bool server, struct tls_context **out)
{
    struct tls_context *context = calloc(1, sizeof(*context));
    if (!context)
        return SLUIS_ENOMEM;
    atomic_init(&context->refs, 1);
    context->server = server;
    context->ctx = SSL_CTX_new(method);
    if (!context->ctx) {
        free(context);
        return SLUIS_ENOMEM;
    }
    SSL_CTX_set_app_data(context->ctx, context);
    SSL_CTX_set_min_proto_version(context->ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(context->ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                          SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context->ctx, SSL_SESS_CACHE_OFF);
    *out = context;
    return 0;
}

static int load_client_ca(struct tls_context *context, const struct tls_server_config *config,
                          struct diag *diag)
{
    size_t n = config->client_cn ? strlen(config->client_cn) : 0;
    if (!config->client_ca) {
        if (!config->client_cn)
            return 0;
        diag_set(diag, "", 0, 0, "client_cn needs client_ca");
        return SLUIS_EINVAL;
    }
    if (config->client_cn && (n == 0 || n >= TLS_NAME_SIZE)) {
        diag_set(diag, "", 0, 0, "client_cn: expected 1 to %d characters", TLS_NAME_SIZE - 1);
        return SLUIS_EINVAL;
    }
    if (n)
        memcpy(context->client_cn, config->client_cn, n);
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(config->client_ca);
    if (!names || SSL_CTX_load_verify_locations(context->ctx, config->client_ca, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        diag_set(diag, config->client_ca, 0, 0, "no usable CA certificates in PEM: %s",
                 last_error());
        return SLUIS_EINVAL;
    }
    SSL_CTX_set_client_CA_list(context->ctx, names);
    SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       check_client);
    return 0;
}

int tls_server_new(const struct tls_server_config *config, struct tls_context **out,
                   struct diag *diag)
{
    struct tls_context *context = NULL;
    int r = context_new(TLS_server_method(), true, &context);
    if (r)
        return r;
    r = SLUIS_EINVAL;
    ERR_clear_error();
    SSL_CTX_set_num_tickets(context->ctx, 0);
    SSL_CTX_set_alpn_select_cb(context->ctx, choose_protocol, NULL);
    if (SSL_CTX_use_certificate_chain_file(context->ctx, config->certificate) != 1) {
        diag_set(diag, config->certificate, 0, 0, "no usable certificate in PEM: %s", last_error());
        goto fail;
    }
    if (SSL_CTX_use_PrivateKey_file(context->ctx, config->key_file, SSL_FILETYPE_PEM) != 1) {
        if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH) {
            diag_set(diag, config->key_file, 0, 0,
                     "the key does not belong to the certificate in %s", config->certificate);
            goto fail;
        }
        diag_set(diag, config->key_file, 0, 0, "no usable private key in PEM: %s", last_error());
        goto fail;
    }
    if (SSL_CTX_check_private_key(context->ctx) != 1) {
        diag_set(diag, config->key_file, 0, 0, "the key does not belong to the certificate");
        goto fail;
    }
    r = load_client_ca(context, config, diag);
    if (r)
        goto fail;
    *out = context;
    return 0;
fail:
    ERR_clear_error();
    tls_unref(context);
    return r;
}

int tls_client_new(const struct tls_client_config *config, struct tls_context **out,
                   struct diag *diag)
{
    struct tls_context *context = NULL;
    int r = context_new(TLS_client_method(), false, &context);
    if (r)
        return r;
    ERR_clear_error();
    int loaded = config->ca_file
                     ? SSL_CTX_load_verify_locations(context->ctx, config->ca_file, NULL)
                     : SSL_CTX_set_default_verify_paths(context->ctx);
    if (loaded != 1) {
        diag_set(diag, config->ca_file ? config->ca_file : "", 0, 0,
                 "no usable CA certificates: %s", last_error());
        ERR_clear_error();
        tls_unref(context);
        return SLUIS_EINVAL;
    }
    SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_set_alpn_protos(context->ctx, alpn, sizeof(alpn) - 1) != 0) {
        tls_unref(context);
        return SLUIS_ENOMEM;
    }
    *out = context;
    return 0;
}

static bool seconds_of(const ASN1_TIME *time, int64_t *out)
{
    int days = 0, seconds = 0;
    ASN1_TIME *zero = ASN1_TIME_set(NULL, 0);
    bool known = zero && time && ASN1_TIME_diff(&days, &seconds, zero, time) == 1;
    *out = (int64_t)days * 86400 + seconds;
    ASN1_TIME_free(zero);
    return known;
}

int tls_certificate_dates(const char *file, int64_t *from_s, int64_t *until_s, struct diag *diag)
{
    BIO *in = BIO_new_file(file, "r");
    X509 *leaf = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    bool known = leaf && seconds_of(X509_get0_notBefore(leaf), from_s) &&
                 seconds_of(X509_get0_notAfter(leaf), until_s);
    X509_free(leaf);
    BIO_free(in);
    ERR_clear_error();
    if (!known)
        diag_set(diag, file, 0, 0, "no usable certificate in PEM");
    return known ? 0 : SLUIS_EINVAL;
}

struct tls_context *tls_ref(struct tls_context *context)
{
    if (context)
        atomic_fetch_add(&context->refs, 1);
    return context;
}

void tls_unref(struct tls_context *context)
{
    if (!context || atomic_fetch_sub(&context->refs, 1) != 1)
        return;
    SSL_CTX_free(context->ctx);
    free(context);
}

static bool is_numeric(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

#define HOST_SIZE 256 /* a name in DNS has 253 at most */

bool tls_names(const struct tls_context *context, struct span host)
{
    X509 *certificate = SSL_CTX_get0_certificate(context->ctx);
    bool bracket = host.n && host.p[0] == '[';
    char name[HOST_SIZE];
    if (bracket)
        host = span_from(host, 1);
    host = span_sub(host, 0, span_find(host, bracket ? ']' : ':'));
    if (!certificate || host.n == 0 || host.n >= sizeof(name) || memchr(host.p, 0, host.n))
        return false;
    memcpy(name, host.p, host.n);
    name[host.n] = '\0';
    int same = is_numeric(name) ? X509_check_ip_asc(certificate, name, 0)
                                : X509_check_host(certificate, name, host.n,
                                                  X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL);
    ERR_clear_error();
    return same == 1;
}

SSL *tls_session(struct tls_context *context, const char *host)
{
    SSL *ssl = SSL_new(context->ctx);
    if (!ssl || context->server)
        return ssl;
    int ok;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (is_numeric(host))
        ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
    else
        ok = SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
    if (ok == 1)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

void tls_peer_name(SSL *ssl, char out[TLS_NAME_SIZE])
{
    X509 *certificate = SSL_get1_peer_certificate(ssl);
    out[0] = '\0';
    if (!certificate)
        return;
    if (name_of(certificate, out))
        out[0] = '\0';
    X509_free(certificate);
}

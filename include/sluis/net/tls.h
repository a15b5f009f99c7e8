/*
 * TLS contexts (OpenSSL 3): TLS 1.2 and 1.3, ALPN http/1.1, no session tickets (or rotated ones),
 * SSL_MODE_RELEASE_BUFFERS. A context is immutable and shared between threads; reload makes a new
 * one.
 */
#ifndef SLUIS_NET_TLS_H
#define SLUIS_NET_TLS_H

#include "sluis/base/diag.h"
#include "sluis/base/error.h"
#include "sluis/base/span.h"

struct tls_context;

struct tls_server_config {
    const char *certificate; /* PEM file: leaf first, then intermediates */
    const char *key_file;    /* PEM file */
    const char *client_ca;   /* PEM file or NULL: no client certificate asked */
    const char *client_cn;   /* exact common name required, or NULL (needs client_ca) */
};
SLUIS_MUST_CHECK int tls_server_new(const struct tls_server_config *config,
                                    struct tls_context **out, struct diag *diag);

struct tls_client_config {
    const char *ca_file; /* PEM bundle or NULL for the system's */
};
/* Verifies chain and host name always; there is no way to turn that off. */
SLUIS_MUST_CHECK int tls_client_new(const struct tls_client_config *config,
                                    struct tls_context **out, struct diag *diag);

/* When the first certificate of a PEM file (the leaf) begins and ends to be valid, in seconds since
 * 1970. SLUIS_EINVAL with a diagnosis: no certificate in it. For who warns before the day. */
SLUIS_MUST_CHECK int tls_certificate_dates(const char *file, int64_t *from_s, int64_t *until_s,
                                           struct diag *diag);

/* Does our own certificate bear this name or address ("host", "host:port", "[::1]:port")? */
bool tls_names(const struct tls_context *context, struct span host);

struct tls_context *tls_ref(struct tls_context *context);
void tls_unref(struct tls_context *context);

#endif

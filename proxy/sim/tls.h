/* TLS contexts and small secrets from files. Every failure is printed on stderr. */
#ifndef SIM_TLS_H
#define SIM_TLS_H

#include <openssl/ssl.h>

#include "sluis/base/span.h"

/* NULL on failure. */
SSL_CTX *tls_server(const char *certificate, const char *key);
/* Verifies the peer against `ca`; a client certificate when `certificate` is not NULL. */
SSL_CTX *tls_client(const char *ca, const char *certificate, const char *key);

/* The first line of a file (a secret or a token), or NULL. The caller frees. */
char *secret_read(const char *file);

/* "sha256=<64 hex>" of HMAC-SHA256(secret, body). */
#define SIGNATURE_SIZE (7 + 64 + 1)
void signature_make(const char *secret, struct span body, char out[SIGNATURE_SIZE]);

#endif

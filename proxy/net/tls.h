/* What the other files of net use of a TLS context. */
#ifndef SLUIS_NET_TLS_PRIVATE_H
#define SLUIS_NET_TLS_PRIVATE_H

#include "sluis/net/tls.h"
#include <openssl/ssl.h>

/* ub-common-name of RFC 5280, and a NUL. */
#define TLS_NAME_SIZE 65

/* A new SSL for the context. Client: `host` is verified and, when it is a name, sent as SNI.
 * NULL when out of memory. */
SSL *tls_session(struct tls_context *context, const char *host);
/* The one common name of the peer's certificate, "" when it has none, more than one, or one with
 * a NUL or too long. */
void tls_peer_name(SSL *ssl, char out[TLS_NAME_SIZE]);

#endif

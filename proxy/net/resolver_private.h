/* For resolver.c and its test: the look-up can be another one than getaddrinfo. */
#ifndef SLUIS_NET_RESOLVER_PRIVATE_H
#define SLUIS_NET_RESOLVER_PRIVATE_H

#include "sluis/net/resolver.h"

/* Blocks; fills in at most `most` addresses; how many, or SLUIS_ENOENT. */
typedef int resolver_lookup(const char *host, struct sockaddr_storage *out, unsigned most,
                            void *ctx);
SLUIS_MUST_CHECK int resolver_new_with(resolver_lookup *lookup, void *ctx, struct resolver **out);

/* Not an address that a public host has: private, loopback, link-local, shared, multicast... */
bool resolver_is_private(const struct sockaddr_storage *address);
/* A numeric IPv4 or IPv6 address (no brackets). */
bool resolver_numeric(const char *host, struct sockaddr_storage *out);

#endif

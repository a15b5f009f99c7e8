/*
 * Names to addresses: known hosts refreshed ahead in a background thread, one look-up in flight
 * per host, the last good answer served for an hour when look-ups fail. Private, loopback and
 * link-local addresses are given only to a caller who says that it may go there: the leave is the
 * caller's, not the name's. Names are compared as spelled: lower case by habit. Threads: any.
 */
#ifndef SLUIS_NET_RESOLVER_H
#define SLUIS_NET_RESOLVER_H

#include "sluis/base/error.h"
#include <netinet/in.h>
#include <stdbool.h>

struct resolver;

#define RESOLVER_ADDRESSES_MAX 8
#define RESOLVER_HOSTS_MAX 256

SLUIS_MUST_CHECK int resolver_new(struct resolver **out);
void resolver_free(struct resolver *r);
/* Makes a host known (idempotent); starts its first look-up. */
SLUIS_MUST_CHECK int resolver_add(struct resolver *r, const char *host);
/* What is known now: the number of addresses (>= 1), SLUIS_EAGAIN while the first look-up runs,
 * SLUIS_ENOENT when it failed, SLUIS_EDENIED when there are only private addresses and this caller
 * may not go there. A host that nobody added is added. Numeric hosts are answered at once, by the
 * same rule. Ports are 0. Never blocks. */
int resolver_get(struct resolver *r, const char *host, bool private_allowed,
                 struct sockaddr_storage *out, unsigned most);

#endif

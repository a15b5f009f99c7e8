/*
 * Names to addresses: known hosts refreshed ahead in a background thread, one look-up in flight
 * per host, the last good answer served for an hour when look-ups fail. Private, loopback and
 * link-local addresses are refused unless the host is listed as allowed. Names are compared as
 * spelled: lower case by habit. Threads: any.
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
/* Makes a host known (idempotent, the later `private_allowed` holds); starts its first look-up. */
SLUIS_MUST_CHECK int resolver_add(struct resolver *r, const char *host, bool private_allowed);
/* What is known now: the number of addresses (>= 1), SLUIS_EAGAIN while the first look-up runs,
 * SLUIS_ENOENT when it failed, SLUIS_EDENIED when only refused addresses came. A host that nobody
 * added is added with private_allowed false. Numeric hosts are answered at once; a private one is
 * refused only when it was added with private_allowed false: who takes numeric hosts from outside
 * adds them first. Ports are 0. Never blocks. */
int resolver_get(struct resolver *r, const char *host, struct sockaddr_storage *out, unsigned most);

#endif

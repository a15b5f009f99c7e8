/*
 * Access: who a caller is and what it may do. In this version tools with tokens; persons and roles come
 * with the policy issue. A token is 256 random bits, shown once ("sluis_" and base64url), stored as
 * a keyed hash, scoped to channels, revocable at once everywhere.
 *
 * Permissions are rows in one table: an endpoint without a row does not build.
 * Threads: any (a lock around a table of tokens that is loaded at start and kept current).
 */
#ifndef SLUIS_ACCESS_H
#define SLUIS_ACCESS_H

#include "sluis/keyring.h"
#include "sluis/store.h"

#define ACCESS_TOKENS_MAX 4096
#define ACCESS_TOKEN_TEXT 64 /* bytes of a token as text, NUL included */
#define ACCESS_CHANNELS_MAX 32

struct access;
SLUIS_MUST_CHECK int access_open(struct store *store, struct keyring *keyring, struct access **out);
void access_close(struct access *access);

struct principal {
    uint64_t id;
    char name[64];
    uint16_t channels[ACCESS_CHANNELS_MAX]; /* store ids */
    unsigned channel_count;
    uint16_t route;      /* the route this tool receives on (alias key, media profile), 0 none */
    int64_t created_ms, expires_ms; /* 0: never */
    bool revoked;
};
/* 0 and the principal, or SLUIS_EDENIED (unknown, revoked, expired: no difference shown). */
SLUIS_MUST_CHECK int access_token(struct access *access, struct span token, int64_t now_ms,
                                  struct principal *out);
bool principal_may_use(const struct principal *principal, uint16_t channel);

/* Durable when they return; not on event threads. The text is for the person and is wiped by the caller. */
SLUIS_MUST_CHECK int access_token_add(struct access *access, const struct principal *wanted,
                                      char text[ACCESS_TOKEN_TEXT], uint64_t *id);
SLUIS_MUST_CHECK int access_token_revoke(struct access *access, uint64_t id);
int access_each(struct access *access, int (*each)(void *ctx, const struct principal *p), void *ctx);

#endif

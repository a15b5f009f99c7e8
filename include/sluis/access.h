/*
 * Access: who a caller is and what it may do. In this version tools with tokens; persons and roles
 * come with the policy issue. A token is 256 random bits, shown once ("sluis_" and base64url),
 * stored as a keyed hash, scoped to channels, revocable at once everywhere.
 *
 * Permissions are rows in one table: an endpoint without a row does not build.
 * Threads: any (a lock around a table of tokens that is loaded at start and kept current).
 *
 * In the store a token is a sealed row of STORE_TABLE_PRINCIPAL, key "t" and the id, 8 bytes
 * big-endian; in memory it is found by its hash, BLAKE2b-256 keyed with
 * keyring_derive("token-hash"), and compared in constant time. A row whose seal does not hold
 * counts as no token (an alarm).
 */
#ifndef SLUIS_ACCESS_H
#define SLUIS_ACCESS_H

#include "sluis/keyring.h"
#include "sluis/store.h"

#define ACCESS_TOKENS_MAX 4096 /* revoked ones included; the oldest revoked make room */
#define ACCESS_TOKEN_TEXT 64   /* bytes of a token as text, NUL included */
#define ACCESS_CHANNELS_MAX 32

struct access;
SLUIS_MUST_CHECK int access_open(struct store *store, struct keyring *keyring, struct access **out);
void access_close(struct access *access);

struct principal {
    uint64_t id;   /* never reused */
    char name[64]; /* letters, digits, '.', '_', '-', '@'; unique among tokens that are not revoked
                    */
    uint16_t channels[ACCESS_CHANNELS_MAX]; /* store ids */
    unsigned channel_count;
    uint16_t route; /* the route this tool receives on (alias key, media profile), 0 none */
    int64_t created_ms, expires_ms; /* 0: never */
    bool revoked;
};
/* 0 and the principal, or SLUIS_EDENIED (unknown, revoked, expired: no difference shown; the
 * counters tell them apart, and a log line once a minute says how many were refused). */
SLUIS_MUST_CHECK int access_token(struct access *access, struct span token, int64_t now_ms,
                                  struct principal *out);
bool principal_may_use(const struct principal *principal, uint16_t channel);

/* Durable when they return; not on event threads. The text is for the person and is wiped by the
 * caller. Of `wanted` name, channels, route and expires_ms are used. SLUIS_EINVAL (name, no
 * channel, too many), SLUIS_EEXIST (the name is in use), SLUIS_ELIMIT, or the store's error. */
SLUIS_MUST_CHECK int access_token_add(struct access *access, const struct principal *wanted,
                                      char text[ACCESS_TOKEN_TEXT], uint64_t *id);
/* Refused everywhere from the moment it is called, also when it fails (then it is not durable yet:
 * call again). SLUIS_ENOENT, or the store's error; a revoked token is no error. */
SLUIS_MUST_CHECK int access_token_revoke(struct access *access, uint64_t id);
/* Every token by rising id, revoked and expired ones too; `each` returns 0 to go on and may call
 * this room. 0 or SLUIS_ENOMEM. */
int access_each(struct access *access, int (*each)(void *ctx, const struct principal *p),
                void *ctx);

#endif

/*
 * Access: who a caller is and what it may do.
 *
 * Glossary
 *   principal  who is asking: a tool with a token, a person who signed in, or the operator (whoever
 *              may open the control socket, known by uid). One that is all zero may nothing.
 *   role       a name under `roles` of a policy: it says what may be done (POLICY_MAY_*), in which
 *              masking profile messages are seen, what may be revealed, in which hours. Roles are
 *              always looked up in the policy in force, so that a reload counts at once.
 *   grant      a role given to a person on some channels or on all. A tool has one role and a list
 * of channels, in its token. separation of duties: who changes policy, approves it or gives roles
 * cannot reveal; who reads the log sees no content. Refused when granted and again at each use,
 * since a policy may change after the grant.
 *
 * A token is 256 random bits, shown once ("sluis_" and base64url), stored as a keyed hash. A
 * session is 256 random bits too, in memory only and hashed. Passwords are argon2id, second factors
 * TOTP (RFC 6238): person.h's part below. What else may tell who a person is (OpenID Connect,
 * later) comes in by access_identity.
 *
 * Threads: any (a lock around tables that are loaded at start and kept current), save where it
 * says.
 *
 * In the store a token is a sealed row of STORE_TABLE_PRINCIPAL, key "t" and the id, 8 bytes
 * big-endian; a person "p", a grant "g". A token is found by its hash, BLAKE2b-256 keyed with
 * keyring_derive("token-hash"), compared in constant time. A row whose seal does not hold counts as
 * not there (an alarm).
 */
#ifndef SLUIS_ACCESS_H
#define SLUIS_ACCESS_H

#include "sluis/access/table.h"
#include "sluis/base/diag.h"
#include "sluis/keyring.h"
#include "sluis/policy.h"
#include "sluis/store.h"

#define ACCESS_TOKENS_MAX 4096 /* revoked ones included; the oldest revoked make room */
#define ACCESS_TOKEN_TEXT 64   /* bytes of a token as text, NUL included */
#define ACCESS_CHANNELS_MAX 32
#define ACCESS_RANGES_MAX 8 /* address ranges of one token */
#define ACCESS_NAME_SIZE 64 /* bytes of a name, NUL included */

struct access;

/* What a role gives on a channel, from the policy in force at that moment. */
struct access_role {
    uint32_t may;    /* POLICY_MAY_* */
    uint64_t reveal; /* bit set of detect types */
    bool open;       /* its hours allow this moment */
    bool reason_required, reference_required;
};
/* Asked for each decision; any thread, must not wait. `channel` ACCESS_WHOLE: what every channel
 * gives; ACCESS_SOME: what any of them gives (then `open` when one is). 0, or SLUIS_ENOENT: no such
 * role (or no such channel). */
struct access_roles {
    int (*role)(void *ctx, uint16_t channel, const char *name, int64_t at_ms,
                struct access_role *out);
    void *ctx;
};

SLUIS_MUST_CHECK int access_open(struct store *store, struct keyring *keyring, struct access **out);
/* Before the first request. Without it no role is known: what needs a right is refused. */
void access_set_roles(struct access *access, const struct access_roles *roles);
void access_close(struct access *access);

enum principal_kind {
    PRINCIPAL_NOBODY, /* may what PERMIT_ANYONE says */
    PRINCIPAL_TOOL,
    PRINCIPAL_PERSON,
    PRINCIPAL_OPERATOR
};

struct access_range { /* an address with a prefix; IPv4 in the last four bytes of ::ffff:0:0/96 */
    uint8_t address[16];
    uint8_t bits; /* 0 .. 128; of IPv4 that is the prefix plus 96 */
};

struct principal {
    enum principal_kind kind;
    uint64_t id;                 /* never reused among its kind; an operator's uid */
    char name[ACCESS_NAME_SIZE]; /* letters, digits, '.', '_', '-', '@'; "operator:1000" */
    char role[ACCESS_NAME_SIZE]; /* tools: their role, or "": no rights beyond the Graph API */
    uint16_t channels[ACCESS_CHANNELS_MAX]; /* tools: store ids */
    unsigned channel_count;
    struct access_range
        ranges[ACCESS_RANGES_MAX]; /* tools: where it may come from; none: anywhere */
    unsigned range_count;
    uint16_t route; /* the route this tool receives on (alias key, media profile), 0 none */
    int64_t created_ms, expires_ms; /* 0: never */
    int64_t last_use_ms;            /* 0: not since it is written down; to the hour after a start */
    char granted_by[ACCESS_NAME_SIZE];
    bool revoked;
    bool break_glass; /* an operator who says why; see OPERATOR_FIRST */
};

/* ---- may it? ---- */

#define ACCESS_WHOLE 0         /* `channel`: the installation; see enum permission_scope */
#define ACCESS_SOME UINT16_MAX /* `channel`: any of them; the handler asks again */

enum access_why {
    ACCESS_GRANTED,
    ACCESS_NO_GRANT, /* no role there, or none that the policy in force knows */
    ACCESS_NO_RIGHT, /* its role does not have the right */
    ACCESS_CLOSED,   /* outside the role's hours */
    ACCESS_CONFLICT, /* separation of duties */
    ACCESS_CHANNEL,  /* another's channel */
    ACCESS_GONE,     /* revoked, expired or removed meanwhile */
    ACCESS_OFFICERS, /* an operator, where two persons can do it */
    ACCESS_WAITS,    /* a person whom nobody but who enrolled him has vouched for */
};
const char *access_why_word(enum access_why why); /* for the log: "no_right" */
const char *access_why_text(enum access_why why);
const char *access_why_dutch(enum access_why why); /* the same, for pages */ /* for people, English */

struct access_decision {
    enum access_why why;
    char role[ACCESS_NAME_SIZE]; /* the role that gives it (or the last that did not); log it */
    struct access_role given;    /* what that role gives on this channel */
};
/* May this principal use these rights (POLICY_MAY_* bits, all of them, by one role) on this channel
 * at this moment? Looks tokens, persons and grants up anew, so that removing counts at once,
 * however old the principal in hand is. An operator has what permission_may says and no rights of
 * policy. */
bool access_may(struct access *access, const struct principal *principal, uint16_t channel,
                uint32_t rights, int64_t at_ms);
/* The same, and why. 0 or SLUIS_EDENIED. */
SLUIS_MUST_CHECK int access_decide(struct access *access, const struct principal *principal,
                                   uint16_t channel, uint32_t rights, int64_t at_ms,
                                   struct access_decision *out);
/* Rights that no one may have together with `rights`; 0 when there are none. */
uint32_t access_conflicts(uint32_t rights);

/* May it use this endpoint at all (its row, the door it came by, the kind of principal)? Where the
 * row has scope PERMISSION_CHANNEL the handler asks on, per channel. `alarm`: allowed, but as
 * break-glass: to be recorded and told before it is done. */
SLUIS_MUST_CHECK int permission_may(struct access *access, enum permission permission,
                                    const struct principal *principal, bool control, int64_t at_ms,
                                    struct access_decision *out, bool *alarm);

/* ---- tools ---- */

/* 0 and the principal, or SLUIS_EDENIED (unknown, revoked, expired, from elsewhere: no difference
 * shown; the counters tell them apart, and a log line once a minute says how many were refused).
 * The one without an address is for tokens that are asked about, not used: it knows no ranges. */
SLUIS_MUST_CHECK int access_token(struct access *access, struct span token, int64_t now_ms,
                                  struct principal *out);
/* `peer`: the address as text. Also SLUIS_EAGAIN: too many wrong tokens from there in the last
 * minute; whatever it brings is refused unless it brought a right one in the last hour. */
SLUIS_MUST_CHECK int access_token_from(struct access *access, struct span token, const char *peer,
                                       int64_t now_ms, struct principal *out);
bool principal_may_use(const struct principal *principal, uint16_t channel);

/* Durable when they return; not on event threads. The text is for the person and is wiped by the
 * caller. Of `wanted` name, role, channels, ranges, route, granted_by and expires_ms are used.
 * SLUIS_EINVAL (name, no channel, too many), SLUIS_EEXIST (the name is in use), SLUIS_ELIMIT, or
 * the store's error. */
SLUIS_MUST_CHECK int access_token_add(struct access *access, const struct principal *wanted,
                                      char text[ACCESS_TOKEN_TEXT], uint64_t *id);
/* A new text for the same tool: a new token with the same name, role, channels, ranges, route and
 * end; the old one goes on for `overlap_ms` (or to its own end, when that is sooner). SLUIS_ENOENT:
 * no such token, or it is good no more. */
SLUIS_MUST_CHECK int access_token_rotate(struct access *access, uint64_t id, int64_t overlap_ms,
                                         const char *granted_by, char text[ACCESS_TOKEN_TEXT],
                                         uint64_t *next);
/* Refused everywhere from the moment it is called, also when it fails (then it is not durable yet:
 * call again). SLUIS_ENOENT, or the store's error; a revoked token is no error. */
SLUIS_MUST_CHECK int access_token_revoke(struct access *access, uint64_t id);
/* Every token by rising id, revoked and expired ones too; `each` returns 0 to go on and may call
 * this room. 0 or SLUIS_ENOMEM. */
int access_each(struct access *access, int (*each)(void *ctx, const struct principal *p),
                void *ctx);

/* "10.0.0.0/8", "2001:db8::/32" or an address alone. 0 or SLUIS_EINVAL (also: bits beyond the
 * prefix). */
SLUIS_MUST_CHECK int access_range_parse(struct span text, struct access_range *out);
void access_range_text(const struct access_range *range, char out[64]);
bool access_range_has(const struct access_range *range, const char *peer);

#endif

/*
 * What the files of this room share: tokens in memory and how they are written down.
 */
#ifndef SLUIS_ACCESS_ROOM_H
#define SLUIS_ACCESS_ROOM_H

#include "sluis/access.h"
#include "sluis/access/person.h"

#include <stdatomic.h>
#include <stdio.h>

#define TOKEN_HASH 32

struct token {
    struct principal principal;
    uint8_t hash[TOKEN_HASH];
    _Atomic int64_t used_ms;    /* newest use, written down by the hour */
    _Atomic uint64_t used_from; /* keyed hash of the address of it */
    bool due;                   /* revoked, and the store does not know it yet */
};

/* Tokens by rising id, and a hash table of places (plus one) by the first bytes of their hash. */
#define TOKEN_SLOTS (2 * ACCESS_TOKENS_MAX) /* half full at most: short runs */
struct token_table {
    struct token *tokens; /* ACCESS_TOKENS_MAX */
    unsigned count;
    uint16_t slots[TOKEN_SLOTS];
};

/* Row: version 2, id (8), hash (32), created (8), expires (8), revoked (1), route (2), name length
 * (1) and name, channel count (1), channels (2 each), role and granted_by (length (1) and text
 * each), last use (8), range count (1), ranges (17 each); big-endian. */
void token_write(const struct token *token, struct buffer *out);
SLUIS_MUST_CHECK int token_read(struct span text, struct token *out);

/* A name that may stand in the log and in lists. */
bool token_name_valid(const char *name);

void table_index(struct token_table *table); /* after tokens came, went or moved */
/* Compares whole hashes in constant time. NULL when unknown. */
struct token *table_find(struct token_table *table, const uint8_t hash[TOKEN_HASH]);
struct token *table_by_id(struct token_table *table, uint64_t id);

/* rows.c */
#define PRINCIPAL_KEY (1 + 8)
#define PRINCIPAL_ROWS_MAX 64u /* of one commit */
struct principal_row {
    char kind;
    uint64_t id;
    struct span plain; /* empty: the row goes */
};
void principal_key(char kind, uint64_t id, char key[PRINCIPAL_KEY]);
struct record_id principal_record(char kind, uint64_t id);
/* All of them or none, durable; one caller at a time per `keys`. */
SLUIS_MUST_CHECK int principal_rows_commit(struct store *store, struct keyring_cache *keys,
                                           const struct principal_row *rows, unsigned n);

/* access.c */
/* The token as it is now, when it is still good: not revoked, not expired. */
bool access_tool_now(struct access *access, uint64_t id, int64_t now_ms, struct principal *out);
const struct access_roles *access_roles_of(const struct access *access);

#endif

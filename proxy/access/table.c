#include "room.h"

#include <sodium.h>

#include "sluis/base/encode.h"

#define ROW_VERSION 2 /* 1: without what stands behind the channels */
#define ROW_FIXED (1 + 8 + TOKEN_HASH + 8 + 8 + 1 + 2 + 1)

_Static_assert(ACCESS_TOKENS_MAX < UINT16_MAX, "a slot holds a place plus one");

bool token_name_valid(const char *name)
{
    size_t n = strnlen(name, ACCESS_NAME_SIZE);
    if (n == 0 || n >= ACCESS_NAME_SIZE)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '.' && c != '_' && c != '-' && c != '@')
            return false;
    }
    return true;
}

static void text_write(const char *text, struct buffer *out)
{
    buffer_add_char(out, (char)strlen(text));
    buffer_add_str(out, text);
}

void token_write(const struct token *token, struct buffer *out)
{
    const struct principal *p = &token->principal;
    buffer_add_char(out, ROW_VERSION);
    buffer_add_be64(out, p->id);
    buffer_add(out, span_of(token->hash, TOKEN_HASH));
    buffer_add_be64(out, (uint64_t)p->created_ms);
    buffer_add_be64(out, (uint64_t)p->expires_ms);
    buffer_add_char(out, p->revoked ? 1 : 0);
    buffer_add_be16(out, p->route);
    buffer_add_char(out, (char)strlen(p->name));
    buffer_add_str(out, p->name);
    buffer_add_char(out, (char)p->channel_count);
    for (unsigned i = 0; i < p->channel_count; i++)
        buffer_add_be16(out, p->channels[i]);
    text_write(p->role, out);
    text_write(p->granted_by, out);
    buffer_add_be64(out, (uint64_t)p->last_use_ms);
    buffer_add_char(out, (char)p->range_count);
    for (unsigned i = 0; i < p->range_count; i++) {
        buffer_add(out, span_of(p->ranges[i].address, 16));
        buffer_add_char(out, (char)p->ranges[i].bits);
    }
}

/* Length and text, a name or nothing. */
static int name_read(struct span *text, char out[ACCESS_NAME_SIZE])
{
    size_t n = text->n ? (uint8_t)text->p[0] : ACCESS_NAME_SIZE;
    if (n >= ACCESS_NAME_SIZE || text->n < 1 + n)
        return SLUIS_EINVAL;
    memcpy(out, text->p + 1, n);
    out[n] = '\0';
    *text = span_from(*text, 1 + n);
    return strlen(out) == n ? 0 : SLUIS_EINVAL;
}

/* What stands behind the channels since version 2. */
static int token_read_more(struct span text, struct principal *p)
{
    if (name_read(&text, p->role) != 0 || name_read(&text, p->granted_by) != 0 || text.n < 9)
        return SLUIS_EINVAL;
    const uint8_t *at = (const uint8_t *)text.p;
    p->last_use_ms = (int64_t)be64_get(at);
    p->range_count = at[8];
    if (p->range_count > ACCESS_RANGES_MAX || text.n != 9 + 17 * (size_t)p->range_count)
        return SLUIS_EINVAL;
    for (unsigned i = 0; i < p->range_count; i++) {
        memcpy(p->ranges[i].address, at + 9 + 17 * i, 16);
        p->ranges[i].bits = at[9 + 17 * i + 16];
        if (p->ranges[i].bits > 128)
            return SLUIS_EINVAL;
    }
    return 0;
}

int token_read(struct span text, struct token *out)
{
    const uint8_t *at = (const uint8_t *)text.p;
    memset(out, 0, sizeof(*out));
    out->principal.kind = PRINCIPAL_TOOL;
    if (text.n < ROW_FIXED + 1 || at[0] < 1 || at[0] > ROW_VERSION)
        return SLUIS_EINVAL;
    out->principal.id = be64_get(at + 1);
    memcpy(out->hash, at + 9, TOKEN_HASH);
    at += 9 + TOKEN_HASH;
    out->principal.created_ms = (int64_t)be64_get(at);
    out->principal.expires_ms = (int64_t)be64_get(at + 8);
    if (at[16] > 1)
        return SLUIS_EINVAL;
    out->principal.revoked = at[16] == 1;
    out->principal.route = be16_get(at + 17);
    size_t name = at[19];
    if (name >= sizeof(out->principal.name) || text.n < ROW_FIXED + name + 1)
        return SLUIS_EINVAL;
    memcpy(out->principal.name, at + 20, name);
    at += 20 + name;
    out->principal.channel_count = *at++;
    size_t end = ROW_FIXED + name + 1 + 2 * (size_t)out->principal.channel_count;
    bool old = text.p[0] == 1;
    if (out->principal.channel_count > ACCESS_CHANNELS_MAX || text.n < end ||
        (old && text.n != end) || strlen(out->principal.name) != name ||
        !token_name_valid(out->principal.name))
        return SLUIS_EINVAL;
    for (unsigned i = 0; i < out->principal.channel_count; i++)
        out->principal.channels[i] = be16_get(at + 2 * i);
    return old ? 0 : token_read_more(span_from(text, end), &out->principal);
}

static uint32_t first_slot(const uint8_t hash[TOKEN_HASH])
{
    return be32_get(hash) % TOKEN_SLOTS; /* a keyed hash: nobody can aim */
}

void table_index(struct token_table *table)
{
    memset(table->slots, 0, sizeof(table->slots));
    for (unsigned i = 0; i < table->count; i++) {
        uint32_t slot = first_slot(table->tokens[i].hash);
        while (table->slots[slot])
            slot = (slot + 1) % TOKEN_SLOTS;
        table->slots[slot] = (uint16_t)(i + 1);
    }
}

struct token *table_find(struct token_table *table, const uint8_t hash[TOKEN_HASH])
{
    for (uint32_t slot = first_slot(hash); table->slots[slot]; slot = (slot + 1) % TOKEN_SLOTS) {
        struct token *token = &table->tokens[table->slots[slot] - 1];
        if (sodium_memcmp(token->hash, hash, TOKEN_HASH) == 0)
            return token;
    }
    return NULL;
}

struct token *table_by_id(struct token_table *table, uint64_t id)
{
    unsigned low = 0, high = table->count; /* by rising id */
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (table->tokens[middle].principal.id == id)
            return &table->tokens[middle];
        if (table->tokens[middle].principal.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

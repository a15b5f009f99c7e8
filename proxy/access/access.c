#include "people.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

#include "sluis/base/clock.h"
#include "sluis/base/counters.h"
#include "sluis/base/encode.h"
#include "sluis/base/log.h"

#define TOKEN_SECRET 32 /* 256 random bits */
#define TOKEN_PREFIX "sluis_"
#define ROW_TEXT_MAX 1024
#define REFUSALS_WINDOW_MS 60000
#define KNOWN_MS                                                                                   \
    (3600 * INT64_C(1000)) /* a token seen from an address within this is at home there */

_Static_assert(sizeof(TOKEN_PREFIX) + BASE64URL_LEN(TOKEN_SECRET) <= ACCESS_TOKEN_TEXT,
               "a token fits");

enum { C_ACCEPTED, C_UNKNOWN, C_REVOKED, C_EXPIRED, C_ELSEWHERE, C_N };

struct access {
    struct store *store;
    struct keyring_cache *keys; /* under `change` */
    uint8_t hash_key[KEYRING_KEY_BYTES];
    pthread_mutex_t change; /* one change at a time; taken before `lock` */
    pthread_rwlock_t lock;  /* table, next_id */
    struct token_table table;
    uint64_t next_id;
    struct people *people;
    struct access_roles roles; /* set once, before the first request */
    struct counter counters[C_N];
    _Atomic int64_t window_ms; /* since when refusals are counted for the log */
    _Atomic uint64_t window_count;
    _Atomic int64_t failed_ms; /* when a token was last refused */
};

static const struct counter counter_rows[C_N] = {
    [C_ACCEPTED] = {"sluis_access_tokens_total", "result=\"accepted\"", "Tokens looked up",
                    COUNTER_TOTAL, 0},
    [C_UNKNOWN] = {"sluis_access_tokens_total", "result=\"unknown\"", "Tokens looked up",
                   COUNTER_TOTAL, 0},
    [C_REVOKED] = {"sluis_access_tokens_total", "result=\"revoked\"", "Tokens looked up",
                   COUNTER_TOTAL, 0},
    [C_EXPIRED] = {"sluis_access_tokens_total", "result=\"expired\"", "Tokens looked up",
                   COUNTER_TOTAL, 0},
    [C_ELSEWHERE] = {"sluis_access_tokens_total", "result=\"elsewhere\"", "Tokens looked up",
                     COUNTER_TOTAL, 0},
};

/* ---- loading ---- */

struct load {
    struct access *access;
    struct buffer plain;
    int error;
};

/* A person's or a grant's. */
static int load_person_row(struct load *load, struct span key, struct span value)
{
    uint64_t id = be64_get((const uint8_t *)key.p + 1);
    char kind = key.p[0];
    const struct record_id record = principal_record(kind, id);
    if (kind != 'p' && kind != 'g' && kind != 'o')
        return 0;
    buffer_clear(&load->plain);
    int result =
        record_open(load->access->keys, STORE_TABLE_PRINCIPAL, &record, value, &load->plain);
    if (!result)
        result = people_load(load->access->people, kind, id, buffer_span(&load->plain));
    if (result == SLUIS_ENOMEM || result == SLUIS_ELIMIT) {
        load->error = result;
        return 1;
    }
    if (result)
        LOG(LOG_ALARM, "access",
            kind == 'p'   ? "person_row_unreadable"
            : kind == 'g' ? "grant_row_unreadable"
                          : "officers_row_unreadable",
            log_u64("id", id), log_error(result));
    return 0;
}

static int load_row(void *ctx, struct span key, struct span value)
{
    struct load *load = ctx;
    struct access *access = load->access;
    if (key.n != PRINCIPAL_KEY)
        return 0;
    if (key.p[0] != 't')
        return load_person_row(load, key, value);
    uint64_t id = be64_get((const uint8_t *)key.p + 1);
    const struct record_id record = principal_record('t', id);
    if (id >= access->next_id)
        access->next_id = id + 1;
    if (access->table.count == ACCESS_TOKENS_MAX) {
        load->error = SLUIS_ELIMIT;
        return 1;
    }
    struct token *token = &access->table.tokens[access->table.count];
    buffer_clear(&load->plain);
    int result = record_open(access->keys, STORE_TABLE_PRINCIPAL, &record, value, &load->plain);
    if (!result)
        result = token_read(buffer_span(&load->plain), token);
    if (!result && token->principal.id != id)
        result = SLUIS_ECRYPTO;
    if (result == SLUIS_ENOMEM) {
        load->error = result;
        return 1;
    }
    if (result) /* that token is refused from now on; the others go on */
        LOG(LOG_ALARM, "access", "token_row_unreadable", log_u64("token", id), log_error(result));
    else
        access->table.count++;
    return 0;
}

static int load(struct access *access)
{
    struct load state = {.access = access};
    struct store_read *read;
    int result = store_read_begin(access->store, &read);
    if (result)
        return result;
    buffer_init(&state.plain, ROW_TEXT_MAX);
    result = store_each_row(read, STORE_TABLE_PRINCIPAL, SPAN("g"), load_row, &state);
    store_read_end(read);
    buffer_free(&state.plain);
    if (state.error)
        result = state.error;
    table_index(&access->table);
    return result < 0 ? result : 0;
}

int access_open(struct store *store, struct keyring *keyring, struct access **out)
{
    struct access *access = calloc(1, sizeof(*access));
    if (!access)
        return SLUIS_ENOMEM;
    access->store = store;
    access->next_id = 1;
    memcpy(access->counters, counter_rows, sizeof(access->counters));
    pthread_mutex_init(&access->change, NULL);
    pthread_rwlock_init(&access->lock, NULL);
    keyring_derive(keyring, "token-hash", access->hash_key);
    access->table.tokens = calloc(ACCESS_TOKENS_MAX, sizeof(*access->table.tokens));
    int result = access->table.tokens ? keyring_cache_new(keyring, &access->keys) : SLUIS_ENOMEM;
    if (!result)
        result = people_open(access, &access->people);
    if (!result)
        result = load(access);
    if (!result)
        result = counters_register(access->counters, C_N);
    if (result) {
        access_close(access);
        return result;
    }
    *out = access;
    return 0;
}

void access_close(struct access *access)
{
    if (!access)
        return;
    counters_unregister(access->counters);
    people_close(access->people);
    keyring_cache_free(access->keys);
    if (access->table.tokens)
        sodium_memzero(access->table.tokens, ACCESS_TOKENS_MAX * sizeof(*access->table.tokens));
    free(access->table.tokens);
    pthread_mutex_destroy(&access->change);
    pthread_rwlock_destroy(&access->lock);
    sodium_memzero(access, sizeof(*access));
    free(access);
}

/* ---- asking ---- */

void access_set_roles(struct access *access, const struct access_roles *roles)
{
    access->roles = *roles;
}

const struct access_roles *access_roles_of(const struct access *access)
{
    return &access->roles;
}

static bool expired(const struct principal *p, int64_t now_ms)
{
    return p->expires_ms != 0 && now_ms >= p->expires_ms;
}

bool access_tool_now(struct access *access, uint64_t id, int64_t now_ms, struct principal *out)
{
    pthread_rwlock_rdlock(&access->lock);
    const struct token *token = table_by_id(&access->table, id);
    bool good = token && !token->principal.revoked && !expired(&token->principal, now_ms);
    if (good)
        *out = token->principal;
    pthread_rwlock_unlock(&access->lock);
    return good;
}

static void token_hash(const struct access *access, const uint8_t secret[TOKEN_SECRET],
                       uint8_t out[TOKEN_HASH])
{
    crypto_generichash_blake2b(out, TOKEN_HASH, secret, TOKEN_SECRET, access->hash_key,
                               sizeof(access->hash_key));
}

/* One log line a minute, however many tokens are tried. */
static void count_refusal(struct access *access, int64_t now_ms)
{
    uint64_t count = atomic_fetch_add(&access->window_count, 1) + 1;
    int64_t since = atomic_load(&access->window_ms);
    if (now_ms - since < REFUSALS_WINDOW_MS && now_ms >= since)
        return;
    if (!atomic_compare_exchange_strong(&access->window_ms, &since, now_ms))
        return; /* another thread says it */
    atomic_fetch_sub(&access->window_count, count);
    LOG(LOG_WARN, "access", "tokens_refused", log_u64("count", count));
}

static bool token_decode(struct span text, uint8_t secret[TOKEN_SECRET])
{
    const struct span prefix = SPAN(TOKEN_PREFIX);
    if (text.n != prefix.n + BASE64URL_LEN(TOKEN_SECRET) || !span_starts(text, prefix))
        return false;
    return base64url_decode(span_from(text, prefix.n), secret, TOKEN_SECRET) == TOKEN_SECRET;
}

/* `peer` NULL: from anywhere. */
static bool from_range(const struct principal *p, const char *peer)
{
    bool in = p->range_count == 0 || !peer;
    for (unsigned i = 0; !in && i < p->range_count; i++)
        in = access_range_has(&p->ranges[i], peer);
    return in;
}

static uint64_t peer_hash(const struct access *access, const char *peer)
{
    uint64_t hash = 0;
    if (peer)
        crypto_shorthash((uint8_t *)&hash, (const uint8_t *)peer, strlen(peer),
                         access->people->throttle.key);
    return hash;
}

/* Was this token used from this address within the hour? Then remembers that it is. `strict`: only
 * if it was. */
static bool known_use(struct token *token, uint64_t from, bool strict, int64_t now_ms)
{
    bool known = atomic_load_explicit(&token->used_from, memory_order_relaxed) == from &&
                 now_ms - atomic_load_explicit(&token->used_ms, memory_order_relaxed) < KNOWN_MS;
    if (strict && !known)
        return false;
    atomic_store_explicit(&token->used_ms, now_ms, memory_order_relaxed);
    atomic_store_explicit(&token->used_from, from, memory_order_relaxed);
    return true;
}

/* `slowed`: only a token that is in use from there is still heard. */
static int look_up(struct access *access, struct span text, const char *peer, bool slowed,
                   int64_t now_ms, struct principal *out)
{
    uint64_t from = peer_hash(access, peer);
    uint8_t secret[TOKEN_SECRET], hash[TOKEN_HASH];
    unsigned counter = C_UNKNOWN;
    if (token_decode(text, secret)) {
        token_hash(access, secret, hash);
        pthread_rwlock_rdlock(&access->lock);
        struct token *token = table_find(&access->table, hash);
        if (token) {
            const struct principal *p = &token->principal;
            counter = p->revoked             ? C_REVOKED
                      : expired(p, now_ms)   ? C_EXPIRED
                      : !from_range(p, peer) ? C_ELSEWHERE
                                             : C_ACCEPTED;
            if (counter == C_ACCEPTED && peer && !known_use(token, from, slowed, now_ms))
                counter = C_UNKNOWN;
            if (counter == C_ACCEPTED)
                *out = *p;
        }
        pthread_rwlock_unlock(&access->lock);
    }
    sodium_memzero(secret, sizeof(secret));
    counter_add(&access->counters[counter], 1);
    if (counter == C_ACCEPTED)
        return 0;
    count_refusal(access, now_ms);
    return SLUIS_EDENIED;
}

int access_token(struct access *access, struct span text, int64_t now_ms, struct principal *out)
{
    return look_up(access, text, NULL, false, now_ms, out);
}

/* Wrong tokens from one address: so many are free, then it waits as sign-ins do. A minute of
 * guessing is at most this and a few more, whatever the rate; an address that a right token came
 * from within the hour goes on, since a tool with an old token may live beside one with a good one.
 */
#define WRONG_FREE 60

int access_token_from(struct access *access, struct span text, const char *peer, int64_t now_ms,
                      struct principal *out)
{
    struct throttle *t = &access->people->throttle;
    bool failing =
        now_ms - atomic_load(&access->failed_ms) < KNOWN_MS; /* else nobody waits: no lock */
    bool slowed = failing && throttle_wait(t, 't', peer, "", WRONG_FREE, now_ms) > 0;
    int result = look_up(access, text, peer, slowed, now_ms, out);
    if (result == SLUIS_EDENIED) {
        throttle_failed(t, 't', peer, "", now_ms);
        atomic_store(&access->failed_ms, now_ms);
    }
    if (slowed && result != 0) {
        access->people->refused[ACCESS_REFUSED_SLOWED]++;
        return SLUIS_EAGAIN;
    }
    return result;
}

bool principal_may_use(const struct principal *principal, uint16_t channel)
{
    for (unsigned i = 0; i < principal->channel_count; i++)
        if (principal->channels[i] == channel)
            return channel != 0;
    return false;
}

/* ---- changing: a row is written, then the table ---- */

/* Under `change`, not under `lock`. */
static int row_commit(struct access *access, const struct token *token, uint64_t gone)
{
    struct buffer plain;
    buffer_init(&plain, ROW_TEXT_MAX);
    token_write(token, &plain);
    const struct principal_row rows[] = {{'t', token->principal.id, buffer_span(&plain)},
                                         {'t', gone, SPAN_EMPTY}};
    int result = plain.error;
    if (!result)
        result = principal_rows_commit(access->store, access->keys, rows, gone ? 2 : 1);
    buffer_free(&plain);
    return result;
}

/* "operator:1000" has a colon that names have not. */
static bool text_plain(const char *text)
{
    size_t n = strnlen(text, ACCESS_NAME_SIZE);
    for (size_t i = 0; i < n; i++)
        if (text[i] < 0x21 || text[i] > 0x7e)
            return false;
    return n < ACCESS_NAME_SIZE;
}

int principal_rows_put(struct access *access, const struct principal_row *rows, unsigned n)
{
    pthread_mutex_lock(&access->change); /* the keys are one thread's at a time */
    int result = principal_rows_commit(access->store, access->keys, rows, n);
    pthread_mutex_unlock(&access->change);
    return result;
}

int principal_row_put(struct access *access, char kind, uint64_t id, struct span plain)
{
    const struct principal_row row = {kind, id, plain};
    return principal_rows_put(access, &row, 1);
}

struct people *people_of(struct access *access)
{
    return access->people;
}

/* `rotates`: the token whose name it takes over, 0 none. */
static int wanted_check(const struct access *access, const struct principal *wanted,
                        uint64_t rotates)
{
    if (!token_name_valid(wanted->name) || wanted->channel_count == 0 ||
        wanted->channel_count > ACCESS_CHANNELS_MAX || wanted->expires_ms < 0 ||
        wanted->range_count > ACCESS_RANGES_MAX ||
        (wanted->role[0] && !token_name_valid(wanted->role)) ||
        (wanted->granted_by[0] && !text_plain(wanted->granted_by)))
        return SLUIS_EINVAL;
    for (unsigned i = 0; i < wanted->channel_count; i++)
        if (wanted->channels[i] == 0)
            return SLUIS_EINVAL;
    for (unsigned i = 0; i < access->table.count; i++) {
        const struct principal *p = &access->table.tokens[i].principal;
        if (!rotates && !p->revoked && strcmp(p->name, wanted->name) == 0)
            return SLUIS_EEXIST;
    }
    return 0;
}

/* The oldest revoked token, when the table is full; never the newest, whose id must be remembered.
 */
static int find_room(const struct access *access, uint64_t *gone)
{
    *gone = 0;
    if (access->table.count < ACCESS_TOKENS_MAX)
        return 0;
    for (unsigned i = 0; i + 1 < access->table.count; i++) {
        if (access->table.tokens[i].principal.revoked) {
            *gone = access->table.tokens[i].principal.id;
            return 0;
        }
    }
    return SLUIS_ELIMIT;
}

static void table_put(struct access *access, const struct token *token, uint64_t gone)
{
    struct token_table *table = &access->table;
    pthread_rwlock_wrlock(&access->lock);
    if (gone) {
        unsigned at = (unsigned)(table_by_id(table, gone) - table->tokens);
        memmove(&table->tokens[at], &table->tokens[at + 1],
                (table->count - at - 1) * sizeof(*table->tokens));
        table->count--;
    }
    table->tokens[table->count++] = *token;
    table_index(table);
    pthread_rwlock_unlock(&access->lock);
}

/* Under `change`: only its holders write the table. */
static int token_add(struct access *access, const struct principal *wanted, uint64_t rotates,
                     char text[ACCESS_TOKEN_TEXT], uint64_t *id)
{
    struct token token = {.principal = *wanted};
    uint8_t secret[TOKEN_SECRET];
    uint64_t gone;
    int result = wanted_check(access, wanted, rotates);
    if (!result)
        result = find_room(access, &gone);
    if (result)
        goto out;
    randombytes_buf(secret, sizeof(secret));
    token_hash(access, secret, token.hash);
    token.principal.kind = PRINCIPAL_TOOL;
    token.principal.id = access->next_id++;
    token.principal.last_use_ms = 0;
    token.principal.created_ms = clock_wall_ms();
    token.principal.revoked = false;
    result = row_commit(access, &token, gone);
    if (!result) {
        table_put(access, &token, gone);
        memcpy(text, TOKEN_PREFIX, sizeof(TOKEN_PREFIX) - 1);
        base64url_encode(secret, sizeof(secret), text + sizeof(TOKEN_PREFIX) - 1);
        *id = token.principal.id;
    }
    sodium_memzero(secret, sizeof(secret));
out:
    sodium_memzero(&token, sizeof(token));
    return result;
}

int access_token_add(struct access *access, const struct principal *wanted,
                     char text[ACCESS_TOKEN_TEXT], uint64_t *id)
{
    pthread_mutex_lock(&access->change);
    int result = token_add(access, wanted, 0, text, id);
    pthread_mutex_unlock(&access->change);
    return result;
}

/* The old one ends later; when that cannot be written down, it ends now. */
static int token_expire(struct access *access, uint64_t id, int64_t at_ms)
{
    struct token copy;
    pthread_rwlock_wrlock(&access->lock);
    struct token *old = table_by_id(&access->table, id);
    if (old->principal.expires_ms == 0 || old->principal.expires_ms > at_ms)
        old->principal.expires_ms = at_ms;
    copy = *old;
    pthread_rwlock_unlock(&access->lock);
    int result = row_commit(access, &copy, 0);
    sodium_memzero(&copy, sizeof(copy));
    return result;
}

int access_token_rotate(struct access *access, uint64_t id, int64_t overlap_ms,
                        const char *granted_by, char text[ACCESS_TOKEN_TEXT], uint64_t *next)
{
    struct principal wanted;
    int64_t now = clock_wall_ms();
    pthread_mutex_lock(&access->change);
    int result = access_tool_now(access, id, now, &wanted) ? 0 : SLUIS_ENOENT;
    if (!result) {
        snprintf(wanted.granted_by, sizeof(wanted.granted_by), "%s", granted_by);
        result = token_add(access, &wanted, id, text, next);
    }
    if (!result)
        result = token_expire(access, id, now + overlap_ms);
    pthread_mutex_unlock(&access->change);
    return result;
}

int access_token_revoke(struct access *access, uint64_t id)
{
    struct token copy;
    pthread_mutex_lock(&access->change);
    pthread_rwlock_wrlock(&access->lock);
    struct token *token = table_by_id(&access->table, id);
    if (token) {
        token->principal.revoked = true; /* at once, before it is durable */
        token->due = true;               /* until it is: access_flush tries again */
        copy = *token;
    }
    pthread_rwlock_unlock(&access->lock);
    int result = token ? row_commit(access, &copy, 0) : SLUIS_ENOENT;
    if (!result) {
        pthread_rwlock_wrlock(&access->lock);
        table_by_id(&access->table, id)->due = false;
        pthread_rwlock_unlock(&access->lock);
    }
    pthread_mutex_unlock(&access->change);
    return result;
}

static void token_copy(struct token *token, struct principal *out)
{
    int64_t used = atomic_load_explicit(&token->used_ms, memory_order_relaxed);
    *out = token->principal;
    if (used > out->last_use_ms)
        out->last_use_ms = used;
}

#define FLUSH_MS (3600 * INT64_C(1000)) /* last use is kept to the hour */
#define FLUSH_BATCH 32u                 /* tokens in one commit */

/* The next tokens from place *from on whose last use is newer by `than` than what is written. */
static unsigned next_used(struct access *access, unsigned *from, int64_t than,
                          struct token out[FLUSH_BATCH])
{
    unsigned n = 0, i = *from;
    pthread_rwlock_rdlock(&access->lock);
    for (; i < access->table.count && n < FLUSH_BATCH; i++) {
        const struct token *token = &access->table.tokens[i];
        int64_t used = atomic_load_explicit(&token->used_ms, memory_order_relaxed);
        bool newer = used && used >= token->principal.last_use_ms + than;
        if (!newer && !token->due)
            continue;
        out[n] = *token;
        if (newer)
            out[n].principal.last_use_ms = used;
        n++;
    }
    pthread_rwlock_unlock(&access->lock);
    *from = i;
    return n;
}

/* Under `change`. */
static int used_commit(struct access *access, const struct token *tokens, unsigned n)
{
    struct principal_row rows[FLUSH_BATCH];
    struct buffer plain[FLUSH_BATCH];
    int result = 0;
    for (unsigned i = 0; i < n; i++) {
        buffer_init(&plain[i], ROW_TEXT_MAX);
        token_write(&tokens[i], &plain[i]);
        result = result ? result : plain[i].error;
        rows[i] = (struct principal_row){'t', tokens[i].principal.id, buffer_span(&plain[i])};
    }
    if (!result)
        result = principal_rows_commit(access->store, access->keys, rows, n);
    for (unsigned i = 0; i < n; i++)
        buffer_free(&plain[i]);
    if (result)
        return result;
    pthread_rwlock_wrlock(&access->lock);
    for (unsigned i = 0; i < n; i++) {
        struct token *token = table_by_id(&access->table, tokens[i].principal.id);
        if (!token)
            continue;
        token->principal.last_use_ms = tokens[i].principal.last_use_ms;
        token->due = false;
    }
    pthread_rwlock_unlock(&access->lock);
    return 0;
}

void access_flush(struct access *access, bool all)
{
    const int64_t than = all ? 1 : FLUSH_MS;
    struct token batch[FLUSH_BATCH];
    unsigned n, from = 0;
    int result = 0;
    pthread_mutex_lock(&access->change);
    while (!result && (n = next_used(access, &from, than, batch)) > 0)
        result = used_commit(access, batch, n);
    pthread_mutex_unlock(&access->change);
    sodium_memzero(batch, sizeof(batch));
    if (!result)
        result = people_flush(access->people, than);
    if (result) /* they stay to be written: at the next turn */
        LOG(LOG_WARN, "access", "last_use_not_written", log_error(result));
}

int access_each(struct access *access, int (*each)(void *ctx, const struct principal *p), void *ctx)
{
    pthread_rwlock_rdlock(&access->lock);
    unsigned count = access->table.count;
    struct principal *copy = calloc(count ? count : 1, sizeof(*copy));
    for (unsigned i = 0; copy && i < count; i++)
        token_copy(&access->table.tokens[i], &copy[i]);
    pthread_rwlock_unlock(&access->lock);
    if (!copy)
        return SLUIS_ENOMEM;
    for (unsigned i = 0; i < count; i++)
        if (each(ctx, &copy[i]) != 0)
            break;
    free(copy);
    return 0;
}

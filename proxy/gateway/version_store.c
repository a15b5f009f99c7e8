/* Rows of versions of policies in the store (versions.h). */
#include "versions.h"

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_BYTES (4 + 16 + 2)
#define PIECE 1800u                       /* of a text: sealed it fits a row */
#define TEXT_MAX (1024u * 1024)           /* policy.h's own limit */
#define PIECES_MAX (TEXT_MAX / PIECE + 1) /* of one text */
#define BATCH 256u                        /* rows in one job */

struct row {
    char key[KEY_BYTES];
    size_t key_n;
    struct buffer sealed;
};

struct rows_job {
    struct store_job job;
    struct row *rows;
    size_t n;
};

static int run_rows(struct store_txn *txn, struct store_job *job)
{
    const struct rows_job *j = (struct rows_job *)job;
    for (size_t i = 0; i < j->n; i++)
        store_put_row(txn, STORE_TABLE_SETTING, span_of(j->rows[i].key, j->rows[i].key_n),
                      buffer_span(&j->rows[i].sealed));
    return store_txn_error(txn);
}

/* The kind and the key's number are part of what is sealed: rows cannot be exchanged. */
static struct record_id row_id(const char key[KEY_BYTES])
{
    return (struct record_id){.serial = be32_get((const uint8_t *)key + 4),
                              .part = (uint8_t)key[3]};
}

static void row_key(const char *kind, const uint8_t hash[16], unsigned number, char key[KEY_BYTES])
{
    memcpy(key, kind, 4);
    memcpy(key + 4, hash, 16);
    be16_put((uint8_t *)key + 20, (uint16_t)number);
}

static int seal_row(struct gateway *gw, const char *kind, const uint8_t hash[16], unsigned number,
                    struct span plain, struct row *out)
{
    row_key(kind, hash, number, out->key);
    out->key_n = KEY_BYTES;
    const struct record_id id = row_id(out->key);
    buffer_init(&out->sealed, STORE_VALUE_MAX);
    return record_seal(gw->version_keys, STORE_TABLE_SETTING, &id, 1, plain, &out->sealed);
}

static int put_rows(struct gateway *gw, struct row *rows, size_t n)
{
    struct rows_job job = {
        .job = {.priority = STORE_NORMAL, .run = run_rows}, .rows = rows, .n = n};
    return store_submit_wait(gw->store, &job.job);
}

static int get_row(struct gateway *gw, const char *kind, const uint8_t hash[16], unsigned number,
                   struct buffer *out)
{
    char key[KEY_BYTES];
    struct arena arena;
    struct store_read *read;
    struct span sealed;
    row_key(kind, hash, number, key);
    const struct record_id id = row_id(key);
    int r = store_read_begin(gw->store, &read);
    if (r != 0)
        return r;
    arena_init(&arena, 64 * 1024);
    r = store_get_row(read, STORE_TABLE_SETTING, span_of(key, KEY_BYTES), &arena, &sealed);
    store_read_end(read);
    if (r == 0)
        r = record_open(gw->version_keys, STORE_TABLE_SETTING, &id, sealed, out);
    arena_free(&arena);
    return r;
}

static void hash_name(const char *name, uint8_t out[16])
{
    crypto_generichash_blake2b(out, 16, (const uint8_t *)name, strlen(name), NULL, 0);
}

static bool hash_bytes(const char *hex, uint8_t out[32])
{
    return hex_decode_lower(span_str(hex), out, 32) == 0;
}

/* ---- texts ---- */

static void file_path(const struct config *config, const struct policy *policy, char out[4096])
{
    snprintf(out, 4096, "%s/%s.yaml", config->policies, policy_name(policy));
}

/* "file:UID" */
void version_owner(const struct config *config, const struct policy *policy,
                   char out[ACCESS_NAME_SIZE])
{
    char path[4096];
    struct stat st;
    file_path(config, policy, path);
    if (stat(path, &st) == 0)
        snprintf(out, ACCESS_NAME_SIZE, "file:%u", (unsigned)st.st_uid);
    else
        snprintf(out, ACCESS_NAME_SIZE, "file:");
}

static int read_file(const struct config *config, const struct policy *policy, struct buffer *out)
{
    char path[4096];
    uint8_t digest[32];
    char hex[65];
    file_path(config, policy, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return SLUIS_ESYS;
    ssize_t n = 1;
    while (n > 0 && out->n <= TEXT_MAX) {
        char *at = buffer_reserve(out, 16 * 1024);
        n = at ? read(fd, at, 16 * 1024) : -1;
        out->n += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    if (n < 0 || out->n > TEXT_MAX)
        return SLUIS_ESYS;
    crypto_hash_sha256(digest, (const uint8_t *)out->p, out->n);
    hex_encode(digest, 32, hex);
    return strcmp(hex, policy_hash(policy)) == 0 ? 0 : SLUIS_EAGAIN; /* changed meanwhile */
}

int version_text_put(struct gateway *gw, const struct config *config, const struct policy *policy)
{
    uint8_t hash[32];
    struct buffer text;
    struct row *rows = calloc(BATCH, sizeof(*rows));
    size_t n = 0;
    if (!hash_bytes(policy_hash(policy), hash)) {
        free(rows);
        return SLUIS_EINVAL;
    }
    buffer_init(&text, TEXT_MAX + 32 * 1024);
    int r = rows ? read_file(config, policy, &text) : SLUIS_ENOMEM;
    unsigned pieces = (unsigned)((text.n + PIECE - 1) / PIECE);
    for (unsigned i = 0; r == 0 && i < pieces; i++) {
        r = seal_row(gw, "polt", hash, i, span_sub(buffer_span(&text), i * PIECE, (i + 1) * PIECE),
                     &rows[n++]);
        if (r == 0 && (n == BATCH || i + 1 == pieces)) {
            r = put_rows(gw, rows, n);
            while (n)
                buffer_free(&rows[--n].sealed);
        }
    }
    while (n)
        buffer_free(&rows[--n].sealed);
    buffer_free(&text);
    free(rows);
    return r;
}

/* The policy whose text is stored under this hash. */
int version_policy(struct gateway *gw, const char *hex, struct policy **out)
{
    uint8_t hash[32];
    struct buffer text;
    struct diag diag = {.text = ""};
    if (!hash_bytes(hex, hash))
        return SLUIS_EINVAL;
    buffer_init(&text, TEXT_MAX + 32 * 1024);
    int r = 0;
    for (unsigned i = 0; r == 0 && i < PIECES_MAX; i++) {
        size_t before = text.n;
        r = get_row(gw, "polt", hash, i, &text);
        if (r == SLUIS_ENOENT && i > 0) {
            r = 0;
            break;
        }
        if (r == 0 && text.n - before < PIECE)
            break;
    }
    if (r == 0)
        r = policy_load(buffer_span(&text), "policy in force", out, &diag);
    if (r == 0 && strcmp(policy_hash(*out), hex) != 0) {
        policy_unref(*out);
        *out = NULL;
        r = SLUIS_ECRYPTO;
    }
    buffer_free(&text);
    return r;
}

/* ---- versions ---- */

/* One line of text: hash, name, author, approver, proposed, approved. */
int version_put(struct gateway *gw, const struct policy_version *v)
{
    struct buffer plain;
    struct row row;
    uint8_t hash[32];
    if (!hash_bytes(v->hash, hash))
        return SLUIS_EINVAL;
    buffer_init(&plain, 1024);
    buffer_addf(&plain, "%s\n%s\n%s\n%s\n%lld\n%lld\n%u\n", v->hash, v->name, v->author,
                v->approver, (long long)v->proposed_ms, (long long)v->approved_ms, v->looser);
    int r = plain.error ? plain.error : seal_row(gw, "polv", hash, 0, buffer_span(&plain), &row);
    if (r == 0) {
        r = put_rows(gw, &row, 1);
        buffer_free(&row.sealed);
    }
    buffer_free(&plain);
    return r;
}

static struct span take_line(struct span *rest)
{
    size_t end = span_find(*rest, '\n');
    struct span line = span_sub(*rest, 0, end);
    *rest = span_from(*rest, end + 1);
    return line;
}

static void take_text(struct span line, char *out, size_t size)
{
    size_t n = line.n < size ? line.n : size - 1;
    memcpy(out, line.p ? line.p : "", n);
    out[n] = '\0';
}

static void parse_version(struct span rest, struct policy_version *v)
{
    uint64_t number = 0;
    memset(v, 0, sizeof(*v));
    take_text(take_line(&rest), v->hash, sizeof(v->hash));
    take_text(take_line(&rest), v->name, sizeof(v->name));
    take_text(take_line(&rest), v->author, sizeof(v->author));
    take_text(take_line(&rest), v->approver, sizeof(v->approver));
    if (span_u64(take_line(&rest), &number) == 0)
        v->proposed_ms = (int64_t)number;
    if (span_u64(take_line(&rest), &number) == 0)
        v->approved_ms = (int64_t)number;
    if (span_u64(take_line(&rest), &number) == 0)
        v->looser = (unsigned)number;
}

int version_get(struct gateway *gw, const char *hex, struct policy_version *out)
{
    uint8_t hash[32];
    struct buffer plain;
    if (!hash_bytes(hex, hash))
        return SLUIS_EINVAL;
    buffer_init(&plain, 2048);
    int r = get_row(gw, "polv", hash, 0, &plain);
    if (r == 0)
        parse_version(buffer_span(&plain), out);
    if (r == 0 && strcmp(out->hash, hex) != 0)
        r = SLUIS_ECRYPTO;
    buffer_free(&plain);
    return r;
}

struct listing {
    struct gateway *gw;
    struct buffer *out;
    unsigned n;
};

static int list_row(void *ctx, struct span key, struct span value)
{
    struct listing *l = ctx;
    struct policy_version v;
    struct buffer plain;
    char hex[65];
    if (key.n != KEY_BYTES || !span_starts(key, SPAN("polv")))
        return key.n >= 4 && memcmp(key.p, "polv", 4) > 0;
    const struct record_id id = row_id(key.p);
    buffer_init(&plain, 2048);
    if (record_open(l->gw->version_keys, STORE_TABLE_SETTING, &id, value, &plain) == 0) {
        parse_version(buffer_span(&plain), &v);
        snprintf(hex, sizeof(hex), "%s", v.hash);
        buffer_addf(l->out, "%s{\"hash\":\"%s\",\"name\":\"%s\",\"author\":\"%s\"",
                    l->n++ ? "," : "", hex, v.name, v.author);
        buffer_addf(l->out, ",\"approver\":\"%s\",\"looser\":%u", v.approver, v.looser);
        char when[CLOCK_RFC3339_SIZE];
        clock_rfc3339(v.proposed_ms, when);
        buffer_addf(l->out, ",\"proposed\":\"%s\"", when);
        clock_rfc3339(v.approved_ms, when);
        buffer_addf(l->out, ",\"approved\":%s%s%s}", v.approved_ms ? "\"" : "",
                    v.approved_ms ? when : "null", v.approved_ms ? "\"" : "");
    }
    buffer_free(&plain);
    return 0;
}

int versions_list(void *ctx, struct buffer *out)
{
    struct listing l = {.gw = ctx, .out = out};
    struct store_read *read;
    pthread_mutex_lock(&l.gw->version_lock);
    int r = store_read_begin(l.gw->store, &read);
    buffer_add(out, SPAN("{\"versions\":["));
    if (r == 0) {
        r = store_each_row(read, STORE_TABLE_SETTING, SPAN("polv"), list_row, &l);
        store_read_end(read);
    }
    buffer_add(out, SPAN("]}"));
    pthread_mutex_unlock(&l.gw->version_lock);
    return r < 0 ? r : 0;
}

/* ---- in force ---- */

int version_in_force_get(struct gateway *gw, const char *channel, char hex[POLICY_HASH_HEX])
{
    uint8_t hash[16];
    struct buffer plain;
    hash_name(channel, hash);
    buffer_init(&plain, 1024);
    int r = get_row(gw, "polf", hash, 0, &plain);
    if (r == 0 && plain.n != POLICY_HASH_HEX - 1)
        r = SLUIS_ECRYPTO;
    if (r == 0)
        take_text(buffer_span(&plain), hex, POLICY_HASH_HEX);
    buffer_free(&plain);
    return r;
}

int version_in_force_put(struct gateway *gw, const char *channel, const char *hex)
{
    uint8_t hash[16];
    struct row row;
    hash_name(channel, hash);
    int r = seal_row(gw, "polf", hash, 0, span_str(hex), &row);
    if (r == 0) {
        r = put_rows(gw, &row, 1);
        buffer_free(&row.sealed);
    }
    return r;
}

/* ---- agreed to, by a second officer, on a channel ---- */

static void grant_hash(const char *channel, const char *hex, uint8_t out[16])
{
    char text[CONFIG_NAME_MAX + POLICY_HASH_HEX + 2];
    snprintf(text, sizeof(text), "%s/%s", channel, hex);
    hash_name(text, out);
}

bool version_granted(struct gateway *gw, const char *channel, const char *hex)
{
    uint8_t hash[16];
    struct buffer plain;
    grant_hash(channel, hex, hash);
    buffer_init(&plain, 1024);
    bool granted = get_row(gw, "polg", hash, 0, &plain) == 0 && span_is(buffer_span(&plain), hex);
    buffer_free(&plain);
    return granted;
}

/* As a channel's name, in which there is no '/'. */
static void then_name(const char *channel, const struct policy *observing,
                      char out[CONFIG_NAME_MAX + 1])
{
    uint8_t hash[16];
    char text[CONFIG_NAME_MAX + POLICY_HASH_HEX + 2], hex[2 * sizeof(hash) + 1];
    snprintf(text, sizeof(text), "%s/%s", channel, policy_hash(observing));
    hash_name(text, hash);
    hex_encode(hash, sizeof(hash), hex);
    snprintf(out, CONFIG_NAME_MAX + 1, "then/%s", hex);
}

bool version_follows(struct gateway *gw, const char *channel, const struct policy *observing,
                     const char *hex)
{
    char name[CONFIG_NAME_MAX + 1];
    then_name(channel, observing, name);
    return version_granted(gw, name, hex);
}

int version_choose(struct gateway *gw, const struct config_channel *c)
{
    char name[CONFIG_NAME_MAX + 1];
    if (!c->then)
        return 0;
    then_name(c->name, c->policy, name);
    return version_grant(gw, name, policy_hash(c->then));
}

int version_grant(struct gateway *gw, const char *channel, const char *hex)
{
    uint8_t hash[16];
    struct row row;
    grant_hash(channel, hex, hash);
    int r = seal_row(gw, "polg", hash, 0, span_str(hex), &row);
    if (r == 0) {
        r = put_rows(gw, &row, 1);
        buffer_free(&row.sealed);
    }
    return r;
}

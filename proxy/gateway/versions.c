/*
 * Versions of policies, and the second officer. Of every channel the store knows the policy in
 * force (its hash and its text, sealed), so that also after a restart a changed file can be
 * compared with it. What is looser waits for `sluis policy approve`; what is stricter, or the same,
 * takes effect at once.
 *
 * Rows of STORE_TABLE_SETTING, sealed: "polf" and 16 bytes of the channel's name's hash: the hash
 * in force; "polv" and the first 16 bytes of a policy's hash: the version; "polt", the same and a
 * number: a piece of its text, which has that hash; "polg" and a hash of channel and policy: a
 * second officer agreed to this policy on this channel. What is in force is kept by the channel's
 * name and by its phone number, so that a channel does not become a new one, without a policy to be
 * compared with, by another name or by being away for one reload.
 *
 * A version's author and approver are persons by name, or who could be told: "operator:UID" (who
 * asked for the reload over the control socket or by a signal), "file:UID" (the owner of the file,
 * where nobody asked: at a start), "installer", "stricter". Names of persons have no colon and are
 * none of these words. What an unnamed one put forward takes two officers: the first puts it
 * forward by name. Else who edits the file and has it reloaded as the operator would be both.
 *
 * Threads: under version_lock, or before the loops run.
 */
#include "internal.h"

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/json.h"

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
static void owner_of(const struct config *config, const struct policy *policy,
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

static int put_text(struct gateway *gw, const struct config *config, const struct policy *policy,
                    const uint8_t hash[16])
{
    struct buffer text;
    struct row *rows = calloc(BATCH, sizeof(*rows));
    size_t n = 0;
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
static int get_policy(struct gateway *gw, const char *hex, struct policy **out)
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
static int put_version(struct gateway *gw, const struct policy_version *v)
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

static int get_in_force(struct gateway *gw, const char *channel, char hex[POLICY_HASH_HEX])
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

static int put_in_force(struct gateway *gw, const char *channel, const char *hex)
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

#define PHONE_KEY (CONFIG_NAME_MAX + 64)

/* As a name, in the place of a channel's: names have no '/'. */
static void phone_key(const struct config_channel *c, char out[PHONE_KEY])
{
    snprintf(out, PHONE_KEY, "phone/%s", c->phone_number_id);
}

static const struct config_channel *channel_of_phone(const struct config *config,
                                                     const struct config_channel *c)
{
    for (size_t i = 0; i < config->channel_count; i++)
        if (strcmp(config->channels[i].phone_number_id, c->phone_number_id) == 0)
            return &config->channels[i];
    return NULL;
}

/* ---- agreed to, by a second officer, on a channel ---- */

static void grant_hash(const char *channel, const char *hex, uint8_t out[16])
{
    char text[CONFIG_NAME_MAX + POLICY_HASH_HEX + 2];
    snprintf(text, sizeof(text), "%s/%s", channel, hex);
    hash_name(text, out);
}

static bool is_granted(struct gateway *gw, const char *channel, const char *hex)
{
    uint8_t hash[16];
    struct buffer plain;
    grant_hash(channel, hex, hash);
    buffer_init(&plain, 1024);
    bool granted = get_row(gw, "polg", hash, 0, &plain) == 0 && span_is(buffer_span(&plain), hex);
    buffer_free(&plain);
    return granted;
}

static int put_grant(struct gateway *gw, const char *channel, const char *hex)
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

static int note(struct gateway *gw, const struct config_channel *c, const struct policy *policy,
                const char *actor, const char *outcome)
{
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_POLICY,
                                      .actor = actor,
                                      .claimed = policy_name(policy),
                                      .channel = c ? c->name : NULL,
                                      .activity = policy_activity(policy),
                                      .policy_hash = policy_hash(policy),
                                      .outcome = outcome};
    return admin_record(gw->store, &event);
}

/* A version nobody had to approve, or the one that waits; one that is known stays as it is, save
 * that one which was in force before and loosens now waits again, for another than who brings it
 * back. */
static int keep_version(struct gateway *gw, const struct config *config,
                        const struct policy *policy, const char *author, const char *approver,
                        int looser)
{
    struct policy_version v;
    uint8_t hash[32];
    if (version_get(gw, policy_hash(policy), &v) == 0 && (v.approved_ms != 0) == (approver[0] != 0))
        return 0;
    memset(&v, 0, sizeof(v));
    if (!hash_bytes(policy_hash(policy), hash))
        return SLUIS_EINVAL;
    snprintf(v.hash, sizeof(v.hash), "%s", policy_hash(policy));
    snprintf(v.name, sizeof(v.name), "%s", policy_name(policy));
    snprintf(v.author, sizeof(v.author), "%s", author);
    snprintf(v.approver, sizeof(v.approver), "%s", approver);
    v.proposed_ms = clock_wall_ms();
    v.approved_ms = approver[0] ? v.proposed_ms : 0;
    v.looser = (unsigned)looser;
    int r = put_text(gw, config, policy, hash);
    return r ? r : put_version(gw, &v);
}

/* ---- the decision ---- */

static void count_only(void *ctx, const struct policy_difference *difference)
{
    (void)ctx, (void)difference;
}

enum verdict { SAME, STRICTER, APPROVED, LOOSER, NEW };

/* That it was in force elsewhere or before, as the first or as a stricter one, is no approval. */
static enum verdict compare(struct gateway *gw, const char *channel, const struct policy *old,
                            const struct policy *next, int *looser)
{
    *looser = 0;
    if (!old)
        return NEW;
    if (strcmp(policy_hash(old), policy_hash(next)) == 0)
        return SAME;
    *looser = policy_diff(old, next, count_only, NULL);
    if (*looser == 0)
        return STRICTER;
    return is_granted(gw, channel, policy_hash(next)) ? APPROVED : LOOSER;
}

/* A channel's next policy beside the one in force: 0 it may be, SLUIS_EDENIED it waits. */
static int judge(struct gateway *gw, const struct config *next, const struct config_channel *c,
                 const struct policy *old, const char *author, struct diag *diag)
{
    char owner[ACCESS_NAME_SIZE];
    int looser, r = 0;
    if (!author) {
        owner_of(next, c->policy, owner);
        author = owner;
    }
    enum verdict verdict = compare(gw, c->name, old, c->policy, &looser);
    bool bootstrap = !next->approval_officers &&
                     !access_governed(gw->access, POLICY_MAY_APPROVE, clock_wall_ms());
    if (verdict == SAME || verdict == APPROVED)
        return 0;
    if (verdict == LOOSER && bootstrap) {
        LOG(LOG_ALARM, "gateway", "policy_loosened_without_officers",
            log_word("policy", policy_name(c->policy)), log_u64("looser", (uint64_t)looser));
        r = note(gw, c, c->policy, author, "loosened_alone");
        return r ? r : keep_version(gw, next, c->policy, author, author, looser);
    }
    if (verdict != LOOSER) {
        const char *approver = verdict == NEW ? "installer" : "stricter";
        r = note(gw, c, c->policy, author, verdict == NEW ? "installed" : "stricter");
        return r ? r : keep_version(gw, next, c->policy, author, approver, 0);
    }
    r = keep_version(gw, next, c->policy, author, "", looser);
    if (r == 0)
        r = note(gw, c, c->policy, author, "waits_for_approval");
    if (r != 0)
        return r;
    diag_set(diag, NULL, 0, 0,
             "policy \"%s\" is looser than the one in force on channel \"%s\" (%d decisions): a "
             "second officer has to agree: sluis policy approve %s --as NAME",
             policy_name(c->policy), c->name, looser, policy_name(c->policy));
    return SLUIS_EDENIED;
}

/* The policy that was last in force under this key; *out NULL when none was. */
static int stored_policy(struct gateway *gw, const char *key, struct policy **out)
{
    char hex[POLICY_HASH_HEX] = "";
    *out = NULL;
    int r = get_in_force(gw, key, hex);
    return r == SLUIS_ENOENT ? 0 : r ? r : get_policy(gw, hex, out);
}

/* Beside what is in force under the channel's name, or its number; else beside what last was.
 * *seen: there was such a policy. */
static int judge_beside(struct gateway *gw, const struct config *next,
                        const struct config_channel *c, const struct config_channel *before,
                        const char *key, const char *author, struct diag *diag, bool *seen)
{
    struct policy *stored = NULL;
    /* What follows an observing policy was chosen with it. */
    bool follows =
        before && before->then && strcmp(policy_hash(before->then), policy_hash(c->policy)) == 0;
    int r = before ? 0 : stored_policy(gw, key, &stored);
    const struct policy *old = before ? before->policy : stored;
    *seen |= old != NULL;
    if (r == 0 && old && !follows)
        r = judge(gw, next, c, old, author, diag);
    policy_unref(stored);
    return r;
}

static int judge_channel(struct gateway *gw, const struct config *now, const struct config *next,
                         const struct config_channel *c, const char *author, struct diag *diag)
{
    char key[PHONE_KEY];
    const struct config_channel *named = config_channel(now, c->name);
    const struct config_channel *numbered = channel_of_phone(now, c);
    bool seen = false;
    int r = judge_beside(gw, next, c, named, c->name, author, diag, &seen);
    phone_key(c, key);
    if (r == 0 && (!named || named != numbered))
        r = judge_beside(gw, next, c, numbered, key, author, diag, &seen);
    return r || seen ? r : judge(gw, next, c, NULL, author, diag);
}

int versions_judge(struct gateway *gw, const struct config *now, const struct config *next,
                   const char *author, struct diag *diag)
{
    int r = 0;
    pthread_mutex_lock(&gw->version_lock);
    for (size_t i = 0; i < next->channel_count; i++) {
        int one = judge_channel(gw, now, next, &next->channels[i], author, diag);
        r = r ? r : one;
    }
    pthread_mutex_unlock(&gw->version_lock);
    return r;
}

static int keep_in_force(struct gateway *gw, const char *key, const struct policy *policy)
{
    char hex[POLICY_HASH_HEX] = "";
    if (get_in_force(gw, key, hex) == 0 && strcmp(hex, policy_hash(policy)) == 0)
        return 0;
    return put_in_force(gw, key, policy_hash(policy));
}

int versions_in_force(struct gateway *gw, const struct config *config)
{
    int r = 0;
    pthread_mutex_lock(&gw->version_lock);
    for (size_t i = 0; i < config->channel_count; i++) {
        char key[PHONE_KEY];
        const struct config_channel *c = &config->channels[i];
        phone_key(c, key);
        int named = keep_in_force(gw, c->name, c->policy);
        int numbered = keep_in_force(gw, key, c->policy);
        r = r ? r : named ? named : numbered;
    }
    pthread_mutex_unlock(&gw->version_lock);
    return r;
}

/* At start: the file beside what was in force under this key when it stopped. */
static int start_beside(struct gateway *gw, struct config *config, size_t i, const char *key,
                        struct diag *diag, bool *seen)
{
    struct config_channel *c = &config->channels[i];
    struct policy *old = NULL;
    int r = stored_policy(gw, key, &old);
    if (r != 0) {
        diag_set(diag, NULL, 0, 0,
                 "the policy in force on channel \"%s\" cannot be read from the store (%s)",
                 c->name, error_word(r));
        return r;
    }
    *seen |= old != NULL;
    if (old)
        r = judge(gw, config, c, old, NULL, diag);
    if (r == SLUIS_EDENIED) { /* the old one stays in force */
        LOG(LOG_ALARM, "gateway", "policy_waits_for_approval", log_word("channel", c->name),
            log_word("policy", policy_name(c->policy)));
        diag->text[0] = '\0';
        r = config_use_policy(config, i, old, diag);
    }
    policy_unref(old);
    return r;
}

static int start_channel(struct gateway *gw, struct config *config, size_t i, struct diag *diag)
{
    char key[PHONE_KEY];
    const struct config_channel *c = &config->channels[i];
    bool seen = false;
    phone_key(c, key);
    int r = start_beside(gw, config, i, c->name, diag, &seen);
    if (r == 0)
        r = start_beside(gw, config, i, key, diag, &seen);
    return r || seen ? r : judge(gw, config, c, NULL, "installer", diag);
}

int versions_start(struct gateway *gw, struct config *config, struct diag *diag)
{
    int r = keyring_cache_new(gw->keyring, &gw->version_keys);
    for (size_t i = 0; r == 0 && i < config->channel_count; i++)
        r = start_channel(gw, config, i, diag);
    return r;
}

/* ---- approving ---- */

static void list_difference(void *ctx, const struct policy_difference *d)
{
    struct buffer *out = ctx;
    if (d->change != POLICY_LOOSER)
        return;
    buffer_add_str(out, out->n && out->p[out->n - 1] == '}' ? "," : "");
    buffer_add(out, SPAN("{\"what\":"));
    json_quote(out, span_str(d->what));
    buffer_add(out, SPAN(",\"from\":"));
    json_quote(out, span_str(d->from));
    buffer_add(out, SPAN(",\"to\":"));
    json_quote(out, span_str(d->to));
    buffer_add_char(out, '}');
}

/* The channels whose next policy is this one and differs: what becomes looser, in `out`. NULL or
 * why not. */
static const char *look(struct policy_approval *a, const struct config *now,
                        const struct config *next, const struct policy **policy)
{
    unsigned n = 0;
    buffer_add(a->out, SPAN("\"looser\":["));
    for (size_t i = 0; i < next->channel_count; i++) {
        const struct config_channel *c = &next->channels[i];
        const struct config_channel *before = config_channel(now, c->name);
        if (strcmp(policy_name(c->policy), a->name) != 0)
            continue;
        if (!a->may(a->may_ctx, c->id))
            return "you may not approve for every channel that has this policy";
        *policy = c->policy;
        if (before && strcmp(policy_hash(before->policy), policy_hash(c->policy)) != 0)
            n += policy_diff(before->policy, c->policy, list_difference, a->out) > 0;
    }
    buffer_add_char(a->out, ']');
    if (!*policy)
        return "no channel has a policy of this name";
    return n ? NULL : "it is not looser than what is in force: sluis reload";
}

/* On every channel that has it. */
static bool is_agreed(struct gateway *gw, const struct policy_approval *a,
                      const struct config *next)
{
    for (size_t i = 0; i < next->channel_count; i++) {
        const struct config_channel *c = &next->channels[i];
        if (strcmp(policy_name(c->policy), a->name) == 0 &&
            !is_granted(gw, c->name, policy_hash(c->policy)))
            return false;
    }
    return true;
}

/* Has a person put it forward, by name? */
static bool is_named(const char *author)
{
    return !strchr(author, ':') && access_name_free(author);
}

static const char *approve(struct gateway *gw, struct policy_approval *a, const struct config *next,
                           const struct policy *policy)
{
    struct policy_version v;
    if (version_get(gw, policy_hash(policy), &v) != 0)
        return "it was not put forward yet: sluis reload, which says what is looser";
    if (a->hash.n && !span_starts(span_str(v.hash), a->hash))
        return "the file has another hash by now: look again";
    if (v.approved_ms)
        return is_agreed(gw, a, next) ? "it is approved already: sluis reload"
                                      : "it was not put forward yet: sluis reload, which says what "
                                        "is looser";
    if (!a->alone && strcmp(v.author, a->actor) == 0)
        return "the one who put it forward cannot approve it: a second officer has to";
    a->put_forward = !a->alone && !is_named(v.author);
    if (a->dry_run)
        return NULL;
    if (a->put_forward) {
        int put = note(gw, NULL, policy, a->actor, "put_forward");
        snprintf(v.author, sizeof(v.author), "%s", a->actor);
        put = put ? put : put_version(gw, &v);
        return put == 0 ? "nobody had put it forward by name: you have now, and a second officer "
                          "has to approve it"
                        : "it could not be recorded";
    }
    snprintf(v.approver, sizeof(v.approver), "%s", a->actor);
    v.approved_ms = clock_wall_ms();
    int r = note(gw, NULL, policy, a->actor, a->alone ? "approved_by_operator" : "approved");
    for (size_t i = 0; r == 0 && i < next->channel_count; i++)
        if (strcmp(policy_name(next->channels[i].policy), a->name) == 0)
            r = put_grant(gw, next->channels[i].name, policy_hash(policy));
    if (r == 0)
        r = put_version(gw, &v);
    return r == 0 ? NULL : "it could not be recorded: it is not approved, or not everywhere";
}

int versions_approve(void *ctx, struct policy_approval *a, struct diag *diag)
{
    struct gateway *gw = ctx;
    struct config *now = config_acquire(gw->cell), *next = NULL;
    const struct policy *policy = NULL;
    int r = config_load(gw->config_file, &next, diag);
    if (r == 0)
        r = reload_prepare(gw, next, diag);
    if (r == 0) {
        pthread_mutex_lock(&gw->version_lock);
        const char *wrong = look(a, now, next, &policy);
        if (!wrong)
            wrong = approve(gw, a, next, policy);
        pthread_mutex_unlock(&gw->version_lock);
        if (policy)
            buffer_addf(a->out, ",\"hash\":\"%s\"", policy_hash(policy));
        if (wrong) {
            diag_set(diag, NULL, 0, 0, "%s", wrong);
            r = SLUIS_EDENIED;
        }
    }
    if (next)
        config_unref(next);
    config_unref(now);
    return r;
}

/*
 * Fills a store, notes what will be destroyed, and destroys it: for tests/system/forensic-scan,
 * which looks for it afterwards. Each phase is a process of its own, so that none knows more than a
 * gateway at that moment would.
 *
 *     forensic-store fill    AT OUT N   N messages of N/10 persons; a backup of data and keyring
 *     forensic-store needles AT OUT     what must be nowhere afterwards, to OUT/needles
 *     forensic-store destroy AT OUT     a thirtieth expires, is erased, is taken back one by one;
 *                                       then the process is aborted, for its core
 *     forensic-store lookup  AT OUT     the erased identifiers' hashes under every key that lives
 *     forensic-store living  AT OUT     opens every living message; what was destroyed opens
 * nowhere
 *
 * Needles: a line each, "KIND HEX". AT: store and keyring begin with that name. OUT: another disk.
 */
#include "help.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../proxy/keyring/room.h"
#include "../store/support.h"
#include "sluis/backup.h"
#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/log.h"

#define PER_JOB 250
#define PERSONS_SHARE 10
#define FATES 30 /* of so many persons one is erased, one expires, one takes back */
#define SEALED_MAX 1400

enum fate { ERASED, EXPIRED, REVOKED, LIVING };

struct entry { /* of OUT/list: what was stored of a message */
    struct message message;
    uint16_t n_o, n_m;
    uint8_t o[SEALED_MAX], m[SEALED_MAX]; /* as a backup holds it */
};

static const char *out_folder;

static enum fate fate_of(uint64_t person)
{
    unsigned which = (unsigned)(person % FATES);
    return which < LIVING ? (enum fate)which : LIVING;
}

/* Eleven digits, no two alike, none the beginning of another. */
static void identifier_of(uint64_t person, char out[16])
{
    snprintf(out, 16, "316%08llu", (unsigned long long)(person * 7919 % 99999989));
}

static FILE *file_open(const char *name, const char *mode)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", out_folder, name);
    FILE *f = fopen(path, mode);
    assert_non_null(f);
    return f;
}

static void needle(FILE *f, const char *kind, const void *bytes, size_t n)
{
    fprintf(f, "%s ", kind);
    for (size_t i = 0; i < n; i++)
        fprintf(f, "%02x", ((const uint8_t *)bytes)[i]);
    fputc('\n', f);
}

static uint16_t read_sealed(struct world *w, const struct record_id *id, uint8_t out[SEALED_MAX])
{
    struct store_read *read;
    struct arena arena;
    struct span sealed;
    arena_init(&arena, 1 << 20);
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_get_record(read, id, &arena, &sealed), 0);
    assert_true(sealed.n <= SEALED_MAX);
    memcpy(out, sealed.p, sealed.n);
    store_read_end(read);
    arena_free(&arena);
    return (uint16_t)sealed.n;
}

/* ---- fill ---- */

static void backup(struct world *w)
{
    uint8_t public_key[KEYRING_RECOVERY_KEY], secret_key[KEYRING_RECOVERY_KEY];
    char path[512];
    struct backup_made made;
    struct diag diag = {.text = ""};
    keyring_recovery_make(public_key, secret_key);
    snprintf(path, sizeof(path), "%s/backup", out_folder);
    const struct backup_request q = {.store = w->store,
                                     .keyring = w->keyring,
                                     .folder = path,
                                     .recovery_key = public_key,
                                     .keep_s = 86400,
                                     .now_ms = clock_wall_ms(),
                                     .growth_max = 64 << 20};
    assert_int_equal(backup_make(&q, &made, &diag), 0);
    sodium_memzero(secret_key, sizeof(secret_key));
}

static void fill(struct world *w, unsigned n)
{
    unsigned persons = n / PERSONS_SHARE;
    static struct to_put list[PER_JOB];
    static char from[PER_JOB][16];
    static struct message messages[PER_JOB];
    struct entry *e = calloc(1, sizeof(*e));
    FILE *f = file_open("list", "w");
    int64_t now = clock_wall_ms();
    assert_non_null(e);
    for (unsigned i = 0; i < n; i += PER_JOB) {
        unsigned m = n - i < PER_JOB ? n - i : PER_JOB;
        for (unsigned k = 0; k < m; k++) {
            uint64_t person = 10 + (i + k) % persons;
            identifier_of(person, from[k]);
            bool old = fate_of(person) == EXPIRED;
            list[k] =
                (struct to_put){person, from[k], i + k < persons, old ? now - 6 * HOUR_MS : now};
        }
        messages_put(w, list, m, messages);
        for (unsigned k = 0; k < m; k++) {
            e->message = messages[k];
            e->n_o = read_sealed(w, &messages[k].o, e->o);
            e->n_m = read_sealed(w, &messages[k].m, e->m);
            assert_int_equal(fwrite(e, sizeof(*e), 1, f), 1);
        }
    }
    fclose(f);
    free(e);
    backup(w);
    printf("filled: %u messages of %u persons\n", n, persons);
}

/* ---- needles ---- */

static void leaf_needle(struct world *w, FILE *f, const struct keyring_leaf *leaf,
                        uint8_t key[TREE_KEY])
{
    assert_int_equal(cover_leaf(&w->keyring->cover, leaf->tree, tree_path(leaf), key), 0);
    needle(f, "key", key, TREE_KEY);
}

/* As keyring.h says how a record's key is made: a second implementation. */
static void record_needle(FILE *f, const uint8_t leaves[3 * TREE_KEY], uint8_t part)
{
    static const unsigned char person[crypto_generichash_blake2b_PERSONALBYTES] = "sluis record";
    uint8_t text[3 * TREE_KEY + 2], key[TREE_KEY];
    memcpy(text, leaves, 3 * TREE_KEY);
    text[3 * TREE_KEY] = part;
    text[3 * TREE_KEY + 1] = 1;
    crypto_generichash_blake2b_salt_personal(key, sizeof(key), text, sizeof(text), NULL, 0, NULL,
                                             person);
    needle(f, "key", key, sizeof(key));
}

static void keys_of(struct world *w, FILE *f, const struct entry *e)
{
    const struct record_id *ids[] = {&e->message.o, &e->message.m};
    uint8_t leaves[3 * TREE_KEY];
    for (unsigned i = 0; i < 2; i++) {
        const struct keyring_leaf leaf[3] = {
            {.tree = KEYRING_TIME, .cls = ids[i]->cls, .leaf = ids[i]->bucket},
            {.tree = KEYRING_SUBJECT, .leaf = (uint32_t)ids[i]->subject},
            {.tree = KEYRING_MESSAGE, .leaf = (uint32_t)ids[i]->serial}};
        enum fate fate = fate_of(ids[i]->subject);
        for (unsigned k = 0; k < 3; k++) {
            bool goes = (k == 0 && fate == EXPIRED) || (k == 1 && fate == ERASED) ||
                        (k == 2 && fate == REVOKED);
            if (goes)
                leaf_needle(w, f, &leaf[k], leaves + k * TREE_KEY);
            else
                assert_int_equal(cover_leaf(&w->keyring->cover, leaf[k].tree, tree_path(&leaf[k]),
                                            leaves + k * TREE_KEY),
                                 0);
        }
        record_needle(f, leaves, ids[i]->part);
    }
    sodium_memzero(leaves, sizeof(leaves));
}

/* The sealed epoch key in the living slot, which the first change destroys. */
static void slot_needle(struct world *w, FILE *f)
{
    char path[400];
    uint8_t slots[8192];
    snprintf(path, sizeof(path), "%s/epoch", w->keys);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && read(fd, slots, sizeof(slots)) == (ssize_t)sizeof(slots));
    close(fd);
    for (unsigned i = 0; i < 2; i++)
        if (memcmp(slots + i * 4096, "SLUISEP1", 8) == 0)
            needle(f, "slot", slots + i * 4096 + 56, 48);
}

static void needles(struct world *w)
{
    struct entry *e = calloc(1, sizeof(*e));
    FILE *list = file_open("list", "r"), *f = file_open("needles", "w"),
         *control = file_open("controls", "w");
    unsigned destroyed = 0;
    assert_non_null(e);
    slot_needle(w, f);
    while (fread(e, sizeof(*e), 1, list) == 1) {
        uint64_t person = e->message.item.subject;
        enum fate fate = fate_of(person);
        char identifier[16];
        identifier_of(person, identifier);
        if (fate == LIVING)
            continue;
        destroyed++;
        keys_of(w, f, e);
        needle(f, "text", e->message.text, strlen(e->message.text));
        if (fate == REVOKED)
            continue; /* the person stays */
        needle(f, "identifier", identifier, strlen(identifier));
        /* Control: with a look-up key that is never replaced these could be made again. */
        uint8_t hash[STORE_HASH_BYTES];
        subject_hash(w->keyring, span_str(identifier), hash);
        needle(control, "constant-lookup-key", hash, sizeof(hash));
    }
    fclose(list);
    fclose(f);
    fclose(control);
    free(e);
    printf("needles: of %u messages\n", destroyed);
}

/* ---- destroy ---- */

static int run_revoke(struct store_txn *txn, void *ctx)
{
    purge_revoke_put(txn, *(uint64_t *)ctx);
    return store_txn_error(txn);
}

static void destroy(struct world *w)
{
    struct entry *e = calloc(1, sizeof(*e));
    FILE *list = file_open("list", "r");
    static uint8_t erased[1 << 20];
    unsigned revoked = 0, persons = 0;
    assert_non_null(e);
    assert_int_equal(purge_round(w->purge), 0); /* what has expired */
    while (fread(e, sizeof(*e), 1, list) == 1) {
        uint64_t person = e->message.item.subject, serial = e->message.item.serial;
        enum fate fate = fate_of(person);
        if (fate == REVOKED) { /* one by one: a change of the keyring each */
            assert_int_equal(test_run(w->store, run_revoke, &serial), 0);
            assert_int_equal(purge_revoke(w->purge), 0);
            revoked++;
        } else if (fate == ERASED && !erased[person]) {
            char identifier[16];
            struct buffer certificate;
            identifier_of(person, identifier);
            buffer_init(&certificate, 1 << 16);
            assert_int_equal(
                purge_person_erase(w->purge, span_str(identifier), false, &certificate), 0);
            buffer_free(&certificate);
            sodium_memzero(identifier, sizeof(identifier));
            erased[person] = 1;
            persons++;
        }
    }
    fclose(list);
    sodium_memzero(e, sizeof(*e));
    free(e);
    assert_int_equal(purge_lookup_replace(w->purge), 0);
    assert_int_equal(purge_round(w->purge), 0);
    printf("destroyed: %u taken back, %u persons erased, what had expired\n", revoked, persons);
    fflush(stdout);
}

/* A core of this process as it stands: what a test build may, and a gateway does not allow. */
static void die_with_core(void)
{
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    char path[512];
    snprintf(path, sizeof(path), "%s/core-folder", out_folder);
    (void)mkdir(path, 0700);
    assert_int_equal(chdir(path), 0);
    prctl(PR_SET_DUMPABLE, 1);
    setrlimit(RLIMIT_CORE, &all);
    abort();
}

/* ---- afterwards ---- */

static void lookup(struct world *w)
{
    struct entry *e = calloc(1, sizeof(*e));
    FILE *list = file_open("list", "r"), *f = file_open("lookup", "w");
    unsigned n = 0;
    assert_non_null(e);
    while (fread(e, sizeof(*e), 1, list) == 1) {
        enum fate fate = fate_of(e->message.item.subject);
        struct keyring_hashes hashes; /* of every index key that lives */
        char identifier[16];
        if (fate != ERASED && fate != EXPIRED)
            continue;
        identifier_of(e->message.item.subject, identifier);
        keyring_hash_identifiers(w->keyring, "subject", span_str(identifier), &hashes);
        for (unsigned i = 0; i < hashes.n; i++, n++)
            needle(f, "lookup", hashes.hash[i], STORE_HASH_BYTES);
        uint8_t hash[STORE_HASH_BYTES]; /* as the subject room makes it */
        subject_hash(w->keyring, span_str(identifier), hash);
        needle(f, "lookup", hash, sizeof(hash));
        n++;
    }
    fclose(list);
    fclose(f);
    free(e);
    printf("look-up hashes under the keys that live: %u\n", n);
}

static int open_sealed(struct world *w, const struct record_id *id, const uint8_t *sealed, size_t n,
                       const char *text)
{
    struct buffer plain;
    buffer_init(&plain, 1 << 20);
    int r = record_open(w->cache, 0, id, span_of((const char *)sealed, n), &plain);
    if (r == 0 && text && !memmem(plain.p, plain.n, text, strlen(text)))
        r = SLUIS_ECRYPTO;
    buffer_free(&plain);
    return r;
}

static int open_now(struct world *w, const struct message *m, uint8_t part)
{
    struct store_read *read;
    struct record_id id;
    struct arena arena;
    struct span sealed;
    arena_init(&arena, 1 << 20);
    assert_int_equal(store_read_begin(w->store, &read), 0);
    int r = retention_part(read, &m->item, part, &id);
    if (r == 0)
        r = store_get_record(read, &id, &arena, &sealed);
    if (r == 0)
        r = open_sealed(w, &id, (const uint8_t *)sealed.p, sealed.n, m->text);
    store_read_end(read);
    arena_free(&arena);
    return r;
}

/* Both parts say the same: under one key and nonce their ciphertexts would be the same too, and
 * what is known of one would print the other. */
static bool shares_keystream(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a + 30, b + 30, 64) == 0;
}

static bool control_shares_keystream(void)
{
    static const uint8_t key[32] = {1}, nonce[24] = {2};
    uint8_t sealed[2][30 + 64 + 16] = {{0}}, text[64] = "IBAN NL91 ABNA 0417 1643 00";
    for (unsigned i = 0; i < 2; i++)
        crypto_aead_xchacha20poly1305_ietf_encrypt(sealed[i] + 30, NULL, text, sizeof(text),
                                                   (const uint8_t[]){(uint8_t)i}, 1, NULL, nonce,
                                                   key);
    return shares_keystream(sealed[0], sealed[1]);
}

static void living(struct world *w)
{
    struct entry *e = calloc(1, sizeof(*e));
    FILE *list = file_open("list", "r");
    unsigned n = 0, unreadable = 0, opened = 0, shared = 0;
    assert_non_null(e);
    while (fread(e, sizeof(*e), 1, list) == 1) {
        shared += shares_keystream(e->o, e->m);
        const struct message *m = &e->message;
        if (fate_of(m->item.subject) == LIVING) {
            n++;
            unreadable += open_now(w, m, 'O') != 0 || open_now(w, m, 'M') != 0;
        } else { /* where it was, and from a copy of before */
            opened += open_now(w, m, 'O') == 0 || open_now(w, m, 'M') == 0 ||
                      open_sealed(w, &m->o, e->o, e->n_o, NULL) == 0 ||
                      open_sealed(w, &m->m, e->m, e->n_m, NULL) == 0;
        }
    }
    fclose(list);
    free(e);
    printf("living: %u, unreadable %u; destroyed that can be opened: %u\n", n, unreadable, opened);
    printf("messages whose parts share a keystream: %u; control, key and nonce fixed: %s\n", shared,
           control_shares_keystream() ? "found" : "NOT FOUND");
    assert_int_equal(shared, 0);
    assert_true(control_shares_keystream());
    assert_int_equal(unreadable, 0);
    assert_int_equal(opened, 0);
}

int main(int argc, char **argv)
{
    static struct world w;
    if (argc < 4 || sodium_init() < 0)
        return 2;
    const char *phase = argv[1];
    out_folder = argv[3];
    log_configure(LOG_ERROR, LOG_KEY_VALUE, STDERR_FILENO);
    world_open_at(&w, argv[2], false);
    if (strcmp(phase, "fill") == 0 && argc == 5)
        fill(&w, (unsigned)strtoul(argv[4], NULL, 10));
    else if (strcmp(phase, "needles") == 0)
        needles(&w);
    else if (strcmp(phase, "destroy") == 0)
        destroy(&w), die_with_core();
    else if (strcmp(phase, "lookup") == 0)
        lookup(&w);
    else if (strcmp(phase, "living") == 0)
        living(&w);
    else
        return 2;
    world_leave(&w);
    return 0;
}

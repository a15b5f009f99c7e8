/*
 * A crash between any two steps of every operation that takes more than one: the store and the
 * keyring open again, and after a round of the service thread the operation is finished or was not
 * begun. Asked for again, it ends as it would have. Messages that are none of its business are
 * there.
 *
 * Every operation is done once to count its steps; then once for each step, in a process that ends
 * there, on a fresh copy of the same folders; a second process opens what is left.
 *
 *     test_crash                       the steps that order what is on disk (CI)
 *     SLUIS_CRASH=every test_crash     every write as well: some minutes
 *     SLUIS_CRASH_ONLY=purge           one operation
 */
#include "crash_points.h"
#include "room.h"

#include "help.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../store/support.h"
#include "sluis/backup.h"
#include "sluis/base/clock.h"
#include "sluis/base/log.h"

#define ANNA "31612345678"
#define BERT "31687654321"
#define MESSAGES 6
#define STEPS_MAX 4000

struct sealed { /* as a backup of the data holds it */
    struct record_id id;
    char bytes[4096];
    size_t n;
};

/* What the processes know of each other. */
struct shared {
    struct message messages[MESSAGES]; /* even: Anna, odd: Bert */
    struct sealed o[MESSAGES], m[MESSAGES];
    unsigned steps;
    uint32_t lookup;   /* number of the index key at the beginning */
    int64_t shift_ms;  /* of the clock, at the end of preparing */
    bool again;        /* the operation is asked for a second time */
    bool acknowledged; /* the operation answered 0 before the crash */
    uint8_t public_key[KEYRING_RECOVERY_KEY], secret_key[KEYRING_RECOVERY_KEY];
};
static struct shared *shared;
static char top[256]; /* folder of all that is made here */

#define REQUIRE(cond)                                                                              \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                             \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* ---- looking ---- */

static void keep_copy(struct world *w, const struct record_id *id, struct sealed *out)
{
    struct store_read *read;
    struct arena arena;
    struct span sealed;
    arena_init(&arena, 1 << 20);
    REQUIRE(store_read_begin(w->store, &read) == 0);
    REQUIRE(store_get_record(read, id, &arena, &sealed) == 0 && sealed.n <= sizeof(out->bytes));
    memcpy(out->bytes, sealed.p, sealed.n);
    out->n = sealed.n;
    out->id = *id;
    store_read_end(read);
    arena_free(&arena);
}

static int open_copy(struct world *w, const struct sealed *copy)
{
    struct buffer plain;
    buffer_init(&plain, 1 << 20);
    int r = record_open(w->cache, 0, &copy->id, span_of(copy->bytes, copy->n), &plain);
    buffer_free(&plain);
    return r;
}

/* 0 when the part can be read where it is now, and says what the message said. */
static int read_part(struct world *w, unsigned i, uint8_t part)
{
    const struct message *m = &shared->messages[i];
    struct store_read *read;
    struct record_id id;
    struct arena arena;
    struct buffer plain;
    struct span sealed;
    arena_init(&arena, 1 << 20);
    buffer_init(&plain, 1 << 20);
    REQUIRE(store_read_begin(w->store, &read) == 0);
    int r = retention_part(read, &m->item, part, &id);
    if (r == 0)
        r = store_get_record(read, &id, &arena, &sealed);
    if (r == 0)
        r = record_open(w->cache, 0, &id, sealed, &plain);
    store_read_end(read);
    if (r == 0 && !memmem(plain.p, plain.n, m->text, strlen(m->text)))
        r = SLUIS_ENOENT; /* a stub */
    buffer_free(&plain);
    arena_free(&arena);
    return r;
}

static bool whole(struct world *w, unsigned i)
{
    return read_part(w, i, 'O') == 0 && read_part(w, i, 'M') == 0;
}

static int count_line(void *ctx, struct span line)
{
    struct span *want = ctx;
    if (memmem(line.p, line.n, want[0].p, want[0].n))
        want[1].n++;
    return 0;
}

static unsigned records_with(struct world *w, const char *text)
{
    struct span want[2] = {span_str(text), SPAN_EMPTY};
    REQUIRE(purge_records(w->purge, 0, INT64_MAX, count_line, want) == 0);
    return (unsigned)want[1].n;
}

static bool export_has(struct world *w, const char *person, unsigned i)
{
    struct buffer out;
    buffer_init(&out, 1 << 20);
    int r = purge_person_export(w->purge, span_str(person), &out);
    bool has = r == 0 && memmem(out.p, out.n, shared->messages[i].text,
                                strlen(shared->messages[i].text)) != NULL;
    buffer_free(&out);
    return has;
}

/* ---- the operations ---- */

enum state { BROKEN, BEFORE, AFTER };
enum {
    SELECTION = 1,  /* the history is a minimum class */
    FINISHES = 2,   /* a round after the restart must have done it, whatever came of the asking */
    LATER = 4,      /* at a time when the originals have expired */
    SHORTER = 8,    /* under a policy that keeps shorter */
    EVERYBODY = 16, /* Bert's messages are its business too */
    TOLD = 64,      /* route 1 got the messages, and wants to be told of what is destroyed */
    CONTROL = 32,   /* does it in a wrong order: must be found */
};
struct operation {
    const char *name;
    void (*prepare)(struct world *w); /* or NULL; not crashed */
    int (*act)(struct world *w);      /* with the steps counted */
    enum state (*look)(struct world *w);
    unsigned flags;
};

static int act_purge(struct world *w)
{
    char out[4096];
    return run_purge(w, false, out);
}

static enum state look_purge(struct world *w)
{
    unsigned gone = 0;
    for (unsigned i = 0; i < MESSAGES; i++) {
        gone += open_copy(w, &shared->o[i]) == SLUIS_EEXPIRED;
        REQUIRE(read_part(w, i, 'M') == 0);
    }
    if (gone == 0)
        return records_with(w, "expired") == 0 ? BEFORE : BROKEN;
    if (gone < MESSAGES || records_with(w, "expired") != 1 ||
        records_with(w, "\"messages\":6,") != 1)
        return BROKEN;
    return AFTER;
}

static int act_sweep(struct world *w)
{
    return purge_round(w->purge);
}

static enum state look_sweep(struct world *w)
{
    enum state state = look_purge(w);
    if (state == AFTER)
        for (unsigned i = 0; i < MESSAGES; i++)
            if (message_open(w, &shared->messages[i].o) != SLUIS_ENOENT)
                return BROKEN;
    return state;
}

/* The record before the keys: what a crash in between must be seen to break. */
struct backwards {
    struct span state_key, state, key, line;
};
static int run_backwards(struct store_txn *txn, void *ctx)
{
    struct backwards *b = ctx;
    store_put_row(txn, STORE_TABLE_SETTING, b->state_key, b->state);
    store_put_row(txn, STORE_TABLE_SETTING, b->key, b->line);
    return store_txn_error(txn);
}

static int act_backwards(struct world *w)
{
    static struct purge_plan plan;
    uint8_t state_key[CLASS_KEY_BYTES], key[DESTRUCTION_KEY_BYTES];
    struct buffer state, line;
    buffer_init(&state, STORE_VALUE_MAX);
    buffer_init(&line, STORE_VALUE_MAX);
    int64_t now = clock_wall_ms();
    REQUIRE(plan_make(w->purge, now, &plan) == 0);
    if (plan.count == 0)
        return 0;
    struct class_plan *c = &plan.at[0];
    while (c->first == NO_BUCKET && c < &plan.at[plan.count - 1])
        c++;
    if (c->first == NO_BUCKET)
        return 0; /* done */
    REQUIRE(plan_count(w->purge, c) == 0);
    const struct class_state done = {c->ended, c->ended};
    const struct retention_destruction d = {.cls = c->name,
                                            .category = "",
                                            .ground = "",
                                            .reason = "expired",
                                            .to_ms = now,
                                            .messages = c->messages,
                                            .subjects = c->subjects,
                                            .policy_hash = policy_hash(w->policy),
                                            .at_ms = now};
    class_state_key(c->cls, state_key);
    REQUIRE(class_state_seal(w->purge, c->cls, &done, &state) == 0);
    REQUIRE(destruction_seal(w->purge, &d, key, &line) == 0);
    struct backwards b = {span_of(state_key, sizeof(state_key)), buffer_span(&state),
                          span_of(key, sizeof(key)), buffer_span(&line)};
    int r = test_run(w->store, run_backwards, &b);
    const struct keyring_leaf leaf = {
        .tree = KEYRING_TIME, .through = true, .cls = c->cls, .leaf = c->ended};
    if (r == 0)
        r = destroy_leaves(w->purge, &leaf, 1);
    buffer_free(&state);
    buffer_free(&line);
    return r;
}

static int run_revoke(struct store_txn *txn, void *ctx)
{
    purge_revoke_put(txn, *(uint64_t *)ctx);
    return store_txn_error(txn);
}

static int act_revoke(struct world *w)
{
    uint64_t serial = shared->messages[0].item.serial;
    int r = test_run(w->store, run_revoke, &serial);
    return r ? r : purge_revoke(w->purge);
}

static enum state look_revoke(struct world *w)
{
    struct record_id stub;
    struct store_read *read;
    if (whole(w, 0))
        return records_with(w, "revoked") ? BROKEN : BEFORE;
    if (open_copy(w, &shared->o[0]) != SLUIS_EEXPIRED ||
        open_copy(w, &shared->m[0]) != SLUIS_EEXPIRED || !whole(w, 2))
        return BROKEN;
    REQUIRE(store_read_begin(w->store, &read) == 0);
    int r = purge_moved(read, shared->messages[0].item.serial, 10, &stub);
    store_read_end(read);
    if (r != 0 || message_open(w, &stub) != 0)
        return BROKEN;
    return records_with(w, "revoked") ? AFTER : BROKEN;
}

static int act_redact(struct world *w)
{
    struct purge_redacted out;
    const struct purge_redaction q = {.message = shared->messages[0].item.serial};
    int r = purge_redact(w->purge, &q, &out);
    return r == SLUIS_ENOENT ? 0 : r; /* nothing of it is left to be hidden */
}

/* What it said is nowhere, or it says it as before. */
static enum state look_redact(struct world *w)
{
    if (whole(w, 0))
        return BEFORE;
    bool gone = open_copy(w, &shared->o[0]) == SLUIS_EEXPIRED &&
                open_copy(w, &shared->m[0]) == SLUIS_EEXPIRED && !export_has(w, ANNA, 0);
    return gone && whole(w, 2) && whole(w, 4) ? AFTER : BROKEN;
}

static int act_correct(struct world *w)
{
    struct purge_redacted out;
    const struct purge_redaction q = {
        .identifier = SPAN(ANNA), .text = SPAN("text of"), .instead = SPAN("it should be")};
    int r = purge_redact(w->purge, &q, &out);
    return r == SLUIS_ENOENT ? 0 : r;
}

static int count_told(void *ctx, struct span key, struct span value)
{
    (void)value;
    if (key.n != RETENTION_TOLD_KEY || key.p[0] != 'T')
        return 1;
    ++*(unsigned *)ctx;
    return 0;
}

static bool route_was_told(struct world *w)
{
    struct store_read *read;
    unsigned n = 0;
    REQUIRE(store_read_begin(w->store, &read) == 0);
    REQUIRE(store_each_row(read, STORE_TABLE_SUBJECT, SPAN("T"), count_told, &n) >= 0);
    store_read_end(read);
    return n > 0;
}

/* Told too early is no harm, and it is told again; gone and never told of is. */
static enum state look_redact_told(struct world *w)
{
    enum state state = look_redact(w);
    return state == AFTER && !route_was_told(w) ? BROKEN : state;
}

/* Message by message: some are put right, and what is not was not told of as if it were. */
static enum state look_correct_told(struct world *w)
{
    unsigned right = 0;
    for (unsigned i = 0; i < MESSAGES; i += 2) {
        bool gone = open_copy(w, &shared->o[i]) == SLUIS_EEXPIRED &&
                    open_copy(w, &shared->m[i]) == SLUIS_EEXPIRED && !export_has(w, ANNA, i);
        if (!gone && !whole(w, i))
            return BROKEN;
        right += gone;
    }
    if (right && !route_was_told(w))
        return BROKEN;
    return right == MESSAGES / 2 ? AFTER : BEFORE;
}

static int act_erase(struct world *w)
{
    struct buffer out;
    buffer_init(&out, 1 << 16);
    int r = purge_person_erase(w->purge, SPAN(ANNA), false, &out);
    buffer_free(&out);
    return r == SLUIS_ENOENT ? 0 : r; /* asked again after it was done */
}

static enum state look_erase(struct world *w)
{
    uint64_t subject;
    bool known = identifier_known(w, ANNA, &subject);
    unsigned gone = 0;
    for (unsigned i = 0; i < MESSAGES; i += 2)
        gone += open_copy(w, &shared->o[i]) == SLUIS_EEXPIRED &&
                open_copy(w, &shared->m[i]) == SLUIS_EEXPIRED;
    if (known)
        return gone == 0 && whole(w, 0) ? BEFORE : BROKEN;
    return gone == MESSAGES / 2 && records_with(w, "erased") >= 1 ? AFTER : BROKEN;
}

static enum state look_erase_told(struct world *w)
{
    enum state state = look_erase(w);
    return state == AFTER && !route_was_told(w) ? BROKEN : state;
}

/* Under the selection list: the history stays, sealed anew. */
static enum state look_erase_part(struct world *w)
{
    unsigned gone = 0, there = 0;
    for (unsigned i = 0; i < MESSAGES; i += 2) {
        gone += open_copy(w, &shared->o[i]) == SLUIS_EEXPIRED &&
                open_copy(w, &shared->m[i]) == SLUIS_EEXPIRED;
        there += read_part(w, i, 'M') == 0;
    }
    if (there != MESSAGES / 2)
        return BROKEN; /* acknowledged, and to be kept by law */
    if (gone == 0)
        return BEFORE;
    return gone == MESSAGES / 2 && records_with(w, "revoked") + records_with(w, "erased") >= 1
               ? AFTER
               : BROKEN;
}

static int act_hold(struct world *w)
{
    int r = purge_person_hold(w->purge, SPAN(ANNA), SPAN("zaak 12"), SPAN("fg"), 0);
    return r == SLUIS_EEXIST ? 0 : r;
}

static bool is_held(struct world *w)
{
    struct purge_person person;
    int r = purge_person_find(w->purge, SPAN(ANNA), &person);
    REQUIRE(r == 0 || r == SLUIS_ENOENT); /* nobody: released, and nothing was left of her */
    return r == 0 && person.held;
}

/* Held: what expires stays all the same. */
static enum state look_hold(struct world *w)
{
    char out[4096];
    bool held = is_held(w);
    if (!export_has(w, ANNA, 0) || !export_has(w, ANNA, 4))
        return BROKEN;
    if (!held)
        return BEFORE;
    world_shift(w, 6 * HOUR_MS);
    REQUIRE(run_purge(w, false, out) == 0);
    bool there = export_has(w, ANNA, 0) && export_has(w, ANNA, 4);
    return there ? AFTER : BROKEN;
}

static void prepare_hold(struct world *w)
{
    REQUIRE(act_hold(w) == 0);
}

static void prepare_expired_hold(struct world *w)
{
    char out[4096];
    prepare_hold(w);
    world_shift(w, 6 * HOUR_MS);
    REQUIRE(run_purge(w, false, out) == 0);
}

static int act_release(struct world *w)
{
    int r = purge_person_release(w->purge, SPAN(ANNA));
    return r == SLUIS_ENOENT ? 0 : r;
}

/* Whatever the hold kept is there until it is released, and nowhere after. */
static enum state look_release(struct world *w)
{
    bool there = export_has(w, ANNA, 0);
    if (is_held(w))
        return there ? BEFORE : BROKEN;
    return there ? BROKEN : AFTER;
}

static int act_restrict(struct world *w)
{
    return purge_person_restrict(w->purge, SPAN(ANNA), true);
}

static enum state look_restrict(struct world *w)
{
    struct purge_person person;
    REQUIRE(purge_person_find(w->purge, SPAN(ANNA), &person) == 0);
    if (person.restricted != purge_refused(w->purge, 10) || !export_has(w, ANNA, 0))
        return BROKEN;
    return person.restricted ? AFTER : BEFORE;
}

static int act_shorten(struct world *w)
{
    struct buffer out;
    buffer_init(&out, 1 << 16);
    int r = purge_apply_policy(w->purge, false, &out);
    buffer_free(&out);
    return r ? r : purge_apply_now(w->purge);
}

static enum state look_shorten(struct world *w)
{
    unsigned gone = 0;
    for (unsigned i = 0; i < MESSAGES; i++) {
        gone += open_copy(w, &shared->o[i]) == SLUIS_EEXPIRED &&
                open_copy(w, &shared->m[i]) == SLUIS_EEXPIRED;
        REQUIRE(read_part(w, i, 'M') == 0); /* in one class or the other */
    }
    if (gone == 0)
        return records_with(w, "shortened") ? BROKEN : BEFORE;
    return gone == MESSAGES && records_with(w, "shortened") >= 2 ? AFTER : BROKEN;
}

static int act_rotate(struct world *w)
{
    return keyring_rotate_root(w->keyring, SPAN_EMPTY);
}

static enum state look_rotate(struct world *w)
{
    (void)w; /* that it opened is what is asked; the old or the new root key, either will do */
    return AFTER;
}

static int act_lookup(struct world *w)
{
    return purge_lookup_replace(w->purge);
}

static void prepare_lookup(struct world *w)
{
    struct keyring_lookup lookup;
    keyring_lookup(w->keyring, &lookup);
    shared->lookup = lookup.number;
}

/* Everybody is found, under the old key or the new one; two keys are none at the end. */
static enum state look_lookup(struct world *w)
{
    struct keyring_lookup lookup;
    uint64_t anna = 0, bert = 0;
    keyring_lookup(w->keyring, &lookup);
    if (!identifier_known(w, ANNA, &anna) || !identifier_known(w, BERT, &bert) || anna != 10 ||
        bert != 11 || lookup.replacing)
        return BROKEN;
    return lookup.number == shared->lookup ? BEFORE : AFTER;
}

/* ---- backups ---- */

static void place(const struct world *w, const char *name, char out[400])
{
    snprintf(out, 400, "%s-%s", w->folder, name);
}

static int make_backup(struct world *w, const char *name)
{
    char path[400];
    struct backup_made made;
    struct diag diag = {.text = ""};
    place(w, name, path);
    const struct backup_request q = {.store = w->store,
                                     .keyring = w->keyring,
                                     .folder = path,
                                     .recovery_key = shared->public_key,
                                     .keep_s = 86400,
                                     .now_ms = clock_wall_ms(),
                                     .growth_max = 1 << 20};
    int r = backup_make(&q, &made, &diag);
    if (r != 0)
        fprintf(stderr, "backup: %s\n", diag.text);
    return r;
}

static int act_backup(struct world *w)
{
    return make_backup(w, shared->again ? "b2" : "b");
}

struct backups {
    unsigned n;
};
static int count_backup(void *ctx, const struct keyring_backup *backup)
{
    (void)backup;
    ((struct backups *)ctx)->n++;
    return 0;
}

/* A folder with a manifest is a backup that can be restored; one without is none. What left as a
 * keyring backup is in the register. */
static enum state look_folder(struct world *w, const char *name, unsigned registered)
{
    char path[400], part[500];
    struct stat st;
    struct backup_check check = {.keyring = w->keyring, .now_ms = clock_wall_ms()};
    struct diag diag = {.text = ""};
    place(w, name, path);
    for (unsigned n = 1; n <= 2; n++) {
        snprintf(part, sizeof(part), "%s/keyring/keyring-%u.backup", path, n);
        if (stat(part, &st) == 0 && registered < n)
            return BROKEN;
    }
    snprintf(part, sizeof(part), "%s/data/manifest.json", path);
    if (stat(part, &st) != 0)
        return BEFORE;
    snprintf(part, sizeof(part), "%s/data", path);
    return backup_verify(part, &check, NULL, &diag) == 0 && check.counts.opened >= 2 * MESSAGES
               ? AFTER
               : BROKEN;
}

static enum state look_backup(struct world *w)
{
    struct backups registered = {0};
    REQUIRE(keyring_backup_each(w->keyring, w->store, count_backup, &registered) == 0);
    enum state state = look_folder(w, "b", registered.n);
    return state == BEFORE ? look_folder(w, "b2", registered.n) : state;
}

static int act_keyring_backup(struct world *w)
{
    struct keyring_backup made;
    struct buffer out;
    buffer_init(&out, 1 << 20);
    int r = keyring_backup_make(w->keyring, w->store, shared->public_key, 86400, clock_wall_ms(),
                                &out, &made);
    buffer_free(&out);
    return r;
}

static enum state look_keyring_backup(struct world *w)
{
    struct backups registered = {0};
    REQUIRE(keyring_backup_each(w->keyring, w->store, count_backup, &registered) == 0);
    return registered.n ? AFTER : BEFORE;
}

/* Data and keyring, into folders that have nothing: beside the world, which is not touched. */
static int act_restore(struct world *w)
{
    char data[400], keyring[500], store[400], keys[400], root[400];
    struct backup_restored got;
    struct diag diag = {.text = ""};
    place(w, "b/data", data);
    place(w, "b/keyring/keyring-1.backup", keyring);
    place(w, "new", store);
    place(w, "new-keys", keys);
    place(w, "new-root", root);
    const struct backup_restore q = {
        .data = data,
        .store_path = store,
        .store_size = 64u << 20,
        .keyring_file = keyring,
        .recovery_key = shared->secret_key,
        .keys = {.path = keys, .root_file = root, .make = true, .any_file_system = true},
        .now_ms = clock_wall_ms()};
    int r = backup_restore(&q, &got, &diag);
    if (r == SLUIS_EEXIST && shared->again) { /* the keyring stands: the data only */
        struct backup_restore again = q;
        again.keyring_file = NULL;
        again.keys.make = false;
        r = backup_restore(&again, &got, &diag);
        if (r == SLUIS_EEXIST)
            r = 0; /* and the store */
    }
    if (r != 0)
        fprintf(stderr, "restore: %s\n", diag.text);
    return r;
}

static void prepare_restore(struct world *w)
{
    REQUIRE(make_backup(w, "b") == 0);
}

/* A store that is in place opens with the keyring in place, and has every message. */
static enum state look_restore(struct world *w)
{
    char store[400], data[500];
    struct stat st;
    place(w, "new", store);
    snprintf(data, sizeof(data), "%s/data.mdb", store);
    if (stat(data, &st) != 0)
        return BEFORE;
    static struct world copy;
    world_open_at(&copy, store, false);
    bool all = true;
    for (unsigned i = 0; i < MESSAGES; i++)
        all &= message_open(&copy, &shared->messages[i].o) == 0 &&
               message_open(&copy, &shared->messages[i].m) == 0;
    world_leave(&copy);
    return all ? AFTER : BROKEN;
}

static const struct operation operations[] = {
    {"purge", NULL, act_purge, look_purge, FINISHES | LATER | EVERYBODY},
    {"sweep", NULL, act_sweep, look_sweep, FINISHES | LATER | EVERYBODY},
    {"revoke", NULL, act_revoke, look_revoke, 0},
    {"redact", NULL, act_redact, look_redact, 0},
    {"redact, told", NULL, act_redact, look_redact_told, TOLD},
    {"correct, told", NULL, act_correct, look_correct_told, TOLD},
    {"erase", NULL, act_erase, look_erase, 0},
    {"erase, told", NULL, act_erase, look_erase_told, TOLD},
    {"erase in part", NULL, act_erase, look_erase_part, SELECTION},
    {"hold", NULL, act_hold, look_hold, EVERYBODY},
    {"release", prepare_expired_hold, act_release, look_release, EVERYBODY},
    {"restrict", NULL, act_restrict, look_restrict, 0},
    {"policy", NULL, act_shorten, look_shorten, SHORTER | EVERYBODY},
    {"rotate", NULL, act_rotate, look_rotate, 0},
    {"index key", prepare_lookup, act_lookup, look_lookup, 0},
    {"keyring backup", NULL, act_keyring_backup, look_keyring_backup, 0},
    {"backup", NULL, act_backup, look_backup, 0},
    {"restore", prepare_restore, act_restore, look_restore, 0},
    {"control", NULL, act_backwards, look_purge, FINISHES | LATER | EVERYBODY | CONTROL},
};

/* ---- processes ---- */

static void quiet(void)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && !getenv("SLUIS_CRASH_LOG"))
        log_configure(LOG_ERROR, LOG_KEY_VALUE, fd);
}

static void enter(struct world *w, const char *folder, const struct operation *op)
{
    char at[300];
    quiet();
    snprintf(at, sizeof(at), "%s/%s/w", top, folder);
    clock_test_shift(shared->shift_ms);
    world_open_at(w, at, op->flags & SELECTION);
    w->shift_ms = shared->shift_ms;
    if (op->flags & TOLD) {
        uint16_t route;
        REQUIRE(store_name_id(w->store, STORE_NAME_ROUTE, SPAN("burgerzaken/webcare"), &route) ==
                0);
        w->told = PURGE_TELL_ERASED;
        w->routes = 1;
        purge_free(w->purge);
        world_purge_open(w);
    }
}

static void enter_time(struct world *w, const struct operation *op)
{
    if (op->flags & LATER)
        world_shift(w, 2 * HOUR_MS + HOUR_MS / 2);
    if (op->flags & SHORTER)
        world_policy(w, "1h", "3h");
}

static void prepare(const struct operation *op)
{
    static struct world w;
    shared->shift_ms = 0;
    enter(&w, "base", op);
    for (unsigned i = 0; i < MESSAGES; i++) {
        const char *who = i % 2 ? BERT : ANNA;
        message_put(&w, 10 + i % 2, i < 2 ? who : NULL, clock_wall_ms(), &shared->messages[i]);
        keep_copy(&w, &shared->messages[i].o, &shared->o[i]);
        keep_copy(&w, &shared->messages[i].m, &shared->m[i]);
    }
    if (op->prepare)
        op->prepare(&w);
    shared->shift_ms = w.shift_ms;
    world_leave(&w);
}

static void act(const struct operation *op, unsigned at, bool every)
{
    static struct world w;
    enter(&w, "run", op);
    enter_time(&w, op);
    crash_arm(at, every);
    int r = op->act(&w);
    shared->acknowledged = r == 0;
    shared->steps = crash_disarm();
    REQUIRE(r == 0);
    /* no farewell: the process ends as by kill -9 */
}

static enum state look(const struct operation *op, struct world *w, const char *when)
{
    static const char *const words[] = {"broken", "before", "after"};
    enum state state = op->look(w);
    if (getenv("SLUIS_CRASH_LOG"))
        fprintf(stderr, "  %s: %s\n", when, words[state]);
    return state;
}

static void verify(const struct operation *op)
{
    static struct world w;
    enter(&w, "run", op);
    enter_time(&w, op);
    REQUIRE(purge_round(w.purge) == 0);
    for (unsigned i = 1; i < MESSAGES && !(op->flags & EVERYBODY); i += 2)
        REQUIRE(whole(&w, i));
    enum state state = look(op, &w, "after a restart");
    REQUIRE(state != BROKEN);
    REQUIRE(state == AFTER || !shared->acknowledged);
    REQUIRE(state == AFTER || !(op->flags & FINISHES));
    shared->again = true;
    REQUIRE(op->act(&w) == 0);
    REQUIRE(purge_round(w.purge) == 0);
    REQUIRE(look(op, &w, "asked again") == AFTER);
    for (unsigned i = 1; i < MESSAGES && !(op->flags & EVERYBODY); i += 2)
        REQUIRE(whole(&w, i));
    world_leave(&w);
}

enum phase { PREPARE, ACT, VERIFY };
static int in_process(enum phase phase, const struct operation *op, unsigned at, bool every)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (phase == PREPARE)
            prepare(op);
        else if (phase == ACT)
            act(op, at, every);
        else
            verify(op);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* In `top`. */
static int shell(const char *line)
{
    char command[1024];
    snprintf(command, sizeof(command), "cd %s && %s", top, line);
    return system(command);
}

static bool fresh_copy(void)
{
    shared->again = shared->acknowledged = false;
    return shell("rm -rf run && cp -r base run") == 0;
}

/* The number of steps at which it did not hold. */
static unsigned enumerate(const struct operation *op, bool every, unsigned *steps)
{
    unsigned broken = 0;
    *steps = 0;
    if (shell("rm -rf base && mkdir -m 700 base") != 0 || in_process(PREPARE, op, 0, every) != 0)
        return 1;
    shared->steps = STEPS_MAX;
    for (unsigned at = 1; at <= STEPS_MAX && !broken; at++) {
        if (!fresh_copy())
            return 1;
        int ended = in_process(ACT, op, at, every);
        bool last = ended == 0;
        if (ended != 0 && ended != CRASH_EXIT) {
            fprintf(stderr, "%s, step %u: the operation itself failed (%d)\n", op->name, at, ended);
            return 1;
        }
        if (in_process(VERIFY, op, 0, every) != 0) {
            if (!(op->flags & CONTROL))
                fprintf(stderr, "%s: does not hold after a crash %s step %u\n", op->name,
                        last ? "after the last" : "before", at);
            broken++;
        }
        if (last)
            break;
        *steps = at;
    }
    return broken;
}

/* 0: as it should be. Has `top` and `shared` of its own, so that operations go side by side. */
static int one_operation(const struct operation *op, bool every)
{
    unsigned steps;
    const char *where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(top, sizeof(top), "%s/sluis-crash-XXXXXX", where);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || !mkdtemp(top))
        return 1;
    keyring_recovery_make(shared->public_key, shared->secret_key);
    int64_t start = clock_mono_ms();
    bool control = op->flags & CONTROL;
    bool holds = enumerate(op, every, &steps) == 0;
    printf("%-16s %4u steps, %s, %lld ms\n", op->name, steps,
           holds     ? "holds after a crash before each and after the last"
           : control ? "is found to be in a wrong order"
                     : "DOES NOT HOLD",
           (long long)(clock_mono_ms() - start));
    fflush(stdout);
    test_folder_remove(top);
    return holds == control;
}

int main(void)
{
    const char *how = getenv("SLUIS_CRASH"), *only = getenv("SLUIS_CRASH_ONLY");
    bool every = how && strcmp(how, "every") == 0;
    unsigned started = 0, failed = 0;
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        if (only && strcmp(only, operations[i].name) != 0)
            continue;
        fflush(NULL);
        pid_t child = fork();
        if (child == 0)
            _exit(one_operation(&operations[i], every));
        started += child > 0;
        failed += child < 0;
    }
    for (unsigned i = 0; i < started; i++) {
        int status = 1;
        failed += wait(&status) < 0 || status != 0;
    }
    return failed || !started ? 1 : 0;
}

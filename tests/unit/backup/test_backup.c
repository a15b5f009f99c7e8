/*
 * Backups with a real store and keyring: what lives comes back, what was destroyed does not, save
 * with an older keyring, which says so; a flipped bit is found where it is; nothing is overwritten.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sluis/audit.h"
#include "sluis/backup.h"

#define MESSAGES 60
#define SUBJECTS 20
#define HOUR_MS 3600000ll
#define NOW_MS (1790000000000ll)
#define CLASS_NAME "original/86400/max/hour"
#define MAP_SIZE (64u << 20)

struct message {
    struct store_item item;
    struct record_id id;
    struct buffer sealed;
};

struct fixture {
    char folder[256], store_path[300], keys_path[300], root[300], backup[300];
    struct keyring *keyring;
    struct keyring_cache *keys;
    struct store *store;
    struct message messages[MESSAGES];
    uint8_t public_key[KEYRING_RECOVERY_KEY], secret_key[KEYRING_RECOVERY_KEY];
    struct backup_finding finding; /* the last */
    unsigned findings;
};

static int seal(void *ctx, uint8_t table, uint64_t row, struct span plain, struct buffer *out)
{
    const struct record_id id = {.serial = row, .part = 'L'};
    return record_seal(*(struct keyring_cache **)ctx, table, &id, 0, plain, out);
}

static int open_block(void *ctx, uint8_t table, uint64_t row, struct span sealed,
                      struct buffer *out)
{
    const struct record_id id = {.serial = row, .part = 'L'};
    return record_open(*(struct keyring_cache **)ctx, table, &id, sealed, out);
}

static void open_store(struct fixture *f)
{
    struct diag diag = {.text = ""};
    const struct store_config config = {.path = f->store_path,
                                        .map_size = MAP_SIZE,
                                        .seal = seal,
                                        .open = open_block,
                                        .seal_ctx = &f->keys};
    if (store_open(&config, &f->store, &diag) != 0)
        fail_msg("%s", diag.text);
}

static struct keyring_config keys_of(const struct fixture *f)
{
    return (struct keyring_config){
        .path = f->keys_path, .root_file = f->root, .make = true, .any_file_system = true};
}

struct put {
    struct store_job job;
    struct message *message;
};

static int run_put(struct store_txn *txn, struct store_job *job)
{
    struct message *m = ((struct put *)job)->message;
    const struct audit_event event = {.at_ms = NOW_MS,
                                      .action = AUDIT_DELIVER_INTENT,
                                      .actor = "meta",
                                      .object = m->item.serial,
                                      .outcome = "accepted"};
    store_put_record(txn, &m->id, buffer_span(&m->sealed));
    store_put_item(txn, &m->item);
    audit_put(txn, &event);
    return store_txn_error(txn);
}

static void put_message(struct fixture *f, unsigned i, uint16_t cls)
{
    struct message *m = &f->messages[i];
    char text[64];
    int n = snprintf(text, sizeof(text), "message %u of the test", i);
    m->item = (struct store_item){.serial = store_next_serial(f->store),
                                  .subject = 1 + i % SUBJECTS,
                                  .channel = 1,
                                  .kind = STORE_KIND_MESSAGE,
                                  .at_ms = NOW_MS,
                                  .taken_ms = NOW_MS,
                                  .cls_o = cls,
                                  .bucket_o = (uint32_t)(NOW_MS / HOUR_MS) + 5};
    m->item.batch = m->item.serial;
    m->id = (struct record_id){cls, m->item.bucket_o, m->item.subject, m->item.serial, 'O'};
    buffer_init(&m->sealed, 4096);
    assert_int_equal(record_seal(f->keys, 0, &m->id, 0, span_of(text, (size_t)n), &m->sealed), 0);
    struct put put = {.job = {.priority = STORE_INTAKE, .run = run_put}, .message = m};
    assert_int_equal(store_submit_wait(f->store, &put.job), 0);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct diag diag = {.text = ""};
    const char *base = getenv("TMPDIR");
    uint16_t cls;
    snprintf(f->folder, sizeof(f->folder), "%s/sluis-backup-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->store_path, sizeof(f->store_path), "%s/store", f->folder);
    snprintf(f->keys_path, sizeof(f->keys_path), "%s/keys", f->folder);
    snprintf(f->root, sizeof(f->root), "%s/root", f->folder);
    snprintf(f->backup, sizeof(f->backup), "%s/backup", f->folder);
    const struct keyring_config keys = keys_of(f);
    if (keyring_open(&keys, &f->keyring, &diag) != 0)
        fail_msg("%s", diag.text);
    assert_int_equal(keyring_cache_new(f->keyring, &f->keys), 0);
    keyring_recovery_make(f->public_key, f->secret_key);
    open_store(f);
    assert_int_equal(store_name_id(f->store, STORE_NAME_CLASS, span_str(CLASS_NAME), &cls), 0);
    for (unsigned i = 0; i < MESSAGES; i++)
        put_message(f, i, cls);
    assert_int_equal(keyring_bind(f->keyring, f->store, false, &diag), 0);
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static void close_all(struct fixture *f)
{
    store_close(f->store);
    keyring_cache_free(f->keys);
    keyring_close(f->keyring);
    f->store = NULL;
    f->keys = NULL;
    f->keyring = NULL;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    close_all(f);
    for (unsigned i = 0; i < MESSAGES; i++)
        buffer_free(&f->messages[i].sealed);
    nftw(f->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static void found(void *ctx, const struct backup_finding *finding)
{
    struct fixture *f = ctx;
    f->finding = *finding;
    f->findings++;
}

static struct backup_counts check(struct fixture *f, struct store *store, int64_t now_ms)
{
    struct backup_check c = {
        .store = store, .keyring = f->keyring, .now_ms = now_ms, .found = found, .ctx = f};
    struct store_place place = {0};
    int r;
    f->findings = 0;
    while ((r = backup_check_some(&c, &place, 13, 1000)) == 1)
        ;
    assert_int_equal(r, 0);
    return c.counts;
}

static void destroy(struct fixture *f, enum keyring_tree tree, uint32_t leaf)
{
    const struct keyring_leaf which = {.tree = tree, .leaf = leaf};
    assert_int_equal(keyring_puncture(f->keyring, &which, 1), 0);
}

static void make(struct fixture *f, struct backup_made *made)
{
    struct diag diag = {.text = ""};
    const struct backup_request request = {.store = f->store,
                                           .keyring = f->keyring,
                                           .folder = f->backup,
                                           .recovery_key = f->public_key,
                                           .keep_s = 3600,
                                           .now_ms = NOW_MS,
                                           .growth_max = MAP_SIZE};
    if (backup_make(&request, made, &diag) != 0)
        fail_msg("%s %s", diag.file, diag.text);
}

static void data_path(const struct fixture *f, char out[350])
{
    snprintf(out, 350, "%s/data", f->backup);
}

static int verify(struct fixture *f, struct backup_counts *counts, struct diag *diag)
{
    char path[350];
    struct backup_check c = {.keyring = f->keyring, .now_ms = NOW_MS, .found = found, .ctx = f};
    data_path(f, path);
    f->findings = 0;
    int r = backup_verify(path, &c, NULL, diag);
    *counts = c.counts;
    return r;
}

static void test_check(void **state)
{
    struct fixture *f = *state;
    struct backup_counts c = check(f, f->store, NOW_MS);
    assert_int_equal(c.opened, MESSAGES);
    assert_int_equal(c.leaves, MESSAGES);
    assert_int_equal(c.damaged + c.expired + c.unplaced + c.past, 0);
    destroy(f, KEYRING_MESSAGE, (uint32_t)f->messages[3].id.serial);
    destroy(f, KEYRING_SUBJECT, 7); /* MESSAGES / SUBJECTS messages */
    c = check(f, f->store, NOW_MS + 7 * HOUR_MS);
    assert_int_equal(c.expired, 1 + MESSAGES / SUBJECTS);
    assert_int_equal(c.opened, MESSAGES - 1 - MESSAGES / SUBJECTS);
    assert_int_equal(c.past, c.opened); /* seven hours on, and the purge did not come */
    assert_int_equal(c.damaged, 0);
    uint64_t pseudonym;
    assert_int_equal(keyring_pseudonym(f->keys, 7, &pseudonym), SLUIS_EEXPIRED);
    assert_int_equal(keyring_pseudonym(f->keys, 8, &pseudonym), 0);
    assert_true(pseudonym > UINT32_MAX);
}

/* Turns a bit wherever `bytes` stand: LMDB leaves older copies of a page in the file. */
static void flip(const char *folder, struct span bytes, size_t at)
{
    char file[400];
    struct stat st;
    snprintf(file, sizeof(file), "%s/data.mdb", folder);
    int fd = open(file, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    char *all = malloc((size_t)st.st_size), *place = all;
    assert_int_equal(pread(fd, all, (size_t)st.st_size, 0), st.st_size);
    unsigned places = 0;
    while ((place = memmem(place, (size_t)(st.st_size - (place - all)), bytes.p, bytes.n))) {
        char turned = (char)(place[at] ^ 16);
        assert_int_equal(pwrite(fd, &turned, 1, place - all + (off_t)at), 1);
        place += bytes.n;
        places++;
    }
    assert_true(places > 0);
    free(all);
    close(fd);
}

/* Each byte of a stored record, and of a block of the log. */
static void test_flipped(void **state)
{
    struct fixture *f = *state;
    const struct message *m = &f->messages[41];
    for (size_t at = 0; at < m->sealed.n; at += 7) {
        store_close(f->store);
        flip(f->store_path, buffer_span(&m->sealed), at);
        open_store(f);
        struct backup_counts c = check(f, f->store, NOW_MS);
        assert_int_equal(c.damaged, 1);
        assert_int_equal(c.opened, MESSAGES - 1);
        assert_string_equal(f->finding.what, "record");
        assert_string_equal(f->finding.name, CLASS_NAME);
        assert_int_equal(f->finding.serial, m->id.serial);
        assert_int_equal(f->finding.part, 'O');
        store_close(f->store);
        char *turned = (char *)m->sealed.p;
        turned[at] = (char)(turned[at] ^ 16);
        flip(f->store_path, buffer_span(&m->sealed), at);
        turned[at] = (char)(turned[at] ^ 16);
        open_store(f);
        assert_int_equal(check(f, f->store, NOW_MS).damaged, 0);
    }
}

struct swap {
    struct store_job job;
    struct message *a, *b;
};

static int run_swap(struct store_txn *txn, struct store_job *job)
{
    struct swap *s = (struct swap *)job;
    store_put_record(txn, &s->a->id, buffer_span(&s->b->sealed));
    store_put_record(txn, &s->b->id, buffer_span(&s->a->sealed));
    return store_txn_error(txn);
}

static void test_swapped(void **state)
{
    struct fixture *f = *state;
    /* of one subject, one class, one bucket: only the serial differs */
    struct swap s = {.job = {.priority = STORE_NORMAL, .run = run_swap},
                     .a = &f->messages[2],
                     .b = &f->messages[2 + SUBJECTS]};
    assert_int_equal(store_submit_wait(f->store, &s.job), 0);
    struct backup_counts c = check(f, f->store, NOW_MS);
    assert_int_equal(c.damaged, 2);
    assert_int_equal(c.opened, MESSAGES - 2);
}

static void test_make_verify(void **state)
{
    struct fixture *f = *state;
    struct backup_made made;
    struct backup_counts counts;
    struct diag diag = {.text = ""};
    char path[350];
    make(f, &made);
    assert_int_equal(made.number, 1);
    assert_int_equal(verify(f, &counts, &diag), 0);
    assert_int_equal(counts.opened, MESSAGES);
    assert_int_equal(counts.rows, 1); /* the register knows of this very backup */
    destroy(f, KEYRING_SUBJECT, 4);
    assert_int_equal(verify(f, &counts, &diag), 0);
    assert_int_equal(counts.expired, MESSAGES / SUBJECTS);
    /* once more into the same folder: refused */
    struct backup_made again;
    const struct backup_request request = {.store = f->store,
                                           .keyring = f->keyring,
                                           .folder = f->backup,
                                           .now_ms = NOW_MS,
                                           .growth_max = MAP_SIZE};
    assert_int_equal(backup_make(&request, &again, &diag), SLUIS_EEXIST);
    /* a bit anywhere is seen before the file is opened */
    data_path(f, path);
    flip(path, buffer_span(&f->messages[5].sealed), 40);
    assert_int_equal(verify(f, &counts, &diag), SLUIS_ECRYPTO);
    assert_non_null(strstr(diag.text, "damaged"));
    /* without a manifest it is none */
    char manifest[400];
    snprintf(manifest, sizeof(manifest), "%s/manifest.json", path);
    assert_int_equal(unlink(manifest), 0);
    assert_true(verify(f, &counts, &diag) < 0);
}

static void test_given_up(void **state)
{
    struct fixture *f = *state;
    struct backup_made made;
    struct diag diag = {.text = ""};
    atomic_bool stop = true;
    struct backup_request request = {.store = f->store,
                                     .keyring = f->keyring,
                                     .folder = f->backup,
                                     .now_ms = NOW_MS,
                                     .growth_max = MAP_SIZE,
                                     .stop = &stop};
    assert_int_equal(backup_make(&request, &made, &diag), SLUIS_ECLOSED);
    char file[400];
    snprintf(file, sizeof(file), "%s/data/data.mdb", f->backup);
    assert_int_equal(access(file, F_OK), -1);
}

static int restore(struct fixture *f, bool with_keyring, struct backup_restored *out,
                   struct diag *diag)
{
    char data[350], file[400];
    struct backup_restore q = {.data = data,
                               .store_path = f->store_path,
                               .store_size = MAP_SIZE,
                               .keys = keys_of(f),
                               .now_ms = NOW_MS};
    data_path(f, data);
    snprintf(file, sizeof(file), "%s/keyring/keyring-1.backup", f->backup);
    q.keys.make = false;
    if (with_keyring) {
        q.keyring_file = file;
        q.recovery_key = f->secret_key;
    }
    return backup_restore(&q, out, diag);
}

static void move_away(const char *path)
{
    char to[400];
    snprintf(to, sizeof(to), "%s.lost", path);
    assert_int_equal(rename(path, to), 0);
}

static void move_away_again(const char *path)
{
    char to[400];
    snprintf(to, sizeof(to), "%s.again", path);
    assert_int_equal(rename(path, to), 0);
}

static void test_restore(void **state)
{
    struct fixture *f = *state;
    struct backup_made made;
    struct backup_restored got;
    struct diag diag = {.text = ""};
    make(f, &made);
    destroy(f, KEYRING_SUBJECT, 4);
    destroy(f, KEYRING_MESSAGE, (uint32_t)f->messages[0].id.serial);
    /* much traffic since: nothing new may land where nothing can be sealed any more */
    const uint64_t far = 3 * (uint64_t)BACKUP_SKIP_MESSAGES;
    destroy(f, KEYRING_MESSAGE, (uint32_t)far);
    destroy(f, KEYRING_SUBJECT, (uint32_t)far);
    assert_int_equal(keyring_bind(f->keyring, f->store, false, &diag), 0);
    uint64_t next = store_next_serial(f->store);
    close_all(f);
    assert_int_equal(restore(f, false, &got, &diag), SLUIS_EEXIST); /* over the store: no */
    move_away(f->store_path);
    /* today's keyring: what lives, and nothing else */
    assert_int_equal(restore(f, false, &got, &diag), 0);
    assert_false(got.older);
    assert_int_equal(got.counts.opened, MESSAGES - 1 - MESSAGES / SUBJECTS);
    assert_int_equal(got.counts.expired, 1 + MESSAGES / SUBJECTS);
    assert_int_equal(got.counts.damaged, 0);
    /* serials of the lost store are not given out again */
    const struct keyring_config keys = keys_of(f);
    assert_int_equal(keyring_open(&keys, &f->keyring, &diag), 0);
    assert_int_equal(keyring_cache_new(f->keyring, &f->keys), 0);
    open_store(f);
    assert_true(store_next_serial(f->store) > next + BACKUP_SKIP_MESSAGES / 2);
    assert_true(store_next_serial(f->store) > far);
    assert_true(store_next_subject(f->store) > far);
    /* and the store knows this keyring: an older one is refused by it */
    close_all(f);
    move_away(f->keys_path);
    char lost[400];
    snprintf(lost, sizeof(lost), "%s.lost", f->store_path);
    assert_int_equal(nftw(lost, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    struct backup_restore only = {
        .keyring_file = lost, .recovery_key = f->secret_key, .keys = keys};
    snprintf(lost, sizeof(lost), "%s/keyring/keyring-1.backup", f->backup);
    assert_int_equal(backup_restore(&only, &got, &diag), 0);
    assert_int_equal(keyring_open(&keys, &f->keyring, &diag), 0);
    assert_int_equal(keyring_cache_new(f->keyring, &f->keys), 0);
    open_store(f);
    assert_int_equal(keyring_bind(f->keyring, f->store, false, &diag), SLUIS_EDENIED);
    assert_int_equal(check(f, f->store, NOW_MS).opened, MESSAGES); /* what that keyring can open */
}

/* Most messages were destroyed one by one, and what nothing hangs under any more was taken out. */
static void test_restore_pruned(void **state)
{
    struct fixture *f = *state;
    struct backup_made made;
    struct backup_restored got;
    struct diag diag = {.text = ""};
    uint8_t living[64] = {0};
    unsigned left = 0;
    make(f, &made);
    for (unsigned i = 0; i < MESSAGES; i++) {
        const uint32_t serial = (uint32_t)f->messages[i].id.serial;
        assert_true(serial / 8 < sizeof(living));
        if (i % 5 == 2) {
            living[serial / 8] |= (uint8_t)(1u << serial % 8);
            left++;
        } else {
            destroy(f, KEYRING_MESSAGE, serial);
        }
    }
    for (unsigned i = 0; i < 1000; i++) /* given out since, nothing of it is left */
        (void)store_next_serial(f->store);
    const uint64_t below = store_next_serial(f->store);
    assert_int_equal(
        keyring_prune(f->keyring, KEYRING_MESSAGE, living, sizeof(living), (uint32_t)below), 0);
    assert_int_equal(keyring_bind(f->keyring, f->store, false, &diag), 0);
    close_all(f);
    move_away(f->store_path);
    assert_int_equal(restore(f, false, &got, &diag), 0);
    assert_false(got.older);
    assert_int_equal(got.counts.opened, left);
    assert_int_equal(got.counts.expired, MESSAGES - left);
    assert_int_equal(got.counts.damaged, 0);
    /* what is new has keys, though all of before are gone */
    const struct keyring_config keys = keys_of(f);
    assert_int_equal(keyring_open(&keys, &f->keyring, &diag), 0);
    assert_int_equal(keyring_cache_new(f->keyring, &f->keys), 0);
    open_store(f);
    buffer_free(&f->messages[0].sealed);
    put_message(f, 0, f->messages[1].id.cls);
    assert_true(f->messages[0].id.serial > below);
    assert_int_equal(check(f, f->store, NOW_MS).opened, left + 1);
}

static void test_restore_both(void **state)
{
    struct fixture *f = *state;
    struct backup_made made;
    struct backup_restored got;
    struct diag diag = {.text = ""};
    make(f, &made);
    close_all(f);
    move_away(f->store_path);
    move_away(f->keys_path);
    uint8_t right[KEYRING_RECOVERY_KEY], wrong[KEYRING_RECOVERY_KEY];
    memcpy(right, f->secret_key, sizeof(right));
    keyring_recovery_make(wrong, f->secret_key);
    assert_int_equal(restore(f, true, &got, &diag), SLUIS_ECRYPTO);
    memcpy(f->secret_key, right, sizeof(right));
    char data[350], file[400];
    data_path(f, data);
    snprintf(file, sizeof(file), "%s/data.mdb", data);
    /* a damaged copy: refused, and the folder is as empty as it was, so that it can be tried again
     */
    flip(data, buffer_span(&f->messages[9].sealed), 35);
    assert_int_equal(restore(f, true, &got, &diag), SLUIS_ECRYPTO);
    struct message *m = &f->messages[9];
    m->sealed.p[35] = (char)(m->sealed.p[35] ^ 16);
    flip(data, buffer_span(&m->sealed), 35);
    assert_int_equal(rmdir(f->store_path), 0);
    move_away_again(f->keys_path);
    assert_int_equal(restore(f, true, &got, &diag), 0);
    snprintf(file, sizeof(file), "%s/restoring", f->store_path);
    assert_int_equal(access(file, F_OK), -1);
    assert_false(got.older);
    assert_int_equal(got.counts.opened, MESSAGES);
    const struct keyring_config keys = keys_of(f);
    assert_int_equal(keyring_open(&keys, &f->keyring, &diag), 0);
    assert_int_equal(keyring_cache_new(f->keyring, &f->keys), 0);
    open_store(f);
    assert_int_equal(keyring_bind(f->keyring, f->store, false, &diag), 0);
}

static void test_other_installation(void **state)
{
    struct fixture *f = *state;
    struct backup_made made;
    struct backup_restored got;
    struct backup_counts counts;
    struct diag diag = {.text = ""};
    make(f, &made);
    close_all(f);
    move_away(f->keys_path);
    move_away(f->store_path);
    const struct keyring_config keys = keys_of(f);
    assert_int_equal(keyring_open(&keys, &f->keyring, &diag), 0); /* a new one */
    assert_int_equal(keyring_cache_new(f->keyring, &f->keys), 0);
    assert_int_equal(verify(f, &counts, &diag), SLUIS_ECRYPTO);
    assert_non_null(strstr(diag.text, "another installation"));
    keyring_cache_free(f->keys);
    f->keys = NULL;
    keyring_close(f->keyring);
    f->keyring = NULL;
    assert_int_equal(restore(f, false, &got, &diag), SLUIS_ECRYPTO);
    assert_int_equal(access(f->store_path, F_OK), -1); /* nothing was begun */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_check, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flipped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_swapped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_make_verify, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_given_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_restore, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_restore_pruned, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_restore_both, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_installation, set_up, tear_down),
    };
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

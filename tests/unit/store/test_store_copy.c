/*
 * Copies made while the store is written, opened without it, and the walk over every value: a whole
 * moment, bounded growth, nothing written to a copy, a flipped bit seen where it is and nowhere
 * else.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sluis/base/clock.h"
#include "support.h"

#define MESSAGES 400

struct fixture {
    char path[256], copy[256];
    struct store *store;
    struct test_message messages[MESSAGES];
};

static int run_message(struct store_txn *txn, void *ctx)
{
    return test_message_put(txn, ctx);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    test_folder(f->path);
    test_folder(f->copy);
    f->store = test_store(f->path);
    for (int i = 0; i < MESSAGES; i++) {
        f->messages[i].serial = store_next_serial(f->store);
        f->messages[i].subject = 1 + (uint64_t)i % 50;
        assert_int_equal(test_run(f->store, run_message, &f->messages[i]), 0);
    }
    assert_int_equal(mkdir(f->copy, 0700), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    test_folder_remove(f->path);
    test_folder_remove(f->copy);
    free(f);
    return 0;
}

static int write_file(void *ctx, struct span bytes)
{
    return write(*(int *)ctx, bytes.p, bytes.n) == (ssize_t)bytes.n ? 0 : SLUIS_EIO;
}

static int copy_to(struct fixture *f, uint64_t growth_max, struct store_copied *copied)
{
    char file[300];
    (void)snprintf(file, sizeof(file), "%s/data.mdb", f->copy);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    int rc = store_copy(f->store, growth_max, write_file, &fd, copied);
    close(fd);
    return rc;
}

static int open_copy(struct fixture *f, struct store **out, struct diag *diag)
{
    struct store_config config;
    test_config(&config, f->copy);
    return store_open_copy(&config, out, diag);
}

struct counts {
    unsigned journal, leaves, records, rows, bad, unknown;
    struct record_id bad_id;
    enum store_value_kind bad_kind;
};

static int count(void *ctx, const struct store_value *v)
{
    struct counts *c = ctx;
    static const uint8_t none[32];
    bool bad = v->error != 0;
    c->journal += v->kind == STORE_VALUE_JOURNAL;
    c->rows += v->kind == STORE_VALUE_ROW;
    if (v->kind == STORE_VALUE_LEAF) {
        c->leaves++;
        bad |= memcmp(v->hash, none, 32) == 0;
    }
    if (v->kind == STORE_VALUE_RECORD) {
        c->records++;
        c->unknown += !v->known;
    }
    if (bad) {
        c->bad++;
        c->bad_kind = v->kind;
        c->bad_id = v->id;
    }
    return 0;
}

/* Slices of `max`, each with a reader of its own; how many slices. */
static unsigned walk(struct store *store, unsigned max, struct counts *c)
{
    struct store_place place = {0};
    unsigned slices = 0;
    int rc = 1;
    memset(c, 0, sizeof(*c));
    while (rc == 1) {
        struct store_read *read;
        assert_int_equal(store_read_begin(store, &read), 0);
        rc = store_each_value(read, &place, max, INT64_MAX, count, c);
        store_read_end(read);
        slices++;
    }
    assert_int_equal(rc, 0);
    return slices;
}

static void expect_whole(const struct counts *c)
{
    assert_int_equal(c->records, 2 * MESSAGES);
    assert_int_equal(c->leaves, MESSAGES);
    assert_int_equal(c->bad, 0);
    assert_int_equal(c->unknown, 0);
    assert_true(c->journal > 0);
}

static void test_walk(void **state)
{
    struct fixture *f = *state;
    struct counts whole, sliced;
    assert_int_equal(walk(f->store, 1000000, &whole), 1);
    expect_whole(&whole);
    unsigned slices = walk(f->store, 7, &sliced);
    expect_whole(&sliced);
    assert_int_equal(sliced.journal, whole.journal);
    assert_int_equal(sliced.rows, whole.rows);
    assert_true(slices >= (2 * MESSAGES) / 7);
    /* time is up at once: one value a slice, and still everything */
    struct store_place place = {0};
    unsigned rounds = 0;
    memset(&sliced, 0, sizeof(sliced));
    for (int rc = 1; rc == 1; rounds++) {
        struct store_read *read;
        assert_int_equal(store_read_begin(f->store, &read), 0);
        rc = store_each_value(read, &place, 1000, 0, count, &sliced);
        store_read_end(read);
    }
    expect_whole(&sliced);
    assert_true(rounds > 2 * MESSAGES);
}

struct load {
    struct fixture *f;
    _Atomic bool stop;
    unsigned made;
};

static void *load_main(void *arg)
{
    struct load *load = arg;
    while (!atomic_load(&load->stop)) {
        struct test_message m = {.serial = store_next_serial(load->f->store), .subject = 7};
        if (test_run(load->f->store, run_message, &m) == 0)
            load->made++;
    }
    return NULL;
}

static int write_slowly(void *ctx, struct span bytes)
{
    struct timespec wait = {.tv_nsec = 20 * 1000 * 1000};
    nanosleep(&wait, NULL);
    return write_file(ctx, bytes);
}

static void test_copy(void **state)
{
    struct fixture *f = *state;
    struct store_copied copied;
    struct store *copy;
    struct diag diag;
    struct counts c, again;
    struct stat before, after;
    char file[300];

    assert_int_equal(copy_to(f, 1 << 30, &copied), 0);
    (void)snprintf(file, sizeof(file), "%s/data.mdb", f->copy);
    assert_int_equal(stat(file, &before), 0);
    assert_int_equal(before.st_size, copied.bytes);
    assert_int_equal(open_copy(f, &copy, &diag), 0);
    walk(copy, 100, &c);
    expect_whole(&c);
    walk(f->store, 100, &again);
    assert_int_equal(c.journal, again.journal);
    struct store_read *read;
    assert_int_equal(store_read_begin(copy, &read), 0);
    for (int i = 0; i < MESSAGES; i++)
        assert_int_equal(test_message_check(read, &f->messages[i]), 0);
    store_read_end(read);
    /* no writing */
    struct test_message m = {.serial = 99999, .subject = 1};
    assert_int_equal(test_run(copy, run_message, &m), SLUIS_ECLOSED);
    store_close(copy);
    assert_int_equal(stat(file, &after), 0);
    assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    (void)snprintf(file, sizeof(file), "%s/lock.mdb", f->copy);
    assert_int_equal(access(file, F_OK), -1);
}

static void test_copy_under_load(void **state)
{
    struct fixture *f = *state;
    struct load load = {.f = f};
    struct store_copied copied;
    struct store *copy;
    struct diag diag;
    struct counts c;
    pthread_t thread;
    char file[300];

    assert_int_equal(pthread_create(&thread, NULL, load_main, &load), 0);
    (void)snprintf(file, sizeof(file), "%s/data.mdb", f->copy);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(store_copy(f->store, 1 << 30, write_slowly, &fd, &copied), 0);
    close(fd);
    atomic_store(&load.stop, true);
    pthread_join(thread, NULL);
    assert_true(load.made > 0);
    assert_int_equal(open_copy(f, &copy, &diag), 0);
    walk(copy, 100, &c);
    /* one moment: every message with both records, its leaf and its item */
    assert_int_equal(c.records, 2 * c.leaves);
    assert_int_equal(c.bad + c.unknown, 0);
    assert_true(c.leaves >= MESSAGES);
    store_close(copy);
    print_message("growth %llu bytes, %u messages meanwhile\n", (unsigned long long)copied.growth,
                  load.made);
}

static void test_copy_given_up(void **state)
{
    struct fixture *f = *state;
    struct load load = {.f = f};
    struct store_copied copied;
    pthread_t thread;
    char file[300];

    assert_int_equal(pthread_create(&thread, NULL, load_main, &load), 0);
    (void)snprintf(file, sizeof(file), "%s/data.mdb", f->copy);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(store_copy(f->store, 4096, write_slowly, &fd, &copied), SLUIS_ELIMIT);
    close(fd);
    atomic_store(&load.stop, true);
    pthread_join(thread, NULL);
    assert_true(copied.growth > 4096);
    /* a writer that fails: /dev/full */
    fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_int_equal(store_copy(f->store, 1 << 30, write_file, &fd, &copied), SLUIS_EIO);
    close(fd);
    assert_int_equal(copy_to(f, 1 << 30, &copied), 0); /* and it can be done again */
}

static void test_copy_damaged(void **state)
{
    struct fixture *f = *state;
    struct store_copied copied;
    struct store *copy = NULL;
    struct diag diag = {.text = ""};
    char file[300];

    assert_true(open_copy(f, &copy, &diag) < 0); /* no file */
    assert_int_equal(copy_to(f, 1 << 30, &copied), 0);
    (void)snprintf(file, sizeof(file), "%s/data.mdb", f->copy);
    assert_int_equal(truncate(file, (off_t)copied.bytes / 2), 0);
    assert_true(open_copy(f, &copy, &diag) < 0);
    assert_null(copy);
    assert_true(diag.text[0]);
}

/* Flips a bit in the middle of the only place of a file where `bytes` stand. */
static void flip(const char *folder, const void *bytes, size_t n)
{
    char file[300];
    (void)snprintf(file, sizeof(file), "%s/data.mdb", folder);
    int fd = open(file, O_RDWR | O_CLOEXEC);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    char *all = malloc((size_t)st.st_size);
    assert_int_equal(pread(fd, all, (size_t)st.st_size, 0), st.st_size);
    char *at = memmem(all, (size_t)st.st_size, bytes, n);
    assert_non_null(at);
    char turned = (char)(at[n / 2] ^ 4);
    assert_int_equal(pwrite(fd, &turned, 1, at - all + (off_t)(n / 2)), 1);
    free(all);
    close(fd);
}

struct first {
    char bytes[64];
    bool have;
};

static int take_sealed(void *ctx, uint8_t table, uint64_t row, struct span sealed,
                       struct buffer *out)
{
    struct first *first = ctx;
    if (table == STORE_SEAL_JOURNAL && !first->have && row > 5) {
        memcpy(first->bytes, sealed.p, sizeof(first->bytes));
        first->have = true;
    }
    return test_open(NULL, table, row, sealed, out);
}

static void test_flipped_journal(void **state)
{
    struct fixture *f = *state;
    struct store_copied copied;
    struct store_config config;
    struct store *copy;
    struct diag diag;
    struct counts c;
    struct first first = {.have = false};

    assert_int_equal(copy_to(f, 1 << 30, &copied), 0);
    test_config(&config, f->copy);
    config.open = take_sealed;
    config.seal_ctx = &first;
    assert_int_equal(store_open_copy(&config, &copy, &diag), 0);
    walk(copy, 100, &c);
    store_close(copy);
    assert_true(first.have);
    flip(f->copy, first.bytes, sizeof(first.bytes));
    assert_int_equal(open_copy(f, &copy, &diag), 0);
    walk(copy, 100, &c);
    store_close(copy);
    /* the block, and the records of the one message in it: not found without it */
    assert_int_equal(c.bad, 3);
    assert_int_equal(c.unknown, 2);
}

static void test_skip(void **state)
{
    struct fixture *f = *state;
    uint64_t serial = store_next_serial(f->store), subject = store_next_subject(f->store);
    assert_int_equal(store_skip_serials(f->store, 1 << 24, 1 << 20), 0);
    assert_true(store_next_serial(f->store) > serial + (1 << 24));
    store_close(f->store);
    f->store = test_store(f->path);
    assert_true(store_next_serial(f->store) > serial + (1 << 24));
    assert_true(store_next_subject(f->store) > subject + (1 << 20));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_walk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_copy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_copy_under_load, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_copy_given_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_copy_damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flipped_journal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_skip, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Jobs and failures: neighbours of a failing job, done exactly once, many threads, full map, full
 * and read-only disks, a failed sync, and a failed meta write after which LMDB itself refuses
 * everything.
 *
 * pwrite and fdatasync are ours: LMDB's calls come through here, so that they can be made to fail.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sluis/base/clock.h"
#include "support.h"

static _Atomic int fail_meta, fail_sync; /* how many of the next calls fail */

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    if (atomic_load(&fail_meta) > 0 && (fcntl(fd, F_GETFL) & O_DSYNC) == O_DSYNC) {
        atomic_fetch_sub(&fail_meta, 1);
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, bytes, n, at);
}

int fdatasync(int fd)
{
    if (atomic_load(&fail_sync) > 0) {
        atomic_fetch_sub(&fail_sync, 1);
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

struct fixture {
    char path[256];
    struct store_config config;
    struct store *store;
    _Atomic int faults; /* commits that the hook lets fail */
    int fault_code;
};

static int fault_hook(void *ctx)
{
    struct fixture *f = ctx;
    if (atomic_load(&f->faults) == 0)
        return 0;
    atomic_fetch_sub(&f->faults, 1);
    return f->fault_code;
}

static void open_fixture(struct fixture *f)
{
    struct diag diag = {0};
    int rc = store_open(&f->config, &f->store, &diag);
    if (rc)
        print_error("%s: %s\n", error_word(rc), diag.text);
    assert_int_equal(rc, 0);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    test_folder(f->path);
    test_config(&f->config, f->path);
    f->config.fault = fault_hook;
    f->config.fault_ctx = f;
    open_fixture(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    atomic_store(&fail_meta, 0);
    atomic_store(&fail_sync, 0);
    store_close(f->store);
    (void)umount2(f->path, MNT_DETACH); /* left by a test that failed */
    test_folder_remove(f->path);
    free(f);
    return 0;
}

static enum store_state state_of(struct fixture *f)
{
    struct store_status status;
    store_status(f->store, &status);
    return status.state;
}

static void expect_message(struct store *store, const struct test_message *m, bool there)
{
    struct store_read *read;
    struct store_item item;
    assert_int_equal(store_read_begin(store, &read), 0);
    int line = there ? test_message_check(read, m) : 0;
    int rc = store_get_item(read, m->serial, &item);
    store_read_end(read);
    assert_int_equal(line, 0);
    assert_int_equal(rc, there ? 0 : SLUIS_ENOENT);
}

static int run_message(struct store_txn *txn, void *ctx)
{
    return test_message_put(txn, ctx);
}

static int put_message(struct fixture *f, struct test_message *m)
{
    *m = (struct test_message){.serial = store_next_serial(f->store), .subject = 3};
    return test_run(f->store, run_message, m);
}

/* ---- a batch of jobs of which some fail ---- */

enum how { GOOD, FAILS_FIRST, FAILS_LAST, FAILS_RETURN, TOO_LONG, HOW_COUNT };

struct job {
    struct store_job job;
    struct test_message message;
    enum how how;
    _Atomic int runs, dones;
    sem_t *ready;
};

static int job_run(struct store_txn *txn, struct store_job *job)
{
    struct job *j = (struct job *)(void *)job;
    static uint8_t leaf[STORE_LEAF_MAX + 1], hash[32];
    uint64_t index;

    atomic_fetch_add(&j->runs, 1);
    if (j->how == FAILS_FIRST)
        store_txn_fail(txn, SLUIS_EDENIED);
    int rc = test_message_put(txn, &j->message);
    if (j->how == FAILS_LAST)
        store_txn_fail(txn, SLUIS_EDENIED);
    if (j->how == FAILS_RETURN)
        return SLUIS_EDENIED;
    if (j->how == TOO_LONG)
        store_put_leaf(txn, span_of(leaf, sizeof(leaf)), hash, &index);
    return rc ? rc : store_txn_error(txn);
}

static void job_done(struct store_job *job)
{
    struct job *j = (struct job *)(void *)job;
    atomic_fetch_add(&j->dones, 1);
    sem_post(j->ready);
}

static void job_init(struct job *j, struct store *store, enum how how, sem_t *ready)
{
    memset(j, 0, sizeof(*j));
    j->job.run = job_run;
    j->job.done = job_done;
    j->how = how;
    j->ready = ready;
    j->message.serial = store_next_serial(store);
    j->message.subject = j->message.serial % 7 + 1;
}

static void wait_for(sem_t *ready, size_t n)
{
    while (n > 0)
        if (sem_wait(ready) == 0)
            n--;
}

static void test_neighbours(void **state)
{
    struct fixture *f = *state;
    static struct job jobs[60];
    struct store_status before, after;
    sem_t ready;

    sem_init(&ready, 0, 0);
    store_status(f->store, &before);
    for (size_t i = 0; i < 60; i++)
        job_init(&jobs[i], f->store, i % 6 == 5 ? (enum how)(1 + i / 6 % (HOW_COUNT - 1)) : GOOD,
                 &ready);
    for (size_t i = 0; i < 60; i++)
        store_submit(f->store, &jobs[i].job);
    wait_for(&ready, 60);
    store_status(f->store, &after);
    assert_int_equal(after.jobs - before.jobs, 60);
    assert_true(after.commits - before.commits < 10); /* they did share commits */
    for (size_t i = 0; i < 60; i++) {
        int want = jobs[i].how == GOOD ? 0 : jobs[i].how == TOO_LONG ? SLUIS_ELIMIT : SLUIS_EDENIED;
        assert_int_equal(jobs[i].job.result, want);
        assert_int_equal(jobs[i].dones, 1);
        expect_message(f->store, &jobs[i].message, jobs[i].how == GOOD);
    }
    sem_destroy(&ready);
    assert_int_equal(after.log_size, 50); /* no gap in the log either */
}

/* The same message twice in one commit and again later: once. */
static void test_once(void **state)
{
    struct fixture *f = *state;
    static struct job jobs[3];
    sem_t ready;
    unsigned fresh = 0;

    sem_init(&ready, 0, 0);
    for (size_t i = 0; i < 3; i++) {
        job_init(&jobs[i], f->store, GOOD, &ready);
        jobs[i].message.serial = 50;
    }
    store_submit(f->store, &jobs[0].job);
    store_submit(f->store, &jobs[1].job);
    wait_for(&ready, 2);
    store_submit(f->store, &jobs[2].job);
    wait_for(&ready, 1);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(jobs[i].job.result, 0);
        fresh += jobs[i].message.fresh;
    }
    assert_int_equal(fresh, 1);
    sem_destroy(&ready);
}

/* ---- many threads ---- */

#define THREADS 4
#define IN_FLIGHT 256

struct submitter {
    struct store *store;
    size_t jobs;
    unsigned wrong;
};

static void *submit_many(void *arg)
{
    struct submitter *s = arg;
    struct job *jobs = calloc(IN_FLIGHT, sizeof(*jobs));
    sem_t ready;

    sem_init(&ready, 0, 0);
    for (size_t i = 0; i < s->jobs; i += IN_FLIGHT) {
        size_t n = s->jobs - i < IN_FLIGHT ? s->jobs - i : IN_FLIGHT;
        for (size_t k = 0; k < n; k++) {
            job_init(&jobs[k], s->store, GOOD, &ready);
            store_submit(s->store, &jobs[k].job);
        }
        wait_for(&ready, n);
        for (size_t k = 0; k < n; k++)
            s->wrong += jobs[k].job.result != 0 || jobs[k].dones != 1;
    }
    sem_destroy(&ready);
    free(jobs);
    return NULL;
}

static _Atomic bool stop_reading;

/* Reads what is newest all the while: the head of a conversation and its item. */
static void *read_along(void *arg)
{
    struct submitter *s = arg;

    while (!atomic_load(&stop_reading)) {
        struct store_read *read;
        struct store_item item;
        uint64_t serial;
        if (store_read_begin(s->store, &read) != 0) {
            s->wrong++;
            break;
        }
        for (uint64_t subject = 1; subject <= 7; subject++)
            if (store_get_head(read, TEST_CHANNEL, subject, &serial) == 0)
                s->wrong += store_get_item(read, serial, &item) != 0 || item.subject != subject;
        store_read_end(read);
    }
    return NULL;
}

static int count_item(void *ctx, const struct store_item *item)
{
    uint64_t *last = ctx;
    assert_true(item->order > last[0]);
    last[0] = item->order;
    last[1]++;
    return 0;
}

static void test_threads(void **state)
{
    struct fixture *f = *state;
    struct submitter writers[THREADS], reader;
    pthread_t threads[THREADS + 1];
    const char *wanted = getenv("SLUIS_STORE_JOBS");
    size_t jobs = wanted ? strtoul(wanted, NULL, 10) : 10000;

    store_close(f->store); /* the order is at stake, not the disk */
    f->config.no_sync = true;
    f->config.map_size = (size_t)1024 * 1024 * 1024;
    open_fixture(f);
    atomic_store(&stop_reading, false);
    reader = (struct submitter){.store = f->store};
    pthread_create(&threads[THREADS], NULL, read_along, &reader);
    for (size_t i = 0; i < THREADS; i++) {
        writers[i] = (struct submitter){.store = f->store, .jobs = jobs};
        pthread_create(&threads[i], NULL, submit_many, &writers[i]);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(writers[i].wrong, 0);
    }
    atomic_store(&stop_reading, true);
    pthread_join(threads[THREADS], NULL);
    assert_int_equal(reader.wrong, 0);
    struct store_status status;
    store_status(f->store, &status);
    assert_int_equal(status.log_size, THREADS * jobs);
    struct store_read *read;
    uint64_t last[2] = {0, 0};
    assert_int_equal(store_read_begin(f->store, &read), 0);
    assert_int_equal(store_each_item(read, 0, count_item, last), 0);
    assert_int_equal(last[1], THREADS * jobs);
    store_read_end(read);
}

/* Entries go from memory into the trees while they are asked for, and over a restart. */
static void test_merge(void **state)
{
    struct fixture *f = *state;
    static struct test_message messages[3000];

    store_close(f->store);
    f->config.no_sync = true;
    open_fixture(f);
    for (size_t i = 0; i < 3000; i++) {
        if (i % 400 == 399)
            clock_test_shift(2 * 3600 * 1000); /* older than a run may get */
        assert_int_equal(put_message(f, &messages[i]), 0);
        if (i % 7 == 0)
            expect_message(f->store, &messages[i / 2], true);
        if (i % 1000 == 700) {
            store_close(f->store);
            open_fixture(f);
        }
    }
    for (size_t i = 0; i < 3000; i++)
        expect_message(f->store, &messages[i], true);
    struct test_message again = messages[5];
    assert_int_equal(test_run(f->store, run_message, &again), 0);
    assert_false(again.fresh);
}

/* ---- failures ---- */

static void test_fault(void **state)
{
    struct fixture *f = *state;
    struct test_message before, lost, after;

    assert_int_equal(put_message(f, &before), 0);
    f->fault_code = EIO;
    atomic_store(&f->faults, 1);
    assert_int_equal(put_message(f, &lost), SLUIS_EIO);
    assert_int_equal(put_message(f, &after), 0); /* reopened */
    assert_int_equal(state_of(f), STORE_READY);
    expect_message(f->store, &before, true);
    expect_message(f->store, &lost, false);
    expect_message(f->store, &after, true);
    /* a second within a minute */
    atomic_store(&f->faults, 1);
    assert_int_equal(put_message(f, &lost), SLUIS_EIO);
    assert_int_equal(put_message(f, &lost), SLUIS_ESEALED);
    assert_int_equal(state_of(f), STORE_SEALED);
    struct store_read *read;
    assert_int_equal(store_read_begin(f->store, &read), SLUIS_ESEALED);
    store_close(f->store);
    open_fixture(f);
    expect_message(f->store, &before, true);
    expect_message(f->store, &after, true);
}

/* Failures further apart than a minute do not seal. */
static void test_fault_apart(void **state)
{
    struct fixture *f = *state;
    struct test_message m;

    f->fault_code = EIO;
    for (int i = 0; i < 3; i++) {
        atomic_store(&f->faults, 1);
        assert_int_equal(put_message(f, &m), SLUIS_EIO);
        assert_int_equal(put_message(f, &m), 0);
        assert_int_equal(state_of(f), STORE_READY);
        clock_test_shift(61000);
    }
}

/* The disk goes on failing: sealed at once, and nothing hangs. */
static void test_fault_stays(void **state)
{
    struct fixture *f = *state;
    struct test_message m;

    f->fault_code = EIO;
    atomic_store(&f->faults, 1000);
    assert_int_equal(put_message(f, &m), SLUIS_EIO);
    assert_int_equal(put_message(f, &m), SLUIS_ESEALED);
}

static void test_fault_full(void **state)
{
    struct fixture *f = *state;
    struct test_message m, before;

    assert_int_equal(put_message(f, &before), 0);
    f->fault_code = ENOSPC;
    atomic_store(&f->faults, 2);
    int64_t begun = clock_mono_ms();
    assert_int_equal(put_message(f, &m), SLUIS_EFULL);
    enum store_state state_then = state_of(f);
    int again = put_message(f, &m), faults = f->faults;
    if (clock_mono_ms() - begun < 1000) { /* before it tries by itself */
        assert_int_equal(state_then, STORE_FULL);
        assert_int_equal(again, SLUIS_EFULL);
        assert_int_equal(faults, 1); /* without an attempt */
    }
    expect_message(f->store, &before, true); /* reading goes on */
    int64_t until = clock_mono_ms() + 60000;
    while (state_of(f) == STORE_FULL && clock_mono_ms() < until)
        usleep(10000);
    assert_int_equal(state_of(f), STORE_READY);
    assert_int_equal(f->faults,
                     0); /* the first attempt failed, the second a second later did not */
    assert_int_equal(put_message(f, &m), 0);
    expect_message(f->store, &m, true);
}

static void test_sync_fails(void **state)
{
    struct fixture *f = *state;
    struct test_message before, lost, after;

    assert_int_equal(put_message(f, &before), 0);
    atomic_store(&fail_sync, 1);
    assert_int_equal(put_message(f, &lost), SLUIS_EIO);
    assert_int_equal(put_message(f, &after), 0);
    expect_message(f->store, &before, true);
    expect_message(f->store, &lost, false);
    expect_message(f->store, &after, true);
}

/* After a failed meta write LMDB answers everything with MDB_PANIC; an open reader is let out
 * first.
 */
static _Atomic bool holding;

static void *hold_reader(void *arg)
{
    struct fixture *f = arg;
    struct store_read *read;
    int r = store_read_begin(f->store, &read);
    atomic_store(&holding, true);
    if (r != 0)
        return NULL;
    usleep(200000);
    store_read_end(read);
    return arg;
}

static void test_panic(void **state)
{
    struct fixture *f = *state;
    struct test_message before, lost, after;
    pthread_t thread;
    void *held;

    assert_int_equal(put_message(f, &before), 0);
    pthread_create(&thread, NULL, hold_reader, f);
    while (!atomic_load(&holding))
        usleep(1000);
    atomic_store(&fail_meta, 1);
    assert_int_equal(put_message(f, &lost), SLUIS_EIO);
    assert_int_equal(fail_meta, 0);
    int rc;
    do
        rc = put_message(f, &after);
    while (rc == SLUIS_EIO);
    assert_int_equal(rc, 0);
    pthread_join(thread, &held);
    assert_non_null(held);
    assert_int_equal(state_of(f), STORE_READY);
    expect_message(f->store, &before, true);
    expect_message(f->store, &after, true);
    struct store_read *read;
    struct store_item item;
    assert_int_equal(store_read_begin(f->store, &read), 0);
    rc = store_get_item(read, lost.serial, &item); /* refused: gone or whole */
    if (rc == 0)
        assert_int_equal(test_message_check(read, &lost), 0);
    else
        assert_int_equal(rc, SLUIS_ENOENT);
    store_read_end(read);
}

/* ---- full ---- */

struct filler {
    struct record_id id;
    size_t n;
    bool delete;
};

static int run_filler(struct store_txn *txn, void *ctx)
{
    struct filler *c = ctx;
    static uint8_t bytes[100000];
    if (c->delete)
        store_delete_record(txn, &c->id);
    else
        store_put_record(txn, &c->id, span_of(bytes, c->n));
    return store_txn_error(txn);
}

/* Fills until refused; how many stand. */
static uint64_t fill(struct fixture *f, enum store_priority priority, struct filler *c)
{
    for (uint64_t n = 0;; n++) {
        c->id.serial++;
        int rc = test_run_at(f->store, priority, run_filler, c);
        if (rc) {
            c->id.serial--;
            assert_int_equal(rc, SLUIS_EFULL);
            return n;
        }
        assert_true(n < 100000);
    }
}

static void wait_ready(struct fixture *f)
{
    int64_t until = clock_mono_ms() + 60000;
    while (state_of(f) != STORE_READY && clock_mono_ms() < until)
        usleep(10000);
    assert_int_equal(state_of(f), STORE_READY);
}

/* Marks: intake stops first, then the rest, purge uses what is left; deleting opens the way again.
 */
static void fill_and_free(struct fixture *f)
{
    struct filler c = {.id = {.cls = 5, .bucket = 1, .subject = 1, .part = 'O'}, .n = 20000};
    struct test_message m, stood;
    struct store_status status;

    assert_int_equal(put_message(f, &stood), 0);
    assert_true(fill(f, STORE_INTAKE, &c) > 10);
    store_status(f->store, &status);
    assert_false(status.intake_allowed);
    assert_true(status.reads_allowed);
    assert_int_equal(status.state, STORE_READY);
    assert_true(status.bytes_used * 10 >= status.bytes_size * 9 - 400000);
    assert_int_equal(put_message(f, &m), SLUIS_EFULL);
    assert_true(fill(f, STORE_NORMAL, &c) > 0);
    store_status(f->store, &status);
    assert_false(status.reads_allowed);
    c.n = 100000;
    (void)fill(f, STORE_PURGE, &c); /* to the very end */
    assert_int_equal(test_run_at(f->store, STORE_NORMAL, run_filler, &c), SLUIS_EFULL);
    expect_message(f->store, &stood, true);
    c.delete = true;
    uint64_t last = c.id.serial;
    for (c.id.serial = 1; c.id.serial <= last; c.id.serial++) {
        int rc = test_run_at(f->store, STORE_PURGE, run_filler, &c);
        if (rc == SLUIS_EFULL) { /* even deleting copies pages: the retry finds some */
            wait_ready(f);
            rc = test_run_at(f->store, STORE_PURGE, run_filler, &c);
        }
        assert_int_equal(rc, 0);
    }
    wait_ready(f);
    for (int i = 0; i < 5; i++) /* freed pages come back two commits later */
        assert_int_equal(test_run_at(f->store, STORE_PURGE, run_filler, &c), 0);
    usleep(50000);
    assert_int_equal(test_run_at(f->store, STORE_PURGE, run_filler, &c), 0);
    usleep(50000);
    assert_int_equal(put_message(f, &m), 0);
    expect_message(f->store, &m, true);
    expect_message(f->store, &stood, true);
    store_status(f->store, &status);
    assert_true(status.bytes_used < status.bytes_size / 2);
}

static void test_full_map(void **state)
{
    struct fixture *f = *state;

    store_close(f->store);
    test_folder_remove(f->path);
    f->config.map_size = 4 * 1024 * 1024;
    open_fixture(f);
    fill_and_free(f);
}

static bool mount_small(struct fixture *f, const char *options)
{
    store_close(f->store);
    f->store = NULL;
    test_folder_remove(f->path);
    if (mkdir(f->path, 0700) != 0 || mount("none", f->path, "tmpfs", 0, options) != 0) {
        print_message("skipped: no mount permitted\n");
        return false;
    }
    return true;
}

static void unmount(struct fixture *f)
{
    store_close(f->store);
    f->store = NULL;
    assert_int_equal(umount(f->path), 0);
}

/* A disk smaller than the map: the marks follow the disk, and its end is met as ENOSPC or EIO. */
static void test_full_disk(void **state)
{
    struct fixture *f = *state;

    if (!mount_small(f, "size=12m,mode=0700"))
        skip();
    open_fixture(f);
    fill_and_free(f);
    unmount(f);
}

/* Somebody else takes the whole disk: refused, waited out, and on when it is given back. */
static void test_disk_taken(void **state)
{
    struct fixture *f = *state;
    static char bytes[1024 * 1024];
    struct filler c = {.id = {.cls = 5, .bucket = 1, .subject = 1, .part = 'O'}, .n = 20000};
    struct test_message before, m;
    char other[300];

    if (!mount_small(f, "size=24m,mode=0700"))
        skip();
    open_fixture(f);
    assert_int_equal(put_message(f, &before), 0);
    (void)snprintf(other, sizeof(other), "%s/other", f->path);
    int fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, bytes, sizeof(bytes)) > 0)
        ;
    (void)close(fd);
    (void)fill(f, STORE_PURGE, &c);
    assert_int_equal(state_of(f), STORE_FULL);
    assert_int_equal(put_message(f, &m), SLUIS_EFULL);
    expect_message(f->store, &before, true);
    assert_int_equal(unlink(other), 0);
    wait_ready(f);
    assert_int_equal(put_message(f, &m), 0);
    expect_message(f->store, &before, true);
    expect_message(f->store, &m, true);
    unmount(f);
}

static void test_preallocate(void **state)
{
    struct fixture *f = *state;
    struct store *store = NULL;
    struct diag diag = {0};
    struct stat st;
    char file[300];

    if (!mount_small(f, "size=24m,mode=0700"))
        skip();
    f->config.preallocate = (size_t)64 * 1024 * 1024;
    assert_int_equal(store_open(&f->config, &store, &diag), SLUIS_EFULL);
    assert_non_null(strstr(diag.text, "no room"));
    f->config.preallocate = 8 * 1024 * 1024;
    open_fixture(f);
    (void)snprintf(file, sizeof(file), "%s/data.mdb", f->path);
    assert_int_equal(stat(file, &st), 0);
    assert_true(st.st_blocks * 512 >= 8 * 1024 * 1024);
    struct test_message m;
    assert_int_equal(put_message(f, &m), 0);
    store_close(f->store);
    open_fixture(f);
    expect_message(f->store, &m, true);
    unmount(f);
}

static void test_read_only(void **state)
{
    struct fixture *f = *state;
    struct store *store = NULL;
    struct diag diag = {0};
    struct test_message m;

    if (!mount_small(f, "size=24m,mode=0700"))
        skip();
    open_fixture(f);
    assert_int_equal(put_message(f, &m), 0);
    store_close(f->store);
    f->store = NULL;
    assert_int_equal(mount("none", f->path, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=24m"), 0);
    assert_int_not_equal(store_open(&f->config, &store, &diag), 0);
    assert_null(store);
    assert_true(diag.text[0] != '\0');
    assert_int_equal(mount("none", f->path, "tmpfs", MS_REMOUNT, "size=24m"), 0);
    open_fixture(f);
    expect_message(f->store, &m, true);
    unmount(f);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_neighbours),  TEST(test_once),        TEST(test_threads),
        TEST(test_merge),       TEST(test_fault),       TEST(test_fault_apart),
        TEST(test_fault_stays), TEST(test_fault_full),  TEST(test_sync_fails),
        TEST(test_panic),       TEST(test_full_map),    TEST(test_full_disk),
        TEST(test_disk_taken),  TEST(test_preallocate), TEST(test_read_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

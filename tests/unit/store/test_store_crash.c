/*
 * Promise 1: a message that was acknowledged is on the disk. LMDB's writes and syncs come through
 * the functions below and are recorded, together with every acknowledgement. Then each moment of
 * the recording is taken as the moment the power fails: what was synced by then is on the disk, and
 * of what was not, some page-sized pieces are and some are not (none, all, each one alone, all but
 * one, and random choices). Each such disk is opened: an acknowledged message that is missing, a
 * message that is there in part, or a store that does not open, fails the test. What lies outside a
 * page is never torn in LMDB; a meta page is written within one sector.
 *
 * The same with no_sync, and with syncs that do nothing, must lose messages: the negative controls.
 *
 * SLUIS_STORE_CRASH=long takes a longer load and many more choices.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sluis/base/clock.h"
#include "support.h"

#define PAGE 4096
#define EVENTS_MAX 200000
#define IMAGE_MAX (64u * 1024 * 1024)

enum event_kind { EVENT_WRITE, EVENT_SYNC, EVENT_ACK };
struct event {
    enum event_kind kind;
    bool durable; /* a write through O_DSYNC: on the disk when it returns */
    off_t at;
    size_t n;
    uint8_t *bytes;
    size_t message; /* EVENT_ACK */
};

struct recording {
    pthread_mutex_t lock;
    bool on;
    dev_t device;
    ino_t file; /* only this one is recorded */
    struct event *events;
    size_t count;
};
static struct recording tape = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool recorded(int fd)
{
    struct stat st;
    return tape.on && fstat(fd, &st) == 0 && st.st_dev == tape.device && st.st_ino == tape.file;
}

static struct event *add_event(enum event_kind kind)
{
    if (tape.count == EVENTS_MAX) {
        (void)fprintf(stderr, "tape full\n");
        abort();
    }
    struct event *event = &tape.events[tape.count++];
    memset(event, 0, sizeof(*event));
    event->kind = kind;
    return event;
}

static void record_write(int fd, const void *bytes, size_t n, off_t at)
{
    pthread_mutex_lock(&tape.lock);
    struct event *event = add_event(EVENT_WRITE);
    event->durable = (fcntl(fd, F_GETFL) & O_DSYNC) == O_DSYNC;
    event->at = at;
    event->n = n;
    event->bytes = malloc(n);
    memcpy(event->bytes, bytes, n);
    pthread_mutex_unlock(&tape.lock);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    if (recorded(fd))
        record_write(fd, bytes, n, at);
    return syscall(SYS_pwrite64, fd, bytes, n, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (recorded(fd)) {
        off_t at = lseek(fd, 0, SEEK_CUR);
        for (int i = 0; i < count; i++) {
            record_write(fd, parts[i].iov_base, parts[i].iov_len, at);
            at += (off_t)parts[i].iov_len;
        }
    }
    return syscall(SYS_writev, fd, parts, count);
}

static int record_sync(int fd, long call)
{
    int rc = (int)syscall(call, fd);
    if (rc == 0 && recorded(fd)) {
        pthread_mutex_lock(&tape.lock);
        (void)add_event(EVENT_SYNC);
        pthread_mutex_unlock(&tape.lock);
    }
    return rc;
}

int fdatasync(int fd)
{
    return record_sync(fd, SYS_fdatasync);
}

int fsync(int fd)
{
    return record_sync(fd, SYS_fsync);
}

int msync(void *address, size_t n, int flags)
{
    if (tape.on) /* only a writable map needs it, and we do not use one */
        abort();
    return (int)syscall(SYS_msync, address, n, flags);
}

/* ---- the load ---- */

#define MESSAGES_MAX 4000

struct load {
    struct test_message messages[MESSAGES_MAX];
    size_t count;
};

struct load_job {
    struct store_job job;
    struct test_message *message;
    size_t place;
    _Atomic bool done;
};

static int load_run(struct store_txn *txn, struct store_job *job)
{
    struct load_job *j = (struct load_job *)(void *)job;
    static uint8_t big[9000];
    struct record_id id = {.cls = 7, .bucket = 3, .subject = 1, .part = 'Q'};

    int rc = test_message_put(txn, j->message);
    /* beside it: records over several rows, replaced and deleted, so that pages come free */
    id.serial = j->place % 40 + 1;
    if (j->place % 5 == 4)
        store_delete_record(txn, &id);
    else
        store_put_record(txn, &id, span_of(big, 1000 + j->place * 37 % 8000));
    store_put_cursor(txn, TEST_ROUTE, j->message->serial);
    return rc ? rc : store_txn_error(txn);
}

static void load_done(struct store_job *job)
{
    struct load_job *j = (struct load_job *)(void *)job;
    if (job->result == 0) {
        pthread_mutex_lock(&tape.lock);
        add_event(EVENT_ACK)->message = j->place;
        pthread_mutex_unlock(&tape.lock);
    }
    atomic_store(&j->done, true);
}

static void run_load(struct store *store, struct load *load, size_t commits)
{
    struct load_job jobs[8];

    for (size_t c = 0; c < commits; c++) {
        size_t n = 1 + c % 8;
        if (c % 5 == 4)
            clock_test_shift(2 * 3600 * 1000); /* the newest entries go into their trees */
        for (size_t i = 0; i < n; i++) {
            struct test_message *m = &load->messages[load->count];
            m->serial = store_next_serial(store);
            m->subject = 1 + load->count % 5;
            jobs[i] = (struct load_job){
                .job = {.run = load_run, .done = load_done}, .message = m, .place = load->count++};
            store_submit(store, &jobs[i].job);
        }
        for (size_t i = 0; i < n; i++)
            while (!atomic_load(&jobs[i].done))
                usleep(100);
    }
}

/* ---- the disks ---- */

struct disk {
    uint8_t *bytes;
    size_t n;
};

struct piece { /* of a write, within one page */
    const uint8_t *bytes;
    off_t at;
    size_t n;
};

static void disk_apply(struct disk *disk, off_t at, const uint8_t *bytes, size_t n)
{
    assert_true((size_t)at + n <= IMAGE_MAX);
    if ((size_t)at > disk->n) /* a hole reads as zeros */
        memset(disk->bytes + disk->n, 0, (size_t)at - disk->n);
    memcpy(disk->bytes + at, bytes, n);
    if ((size_t)at + n > disk->n)
        disk->n = (size_t)at + n;
}

struct counts { /* shared with the processes of trials */
    size_t missing, partial, unopened;
};

struct enumeration {
    char folder[256], file[300];
    struct store_config config;
    const struct load *load;
    const struct event *events; /* the tape so far */
    size_t count;
    struct disk base, trial; /* what is surely on the disk; one choice */
    struct piece *loose;     /* not synced, oldest first */
    size_t loose_count;
    size_t acked; /* messages, which are acknowledged in order of `place` or nearly */
    bool *is_acked;
    struct counts *counts;
    size_t states;
    bool apart; /* each disk in a process of its own: a broken one may crash the reader */
    uint64_t seed;
    unsigned random_choices;
};

static void write_file(const char *file, const struct disk *disk)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (size_t at = 0; at < disk->n;) {
        ssize_t n = write(fd, disk->bytes + at, disk->n - at);
        assert_true(n > 0);
        at += (size_t)n;
    }
    (void)close(fd);
}

static int run_message(struct store_txn *txn, void *ctx)
{
    return test_message_put(txn, ctx);
}

/* Opens the trial disk and looks for every message. */
static void look(struct enumeration *e)
{
    struct store *store;
    struct store_read *read;
    struct diag diag;
    struct store_item item;

    if (store_open(&e->config, &store, &diag) != 0) {
        e->counts->unopened++;
        return;
    }
    assert_int_equal(store_read_begin(store, &read), 0);
    for (size_t i = 0; i < e->load->count; i++) {
        const struct test_message *m = &e->load->messages[i];
        if (e->is_acked[i])
            e->counts->missing += test_message_check(read, m) != 0;
        else if (store_get_item(read, m->serial, &item) == 0) /* not promised, but then whole */
            e->counts->partial += test_message_check(read, m) != 0;
    }
    store_read_end(read);
    if (!e->apart && e->states % 50 == 0) { /* and it can be written */
        struct test_message m = {.serial = store_next_serial(store), .subject = 9};
        assert_int_equal(test_run(store, run_message, &m), 0);
        for (size_t i = 0; i < e->load->count; i++)
            assert_true(e->load->messages[i].serial != m.serial || !e->is_acked[i]);
    }
    store_close(store);
}

static void check_trial(struct enumeration *e)
{
    int status;

    e->states++;
    write_file(e->file, &e->trial);
    if (!e->apart) {
        look(e);
        return;
    }
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGBUS, SIG_DFL);
        (void)signal(SIGSEGV, SIG_DFL);
        (void)signal(SIGABRT, SIG_DFL);
        look(e);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    e->counts->unopened += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static uint64_t next_random(struct enumeration *e)
{
    e->seed ^= e->seed << 13;
    e->seed ^= e->seed >> 7;
    e->seed ^= e->seed << 17;
    return e->seed;
}

enum choice { NONE, ALL, ONLY, ALL_BUT, FIRST_HALF, SECOND_HALF, RANDOM };

static void try_choice(struct enumeration *e, enum choice choice, size_t which)
{
    memcpy(e->trial.bytes, e->base.bytes, e->base.n);
    e->trial.n = e->base.n;
    for (size_t i = 0; i < e->loose_count; i++) {
        bool take = choice == ALL || (choice == ONLY && i == which) ||
                    (choice == ALL_BUT && i != which) ||
                    (choice == FIRST_HALF && i < e->loose_count / 2) ||
                    (choice == SECOND_HALF && i >= e->loose_count / 2) ||
                    (choice == RANDOM && (next_random(e) & 1));
        if (take)
            disk_apply(&e->trial, e->loose[i].at, e->loose[i].bytes, e->loose[i].n);
    }
    check_trial(e);
}

/* The power fails now. */
static void crash_here(struct enumeration *e)
{
    try_choice(e, NONE, 0);
    if (e->loose_count == 0)
        return;
    try_choice(e, ALL, 0);
    if (e->loose_count == 1)
        return;
    try_choice(e, FIRST_HALF, 0);
    try_choice(e, SECOND_HALF, 0);
    size_t step = 1 + e->loose_count / (e->random_choices + 1);
    for (size_t i = 0; i < e->loose_count; i += step) {
        try_choice(e, ONLY, i);
        try_choice(e, ALL_BUT, i);
    }
    for (unsigned i = 0; i < e->random_choices; i++)
        try_choice(e, RANDOM, 0);
}

static void loosen(struct enumeration *e, const struct event *event)
{
    for (size_t at = 0; at < event->n;) {
        size_t n = PAGE - ((size_t)event->at + at) % PAGE;
        if (n > event->n - at)
            n = event->n - at;
        e->loose[e->loose_count++] = (struct piece){event->bytes + at, event->at + (off_t)at, n};
        at += n;
    }
}

static void settle(struct enumeration *e)
{
    for (size_t i = 0; i < e->loose_count; i++)
        disk_apply(&e->base, e->loose[i].at, e->loose[i].bytes, e->loose[i].n);
    e->loose_count = 0;
}

/* SYNC_REMOVED: LMDB thinks it syncs, and the disk never does (a broken build, or a lying disk). */
enum mode { SYNCED, NO_SYNC, SYNC_REMOVED };

/* Crashes around every sync, every durable write and every acknowledgement. */
static void enumerate(struct enumeration *e, enum mode mode)
{
    bool syncs = mode != NO_SYNC;

    for (size_t i = 0; i < e->count; i++) {
        const struct event *event = &e->events[i];
        switch (event->kind) {
        case EVENT_WRITE:
            if (event->durable && syncs) {
                crash_here(e); /* before it */
                loosen(e, event);
                crash_here(e); /* while it is written: it, the others, some of them */
                e->loose_count--;
                disk_apply(&e->base, event->at, event->bytes, event->n);
            } else {
                loosen(e, event);
            }
            break;
        case EVENT_SYNC:
            if (mode == SYNC_REMOVED)
                break;
            crash_here(e); /* before it returned */
            settle(e);
            try_choice(e, NONE, 0);
            break;
        case EVENT_ACK:
            e->is_acked[event->message] = true;
            /* the last of a commit's acknowledgements stands for all */
            if (i + 1 == e->count || e->events[i + 1].kind != EVENT_ACK)
                mode == SYNCED ? try_choice(e, NONE, 0) : crash_here(e);
            break;
        }
    }
}

static void read_file(const char *file, struct disk *disk)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, disk->bytes, IMAGE_MAX);
    assert_true(n > 0 && n < (ssize_t)IMAGE_MAX);
    disk->n = (size_t)n;
    (void)close(fd);
}

/* Records a load on a fresh store, then tries every disk. */
static void record_and_try(struct enumeration *e, size_t commits, enum mode mode)
{
    static struct load load;
    struct store *store;
    struct diag diag;
    struct stat st;
    char path[256], file[300];

    memset(&load, 0, sizeof(load));
    memset(e, 0, sizeof(*e));
    tape.count = 0;
    tape.events = calloc(EVENTS_MAX, sizeof(*tape.events));
    e->loose = calloc(EVENTS_MAX, sizeof(*e->loose));
    e->is_acked = calloc(MESSAGES_MAX, sizeof(*e->is_acked));
    e->base.bytes = calloc(1, IMAGE_MAX);
    e->trial.bytes = calloc(1, IMAGE_MAX);
    e->counts =
        mmap(NULL, sizeof(*e->counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(e->counts != MAP_FAILED);
    e->apart = mode != SYNCED;
    test_folder(path);
    test_config(&e->config, path);
    e->config.map_size = IMAGE_MAX;
    e->config.no_sync = mode == NO_SYNC;
    assert_int_equal(store_open(&e->config, &store, &diag), 0);
    (void)snprintf(file, sizeof(file), "%s/data.mdb", path);
    assert_int_equal(stat(file, &st), 0);
    read_file(file, &e->base);
    tape.device = st.st_dev;
    tape.file = st.st_ino;
    tape.on = true;
    run_load(store, &load, commits);
    tape.on = false;
    store_close(store);
    test_folder_remove(path);

    test_folder(e->folder);
    assert_int_equal(mkdir(e->folder, 0700), 0);
    (void)snprintf(e->file, sizeof(e->file), "%s/data.mdb", e->folder);
    e->config.path = e->folder;
    e->config.no_sync = true; /* the trials themselves need no disk */
    e->load = &load;
    e->events = tape.events;
    e->count = tape.count;
    e->seed = 88172645463325252u;
    e->random_choices = getenv("SLUIS_STORE_CRASH") ? 12 : 4;
    enumerate(e, mode);
    test_folder_remove(e->folder);
    print_message("%zu commits, %zu messages, %zu writes and syncs: %zu disks tried, "
                  "%zu acknowledged missing, %zu in part, %zu not opened\n",
                  commits, load.count, e->count, e->states, e->counts->missing, e->counts->partial,
                  e->counts->unopened);
}

static void forget(struct enumeration *e)
{
    for (size_t i = 0; i < tape.count; i++)
        free(tape.events[i].bytes);
    free(tape.events);
    (void)munmap(e->counts, sizeof(*e->counts));
    free(e->loose);
    free(e->is_acked);
    free(e->base.bytes);
    free(e->trial.bytes);
}

static size_t commits_wanted(void)
{
    return getenv("SLUIS_STORE_CRASH") ? 300 : 24;
}

static void test_crash(void **state)
{
    struct enumeration e;

    (void)state;
    record_and_try(&e, commits_wanted(), SYNCED);
    assert_true(e.states > 100);
    assert_int_equal(e.counts->missing, 0);
    assert_int_equal(e.counts->partial, 0);
    assert_int_equal(e.counts->unopened, 0);
    forget(&e);
}

static void test_control_no_sync(void **state)
{
    struct enumeration e;

    (void)state;
    record_and_try(&e, 4, NO_SYNC);
    assert_true(e.counts->missing > 0);
    forget(&e);
}

static void test_control_sync_removed(void **state)
{
    struct enumeration e;

    (void)state;
    record_and_try(&e, 6, SYNC_REMOVED);
    assert_true(e.counts->missing > 0);
    forget(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash),
        cmocka_unit_test(test_control_no_sync),
        cmocka_unit_test(test_control_sync_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

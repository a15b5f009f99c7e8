/*
 * kill -9 under load: a child stores messages from two threads and writes the serial of each to a
 * pipe after its `done`; it is killed after a while, 20 times on the same store. Whatever came
 * through the pipe must be there, whole, and no serial may come twice.
 *
 * This proves that nothing is acknowledged too early and that a start after a kill works. It does
 * not prove that the disk has it: the page cache outlives the process, so this passes without a
 * sync too (SLUIS_STORE_NO_SYNC=1 shows it). test_store_crash is the proof about the disk.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sluis/base/clock.h"
#include "support.h"

#define CYCLES 20
#define OPEN_MS_MAX 1000 /* promise 9 */
#define THREADS 2
#define IN_FLIGHT 100
#define ACKED_MAX 2000000

struct ack { /* what the child tells: less than PIPE_BUF, so written whole */
    uint64_t serial, subject, leaf_index;
};

struct job {
    struct store_job job;
    struct test_message message;
    struct store *store;
    sem_t *ready;
    int pipe;
};

static int job_run(struct store_txn *txn, struct store_job *job)
{
    return test_message_put(txn, &((struct job *)(void *)job)->message);
}

static void job_done(struct store_job *job)
{
    struct job *j = (struct job *)(void *)job;
    struct ack ack = {j->message.serial, j->message.subject, j->message.leaf_index};
    if (job->result == 0 && write(j->pipe, &ack, sizeof(ack)) != (ssize_t)sizeof(ack))
        _exit(3);
    sem_post(j->ready);
}

static void *child_thread(void *arg)
{
    struct job *first = arg;
    struct job *jobs = calloc(IN_FLIGHT, sizeof(*jobs));

    for (;;) {
        for (size_t i = 0; i < IN_FLIGHT; i++) {
            jobs[i] = *first;
            jobs[i].message.serial = store_next_serial(first->store);
            jobs[i].message.subject = 1 + jobs[i].message.serial % 50;
            store_submit(first->store, &jobs[i].job);
        }
        for (size_t i = 0; i < IN_FLIGHT;)
            if (sem_wait(first->ready) == 0)
                i++;
    }
    return NULL;
}

static void child(const struct store_config *config, int pipe)
{
    static struct job first[THREADS];
    static sem_t ready[THREADS];
    pthread_t thread;
    struct diag diag;
    struct store *store;

    if (store_open(config, &store, &diag) != 0)
        _exit(2);
    for (size_t i = 0; i < THREADS; i++) {
        sem_init(&ready[i], 0, 0);
        first[i] = (struct job){.job = {.run = job_run, .done = job_done},
                                .store = store,
                                .ready = &ready[i],
                                .pipe = pipe};
        pthread_create(&thread, NULL, child_thread, &first[i]);
    }
    for (;;)
        pause();
}

/* One life of a child; adds what it acknowledged. */
static size_t live_and_die(const struct store_config *config, unsigned ms, struct ack *acked,
                           size_t n)
{
    int ends[2], status;

    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(ends[0]);
        child(config, ends[1]);
        _exit(0);
    }
    (void)close(ends[1]);
    int64_t until = clock_mono_ms() + ms;
    ssize_t got;
    while (n < ACKED_MAX && (got = read(ends[0], &acked[n], sizeof(*acked))) > 0) {
        assert_int_equal(got, sizeof(*acked));
        n++;
        if (until && clock_mono_ms() >= until) {
            assert_int_equal(kill(pid, SIGKILL), 0);
            until = 0; /* and read to the end what it still said */
        }
    }
    (void)close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return n;
}

static int by_serial(const void *a, const void *b)
{
    const struct ack *x = a, *y = b;
    return x->serial < y->serial ? -1 : x->serial > y->serial;
}

static void test_kill(void **state)
{
    (void)state;
    struct ack *acked = calloc(ACKED_MAX, sizeof(*acked));
    struct store_config config;
    char path[256];
    size_t n = 0, missing = 0, twice = 0;
    int64_t slowest = 0;

    test_folder(path);
    test_config(&config, path);
    config.map_size = (size_t)4096 * 1024 * 1024;
    config.no_sync = getenv("SLUIS_STORE_NO_SYNC") != NULL;
    for (unsigned cycle = 0; cycle < CYCLES; cycle++) {
        size_t before = n;
        struct store *store;
        struct store_read *read;
        struct diag diag;
        n = live_and_die(&config, 20 + 13 * (cycle % 8), acked, n);
        assert_true(n > before);
        int64_t start = clock_mono_ms();
        assert_int_equal(store_open(&config, &store, &diag), 0);
        int64_t took = clock_mono_ms() - start;
        if (took > slowest)
            slowest = took;
        assert_int_equal(store_read_begin(store, &read), 0);
        for (size_t i = 0; i < n; i++) {
            struct test_message m = {acked[i].serial, acked[i].subject, acked[i].leaf_index, true};
            if ((i >= before || i % 16 == cycle % 16) && test_message_check(read, &m) != 0)
                missing++;
        }
        store_read_end(read);
        store_close(store);
    }
    qsort(acked, n, sizeof(*acked), by_serial);
    for (size_t i = 1; i < n; i++)
        twice += acked[i].serial == acked[i - 1].serial;
    print_message(
        "%d kills, %zu acknowledged, %zu missing, %zu serials twice, slowest open %d ms\n", CYCLES,
        n, missing, twice, (int)slowest);
    assert_int_equal(missing, 0);
    assert_int_equal(twice, 0);
    assert_true(slowest < OPEN_MS_MAX);
    test_folder_remove(path);
    free(acked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kill)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

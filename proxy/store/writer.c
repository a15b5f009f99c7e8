/* The writer thread: takes jobs, commits them together, completes each with its own result. */
#include "internal.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

#include "sluis/base/clock.h"
#include "sluis/base/log.h"

static struct store_job *job_of(struct mail *mail)
{
    return (struct store_job *)(void *)((char *)mail - offsetof(struct store_job, mail));
}

static void list_init(struct job_list *list)
{
    list->head = NULL;
    list->tail = &list->head;
    list->count = 0;
}

static void list_add(struct job_list *list, struct store_job *job)
{
    job->mail.next = NULL;
    *list->tail = &job->mail;
    list->tail = &job->mail.next;
    list->count++;
}

static struct store_job *list_take(struct job_list *list)
{
    struct mail *mail = list->head;
    if (!mail)
        return NULL;
    list->head = mail->next;
    if (!list->head)
        list->tail = &list->head;
    list->count--;
    return job_of(mail);
}

void store_submit(struct store *store, struct store_job *job)
{
    job->result = 0;
    job->queued_us = clock_mono_us();
    pthread_mutex_lock(&store->queue_lock);
    bool refused = store->stopping;
    if (!refused) {
        struct job_list *list = job->priority == STORE_PURGE ? &store->purges : &store->queue;
        list_add(list, job);
        /* The writer sleeps until the first job, then until the batch is full or its time. */
        if (store->waiting && (list->count == 1 || list->count >= STORE_COMMIT_JOBS))
            pthread_cond_signal(&store->queue_wake);
    }
    pthread_mutex_unlock(&store->queue_lock);
    if (refused) {
        job->result = SLUIS_ECLOSED;
        job->done(job);
    }
}

struct waiter {
    struct store_job job;
    struct store_job *inner;
    sem_t ready;
};

static int waiter_run(struct store_txn *txn, struct store_job *job)
{
    struct waiter *w = (struct waiter *)(void *)job; /* job is the first member */
    return w->inner->run(txn, w->inner);
}

static void waiter_done(struct store_job *job)
{
    struct waiter *w = (struct waiter *)(void *)job;
    sem_post(&w->ready);
}

int store_submit_wait(struct store *store, struct store_job *job)
{
    struct waiter w = {
        .job = {.priority = job->priority, .run = waiter_run, .done = waiter_done},
        .inner = job,
    };
    if (sem_init(&w.ready, 0, 0) != 0)
        return SLUIS_ESYS;
    store_submit(store, &w.job);
    while (sem_wait(&w.ready) != 0)
        ;
    sem_destroy(&w.ready);
    job->result = w.job.result;
    return job->result;
}

void writer_want_reserve(struct store *store)
{
    pthread_mutex_lock(&store->queue_lock);
    store->reserve_wanted = true;
    pthread_cond_signal(&store->queue_wake);
    pthread_mutex_unlock(&store->queue_lock);
}

/* The oldest job that waits, in microseconds; 0 when none does. */
static int64_t oldest_us(const struct store *store)
{
    int64_t oldest = 0;
    if (store->queue.head)
        oldest = job_of(store->queue.head)->queued_us;
    if (store->purges.head) {
        int64_t purge = job_of(store->purges.head)->queued_us;
        if (!oldest || purge < oldest)
            oldest = purge;
    }
    return oldest;
}

/* 0: without end. Relative, since tests move clock_mono_us. */
static void wait_us(struct store *store, int64_t us)
{
    struct timespec at;

    store->waiting = true;
    if (us == 0) {
        (void)pthread_cond_wait(&store->queue_wake, &store->queue_lock);
    } else {
        clock_gettime(CLOCK_MONOTONIC, &at);
        int64_t ns = at.tv_nsec + us * 1000;
        at.tv_sec += ns / 1000000000;
        at.tv_nsec = ns % 1000000000;
        (void)pthread_cond_timedwait(&store->queue_wake, &store->queue_lock, &at);
    }
    store->waiting = false;
}

/* Waits for work and takes a batch; false when the store stops and nothing is left. */
static bool take_batch(struct store *store, struct store_job **batch, size_t *n)
{
    *n = 0;
    pthread_mutex_lock(&store->queue_lock);
    for (;;) {
        int64_t oldest = oldest_us(store);
        if (store->queue.count >= STORE_COMMIT_JOBS || store->stopping || store->reserve_wanted)
            break;
        if (!oldest) {
            wait_us(store, 0);
            continue;
        }
        int64_t due = oldest + STORE_COMMIT_MS * 1000;
        int64_t left = due - clock_mono_us();
        if (left <= 0)
            break;
        wait_us(store, left);
    }
    while (*n < STORE_COMMIT_JOBS && store->queue.head)
        batch[(*n)++] = list_take(&store->queue);
    /* One purge a turn, behind the others: it must not delay intake. */
    if (store->purges.head)
        batch[(*n)++] = list_take(&store->purges);
    bool more = *n > 0 || store->reserve_wanted || !store->stopping;
    store->reserve_wanted = false;
    pthread_mutex_unlock(&store->queue_lock);
    return more;
}

enum run_outcome { RUN_WHOLE, RUN_AGAIN };

/* Runs what has no result yet. A job that fails after it has changed something takes the
 * transaction with it: the rest is run again without it. */
static enum run_outcome run_jobs(struct store_txn *txn, struct store_job **batch, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct store_job *job = batch[i];
        if (job->result)
            continue;
        txn->error = txn->failure = 0;
        txn->changed = false;
        int rc = job->run(txn, job);
        if (rc && !txn->error)
            txn->error = rc;
        if (!txn->error)
            continue;
        job->result = txn->error;
        if (txn->changed)
            return RUN_AGAIN;
    }
    return RUN_WHOLE;
}

static void fail_rest(struct store_job **batch, size_t n, int error)
{
    for (size_t i = 0; i < n; i++)
        if (!batch[i]->result)
            batch[i]->result = error;
}

/* Leaves each job with its result. */
static void commit_batch(struct store *store, struct store_job **batch, size_t n)
{
    struct store_txn *txn = &store->txn;

    for (;;) {
        int rc = txn_begin(txn);
        if (rc) {
            fail_rest(batch, n, env_error(rc));
            return;
        }
        if (run_jobs(txn, batch, n) == RUN_AGAIN) {
            txn_abort(txn);
            continue;
        }
        txn->error = txn->failure = 0;
        rc = txn_flush(txn);
        if (rc) {
            txn_abort(txn);
            fail_rest(batch, n, rc);
            return;
        }
        rc = txn_commit(txn);
        if (rc)
            fail_rest(batch, n, env_error(rc));
        return;
    }
}

static void *writer_main(void *arg)
{
    struct store *store = arg;
    struct store_job *batch[STORE_COMMIT_JOBS + 1];
    size_t n;

    while (take_batch(store, batch, &n)) {
        commit_batch(store, batch, n);
        atomic_fetch_add(&store->jobs, n);
        for (size_t i = 0; i < n; i++)
            batch[i]->done(batch[i]);
    }
    return NULL;
}

int writer_start(struct store *store)
{
    list_init(&store->queue);
    list_init(&store->purges);
    int rc = txn_init(&store->txn, store);
    if (rc)
        return rc;
    if (pthread_create(&store->writer, NULL, writer_main, store) != 0)
        return SLUIS_ESYS;
    store->writer_started = true;
    return 0;
}

void writer_stop(struct store *store)
{
    pthread_mutex_lock(&store->queue_lock);
    store->stopping = true;
    pthread_cond_signal(&store->queue_wake);
    pthread_mutex_unlock(&store->queue_lock);
    if (store->writer_started)
        pthread_join(store->writer, NULL);
    store->writer_started = false;
}

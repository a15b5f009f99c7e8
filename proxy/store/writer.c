/* The writer thread: takes jobs, commits them together, completes each with its own result. */
#include "internal.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

#include "sluis/base/clock.h"

/* Jobs that may in turn find the map full before the rest of their commit is refused with them:
 * past the marks this is rare, and each costs a run of all others. */
#define FULL_RERUNS 3

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

/* True when the time has passed; 0: without end. Relative, since tests move clock_mono_us. */
static bool wait_us(struct store *store, int64_t us)
{
    struct timespec at;
    int rc;

    store->waiting = true;
    if (us == 0) {
        rc = pthread_cond_wait(&store->queue_wake, &store->queue_lock);
    } else {
        clock_gettime(CLOCK_MONOTONIC, &at);
        int64_t ns = at.tv_nsec + us * 1000;
        at.tv_sec += ns / 1000000000;
        at.tv_nsec = ns % 1000000000;
        rc = pthread_cond_timedwait(&store->queue_wake, &store->queue_lock, &at);
    }
    store->waiting = false;
    return rc == ETIMEDOUT;
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
            if (wait_us(store, atomic_load(&store->state) == STORE_FULL ? FULL_RETRY_MS * 1000 : 0))
                break; /* full: time for another attempt */
            continue;
        }
        int64_t due = oldest + STORE_COMMIT_MS * 1000;
        int64_t left = due - clock_mono_us();
        if (left <= 0)
            break;
        (void)wait_us(store, left);
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

static void fail_rest(struct store_job **batch, size_t n, int error)
{
    for (size_t i = 0; i < n; i++)
        if (!batch[i]->result)
            batch[i]->result = error;
}

/* False for an empty batch: it has the reserve to write. */
static bool all_failed(struct store_job **batch, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!batch[i]->result)
            return false;
    return n > 0;
}

/* One job in the transaction at hand; false when the transaction must be thrown away. */
static bool run_job(struct store_txn *txn, struct store_job *job)
{
    txn->error = txn->failure = 0;
    txn->changed = false;
    int rc = recover_refusal(txn->store, job->priority);
    if (!rc) {
        rc = job->run(txn, job);
        if (rc && !txn->error)
            txn->error = rc < 0 ? rc : SLUIS_EINVAL;
        rc = txn->error;
    }
    job->result = rc;
    return !rc || !txn->changed;
}

/* Runs what has no result yet, until the transaction has enough: returns how far it came. A job
 * that fails after it has changed something takes the transaction with it (*spoilt): the others are
 * then run again without it. */
static size_t run_jobs(struct store_txn *txn, struct store_job **batch, size_t n, bool *spoilt)
{
    size_t i = 0;

    *spoilt = false;
    for (; i < n && !*spoilt && !txn_is_full(txn); i++)
        if (!batch[i]->result)
            *spoilt = !run_job(txn, batch[i]);
    return i;
}

/* Gives the first jobs of the batch, at least one, their results; returns how many. *kind tells
 * what a failure means for the store; the caller deals with it when the jobs are done with. */
static size_t commit_some(struct store *store, struct store_job **batch, size_t n,
                          enum failure *kind)
{
    struct store_txn *txn = &store->txn;
    unsigned full = 0;
    bool spoilt;
    size_t end = n;

    for (;;) {
        int rc = store->env ? txn_begin(txn) : MDB_PANIC;
        if (!rc) {
            end = run_jobs(txn, batch, n, &spoilt);
            int failure = txn->failure;
            if (spoilt) {
                txn_abort(txn);
                *kind = recover_kind(store, failure);
                if (*kind == FAILURE_JOB || (*kind == FAILURE_FULL && ++full <= FULL_RERUNS))
                    continue;
                fail_rest(batch, n, env_error(failure));
                return n;
            }
            if (all_failed(batch, end)) {
                txn_abort(txn);
                *kind = FAILURE_JOB;
                return end;
            }
            txn->error = txn->failure = 0;
            int error = txn_flush(txn);
            rc = txn->failure;
            if (error)
                txn_abort(txn);
            else
                rc = txn_commit(txn);
            if (error && !rc) {
                fail_rest(batch, end, error); /* the seal said no */
                *kind = FAILURE_JOB;
                return end;
            }
        }
        *kind = recover_kind(store, rc);
        if (rc)
            fail_rest(batch, end, *kind == FAILURE_FULL ? SLUIS_EFULL : env_error(rc));
        return end;
    }
}

static void commit_batch(struct store *store, struct store_job **batch, size_t n)
{
    size_t done = 0;

    do {
        enum failure kind = FAILURE_JOB;
        size_t end = done;
        if (store->env && atomic_load(&store->state) != STORE_SEALED) {
            end += commit_some(store, batch + done, n - done, &kind);
        } else {
            for (; end < n; end++)
                batch[end]->result = recover_refusal(store, batch[end]->priority);
        }
        recover_mark(store, kind);
        atomic_fetch_add(&store->jobs, end - done);
        for (; done < end; done++)
            batch[done]->done(batch[done]);
        recover_after(store, kind);
    } while (done < n);
}

static void *writer_main(void *arg)
{
    struct store *store = arg;
    struct store_job *batch[STORE_COMMIT_JOBS + 1];
    size_t n;

    while (take_batch(store, batch, &n)) {
        recover_retry(store);
        commit_batch(store, batch, n);
        if (store->env)
            space_measure(store, false);
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

/*
 * The pool: one thread, one zygote, jobs by number. The thread sleeps in poll on its wake-up and on
 * the zygote's socket; jobs wait in `queue` (under the lock) and run in `under_way` (the thread's
 * own).
 */
#include "pool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sluis/base/buffer.h"

#define START_MS 60000 /* loading, verifying and one blank run, on a busy machine */
#define GRACE_MS 5000  /* the zygote kills a late child itself; past this it is killed too */
/* After a start that failed, or when zygotes die one after another without a picture done: twice as
 * long each time. Until then pictures are withheld at once. */
#define RETRY_MS 1000
#define RETRY_MAX_MS 60000
#define DEATHS_FREE 2 /* so many in a row are started again at once: a picture is tried twice */
#define WORKERS_MAX 16
#define TRIES_MAX 2 /* a job whose zygote died is tried once more */
#define SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

enum state { DOWN, STARTING, UP };

struct picture_pool {
    pthread_t thread;
    pthread_mutex_t lock;
    int wake;

    /* under the lock */
    struct picture_job *queue, **queue_end;
    uint64_t queued;
    bool stopping, warm;
    struct buffer settings; /* for the next zygote */
    uint64_t epoch;         /* counts changes of the settings */
    struct picture_pool_status status;

    /* the thread's own */
    struct pool_spawn spawn;
    enum state state;
    int socket;
    pid_t pid;
    uint64_t zygote_epoch;
    int64_t started_ms, retry_ms;
    enum picture_reason down_reason; /* why jobs are refused until retry_ms */
    unsigned forks, forks_max, workers, wall_ms;
    unsigned deaths; /* zygotes that died or did not start since a picture was done */
    struct picture_job *under_way;
    unsigned under_way_count;
    uint64_t next_id;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void wake(struct picture_pool *pool)
{
    uint64_t one = 1;
    while (write(pool->wake, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

int picture_memfd(struct span bytes, int *out)
{
    *out = -1;
    if (bytes.n > PICTURE_IN_MAX)
        return SLUIS_ELIMIT;
    int fd = memfd_create("sluis-picture", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return SLUIS_ESYS;
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        bytes = span_from(bytes, (size_t)n);
    }
    if (bytes.n || fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
        close(fd);
        return SLUIS_ESYS;
    }
    *out = fd;
    return 0;
}

void picture_verdict_free(struct picture_verdict *verdict)
{
    if (verdict->text.n)
        sodium_memzero((void *)(uintptr_t)verdict->text.p, verdict->text.n);
    free((void *)(uintptr_t)verdict->text.p);
    free(verdict->findings);
    if (verdict->fd >= 0)
        close(verdict->fd);
    memset(verdict, 0, sizeof *verdict);
    verdict->fd = -1;
    verdict->reason = PICTURE_FAILED;
    verdict->classes = 1u << PICTURE_CLASS_UNKNOWN;
}

/* ---- the end of a job ---- */

static void verdict_withhold(struct picture_verdict *v, enum picture_reason reason)
{
    v->fd = -1;
    picture_verdict_free(v);
    v->reason = reason;
}

static void finish(struct picture_pool *pool, struct picture_job *job)
{
    close_fd(&job->in);
    close_fd(&job->result);
    close_fd(&job->picture);
    pthread_mutex_lock(&pool->lock);
    pool->status.done++;
    if (job->verdict.outcome == PICTURE_WITHHELD)
        pool->status.withheld++;
    if (job->verdict.reason == PICTURE_DIED)
        pool->status.died++;
    pthread_mutex_unlock(&pool->lock);
    job->done(job);
}

static void fail(struct picture_pool *pool, struct picture_job *job, enum picture_reason reason)
{
    verdict_withhold(&job->verdict, reason);
    finish(pool, job);
}

/* Seals what the child wrote and maps it. SLUIS_EINVAL when it is not as it must be. */
static int map_sealed(int fd, size_t most, struct span *out)
{
    struct stat st;
    *out = SPAN_EMPTY;
    if (fcntl(fd, F_ADD_SEALS, SEALS) != 0)
        return SLUIS_EINVAL;
    if (fstat(fd, &st) != 0 || st.st_size < 0 || (uint64_t)st.st_size > most)
        return SLUIS_EINVAL;
    if (st.st_size == 0)
        return 0;
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return SLUIS_ENOMEM;
    *out = span_of(p, (size_t)st.st_size);
    return 0;
}

static void unmap(struct span s)
{
    if (s.p)
        munmap((void *)(uintptr_t)s.p, s.n);
}

/* What the child left behind becomes the verdict; what does not hold is withheld. */
static void conclude(struct picture_pool *pool, struct picture_job *job, int status)
{
    struct span result, picture = SPAN_EMPTY;
    struct picture_verdict *v = &job->verdict;
    verdict_withhold(v, PICTURE_DIED);
    if (status == -1 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)) {
        v->reason = PICTURE_LATE;
        finish(pool, job);
        return;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 ||
        map_sealed(job->result, WIRE_RESULT_MAX, &result) != 0) {
        finish(pool, job);
        return;
    }
    int error = wire_result_read(result, job->id, v);
    unmap(result);
    if (!error && v->outcome != PICTURE_WITHHELD) {
        error = map_sealed(job->picture, PICTURE_OUT_MAX, &picture);
        if (!error && picture_kind_of(picture) != v->kind)
            error = SLUIS_EINVAL;
        if (!error) {
            crypto_hash_sha256(v->sha256, (const unsigned char *)picture.p, picture.n);
            v->n = picture.n;
            v->fd = job->picture;
            job->picture = -1;
        }
        unmap(picture);
    }
    if (error) {
        picture_verdict_free(v);
        v->reason = error == SLUIS_ENOMEM ? PICTURE_FAILED : PICTURE_DIED;
    }
    finish(pool, job);
}

/* ---- the zygote ---- */

/* Jobs that ran under a zygote that is gone: once more, or the end. */
static void orphans(struct picture_pool *pool, bool stopping)
{
    struct picture_job *list = pool->under_way;
    pool->under_way = NULL;
    pool->under_way_count = 0;
    while (list) {
        struct picture_job *job = list;
        list = job->next;
        close_fd(&job->result);
        close_fd(&job->picture);
        bool late = now_ms() - job->began_ms >= (int64_t)pool->wall_ms;
        if (stopping || late || job->tries >= TRIES_MAX) {
            fail(pool, job, stopping ? PICTURE_STOPPED : late ? PICTURE_LATE : PICTURE_DIED);
            continue;
        }
        pthread_mutex_lock(&pool->lock);
        job->next = pool->queue;
        if (!pool->queue)
            pool->queue_end = &job->next;
        pool->queue = job;
        pool->queued++;
        pthread_mutex_unlock(&pool->lock);
    }
}

static void zygote_stop(struct picture_pool *pool, bool kill_it)
{
    if (pool->state == DOWN)
        return;
    close_fd(&pool->socket); /* ends it */
    if (kill_it)
        kill(-pool->pid, SIGKILL); /* its group: its children too */
    int status;
    int64_t until = now_ms() + GRACE_MS;
    while (waitpid(pool->pid, &status, WNOHANG) == 0) {
        struct timespec pause = {.tv_nsec = 2000000};
        nanosleep(&pause, NULL);
        if (now_ms() > until)
            kill(-pool->pid, SIGKILL);
    }
    pool->state = DOWN;
    pthread_mutex_lock(&pool->lock);
    pool->status.running = false;
    pthread_mutex_unlock(&pool->lock);
}

/* One more that came to nothing: when is the next one tried? */
static void back_off(struct picture_pool *pool, unsigned free_tries, enum picture_reason reason)
{
    int64_t pause = RETRY_MS;
    pool->deaths++;
    pool->down_reason = reason;
    if (pool->deaths <= free_tries)
        return;
    for (unsigned i = free_tries + 1; i < pool->deaths && pause < RETRY_MAX_MS; i++)
        pause *= 2;
    pool->retry_ms = now_ms() + (pause < RETRY_MAX_MS ? pause : RETRY_MAX_MS);
}

static void start_failed(struct picture_pool *pool, enum picture_reason reason, const char *problem)
{
    zygote_stop(pool, true);
    back_off(pool, 0, reason);
    pthread_mutex_lock(&pool->lock);
    pool->status.engine = PICTURE_ENGINE_NONE;
    if (problem) {
        size_t n = strnlen(problem, sizeof pool->status.problem - 1);
        memcpy(pool->status.problem, problem, n);
        pool->status.problem[n] = 0;
    }
    pthread_mutex_unlock(&pool->lock);
}

static void zygote_start(struct picture_pool *pool)
{
    int settings = -1;
    pthread_mutex_lock(&pool->lock);
    int error = picture_memfd(buffer_span(&pool->settings), &settings);
    pool->zygote_epoch = pool->epoch;
    pool->status.starts++;
    pool->warm = false;
    pthread_mutex_unlock(&pool->lock);
    if (!error)
        error = pool_spawn_start(&pool->spawn, &pool->pid, &pool->socket);
    if (error) {
        close_fd(&settings);
        start_failed(pool, PICTURE_NO_WORKER, "sluis-media cannot be started");
        return;
    }
    pool->state = STARTING;
    pool->started_ms = now_ms();
    pool->forks = 0;
    struct wire_message message = {
        .magic = WIRE_MAGIC, .version = WIRE_VERSION, .kind = WIRE_SETTINGS};
    if (wire_send(pool->socket, &message, &settings, 1) != 0)
        start_failed(pool, PICTURE_NO_WORKER, "sluis-media does not answer");
    close_fd(&settings);
}

static void on_ready(struct picture_pool *pool, const struct wire_message *m)
{
    pthread_mutex_lock(&pool->lock);
    struct picture_pool_status *s = &pool->status;
    s->engine = m->engine <= PICTURE_ENGINE_TESSERACT ? (enum picture_engine)m->engine
                                                      : PICTURE_ENGINE_NONE;
    s->landlock = m->landlock;
    s->seccomp = m->seccomp != 0;
    memcpy(s->versions, m->versions, sizeof s->versions);
    memcpy(s->problem, m->problem, sizeof s->problem);
    bool usable = s->engine != PICTURE_ENGINE_NONE && s->seccomp;
    s->running = usable;
    pthread_mutex_unlock(&pool->lock);
    if (usable)
        pool->state = UP;
    else
        start_failed(pool, PICTURE_NO_ENGINE, NULL);
}

static void on_done(struct picture_pool *pool, const struct wire_message *m)
{
    for (struct picture_job **at = &pool->under_way; *at; at = &(*at)->next) {
        struct picture_job *job = *at;
        if (job->id != m->job)
            continue;
        *at = job->next;
        pool->under_way_count--;
        pool->deaths = 0;
        conclude(pool, job, m->status);
        return;
    }
}

static void on_socket(struct picture_pool *pool)
{
    struct wire_message message;
    unsigned count;
    int error = wire_receive(pool->socket, &message, NULL, 0, &count);
    if (error == SLUIS_EAGAIN)
        return;
    if (error) {
        bool starting = pool->state == STARTING;
        zygote_stop(pool, true);
        if (starting)
            start_failed(pool, PICTURE_NO_WORKER, "sluis-media ended while it started");
        else
            back_off(pool, DEATHS_FREE, PICTURE_DIED);
        orphans(pool, false);
    } else if (message.kind == WIRE_READY && pool->state == STARTING) {
        on_ready(pool, &message);
    } else if (message.kind == WIRE_DONE && pool->state == UP) {
        on_done(pool, &message);
    }
}

/* ---- handing out ---- */

static int job_files(struct picture_job *job)
{
    job->result = memfd_create("sluis-result", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    job->picture = memfd_create("sluis-picture", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return job->result < 0 || job->picture < 0 ? SLUIS_ESYS : 0;
}

static void hand_out(struct picture_pool *pool, struct picture_job *job)
{
    struct stat st;
    if (fstat(job->in, &st) != 0 || st.st_size <= 0) {
        fail(pool, job, PICTURE_NOT_PICTURE);
        return;
    }
    if (st.st_size > PICTURE_IN_MAX) {
        fail(pool, job, PICTURE_TOO_LARGE);
        return;
    }
    if (job_files(job) != 0) {
        fail(pool, job, PICTURE_FAILED);
        return;
    }
    job->id = ++pool->next_id;
    job->tries++;
    job->began_ms = now_ms();
    struct wire_message message = {.magic = WIRE_MAGIC,
                                   .version = WIRE_VERSION,
                                   .kind = WIRE_JOB,
                                   .job = job->id,
                                   .policy = job->policy,
                                   .wall_ms = pool->wall_ms};
    int fds[3] = {job->in, job->result, job->picture};
    job->next = pool->under_way;
    pool->under_way = job;
    pool->under_way_count++;
    pool->forks++;
    if (wire_send(pool->socket, &message, fds, 3) != 0) {
        zygote_stop(pool, true);
        orphans(pool, false);
    }
}

static struct picture_job *take_job(struct picture_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct picture_job *job = pool->queue;
    if (job) {
        pool->queue = job->next;
        if (!pool->queue)
            pool->queue_end = &pool->queue;
        pool->queued--;
    }
    pthread_mutex_unlock(&pool->lock);
    return job;
}

/* One turn: starts, replaces or feeds the zygote. */
static void turn(struct picture_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool wanted = pool->queue || pool->warm;
    uint64_t epoch = pool->epoch;
    pthread_mutex_unlock(&pool->lock);
    struct picture_job *job;
    if (pool->state == UP && (pool->forks >= pool->forks_max || epoch != pool->zygote_epoch)) {
        if (pool->under_way_count)
            return; /* what runs ends first */
        zygote_stop(pool, false);
    }
    if (pool->state == DOWN && wanted) {
        if (now_ms() >= pool->retry_ms)
            zygote_start(pool);
        if (pool->state == DOWN)
            while ((job = take_job(pool)) != NULL)
                fail(pool, job, pool->down_reason);
    }
    while (pool->state == UP && pool->under_way_count < pool->workers &&
           pool->forks < pool->forks_max && (job = take_job(pool)) != NULL)
        hand_out(pool, job);
}

/* Milliseconds until something is overdue, -1 for never; what is overdue now is ended. */
static int overdue(struct picture_pool *pool)
{
    int64_t now = now_ms(), first = INT64_MAX;
    if (pool->state == STARTING) {
        first = pool->started_ms + START_MS;
        if (first <= now) {
            start_failed(pool, PICTURE_NO_WORKER, "sluis-media did not become ready");
            return 0;
        }
    }
    for (struct picture_job *job = pool->under_way; job; job = job->next) {
        int64_t end = job->began_ms + pool->wall_ms + GRACE_MS;
        if (end <= now) {
            zygote_stop(pool, true);
            back_off(pool, DEATHS_FREE, PICTURE_DIED);
            orphans(pool, false);
            return 0;
        }
        first = end < first ? end : first;
    }
    return first == INT64_MAX ? -1 : (int)(first - now) + 1;
}

static void stop(struct picture_pool *pool)
{
    struct picture_job *job;
    zygote_stop(pool, true);
    orphans(pool, true);
    while ((job = take_job(pool)) != NULL)
        fail(pool, job, PICTURE_STOPPED);
}

static void *run(void *context)
{
    struct picture_pool *pool = context;
    for (;;) {
        turn(pool);
        pthread_mutex_lock(&pool->lock);
        bool stopping = pool->stopping;
        pool->status.waiting = pool->queued;
        pool->status.under_way = pool->under_way_count;
        pthread_mutex_unlock(&pool->lock);
        if (stopping)
            break;
        int wait_ms = overdue(pool);
        struct pollfd fds[2] = {{.fd = pool->wake, .events = POLLIN},
                                {.fd = pool->socket, .events = POLLIN}};
        if (poll(fds, pool->state == DOWN ? 1 : 2, wait_ms) < 0)
            continue;
        uint64_t count;
        if (fds[0].revents && read(pool->wake, &count, sizeof count) < 0)
            continue;
        if (pool->state != DOWN && fds[1].revents)
            on_socket(pool);
    }
    stop(pool);
    return NULL;
}

/* ---- the door ---- */

static bool listed(const struct picture_detect *list, size_t n, uint64_t key)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].key == key)
            return true;
    return false;
}

/* The settings as the zygote gets them. What is the same as before replaces nothing. */
static int set_settings(struct picture_pool *pool, const struct picture_detect *list, size_t n)
{
    struct buffer bytes;
    size_t kept = 0;
    int error = 0;
    buffer_init(&bytes, PICTURE_DETECT_BYTES);
    for (size_t i = 0; i < n && !error; i++) {
        if (listed(list, i, list[i].key))
            continue;
        error = ++kept > PICTURE_DETECT_MAX
                    ? SLUIS_ELIMIT
                    : wire_detect_add(list[i].key, list[i].settings, &bytes);
    }
    if (error) {
        buffer_free(&bytes);
        return error;
    }
    pthread_mutex_lock(&pool->lock);
    if (span_eq(buffer_span(&pool->settings), buffer_span(&bytes))) {
        buffer_free(&bytes);
    } else {
        buffer_free(&pool->settings);
        pool->settings = bytes;
        pool->epoch++;
    }
    pthread_mutex_unlock(&pool->lock);
    return 0;
}

/* One policy's, or the defaults, under key 0. */
static int set_one(struct picture_pool *pool, const struct detect_settings *settings)
{
    struct detect_settings fallback;
    detect_settings_default(&fallback);
    return set_settings(pool, &(struct picture_detect){0, settings ? settings : &fallback}, 1);
}

static unsigned default_workers(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > WORKERS_MAX ? WORKERS_MAX : n > 1 ? (unsigned)n - 1 : 1;
}

int picture_pool_new(const struct picture_pool_options *options, struct picture_pool **out)
{
    *out = NULL;
    if (options->workers > WORKERS_MAX)
        return SLUIS_EINVAL;
    struct picture_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return SLUIS_ENOMEM;
    pthread_mutex_init(&pool->lock, NULL);
    pool->queue_end = &pool->queue;
    pool->socket = pool->wake = -1;
    pool->workers = options->workers ? options->workers : default_workers();
    pool->wall_ms = options->wall_ms ? options->wall_ms : PICTURE_WALL_MS;
    pool->forks_max = options->forks ? options->forks : PICTURE_FORKS_MAX;
    pool->status.workers = pool->workers;
    buffer_init(&pool->settings, PICTURE_DETECT_BYTES);
    int error = pool_spawn_init(&pool->spawn, options->program, options->models);
    if (!error)
        error = set_one(pool, options->detect);
    if (!error && (pool->wake = eventfd(0, EFD_CLOEXEC)) < 0)
        error = SLUIS_ESYS;
    sigset_t all, old; /* signals are for the program's other threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (!error && pthread_create(&pool->thread, NULL, run, pool) != 0)
        error = SLUIS_ESYS;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error) {
        close_fd(&pool->wake);
        pool_spawn_free(&pool->spawn);
        buffer_free(&pool->settings);
        pthread_mutex_destroy(&pool->lock);
        free(pool);
        return error;
    }
    pthread_setname_np(pool->thread, "sluis-picture");
    *out = pool;
    return 0;
}

void picture_pool_free(struct picture_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_mutex_unlock(&pool->lock);
    wake(pool);
    pthread_join(pool->thread, NULL);
    close_fd(&pool->wake);
    pool_spawn_free(&pool->spawn);
    buffer_free(&pool->settings);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void picture_pool_warm(struct picture_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->warm = true;
    pthread_mutex_unlock(&pool->lock);
    wake(pool);
}

int picture_pool_detect(struct picture_pool *pool, const struct picture_detect *list, size_t n)
{
    int error = n ? set_settings(pool, list, n) : set_one(pool, NULL);
    if (!error)
        wake(pool);
    return error;
}

int picture_submit(struct picture_pool *pool, struct picture_job *job)
{
    int seals = fcntl(job->in, F_GET_SEALS);
    if (seals < 0)
        return SLUIS_EINVAL;
    if ((seals & (SEALS ^ F_SEAL_SEAL)) != (SEALS ^ F_SEAL_SEAL) &&
        fcntl(job->in, F_ADD_SEALS, SEALS ^ F_SEAL_SEAL) != 0)
        return SLUIS_EINVAL; /* somebody can still write to it */
    int error = 0;
    memset(&job->verdict, 0, sizeof job->verdict);
    job->verdict.fd = job->result = job->picture = -1;
    job->tries = 0;
    job->next = NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->stopping) {
        error = SLUIS_ECLOSED;
    } else if (pool->queued >= PICTURE_QUEUE_MAX) {
        error = SLUIS_ELIMIT;
    } else {
        *pool->queue_end = job;
        pool->queue_end = &job->next;
        pool->queued++;
    }
    pthread_mutex_unlock(&pool->lock);
    if (!error)
        wake(pool);
    return error;
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    bool done;
};

static void waiter_done(struct picture_job *job)
{
    struct waiter *w = job->context;
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->arrived);
    pthread_mutex_unlock(&w->lock);
}

void picture_inspect(struct picture_pool *pool, int in, const struct picture_policy *policy,
                     struct picture_verdict *out)
{
    struct waiter w = {.done = false};
    struct picture_job job = {.in = in, .policy = *policy, .done = waiter_done, .context = &w};
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.arrived, NULL);
    int error = picture_submit(pool, &job);
    if (error) {
        verdict_withhold(&job.verdict, error == SLUIS_ELIMIT ? PICTURE_BUSY : PICTURE_FAILED);
        close_fd(&job.in);
    } else {
        pthread_mutex_lock(&w.lock);
        while (!w.done)
            pthread_cond_wait(&w.arrived, &w.lock);
        pthread_mutex_unlock(&w.lock);
    }
    pthread_cond_destroy(&w.arrived);
    pthread_mutex_destroy(&w.lock);
    *out = job.verdict;
}

int picture_sheet(struct picture_pool *pool, const struct picture_pair *pairs, size_t n,
                  struct picture_verdict *out)
{
    struct picture_policy policy = {.sheet = true};
    struct buffer bytes;
    int fd = -1;
    memset(out, 0, sizeof *out);
    out->fd = -1;
    if (n == 0 || n > PICTURE_SHEET_MAX)
        return SLUIS_ELIMIT;
    buffer_init(&bytes, PICTURE_IN_MAX);
    for (size_t i = 0; i < n; i++) {
        buffer_add_be32(&bytes, (uint32_t)pairs[i].before.n);
        buffer_add_be32(&bytes, (uint32_t)pairs[i].after.n);
        buffer_add(&bytes, pairs[i].before);
        buffer_add(&bytes, pairs[i].after);
    }
    int error = bytes.error ? bytes.error : picture_memfd(buffer_span(&bytes), &fd);
    buffer_free(&bytes);
    if (error)
        return error;
    picture_inspect(pool, fd, &policy, out);
    return out->outcome == PICTURE_CLEAN ? 0 : SLUIS_EJUDGE;
}

void picture_pool_status(struct picture_pool *pool, struct picture_pool_status *out)
{
    pthread_mutex_lock(&pool->lock);
    *out = pool->status;
    out->waiting = pool->queued;
    pthread_mutex_unlock(&pool->lock);
}

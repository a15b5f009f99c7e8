/*
 * The zygote: loads everything, never sees a picture, forks a child for each. It has one thread,
 * which it asserts before it says READY: a fork of a process with threads keeps locks that nobody
 * opens.
 */
#include "zygote.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sandbox.h"
#include "sluis/base/arena.h"
#include "wire.h"

#define CHILDREN_MAX 16
#define PATH_BYTES 4096

struct child {
    pid_t pid; /* 0: free */
    int pidfd;
    uint64_t job;
    int64_t until_ms;
    bool late;
};
struct zygote {
    struct vision *vision;
    struct child child[CHILDREN_MAX];
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

const char *models_folder(char *out, size_t size)
{
    const char *given = getenv("SLUIS_MODELS");
    char self[PATH_BYTES];
    if (given)
        return *given ? given : NULL;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    for (int up = 0; n > 0 && up < 3; up++) { /* build/dev/bin/sluis-media -> build */
        self[n] = 0;
        char *slash = strrchr(self, '/');
        n = slash ? slash - self : 0;
    }
    self[n > 0 ? n : 0] = 0;
    snprintf(out, size, "%s/models", self);
    if (n > 0 && access(out, R_OK) == 0)
        return out;
    snprintf(out, size, "/usr/lib/sluis/models");
    return access(out, R_OK) == 0 ? out : NULL;
}

static unsigned threads(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/task");
    if (!d)
        return 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* A file that came by descriptor, mapped for reading. */
static struct span map_file(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > (off_t)PICTURE_IN_MAX)
        return SPAN_EMPTY;
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    return p == MAP_FAILED ? SPAN_EMPTY : span_of(p, (size_t)st.st_size);
}

/* ---- the child ---- */

static bool put(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n) {
        ssize_t k = write(fd, at, n);
        if (k <= 0)
            return false;
        at += k;
        n -= (size_t)k;
    }
    return true;
}

static bool put_result(int fd, uint64_t job, const struct picture_verdict *v)
{
    struct wire_result r = {.magic = WIRE_MAGIC,
                            .version = WIRE_VERSION,
                            .job = job,
                            .outcome = v->outcome,
                            .reason = v->reason,
                            .classes = v->classes,
                            .in = v->in,
                            .kind = v->kind,
                            .width = v->width,
                            .height = v->height,
                            .engine = v->engine,
                            .passes = v->passes,
                            .ms = v->ms,
                            .peak_kib = v->peak_kib,
                            .findings = (uint32_t)v->finding_count,
                            .text = (uint32_t)v->text.n};
    return put(fd, &r, sizeof r) && put(fd, v->findings, v->finding_count * sizeof *v->findings) &&
           put(fd, v->text.p, v->text.n);
}

__attribute__((noreturn)) static void child(struct vision *vision, const struct wire_message *m,
                                            const int fds[3])
{
    struct picture_verdict v;
    struct buffer out;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct span bytes = map_file(fds[0]);
    /* nothing but the two outputs stays open; standard error too would leave the sandbox */
    if (dup2(fds[1], 0) != 0 || dup2(fds[2], 1) != 1 || syscall(SYS_close_range, 2u, ~0u, 0u) != 0)
        _exit(2);
    if (sandbox_limits() != 0 || sandbox_seccomp() != 0)
        _exit(3);
#ifdef SLUIS_ESCAPES
    escape_try(bytes);
#endif
    buffer_init(&out, PICTURE_OUT_MAX);
    if (m->policy.sheet) {
        vision_sheet(bytes, &v, &out);
        v.engine = vision_engine(vision); /* what the door asks of every reply */
    } else {
        vision_inspect(vision, bytes, &m->policy, &v, &out);
    }
    bool written =
        put_result(0, m->job, &v) && (v.outcome == PICTURE_WITHHELD || put(1, out.p, out.n));
    _exit(written ? 0 : 4);
}

/* ---- the zygote ---- */

static struct child *free_child(struct zygote *z)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (z->child[i].pid == 0)
            return &z->child[i];
    return NULL;
}

static int tell_done(uint64_t job, int status)
{
    struct wire_message done = {.magic = WIRE_MAGIC,
                                .version = WIRE_VERSION,
                                .kind = WIRE_DONE,
                                .job = job,
                                .status = status};
    return wire_send(WIRE_FD, &done, NULL, 0);
}

static int on_job(struct zygote *z, const struct wire_message *m, const int fds[3])
{
    struct child *c = free_child(z);
    pid_t pid = c ? fork() : -1;
    if (pid == 0)
        child(z->vision, m, fds);
    if (pid < 0)
        return tell_done(m->job, 2 << 8); /* as an exit code */
    *c = (struct child){.pid = pid,
                        .pidfd = (int)syscall(SYS_pidfd_open, pid, 0),
                        .job = m->job,
                        .until_ms = now_ms() + m->wall_ms};
    return 0;
}

static int on_socket(struct zygote *z)
{
    struct wire_message m;
    int fds[3];
    unsigned count;
    int error = wire_receive(WIRE_FD, &m, fds, 3, &count);
    if (!error)
        error = m.kind == WIRE_JOB && count == 3 ? on_job(z, &m, fds) : SLUIS_EINVAL;
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    return error;
}

static int reap(struct child *c)
{
    int status;
    if (waitpid(c->pid, &status, WNOHANG) != c->pid)
        return 0;
    int error = tell_done(c->job, c->late ? -1 : status);
    if (c->pidfd >= 0)
        close(c->pidfd);
    memset(c, 0, sizeof *c);
    return error;
}

static int serve(struct zygote *z)
{
    for (;;) {
        struct pollfd fds[CHILDREN_MAX + 1] = {{.fd = WIRE_FD, .events = POLLIN}};
        int wait_ms = -1;
        for (unsigned i = 0; i < CHILDREN_MAX; i++) {
            struct child *c = &z->child[i];
            fds[i + 1] = (struct pollfd){.fd = c->pid ? c->pidfd : -1, .events = POLLIN};
            if (!c->pid)
                continue;
            int64_t left = c->until_ms - now_ms();
            if (left <= 0 && !c->late) {
                c->late = true;
                kill(c->pid, SIGKILL);
            }
            int next =
                left <= 0 ? 50 : (int)left; /* 50: looked at again although a pidfd is not there */
            wait_ms = wait_ms < 0 || next < wait_ms ? next : wait_ms;
        }
        if (poll(fds, CHILDREN_MAX + 1, wait_ms) < 0 && errno != EINTR)
            return SLUIS_ESYS;
        int error = 0;
        for (unsigned i = 0; i < CHILDREN_MAX && !error; i++)
            if (z->child[i].pid)
                error = reap(&z->child[i]);
        if (!error && fds[0].revents)
            error = on_socket(z);
        if (error)
            return error == SLUIS_ECLOSED ? 0 : error;
    }
}

/* Patterns are compiled here, before the walls: a child can map nothing executable. The first of
 * the list serves key 0 too. */
static int load_detectors(struct zygote *z, struct span list, const char *models, char problem[160])
{
    int error;
    do {
        struct detect_settings settings;
        struct arena arena;
        uint64_t key;
        arena_init(&arena, WIRE_SETTINGS_ARENA);
        error = wire_detect_next(&list, &arena, &key, &settings);
        if (!error && !z->vision)
            error = vision_new(models, &settings, &z->vision, problem);
        if (!error && key)
            error = vision_detect(z->vision, key, &settings);
        arena_free(&arena);
    } while (!error);
    return error == SLUIS_ENOENT && z->vision ? 0 : error ? error : SLUIS_EINVAL;
}

static int load(struct zygote *z, struct wire_message *ready)
{
    struct wire_message m;
    char folder[PATH_BYTES];
    int fd;
    unsigned count;
    int error = wire_receive(WIRE_FD, &m, &fd, 1, &count);
    if (error || m.kind != WIRE_SETTINGS || count != 1)
        return error ? error : SLUIS_EINVAL;
    struct span list = map_file(fd);
    close(fd);
    error = load_detectors(z, list, models_folder(folder, sizeof folder), ready->problem);
    if (!error && vision_engine(z->vision) != PICTURE_ENGINE_NONE)
        error = vision_warm(z->vision);
    if (error)
        return error;
    ready->engine = vision_engine(z->vision);
    vision_versions(z->vision, ready->versions, sizeof ready->versions);
    return 0;
}

int zygote_run(void)
{
    struct zygote z = {0};
    struct wire_message ready = {.magic = WIRE_MAGIC, .version = WIRE_VERSION, .kind = WIRE_READY};
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* of the thread that started us: the pool's */
    /* big blocks stay in the heap: mapping them anew for each layer costs more than the layer */
    mallopt(M_MMAP_THRESHOLD, 1 << 28);
    mallopt(M_TRIM_THRESHOLD, 1 << 29);
    if (load(&z, &ready) != 0 || threads() != 1)
        return 1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || sandbox_landlock() != 0)
        return 1;
    ready.landlock = sandbox_landlock_abi();
    ready.seccomp = sandbox_seccomp_try() == 0;
    if (wire_send(WIRE_FD, &ready, NULL, 0) != 0)
        return 1;
    return serve(&z) == 0 ? 0 : 1;
}

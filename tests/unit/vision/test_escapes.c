/*
 * The walls of sluis-media: the test build's children try to get out (escape.c), each must be
 * killed by SIGSYS, or meet its limit. The real program obeys no such picture. The zygote lives on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool.h"
#include "sluis/base/buffer.h"

#define NO_STATUS 99999

struct worker {
    pid_t pid;
    int socket;
    struct wire_message ready;
};

static void start(const char *program, struct worker *w)
{
    struct pool_spawn spawn;
    struct detect_settings settings;
    struct buffer bytes;
    struct wire_message m = {.magic = WIRE_MAGIC, .version = WIRE_VERSION, .kind = WIRE_SETTINGS};
    unsigned count;
    int fd;
    detect_settings_default(&settings);
    buffer_init(&bytes, WIRE_SETTINGS_MAX);
    assert_int_equal(wire_detect_add(0, &settings, &bytes), 0);
    assert_int_equal(picture_memfd(buffer_span(&bytes), &fd), 0);
    buffer_free(&bytes);
    assert_int_equal(pool_spawn_init(&spawn, program, ""),
                     0); /* no models: what is tried needs none */
    assert_int_equal(pool_spawn_start(&spawn, &w->pid, &w->socket), 0);
    pool_spawn_free(&spawn);
    assert_int_equal(wire_send(w->socket, &m, &fd, 1), 0);
    close(fd);
    assert_int_equal(wire_receive(w->socket, &w->ready, NULL, 0, &count), 0);
    assert_int_equal(w->ready.kind, WIRE_READY);
    assert_true(w->ready.seccomp);
}

static void stop(struct worker *w)
{
    int status;
    close(w->socket);
    assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0); /* it outlived every child */
}

static int send_picture(struct worker *w, struct span bytes, uint32_t wall_ms)
{
    static uint64_t job;
    struct wire_message m = {.magic = WIRE_MAGIC,
                             .version = WIRE_VERSION,
                             .kind = WIRE_JOB,
                             .job = ++job,
                             .wall_ms = wall_ms};
    unsigned count;
    int fds[3];
    picture_policy_default(&m.policy);
    assert_int_equal(picture_memfd(bytes, &fds[0]), 0);
    fds[1] = memfd_create("result", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    fds[2] = memfd_create("picture", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(wire_send(w->socket, &m, fds, 3), 0);
    assert_int_equal(wire_receive(w->socket, &m, NULL, 0, &count), 0);
    for (unsigned i = 0; i < 3; i++)
        close(fds[i]);
    return m.kind == WIRE_DONE && m.job == job ? m.status : NO_STATUS;
}

static void escapes(void **state)
{
    (void)state;
    static const char *const ways[] = {"open",   "openat",  "proc",      "socket",
                                       "execve", "ptrace",  "io_uring",  "fork",
                                       "kill",   "sendmsg", "mmap_exec", "ftruncate"};
    struct worker w;
    char text[64];
    start(ESCAPES, &w);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        snprintf(text, sizeof text, "escape:%s", ways[i]);
        int status = send_picture(&w, span_str(text), 60000);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
            fail_msg("%s: status %x", ways[i], (unsigned)status);
    }
    /* the negative control: what does nothing forbidden ends with exit code 42 */
    int status = send_picture(&w, SPAN("escape:nothing"), 60000);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    stop(&w);
}

static void limits(void **state)
{
    (void)state;
    struct worker w;
    start(ESCAPES, &w);
    assert_int_equal(send_picture(&w, SPAN("escape:spin"), 300), -1); /* by the clock */
    int status = send_picture(&w, SPAN("escape:file"), 60000);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
#ifndef __SANITIZE_ADDRESS__
    status = send_picture(&w, SPAN("escape:memory"), 60000);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 41); /* no memory, said by the kernel */
#endif
    if (getenv("SLUIS_LONG")) { /* ten seconds of CPU time */
        status = send_picture(&w, SPAN("escape:spin"), 60000);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU);
    }
    stop(&w);
}

static void real_program(void **state)
{
    (void)state;
    struct worker w;
    start(MEDIA, &w);
    int status = send_picture(&w, SPAN("escape:socket"), 60000);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0); /* not a picture, that is all */
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes),
        cmocka_unit_test(limits),
        cmocka_unit_test(real_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

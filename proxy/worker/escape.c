/*
 * The test build's child (SLUIS_ESCAPES) obeys a picture that begins with "escape:": what a picture
 * with a working exploit would try. Each way must end in death by SIGSYS. Never in the program that
 * is installed.
 */
#include "zygote.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef SLUIS_ESCAPES

static long try_way(struct span way)
{
    static char *const nothing[] = {NULL};
    char space[256] = {0};
    if (span_is(way, "open"))
        return syscall(SYS_open, "/etc/passwd", O_RDONLY);
    if (span_is(way, "openat"))
        return syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
    if (span_is(way, "proc"))
        return syscall(SYS_openat, AT_FDCWD, "/proc/self/mem", O_RDWR);
    if (span_is(way, "socket"))
        return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
    if (span_is(way, "execve"))
        return syscall(SYS_execve, "/bin/sh", nothing, nothing);
    if (span_is(way, "ptrace"))
        return syscall(SYS_ptrace, PTRACE_ATTACH, getppid(), 0, 0);
    if (span_is(way, "io_uring"))
        return syscall(SYS_io_uring_setup, 8, space);
    if (span_is(way, "fork"))
        return syscall(SYS_clone, 17, 0, 0, 0, 0);
    if (span_is(way, "kill"))
        return syscall(SYS_kill, -1, 9);
    if (span_is(way, "mmap_exec"))
        return syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                       0);
    if (span_is(way, "sendmsg"))
        return syscall(SYS_sendmsg, 3, space, 0);
    if (span_is(way, "ftruncate"))
        return syscall(SYS_ftruncate, 1, 1L << 40);
    if (span_is(way, "spin"))
        for (;;)
            ;
    if (span_is(way, "memory"))
        for (;;) {
            volatile char *p =
                mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (p == MAP_FAILED)
                return -1;
            for (size_t i = 0; i < 16 << 20; i += 4096)
                p[i] = 1;
        }
    if (span_is(way, "file")) /* more output than may be */
        for (;;)
            if (write(1, space, sizeof space) < 0)
                return -1;
    return 0;
}

void escape_try(struct span picture)
{
    struct span head = SPAN("escape:");
    if (!span_starts(picture, head))
        return;
    struct span way = span_from(picture, head.n);
    while (way.n && way.p[way.n - 1] <= ' ')
        way.n--;
    long got = try_way(way);
    /* we are still here: said in a way that no death looks like */
    _exit(got < 0 ? 41 : 42);
}

#endif

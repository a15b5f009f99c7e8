/* These take the place of the C library's functions in this program: LMDB's calls come here too. */
#include "crash_points.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_uint crash_at, steps;
static atomic_bool armed, each_write;

void crash_arm(unsigned at, bool every)
{
    atomic_store(&steps, 0);
    atomic_store(&crash_at, at);
    atomic_store(&each_write, every);
    atomic_store(&armed, true);
}

unsigned crash_disarm(void)
{
    atomic_store(&armed, false);
    return atomic_load(&steps);
}

static void step(bool write_only)
{
    if (!atomic_load(&armed) || (write_only && !atomic_load(&each_write)))
        return;
    if (atomic_fetch_add(&steps, 1) + 1 == atomic_load(&crash_at))
        syscall(SYS_exit_group, CRASH_EXIT);
}

static void written(int fd)
{
    if (!atomic_load(&armed) || fd <= STDERR_FILENO)
        return;
    int flags = fcntl(fd, F_GETFL);
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        step((flags & O_DSYNC) == 0);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    written(fd);
    return syscall(SYS_write, fd, bytes, n);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    written(fd);
    return syscall(SYS_writev, fd, parts, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    written(fd);
    return syscall(SYS_pwrite64, fd, bytes, n, at);
}

int fdatasync(int fd)
{
    step(false);
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    step(false);
    return (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
    step(false);
    return (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    step(false);
    return (int)syscall(SYS_renameat, from_fd, from, to_fd, to);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    step(false);
    return (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
}

int unlink(const char *path)
{
    step(false);
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int unlinkat(int fd, const char *path, int flags)
{
    step(false);
    return (int)syscall(SYS_unlinkat, fd, path, flags);
}

int mkdir(const char *path, mode_t mode)
{
    step(false);
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

static int open_file(int fd, const char *path, int flags, mode_t mode)
{
    if (flags & (O_CREAT | O_TRUNC))
        step(true);
    return (int)syscall(SYS_openat, fd, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_file(AT_FDCWD, path, flags, mode);
}

int openat(int fd, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_file(fd, path, flags, mode);
}

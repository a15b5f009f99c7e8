#include "sandbox.h"

#include <errno.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sluis/picture.h"

#define MEMORY_BYTES (768u * 1024 * 1024) /* address space of a child */
#define NICE_LOWEST 19

/* Rights that newer kernels know; Debian 12's header ends before them. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#define FS_ALL_1 ((1ULL << 13) - 1)     /* ABI 1: bits 0 to 12 */
#define FS_TRUNCATE (1ULL << 14)        /* ABI 3 */
#define FS_IOCTL_DEV (1ULL << 15)       /* ABI 5 */
#define NET_TCP (1ULL << 0 | 1ULL << 1) /* ABI 4: bind, connect */
#define SCOPES (1ULL << 0 | 1ULL << 1)  /* ABI 6: abstract sockets, signals */

struct ruleset { /* struct landlock_ruleset_attr of ABI 6 */
    uint64_t fs, net, scoped;
};

int sandbox_landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
}

int sandbox_landlock(void)
{
    int abi = sandbox_landlock_abi();
    if (abi == 0)
        return 0;
    struct ruleset rules = {.fs = FS_ALL_1};
    size_t size = sizeof rules.fs;
    if (abi >= 2)
        rules.fs |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        rules.fs |= FS_TRUNCATE;
    if (abi >= 4) {
        rules.net = NET_TCP;
        size = offsetof(struct ruleset, scoped);
    }
    if (abi >= 5)
        rules.fs |= FS_IOCTL_DEV;
    if (abi >= 6) {
        rules.scoped = SCOPES;
        size = sizeof rules;
    }
    int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (fd < 0)
        return SLUIS_ESYS;
    long result = syscall(SYS_landlock_restrict_self, fd, 0);
    close(fd);
    return result == 0 ? 0 : SLUIS_ESYS;
}

static int limit(__rlimit_resource_t what, rlim_t most)
{
    struct rlimit r = {most, most};
    return setrlimit(what, &r);
}

int sandbox_limits(void)
{
    struct sched_param zero = {0};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    rlim_t memory = RLIM_INFINITY; /* a sanitizer maps terabytes of shadow */
#else
    rlim_t memory = MEMORY_BYTES;
#endif
    /* CPU: the soft limit kills by SIGXCPU, which the pool tells from a crash */
    struct rlimit cpu = {PICTURE_CPU_S, PICTURE_CPU_S + 1};
    if (setrlimit(RLIMIT_CPU, &cpu) != 0 || limit(RLIMIT_AS, memory) != 0 ||
        limit(RLIMIT_FSIZE, PICTURE_OUT_MAX) != 0 || limit(RLIMIT_CORE, 0) != 0 ||
        limit(RLIMIT_NPROC, 0) != 0 || limit(RLIMIT_MEMLOCK, 0) != 0 ||
        prctl(PR_SET_DUMPABLE, 0) != 0)
        return SLUIS_ESYS;
    sched_setscheduler(0, SCHED_BATCH, &zero); /* best effort: a container may forbid it */
    errno = 0;
    if (setpriority(PRIO_PROCESS, 0, NICE_LOWEST) != 0)
        return SLUIS_ESYS;
    return limit(RLIMIT_NOFILE, 0) == 0 ? 0 : SLUIS_ESYS; /* nothing more can be opened */
}

/* What decoding, ONNX Runtime and glibc's heap need, and the way out. */
static const int allowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(brk),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(getrusage),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(exit_group),
    SCMP_SYS(exit),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(sched_yield),
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(sched_getaffinity),
#endif
};

static scmp_filter_ctx make_filter(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return NULL;
    int bad = 0;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    /* memory, but none that can be executed */
    bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                            SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                            SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (!bad)
        return filter;
    seccomp_release(filter);
    return NULL;
}

int sandbox_seccomp_try(void)
{
    scmp_filter_ctx filter = make_filter();
    if (!filter)
        return SLUIS_ESYS;
    seccomp_release(filter);
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0 ? 0 : SLUIS_ESYS;
}

int sandbox_seccomp(void)
{
    scmp_filter_ctx filter = make_filter();
    int error = filter && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && seccomp_load(filter) == 0
                    ? 0
                    : SLUIS_ESYS;
    if (filter)
        seccomp_release(filter);
    return error;
}

/* Starting sluis-media: posix_spawn, an environment of its own, no descriptor but its socket. */
#include "pool.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define ENV_MAX 12

/* What a worker may know of our environment: where its models are, and the sanitizers' options. */
static const char *const inherited[] = {"SLUIS_MODELS", "ASAN_OPTIONS", "UBSAN_OPTIONS",
                                        "TSAN_OPTIONS", "LSAN_OPTIONS", "TESSDATA_PREFIX"};

/* The program beside our own executable. */
static char *beside_us(void)
{
    char path[PATH_BYTES];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return NULL;
    path[n] = 0;
    char *slash = strrchr(path, '/');
    if (!slash)
        return NULL;
    *slash = 0;
    char *out = NULL;
    return asprintf(&out, "%s/sluis-media", path) < 0 ? NULL : out;
}

int pool_spawn_init(struct pool_spawn *spawn, const char *program, const char *models)
{
    memset(spawn, 0, sizeof *spawn);
    if (!program)
        program = getenv("SLUIS_MEDIA");
    spawn->program = program && *program ? strdup(program) : beside_us();
    spawn->models = models ? strdup(models) : NULL;
    if (spawn->program && (spawn->models || !models))
        return 0;
    pool_spawn_free(spawn);
    return SLUIS_ENOMEM;
}

void pool_spawn_free(struct pool_spawn *spawn)
{
    free(spawn->program);
    free(spawn->models);
    memset(spawn, 0, sizeof *spawn);
}

static int make_environment(const struct pool_spawn *spawn, char *env[ENV_MAX])
{
    unsigned n = 0;
    int bytes = asprintf(&env[n++], "OMP_THREAD_LIMIT=1");
    for (size_t i = 0; i < sizeof inherited / sizeof *inherited && bytes >= 0; i++) {
        const char *value = getenv(inherited[i]);
        if (i == 0 && spawn->models)
            value = spawn->models;
        if (value)
            bytes = asprintf(&env[n++], "%s=%s", inherited[i], value);
    }
    if (bytes < 0)
        env[n - 1] = NULL;
    return bytes < 0 ? SLUIS_ENOMEM : 0;
}

static int spawn_with(const struct pool_spawn *spawn, int theirs, char **env, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int bad = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    bad |= posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    bad |= posix_spawn_file_actions_adddup2(&actions, theirs, WIRE_FD);
    bad |= posix_spawn_file_actions_addclosefrom_np(&actions, WIRE_FD + 1);
    bad |= posix_spawnattr_setsigmask(&attributes, &none);
    bad |= posix_spawnattr_setsigdefault(&attributes, &all);
    bad |= posix_spawnattr_setpgroup(&attributes, 0); /* a Ctrl-C is for us */
    bad |= posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                     POSIX_SPAWN_SETPGROUP);
    char name[] = "sluis-media", mode[] = "--worker";
    char *argv[] = {name, mode, NULL};
    if (!bad)
        bad = posix_spawn(pid, spawn->program, &actions, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return bad ? SLUIS_ESYS : 0;
}

int pool_spawn_start(const struct pool_spawn *spawn, pid_t *pid, int *out)
{
    int pair[2];
    char *env[ENV_MAX] = {NULL};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return SLUIS_ESYS;
    /* dup2 onto the same number would keep close-on-exec: move it out of the way */
    int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, WIRE_FD + 1);
    close(pair[1]);
    int error = theirs < 0 ? SLUIS_ESYS : make_environment(spawn, env);
    if (!error)
        error = spawn_with(spawn, theirs, env, pid);
    for (unsigned i = 0; i < ENV_MAX; i++)
        free(env[i]);
    if (theirs >= 0)
        close(theirs);
    if (error) {
        close(pair[0]);
        return error;
    }
    *out = pair[0];
    return 0;
}

/*
 * A worker that does what the bytes of its picture say, to try the pool: "clean" gives a verdict
 * with a picture, the other words break the protocol or the process. No sandbox, no decoder.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

static const char jpeg[] = "\xff\xd8\xff picture";

static void put(int fd, const void *p, size_t n)
{
    if (write(fd, p, n) != (ssize_t)n)
        _exit(3);
}

static void child(const struct wire_message *m, const int *fds)
{
    char word[32] = {0};
    close(WIRE_FD);
    if (pread(fds[0], word, sizeof word - 1, 0) < 0)
        _exit(2);
    struct wire_result r = {.magic = WIRE_MAGIC,
                            .version = WIRE_VERSION,
                            .job = m->job,
                            .outcome = PICTURE_CLEAN,
                            .classes = 1u << PICTURE_CLASS_CLEAN,
                            .in = PICTURE_JPEG,
                            .kind = PICTURE_JPEG,
                            .width = 4,
                            .height = 4,
                            .engine = PICTURE_ENGINE_PPOCR};
    struct picture_finding f = {.type = PICTURE_FOUND_CARD, .x = 1, .y = 1, .w = 3, .h = 3};
    if (strcmp(word, "die") == 0)
        raise(SIGKILL);
    if (strcmp(word, "cpu") == 0)
        raise(SIGXCPU);
    if (strcmp(word, "hang") == 0)
        for (;;)
            sleep(20);
    if (strcmp(word, "job") == 0)
        r.job++;
    if (strcmp(word, "kind") == 0)
        r.kind = PICTURE_PNG; /* which the bytes are not */
    if (strcmp(word, "judged") == 0)
        r.engine = PICTURE_ENGINE_NONE; /* clean, and nobody read it */
    if (strcmp(word, "long") == 0)
        r.text = PICTURE_TEXT_MAX + 1;
    if (strcmp(word, "box") == 0) {
        r.findings = 1;
        f.w = 4; /* reaches out of the picture */
    }
    if (strcmp(word, "finding") == 0)
        r.findings = 1;
    if (strcmp(word, "empty") == 0)
        _exit(0);
    if (strcmp(word, "withheld") == 0) {
        r.outcome = PICTURE_WITHHELD;
        r.reason = PICTURE_BROKEN;
        r.kind = PICTURE_KIND_NONE;
    }
    put(fds[1], &r, sizeof r);
    if (r.findings)
        put(fds[1], &f, sizeof f);
    put(fds[2], jpeg, sizeof jpeg - 1);
    if (strcmp(word, "mapped") == 0) /* a writable mapping that outlives the verdict */
        if (mmap(NULL, 4096, PROT_WRITE | PROT_READ, MAP_SHARED, fds[2], 0) != MAP_FAILED) {
            if (fork() == 0) {
                sleep(2);
                _exit(0);
            }
        }
    _exit(0);
}

int main(void)
{
    struct wire_message m;
    int fds[3];
    unsigned count;
    if (wire_receive(WIRE_FD, &m, fds, 1, &count) != 0 || m.kind != WIRE_SETTINGS)
        return 1;
    struct wire_message ready = {.magic = WIRE_MAGIC,
                                 .version = WIRE_VERSION,
                                 .kind = WIRE_READY,
                                 .engine = PICTURE_ENGINE_PPOCR,
                                 .seccomp = 1};
    const char *models = getenv("SLUIS_MODELS");
    if (models && strcmp(models, "none") == 0)
        ready.engine = PICTURE_ENGINE_NONE;
    if (models && strcmp(models, "open") == 0)
        ready.seccomp = 0;
    if (wire_send(WIRE_FD, &ready, NULL, 0) != 0)
        return 1;
    while (wire_receive(WIRE_FD, &m, fds, 3, &count) == 0) {
        char word[8] = {0};
        if (pread(fds[0], word, 7, 0) == 6 && strcmp(word, "zygote") == 0)
            raise(SIGKILL);
        pid_t pid = fork();
        if (pid == 0)
            child(&m, fds);
        for (unsigned i = 0; i < count; i++)
            close(fds[i]);
        struct wire_message done = {
            .magic = WIRE_MAGIC, .version = WIRE_VERSION, .kind = WIRE_DONE, .job = m.job};
        if (waitpid(pid, &done.status, 0) != pid || wire_send(WIRE_FD, &done, NULL, 0) != 0)
            return 1;
    }
    return 0;
}

/*
 * A stand-in for sluis-media: speaks its protocol and decides by the word that stands after the
 * first three bytes of the "picture" (a JPEG by those), so that the gateway's side can be tried to
 * the millisecond. No decoder, no models, no sandbox; what it gives back is no picture either.
 *
 *   clean    the same word back, as "made from pixels"
 *   card     covered: a card was seen
 *   id       an ID document was seen (covered, where policy wants that)
 *   damaged  cannot be decided
 *   die      is killed
 *   slowN    clean, after N milliseconds
 *   burnN    clean, after N milliseconds of CPU time at nice 19: what reading a picture costs
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

#define WORD_MAX 64

static void put(int fd, const void *p, size_t n)
{
    if (write(fd, p, n) != (ssize_t)n)
        _exit(3);
}

static void wait_ms(const char *number)
{
    long ms = strtol(number, NULL, 10);
    const struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
    nanosleep(&t, NULL);
}

static void burn_ms(const char *number)
{
    long ms = strtol(number, NULL, 10);
    struct timespec t;
    if (nice(19) < 0)
        _exit(4);
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    while (t.tv_sec * 1000 + t.tv_nsec / 1000000 < ms);
}

static void child(const struct wire_message *m, const int *fds)
{
    char word[WORD_MAX] = {0}, out[WORD_MAX + 32];
    close(WIRE_FD);
    if (pread(fds[0], word, sizeof(word) - 1, 3) < 0)
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
    int n = snprintf(out, sizeof(out), "\xff\xd8\xff made anew: %s", word);
    bool card = strncmp(word, "card", 4) == 0, id = strncmp(word, "id", 2) == 0;
    if (strncmp(word, "die", 3) == 0)
        raise(SIGKILL);
    if (strncmp(word, "slow", 4) == 0)
        wait_ms(word + 4);
    if (strncmp(word, "burn", 4) == 0)
        burn_ms(word + 4);
    if (strncmp(word, "damaged", 7) == 0) {
        r.outcome = PICTURE_WITHHELD;
        r.reason = PICTURE_BROKEN;
        r.kind = PICTURE_KIND_NONE;
        r.classes = 1u << PICTURE_CLASS_UNKNOWN;
        n = 0;
    }
    if (card || id) {
        enum picture_class class = card ? PICTURE_CLASS_CARD : PICTURE_CLASS_ID_DOCUMENT;
        uint8_t action = m->policy.action[class];
        r.classes = 1u << class;
        r.findings = 1;
        f.class = (uint8_t) class;
        f.type = card ? PICTURE_FOUND_CARD : PICTURE_FOUND_MRZ;
        f.covered = action == PICTURE_REDACT;
        if (action == PICTURE_REDACT) {
            r.outcome = PICTURE_REDACTED;
            n = snprintf(out, sizeof(out), "\xff\xd8\xff covered");
        } else if (action == PICTURE_WITHHOLD) {
            r.outcome = PICTURE_WITHHELD;
            r.reason = PICTURE_BY_POLICY;
            r.kind = PICTURE_KIND_NONE;
            n = 0;
        }
    }
    put(fds[1], &r, sizeof(r));
    if (r.findings)
        put(fds[1], &f, sizeof(f));
    if (n > 0)
        put(fds[2], out, (size_t)n);
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
    if (wire_send(WIRE_FD, &ready, NULL, 0) != 0)
        return 1;
    while (wire_receive(WIRE_FD, &m, fds, 3, &count) == 0) {
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

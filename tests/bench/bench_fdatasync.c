/*
 * What one durable commit costs on this disk: 16 KiB written in place in a preallocated file and
 * synced with fdatasync, as the store does it. Prints one JSON object, times in milliseconds.
 *
 * Usage: bench_fdatasync FOLDER [COUNT]
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILE_SIZE (64l << 20)
#define COMMIT_SIZE 16384

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int fill(int fd, char *block)
{
    memset(block, 0x5a, COMMIT_SIZE);
    for (off_t at = 0; at < FILE_SIZE; at += COMMIT_SIZE)
        if (pwrite(fd, block, COMMIT_SIZE, at) != COMMIT_SIZE)
            return -1;
    return fsync(fd);
}

int main(int argc, char **argv)
{
    long count = argc > 2 ? strtol(argv[2], NULL, 10) : 1000;
    char path[1024];
    static char block[COMMIT_SIZE];
    if (argc < 2 || count < 100 || count > 1000000) {
        fprintf(stderr, "usage: bench_fdatasync FOLDER [COUNT, 100 to 1000000]\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/bench_fdatasync.tmp", argv[1]);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    double *took = calloc((size_t)count, sizeof *took);
    int code = 1;
    if (fd < 0 || !took || fill(fd, block) < 0)
        goto out;
    for (long i = 0; i < count; i++) {
        off_t at =
            (off_t)((unsigned long)i * 2654435761u % (FILE_SIZE / COMMIT_SIZE)) * COMMIT_SIZE;
        memcpy(block, &i, sizeof i);
        double start = now_ms();
        if (pwrite(fd, block, COMMIT_SIZE, at) != COMMIT_SIZE || fdatasync(fd) < 0)
            goto out;
        took[i] = now_ms() - start;
    }
    qsort(took, (size_t)count, sizeof *took, ascending);
    printf("{\"count\": %ld, \"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}\n", count,
           took[count / 2], took[count * 99 / 100], took[count - 1]);
    code = 0;
out:
    if (code)
        perror(path);
    free(took);
    unlink(path);
    return code;
}

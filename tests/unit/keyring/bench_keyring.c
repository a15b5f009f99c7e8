/*
 * Cost of sealing, opening and destroying. Not a test: build the target bench-keyring with the
 * release preset and run it; figures on standard output, one a line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "room.h"

static double now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct bench {
    struct keyring_cache *cache;
    struct buffer sealed, plain;
};

enum pattern { SAME, IN_ORDER, SCATTERED };

static struct record_id pattern_id(enum pattern pattern, uint32_t i, uint8_t part)
{
    uint32_t mixed = i * 2654435761u % 1000000;
    struct record_id id = {.cls = 2, .bucket = 495000, .subject = 7, .serial = 9, .part = part};
    if (pattern == IN_ORDER) { /* intake: serials in order, 2,000 people */
        id.serial = 1000 + i;
        id.subject = 1 + mixed % 2000;
    } else if (pattern == SCATTERED) { /* history of anybody */
        id.serial = 1 + mixed;
        id.subject = 1 + mixed % 99991;
        id.bucket = 495000 + mixed % 700;
    }
    return id;
}

static void seal_and_open(struct bench *b, const char *name, enum pattern pattern)
{
    enum { N = 200000 };
    static const char text[700] = "x";
    double start = now_us();
    for (uint32_t i = 0; i < N; i++) {
        const struct record_id id = pattern_id(pattern, i, 'O');
        b->sealed.n = 0;
        if (record_seal(b->cache, 1, &id, 1, span_of(text, sizeof(text)), &b->sealed) != 0)
            exit(1);
    }
    double seal = (now_us() - start) / N;
    start = now_us();
    for (uint32_t i = 0; i < N; i++) { /* both parts of a message */
        for (int part = 0; part < 2; part++) {
            const struct record_id id = pattern_id(pattern, i, part ? 'M' : 'O');
            b->sealed.n = 0;
            if (record_seal(b->cache, 1, &id, 1, span_of(text, sizeof(text)), &b->sealed) != 0)
                exit(1);
        }
    }
    double two = (now_us() - start) / N;
    const struct record_id last = pattern_id(pattern, N - 1, 'M');
    start = now_us();
    for (uint32_t i = 0; i < N; i++) {
        b->plain.n = 0;
        if (record_open(b->cache, 1, &last, buffer_span(&b->sealed), &b->plain) != 0)
            exit(1);
    }
    printf("seal 700 bytes, %-10s %6.2f us; two parts of a message %6.2f us; open warm %6.2f us\n",
           name, seal, two, (now_us() - start) / N);
}

static void destroy(struct keyring *keyring, struct bench *b)
{
    enum { DISK = 200, MEMORY = 10000 };
    static double took[DISK];
    for (uint32_t i = 0; i < DISK; i++) {
        const struct keyring_leaf leaf = {.tree = KEYRING_MESSAGE,
                                          .leaf = 1 + randombytes_uniform(1000000)};
        double start = now_us();
        if (keyring_puncture(keyring, &leaf, 1) != 0)
            exit(1);
        took[i] = now_us() - start;
    }
    qsort(took, DISK, sizeof(took[0]), by_value);
    printf("puncture one of a million, on disk: p50 %.0f us, p99 %.0f us\n", took[DISK / 2],
           took[DISK * 99 / 100]);

    struct cover cover;
    struct buffer text;
    bool changed;
    if (cover_init(&cover) != 0 || cover_make(&cover, 0) != 0)
        exit(1);
    buffer_init(&text, 64u << 20);
    double start = now_us();
    for (uint32_t i = 0; i < MEMORY; i++) {
        const struct keyring_leaf leaf = {.tree = KEYRING_MESSAGE,
                                          .leaf = 1 + randombytes_uniform(1000000)};
        if (cover_puncture(&cover, &leaf, &changed) != 0)
            exit(1);
        if (i == 0) {
            cover_write(&cover, &text);
            printf("cover after 1 erasure: %zu bytes\n", text.n);
            buffer_clear(&text);
        }
    }
    double each = (now_us() - start) / MEMORY;
    cover_write(&cover, &text);
    printf("puncture in memory: %.1f us each; cover after 10,000 scattered: %zu bytes, %llu keys\n",
           each, text.n, (unsigned long long)cover.live);
    cover_free(&cover);
    buffer_free(&text);

    struct keyring_leaf *many = calloc(MEMORY, sizeof(*many));
    for (uint32_t i = 0; many && i < MEMORY; i++)
        many[i] = (struct keyring_leaf){.tree = KEYRING_MESSAGE,
                                        .leaf = 1 + randombytes_uniform(1000000)};
    start = now_us();
    if (!many || keyring_puncture(keyring, many, MEMORY) != 0)
        exit(1);
    printf("10,000 punctures in one change, on disk: %.1f ms\n", (now_us() - start) / 1e3);
    const struct keyring_leaf one = {.tree = KEYRING_SUBJECT, .leaf = 4242};
    start = now_us();
    if (keyring_puncture(keyring, &one, 1) != 0)
        exit(1);
    printf("one more after those: %.1f ms\n", (now_us() - start) / 1e3);
    free(many);
    (void)b;
}

int main(void)
{
    char top[] = "/tmp/sluis-bench-XXXXXX", ring[64], root[64], command[96];
    struct keyring *keyring;
    struct bench b;
    if (!mkdtemp(top))
        return 1;
    snprintf(ring, sizeof(ring), "%s/ring", top);
    snprintf(root, sizeof(root), "%s/root", top);
    const struct keyring_config config = {.path = ring, .root_file = root, .make = true};
    if (keyring_open(&config, &keyring, NULL) != 0 || keyring_cache_new(keyring, &b.cache) != 0)
        return 1;
    buffer_init(&b.sealed, 4096);
    buffer_init(&b.plain, 4096);
    seal_and_open(&b, "warm", SAME);
    seal_and_open(&b, "in order", IN_ORDER);
    seal_and_open(&b, "scattered", SCATTERED);
    destroy(keyring, &b);
    keyring_cache_free(b.cache);
    keyring_close(keyring);
    buffer_free(&b.sealed);
    buffer_free(&b.plain);
    snprintf(command, sizeof(command), "rm -rf '%s'", top);
    return system(command) == 0 ? 0 : 1;
}

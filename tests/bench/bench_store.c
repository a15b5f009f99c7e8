/*
 * What the store costs: CPU, bytes and rows per message with many stored, the latency of a 4 kB record
 * after a sweep, and the time to open.
 *
 *     bench_store [--messages N] [--folder PATH] [--no-sync]
 *
 * One message is what intake writes: records O (400 bytes) and M (350), dedupe, an item with one route,
 * one log leaf of 400 bytes, the head of one of 100,000 conversations. Records are random bytes, since
 * sealing is the keyring's; the seal of blocks is a copy. CPU is of the whole process.
 */
#include <lmdb.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sluis/base/clock.h"
#include "sluis/store.h"

#define O_BYTES 400
#define M_BYTES 350
#define LEAF_BYTES 400
#define CONVERSATIONS 100000
#define POOL_BYTES 65536
#define MESSAGES_PER_HOUR 14400 /* 4 a second */


static uint8_t pool[POOL_BYTES];

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int copy(void *ctx, uint8_t table, uint64_t row, struct span in, struct buffer *out)
{
    (void)ctx;
    (void)table;
    (void)row;
    static const char header[46];
    buffer_add(out, span_of(header, sizeof(header))); /* the keyring's overhead */
    buffer_add(out, in);
    return out->error;
}

static int uncopy(void *ctx, uint8_t table, uint64_t row, struct span in, struct buffer *out)
{
    (void)ctx;
    (void)table;
    (void)row;
    buffer_add(out, span_from(in, 46));
    return out->error;
}

struct message {
    struct store_job job;
    uint64_t serial, leaf, subject;
    uint32_t bucket, day;
    uint8_t hash[STORE_HASH_BYTES];
    const uint8_t *bytes;
    sem_t *done;
};

static int message_run(struct store_txn *txn, struct store_job *job)
{
    struct message *m = (struct message *)(void *)job;
    struct record_id o = {1, m->bucket, m->subject, m->serial, 'O'};
    struct record_id part_m = {2, m->bucket + 8760, m->subject, m->serial, 'M'};
    struct store_item item = {.serial = m->serial,
                              .subject = m->subject,
                              .channel = 1,
                              .kind = STORE_KIND_MESSAGE,
                              .at_ms = 1763764200000 + (int64_t)m->serial * 250,
                              .taken_ms = 1763764200700 + (int64_t)m->serial * 250,
                              .batch = m->serial,
                              .cls_o = 1,
                              .cls_m = 2,
                              .bucket_o = m->bucket,
                              .bucket_m = m->bucket + 8760,
                              .route_count = 1,
                              .routes = {1}};
    if (!store_dedupe_take(txn, m->day, m->hash, &o))
        return 0;
    store_put_record(txn, &o, span_of(m->bytes, O_BYTES));
    store_put_record(txn, &part_m, span_of(m->bytes + 7, M_BYTES));
    store_put_item(txn, &item);
    store_put_leaf(txn, span_of(m->bytes + 11, LEAF_BYTES), m->bytes + 13, &m->leaf);
    return store_txn_error(txn);
}

static void message_done(struct store_job *job)
{
    struct message *m = (struct message *)(void *)job;
    if (job->result != 0) {
        (void)fprintf(stderr, "bench_store: job failed: %s\n", error_word(job->result));
        exit(1);
    }
    sem_post(m->done);
}

static double cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec * 1e6 + (double)u.ru_utime.tv_usec +
           (double)u.ru_stime.tv_sec * 1e6 + (double)u.ru_stime.tv_usec;
}

/* `count` messages, 64 a commit. */
static void load(struct store *store, uint64_t count, uint64_t *seed)
{
    static struct message batch[STORE_COMMIT_JOBS];
    sem_t done;

    sem_init(&done, 0, 0);
    for (uint64_t i = 0; i < count; i += STORE_COMMIT_JOBS) {
        for (unsigned k = 0; k < STORE_COMMIT_JOBS; k++) {
            struct message *m = &batch[k];
            uint64_t r = random_next(seed);
            *m = (struct message){.job = {.run = message_run, .done = message_done}, .done = &done};
            m->serial = store_next_serial(store);
            m->subject = 1 + r % CONVERSATIONS;
            m->bucket = 490000 + (uint32_t)(m->serial / MESSAGES_PER_HOUR);
            m->day = m->bucket / 24;
            m->bytes = pool + r % (POOL_BYTES - 1024);
            for (unsigned h = 0; h < STORE_HASH_BYTES; h += 8) {
                uint64_t v = random_next(seed);
                memcpy(m->hash + h, &v, 8);
            }
        }
        /* neighbours change places, as with several event threads */
        for (unsigned k = 0; k < STORE_COMMIT_JOBS; k++)
            store_submit(store, &batch[k % 8 == 3 ? k + 1 : k % 8 == 4 ? k - 1 : k].job);
        for (unsigned k = 0; k < STORE_COMMIT_JOBS; k++)
            while (sem_wait(&done) != 0)
                ;
    }
    sem_destroy(&done);
}

static struct store *open_store(const char *folder, bool no_sync)
{
    struct store_config config = {.path = folder,
                                  .map_size = 16ull << 30,
                                  .no_sync = no_sync,
                                  .seal = copy,
                                  .open = uncopy};
    struct store *store;
    struct diag diag = {0};
    int rc = store_open(&config, &store, &diag);
    if (rc) {
        (void)fprintf(stderr, "bench_store: %s: %s\n", diag.file, diag.text);
        exit(1);
    }
    return store;
}

int main(int argc, char **argv)
{
    const char *folder = "/var/tmp/sluis-bench-store";
    uint64_t messages = 1000000, seed = 88172645463325252ull;
    bool no_sync = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--no-sync") == 0)
            no_sync = true;
        else if (strcmp(argv[i], "--messages") == 0 && i + 1 < argc)
            messages = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--folder") == 0 && i + 1 < argc)
            folder = argv[++i];
    }
    for (size_t i = 0; i < POOL_BYTES; i++)
        pool[i] = (uint8_t)(random_next(&seed) >> 32);

    int64_t t0 = clock_mono_us();
    double c0 = cpu_us();
    struct store *store = open_store(folder, true);
    load(store, messages, &seed);
    printf("fill: %llu messages, %.1f us CPU each, %.1f s, no sync\n", (unsigned long long)messages,
           (cpu_us() - c0) / (double)messages, (double)(clock_mono_us() - t0) / 1e6);
    store_close(store);

    t0 = clock_mono_us();
    store = open_store(folder, no_sync);
    printf("open: %.1f ms\n", (double)(clock_mono_us() - t0) / 1e3);
    uint64_t measured = 64 * 500;
    t0 = clock_mono_us();
    c0 = cpu_us();
    load(store, measured, &seed);
    printf("message: %.2f us CPU, %.2f us wall, at 64 a commit\n",
           (cpu_us() - c0) / (double)measured, (double)(clock_mono_us() - t0) / (double)measured);
    struct stat st;
    char file[512];
    (void)snprintf(file, sizeof(file), "%s/data.mdb", folder);
    if (stat(file, &st) == 0)
        printf("file: %.0f bytes a message\n", (double)st.st_size / (double)(messages + measured));
    store_close(store);
    return 0;
}

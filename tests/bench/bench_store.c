/*
 * What the store costs: CPU, bytes and rows per message with many stored, the latency of a 4 kB
 * record after a sweep, and the time to open.
 *
 *     bench_store [--messages N] [--folder PATH] [--no-sync] [--preallocate MIB]
 *
 * One message is what intake writes: records O (400 bytes) and M (350), dedupe, an item with one
 * route, one log leaf of 400 bytes, the head of one of 100,000 conversations. Records are random
 * bytes, since sealing is the keyring's; the seal of blocks is a copy. CPU is of the whole process.
 */
#include <lmdb.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sluis/base/clock.h"
#include "sluis/store.h"

#define O_BYTES 400
#define M_BYTES 350
#define LEAF_BYTES 400
#define CONVERSATIONS 100000
#define POOL_BYTES 65536
#define MAP_SIZE (16ull << 30)
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
    struct batch *batch;
};
struct batch { /* one wake-up for all, as a mailbox does it */
    _Atomic unsigned left;
    sem_t done;
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
    if (atomic_fetch_sub(&m->batch->left, 1) == 1)
        sem_post(&m->batch->done);
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
    static struct message messages[STORE_COMMIT_JOBS];
    struct batch batch;

    sem_init(&batch.done, 0, 0);
    for (uint64_t i = 0; i < count; i += STORE_COMMIT_JOBS) {
        atomic_store(&batch.left, STORE_COMMIT_JOBS);
        for (unsigned k = 0; k < STORE_COMMIT_JOBS; k++) {
            struct message *m = &messages[k];
            uint64_t r = random_next(seed);
            *m = (struct message){.job = {.run = message_run, .done = message_done},
                                  .batch = &batch};
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
            store_submit(store, &messages[k % 8 == 3 ? k + 1 : k % 8 == 4 ? k - 1 : k].job);
        while (sem_wait(&batch.done) != 0)
            ;
    }
    sem_destroy(&batch.done);
}

static struct store *open_store(const char *folder, bool no_sync, size_t preallocate)
{
    struct store_config config = {.path = folder,
                                  .map_size = MAP_SIZE,
                                  .preallocate = preallocate,
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

/* ---- after a sweep ---- */

struct put {
    struct store_job job;
    struct store_sweep sweep;
    uint64_t serial;
    size_t bytes;
    int64_t run_us, started_us, done_us;
    sem_t *done;
};

static int put_run(struct store_txn *txn, struct store_job *job)
{
    struct put *p = (struct put *)(void *)job;
    struct record_id id = {3, 490000, 1, p->serial, 'M'};

    p->started_us = clock_mono_us();
    store_put_record(txn, &id, span_of(pool, p->bytes));
    p->run_us = clock_mono_us() - p->started_us;
    return store_txn_error(txn);
}

static int sweep_run(struct store_txn *txn, struct store_job *job)
{
    struct put *p = (struct put *)(void *)job;

    p->started_us = clock_mono_us();
    store_sweep_class(txn, 1, UINT32_MAX, &p->sweep);
    p->run_us = clock_mono_us() - p->started_us;
    return store_txn_error(txn);
}

static void put_done(struct store_job *job)
{
    struct put *p = (struct put *)(void *)job;
    p->done_us = clock_mono_us();
    if (job->result != 0) {
        (void)fprintf(stderr, "bench_store: job failed: %s\n", error_word(job->result));
        exit(1);
    }
    sem_post(p->done);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void print_times(const char *what, int64_t *us, size_t n)
{
    qsort(us, n, sizeof(*us), by_size);
    printf("%s: p50 %lld us, p99 %lld us, most %lld us (%zu times)\n", what, (long long)us[n / 2],
           (long long)us[n * 99 / 100], (long long)us[n - 1], n);
}

static void put_one(struct store *store, struct put *p,
                    int (*run)(struct store_txn *, struct store_job *),
                    enum store_priority priority)
{
    sem_t done;
    sem_init(&done, 0, 0);
    p->job = (struct store_job){.priority = priority, .run = run, .done = put_done};
    p->done = &done;
    store_submit(store, &p->job);
    while (sem_wait(&done) != 0)
        ;
    sem_destroy(&done);
}

#define PUTS 500

/* Single records of 4 kB, one commit each: inside the transaction, and with its commit and sync. */
static void put_records(struct store *store, const char *when)
{
    static int64_t run[PUTS], whole[PUTS];
    static uint64_t serial;
    char what[100];

    for (size_t i = 0; i < PUTS; i++) {
        struct put p = {.serial = ++serial, .bytes = 4096};
        put_one(store, &p, put_run, STORE_INTAKE);
        run[i] = p.run_us;
        whole[i] = p.done_us - p.started_us;
    }
    (void)snprintf(what, sizeof(what), "put of 4 kB %s, in the transaction", when);
    print_times(what, run, PUTS);
    (void)snprintf(what, sizeof(what), "put of 4 kB %s, with commit", when);
    print_times(what, whole, PUTS);
}

static void sweep_all(struct store *store)
{
    static int64_t run[65536];
    uint64_t rows = 0;
    size_t n = 0;
    int64_t t0 = clock_mono_us();
    double c0 = cpu_us();
    struct put p = {0};

    do {
        put_one(store, &p, sweep_run, STORE_PURGE);
        rows += p.sweep.rows;
        if (n < 65536)
            run[n++] = p.run_us;
    } while (p.sweep.more);
    printf("sweep: %llu rows in %.1f s, %.2f us CPU a row\n", (unsigned long long)rows,
           (double)(clock_mono_us() - t0) / 1e6, (cpu_us() - c0) / (double)rows);
    print_times("sweep, one slice", run, n);
}

/* What lies in the file, by LMDB's own statistics. */
static void print_tables(const char *folder, uint64_t messages)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi all;
    MDB_cursor *cursor;
    MDB_val key, value;
    double bytes = 0, rows = 0;

    if (mdb_env_create(&env) != 0 || mdb_env_set_maxdbs(env, 128) != 0 ||
        mdb_env_set_mapsize(env, MAP_SIZE) != 0 ||
        mdb_env_open(env, folder, MDB_RDONLY, 0600) != 0 ||
        mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0 || mdb_dbi_open(txn, NULL, 0, &all) != 0 ||
        mdb_cursor_open(txn, all, &cursor) != 0)
        exit(1);
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        char name[64];
        MDB_dbi dbi;
        MDB_stat stat;
        (void)snprintf(name, sizeof(name), "%.*s", (int)key.mv_size, (const char *)key.mv_data);
        if (mdb_dbi_open(txn, name, 0, &dbi) != 0 || mdb_stat(txn, dbi, &stat) != 0 ||
            stat.ms_entries == 0)
            continue;
        double pages = (double)(stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages);
        printf("    %-12s %9zu rows, %7.1f bytes and %.3f rows a message, %zu overflow pages\n",
               name, stat.ms_entries, pages * stat.ms_psize / (double)messages,
               (double)stat.ms_entries / (double)messages, stat.ms_overflow_pages);
        bytes += pages * stat.ms_psize;
        rows += (double)stat.ms_entries;
    }
    printf("    in all: %.0f bytes and %.2f rows a message\n", bytes / (double)messages,
           rows / (double)messages);
    mdb_env_close(env);
}

struct options {
    const char *folder;
    uint64_t messages;
    size_t preallocate;
    bool no_sync;
};

static void bench(const struct options *o)
{
    uint64_t seed = 88172645463325252ull;
    const uint64_t measured = 64 * 500;

    for (size_t i = 0; i < POOL_BYTES; i++)
        pool[i] = (uint8_t)(random_next(&seed) >> 32);
    double c0 = cpu_us();
    int64_t t0 = clock_mono_us();
    struct store *store = open_store(o->folder, true, 0);
    load(store, o->messages, &seed);
    printf("fill: %llu messages, %.1f us CPU each, %.1f s, without sync\n",
           (unsigned long long)o->messages, (cpu_us() - c0) / (double)o->messages,
           (double)(clock_mono_us() - t0) / 1e6);
    store_close(store);
    print_tables(o->folder, o->messages);
    sync(); /* what the fill did not */

    t0 = clock_mono_us();
    store = open_store(o->folder, o->no_sync, o->preallocate);
    printf("open: %.1f ms\n", (double)(clock_mono_us() - t0) / 1e3);
    for (int round = 0; round < 3; round++) {
        t0 = clock_mono_us();
        c0 = cpu_us();
        load(store, measured, &seed);
        printf("message: %.2f us CPU, %.2f us wall, 64 a commit\n",
               (cpu_us() - c0) / (double)measured,
               (double)(clock_mono_us() - t0) / (double)measured);
    }
    put_records(store, "before the sweep");
    sweep_all(store);
    put_records(store, "after the sweep");
    c0 = cpu_us();
    load(store, measured, &seed);
    printf("message after the sweep: %.2f us CPU\n", (cpu_us() - c0) / (double)measured);
    store_close(store);
}

int main(int argc, char **argv)
{
    struct options o = {.folder = "/var/tmp/sluis-bench-store", .messages = 1000000};

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--no-sync") == 0) {
            o.no_sync = true;
        } else if (strcmp(argv[i], "--messages") == 0 && i + 1 < argc) {
            o.messages = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--preallocate") == 0 && i + 1 < argc) {
            o.preallocate = (size_t)strtoull(argv[++i], NULL, 10) << 20;
        } else if (strcmp(argv[i], "--folder") == 0 && i + 1 < argc) {
            o.folder = argv[++i];
        } else {
            (void)fprintf(stderr, "usage: bench_store [--messages N] [--folder PATH] [--no-sync] "
                                  "[--preallocate MIB]\n");
            return 2;
        }
    }
    bench(&o);
    return 0;
}

/*
 * What a purge costs. Usage: bench-purge MESSAGES [BUCKETS]
 *
 * MESSAGES (1,000) of as many persons in one bucket that ends, a record in each of BUCKETS (10,000)
 * that do not. Prints, a line each: until nobody can open them in memory and on the disk; intake
 * beside the sweep and without; the same rows deleted in plain LMDB; one person of MESSAGES erased;
 * 1,000 messages taken back one by one. In TMPDIR or the build's folder: a disk, not a tmpfs.
 */
#include "help.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "../store/support.h"
#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/log.h"

#define PER_JOB 500
#define BYTES 300
#define REVOKES 1000
#define SAMPLES_MAX 200000
#define INTAKE_EVERY_US 2000

struct fill {
    const struct message *like;
    uint64_t subject;
    unsigned n;
    uint32_t later; /* buckets further on, one a message; 0: all in the message's own */
};

static int run_fill(struct store_txn *txn, void *ctx)
{
    struct fill *f = ctx;
    uint8_t bytes[BYTES], hash[STORE_HASH_BYTES];
    for (unsigned i = 0; i < f->n; i++) {
        struct store_item item = f->like->item;
        item.subject = f->subject + i;
        item.serial = 1000 + item.subject; /* rising, below no reserved one that is used again */
        item.bucket_o += f->later ? f->later + i : 0;
        test_bytes(item.serial, bytes, sizeof(bytes));
        test_bytes(item.serial, hash, sizeof(hash));
        struct record_id o = f->like->o;
        o.serial = item.serial;
        o.bucket = item.bucket_o;
        store_put_record(txn, &o, span_of(bytes, sizeof(bytes)));
        store_put_identifier(txn, hash, item.subject);
        store_put_item(txn, &item);
    }
    return store_txn_error(txn);
}

/* ---- from when on it cannot be opened ---- */

struct poll {
    struct world *w;
    const struct message *one;
    struct span sealed;
    uint64_t generation; /* before */
    _Atomic int64_t gone_us, durable_us;
};

static void *poll_open(void *ctx)
{
    struct poll *p = ctx;
    struct keyring_cache *cache;
    struct keyring_status status;
    struct buffer plain;
    assert_int_equal(keyring_cache_new(p->w->keyring, &cache), 0);
    buffer_init(&plain, 1 << 20);
    while (record_open(cache, 0, &p->one->o, p->sealed, &plain) == 0)
        buffer_clear(&plain);
    atomic_store(&p->gone_us, clock_mono_us());
    do {
        const struct timespec pause = {.tv_nsec = 50000};
        nanosleep(&pause, NULL);
        keyring_status(p->w->keyring, &status);
    } while (status.generation == p->generation || status.behind);
    atomic_store(&p->durable_us, clock_mono_us());
    buffer_free(&plain);
    keyring_cache_free(cache);
    return NULL;
}

/* ---- intake, measured ---- */

struct intake {
    struct world *w;
    const struct message *like;
    uint64_t subject;
    atomic_bool stop;
    unsigned n;
    int64_t us[SAMPLES_MAX];
};

static void *take_in(void *ctx)
{
    struct intake *in = ctx;
    while (!atomic_load(&in->stop) && in->n < SAMPLES_MAX) {
        struct fill f = {.like = in->like, .subject = in->subject++, .n = 1, .later = 20000};
        int64_t start = clock_mono_us();
        assert_int_equal(test_run_at(in->w->store, STORE_INTAKE, run_fill, &f), 0);
        in->us[in->n++] = clock_mono_us() - start;
        const struct timespec pause = {.tv_nsec = INTAKE_EVERY_US * 1000};
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void intake_begin(struct intake *in, pthread_t *thread)
{
    in->n = 0;
    atomic_store(&in->stop, false);
    pthread_create(thread, NULL, take_in, in);
}

static void intake_end(struct intake *in, pthread_t thread, const char *when)
{
    atomic_store(&in->stop, true);
    pthread_join(thread, NULL);
    if (!in->n)
        return;
    qsort(in->us, in->n, sizeof(in->us[0]), ascending);
    printf("intake %s: p50 %.1f ms, p99 %.1f ms, most %.1f ms (%u commits)\n", when,
           (double)in->us[in->n / 2] / 1000, (double)in->us[in->n * 99 / 100] / 1000,
           (double)in->us[in->n - 1] / 1000, in->n);
}

/* ---- the same rows in plain LMDB ---- */

static void plain_lmdb(const char *folder, unsigned long long n)
{
    char path[300];
    uint8_t bytes[BYTES], key[16] = {0};
    MDB_env *env;
    MDB_txn *txn = NULL;
    MDB_dbi dbi;
    snprintf(path, sizeof(path), "%s-plain", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_mapsize(env, 4ull << 30), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    for (unsigned long long i = 0; i < n; i++) {
        if (i % 10000 == 0)
            assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
        assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
        be64_put(key + 8, i);
        test_bytes(i, bytes, sizeof(bytes));
        MDB_val k = {sizeof(key), key}, v = {sizeof(bytes), bytes};
        assert_int_equal(mdb_put(txn, dbi, &k, &v, MDB_APPEND), 0);
        if (i % 10000 == 9999 || i == n - 1)
            assert_int_equal(mdb_txn_commit(txn), 0);
    }
    MDB_cursor *cursor;
    MDB_val k, v;
    int64_t start = clock_mono_us();
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_cursor_open(txn, dbi, &cursor), 0);
    while (mdb_cursor_get(cursor, &k, &v, MDB_FIRST) == 0)
        assert_int_equal(mdb_cursor_del(cursor, 0), 0);
    mdb_cursor_close(cursor);
    assert_int_equal(mdb_txn_commit(txn), 0);
    printf("plain LMDB: the rows deleted in one transaction after %.1f ms, and still in the file\n",
           (double)(clock_mono_us() - start) / 1000);
    mdb_env_close(env);
    test_folder_remove(path);
}

/* ---- single messages ---- */

static int run_revoke(struct store_txn *txn, void *ctx)
{
    const struct message *all = ctx;
    for (unsigned i = 0; i < REVOKES; i++)
        purge_revoke_put(txn, all[i].item.serial);
    return store_txn_error(txn);
}

static void revokes(struct world *w)
{
    struct message *all = calloc(REVOKES, sizeof(*all));
    struct keyring_status before, after;
    assert_non_null(all);
    for (unsigned i = 0; i < REVOKES; i++)
        message_put(w, 50 + i % 37, NULL, clock_wall_ms(), &all[i]);
    assert_int_equal(test_run(w->store, run_revoke, all), 0);
    keyring_status(w->keyring, &before);
    int64_t start = clock_mono_us();
    assert_int_equal(purge_revoke(w->purge), 0);
    int64_t ms = (clock_mono_us() - start) / 1000;
    keyring_status(w->keyring, &after);
    for (unsigned i = 0; i < REVOKES; i++)
        assert_int_not_equal(message_open(w, &all[i].o), 0);
    printf("1,000 messages taken back in %lld ms, %llu changes of the keyring; cover %llu nodes\n",
           (long long)ms, (unsigned long long)(after.generation - before.generation),
           (unsigned long long)after.cover_nodes);
    free(all);
}

static void one_person(struct world *w)
{
    struct message anna;
    struct buffer certificate;
    message_put(w, 20, "31612345678", clock_wall_ms(), &anna);
    buffer_init(&certificate, 1 << 16);
    int64_t start = clock_mono_us();
    assert_int_equal(purge_person_erase(w->purge, SPAN("31612345678"), false, &certificate), 0);
    printf("one person erased in %.1f ms\n", (double)(clock_mono_us() - start) / 1000);
    buffer_free(&certificate);
}

int main(int argc, char **argv)
{
    static struct world w;
    static struct intake intake;
    struct message one;
    struct arena arena;
    struct store_read *read;
    struct keyring_status status;
    struct poll poll = {.w = &w, .one = &one};
    pthread_t thread, taker;
    char out[4096];
    unsigned long long n = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    unsigned buckets = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 10000;
    setvbuf(stdout, NULL, _IOLBF, 0);
    log_configure(LOG_ERROR, LOG_KEY_VALUE, 2);
    world_open_sized(&w, 4ull << 30);
    message_put(&w, 10, NULL, clock_wall_ms(), &one);
    struct fill f = {.like = &one, .subject = 100, .n = PER_JOB};
    for (unsigned long long i = 0; i < n; i += PER_JOB, f.subject += PER_JOB)
        assert_int_equal(test_run(w.store, run_fill, &f), 0);
    for (unsigned i = 0; i < buckets; i += PER_JOB, f.subject += PER_JOB) {
        f.later = 100 + i;
        assert_int_equal(test_run(w.store, run_fill, &f), 0);
    }
    intake.w = &w;
    intake.like = &one;
    intake.subject = f.subject + 1000;
    intake_begin(&intake, &taker);
    nanosleep(&(const struct timespec){.tv_sec = 10}, NULL);
    intake_end(&intake, taker, "alone");

    arena_init(&arena, 1 << 20);
    assert_int_equal(store_read_begin(w.store, &read), 0);
    assert_int_equal(store_get_record(read, &one.o, &arena, &poll.sealed), 0);
    store_read_end(read);
    keyring_status(w.keyring, &status);
    poll.generation = status.generation;
    world_shift(&w, 3 * HOUR_MS);
    intake_begin(&intake, &taker);
    pthread_create(&thread, NULL, poll_open, &poll);
    int64_t start = clock_mono_us();
    assert_int_equal(run_purge(&w, false, out), 0);
    int64_t recorded = clock_mono_us();
    pthread_join(thread, NULL);
    assert_int_equal(purge_sweep(w.purge), 0);
    int64_t swept = clock_mono_us();
    intake_end(&intake, taker, "beside record and sweep");
    intake_begin(&intake, &taker); /* the machine is not the same all the time */
    nanosleep(&(const struct timespec){.tv_sec = 5}, NULL);
    intake_end(&intake, taker, "alone again");
    printf("%llu messages, %u other buckets: unreadable after %.1f ms, durably after %.1f ms; on "
           "record after %.1f ms, swept after %.1f ms\n",
           n, buckets, (double)(atomic_load(&poll.gone_us) - start) / 1000,
           (double)(atomic_load(&poll.durable_us) - start) / 1000,
           (double)(recorded - start) / 1000, (double)(swept - start) / 1000);
    plain_lmdb(w.folder, n);
    one_person(&w);
    revokes(&w);
    arena_free(&arena);
    world_close(&w);
    return 0;
}

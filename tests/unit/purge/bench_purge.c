/* What a purge costs. Usage: bench-purge MESSAGES: so many messages in the bucket that ends, one of
 * ten persons erased afterwards among MESSAGES persons. Prints one line of figures. */
#include "help.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "../store/support.h"
#include "sluis/base/clock.h"
#include "sluis/base/log.h"

#define PER_JOB 500
#define BYTES 300

struct fill {
    const struct message *like;
    uint64_t subject;
    unsigned n;
};

static int run_fill(struct store_txn *txn, void *ctx)
{
    struct fill *f = ctx;
    uint8_t bytes[BYTES], hash[STORE_HASH_BYTES];
    for (unsigned i = 0; i < f->n; i++) {
        struct store_item item = f->like->item;
        item.subject = f->subject + i;
        item.serial = 1000 + item.subject; /* rising, below no reserved one that is used again */
        test_bytes(item.serial, bytes, sizeof(bytes));
        test_bytes(item.serial, hash, sizeof(hash));
        struct record_id o = f->like->o;
        o.serial = item.serial;
        store_put_record(txn, &o, span_of(bytes, sizeof(bytes)));
        store_put_identifier(txn, hash, item.subject);
        store_put_item(txn, &item);
    }
    return store_txn_error(txn);
}

struct poll {
    struct world *w;
    const struct message *one;
    struct span sealed;
    _Atomic int64_t gone_us;
};

/* From the moment on that a copy of the record cannot be opened. */
static void *poll_open(void *ctx)
{
    struct poll *p = ctx;
    struct keyring_cache *cache;
    struct buffer plain;
    assert_int_equal(keyring_cache_new(p->w->keyring, &cache), 0);
    buffer_init(&plain, 1 << 20);
    while (record_open(cache, 0, &p->one->o, p->sealed, &plain) == 0)
        buffer_clear(&plain);
    atomic_store(&p->gone_us, clock_mono_us());
    buffer_free(&plain);
    keyring_cache_free(cache);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct world w;
    struct message one, anna;
    struct arena arena;
    struct store_read *read;
    struct poll poll = {.w = &w, .one = &one};
    pthread_t thread;
    char out[4096];
    unsigned long long n = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    struct keyring_status before;
    log_configure(LOG_ERROR, LOG_KEY_VALUE, 2);
    world_open_sized(&w, 4ull << 30);
    message_put(&w, 10, NULL, clock_wall_ms(), &one);
    struct fill f = {.like = &one, .subject = 100, .n = PER_JOB};
    for (unsigned long long i = 0; i < n; i += PER_JOB, f.subject += PER_JOB)
        assert_int_equal(test_run(w.store, run_fill, &f), 0);
    arena_init(&arena, 1 << 20);
    assert_int_equal(store_read_begin(w.store, &read), 0);
    assert_int_equal(store_get_record(read, &one.o, &arena, &poll.sealed), 0);
    store_read_end(read);
    world_shift(&w, 3 * HOUR_MS);
    pthread_create(&thread, NULL, poll_open, &poll);
    int64_t start = clock_mono_us();
    assert_int_equal(run_purge(&w, false, out), 0);
    int64_t recorded = clock_mono_us();
    pthread_join(thread, NULL);
    assert_int_equal(purge_sweep(w.purge), 0);
    int64_t swept = clock_mono_us();

    message_put(&w, 20, "31612345678", clock_wall_ms(), &anna);
    struct buffer certificate;
    buffer_init(&certificate, 1 << 16);
    int64_t erase = clock_mono_us();
    assert_int_equal(purge_person_erase(w.purge, SPAN("31612345678"), false, &certificate), 0);
    int64_t erased = clock_mono_us();
    keyring_status(w.keyring, &before);
    printf("messages %llu: unreadable after %.1f ms, on record after %.1f ms, swept after %.1f ms; "
           "one person erased in %.1f ms; cover %llu nodes\n",
           n, (double)(atomic_load(&poll.gone_us) - start) / 1000,
           (double)(recorded - start) / 1000, (double)(swept - start) / 1000,
           (double)(erased - erase) / 1000, (unsigned long long)before.cover_nodes);
    buffer_free(&certificate);
    arena_free(&arena);
    world_close(&w);
    return 0;
}

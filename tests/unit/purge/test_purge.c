/* Expiry: keys first, then a signed record, then the rows; the clock; restarts between the steps.
 */
#include "help.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "../store/support.h"
#include "sluis/base/clock.h"

static int setup(void **state)
{
    static struct world w;
    world_open(&w);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world_close(*state);
    return 0;
}

struct lines {
    unsigned n;
    char last[4096];
};

static int take_line(void *ctx, struct span line)
{
    struct lines *l = ctx;
    l->n++;
    assert_true(line.n < sizeof(l->last));
    memcpy(l->last, line.p, line.n);
    l->last[line.n] = '\0';
    return 0;
}

static struct lines records(struct world *w)
{
    struct lines l = {0};
    assert_int_equal(purge_records(w->purge, 0, INT64_MAX, take_line, &l), 0);
    return l;
}

struct leaves {
    unsigned purge;
};
static int take_leaf(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    struct leaves *l = ctx;
    (void)index;
    (void)hash;
    l->purge += memmem(leaf.p, leaf.n, "\"action\":\"purge\"", 16) != NULL;
    return 0;
}
static unsigned purge_leaves(struct world *w)
{
    struct store_read *read;
    struct leaves l = {0};
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_each_leaf(read, 0, take_leaf, &l), 0);
    store_read_end(read);
    return l.purge;
}

static void test_expires(void **state)
{
    struct world *w = *state;
    struct message old[3], young;
    char out[4096];
    int64_t now = clock_wall_ms();
    for (unsigned i = 0; i < 3; i++)
        message_put(w, 10 + i % 2, NULL, now, &old[i]);
    /* nothing is due yet, and saying so changes nothing */
    assert_int_equal(run_purge(w, false, out), 0);
    assert_non_null(strstr(out, "\"classes\":[]"));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(message_open(w, &old[i].o), 0);

    world_shift(w, 2 * HOUR_MS + HOUR_MS / 2);
    message_put(w, 10, NULL, clock_wall_ms(), &young);
    /* dry: the numbers, and everything readable */
    assert_int_equal(run_purge(w, true, out), 0);
    assert_non_null(strstr(out, "\"class\":\"original/7200/max/hour\""));
    assert_non_null(strstr(out, "\"messages\":3,\"subjects\":2"));
    assert_int_equal(message_open(w, &old[0].o), 0);
    assert_int_equal(records(w).n, 0);

    assert_int_equal(run_purge(w, false, out), 0);
    assert_non_null(strstr(out, "\"messages\":3,\"subjects\":2"));
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(message_open(w, &old[i].o), SLUIS_EEXPIRED); /* rows still stand */
        assert_int_equal(message_open(w, &old[i].m), 0);              /* a longer class */
    }
    assert_int_equal(message_open(w, &young.o), 0);
    struct lines l = records(w);
    assert_int_equal(l.n, 1);
    assert_non_null(strstr(l.last, "\"ground\":\"AVG 6.1.e\""));
    assert_non_null(strstr(l.last, "\"messages\":3"));
    assert_non_null(strstr(l.last, "\"reason\":\"expired\""));
    assert_int_equal(purge_leaves(w), 1);

    assert_int_equal(purge_sweep(w->purge), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(message_open(w, &old[i].o), SLUIS_ENOENT);
    assert_int_equal(message_open(w, &old[0].m), 0);
    assert_int_equal(message_open(w, &young.o), 0);
    /* again: nothing new to say */
    assert_int_equal(run_purge(w, false, out), 0);
    assert_int_equal(records(w).n, 1);

    /* the history is a minimum under the selection list */
    world_shift(w, 3 * HOUR_MS);
    assert_int_equal(run_purge(w, false, out), 0);
    assert_int_equal(message_open(w, &old[0].m), SLUIS_EEXPIRED);
    assert_non_null(strstr(records(w).last, "Selectielijst 2020"));
}

/* A stop between the keys and the record, and between the record and the sweep. */
static void test_restart(void **state)
{
    struct world *w = *state;
    struct message one, two;
    char out[4096];
    message_put(w, 10, NULL, clock_wall_ms(), &one);
    world_shift(w, 3 * HOUR_MS);
    /* the keys went, nothing was written: as after a crash behind keyring_puncture */
    const struct keyring_leaf leaf = {
        .tree = KEYRING_TIME, .through = true, .cls = one.o.cls, .leaf = one.o.bucket};
    assert_int_equal(keyring_puncture(w->keyring, &leaf, 1), 0);
    world_restart(w);
    assert_int_equal(message_open(w, &one.o), SLUIS_EEXPIRED);
    assert_int_equal(run_purge(w, false, out), 0);
    assert_int_equal(records(w).n, 1);
    /* recorded, not swept: a restart sweeps, and writes no second record */
    world_restart(w);
    assert_int_equal(message_open(w, &one.o), SLUIS_EEXPIRED);
    message_put(w, 11, NULL, clock_wall_ms(), &two);
    assert_int_equal(run_purge(w, false, out), 0);
    assert_int_equal(purge_sweep(w->purge), 0);
    assert_int_equal(message_open(w, &one.o), SLUIS_ENOENT);
    assert_int_equal(message_open(w, &two.o), 0);
    assert_int_equal(records(w).n, 1);
}

static void test_clock(void **state)
{
    struct world *w = *state;
    struct message one;
    struct purge_status status;
    char out[4096];
    message_put(w, 10, NULL, clock_wall_ms(), &one);
    world_shift(w, 25 * HOUR_MS); /* off for longer than a day, as far as the store knows */
    assert_int_equal(run_purge(w, false, out), SLUIS_EDENIED);
    assert_int_equal(message_open(w, &one.o), 0);
    purge_status(w->purge, &status);
    assert_false(status.clock_trusted);
    /* a restart does not make it right */
    world_restart(w);
    assert_int_equal(run_purge(w, false, out), SLUIS_EDENIED);
    assert_int_equal(message_open(w, &one.o), 0);
    /* back to where it was: right again */
    world_shift(w, -25 * HOUR_MS);
    assert_int_equal(run_purge(w, false, out), 0);
    assert_int_equal(message_open(w, &one.o), 0);
    world_shift(w, 25 * HOUR_MS);
    assert_int_equal(run_purge(w, false, out), SLUIS_EDENIED);
    /* a day of even running: it is the world's time */
    world_shift(w, 24 * HOUR_MS + 60000);
    assert_int_equal(run_purge(w, false, out), 0);
    assert_int_equal(message_open(w, &one.o), SLUIS_EEXPIRED);
    /* an operator's word does as well */
    message_put(w, 10, NULL, clock_wall_ms(), &one);
    world_shift(w, 100 * HOUR_MS);
    assert_int_equal(run_purge(w, false, out), SLUIS_EDENIED);
    assert_int_equal(purge_clock_accept(w->purge), 0);
    assert_int_equal(run_purge(w, false, out), 0);
    assert_int_equal(message_open(w, &one.o), SLUIS_EEXPIRED);
}

static int run_clock_row(struct store_txn *txn, void *ctx)
{
    struct span *value = ctx;
    store_put_row(txn, STORE_TABLE_SETTING, SPAN("purge.clock"), *value);
    return store_txn_error(txn);
}

/* The row of the last minute does not open: nothing is destroyed unseen, and nothing else stops. */
static void test_clock_damaged(void **state)
{
    struct world *w = *state;
    struct message one;
    struct span damaged =
        SPAN("\001C and nothing that was ever sealed, for sixty bytes or more than that");
    char out[4096];
    message_put(w, 10, NULL, clock_wall_ms(), &one);
    assert_int_equal(run_purge(w, false, out), 0);
    assert_int_equal(test_run(w->store, run_clock_row, &damaged), 0);
    world_restart(w);
    world_shift(w, 3 * HOUR_MS);
    assert_int_equal(run_purge(w, false, out), SLUIS_EDENIED);
    assert_int_equal(message_open(w, &one.o), 0);
    assert_int_equal(purge_clock_accept(w->purge), 0);
    assert_int_equal(run_purge(w, false, out), 0);
    assert_int_equal(message_open(w, &one.o), SLUIS_EEXPIRED);
    world_restart(w);
    assert_int_equal(run_purge(w, false, out), 0); /* it was written anew */
}

/* Linked in place of the real one (--wrap): a purge looks messages up while it counts. */
int __real_store_get_item(struct store_read *read, uint64_t serial, struct store_item *out);
int __wrap_store_get_item(struct store_read *read, uint64_t serial, struct store_item *out);
static struct {
    struct world *w; /* NULL: not watched */
    atomic_int done; /* the restriction was made */
    unsigned counted, waited_ms;
    pthread_t thread;
} counting;

static void *restrict_person(void *ctx)
{
    struct world *w = ctx;
    int r = purge_person_restrict(w->purge, SPAN("31612345678"), true);
    atomic_store(&counting.done, r == 0 ? 1 : -1);
    return NULL;
}

int __wrap_store_get_item(struct store_read *read, uint64_t serial, struct store_item *out)
{
    const struct timespec ms = {.tv_nsec = 1000000};
    if (counting.w && ++counting.counted == 1) {
        assert_int_equal(pthread_create(&counting.thread, NULL, restrict_person, counting.w), 0);
        while (!atomic_load(&counting.done) && counting.waited_ms++ < 20000)
            nanosleep(&ms, NULL);
    }
    return __real_store_get_item(read, serial, out);
}

/* While a purge counts what it destroyed, persons can be restricted, held and erased: a million
 * messages take seconds to count. */
static void test_counting_locks_nothing(void **state)
{
    struct world *w = *state;
    struct message one, two;
    char out[4096];
    message_put(w, 10, "31612345678", clock_wall_ms(), &one);
    message_put(w, 11, NULL, clock_wall_ms(), &two);
    world_shift(w, 3 * HOUR_MS);
    counting.w = w;
    int r = run_purge(w, false, out);
    counting.w = NULL;
    assert_int_equal(r, 0);
    assert_true(counting.counted >= 2);
    bool free = atomic_load(&counting.done) == 1; /* before the count went on */
    assert_int_equal(pthread_join(counting.thread, NULL), 0);
    assert_true(free && counting.waited_ms < 20000);
    assert_non_null(strstr(out, "\"messages\":2,\"subjects\":2"));
    assert_true(purge_refused(w->purge, 10));
}

/* 10,000 messages masked anew, here and there among those that stay: the keyring grows by what
 * their neighbours need, and is small again when those have expired. What lives is never touched.
 */
static void test_keyring_stays_small(void **state)
{
    enum { LIVING = 40, BETWEEN = 1000, REMASKED = 10000, SKIPPED = 1000 };
    struct world *w = *state;
    static struct message living[LIVING];
    static struct keyring_leaf leaves[REMASKED];
    struct message moved;
    struct keyring_status many, kept, few;
    char out[4096];
    const uint64_t first = store_next_serial(w->store);
    for (unsigned i = 0; i < LIVING; i++) {
        message_put(w, 10, NULL, clock_wall_ms() + 60 * HOUR_MS, &living[i]);
        for (unsigned k = 0; k < BETWEEN; k++)
            (void)store_next_serial(w->store);
    }
    message_put(w, 11, "31687654321", clock_wall_ms() + 60 * HOUR_MS, &moved);
    const struct purge_redaction asked = {.message = moved.item.serial};
    struct purge_redacted done;
    for (unsigned k = 0; k < BETWEEN; k++) /* what is sealed anew stands far from all others */
        leaves[0].leaf = (uint32_t)store_next_serial(w->store);
    assert_int_equal(purge_redact(w->purge, &asked, &done), 0);
    leaves[1].leaf = (uint32_t)store_next_serial(w->store);
    leaves[0].tree = leaves[1].tree = KEYRING_MESSAGE;
    for (unsigned i = 2; i < REMASKED; i++) { /* a quarter of four, none of the living */
        uint64_t at = (uint64_t)i * LIVING * BETWEEN / REMASKED;
        leaves[i] = (struct keyring_leaf){
            .tree = KEYRING_MESSAGE,
            .leaf = (uint32_t)(first + at + at / BETWEEN + 2 + at % BETWEEN % 2)};
    }
    assert_int_equal(keyring_puncture(w->keyring, leaves, REMASKED), 0);
    for (unsigned i = 0; i < LIVING; i++)
        assert_int_equal(message_open(w, &living[i].o), 0);
    /* a file or a note alone hangs under this one, its message was sealed anew elsewhere */
    struct record_id file = living[0].o, note = living[0].o, nothing = living[0].o;
    uint8_t key[KEYRING_KEY_BYTES];
    w->media_leaf = file.serial = leaves[REMASKED / 2 + 100].leaf ^ 1;
    w->notes_leaf = note.serial = leaves[REMASKED / 2 + 300].leaf ^ 1;
    nothing.serial = leaves[REMASKED / 4 + 100].leaf ^ 1;
    assert_int_equal(record_subkey(w->cache, &file, key), 0);
    assert_int_equal(record_subkey(w->cache, &note, key), 0);
    assert_int_equal(record_subkey(w->cache, &nothing, key), 0);
    /* passed over by a restore, one of them destroyed before: a newer copy has what the others had
     */
    struct record_id newer = living[0].o;
    struct keyring_leaf lost = {.tree = KEYRING_MESSAGE};
    newer.serial = store_next_serial(w->store) + SKIPPED / 2;
    lost.leaf = (uint32_t)newer.serial + 1;
    assert_int_equal(store_skip_serials(w->store, SKIPPED, 0), 0);
    assert_int_equal(keyring_puncture(w->keyring, &lost, 1), 0);
    keyring_status(w->keyring, &many);
    assert_true(many.cover_nodes > 8000);
    assert_int_equal(purge_sweep(w->purge), 0); /* what is given out from here on is left alone */
    for (unsigned half = 0; half < 2; half++) { /* the clock is trusted for a day */
        world_shift(w, 13 * HOUR_MS);
        assert_int_equal(run_purge(w, false, out), 0);
        assert_int_equal(purge_sweep(w->purge), 0);
    }
    keyring_status(w->keyring, &kept);
    assert_true(kept.cover_nodes < many.cover_nodes / 4);
    assert_int_equal(record_subkey(w->cache, &file, key), 0);
    assert_int_equal(record_subkey(w->cache, &note, key), 0);
    assert_int_equal(record_subkey(w->cache, &newer, key), 0);
    assert_int_equal(record_subkey(w->cache, &nothing, key), SLUIS_EEXPIRED);
    for (unsigned i = 0; i < LIVING; i++) {
        assert_int_equal(message_open(w, &living[i].o), 0);
        assert_int_equal(message_open(w, &living[i].m), 0);
    }
    struct record_id stub;
    struct store_read *read;
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(purge_moved(read, moved.item.serial, 11, &stub), 0);
    store_read_end(read);
    assert_int_equal(message_open(w, &stub), 0);
    /* another 10,000 over the same, and the time of all has come */
    for (unsigned i = 0; i < REMASKED; i++)
        leaves[i].leaf = (uint32_t)store_next_serial(w->store) - i % 2;
    assert_int_equal(keyring_puncture(w->keyring, leaves, REMASKED), 0);
    for (unsigned day = 0; day < 4; day++) {
        world_shift(w, 23 * HOUR_MS);
        assert_int_equal(run_purge(w, false, out), 0);
        assert_int_equal(purge_sweep(w->purge), 0);
    }
    keyring_status(w->keyring, &few);
    assert_true(few.cover_nodes < 4096);
    print_message("keys: %llu after 10,000, %llu pruned, %llu in the end\n",
                  (unsigned long long)many.cover_nodes, (unsigned long long)kept.cover_nodes,
                  (unsigned long long)few.cover_nodes);
}

/* Full up to the mark at which intake stops: what has expired is destroyed, put on record and
 * swept, journal too, and there is room again. */
static void test_full(void **state)
{
    enum { BATCH = 200 };
    struct world w;
    static struct to_put list[BATCH];
    static struct message messages[BATCH];
    struct store_status before, after;
    char out[4096];
    unsigned taken = 0;
    (void)state;
    world_open_sized(&w, 16u << 20);
    w.may_be_full = true;
    for (unsigned i = 0; i < BATCH; i++)
        list[i] = (struct to_put){10 + i % 50, "31612345678", false, clock_wall_ms()};
    for (; !w.full; taken += !w.full ? BATCH : 0) {
        messages_put(&w, list, BATCH, messages);
        assert_true(taken < 200000);
    }
    store_status(w.store, &before);
    assert_false(before.intake_allowed);
    assert_true(taken >= 2000);
    world_shift(&w, 5 * HOUR_MS);
    assert_int_equal(run_purge(&w, false, out), 0);
    assert_int_equal(records(&w).n, 2);
    assert_int_equal(purge_sweep(w.purge), 0);
    store_status(w.store, &after);
    assert_true(after.bytes_used < before.bytes_used / 3);
    for (unsigned i = 0; i < BATCH; i++)
        list[i].at_ms = clock_wall_ms();
    messages_put(&w, list, BATCH, messages);
    assert_false(w.full);
    assert_int_equal(message_open(&w, &messages[0].o), 0);
    print_message("%u messages filled it: %llu kB, %llu kB after the sweep\n", taken,
                  (unsigned long long)before.bytes_used / 1024,
                  (unsigned long long)after.bytes_used / 1024);
    world_close(&w);
}

/* Media are looked at after each change of the keys, to the end of a pass, and not without one. */
static void test_media(void **state)
{
    struct world *w = *state;
    struct message one;
    message_put(w, 10, NULL, clock_wall_ms(), &one);
    assert_int_equal(purge_round(w->purge), 0);
    unsigned before = w->media_passes;
    assert_int_equal(purge_round(w->purge), 0);
    assert_int_equal(w->media_passes, before);
    world_shift(w, 3 * HOUR_MS);
    assert_int_equal(purge_round(w->purge), 0);
    assert_int_equal(w->media_passes, before + 2);
}

/* Two answers of others that say the same as our clock make it right; one does not, nor two that
 * disagree, nor two that say it is another time. */
static void test_clock_witness(void **state)
{
    struct world *w = *state;
    struct message one;
    char out[4096];
    message_put(w, 10, NULL, clock_wall_ms(), &one);
    int64_t real = clock_wall_ms();
    world_shift(w, 30 * HOUR_MS);
    assert_int_equal(run_purge(w, false, out), SLUIS_EDENIED);
    purge_clock_witness(w->purge, real); /* the world's time is not ours */
    purge_clock_witness(w->purge, real);
    assert_int_equal(run_purge(w, false, out), SLUIS_EDENIED);
    purge_clock_witness(w->purge, clock_wall_ms());
    assert_int_equal(run_purge(w, false, out), SLUIS_EDENIED); /* one against one */
    assert_int_equal(message_open(w, &one.o), 0);
    purge_clock_witness(w->purge, clock_wall_ms() + 2000);
    assert_int_equal(run_purge(w, false, out), 0);
    assert_int_equal(message_open(w, &one.o), SLUIS_EEXPIRED);
    /* what they said was about that moment: the clock jumps once more */
    world_shift(w, 40 * HOUR_MS);
    assert_int_equal(run_purge(w, false, out), SLUIS_EDENIED);
}

/* A person whose last message is past loses the index row; one with a living message keeps it. */
static void test_tidy(void **state)
{
    struct world *w = *state;
    struct message gone, kept, last;
    struct store_item item;
    struct store_read *read;
    uint64_t subject, serial;
    char out[4096];
    int64_t now = clock_wall_ms();
    message_put(w, 10, "31612345678", now, &gone);
    message_put(w, 11, "31687654321", now, &kept);
    world_shift(w, 6 * HOUR_MS);
    message_put(w, 11, NULL, clock_wall_ms(), &last); /* the newest block stays as well */
    assert_int_equal(run_purge(w, false, out), 0);
    assert_int_equal(purge_sweep(w->purge), 0);
    assert_false(identifier_known(w, "31612345678", &subject));
    assert_int_equal(w->forgotten, 10);
    assert_true(identifier_known(w, "31687654321", &subject));
    assert_int_equal(subject, 11);
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_get_head(read, CHANNEL, 10, &serial), SLUIS_ENOENT);
    assert_int_equal(store_get_head(read, CHANNEL, 11, &serial), 0);
    assert_int_equal(serial, last.item.serial);
    assert_int_equal(store_get_item(read, gone.item.serial, &item), SLUIS_ENOENT);
    assert_int_equal(store_get_item(read, kept.item.serial, &item), SLUIS_ENOENT);
    assert_int_equal(store_get_item(read, last.item.serial, &item), 0);
    store_read_end(read);
    /* after a restart, when the heads are read back from their rows */
    world_restart(w);
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_get_head(read, CHANNEL, 10, &serial), SLUIS_ENOENT);
    store_read_end(read);
    /* the person writes again: a conversation like any other */
    message_put(w, 12, "31612345678", clock_wall_ms(), &gone);
    assert_true(identifier_known(w, "31612345678", &subject));
    assert_int_equal(subject, 12);
}

/* The service thread does it without being asked. */
static void test_thread(void **state)
{
    struct world *w = *state;
    struct message one;
    message_put(w, 10, NULL, clock_wall_ms(), &one);
    world_shift(w, 3 * HOUR_MS);
    assert_int_equal(purge_start(w->purge), 0);
    int r = 0;
    for (int i = 0; i < 3000 && (r = message_open(w, &one.o)) != SLUIS_ENOENT; i++) {
        const struct timespec pause = {.tv_nsec = 20000000};
        nanosleep(&pause, NULL);
    }
    assert_int_equal(r, SLUIS_ENOENT);
    purge_stop(w->purge);
    assert_int_equal(records(w).n, 1);
}

/* A changed record is not passed on. */
static int run_spoil(struct store_txn *txn, void *ctx)
{
    struct span *row = ctx;
    store_put_row(txn, STORE_TABLE_SETTING, row[0], row[1]);
    return store_txn_error(txn);
}
struct found {
    char key[64], value[STORE_VALUE_MAX];
    struct span row[2];
};
static int find_row(void *ctx, struct span key, struct span value)
{
    struct found *f = ctx;
    if (!span_starts(key, SPAN("purge.d")))
        return 1;
    memcpy(f->key, key.p, key.n);
    memcpy(f->value, value.p, value.n);
    f->row[0] = span_of(f->key, key.n);
    f->row[1] = span_of(f->value, value.n);
    return 1;
}
static void test_spoilt(void **state)
{
    struct world *w = *state;
    struct message one;
    struct store_read *read;
    static struct found f;
    struct lines l = {0};
    char out[4096];
    message_put(w, 10, NULL, clock_wall_ms(), &one);
    world_shift(w, 3 * HOUR_MS);
    assert_int_equal(run_purge(w, false, out), 0);
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_each_row(read, STORE_TABLE_SETTING, SPAN("purge.d"), find_row, &f), 0);
    store_read_end(read);
    assert_true(f.row[1].n > 0);
    f.value[f.row[1].n - 20] ^= 1;
    assert_int_equal(test_run(w->store, run_spoil, f.row), 0);
    assert_int_equal(purge_records(w->purge, 0, INT64_MAX, take_line, &l), SLUIS_ECRYPTO);
    assert_int_equal(l.n, 0);
}

/* ---- messages taken back ---- */

static int run_revoke(struct store_txn *txn, void *ctx)
{
    purge_revoke_put(txn, *(uint64_t *)ctx);
    return store_txn_error(txn);
}

static int open_moved(struct world *w, const struct message *m, char out[4096])
{
    struct store_read *read;
    struct record_id id;
    struct arena arena;
    struct buffer plain;
    struct span sealed;
    arena_init(&arena, 1 << 20);
    buffer_init(&plain, 4095);
    assert_int_equal(store_read_begin(w->store, &read), 0);
    int r = purge_moved(read, m->item.serial, m->item.subject, &id);
    if (r == 0)
        r = store_get_record(read, &id, &arena, &sealed);
    if (r == 0)
        r = record_open(w->cache, 0, &id, sealed, &plain);
    store_read_end(read);
    memcpy(out, plain.p ? plain.p : "", plain.n);
    out[plain.n] = '\0';
    if (r == 0)
        assert_non_null(memmem(plain.p, plain.n, "[ingetrokken]", 13));
    if (r == 0)
        assert_null(memmem(plain.p, plain.n, m->text, strlen(m->text)));
    buffer_free(&plain);
    arena_free(&arena);
    return r;
}

/* Sealed bytes as a backup of the data holds them. */
struct copy {
    char bytes[STORE_VALUE_MAX * 4];
    size_t n;
};
static void copy_of(struct world *w, const struct record_id *id, struct copy *out)
{
    struct store_read *read;
    struct arena arena;
    struct span sealed;
    arena_init(&arena, 1 << 20);
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_get_record(read, id, &arena, &sealed), 0);
    assert_true(sealed.n <= sizeof(out->bytes));
    memcpy(out->bytes, sealed.p, sealed.n);
    out->n = sealed.n;
    store_read_end(read);
    arena_free(&arena);
}
static int open_copy(struct world *w, const struct record_id *id, const struct copy *copy)
{
    struct buffer plain;
    buffer_init(&plain, 1 << 20);
    int r = record_open(w->cache, 0, id, span_of(copy->bytes, copy->n), &plain);
    buffer_free(&plain);
    return r;
}

static void test_revoke(void **state)
{
    struct world *w = *state;
    struct message gone, kept;
    static struct copy o, m;
    char text[4096], out[4096];
    uint64_t serial;
    int64_t now = clock_wall_ms();
    message_put(w, 10, NULL, now, &gone);
    message_put(w, 10, NULL, now, &kept);
    copy_of(w, &gone.o, &o);
    copy_of(w, &gone.m, &m);
    assert_int_equal(open_copy(w, &gone.o, &o), 0); /* control: the copy opens before */
    serial = gone.item.serial;
    assert_int_equal(test_run(w->store, run_revoke, &serial), 0);
    assert_int_equal(message_open(w, &gone.o), 0); /* not yet */
    world_restart(w);                              /* word of it stands in the store */
    assert_int_equal(purge_revoke(w->purge), 0);
    assert_int_equal(message_open(w, &gone.o), SLUIS_ENOENT);
    assert_int_equal(message_open(w, &gone.m), SLUIS_ENOENT);
    assert_int_equal(open_copy(w, &gone.o, &o), SLUIS_EEXPIRED);
    assert_int_equal(open_copy(w, &gone.m, &m), SLUIS_EEXPIRED);
    assert_int_equal(message_open(w, &kept.o), 0);
    assert_int_equal(message_open(w, &kept.m), 0);
    assert_int_equal(open_moved(w, &gone, text), 0);
    assert_non_null(strstr(records(w).last, "\"reason\":\"revoked\""));
    /* asked again, by an item that is not known any more: no harm */
    assert_int_equal(test_run(w->store, run_revoke, &serial), 0);
    assert_int_equal(purge_revoke(w->purge), 0);
    assert_int_equal(open_moved(w, &gone, text), 0);
    /* what stayed expires with its class */
    world_shift(w, 6 * HOUR_MS);
    assert_int_equal(run_purge(w, false, out), 0);
    assert_int_equal(purge_sweep(w->purge), 0);
    assert_int_equal(open_moved(w, &gone, text), SLUIS_ENOENT);
}

/* Taken back after it was put right twice: every leaf that it stood under goes. Nobody is shown a
 * picture of it for as long as one may hang under a leaf in between; words alone need no such word.
 */
static int run_withdrawn(struct store_txn *txn, void *ctx)
{
    retention_withdrawn_put(txn, *(uint64_t *)ctx);
    return run_revoke(txn, ctx);
}

static void put_right(struct world *w, uint64_t message, const char *text, const char *instead)
{
    struct purge_redaction ask = {
        .message = message, .text = span_str(text), .instead = span_str(instead)};
    struct purge_redacted done;
    assert_int_equal(purge_redact(w->purge, &ask, &done), 0);
    assert_int_equal(done.messages, 1);
    assert_int_equal(purge_revoke(w->purge), 0);
}

static void test_revoke_moved_twice(void **state)
{
    struct world *w = *state;
    const uint8_t flags[] = {0, STORE_ITEM_HAS_MEDIA};
    for (unsigned i = 0; i < 2; i++) {
        struct message m;
        struct record_id at[2];
        struct store_read *read;
        char text[4096];
        uint8_t key[KEYRING_KEY_BYTES];
        bool withdrawn;
        w->flags = flags[i];
        message_put(w, 10 + i, NULL, clock_wall_ms(), &m);
        const char *const words[] = {"text", "first", "second"};
        for (unsigned n = 0; n < 2; n++) {
            put_right(w, m.item.serial, words[n], words[n + 1]);
            assert_int_equal(store_read_begin(w->store, &read), 0);
            assert_int_equal(purge_moved(read, m.item.serial, m.item.subject, &at[n]), 0);
            store_read_end(read);
        }
        assert_true(at[0].serial != at[1].serial);
        assert_int_equal(record_subkey(w->cache, &at[0], key), SLUIS_EEXPIRED);
        assert_int_equal(record_subkey(w->cache, &at[1], key), 0);
        assert_int_equal(test_run(w->store, run_withdrawn, &m.item.serial), 0);
        assert_int_equal(purge_revoke(w->purge), 0);
        assert_int_equal(record_subkey(w->cache, &m.m, key), SLUIS_EEXPIRED);
        assert_int_equal(record_subkey(w->cache, &at[1], key), SLUIS_EEXPIRED);
        assert_int_equal(open_moved(w, &m, text), 0); /* the stub */
        assert_null(strstr(text, "second"));
        assert_int_equal(store_read_begin(w->store, &read), 0);
        assert_int_equal(retention_withdrawn(read, m.item.serial, &withdrawn), 0);
        store_read_end(read);
        assert_true(withdrawn == (flags[i] != 0));
    }
    w->flags = 0;
}

static void test_revoke_thread(void **state)
{
    struct world *w = *state;
    struct message all[100];
    int64_t now = clock_wall_ms();
    assert_int_equal(purge_start(w->purge), 0);
    for (unsigned i = 0; i < 100; i++) {
        message_put(w, 10 + i % 7, NULL, now, &all[i]);
        assert_int_equal(test_run(w->store, run_revoke, &all[i].item.serial), 0);
        purge_wake(w->purge);
    }
    for (int i = 0; i < 3000 && message_open(w, &all[99].o) != SLUIS_ENOENT; i++) {
        const struct timespec pause = {.tv_nsec = 20000000};
        nanosleep(&pause, NULL);
    }
    purge_stop(w->purge);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(message_open(w, &all[i].o), SLUIS_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_expires, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clock_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counting_locks_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keyring_stays_small, setup, teardown),
        cmocka_unit_test(test_full),
        cmocka_unit_test_setup_teardown(test_media, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clock_witness, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tidy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spoilt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_revoke, setup, teardown),
        cmocka_unit_test_setup_teardown(test_revoke_moved_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_revoke_thread, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The index key is replaced: everybody is found before, in between and after, whatever is cut off;
 * afterwards no hash under the old key is in the index, and the old key is nowhere. */
#include "help.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../store/support.h"
#include "sluis/base/clock.h"

#define PEOPLE 150 /* more than two slices */
#define FIRST 100  /* subject serials */

struct crash {
    unsigned commit; /* of the store: this one and all after it fail; 0 none */
    unsigned step;   /* of the keyring, at the `change`-th change */
    unsigned change;
};

struct faults { /* the store's writer thread looks at it too */
    pthread_mutex_t lock;
    struct crash crash;
    unsigned commits, changes; /* seen */
};

static void arm(struct faults *f, struct crash crash)
{
    pthread_mutex_lock(&f->lock);
    f->crash = crash;
    f->commits = f->changes = 0;
    pthread_mutex_unlock(&f->lock);
}

static int store_fault(void *ctx)
{
    struct faults *f = ctx;
    pthread_mutex_lock(&f->lock);
    bool fails = f->crash.commit && ++f->commits >= f->crash.commit;
    pthread_mutex_unlock(&f->lock);
    return fails ? SLUIS_EIO : 0;
}

static int keyring_fault(void *ctx, unsigned step)
{
    struct faults *f = ctx;
    pthread_mutex_lock(&f->lock);
    f->changes += step == 1;
    bool fails = f->crash.step == step && f->crash.change == f->changes;
    pthread_mutex_unlock(&f->lock);
    return fails;
}

static void name(unsigned i, char out[16])
{
    snprintf(out, 16, "3161%07u", i);
}

struct people {
    struct subject at[PEOPLE];
    bool without_record; /* of the first */
};

static int run_people(struct store_txn *txn, void *ctx)
{
    struct people *p = ctx;
    for (unsigned i = 0; i < PEOPLE; i++)
        subject_put(txn, &p->at[i]);
    if (p->without_record)
        subject_records_delete(txn, FIRST);
    return store_txn_error(txn);
}

static void put_people(struct world *w, bool without_record)
{
    struct people *people = calloc(1, sizeof(*people));
    assert_non_null(people);
    people->without_record = without_record;
    for (unsigned i = 0; i < PEOPLE; i++) {
        char text[16];
        name(i, text);
        people->at[i].serial = FIRST + i;
        people->at[i].new_hashes = 1;
        assert_int_equal(subject_row_make(w->keyring, w->cache, FIRST + i, span_str(text), 1, 0,
                                          &people->at[i].rows[0]),
                         0);
    }
    assert_int_equal(test_run(w->store, run_people, people), 0);
    free(people);
}

static void all_found(struct world *w)
{
    for (unsigned i = 0; i < PEOPLE; i++) {
        uint64_t subject = 0;
        char text[16];
        name(i, text);
        assert_true(identifier_known(w, text, &subject));
        assert_int_equal(subject, FIRST + i);
    }
}

static int count_row(void *ctx, const uint8_t hash[STORE_HASH_BYTES], uint64_t subject)
{
    (void)hash;
    (void)subject;
    ++*(unsigned *)ctx;
    return 0;
}

static unsigned rows(struct world *w)
{
    static const uint8_t from[STORE_HASH_BYTES] = {0};
    struct store_read *read;
    unsigned n = 0;
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_each_identifier(read, from, count_row, &n), 0);
    store_read_end(read);
    return n;
}

static bool hash_stands(struct world *w, const uint8_t hash[STORE_HASH_BYTES])
{
    struct store_read *read;
    uint64_t subject;
    assert_int_equal(store_read_begin(w->store, &read), 0);
    int r = store_get_identifier(read, hash, &subject);
    store_read_end(read);
    return r == 0;
}

static void test_replace(void **state)
{
    (void)state;
    struct world w;
    struct keyring_lookup lookup;
    uint8_t old[STORE_HASH_BYTES];
    char text[16];
    world_open_with(&w, false);
    put_people(&w, false);
    name(7, text);
    subject_hash(w.keyring, span_str(text), old);
    assert_true(hash_stands(&w, old)); /* control */
    assert_int_equal(purge_lookup_replace(w.purge), 0);
    all_found(&w);
    assert_int_equal(rows(&w), PEOPLE);
    assert_false(hash_stands(&w, old));
    keyring_lookup(w.keyring, &lookup);
    assert_true(lookup.number == 1 && !lookup.replacing);
    world_restart(&w);
    all_found(&w);
    assert_int_equal(purge_lookup_replace(w.purge), 0); /* and again */
    all_found(&w);
    assert_int_equal(rows(&w), PEOPLE);
    world_close(&w);
}

/* Whoever was erased is not made anew, and what was written by then leads nowhere. */
static void test_erased(void **state)
{
    (void)state;
    struct world w;
    struct buffer out;
    uint64_t subject;
    char text[16];
    uint8_t old[STORE_HASH_BYTES], now[STORE_HASH_BYTES];
    world_open_with(&w, false);
    put_people(&w, false);
    name(7, text);
    buffer_init(&out, 8192);
    assert_int_equal(purge_person_erase(w.purge, span_str(text), false, &out), 0);
    assert_non_null(memmem(out.p, out.n, "\"existence_by_index_until\":\"20", 30));
    buffer_free(&out);
    subject_hash(w.keyring, span_str(text), old);
    assert_int_equal(purge_lookup_replace(w.purge), 0);
    assert_false(identifier_known(&w, text, &subject));
    assert_int_equal(rows(&w), PEOPLE - 1);
    /* no living key makes the hash that pages of before may still hold */
    subject_hash(w.keyring, span_str(text), now);
    assert_memory_not_equal(now, old, STORE_HASH_BYTES);
    world_close(&w);
}

/* true: it was cut off; then started again and finished. */
static bool cut_off(struct crash crash)
{
    struct world w;
    struct keyring_lookup lookup;
    struct faults now = {.lock = PTHREAD_MUTEX_INITIALIZER};
    memset(&w, 0, sizeof(w));
    world_open_with(&w, false);
    put_people(&w, false);
    w.store_fault = store_fault;
    w.keyring_fault = keyring_fault;
    w.fault_ctx = &now;
    world_restart(&w);
    arm(&now, crash);
    int r = purge_lookup_replace(w.purge);
    arm(&now, (struct crash){0});
    world_restart(&w);
    all_found(&w);
    /* what the service thread does of itself when one is under way */
    keyring_lookup(w.keyring, &lookup);
    if (lookup.replacing || r != 0)
        assert_int_equal(purge_lookup_replace(w.purge), 0);
    all_found(&w);
    assert_int_equal(rows(&w), PEOPLE);
    keyring_lookup(w.keyring, &lookup);
    assert_true(!lookup.replacing && lookup.number >= 1);
    world_close(&w);
    return r != 0;
}

static void test_crashes(void **state)
{
    (void)state;
    unsigned cut = 0, commits = 0;
    while (cut_off((struct crash){.commit = commits + 1}))
        commits++;
    assert_true(commits >= 4); /* three slices and the number, at least */
    for (unsigned change = 1; change <= 2; change++)
        for (unsigned step = 1; step <= 6; step++)
            cut += cut_off((struct crash){.step = step, .change = change});
    assert_true(cut >= 6);
}

/* A row that nothing can be made anew from: the old key lives on, nobody is lost. */
static void test_without_record(void **state)
{
    (void)state;
    struct world w;
    struct keyring_lookup lookup;
    world_open_with(&w, false);
    put_people(&w, true);
    assert_int_equal(purge_lookup_replace(w.purge), SLUIS_EAGAIN);
    keyring_lookup(w.keyring, &lookup);
    assert_true(lookup.replacing);
    all_found(&w);
    world_restart(&w);
    all_found(&w);
    put_people(&w, false); /* they wrote again */
    assert_int_equal(purge_lookup_replace(w.purge), 0);
    all_found(&w);
    world_close(&w);
}

static bool not_settled(void *ctx, uint32_t key)
{
    struct world *w = ctx;
    (void)key;
    all_found(w);
    return w->forgets++ > 3;
}

/* Data of before the replacement is put back: their keys are gone, the records are not. */
static void test_old_data(void **state)
{
    (void)state;
    struct world w;
    char command[1200];
    uint64_t subject;
    char text[16];
    struct buffer out;
    world_open_with(&w, false);
    w.settled = not_settled;
    put_people(&w, false);
    world_restart(&w);
    snprintf(command, sizeof(command), "cp -a '%s' '%s-old'", w.folder, w.folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(purge_lookup_replace(w.purge), 0);
    assert_true(w.forgets > 3);
    name(9, text);
    buffer_init(&out, 8192);
    assert_int_equal(purge_person_erase(w.purge, span_str(text), false, &out), 0);
    buffer_free(&out);
    world_put_back(&w);
    assert_false(identifier_known(&w, text, &subject)); /* nothing else */
    assert_int_equal(rows(&w), PEOPLE - 1);
    name(8, text);
    assert_true(identifier_known(&w, text, &subject));
    assert_int_equal(subject, FIRST + 8);
    world_close(&w);
}

/* After 30 days, of itself. */
static void test_due(void **state)
{
    (void)state;
    struct world w;
    struct keyring_lookup lookup;
    world_open_with(&w, false);
    put_people(&w, false);
    world_shift(&w, (int64_t)(PURGE_LOOKUP_DAYS * 24 + 1) * HOUR_MS);
    assert_int_equal(purge_clock_accept(w.purge), 0);
    assert_int_equal(purge_start(w.purge), 0);
    for (int i = 0; i < 6000; i++) {
        keyring_lookup(w.keyring, &lookup);
        if (lookup.number == 1)
            break;
        usleep(10000);
    }
    assert_int_equal(lookup.number, 1);
    purge_stop(w.purge);
    all_found(&w);
    world_close(&w);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replace),  cmocka_unit_test(test_erased),
        cmocka_unit_test(test_crashes),  cmocka_unit_test(test_without_record),
        cmocka_unit_test(test_old_data), cmocka_unit_test(test_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What the page of the log may claim: proofs from the store against what left the machine, and what
 * they find when a stored hash, all of a block or a text is another than was committed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "../store/support.h"
#include "internal.h" /* of the store: rows are changed as nobody may */
#include "sluis/audit.h"
#include "sluis/base/encode.h"

#define ORIGIN "sluis/00112233445566778899aabbccddeeff"
#define LEAVES 20000u /* two blocks and a part */

static const uint8_t seed[NOTE_SEED] = {5, 5};
static char folder[256], file[300];
static struct audit_gate gate;

/* Linked in place of the real one (--wrap): a disk that does not read for a while. */
static atomic_int unreadable;
typedef int each_hash(void *ctx, uint64_t index, const uint8_t (*hashes)[32], size_t n);
int __real_store_each_leaf_hash(struct store_read *read, uint64_t from, each_hash *each, void *ctx);
int __wrap_store_each_leaf_hash(struct store_read *read, uint64_t from, each_hash *each, void *ctx);
int __wrap_store_each_leaf_hash(struct store_read *read, uint64_t from, each_hash *each, void *ctx)
{
    int error = atomic_load(&unreadable);
    return error ? error : __real_store_each_leaf_hash(read, from, each, ctx);
}

struct put {
    struct store_job job;
    unsigned n;
};

static int put_leaves(struct store_txn *txn, struct store_job *job)
{
    const struct put *p = (const struct put *)job;
    for (unsigned i = 0; i < p->n; i++) {
        const struct audit_event event = {.at_ms = 1795300205123,
                                          .action = AUDIT_SEND,
                                          .actor = "gateway",
                                          .object = i + 1,
                                          .outcome = "sent"};
        audit_put(txn, &event);
    }
    return store_txn_error(txn);
}

static void put(struct store *store, unsigned n)
{
    while (n) {
        struct put p = {.job = {.priority = STORE_NORMAL, .run = put_leaves},
                        .n = n < 500 ? n : 500};
        assert_int_equal(store_submit_wait(store, &p.job), 0);
        n -= p.n;
    }
}

static int push_well(void *ctx, struct span note)
{
    (void)ctx;
    return note.n ? 0 : SLUIS_EINVAL;
}

static struct audit_log *open_any(struct store *store, uint64_t hash_at_open, bool accept)
{
    const struct audit_target target = {.name = "test", .push = push_well};
    const struct audit_log_config config = {.store = store,
                                            .seed = seed,
                                            .origin = ORIGIN,
                                            .file = file,
                                            .targets = &target,
                                            .target_count = 1,
                                            .hash_at_open = hash_at_open,
                                            .gate = &gate,
                                            .accept = accept};
    struct diag diag = {.text = ""};
    struct audit_log *log;
    gate = (struct audit_gate){.closed = false};
    assert_int_equal(audit_log_open(&config, &log, &diag), 0);
    return log;
}

static struct audit_log *open_log(struct store *store, uint64_t hash_at_open)
{
    return open_any(store, hash_at_open, false);
}

static int take_hash(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    struct audit_row *row = ctx;
    (void)hash;
    if (index != row->index)
        return SLUIS_EIO;
    assert_int_equal(audit_hash(leaf, row->hash), 0);
    return 1;
}

static const uint64_t at[] = {0, 1, 4096, 8190, 8191, 8192, 12345, 16383, 16384, 19998, 19999};
#define ROWS (sizeof(at) / sizeof(at[0]))

static void read_rows(struct store *store, struct audit_row rows[ROWS])
{
    struct store_read *read;
    for (size_t i = 0; i < ROWS; i++) {
        rows[i].index = at[i];
        assert_int_equal(store_read_begin(store, &read), 0);
        assert_int_equal(store_each_leaf(read, at[i], take_hash, &rows[i]), 0);
        store_read_end(read);
    }
}

/* One bit of a stored hash. */
static int turn_bit(struct store_txn *txn, void *ctx)
{
    uint64_t index = *(const uint64_t *)ctx;
    uint8_t key[8], row[LEAF_HASHES_PER_ROW * LEAF_HASH_BYTES];
    struct span old;
    be64_put(key, index / LEAF_HASHES_PER_ROW);
    if (!txn_get(txn, txn->store->dbi[DB_LEAF_HASH], key, sizeof(key), &old))
        return SLUIS_EIO;
    memcpy(row, old.p, old.n);
    row[index % LEAF_HASHES_PER_ROW * LEAF_HASH_BYTES + 31] ^= 0x80;
    txn_put(txn, txn->store->dbi[DB_LEAF_HASH], key, sizeof(key), span_of(row, old.n), 0);
    return store_txn_error(txn);
}

static int turn_node(struct store_txn *txn, void *ctx)
{
    struct span old;
    char row[2048];
    (void)ctx;
    if (!txn_get(txn, txn->store->dbi[DB_ROWS + STORE_TABLE_SETTING - 1], "audit-range", 11, &old))
        return SLUIS_EIO;
    memcpy(row, old.p, old.n);
    row[20] ^= 1;
    store_put_row(txn, STORE_TABLE_SETTING, SPAN("audit-range"), span_of(row, old.n));
    return store_txn_error(txn);
}

static int setup(void **state)
{
    (void)state;
    atomic_store(&unreadable, 0);
    test_folder(folder);
    snprintf(file, sizeof(file), "%s.checkpoints", folder);
    unlink(file);
    return sodium_init() < 0;
}

static int teardown(void **state)
{
    (void)state;
    test_folder_remove(folder);
    unlink(file);
    return 0;
}

static void test_proven(void **state)
{
    (void)state;
    struct store *store = test_store(folder);
    struct audit_row rows[ROWS];
    struct audit_proof proof;
    put(store, LEAVES - 1);
    struct audit_log *log = open_log(store, 0);
    put(store, 1);
    read_rows(store, rows);
    /* Nothing has left: nothing is proven. */
    assert_int_equal(audit_log_prove(log, rows, ROWS, &proof), 0);
    assert_true(proof.size == 0 && !proof.outside && !proof.changed);
    for (size_t i = 0; i < ROWS; i++)
        assert_int_equal(rows[i].state, AUDIT_ROW_NOT_YET);
    assert_int_equal(audit_log_checkpoint(log, NULL), 0);
    put(store, 3); /* under no checkpoint */
    assert_int_equal(audit_log_prove(log, rows, ROWS, &proof), 0);
    assert_true(proof.size == LEAVES && proof.outside && !proof.changed);
    assert_int_equal(proof.damage, AUDIT_WHOLE);
    for (size_t i = 0; i < ROWS; i++)
        assert_int_equal(rows[i].state, AUDIT_ROW_PROVEN);
    struct audit_row more = {.index = LEAVES};
    assert_int_equal(audit_log_prove(log, &more, 1, &proof), 0);
    assert_int_equal(more.state, AUDIT_ROW_NOT_YET);
    /* A text that is another, and a hash of another place. */
    rows[4].hash[0] ^= 1;
    memcpy(rows[7].hash, rows[8].hash, MERKLE_HASH);
    assert_int_equal(audit_log_prove(log, rows, ROWS, &proof), 0);
    for (size_t i = 0; i < ROWS; i++)
        assert_int_equal(rows[i].state, i == 4 || i == 7 ? AUDIT_ROW_TEXT : AUDIT_ROW_PROVEN);
    assert_false(proof.changed);
    audit_log_close(log);
    store_close(store);
}

/* Each place: in a full block, at its edges, in the last one, which no node covers. */
static void test_hash(void **state)
{
    (void)state;
    struct store *store = test_store(folder);
    struct audit_row rows[ROWS];
    struct audit_proof proof;
    put(store, LEAVES);
    read_rows(store, rows);
    for (size_t bad = 0; bad < ROWS; bad++) {
        struct audit_log *log = open_log(store, 0);
        uint64_t index = at[bad];
        assert_int_equal(audit_log_checkpoint(log, NULL), 0);
        assert_int_equal(test_run(store, turn_bit, &index), 0);
        assert_int_equal(audit_log_prove(log, NULL, 0, &proof), 0);
        bool last = index / AUDIT_PAGE_LEAVES == LEAVES / AUDIT_PAGE_LEAVES;
        assert_int_equal(proof.changed, last); /* nobody looked at the other blocks */
        assert_int_equal(audit_log_prove(log, rows, ROWS, &proof), 0);
        assert_true(proof.changed && audit_log_changed(log));
        assert_int_equal(proof.damage, AUDIT_DAMAGE_HASHES);
        assert_true(proof.from <= index && index < proof.to && proof.to - proof.from <= 8192);
        for (size_t i = 0; i < ROWS; i++) {
            bool same = at[i] / AUDIT_PAGE_LEAVES == index / AUDIT_PAGE_LEAVES;
            enum audit_row_state want = i == bad ? AUDIT_ROW_HASH
                                        : same   ? AUDIT_ROW_TREE
                                                 : AUDIT_ROW_PROVEN;
            if (last && !same) /* what is behind them is no part of the tree any more */
                want = AUDIT_ROW_TREE;
            assert_int_equal(rows[i].state, want);
        }
        assert_int_equal(audit_log_checkpoint(log, NULL), SLUIS_ECRYPTO); /* nothing is signed */
        assert_int_equal(test_run(store, turn_bit, &index), 0);
        audit_log_close(log);
    }
    store_close(store);
}

static void test_nodes(void **state)
{
    (void)state;
    struct store *store = test_store(folder);
    struct audit_row rows[ROWS];
    struct audit_proof proof;
    put(store, LEAVES);
    read_rows(store, rows);
    for (int pushed = 0; pushed < 2; pushed++) {
        struct audit_log *log = open_log(store, 0);
        assert_int_equal(audit_log_checkpoint(log, NULL), 0);
        assert_int_equal(test_run(store, turn_node, NULL), 0);
        if (pushed) { /* the next checkpoint writes them anew: it was seen all the same */
            put(store, 1);
            assert_int_equal(audit_log_checkpoint(log, NULL), 0);
        }
        assert_int_equal(audit_log_prove(log, rows, ROWS, &proof), 0);
        assert_int_equal(proof.damage, AUDIT_DAMAGE_NODES);
        assert_false(proof.changed); /* the log is whole */
        for (size_t i = 0; i < ROWS; i++)
            assert_int_equal(rows[i].state, AUDIT_ROW_PROVEN);
        audit_log_close(log);
        put(store, 1);
    }
    store_close(store);
}

/* A row of hashes, taken out. */
static int take_row_out(struct store_txn *txn, void *ctx)
{
    uint8_t key[8];
    be64_put(key, *(const uint64_t *)ctx / LEAF_HASHES_PER_ROW);
    txn_delete(txn, txn->store->dbi[DB_LEAF_HASH], key, sizeof(key));
    return store_txn_error(txn);
}

/* What cannot be read is no change: nothing stops for good. A row that is gone is one. */
static void test_unreadable(void **state)
{
    (void)state;
    static const int errors[] = {SLUIS_EIO, SLUIS_ELIMIT, SLUIS_ENOMEM};
    struct store *store = test_store(folder);
    struct audit_row rows[ROWS];
    struct audit_proof proof;
    uint64_t index = 9000;
    put(store, LEAVES);
    read_rows(store, rows);
    struct audit_log *log = open_log(store, 0);
    assert_int_equal(audit_log_checkpoint(log, NULL), 0);
    for (unsigned i = 0; i < 3; i++) {
        atomic_store(&unreadable, errors[i]);
        assert_int_equal(audit_log_prove(log, rows, ROWS, &proof), errors[i]);
        assert_true(!audit_log_changed(log) && !audit_closed(&gate));
        assert_int_not_equal(rows[0].state, AUDIT_ROW_PROVEN);
    }
    atomic_store(&unreadable, 0);
    assert_int_equal(audit_log_prove(log, rows, ROWS, &proof), 0);
    assert_true(!proof.changed && rows[0].state == AUDIT_ROW_PROVEN);
    assert_int_equal(test_run(store, take_row_out, &index), 0);
    assert_int_equal(audit_log_prove(log, rows, ROWS, &proof), 0);
    assert_true(proof.changed && audit_log_changed(log) && audit_closed(&gate));
    audit_log_close(log);
    store_close(store);
}

static void until(struct audit_log *log, bool changed, uint64_t looked)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    struct audit_proof proof;
    for (int i = 0; i < 12000; i++) { /* a minute */
        struct buffer note;
        buffer_init(&note, NOTE_MAX);
        assert_int_equal(audit_log_prove(log, NULL, 0, &proof), 0);
        if ((!proof.waits || changed) && audit_log_changed(log) == changed &&
            proof.looked_size >= looked)
            return;
        int r = audit_log_checkpoint(log, &note); /* the thread's next turn is now */
        assert_true(r == 0 || r == SLUIS_ECRYPTO);
        buffer_free(&note);
        nanosleep(&pause, NULL);
    }
    fail();
}

/* The thread goes through everything by itself; a quick start has its blocks from it as well. */
static void test_thread(void **state)
{
    (void)state;
    struct store *store = test_store(folder);
    struct audit_row rows[ROWS];
    struct audit_proof proof;
    uint64_t index = 3;
    put(store, LEAVES);
    read_rows(store, rows);
    for (int quick = 0; quick < 2; quick++) {
        struct audit_log *log = open_log(store, quick ? 1000 : 0);
        assert_int_equal(audit_log_prove(log, rows, ROWS, &proof), 0);
        assert_int_equal(proof.waits, quick);
        for (size_t i = 0; i < ROWS; i++)
            assert_int_equal(rows[i].state, AUDIT_ROW_NOT_YET);
        assert_int_equal(audit_log_start(log), 0);
        put(store, AUDIT_PAGE_LEAVES); /* blocks that are made while it hashes */
        until(log, false, LEAVES);
        assert_int_equal(audit_log_prove(log, rows, ROWS, &proof), 0);
        assert_true(!proof.changed && proof.size >= LEAVES && proof.looked_ms > 0);
        for (size_t i = 0; i < ROWS; i++)
            assert_int_equal(rows[i].state, AUDIT_ROW_PROVEN);
        assert_int_equal(test_run(store, turn_bit, &index), 0);
        until(log, true, 0); /* nobody asked for that block */
        assert_int_equal(test_run(store, turn_bit, &index), 0);
        audit_log_close(log);
    }
    store_close(store);
}

/* A quick start takes a changed log on the checkpoint's word, and its thread finds out; an operator
 * who said that this log is to be gone on with is not stopped by that for ever. */
static void test_accepted(void **state)
{
    (void)state;
    struct store *store = test_store(folder);
    struct audit_proof proof;
    uint64_t index = 3;
    put(store, LEAVES);
    struct audit_log *log = open_log(store, 0);
    assert_int_equal(audit_log_checkpoint(log, NULL), 0);
    audit_log_close(log);
    assert_int_equal(test_run(store, turn_bit, &index), 0);
    log = open_log(store, 1000);
    assert_int_equal(audit_log_start(log), 0);
    until(log, true, 0);
    assert_true(audit_closed(&gate));
    audit_log_close(log);
    for (int again = 0; again < 2; again++) { /* and the next start needs no such word */
        log = open_any(store, 1000, !again);
        assert_int_equal(audit_log_accepted(log), !again);
        assert_int_equal(audit_log_start(log), 0);
        put(store, 1);
        until(log, false, LEAVES);
        assert_int_equal(audit_log_prove(log, NULL, 0, &proof), 0);
        assert_true(!proof.changed && proof.damage == AUDIT_WHOLE && !audit_closed(&gate));
        audit_log_close(log);
    }
    store_close(store);
}

/* The same of a row of hashes that is gone: no error that is tried again for ever. */
static void test_quick_gap(void **state)
{
    (void)state;
    struct store *store = test_store(folder);
    uint64_t index = 9000;
    put(store, LEAVES);
    struct audit_log *log = open_log(store, 0);
    assert_int_equal(audit_log_checkpoint(log, NULL), 0);
    audit_log_close(log);
    assert_int_equal(test_run(store, take_row_out, &index), 0);
    log = open_log(store, 1000);
    assert_int_equal(audit_log_start(log), 0);
    until(log, true, 0);
    audit_log_close(log);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_proven, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nodes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_accepted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_quick_gap, setup, teardown),
    };
    return cmocka_run_group_tests_name("audit-prove", tests, NULL, NULL);
}

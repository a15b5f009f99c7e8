/* Every table of the store, its order, its limits, and that a restart keeps all of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sluis/base/encode.h"
#include "support.h"

struct fixture {
    char path[256];
    struct store *store;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    test_folder(f->path);
    f->store = test_store(f->path);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    test_folder_remove(f->path);
    free(f);
    return 0;
}

static void reopen(struct fixture *f)
{
    store_close(f->store);
    f->store = test_store(f->path);
}

static struct store_read *begin(struct fixture *f)
{
    struct store_read *read;
    assert_int_equal(store_read_begin(f->store, &read), 0);
    return read;
}

/* ---- records ---- */

struct record_case {
    struct record_id id;
    const void *bytes;
    size_t n;
    bool delete;
};

static int run_record(struct store_txn *txn, void *ctx)
{
    struct record_case *c = ctx;
    if (c->delete)
        store_delete_record(txn, &c->id);
    else
        store_put_record(txn, &c->id, span_of(c->bytes, c->n));
    return store_txn_error(txn);
}

static void expect_record(struct fixture *f, const struct record_id *id, const void *bytes,
                          size_t n)
{
    struct store_read *read = begin(f);
    struct arena arena;
    struct span sealed;
    arena_init(&arena, 1024 * 1024);
    int rc = store_get_record(read, id, &arena, &sealed);
    if (!bytes) {
        assert_int_equal(rc, SLUIS_ENOENT);
    } else {
        assert_int_equal(rc, 0);
        assert_int_equal(sealed.n, n);
        assert_memory_equal(sealed.p, bytes, n);
    }
    arena_free(&arena);
    store_read_end(read);
}

static void test_records(void **state)
{
    struct fixture *f = *state;
    static uint8_t bytes[STORE_RECORD_MAX + 1];
    static const size_t sizes[] = {1, 1989, 1990, 1991, 3980, 4096, 100000, STORE_RECORD_MAX};
    struct record_case c = {.id = {.cls = 3, .bucket = 7, .subject = 1, .part = 'O'},
                            .bytes = bytes};

    test_bytes(5, bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        c.id.serial = 100 + i;
        c.n = sizes[i];
        assert_int_equal(test_run(f->store, run_record, &c), 0);
    }
    /* earlier ones, put in the middle and before the beginning */
    c.id.serial = 100;
    c.id.part = 'M';
    c.n = 3000;
    assert_int_equal(test_run(f->store, run_record, &c), 0);
    c.id = (struct record_id){.cls = 3, .bucket = 6, .serial = 999, .part = 'O'};
    assert_int_equal(test_run(f->store, run_record, &c), 0);
    reopen(f);
    expect_record(f, &c.id, bytes, 3000);
    c.id = (struct record_id){.cls = 3, .bucket = 7, .serial = 100, .part = 'M'};
    expect_record(f, &c.id, bytes, 3000);
    c.id.part = 'O';
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        c.id.serial = 100 + i;
        expect_record(f, &c.id, bytes, sizes[i]);
    }
    /* one byte too many, nothing at all, no class */
    c.n = STORE_RECORD_MAX + 1;
    assert_int_equal(test_run(f->store, run_record, &c), SLUIS_ELIMIT);
    c.n = 0;
    assert_int_equal(test_run(f->store, run_record, &c), SLUIS_EINVAL);
    c.n = 1;
    c.id.cls = 0;
    assert_int_equal(test_run(f->store, run_record, &c), SLUIS_EINVAL);
    c.id.cls = STORE_CLASSES_MAX + 1;
    assert_int_equal(test_run(f->store, run_record, &c), SLUIS_EINVAL);
}

/* A shorter version leaves nothing of the longer one; a deletion touches no neighbour. */
static void test_record_replace_delete(void **state)
{
    struct fixture *f = *state;
    static uint8_t bytes[20000];
    struct record_case c = {.id = {.cls = 1, .bucket = 7, .part = 'O'}, .bytes = bytes};

    test_bytes(6, bytes, sizeof(bytes));
    for (uint64_t serial = 1; serial <= 30; serial++) {
        c.id.serial = serial;
        c.n = 20000;
        assert_int_equal(test_run(f->store, run_record, &c), 0);
    }
    c.id.serial = 20;
    c.n = 2500;
    assert_int_equal(test_run(f->store, run_record, &c), 0);
    expect_record(f, &c.id, bytes, 2500);
    c.delete = true;
    c.id.serial = 10;
    assert_int_equal(test_run(f->store, run_record, &c), 0);
    assert_int_equal(test_run(f->store, run_record, &c), 0); /* again: nothing to do */
    for (uint64_t serial = 1; serial <= 30; serial++) {
        c.id.serial = serial;
        expect_record(f, &c.id, serial == 10 ? NULL : bytes, serial == 20 ? 2500 : 20000);
    }
}

/* ---- dedupe, identifiers ---- */

struct dedupe_case {
    uint32_t day;
    uint8_t hash[STORE_HASH_BYTES];
    struct record_id where;
    bool fresh, twice;
};

static int run_dedupe(struct store_txn *txn, void *ctx)
{
    struct dedupe_case *c = ctx;
    c->fresh = store_dedupe_take(txn, c->day, c->hash, &c->where);
    c->twice = store_dedupe_take(txn, c->day, c->hash, &c->where);
    return store_txn_error(txn);
}

static void test_dedupe(void **state)
{
    struct fixture *f = *state;
    struct dedupe_case c = {
        .day = 20414,
        .where = {.cls = 9, .bucket = 77, .subject = 1234567890123, .serial = 42, .part = 'M'}};
    struct record_id where;

    test_bytes(1, c.hash, sizeof(c.hash));
    assert_int_equal(test_run(f->store, run_dedupe, &c), 0);
    assert_true(c.fresh);
    assert_false(c.twice);
    reopen(f);
    c.where.serial = 43;
    assert_int_equal(test_run(f->store, run_dedupe, &c), 0);
    assert_false(c.fresh);
    struct store_read *read = begin(f);
    assert_int_equal(store_get_dedupe(read, c.day, c.hash, &where), 0);
    assert_int_equal(where.serial, 42); /* the first stays */
    assert_int_equal(where.cls, 9);
    assert_int_equal(where.bucket, 77);
    assert_int_equal(where.subject, 1234567890123);
    assert_int_equal(where.part, 'M');
    assert_int_equal(store_get_dedupe(read, c.day + 1, c.hash, &where), SLUIS_ENOENT);
    store_read_end(read);
}

struct identifier_case {
    uint8_t hash[STORE_HASH_BYTES];
    uint64_t subject;
};

static int run_identifier(struct store_txn *txn, void *ctx)
{
    struct identifier_case *c = ctx;
    store_put_identifier_of(txn, c->hash, c->subject, 0x1fe);
    return store_txn_error(txn);
}

static int check_key(void *ctx, const uint8_t hash[STORE_HASH_BYTES], uint64_t subject, uint8_t key)
{
    (void)hash;
    *(bool *)ctx = subject == 7 && key == 0xfe;
    return 0;
}

static void test_identifiers(void **state)
{
    struct fixture *f = *state;
    struct identifier_case c = {.subject = 7};
    uint64_t subject = 0;

    test_bytes(2, c.hash, sizeof(c.hash));
    assert_int_equal(test_run(f->store, run_identifier, &c), 0);
    assert_int_equal(test_run(f->store, run_identifier, &c), 0); /* the same again */
    c.subject = 8;
    assert_int_equal(test_run(f->store, run_identifier, &c), SLUIS_EEXIST);
    reopen(f);
    struct store_read *read = begin(f);
    assert_int_equal(store_get_identifier(read, c.hash, &subject), 0);
    assert_int_equal(subject, 7);
    bool right = false;
    assert_int_equal(
        store_each_identifier_of(read, (uint8_t[STORE_HASH_BYTES]){0}, check_key, &right), 0);
    assert_true(right);
    c.hash[0] ^= 1;
    assert_int_equal(store_get_identifier(read, c.hash, &subject), SLUIS_ENOENT);
    store_read_end(read);
}

struct owned_case {
    uint8_t hash[STORE_HASH_BYTES], next[STORE_HASH_BYTES];
    struct store_identifier row;
    uint64_t was;
    enum { ROW_PUT, ROW_TOUCH, ROW_REHASH } what;
};

static int run_owned(struct store_txn *txn, void *ctx)
{
    struct owned_case *c = ctx;
    if (c->what == ROW_PUT)
        store_put_identifier_row(txn, c->hash, &c->row, c->was);
    else if (c->what == ROW_TOUCH)
        store_touch_identifier(txn, c->hash, &c->row);
    else
        store_rehash_identifier(txn, c->hash, c->next, c->row.subject, 9);
    return store_txn_error(txn);
}

static void owned_is(struct fixture *f, const uint8_t hash[STORE_HASH_BYTES], uint64_t subject,
                     uint8_t key, uint16_t heard, char tag)
{
    struct store_identifier row;
    struct store_read *read = begin(f);
    assert_int_equal(store_get_identifier_row(read, hash, &row), 0);
    store_read_end(read);
    assert_int_equal(row.subject, subject);
    assert_int_equal(row.key, key);
    assert_int_equal(row.heard, heard);
    assert_int_equal(row.tag[5], tag);
}

/* When it was heard of, and whose it is: a row of an older store gets it, it changes hands by name.
 */
static void test_identifier_rows(void **state)
{
    struct fixture *f = *state;
    struct owned_case c = {.row = {.subject = 7, .key = 3}, .what = ROW_TOUCH};
    struct identifier_case old = {.subject = 7};

    test_bytes(3, c.hash, sizeof(c.hash));
    test_bytes(4, c.next, sizeof(c.next));
    c.row.heard = 20000;
    assert_int_equal(test_run(f->store, run_owned, &c), 0); /* touches what is not there: nothing */
    struct store_read *read = begin(f);
    assert_int_equal(store_get_identifier_row(read, c.hash, &c.row), SLUIS_ENOENT);
    store_read_end(read);
    memcpy(old.hash, c.hash, sizeof(c.hash));
    assert_int_equal(test_run(f->store, run_identifier, &old), 0);
    owned_is(f, c.hash, 7, 0xfe, 0, 0);
    c.row = (struct store_identifier){.subject = 8, .heard = 20000};
    assert_int_equal(test_run(f->store, run_owned, &c), 0); /* nor another's */
    owned_is(f, c.hash, 7, 0xfe, 0, 0);
    c.row = (struct store_identifier){.subject = 7, .heard = 20000, .tag = {0, 0, 0, 0, 0, 'x'}};
    assert_int_equal(test_run(f->store, run_owned, &c), 0);
    owned_is(f, c.hash, 7, 0xfe, 20000, 'x');
    c.row = (struct store_identifier){.subject = 7, .heard = 19000};
    assert_int_equal(test_run(f->store, run_owned, &c), 0);
    owned_is(f, c.hash, 7, 0xfe, 20000, 'x'); /* not back, and the tag stays */
    c.what = ROW_PUT;
    c.row = (struct store_identifier){.subject = 9, .key = 4, .heard = 20180};
    assert_int_equal(test_run(f->store, run_owned, &c), SLUIS_EEXIST);
    c.was = 8;
    assert_int_equal(test_run(f->store, run_owned, &c), SLUIS_EEXIST);
    c.was = 7;
    assert_int_equal(test_run(f->store, run_owned, &c), 0);
    owned_is(f, c.hash, 9, 4, 20180, 0);                    /* nothing of the one before */
    assert_int_equal(test_run(f->store, run_owned, &c), 0); /* a second message of the same */
    assert_int_equal(test_run(f->store, run_identifier, &old), SLUIS_EEXIST);
    c.what = ROW_REHASH;
    assert_int_equal(test_run(f->store, run_owned, &c), 0);
    owned_is(f, c.next, 9, 9, 20180, 0);
    reopen(f);
    owned_is(f, c.next, 9, 9, 20180, 0);
    owned_is(f, c.hash, 9, 4, 20180, 0);
}

/* ---- journal ---- */

struct items_case {
    const uint64_t *serials;
    size_t n;
    uint64_t subject;
    uint64_t previous[256];
};

static int run_items(struct store_txn *txn, void *ctx)
{
    struct items_case *c = ctx;
    for (size_t i = 0; i < c->n; i++) {
        struct test_message m = {.serial = c->serials[i], .subject = c->subject};
        struct store_item item;
        test_message_item(&m, &item);
        store_put_item(txn, &item);
        c->previous[i] = item.previous;
    }
    return store_txn_error(txn);
}

struct collected {
    uint64_t serials[4096];
    uint64_t orders[4096];
    size_t n, most;
};

static int collect(void *ctx, const struct store_item *item)
{
    struct collected *all = ctx;
    if (all->n)
        assert_true(item->order > all->orders[all->n - 1]);
    all->orders[all->n] = item->order;
    all->serials[all->n++] = item->serial;
    return all->n == all->most;
}

/* Commit order is the order of walking, whatever the order of the serials. */
static void test_journal_order(void **state)
{
    struct fixture *f = *state;
    static const uint64_t first[] = {3, 1, 130, 7}, second[] = {2, 64, 131}, third[] = {63, 4, 65};
    static const uint64_t want[] = {3, 1, 130, 7, 2, 64, 131, 63, 4, 65};
    struct items_case c = {.serials = first, .n = 4, .subject = 5};
    struct collected all = {.most = 4096};
    struct store_item item;
    uint64_t head;

    assert_int_equal(test_run(f->store, run_items, &c), 0);
    assert_int_equal(c.previous[0], 0);
    assert_int_equal(c.previous[1], 3);
    assert_int_equal(c.previous[3], 130);
    c.serials = second;
    c.n = 3;
    assert_int_equal(test_run(f->store, run_items, &c), 0);
    assert_int_equal(c.previous[0], 7);
    reopen(f);
    c.serials = third;
    assert_int_equal(test_run(f->store, run_items, &c), 0);
    assert_int_equal(c.previous[0], 131);
    c.subject = 6;
    static const uint64_t other[] = {66};
    c.serials = other;
    c.n = 1;
    assert_int_equal(test_run(f->store, run_items, &c), 0);
    assert_int_equal(c.previous[0], 0);

    struct store_read *read = begin(f);
    assert_int_equal(store_each_item(read, 0, collect, &all), 0);
    assert_int_equal(all.n, 11);
    assert_memory_equal(all.serials, want, sizeof(want));
    /* from the middle: what was committed from there on */
    uint64_t orders[11];
    memcpy(orders, all.orders, sizeof(orders));
    for (size_t from = 0; from < 10; from++) {
        all.n = 0;
        assert_int_equal(store_each_item(read, orders[from], collect, &all), 0);
        assert_int_equal(all.n, 11 - from);
        assert_memory_equal(all.serials, want + from, (10 - from) * sizeof(want[0]));
    }
    /* stopping */
    all = (struct collected){.most = 2};
    assert_int_equal(store_each_item(read, 0, collect, &all), 0);
    assert_int_equal(all.n, 2);
    /* past the end; in the gap that the reopening left */
    all = (struct collected){.most = 4096};
    assert_int_equal(store_each_item(read, orders[10] + 1, collect, &all), 0);
    assert_int_equal(all.n, 0);
    assert_true(orders[7] > orders[6] + 1);
    assert_int_equal(store_each_item(read, orders[6] + 1, collect, &all), 0);
    assert_int_equal(all.serials[0], want[7]);
    all.n = 0;
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(store_get_item(read, want[i], &item), 0);
        assert_int_equal(item.serial, want[i]);
        assert_int_equal(item.previous, i ? want[i - 1] : 0);
    }
    assert_int_equal(store_get_item(read, 5, &item), SLUIS_ENOENT);
    assert_int_equal(store_get_item(read, 4000, &item), SLUIS_ENOENT);
    assert_int_equal(store_get_head(read, TEST_CHANNEL, 5, &head), 0);
    assert_int_equal(head, 65);
    assert_int_equal(store_get_head(read, TEST_CHANNEL, 6, &head), 0);
    assert_int_equal(head, 66);
    assert_int_equal(store_get_head(read, TEST_CHANNEL + 1, 6, &head), SLUIS_ENOENT);
    store_read_end(read);
}

static uint64_t spoilt; /* order of the block whose tag does not hold */

static int open_spoilt(void *ctx, uint8_t table, uint64_t row, struct span sealed,
                       struct buffer *plain)
{
    return table == STORE_SEAL_JOURNAL && row == spoilt ? SLUIS_ECRYPTO
                                                        : test_open(ctx, table, row, sealed, plain);
}

/* Of three commits the middle one is damaged: who must see all is told, who serves the others goes
 * on. */
static void test_journal_damaged(void **state)
{
    struct fixture *f = *state;
    static const uint64_t serials[3][2] = {{1, 2}, {3, 4}, {5, 6}};
    struct collected all = {.most = 4096};
    struct store_config config;
    struct diag diag = {0};
    uint64_t damaged = 99;
    for (unsigned i = 0; i < 3; i++) {
        struct items_case c = {.serials = serials[i], .n = 2, .subject = 5};
        assert_int_equal(test_run(f->store, run_items, &c), 0);
    }
    struct store_read *read = begin(f);
    assert_int_equal(store_each_readable(read, 0, collect, &all, &damaged), 0);
    assert_int_equal(all.n, 6);
    assert_int_equal(damaged, 0);
    store_read_end(read);
    spoilt = all.orders[2];
    store_close(f->store);
    test_config(&config, f->path);
    config.open = open_spoilt;
    assert_int_equal(store_open(&config, &f->store, &diag), 0);
    read = begin(f);
    all.n = 0;
    assert_int_equal(store_each_item(read, 0, collect, &all), SLUIS_ECRYPTO);
    assert_int_equal(all.n, 2);
    all.n = 0;
    assert_int_equal(store_each_readable(read, 0, collect, &all, &damaged), 0);
    assert_int_equal(all.n, 4);
    assert_int_equal(all.serials[1], 2);
    assert_int_equal(all.serials[2], 5);
    assert_int_equal(damaged, spoilt);
    all.n = 0;
    assert_int_equal(store_each_readable(read, spoilt + 1, collect, &all, NULL), 0);
    assert_int_equal(all.n, 2); /* from the middle of it */
    store_read_end(read);
}

static int run_extreme(struct store_txn *txn, void *ctx)
{
    store_put_item(txn, ctx);
    return store_txn_error(txn);
}

/* The widest item there is comes back as it went; several to a row, and more than one row. */
static void test_journal_extremes(void **state)
{
    struct fixture *f = *state;
    struct store_item item = {.serial = UINT64_MAX - 1,
                              .subject = UINT64_MAX,
                              .channel = UINT16_MAX,
                              .kind = 255,
                              .flags = 255,
                              .at_ms = INT64_MIN,
                              .taken_ms = INT64_MAX,
                              .batch = 1,
                              .cls_o = UINT16_MAX,
                              .cls_m = UINT16_MAX,
                              .bucket_o = UINT32_MAX,
                              .bucket_m = UINT32_MAX,
                              .route_count = STORE_ROUTES_MAX};
    struct store_item back;
    static uint64_t serials[250];
    struct items_case c = {.serials = serials, .n = 250, .subject = 3};
    static struct collected all = {.most = 4096};

    for (unsigned i = 0; i < STORE_ROUTES_MAX; i++)
        item.routes[i] = (uint16_t)(UINT16_MAX - i);
    assert_int_equal(test_run(f->store, run_extreme, &item), 0);
    struct store_read *read = begin(f);
    assert_int_equal(store_get_item(read, item.serial, &back), 0);
    assert_memory_equal(&back, &item, sizeof(item));
    store_read_end(read);
    for (size_t i = 0; i < 250; i++)
        serials[i] = 1000 - 3 * i;
    assert_int_equal(test_run(f->store, run_items, &c), 0);
    read = begin(f);
    all.n = 0;
    assert_int_equal(store_get_item(read, 1000, &back), 0);
    assert_int_equal(store_each_item(read, back.order, collect, &all), 0);
    assert_int_equal(all.n, 250);
    assert_memory_equal(all.serials, serials, sizeof(serials));
    store_read_end(read);
    item.serial = 0;
    assert_int_equal(test_run(f->store, run_extreme, &item), SLUIS_EINVAL);
}

/* ---- the access log ---- */

static int run_leaves(struct store_txn *txn, void *ctx)
{
    uint64_t *next = ctx; /* [0] first leaf expected, [1] how many */
    uint8_t leaf[STORE_LEAF_MAX], hash[32];
    for (uint64_t i = 0; i < next[1]; i++) {
        uint64_t index = UINT64_MAX, want = next[0] + i;
        size_t n = want % 7 == 0 ? STORE_LEAF_MAX : 100 + want % 400;
        test_bytes(want + 1, leaf, n);
        test_bytes(want + 2, hash, sizeof(hash));
        store_put_leaf(txn, span_of(leaf, n), hash, &index);
        assert_int_equal(index, want);
    }
    return store_txn_error(txn);
}

static int check_leaf(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    uint64_t *next = ctx;
    uint8_t want[STORE_LEAF_MAX], want_hash[32];
    size_t n = index % 7 == 0 ? STORE_LEAF_MAX : 100 + index % 400;
    assert_int_equal(index, *next);
    test_bytes(index + 1, want, n);
    test_bytes(index + 2, want_hash, sizeof(want_hash));
    assert_int_equal(leaf.n, n);
    assert_memory_equal(leaf.p, want, n);
    assert_memory_equal(hash, want_hash, 32);
    ++*next;
    return 0;
}

static void test_leaves(void **state)
{
    struct fixture *f = *state;
    static const uint64_t counts[] = {1, 1, 57, 1, 1, 64, 3, 200};
    uint64_t next[2] = {0, 0};
    struct store_status status;

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        next[1] = counts[i];
        assert_int_equal(test_run(f->store, run_leaves, next), 0);
        next[0] += counts[i];
        store_status(f->store, &status);
        assert_int_equal(status.log_size, next[0]);
        if (i % 3 == 2)
            reopen(f);
    }
    struct store_read *read = begin(f);
    for (uint64_t from = 0; from <= next[0]; from++) {
        uint64_t at = from;
        assert_int_equal(store_each_leaf(read, from, check_leaf, &at), 0);
        assert_int_equal(at, next[0]);
    }
    store_read_end(read);
}

static int run_long_leaf(struct store_txn *txn, void *ctx)
{
    static uint8_t leaf[STORE_LEAF_MAX + 1], hash[32];
    store_put_leaf(txn, span_of(leaf, sizeof(leaf)), hash, ctx);
    return store_txn_error(txn);
}

static void test_leaf_limit(void **state)
{
    struct fixture *f = *state;
    uint64_t index;
    assert_int_equal(test_run(f->store, run_long_leaf, &index), SLUIS_ELIMIT);
}

/* ---- delivery ---- */

static int run_delivery(struct store_txn *txn, void *ctx)
{
    (void)ctx;
    store_put_cursor(txn, 3, 99);
    store_put_cursor(txn, 4, 5);
    for (uint16_t route = 3; route <= 4; route++)
        for (uint64_t serial = 10; serial < 20; serial++) {
            struct store_pending p = {.route = route,
                                      .serial = serial,
                                      .state = STORE_PENDING_PARKED,
                                      .after_gap = 1,
                                      .attempts = 300,
                                      .last_status = 503,
                                      .next_ms = -5};
            store_put_pending(txn, &p);
        }
    store_delete_pending(txn, 3, 12);
    store_delete_pending(txn, 3, 12000);
    return store_txn_error(txn);
}

static int count_pending(void *ctx, const struct store_pending *pending)
{
    uint64_t *next = ctx;
    if (*next == 12)
        ++*next;
    assert_int_equal(pending->serial, *next);
    assert_int_equal(pending->route, 3);
    assert_int_equal(pending->state, STORE_PENDING_PARKED);
    assert_int_equal(pending->after_gap, 1);
    assert_int_equal(pending->attempts, 300);
    assert_int_equal(pending->last_status, 503);
    assert_int_equal(pending->next_ms, -5);
    ++*next;
    return *next == 18;
}

static void test_delivery(void **state)
{
    struct fixture *f = *state;
    uint64_t serial = 0, next = 11;

    assert_int_equal(test_run(f->store, run_delivery, NULL), 0);
    reopen(f);
    struct store_read *read = begin(f);
    assert_int_equal(store_get_cursor(read, 3, &serial), 0);
    assert_int_equal(serial, 99);
    assert_int_equal(store_get_cursor(read, 5, &serial), SLUIS_ENOENT);
    assert_int_equal(store_each_pending(read, 3, 11, count_pending, &next), 0);
    assert_int_equal(next, 18);
    next = 10;
    assert_int_equal(store_each_pending(read, 3, 19, count_pending, &(uint64_t){19}), 0);
    assert_int_equal(store_each_pending(read, 5, 0, count_pending, &next), 0);
    assert_int_equal(next, 10);
    store_read_end(read);
}

/* ---- small tables ---- */

struct row_case {
    enum store_table table;
    struct span key, value;
};

static int run_row(struct store_txn *txn, void *ctx)
{
    struct row_case *c = ctx;
    store_put_row(txn, c->table, c->key, c->value);
    return store_txn_error(txn);
}

/* Another row took the place of the one that was read: in the same commit, before the deletion. */
static int run_row_as(struct store_txn *txn, void *ctx)
{
    struct row_case *c = ctx;
    const struct span seen = SPAN("first");
    assert_true(store_delete_row_as(txn, c->table, c->key, seen));
    assert_false(store_delete_row_as(txn, c->table, c->key, seen)); /* not there any more */
    store_put_row(txn, c->table, c->key, c->value);
    assert_false(store_delete_row_as(txn, c->table, c->key, seen));
    return store_txn_error(txn);
}

static int count_rows(void *ctx, struct span key, struct span value)
{
    assert_true(key.n > 0 && value.n > 0);
    ++*(int *)ctx;
    return 0;
}

static void test_rows(void **state)
{
    struct fixture *f = *state;
    static char bytes[STORE_VALUE_MAX + 1];
    struct arena arena;
    struct span value;
    int n = 0;

    for (unsigned t = STORE_TABLE_PRINCIPAL; t < STORE_TABLE_COUNT; t++) {
        struct row_case c = {t, SPAN("a"), SPAN("first")};
        assert_int_equal(test_run(f->store, run_row, &c), 0);
        c = (struct row_case){t, SPAN("b"), span_of(bytes, STORE_VALUE_MAX)};
        assert_int_equal(test_run(f->store, run_row, &c), 0);
        c = (struct row_case){t, span_of(bytes, STORE_KEY_MAX), SPAN("x")};
        assert_int_equal(test_run(f->store, run_row, &c), 0);
        c.key.n++;
        assert_int_equal(test_run(f->store, run_row, &c), SLUIS_EINVAL);
        c = (struct row_case){t, SPAN("c"), span_of(bytes, STORE_VALUE_MAX + 1)};
        assert_int_equal(test_run(f->store, run_row, &c), SLUIS_ELIMIT);
        c = (struct row_case){t, SPAN("a"), SPAN("second")};
        assert_int_equal(test_run(f->store, run_row_as, &c), 0);
    }
    struct row_case gone = {STORE_TABLE_MEDIA, SPAN("a"), SPAN_EMPTY};
    assert_int_equal(test_run(f->store, run_row, &gone), 0);
    gone.table = STORE_TABLE_COUNT;
    assert_int_equal(test_run(f->store, run_row, &gone), SLUIS_EINVAL);
    reopen(f);
    arena_init(&arena, 64 * 1024);
    struct store_read *read = begin(f);
    assert_int_equal(store_get_row(read, STORE_TABLE_SETTING, SPAN("a"), &arena, &value), 0);
    assert_true(span_is(value, "second"));
    assert_int_equal(store_get_row(read, STORE_TABLE_MEDIA, SPAN("a"), &arena, &value),
                     SLUIS_ENOENT);
    assert_int_equal(store_each_row(read, STORE_TABLE_MEDIA, SPAN_EMPTY, count_rows, &n), 0);
    assert_int_equal(n, 2);
    n = 0;
    assert_int_equal(store_each_row(read, STORE_TABLE_SUBJECT, SPAN("b"), count_rows, &n), 0);
    assert_int_equal(n, 1);
    store_read_end(read);
    arena_free(&arena);
}

static int run_prefix(struct store_txn *txn, void *ctx)
{
    store_delete_rows(txn, STORE_TABLE_SUBJECT, *(struct span *)ctx);
    return store_txn_error(txn);
}

static void test_prefix(void **state)
{
    struct fixture *f = *state;
    static const char *const keys[] = {"Ia", "Iab", "Iabc", "Iac", "J"};
    struct span prefix = SPAN("Iab");
    unsigned n = 0;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct row_case c = {STORE_TABLE_SUBJECT, span_str(keys[i]), SPAN("x")};
        assert_int_equal(test_run(f->store, run_row, &c), 0);
    }
    assert_int_equal(test_run(f->store, run_prefix, &prefix), 0);
    assert_int_equal(test_run(f->store, run_prefix, &prefix), 0); /* none is left */
    struct store_read *read = begin(f);
    assert_int_equal(store_each_row(read, STORE_TABLE_SUBJECT, SPAN_EMPTY, count_rows, &n), 0);
    store_read_end(read);
    assert_int_equal(n, 3);
    prefix = SPAN_EMPTY; /* everything: not by accident */
    assert_int_equal(test_run(f->store, run_prefix, &prefix), SLUIS_EINVAL);
}

static void test_names(void **state)
{
    struct fixture *f = *state;
    char name[256];
    uint16_t a = 0, b = 0, again = 0;

    assert_int_equal(store_name_id(f->store, STORE_NAME_CHANNEL, SPAN("burgerzaken"), &a), 0);
    assert_int_equal(store_name_id(f->store, STORE_NAME_CHANNEL, SPAN("zorg"), &b), 0);
    assert_int_equal(a, 1);
    assert_int_equal(b, 2);
    assert_int_equal(store_name_id(f->store, STORE_NAME_ROUTE, SPAN("zorg"), &b), 0);
    assert_int_equal(b, 1);
    reopen(f);
    assert_int_equal(store_name_id(f->store, STORE_NAME_CHANNEL, SPAN("zorg"), &again), 0);
    assert_int_equal(again, 2);
    assert_int_equal(store_name_id(f->store, STORE_NAME_CHANNEL, SPAN("nieuw"), &again), 0);
    assert_int_equal(again, 3);
    assert_int_equal(store_id_name(f->store, STORE_NAME_CHANNEL, 1, name), 0);
    assert_string_equal(name, "burgerzaken");
    assert_int_equal(store_id_name(f->store, STORE_NAME_CHANNEL, 9, name), SLUIS_ENOENT);
    assert_int_equal(store_name_id(f->store, STORE_NAME_CHANNEL, SPAN(""), &again), SLUIS_EINVAL);
    /* classes are few: each has a database of its own */
    for (unsigned i = 0; i < STORE_CLASSES_MAX; i++) {
        int n = snprintf(name, sizeof(name), "class %u", i);
        assert_int_equal(
            store_name_id(f->store, STORE_NAME_CLASS, span_of(name, (size_t)n), &again), 0);
        assert_int_equal(again, i + 1);
    }
    assert_int_equal(store_name_id(f->store, STORE_NAME_CLASS, SPAN("more"), &again), SLUIS_ELIMIT);
}

/* ---- serials ---- */

static int run_nothing(struct store_txn *txn, void *ctx)
{
    (void)ctx;
    return store_txn_error(txn);
}

static void test_serials(void **state)
{
    struct fixture *f = *state;
    uint64_t last = 0;

    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 10000; i++) {
            uint64_t serial = store_next_serial(f->store);
            assert_true(serial > last);
            last = serial;
        }
        assert_int_equal(test_run(f->store, run_nothing, NULL), 0);
        reopen(f);
    }
    assert_true(store_next_subject(f->store) >= 1);
}

/* ---- sweeps ---- */

struct sweep_case {
    uint32_t before;
    bool dedupe;
    struct store_sweep result;
};

static int run_sweep(struct store_txn *txn, void *ctx)
{
    struct sweep_case *c = ctx;
    if (c->dedupe)
        store_sweep_dedupe(txn, c->before, &c->result);
    else
        store_sweep_class(txn, 2, c->before, &c->result);
    return store_txn_error(txn);
}

/* Calls until there is no more; rows in all. */
static uint64_t sweep_all(struct fixture *f, struct sweep_case *c)
{
    uint64_t rows = 0;
    int calls = 0;
    do {
        assert_int_equal(test_run_at(f->store, STORE_PURGE, run_sweep, c), 0);
        assert_true(c->result.rows <= STORE_SWEEP_ROWS);
        rows += c->result.rows;
        assert_true(++calls < 1000);
    } while (c->result.more);
    return rows;
}

static int run_many(struct store_txn *txn, void *ctx)
{
    uint32_t *bucket = ctx;
    static uint8_t bytes[2500]; /* two rows each */
    for (uint64_t serial = 1; serial <= 300; serial++) {
        struct record_id id = {.cls = 2, .bucket = *bucket, .serial = serial, .part = 'M'};
        store_put_record(txn, &id, span_of(bytes, sizeof(bytes)));
    }
    return store_txn_error(txn);
}

static void test_sweeps(void **state)
{
    struct fixture *f = *state;
    struct record_id id = {.cls = 2, .serial = 7, .part = 'M'};
    static uint8_t bytes[2500];
    struct sweep_case c = {.before = 12};

    for (uint32_t bucket = 10; bucket < 14; bucket++)
        assert_int_equal(test_run(f->store, run_many, &bucket), 0);
    assert_int_equal(sweep_all(f, &c), 2 * 2 * 300);
    assert_int_equal(sweep_all(f, &c), 0);
    for (id.bucket = 10; id.bucket < 14; id.bucket++)
        expect_record(f, &id, id.bucket < 12 ? NULL : bytes, sizeof(bytes));
    /* what comes after goes on at the end */
    uint32_t bucket = 14;
    assert_int_equal(test_run(f->store, run_many, &bucket), 0);
    c.before = UINT32_MAX;
    assert_int_equal(sweep_all(f, &c), 3 * 2 * 300);
    bucket = 11;
    assert_int_equal(test_run(f->store, run_many, &bucket), 0);
    id.bucket = 11;
    expect_record(f, &id, bytes, sizeof(bytes));
}

/* Dedupe hashes of days gone by leave the table, the newest entries and the rows behind these. */
static void test_sweep_dedupe(void **state)
{
    struct fixture *f = *state;
    struct dedupe_case d = {.where = {.cls = 1, .serial = 1}};
    struct sweep_case c = {.before = 102, .dedupe = true};
    struct record_id where;

    for (uint32_t i = 0; i < 900; i++) {
        d.day = 100 + i % 4;
        test_bytes(i, d.hash, sizeof(d.hash));
        assert_int_equal(test_run(f->store, run_dedupe, &d), 0);
        if (i == 500) { /* some are in the tree already */
            struct sweep_case none = {.before = 101, .dedupe = true};
            assert_int_equal(sweep_all(f, &none), 126);
        }
    }
    assert_int_equal(sweep_all(f, &c), 900 / 4 * 2 - 126);
    reopen(f);
    struct store_read *read = begin(f);
    for (uint32_t i = 0; i < 900; i++) {
        uint32_t day = 100 + i % 4;
        test_bytes(i, d.hash, sizeof(d.hash));
        assert_int_equal(store_get_dedupe(read, day, d.hash, &where), day < 102 ? SLUIS_ENOENT : 0);
    }
    store_read_end(read);
}

/* ---- opening ---- */

static void test_opening(void **state)
{
    struct fixture *f = *state;
    struct store_config config;
    struct store *second = NULL;
    struct diag diag = {0};
    struct stat st;
    char file[300];

    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    static const char *const files[] = {"data.mdb", "lock.mdb", "store.lock"};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(file, sizeof(file), "%s/%s", f->path, files[i]);
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
    test_config(&config, f->path);
    assert_int_equal(store_open(&config, &second, &diag), SLUIS_EEXIST);
    assert_null(second);
    assert_non_null(strstr(diag.text, "another process"));
    store_close(f->store);
    assert_int_equal(chmod(f->path, 0750), 0);
    assert_int_equal(store_open(&config, &second, &diag), SLUIS_EDENIED);
    assert_int_equal(chmod(f->path, 0700), 0);
    config.seal = NULL;
    assert_int_equal(store_open(&config, &second, &diag), SLUIS_EINVAL);
    f->store = test_store(f->path);
}

static void write_at(const char *path, const char *name, const void *bytes, size_t n)
{
    char file[300];
    (void)snprintf(file, sizeof(file), "%s/%s", path, name);
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

/* A first opening cut off by a power failure does not stand in the way; a finished store's damaged
 * file is never thrown away. */
static void test_unfinished(void **state)
{
    struct fixture *f = *state;
    static uint8_t zeros[8192];
    struct store_config config;
    struct store *store = NULL;
    struct diag diag;

    test_config(&config, f->path);
    store_close(f->store);
    write_at(f->path, "data.mdb", zeros, sizeof(zeros));
    assert_int_not_equal(store_open(&config, &store, &diag), 0);
    write_at(f->path, "store.lock", zeros, 0);
    f->store = test_store(f->path);
    assert_int_equal(test_run(f->store, run_delivery, NULL), 0);
    reopen(f);
}

/* Nothing that was given in the clear stands in the file: names apart, which the operator chose. */
static int run_canary(struct store_txn *txn, void *ctx)
{
    static const uint8_t hash[32] = {1};
    uint64_t index;
    store_put_leaf(txn, span_str(ctx), hash, &index);
    struct store_item item = {.serial = 5, .subject = 6};
    store_put_item(txn, &item);
    return store_txn_error(txn);
}

static int identity(void *ctx, uint8_t table, uint64_t row, struct span in, struct buffer *out)
{
    (void)ctx;
    (void)table;
    (void)row;
    buffer_add(out, in);
    return out->error;
}

static bool file_has(const char *path, const void *bytes, size_t n)
{
    static char content[4 * 1024 * 1024];
    char file[300];
    (void)snprintf(file, sizeof(file), "%s/data.mdb", path);
    FILE *in = fopen(file, "r");
    assert_non_null(in);
    size_t got = fread(content, 1, sizeof(content), in);
    assert_int_equal(fclose(in), 0);
    return memmem(content, got, bytes, n) != NULL;
}

static void test_canary(void **state)
{
    struct fixture *f = *state;
    static char leaf[] = "kanarie-leaf-0612345678";
    struct store_config config;
    struct diag diag;

    assert_int_equal(test_run(f->store, run_canary, leaf), 0);
    assert_false(file_has(f->path, leaf, strlen(leaf)));
    /* the control: with a seal that does nothing it is found */
    store_close(f->store);
    test_folder_remove(f->path);
    test_config(&config, f->path);
    config.seal = config.open = identity;
    assert_int_equal(store_open(&config, &f->store, &diag), 0);
    assert_int_equal(test_run(f->store, run_canary, leaf), 0);
    assert_true(file_has(f->path, leaf, strlen(leaf)));
}

/* ---- pruning the log ---- */

static uint64_t expired_from, expired_to; /* blocks by their first leaf */

static int open_or_expired(void *ctx, uint8_t table, uint64_t row, struct span sealed,
                           struct buffer *out)
{
    return table == STORE_SEAL_LEAF && row >= expired_from && row < expired_to
               ? SLUIS_EEXPIRED
               : test_open(ctx, table, row, sealed, out);
}

static int put_one_leaf(struct store_txn *txn, void *ctx)
{
    static const uint8_t hash[32] = {7};
    uint64_t *index = ctx;
    store_put_leaf(txn, SPAN("leaf"), hash, index);
    return store_txn_error(txn);
}

static int count_leaf(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    uint64_t *n = ctx;
    assert_int_equal(index, n[0] + n[1]);
    assert_int_equal(hash[0], 7);
    n[leaf.n == 0]++;
    return 0;
}

/* A block that opens (the first leaf of all, written before there was a term) keeps none behind it.
 */
static void test_prune(void **state)
{
    (void)state;
    char path[256];
    struct store_config config;
    struct diag diag = {.text = ""};
    struct store *store;
    struct store_read *read;
    uint64_t index, n[2] = {0, 0};
    unsigned removed, all = 0;
    test_folder(path);
    test_config(&config, path);
    config.open = open_or_expired;
    assert_int_equal(store_open(&config, &store, &diag), 0);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(test_run(store, put_one_leaf, &index), 0);
    expired_from = expired_to = 0;
    assert_int_equal(store_prune_leaves(store, 4, &removed), 0);
    assert_int_equal(removed, 0);
    expired_from = 2;
    expired_to = 20; /* the newest stays */
    for (unsigned i = 0; i < 10; i++, all += removed)
        assert_int_equal(store_prune_leaves(store, 4, &removed), 0);
    assert_int_equal(all, 17);
    expired_from = expired_to = 0;
    assert_int_equal(store_read_begin(store, &read), 0);
    assert_int_equal(store_each_leaf_or_hash(read, 0, count_leaf, n), 0);
    store_read_end(read);
    assert_int_equal(n[0], 3);
    assert_int_equal(n[1], 17);
    assert_int_equal(test_run(store, put_one_leaf, &index), 0);
    assert_int_equal(index, 20);
    store_close(store);
    test_folder_remove(path);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_records),
        TEST(test_record_replace_delete),
        TEST(test_dedupe),
        TEST(test_identifiers),
        TEST(test_identifier_rows),
        TEST(test_journal_order),
        TEST(test_journal_damaged),
        TEST(test_journal_extremes),
        TEST(test_leaves),
        TEST(test_leaf_limit),
        TEST(test_delivery),
        TEST(test_rows),
        TEST(test_prefix),
        TEST(test_names),
        TEST(test_serials),
        TEST(test_sweeps),
        TEST(test_sweep_dedupe),
        TEST(test_opening),
        TEST(test_unfinished),
        TEST(test_canary),
        cmocka_unit_test(test_prune),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

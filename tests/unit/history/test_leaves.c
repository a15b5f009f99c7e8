/* Under which messages' keys tags and notes hang, out of a table of several slices: what the
 * pruning of the keyring takes for living. A leaf that is left out would lose its notes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>

#include "../store/support.h"
#include "note.h" /* of the room: its rows */
#include "sluis/base/encode.h"

#define ROWS 1300u /* two slices and a part */

static char folder[256];

/* Row i: of message i + 1 of one of a hundred persons; its leaf is its own serial, another one
 * since it was sealed anew, or, in rows of before there were leaves, the serial in its key. */
static uint64_t leaf_of(unsigned i)
{
    return i % 3 == 1 ? 100000u + i : i + 1u;
}

static int put_rows(struct store_txn *txn, void *ctx)
{
    unsigned from = *(const unsigned *)ctx;
    for (unsigned i = from; i < from + 100 && i < ROWS; i++) {
        uint8_t key[KEY_BYTES] = {0}, value[PLACE_BYTES + LEAF_BYTES + 30] = {0, 2};
        note_prefix((uint16_t)(1 + i % 2), i % 100 + 1, i + 1, key);
        key[PREFIX_BYTES] = i % 2 ? 't' : 'n';
        be64_put(key + PREFIX_BYTES + 1, i);
        be32_put(value + 2, 500000 + i);
        if (i % 3 == 2)
            value[PLACE_BYTES] = 1; /* a sealed record begins with its version */
        else
            be64_put(value + PLACE_BYTES, leaf_of(i));
        store_put_row(txn, STORE_TABLE_HISTORY, span_of((const char *)key, sizeof(key)),
                      span_of((const char *)value, sizeof(value)));
        /* What is found by tag stands behind all of them in the table. */
        uint8_t index[INDEX_BYTES] = {'T'};
        be64_put(index + NOTE_INDEX_PREFIX + 8, i + 1);
        store_put_row(txn, STORE_TABLE_HISTORY, span_of((const char *)index, sizeof(index)),
                      SPAN("1"));
    }
    return store_txn_error(txn);
}

struct seen {
    unsigned char times[ROWS];
    unsigned calls, stop;
    bool unknown;
};

static int take(void *ctx, uint64_t serial)
{
    struct seen *s = ctx;
    unsigned i = serial > 100000 ? (unsigned)(serial - 100000) : (unsigned)(serial - 1);
    if (i >= ROWS || leaf_of(i) != serial)
        s->unknown = true;
    else
        s->times[i]++;
    return ++s->calls == s->stop ? SLUIS_ENOMEM : 0;
}

static int put_short(struct store_txn *txn, void *ctx)
{
    uint8_t key[KEY_BYTES] = {0};
    (void)ctx;
    note_prefix(1, 50, 7, key);
    key[PREFIX_BYTES] = 't';
    store_put_row(txn, STORE_TABLE_HISTORY, span_of((const char *)key, sizeof(key)), SPAN("abc"));
    return store_txn_error(txn);
}

static void test_leaves(void **state)
{
    (void)state;
    test_folder(folder);
    struct store *store = test_store(folder);
    struct history *h = calloc(1, sizeof(*h));
    static struct seen s;
    assert_non_null(h);
    h->deps.store = store;
    assert_int_equal(history_each_leaf(h, take, &s), 0);
    assert_int_equal(s.calls, 0);
    for (unsigned from = 0; from < ROWS; from += 100)
        assert_int_equal(test_run(store, put_rows, &from), 0);
    assert_int_equal(history_each_leaf(h, take, &s), 0);
    assert_false(s.unknown);
    for (unsigned i = 0; i < ROWS; i++)
        assert_in_range(s.times[i], 1, 2); /* where a slice ends, twice */
    assert_in_range(s.calls, ROWS, ROWS + 3);
    /* An error of who asked ends it and is told; so does a row that cannot be read: nothing may be
     * taken for dead then. */
    s = (struct seen){.stop = 700};
    assert_int_equal(history_each_leaf(h, take, &s), SLUIS_ENOMEM);
    assert_int_equal(s.calls, 700);
    assert_int_equal(test_run(store, put_short, NULL), 0);
    s = (struct seen){.stop = 0};
    assert_int_equal(history_each_leaf(h, take, &s), SLUIS_EINVAL);
    free(h);
    store_close(store);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_leaves)};
    return cmocka_run_group_tests_name("history-leaves", tests, NULL, NULL);
}

/* Leaves in the real store: in order, with their hashes, and only together with their job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../store/support.h"
#include "sluis/audit.h"

static int put_two(struct store_txn *txn, void *ctx)
{
    struct audit_event event = {.at_ms = 1, .action = AUDIT_SEND_INTENT, .actor = ctx};
    audit_put(txn, &event);
    event.action = AUDIT_SEND;
    event.outcome = "sent";
    audit_put(txn, &event);
    return 0;
}

struct seen {
    uint64_t next;
    unsigned wrong;
    char actions[8][32];
};

static int see(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    struct seen *seen = ctx;
    uint8_t want[32];
    seen->wrong += index != seen->next++ || audit_hash(leaf, want) != 0 ||
                   memcmp(want, hash, sizeof(want)) != 0 ||
                   !span_starts(leaf, SPAN("{\"action\":"));
    return 0;
}

static uint64_t leaves(struct store *store)
{
    struct store_read *read;
    struct seen seen = {0};
    assert_int_equal(store_read_begin(store, &read), 0);
    assert_int_equal(store_each_leaf(read, 0, see, &seen), 0);
    store_read_end(read);
    assert_int_equal(seen.wrong, 0);
    return seen.next;
}

static void with_the_job(void **state)
{
    (void)state;
    char folder[256];
    test_folder(folder);
    struct store *store = test_store(folder);
    assert_int_equal(test_run(store, put_two, "gateway"), 0);
    assert_int_equal(leaves(store), 2);
    /* a leaf that cannot be made fails its job: what it would record does not stand either */
    assert_int_equal(test_run(store, put_two, "two\nlines"), SLUIS_EINVAL);
    assert_int_equal(leaves(store), 2);
    assert_int_equal(test_run(store, put_two, "meta"), 0);
    assert_int_equal(leaves(store), 4);
    store_close(store);
    store = test_store(folder);
    assert_int_equal(leaves(store), 4);
    store_close(store);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(with_the_job)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

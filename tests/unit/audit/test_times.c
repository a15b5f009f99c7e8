/*
 * Where in the log a period is looked for: leaves that were owed in an outage stand behind later
 * ones, and none of them is passed by.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sodium.h>
#include <unistd.h>

#include "../store/support.h"
#include "sluis/audit.h"
#include "sluis/base/clock.h"

#define ORIGIN "sluis/00112233445566778899aabbccddeeff"
#define BLOCK ((uint64_t)AUDIT_PAGE_LEAVES)
#define DAY INT64_C(86400000)
#define NOON INT64_C(1795262400000) /* 2026-11-21T12:00:00Z */

static const uint8_t seed[NOTE_SEED] = {5, 5};
static char folder[256];

struct put {
    struct store_job job;
    uint64_t n;
    int64_t at_ms;
};

static int put_leaves(struct store_txn *txn, struct store_job *job)
{
    const struct put *p = (const struct put *)job;
    for (uint64_t i = 0; i < p->n; i++) {
        const struct audit_event event = {.at_ms = p->at_ms + (int64_t)i,
                                          .action = AUDIT_DELIVER,
                                          .actor = "gateway",
                                          .outcome = "delivered"};
        audit_put(txn, &event);
    }
    return store_txn_error(txn);
}

static void put(struct store *store, uint64_t n, int64_t at_ms)
{
    for (uint64_t done = 0; done < n;) {
        struct put p = {.job = {.priority = STORE_NORMAL, .run = put_leaves},
                        .n = n - done > 2048 ? 2048 : n - done,
                        .at_ms = at_ms};
        assert_int_equal(store_submit_wait(store, &p.job), 0);
        done += p.n;
    }
}

static struct audit_log *open_log(struct store *store)
{
    const struct audit_log_config config = {.store = store, .seed = seed, .origin = ORIGIN};
    struct audit_log *log;
    struct diag diag;
    assert_int_equal(audit_log_open(&config, &log, &diag), 0);
    assert_int_equal(audit_log_start(log), 0);
    return log;
}

static struct audit_filter period(const char *from, const char *to)
{
    return (struct audit_filter){.from = span_str(from), .to = span_str(to)};
}

/* The thread has come to the end of the log: what lies outside of it all is nowhere. */
static void wait_for(struct audit_log *log, uint64_t blocks)
{
    const struct audit_filter never = period("2031", "2032");
    for (int i = 0; i < 2000 && audit_log_ahead(log, &never, 0) < blocks * BLOCK; i++)
        usleep(5000);
    assert_int_equal(audit_log_ahead(log, &never, 0), blocks * BLOCK);
}

/* 0: the 21st; 1: the 22nd; 2: the 23rd, and in its middle three leaves of the 21st; 3: the 23rd;
 * then some that fill no block. */
static void fill(struct store *store)
{
    put(store, BLOCK, NOON);
    put(store, BLOCK, NOON + DAY);
    put(store, 4000, NOON + 2 * DAY);
    put(store, 3, NOON + 5000);
    put(store, BLOCK - 4003, NOON + 2 * DAY);
    put(store, BLOCK, NOON + 2 * DAY);
    put(store, 10, NOON + 2 * DAY);
}

static void look(struct audit_log *log)
{
    struct audit_filter f = period("2026-11-23", "");
    assert_int_equal(audit_log_ahead(log, &f, 0), 2 * BLOCK);
    assert_int_equal(audit_log_ahead(log, &f, 2 * BLOCK + 7), 2 * BLOCK + 7);
    f = period("2026-11-22T12:00:02", "");
    assert_int_equal(audit_log_ahead(log, &f, 0), BLOCK);
    f = period("2026-11-21", "2026-11-22"); /* the owed ones too */
    assert_int_equal(audit_log_ahead(log, &f, 0), 0);
    assert_int_equal(audit_log_ahead(log, &f, BLOCK), 2 * BLOCK);
    assert_int_equal(audit_log_ahead(log, &f, 3 * BLOCK), 4 * BLOCK);
    assert_int_equal(audit_log_behind(log, &f, 4 * BLOCK), 3 * BLOCK);
    assert_int_equal(audit_log_behind(log, &f, 2 * BLOCK), BLOCK);
    assert_int_equal(audit_log_behind(log, &f, 4 * BLOCK + 10), 4 * BLOCK + 10);
    f = period("2026-11-21T12:00:04.999Z", "2026-11-21T12:00:05.002Z");
    assert_int_equal(audit_log_ahead(log, &f, BLOCK), 2 * BLOCK);
    f = period("", "2026-11-21");
    assert_int_equal(audit_log_behind(log, &f, 4 * BLOCK), 0);
    f = period("", "");
    assert_int_equal(audit_log_ahead(log, &f, 5), 5);
    assert_int_equal(audit_log_behind(log, &f, 5), 5);
    f = (struct audit_filter){.actor = SPAN("somebody")};
    assert_int_equal(audit_log_ahead(log, &f, 5), 5);
}

static void test_owed(void **state)
{
    (void)state;
    test_folder(folder);
    struct store *store = test_store(folder);
    fill(store);
    struct audit_log *log = open_log(store);
    wait_for(log, 4);
    look(log);
    audit_log_close(log);
    store_close(store);
    test_folder_remove(folder);
}

/* Full rows are kept: a start takes them as they are, and looks at the rest again. */
static void test_kept(void **state)
{
    (void)state;
    test_folder(folder);
    struct store *store = test_store(folder);
    const struct audit_filter old = period("", "2026-11-22");
    fill(store);
    put(store, 5 * BLOCK - 10, NOON + 3 * DAY);
    struct audit_log *log = open_log(store);
    wait_for(log, 9);
    audit_log_close(log);
    const struct audit_log_config config = {.store = store, .seed = seed, .origin = ORIGIN};
    struct diag diag;
    assert_int_equal(audit_log_open(&config, &log, &diag), 0);
    assert_int_equal(audit_log_ahead(log, &old, 3 * BLOCK), 8 * BLOCK); /* the ninth is unknown */
    const struct audit_filter owed = period("2026-11-21", "2026-11-22");
    assert_int_equal(audit_log_ahead(log, &owed, BLOCK), 2 * BLOCK);
    assert_int_equal(audit_log_behind(log, &owed, 8 * BLOCK), 3 * BLOCK);
    assert_int_equal(audit_log_start(log), 0);
    wait_for(log, 9);
    audit_log_close(log);
    store_close(store);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_owed), cmocka_unit_test(test_kept)};
    return sodium_init() < 0 || cmocka_run_group_tests(tests, NULL, NULL);
}

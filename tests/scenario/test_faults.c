/*
 * The n-th allocation, read, write, seal, match or rendering fails, for every n, while a POST with
 * two halves of an account number goes through intake and delivery. Never a crash; never unmasked
 * output; nothing readable on disk or in the log; and once Meta has its 200 every message is
 * delivered, parked or in quarantine. The faults are at the doors of the rooms (--wrap).
 */
#include "world.h"

#include "sluis/audit.h"
#include "sluis/base/clock.h"
#include "sluis/mask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define CANARY "kanarie7Qx9w2"
#define FAULTS_MAX 3000 /* more than one POST makes calls */

enum fault { FAULT_NONE, FAULT_MEMORY, FAULT_READ, FAULT_WRITE, FAULT_SEAL, FAULT_JUDGE };
static _Atomic int armed;
static _Atomic long countdown;
static _Atomic long hits;
static _Thread_local bool exempt; /* the test's own threads */

static bool fails(enum fault fault)
{
    if (atomic_load(&armed) != (int)fault || exempt)
        return false;
    bool now = atomic_fetch_sub(&countdown, 1) == 0;
    hits += now;
    return now;
}

/* ---- memory ---- */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n)
{
    return fails(FAULT_MEMORY) ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size)
{
    return fails(FAULT_MEMORY) ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n)
{
    return fails(FAULT_MEMORY) ? NULL : __real_realloc(p, n);
}

/* ---- doors: WRAP(fault, error, name, parameters, arguments) ---- */

#define WRAP(fault, error, name, parameters, arguments)                                            \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        return fails(fault) ? (error) : __real_##name arguments;                                   \
    }

WRAP(FAULT_READ, SLUIS_EIO, store_read_begin, (struct store * s, struct store_read **out), (s, out))
WRAP(FAULT_READ, SLUIS_EIO, store_get_record,
     (struct store_read * r, const struct record_id *id, struct arena *a, struct span *out),
     (r, id, a, out))
WRAP(FAULT_READ, SLUIS_EIO, store_get_item,
     (struct store_read * r, uint64_t serial, struct store_item *out), (r, serial, out))
WRAP(FAULT_READ, SLUIS_EIO, store_get_head,
     (struct store_read * r, uint16_t channel, uint64_t subject, uint64_t *out),
     (r, channel, subject, out))
WRAP(FAULT_READ, SLUIS_EIO, store_get_identifier,
     (struct store_read * r, const uint8_t hash[STORE_HASH_BYTES], uint64_t *out), (r, hash, out))
WRAP(FAULT_READ, SLUIS_EIO, store_get_identifier_row,
     (struct store_read * r, const uint8_t hash[STORE_HASH_BYTES], struct store_identifier *out),
     (r, hash, out))
WRAP(FAULT_SEAL, SLUIS_ECRYPTO, record_open,
     (struct keyring_cache * c, uint8_t table, const struct record_id *id, struct span sealed,
      struct buffer *out),
     (c, table, id, sealed, out))
WRAP(FAULT_SEAL, SLUIS_ENOMEM, record_seal,
     (struct keyring_cache * c, uint8_t table, const struct record_id *id, uint32_t generation,
      struct span plain, struct buffer *out),
     (c, table, id, generation, plain, out))
WRAP(FAULT_SEAL, SLUIS_ENOMEM, audit_leaf,
     (const struct audit_event *event, struct buffer *out, uint8_t hash[32]), (event, out, hash))
WRAP(FAULT_JUDGE, SLUIS_EJUDGE, detect_run,
     (const struct detector *d, struct detect_scratch *s, const struct detect_input *in,
      struct finding *out, size_t most),
     (d, s, in, out, most))
WRAP(FAULT_JUDGE, SLUIS_EJUDGE, mask_render,
     (const struct json_doc *doc, uint32_t root, enum mask_table table, const struct judged *judged,
      const struct mask_reader *reader, struct arena *arena, struct buffer *out),
     (doc, root, table, judged, reader, arena, out))
WRAP(FAULT_JUDGE, SLUIS_EJUDGE, mask_window_add,
     (const struct json_doc *doc, uint32_t root, const struct finding *f, size_t n,
      struct arena *arena, struct judged *judged),
     (doc, root, f, n, arena, judged))

void __real_store_put_record(struct store_txn *t, const struct record_id *id, struct span sealed);
void __wrap_store_put_record(struct store_txn *t, const struct record_id *id, struct span sealed);
void __wrap_store_put_record(struct store_txn *t, const struct record_id *id, struct span sealed)
{
    if (fails(FAULT_WRITE))
        store_txn_fail(t, SLUIS_EFULL);
    else
        __real_store_put_record(t, id, sealed);
}
void __real_store_put_item(struct store_txn *t, struct store_item *item);
void __wrap_store_put_item(struct store_txn *t, struct store_item *item);
void __wrap_store_put_item(struct store_txn *t, struct store_item *item)
{
    if (fails(FAULT_WRITE))
        store_txn_fail(t, SLUIS_EFULL);
    else
        __real_store_put_item(t, item);
}

/* ---- the scenario ---- */

static void exempt_here(struct mail *mail)
{
    exempt = true;
    free(mail);
}

static int count_row(void *ctx, struct span key, struct span value)
{
    (void)key;
    (void)value;
    ++*(unsigned *)ctx;
    return 0;
}
static unsigned quarantined(struct world *w)
{
    struct store_read *read;
    unsigned n = 0;
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_each_row(read, STORE_TABLE_QUARANTINE, SPAN_EMPTY, count_row, &n), 0);
    store_read_end(read);
    return n;
}

static char *post_of(unsigned series, unsigned n)
{
    char from[32], a[64], b[64];
    snprintf(from, sizeof(from), "316%03u%05u", series, n);
    snprintf(a, sizeof(a), "wamid.%u.%u.a", series, n);
    snprintf(b, sizeof(b), "wamid.%u.%u.b", series, n);
    const struct message m[] = {{from, a, CANARY " NL91 ABNA 04", 0},
                                {from, b, "17 1643 00 en BSN 111222333", 0}};
    return world_body(m, 2);
}

static bool quiet(void *ctx)
{
    struct deliver_route_status s = world_status(ctx, 0);
    return s.waiting == 0 && s.in_flight == 0 && s.cursor == s.newest;
}

/* Until a POST goes through without reaching the n-th call. */
static void run(enum fault fault, unsigned step)
{
    struct world w = {.routes = 1};
    world_make(&w);
    world_up(&w);
    exempt = true;
    for (unsigned i = 0; i < WORLD_TOOLS_MAX; i++) {
        struct mail *mail = malloc(sizeof(*mail));
        loop_post(w.tools[i].loop, mail, exempt_here);
    }
    assert_int_equal(world_send(&w, "31600000000", "wamid.warm", "hallo"), 200);
    assert_true(world_until(quiet, &w, 5000));
    unsigned accepted = 1, n = 0;
    for (bool hit = true; hit && n < FAULTS_MAX; n += step) {
        char *body = post_of((unsigned)fault, n);
        hits = 0;
        countdown = (long)n;
        armed = (int)fault;
        int status = world_post(&w, body);
        for (unsigned i = 0; i < 200 && hits == 0 && !quiet(&w); i++)
            world_sleep(2); /* its delivery is under way */
        armed = FAULT_NONE;
        hit = hits > 0;
        if (status != 200 && status != 503 && status != 401 && status != 500 && status != -1)
            fail_msg("fault %d, call %u: %d", fault, n, status);
        for (unsigned i = 0; i < 3 && status != 200; i++)
            status = world_post(&w, body); /* as Meta does */
        if (status != 200)
            fail_msg("fault %d, call %u: again %d", fault, n, status);
        accepted += 2;
        free(body);
        if (!world_until(quiet, &w, 5000))
            fail_msg("fault %d, call %u: not settled", fault, n);
        if (tool_saw(&w.tools[0], "643 00") || tool_saw(&w.tools[0], "111222333"))
            fail_msg("fault %d, call %u: unmasked: %s", fault, n,
                     w.tools[0].got[w.tools[0].count - 1].body);
    }
    struct deliver_route_status s = world_status(&w, 0);
    print_message("fault %d: %u calls, %u accepted, %u delivered, %u parked, %u aside\n", fault, n,
                  accepted, (unsigned)s.delivered, (unsigned)s.parked, quarantined(&w));
    assert_true(n > 2 * step); /* there were calls to fail */
    assert_true(s.delivered + s.parked + s.expired + quarantined(&w) >= accepted);
    assert_false(tool_saw(&w.tools[0], "111222333"));
    assert_false(tool_saw(&w.tools[0], "643 00"));
    for (unsigned i = 0; i < w.tools[0].count; i++) /* what the tool may see is no leak */
        memset(w.tools[0].got[i].body, 'x', w.tools[0].got[i].n);
    assert_int_equal(world_traces(&w, CANARY), 0);
    assert_int_equal(world_traces(&w, "111222333"), 0);
    world_down(&w, true);
    assert_int_equal(world_traces(&w, CANARY), 0);
    world_remove(&w);
}

static void test_memory(void **state)
{
    (void)state;
    const char *every = getenv("FAULTS_EVERY"); /* default: every third, for time */
    run(FAULT_MEMORY, every ? (unsigned)strtoul(every, NULL, 10) : 3);
}
static void test_read(void **state)
{
    (void)state;
    run(FAULT_READ, 1);
}
static void test_write(void **state)
{
    (void)state;
    run(FAULT_WRITE, 1);
}
static void test_seal(void **state)
{
    (void)state;
    run(FAULT_SEAL, 1);
}
static void test_judge(void **state)
{
    (void)state;
    run(FAULT_JUDGE, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory), cmocka_unit_test(test_read),  cmocka_unit_test(test_write),
        cmocka_unit_test(test_seal),   cmocka_unit_test(test_judge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A route is told which of its deliveries were erased: by the ids that they came with, in order
 * with the rest, tried again, and its answer is kept. */
#include "world.h"

#include "../unit/store/support.h"

#include "sluis/base/clock.h"
#include "sluis/retention.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define EVENT 4711

struct tell {
    struct store_job job;
    struct world *w;
    struct store_item item;
    struct retention_told told;
    uint32_t serials[RETENTION_TOLD_MAX];
    _Atomic bool done;
};

static int take_serial(void *ctx, const struct store_item *item)
{
    struct tell *t = ctx;
    if (!(item->flags & STORE_ITEM_TOLD))
        t->serials[t->told.messages++] = (uint32_t)item->serial;
    return 0;
}

static int run_tell(struct store_txn *txn, struct store_job *job)
{
    struct tell *t = (struct tell *)(void *)job;
    struct store_item item = t->item;
    store_put_item(txn, &item);
    t->item.order = item.order;
    retention_told_put(txn, &t->told, t->serials);
    return store_txn_error(txn);
}

static void tell_done(struct store_job *job)
{
    struct tell *t = (struct tell *)(void *)job;
    if (job->result == 0)
        deliver_offer(t->w->deliver, &t->item, SPAN_EMPTY, "");
    atomic_store(&t->done, true);
}

/* All that was accepted so far was erased. */
static void tell(struct world *w, uint64_t event)
{
    struct store_read *read;
    struct config *config = world_config(w);
    const uint16_t route = config->channels[0].routes[0].id;
    const uint64_t serial = store_next_serial(w->store);
    struct tell t = {.job = {.priority = STORE_PURGE, .run = run_tell, .done = tell_done},
                     .w = w,
                     .item = {.serial = serial,
                              .channel = config->channels[0].id,
                              .kind = STORE_KIND_ACCOUNT,
                              .flags = STORE_ITEM_TOLD,
                              .at_ms = 1790000000000,
                              .taken_ms = clock_wall_ms(),
                              .batch = event,
                              .route_count = 1,
                              .routes = {route}},
                     .told = {.event = event, .serial = serial, .route = route, .made_ms = 1}};
    config_unref(config);
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_each_item(read, 1, take_serial, &t), 0);
    store_read_end(read);
    store_submit(w->store, &t.job);
    while (!atomic_load(&t.done))
        world_sleep(1);
    assert_int_equal(t.job.result, 0);
}

static int take_told(void *ctx, const struct retention_told *told)
{
    *(struct retention_told *)ctx = *told;
    return 0;
}

static struct retention_told told_of(struct world *w, uint64_t event)
{
    struct store_read *read;
    struct retention_told told = {.outcome = 99};
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(retention_told_each(read, event, take_told, &told), 0);
    store_read_end(read);
    return told;
}

static bool settled(void *ctx)
{
    struct world *w = ctx;
    uint8_t outcome = told_of(w, EVENT).outcome;
    return outcome != RETENTION_TOLD_WAITING && outcome != RETENTION_TOLD_PARKED && outcome != 99;
}

static void told(bool one_per_post, bool restart)
{
    struct world w = {.routes = 1,
                      .loop_count = 2,
                      .route_extra = one_per_post ? ", told: erased" : ", one_per_post: false"};
    int status = 503;
    world_make(&w);
    world_up(&w);
    assert_int_equal(world_send(&w, "31612345678", "wamid.a", "een"), 200);
    assert_int_equal(world_send(&w, "31687654321", "wamid.b", "twee"), 200);
    assert_true(tool_has(&w.tools[0], 2, 5000));
    tool_set(&w.tools[0], tool_status, &status);
    tell(&w, EVENT);
    for (unsigned i = 0; tool_count(&w.tools[0]) < 4 && i < 6000; i++)
        world_sleep(10); /* tried again */
    assert_int_equal(told_of(&w, EVENT).outcome, RETENTION_TOLD_WAITING);
    if (restart) {
        world_down(&w, true);
        world_up(&w);
    }
    tool_set(&w.tools[0], NULL, NULL);
    assert_true(tool_has(&w.tools[0], 3, 10000));
    assert_true(world_until(settled, &w, 5000));
    assert_int_equal(told_of(&w, EVENT).outcome, RETENTION_TOLD_DELIVERED);
    assert_int_equal(told_of(&w, EVENT).status, 200);
    assert_int_equal(told_of(&w, EVENT).messages, 2);
    /* the body: both ids, ours and nobody else's words */
    const struct got *last = &w.tools[0].got[w.tools[0].count - 1];
    char want[256];
    assert_int_equal(last->status, 200);
    snprintf(want, sizeof(want),
             "{\"object\":\"sluis\",\"entry\":[{\"id\":\"%d\",\"time\":1790000000,\"changes\":[{"
             "\"field\":\"sluis.erased\",\"value\":{\"deliveries\":[",
             EVENT);
    assert_true(last->n > strlen(want) && memcmp(last->body, want, strlen(want)) == 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(w.tools[0].got[i].status, 200);
        assert_non_null(
            memmem(last->body, last->n, w.tools[0].got[i].id, strlen(w.tools[0].got[i].id)));
    }
    assert_null(memmem(last->body, last->n, "wamid", 5));
    assert_null(memmem(last->body, last->n, "31612345678", 11));
    assert_null(memmem(last->body, last->n, "31687654321", 11));
    /* life goes on behind it */
    assert_int_equal(world_send(&w, "31612345678", "wamid.c", "drie"), 200);
    assert_true(tool_has(&w.tools[0], 4, 5000));
    world_down(&w, true);
    world_remove(&w);
}

static void test_told(void **state)
{
    (void)state;
    told(true, false);
}

static void test_told_restart(void **state)
{
    (void)state;
    told(true, true);
}

static void test_told_as_received(void **state)
{
    (void)state;
    told(false, false);
}

/* A tool that refuses it: parked, on record, and it may be tried again. */
static void test_refused(void **state)
{
    (void)state;
    struct world w = {.routes = 1, .loop_count = 2, .route_extra = ", told: both"};
    int status = 422;
    world_make(&w);
    world_up(&w);
    assert_int_equal(world_send(&w, "31612345678", "wamid.a", "een"), 200);
    assert_true(tool_has(&w.tools[0], 1, 5000));
    tool_set(&w.tools[0], tool_status, &status);
    tell(&w, EVENT);
    for (unsigned i = 0; told_of(&w, EVENT).outcome != RETENTION_TOLD_PARKED && i < 6000; i++)
        world_sleep(10);
    struct retention_told told = told_of(&w, EVENT);
    assert_int_equal(told.outcome, RETENTION_TOLD_PARKED);
    assert_int_equal(told.status, 422);
    tool_set(&w.tools[0], NULL, NULL);
    assert_int_equal(deliver_retry(w.deliver, told.route, told.serial), 0);
    assert_true(world_until(settled, &w, 5000));
    assert_int_equal(told_of(&w, EVENT).outcome, RETENTION_TOLD_DELIVERED);
    world_down(&w, true);
    world_remove(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told),
        cmocka_unit_test(test_told_restart),
        cmocka_unit_test(test_told_as_received),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

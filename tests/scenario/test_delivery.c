/* Delivery to tools that misbehave, over the real rooms and sockets; back-offs are milliseconds. */
#include "world.h"

#include "../unit/store/support.h"

#include "sluis/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define NONE SLUIS_ENOENT

static void open_world(struct world *w, unsigned routes)
{
    w->routes = routes;
    if (!w->loop_count)
        w->loop_count = 2;
    world_make(w);
    world_up(w);
}

static void close_world(struct world *w)
{
    world_down(w, true);
    world_remove(w);
}

/* "c<conversation> <number>" for each; a number's id is unique over a test by `series`. */
static void send_many(struct world *w, unsigned conversations, unsigned each, unsigned series)
{
    for (unsigned i = 0; i < each; i++) {
        for (unsigned c = 0; c < conversations; c++) {
            char from[32], id[64], text[64];
            snprintf(from, sizeof(from), "316000%05u", c);
            snprintf(id, sizeof(id), "wamid.%u.%u.%u", series, c, i);
            snprintf(text, sizeof(text), "c%u %u", c, series * 1000 + i);
            assert_int_equal(world_send(w, from, id, text), 200);
        }
    }
}

/* What was accepted rises within each conversation; `twice` allows the same again. */
static void check_order(struct tool *t, unsigned conversations, bool twice)
{
    int last[200];
    assert_true(conversations <= 200);
    for (unsigned c = 0; c < conversations; c++)
        last[c] = -1;
    for (unsigned i = 0, n = tool_accepted(t); i < n; i++) {
        char text[128];
        unsigned c;
        int number;
        tool_text(t, i, text, sizeof(text));
        if (sscanf(text, "c%u %d", &c, &number) != 2)
            continue;
        assert_true(c < conversations);
        if (twice)
            assert_true(number >= last[c] - 1 || number >= 0);
        else
            assert_true(number > last[c]);
        last[c] = number;
    }
}

static int half_fails(struct tool *t, const struct got *got, void *ctx)
{
    unsigned *seed = ctx;
    (void)t;
    (void)got;
    *seed = *seed * 1103515245u + 12345u;
    switch (*seed >> 16 & 7) {
    case 0:
        return 503;
    case 1:
        return 0;
    case 2:
        return 429;
    default:
        return 200;
    }
}

/* The tool has it before its answer is settled. */
static bool none_waits(void *ctx)
{
    return world_status(ctx, 0).waiting == 0;
}

static void test_order(void **state)
{
    (void)state;
    struct world w = {.routes = 0};
    unsigned seed = 7;
    open_world(&w, 1);
    tool_set(&w.tools[0], half_fails, &seed);
    send_many(&w, 5, 20, 1);
    assert_true(tool_has(&w.tools[0], 100, 30000));
    check_order(&w.tools[0], 5, false);
    assert_true(world_until(none_waits, &w, 5000));
    close_world(&w);
}

static void test_dead_route(void **state)
{
    (void)state;
    struct world w = {.routes = 0};
    int never = -1, ok = 200;
    open_world(&w, 2);
    tool_set(&w.tools[0], tool_status, &never);
    tool_set(&w.tools[1], tool_status, &ok);
    int64_t start = clock_mono_ms();
    send_many(&w, 40, 1, 1); /* more than a route tries at once */
    assert_true(tool_has(&w.tools[1], 40, 20000));
    assert_true(clock_mono_ms() - start < 20000); /* an attempt that hangs is waited for longer */
    assert_int_equal(tool_accepted(&w.tools[0]), 0);
    world_down(&w, false); /* attempts that hang do not hold up the end */
    world_remove(&w);
}

struct route_of {
    struct world *w;
    bool paused;
};
static bool is_paused(void *ctx)
{
    struct route_of *r = ctx;
    return world_status(r->w, 0).paused == r->paused;
}

static void test_pause(void **state)
{
    (void)state;
    static const int statuses[] = {401, 403, 404, 410, 302};
    struct world w = {.routes = 0};
    int status = 200;
    open_world(&w, 1);
    tool_set(&w.tools[0], tool_status, &status);
    for (unsigned i = 0; i < 5; i++) {
        struct route_of paused = {&w, true}, resumed = {&w, false};
        tool_set(&w.tools[0], tool_status, (status = statuses[i], &status));
        send_many(&w, 3, 1, 10 + i);
        assert_true(world_until(is_paused, &paused, 3000));
        unsigned before = tool_count(&w.tools[0]);
        int64_t since = clock_mono_ms();
        world_sleep(200); /* silence, but for the probes */
        unsigned probes = (unsigned)((clock_mono_ms() - since) / 300);
        assert_true(tool_count(&w.tools[0]) <= before + 2 + probes);
        tool_set(&w.tools[0], tool_status, (status = 200, &status));
        assert_true(world_until(is_paused, &resumed, 5000));
        assert_true(tool_has(&w.tools[0], 3 * (i + 1), 5000));
    }
    check_order(&w.tools[0], 3, false);
    close_world(&w);
}

static int refuses_bad(struct tool *t, const struct got *got, void *ctx)
{
    (void)t;
    (void)ctx;
    return strstr(got->body, "bad") ? 400 : 200;
}

static bool is_parked(void *ctx)
{
    return world_status(ctx, 0).parked == 1;
}
static bool none_parked(void *ctx)
{
    return world_status(ctx, 0).parked == 0 && world_status(ctx, 0).waiting == 0;
}

static int find_parked(void *ctx, const struct store_pending *p)
{
    if (p->state == STORE_PENDING_PARKED)
        *(uint64_t *)ctx = p->serial;
    return 0;
}

static uint64_t parked_serial(struct world *w, uint16_t route)
{
    struct store_read *read;
    uint64_t serial = 0;
    for (unsigned i = 0; i < 6000 && !serial; i++) { /* outcomes are written a little later */
        assert_int_equal(store_read_begin(w->store, &read), 0);
        assert_int_equal(store_each_pending(read, route, 0, find_parked, &serial), 0);
        store_read_end(read);
        world_sleep(10);
    }
    return serial;
}

static void test_park(void **state)
{
    (void)state;
    struct world w = {.routes = 0};
    open_world(&w, 2);
    tool_set(&w.tools[0], refuses_bad, NULL);
    assert_int_equal(world_send(&w, "31600000001", "wamid.a", "first"), 200);
    assert_int_equal(world_send(&w, "31600000001", "wamid.b", "bad"), 200);
    assert_int_equal(world_send(&w, "31600000001", "wamid.c", "third"), 200);
    assert_int_equal(world_send(&w, "31600000002", "wamid.d", "other"), 200);
    assert_true(world_until(is_parked, &w, 5000));
    assert_true(tool_has(&w.tools[0], 3, 5000));
    assert_true(tool_saw(&w.tools[0], "after_gap"));
    uint16_t route = world_status(&w, 0).route, other = world_status(&w, 1).route;
    uint64_t serial = parked_serial(&w, route);
    assert_true(serial != 0);
    /* a serial that is not parked for this route is no serial to retry */
    assert_true(tool_has(&w.tools[1], 4, 5000));
    assert_int_equal(deliver_retry(w.deliver, other, serial), NONE);
    assert_int_equal(deliver_drop(w.deliver, other, serial), NONE);
    assert_int_equal(deliver_retry(w.deliver, route, serial + 100000), NONE);
    /* a later message of the conversation, after a restart too, is told of the gap once */
    world_down(&w, true);
    world_up(&w);
    assert_int_equal(world_status(&w, 0).parked, 1);
    tool_set(&w.tools[0], NULL, NULL);
    unsigned before = tool_accepted(&w.tools[0]);
    assert_int_equal(deliver_retry(w.deliver, route, serial), 0);
    assert_true(tool_has(&w.tools[0], before + 1, 5000));
    char text[64];
    tool_text(&w.tools[0], before, text, sizeof(text));
    assert_string_equal(text, "bad");
    assert_true(world_until(none_parked, &w, 3000));
    world_down(&w, true);
    world_up(&w);
    assert_int_equal(world_status(&w, 0).parked, 0); /* its row is gone */
    close_world(&w);
}

static int one_stuck(struct tool *t, const struct got *got, void *ctx)
{
    (void)t;
    (void)ctx;
    return strstr(got->body, "\"c0 ") ? 503 : 200;
}

/* Nothing of the conversation waits when a message is parked: the next one is told, once. */
static void test_gap(void **state)
{
    (void)state;
    for (unsigned restart = 0; restart < 2; restart++) {
        struct world w = {.routes = 0};
        open_world(&w, 1);
        tool_set(&w.tools[0], refuses_bad, NULL);
        assert_int_equal(world_send(&w, "31600000001", "wamid.b", "bad"), 200);
        assert_true(world_until(is_parked, &w, 5000));
        if (restart) {
            assert_true(parked_serial(&w, world_status(&w, 0).route) != 0);
            world_down(&w, true);
            world_up(&w);
        }
        assert_int_equal(world_send(&w, "31600000002", "wamid.c", "elsewhere"), 200);
        assert_true(tool_has(&w.tools[0], 1, 5000));
        assert_false(tool_saw(&w.tools[0], "after_gap"));
        assert_int_equal(world_send(&w, "31600000001", "wamid.d", "next"), 200);
        assert_true(tool_has(&w.tools[0], 2, 5000));
        assert_true(tool_saw(&w.tools[0], "after_gap"));
        assert_int_equal(world_send(&w, "31600000001", "wamid.e", "last"), 200);
        assert_true(tool_has(&w.tools[0], 3, 5000));
        assert_null(strstr(w.tools[0].got[w.tools[0].count - 1].body, "after_gap"));
        close_world(&w);
    }
}

/* One conversation whose back-off has grown long: the probe does not wait for it. */
static void test_probe(void **state)
{
    (void)state;
    struct world w = {.routes = 0};
    int status = 404;
    open_world(&w, 1);
    tool_set(&w.tools[0], tool_status, &status);
    assert_int_equal(world_send(&w, "31600000001", "wamid.a", "first"), 200);
    while (tool_count(&w.tools[0]) < 9) /* 40 ms, doubled eight times: 10 s */
        world_sleep(10);
    int64_t since = clock_mono_ms();
    tool_set(&w.tools[0], NULL, NULL);
    assert_true(tool_has(&w.tools[0], 1, 8000));
    assert_true(clock_mono_ms() - since < 8000);
    close_world(&w);
}

/* Few enough to wait in the queue: a stop writes down what is stuck, so that nothing comes twice.
 */
static void test_stop_few(void **state)
{
    (void)state;
    struct world w = {.routes = 0};
    open_world(&w, 1);
    tool_set(&w.tools[0], one_stuck, NULL);
    send_many(&w, 5, 1, 1);
    assert_true(tool_has(&w.tools[0], 4, 5000));
    world_down(&w, true);
    tool_set(&w.tools[0], NULL, NULL);
    world_up(&w);
    assert_true(tool_has(&w.tools[0], 5, 5000));
    world_sleep(200);
    assert_int_equal(tool_accepted(&w.tools[0]), 5);
    close_world(&w);
}

static void test_drop(void **state)
{
    (void)state;
    struct world w = {.routes = 0};
    open_world(&w, 1);
    tool_set(&w.tools[0], refuses_bad, NULL);
    assert_int_equal(world_send(&w, "31600000001", "wamid.b", "bad"), 200);
    assert_true(world_until(is_parked, &w, 5000));
    uint16_t route = world_status(&w, 0).route;
    uint64_t serial = parked_serial(&w, route);
    assert_int_equal(deliver_drop(w.deliver, route, serial), 0);
    assert_true(world_until(none_parked, &w, 3000));
    world_sleep(100);
    assert_int_equal(deliver_drop(w.deliver, route, serial), NONE);
    close_world(&w);
}

static void test_retry_after(void **state)
{
    (void)state;
    struct world w = {.routes = 0};
    int status = 429;
    open_world(&w, 1);
    w.tools[0].field = "Retry-After";
    w.tools[0].value = "1";
    tool_set(&w.tools[0], tool_status, &status);
    int64_t start = clock_mono_ms();
    assert_int_equal(world_send(&w, "31600000001", "wamid.a", "first"), 200);
    while (tool_count(&w.tools[0]) < 1)
        world_sleep(5);
    tool_set(&w.tools[0], NULL, NULL);
    assert_true(tool_has(&w.tools[0], 1, 5000));
    assert_true(clock_mono_ms() - start >= 1000);
    close_world(&w);
}

/* POSTs as received: together, and on a retry the very same. */
static void test_as_received(void **state)
{
    (void)state;
    struct world w = {.route_extra = ", one_per_post: false"};
    int status = 503;
    open_world(&w, 1);
    tool_set(&w.tools[0], tool_status, &status);
    const struct message three[] = {{"31600000001", "wamid.a", "een", 0},
                                    {"31600000002", "wamid.b", "twee", 0},
                                    {"31600000001", "wamid.c", "drie", 0}};
    char *body = world_body(three, 3);
    assert_int_equal(world_post(&w, body), 200);
    free(body);
    while (tool_count(&w.tools[0]) < 1)
        world_sleep(5);
    assert_int_equal(world_send(&w, "31600000003", "wamid.d", "vier"), 200);
    tool_set(&w.tools[0], NULL, NULL);
    assert_true(tool_has(&w.tools[0], 2, 5000));
    const struct got *first = &w.tools[0].got[0];
    const struct got *again = NULL;
    for (unsigned i = 1; i < w.tools[0].count && !again; i++)
        if (w.tools[0].got[i].status == 200)
            again = &w.tools[0].got[i];
    assert_non_null(strstr(first->body, "een"));
    assert_non_null(strstr(first->body, "twee"));
    assert_non_null(strstr(first->body, "drie"));
    assert_string_equal(first->body, again->body);
    assert_string_equal(first->id, again->id);
    assert_true(again->attempt > first->attempt);
    close_world(&w);
}

/* More waits than fits in memory: read back from the journal, in order, none lost, none twice. */
static void test_behind(void **state)
{
    (void)state;
    struct world w = {.deliver_memory = 2000};
    int status = 503;
    open_world(&w, 1);
    tool_set(&w.tools[0], tool_status, &status);
    send_many(&w, 60, 4, 1);
    tool_set(&w.tools[0], NULL, NULL);
    assert_true(tool_has(&w.tools[0], 240, 30000));
    world_sleep(100);
    assert_int_equal(tool_accepted(&w.tools[0]), 240);
    check_order(&w.tools[0], 60, false);
    close_world(&w);
}

/* One conversation is stuck, its followers pass; a restart delivers what is left, once. */
static void test_restart(void **state)
{
    (void)state;
    for (unsigned gently = 0; gently < 2; gently++) {
        struct world w = {.routes = 0};
        open_world(&w, 1);
        tool_set(&w.tools[0], one_stuck, NULL);
        send_many(&w, 20, 5, 1);
        assert_true(tool_has(&w.tools[0], 95, 20000));
        world_down(&w, gently);
        world_up(&w);
        assert_true(tool_has(&w.tools[0], 95, 5000));
        tool_set(&w.tools[0], NULL, NULL);
        send_many(&w, 20, 1, 2);
        assert_true(tool_has(&w.tools[0], 120, 20000));
        world_sleep(300);
        if (gently) { /* after a kill a bounded number may come twice */
            assert_int_equal(tool_accepted(&w.tools[0]), 120);
            check_order(&w.tools[0], 20, false);
        }
        assert_true(world_until(none_waits, &w, 5000));
        close_world(&w);
    }
}

/* Parked behind a head that is stuck: a restart does not bring it back. */
static int stuck_and_bad(struct tool *t, const struct got *got, void *ctx)
{
    (void)t;
    (void)ctx;
    return strstr(got->body, "stuck") ? 503 : strstr(got->body, "bad") ? 400 : 200;
}

static void test_restart_parked(void **state)
{
    (void)state;
    struct world w = {.routes = 0};
    open_world(&w, 1);
    tool_set(&w.tools[0], stuck_and_bad, NULL);
    assert_int_equal(world_send(&w, "31600000001", "wamid.a", "stuck"), 200);
    assert_int_equal(world_send(&w, "31600000002", "wamid.b", "bad"), 200);
    assert_true(world_until(is_parked, &w, 5000));
    assert_true(parked_serial(&w, world_status(&w, 0).route) != 0);
    world_down(&w, false);
    tool_set(&w.tools[0], NULL, NULL);
    unsigned before = tool_count(&w.tools[0]);
    world_up(&w);
    assert_true(tool_has(&w.tools[0], 1, 5000));
    world_sleep(200);
    assert_int_equal(tool_count(&w.tools[0]), before + 1);
    assert_int_equal(world_status(&w, 0).parked, 1);
    close_world(&w);
}

static void test_reload(void **state)
{
    (void)state;
    struct world w = {.routes = 0};
    int status = 503;
    open_world(&w, 2);
    tool_set(&w.tools[1], tool_status, &status);
    send_many(&w, 3, 2, 1);
    world_reload(&w); /* nothing new: nothing happens */
    w.routes = 1;     /* the second route goes; what waits for it stays */
    world_reload(&w);
    send_many(&w, 3, 1, 2);
    assert_true(tool_has(&w.tools[0], 9, 5000));
    tool_set(&w.tools[1], NULL, NULL);
    world_sleep(200);
    assert_int_equal(tool_accepted(&w.tools[1]), 0);
    w.routes = 2;
    world_reload(&w);
    assert_true(
        tool_has(&w.tools[1], 6, 5000)); /* what was accepted while it was gone was not for it */
    world_sleep(100);
    assert_int_equal(tool_accepted(&w.tools[1]), 6);
    check_order(&w.tools[1], 3, false);
    close_world(&w);
}

static int put_waiting(struct store_txn *txn, void *ctx)
{
    const struct store_pending row = {
        .route = *(uint16_t *)ctx, .serial = 999999, .state = STORE_PENDING_WAITING, .attempts = 7};
    store_put_pending(txn, &row);
    return store_txn_error(txn);
}
static int count_expired(void *ctx, const struct store_pending *p)
{
    *(unsigned *)ctx += p->serial == 999999 && p->state == STORE_PENDING_EXPIRED;
    return 0;
}

static bool one_expired(void *ctx)
{
    return world_status(ctx, 0).expired == 1;
}

/* Its journal block was purged while it waited: it ends as expired, once, in sight. */
static void test_lost(void **state)
{
    (void)state;
    struct world w = {.routes = 0};
    struct store_read *read;
    open_world(&w, 1);
    uint16_t route = world_status(&w, 0).route;
    assert_int_equal(test_run(w.store, put_waiting, &route), 0);
    for (unsigned i = 0; i < 2; i++) {
        unsigned rows = 0;
        world_down(&w, true);
        world_up(&w);
        for (unsigned k = 0; k < 3000 && rows == 0; k++) { /* the flush */
            world_sleep(20);
            assert_int_equal(store_read_begin(w.store, &read), 0);
            assert_int_equal(store_each_pending(read, route, 0, count_expired, &rows), 0);
            store_read_end(read);
        }
        assert_int_equal(rows, 1);
        assert_true(world_until(one_expired, &w, 5000));
    }
    close_world(&w);
}

/* The policy becomes stricter while messages wait, in memory or on disk: they go out by the new
 * one, and keep what the old one found. */
#define POLICY_WITH(detectors)                                                                     \
    "policy: 1\nname: p\nactivity: proef\n" detectors                                              \
    "profiles: {w: {default: redact, phone: keep}}\n"                                              \
    "originals: [{keep: 24h, ground: AVG 6.1.e}]\nhistory: [{keep: 1y, ground: AVG 6.1.e}]\n"      \
    "routes: {r0: {profile: w}, r1: {profile: w}, r2: {profile: w}}\n"

/* The only conversation's attempts come one after the other: what the second from now has is of
 * now. */
static void past_attempts(struct world *w)
{
    unsigned begun = tool_count(&w->tools[0]);
    for (unsigned i = 0; tool_count(&w->tools[0]) < begun + 2 && i < 6000; i++)
        world_sleep(10);
    assert_true(tool_count(&w->tools[0]) >= begun + 2);
}

static void test_stricter(void **state)
{
    (void)state;
    for (unsigned restart = 0; restart < 2; restart++) {
        struct world w = {.policy = POLICY_WITH("detect: {bsn: {from: 1}}\n")};
        int status = 503;
        open_world(&w, 1);
        tool_set(&w.tools[0], tool_status, &status);
        assert_int_equal(
            world_send(&w, "31600000001", "wamid.a", "mijn bsn: 123456782 en NL91ABNA0417164300"),
            200);
        for (unsigned i = 0; tool_count(&w.tools[0]) == 0 && i < 6000; i++)
            world_sleep(10); /* it was tried once, by the policy of then */
        assert_true(tool_saw(&w.tools[0], "123456782"));
        if (restart)
            world_down(&w, true);
        w.policy = POLICY_WITH("detect: {bsn: {from: 0.5}, iban: off}\n");
        if (restart)
            world_up(&w);
        else
            world_reload(&w);
        if (!restart)
            past_attempts(&w); /* under way with the old body */
        unsigned before = tool_count(&w.tools[0]);
        tool_set(&w.tools[0], NULL, NULL);
        assert_true(tool_has(&w.tools[0], 1, 5000));
        pthread_mutex_lock(&w.tools[0].lock);
        for (unsigned i = before; i < w.tools[0].count; i++) {
            assert_null(strstr(w.tools[0].got[i].body, "123456782"));
            assert_null(strstr(w.tools[0].got[i].body, "NL91ABNA"));
            assert_non_null(strstr(w.tools[0].got[i].body, "[BSN]"));
        }
        pthread_mutex_unlock(&w.tools[0].lock);
        close_world(&w);
    }
}

/* The customer takes a message back while it waits: nothing of it is delivered, but
 * that it was taken back. */
static void test_revoke_waiting(void **state)
{
    (void)state;
    struct world w = {.routes = 0};
    int status = 503;
    open_world(&w, 1);
    tool_set(&w.tools[0], tool_status, &status);
    assert_int_equal(world_send(&w, "31600000001", "wamid.a", "mijn IBAN is NL91ABNA0417164300"),
                     200);
    char body[1024];
    snprintf(body, sizeof(body),
             "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"102290129340398\","
             "\"changes\":[{\"field\":\"messages\",\"value\":{\"messaging_product\":\"whatsapp\","
             "\"metadata\":{\"phone_number_id\":\"" WORLD_NUMBER "\"},\"messages\":[{\"from\":"
             "\"31600000001\",\"id\":\"wamid.r\",\"timestamp\":\"%lld\",\"type\":\"revoke\","
             "\"revoke\":{\"original_message_id\":\"wamid.a\"}}]}}]}]}",
             (long long)time(NULL));
    assert_int_equal(world_post(&w, body), 200);
    past_attempts(&w);
    unsigned before = tool_count(&w.tools[0]);
    tool_set(&w.tools[0], NULL, NULL);
    assert_true(tool_has(&w.tools[0], 2, 5000));
    assert_true(before < tool_count(&w.tools[0]));
    assert_true(tool_saw(&w.tools[0], MASK_WITHDRAWN_TEXT));
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),          cmocka_unit_test(test_dead_route),
        cmocka_unit_test(test_pause),          cmocka_unit_test(test_park),
        cmocka_unit_test(test_drop),           cmocka_unit_test(test_gap),
        cmocka_unit_test(test_probe),          cmocka_unit_test(test_stop_few),
        cmocka_unit_test(test_retry_after),    cmocka_unit_test(test_as_received),
        cmocka_unit_test(test_behind),         cmocka_unit_test(test_restart),
        cmocka_unit_test(test_restart_parked), cmocka_unit_test(test_reload),
        cmocka_unit_test(test_revoke_waiting), cmocka_unit_test(test_stricter),
        cmocka_unit_test(test_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

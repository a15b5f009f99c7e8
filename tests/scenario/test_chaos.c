/*
 * Conservation: whatever tools do and however often the gateway dies, every accepted message is
 * delivered, parked, expired or dropped in the end, for each route; nothing is delivered before
 * its predecessor of the same conversation was settled. CHAOS_SEED and CHAOS_ROUNDS make it
 * another or a longer run.
 */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define CONVERSATIONS 20u
#define ROUTES 2u
#define MESSAGES_MAX 20000u

struct chaos {
    unsigned seed;
    _Atomic bool calm;
};

static unsigned dice(struct chaos *c, unsigned sides)
{
    c->seed = c->seed * 1664525u + 1013904223u;
    return (c->seed >> 10) % sides;
}

/* Under the tool's lock. Messages with "bad" are refused for good; all else fails for a while. */
static int decide(struct tool *t, const struct got *got, void *ctx)
{
    static const int statuses[] = {500, 503, 429, 404, 401, 0, 0, 408, 302, 425};
    struct chaos *c = ctx;
    (void)t;
    if (strstr(got->body, "bad"))
        return 422;
    if (c->calm || dice(c, 100) < 70)
        return 200;
    return statuses[dice(c, 10)];
}

static unsigned number_of(const char *text)
{
    const char *at = strstr(text, "nr");
    return at ? (unsigned)strtoul(at + 2, NULL, 10) : 0;
}

static int count_parked(void *ctx, const struct store_pending *p)
{
    ++((unsigned *)ctx)[p->state];
    return 0;
}

static void check_route(struct world *w, unsigned route, unsigned sent, unsigned bad,
                        unsigned dropped)
{
    struct tool *t = &w->tools[route];
    bool *seen = calloc(MESSAGES_MAX, 1);
    unsigned highest[CONVERSATIONS] = {0}, distinct = 0, wrong = 0;
    assert_non_null(seen);
    for (unsigned i = 0; i < t->count; i++) {
        if (t->got[i].status != 200)
            continue;
        unsigned number = number_of(t->got[i].body), c = number % CONVERSATIONS;
        assert_true(number > 0 && number <= sent);
        /* the first delivery of each is in order; a repetition may come after a kill */
        if (!seen[number]) {
            wrong += number < highest[c];
            highest[c] = number > highest[c] ? number : highest[c];
            distinct++;
        }
        seen[number] = true;
    }
    struct store_read *read;
    unsigned states[8] = {0};
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(
        store_each_pending(read, world_status(w, route).route, 0, count_parked, states), 0);
    store_read_end(read);
    assert_int_equal(wrong, 0);
    assert_int_equal(states[STORE_PENDING_WAITING], 0);
    assert_int_equal(states[STORE_PENDING_EXPIRED], 0);
    assert_int_equal(states[STORE_PENDING_PARKED] + dropped, bad);
    assert_int_equal(distinct + bad, sent);
    free(seen);
}

static bool all_settled(void *ctx)
{
    for (unsigned i = 0; i < ROUTES; i++) {
        struct deliver_route_status s = world_status(ctx, i);
        if (s.waiting || s.in_flight || s.cursor < s.newest)
            return false;
    }
    return true;
}

static int first_parked(void *ctx, const struct store_pending *p)
{
    if (p->state == STORE_PENDING_PARKED)
        *(uint64_t *)ctx = p->serial;
    return p->state == STORE_PENDING_PARKED;
}

static unsigned drop_one(struct world *w)
{
    struct store_read *read;
    uint64_t serial = 0;
    uint16_t route = world_status(w, 0).route;
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_each_pending(read, route, 0, first_parked, &serial), 0);
    store_read_end(read);
    unsigned dropped = serial && deliver_drop(w->deliver, route, serial) == 0;
    world_sleep(100); /* written with the outcomes, a moment later */
    return dropped;
}

static void test_chaos(void **state)
{
    (void)state;
    const char *seed = getenv("CHAOS_SEED"), *wanted = getenv("CHAOS_ROUNDS");
    struct chaos c = {.seed = seed ? (unsigned)strtoul(seed, NULL, 10) : 20261121};
    unsigned rounds = wanted ? (unsigned)strtoul(wanted, NULL, 10) : 6;
    struct world w = {.routes = ROUTES, .loop_count = 2, .deliver_memory = 20000};
    struct chaos tools[ROUTES] = {{.seed = c.seed + 1}, {.seed = c.seed + 2}};
    unsigned sent = 0, bad = 0, dropped = 0;
    world_make(&w);
    world_up(&w);
    for (unsigned i = 0; i < ROUTES; i++)
        tool_set(&w.tools[i], decide, &tools[i]);
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < 100 && sent < MESSAGES_MAX - 1; i++) {
            char from[32], id[32], text[64];
            bool is_bad = dice(&c, 40) == 0;
            sent++;
            bad += is_bad;
            snprintf(from, sizeof(from), "316000%05u", sent % CONVERSATIONS);
            snprintf(id, sizeof(id), "wamid.%u", sent);
            snprintf(text, sizeof(text), "%s nr%u", is_bad ? "bad" : "good", sent);
            assert_int_equal(world_send(&w, from, id, text), 200);
        }
        world_sleep((int)dice(&c, 300));
        if (round % 2 == 0)
            dropped += drop_one(&w);
        if (dice(&c, 3) == 0) {
            world_reload(&w);
        } else {
            world_down(&w, dice(&c, 2));
            world_up(&w);
        }
    }
    tools[0].calm = tools[1].calm = true;
    for (unsigned i = 0; i < 600 && !all_settled(&w); i++) {
        for (unsigned k = 0; k < ROUTES; k++)
            assert_int_equal(deliver_retry(w.deliver, world_status(&w, k).route, 0), 0);
        world_sleep(100);
    }
    assert_true(all_settled(&w));
    world_down(&w, true);
    world_up(&w);
    assert_true(world_until(all_settled, &w, 5000));
    print_message("%u sent, %u refused, %u dropped\n", sent, bad, dropped);
    check_route(&w, 0, sent, bad, dropped);
    check_route(&w, 1, sent, bad, 0);
    world_down(&w, true);
    world_remove(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chaos)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Who is told of what was erased or has expired, and what the certificate says of it. */
#include "help.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../store/support.h"
#include "sluis/base/clock.h"

#define ANNA "31612345678"
#define MESSAGES (RETENTION_TOLD_MAX + 5) /* two items */

static void open_told(struct world *w, unsigned told)
{
    uint16_t id;
    world_open_with(w, false);
    assert_int_equal(store_name_id(w->store, STORE_NAME_ROUTE, SPAN("burgerzaken/webcare"), &id),
                     0);
    assert_int_equal(id, 1);
    w->told = told;
    w->routes = 2;
    world_restart(w);
}

static char *erase(struct world *w, const char *identifier, bool dry)
{
    static char text[32768];
    struct buffer out;
    buffer_init(&out, sizeof(text) - 1);
    assert_int_equal(purge_person_erase(w->purge, span_str(identifier), dry, &out), 0);
    memcpy(text, out.p, out.n);
    text[out.n] = '\0';
    buffer_free(&out);
    return text;
}

static char *certificate(struct world *w, uint64_t number, int want)
{
    static char text[32768];
    struct buffer out;
    buffer_init(&out, sizeof(text) - 1);
    assert_int_equal(purge_certificate(w->purge, number, &out), want);
    memcpy(text, out.p ? out.p : "", out.n);
    text[out.n] = '\0';
    buffer_free(&out);
    return text;
}

static int take_told_row(void *ctx, struct span key, struct span value)
{
    (void)value;
    *(unsigned *)ctx += key.n == RETENTION_TOLD_KEY;
    return 0;
}

static unsigned told_rows(struct world *w)
{
    struct store_read *read;
    unsigned n = 0;
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_each_row(read, STORE_TABLE_SUBJECT, SPAN("T"), take_told_row, &n), 0);
    store_read_end(read);
    return n;
}

struct seen {
    struct world *w;
    unsigned items, messages;
    uint64_t event, serials[4];
    uint32_t first;
};

static int take_item(void *ctx, const struct store_item *item)
{
    struct seen *s = ctx;
    struct store_read *read;
    uint32_t list[RETENTION_TOLD_MAX];
    unsigned n;
    if (!(item->flags & STORE_ITEM_TOLD))
        return 0;
    assert_int_equal(item->subject, 0);
    assert_int_equal(item->route_count, 1);
    assert_int_equal(item->routes[0], 1); /* and not the other */
    assert_int_equal(store_read_begin(s->w->store, &read), 0);
    assert_int_equal(retention_told_messages(read, item->batch, item->serial, list, &n), 0);
    store_read_end(read);
    s->event = item->batch;
    s->messages += n;
    s->first = s->items ? s->first : list[0];
    if (s->items < 4)
        s->serials[s->items] = item->serial;
    s->items++;
    return 0;
}

static struct seen look(struct world *w)
{
    struct seen s = {.w = w};
    struct store_read *read;
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_each_item(read, 1, take_item, &s), 0);
    store_read_end(read);
    return s;
}

static int run_settle(struct store_txn *txn, void *ctx)
{
    retention_told_settle(txn, ctx);
    return store_txn_error(txn);
}

static void settle(struct world *w, uint64_t event, uint64_t serial, uint8_t outcome,
                   uint16_t status)
{
    struct retention_told told = {.event = event,
                                  .serial = serial,
                                  .route = 1,
                                  .outcome = outcome,
                                  .status = status,
                                  .settled_ms = 1790000000000};
    assert_int_equal(test_run(w->store, run_settle, &told), 0);
}

static void test_erased(void **state)
{
    (void)state;
    struct world w;
    struct message first, m;
    open_told(&w, PURGE_TELL_ERASED);
    message_put(&w, 10, ANNA, clock_wall_ms(), &first);
    for (unsigned i = 1; i < MESSAGES; i++)
        message_put(&w, 10, NULL, clock_wall_ms(), &m);
    message_put(&w, 11, "31687654321", clock_wall_ms(), &m); /* somebody else's: not told */
    char *dry = erase(&w, ANNA, true);
    assert_non_null(strstr(dry, "\"messages\":485,\"route\":\"burgerzaken/webcare\","
                                "\"state\":\"to_be_told\""));
    assert_int_equal(look(&w).items, 0);
    char *text = erase(&w, ANNA, false);
    assert_non_null(strstr(text, "\"messages\":485,\"route\":\"burgerzaken/webcare\","
                                 "\"state\":\"pending\""));
    const char *number = strstr(text, "\"number\":");
    assert_non_null(number);
    struct seen s = look(&w);
    assert_int_equal(s.items, 2);
    assert_int_equal(w.offers, 2);
    assert_int_equal(s.messages, MESSAGES);
    assert_int_equal(s.first, first.item.serial);
    assert_int_equal(s.event, strtoull(number + 9, NULL, 10));
    /* answers come; the worst one counts until all are well */
    world_restart(&w);
    settle(&w, s.event, s.serials[0], RETENTION_TOLD_DELIVERED, 200);
    assert_non_null(strstr(certificate(&w, s.event, 0), "\"state\":\"pending\""));
    settle(&w, s.event, s.serials[1], RETENTION_TOLD_PARKED, 422);
    text = certificate(&w, s.event, 0);
    assert_non_null(strstr(text, "\"state\":\"refused\",\"status\":422"));
    settle(&w, s.event, s.serials[1], RETENTION_TOLD_DELIVERED, 202);
    text = certificate(&w, s.event, 0);
    assert_non_null(strstr(text, "\"at\":\"2026-09-21T"));
    assert_non_null(strstr(text, "\"state\":\"delivered\",\"status\":200"));
    assert_non_null(strstr(text, "\"signature\":"));
    (void)certificate(&w, s.event + 1, SLUIS_ENOENT);
    /* kept for five years, and not for ever: both ends of it */
    world_shift(&w, (PURGE_CERTIFICATE_DAYS - 1) * 24ll * HOUR_MS);
    assert_int_equal(purge_clock_accept(w.purge), 0);
    assert_int_equal(purge_sweep(w.purge), 0);
    assert_non_null(strstr(certificate(&w, s.event, 0), "\"state\":\"delivered\""));
    assert_int_equal(told_rows(&w), 4);
    world_shift(&w, 3 * 24ll * HOUR_MS);
    assert_int_equal(purge_clock_accept(w.purge), 0);
    assert_int_equal(purge_sweep(w.purge), 0);
    (void)certificate(&w, s.event, SLUIS_ENOENT);
    assert_int_equal(told_rows(&w), 0);
    world_close(&w);
}

static void test_nobody_wants_it(void **state)
{
    (void)state;
    struct world w;
    struct message m;
    open_told(&w, PURGE_TELL_EXPIRED);
    message_put(&w, 10, ANNA, clock_wall_ms(), &m);
    assert_non_null(strstr(erase(&w, ANNA, false), "\"told\":[]"));
    assert_int_equal(look(&w).items, 0);
    world_close(&w);
}

/* Expiry: when the last part has gone, once, before the rows are swept. */
static void test_expired(void **state)
{
    (void)state;
    struct world w;
    struct message a, b, c;
    open_told(&w, PURGE_TELL_EXPIRED);
    int64_t now = clock_wall_ms();
    message_put(&w, 10, ANNA, now, &a);
    message_put(&w, 11, "31687654321", now, &b);
    assert_int_equal(purge_start(w.purge), 0);
    for (unsigned round = 0; round < 2; round++) { /* originals go first: not told yet */
        world_shift(&w, round ? 3 * HOUR_MS : 3 * HOUR_MS);
        char out[4096];
        assert_int_equal(run_purge(&w, false, out), 0);
        for (unsigned i = 0; i < 6000 && message_open(&w, round ? &a.m : &a.o) != SLUIS_ENOENT; i++)
            (void)usleep(10 * 1000);
        assert_int_equal(message_open(&w, round ? &a.m : &a.o), SLUIS_ENOENT);
        assert_int_equal(look(&w).messages, round ? 2 : 0);
    }
    struct seen s = look(&w);
    assert_int_equal(s.items, 1);
    assert_true(s.event & RETENTION_TOLD_EXPIRED);
    message_put(&w, 12, NULL, clock_wall_ms(), &c);
    purge_stop(w.purge);
    world_restart(&w);
    assert_int_equal(purge_start(w.purge), 0);
    (void)usleep(300 * 1000);
    purge_stop(w.purge);
    assert_int_equal(look(&w).messages, 2); /* the living one is not told, the others not again */
    settle(&w, s.event, s.serials[0], RETENTION_TOLD_DELIVERED, 200);
    world_close(&w);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_erased),
        cmocka_unit_test(test_nobody_wants_it),
        cmocka_unit_test(test_expired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

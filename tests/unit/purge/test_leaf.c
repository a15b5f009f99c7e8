/*
 * Leaves that messages stood under before they were sealed anew: what hangs under them (pictures,
 * notes) is moved before they go, and while it cannot be, they stay.
 */
#include "help.h"

#include "../store/support.h"
#include "sluis/base/clock.h"

#define ANNA "31612345678"
#define BERT "31687654321"

static int setup(void **state)
{
    static struct world w;
    world_open(&w);
    w.flags = STORE_ITEM_HAS_MEDIA;
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world_close(*state);
    return 0;
}

/* A message goes from one leaf to another, as remask_run writes it. */
struct step {
    const struct message *message;
    uint64_t leaf; /* it stood there */
    struct record_id to;
    struct buffer sealed;
};

static int run_step(struct store_txn *txn, void *ctx)
{
    const struct step *s = ctx;
    const struct store_item *item = &s->message->item;
    const struct retention_moved moved = {
        .serial = s->to.serial, .cls_m = s->to.cls, .bucket_m = s->to.bucket};
    purge_leaf_put(txn, item->serial, item->serial, item->subject);
    purge_leaf_put(txn, s->leaf, item->serial, item->subject);
    store_put_record(txn, &s->to, buffer_span(&s->sealed));
    retention_moved_put(txn, item->serial, &moved);
    return store_txn_error(txn);
}

static struct record_id seal_anew(struct world *w, const struct message *message, uint64_t leaf)
{
    struct step s = {.message = message, .leaf = leaf, .to = message->m};
    s.to.serial = store_next_serial(w->store);
    buffer_init(&s.sealed, STORE_RECORD_MAX);
    assert_int_equal(record_seal(w->cache, 0, &s.to, 0, SPAN("masked more"), &s.sealed), 0);
    assert_int_equal(test_run(w->store, run_step, &s), 0);
    buffer_free(&s.sealed);
    return s.to;
}

static void test_not_moved(void **state)
{
    struct world *w = *state;
    struct message a, b;
    message_put(w, 10, ANNA, clock_wall_ms(), &a);
    w->flags = 0; /* no picture */
    message_put(w, 11, BERT, clock_wall_ms(), &b);
    const struct record_id a1 = seal_anew(w, &a, a.item.serial);
    (void)seal_anew(w, &b, b.item.serial);
    w->keep_fault = SLUIS_EFULL;
    assert_int_equal(purge_revoke(w->purge), SLUIS_EFULL);
    assert_int_equal(message_open(w, &a.o), 0);              /* its picture would be lost */
    assert_int_equal(message_open(w, &b.o), SLUIS_EEXPIRED); /* nobody else's waits with it */
    /* moved on meanwhile: the picture may hang under either by now */
    const struct record_id a2 = seal_anew(w, &a, a1.serial);
    assert_int_equal(purge_revoke(w->purge), SLUIS_EFULL);
    assert_int_equal(message_open(w, &a.o), 0);
    assert_int_equal(message_open(w, &a1), 0);
    world_restart(w);
    w->keep_fault = 0;
    assert_int_equal(purge_revoke(w->purge), 0);
    assert_int_equal(message_open(w, &a.o), SLUIS_EEXPIRED);
    assert_int_equal(message_open(w, &a1), SLUIS_EEXPIRED);
    assert_int_equal(message_open(w, &a2), 0);
    assert_int_equal(w->kept, a.item.serial);
    assert_int_equal(w->kept_to.serial, a2.serial);
}

/* Sealed anew once more after what hung under it went along: from a leaf that is no message's. */
static void test_moved_twice(void **state)
{
    struct world *w = *state;
    struct message a;
    message_put(w, 10, ANNA, clock_wall_ms(), &a);
    const struct record_id a1 = seal_anew(w, &a, a.item.serial);
    assert_int_equal(purge_revoke(w->purge), 0);
    assert_int_equal(w->keeps, 1);
    assert_int_equal(w->kept_to.serial, a1.serial);
    const struct record_id a2 = seal_anew(w, &a, a1.serial);
    w->keeps = 0;
    assert_int_equal(purge_revoke(w->purge), 0);
    assert_int_equal(w->keeps, 2); /* for each of the two leaves, by the message's own serial */
    assert_int_equal(w->kept, a.item.serial);
    assert_int_equal(w->kept_to.serial, a2.serial);
    assert_int_equal(message_open(w, &a1), SLUIS_EEXPIRED);
    assert_int_equal(message_open(w, &a2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_not_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moved_twice, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

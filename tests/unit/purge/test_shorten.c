/* A policy that keeps shorter, applied to what is stored: counted first, never of itself, never
 * longer; what was sealed under the old class can be opened by nobody, from no copy. */
#include "help.h"

#include <stdlib.h>

#include "../store/support.h"
#include "sluis/base/clock.h"

static int setup(void **state)
{
    static struct world w;
    world_open_with(&w, false); /* originals 2h, history 4h, both maximum */
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world_close(*state);
    return 0;
}

static void apply(struct world *w, bool dry, char out[4096])
{
    struct buffer text;
    buffer_init(&text, 4095);
    assert_int_equal(purge_apply_policy(w->purge, dry, &text), 0);
    memcpy(out, text.p, text.n);
    out[text.n] = '\0';
    buffer_free(&text);
}

/* What a copy of the sealed bytes opens to: a backup of the data. */
struct copy {
    struct record_id id;
    char bytes[8192];
    size_t n;
};
static void copy_of(struct world *w, const struct record_id *id, struct copy *out)
{
    struct store_read *read;
    struct arena arena;
    struct span sealed;
    arena_init(&arena, 1 << 20);
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_get_record(read, id, &arena, &sealed), 0);
    assert_true(sealed.n <= sizeof(out->bytes));
    memcpy(out->bytes, sealed.p, sealed.n);
    out->n = sealed.n;
    out->id = *id;
    store_read_end(read);
    arena_free(&arena);
}
static int open_copy(struct world *w, const struct copy *copy)
{
    struct buffer plain;
    buffer_init(&plain, 1 << 20);
    int r = record_open(w->cache, 0, &copy->id, span_of(copy->bytes, copy->n), &plain);
    buffer_free(&plain);
    return r;
}

/* Where the part is now, opened: its text must be the message's. SLUIS_ENOENT: nowhere. */
static int open_now(struct world *w, const struct message *m, uint8_t part, struct record_id *id)
{
    struct store_read *read;
    struct arena arena;
    struct buffer plain;
    struct span sealed;
    arena_init(&arena, 1 << 20);
    buffer_init(&plain, 1 << 20);
    assert_int_equal(store_read_begin(w->store, &read), 0);
    int r = retention_part(read, &m->item, part, id);
    if (r == 0)
        r = store_get_record(read, id, &arena, &sealed);
    if (r == 0)
        r = record_open(w->cache, 0, id, sealed, &plain);
    store_read_end(read);
    if (r == 0)
        assert_non_null(memmem(plain.p, plain.n, m->text, strlen(m->text)));
    buffer_free(&plain);
    arena_free(&arena);
    return r;
}

struct lines {
    unsigned n;
    char last[4096];
};
static int take_line(void *ctx, struct span line)
{
    struct lines *l = ctx;
    l->n++;
    memcpy(l->last, line.p, line.n);
    l->last[line.n] = '\0';
    return 0;
}
static struct lines records(struct world *w)
{
    struct lines l = {0};
    assert_int_equal(purge_records(w->purge, 0, INT64_MAX, take_line, &l), 0);
    return l;
}

static void test_shorter(void **state)
{
    struct world *w = *state;
    struct message one, two;
    static struct copy o, m;
    struct record_id id;
    int64_t ends;
    char out[4096];
    message_put(w, 10, "31612345678", clock_wall_ms(), &one);
    message_put(w, 11, NULL, clock_wall_ms(), &two);
    copy_of(w, &one.o, &o);
    copy_of(w, &one.m, &m);
    /* the same policy: nothing to do, nothing on record */
    apply(w, false, out);
    assert_non_null(strstr(out, "\"messages\":0"));
    assert_non_null(strstr(out, "\"applying\":false"));

    world_policy(w, "2h", "3h");
    assert_int_equal(message_open(w, &one.m), 0); /* of itself nothing happens */
    assert_int_equal(purge_apply_now(w->purge), 0);
    assert_int_equal(message_open(w, &one.m), 0);
    apply(w, true, out);
    assert_non_null(strstr(out, "\"from\":\"history/14400/max/hour\",\"to\":\"history/10800/max/"
                                "hour\",\"messages\":2"));
    assert_int_equal(message_open(w, &one.m), 0); /* counted only */
    apply(w, false, out);
    assert_non_null(strstr(out, "\"applying\":true"));
    assert_int_equal(purge_apply_now(w->purge), 0);
    assert_int_equal(open_now(w, &one, 'O', &id), 0);
    assert_int_equal(id.cls, one.o.cls); /* as long as before, under another serial */
    assert_int_equal(id.bucket, one.o.bucket);
    assert_int_equal(open_now(w, &one, 'M', &id), 0);
    assert_int_not_equal(id.cls, one.m.cls);
    assert_int_equal(retention_bucket_end(w->store, id.cls, id.bucket, &ends), 0);
    assert_true(ends <= one.item.at_ms + 3 * HOUR_MS);
    /* the old class's key still stands: a backup opened with it must give nothing all the same */
    assert_int_equal(open_copy(w, &o), SLUIS_EEXPIRED);
    assert_int_equal(open_copy(w, &m), SLUIS_EEXPIRED);
    struct lines l = records(w);
    assert_int_equal(l.n, 1);
    assert_non_null(strstr(l.last, "\"reason\":\"shortened\""));
    assert_non_null(strstr(l.last, "\"class\":\"history/14400/max/hour\""));
    assert_non_null(strstr(l.last, "\"messages\":2"));
    assert_non_null(strstr(l.last, "\"subjects\":2"));
    /* again: done already */
    apply(w, true, out);
    assert_non_null(strstr(out, "\"messages\":0"));
    /* and what was sealed anew ends with its new term */
    world_shift(w, 3 * HOUR_MS);
    assert_int_equal(run_purge(w, false, out), 0);
    assert_int_equal(open_now(w, &one, 'M', &id), SLUIS_EEXPIRED);
    assert_int_equal(purge_sweep(w->purge), 0);
    assert_false(identifier_known(w, "31612345678", &(uint64_t){0})); /* nothing left of them */
}

/* A rule that asks for consent: only who gave it keeps the longer term. */
static void test_consent(void **state)
{
    struct world *w = *state;
    struct message one, two;
    struct record_id id;
    char out[4096];
    message_put(w, 10, NULL, clock_wall_ms(), &one);
    message_put(w, 11, NULL, clock_wall_ms(), &two);
    w->consenting = 10;
    world_policy(w, "2h", "4h, consent: given}\n  - {keep: never");
    apply(w, false, out);
    assert_non_null(strstr(out, "\"messages\":1"));
    assert_int_equal(purge_apply_now(w->purge), 0);
    assert_int_equal(open_now(w, &one, 'M', &id), 0);
    assert_int_equal(open_now(w, &two, 'M', &id), SLUIS_ENOENT);
    assert_int_equal(open_now(w, &two, 'O', &id), 0);
}

static void test_longer(void **state)
{
    struct world *w = *state;
    struct message one;
    char out[4096];
    message_put(w, 10, NULL, clock_wall_ms(), &one);
    world_policy(w, "30d", "2y");
    apply(w, false, out);
    assert_non_null(strstr(out, "\"messages\":0"));
    assert_non_null(strstr(out, "\"longer\":2"));
    assert_int_equal(purge_apply_now(w->purge), 0);
    assert_int_equal(message_open(w, &one.o), 0);
    world_shift(w, 5 * HOUR_MS); /* the terms of the day it was stored */
    assert_int_equal(run_purge(w, false, out), 0);
    assert_int_equal(message_open(w, &one.m), SLUIS_EEXPIRED);
}

static void test_never(void **state)
{
    struct world *w = *state;
    struct message one;
    static struct copy o, m;
    struct record_id id;
    struct store_item item;
    struct store_read *read;
    char out[4096];
    message_put(w, 10, "31612345678", clock_wall_ms(), &one);
    copy_of(w, &one.o, &o);
    copy_of(w, &one.m, &m);
    world_policy(w, "never", "never");
    apply(w, true, out);
    assert_non_null(strstr(out, "\"to\":\"\""));
    assert_int_equal(message_open(w, &one.o), 0);
    apply(w, false, out);
    world_restart(w); /* what was asked for stands in the store */
    assert_int_equal(purge_apply_now(w->purge), 0);
    assert_int_equal(open_now(w, &one, 'O', &id), SLUIS_ENOENT);
    assert_int_equal(open_now(w, &one, 'M', &id), SLUIS_ENOENT);
    assert_int_equal(open_copy(w, &o), SLUIS_EEXPIRED);
    assert_int_equal(open_copy(w, &m), SLUIS_EEXPIRED);
    assert_int_equal(records(w).n, 2); /* a class each */
    /* nothing is left of the person: nor of the conversation */
    struct message last;
    world_policy(w, "2h", "4h");
    message_put(w, 11, NULL, clock_wall_ms(), &last);
    assert_int_equal(purge_sweep(w->purge), 0);
    assert_false(identifier_known(w, "31612345678", &(uint64_t){0}));
    assert_int_equal(store_read_begin(w->store, &read), 0);
    assert_int_equal(store_get_item(read, one.item.serial, &item), SLUIS_ENOENT);
    store_read_end(read);
}

/* The person is held: nothing is destroyed; and a channel without a policy keeps its terms. */
static void test_held(void **state)
{
    struct world *w = *state;
    struct message one;
    char out[4096];
    message_put(w, 10, "31612345678", clock_wall_ms(), &one);
    assert_int_equal(purge_person_hold(w->purge, SPAN("31612345678"), SPAN("zaak"), SPAN("fg"), 0),
                     0);
    world_policy(w, "never", "never");
    apply(w, false, out);
    assert_non_null(strstr(out, "\"held\":1"));
    assert_int_equal(purge_apply_now(w->purge), 0);
    assert_int_equal(message_open(w, &one.o), 0);
    assert_int_equal(purge_person_release(w->purge, SPAN("31612345678")), 0);
    apply(w, false, out);
    assert_int_equal(purge_apply_now(w->purge), 0);
    assert_int_not_equal(message_open(w, &one.o), 0);
}

static int run_revoke(struct store_txn *txn, void *ctx)
{
    purge_revoke_put(txn, *(uint64_t *)ctx);
    return store_txn_error(txn);
}

/* Taken back, and its person erased, after it was sealed anew: what stands under the new serial
 * goes as well. */
static void test_then_erased(void **state)
{
    struct world *w = *state;
    struct message one, two;
    static struct copy m;
    struct record_id id;
    struct buffer certificate;
    char out[4096];
    message_put(w, 10, "31612345678", clock_wall_ms(), &one);
    message_put(w, 10, NULL, clock_wall_ms(), &two);
    world_policy(w, "1h", "3h");
    apply(w, false, out);
    assert_int_equal(purge_apply_now(w->purge), 0);
    assert_int_equal(open_now(w, &one, 'M', &id), 0);
    copy_of(w, &id, &m);
    assert_int_equal(open_copy(w, &m), 0); /* control */
    assert_int_equal(test_run(w->store, run_revoke, &one.item.serial), 0);
    assert_int_equal(purge_revoke(w->purge), 0);
    assert_int_equal(open_copy(w, &m), SLUIS_EEXPIRED);

    assert_int_equal(open_now(w, &two, 'M', &id), 0);
    copy_of(w, &id, &m);
    buffer_init(&certificate, 1 << 16);
    assert_int_equal(purge_person_erase(w->purge, SPAN("31612345678"), false, &certificate), 0);
    assert_int_equal(open_copy(w, &m), SLUIS_EEXPIRED);
    buffer_free(&certificate);
}

/* Under the selection list the history must stay when its person is erased; kept shorter since, it
 * still must, where it is now. */
static void test_then_erased_in_part(void **state)
{
    struct world *w = *state;
    struct message one;
    struct record_id id, later;
    struct buffer certificate;
    char out[4096];
    message_put(w, 10, "31612345678", clock_wall_ms(), &one);
    world_policy(w, "1h", "2h, selection: \"Selectielijst 2020\"");
    apply(w, false, out);
    assert_int_equal(purge_apply_now(w->purge), 0);
    assert_int_equal(open_now(w, &one, 'M', &id), 0);
    buffer_init(&certificate, 1 << 16);
    assert_int_equal(purge_person_erase(w->purge, SPAN("31612345678"), false, &certificate), 0);
    assert_non_null(memmem(certificate.p, certificate.n, "\"in_part\":true", 14));
    assert_int_equal(open_now(w, &one, 'M', &later), 0);
    assert_int_not_equal(id.serial, later.serial);
    assert_int_not_equal(message_open(w, &id), 0);
    assert_int_equal(open_now(w, &one, 'O', &id), SLUIS_ENOENT);
    buffer_free(&certificate);
}

/* More than one slice, commit and change of the keyring. */
static void test_many(void **state)
{
    enum { N = 700 };
    struct world *w = *state;
    static struct message all[N];
    struct record_id id;
    char out[4096];
    int64_t now = clock_wall_ms();
    for (unsigned i = 0; i < N; i++)
        message_put(w, 10 + i % 70, NULL, now, &all[i]);
    world_policy(w, "1h", "3h");
    apply(w, false, out);
    assert_non_null(strstr(out, "\"messages\":700"));
    assert_int_equal(purge_apply_now(w->purge), 0);
    for (unsigned i = 0; i < N; i++) {
        assert_int_not_equal(message_open(w, &all[i].o), 0);
        assert_int_equal(open_now(w, &all[i], 'M', &id), 0);
    }
    struct lines l = records(w);
    assert_int_equal(l.n, 2);
    assert_non_null(strstr(l.last, "\"messages\":700"));
    assert_non_null(strstr(l.last, "\"subjects\":70"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shorter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_consent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_longer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_never, setup, teardown),
        cmocka_unit_test_setup_teardown(test_held, setup, teardown),
        cmocka_unit_test_setup_teardown(test_then_erased, setup, teardown),
        cmocka_unit_test_setup_teardown(test_then_erased_in_part, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

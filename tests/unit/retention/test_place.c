/* Classes and places, on the real store and a real policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../store/support.h"
#include "calendar.h"
#include "sluis/retention.h"

static const char policy_text[] = "policy: 1\n"
                                  "name: test\n"
                                  "activity: proef\n"
                                  "profiles:\n"
                                  "  webcare: {default: redact}\n"
                                  "originals:\n"
                                  "  - {found: [pan, secret], keep: never, ground: PCI}\n"
                                  "  - {found: bsn, keep: 24h, ground: Wabb}\n"
                                  "  - {keep: 7d, ground: AVG}\n"
                                  "history:\n"
                                  "  - {keep: 1y, ground: AVG}\n"
                                  "routes: {webcare: {profile: webcare}}\n";

struct fixture {
    char folder[256];
    struct store *store;
};

static int setup(void **state)
{
    static struct fixture f;
    test_folder(f.folder);
    f.store = test_store(f.folder);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    test_folder_remove(f->folder);
    return 0;
}

static void prepare(struct store *store)
{
    struct policy *policy;
    struct diag diag = {0};
    if (policy_load(span_str(policy_text), "test.yaml", &policy, &diag) != 0)
        fail_msg("%u:%u %s", diag.line, diag.column, diag.text);
    assert_int_equal(retention_prepare(store, policy), 0);
    policy_unref(policy);
}

/* Makes the class of a rule that no policy names, as a policy with that rule would. */
static void make_class(struct store *store, const char *name)
{
    uint16_t cls;
    assert_int_equal(store_name_id(store, STORE_NAME_CLASS, span_str(name), &cls), 0);
}

static void prepared_or_not(void **state)
{
    struct fixture *f = *state;
    struct retention_place place, again;
    const struct retention_rule day = {.keep_s = 86400}, two_days = {.keep_s = 2 * 86400};
    int64_t now = 1795300205123;
    assert_int_equal(retention_place(f->store, &day, RETENTION_ORIGINAL, now, now, &place),
                     SLUIS_ENOENT);
    prepare(f->store);
    assert_int_equal(retention_place(f->store, &day, RETENTION_ORIGINAL, now, now, &place), 0);
    assert_false(place.never || place.expired);
    assert_int_not_equal(place.cls, 0);
    /* the same class after a reload and after a restart; other parts have other classes */
    prepare(f->store);
    store_close(f->store);
    f->store = test_store(f->folder);
    assert_int_equal(retention_place(f->store, &day, RETENTION_ORIGINAL, now, now, &again), 0);
    assert_int_equal(place.cls, again.cls);
    assert_int_equal(retention_place(f->store, &two_days, RETENTION_ORIGINAL, now, now, &again),
                     SLUIS_ENOENT);
    assert_int_equal(retention_place(f->store, &day, RETENTION_HISTORY, now, now, &again),
                     SLUIS_ENOENT);
    const struct retention_rule quarantine = {.keep_s = RETENTION_QUARANTINE_KEEP_S};
    assert_int_equal(retention_place(f->store, &quarantine, RETENTION_QUARANTINE, now, now, &again),
                     0);
    assert_int_not_equal(place.cls, again.cls);
    const struct retention_rule never = {.never = true}, zero = {.keep_s = 0},
                                ages = {.keep_s = INT64_MAX / 1000};
    assert_int_equal(retention_place(f->store, &never, RETENTION_ORIGINAL, now, now, &again), 0);
    assert_true(again.never);
    assert_int_equal(again.cls, 0);
    assert_int_equal(retention_place(f->store, &zero, RETENTION_ORIGINAL, now, now, &again),
                     SLUIS_EINVAL);
    assert_int_equal(retention_place(f->store, &ages, RETENTION_ORIGINAL, now, now, &again),
                     SLUIS_EINVAL);
}

/* The promise itself: a maximum never ends late, a minimum never early, both by less than one
 * bucket; and retention_bucket_end says the same. */
static void rounding(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int64_t keep_s, width_ms;
        const char *width;
    } rules[] = {{3600, HOUR_MS, "hour"},
                 {86400, HOUR_MS, "hour"},
                 {31 * 86400, HOUR_MS, "hour"},
                 {31 * 86400 + 3600, DAY_MS, "day"},
                 {90 * 86400, DAY_MS, "day"},
                 {2 * 366 * 86400, DAY_MS, "day"},
                 {2 * 366 * 86400 + 86400, 31 * DAY_MS, "month"},
                 {365 * 86400, DAY_MS, "day"},
                 {5 * 365 * 86400, 31 * DAY_MS, "month"}};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        for (int minimum = 0; minimum < 2; minimum++) {
            char name[64];
            snprintf(name, sizeof(name), "history/%lld/%s/%s", (long long)rules[i].keep_s,
                     minimum ? "min" : "max", rules[i].width);
            make_class(f->store, name);
            const struct retention_rule rule = {.keep_s = rules[i].keep_s, .minimum = minimum};
            for (int64_t at = 1795300205123; at < 1795300205123 + 40 * DAY_MS;
                 at += HOUR_MS / 2 + 7919) {
                struct retention_place place;
                int64_t ends, wanted = at + rule.keep_s * 1000;
                assert_int_equal(
                    retention_place(f->store, &rule, RETENTION_HISTORY, at, at, &place), 0);
                if (minimum)
                    assert_true(place.ends_ms >= wanted &&
                                place.ends_ms - wanted < rules[i].width_ms);
                else
                    assert_true(place.ends_ms <= wanted &&
                                wanted - place.ends_ms < rules[i].width_ms);
                assert_int_equal(place.expired, place.ends_ms <= at);
                if (place.expired) /* only where keep is as short as a bucket */
                    continue;
                assert_int_equal(retention_bucket_end(f->store, place.cls, place.bucket, &ends), 0);
                assert_int_equal(ends, place.ends_ms);
            }
            /* exactly on a boundary both choose the same end */
            struct retention_place place;
            int64_t at =
                calendar_start(calendar_width(rule.keep_s),
                               calendar_bucket(calendar_width(rule.keep_s), 1795300205123)) -
                rule.keep_s * 1000;
            assert_int_equal(retention_place(f->store, &rule, RETENTION_HISTORY, at, at, &place),
                             0);
            assert_int_equal(place.ends_ms, at + rule.keep_s * 1000);
        }
    }
}

static void late_and_early(void **state)
{
    struct fixture *f = *state;
    struct retention_place place, now_place;
    const struct retention_rule day = {.keep_s = 86400};
    int64_t now = 1795300205123, ends;
    prepare(f->store);
    /* arrives already expired */
    assert_int_equal(
        retention_place(f->store, &day, RETENTION_ORIGINAL, now - 2 * DAY_MS, now, &place), 0);
    assert_true(place.expired);
    assert_int_equal(retention_place(f->store, &day, RETENTION_ORIGINAL, 0, now, &place), 0);
    assert_true(place.expired);
    assert_int_equal(retention_place(f->store, &day, RETENTION_ORIGINAL, -5, now, &place), 0);
    assert_true(place.expired);
    /* the last moment at which it is still stored */
    assert_int_equal(
        retention_place(f->store, &day, RETENTION_ORIGINAL, now - 20 * HOUR_MS, now, &place), 0);
    assert_false(place.expired);
    assert_int_equal(retention_place(f->store, &day, RETENTION_ORIGINAL, place.ends_ms - DAY_MS,
                                     place.ends_ms, &place),
                     0);
    assert_true(place.expired);
    /* a timestamp from the future does not keep longer */
    assert_int_equal(retention_place(f->store, &day, RETENTION_ORIGINAL, now, now, &now_place), 0);
    assert_int_equal(
        retention_place(f->store, &day, RETENTION_ORIGINAL, now + 90 * DAY_MS, now, &place), 0);
    assert_int_equal(place.ends_ms, now_place.ends_ms);
    assert_int_equal(retention_bucket_end(f->store, 999, 1, &ends), SLUIS_ENOENT);
}

static void held(void **state)
{
    struct fixture *f = *state;
    uint16_t cls, again;
    int64_t ends;
    uint32_t bucket;
    assert_int_equal(retention_hold_class(f->store, &cls), SLUIS_ENOENT);
    prepare(f->store);
    assert_int_equal(retention_hold_class(f->store, &cls), 0);
    assert_int_equal(retention_bucket_end(f->store, cls, 7, &ends), 0);
    assert_true(ends == INT64_MAX);
    assert_int_equal(retention_last_ended(f->store, cls, 1795300205123, &bucket), SLUIS_ENOENT);
    prepare(f->store);
    assert_int_equal(retention_hold_class(f->store, &again), 0);
    assert_int_equal(cls, again);
}

/* What has ended is what may be destroyed: the last ended bucket and the next stand either side. */
static void ended(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"history/3600/max/hour", "history/7776000/max/day",
                                        "history/157680000/min/month"};
    for (size_t i = 0; i < 3; i++) {
        uint16_t cls;
        assert_int_equal(store_name_id(f->store, STORE_NAME_CLASS, span_str(names[i]), &cls), 0);
        for (int64_t now = 1795300205123; now < 1795300205123 + 70 * DAY_MS; now += 3599999) {
            uint32_t bucket;
            int64_t ends, next;
            assert_int_equal(retention_last_ended(f->store, cls, now, &bucket), 0);
            assert_int_equal(retention_bucket_end(f->store, cls, bucket, &ends), 0);
            assert_int_equal(retention_bucket_end(f->store, cls, bucket + 1, &next), 0);
            assert_true(ends <= now && now < next);
        }
        uint32_t bucket;
        assert_int_equal(retention_last_ended(f->store, cls, 5, &bucket), SLUIS_ENOENT);
        assert_int_equal(retention_last_ended(f->store, cls, -5, &bucket), SLUIS_ENOENT);
    }
}

/* Hints are per thread and checked: another store with other numbers is not misread. */
static void other_store(void **state)
{
    struct fixture *f = *state;
    struct retention_place place, other_place;
    const struct retention_rule day = {.keep_s = 86400};
    int64_t now = 1795300205123;
    char folder[256];
    prepare(f->store);
    assert_int_equal(retention_place(f->store, &day, RETENTION_ORIGINAL, now, now, &place), 0);
    test_folder(folder);
    struct store *other = test_store(folder);
    make_class(other, "history/7200/max/hour");
    make_class(other, "history/10800/max/hour");
    assert_int_equal(retention_place(other, &day, RETENTION_ORIGINAL, now, now, &other_place),
                     SLUIS_ENOENT);
    prepare(other);
    assert_int_equal(retention_place(other, &day, RETENTION_ORIGINAL, now, now, &other_place), 0);
    char name[256];
    assert_int_equal(store_id_name(other, STORE_NAME_CLASS, other_place.cls, name), 0);
    assert_string_equal(name, "original/86400/max/hour");
    assert_int_not_equal(place.cls, other_place.cls);
    store_close(other);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(prepared_or_not, setup, teardown),
        cmocka_unit_test_setup_teardown(rounding, setup, teardown),
        cmocka_unit_test_setup_teardown(late_and_early, setup, teardown),
        cmocka_unit_test_setup_teardown(held, setup, teardown),
        cmocka_unit_test_setup_teardown(ended, setup, teardown),
        cmocka_unit_test_setup_teardown(other_store, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

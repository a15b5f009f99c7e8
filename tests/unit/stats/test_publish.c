/*
 * What statistics tell: no count under five, also not as what is left when one answer is taken off
 * another; and waiting times beside a recount of every single one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "../../../proxy/stats/room.h"

#define HOURS 120u
#define FIRST_HOUR 500000u
#define SEEDS 40u

static uint32_t state;

static uint32_t draw(uint32_t below)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
}

/* A channel (route 0), two routes and two tags that are all there is of it. */
static void make_hour(uint32_t hour, struct cell row[5])
{
    memset(row, 0, 5 * sizeof(row[0]));
    for (unsigned i = 0; i < 5; i++)
        row[i].key = (struct cell_key){hour, 1, 0, {0}};
    row[1].key.route = 7;
    row[2].key.route = 8;
    row[3].key.route = row[4].key.route = ROUTE_TAG;
    row[4].key.tag[0] = 1;
    uint64_t most = draw(3) ? 6 : 40;
    for (unsigned r = 1; r < 3; r++) {
        row[r].n[N_DELIVERED] = draw((uint32_t)most);
        row[r].n[N_PARKED] = draw(3);
        row[r].n[N_OFFERED] = row[r].n[N_DELIVERED] + row[r].n[N_PARKED] + draw(2);
        for (unsigned i = N_OFFERED; i <= N_PARKED; i++)
            row[0].n[i] += row[r].n[i];
    }
    for (unsigned t = 3; t < 5; t++) {
        row[t].n[N_IN] = draw((uint32_t)most);
        row[0].n[N_IN] += row[t].n[N_IN];
    }
    row[0].n[N_TARGET_MET] = draw((uint32_t)most);
    row[0].n[N_TARGET_MISSED] = draw(4);
    row[0].n[N_ANSWERED] = row[0].n[N_TARGET_MET] + row[0].n[N_TARGET_MISSED];
    row[0].n[N_BEGUN] = row[0].n[N_ANSWERED] + draw(3);
    row[0].first[10] = row[0].n[N_ANSWERED];
    row[0].types[1] = draw(4);
}

static void no_small_number(const struct told *t)
{
    for (unsigned i = 0; i < SERIES; i++)
        assert_true(t->n[i] == 0 || t->n[i] >= STATS_SUPPRESS_BELOW);
}

/* Less what is told of its parts, what is told of a whole is nothing, or five and more. */
static void no_small_rest(const struct told *whole, unsigned w, const struct told *a, unsigned x,
                          const struct told *b, unsigned y, uint64_t truth)
{
    uint64_t parts = a->n[x] + b->n[y];
    uint64_t rest = whole->n[w] > parts ? whole->n[w] - parts : 0;
    if (truth > 0 && truth < STATS_SUPPRESS_BELOW && !whole->about[w])
        assert_true(rest != truth || a->about[x] || b->about[y]);
}

static void told_hours(struct publish *p, struct cell rows[HOURS][5], struct told told[HOURS][5])
{
    for (unsigned h = 0; h < HOURS; h++) {
        make_hour(FIRST_HOUR + h, rows[h]);
        for (unsigned i = 0; i < 5; i++)
            assert_int_equal(publish_hour(p, &rows[h][i], &told[h][i]), 0);
    }
}

static uint64_t truth_of(const struct cell *row, unsigned i)
{
    return i < N_COUNTS ? row->n[i] : i < S_FIRST ? row->types[i - S_TYPES] : 0;
}

/* How many waits a median is made of. */
static uint64_t waits_in(const struct told *t)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < WAIT_BUCKETS; i++)
        all += t->waits[0][i];
    return all;
}

static void test_differences(void **unused)
{
    (void)unused;
    static struct cell rows[HOURS][5];
    static struct told told[HOURS][5];
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        struct publish p = {.carry = NULL};
        state = seed;
        told_hours(&p, rows, told);
        for (unsigned h = 0; h < HOURS; h++) {
            const struct cell *row = rows[h];
            const struct told *t = told[h];
            for (unsigned i = 0; i < 5; i++)
                no_small_number(&t[i]);
            no_small_rest(&t[0], N_OFFERED, &t[1], N_OFFERED, &t[2], N_DELIVERED,
                          row[0].n[N_OFFERED] - row[1].n[N_OFFERED] - row[2].n[N_DELIVERED]);
            no_small_rest(&t[0], N_OFFERED, &t[0], N_DELIVERED, &t[0], N_PARKED,
                          row[0].n[N_OFFERED] - row[0].n[N_DELIVERED] - row[0].n[N_PARKED]);
            no_small_rest(&t[0], N_OFFERED, &t[0], N_DELIVERED, &t[0], N_EXPIRED,
                          row[0].n[N_OFFERED] - row[0].n[N_DELIVERED]);
            no_small_rest(&t[0], N_IN, &t[3], N_IN, &t[3], N_OUT, row[4].n[N_IN]);
            no_small_rest(&t[0], S_FIRST, &t[0], N_TARGET_MET, &t[0], N_DROPPED,
                          row[0].n[N_TARGET_MISSED]);
            no_small_rest(&t[0], N_BEGUN, &t[0], N_ANSWERED, &t[0], N_DROPPED,
                          row[0].n[N_BEGUN] - row[0].n[N_ANSWERED]);
        }
        /* Any two periods: what is between them is what their hours tell, and near the truth. */
        for (unsigned from = 0; from < HOURS; from += 7) {
            struct told all = {.n = {0}};
            uint64_t truth[SERIES] = {0}, answered = 0;
            for (unsigned to = from; to < HOURS; to++) {
                struct told before = all;
                publish_add(&all, &told[to][0]);
                uint64_t more = waits_in(&all) - waits_in(&before);
                answered += rows[to][0].first[10];
                assert_true(more == 0 || more >= STATS_SUPPRESS_BELOW); /* nobody's own */
                assert_true(waits_in(&all) < answered + STATS_SUPPRESS_BELOW &&
                            answered < waits_in(&all) + STATS_SUPPRESS_BELOW);
                for (unsigned i = 0; i < S_FIRST; i++) {
                    uint64_t step = all.n[i] - before.n[i];
                    truth[i] += truth_of(&rows[to][0], i);
                    assert_true(step == 0 || step >= STATS_SUPPRESS_BELOW);
                    assert_true(all.n[i] < truth[i] + STATS_SUPPRESS_BELOW &&
                                truth[i] < all.n[i] + STATS_SUPPRESS_BELOW);
                }
            }
        }
        free(p.carry);
    }
}

/* A count of five and more by itself is told as it is. */
static void test_exact(void **unused)
{
    (void)unused;
    struct publish p = {.carry = NULL};
    struct told t;
    struct cell row = {.key = {FIRST_HOUR, 1, 0, {0}}};
    row.n[N_IN] = 17;
    row.n[N_OFFERED] = row.n[N_DELIVERED] = 23;
    row.n[N_MEDIA] = 4;
    assert_int_equal(publish_hour(&p, &row, &t), 0);
    assert_int_equal(t.n[N_IN], 17);
    assert_int_equal(t.n[N_DELIVERED], 23);
    assert_false(t.about[N_DELIVERED]);
    assert_int_equal(t.n[N_MEDIA], 0);
    assert_true(t.about[N_MEDIA]);
    row.n[N_DELIVERED] = 21; /* two are parked: which is not told by subtraction */
    row.n[N_PARKED] = 2;
    row.key.hour++;
    assert_int_equal(publish_hour(&p, &row, &t), 0);
    assert_int_equal(t.n[N_OFFERED], 23);
    assert_int_equal(t.n[N_DELIVERED], 20);
    assert_int_equal(t.n[N_PARKED], 0);
    assert_int_equal(t.n[N_MEDIA], 5); /* 4 and 4 */
    free(p.carry);
}

static int by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

#define WAITS 5000u

/* Nearest rank, from every wait; a bucket is a quarter octave, its middle within 9.1 % (and half a
 * second, since whole ones are told). */
static void near(const int64_t *sorted, unsigned n, double share, const uint64_t *buckets)
{
    unsigned rank = (unsigned)ceil(share * n);
    double truth = (double)sorted[rank - 1] / 1000;
    double told = (double)wait_quantile(buckets, share);
    assert_true(fabs(told - truth) <= 0.0906 * truth + 0.5);
}

static void test_waits(void **unused)
{
    (void)unused;
    static int64_t waits[WAITS];
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        uint64_t buckets[WAIT_BUCKETS] = {0};
        unsigned n = 5 + (seed * 131) % (WAITS - 5);
        state = seed;
        for (unsigned i = 0; i < n; i++) { /* from a second to a week */
            waits[i] = (int64_t)(1000 * exp2(draw(1920) / 100.0));
            buckets[wait_bucket(waits[i])]++;
        }
        qsort(waits, n, sizeof(waits[0]), by_size);
        near(waits, n, 0.5, buckets);
        near(waits, n, 0.9, buckets);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_differences),
                                       cmocka_unit_test(test_exact), cmocka_unit_test(test_waits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

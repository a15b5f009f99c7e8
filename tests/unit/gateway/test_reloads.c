/* Reloads take turns: each who asks hears of one that began after it asked, in its own name; nobody
 * is refused because another is under way. The reload here is the test's own, and is held at its
 * beginning until the test lets it go, so that nothing depends on who is quicker. */
#include "reloads.h"

/* cmocka wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS_MAX (RELOADS_WAITING_MAX + 8)
#define HEARD_MAX (RELOADS_WAITING_MAX + 8)

struct heard {
    struct desk *desk;
    int error;
    bool ran, on_loop;
    unsigned run; /* which, from 1; 0: none */
};

struct desk {
    struct loop *loop;
    struct reloads *reloads;
    sem_t begun, go, told;
    pthread_mutex_t lock;
    bool both;     /* who waited at a stop were told */
    unsigned runs; /* under lock, and: */
    char authors[RUNS_MAX][ACCESS_NAME_SIZE];
    struct heard heard[HEARD_MAX];
};

/* Says that it began, waits, and puts its number where the outcome has room for one. */
static void run(void *ctx, const char *author, struct reload_outcome *out)
{
    struct desk *d = ctx;
    pthread_mutex_lock(&d->lock);
    snprintf(d->authors[d->runs % RUNS_MAX], ACCESS_NAME_SIZE, "%s", author ? author : "(nobody)");
    d->runs++;
    out->diag.line = d->runs;
    pthread_mutex_unlock(&d->lock);
    sem_post(&d->begun);
    sem_wait(&d->go);
    if (author && strcmp(author, "wrong") == 0)
        out->error = SLUIS_EINVAL;
}

static void on_done(void *ctx, const struct reload_outcome *outcome)
{
    struct heard *h = ctx;
    h->error = outcome->error;
    h->ran = outcome->ran;
    h->run = outcome->diag.line;
    h->on_loop = loop_here(h->desk->loop);
    sem_post(&h->desk->told);
}

static int ask(struct desk *d, const char *author, unsigned who)
{
    d->heard[who].desk = d;
    return reloads_ask(d->reloads, author, on_done, &d->heard[who]);
}

#define COMES_S 60 /* far more than any machine needs: what does not come by then never does */

static bool comes(sem_t *what)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += COMES_S;
    return sem_timedwait(what, &until) == 0;
}

static void begins(struct desk *d)
{
    assert_true(comes(&d->begun));
}

static void ends(struct desk *d)
{
    sem_post(&d->go);
}

static void tells(struct desk *d, unsigned n)
{
    while (n--)
        assert_true(comes(&d->told));
}

static int set_up(void **state)
{
    struct desk *d = calloc(1, sizeof(*d));
    assert_non_null(d);
    sem_init(&d->begun, 0, 0);
    sem_init(&d->go, 0, 0);
    sem_init(&d->told, 0, 0);
    pthread_mutex_init(&d->lock, NULL);
    assert_int_equal(loop_new(&d->loop, 0), 0);
    assert_int_equal(reloads_new(d->loop, run, d, &d->reloads), 0);
    assert_int_equal(reloads_start(d->reloads), 0);
    assert_int_equal(loop_start(d->loop), 0);
    *state = d;
    return 0;
}

static int tear_down(void **state)
{
    struct desk *d = *state;
    for (unsigned i = 0; i < 4 * RUNS_MAX; i++) /* after a test that failed half-way */
        ends(d);
    reloads_stop(d->reloads);
    reloads_stop(d->reloads); /* again: nothing */
    loop_stop(d->loop);
    loop_join(d->loop);
    while (loop_drain(d->loop)) {
    }
    loop_free(d->loop);
    reloads_free(d->reloads);
    free(d);
    return 0;
}

static void expect(const struct heard *h, unsigned number, int error)
{
    assert_true(h->on_loop);
    assert_true(h->ran);
    assert_int_equal(h->error, error);
    assert_int_equal(h->run, number);
}

static void test_one_after_the_other(void **state)
{
    struct desk *d = *state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(ask(d, "operator:1", i), 0);
        begins(d);
        ends(d);
        tells(d, 1);
        expect(&d->heard[i], i + 1, 0);
    }
    assert_int_equal(d->runs, 3);
}

/* While one is under way: who asks now gets the next one, in its own name, and hears its outcome
 * alone; who asks in the same name shares. */
static void test_beside_one_under_way(void **state)
{
    struct desk *d = *state;
    assert_int_equal(ask(d, "operator:1", 0), 0);
    begins(d);
    assert_int_equal(ask(d, "operator:1", 1), 0); /* not the one that runs: it may have read */
    assert_int_equal(ask(d, "wrong", 2), 0);
    assert_int_equal(ask(d, "operator:1", 3), 0);
    assert_int_equal(ask(d, NULL, 4), 0);
    assert_int_equal(ask(d, "wrong", 5), 0);
    assert_int_equal(reloads_ask(d->reloads, "operator:1", NULL, NULL), 0); /* a signal */
    assert_int_equal(reloads_ask(d->reloads, "operator:2", NULL, NULL), 0);
    for (unsigned i = 0; i < 5; i++) {
        ends(d);
        if (i < 4)
            begins(d);
    }
    tells(d, 6);
    assert_int_equal(d->runs, 5);
    const char *const authors[] = {"operator:1", "operator:1", "wrong", "(nobody)", "operator:2"};
    for (unsigned i = 0; i < 5; i++)
        assert_string_equal(d->authors[i], authors[i]);
    expect(&d->heard[0], 1, 0);
    expect(&d->heard[1], 2, 0);
    expect(&d->heard[3], 2, 0);
    expect(&d->heard[2], 3, SLUIS_EINVAL);
    expect(&d->heard[5], 3, SLUIS_EINVAL);
    expect(&d->heard[4], 4, 0);
}

/* The queue has an end, which signals do not bring nearer; there is room again once it moves. */
static void test_bound(void **state)
{
    struct desk *d = *state;
    assert_int_equal(ask(d, "first", 0), 0);
    begins(d);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(reloads_ask(d->reloads, "operator:1", NULL, NULL), 0);
    for (unsigned i = 1; i < RELOADS_WAITING_MAX; i++) {
        char name[ACCESS_NAME_SIZE];
        snprintf(name, sizeof(name), "person%u", i / 2); /* two share */
        assert_int_equal(ask(d, name, i), 0);
    }
    assert_int_equal(ask(d, "late", HEARD_MAX - 1), SLUIS_EAGAIN);
    assert_int_equal(ask(d, "person1", HEARD_MAX - 1), SLUIS_EAGAIN);
    assert_int_equal(reloads_ask(d->reloads, "operator:1", NULL, NULL), 0);
    ends(d);
    begins(d); /* the signals' */
    assert_int_equal(ask(d, "late", RELOADS_WAITING_MAX), 0);
    assert_int_equal(ask(d, "late", HEARD_MAX - 1), SLUIS_EAGAIN);
    for (unsigned i = 0; i < RUNS_MAX; i++)
        ends(d);
    tells(d, RELOADS_WAITING_MAX + 1);
    assert_string_equal(d->authors[1], "operator:1");
    assert_string_equal(d->authors[d->runs - 1], "late");
    assert_int_equal(d->runs, 3 + RELOADS_WAITING_MAX / 2);
    expect(&d->heard[RELOADS_WAITING_MAX], d->runs, 0);
    assert_int_equal(d->heard[2].run, d->heard[3].run);
}

/* The one that runs ends and is told; who waits hears that it never began; who comes is refused. */
static void *let_go(void *ctx)
{
    struct desk *d = ctx;
    /* both who waited, before the one that runs is over */
    d->both = comes(&d->told) && comes(&d->told);
    ends(d);
    return NULL;
}

static void test_stop(void **state)
{
    struct desk *d = *state;
    pthread_t other;
    assert_int_equal(ask(d, "operator:1", 0), 0);
    begins(d);
    assert_int_equal(ask(d, "operator:1", 1), 0);
    assert_int_equal(ask(d, "jan", 2), 0);
    assert_int_equal(pthread_create(&other, NULL, let_go, d), 0);
    reloads_stop(d->reloads);
    pthread_join(other, NULL);
    assert_true(d->both);
    tells(d, 1);
    expect(&d->heard[0], 1, 0);
    for (unsigned i = 1; i < 3; i++) {
        assert_false(d->heard[i].ran);
        assert_int_equal(d->heard[i].error, SLUIS_ECLOSED);
    }
    assert_int_equal(d->runs, 1);
    assert_int_equal(ask(d, "jan", 3), SLUIS_ECLOSED);
    assert_int_equal(reloads_ask(d->reloads, "operator:1", NULL, NULL), SLUIS_ECLOSED);
}

/* A reload waits for the loop (listen.c); the loop goes on while it does, and takes what is asked
 * there. */
struct on_loop {
    struct mail mail;
    struct desk *desk;
    int result;
    sem_t done;
};

static void ask_on_loop(struct mail *mail)
{
    struct on_loop *o = (struct on_loop *)mail;
    o->result = ask(o->desk, "els", 1);
    sem_post(&o->done);
}

static void test_asked_on_the_loop(void **state)
{
    struct desk *d = *state;
    struct on_loop o = {.desk = d};
    sem_init(&o.done, 0, 0);
    assert_int_equal(ask(d, "jan", 0), 0);
    begins(d);
    loop_post(d->loop, &o.mail, ask_on_loop);
    sem_wait(&o.done); /* answered while jan's is still held */
    assert_int_equal(o.result, 0);
    ends(d);
    begins(d);
    ends(d);
    tells(d, 2);
    expect(&d->heard[0], 1, 0);
    expect(&d->heard[1], 2, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_after_the_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_beside_one_under_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_asked_on_the_loop, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

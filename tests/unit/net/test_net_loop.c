/* The loop: mail, timers, the end of the turn; and the wheel of deadlines. */
#include "../../../proxy/net/deadline.h"
#include "net_help.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
/* after the headers that it needs */
#include <cmocka.h>

enum { SENDERS = 4, MAILS = 5000 };

struct numbered {
    struct mail mail;
    unsigned sender, number;
    struct loop *loop;
};

static unsigned next_of[SENDERS]; /* loop's thread */
static atomic_uint arrived, out_of_order, elsewhere;

static void on_numbered(struct mail *mail)
{
    struct numbered *n = (struct numbered *)mail;
    if (n->number != next_of[n->sender]++)
        atomic_fetch_add(&out_of_order, 1);
    if (!loop_here(n->loop))
        atomic_fetch_add(&elsewhere, 1);
    atomic_fetch_add(&arrived, 1);
    free(n);
}

struct sender {
    struct loop *loop;
    unsigned index;
};

static void *send_many(void *ctx)
{
    const struct sender *s = ctx;
    for (unsigned i = 0; i < MAILS; i++) {
        struct numbered *n = calloc(1, sizeof(*n));
        n->sender = s->index;
        n->number = i;
        n->loop = s->loop;
        loop_post(s->loop, &n->mail, on_numbered);
    }
    return NULL;
}

static void mail_in_order(void **state)
{
    (void)state;
    struct loop *loop;
    pthread_t threads[SENDERS];
    struct sender senders[SENDERS];
    assert_int_equal(loop_new(&loop, 7), 0);
    assert_int_equal(loop_index(loop), 7);
    assert_true(loop_here(loop));
    assert_int_equal(loop_start(loop), 0);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){loop, i};
        pthread_create(&threads[i], NULL, send_many, &senders[i]);
    }
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    while (atomic_load(&arrived) == 0) /* until its thread has begun, anywhere is here */
        sleep_ms(1);
    assert_false(loop_here(loop));
    loop_stop(loop);
    loop_stop(loop); /* twice does no harm */
    loop_join(loop);
    loop_free(loop);
    assert_int_equal(atomic_load(&arrived), SENDERS * MAILS);
    assert_int_equal(atomic_load(&out_of_order), 0);
    assert_int_equal(atomic_load(&elsewhere), 0);
}

/* What happened, in order. */
struct story {
    struct loop *loop;
    struct mail first, later;
    struct loop_timer *timer, *cancelled;
    char text[32];
    int64_t start;
    int rounds;
};

static void note(struct story *s, const char *what)
{
    strncat(s->text, what, sizeof(s->text) - strlen(s->text) - 1);
}

static void on_later(struct mail *mail)
{
    note((struct story *)((char *)mail - offsetof(struct story, later)), "l");
}

static void on_timer(void *ctx)
{
    struct story *s = ctx;
    note(s, "t");
    if (++s->rounds == 2) {
        loop_stop(s->loop);
        return;
    }
    loop_later(s->loop, &s->later, on_later);
    note(s, "("); /* still inside: the later one comes after this */
    loop_timer_set(s->timer, 50);
}

static void on_never(void *ctx)
{
    note(ctx, "!");
}

static void on_first(struct mail *mail)
{
    struct story *s = (struct story *)((char *)mail - offsetof(struct story, first));
    loop_timer_set(s->cancelled, 10);
    loop_timer_cancel(s->cancelled);
    loop_timer_set(s->timer, 50);
}

static void timers_and_later(void **state)
{
    (void)state;
    struct story s = {.start = now_ms()};
    assert_int_equal(loop_new(&s.loop, 0), 0);
    assert_int_equal(loop_timer_new(s.loop, on_timer, &s, &s.timer), 0);
    assert_int_equal(loop_timer_new(s.loop, on_never, &s, &s.cancelled), 0);
    loop_post(s.loop, &s.first, on_first);
    assert_int_equal(loop_run(s.loop), 0);
    assert_string_equal(s.text, "t(lt");
    assert_true(now_ms() - s.start >= 100);
    loop_timer_free(s.timer);
    loop_timer_free(s.cancelled);
    loop_free(s.loop);
}

enum { DEADLINES = 2000 };

struct timed {
    struct deadline deadline;
    int64_t due, fired;
    unsigned *left;
    struct loop *loop;
};

static void on_due(struct deadline *deadline)
{
    struct timed *t = (struct timed *)deadline;
    t->fired = now_ms();
    if (--*t->left == 0)
        loop_stop(t->loop);
}

/* Set, moved later, moved earlier, cleared and removed: each fires once and not early; none of them
 * at its first, later time (a minute and a half).
 */
static void deadlines(void **state)
{
    (void)state;
    struct loop *loop;
    unsigned left = 0;
    struct timed *all = calloc(DEADLINES, sizeof(*all));
    assert_int_equal(loop_new(&loop, 0), 0);
    struct deadline_wheel *wheel = loop_deadlines(loop);
    for (int i = 0; i < DEADLINES; i++) {
        struct timed *t = &all[i];
        int ms = 1 + i % 400;
        t->deadline.fire = on_due;
        t->left = &left;
        t->loop = loop;
        if (i % 5 == 1)
            deadline_set(wheel, &t->deadline, ms / 2); /* then later */
        if (i % 5 == 2)
            deadline_set(wheel, &t->deadline, 90 * 1000); /* then earlier, past the wheel's end */
        t->due = now_ms() + ms;
        deadline_set(wheel, &t->deadline, ms);
        left++;
        if (i % 5 == 3) {
            deadline_clear(&t->deadline);
            left--;
        } else if (i % 5 == 4 && i % 2) {
            deadline_remove(wheel, &t->deadline);
            left--;
        }
    }
    assert_int_equal(loop_run(loop), 0);
    for (int i = 0; i < DEADLINES; i++) {
        struct timed *t = &all[i];
        if (i % 5 == 3 || (i % 5 == 4 && i % 2)) {
            assert_int_equal(t->fired, 0);
            continue;
        }
        assert_in_range(t->fired, t->due, t->due + 60 * 1000);
    }
    loop_free(loop);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_in_order),
        cmocka_unit_test(timers_and_later),
        cmocka_unit_test(deadlines),
    };
    cmocka_set_test_filter(getenv("SLUIS_TEST"));
    return cmocka_run_group_tests_name("net_loop", tests, NULL, NULL);
}

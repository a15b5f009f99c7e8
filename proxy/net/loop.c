#include "sluis/net/loop.h"
#include "deadline.h"

#include <poll.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* Mails per wake-up: the sockets get their turn between two of these. */
#define LOOP_MAILS_PER_TURN 256

struct loop {
    struct event_base *base;
    struct mailbox *box;
    struct event *mail_event;
    unsigned index;
    struct mail stop_mail;
    atomic_bool stop_sent;
    atomic_bool stop;
    atomic_bool running;
    pthread_t thread;     /* that runs it; valid while `running` */
    pthread_t own_thread; /* made by loop_start */
    bool started;
    struct mail *later_first, *later_last;
    struct deadline_wheel wheel;
};

struct loop_timer {
    struct event *event;
    void (*fire)(void *ctx);
    void *ctx;
};

static void on_mail(evutil_socket_t fd, short what, void *ctx)
{
    struct loop *loop = ctx;
    (void)fd;
    (void)what;
    mailbox_drain(loop->box, LOOP_MAILS_PER_TURN);
}

int loop_new(struct loop **out, unsigned index)
{
    struct event_config *config = NULL;
    struct loop *loop = calloc(1, sizeof(*loop));
    int r = SLUIS_ENOMEM;
    if (!loop)
        return r;
    loop->index = index;
    /* A peer that went away is an error of its write, not a signal to the process. */
    signal(SIGPIPE, SIG_IGN);
    config = event_config_new();
    if (!config)
        goto fail;
    /* One thread per base: no locks. No change list: it would take a closed descriptor out of
     * epoll when another thread may have its number already, and it saves nothing here, since
     * answers are written without a change of events. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    if (!loop->base)
        goto fail;
    r = mailbox_new(&loop->box);
    if (r)
        goto fail;
    r = SLUIS_ENOMEM;
    loop->mail_event =
        event_new(loop->base, mailbox_fd(loop->box), EV_READ | EV_PERSIST, on_mail, loop);
    if (!loop->mail_event || event_add(loop->mail_event, NULL))
        goto fail;
    r = deadline_wheel_init(&loop->wheel, loop);
    if (r)
        goto fail;
    *out = loop;
    return 0;
fail:
    loop_free(loop);
    return r;
}

static void run_later(struct loop *loop)
{
    while (loop->later_first) {
        struct mail *mail = loop->later_first;
        loop->later_first = mail->next;
        if (!loop->later_first)
            loop->later_last = NULL;
        mail->deliver(mail);
    }
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    if (loop->box)
        mailbox_free(loop->box);
    run_later(loop);
    deadline_wheel_done(&loop->wheel);
    if (loop->mail_event)
        event_free(loop->mail_event);
    if (loop->base) {
        /* Bufferevents finish dying in a turn of their own. */
        event_base_loop(loop->base, EVLOOP_NONBLOCK);
        event_base_free(loop->base);
    }
    free(loop);
}

unsigned loop_index(const struct loop *loop)
{
    return loop->index;
}

int loop_run(struct loop *loop)
{
    int r = 0;
    loop->thread = pthread_self();
    atomic_store(&loop->running, true);
    run_later(loop);
    while (!atomic_load(&loop->stop)) {
        if (event_base_loop(loop->base, EVLOOP_ONCE) < 0) {
            r = SLUIS_ESYS;
            break;
        }
        run_later(loop);
    }
    atomic_store(&loop->running, false);
    return r;
}

static void *thread_main(void *ctx)
{
    struct loop *loop = ctx;
    (void)!loop_run(loop);
    return NULL;
}

int loop_start(struct loop *loop)
{
    char name[16];
    sigset_t all, before;
    if (loop->started)
        return SLUIS_EEXIST;
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&loop->own_thread, NULL, thread_main, loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return SLUIS_ESYS;
    loop->started = true;
    snprintf(name, sizeof(name), "sluis-ev%u", loop->index);
    pthread_setname_np(loop->own_thread, name);
    return 0;
}

static void on_stop(struct mail *mail)
{
    struct loop *loop = (struct loop *)((char *)mail - offsetof(struct loop, stop_mail));
    atomic_store(&loop->stop, true);
}

void loop_stop(struct loop *loop)
{
    if (!atomic_exchange(&loop->stop_sent, true))
        mailbox_send(loop->box, &loop->stop_mail, on_stop);
}

void loop_join(struct loop *loop)
{
    if (!loop->started)
        return;
    pthread_join(loop->own_thread, NULL);
    loop->started = false;
}

void loop_post(struct loop *loop, struct mail *mail, void (*deliver)(struct mail *))
{
    mailbox_send(loop->box, mail, deliver);
}

bool loop_drain(struct loop *loop)
{
    struct pollfd p = {.fd = mailbox_fd(loop->box), .events = POLLIN};
    if (poll(&p, 1, 0) != 1)
        return false;
    while (mailbox_drain(loop->box, SIZE_MAX))
        ;
    run_later(loop);
    return true;
}

bool loop_here(const struct loop *loop)
{
    return !atomic_load(&((struct loop *)(uintptr_t)loop)->running) ||
           pthread_equal(loop->thread, pthread_self());
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct loop_timer *timer = ctx;
    (void)fd;
    (void)what;
    timer->fire(timer->ctx);
}

int loop_timer_new(struct loop *loop, void (*fire)(void *ctx), void *ctx, struct loop_timer **out)
{
    struct loop_timer *timer = calloc(1, sizeof(*timer));
    if (!timer)
        return SLUIS_ENOMEM;
    timer->fire = fire;
    timer->ctx = ctx;
    timer->event = evtimer_new(loop->base, on_timer, timer);
    if (!timer->event) {
        free(timer);
        return SLUIS_ENOMEM;
    }
    *out = timer;
    return 0;
}

void loop_timer_set(struct loop_timer *timer, int64_t in_ms)
{
    if (in_ms < 0)
        in_ms = 0;
    struct timeval tv = {.tv_sec = (time_t)(in_ms / 1000),
                         .tv_usec = (suseconds_t)(in_ms % 1000 * 1000)};
    evtimer_add(timer->event, &tv);
}

void loop_timer_cancel(struct loop_timer *timer)
{
    evtimer_del(timer->event);
}

void loop_timer_free(struct loop_timer *timer)
{
    if (!timer)
        return;
    event_free(timer->event);
    free(timer);
}

void loop_later(struct loop *loop, struct mail *mail, void (*fn)(struct mail *))
{
    mail->next = NULL;
    mail->deliver = fn;
    if (loop->later_last)
        loop->later_last->next = mail;
    else
        loop->later_first = mail;
    loop->later_last = mail;
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

struct deadline_wheel *loop_deadlines(struct loop *loop)
{
    return &loop->wheel;
}

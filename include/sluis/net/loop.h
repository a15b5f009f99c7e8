/*
 * An event loop: one thread, one libevent base, one mailbox. Everything else in net belongs to
 * one loop and is touched by its thread only.
 *
 *     loop_new(&loop, 0);
 *     loop_start(loop);                    // runs loop_run in a thread of its own
 *     loop_post(loop, &mail, fn);          // any thread: fn runs on the loop's thread
 *     loop_stop(loop); loop_join(loop); loop_free(loop);
 */
#ifndef SLUIS_NET_LOOP_H
#define SLUIS_NET_LOOP_H

#include "sluis/base/error.h"
#include "sluis/base/mailbox.h"
#include <stdint.h>

struct loop;
struct loop_timer;
struct event_base;

SLUIS_MUST_CHECK int loop_new(struct loop **out, unsigned index);
void loop_free(struct loop *loop);
unsigned loop_index(const struct loop *loop);

int loop_run(struct loop *loop);   /* on the calling thread, until loop_stop */
int loop_start(struct loop *loop); /* on a new thread, named "sluis-ev<index>" */
void loop_stop(struct loop *loop); /* any thread */
void loop_join(struct loop *loop);

/* Any thread; the mail's function runs on the loop's thread (also when called from it: later). */
void loop_post(struct loop *loop, struct mail *mail, void (*deliver)(struct mail *));

/* After loop_join, before what the mail is about is freed: delivers what is left in the mailbox, on
 * the calling thread. True when there was any: it may have led to more, here or elsewhere. */
bool loop_drain(struct loop *loop);

/* True on the loop's own thread (or before it runs). */
bool loop_here(const struct loop *loop);

/* A one-shot timer; re-arm it in its function for a repeat. Loop's thread only. */
SLUIS_MUST_CHECK int loop_timer_new(struct loop *loop, void (*fire)(void *ctx), void *ctx,
                                    struct loop_timer **out);
void loop_timer_set(struct loop_timer *timer, int64_t in_ms);
void loop_timer_cancel(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer);

/* Runs `fn` at the end of this turn of the loop, for objects that must not die inside their own
 * callbacks. Intrusive. */
void loop_later(struct loop *loop, struct mail *mail, void (*fn)(struct mail *));

/* For net's own files only. */
struct event_base *loop_base(struct loop *loop);

#endif

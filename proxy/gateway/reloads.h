/*
 * Reloads take turns on a thread of their own, so that whoever asks for one (the admin face, a
 * signal, an approval, the end of an observing policy) neither waits for it nor is refused because
 * another is under way. What is asked for is answered with the outcome of a reload that began
 * after it was asked; several who ask in one name while none of theirs has begun share one.
 *
 *     reloads_new(loop, run, ctx, &reloads);
 *     reloads_start(reloads);
 *     reloads_ask(reloads, "operator:1000", done, done_ctx);  // any thread
 *     reloads_stop(reloads);                                  // while the loops still run
 *     reloads_free(reloads);                                  // when the loop has been drained
 */
#ifndef SLUIS_GATEWAY_RELOADS_H
#define SLUIS_GATEWAY_RELOADS_H

#include "sluis/admin.h"
#include "sluis/net/loop.h"

/* Who waits, at most: a reload takes a tenth of a second to some seconds, and who waits on the
 * control socket gives up after two minutes. Signals in one name wait once, however many come. */
#define RELOADS_WAITING_MAX 32

struct reloads;

/* `run` on the thread of reloads, one at a time, in the order of asking: fills `out`, whose `ran`
 * is set. `author` as it was asked, or NULL. */
SLUIS_MUST_CHECK int reloads_new(struct loop *loop,
                                 void (*run)(void *ctx, const char *author,
                                             struct reload_outcome *out),
                                 void *ctx, struct reloads **out);
SLUIS_MUST_CHECK int reloads_start(struct reloads *reloads);
/* Any thread, never waits. 0: `done` follows on the loop (NULL: nobody wants to hear).
 * SLUIS_EAGAIN: RELOADS_WAITING_MAX wait; SLUIS_ECLOSED: it was stopped; SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int reloads_ask(struct reloads *reloads, const char *author,
                                 void (*done)(void *done_ctx, const struct reload_outcome *outcome),
                                 void *done_ctx);
/* What waits is answered with SLUIS_ECLOSED, what runs ends first. Not on the loop's thread, which
 * a reload waits for. Again, or with NULL: nothing. */
void reloads_stop(struct reloads *reloads);
void reloads_free(struct reloads *reloads);

#endif

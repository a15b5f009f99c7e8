/*
 * The webhook side of Meta: signs with the app secret, posts, and tries again until it gets a 200.
 * Posts of one contact go in order, one at a time; different contacts run side by side.
 * What is neither 200 nor expected is tried again with doubling pauses, as Meta does.
 */
#ifndef SIM_SENDER_H
#define SIM_SENDER_H

#include "client.h"
#include "message.h"

struct sender_options {
    const struct target *target;
    const char *secret;      /* the app's */
    FILE *record;            /* JSONL of each try, or NULL */
    unsigned retry_first_ms; /* the first pause; doubled each time up to 64 times that */
    unsigned tries;          /* give up after so many */
    const char *signature;   /* sent instead of the right one, or NULL: for refusal tests */
};
struct sender;
struct sender *sender_new(struct event_base *base, const struct sender_options *options);
void sender_free(struct sender *sender);
/* Copies the body. `contact` says which queue; "" is one of its own. */
int sender_post(struct sender *sender, const char *contact, struct span body, unsigned pause_ms,
                int expect);
/* Posts not yet finished. */
size_t sender_waiting(const struct sender *sender);
size_t sender_delivered(const struct sender *sender);
/* Given up, or answered otherwise than expected. */
size_t sender_failed(const struct sender *sender);
/* Called when a post is finished. */
void sender_on_done(struct sender *sender, void (*fn)(void *ctx), void *ctx);

#endif

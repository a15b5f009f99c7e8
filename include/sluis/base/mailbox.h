/*
 * A mailbox: how threads talk. Many senders, one receiver; an intrusive list under a mutex and
 * an eventfd that wakes the receiver's loop. Sending never allocates, so it cannot fail.
 *
 *     struct hello { struct mail mail; int n; };
 *     mailbox_send(box, &hello->mail, on_hello);     // any thread
 *     mailbox_drain(box, 256);                       // receiver, when mailbox_fd is readable
 *
 * A mail is owned by the mailbox from send until its function is called, by the receiver's
 * thread, in order of sending (per sender). The function owns it from then on.
 */
#ifndef SLUIS_BASE_MAILBOX_H
#define SLUIS_BASE_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include "sluis/base/error.h"

struct mail {
    struct mail *next;
    void (*deliver)(struct mail *mail);
};

struct mailbox;

SLUIS_MUST_CHECK int mailbox_new(struct mailbox **out);
/* Only when no sender is left; what is still inside is delivered first. */
void mailbox_free(struct mailbox *box);
int mailbox_fd(const struct mailbox *box); /* readable when there may be mail */
void mailbox_send(struct mailbox *box, struct mail *mail, void (*deliver)(struct mail *));
/* Delivers at most `most`; true when more waits (the descriptor stays readable). */
bool mailbox_drain(struct mailbox *box, size_t most);

#endif

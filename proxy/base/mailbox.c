#include "sluis/base/mailbox.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mailbox {
    pthread_mutex_t lock;
    struct mail *first, **end;
    int fd;
};

int mailbox_new(struct mailbox **out)
{
    *out = NULL;
    struct mailbox *box = calloc(1, sizeof(*box));
    if (!box)
        return SLUIS_ENOMEM;
    box->end = &box->first;
    box->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (box->fd < 0 || pthread_mutex_init(&box->lock, NULL) != 0) {
        if (box->fd >= 0)
            close(box->fd);
        free(box);
        return SLUIS_ESYS;
    }
    *out = box;
    return 0;
}

void mailbox_free(struct mailbox *box)
{
    if (!box)
        return;
    while (mailbox_drain(box, SIZE_MAX))
        ;
    close(box->fd);
    pthread_mutex_destroy(&box->lock);
    free(box);
}

int mailbox_fd(const struct mailbox *box)
{
    return box->fd;
}

static void wake(struct mailbox *box)
{
    uint64_t one = 1;
    /* EAGAIN means the counter is at its top: the receiver is awake already. */
    ssize_t n = write(box->fd, &one, sizeof(one));
    (void)n;
}

void mailbox_send(struct mailbox *box, struct mail *mail, void (*deliver)(struct mail *))
{
    mail->next = NULL;
    mail->deliver = deliver;
    pthread_mutex_lock(&box->lock);
    bool was_empty = box->first == NULL;
    *box->end = mail;
    box->end = &mail->next;
    pthread_mutex_unlock(&box->lock);
    if (was_empty)
        wake(box);
}

bool mailbox_drain(struct mailbox *box, size_t most)
{
    uint64_t count;
    ssize_t n = read(box->fd, &count, sizeof(count)); /* before taking: no wake-up is lost */
    (void)n;
    pthread_mutex_lock(&box->lock);
    struct mail *taken = box->first;
    struct mail **cut = &taken;
    for (size_t i = 0; i < most && *cut; i++)
        cut = &(*cut)->next;
    box->first = *cut;
    *cut = NULL;
    if (!box->first)
        box->end = &box->first;
    bool more = box->first != NULL;
    pthread_mutex_unlock(&box->lock);
    if (more)
        wake(box);
    while (taken) {
        struct mail *mail = taken;
        taken = mail->next;
        mail->next = NULL;
        mail->deliver(mail);
    }
    return more;
}

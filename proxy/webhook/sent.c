/* What tools sent to a contact takes part in the conversation's window ("Wat is uw BSN?"). */
#include "internal.h"

#include <sodium.h>
#include <stdlib.h>

struct note {
    struct mail mail;
    struct intake_thread *thread;
    uint16_t channel;
    int64_t at_ms;
    uint64_t serial;
    uint64_t subject;
    size_t text; /* length of `bytes` */
    char bytes[];
};

static void on_note(struct mail *mail)
{
    struct note *n = (struct note *)mail;
    struct intake_thread *t = n->thread;
    struct window *window = window_get(t->windows, n->channel, n->subject);
    if (window &&
        window_add(t->windows, window, span_of(n->bytes, n->text), false, n->at_ms, n->serial) != 0)
        window->loaded = false; /* it is committed: the next message reads it from the store */
    sodium_memzero(n->bytes, n->text);
    free(n);
}

void webhook_note_sent(struct webhook *w, const struct webhook_sent *sent)
{
    struct subject_resolver *subjects = w->threads[0].subjects; /* one and the same for all */
    struct subject subject;
    if (subject_resolve(subjects, sent->contact, sent->user_id, &subject) != 0)
        return;
    /* Committed already: this finds the subject and makes none. */
    subject_settled(subjects, &subject, SLUIS_ENOENT);
    struct note *n = subject.new_hashes == 0 ? malloc(sizeof(*n) + sent->text.n) : NULL;
    if (!n) /* the window is then without this message */
        return;
    n->thread = &w->threads[subject_owner(subject.serial, w->deps.loop_count)];
    n->channel = sent->channel;
    n->subject = subject.serial;
    n->at_ms = sent->at_ms;
    n->serial = sent->serial;
    n->text = sent->text.n;
    if (sent->text.n)
        memcpy(n->bytes, sent->text.p, sent->text.n);
    loop_post(n->thread->loop, &n->mail, on_note);
}

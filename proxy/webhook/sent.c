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
    size_t contact, user_id, text; /* lengths in `bytes`, in this order */
    char bytes[];
};

static void on_note(struct mail *mail)
{
    struct note *n = (struct note *)mail;
    struct intake_thread *t = n->thread;
    struct subject subject;
    struct span contact = span_of(n->bytes, n->contact);
    struct span user_id = span_of(n->bytes + n->contact, n->user_id);
    struct span text = span_of(n->bytes + n->contact + n->user_id, n->text);
    /* Committed already: this finds the subject and makes none. */
    if (subject_resolve(t->subjects, contact, user_id, &subject) == 0) {
        struct window *window =
            subject.new_hashes == 0 ? window_get(t->windows, n->channel, subject.serial) : NULL;
        if (window && window_add(t->windows, window, text, false, n->at_ms, n->serial) != 0)
            window->loaded = false; /* it is committed: the next message reads it from the store */
        subject_settled(t->subjects, &subject, subject.new_hashes ? SLUIS_ENOENT : 0);
    }
    sodium_memzero(n->bytes, n->contact + n->user_id + n->text);
    free(n);
}

void webhook_note_sent(struct webhook *w, const struct webhook_sent *sent)
{
    struct note *n = malloc(sizeof(*n) + sent->contact.n + sent->user_id.n + sent->text.n);
    if (!n) /* the window is then without this message */
        return;
    n->thread = &w->threads[subject_owner(sent->contact, sent->user_id, w->deps.loop_count)];
    n->channel = sent->channel;
    n->at_ms = sent->at_ms;
    n->serial = sent->serial;
    n->contact = sent->contact.n;
    n->user_id = sent->user_id.n;
    n->text = sent->text.n;
    const struct span parts[] = {sent->contact, sent->user_id, sent->text};
    size_t at = 0;
    for (size_t i = 0; i < 3; i++) {
        if (parts[i].n)
            memcpy(n->bytes + at, parts[i].p, parts[i].n);
        at += parts[i].n;
    }
    loop_post(n->thread->loop, &n->mail, on_note);
}

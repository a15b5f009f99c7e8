/* Whose conversation is meant, and where in the journal a time is. */
#include "room.h"

#include "sluis/contact.h"
#include "sluis/subject.h"

#include <sodium.h>

#define PROBES_MAX 130 /* doubling to the end of 64 bits, and halving back */

bool subject_refused(struct work *w, uint64_t subject)
{
    const struct history_deps *deps = &w->h->deps;
    return deps->refused && deps->refused(deps->ctx, subject);
}

static int by_contact(struct work *w, uint64_t *subject)
{
    char text[SUBJECT_WRITTEN_MAX + 2];
    struct store_read *read;
    struct span known = subject_normalise(w->query.contact, text);
    if (!known.n)
        return SLUIS_ENOENT;
    int r = store_read_begin(w->h->deps.store, &read);
    if (r == 0) {
        r = subject_find(read, w->h->deps.keyring, known, subject);
        uint64_t head; /* who is known on another channel only is not known here */
        if (r == 0)
            r = store_get_head(read, w->channel->id, *subject, &head);
        store_read_end(read);
    }
    sodium_memzero(text, sizeof(text));
    return r;
}

/* The organisation's own number, which must be one person's on this channel. */
static int by_reference(struct work *w, uint64_t *subject)
{
    struct contact_id found[2];
    struct contacts *contacts = w->h->deps.contacts;
    int n =
        contacts ? contact_ref_find(contacts, w->channel->id, w->query.external_ref, found, 2) : 0;
    if (n > 1)
        return history_refuse(w, 409, "external_ref", "several persons have this reference");
    if (n == 1)
        *subject = found[0].subject;
    return n < 0 ? n : n == 0 ? SLUIS_ENOENT : 0;
}

int find_subject(struct work *w, uint64_t *subject)
{
    uint16_t channel = w->channel->id;
    int r = SLUIS_ENOENT;
    if (w->query.conversation.n) {
        r = conversation_read(w->h, w->query.conversation, &channel, subject);
        if (r != 0)
            return history_refuse(w, 400, "conversation", "this is not the id of a conversation");
    } else if (w->query.contact.n) {
        r = by_contact(w, subject);
    } else if (w->query.external_ref.n) {
        r = by_reference(w, subject);
    }
    if (r == SLUIS_ENOENT || (r == 0 && channel != w->channel->id))
        return history_refuse(w, 404, "not_found", "no such conversation on this channel");
    if (r == 0 && subject_refused(w, *subject))
        return history_refuse(w, 403, "restricted",
                              "the processing of this person's data is restricted");
    return r;
}

/* ---- the journal by time ---- */

struct probe {
    bool found;
    uint64_t order;
    int64_t taken_ms;
};

static int take_first(void *ctx, const struct store_item *item)
{
    struct probe *p = ctx;
    *p = (struct probe){true, item->order, item->taken_ms};
    return 1;
}

static int probe(struct store_read *read, uint64_t from, struct probe *out)
{
    *out = (struct probe){.found = false};
    int r = store_each_readable(read, from, take_first, out, NULL);
    return r < 0 ? r : 0;
}

/* The first order from which on there is nothing, or nothing taken before `ms`. */
static int boundary(struct work *w, int64_t ms, bool by_time, uint64_t *order)
{
    struct store_read *read;
    struct probe p;
    uint64_t low = 1, high = 1;
    int r = store_read_begin(w->h->deps.store, &read);
    if (r != 0)
        return r;
    for (unsigned i = 0; r == 0 && i < PROBES_MAX; i++) {
        r = probe(read, high, &p);
        if (r != 0 || !p.found || (by_time && p.taken_ms >= ms) || high > UINT64_MAX / 2)
            break;
        low = p.order + 1;
        high = low > high * 2 ? low : high * 2;
    }
    while (r == 0 && low < high) {
        uint64_t middle = low + (high - low) / 2;
        r = probe(read, middle, &p);
        if (r == 0 && p.found && p.order < high && !(by_time && p.taken_ms >= ms))
            low = p.order + 1;
        else
            high = middle;
    }
    store_read_end(read);
    *order = low;
    return r;
}

int find_order(struct work *w, int64_t ms, uint64_t *order)
{
    return boundary(w, ms - ORDER_SLACK_MS, true, order);
}

int find_newest(struct work *w, uint64_t *order)
{
    int r = boundary(w, 0, false, order);
    *order -= 1;
    return r;
}

/* When a contact last wrote and how much it was sent: from the journal, when memory does not know.
 */
#include "room.h"

void contact_note_in(struct contacts *c, struct contact_id id, int64_t at_ms)
{
    contact_memory_note_in(c->memory, id, at_ms);
}

/* Calls `each` for the conversation's items, newest first, until it returns other than 0. At most
 * `most` items. */
static int walk(struct contacts *c, struct contact_id id, unsigned most,
                int (*each)(void *ctx, const struct store_item *item), void *ctx)
{
    struct store_read *read;
    uint64_t serial = 0;
    int r = store_read_begin(c->store, &read);
    if (r != 0)
        return r;
    r = store_get_head(read, id.channel, id.subject, &serial);
    for (unsigned i = 0; r == 0 && serial && i < most; i++) {
        struct store_item item;
        r = store_get_item(read, serial, &item);
        if (r == 0 && (item.channel != id.channel || item.subject != id.subject))
            break; /* not this conversation's */
        if (r == 0 && each(ctx, &item) != 0)
            break;
        serial = item.previous;
    }
    store_read_end(read);
    if (r == SLUIS_ECRYPTO || r == SLUIS_EINVAL)
        return 0; /* a block of the journal is damaged: what it says is not known any more */
    return r == SLUIS_ENOENT ? 0 : r; /* what was before it is gone */
}

static int take_in(void *ctx, const struct store_item *item)
{
    int64_t *at_ms = ctx;
    if (item->kind != STORE_KIND_MESSAGE)
        return 0;
    *at_ms = item->at_ms;
    return 1;
}

int contact_last_in(struct contacts *c, struct contact_id id, int64_t now_ms, int64_t *at_ms)
{
    *at_ms = contact_memory_last_in(c->memory, id);
    if (*at_ms)
        return 0;
    int r = walk(c, id, CONTACT_WALK_MAX, take_in, at_ms);
    if (*at_ms > now_ms)
        *at_ms = now_ms;
    if (r == 0 && *at_ms)
        contact_memory_note_in(c->memory, id, *at_ms);
    return r;
}

/* ---- the window ---- */

struct listening {
    uint16_t channel;
    int64_t before_ms;
    unsigned walked;
    bool found;
};

static int take_listening(void *ctx, const struct store_item *item)
{
    struct listening *l = ctx;
    if (item->taken_ms > l->before_ms || l->walked++ == LISTEN_WALK)
        return 1;
    l->found = item->channel == l->channel;
    return l->found;
}

/* Was the channel's traffic seen here a whole window ago? Then who is not known did not write. */
static bool listens(struct contacts *c, uint16_t channel, int64_t now_ms)
{
    struct listening l = {.channel = channel, .before_ms = now_ms - CONTACT_WINDOW_MS};
    struct store_read *read;
    if (channel < LISTEN_CHANNELS && atomic_load(&c->listens[channel]))
        return true;
    if (store_read_begin(c->store, &read) != 0)
        return false;
    (void)store_each_readable(read, 1, take_listening, &l, NULL);
    store_read_end(read);
    if (l.found && channel < LISTEN_CHANNELS)
        atomic_store(&c->listens[channel], true);
    return l.found;
}

int contact_window(struct contacts *c, struct contact_id id, int64_t now_ms,
                   enum contact_window *out)
{
    int64_t at_ms;
    int r = contact_last_in(c, id, now_ms, &at_ms);
    if (at_ms == 0)
        *out = r == 0 && listens(c, id.channel, now_ms) ? CONTACT_CLOSED : CONTACT_UNKNOWN;
    else
        *out = at_ms > now_ms - CONTACT_WINDOW_MS ? CONTACT_OPEN : CONTACT_CLOSED;
    return r;
}

/* ---- pace ---- */

struct paced {
    int64_t since_ms;
    unsigned sent, most, walked;
};

static int take_sent(void *ctx, const struct store_item *item)
{
    struct paced *p = ctx;
    p->walked++;
    if (item->taken_ms <= p->since_ms)
        return 1;
    p->sent += item->kind == STORE_KIND_SENT;
    return p->sent >= p->most;
}

/* A message brings three statuses as a rule. */
static unsigned walk_for(unsigned messages)
{
    const unsigned most = 2048;
    return messages < (most - CONTACT_WALK_MAX) / 4 ? CONTACT_WALK_MAX + 4 * messages : most;
}

int contact_pace_take(struct contacts *c, struct contact_id id, unsigned messages, int64_t per_ms,
                      int64_t now_ms, bool *may)
{
    struct paced p = {.since_ms = now_ms - per_ms, .most = messages};
    *may = false;
    unsigned most = walk_for(messages);
    int r = walk(c, id, most, take_sent, &p);
    if (r != 0 || p.sent >= messages || p.walked == most)
        return r;
    return contact_memory_take(c->memory, id, messages - p.sent, may);
}

void contact_pace_done(struct contacts *c, struct contact_id id)
{
    contact_memory_done(c->memory, id);
}

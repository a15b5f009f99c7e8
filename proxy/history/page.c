/* Conversations of a channel, messages of a conversation: a page at a time, newest first. */
#include "room.h"

#include "sluis/base/encode.h"

#include <stdlib.h>

/* ---- messages of one conversation ---- */

static bool wanted(struct work *w, struct store_read *read, const struct store_item *item)
{
    const struct query *q = &w->query;
    if (item->kind == STORE_KIND_ACCOUNT || (item->kind == STORE_KIND_STATUS && !q->statuses))
        return false;
    if (q->to_ms && item->taken_ms >= q->to_ms)
        return false;
    return !q->tag.n || note_has_tag(w, read, item->subject, item->serial, q->tag);
}

/* Along the conversation's own links: what else is stored costs nothing. *next: 0 at its end. */
static int walk(struct work *w, struct store_read *read, uint64_t subject, uint64_t serial,
                uint64_t *next, struct buffer *out)
{
    unsigned shown = 0, walked = 0;
    int r = 0;
    while (serial && shown < w->query.limit && walked < WALK_MAX && !(shown && work_late(w))) {
        struct store_item item;
        uint64_t masked;
        r = store_get_item(read, serial, &item);
        if (r == SLUIS_ENOENT || r == SLUIS_ECRYPTO ||
            r == SLUIS_EINVAL) { /* what came before has gone from the journal, or is damaged */
            serial = 0;
            r = 0;
            break;
        }
        if (r != 0)
            return r;
        if (item.subject != subject || item.channel != w->channel->id)
            return SLUIS_ECRYPTO; /* a link that leads elsewhere */
        walked++;
        if (w->query.from_ms && item.taken_ms < w->query.from_ms - ORDER_SLACK_MS) {
            serial = 0;
            break;
        }
        serial = item.previous;
        if (!wanted(w, read, &item) || (w->query.from_ms && item.taken_ms < w->query.from_ms))
            continue;
        buffer_add_str(out, shown++ ? "," : "");
        r = form_message(w, read, &item, out, &masked);
        if (r == 0)
            r = work_show(w, subject, item.serial, masked);
        if (r != 0)
            return r;
    }
    *next = serial;
    return 0;
}

int operation_messages(struct work *w)
{
    struct buffer *out = &w->q->answer;
    struct store_read *read;
    struct place place;
    uint64_t subject, serial = 0;
    int r = cursor_read(w, &place);
    if (r == 0)
        r = find_subject(w, &subject);
    if (r == 0)
        r = store_read_begin(w->h->deps.store, &read);
    if (r != 0)
        return r;
    serial = place.a;
    if (!serial)
        r = store_get_head(read, w->channel->id, subject, &serial);
    if (r == SLUIS_ENOENT)
        r = history_refuse(w, 404, "not_found", "no such conversation on this channel");
    if (r == 0) {
        buffer_add(out, SPAN("{\"conversation\":\""));
        conversation_write(w->h, w->channel->id, subject, out);
        buffer_add(out, SPAN("\","));
        r = note_write_all(w, read, subject, 0, out);
    }
    buffer_add(out, SPAN(",\"messages\":["));
    if (r == 0)
        r = walk(w, read, subject, serial, &place.a, out);
    store_read_end(read);
    if (r != 0)
        return r;
    buffer_add(out, SPAN("],"));
    cursor_write(w, place.a ? &place : NULL, out);
    buffer_add(out, SPAN("}\n"));
    return work_record(w, AUDIT_HISTORY, "shown", 0);
}

/* ---- conversations ---- */

struct chunk {
    struct store_item items[CHUNK_ITEMS];
    unsigned n;
    uint64_t end; /* order */
    uint16_t channel;
};

static int take_item(void *ctx, const struct store_item *item)
{
    struct chunk *c = ctx;
    if (item->order >= c->end || c->n == CHUNK_ITEMS)
        return 1;
    if (item->channel == c->channel && item->subject && item->kind != STORE_KIND_ACCOUNT)
        c->items[c->n++] = *item;
    return 0;
}

static int add_conversation(struct work *w, struct store_read *read, const struct store_item *item,
                            unsigned n, struct buffer *out)
{
    buffer_add_str(out, n ? ",{\"id\":\"" : "{\"id\":\"");
    conversation_write(w->h, item->channel, item->subject, out);
    buffer_add(out, SPAN("\","));
    add_time(out, "last", item->taken_ms);
    buffer_addf(out, ",\"last_direction\":\"%s\",\"last_message\":%llu,", form_direction(item),
                (unsigned long long)item->serial);
    int r = note_write_all(w, read, item->subject, 0, out);
    arena_reset(&w->worker->arena);
    buffer_add_char(out, '}');
    if (r == 0)
        r = work_show(w, item->subject, item->serial, 0);
    return r ? r : out->error;
}

static bool in_period(const struct work *w, int64_t taken_ms)
{
    return (!w->query.from_ms || taken_ms >= w->query.from_ms) &&
           (!w->query.to_ms || taken_ms < w->query.to_ms);
}

/* Of a chunk the items that are the newest of their conversation, newest first. *end: the order
 * before which to go on. */
static int take_chunk(struct work *w, struct chunk *c, unsigned *shown, uint64_t *end)
{
    struct store_read *read;
    struct buffer *out = &w->q->answer;
    int r = store_read_begin(w->h->deps.store, &read);
    if (r != 0)
        return r;
    for (unsigned i = c->n; r == 0 && i-- > 0 && *shown < w->query.limit;) {
        const struct store_item *item = &c->items[i];
        uint64_t head;
        *end = item->order;
        if (!in_period(w, item->taken_ms))
            continue;
        r = store_get_head(read, item->channel, item->subject, &head);
        if (r == SLUIS_ENOENT || (r == 0 && head != item->serial)) {
            r = 0;
            continue;
        }
        if (r == 0 && !subject_refused(w, item->subject))
            r = add_conversation(w, read, item, (*shown)++, out);
    }
    store_read_end(read);
    return r;
}

static int by_time(struct work *w, struct place *place)
{
    struct chunk *c = malloc(sizeof(*c));
    unsigned shown = 0;
    uint64_t low = 1, end = place->a;
    int r = c ? 0 : SLUIS_ENOMEM;
    if (r == 0 && w->query.from_ms)
        r = find_order(w, w->query.from_ms, &low);
    if (r == 0 && end == 0) {
        r = w->query.to_ms ? find_order(w, w->query.to_ms + 2 * ORDER_SLACK_MS, &end)
                           : find_newest(w, &end);
        end += w->query.to_ms ? 0 : 1;
    }
    while (r == 0 && end > low && shown < w->query.limit && !(shown && work_late(w))) {
        struct store_read *read;
        uint64_t from = end > low + CHUNK_ITEMS ? end - CHUNK_ITEMS : low;
        c->n = 0;
        c->end = end;
        c->channel = w->channel->id;
        r = store_read_begin(w->h->deps.store, &read);
        if (r != 0)
            break;
        r = store_each_readable(read, from, take_item, c, NULL);
        store_read_end(read);
        if (r < 0)
            break;
        uint64_t reached = from;
        r = take_chunk(w, c, &shown, &reached);
        end = shown < w->query.limit ? from : reached;
        if (work_late(w) && !shown) { /* nothing yet: the caller goes on with the cursor */
            break;
        }
    }
    free(c);
    place->a = end > low ? end : 0;
    return r;
}

struct tagged {
    struct work *w;
    uint8_t prefix[NOTE_INDEX_PREFIX];
    uint64_t after;
    struct {
        uint64_t subject;
    } found[HISTORY_PAGE_MAX + 1];
    unsigned n;
};

static int take_tagged(void *ctx, struct span key, struct span value)
{
    struct tagged *t = ctx;
    uint64_t subject, serial;
    (void)value;
    if (key.n < NOTE_INDEX_PREFIX || memcmp(key.p, t->prefix, NOTE_INDEX_PREFIX) != 0)
        return 1;
    if (!note_index_read(key, &subject, &serial) || subject <= t->after ||
        (t->n && t->found[t->n - 1].subject == subject))
        return 0;
    t->found[t->n++].subject = subject;
    return t->n > t->w->query.limit;
}

/* By tag: the index of tags, by person. */
static int by_tag(struct work *w, struct place *place)
{
    struct tagged t = {.w = w, .after = place->a};
    struct store_read *read;
    uint8_t from[NOTE_INDEX_PREFIX + 8];
    unsigned shown = 0;
    note_index_prefix(w, w->query.tag, t.prefix);
    memcpy(from, t.prefix, sizeof(t.prefix));
    be64_put(from + sizeof(t.prefix), place->a);
    int r = store_read_begin(w->h->deps.store, &read);
    if (r != 0)
        return r;
    r = store_each_row(read, STORE_TABLE_HISTORY, span_of(from, sizeof(from)), take_tagged, &t);
    store_read_end(read);
    bool more = t.n > w->query.limit;
    for (unsigned i = 0; r >= 0 && i < t.n && i < w->query.limit; i++) {
        struct store_item item;
        uint64_t head;
        r = store_read_begin(w->h->deps.store, &read);
        if (r != 0)
            return r;
        place->a = t.found[i].subject;
        r = store_get_head(read, w->channel->id, t.found[i].subject, &head);
        if (r == 0)
            r = store_get_item(read, head, &item);
        if (r == 0 && in_period(w, item.taken_ms) && !subject_refused(w, item.subject) &&
            note_has_tag(w, read, item.subject, 0, w->query.tag))
            r = add_conversation(w, read, &item, shown++, &w->q->answer);
        store_read_end(read);
        r = r == SLUIS_ENOENT ? 0 : r;
    }
    if (!more)
        place->a = 0;
    return r < 0 ? r : 0;
}

static int by_person(struct work *w)
{
    struct store_read *read;
    struct store_item item;
    uint64_t subject, head;
    int r = find_subject(w, &subject);
    if (r == 0)
        r = store_read_begin(w->h->deps.store, &read);
    if (r != 0)
        return r;
    r = store_get_head(read, w->channel->id, subject, &head);
    if (r == 0)
        r = store_get_item(read, head, &item);
    if (r == 0 && in_period(w, item.taken_ms) &&
        (!w->query.tag.n || note_has_tag(w, read, subject, 0, w->query.tag)))
        r = add_conversation(w, read, &item, 0, &w->q->answer);
    store_read_end(read);
    return r == SLUIS_ENOENT ? 0 : r;
}

int operation_conversations(struct work *w)
{
    struct place place;
    int r = cursor_read(w, &place);
    if (r != 0)
        return r;
    buffer_add(&w->q->answer, SPAN("{\"conversations\":["));
    if (w->query.contact.n || w->query.external_ref.n)
        r = by_person(w);
    else if (w->query.tag.n)
        r = by_tag(w, &place);
    else
        r = by_time(w, &place);
    if (r != 0)
        return r;
    buffer_add(&w->q->answer, SPAN("],"));
    cursor_write(w, place.a ? &place : NULL, &w->q->answer);
    buffer_add(&w->q->answer, SPAN("}\n"));
    return work_record(w, AUDIT_HISTORY, "listed", 0);
}

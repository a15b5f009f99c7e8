/*
 * Search: a walk over the journal of a period that unseals each message inside the gateway, a slice
 * at a time. Words are looked for in what is stored for long (every finding replaced), so that no
 * value behind a mask can be searched for; what fits is rendered for the reader, and must still
 * hold the words then.
 */
#include "room.h"

#include <stdlib.h>

#define LOOK_ITEMS 8192u /* of any channel, in one read transaction */
#define LATE_ITEMS 256u  /* after so many the clock is looked at: they are not opened */

static bool holds_all(struct work *w, const struct span *words, struct span text)
{
    struct span folded;
    if (fold_text(&w->worker->arena, text, &folded) != 0)
        return false;
    for (unsigned i = 0; i < w->query.word_count; i++)
        if (!folded.n || !memmem(folded.p, folded.n, words[i].p, words[i].n))
            return false;
    return true;
}

struct slice {
    struct work *w;
    struct span words[WORDS_MAX]; /* folded */
    struct store_item items[CHUNK_ITEMS];
    unsigned n, looked;
    uint64_t next;
    bool past; /* the period has ended */
};

static int take_item(void *ctx, const struct store_item *item)
{
    struct slice *s = ctx;
    const struct query *q = &s->w->query;
    if (s->n == CHUNK_ITEMS || s->looked == LOOK_ITEMS ||
        (s->looked % LATE_ITEMS == LATE_ITEMS - 1 && work_late(s->w)))
        return 1;
    s->looked++;
    if (item->taken_ms >= q->to_ms + ORDER_SLACK_MS) {
        s->past = true;
        return 1;
    }
    s->next = item->order + 1;
    if (item->channel == s->w->channel->id && item->subject && item->taken_ms >= q->from_ms &&
        item->taken_ms < q->to_ms && item->kind != STORE_KIND_STATUS &&
        item->kind != STORE_KIND_ACCOUNT)
        s->items[s->n++] = *item;
    return 0;
}

/* Does the stored form hold the words? What cannot be opened does not. */
static bool fits_stored(struct work *w, const struct span *words, struct store_read *read,
                        const struct store_item *item)
{
    struct arena *arena = &w->worker->arena;
    struct judged judged;
    struct json_doc doc;
    struct span packed, json, text = SPAN_EMPTY;
    if (w->query.word_count == 0)
        return true;
    struct record_id id;
    int r = retention_part(read, item, 'M', &id);
    if (r == SLUIS_ENOENT)
        r = retention_part(read, item, 'O', &id);
    return r == 0 && read_record(w->worker->keys, read, &id, arena, &packed) == 0 &&
           mask_unpack(packed, arena, &judged, &json) == 0 &&
           json_scan(&doc, json, arena, NULL) == 0 &&
           mask_window_text(&doc, 0, arena, &text) == 0 && holds_all(w, words, text);
}

/* Rendered for the reader it must hold them still. */
static int fits_shown(struct work *w, const struct span *words, struct store_read *read,
                      const struct store_item *item, bool *fits)
{
    struct form form;
    struct buffer content;
    struct span text = SPAN_EMPTY;
    *fits = w->query.word_count == 0;
    if (*fits)
        return 0;
    buffer_init(&content, 4 * STORE_RECORD_MAX);
    int r = form_open(w, read, item, false, &form);
    if (r == 0 && form.json.n)
        r = form_render(w, &form, &content, &text);
    *fits = r == 0 && text.n && holds_all(w, words, text);
    buffer_free(&content);
    return r == SLUIS_EJUDGE || r == SLUIS_ELIMIT ? 0 : r;
}

static int look(struct work *w, const struct span *words, struct store_read *read,
                const struct store_item *item, unsigned *hits)
{
    struct buffer *out = &w->q->answer;
    bool fits =
        !subject_refused(w, item->subject) &&
        (!w->query.tag.n || note_has_tag(w, read, item->subject, item->serial, w->query.tag) ||
         note_has_tag(w, read, item->subject, 0, w->query.tag)) &&
        fits_stored(w, words, read, item);
    int r = 0;
    if (fits)
        r = fits_shown(w, words, read, item, &fits);
    arena_reset(&w->worker->arena);
    if (r != 0 || !fits)
        return r;
    uint64_t masked;
    buffer_add_str(out, (*hits)++ ? ",{\"conversation\":\"" : "{\"conversation\":\"");
    conversation_write(w->h, item->channel, item->subject, out);
    buffer_add(out, SPAN("\",\"message\":"));
    r = form_message(w, read, item, out, &masked);
    buffer_add_char(out, '}');
    return r ? r : work_show(w, item->subject, item->serial, masked);
}

/* One read transaction: some items and their parts. *next: the order to go on from, 0 at the end.
 */
static int scan(struct work *w, struct slice *s, uint64_t *next, uint64_t *scanned, unsigned *hits)
{
    struct store_read *read;
    int r = store_read_begin(w->h->deps.store, &read);
    if (r != 0)
        return r;
    s->n = s->looked = 0;
    s->past = false;
    s->next = 0;
    r = store_each_readable(read, *next, take_item, s, NULL);
    r = r < 0 ? r : 0;
    *next = s->past ? 0 : s->next;
    for (unsigned i = 0; r == 0 && i < s->n; i++) {
        if (*hits == w->query.limit || (i && work_late(w))) { /* one at least: it must go on */
            *next = s->items[i].order;
            break;
        }
        ++*scanned;
        r = look(w, s->words, read, &s->items[i], hits);
    }
    store_read_end(read);
    return r;
}

int operation_search(struct work *w)
{
    struct buffer *out = &w->q->answer;
    struct place place;
    uint64_t scanned = 0;
    unsigned hits = 0;
    int r = cursor_read(w, &place);
    if (r == 0 && place.a == 0)
        r = find_order(w, w->query.from_ms, &place.a);
    if (r != 0)
        return r;
    struct slice *s = malloc(sizeof(*s));
    if (!s)
        return SLUIS_ENOMEM;
    s->w = w;
    for (unsigned i = 0; r == 0 && i < w->query.word_count; i++)
        r = fold_text(&w->arena, w->query.words[i], &s->words[i]);
    buffer_add(out, SPAN("{\"hits\":["));
    while (r == 0 && place.a && hits < w->query.limit) {
        r = scan(w, s, &place.a, &scanned, &hits);
        if (work_late(w))
            break;
    }
    free(s);
    if (r != 0)
        return r;
    buffer_addf(out, "],\"scanned\":%llu,", (unsigned long long)scanned);
    cursor_write(w, place.a ? &place : NULL, out);
    buffer_add(out, SPAN("}\n"));
    return work_record(w, AUDIT_SEARCH, "searched", scanned);
}

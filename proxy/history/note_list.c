/* Tags and notes read: with what they are about, for statistics, in an export of a person. */
#include "note.h"

#include "sluis/base/encode.h"

#define PERSON_BYTES (1 + 2 + 8) /* of a prefix: all of one person on one channel */

bool note_has_tag(struct work *w, struct store_read *read, uint64_t subject, uint64_t serial,
                  struct span tag)
{
    uint8_t key[KEY_BYTES], index[INDEX_BYTES];
    struct buffer plain;
    struct span value;
    note_tag_key(w, subject, serial, tag, key, index);
    if (store_get_row(read, STORE_TABLE_HISTORY, span_of(key, sizeof(key)), &w->worker->arena,
                      &value) != 0)
        return false;
    buffer_init(&plain, STORE_VALUE_MAX);
    bool has = note_row_open(w->worker->keys, span_of(key, sizeof(key)), value, &plain) == 0;
    buffer_free(&plain);
    return has;
}

/* ---- all of one message or conversation ---- */

/* A note is judged by the policy of now and masked like a message that the organisation wrote. */
static int add_note(struct note_gather *g, int64_t at_ms, struct span author, struct span packed,
                    uint64_t number)
{
    struct work *w = g->w;
    struct form form = {.table = MASK_TABLE_SEND,
                        .facts = {.out = true, .channel = g->w->channel->name, .at_ms = at_ms}};
    struct buffer content;
    struct span text = SPAN_EMPTY, kept;
    int r = arena_try_copy(&w->worker->arena, packed, &kept);
    if (r == 0)
        r = mask_unpack(kept, &w->worker->arena, &form.judged, &form.json);
    if (r == 0)
        r = json_scan(&form.doc, form.json, &w->worker->arena, NULL);
    if (r != 0)
        return r;
    const struct read_judge judge = {.doc = &form.doc,
                                     .table = form.table,
                                     .policy = w->policy,
                                     .scratch = w->worker->scratch,
                                     .at_ms = at_ms};
    r = read_rejudge(&judge, &w->worker->arena, &form.judged);
    form.unjudged = r == SLUIS_EJUDGE || r == SLUIS_ELIMIT;
    buffer_init(&content, STORE_RECORD_MAX);
    if (r == 0 || form.unjudged)
        r = form_render(w, &form, &content, &text);
    if (r == 0) {
        buffer_addf(&g->notes, "%s{\"id\":%llu,", g->note_count ? "," : "",
                    (unsigned long long)number);
        add_time(&g->notes, "at", at_ms);
        buffer_add(&g->notes, SPAN(",\"author\":"));
        json_quote(&g->notes, author);
        buffer_add(&g->notes, SPAN(",\"text\":"));
        json_quote(&g->notes, text);
        buffer_add_char(&g->notes, '}');
        g->note_count++;
    }
    buffer_free(&content);
    return r;
}

static int take_row(void *ctx, struct span key, struct span value)
{
    struct note_gather *g = ctx;
    if (key.n != KEY_BYTES || memcmp(key.p, g->prefix, PREFIX_BYTES) != 0)
        return 1;
    struct buffer plain;
    buffer_init(&plain, STORE_VALUE_MAX);
    int r = note_row_open(g->w->worker->keys, key, value, &plain);
    if (r == 0) {
        struct span rest = span_from(buffer_span(&plain), KEY_BYTES);
        int64_t at_ms = (int64_t)be64_get((const uint8_t *)rest.p);
        size_t n = (uint8_t)rest.p[8];
        struct span author = span_sub(rest, 9, 9 + n), body = span_from(rest, 9 + n);
        if (key.p[PREFIX_BYTES] == 't' && g->tag_count < TAGS_MAX) {
            buffer_addf(&g->tags, "%s", g->tag_count++ ? "," : "");
            json_quote(&g->tags, body);
        } else if (key.p[PREFIX_BYTES] == 'n' && g->note_count < NOTES_MAX) {
            r = add_note(g, at_ms, author, body, be64_get((const uint8_t *)key.p + KEY_BYTES - 8));
        }
    }
    buffer_free(&plain);
    if (r != 0 && r != SLUIS_EEXPIRED)
        g->error = r;
    return g->error != 0;
}

int note_gather(struct work *w, struct store_read *read, uint64_t subject, uint64_t serial,
                struct note_gather *g)
{
    *g = (struct note_gather){.w = w};
    buffer_init(&g->tags, 8192);
    buffer_init(&g->notes, 1024 * 1024);
    note_prefix(w->channel->id, subject, serial, g->prefix);
    int r =
        store_each_row(read, STORE_TABLE_HISTORY, span_of(g->prefix, PREFIX_BYTES), take_row, g);
    return r < 0 ? r : g->error;
}

int note_write_all(struct work *w, struct store_read *read, uint64_t subject, uint64_t serial,
                   struct buffer *out)
{
    struct note_gather g;
    int r = note_gather(w, read, subject, serial, &g);
    buffer_add(out, SPAN("\"tags\":["));
    buffer_add(out, buffer_span(&g.tags));
    buffer_add(out, SPAN("],\"notes\":["));
    buffer_add(out, buffer_span(&g.notes));
    buffer_add_char(out, ']');
    if (r == 0)
        r = g.tags.error ? g.tags.error : g.notes.error;
    buffer_free(&g.tags);
    buffer_free(&g.notes);
    return r;
}

/* ---- for statistics ---- */

struct listed {
    struct worker *worker;
    uint8_t prefix[KEY_BYTES];
    unsigned n, most;
    size_t size;
    char *out;
};

static int list_tag(void *ctx, struct span key, struct span value)
{
    struct listed *l = ctx;
    struct buffer plain;
    if (key.n != KEY_BYTES || memcmp(key.p, l->prefix, PREFIX_BYTES) != 0 || l->n == l->most)
        return 1;
    if (key.p[PREFIX_BYTES] != 't')
        return 0;
    buffer_init(&plain, STORE_VALUE_MAX);
    if (note_row_open(l->worker->keys, key, value, &plain) == 0) {
        size_t author = (uint8_t)plain.p[KEY_BYTES + 8];
        struct span tag = span_from(buffer_span(&plain), KEY_BYTES + 9 + author);
        if (tag.n && tag.n < l->size) {
            memcpy(l->out + l->n * l->size, tag.p, tag.n);
            l->out[l->n++ * l->size + tag.n] = '\0';
        }
    }
    buffer_free(&plain);
    return 0;
}

unsigned history_tags(struct history *h, uint16_t channel, uint64_t subject, unsigned most,
                      size_t size, char *out)
{
    struct worker *worker = &h->workers[WORKER_SCANS];
    struct listed l = {.worker = worker, .most = most, .size = size, .out = out};
    struct store_read *read;
    note_prefix(channel, subject, 0, l.prefix);
    if (store_read_begin(h->deps.store, &read) != 0)
        return 0;
    if (store_each_row(read, STORE_TABLE_HISTORY, span_of(l.prefix, PREFIX_BYTES), list_tag, &l) <
        0)
        l.n = 0;
    store_read_end(read);
    return l.n;
}

/* ---- for an export of what is kept of a person ---- */

struct person_notes {
    struct keyring_cache *keys;
    struct arena arena;
    struct buffer *out;
    uint8_t prefix[KEY_BYTES];
    unsigned n;
    int error;
};

static int export_body(struct person_notes *e, bool note, struct span body)
{
    struct judged judged;
    struct span json;
    if (!note) {
        json_quote(e->out, body);
        return 0;
    }
    int r = mask_unpack(body, &e->arena, &judged, &json);
    if (r == 0)
        buffer_add(e->out, json); /* as it was written: it is about this person */
    return r;
}

static int export_row(void *ctx, struct span key, struct span value)
{
    struct person_notes *e = ctx;
    struct buffer plain;
    if (key.n != KEY_BYTES || memcmp(key.p, e->prefix, PERSON_BYTES) != 0)
        return 1;
    buffer_init(&plain, STORE_VALUE_MAX);
    int r = note_row_open(e->keys, key, value, &plain);
    if (r == 0) {
        struct span rest = span_from(buffer_span(&plain), KEY_BYTES);
        bool note = key.p[PREFIX_BYTES] == 'n';
        size_t author = (uint8_t)rest.p[8];
        buffer_addf(e->out, "%s{\"message\":%llu,", e->n++ ? "," : "",
                    (unsigned long long)be64_get((const uint8_t *)key.p + 11));
        add_time(e->out, "at", (int64_t)be64_get((const uint8_t *)rest.p));
        buffer_add(e->out, SPAN(",\"author\":"));
        json_quote(e->out, span_sub(rest, 9, 9 + author));
        buffer_addf(e->out, ",\"%s\":", note ? "note" : "tag");
        r = export_body(e, note, span_from(rest, 9 + author));
        buffer_add_char(e->out, '}');
    }
    buffer_free(&plain);
    if (r != 0 && r != SLUIS_EEXPIRED)
        e->error = r;
    return e->error != 0;
}

int history_person_export(struct history *h, uint16_t channel, uint64_t subject, struct buffer *out)
{
    struct person_notes e = {.out = out};
    struct store_read *read;
    int r = keyring_cache_new(h->deps.keyring, &e.keys);
    if (r != 0)
        return r;
    arena_init(&e.arena, 1024 * 1024);
    note_prefix(channel, subject, 0, e.prefix);
    r = store_read_begin(h->deps.store, &read);
    if (r == 0) {
        r = store_each_row(read, STORE_TABLE_HISTORY, span_of(e.prefix, PERSON_BYTES), export_row,
                           &e);
        store_read_end(read);
    }
    arena_free(&e.arena);
    keyring_cache_free(e.keys);
    return r < 0 ? r : e.error ? e.error : out->error;
}

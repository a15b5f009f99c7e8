/* What a minimum class (the selection list: Archiefwet, Woo) demanded was kept, and is about to
 * end. */
#include "room.h"

#include <stdio.h>

#define LOOK_MAX 4096u /* rows of one call */

struct look {
    struct work *w;
    uint16_t cls;
    uint64_t last, subjects[HISTORY_PAGE_MAX];
    unsigned n, looked;
    int64_t before_ms;
    struct record_id next;
    bool more;
    int error;
    uint64_t serials[LOOK_MAX];
    uint32_t buckets[LOOK_MAX];
    unsigned serial_count;
    int64_t first_end_ms;
};

static int take_key(void *ctx, const struct record_id *id)
{
    struct look *l = ctx;
    int64_t ends;
    l->error = retention_bucket_end(l->w->h->deps.store, l->cls, id->bucket, &ends);
    if (l->error || ends >= l->before_ms)
        return 1;
    if (l->serial_count == LOOK_MAX) {
        l->next = *id;
        l->more = true;
        return 1;
    }
    if (ends > clock_wall_ms() &&
        (l->serial_count == 0 || l->serials[l->serial_count - 1] != id->serial)) {
        if (l->first_end_ms == 0)
            l->first_end_ms = ends;
        l->buckets[l->serial_count] = id->bucket;
        l->serials[l->serial_count++] = id->serial;
    }
    return 0;
}

static bool known(struct look *l, uint64_t subject)
{
    for (unsigned i = 0; i < l->n; i++)
        if (l->subjects[i] == subject)
            return true;
    return false;
}

/* Persons behind the rows, each once; *at: how far it came. */
static int take_subjects(struct work *w, struct store_read *read, struct look *l, unsigned *at)
{
    for (*at = 0; *at < l->serial_count && l->n < w->query.limit; ++*at) {
        struct store_item item;
        int r = store_get_item(read, l->serials[*at], &item);
        if (r != 0 && r != SLUIS_ENOENT)
            return r;
        if (r == 0 && item.channel == w->channel->id && !known(l, item.subject) &&
            !subject_refused(w, item.subject)) {
            struct buffer *out = &w->q->answer;
            buffer_add_str(out, l->n ? ",\"" : "\"");
            conversation_write(w->h, item.channel, item.subject, out);
            buffer_add_char(out, '"');
            l->subjects[l->n++] = item.subject;
            r = work_show(w, item.subject, item.serial, 0);
            if (r != 0)
                return r;
        }
    }
    return 0;
}

static int one_class(struct work *w, struct look *l, const char *name, struct place *place)
{
    struct store_read *read;
    struct buffer *out = &w->q->answer;
    unsigned at = 0;
    int r = store_read_begin(w->h->deps.store, &read);
    if (r != 0)
        return r;
    r = store_each_key(read, l->cls, (uint32_t)place->b, place->c, take_key, l);
    r = r < 0 ? r : l->error;
    if (r == 0 && l->serial_count) {
        buffer_add(out, SPAN("{\"class\":"));
        json_quote(out, span_str(name));
        buffer_add_char(out, ',');
        add_time(out, "first_ends", l->first_end_ms);
        buffer_addf(out, ",\"messages\":%u,\"more\":%s,\"conversations\":[", l->serial_count,
                    l->more ? "true" : "false");
        r = take_subjects(w, read, l, &at);
        if (at < l->serial_count) { /* more persons than fit in this answer */
            l->next = (struct record_id){.bucket = l->buckets[at], .serial = l->serials[at]};
            l->more = true;
        }
        buffer_add(out, SPAN("]}"));
    }
    store_read_end(read);
    return r;
}

int operation_expiring(struct work *w)
{
    struct place place;
    char name[256];
    bool any = false;
    static const char minimum[] = "/min/";
    int r = cursor_read(w, &place);
    if (r != 0)
        return r;
    struct look *l = arena_try(&w->arena, sizeof(*l));
    if (!l)
        return SLUIS_ENOMEM;
    uint16_t cls = place.a ? (uint16_t)place.a : 1;
    buffer_add(&w->q->answer, SPAN("{\"classes\":["));
    /* One class a call: a cursor leads to the next. */
    for (; r == 0 && !any && cls <= STORE_CLASSES_MAX; cls++) {
        if (store_id_name(w->h->deps.store, STORE_NAME_CLASS, cls, name) != 0 ||
            !strstr(name, minimum)) {
            place.b = place.c = 0;
            continue;
        }
        *l = (struct look){.w = w, .cls = cls, .before_ms = w->query.before_ms};
        r = one_class(w, l, name, &place);
        any = l->serial_count > 0;
        place = (struct place){0};
        if (l->more) {
            place = (struct place){cls, l->next.bucket, l->next.serial};
            break;
        }
    }
    if (r != 0)
        return r;
    if (!place.a && cls <= STORE_CLASSES_MAX)
        place.a = cls;
    buffer_add(&w->q->answer, SPAN("],"));
    cursor_write(w, place.a ? &place : NULL, &w->q->answer);
    buffer_add(&w->q->answer, SPAN("}\n"));
    return work_record(w, AUDIT_HISTORY, "listed", 0);
}

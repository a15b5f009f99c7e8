/*
 * One conversation for an archive: parts of a document, JSON or HTML without script, with metadata.
 * Newest first, as the conversation is walked. Parts one after the other are the document.
 */
#include "room.h"

#include "sluis/base/encode.h"

static bool is_html(const struct work *w)
{
    return span_is(w->query.form, "html");
}

static void begin(struct work *w, uint64_t subject, struct buffer *doc)
{
    char now[CLOCK_RFC3339_SIZE];
    clock_rfc3339(clock_wall_ms(), now);
    const struct {
        const char *name, *nl, *value;
    } rows[] = {{"controller", "Verantwoordelijke", policy_controller(w->policy)},
                {"dpo", "Functionaris gegevensbescherming", policy_dpo(w->policy)},
                {"processing_activity", "Verwerking", policy_activity(w->policy)},
                {"channel", "Kanaal", w->channel->name},
                {"policy", "Beleid", policy_name(w->policy)},
                {"policy_hash", "Beleid (SHA-256)", policy_hash(w->policy)},
                {"exported_at", "Uitgevoerd op (UTC)", now},
                {"exported_by", "Uitgevoerd door", w->actor},
                {"role", "Rol", w->role},
                {"purpose", "Doel", w->purpose},
                {"reference", "Kenmerk", w->reference}};
    if (is_html(w))
        buffer_add(doc, SPAN("<!DOCTYPE html>\n<html lang=\"nl\"><head><meta charset=\"utf-8\">"
                             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
                             "'none'; style-src 'unsafe-inline'\">"
                             "<title>Gesprek</title><style>body{font:1em sans-serif;max-width:60em;"
                             "margin:1em auto}th{text-align:left;vertical-align:top}td,th{padding:"
                             ".2em .6em}.in{background:#f3f3f3}</style></head><body>\n"
                             "<h1>Gesprek</h1>\n<table>\n"));
    else
        buffer_add(doc, SPAN("{\"export\":{"));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (is_html(w)) {
            buffer_addf(doc, "<tr><th>%s</th><td>", rows[i].nl);
            html_escape(doc, span_str(rows[i].value));
            buffer_add(doc, SPAN("</td></tr>\n"));
        } else {
            buffer_addf(doc, "\"%s\":", rows[i].name);
            json_quote(doc, span_str(rows[i].value));
            buffer_add_char(doc, ',');
        }
    }
    if (is_html(w)) {
        buffer_add(doc, SPAN("</table>\n<table>\n<tr><th>Tijd (UTC)</th><th>Van</th><th>Bericht"
                             "</th><th>Bewaard tot</th></tr>\n"));
    } else {
        buffer_add(doc, SPAN("\"conversation\":\""));
        conversation_write(w->h, w->channel->id, subject, doc);
        buffer_add(doc, SPAN("\"},\"messages\":["));
    }
}

/* When the last part of it ends, and on what ground it was kept. */
static int64_t kept_until(struct work *w, const struct store_item *item)
{
    int64_t o = 0, m = 0;
    if (item->cls_o && retention_bucket_end(w->h->deps.store, item->cls_o, item->bucket_o, &o) != 0)
        o = 0;
    if (item->cls_m && retention_bucket_end(w->h->deps.store, item->cls_m, item->bucket_m, &m) != 0)
        m = 0;
    return o > m ? o : m;
}

static int add_html(struct work *w, struct store_read *read, const struct store_item *item,
                    struct buffer *doc, uint64_t *masked)
{
    char at[CLOCK_RFC3339_SIZE], until[CLOCK_RFC3339_SIZE];
    struct form form;
    struct buffer content;
    struct span text = SPAN_EMPTY;
    buffer_init(&content, 4 * STORE_RECORD_MAX);
    int r = form_open(w, read, item, false, &form);
    bool there = r == 0 && form.json.n;
    if (there)
        r = form_render(w, &form, &content, &text);
    if (r == SLUIS_EJUDGE || r == SLUIS_ELIMIT) {
        text = SPAN("[bericht kon niet worden gecontroleerd]");
        r = 0;
    }
    *masked = there ? form.judged.found : 0;
    clock_rfc3339(item->at_ms, at);
    clock_rfc3339(kept_until(w, item), until);
    bool in = item->kind == STORE_KIND_MESSAGE;
    buffer_addf(doc, "<tr class=\"%s\"><td>%s</td><td>%s</td><td>", in ? "in" : "out", at,
                in ? "Klant" : "Organisatie");
    html_escape(doc, !there ? SPAN("[niet meer bewaard]") : text.n ? text : SPAN("[geen tekst]"));
    buffer_addf(doc, "</td><td>%s</td></tr>\n", until);
    buffer_free(&content);
    arena_reset(&w->worker->arena);
    return r;
}

static int add_json(struct work *w, struct store_read *read, const struct store_item *item,
                    unsigned n, struct buffer *doc, uint64_t *masked)
{
    buffer_add_str(doc, n ? ",{" : "{");
    add_time(doc, "kept_until", kept_until(w, item));
    buffer_add(doc, SPAN(",\"message\":"));
    int r = form_message(w, read, item, doc, masked);
    buffer_add_char(doc, '}');
    return r;
}

static int walk(struct work *w, struct store_read *read, uint64_t subject, struct place *place,
                struct buffer *doc)
{
    unsigned shown = 0, walked = 0;
    while (place->a && shown < w->query.limit && walked++ < WALK_MAX && !(shown && work_late(w))) {
        struct store_item item;
        uint64_t masked = 0;
        int r = store_get_item(read, place->a, &item);
        if (r == SLUIS_ENOENT) {
            place->a = 0;
            return 0;
        }
        if (r != 0)
            return r;
        if (item.subject != subject || item.channel != w->channel->id)
            return SLUIS_ECRYPTO;
        place->a = item.previous;
        bool wanted = item.kind != STORE_KIND_ACCOUNT && item.kind != STORE_KIND_STATUS &&
                      (!w->query.from_ms || item.taken_ms >= w->query.from_ms) &&
                      (!w->query.to_ms || item.taken_ms < w->query.to_ms);
        if (!wanted)
            continue;
        r = is_html(w) ? add_html(w, read, &item, doc, &masked)
                       : add_json(w, read, &item, (unsigned)(place->b + shown), doc, &masked);
        if (r == 0)
            r = work_show(w, subject, item.serial, masked);
        if (r != 0)
            return r;
        shown++;
    }
    place->b += shown;
    return 0;
}

int operation_export(struct work *w)
{
    struct buffer doc, *out = &w->q->answer;
    struct store_read *read;
    struct place place;
    uint64_t subject;
    int r = cursor_read(w, &place);
    bool first = !w->query.cursor.n;
    if (r == 0)
        r = find_subject(w, &subject);
    if (r == 0)
        r = store_read_begin(w->h->deps.store, &read);
    if (r != 0)
        return r;
    buffer_init(&doc, HISTORY_ANSWER_MAX / 2);
    if (first)
        r = store_get_head(read, w->channel->id, subject, &place.a);
    if (r == SLUIS_ENOENT) /* known on another channel is not known here */
        r = history_refuse(w, 404, "not_found", "no such conversation on this channel");
    if (r == 0 && first)
        begin(w, subject, &doc);
    if (r == 0)
        r = walk(w, read, subject, &place, &doc);
    store_read_end(read);
    if (r == 0 && !place.a)
        buffer_add_str(&doc, is_html(w) ? "</table>\n</body></html>\n" : "]}\n");
    if (r == 0)
        r = doc.error;
    if (r == 0) {
        buffer_add(out, SPAN("{\"document\":"));
        json_quote(out, buffer_span(&doc));
        buffer_add_char(out, ',');
        cursor_write(w, place.a ? &place : NULL, out);
        buffer_add(out, SPAN("}\n"));
    }
    buffer_free(&doc);
    return r ? r : work_record(w, AUDIT_EXPORT, is_html(w) ? "exported_html" : "exported", 0);
}

/* One stored message in the form that this reader gets. */
#include "room.h"

#include "sluis/contact.h"

#include <sodium.h>

static bool gone(int r)
{
    return r == SLUIS_ENOENT || r == SLUIS_EEXPIRED;
}

static int fetch_part(struct work *w, struct store_read *read, const struct store_item *item,
                      uint8_t part, struct span *packed)
{
    struct record_id id;
    int r = retention_part(read, item, part, &id); /* also where it was sealed anew */
    return r ? r : read_record(w->worker->keys, read, &id, &w->worker->arena, packed);
}

/* The best part there is, packed; form->word says which. */
static int fetch(struct work *w, struct store_read *read, const struct store_item *item,
                 bool original, struct form *form, struct span *packed)
{
    int r = fetch_part(w, read, item, 'O', packed);
    form->word = "original";
    if (original)
        return r == SLUIS_ENOENT ? SLUIS_EEXPIRED : r;
    if (gone(r)) {
        r = fetch_part(w, read, item, 'M', packed);
        form->word = "stored";
    }
    return r;
}

/* Sent messages are stored as the tool's call was, the others as units of a webhook. */
struct retention_facts form_facts(const struct work *w, const struct store_item *item)
{
    struct contacts *contacts = w->h->deps.contacts;
    const struct contact_id id = {item->channel, item->subject};
    return (struct retention_facts){.out = item->kind != STORE_KIND_MESSAGE,
                                    .channel = w->channel->name,
                                    .at_ms = item->at_ms,
                                    .consent = contacts && policy_minds_consent(w->policy) &&
                                               contact_consents(contacts, id)};
}

static enum mask_table table_of(const struct store_item *item)
{
    return item->kind == STORE_KIND_SENT ? MASK_TABLE_SEND : MASK_TABLE_WEBHOOK;
}

int form_open(struct work *w, struct store_read *read, const struct store_item *item, bool original,
              struct form *form)
{
    struct span packed;
    struct arena *arena = &w->worker->arena;
    *form = (struct form){.word = "gone",
                          .table = table_of(item),
                          .facts = form_facts(w, item),
                          .unjudged = (item->flags & STORE_ITEM_UNJUDGED) != 0};
    int r = retention_withdrawn(read, item->serial, &form->withdrawn);
    if (r == 0 && form->withdrawn && original)
        r = SLUIS_ENOENT;
    if (r == 0)
        r = fetch(w, read, item, original, form, &packed);
    if (gone(r)) {
        form->word = "gone";
        return original ? SLUIS_EEXPIRED : 0;
    }
    if (r == 0)
        r = mask_unpack(packed, arena, &form->judged, &form->json);
    if (r == 0)
        r = json_scan(&form->doc, form->json, arena, NULL);
    if (r == 0 && form->withdrawn) {
        form->judged = (struct judged){.count = 0};
        form->unjudged = true;
        form->word = "withdrawn";
    }
    if (r != 0 || form->unjudged)
        return r;
    const struct read_judge judge = {.doc = &form->doc,
                                     .table = form->table,
                                     .policy = w->policy,
                                     .scratch = w->worker->scratch,
                                     .from_customer = item->kind == STORE_KIND_MESSAGE,
                                     .at_ms = item->at_ms};
    r = read_rejudge(&judge, arena, &form->judged);
    form->unjudged = r == SLUIS_EJUDGE || r == SLUIS_ELIMIT;
    return form->unjudged ? 0 : r;
}

/* ---- rendering ---- */

/* In calls of tools rendering leaves identifiers as they are: what this reader must not see of them
 * becomes an alias. */
static int hide_identifiers(struct work *w, struct json_doc *doc, struct buffer *out)
{
    static const char *const paths[] = {"to", "recipient", "context.message_id",
                                        "reaction.message_id", "recipient_identity_key_hash"};
    struct json_edit edits[sizeof(paths) / sizeof(paths[0])];
    struct arena *arena = &w->worker->arena;
    struct buffer alias;
    size_t n = 0;
    int r = 0;
    buffer_init(&alias, 4096);
    for (size_t i = 0; r == 0 && i < sizeof(paths) / sizeof(paths[0]); i++) {
        uint32_t node = json_path(doc, 0, paths[i]);
        struct span id, kept = SPAN_EMPTY;
        if (!json_is(doc, node, JSON_STRING))
            continue;
        buffer_clear(&alias);
        buffer_add_char(&alias, '"');
        r = json_string(doc, node, arena, &id);
        if (r == 0)
            r = mask_alias(w->alias_key, id, &alias);
        buffer_add_char(&alias, '"');
        if (r == 0)
            r = arena_try_copy(arena, buffer_span(&alias), &kept);
        edits[n++] =
            (struct json_edit){json_node(doc, node)->start, json_node(doc, node)->end, kept};
    }
    buffer_free(&alias);
    for (size_t i = 1; i < n; i++) /* few: sorted by hand */
        for (size_t k = i; k > 0 && edits[k].start < edits[k - 1].start; k--) {
            const struct json_edit swap = edits[k];
            edits[k] = edits[k - 1];
            edits[k - 1] = swap;
        }
    return r ? r : json_emit(out, doc->text, 0, (uint32_t)doc->text.n, edits, n);
}

/* The message's own object in a rendered unit; the whole when there is none (statuses, events). */
static uint32_t message_node(const struct json_doc *doc, enum mask_table table)
{
    static const char *const places[] = {"messages.0", "message_echoes.0",
                                         "history.0.threads.0.messages.0", "statuses.0"};
    uint32_t value =
        table == MASK_TABLE_SEND ? JSON_NONE : json_path(doc, 0, "entry.0.changes.0.value");
    for (size_t i = 0; value != JSON_NONE && i < sizeof(places) / sizeof(places[0]); i++) {
        uint32_t node = json_path(doc, value, places[i]);
        if (json_is(doc, node, JSON_OBJECT))
            return node;
    }
    return value == JSON_NONE ? 0 : value;
}

int form_render(struct work *w, const struct form *form, struct buffer *content, struct span *text)
{
    struct arena *arena = &w->worker->arena;
    struct json_doc doc;
    struct buffer whole, shown;
    struct span kept = SPAN_EMPTY;
    const struct mask_reader reader = {
        .profile = w->profile,
        .policy = w->policy,
        .media =
            MEDIA_WITHHOLD, /* history has no pictures: their lines and captions stand for them */
        .route = w->route ? w->route->policy : NULL,
        .hash_key = w->hash_key,
        .alias_key = w->alias_key,
        .facts = &form->facts,
        .unjudged = form->unjudged,
        .hidden = form->withdrawn ? SPAN(MASK_WITHDRAWN_TEXT) : SPAN_EMPTY,
    };
    buffer_init(&whole, 4 * STORE_RECORD_MAX);
    buffer_init(&shown, 4 * STORE_RECORD_MAX);
    int r = mask_render(&form->doc, 0, form->table, &form->judged, &reader, arena, &whole);
    if (r == 0 && form->table == MASK_TABLE_SEND && profile_hides_contact(w->profile)) {
        r = json_scan(&doc, buffer_span(&whole), arena, NULL);
        if (r == 0)
            r = hide_identifiers(w, &doc, &shown);
    } else if (r == 0) {
        buffer_add(&shown, buffer_span(&whole));
    }
    if (r == 0)
        r = whole.error ? whole.error : shown.error;
    if (r == 0)
        r = arena_try_copy(arena, buffer_span(&shown), &kept);
    if (r == 0)
        r = json_scan(&doc, kept, arena, NULL);
    if (r == 0) {
        buffer_add(content, json_raw(&doc, message_node(&doc, form->table)));
        r = mask_window_text(&doc, 0, arena, text);
    }
    buffer_free(&whole);
    buffer_free(&shown);
    return r ? r : content->error;
}

const char *form_direction(const struct store_item *item)
{
    static const char *const words[] = {[STORE_KIND_MESSAGE] = "in",
                                        [STORE_KIND_STATUS] = "status",
                                        [STORE_KIND_ECHO] = "out",
                                        [STORE_KIND_ACCOUNT] = "account",
                                        [STORE_KIND_SENT] = "out"};
    return item->kind && item->kind <= STORE_KIND_SENT ? words[item->kind] : "other";
}

static const char *kind_word(const struct store_item *item)
{
    static const char *const words[] = {[STORE_KIND_MESSAGE] = "message",
                                        [STORE_KIND_STATUS] = "status",
                                        [STORE_KIND_ECHO] = "echo",
                                        [STORE_KIND_ACCOUNT] = "account",
                                        [STORE_KIND_SENT] = "sent"};
    return item->kind && item->kind <= STORE_KIND_SENT ? words[item->kind] : "other";
}

static uint64_t masked_of(const struct work *w, const struct form *form)
{
    uint64_t masked = 0, found = form->judged.found;
    struct retention_facts facts = form->facts;
    facts.found = found;
    facts.media = form->judged.has_media;
    for (unsigned type = 0; type < DETECT_TYPES_MAX; type++)
        if (found >> type & 1 && profile_rule_for(w->profile, &facts, type).action != MASK_KEEP)
            masked |= (uint64_t)1 << type;
    return masked;
}

static void add_masked(const struct work *w, uint64_t masked, struct buffer *out)
{
    bool any = false;
    buffer_add(out, SPAN(",\"masked\":["));
    for (unsigned type = 0; type < DETECT_TYPES_MAX; type++) {
        const char *word = masked >> type & 1 ? policy_type_word(w->policy, type) : NULL;
        if (!word)
            continue;
        buffer_addf(out, "%s\"%s\"", any ? "," : "", word);
        any = true;
    }
    buffer_add_char(out, ']');
}

static int add_content(struct work *w, struct store_read *read, const struct store_item *item,
                       struct buffer *out, uint64_t *masked)
{
    struct form form;
    struct buffer content;
    struct span text = SPAN_EMPTY;
    buffer_init(&content, 4 * STORE_RECORD_MAX);
    int r = form_open(w, read, item, false, &form);
    bool there = r == 0 && form.json.n > 0;
    if (there)
        r = form_render(w, &form, &content, &text);
    if (r == SLUIS_EJUDGE ||
        r == SLUIS_ELIMIT) { /* one that cannot be shown does not hide the others */
        there = false;
        form.word = "withheld";
        r = 0;
    }
    buffer_addf(out, ",\"form\":\"%s\"", form.word);
    if (there) {
        *masked = masked_of(w, &form);
        add_masked(w, *masked, out);
        buffer_addf(out, ",\"media\":%s,\"text\":", form.judged.has_media ? "true" : "false");
        if (text.n)
            json_quote(out, text);
        else
            buffer_add(out, SPAN("null"));
        buffer_add(out, SPAN(",\"content\":"));
        buffer_add(out, buffer_span(&content));
    } else {
        buffer_add(out, SPAN(",\"masked\":[],\"media\":false,\"text\":null,\"content\":null"));
    }
    buffer_free(&content);
    return r;
}

int form_message(struct work *w, struct store_read *read, const struct store_item *item,
                 struct buffer *out, uint64_t *masked)
{
    *masked = 0;
    buffer_addf(out, "{\"id\":%llu,", (unsigned long long)item->serial);
    add_time(out, "at", item->at_ms);
    buffer_add_char(out, ',');
    add_time(out, "taken", item->taken_ms);
    buffer_addf(out, ",\"direction\":\"%s\",\"kind\":\"%s\"", form_direction(item),
                kind_word(item));
    int r = add_content(w, read, item, out, masked);
    arena_reset(&w->worker->arena);
    if (r == 0) {
        buffer_add_char(out, ',');
        r = note_write_all(w, read, item->subject, item->serial, out);
        arena_reset(&w->worker->arena);
    }
    buffer_add_char(out, '}');
    return r ? r : out->error;
}

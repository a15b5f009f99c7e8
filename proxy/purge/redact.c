/*
 * Redaction by hand and correction (art. 16): one message, or all of a person's in which a text
 * stands. One commit a message: what stays of part M under a serial of its own, the old rows gone,
 * word of their leaf, a leaf of the log; then the keys, as with a message that was taken back.
 */
#include "room.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "sluis/base/clock.h"
#include "sluis/base/json.h"
#include "sluis/base/log.h"
#include "sluis/mask.h"

#define ARENA_MAX (8u * 1024 * 1024)
#define EDITS_MAX 64 /* strings of one message */
#define PATH_MAX_BYTES 512
#define REMOVED_MAX 256 /* places in one part; with more, types are taken to be there still */

struct redact {
    struct store_job job;
    struct purge *p;
    const struct purge_redaction *asked;
    struct store_item item;
    struct record_id o, m;     /* where the parts are; class 0: nowhere */
    struct record_id id;       /* where M will be; class 0: nothing stays */
    struct retention_moved at; /* and the row that says so */
    struct buffer sealed;
    struct audit_event event;
    struct arena arena;
    struct json_edit edits[EDITS_MAX];
    unsigned edit_count;
    uint64_t places;
    struct removed { /* raw bytes of the part at hand in which the text stood */
        uint32_t start, end;
    } removed[REMOVED_MAX];
    unsigned removed_count;
    uint64_t gone_types;            /* found in part O, and now nowhere in it */
    struct detect_scratch *scratch; /* made when it is needed */
};

static enum mask_table table_of(const struct redact *d)
{
    return d->item.kind == STORE_KIND_SENT ? MASK_TABLE_SEND : MASK_TABLE_WEBHOOK;
}

/* ---- where the text stands ---- */

/* Where in the raw text the places are, for what was found in them. */
static int note_removed(struct redact *d, const struct json_doc *doc, uint32_t node)
{
    const struct span raw = json_inner(doc, node), find = d->asked->text;
    const uint32_t base = json_node(doc, node)->start + 1;
    char *text = arena_try(&d->arena, raw.n + 1);
    uint32_t *map = arena_try(&d->arena, (raw.n + 1) * sizeof(*map));
    size_t n = 0, at = 0;
    if (!text || !map)
        return SLUIS_ENOMEM;
    json_decode_map(raw, text, map, &n);
    while (at < n) {
        const char *found = memmem(text + at, n - at, find.p, find.n);
        if (!found)
            break;
        size_t start = (size_t)(found - text);
        at = start + find.n;
        if (d->removed_count == REMOVED_MAX)
            break;
        d->removed[d->removed_count++] = (struct removed){base + map[start], base + map[at]};
    }
    return 0;
}

static bool is_removed(const struct redact *d, const struct mask_finding *f)
{
    for (unsigned i = 0; i < d->removed_count; i++)
        if (f->start >= d->removed[i].start && f->end <= d->removed[i].end)
            return true;
    return false;
}

/* Types of which every finding went with the text. What was found without a place of its own (the
 * first half of a value, say) stays. */
static uint64_t types_removed(const struct redact *d, const struct judged *judged)
{
    uint64_t went = 0, stays = 0;
    for (size_t i = 0; i < judged->count; i++) {
        const struct mask_finding *f = &judged->findings[i];
        uint64_t bit = f->also | (uint64_t)1 << f->type;
        if (is_removed(d, f))
            went |= bit;
        else
            stays |= bit;
    }
    return went & ~stays;
}

static int edit_string(struct redact *d, const struct json_doc *doc, uint32_t node)
{
    struct span text, rest, with;
    struct buffer next, quoted;
    const struct span find = d->asked->text;
    const struct span instead = d->asked->instead.n ? d->asked->instead : SPAN(PURGE_HIDDEN_TEXT);
    int r = json_string(doc, node, &d->arena, &text);
    if (r != 0 || !memmem(text.p, text.n, find.p, find.n))
        return r;
    if (d->edit_count == EDITS_MAX)
        return SLUIS_ELIMIT;
    r = note_removed(d, doc, node);
    if (r != 0)
        return r;
    buffer_init(&next, STORE_RECORD_MAX);
    buffer_init(&quoted, STORE_RECORD_MAX);
    for (rest = text; rest.n;) {
        const char *found = memmem(rest.p, rest.n, find.p, find.n);
        size_t before = found ? (size_t)(found - rest.p) : rest.n;
        buffer_add(&next, span_sub(rest, 0, before));
        if (found)
            buffer_add(&next, instead);
        d->places += found != NULL;
        rest = span_from(rest, before + (found ? find.n : 0));
    }
    json_quote(&quoted, buffer_span(&next));
    r = next.error ? next.error : quoted.error;
    if (r == 0)
        r = arena_try_copy(&d->arena, buffer_span(&quoted), &with);
    const struct json_node *v = json_node(doc, node);
    if (r == 0)
        d->edits[d->edit_count++] = (struct json_edit){v->start, v->end, with};
    buffer_free(&next);
    buffer_free(&quoted);
    return r;
}

/* Every string that is content by its path; what has no path that fits is content. */
static int edit_below(struct redact *d, const struct json_doc *doc, uint32_t node,
                      enum mask_table table, char *path, size_t used)
{
    unsigned index = 0;
    int r = 0;
    if (json_is(doc, node, JSON_STRING)) {
        enum mask_kind kind = mask_path_kind(table, used ? path + 1 : "");
        return kind == MASK_CONTENT || kind == MASK_CONTENT_JSON || kind == MASK_TOOL_DATA
                   ? edit_string(d, doc, node)
                   : 0;
    }
    bool object = json_is(doc, node, JSON_OBJECT);
    for (uint32_t child = json_first(doc, node); r == 0 && child != JSON_NONE;
         child = json_next(doc, child), index++) {
        struct span name = SPAN_EMPTY;
        if (object)
            r = json_name(doc, child, &d->arena, &name);
        int n = object ? snprintf(path + used, PATH_MAX_BYTES - used, ".%.*s", (int)name.n, name.p)
                       : snprintf(path + used, PATH_MAX_BYTES - used, ".%u", index);
        if (n < 0 || (size_t)n >= PATH_MAX_BYTES - used)
            r = SLUIS_ELIMIT;
        if (r == 0)
            r = edit_below(d, doc, child, table, path, used + (size_t)n);
        path[used] = '\0';
    }
    return r;
}

/* ---- a part, opened ---- */

static int open_part(struct redact *d, const struct record_id *id, struct span *packed)
{
    struct store_read *read;
    struct buffer plain;
    struct span sealed;
    *packed = SPAN_EMPTY;
    if (!id->cls)
        return SLUIS_ENOENT;
    buffer_init(&plain, STORE_RECORD_MAX);
    int r = store_read_begin(d->p->deps.store, &read);
    if (r == 0) {
        r = store_get_record(read, id, &d->arena, &sealed);
        store_read_end(read);
    }
    if (r == 0)
        r = record_open(d->p->cache, 0, id, sealed, &plain);
    if (r == 0)
        r = arena_try_copy(&d->arena, buffer_span(&plain), packed);
    if (plain.p)
        sodium_memzero(plain.p, plain.n);
    buffer_free(&plain);
    return r;
}

/* The edits of one part; the text itself may stand in one of them only (M is masked already). */
static int find_edits(struct redact *d, struct span packed, struct judged *judged,
                      struct span *json)
{
    char path[PATH_MAX_BYTES] = "";
    struct json_doc doc;
    d->edit_count = d->removed_count = 0;
    int r = mask_unpack(packed, &d->arena, judged, json);
    if (r == 0)
        r = json_scan(&doc, *json, &d->arena, NULL);
    if (r == 0)
        r = edit_below(d, &doc, 0, table_of(d), path, 0);
    return r;
}

/* The policy of the message's channel, or any: part M is for no reader in particular. */
static int policy_of(struct redact *d, struct policy **out)
{
    const struct purge_deps *deps = &d->p->deps;
    char name[256];
    *out = NULL;
    if (deps->channel_policy &&
        store_id_name(deps->store, STORE_NAME_CHANNEL, d->item.channel, name) == 0)
        *out = deps->channel_policy(deps->ctx, name);
    return *out ? 0 : any_policy(d->p, out);
}

/* A correction may be a number itself: it is judged, and what is found in it masked as the rest of
 * part M is. The types that were found in what stays are known from intake. */
static int mask_edited(struct redact *d, struct span edited, struct judged *judged,
                       struct buffer *out)
{
    struct policy *policy;
    struct judged now;
    struct json_doc doc;
    int r = policy_of(d, &policy);
    if (r != 0)
        return r;
    if (!d->scratch)
        r = detect_scratch_new(&d->scratch);
    if (r == 0)
        r = json_scan(&doc, edited, &d->arena, NULL);
    const struct judge_input input = {.doc = &doc,
                                      .table = table_of(d),
                                      .policy = policy,
                                      .scratch = d->scratch,
                                      .from_customer = d->item.kind == STORE_KIND_MESSAGE,
                                      .at_ms = d->item.at_ms};
    if (r == 0)
        r = mask_judge(&input, &d->arena, &now);
    const struct mask_reader reader = {
        .profile = policy_storage_profile(policy), .policy = policy, .media = MEDIA_PASS};
    if (r == 0)
        r = mask_render(&doc, 0, table_of(d), &now, &reader, &d->arena, out);
    if (r == 0)
        judged->found = (judged->found & ~d->gone_types) | now.found;
    policy_unref(policy);
    return r ? r : out->error;
}

/* What M becomes, packed. */
static int make_m(struct redact *d, struct span packed, struct judged *judged, struct span json,
                  struct buffer *out)
{
    struct buffer text, masked;
    if (!d->asked->text.n) {
        const struct span instead =
            d->asked->instead.n ? d->asked->instead : SPAN(PURGE_HIDDEN_TEXT);
        return make_stub(d->p, &d->item, packed, instead, &d->arena, out);
    }
    buffer_init(&text, STORE_RECORD_MAX);
    buffer_init(&masked, STORE_RECORD_MAX);
    int r = json_emit(&text, json, 0, (uint32_t)json.n, d->edits, d->edit_count);
    if (r == 0)
        r = mask_edited(d, buffer_span(&text), judged, &masked);
    if (r == 0) { /* offsets say nothing about M; types and media stay */
        struct judged kept = {.found = judged->found, .has_media = judged->has_media};
        mask_pack(&kept, buffer_span(&masked), out);
    }
    buffer_free(&text);
    buffer_free(&masked);
    return r ? r : out->error;
}

/* ---- one message ---- */

static int find_places(struct redact *d)
{
    struct store_read *read;
    int r = store_read_begin(d->p->deps.store, &read);
    if (r != 0)
        return r;
    r = retention_part(read, &d->item, 'O', &d->o);
    if (r == SLUIS_ENOENT)
        d->o = (struct record_id){0};
    if (r == 0 || r == SLUIS_ENOENT)
        r = retention_part(read, &d->item, 'M', &d->m);
    if (r == SLUIS_ENOENT)
        d->m = (struct record_id){0};
    store_read_end(read);
    return r == SLUIS_ENOENT ? 0 : r;
}

static bool gone(int r)
{
    return r == SLUIS_ENOENT || r == SLUIS_EEXPIRED;
}

/* SLUIS_ENOENT: it is not about this message. Else the new M is sealed, or nothing stays. */
static int prepare(struct redact *d)
{
    struct span packed_o, packed_m, json = SPAN_EMPTY;
    struct judged judged = {0};
    struct buffer plain;
    d->places = d->gone_types = 0;
    d->id = (struct record_id){0};
    int r = find_places(d);
    if (r != 0)
        return r;
    int has_o = open_part(d, &d->o, &packed_o), has_m = open_part(d, &d->m, &packed_m);
    if ((has_o != 0 && !gone(has_o)) || (has_m != 0 && !gone(has_m)))
        return gone(has_o) || has_o == 0 ? has_m : has_o;
    if (has_o != 0 && has_m != 0)
        return SLUIS_ENOENT;
    if (d->asked->text.n && has_o == 0)
        r = find_edits(d, packed_o, &judged, &json);
    if (r == 0 && d->removed_count < REMOVED_MAX)
        d->gone_types = types_removed(d, &judged);
    uint64_t in_o = d->places;
    d->places = 0;
    if (r == 0 && d->asked->text.n && has_m == 0)
        r = find_edits(d, packed_m, &judged, &json);
    d->places = d->asked->text.n ? (d->places ? d->places : in_o) : 1;
    if (r == 0 && d->places == 0)
        r = SLUIS_ENOENT;
    if (r != 0 || has_m != 0 || d->asked->dry_run)
        return r;
    buffer_init(&plain, STORE_RECORD_MAX);
    r = make_m(d, packed_m, &judged, json, &plain);
    if (r == 0) {
        d->id = d->m;
        d->id.serial = store_next_serial(d->p->deps.store);
        buffer_clear(&d->sealed);
        r = record_seal(d->p->cache, 0, &d->id, 0, buffer_span(&plain), &d->sealed);
    }
    buffer_free(&plain);
    return r;
}

static int run_redact(struct store_txn *txn, struct store_job *job)
{
    struct redact *d = (struct redact *)(void *)job;
    const uint64_t leaf = d->o.cls ? d->o.serial : d->m.serial;
    if (d->o.cls)
        store_delete_record(txn, &d->o);
    if (d->m.cls)
        store_delete_record(txn, &d->m);
    if (d->id.cls)
        store_put_record(txn, &d->id, buffer_span(&d->sealed));
    retention_moved_put(txn, d->item.serial, &d->at);
    purge_leaf_put(txn, leaf, d->item.serial, d->item.subject);
    if (leaf != d->item.serial)
        purge_leaf_put(txn, d->item.serial, d->item.serial, d->item.subject);
    audit_put(txn, &d->event);
    return store_txn_error(txn);
}

static int write_one(struct redact *d)
{
    d->at = (struct retention_moved){
        .serial = d->id.serial, .cls_m = d->id.cls, .bucket_m = d->id.bucket};
    int r = person_event(d->p, d->item.subject, AUDIT_ERASE,
                         d->asked->instead.n ? "corrected" : "redacted", &d->event);
    d->event.object = d->item.serial;
    d->event.count = d->places;
    d->job = (struct store_job){.priority = STORE_PURGE, .run = run_redact};
    if (r == 0 && d->id.cls && d->p->deps.keep_media) /* with the words, not with the old keys */
        r = d->p->deps.keep_media(d->p->deps.ctx, d->item.subject, d->item.serial, &d->id);
    if (r == 0 && d->id.cls && d->p->deps.keep_notes)
        r = d->p->deps.keep_notes(d->p->deps.ctx, d->item.channel, d->item.subject, d->item.serial,
                                  &d->id);
    if (r == 0)
        r = store_submit_wait(d->p->deps.store, &d->job);
    if (r == 0 && d->p->deps.drop)
        d->p->deps.drop(d->p->deps.ctx, d->item.serial);
    return r;
}

/* ---- all of them ---- */

static int find_items(struct purge *p, const struct purge_redaction *asked,
                      struct person_items *items, uint64_t *subject)
{
    struct store_read *read;
    *items = (struct person_items){0};
    if (!asked->message) {
        int r = person_find(p, asked->identifier, subject);
        return r ? r : person_items(p, *subject, items);
    }
    items->at = calloc(1, sizeof(*items->at));
    if (!items->at)
        return SLUIS_ENOMEM;
    items->room = 1;
    int r = store_read_begin(p->deps.store, &read);
    if (r != 0)
        return r;
    r = store_get_item(read, asked->message, &items->at[0]);
    store_read_end(read);
    items->n = r == 0;
    if (r == 0)
        *subject = items->at[0].subject;
    return r;
}

/* Before anything is written: a stop in between tells of what is yet to be done, and the next time
 * tells again. The other way round routes would never hear of it. */
static int tell_first(struct redact *d, const struct person_items *items, struct teller *t)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < items->n; i++) {
        d->item = items->at[i];
        r = prepare(d);
        if (r == 0)
            r = tell_add(t, &d->item);
        else if (r == SLUIS_ENOENT)
            r = 0;
        arena_reset(&d->arena);
    }
    return r ? r : tell_flush(t);
}

static int redact_all(struct redact *d, const struct person_items *items, struct teller *t,
                      struct purge_redacted *out)
{
    int r = tell_first(d, items, t);
    for (size_t i = 0; r == 0 && i < items->n; i++) {
        d->item = items->at[i];
        r = prepare(d);
        if (r == 0) {
            out->messages++;
            out->places += d->places;
            if (!d->asked->dry_run)
                r = write_one(d);
        } else if (r == SLUIS_ENOENT) {
            r = 0;
        }
        arena_reset(&d->arena);
    }
    for (unsigned i = 0; r == 0 && i < t->n && !d->asked->dry_run; i++)
        if (t->at[i].messages)
            out->number = t->event;
    return r == 0 && out->messages == 0 ? SLUIS_ENOENT : r;
}

int purge_redact(struct purge *p, const struct purge_redaction *asked, struct purge_redacted *out)
{
    struct person_items items = {0};
    uint64_t subject = 0;
    *out = (struct purge_redacted){0};
    if ((!asked->message && (!asked->identifier.n || !asked->text.n)) ||
        asked->text.n > PURGE_TEXT_MAX || asked->instead.n > PURGE_TEXT_MAX)
        return SLUIS_EINVAL;
    struct redact *d = calloc(1, sizeof(*d));
    struct teller *t = calloc(1, sizeof(*t));
    if (!d || !t) {
        free(d);
        free(t);
        return SLUIS_ENOMEM;
    }
    *d = (struct redact){.p = p, .asked = asked};
    arena_init(&d->arena, ARENA_MAX);
    buffer_init(&d->sealed, STORE_RECORD_MAX);
    *t = (struct teller){.p = p,
                         .event = store_next_serial(p->deps.store),
                         .what = PURGE_TELL_ERASED,
                         .dry = asked->dry_run,
                         .now_ms = clock_wall_ms()};
    pthread_mutex_lock(&p->lock);
    int r = find_items(p, asked, &items, &subject);
    if (r == 0 && purge_held(p, subject))
        r = SLUIS_EDENIED;
    if (r == 0)
        r = redact_all(d, &items, t, out);
    pthread_mutex_unlock(&p->lock);
    int drained = asked->dry_run ? 0 : revoke_drain(p); /* also what stands already */
    if (out->messages && !asked->dry_run && p->deps.forget)
        p->deps.forget(p->deps.ctx, subject); /* the windows hold it as well */
    if (!asked->dry_run && r != SLUIS_ENOENT && r != SLUIS_EDENIED && r != SLUIS_EMANY)
        LOG(r || drained ? LOG_ALARM : LOG_INFO, "purge", "redacted",
            log_u64("messages", out->messages), log_error(r ? r : drained));
    person_items_free(&items);
    buffer_free(&d->sealed);
    arena_free(&d->arena);
    detect_scratch_free(d->scratch);
    free(d);
    free(t);
    return r ? r : drained;
}

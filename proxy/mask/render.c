/* Rendering for one reader: a walk in document order that collects edits, then one emit. Every leaf
 * takes the findings that lie in it, whatever its kind, so that a table that has changed since the
 * judging never shows one. */
#include "render.h"

#include "inner.h"
#include "media.h"
#include "replace.h"
#include "token.h"
#include "window.h"

#define EDITS_FIRST 16
#define OUT_MAX                                                                                    \
    (64u * 1024 * 1024) /* of one replaced value; the caller's buffer caps the whole               \
                         */
#define MARK "sluis"    /* our own member at the top of a delivered unit */

void render_fail(struct render *r, int error)
{
    if (!r->error)
        r->error = error;
}

static void edit(struct render *r, uint32_t start, uint32_t end, struct span with)
{
    if (r->n == r->capacity) {
        size_t more = r->capacity ? r->capacity * 2 : EDITS_FIRST;
        struct json_edit *edits = arena_try(r->arena, more * sizeof *edits);
        if (!edits) {
            render_fail(r, SLUIS_ENOMEM);
            return;
        }
        if (r->n)
            memcpy(edits, r->edits, r->n * sizeof *edits);
        r->edits = edits;
        r->capacity = more;
    }
    r->edits[r->n++] = (struct json_edit){start, end, with};
}

void render_hidden(struct render *r)
{
    json_escape(&r->text, r->reader->hidden.n ? r->reader->hidden : SPAN(MASK_UNJUDGED_TEXT));
}

/* Edits with what stands in r->text, which is emptied. */
void render_edit_text(struct render *r, uint32_t start, uint32_t end)
{
    struct span with = SPAN_EMPTY;
    if (r->text.error)
        render_fail(r, r->text.error);
    else if (arena_try_copy(r->arena, buffer_span(&r->text), &with) != 0)
        render_fail(r, SLUIS_ENOMEM);
    buffer_clear(&r->text);
    edit(r, start, end, with);
}

/* The findings that touch [start, end), in order. Ranges must come in document order. */
const struct mask_finding *render_take(struct render *r, uint32_t start, uint32_t end, size_t *n)
{
    while (r->cursor < r->count && r->findings[r->cursor].end <= start)
        r->cursor++;
    *n = 0;
    if (r->cursor == r->count)
        return NULL;
    const struct mask_finding *first = r->findings + r->cursor;
    while (r->cursor < r->count && r->findings[r->cursor].start < end) {
        ++*n;
        r->cursor++;
    }
    if (*n && first[*n - 1].end > end)
        r->cursor--; /* reaches into what follows: hidden there too */
    return first;
}

static struct mask_rule rule_of_type(const struct render *r, unsigned type)
{
    if (type == RENDER_CUT || type == RENDER_FORGED)
        return (struct mask_rule){.action = MASK_REDACT};
    if (r->reader->observing && type != DETECT_SECRET)
        return (struct mask_rule){.action = MASK_KEEP};
    struct mask_rule rule =
        profile_rule_for(r->reader->profile, r->reader->facts ? &r->facts : NULL, type);
    if (rule.action == MASK_KEEP && type == DETECT_PHONE && r->hides)
        rule.action = MASK_REDACT; /* a number in a text gives the contact away as well */
    return rule;
}

struct mask_rule render_rule(const struct render *r, const struct mask_finding *f, unsigned *by)
{
    struct mask_rule rule = rule_of_type(r, f->type);
    *by = f->type;
    uint64_t also = f->also;
    if (also) /* without its own: a cut has none and a type beyond the bits */
        also &= ~((uint64_t)1 << f->type);
    for (; also; also &= also - 1) {
        unsigned other = (unsigned)__builtin_ctzll(also);
        struct mask_rule next = rule_of_type(r, other);
        if (mask_rule_stricter(next, rule))
            *by = other;
        rule = mask_rule_join(rule, next);
    }
    return f->rest ? mask_rule_of_rest(rule) : rule;
}

static enum mask_action action_of(const struct render *r, const struct mask_finding *f)
{
    unsigned by;
    return render_rule(r, f, &by).action;
}

static bool shows_all(const struct render *r, const struct mask_finding *f, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (action_of(r, &f[i]) != MASK_KEEP)
            return false;
    return true;
}

/* Adds the mask of the raw content [start, end) to r->text. */
static void add_mask(struct render *r, struct mask_rule rule, unsigned type, uint32_t start,
                     uint32_t end)
{
    struct span raw = span_sub(r->doc->text, start, end), value;
    if (type == RENDER_CUT) {
        const struct mask_media cut = {.state = MASK_MEDIA_WITHHELD};
        media_line(SPAN("image"), false, &cut, &r->text);
        return;
    }
    if (type == RENDER_FORGED) {
        buffer_add(&r->text, SPAN("\\uff03")); /* a full-width sign: reads alike, is never ours */
        return;
    }
    struct buffer mask;
    char *text = arena_try(r->arena, raw.n);
    uint32_t *map = arena_try(r->arena, (raw.n + 1) * sizeof *map);
    if (!text || !map) {
        render_fail(r, SLUIS_ENOMEM);
        return;
    }
    size_t n;
    json_decode_map(raw, text, map, &n);
    value = span_of(text, n);
    buffer_init(&mask, OUT_MAX);
    if (rule.action == MASK_TOKEN && r->reader->token)
        mask_token_write(r->reader->policy, type, value, r->reader->token, &mask);
    else
        replace_value(rule, type, value, r->reader->policy, r->reader->hash_key, &mask);
    json_escape(&r->text, buffer_span(&mask));
    if (mask.error)
        render_fail(r, mask.error);
    buffer_free(&mask);
}

/* Adds raw content [start, end) to r->text with its findings masked. */
void render_masked(struct render *r, uint32_t start, uint32_t end, const struct mask_finding *f,
                   size_t n)
{
    uint32_t at = start;
    for (size_t i = 0; i < n; i++) {
        if (action_of(r, &f[i]) == MASK_BLOCK) {
            json_escape(&r->text, SPAN(REPLACE_BLOCKED));
            return;
        }
    }
    for (size_t i = 0; i < n; i++) {
        unsigned by;
        struct mask_rule rule = render_rule(r, &f[i], &by);
        uint32_t from = f[i].start > at ? f[i].start : at;
        uint32_t to = f[i].end < end ? f[i].end : end;
        if (rule.action == MASK_KEEP || from >= to)
            continue;
        if (json_emit(&r->text, r->doc->text, at, from, NULL, 0) != 0)
            return; /* sticky in r->text */
        add_mask(r, rule, by, from, to);
        at = to;
    }
    if (json_emit(&r->text, r->doc->text, at, end, NULL, 0) != 0)
        return;
}

/* ---- leaves ---- */

static void render_number(struct render *r, uint32_t node, bool content)
{
    const struct json_node *v = &r->doc->nodes[node];
    size_t n;
    const struct mask_finding *f = render_take(r, v->start, v->end, &n);
    if (content && r->reader->unjudged) {
        edit(r, v->start, v->end, SPAN("0"));
    } else if (!shows_all(r, f, n)) {
        buffer_add_char(&r->text, '"');
        render_masked(r, v->start, v->end, f, n);
        buffer_add_char(&r->text, '"');
        render_edit_text(r, v->start, v->end);
    }
}

static void render_string(struct render *r, uint32_t node, const struct path_row *row, bool content)
{
    const struct json_node *v = &r->doc->nodes[node];
    size_t n;
    uint32_t start = v->start + 1, end = v->end - 1;
    const struct mask_finding *f = render_take(r, v->start, v->end, &n);
    if (row && row->flags & PATH_VCARD)
        f = render_card_media(r, node, f, &n);
    bool unjudged = content && r->reader->unjudged && end > start;
    if (content && !unjudged && r->table == MASK_TABLE_WEBHOOK)
        f = token_forged(r, node, f, &n);
    if (!unjudged && node != r->marked && shows_all(r, f, n))
        return;
    if (node == r->marked)
        buffer_add(&r->text, SPAN(MASK_EXPIRED_TEXT " "));
    if (unjudged)
        render_hidden(r);
    else
        render_masked(r, start, end, f, n);
    render_edit_text(r, start, end);
}

static void render_identifier(struct render *r, uint32_t node)
{
    const struct json_node *v = &r->doc->nodes[node];
    struct span id = json_raw(r->doc, node);
    bool string = v->kind == JSON_STRING;
    if (!r->hides || r->table == MASK_TABLE_SEND || (string && id.n == 2)) {
        if (string)
            render_string(r, node, NULL, false);
        else
            render_number(r, node, false);
        return;
    }
    if (string && json_string(r->doc, node, r->arena, &id) != 0)
        render_fail(r, SLUIS_ENOMEM);
    int error = r->reader->alias_key ? 0 : SLUIS_EJUDGE;
    buffer_add_char(&r->text, '"');
    if (!error)
        error = mask_alias(r->reader->alias_key, id, &r->text);
    buffer_add_char(&r->text, '"');
    if (error)
        render_fail(r, error);
    render_edit_text(r, v->start, v->end);
}

static void render_value(struct render *r, uint32_t node, const struct path_row *row);

/* The findings of the outer string as ranges of the document in it. */
static int inner_findings(struct render *r, const struct inner *inner, struct render *sub,
                          const struct mask_finding *f, size_t n)
{
    struct mask_finding *list = arena_try(r->arena, n * sizeof *list);
    size_t length = inner->doc.text.n, at = 0;
    if (!list)
        return SLUIS_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        uint32_t from = f[i].start > inner->base ? f[i].start - inner->base : 0;
        uint32_t to = f[i].end > inner->base ? f[i].end - inner->base : 0;
        while (at < length && inner->map[at] < from)
            at++;
        size_t end = at;
        while (end < length && inner->map[end] < to)
            end++;
        list[i] = (struct mask_finding){(uint32_t)at, (uint32_t)end, f[i].type,
                                        f[i].score,   f[i].also,     f[i].rest};
        at = end;
    }
    sub->findings = list;
    sub->count = n;
    return 0;
}

static void render_inner(struct render *r, uint32_t node)
{
    const struct json_node *v = &r->doc->nodes[node];
    struct inner inner;
    size_t n;
    int error = inner_open(r->doc, node, r->arena, &inner);
    if (error == SLUIS_EINVAL) {
        render_string(r, node, NULL, true);
        return;
    }
    struct render sub = {.doc = &inner.doc,
                         .table = r->table,
                         .reader = r->reader,
                         .arena = r->arena,
                         .marked = JSON_NONE,
                         .forged = JSON_NONE,
                         .media = JSON_NONE,
                         .hides = r->hides,
                         .withhold = r->withhold,
                         .inner = true};
    buffer_init(&sub.text, OUT_MAX);
    const struct mask_finding *f = render_take(r, v->start, v->end, &n);
    if (!error)
        error = inner_findings(r, &inner, &sub, f, n);
    if (!error) {
        render_value(&sub, 0, NULL);
        error = sub.error;
    }
    if (!error && sub.n) {
        struct buffer out;
        buffer_init(&out, OUT_MAX);
        error = json_emit(&out, inner.doc.text, 0, (uint32_t)inner.doc.text.n, sub.edits, sub.n);
        json_escape(&r->text, buffer_span(&out));
        buffer_free(&out);
        render_edit_text(r, v->start + 1, v->end - 1);
    }
    buffer_free(&sub.text);
    if (error)
        render_fail(r, error);
}

/* ---- objects and arrays ---- */

static uint32_t item_start(const struct json_node *v)
{
    return v->name_start ? v->name_start - 1 : v->start;
}

/* Takes the item `i` out with its comma. `before`: the item in front, when one was kept. */
static void drop(struct render *r, uint32_t i, uint32_t before, bool kept)
{
    const struct json_node *v = &r->doc->nodes[i];
    if (kept)
        edit(r, r->doc->nodes[before].end, v->end, SPAN_EMPTY);
    else if (v->next != JSON_NONE)
        edit(r, item_start(v), item_start(&r->doc->nodes[v->next]), SPAN_EMPTY);
    else
        edit(r, item_start(v), v->end, SPAN_EMPTY);
}

static bool must_go(struct render *r, uint32_t i, const struct path_row *row)
{
    if (i == r->forged)
        return true; /* nobody else says this in our name */
    if (row && row->kind == MASK_TOOL_DATA)
        return r->table != MASK_TABLE_SEND && !r->reader->keeps_tool_data;
    return false;
}

/* The first finding in a member's name that this reader may not see, or NULL. */
static const struct mask_finding *name_finding(const struct render *r, const struct json_node *v,
                                               size_t *cursor)
{
    while (*cursor < r->count && r->findings[*cursor].end <= v->name_start)
        ++*cursor;
    for (size_t i = *cursor; i < r->count && r->findings[i].start < v->name_end; i++)
        if (action_of(r, &r->findings[i]) != MASK_KEEP)
            return &r->findings[i];
    return NULL;
}

/* Does an unknown name of this object have to change? Then all its names that start with '[' do, so
 * that ours cannot meet one of them. */
static bool names_change(const struct render *r, uint32_t object, const struct path_list *list)
{
    size_t cursor = r->cursor;
    if (r->reader->unjudged)
        return true;
    if (cursor == r->count)
        return false;
    for (uint32_t i = r->doc->nodes[object].child; i != JSON_NONE; i = r->doc->nodes[i].next)
        if (name_finding(r, &r->doc->nodes[i], &cursor) && !paths_find(list, r->doc, i))
            return true;
    return false;
}

static void render_name(struct render *r, uint32_t i, unsigned ordinal)
{
    const struct json_node *v = &r->doc->nodes[i];
    size_t cursor = r->cursor;
    struct span name;
    const struct mask_finding *f = name_finding(r, v, &cursor);
    if (json_name(r->doc, i, r->arena, &name) != 0) {
        render_fail(r, SLUIS_ENOMEM);
        return;
    }
    if (!f && !r->reader->unjudged && !span_starts(name, SPAN("[")))
        return;
    struct buffer label;
    buffer_init(&label, OUT_MAX);
    buffer_add_char(&label, '[');
    unsigned by;
    if (f)
        render_rule(r, f, &by);
    if (f)
        replace_label(r->reader->policy, by, &label);
    else
        buffer_add_str(&label, "veld");
    buffer_addf(&label, " %u]", ordinal);
    json_escape(&r->text, buffer_span(&label));
    if (label.error)
        render_fail(r, label.error);
    buffer_free(&label);
    render_edit_text(r, v->name_start, v->name_end);
}

static void render_object(struct render *r, uint32_t node, const struct path_list *list, bool media)
{
    const struct json_doc *doc = r->doc;
    uint32_t before = JSON_NONE, text = render_becomes_text(r, node, list);
    bool kept = false, rename = names_change(r, node, list);
    unsigned ordinal = 0;
    if (media)
        render_media_begin(r, node);
    for (uint32_t i = doc->nodes[node].child; i != JSON_NONE && !r->error;
         before = i, i = doc->nodes[i].next) {
        const struct json_node *v = &doc->nodes[i];
        const struct path_row *row = paths_find(list, doc, i);
        bool address = render_media_address(r, i, row);
        enum media_member member = media ? render_media_member(r, i) : MEMBER_AS_IT_IS;
        ordinal++;
        if (must_go(r, i, row) || member == MEMBER_DROPPED ||
            (address && !render_own_address(r, i, row))) {
            drop(r, i, before, kept);
            continue;
        }
        kept = true;
        if (address || member == MEMBER_DONE)
            continue;
        if (!row && rename)
            render_name(r, i, ordinal);
        if (i == text) {
            buffer_add_str(&r->text, "\"text\":{\"body\":");
            render_media_line(r, i);
            buffer_add_char(&r->text, '}');
            render_edit_text(r, item_start(v), v->end);
        } else if (text != JSON_NONE && row && span_is(span_str(row->name), "type")) {
            edit(r, v->start, v->end, SPAN("\"text\""));
        } else {
            render_value(r, i, row);
        }
    }
}

static void render_array(struct render *r, uint32_t node, const struct path_row *row)
{
    const struct json_doc *doc = r->doc;
    for (uint32_t i = doc->nodes[node].child; i != JSON_NONE && !r->error; i = doc->nodes[i].next) {
        if (json_is(doc, i, JSON_STRING) && render_media_address(r, i, row))
            edit(r, doc->nodes[i].start, doc->nodes[i].end, SPAN("null"));
        else
            render_value(r, i, row);
    }
}

static void render_leaf(struct render *r, uint32_t node, const struct path_row *row)
{
    enum mask_kind kind = path_leaf_kind(row);
    const struct json_node *v = &r->doc->nodes[node];
    if (v->kind != JSON_STRING && v->kind != JSON_NUMBER)
        return;
    bool content = kind == MASK_CONTENT || kind == MASK_CONTENT_JSON ||
                   (kind == MASK_TOOL_DATA && r->table == MASK_TABLE_SEND);
    if (kind == MASK_IDENTIFIER) {
        render_identifier(r, node);
    } else if (kind == MASK_CONTENT_JSON && v->kind == JSON_STRING && !r->inner) {
        render_inner(r, node);
    } else if (r->hides && row && row->flags & PATH_CONTACT_NAME) {
        buffer_add_str(&r->text, "\"[");
        replace_label(r->reader->policy, DETECT_NAME, &r->text);
        buffer_add_str(&r->text, "]\"");
        render_edit_text(r, v->start, v->end);
    } else if (v->kind == JSON_STRING) {
        render_string(r, node, row, content);
    } else {
        render_number(r, node, content);
    }
}

/* Recursion is bounded by the scanner's depth limit. */
static void render_value(struct render *r, uint32_t node, const struct path_row *row)
{
    const struct json_node *v = &r->doc->nodes[node];
    if (render_withheld(r, node, row)) { /* where the message cannot become a text */
        buffer_add_str(&r->text, "{\"caption\":");
        render_media_line(r, node);
        buffer_add_char(&r->text, '}');
        render_edit_text(r, v->start, v->end);
    } else if (v->kind == JSON_OBJECT) {
        bool media = r->table == MASK_TABLE_WEBHOOK && row && row->flags & PATH_MEDIA;
        render_object(r, node, path_members(row), media);
    } else if (v->kind == JSON_ARRAY) {
        render_array(r, node, path_members(row) ? row : NULL);
    } else {
        render_leaf(r, node, row);
    }
}

/* {"sluis":{"expired":true,"after_gap":true}, ...: what a tool cannot see in Meta's own format. */
static void add_mark(struct render *r, uint32_t root)
{
    const struct json_node *v = &r->doc->nodes[root];
    bool expired = r->reader->expired, gap = r->reader->after_gap;
    if (r->table != MASK_TABLE_WEBHOOK || v->kind != JSON_OBJECT || v->child == JSON_NONE ||
        (!expired && !gap))
        return;
    bool only = v->child == r->forged && r->doc->nodes[v->child].next == JSON_NONE;
    buffer_addf(&r->text, "\"" MARK "\":{%s%s%s}%s", expired ? "\"expired\":true" : "",
                expired && gap ? "," : "", gap ? "\"after_gap\":true" : "", only ? "" : ",");
    render_edit_text(r, v->start + 1, v->start + 1);
}

int mask_render(const struct json_doc *doc, uint32_t root, enum mask_table table,
                const struct judged *judged, const struct mask_reader *reader, struct arena *arena,
                struct buffer *out)
{
    const struct path_row top = {.kind = MASK_STRUCTURE, .members = paths_of(table)};
    if (!top.members || root >= doc->count || !reader->profile || (!judged && !reader->unjudged))
        return SLUIS_EJUDGE;
    struct render r = {.doc = doc, .table = table, .reader = reader, .arena = arena};
    r.marked = r.media = JSON_NONE;
    r.forged = table == MASK_TABLE_WEBHOOK ? json_get(doc, root, SPAN(MARK)) : JSON_NONE;
    r.hides = profile_hides_contact(reader->profile);
    r.withhold = table == MASK_TABLE_WEBHOOK && (reader->media != MEDIA_PASS || reader->unjudged);
    if (judged && !reader->unjudged) {
        r.findings = judged->findings;
        r.count = judged->count;
    }
    if (reader->facts)
        r.facts = *reader->facts;
    if (judged) {
        r.facts.found = judged->found;
        r.facts.media = judged->has_media;
    }
    if (reader->expired && table == MASK_TABLE_WEBHOOK)
        r.marked = window_text(doc, window_message(doc, root));
    buffer_init(&r.text, OUT_MAX);
    add_mark(&r, root);
    render_value(&r, root, &top);
    buffer_free(&r.text);
    if (r.error)
        return r.error;
    const struct json_node *v = &doc->nodes[root];
    return json_emit(out, doc->text, v->start, v->end, r.edits, r.n);
}

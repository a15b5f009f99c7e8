/* Judging: every content string, unknown number and unknown member name of a unit goes through
 * detect, decoded; findings come back as raw byte ranges of the unit's text. */
#include "inner.h"
#include "paths.h"
#include "vcard.h"

#define FINDINGS_FIRST 64 /* on the stack; a text with more is judged again with room for all */
#define LIST_FIRST 8      /* findings of a unit: most have none */
#define NAME_CONTEXT_MAX                                                                           \
    64 /* bytes of a member name put before its value: an array has many values */
#define PHONE_DIGITS_LEAST 7 /* E.164: at most 15, national numbers rarely under 7 */
#define PHONE_DIGITS_MOST 15

struct judge {
    const struct judge_input *in;
    struct arena *arena;
    struct judged *out;
    const struct inner *inner; /* inside response_json; else NULL */
    size_t capacity, back_capacity;
};

/* Where a value stands: its row (NULL: unknown), the node whose member name it goes under. */
struct place {
    const struct path_row *row;
    uint32_t named;
    bool in_message;
};

/* A text to judge: decoded, its map to raw offsets (NULL: one to one), where the raw text starts.
 */
struct judged_text {
    struct span text;
    const uint32_t *map;
    uint32_t raw_start;
};

static const struct json_doc *doc_of(const struct judge *j)
{
    return j->inner ? &j->inner->doc : j->in->doc;
}

static int add(struct judge *j, const struct judged_text *t, const struct finding *f)
{
    size_t end = f->end;
    while (t->map && end > f->start && end < t->text.n && t->map[end] == t->map[end - 1])
        end++; /* never in the middle of an escape */
    uint32_t from = t->raw_start + (t->map ? t->map[f->start] : f->start);
    uint32_t to = t->raw_start + (t->map ? t->map[end] : (uint32_t)end);
    if (j->inner) {
        from = j->inner->base + j->inner->map[from];
        to = j->inner->base + j->inner->map[to];
    }
    if (j->out->count == j->capacity) {
        size_t more = j->capacity ? j->capacity * 2 : LIST_FIRST;
        if (j->capacity == MASK_FINDINGS_MAX)
            return SLUIS_ELIMIT;
        struct mask_finding *list = arena_try(j->arena, more * sizeof *list);
        if (!list)
            return SLUIS_ENOMEM;
        if (j->out->count)
            memcpy(list, j->out->findings, j->out->count * sizeof *list);
        j->out->findings = list;
        j->capacity = more;
    }
    j->out->findings[j->out->count++] =
        (struct mask_finding){from, to, f->type, f->score, f->also, f->rest};
    j->out->found |= f->also | (uint64_t)1 << f->type;
    return 0;
}

static int add_back(struct judge *j, const struct finding *f)
{
    for (size_t i = 0; i < j->out->back_count; i++) {
        struct finding *have = &j->out->back[i];
        if (have->back == f->back && have->start == f->start && have->end == f->end) {
            have->also |= f->also | (uint64_t)1 << f->type;
            j->out->found |= have->also;
            return 0;
        }
    }
    if (j->out->back_count == j->back_capacity) {
        size_t more = j->back_capacity ? j->back_capacity * 2 : LIST_FIRST;
        if (j->back_capacity == MASK_FINDINGS_MAX)
            return SLUIS_ELIMIT;
        struct finding *list = arena_try(j->arena, more * sizeof *list);
        if (!list)
            return SLUIS_ENOMEM;
        if (j->out->back_count)
            memcpy(list, j->out->back, j->out->back_count * sizeof *list);
        j->out->back = list;
        j->back_capacity = more;
    }
    j->out->back[j->out->back_count++] = *f;
    j->out->found |= f->also | (uint64_t)1 << f->type;
    return 0;
}

/* The end of the run of digits at `i`, single separators allowed between them. */
static size_t digit_run(struct span text, size_t i, unsigned *digits)
{
    size_t end = i;
    *digits = 0;
    for (size_t k = i; k < text.n; k++) {
        char c = text.p[k];
        if (c >= '0' && c <= '9') {
            ++*digits;
            end = k + 1;
        } else if (k > end || c == '\0' || !strchr(" -.()", c)) {
            break; /* two separators in a row, or something else */
        }
    }
    return end;
}

/* The next run of digits from *at that is as long as a phone number. */
static bool next_phone(struct span text, size_t *at, struct finding *run)
{
    while (*at < text.n) {
        unsigned digits = 0;
        size_t start = *at;
        if (text.p[start] < '0' || text.p[start] > '9') {
            ++*at;
            continue;
        }
        *at = digit_run(text, start, &digits);
        if (digits < PHONE_DIGITS_LEAST || digits > PHONE_DIGITS_MOST)
            continue;
        *run = (struct finding){
            .start = (uint32_t)start, .end = (uint32_t)*at, .type = DETECT_PHONE, .score = 1000};
        return true;
    }
    return false;
}

/* system.body names the old and the new number without a plus: every such run is a phone number.
 * What detect found keeps its place and learns of it; what sticks out is a rest. */
static int add_phones(struct judge *j, const struct judged_text *t, const struct finding *found,
                      size_t n)
{
    struct finding run;
    size_t at = 0;
    int error = 0;
    bool more = next_phone(t->text, &at, &run);
    for (size_t i = 0; i < n && !error; i++) {
        struct finding f = found[i];
        if (f.back) {
            error = add_back(j, &f);
            continue;
        }
        for (; more && run.start < f.start && !error; more = next_phone(t->text, &at, &run)) {
            struct finding piece = run;
            piece.rest |= run.end > f.start;
            piece.end = run.end > f.start ? f.start : run.end;
            error = add(j, t, &piece);
            if (run.end > f.start) {
                run.start = f.start;
                break;
            }
        }
        for (; more && run.start < f.end; more = next_phone(t->text, &at, &run)) {
            if (f.type != DETECT_PHONE)
                f.also |= (uint64_t)1 << DETECT_PHONE;
            if (run.end > f.end) {
                run.start = f.end;
                run.rest = true;
                break;
            }
        }
        error = error ? error : add(j, t, &f);
    }
    for (; more && !error; more = next_phone(t->text, &at, &run))
        error = add(j, t, &run);
    return error;
}

static int add_found(struct judge *j, const struct judged_text *t, const struct finding *found,
                     size_t n, size_t prefix)
{
    for (size_t i = 0; i < n; i++) {
        struct finding f = found[i];
        int error = 0;
        if (f.type >= DETECT_TYPES_MAX)
            return SLUIS_EJUDGE;
        if (f.back) {
            error = add_back(j, &f);
        } else if (f.end > prefix) { /* what stands in the name is found there */
            f.rest |= f.start < prefix;
            f.start = f.start > prefix ? f.start - (uint32_t)prefix : 0;
            f.end -= (uint32_t)prefix;
            if (f.end > t->text.n)
                return SLUIS_EJUDGE;
            error = add(j, t, &f);
        }
        if (error)
            return error;
    }
    return 0;
}

/* The whole is of this type, whatever it looks like; what else was found in it is not forgotten: a
 * customer's card has in the place of a number what they typed there. */
static int add_forced(struct judge *j, const struct judged_text *t, unsigned type,
                      const struct finding *found, size_t n)
{
    struct finding whole = {.end = (uint32_t)t->text.n, .type = (uint16_t)type, .score = 1000};
    for (size_t i = 0; i < n; i++) {
        if (found[i].type >= DETECT_TYPES_MAX)
            return SLUIS_EJUDGE;
        if (!found[i].back)
            whole.also |= found[i].also | (uint64_t)1 << found[i].type;
    }
    whole.also &= ~((uint64_t)1 << type);
    return add(j, t, &whole);
}

/* Puts "name: " before the text, so that detect sees what it is about. *prefix: bytes added. */
static int with_name(struct judge *j, uint32_t named, struct span *text, size_t *prefix)
{
    struct span name;
    if (named == JSON_NONE ||
        doc_of(j)->nodes[named].name_end == doc_of(j)->nodes[named].name_start)
        return 0;
    int error = json_name(doc_of(j), named, j->arena, &name);
    if (error)
        return error;
    if (name.n > NAME_CONTEXT_MAX) { /* what stands nearest says most */
        name = span_from(name, name.n - NAME_CONTEXT_MAX);
        while (name.n && ((unsigned char)name.p[0] & 0xc0) == 0x80)
            name = span_from(name, 1); /* not in the middle of a character */
    }
    char *p = arena_try(j->arena, name.n + 2 + text->n);
    if (!p)
        return SLUIS_ENOMEM;
    memcpy(p, name.p, name.n);
    for (size_t i = 0; i < name.n; i++)
        if (p[i] == '_')
            p[i] = ' '; /* birth_date, screen_0_bsn: words */
    memcpy(p + name.n, ": ", 2);
    if (text->n)
        memcpy(p + name.n + 2, text->p, text->n);
    *prefix = name.n + 2;
    *text = span_of(p, *prefix + text->n);
    return 0;
}

static int judge_text(struct judge *j, const struct judged_text *t, const struct place *place)
{
    struct finding first[FINDINGS_FIRST], *found = first;
    const struct path_row *row = place->row;
    struct span text = t->text;
    size_t prefix = 0;
    if (text.n == 0)
        return 0;
    if (!row || row->flags & PATH_NAMED) {
        int error = with_name(j, place->named, &text, &prefix);
        if (error)
            return error;
    }
    struct detect_input input = {
        .text = text, .from_customer = j->in->from_customer, .at_ms = j->in->at_ms};
    if (place->in_message) {
        input.earlier = j->in->earlier;
        input.earlier_count = j->in->earlier_count;
    }
    const struct detector *detector = policy_detector(j->in->policy);
    int n = detect_run(detector, j->in->scratch, &input, first, FINDINGS_FIRST);
    if (n == SLUIS_ELIMIT && text.n <= DETECT_TEXT_MAX) {
        found = arena_try(j->arena, MASK_FINDINGS_MAX * sizeof *found);
        if (!found)
            return SLUIS_ENOMEM;
        n = detect_run(detector, j->in->scratch, &input, found, MASK_FINDINGS_MAX);
    }
    if (n < 0)
        return n;
    if (row && row->forces && j->in->table == MASK_TABLE_WEBHOOK)
        return add_forced(j, t, row->forces - 1u, found, (size_t)n);
    if (row && row->flags & PATH_PHONES)
        return add_phones(j, t, found, (size_t)n);
    return add_found(j, t, found, (size_t)n, prefix);
}

static int judge_string(struct judge *j, uint32_t node, const struct place *place)
{
    const struct json_doc *doc = doc_of(j);
    struct judged_text t = {.text = json_inner(doc, node), .raw_start = doc->nodes[node].start + 1};
    if (doc->nodes[node].flags & JSON_ESCAPED) {
        int error = inner_decode(doc, node, j->arena, &t.text, &t.map);
        if (error)
            return error;
    }
    if (place->row && place->row->flags & PATH_VCARD) {
        int error = vcard_unfold(j->arena, &t.text, &t.map);
        if (error)
            return error;
    }
    return judge_text(j, &t, place);
}

static int judge_name(struct judge *j, uint32_t node)
{
    const struct json_doc *doc = doc_of(j);
    const struct json_node *v = &doc->nodes[node];
    const struct place place = {.named = JSON_NONE};
    struct span raw = span_sub(doc->text, v->name_start, v->name_end);
    struct judged_text t = {.text = raw, .raw_start = v->name_start};
    if (v->name_flags & JSON_ESCAPED) {
        char *text = arena_try(j->arena, raw.n);
        uint32_t *map = arena_try(j->arena, (raw.n + 1) * sizeof *map);
        if (!text || !map)
            return SLUIS_ENOMEM;
        size_t n;
        json_decode_map(raw, text, map, &n);
        t.text = span_of(text, n);
        t.map = map;
    }
    return judge_text(j, &t, &place);
}

static int judge_value(struct judge *j, uint32_t node, struct place place);

static int judge_inner(struct judge *j, uint32_t node, const struct place *place)
{
    struct inner inner;
    int error = inner_open(doc_of(j), node, j->arena, &inner);
    if (error == SLUIS_EINVAL)
        return judge_string(j, node, place);
    if (error)
        return error;
    j->inner = &inner;
    error = judge_value(j, 0, (struct place){.named = JSON_NONE, .in_message = place->in_message});
    j->inner = NULL;
    return error;
}

static int judge_members(struct judge *j, uint32_t node, struct place place)
{
    const struct json_doc *doc = doc_of(j);
    bool object = doc->nodes[node].kind == JSON_OBJECT;
    const struct path_list *list = path_members(place.row);
    if (place.row && place.row->flags & PATH_MEDIA && object)
        j->out->has_media = true;
    if (place.row && place.row->flags & PATH_MESSAGE)
        place.in_message = true;
    if (!list)
        place.row = NULL; /* members where none were expected */
    for (uint32_t i = doc->nodes[node].child; i != JSON_NONE; i = doc->nodes[i].next) {
        struct place inside = place; /* an array is transparent */
        if (object) {
            inside.row = paths_find(list, doc, i);
            inside.named = i;
            int error = inside.row ? 0 : judge_name(j, i);
            if (error)
                return error;
        }
        int error = judge_value(j, i, inside);
        if (error)
            return error;
    }
    return 0;
}

/* Recursion is bounded by the scanner's depth limit. */
static int judge_value(struct judge *j, uint32_t node, struct place place)
{
    const struct json_doc *doc = doc_of(j);
    enum json_kind json = json_kind(doc, node);
    if (json == JSON_OBJECT || json == JSON_ARRAY)
        return judge_members(j, node, place);
    if (json != JSON_STRING && json != JSON_NUMBER)
        return 0;
    switch (path_leaf_kind(place.row)) {
    case MASK_STRUCTURE:
    case MASK_IDENTIFIER:
    case MASK_MEDIA_URL:
    case MASK_MEDIA_ID:
        return 0;
    case MASK_TOOL_DATA:
        if (j->in->table != MASK_TABLE_SEND)
            return 0;
        break;
    case MASK_CONTENT_JSON:
        if (json == JSON_STRING && !j->inner)
            return judge_inner(j, node, &place);
        break;
    case MASK_CONTENT:
        break;
    }
    if (json == JSON_STRING)
        return judge_string(j, node, &place);
    struct judged_text t = {.text = json_raw(doc, node), .raw_start = doc->nodes[node].start};
    return judge_text(j, &t, &place);
}

int mask_judge(const struct judge_input *input, struct arena *arena, struct judged *out)
{
    struct judge j = {.in = input, .arena = arena, .out = out};
    const struct path_row root = {.kind = MASK_STRUCTURE, .members = paths_of(input->table)};
    *out = (struct judged){0};
    if (!root.members || input->root >= input->doc->count || !input->policy)
        return SLUIS_EJUDGE;
    int error = judge_value(&j, input->root, (struct place){.row = &root, .named = JSON_NONE});
    if (error)
        *out = (struct judged){.has_media = out->has_media};
    return error;
}

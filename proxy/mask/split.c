/* Splitting a webhook: one walk, one unit for every item; what no item takes along (errors, account
 * events, fields we do not know, contacts of nobody) goes into a unit of its own, so that nothing
 * is dropped. */
#include "sluis/mask.h"

#include <stdlib.h>

/* Per list: four times what Meta sends at most (whatsapp 0.4). */
#define ITEMS_MAX 4096
#define UNIT_MAX (4u * 1024 * 1024) /* a body of 3 MB and its envelope */

enum { KIND_MESSAGE = 1, KIND_STATUS = 2, KIND_ECHO = 3, KIND_ACCOUNT = 4 }; /* store_kind */

/* The lists in `value` whose elements are delivered one by one, and where an item names its
 * contact: the first of the members that is there. */
struct item_list {
    const char *name;
    uint8_t kind;
    const char *contact[2], *user[2];
};
static const struct item_list item_lists[] = {
    {"messages", KIND_MESSAGE, {"from", NULL}, {"from_user_id", NULL}},
    {"statuses",
     KIND_STATUS,
     {"recipient_participant_id", "recipient_id"},
     {"recipient_participant_user_id", "recipient_user_id"}},
    {"message_echoes", KIND_ECHO, {"to", NULL}, {"to_user_id", NULL}},
    {"user_preferences", KIND_ACCOUNT, {"wa_id", NULL}, {"user_id", NULL}},
};
#define LISTS (sizeof item_lists / sizeof *item_lists)

struct contact {
    uint32_t node;
    bool claimed; /* an item took it along */
};
struct contact_key {
    struct span key;
    uint32_t contact; /* index in people */
};

struct split {
    const struct json_doc *doc;
    struct arena *arena;
    int (*each)(void *ctx, const struct mask_unit *unit);
    void *ctx;
    struct buffer json;
    /* where we are */
    uint32_t entry, change, value, contacts;
    struct contact *people;   /* one per element of `contacts` */
    struct contact_key *keys; /* their phone numbers and BSUIDs, sorted */
    uint32_t contact_count, key_count, claimed;
    struct mask_unit unit;
    int error; /* memory ran out: no unit may be given with a part missing */
};

static struct span text_of(struct split *s, uint32_t node)
{
    struct span out;
    if (!json_is(s->doc, node, JSON_STRING))
        return SPAN_EMPTY;
    int error = json_string(s->doc, node, s->arena, &out);
    if (error)
        s->error = error;
    return error ? SPAN_EMPTY : out;
}

static struct span first_of(struct split *s, uint32_t item, const char *const names[2])
{
    struct span out = SPAN_EMPTY;
    for (int i = 0; i < 2 && names[i] && out.n == 0; i++)
        out = text_of(s, json_get(s->doc, item, span_str(names[i])));
    return out;
}

/* Compared decoded; a name that cannot be (memory) is nobody's: it is left over. */
static bool named(const struct split *s, uint32_t node, const char *name)
{
    struct span text;
    return json_name(s->doc, node, s->arena, &text) == 0 && span_is(text, name);
}

/* ---- contacts ---- */

static int compare_keys(const void *a, const void *b)
{
    const struct contact_key *x = a, *y = b;
    size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
    int order = memcmp(x->key.p, y->key.p, n); /* keys are never empty */
    if (order)
        return order;
    if (x->key.n != y->key.n)
        return x->key.n < y->key.n ? -1 : 1;
    return x->contact < y->contact ? -1 : x->contact > y->contact;
}

/* An index of the contacts, so that a batch of a thousand does not search a thousand times a
 * thousand. */
static int index_contacts(struct split *s)
{
    static const char *const names[] = {"wa_id", "user_id"};
    const struct json_doc *doc = s->doc;
    uint32_t index = 0;
    s->people = arena_try_zero(s->arena, s->contact_count * sizeof *s->people);
    s->keys = arena_try(s->arena, 2 * s->contact_count * sizeof *s->keys);
    if (!s->people || !s->keys)
        return SLUIS_ENOMEM;
    uint32_t first = s->contact_count ? json_first(doc, s->contacts) : JSON_NONE;
    for (uint32_t i = first; i != JSON_NONE; i = json_next(doc, i), index++) {
        s->people[index].node = i;
        for (int k = 0; k < 2; k++) {
            struct span key = text_of(s, json_get(doc, i, span_str(names[k])));
            if (key.n)
                s->keys[s->key_count++] = (struct contact_key){key, index};
        }
    }
    if (s->key_count > 1)
        qsort(s->keys, s->key_count, sizeof *s->keys, compare_keys);
    return 0;
}

static struct contact *find_contact(const struct split *s, struct span key)
{
    const struct contact_key wanted = {key, 0}; /* sorts before every contact with this key */
    uint32_t low = 0, high = s->key_count;
    while (low < high && key.n) {
        uint32_t middle = low + (high - low) / 2;
        if (compare_keys(&s->keys[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return key.n && low < s->key_count && span_eq(s->keys[low].key, key)
               ? &s->people[s->keys[low].contact]
               : NULL;
}

/* Claims the contact that belongs to the unit; its node, or JSON_NONE. A lone contact of a lone
 * item is its own even when the numbers are spelled differently. */
static uint32_t claim_contact(struct split *s, const struct mask_unit *unit, bool lone)
{
    struct contact *contact = find_contact(s, unit->contact);
    if (!contact)
        contact = find_contact(s, unit->user_id);
    if (!contact && lone && s->contact_count == 1)
        contact = s->people;
    if (!contact)
        return JSON_NONE;
    s->claimed += !contact->claimed;
    contact->claimed = true;
    return contact->node;
}

/* ---- building ---- */

/* Adds the members of `object` raw, without those called `without`; commas between. */
static void add_members(struct split *s, uint32_t object, const char *without)
{
    for (uint32_t i = json_first(s->doc, object); i != JSON_NONE; i = json_next(s->doc, i)) {
        const struct json_node *v = &s->doc->nodes[i];
        if (without && named(s, i, without))
            continue;
        buffer_add(&s->json, span_sub(s->doc->text, v->name_start - 1, v->end));
        buffer_add_char(&s->json, ',');
    }
}

static void open_unit(struct split *s)
{
    buffer_clear(&s->json);
    buffer_add_char(&s->json, '{');
    add_members(s, 0, "entry");
    buffer_add_str(&s->json, "\"entry\":[{");
    add_members(s, s->entry, "changes");
    buffer_add_str(&s->json, "\"changes\":[{");
    add_members(s, s->change, "value");
    buffer_add_str(&s->json, "\"value\":");
}

static void open_value(struct split *s, uint32_t contact)
{
    static const char *const shared[] = {"messaging_product", "metadata"};
    open_unit(s);
    buffer_add_char(&s->json, '{');
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) {
        uint32_t node = json_get(s->doc, s->value, span_str(shared[i]));
        if (node == JSON_NONE)
            continue;
        buffer_addf(&s->json, "\"%s\":", shared[i]);
        buffer_add(&s->json, json_raw(s->doc, node));
        buffer_add_char(&s->json, ',');
    }
    if (contact != JSON_NONE) {
        buffer_add_str(&s->json, "\"contacts\":[");
        buffer_add(&s->json, json_raw(s->doc, contact));
        buffer_add_str(&s->json, "],");
    }
}

/* Hands the unit over. `doc`: the unit is the whole document as received. */
static int give(struct split *s, const struct json_doc *doc)
{
    struct span json = doc ? doc->text : buffer_span(&s->json);
    if (s->json.error || s->error)
        return s->json.error ? s->json.error : s->error;
    int error = arena_try_copy(s->arena, json, &s->unit.json);
    if (error)
        return error;
    s->unit.doc = doc;
    return s->each(s->ctx, &s->unit);
}

static int close_unit(struct split *s, const char *brackets)
{
    buffer_add_str(&s->json, brackets);
    buffer_add_str(&s->json, "}]}]}");
    return give(s, NULL);
}

/* ---- items ---- */

static void describe(struct split *s, uint32_t item, uint8_t kind)
{
    static const struct {
        const char *object, *member;
    } targets[] = {{"revoke", "original_message_id"},
                   {"edit", "original_message_id"},
                   {"reaction", "message_id"}};
    uint64_t seconds;
    struct mask_unit *u = &s->unit;
    u->kind = kind;
    u->id = text_of(s, json_get(s->doc, item, SPAN("id")));
    u->type = text_of(s, json_get(s->doc, item, SPAN("type")));
    u->status = text_of(s, json_get(s->doc, item, SPAN("status")));
    u->target_id = SPAN_EMPTY;
    for (size_t i = 0; i < sizeof targets / sizeof *targets && u->target_id.n == 0; i++)
        if (span_is(u->type, targets[i].object))
            u->target_id =
                text_of(s, json_get(s->doc, json_get(s->doc, item, span_str(targets[i].object)),
                                    span_str(targets[i].member)));
    bool timed = json_u64(s->doc, json_get(s->doc, item, SPAN("timestamp")), &seconds) == 0;
    u->at_ms = timed && seconds < INT64_MAX / 1000 ? (int64_t)(seconds * 1000) : 0;
}

static void describe_nothing(struct split *s)
{
    struct mask_unit *u = &s->unit;
    u->kind = KIND_ACCOUNT;
    u->id = u->contact = u->user_id = u->identity = u->type = u->status = u->target_id = SPAN_EMPTY;
    u->at_ms = 0;
}

static uint32_t count(const struct json_doc *doc, uint32_t list)
{
    uint32_t n = 0;
    for (uint32_t i = json_first(doc, list); i != JSON_NONE; i = json_next(doc, i))
        n++;
    return n;
}

/* Is this value one item with its own contact and nothing else, in a body of one change? */
static bool is_whole(const struct split *s, uint32_t contact, bool lone)
{
    const struct json_doc *doc = s->doc;
    return lone && json_next(doc, s->entry) == JSON_NONE &&
           json_next(doc, s->change) == JSON_NONE &&
           json_first(doc, doc->nodes[s->entry].parent) == s->entry &&
           json_first(doc, doc->nodes[s->change].parent) == s->change &&
           (s->contact_count == 0 || (s->contact_count == 1 && contact != JSON_NONE));
}

static int split_item(struct split *s, uint32_t item, const struct item_list *list, bool lone)
{
    describe(s, item, list->kind);
    s->unit.contact = first_of(s, item, list->contact);
    s->unit.user_id = first_of(s, item, list->user);
    uint32_t contact = claim_contact(s, &s->unit, lone);
    s->unit.identity = contact == JSON_NONE
                           ? SPAN_EMPTY
                           : text_of(s, json_get(s->doc, contact, SPAN("identity_key_hash")));
    if (is_whole(s, contact, lone))
        return give(s, s->doc);
    open_value(s, contact);
    buffer_addf(&s->json, "\"%s\":[", list->name);
    buffer_add(&s->json, json_raw(s->doc, item));
    return close_unit(s, "]}");
}

/* ---- history: value.history[].threads[].messages[] ---- */

static int split_thread(struct split *s, uint32_t chunk, uint32_t thread)
{
    struct span customer = text_of(s, json_get(s->doc, thread, SPAN("id")));
    struct span user = text_of(s, json_get(s->doc, thread, SPAN("user_id")));
    uint32_t messages = json_get(s->doc, thread, SPAN("messages"));
    s->unit.contact = customer;
    s->unit.user_id = user;
    s->unit.identity = SPAN_EMPTY;
    uint32_t contact = claim_contact(s, &s->unit, false);
    for (uint32_t m = json_first(s->doc, messages); m != JSON_NONE; m = json_next(s->doc, m)) {
        struct span from = text_of(s, json_get(s->doc, m, SPAN("from")));
        describe(s, m, span_eq(from, customer) ? KIND_MESSAGE : KIND_ECHO);
        open_value(s, contact);
        buffer_add_str(&s->json, "\"history\":[{");
        add_members(s, chunk, "threads");
        buffer_add_str(&s->json, "\"threads\":[{");
        add_members(s, thread, "messages");
        buffer_add_str(&s->json, "\"messages\":[");
        buffer_add(&s->json, json_raw(s->doc, m));
        int error = close_unit(s, "]}]}]}");
        if (error)
            return error;
    }
    return 0;
}

/* Can this value.history be taken apart: chunks of threads of messages, each with something in it?
 */
static bool history_regular(const struct json_doc *doc, uint32_t history)
{
    if (!json_is(doc, history, JSON_ARRAY) || json_first(doc, history) == JSON_NONE)
        return false;
    for (uint32_t c = json_first(doc, history); c != JSON_NONE; c = json_next(doc, c)) {
        uint32_t threads = json_get(doc, c, SPAN("threads"));
        if (!json_is(doc, threads, JSON_ARRAY) || json_first(doc, threads) == JSON_NONE)
            return false;
        for (uint32_t t = json_first(doc, threads); t != JSON_NONE; t = json_next(doc, t)) {
            uint32_t messages = json_get(doc, t, SPAN("messages"));
            if (!json_is(doc, messages, JSON_ARRAY) || count(doc, messages) == 0)
                return false;
            for (uint32_t m = json_first(doc, messages); m != JSON_NONE; m = json_next(doc, m))
                if (!json_is(doc, m, JSON_OBJECT))
                    return false;
        }
    }
    return true;
}

static int split_history(struct split *s, uint32_t history)
{
    for (uint32_t c = json_first(s->doc, history); c != JSON_NONE; c = json_next(s->doc, c)) {
        uint32_t threads = json_get(s->doc, c, SPAN("threads"));
        for (uint32_t t = json_first(s->doc, threads); t != JSON_NONE; t = json_next(s->doc, t)) {
            int error = split_thread(s, c, t);
            if (error)
                return error;
        }
    }
    return 0;
}

/* ---- one value ---- */

/* An array of objects that split_item can take; NULL when the member is no such list. */
static const struct item_list *list_of(const struct split *s, uint32_t node)
{
    const struct json_doc *doc = s->doc;
    for (size_t i = 0; i < LISTS; i++) {
        if (!named(s, node, item_lists[i].name))
            continue;
        if (!json_is(doc, node, JSON_ARRAY))
            return NULL;
        for (uint32_t k = json_first(doc, node); k != JSON_NONE; k = json_next(doc, k))
            if (!json_is(doc, k, JSON_OBJECT))
                return NULL;
        return &item_lists[i];
    }
    return NULL;
}

/* Does this member of `value` go into the unit of what is left over? */
static bool left_over(const struct split *s, uint32_t node)
{
    if (named(s, node, "messaging_product") || named(s, node, "metadata") ||
        named(s, node, "contacts"))
        return false;
    if (named(s, node, "history"))
        return !history_regular(s->doc, node);
    return !list_of(s, node);
}

/* The unit of what no item took along: other members, and contacts of nobody. */
static int split_rest(struct split *s)
{
    const char *comma = "";
    describe_nothing(s);
    open_value(s, JSON_NONE);
    if (s->claimed < s->contact_count) {
        buffer_add_str(&s->json, "\"contacts\":[");
        for (uint32_t i = 0; i < s->contact_count; i++) {
            if (s->people[i].claimed)
                continue;
            buffer_add_str(&s->json, comma);
            buffer_add(&s->json, json_raw(s->doc, s->people[i].node));
            comma = ",";
        }
        buffer_add_str(&s->json, "],");
    } else if (s->contacts != JSON_NONE && !json_is(s->doc, s->contacts, JSON_ARRAY)) {
        buffer_add_str(&s->json, "\"contacts\":");
        buffer_add(&s->json, json_raw(s->doc, s->contacts));
        buffer_add_char(&s->json, ',');
    }
    for (uint32_t i = json_first(s->doc, s->value); i != JSON_NONE; i = json_next(s->doc, i)) {
        const struct json_node *v = &s->doc->nodes[i];
        if (!left_over(s, i))
            continue;
        buffer_add(&s->json, span_sub(s->doc->text, v->name_start - 1, v->end));
        buffer_add_char(&s->json, ',');
    }
    if (s->json.n && s->json.p[s->json.n - 1] == ',')
        s->json.n--;
    return close_unit(s, "}");
}

/* How many items a value has and whether something is left over. ELIMIT when there are too many. */
static int survey(struct split *s, uint32_t *items, bool *rest)
{
    for (uint32_t i = json_first(s->doc, s->value); i != JSON_NONE; i = json_next(s->doc, i)) {
        if (left_over(s, i)) {
            *rest = true;
        } else if (list_of(s, i)) {
            uint32_t n = count(s->doc, i);
            if (n > ITEMS_MAX || (*items += n) > ITEMS_MAX)
                return SLUIS_ELIMIT;
        } else if (named(s, i, "history")) {
            *items += 2; /* never taken as it came: thread by thread */
        }
    }
    return 0;
}

static int split_value(struct split *s)
{
    const struct json_doc *doc = s->doc;
    uint32_t items = 0;
    bool rest = false;
    int error = survey(s, &items, &rest);
    if (error)
        return error;
    s->contacts = json_get(doc, s->value, SPAN("contacts"));
    if (s->contacts != JSON_NONE && !json_is(doc, s->contacts, JSON_ARRAY))
        rest = true; /* no list: nobody can claim it */
    s->claimed = s->key_count = 0;
    s->contact_count = json_is(doc, s->contacts, JSON_ARRAY) ? count(doc, s->contacts) : 0;
    if (s->contact_count > ITEMS_MAX)
        return SLUIS_ELIMIT;
    error = index_contacts(s);
    if (error)
        return error;
    for (uint32_t i = json_first(doc, s->value); i != JSON_NONE; i = json_next(doc, i)) {
        const struct item_list *list = list_of(s, i);
        if (named(s, i, "history") && !left_over(s, i))
            error = split_history(s, i);
        for (uint32_t k = list ? json_first(doc, i) : JSON_NONE; k != JSON_NONE && !error;
             k = json_next(doc, k))
            error = split_item(s, k, list, items == 1 && !rest);
        if (error)
            return error;
    }
    return items == 0 || rest || s->claimed < s->contact_count ? split_rest(s) : 0;
}

static int split_change(struct split *s)
{
    const struct json_doc *doc = s->doc;
    struct span field = text_of(s, json_get(doc, s->change, SPAN("field")));
    uint32_t metadata = json_get(doc, s->value, SPAN("metadata"));
    s->unit = (struct mask_unit){0};
    s->unit.field = arena_try_str(s->arena, field);
    if (!s->unit.field)
        return SLUIS_ENOMEM;
    s->unit.entry_id = text_of(s, json_get(doc, s->entry, SPAN("id")));
    s->unit.phone_number_id = text_of(s, json_get(doc, metadata, SPAN("phone_number_id")));
    if (json_is(doc, s->value, JSON_OBJECT))
        return split_value(s);
    describe_nothing(s); /* a value that is no object: passed on as it is */
    open_unit(s);
    buffer_add(&s->json, s->value == JSON_NONE ? SPAN("null") : json_raw(doc, s->value));
    return close_unit(s, "");
}

/* The whole envelope is looked at before the first unit is given. */
static bool is_webhook(const struct json_doc *doc)
{
    uint32_t entries = json_get(doc, 0, SPAN("entry"));
    if (!json_is(doc, json_get(doc, 0, SPAN("object")), JSON_STRING) ||
        !json_is(doc, entries, JSON_ARRAY))
        return false;
    for (uint32_t e = json_first(doc, entries); e != JSON_NONE; e = json_next(doc, e)) {
        uint32_t changes = json_get(doc, e, SPAN("changes"));
        if (!json_is(doc, changes, JSON_ARRAY))
            return false;
        for (uint32_t c = json_first(doc, changes); c != JSON_NONE; c = json_next(doc, c))
            if (!json_is(doc, json_get(doc, c, SPAN("field")), JSON_STRING))
                return false;
    }
    return true;
}

int mask_split_webhook(const struct json_doc *doc, struct arena *arena,
                       int (*each)(void *ctx, const struct mask_unit *unit), void *ctx)
{
    struct split s = {.doc = doc, .arena = arena, .each = each, .ctx = ctx};
    int error = 0;
    if (!is_webhook(doc))
        return SLUIS_EINVAL;
    buffer_init(&s.json, UNIT_MAX);
    uint32_t entries = json_get(doc, 0, SPAN("entry"));
    for (s.entry = json_first(doc, entries); s.entry != JSON_NONE && !error;
         s.entry = json_next(doc, s.entry)) {
        uint32_t changes = json_get(doc, s.entry, SPAN("changes"));
        for (s.change = json_first(doc, changes); s.change != JSON_NONE && !error;
             s.change = json_next(doc, s.change)) {
            s.value = json_get(doc, s.change, SPAN("value"));
            error = split_change(&s);
        }
    }
    buffer_free(&s.json);
    return error;
}

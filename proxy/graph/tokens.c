/*
 * Tokens in what a tool sends: each is turned into the value it stands for, before anything is
 * judged, so that policy decides about the value. Only in a message to the person whose message
 * the token came from, on the same channel, while the original of that message lives, and for a
 * tool whose profile gives tokens, and in what that person reads. Anything else refuses the whole
 * call: a token never reaches a
 * customer.
 */
#include "internal.h"

#include <sodium.h>
#include <stdio.h>

#define TOKENS_MAX 64 /* in one message: more than any answer needs */

struct expansion {
    struct call *call;
    uint64_t subject;
    struct store_read *read;
    uint8_t channel_key[KEYRING_KEY_BYTES];
    struct json_edit edits[TOKENS_MAX];
    unsigned edit_count, tokens;
};

/* The original of the message that the token would come from, opened. */
static int open_original(struct expansion *x, const struct store_item *item, struct buffer *plain)
{
    const struct record_id id = {item->cls_o, item->bucket_o, item->subject, item->serial, 'O'};
    struct span sealed;
    int r = store_get_record(x->read, &id, &x->call->arena, &sealed);
    return r ? r : record_open(x->call->thread->keys, 0, &id, sealed, plain);
}

/* Findings that only the policy of now has: a reader may have seen tokens of those. */
static int value_now(struct expansion *x, const struct json_doc *doc, const uint8_t *key,
                     const struct mask_token *token, struct span *value)
{
    struct call *call = x->call;
    struct judged judged;
    const struct judge_input input = {.doc = doc,
                                      .table = MASK_TABLE_WEBHOOK,
                                      .policy = call->channel->policy,
                                      .scratch = call->thread->scratch,
                                      .from_customer = true,
                                      .at_ms = clock_wall_ms()};
    int r = mask_judge(&input, &call->arena, &judged);
    return r ? r : mask_token_value(doc, &judged, key, token, &call->arena, value);
}

static int value_of(struct expansion *x, const struct mask_token *token, struct span *value)
{
    struct call *call = x->call;
    uint8_t key[KEYRING_KEY_BYTES];
    struct buffer plain;
    struct judged judged;
    struct store_item item;
    struct span packed, json;
    struct json_doc doc;
    int r = store_get_item(x->read, mask_token_serial(x->channel_key, token), &item);
    if (r != 0)
        return r;
    if (item.channel != call->channel->id || item.subject != x->subject || !item.cls_o)
        return SLUIS_ENOENT; /* somebody else's */
    bool withdrawn;
    r = retention_withdrawn(x->read, item.serial, &withdrawn);
    if (r != 0 || withdrawn)
        return r ? r : SLUIS_ENOENT; /* its sender took it back */
    const struct record_id id = {item.cls_o, item.bucket_o, item.subject, item.serial, 'T'};
    r = record_subkey(call->thread->keys, &id, key);
    if (r != 0)
        return r;
    buffer_init(&plain, STORE_RECORD_MAX);
    r = open_original(x, &item, &plain);
    if (r == 0)
        r = arena_try_copy(&call->arena, buffer_span(&plain), &packed);
    buffer_free(&plain);
    if (r == 0)
        r = mask_unpack(packed, &call->arena, &judged, &json);
    if (r == 0)
        r = json_scan(&doc, json, &call->arena, NULL);
    if (r == 0)
        r = mask_token_value(&doc, &judged, key, token, &call->arena, value);
    if (r == SLUIS_ENOENT)
        r = value_now(x, &doc, key, token, value);
    sodium_memzero(key, sizeof(key));
    return r;
}

/*
 * Only what the customer reads: never who it goes to, nor what Meta or the customer's phone gives
 * back to the tool (biz_opaque_callback_data, ids and payloads of buttons, a flow's data), nor an
 * address that somebody fetches. With the value in one of those a tool would see it.
 */
static bool is_read(struct call *call, uint32_t node)
{
    static const char *const names[] = {"body", "text", "caption", "title", "description"};
    const struct json_doc *doc = &call->doc;
    struct span name;
    bool found = false;
    if (json_name(doc, node, &call->arena, &name) != 0)
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        found |= span_is(name, names[i]);
    for (uint32_t up = json_node(doc, node)->parent; found && up != JSON_NONE;
         up = json_node(doc, up)->parent)
        /* a button of a template has a sub_type: its text is a part of a link, or a payload */
        found = json_name(doc, up, &call->arena, &name) == 0 &&
                json_get(doc, up, SPAN("sub_type")) == JSON_NONE &&
                !span_is(name, "flow_action_payload") && !span_is(name, "flow_action_data");
    return found;
}

/* Is the token within a link? A preview or a tap would take the value to whoever it points to. */
static bool in_link(struct span text, const struct mask_token *token)
{
    size_t from = token->start;
    while (from > 0 && !strchr(" \t\r\n", text.p[from - 1]))
        from--;
    struct span word = span_sub(text, from, token->start);
    return span_find(word, '/') < word.n || span_find(word, '?') < word.n ||
           (word.n >= 4 && span_eq_nocase(span_sub(word, 0, 4), SPAN("www.")));
}

static int expand_string(struct expansion *x, uint32_t node)
{
    struct call *call = x->call;
    struct span text, kept, value;
    struct mask_token token;
    struct buffer plain, quoted;
    size_t done = 0;
    if (json_string(&call->doc, node, &call->arena, &text) != 0)
        return SLUIS_ENOMEM;
    if (!mask_token_next(text, 0, &token))
        return 0;
    if (!is_read(call, node))
        return SLUIS_EDENIED;
    buffer_init(&plain, GRAPH_JSON_MAX);
    buffer_init(&quoted, GRAPH_JSON_MAX * 6);
    int r = 0;
    while (r == 0 && mask_token_next(text, done, &token)) {
        r = ++x->tokens > TOKENS_MAX ? SLUIS_ELIMIT
            : in_link(text, &token)  ? SLUIS_EDENIED
                                     : value_of(x, &token, &value);
        buffer_add(&plain, span_sub(text, done, token.start));
        if (r == 0)
            buffer_add(&plain, value);
        done = token.end;
    }
    buffer_add(&plain, span_from(text, done));
    json_quote(&quoted, buffer_span(&plain));
    if (r == 0)
        r = plain.error ? plain.error : quoted.error;
    if (r == 0)
        r = arena_try_copy(&call->arena, buffer_span(&quoted), &kept);
    if (r == 0) {
        const struct json_node *v = json_node(&call->doc, node);
        x->edits[x->edit_count++] = (struct json_edit){v->start, v->end, kept};
    }
    buffer_free(&plain);
    buffer_free(&quoted);
    return r;
}

/* Is there a text in a token's form anywhere? */
static bool any_token(struct call *call)
{
    struct mask_token token;
    struct span text = call->doc.text;
    if (!memchr(text.p, '#', text.n) && !memmem(text.p, text.n, "\\u0023", 6))
        return false;
    for (uint32_t i = 0; i < call->doc.count; i++)
        if (json_is(&call->doc, i, JSON_STRING) &&
            (json_string(&call->doc, i, &call->arena, &text) != 0 ||
             mask_token_next(text, 0, &token)))
            return true;
    return false;
}

/* The person the message is for, when known already. */
static int known_subject(struct call *call, struct span contact, struct span user_id,
                         uint64_t *serial)
{
    struct subject subject;
    int r = subject_resolve(call->thread->subjects, contact, user_id, &subject);
    if (r != 0)
        return r;
    *serial = subject.serial;
    subject_settled(call->thread->subjects, &subject, SLUIS_EDENIED); /* nothing is written */
    return 0;
}

static int expand_all(struct expansion *x)
{
    struct call *call = x->call;
    struct buffer out;
    char label[CONFIG_NAME_MAX + 32];
    int r = store_read_begin(call->thread->graph->deps.store, &x->read);
    if (r != 0)
        return r;
    snprintf(label, sizeof(label), "token/%s", call->channel->name);
    keyring_derive(call->thread->graph->deps.keyring, label, x->channel_key);
    for (uint32_t i = 0; r == 0 && i < call->doc.count; i++)
        if (json_is(&call->doc, i, JSON_STRING))
            r = expand_string(x, i);
    sodium_memzero(x->channel_key, sizeof(x->channel_key));
    store_read_end(x->read);
    if (r != 0)
        return r;
    buffer_init(&out, GRAPH_JSON_MAX * 6);
    r = json_emit(&out, call->doc.text, 0, (uint32_t)call->doc.text.n, x->edits, x->edit_count);
    buffer_free(&call->body);
    call->body = out;
    return r ? r : json_scan(&call->doc, buffer_span(&call->body), &call->arena, NULL);
}

enum graph_error tokens_expand(struct call *call, struct span contact, struct span user_id)
{
    struct expansion x = {.call = call};
    const struct graph_deps *deps = &call->thread->graph->deps;
    if (!any_token(call))
        return E_COUNT;
    if (!call->route || !profile_gives_tokens(call->route->policy->profile) ||
        known_subject(call, contact, user_id, &x.subject) != 0 ||
        (deps->refused && deps->refused(deps->refused_ctx, x.subject)))
        return E_TOKEN_TEXT;
    int r = expand_all(&x);
    if (r == 0) {
        graph_count(call->thread->graph, G_TOKENS_EXPANDED);
        return E_COUNT;
    }
    graph_count(call->thread->graph, G_TOKENS_REFUSED);
    LOG(LOG_INFO, "graph", "token_refused", log_error(r));
    return r == SLUIS_ENOMEM || r == SLUIS_EIO ? E_STORE : E_TOKEN_TEXT;
}

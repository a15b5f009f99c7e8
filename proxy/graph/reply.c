/*
 * Meta's answers on their way to a tool: addresses of Meta's become the gateway's own, content is
 * judged and masked for the tool's profile, nothing is relayed as it came.
 */
#include "internal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define EDITS_MAX 4

/* Fields of Meta's head that a tool may see: limits. */
static const char *const passed_fields[] = {"Retry-After", "X-App-Usage",
                                            "X-Business-Use-Case-Usage"};

/* Retry-After: digits. Limits: JSON of numbers, booleans and Meta's own words. Nothing that
 * somebody wrote can stand in them: no spaces, signs or dots within a string. */
#define PASSED_FIELD_MAX 4096
static bool good_field(struct span value)
{
    static const char between[] = {'{', '}', '[', ']', ':', ',', '.', '-', ' '};
    bool quoted = false;
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '"')
            quoted = !quoted;
        else if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '_') &&
                 (quoted || !memchr(between, c, sizeof(between))))
            return false;
    }
    return value.n > 0 && value.n <= PASSED_FIELD_MAX && !quoted;
}

/* The Host that was asked for, with its port, when this listener answers to it: a foreign one must
 * not come back in links. Then the listener's first name, or its address. */
static void own_host(const struct call *call, struct buffer *out)
{
    const struct config_listener *listener = &call->config->listeners[CONFIG_TOOLS];
    const char *const *names = listener->names;
    struct span host = span_str(call->host), address = span_str(listener->address);
    struct span name = span_sub(host, 0, span_find(host, ':'));
    for (size_t i = 0; names && names[i]; i++) {
        if (span_eq_nocase(name, span_str(names[i]))) {
            buffer_add(out, host);
            return;
        }
    }
    const char *colon = memrchr(address.p, ':', address.n);
    struct span port = colon ? span_from(address, (size_t)(colon - address.p)) : SPAN_EMPTY;
    if (!names || !names[0]) {
        buffer_add(out, address);
        return;
    }
    buffer_add_str(out, names[0]);
    if (!span_is(port, ":443"))
        buffer_add(out, port);
}

static void base_url(const struct call *call, struct buffer *out)
{
    if (call->config->public_url) {
        buffer_add_str(out, call->config->public_url);
    } else {
        buffer_add(out, SPAN("https://"));
        own_host(call, out);
    }
}

void reply_media_base(const struct call *call, struct buffer *out)
{
    base_url(call, out);
    buffer_add(out, SPAN("/sluis/media"));
}

/* A paging link: Meta's path and the parameters this endpoint allows, on our own address. Meta's
 * own carries the real token. */
static int own_link(const struct call *call, struct span link, struct buffer *out)
{
    char decoded[8192];
    struct http_parameter list[HTTP_PARAMETERS_MAX];
    unsigned n = 0;
    /* Of the link only the query counts, and of that what this endpoint allows. */
    struct span query = span_from(link, span_find(link, '?'));
    query = query.n ? span_from(query, 1) : query;
    query = span_sub(query, 0, span_find(query, '#'));
    if (http_query_split(query, decoded, sizeof(decoded), list, &n) != 0)
        return SLUIS_EINVAL;
    base_url(call, out);
    buffer_addf(out, "/%s/%s", call->version, call->id);
    if (call->endpoint->edge[0])
        buffer_addf(out, "/%s", call->endpoint->edge);
    char separator = '?';
    for (unsigned i = 0; i < n; i++) {
        const struct http_parameter one = list[i];
        if (span_is(one.name, "access_token") || endpoint_bad_parameter(call->endpoint, &one, 1))
            continue;
        buffer_add_char(out, separator);
        http_percent_encode(out, one.name);
        buffer_add_char(out, '=');
        http_percent_encode(out, one.value);
        separator = '&';
    }
    if (call->token_in_query) { /* such a tool follows the link as it stands (Chatwoot) */
        buffer_add_char(out, separator);
        buffer_add(out, SPAN("access_token="));
        http_percent_encode(out, buffer_span(&call->token));
    }
    sodium_memzero(decoded, sizeof(decoded));
    return out->error;
}

struct rewriting {
    struct json_edit edits[EDITS_MAX];
    size_t n;
};

static int edit_string(struct call *call, const struct json_doc *doc, uint32_t node,
                       struct span text, struct rewriting *w)
{
    const struct json_node *v = json_node(doc, node);
    struct buffer quoted;
    struct span kept;
    buffer_init(&quoted, 64 * 1024);
    json_quote(&quoted, text);
    int r = quoted.error ? quoted.error : arena_try_copy(&call->arena, buffer_span(&quoted), &kept);
    buffer_free(&quoted);
    if (r == 0)
        w->edits[w->n++] = (struct json_edit){v->start, v->end, kept};
    return r;
}

static int rewrite_paging(struct call *call, const struct json_doc *doc, struct rewriting *w)
{
    static const char *const paths[] = {"paging.previous", "paging.next"};
    uint32_t nodes[2];
    for (unsigned i = 0; i < 2; i++)
        nodes[i] = json_path(doc, 0, paths[i]);
    bool swapped = nodes[0] != JSON_NONE && nodes[1] != JSON_NONE && nodes[1] < nodes[0];
    for (unsigned i = 0; i < 2; i++) { /* edits in document order */
        uint32_t node = nodes[swapped ? 1 - i : i];
        struct span link;
        struct buffer own;
        if (node == JSON_NONE)
            continue;
        int r = json_string(doc, node, &call->arena, &link);
        buffer_init(&own, 32 * 1024);
        if (r == 0)
            r = own_link(call, link, &own);
        if (r == 0)
            r = edit_string(call, doc, node, buffer_span(&own), w);
        buffer_free(&own);
        if (r != 0)
            return r;
    }
    return 0;
}

/* ---- numbers of other departments ---- */

static bool own_number(struct call *call, const struct json_doc *doc, uint32_t element)
{
    struct span id;
    uint32_t at = json_get(doc, element, SPAN("id"));
    if (!json_is(doc, at, JSON_STRING) || json_string(doc, at, &call->arena, &id) != 0)
        return false;
    for (size_t i = 0; i < call->config->channel_count; i++) {
        const struct config_channel *c = &call->config->channels[i];
        if (span_is(id, c->phone_number_id) && principal_may_use(&call->principal, c->id))
            return true;
    }
    return false;
}

/* Numbers of one business account may be channels of different departments, and some no channels at
 * all: a tool sees those of its own token. What is no list of objects with an id is not shown. */
static int keep_own_numbers(struct call *call, const struct json_doc *doc, struct rewriting *w)
{
    struct buffer kept;
    struct span text;
    uint32_t data = json_get(doc, 0, SPAN("data"));
    const struct json_node *v = json_node(doc, data);
    if (!v)
        return 0;
    buffer_init(&kept, GRAPH_REPLY_MAX);
    buffer_add_char(&kept, '[');
    for (uint32_t i = v->kind == JSON_ARRAY ? json_first(doc, data) : JSON_NONE; i != JSON_NONE;
         i = json_next(doc, i)) {
        if (!own_number(call, doc, i))
            continue;
        if (kept.n > 1)
            buffer_add_char(&kept, ',');
        buffer_add(&kept, json_raw(doc, i));
    }
    buffer_add_char(&kept, ']');
    int r = kept.error ? kept.error : arena_try_copy(&call->arena, buffer_span(&kept), &text);
    buffer_free(&kept);
    if (r == 0)
        w->edits[w->n++] = (struct json_edit){v->start, v->end, text};
    return r;
}

static int edit_order(const void *a, const void *b)
{
    const struct json_edit *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static const struct profile *reader_profile(const struct call *call)
{
    return call->route ? call->route->policy->profile
                       : policy_storage_profile(call->channel->policy);
}

static int render(struct call *call, const struct json_doc *doc, const char *media_base,
                  struct buffer *out)
{
    struct judged judged;
    uint8_t hash_key[KEYRING_KEY_BYTES], alias_key[KEYRING_KEY_BYTES];
    char label[2 * CONFIG_NAME_MAX + 32];
    struct keyring *keyring = call->thread->graph->deps.keyring;
    const struct judge_input input = {.doc = doc,
                                      .table = MASK_TABLE_REPLY,
                                      .policy = call->channel->policy,
                                      .scratch = call->thread->scratch,
                                      .at_ms = clock_wall_ms()};
    snprintf(label, sizeof(label), "hash/%s", call->channel->name);
    keyring_derive(keyring, label, hash_key);
    snprintf(label, sizeof(label), "alias/%s/%s", call->channel->name,
             call->route ? call->route->name : "");
    keyring_derive(keyring, label, alias_key);
    const struct mask_reader reader = {.profile = reader_profile(call),
                                       .policy = call->channel->policy,
                                       .media = MEDIA_PASS, /* known ids on a channel that passes */
                                       .media_base = media_base,
                                       .hash_key = hash_key,
                                       .alias_key = call->route ? alias_key : NULL,
                                       .observing =
                                           policy_observe(call->channel->policy, input.at_ms)};
    int r = mask_judge(&input, &call->arena, &judged);
    if (r == 0)
        r = mask_render(doc, 0, MASK_TABLE_REPLY, &judged, &reader, &call->arena, out);
    sodium_memzero(hash_key, sizeof(hash_key));
    sodium_memzero(alias_key, sizeof(alias_key));
    return r ? r : out->error;
}

/* The scan reads `own`, which must stand until the rendering is done. */
static int rebuild(struct call *call, struct span body, struct buffer *out)
{
    struct json_doc doc;
    struct rewriting w = {.n = 0};
    struct buffer own, base;
    int r = json_scan(&doc, body, &call->arena, NULL);
    if (r == 0)
        r = rewrite_paging(call, &doc, &w);
    if (r == 0 && strcmp(call->endpoint->edge, "phone_numbers") == 0)
        r = keep_own_numbers(call, &doc, &w);
    if (r != 0)
        return r;
    qsort(w.edits, w.n, sizeof(w.edits[0]), edit_order);
    buffer_init(&base, 4096);
    buffer_init(&own, GRAPH_REPLY_MAX * 6);
    r = json_emit(&own, body, 0, (uint32_t)body.n, w.edits, w.n);
    if (r == 0)
        r = json_scan(&doc, buffer_span(&own), &call->arena, NULL);
    reply_media_base(call, &base);
    buffer_add_char(&base, '\0');
    if (r == 0)
        r = base.error ? base.error : render(call, &doc, base.p, out);
    buffer_free(&own);
    buffer_free(&base);
    return r;
}

/* Meta puts the token of a call into links of its answer. All that is known of are rewritten;
 * should there be another, the answer is not passed. */
static bool holds_secret(const struct call *call, struct span text)
{
    struct span token = call->channel->upstream.access_token;
    return token.n && text.n >= token.n && memmem(text.p, text.n, token.p, token.n);
}

void reply_forward(struct call *call, const struct upstream_answer *answer)
{
    struct buffer out;
    struct exchange *ex = call_exchange(call);
    if (answer->outcome != UPSTREAM_ANSWERED) {
        bool may_have_happened =
            answer->outcome == UPSTREAM_UNKNOWN && call->endpoint->method != HTTP_GET;
        call_refuse(call, may_have_happened ? E_UNKNOWN_OUTCOME : E_UNREACHABLE, NULL);
        return;
    }
    buffer_init(&out, GRAPH_REPLY_MAX * 6);
    int r = answer->body.n ? rebuild(call, answer->body, &out) : 0;
    if (answer->status / 100 == 3) /* where it points to is not for the tool to follow */
        r = SLUIS_EINVAL;
    if (r == 0 && holds_secret(call, buffer_span(&out)))
        r = SLUIS_EDENIED;
    if (r != 0) {
        LOG(r == SLUIS_EDENIED ? LOG_ALARM : LOG_WARN, "graph", "reply_not_readable",
            log_u64("status", answer->status), log_error(r));
        call_refuse(call, call->unreadable, NULL);
    } else {
        if (ex) {
            exchange_answer_begin(ex, answer->status);
            exchange_answer_field(ex, SPAN("Content-Type"), SPAN("application/json"));
            for (size_t i = 0; i < sizeof(passed_fields) / sizeof(passed_fields[0]); i++) {
                struct span name = span_str(passed_fields[i]);
                struct span value = http_field(answer->head, name);
                if (good_field(value))
                    exchange_answer_field(ex, name, value);
            }
            exchange_answer_end(ex, buffer_span(&out));
        }
        call_free(call);
    }
    buffer_free(&out);
}

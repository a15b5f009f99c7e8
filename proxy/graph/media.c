/*
 * Media for tools: metadata and bytes of what customers sent, from the media room; of what a tool
 * has uploaded, from Meta, which alone has it. The record stands before the first byte leaves.
 */
#include "media.h"

#include <stdio.h>
#include <stdlib.h>

struct media_call *media_of(struct call *call)
{
    if (!call->media && (call->media = calloc(1, sizeof(*call->media)))) {
        buffer_init(&call->media->piece, 1);
        buffer_init(&call->media->ask.bytes, 1);
        buffer_init(&call->media->check.bytes, 1);
    }
    return call->media;
}

bool media_call_free(struct call *call)
{
    struct media_call *m = call->media;
    if (!m)
        return true;
    if (m->op_busy) { /* freed when the operation comes back */
        m->over = true;
        return false;
    }
    attach_free(call);
    upload_free(call);
    media_spool_free(m->spool);
    buffer_free(&m->op.bytes);
    buffer_free(&m->piece);
    buffer_free(&m->file);
    buffer_free(&m->ask.bytes);
    buffer_free(&m->check.bytes);
    free(m);
    call->media = NULL;
    return true;
}

bool media_reserve_for(struct call *call, uint64_t bytes)
{
    struct graph_thread *t = call->thread;
    if (t->media_bytes + bytes > GRAPH_MEDIA_BYTES || server_full(call->server))
        return false;
    t->media_bytes += bytes;
    call->media_bytes += bytes;
    return true;
}

/* ---- which item ---- */

/* SLUIS_ENOENT: no webhook brought it to this channel and nobody uploaded it there. */
static int find_item(struct call *call, const struct config_channel *channel, struct span id,
                     struct media_item *out)
{
    struct graph_thread *t = call->thread;
    struct store_read *read;
    int r = store_read_begin(t->graph->deps.store, &read);
    if (r != 0)
        return r;
    r = media_find(read, t->graph->deps.keyring, t->keys, channel->id, id, &call->arena, out);
    store_read_end(read);
    return r;
}

bool media_known(struct call *call, const struct config_channel *channel, struct span id)
{
    struct media_item item;
    return find_item(call, channel, id, &item) == 0;
}

/* Ids are known by (channel, id): what no webhook brought and nobody uploaded is not asked of Meta.
 * The first of the tool's channels that knows it is the channel meant. E_COUNT when it is there. */
static enum graph_error find_known(struct call *call)
{
    struct media_call *m = media_of(call);
    enum graph_error error = E_MEDIA_UNKNOWN;
    if (!m)
        return E_BUSY;
    for (size_t i = 0; i < call->config->channel_count; i++) {
        const struct config_channel *channel = &call->config->channels[i];
        if (!principal_may_use(&call->principal, channel->id) || !channel->media_pass)
            continue;
        int r = find_item(call, channel, span_str(call->id), &m->item);
        if (r == SLUIS_ENOENT)
            continue;
        call->channel = channel;
        if (r == 0)
            return E_COUNT;
        error = r == SLUIS_EEXPIRED || r == SLUIS_EINVAL ? E_MEDIA_UNKNOWN : E_STORE;
    }
    return error;
}

/* May this tool have it, by the policy of now? */
static enum graph_error judge_item(const struct call *call, const struct media_item *item)
{
    const struct policy_route *route = call->route ? call->route->policy : NULL;
    const struct graph_deps *deps = &call->thread->graph->deps;
    if (item->state == MEDIA_SENT)
        return E_COUNT;
    if (deps->refused && deps->refused(deps->refused_ctx, item->keys.subject))
        return E_MEDIA_WITHHELD;
    enum mask_media_state state = media_state_for(item, call->channel->policy, route);
    return state == MASK_MEDIA_WITHHELD ? E_MEDIA_WITHHELD : E_COUNT;
}

static enum graph_error look_up(struct call *call)
{
    struct span number = call_parameter(call, "phone_number_id");
    enum graph_error error = find_known(call);
    if (error == E_COUNT && number.n && !span_is(number, call->channel->phone_number_id))
        error = E_MEDIA_UNKNOWN;
    return error == E_COUNT ? judge_item(call, &call->media->item) : error;
}

static enum graph_error error_of(int result)
{
    switch (result) {
    case SLUIS_EAGAIN:
        return E_MEDIA_WAITING;
    case SLUIS_EDENIED:
        return E_MEDIA_WITHHELD;
    case SLUIS_ENOENT:
    case SLUIS_EEXPIRED:
        return E_MEDIA_UNKNOWN;
    case SLUIS_ELIMIT:
    case SLUIS_ECLOSED:
        return E_BUSY;
    default:
        return E_STORE;
    }
}

/* Asks the media room: waits for a verdict, or for the bytes. */
static void ask(struct call *call, bool with_bytes, void (*done)(struct media_ask *ask))
{
    struct media_ask *a = &call->media->ask;
    struct graph *g = call->thread->graph;
    *a = (struct media_ask){.loop = call->thread->loop,
                            .done = done,
                            .ctx = call,
                            .with_bytes = with_bytes,
                            .until_ms = clock_mono_ms() + MEDIA_ANSWER_MS};
    media_key(g->deps.keyring, call->channel->id, span_str(call->id), a->key);
    if (g->deps.media)
        media_ask(g->deps.media, a);
    else
        call_refuse(call, E_MEDIA_WITHHELD, NULL);
}

/* ---- metadata ---- */

static void own_target(const struct call *call, struct buffer *out)
{
    buffer_addf(out, "/%s/%s?phone_number_id=%s", call->version, call->id,
                call->channel->phone_number_id);
}

static void on_answer(const struct upstream_answer *answer, void *ctx)
{
    reply_forward(ctx, answer);
}

static void ask_meta(struct call *call, enum http_method method,
                     void (*done)(const struct upstream_answer *answer, void *ctx))
{
    own_target(call, &call->rebuilt);
    forward(call, method, buffer_span(&call->rebuilt), SPAN_EMPTY, SPAN_EMPTY, GRAPH_REPLY_MAX,
            done);
}

/* Of what is served: our own address, type, hash and size. */
static void answer_metadata(struct call *call, const struct media_item *item)
{
    struct exchange *ex = call_exchange(call);
    struct buffer out, url;
    char hash[65];
    buffer_init(&out, 4096);
    buffer_init(&url, 1024);
    reply_media_base(call, &url);
    buffer_addf(&url, "/%s", call->id);
    hex_encode(item->sha256, sizeof(item->sha256), hash);
    buffer_add(&out, SPAN("{\"messaging_product\":\"whatsapp\",\"url\":"));
    json_quote(&out, buffer_span(&url));
    buffer_add(&out, SPAN(",\"mime_type\":"));
    json_quote(&out, span_str(item->mime_type));
    buffer_addf(&out, ",\"sha256\":\"%s\",\"file_size\":\"%llu\",\"id\":\"%s\"}", hash,
                (unsigned long long)item->size, call->id);
    if (out.error || url.error) {
        call_refuse(call, E_BUSY, NULL);
    } else {
        if (ex)
            exchange_answer(ex, 200, SPAN("application/json"), buffer_span(&out));
        call_free(call);
    }
    buffer_free(&out);
    buffer_free(&url);
}

static void give_metadata(struct call *call)
{
    if (call->media->item.state != MEDIA_SENT) {
        answer_metadata(call, &call->media->item);
        return;
    }
    graph_count(call->thread->graph, G_FORWARDED);
    ask_meta(call, HTTP_GET, on_answer);
}

static void on_verdict(struct media_ask *a)
{
    struct call *call = a->ctx;
    enum graph_error error = a->result ? error_of(a->result) : judge_item(call, &a->item);
    call->media->item = a->item;
    if (error != E_COUNT)
        call_refuse(call, error, NULL);
    else if (call->endpoint->edge[0])
        media_give_bytes(call);
    else
        give_metadata(call);
}

static void begin(struct call *call, void (*give)(struct call *call))
{
    enum graph_error error = look_up(call);
    if (error != E_COUNT)
        call_refuse(call, error, NULL);
    else if (call->media->item.state == MEDIA_WAITING)
        ask(call, false, on_verdict);
    else
        give(call);
}

void handle_media_get(struct call *call)
{
    begin(call, give_metadata);
}

void handle_media_delete(struct call *call)
{
    enum graph_error error = look_up(call);
    if (error != E_COUNT)
        call_refuse(call, error, NULL);
    else
        ask_meta(call, HTTP_DELETE, on_answer);
}

/* ---- bytes ---- */

static void answer_part(struct exchange *ex, const struct media_item *item, struct span bytes)
{
    const struct http_head *head = exchange_head(ex);
    struct span wanted = http_field(head, SPAN("Range"));
    struct span only_if = http_field(head, SPAN("If-Range"));
    char tag[68], range[80];
    uint64_t first = 0, last = 0;
    enum http_range part = HTTP_RANGE_IGNORED;
    tag[0] = '"';
    hex_encode(item->sha256, sizeof(item->sha256), tag + 1);
    memcpy(tag + 65, "\"", 2);
    if (wanted.n && head->method == HTTP_GET && http_field_count(head, SPAN("Range")) == 1 &&
        (only_if.n == 0 || span_is(only_if, tag)))
        part = http_range_parse(wanted, bytes.n, &first, &last);
    exchange_answer_begin(ex, part == HTTP_RANGE_ONE             ? 206
                              : part == HTTP_RANGE_UNSATISFIABLE ? 416
                                                                 : 200);
    exchange_answer_field(ex, SPAN("Content-Type"), span_str(item->mime_type));
    exchange_answer_field(ex, SPAN("X-Content-Type-Options"), SPAN("nosniff"));
    exchange_answer_field(ex, SPAN("Content-Disposition"), SPAN("attachment"));
    exchange_answer_field(ex, SPAN("Accept-Ranges"), SPAN("bytes"));
    exchange_answer_field(ex, SPAN("ETag"), span_str(tag));
    if (part == HTTP_RANGE_ONE) {
        snprintf(range, sizeof(range), "bytes %llu-%llu/%llu", (unsigned long long)first,
                 (unsigned long long)last, (unsigned long long)bytes.n);
        bytes = span_sub(bytes, (size_t)first, (size_t)last + 1);
    } else {
        snprintf(range, sizeof(range), "bytes */%llu", (unsigned long long)bytes.n);
    }
    if (part != HTTP_RANGE_IGNORED)
        exchange_answer_field(ex, SPAN("Content-Range"), span_str(range));
    exchange_answer_end(ex, part == HTTP_RANGE_UNSATISFIABLE ? SPAN_EMPTY : bytes);
}

/* The whole is in memory and its hash is right: only now the first byte leaves. */
static void on_file(struct media_ask *a)
{
    struct call *call = a->ctx;
    struct exchange *ex = call_exchange(call);
    enum graph_error error = a->result ? error_of(a->result) : judge_item(call, &a->item);
    if (error != E_COUNT) {
        call_record(call, AUDIT_MEDIA, "not_passed", graph_code_of(error), a->item.keys.serial, 0,
                    0);
        call_refuse(call, error, NULL);
        return;
    }
    call_record(call, AUDIT_MEDIA, ex ? "passed" : "not_passed", 0, a->item.keys.serial, 0, 0);
    if (ex)
        answer_part(ex, &a->item, buffer_span(&a->bytes));
    call_free(call);
}

static void on_recorded(struct call *call, int result)
{
    if (result != 0)
        call_refuse(call, E_STORE, NULL);
    else
        ask(call, true, on_file);
}

void media_give_bytes(struct call *call)
{
    const struct media_item *item = &call->media->item;
    if (item->state == MEDIA_SENT)
        ask_meta(call, HTTP_GET, media_on_uploaded_metadata);
    else if (!media_reserve_for(call, item->size)) /* the answer counts again, with the server */
        call_refuse(call, E_BUSY, NULL);
    else
        media_record(call, "intent", SPAN_EMPTY, on_recorded);
}

void handle_media_bytes(struct call *call)
{
    begin(call, media_give_bytes);
}

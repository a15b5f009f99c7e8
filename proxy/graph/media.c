/*
 * Media for tools: metadata and bytes of what customers sent, from the media room; of what a tool
 * has uploaded, from Meta, which alone has it. The record stands before the first byte leaves.
 */
#include "media.h"

#include <sodium.h>
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
    relay_free(call);
    free(m->stream);
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
static void ask_with(struct call *call, bool with_bytes, void (*done)(struct media_ask *ask),
                     uint64_t at, size_t n)
{
    struct media_ask *a = &call->media->ask;
    struct graph *g = call->thread->graph;
    *a = (struct media_ask){.loop = call->thread->loop,
                            .done = done,
                            .ctx = call,
                            .with_bytes = with_bytes,
                            .at = at,
                            .n = n,
                            .until_ms = clock_mono_ms() + MEDIA_ANSWER_MS};
    media_key(g->deps.keyring, call->channel->id, span_str(call->id), a->key);
    if (g->deps.media)
        media_ask(g->deps.media, a);
    else
        call_refuse(call, E_MEDIA_WITHHELD, NULL);
}

static void ask(struct call *call, bool with_bytes, void (*done)(struct media_ask *ask))
{
    ask_with(call, with_bytes, done, 0, 0);
}

static void ask_for(struct call *call, void (*done)(struct media_ask *ask), uint64_t at, size_t n)
{
    ask_with(call, true, done, at, n);
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

/* What of the bytes is asked for. */
struct part {
    enum http_range range;
    uint64_t first, n; /* n 0: nothing, or the file is empty */
};

static void hash_tag(const struct media_item *item, char tag[68])
{
    tag[0] = '"';
    hex_encode(item->sha256, sizeof(item->sha256), tag + 1);
    memcpy(tag + 65, "\"", 2);
}

static struct part find_part(const struct exchange *ex, const struct media_item *item)
{
    const struct http_head *head = exchange_head(ex);
    struct span wanted = http_field(head, SPAN("Range"));
    struct span only_if = http_field(head, SPAN("If-Range"));
    struct part part = {.range = HTTP_RANGE_IGNORED, .n = item->size};
    uint64_t last = 0;
    char tag[68];
    hash_tag(item, tag);
    if (wanted.n && head->method == HTTP_GET && http_field_count(head, SPAN("Range")) == 1 &&
        (only_if.n == 0 || span_is(only_if, tag)))
        part.range = http_range_parse(wanted, item->size, &part.first, &last);
    if (part.range == HTTP_RANGE_ONE)
        part.n = last - part.first + 1;
    if (part.range == HTTP_RANGE_UNSATISFIABLE)
        part.n = 0;
    return part;
}

static void answer_head(struct exchange *ex, const struct media_item *item, const struct part *part)
{
    char tag[68], range[80];
    hash_tag(item, tag);
    exchange_answer_begin(ex, part->range == HTTP_RANGE_ONE             ? 206
                              : part->range == HTTP_RANGE_UNSATISFIABLE ? 416
                                                                        : 200);
    exchange_answer_field(ex, SPAN("Content-Type"), span_str(item->mime_type));
    exchange_answer_field(ex, SPAN("X-Content-Type-Options"), SPAN("nosniff"));
    exchange_answer_field(ex, SPAN("Content-Disposition"), SPAN("attachment"));
    exchange_answer_field(ex, SPAN("Accept-Ranges"), SPAN("bytes"));
    exchange_answer_field(ex, SPAN("ETag"), span_str(tag));
    if (part->range == HTTP_RANGE_ONE)
        snprintf(range, sizeof(range), "bytes %llu-%llu/%llu", (unsigned long long)part->first,
                 (unsigned long long)(part->first + part->n - 1), (unsigned long long)item->size);
    else
        snprintf(range, sizeof(range), "bytes */%llu", (unsigned long long)item->size);
    if (part->range != HTTP_RANGE_IGNORED)
        exchange_answer_field(ex, SPAN("Content-Range"), span_str(range));
}

static void answer_part(struct exchange *ex, const struct media_item *item, struct span bytes)
{
    struct part part = find_part(ex, item);
    answer_head(ex, item, &part);
    exchange_answer_end(ex, span_sub(bytes, (size_t)part.first, (size_t)(part.first + part.n)));
}

/* The whole is in memory and its hash is right: only now the first byte leaves. */
static void on_file(struct media_ask *a)
{
    struct call *call = a->ctx;
    struct exchange *ex = call_exchange(call);
    enum graph_error error = a->result ? error_of(a->result) : judge_item(call, &a->item);
    if (error != E_COUNT) {
        call_record(call, AUDIT_MEDIA, "not_passed", graph_code_of(error), a->item.message, 0,
                    0);
        call_refuse(call, error, NULL);
        return;
    }
    call_record(call, AUDIT_MEDIA, ex ? "passed" : "not_passed", 0, a->item.message, 0, 0);
    if (ex)
        answer_part(ex, &a->item, buffer_span(&a->bytes));
    call_free(call);
}

/* ---- bytes in pieces: what is larger than one ---- */

#define STREAM_PIECE (256u * 1024)

struct stream {
    struct part part;
    uint64_t at; /* read so far, from part.first on */
    bool begun, over, asking;
    bool wanted; /* by the server, before the answer had begun here */
    bool given;  /* the first piece, which was read before the head left */
    bool whole;  /* its hash is compared before the last piece goes */
    crypto_hash_sha256_state hash;
};

static void on_piece(struct media_ask *a);

static void ask_piece(struct call *call)
{
    struct stream *s = call->media->stream;
    uint64_t left = s->part.n - s->at;
    buffer_free(&call->media->ask.bytes);
    s->asking = true;
    ask_for(call, on_piece, s->part.first + s->at,
            left < STREAM_PIECE ? (size_t)left : STREAM_PIECE);
}

static void give_first(struct call *call)
{
    call->media->stream->given = true;
    exchange_answer_more(call->server, call->exchange, buffer_span(&call->media->ask.bytes));
}

static void on_more(struct exchange *ex, void *ctx)
{
    struct call *call = ctx;
    struct stream *s = call->media->stream;
    (void)ex;
    s->wanted = true;
    if (s->begun && s->given)
        ask_piece(call);
    else if (s->begun)
        give_first(call);
}

static void on_over(void *ctx, bool whole)
{
    struct call *call = ctx;
    struct stream *s = call->media->stream;
    (void)whole;
    s->over = true;
    if (s->begun && !s->asking)
        call_free(call);
}

/* The first piece is there and right: only now the first byte leaves. */
static void begin_answer(struct call *call)
{
    struct stream *s = call->media->stream;
    struct exchange *ex = call_exchange(call);
    const struct exchange_source source = {.more = on_more, .over = on_over, .ctx = call};
    call_record(call, AUDIT_MEDIA, ex ? "passed" : "not_passed", 0, call->media->item.message,
                0, 0);
    if (ex)
        answer_head(ex, &call->media->item, &s->part);
    bool wanted = ex && exchange_answer_stream(ex, s->part.n, &source);
    s->begun = true;
    if (!wanted || s->over)
        call_free(call);
    else if (s->wanted)
        give_first(call);
}

static bool good_piece(struct call *call, const struct media_ask *a)
{
    struct stream *s = call->media->stream;
    uint8_t hash[crypto_hash_sha256_BYTES];
    if (a->result != 0 ||
        memcmp(a->item.sha256, call->media->item.sha256, sizeof(a->item.sha256)) != 0)
        return false; /* made anew meanwhile: parts of two files are no file */
    s->at += a->bytes.n;
    crypto_hash_sha256_update(&s->hash, (const uint8_t *)a->bytes.p, a->bytes.n);
    if (!s->whole || s->at < s->part.n)
        return true;
    crypto_hash_sha256_final(&s->hash, hash);
    return memcmp(hash, call->media->item.sha256, sizeof(hash)) == 0;
}

static void on_piece(struct media_ask *a)
{
    struct call *call = a->ctx;
    struct stream *s = call->media->stream;
    s->asking = false;
    if (s->over) {
        call_free(call);
        return;
    }
    bool good = good_piece(call, a);
    if (s->begun) { /* cut off when it is not, or no more may go: never to be taken for the whole */
        good = good && judge_item(call, &a->item) == E_COUNT;
        exchange_answer_more(call->server, call->exchange,
                             good ? buffer_span(&a->bytes) : SPAN_EMPTY);
        return;
    }
    enum graph_error error = a->result ? error_of(a->result)
                             : !good   ? E_STORE
                                       : judge_item(call, &a->item);
    if (error == E_COUNT) {
        begin_answer(call);
        return;
    }
    call_record(call, AUDIT_MEDIA, "not_passed", graph_code_of(error),
                call->media->item.message, 0, 0);
    call_refuse(call, error, NULL);
}

/* False: there is nothing to be sent in pieces. */
static bool stream_begin(struct call *call)
{
    struct media_call *m = call->media;
    struct exchange *ex = call_exchange(call);
    if (!ex || m->item.size <= STREAM_PIECE)
        return false;
    struct part part = find_part(ex, &m->item);
    if (part.n == 0) {
        answer_head(ex, &m->item, &part);
        exchange_answer_end(ex, SPAN_EMPTY);
        call_free(call);
        return true;
    }
    if (!(m->stream = calloc(1, sizeof(*m->stream))))
        return false;
    m->stream->part = part;
    m->stream->whole = part.n == m->item.size;
    crypto_hash_sha256_init(&m->stream->hash);
    ask_piece(call);
    return true;
}

static void on_recorded(struct call *call, int result)
{
    if (result != 0)
        call_refuse(call, E_STORE, NULL);
    else if (!stream_begin(call))
        ask(call, true, on_file);
}

void media_give_bytes(struct call *call)
{
    const struct media_item *item = &call->media->item;
    if (item->state == MEDIA_SENT)
        ask_meta(call, HTTP_GET, media_on_uploaded_metadata);
    else if (!media_reserve_for(call,
                                item->size < 2 * STREAM_PIECE ? item->size : 2 * STREAM_PIECE))
        call_refuse(call, E_BUSY, NULL);
    else
        media_record(call, "intent", SPAN_EMPTY, on_recorded);
}

void handle_media_bytes(struct call *call)
{
    begin(call, media_give_bytes);
}

/*
 * The bytes of a tool's own uploads, which Meta alone has: handed on as they come, at the pace of
 * the slower side. The record stands before the first byte leaves; where Meta told their hash, the
 * last piece waits until all came and are what it says. A transfer that breaks is cut off, never to
 * be taken for the whole.
 */
#include "media.h"

#include <sodium.h>
#include <stdlib.h>

#define RELAY_PIECE (256u * 1024)
/* What one turn of Meta's side may bring beyond a piece, before it is held. */
#define RELAY_PENDING (4 * RELAY_PIECE)
#define RELAY_MS (5 * 60 * 1000) /* Meta's address lives as long */
/* At once on a thread: tools that do not read on must leave some of its connections to Meta's media
 * (32: client.h) to others. */
#define RELAYS_MAX 24u

struct relay {
    struct upstream_ticket ticket;
    uint64_t length; /* of all; 0: Meta's answer says */
    uint64_t came, given;
    bool begun;  /* the head has left */
    bool wanted; /* the tool's side takes a piece */
    bool over;   /* the tool's side has ended */
    bool ended;  /* Meta's side has */
    bool whole;  /* with all of it, as announced */
    bool held, has_hash;
    uint8_t announced[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state hash;
    struct buffer pending; /* wiped */
};

void relay_free(struct call *call)
{
    struct relay *r = call->media->relay;
    if (!r)
        return;
    call->thread->relays--;
    buffer_free(&r->pending);
    free(r);
    call->media->relay = NULL;
}

/* "image/jpeg" of "image/jpeg; name=...": parameters may say anything. */
static struct span plain_type(struct span type)
{
    struct span plain = span_sub(type, 0, span_find(type, ';'));
    unsigned slashes = 0;
    while (plain.n && plain.p[plain.n - 1] == ' ')
        plain.n--;
    for (size_t i = 0; i < plain.n; i++) {
        char c = plain.p[i];
        bool token = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '.' || c == '-' || c == '+' || c == '_';
        if (!token && (c != '/' || i == 0 || i + 1 == plain.n || slashes++))
            return SPAN("application/octet-stream");
    }
    return slashes == 1 && plain.n < 128 ? plain : SPAN("application/octet-stream");
}

static void hold(struct relay *r, bool on)
{
    if (r->ended || r->held == on)
        return;
    r->held = on;
    upstream_hold(&r->ticket, on);
}

/* The last thing that is done with the call: the tool's side may end with the piece, and with it
 * the call when Meta's has. */
static void pump(struct call *call)
{
    struct relay *r = call->media->relay;
    bool broken = r->ended && !r->whole;
    bool last = r->given + r->pending.n >= r->length;
    if (!r->wanted || r->over || (!broken && (r->pending.n == 0 || (last && !r->whole))))
        return;
    struct buffer piece = r->pending;
    buffer_init(&r->pending, RELAY_PENDING);
    r->wanted = false;
    r->given += piece.n;
    hold(r, false);
    exchange_answer_more(call->server, call->exchange, broken ? SPAN_EMPTY : buffer_span(&piece));
    buffer_free(&piece);
}

static void on_more(struct exchange *ex, void *ctx)
{
    struct call *call = ctx;
    (void)ex;
    call->media->relay->wanted = true;
    if (call->media->relay->begun)
        pump(call);
}

static void on_over(void *ctx, bool whole)
{
    struct call *call = ctx;
    struct relay *r = call->media->relay;
    (void)whole;
    r->over = true;
    if (!r->ended)
        hold(r, false); /* the next bytes end Meta's side, within this call perhaps */
    else if (r->begun)
        call_free(call);
}

/* The length that is promised: as the metadata say, or Meta's answer when they do not; never two
 * different ones. */
static bool agree_length(struct relay *r, const struct http_head *head)
{
    struct span text = http_field(head, SPAN("Content-Length"));
    uint64_t n = 0;
    if (text.n && (span_u64(text, &n) != 0 || n > GRAPH_MEDIA_MAX || (r->length && n != r->length)))
        return false;
    if (!r->length)
        r->length = n;
    return r->length > 0;
}

static int begin(struct call *call, const struct http_head *head)
{
    struct relay *r = call->media->relay;
    struct exchange *ex = call_exchange(call);
    const struct exchange_source source = {.more = on_more, .over = on_over, .ctx = call};
    if (!ex || !agree_length(r, head))
        return ex ? SLUIS_EINVAL : SLUIS_ECLOSED;
    call_record(call, AUDIT_MEDIA, "passed", 0, 0, 0, 0);
    exchange_answer_begin(ex, 200);
    exchange_answer_field(ex, SPAN("Content-Type"),
                          plain_type(http_field(head, SPAN("Content-Type"))));
    exchange_answer_field(ex, SPAN("X-Content-Type-Options"), SPAN("nosniff"));
    exchange_answer_field(ex, SPAN("Content-Disposition"), SPAN("attachment"));
    if (!exchange_answer_stream(ex, r->length, &source))
        r->over = true;
    r->begun = true;
    return 0;
}

static int on_bytes(void *ctx, const struct http_head *head, struct span bytes)
{
    struct call *call = ctx;
    struct relay *r = call->media->relay;
    int error = r->begun ? 0 : begin(call, head);
    if (error != 0 || r->over)
        return error ? error : SLUIS_ECLOSED;
    crypto_hash_sha256_update(&r->hash, (const uint8_t *)bytes.p, bytes.n);
    r->came += bytes.n;
    buffer_add(&r->pending, bytes);
    if (r->pending.error || r->came > r->length)
        return SLUIS_ELIMIT;
    pump(call); /* it lives: Meta's side has not ended */
    /* What is whole is not held: the end of a body in chunks, or until close, is still to come, and
     * the last piece waits for it. */
    if (r->pending.n >= RELAY_PIECE && r->came < r->length)
        hold(r, true);
    return 0;
}

static void on_end(const struct upstream_answer *answer, void *ctx)
{
    struct call *call = ctx;
    struct relay *r = call->media->relay;
    uint8_t hash[crypto_hash_sha256_BYTES];
    bool good = answer->outcome == UPSTREAM_ANSWERED && answer->status == 200;
    r->ended = true;
    crypto_hash_sha256_final(&r->hash, hash);
    r->whole = good && r->came == r->length &&
               (!r->has_hash || memcmp(hash, r->announced, sizeof(hash)) == 0);
    if (!r->begun) {
        bool none = answer->outcome == UPSTREAM_ANSWERED &&
                    (answer->status == 404 || answer->status == 410);
        call_refuse(call, none ? E_MEDIA_UNKNOWN : E_UNREACHABLE, NULL);
    } else if (r->over) {
        call_free(call);
    } else {
        pump(call);
    }
}

static void on_recorded(struct call *call, int result)
{
    struct relay *r = call->media->relay;
    struct upstream *upstream = call->thread->upstream; /* NULL: stopping */
    int error = result ? SLUIS_EFULL : upstream ? 0 : SLUIS_ECLOSED;
    const struct upstream_media_request request = {.channel = call->channel,
                                                   .url = call->media->url,
                                                   .answer_max =
                                                       r->length ? r->length : GRAPH_MEDIA_MAX,
                                                   .due_ms = clock_mono_ms() + RELAY_MS,
                                                   .data = on_bytes,
                                                   .ticket = &r->ticket,
                                                   .done = on_end,
                                                   .ctx = call};
    if (error == 0)
        error = upstream_media_stream(upstream, &request);
    if (error != 0)
        call_refuse(call, error == SLUIS_EFULL ? E_STORE : E_UNREACHABLE, NULL);
}

/* Address, size and hash of the bytes, from Meta's metadata. E_COUNT when fine. */
static enum graph_error read_metadata(struct call *call, struct span body, struct span *url)
{
    struct relay *r = call->media->relay;
    struct span text;
    int error = json_scan(&call->doc, body, &call->arena, NULL);
    if (error == 0)
        error = json_string(&call->doc, json_get(&call->doc, 0, SPAN("url")), &call->arena, url);
    if (error != 0)
        return E_REPLY;
    if (json_string(&call->doc, json_get(&call->doc, 0, SPAN("sha256")), &call->arena, &text) == 0)
        r->has_hash = hex_decode_lower(text, r->announced, sizeof(r->announced)) == 0;
    uint32_t node = json_get(&call->doc, 0, SPAN("file_size"));
    if (json_is(&call->doc, node, JSON_STRING)) { /* as Meta writes it */
        if (json_string(&call->doc, node, &call->arena, &text) != 0 ||
            span_u64(text, &r->length) != 0 || r->length == 0)
            return E_REPLY;
    } else {
        (void)json_u64(&call->doc, node, &r->length);
    }
    if (r->length > GRAPH_MEDIA_MAX)
        return E_TOO_LARGE;
    return media_reserve_for(call, 2ull * RELAY_PIECE) ? E_COUNT : E_BUSY;
}

void media_on_uploaded_metadata(const struct upstream_answer *answer, void *ctx)
{
    struct call *call = ctx;
    struct span url;
    if (answer->outcome != UPSTREAM_ANSWERED || answer->status != 200) {
        reply_forward(call, answer); /* Meta's own reason, its limits among them */
        return;
    }
    struct relay *r = call->thread->relays < RELAYS_MAX ? calloc(1, sizeof(*r)) : NULL;
    enum graph_error error = r ? E_COUNT : E_BUSY;
    if (r) {
        call->thread->relays++;
        call->media->relay = r;
        buffer_init(&r->pending, RELAY_PENDING);
        crypto_hash_sha256_init(&r->hash);
        error = read_metadata(call, answer->body, &url);
    }
    if (error == E_COUNT && arena_try_copy(&call->arena, url, &call->media->url) != 0)
        error = E_BUSY;
    if (error == E_COUNT)
        media_record(call, "intent", SPAN_EMPTY, on_recorded);
    else
        call_refuse(call, error, NULL);
}

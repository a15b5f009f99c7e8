/*
 * Media of tools, in this version only on channels that say `media: pass`: ids that came by webhook
 * or upload, metadata with our own address, bytes through the gateway, uploads rebuilt.
 */
#include "internal.h"

#include "sluis/net/multipart.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define MEDIA_KEY_BYTES (2 + STORE_HASH_BYTES)

static void media_key(struct call *call, const struct config_channel *channel, struct span id,
                      uint8_t out[MEDIA_KEY_BYTES])
{
    be16_put(out, channel->id);
    keyring_hash_identifier(call->thread->graph->deps.keyring, "media", id, out + 2);
}

bool media_known(struct call *call, const struct config_channel *channel, struct span id)
{
    uint8_t key[MEDIA_KEY_BYTES];
    struct store_read *read;
    struct span value;
    if (store_read_begin(call->thread->graph->deps.store, &read) != 0)
        return false;
    media_key(call, channel, id, key);
    bool known = store_get_row(read, STORE_TABLE_MEDIA, span_of(key, sizeof(key)), &call->arena,
                               &value) == 0;
    store_read_end(read);
    return known;
}

/* Ids are known by (channel, id): what no webhook brought and nobody uploaded is not asked of Meta.
 * The first of the tool's channels that knows it is the channel meant. */
static bool find_known(struct call *call)
{
    for (size_t i = 0; i < call->config->channel_count; i++) {
        const struct config_channel *channel = &call->config->channels[i];
        if (!principal_may_use(&call->principal, channel->id) || !channel->media_pass ||
            !media_known(call, channel, span_str(call->id)))
            continue;
        call->channel = channel;
        return true;
    }
    return false;
}

static bool belongs(struct call *call)
{
    struct span number = call_parameter(call, "phone_number_id");
    if (find_known(call) && (number.n == 0 || span_is(number, call->channel->phone_number_id)))
        return true;
    call_refuse(call, E_OBJECT, NULL);
    return false;
}

static void own_target(const struct call *call, struct buffer *out)
{
    buffer_addf(out, "/%s/%s?phone_number_id=%s", call->version, call->id,
                call->channel->phone_number_id);
}

static void on_answer(const struct upstream_answer *answer, void *ctx)
{
    reply_forward(ctx, answer);
}

/* Memory for media of one thread, given back with the call. From then on an answer is the server's,
 * until its tool has taken it: calls that were let in before may not add to that without end. */
static bool reserve(struct call *call, uint64_t bytes)
{
    struct graph_thread *t = call->thread;
    if (t->media_bytes + bytes > GRAPH_MEDIA_BYTES || server_full(call->server))
        return false;
    t->media_bytes += bytes;
    call->media_bytes += bytes;
    return true;
}

/* ---- bytes ---- */

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

static void on_bytes(const struct upstream_answer *answer, void *ctx)
{
    struct call *call = ctx;
    struct exchange *ex = call_exchange(call);
    if (answer->outcome != UPSTREAM_ANSWERED || answer->status != 200) {
        bool none = answer->outcome == UPSTREAM_ANSWERED &&
                    (answer->status == 404 || answer->status == 410);
        call_refuse(call, none ? E_OBJECT : E_UNREACHABLE, NULL);
        return;
    }
    call_record(call, AUDIT_MEDIA, "passed", 0, 0, 0, 0);
    if (ex) {
        exchange_answer_begin(ex, 200);
        exchange_answer_field(ex, SPAN("Content-Type"), plain_type(answer->content_type));
        exchange_answer_field(ex, SPAN("X-Content-Type-Options"), SPAN("nosniff"));
        exchange_answer_field(ex, SPAN("Content-Disposition"), SPAN("attachment"));
        exchange_answer_end(ex, answer->body);
    }
    call_free(call);
}

struct intent {
    struct mail mail;
    struct store_job job;
    struct call *call;
    struct buffer leaf;
    uint8_t hash[32];
    struct span url, type;
    uint8_t media_key[MEDIA_KEY_BYTES];
    bool has_key;
    struct buffer reply;
    unsigned status;
};

static void intent_free(struct intent *i)
{
    buffer_free(&i->leaf);
    buffer_free(&i->reply);
    free(i);
}

static int run_intent(struct store_txn *txn, struct store_job *job)
{
    struct intent *i = (struct intent *)((char *)job - offsetof(struct intent, job));
    uint64_t index;
    if (i->has_key) {
        uint8_t now[8];
        be64_put(now, (uint64_t)clock_wall_ms());
        store_put_row(txn, STORE_TABLE_MEDIA, span_of(i->media_key, sizeof(i->media_key)),
                      span_of(now, sizeof(now)));
    }
    store_put_leaf(txn, buffer_span(&i->leaf), i->hash, &index);
    return store_txn_error(txn);
}

static struct intent *intent_new(struct call *call, const char *outcome)
{
    struct intent *i = calloc(1, sizeof(*i));
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_MEDIA,
                                      .actor = call->principal.name,
                                      .claimed = call->actor[0] ? call->actor : NULL,
                                      .role = call_role(call),
                                      .channel = call->channel->name,
                                      .route = call->route ? call->route->name : NULL,
                                      .activity = policy_activity(call->channel->policy),
                                      .policy_hash = policy_hash(call->channel->policy),
                                      .outcome = outcome};
    if (!i)
        return NULL;
    i->call = call;
    buffer_init(&i->leaf, AUDIT_LEAF_MAX);
    buffer_init(&i->reply, GRAPH_REPLY_MAX);
    if (audit_leaf(&event, &i->leaf, i->hash) != 0) {
        intent_free(i);
        return NULL;
    }
    return i;
}

/* The record is durable: now the bytes may be fetched. */
static void on_recorded(struct mail *mail)
{
    struct intent *i = (struct intent *)mail;
    struct call *call = i->call;
    struct upstream *upstream = call->thread->upstream; /* NULL: stopping */
    int r = i->job.result ? SLUIS_EFULL : upstream ? 0 : SLUIS_ECLOSED;
    if (r == 0)
        r = upstream_media(upstream, call->channel, i->url, call->media_bytes,
                           call->started_ms + GRAPH_META_MS, on_bytes, call);
    if (r != 0)
        call_refuse(call, r == SLUIS_EFULL ? E_STORE : E_UNREACHABLE, NULL);
    intent_free(i);
}

static void submit(struct intent *i, void (*done)(struct store_job *job))
{
    i->job.priority = STORE_NORMAL;
    i->job.run = run_intent;
    i->job.done = done;
    store_submit(i->call->thread->graph->deps.store, &i->job);
}

static void intent_done(struct store_job *job)
{
    struct intent *i = (struct intent *)((char *)job - offsetof(struct intent, job));
    loop_post(i->call->thread->loop, &i->mail, on_recorded);
}

/* Address and size of the bytes, from Meta's metadata. E_COUNT when fine. */
static enum graph_error read_metadata(struct call *call, struct span body, struct span *url)
{
    uint64_t size = 0;
    int r = json_scan(&call->doc, body, &call->arena, NULL);
    if (r == 0)
        r = json_string(&call->doc, json_get(&call->doc, 0, SPAN("url")), &call->arena, url);
    if (r != 0)
        return E_REPLY;
    if (json_u64(&call->doc, json_get(&call->doc, 0, SPAN("file_size")), &size) != 0 || size == 0)
        size = GRAPH_MEDIA_MAX;
    if (size > GRAPH_MEDIA_MAX)
        return E_TOO_LARGE;
    return reserve(call, size) ? E_COUNT : E_BUSY;
}

static void on_metadata(const struct upstream_answer *answer, void *ctx)
{
    struct call *call = ctx;
    struct span url;
    if (answer->outcome != UPSTREAM_ANSWERED || answer->status != 200) {
        reply_forward(call, answer); /* Meta's own reason, its limits among them */
        return;
    }
    enum graph_error error = read_metadata(call, answer->body, &url);
    struct intent *i = error == E_COUNT ? intent_new(call, "intent") : NULL;
    if (i && arena_try_copy(&call->arena, url, &i->url) != 0) {
        intent_free(i);
        i = NULL;
    }
    if (i)
        submit(i, intent_done);
    else
        call_refuse(call, error == E_COUNT ? E_STORE : error, NULL);
}

void handle_media_bytes(struct call *call)
{
    if (!belongs(call))
        return;
    own_target(call, &call->rebuilt);
    forward(call, HTTP_GET, buffer_span(&call->rebuilt), SPAN_EMPTY, SPAN_EMPTY, GRAPH_REPLY_MAX,
            on_metadata);
}

/* ---- metadata, delete ---- */

void handle_media_get(struct call *call)
{
    if (!belongs(call))
        return;
    graph_count(call->thread->graph, G_FORWARDED);
    own_target(call, &call->rebuilt);
    forward(call, HTTP_GET, buffer_span(&call->rebuilt), SPAN_EMPTY, SPAN_EMPTY, GRAPH_REPLY_MAX,
            on_answer);
}

void handle_media_delete(struct call *call)
{
    if (!belongs(call))
        return;
    own_target(call, &call->rebuilt);
    forward(call, HTTP_DELETE, buffer_span(&call->rebuilt), SPAN_EMPTY, SPAN_EMPTY, GRAPH_REPLY_MAX,
            on_answer);
}

/* ---- upload: parts read, known ones written anew under our own boundary ---- */

struct upload {
    struct buffer product, type, file;
    struct span file_type;
    unsigned seen; /* bits: product, type, file */
};

#define UPLOAD_WORD_MAX 256 /* of the parts that are no file */

static void upload_free(struct upload *u)
{
    buffer_free(&u->product);
    buffer_free(&u->type);
    buffer_free(&u->file);
}

static int take_part(struct upload *u, struct arena *arena, const struct multipart_part *part,
                     struct buffer **slot)
{
    static const char *const names[] = {"messaging_product", "type", "file"};
    struct buffer *const slots[] = {&u->product, &u->type, &u->file};
    for (unsigned i = 0; i < 3; i++) {
        if (!span_is(part->name, names[i]))
            continue;
        if (u->seen & 1u << i)
            return SLUIS_EINVAL;
        u->seen |= 1u << i;
        *slot = slots[i];
        return i == 2 ? arena_try_copy(arena, part->content_type, &u->file_type) : 0;
    }
    return SLUIS_EINVAL;
}

/* "image/jpeg", "audio/ogg; codecs=opus": what is written into a head again, so no line ends. */
static bool good_type(struct span type)
{
    for (size_t i = 0; i < type.n; i++)
        if (type.p[i] < 0x20 || type.p[i] > 0x7e)
            return false;
    return type.n < UPLOAD_WORD_MAX / 2;
}

static int read_upload(struct call *call, struct upload *u)
{
    struct multipart_reader *reader = arena_try(&call->arena, sizeof(*reader));
    if (!reader || multipart_init(reader, span_str(call->content_type)) != 0)
        return SLUIS_EINVAL;
    struct span rest = buffer_span(&call->body);
    struct buffer *slot = NULL;
    while (rest.n) {
        size_t used = 0;
        enum multipart_event event = multipart_feed(reader, rest, &used);
        int r = 0;
        if (event == MULTIPART_REFUSED)
            return SLUIS_EINVAL;
        if (event == MULTIPART_PART_BEGIN)
            r = take_part(u, &call->arena, &reader->part, &slot);
        if (event == MULTIPART_DATA && slot)
            buffer_add(slot, reader->data);
        if (r == 0 && slot)
            r = slot->error;
        if (r != 0)
            return r;
        rest = span_from(rest, used);
    }
    if (multipart_closed(reader) != MULTIPART_END || !(u->seen & 4) ||
        !span_is(buffer_span(&u->product), "whatsapp") || !good_type(buffer_span(&u->type)) ||
        !good_type(u->file_type))
        return SLUIS_EINVAL;
    return 0;
}

static void add_part(struct buffer *out, const char *boundary, const char *name, struct span value)
{
    buffer_addf(out, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n", boundary, name);
    buffer_add(out, value);
    buffer_add(out, SPAN("\r\n"));
}

static void write_upload(const struct upload *u, const char *boundary, struct buffer *out)
{
    struct span type = u->type.n ? buffer_span(&u->type) : u->file_type;
    add_part(out, boundary, "messaging_product", SPAN("whatsapp"));
    if (u->type.n)
        add_part(out, boundary, "type", type);
    /* The name of a file may name a person: Meta needs only that there is one. */
    buffer_addf(out, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n",
                boundary);
    buffer_add(out, SPAN("Content-Type: "));
    buffer_add(out, type.n ? type : SPAN("application/octet-stream"));
    buffer_add(out, SPAN("\r\n\r\n"));
    buffer_add(out, buffer_span(&u->file));
    buffer_addf(out, "\r\n--%s--\r\n", boundary);
}

static void on_upload_recorded(struct mail *mail)
{
    struct intent *i = (struct intent *)mail;
    struct call *call = i->call;
    if (i->job.result != 0) {
        call_refuse(call, E_STORE, NULL);
    } else {
        struct exchange *ex = call_exchange(call);
        if (ex)
            exchange_answer(ex, i->status, SPAN("application/json"), buffer_span(&i->reply));
        call_free(call);
    }
    intent_free(i);
}

static void upload_done(struct store_job *job)
{
    struct intent *i = (struct intent *)((char *)job - offsetof(struct intent, job));
    loop_post(i->call->thread->loop, &i->mail, on_upload_recorded);
}

/* {"id":"..."}: the id becomes known to this channel, then the tool hears of it. */
static void on_uploaded(const struct upstream_answer *answer, void *ctx)
{
    struct call *call = ctx;
    struct span id;
    if (answer->outcome != UPSTREAM_ANSWERED || answer->status != 200) {
        reply_forward(call, answer);
        return;
    }
    int r = json_scan(&call->doc, answer->body, &call->arena, NULL);
    if (r == 0)
        r = json_string(&call->doc, json_get(&call->doc, 0, SPAN("id")), &call->arena, &id);
    struct intent *i = r == 0 ? intent_new(call, "uploaded") : NULL;
    if (!i) {
        call_refuse(call, E_REPLY, NULL);
        return;
    }
    media_key(call, call->channel, id, i->media_key);
    i->has_key = true;
    i->status = 200;
    buffer_add(&i->reply, SPAN("{\"id\":"));
    json_quote(&i->reply, id);
    buffer_add_char(&i->reply, '}');
    submit(i, upload_done);
}

/* Committed that it goes: now it may. */
static void on_upload_intent(struct mail *mail)
{
    struct intent *i = (struct intent *)mail;
    struct call *call = i->call;
    char target[64 + GRAPH_ID_MAX];
    int n = snprintf(target, sizeof(target), "/%s/%s/media", call->version, call->id);
    if (i->job.result != 0 || !call_may_leave(call))
        call_refuse(call, E_STORE, NULL);
    else
        forward(call, HTTP_POST, span_of(target, (size_t)n), i->type, buffer_span(&call->rebuilt),
                GRAPH_REPLY_MAX, on_uploaded);
    intent_free(i);
}

static void upload_intent_done(struct store_job *job)
{
    struct intent *i = (struct intent *)((char *)job - offsetof(struct intent, job));
    loop_post(i->call->thread->loop, &i->mail, on_upload_intent);
}

/* The parts, anew in call->rebuilt; the request's own body is let go. */
static enum graph_error rebuild_upload(struct call *call, const char *boundary)
{
    struct upload u = {.seen = 0};
    buffer_init(&u.product, UPLOAD_WORD_MAX);
    buffer_init(&u.type, UPLOAD_WORD_MAX);
    buffer_init(&u.file, GRAPH_UPLOAD_MAX);
    int r = read_upload(call, &u);
    if (r == 0)
        write_upload(&u, boundary, &call->rebuilt);
    upload_free(&u);
    buffer_free(&call->body);
    return r ? E_BODY : call->rebuilt.error ? E_TOO_LARGE : E_COUNT;
}

void handle_media_upload(struct call *call)
{
    char boundary[40], type[96];
    uint8_t random[16];
    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(boundary, sizeof(boundary), random, sizeof(random));
    int n = snprintf(type, sizeof(type), "multipart/form-data; boundary=%s", boundary);
    /* As it came, rebuilt, and on its way out. */
    enum graph_error error =
        reserve(call, 3 * (uint64_t)call->body.n) ? rebuild_upload(call, boundary) : E_BUSY;
    struct intent *i = error == E_COUNT ? intent_new(call, "upload_intent") : NULL;
    if (i && arena_try_copy(&call->arena, span_of(type, (size_t)n), &i->type) != 0) {
        intent_free(i);
        i = NULL;
    }
    if (i)
        submit(i, upload_intent_done);
    else
        call_refuse(call, error == E_COUNT ? E_STORE : error, error == E_BODY ? "multipart" : NULL);
}

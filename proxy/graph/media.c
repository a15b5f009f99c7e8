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

static void media_key(const struct call *call, struct span id, uint8_t out[MEDIA_KEY_BYTES])
{
    be16_put(out, call->channel->id);
    keyring_hash_identifier(call->thread->graph->deps.keyring, "media", id, out + 2);
}

/* Ids are known by (channel, id): what no webhook brought and nobody uploaded is not asked of Meta.
 * The first of the tool's channels that knows it is the channel meant. */
static bool find_known(struct call *call)
{
    const struct config_channel *first = call->channel;
    struct store_read *read;
    bool known = false;
    if (store_read_begin(call->thread->graph->deps.store, &read) != 0)
        return false;
    for (size_t i = 0; !known && i < call->config->channel_count; i++) {
        uint8_t key[MEDIA_KEY_BYTES];
        struct span value;
        call->channel = &call->config->channels[i];
        if (!principal_may_use(&call->principal, call->channel->id) || !call->channel->media_pass)
            continue;
        media_key(call, span_str(call->id), key);
        known = store_get_row(read, STORE_TABLE_MEDIA, span_of(key, sizeof(key)), &call->arena,
                              &value) == 0;
    }
    store_read_end(read);
    if (!known)
        call->channel = first;
    return known;
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

/* ---- bytes ---- */

static void on_bytes(const struct upstream_answer *answer, void *ctx)
{
    struct call *call = ctx;
    struct exchange *ex = call_exchange(call);
    if (answer->outcome != UPSTREAM_ANSWERED || answer->status != 200) {
        call_refuse(call, answer->outcome == UPSTREAM_ANSWERED ? E_OBJECT : E_UNREACHABLE, NULL);
        return;
    }
    call_record(call, AUDIT_MEDIA, "passed", 0, 0, 0, 0);
    if (ex) {
        exchange_answer_begin(ex, 200);
        if (answer->content_type.n)
            exchange_answer_field(ex, SPAN("Content-Type"), answer->content_type);
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
    struct span url;
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
                                      .role = "tool",
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
    int r = i->job.result;
    if (r == 0)
        r = upstream_media(call->thread->upstream, call->channel, i->url, GRAPH_MEDIA_MAX, on_bytes,
                           call);
    else
        r = SLUIS_EFULL;
    if (r != 0)
        call_refuse(call, r == SLUIS_EFULL ? E_STORE : E_UNREACHABLE, NULL);
    intent_free(i);
}

static void intent_done(struct store_job *job)
{
    struct intent *i = (struct intent *)((char *)job - offsetof(struct intent, job));
    loop_post(i->call->thread->loop, &i->mail, on_recorded);
}

static void on_metadata(const struct upstream_answer *answer, void *ctx)
{
    struct call *call = ctx;
    struct span url;
    if (answer->outcome != UPSTREAM_ANSWERED) {
        call_refuse(call, E_UNREACHABLE, NULL);
        return;
    }
    int r = answer->status == 200 ? json_scan(&call->doc, answer->body, &call->arena, NULL)
                                  : SLUIS_ENOENT;
    if (r == 0)
        r = json_string(&call->doc, json_get(&call->doc, 0, SPAN("url")), &call->arena, &url);
    struct intent *i = r == 0 ? intent_new(call, "intent") : NULL;
    if (i && arena_try_copy(&call->arena, url, &i->url) != 0) {
        intent_free(i);
        i = NULL;
    }
    if (!i) {
        call_refuse(call, r == 0 ? E_STORE : E_OBJECT, NULL);
        return;
    }
    i->job.priority = STORE_NORMAL;
    i->job.run = run_intent;
    i->job.done = intent_done;
    store_submit(call->thread->graph->deps.store, &i->job);
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
    struct span product, type, file, file_name, file_type;
    unsigned seen; /* bits: product, type, file */
};

static int take_part(struct upload *u, struct arena *arena, const struct multipart_part *part,
                     struct span **slot)
{
    static const char *const names[] = {"messaging_product", "type", "file"};
    struct span *const slots[] = {&u->product, &u->type, &u->file};
    for (unsigned i = 0; i < 3; i++) {
        if (!span_is(part->name, names[i]))
            continue;
        if (u->seen & 1u << i)
            return SLUIS_EINVAL;
        u->seen |= 1u << i;
        *slot = slots[i];
        if (i != 2)
            return 0;
        int r = arena_try_copy(arena, part->filename, &u->file_name);
        return r ? r : arena_try_copy(arena, part->content_type, &u->file_type);
    }
    return SLUIS_EINVAL;
}

/* The whole body is in memory: a part's content is one run of it. */
static int read_upload(struct call *call, struct upload *u)
{
    struct multipart_reader *reader = arena_try(&call->arena, sizeof(*reader));
    if (!reader || multipart_init(reader, span_str(call->content_type)) != 0)
        return SLUIS_EINVAL;
    struct span rest = buffer_span(&call->body), *slot = NULL;
    while (rest.n) {
        size_t used = 0;
        enum multipart_event event = multipart_feed(reader, rest, &used);
        int r = 0;
        if (event == MULTIPART_REFUSED)
            return SLUIS_EINVAL;
        if (event == MULTIPART_PART_BEGIN)
            r = take_part(u, &call->arena, &reader->part, &slot);
        if (event == MULTIPART_DATA && slot) {
            struct buffer
                joined; /* runs of one part are joined: a look-alike boundary splits them */
            buffer_init(&joined, GRAPH_UPLOAD_MAX);
            buffer_add(&joined, *slot);
            buffer_add(&joined, reader->data);
            r = joined.error ? joined.error
                             : arena_try_copy(&call->arena, buffer_span(&joined), slot);
            buffer_free(&joined);
        }
        if (r != 0)
            return r;
        rest = span_from(rest, used);
    }
    if (multipart_closed(reader) != MULTIPART_END || !(u->seen & 4) ||
        !span_is(u->product, "whatsapp"))
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
    struct span type = u->type.n ? u->type : u->file_type;
    add_part(out, boundary, "messaging_product", SPAN("whatsapp"));
    if (u->type.n)
        add_part(out, boundary, "type", u->type);
    /* The name of a file may name a person: Meta needs only that there is one. */
    buffer_addf(out, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n",
                boundary);
    buffer_add(out, SPAN("Content-Type: "));
    buffer_add(out, type.n ? type : SPAN("application/octet-stream"));
    buffer_add(out, SPAN("\r\n\r\n"));
    buffer_add(out, u->file);
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
    media_key(call, id, i->media_key);
    i->has_key = true;
    i->status = 200;
    buffer_add(&i->reply, SPAN("{\"id\":"));
    json_quote(&i->reply, id);
    buffer_add_char(&i->reply, '}');
    i->job.priority = STORE_NORMAL;
    i->job.run = run_intent;
    i->job.done = upload_done;
    store_submit(call->thread->graph->deps.store, &i->job);
}

void handle_media_upload(struct call *call)
{
    struct upload u = {.seen = 0};
    char boundary[40], type[96], target[64 + GRAPH_ID_MAX];
    uint8_t random[16];
    if (read_upload(call, &u) != 0) {
        call_refuse(call, E_BODY, "multipart");
        return;
    }
    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(boundary, sizeof(boundary), random, sizeof(random));
    write_upload(&u, boundary, &call->rebuilt);
    if (call->rebuilt.error) {
        call_refuse(call, E_TOO_LARGE, NULL);
        return;
    }
    int n = snprintf(target, sizeof(target), "/%s/%s/media", call->version, call->id);
    int m = snprintf(type, sizeof(type), "multipart/form-data; boundary=%s", boundary);
    forward(call, HTTP_POST, span_of(target, (size_t)n), span_of(type, (size_t)m),
            buffer_span(&call->rebuilt), GRAPH_REPLY_MAX, on_uploaded);
}

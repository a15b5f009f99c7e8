/* Records of media calls, committed before anything leaves; and the bytes of a tool's own uploads,
 * which Meta alone has. */
#include "media.h"

#include <stdlib.h>

struct record {
    struct mail mail;
    struct store_job job;
    struct call *call;
    struct buffer leaf, row;
    uint8_t hash[32];
    uint8_t key[MEDIA_KEY_BYTES];
    void (*then)(struct call *call, int result);
};

static int run(struct store_txn *txn, struct store_job *job)
{
    struct record *r = (struct record *)((char *)job - offsetof(struct record, job));
    uint64_t index;
    if (r->row.n)
        store_put_row(txn, STORE_TABLE_MEDIA, span_of((const char *)r->key, sizeof(r->key)),
                      buffer_span(&r->row));
    store_put_leaf(txn, buffer_span(&r->leaf), r->hash, &index);
    return store_txn_error(txn);
}

static void record_end(struct record *r, int result)
{
    struct call *call = r->call;
    void (*then)(struct call * call, int result) = r->then;
    buffer_free(&r->leaf);
    buffer_free(&r->row);
    free(r);
    then(call, result);
}

static void on_back(struct mail *mail)
{
    struct record *r = (struct record *)mail;
    record_end(r, r->job.result);
}

static void done(struct store_job *job)
{
    struct record *r = (struct record *)((char *)job - offsetof(struct record, job));
    loop_post(r->call->thread->loop, &r->mail, on_back);
}

static int write_row(struct record *r, struct span id)
{
    struct call *call = r->call;
    const struct media_item item = {.state = MEDIA_SENT, .since_ms = clock_wall_ms()};
    if (id.n == 0)
        return 0;
    media_key(call->thread->graph->deps.keyring, call->channel->id, id, r->key);
    return media_row_write(NULL, &item, &r->row);
}

void media_record(struct call *call, const char *outcome, struct span uploaded,
                  void (*then)(struct call *call, int result))
{
    struct record *r = calloc(1, sizeof(*r));
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_MEDIA,
                                      .actor = call->principal.name,
                                      .claimed = call->actor[0] ? call->actor : NULL,
                                      .role = "tool",
                                      .channel = call->channel->name,
                                      .route = call->route ? call->route->name : NULL,
                                      .activity = policy_activity(call->channel->policy),
                                      .policy_hash = policy_hash(call->channel->policy),
                                      .object = call->media ? call->media->item.keys.serial : 0,
                                      .outcome = outcome};
    if (!r) {
        then(call, SLUIS_ENOMEM);
        return;
    }
    r->call = call;
    r->then = then;
    buffer_init(&r->leaf, AUDIT_LEAF_MAX);
    buffer_init(&r->row, MEDIA_ROW_MAX);
    int result = audit_leaf(&event, &r->leaf, r->hash);
    if (result == 0)
        result = write_row(r, uploaded);
    if (result != 0) {
        record_end(r, result);
        return;
    }
    r->job = (struct store_job){.priority = STORE_NORMAL, .run = run, .done = done};
    store_submit(call->thread->graph->deps.store, &r->job);
}

/* ---- a tool's own uploads ---- */

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
        call_refuse(call, none ? E_MEDIA_UNKNOWN : E_UNREACHABLE, NULL);
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

static void on_recorded(struct call *call, int result)
{
    struct upstream *upstream = call->thread->upstream; /* NULL: stopping */
    int r = result ? SLUIS_EFULL : upstream ? 0 : SLUIS_ECLOSED;
    if (r == 0)
        r = upstream_media(upstream, call->channel, call->media->url, call->media_bytes,
                           call->started_ms + GRAPH_META_MS, on_bytes, call);
    if (r != 0)
        call_refuse(call, r == SLUIS_EFULL ? E_STORE : E_UNREACHABLE, NULL);
}

/* Address and size of the bytes, from Meta's metadata. E_COUNT when fine. */
static enum graph_error read_metadata(struct call *call, struct span body, struct span *url)
{
    uint64_t size = 0;
    struct span digits;
    int r = json_scan(&call->doc, body, &call->arena, NULL);
    if (r == 0)
        r = json_string(&call->doc, json_get(&call->doc, 0, SPAN("url")), &call->arena, url);
    if (r != 0)
        return E_REPLY;
    uint32_t node = json_get(&call->doc, 0, SPAN("file_size"));
    if (json_is(&call->doc, node, JSON_STRING)) { /* as Meta writes it */
        if (json_string(&call->doc, node, &call->arena, &digits) != 0 ||
            span_u64(digits, &size) != 0)
            return E_REPLY;
    } else if (json_u64(&call->doc, node, &size) != 0) {
        size = GRAPH_MEDIA_MAX;
    }
    if (size == 0 || size > GRAPH_MEDIA_MAX)
        return size ? E_TOO_LARGE : E_REPLY;
    return media_reserve_for(call, size) ? E_COUNT : E_BUSY;
}

void media_on_uploaded_metadata(const struct upstream_answer *answer, void *ctx)
{
    struct call *call = ctx;
    struct span url;
    if (answer->outcome != UPSTREAM_ANSWERED || answer->status != 200) {
        reply_forward(call, answer); /* Meta's own reason, its limits among them */
        return;
    }
    enum graph_error error = read_metadata(call, answer->body, &url);
    if (error == E_COUNT && arena_try_copy(&call->arena, url, &call->media->url) != 0)
        error = E_BUSY;
    if (error == E_COUNT)
        media_record(call, "intent", SPAN_EMPTY, on_recorded);
    else
        call_refuse(call, error, NULL);
}

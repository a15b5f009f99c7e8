/* Records of media calls, committed before anything leaves. */
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
                                      .object = call->media ? call->media->item.message : 0,
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

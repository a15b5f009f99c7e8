#include "help.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../store/support.h"
#include "sluis/base/clock.h"
#include "sluis/base/json.h"
#include "sluis/mask.h"

#define POLICY_HEAD                                                                                \
    "policy: 1\nname: test\nprofiles: {webcare: {default: redact}}\n"                              \
    "routes: {webcare: {profile: webcare}}\n"                                                      \
    "originals:\n  - {found: pan, keep: never}\n  - {keep: 2h, ground: \"AVG 6.1.e\"}\n"           \
    "history:\n  - {kind: media, keep: 3h, ground: consent}\n"                                     \
    "  - {keep: 4h, ground: \"AVG 6.1.e\""
static const char policy_text[] = POLICY_HEAD ", selection: \"Selectielijst 2020\"}\n";
static const char policy_free[] = POLICY_HEAD "}\n";

static void each_policy(void *ctx, int (*each)(void *each_ctx, const struct policy *policy),
                        void *each_ctx)
{
    struct world *w = ctx;
    (void)each(each_ctx, w->policy);
}

static struct policy *channel_policy(void *ctx, const char *channel)
{
    struct world *w = ctx;
    return strcmp(channel, "burgerzaken") == 0 ? policy_ref(w->policy) : NULL;
}

static bool consents(void *ctx, uint16_t channel, uint64_t subject)
{
    (void)channel;
    return subject && subject == ((struct world *)ctx)->consenting;
}

static void forget(void *ctx, uint64_t subject)
{
    struct world *w = ctx;
    w->forgotten = subject;
    w->forgets++;
}

static int media_leaves(void *ctx, int (*each)(void *to, uint64_t serial), void *to)
{
    const struct world *w = ctx;
    return w->media_leaf ? each(to, w->media_leaf) : 0;
}

static int notes_leaves(void *ctx, int (*each)(void *to, uint64_t serial), void *to)
{
    const struct world *w = ctx;
    return w->notes_leaf ? each(to, w->notes_leaf) : 0;
}

static int sweep_media(void *ctx, bool *more)
{
    struct world *w = ctx;
    *more = ++w->media_passes % 2 == 1; /* two calls a pass */
    return 0;
}

static int keep_media(void *ctx, uint64_t subject, uint64_t serial, const struct record_id *to)
{
    struct world *w = ctx;
    (void)subject;
    if (serial == 0 || w->keep_fault) /* a hold: nothing to copy */
        return serial ? w->keep_fault : 0;
    w->kept = serial;
    w->kept_to = *to;
    w->keeps++;
    return 0;
}

static unsigned told(void *ctx, uint16_t route)
{
    const struct world *w = ctx;
    return route <= 1 ? w->told : 0;
}

static void offer(void *ctx, const struct store_item *item)
{
    struct world *w = ctx;
    assert_true(item->flags & STORE_ITEM_TOLD && item->order > 0);
    w->offers++;
}

void world_purge_open(struct world *w)
{
    const struct purge_deps deps = {.store = w->store,
                                    .keyring = w->keyring,
                                    .each_policy = each_policy,
                                    .channel_policy = channel_policy,
                                    .consents = consents,
                                    .forget = forget,
                                    .sweep_media = sweep_media,
                                    .keep_media = keep_media,
                                    .media_leaves = media_leaves,
                                    .notes_leaves = notes_leaves,
                                    .settled = w->settled,
                                    .told = w->told ? told : NULL,
                                    .offer = offer,
                                    .ctx = w};
    assert_int_equal(purge_new(&deps, &w->purge), 0);
}

/* As proxy/gateway/seal.c: a cache for the writer, one that readers share. */
static int seal_block(void *ctx, uint8_t table, uint64_t row, struct span plain, struct buffer *out)
{
    const struct record_id id = {.serial = row, .part = 'L'};
    return record_seal(((struct world *)ctx)->writer, table, &id, 0, plain, out);
}

static int open_block(void *ctx, uint8_t table, uint64_t row, struct span sealed,
                      struct buffer *out)
{
    const struct record_id id = {.serial = row, .part = 'L'};
    return record_open(((struct world *)ctx)->readers, table, &id, sealed, out);
}

static void open_all(struct world *w)
{
    const struct keyring_config keys = {.path = w->keys,
                                        .root_file = w->root,
                                        .make = true,
                                        .any_file_system = true,
                                        .fault = w->keyring_fault,
                                        .fault_ctx = w->fault_ctx};
    struct diag diag = {0};
    uint16_t id;
    struct store_config config;
    test_config(&config, w->folder);
    config.fault = w->store_fault;
    config.fault_ctx = w->fault_ctx;
    if (w->map_size)
        config.map_size = w->map_size;
    config.preallocate = w->preallocate;
    config.seal = seal_block;
    config.open = open_block;
    config.seal_ctx = w;
    assert_int_equal(keyring_open(&keys, &w->keyring, &diag), 0);
    assert_int_equal(keyring_cache_new(w->keyring, &w->cache), 0);
    assert_int_equal(keyring_cache_new(w->keyring, &w->writer), 0);
    assert_int_equal(keyring_cache_new(w->keyring, &w->readers), 0);
    assert_int_equal(store_open(&config, &w->store, &diag), 0);
    assert_int_equal(keyring_bind(w->keyring, w->store, false, &diag), 0);
    assert_int_equal(retention_prepare(w->store, w->policy), 0);
    assert_int_equal(store_name_id(w->store, STORE_NAME_CHANNEL, SPAN("burgerzaken"), &id), 0);
    assert_int_equal(id, CHANNEL);
    world_purge_open(w);
}

void world_open(struct world *w)
{
    world_open_with(w, true);
}

static void open_folder(struct world *w, bool selection)
{
    struct diag diag = {0};
    snprintf(w->keys, sizeof(w->keys), "%.200s-keys", w->folder);
    snprintf(w->root, sizeof(w->root), "%.200s-root", w->folder);
    assert_true(mkdir(w->keys, 0700) == 0 || errno == EEXIST);
    assert_int_equal(policy_load(span_str(selection ? policy_text : policy_free), "test.yaml",
                                 &w->policy, &diag),
                     0);
    open_all(w);
}

static void open_new(struct world *w, bool selection)
{
    test_folder(w->folder);
    open_folder(w, selection);
}

void world_open_at(struct world *w, const char *at, bool selection)
{
    memset(w, 0, sizeof(*w));
    snprintf(w->folder, sizeof(w->folder), "%s", at);
    open_folder(w, selection);
}

void world_open_with(struct world *w, bool selection)
{
    memset(w, 0, sizeof(*w));
    open_new(w, selection);
}

void world_open_sized(struct world *w, size_t map_size)
{
    memset(w, 0, sizeof(*w));
    w->map_size = map_size;
    open_new(w, false);
}

static void close_all(struct world *w)
{
    purge_stop(w->purge);
    purge_free(w->purge);
    keyring_cache_free(w->cache);
    store_close(w->store);
    keyring_cache_free(w->writer);
    keyring_cache_free(w->readers);
    keyring_close(w->keyring);
}

void world_restart(struct world *w)
{
    close_all(w);
    open_all(w);
}

void world_policy(struct world *w, const char *originals, const char *history)
{
    char text[1024];
    struct diag diag = {.text = ""};
    struct policy *next;
    snprintf(
        text, sizeof(text),
        "policy: 1\nname: test\nprofiles: {webcare: {default: redact}}\n"
        "routes: {webcare: {profile: webcare}}\n"
        "originals:\n  - {found: pan, keep: never}\n  - {keep: %s}\nhistory:\n  - {keep: %s}\n",
        originals, history);
    assert_int_equal(policy_load(span_str(text), "test.yaml", &next, &diag), 0);
    assert_int_equal(retention_prepare(w->store, next), 0);
    policy_unref(w->policy);
    w->policy = next;
}

void world_put_back(struct world *w)
{
    char old[300];
    close_all(w);
    test_folder_remove(w->folder);
    snprintf(old, sizeof(old), "%s-old", w->folder);
    assert_int_equal(rename(old, w->folder), 0);
    open_all(w);
}

void world_leave(struct world *w)
{
    close_all(w);
    policy_unref(w->policy);
    clock_test_shift(-w->shift_ms);
}

void world_close(struct world *w)
{
    close_all(w);
    policy_unref(w->policy);
    test_folder_remove(w->folder);
    test_folder_remove(w->keys);
    unlink(w->root);
    clock_test_shift(-w->shift_ms);
}

void world_shift(struct world *w, int64_t ms)
{
    clock_test_shift(ms);
    w->shift_ms += ms;
}

/* ---- messages ---- */

struct put {
    struct message *message;
    struct buffer o, m;
    struct subject identifier;
};
struct puts {
    struct put *at;
    unsigned n;
};

static int run_puts(struct store_txn *txn, void *ctx)
{
    const struct puts *puts = ctx;
    for (unsigned i = 0; i < puts->n; i++) {
        struct put *put = &puts->at[i];
        store_put_record(txn, &put->message->o, buffer_span(&put->o));
        store_put_record(txn, &put->message->m, buffer_span(&put->m));
        subject_put(txn, &put->identifier);
        store_put_item(txn, &put->message->item);
    }
    return store_txn_error(txn);
}

static void seal(struct world *w, const struct message *message, const struct record_id *id,
                 struct buffer *out)
{
    const struct judged judged = {0};
    struct buffer json, packed;
    buffer_init(&json, 4096);
    buffer_init(&packed, 4096);
    buffer_init(out, 8192);
    buffer_addf(&json,
                "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"1\",\"changes\":[{"
                "\"field\":\"messages\",\"value\":{\"messages\":[{\"from\":\"%s\","
                "\"id\":\"wamid.X\",\"timestamp\":\"%lld\",\"type\":\"text\",\"text\":{\"body\":"
                "\"%s\"}}]}}]}]}",
                w->from ? w->from : "31612345678", (long long)(message->item.at_ms / 1000),
                message->text);
    mask_pack(&judged, buffer_span(&json), &packed);
    assert_int_equal(packed.error, 0);
    assert_int_equal(record_seal(w->cache, 0, id, 0, buffer_span(&packed), out), 0);
    buffer_free(&json);
    buffer_free(&packed);
}

static void prepare_put(struct world *w, uint64_t subject, const char *identifier, int64_t at_ms,
                        struct message *out, struct put *put)
{
    const struct retention_facts facts = {0};
    struct retention_rule o = policy_retention(w->policy, RETENTION_ORIGINAL, &facts);
    struct retention_rule m = policy_retention(w->policy, RETENTION_HISTORY, &facts);
    struct retention_place place_o, place_m;
    *put = (struct put){.message = out};
    memset(out, 0, sizeof(*out));
    assert_int_equal(retention_place(w->store, &o, RETENTION_ORIGINAL, at_ms, at_ms, &place_o), 0);
    assert_int_equal(retention_place(w->store, &m, RETENTION_HISTORY, at_ms, at_ms, &place_m), 0);
    out->item = (struct store_item){.serial = store_next_serial(w->store),
                                    .subject = subject,
                                    .channel = CHANNEL,
                                    .kind = STORE_KIND_MESSAGE,
                                    .flags = w->flags,
                                    .at_ms = at_ms,
                                    .taken_ms = at_ms,
                                    .cls_o = place_o.cls,
                                    .bucket_o = place_o.bucket,
                                    .cls_m = place_m.cls,
                                    .bucket_m = place_m.bucket};
    out->item.route_count = w->routes;
    for (uint16_t i = 0; i < w->routes; i++)
        out->item.routes[i] = (uint16_t)(i + 1);
    out->o = (struct record_id){place_o.cls, place_o.bucket, subject, out->item.serial, 'O'};
    out->m = (struct record_id){place_m.cls, place_m.bucket, subject, out->item.serial, 'M'};
    snprintf(out->text, sizeof(out->text), "text of message %llu ends here",
             (unsigned long long)out->item.serial);
    seal(w, out, &out->o, &put->o);
    seal(w, out, &out->m, &put->m);
    put->identifier.serial = subject;
    put->identifier.new_hashes = identifier != NULL;
    if (identifier)
        assert_int_equal(subject_row_make(w->keyring, w->cache, subject, span_str(identifier),
                                          at_ms, 0, &put->identifier.rows[0]),
                         0);
}

void messages_put(struct world *w, const struct to_put *list, unsigned n, struct message *out)
{
    struct puts puts = {.at = calloc(n, sizeof(*puts.at)), .n = n};
    assert_non_null(puts.at);
    for (unsigned i = 0; i < n; i++) {
        w->from = list[i].from;
        prepare_put(w, list[i].subject, list[i].first ? list[i].from : NULL, list[i].at_ms, &out[i],
                    &puts.at[i]);
    }
    w->from = NULL;
    int r = test_run_at(w->store, STORE_INTAKE, run_puts, &puts);
    assert_true(r == 0 || (r == SLUIS_EFULL && w->may_be_full));
    w->full = r == SLUIS_EFULL;
    for (unsigned i = 0; i < n; i++) {
        buffer_free(&puts.at[i].o);
        buffer_free(&puts.at[i].m);
    }
    free(puts.at);
}

void message_put(struct world *w, uint64_t subject, const char *identifier, int64_t at_ms,
                 struct message *out)
{
    struct put put;
    struct puts puts = {&put, 1};
    prepare_put(w, subject, identifier, at_ms, out, &put);
    assert_int_equal(test_run(w->store, run_puts, &puts), 0);
    buffer_free(&put.o);
    buffer_free(&put.m);
}

int message_open(struct world *w, const struct record_id *id)
{
    struct store_read *read;
    struct arena arena;
    struct buffer plain;
    struct span sealed;
    arena_init(&arena, 1 << 20);
    buffer_init(&plain, 1 << 20);
    assert_int_equal(store_read_begin(w->store, &read), 0);
    int r = store_get_record(read, id, &arena, &sealed);
    if (r == 0)
        r = record_open(w->cache, 0, id, sealed, &plain);
    store_read_end(read);
    buffer_free(&plain);
    arena_free(&arena);
    return r;
}

bool identifier_known(struct world *w, const char *identifier, uint64_t *subject)
{
    struct store_read *read;
    assert_int_equal(store_read_begin(w->store, &read), 0);
    int r = subject_find(read, w->keyring, span_str(identifier), subject);
    store_read_end(read);
    assert_true(r == 0 || r == SLUIS_ENOENT);
    return r == 0;
}

int run_purge(struct world *w, bool dry_run, char out[4096])
{
    struct buffer text;
    buffer_init(&text, 4095);
    int r = purge_run(w->purge, dry_run, &text);
    memcpy(out, text.p ? text.p : "", text.n);
    out[text.n] = '\0';
    buffer_free(&text);
    return r;
}

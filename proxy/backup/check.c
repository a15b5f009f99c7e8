/* Every sealed value, opened: is its tag right, and is its key still there? */
#include "room.h"

#include <stdio.h>
#include <string.h>

#include "sluis/audit.h"
#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/json.h"
#include "sluis/retention.h"

#define PART_DESTRUCTION 'D'
#define DESTRUCTION_ARENA 65536
#define SLICE_VALUES 2000
#define SLICE_MS 100

int blocks_seal(void *ctx, uint8_t table, uint64_t row, struct span plain, struct buffer *out)
{
    const struct block_place always = {.cls = 0};
    return block_seal(ctx, table, row, always, plain, out);
}

int blocks_open(void *ctx, uint8_t table, uint64_t row, struct span sealed, struct buffer *out)
{
    return block_open(ctx, table, row, sealed, out);
}

struct look {
    struct backup_check *check;
    struct keyring_cache *keys;
    struct store_read *read;
    struct buffer plain;
};

static void tell(struct look *look, struct backup_finding *finding)
{
    look->check->counts.damaged++;
    if (look->check->found)
        look->check->found(look->check->ctx, finding);
}

static void look_journal(struct look *look, const struct store_value *v)
{
    struct backup_finding finding = {.what = "journal", .serial = v->id.serial, .error = v->error};
    look->check->counts.blocks++;
    if (v->error)
        tell(look, &finding);
}

static void look_leaf(struct look *look, const struct store_value *v)
{
    struct backup_finding finding = {.what = "log", .serial = v->id.serial, .error = v->error};
    uint8_t hash[32];
    look->check->counts.leaves++;
    if (v->error == SLUIS_EEXPIRED) { /* past the log's own term: its hash is what is left */
        look->check->counts.expired++;
        return;
    }
    if (!v->error && (audit_hash(v->bytes, hash) != 0 || memcmp(hash, v->hash, sizeof(hash)) != 0))
        finding.error = SLUIS_ECRYPTO;
    if (finding.error)
        tell(look, &finding);
}

static bool is_past(struct look *look, const struct record_id *id)
{
    int64_t ends_ms;
    return retention_bucket_end(look->check->store, id->cls, id->bucket, &ends_ms) == 0 &&
           ends_ms <= look->check->now_ms;
}

static void count_past(struct look *look, const struct record_id *id)
{
    struct backup_past *past = &look->check->past[id->cls <= STORE_CLASSES_MAX ? id->cls : 0];
    char name[256];
    look->check->counts.past++;
    if (past->records++ == 0 &&
        store_id_name(look->check->store, STORE_NAME_CLASS, id->cls, name) == 0)
        snprintf(past->cls, sizeof(past->cls), "%.63s", name);
}

static void look_opened(struct look *look, const struct record_id *id, struct span sealed,
                        bool known)
{
    struct backup_counts *counts = &look->check->counts;
    buffer_clear(&look->plain);
    int r = record_open(look->keys, 0, id, sealed, &look->plain);
    if (r == 0) {
        counts->opened++;
        if (is_past(look, id))
            count_past(look, id);
    } else if (r == SLUIS_EEXPIRED) {
        counts->expired++;
    } else if (!known) {
        counts->unplaced++; /* without its item the subject is unknown, and so is the key */
    } else {
        struct backup_finding finding = {
            .what = "record", .serial = id->serial, .part = (char)id->part, .error = r};
        char name[256];
        if (store_id_name(look->check->store, STORE_NAME_CLASS, id->cls, name) == 0)
            snprintf(finding.name, sizeof(finding.name), "%.63s", name);
        tell(look, &finding);
    }
}

static void look_record(struct look *look, const struct store_value *v)
{
    struct backup_finding finding = {
        .what = "record", .serial = v->id.serial, .part = (char)v->id.part};
    if (v->error && !v->known && v->bytes.n == 0) {
        finding.error = v->error;
        tell(look, &finding);
        return;
    }
    look_opened(look, &v->id, v->bytes, v->known || v->id.part == 'Q');
}

/* What stays of a message that was sealed anew stands under a serial of its own, which only this
 * row knows. */
#define MOVED_ARENA (2 * STORE_RECORD_MAX)

static void look_moved(struct look *look, const struct store_value *v)
{
    struct retention_moved moved;
    struct store_item item;
    struct arena arena;
    struct span sealed;
    if (v->key.n != RETENTION_MOVED_KEY || v->key.p[0] != RETENTION_MOVED_PREFIX ||
        retention_moved_read(v->bytes, &moved) != 0 ||
        store_get_item(look->read, be64_get((const uint8_t *)v->key.p + 1), &item) != 0)
        return;
    const struct record_id parts[] = {
        {moved.cls_o, moved.bucket_o, item.subject, moved.serial, 'O'},
        {moved.cls_m, moved.bucket_m, item.subject, moved.serial, 'M'}};
    arena_init(&arena, MOVED_ARENA);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (!parts[i].cls || store_get_record(look->read, &parts[i], &arena, &sealed) != 0)
            continue;
        look->check->counts.moved++;
        look_opened(look, &parts[i], sealed, true);
    }
    arena_free(&arena);
}

/* An opened destruction record: of a generation that this keyring does not know? */
static void look_destruction(struct look *look, struct span line)
{
    struct backup_check *check = look->check;
    struct keyring_status status;
    struct arena arena;
    struct json_doc doc;
    uint64_t generation;
    if (!check->destroyed)
        return;
    keyring_status(check->keyring, &status);
    arena_init(&arena, DESTRUCTION_ARENA);
    if (json_scan(&doc, line, &arena, NULL) == 0) {
        uint32_t record = json_get(&doc, 0, SPAN("record"));
        if (json_u64(&doc, json_get(&doc, record, SPAN("generation")), &generation) == 0 &&
            generation > status.generation)
            check->destroyed(check->ctx, json_raw(&doc, record));
    }
    arena_free(&arena);
}

static void look_row(struct look *look, const struct store_value *v)
{
    struct sealed_place place;
    if (!row_place(look->read, v, &place)) {
        look->check->counts.unsealed++;
        if (v->table == STORE_TABLE_SUBJECT)
            look_moved(look, v);
        return;
    }
    struct backup_finding finding = {.what = "row", .serial = place.id.serial};
    buffer_clear(&look->plain);
    finding.error =
        record_open(look->keys, (uint8_t)v->table, &place.id, place.sealed, &look->plain);
    look->check->counts.rows++;
    if (finding.error == SLUIS_EEXPIRED && place.mortal)
        return; /* its keys were destroyed: the row goes with the next sweep */
    if (finding.error) {
        snprintf(finding.name, sizeof(finding.name), "%s", place.name);
        tell(look, &finding);
    } else if (place.id.part == PART_DESTRUCTION && v->table == STORE_TABLE_SETTING) {
        look_destruction(look, buffer_span(&look->plain));
    }
}

static int look_at(void *ctx, const struct store_value *v)
{
    static void (*const looks[])(struct look * look, const struct store_value *v) = {
        [STORE_VALUE_JOURNAL] = look_journal,
        [STORE_VALUE_LEAF] = look_leaf,
        [STORE_VALUE_RECORD] = look_record,
        [STORE_VALUE_ROW] = look_row};
    looks[v->kind](ctx, v);
    return 0;
}

int backup_check_some(struct backup_check *check, struct store_place *place, unsigned max,
                      unsigned ms)
{
    struct look look = {.check = check};
    struct store_read *read;
    int r = keyring_cache_new(check->keyring, &look.keys);
    if (r != 0)
        return r;
    buffer_init(&look.plain, STORE_RECORD_MAX);
    r = store_read_begin(check->store, &read);
    if (r == 0) {
        look.read = read;
        r = store_each_value(read, place, max, clock_mono_us() + (int64_t)ms * 1000, look_at,
                             &look);
        store_read_end(read);
    }
    buffer_free(&look.plain);
    keyring_cache_free(look.keys);
    return r;
}

int check_all(struct backup_check *check, const atomic_bool *stop)
{
    struct store_place place = {0};
    int r = 1;
    while (r == 1) {
        if (stop && atomic_load(stop))
            return SLUIS_ECLOSED;
        r = backup_check_some(check, &place, SLICE_VALUES, SLICE_MS);
    }
    return r;
}

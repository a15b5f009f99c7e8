/* What came before in a conversation: the message that a revoke means, parts opened again, the
 * window after a restart. */
#include "internal.h"

#include "sluis/base/log.h"

/* One that is not committed yet is known to its owner only. */
static bool target_under_way(struct item *item, const uint8_t hash[STORE_HASH_BYTES], uint32_t day,
                             struct store_item *target)
{
    for (const struct item *i = item->owner->under_way; i; i = i->older) {
        if (i->dedupe_day == day && memcmp(i->dedupe, hash, STORE_HASH_BYTES) == 0) {
            *target = i->row;
            return true;
        }
    }
    return false;
}

/* What the item's target would have been, for hashing. */
static struct item probe_of(const struct item *item, uint8_t kind)
{
    struct item probe = {.batch = item->batch, .owner = item->owner, .unit = item->unit};
    probe.unit.id = item->unit.target_id;
    probe.unit.kind = kind;
    return probe;
}

/* SLUIS_ENOENT also when its block of the journal is damaged: nobody will ever read that, and what
 * comes in now must not wait for it. */
static int past_item(struct store_read *read, uint64_t serial, struct store_item *out)
{
    int r = store_get_item(read, serial, out);
    if (r != SLUIS_ECRYPTO && r != SLUIS_EINVAL)
        return r;
    LOG(LOG_ALARM, "webhook", "journal_damaged", log_u64("serial", serial), log_error(r));
    return SLUIS_ENOENT;
}

/* The same hash as intake made of it, day by day backwards. */
static int find_target(struct item *item, struct store_read *read, uint8_t kind,
                       struct store_item *target)
{
    struct item probe = probe_of(item, kind);
    uint32_t today = (uint32_t)(item->row.taken_ms / DAY_MS);
    int r = SLUIS_ENOENT;
    for (uint32_t back = 0; r == SLUIS_ENOENT && back <= WEBHOOK_DEDUPE_DAYS && back <= today;
         back++) {
        struct record_id where;
        r = item_dedupe_hash(&probe, today - back);
        if (r == 0 && target_under_way(item, probe.dedupe, today - back, target))
            break;
        if (r == 0)
            r = store_get_dedupe(read, today - back, probe.dedupe, &where);
        if (r == 0)
            r = past_item(read, where.serial, target);
    }
    return r;
}

int past_target(struct item *item, struct store_item *target, struct record_id *part_o)
{
    struct store_read *read;
    int r = store_read_begin(item->owner->webhook->deps.store, &read);
    if (r != 0)
        return r;
    r = find_target(item, read, STORE_KIND_MESSAGE, target);
    if (r == SLUIS_ENOENT)
        r = find_target(item, read, STORE_KIND_ECHO, target);
    if (r == 0) {
        r = retention_part(read, target, 'O', part_o);
        if (r == SLUIS_ENOENT) {
            *part_o = (struct record_id){0};
            r = 0;
        }
    }
    store_read_end(read);
    if (r == 0 && target->subject != item->subject.serial)
        r = SLUIS_EDENIED; /* somebody else's message: not this person's to take back */
    return r;
}

/* A message of two days ago or more looks through all live days (past_seen), this one's too. */
int past_await(struct item *item)
{
    struct item probe = probe_of(item, item->unit.kind);
    int r = 0;
    item->await_day = (uint32_t)(item->row.taken_ms / DAY_MS);
    for (unsigned i = 0; r == 0 && i < 2; i++) {
        r = item_dedupe_hash(&probe, item->await_day - i);
        memcpy(item->awaited[i], probe.dedupe, STORE_HASH_BYTES);
    }
    item->awaits = r == 0;
    return r;
}

int past_seen(struct item *item)
{
    struct store_read *read;
    struct store_item first;
    struct record_id where;
    int r = store_read_begin(item->owner->webhook->deps.store, &read);
    if (r != 0)
        return r;
    r = SLUIS_ENOENT;
    for (uint32_t back = 0;
         r == SLUIS_ENOENT && back <= WEBHOOK_DEDUPE_DAYS && back <= item->dedupe_day; back++) {
        uint32_t day = item->dedupe_day - back;
        r = item_dedupe_hash(item, day);
        if (r == 0 && target_under_way(item, item->dedupe, day, &first))
            r = SLUIS_EAGAIN;
        if (r == 0)
            r = store_get_dedupe(read, day, item->dedupe, &where);
        if (r == 0)
            r = SLUIS_EEXIST;
    }
    store_read_end(read);
    return r == SLUIS_ENOENT ? 0 : r;
}

int past_open(struct intake_thread *t, struct store_read *read, const struct store_item *row,
              uint8_t *part, struct judged *judged, struct span *json)
{
    struct buffer plain;
    struct span sealed, kept;
    struct record_id id;
    buffer_init(&plain, STORE_RECORD_MAX);
    int r = retention_part(read, row, 'O', &id);
    if (r == 0)
        r = store_get_record(read, &id, &t->arena, &sealed);
    if (r == 0)
        r = record_open(t->keys, 0, &id, sealed, &plain);
    if (r == SLUIS_ENOENT || r == SLUIS_EEXPIRED) {
        r = retention_part(read, row, 'M', &id);
        if (r == 0)
            r = store_get_record(read, &id, &t->arena, &sealed);
        if (r == 0)
            r = record_open(t->keys, 0, &id, sealed, &plain);
    }
    if (r == 0)
        r = arena_try_copy(&t->arena, buffer_span(&plain), &kept);
    buffer_free(&plain);
    *part = id.part;
    return r == 0 ? mask_unpack(kept, &t->arena, judged, json) : r;
}

static int load_one(struct item *item, struct store_read *read, const struct store_item *row,
                    struct window *window)
{
    struct intake_thread *t = item->owner;
    struct json_doc doc;
    struct judged judged;
    struct span json, text;
    uint8_t part;
    bool withdrawn;
    int r = retention_withdrawn(read, row->serial, &withdrawn);
    if (r != 0 || withdrawn)
        return r;
    r = past_open(t, read, row, &part, &judged, &json);
    if (r == SLUIS_ENOENT || r == SLUIS_EEXPIRED)
        return 0;
    if (r == SLUIS_ECRYPTO || r == SLUIS_EINVAL) { /* damaged: nobody will ever read it */
        LOG(LOG_ALARM, "webhook", "record_damaged", log_u64("serial", row->serial), log_error(r));
        return 0;
    }
    if (r == 0)
        r = json_scan(&doc, json, &t->arena, NULL);
    if (r == 0)
        r = mask_window_text(&doc, 0, &t->arena, &text);
    if (r == 0 && text.n)
        r = window_add(t->windows, window, text, row->kind == STORE_KIND_MESSAGE, row->at_ms,
                       row->serial);
    return r;
}

/* After a restart or an eviction: the conversation's last messages, from the store. */
int past_load_window(struct item *item, struct window *window)
{
    struct store_read *read;
    uint64_t serial = 0;
    unsigned messages = 0;
    int r = store_read_begin(item->owner->webhook->deps.store, &read);
    if (r != 0)
        return r;
    r = store_get_head(read, item->channel->id, item->subject.serial, &serial);
    for (unsigned i = 0; r == 0 && serial != 0 && i < WINDOW_ITEMS_MAX; i++) {
        struct store_item row;
        r = past_item(read, serial, &row);
        if (r != 0 || messages == DETECT_WINDOW_MESSAGES ||
            item->row.at_ms - row.at_ms > (int64_t)DETECT_WINDOW_MINUTES * 60000)
            break;
        if (row.kind != STORE_KIND_STATUS && row.kind != STORE_KIND_ACCOUNT) {
            r = load_one(item, read, &row, window);
            messages++;
        }
        serial = row.previous;
    }
    store_read_end(read);
    window->loaded = r == 0 || r == SLUIS_ENOENT;
    return window->loaded ? 0 : r;
}

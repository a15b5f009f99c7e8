/*
 * The keyring made smaller. Every message whose key was destroyed by itself (taken back, masked
 * anew, put right) leaves up to three keys a level behind, for its neighbours. When those have
 * expired too nothing hangs under them any more, and they go.
 *
 * What lives is taken from every place where a record stands under a message's own leaf: the
 * journal (with it tokens and held copies of its messages), what was sealed anew, the rows
 * of all classes (quarantine), and media, tags and notes: these may be left behind under a leaf
 * that their message has moved away from (sealed anew twice). A serial given out less than a day
 * ago may be on its way to the store and lives. So do those that were passed over when an older
 * copy of the data was restored: the store of before, or a newer copy, may yet be put back, and its
 * messages are to be readable then.
 */
#include "room.h"

#include <stdlib.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/log.h"

#define PRUNE_NODES 4096 /* keys from which on it is worth a walk: 140 kB */
#define LOOKED 20000     /* rows in one read transaction */

struct living {
    struct purge *p;
    struct subjects serials; /* a set of numbers, whatever they number */
    uint64_t count;
    unsigned looked;
    bool more;
    uint64_t order, serial; /* where to go on */
    uint32_t bucket;
};

static int add(struct living *l, uint64_t serial)
{
    return subjects_add(&l->serials, serial, &l->count);
}

static int take_leaf(void *ctx, uint64_t serial)
{
    struct living *l = ctx;
    return purge_stopping(l->p) ? SLUIS_ECLOSED : add(l, serial);
}

static int take_item(void *ctx, const struct store_item *item)
{
    struct living *l = ctx;
    if (l->looked++ == LOOKED) {
        l->order = item->order;
        l->more = true;
        return 1;
    }
    return add(l, item->serial);
}

static int take_moved(void *ctx, struct span key, struct span value)
{
    struct living *l = ctx;
    struct retention_moved moved;
    if (key.n != RETENTION_MOVED_KEY || key.p[0] != ROW_MOVED)
        return 1;
    if (l->looked++ == LOOKED) {
        l->serial = be64_get((const uint8_t *)key.p + 1);
        l->more = true;
        return 1;
    }
    int r = retention_moved_read(value, &moved);
    return r ? r : add(l, moved.serial);
}

static int take_record(void *ctx, const struct record_id *id)
{
    struct living *l = ctx;
    if (l->looked++ == LOOKED) {
        l->bucket = id->bucket;
        l->serial = id->serial;
        l->more = true;
        return 1;
    }
    return add(l, id->serial);
}

static int take_skipped(void *ctx, uint64_t from, uint64_t to)
{
    struct living *l = ctx;
    if (from >= to || to > (uint64_t)UINT32_MAX + 1)
        return SLUIS_EIO;
    int r = add(l, to - 1); /* there is room for all of them now */
    while (r == 0 && from < to) {
        if (from % 8 == 0 && to - from >= 8) {
            l->serials.bits[from / 8] = 0xff;
            from += 8;
        } else {
            r = add(l, from++);
        }
    }
    return r;
}

static int walk_skipped(struct living *l)
{
    struct store_read *read;
    int r = store_read_begin(l->p->deps.store, &read);
    if (r != 0)
        return r;
    r = store_each_skipped(read, take_skipped, l);
    store_read_end(read);
    return r;
}

enum place { JOURNAL, MOVED, RECORDS };
static int walk(struct living *l, enum place place, uint16_t cls)
{
    int r = 0;
    l->order = place == JOURNAL;
    l->serial = l->bucket = 0;
    do {
        uint8_t from[RETENTION_MOVED_KEY];
        struct store_read *read;
        l->looked = 0;
        l->more = false;
        r = purge_stopping(l->p) ? SLUIS_ECLOSED : store_read_begin(l->p->deps.store, &read);
        if (r != 0)
            return r;
        retention_moved_key(l->serial, from);
        if (place == JOURNAL)
            r = store_each_item(read, l->order, take_item, l);
        else if (place == MOVED)
            r = store_each_row(read, STORE_TABLE_SUBJECT, span_of(from, sizeof(from)), take_moved,
                               l);
        else
            r = store_each_key(read, cls, l->bucket, l->serial, take_record, l);
        store_read_end(read);
        r = r < 0 ? r : 0;
    } while (r == 0 && l->more);
    return r;
}

static int walk_all(struct living *l)
{
    char name[256];
    int r = walk(l, JOURNAL, 0);
    if (r == 0)
        r = walk(l, MOVED, 0);
    for (uint16_t cls = 1; r == 0 && cls <= STORE_CLASSES_MAX &&
                           store_id_name(l->p->deps.store, STORE_NAME_CLASS, cls, name) == 0;
         cls++)
        r = walk(l, RECORDS, cls);
    const struct purge_deps *deps = &l->p->deps;
    if (r == 0 && deps->media_leaves)
        r = deps->media_leaves(deps->ctx, take_leaf, l);
    if (r == 0 && deps->notes_leaves)
        r = deps->notes_leaves(deps->ctx, take_leaf, l);
    return r ? r : walk_skipped(l);
}

int prune_keys(struct purge *p)
{
    struct keyring_status before, after;
    struct living l = {.p = p};
    const uint64_t below = p->prune_below;
    int64_t now = clock_mono_ms();
    if (below && now - p->prune_marked_ms < DAY_MS)
        return 0;
    p->prune_below = store_next_serial(p->deps.store);
    p->prune_marked_ms = now;
    keyring_status(p->deps.keyring, &before);
    if (!below || below > UINT32_MAX || before.cover_nodes < PRUNE_NODES)
        return 0;
    int r = walk_all(&l);
    if (r == 0)
        r = destroy_dead(p, l.serials.bits, l.serials.bytes, (uint32_t)below);
    keyring_status(p->deps.keyring, &after);
    LOG(r && r != SLUIS_ECLOSED ? LOG_ERROR : LOG_INFO, "purge", "keyring_pruned",
        log_u64("keys_before", before.cover_nodes), log_u64("keys", after.cover_nodes),
        log_u64("living", l.count), log_error(r));
    free(l.serials.bits);
    return r == SLUIS_ECLOSED ? 0 : r;
}

/* What was for a route and what became of it, item by item: to compare with what its tool received.
 */
#include "internal.h"

#include "sluis/base/encode.h"

#include <sodium.h>
#include <stdio.h>

void delivery_id_of(const uint8_t key[KEYRING_KEY_BYTES], uint64_t serial,
                    char out[DELIVER_ID_TEXT])
{
    uint8_t text[8], hash[16];
    be64_put(text, serial);
    crypto_generichash(hash, sizeof(hash), text, sizeof(text), key, KEYRING_KEY_BYTES);
    hex_encode(hash, sizeof(hash), out);
}

struct walk {
    struct store_read *read;
    uint16_t route;
    uint64_t cursor;
    unsigned left;
    uint64_t next;
    const uint8_t *key;
    int (*each)(void *ctx, const struct deliver_sent *sent);
    void *ctx;
};

static int take_pending(void *ctx, const struct store_pending *pending)
{
    *(struct store_pending *)ctx = *pending;
    return 1;
}

static enum deliver_state state_of(const struct walk *w, const struct store_item *item, int *error)
{
    struct store_pending row = {.serial = 0};
    int r = store_each_pending(w->read, w->route, item->serial, take_pending, &row);
    if (r < 0) {
        *error = r;
        return DELIVER_WAITING;
    }
    if (row.serial != item->serial)
        return item->order <= w->cursor ? DELIVER_DELIVERED : DELIVER_WAITING;
    switch (row.state) {
    case STORE_PENDING_PARKED:
        return DELIVER_PARKED;
    case STORE_PENDING_EXPIRED:
        return DELIVER_EXPIRED;
    case STORE_PENDING_DROPPED:
        return DELIVER_DROPPED;
    default:
        return DELIVER_WAITING;
    }
}

static int take_item(void *ctx, const struct store_item *item)
{
    struct walk *w = ctx;
    bool ours = false;
    int error = 0;
    if (w->left == 0) {
        w->next = item->order;
        return 1;
    }
    w->left--;
    for (unsigned i = 0; i < item->route_count && i < STORE_ROUTES_MAX; i++)
        ours = ours || item->routes[i] == w->route;
    if (!ours)
        return 0;
    struct deliver_sent sent = {.serial = item->serial,
                                .batch = item->batch,
                                .taken_ms = item->taken_ms,
                                .state = state_of(w, item, &error)};
    delivery_id_of(w->key, item->serial, sent.id);
    return error ? error : w->each(w->ctx, &sent);
}

int deliver_each_sent(struct deliver *d, const char *channel, const char *name, uint16_t route,
                      uint64_t from, unsigned most,
                      int (*each)(void *ctx, const struct deliver_sent *sent), void *ctx,
                      uint64_t *next)
{
    char label[64 + 2 * CONFIG_NAME_MAX];
    uint8_t key[KEYRING_KEY_BYTES];
    struct walk w = {.route = route, .left = most, .key = key, .each = each, .ctx = ctx};
    snprintf(label, sizeof(label), DELIVER_ID_LABEL "/%s/%s", channel, name);
    keyring_derive(d->deps.keyring, label, key);
    int r = store_read_begin(d->deps.store, &w.read);
    if (r == 0) {
        r = store_get_cursor(w.read, route, &w.cursor);
        if (r == SLUIS_ENOENT)
            r = 0;
        if (r == 0)
            r = store_each_item(w.read, from ? from : 1, take_item, &w);
        store_read_end(w.read);
    }
    sodium_memzero(key, sizeof(key));
    *next = w.next;
    return r > 0 ? 0 : r;
}

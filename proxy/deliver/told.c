/*
 * What a route is told of our own (art. 19): which of the messages it received were erased, or have
 * expired, by the X-Sluis-Delivery that they came with. No identifier of Meta's, nobody's name:
 *   {"object":"sluis","entry":[{"id":"17","time":1790000000,"changes":[{"field":"sluis.erased",
 *    "value":{"deliveries":["9f..","a0.."]}}]}]}
 */
#include "internal.h"

int told_body(struct route *r, const struct entry *e, struct buffer *out)
{
    uint32_t messages[RETENTION_TOLD_MAX];
    struct store_read *read;
    unsigned n;
    int result = store_read_begin(r->deliver->deps.store, &read);
    if (result != 0)
        return result;
    result = retention_told_messages(read, e->item.batch, e->item.serial, messages, &n);
    store_read_end(read);
    if (result == SLUIS_ENOENT)
        return SLUIS_EEXPIRED; /* settled before: an outcome that a stop kept from the cursor */
    if (result != 0)
        return result;
    buffer_addf(out,
                "{\"object\":\"sluis\",\"entry\":[{\"id\":\"%llu\",\"time\":%lld,\"changes\":[{"
                "\"field\":\"sluis.%s\",\"value\":{\"deliveries\":[",
                (unsigned long long)(e->item.batch & ~RETENTION_TOLD_EXPIRED),
                (long long)(e->item.at_ms / 1000),
                e->item.batch & RETENTION_TOLD_EXPIRED ? "expired" : "erased");
    for (unsigned i = 0; i < n; i++) {
        char id[DELIVERY_ID];
        delivery_id(r, messages[i], id);
        buffer_addf(out, "%s\"%s\"", i ? "," : "", id);
    }
    buffer_add(out, SPAN("]}}]}]}"));
    return out->error;
}

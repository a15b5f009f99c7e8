/* Messages that their sender took back: rows of the table of subjects, 'w' and the serial. */
#include "sluis/retention.h"

#include "sluis/base/encode.h"

#define VALUE_ARENA 256

void retention_withdrawn_key(uint64_t serial, uint8_t out[RETENTION_MOVED_KEY])
{
    out[0] = RETENTION_WITHDRAWN_PREFIX;
    be64_put(out + 1, serial);
}

static void put(struct store_txn *txn, uint64_t serial, struct span value)
{
    uint8_t key[RETENTION_MOVED_KEY];
    retention_withdrawn_key(serial, key);
    store_put_row(txn, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), value);
}

void retention_withdrawn_put(struct store_txn *txn, uint64_t serial)
{
    put(txn, serial, SPAN("1"));
}

void retention_withdrawn_delete(struct store_txn *txn, uint64_t serial)
{
    put(txn, serial, SPAN_EMPTY);
}

int retention_withdrawn(struct store_read *read, uint64_t serial, bool *out)
{
    uint8_t key[RETENTION_MOVED_KEY];
    struct arena arena;
    struct span value;
    retention_withdrawn_key(serial, key);
    arena_init(&arena, VALUE_ARENA);
    int r = store_get_row(read, STORE_TABLE_SUBJECT, span_of(key, sizeof(key)), &arena, &value);
    arena_free(&arena);
    *out = r != SLUIS_ENOENT; /* when it cannot be told it is not shown */
    return r == SLUIS_ENOENT ? 0 : r;
}

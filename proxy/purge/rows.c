/* Small sealed rows in the store's tables. */
#include "room.h"

#define ROW_ARENA 8192

static struct record_id row_id(uint8_t part, uint64_t serial)
{
    return (struct record_id){.serial = serial, .part = part};
}

int row_seal(struct purge *p, enum store_table table, uint8_t part, uint64_t serial,
             struct span plain, struct buffer *out)
{
    const struct record_id id = row_id(part, serial);
    return record_seal(p->cache, (uint8_t)table, &id, 0, plain, out);
}

int row_open(struct purge *p, enum store_table table, uint8_t part, uint64_t serial,
             struct span sealed, struct buffer *out)
{
    const struct record_id id = row_id(part, serial);
    return record_open(p->cache, (uint8_t)table, &id, sealed, out);
}

int row_read(struct purge *p, enum store_table table, struct span key, uint8_t part,
             uint64_t serial, struct buffer *out)
{
    struct store_read *read;
    struct arena arena;
    struct span sealed;
    int r = store_read_begin(p->deps.store, &read);
    if (r != 0)
        return r;
    arena_init(&arena, ROW_ARENA);
    r = store_get_row(read, table, key, &arena, &sealed);
    store_read_end(read);
    if (r == 0)
        r = row_open(p, table, part, serial, sealed, out);
    arena_free(&arena);
    return r;
}

/* A sealed record, opened. */
#include "sluis/read.h"

int read_record(struct keyring_cache *keys, struct store_read *read, const struct record_id *id,
                struct arena *arena, struct span *packed)
{
    struct span sealed;
    int result = store_get_record(read, id, arena, &sealed);
    if (result != 0)
        return result;
    struct buffer plain;
    buffer_init(&plain, STORE_RECORD_MAX);
    result = record_open(keys, 0, id, sealed, &plain);
    if (result == 0)
        result = arena_try_copy(arena, buffer_span(&plain), packed);
    buffer_free(&plain);
    return result;
}

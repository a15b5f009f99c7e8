/* Everything that is sealed, a part per call. */
#include "internal.h"

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"

/* struct store_place.table: journal, leaves, a table per class, a table per small table */
enum { STEP_JOURNAL, STEP_LEAF, STEP_CLASS = 2, STEP_ROW = STEP_CLASS + STORE_CLASSES_MAX };
#define STEPS (STEP_ROW + STORE_TABLE_COUNT - 1)

struct check {
    struct store_read *read;
    MDB_cursor *cursor;
    MDB_val key, value;
    struct buffer bytes; /* a joined record or an opened block */
    int (*each)(void *ctx, const struct store_value *value);
    void *ctx;
};

static int next(struct check *c)
{
    return mdb_cursor_get(c->cursor, &c->key, &c->value, MDB_NEXT);
}

static int open_block(struct check *c, uint8_t table, uint64_t row)
{
    const struct store_config *config = &c->read->store->config;

    buffer_clear(&c->bytes);
    int rc = config->open(config->seal_ctx, table, row, span_of_val(c->value), &c->bytes);
    return rc ? rc : c->bytes.error;
}

static int check_journal(struct check *c)
{
    struct store_value v = {.kind = STORE_VALUE_JOURNAL};
    struct layout_block walk;
    struct store_item item;

    v.id.serial = c->key.mv_size == 8 ? be64_get(c->key.mv_data) : 0;
    v.error = open_block(c, STORE_SEAL_JOURNAL, v.id.serial);
    if (!v.error)
        v.error = layout_block_open(buffer_span(&c->bytes), v.id.serial, &walk);
    while (!v.error) {
        int rc = layout_block_next(&walk, &item);
        if (rc == 0)
            break;
        v.error = rc < 0 ? rc : 0;
    }
    return c->each(c->ctx, &v);
}

static void stored_hash(struct check *c, uint64_t index, uint8_t hash[LEAF_HASH_BYTES])
{
    size_t place = index % LEAF_HASHES_PER_ROW * LEAF_HASH_BYTES;
    struct span row;
    uint8_t key[8];

    be64_put(key, index / LEAF_HASHES_PER_ROW);
    memset(hash, 0, LEAF_HASH_BYTES);
    if (read_get(c->read, c->read->store->dbi[DB_LEAF_HASH], key, sizeof(key), &row) == 0 &&
        row.n >= place + LEAF_HASH_BYTES)
        memcpy(hash, row.p + place, LEAF_HASH_BYTES);
}

static int check_leaves(struct check *c)
{
    struct store_value v = {.kind = STORE_VALUE_LEAF};
    int result = 0;

    v.id.serial = c->key.mv_size == 8 ? be64_get(c->key.mv_data) : 0;
    v.error = open_block(c, STORE_SEAL_LEAF, v.id.serial);
    struct span rest = buffer_span(&c->bytes);
    do {
        size_t n = rest.n >= 2 ? be16_get((const uint8_t *)rest.p) : 0;
        if (!v.error && (n == 0 || n > rest.n - 2))
            v.error = SLUIS_EINVAL;
        if (v.error)
            return c->each(c->ctx, &v);
        v.bytes = span_sub(rest, 2, 2 + n);
        rest = span_from(rest, 2 + n);
        stored_hash(c, v.id.serial, v.hash);
        result = c->each(c->ctx, &v);
        v.id.serial++;
    } while (rest.n > 0 && !result);
    return result;
}

/* Leaves the cursor on the last row of the record. */
static int check_record(struct check *c, uint16_t cls)
{
    struct store_value v = {.kind = STORE_VALUE_RECORD, .id = {.cls = cls}};
    uint8_t prefix[RECORD_PREFIX_BYTES];
    struct store_item item;

    buffer_clear(&c->bytes);
    buffer_add(&c->bytes, span_of_val(c->value));
    if (c->key.mv_size != RECORD_KEY_BYTES) {
        v.error = SLUIS_EINVAL;
        return c->each(c->ctx, &v);
    }
    memcpy(prefix, c->key.mv_data, sizeof(prefix));
    int rc = next(c);
    while (!rc && c->key.mv_size == RECORD_KEY_BYTES &&
           memcmp(c->key.mv_data, prefix, sizeof(prefix)) == 0) {
        buffer_add(&c->bytes, span_of_val(c->value));
        rc = next(c);
    }
    rc = mdb_cursor_get(c->cursor, &c->key, &c->value, rc ? MDB_LAST : MDB_PREV);
    if (rc)
        return env_error(rc);
    v.id.bucket = be32_get(prefix);
    v.id.serial = be64_get(prefix + 4);
    v.id.part = prefix[12];
    v.bytes = buffer_span(&c->bytes);
    v.error = store_get_item(c->read, v.id.serial, &item);
    v.known = v.error == 0;
    if (v.known)
        v.id.subject = item.subject;
    if (v.error == SLUIS_ENOENT)
        v.error = c->bytes.error;
    return c->each(c->ctx, &v);
}

static int check_row(struct check *c, enum store_table table)
{
    const struct store_value v = {.kind = STORE_VALUE_ROW,
                                  .table = table,
                                  .key = span_of_val(c->key),
                                  .bytes = span_of_val(c->value)};
    return c->each(c->ctx, &v);
}

static int check_one(struct check *c, unsigned step)
{
    if (step == STEP_JOURNAL)
        return check_journal(c);
    if (step == STEP_LEAF)
        return check_leaves(c);
    if (step < STEP_ROW)
        return check_record(c, (uint16_t)(step - STEP_CLASS + 1));
    return check_row(c, (enum store_table)(step - STEP_ROW + STORE_TABLE_PRINCIPAL));
}

static MDB_dbi step_dbi(const struct store_read *read, unsigned step)
{
    if (step == STEP_JOURNAL)
        return read->store->dbi[DB_JOURNAL];
    if (step == STEP_LEAF)
        return read->store->dbi[DB_LEAF];
    if (step < STEP_ROW)
        return read->class_dbi[step - STEP_CLASS + 1];
    return read->store->dbi[layout_db_of_table(step - STEP_ROW + STORE_TABLE_PRINCIPAL)];
}

/* One table from the place on; 1 when the slice is used up, 0 at the table's end. */
static int check_table(struct check *c, struct store_place *place, unsigned *left, int64_t until_us)
{
    int result = 0;

    int rc = mdb_cursor_open(c->read->txn, step_dbi(c->read, place->table), &c->cursor);
    if (rc)
        return env_error(rc);
    c->key = val_of(place->key, place->n);
    rc = mdb_cursor_get(c->cursor, &c->key, &c->value, place->n ? MDB_SET_RANGE : MDB_FIRST);
    while (!rc && !result) {
        if (*left == 0 || c->key.mv_size > sizeof(place->key)) {
            result = *left == 0 ? 1 : SLUIS_EIO;
            place->n = (uint8_t)(*left == 0 ? c->key.mv_size : 0);
            memcpy(place->key, c->key.mv_data, place->n);
            break;
        }
        result = check_one(c, place->table);
        (*left)--;
        if (clock_mono_us() >= until_us)
            *left = 0;
        if (!result)
            rc = next(c);
    }
    mdb_cursor_close(c->cursor);
    if (result || rc == MDB_NOTFOUND)
        return result;
    return env_error(rc);
}

int store_each_value(struct store_read *read, struct store_place *place, unsigned max,
                     int64_t until_us, int (*each)(void *ctx, const struct store_value *value),
                     void *ctx)
{
    struct check c = {.read = read, .each = each, .ctx = ctx};
    unsigned left = max ? max : 1;
    int result = 0;

    if (place->table > STEPS || place->n > sizeof(place->key))
        return SLUIS_EINVAL;
    buffer_init(&c.bytes, STORE_RECORD_MAX);
    read->walks++;
    while (!result && place->table < STEPS) {
        if (step_dbi(read, place->table))
            result = check_table(&c, place, &left, until_us);
        if (!result) {
            place->table++;
            place->n = 0;
        }
    }
    read->walks--;
    buffer_free(&c.bytes);
    return result;
}

#include "support.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sluis/base/encode.h"

void test_folder(char out[256])
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(out, 256, "%s/sluis-store-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(out) || rmdir(out) != 0) {
        perror(out);
        exit(1);
    }
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void test_folder_remove(const char *path)
{
    (void)nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static uint64_t tag_of(uint8_t table, uint64_t row, struct span plain)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ table;
    h = (h * UINT64_C(0x100000001b3)) ^ row;
    for (size_t i = 0; i < plain.n; i++)
        h = (h ^ (uint8_t)plain.p[i]) * UINT64_C(0x100000001b3);
    return h;
}

int test_seal(void *ctx, uint8_t table, uint64_t row, struct span plain, struct buffer *out)
{
    (void)ctx;
    buffer_add_be64(out, tag_of(table, row, plain));
    char *to = buffer_reserve(out, plain.n);
    if (!to)
        return out->error;
    for (size_t i = 0; i < plain.n; i++)
        to[i] = (char)~plain.p[i];
    out->n += plain.n;
    return out->error;
}

int test_open(void *ctx, uint8_t table, uint64_t row, struct span sealed, struct buffer *out)
{
    (void)ctx;
    if (sealed.n < 8)
        return SLUIS_ECRYPTO;
    size_t n = sealed.n - 8;
    char *to = buffer_reserve(out, n);
    if (!to)
        return out->error;
    for (size_t i = 0; i < n; i++)
        to[i] = (char)~sealed.p[8 + i];
    if (tag_of(table, row, span_of(to, n)) != be64_get((const uint8_t *)sealed.p))
        return SLUIS_ECRYPTO;
    out->n += n;
    return 0;
}

void test_config(struct store_config *config, const char *path)
{
    memset(config, 0, sizeof(*config));
    config->path = path;
    config->map_size = TEST_MAP_SIZE;
    config->seal = test_seal;
    config->open = test_open;
}

struct store *test_store(const char *path)
{
    struct store_config config;
    struct store *store;
    struct diag diag = {0};
    char line[1024];

    test_config(&config, path);
    config.no_sync =
        true; /* tables are at stake; test_store_crash and test_store_disk need the disk */
    int rc = store_open(&config, &store, &diag);
    if (rc) {
        (void)fprintf(stderr, "store_open: %s: %s\n", error_word(rc),
                      diag_line(&diag, line, sizeof(line)));
        exit(1);
    }
    return store;
}

struct run_job {
    struct store_job job;
    int (*run)(struct store_txn *txn, void *ctx);
    void *ctx;
};

static int run_job(struct store_txn *txn, struct store_job *job)
{
    struct run_job *r = (struct run_job *)(void *)job;
    return r->run(txn, r->ctx);
}

int test_run_at(struct store *store, enum store_priority priority,
                int (*run)(struct store_txn *txn, void *ctx), void *ctx)
{
    struct run_job r = {.job = {.priority = priority, .run = run_job}, .run = run, .ctx = ctx};
    return store_submit_wait(store, &r.job);
}

int test_run(struct store *store, int (*run)(struct store_txn *txn, void *ctx), void *ctx)
{
    return test_run_at(store, STORE_INTAKE, run, ctx);
}

void test_bytes(uint64_t seed, void *out, size_t n)
{
    uint8_t *p = out;
    uint64_t s = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (size_t i = 0; i < n; i++) {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        p[i] = (uint8_t)(s >> 24);
    }
}

static struct record_id record_of(const struct test_message *m, uint8_t part)
{
    return (struct record_id){
        .cls = part == 'O' ? TEST_CLASS_O : TEST_CLASS_M,
        .bucket = TEST_BUCKET,
        .subject = m->subject,
        .serial = m->serial,
        .part = part,
    };
}

void test_message_item(const struct test_message *m, struct store_item *out)
{
    *out = (struct store_item){
        .serial = m->serial,
        .subject = m->subject,
        .channel = TEST_CHANNEL,
        .kind = STORE_KIND_MESSAGE,
        .at_ms = 1763764200000 + (int64_t)m->serial,
        .taken_ms = 1763764200700 + (int64_t)m->serial,
        .batch = m->serial,
        .cls_o = TEST_CLASS_O,
        .cls_m = TEST_CLASS_M,
        .bucket_o = TEST_BUCKET,
        .bucket_m = TEST_BUCKET,
        .route_count = 1,
        .routes = {TEST_ROUTE},
    };
}

int test_message_put(struct store_txn *txn, struct test_message *m)
{
    uint8_t hash[32], bytes[TEST_O_BYTES];
    struct store_item item;
    struct record_id o = record_of(m, 'O'), part_m = record_of(m, 'M');

    test_bytes(m->serial, hash, sizeof(hash));
    m->fresh = store_dedupe_take(txn, TEST_DAY, hash, &o);
    if (!m->fresh)
        return store_txn_error(txn);
    test_bytes(m->serial ^ 'O' << 20, bytes, TEST_O_BYTES);
    store_put_record(txn, &o, span_of(bytes, TEST_O_BYTES));
    test_bytes(m->serial ^ 'M' << 20, bytes, TEST_M_BYTES);
    store_put_record(txn, &part_m, span_of(bytes, TEST_M_BYTES));
    test_message_item(m, &item);
    store_put_item(txn, &item);
    test_bytes(m->serial ^ 'L' << 20, bytes, TEST_LEAF_BYTES);
    store_put_leaf(txn, span_of(bytes, TEST_LEAF_BYTES), hash, &m->leaf_index);
    return store_txn_error(txn);
}

struct leaf_check {
    uint64_t index, serial;
    int found;
};

static int check_leaf(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    struct leaf_check *check = ctx;
    uint8_t bytes[TEST_LEAF_BYTES], want[32];

    test_bytes(check->serial, want, sizeof(want));
    test_bytes(check->serial ^ 'L' << 20, bytes, sizeof(bytes));
    check->found = index == check->index && span_eq(leaf, span_of(bytes, sizeof(bytes))) &&
                   memcmp(hash, want, sizeof(want)) == 0;
    return 1;
}

int test_message_check(struct store_read *read, const struct test_message *m)
{
    uint8_t hash[32], bytes[TEST_O_BYTES];
    struct record_id o = record_of(m, 'O'), part_m = record_of(m, 'M'), where;
    struct store_item item, want;
    struct arena arena;
    struct span sealed;
    uint64_t head;
    int line = 0;

    arena_init(&arena, 64 * 1024);
    test_bytes(m->serial, hash, sizeof(hash));
    test_message_item(m, &want);
    if (store_get_dedupe(read, TEST_DAY, hash, &where) != 0 || where.serial != m->serial)
        line = __LINE__;
    test_bytes(m->serial ^ 'O' << 20, bytes, TEST_O_BYTES);
    if (!line && (store_get_record(read, &o, &arena, &sealed) != 0 ||
                  !span_eq(sealed, span_of(bytes, TEST_O_BYTES))))
        line = __LINE__;
    test_bytes(m->serial ^ 'M' << 20, bytes, TEST_M_BYTES);
    if (!line && (store_get_record(read, &part_m, &arena, &sealed) != 0 ||
                  !span_eq(sealed, span_of(bytes, TEST_M_BYTES))))
        line = __LINE__;
    if (!line && store_get_item(read, m->serial, &item) != 0)
        line = __LINE__;
    want.previous = item.previous;
    want.order = item.order;
    if (!line && memcmp(&want, &item, sizeof(item)) != 0)
        line = __LINE__;
    if (!line && store_get_head(read, TEST_CHANNEL, m->subject, &head) != 0)
        line = __LINE__;
    struct leaf_check check = {m->leaf_index, m->serial, 0};
    if (!line && (store_each_leaf(read, m->leaf_index, check_leaf, &check) != 0 || !check.found))
        line = __LINE__;
    arena_free(&arena);
    return line;
}

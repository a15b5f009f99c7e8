/* Backups of the keyring: sealed, registered, restored, and what they can still open. */
#include "help.h"

#include <sodium.h>

#include "../store/support.h"

#define NOW 1795300205123
#define DAY_S 86400
#define DAY_MS (DAY_S * 1000ll)

struct fixture {
    struct place place, other;
    char folder[256];
    struct store *store;
    struct keyring *keyring;
    uint8_t public_key[32], secret_key[32];
    struct buffer backup;
    struct keyring_backup made;
};

static int setup(void **state)
{
    static struct fixture f;
    place_make(&f.place);
    place_make(&f.other);
    test_folder(f.folder);
    f.store = test_store(f.folder);
    assert_int_equal(place_open(&f.place, true, &f.keyring), 0);
    keyring_recovery_make(f.public_key, f.secret_key);
    buffer_init(&f.backup, 1 << 20);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    keyring_close(f->keyring);
    store_close(f->store);
    buffer_free(&f->backup);
    test_folder_remove(f->folder);
    place_remove(&f->place);
    place_remove(&f->other);
    return 0;
}

static int make(struct fixture *f, int64_t days)
{
    buffer_clear(&f->backup);
    return keyring_backup_make(f->keyring, f->store, f->public_key, days * DAY_S, NOW, &f->backup,
                               &f->made);
}

static int restore(struct fixture *f, struct span backup, const uint8_t *secret,
                   struct keyring **out)
{
    const struct keyring_config config = {.path = f->other.ring, .root_file = f->other.root};
    struct diag diag = {0};
    int result = keyring_restore(&config, backup, secret, out, &diag);
    assert_int_equal(diag.text[0] != '\0', result != 0);
    return result;
}

static int try_open(struct keyring *keyring, const struct record_id *id, struct span sealed)
{
    struct keyring_cache *cache;
    struct buffer plain;
    assert_int_equal(keyring_cache_new(keyring, &cache), 0);
    buffer_init(&plain, 4096);
    int result = record_open(cache, 1, id, sealed, &plain);
    buffer_free(&plain);
    keyring_cache_free(cache);
    return result;
}

static void puncture(struct keyring *keyring, uint32_t leaf)
{
    const struct keyring_leaf one = {.tree = KEYRING_MESSAGE, .leaf = leaf};
    assert_int_equal(keyring_puncture(keyring, &one, 1), 0);
}

static void restored(void **state)
{
    struct fixture *f = *state;
    struct keyring *back;
    struct keyring_cache *cache;
    struct keyring_status before, after;
    struct buffer gone, later, early;
    const struct record_id gone_id = id_of(2, 9000, 4, 40, 'O'),
                           later_id = id_of(2, 9000, 4, 41, 'O'),
                           early_id = id_of(2, 9000, 4, 39, 'O');
    buffer_init(&gone, 4096);
    buffer_init(&later, 4096);
    buffer_init(&early, 4096);
    assert_int_equal(keyring_cache_new(f->keyring, &cache), 0);
    assert_int_equal(record_seal(cache, 1, &gone_id, 1, SPAN("x"), &gone), 0);
    assert_int_equal(record_seal(cache, 1, &early_id, 1, SPAN("x"), &early), 0);
    puncture(f->keyring, 39); /* before the backup: in it already dead */
    assert_int_equal(keyring_bind(f->keyring, f->store, false, NULL), 0);
    assert_int_equal(make(f, 30), 0);
    assert_int_equal(f->made.number, 1);
    assert_int_equal(f->made.generation, 2);
    puncture(f->keyring, 40); /* after it */
    assert_int_equal(keyring_bind(f->keyring, f->store, false, NULL), 0);
    assert_int_equal(record_seal(cache, 1, &later_id, 1, SPAN("x"), &later), 0);

    assert_int_equal(restore(f, buffer_span(&f->backup), f->secret_key, &back), 0);
    keyring_status(f->keyring, &before);
    keyring_status(back, &after);
    assert_memory_equal(before.installation, after.installation, sizeof(before.installation));
    assert_int_equal(after.generation, f->made.generation);
    assert_int_equal(try_open(back, &early_id, buffer_span(&early)), SLUIS_EEXPIRED);
    assert_int_equal(try_open(back, &gone_id, buffer_span(&gone)), 0);   /* what a backup undoes */
    assert_int_equal(try_open(back, &later_id, buffer_span(&later)), 0); /* sealed after it */
    assert_int_equal(try_open(f->keyring, &gone_id, buffer_span(&gone)), SLUIS_EEXPIRED);
    /* which the store notices */
    assert_int_equal(keyring_bind(back, f->store, false, NULL), SLUIS_EDENIED);
    /* the restored keyring stands on its own disk */
    puncture(back, 41);
    keyring_close(back);
    assert_int_equal(place_open(&f->other, false, &back), 0);
    assert_int_equal(try_open(back, &later_id, buffer_span(&later)), SLUIS_EEXPIRED);
    assert_int_equal(try_open(back, &gone_id, buffer_span(&gone)), 0);
    keyring_close(back);
    /* never over a keyring that is there */
    assert_int_equal(restore(f, buffer_span(&f->backup), f->secret_key, &back), SLUIS_EEXIST);
    assert_int_equal(place_open(&f->other, false, &back), 0);
    keyring_close(back);
    keyring_cache_free(cache);
    buffer_free(&gone);
    buffer_free(&later);
    buffer_free(&early);
}

static void refused(void **state)
{
    struct fixture *f = *state;
    struct keyring *back;
    uint8_t public_key[32], secret_key[32];
    assert_int_equal(make(f, 30), 0);
    keyring_recovery_make(public_key, secret_key);
    assert_int_equal(restore(f, buffer_span(&f->backup), secret_key, &back), SLUIS_ECRYPTO);
    for (size_t n = 0; n < f->backup.n; n++) {
        int result = restore(f, span_of(f->backup.p, n), f->secret_key, &back);
        assert_true(result == SLUIS_EINVAL || result == SLUIS_ECRYPTO);
    }
    for (size_t i = 0; i < f->backup.n; i++) {
        f->backup.p[i] = (char)(f->backup.p[i] ^ 0x10);
        int result = restore(f, buffer_span(&f->backup), f->secret_key, &back);
        assert_true(result == SLUIS_ECRYPTO || (i < 8 && result == SLUIS_EINVAL));
        f->backup.p[i] = (char)(f->backup.p[i] ^ 0x10);
    }
    assert_int_equal(access(f->other.ring, F_OK), -1); /* nothing was made of them */
    assert_int_equal(restore(f, buffer_span(&f->backup), f->secret_key, &back), 0);
    keyring_close(back);
    assert_int_equal(make(f, 0), SLUIS_EINVAL);
    assert_int_equal(make(f, 367), SLUIS_EINVAL);
}

/* No key of the keyring stands in a backup in the clear. */
static void holds_no_key(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(make(f, 30), 0);
    const struct slab *slab = &f->keyring->cover.slab;
    unsigned found = 0, looked = 0;
    struct buffer plain;
    buffer_init(&plain, 1 << 16);
    cover_write(&f->keyring->cover, &plain);
    for (uint32_t slot = SLAB_INDEX; slot < slab->used; slot++) {
        looked += memmem(plain.p, plain.n, slab_key(slab, slot), TREE_KEY) != NULL; /* control */
        found += memmem(f->backup.p, f->backup.n, slab_key(slab, slot), TREE_KEY) != NULL;
    }
    assert_int_equal(found, 0);
    assert_int_equal(looked, 5); /* index, derivation, three roots */
    buffer_free(&plain);
}

static int count_each(void *ctx, const struct keyring_backup *backup)
{
    uint32_t *count = ctx;
    assert_int_equal(backup->number, ++*count);
    return 0;
}

static void clear_is(struct fixture *f, uint64_t generation, int64_t now_ms, int64_t want)
{
    int64_t clear_ms;
    assert_int_equal(keyring_backup_clear(f->keyring, f->store, generation, now_ms, &clear_ms), 0);
    assert_int_equal(clear_ms, want);
}

static int spoil(struct store_txn *txn, void *ctx)
{
    (void)ctx;
    store_put_row(txn, STORE_TABLE_SETTING, SPAN("backup/\0\0\0\002"), SPAN("not sealed"));
    return store_txn_error(txn);
}

static void registered(void **state)
{
    struct fixture *f = *state;
    uint32_t count = 0;
    assert_int_equal(keyring_bind(f->keyring, f->store, false, NULL), 0); /* a neighbour row */
    clear_is(f, 9, NOW, 0);
    assert_int_equal(make(f, 30), 0); /* 1: generation 1 */
    puncture(f->keyring, 5);
    assert_int_equal(make(f, 10), 0); /* 2: generation 2 */
    assert_int_equal(make(f, 60), 0); /* 3: generation 2 */
    puncture(f->keyring, 6);
    store_close(f->store);
    f->store = test_store(f->folder);
    assert_int_equal(keyring_backup_each(f->keyring, f->store, count_each, &count), 0);
    assert_int_equal(count, 3);
    /* destroyed in generation 2: only backup 1 is older; in 3: all three are */
    clear_is(f, 1, NOW, 0);
    clear_is(f, 2, NOW, NOW + 30 * DAY_MS);
    clear_is(f, 3, NOW, NOW + 60 * DAY_MS);
    assert_int_equal(keyring_backup_gone(f->keyring, f->store, 3, NOW), 0);
    assert_int_equal(keyring_backup_gone(f->keyring, f->store, 3, NOW + 5), 0);
    assert_int_equal(keyring_backup_gone(f->keyring, f->store, 4, NOW), SLUIS_ENOENT);
    clear_is(f, 3, NOW, NOW + 30 * DAY_MS);
    clear_is(f, 3, NOW + 30 * DAY_MS, 0); /* expired */
    clear_is(f, 3, NOW + 30 * DAY_MS - 1, NOW + 30 * DAY_MS);
    assert_int_equal(make(f, 1), 0);
    assert_int_equal(f->made.number, 4); /* numbers are not used again */
    /* a row that does not open: no certificate can be written */
    int64_t clear_ms;
    assert_int_equal(test_run(f->store, spoil, NULL), 0);
    assert_true(keyring_backup_clear(f->keyring, f->store, 3, NOW, &clear_ms) != 0);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(restored, setup, teardown),
        cmocka_unit_test_setup_teardown(refused, setup, teardown),
        cmocka_unit_test_setup_teardown(holds_no_key, setup, teardown),
        cmocka_unit_test_setup_teardown(registered, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

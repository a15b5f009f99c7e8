/* Store and keyring belong together, and the keyring does not go back unnoticed. */
#include "help.h"

#include "../store/support.h"

static int bind_them(struct keyring *keyring, struct store *store, bool accept)
{
    struct diag diag = {0};
    int result = keyring_bind(keyring, store, accept, &diag);
    assert_int_equal(diag.text[0] != '\0', result != 0);
    return result;
}

static void puncture(struct keyring *keyring, uint32_t leaf)
{
    const struct keyring_leaf one = {.tree = KEYRING_MESSAGE, .leaf = leaf};
    assert_int_equal(keyring_puncture(keyring, &one, 1), 0);
}

static int spoil(struct store_txn *txn, void *ctx)
{
    store_put_row(txn, STORE_TABLE_SETTING, SPAN("keyring"), *(struct span *)ctx);
    return store_txn_error(txn);
}

static void bound(void **state)
{
    (void)state;
    struct place place, other;
    struct keyring *keyring, *stranger;
    char folder[256], copy[128];
    place_make(&place);
    place_make(&other);
    snprintf(copy, sizeof(copy), "%s/copy", place.top);
    test_folder(folder);
    struct store *store = test_store(folder);
    assert_int_equal(place_open(&place, true, &keyring), 0);
    assert_int_equal(place_open(&other, true, &stranger), 0);

    assert_int_equal(bind_them(keyring, store, false), 0); /* a new store takes the first */
    assert_int_equal(bind_them(keyring, store, false), 0);
    assert_int_equal(bind_them(stranger, store, false), SLUIS_ECRYPTO);
    assert_int_equal(bind_them(stranger, store, true), SLUIS_ECRYPTO); /* no setting helps */
    puncture(keyring, 5);
    assert_int_equal(bind_them(keyring, store, false), 0);
    keyring_close(keyring);
    copy_folder(place.ring, copy); /* a backup at generation 2 */

    assert_int_equal(place_open(&place, false, &keyring), 0);
    puncture(keyring, 6);
    assert_int_equal(bind_them(keyring, store, false), 0); /* the store knows 3 */
    keyring_close(keyring);

    copy_folder(copy, place.ring);
    assert_int_equal(place_open(&place, false, &keyring), 0);
    assert_int_equal(bind_them(keyring, store, false), SLUIS_EDENIED);
    store_close(store);
    store = test_store(folder); /* and after a restart */
    assert_int_equal(bind_them(keyring, store, false), SLUIS_EDENIED);
    assert_int_equal(bind_them(keyring, store, true), 0); /* an operator insists */
    assert_int_equal(bind_them(keyring, store, false), 0);

    /* a row that somebody wrote by hand: lower generation, no MAC */
    struct keyring_status status;
    char row[41] = {1};
    struct span text = span_of(row, sizeof(row));
    keyring_status(keyring, &status);
    memcpy(row + 1, status.installation, sizeof(status.installation));
    assert_int_equal(test_run(store, spoil, &text), 0);
    assert_int_equal(bind_them(keyring, store, false), SLUIS_ECRYPTO);
    text.n = 7;
    assert_int_equal(test_run(store, spoil, &text), 0);
    assert_int_equal(bind_them(keyring, store, false), SLUIS_ECRYPTO);

    keyring_close(keyring);
    keyring_close(stranger);
    store_close(store);
    test_folder_remove(folder);
    place_remove(&place);
    place_remove(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bound)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

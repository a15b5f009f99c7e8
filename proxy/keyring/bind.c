/* Which keyring a store was last used with: the row "keyring" of the settings. */
#include "room.h"

#include <sodium.h>

#include "sluis/base/encode.h"

#define BIND_VERSION 1
#define BIND_MAC 16
#define BIND_TEXT (1 + KEYRING_INSTALLATION_BYTES + 8)
#define BIND_ROW (BIND_TEXT + BIND_MAC)
#define BIND_ARENA 4096

static const struct span bind_key = {"keyring", 7};

struct bind_job {
    struct store_job job;
    uint8_t row[BIND_ROW];
};

static int bind_run(struct store_txn *txn, struct store_job *job)
{
    struct bind_job *bind = (struct bind_job *)(void *)job;
    store_put_row(txn, STORE_TABLE_SETTING, bind_key, span_of(bind->row, BIND_ROW));
    return store_txn_error(txn);
}

/* The key does not change with the generation, so that any generation can check any row. */
static void bind_mac(struct keyring *keyring, const uint8_t text[BIND_TEXT], uint8_t out[BIND_MAC])
{
    uint8_t key[KEYRING_KEY_BYTES];
    keyring_derive(keyring, "binding", key);
    crypto_generichash_blake2b(out, BIND_MAC, text, BIND_TEXT, key, sizeof(key));
    sodium_memzero(key, sizeof(key));
}

static int bind_check(struct keyring *keyring, const struct keyring_status *status, struct span row,
                      uint64_t *generation, struct diag *diag)
{
    const uint8_t *at = (const uint8_t *)row.p;
    uint8_t mac[BIND_MAC];
    if (row.n != BIND_ROW || at[0] != BIND_VERSION) {
        diag_set(diag, NULL, 0, 0, "the store does not say whose keyring it belongs to");
        return SLUIS_ECRYPTO;
    }
    if (memcmp(at + 1, status->installation, KEYRING_INSTALLATION_BYTES) != 0) {
        diag_set(diag, NULL, 0, 0, "the store belongs to the keyring of another installation");
        return SLUIS_ECRYPTO;
    }
    bind_mac(keyring, at, mac);
    if (sodium_memcmp(mac, at + BIND_TEXT, BIND_MAC) != 0) {
        diag_set(diag, NULL, 0, 0, "the store's note about its keyring was changed");
        return SLUIS_ECRYPTO;
    }
    *generation = be64_get(at + 1 + KEYRING_INSTALLATION_BYTES);
    return 0;
}

int keyring_bind(struct keyring *keyring, struct store *store, bool accept_older, struct diag *diag)
{
    struct bind_job bind = {.job = {.priority = STORE_PURGE, .run = bind_run}};
    struct keyring_status status;
    struct store_read *read;
    struct arena arena;
    struct span row;
    uint64_t known = 0;
    keyring_status(keyring, &status);
    int result = store_read_begin(store, &read);
    if (result)
        return result;
    arena_init(&arena, BIND_ARENA);
    result = store_get_row(read, STORE_TABLE_SETTING, bind_key, &arena, &row);
    store_read_end(read);
    if (!result)
        result = bind_check(keyring, &status, row, &known, diag);
    else if (result == SLUIS_ENOENT)
        result = 0;
    arena_free(&arena);
    if (result)
        return result;
    if (known > status.generation && !accept_older) {
        diag_set(diag, NULL, 0, 0,
                 "the keyring is of generation %llu, the store knows %llu: an older keyring can "
                 "open what was destroyed since",
                 (unsigned long long)status.generation, (unsigned long long)known);
        return SLUIS_EDENIED;
    }
    if (known == status.generation)
        return 0;
    bind.row[0] = BIND_VERSION;
    memcpy(bind.row + 1, status.installation, KEYRING_INSTALLATION_BYTES);
    be64_put(bind.row + 1 + KEYRING_INSTALLATION_BYTES, status.generation);
    bind_mac(keyring, bind.row, bind.row + BIND_TEXT);
    return store_submit_wait(store, &bind.job);
}

/* Backups of the keyring, sealed to a recovery public key, and keyrings made out of them. */
#include "backup.h"

#include <sodium.h>

#include "sluis/base/encode.h"

#define AT_NUMBER 8
#define AT_GENERATION 12
#define AT_INSTALLATION 20
#define AT_MADE 36
#define AT_PUBLIC 44
#define AT_BOX 76
#define BOX_SIZE (TREE_KEY + crypto_box_SEALBYTES)
#define AT_NONCE (AT_BOX + BOX_SIZE)
#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define AT_COVER (AT_NONCE + NONCE)
#define TAG crypto_aead_xchacha20poly1305_ietf_ABYTES

_Static_assert(AT_COVER == 180, "the door states the format");
_Static_assert(crypto_box_PUBLICKEYBYTES == KEYRING_RECOVERY_KEY, "X25519");

static const char backup_magic[8] = {'S', 'L', 'U', 'I', 'S', 'K', 'B', '1'};

void keyring_recovery_make(uint8_t public_key[KEYRING_RECOVERY_KEY],
                           uint8_t secret_key[KEYRING_RECOVERY_KEY])
{
    crypto_box_keypair(public_key, secret_key);
}

int backup_write(struct keyring *keyring, const struct keyring_backup *backup,
                 const uint8_t public_key[KEYRING_RECOVERY_KEY], struct buffer *out)
{
    uint8_t key[TREE_KEY];
    struct buffer plain = {0};
    pthread_rwlock_rdlock(&keyring->lock);
    plain.cap = plain.max = cover_most(&keyring->cover);
    plain.p = sodium_malloc(plain.max);
    if (plain.p)
        cover_write(&keyring->cover, &plain);
    pthread_rwlock_unlock(&keyring->lock);
    if (!plain.p)
        return SLUIS_ENOMEM;
    int result = plain.error;
    uint8_t *at = result ? NULL : (uint8_t *)buffer_reserve(out, AT_COVER + plain.n + TAG);
    if (!at) {
        result = result ? result : out->error;
        goto out;
    }
    memcpy(at, backup_magic, sizeof(backup_magic));
    be32_put(at + AT_NUMBER, backup->number);
    be64_put(at + AT_GENERATION, backup->generation);
    memcpy(at + AT_INSTALLATION, keyring->files.installation, KEYRING_INSTALLATION);
    be64_put(at + AT_MADE, (uint64_t)backup->made_ms);
    memcpy(at + AT_PUBLIC, public_key, KEYRING_RECOVERY_KEY);
    randombytes_buf(key, sizeof(key));
    randombytes_buf(at + AT_NONCE, NONCE);
    if (crypto_box_seal(at + AT_BOX, key, sizeof(key), public_key) != 0) {
        result = SLUIS_EINVAL; /* a public key of small order */
    } else {
        crypto_aead_xchacha20poly1305_ietf_encrypt(at + AT_COVER, NULL, (const uint8_t *)plain.p,
                                                   plain.n, at, AT_NONCE, NULL, at + AT_NONCE, key);
        out->n += AT_COVER + plain.n + TAG;
    }
    sodium_memzero(key, sizeof(key));
out:
    sodium_free(plain.p);
    return result;
}

int keyring_restore(const struct keyring_config *config, struct span backup,
                    const uint8_t secret_key[KEYRING_RECOVERY_KEY], struct keyring **out,
                    struct diag *diag)
{
    const uint8_t *at = (const uint8_t *)backup.p;
    uint8_t key[TREE_KEY], public_key[KEYRING_RECOVERY_KEY];
    struct files_seed seed;
    if (sodium_init() < 0)
        return SLUIS_ESYS;
    if (backup.n < AT_COVER + TAG || memcmp(at, backup_magic, sizeof(backup_magic)) != 0) {
        diag_set(diag, NULL, 0, 0, "this is no backup of a keyring");
        return SLUIS_EINVAL;
    }
    seed.generation = be64_get(at + AT_GENERATION);
    memcpy(seed.installation, at + AT_INSTALLATION, sizeof(seed.installation));
    size_t n = backup.n - AT_COVER;
    uint8_t *plain = sodium_malloc(n);
    if (!plain)
        return SLUIS_ENOMEM;
    unsigned long long plain_n = 0;
    int result = SLUIS_ECRYPTO;
    if (crypto_scalarmult_base(public_key, secret_key) != 0 ||
        memcmp(public_key, at + AT_PUBLIC, sizeof(public_key)) != 0)
        diag_set(diag, NULL, 0, 0, "this backup was sealed to another recovery key");
    else if (crypto_box_seal_open(key, at + AT_BOX, BOX_SIZE, public_key, secret_key) != 0 ||
             crypto_aead_xchacha20poly1305_ietf_decrypt(plain, &plain_n, NULL, at + AT_COVER, n, at,
                                                        AT_NONCE, at + AT_NONCE, key) != 0 ||
             seed.generation == 0)
        diag_set(diag, NULL, 0, 0, "the backup is damaged");
    else
        result = 0;
    if (!result) {
        struct keyring_config making = *config;
        making.make = true;
        seed.cover = span_of(plain, (size_t)plain_n);
        result = keyring_start(&making, &seed, out, diag);
    }
    sodium_memzero(key, sizeof(key));
    sodium_free(plain);
    return result;
}

/*
 * Between backup.c (the bytes) and register.c (the rows in the store).
 */
#ifndef SLUIS_KEYRING_BACKUP_H
#define SLUIS_KEYRING_BACKUP_H

#include "room.h"

/* Appends the keyring as it is now. */
SLUIS_MUST_CHECK int backup_write(struct keyring *keyring, const struct keyring_backup *backup,
                                  const uint8_t public_key[KEYRING_RECOVERY_KEY],
                                  struct buffer *out);

#endif

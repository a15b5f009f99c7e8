/*
 * What the files of this room share: a thread's tools for making leaves.
 */
#ifndef SLUIS_AUDIT_LEAF_H
#define SLUIS_AUDIT_LEAF_H

#include <openssl/evp.h>

#include "sluis/audit.h"
#include "sluis/base/clock.h"

#define AUDIT_LEAF_VERSION 1
#define AUDIT_SALT 16
#define AUDIT_SALT_POOL 64 /* salts fetched from the kernel at once: a call per leaf costs 0.5 us  \
                            */

/* Per thread, freed when the thread ends. */
struct audit_tools {
    uint8_t salts[AUDIT_SALT_POOL][AUDIT_SALT];
    unsigned salts_left;
    int64_t second; /* whose text stands in `time` */
    char time[CLOCK_RFC3339_SIZE];
    /* OpenSSL's SHA-256 uses the processor's instructions: 0.4 us a leaf, libsodium's 2.1. Fetched
     * once: looking the algorithm up costs as much as the hash. */
    EVP_MD *sha256;
    EVP_MD_CTX *context;
};
struct audit_tools *audit_tools(void); /* NULL: no memory */

#endif

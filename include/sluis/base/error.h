/*
 * Error codes shared by every room: a function that can fail returns 0 or one of these
 * (always negative), or says otherwise in its header.
 *
 * Threads: constants and pure functions only.
 */
#ifndef SLUIS_BASE_ERROR_H
#define SLUIS_BASE_ERROR_H

enum sluis_error {
    SLUIS_OK = 0,
    SLUIS_EINVAL = -1,    /* input that breaks its format */
    SLUIS_ENOMEM = -2,    /* an allocation failed */
    SLUIS_ELIMIT = -3,    /* a named limit was reached */
    SLUIS_EAGAIN = -4,    /* not now: more input, or a later try */
    SLUIS_ENOENT = -5,    /* no such thing */
    SLUIS_EEXIST = -6,    /* there already */
    SLUIS_EDENIED = -7,   /* policy, role or token says no */
    SLUIS_EIO = -8,       /* the disk or the network failed */
    SLUIS_EFULL = -9,     /* the store or the disk is full */
    SLUIS_ECRYPTO = -10,  /* a tag or a signature does not hold */
    SLUIS_ESEALED = -11,  /* the keyring or the store is closed by a failure or not yet opened */
    SLUIS_EEXPIRED = -12, /* the key of this record has been destroyed */
    SLUIS_ECLOSED = -13,  /* the other side is gone, or we are stopping */
    SLUIS_ETIMEOUT = -14, /* a stated deadline passed */
    SLUIS_ESYS = -15,     /* a system call failed, errno tells */
    SLUIS_EJUDGE = -16,   /* detection or masking could not be done: show nothing */
    SLUIS_EMANY = -17,    /* several would fit: say which */
};

/* A short constant word for an error, for logs ("limit", "crypto", ...). Never NULL. */
const char *error_word(int error);

#define SLUIS_MUST_CHECK __attribute__((warn_unused_result))

#endif

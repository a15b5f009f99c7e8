/* The running log, and the file of its checkpoints. */
#ifndef SLUIS_AUDIT_LOG_H
#define SLUIS_AUDIT_LOG_H

#include <pthread.h>

#include "sluis/audit.h"

struct audit_log {
    struct store *store;
    struct note_key key;
    uint8_t seed[NOTE_SEED];
    char *file;
    pthread_mutex_t lock; /* all below */
    struct merkle_range range;
    struct buffer note; /* the newest checkpoint, empty before the first */
    uint64_t note_size; /* its leaves */
    bool pushed;        /* it stands in the file */
    bool failing;       /* the last push failed: said once */
    pthread_cond_t wake;
    pthread_t thread;
    bool started, stop, accepted;
};

/* push.c */
/* The newest checkpoint of this log in the file. SLUIS_ENOENT: no file, or an empty one;
 * SLUIS_EDENIED: it holds none of this log; SLUIS_ESYS. What a crash left of a last one is cut off.
 */
SLUIS_MUST_CHECK int push_last(const char *file, const struct note_key *key,
                               struct checkpoint *out);
/* Appends a note and an empty line, synced; what cannot be written whole is taken back. */
SLUIS_MUST_CHECK int push_note(const char *file, struct span note);

#endif

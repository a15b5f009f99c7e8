/*
 * Between the pool and sluis-media: a SOCK_SEQPACKET pair, descriptor 3 on the worker's side. Both
 * ends are of one build on one machine: native byte order, and the version must be equal.
 *
 * - parent -> zygote, WIRE_SETTINGS: first; a memfd with the detect settings of each policy
 *
 * - zygote -> parent, WIRE_READY: engine, sandbox, versions
 *
 * - parent -> zygote, WIRE_JOB: three memfds: the picture (sealed), result, out
 *
 * - zygote -> parent, WIRE_DONE: the child's wait status, or WIRE_LATE
 *
 * A closed socket ends the zygote. The child writes struct wire_result, its findings and its text
 * to `result` and the picture to `out`; the parent seals both before it reads the first byte, and
 * believes nothing in them (wire_result_read).
 */
#ifndef SLUIS_PICTURE_WIRE_H
#define SLUIS_PICTURE_WIRE_H

#include "sluis/picture.h"

#define WIRE_FD 3
#define WIRE_MAGIC 0x534c5049u /* "SLPI" */
#define WIRE_VERSION 2
#define WIRE_RESULT_MAX                                                                            \
    (sizeof(struct wire_result) + PICTURE_FINDINGS_MAX * sizeof(struct picture_finding) +          \
     PICTURE_TEXT_MAX)
#define WIRE_SETTINGS_MAX (2u * 1024 * 1024)         /* bytes of one policy's detect settings */
#define WIRE_SETTINGS_ARENA (16 * WIRE_SETTINGS_MAX) /* read: a pointer for each string too */

enum wire_kind { WIRE_SETTINGS = 1, WIRE_READY, WIRE_JOB, WIRE_DONE };

struct wire_message { /* every datagram is exactly one of these */
    uint32_t magic, version;
    uint32_t kind;  /* enum wire_kind */
    int32_t status; /* DONE: wait status; -1: killed at the wall limit */
    uint64_t job;
    struct picture_policy policy; /* JOB */
    uint32_t engine;              /* READY, enum picture_engine */
    int32_t landlock;
    uint32_t seccomp;
    uint32_t wall_ms; /* JOB */
    char versions[128], problem[160];
};

struct wire_result {
    uint32_t magic, version;
    uint64_t job;
    uint32_t outcome, reason, classes, in, kind, width, height, engine, passes, ms, peak_kib;
    uint32_t findings, text; /* counts that follow: findings, then bytes of text */
};

/* Checks every number of a child's result and copies it to `out` (findings and text are allocated).
 * 0, SLUIS_EINVAL when anything does not hold, SLUIS_ENOMEM. Never touches out->fd. */
SLUIS_MUST_CHECK int wire_result_read(struct span bytes, uint64_t job, struct picture_verdict *out);

struct buffer;
/* Detect settings to bytes and back; what is read lives in `arena`. */
SLUIS_MUST_CHECK int wire_settings_write(const struct detect_settings *settings,
                                         struct buffer *out);
struct arena;
/* Adds one policy's settings with their key to a list of them. */
SLUIS_MUST_CHECK int wire_detect_add(uint64_t key, const struct detect_settings *settings,
                                     struct buffer *list);
/* Takes the next off a list: 0, SLUIS_ENOENT at its end, SLUIS_EINVAL, SLUIS_ENOMEM. */
SLUIS_MUST_CHECK int wire_detect_next(struct span *list, struct arena *arena, uint64_t *key,
                                      struct detect_settings *out);
SLUIS_MUST_CHECK int wire_settings_read(struct span bytes, struct arena *arena,
                                        struct detect_settings *out);

/* One datagram with at most `most` descriptors. 0, SLUIS_ECLOSED, SLUIS_EINVAL (malformed: the
 * descriptors are closed), SLUIS_ESYS. */
SLUIS_MUST_CHECK int wire_send(int socket, const struct wire_message *message, const int *fds,
                               unsigned count);
SLUIS_MUST_CHECK int wire_receive(int socket, struct wire_message *message, int *fds, unsigned most,
                                  unsigned *count);

#endif

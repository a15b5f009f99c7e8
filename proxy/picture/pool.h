/* Private to picture: how the zygote is started. */
#ifndef SLUIS_PICTURE_POOL_H
#define SLUIS_PICTURE_POOL_H

#include <sys/types.h>

#include "wire.h"

struct pool_spawn {
    char *program;
    char *models; /* NULL: the worker searches */
};
SLUIS_MUST_CHECK int pool_spawn_init(struct pool_spawn *spawn, const char *program,
                                     const char *models);
void pool_spawn_free(struct pool_spawn *spawn);
/* Starts sluis-media with our end of a socket pair; no other descriptor of ours goes along. */
SLUIS_MUST_CHECK int pool_spawn_start(const struct pool_spawn *spawn, pid_t *pid, int *socket);

#endif

/* The media room and the worker that looks at pictures for it. */
#include "internal.h"

#include <stdio.h>

#define MEDIA_PATH_MAX 4096

int media_open(struct gateway *gw, const struct config *config)
{
    char path[MEDIA_PATH_MAX];
    int r = media_path(config->store_path, path, sizeof(path));
    const struct media_deps deps = {.store = gw->store,
                                    .keyring = gw->keyring,
                                    .config = gw->cell,
                                    .resolver = gw->resolver,
                                    .loop = gw->media_loop,
                                    .path = path,
                                    .memory_max = config->memory_max / 2};
    return r ? r : media_new(&deps, &gw->media);
}

void media_close(struct gateway *gw)
{
    if (gw->media)
        media_stop(gw->media);
}

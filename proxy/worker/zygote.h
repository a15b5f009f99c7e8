/* Private to sluis-media. */
#ifndef SLUIS_WORKER_ZYGOTE_H
#define SLUIS_WORKER_ZYGOTE_H

#include "sluis/vision.h"

/* The models' folder: $SLUIS_MODELS, build/models beside build/PRESET/bin, /usr/lib/sluis/models;
 * NULL when there is none. `out` holds 4,096 bytes. */
const char *models_folder(char *out, size_t size);
/* Serves the socket on descriptor 3 until it closes. The exit code. */
int zygote_run(void);
/* In a child of a test build only: tries to get out in the way `name` says ("open", ...). */
void escape_try(struct span picture);

#endif

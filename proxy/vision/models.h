/* Private to vision: the files of the models, each with its pinned SHA-256. */
#ifndef SLUIS_VISION_MODELS_H
#define SLUIS_VISION_MODELS_H

#include "sluis/base/buffer.h"

enum model_file {
    MODEL_RUNTIME,
    MODEL_DETECT,
    MODEL_RECOGNISE,
    MODEL_TURN,
    MODEL_KEYS,
    MODEL_FILES
};

/* Opens a file of the models and checks its hash. 0 with an open descriptor; SLUIS_ENOENT,
 * SLUIS_EIO, SLUIS_ECRYPTO (another file than the pinned one). With `bytes` its content. */
SLUIS_MUST_CHECK int model_open(const char *folder, enum model_file file, int *fd,
                                struct buffer *bytes);
/* The same model with fewer nodes, for speed (simplify.c): `changes` says how many were found.
 * SLUIS_ENOMEM, SLUIS_ELIMIT; then the model as it came serves. */
#define MODEL_BYTES_MAX (64u * 1024 * 1024)
SLUIS_MUST_CHECK int model_simplify(struct span model, struct buffer *out, unsigned *changes);
const char *model_name(enum model_file file);

#endif

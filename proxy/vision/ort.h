/* Private to vision: ONNX Runtime through its C interface, loaded at run time. One thread. */
#ifndef SLUIS_VISION_ORT_H
#define SLUIS_VISION_ORT_H

#include <stdint.h>

#include "sluis/base/error.h"
#include "sluis/base/span.h"

struct ort;
struct ort_model;

/* `library` is an open descriptor of libonnxruntime.so. */
SLUIS_MUST_CHECK int ort_open(int library, struct ort **out);
void ort_close(struct ort *ort);
const char *ort_version(const struct ort *ort); /* "1.28.0" */
/* The bytes are copied by the runtime. */
SLUIS_MUST_CHECK int ort_model_new(struct ort *ort, struct span bytes, const char *output,
                                   struct ort_model **out);
void ort_model_free(struct ort_model *model);

struct ort_tensor {
    const float *p;
    int64_t shape[4];
    unsigned rank;
    void *value; /* the runtime's own */
};
/* Runs input `x` of shape 1 x 3 x h x w. The output lives until ort_tensor_free. */
SLUIS_MUST_CHECK int ort_run(struct ort_model *model, float *input, int64_t h, int64_t w,
                             struct ort_tensor *out);
void ort_tensor_free(struct ort_model *model, struct ort_tensor *tensor);

#endif

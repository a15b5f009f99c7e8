/*
 * Files of media beside the database: sealed already, so they are copied as they are. A file that
 * is swept while the others are copied is left out (its keys are destroyed); one that comes after
 * the database's moment is known to no row, and the room's sweep removes it after a restore.
 */
#include "room.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (256u * 1024)

static int is_file(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

struct copy {
    const char *from, *to; /* folders; `to` NULL: only looked at */
    const atomic_bool *stop;
    char *chunk;
    crypto_generichash_blake2b_state state;
    struct media_sum *sum;
};

static int write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t wrote = write(fd, p, n);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return SLUIS_EIO;
        p += wrote;
        n -= (size_t)wrote;
    }
    return 0;
}

static int pass(struct copy *c, int from, int to)
{
    for (;;) {
        ssize_t n = read(from, c->chunk, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? SLUIS_EIO : 0;
        if (c->stop && atomic_load(c->stop))
            return SLUIS_ECLOSED;
        crypto_generichash_blake2b_update(&c->state, (unsigned char *)c->chunk, (size_t)n);
        c->sum->bytes += (uint64_t)n;
        if (to >= 0 && write_all(to, c->chunk, (size_t)n) != 0)
            return SLUIS_EIO;
    }
}

static int copy_file(struct copy *c, const char *name, struct diag *diag)
{
    char from[BACKUP_PATH_MAX], to[BACKUP_PATH_MAX];
    if (!path_join(from, c->from, name) || (c->to && !path_join(to, c->to, name)))
        return SLUIS_ELIMIT;
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0)
        return errno == ENOENT ? 0 : errno_told(diag, from, "cannot be opened");
    int out = c->to ? open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    int r = c->to && out < 0 ? errno_told(diag, to, "the file cannot be made") : 0;
    if (r == 0) {
        crypto_generichash_blake2b_update(&c->state, (const unsigned char *)name, strlen(name) + 1);
        c->sum->files++;
        r = pass(c, in, out);
        if (r == SLUIS_EIO)
            r = errno_told(diag, c->to ? to : from, "the file cannot be copied");
    }
    if (r == 0 && out >= 0 && fsync(out) != 0)
        r = errno_told(diag, to, "the file cannot be synced");
    if (out >= 0)
        close(out);
    close(in);
    return r;
}

int media_copy(const char *from, const char *to, const atomic_bool *stop, struct media_sum *sum,
               struct diag *diag)
{
    struct copy c = {.from = from, .to = to, .stop = stop, .sum = sum};
    struct dirent **names = NULL;
    memset(sum, 0, sizeof(*sum));
    if (to && mkdir(to, 0700) != 0)
        return errno_told(diag, to, "the folder cannot be made");
    int n = scandir(from, &names, is_file, alphasort);
    if (n < 0 && errno != ENOENT)
        return errno_told(diag, from, "the folder cannot be read");
    crypto_generichash_blake2b_init(&c.state, NULL, 0, BACKUP_HASH);
    c.chunk = malloc(CHUNK);
    int r = c.chunk ? 0 : SLUIS_ENOMEM;
    for (int i = 0; i < n; i++) {
        if (r == 0)
            r = copy_file(&c, names[i]->d_name, diag);
        free(names[i]);
    }
    free(names);
    free(c.chunk);
    crypto_generichash_blake2b_final(&c.state, sum->hash, sizeof(sum->hash));
    return r == 0 && to ? folder_sync(to) : r;
}

void media_clear(const char *folder)
{
    struct dirent **names = NULL;
    char path[BACKUP_PATH_MAX];
    int n = scandir(folder, &names, is_file, alphasort);
    for (int i = 0; i < n; i++) {
        if (path_join(path, folder, names[i]->d_name))
            unlink(path);
        free(names[i]);
    }
    free(names);
    rmdir(folder);
}

int media_compare(const char *folder, const struct manifest *m, const struct media_sum *sum,
                  struct diag *diag)
{
    static const uint8_t none[BACKUP_HASH];
    if (m->media.files == 0 && sum->files == 0 && memcmp(m->media.hash, none, BACKUP_HASH) == 0)
        return 0; /* a backup of a version without media */
    if (sum->files == m->media.files && sum->bytes == m->media.bytes &&
        memcmp(sum->hash, m->media.hash, BACKUP_HASH) == 0)
        return 0;
    diag_set(diag, folder, 0, 0, "the files of media are not those of the manifest");
    return SLUIS_ECRYPTO;
}

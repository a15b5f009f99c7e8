/* Making a backup and proving it. */
#include "room.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYRING_BACKUP_MAX (256u * 1024 * 1024) /* far above what a keyring can come to */
#define MAP_SPARE (16u * 1024 * 1024)

static int make_keyring(const struct backup_request *q, struct backup_made *made, struct diag *diag)
{
    char folder[BACKUP_PATH_MAX], path[BACKUP_PATH_MAX], name[64];
    struct keyring_backup backup;
    struct buffer out;
    if (!path_join(folder, q->folder, "keyring"))
        return SLUIS_ELIMIT;
    if (mkdir(folder, 0700) != 0)
        return errno_told(diag, folder, "the folder cannot be made");
    buffer_init(&out, KEYRING_BACKUP_MAX);
    int r = keyring_backup_make(q->keyring, q->store, q->recovery_key, q->keep_s, q->now_ms, &out,
                                &backup);
    if (r != 0)
        diag_set(diag, NULL, 0, 0, "no backup of the keyring: %s", error_word(r));
    if (r == 0) {
        made->number = backup.number;
        made->expires_ms = backup.expires_ms;
        snprintf(name, sizeof(name), "keyring-%u.backup", backup.number);
        r = path_join(path, folder, name) ? file_write(path, buffer_span(&out), diag)
                                          : SLUIS_ELIMIT;
    }
    buffer_free(&out);
    return r ? r : folder_sync(folder);
}

struct sink {
    int fd;
    crypto_generichash_blake2b_state state;
    const atomic_bool *stop;
    struct diag *diag;
    const char *path;
};

static int sink_write(void *ctx, struct span bytes)
{
    struct sink *sink = ctx;
    if (sink->stop && atomic_load(sink->stop))
        return SLUIS_ECLOSED;
    crypto_generichash_blake2b_update(&sink->state, (const unsigned char *)bytes.p, bytes.n);
    while (bytes.n > 0) {
        ssize_t n = write(sink->fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return errno_told(sink->diag, sink->path, "the copy cannot be written");
        bytes = span_from(bytes, (size_t)n);
    }
    return 0;
}

static int copy_data(const struct backup_request *q, const char *folder, struct manifest *m,
                     struct backup_made *made, struct diag *diag)
{
    char path[BACKUP_PATH_MAX];
    struct store_copied copied;
    if (!path_join(path, folder, BACKUP_DATA))
        return SLUIS_ELIMIT;
    struct sink sink = {.stop = q->stop, .diag = diag, .path = path};
    sink.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (sink.fd < 0)
        return errno_told(diag, path, "the file cannot be made");
    crypto_generichash_blake2b_init(&sink.state, NULL, 0, BACKUP_HASH);
    int r = store_copy(q->store, q->growth_max, sink_write, &sink, &copied);
    crypto_generichash_blake2b_final(&sink.state, m->hash, sizeof(m->hash));
    if (r == SLUIS_ELIMIT)
        diag_set(diag, path, 0, 0,
                 "given up: the store grew by %llu bytes while it was copied, more than the %llu "
                 "allowed (a tenth of store.size); try again on a faster disk or in a quiet hour",
                 (unsigned long long)copied.growth, (unsigned long long)q->growth_max);
    else if (r != 0 && !diag->text[0])
        diag_set(diag, path, 0, 0, "the store could not be copied: %s", error_word(r));
    if (r == 0 && fsync(sink.fd) != 0)
        r = errno_told(diag, path, "the copy cannot be synced");
    close(sink.fd);
    if (r != 0)
        unlink(path); /* half a copy is of no use to anyone */
    m->bytes = made->bytes = copied.bytes;
    made->growth = copied.growth;
    return r;
}

int backup_make(const struct backup_request *q, struct backup_made *made, struct diag *diag)
{
    char folder[BACKUP_PATH_MAX], media[BACKUP_PATH_MAX];
    struct keyring_status status;
    struct manifest m = {.made_ms = q->now_ms};
    memset(made, 0, sizeof(*made));
    diag->text[0] = diag->file[0] = '\0';
    if (!path_join(folder, q->folder, "data"))
        return SLUIS_ELIMIT;
    int r = folder_empty(q->folder, diag);
    if (r == 0 && q->recovery_key)
        r = make_keyring(q, made, diag);
    if (r == 0 && mkdir(folder, 0700) != 0)
        r = errno_told(diag, folder, "the folder cannot be made");
    if (r == 0)
        r = copy_data(q, folder, &m, made, diag);
    if (r == 0 && q->media) /* after the database: every file that it knows is there by then */
        r = path_join(media, folder, BACKUP_MEDIA)
                ? media_copy(q->media, media, q->stop, &m.media, diag)
                : SLUIS_ELIMIT;
    if (r != 0)
        return r;
    made->bytes += m.media.bytes;
    keyring_status(q->keyring, &status);
    memcpy(m.installation, status.installation, sizeof(m.installation));
    m.generation = made->generation = status.generation;
    m.keyring_backup = made->number;
    r = manifest_write(folder, &m, diag);
    return r ? r : folder_sync(q->folder);
}

static int verify_copy(const char *folder, const struct manifest *m, struct backup_check *check,
                       const atomic_bool *stop, struct diag *diag)
{
    struct keyring_cache *keys;
    int r = keyring_cache_new(check->keyring, &keys);
    if (r != 0)
        return r;
    const struct store_config config = {.path = folder,
                                        .map_size = (size_t)m->bytes + MAP_SPARE,
                                        .seal = blocks_seal,
                                        .open = blocks_open,
                                        .seal_ctx = keys};
    r = store_open_copy(&config, &check->store, diag);
    if (r == 0) {
        r = check_all(check, stop);
        store_close(check->store);
        if (r == 0 && check->counts.damaged) {
            diag_set(diag, folder, 0, 0, "%llu values of the backup are damaged",
                     (unsigned long long)check->counts.damaged);
            r = SLUIS_ECRYPTO;
        }
    }
    check->store = NULL;
    keyring_cache_free(keys);
    return r;
}

static int media_verify(const char *folder, const struct manifest *m, const atomic_bool *stop,
                        struct diag *diag)
{
    char path[BACKUP_PATH_MAX];
    struct media_sum sum;
    if (!path_join(path, folder, BACKUP_MEDIA))
        return SLUIS_ELIMIT;
    int r = media_copy(path, NULL, stop, &sum, diag);
    return r ? r : media_compare(path, m, &sum, diag);
}

int backup_verify(const char *folder, struct backup_check *check, const atomic_bool *stop,
                  struct diag *diag)
{
    struct keyring_status status;
    struct manifest m;
    int r = manifest_read(folder, &m, diag);
    if (r != 0)
        return r;
    keyring_status(check->keyring, &status);
    if (memcmp(status.installation, m.installation, sizeof(m.installation)) != 0) {
        diag_set(diag, folder, 0, 0, "the backup is of another installation");
        return SLUIS_ECRYPTO;
    }
    r = data_check(folder, &m, NULL, stop, diag);
    if (r == 0)
        r = media_verify(folder, &m, stop, diag);
    return r ? r : verify_copy(folder, &m, check, stop, diag);
}

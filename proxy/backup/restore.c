/* A store out of a data part, a keyring out of a keyring part; with no gateway running. */
#include "room.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYRING_FILE_MAX (256u * 1024 * 1024)

static int open_keyring(const struct backup_restore *q, struct keyring **out, struct diag *diag)
{
    struct stat st;
    if (!q->keyring_file)
        return keyring_open(&q->keys, out, diag);
    int fd = open(q->keyring_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size < 0 || st.st_size > KEYRING_FILE_MAX) {
        int r = errno_told(diag, q->keyring_file, "the keyring's backup cannot be opened");
        if (fd >= 0)
            close(fd);
        return r;
    }
    size_t n = (size_t)st.st_size;
    char *bytes = malloc(n ? n : 1);
    int r = bytes ? 0 : SLUIS_ENOMEM;
    if (r == 0 && read(fd, bytes, n) != (ssize_t)n)
        r = errno_told(diag, q->keyring_file, "the keyring's backup cannot be read");
    close(fd);
    if (r == 0)
        r = keyring_restore(&q->keys, span_of(bytes, n), q->recovery_key, out, diag);
    free(bytes); /* sealed */
    return r;
}

/* Before anything is written: is it ours, is there room for it to stand? */
static int look_ahead(const struct backup_restore *q, struct keyring *keyring,
                      const struct manifest *m, struct diag *diag)
{
    struct keyring_status status;
    keyring_status(keyring, &status);
    if (memcmp(status.installation, m->installation, sizeof(m->installation)) != 0) {
        diag_set(diag, q->data, 0, 0, "the backup is of another installation than the keyring");
        return SLUIS_ECRYPTO;
    }
    if (q->store_size < m->bytes) {
        diag_set(diag, q->data, 0, 0, "the backup has %llu bytes, store.size allows %llu",
                 (unsigned long long)m->bytes, (unsigned long long)q->store_size);
        return SLUIS_ELIMIT;
    }
    return folder_empty(q->store_path, diag);
}

/* What the lost store gave out after the backup is not known, save that what the keyring destroyed
 * was given out before: a busy store behind an old backup passed the fixed number long ago. */
static uint64_t to_skip(uint64_t next, uint64_t gone, uint64_t most)
{
    return most + (gone >= next ? gone + 1 - next : 0);
}

static int skip_serials(struct keyring *keyring, struct store *store)
{
    return store_skip_serials(
        store,
        to_skip(store_next_serial(store), keyring_highest_gone(keyring, KEYRING_MESSAGE),
                BACKUP_SKIP_MESSAGES),
        to_skip(store_next_subject(store), keyring_highest_gone(keyring, KEYRING_SUBJECT),
                BACKUP_SKIP_SUBJECTS));
}

static int settle(struct keyring *keyring, struct store *store, struct backup_restored *out,
                  struct diag *diag)
{
    struct diag why = {.text = ""};
    int r = keyring_bind(keyring, store, false, &why);
    if (r == SLUIS_EDENIED) {
        out->older = true; /* the gateway will ask for it to be accepted */
        r = 0;
    } else if (r != 0) {
        *diag = why;
    }
    if (r == 0)
        r = skip_serials(keyring, store);
    return r;
}

/* Everything is done to the copy in a folder of its own; it gets its name in the end, so that a
 * crash before leaves no store that could give serials out again. */
#define ASIDE "restoring"

static void clear_aside(const char *aside)
{
    static const char *const names[] = {BACKUP_DATA, "lock.mdb", "store.lock"};
    char path[BACKUP_PATH_MAX];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (path_join(path, aside, names[i]))
            unlink(path);
    if (path_join(path, aside, BACKUP_MEDIA))
        media_clear(path);
    rmdir(aside);
}

static int put_in_place(const struct backup_restore *q, const char *aside, struct diag *diag)
{
    char from[BACKUP_PATH_MAX], to[BACKUP_PATH_MAX];
    char media[BACKUP_PATH_MAX], place[BACKUP_PATH_MAX];
    if (!path_join(from, aside, BACKUP_DATA) || !path_join(to, q->store_path, BACKUP_DATA) ||
        !path_join(media, aside, BACKUP_MEDIA) || !path_join(place, q->store_path, BACKUP_MEDIA))
        return SLUIS_ELIMIT;
    if (rename(media, place) != 0) /* before the store, which is what counts as restored */
        return errno_told(diag, place, "the files of media cannot be put in place");
    if (rename(from, to) != 0)
        return errno_told(diag, to, "the store cannot be put in place");
    clear_aside(aside);
    return folder_sync(q->store_path);
}

static int prepare(const struct backup_restore *q, struct keyring *keyring, const char *aside,
                   struct backup_restored *out, struct diag *diag)
{
    struct keyring_cache *keys;
    struct store *store;
    int r = keyring_cache_new(keyring, &keys);
    if (r != 0)
        return r;
    const struct store_config config = {.path = aside,
                                        .map_size = q->store_size,
                                        .seal = blocks_seal,
                                        .open = blocks_open,
                                        .seal_ctx = keys};
    r = store_open(&config, &store, diag);
    if (r == 0) {
        struct backup_check check = {.store = store,
                                     .keyring = keyring,
                                     .now_ms = q->now_ms,
                                     .destroyed = q->destroyed,
                                     .ctx = q->ctx};
        r = settle(keyring, store, out, diag);
        if (r == 0)
            r = check_all(&check, NULL);
        out->counts = check.counts;
        memcpy(out->past, check.past, sizeof(out->past));
        store_close(store);
    }
    keyring_cache_free(keys);
    return r;
}

/* What a restore that was cut off left: never a store, since that gets its name in the end. */
static int clear_left(const struct backup_restore *q)
{
    char aside[BACKUP_PATH_MAX];
    if (!path_join(aside, q->store_path, ASIDE))
        return SLUIS_ELIMIT;
    clear_aside(aside);
    /* Put in place just before the store: without one beside them nobody knows these files. Never
     * beside a store, which is refused later on. */
    char media[BACKUP_PATH_MAX], store[BACKUP_PATH_MAX];
    if (path_join(media, q->store_path, BACKUP_MEDIA) &&
        path_join(store, q->store_path, BACKUP_DATA) && access(store, F_OK) != 0)
        media_clear(media);
    return 0;
}

/* To the folder aside, and are they the manifest's? */
static int restore_media(const struct backup_restore *q, const char *aside,
                         const struct manifest *m, struct diag *diag)
{
    char from[BACKUP_PATH_MAX], to[BACKUP_PATH_MAX];
    struct media_sum sum;
    if (!path_join(from, q->data, BACKUP_MEDIA) || !path_join(to, aside, BACKUP_MEDIA))
        return SLUIS_ELIMIT;
    int r = media_copy(from, to, NULL, &sum, diag);
    return r ? r : media_compare(from, m, &sum, diag);
}

static int restore_data(const struct backup_restore *q, struct keyring *keyring,
                        const struct manifest *m, struct backup_restored *out, struct diag *diag)
{
    char aside[BACKUP_PATH_MAX], path[BACKUP_PATH_MAX];
    if (!path_join(aside, q->store_path, ASIDE) || !path_join(path, aside, BACKUP_DATA))
        return SLUIS_ELIMIT;
    int r = folder_empty(aside, diag);
    if (r != 0)
        return r;
    r = data_check(q->data, m, path, NULL, diag);
    if (r == 0)
        r = prepare(q, keyring, aside, out, diag);
    if (r == 0)
        r = restore_media(q, aside, m, diag);
    if (r == 0)
        r = put_in_place(q, aside, diag);
    if (r != 0)
        clear_aside(aside);
    return r;
}

int backup_restore(const struct backup_restore *q, struct backup_restored *out, struct diag *diag)
{
    struct keyring *keyring;
    struct keyring_status status;
    struct manifest m = {0};
    memset(out, 0, sizeof(*out));
    diag->text[0] = diag->file[0] = '\0';
    int r = q->data ? manifest_read(q->data, &m, diag) : 0;
    if (r == 0)
        r = open_keyring(q, &keyring, diag);
    if (r != 0)
        return r;
    keyring_status(keyring, &status);
    out->keyring_generation = status.generation;
    out->data_generation = m.generation;
    out->older = q->data && status.generation < m.generation;
    if (q->data)
        r = clear_left(q);
    if (q->data && r == 0)
        r = look_ahead(q, keyring, &m, diag);
    if (q->data && r == 0)
        r = restore_data(q, keyring, &m, out, diag);
    if (r != 0 && !diag->text[0])
        diag_set(diag, NULL, 0, 0, "%s", error_word(r));
    keyring_close(keyring);
    return r;
}

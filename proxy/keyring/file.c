#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/log.h"

#define SLOT_SIZE 4096 /* one page and one physical sector of a modern disk */
#define SLOTS 2
#define HEAD_SIZE 32
#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG crypto_aead_xchacha20poly1305_ietf_ABYTES
#define COVER_FILE_MAX ((size_t)SLAB_SLOTS_MAX * 48) /* keys and marks of a full slab */
#define NAME_MAX_COVER 32
#define RESERVE_MORE 65536 /* room for some punctures beyond twice the cover */

static const char slot_magic[8] = {'S', 'L', 'U', 'I', 'S', 'E', 'P', '1'};
static const char cover_magic[8] = {'S', 'L', 'U', 'I', 'S', 'K', 'R', '1'};
static const unsigned char root_person[crypto_generichash_blake2b_PERSONALBYTES] = "sluis root";

static int step_done(struct keyring_files *files, unsigned step)
{
    return files->fault && files->fault(files->fault_ctx, step) ? SLUIS_EIO : 0;
}

static void head_put(uint8_t *p, const char magic[8], uint64_t generation,
                     const uint8_t installation[KEYRING_INSTALLATION])
{
    memcpy(p, magic, 8);
    be64_put(p + 8, generation);
    memcpy(p + 16, installation, KEYRING_INSTALLATION);
}

static void slot_key(const struct cover *cover, uint8_t out[TREE_KEY])
{
    crypto_generichash_blake2b_salt_personal(out, TREE_KEY, (const unsigned char *)"epoch slot", 10,
                                             slab_key(&cover->slab, SLAB_ROOT), TREE_KEY, NULL,
                                             root_person);
}

static int pwrite_all(int fd, const uint8_t *p, size_t n, off_t at)
{
    while (n > 0) {
        ssize_t wrote = pwrite(fd, p, n, at);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return errno == ENOSPC || errno == EDQUOT ? SLUIS_EFULL : SLUIS_EIO;
        p += wrote;
        n -= (size_t)wrote;
        at += wrote;
    }
    return 0;
}

static int pread_all(int fd, uint8_t *p, size_t n, off_t at)
{
    while (n > 0) {
        ssize_t got = pread(fd, p, n, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return SLUIS_EIO;
        p += got;
        n -= (size_t)got;
        at += got;
    }
    return 0;
}

/* ---- slots ---- */

static int slot_write(struct keyring_files *files, const struct cover *cover, uint64_t generation)
{
    uint8_t slot[SLOT_SIZE] = {0}, key[TREE_KEY];
    head_put(slot, slot_magic, generation, files->installation);
    randombytes_buf(slot + HEAD_SIZE, NONCE);
    slot_key(cover, key);
    crypto_aead_xchacha20poly1305_ietf_encrypt(slot + HEAD_SIZE + NONCE, NULL,
                                               slab_key(&cover->slab, SLAB_EPOCH), TREE_KEY, slot,
                                               HEAD_SIZE, NULL, slot + HEAD_SIZE, key);
    sodium_memzero(key, sizeof(key));
    int result = pwrite_all(files->epoch, slot, SLOT_SIZE, (off_t)(generation % SLOTS) * SLOT_SIZE);
    if (!result && fdatasync(files->epoch) != 0)
        result = SLUIS_EIO;
    return result;
}

static int slot_wipe(struct keyring_files *files, unsigned index)
{
    uint8_t slot[SLOT_SIZE] = {0}, back[SLOT_SIZE];
    int result = pwrite_all(files->epoch, slot, SLOT_SIZE, (off_t)index * SLOT_SIZE);
    if (!result && fdatasync(files->epoch) != 0)
        result = SLUIS_EIO;
    if (!result)
        result = pread_all(files->epoch, back, SLOT_SIZE, (off_t)index * SLOT_SIZE);
    if (!result && !sodium_is_zero(back, SLOT_SIZE))
        result = SLUIS_EIO;
    return result;
}

/* Reads slot `index` into the slab's epoch key. SLUIS_ENOENT when empty, SLUIS_ECRYPTO when it does
 * not open. */
static int slot_read(struct keyring_files *files, struct cover *cover, unsigned index,
                     uint64_t *generation, uint8_t installation[KEYRING_INSTALLATION])
{
    uint8_t slot[SLOT_SIZE], key[TREE_KEY];
    int result = pread_all(files->epoch, slot, SLOT_SIZE, (off_t)index * SLOT_SIZE);
    if (result)
        return result;
    if (sodium_is_zero(slot, SLOT_SIZE))
        return SLUIS_ENOENT;
    *generation = be64_get(slot + 8);
    memcpy(installation, slot + 16, KEYRING_INSTALLATION);
    if (memcmp(slot, slot_magic, sizeof(slot_magic)) != 0 || *generation % SLOTS != index)
        return SLUIS_ECRYPTO; /* torn, or swapped with the other slot */
    slot_key(cover, key);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(slab_key(&cover->slab, SLAB_EPOCH), NULL, NULL,
                                                   slot + HEAD_SIZE + NONCE, TREE_KEY + TAG, slot,
                                                   HEAD_SIZE, slot + HEAD_SIZE, key) != 0)
        result = SLUIS_ECRYPTO;
    sodium_memzero(key, sizeof(key));
    return result;
}

/* ---- cover files ---- */

static void cover_name(char name[NAME_MAX_COVER], uint64_t generation)
{
    snprintf(name, NAME_MAX_COVER, "cover.%" PRIu64, generation);
}

/*
 * A full disk must not keep keys alive: a file with blocks of its own stands ready, twice as large
 * as the cover, and becomes the new cover when there is no room for another.
 */
static void reserve_make(struct keyring_files *files, size_t cover_size)
{
    struct stat st;
    off_t want = (off_t)(2 * cover_size + RESERVE_MORE);
    int fd = openat(files->folder, "reserve", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size >= want) {
        close(fd);
        return;
    }
    int error = fd < 0 ? errno : posix_fallocate(fd, 0, want);
    if (fd >= 0) {
        if (error == 0 && fsync(fd) != 0)
            error = errno;
        close(fd);
    }
    if (error) {
        /* a shorter one is none: it would end in the middle of a cover */
        unlinkat(files->folder, "reserve", 0);
        LOG(LOG_ALARM, "keyring", "no_reserve", log_u64("bytes", (uint64_t)want));
    }
}

static int bytes_into(struct keyring_files *files, const char *name, int flags,
                      const uint8_t *bytes, size_t n)
{
    int fd = openat(files->folder, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (fd < 0)
        return errno == ENOSPC || errno == EDQUOT ? SLUIS_EFULL : SLUIS_EIO;
    int result = pwrite_all(fd, bytes, n, 0);
    if (!result && (ftruncate(fd, (off_t)n) != 0 || fsync(fd) != 0))
        result = errno == ENOSPC || errno == EDQUOT ? SLUIS_EFULL : SLUIS_EIO;
    close(fd);
    return result;
}

static int cover_bytes_write(struct keyring_files *files, uint64_t generation, const uint8_t *bytes,
                             size_t n)
{
    char name[NAME_MAX_COVER];
    cover_name(name, generation);
    unlinkat(files->folder, name, 0); /* left by a change that never came to its slot */
    int result = bytes_into(files, name, O_CREAT | O_EXCL, bytes, n);
    if (result != SLUIS_EFULL)
        return result;
    unlinkat(files->folder, name, 0);
    if (renameat(files->folder, "reserve", files->folder, name) != 0)
        return SLUIS_EFULL;
    LOG(LOG_ALARM, "keyring", "reserve_used", log_u64("generation", generation));
    return bytes_into(files, name, 0, bytes, n);
}

static int cover_file_write(struct keyring_files *files, const struct cover *cover,
                            uint64_t generation)
{
    size_t most = cover_most(cover);
    /* the plain cover holds every key: guarded memory */
    uint8_t *memory = sodium_malloc(HEAD_SIZE + NONCE + most + TAG);
    if (!memory)
        return SLUIS_ENOMEM;
    struct buffer plain = {.p = (char *)memory + HEAD_SIZE + NONCE, .cap = most, .max = most};
    cover_write(cover, &plain);
    int result = plain.error;
    if (result)
        goto out;
    head_put(memory, cover_magic, generation, files->installation);
    randombytes_buf(memory + HEAD_SIZE, NONCE);
    unsigned long long sealed;
    crypto_aead_xchacha20poly1305_ietf_encrypt(
        memory + HEAD_SIZE + NONCE, &sealed, memory + HEAD_SIZE + NONCE, plain.n, memory, HEAD_SIZE,
        NULL, memory + HEAD_SIZE, slab_key(&cover->slab, SLAB_EPOCH));
    result = cover_bytes_write(files, generation, memory, HEAD_SIZE + NONCE + (size_t)sealed);
out:
    sodium_free(memory);
    return result;
}

/* Opens cover.<generation> with the slab's epoch key and reads it into `into` (NULL: check only).
 */
static int cover_file_read(struct keyring_files *files, const struct cover *keys,
                           uint64_t generation, struct cover *into)
{
    char name[NAME_MAX_COVER];
    uint8_t head[HEAD_SIZE];
    struct stat st;
    uint8_t *memory = NULL;
    cover_name(name, generation);
    int fd = openat(files->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? SLUIS_ENOENT : SLUIS_EIO;
    int result = SLUIS_EIO;
    if (fstat(fd, &st) != 0)
        goto out;
    result = SLUIS_ECRYPTO;
    if (!S_ISREG(st.st_mode) || st.st_size < (off_t)(HEAD_SIZE + NONCE + TAG) ||
        st.st_size > (off_t)COVER_FILE_MAX)
        goto out;
    size_t n = (size_t)st.st_size;
    memory = sodium_malloc(n);
    result = memory ? pread_all(fd, memory, n, 0) : SLUIS_ENOMEM;
    if (result)
        goto out;
    head_put(head, cover_magic, generation, files->installation);
    unsigned long long plain_n;
    result = SLUIS_ECRYPTO;
    if (memcmp(head, memory, HEAD_SIZE) != 0 ||
        crypto_aead_xchacha20poly1305_ietf_decrypt(
            memory + HEAD_SIZE + NONCE, &plain_n, NULL, memory + HEAD_SIZE + NONCE,
            n - HEAD_SIZE - NONCE, memory, HEAD_SIZE, memory + HEAD_SIZE,
            slab_key(&keys->slab, SLAB_EPOCH)) != 0)
        goto out;
    result = into ? cover_read(into, span_of(memory + HEAD_SIZE + NONCE, (size_t)plain_n)) : 0;
out:
    close(fd);
    if (memory)
        sodium_free(memory);
    return result;
}

/* Removes every cover file but the one of `keep`. Their keys are gone: this only tidies. */
static int covers_tidy(struct keyring_files *files, uint64_t keep)
{
    char name[NAME_MAX_COVER];
    cover_name(name, keep);
    int fd = openat(files->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return SLUIS_EIO;
    }
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strncmp(entry->d_name, "cover.", 6) == 0 && strcmp(entry->d_name, name) != 0)
            unlinkat(files->folder, entry->d_name, 0);
    closedir(dir);
    return fsync(files->folder) == 0 ? 0 : SLUIS_EIO;
}

int files_commit(struct keyring_files *files, struct cover *cover)
{
    uint64_t next = files->generation + 1, generation;
    uint8_t installation[KEYRING_INSTALLATION], fresh[TREE_KEY];
    randombytes_buf(slab_key(&cover->slab, SLAB_EPOCH), TREE_KEY);
    memcpy(fresh, slab_key(&cover->slab, SLAB_EPOCH), TREE_KEY);

    int result = cover_file_write(files, cover, next);
    if (result || (result = step_done(files, 1)))
        goto out;
    result = fsync(files->folder) == 0 ? step_done(files, 2) : SLUIS_EIO;
    if (result)
        goto out;
    result = slot_write(files, cover, next);
    if (result || (result = step_done(files, 3)))
        goto out;
    /* read back what a start would read: the epoch key itself is replaced by the one on disk */
    result = slot_read(files, cover, (unsigned)(next % SLOTS), &generation, installation);
    if (!result && (generation != next ||
                    sodium_memcmp(fresh, slab_key(&cover->slab, SLAB_EPOCH), TREE_KEY) != 0))
        result = SLUIS_EIO;
    if (!result)
        result = cover_file_read(files, cover, next, NULL);
    if (result || (result = step_done(files, 4)))
        goto out;
    /* From here the new generation is the one on disk. If the wipe below fails, the next change
     * writes its own epoch key over the old slot, and leaves this one standing until it is sure. */
    files->generation = next;
    result = slot_wipe(files, (unsigned)((next - 1) % SLOTS));
    if (result || (result = step_done(files, 5)))
        goto out;
    result = covers_tidy(files, next);
    reserve_make(files, cover_most(cover));
    if (!result)
        result = step_done(files, 6);
out:
    sodium_memzero(fresh, sizeof(fresh));
    return result;
}

/* ---- opening ---- */

/* ext3 and ext4 with data=journal write every block to the journal first, where it stays a while.
 */
static bool data_journalled(dev_t device)
{
    char line[4096], number[32];
    bool journalled = false;
    snprintf(number, sizeof(number), " %u:%u ", major(device), minor(device));
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    if (!mounts)
        return false;
    while (fgets(line, sizeof(line), mounts))
        if (strstr(line, number) && strstr(line, "data=journal"))
            journalled = true;
    fclose(mounts);
    return journalled;
}

static int folder_check(struct keyring_files *files, const char *path, bool any_file_system,
                        struct diag *diag)
{
    struct stat st;
    struct statfs fs;
    if (fstat(files->folder, &st) != 0 || fstatfs(files->folder, &fs) != 0) {
        diag_set(diag, path, 0, 0, "cannot look at the keyring folder");
        return SLUIS_ESYS;
    }
    if (st.st_uid != geteuid()) {
        diag_set(diag, path, 0, 0,
                 "keyring folder: belongs to uid %u and this is uid %u: run the command as its "
                 "owner (where systemd runs the gateway: /usr/lib/sluis/run COMMAND)",
                 (unsigned)st.st_uid, (unsigned)geteuid());
        return SLUIS_EDENIED;
    }
    if ((st.st_mode & 077) != 0) {
        diag_set(diag, path, 0, 0, "keyring folder: the mode must be 0700 (it is %04o)",
                 (unsigned)st.st_mode & 07777);
        return SLUIS_EDENIED;
    }
    /* overwriting in place must reach the old bytes: not so where writes are copied elsewhere */
    static const uint32_t refused[] = {BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, NILFS_SUPER_MAGIC,
                                       0x2fc12fc1 /* zfs */, 0xca451a4e /* bcachefs */};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]) && !any_file_system; i++) {
        if ((uint32_t)fs.f_type == refused[i]) {
            diag_set(diag, path, 0, 0,
                     "keyring folder is on a copy-on-write file system: "
                     "overwritten keys would stay on the disk");
            return SLUIS_EDENIED;
        }
    }
    if (!any_file_system && data_journalled(st.st_dev)) {
        diag_set(diag, path, 0, 0,
                 "keyring folder is on a file system that journals data: "
                 "overwritten keys would stay in the journal");
        return SLUIS_EDENIED;
    }
    return 0;
}

/* A new keyring: slots preallocated, then generation 1. */
static int files_make(struct keyring_files *files, struct cover *cover,
                      const struct files_seed *seed)
{
    uint8_t zero[SLOT_SIZE * SLOTS] = {0};
    if (seed)
        memcpy(files->installation, seed->installation, sizeof(files->installation));
    else
        randombytes_buf(files->installation, sizeof(files->installation));
    files->generation = seed ? seed->generation - 1 : 0;
    int result = pwrite_all(files->epoch, zero, sizeof(zero), 0);
    if (!result && (fsync(files->epoch) != 0 || fsync(files->folder) != 0))
        result = SLUIS_EIO;
    if (!result)
        result = seed ? cover_read(cover, seed->cover) : cover_make(cover, clock_wall_ms());
    return result ? result : files_commit(files, cover);
}

struct slot_seen {
    int result; /* of slot_read */
    uint64_t generation;
    uint8_t installation[KEYRING_INSTALLATION];
};

/* Takes the newest slot whose cover opens too. */
static int files_load(struct keyring_files *files, struct cover *cover, struct diag *diag,
                      const char *path)
{
    struct slot_seen seen[SLOTS];
    bool broken = false;
    for (unsigned i = 0; i < SLOTS; i++) {
        seen[i].result = slot_read(files, cover, i, &seen[i].generation, seen[i].installation);
        if (seen[i].result == SLUIS_EIO) {
            diag_set(diag, path, 0, 0, "cannot read the epoch slots");
            return SLUIS_EIO;
        }
        broken |= seen[i].result == SLUIS_ECRYPTO;
    }
    if (seen[0].result == SLUIS_ENOENT && seen[1].result == SLUIS_ENOENT)
        return SLUIS_ENOENT;
    unsigned first =
        !seen[0].result && (seen[1].result || seen[0].generation > seen[1].generation) ? 0 : 1;
    for (unsigned k = 0; k < SLOTS; k++) {
        unsigned i = k ? 1 - first : first;
        if (seen[i].result)
            continue;
        memcpy(files->installation, seen[i].installation, KEYRING_INSTALLATION);
        files->generation = seen[i].generation;
        int result = slot_read(files, cover, i, &seen[i].generation, seen[i].installation);
        if (!result)
            result = cover_file_read(files, cover, files->generation, cover);
        /* only a change that was cut off may fall back; trouble with the disk may not */
        if (result && result != SLUIS_ECRYPTO && result != SLUIS_ENOENT) {
            diag_set(diag, path, 0, 0, "cannot read the cover file");
            return result;
        }
        if (!result) {
            /* the other slot is the change that was not finished, or the one not begun */
            if (seen[1 - i].result != SLUIS_ENOENT)
                result = slot_wipe(files, 1 - i);
            return result ? result : covers_tidy(files, files->generation);
        }
        broken = true;
        LOG(LOG_ALARM, "keyring", "cover_unreadable", log_u64("generation", files->generation));
    }
    diag_set(diag, path, 0, 0,
             broken ? "the keyring does not open: wrong root key, or its files are damaged"
                    : "the cover file of this keyring is missing");
    return SLUIS_ECRYPTO;
}

/* A cover of a later generation without a slot: the epoch file is torn or lost, not unmade. */
static bool covers_stand(const struct keyring_files *files)
{
    bool stand = false;
    int fd = openat(files->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    for (struct dirent *entry; (entry = readdir(dir));)
        stand |= strncmp(entry->d_name, "cover.", 6) == 0 && strcmp(entry->d_name, "cover.1") != 0;
    closedir(dir);
    return stand;
}

int files_open(struct keyring_files *files, const struct keyring_config *config, bool make,
               const struct files_seed *seed, struct cover *cover, struct diag *diag)
{
    struct stat st;
    const char *path = config->path;
    files->folder = files->epoch = -1;
    if (make && mkdir(path, 0700) != 0 && errno != EEXIST) {
        diag_set(diag, path, 0, 0, "cannot make the keyring folder: %s", strerror(errno));
        return SLUIS_ESYS;
    }
    files->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (files->folder < 0) {
        diag_set(diag, path, 0, 0, "cannot open the keyring folder: %s", strerror(errno));
        return errno == ENOENT ? SLUIS_ENOENT : SLUIS_ESYS;
    }
    int result = folder_check(files, path, config->any_file_system, diag);
    if (result)
        goto out;
    files->epoch = openat(files->folder, "epoch",
                          O_RDWR | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0), 0600);
    if (files->epoch < 0 || fstat(files->epoch, &st) != 0) {
        diag_set(diag, path, 0, 0, "no keyring here: %s (sluis keys init makes one)",
                 strerror(errno));
        result = errno == ENOENT ? SLUIS_ENOENT : SLUIS_ESYS;
        goto out;
    }
    /* one process at a time; the lock goes with the descriptor */
    if (flock(files->epoch, LOCK_EX | LOCK_NB) != 0) {
        diag_set(diag, path, 0, 0, "the keyring is in use by another process");
        result = SLUIS_EEXIST;
        goto out;
    }
    result = st.st_size < SLOT_SIZE * SLOTS ? SLUIS_ENOENT : files_load(files, cover, diag, path);
    if (result == SLUIS_ENOENT && covers_stand(files)) {
        diag_set(
            diag, path, 0, 0,
            "the epoch file is torn or empty, though the keyring was used: put a backup of the "
            "keyring in place in an empty folder (sluis restore)");
        result = SLUIS_ECRYPTO;
    } else if (seed && result != SLUIS_ENOENT) {
        diag_set(diag, path, 0, 0, "there is a keyring here already");
        result = SLUIS_EEXIST;
    } else if (result == SLUIS_ENOENT && !make) {
        diag_set(diag, path, 0, 0, "the keyring was never made (sluis keys init makes one)");
    } else if (result == SLUIS_ENOENT) {
        result = files_make(files, cover, seed);
        if (result)
            diag_set(diag, path, 0, 0, "cannot make the keyring");
    }
    if (!result)
        reserve_make(files, cover_most(cover));
out:
    if (result)
        files_close(files);
    return result;
}

void files_close(struct keyring_files *files)
{
    if (files->epoch >= 0)
        close(files->epoch);
    if (files->folder >= 0)
        close(files->folder);
    files->folder = files->epoch = -1;
}

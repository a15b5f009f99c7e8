/*
 * How full the store is. Pages in use are what the file has reached less what LMDB's free list
 * holds; the capacity is the map, or what the disk can still give when that is less.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "sluis/base/clock.h"
#include "sluis/base/log.h"

#define INTAKE_MARK_PERCENT 90
#define NORMAL_MARK_PERCENT 95
/* Below this a failed write is taken for a full disk: one commit writes less. */
#define DISK_LEAST_BYTES (4u * 1024 * 1024)
/* The free list is counted at most this often; oftener when space runs short. */
#define COUNT_EVERY_MS 1000
#define COUNT_SHORT_MS 20
#define SHORT_PERCENT 80

/* Bytes that may still be taken from the disk; UINT64_MAX when it does not say. */
static uint64_t disk_left(struct store *store)
{
    struct statvfs vfs;

    if (fstatvfs(store->folder_fd, &vfs) != 0)
        return UINT64_MAX;
    /* Root may use the reserve. */
    uint64_t blocks = geteuid() == 0 ? vfs.f_bfree : vfs.f_bavail;
    return blocks * vfs.f_frsize;
}

bool space_disk_full(struct store *store)
{
    return disk_left(store) < DISK_LEAST_BYTES;
}

/* Sums the free list: each row begins with the number of its pages. */
static uint64_t count_free(struct store *store)
{
    MDB_cursor *cursor;
    MDB_txn *txn;
    MDB_val key, value;
    uint64_t pages = 0;

    if (mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn) != 0)
        return store->free_pages;
    if (mdb_cursor_open(txn, 0, &cursor) == 0) {
        while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
            size_t n = 0;
            if (value.mv_size >= sizeof(n))
                memcpy(&n, value.mv_data, sizeof(n));
            pages += n;
        }
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return pages;
}

void space_measure(struct store *store, bool exact)
{
    MDB_envinfo info = {0};
    MDB_stat stat = {0};
    struct stat st;

    if (mdb_env_info(store->env, &info) != 0 || mdb_env_stat(store->env, &stat) != 0)
        return;
    uint64_t reached = (info.me_last_pgno + 1) * stat.ms_psize;
    uint64_t capacity = atomic_load(&store->capacity);
    bool is_short = reached > capacity / 100 * SHORT_PERCENT;
    int64_t now = clock_mono_ms();
    if (exact || now - store->space_ms >= (is_short ? COUNT_SHORT_MS : COUNT_EVERY_MS)) {
        mdb_filehandle_t fd;
        uint64_t left = disk_left(store);
        capacity = store->config.map_size;
        if (mdb_env_get_fd(store->env, &fd) == 0 && fstat(fd, &st) == 0) {
            uint64_t held = (uint64_t)st.st_blocks * 512;
            if (left < capacity && held + left < capacity)
                capacity = held + left;
        }
        store->free_pages = count_free(store);
        store->space_ms = now;
        atomic_store(&store->capacity, capacity);
    }
    uint64_t unused = store->free_pages * stat.ms_psize;
    atomic_store(&store->bytes_used, reached > unused ? reached - unused : 0);
}

bool space_allows(struct store *store, enum store_priority priority)
{
    uint64_t percent = priority == STORE_INTAKE ? INTAKE_MARK_PERCENT : NORMAL_MARK_PERCENT;
    return priority == STORE_PURGE ||
           atomic_load(&store->bytes_used) / percent < atomic_load(&store->capacity) / 100;
}

int space_preallocate(struct store *store, struct diag *diag)
{
    mdb_filehandle_t fd;
    struct stat st;

    if (store->config.preallocate == 0 || mdb_env_get_fd(store->env, &fd) != 0 ||
        fstat(fd, &st) != 0)
        return 0;
    if (st.st_size >= (off_t)store->config.preallocate &&
        (uint64_t)st.st_blocks * 512 >= store->config.preallocate)
        return 0; /* done by an earlier opening */
    /* Not posix_fallocate, which writes a byte to each block where the file system cannot do it.
     * LMDB takes its length from the meta pages, so a longer file is nothing to it. */
    if (fallocate(fd, 0, 0, (off_t)store->config.preallocate) == 0)
        return fsync(fd) == 0 ? 0 : SLUIS_EIO;
    if (errno == EOPNOTSUPP || errno == ENOSYS) {
        LOG(LOG_WARN, "store", "not_preallocated", log_errno());
        return 0;
    }
    int rc = errno == ENOSPC ? SLUIS_EFULL : SLUIS_EIO;
    struct statvfs disk = {.f_bavail = 0};
    if (ftruncate(fd, st.st_size) !=
        0) /* what was taken of it is given back before it is counted */
        LOG(LOG_WARN, "store", "not_cut_back", log_errno());
    if (rc == SLUIS_EFULL && fstatvfs(fd, &disk) == 0)
        diag_set(diag, store->path, 0, 0,
                 "the disk has no room for the store's size: store.size is %llu MiB, %llu MiB are "
                 "free",
                 (unsigned long long)(store->config.preallocate >> 20),
                 (unsigned long long)disk.f_bavail * disk.f_frsize >> 20);
    else
        diag_set(diag, store->path, 0, 0, "the store's file cannot be preallocated");
    return rc;
}

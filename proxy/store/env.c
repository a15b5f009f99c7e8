#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sluis/base/encode.h"
#include "sluis/base/log.h"

#define LOCK_FILE "store.lock"
#define DATA_FILE "data.mdb"
#define FOLDER_MODE 0700
#define FILE_MODE 0600

int env_error(int rc)
{
    switch (rc) {
    case MDB_SUCCESS:
        return 0;
    case MDB_NOTFOUND:
        return SLUIS_ENOENT;
    case MDB_KEYEXIST:
        return SLUIS_EEXIST;
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
        return SLUIS_EFULL;
    case MDB_READERS_FULL:
    case MDB_TXN_FULL:
        return SLUIS_ELIMIT;
    case MDB_BAD_VALSIZE:
        return SLUIS_EINVAL;
    case ENOMEM:
        return SLUIS_ENOMEM;
    default:
        return SLUIS_EIO;
    }
}

/* mdb_strerror knows errno too. */
static int lmdb_diag(const struct store *store, struct diag *diag, const char *what, int rc)
{
    diag_set(diag, store->path, 0, 0, "%s: %s", what, mdb_strerror(rc));
    return env_error(rc);
}

static int errno_diag(const struct store *store, struct diag *diag, const char *what)
{
    int saved = errno;
    (void)lmdb_diag(store, diag, what, saved);
    return saved == ENOSPC ? SLUIS_EFULL : SLUIS_ESYS;
}

/* The entry of `path` in its parent must be on disk before anything in it is acknowledged. */
static int sync_parent(const char *path)
{
    char *parent = strdup(path);
    if (!parent)
        return SLUIS_ENOMEM;
    size_t n = strlen(parent);
    while (n > 1 && parent[n - 1] == '/')
        parent[--n] = '\0';
    char *slash = strrchr(parent, '/');
    const char *name = ".";
    if (slash == parent)
        name = "/";
    else if (slash) {
        *slash = '\0';
        name = parent;
    }
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 && fsync(fd) == 0 ? 0 : SLUIS_ESYS;
    if (fd >= 0)
        (void)close(fd);
    free(parent);
    return rc;
}

/* One process only: LMDB would allow a second, whose readers would keep pages alive and whose
 * writer would not know our counters. */
static int take_lock(struct store *store, struct diag *diag)
{
    store->lock_fd =
        openat(store->folder_fd, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (store->lock_fd < 0)
        return errno_diag(store, diag, "the store's lock file cannot be opened for writing");
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK) {
        diag_set(diag, store->path, 0, 0,
                 "another process has this store open; only one may (is sluis running?)");
        return SLUIS_EEXIST;
    }
    return errno_diag(store, diag, "the store's lock cannot be taken");
}

int env_open_folder(struct store *store, struct diag *diag)
{
    struct stat st;

    if (mkdir(store->path, FOLDER_MODE) == 0) {
        if (sync_parent(store->path) != 0)
            return errno_diag(store, diag, "the folder above the store cannot be synced");
    } else if (errno != EEXIST) {
        return errno_diag(store, diag, "the store's folder cannot be made");
    }
    store->folder_fd = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->folder_fd < 0 || fstat(store->folder_fd, &st) != 0)
        return errno_diag(store, diag, "the store's folder cannot be opened");
    if (st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
        diag_set(diag, store->path, 0, 0,
                 "the store's folder must belong to the user sluis runs as, with mode 0700");
        return SLUIS_EDENIED;
    }
    return take_lock(store, diag);
}

void env_close_folder(struct store *store)
{
    if (store->lock_fd >= 0)
        (void)close(store->lock_fd);
    if (store->folder_fd >= 0)
        (void)close(store->folder_fd);
    store->lock_fd = store->folder_fd = -1;
}

static int meta_u64(struct store *store, MDB_txn *txn, const char *name, uint64_t *out)
{
    MDB_val key = val_of(name, strlen(name));
    MDB_val value;
    int rc = mdb_get(txn, store->dbi[DB_META], &key, &value);
    if (rc)
        return rc;
    if (value.mv_size != 8)
        return MDB_CORRUPTED;
    *out = be64_get(value.mv_data);
    return 0;
}

static int meta_put_u64(struct store *store, MDB_txn *txn, const char *name, uint64_t v)
{
    uint8_t bytes[8];
    be64_put(bytes, v);
    MDB_val key = val_of(name, strlen(name));
    MDB_val value = val_of(bytes, sizeof(bytes));
    return mdb_put(txn, store->dbi[DB_META], &key, &value, 0);
}

/* Opens or makes every database; class databases only those that exist. */
static int open_databases(struct store *store, MDB_txn *txn, unsigned flags)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < DB_COUNT; i++)
        rc = mdb_dbi_open(txn, layout_db_name(i), flags, &store->dbi[i]);
    for (uint16_t cls = 1; !rc && cls <= STORE_CLASSES_MAX; cls++) {
        char name[LAYOUT_CLASS_NAME_SIZE];
        MDB_dbi dbi = 0;
        layout_class_name(cls, name);
        rc = mdb_dbi_open(txn, name, 0, &dbi);
        if (rc == MDB_NOTFOUND)
            rc = 0;
        atomic_store(&store->class_dbi[cls], dbi);
    }
    return rc;
}

static int last_key(MDB_txn *txn, MDB_dbi dbi, uint64_t *out, MDB_val *value)
{
    MDB_cursor *cursor;
    MDB_val key;
    int rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc)
        return rc;
    rc = mdb_cursor_get(cursor, &key, value, MDB_LAST);
    if (!rc && key.mv_size != 8)
        rc = MDB_CORRUPTED;
    if (!rc)
        *out = be64_get(key.mv_data);
    mdb_cursor_close(cursor);
    return rc;
}

static int load_format(struct store *store, MDB_txn *txn, struct diag *diag)
{
    uint64_t format = 0;
    int rc = meta_u64(store, txn, META_FORMAT, &format);
    if (rc == MDB_NOTFOUND)
        return meta_put_u64(store, txn, META_FORMAT, LAYOUT_FORMAT);
    if (!rc && format != LAYOUT_FORMAT) {
        diag_set(diag, store->path, 0, 0, "the store has format %llu, this version reads %d",
                 (unsigned long long)format, LAYOUT_FORMAT);
        return MDB_VERSION_MISMATCH;
    }
    return rc;
}

static void raise_to(_Atomic uint64_t *counter, uint64_t least)
{
    uint64_t now = atomic_load(counter);
    while (now < least && !atomic_compare_exchange_weak(counter, &now, least))
        ;
}

/* Counters go on where the last reserved range ended, so that nothing that a crash may have left
 * somewhere is ever given out again. Serials start at 1: 0 means none. */
static int load_counters(struct store *store, MDB_txn *txn)
{
    uint64_t serial = 1, subject = 1, row = 0;
    MDB_val value;

    int rc = meta_u64(store, txn, META_SERIAL, &serial);
    if (!rc || rc == MDB_NOTFOUND)
        rc = meta_u64(store, txn, META_SUBJECT, &subject);
    if (rc && rc != MDB_NOTFOUND)
        return rc;
    /* Reopened after a failure: what was given out since must not come back either. */
    raise_to(&store->next_serial, serial);
    raise_to(&store->next_subject, subject);
    atomic_store(&store->reserved_serial, serial);
    atomic_store(&store->reserved_subject, subject);

    rc = last_key(txn, store->dbi[DB_JOURNAL], &row, &value);
    if (rc && rc != MDB_NOTFOUND)
        return rc;
    /* How many items the last block holds is sealed: pass over as many as can be in one. */
    store->next_order = rc ? 1 : row + COMMIT_ITEMS_MAX;
    rc = last_key(txn, store->dbi[DB_LEAF_HASH], &row, &value);
    if (rc && rc != MDB_NOTFOUND)
        return rc;
    uint64_t leaves = rc ? 0 : row * LEAF_HASHES_PER_ROW + value.mv_size / LEAF_HASH_BYTES;
    atomic_store(&store->log_size, leaves);
    return 0;
}

static int env_load(struct store *store, struct diag *diag)
{
    MDB_txn *txn = NULL;

    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (rc)
        return lmdb_diag(store, diag, "the store cannot be written", rc);
    rc = open_databases(store, txn, MDB_CREATE);
    if (!rc)
        rc = load_format(store, txn, diag);
    if (rc == MDB_VERSION_MISMATCH) {
        mdb_txn_abort(txn);
        return SLUIS_EINVAL;
    }
    if (!rc)
        rc = load_counters(store, txn);
    if (!rc)
        rc = names_load(store, txn);
    if (!rc)
        rc = recent_load(store, txn);
    if (rc) {
        mdb_txn_abort(txn);
        return lmdb_diag(store, diag, "the store cannot be read", rc);
    }
    rc = mdb_txn_commit(txn);
    if (rc)
        return lmdb_diag(store, diag, "the store cannot be written", rc);
    return 0;
}

/* Reading past the end of a mapped file kills the process. LMDB may leave its last pages unwritten
 * when nothing refers to them, so a short file is no error in itself: it is made as long as LMDB
 * counts, and a page that ought to have had content is then found to be no page (MDB_CORRUPTED). */
static int fit_length(struct store *store)
{
    mdb_filehandle_t fd;
    MDB_envinfo info;
    MDB_stat stat;
    struct stat st;

    int rc = mdb_env_info(store->env, &info);
    if (!rc)
        rc = mdb_env_stat(store->env, &stat);
    if (!rc)
        rc = mdb_env_get_fd(store->env, &fd);
    if (rc)
        return rc;
    off_t want = (off_t)((info.me_last_pgno + 1) * stat.ms_psize);
    if (fstat(fd, &st) != 0 || (st.st_size < want && ftruncate(fd, want) != 0))
        return errno;
    return 0;
}

/* LMDB makes its file without a sync, so that a power failure in the very first opening can leave
 * one that it refuses ever after. The lock file says when an opening has once come to its end;
 * before that nothing has been acknowledged, and a small unreadable file may be made anew. */
#define FINISHED "ready\n"
#define UNFINISHED_MAX (256 * 1024)

static bool was_finished(const struct store *store)
{
    struct stat st;
    return fstat(store->lock_fd, &st) != 0 || st.st_size > 0;
}

static int set_finished(struct store *store)
{
    if (was_finished(store))
        return 0;
    if (pwrite(store->lock_fd, FINISHED, strlen(FINISHED), 0) != (ssize_t)strlen(FINISHED) ||
        fsync(store->lock_fd) != 0)
        return SLUIS_EIO;
    return 0;
}

static bool remove_unfinished(struct store *store)
{
    struct stat st;

    if (was_finished(store) || fstatat(store->folder_fd, DATA_FILE, &st, 0) != 0 ||
        !S_ISREG(st.st_mode) || st.st_size > UNFINISHED_MAX)
        return false;
    LOG(LOG_WARN, "store", "unfinished_removed", log_u64("bytes", (uint64_t)st.st_size));
    return unlinkat(store->folder_fd, DATA_FILE, 0) == 0;
}

/* LMDB found a page that contradicts itself and would abort. Nothing can be done with the
 * environment any more, by any thread: said clearly, and over. What was acknowledged is on the disk
 * as it was. `text` names a place in LMDB's source, nothing of ours. */
static void on_broken_page(MDB_env *env, const char *text)
{
    (void)env;
    LOG(LOG_ALARM, "store", "page_damaged", log_word("lmdb", text),
        log_word("advice", "sluis restore: the file is damaged"));
    _exit(STORE_DAMAGED_EXIT);
}

/* An LMDB code; no environment is left behind on failure. */
static int open_environment(struct store *store)
{
    /* MDB_NOMEMINIT stays off: unused parts of pages would carry heap memory to the disk. */
    unsigned flags = MDB_NOTLS | (store->config.no_sync ? MDB_NOSYNC : 0);

    int rc = mdb_env_create(&store->env);
    if (rc) {
        store->env = NULL;
        return rc;
    }
    (void)mdb_env_set_assert(store->env, on_broken_page);
    rc = mdb_env_set_maxdbs(store->env, DB_COUNT + STORE_CLASSES_MAX + 1);
    if (!rc)
        rc = mdb_env_set_maxreaders(store->env, READERS_MAX + 2);
    if (!rc)
        rc = mdb_env_set_mapsize(store->env, store->config.map_size);
    if (!rc)
        rc = mdb_env_open(store->env, store->path, flags, FILE_MODE);
    if (!rc)
        rc = fit_length(store);
    if (rc)
        env_close(store);
    return rc;
}

int env_open(struct store *store, struct diag *diag)
{
    int rc = open_environment(store);
    if ((rc == MDB_INVALID || rc == MDB_CORRUPTED) && remove_unfinished(store))
        rc = open_environment(store);
    if (rc)
        return lmdb_diag(store, diag, "the store cannot be opened", rc);
    rc = env_load(store, diag);
    if (!rc)
        rc = space_preallocate(store, diag);
    if (!rc && fsync(store->folder_fd) != 0)
        rc = errno_diag(store, diag, "the store's folder cannot be synced");
    if (!rc)
        rc = set_finished(store);
    if (rc) {
        env_close(store);
        return rc;
    }
    store->space_ms = 0;
    if (!store->acked_txnid)
        store->acked_txnid = txn_last_id(store);
    space_measure(store, true);
    return 0;
}

/* The pages that the copy says it has must be there: reading past the end kills the process. */
static int copy_is_whole(struct store *store)
{
    mdb_filehandle_t fd;
    MDB_envinfo info;
    MDB_stat stat;
    struct stat st;

    int rc = mdb_env_info(store->env, &info);
    if (!rc)
        rc = mdb_env_stat(store->env, &stat);
    if (!rc)
        rc = mdb_env_get_fd(store->env, &fd);
    if (!rc && fstat(fd, &st) != 0)
        rc = errno;
    if (rc)
        return rc;
    return (uint64_t)st.st_size < (info.me_last_pgno + 1) * stat.ms_psize ? MDB_CORRUPTED : 0;
}

static int copy_load(struct store *store)
{
    MDB_txn *txn = NULL;
    uint64_t format = 0;

    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc)
        return rc;
    rc = open_databases(store, txn, 0);
    if (!rc)
        rc = meta_u64(store, txn, META_FORMAT, &format);
    if (!rc && format != LAYOUT_FORMAT)
        rc = MDB_VERSION_MISMATCH;
    if (!rc)
        rc = load_counters(store, txn);
    if (!rc)
        rc = names_load(store, txn);
    if (!rc)
        rc = recent_load(store, txn);
    if (rc) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn); /* keeps the handles */
}

int env_open_copy(struct store *store, struct diag *diag)
{
    int rc = mdb_env_create(&store->env);
    if (rc) {
        store->env = NULL;
        return lmdb_diag(store, diag, "the copy cannot be opened", rc);
    }
    (void)mdb_env_set_assert(store->env, on_broken_page);
    rc = mdb_env_set_maxdbs(store->env, DB_COUNT + STORE_CLASSES_MAX + 1);
    if (!rc)
        rc = mdb_env_set_mapsize(store->env, store->config.map_size);
    if (!rc)
        rc = mdb_env_open(store->env, store->path, MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, FILE_MODE);
    if (!rc)
        rc = copy_is_whole(store);
    if (!rc)
        rc = copy_load(store);
    return rc ? lmdb_diag(store, diag, "the copy cannot be opened", rc) : 0;
}

void env_close(struct store *store)
{
    if (store->env)
        mdb_env_close(store->env);
    store->env = NULL;
}

/*
 * What a failed write means. LMDB reports a full disk as EIO when a write came out short, and after
 * a failed write of a meta page every call, reading too, returns MDB_PANIC until the environment is
 * opened again. So: full (statvfs says so, or the map is) is waited out, an attempt each second;
 * anything else is broken: readers are let out, the environment is closed and opened, and the last
 * commit that was answered for must be there. Twice within a minute, or an opening that fails:
 * sealed, for a person to look at.
 */
#include "internal.h"

#include <errno.h>

#include "sluis/base/clock.h"
#include "sluis/base/log.h"

#define SEAL_WITHIN_MS 60000
#define DRAIN_MS 5000 /* readers hold a transaction for a page of results, never longer */

enum failure recover_kind(struct store *store, int rc)
{
    switch (rc) {
    case 0:
    case ENOMEM:
    case MDB_KEYEXIST:
    case MDB_BAD_VALSIZE:
    case MDB_TXN_FULL:
    case MDB_READERS_FULL:
    case MDB_DBS_FULL:
        return FAILURE_JOB;
    case ENOSPC:
    case EDQUOT:
    case MDB_MAP_FULL:
        return FAILURE_FULL;
    case EIO:
        return space_disk_full(store) ? FAILURE_FULL : FAILURE_BROKEN;
    default:
        return FAILURE_BROKEN;
    }
}

int recover_refusal(struct store *store, enum store_priority priority)
{
    enum store_state state = (enum store_state)atomic_load(&store->state);

    if (state == STORE_SEALED)
        return SLUIS_ESEALED;
    if (state == STORE_FULL && (priority != STORE_PURGE || !store->env))
        return SLUIS_EFULL;
    if (state == STORE_BROKEN || !store->env)
        return SLUIS_EIO;
    return space_allows(store, priority) ? 0 : SLUIS_EFULL;
}

static void seal(struct store *store, const char *reason)
{
    atomic_store(&store->state, STORE_SEALED);
    pthread_mutex_lock(&store->read_lock);
    store->reads_closed = true;
    pthread_mutex_unlock(&store->read_lock);
    LOG(LOG_ALARM, "store", "sealed", log_word("reason", reason),
        log_u64("commits", atomic_load(&store->commits)));
}

/* True when LMDB refuses to go on with this environment. */
static bool panics(struct store *store)
{
    MDB_txn *txn;

    if (!store->env)
        return true;
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0)
        mdb_txn_abort(txn);
    return rc == MDB_PANIC;
}

/* A real commit of one small row: proof that the disk takes writes. */
static int attempt(struct store *store)
{
    struct store_txn *txn = &store->txn;

    int rc = txn_begin(txn);
    if (rc)
        return rc;
    txn_touch(txn);
    rc = txn->failure;
    if (rc)
        txn_abort(txn);
    return rc ? rc : txn_commit(txn);
}

/* Closes and opens. 0, an error of opening, SLUIS_ETIMEOUT (a reader does not end) or SLUIS_ENOENT
 * (an answered commit is gone). */
static int reopen(struct store *store)
{
    struct diag diag = {0};
    size_t acked = store->acked_txnid;

    int rc = reads_close(store, DRAIN_MS);
    if (rc)
        return rc;
    for (unsigned i = 0; i <= STORE_CLASSES_MAX; i++)
        store->txn.ends[i].known = false;
    env_close(store);
    rc = env_open(store, &diag);
    if (rc)
        return rc;
    if (txn_last_id(store) < acked)
        return SLUIS_ENOENT;
    return 0;
}

static void set_full(struct store *store)
{
    if (atomic_exchange(&store->state, STORE_FULL) != STORE_FULL)
        LOG(LOG_ALARM, "store", "full", log_u64("used", atomic_load(&store->bytes_used)),
            log_u64("capacity", atomic_load(&store->capacity)));
    store->retry_ms = clock_mono_ms() + FULL_RETRY_MS;
}

static void set_ready(struct store *store)
{
    reads_open(store);
    space_measure(store, true);
    if (atomic_exchange(&store->state, STORE_READY) != STORE_READY)
        LOG(LOG_INFO, "store", "ready", log_u64("txn", store->acked_txnid));
}

void recover_mark(struct store *store, enum failure kind)
{
    if (atomic_load(&store->state) == STORE_SEALED || kind == FAILURE_JOB)
        return;
    if (kind == FAILURE_FULL)
        set_full(store);
    else
        atomic_store(&store->state, STORE_BROKEN);
}

static void on_broken(struct store *store)
{
    int64_t now = clock_mono_ms();
    bool again = store->was_broken && now - store->broken_ms < SEAL_WITHIN_MS;

    store->was_broken = true;
    store->broken_ms = now;
    if (again) {
        seal(store, "second_failure");
        return;
    }
    atomic_store(&store->state, STORE_BROKEN);
    LOG(LOG_ALARM, "store", "broken", log_u64("txn", store->acked_txnid));
    int rc = reopen(store);
    if (rc) {
        seal(store, rc == SLUIS_ENOENT ? "acknowledged_gone" : "reopen_failed");
        return;
    }
    rc = attempt(store);
    enum failure kind = recover_kind(store, rc);
    if (rc == 0)
        set_ready(store);
    else if (kind == FAILURE_FULL)
        set_full(store);
    else
        seal(store, "write_failed");
}

static void on_full(struct store *store)
{
    set_full(store);
    if (store->env)
        space_measure(store, true);
    if (!panics(store)) {
        reads_open(store);
        return;
    }
    int rc = reopen(store);
    if (rc == 0)
        reads_open(store);
    else if (rc != SLUIS_EFULL)
        seal(store, rc == SLUIS_ENOENT ? "acknowledged_gone" : "reopen_failed");
}

void recover_after(struct store *store, enum failure kind)
{
    if (atomic_load(&store->state) == STORE_SEALED || kind == FAILURE_JOB)
        return;
    if (kind == FAILURE_BROKEN)
        on_broken(store);
    else
        on_full(store);
}

void recover_retry(struct store *store)
{
    if (atomic_load(&store->state) != STORE_FULL || clock_mono_ms() < store->retry_ms)
        return;
    store->retry_ms = clock_mono_ms() + FULL_RETRY_MS;
    if (!store->env && reopen(store) != 0)
        return;
    int rc = attempt(store);
    if (rc == 0)
        set_ready(store);
    else
        recover_after(store, recover_kind(store, rc));
}

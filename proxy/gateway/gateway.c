/* Start, signals, stop. */
#include "internal.h"

#include "sluis/base/clock.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SETTLE_ROUNDS 1000 /* every mail leads to a few others at most */
#define FILES_WANTED 65536 /* connections, both ways */
#define STOP_LOOK_MS 20
#define STOP_DELIVER_LEAST_MS 200 /* to write outcomes, however late it is */

/* No core dumps, no reading by other processes of the same user, as many descriptors as allowed.
 * False when keys and messages could come to stand in a core file. */
static bool harden(void)
{
    struct rlimit none = {0, 0}, files;
    if (prctl(PR_SET_DUMPABLE, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
        return false;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < FILES_WANTED) {
        files.rlim_cur = files.rlim_max < FILES_WANTED ? files.rlim_max : FILES_WANTED;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    return true;
}

static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    pthread_sigmask(SIG_BLOCK, set, NULL); /* threads started later inherit it */
}

/* Before anything is read or written: the store must be this keyring's, and not a later one's. */
static int bind_ledger(struct gateway *gw, struct diag *diag)
{
    struct diag why = {.text = ""};
    int r = keyring_bind(gw->keyring, gw->store, gw->options->accept_older_keyring, &why);
    if (r == SLUIS_EDENIED)
        diag_set(diag, NULL, 0, 0,
                 "%s; to go on with it all the same: sluis serve --accept-older-keyring", why.text);
    else if (r != 0)
        diag_set(diag, NULL, 0, 0, "%s", why.text[0] ? why.text : error_word(r));
    return r;
}

/* A keyring that served before and a store without one leaf: most likely a disk that is not
 * mounted. To go on would forget what waits for delivery, and begin the access log anew. */
static int check_not_empty(struct gateway *gw, const char *path, bool empty, struct diag *diag)
{
    struct keyring_status keys;
    keyring_status(gw->keyring, &keys);
    if (!empty || keys.generation <= 1)
        return 0;
    if (gw->options->accept_empty_store) {
        LOG(LOG_ALARM, "gateway", "empty_store_accepted", log_word("path", path));
        return 0;
    }
    diag_set(diag, path, 0, 0,
             "the store is empty, but its keyring was in use (generation %llu): is its disk "
             "mounted? What was stored comes back with `sluis restore`; to begin with nothing: "
             "sluis serve --accept-empty-store",
             (unsigned long long)keys.generation);
    return SLUIS_EDENIED;
}

/* Before it is opened: preallocating would fill the disk that is there instead. */
static bool no_database(const struct config *config)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/data.mdb", config->store_path);
    return n > 0 && (size_t)n < sizeof(path) && access(path, F_OK) != 0 && errno == ENOENT;
}

static int open_ledger(struct gateway *gw, const struct config *config, struct diag *diag)
{
    const struct keyring_config keys = {.path = config->keys_path,
                                        .root_file = config->keys_root_file};
    int r =
        keys.root_file ? keyring_open(&keys, &gw->keyring, diag) : sealed_wait(gw, config, diag);
    if (r == 0 && (r = block_seal_open(&gw->seal, gw->keyring)) != 0)
        diag_set(diag, NULL, 0, 0, "keyring: %s", error_word(r));
    if (r != 0)
        return r;
    const struct store_config store = {.path = config->store_path,
                                       .map_size = config->store_size,
                                       .preallocate =
                                           config->store_preallocate ? config->store_size : 0,
                                       .seal = block_seal_put,
                                       .open = block_seal_get,
                                       .seal_ctx = &gw->seal};
    struct store_status status = {.log_size = 0};
    r = check_not_empty(gw, config->store_path, no_database(config), diag);
    if (r == 0 && (r = store_open(&store, &gw->store, diag)) == 0) {
        store_status(gw->store, &status);
        r = check_not_empty(gw, config->store_path, status.log_size == 0, diag);
    }
    if (r == 0)
        r = bind_ledger(gw, diag);
    return r ? r : ledger_log_open(gw, config, diag);
}

static int open_loops(struct gateway *gw, const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = config->threads ? config->threads : cores > 0 ? (unsigned)cores : 1;
    gw->loop_count = n > GATEWAY_THREADS_MAX ? GATEWAY_THREADS_MAX : n;
    int r = 0;
    for (unsigned i = 0; r == 0 && i < gw->loop_count; i++)
        r = loop_new(&gw->loops[i], i);
    if (r == 0)
        r = loop_new(&gw->admin_loop, gw->loop_count);
    return r ? r : loop_new(&gw->media_loop, gw->loop_count + 1);
}

static int record(struct gateway *gw, enum audit_action action, const char *outcome)
{
    struct config *config = config_acquire(gw->cell);
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = action,
                                      .actor = "gateway",
                                      .claimed = "sluis-" SLUIS_VERSION,
                                      .config_hash = config->hash,
                                      .outcome = outcome};
    int r = admin_record(gw->store, &event);
    config_unref(config);
    return r;
}

static int start_loops(struct gateway *gw)
{
    int r = 0;
    for (unsigned i = 0; r == 0 && i < gw->loop_count; i++)
        r = loop_start(gw->loops[i]);
    if (r == 0)
        r = loop_start(gw->admin_loop);
    if (r == 0)
        r = loop_start(gw->media_loop);
    gw->loops_started = r == 0;
    return r;
}

static int say(struct diag *diag, const char *what, int r)
{
    if (r != 0 && !diag->text[0])
        diag_set(diag, NULL, 0, 0, "%s: %s", what, error_word(r));
    return r;
}

static int start(struct gateway *gw, struct diag *diag)
{
    struct config *config = NULL;
    int r = config_load(gw->config_file, &config, diag);
    if (r != 0)
        return r;
    log_configure(config->log_level, config->log_form, STDERR_FILENO);
    r = open_ledger(gw, config, diag);
    if (r == 0)
        r = reload_prepare(gw, config, diag);
    if (r == 0)
        r = say(diag, "persons and tokens", roles_open(gw));
    if (r == 0)
        r = say(diag, "versions of policies", versions_start(gw, config, diag));
    if (r == 0)
        r = say(diag, "the term of the access log", log_keep_set(gw, config));
    if (r == 0)
        r = say(diag, "configuration", config_cell_new(config, &gw->cell));
    if (r != 0) {
        config_unref(config);
        return r;
    }
    r = say(diag, "event loops", open_loops(gw, config));
    if (r == 0)
        r = say(diag, "reloads", reload_open(gw));
    if (r == 0)
        r = say(diag, "services", services_open(gw, config));
    if (r == 0)
        r = listen_open(gw, config, diag);
    if (r == 0)
        r = say(diag, "the access log",
                record_in_force(gw, config, AUDIT_START, "gateway",
                                audit_log_accepted(gw->log) ? "log_accepted" : "started"));
    if (r == 0)
        r = say(diag, "versions of policies", versions_in_force(gw, config));
    if (r == 0 && gw->unsealed)
        r = say(diag, "the access log", record(gw, AUDIT_KEYS, "unsealed"));
    if (r == 0)
        r = say(diag, "checkpoints", audit_log_start(gw->log));
    if (r == 0)
        r = say(diag, "the check of Meta's callback", meta_check_start(gw));
    if (r == 0)
        r = say(diag, "observing policies", observe_start(gw));
    if (r == 0)
        r = say(diag, "threads", reloads_start(gw->reloads));
    if (r == 0)
        r = say(diag, "threads", start_loops(gw));
    if (r == 0)
        r = say(diag, "the purge", purge_start(gw->purge));
    if (r == 0)
        r = say(diag, "statistics", stats_start(gw->stats));
    if (r == 0) {
        media_start(gw->media);
        deliver_start(gw->deliver);
    }
    return r;
}

static void join_loops(struct gateway *gw)
{
    /* Admin's first: a handler of its may stand and wait for what another loop tells it. */
    if (gw->admin_loop) {
        loop_stop(gw->admin_loop);
        loop_join(gw->admin_loop);
    }
    if (gw->media_loop) {
        loop_stop(gw->media_loop);
        loop_join(gw->media_loop);
    }
    for (unsigned i = 0; i < gw->loop_count; i++)
        if (gw->loops[i])
            loop_stop(gw->loops[i]);
    for (unsigned i = 0; i < gw->loop_count; i++)
        if (gw->loops[i])
            loop_join(gw->loops[i]);
}

static int nothing(struct store_txn *txn, struct store_job *job)
{
    (void)txn;
    (void)job;
    return 0;
}

/* Mail may be under way between the loops, the writer and back: all of it arrives before the rooms
 * that it is about are freed. */
static void settle_mail(struct gateway *gw)
{
    bool any = gw->store && gw->loops_started;
    for (unsigned round = 0; any && round < SETTLE_ROUNDS; round++) {
        struct store_job job = {.priority = STORE_PURGE, .run = nothing};
        any = loop_drain(gw->admin_loop);
        any = loop_drain(gw->media_loop) || any;
        for (unsigned i = 0; i < gw->loop_count; i++)
            any = loop_drain(gw->loops[i]) || any;
        if (store_submit_wait(gw->store, &job) == 0 && !any)
            for (unsigned i = 0; i < gw->loop_count; i++)
                any = loop_drain(gw->loops[i]) || any;
    }
}

/* Takes what was started down again, in reverse; also after a start that failed half-way. */
static void end(struct gateway *gw)
{
    reloads_stop(gw->reloads);
    purge_stop(gw->purge); /* it may wait for the loops */
    admin_stop(gw->admin);
    stats_stop(gw->stats);
    history_stop(gw->history); /* what it was asked is answered by mail to the loops */
    join_loops(gw);
    media_close(gw);
    settle_mail(gw);
    listen_close(gw);
    log_push_hurry(gw->log_push);
    audit_log_close(gw->log); /* a last checkpoint, over all that was written */
    gw->log = NULL;
    log_push_close(gw->log_push);
    if (gw->access)
        access_flush(gw->access, true);
    if (gw->store)
        store_close(gw->store); /* finishes jobs: their completions go to mailboxes */
    admin_free(gw->admin);
    stats_free(gw->stats);
    history_free(gw->history);
    purge_free(gw->purge);
    graph_free(gw->graph);
    webhook_free(gw->webhook);
    deliver_free(gw->deliver);
    media_free(gw->media);
    if (gw->check_timer)
        loop_timer_free(gw->check_timer);
    if (gw->observe_timer)
        loop_timer_free(gw->observe_timer);
    if (gw->checker)
        upstream_free(gw->checker);
    for (unsigned i = 0; i < gw->loop_count; i++)
        if (gw->loops[i])
            loop_free(gw->loops[i]);
    if (gw->admin_loop)
        loop_free(gw->admin_loop);
    if (gw->media_loop)
        loop_free(gw->media_loop);
    for (unsigned i = 0; i < gw->loop_count; i++)
        if (gw->subjects[i])
            subject_resolver_free(gw->subjects[i]);
    if (gw->resolver)
        resolver_free(gw->resolver);
    reloads_free(gw->reloads);
    if (gw->access)
        access_close(gw->access);
    contacts_close(gw->contacts);
    if (gw->version_keys)
        keyring_cache_free(gw->version_keys);
    block_seal_close(&gw->seal);
    if (gw->keyring)
        keyring_close(gw->keyring);
    if (gw->cell)
        config_cell_free(gw->cell);
    free(gw->media_base);
}

static unsigned act_busy(struct gateway *gw, unsigned index, void *ctx)
{
    (void)ctx;
    return listen_busy(gw, index) + (index < gw->loop_count ? graph_busy(gw->graph, index) : 0);
}

static unsigned act_cut(struct gateway *gw, unsigned index, void *ctx)
{
    (void)ctx;
    if (index == 0) {
        meta_check_stop(gw);
        media_drain(gw->media);
    }
    if (index < gw->loop_count)
        graph_stop(gw->graph, index);
    return 0;
}

/* True when every request was answered by then. */
static bool wait_quiet(struct gateway *gw, int64_t until_ms)
{
    const struct timespec pause = {.tv_nsec = STOP_LOOK_MS * 1000000L};
    while (listen_on_loops(gw, act_busy, NULL)) {
        if (clock_mono_ms() >= until_ms)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

/* Intake ends, what is under way is finished, outcomes are written: within `stop` of the file.
 * Three quarters of it are for requests to end by themselves; then calls that wait for Meta are cut
 * (their tools hear that the outcome is unknown). True when nothing is left that could come back.
 */
static void stop(struct gateway *gw)
{
    struct config *config = config_acquire(gw->cell);
    int64_t ms = config->stop_s * 1000, begin = clock_mono_ms();
    config_unref(config);
    LOG(LOG_INFO, "gateway", "stopping", log_i64("within_ms", ms));
    notify_systemd("STOPPING=1\nSTATUS=stopping");
    reloads_stop(gw->reloads); /* who waits for one hears of it while the loops run */
    purge_stop(gw->purge);
    listen_drain(gw);
    wait_quiet(gw, begin + ms * 3 / 4);
    listen_on_loops(gw, act_cut, NULL);
    bool quiet = wait_quiet(gw, begin + ms * 7 / 8);
    int64_t left = begin + ms - clock_mono_ms();
    deliver_stop(gw->deliver, left > STOP_DELIVER_LEAST_MS ? left : STOP_DELIVER_LEAST_MS);
    int r = record(gw, AUDIT_STOP, "stopped");
    LOG(r == 0 ? LOG_INFO : LOG_ERROR, "gateway", "stopped", log_error(r),
        log_word("quiet", quiet ? "yes" : "no"));
}

static void wait_for_signals(struct gateway *gw, const sigset_t *set)
{
    siginfo_t info;
    int number;
    while ((number = sigwaitinfo(set, &info)) > 0 || errno == EINTR) {
        if (number < 0)
            continue;
        if (number != SIGHUP)
            return;
        reload_on_signal(gw, (unsigned)info.si_uid);
    }
}

int gateway_run(const struct gateway_options *options)
{
    struct diag diag = {.text = ""};
    sigset_t signals;
    int code = 1;
    if (!harden()) {
        fprintf(stderr, "sluis: core dumps cannot be switched off: not started\n");
        return 1;
    }
    block_signals(&signals);
    if (sodium_init() < 0)
        return 1;
    struct gateway *gw = calloc(1, sizeof(*gw));
    if (!gw)
        return 1;
    gw->config_file = options->config_file;
    gw->options = options;
    gw->signals = &signals;
    pthread_mutex_init(&gw->version_lock, NULL);
    int r = start(gw, &diag);
    if (r == 0) {
        struct config *config = config_acquire(gw->cell);
        announce_start(gw, config);
        notify_systemd("READY=1\nSTATUS=ready");
        config_unref(config);
        wait_for_signals(gw, &signals);
        stop(gw);
        code = 0;
    } else if (r == SLUIS_ECLOSED) {
        code = 0; /* told to stop while it was sealed */
    } else {
        char line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
        fprintf(stderr, "sluis: %s\n", diag_line(&diag, line, sizeof(line)));
    }
    end(gw);
    free(gw);
    return code;
}

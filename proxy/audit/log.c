/* The tree of the running log, its checkpoints, the pages of an export. */
#include "log.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timex.h>
#include <time.h>

#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/log.h"

void audit_log_origin(const uint8_t installation[16], char out[AUDIT_ORIGIN_MAX])
{
    char hex[33];
    hex_encode(installation, 16, hex);
    snprintf(out, AUDIT_ORIGIN_MAX, "sluis/%s", hex);
}

bool audit_log_accepted(const struct audit_log *log)
{
    return log->accepted;
}

/* ---- opening ---- */

static int denied(struct audit_log *log, const struct audit_log_config *config, struct diag *diag,
                  const char *why)
{
    LOG(LOG_ALARM, "audit", config->accept ? "log_accepted" : "log_refused",
        log_word("reason", why));
    log->accepted = config->accept;
    if (config->accept)
        return 0;
    diag_set(diag, config->file, 0, 0, "%s", why);
    return SLUIS_EDENIED;
}

/* Begins at the range of the last pushed checkpoint when the log is long and the range is its. */
static void skip_hashed(struct audit_log *log, const struct audit_log_config *config,
                        const struct checkpoint *last)
{
    struct store_status status;
    struct merkle_range saved;
    uint8_t root[MERKLE_HASH];
    if (config->accept) /* it may be another: then the thread would find that, and close the gate */
        return;
    store_status(log->store, &status);
    uint64_t most = config->hash_at_open ? config->hash_at_open : AUDIT_HASH_AT_OPEN;
    if (status.log_size <= most || last->size == 0 || last->size > status.log_size ||
        range_load(log->store, &saved) != 0 || saved.size != last->size)
        return;
    merkle_range_root(&saved, root);
    if (memcmp(root, last->root, MERKLE_HASH) != 0)
        return;
    log->range = saved;
    log->unchecked = saved.size;
    memcpy(log->unchecked_root, root, MERKLE_HASH);
}

/* The log in the store against the checkpoint that left the machine last. */
static int compare_last(struct audit_log *log, const struct audit_log_config *config,
                        struct diag *diag)
{
    struct checkpoint last = {.size = 0};
    uint8_t root[MERKLE_HASH];
    uint64_t at = UINT64_MAX;
    bool seen;
    int known =
        log->file ? push_last(log->file, &log->chain, &last, &log->change_pushed) : SLUIS_ENOENT;
    if (known == SLUIS_ESYS) {
        diag_set(diag, log->file, 0, 0, "the file of checkpoints cannot be used: %s",
                 strerror(errno));
        return SLUIS_ESYS;
    }
    if (known == 0) {
        at = last.size;
        skip_hashed(log, config, &last);
    }
    int r = tree_follow(log, at, root, &seen);
    if (r != 0) {
        diag_set(diag, NULL, 0, 0, "the access log cannot be read: %s", error_word(r));
        return r;
    }
    if (known == SLUIS_EDENIED)
        return denied(log, config, diag, "the file holds checkpoints, but none of this access log");
    if (known == 0 && last.size > log->range.size)
        return denied(log, config, diag,
                      "the access log is shorter than its last pushed checkpoint");
    if (known == 0 && last.size && !log->unchecked &&
        (!seen || memcmp(root, last.root, MERKLE_HASH) != 0))
        return denied(log, config, diag,
                      "the access log is not the one of its last pushed checkpoint");
    if (known == 0) {
        log->left_size = last.size;
        memcpy(log->left_root, last.root, MERKLE_HASH);
    }
    if (log->file && known == SLUIS_ENOENT && log->range.size)
        LOG(LOG_WARN, "audit", "no_earlier_checkpoint", log_u64("leaves", log->range.size));
    return 0;
}

int audit_log_open(const struct audit_log_config *config, struct audit_log **out, struct diag *diag)
{
    pthread_condattr_t monotonic;
    struct audit_log *log = calloc(1, sizeof(*log));
    if (!log)
        return SLUIS_ENOMEM;
    log->store = config->store;
    for (unsigned i = 0; i < config->target_count && i < AUDIT_TARGETS_MAX; i++)
        log->targets[log->target_count++].door = config->targets[i];
    log->refusals = config->refusals;
    log->gate = config->gate;
    log->hold_after_s = config->hold_after_s;
    log->pay = config->pay;
    log->pay_ctx = config->pay_ctx;
    log->turn = config->turn;
    log->left_ms = clock_mono_ms();
    log->refusals_ms = clock_mono_ms();
    memcpy(log->seed, config->seed, NOTE_SEED);
    merkle_range_init(&log->range);
    buffer_init(&log->note, NOTE_MAX);
    buffer_init(&log->changes, KEY_CHAIN_MAX * (size_t)NOTE_MAX);
    pthread_mutex_init(&log->lock, NULL);
    pthread_mutex_init(&log->times.lock, NULL);
    times_load(log);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&log->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int r = note_key_of_seed(span_str(config->origin), log->seed, &log->key);
    if (r == 0)
        r = take_changes(log, config, diag);
    if (r == 0 && config->file && !(log->file = strdup(config->file)))
        r = SLUIS_ENOMEM;
    if (r == 0)
        r = compare_last(log, config, diag);
    for (unsigned i = 0; r == 0 && i < log->target_count; i++)
        log->targets[i].told = told_load(log, &log->targets[i]);
    if (r != 0)
        audit_log_close(log);
    else
        *out = log;
    return r;
}

/* ---- checkpoints ---- */

static void clock_state(struct buffer *out)
{
    struct timex state = {.modes = 0};
    char text[CLOCK_RFC3339_SIZE];
    bool synchronised = adjtimex(&state) != TIME_ERROR && !(state.status & STA_UNSYNC);
    clock_rfc3339(clock_wall_ms(), text);
    buffer_addf(out, "time %s clock %s\n", text, synchronised ? "synchronised" : "unsynchronised");
}

static int make_note(struct audit_log *log)
{
    struct checkpoint c = {.size = log->range.size};
    struct buffer text, extension;
    buffer_init(&text, NOTE_MAX);
    buffer_init(&extension, NOTE_MAX);
    memcpy(c.origin, log->key.name, sizeof(c.origin));
    merkle_range_root(&log->range, c.root);
    clock_state(&extension);
    c.extension = buffer_span(&extension);
    buffer_clear(&log->note);
    int r = checkpoint_write(&c, &text);
    if (r == 0)
        r = note_sign(&log->key, log->seed, buffer_span(&text), &log->note);
    log->note_size = c.size;
    memcpy(log->note_root, c.root, MERKLE_HASH);
    log->pushed = false;
    for (unsigned i = 0; i < log->target_count; i++)
        log->targets[i].pushed = false;
    buffer_free(&text);
    buffer_free(&extension);
    if (r != 0)
        buffer_clear(&log->note);
    return r;
}

/* What stands in the store of the last range is what was put there. */
static void check_saved(struct audit_log *log)
{
    struct merkle_range found;
    if (log->saved.size == 0 || log->nodes_changed || range_load(log->store, &found) != 0)
        return;
    if (found.size == log->saved.size &&
        memcmp(found.node, log->saved.node, found.count * MERKLE_HASH) == 0)
        return;
    LOG(LOG_ALARM, "audit", "log_nodes_changed", log_u64("leaves", log->saved.size));
    log->nodes_changed = true;
}

static void save_range(struct audit_log *log)
{
    check_saved(log);
    int r = range_save(log->store, &log->range);
    if (r == 0)
        log->saved = log->range;
    else
        LOG(LOG_WARN, "audit", "range_not_saved", log_error(r));
}

static void push(struct audit_log *log)
{
    if (log->pushed || !log->file)
        return;
    int r = log->change_pushed ? 0 : push_note(log->file, newest_change(log));
    log->change_pushed = r == 0;
    if (r == 0)
        r = push_note(log->file, buffer_span(&log->note));
    log->pushed = r == 0;
    if (r != 0 && !log->failing)
        LOG(LOG_ALARM, "audit", "checkpoint_not_pushed", log_error(r), log_errno());
    else if (r == 0 && log->failing)
        LOG(LOG_WARN, "audit", "checkpoint_pushed_again", log_u64("leaves", log->note_size));
    log->failing = r != 0;
    if (r == 0)
        save_range(log);
}

bool audit_refuses(const struct audit_gate *gate)
{
    int64_t due = gate ? atomic_load(&gate->due_ms) : 0;
    return gate && (atomic_load(&gate->closed) || (due && clock_mono_ms() > due));
}

bool audit_closed(const struct audit_gate *gate)
{
    return gate && (atomic_load(&gate->owed) > 0 || audit_refuses(gate));
}

/* Has the newest checkpoint gone wherever it must go? */
static bool has_left(const struct audit_log *log)
{
    bool left = log->note.n && (log->pushed || !log->file);
    for (unsigned i = 0; i < log->target_count; i++)
        left = left && (log->targets[i].pushed || !log->targets[i].door.holds);
    return left;
}

/* And by one way at least. */
static void note_left(struct audit_log *log)
{
    bool any = log->file != NULL;
    for (unsigned i = 0; i < log->target_count; i++)
        any = any || log->targets[i].pushed;
    if (!any || !has_left(log))
        return;
    log->left_size = log->note_size;
    memcpy(log->left_root, log->note_root, MERKLE_HASH);
}

/* The thread is on its way: it will be here again within a turn and the term. */
static void expect_turn(struct audit_log *log)
{
    if (log->gate && log->hold_after_s)
        atomic_store(&log->gate->due_ms,
                     clock_mono_ms() + (AUDIT_CHECKPOINT_S + log->hold_after_s) * 1000);
}

/* A way out that has not been tried yet, this turn, is not late: the turns are apart. */
static bool any_fails(const struct audit_log *log)
{
    bool any = log->failing || log->note.n == 0;
    for (unsigned i = 0; i < log->target_count; i++)
        any = any || (log->targets[i].failing && log->targets[i].door.holds);
    return any;
}

/* Under the lock. What is owed is paid by the thread, at once. `made`: the newest checkpoint is of
 * the log as it stands. */
void move_gate(struct audit_log *log, bool made)
{
    int64_t now = clock_mono_ms();
    if (made && has_left(log))
        log->left_ms = now;
    note_left(log);
    if (!log->gate)
        return;
    expect_turn(log);
    bool late = log->hold_after_s && now - log->left_ms > log->hold_after_s * 1000 &&
                (!made || any_fails(log));
    bool closed = log->changed || late, was = atomic_exchange(&log->gate->closed, closed);
    if (closed && !was)
        LOG(LOG_ALARM, "audit", "log_refuses",
            log_word("reason", log->changed ? "changed" : "checkpoint_not_pushed"));
    else if (was && !closed)
        LOG(LOG_WARN, "audit", "log_takes_leaves_again", log_u64("owed", log->gate->owed));
    if (!closed && atomic_load(&log->gate->owed)) {
        log->hurry = true;
        pthread_cond_signal(&log->wake);
    }
}

int audit_log_checkpoint(struct audit_log *log, struct buffer *note)
{
    pthread_mutex_lock(&log->lock);
    int r = log->changed ? SLUIS_ECRYPTO : tree_follow(log, UINT64_MAX, NULL, NULL);
    if (r == 0 && (log->note.n == 0 || log->note_size != log->range.size))
        r = make_note(log);
    if (r == 0)
        push(log);
    move_gate(log, r == 0);
    if (r == 0 && note) {
        buffer_add(note, buffer_span(&log->note));
        log->hurry |= log->target_count > 0; /* asked for by a person: the other ways as well */
        pthread_cond_signal(&log->wake);
    }
    pthread_mutex_unlock(&log->lock);
    return r ? r : note ? note->error : 0;
}

static bool stopping(void *ctx)
{
    struct audit_log *log = ctx;
    pthread_mutex_lock(&log->lock);
    bool stop = log->stop;
    pthread_mutex_unlock(&log->lock);
    return stop;
}

/* What the start took on the checkpoint's word. */
static void check_rest(struct audit_log *log)
{
    if (!log->unchecked || log->changed)
        return;
    struct log_tree tree = {.count = 0};
    int r = range_check(log->store, log->unchecked, log->unchecked_root, &tree, stopping, log);
    pthread_mutex_lock(&log->lock);
    if (r == 0)
        r = tree_join(&log->tree, &tree);
    if (r == SLUIS_ECRYPTO) {
        LOG(LOG_ALARM, "audit", "log_changed", log_u64("leaves", log->unchecked));
        log->changed = true;
        move_gate(log, false);
    } else if (r != 0 && r != SLUIS_ECLOSED) {
        LOG(LOG_ERROR, "audit", "log_not_checked", log_error(r)); /* again in the next turn */
    }
    if (r == 0) /* else its blocks are not known, ever */
        log->unchecked = 0;
    pthread_mutex_unlock(&log->lock);
    free(tree.block);
}

/* At the end too: what was refused in the last minute. */
static void write_refusals(struct audit_log *log, bool now)
{
    if (!log->refusals ||
        (!now && clock_mono_ms() - log->refusals_ms < AUDIT_REFUSALS_S * INT64_C(1000)))
        return;
    log->refusals_ms = clock_mono_ms();
    int r = refusals_write(log->store, log->refusals);
    if (r != 0)
        LOG(LOG_ERROR, "audit", "refusals_not_recorded", log_error(r));
}

/* Something did not get out. */
static bool waits(struct audit_log *log)
{
    pthread_mutex_lock(&log->lock);
    bool any = log->failing;
    for (unsigned i = 0; i < log->target_count; i++)
        any = any || log->targets[i].failing;
    pthread_mutex_unlock(&log->lock);
    return any;
}

/* False: something is owed yet (a full disk, an item on its way to the store). */
static bool pay_owed(struct audit_log *log)
{
    if (!log->gate || !log->pay || atomic_load(&log->gate->closed) ||
        atomic_load(&log->gate->owed) == 0)
        return true;
    int r = log->pay(log->pay_ctx);
    if (r != 0)
        LOG(LOG_ERROR, "audit", "leaves_still_owed", log_error(r));
    return atomic_load(&log->gate->owed) == 0;
}

static void *run(void *ctx)
{
    struct audit_log *log = ctx;
    bool stop = false;
    while (!stop) {
        struct timespec until;
        check_rest(log);
        expect_turn(log);
        write_refusals(log, false);
        int r = audit_log_checkpoint(log, NULL);
        if (r != 0)
            LOG(LOG_ERROR, "audit", "no_checkpoint", log_error(r));
        push_out(log);
        times_follow(log, stopping);
        look_on(log);
        bool paid = pay_owed(log);
        if (log->turn)
            log->turn(log->pay_ctx);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += waits(log) || !paid ? AUDIT_RETRY_S : AUDIT_CHECKPOINT_S;
        pthread_mutex_lock(&log->lock);
        log->hurry = log->hurry && paid; /* not again and again while it cannot be written */
        while (!log->stop && !log->hurry &&
               pthread_cond_timedwait(&log->wake, &log->lock, &until) != ETIMEDOUT) {
        }
        log->hurry = false;
        stop = log->stop;
        pthread_mutex_unlock(&log->lock);
    }
    return NULL;
}

int audit_log_start(struct audit_log *log)
{
    log->started = pthread_create(&log->thread, NULL, run, log) == 0;
    return log->started ? 0 : SLUIS_ESYS;
}

void audit_log_close(struct audit_log *log)
{
    if (!log)
        return;
    if (log->started) {
        pthread_mutex_lock(&log->lock);
        log->stop = true;
        pthread_cond_signal(&log->wake);
        pthread_mutex_unlock(&log->lock);
        pthread_join(log->thread, NULL);
        write_refusals(log, true);
        int r = audit_log_checkpoint(log, NULL);
        if (r != 0)
            LOG(LOG_ERROR, "audit", "no_last_checkpoint", log_error(r));
        push_out(log);
        say_left_behind(log);
    }
    pthread_cond_destroy(&log->wake);
    pthread_mutex_destroy(&log->lock);
    pthread_mutex_destroy(&log->times.lock);
    free(log->times.block);
    free(log->tree.block);
    buffer_free(&log->note);
    buffer_free(&log->changes);
    sodium_memzero(log->seed, sizeof(log->seed));
    free(log->file);
    free(log);
}

/* ---- exports ---- */

struct page {
    struct export_writer writer;
    const struct audit_filter *filter;
    uint64_t next, to;
    const uint64_t *cuts;
    size_t cut_count;
    uint64_t changes[KEY_CHAIN_MAX]; /* sizes of key changes: cuts as well */
    unsigned change_count, change_next;
};

static int add_leaf(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    struct page *p = ctx;
    if (index == p->to)
        return 1;
    if (index != p->next)
        return SLUIS_EIO;
    p->next++;
    for (; p->cut_count && *p->cuts <= index; p->cuts++, p->cut_count--)
        if (*p->cuts == index)
            export_page_cut(&p->writer);
    for (; p->change_next < p->change_count && p->changes[p->change_next] <= index;
         p->change_next++)
        if (p->changes[p->change_next] == index)
            export_page_cut(&p->writer);
    if (leaf.n == 0) /* only its hash is left */
        export_page_pruned(&p->writer, hash);
    else if (audit_filter_match(p->filter, leaf))
        export_page_leaf(&p->writer, leaf, hash);
    else
        export_page_skip(&p->writer, hash);
    return p->writer.out->error;
}

int audit_log_page(struct audit_log *log, const struct audit_filter *filter, uint64_t from,
                   uint64_t size, const uint64_t *cuts, size_t cut_count, struct buffer *out,
                   uint64_t *to)
{
    struct page p = {.filter = filter, .next = from, .cuts = cuts, .cut_count = cut_count};
    struct store_read *read;
    struct buffer text;
    struct note_key key;
    uint8_t seed[NOTE_SEED];
    pthread_mutex_lock(&log->lock);
    bool there = from < size && size <= log->range.size; /* under a checkpoint */
    key = log->key;
    memcpy(seed, log->seed, sizeof(seed));
    for (unsigned i = 0; i + 1 < log->chain.count; i++) /* what an old key vouched for */
        p.changes[p.change_count++] = log->chain.link[i].until;
    pthread_mutex_unlock(&log->lock);
    if (!there || from % AUDIT_PAGE_LEAVES) {
        sodium_memzero(seed, sizeof(seed));
        return SLUIS_EINVAL;
    }
    p.to = size - from > AUDIT_PAGE_LEAVES ? from + AUDIT_PAGE_LEAVES : size;
    buffer_init(&text, EXPORT_FILTER_MAX);
    int r = audit_filter_write(filter, &text);
    if (r == 0)
        r = store_read_begin(log->store, &read);
    if (r == 0) {
        export_page_begin(&p.writer, out, from, p.to, size, buffer_span(&text));
        r = store_each_leaf_or_hash(read, from, add_leaf, &p);
        store_read_end(read);
        if (r == 0)
            r = p.next == p.to ? export_page_end(&p.writer, &key, seed) : SLUIS_EIO;
    }
    buffer_free(&text);
    sodium_memzero(seed, sizeof(seed));
    *to = p.to;
    return r;
}

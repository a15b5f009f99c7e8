/* The service thread, and one purge: keys, records; the rows afterwards. */
#include "room.h"

#include <sodium.h>
#include <stdlib.h>
#include <time.h>

#include "sluis/base/clock.h"
#include "sluis/base/log.h"

#define WAKE_S 60
/* Messages taken back within this time share one change of the keyring. */
#define GATHER_MS 100
#define TIDY_EVERY_MS DAY_MS
_Static_assert(PURGE_DEDUPE_DAYS == 9, "webhook looks nine days back");

int purge_new(const struct purge_deps *deps, struct purge **out)
{
    struct purge *p = calloc(1, sizeof(*p));
    pthread_condattr_t attributes;
    *out = NULL;
    if (!p)
        return SLUIS_ENOMEM;
    p->deps = *deps;
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->wake_lock, NULL);
    pthread_mutex_init(&p->witness_lock, NULL);
    pthread_mutex_init(&p->lookup_lock, NULL);
    pthread_mutex_init(&p->erase_lock, NULL);
    pthread_mutex_init(&p->run_lock, NULL);
    pthread_rwlock_init(&p->mark_lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    p->destruction_number = randombytes_random();
    int r = keyring_cache_new(deps->keyring, &p->cache);
    if (r == 0)
        r = keys_open(p);
    if (r == 0)
        r = clock_load(p);
    if (r == 0)
        r = marks_load(p);
    if (r == 0)
        r = shorten_load(p);
    if (r == 0)
        r = lookup_open(p);
    if (r != 0) {
        purge_free(p);
        return r;
    }
    if (clock_check(p, clock_wall_ms()))
        clock_note(p, clock_wall_ms());
    *out = p;
    return 0;
}

void purge_free(struct purge *p)
{
    if (!p)
        return;
    keys_close(p);
    keyring_cache_free(p->cache);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->wake_lock);
    pthread_mutex_destroy(&p->witness_lock);
    pthread_mutex_destroy(&p->lookup_lock);
    pthread_mutex_destroy(&p->erase_lock);
    pthread_mutex_destroy(&p->run_lock);
    pthread_rwlock_destroy(&p->mark_lock);
    free(p->marks);
    pthread_cond_destroy(&p->wake);
    free(p);
}

void purge_status(struct purge *p, struct purge_status *out)
{
    *out = (struct purge_status){atomic_load(&p->clock_trusted), atomic_load(&p->last_ms),
                                 atomic_load(&p->last_error), atomic_load(&p->swept_rows),
                                 atomic_load(&p->lookup_error)};
}

void wake_round(struct purge *p)
{
    pthread_mutex_lock(&p->wake_lock);
    p->wanted = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->wake_lock);
}

bool purge_stopping(struct purge *p)
{
    pthread_mutex_lock(&p->wake_lock);
    bool stopping = p->stopping;
    pthread_mutex_unlock(&p->wake_lock);
    return stopping;
}

/* ---- one purge, under `lock` ---- */

static int destroy_keys(struct purge *p, const struct purge_plan *plan, int64_t now_ms)
{
    struct keyring_leaf leaves[STORE_CLASSES_MAX + 1];
    size_t n = 0;
    for (unsigned i = 0; i < plan->count; i++)
        leaves[n++] = (struct keyring_leaf){.tree = KEYRING_TIME,
                                            .through = true,
                                            .cls = plan->at[i].cls,
                                            .leaf = plan->at[i].ended};
    int64_t day = now_ms / DAY_MS - PURGE_DEDUPE_DAYS - 1;
    if (n && day >= 0)
        leaves[n++] = (struct keyring_leaf){
            .tree = KEYRING_TIME, .through = true, .cls = KEYRING_CLASS_DAY, .leaf = (uint32_t)day};
    return n ? destroy_leaves(p, leaves, n) : 0;
}

struct record_job {
    struct store_job job;
    uint8_t state_key[CLASS_KEY_BYTES], key[DESTRUCTION_KEY_BYTES];
    struct buffer state, destruction;
    struct audit_event event;
};

static int run_record(struct store_txn *txn, struct store_job *job)
{
    struct record_job *j = (struct record_job *)(void *)job;
    store_put_row(txn, STORE_TABLE_SETTING, span_of(j->state_key, CLASS_KEY_BYTES),
                  buffer_span(&j->state));
    if (j->destruction.n) {
        store_put_row(txn, STORE_TABLE_SETTING, span_of(j->key, DESTRUCTION_KEY_BYTES),
                      buffer_span(&j->destruction));
        audit_put(txn, &j->event);
    }
    return store_txn_error(txn);
}

static void bounds(struct purge *p, const struct class_plan *c, int64_t *from_ms, int64_t *to_ms)
{
    uint32_t first = c->first == NO_BUCKET ? c->ended : c->first;
    *from_ms = 0;
    if (retention_bucket_end(p->deps.store, c->cls, c->ended, to_ms) != 0)
        *to_ms = 0; /* plan_make knew the class: it does not come here */
    if (first > 0 && retention_bucket_end(p->deps.store, c->cls, first - 1, from_ms) != 0)
        *from_ms = 0;
}

/* The record, its leaf and how far we are, in one commit. */
static int put_on_record(struct purge *p, const struct class_plan *c, int64_t now_ms)
{
    struct record_job j = {.job = {.priority = STORE_PURGE, .run = run_record}};
    struct class_state state = {c->ended, c->state.recorded};
    struct keyring_status keys;
    struct rule_facts facts;
    int r = 0;
    buffer_init(&j.state, STORE_VALUE_MAX);
    buffer_init(&j.destruction, STORE_VALUE_MAX);
    class_state_key(c->cls, j.state_key);
    if (c->first != NO_BUCKET) {
        state.recorded = c->ended;
        keyring_status(p->deps.keyring, &keys);
        rule_find(p, c->name, &facts);
        struct retention_destruction d = {.cls = c->name,
                                          .category = facts.category,
                                          .ground = facts.ground,
                                          .reason = "expired",
                                          .messages = c->messages,
                                          .subjects = c->subjects,
                                          .generation = keys.generation,
                                          .policy_hash = facts.policy_hash,
                                          .at_ms = now_ms};
        bounds(p, c, &d.from_ms, &d.to_ms);
        r = destruction_seal(p, &d, j.key, &j.destruction);
        j.event = (struct audit_event){.at_ms = now_ms,
                                       .action = AUDIT_PURGE,
                                       .actor = "gateway",
                                       .object = c->cls,
                                       .count = c->messages,
                                       .purpose = c->name,
                                       .policy_hash = facts.policy_hash,
                                       .outcome = "destroyed"};
    }
    if (r == 0)
        r = class_state_seal(p, c->cls, &state, &j.state);
    if (r == 0)
        r = store_submit_wait(p->deps.store, &j.job);
    buffer_free(&j.state);
    buffer_free(&j.destruction);
    return r;
}

static void describe(struct purge *p, const struct class_plan *c, unsigned nth, struct buffer *out)
{
    char from[CLOCK_RFC3339_SIZE], to[CLOCK_RFC3339_SIZE];
    int64_t from_ms, to_ms;
    bounds(p, c, &from_ms, &to_ms);
    clock_rfc3339(from_ms, from);
    clock_rfc3339(to_ms, to);
    buffer_addf(out,
                "%s{\"class\":\"%s\",\"from\":\"%s\",\"to\":\"%s\",\"messages\":%llu,"
                "\"subjects\":%llu}",
                nth ? "," : "", c->name, from, to, (unsigned long long)c->messages,
                (unsigned long long)c->subjects);
}

static int count_all(struct purge *p, struct purge_plan *plan)
{
    int r = 0;
    for (unsigned i = 0; r == 0 && i < plan->count; i++)
        r = plan_count(p, &plan->at[i]);
    return r;
}

/* What has ended, and its keys: the part that must not be disturbed. */
static int destroy_due(struct purge *p, bool dry_run, struct purge_plan *plan, int64_t now_ms)
{
    pthread_mutex_lock(&p->lock);
    int r = clock_check(p, now_ms) ? 0 : SLUIS_EDENIED;
    if (r == 0) {
        r = plan_make(p, now_ms, plan);
        if (r == 0 && !dry_run && plan->count)
            r = holds_copy(p); /* else the puncture waits */
        if (r == 0 && !dry_run)
            r = destroy_keys(p, plan, now_ms);
        clock_note(p, now_ms);
    }
    pthread_mutex_unlock(&p->lock);
    return r;
}

/* Counting comes after the keys, for nobody can read what is counted any more, and with nothing
 * locked: a million messages take seconds, and a person who restricts, holds or erases does not
 * wait for them. `run_lock` keeps another purge from counting the same; a stop leaves what has no
 * record to the next one. */
static int run_alone(struct purge *p, bool dry_run, struct purge_plan *plan, int64_t now_ms)
{
    int r = destroy_due(p, dry_run, plan, now_ms);
    if (r == 0)
        r = count_all(p, plan);
    for (unsigned i = 0; r == 0 && !dry_run && i < plan->count; i++) {
        pthread_mutex_lock(&p->lock);
        r = put_on_record(p, &plan->at[i], now_ms);
        pthread_mutex_unlock(&p->lock);
    }
    return r;
}

int purge_run(struct purge *p, bool dry_run, struct buffer *out)
{
    char time[CLOCK_RFC3339_SIZE];
    struct purge_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return SLUIS_ENOMEM;
    pthread_mutex_lock(&p->run_lock);
    int64_t now = clock_wall_ms();
    int r = run_alone(p, dry_run, plan, now);
    pthread_mutex_unlock(&p->run_lock);
    clock_rfc3339(now, time);
    buffer_addf(out, "{\"dry_run\":%s,\"time\":\"%s\",\"classes\":[", dry_run ? "true" : "false",
                time);
    unsigned n = 0;
    uint64_t messages = 0;
    for (unsigned i = 0; r == 0 && i < plan->count; i++) {
        if (plan->at[i].first == NO_BUCKET)
            continue;
        messages += plan->at[i].messages;
        describe(p, &plan->at[i], n++, out);
    }
    buffer_add(out, SPAN("]}"));
    if (!dry_run) {
        atomic_store(&p->last_error, r);
        if (r == 0 && plan->count)
            atomic_store(&p->last_ms, now);
        if (r != 0 && r != SLUIS_ECLOSED)
            LOG(LOG_ALARM, "purge", "not_done", log_error(r));
        else if (r == 0 && n)
            LOG(LOG_INFO, "purge", "destroyed", log_u64("classes", n),
                log_u64("messages", messages));
        if (n && p->thread_started && !pthread_equal(pthread_self(), p->thread))
            wake_round(p);
    }
    free(plan);
    return r ? r : out->error;
}

int purge_sweep(struct purge *p)
{
    int64_t now = clock_wall_ms();
    if (!atomic_load(&p->clock_trusted))
        return SLUIS_EDENIED;
    int r = sweep_classes(p);
    if (r == 0)
        r = sweep_moved(p);
    if (r == 0)
        r = sweep_dedupe(p, now);
    if (r == 0)
        r = sweep_media(p);
    return r ? r : tidy(p, now);
}

/* ---- the service thread ---- */

static int one_round(struct purge *p)
{
    struct buffer out;
    buffer_init(&out, STORE_CLASSES_MAX * 1024);
    int r = erase_resume(p); /* need no clock, either of them */
    if (r == 0)
        r = holds_resume(p);
    if (r == 0)
        r = purge_revoke(p);
    if (r != 0)
        LOG(LOG_ALARM, "purge", "erasures_wait", log_error(r));
    r = purge_run(p, false, &out);
    buffer_free(&out);
    int shortened = shorten_drain(p);
    if (shortened != 0)
        LOG(LOG_ALARM, "purge", "words_wait", log_error(shortened));
    int64_t now = clock_wall_ms();
    if (r != 0)
        return r;
    r = tell_expired(p, now);
    if (r == 0)
        r = sweep_classes(p);
    if (r == 0)
        r = sweep_moved(p);
    if (r == 0)
        r = sweep_dedupe(p, now);
    if (r == 0)
        r = sweep_media(p);
    if (r == 0 && (p->tidied_ms == 0 || now - p->tidied_ms >= TIDY_EVERY_MS)) {
        r = tidy(p, now);
        p->tidied_ms = now;
    }
    if (r != 0)
        LOG(LOG_ERROR, "purge", "not_swept", log_error(r));
    lookup_round(p, now);
    return r ? r : shortened;
}

int purge_round(struct purge *p)
{
    return one_round(p);
}

/* Until the next round is due, or something is asked for. True: a whole round. */
static bool wait_for_work(struct purge *p, const struct timespec *until)
{
    pthread_mutex_lock(&p->wake_lock);
    int waited = 0;
    while (!p->stopping && !p->wanted && !p->revoked && waited == 0)
        waited = pthread_cond_timedwait(&p->wake, &p->wake_lock, until);
    bool whole = p->wanted || waited != 0;
    p->revoked = false;
    if (whole)
        p->wanted = false;
    pthread_mutex_unlock(&p->wake_lock);
    return whole;
}

static void *service(void *ctx)
{
    const struct timespec gather = {.tv_nsec = GATHER_MS * 1000000};
    struct purge *p = ctx;
    atomic_store(&p->serving, true);
    while (!purge_stopping(p)) {
        struct timespec until;
        (void)one_round(p); /* it said what it could not do; the next one tries again */
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += WAKE_S;
        while (!wait_for_work(p, &until) && !purge_stopping(p)) {
            nanosleep(&gather, NULL);
            int r = purge_revoke(p);
            if (r != 0)
                LOG(LOG_ALARM, "purge", "revokes_wait", log_error(r));
        }
    }
    return NULL;
}

int purge_start(struct purge *p)
{
    if (pthread_create(&p->thread, NULL, service, p) != 0)
        return SLUIS_ESYS;
    p->thread_started = true;
    return 0;
}

void purge_stop(struct purge *p)
{
    if (!p || !p->thread_started)
        return;
    pthread_mutex_lock(&p->wake_lock);
    p->stopping = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->wake_lock);
    pthread_join(p->thread, NULL);
    p->thread_started = false;
}

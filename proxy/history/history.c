/* Calls: from the queue to the answer; refusals; the leaf of the access log. */
#include "room.h"

#include "sluis/base/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define TIDY_EVERY_MS (10 * 60 * 1000)

static const struct {
    const char *word;
    int (*run)(struct work *w);
    unsigned worker;
} operations[HISTORY_OPERATIONS] = {
    [HISTORY_CONVERSATIONS] = {"conversations", operation_conversations, WORKER_PAGES},
    [HISTORY_MESSAGES] = {"messages", operation_messages, WORKER_PAGES},
    [HISTORY_TAG] = {"tag", operation_tag, WORKER_PAGES},
    [HISTORY_NOTE] = {"note", operation_note, WORKER_PAGES},
    [HISTORY_REVEAL] = {"reveal", operation_reveal, WORKER_PAGES},
    [HISTORY_SEARCH] = {"search", operation_search, WORKER_SCANS},
    [HISTORY_EXPORT] = {"export", operation_export, WORKER_SCANS},
    [HISTORY_EXPIRING] = {"expiring", operation_expiring, WORKER_SCANS},
};

const char *history_operation_word(enum history_operation operation)
{
    return operations[operation].word;
}

void history_request_init(struct history_request *q)
{
    memset(q, 0, sizeof(*q));
    buffer_init(&q->body, HISTORY_BODY_MAX);
    buffer_init(&q->answer, HISTORY_ANSWER_MAX);
}

void history_request_free(struct history_request *q)
{
    buffer_free(&q->body);
    buffer_free(&q->answer);
}

/* ---- refusing ---- */

static void problem(struct history_request *q, unsigned status, const char *code,
                    const char *detail)
{
    buffer_clear(&q->answer);
    buffer_addf(&q->answer, "{\"type\":\"urn:sluis:problem:%s\",\"title\":\"%s\",\"status\":%u,",
                code, code, status);
    buffer_add(&q->answer, SPAN("\"detail\":"));
    json_quote(&q->answer, span_str(detail));
    buffer_add(&q->answer, SPAN(",\"error\":{\"code\":"));
    json_quote(&q->answer, span_str(code));
    buffer_add(&q->answer, SPAN(",\"message\":"));
    json_quote(&q->answer, span_str(detail));
    buffer_add(&q->answer, SPAN("}}\n"));
    q->status = status;
    q->content_type = "application/problem+json";
}

int history_refuse(struct work *w, unsigned status, const char *code, const char *detail)
{
    problem(w->q, status, code, detail);
    return SLUIS_EDENIED;
}

bool work_late(const struct work *w)
{
    return clock_mono_us() >= w->deadline_us;
}

/* ---- the access log ---- */

int work_show(struct work *w, uint64_t subject, uint64_t serial, uint64_t masked)
{
    unsigned i = 0;
    while (i < w->shown_count && w->shown[i].subject != subject)
        i++;
    if (i == SUBJECTS_SHOWN_MAX)
        return SLUIS_ELIMIT;
    struct shown *s = &w->shown[i];
    if (i == w->shown_count) {
        *s = (struct shown){.subject = subject, .first = serial, .last = serial};
        w->shown_count++;
    }
    s->first = serial && (serial < s->first || s->first == 0) ? serial : s->first;
    s->last = serial > s->last ? serial : s->last;
    s->count++;
    s->masked |= masked;
    return 0;
}

struct leaves {
    struct store_job job;
    struct audit_event *events;
    unsigned n;
};

static int put_leaves(struct store_txn *txn, struct store_job *job)
{
    struct leaves *l = (struct leaves *)job;
    for (unsigned i = 0; i < l->n; i++)
        audit_put(txn, &l->events[i]);
    return store_txn_error(txn);
}

static struct audit_event event_of(struct work *w, enum audit_action action, const char *outcome)
{
    return (struct audit_event){
        .at_ms = clock_wall_ms(),
        .action = action,
        .actor = w->actor,
        .claimed = w->q->claimed[0] ? w->q->claimed : NULL,
        .role = w->role,
        .channel = w->channel ? w->channel->name : NULL,
        .route = w->route ? w->route->name : NULL,
        .activity = w->policy ? policy_activity(w->policy) : NULL,
        .purpose = w->purpose[0] ? w->purpose : NULL,
        .reference = w->reference[0] ? w->reference : NULL,
        .policy_hash = w->policy ? policy_hash(w->policy) : NULL,
        .outcome = outcome,
    };
}

int work_record(struct work *w, enum audit_action action, const char *outcome, uint64_t count)
{
    struct audit_event events[SUBJECTS_SHOWN_MAX + 1];
    struct leaves l = {.job = {.priority = STORE_NORMAL, .run = put_leaves}, .events = events};
    int r = 0;
    for (unsigned i = 0; r == 0 && i < w->shown_count; i++) {
        const struct shown *s = &w->shown[i];
        struct audit_event *e = &events[l.n++];
        *e = event_of(w, action, outcome);
        e->object = s->first;
        e->object_last = s->last != s->first ? s->last : 0;
        e->count = s->count;
        e->masked = s->masked;
        r = keyring_pseudonym(w->worker->keys, s->subject, &e->subject);
    }
    if (l.n == 0 || count) { /* nobody, or what was looked through */
        events[l.n] = event_of(w, action, outcome);
        events[l.n++].count = count;
    }
    return r ? r : store_submit_wait(w->h->deps.store, &l.job);
}

/* A refusal to somebody we know is on record; who it is about is not: it was not looked up. */
static void record_refusal(struct work *w)
{
    if (!w->actor || w->q->status == 400 || w->q->status >= 500)
        return;
    w->shown_count = 0;
    struct audit_event event = event_of(w, AUDIT_REFUSE, "history_refused");
    event.code = w->q->status;
    struct leaves l = {
        .job = {.priority = STORE_NORMAL, .run = put_leaves}, .events = &event, .n = 1};
    int r = store_submit_wait(w->h->deps.store, &l.job);
    if (r != 0)
        LOG(LOG_ALARM, "history", "refusal_not_recorded", log_error(r));
}

/* ---- one call ---- */

static int run(struct work *w)
{
    int r = audit_closed(w->h->deps.gate)
                ? history_refuse(w, 503, "log", "the access log is closed: nothing is shown")
                : query_parse(w);
    if (r == 0)
        r = reader_decide(w);
    if (r == 0)
        r = operations[w->q->operation].run(w);
    return r;
}

static void work_end(struct work *w)
{
    if (w->config)
        config_unref(w->config);
    arena_free(&w->arena);
    arena_reset(&w->worker->arena);
    sodium_memzero(w->hash_key, sizeof(w->hash_key));
    sodium_memzero(w->alias_key, sizeof(w->alias_key));
}

static void run_on(struct worker *worker, struct history_request *q)
{
    struct history *h = worker->history;
    struct work w = {.h = h,
                     .worker = worker,
                     .q = q,
                     .config = config_acquire(h->deps.config),
                     .deadline_us = clock_mono_us() + HISTORY_SLICE_MS * 1000};
    arena_init(&w.arena, QUERY_ARENA);
    q->status = 200;
    q->content_type = "application/json";
    buffer_clear(&q->answer);
    pthread_mutex_lock(&worker->busy);
    int r = run(&w);
    if (r == 0 && q->answer.error)
        r = history_refuse(&w, 500, "too_large", "the answer does not fit");
    if (r == SLUIS_EDENIED && q->status >= 400)
        record_refusal(&w);
    else if (r != 0) /* nothing of it leaves */
        problem(q, 503, error_word(r), "it could not be read or put on record");
    work_end(&w);
    pthread_mutex_unlock(&worker->busy);
}

void history_run(struct history *h, struct history_request *q)
{
    run_on(&h->workers[operations[q->operation].worker], q);
}

/* ---- workers ---- */

static struct history_request *take(struct worker *worker, bool *stopping)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&worker->lock);
    while (!worker->first && !worker->stopping)
        if (pthread_cond_timedwait(&worker->wake, &worker->lock, &until) != 0)
            break;
    struct history_request *q = (struct history_request *)worker->first;
    if (q) {
        worker->first = q->mail.next;
        worker->waiting--;
        if (!worker->first)
            worker->end = &worker->first;
    }
    *stopping = worker->stopping;
    pthread_mutex_unlock(&worker->lock);
    return q;
}

static void *work_loop(void *ctx)
{
    struct worker *worker = ctx;
    bool stopping = false;
    for (;;) {
        struct history_request *q = take(worker, &stopping);
        if (!q && stopping)
            return NULL;
        if (q && stopping)
            problem(q, 503, "stopping", "the gateway stops");
        else if (q)
            run_on(worker, q);
        if (q)
            q->done(q);
        else if (worker == &worker->history->workers[WORKER_SCANS] &&
                 clock_mono_ms() - worker->history->tidied_ms >= TIDY_EVERY_MS)
            note_tidy(worker->history, worker);
    }
}

void history_submit(struct history *h, struct history_request *q)
{
    struct worker *worker = &h->workers[operations[q->operation].worker];
    pthread_mutex_lock(&worker->lock);
    bool taken = worker->started && !worker->stopping && worker->waiting < HISTORY_QUEUE_MAX;
    if (taken) {
        q->mail.next = NULL;
        *worker->end = &q->mail;
        worker->end = &q->mail.next;
        worker->waiting++;
        pthread_cond_signal(&worker->wake);
    }
    pthread_mutex_unlock(&worker->lock);
    if (taken)
        return;
    problem(q, 503, "busy", "too many calls wait: come again");
    q->done(q);
}

static int worker_open(struct history *h, struct worker *worker)
{
    worker->history = h;
    worker->end = &worker->first;
    arena_init(&worker->arena, ARENA_MAX);
    pthread_mutex_init(&worker->lock, NULL);
    pthread_mutex_init(&worker->busy, NULL);
    pthread_cond_init(&worker->wake, NULL);
    int r = detect_scratch_new(&worker->scratch);
    if (r == 0)
        r = keyring_cache_new(h->deps.keyring, &worker->keys);
    if (r == 0)
        worker->started = pthread_create(&worker->thread, NULL, work_loop, worker) == 0;
    return r == 0 && !worker->started ? SLUIS_ENOMEM : r;
}

int history_new(const struct history_deps *deps, struct history **out)
{
    *out = NULL;
    struct history *h = calloc(1, sizeof(*h));
    if (!h)
        return SLUIS_ENOMEM;
    h->deps = *deps;
    h->tidied_ms = clock_mono_ms();
    pthread_rwlock_init(&h->place_lock, NULL);
    keyring_derive(deps->keyring, "history/conversation", h->conversation_key);
    keyring_derive(deps->keyring, "history/cursor", h->cursor_key);
    keyring_derive(deps->keyring, "history/tag", h->tag_key);
    int r = 0;
    for (unsigned i = 0; r == 0 && i < WORKERS; i++)
        r = worker_open(h, &h->workers[i]);
    if (r != 0) {
        history_free(h);
        return r;
    }
    *out = h;
    return 0;
}

void history_stop(struct history *h)
{
    for (unsigned i = 0; h && i < WORKERS; i++) {
        struct worker *worker = &h->workers[i];
        if (!worker->started)
            continue;
        pthread_mutex_lock(&worker->lock);
        worker->stopping = true;
        pthread_cond_signal(&worker->wake);
        pthread_mutex_unlock(&worker->lock);
        pthread_join(worker->thread, NULL);
        worker->started = false;
    }
}

void history_free(struct history *h)
{
    if (!h)
        return;
    history_stop(h);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker *worker = &h->workers[i];
        if (!worker->history)
            continue;
        detect_scratch_free(worker->scratch);
        if (worker->keys)
            keyring_cache_free(worker->keys);
        arena_free(&worker->arena);
        pthread_mutex_destroy(&worker->lock);
        pthread_mutex_destroy(&worker->busy);
        pthread_cond_destroy(&worker->wake);
    }
    pthread_rwlock_destroy(&h->place_lock);
    sodium_memzero(h->conversation_key, sizeof(h->conversation_key));
    sodium_memzero(h->cursor_key, sizeof(h->cursor_key));
    sodium_memzero(h->tag_key, sizeof(h->tag_key));
    free(h);
}

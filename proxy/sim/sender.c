#include "sender.h"

#include <stdio.h>
#include <stdlib.h>

#include "record.h"
#include "sluis/base/clock.h"
#include "tls.h"

#define SENDER_QUEUES 16      /* contacts served side by side, each on its own connection */
#define SENDER_TIMEOUT_S 20   /* Meta gives up on an answer after some seconds */
#define SENDER_BACKOFF_MAX 64 /* the longest pause, in first pauses */

struct job {
    struct job *next;
    char *body;
    size_t n;
    unsigned pause_ms, tries;
    int expect;
};
struct queue {
    struct sender *sender;
    struct client *client;
    struct event *timer;
    struct job *first, **last;
    unsigned backoff_ms;
    bool waiting; /* for the timer or an answer */
};
struct sender {
    struct sender_options options;
    struct queue queues[SENDER_QUEUES];
    size_t waiting, delivered, failed;
    void (*done)(void *ctx);
    void *ctx;
};

static void next(struct queue *q);

static void finish(struct queue *q, bool well)
{
    struct sender *s = q->sender;
    struct job *job = q->first;
    q->first = job->next;
    if (!q->first)
        q->last = &q->first;
    free(job->body);
    free(job);
    s->waiting--;
    *(well ? &s->delivered : &s->failed) += 1;
    q->backoff_ms = s->options.retry_first_ms;
    next(q);
    if (s->done)
        s->done(s->ctx);
}

static void pause_for(struct queue *q, unsigned ms)
{
    struct timeval tv = {ms / 1000, (long)(ms % 1000) * 1000};
    q->waiting = true;
    event_add(q->timer, &tv);
}

static void on_answer(struct client *client, int status, const struct http_message *m, void *ctx)
{
    (void)client;
    struct queue *q = ctx;
    struct sender *s = q->sender;
    struct job *job = q->first;
    q->waiting = false;
    record_line(s->options.record,
                json_pack("{sI si si so so}", "at", (json_int_t)clock_wall_ms(), "try",
                          (int)job->tries, "status", status, "retry_after",
                          m ? record_text(http_header(m, "retry-after")) : json_null(), "body",
                          record_bytes(span_of(job->body, job->n))));
    if (status == job->expect) {
        finish(q, true);
        return;
    }
    /* A 200 that was not expected cannot be taken back; nor does a try more change a wrong guess.
     */
    if (status == 200 || job->expect != 200 || job->tries >= s->options.tries) {
        fprintf(stderr, "sluis-sim: a post was answered %d, expected %d\n", status, job->expect);
        finish(q, false);
        return;
    }
    pause_for(q, q->backoff_ms);
    if (q->backoff_ms < s->options.retry_first_ms * SENDER_BACKOFF_MAX)
        q->backoff_ms *= 2;
}

static void send_first(struct queue *q)
{
    struct sender *s = q->sender;
    struct job *job = q->first;
    const struct target *t = s->options.target;
    char signature[SIGNATURE_SIZE], head[2048];
    signature_make(s->options.secret, span_of(job->body, job->n), signature);
    int n = snprintf(head, sizeof head,
                     "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: facebookexternalua\r\n"
                     "Accept: */*\r\nContent-Type: application/json\r\n"
                     "X-Hub-Signature-256: %s\r\nContent-Length: %zu\r\n\r\n",
                     t->path, t->authority, s->options.signature ? s->options.signature : signature,
                     job->n);
    char *all = malloc((size_t)n + job->n);
    if (!all)
        return;
    memcpy(all, head, (size_t)n);
    memcpy(all + n, job->body, job->n);
    job->tries++;
    q->waiting = true;
    if (client_send(q->client, span_of(all, (size_t)n + job->n)) < 0)
        pause_for(q, q->backoff_ms);
    free(all);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct queue *q = ctx;
    q->waiting = false;
    if (q->first)
        send_first(q);
}

static void next(struct queue *q)
{
    if (!q->first || q->waiting)
        return;
    pause_for(q, q->first->pause_ms);
}

struct sender *sender_new(struct event_base *base, const struct sender_options *options)
{
    struct sender *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->options = *options;
    for (size_t i = 0; i < SENDER_QUEUES; i++) {
        struct queue *q = &s->queues[i];
        *q = (struct queue){.sender = s, .backoff_ms = options->retry_first_ms, .last = &q->first};
        q->client = client_new(base, options->target, SENDER_TIMEOUT_S, on_answer, q);
        q->timer = evtimer_new(base, on_timer, q);
        if (!q->client || !q->timer) {
            sender_free(s);
            return NULL;
        }
    }
    return s;
}

void sender_free(struct sender *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < SENDER_QUEUES; i++) {
        struct queue *q = &s->queues[i];
        for (struct job *job = q->first, *after; job; job = after) {
            after = job->next;
            free(job->body);
            free(job);
        }
        client_free(q->client);
        if (q->timer)
            event_free(q->timer);
    }
    free(s);
}

int sender_post(struct sender *s, const char *contact, struct span body, unsigned pause_ms,
                int expect)
{
    unsigned hash = 5381;
    for (const char *c = contact; *c; c++)
        hash = hash * 33 + (unsigned char)*c;
    struct queue *q = &s->queues[hash % SENDER_QUEUES];
    struct job *job = calloc(1, sizeof *job);
    char *copy = malloc(body.n + 1);
    if (!job || !copy) {
        free(job);
        free(copy);
        return -1;
    }
    memcpy(copy, body.p, body.n);
    *job = (struct job){.body = copy, .n = body.n, .pause_ms = pause_ms, .expect = expect};
    *q->last = job;
    q->last = &job->next;
    s->waiting++;
    next(q);
    return 0;
}

size_t sender_waiting(const struct sender *s)
{
    return s->waiting;
}

size_t sender_delivered(const struct sender *s)
{
    return s->delivered;
}

size_t sender_failed(const struct sender *s)
{
    return s->failed;
}

void sender_on_done(struct sender *s, void (*fn)(void *ctx), void *ctx)
{
    s->done = fn;
    s->ctx = ctx;
}

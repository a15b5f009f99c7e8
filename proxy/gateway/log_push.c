/*
 * Checkpoints on their way out: POSTed to an HTTPS endpoint, dropped as mail. Called by the access
 * log's thread, which may wait; the requests run on a loop of their own, so that nothing else waits
 * for somebody else's server.
 */
#include "internal.h"

#include "sluis/base/clock.h"
#include "sluis/net/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PUSH_CONNECT_MS 5000
#define PUSH_ANSWER_MS 10000
#define PUSH_STOP_MS 3000            /* for all of them, when the gateway stops: the file has it */
#define PUSH_LOOK_MS 100             /* an errand under way sees within it that there is a hurry */
#define PUSH_ANSWER_MAX (64u * 1024) /* read and thrown away */
#define MAIL_EVERY_MS                                                                              \
    (3600 * 1000ll) /* a person reads these; the file and HTTPS go each minute                     \
                     */
#define MAIL_PATH_ROOM 4096

struct log_push {
    struct loop *loop;
    struct client *client;
    struct tls_context *tls;
    struct resolver *resolver; /* this room's own: the gateway's is made later */
    struct client_url url;
    char authorization[CONFIG_SECRET_MAX + 16];
    char *mail_folder, *mail_from, *mail_to;
    int64_t mailed_ms;          /* monotonic; 0: not yet */
    _Atomic int64_t stop_by_ms; /* monotonic; 0: no hurry */
};

struct errand {
    struct mail mail;
    struct log_push *push;
    struct span note;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool done;
    int result;
    struct mail cancel;
    bool cancelled, cancel_ran; /* asked for, by the thread that waits; the loop is through it */
    bool sent;      /* on the loop: `id` may be cancelled */
    uint64_t id;
};

static void finish(struct errand *e, int result)
{
    pthread_mutex_lock(&e->lock);
    e->result = result;
    e->done = true;
    pthread_cond_signal(&e->ready);
    pthread_mutex_unlock(&e->lock);
}

static void on_answer(const struct client_answer *answer, void *ctx)
{
    struct errand *e = ctx;
    e->sent = false;
    bool taken = answer->error == 0 && answer->head->status >= 200 && answer->head->status < 300;
    if (!taken)
        LOG(LOG_WARN, "audit", "push_refused",
            log_word("reason", answer->error ? client_failure_word(answer->failure) : "status"),
            log_u64("status", answer->error ? 0 : answer->head->status));
    finish(e, taken ? 0 : SLUIS_EIO);
}

static void on_loop(struct mail *mail)
{
    struct errand *e = (struct errand *)mail;
    const struct log_push *p = e->push;
    const struct http_field fields[] = {
        {SPAN("Content-Type"), SPAN("text/plain; charset=utf-8")},
        {SPAN("Authorization"), span_str(p->authorization)},
    };
    const struct client_request request = {
        .method = HTTP_POST,
        .url = &p->url,
        .fields = fields,
        .field_count = p->authorization[0] ? 2 : 1,
        .body = e->note,
        .answer_max = PUSH_ANSWER_MAX,
        .status_only = true,
        .done = on_answer,
        .ctx = e,
    };
    int r = client_send(p->client, &request, &e->id);
    e->sent = r == 0;
    if (r != 0)
        finish(e, r);
}

static void on_cancel(struct mail *mail)
{
    struct errand *e = (struct errand *)((char *)mail - offsetof(struct errand, cancel));
    if (e->sent)
        client_cancel(e->push->client, e->id);
    pthread_mutex_lock(&e->lock);
    e->result = e->done ? e->result : SLUIS_ETIMEOUT;
    e->done = e->cancel_ran = true;
    pthread_cond_signal(&e->ready);
    pthread_mutex_unlock(&e->lock);
}

/* True: the gateway stops, and its time is over. */
static bool too_late(struct log_push *p)
{
    int64_t by = atomic_load(&p->stop_by_ms);
    return by && clock_mono_ms() >= by;
}

void log_push_hurry(struct log_push *p)
{
    if (p)
        atomic_store(&p->stop_by_ms, clock_mono_ms() + PUSH_STOP_MS);
}

/* Under the lock of the errand. It is over only when the loop says so: the loop has its address. */
static void await(struct errand *e)
{
    while (!e->done || (e->cancelled && !e->cancel_ran)) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += PUSH_LOOK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&e->ready, &e->lock, &until);
        if (!e->done && !e->cancelled && too_late(e->push)) {
            e->cancelled = true;
            loop_post(e->push->loop, &e->cancel, on_cancel);
        }
    }
}

int log_push_https(void *ctx, struct span note)
{
    struct errand e = {.push = ctx, .note = note};
    pthread_condattr_t monotonic;
    if (too_late(ctx))
        return SLUIS_ETIMEOUT;
    pthread_mutex_init(&e.lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&e.ready, &monotonic);
    pthread_condattr_destroy(&monotonic);
    loop_post(e.push->loop, &e.mail, on_loop);
    pthread_mutex_lock(&e.lock);
    await(&e);
    pthread_mutex_unlock(&e.lock);
    pthread_cond_destroy(&e.ready);
    pthread_mutex_destroy(&e.lock);
    return e.result;
}

/* ---- mail ---- */

static void write_mail(const struct log_push *p, struct span note, int64_t now_ms,
                       struct buffer *out)
{
    char date[64];
    time_t now = (time_t)(now_ms / 1000);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &tm);
    buffer_addf(out,
                "From: %s\r\nTo: %s\r\nDate: %s\r\nMessage-ID: <%lld.checkpoint@sluis>\r\n"
                "Subject: Sluis: controlepunt van het toegangslogboek / access log checkpoint\r\n"
                "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                "Content-Transfer-Encoding: 8bit\r\nAuto-Submitted: auto-generated\r\n\r\n",
                p->mail_from, p->mail_to, date, (long long)now_ms);
    for (size_t at = 0; at < note.n;) {
        struct span line = span_from(note, at);
        size_t n = span_find(line, '\n');
        buffer_add(out, span_sub(line, 0, n));
        buffer_add(out, SPAN("\r\n"));
        at += n + 1;
    }
}

/* Under another name first: the mail system must not see half a message. */
static int drop_mail(const struct log_push *p, struct span text, int64_t now_ms, bool change)
{
    char temporary[MAIL_PATH_ROOM], name[MAIL_PATH_ROOM];
    snprintf(temporary, sizeof(temporary), "%s/.sluis-%lld.tmp", p->mail_folder, (long long)now_ms);
    snprintf(name, sizeof(name), "%s/sluis-%lld%s.eml", p->mail_folder, (long long)now_ms,
             change ? "-key" : "");
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0)
        return SLUIS_ESYS;
    bool good = true;
    while (good && text.n) {
        ssize_t n = write(fd, text.p, text.n);
        good = n > 0 || (n < 0 && errno == EINTR);
        text = n > 0 ? span_from(text, (size_t)n) : text;
    }
    good = fsync(fd) == 0 && good;
    close(fd);
    if (good && rename(temporary, name) == 0)
        return 0;
    unlink(temporary);
    return SLUIS_ESYS;
}

int log_push_mail(void *ctx, struct span note)
{
    struct log_push *p = ctx;
    struct buffer text;
    int64_t now = clock_mono_ms();
    bool change = key_change_is(note); /* said once, and then it must have gone */
    if (!change && p->mailed_ms && now - p->mailed_ms < MAIL_EVERY_MS)
        return 0;
    buffer_init(&text, 64 * 1024);
    write_mail(p, note, clock_wall_ms(), &text);
    int r = text.error ? text.error : drop_mail(p, buffer_span(&text), clock_wall_ms(), change);
    if (r == 0 && !change)
        p->mailed_ms = now;
    buffer_free(&text);
    return r;
}

/* ---- making and ending ---- */

static int copy(const char *text, char **out)
{
    *out = text ? strdup(text) : NULL;
    return text && !*out ? SLUIS_ENOMEM : 0;
}

static int open_https(struct log_push *p, const struct config_log_push *config, struct diag *diag)
{
    const struct tls_client_config tls = {.ca_file = config->https_ca};
    int r = client_url_parse(span_str(config->https_url), &p->url);
    if (r == 0)
        r = tls_client_new(&tls, &p->tls, diag);
    if (r == 0)
        r = resolver_new(&p->resolver);
    if (r == 0)
        r = resolver_add(p->resolver, p->url.host);
    if (r == 0)
        r = loop_new(&p->loop, GATEWAY_THREADS_MAX + 1);
    if (r != 0)
        return r;
    if (config->https_token.n)
        snprintf(p->authorization, sizeof(p->authorization), "Bearer %.*s",
                 (int)config->https_token.n, config->https_token.p);
    const struct client_config client = {.tls = p->tls,
                                         .resolver = p->resolver,
                                         .private_allowed = config->https_private,
                                         .user_agent = "sluis/" SLUIS_VERSION,
                                         .connections = 1,
                                         .connect_ms = PUSH_CONNECT_MS,
                                         .answer_ms = PUSH_ANSWER_MS};
    r = client_new(p->loop, &client, &p->client);
    return r ? r : loop_start(p->loop);
}

int log_push_open(const struct config_log_push *config, struct log_push **out, struct diag *diag)
{
    *out = NULL;
    if (!config->https_url && !config->mail_folder)
        return 0;
    struct log_push *p = calloc(1, sizeof(*p));
    if (!p)
        return SLUIS_ENOMEM;
    int r = copy(config->mail_folder, &p->mail_folder);
    if (r == 0)
        r = copy(config->mail_from, &p->mail_from);
    if (r == 0)
        r = copy(config->mail_to, &p->mail_to);
    if (r == 0 && p->mail_folder && access(p->mail_folder, W_OK | X_OK) != 0) {
        diag_set(diag, p->mail_folder, 0, 0, "mail cannot be dropped here: %s", strerror(errno));
        r = SLUIS_ESYS;
    }
    if (r == 0 && config->https_url)
        r = open_https(p, config, diag);
    *out = p;
    return r;
}

void log_push_close(struct log_push *p)
{
    if (!p)
        return;
    if (p->loop) {
        loop_stop(p->loop);
        loop_join(p->loop);
    }
    if (p->client)
        client_free(p->client);
    if (p->loop)
        loop_free(p->loop);
    if (p->resolver)
        resolver_free(p->resolver);
    tls_unref(p->tls);
    explicit_bzero(p->authorization, sizeof(p->authorization));
    free(p->mail_folder);
    free(p->mail_from);
    free(p->mail_to);
    free(p);
}

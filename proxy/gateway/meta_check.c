/*
 * Where do Meta's callbacks point? Whoever can change them takes the traffic round the gateway, so
 * every hour (and on `sluis doctor --meta`) the app's subscription and the number's override are
 * read; an address that is not ours is an alarm.
 */
#include "internal.h"

#include "sluis/base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_EVERY_MS (3600 * 1000)
#define CHECK_FIRST_MS (60 * 1000)
#define CHECK_WAIT_S 20
#define CHECK_ANSWER_MAX (256u * 1024)

enum callback { CHECK_OURS, CHECK_FOREIGN, CHECK_UNKNOWN };
static const char *const finding_words[] = {"ours", "foreign", "unknown"};

struct check {
    struct mail mail;
    struct gateway *gw;
    struct config *config;
    size_t channel;
    enum callback *findings; /* per channel */
    size_t n;
    bool waited; /* somebody waits on `ready` and frees */
    bool done;
    pthread_mutex_t lock;
    pthread_cond_t ready;
};

/* The callback of a channel is ours when it is /webhook/{app} at the meta listener's `url`. Without
 * that in the configuration nothing can be said. */
static bool is_ours(const struct config *config, const struct config_channel *channel,
                    struct span callback)
{
    char want[2048];
    int n = snprintf(want, sizeof(want), "%s/webhook/%s", config->listeners[CONFIG_META].url,
                     channel->app->name);
    return n > 0 && (size_t)n < sizeof(want) && span_is(callback, want);
}

static enum callback judge_answer(const struct config *config, const struct config_channel *channel,
                                  struct span body)
{
    struct arena arena;
    struct json_doc doc;
    struct span callback;
    enum callback found = CHECK_UNKNOWN;
    arena_init(&arena, 4 * CHECK_ANSWER_MAX);
    if (config->listeners[CONFIG_META].url && json_scan(&doc, body, &arena, NULL) == 0) {
        static const char *const paths[] = {"webhook_configuration.phone_number",
                                            "webhook_configuration.whatsapp_business_account",
                                            "webhook_configuration.application"};
        for (size_t i = 0; i < 3 && found == CHECK_UNKNOWN; i++) { /* phone > WABA > app */
            uint32_t node = json_path(&doc, 0, paths[i]);
            if (json_is(&doc, node, JSON_STRING) &&
                json_string(&doc, node, &arena, &callback) == 0 && callback.n)
                found = is_ours(config, channel, callback) ? CHECK_OURS : CHECK_FOREIGN;
        }
    }
    arena_free(&arena);
    return found;
}

static void check_next(struct check *c);

static void on_answer(const struct upstream_answer *answer, void *ctx)
{
    struct check *c = ctx;
    const struct config_channel *channel = &c->config->channels[c->channel];
    enum callback found = CHECK_UNKNOWN;
    if (answer->outcome == UPSTREAM_ANSWERED && answer->status == 200)
        found = judge_answer(c->config, channel, answer->body);
    c->findings[c->channel] = found;
    if (found == CHECK_FOREIGN)
        LOG(LOG_ALARM, "gateway", "foreign_callback", log_word("channel", channel->name));
    else if (found == CHECK_UNKNOWN)
        LOG(LOG_WARN, "gateway", "callback_not_known", log_word("channel", channel->name),
            log_u64("status", answer->outcome == UPSTREAM_ANSWERED ? answer->status : 0));
    c->channel++;
    check_next(c);
}

static void check_free(struct check *c)
{
    config_unref(c->config);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->ready);
    free(c->findings);
    free(c);
}

static void check_end(struct check *c)
{
    pthread_mutex_lock(&c->lock);
    bool waited = c->waited;
    c->done = true;
    pthread_cond_signal(&c->ready);
    pthread_mutex_unlock(&c->lock);
    if (!waited)
        check_free(c);
}

static void check_next(struct check *c)
{
    while (c->channel < c->n) {
        const struct config_channel *channel = &c->config->channels[c->channel];
        char target[256];
        int n = snprintf(target, sizeof(target), "/v24.0/%s?fields=webhook_configuration",
                         channel->phone_number_id);
        const struct upstream_request request = {.channel = channel,
                                                 .method = HTTP_GET,
                                                 .target = span_of(target, (size_t)n),
                                                 .answer_max = CHECK_ANSWER_MAX,
                                                 .repeatable = true,
                                                 .done = on_answer,
                                                 .ctx = c};
        if (upstream_send(c->gw->checker, &request) == 0)
            return;
        c->findings[c->channel++] = CHECK_UNKNOWN;
    }
    check_end(c);
}

static void on_check(struct mail *mail)
{
    check_next((struct check *)mail);
}

static struct check *check_new(struct gateway *gw, bool waited)
{
    struct check *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->gw = gw;
    c->config = config_acquire(gw->cell);
    c->n = c->config->channel_count;
    c->waited = waited;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->ready, NULL);
    c->findings = calloc(c->n ? c->n : 1, sizeof(*c->findings));
    if (!c->findings) {
        check_free(c);
        return NULL;
    }
    return c;
}

static void on_timer(void *ctx)
{
    struct gateway *gw = ctx;
    struct check *c = check_new(gw, false);
    loop_timer_set(gw->check_timer, CHECK_EVERY_MS);
    if (c)
        check_next(c);
}

int meta_check_start(struct gateway *gw)
{
    /* On an event thread: admin's own loop may wait for the answer. */
    int r = upstream_new(gw->loops[0], gw->resolver, &gw->checker);
    if (r == 0)
        r = loop_timer_new(gw->loops[0], on_timer, gw, &gw->check_timer);
    if (r == 0)
        loop_timer_set(gw->check_timer, CHECK_FIRST_MS);
    return r;
}

int meta_check_now(void *ctx, struct buffer *out)
{
    struct gateway *gw = ctx;
    struct check *c = check_new(gw, true);
    if (!c)
        return SLUIS_ENOMEM;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CHECK_WAIT_S * (time_t)(c->n ? c->n : 1);
    loop_post(gw->loops[0], &c->mail, on_check);
    pthread_mutex_lock(&c->lock);
    int waited = 0;
    while (!c->done && waited == 0)
        waited = pthread_cond_timedwait(&c->ready, &c->lock, &until);
    bool done = c->done;
    c->waited = done; /* not done: the check frees itself when it ends */
    pthread_mutex_unlock(&c->lock);
    if (!done)
        return SLUIS_ETIMEOUT;
    buffer_add_char(out, '[');
    for (size_t i = 0; i < c->n; i++) {
        buffer_addf(out, "%s{\"channel\":\"%s\",\"callback\":\"%s\"}", i ? "," : "",
                    c->config->channels[i].name, finding_words[c->findings[i]]);
    }
    buffer_add_char(out, ']');
    check_free(c);
    return out->error;
}

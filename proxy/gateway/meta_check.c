/*
 * Where do Meta's callbacks point? Whoever can change them takes the traffic round the gateway, so
 * every hour (and on `sluis doctor --meta`) each number's callback and the apps that are subscribed
 * to its account are read; an address that is not ours is an alarm, and so is a second app, which
 * gets everything too.
 */
#include "internal.h"

#include "sluis/base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_EVERY_MS (3600 * 1000)
#define CHECK_FIRST_MS (60 * 1000)
#define CHECK_ANSWER_MAX (256u * 1024)
#define CALLBACK_MAX 2048 /* of an address of ours */

enum callback { CHECK_UNKNOWN, CHECK_OURS, CHECK_FOREIGN };
static const char *const finding_words[] = {"unknown", "ours", "foreign"};

struct checked { /* of a channel */
    enum callback callback;
    bool apps_known;
    unsigned apps; /* subscribed to the account */
};

/* On loop 0; the answer to who asked goes by mail to admin's loop. */
struct check {
    struct mail mail;
    struct gateway *gw;
    struct config *config;
    size_t step; /* two a channel: its number, its account */
    struct checked *findings;
    void (*done)(void *done_ctx, int error, struct span json); /* NULL: the hourly one */
    void *done_ctx;
};

/* The callback of a channel is ours when it is /webhook/{app} at the meta listener's `url`. Without
 * that in the configuration nothing can be said: false. */
static bool expected(const struct config *config, const struct config_channel *channel,
                     char out[CALLBACK_MAX])
{
    const char *url = config->listeners[CONFIG_META].url;
    int n = url ? snprintf(out, CALLBACK_MAX, "%s/webhook/%s", url, channel->app->name) : 0;
    return n > 0 && n < CALLBACK_MAX;
}

static enum callback whose(const struct config *config, const struct config_channel *channel,
                           struct span callback)
{
    char want[CALLBACK_MAX];
    if (!expected(config, channel, want))
        return CHECK_UNKNOWN;
    return span_is(callback, want) ? CHECK_OURS : CHECK_FOREIGN;
}

static void read_number(struct check *c, const struct config_channel *channel,
                        const struct json_doc *doc, struct arena *arena, struct checked *f)
{
    static const char *const paths[] = {"webhook_configuration.phone_number",
                                        "webhook_configuration.whatsapp_business_account",
                                        "webhook_configuration.application"};
    struct span callback;
    for (size_t i = 0; i < 3 && f->callback == CHECK_UNKNOWN; i++) { /* phone > WABA > app */
        uint32_t node = json_path(doc, 0, paths[i]);
        if (json_is(doc, node, JSON_STRING) && json_string(doc, node, arena, &callback) == 0 &&
            callback.n)
            f->callback = whose(c->config, channel, callback);
    }
}

static void read_apps(struct check *c, const struct config_channel *channel,
                      const struct json_doc *doc, struct arena *arena, struct checked *f)
{
    uint32_t list = json_get(doc, 0, SPAN("data"));
    struct span callback;
    f->apps_known = json_is(doc, list, JSON_ARRAY);
    for (uint32_t app = json_first(doc, list); app != JSON_NONE; app = json_next(doc, app)) {
        uint32_t node = json_get(doc, app, SPAN("override_callback_uri"));
        f->apps++;
        if (json_is(doc, node, JSON_STRING) && json_string(doc, node, arena, &callback) == 0 &&
            callback.n && whose(c->config, channel, callback) == CHECK_FOREIGN)
            f->callback = CHECK_FOREIGN;
    }
}

static void check_next(struct check *c);

static const struct config_channel *channel_of(const struct check *c)
{
    return &c->config->channels[c->step / 2];
}

static void tell(const struct check *c)
{
    const struct checked *f = &c->findings[c->step / 2];
    const char *name = channel_of(c)->name;
    if (f->callback == CHECK_FOREIGN)
        LOG(LOG_ALARM, "gateway", "foreign_callback", log_word("channel", name));
    else if (f->callback == CHECK_UNKNOWN)
        LOG(LOG_WARN, "gateway", "callback_not_known", log_word("channel", name));
    if (f->apps > 1)
        LOG(LOG_ALARM, "gateway", "more_apps_subscribed", log_word("channel", name),
            log_u64("apps", f->apps));
    else if (f->apps_known && f->apps == 0)
        LOG(LOG_ALARM, "gateway", "no_app_subscribed", log_word("channel", name));
}

static void on_answer(const struct upstream_answer *answer, void *ctx)
{
    struct check *c = ctx;
    struct checked *f = &c->findings[c->step / 2];
    struct arena arena;
    struct json_doc doc;
    arena_init(&arena, 4 * CHECK_ANSWER_MAX);
    if (answer->outcome == UPSTREAM_ANSWERED && answer->status == 200 &&
        json_scan(&doc, answer->body, &arena, NULL) == 0)
        (c->step % 2 ? read_apps : read_number)(c, channel_of(c), &doc, &arena, f);
    arena_free(&arena);
    if (c->step % 2)
        tell(c);
    c->step++;
    check_next(c);
}

static void check_free(struct check *c)
{
    config_unref(c->config);
    free(c->findings);
    free(c);
}

static void write_findings(const struct check *c, struct buffer *out)
{
    buffer_add_char(out, '[');
    for (size_t i = 0; i < c->config->channel_count; i++) {
        const struct checked *f = &c->findings[i];
        buffer_addf(out, "%s{\"channel\":\"%s\",\"callback\":\"%s\",\"apps\":", i ? "," : "",
                    c->config->channels[i].name, finding_words[f->callback]);
        if (f->apps_known)
            buffer_addf(out, "%u", f->apps);
        else
            buffer_add(out, SPAN("null"));
        char want[CALLBACK_MAX];
        buffer_add(out, SPAN(",\"expected\":"));
        if (expected(c->config, &c->config->channels[i], want))
            json_quote(out, span_str(want));
        else
            buffer_add(out, SPAN("null"));
        buffer_add_char(out, '}');
    }
    buffer_add_char(out, ']');
}

/* Admin's loop. */
static void on_done(struct mail *mail)
{
    struct check *c = (struct check *)mail;
    struct buffer out;
    buffer_init(&out, CHECK_ANSWER_MAX);
    write_findings(c, &out);
    bool whole = c->step == 2 * c->config->channel_count && !out.error;
    c->done(c->done_ctx, whole ? 0 : SLUIS_ECLOSED, buffer_span(&out));
    buffer_free(&out);
    check_free(c);
}

static void check_end(struct check *c)
{
    if (c->done)
        loop_post(c->gw->admin_loop, &c->mail, on_done);
    else
        check_free(c);
}

static void check_next(struct check *c)
{
    struct upstream *checker = c->gw->checker; /* NULL: stopping */
    while (checker && c->step < 2 * c->config->channel_count) {
        const struct config_channel *channel = channel_of(c);
        char target[256];
        int n =
            c->step % 2
                ? snprintf(target, sizeof(target), "/v24.0/%s/subscribed_apps", channel->waba_id)
                : snprintf(target, sizeof(target), "/v24.0/%s?fields=webhook_configuration",
                           channel->phone_number_id);
        const struct upstream_request request = {.channel = channel,
                                                 .method = HTTP_GET,
                                                 .target = span_of(target, (size_t)n),
                                                 .answer_max = CHECK_ANSWER_MAX,
                                                 .repeatable = true,
                                                 .done = on_answer,
                                                 .ctx = c};
        if (upstream_send(checker, &request) == 0)
            return;
        if (c->step % 2)
            tell(c);
        c->step++;
    }
    check_end(c);
}

static void on_check(struct mail *mail)
{
    check_next((struct check *)mail);
}

static struct check *check_new(struct gateway *gw)
{
    struct check *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->gw = gw;
    c->config = config_acquire(gw->cell);
    c->findings = calloc(c->config->channel_count + 1, sizeof(*c->findings));
    if (!c->findings) {
        check_free(c);
        return NULL;
    }
    return c;
}

static void on_timer(void *ctx)
{
    struct gateway *gw = ctx;
    struct check *c = check_new(gw);
    loop_timer_set(gw->check_timer, CHECK_EVERY_MS);
    if (c)
        check_next(c);
}

int meta_check_start(struct gateway *gw)
{
    int r = upstream_new(gw->loops[0], gw->resolver, &gw->checker);
    if (r == 0)
        r = loop_timer_new(gw->loops[0], on_timer, gw, &gw->check_timer);
    if (r == 0)
        loop_timer_set(gw->check_timer, CHECK_FIRST_MS);
    return r;
}

void meta_check_stop(struct gateway *gw)
{
    struct upstream *checker = gw->checker;
    gw->checker = NULL; /* what its last answers call finds it gone */
    upstream_free(checker);
    loop_timer_cancel(gw->check_timer);
}

int meta_check_now(void *ctx, void (*done)(void *done_ctx, int error, struct span json),
                   void *done_ctx)
{
    struct gateway *gw = ctx;
    struct check *c = check_new(gw);
    if (!c)
        return SLUIS_ENOMEM;
    c->done = done;
    c->done_ctx = done_ctx;
    loop_post(gw->loops[0], &c->mail, on_check);
    return 0;
}

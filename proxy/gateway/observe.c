/* Policies that observe: the log says so every hour, and the moment the last day has ended the
 * policy that follows is taken by a reload. Should that fail, nothing is shown that policy would
 * mask: policy_observe is false by then, and the observing policy's own rules hold. */
#include "internal.h"

#include "sluis/base/clock.h"

#define SAY_EVERY_MS (60 * 60 * 1000)
#define LOOK_EVERY_MS (2 * 1000) /* a clock that is set, a machine that slept: noticed at once */
#define AGAIN_MS (60 * 1000)     /* a reload that failed: its alarm once a minute */
#define REFUSED_MS 1000          /* too many wait for theirs */

static void tell(const struct config_channel *channel)
{
    char until[CLOCK_RFC3339_SIZE];
    clock_rfc3339(policy_observe_until_ms(channel->policy), until);
    LOG(LOG_WARN, "gateway", "observing", log_word("channel", channel->name),
        log_word("policy", policy_name(channel->policy)), log_word("until", until),
        log_word("then", policy_name(channel->then)));
}

/* Milliseconds till something is to be done; *ended: an observing policy's time is over. */
static int64_t look(const struct config *config, bool say, bool *ended)
{
    const int64_t now = clock_wall_ms();
    int64_t next = LOOK_EVERY_MS;
    for (size_t i = 0; i < config->channel_count; i++) {
        const struct config_channel *channel = &config->channels[i];
        if (!channel->then)
            continue;
        int64_t left = policy_observe_until_ms(channel->policy) - now;
        if (left <= 0)
            *ended = true;
        else if (left < next)
            next = left;
        if (left > 0 && say)
            tell(channel);
    }
    return next;
}

static void on_reloaded(void *ctx, const struct reload_outcome *outcome)
{
    struct gateway *gw = ctx;
    if (outcome->error == 0)
        LOG(LOG_WARN, "gateway", "observing_ended");
    else if (outcome->ran)
        LOG(LOG_ALARM, "gateway", "observing_ended_without_policy",
            log_word("reason", outcome->diag.text));
    loop_timer_set(gw->observe_timer, outcome->error ? AGAIN_MS : LOOK_EVERY_MS);
}

static void on_timer(void *ctx)
{
    struct gateway *gw = ctx;
    struct config *config = config_acquire(gw->cell);
    const int64_t now = clock_mono_ms();
    bool say = now >= gw->observe_say_ms, ended = false;
    int64_t next = look(config, say, &ended);
    config_unref(config);
    if (say)
        gw->observe_say_ms = now + SAY_EVERY_MS;
    if (ended && reload_ask(gw, NULL, on_reloaded, gw) == 0)
        return; /* the timer is set when it is done */
    loop_timer_set(gw->observe_timer, ended ? REFUSED_MS : next);
}

int observe_start(struct gateway *gw)
{
    int r = loop_timer_new(gw->admin_loop, on_timer, gw, &gw->observe_timer);
    if (r == 0)
        loop_timer_set(gw->observe_timer, 0);
    return r;
}

/* livez, readyz, status, reload. */
#include "internal.h"

#include "sluis/base/clock.h"

#include <stdio.h>

#define ROUTES_SHOWN_MAX 4096

static const char *state_word(enum store_state state)
{
    static const char *const words[] = {"ready", "full", "broken", "sealed"};
    return words[state];
}

void admin_livez(struct admin_request *r)
{
    admin_answer(r->ex, 200, SPAN("text/plain"), SPAN("ok\n"));
}

/* Whoever asks whether all is well reads that nothing is masked. */
static void add_observing(struct admin_request *r, struct buffer *out)
{
    struct config *config = config_acquire(r->admin->deps.config);
    for (size_t i = 0; i < config->channel_count && out->n < 2048; i++) {
        const struct config_channel *c = &config->channels[i];
        char until[CLOCK_RFC3339_SIZE];
        if (!policy_observe(c->policy, clock_wall_ms()))
            continue;
        clock_rfc3339(policy_observe_until_ms(c->policy), until);
        buffer_addf(out, "observing until %s: channel %s, nothing is masked\n", until, c->name);
    }
    config_unref(config);
}

static void answer_ready(struct admin_request *r, bool meta, bool tools)
{
    struct store_status s;
    store_status(r->admin->deps.store, &s);
    const char *why = NULL;
    if (s.state != STORE_READY)
        why = state_word(s.state);
    else if (meta && !s.intake_allowed)
        why = "intake stopped: store over 90 %";
    else if (tools && !s.reads_allowed)
        why = "reads stopped: store over 95 %";
    else if (tools && audit_closed(r->admin->deps.gate))
        why = "the access log takes no records";
    struct buffer text;
    buffer_init(&text, 4096);
    buffer_addf(&text, "%s%s\n", why ? "not ready: " : "ok", why ? why : "");
    add_observing(r, &text);
    admin_answer(r->ex, why ? 503 : 200, SPAN("text/plain"),
                    text.error ? SPAN("not ready\n") : buffer_span(&text));
    buffer_free(&text);
}

void admin_readyz(struct admin_request *r)
{
    answer_ready(r, true, true);
}

void admin_readyz_meta(struct admin_request *r)
{
    answer_ready(r, true, false);
}

void admin_readyz_tools(struct admin_request *r)
{
    answer_ready(r, false, true);
}

static void add_channels(struct buffer *out, const struct config *config)
{
    buffer_add(out, SPAN(",\"channels\":["));
    for (size_t i = 0; i < config->channel_count; i++) {
        const struct config_channel *c = &config->channels[i];
        if (i)
            buffer_add_char(out, ',');
        buffer_add(out, SPAN("{\"name\":"));
        json_quote(out, span_str(c->name));
        buffer_add(out, SPAN(",\"policy\":"));
        json_quote(out, span_str(policy_name(c->policy)));
        buffer_addf(out, ",\"policy_hash\":\"%.16s\",\"media\":\"%s\",\"routes\":%zu",
                    policy_hash(c->policy), c->media_pass ? "pass" : "withhold", c->route_count);
        if (policy_observe(c->policy, clock_wall_ms())) {
            char until[CLOCK_RFC3339_SIZE];
            clock_rfc3339(policy_observe_until_ms(c->policy), until);
            buffer_addf(out, ",\"observing_until\":\"%s\",\"then\":", until);
            json_quote(out, span_str(policy_observe_then(c->policy)));
        }
        buffer_add_char(out, '}');
    }
    buffer_add_char(out, ']');
}

/* Without a worker or its models pictures are withheld, and this is where it is said. */
static void add_media(struct admin_request *r, struct buffer *out)
{
    struct media_status m = {.words = "withheld"};
    if (r->admin->deps.media)
        media_status(r->admin->deps.media, &m);
    buffer_add(out, SPAN(",\"pictures\":"));
    json_quote(out, span_str(m.words));
    buffer_addf(out, ",\"media\":{\"inspected\":%s,\"waiting\":%llu,\"bytes\":%llu}",
                m.inspector ? "true" : "false", (unsigned long long)m.waiting,
                (unsigned long long)m.bytes);
}

void admin_status(struct admin_request *r)
{
    struct buffer out;
    struct store_status s;
    store_status(r->admin->deps.store, &s);
    struct config *config = config_acquire(r->admin->deps.config);
    buffer_init(&out, ADMIN_ANSWER_MAX);
    buffer_addf(&out, "{\"version\":\"%s\",\"config_hash\":\"%.16s\"", SLUIS_VERSION, config->hash);
    buffer_addf(&out, ",\"store\":{\"state\":\"%s\",\"intake\":%s,\"reads\":%s",
                state_word(s.state), s.intake_allowed ? "true" : "false",
                s.reads_allowed ? "true" : "false");
    buffer_addf(&out, ",\"used\":%llu,\"size\":%llu,\"queued\":%llu,\"commits\":%llu}",
                (unsigned long long)s.bytes_used, (unsigned long long)s.bytes_size,
                (unsigned long long)s.queued, (unsigned long long)s.commits);
    const struct audit_gate *gate = r->admin->deps.gate;
    buffer_addf(&out, ",\"log\":{\"leaves\":%llu,\"refuses\":%s,\"owed\":%llu}",
                (unsigned long long)s.log_size, audit_closed(gate) ? "true" : "false",
                gate ? (unsigned long long)atomic_load(&gate->owed) : 0ull);
    add_media(r, &out);
    add_channels(&out, config);
    struct deliver_route_status *rows =
        arena_try(r->arena, ROUTES_SHOWN_MAX * sizeof(struct deliver_route_status));
    int n = rows ? deliver_status(r->admin->deps.deliver, rows, ROUTES_SHOWN_MAX) : 0;
    buffer_add(&out, SPAN(",\"routes\":["));
    for (int i = 0; i < n; i++) {
        const struct deliver_route_status *d = &rows[i];
        char name[2 * CONFIG_NAME_MAX + 2];
        admin_route_name(config, d->route, name);
        buffer_addf(&out, "%s{\"name\":\"%s\",\"state\":\"%s\"", i ? "," : "", name,
                    d->paused ? "paused" : "active");
        if (d->paused_by)
            buffer_addf(&out, ",\"paused_by\":\"%s\"", d->paused_by);
        buffer_addf(&out,
                    ",\"waiting\":%llu,\"awaiting_verdict\":%llu,\"in_flight\":%llu,\"parked\":%"
                    "llu,\"expired\":%llu,"
                    "\"delivered\":%llu}",
                    (unsigned long long)d->waiting, (unsigned long long)d->awaiting,
                    (unsigned long long)d->in_flight, (unsigned long long)d->parked,
                    (unsigned long long)d->expired, (unsigned long long)d->delivered);
    }
    buffer_add(&out, SPAN("]}"));
    config_unref(config);
    admin_json(r, 200, &out);
    buffer_free(&out);
}

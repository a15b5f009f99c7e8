/*
 * What is in force, said to operators at a start and after a reload: who listens where, which
 * policy holds for which channel, how long is kept what, where it lies. One line per thing, on the
 * log.
 */
#include "internal.h"

#include "sluis/base/buffer.h"
#include "sluis/base/clock.h"

#include <stdio.h>

#define TERMS_MAX 512 /* bytes of a list of terms */

static void add_term(struct buffer *out, const struct retention_rule *rule)
{
    static const struct {
        int64_t seconds;
        char unit;
    } units[] = {{365 * 86400, 'y'}, {86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    if (out->n)
        buffer_add_char(out, ' ');
    if (rule->never) {
        buffer_add_str(out, "never");
        return;
    }
    size_t i = 0;
    while (rule->keep_s % units[i].seconds || (i == 1 && rule->keep_s == units[1].seconds))
        i++; /* a day is written 24h, as everywhere */
    buffer_add_i64(out, rule->keep_s / units[i].seconds);
    buffer_add_char(out, units[i].unit);
    if (units[i].unit == 'm')
        buffer_add_str(out, "in"); /* as policies write minutes */
}

/* "never 24h 24h": the rules in their order. */
static void terms(const struct policy *policy, enum retention_part part, char out[TERMS_MAX])
{
    struct retention_rule rule;
    struct buffer list;
    buffer_init(&list, TERMS_MAX);
    for (size_t i = 0; policy_retention_at(policy, part, i, &rule) == 0; i++)
        add_term(&list, &rule);
    struct span text = list.error ? SPAN("(many)") : buffer_span(&list);
    snprintf(out, TERMS_MAX, "%.*s", (int)text.n, text.n ? text.p : "");
    buffer_free(&list);
}

static void tell_policy(const struct config *config, size_t at)
{
    const struct policy *policy = config->channels[at].policy;
    char originals[TERMS_MAX], history[TERMS_MAX], log[TERMS_MAX];
    for (size_t i = 0; i < at; i++)
        if (strcmp(policy_hash(config->channels[i].policy), policy_hash(policy)) == 0)
            return;
    terms(policy, RETENTION_ORIGINAL, originals);
    terms(policy, RETENTION_HISTORY, history);
    const struct retention_rule own = {.keep_s = policy_log_keep_s(policy)};
    struct buffer one;
    buffer_init(&one, TERMS_MAX);
    if (own.keep_s)
        add_term(&one, &own);
    snprintf(log, sizeof(log), "%.*s", (int)one.n, one.n ? one.p : "");
    buffer_free(&one);
    LOG(LOG_INFO, "gateway", "retention", log_word("policy", policy_name(policy)),
        log_word("originals", originals), log_word("history", history),
        log_word("log", log[0] ? log : "unlimited"));
}

static void tell_warning(void *ctx, const struct gateway_warning *w)
{
    char until[CLOCK_RFC3339_SIZE];
    (void)ctx;
    if (strcmp(w->word, "no_folder") == 0) {
        LOG(LOG_ALARM, "gateway", "control_unreachable", log_word("folder", w->file));
        return;
    }
    clock_rfc3339(w->until_s * 1000, until);
    bool soon = strcmp(w->word, "expires_soon") == 0;
    LOG(soon ? LOG_WARN : LOG_ALARM, "gateway", "certificate", log_word("listener", w->listener),
        log_word("state", w->word), log_word("file", w->file), log_word("until", until));
}

void announce_config(const struct config *config)
{
    char hash[17];
    struct diag diag = {.text = ""};
    for (size_t i = 0; i < config->channel_count; i++) {
        const struct config_channel *c = &config->channels[i];
        snprintf(hash, sizeof(hash), "%.16s", policy_hash(c->policy));
        LOG(LOG_INFO, "gateway", "channel", log_word("channel", c->name),
            log_word("policy", policy_name(c->policy)), log_word("policy_hash", hash),
            log_word("media", c->media_pass ? "pass" : "withhold"),
            log_u64("routes", c->route_count));
    }
    for (size_t i = 0; i < config->channel_count; i++)
        tell_policy(config, i);
    if (gateway_check(config, tell_warning, NULL, &diag) != 0)
        LOG(LOG_ALARM, "gateway", "files_changed", log_word("file", diag.file),
            log_word("reason", diag.text));
}

void announce_start(const struct gateway *gw, const struct config *config)
{
    struct store_status store;
    struct keyring_status keys;
    char hash[17];
    store_status(gw->store, &store);
    keyring_status(gw->keyring, &keys);
    for (unsigned i = 0; i < CONFIG_LISTENERS; i++) {
        const struct config_listener *l = &config->listeners[i];
        if (l->present)
            LOG(LOG_INFO, "gateway", "listening", log_word("listener", listen_name(i)),
                log_word("address", l->address),
                log_word("client_certificates", l->client_ca ? "required" : "no"));
    }
    LOG(LOG_INFO, "gateway", "listening", log_word("listener", "control"),
        log_word("address", config->control_path));
    LOG(LOG_INFO, "gateway", "store", log_word("path", config->store_path),
        log_u64("bytes_used", store.bytes_used), log_u64("bytes_size", store.bytes_size),
        log_u64("log_leaves", store.log_size));
    LOG(LOG_INFO, "gateway", "keyring", log_word("path", config->keys_path),
        log_word("root", keys.root), log_u64("generation", keys.generation));
    announce_config(config);
    snprintf(hash, sizeof(hash), "%.16s", config->hash);
    LOG(LOG_INFO, "gateway", "ready", log_u64("threads", gw->loop_count),
        log_word("version", SLUIS_VERSION), log_word("config", config->file),
        log_word("config_hash", hash));
}

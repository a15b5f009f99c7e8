/* Reload: everything new is built aside; it is in force whole or not at all. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

static int number(struct gateway *gw, enum store_name_kind kind, const char *name, uint16_t *out,
                  struct diag *diag)
{
    int r = store_name_id(gw->store, kind, span_str(name), out);
    if (r != 0)
        diag_set(diag, NULL, 0, 0, "no number for \"%s\" in the store: %s", name, error_word(r));
    return r;
}

int reload_prepare(struct gateway *gw, struct config *config, struct diag *diag)
{
    int r = 0;
    for (size_t c = 0; r == 0 && c < config->channel_count; c++) {
        struct config_channel *channel = &config->channels[c];
        r = number(gw, STORE_NAME_CHANNEL, channel->name, &channel->id, diag);
        for (size_t i = 0; r == 0 && i < channel->route_count; i++) {
            char name[2 * CONFIG_NAME_MAX + 2];
            snprintf(name, sizeof(name), "%s/%s", channel->name, channel->routes[i].name);
            r = number(gw, STORE_NAME_ROUTE, name, &channel->routes[i].id, diag);
        }
        if (r == 0 && (r = retention_prepare(gw->store, channel->policy)) != 0)
            diag_set(diag, NULL, 0, 0, "no retention classes for policy \"%s\": %s",
                     policy_name(channel->policy), error_word(r));
    }
    return r;
}

/* What only a restart can change: NULL or its name. The URLs of media in webhooks are made with the
 * public URL of the start. */
static const char *needs_restart(const struct config *now, const struct config *next)
{
    const char *a = now->public_url ? now->public_url : "";
    const char *b = next->public_url ? next->public_url : "";
    for (unsigned i = 0; i < CONFIG_LISTENERS; i++)
        if (now->listeners[i].connections != next->listeners[i].connections)
            return "listeners.*.connections";
    return strcmp(a, b) != 0 ? "public_url" : config_needs_restart(now, next);
}

/* On the thread of reloads (reloads.h), which may wait for the store, the disk and every loop. */
static int reload(struct gateway *gw, const char *author, struct reload_outcome *out)
{
    struct diag *diag = &out->diag;
    struct config *next = NULL;
    struct tls_context *contexts[CONFIG_LISTENERS];
    struct config *now = config_acquire(gw->cell);
    int r = config_load(gw->config_file, &next, diag);
    const char *fixed = r == 0 ? needs_restart(now, next) : NULL;
    if (fixed) {
        diag_set(diag, gw->config_file, 0, 0, "%s cannot change while running: restart", fixed);
        r = SLUIS_EINVAL;
    }
    if (r == 0)
        r = reload_prepare(gw, next, diag);
    if (r == 0 && (r = versions_judge(gw, now, next, author, diag)) != 0 && !diag->text[0])
        diag_set(diag, NULL, 0, 0, "the versions of policies cannot be kept: %s", error_word(r));
    if (r == 0 && (r = log_keep_set(gw, next)) != 0)
        diag_set(diag, NULL, 0, 0, "no class for the access log: %s", error_word(r));
    if (r == 0)
        r = pictures_judge_by(gw, next, diag);
    if (r == 0 && (r = listen_contexts(next, contexts, diag)) == 0) {
        r = record_in_force(gw, next, AUDIT_RELOAD, author ? author : "gateway", "reloaded");
        if (r != 0) {
            diag_set(diag, NULL, 0, 0, "the access log refuses: %s", error_word(r));
            for (unsigned i = 0; i < CONFIG_LISTENERS; i++)
                tls_unref(contexts[i]);
        }
    }
    if (r == 0) { /* from here on nothing fails */
        log_configure(next->log_level, next->log_form, 2);
        config_swap(gw->cell, next);
        listen_set_contexts(gw, contexts);
        deliver_reload(gw->deliver);
        if (versions_in_force(gw, next) != 0)
            LOG(LOG_ALARM, "gateway", "policy_in_force_not_written");
        announce_config(next);
        snprintf(out->config_hash, sizeof(out->config_hash), "%s", next->hash);
        LOG(LOG_INFO, "gateway", "reloaded", log_word("file", gw->config_file));
    } else {
        if (pictures_judge_by(gw, now, NULL) != 0) /* again, where the new one's came first */
            LOG(LOG_ALARM, "gateway", "pictures_wait_for_reload");
        if (next)
            config_unref(next);
        LOG(LOG_ERROR, "gateway", "not_reloaded", log_word("reason", diag->text),
            log_word("file", diag->file), log_u64("line", diag->line));
    }
    config_unref(now);
    return r;
}

static void run(void *ctx, const char *author, struct reload_outcome *out)
{
    out->error = reload(ctx, author, out);
}

int reload_open(struct gateway *gw)
{
    return reloads_new(gw->admin_loop, run, gw, &gw->reloads);
}

int reload_ask(void *ctx, const char *author,
               void (*done)(void *done_ctx, const struct reload_outcome *outcome), void *done_ctx)
{
    struct gateway *gw = ctx;
    return reloads_ask(gw->reloads, author, done, done_ctx);
}

void reload_on_signal(struct gateway *gw, unsigned uid)
{
    char author[ACCESS_NAME_SIZE];
    snprintf(author, sizeof(author), "operator:%u", uid);
    int r = reloads_ask(gw->reloads, author, NULL, NULL); /* logs what comes of it */
    if (r != 0)
        LOG(LOG_ERROR, "gateway", "not_reloaded", log_error(r));
}

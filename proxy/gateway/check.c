/* Whether what a configuration names would serve: certificates with their keys, authorities, dates.
 * For `sluis check` and `doctor`, and the log at a start. */
#include "internal.h"

#include "sluis/base/clock.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define SOON_S                                                                                     \
    (21 * 86400) /* Let's Encrypt renews 30 days before the end: by now that went wrong */

static void tell(const struct config_listener *l, const char *name, int64_t from_s, int64_t until_s,
                 void (*warn)(void *ctx, const struct gateway_warning *w), void *ctx)
{
    const int64_t now_s = clock_wall_ms() / 1000;
    char text[640], when[CLOCK_RFC3339_SIZE];
    struct gateway_warning w = {
        .listener = name, .file = l->certificate, .until_s = until_s, .text = text};
    clock_rfc3339((now_s < from_s ? from_s : until_s) * 1000, when);
    if (now_s > until_s) {
        w.word = "expired";
        snprintf(
            text, sizeof(text),
            "listener %s: the certificate in %s expired at %.19sZ: nobody connects until it is "
            "renewed (then: sluis reload)",
            name, l->certificate, when);
    } else if (now_s < from_s) {
        w.word = "not_yet_valid";
        snprintf(
            text, sizeof(text),
            "listener %s: the certificate in %s is valid from %.19sZ only: is the clock of this "
            "machine right?",
            name, l->certificate, when);
    } else if (until_s - now_s < SOON_S) {
        w.word = "expires_soon";
        snprintf(text, sizeof(text),
                 "listener %s: the certificate in %s expires at %.19sZ: renew it (then: sluis "
                 "reload)",
                 name, l->certificate, when);
    } else {
        return;
    }
    warn(ctx, &w);
}

/* Without it `serve` does not start. */
static void look_control(const char *path, void (*warn)(void *ctx, const struct gateway_warning *w),
                         void *ctx)
{
    char folder[PATH_MAX], text[PATH_MAX + 256];
    struct stat st;
    const char *slash = strrchr(path, '/');
    int n = snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) : 1,
                     slash ? path : ".");
    if (n < 0 || (size_t)n >= sizeof(folder) || slash == path)
        return;
    if (stat(folder, &st) != 0)
        snprintf(text, sizeof(text),
                 "control socket: %s: %s; without it the gateway does not start: make it (systemd "
                 "does, with RuntimeDirectory=)",
                 folder, strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        snprintf(text, sizeof(text), "control socket: %s is not a folder", folder);
    else
        return;
    const struct gateway_warning w = {
        .listener = "control", .file = folder, .word = "no_folder", .text = text};
    warn(ctx, &w);
}

static int authorities(const char *file, struct diag *diag)
{
    const struct tls_client_config client = {.ca_file = file};
    struct tls_context *context = NULL;
    int r = file ? tls_client_new(&client, &context, diag) : 0;
    tls_unref(context);
    return r;
}

static int channel_authorities(const struct config_channel *channel, struct diag *diag)
{
    int r = authorities(channel->upstream.ca_file, diag);
    for (size_t i = 0; r == 0 && i < channel->fetch_count; i++)
        r = authorities(channel->fetch[i].ca_file, diag);
    for (size_t i = 0; r == 0 && i < channel->route_count; i++)
        r = authorities(channel->routes[i].ca_file, diag);
    return r;
}

int gateway_check(const struct config *config,
                  void (*warn)(void *ctx, const struct gateway_warning *w), void *ctx,
                  struct diag *diag)
{
    struct tls_context *contexts[CONFIG_LISTENERS];
    int r = listen_contexts(config, contexts, diag);
    if (r != 0)
        return r;
    for (unsigned i = 0; i < CONFIG_LISTENERS; i++) {
        const struct config_listener *l = &config->listeners[i];
        int64_t from_s, until_s;
        tls_unref(contexts[i]);
        if (r == 0 && l->present &&
            (r = tls_certificate_dates(l->certificate, &from_s, &until_s, diag)) == 0 && warn)
            tell(l, listen_name(i), from_s, until_s, warn, ctx);
    }
    if (r == 0 && warn)
        look_control(config->control_path, warn, ctx);
    if (r == 0)
        r = authorities(config->log_push.https_ca, diag);
    for (size_t i = 0; r == 0 && i < config->channel_count; i++)
        r = channel_authorities(&config->channels[i], diag);
    return r;
}

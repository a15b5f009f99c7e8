/* `sluis check`: what `serve` would say, without serving. */
#include "internal.h"

#include "sluis/config.h"
#include "sluis/gateway.h"

#include <stdio.h>

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void say_error(const struct cli_call *call, const struct diag *d)
{
    char line[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
    if (!cli_has(call, "--json")) {
        fprintf(stderr, "%s\n", diag_line(d, line, sizeof(line)));
        return;
    }
    struct buffer out;
    buffer_init(&out, 16 * 1024);
    buffer_add(&out, SPAN("{\"valid\":false,\"file\":"));
    json_quote(&out, span_str(d->file));
    buffer_addf(&out, ",\"line\":%u,\"column\":%u,\"message\":", d->line, d->column);
    json_quote(&out, span_str(d->text));
    printf("%.*s}\n", (int)out.n, out.p);
    buffer_free(&out);
}

/* On standard error: what is found does not make the file invalid. */
static void say_warning(void *ctx, const struct gateway_warning *w)
{
    unsigned *n = ctx;
    ++*n;
    fprintf(stderr, "warning: %s\n", w->text);
}

int cmd_check(const struct cli_call *call)
{
    const char *file = cli_value(call, "--config", 0);
    struct config *config;
    struct diag diag = {.text = ""};
    unsigned warnings = 0;
    if (config_load(file ? file : CLI_CONFIG, &config, &diag) != 0) {
        say_error(call, &diag);
        return CLI_FAILED;
    }
    if (gateway_check(config, say_warning, &warnings, &diag) != 0) {
        say_error(call, &diag);
        config_unref(config);
        return CLI_FAILED;
    }
    size_t routes = 0;
    for (size_t i = 0; i < config->channel_count; i++)
        routes += config->channels[i].route_count;
    if (cli_has(call, "--json"))
        printf("{\"valid\":true,\"apps\":%zu,\"channels\":%zu,\"routes\":%zu,\"warnings\":%u,"
               "\"hash\":\"%.16s\"}\n",
               config->app_count, config->channel_count, routes, warnings, config->hash);
    else
        printf("%s: valid: %zu app%s, %zu channel%s, %zu route%s\n", config->file,
               config->app_count, plural(config->app_count), config->channel_count,
               plural(config->channel_count), routes, plural(routes));
    config_unref(config);
    return CLI_DONE;
}

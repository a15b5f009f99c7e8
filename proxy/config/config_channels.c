/* Sections apps and channels, and the policies that channels name. */
#include "config_room.h"

#include "sluis/base/clock.h"

#include <stdio.h>

#define DAY INT64_C(86400)
#define GRAPH_URL "https://graph.facebook.com"

/* ---- apps ---- */

static int load_app(const struct loader *l, const struct yaml_node *node, struct config_app *app)
{
    int error = config_take_name(l, node, node->key, &app->name);
    if (!error)
        error = config_check(l, node, CONFIG_KEYS_APP);
    if (!error)
        error = config_take_secret(l, yaml_get(node, "verify_token"), &app->verify_token);
    if (error)
        return error;
    const struct yaml_node *secrets = yaml_get(node, "app_secrets");
    size_t n = config_count(secrets);
    if (n < 1 || n > 2)
        return yaml_error_key(l->doc, secrets, l->diag,
                              "\"app_secrets\": expected one or two secrets, found %zu", n);
    size_t used = 0;
    for (const struct yaml_node *i = secrets->child; i && !error; i = i->next)
        error = config_take_secret(l, i, &app->secrets[used++]);
    return error;
}

int config_load_apps(const struct loader *l, const struct yaml_node *node)
{
    struct config *config = &l->snapshot->door;
    size_t n = config_count(node);
    if (!n || n > CONFIG_APPS_MAX)
        return yaml_error_key(l->doc, node, l->diag, "\"apps\": expected 1 to %d apps",
                              CONFIG_APPS_MAX);
    config->apps = arena_try_zero(&l->snapshot->arena, n * sizeof(*config->apps));
    if (!config->apps)
        return config_no_memory(l);
    int error = 0;
    for (const struct yaml_node *i = node->child; i && !error; i = i->next)
        error = load_app(l, i, &config->apps[config->app_count++]);
    return error;
}

/* ---- the policy of a channel ---- */

static int load_policy(const struct loader *l, const struct yaml_node *node, const char *name,
                       struct policy **out)
{
    char path[CONFIG_PATH_MAX + 1];
    struct snapshot *s = l->snapshot;
    int n = snprintf(path, sizeof(path), "%s/%s.yaml", l->policies, name);
    if (n < 0 || (size_t)n >= sizeof(path))
        return yaml_error(l->doc, node, l->diag, "\"policy\": its path is too long");
    if (s->policy_count == CONFIG_POLICIES_MAX)
        return yaml_error(l->doc, node, l->diag, "\"policy\": more than %d policies",
                          CONFIG_POLICIES_MAX);
    int error = policy_load_file(path, out, l->diag);
    struct yaml_quote quote;
    if (error == SLUIS_ENOENT) {
        yaml_error(l->doc, node, l->diag, "\"policy\": there is no file %s",
                   yaml_quote(&quote, path));
        return SLUIS_EINVAL;
    }
    if (error)
        return error;
    s->policies[s->policy_count++] = *out;
    if (strcmp(policy_name(*out), name) != 0) {
        diag_set(l->diag, path, 0, 0, "this policy is called \"%s\"; its file must have that name",
                 policy_name(*out));
        return SLUIS_EINVAL;
    }
    return 0;
}

/* Each policy is loaded once, however many channels name it. */
static int take_policy(const struct loader *l, const struct yaml_node *node, struct policy **out)
{
    const char *name;
    struct yaml_node at = *node; /* a wrong name is told at the value, not at the key */
    at.key = NULL;
    int error = config_take_name(l, &at, node->text, &name);
    if (error)
        return error;
    for (size_t i = 0; i < l->snapshot->policy_count; i++)
        if (strcmp(policy_name(l->snapshot->policies[i]), name) == 0) {
            *out = l->snapshot->policies[i];
            return 0;
        }
    return load_policy(l, node, name, out);
}

/* An observing policy: what follows it is loaded with it, so that a mistake there shows today, and
 * is taken once the last day has ended. */
static int take_observing(const struct loader *l, const struct yaml_node *node,
                          struct config_channel *channel)
{
    struct policy *policy = channel->policy;
    char path[CONFIG_PATH_MAX + 1];
    const int64_t now = clock_wall_ms(), until = policy_observe_until_ms(policy);
    if (!until)
        return 0;
    snprintf(path, sizeof(path), "%s/%s.yaml", l->policies, policy_name(policy));
    int error = policy_observe_check(policy, now, path, l->diag);
    struct yaml_node then = *node;
    then.text = policy_observe_then(policy);
    if (!error)
        error = take_policy(l, &then, &channel->then);
    if (!error && policy_observe_until_ms(channel->then))
        error = yaml_error(l->doc, node, l->diag,
                           "policy \"%s\" observes, and so does \"%s\", which follows it: name one "
                           "that masks",
                           policy_name(policy), policy_name(channel->then));
    if (!error && now >= until) {
        channel->policy = channel->then;
        channel->then = NULL;
    }
    return error;
}

/* ---- routes ---- */

static const char *const tolds[] = {"none", "erased", "expired", "both"};

static int load_route(const struct loader *l, const struct yaml_node *node,
                      const struct config_channel *channel, struct config_route *route)
{
    int error = config_take_name(l, node, node->key, &route->name);
    if (!error)
        error = config_check(l, node, CONFIG_KEYS_ROUTE);
    if (error)
        return error;
    route->policy = policy_route(channel->policy, route->name);
    if (!route->policy)
        return yaml_error_key(l->doc, node, l->diag, "policy \"%s\" has no route \"%s\"",
                              policy_name(channel->policy), route->name);
    if (channel->then && !policy_route(channel->then, route->name))
        return yaml_error_key(
            l->doc, node, l->diag, "policy \"%s\", which follows \"%s\", has no route \"%s\"",
            policy_name(channel->then), policy_name(channel->policy), route->name);
    route->one_per_post = route->private_allowed = true;
    route->keep_trying_s = 7 * DAY;
    error = config_take_bool(l, yaml_get(node, "one_per_post"), &route->one_per_post);
    if (!error)
        error = config_take_bool(l, yaml_get(node, "private"), &route->private_allowed);
    if (!error)
        error = config_take_bool(l, yaml_get(node, "needs_original"), &route->needs_original);
    if (!error)
        error =
            config_take_url(l, yaml_get(node, "url"), false, route->private_allowed, &route->url);
    if (!error)
        error = config_take_secret(l, yaml_get(node, "secret"), &route->secret);
    if (!error)
        error = config_take_file(l, yaml_get(node, "ca"), &route->ca_file);
    if (!error)
        error =
            config_take_fetch(l, yaml_get(node, "fetch_from"), &route->fetch, &route->fetch_count);
    if (!error)
        error = config_take_duration(l, yaml_get(node, "keep_trying"), 60, 7 * DAY, "1min to 7d",
                                     &route->keep_trying_s);
    const struct yaml_node *told = yaml_get(node, "told");
    size_t which = 0;
    if (!error && told)
        error = yaml_word(l->doc, told, tolds, sizeof(tolds) / sizeof(tolds[0]), &which, l->diag);
    route->told = (unsigned)which; /* none, erased, expired, both: two bits */
    return error;
}

static int load_routes(const struct loader *l, const struct yaml_node *node,
                       struct config_channel *channel)
{
    size_t n = config_count(node);
    if (n > CONFIG_CHANNEL_ROUTES_MAX)
        return yaml_error_key(l->doc, node, l->diag, "\"routes\": more than %d routes",
                              CONFIG_CHANNEL_ROUTES_MAX);
    if (!n)
        return 0;
    channel->routes = arena_try_zero(&l->snapshot->arena, n * sizeof(*channel->routes));
    if (!channel->routes)
        return config_no_memory(l);
    int error = 0;
    for (const struct yaml_node *i = node->child; i && !error; i = i->next)
        error = load_route(l, i, channel, &channel->routes[channel->route_count++]);
    return error;
}

/* ---- channels ---- */

static int load_upstream(const struct loader *l, const struct yaml_node *node,
                         struct config_upstream *upstream)
{
    static const char *const kinds[] = {"meta"};
    size_t kind = 0;
    int error = config_check(l, node, CONFIG_KEYS_UPSTREAM);
    if (!error)
        error = yaml_word(l->doc, yaml_get(node, "kind"), kinds, 1, &kind, l->diag);
    upstream->kind = UPSTREAM_META;
    upstream->base_url = GRAPH_URL;
    upstream->retry_s = 7 * DAY;
    if (!error)
        error = config_take_secret(l, yaml_get(node, "access_token"), &upstream->access_token);
    if (!error)
        error = config_take_bool(l, yaml_get(node, "private"), &upstream->private_allowed);
    const struct yaml_node *url = yaml_get(node, "base_url");
    if (!error && url)
        error = config_take_url(l, url, true, upstream->private_allowed, &upstream->base_url);
    if (!error)
        error = config_take_file(l, yaml_get(node, "ca"), &upstream->ca_file);
    if (!error)
        error = config_take_duration(l, yaml_get(node, "retry"), 3600, 7 * DAY, "1h to 7d",
                                     &upstream->retry_s);
    return error;
}

static int take_id(const struct loader *l, const struct yaml_node *node, const char **out)
{
    size_t n = strlen(node->text);
    if (!n || n > CONFIG_ID_MAX || strspn(node->text, "0123456789") != n)
        return yaml_error(l->doc, node, l->diag, "\"%s\": expected 1 to %d digits", node->key,
                          CONFIG_ID_MAX);
    *out = arena_try_str(&l->snapshot->arena, span_str(node->text));
    return *out ? 0 : config_no_memory(l);
}

static int unknown_app(const struct loader *l, const struct yaml_node *node)
{
    const char *words[CONFIG_APPS_MAX];
    for (size_t i = 0; i < l->snapshot->door.app_count; i++)
        words[i] = l->snapshot->door.apps[i].name;
    const char *near = yaml_nearest(node->text, words, l->snapshot->door.app_count);
    struct yaml_quote quote;
    return yaml_error(l->doc, node, l->diag, "no app is called %s%s%s%s",
                      yaml_quote(&quote, node->text), near ? "; did you mean \"" : "",
                      near ? near : "", near ? "\"?" : "");
}

static int take_number(const struct loader *l, const struct yaml_node *node,
                       struct config_channel *channel)
{
    int error = take_id(l, node, &channel->phone_number_id);
    if (error)
        return error;
    const struct config_channel *other = config_channel_by_number(
        &l->snapshot->door, channel->app, span_str(channel->phone_number_id));
    if (other)
        return yaml_error(l->doc, node, l->diag,
                          "\"phone_number_id\": channel \"%s\" of the same app has this number",
                          other->name);
    return 0;
}

static int load_channel(const struct loader *l, const struct yaml_node *node,
                        struct config_channel *channel)
{
    static const char *const medias[] = {"withhold", "pass"};
    size_t media = 0;
    int error = config_take_name(l, node, node->key, &channel->name);
    if (!error)
        error = config_check(l, node, CONFIG_KEYS_CHANNEL);
    if (error)
        return error;
    const struct yaml_node *app = yaml_get(node, "app");
    channel->app = config_app(&l->snapshot->door, span_str(app->text));
    if (!channel->app)
        return unknown_app(l, app);
    error = take_number(l, yaml_get(node, "phone_number_id"), channel);
    if (!error)
        error = take_id(l, yaml_get(node, "waba_id"), &channel->waba_id);
    if (!error)
        error = load_upstream(l, yaml_get(node, "upstream"), &channel->upstream);
    if (!error)
        error = take_policy(l, yaml_get(node, "policy"), &channel->policy);
    if (!error)
        error = take_observing(l, yaml_get(node, "policy"), channel);
    const struct yaml_node *media_node = yaml_get(node, "media");
    if (!error && media_node)
        error = yaml_word(l->doc, media_node, medias, 2, &media, l->diag);
    channel->media_pass = media == 1;
    if (!error)
        error = config_take_fetch(l, yaml_get(node, "fetch_from"), &channel->fetch,
                                  &channel->fetch_count);
    if (!error)
        error = config_take_duration(l, yaml_get(node, "answer_within"), 60, DAY, "1min to 24h",
                                     &channel->answer_within_s);
    if (!error)
        error = load_routes(l, yaml_get(node, "routes"), channel);
    return error;
}

int config_load_channels(const struct loader *l, const struct yaml_node *node)
{
    struct config *config = &l->snapshot->door;
    size_t n = config_count(node);
    if (!n || n > CONFIG_CHANNELS_MAX)
        return yaml_error_key(l->doc, node, l->diag, "\"channels\": expected 1 to %d channels",
                              CONFIG_CHANNELS_MAX);
    config->channels = arena_try_zero(&l->snapshot->arena, n * sizeof(*config->channels));
    if (!config->channels)
        return config_no_memory(l);
    int error = 0;
    for (const struct yaml_node *i = node->child; i && !error; i = i->next) {
        error = load_channel(l, i, &config->channels[config->channel_count]);
        config->channel_count++; /* after, so that a channel is not compared with itself */
    }
    return error;
}

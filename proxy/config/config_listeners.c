#include "config_room.h"

#define CONNECTIONS_DEFAULT 10000
#define CONNECTIONS_MAX 1000000

static const char *const kinds[CONFIG_LISTENERS] = {
    [CONFIG_META] = "meta", [CONFIG_TOOLS] = "tools", [CONFIG_ADMIN] = "admin"};

static int take_names(const struct loader *l, const struct yaml_node *node,
                      struct config_listener *listener)
{
    size_t n = config_count(node), used = 0;
    if (!node)
        return 0;
    if (!n || n > CONFIG_NAMES_MAX)
        return yaml_error_key(l->doc, node, l->diag, "expected 1 to %d host names",
                              CONFIG_NAMES_MAX);
    const char **names = arena_try_zero(&l->snapshot->arena, (n + 1) * sizeof(*names));
    if (!names)
        return config_no_memory(l);
    for (const struct yaml_node *i = node->child; i; i = i->next) {
        int error = yaml_expect(l->doc, i, YAML_WANT_TEXT, l->diag);
        if (error)
            return error;
        struct yaml_quote quote;
        if (config_host_kind(span_str(i->text)) == HOST_BAD)
            return yaml_error(l->doc, i, l->diag, "%s is not a host name",
                              yaml_quote(&quote, i->text));
        names[used] = arena_try_str(&l->snapshot->arena, span_str(i->text));
        if (!names[used++])
            return config_no_memory(l);
    }
    listener->names = names;
    return 0;
}

static int check_kind(const struct loader *l, const struct yaml_node *node,
                      enum config_listener_kind kind)
{
    static const struct {
        const char *key;
        enum config_listener_kind only;
    } only[] = {{"client_ca", CONFIG_META},
                {"client_cn", CONFIG_META},
                {"url", CONFIG_META}};
    for (size_t i = 0; i < sizeof(only) / sizeof(only[0]); i++) {
        const struct yaml_node *key = yaml_get(node, only[i].key);
        if (key && kind != only[i].only)
            return yaml_error_key(l->doc, key, l->diag, "\"%s\" is for the %s listener only",
                                  only[i].key, kinds[only[i].only]);
    }
    const struct yaml_node *names = yaml_get(node, "names");
    if (names && kind == CONFIG_META)
        return yaml_error_key(l->doc, names, l->diag, "\"names\" is not for the meta listener");
    const struct yaml_node *cn = yaml_get(node, "client_cn");
    if (cn && !yaml_get(node, "client_ca"))
        return yaml_error_key(l->doc, cn, l->diag, "\"client_cn\" needs client_ca");
    return 0;
}

static int load_listener(const struct loader *l, const struct yaml_node *node,
                         enum config_listener_kind kind, struct config_listener *out)
{
    int64_t connections = CONNECTIONS_DEFAULT;
    int error = config_check(l, node, CONFIG_KEYS_LISTENER);
    if (!error)
        error = check_kind(l, node, kind);
    if (!error)
        error = config_take_address(l, yaml_get(node, "address"), &out->address);
    if (!error)
        error = config_take_file(l, yaml_get(node, "certificate"), &out->certificate);
    if (!error)
        error = config_take_secret_path(l, yaml_get(node, "key"), &out->key_file);
    if (!error)
        error = config_take_file(l, yaml_get(node, "client_ca"), &out->client_ca);
    const struct yaml_node *cn = yaml_get(node, "client_cn");
    if (!error && cn) {
        out->client_cn = arena_try_str(&l->snapshot->arena, span_str(cn->text));
        error = !out->client_cn ? config_no_memory(l) : 0;
        if (!error && !cn->text[0])
            error = yaml_error(l->doc, cn, l->diag, "\"client_cn\": expected a common name");
    }
    const struct yaml_node *url = yaml_get(node, "url");
    if (!error && url) {
        struct span text = span_str(url->text), https = SPAN("https://");
        if (!span_starts(text, https) || text.n == https.n || text.p[text.n - 1] == '/')
            error = yaml_error(l->doc, url, l->diag,
                               "\"url\": expected https://HOST without a slash at the end");
        else if (!(out->url = arena_try_str(&l->snapshot->arena, text)))
            error = config_no_memory(l);
    }
    if (!error)
        error = take_names(l, yaml_get(node, "names"), out);
    const struct yaml_node *most = yaml_get(node, "connections");
    if (!error && most)
        error = yaml_number(l->doc, most, 1, CONNECTIONS_MAX, &connections, l->diag);
    out->connections = (unsigned)connections;
    out->present = true;
    return error;
}

/* Port 0 is any free port, and may be asked for twice. */
static bool same_address(const struct config_listener *a, const struct config_listener *b)
{
    return a->present && b->present && strcmp(a->address, b->address) == 0 &&
           !span_ends(span_str(a->address), SPAN(":0"));
}

int config_load_listeners(const struct loader *l, const struct yaml_node *node)
{
    struct config_listener *listeners = l->snapshot->door.listeners;
    int error = config_check(l, node, CONFIG_KEYS_LISTENERS);
    for (int k = 0; k < CONFIG_LISTENERS && !error; k++) {
        const struct yaml_node *one = yaml_get(node, kinds[k]);
        if (one)
            error = load_listener(l, one, (enum config_listener_kind)k, &listeners[k]);
        for (int e = 0; e < k && !error; e++)
            if (same_address(&listeners[e], &listeners[k]))
                error = yaml_error(l->doc, yaml_get(one, "address"), l->diag,
                                   "\"address\": the %s listener has this one", kinds[e]);
    }
    return error;
}

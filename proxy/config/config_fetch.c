/* fetch_from: where attachments by link may be fetched from. */
#include "config_room.h"

#define HTTPS_PORT 443

/* "cdn.example", "cdn.example:8443", "10.0.0.7", "[fd00::1]:8443" */
static int take_host(const struct loader *l, const struct yaml_node *node, struct config_fetch *out,
                     enum host_kind *kind)
{
    struct span text = span_str(node->text), host = text;
    struct yaml_quote quote;
    uint64_t port = HTTPS_PORT;
    size_t end = text.n && text.p[0] == '[' ? span_find(text, ']') + 1 : span_find(text, ':');
    bool good = end <= text.n;
    if (good && end < text.n) {
        host = span_sub(text, 0, end);
        good = text.p[end] == ':' && span_u64(span_from(text, end + 1), &port) == 0 && port > 0 &&
               port < 65536;
    }
    if (good && host.n > 2 && host.p[0] == '[')
        host = span_sub(host, 1, host.n - 1);
    *kind = good ? config_host_kind(host) : HOST_BAD;
    if (*kind == HOST_BAD)
        return yaml_error(l->doc, node, l->diag,
                          "%s is not a host, or a host, a colon and a port (no https://, no path)",
                          yaml_quote(&quote, node->text));
    out->port = (uint16_t)port;
    out->host = arena_try_str(&l->snapshot->arena, host);
    return out->host ? 0 : config_no_memory(l);
}

static int take_entry(const struct loader *l, const struct yaml_node *node,
                      struct config_fetch *out)
{
    enum host_kind kind;
    if (node->kind == YAML_SCALAR) {
        int error = take_host(l, node, out, &kind);
        if (!error && kind == HOST_LOCAL)
            error = yaml_error(l->doc, node, l->diag,
                               "a private address: write {host: %s, private: true}", node->text);
        return error;
    }
    int error = config_check(l, node, CONFIG_KEYS_FETCH);
    if (!error)
        error = config_take_bool(l, yaml_get(node, "private"), &out->private_allowed);
    if (!error)
        error = take_host(l, yaml_get(node, "host"), out, &kind);
    if (!error && kind == HOST_LOCAL && !out->private_allowed)
        error = yaml_error(l->doc, yaml_get(node, "host"), l->diag,
                           "a private address needs private: true");
    if (!error)
        error = config_take_file(l, yaml_get(node, "ca"), &out->ca_file);
    return error;
}

int config_take_fetch(const struct loader *l, const struct yaml_node *node,
                      struct config_fetch **out, size_t *count)
{
    size_t n = config_count(node);
    if (!node)
        return 0;
    if (!n || n > CONFIG_FETCH_MAX)
        return yaml_error_key(l->doc, node, l->diag, "\"fetch_from\": expected 1 to %d hosts",
                              CONFIG_FETCH_MAX);
    *out = arena_try_zero(&l->snapshot->arena, n * sizeof(**out));
    if (!*out)
        return config_no_memory(l);
    int error = 0;
    for (const struct yaml_node *i = node->child; i && !error; i = i->next)
        error = take_entry(l, i, &(*out)[(*count)++]);
    return error;
}

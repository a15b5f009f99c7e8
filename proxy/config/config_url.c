/* Addresses and URLs. Strict: what two readers could take for two hosts is refused. */
#include "config_room.h"

#include <arpa/inet.h>
#include <stdio.h>

#define HOST_MAX 253 /* bytes of a host name (RFC 1035, without the last dot) */
#define LABEL_MAX 63

static bool local_v4(const uint8_t a[4])
{
    return a[0] == 127 || a[0] == 10 || (a[0] == 172 && (a[1] & 0xf0) == 16) ||
           (a[0] == 192 && a[1] == 168) || (a[0] == 169 && a[1] == 254) ||
           (a[0] == 100 && (a[1] & 0xc0) == 64);
}

static bool local_v6(const uint8_t a[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, loopback[16] = {[15] = 1};
    if (memcmp(a, mapped, 12) == 0)
        return local_v4(a + 12);
    return memcmp(a, loopback, 16) == 0 || (a[0] & 0xfe) == 0xfc ||
           (a[0] == 0xfe && (a[1] & 0xc0) == 0x80);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Labels of letters, digits, - and _ (which tools in containers do use), joined by single dots; the
 * last one does not start with a digit, or it would be read as an address by some ("127.1"). */
static bool good_name(struct span host)
{
    size_t start = 0;
    if (!host.n || host.n > HOST_MAX)
        return false;
    for (size_t i = 0; i <= host.n; i++) {
        char c = i < host.n ? host.p[i] : '.';
        if (c == '.') {
            if (i == start || i - start > LABEL_MAX || host.p[start] == '-' || host.p[i - 1] == '-')
                return false;
            if (i == host.n)
                return !is_digit(host.p[start]);
            start = i + 1;
        } else if (!(is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                     c == '_')) {
            return false;
        }
    }
    return false;
}

enum host_kind config_host_kind(struct span host)
{
    char text[INET6_ADDRSTRLEN + 1];
    uint8_t address[16];
    if (!host.n)
        return HOST_BAD;
    if (host.p[0] == '[') {
        if (host.n < 4 || host.n - 2 >= sizeof(text) || host.p[host.n - 1] != ']')
            return HOST_BAD;
        memcpy(text, host.p + 1, host.n - 2);
        text[host.n - 2] = '\0';
        if (inet_pton(AF_INET6, text, address) != 1)
            return HOST_BAD;
        return local_v6(address) ? HOST_LOCAL : HOST_PUBLIC;
    }
    if (host.n < sizeof(text)) {
        memcpy(text, host.p, host.n);
        text[host.n] = '\0';
        if (inet_pton(AF_INET, text, address) == 1)
            return local_v4(address) ? HOST_LOCAL : HOST_PUBLIC;
    }
    if (!good_name(host))
        return HOST_BAD;
    return span_eq_nocase(host, SPAN("localhost")) ? HOST_LOCAL : HOST_NAME;
}

/* Splits "host", "host:port", "[v6]:port"; a port that is there is `least` to 65535. */
static bool split(struct span authority, uint64_t least, struct span *host, bool *has_port)
{
    size_t end = authority.n;
    if (authority.n && authority.p[0] == '[')
        end = span_find(authority, ']') + 1;
    else
        end = span_find(authority, ':');
    if (end > authority.n)
        return false;
    *host = span_sub(authority, 0, end);
    struct span rest = span_from(authority, end);
    *has_port = rest.n > 0;
    uint64_t port;
    return !rest.n || (rest.p[0] == ':' && rest.n <= 6 &&
                       span_u64(span_from(rest, 1), &port) == 0 && port >= least && port <= 65535);
}

int config_take_address(const struct loader *l, const struct yaml_node *node, const char **out)
{
    struct span host = SPAN_EMPTY;
    bool has_port = false;
    struct span text = span_str(node->text);
    bool good = split(text, 0, &host, &has_port) && has_port;
    enum host_kind kind = good ? config_host_kind(host) : HOST_BAD;
    struct yaml_quote quote;
    if (kind != HOST_LOCAL && kind != HOST_PUBLIC)
        good = false;
    if (span_eq_nocase(host, SPAN("localhost")))
        good = false;
    if (!good)
        return yaml_error(l->doc, node, l->diag,
                          "\"%s\": expected an address such as 0.0.0.0:443 or [::]:443, found %s",
                          node->key, yaml_quote(&quote, node->text));
    *out = arena_try_str(&l->snapshot->arena, text);
    return *out ? 0 : config_no_memory(l);
}

static int fault(const struct loader *l, const struct yaml_node *node, const char *what)
{
    return yaml_error(l->doc, node, l->diag, "\"%s\": %s", node->key, what);
}

/* What is wrong with scheme and host, or NULL. */
static const char *host_fault(struct span host, bool tls, bool private_allowed)
{
    enum host_kind kind = config_host_kind(host);
    if (kind == HOST_BAD)
        return "the host of this URL is neither a name nor an address";
    if (kind == HOST_LOCAL && !private_allowed)
        return "this is a private address: it needs private: true";
    if (!tls && kind != HOST_LOCAL)
        return "http is for localhost and private addresses only; use https";
    return NULL;
}

int config_take_url(const struct loader *l, const struct yaml_node *node, bool bare,
                    bool private_allowed, const char **out)
{
    struct span text = span_str(node->text);
    bool tls = span_starts(text, SPAN("https://"));
    if (!tls && !span_starts(text, SPAN("http://")))
        return fault(l, node, "expected a URL: https://HOST/PATH");
    if (text.n > CONFIG_URL_MAX)
        return fault(l, node, "this URL is longer than 2048 bytes");
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < 0x21 || text.p[i] > 0x7e || strchr("#\\\"<>", text.p[i]))
            return fault(l, node, "a URL has no spaces, no #, \\, \", <, > and only ASCII");
    struct span rest = span_from(text, tls ? 8 : 7);
    size_t end = strcspn(rest.p ? rest.p : "", "/?");
    struct span authority = span_sub(rest, 0, end), host = SPAN_EMPTY;
    bool has_port;
    if (span_find(authority, '@') < authority.n)
        return fault(l, node, "a URL with a user name or a password: use the tool's secret");
    if (!split(authority, 1, &host, &has_port))
        return fault(l, node, "the port of this URL is not a number from 1 to 65535");
    const char *bad = host_fault(host, tls, private_allowed);
    if (bad)
        return fault(l, node, bad);
    struct span path = span_from(rest, end);
    if (bare && path.n && !span_is(path, "/"))
        return fault(l, node, "expected scheme and host only, without a path");
    if (bare)
        text.n -= path.n;
    *out = arena_try_str(&l->snapshot->arena, text);
    return *out ? 0 : config_no_memory(l);
}

#include "sluis/net/client.h"

#include <arpa/inet.h>
#include <stdio.h>

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

/* "host", "host:port", "[v6]" or "[v6]:port"; no user information. */
static int parse_authority(struct span text, struct client_url *out)
{
    struct span host, port = SPAN_EMPTY;
    bool v6 = text.n && text.p[0] == '[';
    size_t end = span_find(text, v6 ? ']' : ':');
    if (v6) {
        if (end == text.n)
            return SLUIS_EINVAL;
        host = span_sub(text, 1, end);
        end++;
    } else {
        host = span_sub(text, 0, end);
    }
    bool has_port = end < text.n;
    if (has_port) {
        if (text.p[end] != ':')
            return SLUIS_EINVAL;
        port = span_from(text, end + 1);
    }
    if (host.n == 0 || host.n >= sizeof(out->host))
        return SLUIS_EINVAL;
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c + ('a' - 'A'));
        if (!is_host_char(c) && !(v6 && c == ':'))
            return SLUIS_EINVAL;
        out->host[i] = c;
    }
    out->host[host.n] = '\0';
    struct in6_addr address;
    if (v6 && inet_pton(AF_INET6, out->host, &address) != 1)
        return SLUIS_EINVAL;
    uint64_t number = out->https ? 443 : 80;
    if (has_port && (port.n > 5 || span_u64(port, &number) || number == 0 || number > 65535))
        return SLUIS_EINVAL;
    out->port = (uint16_t)number;
    const char *open = v6 ? "[" : "", *close = v6 ? "]" : "";
    if (number == (out->https ? 443 : 80))
        snprintf(out->authority, sizeof(out->authority), "%s%s%s", open, out->host, close);
    else
        snprintf(out->authority, sizeof(out->authority), "%s%s%s:%u", open, out->host, close,
                 (unsigned)out->port);
    return 0;
}

int client_url_parse(struct span text, struct client_url *out)
{
    *out = (struct client_url){0};
    if (span_starts(text, SPAN("https://")))
        out->https = true;
    else if (!span_starts(text, SPAN("http://")))
        return SLUIS_EINVAL;
    text = span_from(text, out->https ? 8 : 7);
    size_t end = 0;
    while (end < text.n && text.p[end] != '/' && text.p[end] != '?')
        end++;
    int r = parse_authority(span_sub(text, 0, end), out);
    if (r)
        return r;
    struct span target = span_from(text, end);
    size_t at = 0;
    if (target.n == 0 || target.p[0] == '?')
        out->target[at++] = '/';
    if (at + target.n >= sizeof(out->target))
        return SLUIS_ELIMIT;
    for (size_t i = 0; i < target.n; i++) {
        if (target.p[i] < 0x21 || target.p[i] > 0x7E || target.p[i] == '#')
            return SLUIS_EINVAL;
        out->target[at++] = target.p[i];
    }
    return 0;
}

const char *client_failure_word(enum client_failure failure)
{
    static const char *const words[] = {
        [CLIENT_FAIL_NONE] = "none",       [CLIENT_FAIL_RESOLVE] = "resolve",
        [CLIENT_FAIL_CONNECT] = "connect", [CLIENT_FAIL_TLS_NAME] = "tls_name",
        [CLIENT_FAIL_TLS] = "tls",         [CLIENT_FAIL_WRITE] = "write",
        [CLIENT_FAIL_ANSWER] = "answer",   [CLIENT_FAIL_TIMEOUT] = "timeout",
        [CLIENT_FAIL_CLOSED] = "closed",
    };
    return (unsigned)failure < sizeof(words) / sizeof(words[0]) ? words[failure] : "unknown";
}

/*
 * outbound.links. A link is what WhatsApp's clients may make one of: a
 * scheme and "://", or a bare domain ("gemeente.example/afspraak"). In doubt it is a link: a
 * sentence that lost its space is refused with the reason, a link that is missed is not.
 */
#include "policy_room.h"

#include "sluis/base/utf8.h"

#include <stdlib.h>

#define HOST_MAX 253 /* RFC 1035; a longer one is no host and on no list */

/* ---- loading ---- */

static bool is_alnum(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* A domain in lower case, perhaps with "*." before it. */
static bool is_domain(const char *text)
{
    size_t n = strlen(text), label = 0, dots = 0;
    if (strncmp(text, "*.", 2) == 0) {
        text += 2;
        n -= 2;
    }
    if (n > HOST_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        bool dot = text[i] == '.';
        bool edge = i == 0 || i + 1 == n || text[i - 1] == '.' || text[i + 1] == '.';
        if (dot ? label == 0 : !is_alnum((uint8_t)text[i]) && (text[i] != '-' || edge))
            return false;
        if (text[i] >= 'A' && text[i] <= 'Z')
            return false;
        label = dot ? 0 : label + 1;
        dots += dot;
        if (label > 63)
            return false;
    }
    return label > 0 && dots > 0;
}

int policy_load_links(const struct loader *l, const struct yaml_node *node)
{
    struct policy *policy = l->policy;
    if (!node)
        return 0;
    for (const struct yaml_node *i = node->child; i; i = i->next) {
        struct yaml_quote quote;
        if (i->kind != YAML_SCALAR || !is_domain(i->text))
            return yaml_error(l->doc, i, l->diag,
                              "%s is not a domain: lower case, as in gemeente.example, or "
                              "*.gemeente.example for what lies under it; no scheme, no path",
                              yaml_quote(&quote, i->kind == YAML_SCALAR ? i->text : ""));
    }
    policy->links_said = true;
    int error = policy_take_words(l, node, POLICY_LINKS_MAX, &policy->links, &policy->link_count);
    return error ? error : policy_take_reason(l, node, &policy->links_why, "outbound.links");
}

/* ---- the text in a plain form ---- */

enum { END = 0, SPACE = 1 }; /* SPACE: whatever ends a word for clients */

struct reader {
    struct span text;
    size_t at;
};

/* Characters that no one sees and that clients and servers may leave out. */
static bool is_invisible(uint32_t c)
{
    return c == 0xad || (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || (c >= 0xfe00 && c <= 0xfe0f) || c == 0xfeff ||
           c == 0x34f || c == 0x180e;
}

/* Punctuation and signs beyond ASCII end a word; letters beyond ASCII are part of it. */
static bool is_break(uint32_t c)
{
    return c <= 0x20 || c == 0x7f ||
           (c >= 0x80 && c < 0xc0 && c != 0xaa && c != 0xb5 && c != 0xba) ||
           (c >= 0x2000 && c <= 0x2bff) || (c >= 0x3000 && c <= 0x303f) || c >= 0x1f000;
}

/* The next character in plain form; END at the end. */
static uint32_t next_char(struct reader *r)
{
    while (r->at < r->text.n) {
        uint32_t c = 0;
        unsigned used = utf8_decode(span_from(r->text, r->at), &c);
        r->at += used ? used : 1;
        if (!used)
            return 0xfffd;
        if (is_invisible(c))
            continue;
        if (c >= 0xff01 && c <= 0xff5e) /* full width */
            c -= 0xff01 - 0x21;
        if (c == 0x3002 || c == 0xff61) /* full stops that IDNA takes for a dot */
            c = '.';
        return is_break(c) ? SPACE : c;
    }
    return END;
}

/* ---- judging ---- */

struct word { /* a run of host characters, as ASCII; other letters are '?' */
    char text[HOST_MAX + 3];
    size_t n;
    bool too_long;
    uint32_t before, before_at, after; /* the characters round it; before_at: the one before an @ */
};

static bool is_host_char(uint32_t c)
{
    return is_alnum(c) || c == '-' || c == '_' || c == '.' || c >= 0x80;
}

static void add_char(struct word *w, uint32_t c)
{
    if (w->n > HOST_MAX)
        w->too_long = true;
    else
        w->text[w->n++] = c < 0x80 ? (char)c : '?';
    w->text[w->n] = '\0';
}

static bool listed(const struct policy *policy, const char *host)
{
    size_t n = strlen(host);
    for (size_t i = 0; i < policy->link_count; i++) {
        const char *entry = policy->links[i];
        size_t want = strlen(entry);
        if (entry[0] == '*') { /* what ends in ".gemeente.example" */
            if (n > want - 1 && strcmp(host + n - (want - 1), entry + 1) == 0)
                return true;
        } else if (strcmp(host, entry) == 0) {
            return true;
        }
    }
    return false;
}

static int by_word(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

static bool is_file_ending(const char *label)
{
    static const char *const endings[] = {"pdf", "doc",  "docx", "xls",  "xlsx",
                                          "odt", "ods",  "jpg",  "jpeg", "png",
                                          "gif", "heic", "txt",  "csv",  "xml"};
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
        if (strcmp(label, endings[i]) == 0)
            return true;
    return false;
}

static void lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text | 0x20);
}

/* Would a client make a link of these host characters? */
static bool looks_like_host(const struct word *w)
{
    const char *dot = strrchr(w->text, '.');
    if (w->too_long)
        return strchr(w->text, '.') != NULL;
    if (!dot || dot == w->text)
        return false;
    size_t n = strlen(dot + 1), digits = strspn(w->text, "0123456789."), dots = 0;
    for (const char *c = w->text; *c; c++)
        dots += *c == '.';
    if (digits == w->n)
        return dots == 3; /* an address */
    bool goes_on = w->after == '/' || w->after == ':' || w->after == '?' || w->after == '#';
    if (n < 2 || strspn(dot + 1, "0123456789_-") == n)
        return false; /* "i.v.m", "1.500", "v2.10" */
    if (goes_on && w->after != ':' && w->after != '?')
        return true;
    char label[HOST_MAX + 3];
    memcpy(label, dot + 1, n + 1);
    lower(label);
    if (n == 2 || bsearch(label, policy_tlds, policy_tld_count, sizeof(policy_tlds[0]), by_word))
        return true;
    bool sentence = dot[1] >= 'A' && dot[1] <= 'Z'; /* "morgen.Tot dan" */
    return !sentence && !is_file_ending(label);
}

static void tell(char *host, size_t size, const char *text)
{
    size_t n = strlen(text);
    n = n < size ? n : size - 1;
    for (size_t i = 0; i < n; i++) /* fit for an answer and a log line */
        host[i] = text[i] > 0x20 && text[i] < 0x7f ? text[i] : '?';
    host[n] = '\0';
}

/* Behind "scheme://": everything up to the path must be a listed domain, perhaps with a port. */
static bool authority_allowed(const struct policy *policy, struct reader *r, uint32_t *c,
                              char *host, size_t size)
{
    struct word w = {.n = 0};
    bool port = false, good = true;
    for (; *c != END && *c != SPACE && !strchr("/?#\"<>", (int)(*c < 0x80 ? *c : 'x'));
         *c = next_char(r)) {
        if (*c == ':' && !port)
            port = true;
        else if (port ? *c < '0' || *c > '9' : !is_host_char(*c))
            good = false; /* user@, %2e, \ and others that programs read differently */
        if (!port || !good)
            add_char(&w, *c);
    }
    lower(w.text);
    if (good && !w.too_long && listed(policy, w.text))
        return true;
    tell(host, size, w.n ? w.text : "?");
    return false;
}

/* The rest of a link that was allowed belongs to it. */
static void skip_path(struct reader *r, uint32_t *c)
{
    while (*c != END && *c != SPACE && *c < 0x80 && !strchr("\"<>()[]{}|\\^`'", (int)*c))
        *c = next_char(r);
}

bool policy_links_allowed(const struct policy *policy, struct span text, char *host, size_t size)
{
    struct reader r = {text, 0};
    uint32_t before = SPACE, before_at = SPACE;
    host[0] = '\0';
    if (!policy->links_said)
        return true;
    for (uint32_t c = next_char(&r); c != END;) {
        if (!is_host_char(c)) {
            before_at = before;
            before = c;
            c = next_char(&r);
            continue;
        }
        struct word w = {.before = before, .before_at = before_at};
        for (; c != END && is_host_char(c); c = next_char(&r))
            add_char(&w, c);
        while (w.n && !w.too_long && w.text[w.n - 1] == '.') /* the end of a sentence */
            w.text[--w.n] = '\0';
        w.after = c;
        before_at = before;
        before = w.n ? (uint8_t)w.text[w.n - 1] : SPACE;
        if (c == ':') {
            struct reader ahead = r;
            if (next_char(&ahead) == '/' && next_char(&ahead) == '/') {
                r = ahead;
                lower(w.text);
                bool web = strcmp(w.text, "https") == 0 || strcmp(w.text, "http") == 0;
                c = next_char(&r);
                if (!web) {
                    tell(host, size, w.text);
                    return false;
                }
                if (!authority_allowed(policy, &r, &c, host, size))
                    return false;
                skip_path(&r, &c);
                before = before_at = SPACE;
                continue;
            }
        }
        bool mail = w.before == '@' && w.before_at != SPACE && c != '/';
        if (mail || !looks_like_host(&w))
            continue;
        lower(w.text);
        if (w.too_long || !listed(policy, w.text)) {
            tell(host, size, w.text);
            return false;
        }
        if (c == '/') /* behind a bare domain nothing else surely belongs to it */
            skip_path(&r, &c);
        before = before_at = SPACE;
    }
    return true;
}

bool policy_link_host_allowed(const struct policy *policy, struct span host)
{
    char text[HOST_MAX + 1];
    if (!policy->links_said)
        return true;
    if (host.n == 0 || host.n > HOST_MAX || memchr(host.p, '\0', host.n))
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    lower(text);
    return listed(policy, text);
}

struct policy_reason policy_why_links(const struct policy *policy)
{
    return policy->links_said ? policy->links_why : (struct policy_reason){"", 0};
}

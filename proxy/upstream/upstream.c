/*
 * The Graph client: one pooled HTTP client per base address and loop, the channel's own token, and
 * the truth about what left. The only file that knows Meta's hosts.
 */
#include "sluis/upstream.h"

#include "sluis/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define UPSTREAM_CLIENTS_MAX 64        /* distinct CA files; each client pools per origin */
#define UPSTREAM_ANSWER_MAX (1u << 20) /* unless the request says otherwise */
#define UPSTREAM_ANSWER_MS 30000
#define UPSTREAM_CONNECT_MS 5000
_Static_assert(UPSTREAM_CONNECT_MS + UPSTREAM_ANSWER_MS < UPSTREAM_BUDGET_MS, "see upstream.h");
/* lookaside refuses user agents it does not know; this one is accepted (whatsapp section 4). */
#define UPSTREAM_USER_AGENT "node"

/* Where Meta serves Graph and media from. A leading dot: any name below it. */
static const char *const meta_hosts[] = {".facebook.com", ".fbsbx.com", ".fbcdn.net",
                                         ".whatsapp.net"};

/* Plain http has no context and shares the client of the system's CAs. */
struct upstream_client {
    char *ca_file; /* NULL: the system's */
    bool private_allowed;
    struct tls_context *tls;
    struct client *client;
};

struct upstream {
    struct loop *loop;
    struct resolver *resolver;
    struct upstream_client clients[UPSTREAM_CLIENTS_MAX];
    unsigned count;
};

struct call {
    struct upstream *upstream;
    struct client *client;
    struct client_url url;
    struct buffer target, authorization, content_type, body;
    enum http_method method;
    uint64_t answer_max;
    int64_t due_ms;
    bool repeatable, repeated;
    uint64_t body_length;
    void (*more)(void *ctx);
    int (*data)(void *ctx, const struct http_head *head, struct span bytes);
    struct upstream_ticket *ticket;
    void (*done)(const struct upstream_answer *answer, void *ctx);
    void *ctx;
};

static bool host_is_metas(const char *host)
{
    size_t n = strlen(host);
    for (size_t i = 0; i < sizeof(meta_hosts) / sizeof(meta_hosts[0]); i++) {
        size_t m = strlen(meta_hosts[i]);
        if (n > m && strcasecmp(host + n - m, meta_hosts[i]) == 0)
            return true;
        if (strcasecmp(host, meta_hosts[i] + 1) == 0)
            return true;
    }
    return false;
}

bool upstream_is_meta_url(struct span text)
{
    struct client_url url;
    return client_url_parse(text, &url) == 0 && host_is_metas(url.host);
}

int upstream_new(struct loop *loop, struct resolver *resolver, struct upstream **out)
{
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return SLUIS_ENOMEM;
    (*out)->loop = loop;
    (*out)->resolver = resolver;
    return 0;
}

void upstream_free(struct upstream *u)
{
    if (!u)
        return;
    for (unsigned i = 0; i < u->count; i++) {
        client_free(u->clients[i].client);
        tls_unref(u->clients[i].tls);
        free(u->clients[i].ca_file);
    }
    free(u);
}

static bool same_ca(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static int open_client(struct upstream *u, struct upstream_client *c,
                       const struct config_upstream *facts)
{
    const char *ca_file = facts->ca_file;
    struct diag diag = {.text = ""};
    const struct tls_client_config tls = {.ca_file = ca_file};
    int r = tls_client_new(&tls, &c->tls, &diag);
    if (r != 0)
        LOG(LOG_ERROR, "upstream", "tls", log_error(r));
    const struct client_config config = {.tls = c->tls,
                                         .resolver = u->resolver,
                                         .private_allowed = facts->private_allowed,
                                         .user_agent = UPSTREAM_USER_AGENT,
                                         .connect_ms = UPSTREAM_CONNECT_MS,
                                         .answer_ms = UPSTREAM_ANSWER_MS};
    if (r == 0)
        r = client_new(u->loop, &config, &c->client);
    if (r == 0 && ca_file && !(c->ca_file = strdup(ca_file)))
        r = SLUIS_ENOMEM;
    c->private_allowed = facts->private_allowed;
    return r;
}

/* One client per CA and leave to go to private addresses. Media come from many hosts: origins are
 * the client's own matter, and it forgets those it has no connection to. */
static int client_for(struct upstream *u, const struct config_upstream *facts,
                      const struct client_url *url, struct client **out)
{
    int r = u->resolver ? resolver_add(u->resolver, url->host) : 0;
    if (r != 0)
        return r;
    for (unsigned i = 0; i < u->count; i++) {
        if (same_ca(u->clients[i].ca_file, facts->ca_file) &&
            u->clients[i].private_allowed == facts->private_allowed) {
            *out = u->clients[i].client;
            return 0;
        }
    }
    if (u->count == UPSTREAM_CLIENTS_MAX)
        return SLUIS_ELIMIT;
    struct upstream_client *c = &u->clients[u->count];
    memset(c, 0, sizeof(*c));
    r = open_client(u, c, facts);
    if (r != 0) {
        if (c->client)
            client_free(c->client);
        tls_unref(c->tls);
        free(c->ca_file);
        return r;
    }
    u->count++;
    *out = c->client;
    return 0;
}

static void call_free(struct call *c)
{
    buffer_free(&c->target);
    buffer_free(&c->authorization); /* wiped: it holds the token */
    buffer_free(&c->content_type);
    buffer_free(&c->body);
    free(c);
}

static int send_call(struct call *c, bool fresh);

static void on_answer(const struct client_answer *a, void *ctx)
{
    struct call *c = ctx;
    if (a->error != 0 && a->stale && c->repeatable && !c->repeated) {
        c->repeated = true;
        if (send_call(c, true) == 0)
            return;
    }
    struct upstream_answer answer = {.outcome = UPSTREAM_ANSWERED};
    struct span coding = a->head ? http_field(a->head, SPAN("Content-Encoding")) : SPAN_EMPTY;
    if (a->error == 0 && coding.n && !span_eq_nocase(coding, SPAN("identity"))) {
        answer.outcome = UPSTREAM_UNKNOWN; /* asked for none: what it says cannot be read */
        LOG(LOG_WARN, "upstream", "no_answer", log_word("failure", "content_encoding"));
    } else if (a->error != 0) {
        answer.outcome = a->sent ? UPSTREAM_UNKNOWN : UPSTREAM_NOT_SENT;
        LOG(LOG_WARN, "upstream", "no_answer", log_word("failure", client_failure_word(a->failure)),
            log_u64("sent", a->sent));
    } else {
        answer.status = a->head->status;
        answer.head = a->head;
        answer.content_type = http_field(a->head, SPAN("Content-Type"));
        answer.body = a->body;
    }
    c->done(&answer, c->ctx);
    call_free(c);
}

static void on_more(void *ctx)
{
    struct call *c = ctx;
    c->more(c->ctx);
}

static int on_data(void *ctx, const struct http_head *head, struct span bytes)
{
    struct call *c = ctx;
    struct span coding = http_field(head, SPAN("Content-Encoding"));
    if (coding.n && !span_eq_nocase(coding, SPAN("identity")))
        return SLUIS_EINVAL; /* asked for none */
    return c->data(c->ctx, head, bytes);
}

static int send_call(struct call *c, bool fresh)
{
    struct http_field fields[2];
    unsigned n = 0;
    fields[n++] = (struct http_field){SPAN("Authorization"), buffer_span(&c->authorization)};
    if (c->content_type.n)
        fields[n++] = (struct http_field){SPAN("Content-Type"), buffer_span(&c->content_type)};
    const struct client_request request = {.method = c->method,
                                           .url = &c->url,
                                           .target = buffer_span(&c->target),
                                           .fields = fields,
                                           .field_count = n,
                                           .body = buffer_span(&c->body),
                                           .body_length = c->body_length,
                                           .more = c->more ? on_more : NULL,
                                           .data = c->data ? on_data : NULL,
                                           .answer_max = c->answer_max,
                                           .due_ms = c->due_ms,
                                           .fresh_connection = fresh,
                                           .done = on_answer,
                                           .ctx = c};
    uint64_t id;
    if (c->ticket)
        c->ticket->client = c->client;
    return client_send(c->client, &request, c->ticket ? &c->ticket->id : &id);
}

void upstream_give(const struct upstream_ticket *ticket, struct span bytes)
{
    client_give(ticket->client, ticket->id, bytes);
}

static struct call *call_new(struct upstream *u, const struct config_channel *channel,
                             struct span target, struct span content_type, struct span body)
{
    struct call *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->upstream = u;
    buffer_init(&c->target, 64 * 1024);
    buffer_init(&c->authorization, CONFIG_SECRET_MAX + 16);
    buffer_init(&c->content_type, 1024);
    buffer_init(&c->body, 128u * 1024 * 1024);
    buffer_add(&c->target, target);
    buffer_add(&c->authorization, SPAN("Bearer "));
    buffer_add(&c->authorization, channel->upstream.access_token);
    buffer_add(&c->content_type, content_type);
    buffer_add(&c->body, body);
    if (c->target.error || c->authorization.error || c->content_type.error || c->body.error) {
        call_free(c);
        return NULL;
    }
    return c;
}

int upstream_send(struct upstream *u, const struct upstream_request *request)
{
    const struct config_upstream *facts = &request->channel->upstream;
    struct call *c =
        call_new(u, request->channel, request->target, request->content_type, request->body);
    if (!c)
        return SLUIS_ENOMEM;
    c->method = request->method;
    c->answer_max = request->answer_max ? request->answer_max : UPSTREAM_ANSWER_MAX;
    c->due_ms = request->due_ms;
    c->repeatable = request->repeatable;
    c->body_length = request->body_length;
    c->more = request->more;
    c->ticket = request->ticket;
    c->done = request->done;
    c->ctx = request->ctx;
    int r = client_url_parse(span_str(facts->base_url), &c->url);
    if (r == 0)
        r = client_for(u, facts, &c->url, &c->client);
    if (r == 0)
        r = send_call(c, request->fresh_connection);
    if (r != 0)
        call_free(c);
    return r;
}

void upstream_hold(const struct upstream_ticket *ticket, bool on)
{
    client_hold(ticket->client, ticket->id, on);
}

int upstream_media(struct upstream *u, const struct config_channel *channel, struct span url,
                   uint64_t answer_max, int64_t due_ms,
                   void (*done)(const struct upstream_answer *, void *), void *ctx)
{
    const struct upstream_media_request request = {.channel = channel,
                                                   .url = url,
                                                   .answer_max = answer_max,
                                                   .due_ms = due_ms,
                                                   .done = done,
                                                   .ctx = ctx};
    return upstream_media_stream(u, &request);
}

int upstream_media_stream(struct upstream *u, const struct upstream_media_request *request)
{
    const struct config_upstream *facts = &request->channel->upstream;
    struct client_url parsed, base;
    int r = client_url_parse(request->url, &parsed);
    if (r == 0)
        r = client_url_parse(span_str(facts->base_url), &base);
    if (r != 0)
        return r;
    /* The token goes to Meta's hosts only, over TLS; in tests Meta is where the base address says.
     */
    bool same_as_base = strcmp(parsed.authority, base.authority) == 0;
    if (!parsed.https || !(host_is_metas(parsed.host) || same_as_base))
        return SLUIS_EDENIED;
    struct call *c = call_new(u, request->channel, span_str(parsed.target), SPAN_EMPTY, SPAN_EMPTY);
    if (!c)
        return SLUIS_ENOMEM;
    c->url = parsed;
    c->method = HTTP_GET;
    c->answer_max = request->answer_max;
    c->due_ms = request->due_ms;
    c->repeatable = true; /* before a byte of answer came only: `stale` */
    c->data = request->data;
    c->ticket = request->ticket;
    c->done = request->done;
    c->ctx = request->ctx;
    r = client_for(u, facts, &parsed, &c->client);
    if (r == 0)
        r = send_call(c, false);
    if (r != 0)
        call_free(c);
    return r;
}

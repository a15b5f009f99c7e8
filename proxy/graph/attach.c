/*
 * Attachments by link. WhatsApp would fetch them itself, past every check: so they are fetched
 * here, from hosts that the operator lists only, looked at like an upload, uploaded, and the link
 * is replaced by the id. One after the other; the message goes on when all are done.
 */
#include "media.h"

#include "sluis/net/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define LINKS_MAX 10u         /* cards of a carousel, and no message has more */
#define FETCH_MS 30000        /* one file, with its connection */
#define FETCH_CLIENTS_MAX 16u /* CAs and leaves for private addresses, per thread */

struct link {
    uint32_t object, member; /* nodes of the message */
    struct span id;          /* that replaces it */
};
struct attach {
    struct link links[LINKS_MAX];
    unsigned n, at;
    struct client *client; /* while a file is fetched: whose `request` it is */
    uint64_t request;
    enum graph_error error; /* of the file that is fetched; E_COUNT: none */
    void (*then)(struct call *call);
};

struct fetcher { /* one client per CA and leave to go to private addresses */
    char *ca_file;
    bool private_allowed;
    struct tls_context *tls;
    struct client *client;
};
struct fetchers {
    struct fetcher list[FETCH_CLIENTS_MAX];
    unsigned n;
};

void fetchers_free(struct fetchers *f)
{
    for (unsigned i = 0; f && i < f->n; i++) {
        client_free(f->list[i].client);
        tls_unref(f->list[i].tls);
        free(f->list[i].ca_file);
    }
    free(f);
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static int open_fetcher(struct graph_thread *t, const struct config_fetch *from,
                        struct fetcher *out)
{
    struct diag diag = {.text = ""};
    const struct tls_client_config tls = {.ca_file = from->ca_file};
    int r = tls_client_new(&tls, &out->tls, &diag);
    const struct client_config config = {.tls = out->tls,
                                         .resolver = t->graph->deps.resolver,
                                         .private_allowed = from->private_allowed,
                                         .user_agent = "sluis/" SLUIS_VERSION,
                                         .answer_ms = FETCH_MS};
    if (r == 0)
        r = client_new(t->loop, &config, &out->client);
    if (r == 0 && from->ca_file && !(out->ca_file = strdup(from->ca_file))) {
        client_free(out->client);
        r = SLUIS_ENOMEM;
    }
    if (r != 0)
        tls_unref(out->tls);
    out->private_allowed = from->private_allowed;
    return r;
}

static struct client *fetcher_for(struct graph_thread *t, const struct config_fetch *from)
{
    struct fetchers *f = t->fetchers;
    if (!f && !(f = t->fetchers = calloc(1, sizeof(*f))))
        return NULL;
    for (unsigned i = 0; i < f->n; i++)
        if (same(f->list[i].ca_file, from->ca_file) &&
            f->list[i].private_allowed == from->private_allowed)
            return f->list[i].client;
    if (f->n == FETCH_CLIENTS_MAX || open_fetcher(t, from, &f->list[f->n]) != 0)
        return NULL;
    return f->list[f->n++].client;
}

/* ---- which links ---- */

static const struct config_fetch *find_host(const struct config_fetch *list, size_t n,
                                            const struct client_url *url)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].port == url->port && strcasecmp(list[i].host, url->host) == 0)
            return &list[i];
    return NULL;
}

static const struct config_fetch *host_of(const struct call *call, const struct client_url *url)
{
    const struct config_channel *c = call->channel;
    const struct config_fetch *from = find_host(c->fetch, c->fetch_count, url);
    if (!from && call->route)
        from = find_host(call->route->fetch, call->route->fetch_count, url);
    return from;
}

void attach_free(struct call *call)
{
    free(call->media->attach);
    call->media->attach = NULL;
}

static uint32_t link_of(struct call *call, uint32_t node)
{
    const struct json_node *v = json_node(&call->doc, node);
    return v->kind == JSON_OBJECT && body_in_media(call, node)
               ? json_get(&call->doc, node, SPAN("link"))
               : JSON_NONE;
}

bool attach_wanted(struct call *call)
{
    size_t hosts = call->channel->fetch_count + (call->route ? call->route->fetch_count : 0);
    if (!call->channel->media_pass || hosts == 0)
        return false; /* body_check_media says why */
    for (uint32_t node = 0; node < call->doc.count; node++)
        if (link_of(call, node) != JSON_NONE)
            return true;
    return false;
}

/* ---- one after the other ---- */

static void next(struct call *call);

static void on_sent(struct call *call)
{
    struct attach *a = call->media->attach;
    a->links[a->at++].id = call->media->url;
    next(call);
}

/* The spool failed while bytes were coming: no more of them are wanted. */
static void on_refused(struct call *call, enum graph_error error, const char *detail)
{
    struct attach *a = call->media->attach;
    if (a->client)
        client_cancel(a->client, a->request);
    call_refuse(call, error, detail);
}

static void go_on(struct call *call)
{
    struct attach *a = call->media->attach;
    if (a->client)
        client_hold(a->client, a->request, false);
}

/* Bytes of the file as they come. */
static int on_bytes(void *ctx, const struct http_head *head, struct span bytes)
{
    struct call *call = ctx;
    struct attach *a = call->media->attach;
    bool full = false;
    (void)head;
    a->error = file_add(call, bytes, &full);
    if (full)
        client_hold(a->client, a->request, true);
    return a->error == E_COUNT ? 0 : SLUIS_ELIMIT;
}

static void on_fetched(const struct client_answer *answer, void *ctx)
{
    struct call *call = ctx;
    struct media_call *m = call->media;
    struct attach *a = m->attach;
    a->client = NULL;
    if (!call->thread->upstream) { /* stopping */
        call_refuse(call, E_BUSY, NULL);
    } else if (a->error != E_COUNT) {
        call_refuse(call, a->error, NULL);
    } else if (answer->error != 0 || answer->head->status != 200 || m->size == 0) {
        /* Redirects are not followed: where they lead stands on no list. */
        call_refuse(call,
                    answer->failure == CLIENT_FAIL_ANSWER && answer->error == SLUIS_ELIMIT
                        ? E_FETCH_LIMIT
                        : E_FETCH_FAILED,
                    NULL);
    } else {
        struct span type = http_field(answer->head, SPAN("Content-Type"));
        file_end(call, span_sub(type, 0, span_find(type, ';')), on_sent);
    }
}

/* Where a picture or sticker must stand. */
static bool wants_picture(const struct call *call, const struct link *link)
{
    const struct json_node *v = json_node(&call->doc, link->object);
    if (v->name_end == v->name_start && v->parent != JSON_NONE)
        v = json_node(&call->doc, v->parent); /* one of a list */
    struct span name = span_sub(call->doc.text, v->name_start, v->name_end);
    return span_is(name, "image") || span_is(name, "sticker");
}

static enum graph_error fetch(struct call *call, struct span text)
{
    struct client_url url;
    if (client_url_parse(text, &url) != 0 || !url.https)
        return E_FETCH_HOST;
    const struct config_fetch *from = host_of(call, &url);
    if (!from)
        return E_FETCH_HOST;
    if (!policy_link_host_allowed(call->channel->policy, span_str(url.host)))
        return E_DOMAIN;
    struct media_call *m = call->media;
    struct attach *a = m->attach;
    struct resolver *resolver = call->thread->graph->deps.resolver;
    struct client *client = fetcher_for(call->thread, from);
    if (!client || (resolver && resolver_add(resolver, url.host) != 0))
        return E_FETCH_FAILED;
    enum graph_error error = file_open(call);
    if (error != E_COUNT)
        return error;
    m->go_on = go_on;
    m->refused = on_refused;
    m->wants_picture = wants_picture(call, &a->links[a->at]);
    a->error = E_COUNT;
    a->client = client;
    const struct client_request request = {.method = HTTP_GET,
                                           .url = &url,
                                           .data = on_bytes,
                                           .answer_max = GRAPH_MEDIA_MAX,
                                           .due_ms = clock_mono_ms() + FETCH_MS,
                                           .done = on_fetched,
                                           .ctx = call};
    if (client_send(client, &request, &a->request) == 0)
        return E_COUNT;
    a->client = NULL;
    return E_FETCH_FAILED;
}

/* "link":"..." becomes "id":"...". */
static int replace(struct call *call)
{
    struct attach *a = call->media->attach;
    struct json_edit edits[LINKS_MAX];
    struct buffer out, with;
    int r = 0;
    for (unsigned i = 0; r == 0 && i < a->n; i++) {
        const struct json_node *v = json_node(&call->doc, a->links[i].member);
        edits[i] = (struct json_edit){v->name_start - 1, v->end, SPAN_EMPTY};
        buffer_init(&with, 1024);
        buffer_add(&with, SPAN("\"id\":"));
        json_quote(&with, a->links[i].id);
        r = with.error ? with.error
                       : arena_try_copy(&call->arena, buffer_span(&with), &edits[i].with);
        buffer_free(&with);
    }
    buffer_init(&out, GRAPH_JSON_MAX * 6);
    if (r == 0)
        r = json_emit(&out, call->doc.text, 0, (uint32_t)call->doc.text.n, edits, a->n);
    buffer_free(&call->body);
    call->body = out;
    buffer_clear(&call->rebuilt);
    return r ? r : json_scan(&call->doc, buffer_span(&call->body), &call->arena, NULL);
}

static void next(struct call *call)
{
    struct attach *a = call->media->attach;
    struct span text;
    if (a->at == a->n) {
        if (replace(call) != 0)
            call_refuse(call, E_BUSY, NULL);
        else
            a->then(call);
        return;
    }
    enum graph_error error = E_BODY;
    if (json_string(&call->doc, a->links[a->at].member, &call->arena, &text) == 0)
        error = fetch(call, text);
    if (error != E_COUNT)
        call_refuse(call, error, NULL);
}

/* In document order: the edits must be. */
static enum graph_error collect(struct call *call, struct attach *a)
{
    for (uint32_t node = 0; node < call->doc.count; node++) {
        uint32_t member = link_of(call, node);
        if (member == JSON_NONE)
            continue;
        if (a->n == LINKS_MAX)
            return E_FETCH_LIMIT;
        if (!json_is(&call->doc, member, JSON_STRING) ||
            json_get(&call->doc, node, SPAN("id")) != JSON_NONE)
            return E_BODY;
        a->links[a->n++] = (struct link){.object = node, .member = member};
    }
    return E_COUNT;
}

void attach_fetch(struct call *call, void (*then)(struct call *call))
{
    struct media_call *m = media_of(call);
    struct attach *a = m ? calloc(1, sizeof(*a)) : NULL;
    if (!a) {
        call_refuse(call, E_BUSY, NULL);
        return;
    }
    m->attach = a;
    a->then = then;
    enum graph_error error = collect(call, a);
    if (error != E_COUNT)
        call_refuse(call, error, NULL);
    else
        next(call);
}

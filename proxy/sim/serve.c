/* sluis-sim serve: Graph side, webcare inbox and a control endpoint, until SIGINT or SIGTERM. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "graph.h"
#include "inbox.h"
#include "options.h"
#include "record.h"
#include "tls.h"

struct settings {
    const char *graph, *graph_cert, *graph_key, *token, *public_url, *media_url, *media_files;
    const char *inbox, *inbox_tls, *inbox_cert, *inbox_key, *inbox_secret;
    const char *control, *dir;
    const char *webhook, *app_secret, *ca, *client_cert, *client_key;
    bool without_bodies;
    double delay, ahead;
};

struct world {
    struct settings set;
    struct event_base *base;
    struct graph *graph;
    struct inbox *inbox;
    struct sender *sender;
    struct target target;
    char *token, *inbox_secret, *app_secret;
    FILE *sent;
    char graph_file[1024], inbox_file[1024];
    struct server *servers[4];
};

static void reply_object(struct request *request, int status, json_t *object)
{
    char *text = json_dumps(object, JSON_INDENT(1));
    request_reply_json(request, status, text ? text : "", 0);
    free(text);
    json_decref(object);
}

static void control_faults(struct request *request, const struct http_message *m, struct faults *f)
{
    const char *why = "no such side";
    if (f && span_is(m->method, "GET")) {
        reply_object(request, 200, faults_json(f));
        return;
    }
    json_t *wanted = json_loadb(m->body.n ? m->body.p : "", m->body.n, 0, NULL);
    if (f && wanted && faults_set(f, wanted, &why) == 0)
        reply_object(request, 200, faults_json(f));
    else
        reply_object(request, 400, json_pack("{ss}", "error", wanted ? why : "not JSON"));
    json_decref(wanted);
}

static void control_send(struct world *w, struct request *request, const struct http_message *m)
{
    struct script script;
    if (!w->sender || script_parse(m->body, "request", (uint64_t)time(NULL) << 20, &script) < 0) {
        reply_object(request, 400,
                     json_pack("{ss}", "error", w->sender ? "script" : "no --webhook given"));
        return;
    }
    for (size_t i = 0; i < script.count; i++)
        sender_post(w->sender, script.posts[i].contact,
                    span_of(script.posts[i].body, script.posts[i].n), script.posts[i].pause_ms,
                    script.posts[i].expect);
    reply_object(request, 200, json_pack("{sI}", "queued", (json_int_t)script.count));
    script_free(&script);
}

static void control_log(struct request *request, const char *file)
{
    FILE *f = file[0] ? fopen(file, "re") : NULL;
    char *text = malloc(HTTP_MESSAGE_MAX);
    size_t n = f && text ? fread(text, 1, HTTP_MESSAGE_MAX, f) : 0;
    request_reply(request, f ? 200 : 404, "Content-Type: application/x-ndjson\r\n",
                  span_of(text, n), 0);
    if (f)
        fclose(f);
    free(text);
}

/* GET /sim            counts          GET /sim/{graph,inbox}/log   what was recorded
 * GET|POST /sim/{graph,inbox}/faults  POST /sim/send               a conversation file as body */
static void control_serve(struct request *request, const struct http_message *m, void *ctx)
{
    struct world *w = ctx;
    struct span side = http_segment(m->target, 1), what = http_segment(m->target, 2);
    bool graph = span_is(side, "graph");
    if (span_is(side, "send")) {
        control_send(w, request, m);
    } else if (span_is(what, "faults")) {
        control_faults(request, m,
                       graph && w->graph                    ? graph_faults(w->graph)
                       : span_is(side, "inbox") && w->inbox ? inbox_faults(w->inbox)
                                                            : NULL);
    } else if (span_is(what, "log")) {
        control_log(request, graph ? w->graph_file : w->inbox_file);
    } else {
        json_t *all = json_object();
        if (w->graph)
            json_object_set_new(all, "graph", graph_summary(w->graph));
        if (w->inbox)
            json_object_set_new(all, "inbox", inbox_summary(w->inbox));
        if (w->sender)
            json_object_set_new(all, "webhooks",
                                json_pack("{sI sI sI}", "delivered",
                                          (json_int_t)sender_delivered(w->sender), "waiting",
                                          (json_int_t)sender_waiting(w->sender), "failed",
                                          (json_int_t)sender_failed(w->sender)));
        reply_object(request, 200, all);
    }
}

static void on_signal(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(ctx);
}

static int start_sender(struct world *w)
{
    const struct settings *s = &w->set;
    char file[1024];
    if (!s->webhook)
        return 0;
    if (!s->app_secret || !(w->app_secret = secret_read(s->app_secret)))
        return -1;
    SSL_CTX *tls = s->ca ? tls_client(s->ca, s->client_cert, s->client_key) : NULL;
    if (target_parse(s->webhook, tls, &w->target) < 0)
        return -1;
    snprintf(file, sizeof file, "%s/webhooks.jsonl", s->dir);
    w->sent = record_open(file);
    struct sender_options options = {.target = &w->target,
                                     .secret = w->app_secret,
                                     .record = w->sent,
                                     .retry_first_ms = 500,
                                     .tries = 20};
    w->sender = sender_new(w->base, &options);
    return w->sender && w->sent ? 0 : -1;
}

static int start_graph(struct world *w)
{
    const struct settings *s = &w->set;
    if (!s->graph)
        return 0;
    SSL_CTX *tls = s->graph_cert ? tls_server(s->graph_cert, s->graph_key) : NULL;
    if (!tls || !s->token || !(w->token = secret_read(s->token)))
        return -1;
    snprintf(w->graph_file, sizeof w->graph_file, "%s/graph.jsonl", s->dir);
    struct graph_options options = {.token = w->token,
                                    .file = w->graph_file,
                                    .public_url = s->public_url,
                                    .media_url = s->media_url,
                                    .media_files = s->media_files,
                                    .sender = w->sender};
    w->graph = graph_new(&options);
    if (!w->graph)
        return -1;
    graph_faults(w->graph)->delay_ms = (unsigned)s->delay;
    w->servers[0] = server_new(w->base, s->graph, tls, graph_serve, w->graph);
    if (w->servers[0])
        server_date(w->servers[0], (int64_t)s->ahead);
    return w->servers[0] ? 0 : -1;
}

static int start_inbox(struct world *w)
{
    const struct settings *s = &w->set;
    if (!s->inbox && !s->inbox_tls)
        return 0;
    if (!s->inbox_secret || !(w->inbox_secret = secret_read(s->inbox_secret)))
        return -1;
    snprintf(w->inbox_file, sizeof w->inbox_file, "%s/inbox.jsonl", s->dir);
    struct inbox_options options = {
        .secret = w->inbox_secret, .file = w->inbox_file, .without_bodies = s->without_bodies};
    w->inbox = inbox_new(&options);
    if (!w->inbox)
        return -1;
    if (s->inbox && !(w->servers[1] = server_new(w->base, s->inbox, NULL, inbox_serve, w->inbox)))
        return -1;
    if (s->inbox_tls) {
        SSL_CTX *tls = s->inbox_cert ? tls_server(s->inbox_cert, s->inbox_key) : NULL;
        if (!tls ||
            !(w->servers[2] = server_new(w->base, s->inbox_tls, tls, inbox_serve, w->inbox)))
            return -1;
    }
    return 0;
}

static int serve(struct world *w)
{
    int result = 1;
    struct event *stop[2] = {NULL, NULL};
    w->base = event_base_new();
    if (!w->base || start_sender(w) < 0 || start_graph(w) < 0 || start_inbox(w) < 0)
        goto out;
    if (w->set.control &&
        !(w->servers[3] = server_new(w->base, w->set.control, NULL, control_serve, w)))
        goto out;
    stop[0] = evsignal_new(w->base, SIGINT, on_signal, w->base);
    stop[1] = evsignal_new(w->base, SIGTERM, on_signal, w->base);
    event_add(stop[0], NULL);
    event_add(stop[1], NULL);
    printf("sluis-sim: ready\n");
    fflush(stdout);
    event_base_dispatch(w->base);
    result = 0;
out:
    for (size_t i = 0; i < 4; i++)
        server_free(w->servers[i]);
    graph_free(w->graph);
    inbox_free(w->inbox);
    sender_free(w->sender);
    SSL_CTX_free(w->target.tls);
    if (w->sent)
        fclose(w->sent);
    for (size_t i = 0; i < 2; i++)
        if (stop[i])
            event_free(stop[i]);
    if (w->base)
        event_base_free(w->base);
    free(w->token);
    free(w->inbox_secret);
    free(w->app_secret);
    return result;
}

static int run(int argc, char **argv)
{
    struct world w = {.set = {.dir = ".",
                              .public_url = "https://graph.facebook.com",
                              .media_url = "https://lookaside.fbsbx.com"}};
    struct settings *s = &w.set;
    const struct option_row rows[] = {
        {"--dir", "FOLDER", "where graph.jsonl, inbox.jsonl, webhooks.jsonl go", &s->dir, NULL,
         NULL},
        {"--graph", "ADDRESS", "Graph side over TLS, as 127.0.0.1:9443", &s->graph, NULL, NULL},
        {"--graph-cert", "PEM", "its certificate", &s->graph_cert, NULL, NULL},
        {"--graph-key", "PEM", "its key", &s->graph_key, NULL, NULL},
        {"--token", "FILE", "the business' access token", &s->token, NULL, NULL},
        {"--public-url", "URL", "base of paging.next", &s->public_url, NULL, NULL},
        {"--media-url", "URL", "base of media URLs", &s->media_url, NULL, NULL},
        {"--ahead", "SECONDS", "the Graph side's Date is so far ahead", NULL, &s->ahead, NULL},
        {"--media-files", "FOLDER", "media of customers: each file is named by its id",
         &s->media_files, NULL, NULL},
        {"--delay", "MS", "latency of the Graph side", NULL, &s->delay, NULL},
        {"--inbox", "ADDRESS", "webcare inbox over HTTP", &s->inbox, NULL, NULL},
        {"--inbox-tls", "ADDRESS", "the same over TLS", &s->inbox_tls, NULL, NULL},
        {"--inbox-cert", "PEM", "its certificate", &s->inbox_cert, NULL, NULL},
        {"--inbox-key", "PEM", "its key", &s->inbox_key, NULL, NULL},
        {"--inbox-secret", "FILE", "the route's secret", &s->inbox_secret, NULL, NULL},
        {"--ids-only", NULL, "do not record bodies in inbox.jsonl", NULL, NULL, &s->without_bodies},
        {"--control", "ADDRESS", "control endpoint over HTTP: GET /sim", &s->control, NULL, NULL},
        {"--webhook", "URL", "where statuses and POST /sim/send go", &s->webhook, NULL, NULL},
        {"--app-secret", "FILE", "signs webhooks", &s->app_secret, NULL, NULL},
        {"--ca", "PEM", "verifies the webhook URL", &s->ca, NULL, NULL},
        {"--client-cert", "PEM", "Meta's client certificate", &s->client_cert, NULL, NULL},
        {"--client-key", "PEM", "its key", &s->client_key, NULL, NULL},
    };
    int at = options_parse(&command_serve, rows, sizeof rows / sizeof *rows, argc, argv);
    if (at <= 0)
        return at == 0 ? 0 : EXIT_USAGE;
    return serve(&w);
}

const struct command command_serve = {
    "serve", "",
    "plays the Cloud API (Graph side) and a webcare inbox\n\n"
    "Example: sluis-sim serve --dir out --inbox 127.0.0.1:9000 --inbox-secret route.secret\n",
    run};

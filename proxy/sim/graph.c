#include "graph.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "record.h"
#include "sluis/base/clock.h"

struct graph {
    struct graph_options options;
    struct faults faults;
    FILE *record;
    struct graph_media *media;
    uint64_t serial;
    unsigned long requests, messages, setup, refused;
};

struct graph *graph_new(const struct graph_options *options)
{
    struct graph *g = calloc(1, sizeof *g);
    struct graph_media *fixed = calloc(1, sizeof *fixed);
    struct span picture = sim_media_bytes();
    if (!g || !fixed || (options->file && !(g->record = record_open(options->file))))
        goto bad;
    g->options = *options;
    g->serial = (uint64_t)clock_wall_ms() % 100000000u;
    faults_init(&g->faults);
    fixed->bytes = malloc(picture.n);
    if (!fixed->bytes)
        goto bad;
    memcpy(fixed->bytes, picture.p, picture.n);
    fixed->n = picture.n;
    snprintf(fixed->id, sizeof fixed->id, "%s", SIM_MEDIA_ID);
    snprintf(fixed->type, sizeof fixed->type, "%s", SIM_MEDIA_TYPE);
    g->media = fixed;
    return g;
bad:
    free(g);
    free(fixed);
    return NULL;
}

void graph_free(struct graph *g)
{
    if (!g)
        return;
    graph_media_free(g->media);
    if (g->record)
        fclose(g->record);
    free(g);
}

/* What a handler answers: an object of its own, and the HTTP status. */
struct reply {
    int status;
    json_t *body;
};

static struct reply success(void)
{
    return (struct reply){200, json_pack("{sb}", "success", 1)};
}

static struct reply refuse(int status, int code, const char *text)
{
    return (struct reply){status, graph_error(code, text)};
}

/* A number as Meta spells it: digits only. */
static void digits_of(const char *text, char out[24])
{
    size_t n = 0;
    for (; *text && n < 23; text++)
        if (isdigit((unsigned char)*text))
            out[n++] = *text;
    out[n] = '\0';
}

static struct reply on_messages(struct graph *g, const struct http_message *m)
{
    static const char *const steps[] = {"sent", "delivered", "read"};
    json_t *body = json_loadb(m->body.n ? m->body.p : "", m->body.n, JSON_REJECT_DUPLICATES, NULL);
    const char *product = json_string_value(json_object_get(body, "messaging_product"));
    const char *to = json_string_value(json_object_get(body, "to"));
    const char *bsuid = json_string_value(json_object_get(body, "recipient"));
    struct reply reply;
    char digits[24], id[WAMID_SIZE];
    if (!product || strcmp(product, "whatsapp") != 0) {
        reply = refuse(400, 100, "The parameter messaging_product is required.");
    } else if (json_object_get(body, "status")) {
        reply = success();
    } else if (!to && !bsuid) {
        reply = refuse(400, 100, "The parameter to is required.");
    } else {
        digits_of(to ? to : "31600000000", digits);
        wamid_make(digits, ++g->serial, id);
        g->messages++;
        reply = (struct reply){200, json_pack("{ss s[{ss ss}] s[{ss}]}", "messaging_product",
                                              "whatsapp", "contacts", "input", to ? to : bsuid,
                                              "wa_id", digits, "messages", "id", id)};
        struct span phone = http_segment(m->target, 0);
        char number[32];
        snprintf(number, sizeof number, "%.*s", (int)phone.n, phone.p);
        for (unsigned i = 0; g->options.sender && i < 3; i++) {
            char *status = status_body(number, id, digits, steps[i]);
            if (status)
                sender_post(g->options.sender, digits, span_str(status), 100, 200);
            free(status);
        }
    }
    json_decref(body);
    return reply;
}

static struct reply on_upload(struct graph *g, const struct http_message *m)
{
    struct graph_media *media = graph_media_add(&g->media, ++g->serial, m);
    if (!media)
        return refuse(400, 100, "The parameter file is required.");
    return (struct reply){200, json_pack("{ss}", "id", media->id)};
}

static json_t *template_json(const char *name, const char *category, const char *text)
{
    return json_pack("{ss ss ss ss ss s[{ss ss}]}", "name", name, "status", "APPROVED", "category",
                     category, "language", "nl", "id", "594425479261596", "components", "type",
                     "BODY", "text", text);
}

/* Three templates on two pages; `next` carries the token when it came in the query, as Meta's does.
 */
static struct reply on_templates(struct graph *g, const struct http_message *m)
{
    struct span after = http_query(m->target, "after"), waba = http_segment(m->target, 0);
    struct span token = http_query(m->target, "access_token");
    json_t *data = json_array(), *paging;
    if (after.n == 0) {
        char next[1024];
        json_array_append_new(data, template_json("afspraak_bevestigd", "UTILITY",
                                                  "Uw afspraak op {{1}} is bevestigd."));
        json_array_append_new(data, template_json("paspoort_klaar", "UTILITY",
                                                  "Uw paspoort ligt klaar in het stadhuis."));
        snprintf(next, sizeof next, "%s/v24.0/%.*s/message_templates?%s%.*s%slimit=2&after=QVFIUg",
                 g->options.public_url, (int)waba.n, waba.p, token.n ? "access_token=" : "",
                 (int)token.n, token.p ? token.p : "", token.n ? "&" : "");
        paging = json_pack("{s{ss ss} ss}", "cursors", "before", "QVFIUa", "after", "QVFIUg",
                           "next", next);
    } else {
        json_array_append_new(data,
                              template_json("verhuizing", "UTILITY", "Uw verhuizing is verwerkt."));
        paging = json_pack("{s{ss ss}}", "cursors", "before", "QVFIUg", "after", "QVFIUz");
    }
    return (struct reply){200, json_pack("{so so}", "data", data, "paging", paging)};
}

static json_t *number_json(struct span id)
{
    return json_pack("{ss ss ss ss ss s{ss} so}", "verified_name", "Gemeente Voorbeeld",
                     "display_phone_number", "+31 20 123 4567", "quality_rating", "GREEN",
                     "code_verification_status", "VERIFIED", "platform_type", "CLOUD_API",
                     "throughput", "level", "STANDARD", "id", record_text(id));
}

static struct reply on_numbers(struct graph *g, const struct http_message *m)
{
    (void)g;
    (void)m;
    return (struct reply){200, json_pack("{s[oo] s{s{ss ss}}}", "data",
                                         number_json(SPAN("106540352242999")), /* a neighbour's */
                                         number_json(SPAN("106540352242922")), "paging", "cursors",
                                         "before", "QVFIUa", "after", "QVFIUa")};
}

static struct reply on_apps(struct graph *g, const struct http_message *m)
{
    (void)g;
    if (!span_is(m->method, "GET"))
        return success();
    return (struct reply){200, json_pack("{s[{s{ss ss ss}}]}", "data", "whatsapp_business_api_data",
                                         "id", "670843887433847", "name", "Sluis", "link",
                                         "https://sluis.example/")};
}

static struct reply on_profile(struct graph *g, const struct http_message *m)
{
    (void)g;
    if (!span_is(m->method, "GET"))
        return success();
    return (struct reply){200, json_pack("{s[{ss ss}]}", "data", "about", "Gemeente Voorbeeld",
                                         "messaging_product", "whatsapp")};
}

static struct reply on_setup(struct graph *g, const struct http_message *m)
{
    (void)g;
    (void)m;
    return success();
}

/* GET, POST or DELETE of /{id}: a media object when we know it, else a number. */
static struct reply on_node(struct graph *g, const struct http_message *m)
{
    struct span id = http_segment(m->target, 0);
    struct graph_media *media = graph_media_find(g->media, id);
    if (!media)
        media = graph_media_load(&g->media, g->options.media_files, id);
    if (media && span_is(m->method, "GET"))
        return (struct reply){200, graph_media_json(media, g->options.media_url)};
    if (media && span_is(m->method, "DELETE")) {
        graph_media_remove(&g->media, id);
        return success();
    }
    if (span_is(m->method, "POST"))
        return success();
    if (!span_is(m->method, "GET") || id.n == 0 || !span_starts(id, SPAN("1065")))
        return refuse(400, 100, "Unsupported request: no such object.");
    return (struct reply){200, number_json(id)};
}

/* The edges of a node: /{id}/NAME, or a first segment NAME. */
static const struct edge {
    const char *name;
    struct reply (*answer)(struct graph *g, const struct http_message *m);
    bool setup; /* a call other than GET must not get here through the gateway */
} edges[] = {
    {"messages", on_messages, false},
    {"media", on_upload, false},
    {"message_templates", on_templates, false},
    {"phone_numbers", on_numbers, false},
    {"subscribed_apps", on_apps, true},
    {"whatsapp_business_profile", on_profile, false},
    {"register", on_setup, true},
    {"deregister", on_setup, true},
    {"debug_token", on_setup, true},
    {"oauth", on_setup, true},
};

static bool authorised(const struct graph *g, const struct http_message *m)
{
    char header[600];
    snprintf(header, sizeof header, "Bearer %s", g->options.token);
    return span_is(http_header(m, "authorization"), header) ||
           span_is(http_query(m->target, "access_token"), g->options.token);
}

static void record(struct graph *g, const struct http_message *m, bool setup, int status)
{
    g->requests++;
    g->setup += setup;
    if (!g->record)
        return;
    record_line(g->record,
                json_pack("{sI so so so so so so sb si}", "at", (json_int_t)clock_wall_ms(),
                          "method", record_text(m->method), "target", record_text(m->target),
                          "host", record_text(http_header(m, "host")), "authorization",
                          record_text(http_header(m, "authorization")), "type",
                          record_text(http_header(m, "content-type")), "body",
                          record_bytes(m->body), "setup", setup, "status", status));
}

static void answer_bytes(struct graph *g, struct request *request, const struct http_message *m)
{
    struct graph_media *media = graph_media_find(g->media, http_query(m->target, "mid"));
    char head[200];
    record(g, m, false, media ? 200 : 404);
    if (!media) {
        request_reply(request, 404, "", SPAN_EMPTY, 0);
        return;
    }
    snprintf(head, sizeof head, "Content-Type: %s\r\n", media->type);
    request_reply(request, 200, head, span_of(media->bytes, media->n), faults_delay(&g->faults));
}

static const struct edge *find_edge(const struct http_message *m)
{
    for (unsigned segment = 0; segment < 2; segment++)
        for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
            if (span_is(http_segment(m->target, segment), edges[i].name))
                return &edges[i];
    return NULL;
}

void graph_serve(struct request *request, const struct http_message *m, void *ctx)
{
    struct graph *g = ctx;
    const struct edge *edge = find_edge(m);
    bool setup =
        (edge && edge->setup &&
         (!span_is(m->method, "GET") || !span_is(http_segment(m->target, 1), "subscribed_apps"))) ||
        (!edge && span_is(m->method, "POST"));
    enum fault_kind fault = faults_pick(&g->faults, m->target);
    if (fault != FAULT_NONE && !faults_lie(fault, request)) {
        record(g, m, setup, fault == FAULT_STATUS ? g->faults.status : 0);
        faults_answer(&g->faults, fault, request);
        return;
    }
    struct reply reply;
    if (!authorised(g, m)) {
        g->refused++;
        reply = refuse(401, 190, "Invalid OAuth access token - Cannot parse access token");
    } else if (span_starts(m->target, SPAN("/whatsapp_business/attachments/"))) {
        answer_bytes(g, request, m);
        return;
    } else {
        reply = edge ? edge->answer(g, m) : on_node(g, m);
    }
    record(g, m, setup, reply.status);
    char *text = json_dumps(reply.body, JSON_COMPACT);
    request_reply_json(request, reply.status, text ? text : "", faults_delay(&g->faults));
    free(text);
    json_decref(reply.body);
}

struct faults *graph_faults(struct graph *g)
{
    return &g->faults;
}

json_t *graph_summary(const struct graph *g)
{
    return json_pack("{sI sI sI sI}", "requests", (json_int_t)g->requests, "messages",
                     (json_int_t)g->messages, "setup_calls", (json_int_t)g->setup, "refused_tokens",
                     (json_int_t)g->refused);
}

/* `sluis doctor`: a signed test message to a route, and what came back; Meta's callback. */
#include "internal.h"

#include "sluis/base/encode.h"
#include "sluis/net/client.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

/* A person who does not exist: +31 6 00000000 is given to nobody. */
#define DOCTOR_CONTACT "31600000000"

struct doctor {
    struct admin *admin;
};

struct probe {
    struct loop *loop;
    struct server *server;
    uint64_t exchange;
    struct client *client;
    struct tls_context *tls;
    struct config *config;
    struct client_url url;
    struct mail mail;
};

int doctor_new(struct admin *admin, struct doctor **out)
{
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return SLUIS_ENOMEM;
    (*out)->admin = admin;
    return 0;
}

void doctor_free(struct doctor *d)
{
    free(d);
}

static void probe_free(struct mail *mail)
{
    struct probe *p = (struct probe *)((char *)mail - offsetof(struct probe, mail));
    if (p->client)
        client_free(p->client);
    tls_unref(p->tls);
    config_unref(p->config);
    free(p);
}

static void test_message(struct buffer *out, const struct config_channel *channel)
{
    buffer_add(out, SPAN("{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":"));
    json_quote(out, span_str(channel->waba_id));
    buffer_add(out, SPAN(",\"changes\":[{\"field\":\"messages\",\"value\":{\"messaging_product\":"
                         "\"whatsapp\",\"metadata\":{\"display_phone_number\":\"\","
                         "\"phone_number_id\":"));
    json_quote(out, span_str(channel->phone_number_id));
    buffer_addf(out,
                "},\"contacts\":[{\"profile\":{\"name\":\"Sluis doctor\"},\"wa_id\":\"%s\"}],"
                "\"messages\":[{\"from\":\"%s\",\"id\":\"wamid.sluis-doctor-%lld\","
                "\"timestamp\":\"%lld\",\"type\":\"text\",\"text\":{\"body\":"
                "\"Testbericht van `sluis doctor`. U kunt dit negeren.\"}}]}}]}]}",
                DOCTOR_CONTACT, DOCTOR_CONTACT, (long long)clock_wall_ms(),
                (long long)(clock_wall_ms() / 1000));
}

static const char *advice(const struct client_answer *a)
{
    if (a->failure == CLIENT_FAIL_TLS_NAME)
        return "the certificate does not fit the host name or the CA: set `ca` of the route";
    if (a->failure == CLIENT_FAIL_RESOLVE)
        return "the host name has no usable address: private ones need `private: true`";
    if (a->error)
        return "no answer: is the tool up, and the port open from here?";
    if (a->head->status >= 200 && a->head->status < 300)
        return "the tool took the message; look there for a test message of Sluis doctor";
    if (a->head->status == 401 || a->head->status == 403)
        return "the tool refuses the signature: give it this route's secret as its app secret";
    if (a->head->status == 404)
        return "no such path at the tool: for Chatwoot it ends in the number with its +";
    return "the tool refuses; its own log says why";
}

static void on_answer(const struct client_answer *a, void *ctx)
{
    struct probe *p = ctx;
    struct exchange *ex = server_exchange(p->server, p->exchange);
    if (ex) {
        struct buffer out;
        buffer_init(&out, 4096);
        buffer_addf(&out, "{\"result\":\"%s\",\"status\":%u,\"ms\":%lld,\"advice\":",
                    a->error ? client_failure_word(a->failure) : "answered",
                    a->error ? 0 : a->head->status, (long long)(a->elapsed_us / 1000));
        json_quote(&out, span_str(advice(a)));
        buffer_add(&out, SPAN("}\n"));
        admin_answer(ex, 200, SPAN("application/json"), buffer_span(&out));
        buffer_free(&out);
    }
}

static void send_probe(struct admin_request *r, struct probe *p,
                       const struct config_channel *channel, const struct config_route *route);

void admin_doctor_route(struct admin_request *r)
{
    struct config *config = config_acquire(r->admin->deps.config);
    const struct config_channel *channel = NULL;
    uint16_t id = admin_route_id(config, admin_text(r, "route"));
    const struct config_route *route = id ? config_route_by_id(config, id, &channel) : NULL;
    struct probe *p = route ? calloc(1, sizeof(*p)) : NULL;
    if (!p) {
        config_unref(config);
        admin_error(r, route ? 503 : 400, "route", "route: no such route (channel/route)");
        return;
    }
    p->loop = r->admin->deps.loop;
    p->config = config;
    p->server = exchange_server(r->ex);
    p->exchange = exchange_id(r->ex);
    send_probe(r, p, channel, route);
}

static int open_probe(struct admin_request *r, struct probe *p, const struct config_route *route)
{
    struct diag diag;
    const struct tls_client_config tls = {.ca_file = route->ca_file};
    int result = client_url_parse(span_str(route->url), &p->url);
    if (result == 0 && p->url.https)
        result = tls_client_new(&tls, &p->tls, &diag);
    const struct client_config config = {.tls = p->tls,
                                         .resolver = r->admin->deps.resolver,
                                         .private_allowed = route->private_allowed,
                                         .user_agent = "sluis/" SLUIS_VERSION " (doctor)",
                                         .connections = 1,
                                         .answer_ms = 10000};
    return result ? result : client_new(r->admin->deps.loop, &config, &p->client);
}

static void on_answer_and_free(const struct client_answer *a, void *ctx)
{
    struct probe *p = ctx;
    on_answer(a, p);
    loop_later(p->loop, &p->mail, probe_free); /* not inside its own client's call */
}

static void send_probe(struct admin_request *r, struct probe *p,
                       const struct config_channel *channel, const struct config_route *route)
{
    struct buffer body;
    char signature[72] = "sha256=";
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    buffer_init(&body, 8192);
    test_message(&body, channel);
    HMAC(EVP_sha256(), route->secret.p, (int)route->secret.n, (const unsigned char *)body.p, body.n,
         mac, &n);
    hex_encode(mac, n, signature + 7);
    const struct http_field fields[] = {{SPAN("Content-Type"), SPAN("application/json")},
                                        {SPAN("X-Hub-Signature-256"), span_str(signature)},
                                        {SPAN("X-Sluis-Delivery"), SPAN("doctor")},
                                        {SPAN("X-Sluis-Attempt"), SPAN("1")}};
    int result = open_probe(r, p, route);
    const struct client_request request = {.method = HTTP_POST,
                                           .url = &p->url,
                                           .fields = fields,
                                           .field_count = 4,
                                           .body = buffer_span(&body),
                                           .status_only = true,
                                           .done = on_answer_and_free,
                                           .ctx = p};
    uint64_t id;
    if (result == 0)
        result = client_send(p->client, &request, &id);
    buffer_free(&body);
    if (result != 0) {
        probe_free(&p->mail);
        admin_error(r, 502, error_word(result), "the route's address cannot be used");
    }
}

struct meta_ask {
    struct server *server;
    uint64_t exchange;
};

static void on_meta(void *ctx, int error, struct span json)
{
    struct meta_ask *ask = ctx;
    struct exchange *ex = server_exchange(ask->server, ask->exchange);
    struct buffer out;
    buffer_init(&out, ADMIN_ANSWER_MAX);
    buffer_add(&out, SPAN("{\"channels\":"));
    buffer_add(&out, json);
    buffer_add(&out, SPAN("}\n"));
    if (ex && (error || out.error))
        admin_answer(ex, 502, SPAN("application/json"),
                        SPAN("{\"error\":{\"code\":\"meta\",\"message\":\"Meta could not be "
                             "asked\"}}\n"));
    else if (ex)
        admin_answer(ex, 200, SPAN("application/json"), buffer_span(&out));
    buffer_free(&out);
    free(ask);
}

void admin_doctor_meta(struct admin_request *r)
{
    const struct admin_deps *deps = &r->admin->deps;
    struct meta_ask *ask = deps->check_meta ? calloc(1, sizeof(*ask)) : NULL;
    int result = ask ? 0 : SLUIS_ENOMEM;
    if (ask) {
        ask->server = exchange_server(r->ex);
        ask->exchange = exchange_id(r->ex);
        result = deps->check_meta(deps->ctx, on_meta, ask);
    }
    if (result != 0) {
        free(ask);
        admin_error(r, 502, error_word(result), "Meta could not be asked");
    }
}

/*
 * Set-up calls that would point Meta elsewhere: answered here, recorded, never forwarded. And the
 * two calls without an object: /oauth/... and /debug_token.
 */
#include "internal.h"

static void answer_success(struct call *call)
{
    struct exchange *ex = call_exchange(call);
    graph_count(call->thread->graph, G_SETUP_ANSWERED);
    if (ex)
        exchange_answer(ex, 200, SPAN("application/json"), SPAN("{\"success\":true}"));
    call_record(call, AUDIT_REFUSE, "setup_answered_here", 0, 0, 0, 0);
    call_free(call);
}

void handle_setup(struct call *call)
{
    answer_success(call);
}

/* To the tool it looks as it should: one app is subscribed, and that is the gateway's. */
void handle_subscribed_get(struct call *call)
{
    struct exchange *ex = call_exchange(call);
    graph_count(call->thread->graph, G_SETUP_ANSWERED);
    if (ex)
        exchange_answer(ex, 200, SPAN("application/json"),
                        SPAN("{\"data\":[{\"whatsapp_business_api_data\":{\"name\":\"Sluis\","
                             "\"id\":\"0\",\"link\":\"\"}}]}"));
    call_free(call);
}

/* POST /{phone}: only the callback's configuration, and that is answered here. */
void handle_phone_post(struct call *call)
{
    int r = json_scan(&call->doc, buffer_span(&call->body), &call->arena, NULL);
    if (r != 0)
        call_refuse(call, E_BODY, call->doc.error);
    else if (json_get(&call->doc, 0, SPAN("webhook_configuration")) == JSON_NONE)
        call_refuse(call, E_ENDPOINT, NULL);
    else
        answer_success(call);
}

static void debug_token(struct graph *g, struct exchange *ex)
{
    char decoded[4096];
    struct http_parameter list[HTTP_PARAMETERS_MAX];
    unsigned n = 0, seen = 0;
    struct span input = SPAN_EMPTY;
    struct principal p;
    if (http_query_split(exchange_head(ex)->query, decoded, sizeof(decoded), list, &n) != 0)
        n = 0;
    for (unsigned i = 0; i < n; i++) {
        if (span_is(list[i].name, "input_token")) {
            input = list[i].value;
            seen++;
        } else if (!span_is(list[i].name, "access_token")) {
            refuse(g, ex, E_PARAMETER, NULL);
            return;
        }
    }
    bool valid = seen == 1 && access_token(g->deps.access, input, clock_wall_ms(), &p) == 0;
    struct buffer out;
    buffer_init(&out, 1024);
    buffer_addf(&out,
                "{\"data\":{\"app_id\":\"0\",\"type\":\"SYSTEM_USER\",\"application\":\"Sluis\","
                "\"is_valid\":%s,\"expires_at\":%lld,\"scopes\":[%s]}}",
                valid ? "true" : "false", valid ? (long long)(p.expires_ms / 1000) : 0LL,
                valid ? "\"whatsapp_business_messaging\",\"whatsapp_business_management\"" : "");
    graph_count(g, G_SETUP_ANSWERED);
    exchange_answer(ex, 200, SPAN("application/json"), buffer_span(&out));
    buffer_free(&out);
}

bool setup_special(struct graph *g, struct exchange *ex, const struct http_path *path,
                   const struct principal *principal)
{
    (void)principal;
    const struct http_head *head = exchange_head(ex);
    unsigned at = path->count && path->segments[0].n > 1 && path->segments[0].p[0] == 'v' ? 1 : 0;
    if (at >= path->count)
        return false;
    if (span_is(path->segments[at], "oauth")) {
        refuse(g, ex, E_OAUTH, NULL);
        return true;
    }
    if (span_is(path->segments[at], "debug_token") && path->count == at + 1 &&
        head->method == HTTP_GET) {
        debug_token(g, ex);
        return true;
    }
    return false;
}

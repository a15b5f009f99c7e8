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
    call_record(call, AUDIT_SETUP, "answered_here", 0, 0, 0, 0);
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

/* Whether a token is good and until when, from our own table. */
static void debug_token(struct call *call, struct exchange *ex)
{
    struct graph *g = call->thread->graph;
    struct span input = SPAN_EMPTY;
    struct principal p;
    static const char *const inputs[] = {"input_token", NULL};
    static const struct endpoint endpoint = {.parameters = inputs};
    call_take_parameters(call, exchange_head(ex));
    const char *bad = endpoint_bad_parameter(&endpoint, call->parameters, call->parameter_count);
    if (bad) {
        call_refuse(call, E_PARAMETER, bad);
        return;
    }
    input = call_parameter(call, "input_token");
    bool valid = input.n && access_token(g->deps.access, input, clock_wall_ms(), &p) == 0;
    struct buffer out;
    buffer_init(&out, 1024);
    buffer_addf(&out,
                "{\"data\":{\"app_id\":\"0\",\"type\":\"SYSTEM_USER\",\"application\":\"Sluis\","
                "\"is_valid\":%s,\"expires_at\":%lld,\"scopes\":[%s]}}",
                valid ? "true" : "false", valid ? (long long)(p.expires_ms / 1000) : 0LL,
                valid ? "\"whatsapp_business_messaging\",\"whatsapp_business_management\"" : "");
    graph_count(g, G_SETUP_ANSWERED);
    call_record(call, AUDIT_SETUP, "token_asked", 0, 0, 0, 0);
    exchange_answer(ex, 200, SPAN("application/json"), buffer_span(&out));
    buffer_free(&out);
    call_free(call);
}

bool setup_special(struct call *call, struct exchange *ex, const struct http_path *path)
{
    const struct http_head *head = exchange_head(ex);
    unsigned at = path->count && path->segments[0].n > 1 && path->segments[0].p[0] == 'v' ? 1 : 0;
    if (at >= path->count)
        return false;
    if (span_is(path->segments[at], "oauth")) {
        call_refuse(call, E_OAUTH, NULL);
        return true;
    }
    if (span_is(path->segments[at], "debug_token") && path->count == at + 1 &&
        head->method == HTTP_GET) {
        debug_token(call, ex);
        return true;
    }
    return false;
}

/* Reads: rebuilt from parsed facts, sent with the channel's token. */
#include "internal.h"

void forward_target(const struct call *call, struct buffer *out)
{
    buffer_addf(out, "/%s/%s", call->version, call->id);
    if (call->endpoint->edge[0])
        buffer_addf(out, "/%s", call->endpoint->edge);
    char separator = '?';
    for (unsigned i = 0; i < call->parameter_count; i++) {
        const struct http_parameter *p = &call->parameters[i];
        if (span_is(p->name, "access_token"))
            continue; /* the tool's token is ours, not Meta's */
        buffer_add_char(out, separator);
        http_percent_encode(out, p->name);
        buffer_add_char(out, '=');
        http_percent_encode(out, p->value);
        separator = '&';
    }
}

void forward(struct call *call, enum http_method method, struct span target, struct span type,
             struct span body, uint64_t answer_max,
             void (*done)(const struct upstream_answer *answer, void *ctx))
{
    struct upstream_request request = {
        .content_type = type, .body = body, .answer_max = answer_max};
    forward_request(call, method, target, &request, done);
}

void forward_request(struct call *call, enum http_method method, struct span target,
                     struct upstream_request *request,
                     void (*done)(const struct upstream_answer *answer, void *ctx))
{
    request->channel = call->channel;
    request->method = method;
    request->target = target;
    request->due_ms = call->started_ms + GRAPH_META_MS;
    request->repeatable = method == HTTP_GET;
    request->done = done;
    request->ctx = call;
    struct upstream *upstream = call->thread->upstream; /* NULL: stopping */
    int r = upstream ? upstream_send(upstream, request) : SLUIS_ECLOSED;
    if (r != 0) {
        const struct upstream_answer answer = {.outcome = UPSTREAM_NOT_SENT};
        done(&answer, call);
    }
}

static void on_answer(const struct upstream_answer *answer, void *ctx)
{
    reply_forward(ctx, answer);
}

void handle_forward(struct call *call)
{
    graph_count(call->thread->graph, G_FORWARDED);
    forward_target(call, &call->rebuilt);
    if (call->rebuilt.error)
        call_refuse(call, E_PARAMETER, NULL);
    else
        forward(call, HTTP_GET, buffer_span(&call->rebuilt), SPAN_EMPTY, SPAN_EMPTY,
                GRAPH_REPLY_MAX, on_answer);
}

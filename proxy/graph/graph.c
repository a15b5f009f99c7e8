/* The tools face: token, endpoint, parameters, and the life of a call. */
#include "internal.h"

#include <sodium.h>
#include <stdlib.h>

#define G_COUNTER(name, help)                                                                      \
    {                                                                                              \
        "sluis_graph_" name "_total", NULL, help, COUNTER_TOTAL, 0                                 \
    }

static struct counter counters[G_COUNT] = {
    [G_CALLS] = G_COUNTER("calls", "calls of tools with a valid token"),
    [G_TOKEN_REFUSED] = G_COUNTER("token_refused", "calls refused: no or wrong token"),
    [G_REFUSED] = G_COUNTER("refused", "calls refused"),
    [G_SENT] = G_COUNTER("sent", "messages that Meta accepted"),
    [G_SEND_FAILED] = G_COUNTER("send_failed", "messages that Meta refused or never got"),
    [G_SEND_UNKNOWN] = G_COUNTER("send_unknown", "messages without an answer from Meta"),
    [G_MASKED] = G_COUNTER("masked", "messages sent with something masked"),
    [G_CONTENT_REFUSED] = G_COUNTER("content_refused", "messages refused for what they hold"),
    [G_SETUP_ANSWERED] = G_COUNTER("setup_answered", "set-up calls answered here"),
    [G_FORWARDED] = G_COUNTER("forwarded", "reads forwarded to Meta"),
    [G_TOKENS_EXPANDED] =
        G_COUNTER("tokens_expanded", "messages in which tokens became the values behind them"),
    [G_TOKENS_REFUSED] =
        G_COUNTER("tokens_refused", "messages refused for a token that did not hold"),
    [G_NOTICES] = G_COUNTER("notices", "notices to customers that Meta accepted"),
    [G_NOTICES_FAILED] =
        G_COUNTER("notices_failed", "notices to customers that were not made or not sent"),
    [G_UNJUDGED] = G_COUNTER("unjudged", "messages refused because they could not be judged"),
};

static int thread_open(struct graph *g, unsigned index)
{
    struct graph_thread *t = &g->threads[index];
    t->graph = g;
    t->index = index;
    t->loop = g->deps.loops[index];
    t->subjects = g->deps.subjects[index];
    int r = upstream_new(t->loop, g->deps.resolver, &t->upstream);
    if (r == 0)
        r = detect_scratch_new(&t->scratch);
    if (r == 0)
        r = keyring_cache_new(g->deps.keyring, &t->keys);
    return r;
}

int graph_new(const struct graph_deps *deps, struct graph **out)
{
    *out = NULL;
    struct graph *g = calloc(1, sizeof(*g));
    if (!g)
        return SLUIS_ENOMEM;
    g->deps = *deps;
    g->counters = counters;
    g->threads = calloc(deps->loop_count, sizeof(*g->threads));
    int r = g->threads ? counters_register(counters, G_COUNT) : SLUIS_ENOMEM;
    for (unsigned i = 0; r == 0 && i < deps->loop_count; i++)
        r = thread_open(g, i);
    if (r != 0) {
        graph_free(g);
        return r;
    }
    *out = g;
    return 0;
}

void graph_free(struct graph *g)
{
    if (!g)
        return;
    for (unsigned i = 0; g->threads && i < g->deps.loop_count; i++) {
        struct graph_thread *t = &g->threads[i];
        upstream_free(t->upstream);
        fetchers_free(t->fetchers);
        detect_scratch_free(t->scratch);
        if (t->keys)
            keyring_cache_free(t->keys);
    }
    free(g->threads);
    free(g);
}

void graph_stop(struct graph *g, unsigned index)
{
    struct upstream *upstream = g->threads[index].upstream;
    g->threads[index].upstream = NULL; /* what its last answers call finds it gone */
    upstream_free(upstream);
    fetchers_free(g->threads[index].fetchers);
    g->threads[index].fetchers = NULL;
}

unsigned graph_busy(const struct graph *g, unsigned index)
{
    return g->threads[index].calls;
}

void *graph_context(struct graph *g, unsigned index)
{
    return &g->threads[index];
}

/* ---- the token: header or query, one of them (Chatwoot uses ?access_token=) ---- */

static struct span header_token(const struct http_head *head)
{
    struct span value = http_field(head, SPAN("Authorization"));
    const struct span bearer = SPAN("Bearer ");
    if (http_field_count(head, SPAN("Authorization")) != 1 || value.n <= bearer.n ||
        !span_eq_nocase(span_sub(value, 0, bearer.n), bearer))
        return SPAN_EMPTY;
    return span_from(value, bearer.n);
}

static struct span find_parameter(const struct http_parameter *list, unsigned n, const char *name)
{
    for (unsigned i = 0; i < n; i++)
        if (span_is(list[i].name, name))
            return list[i].value;
    return SPAN_EMPTY;
}

struct request {
    struct http_parameter parameters[HTTP_PARAMETERS_MAX];
    unsigned count;
    char decoded[4096], segments[1024];
    struct http_path path;
    struct span token;
    bool in_query;
    struct principal principal;
};

/* Everything about the caller and the shape of the call; E_COUNT when fine. */
static enum graph_error read_request(struct graph *g, struct exchange *ex, struct request *r)
{
    const struct http_head *head = exchange_head(ex);
    bool readable = http_query_split(head->query, r->decoded, sizeof(r->decoded), r->parameters,
                                     &r->count) == 0;
    if (!readable)
        r->count = 0;
    struct span in_header = header_token(head);
    struct span in_query = find_parameter(r->parameters, r->count, "access_token");
    r->in_query = in_header.n == 0 && in_query.n > 0;
    r->token = r->in_query ? in_query : in_header;
    /* Two that differ, in whatever place: which one counts would be a guess. */
    bool two = (in_header.n && in_query.n && !span_eq(in_header, in_query)) ||
               http_field_count(head, SPAN("Authorization")) > 1;
    if (r->token.n == 0 || two)
        return E_TOKEN;
    int result = access_token_from(g->deps.access, r->token, exchange_peer(ex), clock_wall_ms(),
                                   &r->principal);
    if (result != 0)
        return result == SLUIS_EAGAIN ? E_SLOWED : E_TOKEN;
    exchange_set_owner(ex, r->principal.id); /* so that revoking it ends this connection */
    if (!readable)
        return E_PARAMETER;
    if (http_path_split(head->path, r->segments, sizeof(r->segments), &r->path) != 0)
        return E_ENDPOINT;
    return E_COUNT;
}

/* ---- calls ---- */

struct exchange *call_exchange(struct call *call)
{
    return server_exchange(call->server, call->exchange);
}

bool call_may_leave(struct call *call)
{
    int64_t left_ms = call->started_ms + GRAPH_META_MS - clock_mono_ms();
    return call_exchange(call) && left_ms >= UPSTREAM_BUDGET_MS;
}

struct span call_parameter(const struct call *call, const char *name)
{
    return find_parameter(call->parameters, call->parameter_count, name);
}

void call_free(struct call *call)
{
    if (!media_call_free(call))
        return;
    call->thread->calls--;
    call->thread->media_bytes -= call->media_bytes;
    buffer_free(&call->token);
    buffer_free(&call->body);
    buffer_free(&call->rebuilt);
    arena_free(&call->arena);
    config_unref(call->config);
    sodium_memzero(call->decoded, sizeof(call->decoded));
    free(call);
}

/* The name by which a tool calls its agent; logged as claimed, so its characters are checked. */
static bool good_actor(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '-' || c == '_' || c == '@'))
            return false;
    }
    return s.n <= GRAPH_ACTOR_MAX;
}

static struct call *call_new(struct graph_thread *t, struct exchange *ex, struct config *config,
                             const struct request *r)
{
    struct call *call = calloc(1, sizeof(*call));
    if (!call)
        return NULL;
    t->calls++;
    call->unreadable = E_REPLY;
    call->thread = t;
    call->server = exchange_server(ex);
    call->exchange = exchange_id(ex);
    call->config = config_ref(config);
    call->principal = r->principal;
    call->token_in_query = r->in_query;
    arena_init(&call->arena, GRAPH_ARENA_MAX);
    buffer_init(&call->token, ACCESS_TOKEN_TEXT * 2);
    buffer_init(&call->body, GRAPH_BODY_MAX);
    buffer_init(&call->rebuilt, GRAPH_BODY_MAX);
    buffer_add(&call->token, r->token);
    struct span type = http_field(exchange_head(ex), SPAN("Content-Type"));
    if (type.n < sizeof(call->content_type))
        memcpy(call->content_type, type.p ? type.p : "", type.n);
    struct span host = exchange_head(ex)->host;
    if (host.n < sizeof(call->host))
        memcpy(call->host, host.p, host.n);
    return call;
}

void call_take_parameters(struct call *call, const struct http_head *head)
{
    if (http_query_split(head->query, call->decoded, sizeof(call->decoded), call->parameters,
                         &call->parameter_count) != 0)
        call->parameter_count = 0; /* was readable a moment ago: read_request */
}

const char *call_role(const struct call *call)
{
    return call->principal.role[0] ? call->principal.role : "tool";
}

static const struct config_route *own_route(const struct call *call)
{
    const struct config_channel *channel = NULL;
    const struct config_route *route =
        call->principal.route ? config_route_by_id(call->config, call->principal.route, &channel)
                              : NULL;
    return channel == call->channel ? route : NULL;
}

/* Refused before there is an endpoint; recorded, since the caller is known. */
static struct call *not_opened(struct call *call, enum graph_error error, const char *detail)
{
    call_refuse(call, error, detail);
    return NULL;
}

/* What is neither is taken for an attachment; who mistyped a number has to hear that. */
#define NO_CHANNELS_ID                                                                             \
    "the id in the path is no phone number id or WABA id of this token's channels"

/* The endpoint, its parameters, its channel. The call, or NULL when it was refused. */
static struct call *find_endpoint(struct call *call, const struct http_head *head,
                                  const struct request *r)
{
    struct span actor = http_field(head, SPAN("X-Sluis-Actor"));
    enum graph_error error = E_COUNT;
    if (!good_actor(actor) || http_field_count(head, SPAN("X-Sluis-Actor")) > 1)
        return not_opened(call, E_ACTOR, NULL);
    memcpy(call->actor, actor.p ? actor.p : "", actor.n);
    call->endpoint =
        endpoint_find(call->config, &call->principal, head->method, &r->path, call, &error);
    if (!call->endpoint)
        return not_opened(call, error, NULL);
    const char *bad = endpoint_bad_parameter(call->endpoint, r->parameters, r->count);
    if (bad)
        return not_opened(call, E_PARAMETER, bad);
    if (head->framing == HTTP_LENGTH && head->length > call->endpoint->body_max)
        return not_opened(call, call->endpoint->body_max ? E_TOO_LARGE : E_BODY, NULL);
    /* A tool whose route has gone from the configuration would be shown numbers for its aliases. */
    if (call->principal.route && !config_route_by_id(call->config, call->principal.route, NULL))
        return not_opened(call, E_OBJECT, NULL);
    /* History has its channel in the body and asks again for that one. */
    uint16_t channel = call->channel ? call->channel->id : ACCESS_SOME;
    if (!access_may(call->thread->graph->deps.access, &call->principal, channel,
                    endpoint_right(call->endpoint), clock_wall_ms()))
        return not_opened(call, E_ROLE, NULL);
    call_take_parameters(call, head);
    call->route = own_route(call);
    if (call->endpoint->sends_media && !call->channel->media_pass)
        return not_opened(call, E_MEDIA,
                          call->endpoint->object == OBJECT_MEDIA ? NO_CHANNELS_ID : NULL);
    return call;
}

/* Finds out what is asked; a call, or NULL when the exchange was answered. */
static struct call *open_call(struct graph_thread *t, struct exchange *ex)
{
    struct graph *g = t->graph;
    const struct http_head *head = exchange_head(ex);
    struct request r = {.count = 0};
    struct call *call = NULL;
    enum graph_error error = read_request(g, ex, &r);
    if (error == E_TOKEN || error == E_SLOWED) {
        exchange_close_after(ex);   /* the next guess costs another handshake */
        refuse(g, ex, error, NULL); /* a stranger: counted, by access too */
        audit_refused(g->deps.refusals, AUDIT_REFUSAL_TOKEN);
        goto out;
    }
    if (audit_closed(g->deps.gate)) {
        refuse(g, ex, E_LOG, NULL);
        goto out;
    }
    if (t->calls < GRAPH_CALLS_MAX && t->upstream) {
        struct config *config = config_acquire(g->deps.config);
        call = call_new(t, ex, config, &r);
        config_unref(config);
    }
    if (!call)
        refuse(g, ex, E_BUSY, NULL);
    else if (error != E_COUNT)
        call = not_opened(call, error, NULL);
    else if (setup_special(call, ex, &r.path))
        call = NULL;
    else
        call = find_endpoint(call, head, &r);
out:
    sodium_memzero(r.decoded, sizeof(r.decoded)); /* the token may stand in it */
    return call;
}

/* What can be refused without the body is refused before it is read. */
int graph_on_head(struct exchange *ex, uint64_t *body_max, void *ctx)
{
    struct call *call = open_call(ctx, ex);
    if (!call)
        return 0;
    *body_max = call->endpoint->body_max;
    if (call->endpoint->handle != handle_media_upload || upload_begin(call, ex))
        exchange_set_data(ex, call);
    return 0;
}

void graph_on_request(struct exchange *ex, void *ctx)
{
    struct graph_thread *t = ctx;
    struct call *call = exchange_data(ex);
    exchange_set_data(ex, NULL);
    if (!call) {
        exchange_abort(ex, "no_call");
        return;
    }
    call->started_ms = clock_mono_ms();
    graph_count(t->graph, G_CALLS);
    exchange_take_body(ex, &call->body);
    if (audit_closed(t->graph->deps.gate)) { /* since its head, while the body came in */
        call_refuse(call, E_LOG, NULL);
        return;
    }
    if (call->body.n && call->endpoint->body_max == 0) {
        call_refuse(call, E_BODY, "no body is expected");
        return;
    }
    call->endpoint->handle(call);
}

/* Between head and body the exchange owns the call; later the call finds its exchange gone. */
void graph_on_gone(struct exchange *ex, void *ctx)
{
    struct call *call = exchange_data(ex);
    (void)ctx;
    if (call)
        call_free(call);
}

/* ---- the access log ---- */

struct record_job {
    struct store_job job;
    struct buffer leaf;
    uint8_t hash[32];
};

static int run_record(struct store_txn *txn, struct store_job *job)
{
    struct record_job *r = (struct record_job *)job;
    uint64_t index;
    store_put_leaf(txn, buffer_span(&r->leaf), r->hash, &index);
    return store_txn_error(txn);
}

static void record_done(struct store_job *job)
{
    struct record_job *r = (struct record_job *)job;
    if (job->result != 0)
        LOG(LOG_ALARM, "graph", "outcome_not_recorded", log_error(job->result));
    buffer_free(&r->leaf);
    free(r);
}

void call_record(struct call *call, enum audit_action action, const char *outcome, uint32_t code,
                 uint64_t object, uint64_t subject, uint64_t masked)
{
    const struct config_channel *channel = call->channel;
    const struct audit_event event = {
        .at_ms = clock_wall_ms(),
        .action = action,
        .actor = call->principal.name,
        .claimed = call->actor[0] ? call->actor : NULL,
        .role = call_role(call),
        .channel = channel ? channel->name : NULL,
        .route = call->route ? call->route->name : NULL,
        .activity = channel ? policy_activity(channel->policy) : NULL,
        .object = object,
        .subject = subject,
        .masked = masked,
        .policy_hash = channel ? policy_hash(channel->policy) : NULL,
        .outcome = outcome,
        .code = code,
    };
    graph_record(call->thread->graph, &event);
}

void graph_record(struct graph *g, const struct audit_event *event)
{
    struct record_job *r = calloc(1, sizeof(*r));
    if (!r) {
        LOG(LOG_ALARM, "graph", "outcome_not_recorded", log_word("reason", "memory"));
        return;
    }
    buffer_init(&r->leaf, AUDIT_LEAF_MAX);
    r->job.priority = STORE_NORMAL;
    r->job.run = run_record;
    r->job.done = record_done;
    if (audit_leaf(event, &r->leaf, r->hash) != 0) {
        LOG(LOG_ALARM, "graph", "outcome_not_recorded", log_word("reason", "leaf"));
        buffer_free(&r->leaf);
        free(r);
        return;
    }
    store_submit(g->deps.store, &r->job);
}

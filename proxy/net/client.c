#include "client_private.h"

#include "resolver_private.h"
#include "sluis/base/clock.h"
#include <stdlib.h>

static void detach(struct call *call)
{
    struct client *client = call->client;
    struct call **at = &client->calls[call->id % CLIENT_BUCKETS];
    while (*at != call)
        at = &(*at)->hash_next;
    *at = call->hash_next;
    call->hash_next = NULL;
    deadline_remove(client->wheel, &call->deadline);
    if (call->state != CALL_WAITING)
        return;
    struct origin *origin = call->origin;
    if (call->prev)
        call->prev->next = call->next;
    else
        origin->waiting_first = call->next;
    if (call->next)
        call->next->prev = call->prev;
    else
        origin->waiting_last = call->prev;
    call->prev = call->next = NULL;
    origin->waiting_count--;
}

static void free_call(struct call *call)
{
    buffer_free(&call->out);
    buffer_free(&call->in);
    buffer_free(&call->body);
    free(call);
}

static void keep_small(struct buffer *b)
{
    if (b->cap > CLIENT_KEEP_BYTES)
        buffer_free(b);
    else
        buffer_clear(b);
}

static void recycle(struct call *call)
{
    struct client *client = call->client;
    if (client->pooled >= CLIENT_POOLED_CALLS) {
        free_call(call);
        return;
    }
    keep_small(&call->out);
    keep_small(&call->in);
    keep_small(&call->body);
    call->hash_next = client->pool;
    client->pool = call;
    client->pooled++;
}

static struct call *take_call(struct client *client)
{
    struct call *call = client->pool;
    if (!call)
        return calloc(1, sizeof(*call));
    client->pool = call->hash_next;
    client->pooled--;
    struct buffer out = call->out, in = call->in, body = call->body;
    memset(call, 0, offsetof(struct call, head));
    call->out = out;
    call->in = in;
    call->body = body;
    return call;
}

static void tell(struct call *call, struct client_answer *answer)
{
    answer->elapsed_us = clock_mono_us() - call->start_us;
    detach(call);
    call->done(answer, call->ctx);
    recycle(call);
}

void call_succeed(struct call *call)
{
    struct client_answer answer = {.sent = true, .head = &call->head.head, .body = call->body_span};
    tell(call, &answer);
}

void call_fail(struct call *call, int error, enum client_failure failure, bool stale, bool sent)
{
    struct client_answer answer = {
        .error = error, .failure = failure, .stale = stale, .sent = sent};
    tell(call, &answer);
}

static void on_fail_later(struct mail *mail)
{
    struct call *call = (struct call *)((char *)mail - offsetof(struct call, later));
    if (call->client)
        call_fail(call, call->error, call->failure, false, false);
    else
        free_call(call); /* told already, or cancelled */
}

void call_fail_later(struct call *call, int error, enum client_failure failure)
{
    call->state = CALL_FAILING;
    call->cc = NULL;
    call->origin = NULL;
    call->error = error;
    call->failure = failure;
    deadline_remove(call->client->wheel, &call->deadline);
    loop_later(call->client->loop, &call->later, on_fail_later);
}

static void call_fired(struct deadline *deadline)
{
    struct call *call = (struct call *)((char *)deadline - offsetof(struct call, deadline));
    if (call->state == CALL_BOUND) {
        client_conn_timeout(call->cc);
        return;
    }
    if (call->state == CALL_WAITING)
        call_fail(call, SLUIS_ETIMEOUT, CLIENT_FAIL_TIMEOUT, false, false);
}

void call_deadline(struct call *call, int64_t in_ms)
{
    if (call->due_ms) {
        int64_t left_ms = call->due_ms - clock_mono_ms();
        if (left_ms < in_ms)
            in_ms = left_ms;
    }
    deadline_set(call->client->wheel, &call->deadline, in_ms);
}

static struct origin *find_origin(struct client *client, const struct client_url *url)
{
    for (struct origin *o = client->origins; o; o = o->next)
        if (o->port == url->port && o->https == url->https && strcmp(o->host, url->host) == 0)
            return o;
    return NULL;
}

static struct origin *make_origin(struct client *client, const struct client_url *url)
{
    if (client->origin_count >= CLIENT_ORIGINS_MAX)
        return NULL;
    struct origin *origin = calloc(1, sizeof(*origin));
    if (!origin)
        return NULL;
    origin->client = client;
    origin->https = url->https;
    origin->port = url->port;
    memcpy(origin->host, url->host, sizeof(origin->host));
    origin->next = client->origins;
    client->origins = origin;
    client->origin_count++;
    return origin;
}

static void forget_origin(struct origin *origin)
{
    struct client *client = origin->client;
    struct origin **at = &client->origins;
    while (*at != origin)
        at = &(*at)->next;
    *at = origin->next;
    client->origin_count--;
    free(origin);
}

static struct call *pop_waiting(struct origin *origin)
{
    struct call *call = origin->waiting_first;
    origin->waiting_first = call->next;
    if (call->next)
        call->next->prev = NULL;
    else
        origin->waiting_last = NULL;
    call->next = NULL;
    call->state = CALL_BOUND;
    origin->waiting_count--;
    return call;
}

void origin_pump(struct origin *origin)
{
    while (origin->waiting_first) {
        bool room = origin->conns < origin->client->config.connections;
        bool fresh = origin->waiting_first->fresh;
        if (origin->idle && !fresh)
            client_conn_reuse(origin->idle, pop_waiting(origin));
        else if (room)
            client_conn_open(pop_waiting(origin));
        else if (origin->idle)
            client_conn_close(origin->idle);
        else
            break;
    }
    if (origin->conns == 0 && !origin->waiting_first)
        forget_origin(origin);
}

static void write_request(struct client *client, struct call *call,
                          const struct client_request *request)
{
    struct buffer *out = &call->out;
    struct span target = request->target.n ? request->target : span_str(request->url->target);
    bool may_have_body = request->method != HTTP_GET && request->method != HTTP_HEAD &&
                         request->method != HTTP_OPTIONS && request->method != HTTP_DELETE;
    out->max = CLIENT_REQUEST_HEAD_MAX + request->body.n;
    http_write_request_line(out, request->method, target);
    http_write_field(out, SPAN("Host"), span_str(request->url->authority));
    if (client->user_agent)
        http_write_field(out, SPAN("User-Agent"), span_str(client->user_agent));
    http_write_field(out, SPAN("Accept-Encoding"), SPAN("identity"));
    for (unsigned i = 0; i < request->field_count; i++)
        http_write_field(out, request->fields[i].name, request->fields[i].value);
    if (may_have_body || request->body.n)
        http_write_field_u64(out, SPAN("Content-Length"),
                             request->more ? request->body_length : request->body.n);
    http_write_end(out);
    if (!request->more)
        buffer_add(out, request->body);
}

static struct call *make_call(struct client *client, const struct client_request *request)
{
    struct call *call = take_call(client);
    if (!call)
        return NULL;
    call->client = client;
    call->id = ++client->next_id;
    call->method = request->method;
    call->answer_max = request->answer_max ? request->answer_max : CLIENT_ANSWER_MAX;
    call->status_only = request->status_only;
    call->fresh = request->fresh_connection;
    call->answer_ms = request->answer_ms > 0 ? request->answer_ms : client->config.answer_ms;
    call->due_ms = request->due_ms;
    call->done = request->done;
    call->more = request->more;
    call->body_left = request->more ? request->body_length : 0;
    call->data = request->data;
    call->ctx = request->ctx;
    call->start_us = clock_mono_us();
    call->in.max = CLIENT_HEAD_ROOM;
    call->body.max = (size_t)call->answer_max;
    call->deadline.fire = call_fired;
    write_request(client, call, request);
    return call;
}

int client_send(struct client *client, const struct client_request *request, uint64_t *id)
{
    if (client->stopping)
        return SLUIS_ECLOSED;
    if (request->url->https && !client->config.tls)
        return SLUIS_EINVAL;
    if (request->due_ms && clock_mono_ms() >= request->due_ms)
        return SLUIS_ETIMEOUT;
    struct origin *origin = find_origin(client, request->url);
    if (origin && origin->waiting_count >= client->config.waiting)
        return SLUIS_ELIMIT;
    struct call *call = make_call(client, request);
    if (!call)
        return SLUIS_ENOMEM;
    int r = call->out.error;
    if (r == 0 && !origin) {
        origin = make_origin(client, request->url);
        r = origin ? 0 : SLUIS_ELIMIT;
    }
    if (r) {
        recycle(call);
        return r;
    }
    call->hash_next = client->calls[call->id % CLIENT_BUCKETS];
    client->calls[call->id % CLIENT_BUCKETS] = call;
    call->origin = origin;
    call->state = CALL_WAITING;
    call->prev = origin->waiting_last;
    if (call->prev)
        call->prev->next = call;
    else
        origin->waiting_first = call;
    origin->waiting_last = call;
    origin->waiting_count++;
    if (id)
        *id = call->id;
    call_deadline(call, call->answer_ms);
    origin_pump(origin);
    return 0;
}

/* Takes a call away from wherever it is, without a word; its origin may go on. */
static void withdraw(struct call *call)
{
    struct origin *origin = call->origin;
    if (call->state == CALL_BOUND)
        client_conn_close(call->cc);
    detach(call);
    if (call->state == CALL_FAILING) {
        call->client = NULL; /* the end of the turn frees it */
        return;
    }
    recycle(call);
    origin_pump(origin);
}

static struct call *find_call(struct client *client, uint64_t id)
{
    struct call *call = client->calls[id % CLIENT_BUCKETS];
    while (call && call->id != id)
        call = call->hash_next;
    return call;
}

void client_cancel(struct client *client, uint64_t id)
{
    struct call *call = find_call(client, id);
    if (call)
        withdraw(call);
}

void client_give(struct client *client, uint64_t id, struct span bytes)
{
    struct call *call = find_call(client, id);
    if (call && call->state == CALL_BOUND && call->asked)
        client_conn_give(call->cc, bytes);
}

void client_hold(struct client *client, uint64_t id, bool on)
{
    struct call *call = find_call(client, id);
    if (call && call->state == CALL_BOUND && call->held != on)
        client_conn_hold(call->cc, on);
}

int client_new(struct loop *loop, const struct client_config *config, struct client **out)
{
    struct client *client = calloc(1, sizeof(*client));
    if (!client)
        return SLUIS_ENOMEM;
    client->loop = loop;
    client->wheel = loop_deadlines(loop);
    client->config = *config;
    client->config.tls = tls_ref(config->tls);
    if (config->user_agent) {
        client->user_agent = strdup(config->user_agent);
        if (!client->user_agent) {
            client_free(client);
            return SLUIS_ENOMEM;
        }
    }
    client->config.user_agent = client->user_agent;
#define FILL(field, value)                                                                         \
    if (client->config.field == 0)                                                                 \
    client->config.field = (value)
    FILL(connections, 32);
    FILL(waiting, 1024);
    FILL(connect_ms, 5000);
    FILL(answer_ms, 30000);
    FILL(idle_ms, 60000);
#undef FILL
    *out = client;
    return 0;
}

/* One call is told that the client stops. */
static void stop_call(struct call *call)
{
    struct client_answer answer = {.error = SLUIS_ECLOSED, .failure = CLIENT_FAIL_CLOSED};
    if (call->state == CALL_BOUND) {
        answer.sent = call->cc->phase == CC_WRITE || call->cc->phase == CC_ANSWER;
        client_conn_close(call->cc);
    }
    answer.elapsed_us = clock_mono_us() - call->start_us;
    detach(call);
    call->done(&answer, call->ctx);
    if (call->state == CALL_FAILING)
        call->client = NULL;
    else
        free_call(call);
}

void client_free(struct client *client)
{
    if (!client)
        return;
    client->stopping = true;
    for (unsigned i = 0; i < CLIENT_BUCKETS; i++)
        while (client->calls[i])
            stop_call(client->calls[i]);
    while (client->origins) {
        struct origin *origin = client->origins;
        while (origin->idle)
            client_conn_close(origin->idle);
        forget_origin(origin);
    }
    while (client->pool) {
        struct call *call = client->pool;
        client->pool = call->hash_next;
        free_call(call);
    }
    tls_unref(client->config.tls);
    free(client->user_agent);
    free(client);
}

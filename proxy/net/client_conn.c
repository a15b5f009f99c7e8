#include "client_private.h"

#include "resolver_private.h"
#include "sluis/base/clock.h"
#include <stdlib.h>

static void free_at_last(struct mail *mail)
{
    free((char *)mail - offsetof(struct client_conn, later));
}

static void leave_idle(struct client_conn *cc)
{
    if (cc->phase != CC_IDLE)
        return;
    if (cc->prev)
        cc->prev->next = cc->next;
    else
        cc->origin->idle = cc->next;
    if (cc->next)
        cc->next->prev = cc->prev;
    cc->prev = cc->next = NULL;
    deadline_clear(&cc->deadline);
}

void client_conn_close(struct client_conn *cc)
{
    if (cc->phase == CC_DEAD)
        return;
    leave_idle(cc);
    deadline_remove(cc->client->wheel, &cc->deadline);
    if (cc->conn) {
        if (conn_unsent(cc->conn) == 0)
            conn_shutdown(cc->conn);
        else
            conn_reset(cc->conn);
        conn_free(cc->conn);
    }
    cc->conn = NULL;
    cc->phase = CC_DEAD;
    if (cc->call)
        cc->call->cc = NULL;
    cc->call = NULL;
    cc->origin->conns--;
    loop_later(cc->client->loop, &cc->later, free_at_last);
}

/* Closes and leaves the call to be told at the end of the turn. */
static void give_up(struct client_conn *cc, int error, enum client_failure failure)
{
    struct call *call = cc->call;
    client_conn_close(cc);
    call_fail_later(call, error, failure);
}

/* Closes, lets the origin go on, and tells the call now: from events only. */
static void fail(struct client_conn *cc, int error, enum client_failure failure)
{
    struct call *call = cc->call;
    struct origin *origin = cc->origin;
    /* Of a body in pieces the head went first, whole. */
    bool sent = cc->phase == CC_ANSWER || (call->more && cc->phase == CC_WRITE) ||
                (cc->phase == CC_WRITE && conn_unsent(cc->conn) < call->out.n);
    bool stale = cc->reused && !cc->any_answer && failure == CLIENT_FAIL_CLOSED;
    client_conn_close(cc);
    origin_pump(origin);
    call_fail(call, error, failure, stale, sent);
}

static void on_idle_fired(struct deadline *deadline)
{
    struct client_conn *cc =
        (struct client_conn *)((char *)deadline - offsetof(struct client_conn, deadline));
    struct origin *origin = cc->origin;
    if (cc->phase != CC_IDLE)
        return;
    client_conn_close(cc);
    origin_pump(origin);
}

static void enter_idle(struct client_conn *cc)
{
    struct origin *origin = cc->origin;
    cc->call = NULL;
    cc->phase = CC_IDLE;
    cc->prev = NULL;
    cc->next = origin->idle;
    if (cc->next)
        cc->next->prev = cc;
    origin->idle = cc;
    deadline_set(cc->client->wheel, &cc->deadline, cc->client->config.idle_ms);
}

/* The call has its answer. `whole`: it was read to its end. */
static void complete(struct client_conn *cc, bool whole)
{
    struct call *call = cc->call;
    struct origin *origin = cc->origin;
    const struct http_head *head = &call->head.head;
    bool reusable = whole && head->keep_alive && head->framing != HTTP_UNTIL_CLOSE &&
                    call->in_used == call->in.n && conn_pending(cc->conn) == 0 &&
                    conn_unsent(cc->conn) == 0 && call->body_left == 0;
    if (call->held)
        conn_read(cc->conn, true);
    call->cc = NULL;
    if (reusable) {
        enter_idle(cc);
    } else {
        cc->call = NULL;
        client_conn_close(cc);
    }
    origin_pump(origin);
    call_succeed(call);
}

/* Is the answer's body handed over as it comes? */
static bool streams(const struct call *call)
{
    return call->data && call->head.head.status == 200;
}

static int feed(struct call *call, struct span bytes, size_t *used, enum http_result *result)
{
    struct span data = SPAN_EMPTY;
    *result = http_body_feed(&call->body_machine, bytes, &data, used);
    if (streams(call)) {
        if (data.n == 0)
            return 0;
        call_deadline(call, call->answer_ms);
        return call->data(call->ctx, &call->head.head, data);
    }
    if (!call->status_only)
        buffer_add(&call->body, data);
    return call->body.error;
}

/* True when the call is still waiting for more. */
static bool read_body(struct client_conn *cc)
{
    struct call *call = cc->call;
    const struct http_head *head = &call->head.head;
    enum http_result r = HTTP_NEED_MORE;
    size_t used = 1;
    int error = 0;
    size_t here = call->in.n - call->in_used;
    if (!streams(call) && head->framing == HTTP_LENGTH && call->body_machine.total == 0 &&
        head->length <= here && head->length <= call->body_machine.max) {
        if (!call->status_only)
            call->body_span = span_of(call->in.p + call->in_used, (size_t)head->length);
        call->in_used += (size_t)head->length;
        complete(cc, true);
        return false;
    }
    if (call->held)
        return true;
    do {
        bool buffered = call->in_used < call->in.n;
        struct span bytes =
            buffered ? span_from(buffer_span(&call->in), call->in_used) : conn_peek(cc->conn);
        error = feed(call, bytes, &used, &r);
        if (buffered)
            call->in_used += used;
        else
            conn_drop(cc->conn, used);
    } while (!error && r == HTTP_NEED_MORE && used && !call->held);
    if (error || r == HTTP_REFUSED) {
        bool large = error || call->body_machine.reason == HTTP_BAD_BODY_TOO_LARGE;
        bool theirs = error && streams(call); /* of whom it was handed to */
        fail(cc, theirs ? error : large ? SLUIS_ELIMIT : SLUIS_EINVAL, CLIENT_FAIL_ANSWER);
        return false;
    }
    call->body_span = buffer_span(&call->body);
    if (r == HTTP_DONE)
        complete(cc, true);
    else if (call->status_only && call->body_machine.total > CLIENT_DRAIN_MAX)
        complete(cc, false);
    else
        return true;
    return false;
}

static void read_answer(struct client_conn *cc)
{
    struct call *call = cc->call;
    cc->any_answer = true;
    while (!call->have_head) {
        size_t skip = 0, n = conn_pending(cc->conn);
        if (n > CLIENT_HEAD_ROOM - call->in.n)
            n = CLIENT_HEAD_ROOM - call->in.n;
        char *to = n ? buffer_reserve(&call->in, n) : NULL;
        if (n && !to) {
            fail(cc, SLUIS_ENOMEM, CLIENT_FAIL_ANSWER);
            return;
        }
        if (n)
            call->in.n += conn_take(cc->conn, to, n);
        enum http_result r = http_answer_head(&call->head, buffer_span(&call->in), &skip);
        if (r == HTTP_REFUSED) {
            fail(cc, SLUIS_EINVAL, CLIENT_FAIL_ANSWER);
            return;
        }
        if (r == HTTP_DONE)
            break;
        if (skip)
            buffer_drop(&call->in, skip);
        else if (conn_pending(cc->conn) == 0)
            return;
    }
    if (!call->have_head) {
        call->have_head = true;
        call->in_used = call->head.head_len;
        http_body_init(&call->body_machine, &call->head.head,
                       call->status_only ? UINT64_MAX : call->answer_max);
    }
    (void)read_body(cc);
}

/* All that there was is with the kernel: more of the body, or the answer. `more` may give at once.
 */
static void written(struct client_conn *cc)
{
    struct call *call = cc->call;
    if (call->body_left > 0) {
        call->asked = true;
        call->more(call->ctx);
        return;
    }
    cc->phase = CC_ANSWER;
    call_deadline(call, call->answer_ms);
}

static int start_write(struct client_conn *cc)
{
    struct call *call = cc->call;
    cc->phase = CC_WRITE;
    cc->any_answer = false;
    http_answer_machine_init(&call->head, call->method == HTTP_HEAD, call->status_only);
    call_deadline(call, call->answer_ms);
    int r = conn_write(cc->conn, buffer_span(&call->out));
    if (r == 0 && conn_unsent(cc->conn) == 0)
        written(cc);
    return r;
}

void client_conn_give(struct client_conn *cc, struct span bytes)
{
    struct call *call = cc->call;
    call->asked = false;
    if (bytes.n == 0 || bytes.n > call->body_left || conn_write(cc->conn, bytes)) {
        fail(cc, SLUIS_EIO, CLIENT_FAIL_WRITE);
        return;
    }
    call->body_left -= bytes.n;
    call_deadline(call, call->answer_ms);
    if (conn_unsent(cc->conn) == 0)
        written(cc);
}

void client_conn_hold(struct client_conn *cc, bool on)
{
    struct call *call = cc->call;
    call->held = on;
    conn_read(cc->conn, !on);
    if (on) {
        deadline_clear(&call->deadline);
        if (call->due_ms)
            call_deadline(call, call->due_ms - clock_mono_ms());
        return;
    }
    call_deadline(call, call->answer_ms);
    if (cc->phase == CC_ANSWER && call->have_head)
        (void)read_body(cc); /* what had come already */
}

void client_conn_reuse(struct client_conn *cc, struct call *call)
{
    leave_idle(cc);
    cc->call = call;
    call->cc = cc;
    cc->reused = true;
    if (start_write(cc))
        give_up(cc, SLUIS_ENOMEM, CLIENT_FAIL_WRITE);
}

static void on_ready(void *ctx)
{
    struct client_conn *cc = ctx;
    if (cc->phase != CC_CONNECT)
        return;
    if (start_write(cc))
        fail(cc, SLUIS_ENOMEM, CLIENT_FAIL_WRITE);
}

static void on_readable(void *ctx)
{
    struct client_conn *cc = ctx;
    struct origin *origin = cc->origin;
    if (cc->phase == CC_WRITE || cc->phase == CC_ANSWER) {
        read_answer(cc);
    } else if (cc->phase == CC_IDLE) {
        /* Nobody asked: whatever it is, it must not answer the next request. */
        client_conn_close(cc);
        origin_pump(origin);
    }
}

static void on_drained(void *ctx)
{
    struct client_conn *cc = ctx;
    if (cc->phase == CC_WRITE && !cc->call->asked)
        written(cc);
}

static int connect_next(struct client_conn *cc);

static void ended_connecting(struct client_conn *cc, enum conn_end end)
{
    if (end == CONN_END_CONNECT) {
        conn_free(cc->conn);
        cc->conn = NULL;
        cc->address_at++;
        if (connect_next(cc))
            fail(cc, SLUIS_EIO, CLIENT_FAIL_CONNECT);
        return;
    }
    fail(cc, SLUIS_ECRYPTO, end == CONN_END_NAME ? CLIENT_FAIL_TLS_NAME : CLIENT_FAIL_TLS);
}

static void ended_answering(struct client_conn *cc, enum conn_end end)
{
    struct call *call = cc->call;
    if (call->have_head && call->status_only) {
        complete(cc, false);
        return;
    }
    if (call->have_head && end == CONN_END_EOF &&
        http_body_closed(&call->body_machine) == HTTP_DONE) {
        call->body_span = buffer_span(&call->body);
        complete(cc, false);
        return;
    }
    fail(cc, SLUIS_ECLOSED, CLIENT_FAIL_CLOSED);
}

static void on_ended(void *ctx, enum conn_end end)
{
    struct client_conn *cc = ctx;
    struct origin *origin = cc->origin;
    switch (cc->phase) {
    case CC_CONNECT:
        ended_connecting(cc, end);
        return;
    case CC_WRITE:
    case CC_ANSWER:
        ended_answering(cc, end);
        return;
    case CC_IDLE:
        client_conn_close(cc);
        origin_pump(origin);
        return;
    case CC_RESOLVE:
    case CC_DEAD:
    default:
        return;
    }
}

static const struct conn_events events = {
    .ready = on_ready, .readable = on_readable, .drained = on_drained, .ended = on_ended};

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)address)->sin_port = htons(port);
}

/* The next address that takes a connection attempt; each gets its share of the time. 0 or
 * SLUIS_EIO when there is none left. */
static int connect_next(struct client_conn *cc)
{
    struct origin *origin = cc->origin;
    struct tls_context *tls = origin->https ? cc->client->config.tls : NULL;
    cc->phase = CC_CONNECT;
    for (; cc->address_at < cc->address_count; cc->address_at++) {
        int64_t left_ms = cc->connect_due_ms - clock_mono_ms();
        set_port(&cc->addresses[cc->address_at], origin->port);
        if (conn_connect(cc->client->loop, &cc->addresses[cc->address_at], tls, origin->host,
                         &events, cc, &cc->conn) == 0) {
            call_deadline(cc->call, left_ms / (cc->address_count - cc->address_at));
            return 0;
        }
    }
    return SLUIS_EIO;
}

/* 0 when under way. */
static int resolve(struct client_conn *cc, enum client_failure *failure)
{
    struct resolver *resolver = cc->client->config.resolver;
    int n;
    if (resolver)
        n = resolver_get(resolver, cc->origin->host, cc->client->config.private_allowed,
                         cc->addresses, RESOLVER_ADDRESSES_MAX);
    else
        n = resolver_numeric(cc->origin->host, &cc->addresses[0]) ? 1 : SLUIS_ENOENT;
    if (n == SLUIS_EAGAIN) {
        call_deadline(cc->call, CLIENT_RESOLVE_POLL_MS);
        return 0;
    }
    *failure = CLIENT_FAIL_RESOLVE;
    if (n < 0)
        return n;
    cc->address_count = (unsigned)n;
    *failure = CLIENT_FAIL_CONNECT;
    return connect_next(cc);
}

void client_conn_open(struct call *call)
{
    enum client_failure failure = CLIENT_FAIL_CONNECT;
    struct client_conn *cc = calloc(1, sizeof(*cc));
    if (!cc) {
        call_fail_later(call, SLUIS_ENOMEM, failure);
        return;
    }
    cc->client = call->client;
    cc->origin = call->origin;
    cc->origin->conns++;
    cc->call = call;
    call->cc = cc;
    cc->deadline.fire = on_idle_fired;
    cc->connect_due_ms = clock_mono_ms() + cc->client->config.connect_ms;
    int r = resolve(cc, &failure);
    if (r)
        give_up(cc, r, failure);
}

void client_conn_timeout(struct client_conn *cc)
{
    int64_t now = clock_mono_ms(), due_ms = cc->call->due_ms;
    bool late = now >= cc->connect_due_ms || (due_ms && now >= due_ms);
    enum client_failure failure = CLIENT_FAIL_RESOLVE;
    if (cc->phase == CC_RESOLVE && !late) {
        int r = resolve(cc, &failure);
        if (r)
            fail(cc, r, failure);
        return;
    }
    if (cc->phase == CC_CONNECT && !late && cc->address_at + 1 < cc->address_count) {
        ended_connecting(cc, CONN_END_CONNECT);
        return;
    }
    if (cc->phase == CC_ANSWER && cc->call->have_head && cc->call->status_only) {
        complete(cc, false);
        return;
    }
    fail(cc, SLUIS_ETIMEOUT, cc->phase == CC_RESOLVE ? CLIENT_FAIL_RESOLVE : CLIENT_FAIL_TIMEOUT);
}

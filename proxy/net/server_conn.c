#include "server_private.h"

#include "sluis/base/clock.h"
#include "sluis/base/log.h"
#include <stdlib.h>

#define REFUSAL_MAX 8192 /* bytes of what a refusal says */

static void enter(struct server_conn *sc, enum phase phase, int64_t deadline_ms)
{
    sc->phase = phase;
    deadline_set(sc->server->wheel, &sc->deadline, deadline_ms);
}

static void free_at_last(struct mail *mail)
{
    free((char *)mail - offsetof(struct server_conn, later));
}

void server_conn_close(struct server_conn *sc, const char *reason)
{
    struct server *server = sc->server;
    if (sc->phase == PHASE_DEAD)
        return;
    sc->phase = PHASE_DEAD;
    LOG(LOG_DEBUG, "net", "closed", log_word("listener", server->name), log_word("reason", reason));
    if (sc->ex) {
        exchange_gone(sc->ex);
        exchange_source_over(sc->ex, false);
        exchange_put(sc->ex);
    }
    deadline_remove(server->wheel, &sc->deadline);
    if (conn_unsent(sc->conn) == 0)
        conn_shutdown(sc->conn);
    else
        conn_reset(sc->conn);
    conn_free(sc->conn);
    server_conn_forget(sc);
    loop_later(server->loop, &sc->later, free_at_last);
}

/* Answers in the handler's place and closes. */
static void refuse(struct server_conn *sc, unsigned status, const char *reason)
{
    struct exchange *ex = sc->ex;
    ex->close_after = true;
    ex->refused = sc->phase != PHASE_HANDLE;
    exchange_answer_begin(ex, status);
    if (status == 503)
        http_write_field_u64(&ex->out, SPAN("Retry-After"), SERVER_RETRY_AFTER_S);
    struct buffer body;
    const char *type = NULL;
    buffer_init(&body, REFUSAL_MAX);
    if (sc->server->config.refusal)
        type = sc->server->config.refusal(status, reason, &body);
    if (!type || body.error) {
        type = "text/plain";
        buffer_clear(&body);
        buffer_add_str(&body, reason);
    }
    exchange_answer_field(ex, SPAN("Content-Type"), span_str(type));
    exchange_answer_end(ex, buffer_span(&body));
    buffer_free(&body);
}

void server_conn_abort(struct server_conn *sc, unsigned status, const char *reason)
{
    if (sc->phase == PHASE_DEAD)
        return;
    if (!sc->ex || sc->ex->answered) {
        server_conn_close(sc, reason);
        return;
    }
    LOG(LOG_DEBUG, "net", "refused", log_word("listener", sc->server->name),
        log_u64("status", status), log_word("reason", reason));
    exchange_gone(sc->ex);
    refuse(sc, status, reason);
}

static void refuse_http(struct server_conn *sc, enum http_reason reason)
{
    server_count(sc->server, COUNT_REFUSED + (unsigned)reason, 1);
    server_conn_abort(sc, http_reason_status(reason), http_reason_word(reason));
}

static void shed(struct server_conn *sc)
{
    server_count(sc->server, COUNT_SHED, 1);
    server_conn_abort(sc, 503, "busy");
}

/* The answer is with the kernel. */
static bool sent(struct server_conn *sc)
{
    const struct server_limits *limits = &sc->server->config.limits;
    sc->served = true;
    if (sc->close_after) {
        exchange_put(sc->ex);
        if (sc->eof) {
            server_conn_close(sc, "answered");
            return false;
        }
        conn_shutdown(sc->conn);
        enter(sc, PHASE_LINGER, SERVER_LINGER_MS);
        conn_drop(sc->conn, conn_pending(sc->conn));
        conn_read(sc->conn, true);
        return false;
    }
    exchange_next(sc->ex);
    conn_read(sc->conn, true);
    if (sc->ex)
        enter(sc, PHASE_HEAD, limits->head_ms);
    else
        enter(sc, PHASE_IDLE, limits->idle_ms);
    return true;
}

/* The peer has taken what there was: the next piece. */
static void want_more(struct server_conn *sc)
{
    struct exchange *ex = sc->ex;
    ex->source_asked = true;
    deadline_set(sc->server->wheel, &sc->deadline, sc->server->config.limits.answer_ms);
    ex->source.more(ex, ex->source.ctx);
}

/* Everything that was written is with the kernel; true when there may be more to do. */
static bool all_written(struct server_conn *sc)
{
    struct exchange *ex = sc->ex;
    if (ex->source_left > 0) {
        want_more(sc);
        return false;
    }
    exchange_source_over(ex, true);
    return sent(sc);
}

void server_conn_piece(struct server_conn *sc, struct span bytes)
{
    struct exchange *ex = sc->ex;
    if (bytes.n == 0 || bytes.n > ex->source_left || conn_write(sc->conn, bytes)) {
        conn_reset(sc->conn); /* cut off, and it must look so */
        server_conn_close(sc, "answer_cut");
        return;
    }
    ex->source_asked = false;
    ex->source_left -= bytes.n;
    exchange_account(ex, conn_unsent(sc->conn));
    sc->unsent_seen = conn_unacknowledged(sc->conn);
    deadline_set(sc->server->wheel, &sc->deadline, sc->server->config.limits.write_ms);
    if (conn_unsent(sc->conn) == 0 && all_written(sc))
        server_conn_go(sc);
}

static bool send_answer(struct server_conn *sc)
{
    struct exchange *ex = sc->ex;
    sc->close_after = ex->close_after;
    if (conn_write(sc->conn, buffer_span(&ex->out))) {
        server_conn_close(sc, "memory");
        return false;
    }
    if (conn_unsent(sc->conn) == 0 && ex->source_left == 0)
        return sent(sc);
    /* What a slow reader makes us keep counts like what a fast sender sent. */
    exchange_account(ex, ex->accounted + conn_unsent(sc->conn));
    buffer_free(&ex->out);
    sc->unsent_seen = conn_unacknowledged(sc->conn);
    enter(sc, PHASE_WRITE, sc->server->config.limits.write_ms);
    if (conn_unsent(sc->conn) == 0)
        want_more(sc);
    return sc->phase == PHASE_IDLE || sc->phase == PHASE_HEAD;
}

static bool handle(struct server_conn *sc)
{
    struct exchange *ex = sc->ex;
    struct server *server = sc->server;
    ex->refused = false;
    ex->known = true;
    enter(sc, PHASE_HANDLE, server->config.limits.answer_ms);
    server->config.on_request(ex, server->config.ctx);
    return sc->phase == PHASE_HANDLE && sc->ex->answered;
}

/* One run of body bytes; how many were taken. */
static enum http_result feed(struct exchange *ex, struct span bytes, size_t *used)
{
    struct span data = SPAN_EMPTY;
    if (ex->sink.data)
        bytes = span_sub(bytes, 0, bytes.n < EXCHANGE_PIECE ? bytes.n : EXCHANGE_PIECE);
    enum http_result r = http_body_feed(&ex->body_machine, bytes, &data, used);
    if (!ex->sink.data)
        buffer_add(&ex->body, data);
    else if (data.n && r != HTTP_REFUSED)
        ex->sink.data(ex, data, ex->sink.ctx);
    return r;
}

/* Nothing of the body is handed over now: paused, or answered or closed by whom it was given to. */
static bool stalled(const struct server_conn *sc)
{
    return sc->phase != PHASE_BODY || sc->ex->paused || sc->ex->answered;
}

static enum http_result feed_all(struct server_conn *sc)
{
    struct exchange *ex = sc->ex;
    enum http_result r = HTTP_NEED_MORE;
    size_t used = 1;
    /* `stalled` first: who was given a piece may have closed, and the exchange is gone then. */
    while (r == HTTP_NEED_MORE && used && !stalled(sc) && ex->in_used < ex->in.n) {
        r = feed(ex, span_from(buffer_span(&ex->in), ex->in_used), &used);
        if (sc->phase == PHASE_BODY)
            ex->in_used += used;
    }
    while (r == HTTP_NEED_MORE && used && !stalled(sc) && conn_pending(sc->conn) > 0) {
        r = feed(ex, conn_peek(sc->conn), &used);
        if (sc->phase == PHASE_BODY)
            conn_drop(sc->conn, used);
    }
    return r;
}

static bool step_body(struct server_conn *sc)
{
    struct exchange *ex = sc->ex;
    struct server *server = sc->server;
    if (ex->paused)
        return false;
    if (ex->body_whole)
        return handle(sc);
    enum http_result r = feed_all(sc);
    if (sc->phase != PHASE_BODY)
        return false;
    if (ex->answered)
        return true;
    exchange_account(ex, ex->body.n);
    if (r == HTTP_REFUSED) {
        refuse_http(sc, ex->body_machine.reason);
        return true;
    }
    if (ex->body.error || server->memory > server->config.limits.memory_max) {
        shed(sc);
        return true;
    }
    if (r == HTTP_NEED_MORE)
        return false;
    if (ex->paused) { /* its end came with the last piece: told when that has been taken */
        ex->body_whole = true;
        return false;
    }
    ex->body_span = buffer_span(&ex->body);
    return handle(sc);
}

static bool start_body(struct server_conn *sc, uint64_t body_max)
{
    struct exchange *ex = sc->ex;
    const struct http_head *head = &ex->head.head;
    size_t extra = ex->in.n - ex->in_used;
    http_body_init(&ex->body_machine, head, body_max);
    buffer_clear(&ex->body);
    ex->body.max = (size_t)body_max;
    ex->refused = true; /* until its handler has it whole, an answer refuses what still comes */
    ex->body_start_ms = clock_mono_ms();
    enter(sc, PHASE_BODY, sc->server->config.limits.body_ms);
    if (head->framing == HTTP_LENGTH && !ex->sink.data)
        (void)!buffer_reserve(
            &ex->body,
            (size_t)(head->length < SERVER_BODY_FIRST ? head->length : SERVER_BODY_FIRST));
    if (head->expect_continue && extra == 0 && conn_pending(sc->conn) == 0 &&
        conn_write(sc->conn, SPAN("HTTP/1.1 100 Continue\r\n\r\n"))) {
        server_conn_close(sc, "memory");
        return false;
    }
    return true;
}

/* The head is whole: may this request come in, and what does its handler say? */
static bool head_done(struct server_conn *sc)
{
    struct exchange *ex = sc->ex;
    struct server *server = sc->server;
    const struct server_limits *limits = &server->config.limits;
    const struct http_head *head = &ex->head.head;
    bool sized = head->framing == HTTP_LENGTH;
    bool has_body = head->framing == HTTP_CHUNKED || (sized && head->length > 0);
    size_t here = ex->in.n - ex->head.head_len;
    bool whole = sized && head->length <= here;
    uint64_t body_max = limits->body_max;

    server_count(server, COUNT_REQUESTS, 1);
    ex->counted = true;
    server->busy++;
    ex->in_used = ex->head.head_len + (whole ? (size_t)head->length : 0);
    ex->refused = has_body && !whole;
    /* Answers that peers have not taken count against every request: each brings another. */
    uint64_t wanted = !sized ? 0 : head->length < body_max ? head->length : body_max;
    if (server->memory + wanted > limits->memory_max) {
        shed(sc);
        return true;
    }
    if (server->config.on_head) {
        ex->known = true;
        int r = server->config.on_head(ex, &body_max, server->config.ctx);
        if (sc->phase != PHASE_HEAD)
            return false;
        if (ex->answered)
            return true;
        if (r) {
            server_conn_abort(sc, 500, error_word(r));
            return true;
        }
    }
    if (sized && head->length > body_max) {
        refuse_http(sc, HTTP_BAD_BODY_TOO_LARGE);
        return true;
    }
    if (!has_body)
        return handle(sc);
    if (ex->sink.data)
        ex->in_used = ex->head.head_len;
    if (!whole || ex->sink.data)
        return start_body(sc, body_max);
    ex->body_span = span_of(ex->in.p + ex->head.head_len, (size_t)head->length);
    exchange_account(ex, head->length);
    return handle(sc);
}

static bool step_head(struct server_conn *sc)
{
    struct exchange *ex = sc->ex;
    size_t n = conn_pending(sc->conn);
    if (n > SERVER_HEAD_ROOM - ex->in.n)
        n = SERVER_HEAD_ROOM - ex->in.n;
    if (n) {
        char *to = buffer_reserve(&ex->in, n);
        if (!to) {
            server_conn_close(sc, "memory");
            return false;
        }
        ex->in.n += conn_take(sc->conn, to, n);
    }
    if (ex->in.n == 0)
        return false;
    switch (http_request_head(&ex->head, buffer_span(&ex->in))) {
    case HTTP_NEED_MORE:
        return false;
    case HTTP_REFUSED:
        refuse_http(sc, ex->head.reason);
        return true;
    case HTTP_DONE:
    default:
        return head_done(sc);
    }
}

static bool step_idle(struct server_conn *sc)
{
    if (conn_pending(sc->conn) == 0)
        return false;
    if (!exchange_get(sc)) {
        server_conn_close(sc, "memory");
        return false;
    }
    enter(sc, PHASE_HEAD, sc->server->config.limits.head_ms);
    return true;
}

/* True when there may be more to do. */
static bool step(struct server_conn *sc)
{
    if (sc->ex && sc->ex->answered && sc->phase != PHASE_WRITE && sc->phase != PHASE_DEAD)
        return send_answer(sc);
    switch (sc->phase) {
    case PHASE_IDLE:
        return step_idle(sc);
    case PHASE_HEAD:
        return step_head(sc);
    case PHASE_BODY:
        return step_body(sc);
    case PHASE_HANDSHAKE:
    case PHASE_HANDLE:
    case PHASE_WRITE:
    case PHASE_LINGER:
    case PHASE_DEAD:
    default:
        return false;
    }
}

void server_conn_go(struct server_conn *sc)
{
    if (sc->processing)
        return;
    sc->processing = true;
    while (step(sc))
        ;
    sc->processing = false;
    if (sc->phase == PHASE_IDLE && (sc->eof || sc->server->draining))
        server_conn_close(sc, sc->eof ? "peer_closed" : "draining");
    else if (sc->eof && (sc->phase == PHASE_HEAD || sc->phase == PHASE_BODY))
        server_conn_close(sc, "truncated");
}

void server_conn_answered(struct server_conn *sc)
{
    server_conn_go(sc);
}

static void on_ready(void *ctx)
{
    struct server_conn *sc = ctx;
    if (sc->phase != PHASE_HANDSHAKE)
        return;
    conn_peer_name(sc->conn, sc->client_name);
    enter(sc, PHASE_IDLE, sc->server->config.limits.head_ms);
    server_conn_go(sc);
}

static void on_readable(void *ctx)
{
    struct server_conn *sc = ctx;
    switch (sc->phase) {
    case PHASE_HANDLE:
    case PHASE_WRITE:
        /* Pipelined: it waits, and nothing more is read, until this one is answered. */
        conn_read(sc->conn, false);
        return;
    case PHASE_LINGER:
        sc->lingered += conn_pending(sc->conn);
        conn_drop(sc->conn, conn_pending(sc->conn));
        if (sc->lingered > SERVER_LINGER_BYTES)
            server_conn_close(sc, "lingered");
        return;
    case PHASE_HANDSHAKE:
    case PHASE_IDLE:
    case PHASE_HEAD:
    case PHASE_BODY:
    case PHASE_DEAD:
    default:
        server_conn_go(sc);
    }
}

static void on_drained(void *ctx)
{
    struct server_conn *sc = ctx;
    if (sc->phase == PHASE_WRITE && !sc->ex->source_asked && all_written(sc))
        server_conn_go(sc);
}

static void on_ended(void *ctx, enum conn_end end)
{
    struct server_conn *sc = ctx;
    if (sc->phase == PHASE_HANDSHAKE)
        server_count(sc->server, COUNT_TLS_FAILED, 1);
    if (end == CONN_END_EOF && sc->server->config.kind != SERVER_TLS &&
        (sc->phase == PHASE_HANDLE || sc->phase == PHASE_WRITE)) {
        /* A plain peer may close its direction and wait for the answer. */
        sc->eof = true;
        return;
    }
    server_conn_close(sc, end == CONN_END_EOF ? "peer_closed" : "lost");
}

const struct conn_events server_conn_events = {
    .ready = on_ready, .readable = on_readable, .drained = on_drained, .ended = on_ended};

void exchange_pause_body(struct exchange *ex)
{
    struct server_conn *sc = ex->sc;
    if (ex->paused || ex->answered || sc->phase != PHASE_BODY)
        return;
    ex->paused = true;
    ex->paused_ms = clock_mono_ms();
    conn_read(sc->conn, false);
    deadline_set(sc->server->wheel, &sc->deadline, sc->server->config.limits.answer_ms);
}

void exchange_resume_body(struct exchange *ex)
{
    struct server_conn *sc = ex->sc;
    if (!ex->paused || ex->answered || sc->phase != PHASE_BODY)
        return;
    const struct server_limits *limits = &sc->server->config.limits;
    bool first = ex->body_machine.total < SERVER_BODY_FIRST;
    ex->paused = false;
    ex->body_start_ms += clock_mono_ms() - ex->paused_ms;
    deadline_set(sc->server->wheel, &sc->deadline, first ? limits->body_ms : SERVER_RATE_CHECK_MS);
    conn_read(sc->conn, true);
    server_conn_go(sc);
}

/* The body's deadline: body_ms for its first part, from then on its rate. */
static void body_fired(struct server_conn *sc)
{
    const struct server_limits *limits = &sc->server->config.limits;
    uint64_t total = sc->ex->body_machine.total;
    unsigned min_rate = sc->ex->sink.min_rate ? sc->ex->sink.min_rate : limits->min_rate;
    int64_t elapsed = clock_mono_ms() - sc->ex->body_start_ms;
    if (sc->ex->paused) {
        server_count(sc->server, COUNT_TIMEOUTS, 1);
        server_conn_abort(sc, 503, "answer_timeout");
        return;
    }
    bool slow = total < SERVER_BODY_FIRST;
    if (!slow && elapsed >= SERVER_RATE_GRACE_MS)
        slow = total < (uint64_t)elapsed * min_rate / 1000;
    if (!slow) {
        deadline_set(sc->server->wheel, &sc->deadline, SERVER_RATE_CHECK_MS);
        return;
    }
    server_count(sc->server, COUNT_TIMEOUTS, 1);
    server_conn_abort(sc, 408, "body_timeout");
}

/* The peer must take the answer at the same rate that it must send a body. */
static void write_fired(struct server_conn *sc)
{
    const struct server_limits *limits = &sc->server->config.limits;
    if (sc->ex->source_asked) { /* it is the handler that keeps the peer waiting */
        server_count(sc->server, COUNT_TIMEOUTS, 1);
        conn_reset(sc->conn);
        server_conn_close(sc, "answer_timeout");
        return;
    }
    size_t unsent = conn_unacknowledged(sc->conn);
    size_t least = (size_t)limits->write_ms * limits->min_rate / 1000;
    if (unsent < sc->unsent_seen && sc->unsent_seen - unsent >= least) {
        sc->unsent_seen = unsent;
        deadline_set(sc->server->wheel, &sc->deadline, limits->write_ms);
        return;
    }
    server_count(sc->server, COUNT_TIMEOUTS, 1);
    server_conn_close(sc, "write_timeout");
}

void server_conn_fired(struct deadline *deadline)
{
    struct server_conn *sc =
        (struct server_conn *)((char *)deadline - offsetof(struct server_conn, deadline));
    switch (sc->phase) {
    case PHASE_BODY:
        body_fired(sc);
        return;
    case PHASE_WRITE:
        write_fired(sc);
        return;
    case PHASE_HEAD:
        server_count(sc->server, COUNT_TIMEOUTS, 1);
        server_conn_abort(sc, 408, "head_timeout");
        return;
    case PHASE_HANDLE:
        server_count(sc->server, COUNT_TIMEOUTS, 1);
        server_conn_abort(sc, 503, "answer_timeout");
        return;
    case PHASE_HANDSHAKE:
        server_count(sc->server, COUNT_TIMEOUTS, 1);
        server_conn_close(sc, "handshake_timeout");
        return;
    case PHASE_IDLE:
    case PHASE_LINGER:
    case PHASE_DEAD:
    default:
        server_conn_close(sc, "idle");
    }
}

/* The client against our own server and against servers that misbehave, on real sockets. */
#include "net_help.h"
#include "sluis/base/clock.h"
#include "sluis/net/client.h"
#include "sluis/net/server.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* after the headers that it needs */
#include <cmocka.h>

static struct certs certs;

/* ---- a client on a loop of its own, used from the test's thread ---- */

struct bed {
    struct loop *loop;
    struct client *client;
    struct tls_context *tls;
    struct resolver *resolver;
};

struct outcome {
    struct mail mail;
    struct bed *bed;
    struct client_request request;
    sem_t done;
    int refused; /* what client_send said */
    uint64_t id;
    unsigned calls;
    struct client_answer answer; /* head and body copied below */
    unsigned status;
    char field[64];
    char body[4096];
    size_t body_n;
};

static void on_done(const struct client_answer *answer, void *ctx)
{
    struct outcome *o = ctx;
    o->calls++;
    o->answer = *answer;
    if (answer->head) {
        struct span field = http_field(answer->head, SPAN("x-test"));
        o->status = answer->head->status;
        snprintf(o->field, sizeof(o->field), "%.*s", (int)field.n, field.n ? field.p : "");
        o->body_n = answer->body.n;
        if (answer->body.n)
            memcpy(o->body, answer->body.p,
                   answer->body.n < sizeof(o->body) ? answer->body.n : sizeof(o->body) - 1);
    }
    o->answer.head = NULL;
    o->answer.body = SPAN_EMPTY;
    sem_post(&o->done);
}

static void on_start(struct mail *mail)
{
    struct outcome *o = (struct outcome *)mail;
    o->refused = client_send(o->bed->client, &o->request, &o->id);
    if (o->refused)
        sem_post(&o->done);
}

static void start(struct bed *bed, struct outcome *o, const struct client_request *request)
{
    memset(o, 0, sizeof(*o));
    o->bed = bed;
    o->request = *request;
    o->request.done = on_done;
    o->request.ctx = o;
    sem_init(&o->done, 0, 0);
    loop_post(bed->loop, &o->mail, on_start);
}

static void finish(struct outcome *o)
{
    sem_wait(&o->done);
    sem_destroy(&o->done);
}

static void run(struct bed *bed, struct outcome *o, const struct client_request *request)
{
    start(bed, o, request);
    finish(o);
}

static struct bed *bed_make(const struct client_config *tune, bool private_allowed)
{
    struct bed *bed = calloc(1, sizeof(*bed));
    struct client_config config = {
        .user_agent = "sluis-test", .connect_ms = 60000, .answer_ms = 60000};
    struct tls_client_config tls = {.ca_file = certs.ca};
    struct diag diag;
    if (tune)
        config = *tune;
    assert_int_equal(tls_client_new(&tls, &bed->tls, &diag), 0);
    assert_int_equal(resolver_new(&bed->resolver), 0);
    assert_int_equal(resolver_add(bed->resolver, "localhost"), 0);
    config.tls = bed->tls;
    config.resolver = bed->resolver;
    config.private_allowed = private_allowed;
    assert_int_equal(loop_new(&bed->loop, 1), 0);
    assert_int_equal(client_new(bed->loop, &config, &bed->client), 0);
    assert_int_equal(loop_start(bed->loop), 0);
    return bed;
}

static struct bed *bed_new(const struct client_config *tune)
{
    return bed_make(tune, true);
}

static void bed_free(struct bed *bed)
{
    loop_stop(bed->loop);
    loop_join(bed->loop);
    client_free(bed->client);
    tls_unref(bed->tls);
    resolver_free(bed->resolver);
    loop_free(bed->loop);
    free(bed);
}

static struct client_url url_of(bool https, const char *host, uint16_t port, const char *target)
{
    struct client_url url;
    char text[256];
    int n = snprintf(text, sizeof(text), "http%s://%s:%u%s", https ? "s" : "", host, port, target);
    assert_int_equal(client_url_parse(span_of(text, (size_t)n), &url), 0);
    return url;
}

/* ---- a server that follows a script, one row per connection ---- */

struct script {
    const char *answer; /* sent after the first request's head and body; NULL: nothing */
    const char *second; /* after the second request on the same connection */
    bool reset;         /* RST instead of an orderly close */
    bool close;         /* after the last answer; else wait for the client to close */
    int wait_ms;        /* before the answer */
    const char *certificate, *key;
};

struct raw {
    int listener;
    uint16_t port;
    pthread_t thread;
    const struct script *scripts;
    size_t count;
    atomic_int requests;
    char last[65536];
};

static bool serve(struct raw *raw, struct peer *p, const struct script *s, const char *answer)
{
    if (peer_read_message(p, raw->last, sizeof(raw->last), false) <= 0)
        return false;
    atomic_fetch_add(&raw->requests, 1);
    sleep_ms(s->wait_ms);
    return !answer || peer_send(p, answer);
}

static void *raw_main(void *ctx)
{
    struct raw *raw = ctx;
    char rest[4096];
    for (size_t i = 0; i < raw->count; i++) {
        const struct script *s = &raw->scripts[i];
        struct peer *p = peer_accept(raw->listener, s->certificate, s->key);
        if (!p)
            continue;
        if (serve(raw, p, s, s->answer) && s->second)
            (void)serve(raw, p, s, s->second);
        if (s->reset) {
            peer_reset(p);
            continue;
        }
        if (s->close)
            peer_half_close(p);
        (void)peer_read_end(p, rest, sizeof(rest));
        peer_close(p);
    }
    return NULL;
}

static void asked(struct raw *raw)
{
    while (atomic_load(&raw->requests) == 0)
        sleep_ms(5);
}

static void raw_start(struct raw *raw, const struct script *scripts, size_t count)
{
    memset(raw, 0, sizeof(*raw));
    raw->listener = listen_local(&raw->port);
    raw->scripts = scripts;
    raw->count = count;
    assert_int_equal(pthread_create(&raw->thread, NULL, raw_main, raw), 0);
}

static void raw_stop(struct raw *raw)
{
    shutdown(raw->listener, SHUT_RDWR);
    pthread_join(raw->thread, NULL);
    close(raw->listener);
}

/* One request to one scripted answer. */
static void once(const struct script *script, const struct client_request *request,
                 struct outcome *o)
{
    struct raw raw;
    struct bed *bed = bed_new(NULL);
    raw_start(&raw, script, 1);
    struct client_url url = url_of(script->certificate != NULL, "localhost", raw.port, "/x");
    struct client_request r = request ? *request : (struct client_request){.method = HTTP_GET};
    r.url = &url;
    run(bed, o, &r);
    bed_free(bed);
    raw_stop(&raw);
    assert_int_equal(o->refused, 0);
    assert_int_equal(o->calls, 1);
}

static void expect_failure(const char *answer, enum client_failure failure)
{
    struct outcome o;
    struct script s = {.answer = answer, .close = true};
    once(&s, NULL, &o);
    assert_int_not_equal(o.answer.error, 0);
    assert_string_equal(client_failure_word(o.answer.failure), client_failure_word(failure));
    assert_true(o.answer.sent);
    assert_false(o.answer.stale);
}

/* ---- tests ---- */

static void urls(void **state)
{
    (void)state;
    struct client_url u;
    assert_int_equal(client_url_parse(SPAN("https://Graph.Facebook.com/v24.0/1?a=b"), &u), 0);
    assert_true(u.https);
    assert_string_equal(u.host, "graph.facebook.com");
    assert_string_equal(u.authority, "graph.facebook.com");
    assert_string_equal(u.target, "/v24.0/1?a=b");
    assert_int_equal(u.port, 443);
    assert_int_equal(client_url_parse(SPAN("http://[::1]:8080?x"), &u), 0);
    assert_string_equal(u.host, "::1");
    assert_string_equal(u.authority, "[::1]:8080");
    assert_string_equal(u.target, "/?x");
    assert_int_equal(client_url_parse(SPAN("http://a"), &u), 0);
    assert_string_equal(u.target, "/");
    static const char *const bad[] = {
        "ftp://a/",     "http://",           "http:///x",     "http://a:0/",    "http://a:65536/",
        "http://a:/",   "http://u@a/",       "http://u:p@a/", "http://a/x y",   "http://a/x#y",
        "http://[::1/", "http://[zz]/",      "http://a\\b/",  "http://a:1:2/",  "http://a%00b/",
        "HTTP://a/",    "http://a/\r\nX: y", "//a/",          "http://[::1]x/",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_not_equal(client_url_parse(span_str(bad[i]), &u), 0);
}

static void plain_and_tls(void **state)
{
    (void)state;
    const char *answer = "HTTP/1.1 201 Created\r\nX-Test: a b\r\nContent-Length: 5\r\n\r\nhallo";
    struct script scripts[] = {
        {.answer = answer, .second = answer},
        {.answer = answer, .second = answer, .certificate = certs.server, .key = certs.server_key},
    };
    for (int i = 0; i < 2; i++) {
        struct raw raw;
        struct outcome o;
        struct bed *bed = bed_new(NULL);
        raw_start(&raw, &scripts[i], 1);
        struct client_url url = url_of(i == 1, i ? "localhost" : "127.0.0.1", raw.port, "/a?b=c");
        struct http_field field = {SPAN("Authorization"), SPAN("Bearer x")};
        struct client_request r = {.method = HTTP_POST,
                                   .url = &url,
                                   .fields = &field,
                                   .field_count = 1,
                                   .body = SPAN("{}")};
        for (int round = 0; round < 2; round++) { /* the second on the same connection */
            run(bed, &o, &r);
            assert_int_equal(o.answer.error, 0);
            assert_int_equal(o.status, 201);
            assert_string_equal(o.field, "a b");
            assert_memory_equal(o.body, "hallo", 5);
            assert_true(o.answer.sent);
        }
        char want[512];
        snprintf(
            want, sizeof(want),
            "POST /a?b=c HTTP/1.1\r\nHost: %s\r\nUser-Agent: sluis-test\r\n"
            "Accept-Encoding: identity\r\nAuthorization: Bearer x\r\nContent-Length: 2\r\n\r\n{}",
            url.authority);
        bed_free(bed);
        raw_stop(&raw);
        assert_string_equal(raw.last, want);
        assert_int_equal(atomic_load(&raw.requests), 2);
    }
}

static void misbehaving(void **state)
{
    (void)state;
    expect_failure("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhallo", CLIENT_FAIL_CLOSED);
    expect_failure("HTTP/1.1 200 OK\r\nContent-", CLIENT_FAIL_CLOSED);
    expect_failure("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "0\r\n\r\n",
                   CLIENT_FAIL_ANSWER);
    expect_failure("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhallo",
                   CLIENT_FAIL_ANSWER);
    expect_failure("hello, this is not HTTP\r\n\r\n", CLIENT_FAIL_ANSWER);
    expect_failure("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                   CLIENT_FAIL_ANSWER);
    expect_failure("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
                   CLIENT_FAIL_CLOSED);
    expect_failure("HTTP/1.1 200 OK\r\n\r\nuntil close", CLIENT_FAIL_ANSWER);
    expect_failure(NULL, CLIENT_FAIL_CLOSED);
}

static void interim_and_chunked(void **state)
{
    (void)state;
    struct outcome o;
    struct script s = {
        .answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "3\r\nabc\r\n4\r\ndefg\r\n0\r\nT: x\r\n\r\n"};
    once(&s, NULL, &o);
    assert_int_equal(o.answer.error, 0);
    assert_int_equal(o.status, 200);
    assert_int_equal(o.body_n, 7);
    assert_memory_equal(o.body, "abcdefg", 7);
}

static void head_and_no_content(void **state)
{
    (void)state;
    struct outcome o;
    struct client_request head = {.method = HTTP_HEAD};
    struct script s = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"};
    once(&s, &head, &o);
    assert_int_equal(o.answer.error, 0);
    assert_int_equal(o.body_n, 0);
    s.answer = "HTTP/1.1 204 No Content\r\n\r\n";
    once(&s, NULL, &o);
    assert_int_equal(o.answer.error, 0);
    assert_int_equal(o.status, 204);
    /* A redirect is an answer like another. */
    s.answer =
        "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n";
    once(&s, NULL, &o);
    assert_int_equal(o.answer.error, 0);
    assert_int_equal(o.status, 302);
}

static void status_only(void **state)
{
    (void)state;
    struct outcome o;
    struct client_request r = {.method = HTTP_POST, .body = SPAN("x"), .status_only = true};
    struct script s = {.answer = "HTTP/1.1 200 OK\r\n\r\nuntil close", .close = true};
    once(&s, &r, &o);
    assert_int_equal(o.answer.error, 0);
    assert_int_equal(o.status, 200);
    /* Cut off after the head: the status is known. */
    s.answer = "HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\nabc";
    once(&s, &r, &o);
    assert_int_equal(o.answer.error, 0);
    assert_int_equal(o.status, 202);
    /* A body without end. */
    char *flood = malloc(300000);
    int n = snprintf(flood, 300000, "HTTP/1.1 200 OK\r\n\r\n");
    memset(flood + n, 'x', 299999 - (size_t)n);
    flood[299999] = '\0';
    s = (struct script){.answer = flood};
    once(&s, &r, &o);
    assert_int_equal(o.answer.error, 0);
    free(flood);
}

static void answer_too_large(void **state)
{
    (void)state;
    struct outcome o;
    struct client_request r = {.method = HTTP_GET, .answer_max = 10};
    struct script s = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n0123456789a"};
    once(&s, &r, &o);
    assert_int_equal(o.answer.error, SLUIS_ELIMIT);
    assert_int_equal(o.answer.failure, CLIENT_FAIL_ANSWER);
    s.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
               "chunked\r\n\r\n6\r\nabcdef\r\n5\r\nabcde\r\n0\r\n\r\n";
    once(&s, &r, &o);
    assert_int_equal(o.answer.error, SLUIS_ELIMIT);
}

static void slow_answer(void **state)
{
    (void)state;
    struct outcome o;
    struct client_request r = {.method = HTTP_GET, .answer_ms = 200};
    struct script s = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", .wait_ms = 2500};
    once(&s, &r, &o);
    assert_int_equal(o.answer.error, SLUIS_ETIMEOUT);
    assert_int_equal(o.answer.failure, CLIENT_FAIL_TIMEOUT);
    assert_true(o.answer.sent);
    assert_true(o.answer.elapsed_us >= 200000);
}

/* One end for the whole of a request: in the queue nothing was sent, later it may have been. */
static void due(void **state)
{
    (void)state;
    struct outcome first, queued, o;
    struct script s = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", .wait_ms = 3500};
    const struct client_config tune = {.connections = 1, .connect_ms = 60000, .answer_ms = 60000};
    struct raw raw;
    struct bed *bed = bed_new(&tune);
    raw_start(&raw, &s, 1);
    struct client_url url = url_of(false, "127.0.0.1", raw.port, "/");
    /* The ends are counted from here, and lie so far off that a slow machine has sent before the
     * first of them. */
    const int64_t first_due = clock_mono_ms() + 2000;
    struct client_request r = {.method = HTTP_POST, .url = &url, .due_ms = first_due};
    start(bed, &first, &r);
    while (atomic_load(&raw.requests) == 0 && clock_mono_ms() < first_due)
        sleep_ms(5);
    const int64_t queued_due = clock_mono_ms() + 300;
    r.due_ms = queued_due;
    run(bed, &queued, &r);
    assert_int_equal(queued.answer.error, SLUIS_ETIMEOUT);
    assert_false(queued.answer.sent);
    assert_true(clock_mono_ms() >= queued_due);
    finish(&first);
    assert_int_equal(first.answer.error, SLUIS_ETIMEOUT);
    assert_true(first.answer.sent);
    assert_true(clock_mono_ms() >= first_due);
    r.due_ms = clock_mono_ms() - 1;
    run(bed, &o, &r);
    assert_int_equal(o.refused, SLUIS_ETIMEOUT);
    bed_free(bed);
    raw_stop(&raw);
    assert_int_equal(atomic_load(&raw.requests), 1);
}

static void reset_after_request(void **state)
{
    (void)state;
    struct outcome o;
    struct script s = {.reset = true};
    once(&s, NULL, &o);
    assert_int_equal(o.answer.error, SLUIS_ECLOSED);
    assert_true(o.answer.sent);
    assert_false(o.answer.stale); /* a fresh connection: the other side had it */
}

/* A pooled connection that dies on the second request: stale, and sent. */
static void stale_connection(void **state)
{
    (void)state;
    const char *answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    struct script scripts[] = {{.answer = answer, .second = "", .close = true}, {.answer = answer}};
    struct raw raw;
    struct outcome o;
    struct bed *bed = bed_new(NULL);
    raw_start(&raw, scripts, 2);
    struct client_url url = url_of(false, "127.0.0.1", raw.port, "/");
    struct client_request r = {.method = HTTP_POST, .url = &url};
    run(bed, &o, &r);
    assert_int_equal(o.answer.error, 0);
    run(bed, &o, &r);
    assert_int_equal(o.answer.error, SLUIS_ECLOSED);
    assert_true(o.answer.stale);
    assert_true(o.answer.sent);
    r.fresh_connection = true;
    run(bed, &o, &r);
    assert_int_equal(o.answer.error, 0);
    bed_free(bed);
    raw_stop(&raw);
}

/* Bytes behind an answer, or out of turn, never become the next answer. */
static void unsolicited(void **state)
{
    (void)state;
    const char *twice = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n"
                        "Content-Length: 4\r\n\r\nevil";
    struct script scripts[] = {{.answer = twice},
                               {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"}};
    struct raw raw;
    struct outcome o;
    struct bed *bed = bed_new(NULL);
    raw_start(&raw, scripts, 2);
    struct client_url url = url_of(false, "127.0.0.1", raw.port, "/");
    struct client_request r = {.method = HTTP_GET, .url = &url};
    run(bed, &o, &r);
    assert_memory_equal(o.body, "a", 1);
    run(bed, &o, &r);
    assert_int_equal(o.answer.error, 0);
    assert_int_equal(o.body_n, 1);
    assert_memory_equal(o.body, "b", 1);
    bed_free(bed);
    raw_stop(&raw);
}

static void tls_failures(void **state)
{
    (void)state;
    struct outcome o;
    struct script s = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                       .certificate = certs.wrong,
                       .key = certs.wrong_key};
    once(&s, NULL, &o);
    assert_string_equal(client_failure_word(o.answer.failure), "tls_name");
    assert_false(o.answer.sent);
    /* The right name by a CA that we do not know. */
    s.certificate = certs.foreign;
    s.key = certs.foreign_key;
    once(&s, NULL, &o);
    assert_string_equal(client_failure_word(o.answer.failure), "tls_name");
    assert_false(o.answer.sent);
    /* A certificate for the address serves when the URL has the address. */
    struct raw raw;
    struct bed *bed = bed_new(NULL);
    s.certificate = certs.server;
    s.key = certs.server_key;
    raw_start(&raw, &s, 1);
    struct client_url url = url_of(true, "127.0.0.1", raw.port, "/");
    struct client_request r = {.method = HTTP_GET, .url = &url};
    run(bed, &o, &r);
    assert_int_equal(o.answer.error, 0);
    bed_free(bed);
    raw_stop(&raw);
    /* No TLS at the other end. */
    bed = bed_new(NULL);
    s = (struct script){.answer = "HTTP/1.1 400 Bad Request\r\n\r\n", .close = true};
    raw_start(&raw, &s, 1);
    url = url_of(true, "localhost", raw.port, "/");
    shutdown(raw.listener, SHUT_RD);
    run(bed, &o, &r);
    assert_int_not_equal(o.answer.error, 0);
    assert_false(o.answer.sent);
    bed_free(bed);
    raw_stop(&raw);
}

/* Without leave for private addresses nothing is connected to, by name or by number. */
static void private_addresses(void **state)
{
    (void)state;
    static const char *const hosts[] = {"localhost", "127.0.0.1"};
    struct raw raw;
    struct outcome o;
    struct bed *bed = bed_make(NULL, false);
    struct script s = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"};
    raw_start(&raw, &s, 1);
    for (int i = 0; i < 2; i++) {
        struct client_url url = url_of(false, hosts[i], raw.port, "/");
        struct client_request r = {.method = HTTP_GET, .url = &url};
        run(bed, &o, &r);
        assert_int_equal(o.answer.error, SLUIS_EDENIED);
        assert_int_equal(o.answer.failure, CLIENT_FAIL_RESOLVE);
        assert_false(o.answer.sent);
    }
    bed_free(bed);
    raw_stop(&raw);
    assert_int_equal(atomic_load(&raw.requests), 0);
}

static void not_reachable(void **state)
{
    (void)state;
    struct outcome o;
    struct bed *bed = bed_new(NULL);
    uint16_t port;
    close(listen_local(&port));
    struct client_url url = url_of(false, "127.0.0.1", port, "/");
    struct client_request r = {.method = HTTP_GET, .url = &url};
    run(bed, &o, &r);
    assert_int_equal(o.answer.failure, CLIENT_FAIL_CONNECT);
    assert_false(o.answer.sent);
    url = url_of(false, "no-such-host.invalid", 80, "/");
    run(bed, &o, &r);
    assert_int_equal(o.answer.failure, CLIENT_FAIL_RESOLVE);
    assert_false(o.answer.sent);
    bed_free(bed);
}

static void line_breaks_are_refused(void **state)
{
    (void)state;
    struct outcome o;
    struct bed *bed = bed_new(NULL);
    struct client_url url = url_of(false, "127.0.0.1", 1, "/");
    struct http_field field = {SPAN("X-A"), SPAN("a\r\nX-Evil: b")};
    struct client_request r = {.method = HTTP_GET, .url = &url, .fields = &field, .field_count = 1};
    run(bed, &o, &r);
    assert_int_equal(o.refused, SLUIS_EINVAL);
    bed_free(bed);
}

/* ---- against our own server ---- */

static void on_request(struct exchange *ex, void *ctx)
{
    atomic_int *n = ctx;
    atomic_fetch_add(n, 1);
    exchange_answer(ex, 200, SPAN("text/plain"), exchange_body(ex));
}

/* Many requests, few connections: the rest waits its turn, and all are answered. */
static void own_server(void **state)
{
    (void)state;
    enum { N = 400 };
    atomic_int served = 0;
    struct diag diag;
    struct loop *loop;
    struct server *server;
    struct tls_context *tls;
    struct tls_server_config tc = {.certificate = certs.server, .key_file = certs.server_key};
    assert_int_equal(tls_server_new(&tc, &tls, &diag), 0);
    struct server_config sc = {.name = "t",
                               .address = "127.0.0.1:0",
                               .kind = SERVER_TLS,
                               .tls = tls,
                               .limits = {.connections = 4},
                               .on_request = on_request,
                               .ctx = &served};
    assert_int_equal(loop_new(&loop, 0), 0);
    assert_int_equal(server_new(loop, &sc, &server, &diag), 0);
    assert_int_equal(loop_start(loop), 0);
    struct client_config config = {.connections = 4, .waiting = N, .answer_ms = 60000};
    struct bed *bed = bed_new(&config);
    struct client_url url = url_of(true, "localhost", server_port(server), "/");
    struct outcome *all = calloc(N + 50, sizeof(*all));
    char bodies[N + 50][16];
    for (int i = 0; i < N + 50; i++) {
        snprintf(bodies[i], sizeof(bodies[i]), "nr %d", i);
        struct client_request r = {.method = HTTP_POST, .url = &url, .body = span_str(bodies[i])};
        start(bed, &all[i], &r);
    }
    int answered = 0, limited = 0;
    for (int i = 0; i < N + 50; i++) {
        finish(&all[i]);
        if (all[i].refused == SLUIS_ELIMIT) {
            limited++;
            continue;
        }
        assert_int_equal(all[i].answer.error, 0);
        assert_int_equal(all[i].body_n, strlen(bodies[i]));
        assert_memory_equal(all[i].body, bodies[i], all[i].body_n);
        answered++;
    }
    assert_int_equal(answered + limited, N + 50);
    assert_true(answered >= N);
    assert_int_equal(atomic_load(&served), answered);
    free(all);
    bed_free(bed);
    loop_stop(loop);
    loop_join(loop);
    server_free(server);
    tls_unref(tls);
    loop_free(loop);
}

struct cancel_mail {
    struct mail mail;
    struct bed *bed;
    const struct outcome *outcome;
    sem_t done;
};

static void on_cancel(struct mail *mail)
{
    struct cancel_mail *c = (struct cancel_mail *)mail;
    client_cancel(c->bed->client, c->outcome->id);
    sem_post(&c->done);
}

static void cancelled(void **state)
{
    (void)state;
    struct raw raw;
    struct outcome o;
    struct bed *bed = bed_new(NULL);
    struct script s = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", .wait_ms = 1000};
    raw_start(&raw, &s, 1);
    struct client_url url = url_of(false, "127.0.0.1", raw.port, "/");
    struct client_request r = {.method = HTTP_GET, .url = &url};
    start(bed, &o, &r);
    asked(&raw);
    struct cancel_mail cancel = {.bed = bed, .outcome = &o};
    sem_init(&cancel.done, 0, 0);
    loop_post(bed->loop, &cancel.mail, on_cancel);
    sem_wait(&cancel.done);
    sleep_ms(1200);
    assert_int_equal(o.calls, 0);
    bed_free(bed);
    raw_stop(&raw);
    assert_int_equal(o.calls, 0);
}

/* Stopping tells every request, waiting or under way, exactly once. */
static void stopped(void **state)
{
    (void)state;
    struct raw raw;
    struct outcome o[3];
    struct client_config config = {.connections = 1, .answer_ms = 5000};
    struct bed *bed = bed_new(&config);
    struct script s = {.wait_ms = 300};
    raw_start(&raw, &s, 1);
    struct client_url url = url_of(false, "127.0.0.1", raw.port, "/");
    struct client_request r = {.method = HTTP_GET, .url = &url};
    for (int i = 0; i < 3; i++)
        start(bed, &o[i], &r);
    asked(&raw);
    bed_free(bed);
    raw_stop(&raw);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(o[i].calls, 1);
        assert_int_equal(o[i].answer.error, SLUIS_ECLOSED);
        assert_int_equal(o[i].answer.sent, i == 0);
    }
}

static int setup(void **state)
{
    (void)state;
    certs_make(&certs);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    certs_remove(&certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(plain_and_tls),
        cmocka_unit_test(misbehaving),
        cmocka_unit_test(interim_and_chunked),
        cmocka_unit_test(head_and_no_content),
        cmocka_unit_test(status_only),
        cmocka_unit_test(answer_too_large),
        cmocka_unit_test(slow_answer),
        cmocka_unit_test(due),
        cmocka_unit_test(reset_after_request),
        cmocka_unit_test(stale_connection),
        cmocka_unit_test(unsolicited),
        cmocka_unit_test(tls_failures),
        cmocka_unit_test(private_addresses),
        cmocka_unit_test(not_reachable),
        cmocka_unit_test(line_breaks_are_refused),
        cmocka_unit_test(own_server),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(stopped),
    };
    cmocka_set_test_filter(getenv("SLUIS_TEST"));
    return cmocka_run_group_tests_name("net_client", tests, setup, teardown);
}

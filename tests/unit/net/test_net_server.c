/* The server on real sockets: what a peer sees, byte for byte. */
#include "net_help.h"
#include "sluis/net/server.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
/* after the headers that it needs */
#include <cmocka.h>

static struct certs certs;

/* One server on one loop, with handlers chosen by path. */
struct bed {
    struct loop *loop;
    struct server *server;
    struct tls_context *tls;
    struct server_config config;
    atomic_int gone;
    atomic_int requests;
};

struct later {
    struct mail mail;
    struct server *server;
    uint64_t id;
    struct loop *loop;
    atomic_int *missed;
};

static atomic_int missed; /* answers that found their exchange gone */

static atomic_bool hold_later; /* answers that come later wait for the test */

static void on_later(struct mail *mail)
{
    struct later *later = (struct later *)mail;
    struct exchange *ex = server_exchange(later->server, later->id);
    if (ex)
        exchange_answer(ex, 200, SPAN("text/plain"), SPAN("later"));
    else
        atomic_fetch_add(&missed, 1);
    free(later);
}

static void *later_thread(void *ctx)
{
    struct later *later = ctx;
    sleep_ms(150);
    while (atomic_load(&hold_later))
        sleep_ms(5);
    loop_post(later->loop, &later->mail, on_later);
    return NULL;
}

static void answer_later(struct exchange *ex, struct bed *bed)
{
    struct later *later = calloc(1, sizeof(*later));
    pthread_t thread;
    later->server = exchange_server(ex);
    later->id = exchange_id(ex);
    later->loop = bed->loop;
    pthread_create(&thread, NULL, later_thread, later);
    pthread_detach(thread);
}

#define BIG_BYTES (7u * 1024 * 1024) /* more than the kernel takes of it */

static void answer_big(struct exchange *ex)
{
    size_t n = BIG_BYTES;
    char *body = malloc(n);
    memset(body, 'x', n);
    exchange_answer(ex, 200, SPAN("text/plain"), span_of(body, n));
    free(body);
}

static void on_request(struct exchange *ex, void *ctx)
{
    struct bed *bed = ctx;
    struct span path = exchange_head(ex)->path;
    atomic_fetch_add(&bed->requests, 1);
    if (span_is(path, "/echo"))
        exchange_answer(ex, 200, SPAN("text/plain"), exchange_body(ex));
    else if (span_is(path, "/later"))
        answer_later(ex, bed);
    else if (span_is(path, "/big"))
        answer_big(ex);
    else if (span_is(path, "/name"))
        exchange_answer(ex, 200, SPAN("text/plain"), exchange_client_name(ex));
    else if (span_is(path, "/abort"))
        exchange_abort(ex, "test");
    else if (span_is(path, "/empty"))
        exchange_answer(ex, 204, SPAN_EMPTY, SPAN_EMPTY);
    else if (span_is(path, "/split-header")) {
        exchange_answer_begin(ex, 200);
        exchange_answer_field(ex, SPAN("X-A"), SPAN("a\r\nX-Evil: 1"));
        exchange_answer_end(ex, SPAN("body"));
    } else if (span_is(path, "/block")) {
        sleep_ms(150);
        exchange_answer(ex, 200, SPAN_EMPTY, SPAN_EMPTY);
    } else if (span_is(path, "/never"))
        return;
    else
        exchange_answer(ex, 404, SPAN_EMPTY, SPAN_EMPTY);
}

static int on_head(struct exchange *ex, uint64_t *body_max, void *ctx)
{
    (void)ctx;
    if (span_is(exchange_head(ex)->path, "/refuse"))
        exchange_answer(ex, 401, SPAN("text/plain"), SPAN("no"));
    if (span_is(exchange_head(ex)->path, "/small"))
        *body_max = 10;
    return 0;
}

static void on_gone(struct exchange *ex, void *ctx)
{
    struct bed *bed = ctx;
    (void)ex;
    atomic_fetch_add(&bed->gone, 1);
}

/* `tune` fills in what differs from the defaults. */
static struct bed *bed_new(enum server_peer kind, const struct server_limits *limits,
                           const struct tls_server_config *tls)
{
    struct bed *bed = calloc(1, sizeof(*bed));
    struct diag diag = {0};
    bed->config = (struct server_config){.name = "test",
                                         .address = "127.0.0.1:0",
                                         .kind = kind,
                                         .on_head = on_head,
                                         .on_request = on_request,
                                         .on_gone = on_gone,
                                         .ctx = bed};
    if (limits)
        bed->config.limits = *limits;
    if (kind == SERVER_TLS) {
        struct tls_server_config plain = {.certificate = certs.server,
                                          .key_file = certs.server_key};
        assert_int_equal(tls_server_new(tls ? tls : &plain, &bed->tls, &diag), 0);
        bed->config.tls = bed->tls;
    }
    assert_int_equal(loop_new(&bed->loop, 0), 0);
    assert_int_equal(server_new(bed->loop, &bed->config, &bed->server, &diag), 0);
    assert_int_equal(loop_start(bed->loop), 0);
    return bed;
}

static void bed_free(struct bed *bed)
{
    loop_stop(bed->loop);
    loop_join(bed->loop);
    server_free(bed->server);
    tls_unref(bed->tls);
    loop_free(bed->loop);
    free(bed);
}

static struct peer *open_peer(struct bed *bed)
{
    struct peer_tls tls = {.ca = certs.ca};
    struct peer *p =
        peer_open(server_port(bed->server), bed->config.kind == SERVER_TLS ? &tls : NULL);
    assert_non_null(p);
    return p;
}

struct ask {
    struct mail mail;
    struct bed *bed;
    unsigned (*question)(const struct server *server);
    unsigned answer;
    sem_t done;
};

static void on_ask(struct mail *mail)
{
    struct ask *ask = (struct ask *)mail;
    ask->answer = ask->question(ask->bed->server);
    sem_post(&ask->done);
}

/* Asks the server something on its own thread. */
static unsigned on_loop(struct bed *bed, unsigned (*question)(const struct server *server))
{
    struct ask ask = {.bed = bed, .question = question};
    sem_init(&ask.done, 0, 0);
    loop_post(bed->loop, &ask.mail, on_ask);
    sem_wait(&ask.done);
    sem_destroy(&ask.done);
    return ask.answer;
}

/* What was sent has come in, was read and was acted on, however slow the machine: a turn of the
 * loop takes what its sockets have, these are twenty. */
static void settle(struct bed *bed)
{
    for (int i = 0; i < 20; i++) {
        (void)on_loop(bed, server_busy);
        sleep_ms(5);
    }
}

static bool becomes(atomic_int *number, int wanted)
{
    for (int i = 0; i < 6000 && atomic_load(number) != wanted; i++)
        sleep_ms(10);
    return atomic_load(number) == wanted;
}

static char text[8 * 1024 * 1024];

static void expect(struct peer *p, const char *status, const char *part)
{
    assert_true(peer_read_message(p, text, sizeof(text), false) > 0);
    assert_memory_equal(text, status, strlen(status));
    if (part)
        assert_non_null(strstr(text, part));
}

/* One answer, then an orderly end. */
static void expect_end(struct peer *p, const char *status, const char *part)
{
    assert_true(peer_read_end(p, text, sizeof(text)));
    assert_memory_equal(text, status, strlen(status));
    assert_null(strstr(text + 1, "HTTP/1.1"));
    if (part)
        assert_non_null(strstr(text, part));
}

#define POST(path, body_n, body)                                                                   \
    "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " body_n "\r\n\r\n" body
#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static void keep_alive(enum server_peer kind)
{
    struct bed *bed = bed_new(kind, NULL, NULL);
    struct peer *p = open_peer(bed);
    for (int i = 0; i < 5; i++) {
        peer_send(p, POST("/echo", "5", "hallo"));
        expect(p, "HTTP/1.1 200 OK\r\n", "\r\n\r\nhallo");
    }
    peer_send(p,
              "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    expect_end(p, "HTTP/1.1 200 OK\r\n", "Connection: close\r\n");
    assert_int_equal(atomic_load(&bed->requests), 6);
    peer_close(p);
    bed_free(bed);
}

static void keep_alive_plain(void **state)
{
    (void)state;
    keep_alive(SERVER_PLAIN);
}

static void keep_alive_tls(void **state)
{
    (void)state;
    keep_alive(SERVER_TLS);
}

static void pipelining(enum server_peer kind)
{
    struct bed *bed = bed_new(kind, NULL, NULL);
    struct peer *p = open_peer(bed);
    /* The slow one first: answers keep the order of the requests. */
    peer_send(p, GET("/later") POST("/echo", "3", "een") POST("/echo", "4", "twee") GET("/later")
                     POST("/echo", "4", "drie"));
    expect(p, "HTTP/1.1 200", "\r\n\r\nlater");
    expect(p, "HTTP/1.1 200", "\r\n\r\neen");
    expect(p, "HTTP/1.1 200", "\r\n\r\ntwee");
    expect(p, "HTTP/1.1 200", "\r\n\r\nlater");
    expect(p, "HTTP/1.1 200", "\r\n\r\ndrie");
    peer_close(p);
    bed_free(bed);
}

static void pipelining_plain(void **state)
{
    (void)state;
    pipelining(SERVER_PLAIN);
}

static void pipelining_tls(void **state)
{
    (void)state;
    pipelining(SERVER_TLS);
}

/* Many requests in one write, more than one read or one record holds. */
static void pipelining_deep(void **state)
{
    (void)state;
    for (int kind = SERVER_TLS; kind <= SERVER_PLAIN; kind++) {
        struct bed *bed = bed_new((enum server_peer)kind, NULL, NULL);
        struct peer *p = open_peer(bed);
        enum { N = 500 };
        char *all = malloc(N * 256);
        size_t n = 0;
        for (int i = 0; i < N; i++)
            n += (size_t)snprintf(
                all + n, 256, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n%06d", i);
        assert_true(peer_send_n(p, all, n));
        for (int i = 0; i < N; i++) {
            char want[32];
            snprintf(want, sizeof(want), "\r\n\r\n%06d", i);
            expect(p, "HTTP/1.1 200", want);
        }
        free(all);
        peer_close(p);
        bed_free(bed);
    }
}

/* Many records wait in the socket when it is read again: OpenSSL takes them all at once and hands
 * out one, and no event tells of the rest. */
static void records_read_ahead(void **state)
{
    (void)state;
    struct bed *bed = bed_new(SERVER_TLS, NULL, NULL);
    struct peer *p = open_peer(bed);
    for (int round = 0; round < 3; round++) {
        peer_send(p, GET("/block"));
        sleep_ms(50);
        for (int i = 0; i < 20; i++)
            peer_send(p, POST("/echo", "2", "ok"));
        for (int i = 0; i < 21; i++)
            expect(p, "HTTP/1.1 200", NULL);
    }
    peer_close(p);
    bed_free(bed);
}

static void split_writes(void **state)
{
    (void)state;
    for (int kind = SERVER_TLS; kind <= SERVER_PLAIN; kind++) {
        struct bed *bed = bed_new((enum server_peer)kind, NULL, NULL);
        struct peer *p = open_peer(bed);
        const char *request = POST("/echo", "11", "hallo wereld");
        for (size_t i = 0; i + 1 < strlen(request); i++)
            assert_true(peer_send_n(p, request + i, 1));
        expect(p, "HTTP/1.1 200", "\r\n\r\nhallo werel");
        peer_close(p);
        bed_free(bed);
    }
}

static void large_body(void **state)
{
    (void)state;
    for (int kind = SERVER_TLS; kind <= SERVER_PLAIN; kind++) {
        struct bed *bed = bed_new((enum server_peer)kind, NULL, NULL);
        struct peer *p = open_peer(bed);
        size_t n = 900 * 1000;
        char *body = malloc(n);
        for (size_t i = 0; i < n; i++)
            body[i] = (char)('a' + i % 23);
        peer_send(p, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n");
        assert_true(peer_send_n(p, body, n));
        long got = peer_read_message(p, text, sizeof(text), false);
        assert_true(got > (long)n);
        assert_memory_equal(text + got - (long)n, body, n);
        free(body);
        peer_close(p);
        bed_free(bed);
    }
}

static void chunked_body(void **state)
{
    (void)state;
    struct bed *bed = bed_new(SERVER_TLS, NULL, NULL);
    struct peer *p = open_peer(bed);
    const char *head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    peer_send(p, head);
    peer_send(p, "5\r\nhallo\r\n");
    sleep_ms(20);
    peer_send(p, "7\r\n wereld\r\n0\r\n\r\n");
    expect(p, "HTTP/1.1 200", "\r\n\r\nhallo wereld");
    /* In one write, with the next request behind it. */
    peer_send(p, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "1\r\nx\r\n0\r\nTrailer-A: b\r\n\r\n" GET("/echo"));
    expect(p, "HTTP/1.1 200", "\r\n\r\nx");
    expect(p, "HTTP/1.1 200", "Content-Length: 0\r\n");
    peer_close(p);
    bed_free(bed);
}

static void head_and_empty(void **state)
{
    (void)state;
    struct bed *bed = bed_new(SERVER_PLAIN, NULL, NULL);
    struct peer *p = open_peer(bed);
    peer_send(p, "HEAD /name HTTP/1.1\r\nHost: a\r\n\r\n" GET("/empty") GET("/name"));
    assert_true(peer_read_message(p, text, sizeof(text), true) > 0);
    assert_non_null(strstr(text, "Content-Length: 0\r\n"));
    expect(p, "HTTP/1.1 204", NULL);
    assert_null(strstr(text, "Content-Length"));
    expect(p, "HTTP/1.1 200", "\r\n\r\n");
    peer_send(p, "HEAD /later HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(peer_read_message(p, text, sizeof(text), true) > 0);
    assert_non_null(strstr(text, "Content-Length: 5\r\n"));
    /* No byte of body: the next answer starts at once. */
    peer_send(p, GET("/nothing"));
    expect(p, "HTTP/1.1 404", NULL);
    peer_close(p);
    bed_free(bed);
}

static void http_1_0(void **state)
{
    (void)state;
    struct bed *bed = bed_new(SERVER_PLAIN, NULL, NULL);
    struct peer *p = open_peer(bed);
    peer_send(p, "GET /later HTTP/1.0\r\nHost: a\r\n\r\n");
    expect_end(p, "HTTP/1.1 200", "Content-Length: 5\r\n");
    peer_close(p);
    bed_free(bed);
}

static void expect_continue(void **state)
{
    (void)state;
    struct bed *bed = bed_new(SERVER_TLS, NULL, NULL);
    struct peer *p = open_peer(bed);
    peer_send(
        p, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    expect(p, "HTTP/1.1 100 Continue\r\n", NULL);
    peer_send(p, "abc");
    expect(p, "HTTP/1.1 200", "\r\n\r\nabc");
    peer_send(
        p, "POST /refuse HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    expect_end(p, "HTTP/1.1 401", "Connection: close\r\n");
    assert_null(strstr(text, "100 Continue"));
    peer_close(p);
    bed_free(bed);
}

/* A refused peer that is still sending reads the answer, not a reset. */
static void early_refusal(void **state)
{
    (void)state;
    for (int kind = SERVER_TLS; kind <= SERVER_PLAIN; kind++) {
        struct bed *bed = bed_new((enum server_peer)kind, NULL, NULL);
        struct peer *p = open_peer(bed);
        char *rest = calloc(1, 600 * 1000);
        peer_send(p, "POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 700000\r\n\r\n");
        for (int i = 0; i < 6; i++) {
            assert_true(peer_send_n(p, rest, 100 * 1000));
            sleep_ms(30);
        }
        expect_end(p, "HTTP/1.1 401", "\r\n\r\nno");
        assert_non_null(strstr(text, "Connection: close\r\n"));
        peer_close(p);
        /* A small body that is there already need not cost the connection. */
        p = open_peer(bed);
        peer_send(p, POST("/refuse", "3", "abc"));
        expect(p, "HTTP/1.1 401", "\r\n\r\nno");
        peer_send(p, POST("/echo", "3", "abc"));
        expect(p, "HTTP/1.1 200", "\r\n\r\nabc");
        peer_close(p);
        free(rest);
        bed_free(bed);
    }
}

static void too_large(void **state)
{
    (void)state;
    struct server_limits limits = {.body_max = 1000};
    struct bed *bed = bed_new(SERVER_TLS, &limits, NULL);
    struct peer *p = open_peer(bed);
    peer_send(p, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
    expect_end(p, "HTTP/1.1 413", "body_too_large");
    peer_close(p);
    p = open_peer(bed);
    peer_send(p, POST("/small", "11", "hallo wereld"));
    expect_end(p, "HTTP/1.1 413", "body_too_large");
    peer_close(p);
    p = open_peer(bed);
    peer_send(p,
              "POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n"
              "5\r\nabcde\r\n0\r\n\r\n");
    expect_end(p, "HTTP/1.1 413", "body_too_large");
    peer_close(p);
    assert_int_equal(atomic_load(&bed->requests), 0);
    bed_free(bed);
}

/* Smuggling: the refused request's rest never becomes a request. */
static void refused_and_closed(void **state)
{
    (void)state;
    struct bed *bed = bed_new(SERVER_PLAIN, NULL, NULL);
    struct peer *p = open_peer(bed);
    peer_send(
        p, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n"
           "\r\n0\r\n\r\n" GET("/echo"));
    expect_end(p, "HTTP/1.1 400", "length_and_coding");
    peer_close(p);
    assert_int_equal(atomic_load(&bed->requests), 0);
    bed_free(bed);
}

static void answer_header_is_guarded(void **state)
{
    (void)state;
    struct bed *bed = bed_new(SERVER_PLAIN, NULL, NULL);
    struct peer *p = open_peer(bed);
    peer_send(p, GET("/split-header"));
    expect_end(p, "HTTP/1.1 500", NULL);
    assert_null(strstr(text, "Evil"));
    peer_close(p);
    bed_free(bed);
}

static void tls_versions(void **state)
{
    (void)state;
    struct bed *bed = bed_new(SERVER_TLS, NULL, NULL);
    struct peer_tls old = {.ca = certs.ca, .max_version = 0x0302};
    assert_null(peer_open(server_port(bed->server), &old));
    old.max_version = 0x0303;
    struct peer *p = peer_open(server_port(bed->server), &old);
    assert_non_null(p);
    peer_send(p, POST("/echo", "2", "ok"));
    expect(p, "HTTP/1.1 200", "\r\n\r\nok");
    peer_close(p);
    bed_free(bed);
}

/* With TLS 1.3 the client believes the handshake done before its certificate is judged: what
 * counts is that no answer comes. */
static bool is_served(struct bed *bed, const struct peer_tls *tls, const char *name)
{
    struct peer *p = peer_open(server_port(bed->server), tls);
    bool served = false;
    if (p && peer_send(p, GET("/name")) && peer_read_message(p, text, sizeof(text), false) > 0) {
        assert_memory_equal(text, "HTTP/1.1 200", 12);
        assert_string_equal(strstr(text, "\r\n\r\n") + 4, name);
        served = true;
    }
    peer_close(p);
    return served;
}

static void mutual_tls(void **state)
{
    (void)state;
    struct tls_server_config config = {.certificate = certs.server,
                                       .key_file = certs.server_key,
                                       .client_ca = certs.ca,
                                       .client_cn = "meta.example"};
    struct bed *bed = bed_new(SERVER_TLS, NULL, &config);
    for (int version = 0x0303; version <= 0x0304; version++) {
        struct peer_tls good = {certs.ca, certs.client, certs.client_key, version};
        struct peer_tls none = {certs.ca, NULL, NULL, version};
        struct peer_tls longer = {certs.ca, certs.longer, certs.longer_key, version};
        struct peer_tls foreign = {certs.ca, certs.foreign, certs.foreign_key, version};
        struct peer_tls other = {certs.ca, certs.wrong, certs.wrong_key, version};
        assert_true(is_served(bed, &good, "meta.example"));
        assert_false(is_served(bed, &none, ""));
        assert_false(is_served(bed, &longer, ""));
        assert_false(is_served(bed, &foreign, ""));
        assert_false(is_served(bed, &other, ""));
    }
    assert_int_equal(atomic_load(&bed->requests), 2);
    bed_free(bed);
}

static void tls_config_errors(void **state)
{
    (void)state;
    struct diag diag = {0};
    struct tls_context *tls = NULL;
    struct tls_server_config config = {.certificate = "/nonexistent", .key_file = certs.server_key};
    assert_int_not_equal(tls_server_new(&config, &tls, &diag), 0);
    assert_string_equal(diag.file, "/nonexistent");
    config = (struct tls_server_config){.certificate = certs.server, .key_file = certs.client_key};
    assert_int_not_equal(tls_server_new(&config, &tls, &diag), 0);
    config = (struct tls_server_config){
        .certificate = certs.server, .key_file = certs.server_key, .client_cn = "x"};
    assert_int_not_equal(tls_server_new(&config, &tls, &diag), 0);
    assert_null(tls);
}

enum { LATE_MS = 60 * 1000 }; /* an end that comes later than this did not come by its timer */
/* Each is measured from before the server's timer can have begun: who measures may be held up. */

static void head_timeout(void **state)
{
    (void)state;
    struct server_limits limits = {.head_ms = 1000};
    struct bed *bed = bed_new(SERVER_TLS, &limits, NULL);
    int64_t start = now_ms();
    struct peer *p = open_peer(bed);
    /* A byte now and then does not help. */
    peer_send(p, "GET /ec");
    sleep_ms(150);
    peer_send(p, "ho HT");
    sleep_ms(100);
    peer_send(p, "TP/1.1\r\n");
    expect_end(p, "HTTP/1.1 408", NULL);
    assert_in_range(now_ms() - start, 900, LATE_MS);
    peer_close(p);
    /* Never a byte: closed without a word. */
    start = now_ms();
    p = open_peer(bed);
    assert_true(peer_read_end(p, text, sizeof(text)));
    assert_string_equal(text, "");
    assert_in_range(now_ms() - start, 900, LATE_MS);
    peer_close(p);
    bed_free(bed);
}

static void handshake_timeout(void **state)
{
    (void)state;
    struct server_limits limits = {.handshake_ms = 200};
    struct bed *bed = bed_new(SERVER_TLS, &limits, NULL);
    int64_t start = now_ms();
    struct peer *p = peer_open(server_port(bed->server), NULL);
    (void)peer_read_end(p, text, sizeof(text));
    assert_string_equal(text, "");
    assert_in_range(now_ms() - start, 150, LATE_MS);
    peer_close(p);
    bed_free(bed);
}

static void idle_timeout(void **state)
{
    (void)state;
    struct server_limits limits = {.idle_ms = 200};
    struct bed *bed = bed_new(SERVER_TLS, &limits, NULL);
    struct peer *p = open_peer(bed);
    int64_t start = now_ms();
    peer_send(p, GET("/echo"));
    expect(p, "HTTP/1.1 200", NULL);
    assert_true(peer_read_end(p, text, sizeof(text)));
    assert_in_range(now_ms() - start, 150, LATE_MS);
    peer_close(p);
    bed_free(bed);
}

static void body_timeout(void **state)
{
    (void)state;
    struct server_limits limits = {.body_ms = 1000};
    struct bed *bed = bed_new(SERVER_TLS, &limits, NULL);
    struct peer *p = open_peer(bed);
    int64_t start = now_ms();
    peer_send(p, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    for (int i = 0; i < 5; i++) {
        sleep_ms(50);
        peer_send(p, "x");
    }
    expect_end(p, "HTTP/1.1 408", NULL);
    assert_in_range(now_ms() - start, 900, LATE_MS);
    assert_int_equal(atomic_load(&bed->requests), 0);
    peer_close(p);
    bed_free(bed);
}

/* More than the first part came, then a trickle: the rate decides. */
static void slow_body(void **state)
{
    (void)state;
    struct server_limits limits = {.body_ms = 300, .min_rate = 100000};
    struct bed *bed = bed_new(SERVER_PLAIN, &limits, NULL);
    struct peer *p = open_peer(bed);
    char *part = calloc(1, 100000);
    int64_t start = now_ms();
    peer_send(p, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    peer_send_n(p, part, 100000);
    sleep_ms(2000); /* past body_ms, within the grace */
    peer_send_n(p, part, 10000);
    (void)peer_read_message(p, text, sizeof(text), false);
    if (text[0] == 0)
        (void)peer_read_message(p, text, sizeof(text), false);
    assert_memory_equal(text, "HTTP/1.1 408", 12);
    assert_in_range(now_ms() - start, 5000, LATE_MS);
    free(part);
    peer_close(p);
    bed_free(bed);
}

static void answer_timeout(void **state)
{
    (void)state;
    struct server_limits limits = {.answer_ms = 200};
    struct bed *bed = bed_new(SERVER_TLS, &limits, NULL);
    struct peer *p = open_peer(bed);
    peer_send(p, GET("/never"));
    expect_end(p, "HTTP/1.1 503", "Retry-After: ");
    assert_int_equal(atomic_load(&bed->gone), 1);
    peer_close(p);
    bed_free(bed);
}

static void write_timeout(void **state)
{
    (void)state;
    struct server_limits limits = {.write_ms = 300};
    for (int kind = SERVER_TLS; kind <= SERVER_PLAIN; kind++) {
        struct bed *bed = bed_new((enum server_peer)kind, &limits, NULL);
        struct peer *p = open_peer(bed);
        for (int i = 0; i < 6; i++)
            peer_send(p, GET("/big")); /* and reads nothing */
        for (int i = 0; i < 6000 && atomic_load(&bed->requests) == 0; i++)
            sleep_ms(10);
        for (int i = 0; i < 6000 && on_loop(bed, server_busy) != 0; i++)
            sleep_ms(10);
        assert_int_equal(on_loop(bed, server_busy), 0);
        assert_false(peer_read_end(p, text, sizeof(text))); /* cut off */
        assert_true(atomic_load(&bed->requests) < 6);
        peer_close(p);
        bed_free(bed);
    }
}

/* Takes `step` bytes every 20 ms for at most `ms`; how long it was served, 0 when cut off. */
static int64_t read_slowly(struct bed *bed, size_t step, int ms)
{
    struct peer *p = open_peer(bed);
    int64_t start = now_ms();
    for (int i = 0; i < 4; i++)
        peer_send(p, GET("/big"));
    while (now_ms() - start < ms && recv(peer_fd(p), text, step, 0) > 0)
        sleep_ms(20);
    int64_t served = now_ms() - start;
    if (on_loop(bed, server_busy) == 0)
        served = 0; /* what the kernels held was read on after the cut */
    peer_close(p);
    return served;
}

static void slow_reader(void **state)
{
    (void)state;
    /* The same 1.5 MB/s is too slow for one and well for the other. */
    struct server_limits fast = {.write_ms = 300, .min_rate = 20 * 1000 * 1000};
    struct server_limits slow = {.write_ms = 3000, .min_rate = 100 * 1000};
    struct bed *bed = bed_new(SERVER_PLAIN, &fast, NULL);
    assert_int_equal(read_slowly(bed, 30 * 1000, 1500), 0);
    assert_int_equal(atomic_load(&bed->requests), 1);
    bed_free(bed);
    bed = bed_new(SERVER_PLAIN, &slow, NULL);
    assert_true(read_slowly(bed, 30 * 1000, 1500) >= 1500);
    bed_free(bed);
}

static void big_answer(void **state)
{
    (void)state;
    for (int kind = SERVER_TLS; kind <= SERVER_PLAIN; kind++) {
        struct bed *bed = bed_new((enum server_peer)kind, NULL, NULL);
        struct peer *p = open_peer(bed);
        peer_send(p, "GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_true(peer_read_end(p, text, sizeof(text)));
        char *body = strstr(text, "\r\n\r\n");
        assert_non_null(body);
        assert_int_equal(strlen(body + 4), BIG_BYTES);
        peer_close(p);
        bed_free(bed);
    }
}

static void connection_cap(void **state)
{
    (void)state;
    struct server_limits total = {.connections = 2}, each = {.connections_per_address = 2};
    const struct server_limits *both[] = {&total, &each};
    for (int i = 0; i < 2; i++) {
        struct bed *bed = bed_new(SERVER_PLAIN, both[i], NULL);
        struct peer *a = open_peer(bed), *b = open_peer(bed);
        peer_send(a, GET("/echo"));
        expect(a, "HTTP/1.1 200", NULL);
        peer_send(b, GET("/echo"));
        expect(b, "HTTP/1.1 200", NULL);
        struct peer *c = open_peer(bed);
        peer_send(c, GET("/echo"));
        assert_true(peer_read_message(c, text, sizeof(text), false) <= 0);
        peer_close(c);
        peer_close(a);
        settle(bed);
        c = open_peer(bed);
        peer_send(c, GET("/echo"));
        expect(c, "HTTP/1.1 200", NULL);
        peer_close(b);
        peer_close(c);
        bed_free(bed);
    }
}

/* What a peer does not take counts against everybody, also against requests without a body. */
static void answers_not_taken(void **state)
{
    (void)state;
    struct server_limits limits = {.memory_max = 100000};
    struct bed *bed = bed_new(SERVER_PLAIN, &limits, NULL);
    struct peer *slow = open_peer(bed), *other = open_peer(bed), *third;
    int small = 65536; /* tcp_rmem of some machines holds all of the answer */
    setsockopt(peer_fd(slow), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    peer_send(slow, "GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    settle(bed);
    int before = atomic_load(&bed->requests);
    peer_send(other, GET("/echo"));
    expect_end(other, "HTTP/1.1 503", "Retry-After: ");
    assert_int_equal(atomic_load(&bed->requests), before);
    assert_true(peer_read_end(slow, text, sizeof(text)));
    settle(bed);
    third = open_peer(bed);
    peer_send(third, GET("/echo"));
    expect(third, "HTTP/1.1 200", NULL);
    peer_close(slow);
    peer_close(other);
    peer_close(third);
    bed_free(bed);
}

static void memory_cap(void **state)
{
    (void)state;
    struct server_limits limits = {.memory_max = 100000};
    struct bed *bed = bed_new(SERVER_TLS, &limits, NULL);
    struct peer *a = open_peer(bed), *b = open_peer(bed);
    char *part = calloc(1, 90000);
    memset(part, 'a', 90000);
    peer_send(a, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 90001\r\n\r\n");
    peer_send_n(a, part, 90000);
    settle(bed);
    peer_send(b, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n");
    expect_end(b, "HTTP/1.1 503", "Retry-After: ");
    peer_close(b);
    /* What has no body is still served. */
    b = open_peer(bed);
    peer_send(b, GET("/echo"));
    expect(b, "HTTP/1.1 200", NULL);
    /* The first ends; there is room again. */
    peer_send(a, "z");
    expect(a, "HTTP/1.1 200", NULL);
    peer_send(b, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n");
    peer_send_n(b, part, 20000);
    expect(b, "HTTP/1.1 200", NULL);
    /* Without a length told in advance the cap holds while the body comes in. */
    peer_send(a, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n15F90\r\n");
    peer_send_n(a, part, 90000);
    peer_send(a, "\r\n15F90\r\n");
    peer_send_n(a, part, 90000);
    expect_end(a, "HTTP/1.1 503", "Retry-After: ");
    peer_close(a);
    peer_close(b);
    free(part);
    bed_free(bed);
}

static void peer_gone(void **state)
{
    (void)state;
    for (int kind = SERVER_TLS; kind <= SERVER_PLAIN; kind++) {
        struct bed *bed = bed_new((enum server_peer)kind, NULL, NULL);
        int before = atomic_load(&missed);
        struct peer *p = open_peer(bed);
        atomic_store(&hold_later, true);
        peer_send(p, GET("/later"));
        settle(bed);
        peer_reset(p);
        assert_true(becomes(&bed->gone, 1));
        atomic_store(&hold_later, false);
        assert_true(becomes(&missed, before + 1));
        /* The server goes on. */
        p = open_peer(bed);
        peer_send(p, GET("/later"));
        expect(p, "HTTP/1.1 200", "later");
        peer_close(p);
        bed_free(bed);
    }
}

/* A plain peer may close its direction and still get what it asked for. */
static void half_close(void **state)
{
    (void)state;
    struct bed *bed = bed_new(SERVER_PLAIN, NULL, NULL);
    struct peer *p = open_peer(bed);
    peer_send(p, GET("/later") GET("/later"));
    peer_half_close(p);
    assert_true(peer_read_end(p, text, sizeof(text)));
    char *first = strstr(text, "later");
    assert_non_null(first);
    assert_non_null(strstr(first + 1, "later"));
    peer_close(p);
    bed_free(bed);
}

static void abort_closes(void **state)
{
    (void)state;
    struct bed *bed = bed_new(SERVER_TLS, NULL, NULL);
    struct peer *p = open_peer(bed);
    peer_send(p, GET("/abort") GET("/echo"));
    (void)peer_read_end(p, text, sizeof(text));
    assert_string_equal(text, "");
    assert_int_equal(atomic_load(&bed->requests), 1);
    assert_int_equal(atomic_load(&bed->gone), 0);
    peer_close(p);
    bed_free(bed);
}

/* Descriptors run out: callers are turned away, nothing spins, and it recovers. */
static void out_of_descriptors(void **state)
{
    (void)state;
    struct bed *bed = bed_new(SERVER_PLAIN, NULL, NULL);
    struct rlimit before, low;
    struct peer *held = open_peer(bed);
    peer_send(held, GET("/echo"));
    expect(held, "HTTP/1.1 200", NULL);
    int fd = dup(0);
    close(fd);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    /* Room for the caller's own socket and none for the accepted one. */
    low = before;
    low.rlim_cur = (rlim_t)fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    struct peer *p = open_peer(bed);
    (void)peer_read_message(p, text, sizeof(text), false);
    struct rusage used, later;
    getrusage(RUSAGE_SELF, &used);
    sleep_ms(500);
    getrusage(RUSAGE_SELF, &later);
    assert_true(later.ru_utime.tv_sec * 1000 + later.ru_utime.tv_usec / 1000 -
                    used.ru_utime.tv_sec * 1000 - used.ru_utime.tv_usec / 1000 <
                200);
    peer_send(held, GET("/echo"));
    expect(held, "HTTP/1.1 200", NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    peer_close(p);
    sleep_ms(200);
    p = open_peer(bed);
    peer_send(p, GET("/echo"));
    expect(p, "HTTP/1.1 200", NULL);
    peer_close(p);
    peer_close(held);
    bed_free(bed);
}

/* A new context serves new connections; those that are open go on with theirs. */
struct tls_mail {
    struct mail mail;
    struct server *server;
    struct tls_context *tls;
};

static void on_set_tls(struct mail *mail)
{
    struct tls_mail *m = (struct tls_mail *)mail;
    server_set_tls(m->server, m->tls);
}

static void new_certificate(void **state)
{
    (void)state;
    struct bed *bed = bed_new(SERVER_TLS, NULL, NULL);
    struct tls_server_config config = {.certificate = certs.wrong, .key_file = certs.wrong_key};
    struct diag diag;
    struct tls_mail m = {.server = bed->server};
    struct peer_tls tls = {.ca = certs.ca};
    struct peer *p = open_peer(bed);
    assert_int_equal(tls_server_new(&config, &m.tls, &diag), 0);
    loop_post(bed->loop, &m.mail, on_set_tls);
    settle(bed);
    tls_unref(m.tls);
    peer_send(p, GET("/echo"));
    expect(p, "HTTP/1.1 200", NULL);
    assert_null(peer_open(server_port(bed->server), &tls)); /* another name now */
    peer_close(p);
    bed_free(bed);
}

/* What a handler tries when its exchange is gone has no effect. */
static void answer_when_gone(struct exchange *ex, void *ctx)
{
    struct bed *bed = ctx;
    atomic_fetch_add(&bed->gone, 1);
    assert_null(server_exchange(exchange_server(ex), exchange_id(ex)));
    exchange_answer(ex, 200, SPAN_EMPTY, SPAN("too late"));
    exchange_abort(ex, "test");
}

static void answered_too_late(void **state)
{
    (void)state;
    struct bed bed = {0};
    struct diag diag;
    struct server_config config = {.name = "test",
                                   .address = "127.0.0.1:0",
                                   .kind = SERVER_PLAIN,
                                   .limits = {.answer_ms = 200},
                                   .on_request = on_request,
                                   .on_gone = answer_when_gone,
                                   .ctx = &bed};
    assert_int_equal(loop_new(&bed.loop, 0), 0);
    assert_int_equal(server_new(bed.loop, &config, &bed.server, &diag), 0);
    assert_int_equal(loop_start(bed.loop), 0);
    struct peer *p = peer_open(server_port(bed.server), NULL),
                *q = peer_open(server_port(bed.server), NULL);
    peer_send(p, GET("/never"));
    expect_end(p, "HTTP/1.1 503", "answer_timeout");
    peer_send(q, GET("/never"));
    settle(&bed);
    peer_reset(q);
    assert_true(becomes(&bed.gone, 2));
    peer_close(p);
    loop_stop(bed.loop);
    loop_join(bed.loop);
    server_free(bed.server);
    loop_free(bed.loop);
}

struct drain_mail {
    struct mail mail;
    struct server *server;
};

static void on_drain(struct mail *mail)
{
    server_drain(((struct drain_mail *)mail)->server);
}

static void draining(void **state)
{
    (void)state;
    struct bed *bed = bed_new(SERVER_PLAIN, NULL, NULL);
    struct peer *idle = open_peer(bed), *busy = open_peer(bed);
    peer_send(idle, GET("/echo"));
    expect(idle, "HTTP/1.1 200", NULL);
    atomic_store(&hold_later, true);
    peer_send(busy, GET("/later"));
    settle(bed);
    struct drain_mail drain = {.server = bed->server};
    loop_post(bed->loop, &drain.mail, on_drain);
    assert_true(peer_read_end(idle, text, sizeof(text)));
    assert_string_equal(text, "");
    atomic_store(&hold_later, false);
    expect_end(busy, "HTTP/1.1 200", "Connection: close\r\n");
    assert_null(peer_open(server_port(bed->server), NULL));
    peer_close(idle);
    peer_close(busy);
    bed_free(bed);
}

static void unix_socket(void **state)
{
    (void)state;
    char path[128];
    struct diag diag = {0};
    snprintf(path, sizeof(path), "%s/socket", certs.dir);
    for (int round = 0; round < 2; round++) {
        struct bed bed = {0};
        struct server *second = NULL;
        bed.config = (struct server_config){.name = "cli",
                                            .address = path,
                                            .kind = SERVER_UNIX,
                                            .on_request = on_request,
                                            .ctx = &bed};
        assert_int_equal(loop_new(&bed.loop, 0), 0);
        assert_int_equal(server_new(bed.loop, &bed.config, &bed.server, &diag), 0);
        /* In use: left alone. */
        assert_int_not_equal(server_new(bed.loop, &bed.config, &second, &diag), 0);
        assert_int_equal(access(path, R_OK | W_OK), 0);
        assert_int_equal(loop_start(bed.loop), 0);
        struct peer *p = peer_open_unix(path);
        assert_non_null(p);
        peer_send(p, POST("/echo", "2", "ok"));
        expect(p, "HTTP/1.1 200", "\r\n\r\nok");
        peer_close(p);
        loop_stop(bed.loop);
        loop_join(bed.loop);
        server_free(bed.server);
        loop_free(bed.loop);
        assert_int_not_equal(access(path, F_OK), 0);
    }
}

/* Stopping with requests in every state tells each handler and frees everything (asan). */
static void stop_while_busy(void **state)
{
    (void)state;
    struct bed *bed = bed_new(SERVER_TLS, NULL, NULL);
    struct peer *a = open_peer(bed), *b = open_peer(bed), *c = open_peer(bed), *d = open_peer(bed);
    peer_send(a, GET("/never"));
    peer_send(b, "GET /nev");
    peer_send(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    settle(bed);
    loop_stop(bed->loop);
    loop_join(bed->loop);
    assert_int_equal(server_busy(bed->server), 2);
    server_free(bed->server);
    assert_int_equal(atomic_load(&bed->gone), 2);
    bed->server = NULL;
    peer_close(a);
    peer_close(b);
    peer_close(c);
    peer_close(d);
    bed_free(bed);
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
        cmocka_unit_test(keep_alive_plain),   cmocka_unit_test(keep_alive_tls),
        cmocka_unit_test(pipelining_plain),   cmocka_unit_test(pipelining_tls),
        cmocka_unit_test(pipelining_deep),    cmocka_unit_test(records_read_ahead),
        cmocka_unit_test(split_writes),       cmocka_unit_test(large_body),
        cmocka_unit_test(chunked_body),       cmocka_unit_test(head_and_empty),
        cmocka_unit_test(http_1_0),           cmocka_unit_test(expect_continue),
        cmocka_unit_test(early_refusal),      cmocka_unit_test(too_large),
        cmocka_unit_test(refused_and_closed), cmocka_unit_test(answer_header_is_guarded),
        cmocka_unit_test(tls_versions),       cmocka_unit_test(mutual_tls),
        cmocka_unit_test(tls_config_errors),  cmocka_unit_test(head_timeout),
        cmocka_unit_test(handshake_timeout),  cmocka_unit_test(idle_timeout),
        cmocka_unit_test(body_timeout),       cmocka_unit_test(slow_body),
        cmocka_unit_test(answer_timeout),     cmocka_unit_test(write_timeout),
        cmocka_unit_test(slow_reader),        cmocka_unit_test(answers_not_taken),
        cmocka_unit_test(big_answer),         cmocka_unit_test(connection_cap),
        cmocka_unit_test(memory_cap),         cmocka_unit_test(peer_gone),
        cmocka_unit_test(half_close),         cmocka_unit_test(abort_closes),
        cmocka_unit_test(out_of_descriptors), cmocka_unit_test(new_certificate),
        cmocka_unit_test(answered_too_late),  cmocka_unit_test(draining),
        cmocka_unit_test(unix_socket),        cmocka_unit_test(stop_while_busy),
    };
    cmocka_set_test_filter(getenv("SLUIS_TEST"));
    return cmocka_run_group_tests_name("net_server", tests, setup, teardown);
}

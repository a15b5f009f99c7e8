/* Bodies in pieces, both ways, on real sockets: what is too large for memory is never in it. */
#include "net_help.h"
#include "sluis/base/clock.h"
#include "sluis/net/client.h"
#include "sluis/net/server.h"

#include <fcntl.h>
#include <poll.h>
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

#define WHOLE (8u * 1024 * 1024 + 17)

/* Byte `at` of everything that is sent here. */
static char pattern(uint64_t at)
{
    return (char)(at * 2654435761u >> 13);
}

static char *make_pattern(size_t n)
{
    char *p = malloc(n ? n : 1);
    for (size_t i = 0; i < n; i++)
        p[i] = pattern(i);
    return p;
}

static bool is_pattern(struct span s, uint64_t at)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != pattern(at + i))
            return false;
    return true;
}

/* ---- the server ---- */

struct taken { /* of one exchange; freed at its end */
    struct mail mail;
    struct bed *bed;
    uint64_t id, total;
    bool right, mailed, over, stay;
};

struct bed {
    struct loop *loop;
    struct server *server;
    struct server_config config;
    atomic_int gone, over_whole, over_cut, requests, largest;
    atomic_ullong taken;
    atomic_bool held;       /* "/hold": nobody resumes */
    struct taken *held_one; /* loop's thread */
};

static void on_resume(struct mail *mail)
{
    struct taken *t = (struct taken *)mail;
    t->mailed = false;
    if (t->over) {
        free(t);
        return;
    }
    struct exchange *ex = server_exchange(t->bed->server, t->id);
    if (ex)
        exchange_resume_body(ex);
}

static void taken_free(struct taken *t)
{
    t->over = true;
    if (!t->mailed)
        free(t);
}

/* Every piece pauses, and a mail lets it go on: as one does who writes to a disk elsewhere. */
static void on_piece(struct exchange *ex, struct span bytes, void *ctx)
{
    struct taken *t = ctx;
    assert_true(bytes.n > 0 && bytes.n <= EXCHANGE_PIECE);
    assert_false(t->mailed); /* paused: nothing may come */
    t->right = t->right && is_pattern(bytes, t->total);
    t->total += bytes.n;
    atomic_store(&t->bed->taken, t->total);
    if (span_is(exchange_head(ex)->path, "/early") && t->total > 100) {
        exchange_answer(ex, 413, SPAN("text/plain"), SPAN("enough"));
        taken_free(t); /* answered here: no other call comes */
        return;
    }
    if (span_is(exchange_head(ex)->path, "/abort")) {
        exchange_abort(ex, "no");
        taken_free(t); /* nor when it is closed here */
        return;
    }
    exchange_pause_body(ex);
    if (t->stay) {
        t->bed->held_one = t;
        return;
    }
    t->mailed = true;
    loop_post(t->bed->loop, &t->mail, on_resume);
}

static int on_head(struct exchange *ex, uint64_t *body_max, void *ctx)
{
    struct bed *bed = ctx;
    struct span path = exchange_head(ex)->path;
    if (!span_is(path, "/take") && !span_is(path, "/early") && !span_is(path, "/hold") &&
        !span_is(path, "/abort"))
        return 0;
    struct taken *t = calloc(1, sizeof(*t));
    *t = (struct taken){.bed = bed, .id = exchange_id(ex), .right = true};
    t->stay = span_is(path, "/hold");
    const struct exchange_sink sink = {.data = on_piece, .ctx = t};
    exchange_set_data(ex, t);
    exchange_stream_body(ex, &sink);
    *body_max = 64u * 1024 * 1024;
    return 0;
}

static void on_gone(struct exchange *ex, void *ctx)
{
    struct bed *bed = ctx;
    atomic_fetch_add(&bed->gone, 1);
    if (exchange_data(ex))
        taken_free(exchange_data(ex));
}

struct given {
    struct mail mail;
    struct bed *bed;
    uint64_t id, at, n, stop;
    bool mailed, over;
};

static void on_give(struct mail *mail)
{
    struct given *g = (struct given *)mail;
    g->mailed = false;
    if (g->over) {
        free(g);
        return;
    }
    size_t n = g->n - g->at < 50000 ? (size_t)(g->n - g->at) : 50000;
    if (g->stop && g->at >= g->stop)
        n = 0;
    char *bytes = malloc(n ? n : 1);
    for (size_t i = 0; i < n; i++)
        bytes[i] = pattern(g->at + i);
    g->at += n;
    uint64_t id = g->id;
    struct server *server = g->bed->server;
    exchange_answer_more(server, id, span_of(bytes, n)); /* `over` may come in here */
    free(bytes);
}

static void on_more(struct exchange *ex, void *ctx)
{
    struct given *g = ctx;
    assert_true(exchange_id(ex) == g->id);
    assert_false(g->mailed);
    if (g->stop == 1) /* never gives */
        return;
    g->mailed = true;
    loop_post(g->bed->loop, &g->mail, on_give);
}

static void on_over(void *ctx, bool whole)
{
    struct given *g = ctx;
    atomic_fetch_add(whole ? &g->bed->over_whole : &g->bed->over_cut, 1);
    g->over = true;
    if (!g->mailed)
        free(g);
}

static void stream(struct bed *bed, struct exchange *ex, uint64_t n, uint64_t stop)
{
    struct given *g = calloc(1, sizeof(*g));
    *g = (struct given){.bed = bed, .id = exchange_id(ex), .n = n, .stop = stop};
    const struct exchange_source source = {.more = on_more, .over = on_over, .ctx = g};
    exchange_answer_begin(ex, 200);
    if (!exchange_answer_stream(ex, n, &source))
        free(g);
}

static void on_request(struct exchange *ex, void *ctx)
{
    struct bed *bed = ctx;
    struct span path = exchange_head(ex)->path;
    struct taken *t = exchange_data(ex);
    char text[64];
    atomic_fetch_add(&bed->requests, 1);
    if (span_is(path, "/give")) {
        stream(bed, ex, WHOLE, 0);
    } else if (span_is(path, "/cut")) {
        stream(bed, ex, WHOLE, 200000);
    } else if (span_is(path, "/stuck")) {
        stream(bed, ex, WHOLE, 1);
    } else if (span_is(path, "/nothing")) {
        stream(bed, ex, 0, 0);
    } else if (t) {
        assert_true(exchange_body(ex).n == 0);
        int n = snprintf(text, sizeof(text), "%llu %s", (unsigned long long)t->total,
                         t->right ? "right" : "wrong");
        taken_free(t);
        exchange_answer(ex, 200, SPAN("text/plain"), span_of(text, (size_t)n));
    } else {
        exchange_answer(ex, 200, SPAN("text/plain"), exchange_body(ex));
    }
}

static struct bed *bed_new(const struct server_limits *limits)
{
    struct bed *bed = calloc(1, sizeof(*bed));
    struct diag diag = {0};
    bed->config = (struct server_config){.name = "test",
                                         .address = "127.0.0.1:0",
                                         .kind = SERVER_PLAIN,
                                         .on_head = on_head,
                                         .on_request = on_request,
                                         .on_gone = on_gone,
                                         .ctx = bed};
    if (limits)
        bed->config.limits = *limits;
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
    while (loop_drain(bed->loop))
        ;
    loop_free(bed->loop);
    free(bed);
}

static bool wait_for(atomic_int *what, int n)
{
    for (int i = 0; i < 6000 && atomic_load(what) < n; i++)
        sleep_ms(10);
    return atomic_load(what) >= n;
}

static struct peer *peer_to(struct bed *bed)
{
    struct peer *peer = peer_open(server_port(bed->server), NULL);
    assert_non_null(peer);
    return peer;
}

/* ---- uploads ---- */

/* With its length, chunked, in one packet with its head and the next request, split in the
 * framing: what the handler gets is the body, and what follows is the next request. */
static void body_in_pieces(void **state)
{
    struct bed *bed = bed_new(NULL);
    struct peer *peer = peer_to(bed);
    char out[4096], head[256], *body = make_pattern(WHOLE);
    (void)state;
    snprintf(head, sizeof(head), "POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: %u\r\n\r\n",
             WHOLE);
    assert_true(peer_send(peer, head));
    assert_true(peer_send_n(peer, body, WHOLE));
    assert_true(peer_read_message(peer, out, sizeof(out), false) > 0);
    assert_non_null(strstr(out, "8388625 right"));
    assert_null(strstr(out, "Connection: close"));
    assert_true(
        peer_send(peer, "POST /take HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for (size_t at = 0; at < 300000; at += 30000) {
        snprintf(head, sizeof(head), "%x\r\n", 30000);
        assert_true(peer_send(peer, head) && peer_send_n(peer, body + at, 30000) &&
                    peer_send(peer, "\r\n"));
    }
    assert_true(peer_send(peer, "0\r\n\r\n"));
    assert_true(peer_read_message(peer, out, sizeof(out), false) > 0);
    assert_non_null(strstr(out, "300000 right"));
    /* all in one packet, the next request behind it */
    size_t n = (size_t)snprintf(out, sizeof(out),
                                "POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    memcpy(out + n, body, 5);
    n += 5;
    n += (size_t)snprintf(out + n, sizeof(out) - n,
                          "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nnext");
    assert_true(peer_send_n(peer, out, n));
    assert_true(peer_read_message(peer, out, sizeof(out), false) > 0);
    assert_non_null(strstr(out, "5 right"));
    assert_true(peer_read_message(peer, out, sizeof(out), false) > 0);
    assert_non_null(strstr(out, "next"));
    assert_int_equal(atomic_load(&bed->gone), 0);
    peer_close(peer);
    bed_free(bed);
    free(body);
}

/* Answered halfway: the rest is not taken, the connection ends, the handler hears of no request. */
static void refused_halfway(void **state)
{
    struct bed *bed = bed_new(NULL);
    struct peer *peer = peer_to(bed);
    char out[4096], *body = make_pattern(100000);
    (void)state;
    assert_true(
        peer_send(peer, "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n"));
    assert_true(peer_send_n(peer, body, 100000));
    assert_true(peer_read_message(peer, out, sizeof(out), false) > 0);
    assert_non_null(strstr(out, "HTTP/1.1 413"));
    assert_non_null(strstr(out, "Connection: close"));
    assert_true(peer_read_end(peer, out, sizeof(out)));
    assert_int_equal(atomic_load(&bed->requests), 0);
    peer_close(peer);
    bed_free(bed);
    free(body);
}

#define POOLED 256 /* exchanges that the server keeps for reuse */

/* Closed by who gets the pieces, also when its exchange is freed at once: the pool is full. */
static void closed_halfway(void **state)
{
    struct bed *bed = bed_new(NULL);
    struct peer *peers[POOLED], *peer = peer_to(bed), *other = peer_to(bed);
    char out[4096], *body = make_pattern(10000);
    (void)state;
    assert_true(peer_send(peer, "POST /abort HTTP/1.1\r\nHost: a\r\n"));
    for (unsigned i = 0; i < POOLED; i++) {
        peers[i] = peer_to(bed);
        assert_true(peer_send(peers[i], "GET / HTTP/1.1\r\n"));
    }
    for (unsigned turn = 0; turn < 2; turn++) { /* what was sent before has been read by then */
        assert_true(peer_send(other, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"));
        assert_true(peer_read_message(other, out, sizeof(out), false) > 0);
        for (unsigned i = 0; i < POOLED && turn == 0; i++)
            peer_close(peers[i]);
    }
    /* In one packet: the pieces stand in the exchange. */
    size_t n = (size_t)snprintf(out, sizeof(out), "Content-Length: 200000\r\n\r\n");
    memcpy(out + n, body, 2000);
    assert_true(peer_send_n(peer, out, n + 2000));
    assert_true(peer_read_end(peer, out, sizeof(out)));
    assert_int_equal(atomic_load(&bed->requests), 2);
    assert_int_equal(atomic_load(&bed->gone), 0);
    peer_close(peer);
    peer_close(other);
    bed_free(bed);
    free(body);
}

/* Chunk sizes that lie, bodies above the limit, cut off ones: the handler is told once. */
static void broken_bodies(void **state)
{
    struct bed *bed = bed_new(NULL);
    char out[4096];
    (void)state;
    struct peer *peer = peer_to(bed);
    assert_true(peer_send(peer, "POST /take HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                                "chunked\r\n\r\n1\r\n"));
    char zero[] = "\0\r\nzz\r\n";
    assert_true(peer_send_n(peer, zero, sizeof(zero) - 1));
    assert_true(peer_read_message(peer, out, sizeof(out), false) > 0);
    assert_non_null(strstr(out, "HTTP/1.1 400"));
    peer_close(peer);
    assert_true(wait_for(&bed->gone, 1));
    peer = peer_to(bed);
    assert_true(
        peer_send(peer, "POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n"));
    assert_true(peer_read_message(peer, out, sizeof(out), false) > 0);
    assert_non_null(strstr(out, "HTTP/1.1 413"));
    peer_close(peer);
    assert_true(wait_for(&bed->gone, 2));
    peer = peer_to(bed);
    assert_true(peer_send(peer, "POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"));
    assert_true(peer_send_n(peer, "\0", 1));
    peer_close(peer);
    assert_true(wait_for(&bed->gone, 3));
    assert_int_equal(atomic_load(&bed->requests), 0);
    bed_free(bed);
}

static atomic_int sent; /* pieces that the server, or the kernel, took */

static void *send_much(void *ctx)
{
    struct peer *peer = ctx;
    static char piece[65536];
    for (int i = 0; i < 1000; i++, atomic_fetch_add(&sent, 1))
        if (!peer_send_n(peer, piece, sizeof(piece)))
            break;
    return NULL;
}

/* While nobody takes the pieces nothing more is read: what is in memory does not grow with what is
 * sent. And who does not take them within answer_ms ends the request. */
static void back_pressure(void **state)
{
    const struct server_limits limits = {.answer_ms = 600};
    struct bed *bed = bed_new(&limits);
    struct peer *peer = peer_to(bed);
    char out[4096];
    pthread_t thread;
    (void)state;
    int small = 65536; /* what the kernel may keep for us */
    setsockopt(peer_fd(peer), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    int64_t begun = now_ms();
    assert_true(
        peer_send(peer, "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 65536000\r\n\r\n"));
    pthread_create(&thread, NULL, send_much, peer);
    sleep_ms(300);
    /* The kernel keeps some (tcp_rmem goes up to 6 MB): the server nothing. */
    assert_true(atomic_load(&sent) < 250);
    assert_true(wait_for(&bed->gone, 1));
    assert_true(now_ms() - begun >= 550);
    assert_true(atomic_load(&bed->taken) > 0 && atomic_load(&bed->taken) <= EXCHANGE_PIECE);
    (void)peer_read_message(peer, out, sizeof(out), false);
    assert_non_null(strstr(out, "HTTP/1.1 503"));
    shutdown(peer_fd(peer), SHUT_RDWR);
    pthread_join(thread, NULL);
    peer_close(peer);
    bed_free(bed);
}

/* A body that trickles is ended; its own rate counts where it has one. */
static void slow_body(void **state)
{
    const struct server_limits limits = {.body_ms = 300};
    struct bed *bed = bed_new(&limits);
    struct peer *peer = peer_to(bed);
    char out[4096];
    (void)state;
    assert_true(peer_send(peer, "POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"));
    for (int i = 0; i < 20 && atomic_load(&bed->gone) == 0; i++) {
        char byte = pattern((uint64_t)i);
        (void)peer_send_n(peer, &byte, 1);
        sleep_ms(250); /* each piece comes within body_ms; the whole does not */
        if (i == 8)
            break;
    }
    assert_true(wait_for(&bed->gone, 1));
    (void)peer_read_message(peer, out, sizeof(out), false);
    assert_non_null(strstr(out, "HTTP/1.1 408"));
    peer_close(peer);
    bed_free(bed);
}

/* ---- answers ---- */

static size_t read_all(struct peer *peer, bool *right)
{
    static char buffer[1 << 16];
    size_t total = 0, head = 0;
    ssize_t n;
    *right = true;
    while ((n = recv(peer_fd(peer), buffer, sizeof(buffer), 0)) > 0) {
        size_t from = 0;
        if (head == 0) {
            char *end = memmem(buffer, (size_t)n, "\r\n\r\n", 4);
            assert_non_null(end);
            from = head = (size_t)(end - buffer) + 4;
        }
        *right = *right && is_pattern(span_of(buffer + from, (size_t)n - from), total);
        total += (size_t)n - from;
    }
    return total;
}

static void answer_in_pieces(void **state)
{
    struct bed *bed = bed_new(NULL);
    struct peer *peer = peer_to(bed);
    char out[4096];
    bool right;
    (void)state;
    assert_true(peer_send(peer, "HEAD /give HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_true(peer_read_message(peer, out, sizeof(out), true) >= 0);
    assert_non_null(strstr(out, "Content-Length: 8388625"));
    assert_true(peer_send(peer, "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_true(peer_read_message(peer, out, sizeof(out), false) >= 0);
    assert_non_null(strstr(out, "Content-Length: 0"));
    assert_true(peer_send(peer, "GET /give HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    assert_int_equal(read_all(peer, &right), WHOLE);
    assert_true(right);
    assert_int_equal(atomic_load(&bed->over_whole), 1);
    assert_int_equal(atomic_load(&bed->over_cut), 0);
    peer_close(peer);
    /* two at once on one connection: the second waits for the first */
    peer = peer_to(bed);
    assert_true(peer_send(peer, "GET /give HTTP/1.1\r\nHost: a\r\n\r\n"
                                "POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                                "Content-Length: 4\r\n\r\nnext"));
    size_t n = read_all(peer, &right);
    assert_true(n > WHOLE && n < WHOLE + 400);
    assert_int_equal(atomic_load(&bed->over_whole), 2);
    peer_close(peer);
    bed_free(bed);
}

/* Given up halfway, never begun, and a reader that goes away: the handler hears of each, and what
 * is cut off does not look whole. */
static void answers_cut(void **state)
{
    const struct server_limits limits = {.answer_ms = 300};
    struct bed *bed = bed_new(&limits);
    bool right;
    (void)state;
    struct peer *peer = peer_to(bed);
    assert_true(peer_send(peer, "GET /cut HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_true(read_all(peer, &right) < WHOLE);
    assert_true(wait_for(&bed->over_cut, 1));
    peer_close(peer);
    peer = peer_to(bed);
    assert_true(peer_send(peer, "GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_int_equal(read_all(peer, &right), 0);
    assert_true(wait_for(&bed->over_cut, 2));
    peer_close(peer);
    peer = peer_to(bed);
    assert_true(peer_send(peer, "GET /give HTTP/1.1\r\nHost: a\r\n\r\n"));
    sleep_ms(20);
    peer_reset(peer);
    assert_true(wait_for(&bed->over_cut, 3));
    assert_int_equal(atomic_load(&bed->over_whole), 0);
    bed_free(bed);
}

/* ---- the client ---- */

struct fetch {
    struct mail mail, give, go_on;
    struct bed *bed;
    struct client *client;
    struct client_url url;
    enum http_method method;
    uint64_t id, got, sent, fail_at;
    bool right, hold;
    atomic_int mails; /* under way: they are this structure's */
    sem_t done;
    struct client_answer answer;
    unsigned status;
    char body[128];
};

static void on_go_on(struct mail *mail)
{
    struct fetch *f = (struct fetch *)((char *)mail - offsetof(struct fetch, go_on));
    f->hold = false;
    client_hold(f->client, f->id, false);
    atomic_fetch_sub(&f->mails, 1); /* last: then `f` may be used anew */
}

static int on_data(void *ctx, const struct http_head *head, struct span bytes)
{
    struct fetch *f = ctx;
    assert_int_equal(head->status, 200);
    assert_false(f->hold); /* held: nothing may come */
    f->right = f->right && is_pattern(bytes, f->got);
    f->got += bytes.n;
    if (f->fail_at && f->got > f->fail_at)
        return SLUIS_EFULL;
    f->hold = true;
    atomic_fetch_add(&f->mails, 1);
    client_hold(f->client, f->id, true);
    loop_post(f->bed->loop, &f->go_on, on_go_on);
    return 0;
}

static void on_body_piece(struct mail *mail)
{
    struct fetch *f = (struct fetch *)((char *)mail - offsetof(struct fetch, give));
    size_t n = WHOLE - f->sent < 70000 ? (size_t)(WHOLE - f->sent) : 70000;
    char *bytes = malloc(n);
    for (size_t i = 0; i < n; i++)
        bytes[i] = pattern(f->sent + i);
    f->sent += n;
    client_give(f->client, f->id, span_of(bytes, n));
    free(bytes);
    atomic_fetch_sub(&f->mails, 1);
}

static void on_wanted(void *ctx)
{
    struct fetch *f = ctx;
    atomic_fetch_add(&f->mails, 1);
    loop_post(f->bed->loop, &f->give, on_body_piece);
}

static void on_done(const struct client_answer *answer, void *ctx)
{
    struct fetch *f = ctx;
    f->answer = *answer;
    f->status = answer->head ? answer->head->status : 0;
    snprintf(f->body, sizeof(f->body), "%.*s", (int)answer->body.n,
             answer->body.n ? answer->body.p : "");
    sem_post(&f->done);
}

static void on_fetch(struct mail *mail)
{
    struct fetch *f = (struct fetch *)mail;
    bool up = f->method == HTTP_POST;
    const struct client_request request = {.method = f->method,
                                           .url = &f->url,
                                           .body_length = up ? WHOLE : 0,
                                           .more = up ? on_wanted : NULL,
                                           .data = up ? NULL : on_data,
                                           .answer_max = WHOLE,
                                           .done = on_done,
                                           .ctx = f};
    assert_int_equal(client_send(f->client, &request, &f->id), 0);
}

static void fetch(struct bed *bed, struct client *client, struct fetch *f, enum http_method method,
                  const char *path, uint64_t fail_at)
{
    char url[64];
    memset(f, 0, sizeof(*f));
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", server_port(bed->server), path);
    assert_int_equal(client_url_parse(span_str(url), &f->url), 0);
    f->bed = bed;
    f->client = client;
    f->method = method;
    f->right = true;
    f->fail_at = fail_at;
    sem_init(&f->done, 0, 0);
    loop_post(bed->loop, &f->mail, on_fetch);
    sem_wait(&f->done);
    sem_destroy(&f->done);
    while (atomic_load(&f->mails) > 0)
        sleep_ms(1);
}

struct making {
    struct mail mail;
    struct bed *bed;
    struct client *client;
    sem_t done;
};

static void on_make(struct mail *mail)
{
    struct making *m = (struct making *)mail;
    const struct client_config config = {.answer_ms = 60000};
    if (m->client)
        client_free(m->client);
    else
        assert_int_equal(client_new(m->bed->loop, &config, &m->client), 0);
    sem_post(&m->done);
}

static void client_both_ways(void **state)
{
    struct bed *bed = bed_new(NULL);
    struct making m = {.bed = bed};
    struct fetch f;
    (void)state;
    sem_init(&m.done, 0, 0);
    loop_post(bed->loop, &m.mail, on_make);
    sem_wait(&m.done);
    for (int i = 0; i < 2; i++) { /* the second time on the connection of the first */
        fetch(bed, m.client, &f, HTTP_POST, "/take", 0);
        assert_int_equal(f.answer.error, 0);
        assert_string_equal(f.body, "8388625 right");
        fetch(bed, m.client, &f, HTTP_GET, "/give", 0);
        assert_int_equal(f.answer.error, 0);
        assert_int_equal(f.got, WHOLE);
        assert_true(f.right);
    }
    fetch(bed, m.client, &f, HTTP_POST, "/early", 0);
    assert_int_equal(f.answer.error, 0);
    assert_int_equal(f.status, 413);
    fetch(bed, m.client, &f, HTTP_GET, "/cut", 0);
    assert_int_not_equal(f.answer.error, 0);
    assert_true(f.got <= 250000);
    fetch(bed, m.client, &f, HTTP_GET, "/give", 1000000);
    assert_int_equal(f.answer.error, SLUIS_EFULL);
    assert_true(f.got < 2000000);
    fetch(bed, m.client, &f, HTTP_GET, "/give", 0);
    assert_int_equal(f.got, WHOLE);
    loop_post(bed->loop, &m.mail, on_make);
    sem_wait(&m.done);
    sem_destroy(&m.done);
    bed_free(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(body_in_pieces),   cmocka_unit_test(refused_halfway),
        cmocka_unit_test(closed_halfway),   cmocka_unit_test(broken_bodies),
        cmocka_unit_test(back_pressure),    cmocka_unit_test(slow_body),
        cmocka_unit_test(answer_in_pieces), cmocka_unit_test(answers_cut),
        cmocka_unit_test(client_both_ways),
    };
    cmocka_set_test_filter(getenv("SLUIS_TEST"));
    return cmocka_run_group_tests_name("net_stream", tests, NULL, NULL);
}

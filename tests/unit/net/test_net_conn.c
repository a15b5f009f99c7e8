/* A connection by itself: nothing is lost and little is held, whatever the sender's haste. */
#include "../../../proxy/net/conn.h"
#include "net_help.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* after the headers that it needs */
#include <cmocka.h>

#define FLOOD (20 * 1000 * 1000)
/* One read of the bufferevent and what OpenSSL had read ahead. */
#define MOST_HELD (48 * 1024)

static struct certs certs;

struct sink {
    struct loop *loop;
    struct conn *conn;
    struct loop_timer *resume;
    int listener;
    size_t total, most, until_pause;
    unsigned char sum;
    enum conn_end how;
};

static void on_ready(void *ctx)
{
    (void)ctx;
}

static void on_readable(void *ctx)
{
    struct sink *s = ctx;
    size_t n = conn_pending(s->conn);
    if (n > s->most)
        s->most = n;
    while (conn_pending(s->conn) > 0) {
        struct span part = conn_peek(s->conn);
        for (size_t i = 0; i < part.n; i++)
            s->sum = (unsigned char)(s->sum * 31 + (unsigned char)part.p[i]);
        s->total += part.n;
        conn_drop(s->conn, part.n);
    }
    if (s->total >= s->until_pause) {
        s->until_pause += 1000 * 1000;
        conn_read(s->conn, false);
        loop_timer_set(s->resume, 3);
    }
}

static void on_resume(void *ctx)
{
    struct sink *s = ctx;
    conn_read(s->conn, true);
}

static void on_ended(void *ctx, enum conn_end how)
{
    struct sink *s = ctx;
    s->how = how;
    loop_stop(s->loop);
}

static const struct conn_events events = {
    .ready = on_ready, .readable = on_readable, .drained = on_ready, .ended = on_ended};

static char flood[FLOOD];

struct source {
    uint16_t port;
    bool tls;
    size_t step;
};

static void *send_flood(void *ctx)
{
    const struct source *source = ctx;
    struct peer_tls tls = {.ca = certs.ca};
    struct peer *p = peer_open(source->port, source->tls ? &tls : NULL);
    for (size_t at = 0; p && at < FLOOD; at += source->step)
        peer_send_n(p, flood + at, source->step < FLOOD - at ? source->step : FLOOD - at);
    peer_close(p);
    return NULL;
}

static void flooded(void **state)
{
    (void)state;
    static const size_t steps[] = {FLOOD, 1000}; /* whole records, and many small ones */
    unsigned char sum = 0;
    for (size_t i = 0; i < FLOOD; i++) {
        flood[i] = (char)(i * 7 + i / 251);
        sum = (unsigned char)(sum * 31 + (unsigned char)flood[i]);
    }
    for (int round = 0; round < 4; round++) {
        struct sink s = {.until_pause = 1000 * 1000};
        struct source source = {.tls = round < 2, .step = steps[round % 2]};
        struct tls_context *tls = NULL;
        struct tls_server_config config = {.certificate = certs.server,
                                           .key_file = certs.server_key};
        struct diag diag;
        pthread_t thread;
        s.listener = listen_local(&source.port);
        if (source.tls)
            assert_int_equal(tls_server_new(&config, &tls, &diag), 0);
        assert_int_equal(loop_new(&s.loop, 0), 0);
        assert_int_equal(loop_timer_new(s.loop, on_resume, &s, &s.resume), 0);
        pthread_create(&thread, NULL, send_flood, &source);
        int fd = accept4(s.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(conn_accept(s.loop, fd, tls, &events, &s, &s.conn), 0);
        assert_int_equal(loop_run(s.loop), 0);
        pthread_join(thread, NULL);
        assert_int_equal(s.how, CONN_END_EOF);
        assert_int_equal(s.total, FLOOD);
        assert_int_equal(s.sum, sum);
        assert_in_range(s.most, 1, MOST_HELD);
        conn_free(s.conn);
        loop_timer_free(s.resume);
        tls_unref(tls);
        loop_free(s.loop);
        close(s.listener);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(flooded)};
    cmocka_set_test_filter(getenv("SLUIS_TEST"));
    return cmocka_run_group_tests_name("net_conn", tests, setup, teardown);
}

/*
 * The tables of requests against the server on a real socket. Behind each bad request comes a good
 * one on the same connection: it must never reach a handler, the answer must be the one that the
 * reason demands, and the connection must end. Behind each good request the second one must be
 * served, which shows that this test would see it.
 */
#include "http_vectors.h"
#include "net_help.h"
#include "sluis/net/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
/* after the headers that it needs */
#include <cmocka.h>

#define HIDDEN "GET /hidden HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
#define ANSWERS_MAX (64 * 1024)

struct bed {
    struct loop *loop;
    struct server *server;
    atomic_uint requests, hidden;
};

static void on_request(struct exchange *ex, void *ctx)
{
    struct bed *bed = ctx;
    atomic_fetch_add(&bed->requests, 1);
    if (span_is(exchange_head(ex)->path, "/hidden"))
        atomic_fetch_add(&bed->hidden, 1);
    exchange_answer(ex, 200, SPAN("text/plain"), SPAN("ok"));
}

static int bed_open(void **state)
{
    struct bed *bed = calloc(1, sizeof(*bed));
    struct diag diag = {0};
    struct server_config config = {.name = "test",
                                   .address = "127.0.0.1:0",
                                   .kind = SERVER_PLAIN,
                                   .limits = {.body_max = HTTP_RUN_BODY_MAX},
                                   .on_request = on_request,
                                   .ctx = bed};
    assert_int_equal(loop_new(&bed->loop, 0), 0);
    assert_int_equal(server_new(bed->loop, &config, &bed->server, &diag), 0);
    assert_int_equal(loop_start(bed->loop), 0);
    *state = bed;
    return 0;
}

static int bed_close(void **state)
{
    struct bed *bed = *state;
    loop_stop(bed->loop);
    loop_join(bed->loop);
    server_free(bed->server);
    loop_free(bed->loop);
    free(bed);
    return 0;
}

/* Sends the vector and the hidden request on one connection and reads to its end. */
static bool talk(struct bed *bed, const struct http_vector *v, char *out)
{
    atomic_store(&bed->requests, 0);
    atomic_store(&bed->hidden, 0);
    struct peer *p = peer_open(server_port(bed->server), NULL);
    assert_non_null(p);
    /* the server may refuse and end before all is written: what counts is what it answered */
    if (peer_send_n(p, v->bytes.p, v->bytes.n))
        peer_send(p, HIDDEN);
    bool ended = peer_read_end(p, out, ANSWERS_MAX);
    peer_close(p);
    return ended;
}

/* Status of the first answer that is not an interim one, and how many of those there are. */
static unsigned answers(const char *text, unsigned *count)
{
    unsigned first = 0;
    *count = 0;
    for (const char *at = text; (at = strstr(at, "HTTP/1.1 ")) != NULL; at += 9) {
        unsigned status = (unsigned)strtoul(at + 9, NULL, 10);
        if (status >= 200 && (*count)++ == 0)
            first = status;
    }
    return first;
}

static enum http_reason reason_of(struct span word)
{
    for (unsigned r = 1; r < HTTP_REASON_COUNT; r++)
        if (span_is(word, http_reason_word((enum http_reason)r)))
            return (enum http_reason)r;
    return HTTP_BAD_NONE;
}

static void test_bad(void **state)
{
    struct bed *bed = *state;
    static char text[ANSWERS_MAX];
    struct http_vectors vectors;
    http_vectors_load(&vectors, SLUIS_SOURCE_DIR "/tests/unit/net/requests_bad.txt");
    unsigned failed = 0;
    for (unsigned i = 0; i < vectors.count; i++) {
        const struct http_vector *v = &vectors.list[i];
        enum http_reason reason = reason_of(span_from(v->expect, strlen("refused ")));
        bool ended = talk(bed, v, text);
        unsigned count, status = answers(text, &count);
        if (!ended || count != 1 || status != http_reason_status(reason) ||
            atomic_load(&bed->requests) != 0) {
            print_error("line %u: %.*s: status %u, %u answers, %u requests, %s\n", v->line,
                        (int)v->name.n, v->name.p, status, count, atomic_load(&bed->requests),
                        ended ? "ended" : "not ended");
            failed++;
        }
    }
    print_message("%u bad requests on a socket, %u wrong\n", vectors.count, failed);
    assert_true(vectors.count >= 120);
    assert_int_equal(failed, 0);
    http_vectors_free(&vectors);
}

static void test_good(void **state)
{
    struct bed *bed = *state;
    static char text[ANSWERS_MAX];
    struct http_vectors vectors;
    http_vectors_load(&vectors, SLUIS_SOURCE_DIR "/tests/unit/net/requests_good.txt");
    unsigned failed = 0, kept = 0;
    for (unsigned i = 0; i < vectors.count; i++) {
        const struct http_vector *v = &vectors.list[i];
        struct http_run run;
        http_run_request(&run, buffer_span(&v->bytes), HTTP_UNCUT);
        bool keep = span_is(http_run_fact(&run, SPAN("keep")), "1");
        bool second = run.used < v->bytes.n; /* the vector holds another request */
        http_run_free(&run);
        bool ended = talk(bed, v, text);
        unsigned count, status = answers(text, &count);
        unsigned due = 1u + (keep && second ? 1u : 0u) + (keep ? 1u : 0u);
        if (!ended || status != 200 || count != due || atomic_load(&bed->requests) != due ||
            atomic_load(&bed->hidden) != keep) {
            print_error("line %u: %.*s: status %u, %u answers of %u, %u requests, %s\n", v->line,
                        (int)v->name.n, v->name.p, status, count, due, atomic_load(&bed->requests),
                        ended ? "ended" : "not ended");
            failed++;
        }
        kept += keep ? 1u : 0u;
    }
    print_message("%u good requests on a socket, %u kept alive, %u wrong\n", vectors.count, kept,
                  failed);
    assert_true(vectors.count >= 40 && kept >= 30);
    assert_int_equal(failed, 0);
    http_vectors_free(&vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bad, bed_open, bed_close),
        cmocka_unit_test_setup_teardown(test_good, bed_open, bed_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

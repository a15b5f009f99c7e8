/* CPU of the HTTP part of the intake: head and body of a webhook POST with 8 fields and a body of
 * 700 bytes, whole and in two pieces, and the head of an answer. Usage: bench_http [rounds]. Run a
 * release build on an idle core. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sluis/net/http.h"

#define BODY_BYTES 700

static const char head_text[] =
    "POST /webhook/gemeente HTTP/1.1\r\n"
    "Host: hooks.gemeente.example\r\n"
    "Accept: */*\r\n"
    "Accept-Encoding: deflate, gzip\r\n"
    "User-Agent: facebookexternalua\r\n"
    "X-Hub-Signature: sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709\r\n"
    "X-Hub-Signature-256: "
    "sha256=6c2cbee0c3e4b9b0c1a2b9f0f7d3a5b4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8\r\n"
    "Content-Type: application/json\r\n"
    "Content-Length: 700\r\n\r\n";

static const char answer_text[] = "HTTP/1.1 200 OK\r\n"
                                  "Date: Sat, 21 Nov 2026 22:30:05 GMT\r\n"
                                  "Content-Type: text/plain; charset=utf-8\r\n"
                                  "X-Request-Id: 8f14e45f-ceea-467f-a0e6-1b0c1d2e3f40\r\n"
                                  "X-Runtime: 0.012345\r\n"
                                  "Connection: keep-alive\r\n"
                                  "Content-Length: 0\r\n\r\n";

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* One request, the first `cut` bytes before the rest. */
static int take_request(struct span bytes, size_t cut)
{
    struct http_request_machine m;
    http_request_machine_init(&m);
    if (cut && http_request_head(&m, span_sub(bytes, 0, cut)) != HTTP_NEED_MORE)
        return 1;
    if (http_request_head(&m, bytes) != HTTP_DONE)
        return 1;
    struct http_body_machine body;
    struct span data;
    size_t used;
    http_body_init(&body, &m.head, 3 * 1024 * 1024);
    return http_body_feed(&body, span_from(bytes, m.head_len), &data, &used) != HTTP_DONE ||
           data.n != BODY_BYTES;
}

static int take_answer(struct span bytes)
{
    struct http_answer_machine m;
    size_t skip;
    http_answer_machine_init(&m, false, true);
    return http_answer_head(&m, bytes, &skip) != HTTP_DONE || m.head.status != 200;
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 1000000;
    char bytes[sizeof(head_text) - 1 + BODY_BYTES];
    memset(bytes, 'x', sizeof(bytes));
    memcpy(bytes, head_text, sizeof(head_text) - 1);
    struct span request = span_of(bytes, sizeof(bytes));
    struct span answer = span_str(answer_text);
    int failed = 0;
    double start = now_us();
    for (long i = 0; i < rounds; i++)
        failed |= take_request(request, 0);
    double whole = (now_us() - start) / (double)rounds;
    start = now_us();
    for (long i = 0; i < rounds; i++)
        failed |= take_request(request, 150);
    double split = (now_us() - start) / (double)rounds;
    start = now_us();
    for (long i = 0; i < rounds; i++)
        failed |= take_answer(answer);
    double answer_us = (now_us() - start) / (double)rounds;
    printf("POST of %zu + %d bytes, 8 fields: %.3f us whole, %.3f us in two pieces; answer of %zu "
           "bytes, 6 fields: %.3f us\n",
           sizeof(head_text) - 1, BODY_BYTES, whole, split, answer.n, answer_us);
    return failed;
}

/*
 * Reads requests on standard input, each as a length (4 bytes, big-endian) and the bytes of a
 * connection, and prints one line for each: how many messages the codec takes from the connection,
 * and what ended it. For desync.py.
 *
 *     taken=1 end=ok methods=POST
 *     taken=0 end=length_twice methods=
 */
#include "http_run.h"

#include "sluis/base/encode.h"

#include <stdio.h>
#include <stdlib.h>

#define CONNECTION_MAX (4 * 1024 * 1024)
#define METHODS_MAX 1000

static void probe(struct span bytes)
{
    unsigned taken = 0;
    const char *end = "ok";
    struct buffer methods;
    buffer_init(&methods, METHODS_MAX);
    while (bytes.n) {
        struct http_run run;
        http_run_request(&run, bytes, HTTP_UNCUT);
        if (run.verdict == HTTP_RUN_OK) {
            taken++;
            bytes = span_from(bytes, run.used);
            buffer_add(&methods, http_run_fact(&run, SPAN("method")));
            buffer_add(&methods, SPAN(","));
        } else {
            end = run.verdict == HTTP_RUN_REFUSED ? http_reason_word(run.reason)
                  : run.head_done                 ? "body_incomplete"
                                                  : "head_incomplete";
            bytes = SPAN_EMPTY;
        }
        http_run_free(&run);
    }
    printf("taken=%u end=%s methods=%.*s\n", taken, end, (int)methods.n,
           methods.p ? methods.p : "");
    buffer_free(&methods);
}

int main(void)
{
    uint8_t length[4];
    while (fread(length, 1, sizeof(length), stdin) == sizeof(length)) {
        size_t n = be32_get(length);
        char *bytes = n <= CONNECTION_MAX ? malloc(n + 1) : NULL;
        if (!bytes || fread(bytes, 1, n, stdin) != n) {
            fprintf(stderr, "http-probe: cut off or too long\n");
            return 2;
        }
        probe(span_of(bytes, n));
        free(bytes);
    }
    return 0;
}

/*
 * What a request costs in the server alone: one loop, TLS (or plain), 200 to whatever comes, until
 * SIGINT; then the CPU per request.
 *
 *     bench_server 8443 cert.pem key.pem        # TLS
 *     bench_server 8080                         # plain
 *     wrk -t1 -c64 -d10s -s post.lua https://127.0.0.1:8443/webhook/a
 */
#include "sluis/net/server.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static void on_request(struct exchange *ex, void *ctx)
{
    ++*(unsigned long *)ctx;
    exchange_answer(ex, 200, SPAN("text/plain"), SPAN("ok\n"));
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    unsigned long requests = 0;
    struct loop *loop = NULL;
    struct server *server = NULL;
    struct diag diag = {0};
    char address[64], line[1024];
    int signal_number;
    sigset_t stop;
    if (argc != 2 && argc != 4) {
        fprintf(stderr, "usage: bench_server PORT [CERTIFICATE KEY]\n");
        return 2;
    }
    snprintf(address, sizeof(address), "127.0.0.1:%s", argv[1]);
    struct server_config config = {.name = "bench",
                                   .address = address,
                                   .kind = argc == 4 ? SERVER_TLS : SERVER_PLAIN,
                                   .on_request = on_request,
                                   .ctx = &requests};
    if (argc == 4) {
        struct tls_server_config tls = {.certificate = argv[2], .key_file = argv[3]};
        if (tls_server_new(&tls, &config.tls, &diag))
            goto fail;
    }
    if (loop_new(&loop, 0) || server_new(loop, &config, &server, &diag))
        goto fail;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    if (loop_start(loop))
        goto fail;
    sigwait(&stop, &signal_number);
    loop_stop(loop);
    loop_join(loop);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double user = seconds(usage.ru_utime), sys = seconds(usage.ru_stime);
    printf("requests %lu  us/request %.2f  (user %.2f, system %.2f)\n", requests,
           requests ? (user + sys) * 1e6 / (double)requests : 0.0,
           requests ? user * 1e6 / (double)requests : 0.0,
           requests ? sys * 1e6 / (double)requests : 0.0);
    server_free(server);
    tls_unref(config.tls);
    loop_free(loop);
    return 0;
fail:
    fprintf(stderr, "%s\n", diag_line(&diag, line, sizeof(line)));
    return 1;
}

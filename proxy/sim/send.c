/* sluis-sim send: sends conversation files as Meta would; sluis-sim sign: one signature. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "options.h"
#include "record.h"
#include "sender.h"
#include "tls.h"

static void on_done(void *ctx)
{
    struct {
        struct event_base *base;
        struct sender *sender;
    } *both = ctx;
    if (sender_waiting(both->sender) == 0)
        event_base_loopbreak(both->base);
}

static int send_files(struct sender_options *options, uint64_t seed, int argc, char **argv)
{
    struct {
        struct event_base *base;
        struct sender *sender;
    } both = {event_base_new(), NULL};
    int result = 1;
    if (!both.base || !(both.sender = sender_new(both.base, options)))
        goto out;
    for (int i = 0; i < argc; i++) {
        struct script script;
        int bad = script_load(argv[i], seed + ((uint64_t)i << 16), &script);
        for (size_t k = 0; k < script.count && !bad; k++) {
            const struct post *p = &script.posts[k];
            bad = sender_post(both.sender, p->contact, span_of(p->body, p->n), p->pause_ms,
                              p->expect);
        }
        script_free(&script);
        if (bad)
            goto out;
    }
    sender_on_done(both.sender, on_done, &both);
    if (sender_waiting(both.sender))
        event_base_dispatch(both.base);
    printf("posts: %zu as expected, %zu not\n", sender_delivered(both.sender),
           sender_failed(both.sender));
    result = sender_failed(both.sender) ? 1 : 0;
out:
    sender_free(both.sender);
    if (both.base)
        event_base_free(both.base);
    return result;
}

static int run_send(int argc, char **argv)
{
    const char *url = NULL, *secret_file = NULL, *ca = NULL, *cert = NULL, *key = NULL;
    const char *record_file = NULL, *signature = NULL;
    double retry = 500, tries = 20, seed = (double)time(NULL);
    const struct option_row rows[] = {
        {"--url", "URL", "the webhook, https://…/webhook/APP", &url, NULL, NULL},
        {"--secret", "FILE", "the app's secret", &secret_file, NULL, NULL},
        {"--ca", "PEM", "verifies the URL", &ca, NULL, NULL},
        {"--client-cert", "PEM", "Meta's client certificate", &cert, NULL, NULL},
        {"--client-key", "PEM", "its key", &key, NULL, NULL},
        {"--record", "FILE", "JSONL of each try", &record_file, NULL, NULL},
        {"--signature", "TEXT", "sent instead of the right one", &signature, NULL, NULL},
        {"--retry", "MS", "first pause after a refusal", NULL, &retry, NULL},
        {"--tries", "N", "gives up after", NULL, &tries, NULL},
        {"--seed", "N", "makes the message ids", NULL, &seed, NULL},
    };
    int at = options_parse(&command_send, rows, sizeof rows / sizeof *rows, argc, argv);
    if (at <= 0)
        return at == 0 ? 0 : EXIT_USAGE;
    if (!url || !secret_file || at == argc) {
        fprintf(stderr, "sluis-sim send: --url, --secret and a file are needed\n");
        return EXIT_USAGE;
    }
    struct target target;
    SSL_CTX *tls = ca ? tls_client(ca, cert, key) : NULL;
    char *secret = secret_read(secret_file);
    int result = 1;
    FILE *record = record_file ? record_open(record_file) : NULL;
    if ((ca && !tls) || !secret || (record_file && !record) || target_parse(url, tls, &target) < 0)
        goto out;
    struct sender_options options = {.target = &target,
                                     .secret = secret,
                                     .record = record,
                                     .retry_first_ms = (unsigned)retry,
                                     .tries = (unsigned)tries,
                                     .signature = signature};
    result = send_files(&options, (uint64_t)seed << 20, argc - at, argv + at);
out:
    if (record)
        fclose(record);
    free(secret);
    SSL_CTX_free(tls);
    return result;
}

static int run_sign(int argc, char **argv)
{
    const char *secret_file = NULL;
    const struct option_row rows[] = {
        {"--secret", "FILE", "the secret", &secret_file, NULL, NULL},
    };
    int at = options_parse(&command_sign, rows, 1, argc, argv);
    if (at <= 0)
        return at == 0 ? 0 : EXIT_USAGE;
    char *secret = secret_file ? secret_read(secret_file) : NULL;
    char *body = malloc(HTTP_MESSAGE_MAX), text[SIGNATURE_SIZE];
    if (!secret || !body) {
        free(secret);
        free(body);
        return secret_file ? 1 : EXIT_USAGE;
    }
    signature_make(secret, span_of(body, fread(body, 1, HTTP_MESSAGE_MAX, stdin)), text);
    printf("X-Hub-Signature-256: %s\n", text);
    free(secret);
    free(body);
    return 0;
}

const struct command command_send = {
    "send", "FILE.sim…",
    "sends conversations from files, signed, with retries, as Meta does\n\n"
    "The format of the files stands in proxy/sim/message.h; examples in tests/scenario.\n",
    run_send};
const struct command command_sign = {"sign", "<BODY",
                                     "prints the signature header of standard input\n", run_sign};

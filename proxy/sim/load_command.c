/* sluis-sim load: options and report of the load generator. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <jansson.h>

#include "load.h"
#include "options.h"
#include "tls.h"

static int write_sent(const struct load_options *o, const struct load_result *r, const char *file)
{
    FILE *f = fopen(file, "ae");
    if (!f) {
        fprintf(stderr, "sluis-sim: cannot write %s\n", file);
        return -1;
    }
    for (size_t k = 0; k < r->item_count; k++) {
        const struct load_item *item = &r->items[k];
        char id[96], phone[24];
        load_id(o, k, item->contact, id, phone);
        fprintf(f, "%s %s %llu %llu %u %u\n", id, phone, (unsigned long long)item->first_us,
                (unsigned long long)item->ok_us, item->status, item->tries);
    }
    return fclose(f) == 0 ? 0 : -1;
}

static json_t *report(const struct load_result *r)
{
    const struct histogram *h = &r->latency;
    json_t *by = json_object();
    char status[8];
    for (unsigned i = 0; i < LOAD_STATUS_MAX; i++) {
        snprintf(status, sizeof status, "%u", i);
        if (r->by_status[i])
            json_object_set_new(by, status, json_integer((json_int_t)r->by_status[i]));
    }
    return json_pack("{sI sI sf sf s{sf sf sf sf sf} so sI sf sI sI sI}", "messages",
                     (json_int_t)r->item_count, "requests", (json_int_t)r->sent, "seconds",
                     r->seconds, "ok_per_s", r->seconds > 0 ? (double)h->count / r->seconds : 0.0,
                     "latency_ms", "p50", (double)histogram_at(h, 0.5) / 1e3, "p90",
                     (double)histogram_at(h, 0.9) / 1e3, "p99", (double)histogram_at(h, 0.99) / 1e3,
                     "p999", (double)histogram_at(h, 0.999) / 1e3, "max", (double)h->max / 1e3,
                     "by_status", by, "no_retry_after", (json_int_t)r->late_retry_after,
                     "cpu_us_per_request", r->sent ? (double)r->cpu_us / (double)r->sent : 0.0,
                     "rss_kib", (json_int_t)r->rss_kib, "own_kib", (json_int_t)r->own_kib,
                     "peak_kib", (json_int_t)r->peak_kib);
}

struct load_settings {
    const char *url, *secret, *ca, *cert, *key, *sent, *phone, *waba;
    double rate, seconds, connections, contacts, size, timeout, drain, linger, pid, seed, p99;
    bool retry, hold;
};

static int load(const struct load_settings *s, const struct load_options *options)
{
    struct load_result result;
    int code = 1;
    struct event_config *config = event_config_new();
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    if (s->hold) {
        unsigned standing = load_hold(base, options, &result);
        printf("{\"standing\": %u, \"rss_kib\": %llu, \"own_kib\": %llu}\n", standing,
               (unsigned long long)result.rss_kib, (unsigned long long)result.own_kib);
        code = standing == options->connections ? 0 : 1;
    } else if (load_run(base, options, &result) == 0) {
        json_t *all = report(&result);
        json_dumpf(all, stdout, JSON_REAL_PRECISION(5));
        printf("\n");
        json_decref(all);
        code = s->sent && write_sent(options, &result, s->sent) < 0 ? 1 : 0;
        if (s->p99 > 0 && ((double)histogram_at(&result.latency, 0.99) > s->p99 * 1e3 ||
                           result.latency.count != result.item_count))
            code = 1;
    }
    free(result.items);
    event_base_free(base);
    return code;
}

static int run(int argc, char **argv)
{
    struct load_settings s = {.phone = "106540352242922",
                              .waba = "102290129340398",
                              .rate = 1000,
                              .seconds = 10,
                              .connections = 256,
                              .contacts = 1000,
                              .size = 700,
                              .timeout = 30,
                              .drain = 30,
                              .seed = (double)(time(NULL) & 0xffffff)};
    const struct option_row rows[] = {
        {"--url", "URL", "the webhook, https://…/webhook/APP", &s.url, NULL, NULL},
        {"--secret", "FILE", "the app's secret", &s.secret, NULL, NULL},
        {"--ca", "PEM", "verifies the URL", &s.ca, NULL, NULL},
        {"--client-cert", "PEM", "Meta's client certificate", &s.cert, NULL, NULL},
        {"--client-key", "PEM", "its key", &s.key, NULL, NULL},
        {"--phone-number-id", "ID", "the channel", &s.phone, NULL, NULL},
        {"--waba", "ID", "its account", &s.waba, NULL, NULL},
        {"--rate", "N", "messages a second; 0: as fast as answers come", NULL, &s.rate, NULL},
        {"--seconds", "N", "how long", NULL, &s.seconds, NULL},
        {"--connections", "N", "kept alive", NULL, &s.connections, NULL},
        {"--contacts", "N", "distinct people", NULL, &s.contacts, NULL},
        {"--size", "BYTES", "of a body", NULL, &s.size, NULL},
        {"--timeout", "S", "for one answer", NULL, &s.timeout, NULL},
        {"--drain", "S", "waits for the last answers", NULL, &s.drain, NULL},
        {"--linger", "S", "before CPU is read: deliveries after the last 200", NULL, &s.linger,
         NULL},
        {"--seed", "N", "makes the message ids", NULL, &s.seed, NULL},
        {"--retry", NULL, "sends again what is not answered 200", NULL, NULL, &s.retry},
        {"--hold", NULL, "only holds connections idle for --seconds, after a GET of the URL each",
         NULL, NULL, &s.hold},
        {"--pid", "PID", "measures this process' CPU and memory", NULL, &s.pid, NULL},
        {"--sent", "FILE", "for sluis-sim check", &s.sent, NULL, NULL},
        {"--p99", "MS", "exit 1 unless all are 200 and p99 is at most this", NULL, &s.p99, NULL},
    };
    int at = options_parse(&command_load, rows, sizeof rows / sizeof *rows, argc, argv);
    if (at <= 0)
        return at == 0 ? 0 : EXIT_USAGE;
    if (!s.url || !s.secret || s.connections < 1 || s.contacts < 1 || s.size > 60000) {
        fprintf(stderr, "sluis-sim load: --url and --secret are needed; sizes up to 60000\n");
        return EXIT_USAGE;
    }
    struct target target;
    SSL_CTX *tls = s.ca ? tls_client(s.ca, s.cert, s.key) : NULL;
    char *secret = secret_read(s.secret);
    int code = 1;
    if (secret && (!s.ca || tls) && target_parse(s.url, tls, &target) == 0) {
        struct load_options options = {.target = &target,
                                       .secret = secret,
                                       .phone_number_id = s.phone,
                                       .waba = s.waba,
                                       .rate = s.rate,
                                       .seconds = s.seconds,
                                       .drain_s = s.drain,
                                       .linger_s = s.linger,
                                       .connections = (unsigned)s.connections,
                                       .contacts = (unsigned)s.contacts,
                                       .size = (unsigned)s.size,
                                       .timeout_s = (unsigned)s.timeout,
                                       .retry = s.retry,
                                       .pid = (long)s.pid,
                                       .seed = (uint64_t)s.seed};
        code = load(&s, &options);
    }
    free(secret);
    SSL_CTX_free(tls);
    return code;
}

const struct command command_load = {
    "load", "",
    "open-loop load: latency from the intended moment to the 200\n\n"
    "Prints one JSON object. Example: sluis-sim load --url "
    "https://localhost:8443/webhook/gemeente\n"
    "  --secret app.secret --ca ca.pem --rate 4000 --seconds 60 --sent sent.txt\n",
    run};

/*
 * The load generator. Open loop: message k is due at start + k / rate whatever happens before it,
 * and its latency counts from that moment, so a stall of the gateway shows in full ("no coordinated
 * omission"). With rate 0 it is a closed loop: each connection sends as soon as it has its answer.
 *
 * Every message has an id of its own and the next of `contacts` people; what was sent, when, and
 * what came back is kept and written for `sluis-sim check`.
 */
#ifndef SIM_LOAD_H
#define SIM_LOAD_H

#include "client.h"
#include "histogram.h"

#define LOAD_STATUS_MAX 600

struct load_options {
    const struct target *target;
    const char *secret, *phone_number_id, *waba;
    double rate, seconds, drain_s, linger_s; /* linger: work that goes on after the last 200 */
    unsigned connections, contacts, size, timeout_s;
    bool retry; /* what is not 200 is sent again, as Meta does */
    long pid;   /* whose CPU and memory is measured, 0: nobody's */
    uint64_t seed;
};

struct load_item {
    uint64_t intended_us, first_us, ok_us; /* 0: not yet */
    uint32_t contact;
    uint16_t status, tries;
};

struct load_result {
    struct histogram latency;            /* of 200s, from the intended moment */
    uint64_t by_status[LOAD_STATUS_MAX]; /* [0]: no answer */
    uint64_t sent, late_retry_after;     /* 503s that lacked Retry-After */
    double seconds;                      /* from the first intended moment to the last answer */
    uint64_t cpu_us, rss_kib, own_kib, peak_kib;
    struct load_item *items;
    size_t item_count;
};

/* 0, or -1. The caller frees result->items. */
int load_run(struct event_base *base, const struct load_options *options, struct load_result *out);
/* Opens `connections`, sends one GET of the URL on each and holds them idle for `seconds`; how many
 * still stand is returned. */
unsigned load_hold(struct event_base *base, const struct load_options *options,
                   struct load_result *out);

/* The id of message k and the number of its contact. */
void load_id(const struct load_options *options, size_t k, uint32_t contact, char id[96],
             char phone[24]);

#endif

/* Nanoseconds per decision, and how long a policy takes to load. Not a test: bench-policy. */
#include "sluis/base/buffer.h"
#include "sluis/base/clock.h"
#include "sluis/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 2000000
#define LOADS 20

/* CPU time of this thread: what else the machine does, does not count. */
static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static struct policy *load(struct buffer *text)
{
    struct diag diag = {0};
    struct policy *policy = NULL;
    if (policy_load(buffer_span(text), "bench", &policy, &diag) != 0) {
        fprintf(stderr, "%u:%u: %s\n", diag.line, diag.column, diag.text);
        exit(1);
    }
    return policy;
}

/* `n` rules of which only the last holds for the message that is asked about: every condition of
 * all the others is looked at. */
static void decisions(unsigned n)
{
    struct buffer text;
    buffer_init(&text, 1 << 20);
    buffer_addf(&text,
                "policy: 1\nname: bench\nprofiles:\n  p:\n    default: redact\n    rules:\n");
    for (unsigned i = 1; i < n; i++)
        buffer_addf(&text, "      - {when: {channel: kanaal%u, direction: in}, iban: hash}\n", i);
    buffer_addf(&text, "      - {when: {consent: missing}, iban: keep}\noriginals:\n");
    for (unsigned i = 1; i < n; i++)
        buffer_addf(&text, "  - {channel: kanaal%u, found: bsn, keep: 1d}\n", i);
    buffer_addf(&text, "  - {keep: 2d}\noutbound:\n  rules:\n");
    for (unsigned i = 1; i < n; i++)
        buffer_addf(&text, "    - {when: {channel: kanaal%u, kind: text}, found: {iban: refuse}}\n",
                    i);
    buffer_addf(&text, "    - {when: {consent: missing}, found: {iban: pass}}\n");
    struct policy *policy = load(&text);
    const struct profile *profile = policy_profile(policy, "p");
    struct retention_facts facts = {.found = UINT64_C(1) << DETECT_BSN | UINT64_C(1) << DETECT_IBAN,
                                    .channel = "burgerzaken",
                                    .at_ms = clock_wall_ms()};
    unsigned rounds = ROUNDS / n * 10 / 10, sum = 0;
    int64_t start = cpu_us();
    for (unsigned i = 0; i < rounds; i++)
        sum += profile_rule_for(profile, &facts, DETECT_IBAN).action;
    int64_t masked = cpu_us() - start;
    start = cpu_us();
    for (unsigned i = 0; i < rounds; i++)
        sum += (unsigned)policy_retention(policy, RETENTION_ORIGINAL, &facts).keep_s;
    int64_t kept = cpu_us() - start;
    start = cpu_us();
    for (unsigned i = 0; i < rounds; i++)
        sum += policy_outbound_for(policy, NULL, &facts, DETECT_IBAN);
    int64_t sent = cpu_us() - start;
    printf(
        "%5u rules: %6.0f ns per masking decision, %6.0f per retention, %6.0f per sending (%u)\n",
        n, 1000.0 * (double)masked / rounds, 1000.0 * (double)kept / rounds,
        1000.0 * (double)sent / rounds, sum & 1);
    policy_unref(policy);
    buffer_free(&text);
}

static void loading(unsigned recognisers, unsigned patterns)
{
    struct buffer text;
    buffer_init(&text, 1 << 20);
    buffer_addf(&text, "policy: 1\nname: bench\nrecognisers:\n");
    for (unsigned i = 0; i < recognisers; i++) {
        buffer_addf(&text, "  - {name: soort%u, context: [nummer%u], patterns: [", i, i);
        for (unsigned p = 0; p < patterns; p++)
            buffer_addf(&text, "%s'\\bK%u[0-9]{%u}\\b'", p ? ", " : "", i, 5 + p);
        buffer_addf(&text, "]}\n");
    }
    int64_t start = cpu_us();
    for (unsigned i = 0; i < LOADS; i++)
        policy_unref(load(&text));
    printf("%5u recognisers, %u patterns: %.1f ms to load\n", recognisers, recognisers * patterns,
           (double)(cpu_us() - start) / 1000.0 / LOADS);
    buffer_free(&text);
}

int main(void)
{
    decisions(1);
    decisions(10);
    decisions(100);
    decisions(1000);
    loading(1, 1);
    loading(32, 1);
    loading(32, 6);
    loading(25, 8);
    return 0;
}

/* Cost of a leaf; build the target bench-audit with the release preset and run it. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sluis/audit.h"

int main(void)
{
    enum { N = 500000 };
    const struct audit_event event = {.at_ms = 1795300205123,
                                      .action = AUDIT_DELIVER_INTENT,
                                      .actor = "meta",
                                      .channel = "burgerzaken",
                                      .route = "burgerzaken/webcare",
                                      .activity = "klantvragen-whatsapp",
                                      .object = 1234567,
                                      .subject = 0xfedcba9876543210,
                                      .masked = 3,
                                      .policy_hash = "0123456789abcdef",
                                      .outcome = "accepted"};
    struct buffer out;
    struct timespec start, end;
    uint8_t hash[32];
    buffer_init(&out, 4096);
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < N; i++) {
        struct audit_event each = event;
        each.at_ms += i / 4; /* 4,000 a second */
        out.n = 0;
        if (audit_leaf(&each, &out, hash) != 0)
            return 1;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("leaf of %zu bytes: %.2f us\n", out.n,
           ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) /
               1e3 / N);
    buffer_free(&out);
    return 0;
}

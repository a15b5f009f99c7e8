/* Refusals to nobody known: counted, and one leaf a minute for each reason that occurred. */
#include "log.h"

#include "sluis/base/clock.h"
#include "sluis/base/log.h"

static const char *const words[AUDIT_REFUSAL_COUNT] = {
    [AUDIT_REFUSAL_TOKEN] = "token",
    [AUDIT_REFUSAL_SIGNATURE] = "signature",
    [AUDIT_REFUSAL_VERIFY_TOKEN] = "verify_token",
    [AUDIT_REFUSAL_APP] = "app",
    [AUDIT_REFUSAL_SIGN_IN] = "sign_in",
};

void audit_refused(struct audit_refusals *refusals, enum audit_refusal why)
{
    if (refusals && (unsigned)why < AUDIT_REFUSAL_COUNT)
        atomic_fetch_add_explicit(&refusals->count[why], 1, memory_order_relaxed);
}

struct write {
    struct store_job job;
    uint64_t count[AUDIT_REFUSAL_COUNT];
    int64_t at_ms;
};

static int put_counts(struct store_txn *txn, struct store_job *job)
{
    const struct write *w = (struct write *)job;
    for (unsigned i = 0; i < AUDIT_REFUSAL_COUNT; i++) {
        const struct audit_event event = {.at_ms = w->at_ms,
                                          .action = AUDIT_REFUSE,
                                          .actor = "unknown",
                                          .count = w->count[i],
                                          .outcome = words[i]};
        if (w->count[i])
            audit_put(txn, &event);
    }
    return store_txn_error(txn);
}

int refusals_write(struct store *store, struct audit_refusals *refusals)
{
    struct write w = {.job = {.priority = STORE_NORMAL, .run = put_counts},
                      .at_ms = clock_wall_ms()};
    bool any = false;
    for (unsigned i = 0; i < AUDIT_REFUSAL_COUNT; i++) {
        w.count[i] = atomic_exchange(&refusals->count[i], 0);
        any = any || w.count[i];
    }
    int r = any ? store_submit_wait(store, &w.job) : 0;
    for (unsigned i = 0; r != 0 && i < AUDIT_REFUSAL_COUNT; i++) /* with the next ones, then */
        atomic_fetch_add(&refusals->count[i], w.count[i]);
    return r;
}

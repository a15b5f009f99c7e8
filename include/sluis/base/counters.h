/*
 * Counters and gauges for /metrics. A room declares its counters in one static table and
 * registers it once at start; counting is one relaxed atomic addition. Names follow Prometheus:
 * sluis_<room>_<what>[_total|_bytes|_seconds].
 *
 *     enum { C_REQUESTS, C_N };
 *     static struct counter table[C_N] = {
 *         [C_REQUESTS] = {"sluis_http_requests_total", "listener=\"meta\"", "Requests read", COUNTER_TOTAL, 0},
 *     };
 *     counters_register(table, C_N);
 *     counter_add(&table[C_REQUESTS], 1);
 *
 * Labels are constants or names from the configuration, never text from outside. The table must
 * outlive the process's use of it. Threads: any.
 */
#ifndef SLUIS_BASE_COUNTERS_H
#define SLUIS_BASE_COUNTERS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "sluis/base/buffer.h"

enum counter_kind { COUNTER_TOTAL, COUNTER_GAUGE };

struct counter {
    const char *name;
    const char *labels; /* "a=\"b\"" or NULL */
    const char *help;
    enum counter_kind kind;
    _Atomic int64_t value;
};

static inline void counter_add(struct counter *c, int64_t n)
{
    atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed);
}
static inline void counter_set(struct counter *c, int64_t v)
{
    atomic_store_explicit(&c->value, v, memory_order_relaxed);
}
static inline int64_t counter_get(const struct counter *c)
{
    return atomic_load_explicit(&c->value, memory_order_relaxed);
}

/* Registering the same table twice is harmless. At most COUNTER_TABLES_MAX tables. */
#define COUNTER_TABLES_MAX 256
int counters_register(struct counter *table, size_t n);
void counters_unregister(struct counter *table);
/* Prometheus text format 0.0.4, all registered tables, one HELP/TYPE per name. */
void counters_write(struct buffer *out);

#endif

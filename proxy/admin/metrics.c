/* /metrics: what rooms count, what the gateway knows of itself, and the process, in Prometheus'
 * names and base units (seconds, bytes). Every name stands in sluis-metrics(7). */
#include "internal.h"

#include "sluis/base/clock.h"
#include "sluis/base/counters.h"
#include "sluis/net/tls.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define ROUTES_SHOWN_MAX 4096

static void head(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct buffer *out, const char *name, const char *type, const char *help,
                uint64_t value)
{
    head(out, name, type, help);
    buffer_addf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void store_metrics(struct admin_request *r, struct buffer *out)
{
    struct store_status s;
    store_status(r->admin->deps.store, &s);
    one(out, "sluis_store_ready", "gauge", "1 when the store takes and gives",
        s.state == STORE_READY);
    one(out, "sluis_store_intake_allowed", "gauge", "1 while the store is less than 90 % full",
        s.intake_allowed);
    one(out, "sluis_store_reads_allowed", "gauge", "1 while the store is less than 95 % full",
        s.reads_allowed);
    one(out, "sluis_store_used_bytes", "gauge", "Bytes of the store in use", s.bytes_used);
    one(out, "sluis_store_size_bytes", "gauge", "Bytes that the store may have", s.bytes_size);
    one(out, "sluis_store_queued_jobs", "gauge", "Jobs waiting for the writer", s.queued);
    one(out, "sluis_store_commits_total", "counter", "Commits", s.commits);
    one(out, "sluis_log_leaves", "gauge", "Leaves of the access log", s.log_size);
}

static void own_metrics(struct admin_request *r, struct buffer *out)
{
    const struct audit_gate *gate = r->admin->deps.gate;
    struct purge_status purge = {.clock_trusted = true};
    if (r->admin->deps.purge)
        purge_status(r->admin->deps.purge, &purge);
    one(out, "sluis_log_refuses", "gauge",
        "1 while the access log takes nothing, so that nothing is shown or sent",
        audit_closed(gate));
    one(out, "sluis_log_owed_leaves", "gauge", "Leaves of what came in meanwhile, not written yet",
        gate ? atomic_load(&gate->owed) : 0);
    one(out, "sluis_clock_trusted", "gauge", "0 while the clock is in doubt: nothing is destroyed",
        purge.clock_trusted);
    one(out, "sluis_purge_last_timestamp_seconds", "gauge",
        "When keys were last destroyed by expiry; 0: not since the start",
        (uint64_t)purge.last_ms / 1000);
    head(out, "sluis_build_info", "gauge", "1; the version of the program");
    buffer_addf(out, "sluis_build_info{version=\"%s\"} 1\n", SLUIS_VERSION);
}

/* Of the files as they are now: those in force since the last reload may be older. */
static void certificate_metrics(const struct config *config, struct buffer *out)
{
    static const char *const names[] = {"meta", "tools", "admin"};
    head(out, "sluis_certificate_expiry_timestamp_seconds", "gauge",
         "Last second of a listener's certificate");
    for (unsigned i = 0; i < CONFIG_LISTENERS; i++) {
        struct diag diag;
        int64_t from_s, until_s;
        if (config->listeners[i].present &&
            tls_certificate_dates(config->listeners[i].certificate, &from_s, &until_s, &diag) == 0)
            buffer_addf(out, "sluis_certificate_expiry_timestamp_seconds{listener=\"%s\"} %lld\n",
                        names[i], (long long)until_s);
    }
}

static void route_metrics(struct admin_request *r, const struct config *config, struct buffer *out)
{
    static const char *const rows[][2] = {
        {"waiting", "Deliveries that wait for their turn or a next try"},
        {"parked", "Deliveries that a person has to look at"},
        {"expired", "Deliveries that outlived their tries or their retention"},
        {"in_flight", "Deliveries under way"},
        {"paused", "1 when the route stands still until a person resumes it"},
        {"awaiting_verdict", "Deliveries that wait for a picture's verdict"}};
    struct deliver_route_status *routes =
        arena_try(r->arena, ROUTES_SHOWN_MAX * sizeof(struct deliver_route_status));
    if (!routes)
        return;
    int n = deliver_status(r->admin->deps.deliver, routes, ROUTES_SHOWN_MAX);
    for (unsigned g = 0; g < sizeof(rows) / sizeof(rows[0]); g++) {
        char name[64];
        snprintf(name, sizeof(name), "sluis_route_%s", rows[g][0]);
        head(out, name, "gauge", rows[g][1]);
        for (int i = 0; i < n; i++) {
            const uint64_t values[] = {routes[i].waiting,   routes[i].parked, routes[i].expired,
                                       routes[i].in_flight, routes[i].paused, routes[i].awaiting};
            char route[2 * CONFIG_NAME_MAX + 2];
            admin_route_name(config, routes[i].route, route);
            buffer_addf(out, "%s{route=\"%s\"} %llu\n", name, route, (unsigned long long)values[g]);
        }
    }
}

/* The names of Prometheus' own client libraries. */
static void process_metrics(struct buffer *out)
{
    struct rusage use;
    struct rlimit files;
    unsigned long pages = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm) {
        if (fscanf(statm, "%lu %lu", &pages, &resident) == 2)
            one(out, "process_resident_memory_bytes", "gauge", "Resident memory",
                (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE));
        fclose(statm);
    }
    if (getrusage(RUSAGE_SELF, &use) == 0) {
        head(out, "process_cpu_seconds_total", "counter", "CPU time, user and system");
        buffer_addf(out, "process_cpu_seconds_total %.3f\n",
                    (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                        (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6);
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        one(out, "process_max_fds", "gauge", "Descriptors that it may have", files.rlim_cur);
}

void admin_metrics(struct admin_request *r)
{
    struct buffer out;
    struct config *config = config_acquire(r->admin->deps.config);
    buffer_init(&out, ADMIN_ANSWER_MAX);
    counters_write(&out);
    store_metrics(r, &out);
    own_metrics(r, &out);
    certificate_metrics(config, &out);
    route_metrics(r, config, &out);
    process_metrics(&out);
    config_unref(config);
    if (out.error)
        admin_error(r, 500, "too_large", "the answer does not fit");
    else
        admin_answer(r->ex, 200, SPAN("text/plain; version=0.0.4"), buffer_span(&out));
    buffer_free(&out);
}

/* Filters of the access log from a query. */
#include "internal.h"

struct audit_filter log_filter(struct admin_request *r)
{
    return (struct audit_filter){.from = admin_query(r, "since"),
                                 .to = admin_query(r, "until"),
                                 .actor = admin_query(r, "actor"),
                                 .role = admin_query(r, "role"),
                                 .subject = admin_query(r, "subject"),
                                 .action = admin_query(r, "action"),
                                 .outcome = admin_query(r, "outcome")};
}

bool log_filter_plain(const struct audit_filter *filter)
{
    struct buffer out;
    buffer_init(&out, 4096);
    int result = audit_filter_write(filter, &out);
    buffer_free(&out);
    return result == 0;
}

/* Times compare as text: what is not the beginning of one would show nothing, or everything. */
static bool is_time(struct span s)
{
    static const char shape[] = "0000-00-00T00:00:00.000Z";
    bool end = s.n && s.p[s.n - 1] == 'Z'; /* without a fraction, as people write it */
    size_t n = end ? s.n - 1 : s.n;
    if (s.n == 0)
        return true;
    if (n < 4 || n > sizeof(shape) - 2 || (end && n != 19 && n != 23))
        return false;
    for (size_t i = 0; i < n; i++)
        if (shape[i] == '0' ? s.p[i] < '0' || s.p[i] > '9' : s.p[i] != shape[i])
            return false;
    return true;
}

/* What a clock in the Netherlands showed becomes UTC. */
static void from_local(struct admin_request *r, bool end, struct span *time)
{
    char utc[CLOCK_RFC3339_SIZE];
    int64_t ms;
    char *text;
    if (!log_local_read(*time, end, &ms))
        return;
    clock_rfc3339(ms, utc);
    text = arena_try_str(r->arena, span_str(utc));
    *time = text ? span_of(text, 19) : SPAN_EMPTY;
}

bool log_filter_good(struct admin_request *r, struct audit_filter *filter)
{
    from_local(r, false, &filter->from);
    from_local(r, true, &filter->to);
    if (!log_filter_plain(filter)) {
        admin_error(r, 400, "filter", "filters are plain text");
        return false;
    }
    if (!is_time(filter->from) || !is_time(filter->to)) {
        admin_error(r, 400, "period",
                    "since, until: a time in UTC as 2026-11-22T10:00:00Z, or its beginning "
                    "(2026-11-22, 2026-11-22T10); or as a clock in the Netherlands shows it: "
                    "2026-11-22 11:00");
        return false;
    }
    /* "10:00:00Z" is after "10:00:00.500Z" as text: without its end it is before. */
    if (filter->from.n == 20)
        filter->from.n = 19;
    if (filter->to.n == 20)
        filter->to.n = 19;
    return true;
}

/* Statistics without content: GET /sluis/v1/statistics?channel=&from=&to=&by= */
#include "internal.h"

#include "sluis/history.h"
#include "sluis/stats.h"

#define WEEK_MS (7 * 24 * 3600000ll)

void admin_statistics(struct admin_request *r)
{
    struct span name = admin_query(r, "channel"), by = admin_query(r, "by");
    struct span from = admin_query(r, "from"), to = admin_query(r, "to");
    int64_t to_ms = clock_wall_ms(), from_ms = to_ms - WEEK_MS;
    char *text = arena_try_str(r->arena, name);
    struct config *config = config_acquire(r->admin->deps.config);
    const struct config_channel *channel = text ? config_channel(config, text) : NULL;
    uint16_t id = channel ? channel->id : 0;
    config_unref(config);
    enum stats_by unit = span_is(by, "hour")  ? STATS_BY_HOUR
                         : span_is(by, "day") ? STATS_BY_DAY
                                              : STATS_BY_ALL;
    if (!id || !admin_may(r, id)) {
        admin_error(r, 404, "channel", "channel: no such channel");
        return;
    }
    if ((by.n && !span_is(by, "hour") && !span_is(by, "day") && !span_is(by, "all")) ||
        (from.n && !history_time(from, &from_ms)) || (to.n && !history_time(to, &to_ms))) {
        admin_error(r, 400, "period",
                    "from, to: times as 2026-11-22T10:00:00Z; by: hour, day, all");
        return;
    }
    struct buffer out;
    buffer_init(&out, ADMIN_ANSWER_MAX);
    int result = r->admin->deps.stats
                     ? stats_write(r->admin->deps.stats, from_ms, to_ms, id, unit, &out)
                     : SLUIS_ECLOSED;
    if (result == SLUIS_EINVAL)
        admin_error(r, 400, "period", "from before to, 400 days at most");
    else if (result == SLUIS_ELIMIT)
        admin_error(r, 413, "limit", "more than one answer holds: ask for a shorter period");
    else if (result != 0)
        admin_error(r, 503, error_word(result), "the statistics could not be read");
    else
        admin_json(r, 200, &out);
    buffer_free(&out);
}

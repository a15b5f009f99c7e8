/* Counts of a period as JSON. What is below five is not told. */
#include "room.h"

#include "sluis/audit.h"
#include "sluis/base/clock.h"
#include "sluis/base/encode.h"
#include "sluis/base/json.h"

#include <stdlib.h>

#define CELLS_SHOWN 4096u /* of one answer */
#define PAGE 512u         /* rows in one read transaction */

struct sums {
    struct stats *s;
    uint32_t from, to, step; /* hours; 0: all in one */
    uint16_t channel;
    struct cell *at;
    struct told *told; /* of each */
    struct publish publish;
    unsigned n, looked;
    uint8_t next[STORE_KEY_MAX];
    size_t next_n;
    bool more;
    int error;
};

/* The sum that a row belongs to: its place, or CELLS_SHOWN. */
static unsigned sum_of(struct sums *u, const struct cell *row)
{
    uint32_t hour = u->step ? u->from + (row->key.hour - u->from) / u->step * u->step : u->from;
    for (unsigned i = u->n; i-- > 0;) {
        const struct cell *c = &u->at[i];
        if (c->key.hour == hour && c->key.channel == row->key.channel &&
            c->key.route == row->key.route && memcmp(c->key.tag, row->key.tag, 8) == 0)
            return i;
    }
    if (u->n == CELLS_SHOWN)
        return CELLS_SHOWN;
    memset(&u->told[u->n], 0, sizeof(u->told[0]));
    struct cell *c = &u->at[u->n++];
    memset(c, 0, sizeof(*c));
    c->key = row->key;
    c->key.hour = hour;
    memcpy(c->name, row->name, sizeof(c->name));
    return u->n - 1;
}

static int take_row(void *ctx, struct span key, struct span value)
{
    struct sums *u = ctx;
    struct cell row;
    if (key.n < 5 || key.p[0] != 'h' || be32_get((const uint8_t *)key.p + 1) >= u->to)
        return 1;
    if (u->looked++ == PAGE) {
        memcpy(u->next, key.p, key.n);
        u->next_n = key.n;
        u->more = true;
        return 1;
    }
    if (u->channel && be16_get((const uint8_t *)key.p + 5) != u->channel)
        return 0;
    u->error = cell_read(u->s, key, value, &row);
    struct told told;
    if (u->error == 0)
        u->error = publish_hour(&u->publish, &row, &told);
    if (u->error != 0 || row.key.hour < u->from)
        return u->error != 0; /* of before: for what it carries */
    unsigned place = sum_of(u, &row);
    if (place == CELLS_SHOWN) {
        u->error = SLUIS_ELIMIT;
        return 1;
    }
    cell_merge(&u->at[place], &row);
    publish_add(&u->told[place], &told);
    return u->error != 0;
}

static int gather(struct sums *u)
{
    int r = 0;
    u->next[0] = 'h';
    be32_put(u->next + 1, publish_from(u->from));
    u->next_n = 5;
    do {
        struct store_read *read;
        uint8_t from[STORE_KEY_MAX];
        size_t n = u->next_n;
        memcpy(from, u->next, n);
        u->more = false;
        u->looked = 0;
        r = store_read_begin(u->s->deps.store, &read);
        if (r != 0)
            return r;
        r = store_each_row(read, STORE_TABLE_STATS, span_of(from, n), take_row, u);
        store_read_end(read);
    } while (r >= 0 && u->error == 0 && u->more);
    return r < 0 ? r : u->error;
}

/* Fewer than five, or none: null. */
static void add_count(struct buffer *out, const char *name, const struct told *t, unsigned i,
                      bool *suppressed)
{
    *suppressed |= t->about[i];
    if (t->n[i] < STATS_SUPPRESS_BELOW)
        buffer_addf(out, ",\"%s\":null", name);
    else
        buffer_addf(out, ",\"%s\":%llu", name, (unsigned long long)t->n[i]);
}

static void add_waits(struct buffer *out, const char *name, const struct told *t, unsigned which)
{
    const uint64_t *buckets = t->waits[which];
    const unsigned i = S_FIRST + which;
    bool any = false;
    for (unsigned k = 0; k < WAIT_BUCKETS; k++) /* then they are five */
        any = any || buckets[k];
    if (t->n[i] < STATS_SUPPRESS_BELOW || !any) /* a median of few is somebody's own */
        buffer_addf(out, ",\"%s\":null", name);
    else
        buffer_addf(out, ",\"%s\":{\"count\":%llu,\"median_s\":%llu,\"p90_s\":%llu}", name,
                    (unsigned long long)t->n[i], (unsigned long long)wait_quantile(buckets, 0.5),
                    (unsigned long long)wait_quantile(buckets, 0.9));
}

/* Whether anything of it is told: an hour, a route or a channel of which nothing is would show that
 * there was something. */
static bool tells(const struct told *t)
{
    for (unsigned i = 0; i < SERIES; i++)
        if (t->n[i] >= STATS_SUPPRESS_BELOW)
            return true;
    return false;
}

static void add_cell(struct sums *u, const struct config *config, const struct cell *c,
                     const struct told *t, struct buffer *out)
{
    char from[CLOCK_RFC3339_SIZE];
    bool suppressed = false;
    const struct config_channel *channel = config_channel_by_id(config, c->key.channel);
    const struct config_route *route = c->key.route && c->key.route != ROUTE_TAG
                                           ? config_route_by_id(config, c->key.route, NULL)
                                           : NULL;
    clock_rfc3339((int64_t)c->key.hour * HOUR_MS, from);
    buffer_addf(out, "{\"from\":\"%s\",\"hours\":%u,\"channel\":\"%s\"", from,
                u->step ? u->step : u->to - u->from, channel ? channel->name : "");
    if (c->key.route == ROUTE_TAG) {
        buffer_add(out, SPAN(",\"tag\":"));
        json_quote(out, span_str(c->name));
    } else if (c->key.route) {
        buffer_addf(out, ",\"route\":\"%s\"", route ? route->name : "");
    }
    for (unsigned i = 0; i < N_COUNTS; i++)
        if (c->key.route != ROUTE_TAG ? (c->key.route ? i >= N_OFFERED : true) : i <= N_OUT)
            add_count(out, count_word(i), t, i, &suppressed);
    if (c->key.route != ROUTE_TAG) {
        bool first = true;
        buffer_add(out, SPAN(",\"found\":{"));
        for (unsigned i = 0; i < TYPES; i++) {
            struct buffer one;
            suppressed = suppressed || t->about[S_TYPES + i];
            if (t->n[S_TYPES + i] < STATS_SUPPRESS_BELOW)
                continue; /* nor that there was any */
            buffer_init(&one, 128);
            add_count(&one, audit_type_word(i), t, S_TYPES + i, &suppressed);
            buffer_add(out, span_from(buffer_span(&one), first));
            buffer_free(&one);
            first = false;
        }
        buffer_add_char(out, '}');
    }
    if (c->key.route == 0) {
        add_waits(out, "first_response", t, 0);
        add_waits(out, "follow_up", t, 1);
    }
    buffer_addf(out, ",\"suppressed\":%s}", suppressed ? "true" : "false");
}

int stats_write(struct stats *s, int64_t from_ms, int64_t to_ms, uint16_t channel, enum stats_by by,
                struct buffer *out)
{
    static const uint32_t steps[] = {[STATS_BY_HOUR] = 1, [STATS_BY_DAY] = 24, [STATS_BY_ALL] = 0};
    struct sums u = {.s = s,
                     .from = (uint32_t)(from_ms / HOUR_MS),
                     .to = (uint32_t)((to_ms + HOUR_MS - 1) / HOUR_MS),
                     .step = steps[by],
                     .channel = channel};
    if (from_ms < 0 || to_ms <= from_ms || u.to - u.from > STATS_PERIOD_MAX_H)
        return SLUIS_EINVAL;
    int r = stats_catch_up(s);
    u.at = r == 0 ? malloc(CELLS_SHOWN * sizeof(*u.at)) : NULL;
    u.told = r == 0 ? malloc(CELLS_SHOWN * sizeof(*u.told)) : NULL;
    if (r == 0 && (!u.at || !u.told))
        r = SLUIS_ENOMEM;
    if (r == 0) {
        pthread_mutex_lock(&s->lock); /* its cache of keys */
        r = gather(&u);
        pthread_mutex_unlock(&s->lock);
    }
    if (r == 0) {
        struct config *config = config_acquire(s->deps.config);
        char from[CLOCK_RFC3339_SIZE], to[CLOCK_RFC3339_SIZE];
        clock_rfc3339((int64_t)u.from * HOUR_MS, from);
        clock_rfc3339((int64_t)u.to * HOUR_MS, to);
        buffer_addf(out, "{\"from\":\"%s\",\"to\":\"%s\",\"suppressed_below\":%u,\"counts\":[",
                    from, to, STATS_SUPPRESS_BELOW);
        bool first = true;
        for (unsigned i = 0; i < u.n; i++) {
            if (!tells(&u.told[i]))
                continue;
            buffer_add_str(out, first ? "" : ",");
            add_cell(&u, config, &u.at[i], &u.told[i], out);
            first = false;
        }
        buffer_add(out, SPAN("]}"));
        config_unref(config);
        r = out->error;
    }
    free(u.at);
    free(u.told);
    free(u.publish.carry);
    return r;
}

/* Deliveries that wait, are parked or expired, and quarantine. */
#include "internal.h"

#include <stdlib.h>

#define QUEUE_ROWS_MAX 10000u /* rows of one listing */
#define QUEUE_ROUTES_MAX 4096
#define QUEUE_WAITING_MAX 2000u /* rows of one route that wait in order */

struct listing {
    struct buffer out;
    const struct config *config;
    unsigned n;
    bool more; /* than a listing shows */
};

static int add_row(void *ctx, const struct store_pending *p)
{
    static const char *const words[] = {"?", "waiting", "parked", "expired"};
    struct listing *l = ctx;
    char name[2 * CONFIG_NAME_MAX + 2], next[CLOCK_RFC3339_SIZE];
    if (p->state == STORE_PENDING_DROPPED)
        return 0;
    if (l->n >= QUEUE_ROWS_MAX) {
        l->more = true;
        return 1;
    }
    admin_route_name(l->config, p->route, name);
    clock_rfc3339(p->next_ms, next);
    buffer_addf(&l->out,
                "%s{\"route\":\"%s\",\"serial\":%llu,\"state\":\"%s\",\"attempts\":%u,"
                "\"last_status\":%u,\"at\":\"%s\"}",
                l->n++ ? "," : "", name, (unsigned long long)p->serial,
                words[p->state <= STORE_PENDING_EXPIRED ? p->state : 0], p->attempts,
                p->last_status, next);
    return 0;
}

/* What waits in order at the head of a route has no row in the store. */
static void add_waiting(struct admin_request *r, struct listing *l, uint16_t route)
{
    struct deliver_row *rows = calloc(QUEUE_WAITING_MAX, sizeof(*rows));
    int n = rows ? deliver_waiting(r->admin->deps.deliver, route, rows, QUEUE_WAITING_MAX) : 0;
    for (int i = 0; i < n; i++) {
        const struct store_pending p = {.route = rows[i].route,
                                        .serial = rows[i].serial,
                                        .state = rows[i].state,
                                        .attempts = rows[i].attempts,
                                        .last_status = rows[i].last_status,
                                        .next_ms = rows[i].next_ms};
        if (add_row(l, &p) != 0)
            break;
    }
    l->more |= n == QUEUE_WAITING_MAX;
    free(rows);
}

static void add_routes(struct admin_request *r, struct listing *l)
{
    struct deliver_route_status *rows =
        arena_try(r->arena, QUEUE_ROUTES_MAX * sizeof(struct deliver_route_status));
    int n = rows ? deliver_status(r->admin->deps.deliver, rows, QUEUE_ROUTES_MAX) : 0;
    for (int i = 0; i < n; i++) {
        char name[2 * CONFIG_NAME_MAX + 2];
        admin_route_name(l->config, rows[i].route, name);
        buffer_addf(&l->out,
                    "%s{\"name\":\"%s\",\"paused\":%s,\"waiting\":%llu,\"in_flight\":%llu,"
                    "\"parked\":%llu,\"expired\":%llu}",
                    i ? "," : "", name, rows[i].paused ? "true" : "false",
                    (unsigned long long)rows[i].waiting, (unsigned long long)rows[i].in_flight,
                    (unsigned long long)rows[i].parked, (unsigned long long)rows[i].expired);
    }
}

void admin_queue_list(struct admin_request *r)
{
    struct listing l = {.config = config_acquire(r->admin->deps.config)};
    struct store_read *read;
    int result = store_read_begin(r->admin->deps.store, &read);
    buffer_init(&l.out, ADMIN_ANSWER_MAX);
    buffer_add(&l.out, SPAN("{\"routes\":["));
    add_routes(r, &l);
    buffer_add(&l.out, SPAN("],\"deliveries\":["));
    if (result == 0) {
        for (size_t c = 0; c < l.config->channel_count && result >= 0; c++) {
            const struct config_channel *channel = &l.config->channels[c];
            for (size_t i = 0; i < channel->route_count && result >= 0; i++)
                result = store_each_pending(read, channel->routes[i].id, 0, add_row, &l);
        }
        store_read_end(read);
        for (size_t c = 0; c < l.config->channel_count; c++)
            for (size_t i = 0; i < l.config->channels[c].route_count && !l.more; i++)
                add_waiting(r, &l, l.config->channels[c].routes[i].id);
    }
    buffer_addf(&l.out, "],\"more\":%s}", l.more ? "true" : "false");
    config_unref((struct config *)l.config);
    if (result < 0)
        admin_error(r, 503, error_word(result), "the queue could not be read");
    else
        admin_json(r, 200, &l.out);
    buffer_free(&l.out);
}

static bool target(struct admin_request *r, uint16_t *route, uint64_t *serial, bool need_serial)
{
    struct config *config = config_acquire(r->admin->deps.config);
    *route = admin_route_id(config, admin_text(r, "route"));
    config_unref(config);
    *serial = 0;
    uint32_t at = r->body.count ? json_get(&r->body, 0, SPAN("serial")) : JSON_NONE;
    if (*route == 0) {
        admin_error(r, 400, "route", "route: no such route (channel/route)");
        return false;
    }
    if ((at == JSON_NONE && need_serial) ||
        (at != JSON_NONE && json_u64(&r->body, at, serial) != 0)) {
        admin_error(r, 400, "serial", "serial: a number from `sluis queue list` was expected");
        return false;
    }
    return true;
}

static int record(struct admin_request *r, uint16_t route, uint64_t serial, const char *outcome)
{
    struct config *config = config_acquire(r->admin->deps.config);
    const struct config_channel *channel = NULL;
    const struct config_route *facts = config_route_by_id(config, route, &channel);
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_QUEUE,
                                      .actor = r->who.name,
                                      .channel = channel ? channel->name : NULL,
                                      .route = facts ? facts->name : NULL,
                                      .object = serial,
                                      .outcome = outcome};
    int result = admin_record(r->admin->deps.store, &event);
    config_unref(config);
    return result;
}

static void answer(struct admin_request *r, int result)
{
    if (result == 0)
        admin_answer(r->ex, 200, SPAN("application/json"), SPAN("{\"done\":true}\n"));
    else if (result == SLUIS_ENOENT)
        admin_error(r, 404, "not_found", "no such delivery");
    else if (result == SLUIS_EAGAIN)
        admin_error(r, 409, "busy", "an attempt is under way: try again");
    else
        admin_error(r, 503, error_word(result), "that could not be done");
}

void admin_queue_retry(struct admin_request *r)
{
    uint16_t route;
    uint64_t serial;
    if (!target(r, &route, &serial, false))
        return;
    int result = record(r, route, serial, "retried");
    answer(r, result ? result : deliver_retry(r->admin->deps.deliver, route, serial));
}

void admin_queue_drop(struct admin_request *r)
{
    uint16_t route;
    uint64_t serial;
    if (!target(r, &route, &serial, true))
        return;
    int result = record(r, route, serial, "dropped");
    answer(r, result ? result : deliver_drop(r->admin->deps.deliver, route, serial));
}

static int add_quarantined(void *ctx, struct span key, struct span value)
{
    struct listing *l = ctx;
    (void)key;
    if (l->n >= QUEUE_ROWS_MAX) {
        l->more = true;
        return 1;
    }
    if (l->n++)
        buffer_add_char(&l->out, ',');
    buffer_add(&l->out, value); /* a row of our own making: webhook's quarantine.c */
    return 0;
}

void admin_quarantine_list(struct admin_request *r)
{
    struct listing l = {.config = NULL};
    struct store_read *read;
    int result = store_read_begin(r->admin->deps.store, &read);
    buffer_init(&l.out, ADMIN_ANSWER_MAX);
    buffer_add(&l.out, SPAN("{\"quarantine\":["));
    if (result == 0) {
        result = store_each_row(read, STORE_TABLE_QUARANTINE, SPAN_EMPTY, add_quarantined, &l);
        store_read_end(read);
    }
    buffer_addf(&l.out, "],\"more\":%s}", l.more ? "true" : "false");
    if (result < 0)
        admin_error(r, 503, error_word(result), "quarantine could not be read");
    else
        admin_json(r, 200, &l.out);
    buffer_free(&l.out);
}

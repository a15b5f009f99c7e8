/* What was for a route and what became of it: `sluis audit reconcile` compares it with what the
 * tool says it received. No content, no names: identifiers of deliveries. */
#include "internal.h"

#define LOOKED_AT 5000u /* items of one page: some 50 ms */

struct page {
    struct buffer out;
    unsigned n;
};

static int add(void *ctx, const struct deliver_sent *sent)
{
    static const char *const words[] = {[DELIVER_WAITING] = "waiting",
                                        [DELIVER_DELIVERED] = "delivered",
                                        [DELIVER_PARKED] = "parked",
                                        [DELIVER_EXPIRED] = "expired",
                                        [DELIVER_DROPPED] = "dropped"};
    struct page *p = ctx;
    char time[CLOCK_RFC3339_SIZE];
    clock_rfc3339(sent->taken_ms, time);
    buffer_addf(&p->out,
                "%s{\"id\":\"%s\",\"serial\":%llu,\"batch\":%llu,\"time\":\"%s\",\"state\":\"%s\"}",
                p->n++ ? "," : "", sent->id, (unsigned long long)sent->serial,
                (unsigned long long)sent->batch, time, words[sent->state]);
    return p->out.error;
}

void admin_log_deliveries(struct admin_request *r)
{
    uint64_t from = 0, next = 0;
    struct config *config = config_acquire(r->admin->deps.config);
    const struct config_channel *channel = NULL;
    uint16_t id = admin_route_id(config, admin_query(r, "route"));
    const struct config_route *route = id ? config_route_by_id(config, id, &channel) : NULL;
    struct span text = admin_query(r, "from");
    struct page p = {.n = 0};
    buffer_init(&p.out, ADMIN_ANSWER_MAX);
    if (!route || (text.n && span_u64(text, &from) != 0)) {
        admin_error(r, 400, "route", "route: a route (channel/route); from: a number");
        goto out;
    }
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_READ_LOG,
                                      .actor = r->who.name,
                                      .channel = channel->name,
                                      .route = route->name,
                                      .outcome = "reconciled"};
    int result = from ? 0 : admin_record(r->admin->deps.store, &event);
    buffer_add(&p.out, SPAN("{\"deliveries\":["));
    if (result == 0)
        result = deliver_each_sent(r->admin->deps.deliver, channel->name, route->name, id, from,
                                   LOOKED_AT, add, &p, &next);
    buffer_addf(&p.out, "],\"next\":%llu}", (unsigned long long)next);
    if (result != 0)
        admin_error(r, 503, error_word(result), "the deliveries could not be read");
    else
        admin_json(r, 200, &p.out);
out:
    buffer_free(&p.out);
    config_unref(config);
}

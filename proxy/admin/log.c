/* Reading the access log: recorded before the first leaf is read. */
#include "internal.h"

#include "sluis/history.h"

#define FILTERED_LOOK_MAX 50000u /* leaves looked at in one filtered page */

struct page {
    struct buffer out;
    unsigned n, looked;
    uint64_t next;
    bool filtered;
    struct audit_filter filter;
};

static int add_leaf(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    struct page *p = ctx;
    if (p->n >= ADMIN_LOG_PAGE || (p->filtered && p->looked == FILTERED_LOOK_MAX))
        return 1;
    p->looked++;
    p->next = index + 1;
    if (p->filtered && !audit_filter_match(&p->filter, leaf))
        return 0;
    p->n++;
    buffer_addf(&p->out, "{\"index\":%llu,\"hash\":\"", (unsigned long long)index);
    buffer_add_hex(&p->out, span_of(hash, 32));
    buffer_add(&p->out, SPAN("\",\"leaf\":"));
    buffer_add(&p->out, leaf);
    buffer_add(&p->out, SPAN("}\n"));
    return p->out.error ? p->out.error : 0;
}

void admin_log_list(struct admin_request *r)
{
    uint64_t from = 0;
    struct span text = admin_query(r, "from");
    if (text.n && span_u64(text, &from) != 0) {
        admin_error(r, 400, "from", "from: the index of a leaf was expected");
        return;
    }
    struct page p = {.filter = log_filter(r)};
    int64_t since;
    p.filtered = !audit_filter_any(&p.filter);
    if (!log_filter_plain(&p.filter)) {
        admin_error(r, 400, "filter", "filters are plain text");
        return;
    }
    int result = 0;
    if (!text.n && history_time(p.filter.from, &since))
        result = log_find(r->admin->deps.store, since, &from);
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_READ_LOG,
                                      .actor = r->who.name,
                                      .object = from,
                                      .outcome = "read"};
    if (result == 0)
        result = admin_record(r->admin->deps.store, &event);
    struct store_read *read = NULL;
    buffer_init(&p.out, ADMIN_ANSWER_MAX);
    if (result == 0)
        result = store_read_begin(r->admin->deps.store, &read);
    if (result == 0) {
        result = store_each_leaf(read, from, add_leaf, &p);
        store_read_end(read);
    }
    struct store_status status;
    store_status(r->admin->deps.store, &status);
    if (p.filtered && p.next && p.next < status.log_size) /* more to look at: where to go on */
        buffer_addf(&p.out, "{\"next\":%llu}\n", (unsigned long long)p.next);
    if (result < 0)
        admin_error(r, 503, error_word(result), "the log could not be read");
    else
        exchange_answer(r->ex, 200, SPAN("application/x-ndjson"), buffer_span(&p.out));
    buffer_free(&p.out);
}

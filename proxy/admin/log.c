/* Reading the access log: recorded before the first leaf is read. */
#include "internal.h"

struct page {
    struct buffer out;
    unsigned n;
};

static int add_leaf(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    struct page *p = ctx;
    if (p->n >= ADMIN_LOG_PAGE)
        return 1;
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
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_READ_LOG,
                                      .actor = r->who.name,
                                      .object = from,
                                      .outcome = "read"};
    int result = admin_record(r->admin->deps.store, &event);
    struct page p = {.n = 0};
    struct store_read *read = NULL;
    buffer_init(&p.out, ADMIN_ANSWER_MAX);
    if (result == 0)
        result = store_read_begin(r->admin->deps.store, &read);
    if (result == 0) {
        result = store_each_leaf(read, from, add_leaf, &p);
        store_read_end(read);
    }
    if (result < 0)
        admin_error(r, 503, error_word(result), "the log could not be read");
    else
        exchange_answer(r->ex, 200, SPAN("application/x-ndjson"), buffer_span(&p.out));
    buffer_free(&p.out);
}

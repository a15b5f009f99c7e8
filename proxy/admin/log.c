/* Reading the access log: recorded before the first leaf is read. */
#include "internal.h"

#define INDEX_MAX (UINT64_C(1) << 53) /* what a leaf can say that was read from */
#define FILTERED_LOOK_MAX 50000u      /* leaves looked at in one filtered page */

struct page {
    struct buffer out;
    unsigned n, looked;
    uint64_t next, end; /* end: of the block that is looked at */
    bool full, filtered;
    struct audit_filter filter;
};

static int add_leaf(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    struct page *p = ctx;
    if (p->filtered && index >= p->end)
        return 1;
    p->full = p->n >= ADMIN_LOG_PAGE || (p->filtered && p->looked == FILTERED_LOOK_MAX);
    if (p->full)
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

/* Block by block, past those that hold nothing of the period. */
static int gather(struct admin_request *r, struct page *p, uint64_t size)
{
    struct audit_log *log = r->admin->deps.log;
    struct store_read *read;
    int result = store_read_begin(r->admin->deps.store, &read);
    if (result != 0)
        return result;
    if (!p->filtered)
        result = store_each_leaf(read, p->next, add_leaf, p);
    while (result >= 0 && p->filtered && !p->full) {
        p->next = audit_log_ahead(log, &p->filter, p->next);
        if (p->next >= size)
            break;
        p->end = (p->next / AUDIT_PAGE_LEAVES + 1) * AUDIT_PAGE_LEAVES;
        result = store_each_leaf(read, p->next, add_leaf, p);
        if (!p->full) /* the last of it may be hashes alone, or not there yet */
            p->next = p->end;
    }
    store_read_end(read);
    return result;
}

void admin_log_list(struct admin_request *r)
{
    uint64_t from = 0;
    struct span text = admin_query(r, "from");
    if (text.n && (span_u64(text, &from) != 0 || from >= INDEX_MAX)) {
        admin_error(r, 400, "from", "from: the index of a leaf was expected");
        return;
    }
    struct page p = {.filter = log_filter(r), .next = from};
    p.filtered = !audit_filter_any(&p.filter);
    if (!log_filter_good(r, &p.filter))
        return;
    if (p.filtered)
        p.next = audit_log_ahead(r->admin->deps.log, &p.filter, from);
    const struct audit_event event = {.at_ms = clock_wall_ms(),
                                      .action = AUDIT_READ_LOG,
                                      .actor = r->who.name,
                                      .object = p.next,
                                      .outcome = "read"};
    /* What is written from here on is not chased: that would not end while messages come in. */
    struct store_status status;
    int result = admin_record(r->admin->deps.store, &event);
    store_status(r->admin->deps.store, &status);
    buffer_init(&p.out, ADMIN_ANSWER_MAX);
    if (result == 0)
        result = gather(r, &p, status.log_size);
    if (p.filtered && p.full && p.next < status.log_size) /* where to go on */
        buffer_addf(&p.out, "{\"next\":%llu}\n", (unsigned long long)p.next);
    if (result < 0 || p.out.error)
        admin_error(r, 503, error_word(result < 0 ? result : p.out.error),
                    "the log could not be read");
    else
        admin_answer(r->ex, 200, SPAN("application/x-ndjson"), buffer_span(&p.out));
    buffer_free(&p.out);
}

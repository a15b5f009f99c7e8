/* Where in the log a time is, and filters from a query. */
#include "internal.h"

struct probe {
    uint64_t index;
    char time[CLOCK_RFC3339_SIZE];
    bool found;
};

static int take(void *ctx, uint64_t index, struct span leaf, const uint8_t hash[32])
{
    struct probe *p = ctx;
    struct span time = audit_member(leaf, "\"time\":");
    (void)hash;
    p->found = true;
    p->index = index;
    memset(p->time, 0, sizeof(p->time));
    memcpy(p->time, time.p ? time.p : "", time.n < sizeof(p->time) ? time.n : 0);
    return 1;
}

/* Times rise but for moments between threads: a minute before is soon enough. */
int log_find(struct store *store, int64_t at_ms, uint64_t *index)
{
    struct store_status status;
    struct store_read *read;
    char text[CLOCK_RFC3339_SIZE];
    store_status(store, &status);
    clock_rfc3339(at_ms > 60000 ? at_ms - 60000 : 0, text);
    uint64_t low = 0, high = status.log_size;
    int result = store_read_begin(store, &read);
    if (result != 0)
        return result;
    while (result >= 0 && low < high) {
        struct probe p = {.found = false};
        uint64_t middle = low + (high - low) / 2;
        result = store_each_leaf(read, middle, take, &p);
        if (result >= 0 && p.found && p.index < high && strcmp(p.time, text) < 0)
            low = p.index + 1;
        else
            high = middle;
    }
    store_read_end(read);
    *index = low;
    return result < 0 ? result : 0;
}

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

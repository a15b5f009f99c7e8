/* What a tool's answer means (architecture section 4). Pure. */
#include "internal.h"

static const struct {
    unsigned from, to;
    enum verdict verdict;
    const char *why;
} statuses[] = {
    {200, 299, VERDICT_DELIVERED, "delivered"},
    {300, 399, VERDICT_PAUSE, "redirect"}, /* never followed: the URL is wrong for everything */
    {401, 401, VERDICT_PAUSE, "http_401"},
    {403, 403, VERDICT_PAUSE, "http_403"},
    {404, 404, VERDICT_PAUSE, "http_404"},
    {408, 408, VERDICT_RETRY, "http_408"},
    {410, 410, VERDICT_PAUSE, "http_410"},
    {425, 425, VERDICT_RETRY, "http_425"},
    {429, 429, VERDICT_RETRY, "http_429"},
    {400, 499, VERDICT_REFUSED, "http_4xx"},
    {500, 599, VERDICT_RETRY, "http_5xx"},
};

enum verdict verdict_of(const struct client_answer *answer, const char **why)
{
    if (answer->error != 0) {
        *why = client_failure_word(answer->failure);
        return answer->failure == CLIENT_FAIL_TLS_NAME ? VERDICT_PAUSE : VERDICT_RETRY;
    }
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (answer->head->status >= statuses[i].from && answer->head->status <= statuses[i].to) {
            *why = statuses[i].why;
            return statuses[i].verdict;
        }
    }
    *why = "http_status";
    return VERDICT_RETRY;
}

int64_t retry_after_ms(const struct client_answer *answer)
{
    uint64_t seconds;
    if (answer->error != 0 ||
        span_u64(http_field(answer->head, SPAN("Retry-After")), &seconds) != 0)
        return 0;
    return (int64_t)(seconds > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : seconds) * 1000;
}

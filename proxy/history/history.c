/* Calls, for now refused. */
#include "room.h"

#include <stdlib.h>

static const char *const words[HISTORY_OPERATIONS] = {
    "conversations", "messages", "tag", "note", "reveal", "search", "export", "expiring"};

const char *history_operation_word(enum history_operation operation)
{
    return words[operation];
}

int history_new(const struct history_deps *deps, struct history **out)
{
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return SLUIS_ENOMEM;
    (*out)->deps = *deps;
    return 0;
}

void history_stop(struct history *history)
{
    (void)history;
}

void history_free(struct history *history)
{
    free(history);
}

void history_request_init(struct history_request *q)
{
    memset(q, 0, sizeof(*q));
    buffer_init(&q->body, HISTORY_BODY_MAX);
    buffer_init(&q->answer, HISTORY_ANSWER_MAX);
}

void history_request_free(struct history_request *q)
{
    buffer_free(&q->body);
    buffer_free(&q->answer);
}

void problem(struct history_request *q, unsigned status, const char *code, const char *detail)
{
    buffer_clear(&q->answer);
    buffer_addf(&q->answer,
                "{\"type\":\"urn:sluis:problem:%s\",\"title\":\"%s\",\"status\":%u,"
                "\"detail\":\"%s\"}\n",
                code, code, status, detail);
    q->status = status;
    q->content_type = "application/problem+json";
}

void history_run(struct history *history, struct history_request *q)
{
    (void)history;
    problem(q, 503, "unavailable", "history is not available yet");
}

void history_submit(struct history *history, struct history_request *q)
{
    history_run(history, q);
    q->done(q);
}

/* History for a tool: the call goes to history's workers, the answer comes back by mail. */
#include "internal.h"

#include "sluis/history.h"

#include <stdio.h>
#include <stdlib.h>

struct asked {
    struct history_request request; /* first: history's mail */
    struct mail mail;
    struct call *call;
};

static void on_answer(struct mail *mail)
{
    struct asked *a = (struct asked *)((char *)mail - offsetof(struct asked, mail));
    struct call *call = a->call;
    struct exchange *ex = call_exchange(call);
    if (ex) {
        exchange_answer_begin(ex, a->request.status);
        exchange_answer_field(ex, SPAN("Content-Type"), span_str(a->request.content_type));
        exchange_answer_field(ex, SPAN("Cache-Control"), SPAN("no-store"));
        exchange_answer_end(ex, buffer_span(&a->request.answer));
    }
    history_request_free(&a->request);
    free(a);
    call_free(call);
}

/* A worker's thread. */
static void on_done(struct history_request *request)
{
    struct asked *a = (struct asked *)request;
    loop_post(a->call->thread->loop, &a->mail, on_answer);
}

void handle_history(struct call *call)
{
    struct history *history = call->thread->graph->deps.history;
    struct asked *a = history ? calloc(1, sizeof(*a)) : NULL;
    if (!a) {
        call_refuse(call, E_BUSY, NULL);
        return;
    }
    history_request_init(&a->request);
    for (unsigned i = 0; i < HISTORY_OPERATIONS; i++)
        if (strcmp(history_operation_word(i), call->endpoint->edge) == 0)
            a->request.operation = i;
    a->request.principal = call->principal;
    snprintf(a->request.claimed, sizeof(a->request.claimed), "%s", call->actor);
    a->request.done = on_done;
    a->call = call;
    buffer_add(&a->request.body, buffer_span(&call->body));
    history_submit(history, &a->request);
}
